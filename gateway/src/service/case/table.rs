//! The one table of a case: which act leads from which state to which. `fold`, `judge` and the
//! exhaustive test all read it; whose act it is comes from the table of kinds (`id::Kind::owner`).

use super::event::Act;
use super::state::CaseState::{self, *};
use crate::id::Kind;

/// Where an act leads.
#[derive(Debug, Clone, Copy)]
enum To {
    /// To this state.
    State(CaseState),
    /// Nowhere: it adds something without a change of state.
    Same,
}

/// An act, the states it is allowed in, and where it leads.
struct Row(Act, &'static [CaseState], To);

/// States in which nothing has been decided, so that the applicant may still withdraw.
const UNDECIDED: &[CaseState] = &[Forwarded, SignedFor, SupplementRequested, Accepted, UnderReview];

/// States in which the case is over for the applicant, who may rate it.
const RATEABLE: &[CaseState] = &[Returned, Rejected, SupplementLapsed, Denied, Delivered, Withdrawn, Closed];

const TABLE: &[Row] = &[
    Row(Act::Receive, &[Unopened], To::State(Received)),
    Row(Act::Kind(Kind::CaseForward), &[Unopened, Received], To::State(Forwarded)),
    Row(Act::Kind(Kind::CaseSignFor), &[Forwarded], To::State(SignedFor)),
    Row(Act::Kind(Kind::CaseReturn), &[Forwarded], To::State(Returned)),
    Row(Act::Kind(Kind::CaseAccept), &[SignedFor], To::State(Accepted)),
    Row(Act::Kind(Kind::CaseReject), &[SignedFor], To::State(Rejected)),
    Row(Act::Kind(Kind::CaseSupplementRequest), &[SignedFor], To::State(SupplementRequested)),
    Row(Act::Kind(Kind::CaseSupplementSubmit), &[SupplementRequested], To::State(SignedFor)),
    Row(Act::Kind(Kind::CaseSupplementLapse), &[SupplementRequested], To::State(SupplementLapsed)),
    Row(Act::Kind(Kind::CaseReview), &[Accepted], To::State(UnderReview)),
    Row(Act::Kind(Kind::CaseGrant), &[UnderReview], To::State(Granted)),
    Row(Act::Kind(Kind::CaseDeny), &[UnderReview], To::State(Denied)),
    Row(Act::Kind(Kind::CaseLicence), &[Granted], To::State(LicenceIssued)),
    // in delivery already: what was lost in the post is sent again (补寄)
    Row(Act::Kind(Kind::CaseDispatch), &[LicenceIssued, InDelivery], To::State(InDelivery)),
    Row(Act::Kind(Kind::CaseDeliver), &[LicenceIssued, InDelivery], To::State(Delivered)),
    Row(Act::Kind(Kind::CaseWithdrawAsk), UNDECIDED, To::Same),
    Row(Act::Kind(Kind::CaseWithdrawConfirm), UNDECIDED, To::State(Withdrawn)),
    Row(
        // granted: an item whose standard names no result licence (即办件); `authorize` looks at the standard
        Act::Kind(Kind::CaseClose),
        &[Rejected, SupplementLapsed, Granted, Denied, Delivered, Withdrawn],
        To::State(Closed),
    ),
    Row(Act::Kind(Kind::CaseRate), RATEABLE, To::Same),
];

/// The state after `act` in `state`; `None`: the act is not allowed there.
pub fn next(state: CaseState, act: Act) -> Option<CaseState> {
    TABLE.iter().find(|row| row.0 == act && row.1.contains(&state)).map(|row| match row.2 {
        To::State(next) => next,
        To::Same => state,
    })
}

/// Whether the applicant may still withdraw.
pub fn is_undecided(state: CaseState) -> bool {
    UNDECIDED.contains(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_stands_in_the_table_once() {
        for act in Act::all() {
            assert_eq!(TABLE.iter().filter(|row| row.0 == act).count(), 1, "{act}");
        }
        assert_eq!(TABLE.len(), Act::all().count());
    }

    #[test]
    fn every_state_is_reached_and_only_two_are_final() {
        let mut reached = vec![Unopened];
        while let Some(more) = reached
            .iter()
            .flat_map(|state| Act::all().filter_map(|act| next(*state, act)))
            .find(|state| !reached.contains(state))
        {
            reached.push(more);
        }
        for state in CaseState::ALL {
            assert!(reached.contains(state), "{state} is reached");
            let leaves = Act::all().any(|act| next(*state, act).is_some_and(|next| next != *state));
            assert_eq!(leaves, !state.is_final(), "{state}");
        }
    }
}
