//! The exchange machines: what a sender and a receiver decide about one log. Pure: the state, what
//! arrived, and now go in; a decision comes out. The committer does what was decided.

pub mod batch;
pub mod circuit;
pub mod fence;
pub mod inbound;
pub mod letter;
pub mod outbound;
pub mod possession;
pub mod turns;

use crate::suite::Hash;
use crate::time::UnixMillis;

/// The head of a log that somebody signed: what later checkpoints are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Entries below it.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// The sender's clock.
    pub time: UnixMillis,
}
