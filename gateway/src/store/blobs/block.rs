//! Blocks: memory for a burst of chunks, aligned as disks want it, used again and again. A large file is
//! written and read past the system's cache with them: it pushes nothing else out of it, no sync of the
//! journal waits behind its unwritten pages, and a copy of every byte is saved.

use crate::limits::{BLOB_BLOCK_BYTES, BLOB_BLOCKS_KEPT_MAX};
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// What a transfer past the cache begins and ends at, on the disk and in memory: a page, and the sector
/// of every disk in use.
pub(in crate::store) const ALIGNMENT_BYTES: usize = 4096;

/// Blocks that nobody uses now. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Blocks(Arc<Mutex<Vec<Memory>>>);

impl Blocks {
    /// A block with any bytes in it.
    pub(super) fn block(&self) -> Block {
        let kept = self.0.lock().expect("no holder of the blocks panics").pop();
        Block { memory: Some(kept.unwrap_or_else(Memory::new)), blocks: self.clone() }
    }
}

/// A block's bytes begin at the first aligned place of a longer vector, which never moves them.
struct Memory {
    bytes: Vec<u8>,
    begin: usize,
}

impl Memory {
    fn new() -> Self {
        let bytes = vec![0; BLOB_BLOCK_BYTES + ALIGNMENT_BYTES];
        let begin = bytes.as_ptr().align_offset(ALIGNMENT_BYTES);
        // Where that cannot be found out the disk takes it by way of its cache.
        Self { bytes, begin: if begin < ALIGNMENT_BYTES { begin } else { 0 } }
    }
}

/// [`BLOB_BLOCK_BYTES`] bytes; they go back when it is dropped.
pub(super) struct Block {
    memory: Option<Memory>,
    blocks: Blocks,
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        let memory = self.memory.as_ref().expect("a block has its memory until it is dropped");
        &memory.bytes[memory.begin..memory.begin + BLOB_BLOCK_BYTES]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let memory = self.memory.as_mut().expect("a block has its memory until it is dropped");
        &mut memory.bytes[memory.begin..memory.begin + BLOB_BLOCK_BYTES]
    }

    /// Its first bytes, to be handed out in parts; the block goes back when the last part is dropped.
    pub(super) fn share(self, length: usize) -> Bytes {
        Bytes::from_owner(Shared(self)).slice(..length)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let (Some(memory), Ok(mut kept)) = (self.memory.take(), self.blocks.0.lock())
            && kept.len() < BLOB_BLOCKS_KEPT_MAX
        {
            kept.push(memory);
        }
    }
}

struct Shared(Block);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_used_again_when_the_last_part_is_gone() {
        let blocks = Blocks::default();
        let mut block = blocks.block();
        assert_eq!(block.bytes().as_ptr().align_offset(ALIGNMENT_BYTES), 0);
        block.bytes_mut()[..4].copy_from_slice(b"abcd");
        let whole = block.share(4);
        let part = whole.slice(1..3);
        drop(whole);
        assert_eq!((&part[..], blocks.0.lock().unwrap().len()), (&b"bc"[..], 0));
        drop(part);
        assert_eq!(blocks.0.lock().unwrap().len(), 1);
        let _again = blocks.block();
        assert_eq!(blocks.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let blocks = Blocks::default();
        let many: Vec<_> = (0..2 * BLOB_BLOCKS_KEPT_MAX).map(|_| blocks.block()).collect();
        drop(many);
        assert_eq!(blocks.0.lock().unwrap().len(), BLOB_BLOCKS_KEPT_MAX);
    }
}
