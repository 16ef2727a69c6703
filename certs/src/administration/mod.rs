//! How trust changes: what administrators may do, and the log of what they did.
//!
//! [`event`] names the acts; [`State`] is the fold over them and judges each one before it counts; [`log`] is the
//! hash-chained, signed file from which the state is folded. A trust folder with a log takes its domains from it;
//! one without reads `trust.toml`, as before.
//!
//! Two people: a system administrator proposes, a security administrator approves. In an emergency either takes
//! trust away alone, and another one confirms it later. An audit administrator does neither and reviews both
//! (三权分立, GB/T 22239-2019 §8.1.5).

pub mod event;
pub mod log;
pub mod state;

pub use event::{Act, Change, Role};
pub use log::{Head, Log};
pub use state::{NotAllowed, State};

#[cfg(test)]
mod tests;
