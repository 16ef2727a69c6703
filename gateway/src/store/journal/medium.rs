//! What the journal asks of a disk: a folder of byte files. [`files`](super::files) answers with the
//! operating system, [`memory`](crate::store::memory) with a disk that fails on command, so that both
//! run the same journal and the same recovery.

use std::io;
use std::sync::Arc;

/// A folder that holds one journal.
pub(in crate::store) trait Folder: Send + Sync {
    /// For messages.
    fn name(&self) -> String;

    /// Takes the folder for this owner until the guard is dropped; `None` when another owner has it.
    fn lock(&self) -> io::Result<Option<Box<dyn Send>>>;

    /// Names of the files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that exists.
    fn open(&self, file: &str) -> io::Result<Arc<dyn Medium>>;

    /// Makes a file of `bytes` bytes that begins with `head` and is zero after that. On `Ok` it is
    /// durable. A crash leaves the whole file or none. [`io::ErrorKind::StorageFull`] promises that
    /// there is none; any other error promises nothing.
    fn create(&self, file: &str, head: &[u8], bytes: u64) -> io::Result<Arc<dyn Medium>>;

    /// Makes room that the next [`create`](Self::create) of as many bytes may use: only speed. Not called
    /// while a `create` runs.
    fn prepare(&self, bytes: u64) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Removes what an interrupted [`create`](Self::create) left, and makes the names of the files
    /// durable, of which an earlier `create` may have been unable to.
    fn tidy(&self) -> io::Result<()>;

    /// Puts a file durably into the folder `aside`, which lies beside this one and is made when it is
    /// missing. With [`Aside::Copy`] the file stays here as well.
    fn set_aside(&self, file: &str, aside: &str, how: Aside) -> io::Result<()>;

    /// Free bytes.
    fn free(&self) -> io::Result<u64>;
}

/// How a file is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Aside {
    Move,
    Copy,
}

/// One file. Writes are visible to reads at once and durable after [`sync`](Self::sync).
pub(in crate::store) trait Medium: Send + Sync {
    /// Bytes of the file.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on; a file that ends earlier is
    /// [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteFailed>;

    /// Makes everything written durable, the length included.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file. Durable after the next sync.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Makes the file at least `bytes` long, with zeros and room on the disk for them.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

/// A write that did not go through.
#[derive(Debug)]
pub(in crate::store) struct WriteFailed {
    /// Whether the file is provably as it was.
    pub(in crate::store) untouched: bool,
    pub(in crate::store) error: io::Error,
}
