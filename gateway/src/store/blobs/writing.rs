//! A file of the blob folder that is being written from its beginning to its end: block by block, each
//! while the next one is hashed, and synced beside it every now and then.

use super::block::{ALIGNMENT_BYTES, Block};
use super::{BlobError, BlobStore, File, io_error};
use crate::limits::{BLOB_BLOCK_BYTES, BLOB_CACHED_BYTES, BLOB_SYNC_BYTES};
use crate::mutant::{Mutant, is_planted};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

pub(super) struct Writing {
    pub(super) file: Arc<dyn File>,
    /// Where the open block begins.
    at: u64,
    /// What was taken and not written yet; its first bytes.
    block: Option<Block>,
    filled: usize,
    /// Bytes that will be in it at most.
    length_max: u64,
    /// Up to here the disk was asked for room: others take of it meanwhile.
    room_checked: u64,
    unsynced: u64,
    /// Writes one block past the cache while the next one fills; from the first such block on.
    beside: Option<Beside>,
    /// A sync that runs beside the writing. Its failure must not be lost: the next sync would say
    /// nothing of it.
    sync: Option<JoinHandle<io::Result<()>>>,
}

impl Writing {
    /// Writes from byte `at` on.
    pub(super) fn new(file: Arc<dyn File>, at: u64, length_max: u64) -> Self {
        Self {
            file,
            at,
            block: None,
            filled: 0,
            length_max,
            room_checked: at,
            unsynced: 0,
            beside: None,
            sync: None,
        }
    }

    /// Cuts the file and goes on from there.
    pub(super) fn restart(&mut self, at: u64) -> Result<(), BlobError> {
        self.wait()?;
        (self.at, self.filled) = (at, 0);
        self.file.truncate(at).map_err(io_error("cut an unfinished file"))
    }

    /// Takes the next bytes; they are written with their block.
    pub(super) fn write(&mut self, store: &BlobStore, mut bytes: &[u8]) -> Result<(), BlobError> {
        let end = self.at + self.filled as u64 + bytes.len() as u64;
        if end > self.room_checked {
            let ahead = self.length_max.min(end + BLOB_SYNC_BYTES) - self.at;
            store.room_for(ahead)?;
            self.room_checked = self.at + ahead;
        }
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOB_BLOCK_BYTES - self.filled));
            let block = self.block.get_or_insert_with(|| store.blocks.block());
            block.bytes_mut()[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            if self.filled == BLOB_BLOCK_BYTES {
                self.flush()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Up to here everything is written.
    pub(super) fn written(&self) -> u64 {
        let open = self.beside.as_ref().and_then(|beside| beside.writes);
        open.unwrap_or(self.at)
    }

    /// Writes what is open. The last block of it may be on its way still: see [`Writing::written`].
    pub(super) fn flush(&mut self) -> Result<(), BlobError> {
        let filled = std::mem::take(&mut self.filled);
        let Some(block) = self.block.take().filter(|_| filled > 0) else { return Ok(()) };
        let past_cache = self.at >= BLOB_CACHED_BYTES && self.at.is_multiple_of(ALIGNMENT_BYTES as u64);
        let aligned = if past_cache { filled - filled % ALIGNMENT_BYTES } else { 0 };
        if aligned < filled {
            let at = self.at + aligned as u64;
            let cached = &block.bytes()[aligned..filled];
            self.file.write_at(at, cached).map_err(io_error("write a blob"))?;
        }
        if aligned > 0 {
            self.wait()?;
            if self.beside.is_none() {
                let beside = Beside::start(Arc::clone(&self.file));
                self.beside = Some(beside.map_err(io_error("start a writer"))?);
            }
            let beside = self.beside.as_mut().expect("it was just started");
            beside.write(self.at, block, aligned).map_err(io_error("write a blob"))?;
        }
        self.at += filled as u64;
        self.unsynced += filled as u64;
        self.sync_beside()
    }

    /// Waits for the block that is on its way.
    pub(super) fn wait(&mut self) -> Result<(), BlobError> {
        self.beside.as_mut().map_or(Ok(()), Beside::wait).map_err(io_error("write a blob"))
    }

    fn sync_beside(&mut self) -> Result<(), BlobError> {
        if self.unsynced >= BLOB_SYNC_BYTES && self.sync.as_ref().is_none_or(JoinHandle::is_finished) {
            self.join()?;
            self.unsynced = 0;
            let file = Arc::clone(&self.file);
            let thread = std::thread::Builder::new().name("blob-sync".into());
            self.sync = Some(thread.spawn(move || file.sync()).map_err(io_error("start a sync"))?);
        }
        Ok(())
    }

    fn join(&mut self) -> Result<(), BlobError> {
        let Some(sync) = self.sync.take() else { return Ok(()) };
        let outcome = sync.join().unwrap_or_else(|_| Err(io::Error::other("the sync panicked")));
        self.trusted(outcome)
    }

    /// After a sync that failed, what is read from the file may be the system's memory of it and nothing
    /// that the disk has, and the next sync would say nothing of that: whoever goes on later finds nothing.
    fn trusted(&self, synced: io::Result<()>) -> Result<(), BlobError> {
        if synced.is_err() {
            // What cannot even be cut is on a disk that gives errors to whoever reads it.
            let _ = self.file.truncate(0);
        }
        synced.map_err(io_error("sync a blob"))
    }

    /// Writes the rest and makes all of it durable.
    pub(super) fn finish(&mut self) -> Result<(), BlobError> {
        self.flush()?;
        self.wait()?;
        self.join()?;
        if is_planted(Mutant::SkipBlobSync) {
            return Ok(());
        }
        self.trusted(self.file.sync())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // No block may come behind the cut of a file that is not trusted.
        self.beside = None;
        // A file that goes on later is cut here if its last sync failed.
        let _ = self.join();
    }
}

/// A thread that writes one block at a time.
struct Beside {
    blocks: Option<Sender<(u64, Block, usize)>>,
    outcomes: Receiver<io::Result<()>>,
    /// Where the block begins that is on its way.
    writes: Option<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    fn start(file: Arc<dyn File>) -> io::Result<Self> {
        let (blocks, written) = channel::<(u64, Block, usize)>();
        let (done, outcomes) = channel();
        let thread = std::thread::Builder::new().name("blob-write".into()).spawn(move || {
            while let Ok((at, block, bytes)) = written.recv() {
                let outcome = file.write_direct_at(at, &block.bytes()[..bytes]);
                if done.send(outcome).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { blocks: Some(blocks), outcomes, writes: None, thread: Some(thread) })
    }

    fn write(&mut self, at: u64, block: Block, bytes: usize) -> io::Result<()> {
        let gone = || io::Error::other("the writer is gone");
        self.blocks.as_ref().ok_or_else(gone)?.send((at, block, bytes)).map_err(|_| gone())?;
        self.writes = Some(at);
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        if self.writes.is_none() {
            return Ok(());
        }
        let outcome = self.outcomes.recv().map_err(|_| io::Error::other("the writer is gone"))?;
        match outcome {
            Ok(()) => self.writes = None,
            // The file ends before that block for good: nothing more is taken.
            Err(_) => self.blocks = None,
        }
        outcome
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Whoever opens the file next finds nobody writing to it.
        self.blocks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
