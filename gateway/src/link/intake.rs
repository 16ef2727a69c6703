//! Batches of the peer that wait their turn: until own entries are recovered, until the disk has room,
//! until the peer's quota allows them. Holding a batch holds its credit, so a peer that is too fast
//! slows down by itself; nothing is dropped, and receipts, questions and answers on the link go on.

use super::Links;
use crate::committer::bells::{Listener, Topic};
use crate::id::NodeId;
use crate::limits::{BATCHES_IN_FLIGHT_MAX, RETRY_SPACE_MILLIS};
use crate::overload::disk::DiskUse;
use crate::refusal::{Refusal, RefusalCode};
use proto::exchange::v1 as wire;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What one link holds back.
pub(super) struct Intake {
    links: Arc<Links>,
    peer: NodeId,
    batches: VecDeque<(wire::Batch, usize)>,
    disk: Listener,
    /// The front batch was paid for, and waits for nothing but its turn.
    paid: bool,
}

impl Intake {
    pub(super) fn new(links: Arc<Links>, peer: NodeId) -> Self {
        let disk = links.bells.listen([Topic::Disk]);
        Self { links, peer, batches: VecDeque::new(), disk, paid: false }
    }

    /// Takes a batch behind the others.
    pub(super) fn put(&mut self, batch: wire::Batch) -> Result<(), Refusal> {
        if self.batches.len() >= BATCHES_IN_FLIGHT_MAX {
            return Err(RefusalCode::CreditExceeded.into());
        }
        let bytes: usize = batch.entries.iter().map(|entry| entry.header.len() + entry.body.len()).sum();
        // A frame is bounded, so this is; given back when the batch or the link goes.
        let Ok(held) = self.links.held.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)) else {
            return Err(Refusal::retry_after(
                RefusalCode::Overloaded,
                RETRY_SPACE_MILLIS,
                "links hold batches",
            ));
        };
        held.forget();
        self.batches.push_back((batch, bytes));
        Ok(())
    }

    /// The next batch whose time has come. Waits without end when there is none. Nothing is lost when
    /// the wait is given up.
    pub(super) async fn next(&mut self) -> wire::Batch {
        let Some((entries, bytes)) = self.batches.front().map(|(batch, bytes)| (batch.entries.len(), *bytes))
        else {
            return std::future::pending().await;
        };
        loop {
            let disk = self.links.snapshot.read().expect("no holder of the snapshot panics").disk;
            // A batch without entries asks for the newest receipt and takes no room.
            if entries > 0 && !disk.admits(DiskUse::Take) {
                if self.disk.rung().await.is_err() {
                    return std::future::pending().await;
                }
                continue;
            }
            if self.paid {
                break;
            }
            let now = self.links.clock.now();
            let taken = {
                let mut quotas = self.links.quotas.lock().expect("no holder of the quotas panics");
                quotas.take(self.peer, now, entries as u64, bytes as u64)
            };
            match taken {
                Ok(()) => self.paid = true,
                Err(wait) => {
                    tracing::debug!(peer = %self.peer, entries, bytes, wait_ms = wait,
                        "a partner is over its quota: its batch waits");
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
            }
        }
        self.paid = false;
        let (batch, bytes) = self.batches.pop_front().expect("there was a front");
        self.links.held.add_permits(bytes);
        batch
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.links.held.add_permits(self.batches.iter().map(|(_, bytes)| bytes).sum());
    }
}
