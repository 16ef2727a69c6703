//! A commit that is on its way to the disk while the next one is judged: nobody is told of it, and what
//! follows is judged as of it. The journal's disk stands still here until the test lets it go on; the
//! index is another disk.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[expect(unreachable_pub, reason = "a test's rig is a module of its binary alone")]
#[allow(dead_code, reason = "the rig is shared: each test uses its part")]
mod rig;

use bytes::Bytes;
use gateway::committer::{self, Command, CommitterHandle, Core, Ports, Submission, Submitted};
use gateway::id::{Kind, NodeId};
use gateway::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES, COMMIT_BYTES_MAX};
use gateway::overload::Bounds;
use gateway::refusal::{Refusal, RefusalCode};
use gateway::signer::Signer;
use gateway::store::journal::Options;
use gateway::store::memory::{Crash, Fault, FaultPlan, MemoryDisk, Operation, Unsynced};
use gateway::store::{Journal as _, Position};
use rig::{HUBEI, World};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

type Answer<T> = oneshot::Receiver<Result<T, Refusal>>;
type Outcomes = Vec<Result<Submitted, Refusal>>;

/// A node whose syncs wait to be allowed. Its messages hold a field that this release does not know.
struct Held {
    committer: CommitterHandle,
    /// Hears of each sync that began.
    begun: mpsc::Receiver<()>,
    /// What becomes of it.
    fates: mpsc::Sender<Option<Fault>>,
    journal: MemoryDisk,
    ended: oneshot::Receiver<Result<(), committer::CommitError>>,
}

impl Held {
    fn new(seed: u64) -> Self {
        let site = World::new(seed).hunan;
        let (disk, index_disk) = (MemoryDisk::new(), MemoryDisk::new());
        let (journal, _) = disk.open_journal(Options::new(1)).unwrap();
        let ports = Ports {
            journal: Box::new(journal),
            index: Arc::new(index_disk.open_index()),
            signer: Arc::clone(&site.signer) as Arc<dyn Signer>,
            clock: Arc::clone(&site.clock) as _,
            randomness: Arc::clone(&site.random) as _,
            alias_key: [7; 32],
            bounds: Bounds { disk_low_bytes: 0, ..Bounds::default() },
            measures: Arc::default(),
        };
        let (core, _) = Core::open(site.me, vec![site.peer], ports, |_| ()).unwrap();
        let (begins, begun) = mpsc::channel();
        let (fates, fate) = mpsc::channel();
        disk.plan(FaultPlan::decide(move |operation| match operation {
            Operation::Sync { .. } => {
                begins.send(()).ok()?;
                fate.recv().ok().flatten()
            }
            _ => None,
        }));
        let (stop, ended) = oneshot::channel();
        let (committer, _) = committer::spawn(core, stop).unwrap();
        Self { committer, begun, fates, journal: disk, ended }
    }

    fn submit(&self, alias: &str, payload: &'static [u8]) -> Answer<Submitted> {
        let (reply, answer) = oneshot::channel();
        let submission = submission(alias, payload.into());
        self.committer.offer(Command::Submit { submission, reply }).unwrap();
        answer
    }

    /// A commit that is being synced beside the committer, which holds `second 0` and more, and `third`,
    /// which waits behind it.
    fn with_one_on_its_way(&self) -> (Answer<Outcomes>, Answer<Submitted>) {
        let first = self.submit("first", b"pppp");
        self.begun.recv().unwrap();
        // As much as one commit takes, so that something waits when it is written.
        let payload = Bytes::from(vec![b'p'; BODY_BYTES_MAX - BODY_SALT_BYTES]);
        let submissions = (0..=COMMIT_BYTES_MAX / 4 / payload.len())
            .map(|number| submission(&format!("second {number}"), payload.clone()))
            .collect();
        let (reply, second) = oneshot::channel();
        self.committer.offer(Command::SubmitMany { submissions, reply }).unwrap();
        let third = self.submit("third", b"pppp");
        self.fates.send(None).unwrap();
        assert!(first.blocking_recv().unwrap().is_ok());
        self.begun.recv().unwrap();
        (second, third)
    }
}

fn submission(alias: &str, payload: Bytes) -> Submission {
    let submission = Submission::new(HUBEI.parse::<NodeId>().unwrap(), Kind::CaseForward, payload);
    Submission { alias: Some(alias.to_owned()), ..submission }
}

#[test]
fn what_follows_is_judged_as_of_a_commit_that_nobody_is_told_of_yet() {
    let node = Held::new(1);
    let (mut second, mut third) = node.with_one_on_its_way();
    let mut same = node.submit("third", b"pppp");
    let mut other = node.submit("second 0", b"pppppp");
    assert_eq!(second.try_recv().unwrap_err(), oneshot::error::TryRecvError::Empty);
    for answer in [&mut third, &mut same, &mut other] {
        assert_eq!(answer.try_recv().unwrap_err(), oneshot::error::TryRecvError::Empty);
    }

    node.fates.send(None).unwrap();
    let second = second.blocking_recv().unwrap().unwrap();
    assert!(second.iter().all(|outcome| outcome.as_ref().is_ok_and(|submitted| !submitted.duplicate)));
    node.begun.recv().unwrap();
    node.fates.send(None).unwrap();
    let third = third.blocking_recv().unwrap().unwrap();
    let same = same.blocking_recv().unwrap().unwrap();
    assert_eq!((same.message_id, same.duplicate), (third.message_id, true));
    let refusal = other.blocking_recv().unwrap().unwrap_err();
    assert_eq!(refusal.code, RefusalCode::DuplicateDifferent);
}

#[test]
fn a_sync_that_fails_beside_the_committer_stops_it_and_promises_nothing() {
    let node = Held::new(2);
    let (second, third) = node.with_one_on_its_way();
    node.fates.send(Some(Fault::Fail)).unwrap();
    assert_eq!(second.blocking_recv().unwrap().unwrap_err().code, RefusalCode::StoreUnknown);
    // Judged, and never written.
    assert!(third.blocking_recv().is_err());
    assert!(node.ended.blocking_recv().unwrap().is_err());
    drop(node.committer);
    node.journal.plan(FaultPlan::none());
    node.journal.crash(Crash { unsynced: Unsynced::Lost, index_batches_lost: 0 });
    let (journal, _) = node.journal.open_journal(Options::new(2)).unwrap();
    assert_eq!(journal.end(), Position(1), "the first commit, which was acknowledged");
}

#[test]
fn an_orderly_stop_waits_for_the_commit_that_is_on_its_way() {
    let node = Held::new(3);
    let (second, third) = node.with_one_on_its_way();
    drop(node.committer);
    node.fates.send(None).unwrap();
    node.begun.recv().unwrap();
    node.fates.send(None).unwrap();
    assert!(node.ended.blocking_recv().unwrap().is_ok());
    assert!(second.blocking_recv().unwrap().unwrap().iter().all(Result::is_ok));
    assert!(third.blocking_recv().unwrap().is_ok());
}
