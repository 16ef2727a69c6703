//! The journal's folder on a file system.
//!
//! A lock file keeps a second process out. A new segment is written under another name, synced, and
//! renamed, and the folder is synced, so a segment's name never stands for half a file. What a crash
//! leaves is a `.new` file, which [`tidy`](Folder::tidy) removes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};
use rustix::io::Errno;

use super::medium::{Aside, Folder, Medium, WriteFailed};

/// Bodies speak of persons: segments and their folder are their owner's alone, whatever the umask.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const LOCK: &str = "lock";
const UNFINISHED: &str = ".new";
/// Room for the next segment; removed by the next open when it was not used.
const SPARE: &str = "spare.new";

/// A folder on a file system.
pub(super) struct FileFolder {
    path: PathBuf,
    access: Access,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

impl FileFolder {
    /// Makes the folder durably when it is missing.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        Ok(Self { path: path.to_owned(), access: Access::ReadWrite })
    }

    /// A folder that exists; nothing in it is changed.
    pub(super) fn look_at(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such folder"));
        }
        Ok(Self { path: path.to_owned(), access: Access::ReadOnly })
    }

    /// An empty file with room for so many bytes. The room is not filled with zeros: a sync would cost
    /// 0.15 ms instead of 0.22, but what fills it competes with the syncs, which together were slower.
    fn roomy(path: &Path, bytes: u64) -> io::Result<FileMedium> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        let medium = FileMedium(options.open(path)?);
        medium.allocate(bytes)?;
        Ok(medium)
    }

    /// The room that was prepared, when it is just as long.
    fn spare(&self, bytes: u64) -> Option<FileMedium> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(SPARE)).ok()?;
        (file.metadata().ok()?.len() == bytes).then_some(FileMedium(file))
    }

    fn open_file(&self, file: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(self.access == Access::ReadWrite).open(self.path.join(file))
    }
}

impl Folder for FileFolder {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send>>> {
        let path = self.path.join(LOCK);
        let file = match self.access {
            Access::ReadWrite => {
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?
            }
            Access::ReadOnly => match File::open(path) {
                Ok(file) => file,
                // Nobody ever opened this journal, so nobody has it open.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Box::new(()))),
                Err(error) => return Err(error),
            },
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, file: &str) -> io::Result<Arc<dyn Medium>> {
        Ok(Arc::new(FileMedium(self.open_file(file)?)))
    }

    fn create(&self, file: &str, head: &[u8], bytes: u64) -> io::Result<Arc<dyn Medium>> {
        let unfinished = self.path.join(format!("{file}{UNFINISHED}"));
        let named = self.path.join(file);
        let prepared = (|| {
            let medium = match self.spare(bytes) {
                Some(spare) => {
                    fs::rename(self.path.join(SPARE), &unfinished)?;
                    spare
                }
                None => Self::roomy(&unfinished, bytes)?,
            };
            medium.write_at(0, head).map_err(|failed| failed.error)?;
            medium.0.sync_all()?;
            fs::rename(&unfinished, &named)?;
            Ok(medium)
        })();
        let medium = match prepared {
            Ok(medium) => medium,
            Err(error) => {
                // Only tidiness: the name is not a segment's, and the next open removes it as well.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        // From here on the file stands, so even a full disk must not sound like "there is none".
        sync_folder(&self.path).map_err(|error| io::Error::other(format!("folder not synced: {error}")))?;
        Ok(Arc::new(medium))
    }

    fn prepare(&self, bytes: u64) -> io::Result<()> {
        let path = self.path.join(SPARE);
        let prepared = Self::roomy(&path, bytes).and_then(|medium| medium.0.sync_all());
        if prepared.is_err() {
            // A spare that is not whole is of no use.
            let _ = fs::remove_file(&path);
        }
        prepared
    }

    fn tidy(&self) -> io::Result<()> {
        for name in self.list()? {
            if name.ends_with(UNFINISHED) {
                fs::remove_file(self.path.join(name))?;
            }
        }
        sync_folder(&self.path)
    }

    fn set_aside(&self, file: &str, aside: &str, how: Aside) -> io::Result<()> {
        let beside = self.path.parent().ok_or_else(|| io::Error::other("the folder has no parent"))?;
        let target_folder = beside.join(aside);
        make_folder(&target_folder)?;
        let source = self.path.join(file);
        let target = target_folder.join(file);
        let renamed = how == Aside::Move && fs::rename(&source, &target).is_ok();
        if !renamed {
            // A copy was asked for, or the folder is a mount point of its own.
            fs::copy(&source, &target)?;
            File::open(&target)?.sync_all()?;
        }
        sync_folder(&target_folder)?;
        if how == Aside::Move {
            if !renamed {
                fs::remove_file(&source)?;
            }
            sync_folder(&self.path)?;
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        let room = statvfs(&self.path)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

/// One file on a file system.
struct FileMedium(File);

impl Medium for FileMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteFailed> {
        let mut written = 0;
        while written < bytes.len() {
            match self.0.write_at(&bytes[written..], offset + written as u64) {
                Ok(0) => {
                    let error = io::ErrorKind::WriteZero.into();
                    return Err(WriteFailed { untouched: written == 0, error });
                }
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(WriteFailed { untouched: written == 0, error }),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: the length is metadata that it must write too when reading needs it.
        self.0.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        if self.len()? >= bytes {
            return Ok(());
        }
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // The file system cannot: the length is right, and a full disk shows at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.0.set_len(bytes),
            Err(error) => Err(error.into()),
        }
    }
}

/// Makes a folder and syncs the one it lies in.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_folder(parent)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(parent)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
