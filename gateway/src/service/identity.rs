//! Where identifiers meet their check digits. The algorithms live in `codes` (floor 1); the rules
//! only ask whether a number holds. [`in_use`] is the one place that says who answers.

use crate::id::{CaseId, NodeId};

/// How an identifier with a check character came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The check character is right.
    Valid,
    /// Right under a known variant of the algorithm that some issuers use (R31): accepted, reported.
    Variant,
    /// Wrong, or not an identifier of that form at all.
    Invalid,
}

/// The checks of identity numbers that the rules need.
pub trait IdentityChecks: Send + Sync {
    /// Whether a document number of type `id_type` (GA/T 2000.156) passes its check. Types without a
    /// known check pass.
    fn person(&self, id_type: &str, id_number: &str) -> bool;

    /// Checks a licence identifier (证照标识, GB/T 36904).
    fn licence(&self, licence_id: &str) -> CheckOutcome;

    /// Whether a case number holds. One of ours (`KST…`) must pass its check and name these two
    /// places; any other number is opaque and holds.
    fn case_number(&self, case: &CaseId, receiving: NodeId, competent: NodeId) -> bool;
}

/// Lets every identifier pass.
#[derive(Debug, Clone, Copy)]
pub struct Unchecked;

impl IdentityChecks for Unchecked {
    fn person(&self, _id_type: &str, _id_number: &str) -> bool {
        true
    }
    fn licence(&self, _licence_id: &str) -> CheckOutcome {
        CheckOutcome::Valid
    }
    fn case_number(&self, _case: &CaseId, _receiving: NodeId, _competent: NodeId) -> bool {
        true
    }
}

/// The checks in use.
pub fn in_use() -> &'static dyn IdentityChecks {
    &Unchecked
}
