//! The evidence of the model: real headers, leaves, trees, signed notes and checked batches, each made
//! once and named by a small number, so that a state of the model is a few dozen bytes.

use bytes::Bytes;
use gateway::channel::Head;
use gateway::channel::batch::{KnownKey, UncheckedBatch, VerifiedBatch};
use gateway::entry::{Header, RawEntry, body, body_digest};
use gateway::id::{ChannelId, LogId, LogPosition, MessageId, NodeId};
use gateway::limits::CLOCK_SKEW_MILLIS_MAX;
use gateway::log::checkpoint::{Checkpoint, Note, cosigned_message};
use gateway::log::leaf::leaf_hash;
use gateway::log::proof::{inclusion, inclusion_holds};
use gateway::log::tree::Frontier;
use gateway::refusal::Refusal;
use gateway::suite::{Hash, PublicKey, Suite};
use gateway::time::UnixMillis;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::HashMap;
use std::hash::Hash as HashKey;

const SUITE: Suite = Suite::Ed25519Sha256;
const NODES: [&str; 2] = ["430600", "421200"];
const BASE: u64 = 1_795_500_000_000;

/// One tick of a clock: one tick apart two clocks still trust each other, two ticks apart they do not.
const TICK_MILLIS: u64 = CLOCK_SKEW_MILLIS_MAX * 3 / 5;

/// An entry, by what tells it from every other one of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Which message.
    pub message: u8,
    /// How much of the reverse log its author had when it wrote it.
    pub seen: u8,
    /// In which life of its author's store it was written: every life draws other salts.
    pub life: u8,
    /// A liar's version of it.
    pub forged: bool,
}

/// A log with exactly some entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogIx(u16);

/// A signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoteIx(u16);

/// A frame on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameIx(u16);

/// What a note says and who signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NoteKey {
    /// Everything below it.
    pub log: LogIx,
    /// The sender's clock, in ticks.
    pub time: u8,
    /// Whether the receiver's line stands below the sender's.
    pub cosigned: bool,
}

/// What crosses a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Frame {
    /// The first of either side: its copy of the other's log, and the newest receipt for its own.
    Open {
        /// The newest note it cosigned.
        copy: Option<NoteIx>,
        /// The newest note with the other's cosignature.
        receipt: Option<NoteIx>,
        /// Its copy of the other's log is stopped.
        stopped: bool,
        /// Which life of its process speaks.
        life: u8,
    },
    /// Entries of the sender's log from `first` up to the note's size; they are those of `entries`, which an
    /// honest sender's note signs.
    Batch {
        /// Index of the first.
        first: u8,
        /// Where the entries are taken from.
        entries: LogIx,
        /// The note.
        note: NoteIx,
    },
    /// A receipt.
    Cosigned {
        /// The note with both lines.
        note: NoteIx,
    },
    /// Asks own entries back.
    Recover {
        /// From this index on.
        first: u8,
    },
    /// Gives the other's own entries back, all that there are; none when there is no note.
    Recovered {
        /// Index of the first.
        first: u8,
        /// The note that covers them.
        note: Option<NoteIx>,
    },
}

/// A log as the real trees have it.
pub struct RealLog {
    /// Whose it is: 0 or 1.
    pub from: u8,
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Their bytes.
    raws: Vec<RawEntry>,
    /// Their hashes.
    pub leaves: Vec<Hash>,
    /// The root at each size.
    pub roots: Vec<Hash>,
    /// Its right edge.
    pub frontier: Frontier,
}

/// Things of one sort, each once.
struct Shelf<K, V> {
    places: HashMap<K, u16>,
    things: Vec<(K, V)>,
}

impl<K: Clone + Eq + HashKey, V> Shelf<K, V> {
    fn new() -> Self {
        Self { places: HashMap::new(), things: Vec::new() }
    }

    fn place(&mut self, key: &K, make: impl FnOnce() -> V) -> u16 {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let place = u16::try_from(self.things.len()).expect("a bound makes few different things");
        self.things.push((key.clone(), make()));
        self.places.insert(key.clone(), place);
        place
    }
}

/// Everything that was ever written or signed in the worlds explored.
pub struct Book {
    logs: Shelf<(u8, Vec<Entry>), RealLog>,
    notes: Shelf<NoteKey, Note>,
    frames: Shelf<Frame, ()>,
    batches: HashMap<(u8, LogIx, NoteIx), Result<VerifiedBatch, Refusal>>,
    keys: [(Ed25519KeyPair, PublicKey, String); 2],
}

fn node(side: u8) -> NodeId {
    NODES[usize::from(side)].parse().expect("a division code")
}

/// The log from a side.
pub fn log_id(from: u8) -> LogId {
    LogId { channel: ChannelId { from: node(from), to: node(1 - from) }, epoch: 0 }
}

/// What a clock shows after so many ticks.
pub fn millis(ticks: u8) -> UnixMillis {
    UnixMillis(BASE + u64::from(ticks) * TICK_MILLIS)
}

fn raw(from: u8, entry: Entry) -> RawEntry {
    let payload = format!("message {} forged={}", entry.message, entry.forged);
    let body = body([entry.life; 16], payload.as_bytes());
    let header = Header {
        message_id: MessageId([entry.message + 1; 16]),
        channel: log_id(from).channel,
        epoch: 0,
        kind: "case.forward".into(),
        case_id: None,
        in_reply_to: None,
        seen: LogPosition { epoch: 0, index: entry.seen.into() },
        agreement: None,
        standard: None,
        created: millis(0),
        expires: None,
        body_digest: body_digest(SUITE, &body),
        body_length: body.len() as u32,
        blobs: vec![],
    };
    RawEntry { header: Bytes::from(header.encode()), body: Some(body) }
}

impl Book {
    pub fn new() -> Self {
        let key = |side: u8| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[side + 1; 32]).expect("a seed is a key");
            let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
            spki.extend_from_slice(pair.public_key().as_ref());
            let public = PublicKey::from_spki(&spki).expect("an Ed25519 key");
            (pair, public, format!("spiffe://model.tongban/node/{}", NODES[usize::from(side)]))
        };
        Self {
            logs: Shelf::new(),
            notes: Shelf::new(),
            frames: Shelf::new(),
            batches: HashMap::new(),
            keys: [key(0), key(1)],
        }
    }

    // ---- logs

    pub fn log_of(&mut self, from: u8, entries: &[Entry]) -> LogIx {
        let key = (from, entries.to_vec());
        LogIx(self.logs.place(&key, || {
            let raws: Vec<RawEntry> = entries.iter().map(|entry| raw(from, *entry)).collect();
            let leaf = |raw: &RawEntry| leaf_hash(SUITE, &raw.header).expect("a header is a leaf");
            let leaves: Vec<Hash> = raws.iter().map(leaf).collect();
            let mut frontier = Frontier::new(SUITE);
            let mut roots = vec![frontier.root()];
            for leaf in &leaves {
                frontier.append(*leaf, |_, _, _| {});
                roots.push(frontier.root());
            }
            RealLog { from, entries: entries.to_vec(), raws, leaves, roots, frontier }
        }))
    }

    pub fn log(&self, log: LogIx) -> &RealLog {
        &self.logs.things[usize::from(log.0)].1
    }

    pub fn size(&self, log: LogIx) -> u8 {
        self.log(log).entries.len() as u8
    }

    pub fn with(&mut self, log: LogIx, more: &[Entry]) -> LogIx {
        let mut entries = self.log(log).entries.clone();
        entries.extend_from_slice(more);
        let from = self.log(log).from;
        self.log_of(from, &entries)
    }

    pub fn holds(&self, log: LogIx, message: u8) -> bool {
        self.log(log).entries.iter().any(|entry| entry.message == message)
    }

    pub fn is_prefix(&self, of: LogIx, whole: LogIx) -> bool {
        self.log(whole).entries.starts_with(&self.log(of).entries)
    }

    pub fn agree(&self, one: LogIx, other: LogIx) -> bool {
        self.is_prefix(one, other) || self.is_prefix(other, one)
    }

    // ---- notes

    /// Signs, and has every signature and the place of every entry verified as a court would.
    pub fn note_of(&mut self, key: NoteKey) -> NoteIx {
        let (keys, logs) = (&self.keys, &self.logs);
        NoteIx(self.notes.place(&key, || {
            let log = &logs.things[usize::from(key.log.0)].1;
            let size = log.entries.len() as u64;
            let checkpoint =
                Checkpoint { log: log_id(log.from), size, root: log.frontier.root(), time: millis(key.time) };
            let (pair, public, name) = &keys[usize::from(log.from)];
            let signature = pair.sign(checkpoint.body().as_bytes());
            let mut note = Note::signed(checkpoint, name, public, signature.as_ref());
            if key.cosigned {
                let (pair, public, name) = &keys[usize::from(1 - log.from)];
                let seconds = note.checkpoint().time.0 / 1000;
                let signature = pair.sign(&cosigned_message(seconds, &note.checkpoint().body()));
                note = note.with_cosignature(name, public, seconds, signature.as_ref());
            }
            note
        }))
    }

    pub fn note(&self, note: NoteIx) -> NoteKey {
        self.notes.things[usize::from(note.0)].0
    }

    pub fn note_size(&self, note: NoteIx) -> u8 {
        self.size(self.note(note).log)
    }

    pub fn head(&self, note: NoteIx) -> Head {
        let checkpoint = self.notes.things[usize::from(note.0)].1.checkpoint();
        Head { size: checkpoint.size, root: checkpoint.root, time: checkpoint.time }
    }

    pub fn cosigned(&mut self, note: NoteIx) -> NoteIx {
        let key = NoteKey { cosigned: true, ..self.note(note) };
        self.note_of(key)
    }

    /// Checks a cosigned note as the link does and, beyond it, that it proves each entry below it offline.
    pub fn is_receipt(&self, note: NoteIx) -> bool {
        let (key, real) = &self.notes.things[usize::from(note.0)];
        let log = self.log(key.log);
        let read = Note::parse(real.text().as_bytes());
        let Ok(read) = read else { return false };
        let [origin, cosigner] = [log.from, 1 - log.from].map(|side| &self.keys[usize::from(side)]);
        let size = log.entries.len() as u64;
        let mut nodes = HashMap::new();
        let mut frontier = Frontier::new(SUITE);
        for leaf in &log.leaves {
            frontier.append(*leaf, |level, index, hash| {
                nodes.insert((level, index), hash);
            });
        }
        let root = read.checkpoint().root;
        let proven = log.leaves.iter().enumerate().all(|(index, leaf)| {
            let path = inclusion(SUITE, &nodes, index as u64, size).expect("the tree is whole");
            inclusion_holds(SUITE, leaf, index as u64, size, &path, &root)
        });
        read.verify_origin(&origin.2, &origin.1).is_ok()
            && read.verify_cosignature(&cosigner.2, &cosigner.1).is_ok()
            && read.checkpoint().size == size
            && proven
    }

    // ---- frames

    pub fn frame_of(&mut self, frame: Frame) -> FrameIx {
        FrameIx(self.frames.place(&frame, || ()))
    }

    pub fn frame(&self, frame: FrameIx) -> Frame {
        self.frames.things[usize::from(frame.0)].0
    }

    /// A batch as the real checks leave it: `entries` from `first` up to the note's size.
    pub fn batch(&mut self, first: u8, entries: LogIx, note: NoteIx) -> &Result<VerifiedBatch, Refusal> {
        let (logs, notes, keys) = (&self.logs, &self.notes, &self.keys);
        self.batches.entry((first, entries, note)).or_insert_with(|| {
            let note = &notes.things[usize::from(note.0)].1;
            let log = &logs.things[usize::from(entries.0)].1;
            let end = usize::try_from(note.checkpoint().size).expect("a small log");
            let raws = &log.raws[usize::from(first)..end];
            let batch = UncheckedBatch {
                epoch: 0,
                first: first.into(),
                entries: raws.iter().map(|raw| (raw.clone(), false)).collect(),
                checkpoint: note.text().into_bytes(),
            };
            let (_, key, name) = &keys[usize::from(log.from)];
            VerifiedBatch::check(SUITE, log_id(log.from), batch, |_| Ok(KnownKey { name, key }))
        })
    }
}

// ---- the words of a counterexample

impl Book {
    pub fn told_log(&self, log: LogIx) -> String {
        let word = |entry: &Entry| {
            let forged = if entry.forged { "!" } else { "" };
            let life = if entry.life > 0 { format!("'{}", entry.life) } else { String::new() };
            format!("m{}{forged}{life}(seen {})", entry.message, entry.seen)
        };
        let words: Vec<String> = self.log(log).entries.iter().map(word).collect();
        format!("[{}]", words.join(" "))
    }

    pub fn told_note(&self, note: Option<NoteIx>) -> String {
        let Some(note) = note else { return "none".into() };
        let key = self.note(note);
        let cosigned = if key.cosigned { " cosigned" } else { "" };
        format!("{}@{}{cosigned}", self.told_log(key.log), key.time)
    }

    pub fn told_frame(&self, frame: FrameIx) -> String {
        match self.frame(frame) {
            Frame::Open { copy, receipt, stopped, .. } => {
                let stopped = if stopped { ", stopped" } else { "" };
                format!("Open(copy {}, receipt {}{stopped})", self.told_note(copy), self.told_note(receipt))
            }
            Frame::Batch { first, entries, note } => {
                let whose = if self.note(note).log == entries { "" } else { " under another root" };
                format!("Batch(from {first}: {}{whose})", self.told_log(entries))
            }
            Frame::Cosigned { note } => format!("Cosigned({})", self.told_note(Some(note))),
            Frame::Recover { first } => format!("Recover(from {first})"),
            Frame::Recovered { first, note } => format!("Recovered(from {first}: {})", self.told_note(note)),
        }
    }
}
