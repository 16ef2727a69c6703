//! A case (办件) of 异地代收代办, from 收件 to 办结, between one receiving place (收件地) and one competent
//! place (属地).
//!
//! `table` says which act is allowed when, `fold` turns the two places' facts into one [`Case`] that
//! is the same on both sides, and [`judge`] says whether one more fact is allowed. Deadlines, the
//! agreement and the standard are not looked at here.

mod event;
mod fold;
mod state;
mod table;

pub use event::{Act, Application, CaseEvent, CaseFact, RECEIVE, ResultLicence, SupplementItem, Written};
pub use fold::{before, fold, judge};
pub use state::CaseState;
pub use table::{is_undecided, next};

use super::rating::{Level, Stage};
use crate::id::{Digest, LogPosition, MessageId, NodeId, Owner};
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
        }
    }

    /// Who must act next; `None`: nobody.
    pub fn holder(&self) -> Option<NodeId> {
        if self.withdrawal_asked {
            return Some(self.competent);
        }
        match self.state {
            CaseState::Unopened
            | CaseState::Received
            | CaseState::SupplementRequested
            | CaseState::InDelivery => Some(self.receiving),
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
            | CaseState::Withdrawn => Some(self.competent),
            CaseState::Returned | CaseState::Closed => None,
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
    /// A `case.*` code: wrong role, unknown, exists, wrong state, second supplement, missing reason.
    pub fn admits(&self, author: NodeId, event: &CaseEvent) -> Result<CaseState, Refusal> {
        let act = event.act();
        let refuse = |code| Err(Refusal::new(code, format!("act={act} state={}", self.state)));
        if !self.owns(author, act) && !is_planted(Mutant::LetReceivingPlaceDecide) {
            return refuse(RefusalCode::CaseWrongRole);
        }
        let Some(next) = next(self.state, act) else {
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
            _ => false,
        };
        if done_before {
            return refuse(RefusalCode::CaseWrongState);
        }
        if event.lacks_reason() {
            return refuse(RefusalCode::CaseReasonMissing);
        }
        Ok(next)
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
            CaseEvent::SignedFor { .. }
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
        // once something is decided, a pending 撤回申请 has lost its object
        self.withdrawal_asked &= is_undecided(next);
    }
}

#[cfg(test)]
pub(crate) mod tests;
