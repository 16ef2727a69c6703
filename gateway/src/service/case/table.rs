//! The one table of a case: which act leads from which state to which, under which condition, and with
//! which code it is refused. `fold`, `judge`, the exhaustive test, the documentation page and
//! `tongban case table` all read it; whose act it is comes from the table of kinds (`id::Kind::owner`).
//!
//! Rows are added; a row that partners judge by is never given another meaning.

use super::super::agreement::Mode;
use super::event::Act;
use super::state::CaseState::{self, *};
use crate::id::Kind;
use crate::refusal::RefusalCode::{self, *};

/// Where an act leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To this state.
    State(CaseState),
    /// Nowhere: it adds something without a change of state.
    Same,
    /// Back to the state in which the case was suspended.
    Back,
}

/// An act, the states it is allowed in, and where it leads.
#[derive(Debug)]
pub struct Row {
    /// The act.
    pub act: Act,
    /// In which states.
    pub from: &'static [CaseState],
    /// Where it leads.
    pub to: To,
    /// In which modes; a case that says none has all but 多地联办.
    pub modes: &'static [Mode],
    /// What else must hold, in Chinese; empty: nothing.
    pub condition_zh: &'static str,
    /// The same in English.
    pub condition_en: &'static str,
    /// Codes with which it is refused when that does not hold, beside `case.wrong_role`, `case.unknown`
    /// and `case.wrong_state`.
    pub codes: &'static [RefusalCode],
}

/// Every mode.
const ANY: &[Mode] = Mode::ALL;
/// Where there is a window.
const AT_A_WINDOW: &[Mode] = &[Mode::ReceivedElsewhere, Mode::Joint];
/// 多地联办.
const JOINT: &[Mode] = &[Mode::Joint];

/// States in which nothing has been decided, so that the applicant may still withdraw.
const UNDECIDED: &[CaseState] =
    &[Forwarded, SignedFor, SupplementRequested, Accepted, UnderReview, SpecialProcedure];

/// States in which the case is over for the applicant, who may rate it.
const RATEABLE: &[CaseState] =
    &[Returned, Rejected, SupplementLapsed, Denied, Delivered, Withdrawn, Closed, Transferred];

/// States in which somebody still has to act and both places know of the case.
const RUNNING: &[CaseState] = &[
    Forwarded,
    SignedFor,
    SupplementRequested,
    SupplementLapsed,
    Accepted,
    Rejected,
    UnderReview,
    SpecialProcedure,
    Granted,
    Denied,
    LicenceIssued,
    InDelivery,
    Delivered,
    Withdrawn,
    Transferred,
];

/// States in which 监察预警 and 督办 make sense: the same, and while it is suspended.
const SUPERVISED: &[CaseState] = &[
    Forwarded,
    SignedFor,
    SupplementRequested,
    SupplementLapsed,
    Accepted,
    Rejected,
    UnderReview,
    SpecialProcedure,
    Granted,
    Denied,
    LicenceIssued,
    InDelivery,
    Delivered,
    Withdrawn,
    Transferred,
    Suspended,
];

/// States of which a data error can be found: all that both places know.
const VOIDABLE: &[CaseState] = &[
    Forwarded,
    SignedFor,
    Returned,
    Accepted,
    Rejected,
    SupplementRequested,
    SupplementLapsed,
    UnderReview,
    Granted,
    Denied,
    LicenceIssued,
    InDelivery,
    Delivered,
    Withdrawn,
    Closed,
    SpecialProcedure,
    Transferred,
    Suspended,
];

const fn row(act: Act, from: &'static [CaseState], to: To) -> Row {
    Row { act, from, to, modes: ANY, condition_zh: "", condition_en: "", codes: &[] }
}

const fn kind(kind: Kind, from: &'static [CaseState], to: To) -> Row {
    row(Act::Kind(kind), from, to)
}

impl Row {
    const fn modes(self, modes: &'static [Mode]) -> Self {
        Self { modes, ..self }
    }

    const fn when(
        self,
        condition_zh: &'static str,
        condition_en: &'static str,
        codes: &'static [RefusalCode],
    ) -> Self {
        Self { condition_zh, condition_en, codes, ..self }
    }
}

const TABLE: &[Row] = &[
    row(Act::Receive, &[Unopened], To::State(Received)).when(
        "协议生效且列有此事项；身份核验通过；不跨网关",
        "the agreement is in force and lists the item; identities hold; it does not cross",
        &[CaseExists],
    ),
    kind(Kind::CaseForward, &[Unopened, Received], To::State(Forwarded)).when(
        "协议生效且列有此事项与方式；标准为所定版本；必要材料齐全；全程网办不得有纸质材料",
        "the agreement lists item and mode; the standard is the one pinned; required materials are there; nothing on paper when all is online",
        &[CaseExists, CaseMaterialMissing, CaseModeMismatch],
    ),
    kind(Kind::CaseSignFor, &[Forwarded], To::State(SignedFor)),
    kind(Kind::CaseReturn, &[Forwarded], To::State(Returned)).when(
        "写明代码与理由",
        "code and reason",
        &[CaseReasonMissing],
    ),
    kind(Kind::CaseAccept, &[SignedFor], To::State(Accepted)),
    kind(Kind::CaseReject, &[SignedFor], To::State(Rejected)).when(
        "写明理由",
        "reason in writing",
        &[CaseReasonMissing],
    ),
    kind(Kind::CaseSupplementRequest, &[SignedFor], To::State(SupplementRequested)).when(
        "一次、一并告知，逐项写明",
        "once, completely, each item said",
        &[CaseSupplementTwice, CaseReasonMissing],
    ),
    kind(Kind::CaseSupplementSubmit, &[SupplementRequested], To::State(SignedFor)),
    kind(Kind::CaseSupplementLapse, &[SupplementRequested], To::State(SupplementLapsed)).when(
        "补正期限已过",
        "the time for the supplement is over",
        &[CaseNotYetDue],
    ),
    kind(Kind::CaseReview, &[Accepted], To::State(UnderReview)),
    kind(Kind::CaseGrant, &[UnderReview], To::State(Granted)).when(
        "多地联办：各子件均已办结，且符合任一子件不予时的约定",
        "多地联办: every sub-task has ended, as the policy wants",
        &[CaseJointUnfinished],
    ),
    kind(Kind::CaseDeny, &[UnderReview], To::State(Denied)).when("写明理由", "reason", &[CaseReasonMissing]),
    kind(Kind::CaseLicence, &[Granted], To::State(LicenceIssued)).when(
        "证照类型为标准所定",
        "the type is the standard's",
        &[StandardMismatch, LicenceIdInvalid],
    ),
    // in delivery already: what was lost in the post is sent again (补寄)
    kind(Kind::CaseDispatch, &[LicenceIssued, InDelivery], To::State(InDelivery)),
    kind(Kind::CaseDeliver, &[LicenceIssued, InDelivery], To::State(Delivered)).modes(AT_A_WINDOW),
    kind(Kind::CaseWithdrawAsk, UNDECIDED, To::Same).when("未申请过", "not asked before", &[]),
    kind(Kind::CaseWithdrawConfirm, UNDECIDED, To::State(Withdrawn)).when(
        "申请人已申请撤回",
        "a withdrawal was asked for",
        &[],
    ),
    // granted: an item whose standard names no result licence (即办件); `authorize` looks at the standard
    kind(
        Kind::CaseClose,
        &[Rejected, SupplementLapsed, Granted, Denied, Delivered, Withdrawn, Transferred],
        To::State(Closed),
    )
    .when(
        "由准予直接办结：标准不发证照",
        "straight from granted: the standard names no licence",
        &[],
    ),
    kind(Kind::CaseRate, RATEABLE, To::Same).when("每一环节一次", "once a stage", &[]),
    kind(Kind::CaseAcceptDeemed, &[Forwarded, SignedFor], To::State(Accepted)).when(
        "自起算日起五个工作日内未受理、未告知补正",
        "no answer within five working days of the clock's start",
        &[CaseNotYetDue],
    ),
    kind(Kind::CaseSpecialBegin, &[UnderReview], To::State(SpecialProcedure)).when(
        "写明理由与批准人；延长审批限一次，十个工作日以内（多地联办十五个）",
        "reason and approver; a longer term once, by ten working days at most (多地联办: fifteen)",
        &[CaseReasonMissing, CaseApproverMissing, CaseExtensionLimit],
    ),
    kind(Kind::CaseSpecialEnd, &[SpecialProcedure], To::State(UnderReview)),
    kind(Kind::CaseTransfer, &[UnderReview], To::State(Transferred)).when(
        "写明上级机关与理由",
        "which authority, and why",
        &[CaseReasonMissing],
    ),
    kind(Kind::CaseDeliverDirect, &[LicenceIssued, InDelivery], To::State(Delivered)),
    kind(Kind::CaseSuspend, RUNNING, To::State(Suspended)).when("写明理由", "reason", &[CaseReasonMissing]),
    kind(Kind::CaseResume, &[Suspended], To::Back),
    kind(Kind::CaseVoid, VOIDABLE, To::State(Voided)).when(
        "写明理由与批准人；经过留存",
        "reason and approver; the timeline stays",
        &[CaseReasonMissing, CaseApproverMissing],
    ),
    kind(Kind::CaseJointPlan, &[Accepted, UnderReview], To::Same).modes(JOINT).when(
        "一次；各子件编号不重",
        "once; sub-tasks are distinct",
        &[CaseJointTask],
    ),
    kind(Kind::CaseJointReport, &[Accepted, UnderReview, SpecialProcedure], To::Same).modes(JOINT).when(
        "子件在分派之列，未报过结果",
        "the sub-task was handed out, and not reported before",
        &[CaseJointTask],
    ),
    kind(Kind::CaseAlert, SUPERVISED, To::Same),
    kind(Kind::CaseSupervise, SUPERVISED, To::Same).when("写明事由", "reason", &[CaseReasonMissing]),
    kind(Kind::CaseSuperviseReply, SUPERVISED, To::Same).when(
        "有对方督办未复",
        "the other place's 督办 waits for an answer",
        &[CaseReasonMissing],
    ),
];

/// The table, in its order.
pub fn rows() -> &'static [Row] {
    TABLE
}

/// The row of an act.
pub fn row_of(act: Act) -> &'static Row {
    TABLE.iter().find(|row| row.act == act).expect("every act stands in the table: a test below")
}

/// Where `act` leads from `state`; `None`: it is not allowed there.
pub fn next(state: CaseState, act: Act) -> Option<To> {
    let row = row_of(act);
    row.from.contains(&state).then_some(row.to)
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
            assert_eq!(TABLE.iter().filter(|row| row.act == act).count(), 1, "{act}");
        }
        assert_eq!(TABLE.len(), Act::all().count());
    }

    #[test]
    fn every_state_is_reached_and_only_final_ones_are_not_left() {
        let mut reached = vec![Unopened];
        let leads = |state: CaseState, act| match next(state, act)? {
            To::State(next) => Some(next),
            To::Same | To::Back => None,
        };
        while let Some(more) = reached
            .iter()
            .flat_map(|state| Act::all().filter_map(|act| leads(*state, act)))
            .find(|state| !reached.contains(state))
        {
            reached.push(more);
        }
        for state in CaseState::ALL {
            assert!(reached.contains(state), "{state} is reached");
            let mut leaves = TABLE.iter().filter(|row| row.from.contains(state) && row.to != To::Same);
            // a data error may be found in what has ended
            assert_eq!(leaves.all(|row| row.to == To::State(Voided)), state.is_final(), "{state}");
        }
    }

    #[test]
    fn a_suspended_case_goes_back_and_nothing_else_happens_to_it() {
        let movers: Vec<_> = TABLE
            .iter()
            .filter(|row| row.from.contains(&Suspended) && row.to != To::Same)
            .map(|row| row.act.name())
            .collect();
        assert_eq!(movers, ["case.resume", "case.void"]);
        assert!(RUNNING.iter().all(|state| !state.is_final() && SUPERVISED.contains(state)));
        assert_eq!(SUPERVISED.len(), RUNNING.len() + 1);
    }
}
