//! The exchange core of Tongban. `manual` explains the design; the floors of the house are listed
//! there, and `tests/architecture.rs` holds them up.

// floor 1: vocabulary
pub mod id;
pub mod limits;
pub mod refusal;
pub mod time;

// floor 3: rules
pub mod authorize;
pub mod service;

// floor 4: bytes to domain and back
pub mod wire;
