//! Which conditions a person should be told about, and when: once when one begins, again when it gets
//! worse, and once when it is over. What stands is not repeated.
//!
//! A condition that goes for a moment and comes back is one alarm: it is over only after it has been
//! gone for [`ALARM_CLEAR_MILLIS`]. The finding that a peer holds unremembered entries is never over by
//! itself: that the entries came back does not say who signed them.

use super::facts::Facts;
use super::ready;
use crate::limits::{ALARM_CLEAR_MILLIS, CERTIFICATE_DAYS_ALARMS};
use crate::overload::disk::DiskState;
use crate::refusal::RefusalCode;
use crate::time::UnixMillis;
use std::collections::BTreeMap;

const DAY_MILLIS: i64 = 86_400_000;

/// How soon somebody has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Within days.
    Warning,
    /// Now.
    Critical,
}

impl Severity {
    /// `warning` or `critical`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What an alarm is about: a code and its subject (`430600>421200`, `hunan.tongban`, `tls`, or empty for
/// the node as a whole).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The stable code, with its texts.
    pub code: RefusalCode,
    /// Of what.
    pub subject: String,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub about: About,
    /// How soon somebody has to act.
    pub severity: Severity,
    /// Grows as the same condition gets worse.
    pub level: u64,
    /// In neutral notation, without personal data.
    pub detail: String,
}

/// What has become of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It began.
    Raised,
    /// It got worse.
    Worse,
    /// It is over.
    Resolved,
}

impl Change {
    /// `raised`, `worse` or `resolved`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worse => "worse",
            Self::Resolved => "resolved",
        }
    }
}

/// What a person is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What has become of it.
    pub change: Change,
    /// The condition; as it last was, when it is over.
    pub condition: Condition,
    /// Since when it stands.
    pub since: UnixMillis,
    /// When this was judged.
    pub at: UnixMillis,
}

#[derive(Debug, Clone)]
struct Standing {
    condition: Condition,
    since: UnixMillis,
    /// When it was last seen.
    seen: UnixMillis,
}

/// The alarms that stand.
#[derive(Debug, Clone, Default)]
pub struct Alarms {
    standing: BTreeMap<About, Standing>,
}

impl Alarms {
    /// Judges the facts at `now`: what a person is to be told, in the order of the codes.
    pub fn judge(&mut self, facts: &Facts, now: UnixMillis) -> Vec<Notice> {
        let mut notices = Vec::new();
        for condition in conditions(facts, now) {
            let about = condition.about.clone();
            let change = match self.standing.get(&about) {
                None => Some(Change::Raised),
                Some(standing) if condition.level > standing.condition.level => Some(Change::Worse),
                Some(_) => None,
            };
            let since = self.standing.get(&about).map_or(now, |standing| standing.since);
            if let Some(change) = change {
                notices.push(Notice { change, condition: condition.clone(), since, at: now });
            }
            self.standing.insert(about, Standing { condition, since, seen: now });
        }
        self.standing.retain(|_, standing| {
            if now.0.saturating_sub(standing.seen.0) < ALARM_CLEAR_MILLIS {
                return true;
            }
            let (condition, since) = (standing.condition.clone(), standing.since);
            notices.push(Notice { change: Change::Resolved, condition, since, at: now });
            false
        });
        notices
    }

    /// What stands, with its severity.
    pub fn standing(&self) -> impl Iterator<Item = &Condition> {
        self.standing.values().map(|standing| &standing.condition)
    }
}

/// What is wrong now.
fn conditions(facts: &Facts, now: UnixMillis) -> Vec<Condition> {
    let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let mut add = |code, subject: String, severity, level, detail: String| {
        found.push(Condition { about: About { code, subject }, severity, level, detail });
    };
    for (channel, refusal) in &facts.stops {
        let subject = format!("{}>{}", channel.from, channel.to);
        add(refusal.code, subject, Severity::Critical, 0, refusal.detail.clone());
    }
    for found in &facts.unremembered {
        let detail = format!("here={} there={}", found.here, found.there);
        // Found again, it is told again: each finding is news.
        add(RefusalCode::Unremembered, found.peer.to_string(), Severity::Critical, found.at.0, detail);
    }
    for trust in &facts.trust {
        let detail = format!("next_update_ms={} until_ms={}", trust.next_update_ms, trust.counts_until_ms);
        let domain = trust.domain.clone();
        if now_ms > trust.counts_until_ms {
            add(RefusalCode::TrustStale, domain, Severity::Critical, 1, detail);
        } else if now_ms > trust.next_update_ms {
            add(RefusalCode::TrustStale, domain, Severity::Warning, 0, detail);
        }
    }
    for (which, code) in &facts.refused_material {
        add(RefusalCode::MaterialRefused, (*which).to_owned(), Severity::Critical, 0, format!("code={code}"));
    }
    for certificate in &facts.certificates {
        let left = certificate.not_after_ms.saturating_sub(now_ms);
        let passed = CERTIFICATE_DAYS_ALARMS.iter().filter(|days| left < **days * DAY_MILLIS).count() as u64;
        let level = passed + u64::from(left < 0);
        if level > 0 {
            let severity = if level > 1 { Severity::Critical } else { Severity::Warning };
            let days = left.div_euclid(DAY_MILLIS);
            let subject = certificate.which.name().to_owned();
            add(RefusalCode::CertificateExpiring, subject, severity, level, format!("days_left={days}"));
        }
    }
    if let Some(refusal) = ready::disk(facts) {
        // Low: nothing new is taken, and days are left to finish. Beyond that nothing can be written.
        let spent = facts.disk.full || facts.disk.state == DiskState::Spent;
        let severity = if spent { Severity::Critical } else { Severity::Warning };
        add(refusal.code, String::new(), severity, u64::from(spent), refusal.detail);
    }
    for check in ready::live(facts) {
        if let Some(refusal) = check.refusal {
            add(refusal.code, String::new(), Severity::Critical, 0, refusal.detail);
        }
    }
    if facts.key == super::KeyState::Silent {
        add(RefusalCode::KeySilent, String::new(), Severity::Critical, 0, String::new());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::facts::example::{DAY, NOW, well};
    use super::super::facts::{KeyState, UnrememberedFact};
    use super::*;
    use crate::id::ChannelId;
    use crate::limits::COMMIT_STALL_MILLIS;
    use crate::refusal::Refusal;

    fn told(notices: &[Notice]) -> Vec<(Change, RefusalCode, &str)> {
        notices
            .iter()
            .map(|notice| {
                let about = &notice.condition.about;
                (notice.change, about.code, about.subject.as_str())
            })
            .collect()
    }

    fn later(millis: u64) -> UnixMillis {
        UnixMillis(NOW.0 + millis)
    }

    fn channel() -> ChannelId {
        ChannelId { from: "430600".parse().unwrap(), to: "421200".parse().unwrap() }
    }

    fn stopped() -> Facts {
        Facts { stops: vec![(channel(), Refusal::new(RefusalCode::Fork, "size=5"))], ..well() }
    }

    #[test]
    fn a_node_that_is_well_alarms_nobody() {
        assert_eq!(Alarms::default().judge(&well(), NOW), []);
    }

    #[test]
    fn a_standing_alarm_is_told_once_and_its_end_once() {
        let mut alarms = Alarms::default();
        let fork = RefusalCode::Fork;
        assert_eq!(told(&alarms.judge(&stopped(), NOW)), [(Change::Raised, fork, "430600>421200")]);
        assert_eq!(alarms.judge(&stopped(), later(1_000)), []);
        assert_eq!(alarms.standing().count(), 1);
        assert_eq!(alarms.judge(&well(), later(2_000)), [], "perhaps only for a moment");
        let after = later(1_000 + ALARM_CLEAR_MILLIS);
        let over = alarms.judge(&well(), after);
        assert_eq!(told(&over), [(Change::Resolved, fork, "430600>421200")]);
        assert_eq!((over[0].since, over[0].at), (NOW, after));
        assert_eq!(alarms.standing().count(), 0);
        assert_eq!(alarms.judge(&well(), later(1_000_000)), []);
    }

    #[test]
    fn a_condition_that_flickers_is_one_alarm() {
        let mut alarms = Alarms::default();
        let mut count = 0;
        for second in 0..1_000 {
            let facts = if second % 2 == 0 { stopped() } else { well() };
            count += alarms.judge(&facts, later(second * 1_000)).len();
        }
        assert_eq!(count, 1);
    }

    #[test]
    fn each_condition_has_its_own_code() {
        type Wrong = (RefusalCode, fn(&mut Facts));
        let wrong: [Wrong; 8] = [
            (RefusalCode::StoreFull, |facts| facts.disk.state = DiskState::Low),
            (RefusalCode::StoreFull, |facts| facts.disk.full = true),
            (RefusalCode::CommitterEnded, |facts| facts.committer_ended = true),
            (RefusalCode::CommitterStalled, |facts| facts.commit_millis = Some(COMMIT_STALL_MILLIS + 1)),
            (RefusalCode::KeySilent, |facts| facts.key = KeyState::Silent),
            (RefusalCode::TrustStale, |facts| facts.trust[0].next_update_ms = NOW.0 as i64 - 1),
            (RefusalCode::MaterialRefused, |facts| facts.refused_material.push(("trust", "trust.pem"))),
            (RefusalCode::CertificateExpiring, |facts| facts.certificates[1].not_after_ms = NOW.0 as i64),
        ];
        for (code, spoil) in wrong {
            let mut facts = well();
            spoil(&mut facts);
            let notices = Alarms::default().judge(&facts, NOW);
            assert_eq!(notices.len(), 1, "{code}");
            assert_eq!(notices[0].condition.about.code, code);
        }
    }

    #[test]
    fn a_certificate_is_told_about_at_thirty_seven_and_one_days_and_when_it_has_expired() {
        let mut alarms = Alarms::default();
        let mut told_at = Vec::new();
        for day in 0..70 {
            let at = UnixMillis(NOW.0 + day * DAY as u64);
            let mut facts = well();
            facts.trust.clear();
            told_at.extend(alarms.judge(&facts, at).into_iter().map(|notice| {
                assert_eq!(notice.condition.about.subject, "tls");
                (60 - day as i64, notice.change, notice.condition.severity)
            }));
        }
        let (raised, worse) = (Change::Raised, Change::Worse);
        let (warning, critical) = (Severity::Warning, Severity::Critical);
        assert_eq!(
            told_at,
            [(29, raised, warning), (6, worse, critical), (0, worse, critical), (-1, worse, critical)]
        );
    }

    #[test]
    fn a_disk_that_is_low_is_a_warning_and_one_that_is_spent_critical() {
        let mut alarms = Alarms::default();
        let with = |state| {
            let mut facts = well();
            facts.disk.state = state;
            facts
        };
        let low = alarms.judge(&with(DiskState::Low), NOW);
        assert_eq!(told(&low), [(Change::Raised, RefusalCode::StoreFull, "")]);
        assert_eq!(low[0].condition.severity, Severity::Warning);
        let spent = alarms.judge(&with(DiskState::Spent), later(1_000));
        assert_eq!(told(&spent), [(Change::Worse, RefusalCode::StoreFull, "")]);
        assert_eq!(spent[0].condition.severity, Severity::Critical);
        assert_eq!(
            alarms.judge(&with(DiskState::Low), later(2_000)),
            [],
            "better is no news until it is over"
        );
    }

    #[test]
    fn a_list_out_of_date_is_a_warning_and_after_its_grace_critical() {
        let mut alarms = Alarms::default();
        let day = |days: u64| later(days * DAY as u64 + 1);
        assert_eq!(alarms.judge(&well(), NOW), []);
        let first = alarms.judge(&well(), day(1));
        assert_eq!(told(&first), [(Change::Raised, RefusalCode::TrustStale, "hunan.tongban")]);
        assert_eq!(first[0].condition.severity, Severity::Warning);
        let second = alarms.judge(&well(), day(3));
        assert_eq!(told(&second), [(Change::Worse, RefusalCode::TrustStale, "hunan.tongban")]);
        assert_eq!(second[0].condition.severity, Severity::Critical);
    }

    #[test]
    fn unremembered_entries_are_told_at_each_finding_and_never_resolved_by_themselves() {
        let mut alarms = Alarms::default();
        let found = |at| UnrememberedFact { peer: channel().to, here: 2, there: 5, at };
        let facts = Facts { unremembered: vec![found(NOW)], ..well() };
        assert_eq!(told(&alarms.judge(&facts, NOW)), [(Change::Raised, RefusalCode::Unremembered, "421200")]);
        assert_eq!(alarms.judge(&facts, later(3_600_000)), []);
        let again = Facts { unremembered: vec![found(later(3_600_001))], ..well() };
        let notices = alarms.judge(&again, later(3_600_001));
        assert_eq!(told(&notices), [(Change::Worse, RefusalCode::Unremembered, "421200")]);
    }
}
