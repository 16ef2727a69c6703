//! The clocks of a case (行政效能电子监察): who has to do what by which day, and how bad it is when it is
//! not done. Limits are in working days; the law's come from 行政许可法 arts. 32, 42, 44 and the standard,
//! the others from the agreement.
//!
//! Which facts start, stop, pause and lengthen a clock is decided here, from the folded case alone. The
//! answer depends on the calendar of whoever asks, so no verdict does: `authorize` uses only
//! [`certainly_passed`], which two nodes with different calendars decide alike.

use super::agreement::{AgreementItem, ClockRule};
use super::calendar::{Calendar, UnknownYear};
use super::case::{Case, CaseState, SpecialKind};
use super::date::Date;
use super::standard::Standard;
use crate::id::{Kind, NodeId};
use crate::time::UnixMillis;

/// 业务签收 after 转递, where the agreement says nothing else.
pub const SIGN_FOR_WORKING_DAYS: u32 = 1;
/// 受理, 不予受理 or 补正告知; silence accepts (art. 32).
pub const ACCEPT_WORKING_DAYS: u32 = 5;
/// 送达 after the decision (art. 44).
pub const DELIVER_WORKING_DAYS: u32 = 10;

macro_rules! names {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal, $zh:literal;)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$doc])* $variant,)* }

        impl $type {
            /// All, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The term of art.
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)* }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

names! {
    /// What a clock measures.
    ClockName {
        /// 转递 after 收件: the agreement's limit for the receiving place.
        Forward = "forward", "转递";
        /// 业务签收 after 转递.
        SignFor = "sign_for", "业务签收";
        /// 受理: five working days, from where the agreement says.
        Accept = "accept", "受理";
        /// 补正: the time that the notice gave.
        Supplement = "supplement", "补正";
        /// 决定: promised, and by law.
        Decide = "decide", "决定";
        /// 送达: ten working days from the decision.
        Deliver = "deliver", "送达";
        /// 督办回复.
        SuperviseReply = "supervise_reply", "督办回复";
    }
}

names! {
    /// How bad it is, ascending.
    AlertLevel {
        /// 预警: a fifth of the limit or one working day is left.
        Warning = "warning", "预警";
        /// 黄牌: over what was promised or agreed.
        Yellow = "yellow", "黄牌";
        /// 红牌: over what the law allows.
        Red = "red", "红牌";
    }
}

/// The limits that hold for a case, from its pinned editions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// When the legal clock starts.
    pub clock_rule: ClockRule,
    /// 转递, working days.
    pub forward_working_days: u32,
    /// 承诺时限, working days.
    pub promised_working_days: u32,
    /// 法定时限, working days.
    pub statutory_working_days: u32,
}

impl Limits {
    /// The limits of an item.
    pub fn of(item: &AgreementItem, standard: &Standard) -> Self {
        Self {
            clock_rule: item.clock_rule,
            forward_working_days: item.forward_within_working_days,
            promised_working_days: standard.promised_working_days,
            statutory_working_days: standard.statutory_working_days,
        }
    }
}

/// A clock that runs, or stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// What it measures.
    pub name: ClockName,
    /// Who has to act.
    pub owner: NodeId,
    /// When it started.
    pub started: UnixMillis,
    /// Its limit, working days, longer terms and pauses included.
    pub working_days: u32,
    /// The last day.
    pub due: Result<Date, UnknownYear>,
    /// Working days that are left after today; negative: over by so many.
    pub left: Result<i64, UnknownYear>,
    /// Whether it stands still: 特别程序 kind 2.
    pub paused: bool,
    /// How bad it is; `None`: not, or nobody can tell.
    pub level: Option<AlertLevel>,
}

/// When the five days for 受理 begin; `None`: not yet, or the case is past that.
pub fn accept_started(case: &Case, rule: ClockRule) -> Option<UnixMillis> {
    if !matches!(case.state, CaseState::Forwarded | CaseState::SignedFor) {
        return None;
    }
    // complete materials came with the supplement: the time begins anew (art. 32)
    if let Some(supplemented) = case.last(Kind::CaseSupplementSubmit) {
        return Some(supplemented);
    }
    match rule {
        ClockRule::AtReceipt => case.received,
        ClockRule::AtForward => case.last(Kind::CaseForward),
        ClockRule::AtSignFor => case.last(Kind::CaseSignFor),
    }
}

/// Whether a limit has passed whatever the calendar: so many working days are at least as many days.
/// Less than the law asks, and the same on every node.
pub fn certainly_passed(started: UnixMillis, working_days: u32, at: UnixMillis) -> bool {
    Date::of(at).days_since(Date::of(started)) > u64::from(working_days)
}

/// Whether silence has accepted the case (视为受理).
///
/// # Errors
/// The year that was not announced.
pub fn is_deemed_accepted(
    case: &Case,
    limits: Limits,
    calendar: &Calendar,
    now: UnixMillis,
) -> Result<bool, UnknownYear> {
    let Some(started) = accept_started(case, limits.clock_rule) else { return Ok(false) };
    Ok(Date::of(now) > calendar.due(Date::of(started), ACCEPT_WORKING_DAYS)?)
}

/// The clocks of a case, the most urgent first. A suspended case has none, nor has one that has ended.
pub fn clocks(case: &Case, limits: Limits, calendar: &Calendar, now: UnixMillis) -> Vec<Clock> {
    let today = Date::of(now);
    let mut clocks = Vec::new();
    let mut add = |name, owner, started: UnixMillis, agreed: u32, law: Option<u32>, paused: bool| {
        let begin = Date::of(started);
        let due = calendar.due(begin, agreed);
        let left = due.and_then(|due| {
            let (ahead, behind) = (calendar.between(today, due)?, calendar.between(due, today)?);
            Ok(i64::from(ahead) - i64::from(behind))
        });
        let over = |last: Result<Date, UnknownYear>| last.is_ok_and(|last| today > last);
        let level = match (law.map(|days| calendar.due(begin, days)), left) {
            _ if paused => None,
            (Some(law), _) if over(law) => Some(AlertLevel::Red),
            _ if over(due) => Some(AlertLevel::Yellow),
            (_, Ok(left)) if left <= 1 || left * 5 <= i64::from(agreed) => Some(AlertLevel::Warning),
            _ => None,
        };
        clocks.push(Clock { name, owner, started, working_days: agreed, due, left, paused, level });
    };

    match case.state {
        CaseState::Received => {
            let started = case.received.unwrap_or(case.opened);
            add(ClockName::Forward, case.receiving, started, limits.forward_working_days, None, false);
        }
        CaseState::Forwarded => {
            let forwarded = case.last(Kind::CaseForward).unwrap_or(case.opened);
            add(ClockName::SignFor, case.competent, forwarded, SIGN_FOR_WORKING_DAYS, None, false);
        }
        CaseState::SupplementRequested => {
            let asked = case.last(Kind::CaseSupplementRequest).unwrap_or(case.changed);
            add(ClockName::Supplement, case.receiving, asked, case.supplement_working_days, None, false);
        }
        CaseState::Accepted | CaseState::UnderReview | CaseState::SpecialProcedure => {
            let accepted = case.last(Kind::CaseAccept).or(case.last(Kind::CaseAcceptDeemed));
            let accepted = accepted.unwrap_or(case.changed);
            let extra = extra_days(case, calendar, accepted, now).unwrap_or(0);
            let promised = case.promised_working_days.unwrap_or(limits.promised_working_days);
            let (agreed, law) =
                (promised.saturating_add(extra), limits.statutory_working_days.saturating_add(extra));
            let paused = case
                .specials
                .last()
                .is_some_and(|special| special.kind == SpecialKind::Pause && special.ended.is_none());
            add(ClockName::Decide, case.competent, accepted, agreed, Some(law), paused);
        }
        CaseState::Granted | CaseState::LicenceIssued | CaseState::InDelivery => {
            let granted = case.last(Kind::CaseGrant).unwrap_or(case.changed);
            let owner = case.holder().unwrap_or(case.competent);
            let law = Some(DELIVER_WORKING_DAYS);
            add(ClockName::Deliver, owner, granted, DELIVER_WORKING_DAYS, law, false);
        }
        CaseState::Unopened
        | CaseState::SignedFor
        | CaseState::Returned
        | CaseState::Rejected
        | CaseState::SupplementLapsed
        | CaseState::Denied
        | CaseState::Delivered
        | CaseState::Withdrawn
        | CaseState::Closed
        | CaseState::Transferred
        | CaseState::Suspended
        | CaseState::Voided => {}
    }
    if let Some(started) = accept_started(case, limits.clock_rule) {
        let days = ACCEPT_WORKING_DAYS;
        add(ClockName::Accept, case.competent, started, days, Some(days), false);
    }
    for asked in case.supervisions.iter().filter(|asked| asked.replied.is_none()) {
        let owner = if asked.by == case.receiving { case.competent } else { case.receiving };
        if !case.state.is_final() {
            let days = asked.reply_within_working_days;
            add(ClockName::SuperviseReply, owner, asked.asked, days, None, false);
        }
    }
    clocks.sort_by_key(|clock| (std::cmp::Reverse(clock.level), clock.left.unwrap_or(i64::MAX)));
    clocks
}

/// Working days by which the limit of a decision is longer: 延长审批, and the days on which 特别程序 of
/// kind 2 went on or the case was suspended.
fn extra_days(
    case: &Case,
    calendar: &Calendar,
    since: UnixMillis,
    now: UnixMillis,
) -> Result<u32, UnknownYear> {
    let mut extra = 0u32;
    let pauses = case.specials.iter().filter(|special| special.kind == SpecialKind::Pause);
    let pauses = pauses.map(|special| (special.begun, special.ended));
    for (from, until) in pauses.chain(case.suspensions.iter().copied()) {
        let (from, until) = (from.max(since), until.unwrap_or(now));
        extra = extra.saturating_add(calendar.between(Date::of(from), Date::of(until))?);
    }
    for special in case.specials.iter().filter(|special| special.kind == SpecialKind::Extension) {
        extra = extra.saturating_add(special.working_days);
    }
    Ok(extra)
}

#[cfg(test)]
mod tests;
