//! Quotas: token buckets of entries and bytes, one pair for each partner or submitter.
//!
//! A bucket holds at most one second of its rate. Whoever has anything left may go on and is charged in
//! full, if need be into debt, so that one large batch passes a small bucket; whoever has nothing left
//! waits until the debt is paid. A bucket that is full says nothing that a new one would not, so it can
//! be forgotten: that bounds their number.

use crate::time::UnixMillis;
use std::collections::HashMap;
use std::hash::Hash;

/// How much may come, on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Entries a second, at least 1.
    pub entries_per_s: u64,
    /// Bytes a second, at least 1.
    pub bytes_per_s: u64,
}

/// A level in thousandths of a token, so that whole milliseconds add whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    thousandths: i128,
    per_s: u64,
}

impl Level {
    fn full(per_s: u64) -> Self {
        Self { thousandths: i128::from(per_s) * 1000, per_s }
    }

    fn add(&mut self, millis: u64) {
        let most = i128::from(self.per_s) * 1000;
        self.thousandths = most.min(self.thousandths + i128::from(self.per_s) * i128::from(millis));
    }

    /// Milliseconds until something is left.
    fn wait(self) -> u64 {
        if self.thousandths > 0 {
            return 0;
        }
        let millis = -self.thousandths / i128::from(self.per_s.max(1)) + 1;
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}

/// One partner's or submitter's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    entries: Level,
    bytes: Level,
    at: UnixMillis,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, now: UnixMillis) -> Self {
        Self { entries: Level::full(rate.entries_per_s), bytes: Level::full(rate.bytes_per_s), at: now }
    }

    /// Charges for `entries` and `bytes`, or says how many milliseconds to wait first. A clock that went
    /// back adds nothing.
    ///
    /// # Errors
    /// The wait, at least 1 ms; nothing was charged.
    pub fn take(&mut self, now: UnixMillis, entries: u64, bytes: u64) -> Result<(), u64> {
        let passed = now.millis_since(self.at);
        self.at = now;
        self.entries.add(passed);
        self.bytes.add(passed);
        match self.entries.wait().max(self.bytes.wait()) {
            0 => {
                self.entries.thousandths -= i128::from(entries) * 1000;
                self.bytes.thousandths -= i128::from(bytes) * 1000;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Takes a charge back that came to nothing.
    pub fn give_back(&mut self, entries: u64, bytes: u64) {
        let back = |level: &mut Level, count: u64| {
            let most = i128::from(level.per_s) * 1000;
            level.thousandths = most.min(level.thousandths + i128::from(count) * 1000);
        };
        back(&mut self.entries, entries);
        back(&mut self.bytes, bytes);
    }

    fn is_full(mut self, now: UnixMillis) -> bool {
        let passed = now.millis_since(self.at);
        self.entries.add(passed);
        self.bytes.add(passed);
        self.entries == Level::full(self.entries.per_s) && self.bytes == Level::full(self.bytes.per_s)
    }
}

/// The buckets of all partners, or of all submitters.
#[derive(Debug)]
pub struct Quotas<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
    most: usize,
    /// For whoever comes when `most` have buckets that are in use.
    others: Option<Bucket>,
}

impl<K: Eq + Hash> Quotas<K> {
    /// No buckets yet; never more than `most`.
    pub fn new(rate: Rate, most: usize) -> Self {
        Self { rate, buckets: HashMap::new(), most, others: None }
    }

    /// Charges `key`, as [`Bucket::take`].
    ///
    /// # Errors
    /// As there.
    pub fn take(&mut self, key: K, now: UnixMillis, entries: u64, bytes: u64) -> Result<(), u64> {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            return bucket.take(now, entries, bytes);
        }
        if self.buckets.len() >= self.most {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let new = Bucket::new(self.rate, now);
        if self.buckets.len() < self.most {
            self.buckets.entry(key).or_insert(new).take(now, entries, bytes)
        } else {
            self.others.get_or_insert(new).take(now, entries, bytes)
        }
    }

    /// Takes a charge of `key` back that came to nothing. A bucket that was forgotten meanwhile was full.
    pub fn give_back(&mut self, key: &K, entries: u64, bytes: u64) {
        if let Some(bucket) = self.buckets.get_mut(key).or(self.others.as_mut()) {
            bucket.give_back(entries, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { entries_per_s: 10, bytes_per_s: 1000 };
    const START: UnixMillis = UnixMillis(1_000_000);

    fn at(millis: u64) -> UnixMillis {
        START.plus_millis(millis)
    }

    #[test]
    fn the_rate_holds_over_time_whatever_the_pieces() {
        for (entries, bytes) in [(1, 1), (3, 10), (1, 400)] {
            let mut bucket = Bucket::new(RATE, START);
            let (mut now, mut taken) = (START, (0, 0));
            while now < at(60_000) {
                match bucket.take(now, entries, bytes) {
                    Ok(()) => taken = (taken.0 + entries, taken.1 + bytes),
                    Err(wait) => now = now.plus_millis(wait),
                }
            }
            // A minute's worth, the second that was in the bucket, and one piece of debt.
            assert!(taken.0 <= 610 + entries && taken.1 <= 61_000 + bytes, "{taken:?}");
            assert!(taken.0 >= 590 || taken.1 >= 59_000, "and no less than the rate: {taken:?}");
        }
    }

    #[test]
    fn whoever_waits_as_told_is_let_in_and_not_a_millisecond_before() {
        let mut bucket = Bucket::new(RATE, START);
        assert_eq!(bucket.take(START, 4096, 1), Ok(()), "a batch larger than the bucket passes once");
        let wait = bucket.take(START, 1, 1).expect_err("in debt");
        assert!(bucket.take(at(wait - 1), 1, 1).is_err());
        assert_eq!(bucket.take(at(wait), 1, 1), Ok(()));
    }

    #[test]
    fn what_came_to_nothing_is_given_back_and_no_more() {
        let mut quotas = Quotas::new(RATE, 1);
        quotas.take("a", START, 11, 1).expect("full");
        assert!(quotas.take("a", START, 1, 1).is_err());
        quotas.give_back(&"a", 11, 1);
        quotas.take("a", START, 10, 1).expect("as if nothing had been");
        assert!(quotas.take("a", START, 1, 1).is_err());
        quotas.give_back(&"a", 1_000_000, 1_000_000);
        quotas.take("a", START, 11, 1).expect("full, and not fuller");
        assert!(quotas.take("a", START, 1, 1).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = Bucket::new(RATE, START);
        bucket.take(START, 20, 1).expect("full");
        assert!(bucket.take(UnixMillis(0), 1, 1).is_err());
        assert!(bucket.take(UnixMillis(1), 1, 1).is_err());
    }

    #[test]
    fn one_waits_for_itself_alone_and_names_without_end_share_one_bucket() {
        let mut quotas = Quotas::new(RATE, 2);
        quotas.take("a", START, 11, 1).expect("full");
        assert!(quotas.take("a", START, 1, 1).is_err());
        quotas.take("b", START, 11, 1).expect("b has its own");
        quotas.take("c", START, 11, 1).expect("the others' bucket is full");
        assert!(quotas.take("d", START, 1, 1).is_err(), "d shares it with c");
        assert_eq!(quotas.buckets.len(), 2);
        // Idle ones are forgotten, and make room.
        quotas.take("d", at(10_000), 1, 1).expect("has room");
        assert!(quotas.buckets.len() <= 2);
    }
}
