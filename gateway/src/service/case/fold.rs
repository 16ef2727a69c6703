//! Two authors, no common clock, one order. A fact comes after everything that its author had seen;
//! among facts that did not know of each other the competent place's go first, because it owns the
//! decisions. Both nodes therefore fold the same set of facts to the same case.
//!
//! The order is also what makes verdicts agree. A fact of the competent place is judged against the
//! competent place's earlier facts and what it had seen, on both nodes the same set, and exactly the
//! facts that stand before it in the order. A fact of the receiving place is judged against
//! everything the judge holds; when that judge is the competent place, it is again what stands before.
//!
//! `facts` holds permitted facts only. One that the other node refused is taken out as soon as its
//! `refusal` entry is folded; a node therefore sends the refusal of an entry before anything else
//! whose `seen` covers that entry.

use super::event::CaseFact;
use super::{Case, CaseState};
use crate::id::NodeId;
use crate::limits::CASE_FACTS_MAX;
use crate::refusal::{Refusal, RefusalCode};
use std::cmp::Ordering;

/// Folds facts, in any order and total: a fact that does not fit is kept in the timeline with its
/// note and has no effect.
pub fn fold(receiving: NodeId, competent: NodeId, facts: &[CaseFact]) -> Case {
    let mut case = Case::unopened(receiving, competent);
    for fact in ordered(receiving, competent, facts.iter()) {
        case.take(fact);
    }
    case
}

/// The case that a candidate is judged against: for the competent place, what it knew; for the
/// receiving place, everything.
pub fn before(receiving: NodeId, competent: NodeId, facts: &[CaseFact], candidate: &CaseFact) -> Case {
    let mut case = Case::unopened(receiving, competent);
    for fact in ordered(receiving, competent, visible(receiving, competent, facts, candidate)) {
        case.take(fact);
    }
    case
}

/// Whether a candidate is allowed.
///
/// # Errors
/// A `case.*` code; see [`Case::admits`]. `case.too_many_facts` when the case is full.
pub fn judge(
    receiving: NodeId,
    competent: NodeId,
    facts: &[CaseFact],
    candidate: &CaseFact,
) -> Result<CaseState, Refusal> {
    let next = before(receiving, competent, facts, candidate).admits(candidate.author, &candidate.event)?;
    let crossing = visible(receiving, competent, facts, candidate).filter(|fact| !fact.local).count();
    if crossing >= CASE_FACTS_MAX {
        return Err(Refusal::new(RefusalCode::CaseTooManyFacts, format!("facts={crossing}")));
    }
    Ok(next)
}

/// The facts that a candidate is judged against.
fn visible<'a>(
    receiving: NodeId,
    competent: NodeId,
    facts: &'a [CaseFact],
    candidate: &'a CaseFact,
) -> impl Iterator<Item = &'a CaseFact> {
    let by_competent = candidate.author == competent && competent != receiving;
    facts.iter().filter(move |fact| {
        !by_competent || fact.author == competent || (!fact.local && fact.position < candidate.seen)
    })
}

/// Merges the two authors' sequences into the one order. Facts of strangers come last.
fn ordered<'a>(
    receiving: NodeId,
    competent: NodeId,
    facts: impl Iterator<Item = &'a CaseFact>,
) -> Vec<&'a CaseFact> {
    let (mut ours, mut theirs, mut strangers) = (Vec::new(), Vec::new(), Vec::new());
    for fact in facts {
        if fact.author == competent {
            ours.push(fact);
        } else if fact.author == receiving {
            theirs.push(fact);
        } else {
            strangers.push(fact);
        }
    }
    for sequence in [&mut ours, &mut theirs, &mut strangers] {
        sequence.sort_by(|one, other| in_sequence(one, other));
        sequence.dedup_by_key(|fact| (fact.author, fact.local, fact.position, fact.message_id));
    }

    let mut order = Vec::with_capacity(ours.len() + theirs.len() + strangers.len());
    let (mut competents, mut receivings) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let receiving_first = match (competents.peek(), receivings.peek()) {
            (_, None) => false,
            (None, Some(_)) => true,
            // two facts that each claim to have seen the other lie; the competent place goes first
            (Some(of_competent), Some(of_receiving)) => {
                of_receiving.local || (saw(of_competent, of_receiving) && !saw(of_receiving, of_competent))
            }
        };
        match if receiving_first { receivings.next() } else { competents.next() } {
            Some(fact) => order.push(fact),
            None => break,
        }
    }
    order.append(&mut strangers);
    order
}

/// Whether the author of `later` had folded `earlier`, a fact of the other author.
fn saw(later: &CaseFact, earlier: &CaseFact) -> bool {
    !earlier.local && earlier.position < later.seen
}

/// One author's order: local facts first, then by place. The rest only makes it total.
fn in_sequence(one: &CaseFact, other: &CaseFact) -> Ordering {
    let place = |fact: &CaseFact| (!fact.local, if fact.local { Default::default() } else { fact.position });
    place(one).cmp(&place(other)).then(one.created.cmp(&other.created)).then_with(|| one.cmp(other))
}
