//! The committer: takes commands from a bounded queue and makes one commit of whatever waits.
//!
//! For each command it asks the rules, lets the ledger do what they decided, and at the end signs one
//! checkpoint per log, writes one frame, and only then lets anybody know. It is one object without
//! threads ([`Core::commit`]); [`spawn`] gives it a thread, [`spawn_inline`] a task of a simulated process.
//!
//! A crash before the frame is synced leaves nothing of the commit: no reply was sent, and no
//! signature left the process. A crash after it leaves the whole commit in the journal; the index is
//! brought up to date by replay.

pub mod bells;
mod blobs;
pub mod command;
mod inline;
mod landing;
pub mod ledger;
mod queue;
pub mod rows;
mod thread;
mod verdict;

pub use command::{Command, ContactOutcome, PeerStatement, Reply, Submission, Submitted};
pub use inline::{Pace, spawn_inline};
pub use queue::Queue;
pub use thread::{CommitterHandle, spawn};

use crate::archive::{Archive, ArchiveError};
use crate::channel::batch::VerifiedBatch;
use crate::channel::fence::{Life, Statements, Turn};
use crate::channel::inbound::{Decision, Inbound};
use crate::channel::outbound::{Contact, PeerCopy, Receipt};
use crate::clock::{Clock, Randomness, random_16};
use crate::entry::{self, Header, RawEntry, body_digest};
use crate::id::{ChannelId, Kind, LogId, LogPosition, MessageId, NodeId};
use crate::keybook::{KeyBook, SigningKey};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BODY_BYTES_MAX, BODY_SALT_BYTES, COMMIT_BYTES_MAX, FACTS_HELD_MAX,
    NAME_BYTES_MAX, RETRY_SPACE_MILLIS, STAGED_DRAFTS_MAX, STAGED_TOTAL_BYTES_MAX,
};
use crate::log::checkpoint::{Checkpoint, Note, cosigned_message};
use crate::measure::{Measures, Stopwatch, Unremembered};
use crate::mutant::{Mutant, is_planted};
use crate::overload::Bounds;
use crate::overload::disk::{DiskState, DiskUse};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::blob::commitment;
use crate::signer::{Signer, SignerError};
use crate::store::{Frame, Index, IndexError, Journal, JournalError, Position, Table, Written};
use crate::suite::Suite;
use crate::time::UnixMillis;
use crate::wire;
use bells::{Bells, Ringer};
use bytes::Bytes;
use landing::{Beside, Landing, Shown, WrittenCommit};
use ledger::{Appending, Content, Documents, Draft, Ledger, head};
use prost::Message as _;
use queue::{Company, Share};
use rows::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

/// What a committer needs of the world.
pub struct Ports {
    /// The journal's one writer.
    pub journal: Box<dyn Journal>,
    /// The index.
    pub index: Arc<dyn Index>,
    /// This node's signing key.
    pub signer: Arc<dyn Signer>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub randomness: Arc<dyn Randomness>,
    /// Key under which submitters' aliases become message ids, 32 bytes, kept with the store.
    pub alias_key: [u8; 32],
    /// What an operator may set of this node's limits.
    pub bounds: Bounds,
    /// What is told about commits.
    pub measures: Arc<Measures>,
}

/// One log as others may see it: the state after the last durable commit.
#[derive(Debug, Clone)]
pub struct LogSnapshot {
    /// Which log.
    pub log: LogId,
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: crate::suite::Hash,
    /// The newest note (outbound: signed here; inbound: cosigned here).
    pub checkpoint: Option<Note>,
    /// The newest cosigned note.
    pub cosigned: Option<Note>,
    /// Drafts that wait for contact.
    pub staged: usize,
    /// Whether the peer has stated its copy since the start (outbound).
    pub contacted: bool,
    /// Why it is stopped.
    pub stopped: Option<Refusal>,
    /// Entries with a refusal.
    pub refused: u64,
}

/// Both logs with each peer.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Logs to peers.
    pub out: BTreeMap<NodeId, LogSnapshot>,
    /// Logs from peers.
    pub inbound: BTreeMap<NodeId, LogSnapshot>,
    /// Blobs that became whole, counted by the entries that name them.
    pub blob_events: u64,
    /// Changes whenever there may be another blob to fetch or to answer.
    pub blob_changes: u64,
    /// The last durable journal position.
    pub position: Position,
    /// What the disk has room for.
    pub disk: DiskState,
    /// Free bytes on the disk at the last look.
    pub disk_room: u64,
}

/// Why the committer cannot go on. The process stops; a restart reads what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Ours or the disk's: the outcome of a write is unknown.
    #[error("the commit's outcome is unknown: {0}")]
    Journal(#[source] JournalError),
    /// The disk's: the index cannot be read or written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The disk's: what was stored cannot be read back.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The operator's: the signing key does not answer.
    #[error("the signing key does not answer: {0}")]
    Signer(#[from] SignerError),
    /// The operator's: the store has logs of another suite than the signing key's, and an epoch's suite never changes.
    #[error(
        "the channels in this store are of suite {}, the signing key is of {}: install a key of that suite, \
         or begin with an empty store",
        stored.name(), key.name()
    )]
    Suite {
        /// What the logs are hashed by and this node signed them with.
        stored: Suite,
        /// The signing key's.
        key: Suite,
    },
}

/// Adds commands that have arrived; told to wait, it does so for a command or for a landing.
type More<'a> = dyn FnMut(&mut Queue, bool) + 'a;

/// Passes a commit's fate on to whoever asked for it.
type Told = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// The committer's state.
pub struct Core {
    ports: Ports,
    me: NodeId,
    peers: Vec<NodeId>,
    suite: Suite,
    ledger: Ledger,
    archive: Arc<Archive>,
    keys: Arc<KeyBook>,
    landing: Arc<Landing>,
    /// Where commits land beside the next one; none: each lands where it was made.
    beside: Option<Beside>,
    touched: BTreeSet<NodeId>,
    /// To whom the copy of each peer's log was stated.
    stated: BTreeMap<NodeId, Statements>,
    /// What to say once the commit is durable.
    replies: Vec<Told>,
    /// Header and body bytes gathered so far.
    gathered: usize,
    /// The last commit found no room on the disk.
    full: bool,
    /// Whether this commit writes what could wait for the next.
    writes_all: bool,
    /// Who waits for the index to be settled.
    settling: Vec<Reply<()>>,
    /// Whether several channels are at work.
    company: Company,
    /// What the disk has room for, and its free bytes at the last look.
    disk: (DiskState, u64),
}

/// What a start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Frames that the index did not have.
    pub frames: u64,
}

/// How far a start has come in bringing the index up to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayProgress {
    /// Frames that were applied.
    pub frames: u64,
    /// Bytes of the journal before the newest of them, counted from the first.
    pub bytes: u64,
    /// Bytes that are to be applied in all.
    pub bytes_whole: u64,
}

impl Core {
    /// Brings the index up to the journal and takes up the state.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        me: NodeId,
        peers: Vec<NodeId>,
        ports: Ports,
        mut progress_of_replay: impl FnMut(ReplayProgress),
    ) -> Result<(Self, Replayed), CommitError> {
        let suite = ports.signer.public_key().suite;
        let archive = Arc::new(Archive::new(ports.journal.reader(), Arc::clone(&ports.index)));
        let keys = Arc::new(KeyBook::default());
        let mut ledger =
            Ledger::load(me, suite, &peers, Arc::clone(&archive), Arc::clone(&keys), Arc::default())?;
        let mut frames = 0;
        let reader = ports.journal.reader();
        let index = Arc::clone(&ports.index);
        let after = index.reflects()?;
        let extent = ports.journal.extent().map_err(CommitError::Journal)?;
        let mut from = None;
        reader
            .replay(after, None, &mut |frame| {
                let visit = |error: Box<dyn std::error::Error + Send + Sync>| JournalError::Visitor(error);
                let changes = ledger.replay(&frame).map_err(|error| visit(Box::new(error)))?;
                index.apply(&changes, frame.position).map_err(|error| visit(Box::new(error)))?;
                frames += 1;
                let at = extent.bytes_before(frame.locator);
                let from = *from.get_or_insert(at);
                let (bytes, bytes_whole) = (at - from, extent.bytes().saturating_sub(from));
                progress_of_replay(ReplayProgress { frames, bytes, bytes_whole });
                Ok(())
            })
            .map_err(CommitError::Journal)?;
        let landing = Landing {
            archive: Arc::clone(&archive),
            index: Arc::clone(&ports.index),
            snapshot: Arc::default(),
            ringer: Ringer::default(),
            measures: Arc::clone(&ports.measures),
        };
        let mut core = Self {
            ports,
            me,
            suite,
            ledger,
            archive,
            keys,
            landing: Arc::new(landing),
            beside: None,
            touched: peers.iter().copied().collect(),
            peers,
            stated: BTreeMap::new(),
            replies: Vec::new(),
            gathered: 0,
            full: false,
            writes_all: false,
            settling: Vec::new(),
            company: Company::default(),
            disk: (DiskState::Normal, 0),
        };
        core.look_at_disk();
        core.ledger.landed();
        core.show();
        core.refuse_another_suite()?;
        Ok((core, Replayed { frames }))
    }

    /// Own keys of the past tell what the logs here are hashed by. Going on with another hash would sign a tree that
    /// no partner has.
    fn refuse_another_suite(&self) -> Result<(), CommitError> {
        let snapshot = self.landing.snapshot.read().expect("no holder of the snapshot panics");
        let logs = || snapshot.out.values().chain(snapshot.inbound.values());
        if logs().all(|log| log.size == 0 && log.staged == 0) {
            return Ok(());
        }
        let own = self.keys.of(self.me).into_iter().map(|own| own.key.suite);
        match own.into_iter().find(|stored| *stored != self.suite) {
            Some(stored) => Err(CommitError::Suite { stored, key: self.suite }),
            None => Ok(()),
        }
    }

    /// Reads logs back.
    pub fn archive(&self) -> Arc<Archive> {
        Arc::clone(&self.archive)
    }

    /// The signing certificates met so far.
    pub fn keys(&self) -> Arc<KeyBook> {
        Arc::clone(&self.keys)
    }

    /// The documents met so far.
    pub fn documents(&self) -> Arc<RwLock<Documents>> {
        Arc::clone(&self.ledger.documents)
    }

    /// The state after the last commit.
    pub fn snapshot(&self) -> Arc<RwLock<Snapshot>> {
        Arc::clone(&self.landing.snapshot)
    }

    /// Rung whenever the snapshot changes, for those whom the change concerns.
    pub fn bells(&self) -> Arc<Bells> {
        self.landing.ringer.bells()
    }

    /// Gives commits a thread to land on, so that the next one is judged meanwhile; `wake` is called when
    /// one has landed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn land_beside(&mut self, wake: impl Fn() + Send + 'static) -> std::io::Result<()> {
        self.beside = Some(Beside::thread(Arc::clone(&self.landing), wake)?);
        Ok(())
    }

    /// Whether the last commit is still on its way to the disk.
    ///
    /// # Errors
    /// When the process must stop: it did not become durable.
    pub(super) fn is_landing(&mut self) -> Result<bool, CommitError> {
        let Some(beside) = self.beside.as_mut().filter(|beside| beside.is_busy()) else { return Ok(false) };
        let landed = beside.has_landed()?;
        if landed {
            self.ledger.landed();
        }
        Ok(!landed)
    }

    /// Waits until nothing is on its way.
    ///
    /// # Errors
    /// As for [`Core::is_landing`].
    pub(super) fn wait_for_landing(&mut self) -> Result<(), CommitError> {
        if let Some(beside) = self.beside.as_mut().filter(|beside| beside.is_busy()) {
            beside.wait()?;
            self.ledger.landed();
        }
        Ok(())
    }

    /// Makes one commit of as many of the waiting commands as fit.
    ///
    /// # Errors
    /// When the process must stop. Every command taken was answered.
    pub fn commit(&mut self, waiting: &mut Queue) -> Result<(), CommitError> {
        self.commit_from(waiting, &mut |_, _| ())
    }

    /// As [`Core::commit`], taking what arrives meanwhile.
    pub(super) fn commit_from(
        &mut self,
        waiting: &mut Queue,
        more: &mut More<'_>,
    ) -> Result<(), CommitError> {
        let now = self.ports.clock.now();
        self.look_at_disk();
        let began = self.ports.measures.commit_begins();
        // What waited longest goes first: drafts that one commit could not hold, or that waited for what
        // the peer had to give back.
        for peer in self.backlog() {
            self.touched.insert(peer);
            self.sequence_staged(peer, now)?;
        }
        // Not all at once: while this commit is on its way, the partner judges the one before it. Both work
        // then, and a lone message of another channel waits for no more than one such share.
        let mut share = Share::new(self.company.at_work(waiting, now));
        while self.gathered < COMMIT_BYTES_MAX / 4 {
            let landing = self.is_landing()?;
            if waiting.is_empty() {
                // The disk is busy anyway: whatever arrives before it is free belongs to this commit.
                more(waiting, landing);
            }
            let Some(command) = share.next(waiting, began.micros(), landing) else { break };
            self.take(command, now)?;
        }
        self.seal(now)?;
        self.wait_for_landing()?;
        more(waiting, false);
        let result = self.write(now, began, !waiting.is_empty());
        self.writes_all = false;
        self.ports.measures.commit_ends();
        self.gathered = 0;
        let told = match &result {
            Ok(outcome) => outcome.clone(),
            Err(_) => Err(RefusalCode::StoreUnknown.into()),
        };
        // Those of a commit that is written were given to it.
        for reply in std::mem::take(&mut self.replies) {
            reply(told.clone());
        }
        for reply in std::mem::take(&mut self.settling) {
            let settled = match &told {
                Ok(()) => self.flush().map(Ok)?,
                Err(refusal) => Err(refusal.clone()),
            };
            // Nobody may be waiting any more.
            let _ = reply.send(settled);
        }
        result.map(|_| ())
    }

    /// Sees how much room the disk has. What cannot be seen is no reason to stop: a full disk shows at
    /// the write.
    fn look_at_disk(&mut self) {
        let Ok(room) = self.ports.journal.room() else { return };
        let low = self.ports.bounds.disk_low_bytes;
        let state = self.disk.0.after(room, low);
        if state != self.disk.0 {
            let (was, is) = (self.disk.0.name(), state.name());
            match state {
                DiskState::Normal => tracing::info!(was, is, room, low, "the disk has room again"),
                DiskState::Low | DiskState::Spent => {
                    tracing::error!(was, is, room, low, "the disk is nearly full: nothing new is taken");
                }
            }
        }
        self.disk = (state, room);
    }

    /// Whether the disk has room for such work.
    fn room_for(&self, work: DiskUse) -> Result<(), Refusal> {
        let (state, room) = self.disk;
        if state.admits(work) {
            return Ok(());
        }
        let low = self.ports.bounds.disk_low_bytes;
        let detail = format!("free_bytes={room} limit_bytes={low}");
        Err(Refusal::retry_after(RefusalCode::StoreFull, RETRY_SPACE_MILLIS, &detail))
    }

    fn backlog(&self) -> Vec<NodeId> {
        if self.room_for(DiskUse::Take).is_err() {
            return Vec::new();
        }
        self.ledger.backlog()
    }

    /// Whether a commit without commands would have something to do. On a full disk it has not: the
    /// next command tries again.
    pub fn has_backlog(&self) -> bool {
        !self.full && !self.backlog().is_empty()
    }

    fn take(&mut self, command: Command, now: UnixMillis) -> Result<(), CommitError> {
        match command {
            Command::Landed => {}
            Command::Submit { submission, reply } => {
                let outcome = self.submit(submission, now)?;
                self.answer(reply, outcome);
            }
            Command::SubmitMany { submissions, reply } => {
                let mut outcomes = Vec::with_capacity(submissions.len());
                for submission in submissions {
                    outcomes.push(self.submit(submission, now)?);
                }
                self.answer(reply, Ok(outcomes));
            }
            Command::PutLicence { payload, reply } => {
                let outcome = self.room_for(DiskUse::Take).and_then(|()| self.put_licence(&payload));
                self.answer(reply, outcome);
            }
            Command::BlobStored { blob, uploaded, reply } => {
                let outcome = match self.room_for(DiskUse::Finish) {
                    Ok(()) => Ok(self.blob_stored(&blob, uploaded, now)?),
                    Err(refusal) => Err(refusal),
                };
                self.answer(reply, outcome);
            }
            Command::GiveBlobsUp { blobs, reply } => {
                let outcome = self.room_for(DiskUse::Finish).map(|()| self.give_blobs_up(&blobs, now));
                self.answer(reply, outcome);
            }
            Command::BlobsRemoved { blobs, reply } => {
                let outcome = self.room_for(DiskUse::Finish);
                if outcome.is_ok() {
                    blobs.iter().for_each(|digest| self.ledger.blob_removed(digest));
                }
                self.answer(reply, outcome);
            }
            Command::Acknowledge { consumer, from, next, reply } => {
                let outcome = self.room_for(DiskUse::Finish).and_then(|()| name_fits(&consumer));
                if outcome.is_ok() {
                    self.ledger.cursor(&consumer, from, next);
                }
                self.answer(reply, outcome);
            }
            Command::Contact { statement, reply } => {
                let outcome = match self.room_for(DiskUse::Finish) {
                    Ok(()) => self.contact(&statement, now)?,
                    Err(refusal) => Err(refusal),
                };
                self.answer(reply, outcome);
            }
            Command::State { peer, turn, to, reply } => {
                let outcome = self.state(peer, turn, to);
                self.answer(reply, outcome);
            }
            Command::Receive { batch, turn, reply } => {
                let stated = self.stated.get(&batch.log().channel.from);
                let outcome = if stated.is_some_and(|stated| stated.takes_from(turn)) {
                    self.receive(&batch, now)?
                } else {
                    Err(RefusalCode::Fenced.into())
                };
                self.answer(reply, outcome);
            }
            Command::Receipt { peer, note, reply } => {
                let outcome = match self.room_for(DiskUse::Finish) {
                    Ok(()) => self.receipt(peer, note)?,
                    Err(refusal) => Err(refusal),
                };
                self.answer(reply, outcome);
            }
            Command::Restore { batch, reply } => {
                let outcome = self.restore(&batch, now)?;
                self.answer(reply, outcome);
            }
            Command::SigningKey { node, key, proven, reply } => {
                self.ledger.signing_key(node, key, proven);
                self.answer(reply, Ok(()));
            }
            Command::UseSigner { signer, reply } => {
                let outcome = self.use_signer(signer);
                self.answer(reply, outcome);
            }
            Command::Look { reply } => {
                self.writes_all = true;
                self.answer(reply, Ok(()));
            }
            Command::Settle { reply } => {
                self.writes_all = true;
                self.settling.push(reply);
            }
            Command::Resume { channel, reason, reply } => {
                // The reason is a person's own words: it stands in the journal, not here.
                tracing::warn!(%channel, outcome = "resumed", "channel resumed by an operator");
                self.ledger.resume(channel, &reason);
                let peer = if channel.from == self.me { channel.to } else { channel.from };
                if let Some(out) = self.ledger.out.get_mut(&peer) {
                    out.machine.contacted = false;
                }
                self.touched.insert(peer);
                self.answer(reply, Ok(()));
            }
        }
        Ok(())
    }

    /// Keeps an answer until the commit is durable; what may wait for the next one is answered at once.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, outcome: Result<T, Refusal>) {
        self.replies.push(Box::new(move |durable| {
            // Nobody may be waiting any more; the commit stands all the same.
            let _ = reply.send(durable.and(outcome));
        }));
    }

    /// Everything from here on is signed with another key, what this commit has gathered included. Its certificate
    /// stands in the same frame at the latest.
    fn use_signer(&mut self, signer: Arc<dyn Signer>) -> Result<(), Refusal> {
        let (was, is) = (self.suite, signer.public_key().suite);
        if was != is {
            let detail = format!("the logs are of {}, the key is of {}", was.name(), is.name());
            return Err(Refusal::new(RefusalCode::MaterialRefused, detail));
        }
        self.ledger.signing_key(self.me, SigningKey::of(&*signer), false);
        self.ports.signer = signer;
        Ok(())
    }

    // ---- out ----

    fn submit(
        &mut self,
        submission: Submission,
        now: UnixMillis,
    ) -> Result<Result<Submitted, Refusal>, CommitError> {
        let to = submission.to;
        let Some(out) = self.ledger.out.get(&to) else {
            return Ok(Err(Refusal::new(RefusalCode::ChannelUnknown, format!("node={to}"))));
        };
        if let Some(code) = out.machine.stopped {
            return Ok(Err(Refusal::new(RefusalCode::ChannelStopped, code.code())));
        }
        if submission.payload.len() + BODY_SALT_BYTES > BODY_BYTES_MAX {
            return Ok(Err(Refusal::new(
                RefusalCode::TooLarge,
                format!("bytes={}", submission.payload.len()),
            )));
        }
        let message_id = match (submission.message_id, &submission.alias) {
            (Some(id), _) => id,
            (None, Some(alias)) => self.alias_id(to, alias),
            (None, None) => new_message_id(now, &*self.ports.randomness),
        };
        let channel = ChannelId { from: self.me, to };
        let content = Content {
            kind: submission.kind.name(),
            case_id: submission.case_id.as_ref(),
            in_reply_to: submission.in_reply_to,
            payload: &submission.payload,
        };
        if let Some(row) = self.ledger.message(channel, message_id)
            && !is_planted(Mutant::SkipDuplicateCheck)
        {
            // A draft dropped at its turn has no place and no content: it may be submitted again.
            if !row.dropped {
                let index = Some(row.index);
                return Ok(match self.ledger.says(channel, &row, &content) {
                    Ok(true) => Ok(Submitted { message_id, index, duplicate: true }),
                    Ok(false) => {
                        Err(Refusal::new(RefusalCode::DuplicateDifferent, format!("message={message_id}")))
                    }
                    // A frame that rotted is no reason to stop for everybody: its own messages are refused.
                    Err(error) => Err(Refusal::new(RefusalCode::StoreDamaged, error.to_string())),
                });
            }
        }
        let waiting = out.staged.iter().find(|staged| staged.draft.message_id == message_id);
        if let Some(staged) = waiting {
            let draft = &staged.draft;
            return Ok(if Content::of_draft(draft) == content {
                Ok(Submitted { message_id, index: None, duplicate: true })
            } else {
                Err(Refusal::new(RefusalCode::DuplicateDifferent, format!("message={message_id}")))
            });
        }
        // Known ones had their answer again; nothing new is begun.
        if let Err(refusal) = self.room_for(DiskUse::Take) {
            return Ok(Err(refusal));
        }
        let draft = Draft {
            to,
            message_id,
            alias: submission.alias.unwrap_or_default(),
            kind: submission.kind,
            case_id: submission.case_id,
            in_reply_to: submission.in_reply_to,
            agreement: submission.agreement,
            standard: submission.standard,
            created: now,
            expires: submission.expires,
            payload: submission.payload,
        };
        self.gathered += draft.payload.len() + 512;
        self.touched.insert(to);
        // Before contact nothing is sequenced; after it, nothing overtakes what waited.
        if !self.ledger.may_append(to) || self.ledger.has_staged(to) {
            // What may not be named is refused now; what goes into the log at once is judged there.
            if let Err(refusal) = self.attachments(draft.kind, to, &draft.payload) {
                return Ok(Err(refusal));
            }
            let out = &self.ledger.out[&to];
            let (bytes, more) = (out.staged_bytes, draft.payload.len());
            let total: usize = self.ledger.out.values().map(|out| out.staged_bytes).sum();
            let full = out.staged.len() >= STAGED_DRAFTS_MAX
                || bytes + more > self.ports.bounds.staged_bytes_max
                || total + more > STAGED_TOTAL_BYTES_MAX;
            if full {
                let detail = format!("drafts={} bytes={bytes} node={to}", out.staged.len());
                let refusal = Refusal::retry_after(RefusalCode::StagingFull, RETRY_SPACE_MILLIS, &detail);
                return Ok(Err(refusal));
            }
            let salt = random_16(&*self.ports.randomness);
            self.ledger.stage(draft, salt);
            return Ok(Ok(Submitted { message_id, index: None, duplicate: false }));
        }
        let salt = random_16(&*self.ports.randomness);
        let index = self.sequence(draft, salt, now)?;
        Ok(index.map(|index| Submitted { message_id, index: Some(index), duplicate: false }))
    }

    /// Judges a draft against the fold so far and appends it.
    fn sequence(
        &mut self,
        mut draft: Draft,
        salt: [u8; 16],
        now: UnixMillis,
    ) -> Result<Result<u64, Refusal>, CommitError> {
        let to = draft.to;
        let channel = ChannelId { from: self.me, to };
        let payload = match wire::payload::decode(draft.kind, &draft.payload) {
            Ok(payload) => payload,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let blobs = match self.attachments(draft.kind, to, &draft.payload) {
            Ok(blobs) => blobs,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.pin(&mut draft, channel, &payload, now);
        let inbound = &self.ledger.inbound[&to];
        let seen = LogPosition { epoch: inbound.log.epoch, index: inbound.machine.frontier.size() };
        let out = &self.ledger.out[&to];
        let position = LogPosition { epoch: out.log.epoch, index: out.machine.frontier.size() };
        let body = entry::body(salt, &draft.payload);
        let header = Header {
            message_id: draft.message_id,
            channel,
            epoch: position.epoch,
            kind: draft.kind.name().to_owned(),
            case_id: draft.case_id.clone(),
            in_reply_to: draft.in_reply_to,
            seen,
            agreement: draft.agreement,
            standard: draft.standard,
            created: draft.created,
            expires: draft.expires,
            body_digest: body_digest(self.suite, &body),
            body_length: body.len() as u32,
            blobs: blobs.iter().map(|blob| commitment(self.suite, &salt, &blob.digest)).collect(),
        };
        let fact = match self.authorise(&header, draft.kind, position, &payload, seconds(now)) {
            Ok(fact) => fact,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // 收件: the receiving place's own record of the application, made with its forward.
        let receives = draft.kind == Kind::CaseForward
            && header.case_id.as_ref().is_some_and(|id| self.ledger.is_new_case(id));
        let raw = RawEntry { header: Bytes::from(header.encode()), body: Some(body) };
        let open = &self.ledger.out[&to].open;
        let bytes = raw.header.len() + draft.payload.len() + BODY_SALT_BYTES;
        if open.entries.len() >= BATCH_ENTRIES_MAX || open.bytes + bytes > BATCH_BYTES_MAX {
            self.sign(to, now)?;
        }
        self.touched.insert(to);
        let entry = Appending { raw, header: Some(&header), fact, alias: draft.alias, receives };
        Ok(Ok(self.ledger.append_out(to, entry, now)))
    }

    /// Signs a checkpoint over the open entries of one log.
    fn sign(&mut self, peer: NodeId, now: UnixMillis) -> Result<(), CommitError> {
        let out = &self.ledger.out[&peer];
        if out.open.entries.is_empty() {
            return Ok(());
        }
        let checkpoint = Checkpoint {
            log: out.log,
            size: out.machine.frontier.size(),
            root: out.machine.frontier.root(),
            time: out.machine.next_time(now),
        };
        let signer = &self.ports.signer;
        let signature = signer.sign(checkpoint.body().as_bytes())?;
        let note = Note::signed(checkpoint, signer.name(), signer.public_key(), &signature);
        self.ledger.seal_out(peer, note);
        Ok(())
    }

    fn seal(&mut self, now: UnixMillis) -> Result<(), CommitError> {
        for peer in self.touched.clone() {
            if self.ledger.out.contains_key(&peer) {
                self.sign(peer, now)?;
            }
        }
        Ok(())
    }

    /// Sequences what waited for contact.
    fn sequence_staged(&mut self, peer: NodeId, now: UnixMillis) -> Result<(), CommitError> {
        while self.gathered < COMMIT_BYTES_MAX / 4 {
            let Some(staged) = self.ledger.unstage(peer) else { return Ok(()) };
            let id = staged.draft.message_id;
            let channel = ChannelId { from: self.me, to: peer };
            if self.ledger.message(channel, id).is_some_and(|row| !row.dropped) {
                continue; // it came back from the peer: this node had sent it before it lost its store
            }
            self.gathered += staged.draft.payload.len() + 512;
            if let Err(refusal) = self.sequence(staged.draft.clone(), staged.salt, now)? {
                tracing::warn!(message_id = %id, %peer, outcome = "refused", code = %refusal.code,
                    detail = refusal.detail, "a waiting draft is refused at its turn");
                self.ports.measures.refused_submissions.count(Some(refusal.code));
                self.ledger.drop_draft(peer, id, refusal.code, Some(&staged), now);
            }
        }
        Ok(())
    }

    /// The message id that a submitter's own key stands for: the same after a loss of the store, and
    /// not to be guessed from the key without this node's secret.
    fn alias_id(&self, to: NodeId, alias: &str) -> MessageId {
        alias_id(&self.ports.alias_key, to, alias)
    }

    fn put_licence(&mut self, payload: &Bytes) -> Result<(), Refusal> {
        let licence = proto::exchange::v1::Licence::decode(payload.clone())
            .map_err(|error| Refusal::new(RefusalCode::MalformedPayload, error.to_string()))?;
        wire::payload::decode_licence(payload)?;
        name_fits(&licence.id)?;
        let salt = random_16(&*self.ports.randomness);
        self.ledger.put_licence(&licence, entry::body(salt, payload));
        Ok(())
    }

    // ---- contact ----

    fn state(&mut self, peer: NodeId, turn: Turn, to: Option<Life>) -> Result<(), Refusal> {
        let stated = self.stated.entry(peer).or_default().state(turn, to);
        if stated { Ok(()) } else { Err(RefusalCode::Fenced.into()) }
    }

    fn contact(
        &mut self,
        statement: &PeerStatement,
        now: UnixMillis,
    ) -> Result<Result<ContactOutcome, Refusal>, CommitError> {
        let peer = statement.peer;
        let Some(out) = self.ledger.out.get(&peer) else {
            return Ok(Err(Refusal::new(RefusalCode::PeerUnknown, format!("node={peer}"))));
        };
        self.touched.insert(peer);
        self.stated.entry(peer).or_default().heard(statement.turn, statement.life);
        let log = out.log;
        let copy =
            statement
                .copy
                .as_ref()
                .map_or(PeerCopy { size: 0, root: crate::log::leaf::empty_root(self.suite) }, |note| {
                    PeerCopy { size: note.checkpoint().size, root: note.checkpoint().root }
                });
        let contact =
            out.machine.contact(copy, |size| self.ledger.root(log, size)).map_err(ArchiveError::from)?;
        self.ledger.recovered_below(peer, statement.cosigned_here_below);
        let outcome = match contact {
            Contact::DeliverFrom(size) => {
                if let Some(note) = &statement.copy
                    && self.ledger.out[&peer].machine.cosigned.is_none_or(|head| head.size < size)
                {
                    self.ledger.receipt(peer, note.clone());
                }
                self.in_contact(peer, now)?;
                Ok(ContactOutcome::DeliverFrom(size))
            }
            Contact::RecoverFrom(size) => {
                // Whoever met before and finds itself behind now has to meet again before it signs.
                self.ledger.out.get_mut(&peer).expect("the peer's logs are open").machine.contacted = false;
                let detail = format!("peer={peer} here={size} there={}", copy.size);
                tracing::error!(%peer, outcome = "recovering", code = %RefusalCode::Unremembered, here = size,
                    there = copy.size, "the peer holds signed entries that this node does not remember: recovering them; \
                     if no backup was restored, the signing key may be stolen");
                self.ledger.alarm(RefusalCode::Unremembered.code(), detail);
                let found = Unremembered { here: size, there: copy.size, at: now };
                self.ports.measures.found_unremembered(peer, found);
                Ok(ContactOutcome::RecoverFrom { here: size, there: copy.size })
            }
            Contact::Fork => {
                let refusal = Refusal::new(RefusalCode::Fork, format!("size={}", copy.size));
                let evidence = [statement.copy.as_ref(), self.ledger.out[&peer].signed.as_ref()];
                let evidence = evidence.into_iter().flatten().map(|note| Bytes::from(note.text())).collect();
                tell_stop(log.channel, &refusal);
                self.ledger.stop(log.channel, &refusal, evidence);
                Ok(ContactOutcome::Stopped(RefusalCode::Fork))
            }
            Contact::Stopped(code) => Ok(ContactOutcome::Stopped(code)),
        };
        Ok(outcome)
    }

    fn in_contact(&mut self, peer: NodeId, now: UnixMillis) -> Result<(), CommitError> {
        self.ledger.out.get_mut(&peer).expect("the peer's logs are open").machine.contacted = true;
        if self.ledger.may_append(peer) && self.room_for(DiskUse::Take).is_ok() {
            self.sequence_staged(peer, now)?;
        }
        Ok(())
    }

    fn receipt(&mut self, peer: NodeId, note: Note) -> Result<Result<(), Refusal>, CommitError> {
        let Some(out) = self.ledger.out.get(&peer) else {
            return Ok(Err(RefusalCode::ChannelUnknown.into()));
        };
        let log = out.log;
        let judged = out
            .machine
            .receipt(head(&note), |size| self.ledger.root(log, size))
            .map_err(ArchiveError::from)?;
        self.touched.insert(peer);
        Ok(match judged {
            Receipt::New => {
                self.ledger.receipt(peer, note);
                Ok(())
            }
            Receipt::Old => Ok(()),
            Receipt::NeverSigned => {
                let detail = format!("size={}", note.checkpoint().size);
                let refusal = Refusal::new(RefusalCode::CosignatureUnknown, detail);
                tell_stop(log.channel, &refusal);
                self.ledger.stop(log.channel, &refusal, vec![Bytes::from(note.text())]);
                Err(refusal)
            }
        })
    }

    /// Takes back own entries; `batch` was verified against this node's own old signature.
    fn restore(
        &mut self,
        batch: &VerifiedBatch,
        now: UnixMillis,
    ) -> Result<Result<u64, Refusal>, CommitError> {
        let peer = batch.log().channel.to;
        let Some(out) = self.ledger.out.get(&peer) else {
            return Ok(Err(RefusalCode::ChannelUnknown.into()));
        };
        let log = out.log;
        // Taking back is receiving one's own words: the same machine, without its clocks.
        let machine = Inbound { frontier: out.machine.frontier.clone(), cosigned: None, stopped: None };
        let decision = machine
            .decide(
                batch,
                UnixMillis(u64::MAX / 2),
                |index| self.ledger.leaf(log, index),
                |size| self.ledger.root(log, size),
            )
            .map_err(ArchiveError::from)?;
        self.touched.insert(peer);
        match decision {
            Decision::Append { skip } => {
                if let Err(refusal) = self.room_for(DiskUse::Take) {
                    return Ok(Err(refusal));
                }
                let entries: Vec<RawEntry> =
                    batch.entries()[skip..].iter().map(|entry| entry.raw.clone()).collect();
                self.gathered +=
                    batch.entries().iter().map(|entry| entry.raw.header.len() + 2048).sum::<usize>();
                self.ledger.restore(peer, entries, batch.note().clone(), now);
                Ok(Ok(self.ledger.out[&peer].machine.frontier.size()))
            }
            Decision::Have => Ok(Ok(self.ledger.out[&peer].machine.frontier.size())),
            Decision::Refuse(refusal) => Ok(Err(refusal)),
            Decision::Stop(refusal) => {
                let evidence = vec![Bytes::from(batch.note().text())];
                tell_stop(log.channel, &refusal);
                self.ledger.stop(log.channel, &refusal, evidence);
                Ok(Err(refusal))
            }
        }
    }

    // ---- in ----

    fn receive(
        &mut self,
        batch: &VerifiedBatch,
        now: UnixMillis,
    ) -> Result<Result<Note, Refusal>, CommitError> {
        let log = batch.log();
        let peer = log.channel.from;
        let Some(inbound) = self.ledger.inbound.get(&peer) else {
            return Ok(Err(Refusal::new(RefusalCode::PeerUnknown, format!("node={peer}"))));
        };
        let decision = inbound
            .machine
            .decide(batch, now, |index| self.ledger.leaf(log, index), |size| self.ledger.root(log, size))
            .map_err(ArchiveError::from)?;
        self.touched.insert(peer);
        match decision {
            Decision::Append { skip } => match self.room_for(DiskUse::Take) {
                Ok(()) => self.accept(batch, skip, now).map(Ok),
                // Links hold batches back while the disk is low; this one was on its way already.
                Err(refusal) => Ok(Err(refusal)),
            },
            Decision::Have => {
                let note = self.ledger.inbound[&peer].cosigned.clone();
                Ok(note.ok_or_else(|| RefusalCode::WrongIndex.into()))
            }
            Decision::Refuse(refusal) => Ok(Err(refusal)),
            Decision::Stop(refusal) => {
                let held = self.ledger.inbound[&peer].cosigned.as_ref();
                let evidence = [Some(batch.note()), held];
                let evidence = evidence.into_iter().flatten().map(|note| Bytes::from(note.text())).collect();
                tell_stop(log.channel, &refusal);
                self.ledger.stop(log.channel, &refusal, evidence);
                Ok(Err(refusal))
            }
        }
    }

    /// Judges entries one by one, each against everything before it, and cosigns.
    fn accept(&mut self, batch: &VerifiedBatch, skip: usize, now: UnixMillis) -> Result<Note, CommitError> {
        let log = batch.log();
        let peer = log.channel.from;
        let mut entries = Vec::with_capacity(batch.entries().len() - skip);
        for (place, entry) in batch.entries().iter().enumerate().skip(skip) {
            let position = LogPosition { epoch: log.epoch, index: batch.first() + place as u64 };
            let lost = position.index < self.ledger.inbound[&peer].recovered_below;
            let verdict = self.verdict(entry, log.channel, position, seconds(now), lost);
            let (fact, refusal) = match verdict {
                Ok(fact) => (fact, None),
                Err(refusal) => (None, Some(refusal)),
            };
            let code = refusal.as_ref().map(|refusal| refusal.code);
            if code.is_none() {
                self.count_refusal(entry);
            }
            self.ledger.take_in(peer, &entry.raw, entry.header.as_ref().ok(), fact, code, now);
            self.gathered += entry.raw.header.len() + entry.raw.body.as_ref().map_or(0, Bytes::len);
            if let Some(refusal) = refusal {
                self.refuse(entry, log.channel, position, &refusal, now)?;
            }
            entries.push((entry.raw.clone(), code));
        }
        let note = self.cosign(batch.note(), now)?;
        self.ledger.seal_in(peer, entries, note.clone());
        Ok(note)
    }

    /// The batch's note with this node's cosignature: the old one when it bears it already.
    fn cosign(&self, note: &Note, now: UnixMillis) -> Result<Note, CommitError> {
        let own = self.keys.cosigner_key(self.me, note);
        if own.is_some_and(|key| note.verify_cosignature(&key.name, &key.key).is_ok()) {
            return Ok(note.clone());
        }
        let signer = &self.ports.signer;
        let time = now.0 / 1000;
        let signature = signer.sign(&cosigned_message(time, &note.checkpoint().body()))?;
        Ok(note.with_cosignature(signer.name(), signer.public_key(), time, &signature))
    }

    // ---- the end of a commit ----

    /// Writes what was gathered, and lands it: here, or beside the next commit when `more` waits.
    fn write(
        &mut self,
        now: UnixMillis,
        began: Stopwatch,
        more: bool,
    ) -> Result<Result<(), Refusal>, CommitError> {
        if let Some(error) = self.ledger.failed_look_up() {
            return Err(error.into());
        }
        // A receipt is durable at the partner, who shows it at every contact: it is written with whatever
        // comes next, and costs no sync of its own.
        let waits = self.ledger.may_wait();
        if !self.ledger.is_dirty() || waits.is_some_and(|count| count < FACTS_HELD_MAX && !self.writes_all) {
            self.show();
            return Ok(Ok(()));
        }
        let keys = self.ledger.keys_of_commit();
        let finished = self.ledger.finish(now);
        let bytes = finished.meta.len() + finished.bodies.iter().map(Bytes::len).sum::<usize>();
        let (commit, bodies) = (Arc::clone(&finished.commit), finished.bodies.clone());
        let (frame, places) = finished.into_parts();
        match self.ports.journal.write(frame) {
            Ok(written) => {
                self.full = false;
                let commit = self.written(written, commit, bodies, bytes, places, began);
                // Whoever waits for the index to be settled waits for this commit as well.
                match &mut self.beside {
                    Some(beside) if (more || beside.is_always()) && self.settling.is_empty() => {
                        beside.send(commit);
                    }
                    _ => {
                        self.landing.land(commit)?;
                        self.ledger.landed();
                    }
                }
                Ok(Ok(()))
            }
            Err(JournalError::Full) if is_planted(Mutant::KeepWhatWasNotWritten) => {
                Ok(Err(RefusalCode::StoreFull.into()))
            }
            Err(JournalError::Full | JournalError::TooLarge { .. }) => {
                // Nothing was written: forget what was folded of it.
                let met: Vec<(NodeId, bool, u64)> = self
                    .ledger
                    .out
                    .values()
                    .zip(self.ledger.inbound.values())
                    .map(|(out, inbound)| {
                        (out.log.channel.to, out.machine.contacted, inbound.recovered_below)
                    })
                    .collect();
                self.ledger = Ledger::load(
                    self.me,
                    self.suite,
                    &self.peers,
                    Arc::clone(&self.archive),
                    Arc::clone(&self.keys),
                    Arc::clone(&self.ledger.documents),
                )?;
                for (peer, contacted, recovered_below) in met {
                    if let Some(out) = self.ledger.out.get_mut(&peer) {
                        out.machine.contacted = contacted;
                    }
                    self.ledger.recovered_below(peer, recovered_below);
                }
                // The key book has them already, so nobody will name them again.
                for key in &keys {
                    self.ledger.signing_key_again(key);
                }
                self.full = true;
                self.ports.measures.disk_full.store(true, Ordering::Relaxed);
                Ok(Err(RefusalCode::StoreFull.into()))
            }
            Err(error) => Err(CommitError::Journal(error)),
        }
    }

    /// What is to land of a commit that was written.
    fn written(
        &mut self,
        written: Written,
        commit: Arc<proto::store::v1::Commit>,
        bodies: Vec<Bytes>,
        bytes: usize,
        places: Vec<ledger::PlacedRow>,
        began: Stopwatch,
    ) -> WrittenCommit {
        let placed = written.placed();
        let batches = places.iter().filter(|(table, ..)| *table == Table::Batch);
        let batches = batches
            .map(|(_, key, place)| (key.clone(), Place { locator: placed.locator, ..*place }))
            .collect();
        let changes = self.ledger.changes(places, placed.locator);
        let shown = self.shown(placed.position);
        let mut replies = std::mem::take(&mut self.replies);
        if is_planted(Mutant::AcknowledgeBeforeCommit) {
            replies.drain(..).for_each(|reply| reply(Ok(())));
        }
        WrittenCommit { written, commit, bodies, bytes, batches, changes, shown, replies, began }
    }

    /// Shows the state to readers when nothing had to be written for it.
    fn show(&mut self) {
        let shown = self.shown(self.ports.journal.end());
        self.landing.show(shown);
    }

    /// The state after this commit, as far as it touched it.
    fn shown(&mut self, position: Position) -> Shown {
        let mut logs = Vec::with_capacity(self.touched.len());
        for peer in std::mem::take(&mut self.touched) {
            if let (Some(out), Some(inbound)) = (self.ledger.out.get(&peer), self.ledger.inbound.get(&peer)) {
                let stop =
                    |code: Option<RefusalCode>, detail: &str| code.map(|code| Refusal::new(code, detail));
                let out = LogSnapshot {
                    log: out.log,
                    size: out.machine.frontier.size(),
                    root: out.machine.frontier.root(),
                    checkpoint: out.signed.clone(),
                    cosigned: out.cosigned.clone(),
                    staged: out.staged.len() + out.staged_refusals.len(),
                    contacted: out.machine.contacted,
                    stopped: stop(out.machine.stopped, &out.stopped_detail),
                    refused: out.refused,
                };
                let inbound = LogSnapshot {
                    log: inbound.log,
                    size: inbound.machine.frontier.size(),
                    root: inbound.machine.frontier.root(),
                    checkpoint: inbound.cosigned.clone(),
                    cosigned: inbound.cosigned.clone(),
                    staged: 0,
                    contacted: true,
                    stopped: stop(inbound.machine.stopped, &inbound.stopped_detail),
                    refused: inbound.refused,
                };
                logs.push((peer, out, inbound));
            }
        }
        Shown {
            logs,
            blob_events: self.ledger.blob_events,
            blobs_changed: std::mem::take(&mut self.ledger.blob_changed),
            position,
            disk: self.disk,
        }
    }

    /// Makes the index durable: for an orderly stop.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn flush(&self) -> Result<(), CommitError> {
        Ok(self.ports.index.settle()?)
    }
}

impl ledger::Finished {
    fn into_parts(self) -> (Frame, Vec<ledger::PlacedRow>) {
        (Frame { meta: self.meta, bodies: self.bodies }, self.places)
    }
}

/// See [`Core::commit`]: the message id that an alias stands for under this node's secret.
pub(crate) fn alias_id(secret: &[u8; 32], to: NodeId, alias: &str) -> MessageId {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let text = [to.as_str().as_bytes(), b"\0", alias.as_bytes()].concat();
    let tag = ring::hmac::sign(&key, &text);
    let mut id = [0; 16];
    id.copy_from_slice(&tag.as_ref()[..16]);
    id[6] = id[6] & 0x0f | 0x80; // UUID version 8: ours
    id[8] = id[8] & 0x3f | 0x80;
    MessageId(id)
}

/// One event for each stop, whatever found it.
fn tell_stop(channel: ChannelId, refusal: &Refusal) {
    tracing::error!(%channel, outcome = "stopped", code = %refusal.code, detail = refusal.detail,
        fault = refusal.code.fault().name(), advice = refusal.code.en(), "channel stopped");
}

/// Names that become keys of the index.
fn name_fits(name: &str) -> Result<(), Refusal> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::TooLarge, format!("name bytes={}", name.len())))
}

/// Judgement counts whole seconds: its instant is the one that the cosignature shows (WIRE.md §10.3).
fn seconds(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0 / 1000 * 1000)
}

/// A UUID of version 7: ascending by time.
fn new_message_id(now: UnixMillis, randomness: &dyn Randomness) -> MessageId {
    let mut id = random_16(randomness);
    id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
    id[6] = id[6] & 0x0f | 0x70;
    id[8] = id[8] & 0x3f | 0x80;
    MessageId(id)
}
