//! Uploads under a name of their sender's choice: one that is cut off, by the death of either side, goes on
//! where it was.
//!
//! Beside the file stand the hashes of the full chunks that are written. When it goes on, as much is
//! believed as hashes to them, from the beginning to the first that does not: so nothing has to be synced
//! or written in an order for it, and what a power cut or a rotten disk took is sent again.

use super::writing::Writing;
use super::{BlobError, BlobStore, File, LIST, Upload, io_error};
use crate::chunks::{ChunkHasher, chunk_hash};
use crate::limits::{
    BLOB_BURST_CHUNKS, BLOB_BYTES_MAX, BLOB_CHUNK_BYTES, BLOB_UPLOAD_PARKED_MILLIS_MAX,
    BLOB_UPLOADS_PARKED_MAX,
};
use crate::suite::{Hash, sha256};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// In front of the name of an upload that is kept.
const NAMED: &str = "unfinished/named-";
/// Bytes of a hash in the list.
const HASH_BYTES: usize = 32;

/// The hashes beside an upload, and its place among those that are going on.
pub(super) struct Parked {
    hashes: Arc<dyn File>,
    marked: usize,
    _claim: Claim,
}

/// The right to write an upload; it goes with whoever drops it.
struct Claim {
    named: Arc<Mutex<BTreeSet<String>>>,
    part: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Ok(mut named) = self.named.lock() {
            named.remove(&self.part);
        }
    }
}

/// Its file: the sender's name is any text.
fn part(name: &str) -> String {
    let hash = sha256(&[b"tongban upload ", name.as_bytes()]);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{NAMED}{hex}")
}

/// Whether it is the hashes of an upload that has its digest for a name by now.
pub(super) fn is_orphan(name: &str, left: &[String]) -> bool {
    let part = name.strip_prefix(NAMED).and(name.strip_suffix(LIST));
    part.is_some_and(|part| !left.iter().any(|left| left == part))
}

impl BlobStore {
    /// Bytes of the upload under that name that are here, not verified; zero when there is none.
    pub fn upload_held(&self, name: &str) -> u64 {
        let part = part(name);
        let length = |name: &str| self.folder.open(name).and_then(|file| file.len()).unwrap_or(0);
        let hashes = length(&format!("{part}{LIST}")) / HASH_BYTES as u64;
        (length(&part) / BLOB_CHUNK_BYTES as u64).min(hashes) * BLOB_CHUNK_BYTES as u64
    }

    /// Goes on with the upload under that name from byte `offset` on, which is where its verified bytes
    /// end, or begins it anew at 0.
    ///
    /// # Errors
    /// [`BlobError::Open`], [`BlobError::Offset`], [`BlobError::Full`], or the disk's.
    pub fn upload_named(&self, name: &str, offset: u64) -> Result<Upload, BlobError> {
        self.room_for(0)?;
        let part = part(name);
        let claim = {
            let mut named = self.named.lock().expect("no holder of the uploads panics");
            if !named.insert(part.clone()) {
                return Err(BlobError::Open);
            }
            Claim { named: Arc::clone(&self.named), part: part.clone() }
        };
        self.forget_parked(self.now())?;
        let listed = format!("{part}{LIST}");
        let (file, hashes) = if offset == 0 {
            (self.folder.create(&part), self.folder.create(&listed))
        } else {
            (self.folder.open(&part), self.folder.open(&listed))
        };
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Offset { held: 0, offset },
            _ => io_error("open an unfinished upload")(error),
        };
        let (file, hashes) = (file.map_err(missing)?, hashes.map_err(missing)?);
        let known = self.verified(&*file, &*hashes).map_err(io_error("read an unfinished upload"))?;
        let held = known.len() as u64 * BLOB_CHUNK_BYTES as u64;
        // What does not hold is not counted when its sender asks again.
        let cutting = io_error("cut an unfinished upload");
        hashes.truncate((known.len() * HASH_BYTES) as u64).map_err(&cutting)?;
        file.truncate(held).map_err(&cutting)?;
        if offset != held {
            return Err(BlobError::Offset { held, offset });
        }
        Ok(Upload {
            store: self.clone(),
            parked: Some(Parked { hashes, marked: known.len(), _claim: claim }),
            hasher: ChunkHasher::behind(known),
            writing: Writing::new(file, held, BLOB_BYTES_MAX),
            unfinished: Some(part),
        })
    }

    /// The hashes of the chunks, from the first on, that are as their hashes say.
    fn verified(&self, file: &dyn File, hashes: &dyn File) -> io::Result<Vec<Hash>> {
        let count = (file.len()? / BLOB_CHUNK_BYTES as u64).min(hashes.len()? / HASH_BYTES as u64);
        let count =
            usize::try_from(count.min(BLOB_BYTES_MAX / BLOB_CHUNK_BYTES as u64)).expect("2 GiB of chunks");
        let mut said = vec![0; count * HASH_BYTES];
        hashes.read_at(0, &mut said)?;
        let said: Vec<Hash> =
            said.chunks_exact(HASH_BYTES).map(|hash| hash.try_into().expect("32 bytes")).collect();
        let mut known = Vec::with_capacity(count);
        let mut block = self.blocks.block();
        for burst in said.chunks(BLOB_BURST_CHUNKS) {
            let bytes = &mut block.bytes_mut()[..burst.len() * BLOB_CHUNK_BYTES];
            file.read_at((known.len() * BLOB_CHUNK_BYTES) as u64, bytes)?;
            for (hash, chunk) in burst.iter().zip(bytes.chunks_exact(BLOB_CHUNK_BYTES)) {
                if *hash != chunk_hash(chunk) {
                    return Ok(known);
                }
                known.push(*hash);
            }
        }
        Ok(known)
    }

    /// Removes unfinished uploads that nobody went on with for
    /// [`BLOB_UPLOAD_PARKED_MILLIS_MAX`], and the oldest beyond [`BLOB_UPLOADS_PARKED_MAX`].
    ///
    /// # Errors
    /// The disk's.
    pub fn forget_parked(&self, now: SystemTime) -> Result<(), BlobError> {
        let forgetting = io_error("remove an unfinished upload");
        let mut parked = Vec::new();
        for name in self.folder.unfinished().map_err(&forgetting)? {
            if name.starts_with(NAMED) && !name.ends_with(LIST) {
                parked.push((self.folder.changed(&name).unwrap_or(now), name));
            }
        }
        parked.sort();
        let many = parked.len().saturating_sub(BLOB_UPLOADS_PARKED_MAX);
        let age_max = Duration::from_millis(BLOB_UPLOAD_PARKED_MILLIS_MAX);
        for (place, (changed, name)) in parked.into_iter().enumerate() {
            let is_old = now.duration_since(changed).is_ok_and(|age| age > age_max);
            let named = self.named.lock().expect("no holder of the uploads panics");
            if (place < many || is_old) && !named.contains(&name) {
                self.folder.remove(&name).map_err(&forgetting)?;
                let _ = self.folder.remove(&format!("{name}{LIST}"));
            }
        }
        Ok(())
    }
}

impl Upload {
    /// Notes the hashes of the full chunks that are written by now, when it is to be kept.
    pub(super) fn park(&mut self) -> Result<(), BlobError> {
        let Some(parked) = &mut self.parked else { return Ok(()) };
        let full = self.hasher.full();
        let written = usize::try_from(self.writing.written() / BLOB_CHUNK_BYTES as u64).unwrap_or(usize::MAX);
        let until = written.min(full.len());
        if until > parked.marked {
            let hashes = full[parked.marked..until].concat();
            let at = (parked.marked * HASH_BYTES) as u64;
            parked.hashes.write_at(at, &hashes).map_err(io_error("note an upload's hashes"))?;
            parked.marked = until;
        }
        Ok(())
    }
}
