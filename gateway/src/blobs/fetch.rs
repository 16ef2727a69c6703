//! Fetches one blob over a bulk link: asks from the first missing chunk on, verifies and writes what
//! comes on a blocking thread while more arrives, and gives credit for what is written.
//!
//! A crash at any moment leaves the chunks that were written; the next fetch begins behind them.

use super::{Blobs, blocking};
use crate::id::NodeId;
use crate::limits::{
    BLOB_BURST_CHUNKS, BLOB_CHUNK_BYTES, BLOB_CREDIT_CHUNKS, BLOB_CREDIT_CHUNKS_MAX, BLOB_FAR_MILLIS,
    BLOB_STALL_MILLIS_MAX,
};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::blob::Want;
use crate::store::Durable;
use crate::store::blobs::{BlobStore, Fetch, StoredBlob};
use bytes::Bytes;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What the server of a transfer says.
pub(crate) enum Answer {
    /// Length and chunk list.
    Head(wire::BlobHead),
    /// One chunk.
    Chunk(wire::BlobChunk),
    /// No more: its code.
    End(String),
}

/// Answers that wait for one transfer; within its credit a server never fills this.
pub(crate) const ANSWERS_MAX: usize = BLOB_CREDIT_CHUNKS_MAX as usize + 2;

/// How a fetch ended.
pub(crate) struct Fetched {
    /// The blob, or why there is none yet.
    pub(crate) outcome: Result<Durable<StoredBlob>, Refusal>,
    /// Chunks that came.
    pub(crate) chunks: u64,
}

/// A fetch for a bulk link to carry out.
pub(crate) struct FetchOrder {
    pub(crate) want: Want,
    pub(crate) done: oneshot::Sender<Fetched>,
}

/// Carries out one fetch. `transfer` is its number on the link.
pub(crate) async fn fetch(
    blobs: Arc<Blobs>,
    order: FetchOrder,
    transfer: u64,
    outgoing: mpsc::Sender<wire::Frame>,
    mut answers: mpsc::Receiver<Answer>,
) {
    let store = blobs.store.clone();
    let mut run = Run { blobs, transfer, outgoing, came: 0, resumed: 0 };
    let begun = tokio::time::Instant::now();
    let outcome = run.through(store, order.want, &mut answers).await;
    let Want { from, digest, length } = order.want;
    let fetched_bytes = run.came * BLOB_CHUNK_BYTES as u64;
    match &outcome {
        Ok(_) => tracing::info!(peer = %from, digest = digest.to_text(), bytes = length,
            fetched_bytes = fetched_bytes.min(length), resumed_bytes = run.resumed * BLOB_CHUNK_BYTES as u64,
            millis = begun.elapsed().as_millis() as u64, "blob fetched"),
        Err(refusal) => {
            tell(from, &order.want, refusal, fetched_bytes);
            // Whatever is on its way is not read any more; a link that is gone needs no stop.
            let stop = wire::BlobStop { transfer };
            let _ = run.outgoing.send(frame(Frame::BlobStop(stop))).await;
        }
    }
    let _ = order.done.send(Fetched { outcome, chunks: run.came });
}

fn tell(peer: NodeId, want: &Want, refusal: &Refusal, fetched_bytes: u64) {
    tracing::warn!(%peer, digest = want.digest.to_text(), code = %refusal.code, detail = refusal.detail,
        fault = refusal.code.fault().name(), fetched_bytes, "a blob is not whole yet; it is asked for again");
}

struct Run {
    blobs: Arc<Blobs>,
    transfer: u64,
    outgoing: mpsc::Sender<wire::Frame>,
    came: u64,
    resumed: u64,
}

impl Run {
    async fn through(
        &mut self,
        store: BlobStore,
        want: Want,
        answers: &mut mpsc::Receiver<Answer>,
    ) -> Result<Durable<StoredBlob>, Refusal> {
        let mut fetch = blocking(self.blobs.threads, move || store.fetch(want.digest, want.length)).await?;
        self.resumed = fetch.resumed();
        if fetch.needs_list() || fetch.next() < fetch.chunks() {
            fetch = self.converse(fetch, answers).await?;
        }
        blocking(self.blobs.threads, move || fetch.finish()).await
    }

    async fn converse(
        &mut self,
        mut fetch: Fetch,
        answers: &mut mpsc::Receiver<Answer>,
    ) -> Result<Fetch, Refusal> {
        let mut ahead = BLOB_CREDIT_CHUNKS;
        let mut below = fetch.next() + ahead;
        // The first chunk that the last credit allowed, and when that credit was given.
        let mut allowed = (fetch.next(), Instant::now());
        let mut is_far = false;
        let ask = wire::BlobAsk {
            transfer: self.transfer,
            digest: Bytes::copy_from_slice(&fetch.digest().to_wire()),
            first: fetch.next(),
            credit: below,
            list: fetch.needs_list(),
        };
        self.send(Frame::BlobAsk(ask)).await?;
        let mut came = Vec::with_capacity(BLOB_BURST_CHUNKS);
        while fetch.needs_list() || fetch.next() < fetch.chunks() {
            ahead = reach(ahead, answers.len(), is_far);
            let stalled = Duration::from_millis(BLOB_STALL_MILLIS_MAX);
            let more = tokio::time::timeout(stalled, answers.recv_many(&mut came, BLOB_BURST_CHUNKS)).await;
            match more {
                Ok(0) => return Err(RefusalCode::LinkBroken.into()),
                Ok(_) => {}
                Err(_) => return Err(Refusal::new(RefusalCode::LinkBroken, "no chunk came for too long")),
            }
            let mut chunks = Vec::with_capacity(came.len());
            for answer in came.drain(..) {
                match answer {
                    Answer::Head(head) if fetch.needs_list() => {
                        let take = move || fetch.take_list(head.length, &head.chunks).map(|()| fetch);
                        fetch = blocking(self.blobs.threads, take).await?;
                    }
                    Answer::Head(_) => {}
                    Answer::Chunk(chunk) => {
                        if chunk.index != fetch.next() + chunks.len() as u64 {
                            return Err(Refusal::new(RefusalCode::FrameUnexpected, "a chunk out of order"));
                        }
                        chunks.push(chunk.data);
                    }
                    Answer::End(code) => {
                        let known = RefusalCode::with_code(&code).unwrap_or(RefusalCode::LinkBroken);
                        return Err(Refusal::new(known, "ended by the peer"));
                    }
                }
            }
            if fetch.next() + chunks.len() as u64 > allowed.0 {
                is_far = allowed.1.elapsed() >= Duration::from_millis(BLOB_FAR_MILLIS);
                allowed.0 = u64::MAX;
            }
            self.came += chunks.len() as u64;
            let bytes: usize = chunks.iter().map(Bytes::len).sum();
            self.blobs.measures.blob_bytes_fetched.fetch_add(bytes as u64, Ordering::Relaxed);
            let take = move || fetch.take_chunks(&chunks).map(|()| fetch);
            fetch = blocking(self.blobs.threads, take).await?;
            // No more than is written: what waits for the disk is in memory.
            let reaches = fetch.written() + ahead;
            if reaches.saturating_sub(below) >= BLOB_BURST_CHUNKS as u64 && below < fetch.chunks() {
                if allowed.0 == u64::MAX {
                    allowed = (below, Instant::now());
                }
                below = reaches;
                self.send(Frame::BlobCredit(wire::BlobCredit { transfer: self.transfer, below })).await?;
            }
        }
        Ok(fetch)
    }

    async fn send(&self, kind: Frame) -> Result<(), Refusal> {
        self.outgoing.send(frame(kind)).await.map_err(|_| RefusalCode::LinkBroken.into())
    }
}

/// How far ahead of the disk the credit reaches next, of what it reached so far and the chunks that wait:
/// on a long line nothing waits, a credit is answered late, and the line holds more than the first credit.
/// Where chunks wait, the disk is what is slow, and more of them would only lie in memory.
fn reach(ahead: u64, waiting: usize, is_far: bool) -> u64 {
    let burst = BLOB_BURST_CHUNKS as u64;
    if waiting == 0 && is_far {
        (ahead + burst).min(BLOB_CREDIT_CHUNKS_MAX)
    } else if waiting >= BLOB_BURST_CHUNKS {
        ahead.saturating_sub(burst).max(BLOB_CREDIT_CHUNKS)
    } else {
        ahead
    }
}

fn frame(kind: Frame) -> wire::Frame {
    wire::Frame { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_reaches_further_while_the_line_is_what_is_slow_and_back_when_the_disk_is() {
        let mut ahead = BLOB_CREDIT_CHUNKS;
        for _ in 0..20 {
            let further = reach(ahead, 0, true);
            assert!(further > ahead || ahead == BLOB_CREDIT_CHUNKS_MAX);
            ahead = further;
        }
        assert_eq!(ahead, BLOB_CREDIT_CHUNKS_MAX);
        assert_eq!(reach(ahead, 3, true), ahead, "between the two it stays");
        assert_eq!(reach(BLOB_CREDIT_CHUNKS, 0, false), BLOB_CREDIT_CHUNKS, "a short line holds little");
        for _ in 0..20 {
            ahead = reach(ahead, BLOB_BURST_CHUNKS, true);
        }
        assert_eq!(ahead, BLOB_CREDIT_CHUNKS);
    }
}
