//! The one task that decides what is fetched next: it reads what is wanted from the index, asks the
//! rule, and hands orders to bulk links. Everything that it remembers it could forget: a new start
//! reads the index again.

use super::fetch::{FetchOrder, Fetched};
use super::mend::Mend;
use super::{Blobs, blocking};
use crate::committer::bells::Topic;
use crate::committer::rows;
use crate::id::NodeId;
use crate::limits::BLOB_WANTS_LOOKED_AT_MAX;
use crate::link::Links;
use crate::overload::disk::DiskUse;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::blob::{Ended, Fetches, Want};
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Milliseconds before a bulk link that does not come is asked for again.
const ASK_AGAIN_MILLIS: u64 = 1_000;
/// Pages of wants that one look reads for one partner.
const PAGES_MAX: usize = 16;

/// Fetches what entries name until the node stops.
pub(super) async fn run(links: Arc<Links>, blobs: Arc<Blobs>) {
    let listener = links.bells.listen([Topic::Blobs, Topic::Disk]);
    let mut changes = links.changes();
    let mut planner = Planner {
        links,
        blobs,
        fetches: Fetches::default(),
        places: HashMap::new(),
        running: JoinSet::new(),
        link_missing: false,
        without_wants: HashMap::new(),
        mend: Mend::default(),
    };
    loop {
        changes.borrow_and_update();
        let seen = planner.seen();
        planner.look().await;
        loop {
            let now = planner.links.clock.now();
            let pause = planner.fetches.next_at(now).map(|until| until.millis_since(now));
            let missing = planner.link_missing.then_some(ASK_AGAIN_MILLIS);
            let pause = pause.into_iter().chain(missing).chain(planner.mend.looks_on().then_some(0)).min();
            tokio::select! {
                biased;
                Some(ended) = planner.running.join_next() => {
                    if let Ok((want, ended)) = ended {
                        planner.end(&want, ended);
                    }
                    break;
                }
                rung = listener.rung() => {
                    if rung.is_err() {
                        return;
                    }
                    if seen != planner.seen() {
                        break;
                    }
                }
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(pause.unwrap_or(0))), if pause.is_some() => break,
            }
        }
    }
}

struct Planner {
    links: Arc<Links>,
    blobs: Arc<Blobs>,
    fetches: Fetches,
    /// Where the next look at a partner's wants goes on.
    places: HashMap<NodeId, Vec<u8>>,
    running: JoinSet<(Want, Ended)>,
    /// Something could be fetched if there were a bulk link.
    link_missing: bool,
    /// Partners that wanted nothing when the blobs last changed so.
    without_wants: HashMap<NodeId, u64>,
    /// What the journal says is here and is not.
    mend: Mend,
}

/// A want, and whether its blob is whole here already: as the journal knows it, or as a file.
struct Found {
    want: Want,
    known: bool,
    file: bool,
}

impl Planner {
    /// What a commit may have changed for this task.
    fn seen(&self) -> (u64, bool) {
        (self.generation(), self.may_take())
    }

    /// Whether the disk has room for what others send.
    fn may_take(&self) -> bool {
        self.blobs.disk().admits(DiskUse::Take)
    }

    fn generation(&self) -> u64 {
        self.links.snapshot.read().expect("no holder of the snapshot panics").blob_changes
    }

    fn end(&mut self, want: &Want, ended: Ended) {
        let mut chance = [0; 2];
        self.links.randomness.fill(&mut chance);
        self.fetches.end(want, ended, self.links.clock.now(), u16::from_be_bytes(chance));
        if ended != Ended::Progress {
            self.mend.ended(want);
        }
    }

    async fn look(&mut self) {
        self.link_missing = false;
        let peers: Vec<NodeId> = {
            let snapshot = self.links.snapshot.read().expect("no holder of the snapshot panics");
            snapshot.inbound.keys().copied().collect()
        };
        for want in self.mend.next(&self.blobs).await {
            self.begin(Found { want, known: true, file: false });
        }
        let generation = self.generation();
        for peer in peers {
            if self.without_wants.get(&peer) == Some(&generation) {
                continue;
            }
            if let Err(refusal) = self.look_at(peer, generation).await {
                tracing::error!(%peer, code = %refusal.code, detail = refusal.detail,
                    "what is to be fetched cannot be read");
            }
        }
    }

    async fn look_at(&mut self, peer: NodeId, generation: u64) -> Result<(), Refusal> {
        for _ in 0..PAGES_MAX {
            if !self.fetches.has_room(peer) {
                return Ok(());
            }
            let place = self.places.remove(&peer);
            let from_start = place.is_none();
            let from = place.unwrap_or_else(|| rows::blob_wants(peer));
            let (found, next) = page(Arc::clone(&self.blobs), peer, from).await?;
            if from_start && found.is_empty() {
                self.without_wants.insert(peer, generation);
            }
            for one in found {
                self.begin(one);
            }
            match next {
                Some(next) => self.places.insert(peer, next),
                None => return Ok(()),
            };
        }
        Ok(())
    }

    fn begin(&mut self, found: Found) {
        let Found { want, known, file } = found;
        if !self.fetches.may_begin(&want, self.links.clock.now()) {
            return;
        }
        let blobs = Arc::clone(&self.blobs);
        if file {
            // Nothing to fetch: its receipts are to be written, or wait for contact.
            self.fetches.begin(&want);
            self.running.spawn(async move { (want, settle(&blobs, &want, known).await) });
            return;
        }
        // Space that returns is a change that wakes this task.
        if !self.may_take() {
            return;
        }
        let (done, fetched) = oneshot::channel();
        if !self.links.order_fetch(want.from, FetchOrder { want, done }) {
            self.link_missing = true;
            self.links.want_bulk(want.from);
            return;
        }
        self.fetches.begin(&want);
        self.running.spawn(async move { (want, follow(&blobs, fetched).await) });
    }
}

/// The wants of one partner from `from` on, and where the next page begins.
async fn page(
    blobs: Arc<Blobs>,
    peer: NodeId,
    from: Vec<u8>,
) -> Result<(Vec<Found>, Option<Vec<u8>>), Refusal> {
    let threads = blobs.threads;
    let read = threads.begin(move || {
        let damaged =
            |error: crate::store::IndexError| Refusal::new(RefusalCode::StoreDamaged, error.to_string());
        let index = blobs.archive.index();
        let end = prefix_end(&rows::blob_wants(peer));
        let rows = index.range(Table::Blob, &from, &end, BLOB_WANTS_LOOKED_AT_MAX, Direction::Ascending);
        let rows: Vec<(Bytes, Bytes)> = rows.map_err(damaged)?;
        let next = rows.last().filter(|_| rows.len() == BLOB_WANTS_LOOKED_AT_MAX).map(|(key, _)| {
            let mut next = key.to_vec();
            next.push(0);
            next
        });
        let mut found = Vec::with_capacity(rows.len());
        for (key, value) in &rows {
            let length = <[u8; 8]>::try_from(&value[..]).map(u64::from_be_bytes);
            let (Some(digest), Ok(length)) = (rows::blob_digest(key), length) else { continue };
            let known = index.get(Table::Blob, &rows::blob(&digest)).map_err(damaged)?.is_some();
            let want = Want { from: peer, digest, length };
            found.push(Found { want, known, file: blobs.store.contains(&digest) });
        }
        Ok((found, next))
    });
    read.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
}

/// Has the receipts written for a blob that is whole here. A file that the journal does not know is
/// verified first.
async fn settle(blobs: &Arc<Blobs>, want: &Want, known: bool) -> Ended {
    let (store, digest) = (blobs.store.clone(), want.digest);
    let _keeping = blobs.keeping.read().await;
    let blob =
        blocking(blobs.threads, move || if known { store.known(&digest) } else { store.adopt(&digest) })
            .await;
    let outcome = match blob {
        Ok(blob) => blobs.stored(&blob, false).await,
        Err(refusal) => {
            if refusal.code == RefusalCode::BlobDigest {
                let store = blobs.store.clone();
                let _ = blocking(blobs.threads, move || store.discard(&digest)).await;
            }
            Err(refusal)
        }
    };
    if let Err(refusal) = outcome {
        tracing::warn!(peer = %want.from, digest = digest.to_text(), code = %refusal.code,
            detail = refusal.detail, "a blob that is here cannot be receipted yet");
    }
    // Until its receipt stands in the log it stays wanted, and is looked at again after a pause.
    Ended::Failed
}

/// Waits for a fetch and tells the committer that it is whole.
async fn follow(blobs: &Arc<Blobs>, fetched: oneshot::Receiver<Fetched>) -> Ended {
    let Ok(Fetched { outcome, chunks }) = fetched.await else { return Ended::Failed };
    match outcome {
        Ok(blob) => match blobs.stored(&blob, false).await {
            Ok(()) => Ended::Done,
            Err(refusal) => {
                tracing::warn!(digest = blob.digest.to_text(), code = %refusal.code,
                    "a fetched blob is not journalled yet");
                Ended::Failed
            }
        },
        Err(refusal) if refusal.code == RefusalCode::LinkBroken && chunks > 0 => Ended::Progress,
        Err(_) => Ended::Failed,
    }
}
