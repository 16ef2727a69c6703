//! Who goes first when more waits than one commit takes. What finishes something (receipts, cursors,
//! an operator's word) passes what begins something: a receipt gives a link its credit back, so
//! behind ten thousand submissions it would hold up the delivery of all of them. A partner's entries and
//! own submissions take turns by their number, so that neither side's flood starves the other. Within
//! each lane the order is the order of asking.

use super::Command;
use crate::limits::BATCH_ENTRIES_MAX;
use std::collections::VecDeque;

/// By how many entries one side can fall behind the other and still catch up: a full batch, so that no
/// debt of a flood that is long over is paid later.
const AHEAD_ENTRIES_MAX: i64 = BATCH_ENTRIES_MAX as i64;

/// Which lane a command waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Finishes what was taken, or is a person's. Short, and bounded by credit or by its asker's waiting.
    Finish,
    /// A partner's entries.
    Receive,
    /// Something new of this node; and contact, which divides what is staged from what is not.
    Submit,
    /// The last word: after everything else.
    Last,
}

impl Lane {
    /// Where a command waits.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Receipt { .. }
            | Command::Acknowledge { .. }
            | Command::SigningKey { .. }
            | Command::BlobStored { .. }
            | Command::GiveBlobsUp { .. }
            | Command::BlobsRemoved { .. }
            | Command::Resume { .. }
            | Command::Look { .. } => Self::Finish,
            Command::Receive { .. } | Command::Restore { .. } => Self::Receive,
            Command::Submit { .. }
            | Command::SubmitMany { .. }
            | Command::Contact { .. }
            | Command::PutLicence { .. } => Self::Submit,
            Command::Settle { .. } => Self::Last,
        }
    }
}

/// Entries that a command brings.
fn entries(command: &Command) -> usize {
    match command {
        Command::Receive { batch, .. } | Command::Restore { batch, .. } => batch.entries().len(),
        Command::SubmitMany { submissions, .. } => submissions.len(),
        _ => 1,
    }
}

/// What waits for its commit: commands, and in tests anything.
#[derive(Debug)]
pub struct Lanes<T = Command> {
    finish: VecDeque<T>,
    receive: VecDeque<(i64, T)>,
    submit: VecDeque<(i64, T)>,
    last: VecDeque<T>,
    /// Entries that were received while submissions waited, less those submitted while batches did.
    ahead: i64,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self {
            finish: VecDeque::new(),
            receive: VecDeque::new(),
            submit: VecDeque::new(),
            last: VecDeque::new(),
            ahead: 0,
        }
    }
}

impl<T> Lanes<T> {
    /// Takes something that brings so many entries, behind what its lane holds.
    pub fn put(&mut self, lane: Lane, entries: usize, what: T) {
        let entries = i64::try_from(entries.max(1)).unwrap_or(i64::MAX);
        match lane {
            Lane::Finish => self.finish.push_back(what),
            Lane::Receive => self.receive.push_back((entries, what)),
            Lane::Submit => self.submit.push_back((entries, what)),
            Lane::Last => self.last.push_back(what),
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.owed() + self.submissions() == 0
    }

    /// How many wait that are no submissions.
    pub fn owed(&self) -> usize {
        self.finish.len() + self.receive.len() + self.last.len()
    }

    /// How many submissions wait.
    pub fn submissions(&self) -> usize {
        self.submit.len()
    }

    /// Whose turn it is.
    pub fn pop_front(&mut self) -> Option<T> {
        if let Some(what) = self.finish.pop_front() {
            return Some(what);
        }
        let both = !self.receive.is_empty() && !self.submit.is_empty();
        if !both {
            self.ahead = 0;
        }
        let receives = !self.receive.is_empty() && self.ahead <= 0;
        let lane = if receives { &mut self.receive } else { &mut self.submit };
        let Some((entries, what)) = lane.pop_front() else { return self.last.pop_front() };
        if both {
            let moved = self.ahead.saturating_add(if receives { entries } else { -entries });
            self.ahead = moved.clamp(-AHEAD_ENTRIES_MAX, AHEAD_ENTRIES_MAX);
        }
        Some(what)
    }
}

impl Lanes {
    /// A command takes its place.
    pub fn push(&mut self, command: Command) {
        self.put(Lane::of(&command), entries(&command), command);
    }
}

impl FromIterator<Command> for Lanes {
    fn from_iter<T: IntoIterator<Item = Command>>(commands: T) -> Self {
        let mut lanes = Self::default();
        commands.into_iter().for_each(|command| lanes.push(command));
        lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mut lanes: Lanes<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| lanes.pop_front()).collect()
    }

    #[test]
    fn a_receipt_passes_every_submission_and_the_end_of_the_node_passes_nothing() {
        let mut lanes = Lanes::default();
        lanes.put(Lane::Submit, 1, "first");
        lanes.put(Lane::Last, 1, "settle");
        lanes.put(Lane::Submit, 32, "second");
        lanes.put(Lane::Receive, 8, "batch");
        lanes.put(Lane::Finish, 1, "receipt");
        assert_eq!((lanes.owed(), lanes.submissions()), (3, 2));
        assert_eq!(taken(lanes), ["receipt", "batch", "first", "second", "settle"]);
    }

    #[test]
    fn both_floods_get_half_of_the_entries_whatever_their_pieces() {
        for (batch, submission) in [(512, 1), (512, 32), (1, 1024), (100, 100)] {
            let mut lanes = Lanes::default();
            for _ in 0..100_000 / batch {
                lanes.put(Lane::Receive, batch, batch as i64);
            }
            for _ in 0..100_000 / submission {
                lanes.put(Lane::Submit, submission, -(submission as i64));
            }
            let (mut received, mut submitted) = (0, 0);
            while received < 50_000 && submitted < 50_000 {
                match lanes.pop_front().expect("both are long") {
                    entries @ 0.. => received += entries,
                    entries => submitted -= entries,
                }
                let piece = batch.max(submission) as i64;
                assert!((received - submitted).abs() <= 2 * piece, "{received} and {submitted}");
            }
        }
    }

    #[test]
    fn who_was_alone_for_long_owes_nothing_when_the_other_comes() {
        let mut lanes = Lanes::default();
        for _ in 0..1000 {
            lanes.put(Lane::Submit, 100, "submission");
        }
        assert_eq!((0..900).filter_map(|_| lanes.pop_front()).count(), 900);
        lanes.put(Lane::Receive, 512, "batch");
        lanes.put(Lane::Receive, 512, "batch");
        assert_eq!(lanes.pop_front(), Some("batch"));
        let turns = (0..6).filter_map(|_| lanes.pop_front());
        assert!(turns.into_iter().all(|turn| turn == "submission"), "they make up for the batch");
        assert_eq!(lanes.pop_front(), Some("batch"));
    }
}
