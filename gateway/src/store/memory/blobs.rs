//! The blob folder in memory: names and bytes as their readers see them and as a power cut would leave
//! them. A name is durable when the folder was synced, bytes when their file was.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::SystemTime;

use super::files::{Content, Edit, File as FileState};
use super::{Disk, MemoryDisk, Operation, Unsynced};
use crate::store::blobs::{File, Folder, UNFINISHED};

/// In front of the names of files of this folder in [`Operation`].
const PLACE: &str = "blobs/";

/// The clock by which files are dated.
pub type FileClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

#[derive(Default)]
pub(super) struct BlobFiles {
    names: BTreeMap<String, u64>,
    /// As of the last sync of the folder.
    durable: BTreeMap<String, u64>,
    files: BTreeMap<u64, Dated>,
    next: u64,
}

struct Dated {
    state: FileState,
    changed: SystemTime,
}

/// What of the folder is in a backup.
pub(super) type BlobImage = BTreeMap<String, (Content, SystemTime)>;

impl BlobFiles {
    pub(super) fn crash(&mut self, unsynced: Unsynced) {
        // Names that were not synced may be there all the same: the folder is in the system's cache.
        if unsynced == Unsynced::Kept {
            self.durable = self.names.clone();
        }
        self.names = self.durable.clone();
        let kept: std::collections::BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|number, _| kept.contains(number));
        for file in self.files.values_mut() {
            file.state.crash(unsynced);
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.files.values().map(|file| file.state.now.bytes).sum()
    }

    pub(super) fn image(&self) -> BlobImage {
        let image = |(name, number): (&String, &u64)| {
            let file = self.files.get(number)?;
            Some((name.clone(), (file.state.durable.clone(), file.changed)))
        };
        self.durable.iter().filter_map(image).collect()
    }

    pub(super) fn of(image: &BlobImage) -> Self {
        let mut files = Self::default();
        for (name, (content, changed)) in image {
            files.next += 1;
            files.names.insert(name.clone(), files.next);
            let dated = Dated { state: FileState::of(content), changed: *changed };
            files.files.insert(files.next, dated);
        }
        files.durable = files.names.clone();
        files
    }

    fn number(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, number: u64) -> io::Result<&mut Dated> {
        self.files.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The folder on a [`MemoryDisk`].
pub(super) struct BlobFolder {
    pub(super) disk: MemoryDisk,
    pub(super) epoch: u64,
    pub(super) clock: FileClock,
}

struct BlobFile {
    disk: MemoryDisk,
    epoch: u64,
    clock: FileClock,
    name: String,
    number: u64,
}

fn alive(disk: &MemoryDisk, epoch: u64) -> io::Result<MutexGuard<'_, Disk>> {
    let guard = disk.disk();
    if guard.epoch == epoch {
        Ok(guard)
    } else {
        Err(io::Error::other("the power was cut since this was opened"))
    }
}

/// Does what `operation` says, unless the plan says otherwise. `change` is told how many bytes to do.
fn course<T>(
    disk: &MemoryDisk,
    epoch: u64,
    operation: &Operation,
    change: impl FnOnce(&mut Disk, usize) -> io::Result<T>,
) -> io::Result<T> {
    let mut guard = disk.disk();
    let course = guard.course(epoch, operation)?;
    let done = if course.done > 0 { Some(change(&mut guard, course.done)) } else { None };
    if let Some(crash) = course.crash {
        guard.crash(crash);
    }
    course.answer?;
    done.unwrap_or_else(|| Err(io::Error::other("the disk did nothing")))
}

fn placed(name: &str) -> String {
    format!("{PLACE}{name}")
}

impl BlobFolder {
    fn of(&self, name: &str, number: u64) -> Arc<dyn File> {
        Arc::new(BlobFile {
            disk: self.disk.clone(),
            epoch: self.epoch,
            clock: Arc::clone(&self.clock),
            name: name.to_owned(),
            number,
        })
    }
}

impl Folder for BlobFolder {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let changed = (self.clock)();
        let operation = Operation::Create { file: placed(name) };
        let number = course(&self.disk, self.epoch, &operation, |disk, _| {
            disk.fits(0)?;
            disk.blobs.next += 1;
            let number = disk.blobs.next;
            disk.blobs.files.insert(number, Dated { state: FileState::default(), changed });
            disk.blobs.names.insert(name.to_owned(), number);
            Ok(number)
        })?;
        Ok(self.of(name, number))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let number = alive(&self.disk, self.epoch)?.blobs.number(name)?;
        Ok(self.of(name, number))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let operation = Operation::Rename { from: placed(from), to: placed(to) };
        course(&self.disk, self.epoch, &operation, |disk, _| {
            let number = disk.blobs.number(from)?;
            disk.blobs.names.remove(from);
            disk.blobs.names.insert(to.to_owned(), number);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        course(&self.disk, self.epoch, &Operation::Remove { file: placed(name) }, |disk, _| {
            disk.blobs.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn unfinished(&self) -> io::Result<Vec<String>> {
        let disk = alive(&self.disk, self.epoch)?;
        Ok(disk.blobs.names.keys().filter(|name| name.starts_with(UNFINISHED)).cloned().collect())
    }

    fn each(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        let names: Vec<String> = alive(&self.disk, self.epoch)?.blobs.names.keys().cloned().collect();
        names.iter().filter(|name| !name.starts_with(UNFINISHED)).for_each(|name| visit(name));
        Ok(())
    }

    fn changed(&self, name: &str) -> io::Result<SystemTime> {
        let mut disk = alive(&self.disk, self.epoch)?;
        let number = disk.blobs.number(name)?;
        Ok(disk.blobs.file(number)?.changed)
    }

    fn now(&self) -> SystemTime {
        (self.clock)()
    }

    fn sync(&self) -> io::Result<()> {
        course(&self.disk, self.epoch, &Operation::Sync { file: PLACE.to_owned() }, |disk, _| {
            disk.blobs.durable = disk.blobs.names.clone();
            Ok(())
        })
    }

    fn free(&self) -> io::Result<u64> {
        let disk = alive(&self.disk, self.epoch)?;
        Ok(disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used())))
    }
}

impl BlobFile {
    fn edit(&self, operation: &Operation, edit: impl FnOnce(usize) -> (Edit, u64)) -> io::Result<()> {
        let changed = (self.clock)();
        course(&self.disk, self.epoch, operation, |disk, done| {
            let (edit, end) = edit(done);
            let held = disk.blobs.file(self.number)?.state.now.bytes;
            disk.fits(end.saturating_sub(held))?;
            let file = disk.blobs.file(self.number)?;
            file.state.edit(edit);
            file.changed = changed;
            Ok(())
        })
    }
}

impl File for BlobFile {
    fn len(&self) -> io::Result<u64> {
        let mut disk = alive(&self.disk, self.epoch)?;
        Ok(disk.blobs.file(self.number)?.state.now.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let operation = Operation::Read { file: placed(&self.name), offset, bytes: buffer.len() };
        course(&self.disk, self.epoch, &operation, |disk, _| {
            let content = &disk.blobs.file(self.number)?.state.now;
            if offset + buffer.len() as u64 > content.bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            content.read(offset, buffer);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let operation = Operation::Write { file: placed(&self.name), offset, bytes: bytes.len() };
        self.edit(&operation, |done| {
            let part = &bytes[..done.min(bytes.len())];
            (Edit::Write(offset, part.to_vec()), offset + part.len() as u64)
        })
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let held = self.len()?;
        let operation = Operation::Resize { file: placed(&self.name), bytes };
        self.edit(&operation, |_| (Edit::Resize(bytes.min(held)), 0))
    }

    fn sync(&self) -> io::Result<()> {
        let operation = Operation::Sync { file: placed(&self.name) };
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &operation)?;
        let file = disk.blobs.file(self.number)?;
        match course.crash {
            Some(crash) => disk.crash(crash),
            None if course.done > 0 => file.state.sync(),
            // See `Fault::Fail`.
            None => file.state.unsynced.clear(),
        }
        course.answer
    }
}
