//! One link to a peer: the symmetric conversation of frames, whoever dialled.
//!
//! Both sides state their copies (Open), the one that is behind recovers from the other, then each
//! delivers its log and cosigns the other's. The newest link to a peer fences older ones. The session
//! decides nothing about logs: it verifies what arrives, asks the committer, and answers.

mod announce;
pub(crate) mod bulk;
mod deliver;
mod intake;
mod open;
mod patrol;
mod session;

pub use crate::channel::fence::LINK_NAME_BYTES;
pub use bulk::run_bulk;
pub use session::run;

use crate::archive::Archive;
use crate::blobs::Blobs;
use crate::blobs::fetch::FetchOrder;
use crate::channel::circuit::{Circuit, Decision, Event};
use crate::channel::fence::{self, Fencing, Life, LinkName, Turn};
use crate::clock::{Clock, Randomness, random_16};
use crate::committer::bells::Bells;
use crate::committer::{CommitterHandle, Snapshot};
use crate::id::{ChannelId, LogId, NodeId};
use crate::keybook::{KeyBook, SigningKey};
use crate::limits::INTAKE_BYTES_MAX;
use crate::measure::Measures;
use crate::overload::quota::{Quotas, Rate};
use crate::refusal::{Refusal, RefusalCode};
use crate::signer::Signer;
use crate::suite::Suite;
use crate::threads::Threads;
use arc_swap::ArcSwap;
use certs::{Purpose, TrustStore};
use patrol::Patrol;
use proto::exchange::v1 as wire;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// Protocol versions that this release speaks.
pub const VERSION_MIN: u32 = 1;
/// See [`VERSION_MIN`].
pub const VERSION_MAX: u32 = 2;

/// A request for the peer's totals and where its answer goes.
pub type ReconcileAsk = (wire::ReconcileRequest, oneshot::Sender<wire::ReconcileReply>);

struct LiveLink {
    name: LinkName,
    fence: watch::Sender<Option<RefusalCode>>,
    reconcile: mpsc::Sender<ReconcileAsk>,
    dialled: bool,
    /// Nothing before this node has stated its copies: the first frame of either side is Open.
    outgoing: Option<mpsc::Sender<wire::Frame>>,
}

/// Until when a signing certificate is good, and the trust store that says so.
type Verdict = (Arc<TrustStore>, i64);

/// What all links of a node share.
pub struct Links {
    /// This node.
    pub me: NodeId,
    /// Suite of the logs.
    pub suite: Suite,
    /// Where commits are made.
    pub committer: CommitterHandle,
    /// Reads logs back.
    pub archive: Arc<Archive>,
    /// Signing certificates.
    pub keys: Arc<KeyBook>,
    /// The state after the last commit.
    pub snapshot: Arc<RwLock<Snapshot>>,
    /// Rung by commits, for those whom they concern.
    pub bells: Arc<Bells>,
    /// Trust, as of this moment.
    pub trust: Arc<ArcSwap<TrustStore>>,
    /// This node's key; rotation puts another in its place.
    signer: RwLock<Arc<dyn Signer>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub randomness: Arc<dyn Randomness>,
    /// What is told about links and batches.
    pub measures: Arc<Measures>,
    /// Where logs are read.
    pub threads: Threads,
    live: Mutex<BTreeMap<NodeId, LiveLink>>,
    bulk: Mutex<BTreeMap<NodeId, bulk::LiveBulk>>,
    /// Counts the times that a bulk link to dial was asked for.
    bulk_wanted: Mutex<HashMap<NodeId, watch::Sender<u64>>>,
    blobs: OnceLock<Arc<Blobs>>,
    changed: watch::Sender<u64>,
    /// Counts what comes and goes between this node and one peer.
    peer_changed: Mutex<HashMap<NodeId, watch::Sender<u64>>>,
    /// Times that a link looked for something to send, for each peer.
    looks: Mutex<BTreeMap<NodeId, Arc<AtomicU64>>>,
    /// Who looks after the standing of connected peers.
    patrol: Arc<Patrol>,
    /// The turn of the newest link.
    turns: tokio::sync::Mutex<Turn>,
    /// This process's.
    life: Life,
    /// Verdicts on signing certificates, each with the trust store that gave it. The store is held, so
    /// that no other can take its address.
    verified: Mutex<HashMap<Vec<u8>, Verdict>>,
    /// What each peer may send. Outlives its links: dialling anew gives nobody a new quota.
    quotas: Mutex<Quotas<NodeId>>,
    /// Bytes of batches that all links hold back.
    held: Semaphore,
    /// The circuits to the peers that this node dials.
    circuits: Mutex<BTreeMap<NodeId, Circuit>>,
}

/// The parts that [`Links::new`] takes.
pub struct LinksParts {
    /// See [`Links`].
    pub me: NodeId,
    /// See [`Links`].
    pub committer: CommitterHandle,
    /// See [`Links`].
    pub archive: Arc<Archive>,
    /// See [`Links`].
    pub keys: Arc<KeyBook>,
    /// See [`Links`].
    pub snapshot: Arc<RwLock<Snapshot>>,
    /// See [`Links`].
    pub bells: Arc<Bells>,
    /// See [`Links`].
    pub trust: Arc<ArcSwap<TrustStore>>,
    /// This node's key.
    pub signer: Arc<dyn Signer>,
    /// See [`Links`].
    pub clock: Arc<dyn Clock>,
    /// See [`Links`].
    pub randomness: Arc<dyn Randomness>,
    /// What one peer may send.
    pub peer_rate: Rate,
    /// See [`Links`].
    pub measures: Arc<Measures>,
    /// See [`Links`].
    pub threads: Threads,
}

impl Links {
    /// No link yet.
    pub fn new(parts: LinksParts) -> Self {
        Self {
            life: random_16(&*parts.randomness),
            me: parts.me,
            suite: parts.signer.public_key().suite,
            committer: parts.committer,
            archive: parts.archive,
            keys: parts.keys,
            snapshot: parts.snapshot,
            bells: parts.bells,
            trust: parts.trust,
            signer: RwLock::new(parts.signer),
            clock: parts.clock,
            randomness: parts.randomness,
            measures: parts.measures,
            threads: parts.threads,
            live: Mutex::default(),
            bulk: Mutex::default(),
            bulk_wanted: Mutex::default(),
            blobs: OnceLock::new(),
            changed: watch::Sender::new(0),
            peer_changed: Mutex::default(),
            looks: Mutex::default(),
            patrol: Arc::default(),
            turns: tokio::sync::Mutex::new(0),
            verified: Mutex::default(),
            quotas: Mutex::new(Quotas::new(parts.peer_rate, usize::MAX)),
            held: Semaphore::new(INTAKE_BYTES_MAX),
            circuits: Mutex::default(),
        }
    }

    /// This node's signing key as of this moment.
    pub fn signer(&self) -> Arc<dyn Signer> {
        Arc::clone(&self.signer.read().expect("no holder of the signing key panics"))
    }

    /// New links are opened with this key, and notes without a receipt are shown under it. Links that stand go on.
    pub fn use_signer(&self, signer: Arc<dyn Signer>) {
        *self.signer.write().expect("no holder of the signing key panics") = signer;
    }

    /// The log to a peer.
    pub fn out_log(&self, peer: NodeId) -> LogId {
        self.log_of(ChannelId { from: self.me, to: peer })
    }

    /// The log from a peer.
    pub fn in_log(&self, peer: NodeId) -> LogId {
        self.log_of(ChannelId { from: peer, to: self.me })
    }

    fn log_of(&self, channel: ChannelId) -> LogId {
        let snapshot = self.snapshot.read().expect("no holder of the snapshot panics");
        let (logs, peer) = if channel.from == self.me {
            (&snapshot.out, channel.to)
        } else {
            (&snapshot.inbound, channel.from)
        };
        logs.get(&peer).map_or(LogId { channel, epoch: 0 }, |log| log.log)
    }

    /// Whether a link to the peer stands.
    pub fn is_live(&self, peer: NodeId) -> bool {
        self.live.lock().expect("no holder of the links panics").contains_key(&peer)
    }

    /// Tells the circuit to a peer what happened, and hears what to do.
    pub fn circuit(&self, peer: NodeId, event: Event) -> Decision {
        let mut chance = [0; 2];
        self.randomness.fill(&mut chance);
        let now = self.clock.now();
        let mut circuits = self.circuits.lock().expect("no holder of the circuits panics");
        let circuit = circuits.entry(peer).or_insert_with(|| Circuit::new(now));
        let (next, decision) = circuit.after(event, now, u16::from_be_bytes(chance));
        if next.state != circuit.state {
            tracing::info!(%peer, was = circuit.state.name(), is = next.state.name(),
                failures = next.failures, "the circuit to a peer changed");
        }
        *circuit = next;
        decision
    }

    /// The circuits to the peers that this node dials.
    pub fn circuits(&self) -> BTreeMap<NodeId, Circuit> {
        self.circuits.lock().expect("no holder of the circuits panics").clone()
    }

    /// Changes whenever a link comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Changes whenever a link to this peer comes or goes.
    pub fn changes_of(&self, peer: NodeId) -> watch::Receiver<u64> {
        let mut changed = self.peer_changed.lock().expect("no holder of the counts panics");
        changed.entry(peer).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    fn tell_change(&self, peer: NodeId) {
        self.changed.send_modify(|count| *count += 1);
        let changed = self.peer_changed.lock().expect("no holder of the counts panics");
        if let Some(changed) = changed.get(&peer) {
            changed.send_modify(|count| *count += 1);
        }
    }

    fn looks(&self, peer: NodeId) -> Arc<AtomicU64> {
        let mut looks = self.looks.lock().expect("no holder of the counts panics");
        Arc::clone(looks.entry(peer).or_default())
    }

    /// How often the link to each peer has looked for entries to send: idle ones do not look.
    pub fn looks_of_links(&self) -> Vec<(NodeId, u64)> {
        let looks = self.looks.lock().expect("no holder of the counts panics");
        looks.iter().map(|(peer, count)| (*peer, count.load(Ordering::Relaxed))).collect()
    }

    /// Ends the link to a peer, so that both sides meet anew.
    pub fn close(&self, peer: NodeId, code: RefusalCode) {
        if let Some(link) = self.live.lock().expect("no holder of the links panics").get(&peer) {
            let _ = link.fence.send(Some(code));
        }
    }

    /// Ends every link.
    pub fn close_all(&self, code: RefusalCode) {
        for link in self.live.lock().expect("no holder of the links panics").values() {
            let _ = link.fence.send(Some(code));
        }
        for link in self.bulk.lock().expect("no holder of the links panics").values() {
            link.close(code);
        }
    }

    /// Gives the node its blobs; without them it neither fetches nor serves any.
    pub fn have_blobs(&self, blobs: Arc<Blobs>) {
        // Given twice, the first stays: links may be using it.
        let _ = self.blobs.set(blobs);
    }

    fn blobs(&self) -> Option<Arc<Blobs>> {
        self.blobs.get().cloned()
    }

    /// Whether a bulk link to the peer stands.
    pub fn is_bulk_live(&self, peer: NodeId) -> bool {
        self.bulk.lock().expect("no holder of the links panics").contains_key(&peer)
    }

    /// Changes when a bulk link to the peer should be dialled.
    pub fn bulk_wanted(&self, peer: NodeId) -> watch::Receiver<u64> {
        let mut wanted = self.bulk_wanted.lock().expect("no holder of the links panics");
        wanted.entry(peer).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    fn dial_bulk(&self, peer: NodeId) {
        let mut wanted = self.bulk_wanted.lock().expect("no holder of the links panics");
        wanted.entry(peer).or_insert_with(|| watch::Sender::new(0)).send_modify(|count| *count += 1);
    }

    /// Sees to it that a bulk link comes: whoever dialled the link for channels can dial.
    pub(crate) fn want_bulk(&self, peer: NodeId) {
        let asked = {
            let live = self.live.lock().expect("no holder of the links panics");
            live.get(&peer).map(|link| (link.dialled, link.outgoing.clone()))
        };
        match asked {
            Some((true, _)) => self.dial_bulk(peer),
            Some((false, Some(outgoing))) => {
                // A full queue is no harm: it is asked for again.
                let _ = outgoing.try_send(frame(wire::frame::Kind::BulkWanted(wire::BulkWanted {})));
            }
            // It is asked for again; by then Open is on its way.
            Some((false, None)) | None => {}
        }
    }

    /// This node's Open is on its way on that link: from now on others may send over it.
    fn has_spoken(&self, peer: NodeId, name: &LinkName, outgoing: mpsc::Sender<wire::Frame>) {
        let mut live = self.live.lock().expect("no holder of the links panics");
        if let Some(link) = live.get_mut(&peer).filter(|link| link.name == *name) {
            link.outgoing = Some(outgoing);
        }
        drop(live);
        self.tell_change(peer);
    }

    /// Hands a fetch to the bulk link of a peer; says whether there is one that takes it.
    pub(crate) fn order_fetch(&self, peer: NodeId, order: FetchOrder) -> bool {
        let bulk = self.bulk.lock().expect("no holder of the links panics");
        bulk.get(&peer).is_some_and(|link| link.order(order))
    }

    /// Asks a connected peer for its totals.
    ///
    /// # Errors
    /// [`RefusalCode::NotContacted`] when no link stands or it breaks before the answer.
    pub async fn ask_totals(
        &self,
        peer: NodeId,
        request: wire::ReconcileRequest,
    ) -> Result<wire::ReconcileReply, Refusal> {
        let gone = || Refusal::new(RefusalCode::NotContacted, format!("node={peer}"));
        let sender = {
            let live = self.live.lock().expect("no holder of the links panics");
            live.get(&peer).map(|link| link.reconcile.clone()).ok_or_else(gone)?
        };
        let (reply, answer) = oneshot::channel();
        sender.send((request, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// Takes the place of older links to the peer, or gives way to a newer one.
    fn register(
        self: &Arc<Self>,
        peer: NodeId,
        name: LinkName,
        reconcile: mpsc::Sender<ReconcileAsk>,
        dialled: bool,
        outgoing: Option<mpsc::Sender<wire::Frame>>,
    ) -> Result<(Registered, watch::Receiver<Option<RefusalCode>>), Refusal> {
        let mut live = self.live.lock().expect("no holder of the links panics");
        let standing = live.get(&peer);
        if fence::judge(standing.map(|link| &link.name), &name) == Fencing::GivesWay {
            return Err(RefusalCode::Fenced.into());
        }
        if let Some(older) = standing {
            let _ = older.fence.send(Some(RefusalCode::Fenced));
        }
        let (fence, fenced) = watch::channel(None);
        live.insert(peer, LiveLink { name, fence, reconcile, dialled, outgoing });
        let dials = self.circuits.lock().expect("no holder of the circuits panics").contains_key(&peer);
        if dials {
            self.circuit(peer, Event::Linked);
        }
        drop(live);
        self.tell_change(peer);
        Ok((Registered { links: Arc::clone(self), peer, name }, fenced))
    }

    /// Whether a signing certificate is trusted now for new signatures. The answer is kept for as long
    /// as the same trust store gives it.
    fn signing_key_trusted(&self, peer: NodeId, key: &SigningKey) -> Result<(), Refusal> {
        let trust = self.trust.load_full();
        let now = i64::try_from(self.clock.now().0).unwrap_or(i64::MAX);
        let leaf = key.chain.first().cloned().unwrap_or_default();
        {
            let verified = self.verified.lock().expect("no holder of the verdicts panics");
            if verified.get(&leaf).is_some_and(|(of, until)| Arc::ptr_eq(of, &trust) && now <= *until) {
                return Ok(());
            }
        }
        let chain: Vec<&[u8]> = key.chain.iter().map(Vec::as_slice).collect();
        let verdict = trust.verify(Purpose::Signing, &chain, now).map_err(|error| not_trusted(&error))?;
        if verdict.id.division.as_str() != peer.as_str() {
            return Err(Refusal::new(RefusalCode::WrongNode, "the signing certificate is another node's"));
        }
        let mut verified = self.verified.lock().expect("no holder of the verdicts panics");
        verified.insert(leaf, (trust, verdict.good_until_ms));
        Ok(())
    }
}

/// A link's place among the live ones. It gives the place up however its session ends, dropped included:
/// a dead link that stood on would fence others.
struct Registered {
    links: Arc<Links>,
    peer: NodeId,
    name: LinkName,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut live = self.links.live.lock().expect("no holder of the links panics");
        if live.get(&self.peer).is_some_and(|link| link.name == self.name) {
            live.remove(&self.peer);
        }
        drop(live);
        self.links.tell_change(self.peer);
    }
}

/// The refusal of a certificate, with the trust store's own code.
pub fn not_trusted(error: &certs::TrustError) -> Refusal {
    Refusal::new(RefusalCode::NotTrusted, format!("{}: {error}", error.code()))
}

fn frame(kind: wire::frame::Kind) -> wire::Frame {
    wire::Frame { kind: Some(kind) }
}
