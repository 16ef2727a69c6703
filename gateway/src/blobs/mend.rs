//! Finds, once after a start, blobs that the journal says are whole here and that are not: a backup
//! without its blob folder, a hand that deleted. What a partner sent is fetched from it again; what was
//! uploaded here can only be uploaded again, and is told.

use super::Blobs;
use crate::committer::rows;
use crate::id::Digest;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::blob::Want;
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1 as stored;
use std::sync::Arc;

/// Rows looked at in one go.
const PAGE: usize = 256;
/// Blobs that wait to be fetched again; the search goes on when there are fewer.
const WAITING_MAX: usize = 64;

/// How far the search has come, and what it found.
#[derive(Debug)]
pub(super) struct Mend {
    /// Where it goes on; nothing: it is through.
    place: Option<Vec<u8>>,
    waiting: Vec<Want>,
}

impl Default for Mend {
    fn default() -> Self {
        Self { place: Some(rows::BLOBS.to_vec()), waiting: Vec::new() }
    }
}

impl Mend {
    /// Whether another look would search on.
    pub(super) fn looks_on(&self) -> bool {
        self.place.is_some() && self.waiting.len() < WAITING_MAX
    }

    /// A fetch ended for now. What could not be fetched is looked for at the next start.
    pub(super) fn ended(&mut self, want: &Want) {
        self.waiting.retain(|waiting| waiting != want);
    }

    /// Searches a page on and gives what waits.
    pub(super) async fn next(&mut self, blobs: &Arc<Blobs>) -> Vec<Want> {
        if self.looks_on()
            && let Some(place) = self.place.take()
        {
            let (threads, blobs) = (blobs.threads, Arc::clone(blobs));
            let page = threads.begin(move || search(&blobs, &place)).await;
            match page.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into())) {
                Ok((found, place)) => {
                    self.waiting.extend(found);
                    self.place = place;
                }
                Err(refusal) => tracing::error!(code = %refusal.code, detail = refusal.detail,
                    "whether all blobs are here cannot be found out"),
            }
        }
        self.waiting.clone()
    }
}

/// One page from `place` on: lost blobs that a partner has, and where the next page begins.
fn search(blobs: &Blobs, place: &[u8]) -> Result<(Vec<Want>, Option<Vec<u8>>), Refusal> {
    let damaged =
        |error: crate::store::IndexError| Refusal::new(RefusalCode::StoreDamaged, error.to_string());
    let index = blobs.archive.index();
    let end = prefix_end(rows::BLOBS);
    let page: Vec<(Bytes, Bytes)> =
        index.range(Table::Blob, place, &end, PAGE, Direction::Ascending).map_err(damaged)?;
    let next = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| [&key[..], &[0]].concat());
    let mut lost = Vec::new();
    for (key, value) in page {
        let (Some(digest), Ok(row)) = (rows::blob_digest(&key), stored::BlobRow::decode(value)) else {
            continue;
        };
        if blobs.store.contains(&digest) {
            continue;
        }
        match sender(blobs, &digest).map_err(damaged)? {
            Some(from) => {
                tracing::warn!(digest = digest.to_text(), peer = %from,
                    "a blob is gone from the disk; it is fetched again from who sent it");
                lost.push(Want { from, digest, length: row.length });
            }
            None => tracing::error!(digest = digest.to_text(), code = %RefusalCode::BlobMissing,
                "an uploaded blob is gone from the disk; restore it, or upload it again"),
        }
    }
    Ok((lost, next))
}

/// A partner whose entry names the blob: it has it.
fn sender(blobs: &Blobs, digest: &Digest) -> Result<Option<crate::id::NodeId>, crate::store::IndexError> {
    let prefix = rows::blob_names_in(digest);
    let end = prefix_end(&prefix);
    let first = blobs.archive.index().range(Table::Blob, &prefix, &end, 1, Direction::Ascending)?;
    Ok(first.first().and_then(|(key, _)| rows::blob_name_place(key)).map(|(from, _)| from))
}
