//! The journal on byte files: a folder of append-only segments. This page is its format, version 1.
//!
//! [`SegmentedJournal`] appends and erases; `scan` judges what a crash or a rotting disk left, `read`
//! serves readers, [`repair`](inspect) is for operators, `medium` is what all of them ask of a disk.
//!
//! # Format
//!
//! All numbers are unsigned and little endian. CRC is CRC-32C (Castagnoli), as in RFC 3720 §12.1.
//! A segment's file is named by the 20 decimal digits of its first frame's position, and `.tbj`. A
//! journal's first frame has position 1, and positions have no gaps. Frames are never longer than
//! [`COMMIT_BYTES_MAX`], which may grow and never shrinks.
//!
//! ```text
//! segment = header ‖ frame … ‖ zeros (preallocated room; a closed segment has none)
//!
//! header, 64 bytes
//!   0   8  magic "TBJRNL\r\n"
//!   8   4  format version, 1
//!  12   8  position of the first frame
//!  20   8  mark: begins every frame of this segment
//!  28   4  CRC of bytes 0..28                (bytes 0..32 mean the same in every version)
//!  32  16  seal; zeros while the segment is open, then
//!            32 8  position of the next segment's first frame
//!            40 4  CRC of bytes 32..40
//!            44 4  zeros
//!  48  16  zeros
//!
//! frame, begins at a multiple of 8
//!   0   8  mark
//!   8   8  position
//!  16   4  n, the number of bodies
//!  20   4  m, bytes of the meta
//!  24   4  b, bytes of all bodies together
//!  28   4  CRC of the meta
//!  32   4  CRC of the table
//!  36   4  CRC of bytes 0..36
//!  40  8n  table: for each body its length (4) and the CRC of its bytes (4)
//!       n  markers, one byte for each body: 0x00 stands, 0x5a being erased, 0xa5 erased
//!       m  meta
//!       b  bodies, in order
//!          zeros up to a multiple of 8
//! ```
//!
//! Markers lie outside the check sums: erasing a body changes its marker and overwrites it with zeros
//! and leaves everything else verifiable. The marker is set and synced before the first zero is
//! written, so a crash in between is seen by the next open, which completes it.
//!
//! The mark is a random number that the caller draws ([`Options::mark`]). Nobody outside the node
//! sees it, so a partner cannot send a body that looks like a frame and thereby turn a torn tail into
//! apparent damage.
//!
//! # What a crash leaves
//!
//! | a crash while | leaves | and the next open |
//! |---|---|---|
//! | appending | any part of one frame, at the end | cuts it, and says so in [`OpenReport::cut`] |
//! | making or preparing a segment | a `.new` file | removes it |
//! | closing a segment | a new segment; the old one without seal or with unused room | seals and trims it |
//! | erasing | a marker, some zeros | writes the zeros again |
//! | cutting a torn tail | a shorter tail, or a short segment | cuts again |
//!
//! The last acknowledged frame cannot be told from a torn one if the disk damages it, and a last
//! segment that is not sealed cannot be missed. [`Options::known_durable`] closes that gap: what the
//! index reflects was acknowledged.
//!
//! # What an open reads
//!
//! Headers and seals of all segments, and every byte of the newest segments up to
//! [`Options::verify_bytes_max`] (2 GiB, one or two seconds). Older frames were verified when they
//! were young and are verified again whenever they are read; [`inspect`] verifies everything.

mod ahead;
#[doc(hidden)]
pub mod bench;
mod files;
mod frame;
pub(in crate::store) mod medium;
mod read;
mod repair;
mod scan;
mod segment;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub use repair::{After, CutReport, Inspection, cut_after, inspect};
pub(in crate::store) use repair::{cut_folder_after, inspect_folder};

use self::ahead::Ahead;
use self::files::FileFolder;
use self::frame::Marker;
use self::medium::{Folder, WriteFailed};
use self::read::Shared;
use self::scan::Verdict;
use self::segment::{HEADER_BYTES, Header, OpenSegment, Seal};
use super::{
    Durable, Extent, Frame, Journal, JournalError, JournalReader, Locator, Placed, Position, Written,
};
use crate::limits::{COMMIT_BYTES_MAX, SEGMENT_BYTES};
use crate::measure::{Measures, Stopwatch};
use crate::mutant::{Mutant, is_planted};

/// Journal bytes that an open verifies in full, newest first. Older segments are checked by their
/// headers and seals, so that a start takes seconds however long the journal is.
pub const VERIFY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// How to open a journal.
#[derive(Debug, Clone)]
pub struct Options {
    /// Begins every frame of the segments made while the journal is open: a random number, drawn anew
    /// for each opening and told to nobody.
    pub mark: u64,
    /// A position that is known to have been acknowledged, usually [`Index::reflects`]. A bad frame
    /// up to it is damage and not a torn tail, and a journal that ends before it is not opened.
    ///
    /// [`Index::reflects`]: super::Index::reflects
    pub known_durable: Position,
    /// Bytes that are preallocated for each segment; a longer frame gets a longer segment.
    pub segment_bytes: u64,
    /// See [`VERIFY_BYTES_MAX`].
    pub verify_bytes_max: u64,
    /// Told how long each sync took.
    pub measures: Arc<Measures>,
}

impl Options {
    /// The limits of the exchange, and nothing known.
    pub fn new(mark: u64) -> Self {
        Self {
            mark,
            known_durable: Position::START,
            segment_bytes: SEGMENT_BYTES,
            verify_bytes_max: VERIFY_BYTES_MAX,
            measures: Arc::default(),
        }
    }
}

/// What opening found and mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The last durable frame.
    pub end: Position,
    /// Segment files.
    pub segments: usize,
    /// Frames that were read and verified.
    pub frames_verified: u64,
    /// Their bytes.
    pub bytes_verified: u64,
    /// The torn tail that was cut.
    pub cut: Option<Cut>,
    /// Erasures that a crash had interrupted and that are complete now.
    pub erasures_completed: usize,
}

/// A torn tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Where the tail began.
    pub offset: u64,
    /// Its bytes, up to the last that was not zero.
    pub bytes: u64,
}

/// The journal over byte files.
pub struct SegmentedJournal {
    shared: Arc<Shared>,
    options: Options,
    /// The segment that is appended to.
    segment: OpenSegment,
    /// Where its next frame begins.
    offset: u64,
    /// Where its preallocated room ends.
    capacity: u64,
    standing: Arc<Standing>,
    /// Prepares and closes segments; none: the writer does it itself.
    ahead: Option<Ahead>,
    /// Reused for every frame; at most `COMMIT_BYTES_MAX` long.
    buffer: Vec<u8>,
    /// Held until the journal is dropped.
    _lock: Box<dyn Send>,
}

/// What the writer knows of its last frame. Shared with whoever syncs it.
struct Standing(AtomicU8);

impl Standing {
    /// Durable, or there is none.
    const KNOWN: u8 = 0;
    /// Written and not synced yet.
    const WRITTEN: u8 = 1;
    /// A write or sync failed.
    const UNKNOWN: u8 = 2;

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Release);
    }

    fn is_known(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::KNOWN
    }
}

/// Opens the journal in `dir`, making it when it is missing, and mends what a crash left.
///
/// # Errors
/// [`Locked`](JournalError::Locked), [`Newer`](JournalError::Newer), [`Damaged`](JournalError::Damaged)
/// and [`Behind`](JournalError::Behind): nothing was changed. [`Full`](JournalError::Full) when there
/// is no room for a first segment. [`Io`](JournalError::Io): open again.
pub fn open(dir: &Path, options: Options) -> Result<(SegmentedJournal, OpenReport), JournalError> {
    let folder =
        FileFolder::make(dir).map_err(|error| JournalError::io(format!("make {}", dir.display()), error))?;
    let (mut journal, report) = open_folder(Box::new(folder), options)?;
    let ahead = Ahead::start(Arc::clone(&journal.shared));
    journal.ahead = Some(ahead.map_err(|error| JournalError::io("start a thread for the journal", error))?);
    Ok((journal, report))
}

pub(in crate::store) fn open_folder(
    folder: Box<dyn Folder>,
    options: Options,
) -> Result<(SegmentedJournal, OpenReport), JournalError> {
    let lock = lock(&*folder)?;
    let found = scan::scan(&*folder, options.verify_bytes_max, options.known_durable)?;
    let cut = match found.verdict {
        Verdict::Damaged(place) => return Err(place.into()),
        Verdict::Sound => None,
        Verdict::Torn { bytes } => {
            let last = found.segments.last().expect("the torn segment was walked");
            Some(Cut { file: last.file.clone(), offset: last.end_offset, bytes })
        }
    };
    if found.end < options.known_durable {
        return Err(JournalError::Behind { end: found.end, known: options.known_durable });
    }

    let doing = |what: &str| format!("{what} {}", folder.name());
    folder.tidy().map_err(|error| JournalError::io(doing("tidy"), error))?;
    let mut last = None;
    for (number, segment) in found.segments.iter().enumerate() {
        let next = found.segments.get(number + 1).map(|next| next.header.first);
        let closed = segment.seal != Seal::Open && segment.end_offset == segment.bytes;
        if next.is_some() && closed && segment.seal != Seal::Bad {
            continue;
        }
        let mended = folder.open(&segment.file).and_then(|medium| {
            let open = OpenSegment { header: segment.header, medium };
            match next {
                Some(next) => close(&open, segment.end_offset, next)?,
                None if cut.is_some() => {
                    open.medium.truncate(segment.end_offset)?;
                    open.medium.sync()?;
                }
                None => {}
            }
            Ok(open)
        });
        let open =
            mended.map_err(|error| JournalError::io(doing(&format!("mend {} in", segment.file)), error))?;
        last = Some((open, segment.end_offset));
    }
    let (segment, offset) = match last {
        Some(last) => last,
        None => {
            let first = Header { first: Position(1), mark: options.mark };
            let made = create(&*folder, first, options.segment_bytes);
            let segment = made.map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => JournalError::Full,
                _ => JournalError::io(doing("make the first segment in"), error),
            })?;
            (segment, HEADER_BYTES as u64)
        }
    };
    // A disk without room is no reason not to open: the next append tries again, and says so.
    let allocated = segment.medium.allocate(options.segment_bytes).and_then(|()| segment.medium.sync());
    let capacity = match allocated {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
        _ => segment.medium.len(),
    };
    let capacity = capacity.map_err(|error| JournalError::io(doing("preallocate in"), error))?;

    // After a failed sync, Linux shows bytes that never reached the disk. At most the last frame can be
    // such, and nobody was told about it, so it is written once more before anybody is.
    if let Some(at) = found.segments.last().and_then(|last| last.last_frame)
        && found.end > options.known_durable
    {
        let mut bytes = vec![0; (offset - at) as usize];
        let written = segment.medium.read_at(at, &mut bytes).and_then(|()| {
            segment.medium.write_at(at, &bytes).map_err(|failed| failed.error)?;
            segment.medium.sync()
        });
        written.map_err(|error| JournalError::io(doing("write the last frame again in"), error))?;
    }

    let shared = Shared::new(folder);
    for segment in &found.segments {
        shared.add_segment(segment.header.first);
    }
    if found.segments.is_empty() {
        shared.add_segment(segment.header.first);
    }
    shared.set_end(found.end);
    let mut journal = SegmentedJournal {
        shared: Arc::new(shared),
        options,
        segment,
        offset,
        capacity,
        standing: Arc::new(Standing(AtomicU8::new(Standing::KNOWN))),
        ahead: None,
        buffer: Vec::new(),
        _lock: lock,
    };
    for (locator, body) in &found.erasing {
        let _ = journal.erase(*locator, *body)?;
    }
    let report = OpenReport {
        end: found.end,
        segments: journal.shared.segments(),
        frames_verified: found.frames_verified,
        bytes_verified: found.bytes_verified,
        cut,
        erasures_completed: found.erasing.len(),
    };
    Ok((journal, report))
}

fn lock(folder: &dyn Folder) -> Result<Box<dyn Send>, JournalError> {
    match folder.lock() {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(JournalError::Locked(folder.name())),
        Err(error) => Err(JournalError::io(format!("lock {}", folder.name()), error)),
    }
}

fn create(folder: &dyn Folder, header: Header, bytes: u64) -> io::Result<OpenSegment> {
    let medium = folder.create(&segment::file_name(header.first), &header.encode(), bytes)?;
    Ok(OpenSegment { header, medium })
}

/// Closes a segment whose successor stands: its unused room goes, and a seal names the successor.
fn close(segment: &OpenSegment, end: u64, next: Position) -> io::Result<()> {
    segment.medium.truncate(end)?;
    segment::write_seal(&*segment.medium, Some(next)).map_err(|failed| failed.error)?;
    segment.medium.sync()
}

/// Where frame `keep` ends, in the segment that holds it or begins after it.
fn end_of(segment: &OpenSegment, keep: Position) -> io::Result<u64> {
    let mut end = HEADER_BYTES as u64;
    let mut position = segment.header.first;
    while position <= keep {
        let head =
            frame::read_head(&*segment.medium, end, segment.header.mark).map_err(|error| match error {
                frame::ReadError::Io(error) => error,
                frame::ReadError::Bad(what) => io::Error::other(what),
            })?;
        end += head.frame_bytes();
        position = position.next();
    }
    Ok(end)
}

fn outcome_unknown(shared: &Shared, segment: Position, doing: &str, source: io::Error) -> JournalError {
    let doing = format!("{doing} {}/{}", shared.folder.name(), segment::file_name(segment));
    JournalError::OutcomeUnknown { doing, source }
}

impl SegmentedJournal {
    fn unknown(&mut self, doing: &str, source: io::Error) -> JournalError {
        self.standing.set(Standing::UNKNOWN);
        outcome_unknown(&self.shared, self.segment.header.first, doing, source)
    }

    fn known(&self) -> Result<(), JournalError> {
        if self.standing.is_known() { Ok(()) } else { Err(JournalError::MustReopen) }
    }

    /// Sees to it that a frame of `bytes` fits at `self.offset`, if need be in the next segment.
    fn make_room(&mut self, bytes: u64) -> Result<(), JournalError> {
        if self.offset + bytes <= self.capacity {
            return Ok(());
        }
        let room = self.options.segment_bytes.max(HEADER_BYTES as u64 + bytes);
        let position = self.end().next();
        if self.segment.header.first == position {
            // Empty, and still too short: a long frame, or a disk that was full when it was opened.
            let grown = self.segment.medium.allocate(room).and_then(|()| self.segment.medium.sync());
            return match grown {
                Ok(()) => {
                    self.capacity = room;
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(JournalError::Full),
                Err(error) => Err(self.unknown("lengthen", error)),
            };
        }
        // Also the segment before: there is one without seal at most.
        if let Some(Err(error)) = self.ahead.as_mut().map(Ahead::wait) {
            return Err(self.unknown("close the segment before", error));
        }
        let header = Header { first: position, mark: self.options.mark };
        let next = match create(&*self.shared.folder, header, room) {
            Ok(next) => next,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(JournalError::Full),
            Err(error) => return Err(self.unknown("make the segment after", error)),
        };
        // A crash here leaves the old segment unsealed before a new one: the next open closes it.
        match &mut self.ahead {
            Some(ahead) => ahead.close(self.segment.clone(), self.offset, position),
            None => {
                if let Err(error) = close(&self.segment, self.offset, position) {
                    return Err(self.unknown("close", error));
                }
            }
        }
        self.shared.add_segment(position);
        self.segment = next;
        self.offset = HEADER_BYTES as u64;
        self.capacity = room;
        Ok(())
    }
}

impl Journal for SegmentedJournal {
    fn write(&mut self, frame: Frame) -> Result<Written, JournalError> {
        self.known()?;
        let bytes = frame::frame_bytes(&frame);
        if bytes > COMMIT_BYTES_MAX as u64 {
            return Err(JournalError::TooLarge { bytes, bytes_max: COMMIT_BYTES_MAX as u64 });
        }
        self.make_room(bytes)?;

        let position = self.end().next();
        self.buffer.clear();
        frame::encode(&frame, position, self.segment.header.mark, &mut self.buffer);
        match self.segment.medium.write_at(self.offset, &self.buffer) {
            Ok(()) => {}
            Err(WriteFailed { untouched: true, error }) if error.kind() == io::ErrorKind::StorageFull => {
                return Err(JournalError::Full);
            }
            Err(failed) => return Err(self.unknown("write", failed.error)),
        }
        // A crash from here to the sync leaves a torn tail or a whole frame that nobody was told about.
        self.standing.set(Standing::WRITTEN);
        let first = self.segment.header.first;
        let placed = Placed { position, locator: Locator { segment: first.0, offset: self.offset } };
        self.offset += bytes;
        if let Some(ahead) = &mut self.ahead
            && self.offset > self.capacity / 2
        {
            ahead.prepare(self.options.segment_bytes);
        }
        let (medium, shared) = (Arc::clone(&self.segment.medium), Arc::clone(&self.shared));
        let (standing, measures) = (Arc::clone(&self.standing), Arc::clone(&self.options.measures));
        Ok(Written::new(placed, move || {
            let began = Stopwatch::start();
            let synced = if is_planted(Mutant::SkipSync) { Ok(()) } else { medium.sync() };
            if let Err(error) = synced
                && !is_planted(Mutant::SwallowStoreError)
            {
                standing.set(Standing::UNKNOWN);
                return Err(outcome_unknown(&shared, first, "sync", error));
            }
            measures.sync_micros.observe(began.micros());
            shared.set_end(position);
            standing.set(Standing::KNOWN);
            Ok(())
        }))
    }

    fn end(&self) -> Position {
        self.shared.end()
    }

    fn reader(&self) -> Arc<dyn JournalReader> {
        self.shared.clone()
    }

    fn erase(&mut self, locator: Locator, body: usize) -> Result<Durable<()>, JournalError> {
        self.known()?;
        let (segment, frame) = self.shared.frame_at(locator, None)?;
        let Some(stored) = frame.bodies.get(body) else {
            return Err(JournalError::NoSuchBody { locator, body, bodies: frame.bodies.len() });
        };
        if stored.marker != Marker::Erased
            && let Err(error) = frame::erase(&*segment.medium, locator.offset, &frame, body)
        {
            return Err(self.unknown("erase in", error));
        }
        Ok(Durable::vouch(()))
    }

    fn extent(&self) -> Result<Extent, JournalError> {
        let mut extent = Extent::default();
        for first in self.shared.firsts() {
            // The open segment's file is longer than what was written.
            let bytes = if first == self.segment.header.first {
                self.offset
            } else {
                let segment = self.shared.open_segment(first)?;
                segment.medium.len().map_err(|error| {
                    JournalError::io(format!("look at {}", segment::file_name(first)), error)
                })?
            };
            extent.add_segment(first.0, bytes);
        }
        Ok(extent)
    }

    fn room(&self) -> Result<u64, JournalError> {
        let folder = &self.shared.folder;
        folder.free().map_err(|error| JournalError::io(format!("look for room in {}", folder.name()), error))
    }
}

#[cfg(test)]
mod tests;
