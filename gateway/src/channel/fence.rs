//! Which of two links to one peer stands, and on which of them a copy takes batches.
//!
//! The newest link stands, by its name. Both ends judge by the same names, so they keep the same link
//! however the two came about.
//!
//! A name is a clock's word, and ending a link takes a moment; so it does not decide what a copy takes. A
//! copy that was stated as so long must not grow by what an older life of the peer's process had sent: the
//! peer may have lost its store in between, may have heard the statement, and may be about to sign other
//! entries in the same places ([`Statements`]).

use crate::limits::STATEMENTS_KEPT_MAX;
use std::collections::VecDeque;

/// Bytes of a link's name: the dialler's Unix ms, big endian, and 16 random bytes.
pub const LINK_NAME_BYTES: usize = 24;

/// A link's name, which orders the links between two nodes.
pub type LinkName = [u8; LINK_NAME_BYTES];

/// What becomes of a link that has just opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fencing {
    /// It stands, and fences the one that stood.
    Stands,
    /// A newer one stands already: it ends.
    GivesWay,
}

/// Judges a link that has just opened against the one that stands, if one does. A second link of the same
/// name is no newer one.
pub fn judge(standing: Option<&LinkName>, opened: &LinkName) -> Fencing {
    if standing.is_some_and(|standing| standing >= opened) { Fencing::GivesWay } else { Fencing::Stands }
}

/// Counts the links of a node as they come to state its copies, from 1.
pub type Turn = u64;

/// One life of a peer's process, from its start to its end: 16 random bytes that its Opens bear.
pub type Life = [u8; 16];

/// To whom a copy was stated, oldest first: the turn of the link and, once its Open was read, the life of
/// the process at its other end. Of this process, not of the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statements(VecDeque<(Turn, Option<Life>)>);

impl Statements {
    /// The copy is about to be stated on the link of `turn`; who accepted it knows `to` whom. False when it
    /// was stated on a later link: then it must not be.
    pub fn state(&mut self, turn: Turn, to: Option<Life>) -> bool {
        if self.0.back().is_some_and(|(last, _)| *last >= turn) {
            return false;
        }
        self.0.push_back((turn, to));
        while self.0.len() > STATEMENTS_KEPT_MAX {
            self.0.pop_front();
        }
        true
    }

    /// The Open of the link's other end was read.
    pub fn heard(&mut self, turn: Turn, life: Life) {
        for (stated, to) in &mut self.0 {
            if *stated == turn {
                *to = Some(life);
            }
        }
    }

    /// Whether a batch that came on the link of `turn` may be taken: everything that was stated later was
    /// stated to the same life of the peer. One that nobody has answered yet may have been stated to another.
    pub fn takes_from(&self, turn: Turn) -> bool {
        let mut later = self.0.iter().skip_while(|(stated, _)| *stated != turn);
        let Some((_, Some(life))) = later.next() else { return false };
        later.all(|(_, to)| *to == Some(*life))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stated_to_a_new_life_takes_nothing_from_an_older_one() {
        let (old, new) = ([1; 16], [2; 16]);
        let mut statements = Statements::default();
        assert!(!statements.takes_from(1), "it was never stated");
        assert!(statements.state(1, Some(old)));
        assert!(statements.takes_from(1));
        assert!(statements.state(2, None));
        assert!(!statements.takes_from(1), "who dials does not know yet whom it told");
        assert!(!statements.takes_from(2));
        let mut same = statements.clone();
        same.heard(2, old);
        assert!(same.takes_from(1) && same.takes_from(2), "two links of one life dialled at once");
        statements.heard(2, new);
        assert!(!statements.takes_from(1) && statements.takes_from(2));
        assert!(!statements.state(1, Some(old)), "an older link states nothing any more");
    }

    #[test]
    fn a_link_that_is_forgotten_takes_nothing() {
        let mut statements = Statements::default();
        for turn in 0..=STATEMENTS_KEPT_MAX as Turn {
            assert!(statements.state(turn + 1, Some([1; 16])));
        }
        assert!(!statements.takes_from(1));
        assert!(statements.takes_from(2));
    }

    #[test]
    fn the_newest_name_stands_and_an_equal_one_is_not_newer() {
        let (older, newer) = ([1; LINK_NAME_BYTES], [2; LINK_NAME_BYTES]);
        assert_eq!(judge(None, &older), Fencing::Stands);
        assert_eq!(judge(Some(&older), &newer), Fencing::Stands);
        assert_eq!(judge(Some(&newer), &older), Fencing::GivesWay);
        assert_eq!(judge(Some(&newer), &newer), Fencing::GivesWay);
    }
}
