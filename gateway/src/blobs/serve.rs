//! Answers a partner that asks for a blob: only one that an entry to it names, chunk by chunk within
//! its credit. Chunks are not hashed again here; the asker verifies each.

use super::{Blobs, blocking_outcome, refusal};
use crate::id::{Digest, NodeId};
use crate::limits::{BLOB_BURST_CHUNKS, BLOB_STALL_MILLIS_MAX};
use crate::refusal::{Refusal, RefusalCode};
use crate::store::blobs::{BlobError, BlobReader};
use crate::threads::Threads;
use bytes::Bytes;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Serves one transfer to its end. `credit` says below which chunk may be sent; it closes when the
/// asker wants no more.
pub(crate) async fn serve(
    blobs: Arc<Blobs>,
    peer: NodeId,
    ask: wire::BlobAsk,
    credit: watch::Receiver<u64>,
    outgoing: mpsc::Sender<wire::Frame>,
) {
    let transfer = ask.transfer;
    if let Err(refusal) = try_serve(&blobs, peer, ask, credit, &outgoing).await {
        tracing::info!(%peer, transfer, code = %refusal.code, detail = refusal.detail,
            fault = refusal.code.fault().name(), "a blob is not served");
        let end = wire::BlobEnd { transfer, code: refusal.code.code().to_owned() };
        // A link that is gone needs no end.
        let _ = outgoing.send(frame(Frame::BlobEnd(end))).await;
    }
}

async fn try_serve(
    blobs: &Arc<Blobs>,
    peer: NodeId,
    ask: wire::BlobAsk,
    mut credit: watch::Receiver<u64>,
    outgoing: &mpsc::Sender<wire::Frame>,
) -> Result<(), Refusal> {
    let digest = Digest::from_wire(&ask.digest)
        .map_err(|error| Refusal::new(RefusalCode::BadRequest, error.to_string()))?;
    let asked = Arc::clone(blobs);
    let opened = blobs.threads.begin(move || {
        // What was not sent and what is not here get one answer: a digest is no way to find out.
        match asked.was_sent(peer, &digest) {
            Ok(true) => asked.store.reader(&digest).map_err(|error| refusal(&error)),
            Ok(false) => Err(Refusal::new(RefusalCode::BlobNotSent, digest.to_text())),
            Err(error) => Err(Refusal::new(RefusalCode::StoreDamaged, error.to_string())),
        }
    });
    let reader: BlobReader = opened.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
    let total = reader.list().chunks();
    let list = if ask.list { Bytes::from(reader.list().to_wire()) } else { Bytes::new() };
    let head = wire::BlobHead { transfer: ask.transfer, length: reader.length(), chunks: list };
    if outgoing.send(frame(Frame::BlobHead(head))).await.is_err() {
        return Ok(());
    }
    let mut next = ask.first;
    let mut ahead: Option<JoinHandle<Result<Vec<Bytes>, BlobError>>> = None;
    while next < total {
        let below = *credit.borrow_and_update();
        let Some(reading) = ahead.take().or_else(|| read_ahead(blobs.threads, &reader, next, below)) else {
            let stalled = Duration::from_millis(BLOB_STALL_MILLIS_MAX);
            match tokio::time::timeout(stalled, credit.changed()).await {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => return Ok(()), // the asker wants no more
                Err(_) => return Err(Refusal::new(RefusalCode::Overloaded, "the asker gives no credit")),
            }
        };
        let chunks = blocking_outcome(reading).await?;
        let first = next;
        next += chunks.len() as u64;
        // While these are on their way out, the next are read.
        ahead = read_ahead(blobs.threads, &reader, next, below);
        for (index, data) in (first..).zip(chunks) {
            let bytes = data.len() as u64;
            let chunk = wire::BlobChunk { transfer: ask.transfer, index, data };
            if credit.has_changed().is_err() || outgoing.send(frame(Frame::BlobChunk(chunk))).await.is_err() {
                return Ok(());
            }
            blobs.measures.blob_bytes_served.fetch_add(bytes, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Starts to read chunks from `next` on, as far as credit reaches; nothing when it does not.
fn read_ahead(
    threads: Threads,
    reader: &BlobReader,
    next: u64,
    below: u64,
) -> Option<JoinHandle<Result<Vec<Bytes>, BlobError>>> {
    let count = below.min(reader.list().chunks()).checked_sub(next).filter(|count| *count > 0)?;
    let reader = reader.clone();
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(BLOB_BURST_CHUNKS);
    Some(threads.begin(move || reader.chunks(next, count)))
}

fn frame(kind: Frame) -> wire::Frame {
    wire::Frame { kind: Some(kind) }
}
