//! Whether a node can do its work now, and if not, which check says so and what to do.
//!
//! *Live*: it makes sense to let the process run on. *Ready*: it may be given work. A node that replays
//! a long journal is live and not ready. A partner that cannot be reached or a stopped channel does not
//! make a node unready: the others go on, and alarms tell about it.

use super::facts::{Facts, KeyState, Store};
use crate::limits::COMMIT_STALL_MILLIS;
use crate::overload::disk::DiskState;
use crate::refusal::{Refusal, RefusalCode};
use crate::time::UnixMillis;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `store`, `committer`, `key`, `disk` or `trust`.
    pub name: &'static str,
    /// What is wrong; nothing: all is well.
    pub refusal: Option<Refusal>,
}

/// Names of the checks, in their order.
pub const CHECKS: [&str; 5] = ["store", "committer", "key", "disk", "trust"];

/// All checks of readiness, in the order of [`CHECKS`].
pub fn ready(facts: &Facts, now: UnixMillis) -> Vec<Check> {
    let refusals = [store(facts), committer(facts), key(facts), disk(facts), trust(facts, now)];
    CHECKS.into_iter().zip(refusals).map(|(name, refusal)| Check { name, refusal }).collect()
}

/// The checks of liveness: a process that fails one of them should be started anew, or its disk be
/// looked at.
pub fn live(facts: &Facts) -> Vec<Check> {
    vec![Check { name: "committer", refusal: committer(facts) }]
}

/// The store's progress, whole per cent.
pub fn percent(bytes: u64, bytes_whole: u64) -> u64 {
    bytes.min(bytes_whole).saturating_mul(100).checked_div(bytes_whole).unwrap_or(0)
}

fn store(facts: &Facts) -> Option<Refusal> {
    match facts.store {
        Store::Open => None,
        Store::Opening => Some(Refusal::new(RefusalCode::Replaying, "stage=opening")),
        Store::Replaying { bytes, bytes_whole } => {
            let detail = format!("stage=replaying percent={}", percent(bytes, bytes_whole));
            Some(Refusal::new(RefusalCode::Replaying, detail))
        }
    }
}

fn committer(facts: &Facts) -> Option<Refusal> {
    if facts.committer_ended {
        return Some(RefusalCode::CommitterEnded.into());
    }
    let stalled = facts.commit_millis.filter(|millis| *millis > COMMIT_STALL_MILLIS)?;
    Some(Refusal::new(RefusalCode::CommitterStalled, format!("ms={stalled}")))
}

fn key(facts: &Facts) -> Option<Refusal> {
    match facts.key {
        KeyState::Signs => None,
        KeyState::Unasked => Some(Refusal::new(RefusalCode::KeySilent, "not asked yet")),
        KeyState::Silent => Some(RefusalCode::KeySilent.into()),
    }
}

/// What is wrong with the disk, for readiness and alarms alike.
pub(super) fn disk(facts: &Facts) -> Option<Refusal> {
    let disk = &facts.disk;
    if disk.state == DiskState::Normal && !disk.full {
        return None;
    }
    let free = disk.free_bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
    let (state, low) = (disk.state.name(), disk.low_bytes);
    let detail = format!("state={state} free_bytes={free} limit_bytes={low}");
    Some(Refusal::new(RefusalCode::StoreFull, detail))
}

fn trust(facts: &Facts, now: UnixMillis) -> Option<Refusal> {
    let refused = facts.certificates.iter().find_map(|certificate| {
        let code = certificate.refused?;
        let detail = format!("certificate={} code={code}", certificate.which.name());
        Some(Refusal::new(RefusalCode::CertificateRefused, detail))
    });
    // A stale list is the more telling of the two: it makes the own certificate fail as well.
    let now = i64::try_from(now.0).unwrap_or(i64::MAX);
    let stale = facts.trust.iter().find(|trust| now > trust.counts_until_ms).map(|trust| {
        let detail = format!("domain={} grace=over", trust.domain);
        Refusal::new(RefusalCode::TrustStale, detail)
    });
    stale.or(refused)
}

#[cfg(test)]
mod tests {
    use super::super::facts::example::{DAY, NOW, well};
    use super::*;

    fn codes(facts: &Facts, now: UnixMillis) -> Vec<(&'static str, RefusalCode)> {
        let checks = ready(facts, now);
        checks.into_iter().filter_map(|check| Some((check.name, check.refusal?.code))).collect()
    }

    #[test]
    fn a_node_that_is_well_is_ready_and_live() {
        assert_eq!(codes(&well(), NOW), []);
        assert_eq!(ready(&well(), NOW).len(), CHECKS.len());
        assert!(live(&well()).iter().all(|check| check.refusal.is_none()));
    }

    #[test]
    fn each_fact_that_is_wrong_fails_its_own_check_with_its_own_code() {
        type Wrong = (&'static str, RefusalCode, fn(&mut Facts));
        let wrong: [Wrong; 10] = [
            ("store", RefusalCode::Replaying, |facts| facts.store = Store::Opening),
            ("store", RefusalCode::Replaying, |facts| {
                facts.store = Store::Replaying { bytes: 1, bytes_whole: 2 };
            }),
            ("committer", RefusalCode::CommitterEnded, |facts| facts.committer_ended = true),
            ("committer", RefusalCode::CommitterStalled, |facts| {
                facts.commit_millis = Some(COMMIT_STALL_MILLIS + 1);
            }),
            ("key", RefusalCode::KeySilent, |facts| facts.key = KeyState::Silent),
            ("key", RefusalCode::KeySilent, |facts| facts.key = KeyState::Unasked),
            ("disk", RefusalCode::StoreFull, |facts| facts.disk.full = true),
            ("disk", RefusalCode::StoreFull, |facts| facts.disk.state = DiskState::Low),
            ("disk", RefusalCode::StoreFull, |facts| facts.disk.state = DiskState::Spent),
            ("trust", RefusalCode::CertificateRefused, |facts| {
                facts.certificates[0].refused = Some("trust.revoked");
            }),
        ];
        for (name, code, spoil) in wrong {
            let mut facts = well();
            spoil(&mut facts);
            assert_eq!(codes(&facts, NOW), [(name, code)]);
        }
    }

    #[test]
    fn the_disk_is_judged_once_by_the_node_and_not_again_by_its_free_bytes() {
        let mut facts = well();
        // Between the limit and a quarter above it, the node's own state decides.
        facts.disk.free_bytes = Some(facts.disk.low_bytes + 1);
        assert_eq!(codes(&facts, NOW), []);
        facts.disk.state = DiskState::Low;
        assert_eq!(codes(&facts, NOW), [("disk", RefusalCode::StoreFull)]);
        let detail = disk(&facts).unwrap().detail;
        assert_eq!(detail, "state=low free_bytes=1073741825 limit_bytes=1073741824");
    }

    #[test]
    fn a_list_out_of_date_makes_a_node_unready_only_after_its_grace() {
        let facts = well();
        let at = |days: i64| UnixMillis(NOW.0 + (days * DAY) as u64);
        assert_eq!(codes(&facts, at(2)), [], "past nextUpdate, within the grace");
        assert_eq!(codes(&facts, at(3)), [], "the last instant of the grace");
        let after = UnixMillis(at(3).0 + 1);
        assert_eq!(codes(&facts, after), [("trust", RefusalCode::TrustStale)]);
    }

    #[test]
    fn a_commit_that_takes_long_is_no_stall_up_to_the_limit() {
        let facts = Facts { commit_millis: Some(COMMIT_STALL_MILLIS), ..well() };
        assert_eq!(codes(&facts, NOW), []);
    }

    #[test]
    fn a_node_that_replays_is_live() {
        let facts = Facts { store: Store::Replaying { bytes: 3, bytes_whole: 4 }, ..well() };
        assert!(live(&facts).iter().all(|check| check.refusal.is_none()));
        let detail = ready(&facts, NOW)[0].refusal.clone().unwrap().detail;
        assert!(detail.contains("percent=75"), "{detail}");
        assert_eq!(percent(1, 0), 0);
        assert_eq!(percent(9, 4), 100);
    }
}
