//! The node as its local users see it: submit, read the inbox, look at cases and channels, export
//! proofs, reconcile. Opens the store and the committer; `transport` connects it to partners.

mod blobs;
mod booked;
mod letters;
mod refused;
mod room;
mod rotation;

pub use blobs::{BlobState, BlobStored, BlobUse, NamedFile};
pub use booked::CutOff;
pub use letters::{Letter, LetterContent, LetterPage, LetterPlan, LetterQuery};
pub use refused::Named;
pub use room::Room;

use crate::archive::{Archive, ArchiveError};
use crate::blobs::Blobs;
use crate::clock::{Clock, Randomness};
use crate::committer::bells::{Bells, Listener, Topic};
use crate::committer::ledger::{Documents, read_case};
use crate::committer::{
    self, Command, CommitError, CommitterHandle, Core, LogSnapshot, Pace, Ports, Queue, ReplayProgress,
    Replayed, Snapshot, Submission, Submitted, rows,
};
use crate::document::{document_digest, pre_authentication_encoding};
use crate::entry::{Header, payload};
use crate::id::{CaseId, ChannelId, Digest, Kind, LogId, LogPosition, MessageId, NodeId};
use crate::keybook::{KeyBook, SigningKey};
use crate::limits::{
    BATCH_BYTES_MAX, BODY_BYTES_MAX, DISK_LOOK_LOW_MILLIS, DISK_LOOK_MILLIS, INBOX_PAGE_BYTES_MAX,
    INBOX_PAGE_ENTRIES_MAX,
};
use crate::link::{Links, LinksParts};
use crate::measure::Measures;
use crate::overload::Bounds;
use crate::overload::disk::DiskState;
use crate::proof;
use crate::reconcile::{self, Depth, plan::Comparison};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::{Agreement, in_force};
use crate::service::case::Case;
use crate::service::deadline::Limits;
use crate::service::standard::Standard;
use crate::signer::Signer;
use crate::store::blobs::BlobStore;
use crate::store::{self, Index, IndexError, Journal, JournalError, Table};
use crate::suite::Suite;
use crate::threads::Threads;
use crate::time::UnixMillis;
use crate::wire::document::{Document as _, Envelope};
use arc_swap::ArcSwap;
use bytes::Bytes;
use certs::TrustStore;
use prost::Message as _;
use proto::store::v1 as stored;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a node is opened with.
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Where journal and index lie.
    pub data_dir: PathBuf,
    /// The partners.
    pub peers: Vec<NodeId>,
    /// The signing key.
    pub signer: Arc<dyn Signer>,
    /// Signing keys that this node used before: their certificates still verify what they signed.
    pub older_keys: Vec<SigningKey>,
    /// Trust, as of this moment.
    pub trust: Arc<ArcSwap<TrustStore>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub randomness: Arc<dyn Randomness>,
    /// What an operator may set of this node's limits.
    pub bounds: Bounds,
    /// What the core tells about itself: readable before the store is open.
    pub measures: Arc<Measures>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal's: damaged, locked, newer.
    #[error("the journal in {dir}: {source}")]
    Journal {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong.
        source: JournalError,
    },
    /// The index's.
    #[error("the index in {dir}: {source}")]
    Index {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong.
        source: IndexError,
    },
    /// The store's, on reading it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A folder or file cannot be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was done.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl OpenError {
    /// The stable code.
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Journal { source: JournalError::Damaged { .. }, .. }
            | Self::Commit(CommitError::Archive(_)) => RefusalCode::StoreDamaged,
            Self::Journal { source: JournalError::Full, .. } => RefusalCode::StoreFull,
            _ => RefusalCode::StoreUnknown,
        }
    }
}

/// What a start found.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// Bytes of a torn tail that were cut.
    pub cut_bytes: u64,
    /// Where a damaged or foreign index was moved, and why.
    pub index_set_aside: Option<(PathBuf, String)>,
    /// Frames that the index did not have.
    pub replayed: Replayed,
}

/// What a node keeps, open.
pub struct Stores {
    /// The journal's one writer.
    pub journal: Box<dyn Journal>,
    /// The index.
    pub index: Arc<dyn Index>,
    /// The blob folder.
    pub blobs: BlobStore,
    /// The secret under which aliases become message ids, 32 bytes, kept with the store.
    pub alias_key: [u8; 32],
}

/// What carries a node.
pub enum Process {
    /// The operating system's threads.
    Threads,
    /// The current runtime alone.
    Simulated {
        /// How long its disk takes.
        pace: Pace,
        /// Hears of the committer's task: aborted, it is as if the process had died.
        started: oneshot::Sender<tokio::task::AbortHandle>,
    },
}

/// Resolves when the committer ends, with why.
pub type Stopped = oneshot::Receiver<Result<(), CommitError>>;

struct Inner {
    me: NodeId,
    suite: Suite,
    clock: Arc<dyn Clock>,
    alias_key: [u8; 32],
    committer: CommitterHandle,
    archive: Arc<Archive>,
    keys: Arc<KeyBook>,
    documents: Arc<RwLock<Documents>>,
    snapshot: Arc<RwLock<Snapshot>>,
    bells: Arc<Bells>,
    links: Arc<Links>,
    blobs: Arc<Blobs>,
    bounds: Bounds,
    doors: room::Doors,
}

/// The fates of several submissions that the committer was given. Their bytes count as waiting until this
/// is gone.
pub struct Outcomes {
    gateway: Gateway,
    names: refused::Names,
    answer: oneshot::Receiver<Result<Vec<Result<Submitted, Refusal>>, Refusal>>,
    _room: Room,
}

impl Outcomes {
    /// By position, once those that were taken are durable. Those that were refused are counted and
    /// logged.
    ///
    /// # Errors
    /// When the commit failed; whether any stands is said by the code.
    pub async fn decided(self) -> Result<Vec<Result<Submitted, Refusal>>, Refusal> {
        let decided = self.answer.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()));
        self.gateway.tell_decided(&self.names, &decided);
        decided
    }
}

/// A running node's core. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

/// A message as far as this node knows its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageState {
    /// Its place in the channel.
    pub index: Option<u64>,
    /// The receiver's time, when a cosigned checkpoint covers it.
    pub receipt: Option<UnixMillis>,
    /// The code with which it was refused.
    pub refused: Option<String>,
}

/// An entry of an inbound channel, for a business system.
#[derive(Debug, Clone)]
pub struct InboxEntry {
    /// The sender.
    pub from: NodeId,
    /// Its place.
    pub position: LogPosition,
    /// The header, when it can be read.
    pub header: Option<Header>,
    /// The refusal code; absent: permitted.
    pub verdict: Option<String>,
    /// The payload; absent: erased, or dropped because it was not the one committed to.
    pub payload: Option<Bytes>,
    /// It is no entry: a file that one names is whole here. `from` is this node, the place its own count.
    pub stored: Option<BlobStored>,
}

/// How far one conversation with a consumer has read. Begins at the consumer's cursors.
#[derive(Debug)]
pub struct InboxReading {
    consumer: String,
    next: BTreeMap<NodeId, LogPosition>,
    /// The channel that was served last.
    last: Option<NodeId>,
}

impl InboxReading {
    /// Nothing is read yet.
    pub fn of(consumer: &str) -> Self {
        Self { consumer: consumer.to_owned(), next: BTreeMap::new(), last: None }
    }
}

/// A case with its number.
#[derive(Debug, Clone)]
pub struct CaseEntry {
    /// 业务协同编号.
    pub id: CaseId,
    /// The folded case.
    pub case: Case,
    /// The code with which its forward was refused.
    pub refused: Option<String>,
}

/// A document that this node holds.
#[derive(Debug, Clone)]
pub struct DocumentView {
    /// [`Kind::StandardPublish`] or [`Kind::AgreementSign`].
    pub kind: Kind,
    /// Of its payload bytes.
    pub digest: Digest,
    /// Its own identifier.
    pub id: String,
    /// Its edition.
    pub edition: u32,
    /// Whose signatures this node holds.
    pub signed_by: Vec<NodeId>,
    /// Whether something new may rely on it now.
    pub effective: bool,
    /// Its bytes.
    pub payload: Bytes,
}

impl Gateway {
    /// Opens the store, brings the index up to date, and starts the committer. `stopped` resolves when
    /// the committer ends; after an error the process must stop.
    ///
    /// # Errors
    /// See [`OpenError`]; a damaged journal is reported with its place and not opened.
    pub fn open(
        settings: Settings,
        replayed: impl FnMut(ReplayProgress),
    ) -> Result<(Self, OpenReport, Stopped), OpenError> {
        let doing = |doing: String| move |source| OpenError::Io { doing, source };
        // Bodies speak of persons: what is made here is its owner's alone, whatever the umask.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.data_dir)
            .map_err(doing(format!("make {}", settings.data_dir.display())))?;
        let alias_key = alias_key(&settings.data_dir, &*settings.randomness)
            .map_err(doing(format!("read or make alias.key in {}", settings.data_dir.display())))?;
        let blobs_dir = settings.data_dir.join(BLOBS_DIR);
        let blob_store = BlobStore::open(&blobs_dir, settings.bounds.disk_low_bytes)
            .map_err(doing(format!("open the blob folder {}", blobs_dir.display())))?;
        let (journal, index, mut report) =
            open_store(&settings.data_dir, &*settings.randomness, &settings.measures)?;
        let stores = Stores { journal: Box::new(journal), index, blobs: blob_store, alias_key };
        let (gateway, frames, stopped) = Self::over(settings, stores, Process::Threads, replayed)?;
        report.replayed = frames;
        Ok((gateway, report, stopped))
    }

    /// The same over stores that are open, in a process of its own or in a simulated one.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn over(
        settings: Settings,
        stores: Stores,
        process: Process,
        replayed: impl FnMut(ReplayProgress),
    ) -> Result<(Self, Replayed, Stopped), OpenError> {
        let doing = |doing: &'static str| move |source| OpenError::Io { doing: doing.to_owned(), source };
        let Stores { journal, index, blobs: blob_store, alias_key } = stores;
        let ports = Ports {
            journal,
            index,
            signer: Arc::clone(&settings.signer),
            clock: Arc::clone(&settings.clock),
            randomness: Arc::clone(&settings.randomness),
            alias_key,
            bounds: settings.bounds,
            measures: Arc::clone(&settings.measures),
        };
        let (mut core, frames) = Core::open(settings.node, settings.peers, ports, replayed)?;
        let keys = core.keys();
        let own = SigningKey::of(&*settings.signer);
        // Own keys are journalled like the partners': what they signed is verified long after they go.
        let mut known: Queue = settings
            .older_keys
            .into_iter()
            .chain([own])
            .map(|key| Command::SigningKey {
                node: settings.node,
                key,
                proven: false,
                reply: oneshot::channel().0,
            })
            .collect();
        core.commit(&mut known)?;
        let (archive, documents) = (core.archive(), core.documents());
        let (snapshot, bells) = (core.snapshot(), core.bells());
        let (stop, stopped) = oneshot::channel();
        let (committer, threads) = match process {
            Process::Threads => {
                let started = committer::spawn(core, stop);
                (started.map_err(doing("start the committer's thread"))?.0, Threads::Many)
            }
            Process::Simulated { pace, started } => {
                let (committer, task) = committer::spawn_inline(core, pace, stop);
                // Who is not there has no process to kill.
                let _ = started.send(task.abort_handle());
                (committer, Threads::One)
            }
        };
        let measures = Arc::clone(&settings.measures);
        let links = Arc::new(Links::new(LinksParts {
            me: settings.node,
            committer: committer.clone(),
            archive: Arc::clone(&archive),
            keys: Arc::clone(&keys),
            snapshot: Arc::clone(&snapshot),
            bells: Arc::clone(&bells),
            trust: settings.trust,
            signer: settings.signer,
            clock: Arc::clone(&settings.clock),
            randomness: settings.randomness,
            peer_rate: settings.bounds.peer,
            measures: settings.measures,
            threads,
        }));
        let blobs = Arc::new(Blobs::new(
            blob_store,
            Arc::clone(&archive),
            committer.clone(),
            Arc::clone(&snapshot),
            measures,
            threads,
        ));
        links.have_blobs(Arc::clone(&blobs));
        let inner = Inner {
            me: settings.node,
            suite: links.suite,
            clock: settings.clock,
            alias_key,
            committer,
            archive,
            keys,
            documents,
            snapshot,
            bells,
            links,
            blobs,
            bounds: settings.bounds,
            doors: room::Doors::new(),
        };
        Ok((Self(Arc::new(inner)), frames, stopped))
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.0.me
    }

    /// The links to partners.
    pub fn links(&self) -> Arc<Links> {
        Arc::clone(&self.0.links)
    }

    /// The clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    fn snapshot(&self) -> std::sync::RwLockReadGuard<'_, Snapshot> {
        self.0.snapshot.read().expect("no holder of the snapshot panics")
    }

    fn damaged(error: ArchiveError) -> Refusal {
        Refusal::new(RefusalCode::StoreDamaged, error.to_string())
    }

    /// Takes a message; answers when it is durable here. A refusal is counted and logged.
    ///
    /// # Errors
    /// Why it was not taken; nothing was kept then.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Refusal> {
        let (to, kind, message_id) = (Some(submission.to), Some(submission.kind), submission.message_id);
        let alias = submission.alias.clone();
        let taken = self.submit_quietly(submission).await;
        if let Err(refusal) = &taken {
            self.tell_refused(Named { to, kind, message_id, alias: alias.as_deref() }, refusal);
        }
        taken
    }

    async fn submit_quietly(&self, submission: Submission) -> Result<Submitted, Refusal> {
        let bytes = submission.payload.len();
        if bytes > BODY_BYTES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, format!("bytes={bytes}")));
        }
        let to = submission.to;
        self.keeps_pace(to, 1, Duration::ZERO).await?;
        let _room = self.room(1, bytes, Duration::ZERO).await?;
        let taken = self.0.committer.ask(|reply| Command::Submit { submission, reply }).await;
        self.tell_taken(to, u64::from(taken.is_ok()));
        taken
    }

    /// Commands that wait for the committer.
    pub fn queued(&self) -> usize {
        self.0.committer.waiting()
    }

    /// Looks at the state after the last commit, for a moment and without copying it.
    pub fn look<T>(&self, at: impl FnOnce(&Snapshot) -> T) -> T {
        at(&self.snapshot())
    }

    /// When the entry at `index` of the log to a peer was created, as its header says; nothing when there
    /// is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn created(&self, to: NodeId, index: u64) -> Result<Option<UnixMillis>, Refusal> {
        let log = self.0.links.out_log(to);
        let batch = self.0.archive.batch(log, index).map_err(Self::damaged)?;
        let raw = batch.and_then(|batch| batch.entries.into_iter().next());
        Ok(raw.and_then(|raw| Header::parse(&raw.header).ok()).map(|header| header.created))
    }

    /// Takes several messages in their order, for which there is room; the receiver answers when all that
    /// were taken are durable. A refusal is counted and logged, of one or of all. Whether their partners
    /// keep up ([`Gateway::keeps_pace`]) is the caller's to ask.
    ///
    /// # Errors
    /// When the committer does not take them at all; nothing was kept then.
    pub fn submit_many(&self, submissions: Vec<Submission>, room: Room) -> Result<Outcomes, Refusal> {
        let count = submissions.len();
        let offered = self.offer_many(submissions, room);
        if let Err(refusal) = &offered {
            self.tell_batch_refused(count, refusal);
        }
        offered
    }

    fn offer_many(&self, submissions: Vec<Submission>, room: Room) -> Result<Outcomes, Refusal> {
        let bytes: usize = submissions.iter().map(|submission| submission.payload.len()).sum();
        if bytes > BATCH_BYTES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, format!("bytes={bytes}")));
        }
        let names = refused::Names::of(&submissions);
        let (reply, answer) = oneshot::channel();
        self.0.committer.offer(Command::SubmitMany { submissions, reply })?;
        Ok(Outcomes { gateway: self.clone(), names, answer, _room: room })
    }

    /// Somebody who waits for changes of the state, and is woken by no others.
    pub fn listen(&self, topics: impl IntoIterator<Item = Topic>) -> Listener {
        self.0.bells.listen(topics)
    }

    /// Up to where a partner's receipts reach, and its time in the newest.
    pub fn receipted(&self, to: NodeId) -> Option<(LogPosition, UnixMillis)> {
        let snapshot = self.snapshot();
        let note = snapshot.out.get(&to)?.cosigned.as_ref()?;
        let checkpoint = note.checkpoint();
        let position = LogPosition { epoch: checkpoint.log.epoch, index: checkpoint.size };
        Some((position, UnixMillis(note.cosignature_seconds()? * 1000)))
    }

    /// Looks at the disk until the node stops: a disk that filled up is noticed without any commit, and
    /// so is space that was freed.
    pub async fn watch_disk(&self) {
        loop {
            let has_room = self.snapshot().disk == DiskState::Normal;
            let pause = if has_room { DISK_LOOK_MILLIS } else { DISK_LOOK_LOW_MILLIS };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.0.committer.ask_patiently(|reply| Command::Look { reply }).await.is_err() {
                return;
            }
        }
    }

    /// Waits for everything submitted and makes the index durable: for an orderly stop.
    ///
    /// # Errors
    /// When the committer or its disk failed.
    pub async fn settle(&self) -> Result<(), Refusal> {
        self.0.committer.ask_patiently(|reply| Command::Settle { reply }).await
    }

    /// The message id that a submitter's key stands for.
    pub fn alias_id(&self, to: NodeId, alias: &str) -> MessageId {
        committer::alias_id(&self.0.alias_key, to, alias)
    }

    /// Where a message to `to` is; nothing when this node does not know it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn message(&self, to: NodeId, id: MessageId) -> Result<Option<MessageState>, Refusal> {
        let channel = ChannelId { from: self.0.me, to };
        let Some(row) = self.0.archive.message(channel, id).map_err(Self::damaged)? else {
            return Ok(self.is_staged(to, id)?.then(MessageState::default));
        };
        let refused = (!row.refused.is_empty()).then_some(row.refused);
        if row.dropped {
            return Ok(Some(MessageState { refused, ..MessageState::default() }));
        }
        let snapshot = self.snapshot();
        let cosigned = snapshot.out.get(&to).and_then(|log| log.cosigned.as_ref());
        let receipt = cosigned
            .filter(|note| note.checkpoint().size > row.index)
            .and_then(|note| note.cosignature_seconds())
            .map(|seconds| UnixMillis(seconds * 1000));
        Ok(Some(MessageState { index: Some(row.index), receipt, refused }))
    }

    fn is_staged(&self, to: NodeId, id: MessageId) -> Result<bool, Refusal> {
        if self.snapshot().out.get(&to).is_none_or(|log| log.staged == 0) {
            return Ok(false);
        }
        let rows = self.0.archive.rows(Table::Staged, to.as_str().as_bytes()).map_err(Self::damaged)?;
        for (_, value) in rows {
            let Some(place) = rows::Place::from_bytes(&value) else { continue };
            let (fact, _) = self.0.archive.fact(place).map_err(Self::damaged)?;
            if let Some(stored::fact::Kind::Staged(staged)) = fact.kind
                && staged.message_id[..] == id.0
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until a message has its receipt or was dropped before it had a place, at most `timeout`. An
    /// entry that the partner refused has a receipt as well: the refusal may come in a moment before it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn wait_receipt(
        &self,
        to: NodeId,
        id: MessageId,
        timeout: Duration,
    ) -> Result<Option<MessageState>, Refusal> {
        let listener = self.0.bells.listen([Topic::Peer(to)]);
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let state = self.message(to, id)?;
            let dropped = |state: &MessageState| state.index.is_none() && state.refused.is_some();
            if state.as_ref().is_some_and(|state| state.receipt.is_some() || dropped(state)) {
                return Ok(state);
            }
            match tokio::time::timeout_at(deadline, listener.rung()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return self.message(to, id),
            }
        }
    }

    /// A consumer's cursor in the channel from `from`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn cursor(&self, consumer: &str, from: NodeId) -> Result<LogPosition, Refusal> {
        let row = self.0.archive.index().get(Table::Cursor, &rows::cursor(consumer, from));
        let row = row.map_err(|error| Self::damaged(error.into()))?;
        let row = row.and_then(|row| stored::Cursor::decode(row).ok()).unwrap_or_default();
        Ok(LogPosition { epoch: row.epoch, index: row.next })
    }

    /// The next entries for a consumer, in channel order; waits until there are some. A page is of one
    /// channel, and channels take turns: a flood in one delays nothing of another by more than a page.
    ///
    /// # Errors
    /// When the store cannot be read, or the node stops.
    pub async fn next_inbox(&self, reading: &mut InboxReading) -> Result<Vec<InboxEntry>, Refusal> {
        let listener = self.0.bells.listen([Topic::Inbox]);
        loop {
            let (logs, events): (Vec<(NodeId, LogId, u64)>, u64) = {
                let snapshot = self.snapshot();
                // Whoever was served last comes last.
                let later =
                    snapshot.inbound.iter().filter(|(from, _)| reading.last.is_none_or(|last| **from > last));
                let earlier = snapshot
                    .inbound
                    .iter()
                    .filter(|(from, _)| reading.last.is_some_and(|last| **from <= last));
                let logs = later.chain(earlier).map(|(from, log)| (*from, log.log, log.size)).collect();
                (logs, snapshot.blob_events)
            };
            // Files that became whole come first: entries may keep coming for a long time.
            let files = self.next_blob_events(reading, events).await?;
            if !files.is_empty() {
                return Ok(files);
            }
            for (from, log, size) in logs {
                let next = match reading.next.get(&from) {
                    Some(next) => *next,
                    None => {
                        let cursor = self.cursor(&reading.consumer, from)?;
                        reading.next.insert(from, cursor);
                        cursor
                    }
                };
                if next.index >= size {
                    continue;
                }
                let gateway = self.clone();
                let threads = self.0.links.threads;
                let entries = threads
                    .begin(move || gateway.entries_from(log, next))
                    .await
                    .unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
                if let Some(last) = entries.last() {
                    let place = LogPosition { index: last.position.index + 1, ..last.position };
                    reading.next.insert(from, place);
                    reading.last = Some(from);
                    return Ok(entries);
                }
            }
            listener.rung().await.map_err(|_| Refusal::from(RefusalCode::StoreUnknown))?;
        }
    }

    /// One page of an inbound log. Payloads are copied: a slice would keep its whole frame in memory for as
    /// long as the slowest consumer takes.
    fn entries_from(&self, log: LogId, next: LogPosition) -> Result<Vec<InboxEntry>, Refusal> {
        let batch = self.0.archive.batch(log, next.index).map_err(Self::damaged)?;
        let Some(batch) = batch else { return Ok(Vec::new()) };
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (place, (raw, verdict)) in batch.entries.into_iter().zip(batch.verdicts).enumerate() {
            bytes += raw.body.as_ref().map_or(0, Bytes::len);
            if !page.is_empty() && (bytes > INBOX_PAGE_BYTES_MAX || page.len() >= INBOX_PAGE_ENTRIES_MAX) {
                break;
            }
            page.push(InboxEntry {
                from: log.channel.from,
                position: LogPosition { epoch: log.epoch, index: batch.first + place as u64 },
                header: Header::parse(&raw.header).ok(),
                verdict: (!verdict.is_empty()).then_some(verdict),
                payload: raw.body.as_ref().and_then(payload).map(|payload| Bytes::copy_from_slice(&payload)),
                stored: None,
            });
        }
        Ok(page)
    }

    /// Moves a consumer's cursor: everything below `next` was acted on.
    ///
    /// # Errors
    /// [`RefusalCode::BadRequest`] when the cursor would leave the channel or go back.
    pub async fn acknowledge(&self, consumer: &str, from: NodeId, next: LogPosition) -> Result<(), Refusal> {
        let held = if from == self.0.me {
            Some(self.snapshot().blob_events)
        } else {
            self.snapshot().inbound.get(&from).map(|log| log.size)
        };
        let held = held.ok_or_else(|| Refusal::new(RefusalCode::ChannelUnknown, format!("node={from}")))?;
        let now = self.cursor(consumer, from)?;
        if next.index > held || next < now {
            let detail = format!("next={} cursor={} size={held}", next.index, now.index);
            return Err(Refusal::new(RefusalCode::BadRequest, detail));
        }
        if next == now {
            return Ok(());
        }
        let consumer = consumer.to_owned();
        self.0.committer.ask(|reply| Command::Acknowledge { consumer, from, next, reply }).await
    }

    /// One case.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn case(&self, id: &CaseId) -> Result<Option<CaseEntry>, Refusal> {
        let row = self.0.archive.index().get(Table::Case, &rows::case(id));
        let row = row.map_err(|error| Self::damaged(error.into()))?;
        let Some(row) = row.and_then(|row| stored::CaseRow::decode(row).ok()) else { return Ok(None) };
        let book = read_case(&self.0.archive, id).map_err(Self::damaged)?;
        Ok(book.map(|book| CaseEntry {
            id: id.clone(),
            case: book.fold(),
            refused: (!row.refused.is_empty()).then_some(row.refused),
        }))
    }

    /// The limits that hold for a case by its pinned editions; `None`: this node lacks one of them.
    ///
    /// # Panics
    /// When somebody panicked while changing the documents.
    pub fn limits(&self, case: &Case) -> Option<Limits> {
        let documents = self.0.documents.read().expect("no holder of the documents panics");
        let (record, _) = documents.agreements.get(&case.agreement?)?;
        let item = record.agreement.item(&case.item, case.receiving, case.competent)?;
        let (standard, _, _) = documents.standards.get(&case.standard?)?;
        Some(Limits::of(item, standard))
    }

    /// Cases in the order of their numbers, those after `after`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn cases(&self, after: Option<&CaseId>, limit: usize) -> Result<Vec<CaseEntry>, Refusal> {
        let from = after.map_or_else(Vec::new, |id| {
            let mut key = rows::case(id);
            key.push(0);
            key
        });
        let rows = self.0.archive.index().range(Table::Case, &from, &[], limit, store::Direction::Ascending);
        let mut cases = Vec::new();
        for (key, _) in rows.map_err(|error| Self::damaged(error.into()))? {
            let id = std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok());
            let Some(id) = id else { continue };
            cases.extend(self.case(&id)?);
        }
        Ok(cases)
    }

    /// Puts a licence (tongban.exchange.v1.Licence) into this node's own catalogue.
    ///
    /// # Errors
    /// When it is malformed.
    pub async fn put_licence(&self, payload: Bytes) -> Result<(), Refusal> {
        self.0.committer.ask(|reply| Command::PutLicence { payload, reply }).await
    }

    /// A licence of the own catalogue, by identifier or by type and holder.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn licence(&self, id: &str, type_code: &str, holder_code: &str) -> Result<Option<Bytes>, Refusal> {
        let key =
            if id.is_empty() { rows::licence_of_holder(type_code, holder_code) } else { rows::licence(id) };
        let place = self.0.archive.index().get(Table::Licence, &key);
        let place = place.map_err(|error| Self::damaged(error.into()))?;
        let Some(place) = place.and_then(|place| rows::Place::from_bytes(&place)) else { return Ok(None) };
        let (_, bodies) = self.0.archive.fact(place).map_err(Self::damaged)?;
        Ok(bodies.into_iter().next().flatten().as_ref().and_then(payload))
    }

    /// One entry of either log with a peer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn entry(
        &self,
        channel: ChannelId,
        id: MessageId,
    ) -> Result<Option<(LogPosition, Header, Option<Bytes>)>, Refusal> {
        let row = self.0.archive.message(channel, id).map_err(Self::damaged)?;
        let Some(row) = row.filter(|row| !row.dropped) else { return Ok(None) };
        let log = LogId { channel, epoch: row.epoch };
        let batch = self.0.archive.batch(log, row.index).map_err(Self::damaged)?;
        let raw = batch.and_then(|batch| batch.entries.into_iter().next());
        Ok(raw.and_then(|raw| {
            let position = LogPosition { epoch: row.epoch, index: row.index };
            let header = Header::parse(&raw.header).ok()?;
            Some((position, header, raw.body.as_ref().and_then(payload)))
        }))
    }

    /// Signs a document as this node, in a DSSE envelope.
    ///
    /// # Errors
    /// When the signing key does not answer.
    pub fn sign_document(&self, payload_type: &str, payload: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let message = pre_authentication_encoding(payload_type, &payload);
        let signer = self.0.links.signer();
        let signature = signer
            .sign(&message)
            .map_err(|error| Refusal::new(RefusalCode::StoreUnknown, error.to_string()))?;
        let signatures = vec![(signer.name().to_owned(), signature)];
        Ok(Envelope { payload_type: payload_type.to_owned(), payload, signatures }.to_json())
    }

    /// Signs a standard or an agreement and sends it to a partner. Publishing the same bytes under the
    /// same key again gives the original answer.
    ///
    /// # Errors
    /// `document.malformed` with the place when it is not well formed, or why it was not taken.
    pub async fn publish_document(
        &self,
        to: NodeId,
        kind: Kind,
        payload: Bytes,
        alias: Option<String>,
    ) -> Result<Submitted, Refusal> {
        let payload_type = match kind {
            Kind::StandardPublish => {
                Standard::from_json(&payload)?;
                Standard::PAYLOAD_TYPE
            }
            Kind::AgreementSign => {
                Agreement::from_json(&payload)?;
                Agreement::PAYLOAD_TYPE
            }
            _ => return Err(Refusal::new(RefusalCode::BadRequest, "not a document")),
        };
        // The same document to the same partner is one message, whatever key its submitter gave it: a
        // signature differs each time it is made.
        let alias = alias
            .unwrap_or_else(|| format!("document/{}/{}", kind.name(), document_digest(&payload).to_text()));
        let id = self.alias_id(to, &alias);
        let channel = ChannelId { from: self.0.me, to };
        if let Some((position, _, Some(sent))) = self.entry(channel, id)? {
            let sent = proto::exchange::v1::Document::decode(sent).unwrap_or_default();
            let same = Envelope::from_json(&sent.envelope).is_ok_and(|sent| sent.payload == payload[..]);
            return if same {
                Ok(Submitted { message_id: id, index: Some(position.index), duplicate: true })
            } else {
                Err(Refusal::new(RefusalCode::DuplicateDifferent, format!("message={id}")))
            };
        }
        let envelope = self.sign_document(payload_type, payload.to_vec())?;
        let document = proto::exchange::v1::Document { envelope: envelope.into() };
        self.submit(Submission {
            to,
            message_id: None,
            alias: Some(alias),
            kind,
            case_id: None,
            in_reply_to: None,
            agreement: None,
            standard: None,
            expires: None,
            payload: document.encode_to_vec().into(),
        })
        .await
    }

    /// The documents that this node holds.
    pub fn documents(&self) -> Vec<DocumentView> {
        let now = self.0.clock.now();
        let documents = self.0.documents.read().expect("no holder of the documents panics");
        let standards =
            documents.standards.iter().map(|(digest, (standard, payload, signed_by))| DocumentView {
                kind: Kind::StandardPublish,
                digest: *digest,
                id: standard.id.clone(),
                edition: standard.edition,
                signed_by: signed_by.clone(),
                effective: standard.effective_at(now),
                payload: payload.clone(),
            });
        let agreements = documents.agreements.iter().map(|(digest, (record, payload))| DocumentView {
            kind: Kind::AgreementSign,
            digest: *digest,
            id: record.agreement.id.clone(),
            edition: record.agreement.edition,
            signed_by: record.signed_by.clone(),
            effective: in_force(record, now).is_ok(),
            payload: payload.clone(),
        });
        let mut views: Vec<_> = standards.chain(agreements).collect();
        views.sort_by(|one, other| {
            (one.kind, &one.id, one.edition).cmp(&(other.kind, &other.id, other.edition))
        });
        views
    }

    /// The documents, for rules.
    pub(crate) fn document_books(&self) -> Arc<RwLock<Documents>> {
        Arc::clone(&self.0.documents)
    }

    /// Both logs with every partner, and the journal's end.
    pub fn status(&self) -> Snapshot {
        self.snapshot().clone()
    }

    /// One log.
    ///
    /// # Errors
    /// [`RefusalCode::ChannelUnknown`].
    pub fn channel(&self, id: ChannelId) -> Result<LogSnapshot, Refusal> {
        let snapshot = self.snapshot();
        let log = if id.from == self.0.me {
            snapshot.out.get(&id.to)
        } else if id.to == self.0.me {
            snapshot.inbound.get(&id.from)
        } else {
            None
        };
        log.cloned().ok_or_else(|| Refusal::new(RefusalCode::ChannelUnknown, format!("channel={id}")))
    }

    /// Ends a stop: both sides meet anew and judge the copies again.
    ///
    /// # Errors
    /// [`RefusalCode::ChannelUnknown`].
    pub async fn resume(&self, id: ChannelId, reason: String) -> Result<(), Refusal> {
        if self.channel(id)?.stopped.is_none() {
            return Err(Refusal::new(RefusalCode::BadRequest, format!("channel={id} is not stopped")));
        }
        let peer = if id.from == self.0.me { id.to } else { id.from };
        self.0.committer.ask(|reply| Command::Resume { channel: id, reason, reply }).await?;
        self.0.links.close(peer, RefusalCode::Fenced);
        Ok(())
    }

    /// The proof of one message, `tongban-proof/v1`.
    ///
    /// # Errors
    /// See [`proof::export`].
    pub fn export_proof(&self, channel: ChannelId, id: MessageId) -> Result<Vec<u8>, Refusal> {
        let snapshot = self.snapshot().clone();
        proof::export(&self.0.archive, &snapshot, &self.0.keys, self.0.me, self.0.suite, channel, id)
    }

    /// Reconciles both channels with a connected partner.
    ///
    /// # Errors
    /// See [`reconcile::run`].
    pub async fn reconcile(
        &self,
        peer: NodeId,
        depth: Depth,
        timeout: Duration,
    ) -> Result<Comparison, Refusal> {
        reconcile::run(&self.0.links, peer, depth, timeout).await
    }
}

/// The secret under which aliases become message ids: made once, kept with the store.
fn alias_key(dir: &Path, randomness: &dyn Randomness) -> io::Result<[u8; 32]> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = dir.join("alias.key");
    match std::fs::read(&path) {
        Ok(bytes) => bytes
            .try_into()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "alias.key is not 32 bytes long")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            randomness.fill(&mut key);
            // Written aside and renamed: a crash leaves either no key or a whole one.
            let aside = dir.join("alias.key.new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&aside)?;
            file.write_all(&key)?;
            file.sync_all()?;
            std::fs::rename(&aside, &path)?;
            std::fs::File::open(dir)?.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

/// Folder of the journal below the data folder.
pub const JOURNAL_DIR: &str = "journal";
/// Folder of the index below the data folder.
pub const INDEX_DIR: &str = "index";
/// Folder of the blobs below the data folder.
pub const BLOBS_DIR: &str = "blobs";

/// Moves the index folder out of the way, keeping it for whoever wants to know what was wrong.
fn move_aside(
    data_dir: &Path,
    index_dir: &Path,
    why: &str,
    randomness: &dyn Randomness,
) -> Result<PathBuf, OpenError> {
    let mut name = [0; 4];
    randomness.fill(&mut name);
    let aside = data_dir.join(format!("{INDEX_DIR}.{why}-{:08x}", u32::from_be_bytes(name)));
    std::fs::rename(index_dir, &aside)
        .map_err(|source| OpenError::Io { doing: format!("move {} aside", index_dir.display()), source })?;
    Ok(aside)
}

fn open_store(
    data_dir: &Path,
    randomness: &dyn Randomness,
    measures: &Arc<Measures>,
) -> Result<(store::journal::SegmentedJournal, Arc<dyn Index>, OpenReport), OpenError> {
    let (journal_dir, index_dir) = (data_dir.join(JOURNAL_DIR), data_dir.join(INDEX_DIR));
    let index_error = |source| OpenError::Index { dir: index_dir.clone(), source };
    let journal_error = |source| OpenError::Journal { dir: journal_dir.clone(), source };
    let (mut index, index_report) = store::packed::open(&index_dir).map_err(index_error)?;
    let mut set_aside = index_report.set_aside.map(|aside| (aside.folder, aside.why));
    let rows_version = index.get(Table::Meta, rows::VERSION).map_err(index_error)?;
    let foreign = rows_version.as_deref() != Some(&rows::INDEX_VERSION.to_be_bytes()[..]);
    if foreign && index.reflects().map_err(index_error)? != store::Position::START {
        drop(index);
        let aside = move_aside(data_dir, &index_dir, "foreign", randomness)?;
        set_aside = Some((aside, "another release wrote its rows".to_owned()));
        index = store::packed::open(&index_dir).map_err(index_error)?.0;
    }
    let mut mark = [0; 8];
    randomness.fill(&mut mark);
    let options = |known_durable| store::journal::Options {
        known_durable,
        measures: Arc::clone(measures),
        ..store::journal::Options::new(u64::from_le_bytes(mark))
    };
    let opened = store::journal::open(&journal_dir, options(index.reflects().map_err(index_error)?));
    let (journal, journal_report) = match opened {
        Err(JournalError::Behind { end, known }) => {
            // The folder was copied while the node ran, or the journal was restored without its index.
            // The index holds nothing of its own: it is made anew from the journal that is here.
            drop(index);
            let aside = move_aside(data_dir, &index_dir, "ahead", randomness)?;
            let why = format!("it reflects frame {known}, the journal ends at {end}: a backup was restored");
            set_aside = Some((aside, why));
            index = store::packed::open(&index_dir).map_err(index_error)?.0;
            store::journal::open(&journal_dir, options(store::Position::START)).map_err(journal_error)?
        }
        opened => opened.map_err(journal_error)?,
    };
    let reflects = index.reflects().map_err(index_error)?;
    if reflects == store::Position::START {
        let value = Bytes::copy_from_slice(&rows::INDEX_VERSION.to_be_bytes());
        let version = store::Change::Put { table: Table::Meta, key: rows::VERSION.to_vec(), value };
        index.apply(&[version], reflects).map_err(index_error)?;
    }
    let report = OpenReport {
        cut_bytes: journal_report.cut.map_or(0, |cut| cut.bytes),
        index_set_aside: set_aside,
        replayed: Replayed { frames: 0 },
    };
    Ok((journal, Arc::new(index), report))
}
