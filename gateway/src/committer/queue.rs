//! Commands that wait for the next commit, in the order in which they will be taken: by turns between
//! channels ([`Turns`]), so that a flood in one delays no lone message of another by more than a command.
//!
//! Within one channel and one direction nothing overtakes; a batch for several channels keeps its place
//! in each of them. What one commit takes of it is a [`Share`].

use super::Command;
use crate::channel::turns::Turns;
use crate::id::NodeId;
use crate::limits::{COMMIT_COMMANDS_MAX, COMMIT_JUDGING_MICROS, COMPANY_MILLIS, LONE_WEIGHT_MAX};
use crate::time::UnixMillis;
use std::collections::{HashMap, VecDeque};

/// What a command concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Lane {
    /// Submissions to a peer.
    To(NodeId),
    /// A peer's batches, contact and what it gives back.
    From(NodeId),
    /// No channel.
    Own,
}

impl Lane {
    fn peer(self) -> Option<NodeId> {
        match self {
            Self::To(peer) | Self::From(peer) => Some(peer),
            Self::Own => None,
        }
    }
}

/// Commands that wait.
#[derive(Debug, Default)]
pub struct Queue {
    /// Receipts of peers. They come first: they wait for no disk, and give credit back.
    receipts: VecDeque<Command>,
    turns: Turns<Lane, (Vec<Lane>, Command)>,
    /// Those of them that are submissions.
    submissions: usize,
    /// Commands that concern each peer.
    peers: HashMap<NodeId, usize>,
}

impl Queue {
    /// Commands that wait.
    pub fn len(&self) -> usize {
        self.receipts.len() + self.turns.len()
    }

    /// Submissions that wait.
    pub fn submissions(&self) -> usize {
        self.submissions
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a command into its lane.
    pub fn push(&mut self, command: Command) {
        if matches!(command, Command::Receipt { .. }) {
            self.receipts.push_back(command);
            return;
        }
        self.submissions += usize::from(is_submission(&command));
        let (lanes, weight) = lanes(&command);
        for peer in lanes.iter().filter_map(|lane| lane.peer()) {
            *self.peers.entry(peer).or_default() += 1;
        }
        if matches!(command, Command::Settle { .. }) {
            self.turns.push_behind_all(Lane::Own, weight, (lanes, command));
        } else {
            self.turns.push(&lanes.clone(), weight, (lanes, command));
        }
    }

    /// Takes the next.
    pub fn pop(&mut self) -> Option<Command> {
        if let Some(receipt) = self.receipts.pop_front() {
            return Some(receipt);
        }
        let (lanes, command) = self.turns.pop()?;
        self.submissions -= usize::from(is_submission(&command));
        for peer in lanes.iter().filter_map(|lane| lane.peer()) {
            if let Some(count) = self.peers.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    self.peers.remove(&peer);
                }
            }
        }
        Some(command)
    }
}

impl FromIterator<Command> for Queue {
    fn from_iter<I: IntoIterator<Item = Command>>(commands: I) -> Self {
        let mut queue = Self::default();
        commands.into_iter().for_each(|command| queue.push(command));
        queue
    }
}

impl<const COUNT: usize> From<[Command; COUNT]> for Queue {
    fn from(commands: [Command; COUNT]) -> Self {
        commands.into_iter().collect()
    }
}

/// Something new of this node, and not what finishes or answers what there is; and contact, which keeps its
/// place among submissions.
pub(super) fn is_submission(command: &Command) -> bool {
    matches!(
        command,
        Command::Submit { .. }
            | Command::SubmitMany { .. }
            | Command::PutLicence { .. }
            | Command::Contact { .. }
    )
}

/// What a command concerns, each once, and what its turn weighs: about the entries to judge.
fn lanes(command: &Command) -> (Vec<Lane>, u64) {
    match command {
        Command::Submit { submission, .. } => (vec![Lane::To(submission.to)], 1),
        Command::SubmitMany { submissions, .. } => {
            let mut lanes = Vec::with_capacity(1);
            for submission in submissions {
                let lane = Lane::To(submission.to);
                if !lanes.contains(&lane) {
                    lanes.push(lane);
                }
            }
            if lanes.is_empty() {
                lanes.push(Lane::Own);
            }
            (lanes, submissions.len() as u64)
        }
        // Behind the batches of that peer: it is answered when they are on the disk.
        Command::State { peer, .. } => (vec![Lane::From(*peer)], 1),
        // It divides what is staged from what goes into the log at once.
        Command::Contact { statement, .. } => (vec![Lane::From(statement.peer), Lane::To(statement.peer)], 1),
        Command::Receive { batch, .. } => {
            (vec![Lane::From(batch.log().channel.from)], batch.entries().len() as u64)
        }
        Command::Restore { batch, .. } => {
            (vec![Lane::From(batch.log().channel.to)], batch.entries().len() as u64)
        }
        Command::Landed
        | Command::Receipt { .. }
        | Command::PutLicence { .. }
        | Command::BlobStored { .. }
        | Command::GiveBlobsUp { .. }
        | Command::BlobsRemoved { .. }
        | Command::Acknowledge { .. }
        | Command::SigningKey { .. }
        | Command::UseSigner { .. }
        | Command::Resume { .. }
        | Command::Look { .. }
        | Command::Settle { .. } => (vec![Lane::Own], 1),
    }
}

/// Remembers whether several channels are at work.
#[derive(Debug, Default)]
pub(super) struct Company {
    last: Option<NodeId>,
    until: UnixMillis,
}

impl Company {
    /// Whether commands of several peers wait now, or did within the last [`COMPANY_MILLIS`].
    pub(super) fn at_work(&mut self, queue: &Queue, now: UnixMillis) -> bool {
        let Some(peer) = queue.peers.keys().next() else { return now < self.until };
        let several = queue.peers.len() > 1;
        if several || self.last.is_some_and(|last| last != *peer) {
            self.until = now.plus_millis(COMPANY_MILLIS);
        }
        // Of several, none was the last.
        self.last = (!several).then_some(*peer);
        now < self.until
    }
}

/// What one commit takes.
#[derive(Debug)]
pub(super) struct Share {
    company: bool,
    taken: usize,
    receipts: bool,
    flood: bool,
}

impl Share {
    /// `company`: several channels are at work.
    pub(super) fn new(company: bool) -> Self {
        Self { company, taken: 0, receipts: false, flood: false }
    }

    /// The next command of this commit, which has judged for `spent` µs; `landing`: the one before is
    /// still on its way to the disk. It ends
    ///
    /// - behind receipts: alone they wait for no disk, and are told at once, unless they have to wait for
    ///   the commit before anyhow;
    /// - before a flood, when everything so far was lone and several channels are at work: the flood can
    ///   go with the next commit, and a lone message waits for all that its commit holds;
    /// - when its time is over, and the disk is free or another channel may wait for it.
    pub(super) fn next(&mut self, queue: &mut Queue, spent: u64, landing: bool) -> Option<Command> {
        let begun = self.taken > 0;
        let receipt = !queue.receipts.is_empty();
        let flood = !receipt && queue.turns.next_lane_weight() > LONE_WEIGHT_MAX;
        let ends = self.taken == COMMIT_COMMANDS_MAX
            || spent >= COMMIT_JUDGING_MICROS && (self.company || !landing)
            || self.receipts != receipt && !landing
            || self.company && flood && !self.flood;
        if begun && ends {
            return None;
        }
        self.receipts = receipt;
        self.flood |= flood;
        self.taken += 1;
        queue.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committer::Submission;
    use crate::id::Kind;
    use crate::id::{ChannelId, LogId};
    use crate::log::checkpoint::{Checkpoint, Note};
    use crate::suite::PublicKey;
    use bytes::Bytes;
    use tokio::sync::oneshot;

    fn peer(code: &str) -> NodeId {
        code.parse().unwrap()
    }

    fn submission(to: &str, key: &str) -> Submission {
        let submission = Submission::new(peer(to), Kind::CaseForward, Bytes::new());
        Submission { alias: Some(key.to_owned()), ..submission }
    }

    fn submit(to: &str, key: &str) -> Command {
        Command::Submit { submission: submission(to, key), reply: oneshot::channel().0 }
    }

    fn batch(messages: &[(&str, &str)]) -> Command {
        let submissions = messages.iter().map(|(to, key)| submission(to, key)).collect();
        Command::SubmitMany { submissions, reply: oneshot::channel().0 }
    }

    /// The keys of the next command.
    fn next(queue: &mut Queue) -> Vec<String> {
        let keys =
            |submissions: Vec<Submission>| submissions.into_iter().filter_map(|one| one.alias).collect();
        match queue.pop() {
            Some(Command::Submit { submission, .. }) => keys(vec![submission]),
            Some(Command::SubmitMany { submissions, .. }) => keys(submissions),
            Some(Command::Settle { .. }) => vec!["settle".into()],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lone_submission_is_taken_before_the_flood_to_another() {
        let mut queue = Queue::default();
        for _ in 0..100 {
            queue.push(batch(&[("421200", "flood"); 32]));
        }
        next(&mut queue);
        queue.push(submit("420100", "lone"));
        assert_eq!(next(&mut queue), ["lone"]);
        assert_eq!(queue.len(), 99);
    }

    #[test]
    fn a_batch_to_several_keeps_its_place_in_each_channel() {
        let mut queue = Queue::from([
            submit("421200", "a1"),
            submit("420100", "b1"),
            batch(&[("421200", "a2"), ("420100", "b2")]),
            submit("420100", "b3"),
            submit("421200", "a3"),
        ]);
        let order: Vec<String> =
            std::iter::from_fn(|| (!queue.is_empty()).then(|| next(&mut queue))).flatten().collect();
        let of =
            |channel: char| order.iter().filter(|key| key.starts_with(channel)).cloned().collect::<Vec<_>>();
        assert_eq!(of('a'), ["a1", "a2", "a3"]);
        assert_eq!(of('b'), ["b1", "b2", "b3"]);
    }

    #[test]
    fn the_end_comes_behind_everything_that_was_asked_before() {
        let mut queue = Queue::from([submit("421200", "a1"), submit("421200", "a2"), submit("420100", "b1")]);
        queue.push(Command::Settle { reply: oneshot::channel().0 });
        let order: Vec<String> =
            std::iter::from_fn(|| (!queue.is_empty()).then(|| next(&mut queue))).flatten().collect();
        assert_eq!(order.last().map(String::as_str), Some("settle"));
        assert_eq!(order.len(), 4);
    }

    #[test]
    fn several_channels_are_company_for_a_while_and_one_alone_is_not() {
        let (mut company, at) = (Company::default(), |seconds: u64| UnixMillis(seconds * 1_000));
        let mut flood = Queue::from([submit("421200", "a"), submit("421200", "b")]);
        assert!(!company.at_work(&flood, at(10)));
        assert!(!company.at_work(&Queue::default(), at(20)));
        flood.push(submit("420100", "lone"));
        assert!(company.at_work(&flood, at(30)));
        let flood = Queue::from([submit("421200", "c")]);
        assert!(company.at_work(&flood, UnixMillis(30_999)));
        assert!(!company.at_work(&flood, at(31)));
        // One after the other is company too.
        assert!(company.at_work(&Queue::from([submit("420100", "lone")]), at(40)));
        assert!(company.at_work(&flood, at(40)));
    }

    /// The keys of one commit that takes no time.
    fn commit(queue: &mut Queue, company: bool) -> Vec<String> {
        let mut share = Share::new(company);
        let commands = std::iter::from_fn(|| share.next(queue, 0, false));
        commands
            .map(|command| match command {
                Command::Submit { submission, .. } => submission.alias.unwrap_or_default(),
                Command::SubmitMany { submissions, .. } => format!("{} of a flood", submissions.len()),
                Command::Receipt { .. } => "receipt".to_owned(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn receipt(peer_code: &str) -> Command {
        let checkpoint = Checkpoint {
            log: LogId { channel: ChannelId { from: peer("430600"), to: peer(peer_code) }, epoch: 0 },
            size: 1,
            root: [0; 32],
            time: UnixMillis(1),
        };
        let signer = |seed: u8| {
            let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            let raw = ring::signature::KeyPair::public_key(&key).as_ref().to_vec();
            let spki = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &raw].concat();
            PublicKey::from_spki(&spki).unwrap()
        };
        let note = Note::signed(checkpoint, "spiffe://a/node/430600", &signer(1), &[0; 64]);
        Command::Receipt { peer: peer(peer_code), note, reply: oneshot::channel().0 }
    }

    #[test]
    fn receipts_are_a_commit_of_their_own_that_waits_for_no_disk() {
        let mut queue = Queue::from([submit("421200", "a1"), receipt("421200"), receipt("420100")]);
        assert_eq!(commit(&mut queue, false), ["receipt", "receipt"]);
        assert_eq!(commit(&mut queue, false), ["a1"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn in_company_lone_messages_do_not_wait_for_the_flood_and_the_flood_goes_next() {
        let mut queue = Queue::default();
        for _ in 0..3 {
            queue.push(batch(&[("421200", "flood"); 32]));
        }
        queue.push(submit("420100", "lone"));
        queue.push(submit("420200", "lone too"));
        assert_eq!(
            commit(&mut queue, true),
            ["32 of a flood", "lone", "lone too", "32 of a flood", "32 of a flood"],
            "the flood was first; its commit is bounded by its time"
        );
        for _ in 0..3 {
            queue.push(batch(&[("421200", "flood"); 32]));
        }
        queue.push(submit("420100", "lone"));
        assert_eq!(commit(&mut queue, true), ["lone"]);
        assert_eq!(commit(&mut queue, true).len(), 3);
    }

    /// How many commands one commit takes of four once its time is over.
    fn taken_late(company: bool, landing: bool) -> usize {
        let mut queue = Queue::from(["a", "b", "c", "d"].map(|key| submit("421200", key)));
        let mut share = Share::new(company);
        std::iter::from_fn(|| share.next(&mut queue, COMMIT_JUDGING_MICROS, landing)).count()
    }

    #[test]
    fn a_commit_whose_time_is_over_goes_on_while_the_disk_is_busy_and_nobody_else_waits() {
        assert_eq!(taken_late(false, false), 1);
        assert_eq!(taken_late(false, true), 4);
        assert_eq!(taken_late(true, true), 1);
    }

    #[test]
    fn receipts_join_a_commit_that_has_to_wait_for_the_disk_anyhow() {
        let mut queue = Queue::from([submit("421200", "a1"), receipt("421200")]);
        let mut share = Share::new(false);
        assert_eq!(std::iter::from_fn(|| share.next(&mut queue, 0, true)).count(), 2);
    }
}
