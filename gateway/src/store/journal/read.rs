//! Reading a journal while it is written: by locator, and in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use super::frame::{self, Marker, ReadError};
use super::medium::Folder;
use super::segment::{self, HEADER_BYTES, HeaderError, OpenSegment, VERSION};
use crate::store::{Damage, JournalError, JournalReader, Locator, Position, StoredFrame};

/// Segments that are kept open for reading; more are opened again when they are asked for.
const OPEN_SEGMENTS_MAX: usize = 64;

/// What the writer and all readers share.
pub(super) struct Shared {
    pub(super) folder: Box<dyn Folder>,
    /// First positions of the segments, ascending.
    firsts: RwLock<Vec<Position>>,
    /// The last durable frame.
    end: AtomicU64,
    /// Recently used segments, the latest last.
    open: Mutex<VecDeque<OpenSegment>>,
}

impl Shared {
    pub(super) fn new(folder: Box<dyn Folder>) -> Self {
        Self { folder, firsts: RwLock::default(), end: AtomicU64::new(0), open: Mutex::default() }
    }

    pub(super) fn end(&self) -> Position {
        Position(self.end.load(Ordering::Acquire))
    }

    /// Shows frames up to `end` to readers.
    pub(super) fn set_end(&self, end: Position) {
        self.end.store(end.0, Ordering::Release);
    }

    pub(super) fn add_segment(&self, first: Position) {
        self.firsts.write().unwrap_or_else(PoisonError::into_inner).push(first);
    }

    pub(super) fn firsts(&self) -> Vec<Position> {
        self.firsts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn segments(&self) -> usize {
        self.firsts.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn open_segment(&self, first: Position) -> Result<OpenSegment, JournalError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|segment| segment.header.first == first) {
            let segment = open.remove(at).expect("its own position");
            open.push_back(segment.clone());
            return Ok(segment);
        }
        let file = segment::file_name(first);
        let failed = |error| JournalError::io(format!("open {}/{file}", self.folder.name()), error);
        let medium = self.folder.open(&file).map_err(failed)?;
        let header = match segment::read_header(&*medium, first) {
            Ok((header, _)) => header,
            Err(HeaderError::Io(error)) => return Err(failed(error)),
            Err(HeaderError::Newer(version)) => {
                return Err(JournalError::Newer { file, version, known: VERSION });
            }
            Err(HeaderError::Bad(what)) => {
                return Err(JournalError::Damaged { file, offset: 0, expected: Some(first), what });
            }
        };
        let segment = OpenSegment { header, medium };
        if open.len() == OPEN_SEGMENTS_MAX {
            open.pop_front();
        }
        open.push_back(segment.clone());
        Ok(segment)
    }

    /// The segment at `locator` and the frame that lies there.
    pub(super) fn frame_at(
        &self,
        locator: Locator,
        expected: Option<Position>,
    ) -> Result<(OpenSegment, frame::Read), JournalError> {
        let first = Position(locator.segment);
        let known = self.firsts.read().unwrap_or_else(PoisonError::into_inner).binary_search(&first).is_ok();
        let aligned = locator.offset >= HEADER_BYTES as u64 && locator.offset.is_multiple_of(frame::ALIGN);
        if !known || !aligned {
            return Err(JournalError::NoSuchFrame(locator));
        }
        let segment = self.open_segment(first)?;
        let damaged = |what| JournalError::Damaged {
            file: segment::file_name(first),
            offset: locator.offset,
            expected,
            what,
        };
        let read = frame::read(&*segment.medium, locator.offset, segment.header.mark)
            .map_err(|error| self.read_failed(error, first, damaged))?;
        match expected {
            Some(expected) if read.head.position != expected => {
                Err(damaged(Damage::OtherFrame(read.head.position)))
            }
            // Written, and its outcome not known.
            _ if read.head.position > self.end() => Err(JournalError::NoSuchFrame(locator)),
            _ => Ok((segment, read)),
        }
    }

    fn read_failed(
        &self,
        error: ReadError,
        first: Position,
        damaged: impl Fn(Damage) -> JournalError,
    ) -> JournalError {
        match error {
            ReadError::Io(error) => {
                JournalError::io(format!("read {}/{}", self.folder.name(), segment::file_name(first)), error)
            }
            ReadError::Bad(what) => damaged(what),
        }
    }

    /// A place from which walking on reaches the frame after `after`: the hint's when it is one, else
    /// the start of the segment that holds that frame.
    fn start_of_replay(&self, after: Position, hint: Option<Locator>) -> (Locator, Position) {
        if let Some(hint) = hint
            && let Ok((_, read)) = self.frame_at(hint, None)
            && read.head.position <= after.next()
        {
            return (hint, read.head.position);
        }
        let firsts = self.firsts.read().unwrap_or_else(PoisonError::into_inner);
        let number = firsts.partition_point(|first| *first <= after.next());
        let first = firsts[number.checked_sub(1).expect("a journal's first segment begins with frame 1")];
        (Locator { segment: first.0, offset: HEADER_BYTES as u64 }, first)
    }
}

impl JournalReader for Shared {
    fn read(&self, locator: Locator) -> Result<StoredFrame, JournalError> {
        let (_, read) = self.frame_at(locator, None)?;
        Ok(stored(locator, read))
    }

    fn replay(
        &self,
        after: Position,
        hint: Option<Locator>,
        visit: &mut dyn FnMut(StoredFrame) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let end = self.end();
        if after >= end {
            return Ok(());
        }
        let (mut at, mut position) = self.start_of_replay(after, hint);
        while position <= end {
            let follows = {
                let firsts = self.firsts.read().unwrap_or_else(PoisonError::into_inner);
                position.0 != at.segment && firsts.binary_search(&position).is_ok()
            };
            if follows {
                at = Locator { segment: position.0, offset: HEADER_BYTES as u64 };
            }
            let bytes = if position <= after {
                let first = Position(at.segment);
                let segment = self.open_segment(first)?;
                let damaged = |what| JournalError::Damaged {
                    file: segment::file_name(first),
                    offset: at.offset,
                    expected: Some(position),
                    what,
                };
                let head = frame::read_head(&*segment.medium, at.offset, segment.header.mark)
                    .map_err(|error| self.read_failed(error, first, damaged))?;
                if head.position != position {
                    return Err(damaged(Damage::OtherFrame(head.position)));
                }
                head.frame_bytes()
            } else {
                let (_, read) = self.frame_at(at, Some(position))?;
                let bytes = read.head.frame_bytes();
                visit(stored(at, read))?;
                bytes
            };
            at.offset += bytes;
            position = position.next();
        }
        Ok(())
    }
}

fn stored(locator: Locator, read: frame::Read) -> StoredFrame {
    let bodies =
        read.bodies.into_iter().map(|body| (body.marker == Marker::Stands).then_some(body.bytes)).collect();
    StoredFrame { position: read.head.position, locator, meta: read.meta, bodies }
}
