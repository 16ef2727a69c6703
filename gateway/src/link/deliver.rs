//! The sending half of a link: reads the log from the peer's size on and keeps the pipe full within
//! the peer's credit. Batches form by themselves: whatever was committed since the last read.

use super::{Links, frame};
use crate::archive::StoredBatch;
use crate::committer::bells::Topic;
use crate::id::{LogId, NodeId};
use crate::limits::{BATCH_BYTES_MAX, DELIVER_ENTRIES_MAX};
use crate::log::checkpoint::Note;
use crate::refusal::{Refusal, RefusalCode};
use bytes::Bytes;
use proto::exchange::v1 as wire;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// The notes of a link's batches that have no receipt yet, as they were sent: a receipt that repeats one
/// of them byte for byte bears this node's own signature. As many as the peer's credit.
#[derive(Debug, Clone, Default)]
pub(super) struct SentNotes(Arc<Mutex<VecDeque<Bytes>>>);

impl SentNotes {
    /// Whether the note is one of them, with the peer's line below it.
    pub(super) fn covers(&self, note: &Note) -> bool {
        let signed = note.as_signed().text();
        let sent = self.0.lock().expect("no holder of the notes panics");
        sent.iter().any(|text| text[..] == *signed.as_bytes())
    }

    fn add(&self, note: Bytes, credit: usize) {
        let mut sent = self.0.lock().expect("no holder of the notes panics");
        sent.push_back(note);
        while sent.len() > credit {
            sent.pop_front();
        }
    }
}

/// Sends batches from `next` on, until the link ends. `receipted` tells the size that the peer has
/// cosigned: each receipt returns the credit of every batch below it.
pub(super) async fn deliver(
    links: Arc<Links>,
    peer: NodeId,
    mut next: u64,
    credit: usize,
    outgoing: mpsc::Sender<wire::Frame>,
    mut receipted: watch::Receiver<u64>,
    sent: SentNotes,
) -> Result<(), Refusal> {
    let listener = links.bells.listen([Topic::Outbound(peer)]);
    let looks = links.looks(peer);
    let mut in_flight: VecDeque<u64> = VecDeque::new();
    loop {
        looks.fetch_add(1, Ordering::Relaxed);
        let log = links.out_log(peer);
        let covered = *receipted.borrow_and_update();
        while in_flight.front().is_some_and(|end| *end <= covered) {
            in_flight.pop_front();
        }
        let batch = if in_flight.len() < credit { read(&links, log, next).await? } else { None };
        let Some(batch) = batch else {
            tokio::select! {
                biased;
                rung = listener.rung() => if rung.is_err() { return Ok(()) },
                changed = receipted.changed() => if changed.is_err() { return Ok(()) },
            }
            continue;
        };
        links.measures.batch_sent_entries.observe(batch.entries.len() as u64);
        next = batch.first + batch.entries.len() as u64;
        in_flight.push_back(next);
        links.measures.batches_in_flight.observe(in_flight.len() as u64);
        let checkpoint = under_present_key(&links, batch.checkpoint)?;
        sent.add(checkpoint.clone(), credit);
        let batch = wire::Batch {
            epoch: log.epoch,
            first: batch.first,
            entries: batch.entries.into_iter().map(entry).collect(),
            checkpoint,
        };
        if outgoing.send(frame(wire::frame::Kind::Batch(batch))).await.is_err() {
            return Ok(());
        }
    }
}

/// A note that nobody has cosigned, signed again when a rotation came between: its key may open nothing new any
/// more. The same text under it: size, root and time stay, so nothing forks and no time goes back. It need not be
/// stored: whoever asks again is given the same text under whatever key is present then.
fn under_present_key(links: &Links, stored: Bytes) -> Result<Bytes, Refusal> {
    let signer = links.signer();
    let Ok(note) = Note::parse(&stored) else { return Ok(stored) };
    if note.cosigner_name().is_some() || note.is_signed_by(signer.name(), signer.public_key()) {
        return Ok(stored);
    }
    let signature = signer.sign(note.checkpoint().body().as_bytes());
    let signature = signature.map_err(|error| Refusal::new(RefusalCode::KeySilent, error.to_string()))?;
    let note = Note::signed(note.checkpoint().clone(), signer.name(), signer.public_key(), &signature);
    Ok(Bytes::from(note.text()))
}

/// Gives the peer back its own entries from `first` on.
pub(super) async fn give_back(
    links: Arc<Links>,
    peer: NodeId,
    mut first: u64,
    outgoing: mpsc::Sender<wire::Frame>,
) -> Result<(), Refusal> {
    let log = links.in_log(peer);
    loop {
        let batch = read(&links, log, first).await?;
        let Some(batch) = batch else {
            let last = wire::Recovered { epoch: log.epoch, first, last: true, ..Default::default() };
            let _ = outgoing.send(frame(wire::frame::Kind::Recovered(last))).await;
            return Ok(());
        };
        let start = batch.first;
        first = start + batch.entries.len() as u64;
        let recovered = wire::Recovered {
            epoch: log.epoch,
            first: start,
            entries: batch.entries.into_iter().map(entry).collect(),
            checkpoint: batch.checkpoint,
            last: false,
        };
        if outgoing.send(frame(wire::frame::Kind::Recovered(recovered))).await.is_err() {
            return Ok(());
        }
    }
}

fn entry(raw: crate::entry::RawEntry) -> wire::Entry {
    wire::Entry { header: raw.header, body: raw.body.unwrap_or_default(), erased: false }
}

/// Reads on a thread that may block.
async fn read(links: &Arc<Links>, log: LogId, from: u64) -> Result<Option<StoredBatch>, Refusal> {
    let held = {
        let snapshot = links.snapshot.read().expect("no holder of the snapshot panics");
        let logs = if log.channel.from == links.me {
            snapshot.out.get(&log.channel.to)
        } else {
            snapshot.inbound.get(&log.channel.from)
        };
        logs.map_or(0, |log| log.size)
    };
    if from >= held {
        return Ok(None);
    }
    let threads = links.threads;
    let links = Arc::clone(links);
    // What was just committed is in memory; a lone message need not wait for another thread.
    let recent = links.archive.is_recent(log, from);
    // Up to the end as it is known: behind it there is nothing to look for.
    let most = usize::try_from(held - from).map_or(DELIVER_ENTRIES_MAX, |most| most.min(DELIVER_ENTRIES_MAX));
    let read = move || {
        links.archive.batches(log, from, most, BATCH_BYTES_MAX).map_err(|error| {
            tracing::error!(%log, from, %error, "a log cannot be read back");
            Refusal::new(RefusalCode::StoreDamaged, error.to_string())
        })
    };
    if recent {
        return read();
    }
    threads.begin(read).await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
}
