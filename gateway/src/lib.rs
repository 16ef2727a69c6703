//! The exchange core of Tongban. `manual` explains the design; the floors of the house are listed
//! there, and `tests/architecture.rs` holds them up.

// floor 1: vocabulary
pub mod codes;
pub mod id;
pub mod limits;
pub mod refusal;
pub mod time;

// floor 2: evidence
pub mod document;
pub mod entry;
pub mod log;
pub mod suite;

// floor 3: rules
pub mod channel;

// floor 4: ports
pub mod store;
