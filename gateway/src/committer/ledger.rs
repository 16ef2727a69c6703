//! The state of one node as a fold over journalled facts, and the facts of the commit being made.
//!
//! Every effect of a fact goes through one function, whether the fact is being decided now or read
//! back from the journal: a rebuild runs the code that a live commit runs. The ledger judges nothing;
//! it answers the rules' questions ([`Books`]) as of everything before, this commit included.

pub mod blobs;
mod letters;
mod underway;

use super::rows::{self, Place};
use crate::archive::{Archive, ArchiveError, node_from_tiles};
use crate::authorize::{Books, CaseBook, RequestRecord};
use crate::channel::Head;
use crate::channel::inbound::Inbound;
use crate::channel::outbound::Outbound;
use crate::entry::{Header, RawEntry, payload};
use crate::id::{CaseId, ChannelId, Digest, Kind, LogId, LogPosition, MessageId, NodeId};
use crate::keybook::{KeyBook, SigningKey};
use crate::limits::CASE_ROW_BYTES_MAX;
use crate::log::checkpoint::Note;
use crate::log::leaf::leaf_hash;
use crate::log::proof::root_at;
use crate::log::tree::{Frontier, MissingNode, Nodes, TILE_HEIGHT, TILE_NODES};
use crate::mutant::{Mutant, is_planted};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::{Agreement, AgreementRecord};
use crate::service::blob::NamedBlob;
use crate::service::case::{CaseEvent, CaseFact};
use crate::service::recognition::Outcome;
use crate::service::standard::Standard;
use crate::store::index::{Change, Table};
use crate::store::{Locator, StoredFrame};
use crate::suite::{Hash, PublicKey, Suite};
use crate::time::UnixMillis;
use crate::wire;
use crate::wire::document::Document as _;
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1 as stored;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, RwLock};
use underway::{Entries, Underway};

/// Names of the node's own readers begin so; business systems may not use it.
const OWN_CONSUMER: &str = "tongban.";
/// Cases kept in memory between commits.
const CASES_KEPT: usize = 20_000;

/// A draft that waits for contact.
#[derive(Debug, Clone)]
pub struct StagedDraft {
    /// Its row's serial.
    pub serial: u64,
    /// What to send.
    pub draft: Draft,
    /// The salt it was journalled with.
    pub salt: [u8; 16],
}

/// One message that a submitter wants to send.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The receiver.
    pub to: NodeId,
    /// The message's id.
    pub message_id: MessageId,
    /// The submitter's own key for it; empty: none.
    pub alias: String,
    /// What it is about.
    pub kind: Kind,
    /// The case.
    pub case_id: Option<CaseId>,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// The agreement to rely on; absent: the one in force.
    pub agreement: Option<Digest>,
    /// The standard to rely on; absent: the agreement's for the item.
    pub standard: Option<Digest>,
    /// When it was submitted here.
    pub created: UnixMillis,
    /// After when the receiver shall not act on it.
    pub expires: Option<UnixMillis>,
    /// The payload of its kind.
    pub payload: Bytes,
}

/// The outbound log to one peer.
#[derive(Debug)]
pub struct OutLog {
    /// Which log.
    pub log: LogId,
    /// The sender's machine.
    pub machine: Outbound,
    /// The newest note signed here.
    pub signed: Option<Note>,
    /// The newest note with the peer's cosignature.
    pub cosigned: Option<Note>,
    /// About the stop.
    pub stopped_detail: String,
    /// Entries that the peer refused.
    pub refused: u64,
    /// Drafts that wait for contact, oldest first.
    pub staged: VecDeque<StagedDraft>,
    /// Refusals that wait for it. They go first: nothing that has seen an entry may precede its refusal.
    pub staged_refusals: VecDeque<StagedDraft>,
    /// Payload bytes of both.
    pub staged_bytes: usize,
    /// The newest `seen` of its headers.
    pub seen: LogPosition,
    /// Entries of this commit that no checkpoint covers yet.
    pub open: OpenBatch,
    next_serial: u64,
}

/// Entries appended in this commit, before their checkpoint is signed.
#[derive(Debug, Default)]
pub struct OpenBatch {
    /// The entries.
    pub entries: Vec<RawEntry>,
    /// Their aliases.
    pub aliases: Vec<String>,
    /// Places of those that are also 收件 at this node's window.
    pub received: Vec<u32>,
    /// Header and body bytes.
    pub bytes: usize,
}

/// An entry that is about to be appended to an outbound log.
pub struct Appending<'a> {
    /// The entry.
    pub raw: RawEntry,
    /// What its header says, where it can be read.
    pub header: Option<&'a Header>,
    /// The fact of a case that it states, when the judge has read it.
    pub fact: Option<CaseFact>,
    /// The submitter's own key; empty: none.
    pub alias: String,
    /// Whether it is 收件 at this node's window as well.
    pub receives: bool,
}

/// What was decided about an entry, and what was read of it on the way.
#[derive(Default)]
struct Judged {
    refused: Option<RefusalCode>,
    fact: Option<CaseFact>,
    receives: bool,
}

/// The inbound log from one peer.
#[derive(Debug)]
pub struct InLog {
    /// Which log.
    pub log: LogId,
    /// The receiver's machine.
    pub machine: Inbound,
    /// The newest note cosigned here.
    pub cosigned: Option<Note>,
    /// About the stop.
    pub stopped_detail: String,
    /// Entries refused here.
    pub refused: u64,
    /// Entries below this were cosigned by this node, as the peer showed at the last contact: those of
    /// them that are not here were lost.
    pub recovered_below: u64,
    /// The newest `seen` of its headers.
    pub seen: LogPosition,
}

/// Documents in force or on their way: few, and kept parsed.
#[derive(Debug, Default, Clone)]
pub struct Documents {
    /// Standards by digest, with their payload bytes.
    pub standards: BTreeMap<Digest, (Arc<Standard>, Bytes, Vec<NodeId>)>,
    /// Agreements by digest, with their payload bytes.
    pub agreements: BTreeMap<Digest, (Arc<AgreementRecord>, Bytes)>,
}

/// Rows as a commit leaves them; nothing: deleted.
type Rows = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

struct PendingPlace {
    table: Table,
    key: Vec<u8>,
    fact: usize,
    count: usize,
}

/// The state of one node.
pub struct Ledger {
    /// This node.
    pub me: NodeId,
    /// Suite of every log (epoch 0).
    pub suite: Suite,
    /// Logs to peers.
    pub out: BTreeMap<NodeId, OutLog>,
    /// Logs from peers.
    pub inbound: BTreeMap<NodeId, InLog>,
    /// Signing certificates.
    pub keys: Arc<KeyBook>,
    /// Documents, shared with readers.
    pub documents: Arc<RwLock<Documents>>,
    /// Blobs that became whole, counted by the entries that name them: the serial of the next event.
    pub blob_events: u64,
    /// Something about the blobs to fetch changed in this commit.
    pub blob_changed: bool,
    archive: Arc<Archive>,
    cases: HashMap<CaseId, OpenCase>,
    /// Their ids, the longest kept first.
    cases_kept: VecDeque<CaseId>,
    /// Entries of this commit, which the archive cannot read yet.
    fresh: Entries,
    /// The commit before, while it is on its way to the disk.
    underway: Underway,
    /// The last message and the last case that were looked for in vain: each is asked for several times.
    absent_message: Cell<Option<(ChannelId, MessageId)>>,
    absent_case: RefCell<Option<CaseId>>,
    failed: RefCell<Option<ArchiveError>>,
    overlay: Rows,
    facts: Vec<(stored::Fact, Vec<Bytes>)>,
    pending: Vec<PendingPlace>,
    /// While an entry is judged again after a loss: own facts that its author could not have caused.
    horizon: Option<(NodeId, LogPosition)>,
}

/// What a finished commit consists of.
pub struct Finished {
    /// What `meta` says.
    pub commit: Arc<stored::Commit>,
    /// For the journal.
    pub meta: Vec<u8>,
    /// For the journal.
    pub bodies: Vec<Bytes>,
    /// Rows that await the frame's place.
    pub(super) places: Vec<PlacedRow>,
}

/// A row whose value is a place: table, key, and the place without its frame.
pub type PlacedRow = (Table, Vec<u8>, Place);

impl Ledger {
    /// Reads the state that the index reflects.
    ///
    /// # Errors
    /// When the index cannot be read or contradicts itself.
    pub fn load(
        me: NodeId,
        suite: Suite,
        peers: &[NodeId],
        archive: Arc<Archive>,
        keys: Arc<KeyBook>,
        documents: Arc<RwLock<Documents>>,
    ) -> Result<Self, ArchiveError> {
        *documents.write().expect("no holder of the documents panics") = Documents::default();
        let mut ledger = Self {
            me,
            suite,
            out: BTreeMap::new(),
            inbound: BTreeMap::new(),
            keys,
            documents,
            blob_events: 0,
            blob_changed: true,
            archive,
            cases: HashMap::new(),
            cases_kept: VecDeque::new(),
            fresh: Entries::new(),
            underway: Underway::default(),
            absent_message: Cell::default(),
            absent_case: RefCell::default(),
            failed: RefCell::default(),
            overlay: BTreeMap::new(),
            facts: Vec::new(),
            pending: Vec::new(),
            horizon: None,
        };
        ledger.blob_events = ledger.next_blob_event();
        for peer in peers {
            ledger.open_channel(*peer)?;
        }
        for (_, value) in ledger.archive.rows(Table::Meta, rows::SIGNING_KEYS)? {
            if let Ok(fact) = stored::SigningKey::decode(value) {
                ledger.remember_key(&fact);
            }
        }
        for (_, value) in ledger.archive.rows(Table::Document, &[])? {
            let read =
                stored::DocumentRow::decode(value).map_err(|_| ArchiveError::Mismatch("a document row"))?;
            for position in read.positions {
                let (Ok(from), Ok(to)) = (position.from.parse(), position.to.parse()) else { continue };
                let log = LogId { channel: ChannelId { from, to }, epoch: position.epoch };
                let entry = ledger.archive.batch(log, position.index)?;
                let Some(entry) = entry.and_then(|batch| batch.entries.into_iter().next()) else { continue };
                if let (Ok(header), Some(body)) = (Header::parse(&entry.header), entry.body) {
                    ledger.document_effect(&header, payload(&body).as_ref());
                }
            }
        }
        Ok(ledger)
    }

    /// Makes the two logs with a peer known, empty or as stored.
    fn open_channel(&mut self, peer: NodeId) -> Result<(), ArchiveError> {
        let to = ChannelId { from: self.me, to: peer };
        let from = to.reverse();
        let read = |channel| -> Result<stored::ChannelRow, ArchiveError> {
            let row = self.archive.index().get(Table::Channel, &rows::channel(channel))?;
            let row = row.map(stored::ChannelRow::decode).transpose();
            Ok(row.map_err(|_| ArchiveError::Mismatch("a channel row"))?.unwrap_or_default())
        };
        let (out_row, in_row) = (read(to)?, read(from)?);
        let frontier = |row: &stored::ChannelRow| {
            let peaks = row.peaks.iter().filter_map(|peak| Hash::try_from(&peak[..]).ok()).collect();
            Frontier::from_peaks(self.suite, row.size, peaks)
                .ok_or(ArchiveError::Mismatch("a channel row's tree"))
        };
        let note = |bytes: &Bytes| Note::parse(bytes).ok();
        let stopped = |row: &stored::ChannelRow| RefusalCode::with_code(&row.stopped);
        let signed = note(&out_row.signed);
        let cosigned = note(&out_row.cosigned);
        let mut staged = VecDeque::new();
        let mut staged_refusals = VecDeque::new();
        let mut staged_bytes = 0;
        let mut next_serial = 0;
        for (key, value) in self.archive.rows(Table::Staged, peer.as_str().as_bytes())? {
            let Some(place) = Place::from_bytes(&value) else { continue };
            let (fact, bodies) = self.archive.fact(place)?;
            let (Some(stored::fact::Kind::Staged(fact)), [Some(body)]) = (fact.kind, &bodies[..]) else {
                continue;
            };
            let serial = key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            next_serial = serial + 1;
            let Some(read) = read_staged(&fact, body, serial) else { continue };
            staged_bytes += read.draft.payload.len();
            if read.draft.kind == Kind::Refusal { &mut staged_refusals } else { &mut staged }.push_back(read);
        }
        let out = OutLog {
            log: LogId { channel: to, epoch: out_row.epoch },
            machine: Outbound {
                frontier: frontier(&out_row)?,
                signed: signed.as_ref().map(head),
                cosigned: cosigned.as_ref().map(head),
                contacted: false,
                stopped: stopped(&out_row),
            },
            signed,
            cosigned,
            stopped_detail: out_row.stopped_detail,
            refused: out_row.refused,
            staged,
            staged_refusals,
            staged_bytes,
            seen: LogPosition { epoch: out_row.seen_epoch, index: out_row.seen_size },
            open: OpenBatch::default(),
            next_serial,
        };
        let cosigned = note(&in_row.cosigned);
        let inbound = InLog {
            log: LogId { channel: from, epoch: in_row.epoch },
            machine: Inbound {
                frontier: frontier(&in_row)?,
                cosigned: cosigned.as_ref().map(head),
                stopped: stopped(&in_row),
            },
            cosigned,
            stopped_detail: in_row.stopped_detail,
            refused: in_row.refused,
            recovered_below: 0,
            seen: LogPosition { epoch: in_row.seen_epoch, index: in_row.seen_size },
        };
        self.out.insert(peer, out);
        self.inbound.insert(peer, inbound);
        Ok(())
    }

    // ---- the index as of this commit ----

    fn get(&self, table: Table, key: Vec<u8>) -> Option<Bytes> {
        let row = (table, key);
        match self.overlay.get(&row) {
            Some(value) => value.as_ref().map(|value| Bytes::copy_from_slice(value)),
            None => self.get_before(table, &row.1),
        }
    }

    /// As of the commit before, which the index may not have yet.
    fn get_before(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        match self.underway.get(table, key) {
            Some(value) => value.cloned(),
            None => self.found(self.archive.index().get(table, key).map_err(ArchiveError::from)),
        }
    }

    /// The entry at a place of a log, this commit and the one before included.
    fn entry(&self, log: LogId, index: u64) -> Result<Option<RawEntry>, ArchiveError> {
        let position = LogPosition { epoch: log.epoch, index };
        let fresh = self.fresh.get(&(log.channel, position));
        if let Some(raw) = fresh.or_else(|| self.underway.entry(log.channel, position)) {
            return Ok(Some(raw.clone()));
        }
        Ok(self.archive.batch(log, index)?.and_then(|batch| batch.entries.into_iter().next()))
    }

    /// What a look-up found. One that failed found nothing, and nothing that was judged by it may stand:
    /// see [`Ledger::failed_look_up`].
    fn found<T>(&self, outcome: Result<Option<T>, ArchiveError>) -> Option<T> {
        outcome.unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error);
            None
        })
    }

    /// The first look-up that failed since this was last asked: what was folded since then is worth
    /// nothing, and the process stops instead of writing it.
    pub fn failed_look_up(&self) -> Option<ArchiveError> {
        self.failed.take()
    }

    fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        if table == Table::Message {
            self.absent_message.set(None);
        }
        self.overlay.insert((table, key), Some(value));
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) {
        // A row placed and deleted in one commit must not come back with the frame's place.
        self.pending.retain(|pending| pending.table != table || pending.key != key);
        self.overlay.insert((table, key), None);
    }

    fn row<M: prost::Message + Default>(&self, table: Table, key: Vec<u8>) -> Option<M> {
        M::decode(self.get(table, key)?).ok()
    }

    /// Where a message stands in its channel, this commit included.
    pub fn message(&self, channel: ChannelId, id: MessageId) -> Option<stored::MessageRow> {
        // Whoever judges an entry asks first, and whoever appends it asks again.
        if self.absent_message.get() == Some((channel, id)) {
            return None;
        }
        let row = self.row(Table::Message, rows::message(channel, id));
        if row.is_none() {
            self.absent_message.set(Some((channel, id)));
        }
        row
    }

    /// Whether the entry that a message's row leads to says just that. One whose body is gone counts as
    /// the same: nobody can tell any more.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub fn says(
        &self,
        channel: ChannelId,
        row: &stored::MessageRow,
        content: &Content<'_>,
    ) -> Result<bool, ArchiveError> {
        let stored = self.entry(LogId { channel, epoch: row.epoch }, row.index)?;
        let Some(RawEntry { header, body: Some(body) }) = stored else { return Ok(true) };
        let (Ok(header), Some(payload)) = (Header::parse(&header), payload(&body)) else { return Ok(true) };
        Ok(Content::of_entry(&header, &payload) == *content)
    }

    /// The code with which this node refused the entry at a place of `channel`, when it did. The place
    /// and not the message's id: a second message under an id that is taken is refused, the first is not.
    pub fn refused_here(&self, channel: ChannelId, position: LogPosition) -> Option<RefusalCode> {
        let code = self.get(Table::Request, rows::refused_here(channel, position))?;
        RefusalCode::with_code(std::str::from_utf8(&code).ok()?)
    }

    /// The hash of a leaf of a log.
    ///
    /// # Errors
    /// When it is missing from the index.
    pub fn leaf(&self, log: LogId, index: u64) -> Result<Hash, MissingNode> {
        LedgerNodes { ledger: self, log }.node(0, index)
    }

    /// The root of a log at a size that it has.
    ///
    /// # Errors
    /// When a node is missing from the index.
    pub fn root(&self, log: LogId, size: u64) -> Result<Hash, MissingNode> {
        root_at(self.suite, &LedgerNodes { ledger: self, log }, size)
    }

    /// Judges the next questions as of the moment when only those facts of this node stood whose
    /// `seen` does not reach `position`: what stood when the entry there was first judged.
    pub fn set_horizon(&mut self, horizon: Option<(NodeId, LogPosition)>) {
        self.horizon = horizon;
    }

    // ---- facts of this commit ----

    /// How many facts the commit holds, when all of them may wait for the next: receipts, which the partner
    /// has, and cursors of the node's own readers, whose answers are the same messages again.
    pub fn may_wait(&self) -> Option<usize> {
        let may_wait = |fact: &stored::Fact| match &fact.kind {
            Some(stored::fact::Kind::Receipt(_)) => true,
            Some(stored::fact::Kind::Cursor(cursor)) => cursor.consumer.starts_with(OWN_CONSUMER),
            _ => false,
        };
        self.facts.iter().all(|(fact, _)| may_wait(fact)).then_some(self.facts.len())
    }

    /// Whether the commit has anything to write.
    pub fn is_dirty(&self) -> bool {
        !self.facts.is_empty()
    }

    fn record(&mut self, kind: stored::fact::Kind, bodies: Vec<Bytes>) -> usize {
        self.facts.push((stored::Fact { kind: Some(kind) }, bodies));
        self.facts.len() - 1
    }

    fn locate(&mut self, table: Table, key: Vec<u8>, fact: usize, count: usize) {
        // A later row of the same key in this commit must win over an earlier plain one.
        self.overlay.remove(&(table, key.clone()));
        self.pending.push(PendingPlace { table, key, fact, count });
    }

    /// Signing certificates that this commit would make known.
    pub fn keys_of_commit(&self) -> Vec<stored::SigningKey> {
        let key = |(fact, _): &(stored::Fact, Vec<Bytes>)| match &fact.kind {
            Some(stored::fact::Kind::SigningKey(key)) => Some(key.clone()),
            _ => None,
        };
        self.facts.iter().filter_map(key).collect()
    }

    /// Closes the commit: its frame, and what of the index needs the frame's place.
    pub fn finish(&mut self, committed: UnixMillis) -> Finished {
        let mut first_bodies = Vec::with_capacity(self.facts.len());
        let mut bodies = Vec::new();
        let mut facts = Vec::with_capacity(self.facts.len());
        for (fact, own) in self.facts.drain(..) {
            first_bodies.push(bodies.len());
            bodies.extend(own);
            facts.push(fact);
        }
        let commit = Arc::new(stored::Commit { committed_ms: committed.0, facts });
        let places = std::mem::take(&mut self.pending)
            .into_iter()
            .map(|pending| {
                let place = Place {
                    locator: Locator::from_bytes([0; Locator::BYTES]),
                    fact: pending.fact as u32,
                    body: first_bodies[pending.fact] as u32,
                    count: pending.count as u32,
                };
                (pending.table, pending.key, place)
            })
            .collect();
        Finished { meta: commit.encode_to_vec(), commit, bodies, places }
    }

    /// The changes of a finished commit that lies at `locator`. From here on the next commit is folded, as
    /// of this one; the index may be told later.
    pub fn changes(&mut self, places: Vec<PlacedRow>, locator: Locator) -> Arc<Vec<Change>> {
        let mut rows = std::mem::take(&mut self.overlay);
        self.forget_cases(&rows);
        for (table, key, place) in places {
            rows.insert((table, key), Some(Place { locator, ..place }.to_bytes()));
        }
        let changes = rows.into_iter().map(|((table, key), value)| match value {
            Some(value) => Change::Put { table, key, value: Bytes::from(value) },
            None => Change::Delete { table, key },
        });
        let changes = Arc::new(changes.collect::<Vec<_>>());
        self.underway = Underway::new(Arc::clone(&changes), std::mem::take(&mut self.fresh));
        changes
    }

    /// Forgets the cases kept longest, a few with each commit: thousands at once would hold it up. Those of
    /// the commit stay, as they cannot be read back before the index has them.
    fn forget_cases(&mut self, commit: &Rows) {
        for _ in CASES_KEPT..self.cases.len() {
            let Some(id) = self.cases_kept.pop_front() else { return };
            if commit.contains_key(&(Table::Case, rows::case(&id))) {
                self.cases_kept.push_back(id);
            } else {
                self.cases.remove(&id);
            }
        }
    }

    /// The index has the last commit, and the archive its entries.
    pub fn landed(&mut self) {
        self.underway = Underway::default();
    }

    // ---- effects, live and in replay ----

    /// Appends an entry to an outbound log.
    pub fn append_out(&mut self, peer: NodeId, entry: Appending<'_>, committed: UnixMillis) -> u64 {
        let Appending { raw, header, fact, alias, receives } = entry;
        let index = self.out[&peer].machine.frontier.size();
        let log = self.out[&peer].log;
        self.grow(log, &raw.header);
        let position = LogPosition { epoch: log.epoch, index };
        self.fresh.insert((log.channel, position), raw.clone());
        if let Some(header) = header {
            self.out.get_mut(&peer).expect("the peer's logs are open").seen = header.seen;
            let judged = Judged { refused: None, fact, receives };
            self.entry_effects(header, position, raw.body.as_ref(), judged, committed);
            self.follows(peer, &letters::Follower::of_entry(header, &alias));
        }
        let open = &mut self.out.get_mut(&peer).expect("the peer's logs are open").open;
        if receives {
            open.received.push(open.entries.len() as u32);
        }
        open.bytes += raw.header.len() + raw.body.as_ref().map_or(0, Bytes::len);
        open.entries.push(raw);
        open.aliases.push(alias);
        index
    }

    /// Covers the open entries of an outbound log with a signed note.
    pub fn seal_out(&mut self, peer: NodeId, note: Note) {
        let out = self.out.get_mut(&peer).expect("the peer's logs are open");
        let open = std::mem::take(&mut out.open);
        let first = note.checkpoint().size - open.entries.len() as u64;
        let log = out.log;
        out.machine.signed = Some(head(&note));
        let (headers, bodies) = split(open.entries);
        let aliases = if open.aliases.iter().all(String::is_empty) { Vec::new() } else { open.aliases };
        let fact = stored::Appended {
            to: peer.to_string(),
            epoch: log.epoch,
            first,
            headers,
            checkpoint: Bytes::from(note.text()),
            aliases,
            received: open.received,
        };
        out.signed = Some(note);
        let count = bodies.len();
        let fact = self.record(stored::fact::Kind::Appended(fact), bodies);
        self.locate(Table::Batch, rows::batch(log, first), fact, count);
        self.channel_row_out(peer);
    }

    /// Records entries that were taken in one by one, under a note that bears this node's cosignature.
    pub fn seal_in(&mut self, peer: NodeId, entries: Vec<(RawEntry, Option<RefusalCode>)>, note: Note) {
        let log = self.inbound[&peer].log;
        let first = note.checkpoint().size - entries.len() as u64;
        let (raws, verdicts): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let (headers, bodies) = split(raws);
        let fact = stored::Accepted {
            from: peer.to_string(),
            epoch: log.epoch,
            first,
            headers,
            verdicts: verdicts
                .into_iter()
                .map(|verdict| verdict.map_or_else(String::new, |code| code.code().to_owned()))
                .collect(),
            checkpoint: Bytes::from(note.text()),
            erased: Vec::new(),
        };
        let count = bodies.len();
        let fact = self.record(stored::fact::Kind::Accepted(fact), bodies);
        self.locate(Table::Batch, rows::batch(log, first), fact, count);
        let inbound = self.inbound.get_mut(&peer).expect("the peer's logs are open");
        inbound.machine.cosigned = Some(head(&note));
        inbound.cosigned = Some(note);
        self.channel_row_in(peer);
    }

    /// The effect of one inbound entry with its verdict. `header` is what `raw` says, where it can be read;
    /// `fact` the one of a case that it states, when the judge has read it.
    pub fn take_in(
        &mut self,
        peer: NodeId,
        raw: &RawEntry,
        header: Option<&Header>,
        fact: Option<CaseFact>,
        verdict: Option<RefusalCode>,
        now: UnixMillis,
    ) {
        let log = self.inbound[&peer].log;
        let index = self.inbound[&peer].machine.frontier.size();
        self.grow(log, &raw.header);
        let position = LogPosition { epoch: log.epoch, index };
        if verdict.is_some() {
            self.inbound.get_mut(&peer).expect("the peer's logs are open").refused += 1;
        }
        self.fresh.insert((log.channel, position), raw.clone());
        // A header that names another log is refused, and must not touch that log's rows.
        if let Some(header) = header
            && header.log() == log
        {
            if verdict.is_none() {
                self.inbound.get_mut(&peer).expect("the peer's logs are open").seen = header.seen;
            }
            let judged = Judged { refused: verdict, fact, receives: false };
            self.entry_effects(header, position, raw.body.as_ref(), judged, now);
        }
    }

    /// Records the peer's cosignature.
    pub fn receipt(&mut self, peer: NodeId, note: Note) {
        let out = self.out.get_mut(&peer).expect("the peer's logs are open");
        if is_planted(Mutant::ForgetReceipt) {
            return;
        }
        out.machine.cosigned = Some(head(&note));
        let fact = stored::Receipt {
            to: peer.to_string(),
            epoch: out.log.epoch,
            checkpoint: Bytes::from(note.text()),
        };
        out.cosigned = Some(note);
        self.record(stored::fact::Kind::Receipt(fact), Vec::new());
        self.channel_row_out(peer);
    }

    /// Takes back entries of the own log that the peer kept.
    pub fn restore(&mut self, peer: NodeId, entries: Vec<RawEntry>, note: Note, committed: UnixMillis) {
        let log = self.out[&peer].log;
        let first = self.out[&peer].machine.frontier.size();
        for raw in &entries {
            let index = self.out[&peer].machine.frontier.size();
            self.grow(log, &raw.header);
            let position = LogPosition { epoch: log.epoch, index };
            self.fresh.insert((log.channel, position), raw.clone());
            if let Ok(header) = Header::parse(&raw.header) {
                self.out.get_mut(&peer).expect("the peer's logs are open").seen = header.seen;
                self.settle_draft(peer, &header, raw.body.as_ref());
                self.entry_effects(&header, position, raw.body.as_ref(), Judged::default(), committed);
                self.follows(peer, &letters::Follower::of_entry(&header, ""));
            }
        }
        let (headers, bodies) = split(entries);
        let fact = stored::Restored {
            to: peer.to_string(),
            epoch: log.epoch,
            first,
            headers,
            checkpoint: Bytes::from(note.text()),
            erased: Vec::new(),
        };
        let count = bodies.len();
        let fact = self.record(stored::fact::Kind::Restored(fact), bodies);
        self.locate(Table::Batch, rows::batch(log, first), fact, count);
        let out = self.out.get_mut(&peer).expect("the peer's logs are open");
        out.machine.signed = Some(head(&note));
        out.machine.cosigned = Some(head(&note));
        out.signed = Some(note.clone());
        out.cosigned = Some(note);
        self.channel_row_out(peer);
    }

    /// Keeps a draft until contact.
    pub fn stage(&mut self, draft: Draft, salt: [u8; 16]) {
        let peer = draft.to;
        self.follows(peer, &letters::Follower::of_draft(&draft));
        let body = crate::entry::body(salt, &draft.payload);
        let fact = self.record(stored::fact::Kind::Staged(staged_fact(&draft)), vec![body]);
        let out = self.out.get_mut(&peer).expect("the peer's logs are open");
        let serial = out.next_serial;
        out.next_serial += 1;
        out.staged_bytes += draft.payload.len();
        let refusal = draft.kind == Kind::Refusal;
        let staged = StagedDraft { serial, draft, salt };
        if is_planted(Mutant::ForgetStagedDraft) {
            return;
        }
        if refusal { &mut out.staged_refusals } else { &mut out.staged }.push_back(staged);
        self.locate(Table::Staged, rows::staged(peer, serial), fact, 1);
    }

    /// Whether an entry may be appended to a peer's log now; see [`Outbound::may_append`].
    pub fn may_append(&self, peer: NodeId) -> bool {
        let (Some(out), Some(inbound)) = (self.out.get(&peer), self.inbound.get(&peer)) else { return false };
        let held = LogPosition { epoch: inbound.log.epoch, index: inbound.machine.frontier.size() };
        out.machine.may_append(held, out.seen, inbound.recovered_below)
    }

    /// Whether drafts wait to a peer.
    pub fn has_staged(&self, peer: NodeId) -> bool {
        self.out.get(&peer).is_some_and(|out| !out.staged.is_empty() || !out.staged_refusals.is_empty())
    }

    /// Peers that may be written to and to whom drafts wait. Asked twice a commit, so one of hundreds to
    /// whom none waits costs no look-up.
    pub fn backlog(&self) -> Vec<NodeId> {
        let waits = |out: &OutLog| !out.staged.is_empty() || !out.staged_refusals.is_empty();
        let waiting = self.out.iter().filter(|(_, out)| waits(out)).map(|(peer, _)| *peer);
        waiting.filter(|peer| self.may_append(*peer)).collect()
    }

    /// Takes the next waiting draft, which is about to be appended or dropped.
    pub fn unstage(&mut self, peer: NodeId) -> Option<StagedDraft> {
        let out = self.out.get_mut(&peer)?;
        let staged = out.staged_refusals.pop_front().or_else(|| out.staged.pop_front())?;
        out.staged_bytes -= staged.draft.payload.len();
        self.delete(Table::Staged, rows::staged(peer, staged.serial));
        Some(staged)
    }

    /// Moves a consumer's cursor.
    pub fn cursor(&mut self, consumer: &str, from: NodeId, next: LogPosition) {
        let fact = stored::Cursor {
            consumer: consumer.to_owned(),
            from: from.to_string(),
            epoch: next.epoch,
            next: next.index,
        };
        if is_planted(Mutant::ForgetCursor) {
            return;
        }
        self.put(Table::Cursor, rows::cursor(consumer, from), fact.encode_to_vec());
        self.record(stored::fact::Kind::Cursor(fact), Vec::new());
    }

    /// Records a case fact that does not cross the gateway (收件 at the window).
    pub fn local_case(&mut self, case_id: &CaseId, peer: NodeId, fact: CaseFact, body: Bytes) {
        let local = stored::LocalCase {
            case_id: case_id.as_str().to_owned(),
            peer: peer.to_string(),
            kind: Kind::CaseForward.name().to_owned(),
            created_ms: fact.created.0,
            agreement: wire_digest(fact.agreement),
            standard: wire_digest(fact.standard),
        };
        self.record(stored::fact::Kind::LocalCase(local), vec![body]);
        self.case_effect(case_id, self.me, peer, fact, false);
    }

    /// Puts a licence into the own catalogue.
    pub fn put_licence(&mut self, licence: &proto::exchange::v1::Licence, body: Bytes) {
        let fact = stored::LicencePut { id: licence.id.clone() };
        let fact = self.record(stored::fact::Kind::LicencePut(fact), vec![body]);
        self.licence_rows(licence, fact);
    }

    fn licence_rows(&mut self, licence: &proto::exchange::v1::Licence, fact: usize) {
        self.locate(Table::Licence, rows::licence(&licence.id), fact, 1);
        let holder = rows::licence_of_holder(&licence.type_code, &licence.holder_code);
        self.locate(Table::Licence, holder, fact, 1);
    }

    /// Stops both directions' log named by `channel`, keeping the evidence.
    pub fn stop(&mut self, channel: ChannelId, refusal: &Refusal, evidence: Vec<Bytes>) {
        let fact = stored::Stop {
            from: channel.from.to_string(),
            to: channel.to.to_string(),
            code: refusal.code.code().to_owned(),
            evidence,
            detail: refusal.detail.clone(),
        };
        self.record(stored::fact::Kind::Stop(fact), Vec::new());
        self.set_stopped(channel, Some(refusal.code), &refusal.detail);
    }

    /// Ends a stop.
    pub fn resume(&mut self, channel: ChannelId, reason: &str) {
        let fact = stored::Resume {
            from: channel.from.to_string(),
            to: channel.to.to_string(),
            reason: reason.to_owned(),
        };
        self.record(stored::fact::Kind::Resume(fact), Vec::new());
        self.set_stopped(channel, None, "");
    }

    fn set_stopped(&mut self, channel: ChannelId, code: Option<RefusalCode>, detail: &str) {
        if channel.from == self.me {
            if let Some(out) = self.out.get_mut(&channel.to) {
                out.machine.stopped = code;
                detail.clone_into(&mut out.stopped_detail);
                self.channel_row_out(channel.to);
            }
        } else if let Some(inbound) = self.inbound.get_mut(&channel.from) {
            inbound.machine.stopped = code;
            detail.clone_into(&mut inbound.stopped_detail);
            self.channel_row_in(channel.from);
        }
    }

    /// Records an alarm.
    pub fn alarm(&mut self, code: &str, detail: String) {
        let fact = stored::Alarm { code: code.to_owned(), detail };
        self.record(stored::fact::Kind::Alarm(fact), Vec::new());
    }

    /// Remembers a signing certificate, and whether its node has `proven` that it holds the key; says whether
    /// that was new.
    pub fn signing_key(&mut self, node: NodeId, key: SigningKey, proven: bool) -> bool {
        let Some(leaf) = key.chain.first().cloned() else { return false };
        let row = rows::signing_key(node, &leaf);
        let known = self.get(Table::Meta, row.clone());
        let before = known.as_ref().and_then(|known| stored::SigningKey::decode(&known[..]).ok());
        let fact = stored::SigningKey {
            node: node.to_string(),
            certificate: key.chain.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            name: key.name.clone(),
            spki: Bytes::copy_from_slice(key.key.spki()),
            // Proved once, it stays so.
            proven: proven || before.is_some_and(|before| before.proven),
        };
        self.keys.add(node, key);
        if fact.proven {
            self.keys.proved(node);
        }
        let value = fact.encode_to_vec();
        if known.is_some_and(|known| known == value) {
            return false;
        }
        self.put(Table::Meta, row, value);
        self.record(stored::fact::Kind::SigningKey(fact), Vec::new());
        true
    }

    /// As [`Ledger::signing_key`], from its fact.
    pub fn signing_key_again(&mut self, fact: &stored::SigningKey) {
        if let (Ok(node), Some(key)) = (fact.node.parse(), signing_key_of(fact)) {
            self.signing_key(node, key, fact.proven);
        }
    }

    fn remember_key(&mut self, fact: &stored::SigningKey) {
        if let (Ok(node), Some(key)) = (fact.node.parse(), signing_key_of(fact)) {
            self.keys.add(node, key);
            if fact.proven {
                self.keys.proved(node);
            }
        }
    }

    /// Notes up to where an inbound log was cosigned by this node, as the peer shows. Not journalled: it
    /// is shown at every contact, before anything is received.
    pub fn recovered_below(&mut self, peer: NodeId, size: u64) {
        if let Some(inbound) = self.inbound.get_mut(&peer) {
            inbound.recovered_below = size;
        }
    }

    fn channel_row_out(&mut self, peer: NodeId) {
        let out = &self.out[&peer];
        let row = stored::ChannelRow {
            epoch: out.log.epoch,
            size: out.machine.frontier.size(),
            peaks: peaks(&out.machine.frontier),
            signed: note_bytes(out.signed.as_ref()),
            cosigned: note_bytes(out.cosigned.as_ref()),
            stopped: out.machine.stopped.map_or_else(String::new, |code| code.code().to_owned()),
            stopped_detail: out.stopped_detail.clone(),
            refused: out.refused,
            seen_epoch: out.seen.epoch,
            seen_size: out.seen.index,
        };
        let key = rows::channel(out.log.channel);
        self.put(Table::Channel, key, row.encode_to_vec());
    }

    fn channel_row_in(&mut self, peer: NodeId) {
        let inbound = &self.inbound[&peer];
        let note = note_bytes(inbound.cosigned.as_ref());
        let row = stored::ChannelRow {
            epoch: inbound.log.epoch,
            size: inbound.machine.frontier.size(),
            peaks: peaks(&inbound.machine.frontier),
            signed: note.clone(),
            cosigned: note,
            stopped: inbound.machine.stopped.map_or_else(String::new, |code| code.code().to_owned()),
            stopped_detail: inbound.stopped_detail.clone(),
            refused: inbound.refused,
            seen_epoch: inbound.seen.epoch,
            seen_size: inbound.seen.index,
        };
        let key = rows::channel(inbound.log.channel);
        self.put(Table::Channel, key, row.encode_to_vec());
    }

    /// Appends a leaf to the tree of a log.
    fn grow(&mut self, log: LogId, header: &[u8]) {
        let leaf = leaf_hash(self.suite, header).expect("a header in a log is within the limits");
        let mut complete = Vec::new();
        let frontier = if log.channel.from == self.me {
            &mut self.out.get_mut(&log.channel.to).expect("the peer's logs are open").machine.frontier
        } else {
            &mut self.inbound.get_mut(&log.channel.from).expect("the peer's logs are open").machine.frontier
        };
        frontier.append(leaf, |level, index, hash| {
            if level % TILE_HEIGHT == 0 {
                complete.push((level, index, hash));
            }
        });
        for (level, index, hash) in complete {
            let key = rows::tile(log, level, index / TILE_NODES);
            let place = (index % TILE_NODES) as usize * 32;
            let slot = (Table::Tile, key);
            if !self.overlay.contains_key(&slot) {
                let stored = self.get_before(Table::Tile, &slot.1);
                let tile = stored.map_or_else(Vec::new, |tile| tile.to_vec());
                self.overlay.insert(slot.clone(), Some(tile));
            }
            if let Some(Some(tile)) = self.overlay.get_mut(&slot) {
                tile.truncate(place);
                tile.extend_from_slice(&hash);
            }
        }
    }

    /// What one entry changes besides its log.
    fn entry_effects(
        &mut self,
        header: &Header,
        position: LogPosition,
        body: Option<&Bytes>,
        judged: Judged,
        committed: UnixMillis,
    ) {
        let Judged { refused, fact, receives } = judged;
        let channel = header.channel;
        let payload = body.and_then(payload);
        let known = self.message(channel, header.message_id);
        if known.as_ref().is_none_or(|row| row.dropped) {
            if known.is_some() {
                // Submitted again under its id, the draft that was dropped is a dead letter no more.
                self.letter_returns(channel.to, header.message_id);
            }
            let row = stored::MessageRow {
                epoch: position.epoch,
                index: position.index,
                refused: refused.map_or_else(String::new, |code| code.code().to_owned()),
                dropped: false,
            };
            self.put(Table::Message, rows::message(channel, header.message_id), row.encode_to_vec());
        }
        let (None, Some(kind)) = (refused, Kind::named(&header.kind)) else { return };
        let peer = if channel.from == self.me { channel.to } else { channel.from };
        self.blob_effects(header, position, kind, payload.as_ref(), committed);
        match kind {
            Kind::Refusal => self.refusal_effect(header, payload.as_ref(), committed),
            Kind::StandardPublish | Kind::AgreementSign => {
                if let Some(digest) = self.document_effect(header, payload.as_ref()) {
                    self.document_row(&digest, channel, position);
                }
            }
            Kind::LicenceQuery | Kind::RecognitionRequest => {
                let key = rows::request(channel, header.message_id);
                // After a loss the own answer was folded before the peer's question came again.
                let known: Option<stored::RequestRow> = self.row(Table::Request, key.clone());
                let row = stored::RequestRow {
                    kind: kind.name().to_owned(),
                    case_id: header.case_id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned()),
                    answered: known.is_some_and(|known| known.answered),
                    agreement: wire_digest(header.agreement),
                    created_ms: header.created.0,
                    epoch: position.epoch,
                    index: position.index,
                };
                self.put(Table::Request, key, row.encode_to_vec());
            }
            Kind::LicenceAttest | Kind::RecognitionDecide => {
                if let Some(asked) = header.in_reply_to
                    && !leaves_open(kind, payload.as_ref())
                {
                    let key = rows::request(channel.reverse(), asked);
                    let mut row: stored::RequestRow =
                        self.row(Table::Request, key.clone()).unwrap_or_default();
                    row.answered = true;
                    self.put(Table::Request, key, row.encode_to_vec());
                    let answer = rows::answer(channel, header.message_id);
                    self.put(Table::Request, answer, asked.0.to_vec());
                }
            }
            _ if kind.is_case() => {
                let (Some(case_id), Some(payload)) = (&header.case_id, &payload) else { return };
                let fact = match fact {
                    Some(fact) => Ok(CaseFact { committed, ..fact }),
                    None => wire::case_fact::from_entry(header, kind, position, payload, committed),
                };
                if let Ok(fact) = fact {
                    let (receiving, competent) =
                        if kind == Kind::CaseForward { (channel.from, channel.to) } else { (peer, self.me) };
                    self.case_effect(case_id, receiving, competent, fact, receives);
                }
            }
            _ => {}
        }
    }

    /// A further fact of a case. `receives`: it is a forward, and 收件 at this node's window as well.
    fn case_effect(
        &mut self,
        id: &CaseId,
        receiving: NodeId,
        competent: NodeId,
        fact: CaseFact,
        receives: bool,
    ) {
        let mut case = self.take_case(id).unwrap_or_else(|| OpenCase {
            book: Arc::new(CaseBook { receiving, competent, facts: Vec::new() }),
            row: stored::CaseRow {
                receiving: receiving.to_string(),
                competent: competent.to_string(),
                opened_ms: fact.created.0,
                ..Default::default()
            },
            kept: false,
        });
        if let CaseEvent::Forwarded(_) = fact.event {
            case.row.refused.clear(); // perhaps forwarded again after a refusal
            // After a loss the competent place folds its own facts before the forward that came first.
            case.row.opened_ms = fact.created.0;
        }
        let value = wire::case_fact::encode(&fact);
        if let Some(received) = wire::case_fact::received_with(&fact).filter(|_| receives) {
            let value = wire::case_fact::encode_with(&received, value.payload.clone());
            self.add_fact(id, &mut case, received, value);
        }
        self.add_fact(id, &mut case, fact, value);
        self.put_case(id, case);
    }

    fn add_fact(&mut self, id: &CaseId, case: &mut OpenCase, fact: CaseFact, value: stored::CaseFact) {
        if case.row.encoded_len() + value.encoded_len() <= CASE_ROW_BYTES_MAX {
            let place = case.row.facts.partition_point(|known| order_of_row(known) < order_of_row(&value));
            case.row.facts.insert(place, value);
        } else {
            case.row.spilled = true;
            let key = rows::case_fact(id, fact.author, fact.local, fact.position.epoch, fact.position.index);
            self.put(Table::CaseFact, key, value.encode_to_vec());
        }
        let facts = &mut Arc::make_mut(&mut case.book).facts;
        let place = facts.partition_point(|known| order_of(known) < order_of(&fact));
        facts.insert(place, fact);
    }

    /// Whether nothing is known of a case yet.
    pub fn is_new_case(&mut self, id: &CaseId) -> bool {
        self.case_book(id).is_none_or(|book| book.facts.is_empty())
    }

    /// Takes a case out of memory, or reads it, to be changed and put back.
    fn take_case(&mut self, id: &CaseId) -> Option<OpenCase> {
        self.cases.remove(id).or_else(|| self.read_case(id))
    }

    /// Reads a case that is not in memory; one that was just found missing is not looked for again.
    fn read_case(&self, id: &CaseId) -> Option<OpenCase> {
        if self.absent_case.borrow().as_ref() == Some(id) {
            return None;
        }
        let found = self.found(read_open_case(&self.archive, id));
        if found.is_none() {
            self.absent_case.replace(Some(id.clone()));
        }
        found
    }

    fn put_case(&mut self, id: &CaseId, case: OpenCase) {
        self.absent_case.take();
        self.put(Table::Case, rows::case(id), case.row.encode_to_vec());
        self.keep_case(id, case);
    }

    fn keep_case(&mut self, id: &CaseId, mut case: OpenCase) {
        if !std::mem::replace(&mut case.kept, true) {
            self.cases_kept.push_back(id.clone());
        }
        self.cases.insert(id.clone(), case);
    }

    /// A refusal by the peer takes back the effect of the refused entry; one of ours is remembered.
    fn refusal_effect(&mut self, header: &Header, payload: Option<&Bytes>, committed: UnixMillis) {
        let refused_channel = header.channel.reverse();
        let said = payload.and_then(|payload| proto::exchange::v1::Refusal::decode(payload.clone()).ok());
        if header.channel.from == self.me {
            if let Some(said) = said {
                let position = LogPosition { epoch: header.seen.epoch, index: said.refused_index };
                let key = rows::refused_here(refused_channel, position);
                self.put(Table::Request, key, said.code.into_bytes());
            }
            return;
        }
        let Some(refused_id) = header.in_reply_to else { return };
        let key = rows::message(refused_channel, refused_id);
        let Some(mut row) = self.row::<stored::MessageRow>(Table::Message, key.clone()) else { return };
        // A refusal is about a place. That of a later message under the same id is no word about the first.
        let index = said.as_ref().map_or(row.index, |said| said.refused_index);
        let code = said.map_or_else(|| "unknown".to_owned(), |said| said.code);
        if index == row.index {
            if !row.refused.is_empty() {
                return;
            }
            row.refused.clone_from(&code);
            self.put(Table::Message, key, row.encode_to_vec());
            self.letter_refused(refused_channel, refused_id, &row, committed);
            self.take_back_request(refused_channel, refused_id);
        }
        if let Some(out) = self.out.get_mut(&header.channel.from) {
            out.refused += 1;
            self.channel_row_out(header.channel.from);
        }
        let Some(case_id) = &header.case_id else { return };
        let Some(mut case) = self.take_case(case_id) else { return };
        let me = self.me;
        let refused = |fact: &CaseFact| !fact.local && fact.author == me && fact.position.index == index;
        if let Some(place) = case.book.facts.iter().position(refused) {
            let fact = Arc::make_mut(&mut case.book).facts.remove(place);
            let order = order_of(&fact);
            match case.row.facts.iter().position(|known| order_of_row(known) == order.as_row()) {
                Some(place) => drop(case.row.facts.remove(place)),
                None => {
                    let (epoch, index) = (fact.position.epoch, fact.position.index);
                    self.delete(Table::CaseFact, rows::case_fact(case_id, fact.author, false, epoch, index));
                }
            }
            if case.book.facts.iter().all(|fact| fact.local) {
                case.row.refused = code;
            }
        }
        self.put_case(case_id, case);
    }

    /// A refused question is no question, and a refused answer leaves its question open.
    fn take_back_request(&mut self, channel: ChannelId, id: MessageId) {
        let request = rows::request(channel, id);
        if self.get(Table::Request, request.clone()).is_some() {
            self.delete(Table::Request, request);
        }
        let asked = self.get(Table::Request, rows::answer(channel, id));
        if let Some(asked) = asked.and_then(|id| <[u8; 16]>::try_from(&id[..]).ok()) {
            let key = rows::request(channel.reverse(), MessageId(asked));
            if let Some(mut row) = self.row::<stored::RequestRow>(Table::Request, key.clone()) {
                row.answered = false;
                self.put(Table::Request, key, row.encode_to_vec());
            }
        }
    }

    fn document_effect(&mut self, header: &Header, payload: Option<&Bytes>) -> Option<Digest> {
        let signer = header.channel.from;
        let document = proto::exchange::v1::Document::decode(payload?.clone()).ok()?;
        let envelope = wire::envelope::Envelope::from_json(&document.envelope).ok()?;
        let digest = crate::document::document_digest(&envelope.payload);
        let mut documents = self.documents.write().expect("no holder of the documents panics");
        let bytes = Bytes::from(envelope.payload);
        if Kind::named(&header.kind) == Some(Kind::StandardPublish) {
            let standard = Standard::from_json(&bytes).ok()?;
            let entry =
                documents.standards.entry(digest).or_insert_with(|| (Arc::new(standard), bytes, Vec::new()));
            if !entry.2.contains(&signer) {
                entry.2.push(signer);
            }
        } else {
            let agreement = Agreement::from_json(&bytes).ok()?;
            let entry = documents.agreements.entry(digest).or_insert_with(|| {
                let record = AgreementRecord { agreement, digest, signed_by: Vec::new(), suspended: false };
                (Arc::new(record), bytes)
            });
            if !entry.0.signed_by.contains(&signer) {
                let mut record = AgreementRecord::clone(&entry.0);
                record.signed_by.push(signer);
                record.signed_by.sort();
                entry.0 = Arc::new(record);
            }
        }
        Some(digest)
    }

    fn document_row(&mut self, digest: &Digest, channel: ChannelId, position: LogPosition) {
        let key = rows::document(digest);
        let mut row: stored::DocumentRow = self.row(Table::Document, key.clone()).unwrap_or_default();
        // Published again it is the same document: one place for each who signed is enough, and bounded.
        let place = stored::EntryPosition {
            from: channel.from.to_string(),
            to: channel.to.to_string(),
            epoch: position.epoch,
            index: position.index,
        };
        // A commit's facts are replayed log by log, whatever the order in which they were decided: which of
        // the places of one signer is kept must not depend on it.
        let order = |place: &stored::EntryPosition| (place.to.clone(), place.epoch, place.index);
        match row.positions.iter_mut().find(|known| known.from == place.from) {
            Some(known) if order(known) <= order(&place) => return,
            Some(known) => *known = place,
            None => row.positions.push(place),
        }
        row.positions.sort_by(|one, other| one.from.cmp(&other.from));
        self.put(Table::Document, key, row.encode_to_vec());
    }

    /// All facts of a case, this commit included.
    pub fn case_book(&mut self, id: &CaseId) -> Option<Arc<CaseBook>> {
        if let Some(case) = self.cases.get(id) {
            return Some(Arc::clone(&case.book));
        }
        let case = self.read_case(id)?;
        let book = Arc::clone(&case.book);
        self.keep_case(id, case);
        Some(book)
    }

    /// Runs the effects of a frame from the journal and gives the index changes.
    ///
    /// # Errors
    /// When the frame is not a commit of this format.
    pub fn replay(&mut self, frame: &StoredFrame) -> Result<Arc<Vec<Change>>, ArchiveError> {
        let commit = stored::Commit::decode(frame.meta.clone())
            .map_err(|_| ArchiveError::Mismatch("a frame is no commit"))?;
        let committed = UnixMillis(commit.committed_ms);
        let mut bodies = frame.bodies.iter().cloned().map(|body| body.filter(|body| !body.is_empty()));
        for fact in commit.facts {
            self.replay_fact(fact, &mut bodies, committed)?;
        }
        if let Some(error) = self.failed_look_up() {
            return Err(error);
        }
        let finished = self.finish(committed);
        Ok(self.changes(finished.places, frame.locator))
    }

    fn replay_fact(
        &mut self,
        fact: stored::Fact,
        bodies: &mut dyn Iterator<Item = Option<Bytes>>,
        committed: UnixMillis,
    ) -> Result<(), ArchiveError> {
        use stored::fact::Kind as Stored;
        let mismatch = ArchiveError::Mismatch;
        let node = |text: &str| text.parse::<NodeId>().map_err(|_| mismatch("a node in a fact"));
        let note = |bytes: &[u8]| Note::parse(bytes).map_err(|_| mismatch("a note in a fact"));
        match fact.kind.ok_or(mismatch("a fact of a later version"))? {
            Stored::Appended(fact) => {
                let peer = node(&fact.to)?;
                self.known(peer)?;
                let mut aliases = fact.aliases.into_iter();
                let mut received = fact.received.into_iter().peekable();
                for (place, header) in fact.headers.into_iter().enumerate() {
                    let receives = received.next_if_eq(&(place as u32)).is_some();
                    let raw = RawEntry { header, body: bodies.next().flatten() };
                    let header = Header::parse(&raw.header).ok();
                    if let Some(header) = &header {
                        self.forget_staged(peer, header.message_id);
                    }
                    let alias = aliases.next().unwrap_or_default();
                    let header = header.as_ref();
                    let entry = Appending { raw, header, fact: None, alias, receives };
                    self.append_out(peer, entry, committed);
                }
                self.seal_out(peer, note(&fact.checkpoint)?);
            }
            Stored::Accepted(fact) => {
                let peer = node(&fact.from)?;
                self.known(peer)?;
                let verdict = |text: &String| {
                    // A code of a later version is still a refusal.
                    (!text.is_empty())
                        .then(|| RefusalCode::with_code(text).unwrap_or(RefusalCode::UnknownKind))
                };
                let mut entries = Vec::with_capacity(fact.headers.len());
                for (header, text) in fact.headers.into_iter().zip(&fact.verdicts) {
                    let raw = RawEntry { header, body: bodies.next().flatten() };
                    let verdict = verdict(text);
                    let header = Header::parse(&raw.header).ok();
                    self.take_in(peer, &raw, header.as_ref(), None, verdict, committed);
                    entries.push((raw, verdict));
                }
                self.seal_in(peer, entries, note(&fact.checkpoint)?);
            }
            Stored::Receipt(fact) => {
                let peer = node(&fact.to)?;
                self.known(peer)?;
                if !is_planted(Mutant::ReplayWithoutReceipts) {
                    self.receipt(peer, note(&fact.checkpoint)?);
                }
            }
            Stored::Staged(fact) => {
                let body = bodies.next().flatten().unwrap_or_default();
                if let Some(staged) = read_staged(&fact, &body, 0) {
                    self.known(staged.draft.to)?;
                    self.stage(staged.draft, staged.salt);
                }
            }
            Stored::Restored(fact) => {
                let peer = node(&fact.to)?;
                self.known(peer)?;
                let entries = fact
                    .headers
                    .into_iter()
                    .map(|header| RawEntry { header, body: bodies.next().flatten() })
                    .collect();
                self.restore(peer, entries, note(&fact.checkpoint)?, committed);
            }
            Stored::Cursor(fact) => {
                let next = LogPosition { epoch: fact.epoch, index: fact.next };
                self.cursor(&fact.consumer, node(&fact.from)?, next);
            }
            Stored::LocalCase(fact) => {
                let body = bodies.next().flatten().unwrap_or_default();
                let id: CaseId = fact.case_id.parse().map_err(|_| mismatch("a case id"))?;
                let peer = node(&fact.peer)?;
                let received = wire::case_fact::local_received(
                    self.me,
                    &payload(&body).unwrap_or_default(),
                    UnixMillis(fact.created_ms),
                    committed,
                    Digest::from_wire(&fact.agreement).ok(),
                    Digest::from_wire(&fact.standard).ok(),
                );
                if let Ok(received) = received {
                    self.local_case(&id, peer, received, body);
                }
            }
            Stored::Stop(fact) => {
                let channel = ChannelId { from: node(&fact.from)?, to: node(&fact.to)? };
                let code = RefusalCode::with_code(&fact.code).unwrap_or(RefusalCode::ChannelStopped);
                self.stop(channel, &Refusal::new(code, fact.detail), fact.evidence);
            }
            Stored::Resume(fact) => {
                let channel = ChannelId { from: node(&fact.from)?, to: node(&fact.to)? };
                self.resume(channel, &fact.reason);
            }
            Stored::LicencePut(_) => {
                let body = bodies.next().flatten().unwrap_or_default();
                let licence = payload(&body).unwrap_or_default();
                if let Ok(licence) = proto::exchange::v1::Licence::decode(licence) {
                    self.put_licence(&licence, body);
                }
            }
            Stored::SigningKey(fact) => self.signing_key_again(&fact),
            Stored::Alarm(fact) => self.alarm(&fact.code, fact.detail),
            Stored::BlobStored(fact) => {
                let digest = Digest::from_wire(&fact.digest).map_err(|_| mismatch("a blob's digest"))?;
                self.blob_stored(digest, fact.length, fact.uploaded, committed);
            }
            Stored::BlobGivenUp(fact) => {
                let digest = Digest::from_wire(&fact.digest).map_err(|_| mismatch("a blob's digest"))?;
                self.give_blob_up(&digest);
            }
            Stored::BlobRemoved(fact) => {
                let digest = Digest::from_wire(&fact.digest).map_err(|_| mismatch("a blob's digest"))?;
                self.blob_removed(&digest);
            }
            Stored::DraftDropped(fact) => {
                let peer = node(&fact.to)?;
                self.known(peer)?;
                let id = <[u8; 16]>::try_from(&fact.message_id[..]).map_err(|_| mismatch("a message id"))?;
                self.forget_staged(peer, MessageId(id));
                // A code of a later version is still a refusal.
                let code = RefusalCode::with_code(&fact.code).unwrap_or(RefusalCode::UnknownKind);
                // Frames of earlier releases do not say what was dropped.
                let body = if fact.draft.is_some() { bodies.next().flatten() } else { None };
                let draft = fact.draft.zip(body).and_then(|(draft, body)| read_staged(&draft, &body, 0));
                self.drop_draft(peer, MessageId(id), code, draft.as_ref(), committed);
            }
        }
        Ok(())
    }

    /// Ends the wait of a draft that was appended or dropped; gives it.
    fn forget_staged(&mut self, peer: NodeId, id: MessageId) -> Option<StagedDraft> {
        let out = self.out.get_mut(&peer)?;
        // They leave in the order in which they came, so this looks at the first one only, mostly.
        let take = |waiting: &mut VecDeque<StagedDraft>| {
            let place = waiting.iter().position(|staged| staged.draft.message_id == id)?;
            waiting.remove(place)
        };
        let staged = take(&mut out.staged_refusals).or_else(|| take(&mut out.staged))?;
        out.staged_bytes -= staged.draft.payload.len();
        self.delete(Table::Staged, rows::staged(peer, staged.serial));
        Some(staged)
    }

    /// An own entry came back for which a draft waits: it had been sent before the store was lost.
    fn settle_draft(&mut self, peer: NodeId, header: &Header, body: Option<&Bytes>) {
        let Some(StagedDraft { draft, .. }) = self.forget_staged(peer, header.message_id) else { return };
        let came = body.and_then(payload);
        let differs = |came: &Bytes| Content::of_entry(header, came) != Content::of_draft(&draft);
        if came.as_ref().is_some_and(differs) {
            self.alarm("draft.different", format!("message={}", header.message_id));
        }
    }

    /// A peer that is in the journal and no longer in the configuration keeps its logs.
    fn known(&mut self, peer: NodeId) -> Result<(), ArchiveError> {
        if self.out.contains_key(&peer) { Ok(()) } else { self.open_channel(peer) }
    }
}

/// A case in memory: its facts, and its row as it stands in the index.
struct OpenCase {
    book: Arc<CaseBook>,
    row: stored::CaseRow,
    /// Whether it has its place among those that are forgotten in turn.
    kept: bool,
}

/// The order in which a case's facts are kept: by author, local ones first, then by place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FactOrder<'a>(&'a str, bool, u32, u64);

impl FactOrder<'_> {
    fn as_row(&self) -> FactOrder<'_> {
        FactOrder(self.0, self.1, self.2, self.3)
    }
}

fn order_of(fact: &CaseFact) -> FactOrder<'_> {
    FactOrder(fact.author.as_str(), !fact.local, fact.position.epoch, fact.position.index)
}

fn order_of_row(fact: &stored::CaseFact) -> FactOrder<'_> {
    FactOrder(&fact.from, !fact.local, fact.epoch, fact.index)
}

/// The facts of a case, from the index.
///
/// # Errors
/// When the index cannot be read.
pub fn read_case(archive: &Archive, id: &CaseId) -> Result<Option<CaseBook>, ArchiveError> {
    Ok(read_open_case(archive, id)?.map(|case| Arc::unwrap_or_clone(case.book)))
}

fn read_open_case(archive: &Archive, id: &CaseId) -> Result<Option<OpenCase>, ArchiveError> {
    let Some(row) = archive.index().get(Table::Case, &rows::case(id))? else { return Ok(None) };
    let mismatch = || ArchiveError::Mismatch("a case row");
    let row = stored::CaseRow::decode(row).map_err(|_| mismatch())?;
    Ok(Some(OpenCase { book: Arc::new(read_case_row(archive, id, &row)?), row, kept: false }))
}

/// The case whose row was read.
///
/// # Errors
/// When the rest of it cannot be read.
pub fn read_case_row(
    archive: &Archive,
    id: &CaseId,
    row: &stored::CaseRow,
) -> Result<CaseBook, ArchiveError> {
    let mismatch = || ArchiveError::Mismatch("a case row");
    let mut facts: Vec<CaseFact> =
        row.facts.iter().filter_map(|fact| wire::case_fact::decode(fact).ok()).collect();
    if row.spilled {
        let spilled = archive.rows(Table::CaseFact, &rows::case_facts(id))?;
        let spilled = spilled.into_iter().filter_map(|(_, value)| stored::CaseFact::decode(value).ok());
        facts.extend(spilled.filter_map(|fact| wire::case_fact::decode(&fact).ok()));
        facts.sort_by(|one, other| order_of(one).cmp(&order_of(other)));
    }
    let (receiving, competent) =
        (row.receiving.parse().map_err(|_| mismatch())?, row.competent.parse().map_err(|_| mismatch())?);
    Ok(CaseBook { receiving, competent, facts })
}

/// What makes two submissions under one id the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    /// Its kind's name.
    pub kind: &'a str,
    /// The case.
    pub case_id: Option<&'a CaseId>,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// The payload of its kind.
    pub payload: &'a [u8],
}

impl<'a> Content<'a> {
    /// A draft's.
    pub fn of_draft(draft: &'a Draft) -> Self {
        Self {
            kind: draft.kind.name(),
            case_id: draft.case_id.as_ref(),
            in_reply_to: draft.in_reply_to,
            payload: &draft.payload,
        }
    }

    /// An entry's.
    fn of_entry(header: &'a Header, payload: &'a [u8]) -> Self {
        Self {
            kind: &header.kind,
            case_id: header.case_id.as_ref(),
            in_reply_to: header.in_reply_to,
            payload,
        }
    }
}

/// 待人工: the other side is told, and the decision of a person is still to come.
fn leaves_open(kind: Kind, payload: Option<&Bytes>) -> bool {
    let decided = |payload: &Bytes| proto::exchange::v1::RecognitionDecide::decode(payload.clone()).ok();
    kind == Kind::RecognitionDecide
        && payload.and_then(decided).is_some_and(|decided| decided.outcome == Outcome::Manual.name())
}

/// The head that a note signs.
pub fn head(note: &Note) -> Head {
    let checkpoint = note.checkpoint();
    Head { size: checkpoint.size, root: checkpoint.root, time: checkpoint.time }
}

fn split(entries: Vec<RawEntry>) -> (Vec<Bytes>, Vec<Bytes>) {
    entries.into_iter().map(|raw| (raw.header, raw.body.unwrap_or_default())).unzip()
}

fn peaks(frontier: &Frontier) -> Vec<Bytes> {
    frontier.peaks().iter().map(|peak| Bytes::copy_from_slice(peak)).collect()
}

fn note_bytes(note: Option<&Note>) -> Bytes {
    note.map_or_else(Bytes::new, |note| Bytes::from(note.text()))
}

fn wire_digest(digest: Option<Digest>) -> Bytes {
    digest.map_or_else(Bytes::new, |digest| Bytes::copy_from_slice(&digest.to_wire()))
}

fn staged_fact(draft: &Draft) -> stored::Staged {
    stored::Staged {
        to: draft.to.to_string(),
        message_id: Bytes::copy_from_slice(&draft.message_id.0),
        kind: draft.kind.name().to_owned(),
        case_id: draft.case_id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned()),
        in_reply_to: draft.in_reply_to.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.0)),
        agreement: wire_digest(draft.agreement),
        standard: wire_digest(draft.standard),
        created_ms: draft.created.0,
        expires_ms: draft.expires.map_or(0, |expires| expires.0),
        alias: draft.alias.clone(),
    }
}

/// A draft from its fact and body. The payload is copied: a slice would keep its whole frame in memory.
pub(crate) fn read_staged(fact: &stored::Staged, body: &Bytes, serial: u64) -> Option<StagedDraft> {
    let message = |bytes: &Bytes| <[u8; 16]>::try_from(&bytes[..]).ok().map(MessageId);
    let salt = *body.first_chunk::<16>()?;
    let draft = Draft {
        to: fact.to.parse().ok()?,
        message_id: message(&fact.message_id)?,
        alias: fact.alias.clone(),
        kind: Kind::named(&fact.kind)?,
        case_id: fact.case_id.parse().ok(),
        in_reply_to: message(&fact.in_reply_to),
        agreement: Digest::from_wire(&fact.agreement).ok(),
        standard: Digest::from_wire(&fact.standard).ok(),
        created: UnixMillis(fact.created_ms),
        expires: (fact.expires_ms != 0).then_some(UnixMillis(fact.expires_ms)),
        payload: Bytes::copy_from_slice(&payload(body)?),
    };
    Some(StagedDraft { serial, draft, salt })
}

fn signing_key_of(fact: &stored::SigningKey) -> Option<SigningKey> {
    let chain = fact.certificate.iter().map(|der| der.to_vec()).collect();
    Some(SigningKey { name: fact.name.clone(), key: PublicKey::from_spki(&fact.spki).ok()?, chain })
}

struct LedgerNodes<'a> {
    ledger: &'a Ledger,
    log: LogId,
}

impl Nodes for LedgerNodes<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, MissingNode> {
        node_from_tiles(self.ledger.suite, level, index, |base, tile| {
            self.ledger.get(Table::Tile, rows::tile(self.log, base, tile))
        })
    }
}

impl Books for Ledger {
    fn agreement(&self, digest: &Digest) -> Option<Arc<AgreementRecord>> {
        let documents = self.documents.read().expect("no holder of the documents panics");
        documents.agreements.get(digest).map(|(record, _)| Arc::clone(record))
    }

    fn standard(&self, digest: &Digest) -> Option<Arc<Standard>> {
        let documents = self.documents.read().expect("no holder of the documents panics");
        documents.standards.get(digest).map(|(standard, _, _)| Arc::clone(standard))
    }

    fn case(&self, id: &CaseId) -> Option<Arc<CaseBook>> {
        let book = match self.cases.get(id) {
            Some(case) => Arc::clone(&case.book),
            None => self.read_case(id)?.book,
        };
        let Some((author, position)) = self.horizon else { return Some(book) };
        let mut seen = CaseBook::clone(&book);
        seen.facts.retain(|fact| fact.author == author || fact.local || fact.seen <= position);
        Some(Arc::new(seen))
    }

    fn named_blob(&self, channel: ChannelId, position: LogPosition, digest: &Digest) -> Option<NamedBlob> {
        self.blob_named(channel, position, digest)
    }

    fn request(&self, channel: ChannelId, id: MessageId) -> Option<RequestRecord> {
        let row: stored::RequestRow = self.row(Table::Request, rows::request(channel, id))?;
        Some(RequestRecord {
            kind: Kind::named(&row.kind)?,
            case_id: row.case_id.parse().ok(),
            agreement: Digest::from_wire(&row.agreement).ok()?,
            created: UnixMillis(row.created_ms),
            answered: row.answered,
        })
    }
}
