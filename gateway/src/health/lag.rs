//! How long the oldest entry of a log has waited for its receipt, from looks at the log's size: nothing
//! is kept for each entry, and nothing is read from the disk, except about entries that were waiting
//! already at the first look.

use crate::limits::LAG_MARKS_MAX;
use crate::time::UnixMillis;
use std::collections::VecDeque;

/// The looks at one log.
#[derive(Debug, Clone, Default)]
pub struct Lag {
    /// Entries below the first look's size, whose time is in their headers.
    before: Option<Before>,
    /// Sizes with the moment at which they were first seen, ascending in both.
    marks: VecDeque<(u64, UnixMillis)>,
    size: u64,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    size: u64,
    /// The last answer: entry, its time.
    oldest: Option<(u64, UnixMillis)>,
}

impl Lag {
    /// One look: the log has `size` entries, and the first `receipted` of them a receipt. `created` tells
    /// when an entry was created; it is asked only about entries that stood before the first look.
    ///
    /// Returns since when the oldest entry without a receipt waits, to about the time between two looks;
    /// nothing when all have theirs.
    pub fn look(
        &mut self,
        size: u64,
        receipted: u64,
        now: UnixMillis,
        created: impl FnOnce(u64) -> Option<UnixMillis>,
    ) -> Option<UnixMillis> {
        let before = self.before.get_or_insert_with(|| {
            self.size = size;
            Before { size, oldest: None }
        });
        if size > self.size {
            self.size = size;
            if self.marks.len() == LAG_MARKS_MAX {
                thin_out(&mut self.marks);
            }
            self.marks.push_back((size, now));
        }
        while self.marks.front().is_some_and(|(end, _)| *end <= receipted) {
            self.marks.pop_front();
        }
        if receipted >= size {
            return None;
        }
        if receipted >= before.size {
            return self.marks.front().map(|(_, at)| *at);
        }
        if before.oldest.is_none_or(|(entry, _)| entry != receipted) {
            before.oldest = Some((receipted, created(receipted).unwrap_or(now)));
        }
        before.oldest.map(|(_, at)| at)
    }
}

/// Joins neighbours, keeping the earlier time: an age is then too great rather than too small.
fn thin_out(marks: &mut VecDeque<(u64, UnixMillis)>) {
    let joined = marks.make_contiguous().chunks(2).map(|pair| (pair[pair.len() - 1].0, pair[0].1)).collect();
    *marks = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unasked(_: u64) -> Option<UnixMillis> {
        panic!("the disk is not asked")
    }

    #[test]
    fn the_age_is_that_of_the_oldest_entry_without_a_receipt() {
        let mut lag = Lag::default();
        assert_eq!(lag.look(0, 0, UnixMillis(1_000), unasked), None);
        assert_eq!(lag.look(5, 0, UnixMillis(2_000), unasked), Some(UnixMillis(2_000)));
        assert_eq!(lag.look(9, 0, UnixMillis(3_000), unasked), Some(UnixMillis(2_000)));
        assert_eq!(lag.look(9, 4, UnixMillis(4_000), unasked), Some(UnixMillis(2_000)));
        assert_eq!(lag.look(9, 5, UnixMillis(5_000), unasked), Some(UnixMillis(3_000)));
        assert_eq!(lag.look(9, 9, UnixMillis(6_000), unasked), None);
        assert_eq!(lag.look(10, 9, UnixMillis(7_000), unasked), Some(UnixMillis(7_000)));
    }

    #[test]
    fn what_waited_before_the_first_look_has_the_age_that_its_header_says() {
        let mut lag = Lag::default();
        let created = |entry: u64| Some(UnixMillis(100 + entry));
        assert_eq!(lag.look(8, 3, UnixMillis(9_000), created), Some(UnixMillis(103)));
        assert_eq!(lag.look(8, 3, UnixMillis(9_500), unasked), Some(UnixMillis(103)), "asked once an entry");
        assert_eq!(lag.look(8, 7, UnixMillis(9_600), created), Some(UnixMillis(107)));
        assert_eq!(lag.look(9, 8, UnixMillis(9_700), unasked), Some(UnixMillis(9_700)));
    }

    #[test]
    fn marks_are_bounded_and_the_age_never_becomes_too_small() {
        let mut lag = Lag::default();
        assert_eq!(lag.look(0, 0, UnixMillis(0), unasked), None);
        let looks = 10 * LAG_MARKS_MAX as u64;
        for look in 1..=looks {
            lag.look(look, 0, UnixMillis(look), unasked);
            assert!(lag.marks.len() <= LAG_MARKS_MAX);
        }
        for receipted in 0..looks {
            let since = lag.look(looks, receipted, UnixMillis(looks), unasked).unwrap();
            assert!(since.0 <= receipted + 1, "entry {receipted} was first seen at {}", receipted + 1);
        }
    }
}
