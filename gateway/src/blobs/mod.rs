//! Blobs in motion: uploads and reads of the own business systems, fetches from partners, and what
//! partners fetch here.
//!
//! [`run`] holds the one task that decides what is fetched next (`planner`); a bulk link (`link::bulk`) carries it out
//! with `fetch` and answers partners with `serve`. What is whole is told to the committer, which
//! journals it and writes the receipts. The rules are `service::blob`'s, the disk is `store::blobs`'.

pub(crate) mod fetch;
mod mend;
mod planner;
pub(crate) mod serve;
mod sweep;

use crate::archive::{Archive, ArchiveError};
use crate::chunks::chunk_count;
use crate::committer::{Command, CommitterHandle, Snapshot, rows};
use crate::id::{Digest, NodeId};
use crate::limits::{BLOB_BURST_CHUNKS, BLOB_CHUNK_BYTES, BLOB_UPLOADS_MAX, RETRY_SPACE_MILLIS};
use crate::link::Links;
use crate::measure::Measures;
use crate::overload::disk::{DiskState, DiskUse};
use crate::refusal::{Refusal, RefusalCode};
use crate::store::blobs::{BlobError, BlobReader, BlobStore, StoredBlob, Upload, Uploaded};
use crate::store::index::prefix_end;
use crate::store::{Direction, Durable, Table};
use crate::threads::Threads;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock as Shared};
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore};
use tokio::task::JoinHandle;

/// Bytes of one write or read on a blocking thread.
const BURST_BYTES: usize = BLOB_BURST_CHUNKS * BLOB_CHUNK_BYTES;

/// The blobs of a node.
pub struct Blobs {
    store: BlobStore,
    archive: Arc<Archive>,
    committer: CommitterHandle,
    snapshot: Arc<Shared<Snapshot>>,
    measures: Arc<Measures>,
    /// Where files are written and read.
    threads: Threads,
    /// Uploads and reads at once.
    places: Arc<Semaphore>,
    /// Held, with others, from the look at a file that is whole until it is journalled; held alone while
    /// files are removed.
    keeping: RwLock<()>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs").finish_non_exhaustive()
    }
}

/// Fetches what entries name, and gives up what none does, until the node stops.
pub async fn run(links: Arc<Links>, blobs: Arc<Blobs>) {
    let (clock, bells) = (Arc::clone(&links.clock), Arc::clone(&links.bells));
    tokio::select! {
        biased;
        () = planner::run(links, Arc::clone(&blobs)) => {}
        () = sweep::run(clock, blobs, bells) => {}
    }
}

/// What went wrong, as callers and partners hear it. The log hears the rest.
pub(crate) fn refusal(error: &BlobError) -> Refusal {
    let code = match error {
        BlobError::Length => RefusalCode::BlobTooLarge,
        BlobError::Digest(_) => RefusalCode::BlobDigest,
        BlobError::Missing => RefusalCode::BlobMissing,
        BlobError::Open => RefusalCode::BlobUploadOpen,
        BlobError::Offset { .. } => RefusalCode::BlobUploadOffset,
        BlobError::Full { .. } => RefusalCode::StoreFull,
        BlobError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            RefusalCode::StoreFull
        }
        BlobError::Io { .. } => RefusalCode::BlobDisk,
    };
    if matches!(error, BlobError::Io { .. }) {
        tracing::error!(%error, "the blob folder cannot be used");
    }
    if code == RefusalCode::StoreFull {
        return Refusal::retry_after(code, RETRY_SPACE_MILLIS, &error.to_string());
    }
    Refusal::new(code, error.to_string())
}

/// Runs what reads or writes the disk where that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    threads: Threads,
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, Refusal> {
    match threads.begin(work).await {
        Ok(done) => done.map_err(|error| refusal(&error)),
        Err(_) => Err(RefusalCode::StoreUnknown.into()),
    }
}

impl Blobs {
    /// The blobs in that folder.
    pub fn new(
        store: BlobStore,
        archive: Arc<Archive>,
        committer: CommitterHandle,
        snapshot: Arc<Shared<Snapshot>>,
        measures: Arc<Measures>,
        threads: Threads,
    ) -> Self {
        let places = Arc::new(Semaphore::new(BLOB_UPLOADS_MAX));
        Self { store, archive, committer, snapshot, measures, threads, places, keeping: RwLock::default() }
    }

    /// What the node's disk has room for.
    fn disk(&self) -> DiskState {
        self.snapshot.read().expect("no holder of the snapshot panics").disk
    }

    /// Bytes of the blob on this disk, verified or not.
    pub fn held_bytes(&self, digest: &Digest) -> u64 {
        self.store.held_bytes(digest)
    }

    /// Whether an entry to `peer` names the blob.
    fn was_sent(&self, peer: NodeId, digest: &Digest) -> Result<bool, ArchiveError> {
        let prefix = rows::blob_names_out_to(digest, peer);
        let end = prefix_end(&prefix);
        let first = self.archive.index().range(Table::Blob, &prefix, &end, 1, Direction::Ascending)?;
        Ok(!first.is_empty())
    }

    /// Tells the committer that a blob is whole, until every entry that names it has its receipt.
    async fn stored(&self, blob: &Durable<StoredBlob>, uploaded: bool) -> Result<(), Refusal> {
        loop {
            let blob = blob.clone();
            let more = self.committer.ask_patiently(|reply| Command::BlobStored { blob, uploaded, reply });
            if !more.await? {
                return Ok(());
            }
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| RefusalCode::Overloaded.into())
    }

    /// Begins to take a file from a business system.
    ///
    /// # Errors
    /// `node.overloaded` when as many are on their way as may be, `store.full`, or the disk's.
    pub async fn upload(self: &Arc<Self>) -> Result<BlobUpload, Refusal> {
        self.begin(BlobStore::upload).await
    }

    /// Goes on with an upload under a name from byte `offset` on, or begins it at 0. When it is cut off,
    /// what came is kept for a day.
    ///
    /// # Errors
    /// As [`Blobs::upload`]; `blob.upload_open` while it is going on, `blob.upload_offset` when its bytes
    /// here end elsewhere.
    pub async fn upload_named(self: &Arc<Self>, name: String, offset: u64) -> Result<BlobUpload, Refusal> {
        self.begin(move |store| store.upload_named(&name, offset)).await
    }

    /// Bytes of the unfinished upload under that name that are here.
    ///
    /// # Errors
    /// `store.unknown` when the process is at its end.
    pub async fn upload_held(&self, name: String) -> Result<u64, Refusal> {
        let store = self.store.clone();
        blocking(self.threads, move || Ok(store.upload_held(&name))).await
    }

    async fn begin(
        self: &Arc<Self>,
        begin: impl FnOnce(&BlobStore) -> Result<Upload, BlobError> + Send + 'static,
    ) -> Result<BlobUpload, Refusal> {
        let place = self.place()?;
        if !self.disk().admits(DiskUse::Take) {
            return Err(Refusal::retry_after(RefusalCode::StoreFull, RETRY_SPACE_MILLIS, "the disk is low"));
        }
        let store = self.store.clone();
        let upload = blocking(self.threads, move || begin(&store)).await?;
        Ok(BlobUpload {
            blobs: Arc::clone(self),
            idle: Some(upload),
            writing: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            _place: place,
        })
    }

    /// Begins to give a blob that is whole here, from byte `offset` on.
    ///
    /// # Errors
    /// `blob.unknown`, `blob.missing`, `request.invalid` for an offset beyond the end, `node.overloaded`.
    pub async fn read(&self, digest: Digest, offset: u64) -> Result<BlobParts, Refusal> {
        let place = self.place()?;
        let row = self.archive.index().get(Table::Blob, &rows::blob(&digest));
        let known = row.map_err(|error| Refusal::new(RefusalCode::StoreDamaged, error.to_string()))?;
        if known.is_none() {
            return Err(Refusal::new(RefusalCode::BlobUnknown, digest.to_text()));
        }
        let store = self.store.clone();
        let reader = blocking(self.threads, move || store.reader(&digest)).await?;
        if offset > reader.length() {
            return Err(Refusal::new(RefusalCode::BadRequest, format!("offset={offset}")));
        }
        Ok(BlobParts { reader, threads: self.threads, at: offset, ready: VecDeque::new(), _place: place })
    }
}

/// A file that a business system uploads. It is written while the next part arrives.
pub struct BlobUpload {
    blobs: Arc<Blobs>,
    idle: Option<Upload>,
    writing: Option<JoinHandle<Result<Upload, BlobError>>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    _place: OwnedSemaphorePermit,
}

impl BlobUpload {
    /// Takes the next part.
    ///
    /// # Errors
    /// `blob.too_large`, `store.full`, or the disk's; nothing is kept then.
    pub async fn write(&mut self, part: Bytes) -> Result<(), Refusal> {
        self.waiting_bytes += part.len();
        self.waiting.push(part);
        if self.waiting_bytes >= BURST_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn idle(&mut self) -> Result<Upload, Refusal> {
        if let Some(writing) = self.writing.take() {
            return blocking_outcome(writing).await;
        }
        self.idle.take().ok_or_else(|| RefusalCode::StoreUnknown.into())
    }

    async fn flush(&mut self) -> Result<(), Refusal> {
        let mut upload = self.idle().await?;
        let parts = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.writing = Some(
            self.blobs
                .threads
                .begin(move || parts.iter().try_for_each(|part| upload.write(part)).map(|()| upload)),
        );
        Ok(())
    }

    /// Makes the file durable and says its name. `duplicate`: it was here already.
    ///
    /// # Errors
    /// As [`BlobUpload::write`].
    pub async fn finish(mut self) -> Result<(StoredBlob, bool), Refusal> {
        self.flush().await?;
        let upload = self.idle().await?;
        let blobs = Arc::clone(&self.blobs);
        // A caller that goes away leaves no file that the journal does not know.
        let finished = tokio::spawn(async move {
            let _place = self;
            let _keeping = blobs.keeping.read().await;
            let Uploaded { blob, duplicate } = blocking(blobs.threads, move || upload.finish()).await?;
            blobs.measures.blob_bytes_uploaded.fetch_add(blob.length, Ordering::Relaxed);
            blobs.stored(&blob, true).await?;
            tracing::info!(digest = blob.digest.to_text(), bytes = blob.length, duplicate, "blob uploaded");
            Ok((*blob, duplicate))
        });
        finished.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
    }
}

async fn blocking_outcome<T>(work: JoinHandle<Result<T, BlobError>>) -> Result<T, Refusal> {
    match work.await {
        Ok(done) => done.map_err(|error| refusal(&error)),
        Err(_) => Err(RefusalCode::StoreUnknown.into()),
    }
}

impl Drop for BlobUpload {
    fn drop(&mut self) {
        // What was taken and not written yet is written, if the upload is one that goes on later. Its end
        // writes and waits for the disk, so it is on a thread that may block.
        let parts = std::mem::take(&mut self.waiting);
        let (idle, writing) = (self.idle.take(), self.writing.take());
        if idle.is_none() && writing.is_none() {
            return;
        }
        let threads = self.blobs.threads;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let upload = match (idle, writing) {
                    (Some(upload), _) => Some(upload),
                    (None, Some(writing)) => blocking_outcome(writing).await.ok(),
                    (None, None) => None,
                };
                if let Some(mut upload) = upload {
                    let rest = move || parts.iter().try_for_each(|part| upload.write(part));
                    // What cannot be written is sent again.
                    let _ = blocking(threads, rest).await;
                }
            });
        }
    }
}

/// A blob that is read, part by part.
pub struct BlobParts {
    reader: BlobReader,
    threads: Threads,
    at: u64,
    ready: VecDeque<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl BlobParts {
    /// Bytes of the whole blob.
    pub fn length(&self) -> u64 {
        self.reader.length()
    }

    /// The next part with its offset, at most 64 KiB; nothing at the end.
    ///
    /// # Errors
    /// `blob.digest` when the disk gives other bytes than were stored, `blob.missing` when it gives none.
    pub async fn next(&mut self) -> Result<Option<(u64, Bytes)>, Refusal> {
        if self.ready.is_empty() {
            let first = self.at / BLOB_CHUNK_BYTES as u64;
            if self.at >= self.length() || first >= chunk_count(self.length()) {
                return Ok(None);
            }
            let reader = self.reader.clone();
            let chunks = blocking(self.threads, move || {
                let chunks = reader.chunks(first, BLOB_BURST_CHUNKS)?;
                let holds = |(place, chunk): (u64, &Bytes)| reader.list().holds(first + place, chunk);
                if (0..).zip(&chunks).all(holds) {
                    Ok(chunks)
                } else {
                    Err(BlobError::Digest("a stored chunk"))
                }
            });
            self.ready = chunks.await?.into();
        }
        let Some(mut part) = self.ready.pop_front() else { return Ok(None) };
        let within = (self.at % BLOB_CHUNK_BYTES as u64) as usize;
        let part = part.split_off(within.min(part.len()));
        let offset = self.at;
        self.at += part.len() as u64;
        Ok(Some((offset, part)))
    }
}
