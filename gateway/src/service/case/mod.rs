//! A case (办件), from 收件 to 办结, between one receiving place (收件地) and one competent place (属地), in
//! one of three modes: 全程网办, 异地代收代办, 多地联办.
//!
//! `table` says which act is allowed when, `fold` turns the two places' facts into one [`Case`] that
//! is the same on both sides, and [`judge`] says whether one more fact is allowed. `page` writes the
//! table for people. Deadlines, the agreement and the standard are not looked at here.

mod event;
mod fold;
mod joint;
pub mod page;
mod special;
mod state;
mod table;

pub use event::{Act, Application, CaseEvent, CaseFact, RECEIVE, ResultLicence, SupplementItem, Written};
pub use fold::{before, fold, judge};
pub use joint::{JointPlan, JointPolicy, JointTask, TASKS_MAX, TaskOutcome};
pub use special::{EXTENSION_WORKING_DAYS_MAX, JOINT_EXTENSION_WORKING_DAYS_MAX, Special, SpecialKind};
pub use state::CaseState;
pub use table::{Row, To, is_undecided, next, row_of, rows};

use super::agreement::Mode;
use super::deadline::{AlertLevel, ClockName};
use super::rating::{Level, Stage};
use crate::id::{CaseId, Digest, Kind, LogPosition, MessageId, NodeId, Owner};
use crate::mutant::{Mutant, is_planted};
use crate::refusal::{Refusal, RefusalCode};
use crate::time::UnixMillis;

/// One line of a case's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub act: Act,
    /// By whom.
    pub author: NodeId,
    /// Place in the author's channel.
    pub position: LogPosition,
    /// Whether it never crosses the gateway.
    pub local: bool,
    /// The author's time.
    pub created: UnixMillis,
    /// Name of the message.
    pub message_id: MessageId,
    /// `None`: it took effect. Otherwise it is parked, and this is why.
    pub note: Option<RefusalCode>,
}

/// 督办 of one place by the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    /// Who asks.
    pub by: NodeId,
    /// When.
    pub asked: UnixMillis,
    /// Working days for the answer.
    pub reply_within_working_days: u32,
    /// When it was answered; `None`: not yet.
    pub replied: Option<UnixMillis>,
}

/// What the facts of a case amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// 收件地.
    pub receiving: NodeId,
    /// 属地.
    pub competent: NodeId,
    /// Item code; empty while unopened.
    pub item: String,
    /// The receiving place's own 办件编号.
    pub project_number: String,
    /// 服务对象.
    pub applicant_kind: String,
    /// 演练件.
    pub walkthrough: bool,
    /// Where it stands.
    pub state: CaseState,
    /// When it was opened, by its author's clock: 转递 once forwarded, 收件 before. Agreement and standard
    /// must be in effect at this instant.
    pub opened: UnixMillis,
    /// When it was last changed, by the author's clock of the last act that took effect.
    pub changed: UnixMillis,
    /// 收件 at the window, as the receiving place states it.
    pub received: Option<UnixMillis>,
    /// The pinned agreement.
    pub agreement: Option<Digest>,
    /// The pinned standard.
    pub standard: Option<Digest>,
    /// Everything that was done, parked acts included, in the agreed order.
    pub steps: Vec<Step>,
    /// Whether a 撤回申请 waits for its answer.
    pub withdrawal_asked: bool,
    /// Whether the one 补正告知 was made.
    pub supplement_asked: bool,
    /// What it asked for.
    pub supplement_items: Vec<SupplementItem>,
    /// Working days it gave.
    pub supplement_working_days: u32,
    /// 承诺时限, working days, as accepted.
    pub promised_working_days: Option<u32>,
    /// The result licence's 证照标识.
    pub licence_id: Option<String>,
    /// 办结结果 code.
    pub result: Option<String>,
    /// Rating of the receiving window.
    pub rating_receiving: Option<Level>,
    /// Rating of the competent place.
    pub rating_competent: Option<Level>,
    /// How it is done; `None`: its forward does not say.
    pub mode: Option<Mode>,
    /// The parent of which it is a sub-task.
    pub parent: Option<CaseId>,
    /// Whether it was accepted by silence (视为受理).
    pub deemed_accepted: bool,
    /// 特别程序, in order; only the last can be open.
    pub specials: Vec<Special>,
    /// Times of suspension: from, until; the last is open while the case is suspended.
    pub suspensions: Vec<(UnixMillis, Option<UnixMillis>)>,
    /// Where it stood when it was suspended.
    pub suspended_from: Option<CaseState>,
    /// 联办分派 of a parent.
    pub joint: Option<JointPlan>,
    /// 督办, in order.
    pub supervisions: Vec<Supervision>,
    /// The worst 监察预警 of each clock.
    pub alerts: Vec<(ClockName, AlertLevel)>,
}

impl Case {
    /// A case of which nothing is known.
    pub fn unopened(receiving: NodeId, competent: NodeId) -> Self {
        Self {
            receiving,
            competent,
            item: String::new(),
            project_number: String::new(),
            applicant_kind: String::new(),
            walkthrough: false,
            state: CaseState::Unopened,
            opened: UnixMillis::default(),
            changed: UnixMillis::default(),
            received: None,
            agreement: None,
            standard: None,
            steps: Vec::new(),
            withdrawal_asked: false,
            supplement_asked: false,
            supplement_items: Vec::new(),
            supplement_working_days: 0,
            promised_working_days: None,
            licence_id: None,
            result: None,
            rating_receiving: None,
            rating_competent: None,
            mode: None,
            parent: None,
            deemed_accepted: false,
            specials: Vec::new(),
            suspensions: Vec::new(),
            suspended_from: None,
            joint: None,
            supervisions: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// When an act last took effect, by its author's clock.
    pub fn last(&self, kind: Kind) -> Option<UnixMillis> {
        let took_effect = |step: &&Step| step.act == Act::Kind(kind) && step.note.is_none();
        self.steps.iter().rev().find(took_effect).map(|step| step.created)
    }

    /// How a sub-task ended for its parent; `None`: it has not.
    pub fn outcome(&self) -> Option<TaskOutcome> {
        let did = |kind| self.last(kind).is_some();
        match self.state {
            CaseState::Granted | CaseState::LicenceIssued | CaseState::InDelivery | CaseState::Delivered => {
                Some(TaskOutcome::Granted)
            }
            CaseState::Closed if did(Kind::CaseGrant) => Some(TaskOutcome::Granted),
            CaseState::Closed if did(Kind::CaseWithdrawConfirm) => Some(TaskOutcome::Withdrawn),
            CaseState::Closed | CaseState::Returned | CaseState::Rejected | CaseState::Denied => {
                Some(TaskOutcome::Denied)
            }
            CaseState::SupplementLapsed | CaseState::Withdrawn | CaseState::Voided => {
                Some(TaskOutcome::Withdrawn)
            }
            CaseState::Unopened
            | CaseState::Received
            | CaseState::Forwarded
            | CaseState::SignedFor
            | CaseState::Accepted
            | CaseState::SupplementRequested
            | CaseState::UnderReview
            | CaseState::SpecialProcedure
            | CaseState::Transferred
            | CaseState::Suspended => None,
        }
    }

    /// Who must act next; `None`: nobody.
    pub fn holder(&self) -> Option<NodeId> {
        if self.withdrawal_asked {
            return Some(self.competent);
        }
        match self.state {
            CaseState::Unopened | CaseState::Received | CaseState::SupplementRequested => {
                Some(self.receiving)
            }
            // who hands it over: without a window the competent place
            CaseState::InDelivery if self.mode == Some(Mode::Online) => Some(self.competent),
            CaseState::InDelivery => Some(self.receiving),
            CaseState::Forwarded
            | CaseState::SignedFor
            | CaseState::Accepted
            | CaseState::Rejected
            | CaseState::SupplementLapsed
            | CaseState::UnderReview
            | CaseState::Granted
            | CaseState::Denied
            | CaseState::LicenceIssued
            | CaseState::Delivered
            | CaseState::SpecialProcedure
            | CaseState::Transferred
            | CaseState::Suspended
            | CaseState::Withdrawn => Some(self.competent),
            CaseState::Returned | CaseState::Closed | CaseState::Voided => None,
        }
    }

    /// Whether an act by `author` is the author's to make.
    pub fn owns(&self, author: NodeId, act: Act) -> bool {
        match act.owner() {
            Owner::Receiving => author == self.receiving,
            Owner::Competent => author == self.competent,
            Owner::Either => author == self.receiving || author == self.competent,
            Owner::Control => false,
        }
    }

    /// Where an event by `author` would lead. The one rule: [`judge`] asks it, `fold` obeys it.
    ///
    /// # Errors
    /// A `case.*` code: wrong role, unknown, exists, wrong state, second supplement, missing reason or
    /// approver, and those that the row of the act names.
    pub fn admits(&self, author: NodeId, event: &CaseEvent) -> Result<CaseState, Refusal> {
        let act = event.act();
        let refuse = |code| Err(Refusal::new(code, format!("act={act} state={}", self.state)));
        if !self.owns(author, act) && !is_planted(Mutant::LetReceivingPlaceDecide) {
            return refuse(RefusalCode::CaseWrongRole);
        }
        let next = next(self.state, act).and_then(|to| match to {
            To::State(next) => Some(next),
            To::Same => Some(self.state),
            To::Back => self.suspended_from,
        });
        let Some(next) = next else {
            return refuse(match (event, self.state) {
                (CaseEvent::Received(_) | CaseEvent::Forwarded(_), _) => RefusalCode::CaseExists,
                (_, CaseState::Unopened) => RefusalCode::CaseUnknown,
                (CaseEvent::SupplementRequested { .. }, _) if self.supplement_asked => {
                    RefusalCode::CaseSupplementTwice
                }
                _ => RefusalCode::CaseWrongState,
            });
        };
        let done_before = match event {
            CaseEvent::SupplementRequested { .. } if self.supplement_asked => {
                return refuse(RefusalCode::CaseSupplementTwice);
            }
            CaseEvent::WithdrawalAsked { .. } => self.withdrawal_asked,
            CaseEvent::WithdrawalConfirmed { .. } => !self.withdrawal_asked,
            CaseEvent::Rated { stage: Stage::Receiving, .. } => self.rating_receiving.is_some(),
            CaseEvent::Rated { stage: Stage::Competent, .. } => self.rating_competent.is_some(),
            CaseEvent::SuperviseReplied { .. } => self.unanswered(author).is_none(),
            // an alert says something new, or nothing
            CaseEvent::Alerted { clock, level, .. } => {
                self.alerts.iter().any(|(known, worst)| known == clock && worst >= level)
            }
            _ => false,
        };
        if done_before {
            return refuse(RefusalCode::CaseWrongState);
        }
        if event.lacks_reason() {
            return refuse(RefusalCode::CaseReasonMissing);
        }
        if event.lacks_approver() {
            return refuse(RefusalCode::CaseApproverMissing);
        }
        // a case that says no mode is of a release that knew one life, and had no joint tasks
        let modes = row_of(act).modes;
        if self.mode.map_or(modes == [Mode::Joint], |mode| !modes.contains(&mode)) {
            return refuse(RefusalCode::CaseModeMismatch);
        }
        match self.holds_jointly(event).and_then(|()| self.holds_extension(event)) {
            Ok(()) => Ok(next),
            Err(code) => refuse(code),
        }
    }

    /// The first 督办 of the other place that waits for `author`.
    fn unanswered(&self, author: NodeId) -> Option<usize> {
        self.supervisions.iter().position(|asked| asked.by != author && asked.replied.is_none())
    }

    /// What 多地联办 asks of a parent.
    fn holds_jointly(&self, event: &CaseEvent) -> Result<(), RefusalCode> {
        match event {
            // a sub-task hands nothing on: two levels are what the reforms know
            CaseEvent::JointPlanned { tasks, .. } => {
                let may = self.joint.is_none() && self.parent.is_none() && joint::well_formed(tasks);
                may.then_some(()).ok_or(RefusalCode::CaseJointTask)
            }
            CaseEvent::JointReported { task, .. } => {
                let tasks = self.joint.iter().flat_map(|plan| &plan.tasks);
                let open = tasks.filter(|(known, outcome)| known.case == *task && outcome.is_none()).count();
                (open == 1).then_some(()).ok_or(RefusalCode::CaseJointTask)
            }
            CaseEvent::Granted(_) if self.mode == Some(Mode::Joint) && self.parent.is_none() => {
                let may = self.joint.as_ref().is_some_and(JointPlan::may_be_granted);
                may.then_some(()).ok_or(RefusalCode::CaseJointUnfinished)
            }
            _ => Ok(()),
        }
    }

    /// 延长审批: once, and within the law.
    fn holds_extension(&self, event: &CaseEvent) -> Result<(), RefusalCode> {
        let CaseEvent::SpecialBegun { special: SpecialKind::Extension, working_days, .. } = event else {
            return Ok(());
        };
        let first = self.specials.iter().all(|special| special.kind != SpecialKind::Extension);
        let within = (1..=special::extension_max(self.mode)).contains(working_days);
        (first && within).then_some(()).ok_or(RefusalCode::CaseExtensionLimit)
    }

    /// Adds a fact to the timeline, and its effect when it is admitted.
    fn take(&mut self, fact: &CaseFact) {
        let admitted = self.admits(fact.author, &fact.event);
        self.steps.push(Step {
            act: fact.event.act(),
            author: fact.author,
            position: fact.position,
            local: fact.local,
            created: fact.created,
            message_id: fact.message_id,
            note: admitted.as_ref().err().map(|refusal| refusal.code),
        });
        if let Ok(next) = admitted {
            self.apply(next, fact);
        }
    }

    fn apply(&mut self, next: CaseState, fact: &CaseFact) {
        match &fact.event {
            CaseEvent::Received(application) | CaseEvent::Forwarded(application) => {
                self.item.clone_from(&application.item);
                self.project_number.clone_from(&application.project_number);
                self.applicant_kind.clone_from(&application.applicant_kind);
                self.walkthrough = application.walkthrough;
                self.received = Some(application.received);
                self.mode = application.mode;
                self.parent.clone_from(&application.parent);
                self.opened = fact.created;
                self.agreement = fact.agreement;
                self.standard = fact.standard;
            }
            CaseEvent::Accepted { promised_working_days, .. } => {
                self.promised_working_days = Some(*promised_working_days);
            }
            CaseEvent::SupplementRequested { items, deadline_working_days, .. } => {
                self.supplement_asked = true;
                self.supplement_items.clone_from(items);
                self.supplement_working_days = *deadline_working_days;
            }
            CaseEvent::LicenceIssued { licence, .. } => self.licence_id = Some(licence.id.clone()),
            CaseEvent::WithdrawalAsked { .. } => self.withdrawal_asked = true,
            CaseEvent::Closed { result, .. } => self.result = Some(result.clone()),
            CaseEvent::Rated { level, stage: Stage::Receiving, .. } => self.rating_receiving = Some(*level),
            CaseEvent::Rated { level, stage: Stage::Competent, .. } => self.rating_competent = Some(*level),
            CaseEvent::DeemedAccepted { .. } => self.deemed_accepted = true,
            CaseEvent::SpecialBegun { special, working_days, .. } => self.specials.push(Special {
                kind: *special,
                working_days: *working_days,
                begun: fact.created,
                ended: None,
            }),
            CaseEvent::SpecialEnded { .. } => {
                if let Some(special) = self.specials.last_mut() {
                    special.ended = Some(fact.created);
                }
            }
            CaseEvent::Suspended { .. } => {
                self.suspended_from = Some(self.state);
                self.suspensions.push((fact.created, None));
            }
            CaseEvent::Resumed { .. } => {
                self.suspended_from = None;
                if let Some(suspension) = self.suspensions.last_mut() {
                    suspension.1 = Some(fact.created);
                }
            }
            CaseEvent::JointPlanned { tasks, policy, .. } => {
                let tasks = tasks.iter().map(|task| (task.clone(), None)).collect();
                self.joint = Some(JointPlan { policy: *policy, tasks });
            }
            CaseEvent::JointReported { task, outcome, .. } => {
                let tasks = self.joint.iter_mut().flat_map(|plan| &mut plan.tasks);
                for (_, known) in tasks.filter(|(known, _)| known.case == *task) {
                    *known = Some(*outcome);
                }
            }
            CaseEvent::Supervised { reply_within_working_days, .. } => self.supervisions.push(Supervision {
                by: fact.author,
                asked: fact.created,
                reply_within_working_days: *reply_within_working_days,
                replied: None,
            }),
            CaseEvent::SuperviseReplied { .. } => {
                if let Some(place) = self.unanswered(fact.author) {
                    self.supervisions[place].replied = Some(fact.created);
                }
            }
            CaseEvent::Alerted { clock, level, .. } => {
                match self.alerts.iter_mut().find(|(known, _)| known == clock) {
                    Some((_, worst)) => *worst = (*worst).max(*level),
                    None => self.alerts.push((*clock, *level)),
                }
            }
            CaseEvent::SignedFor { .. }
            | CaseEvent::Transferred { .. }
            | CaseEvent::DeliveredDirectly { .. }
            | CaseEvent::Voided { .. }
            | CaseEvent::Returned { .. }
            | CaseEvent::Rejected(_)
            | CaseEvent::SupplementSubmitted { .. }
            | CaseEvent::SupplementLapsed { .. }
            | CaseEvent::Reviewed { .. }
            | CaseEvent::Granted(_)
            | CaseEvent::Denied(_)
            | CaseEvent::Dispatched { .. }
            | CaseEvent::Delivered { .. }
            | CaseEvent::WithdrawalConfirmed { .. } => {}
        }
        self.state = next;
        self.changed = fact.created;
        // once something is decided, a pending 撤回申请 has lost its object; while it is suspended it waits
        self.withdrawal_asked &= is_undecided(next) || next == CaseState::Suspended;
    }
}

#[cfg(test)]
pub(crate) mod tests;
