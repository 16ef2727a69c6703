//! The store: a journal that is the truth, and an index that can be rebuilt from it.
//!
//! Two ports. [`Journal`] takes one [`Frame`] per commit, all or nothing, and answers with a
//! [`Durable`] value once the disk has it; [`Index`] holds what is looked up and remembers which
//! journal position it reflects. [`journal`] implements the first over segment files, [`packed`] the
//! second over [`sled`] and sorted files, and [`memory`] both over a disk that fails on command, for the simulator. The committer
//! owns the one writer; readers are shared between threads. [`blobs`] holds files beside the two.
//!
//! Nothing here knows the domain: meta, bodies, keys and values are opaque bytes. Calls block; they
//! belong on the committer's thread or a blocking pool.
//!
//! Opening order: the index first, then the journal with [`journal::Options::known_durable`] set to
//! [`Index::reflects`], so that a frame which the index has seen is never taken for a torn tail; then
//! [`JournalReader::replay`] from that position brings the index up to date. If the journal answers
//! [`JournalError::Behind`], the index belongs to a newer journal: one of the two was restored from a
//! backup, and a person decides. Stopping order: the journal needs nothing, the index is
//! [settled](Index::settle).

pub mod blobs;
pub mod index;
pub mod journal;
pub mod memory;
pub mod packed;
pub mod sled;

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

pub use index::{Change, Direction, Index, IndexError, Table};

/// Proof that what it holds is on disk. Only `store` can make one out of nothing; from there it is
/// carried along with [`map`](Self::map).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "something became durable and nobody is told"]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// To be called after the sync that covers `value`, and nowhere else.
    pub(in crate::store) fn vouch(value: T) -> Self {
        Self(value)
    }

    /// The value, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Carries the proof over to something that stands in the same frame, such as the receipt whose
    /// bytes were part of the commit. `f` must not bring in anything from outside that frame.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Durable<U> {
        Durable(f(self.0))
    }

    /// A proof about a reference, to be mapped several times when one commit releases several things.
    pub fn by_ref(&self) -> Durable<&T> {
        Durable(&self.0)
    }
}

impl<T> Deref for Durable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One commit: it becomes durable as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// What must stand for ever: headers, verdicts, signatures, facts.
    pub meta: Vec<u8>,
    /// What can be erased later, one by one, without touching `meta`.
    pub bodies: Vec<Bytes>,
}

/// A frame's place in the journal's order: 1, 2, 3, … without gaps. Zero stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// Before the first frame.
    pub const START: Self = Self(0);

    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a frame lies. Callers store it and hand it back; what the two numbers mean is the journal's
/// own business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Locator {
    segment: u64,
    offset: u64,
}

impl Locator {
    /// Bytes of a stored locator.
    pub const BYTES: usize = 16;

    /// Segment, then offset, little endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.segment.to_le_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    /// The inverse of [`to_bytes`](Self::to_bytes). Any 16 bytes are taken; a locator that leads
    /// nowhere is found out when it is read.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (segment, offset) = bytes.split_at(8);
        Self {
            segment: u64::from_le_bytes(segment.try_into().expect("split at 8")),
            offset: u64::from_le_bytes(offset.try_into().expect("16 minus 8")),
        }
    }
}

/// Where [`Journal::write`] put a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The frame's number.
    pub position: Position,
    /// Where it lies.
    pub locator: Locator,
}

/// Where the journal's segments begin, counted in bytes from the journal's start: for progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// Each segment with the bytes before it, ascending.
    segments: Vec<(u64, u64)>,
    bytes: u64,
}

impl Extent {
    pub(in crate::store) fn add_segment(&mut self, segment: u64, bytes: u64) {
        self.segments.push((segment, self.bytes));
        self.bytes += bytes;
    }

    /// Bytes of the whole journal, up to the end of its last frame.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes before a frame of this journal.
    pub fn bytes_before(&self, locator: Locator) -> u64 {
        let place = self.segments.partition_point(|(segment, _)| *segment <= locator.segment);
        let before = place.checked_sub(1).map_or(0, |place| self.segments[place].1);
        before + locator.offset
    }
}

/// A frame as read back. The parts share one buffer: keeping a body keeps the whole frame in memory,
/// so copy what is to live long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFrame {
    /// The frame's number.
    pub position: Position,
    /// Where it lies.
    pub locator: Locator,
    /// As appended.
    pub meta: Bytes,
    /// As appended; `None` where the body was erased.
    pub bodies: Vec<Option<Bytes>>,
}

/// A frame that was written and not synced yet. It may be carried to another thread, so that whoever
/// wrote it goes on; the journal takes no other frame before it was synced. Nobody may be told of it,
/// and no reader sees it. Dropped, its outcome stays unknown.
#[must_use = "the journal takes nothing more before this is synced"]
pub struct Written {
    placed: Placed,
    sync: Box<dyn FnOnce() -> Result<(), JournalError> + Send>,
}

impl Written {
    pub(in crate::store) fn new(
        placed: Placed,
        sync: impl FnOnce() -> Result<(), JournalError> + Send + 'static,
    ) -> Self {
        Self { placed, sync: Box::new(sync) }
    }

    /// Where it lies.
    pub fn placed(&self) -> Placed {
        self.placed
    }

    /// Makes it durable, and lets readers see it.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](JournalError::OutcomeUnknown): the frame may or may not stand.
    pub fn sync(self) -> Result<Durable<Placed>, JournalError> {
        (self.sync)()?;
        Ok(Durable::vouch(self.placed))
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Written").field(&self.placed).finish()
    }
}

/// The journal's one writer.
pub trait Journal: Send {
    /// Appends one frame with one write; it stands once it was [synced](Written::sync).
    ///
    /// # Errors
    /// [`TooLarge`](JournalError::TooLarge) and [`Full`](JournalError::Full): nothing was written and
    /// the journal goes on. [`OutcomeUnknown`](JournalError::OutcomeUnknown): the frame may or may not
    /// stand, and every later call is refused with [`MustReopen`](JournalError::MustReopen). So is every
    /// call while an earlier frame is not synced.
    fn write(&mut self, frame: Frame) -> Result<Written, JournalError>;

    /// Appends one frame with one write and one sync.
    ///
    /// # Errors
    /// As for [`write`](Self::write) and [`Written::sync`].
    fn append(&mut self, frame: Frame) -> Result<Durable<Placed>, JournalError> {
        self.write(frame)?.sync()
    }

    /// The last durable frame; [`Position::START`] in an empty journal.
    fn end(&self) -> Position;

    /// A reader, for any number of threads. It sees each frame from the moment `append` answered.
    fn reader(&self) -> Arc<dyn JournalReader>;

    /// Overwrites one body in place. The frame's meta and its other bodies still stand, and the body
    /// reads as `None` from now on. Erasing twice is the same as erasing once, so a caller that does
    /// not know whether it was done simply does it again.
    ///
    /// # Errors
    /// [`NoSuchFrame`](JournalError::NoSuchFrame), [`NoSuchBody`](JournalError::NoSuchBody); otherwise
    /// as for [`append`](Self::append).
    fn erase(&mut self, locator: Locator, body: usize) -> Result<Durable<()>, JournalError>;

    /// How long the journal is and where its segments begin in it.
    ///
    /// # Errors
    /// When a segment cannot be looked at.
    fn extent(&self) -> Result<Extent, JournalError>;

    /// Bytes that are free on the disk.
    fn room(&self) -> Result<u64, JournalError>;
}

/// Reads what is durable, while the writer goes on.
pub trait JournalReader: Send + Sync {
    /// Reads and verifies one frame.
    ///
    /// # Errors
    /// [`NoSuchFrame`](JournalError::NoSuchFrame) when the locator leads out of the journal,
    /// [`Damaged`](JournalError::Damaged) when what lies there is not the frame that was written.
    fn read(&self, locator: Locator) -> Result<StoredFrame, JournalError>;

    /// Gives every frame after `after` to `visit`, in order, up to the end as it is when the call
    /// begins. One frame is in memory at a time. `hint` saves the search for the start: the locator of
    /// any frame up to `after`, best of `after` itself; a hint that leads nowhere is ignored.
    ///
    /// # Errors
    /// The first error that `visit` returns (its own failures go into
    /// [`Visitor`](JournalError::Visitor)), or what is wrong with the journal.
    fn replay(
        &self,
        after: Position,
        hint: Option<Locator>,
        visit: &mut dyn FnMut(StoredFrame) -> Result<(), JournalError>,
    ) -> Result<(), JournalError>;
}

/// Why the journal refused.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    // -- the caller
    /// Split the commit.
    #[error("a frame of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Bytes the frame would take.
        bytes: u64,
        /// Bytes it may take.
        bytes_max: u64,
    },
    /// The locator is not one of this journal's.
    #[error("no frame lies at {0:?}")]
    NoSuchFrame(Locator),
    /// The frame has fewer bodies.
    #[error("the frame at {locator:?} has {bodies} bodies, there is no body {body}")]
    NoSuchBody {
        /// The frame.
        locator: Locator,
        /// The body asked for, counted from 0.
        body: usize,
        /// How many there are.
        bodies: usize,
    },
    /// The visitor of a replay failed.
    #[error("replay was ended by its visitor")]
    Visitor(#[source] Box<dyn std::error::Error + Send + Sync>),

    // -- the operator
    /// The disk is full; nothing was written and the journal goes on.
    #[error("the disk is full")]
    Full,
    /// Another process has the store open.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// A newer release wrote this store.
    #[error("{file} has format version {version}; this release reads up to {known}. Use the newer release")]
    Newer {
        /// The segment.
        file: String,
        /// Its format version.
        version: u32,
        /// The newest version this release reads.
        known: u32,
    },
    /// The journal ends before a position that the index has seen: segments are gone, or one of the
    /// two was restored from a backup.
    #[error("the journal ends at {end}, but the index reflects {known}")]
    Behind {
        /// Last frame of the journal.
        end: Position,
        /// What the index reflects.
        known: Position,
    },
    /// The command asked to keep more than is readable.
    #[error("only frames up to {readable} can be kept, not up to {asked}")]
    CannotKeep {
        /// Last frame that is readable without a gap.
        readable: Position,
        /// What was asked for.
        asked: Position,
    },

    // -- the disk
    /// Stored bytes are not what was written. The journal is not opened; `tongban store repair` plans
    /// what to do, and partners hold copies.
    #[error("{file} is damaged at byte {offset}, where {} should lie: {what}", Expected(*.expected))]
    Damaged {
        /// The segment.
        file: String,
        /// Byte offset in it.
        offset: u64,
        /// The frame that should lie there, where that is known.
        expected: Option<Position>,
        /// What is wrong.
        what: Damage,
    },
    /// The disk failed to read, or a folder could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },

    // -- unknown
    /// A write or a sync failed: what was to be written may or may not be on disk. The journal takes
    /// nothing more until it is reopened, which finds out.
    #[error("{doing} failed, what is on disk is unknown until the journal is reopened: {source}")]
    OutcomeUnknown {
        /// What was being done.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// An earlier outcome is unknown.
    #[error("an earlier write has an unknown outcome; reopen the journal first")]
    MustReopen,
}

impl JournalError {
    pub(in crate::store) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}

struct Expected(Option<Position>);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(position) => write!(f, "frame {position}"),
            None => f.write_str("a frame"),
        }
    }
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The segment's header is not one, or its check sum does not fit.
    #[error("the segment's header does not verify")]
    SegmentHeader,
    /// The file's name and its header disagree about the first frame.
    #[error("the header says that the segment begins with frame {0}")]
    SegmentName(Position),
    /// The seal that closes a segment does not verify.
    #[error("the segment's seal does not verify")]
    Seal,
    /// The segment that should begin here is not in the folder.
    #[error("the segment that begins with this frame is missing")]
    MissingSegment,
    /// A frame's head does not verify.
    #[error("the frame's head does not verify")]
    Head,
    /// The table of body lengths does not verify.
    #[error("the frame's table does not verify")]
    Table,
    /// The meta does not verify.
    #[error("the frame's meta does not verify")]
    Meta,
    /// A body does not verify.
    #[error("body {0} does not verify")]
    Body(usize),
    /// The byte that says whether a body was erased has no meaning.
    #[error("the marker of body {0} has no meaning")]
    Marker(usize),
    /// The bytes that fill up the frame are not zero.
    #[error("the frame's padding is not zero")]
    Padding,
    /// The file ends before the frame does.
    #[error("the file ends inside the frame")]
    CutShort,
    /// A whole frame, but another one.
    #[error("frame {0} lies there")]
    OtherFrame(Position),
}
