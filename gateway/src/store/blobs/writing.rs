//! A file of the blob folder that is being written from its beginning to its end: block by block, and
//! synced beside it every now and then.

use super::block::{ALIGNMENT_BYTES, Block};
use super::{BlobError, BlobStore, File, io_error};
use crate::limits::{BLOB_BLOCK_BYTES, BLOB_CACHED_BYTES, BLOB_SYNC_BYTES};
use std::io;
use std::sync::Arc;
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
    /// A sync that runs beside the writing. Its failure must not be lost: the next sync would say
    /// nothing of it.
    sync: Option<JoinHandle<io::Result<()>>>,
}

impl Writing {
    /// Writes from byte `at` on.
    pub(super) fn new(file: Arc<dyn File>, at: u64, length_max: u64) -> Self {
        Self { file, at, block: None, filled: 0, length_max, room_checked: at, unsynced: 0, sync: None }
    }

    /// Cuts the file and goes on from there. Nothing is open.
    pub(super) fn restart(&mut self, at: u64) -> Result<(), BlobError> {
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

    /// Writes what is open.
    pub(super) fn flush(&mut self) -> Result<(), BlobError> {
        let Some(block) = self.block.as_ref().filter(|_| self.filled > 0) else { return Ok(()) };
        let filled = &block.bytes()[..self.filled];
        let past_cache = self.at >= BLOB_CACHED_BYTES && self.at.is_multiple_of(ALIGNMENT_BYTES as u64);
        let aligned = if past_cache { self.filled - self.filled % ALIGNMENT_BYTES } else { 0 };
        let (direct, cached) = filled.split_at(aligned);
        if !direct.is_empty() {
            self.file.write_direct_at(self.at, direct).map_err(io_error("write a blob"))?;
        }
        if !cached.is_empty() {
            let at = self.at + aligned as u64;
            self.file.write_at(at, cached).map_err(io_error("write a blob"))?;
        }
        self.at += self.filled as u64;
        self.unsynced += self.filled as u64;
        self.filled = 0;
        self.sync_beside()
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
        outcome.map_err(io_error("sync a blob"))
    }

    /// Writes the rest and makes all of it durable.
    pub(super) fn finish(&mut self) -> Result<(), BlobError> {
        self.flush()?;
        self.block = None;
        self.join()?;
        self.file.sync().map_err(io_error("sync a blob"))
    }
}
