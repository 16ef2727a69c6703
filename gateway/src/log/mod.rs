//! The channel as evidence: leaves, the Merkle tree over them, proofs, and signed checkpoints.
//!
//! RFC 6962 §2.1 hashing; C2SP tlog-checkpoint, signed-note and tlog-cosignature texts. Pure values:
//! who stores nodes and who holds keys is decided elsewhere.

pub mod checkpoint;
pub mod leaf;
pub mod proof;
pub mod tree;
