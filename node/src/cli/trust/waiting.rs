//! `trust approve|decline|confirm|review`: what the second person does.

use certs::administration::Act;
use clap::Args;

use super::{By, Home, act};
use crate::console::{Console, Failure};

/// `tongban trust approve|decline|confirm|review`
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Number of the record in the log. 记录编号
    pub record: usize,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// Approves a proposal.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn approve(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Approve { proposal: args.record }, None)
}

/// Declines or withdraws a proposal.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn decline(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Decline { proposal: args.record }, None)
}

/// Confirms what one person did alone.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn confirm(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Confirm { record: args.record }, None)
}

/// Records that an auditor has read the log.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn review(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Review { through: args.record }, None)
}
