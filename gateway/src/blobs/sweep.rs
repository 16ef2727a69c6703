//! Gives up uploads that no entry ever named, so that what a business system puts and forgets does not
//! fill the disk. The committer judges, in one order with the submissions that may name them: here is
//! only found what may be old enough, and removed what was given up.
//!
//! A crash after the journal knows that an upload is given up leaves its file and a row that says so;
//! the next sweep removes both. A crash after the file is gone leaves the row alone. Whoever uploads the
//! file again in between finds it, or brings it.

use super::{Blobs, blocking};
use crate::clock::Clock;
use crate::committer::{Command, rows};
use crate::id::Digest;
use crate::limits::{BLOB_SWEEP_MILLIS, BLOB_SWEEP_PAGE_MAX, BLOB_UNNAMED_MILLIS_MAX};
use crate::refusal::{Refusal, RefusalCode};
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use crate::time::UnixMillis;
use std::sync::Arc;
use std::time::Duration;

/// Sweeps every now and then.
pub(super) async fn run(clock: Arc<dyn Clock>, blobs: Arc<Blobs>) {
    loop {
        tokio::time::sleep(Duration::from_millis(BLOB_SWEEP_MILLIS)).await;
        if let Err(refusal) = blobs.sweep(clock.now()).await {
            tracing::warn!(code = %refusal.code, detail = refusal.detail,
                "uploads that no entry names cannot be given up yet");
        }
    }
}

impl Blobs {
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
        let read = tokio::task::spawn_blocking(move || {
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
        blocking(move || files.iter().try_for_each(|digest| store.remove(digest))).await?;
        let count = gone.len() as u64;
        self.committer.ask_patiently(|reply| Command::BlobsRemoved { blobs: gone, reply }).await?;
        Ok(count)
    }
}
