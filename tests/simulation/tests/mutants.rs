//! That the simulation can fail: faults are planted in the gateway one at a time, and some seed must notice
//! each, by the invariant that it breaks. `cargo test -p simulation --release --features mutants`.
#![cfg(feature = "mutants")]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use gateway::mutant::{Mutant, plant};
use simulation::{SECONDS, simulate};

/// Seeds that are tried before a fault counts as unnoticed.
const SEEDS_MAX: u64 = 60;

/// Runs seeds with the fault planted until one is violated, and asks by which invariants.
fn is_caught(mutant: Mutant, by: &[&str]) {
    plant(Some(mutant));
    let caught = (1..=SEEDS_MAX).map(|seed| simulate(seed, SECONDS, false)).find(|outcome| {
        let named = |violation: &String| by.iter().any(|by| violation.starts_with(&format!("({by}")));
        outcome.violations.iter().any(named)
    });
    plant(None);
    let caught =
        caught.unwrap_or_else(|| panic!("{mutant:?} was not noticed by {by:?} in {SEEDS_MAX} seeds"));
    println!("{mutant:?}: seed {}: {}", caught.seed, caught.violations[0]);
    // Without the fault the same seed is clean: it is the fault that is noticed.
    assert_eq!(simulate(caught.seed, SECONDS, false).violations, Vec::<String>::new());
}

#[test]
fn skipping_the_sync_is_caught() {
    is_caught(Mutant::SkipSync, &["1", "4", "2"]);
}

#[test]
fn acknowledging_before_the_commit_is_caught() {
    is_caught(Mutant::AcknowledgeBeforeCommit, &["1", "2", "4"]);
}

#[test]
fn keeping_what_was_not_written_is_caught() {
    is_caught(Mutant::KeepWhatWasNotWritten, &["1", "2", "4", "7", "the journal"]);
}

#[test]
fn skipping_the_duplicate_check_is_caught() {
    is_caught(Mutant::SkipDuplicateCheck, &["2", "the journal"]);
}

#[test]
fn signing_before_contact_is_caught() {
    is_caught(Mutant::SignBeforeContact, &["1", "2", "4", "7"]);
}

#[test]
fn cosigning_without_the_root_check_is_caught() {
    is_caught(Mutant::CosignWithoutRootCheck, &["4", "8"]);
}

#[test]
fn accepting_a_stale_checkpoint_is_caught() {
    is_caught(Mutant::AcceptStaleCheckpoint, &["8", "4"]);
}

#[test]
fn ignoring_a_revocation_is_caught() {
    is_caught(Mutant::IgnoreRevocation, &["5"]);
}

#[test]
fn letting_the_receiving_place_decide_is_caught() {
    is_caught(Mutant::LetReceivingPlaceDecide, &["6"]);
}

#[test]
fn ignoring_the_end_of_an_agreement_is_caught() {
    is_caught(Mutant::IgnoreEndOfAgreement, &["6"]);
}

#[test]
fn forgetting_a_consumers_cursor_is_caught() {
    is_caught(Mutant::ForgetCursor, &["2"]);
}

#[test]
fn forgetting_a_staged_draft_is_caught() {
    is_caught(Mutant::ForgetStagedDraft, &["0", "1", "2"]);
}

#[test]
fn forgetting_a_receipt_is_caught() {
    is_caught(Mutant::ForgetReceipt, &["7"]);
}

#[test]
fn refusing_silently_is_caught() {
    is_caught(Mutant::RefuseSilently, &["7"]);
}

#[test]
fn a_replay_that_differs_from_the_live_commit_is_caught() {
    is_caught(Mutant::ReplayWithoutReceipts, &["the journal", "7"]);
}

#[test]
fn an_entry_that_names_a_file_before_it_is_synced_is_caught() {
    is_caught(Mutant::SkipBlobSync, &["1", "7"]);
}
