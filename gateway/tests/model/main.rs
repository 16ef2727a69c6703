//! The channel machines under every order of everything that can happen to two nodes.
//!
//! `cargo test -p gateway --test model -- --nocapture` prints what was visited, in two minutes. What is covered,
//! and what it found, is told in `gateway::manual::proofs`.
#![expect(unreachable_pub, reason = "the modules are this test's alone")]

mod book;
mod explore;
mod laws;
mod step;
mod world;

use explore::{Counterexample, explore};
use step::{Bound, Model, Mutant};
use world::Budget;

/// States of one bound, at most: beyond it the bound has grown by mistake.
const STATES_MAX: usize = 40_000_000;

/// Nothing happens but what should.
const NO_HARM: Budget = Budget { breaks: 0, crashes: 0, restores: 0, lies: 0, clocks_back: 0, old_names: 0 };

/// One link at a time, and clocks that stand.
const fn bound(messages: [u8; 2], budget: Budget) -> Bound {
    Bound { messages, budget, overlap: false, clocks: false }
}

/// A link may come while another stands.
const fn overlapping(bound: Bound) -> Bound {
    Bound { overlap: true, ..bound }
}

const CRASHES: Bound = bound([2, 1], Budget { breaks: 1, crashes: 1, ..NO_HARM });
const CRASH: Bound = bound([2, 1], Budget { crashes: 1, ..NO_HARM });
const RESTORED_SPEAKER: Bound = bound([1, 2], Budget { restores: 1, ..NO_HARM });
const RESTORED: Bound = bound([1, 1], Budget { breaks: 1, restores: 1, ..NO_HARM });
const RESTORED_OVERLAPPING: Bound = overlapping(bound([2, 0], Budget { restores: 1, ..NO_HARM }));
const OLD_NAMES: Bound =
    overlapping(bound([1, 0], Budget { breaks: 1, restores: 1, old_names: 1, ..NO_HARM }));
const OVERLAPPING: Bound = overlapping(bound([1, 1], Budget { crashes: 1, ..NO_HARM }));
const LIES: Bound = bound([2, 1], Budget { lies: 1, ..NO_HARM });
const LIES_ONE_WAY: Bound = bound([2, 0], Budget { lies: 1, ..NO_HARM });
const CLOCKS: Bound = Bound { clocks: true, ..bound([2, 0], Budget { clocks_back: 1, ..NO_HARM }) };

/// Explores a bound and prints its size.
fn run(name: &str, bound: Bound, mutant: Option<Mutant>) -> Option<Counterexample> {
    let outcome = explore(&mut Model::new(bound, mutant), STATES_MAX);
    println!(
        "{name}: {} states, {} transitions, {} with everything delivered, {} steps deep",
        outcome.states, outcome.transitions, outcome.goals, outcome.depth
    );
    outcome.counterexample
}

fn holds(name: &str, bound: Bound) {
    if let Some(counterexample) = run(name, bound, None) {
        panic!("{name}: {counterexample}");
    }
}

#[test]
fn two_messages_and_an_answer_survive_a_crash_and_a_broken_link() {
    holds("crash and break", CRASHES);
}

#[test]
fn a_restored_backup_never_forks_and_everything_comes_back() {
    holds("restored backup and break", RESTORED);
}

#[test]
fn a_restored_backup_never_forks_while_an_old_link_still_brings_what_was_sent_before() {
    holds("restored backup, two links", RESTORED_OVERLAPPING);
}

#[test]
fn links_whose_names_are_older_than_they_do_no_harm() {
    holds("restored backup, two links, old names, break", OLD_NAMES);
}

#[test]
fn what_keeps_a_copy_is_to_whom_it_was_stated_and_not_which_link_is_fenced() {
    let without = run("no fencing", RESTORED_OVERLAPPING, Some(Mutant::ForgetFencing));
    assert!(without.is_none(), "{}", without.map(|it| it.to_string()).unwrap_or_default());
}

#[test]
fn a_restored_node_says_nothing_before_both_logs_are_as_long_as_they_were() {
    holds("restored backup, an answer before and after", RESTORED_SPEAKER);
}

#[test]
fn two_links_at_once_deliver_once_and_in_order_through_a_crash() {
    holds("two links and a crash", OVERLAPPING);
}

#[test]
fn a_lie_stops_its_channel_and_is_never_healed() {
    holds("a lying sender", LIES);
}

#[test]
fn clocks_that_are_apart_or_go_back_hold_nothing_up_for_ever() {
    holds("clocks", CLOCKS);
}

const fn more(bound: Bound, budget: Budget) -> Bound {
    Bound { budget, ..bound }
}

#[test]
fn the_larger_bounds_of_restored_backups_and_two_links_hold() {
    holds(
        "restored backup, crash and break, 1 + 1",
        more(RESTORED, Budget { crashes: 1, ..RESTORED.budget }),
    );
    holds("restored backup, two links, 1 + 1", Bound { messages: [1, 1], ..RESTORED_OVERLAPPING });
    holds("restored backup, two links, break, 2 + 0", more(RESTORED_OVERLAPPING, RESTORED.budget));
    holds("two links, break, 2 + 1", overlapping(bound([2, 1], Budget { breaks: 1, ..NO_HARM })));
}

#[test]
fn the_larger_bounds_of_lies_and_clocks_hold() {
    holds("clocks and a crash, 2 + 0", more(CLOCKS, Budget { crashes: 1, ..CLOCKS.budget }));
    holds("a lying sender and a break, 2 + 0", more(LIES_ONE_WAY, Budget { breaks: 1, ..LIES.budget }));
}

/// A fault is caught, by that law, and its script can be read.
fn caught(mutant: Mutant, bound: Bound, law: &str) {
    let counterexample = run(&format!("{mutant:?}"), bound, Some(mutant));
    let counterexample = counterexample.unwrap_or_else(|| panic!("{mutant:?} was not caught"));
    println!("{counterexample}");
    assert!(counterexample.law.contains(law), "{mutant:?} was caught by another law: {counterexample}");
    assert!(counterexample.script.len() >= 2, "a script tells how");
}

/// Every way in which no goal is reached any more.
const STRANDED: &str = "no way leads from here";

macro_rules! caught {
    ($($name:ident: $mutant:ident, $bound:expr, $law:expr;)*) => {
        $(#[test]
        fn $name() {
            caught(Mutant::$mutant, $bound, $law);
        })*
    };
}

caught! {
    acknowledging_before_the_sync_is_caught:
        AcknowledgeBeforeSync, CRASH, "acknowledged means durable";
    cosigning_before_the_sync_is_caught:
        CosignBeforeSync, CRASH, "durable";
    skipping_the_duplicate_check_is_caught:
        SkipDuplicateCheck, LIES, "each message once";
    taking_a_batch_behind_a_gap_is_caught:
        TakeAnyIndex, LIES, "";
    cosigning_without_the_root_check_is_caught:
        CosignWithoutRootCheck, LIES, "";
    signing_before_contact_is_caught:
        SignBeforeContact, RESTORED, "histor";
    reusing_an_index_after_a_restore_is_caught:
        ReuseIndexAfterRestore, RESTORED, "histor";
    taking_what_an_older_life_sent_is_caught:
        TakeFromFencedLinks, RESTORED_OVERLAPPING, "two histories";
    healing_a_fork_silently_is_caught:
        HealForksSilently, LIES_ONE_WAY, STRANDED;
    forgetting_the_receipt_at_contact_is_caught:
        ForgetReceiptAtContact, CRASH, STRANDED;
    speaking_before_the_copy_is_back_is_caught:
        SpeakBeforeCopyIsBack, RESTORED_SPEAKER, "`seen` never goes back";
    a_checkpoint_older_than_the_last_is_caught:
        TimeMayGoBack, CLOCKS, "times of checkpoints never decrease";
    forgetting_drafts_is_caught:
        ForgetDrafts, CRASH, STRANDED;
    forgetting_idempotency_is_caught:
        ForgetIdempotency, CRASH, "each message once";
}
