//! What is well and what is not: readiness, alarms, and how long entries wait for their receipts. Pure
//! judgements over [`Facts`] that the node gathers; it serves, sends and repeats what they say.

pub mod alarm;
pub mod facts;
pub mod lag;
pub mod ready;

pub use facts::{Facts, KeyState, Store, TrustFacts};
