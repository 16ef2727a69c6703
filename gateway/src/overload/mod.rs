//! What a node takes, and when it asks to wait: limits that an operator may set, and the rules that
//! keep to them. Pure; the committer, the links and the local interface do what is decided here.

use crate::limits;

/// The limits that a configuration may set. The defaults are those of [`limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Milliseconds without a receipt after which a message is overdue.
    pub overdue_millis: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { overdue_millis: limits::OVERDUE_MILLIS }
    }
}
