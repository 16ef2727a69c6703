//! One state of the model: two nodes, their disks, the links between them, and what happened so far that
//! the laws ask about. All of it is plain values, hashed whole.

use crate::book::{Book, FrameIx, LogIx, NoteIx};
use gateway::refusal::RefusalCode;

/// Batches in flight.
pub const WINDOW: usize = 2;
/// Messages of one side, at most.
pub const MESSAGES_MAX: usize = 3;
/// Frames on a wire: the window, its receipts, and one each of the others.
pub const WIRE_MAX: usize = 7;
/// Batches that wait for the committer: a window of each of two links.
pub const QUEUE_MAX: usize = 2 * WINDOW;

/// A short row of things; what is beyond its length is always the same, so that equal rows hash alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row<T, const N: usize> {
    things: [Option<T>; N],
}

impl<T: Copy, const N: usize> Row<T, N> {
    pub const EMPTY: Self = Self { things: [None; N] };

    pub fn is_empty(&self) -> bool {
        self.things[0].is_none()
    }

    pub fn is_full(&self) -> bool {
        self.things[N - 1].is_some()
    }

    pub fn push(&mut self, thing: T) {
        let free = self.things.iter_mut().find(|thing| thing.is_none());
        *free.expect("whoever pushes has seen to it that there is room") = Some(thing);
    }

    pub fn pop(&mut self) -> Option<T> {
        let first = self.things[0].take();
        self.things.rotate_left(1);
        first
    }

    pub fn first(&self) -> Option<T> {
        self.things[0]
    }

    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.things.iter().copied().flatten()
    }

    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let mut kept = Self::EMPTY;
        self.iter().filter(|thing| keep(thing)).for_each(|thing| kept.push(thing));
        *self = kept;
    }

    pub fn map(&mut self, change: impl Fn(T) -> T) {
        self.things = self.things.map(|thing| thing.map(&change));
    }
}

/// What one node knows of both logs: the fold of its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Store {
    /// The own log.
    pub out: LogIx,
    /// The newest note signed here.
    pub signed: Option<NoteIx>,
    /// The newest note with the peer's cosignature.
    pub cosigned: Option<NoteIx>,
    /// Why the own log is stopped.
    pub out_stopped: Option<RefusalCode>,
    /// Drafts that wait for contact.
    pub staged: Row<u8, MESSAGES_MAX>,
    /// The copy of the peer's log.
    pub copy: LogIx,
    /// The newest note cosigned here.
    pub copy_note: Option<NoteIx>,
    /// Why it is stopped.
    pub copy_stopped: Option<RefusalCode>,
}

/// A batch on its way to the committer, and the link that waits for its receipt while it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Queued {
    pub frame: FrameIx,
    pub link: Option<u8>,
}

/// A node: what it has in memory, and what a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    /// What the process knows and shows.
    pub mem: Store,
    /// What is synced.
    pub disk: Store,
    /// A backup.
    pub backup: Option<Store>,
    /// Whether the peer has stated its copy since the start.
    pub contacted: bool,
    /// What the peer showed to have been cosigned here.
    pub recovered_below: u8,
    /// On which links this process stated its copy, oldest first, and to which life of the other's process,
    /// as far as it knows.
    pub stated: Row<(u8, Option<u8>), 3>,
    /// Which life of its process this is.
    pub process: u8,
    /// Batches that wait for the committer.
    pub queue: Row<Queued, QUEUE_MAX>,
    /// Messages whose submitter was told that they are durable, as bits. A restored backup takes back
    /// those that it does not hold: their submitters submit again.
    pub acknowledged: u8,
    /// How often a backup was put in place of the store.
    pub lives: u8,
}

/// How far one end of a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for the other's Open.
    Silent,
    /// Converses.
    Talks,
    /// Is gone.
    Gone,
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct End {
    pub phase: Phase,
    /// What the other's Open said: its copy, and the newest receipt that it holds.
    pub heard: (Option<NoteIx>, Option<NoteIx>),
    /// The other's copy of our log is stopped.
    pub heard_stopped: bool,
    /// Own entries come back up to this size first.
    pub recovering: Option<u8>,
    /// Delivers from here on; not at all before contact, or to a stopped copy.
    pub next: Option<u8>,
    /// Where the batches end that have no receipt yet.
    pub in_flight: Row<u8, WINDOW>,
    /// Batches held back while own entries come back.
    pub held: Row<FrameIx, WINDOW>,
}

impl End {
    pub const SILENT: Self = Self {
        phase: Phase::Silent,
        heard: (None, None),
        heard_stopped: false,
        recovering: None,
        next: None,
        in_flight: Row::EMPTY,
        held: Row::EMPTY,
    };
    pub const GONE: Self = Self { phase: Phase::Gone, ..Self::SILENT };
}

/// A link: two ends, and what is on its way to each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link {
    pub dialler: u8,
    /// Its place among the names: a clock that stands behind gives an old one to a new link.
    pub name: u8,
    pub ends: [End; 2],
    pub to: [Row<FrameIx, WIRE_MAX>; 2],
}

/// A state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub nodes: [Node; 2],
    /// At most two, the one dialled first in the first place.
    pub links: [Option<Link>; 2],
    pub clocks: [u8; 2],
    /// What may still happen.
    pub left: Budget,
    /// Of each log, the longest that its receiver ever cosigned, and a business system may have read.
    pub ever_cosigned: [LogIx; 2],
    /// Of each log, the longest that ever left its author under a signature.
    pub ever_signed: [LogIx; 2],
    /// Whether the author of the log lied about it.
    pub lied: [bool; 2],
}

/// How often each misfortune may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// A link breaks though neither side wanted it.
    pub breaks: u8,
    /// A process dies.
    pub crashes: u8,
    /// A backup is put in place of a store.
    pub restores: u8,
    /// A node rewrites what it signed, or signs what it does not send.
    pub lies: u8,
    /// A clock is set back.
    pub clocks_back: u8,
    /// A link gets a name older than the one that stands.
    pub old_names: u8,
}

impl World {
    pub fn new(book: &mut Book, left: Budget) -> Self {
        let node = |book: &mut Book, side: u8| {
            let store = Store {
                out: book.log_of(side, &[]),
                signed: None,
                cosigned: None,
                out_stopped: None,
                staged: Row::EMPTY,
                copy: book.log_of(1 - side, &[]),
                copy_note: None,
                copy_stopped: None,
            };
            Node {
                mem: store,
                disk: store,
                backup: None,
                contacted: false,
                recovered_below: 0,
                stated: Row::EMPTY,
                process: 0,
                queue: Row::EMPTY,
                acknowledged: 0,
                lives: 0,
            }
        };
        let empty = [book.log_of(0, &[]), book.log_of(1, &[])];
        Self {
            nodes: [node(book, 0), node(book, 1)],
            links: [None; 2],
            clocks: [0; 2],
            left,
            ever_cosigned: empty,
            ever_signed: empty,
            lied: [false; 2],
        }
    }

    /// Whether a log and its copy tell two histories.
    pub fn is_forked(&self, book: &Book, from: usize) -> bool {
        !book.agree(self.nodes[from].disk.out, self.nodes[1 - from].disk.copy)
    }

    /// Whether anybody has stopped a log.
    pub fn is_stopped(&self, from: usize) -> bool {
        let (author, receiver) = (&self.nodes[from], &self.nodes[1 - from]);
        [
            author.mem.out_stopped,
            author.disk.out_stopped,
            receiver.mem.copy_stopped,
            receiver.disk.copy_stopped,
        ]
        .iter()
        .any(Option::is_some)
    }
}
