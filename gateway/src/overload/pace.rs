//! A partner that takes entries sets the pace of who submits to it, once many wait for its receipt. A
//! node that takes more than it can pass on spends its disk and its processor on a log that only grows,
//! and what it takes gets its receipt later and later.
//!
//! While no link stands nothing is held back here: the log on disk is the queue for a partner that is
//! away. What gathered meanwhile may stand when it comes back: then one entry less may wait for every
//! [`DRAIN_SHARE`] receipts, so that submitters go on at nearly the partner's pace while it catches up.

use crate::limits::ONWARD_ENTRIES_MAX;

/// Of so many receipts one makes the log to the partner shorter; the others make room for something new.
pub const DRAIN_SHARE: u64 = 8;

/// The log to a partner at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onward {
    /// A link to the partner stands.
    pub linked: bool,
    /// Entries of the log.
    pub size: u64,
    /// Entries below its newest receipt.
    pub receipted: u64,
}

impl Onward {
    /// Entries that wait for a receipt.
    pub fn waiting(self) -> u64 {
        self.size.saturating_sub(self.receipted)
    }
}

/// How many entries may wait for the receipt of one partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    allowed: u64,
    /// Receipts that are accounted for.
    receipted: u64,
}

impl Pace {
    /// The pace at this moment, and whether something new may be taken now.
    pub fn at(self, onward: Onward) -> (Self, bool) {
        let Onward { linked, receipted, .. } = onward;
        let waiting = onward.waiting();
        // The first look after a start finds what was there before.
        if !linked || self == Self::default() {
            let allowed = waiting.max(ONWARD_ENTRIES_MAX);
            return (Self { allowed, receipted }, !linked || waiting < allowed);
        }
        let fewer = receipted.saturating_sub(self.receipted) / DRAIN_SHARE;
        let allowed = self.allowed.saturating_sub(fewer).max(ONWARD_ENTRIES_MAX);
        // Receipts that are not enough for one entry less count with the next ones.
        (Self { allowed, receipted: self.receipted + fewer * DRAIN_SHARE }, waiting < allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = ONWARD_ENTRIES_MAX;

    fn linked(size: u64, receipted: u64) -> Onward {
        Onward { linked: true, size, receipted }
    }

    #[test]
    fn a_partner_that_takes_nothing_is_waited_for_up_to_the_limit_and_one_receipt_makes_room_for_one() {
        let (pace, free) = Pace::default().at(linked(10, 10));
        assert!(free);
        let (pace, free) = pace.at(linked(10 + MOST - 1, 10));
        assert!(free);
        let (pace, free) = pace.at(linked(10 + MOST, 10));
        assert!(!free);
        let (_, free) = pace.at(linked(10 + MOST, 11));
        assert!(free);
    }

    #[test]
    fn a_partner_that_is_away_holds_nobody_back() {
        let away = |size| Onward { linked: false, size, receipted: 0 };
        let mut pace = Pace::default();
        for size in [0, MOST, 100 * MOST] {
            let free;
            (pace, free) = pace.at(away(size));
            assert!(free, "{size}");
        }
    }

    #[test]
    fn what_gathered_while_it_was_away_drains_while_submitters_go_on() {
        let gathered = 1_000_000;
        let (mut pace, _) = Pace::default().at(Onward { linked: false, size: gathered, receipted: 0 });
        let (mut size, mut receipted, mut refused) = (gathered, 0, 0);
        // Each round the partner takes a batch, and twice as many ask.
        while size - receipted > MOST {
            receipted += 500;
            for _ in 0..1000 {
                let free;
                (pace, free) = pace.at(linked(size, receipted));
                size += u64::from(free);
                refused += u64::from(!free);
            }
            assert!(receipted < 10 * gathered, "it drains: {} wait", size - receipted);
        }
        let taken = size - gathered;
        assert!(taken * 100 >= receipted * 85, "{taken} taken, {receipted} receipts");
        assert!(refused > 0);
        // From here on the pace is the partner's.
        let (_, free) = pace.at(linked(size + MOST, receipted));
        assert!(!free);
    }

    #[test]
    fn receipts_that_come_one_by_one_drain_as_well() {
        let start = 10 * MOST;
        let (mut pace, _) = Pace::default().at(linked(start, 0));
        for receipted in 0..8 * MOST {
            (pace, _) = pace.at(linked(start, receipted));
        }
        assert_eq!(pace.allowed, 9 * MOST + 1);
    }

    #[test]
    fn a_start_with_a_long_log_takes_new_entries_with_the_first_receipts() {
        let (pace, free) = Pace::default().at(linked(50 * MOST, 0));
        assert!(!free, "not one more than waits");
        let (_, free) = pace.at(linked(50 * MOST, 2));
        assert!(free);
    }
}
