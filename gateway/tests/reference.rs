//! A reference model of two nodes and a channel, a dozen lines long, against the real ones: real
//! committers, links, signatures and journals over a disk in memory that fails on command. proptest draws
//! sequences of acts; a sequence in which the real nodes differ from the model shrinks to a short one and is
//! printed as the script that it is. `PROPTEST_CASES=1000 cargo test -p gateway --test reference` for more.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[expect(unreachable_pub, reason = "a test's rig is a module of its binary alone")]
#[allow(dead_code, reason = "the rig is shared: each test uses its part")]
mod rig;

use gateway::committer::{Command, Submission, rows};
use gateway::entry::Header;
use gateway::id::{Kind, LogPosition, MessageId};
use gateway::refusal::RefusalCode;
use gateway::store::Table;
use gateway::store::memory::{Fault, FaultPlan, Unsynced};
use proptest::prelude::*;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::store::v1 as stored;
use rig::*;
use std::collections::{BTreeMap, BTreeSet};

/// What happens next; 岳阳 sends, 咸宁 receives.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A business system submits under its own key.
    Submit { key: u8, content: u8 },
    /// The same, while the disk fails at this write: `kept` if everything was written all the same.
    SubmitOnFailingDisk { key: u8, content: u8, kept: bool },
    /// A link is dialled, if none stands.
    Connect { by_sender: bool },
    /// The link is cut.
    Cut,
    /// The sender's process dies; so many of the newest batches of its index are lost.
    CrashSender { index_batches_lost: u8 },
    /// The receiver's.
    CrashReceiver { index_batches_lost: u8 },
    /// Everything submitted arrives, and its receipt.
    Deliver,
    /// The consumer reads so many entries, acts on them, and acknowledges them or dies before.
    Consume { entries: u8, acknowledges: bool },
}

fn acts() -> impl Strategy<Value = Act> {
    let (key, content) = (0..5u8, 0..2u8);
    prop_oneof![
        6 => (key.clone(), content.clone()).prop_map(|(key, content)| Act::Submit { key, content }),
        1 => (key, content, any::<bool>())
            .prop_map(|(key, content, kept)| Act::SubmitOnFailingDisk { key, content, kept }),
        3 => any::<bool>().prop_map(|by_sender| Act::Connect { by_sender }),
        2 => Just(Act::Cut),
        1 => (0..4u8).prop_map(|index_batches_lost| Act::CrashSender { index_batches_lost }),
        1 => (0..4u8).prop_map(|index_batches_lost| Act::CrashReceiver { index_batches_lost }),
        2 => Just(Act::Deliver),
        3 => (1..4u8, any::<bool>())
            .prop_map(|(entries, acknowledges)| Act::Consume { entries, acknowledges }),
    ]
}

/// The model: what any node must do, whatever happens to it.
#[derive(Default)]
struct Reference {
    /// Keys in the order in which they were taken, each with its content, and whether that is certain: a
    /// submission whose answer was lost with the disk may have been taken or not.
    taken: Vec<(u8, u8, bool)>,
    /// Those that were in doubt twice over: the log itself tells at which of the two turns one was taken.
    unplaced: BTreeSet<u8>,
    ids: BTreeMap<u8, MessageId>,
    /// What the consumer has seen at each place, ever.
    seen: Vec<MessageId>,
    acknowledged: u64,
}

impl Reference {
    fn of(&self, key: u8) -> Option<(u8, bool)> {
        self.taken.iter().find(|taken| taken.0 == key).map(|taken| (taken.1, taken.2))
    }
}

/// The real thing.
struct Pair {
    world: World,
    sender: Node,
    receiver: Node,
    line: Option<Line>,
    reference: Reference,
}

const CONSUMER: &str = "reference";

fn submission(key: u8, content: u8) -> Submission {
    let mut payload = wire::CaseForward::decode(&forward(node(HUNAN))[..]).unwrap();
    payload.project_number = format!("YY-{content}");
    Submission {
        alias: Some(format!("key-{key}")),
        ..case_message(node(HUBEI), &format!("2026-{key}"), Kind::CaseForward, payload.encode_to_vec())
    }
}

impl Pair {
    async fn new() -> Self {
        let world = World::new(70);
        let (sender, receiver, line) = world.agreed().await;
        Self { world, sender, receiver, line: Some(line), reference: Reference::default() }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Submit { key, content } => self.submit(key, content).await,
            Act::SubmitOnFailingDisk { key, content, kept } => self.submit_failing(key, content, kept).await,
            Act::Connect { by_sender } => self.connect(by_sender).await,
            Act::Cut => self.cut().await,
            Act::CrashSender { index_batches_lost } => self.crash_sender(index_batches_lost.into()).await,
            Act::CrashReceiver { index_batches_lost } => {
                self.cut().await;
                self.receiver = self.world.hubei.restart(Unsynced::Lost, index_batches_lost.into());
            }
            Act::Deliver => self.deliver().await,
            Act::Consume { entries, acknowledges } => self.consume(entries, acknowledges).await,
        }
    }

    async fn submit(&mut self, key: u8, content: u8) {
        let answer = self.sender.submit(submission(key, content)).await;
        match (self.reference.of(key), answer) {
            (None, answer) => {
                let taken = answer.unwrap();
                assert!(!taken.duplicate, "key {key} was never taken");
                self.reference.ids.insert(key, taken.message_id);
                self.reference.taken.push((key, content, true));
            }
            (Some((before, _)), Ok(answer)) if before == content => {
                assert_eq!(*self.reference.ids.entry(key).or_insert(answer.message_id), answer.message_id);
                self.settle_doubt(key, content, answer.duplicate);
            }
            (Some((_, false)), Ok(answer)) => {
                assert!(!answer.duplicate, "key {key} never had this content");
                self.reference.ids.insert(key, answer.message_id);
                self.settle_doubt(key, content, false);
            }
            (Some((before, _)), Err(refusal)) => {
                assert_ne!(before, content, "key {key} was taken with this content: {refusal:?}");
                assert_eq!(refusal.code, RefusalCode::DuplicateDifferent);
                self.settle_doubt(key, before, true);
            }
            (before, answer) => panic!("key {key} content {content} before {before:?}: {answer:?}"),
        }
    }

    /// An answer tells whether a doubtful submission had been taken; if not, it was taken just now, behind
    /// the others.
    fn settle_doubt(&mut self, key: u8, content: u8, was_taken: bool) {
        let place = self.reference.taken.iter().position(|taken| taken.0 == key).unwrap();
        if was_taken {
            self.reference.taken[place].2 = true;
        } else {
            assert!(!self.reference.taken[place].2, "key {key} was forgotten");
            self.reference.taken.remove(place);
            self.reference.unplaced.remove(&key);
            self.reference.taken.push((key, content, true));
        }
    }

    async fn submit_failing(&mut self, key: u8, content: u8, kept: bool) {
        // Alone, but for what the link had asked before it was cut.
        self.cut().await;
        let fault = if kept { Fault::FailButPersist } else { Fault::Fail };
        self.world.hunan.disk.plan(FaultPlan::queue([Some(fault)]));
        match self.sender.submit(submission(key, content)).await {
            // It was known, or refused: nothing was written.
            Ok(answer) => assert!(answer.duplicate, "a write failed, and the answer is {answer:?}"),
            Err(refusal) if refusal.code == RefusalCode::DuplicateDifferent => {}
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::StoreUnknown);
                match self.reference.of(key) {
                    None => self.reference.taken.push((key, content, false)),
                    // It shared its commit with something of the link that was cut, whose write failed: the
                    // answer promises nothing, and takes nothing back.
                    Some((_, true)) => {}
                    // In doubt twice over: ask again, on a disk that works.
                    Some((_, false)) => {
                        self.crash_sender(0).await;
                        return self.resolve(key, content).await;
                    }
                }
            }
        }
        self.crash_sender(0).await;
    }

    /// Two submissions under one key are in doubt: whichever content is known is the one that was taken.
    async fn resolve(&mut self, key: u8, content: u8) {
        let place = self.reference.taken.iter().position(|taken| taken.0 == key).unwrap();
        let before = self.reference.taken[place].1;
        let answer = self.sender.submit(submission(key, content)).await;
        let taken = match &answer {
            Ok(_) => content,
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::DuplicateDifferent);
                before
            }
        };
        // The first may have been taken in its turn, or the second in its own.
        self.reference.taken[place] = (key, taken, false);
        self.reference.unplaced.insert(key);
        if let Ok(answer) = answer {
            self.reference.ids.insert(key, answer.message_id);
        }
    }

    async fn connect(&mut self, by_sender: bool) {
        if self.line.is_none() {
            let (one, other) =
                if by_sender { (&self.sender, &self.receiver) } else { (&self.receiver, &self.sender) };
            self.line = Some(connect(one, other));
        }
    }

    async fn cut(&mut self) {
        if let Some(line) = self.line.take() {
            line.hang_up().await;
        }
    }

    async fn crash_sender(&mut self, index_batches_lost: usize) {
        self.cut().await;
        self.sender = self.world.hunan.restart(Unsynced::Lost, index_batches_lost);
    }

    async fn deliver(&mut self) {
        self.connect(true).await;
        settled(&self.sender, &self.receiver).await;
    }

    fn cursor(&self) -> u64 {
        let row = self.receiver.archive.index().get(Table::Cursor, &rows::cursor(CONSUMER, self.sender.me));
        row.unwrap().map_or(0, |row| stored::Cursor::decode(row).unwrap().next)
    }

    async fn consume(&mut self, entries: u8, acknowledges: bool) {
        let cursor = self.cursor();
        assert_eq!(cursor, self.reference.acknowledged, "a cursor is as it was acknowledged");
        let inbox = self.receiver.entries(self.receiver.inbound().log);
        let end = inbox.len().min(cursor as usize + usize::from(entries));
        for (place, (raw, verdict)) in inbox.iter().enumerate().take(end).skip(cursor as usize) {
            assert_eq!(verdict, "", "nothing here is refused");
            let id = Header::parse(&raw.header).unwrap().message_id;
            match self.reference.seen.get(place) {
                Some(seen) => assert_eq!(*seen, id, "place {place} holds what it held"),
                None => self.reference.seen.push(id),
            }
        }
        if acknowledges {
            let (consumer, from) = (CONSUMER.to_owned(), self.sender.me);
            let next = LogPosition { epoch: 0, index: end as u64 };
            let done =
                self.receiver.committer.ask(|reply| Command::Acknowledge { consumer, from, next, reply });
            done.await.unwrap();
            self.reference.acknowledged = end as u64;
        }
    }

    /// In the end everything is there: what was taken, once, in its order, with a receipt.
    async fn end(mut self) {
        self.deliver().await;
        let headers = self.receiver.headers(self.receiver.inbound().log);
        let forwards: Vec<&Header> =
            headers.iter().filter(|header| header.kind == Kind::CaseForward.name()).collect();
        let ids: Vec<MessageId> = forwards.iter().map(|header| header.message_id).collect();
        let mut once = ids.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "each message once");
        let taken: Vec<u8> =
            self.reference.taken.iter().filter(|taken| taken.2).map(|taken| taken.0).collect();
        let (unplaced, certain): (Vec<u8>, Vec<u8>) =
            taken.into_iter().partition(|key| self.reference.unplaced.contains(key));
        // Each key has a case of its own.
        let key = |header: &&Header| header.case_id.as_ref()?.as_str().strip_prefix("2026-")?.parse().ok();
        let keys: Vec<u8> = forwards.iter().filter_map(key).collect();
        assert!(
            unplaced.iter().all(|key| keys.contains(key)),
            "what was taken arrives: {unplaced:?} in {keys:?}"
        );
        let arrived: Vec<u8> = keys.into_iter().filter(|key| certain.contains(key)).collect();
        assert_eq!(arrived, certain, "what was taken arrives, in its order");
        assert!(ids.len() <= self.reference.taken.len(), "nothing arrives that nobody submitted");
        for (place, seen) in self.reference.seen.iter().enumerate() {
            assert_eq!(headers[place].message_id, *seen, "what a consumer saw stays");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_real_nodes_do_what_the_reference_does(script in prop::collection::vec(acts(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            let mut pair = Pair::new().await;
            for act in script {
                pair.act(act).await;
            }
            pair.end().await;
        });
    }
}
