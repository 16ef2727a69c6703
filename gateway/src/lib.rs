//! The exchange core of Tongban. `manual` explains the design; the floors of the house are listed
//! there, and `tests/architecture.rs` holds them up.

pub mod manual;

// floor 1: vocabulary
pub mod codes;
pub mod id;
pub mod limits;
pub mod mutant;
pub mod refusal;
pub mod time;

// floor 2: evidence
pub mod chunks;
pub mod document;
pub mod entry;
pub mod log;
pub mod suite;

// floor 3: rules
pub mod authorize;
pub mod channel;
pub mod health;
pub mod overload;
pub mod service;

// floor 4: ports
pub mod archive;
pub mod clock;
pub mod committer;
pub mod keybook;
pub mod measure;
pub mod peer;
pub mod signer;
pub mod store;
pub mod threads;
pub mod wire;

// floor 5: shell
pub mod blobs;
pub mod gateway;
pub mod link;
pub mod proof;
pub mod reconcile;
pub mod respond;

// floor 6: transport
pub mod transport;
