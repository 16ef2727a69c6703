//! When to come back: whoever is refused for want of room is given a turn in a line that moves as fast as
//! entries are taken. With one fixed pause all of them would come at once, again and again, and refusing
//! them would cost more than taking them.

use crate::limits::{RETRY_LINE_MILLIS_MAX, RETRY_QUEUE_MILLIS};
use crate::time::UnixMillis;

/// Milliseconds over which the rate is counted.
const WINDOW_MILLIS: u64 = 1_000;
/// The rate that a line has at least, entries a second: a node that is full without taking anything says
/// little about how fast it will be when it goes on.
const RATE_LEAST: u64 = 100;

/// A line of those who were refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// Entries a second in the last whole window.
    rate: u64,
    /// Since when it is counted, and how many were taken since.
    since: UnixMillis,
    taken: u64,
    /// When the last who was told a time has passed, µs since 1970.
    end_micros: u64,
}

impl Hints {
    /// So many entries were taken.
    pub fn took(&mut self, now: UnixMillis, entries: u64) {
        self.taken += entries;
        let passed = now.millis_since(self.since);
        if passed >= WINDOW_MILLIS {
            self.rate = self.taken.saturating_mul(1000) / passed;
            (self.since, self.taken) = (now, 0);
        }
    }

    /// Milliseconds that the next so many entries shall wait: at least [`RETRY_QUEUE_MILLIS`], at most
    /// [`RETRY_LINE_MILLIS_MAX`].
    pub fn wait(&mut self, now: UnixMillis, entries: u64) -> u64 {
        let micros = |millis: u64| millis.saturating_mul(1000);
        let now = micros(now.0);
        let latest = now.saturating_add(micros(RETRY_LINE_MILLIS_MAX));
        // A clock that was set back must not leave a line without end.
        let turn = self.end_micros.max(now.saturating_add(micros(RETRY_QUEUE_MILLIS))).min(latest);
        let lasts = entries.saturating_mul(1_000_000) / self.rate.max(RATE_LEAST);
        self.end_micros = turn.saturating_add(lasts).min(latest);
        (turn - now).div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_700_000_000_000);

    fn at_a_rate(entries_per_s: u64) -> Hints {
        let mut turns = Hints::default();
        turns.took(START, 0);
        turns.took(START.plus_millis(1000), entries_per_s);
        turns
    }

    #[test]
    fn those_who_are_refused_come_back_no_faster_than_entries_are_taken() {
        let (mut turns, now) = (at_a_rate(20_000), START.plus_millis(1000));
        let waits: Vec<_> = (0..1000).map(|_| turns.wait(now, 32)).collect();
        assert_eq!(waits[0], RETRY_QUEUE_MILLIS);
        assert!(waits.is_sorted());
        let within = |millis: u64| waits.iter().filter(|wait| **wait < millis).count() as u64 * 32;
        // The first pause, and then a second's worth in each second.
        let second = within(RETRY_QUEUE_MILLIS + 1000);
        assert!((19_900..=20_100).contains(&second), "{second}");
    }

    #[test]
    fn a_line_that_nobody_stands_in_any_more_is_gone_by_itself_and_none_is_longer_than_the_limit() {
        let (mut turns, now) = (at_a_rate(1000), START.plus_millis(1000));
        assert!((0..10_000).all(|_| turns.wait(now, 1000) <= RETRY_LINE_MILLIS_MAX));
        assert_eq!(turns.wait(now, 1), RETRY_LINE_MILLIS_MAX);
        let later = now.plus_millis(RETRY_LINE_MILLIS_MAX);
        assert_eq!(turns.wait(later, 1), RETRY_QUEUE_MILLIS);
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_no_line_behind() {
        let mut turns = at_a_rate(1000);
        turns.wait(START.plus_millis(1_000_000), 1);
        assert!(turns.wait(START, 1) <= RETRY_LINE_MILLIS_MAX);
        assert!(turns.wait(START, 1) <= RETRY_LINE_MILLIS_MAX);
    }
}
