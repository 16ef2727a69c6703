//! The blob folder on a file system.

use super::{File, Folder, UNFINISHED};
use rustix::fs::{OFlags, statvfs};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// Files hold personal data: nobody else reads them.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A folder on a file system.
pub(super) struct DiskFolder(PathBuf);

impl DiskFolder {
    /// Makes the folder durably when it is missing.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path.join(UNFINISHED))?;
        for folder in [Some(path), path.parent()].into_iter().flatten() {
            sync_folder(folder)?;
        }
        Ok(Self(path.to_owned()))
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?.sync_all()
}

impl Folder for DiskFolder {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(self.0.join(name))?;
        Ok(Arc::new(DiskFile { file, direct: OnceLock::new() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(self.0.join(name))?;
        Ok(Arc::new(DiskFile { file, direct: OnceLock::new() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn unfinished(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.0.join(UNFINISHED))? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(format!("{UNFINISHED}{name}"));
            }
        }
        Ok(names)
    }

    fn each(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            if let Ok(name) = entry?.file_name().into_string() {
                visit(&name);
            }
        }
        Ok(())
    }

    fn changed(&self, name: &str) -> io::Result<SystemTime> {
        fs::metadata(self.0.join(name))?.modified()
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.0.join(UNFINISHED))?;
        sync_folder(&self.0)
    }

    fn free(&self) -> io::Result<u64> {
        let room = statvfs(&self.0)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

struct DiskFile {
    file: fs::File,
    /// The same file past the system's cache; nothing: not on this disk.
    direct: OnceLock<Option<fs::File>>,
}

impl DiskFile {
    fn direct(&self) -> Option<&fs::File> {
        let open = || {
            let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
            let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(itself).ok()
        };
        self.direct.get_or_init(open).as_ref()
    }
}

/// Whether a disk does not do that past its cache, or wants another alignment.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_direct_at(&self, offset: u64, buffer: &mut [u8], needed: usize) -> io::Result<()> {
        let Some(direct) = self.direct() else { return self.read_at(offset, &mut buffer[..needed]) };
        let mut have = 0;
        while have < needed {
            match direct.read_at(&mut buffer[have..], offset + have as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_refused(&error) => return self.read_at(offset, &mut buffer[..needed]),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_direct_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(direct) = self.direct() else { return self.write_at(offset, bytes) };
        match direct.write_all_at(bytes, offset) {
            Err(error) if is_refused(&error) => self.write_at(offset, bytes),
            outcome => outcome,
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: the length is metadata that it must write too when reading needs it.
        self.file.sync_data()
    }
}
