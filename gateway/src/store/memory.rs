//! Both ports on a disk in memory that fails on command, for tests and the simulator.
//!
//! The journal here is the real one, [`SegmentedJournal`], over files in memory, so a torn write meets
//! the same recovery as on a file system. A [`MemoryDisk`] outlives its handles: what a "process"
//! wrote and did not sync is lost, kept or torn when the disk [crashes](MemoryDisk::crash), every
//! handle of before then fails, and the next open finds what is left. What goes wrong, and when, is
//! the caller's [`FaultPlan`]; nothing here is random.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::index::check;
use super::journal::medium::{Aside, Folder, Medium, WriteFailed};
use super::journal::{self, CutReport, Inspection, OpenReport, Options, SegmentedJournal};
use super::{Change, Direction, Index, IndexError, JournalError, Position, Table};

/// Bytes that a disk writes all or not at all.
const SECTOR_BYTES: u64 = 512;
/// Index batches that a crash can still take away.
pub const INDEX_HISTORY_MAX: usize = 256;

/// A disk that survives its users. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

/// One thing that the journal or the index asks of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Make a file, durably.
    Create {
        /// Its name.
        file: String,
    },
    /// Read.
    Read {
        /// From this file.
        file: String,
        /// From this byte on.
        offset: u64,
        /// So many bytes.
        bytes: usize,
    },
    /// Write.
    Write {
        /// To this file.
        file: String,
        /// From this byte on.
        offset: u64,
        /// So many bytes.
        bytes: usize,
    },
    /// Make a file's writes durable.
    Sync {
        /// The file.
        file: String,
    },
    /// Change a file's length.
    Resize {
        /// The file.
        file: String,
        /// The new length.
        bytes: u64,
    },
    /// Move or copy a file out of the journal's folder.
    SetAside {
        /// The file.
        file: String,
    },
    /// Apply a batch to the index.
    IndexApply {
        /// The position it reflects.
        reflects: Position,
    },
    /// Flush the index.
    IndexFlush,
}

/// What goes wrong with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// EIO, and nothing was done. A sync that fails so also forgets what it should have written, as
    /// Linux does: it stays readable until the power is cut, and a second sync does not help.
    Fail,
    /// EIO, although everything was done and is durable.
    FailButPersist,
    /// ENOSPC, and nothing was done.
    Full,
    /// A write puts so many bytes into the file and then answers EIO; everything else fails.
    Torn(usize),
    /// The operation is begun and the power is cut.
    PowerCut(Crash),
}

/// Decides about each operation, in the order in which they come.
pub struct FaultPlan(Box<dyn FnMut(&Operation) -> Option<Fault> + Send>);

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self(Box::new(|_| None))
    }

    /// One answer for each operation that is not a read; after the last, nothing goes wrong.
    pub fn queue(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        let mut faults: VecDeque<_> = faults.into_iter().collect();
        Self(Box::new(move |operation| match operation {
            Operation::Read { .. } => None,
            _ => faults.pop_front().flatten(),
        }))
    }

    /// Asks `decide`, which must not touch the disk.
    pub fn decide(decide: impl FnMut(&Operation) -> Option<Fault> + Send + 'static) -> Self {
        Self(Box::new(decide))
    }
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self::none()
    }
}

/// What a power cut takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// What becomes of writes that were not synced.
    pub unsynced: Unsynced,
    /// How many of the index's newest batches are gone, flushed or not; [`INDEX_HISTORY_MAX`] at most.
    pub index_batches_lost: usize,
}

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All are gone.
    Lost,
    /// All are there.
    Kept,
    /// The first so many bytes are there, the write in which they end is torn.
    Prefix(usize),
    /// Of each write the sectors are there whose number, modulo 64, is a bit that is set here; changes
    /// of length are there if bit 0 is set.
    Sectors(u64),
}

/// A backup: everything that was durable when it was made.
#[derive(Clone)]
pub struct DiskImage {
    files: BTreeMap<String, Content>,
    index: IndexState,
}

impl MemoryDisk {
    /// An empty disk without limit, on which nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// As [`journal::open`].
    pub fn open_journal(&self, options: Options) -> Result<(SegmentedJournal, OpenReport), JournalError> {
        journal::open_folder(Box::new(self.folder()), options)
    }

    /// Opens the index.
    pub fn open_index(&self) -> MemoryIndex {
        MemoryIndex { epoch: self.disk().epoch, disk: self.clone() }
    }

    /// As [`journal::inspect`].
    pub fn inspect(&self) -> Result<Inspection, JournalError> {
        journal::inspect_folder(&self.folder())
    }

    /// As [`journal::cut_after`].
    pub fn cut_after(&self, keep: Position, now_millis: u64) -> Result<CutReport, JournalError> {
        journal::cut_folder_after(&self.folder(), keep, now_millis)
    }

    /// From now on `plan` decides about every operation.
    pub fn plan(&self, plan: FaultPlan) {
        self.disk().plan = plan;
    }

    /// Sets how many bytes fit in all; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// The power is cut: handles of before fail from now on.
    pub fn crash(&self, crash: Crash) {
        self.disk().crash(crash);
    }

    /// A backup of what is durable now.
    pub fn snapshot(&self) -> DiskImage {
        let disk = self.disk();
        let files = disk.files.iter().map(|(name, file)| (name.clone(), file.durable.clone())).collect();
        DiskImage { files, index: disk.index.clone() }
    }

    /// Puts a backup in place of everything. Handles of before fail from now on.
    pub fn restore(&self, image: &DiskImage) {
        let mut disk = self.disk();
        disk.crash(Crash { unsynced: Unsynced::Lost, index_batches_lost: 0 });
        disk.files = image.files.iter().map(|(name, durable)| (name.clone(), File::of(durable))).collect();
        disk.index = image.index.clone();
    }

    /// The index is gone, as if its folder had been deleted.
    pub fn drop_index(&self) {
        self.disk().index = IndexState::default();
    }

    /// Names and lengths of the journal's files.
    pub fn files(&self) -> Vec<(String, u64)> {
        self.disk().files.iter().map(|(name, file)| (name.clone(), file.now.bytes)).collect()
    }

    /// Flips one bit of a stored byte, as a rotting disk does. False when the file has no such byte.
    pub fn flip_bit(&self, file: &str, offset: u64, bit: u8) -> bool {
        let mut disk = self.disk();
        let Some(file) = disk.files.get_mut(file).filter(|file| offset < file.durable.bytes) else {
            return false;
        };
        for content in [&mut file.now, &mut file.durable] {
            let mut byte = [0];
            content.read(offset, &mut byte);
            content.write(offset, &[byte[0] ^ (1 << (bit % 8))]);
        }
        true
    }

    /// Deletes a file of the journal. False when there is none of that name.
    pub fn delete_file(&self, file: &str) -> bool {
        self.disk().files.remove(file).is_some()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> MemoryFolder {
        MemoryFolder { epoch: self.disk().epoch, disk: self.clone() }
    }
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
    /// Folder and file of what was set aside.
    aside: BTreeMap<(String, String), Content>,
    index: IndexState,
    /// Counts the crashes; handles of an earlier one fail.
    epoch: u64,
    locked: bool,
    capacity: Option<u64>,
    plan: FaultPlan,
}

/// Bytes of a file; what was never written is zero and takes no memory.
#[derive(Clone, Default)]
struct Content {
    written: Vec<u8>,
    bytes: u64,
}

impl Content {
    fn read(&self, offset: u64, buffer: &mut [u8]) {
        let from = self.written.len().min(offset as usize);
        let known = &self.written[from..self.written.len().min(from + buffer.len())];
        buffer[..known.len()].copy_from_slice(known);
        buffer[known.len()..].fill(0);
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let offset = offset as usize;
        let end = offset + bytes.len();
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
        self.bytes = self.bytes.max(end as u64);
    }

    fn resize(&mut self, bytes: u64) {
        self.written.truncate(bytes as usize);
        self.bytes = bytes;
    }
}

/// A file as its readers see it, and as a power cut would leave it.
#[derive(Default)]
struct File {
    now: Content,
    durable: Content,
    /// What a sync makes durable.
    unsynced: Vec<Edit>,
}

enum Edit {
    Write(u64, Vec<u8>),
    Resize(u64),
}

impl Edit {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Write(offset, bytes) => content.write(*offset, bytes),
            Self::Resize(bytes) => content.resize(*bytes),
        }
    }
}

impl File {
    fn of(content: &Content) -> Self {
        Self { now: content.clone(), durable: content.clone(), unsynced: Vec::new() }
    }

    fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.now);
        self.unsynced.push(edit);
    }

    fn sync(&mut self) {
        for edit in self.unsynced.drain(..) {
            edit.apply(&mut self.durable);
        }
    }

    fn crash(&mut self, unsynced: Unsynced) {
        let mut left = match unsynced {
            Unsynced::Prefix(bytes) => bytes,
            Unsynced::Kept => usize::MAX,
            Unsynced::Lost | Unsynced::Sectors(_) => 0,
        };
        for edit in self.unsynced.drain(..) {
            match (&edit, unsynced) {
                (Edit::Write(offset, bytes), Unsynced::Sectors(mask)) => {
                    let mut at = *offset;
                    let end = offset + bytes.len() as u64;
                    while at < end {
                        let sector = at / SECTOR_BYTES;
                        let next = end.min((sector + 1) * SECTOR_BYTES);
                        if mask >> (sector % 64) & 1 == 1 {
                            let part = (at - offset) as usize..(next - offset) as usize;
                            self.durable.write(at, &bytes[part]);
                        }
                        at = next;
                    }
                }
                (Edit::Resize(bytes), Unsynced::Sectors(mask)) => {
                    if mask & 1 == 1 {
                        self.durable.resize(*bytes);
                    }
                }
                (Edit::Write(offset, bytes), _) => {
                    let kept = left.min(bytes.len());
                    if kept > 0 {
                        self.durable.write(*offset, &bytes[..kept]);
                    }
                    left -= kept;
                }
                (Edit::Resize(bytes), _) if left > 0 => self.durable.resize(*bytes),
                (Edit::Resize(_), _) => {}
            }
        }
        self.now = self.durable.clone();
    }
}

impl Disk {
    fn crash(&mut self, crash: Crash) {
        for file in self.files.values_mut() {
            file.crash(crash.unsynced);
        }
        self.index.lose(crash.index_batches_lost);
        self.epoch += 1;
        self.locked = false;
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.now.bytes).sum()
    }

    fn fits(&self, more: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("the disk failed")
}

/// Which part of an operation to do, and how to answer.
struct Course {
    /// Bytes of a write to do; all of everything else unless zero.
    done: usize,
    persist: bool,
    crash: Option<Crash>,
    answer: io::Result<()>,
}

impl Disk {
    fn course(&mut self, epoch: u64, operation: &Operation) -> io::Result<Course> {
        if epoch != self.epoch {
            return Err(io::Error::other("the power was cut since this was opened"));
        }
        let course = |done, answer| Course { done, persist: false, crash: None, answer };
        Ok(match (self.plan.0)(operation) {
            None => course(usize::MAX, Ok(())),
            Some(Fault::Fail) => course(0, Err(failed())),
            Some(Fault::Full) => course(0, Err(io::ErrorKind::StorageFull.into())),
            Some(Fault::Torn(bytes)) => match operation {
                Operation::Write { .. } => course(bytes, Err(failed())),
                _ => course(0, Err(failed())),
            },
            Some(Fault::FailButPersist) => Course { persist: true, ..course(usize::MAX, Err(failed())) },
            Some(Fault::PowerCut(crash)) => {
                Course { crash: Some(crash), ..course(usize::MAX, Err(failed())) }
            }
        })
    }
}

#[derive(Clone)]
struct MemoryFolder {
    disk: MemoryDisk,
    epoch: u64,
}

struct Lock {
    disk: MemoryDisk,
    epoch: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.epoch == self.epoch {
            disk.locked = false;
        }
    }
}

impl MemoryFolder {
    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.disk();
        if disk.epoch == self.epoch {
            Ok(disk)
        } else {
            Err(io::Error::other("the power was cut since this was opened"))
        }
    }
}

impl Folder for MemoryFolder {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send>>> {
        let mut disk = self.alive()?;
        if disk.locked {
            return Ok(None);
        }
        disk.locked = true;
        Ok(Some(Box::new(Lock { disk: self.disk.clone(), epoch: self.epoch })))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.alive()?.files.keys().cloned().collect())
    }

    fn open(&self, file: &str) -> io::Result<Arc<dyn Medium>> {
        if !self.alive()?.files.contains_key(file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(MemoryFile { folder: self.clone(), file: file.to_owned() }))
    }

    fn create(&self, file: &str, head: &[u8], bytes: u64) -> io::Result<Arc<dyn Medium>> {
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &Operation::Create { file: file.to_owned() })?;
        disk.fits(bytes)?;
        let mut content = Content::default();
        content.write(0, head);
        content.bytes = content.bytes.max(bytes);
        // A crash leaves the whole file or none.
        let stands = match course.crash {
            None => course.done > 0,
            Some(crash) => crash.unsynced == Unsynced::Kept,
        };
        if stands {
            disk.files.insert(file.to_owned(), File::of(&content));
        }
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer?;
        Ok(Arc::new(MemoryFile { folder: self.clone(), file: file.to_owned() }))
    }

    fn tidy(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_aside(&self, file: &str, aside: &str, how: Aside) -> io::Result<()> {
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &Operation::SetAside { file: file.to_owned() })?;
        let content = disk.files.get(file).ok_or(io::ErrorKind::NotFound)?.durable.clone();
        if course.done > 0 && course.crash.is_none() {
            disk.aside.insert((aside.to_owned(), file.to_owned()), content);
            if how == Aside::Move {
                disk.files.remove(file);
            }
        }
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer
    }

    fn free(&self) -> io::Result<u64> {
        let disk = self.alive()?;
        Ok(disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used())))
    }
}

struct MemoryFile {
    folder: MemoryFolder,
    file: String,
}

impl MemoryFile {
    /// Does `operation` to the file as the plan wants it.
    fn change(
        &self,
        operation: &Operation,
        edit: impl FnOnce(usize) -> Option<Edit>,
    ) -> (bool, io::Result<()>) {
        let mut disk = self.folder.disk.disk();
        let course = match disk.course(self.folder.epoch, operation) {
            Ok(course) => course,
            Err(error) => return (false, Err(error)),
        };
        let Some(file) = disk.files.get_mut(&self.file) else {
            return (false, Err(io::ErrorKind::NotFound.into()));
        };
        if course.done > 0
            && let Some(edit) = edit(course.done)
        {
            file.edit(edit);
        }
        if course.persist {
            file.sync();
        }
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        (course.done == 0, course.answer)
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        let operation = Operation::Resize { file: self.file.clone(), bytes };
        self.change(&operation, |_| Some(Edit::Resize(bytes))).1
    }
}

impl Medium for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        let disk = self.folder.alive()?;
        Ok(disk.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?.now.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut disk = self.folder.disk.disk();
        let operation = Operation::Read { file: self.file.clone(), offset, bytes: buffer.len() };
        let course = disk.course(self.folder.epoch, &operation)?;
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer?;
        let content = &disk.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?.now;
        if offset + buffer.len() as u64 > content.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content.read(offset, buffer);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteFailed> {
        let operation = Operation::Write { file: self.file.clone(), offset, bytes: bytes.len() };
        let (untouched, answer) = self.change(&operation, |done| {
            let done = done.min(bytes.len());
            Some(Edit::Write(offset, bytes[..done].to_vec()))
        });
        answer.map_err(|error| WriteFailed { untouched, error })
    }

    fn sync(&self) -> io::Result<()> {
        let operation = Operation::Sync { file: self.file.clone() };
        let mut disk = self.folder.disk.disk();
        let course = disk.course(self.folder.epoch, &operation)?;
        let file = disk.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        match course.crash {
            Some(crash) => disk.crash(crash),
            None if course.done > 0 => file.sync(),
            // See `Fault::Fail`.
            None => file.unsynced.clear(),
        }
        course.answer
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.resize(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let now = self.len()?;
        if now >= bytes {
            return Ok(());
        }
        self.folder.alive()?.fits(bytes - now)?;
        self.resize(bytes)
    }
}

type Rows = BTreeMap<(u8, Vec<u8>), Bytes>;

#[derive(Clone, Default)]
struct IndexState {
    rows: Rows,
    reflects: Position,
    /// The newest batches, oldest first: how each would be taken back.
    undo: VecDeque<(Vec<((u8, Vec<u8>), Option<Bytes>)>, Position)>,
}

impl IndexState {
    fn apply(&mut self, changes: Vec<Change>, reflects: Position) {
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            let (place, value) = match change {
                Change::Put { table, key, value } => ((table.number(), key), Some(Bytes::from(value))),
                Change::Delete { table, key } => ((table.number(), key), None),
            };
            let before = match value {
                Some(value) => self.rows.insert(place.clone(), value),
                None => self.rows.remove(&place),
            };
            undo.push((place, before));
        }
        if self.undo.len() == INDEX_HISTORY_MAX {
            self.undo.pop_front();
        }
        self.undo.push_back((undo, self.reflects));
        self.reflects = reflects;
    }

    fn lose(&mut self, batches: usize) {
        for _ in 0..batches {
            let Some((undo, reflects)) = self.undo.pop_back() else { return };
            for (place, before) in undo.into_iter().rev() {
                match before {
                    Some(value) => self.rows.insert(place, value),
                    None => self.rows.remove(&place),
                };
            }
            self.reflects = reflects;
        }
    }
}

/// The index on a [`MemoryDisk`].
pub struct MemoryIndex {
    disk: MemoryDisk,
    epoch: u64,
}

impl MemoryIndex {
    fn alive(&self) -> Result<MutexGuard<'_, Disk>, IndexError> {
        let disk = self.disk.disk();
        if disk.epoch == self.epoch {
            Ok(disk)
        } else {
            Err(index_failed(io::Error::other("the power was cut since this was opened")))
        }
    }
}

fn index_failed(source: io::Error) -> IndexError {
    IndexError::Io { doing: "use the index in memory".to_owned(), source }
}

impl Index for MemoryIndex {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, IndexError> {
        Ok(self.alive()?.index.rows.get(&(table.number(), key.to_vec())).cloned())
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to_exclusive: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Bytes, Bytes)>, IndexError> {
        let disk = self.alive()?;
        let number = table.number();
        let start = (number, from.to_vec());
        let end = match to_exclusive {
            [] => (number + 1, Vec::new()),
            to => (number, to.to_vec()),
        };
        if start >= end {
            return Ok(Vec::new());
        }
        let rows = disk.index.rows.range((Bound::Included(start), Bound::Excluded(end)));
        let row = |((_, key), value): (&(u8, Vec<u8>), &Bytes)| (Bytes::copy_from_slice(key), value.clone());
        Ok(match direction {
            Direction::Ascending => rows.take(limit).map(row).collect(),
            Direction::Descending => rows.rev().take(limit).map(row).collect(),
        })
    }

    fn apply(&self, changes: Vec<Change>, reflects: Position) -> Result<(), IndexError> {
        check(&changes)?;
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &Operation::IndexApply { reflects }).map_err(index_failed)?;
        if course.done > 0 {
            disk.index.apply(changes, reflects);
        }
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer.map_err(index_failed)
    }

    fn reflects(&self) -> Result<Position, IndexError> {
        Ok(self.alive()?.index.reflects)
    }

    fn flush(&self) -> Result<(), IndexError> {
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &Operation::IndexFlush).map_err(index_failed)?;
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer.map_err(index_failed)
    }
}
