//! Gives up uploads that no entry ever named, so that what a business system puts and forgets does not
//! fill the disk. The committer judges, in one order with the submissions that may name them: here is
//! only found what may be old enough, and removed what was given up.
//!
//! Once after each start it removes files that no fact names: a crash between a blob's last rename and the
//! commit that knows of it leaves one, whole and unknown, and its sender heard of no success. Not before
//! every partner was met, whose copies may bring back entries that name such a file; and each is looked at
//! again while nobody can be between a rename and its commit.
//!
//! A crash after the journal knows that an upload is given up leaves its file and a row that says so;
//! the next sweep removes both. A crash after the file is gone leaves the row alone. Whoever uploads the
//! file again in between finds it, or brings it.

use super::{Blobs, blocking};
use crate::clock::Clock;
use crate::committer::bells::{Bells, Topic};
use crate::committer::{Command, rows};
use crate::id::{Digest, NodeId};
use crate::limits::{BLOB_SWEEP_MILLIS, BLOB_SWEEP_PAGE_MAX, BLOB_UNNAMED_MILLIS_MAX};
use crate::refusal::{Refusal, RefusalCode};
use crate::store::blobs::BlobError;
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use crate::time::UnixMillis;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Sweeps every now and then, and once after the start removes what no fact names.
pub(super) async fn run(clock: Arc<dyn Clock>, blobs: Arc<Blobs>, bells: Arc<Bells>) {
    tokio::join!(now_and_then(clock, &blobs), after_the_start(&blobs, &bells));
}

async fn after_the_start(blobs: &Arc<Blobs>, bells: &Arc<Bells>) {
    let partners = blobs.partners();
    let listener = bells.listen(partners.into_iter().map(Topic::Peer));
    while !blobs.has_met_all() {
        if listener.rung().await.is_err() {
            return;
        }
    }
    match blobs.remove_unknown().await {
        Ok(0) => {}
        Ok(removed) => {
            tracing::info!(removed, "files that no entry or upload of the journal names are removed")
        }
        Err(refusal) => tracing::warn!(code = %refusal.code, detail = refusal.detail,
            "files that nobody knows cannot be removed until the next start"),
    }
}

async fn now_and_then(clock: Arc<dyn Clock>, blobs: &Arc<Blobs>) {
    loop {
        tokio::time::sleep(Duration::from_millis(BLOB_SWEEP_MILLIS)).await;
        let store = blobs.store.clone();
        let forgotten = blocking(blobs.threads, move || store.forget_parked(store.now())).await;
        if let Err(refusal) = blobs.sweep(clock.now()).await.and(forgotten) {
            tracing::warn!(code = %refusal.code, detail = refusal.detail,
                "uploads that no entry names cannot be given up yet");
        }
    }
}

impl Blobs {
    fn partners(&self) -> Vec<NodeId> {
        self.snapshot.read().expect("no holder of the snapshot panics").out.keys().copied().collect()
    }

    /// Whether every partner has stated its copy since the start: no own entry can come back that this node
    /// does not know.
    fn has_met_all(&self) -> bool {
        let snapshot = self.snapshot.read().expect("no holder of the snapshot panics");
        snapshot.out.values().all(|log| log.contacted)
    }

    /// Removes files that no fact names, and says how many blobs they were. To be called when every partner
    /// was met.
    ///
    /// # Errors
    /// The disk's; what is left over goes after the next start.
    pub async fn remove_unknown(self: &Arc<Self>) -> Result<u64, Refusal> {
        let mut removed = 0;
        loop {
            let blobs = Arc::clone(self);
            let found = self
                .threads
                .begin(move || blobs.store.unknown(BLOB_SWEEP_PAGE_MAX, |digest| blobs.is_known(digest)));
            let found = found.await.unwrap_or_else(|_| Err(io::Error::other("the search panicked")));
            let found = found.map_err(|error| Refusal::new(RefusalCode::BlobDisk, error.to_string()))?;
            if found.is_empty() {
                return Ok(removed);
            }
            // Once begun it goes through: who stops waiting must not let others at files that still go.
            let removing = Arc::clone(self);
            let gone = tokio::spawn(async move { removing.remove_if_unknown(found).await });
            let gone = gone.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
            removed += gone;
            if gone == 0 {
                // Somebody has come to know all of them meanwhile; the next look finds others, or none.
                return Ok(removed);
            }
        }
    }

    async fn remove_if_unknown(self: &Arc<Self>, found: Vec<Digest>) -> Result<u64, Refusal> {
        // Nobody is between a rename and its commit now.
        let _alone = self.keeping.write().await;
        let blobs = Arc::clone(self);
        blocking(self.threads, move || {
            let mut gone = 0;
            for digest in found {
                let is_known = blobs.is_known(&digest);
                let is_known =
                    is_known.map_err(|source| BlobError::Io { doing: "look a blob up", source })?;
                if !is_known {
                    blobs.store.remove(&digest)?;
                    gone += 1;
                }
            }
            Ok(gone)
        })
        .await
    }

    /// Whether any fact names the blob: as stored, as given up, or in an entry of either direction.
    fn is_known(&self, digest: &Digest) -> io::Result<bool> {
        let index = self.archive.index();
        let damaged = |error: crate::store::IndexError| io::Error::other(error.to_string());
        for key in [rows::blob(digest), rows::blob_given_up(digest)] {
            if index.get(Table::Blob, &key).map_err(damaged)?.is_some() {
                return Ok(true);
            }
        }
        for prefix in [rows::blob_names_in(digest), rows::blob_names_out(digest)] {
            let end = prefix_end(&prefix);
            let first = index.range(Table::Blob, &prefix, &end, 1, Direction::Ascending);
            if !first.map_err(damaged)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives up the uploads that no entry named for [`BLOB_UNNAMED_MILLIS_MAX`], and removes their
    /// files and those of earlier ones. Says how many files are gone.
    ///
    /// # Errors
    /// `store.full`, or the disk's; what is left over goes with the next sweep.
    pub async fn sweep(self: &Arc<Self>, now: UnixMillis) -> Result<u64, Refusal> {
        let mut removed = 0;
        for prefix in [rows::BLOBS_GIVEN_UP, rows::BLOBS_UNNAMED] {
            let mut place = Some(prefix.to_vec());
            while let Some(from) = place {
                let (blobs, next) = self.candidates(prefix, from, now).await?;
                removed += self.remove(blobs).await?;
                place = next;
            }
        }
        Ok(removed)
    }

    /// One page of blobs under a prefix that may be given up, and where the next page begins.
    async fn candidates(
        self: &Arc<Self>,
        prefix: &'static [u8],
        from: Vec<u8>,
        now: UnixMillis,
    ) -> Result<(Vec<Digest>, Option<Vec<u8>>), Refusal> {
        let blobs = Arc::clone(self);
        let read = self.threads.begin(move || {
            let (index, end) = (blobs.archive.index(), prefix_end(prefix));
            let page = index.range(Table::Blob, &from, &end, BLOB_SWEEP_PAGE_MAX, Direction::Ascending);
            let page = page.map_err(|error| Refusal::new(RefusalCode::StoreDamaged, error.to_string()))?;
            let is_young = |key: &[u8]| {
                let since = rows::blob_unnamed_since(key).filter(|_| prefix == rows::BLOBS_UNNAMED);
                since.is_some_and(|since| now.millis_since(since) < BLOB_UNNAMED_MILLIS_MAX)
            };
            // The oldest come first: behind a young one are younger ones.
            let old: Vec<_> = page.iter().map_while(|(key, _)| (!is_young(key)).then_some(key)).collect();
            let full = old.len() == BLOB_SWEEP_PAGE_MAX;
            let next = old.last().filter(|_| full).map(|key| [&key[..], &[0]].concat());
            Ok((old.into_iter().filter_map(|key| rows::blob_digest(key)).collect(), next))
        });
        read.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
    }

    async fn remove(self: &Arc<Self>, blobs: Vec<Digest>) -> Result<u64, Refusal> {
        if blobs.is_empty() {
            return Ok(0);
        }
        // Once begun it goes through: who stops waiting must not let others at files that still go.
        let removing = Arc::clone(self);
        let removed = tokio::spawn(async move { removing.remove_alone(blobs).await });
        removed.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
    }

    async fn remove_alone(&self, blobs: Vec<Digest>) -> Result<u64, Refusal> {
        // Nobody takes a file for whole while it goes.
        let _alone = self.keeping.write().await;
        let gone = self.committer.ask_patiently(|reply| Command::GiveBlobsUp { blobs, reply }).await?;
        if gone.is_empty() {
            return Ok(0);
        }
        let (store, files) = (self.store.clone(), gone.clone());
        blocking(self.threads, move || files.iter().try_for_each(|digest| store.remove(digest))).await?;
        let count = gone.len() as u64;
        self.committer.ask_patiently(|reply| Command::BlobsRemoved { blobs: gone, reply }).await?;
        Ok(count)
    }
}
