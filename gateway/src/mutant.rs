//! Planted faults: each takes one defence away, so that a test can say which proof notices. Without the
//! feature `mutants`, which no released binary has, none can be planted and the compiler drops every
//! question about them.

/// A fault that can be planted. What follows each name is what an honest node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Every commit is synced before anybody hears of it.
    SkipSync,
    /// Whoever asked is answered after the commit has landed.
    AcknowledgeBeforeCommit,
    /// A sync that failed stops the process.
    SwallowStoreError,
    /// A commit that found no room is forgotten whole.
    KeepWhatWasNotWritten,
    /// A message id has one place.
    SkipDuplicateCheck,
    /// Nothing is signed before the peer has stated its copy.
    SignBeforeContact,
    /// A receiver compares its root with the sender's before it signs.
    CosignWithoutRootCheck,
    /// A checkpoint that the copy has outgrown is compared with the copy.
    AcceptStaleCheckpoint,
    /// The standing of a connected peer follows the trust store.
    IgnoreRevocation,
    /// Only the competent place decides.
    LetReceivingPlaceDecide,
    /// A case is opened under an agreement that is in force.
    IgnoreEndOfAgreement,
    /// A consumer's acknowledgement is journalled.
    ForgetCursor,
    /// A draft that waits for contact is journalled.
    ForgetStagedDraft,
    /// A receipt is kept.
    ForgetReceipt,
    /// A refusal is answered in the reverse channel.
    RefuseSilently,
    /// A replay does with a frame what the live commit did.
    ReplayWithoutReceipts,
    /// A file is synced before an entry may rely on it.
    SkipBlobSync,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::SkipSync,
        Self::AcknowledgeBeforeCommit,
        Self::SwallowStoreError,
        Self::KeepWhatWasNotWritten,
        Self::SkipDuplicateCheck,
        Self::SignBeforeContact,
        Self::CosignWithoutRootCheck,
        Self::AcceptStaleCheckpoint,
        Self::IgnoreRevocation,
        Self::LetReceivingPlaceDecide,
        Self::IgnoreEndOfAgreement,
        Self::ForgetCursor,
        Self::ForgetStagedDraft,
        Self::ForgetReceipt,
        Self::RefuseSilently,
        Self::ReplayWithoutReceipts,
        Self::SkipBlobSync,
    ];
}

#[cfg(feature = "mutants")]
mod planted {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        // A simulated process has one thread: two seeds side by side may have different faults.
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants a fault in whatever runs on this thread, or takes it out.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    pub(crate) fn is_planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub(crate) use planted::is_planted;
#[cfg(feature = "mutants")]
pub use planted::plant;

/// Whether a fault is planted: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is_planted(_: Mutant) -> bool {
    false
}
