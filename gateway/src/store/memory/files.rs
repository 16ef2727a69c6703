//! The journal's folder in memory: each file as its readers see it and as a power cut would leave it.

use std::io;
use std::sync::{Arc, MutexGuard};

use super::{Disk, MemoryDisk, Operation, Unsynced};
use crate::store::journal::medium::{Aside, Folder, Medium, WriteFailed};

/// Bytes that a disk writes all or not at all.
const SECTOR_BYTES: u64 = 512;

/// Bytes of a file; what was never written is zero and takes no memory.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) written: Vec<u8>,
    pub(super) bytes: u64,
}

impl Content {
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) {
        let from = self.written.len().min(offset as usize);
        let known = &self.written[from..self.written.len().min(from + buffer.len())];
        buffer[..known.len()].copy_from_slice(known);
        buffer[known.len()..].fill(0);
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let offset = offset as usize;
        let end = offset + bytes.len();
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
        self.bytes = self.bytes.max(end as u64);
    }

    pub(super) fn resize(&mut self, bytes: u64) {
        self.written.truncate(bytes as usize);
        self.bytes = bytes;
    }
}

/// A file as its readers see it, and as a power cut would leave it.
#[derive(Default)]
pub(super) struct File {
    pub(super) now: Content,
    pub(super) durable: Content,
    /// What a sync makes durable.
    pub(super) unsynced: Vec<Edit>,
}

pub(super) enum Edit {
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
    pub(super) fn of(content: &Content) -> Self {
        Self { now: content.clone(), durable: content.clone(), unsynced: Vec::new() }
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.now);
        self.unsynced.push(edit);
    }

    pub(super) fn sync(&mut self) {
        for edit in self.unsynced.drain(..) {
            edit.apply(&mut self.durable);
        }
    }

    pub(super) fn crash(&mut self, unsynced: Unsynced) {
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

#[derive(Clone)]
pub(super) struct MemoryFolder {
    pub(super) disk: MemoryDisk,
    pub(super) epoch: u64,
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
