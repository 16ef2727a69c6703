//! A link for blobs alone, beside the one for channels: so that a file of two GiB never stands in the
//! way of a message. Either side fetches over it, whoever dialled.
//!
//! The node that dialled the standing link for channels dials this one too, on its own account or
//! because the other asked (`BulkWanted`): the other may be unable to. It is authenticated as the other is,
//! signing key included: files of persons are worth no less than entries. What may be fetched follows from the
//! logs.

use super::open::{hear_proof, prove, signing_chain};
use super::session::{closed_by_peer, guard};
use super::{LINK_NAME_BYTES, Links, VERSION_MAX, VERSION_MIN, frame};
use crate::blobs::Blobs;
use crate::blobs::fetch::{ANSWERS_MAX, Answer, FetchOrder, fetch};
use crate::blobs::serve::serve;
use crate::channel::possession::PROOF_VERSION;
use crate::clock::random_16;
use crate::id::NodeId;
use crate::limits::{
    BLOB_FETCHES_PER_PEER_MAX, BLOB_SERVES_PER_LINK_MAX, BULK_IDLE_MILLIS_MAX, OPEN_MILLIS_MAX,
};
use crate::peer::{End, PeerStream};
use crate::refusal::{Refusal, RefusalCode};
use bytes::Bytes;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

/// [`wire::Open::purpose`] of a link for blobs.
pub(super) const PURPOSE: &str = "bulk";

/// Milliseconds that transfers have to notice the end of their link.
const WIND_UP_MILLIS_MAX: u64 = 1_000;

/// A bulk link as others reach it.
pub(super) struct LiveBulk {
    name: [u8; LINK_NAME_BYTES],
    fence: watch::Sender<Option<RefusalCode>>,
    orders: mpsc::Sender<FetchOrder>,
}

impl LiveBulk {
    /// Ends it.
    pub(super) fn close(&self, code: RefusalCode) {
        let _ = self.fence.send(Some(code));
    }

    /// Hands over a fetch; says whether it was taken.
    pub(super) fn order(&self, order: FetchOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }
}

/// Holds a bulk link that this node dialled until it ends.
///
/// # Errors
/// The code that this node closes with, or that the peer closed with.
pub async fn run_bulk(links: Arc<Links>, mut stream: PeerStream) -> Result<(), Refusal> {
    let outcome = dialled(&links, &mut stream).await;
    if let Err(refusal) = &outcome {
        links.measures.link_ends.count(Some(refusal.code));
        tell_end(&stream, refusal);
    }
    outcome
}

fn tell_end(stream: &PeerStream, refusal: &Refusal) {
    let close = wire::Close { code: refusal.code.code().into(), message: refusal.message(false) };
    let _ = stream.outgoing.try_send(frame(Frame::Close(close)));
    tracing::info!(peer = %stream.peer, dialled = stream.dialled, outcome = "closed", code = %refusal.code,
        detail = refusal.detail, "bulk link ended");
}

fn open(links: &Links, end: End, name: [u8; LINK_NAME_BYTES]) -> Result<wire::Frame, Refusal> {
    let signer = links.signer();
    Ok(frame(Frame::Open(wire::Open {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        node: links.me.to_string(),
        link: Bytes::copy_from_slice(&name),
        purpose: PURPOSE.to_owned(),
        signing_chain: signing_chain(&*signer),
        proof: prove(links, &*signer, end, name, true)?,
        ..Default::default()
    })))
}

async fn dialled(links: &Arc<Links>, stream: &mut PeerStream) -> Result<(), Refusal> {
    stream.standing.check()?;
    let gone = || Refusal::new(RefusalCode::OpenMissing, format!("node={}", stream.peer));
    let mut name = [0; LINK_NAME_BYTES];
    name[..8].copy_from_slice(&links.clock.now().0.to_be_bytes());
    name[8..].copy_from_slice(&random_16(&*links.randomness));
    stream.outgoing.send(open(links, stream.end(), name)?).await.map_err(|_| gone())?;
    let first = tokio::time::timeout(Duration::from_millis(OPEN_MILLIS_MAX), stream.incoming.next());
    let first = first.await.map_err(|_| gone())?.ok_or_else(gone)?;
    let first = first.map_err(|error| Refusal::new(RefusalCode::LinkBroken, error))?;
    let heard = match first.kind {
        Some(Frame::Open(heard)) => heard,
        Some(Frame::Close(close)) => return Err(closed_by_peer(&close)),
        _ => return Err(Refusal::new(RefusalCode::FrameUnexpected, "the first frame is not Open")),
    };
    if hear(links, stream.end(), &heard)? != name {
        return Err(Refusal::new(RefusalCode::FrameUnexpected, "the peer answered for another link"));
    }
    converse(links, stream, name).await
}

/// Goes on with a stream whose dialler opened it for blobs.
pub(super) async fn accepted(
    links: &Arc<Links>,
    stream: &mut PeerStream,
    heard: &wire::Open,
) -> Result<(), Refusal> {
    let name = hear(links, stream.end(), heard)?;
    let gone = |_| Refusal::new(RefusalCode::OpenMissing, format!("node={}", stream.peer));
    stream.outgoing.send(open(links, stream.end(), name)?).await.map_err(gone)?;
    converse(links, stream, name).await
}

fn hear(links: &Links, end: End, open: &wire::Open) -> Result<[u8; LINK_NAME_BYTES], Refusal> {
    let peer = end.peer;
    if open.version_min > VERSION_MAX || open.version_max < VERSION_MIN {
        return Err(Refusal::new(RefusalCode::VersionUnsupported, "of a bulk link"));
    }
    if open.node != peer.as_str() {
        return Err(Refusal::new(RefusalCode::WrongNode, format!("certificate={peer}")));
    }
    if open.purpose != PURPOSE {
        return Err(Refusal::new(RefusalCode::FrameUnexpected, "a link for another purpose"));
    }
    let name = open.link[..].try_into();
    let name =
        name.map_err(|_| Refusal::new(RefusalCode::FrameUnexpected, "the link's name is not 24 bytes"))?;
    // Version 1 shows no signing certificate on such a link, and proves nothing.
    let proves = open.version_max >= PROOF_VERSION || links.keys.has_proved(peer);
    if proves || !open.proof.is_empty() {
        hear_proof(links, end, name, open, true)?;
    }
    Ok(name)
}

async fn converse(
    links: &Arc<Links>,
    stream: &mut PeerStream,
    name: [u8; LINK_NAME_BYTES],
) -> Result<(), Refusal> {
    let blobs = links.blobs().ok_or_else(|| Refusal::new(RefusalCode::FrameUnexpected, "no blobs here"))?;
    let (orders, ordered) = mpsc::channel(BLOB_FETCHES_PER_PEER_MAX);
    let (fence, fenced) = watch::channel(None);
    let _registered = Registered::new(links, stream.peer, LiveBulk { name, fence, orders })?;
    links.measures.links_opened.fetch_add(1, Ordering::Relaxed);
    tracing::info!(peer = %stream.peer, dialled = stream.dialled, outcome = "open", "bulk link open");
    let standing = Arc::clone(&stream.standing);
    let mut bulk = Bulk {
        blobs,
        peer: stream.peer,
        outgoing: stream.outgoing.clone(),
        fetches: BTreeMap::new(),
        serves: BTreeMap::new(),
        tasks: JoinSet::new(),
        next_transfer: 0,
        serving: 0,
    };
    let ended = tokio::select! {
        biased;
        end = guard(&links.patrol, standing, fenced) => Err(end),
        ended = bulk.talk(stream, ordered) => ended,
    };
    bulk.wind_up().await;
    ended
}

/// A bulk link's place among the live ones; it gives the place up however it ends.
struct Registered {
    links: Arc<Links>,
    peer: NodeId,
    name: [u8; LINK_NAME_BYTES],
}

impl Registered {
    fn new(links: &Arc<Links>, peer: NodeId, bulk: LiveBulk) -> Result<Self, Refusal> {
        let name = bulk.name;
        let mut live = links.bulk.lock().expect("no holder of the links panics");
        if let Some(older) = live.get(&peer) {
            if older.name >= name {
                return Err(RefusalCode::Fenced.into());
            }
            older.close(RefusalCode::Fenced);
        }
        live.insert(peer, bulk);
        drop(live);
        links.tell_change(peer);
        Ok(Self { links: Arc::clone(links), peer, name })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut live = self.links.bulk.lock().expect("no holder of the links panics");
        if live.get(&self.peer).is_some_and(|bulk| bulk.name == self.name) {
            live.remove(&self.peer);
        }
        drop(live);
        self.links.tell_change(self.peer);
    }
}

/// The end of a transfer.
enum Ended {
    Fetch(u64),
    Serve(u64),
}

struct Bulk {
    blobs: Arc<Blobs>,
    peer: NodeId,
    outgoing: mpsc::Sender<wire::Frame>,
    /// Own transfers, by our numbers.
    fetches: BTreeMap<u64, mpsc::Sender<Answer>>,
    /// The peer's transfers, by its numbers, with the credit that it gives.
    serves: BTreeMap<u64, watch::Sender<u64>>,
    tasks: JoinSet<Ended>,
    next_transfer: u64,
    /// Transfers of the peer that hold memory: also those that were stopped and have not noticed yet.
    serving: usize,
}

impl Bulk {
    /// Lets transfers notice that the link is gone: each fetch says how far it came.
    async fn wind_up(&mut self) {
        self.fetches.clear();
        self.serves.clear();
        let patience = Duration::from_millis(WIND_UP_MILLIS_MAX);
        let wound_up = async { while self.tasks.join_next().await.is_some() {} };
        // One that hangs on a dead connection is dropped with the link.
        let _ = tokio::time::timeout(patience, wound_up).await;
    }

    async fn talk(
        &mut self,
        stream: &mut PeerStream,
        mut orders: mpsc::Receiver<FetchOrder>,
    ) -> Result<(), Refusal> {
        let idle = Duration::from_millis(BULK_IDLE_MILLIS_MAX);
        loop {
            let is_idle = self.fetches.is_empty() && self.serves.is_empty() && stream.dialled;
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(Ended::Fetch(transfer)) => drop(self.fetches.remove(&transfer)),
                    Ok(Ended::Serve(transfer)) => {
                        self.serves.remove(&transfer);
                        self.serving -= 1;
                    }
                    Err(_) => return Err(RefusalCode::StoreUnknown.into()),
                },
                Some(order) = orders.recv() => self.fetch(order),
                next = stream.incoming.next() => {
                    let Some(next) = next else { return Ok(()) };
                    let next = next.map_err(|error| Refusal::new(RefusalCode::LinkBroken, error))?;
                    stream.standing.check()?;
                    self.take(next)?;
                }
                () = tokio::time::sleep(idle), if is_idle => return Ok(()),
            }
        }
    }

    fn fetch(&mut self, order: FetchOrder) {
        let transfer = self.next_transfer;
        self.next_transfer += 1;
        let (sender, answers) = mpsc::channel(ANSWERS_MAX);
        self.fetches.insert(transfer, sender);
        let (blobs, outgoing) = (Arc::clone(&self.blobs), self.outgoing.clone());
        self.tasks.spawn(async move {
            fetch(blobs, order, transfer, outgoing, answers).await;
            Ended::Fetch(transfer)
        });
    }

    /// Never waits: both sides send as fast as they may, and each must go on reading.
    fn take(&mut self, next: wire::Frame) -> Result<(), Refusal> {
        match next.kind {
            Some(Frame::BlobAsk(ask)) => self.serve(ask),
            Some(Frame::BlobCredit(credit)) => {
                // Of a transfer that has ended it means nothing.
                if let Some(serving) = self.serves.get(&credit.transfer) {
                    serving.send_modify(|below| *below = credit.below.max(*below));
                }
                Ok(())
            }
            Some(Frame::BlobStop(stop)) => {
                self.serves.remove(&stop.transfer);
                Ok(())
            }
            Some(Frame::BlobHead(head)) => self.answer(head.transfer, Answer::Head(head)),
            Some(Frame::BlobChunk(chunk)) => self.answer(chunk.transfer, Answer::Chunk(chunk)),
            Some(Frame::BlobEnd(end)) => self.answer(end.transfer, Answer::End(end.code)),
            Some(Frame::Close(close)) => Err(closed_by_peer(&close)),
            _ => Err(Refusal::new(RefusalCode::FrameUnexpected, "not a frame of a bulk link")),
        }
    }

    fn answer(&mut self, transfer: u64, answer: Answer) -> Result<(), Refusal> {
        // What comes after a fetch was given up was on its way already.
        let Some(fetch) = self.fetches.get(&transfer) else { return Ok(()) };
        match fetch.try_send(answer) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(RefusalCode::CreditExceeded.into()),
        }
    }

    fn serve(&mut self, ask: wire::BlobAsk) -> Result<(), Refusal> {
        if self.serving >= BLOB_SERVES_PER_LINK_MAX || self.serves.contains_key(&ask.transfer) {
            return Err(Refusal::new(RefusalCode::CreditExceeded, "too many transfers at once"));
        }
        let transfer = ask.transfer;
        let (credit, given) = watch::channel(ask.credit);
        self.serves.insert(transfer, credit);
        self.serving += 1;
        let (blobs, peer, outgoing) = (Arc::clone(&self.blobs), self.peer, self.outgoing.clone());
        self.tasks.spawn(async move {
            serve(blobs, peer, ask, given, outgoing).await;
            Ended::Serve(transfer)
        });
        Ok(())
    }
}
