//! What a node takes, and when it asks to wait: limits that an operator may set, and the rules that
//! keep to them. Pure; the committer, the links and the local interface do what is decided here.

pub mod disk;
pub mod hints;
pub mod pace;
pub mod quota;

use crate::limits;
use quota::Rate;

/// The limits that a configuration may set. The defaults are those of [`limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Milliseconds without a receipt after which a message is overdue.
    pub overdue_millis: u64,
    /// Free bytes below which nothing new is taken.
    pub disk_low_bytes: u64,
    /// Payload bytes of the drafts that one channel holds before contact.
    pub staged_bytes_max: usize,
    /// What one partner may send.
    pub peer: Rate,
    /// What one submitter may submit.
    pub submitter: Rate,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            overdue_millis: limits::OVERDUE_MILLIS,
            disk_low_bytes: limits::DISK_LOW_BYTES,
            staged_bytes_max: limits::STAGED_BYTES_MAX,
            peer: Rate { entries_per_s: limits::PEER_ENTRIES_PER_S, bytes_per_s: limits::PEER_BYTES_PER_S },
            submitter: Rate {
                entries_per_s: limits::SUBMITTER_ENTRIES_PER_S,
                bytes_per_s: limits::SUBMITTER_BYTES_PER_S,
            },
        }
    }
}
