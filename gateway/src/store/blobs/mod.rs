//! The blob folder: files by their digest, each whole and written once.
//!
//! ```text
//! blobs/sha256-<hex>            the file            appears last: where it is, everything is
//! blobs/sha256-<hex>.list       its chunk list
//! blobs/unfinished/upload-…     an upload           removed at the next start
//! blobs/unfinished/named-…      one under a name, and .list, the hashes of its full chunks so far
//!                                                   kept for a day: it goes on where it was, and until the
//!                                                   last rename even if it was finished already
//! blobs/unfinished/sha256-<hex> a fetch, and .list  kept: it goes on where it was
//! ```
//!
//! A file is written under `unfinished`, synced, renamed, and the folder is synced; only then is there
//! a [`Durable`] that an entry may rely on. A crash before the last rename leaves an unfinished file. An
//! upload's is useless, a fetch's is verified chunk by chunk against its list when it goes on: what a
//! power cut took away is fetched again, and nothing has to be remembered about how far it came.
//!
//! Knows digests and chunks, nothing of entries, partners or permissions. Calls block.

mod block;
mod files;
mod parked;
#[cfg(test)]
mod tests;
mod writing;

use self::block::Blocks;
use self::parked::Parked;
use self::writing::Writing;
use super::Durable;
use crate::chunks::{ChunkHasher, ChunkList, chunk_count, length_fits};
use crate::id::Digest;
use crate::limits::{BLOB_BURST_CHUNKS, BLOB_BYTES_MAX, BLOB_CACHED_BYTES, BLOB_CHUNK_BYTES};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Where unfinished files lie.
pub(in crate::store) const UNFINISHED: &str = "unfinished/";
/// In front of an upload's name.
const UPLOAD: &str = "unfinished/upload-";
/// Behind the name of a blob: its list.
const LIST: &str = ".list";
/// First bytes of a stored list: format version 1, then the length (8, big endian) and the hashes.
const LIST_MAGIC: &[u8; 8] = b"tblist\0\x01";

/// What the store asks of a disk: byte files in one folder and its subfolder `unfinished/`.
pub(in crate::store) trait Folder: Send + Sync {
    /// Makes an empty file, in place of any of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, in place of any of that name. Durable after [`Folder::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names below `unfinished/`, with it.
    fn unfinished(&self) -> io::Result<Vec<String>>;
    /// Names beside `unfinished/`, one by one.
    fn each(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()>;
    /// When a file's bytes were changed last.
    fn changed(&self, name: &str) -> io::Result<SystemTime>;
    /// The clock by which files are dated.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    /// Makes the names durable.
    fn sync(&self) -> io::Result<()>;
    /// Free bytes on the disk.
    fn free(&self) -> io::Result<u64>;
}

/// One file of a [`Folder`].
pub(in crate::store) trait File: Send + Sync {
    /// Its bytes.
    fn len(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset` on; a file that ends before is [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// As [`File::read_at`], past the system's cache where the disk can do that: the first `needed` bytes
    /// of an aligned `buffer` of an aligned length from an aligned offset, perhaps more.
    fn read_direct_at(&self, offset: u64, buffer: &mut [u8], needed: usize) -> io::Result<()> {
        self.read_at(offset, &mut buffer[..needed])
    }
    /// As [`File::write_at`], past the system's cache where the disk can do that: offset, length and place
    /// in memory are aligned.
    fn write_direct_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(offset, bytes)
    }
    /// Cuts it.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes everything written durable, the length included.
    fn sync(&self) -> io::Result<()>;
}

/// A blob that is whole on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub length: u64,
}

/// What a finished upload gave.
#[derive(Debug)]
pub struct Uploaded {
    /// The blob.
    pub blob: Durable<StoredBlob>,
    /// It was here already; nothing new is kept.
    pub duplicate: bool,
}

/// Why a blob could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The sender's: empty, or over the limit.
    #[error("a blob has 1 to {BLOB_BYTES_MAX} bytes")]
    Length,
    /// The sender's: a chunk or the list is not what the digest names.
    #[error("{0} is not what the digest names")]
    Digest(&'static str),
    /// The sender's: an upload under that name is going on.
    #[error("an upload under that name is going on")]
    Open,
    /// The sender's: an upload goes on at another place than where its bytes end.
    #[error("{held} bytes are here, not {offset}")]
    Offset {
        /// Bytes that are here.
        held: u64,
        /// Where the sender would have gone on.
        offset: u64,
    },
    /// Nobody's: it is not here.
    #[error("the blob is not in the folder")]
    Missing,
    /// The operator's: the disk has no room for it.
    #[error("the disk has no room for it: {free} bytes are free, {needed} are needed")]
    Full {
        /// Free bytes.
        free: u64,
        /// Needed bytes, the reserve included.
        needed: u64,
    },
    /// The disk's.
    #[error("{doing}: {source}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

fn io_error(doing: &'static str) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::Io { doing, source }
}

fn name(digest: &Digest) -> String {
    digest.to_text().replace(':', "-")
}

/// The folder of blobs. Cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    folder: Arc<dyn Folder>,
    /// Free bytes that a blob leaves on the disk: where the node takes nothing new.
    reserve: u64,
    next_upload: Arc<AtomicU64>,
    blocks: Blocks,
    /// Uploads under a name that are going on.
    named: Arc<Mutex<BTreeSet<String>>>,
}

impl std::fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStore").finish_non_exhaustive()
    }
}

impl BlobStore {
    /// Opens the folder at `path`, making it when it is missing, and removes what uploads left that a
    /// stop cut short. `reserve`: free bytes that blobs leave on the disk.
    ///
    /// # Errors
    /// When it cannot be made or listed.
    pub fn open(path: &Path, reserve: u64) -> io::Result<Self> {
        Self::over(Arc::new(files::DiskFolder::make(path)?), reserve)
    }

    pub(in crate::store) fn over(folder: Arc<dyn Folder>, reserve: u64) -> io::Result<Self> {
        let left = folder.unfinished()?;
        for name in left.iter().filter(|name| name.starts_with(UPLOAD) || parked::is_orphan(name, &left)) {
            folder.remove(name)?;
        }
        Ok(Self {
            folder,
            reserve,
            next_upload: Arc::default(),
            blocks: Blocks::default(),
            named: Arc::default(),
        })
    }

    /// The clock by which files are dated.
    pub fn now(&self) -> SystemTime {
        self.folder.now()
    }

    /// Whether the blob is whole here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.folder.open(&name(digest)).is_ok()
    }

    /// Bytes of the blob that are on this disk, verified or not.
    pub fn held_bytes(&self, digest: &Digest) -> u64 {
        let name = name(digest);
        let file = self.folder.open(&name).or_else(|_| self.folder.open(&format!("{UNFINISHED}{name}")));
        file.and_then(|file| file.len()).unwrap_or(0)
    }

    /// Whether the disk has room for `bytes` more and the reserve.
    ///
    /// # Errors
    /// [`BlobError::Full`].
    pub fn room_for(&self, bytes: u64) -> Result<(), BlobError> {
        let free = self.folder.free().map_err(io_error("ask for free space"))?;
        let needed = bytes.saturating_add(self.reserve);
        if free >= needed { Ok(()) } else { Err(BlobError::Full { free, needed }) }
    }

    /// A name that no other has, of what the next start removes.
    fn next_upload(&self) -> String {
        format!("{UPLOAD}{}", self.next_upload.fetch_add(1, Ordering::Relaxed))
    }

    /// Begins to take a file of unknown name and length.
    ///
    /// # Errors
    /// [`BlobError::Full`], or the disk's.
    pub fn upload(&self) -> Result<Upload, BlobError> {
        self.room_for(0)?;
        let name = self.next_upload();
        let file = self.folder.create(&name).map_err(io_error("make a file for an upload"))?;
        Ok(Upload {
            store: self.clone(),
            hasher: ChunkHasher::default(),
            writing: Writing::new(file, 0, BLOB_BYTES_MAX),
            unfinished: Some(name),
            parked: None,
        })
    }

    /// Goes on with a fetch, or begins it: `length` is what the entry states.
    ///
    /// # Errors
    /// [`BlobError::Length`], [`BlobError::Full`], or the disk's.
    pub fn fetch(&self, digest: Digest, length: u64) -> Result<Fetch, BlobError> {
        if !length_fits(length) {
            return Err(BlobError::Length);
        }
        let part = format!("{UNFINISHED}{}", name(&digest));
        let file = match self.folder.open(&part) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folder.create(&part).map_err(io_error("make a file for a fetch"))?
            }
            Err(error) => return Err(io_error("open an unfinished fetch")(error)),
        };
        // A list that is torn, or of another length than the entry states, is asked for again.
        let list =
            self.read_list(&format!("{part}{LIST}"), digest).ok().filter(|list| list.length() == length);
        let mut fetch = Fetch {
            store: self.clone(),
            digest,
            length,
            part,
            list,
            next: 0,
            resumed: 0,
            writing: Writing::new(file, 0, length),
            list_synced: false,
        };
        fetch.verify_what_is_here()?;
        let missing = length - (fetch.next * BLOB_CHUNK_BYTES as u64).min(length);
        self.room_for(missing)?;
        Ok(fetch)
    }

    /// Reads a blob that is whole here.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or the disk's.
    pub fn reader(&self, digest: &Digest) -> Result<BlobReader, BlobError> {
        let missing = |doing| {
            move |error: io::Error| {
                if error.kind() == io::ErrorKind::NotFound {
                    BlobError::Missing
                } else {
                    BlobError::Io { doing, source: error }
                }
            }
        };
        let name = name(digest);
        let file = self.folder.open(&name).map_err(missing("open a blob"))?;
        let list = self.read_list(&format!("{name}{LIST}"), *digest)?;
        Ok(BlobReader { file, list, blocks: self.blocks.clone() })
    }

    fn read_list(&self, name: &str, digest: Digest) -> Result<ChunkList, BlobError> {
        let file = self.folder.open(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing,
            _ => io_error("open a chunk list")(error),
        })?;
        let reading = io_error("read a chunk list");
        let bytes = file.len().map_err(&reading)?;
        let most = 16 + chunk_count(BLOB_BYTES_MAX) * 32;
        if !(16..=most).contains(&bytes) {
            return Err(BlobError::Digest("the stored list"));
        }
        let mut stored = vec![0; bytes as usize];
        file.read_at(0, &mut stored).map_err(&reading)?;
        let (head, hashes) = stored.split_at(16);
        let length = u64::from_be_bytes(head[8..].try_into().expect("16 minus 8"));
        let list = ChunkList::from_wire(digest, length, hashes);
        list.ok().filter(|_| head[..8] == LIST_MAGIC[..]).ok_or(BlobError::Digest("the stored list"))
    }

    fn write_list(&self, name: &str, list: &ChunkList) -> Result<(), BlobError> {
        let writing = io_error("write a chunk list");
        let mut stored = LIST_MAGIC.to_vec();
        stored.extend_from_slice(&list.length().to_be_bytes());
        stored.extend_from_slice(&list.to_wire());
        let file = self.folder.create(name).map_err(&writing)?;
        file.write_at(0, &stored).map_err(&writing)?;
        file.sync().map_err(&writing)
    }

    /// Gives an unfinished file, which is synced as its list is, its name for good.
    fn keep(
        &self,
        unfinished: &str,
        listed: &str,
        list: &ChunkList,
    ) -> Result<Durable<StoredBlob>, BlobError> {
        let keeping = io_error("give a blob its name");
        let (digest, length) = (list.digest(), list.length());
        let name = name(&digest);
        // The list first: where the file is, the list is. Over one that is there already goes the same.
        self.folder.rename(listed, &format!("{name}{LIST}")).map_err(&keeping)?;
        self.folder.sync().map_err(&keeping)?;
        self.folder.rename(unfinished, &name).map_err(&keeping)?;
        self.folder.sync().map_err(&keeping)?;
        Ok(Durable::vouch(StoredBlob { digest, length }))
    }

    /// Vouches for a blob that the journal knows: it was whole before it was journalled.
    ///
    /// # Errors
    /// [`BlobError::Missing`] when it is gone all the same, or the disk's.
    pub fn known(&self, digest: &Digest) -> Result<Durable<StoredBlob>, BlobError> {
        let reader = self.reader(digest)?;
        if reader.file.len().map_err(io_error("read a blob"))? != reader.length() {
            return Err(BlobError::Missing);
        }
        Ok(Durable::vouch(StoredBlob { digest: *digest, length: reader.length() }))
    }

    /// Blobs of which a file is here, the blob's or its list's, and that `is_known` does not know: at most
    /// `most` of them, in any order.
    ///
    /// # Errors
    /// The disk's, or those of `is_known`.
    pub fn unknown<E: From<io::Error>>(
        &self,
        most: usize,
        mut is_known: impl FnMut(&Digest) -> Result<bool, E>,
    ) -> Result<Vec<Digest>, E> {
        let mut unknown = Vec::new();
        let mut failed = None;
        self.folder.each(&mut |name| {
            let digest = name.strip_suffix(LIST).unwrap_or(name).replacen('-', ":", 1);
            let Ok(digest) = Digest::from_text(&digest) else { return };
            if unknown.len() == most || failed.is_some() || unknown.contains(&digest) {
                return;
            }
            match is_known(&digest) {
                Ok(true) => {}
                Ok(false) => unknown.push(digest),
                Err(error) => failed = Some(error),
            }
        })?;
        failed.map_or(Ok(unknown), Err)
    }

    /// Removes a blob that nobody wants any more, durably. One that is not here is gone already.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&self, digest: &Digest) -> Result<(), BlobError> {
        let removing = io_error("remove a blob");
        let name = name(digest);
        // The file first: where the file is, the list is.
        for name in [&name, &format!("{name}{LIST}")] {
            match self.folder.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(removing(error)),
                Ok(()) | Err(_) => {}
            }
        }
        self.folder.sync().map_err(removing)
    }

    /// Gives up a file that turned out not to be what its name says.
    ///
    /// # Errors
    /// The disk's.
    pub fn discard(&self, digest: &Digest) -> Result<(), BlobError> {
        self.folder.remove(&name(digest)).map_err(io_error("remove a damaged blob"))
    }

    /// Vouches for a blob that is whole here already, after reading and verifying all of it. For what
    /// the journal does not know: a restored journal beside a newer blob folder.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Digest`], or the disk's.
    pub fn adopt(&self, digest: &Digest) -> Result<Durable<StoredBlob>, BlobError> {
        let reader = self.reader(digest)?;
        let mut index = 0;
        while index < reader.list.chunks() {
            for chunk in reader.chunks(index, BLOB_BURST_CHUNKS)? {
                if !reader.list.holds(index, &chunk) {
                    return Err(BlobError::Digest("a stored chunk"));
                }
                index += 1;
            }
        }
        reader.file.sync().map_err(io_error("sync a blob"))?;
        self.folder.sync().map_err(io_error("sync the blob folder"))?;
        Ok(Durable::vouch(StoredBlob { digest: *digest, length: reader.length() }))
    }
}

/// A file that a business system uploads. Dropped before [`Upload::finish`], it leaves nothing.
pub struct Upload {
    store: BlobStore,
    hasher: ChunkHasher,
    writing: Writing,
    unfinished: Option<String>,
    /// What it leaves behind when it is cut off; nothing: it leaves nothing.
    parked: Option<Parked>,
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`BlobError::Length`] before anything over the limit is written, [`BlobError::Full`], or the
    /// disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let at = self.hasher.length();
        if bytes.len() as u64 > BLOB_BYTES_MAX - at {
            return Err(BlobError::Length);
        }
        self.hasher.update(bytes);
        self.writing.write(&self.store, bytes)?;
        self.park()
    }

    /// Makes the file durable under its digest.
    ///
    /// # Errors
    /// [`BlobError::Length`] when nothing was written, or the disk's.
    pub fn finish(mut self) -> Result<Uploaded, BlobError> {
        // From here on it is a blob or nothing.
        let named = self.parked.take();
        let list = std::mem::take(&mut self.hasher).finish().map_err(|_| BlobError::Length)?;
        let digest = list.digest();
        // Read and compared: whoever uploads it again may be mending what the disk lost.
        if let Ok(blob) = self.store.adopt(&digest) {
            return Ok(Uploaded { blob, duplicate: true });
        }
        self.writing.finish()?;
        let unfinished = self.unfinished.clone().expect("an upload finishes once");
        // Not over the hashes of one under a name: killed before it has its digest, it still goes on.
        let listed = format!("{}{LIST}", self.store.next_upload());
        self.store.write_list(&listed, &list)?;
        let blob = self.store.keep(&unfinished, &listed, &list)?;
        self.unfinished = None;
        if named.is_some() {
            // The next start removes what cannot be removed now.
            let _ = self.store.folder.remove(&format!("{unfinished}{LIST}"));
        }
        drop(named);
        Ok(Uploaded { blob, duplicate: false })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.parked.is_some() {
            // What cannot be written now is sent again; what cannot be synced, all of it (`Writing`).
            let _ = self.writing.flush().and_then(|()| self.writing.wait()).and_then(|()| self.park());
            return;
        }
        if let Some(unfinished) = self.unfinished.take() {
            let _ = self.store.folder.remove(&format!("{unfinished}{LIST}"));
            // The next start removes what cannot be removed now.
            let _ = self.store.folder.remove(&unfinished);
        }
    }
}

/// A blob on its way from a partner. Dropped before [`Fetch::finish`], it goes on from there later.
pub struct Fetch {
    store: BlobStore,
    digest: Digest,
    length: u64,
    part: String,
    list: Option<ChunkList>,
    next: u64,
    resumed: u64,
    writing: Writing,
    /// Its list was synced by this fetch; what a killed one left may not be.
    list_synced: bool,
}

impl Fetch {
    /// Whether the chunk list is still missing.
    pub fn needs_list(&self) -> bool {
        self.list.is_none()
    }

    /// The first chunk that is missing.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Chunks that are written: those that were taken, but for the last few that are on their way.
    pub fn written(&self) -> u64 {
        // The last one may be short.
        self.next.min(self.writing.written().div_ceil(BLOB_CHUNK_BYTES as u64))
    }

    /// Chunks that were here when it began.
    pub fn resumed(&self) -> u64 {
        self.resumed
    }

    /// All of its chunks.
    pub fn chunks(&self) -> u64 {
        chunk_count(self.length)
    }

    /// The blob that is fetched.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    fn verify_what_is_here(&mut self) -> Result<(), BlobError> {
        let Some(list) = &self.list else { return Ok(()) };
        let bytes = self.writing.file.len().map_err(io_error("read an unfinished fetch"))?;
        let mut buffer = vec![0; BLOB_CHUNK_BYTES];
        while self.next < list.chunks() {
            let size = list.chunk_bytes(self.next);
            let at = self.next * BLOB_CHUNK_BYTES as u64;
            if at + size as u64 > bytes {
                break;
            }
            let chunk = &mut buffer[..size];
            self.writing.file.read_at(at, chunk).map_err(io_error("read an unfinished fetch"))?;
            if !list.holds(self.next, chunk) {
                break;
            }
            self.next += 1;
        }
        self.resumed = self.next;
        // Behind the first gap nothing is believed.
        let good = (self.next * BLOB_CHUNK_BYTES as u64).min(self.length).min(bytes);
        self.writing.restart(good)
    }

    /// Takes the chunk list, for a blob of `length` bytes.
    ///
    /// # Errors
    /// [`BlobError::Digest`] when it is not the one that the digest names, or the disk's.
    pub fn take_list(&mut self, length: u64, wire: &[u8]) -> Result<(), BlobError> {
        let list = ChunkList::from_wire(self.digest, length, wire).ok();
        let list = list.filter(|list| list.length() == self.length);
        let list = list.ok_or(BlobError::Digest("the chunk list"))?;
        self.store.write_list(&format!("{}{LIST}", self.part), &list)?;
        (self.list, self.list_synced) = (Some(list), true);
        // Chunks that came without a list were asked for from the first one on.
        self.next = 0;
        self.writing.restart(0)
    }

    /// Verifies and writes the next chunks.
    ///
    /// # Errors
    /// [`BlobError::Digest`] for the first that is forged: it and what follows is not written.
    pub fn take_chunks(&mut self, chunks: &[Bytes]) -> Result<(), BlobError> {
        let list = self.list.as_ref().ok_or(BlobError::Digest("a chunk without a list"))?;
        let mut forged = false;
        for chunk in chunks {
            // Hashed and copied while it is in the processor's cache.
            forged = !list.holds(self.next, chunk);
            if forged {
                break;
            }
            self.writing.write(&self.store, chunk)?;
            self.next += 1;
        }
        self.writing.flush()?;
        if forged { Err(BlobError::Digest("a chunk")) } else { Ok(()) }
    }

    /// Makes the blob durable under its digest.
    ///
    /// # Errors
    /// [`BlobError::Missing`] when chunks are missing, or the disk's.
    pub fn finish(mut self) -> Result<Durable<StoredBlob>, BlobError> {
        let list = self.list.take().filter(|list| list.chunks() == self.next).ok_or(BlobError::Missing)?;
        self.writing.finish()?;
        let listed = format!("{}{LIST}", self.part);
        if !self.list_synced {
            self.store.write_list(&listed, &list)?;
        }
        self.store.keep(&self.part, &listed, &list)
    }
}

/// Reads a blob that is whole.
#[derive(Clone)]
pub struct BlobReader {
    file: Arc<dyn File>,
    list: ChunkList,
    blocks: Blocks,
}

impl BlobReader {
    /// Bytes of the blob.
    pub fn length(&self) -> u64 {
        self.list.length()
    }

    /// Its chunk list.
    pub fn list(&self) -> &ChunkList {
        &self.list
    }

    /// Up to `count` chunks from `first` on, [`BLOB_BURST_CHUNKS`] at most. They are not verified here:
    /// whoever relies on them does. They share a block, which is used again when the last one is dropped.
    ///
    /// # Errors
    /// [`BlobError::Missing`] when the file is shorter than it was, or the disk's.
    pub fn chunks(&self, first: u64, count: usize) -> Result<Vec<Bytes>, BlobError> {
        let sizes = (first..self.list.chunks()).take(count.min(BLOB_BURST_CHUNKS));
        let sizes: Vec<usize> = sizes.map(|index| self.list.chunk_bytes(index)).collect();
        let bytes: usize = sizes.iter().sum();
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let offset = first * BLOB_CHUNK_BYTES as u64;
        let mut block = self.blocks.block();
        let read = if offset >= BLOB_CACHED_BYTES {
            self.file.read_direct_at(offset, block.bytes_mut(), bytes)
        } else {
            self.file.read_at(offset, &mut block.bytes_mut()[..bytes])
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BlobError::Missing,
            _ => io_error("read a blob")(error),
        })?;
        let mut rest = block.share(bytes);
        Ok(sizes.into_iter().map(|size| rest.split_to(size)).collect())
    }
}
