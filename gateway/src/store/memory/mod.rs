//! Both ports on a disk in memory that fails on command, for tests and the simulator.
//!
//! The journal here is the real one, [`SegmentedJournal`], over files in memory, so a torn write meets
//! the same recovery as on a file system. A [`MemoryDisk`] outlives its handles: what a "process"
//! wrote and did not sync is lost, kept or torn when the disk [crashes](MemoryDisk::crash), every
//! handle of before then fails, and the next open finds what is left. What goes wrong, and when, is
//! the caller's [`FaultPlan`]; nothing here is random.

mod blobs;
mod files;
mod index;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::blobs::FileClock;
pub use self::index::MemoryIndex;

use self::blobs::{BlobFiles, BlobFolder, BlobImage};
use self::files::{Content, File, MemoryFolder};
use self::index::IndexState;
use super::blobs::BlobStore;
use super::journal::{self, CutReport, Inspection, OpenReport, Options, SegmentedJournal};
use super::{JournalError, Position};

/// Index batches that a crash can still take away.
pub const INDEX_HISTORY_MAX: usize = 256;

/// A disk that survives its users. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

/// One thing that the journal, the index or the blob folder asks of the disk. Files of the last are named
/// with `blobs/` in front.
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
    /// Give a file of the blob folder another name.
    Rename {
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// Remove a file of the blob folder.
    Remove {
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
pub struct FaultPlan(Box<Decide>);

type Decide = dyn FnMut(&Operation) -> Option<Fault> + Send;

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
    blobs: BlobImage,
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

    /// Opens the blob folder, whose files are dated by `clock`. `reserve` as for [`BlobStore::open`].
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn open_blobs(&self, reserve: u64, clock: FileClock) -> io::Result<BlobStore> {
        let folder = BlobFolder { epoch: self.disk().epoch, disk: self.clone(), clock };
        BlobStore::over(Arc::new(folder), reserve)
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
        DiskImage { files, blobs: disk.blobs.image(), index: disk.index.clone() }
    }

    /// Puts a backup in place of everything. Handles of before fail from now on.
    pub fn restore(&self, image: &DiskImage) {
        let mut disk = self.disk();
        disk.crash(Crash { unsynced: Unsynced::Lost, index_batches_lost: 0 });
        disk.files = image.files.iter().map(|(name, durable)| (name.clone(), File::of(durable))).collect();
        disk.blobs = BlobFiles::of(&image.blobs);
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
    blobs: BlobFiles,
    index: IndexState,
    /// Counts the crashes; handles of an earlier one fail.
    epoch: u64,
    locked: bool,
    capacity: Option<u64>,
    plan: FaultPlan,
}

impl Disk {
    fn crash(&mut self, crash: Crash) {
        for file in self.files.values_mut() {
            file.crash(crash.unsynced);
        }
        self.blobs.crash(crash.unsynced);
        self.index.lose(crash.index_batches_lost);
        self.epoch += 1;
        self.locked = false;
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.now.bytes).sum::<u64>() + self.blobs.used()
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
