//! The network between simulated nodes, cut at the port [`Dial`]: what TLS would carry are two streams of
//! frames. Who connects shows its certificate, and the other side's trust store judges it, as in the
//! handshake; after that the real links ask about its standing themselves.
//!
//! Within a stream nothing is lost or reordered by the network, as TCP and TLS have it: streams stall
//! behind a partition and break. What a *peer* might do is done at the same place: a frame that comes
//! twice, or not, or before the one that was before it.

use super::pki::pki;
use super::world::{Life, Site, World};
use gateway::id::NodeId;
use gateway::link;
use gateway::peer::{Dial, PeerStream};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::transport::standing::CertificateStanding;
use prost::Message as _;
use proto::exchange::v1 as wire;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

/// Frames that a stream holds at either end.
const FRAMES_QUEUED_MAX: usize = 16;
/// A stream that carried nothing for so long through a partition is given up, as by HTTP/2's pings.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// A dial into a partition fails after this.
const UNREACHED: Duration = Duration::from_secs(3);

/// What the network does, for one seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Weather {
    /// One way, ms.
    pub(super) latency: (u64, u64),
    /// Frames in a million that come twice.
    pub(super) twice: u64,
    /// Frames in a million that are lost within a stream.
    pub(super) lost: u64,
    /// Frames in a million that come before the one before.
    pub(super) swapped: u64,
}

#[derive(Default)]
pub(super) struct Network {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Directions in which nothing arrives, and until when.
    blocked: BTreeMap<(usize, usize), Instant>,
    lines: BTreeMap<u64, Line>,
    next: u64,
    calm: bool,
    /// Added to every latency until then.
    slow: Option<(Instant, u64)>,
}

struct Line {
    ends: [usize; 2],
    pipes: Vec<AbortHandle>,
}

impl Network {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the network panics")
    }

    /// Nothing goes from one to the other until then.
    pub(super) fn block(&self, from: usize, to: usize, until: Instant) {
        self.inner().blocked.insert((from, to), until);
    }

    fn blocked(&self, from: usize, to: usize) -> Option<Instant> {
        let until = self.inner().blocked.get(&(from, to)).copied();
        until.filter(|until| *until > Instant::now())
    }

    pub(super) fn slow_down(&self, until: Instant, millis: u64) {
        self.inner().slow = Some((until, millis));
    }

    /// Frames are left alone, or not.
    pub(super) fn spare_frames(&self, spared: bool) {
        self.inner().calm = spared;
    }

    /// All is well from now on, and every stream begins anew.
    pub(super) fn calm(&self) {
        let mut inner = self.inner();
        inner.calm = true;
        inner.slow = None;
        inner.blocked.clear();
        for line in inner.lines.values() {
            line.pipes.iter().for_each(AbortHandle::abort);
        }
    }

    /// Cuts the streams of a node, or one of all; says how many.
    pub(super) fn cut(&self, chosen: impl Fn(u64, [usize; 2]) -> bool) -> usize {
        let inner = self.inner();
        let lines = inner.lines.iter().filter(|(number, line)| chosen(**number, line.ends));
        lines.map(|(_, line)| line.pipes.iter().for_each(AbortHandle::abort)).count()
    }

    pub(super) fn lines(&self) -> Vec<u64> {
        self.inner().lines.keys().copied().collect()
    }

    fn latency(&self, world: &World) -> Duration {
        let weather = &world.plan.weather;
        let extra = self.inner().slow.filter(|(until, _)| *until > Instant::now()).map_or(0, |(_, ms)| ms);
        world.net_dice.millis(weather.latency.0, weather.latency.1 + extra)
    }
}

/// Reaches one node from another.
pub(super) struct SimulatedDial {
    pub(super) world: Weak<World>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) node: NodeId,
    pub(super) life: Weak<Life>,
}

/// A stream that stands as long as this is held.
pub(super) struct Connection {
    world: Weak<World>,
    number: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What is on its way still arrives: the pipes end with their streams.
        if let Some(world) = self.world.upgrade() {
            world.network.inner().lines.remove(&self.number);
        }
    }
}

impl Dial for SimulatedDial {
    type Connection = Connection;

    fn peer(&self) -> NodeId {
        self.node
    }

    fn address(&self) -> &str {
        "simulated"
    }

    async fn connect(&self) -> Result<(Connection, PeerStream), Refusal> {
        let unreached = |why: &str| Refusal::new(RefusalCode::NotContacted, why);
        let (world, life) = (self.world.upgrade(), self.life.upgrade());
        let (Some(world), Some(own)) = (world, life) else { return Err(unreached("over")) };
        let network = &world.network;
        sleep(network.latency(&world)).await;
        if network.blocked(self.from, self.to).is_some() || network.blocked(self.to, self.from).is_some() {
            sleep(UNREACHED).await;
            return Err(unreached("partition"));
        }
        let (here, there) = (&world.sites[self.from], &world.sites[self.to]);
        let Some(other) = there.life() else { return Err(unreached("nobody listens")) };
        // Each shows its certificate to the other.
        let (mine, theirs) = (here.tls(), there.tls());
        let (standing, peer) = standing(here, self.to, theirs)?;
        let (standing_there, peer_there) = self::standing(there, self.from, mine)?;
        sleep(network.latency(&world)).await;
        let (dialler, acceptor) = (Arc::clone(&own), Arc::clone(&other));
        let (out, in_there, one) = pipe(&world, [self.from, self.to], theirs);
        let (out_there, incoming, two) = pipe(&world, [self.to, self.from], mine);
        let number = {
            let mut inner = network.inner();
            inner.next += 1;
            let number = inner.next;
            inner.lines.insert(number, Line { ends: [self.from, self.to], pipes: vec![one, two] });
            number
        };
        world.trace.event(("line", number, self.from, self.to), || {
            format!("line {number}: {} dials {}", here.id, there.id)
        });
        let mut binding = [0; 32];
        binding[..8].copy_from_slice(&number.to_be_bytes());
        let accepted = PeerStream {
            peer: peer_there,
            dialled: false,
            binding,
            incoming: in_there,
            outgoing: out_there,
            standing: Arc::new(standing_there),
        };
        let links = acceptor.gateway.links();
        let (told, node) = (Arc::downgrade(&world), there.id);
        acceptor.spawn(async move {
            let ended = link::run(links, accepted).await;
            if let Some(world) = told.upgrade() {
                let why = ended.err().map(|refusal| (refusal.code, refusal.detail));
                world.trace.event(("accepted ends", number, why.as_ref().map(|why| why.0.code())), || {
                    format!("line {number}: ends at {node}, who accepted it: {why:?}")
                });
            }
        });
        drop(dialler);
        let stream = PeerStream {
            peer,
            dialled: true,
            binding,
            incoming,
            outgoing: out,
            standing: Arc::new(standing),
        };
        Ok((Connection { world: Weak::clone(&self.world), number }, stream))
    }
}

/// What `site`'s trust says of the certificate that `peer` shows.
fn standing(site: &Arc<Site>, peer: usize, number: usize) -> Result<(CertificateStanding, NodeId), Refusal> {
    let clock = Arc::clone(&site.clock);
    let clock: gateway::transport::tls::Clock =
        Arc::new(move || i64::try_from(gateway::clock::Clock::now(&*clock).0).unwrap_or(i64::MAX));
    CertificateStanding::new(pki().chain(peer, number), Arc::clone(&site.trust), clock)
}

type Incoming = gateway::peer::Incoming;

/// One direction. `certificate` is the one that the receiver showed.
fn pipe(
    world: &Arc<World>,
    [from, to]: [usize; 2],
    certificate: usize,
) -> (mpsc::Sender<wire::Frame>, Incoming, AbortHandle) {
    let (near, out) = mpsc::channel(FRAMES_QUEUED_MAX);
    let (into, far) = mpsc::channel(FRAMES_QUEUED_MAX);
    let task = tokio::spawn(carry(Arc::downgrade(world), [from, to], certificate, out, into));
    (near, Box::pin(ReceiverStream::new(far)), task.abort_handle())
}

async fn carry(
    world: Weak<World>,
    ends: [usize; 2],
    certificate: usize,
    mut out: mpsc::Receiver<wire::Frame>,
    into: mpsc::Sender<Result<wire::Frame, String>>,
) {
    let mut way: VecDeque<(Instant, wire::Frame)> = VecDeque::new();
    let mut open = true;
    let mut last = Instant::now();
    while open || !way.is_empty() {
        let arrives = way.front().map(|(at, _)| *at);
        let room = open && way.len() < FRAMES_QUEUED_MAX;
        tokio::select! {
            biased;
            () = sleep_until(arrives.unwrap_or(last)), if arrives.is_some() => {
                let Some((_, frame)) = way.pop_front() else { continue };
                if !passes(&world, ends).await {
                    let _ = into.try_send(Err("no ping was answered".to_owned()));
                    return;
                }
                if let Some(world) = world.upgrade() {
                    world.arrives(ends, &frame);
                }
                if into.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
            frame = out.recv(), if room => match frame {
                None => open = false,
                Some(frame) => {
                    let Some(world) = world.upgrade() else { return };
                    world.sent(ends, certificate, &frame);
                    // In order, whatever the latency of each.
                    last = last.max(Instant::now() + world.network.latency(&world));
                    for (place, frame) in world.mischief(ends, frame) {
                        let behind = way.len();
                        way.insert(behind - place.min(behind), (last, frame));
                    }
                }
            },
        }
    }
}

/// Waits behind a partition; says whether the stream still stands then.
async fn passes(world: &Weak<World>, [from, to]: [usize; 2]) -> bool {
    let since = Instant::now();
    loop {
        let Some(world) = world.upgrade() else { return false };
        let Some(until) = world.network.blocked(from, to) else { return true };
        drop(world);
        sleep_until(until.min(since + KEEPALIVE)).await;
        if since.elapsed() >= KEEPALIVE {
            return false;
        }
    }
}

impl World {
    /// What becomes of a frame: how many places before the end of what is on its way, and which.
    fn mischief(&self, [from, to]: [usize; 2], frame: wire::Frame) -> Vec<(usize, wire::Frame)> {
        use wire::frame::Kind;
        let weather = &self.plan.weather;
        // The first and the last words of a stream are left alone: without them there is none.
        let spared = matches!(&frame.kind, Some(Kind::Open(_) | Kind::Close(_)) | None);
        if self.network.inner().calm || spared {
            return vec![(0, frame)];
        }
        let name = |what: &str| format!("a frame of {} to {} {what}", self.sites[from].id, self.sites[to].id);
        if self.net_dice.happens(weather.twice) {
            self.fault("frame twice", || name("comes twice"));
            return vec![(0, frame.clone()), (0, frame)];
        }
        if self.net_dice.happens(weather.lost) {
            self.fault("frame lost", || name("is lost"));
            return Vec::new();
        }
        if self.net_dice.happens(weather.swapped) {
            self.fault("frame swapped", || name("overtakes"));
            return vec![(1, frame)];
        }
        vec![(0, frame)]
    }

    /// A frame leaves a node.
    fn sent(&self, [from, to]: [usize; 2], certificate: usize, frame: &wire::Frame) {
        use wire::frame::Kind;
        let bytes = frame.encode_to_vec();
        self.trace.event((from, to, &bytes), || {
            format!("{} → {}: {}", self.sites[from].id, self.sites[to].id, told(frame))
        });
        self.record().witness(self, self.sites[from].id, frame);
        if !matches!(&frame.kind, Some(Kind::Close(_)))
            && let Some(since) = self.sites[from].distrusts(to, certificate)
            && since.elapsed() > Duration::from_secs(1)
            && self.stands(from, to)
        {
            self.violated(
                "5 a revoked peer gets nothing after a second",
                format!(
                    "{} still sends to {} {} ms after it stopped trusting it",
                    self.sites[from].id,
                    self.sites[to].id,
                    since.elapsed().as_millis()
                ),
            );
        }
    }

    /// Whether a node holds a link to another. What a link that has ended had handed to its stream before, and
    /// what lay there behind a partition, is not held against it.
    fn stands(&self, from: usize, to: usize) -> bool {
        let peer = self.sites[to].id;
        let links = self.sites[from].life().map(|life| life.gateway.links());
        links.is_some_and(|links| links.is_live(peer) || links.is_bulk_live(peer))
    }

    fn arrives(&self, [from, to]: [usize; 2], frame: &wire::Frame) {
        self.trace.event(("arrives", from, to, frame.encoded_len()), || {
            format!("{} ⇒ {}: {}", self.sites[from].id, self.sites[to].id, told(frame))
        });
    }
}

fn told(frame: &wire::Frame) -> String {
    use wire::frame::Kind::*;
    let note = |bytes: &[u8]| {
        let note = gateway::log::checkpoint::Note::parse(bytes).ok();
        note.map_or_else(
            || "no note".to_owned(),
            |note| {
                let checkpoint = note.checkpoint();
                let root: String = checkpoint.root[..3].iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{} size {} root {root}", checkpoint.log.channel, checkpoint.size)
            },
        )
    };
    match &frame.kind {
        Some(Open(open)) => {
            let state = |state: &Option<wire::LogState>| state.as_ref().map_or(0, |state| state.size);
            format!("Open, own log {}, copy {}", state(&open.outbound), state(&open.inbound))
        }
        Some(Batch(batch)) => {
            format!(
                "Batch from {}, {} entries, {}",
                batch.first,
                batch.entries.len(),
                note(&batch.checkpoint)
            )
        }
        Some(Cosigned(cosigned)) => format!("Cosigned {}", note(&cosigned.checkpoint)),
        Some(Recover(recover)) => format!("Recover from {}", recover.first),
        Some(Recovered(back)) => {
            format!("Recovered from {}, {} entries, last {}", back.first, back.entries.len(), back.last)
        }
        Some(Close(close)) => format!("Close {}", close.code),
        Some(other) => {
            let text = format!("{other:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
        None => "nothing".to_owned(),
    }
}
