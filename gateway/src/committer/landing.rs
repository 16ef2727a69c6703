//! The end of a commit: it is synced, the index and the readers are told, and then whoever asked.
//!
//! A lone commit lands where it was made. While more waits, it lands on a thread of its own ([`Beside`]),
//! and the committer judges the next one meanwhile. There is one commit on its way at most, so the
//! journal's last frame is the only one that may be torn, and everything lands in order.

use super::bells::{Ringer, Topic};
use super::{CommitError, LogSnapshot, Snapshot, Told};
use crate::archive::Archive;
use crate::committer::rows::Place;
use crate::id::NodeId;
use crate::measure::{Measures, Stopwatch};
use crate::overload::disk::DiskState;
use crate::refusal::RefusalCode;
use crate::store::index::Change;
use crate::store::{Index, Position, Written};
use bytes::Bytes;
use proto::store::v1::Commit;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock, mpsc};
use std::thread::JoinHandle;

/// A commit whose frame is written.
pub(super) struct WrittenCommit {
    pub(super) written: Written,
    pub(super) commit: Arc<Commit>,
    pub(super) bodies: Vec<Bytes>,
    /// Bytes of meta and bodies.
    pub(super) bytes: usize,
    /// Its rows of table Batch.
    pub(super) batches: Vec<(Vec<u8>, Place)>,
    pub(super) changes: Arc<Vec<Change>>,
    pub(super) shown: Shown,
    pub(super) replies: Vec<Told>,
    /// Runs since the commit began.
    pub(super) began: Stopwatch,
}

/// The state that a commit leaves to readers.
pub(super) struct Shown {
    /// Both logs with each peer that was touched: to it, and from it.
    pub(super) logs: Vec<(NodeId, LogSnapshot, LogSnapshot)>,
    pub(super) blob_events: u64,
    pub(super) blobs_changed: bool,
    pub(super) position: Position,
    pub(super) disk: (DiskState, u64),
}

/// Who is told once a commit is durable.
pub(super) struct Landing {
    pub(super) archive: Arc<Archive>,
    pub(super) index: Arc<dyn Index>,
    pub(super) snapshot: Arc<RwLock<Snapshot>>,
    pub(super) ringer: Ringer,
    pub(super) measures: Arc<Measures>,
}

impl Landing {
    /// Makes a commit durable and lets it out. Everybody who asked has an answer afterwards.
    ///
    /// # Errors
    /// When the process must stop.
    pub(super) fn land(&self, commit: WrittenCommit) -> Result<(), CommitError> {
        let WrittenCommit { written, commit, bodies, bytes, batches, changes, shown, replies, began } =
            commit;
        let landed = written.sync().map_err(CommitError::Journal).and_then(|placed| {
            self.archive.remember(&placed, commit, bodies, bytes);
            self.archive.remember_places(batches.iter().map(|(key, place)| (&key[..], *place)));
            self.index.apply(&changes, placed.position)?;
            Ok(())
        });
        if landed.is_ok() {
            let entries = self.show(shown);
            self.measures.committed(began, entries);
            self.measures.disk_full.store(false, Ordering::Relaxed);
        }
        let told = if landed.is_ok() { Ok(()) } else { Err(RefusalCode::StoreUnknown.into()) };
        replies.into_iter().for_each(|reply| reply(told.clone()));
        landed
    }

    /// Shows the state to readers; by how many entries the logs have grown since they saw it last.
    pub(super) fn show(&self, shown: Shown) -> u64 {
        let mut grown = 0;
        let (mut topics, mut inbox) = (Vec::new(), false);
        let mut snapshot = self.snapshot.write().expect("no holder of the snapshot panics");
        let Snapshot { out: to, inbound: from, .. } = &mut *snapshot;
        for (peer, out, inbound) in shown.logs {
            topics.push(Topic::Peer(peer));
            for (logs, log, sends) in [(&mut *to, out, true), (&mut *from, inbound, false)] {
                let size = log.size;
                let before = logs.insert(peer, log).map_or(0, |before| before.size);
                grown += size.saturating_sub(before);
                if sends && size != before {
                    topics.push(Topic::Outbound(peer));
                }
                inbox |= !sends && size != before;
            }
        }
        inbox |= snapshot.blob_events != shown.blob_events;
        snapshot.blob_events = shown.blob_events;
        snapshot.blob_changes += u64::from(shown.blobs_changed);
        snapshot.position = shown.position;
        let disk = snapshot.disk != shown.disk.0;
        (snapshot.disk, snapshot.disk_room) = shown.disk;
        drop(snapshot);
        let others = [(inbox, Topic::Inbox), (shown.blobs_changed, Topic::Blobs), (disk, Topic::Disk)];
        topics.extend(others.into_iter().filter_map(|(changed, topic)| changed.then_some(topic)));
        self.ringer.ring(&topics);
        grown
    }
}

/// Where a commit lands while the next one is judged.
pub(super) enum Beside {
    Thread(LandingThread),
    /// On the committer's own, when it says so: a simulated process has one thread.
    Later(Arc<Landing>, Option<Box<WrittenCommit>>),
}

impl Beside {
    /// Starts a thread; `wake` is called whenever a commit has landed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn thread(landing: Arc<Landing>, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        Ok(Self::Thread(LandingThread::start(landing, wake)?))
    }

    /// Nothing lands before [`Beside::wait`].
    pub(super) fn later(landing: Arc<Landing>) -> Self {
        Self::Later(landing, None)
    }

    /// Whether lone commits land beside as well.
    pub(super) fn is_always(&self) -> bool {
        matches!(self, Self::Later(..))
    }

    /// Sends a commit on its way. The one before has landed.
    pub(super) fn send(&mut self, commit: WrittenCommit) {
        match self {
            Self::Thread(thread) => thread.send(commit),
            Self::Later(_, waits) => {
                let before = waits.replace(Box::new(commit));
                assert!(before.is_none(), "one commit is on its way at most");
            }
        }
    }

    /// Whether a commit is on its way, as far as was asked.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Thread(thread) => thread.busy,
            Self::Later(_, waits) => waits.is_some(),
        }
    }

    /// Whether the commit that was on its way has landed meanwhile.
    ///
    /// # Errors
    /// It did not become durable.
    pub(super) fn has_landed(&mut self) -> Result<bool, CommitError> {
        match self {
            Self::Thread(thread) => thread.has_landed(),
            Self::Later(..) => Ok(false),
        }
    }

    /// Waits for the commit that is on its way.
    ///
    /// # Errors
    /// It did not become durable.
    pub(super) fn wait(&mut self) -> Result<(), CommitError> {
        match self {
            Self::Thread(thread) => thread.wait(),
            Self::Later(landing, waits) => waits.take().map_or(Ok(()), |commit| landing.land(*commit)),
        }
    }
}

/// The thread on which a commit lands. It ends with this.
pub(super) struct LandingThread {
    commits: Option<mpsc::Sender<WrittenCommit>>,
    landed: mpsc::Receiver<Result<(), CommitError>>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl LandingThread {
    fn start(landing: Arc<Landing>, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (commits, work) = mpsc::channel::<WrittenCommit>();
        let (tell, landed) = mpsc::channel();
        let thread = std::thread::Builder::new().name("landing".into()).spawn(move || {
            for commit in work {
                landing.measures.landing_begins();
                let outcome = landing.land(commit);
                landing.measures.landing_ends();
                if tell.send(outcome).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(Self { commits: Some(commits), landed, busy: false, thread: Some(thread) })
    }

    fn send(&mut self, commit: WrittenCommit) {
        let sent = self.commits.as_ref().is_some_and(|commits| commits.send(commit).is_ok());
        assert!(sent, "{DIED}");
        self.busy = true;
    }

    fn has_landed(&mut self) -> Result<bool, CommitError> {
        match self.landed.try_recv() {
            Ok(landed) => {
                self.busy = false;
                landed.map(|()| true)
            }
            Err(mpsc::TryRecvError::Empty) => Ok(false),
            Err(mpsc::TryRecvError::Disconnected) => panic!("{DIED}"),
        }
    }

    fn wait(&mut self) -> Result<(), CommitError> {
        self.busy = false;
        self.landed.recv().expect(DIED)
    }
}

/// Whether its commit stands is not known then, as when the committer itself dies: nothing may go on.
const DIED: &str = "the landing thread lives as long as the committer";

impl Drop for LandingThread {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // Whoever waited for a commit of a thread that panicked was told by its silence.
            let _ = thread.join();
        }
    }
}
