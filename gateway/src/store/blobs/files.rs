//! The blob folder on a file system.

use super::{File, Folder, UNFINISHED};
use rustix::fs::statvfs;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(self.0.join(name))?;
        Ok(Arc::new(DiskFile(file)))
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

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.0.join(UNFINISHED))?;
        sync_folder(&self.0)
    }

    fn free(&self) -> io::Result<u64> {
        let room = statvfs(&self.0)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: the length is metadata that it must write too when reading needs it.
        self.0.sync_data()
    }
}
