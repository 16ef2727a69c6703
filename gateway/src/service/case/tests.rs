//! The table walked through completely, every path of a case, and both nodes' folds compared.

use super::super::agreement::tests::{digest, node};
use super::super::licence::tests::business_licence;
use super::*;
use crate::id::Kind;
use crate::limits::CASE_FACTS_MAX;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

fn receiving() -> NodeId {
    node("421200")
}

fn competent() -> NodeId {
    node("430600")
}

fn written(reason: &str) -> Written {
    Written { document_number: "受-1".into(), reason: reason.into(), operator: "W1".into() }
}

pub(crate) fn application() -> Application {
    Application {
        item: "KST071".into(),
        project_number: "P-1".into(),
        materials: Vec::new(),
        received: UnixMillis(1_000),
        window: "A01".into(),
        operator: "W1".into(),
        applicant_kind: "2".into(),
        walkthrough: false,
        mode: None,
        parent: None,
    }
}

/// A well-formed event of an act.
pub(crate) fn event(act: Act) -> CaseEvent {
    let operator = || "W1".to_owned();
    let Act::Kind(kind) = act else { return CaseEvent::Received(application()) };
    match kind {
        Kind::CaseForward => CaseEvent::Forwarded(application()),
        Kind::CaseSignFor => CaseEvent::SignedFor { operator: operator() },
        Kind::CaseReturn => {
            CaseEvent::Returned { code: "J1".into(), reason: "管辖不符".into(), operator: operator() }
        }
        Kind::CaseAccept => CaseEvent::Accepted {
            document_number: "受-1".into(),
            promised_working_days: 10,
            operator: operator(),
        },
        Kind::CaseReject => CaseEvent::Rejected(written("不属于本机关职权")),
        Kind::CaseSupplementRequest => CaseEvent::SupplementRequested {
            items: vec![SupplementItem { material: "M01".into(), what: "模糊".into() }],
            deadline_working_days: 5,
            operator: operator(),
        },
        Kind::CaseSupplementSubmit => {
            CaseEvent::SupplementSubmitted { materials: Vec::new(), operator: operator() }
        }
        Kind::CaseSupplementLapse => CaseEvent::SupplementLapsed { operator: operator() },
        Kind::CaseReview => CaseEvent::Reviewed { operator: operator() },
        Kind::CaseGrant => CaseEvent::Granted(written("")),
        Kind::CaseDeny => CaseEvent::Denied(written("不符合条件")),
        Kind::CaseLicence => {
            CaseEvent::LicenceIssued { licence: (&business_licence()).into(), operator: operator() }
        }
        Kind::CaseDispatch => CaseEvent::Dispatched {
            method: "邮寄".into(),
            tracking_number: "EMS1".into(),
            operator: operator(),
        },
        Kind::CaseDeliver => {
            CaseEvent::Delivered {
                method: "窗口".into(), delivered: UnixMillis(9_000), operator: operator()
            }
        }
        Kind::CaseWithdrawAsk => CaseEvent::WithdrawalAsked { reason: String::new(), operator: operator() },
        Kind::CaseWithdrawConfirm => {
            CaseEvent::WithdrawalConfirmed { reason: String::new(), operator: operator() }
        }
        Kind::CaseClose => CaseEvent::Closed { result: "0".into(), operator: operator() },
        Kind::CaseRate => CaseEvent::Rated {
            level: Level::new(1).unwrap(),
            stage: Stage::Receiving,
            channel: "二维码".into(),
        },
        Kind::CaseAcceptDeemed => CaseEvent::DeemedAccepted { operator: operator() },
        Kind::CaseSpecialBegin => CaseEvent::SpecialBegun {
            special: SpecialKind::Pause,
            procedure: "听证".into(),
            reason: "利害关系人申请听证".into(),
            approver: "L9".into(),
            working_days: 15,
            operator: operator(),
        },
        Kind::CaseSpecialEnd => {
            CaseEvent::SpecialEnded { outcome: "听证已举行".into(), operator: operator() }
        }
        Kind::CaseTransfer => CaseEvent::Transferred {
            authority: "省级主管部门".into(),
            reason: "权限在上级".into(),
            operator: operator(),
        },
        Kind::CaseDeliverDirect => CaseEvent::DeliveredDirectly {
            method: "电子".into(),
            delivered: UnixMillis(9_000),
            operator: operator(),
        },
        Kind::CaseSuspend => CaseEvent::Suspended { reason: "系统割接".into(), operator: operator() },
        Kind::CaseResume => CaseEvent::Resumed { operator: operator() },
        Kind::CaseVoid => {
            CaseEvent::Voided {
                reason: "申请人录入错误".into(), approver: "L9".into(), operator: operator()
            }
        }
        Kind::CaseJointPlan => CaseEvent::JointPlanned {
            tasks: vec![task("sub-1"), task("sub-2")],
            policy: JointPolicy::All,
            operator: operator(),
        },
        Kind::CaseJointReport => CaseEvent::JointReported {
            task: "sub-1".parse().unwrap(),
            outcome: TaskOutcome::Granted,
            operator: operator(),
        },
        Kind::CaseAlert => CaseEvent::Alerted {
            clock: ClockName::Decide,
            level: AlertLevel::Yellow,
            due: "2026-11-30".parse().unwrap(),
        },
        Kind::CaseSupervise => CaseEvent::Supervised {
            reason: "逾期未决定".into(),
            reply_within_working_days: 2,
            operator: operator(),
        },
        Kind::CaseSuperviseReply => {
            CaseEvent::SuperviseReplied { reply: "已安排本周决定".into(), operator: operator() }
        }
        other => panic!("{other} is not an act of a case"),
    }
}

fn task(case: &str) -> JointTask {
    JointTask {
        case: case.parse().unwrap(),
        assisting: node("360100"),
        item: "KST028".into(),
        working_days: 5,
    }
}

fn acts() -> Vec<Act> {
    Act::all().collect()
}

/// Whose act it is; of what either place may do, the receiving place's.
fn owner_node(act: Act) -> NodeId {
    if act.owner() == Owner::Competent { competent() } else { receiving() }
}

/// Both nodes of one case. Each holds its permitted facts; entries travel when they are told to.
#[derive(Clone)]
struct Node {
    name: NodeId,
    facts: Vec<CaseFact>,
    /// The own channel: facts, and refusals of the other's positions.
    sent: Vec<Sent>,
    /// How many of the other's entries are here.
    seen: u64,
}

#[derive(Clone)]
enum Sent {
    Fact(Box<CaseFact>),
    Refusal(LogPosition),
}

impl Node {
    fn new(name: NodeId) -> Self {
        Self { name, facts: Vec::new(), sent: Vec::new(), seen: 0 }
    }

    fn case(&self) -> Case {
        fold(receiving(), competent(), &self.facts)
    }

    fn try_send(&mut self, event: CaseEvent) -> Result<(), RefusalCode> {
        let local = event.act() == Act::Receive;
        let position = LogPosition { epoch: 0, index: self.sent.len() as u64 };
        let fact = CaseFact {
            author: self.name,
            position: if local { LogPosition::default() } else { position },
            local,
            seen: LogPosition { epoch: 0, index: self.seen },
            created: UnixMillis(10_000 + position.index),
            committed: UnixMillis(20_000),
            message_id: MessageId([position.index as u8; 16]),
            agreement: Some(digest(9)),
            standard: Some(digest(1)),
            event,
        };
        judge(receiving(), competent(), &self.facts, &fact).map_err(|refusal| refusal.code)?;
        self.facts.push(fact.clone());
        if !local {
            self.sent.push(Sent::Fact(Box::new(fact)));
        }
        Ok(())
    }

    /// Takes the next entry of the other node; answers a refused one.
    fn take_from(&mut self, other: &Node) {
        let Some(entry) = other.sent.get(self.seen as usize) else { return };
        self.seen += 1;
        match entry {
            Sent::Fact(fact) => match judge(receiving(), competent(), &self.facts, fact) {
                Ok(_) => {
                    self.facts.push(CaseFact { committed: UnixMillis(30_000), ..(**fact).clone() });
                }
                Err(_) => self.sent.push(Sent::Refusal(fact.position)),
            },
            Sent::Refusal(position) => {
                let own = self.name;
                self.facts.retain(|fact| fact.local || fact.author != own || fact.position != *position);
            }
        }
    }
}

struct Pair {
    receiving: Node,
    competent: Node,
}

impl Pair {
    fn new() -> Self {
        Self { receiving: Node::new(receiving()), competent: Node::new(competent()) }
    }

    fn act(&mut self, act: Act) -> Result<(), RefusalCode> {
        self.say(event(act))
    }

    /// The owner acts; nothing travels.
    fn say(&mut self, event: CaseEvent) -> Result<(), RefusalCode> {
        let competent = event.act().owner() == Owner::Competent;
        let node = if competent { &mut self.competent } else { &mut self.receiving };
        node.try_send(event)
    }

    fn exchange(&mut self) {
        let pending = |pair: &Self| {
            pair.receiving.seen as usize != pair.competent.sent.len()
                || pair.competent.seen as usize != pair.receiving.sent.len()
        };
        while pending(self) {
            self.competent.take_from(&self.receiving);
            self.receiving.take_from(&self.competent);
        }
    }

    /// Acts of kinds, each by its owner and delivered before the next.
    fn run(&mut self, kinds: &[Kind]) -> CaseState {
        for kind in kinds {
            self.act(Act::Kind(*kind)).unwrap_or_else(|code| panic!("{kind}: {code}"));
            self.exchange();
        }
        self.agreed().state
    }

    /// The case, after checking that both nodes see the same.
    fn agreed(&self) -> Case {
        let ours = |node: &Node| {
            let mut case = node.case();
            case.steps.retain(|step| !step.local);
            case
        };
        let (one, other) = (ours(&self.receiving), ours(&self.competent));
        assert_eq!(one, other, "both nodes fold the case to the same");
        one
    }
}

fn received() -> Pair {
    let mut pair = Pair::new();
    pair.act(Act::Receive).unwrap();
    pair
}

use Kind::*;

const TO_REVIEW: &[Kind] = &[CaseForward, CaseSignFor, CaseAccept, CaseReview];
const TO_DELIVERED: &[Kind] =
    &[CaseForward, CaseSignFor, CaseAccept, CaseReview, CaseGrant, CaseLicence, CaseDispatch, CaseDeliver];

/// What the design says, written a second time: state, act, next state. Everything else is refused.
const PERMITTED: &str = "
    unopened case.receive received
    unopened case.forward forwarded
    received case.forward forwarded
    forwarded case.signfor signed_for
    forwarded case.return returned
    forwarded case.withdraw.ask forwarded
    forwarded case.withdraw.confirm withdrawn
    forwarded case.accept.deemed accepted
    signed_for case.accept accepted
    signed_for case.accept.deemed accepted
    signed_for case.reject rejected
    signed_for case.supplement.request supplement_requested
    signed_for case.withdraw.ask signed_for
    signed_for case.withdraw.confirm withdrawn
    returned case.rate returned
    accepted case.review under_review
    accepted case.joint.plan accepted
    accepted case.joint.report accepted
    accepted case.withdraw.ask accepted
    accepted case.withdraw.confirm withdrawn
    rejected case.close closed
    rejected case.rate rejected
    supplement_requested case.supplement.submit signed_for
    supplement_requested case.supplement.lapse supplement_lapsed
    supplement_requested case.withdraw.ask supplement_requested
    supplement_requested case.withdraw.confirm withdrawn
    supplement_lapsed case.close closed
    supplement_lapsed case.rate supplement_lapsed
    under_review case.grant granted
    under_review case.deny denied
    under_review case.transfer transferred
    under_review case.special.begin special_procedure
    under_review case.joint.plan under_review
    under_review case.joint.report under_review
    under_review case.withdraw.ask under_review
    under_review case.withdraw.confirm withdrawn
    special_procedure case.special.end under_review
    special_procedure case.joint.report special_procedure
    special_procedure case.withdraw.ask special_procedure
    special_procedure case.withdraw.confirm withdrawn
    transferred case.close closed
    transferred case.rate transferred
    granted case.licence licence_issued
    granted case.close closed
    denied case.close closed
    denied case.rate denied
    licence_issued case.dispatch in_delivery
    licence_issued case.deliver delivered
    licence_issued case.deliver.direct delivered
    in_delivery case.dispatch in_delivery
    in_delivery case.deliver delivered
    in_delivery case.deliver.direct delivered
    delivered case.close closed
    delivered case.rate delivered
    withdrawn case.close closed
    withdrawn case.rate withdrawn
    closed case.rate closed
    suspended case.resume under_review
";

/// What may happen in many states: the act, where it leads (`=`: nowhere), and the states in which it
/// may not.
const ALMOST_EVERYWHERE: &[(Kind, &str, &[CaseState])] = &[
    (
        CaseSuspend,
        "suspended",
        &[
            CaseState::Unopened,
            CaseState::Received,
            CaseState::Returned,
            CaseState::Closed,
            CaseState::Suspended,
            CaseState::Voided,
        ],
    ),
    (CaseVoid, "voided", &[CaseState::Unopened, CaseState::Received, CaseState::Voided]),
    (CaseAlert, "=", ENDED_OR_UNKNOWN),
    (CaseSupervise, "=", ENDED_OR_UNKNOWN),
    (CaseSuperviseReply, "=", ENDED_OR_UNKNOWN),
];

const ENDED_OR_UNKNOWN: &[CaseState] =
    &[CaseState::Unopened, CaseState::Received, CaseState::Returned, CaseState::Closed, CaseState::Voided];

/// A case in a state, of a mode, in which everything holds that acts ask for.
fn ready(state: CaseState, mode: Option<Mode>, act: Act) -> Case {
    let tasks = [(task("sub-1"), None), (task("sub-2"), Some(TaskOutcome::Granted))];
    let ended = [(task("sub-1"), Some(TaskOutcome::Granted))];
    let joint = match act {
        Act::Kind(CaseJointReport) => Some(JointPlan { policy: JointPolicy::All, tasks: tasks.to_vec() }),
        Act::Kind(CaseGrant) => Some(JointPlan { policy: JointPolicy::All, tasks: ended.to_vec() }),
        _ => None,
    };
    let supervision =
        |by| Supervision { by, asked: UnixMillis(1), reply_within_working_days: 1, replied: None };
    Case {
        state,
        mode,
        joint,
        // a withdrawal is confirmed only after it was asked for
        withdrawal_asked: act == Act::Kind(CaseWithdrawConfirm) && is_undecided(state),
        suspended_from: (state == CaseState::Suspended).then_some(CaseState::UnderReview),
        supervisions: vec![supervision(receiving()), supervision(competent())],
        ..Case::unopened(receiving(), competent())
    }
}

#[test]
fn every_state_act_role_and_mode_is_permitted_or_refused_as_the_table_says() {
    let rows: Vec<_> = PERMITTED.split_whitespace().collect();
    let mut permitted: Vec<(CaseState, Act, CaseState)> = rows
        .chunks_exact(3)
        .map(|row| {
            (
                CaseState::named(row[0]).unwrap(),
                Act::named(row[1]).unwrap(),
                CaseState::named(row[2]).unwrap(),
            )
        })
        .collect();
    for (kind, to, but) in ALMOST_EVERYWHERE {
        for state in CaseState::ALL.iter().filter(|state| !but.contains(state)) {
            permitted.push((*state, Act::Kind(*kind), CaseState::named(to).unwrap_or(*state)));
        }
    }
    let mut met = std::collections::BTreeSet::new();
    let mut judged = 0;
    let stranger = node("360100");
    let modes = [None, Some(Mode::Online), Some(Mode::ReceivedElsewhere), Some(Mode::Joint)];
    for (state, mode) in CaseState::ALL.iter().flat_map(|state| modes.map(|mode| (*state, mode))) {
        for act in acts() {
            for author in [receiving(), competent(), stranger] {
                let verdict = ready(state, mode, act).admits(author, &event(act));
                let verdict = verdict.map_err(|refusal| refusal.code);
                let row = permitted.iter().position(|row| (row.0, row.1) == (state, act));
                let owns = match act.owner() {
                    Owner::Receiving => author == receiving(),
                    Owner::Competent => author == competent(),
                    Owner::Either => author != stranger,
                    Owner::Control => false,
                };
                let joint = matches!(act, Act::Kind(CaseJointPlan | CaseJointReport));
                let at_a_window = act == Act::Kind(CaseDeliver);
                let expected = match row {
                    _ if !owns => Err(RefusalCode::CaseWrongRole),
                    Some(_) if joint && mode != Some(Mode::Joint) => Err(RefusalCode::CaseModeMismatch),
                    Some(_) if at_a_window && mode == Some(Mode::Online) => {
                        Err(RefusalCode::CaseModeMismatch)
                    }
                    Some(row) => {
                        met.insert(row);
                        Ok(permitted[row].2)
                    }
                    None if matches!(act, Act::Receive | Act::Kind(CaseForward)) => {
                        Err(RefusalCode::CaseExists)
                    }
                    None if state == CaseState::Unopened => Err(RefusalCode::CaseUnknown),
                    None => Err(RefusalCode::CaseWrongState),
                };
                assert_eq!(verdict, expected, "{act} by {author} in {state} of {mode:?}");
                judged += 1;
            }
        }
    }
    assert_eq!(met.len(), permitted.len(), "every permitted row was met");
    assert_eq!(judged, CaseState::ALL.len() * modes.len() * acts().len() * 3);
}

fn refused(case: &Case, event: &CaseEvent) -> RefusalCode {
    let author = if event.act().owner() == Owner::Receiving { receiving() } else { competent() };
    case.admits(author, event).unwrap_err().code
}

#[test]
fn each_condition_of_the_table_is_missed_by_one_fact() {
    let reviewing = |act| ready(CaseState::UnderReview, Some(Mode::Joint), Act::Kind(act));
    // a reason and an approver
    for kind in [CaseSpecialBegin, CaseVoid] {
        let mut without = event(Act::Kind(kind));
        if let CaseEvent::SpecialBegun { approver, .. } | CaseEvent::Voided { approver, .. } = &mut without {
            approver.clear();
        }
        assert_eq!(refused(&reviewing(kind), &without), RefusalCode::CaseApproverMissing, "{kind}");
    }
    for kind in [CaseSpecialBegin, CaseVoid, CaseTransfer, CaseSuspend, CaseSupervise] {
        let mut without = event(Act::Kind(kind));
        if let CaseEvent::SpecialBegun { reason, .. }
        | CaseEvent::Voided { reason, .. }
        | CaseEvent::Transferred { reason, .. }
        | CaseEvent::Suspended { reason, .. }
        | CaseEvent::Supervised { reason, .. } = &mut without
        {
            *reason = " ".into();
        }
        assert_eq!(refused(&reviewing(kind), &without), RefusalCode::CaseReasonMissing, "{kind}");
    }
    // a longer term: once, and within the law of the mode
    let longer = |days| CaseEvent::SpecialBegun {
        special: SpecialKind::Extension,
        procedure: "延长审批".into(),
        reason: "案情复杂".into(),
        approver: "L9".into(),
        working_days: days,
        operator: "W1".into(),
    };
    let mut case = reviewing(CaseSpecialBegin);
    assert!(case.admits(competent(), &longer(15)).is_ok(), "多地联办");
    assert_eq!(refused(&case, &longer(16)), RefusalCode::CaseExtensionLimit);
    case.mode = Some(Mode::ReceivedElsewhere);
    assert!(case.admits(competent(), &longer(10)).is_ok());
    assert_eq!(refused(&case, &longer(11)), RefusalCode::CaseExtensionLimit);
    assert_eq!(refused(&case, &longer(0)), RefusalCode::CaseExtensionLimit);
    let once = Special {
        kind: SpecialKind::Extension,
        working_days: 3,
        begun: UnixMillis(1),
        ended: Some(UnixMillis(2)),
    };
    case.specials.push(once);
    assert_eq!(refused(&case, &longer(3)), RefusalCode::CaseExtensionLimit);
    assert!(
        case.admits(competent(), &event(Act::Kind(CaseSpecialBegin))).is_ok(),
        "kind 2 as often as needed"
    );
    // 多地联办
    let mut parent = reviewing(CaseGrant);
    let grant = event(Act::Kind(CaseGrant));
    parent.joint.as_mut().unwrap().tasks[0].1 = None;
    assert_eq!(refused(&parent, &grant), RefusalCode::CaseJointUnfinished);
    parent.joint = None;
    assert_eq!(refused(&parent, &grant), RefusalCode::CaseJointUnfinished);
    parent.parent = Some("parent".parse().unwrap());
    assert!(parent.admits(competent(), &grant).is_ok(), "a sub-task is granted by itself");
    assert_eq!(refused(&parent, &event(Act::Kind(CaseJointPlan))), RefusalCode::CaseJointTask);
    let mut reporting = reviewing(CaseJointReport);
    assert_eq!(refused(&reporting, &event(Act::Kind(CaseJointPlan))), RefusalCode::CaseJointTask);
    reporting.joint.as_mut().unwrap().tasks[0].1 = Some(TaskOutcome::Denied);
    assert_eq!(refused(&reporting, &event(Act::Kind(CaseJointReport))), RefusalCode::CaseJointTask);
    // an alert says something worse; an answer answers the other place
    let mut told = reviewing(CaseAlert);
    told.alerts.push((ClockName::Decide, AlertLevel::Yellow));
    assert_eq!(refused(&told, &event(Act::Kind(CaseAlert))), RefusalCode::CaseWrongState);
    told.alerts[0].1 = AlertLevel::Warning;
    assert!(told.admits(competent(), &event(Act::Kind(CaseAlert))).is_ok());
    let mut asked = reviewing(CaseSuperviseReply);
    asked.supervisions.retain(|supervision| supervision.by == competent());
    assert_eq!(refused(&asked, &event(Act::Kind(CaseSuperviseReply))), RefusalCode::CaseWrongState);
}

/// A pair whose case is of a mode.
fn forwarded_as(mode: Mode) -> Pair {
    let mut pair = Pair::new();
    pair.say(CaseEvent::Forwarded(Application { mode: Some(mode), ..application() })).unwrap();
    pair.exchange();
    pair
}

#[test]
fn a_case_done_online_is_delivered_by_the_competent_place() {
    let mut pair = forwarded_as(Mode::Online);
    pair.run(&[CaseSignFor, CaseAccept, CaseReview, CaseGrant, CaseLicence, CaseDispatch]);
    assert_eq!(pair.agreed().holder(), Some(competent()));
    assert_eq!(pair.act(Act::Kind(CaseDeliver)), Err(RefusalCode::CaseModeMismatch));
    assert_eq!(pair.run(&[CaseDeliverDirect, CaseClose]), CaseState::Closed);
}

#[test]
fn a_joint_case_is_granted_when_its_sub_tasks_have_ended() {
    let mut pair = forwarded_as(Mode::Joint);
    pair.run(&[CaseSignFor, CaseAccept, CaseJointPlan, CaseReview, CaseJointReport]);
    assert_eq!(pair.act(Act::Kind(CaseGrant)), Err(RefusalCode::CaseJointUnfinished));
    pair.say(CaseEvent::JointReported {
        task: "sub-2".parse().unwrap(),
        outcome: TaskOutcome::Granted,
        operator: "W1".into(),
    })
    .unwrap();
    pair.exchange();
    assert_eq!(pair.agreed().joint.unwrap().open(), 0);
    assert_eq!(pair.run(&[CaseGrant]), CaseState::Granted);
}

#[test]
fn a_suspended_case_goes_back_to_where_it_stood() {
    let mut pair = received();
    pair.run(&[CaseForward, CaseSignFor, CaseAccept, CaseReview, CaseWithdrawAsk, CaseSuspend]);
    assert_eq!(pair.act(Act::Kind(CaseGrant)), Err(RefusalCode::CaseWrongState));
    assert_eq!(pair.run(&[CaseResume]), CaseState::UnderReview);
    let case = pair.agreed();
    assert!(case.withdrawal_asked, "what was asked before still waits");
    assert!(matches!(case.suspensions[..], [(_, Some(_))]));
}

#[test]
fn a_voided_case_keeps_its_timeline_and_what_comes_late_is_parked() {
    let mut pair = received();
    pair.run(&[CaseForward, CaseSignFor]);
    // both act before either has heard of the other
    pair.act(Act::Kind(CaseVoid)).unwrap();
    pair.act(Act::Kind(CaseWithdrawAsk)).unwrap();
    pair.exchange();
    let case = pair.agreed();
    assert_eq!((case.state, case.holder()), (CaseState::Voided, None));
    let steps: Vec<_> = case.steps.iter().map(|step| (step.act.name(), step.note)).collect();
    let parked = steps.iter().filter(|(_, note)| note.is_some()).count();
    assert!(steps.len() >= 3 && parked <= 1, "{steps:?}");
    assert_eq!(pair.act(Act::Kind(CaseRate)), Err(RefusalCode::CaseWrongState));
    assert_eq!(pair.act(Act::Kind(CaseVoid)), Err(RefusalCode::CaseWrongState));
}

#[test]
fn an_answer_goes_to_the_one_who_asked() {
    let mut pair = received();
    pair.run(&[CaseForward, CaseSignFor, CaseSupervise]);
    assert_eq!(pair.act(Act::Kind(CaseSuperviseReply)), Err(RefusalCode::CaseWrongState), "not to itself");
    pair.competent.try_send(event(Act::Kind(CaseSuperviseReply))).unwrap();
    pair.exchange();
    assert!(pair.agreed().supervisions[0].replied.is_some());
}

#[test]
fn the_receiving_place_never_decides() {
    for kind in
        [CaseAccept, CaseReject, CaseGrant, CaseDeny, CaseClose, CaseSupplementRequest, CaseWithdrawConfirm]
    {
        for state in CaseState::ALL {
            let case = Case { state: *state, ..Case::unopened(receiving(), competent()) };
            let refusal = case.admits(receiving(), &event(Act::Kind(kind))).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::CaseWrongRole);
        }
    }
}

#[test]
fn a_case_runs_from_receipt_to_closing_and_is_rated_by_stage() {
    let mut pair = received();
    assert_eq!(pair.receiving.case().state, CaseState::Received);
    assert_eq!(pair.competent.case().state, CaseState::Unopened);
    assert_eq!(pair.run(TO_DELIVERED), CaseState::Delivered);
    assert_eq!(pair.run(&[CaseClose, CaseRate]), CaseState::Closed);
    pair.say(CaseEvent::Rated {
        level: Level::new(5).unwrap(),
        stage: Stage::Competent,
        channel: "电话".into(),
    })
    .unwrap();
    pair.exchange();
    let case = pair.agreed();
    assert_eq!(case.state, CaseState::Closed);
    assert_eq!(case.rating_receiving, Level::new(1));
    assert_eq!(case.rating_competent, Level::new(5));
    assert_eq!(case.licence_id.as_deref(), Some(super::super::licence::tests::ID));
    assert_eq!(case.result.as_deref(), Some("0"));
    assert_eq!((case.agreement, case.standard), (Some(digest(9)), Some(digest(1))));
    assert_eq!(case.opened, UnixMillis(10_000));
    assert!(case.steps.iter().all(|step| step.note.is_none()));
    assert_eq!(pair.receiving.case().steps[0].act, Act::Receive, "收件 stands in the timeline at home only");
    assert_eq!(case.holder(), None);
}

#[test]
fn one_rating_a_stage() {
    let mut pair = received();
    pair.run(TO_DELIVERED);
    pair.run(&[CaseRate]);
    assert_eq!(pair.act(Act::Kind(CaseRate)), Err(RefusalCode::CaseWrongState));
}

#[test]
fn a_return_ends_the_case() {
    let mut pair = received();
    assert_eq!(pair.run(&[CaseForward, CaseReturn]), CaseState::Returned);
    assert_eq!(pair.agreed().holder(), None);
    assert_eq!(pair.act(Act::Kind(CaseClose)), Err(RefusalCode::CaseWrongState));
    assert_eq!(pair.run(&[CaseRate]), CaseState::Returned);
}

#[test]
fn a_rejection_closes_without_review() {
    let mut pair = received();
    assert_eq!(pair.run(&[CaseForward, CaseSignFor, CaseReject]), CaseState::Rejected);
    assert_eq!(pair.act(Act::Kind(CaseReview)), Err(RefusalCode::CaseWrongState));
    assert_eq!(pair.run(&[CaseClose]), CaseState::Closed);
}

#[test]
fn a_supplement_is_asked_for_once() {
    let mut pair = received();
    let to_supplement = [CaseForward, CaseSignFor, CaseSupplementRequest];
    assert_eq!(pair.run(&to_supplement), CaseState::SupplementRequested);
    assert_eq!(pair.agreed().holder(), Some(receiving()));
    assert_eq!(pair.run(&[CaseSupplementSubmit]), CaseState::SignedFor);
    assert_eq!(pair.act(Act::Kind(CaseSupplementRequest)), Err(RefusalCode::CaseSupplementTwice));
    assert_eq!(pair.run(&[CaseAccept]), CaseState::Accepted);
}

#[test]
fn a_supplement_that_does_not_come_lapses() {
    let mut pair = received();
    let lapse = [CaseForward, CaseSignFor, CaseSupplementRequest, CaseSupplementLapse];
    assert_eq!(pair.run(&lapse), CaseState::SupplementLapsed);
    assert_eq!(pair.act(Act::Kind(CaseSupplementSubmit)), Err(RefusalCode::CaseWrongState));
    assert_eq!(pair.run(&[CaseClose]), CaseState::Closed);
}

#[test]
fn a_supplement_that_crosses_its_lapse_is_too_late_on_both_sides() {
    let mut pair = received();
    pair.run(&[CaseForward, CaseSignFor, CaseSupplementRequest]);
    pair.act(Act::Kind(CaseSupplementSubmit)).unwrap();
    pair.act(Act::Kind(CaseSupplementLapse)).unwrap();
    assert_eq!(pair.receiving.case().state, CaseState::SignedFor);
    pair.exchange();
    assert_eq!(pair.agreed().state, CaseState::SupplementLapsed);
}

#[test]
fn a_denial_closes_without_licence() {
    let mut pair = received();
    pair.run(TO_REVIEW);
    assert_eq!(pair.run(&[CaseDeny]), CaseState::Denied);
    assert_eq!(pair.act(Act::Kind(CaseLicence)), Err(RefusalCode::CaseWrongState));
    assert_eq!(pair.run(&[CaseClose]), CaseState::Closed);
}

#[test]
fn a_withdrawal_changes_nothing_before_it_is_confirmed() {
    let mut pair = received();
    pair.run(TO_REVIEW);
    assert_eq!(pair.run(&[CaseWithdrawAsk]), CaseState::UnderReview);
    let case = pair.agreed();
    assert!(case.withdrawal_asked);
    assert_eq!(case.holder(), Some(competent()));
    assert_eq!(pair.act(Act::Kind(CaseWithdrawAsk)), Err(RefusalCode::CaseWrongState), "asked already");
    assert_eq!(pair.run(&[CaseWithdrawConfirm]), CaseState::Withdrawn);
    assert!(!pair.agreed().withdrawal_asked);
    assert_eq!(pair.run(&[CaseClose]), CaseState::Closed);
}

#[test]
fn a_withdrawal_nobody_asked_for_is_not_confirmed() {
    let mut pair = received();
    pair.run(TO_REVIEW);
    assert_eq!(pair.act(Act::Kind(CaseWithdrawConfirm)), Err(RefusalCode::CaseWrongState));
}

#[test]
fn a_withdrawal_that_crosses_the_decision_loses_on_both_sides() {
    let mut pair = received();
    pair.run(TO_REVIEW);
    pair.act(Act::Kind(CaseWithdrawAsk)).unwrap();
    pair.act(Act::Kind(CaseDeny)).unwrap();
    assert!(pair.receiving.case().withdrawal_asked, "the receiving place cannot know yet");
    pair.exchange();
    let case = pair.agreed();
    assert_eq!(case.state, CaseState::Denied);
    assert!(!case.withdrawal_asked);
    assert_eq!(pair.act(Act::Kind(CaseWithdrawAsk)), Err(RefusalCode::CaseWrongState));
}

#[test]
fn a_crossing_ask_is_parked_with_its_note_until_the_refusal_arrives() {
    let mut pair = received();
    pair.run(TO_REVIEW);
    pair.act(Act::Kind(CaseWithdrawAsk)).unwrap();
    pair.act(Act::Kind(CaseDeny)).unwrap();
    let competent = pair.competent.clone();
    pair.receiving.take_from(&competent);
    let case = pair.receiving.case();
    assert_eq!(case.state, CaseState::Denied);
    let last = case.steps.last().unwrap();
    assert_eq!((last.act, last.note), (Act::Kind(CaseWithdrawAsk), Some(RefusalCode::CaseWrongState)));
}

#[test]
fn the_competent_place_is_not_refused_for_what_it_could_not_know() {
    let mut pair = received();
    pair.run(&[CaseForward, CaseSignFor, CaseSupplementRequest]);
    pair.act(Act::Kind(CaseSupplementLapse)).unwrap();
    pair.act(Act::Kind(CaseSupplementSubmit)).unwrap();
    let competent = pair.competent.clone();
    pair.receiving.take_from(&competent);
    assert_eq!(pair.receiving.case().state, CaseState::SupplementLapsed);
    assert!(pair.receiving.sent.iter().all(|sent| matches!(sent, Sent::Fact(_))), "nothing was refused");
}

#[test]
fn an_item_without_result_licence_closes_when_granted() {
    let mut pair = received();
    pair.run(TO_REVIEW);
    assert_eq!(pair.run(&[CaseGrant, CaseClose]), CaseState::Closed);
}

#[test]
fn what_the_law_wants_in_writing_needs_a_reason() {
    let at = |state| Case { state, ..Case::unopened(receiving(), competent()) };
    let blank = [
        (CaseState::SignedFor, CaseEvent::Rejected(written(" "))),
        (CaseState::UnderReview, CaseEvent::Denied(written(""))),
        (
            CaseState::Forwarded,
            CaseEvent::Returned { code: "J1".into(), reason: String::new(), operator: "W".into() },
        ),
        (
            CaseState::SignedFor,
            CaseEvent::SupplementRequested {
                items: Vec::new(),
                deadline_working_days: 5,
                operator: "W".into(),
            },
        ),
    ];
    for (state, blank) in blank {
        let refusal = at(state).admits(competent(), &blank).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::CaseReasonMissing);
        assert!(at(state).admits(competent(), &event(blank.act())).is_ok(), "with a reason it is allowed");
    }
}

#[test]
fn a_case_number_is_used_once() {
    let mut pair = received();
    pair.run(&[CaseForward]);
    assert_eq!(pair.act(Act::Kind(CaseForward)), Err(RefusalCode::CaseExists));
    assert_eq!(pair.act(Act::Receive), Err(RefusalCode::CaseExists));
    assert_eq!(Pair::new().act(Act::Kind(CaseRate)), Err(RefusalCode::CaseUnknown));
}

#[test]
fn a_case_takes_a_limited_number_of_facts() {
    let mut pair = received();
    pair.run(&TO_DELIVERED[..7]);
    while pair.competent.facts.len() < CASE_FACTS_MAX {
        pair.act(Act::Kind(CaseDispatch)).unwrap();
    }
    assert_eq!(pair.act(Act::Kind(CaseDispatch)), Err(RefusalCode::CaseTooManyFacts));
}

#[test]
fn whoever_holds_a_case_can_move_it() {
    for state in CaseState::ALL {
        let case = Case { state: *state, ..Case::unopened(receiving(), competent()) };
        // what anybody's data error ends is nobody's work
        let mut movers = acts().into_iter().filter(|act| {
            let elsewhere = next(*state, *act).is_some_and(|to| to != To::Same && to != To::State(*state));
            elsewhere && *act != Act::Kind(CaseVoid)
        });
        match case.holder() {
            Some(holder) => assert!(movers.any(|act| owner_node(act) == holder), "{state} {holder}"),
            None => assert_eq!(movers.count(), 0, "{state}"),
        }
    }
}

fn any_facts() -> impl Strategy<Value = Vec<CaseFact>> {
    let fact = (0..3usize, 0..12u64, 0..12u64, 0..acts().len(), any::<bool>());
    proptest::collection::vec(fact, 0..24).prop_map(|facts| {
        facts
            .into_iter()
            .enumerate()
            .map(|(number, (author, index, seen, act, local))| CaseFact {
                author: [receiving(), competent(), node("360100")][author],
                position: LogPosition { epoch: (index / 8) as u32, index },
                local: local && acts()[act] == Act::Receive,
                seen: LogPosition { epoch: (seen / 8) as u32, index: seen },
                created: UnixMillis(number as u64 % 5),
                committed: UnixMillis(0),
                message_id: MessageId([number as u8 % 4; 16]),
                agreement: None,
                standard: None,
                event: event(acts()[act]),
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_fold_does_not_depend_on_the_order_in_which_facts_came(
        (facts, shuffled) in any_facts()
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle()))
    ) {
        prop_assert_eq!(
            fold(receiving(), competent(), &facts),
            fold(receiving(), competent(), &shuffled)
        );
    }

    #[test]
    fn both_nodes_agree_whatever_crosses(moves in proptest::collection::vec(0..64usize, 0..160)) {
        let mut pair = received();
        pair.act(Act::Kind(CaseForward)).unwrap();
        let acts = acts();
        for choice in moves {
            match choice {
                // a lopsided post: each side reads at its own pace
                0..=7 => { let other = pair.receiving.clone(); pair.competent.take_from(&other); }
                8..=15 => { let other = pair.competent.clone(); pair.receiving.take_from(&other); }
                // the next act in the list that somebody may make now
                _ => { let _ = (0..acts.len()).find(|n| pair.act(acts[(choice + n) % acts.len()]).is_ok()); }
            }
            // what the competent place decided stands, whatever the receiving place does meanwhile
            let parked = pair.competent.case().steps.iter().any(|step| step.note.is_some());
            prop_assert!(!parked, "nothing permitted is ever parked at the arbiter");
        }
        pair.exchange();
        let ours = |node: &Node| -> Result<Case, TestCaseError> {
            let mut case = node.case();
            case.steps.retain(|step| !step.local);
            Ok(case)
        };
        prop_assert_eq!(ours(&pair.receiving)?, ours(&pair.competent)?);
        let refused = pair.receiving.sent.iter().any(|sent| matches!(sent, Sent::Refusal(_)));
        prop_assert!(!refused, "an honest competent place is never refused");
    }
}
