//! Blobs as evidence: a file cut into chunks of 64 KiB, the list of their hashes, and the digest that
//! names the file by that list (WIRE.md §4.3).
//!
//! Whoever has the list verifies each chunk by itself, in any order: a forged chunk is found before it
//! is written, and a transfer goes on where it was cut off. The list is believed because its own hash
//! is the blob's digest. Always SHA-256, whatever the suite of a log: one file has one name.

use crate::id::{Digest, HashAlgorithm};
use crate::limits::{BLOB_BYTES_MAX, BLOB_CHUNK_BYTES};
use crate::suite::{Hash, sha256};
use ring::digest::{Context, SHA256};

/// In front of a chunk. Logs hash under 0x00 and 0x01: no leaf is ever a chunk.
const CHUNK_PREFIX: [u8; 1] = [0x02];
/// In front of a list.
const LIST_PREFIX: [u8; 1] = [0x03];

/// The hashes of a blob's chunks, and its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList {
    length: u64,
    hashes: Vec<Hash>,
}

/// Why bytes are not the chunk list of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkListError {
    /// The length is 0 or over the limit.
    #[error("a blob of {0} bytes; 1 to {BLOB_BYTES_MAX} are allowed")]
    Length(u64),
    /// Not one hash for each chunk of that length.
    #[error("the list has {0} bytes, not 32 for each chunk")]
    Count(usize),
    /// It hashes to another digest.
    #[error("the list is not the one that the digest names")]
    Digest,
}

/// Chunks of a blob of `length` bytes.
pub fn chunk_count(length: u64) -> u64 {
    length.div_ceil(BLOB_CHUNK_BYTES as u64)
}

/// Whether a blob may be that long: 1 byte to [`BLOB_BYTES_MAX`].
pub fn length_fits(length: u64) -> bool {
    (1..=BLOB_BYTES_MAX).contains(&length)
}

impl ChunkList {
    /// Reads the list of the blob that `digest` names: 32 bytes a chunk, in order.
    ///
    /// # Errors
    /// See [`ChunkListError`]; the length is checked before anything is allocated.
    pub fn from_wire(digest: Digest, length: u64, wire: &[u8]) -> Result<Self, ChunkListError> {
        if !length_fits(length) {
            return Err(ChunkListError::Length(length));
        }
        if wire.len() as u64 != chunk_count(length) * 32 {
            return Err(ChunkListError::Count(wire.len()));
        }
        let hashes = wire.chunks_exact(32).map(|hash| hash.try_into().expect("32 bytes")).collect();
        let list = Self { length, hashes };
        if list.digest() == digest { Ok(list) } else { Err(ChunkListError::Digest) }
    }

    /// 32 bytes a chunk.
    pub fn to_wire(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// The blob's name: H(0x03 ‖ length, 8 bytes big endian ‖ hashes).
    pub fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(&LIST_PREFIX);
        context.update(&self.length.to_be_bytes());
        for hash in &self.hashes {
            context.update(hash);
        }
        let bytes = context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes");
        Digest { algorithm: HashAlgorithm::Sha256, bytes }
    }

    /// Bytes of the blob.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its chunks.
    pub fn chunks(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Bytes of chunk `index`; zero beyond the end.
    pub fn chunk_bytes(&self, index: u64) -> usize {
        let start = index.saturating_mul(BLOB_CHUNK_BYTES as u64);
        usize::try_from(self.length.saturating_sub(start)).unwrap_or(usize::MAX).min(BLOB_CHUNK_BYTES)
    }

    /// Whether `bytes` are chunk `index`, whole.
    pub fn holds(&self, index: u64, bytes: &[u8]) -> bool {
        let hash = usize::try_from(index).ok().and_then(|index| self.hashes.get(index));
        bytes.len() == self.chunk_bytes(index) && hash.is_some_and(|hash| *hash == chunk_hash(bytes))
    }
}

/// H(0x02 ‖ chunk).
pub fn chunk_hash(chunk: &[u8]) -> Hash {
    sha256(&[&CHUNK_PREFIX, chunk])
}

/// Hashes a file as it comes, in pieces of any size, without keeping any of it.
pub struct ChunkHasher {
    hashes: Vec<Hash>,
    open: Context,
    /// Bytes in the open chunk.
    filled: usize,
    length: u64,
}

impl Default for ChunkHasher {
    fn default() -> Self {
        Self { hashes: Vec::new(), open: new_chunk(), filled: 0, length: 0 }
    }
}

fn new_chunk() -> Context {
    let mut context = Context::new(&SHA256);
    context.update(&CHUNK_PREFIX);
    context
}

impl ChunkHasher {
    /// Goes on behind chunks that were hashed before, all of them full.
    pub fn behind(hashes: Vec<Hash>) -> Self {
        let length = hashes.len() as u64 * BLOB_CHUNK_BYTES as u64;
        Self { hashes, length, ..Self::default() }
    }

    /// The hashes of the full chunks so far.
    pub fn full(&self) -> &[Hash] {
        &self.hashes
    }

    /// Takes the next bytes. The caller sees to the limit of the whole, by [`ChunkHasher::length`].
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOB_CHUNK_BYTES - self.filled));
            self.open.update(now);
            self.filled += now.len();
            bytes = rest;
            if self.filled == BLOB_CHUNK_BYTES {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let chunk = std::mem::replace(&mut self.open, new_chunk());
        self.hashes.push(chunk.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes"));
        self.filled = 0;
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The list of what was taken.
    ///
    /// # Errors
    /// [`ChunkListError::Length`] when that is nothing or too much.
    pub fn finish(mut self) -> Result<ChunkList, ChunkListError> {
        if self.filled > 0 {
            self.close();
        }
        if !length_fits(self.length) {
            return Err(ChunkListError::Length(self.length));
        }
        Ok(ChunkList { length: self.length, hashes: self.hashes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list_of(bytes: &[u8]) -> ChunkList {
        let mut hasher = ChunkHasher::default();
        hasher.update(bytes);
        hasher.finish().unwrap()
    }

    fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        bytes.chunks(BLOB_CHUNK_BYTES)
    }

    #[test]
    fn a_blob_is_named_by_the_words_of_the_wire_document() {
        let bytes = vec![7u8; BLOB_CHUNK_BYTES + 3];
        let hashes: Vec<u8> = chunks(&bytes).flat_map(|chunk| sha256(&[b"\x02", chunk])).collect();
        let expected = sha256(&[b"\x03", &(bytes.len() as u64).to_be_bytes(), &hashes]);
        assert_eq!(list_of(&bytes).digest().bytes, expected);
    }

    #[test]
    fn a_list_is_read_under_its_own_digest_and_length_only() {
        let list = list_of(&vec![1u8; 3 * BLOB_CHUNK_BYTES]);
        let (digest, wire) = (list.digest(), list.to_wire());
        assert_eq!(ChunkList::from_wire(digest, list.length(), &wire), Ok(list.clone()));
        assert_eq!(
            ChunkList::from_wire(digest, list.length() - 1, &wire),
            Err(ChunkListError::Digest),
            "the length is part of the name"
        );
        assert_eq!(ChunkList::from_wire(digest, list.length(), &wire[1..]), Err(ChunkListError::Count(95)));
        assert_eq!(ChunkList::from_wire(digest, 0, &[]), Err(ChunkListError::Length(0)));
        assert_eq!(
            ChunkList::from_wire(digest, BLOB_BYTES_MAX + 1, &wire),
            Err(ChunkListError::Length(BLOB_BYTES_MAX + 1))
        );
        let mut forged = wire.clone();
        forged[40] ^= 1;
        assert_eq!(ChunkList::from_wire(digest, list.length(), &forged), Err(ChunkListError::Digest));
    }

    #[test]
    fn a_chunk_holds_in_its_own_place_and_with_every_bit() {
        let mut bytes = vec![0u8; 2 * BLOB_CHUNK_BYTES + 10];
        bytes[BLOB_CHUNK_BYTES] = 1;
        let list = list_of(&bytes);
        for (index, chunk) in chunks(&bytes).enumerate() {
            assert!(list.holds(index as u64, chunk));
            assert!(!list.holds(index as u64 + 1, chunk), "in another place it is another chunk");
            let mut flipped = chunk.to_vec();
            flipped[9] ^= 0x10;
            assert!(!list.holds(index as u64, &flipped));
            assert!(!list.holds(index as u64, &chunk[1..]));
        }
        assert!(!list.holds(3, &[]) && !list.holds(u64::MAX, &[]));
    }

    #[test]
    fn nothing_is_no_blob() {
        assert_eq!(ChunkHasher::default().finish(), Err(ChunkListError::Length(0)));
    }

    proptest! {
        #[test]
        fn the_name_does_not_depend_on_how_the_bytes_came(
            length in 1usize..200_000, piece in 1usize..100_000,
        ) {
            let bytes: Vec<u8> = (0..length).map(|at| (at / 251) as u8).collect();
            let mut pieces = ChunkHasher::default();
            bytes.chunks(piece).for_each(|piece| pieces.update(piece));
            prop_assert_eq!(pieces.finish().unwrap(), list_of(&bytes));
        }
    }
}
