//! What an operator can find out about a journal, and do, when it does not open: [`inspect`] reads
//! everything and changes nothing; [`cut_after`] keeps the good frames and sets the rest aside. Both
//! refuse while a node has the store open.
//!
//! Cutting loses acknowledged frames, so it comes last: after it, the node rebuilds what is missing
//! from its partners, who hold verified copies.

use std::path::Path;

use super::files::FileFolder;
use super::medium::{Aside, Folder};
use super::scan::{self, Look, Place, Scan, Verdict};
use super::segment::{self, HEADER_BYTES, OpenSegment, Seal};
use crate::store::{Damage, JournalError, Position};

/// What [`inspect`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Segment files.
    pub segments: usize,
    /// The last frame that is readable and has no gap before it.
    pub readable: Position,
    /// Bytes of those frames.
    pub bytes: u64,
    /// Bodies among them that were erased.
    pub bodies_erased: u64,
    /// What comes after them.
    pub after: After,
}

/// What comes after the last readable frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Nothing: the journal is sound.
    Nothing,
    /// The end of a write that a crash interrupted; the next start cuts it.
    TornTail {
        /// The segment.
        file: String,
        /// Where it begins.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// Damage; the journal does not open.
    Damage {
        /// The segment.
        file: String,
        /// Where in it.
        offset: u64,
        /// The frame that should lie there.
        expected: Position,
        /// What is wrong.
        what: Damage,
        /// Later frames whose heads are still good; [`cut_after`] would set them aside as well.
        later_frames: u64,
        /// The highest of them.
        highest: Option<Position>,
        /// The files that [`cut_after`] the last readable frame would move or copy.
        set_aside: Vec<String>,
    },
}

/// What [`cut_after`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutReport {
    /// The last frame that was kept.
    pub kept: Position,
    /// The folder beside the journal's that now holds the rest.
    pub set_aside: String,
    /// The files in it.
    pub files: Vec<String>,
}

/// Reads and verifies the whole journal in `dir`. Changes nothing.
///
/// # Errors
/// [`JournalError::Locked`] while a node runs, [`JournalError::Newer`], [`JournalError::Io`]. Damage
/// is not an error here but part of the answer.
pub fn inspect(dir: &Path) -> Result<Inspection, JournalError> {
    let folder =
        FileFolder::look_at(dir).map_err(|error| JournalError::io(dir.display().to_string(), error))?;
    inspect_folder(&folder)
}

/// Keeps the frames up to `keep` and sets the rest aside, in `set-aside-<now_millis>` beside `dir`:
/// the segment that is cut as a copy, later ones as they are. A crash in the middle leaves a journal
/// that does not open and on which the same command works again.
///
/// # Errors
/// [`JournalError::CannotKeep`] when frames up to `keep` are not all readable; nothing was changed.
/// [`JournalError::Io`] when the system fails in the middle.
pub fn cut_after(dir: &Path, keep: Position, now_millis: u64) -> Result<CutReport, JournalError> {
    FileFolder::look_at(dir).map_err(|error| JournalError::io(dir.display().to_string(), error))?;
    let folder = FileFolder::make(dir).map_err(|error| JournalError::io(dir.display().to_string(), error))?;
    cut_folder_after(&folder, keep, now_millis)
}

pub(in crate::store) fn inspect_folder(folder: &dyn Folder) -> Result<Inspection, JournalError> {
    let _lock = super::lock(folder)?;
    let found = scan::scan(folder, u64::MAX, Position::START)?;
    let segments = scan::segment_files(folder)?.len();
    let after = match &found.verdict {
        Verdict::Sound => After::Nothing,
        Verdict::Torn { bytes } => {
            let last = found.segments.last().expect("the torn segment was walked");
            After::TornTail { file: last.file.clone(), offset: last.end_offset, bytes: *bytes }
        }
        Verdict::Damaged(place) => damage(folder, &found, place)?,
    };
    let Scan { end, bytes_verified, bodies_erased, .. } = found;
    Ok(Inspection { segments, readable: end, bytes: bytes_verified, bodies_erased, after })
}

fn damage(folder: &dyn Folder, found: &Scan, place: &Place) -> Result<After, JournalError> {
    let mut later = 0;
    let mut highest = None;
    let from = segment::first_of(&place.file).expect("a scanned file");
    for first in scan::segment_files(folder)?.into_iter().filter(|first| *first >= from) {
        let file = segment::file_name(first);
        let failed = |error| JournalError::io(format!("read {}/{file}", folder.name()), error);
        let medium = folder.open(&file).map_err(failed)?;
        // Without a header there is no mark, and nothing in the segment can be told from a body.
        let Ok((header, _)) = segment::read_header(&*medium, first) else { continue };
        let offset = if file == place.file { place.offset } else { 0 }.max(HEADER_BYTES as u64);
        later += scan::later_frames(&OpenSegment { header, medium }, offset, place.expected, |position| {
            highest = highest.max(Some(position));
            Look::On
        })
        .map_err(failed)?;
    }
    Ok(After::Damage {
        file: place.file.clone(),
        offset: place.offset,
        expected: place.expected,
        what: place.what,
        later_frames: later,
        highest,
        set_aside: plan(folder, found, found.end)?.1,
    })
}

/// The segment that is last when only frames up to `keep` are kept (`None`: no segment stays), and
/// the files to set aside, the one that stays among them when frames are cut from it.
fn plan(
    folder: &dyn Folder,
    found: &Scan,
    keep: Position,
) -> Result<(Option<scan::Segment>, Vec<String>), JournalError> {
    // Keeping nothing still keeps the first segment's header.
    let holds = |segment: &&scan::Segment| segment.header.first <= keep.max(Position(1));
    let stays = found.segments.iter().rev().find(holds);
    let last_kept = stays.map_or(Position::START, |segment| segment.header.first);
    let mut files: Vec<String> = scan::segment_files(folder)?
        .into_iter()
        .filter(|first| *first >= last_kept)
        .map(segment::file_name)
        .collect();
    if let Some(segment) = stays
        && keep == found.end
        && segment.end_offset == segment.bytes
        && files.first() == Some(&segment.file)
    {
        // It ends with the last kept frame: only its seal changes.
        files.remove(0);
    }
    Ok((stays.cloned(), files))
}

pub(in crate::store) fn cut_folder_after(
    folder: &dyn Folder,
    keep: Position,
    now_millis: u64,
) -> Result<CutReport, JournalError> {
    let _lock = super::lock(folder)?;
    let found = scan::scan(folder, u64::MAX, Position::START)?;
    if keep > found.end {
        return Err(JournalError::CannotKeep { readable: found.end, asked: keep });
    }
    let set_aside = format!("set-aside-{now_millis}");
    let (stays, files) = plan(folder, &found, keep)?;

    // Newest first: what is left in between is a journal whose last segments are missing, which the
    // seal of the one before shows.
    for file in files.iter().rev() {
        let copy = stays.as_ref().is_some_and(|segment| segment.file == *file);
        let how = if copy { Aside::Copy } else { Aside::Move };
        folder
            .set_aside(file, &set_aside, how)
            .map_err(|error| JournalError::io(format!("set {file} aside into {set_aside}"), error))?;
    }
    if let Some(segment) = stays {
        let failed = |error| JournalError::io(format!("cut {}/{}", folder.name(), segment.file), error);
        let medium = folder.open(&segment.file).map_err(failed)?;
        let open = OpenSegment { header: segment.header, medium };
        let end = super::end_of(&open, keep).map_err(failed)?;
        open.medium.truncate(end).map_err(failed)?;
        if segment.seal != Seal::Open {
            segment::write_seal(&*open.medium, None).map_err(|error| failed(error.error))?;
        }
        open.medium.sync().map_err(failed)?;
    }
    Ok(CutReport { kept: keep, set_aside, files })
}
