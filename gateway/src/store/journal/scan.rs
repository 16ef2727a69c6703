//! Walks a journal and judges it: sound, torn at the very end, or damaged. Changes nothing; opening
//! acts on the verdict, inspecting prints it.
//!
//! Only one frame is ever on its way to the disk, and the next is written after it was synced. So a
//! bad frame with nothing after it was never acknowledged (or never could be shown to be) and is
//! *torn*; a bad frame with a later one behind it, in this segment or the next, was acknowledged and
//! is *damage*.

use std::io;

use super::frame::{self, ALIGN, HEAD_BYTES, Head, Marker, ReadError};
use super::medium::{Folder, Medium};
use super::segment::{self, HEADER_BYTES, Header, HeaderError, OpenSegment, Seal, VERSION};
use crate::store::{Damage, JournalError, Locator, Position};

/// Bytes read at once when looking for zeros or for later frames.
const WINDOW_BYTES: usize = 64 * 1024;

/// What a scan found.
pub(super) struct Scan {
    /// Segments in order, up to the one where the walk ended.
    pub(super) segments: Vec<Segment>,
    /// The last frame that is readable without a gap.
    pub(super) end: Position,
    /// Frames read and verified whole.
    pub(super) frames_verified: u64,
    /// Their bytes.
    pub(super) bytes_verified: u64,
    /// Bodies that read as erased, among the verified frames.
    pub(super) bodies_erased: u64,
    /// Bodies whose erasure was interrupted.
    pub(super) erasing: Vec<(Locator, usize)>,
    pub(super) verdict: Verdict,
}

/// A segment of a scan.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) file: String,
    pub(super) header: Header,
    pub(super) seal: Seal,
    /// Where the last good frame ends; for a segment that was not walked, where the file ends.
    pub(super) end_offset: u64,
    /// Where the last good frame begins, if the segment has one and was walked.
    pub(super) last_frame: Option<u64>,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// The judgement.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Ends with a whole frame.
    Sound,
    /// The last segment ends with bytes that are no frame and have none behind them.
    Torn {
        /// Bytes from the last good frame's end to the last byte that is not zero.
        bytes: u64,
    },
    /// Acknowledged bytes are bad.
    Damaged(Place),
}

/// Where damage was found.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) expected: Position,
    pub(super) what: Damage,
}

impl From<Place> for JournalError {
    fn from(place: Place) -> Self {
        Self::Damaged {
            file: place.file,
            offset: place.offset,
            expected: Some(place.expected),
            what: place.what,
        }
    }
}

/// First positions of the segment files in a folder, ascending.
pub(super) fn segment_files(folder: &dyn Folder) -> Result<Vec<Position>, JournalError> {
    let names = folder.list().map_err(|error| JournalError::io(format!("list {}", folder.name()), error))?;
    let mut firsts: Vec<Position> = names.iter().filter_map(|name| segment::first_of(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Judges the journal in `folder`.
///
/// Every header and seal is read. Frames are walked and verified in full in the newest segments that
/// fit into `verify_bytes_max`, and in every segment that is not properly sealed, so always in the
/// last. A bad frame is torn only if its position is past `known_durable`.
pub(super) fn scan(
    folder: &dyn Folder,
    verify_bytes_max: u64,
    known_durable: Position,
) -> Result<Scan, JournalError> {
    let io_error = |doing: &str, file: &str, error: io::Error| {
        JournalError::io(format!("{doing} {}/{file}", folder.name()), error)
    };
    let mut scan = Scan {
        segments: Vec::new(),
        end: Position::START,
        frames_verified: 0,
        bytes_verified: 0,
        bodies_erased: 0,
        erasing: Vec::new(),
        verdict: Verdict::Sound,
    };

    let firsts = segment_files(folder)?;
    let mut opened = Vec::with_capacity(firsts.len());
    let mut bytes_left = 0;
    for first in &firsts {
        let file = segment::file_name(*first);
        // Handles are dropped at once: a long journal has more segments than a process may have files.
        let bytes = folder.open(&file).and_then(|medium| medium.len());
        let bytes = bytes.map_err(|error| io_error("open", &file, error))?;
        bytes_left += bytes;
        opened.push((file, *first, bytes));
    }

    for (number, (file, first, bytes)) in opened.iter().enumerate() {
        let next_first = firsts.get(number + 1).copied();
        let expected = scan.end.next();
        let walk_for_age = bytes_left <= verify_bytes_max.max(*bytes);
        bytes_left -= bytes;

        let damaged =
            |offset, expected, what| Verdict::Damaged(Place { file: file.clone(), offset, expected, what });
        if *first != expected {
            scan.verdict = damaged(0, expected, Damage::MissingSegment);
            return Ok(scan);
        }
        let medium = folder.open(file).map_err(|error| io_error("open", file, error))?;
        let (header, seal) = match segment::read_header(&*medium, *first) {
            Ok(read) => read,
            Err(HeaderError::Io(error)) => return Err(io_error("read", file, error)),
            Err(HeaderError::Newer(version)) => {
                return Err(JournalError::Newer { file: file.clone(), version, known: VERSION });
            }
            Err(HeaderError::Bad(what)) => {
                scan.verdict = damaged(0, expected, what);
                return Ok(scan);
            }
        };
        let mut segment =
            Segment { file: file.clone(), header, seal, end_offset: *bytes, last_frame: None, bytes: *bytes };

        let sealed_until = match seal {
            Seal::Next(next) => Some(next),
            Seal::Open | Seal::Bad => None,
        };
        let walk = walk_for_age || sealed_until.is_none() || next_first != sealed_until;
        if !walk {
            scan.end = Position(next_first.expect("equal to the seal").0 - 1);
            scan.segments.push(segment);
            continue;
        }

        let open = OpenSegment { header, medium };
        let until = sealed_until.or(next_first);
        let stopped = walk_frames(&open, until, &mut scan, &mut segment)
            .map_err(|error| io_error("read", file, error))?;
        let offset = segment.end_offset;
        let reached = scan.end.next();
        scan.verdict = match stopped {
            Stop::Bad(what) if until.is_some() => damaged(offset, reached, what),
            // The last segment, still open: the bad bytes may be the end that a crash left.
            Stop::Bad(what) => {
                let bytes =
                    nonzero_bytes(&*open.medium, offset).map_err(|error| io_error("read", file, error))?;
                let later = later_frames(&open, offset, reached, |_| Look::Stop)
                    .map_err(|error| io_error("read", file, error))?;
                match bytes {
                    // A seal is set when the next segment stands, and there is none.
                    _ if seal == Seal::Bad => damaged(offset, reached, Damage::Seal),
                    0 => Verdict::Sound,
                    _ if later > 0 || reached <= known_durable => damaged(offset, reached, what),
                    bytes => Verdict::Torn { bytes },
                }
            }
            // All frames up to the next segment are there. Is it the one the seal names?
            Stop::Complete if next_first != until => damaged(offset, reached, Damage::MissingSegment),
            Stop::Complete => Verdict::Sound,
        };
        scan.segments.push(segment);
        if !matches!(scan.verdict, Verdict::Sound) {
            return Ok(scan);
        }
    }
    Ok(scan)
}

enum Stop {
    /// The frame before `until` was reached.
    Complete,
    /// What lies at the segment's `end_offset` is not the next frame.
    Bad(Damage),
}

fn walk_frames(
    open: &OpenSegment,
    until: Option<Position>,
    scan: &mut Scan,
    segment: &mut Segment,
) -> io::Result<Stop> {
    segment.end_offset = HEADER_BYTES as u64;
    loop {
        let expected = scan.end.next();
        if until == Some(expected) {
            return Ok(Stop::Complete);
        }
        let offset = segment.end_offset;
        let read = match frame::read(&*open.medium, offset, open.header.mark) {
            Ok(read) if read.head.position == expected => read,
            Ok(read) => return Ok(Stop::Bad(Damage::OtherFrame(read.head.position))),
            Err(ReadError::Bad(what)) => return Ok(Stop::Bad(what)),
            Err(ReadError::Io(error)) => return Err(error),
        };
        for (body, stored) in read.bodies.iter().enumerate() {
            match stored.marker {
                Marker::Stands => continue,
                Marker::Erasing => {
                    scan.erasing.push((Locator { segment: open.header.first.0, offset }, body));
                }
                Marker::Erased => {}
            }
            scan.bodies_erased += 1;
        }
        segment.last_frame = Some(offset);
        scan.end = expected;
        scan.frames_verified += 1;
        scan.bytes_verified += read.head.frame_bytes();
        segment.end_offset = offset + read.head.frame_bytes();
    }
}

/// Bytes from `offset` to the last byte that is not zero; 0 when all are zero.
fn nonzero_bytes(medium: &dyn Medium, offset: u64) -> io::Result<u64> {
    let mut bytes = 0;
    for_each_window(medium, offset, 0, |at, window| {
        if let Some(last) = window.iter().rposition(|byte| *byte != 0) {
            bytes = at + last as u64 + 1 - offset;
        }
        Look::On
    })?;
    Ok(bytes)
}

/// Whether to look further.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    On,
    Stop,
}

/// Counts the heads after the bad frame at `offset` that belong to frames past `expected`, and shows
/// each to `seen`. A body cannot imitate one: it would have to contain the segment's mark, which
/// nobody outside this node has seen.
pub(super) fn later_frames(
    open: &OpenSegment,
    offset: u64,
    expected: Position,
    mut seen: impl FnMut(Position) -> Look,
) -> io::Result<u64> {
    let mut found = 0;
    let mark = open.header.mark.to_le_bytes();
    // Windows overlap by a head, so that one across an edge is found, once.
    for_each_window(&*open.medium, offset, HEAD_BYTES - ALIGN as usize, |_, window| {
        let mut at = 0;
        while at + HEAD_BYTES <= window.len() {
            let bytes = &window[at..at + HEAD_BYTES];
            if bytes[..8] == mark {
                let bytes = bytes.try_into().expect("a head's bytes");
                if let Some(head) = Head::parse(bytes, open.header.mark)
                    && head.position > expected
                {
                    found += 1;
                    if seen(head.position) == Look::Stop {
                        return Look::Stop;
                    }
                }
            }
            at += ALIGN as usize;
        }
        Look::On
    })?;
    Ok(found)
}

/// Shows the file from `offset` to its end in windows, each beginning `overlap` bytes before the
/// last one's end.
fn for_each_window(
    medium: &dyn Medium,
    offset: u64,
    overlap: usize,
    mut look: impl FnMut(u64, &[u8]) -> Look,
) -> io::Result<()> {
    let end = medium.len()?;
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = offset;
    while at < end {
        let bytes = usize::try_from(end - at).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
        medium.read_at(at, &mut window[..bytes])?;
        if look(at, &window[..bytes]) == Look::Stop || at + bytes as u64 == end {
            break;
        }
        at += (bytes - overlap) as u64;
    }
    Ok(())
}
