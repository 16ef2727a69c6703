//! Two nodes in one process: real committers, links, signatures and documents over disks in memory
//! and queues in place of TLS. Nothing sleeps: a test awaits a state of the nodes, and the clock
//! stands where the test puts it.

use arc_swap::ArcSwap;
use bytes::Bytes;
use certs::{Anchor, AnchorState, Purpose, Revocation, TrustDomain, TrustStore};
use devpki::{Issued, KeyKind, Province};
use gateway::archive::Archive;
use gateway::channel::possession::{Binding, Claim};
use gateway::clock::{Clock as _, ManualClock, Randomness};
use gateway::committer::bells::{Bells, Listener, Topic};
use gateway::committer::ledger::{Documents, read_case};
use gateway::committer::{
    self, Command, CommitError, CommitterHandle, Core, Ports, Snapshot, Submission, Submitted,
};
use gateway::document::{document_digest, pre_authentication_encoding};
use gateway::entry::{Header, RawEntry, body, body_digest};
use gateway::id::{CaseId, ChannelId, Kind, LogId, LogPosition, MessageId, NodeId};
use gateway::keybook::SigningKey;
use gateway::link::{self, Links, LinksParts};
use gateway::log::checkpoint::{Checkpoint, Note};
use gateway::log::leaf::leaf_hash;
use gateway::log::tree::Frontier;
use gateway::overload::Bounds;
use gateway::peer::{PeerStream, Standing};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::agreement::Agreement;
use gateway::service::case::Case;
use gateway::service::date::Date;
use gateway::service::standard::Standard;
use gateway::signer::{FileSigner, Signer};
use gateway::store::journal::Options;
use gateway::store::memory::{Crash, MemoryDisk, Unsynced};
use gateway::store::{Index as _, Journal as _, JournalReader, Position, Table};
use gateway::suite::{Hash, PublicKey};
use gateway::threads::Threads;
use gateway::time::UnixMillis;
use gateway::wire::document::Document as _;
use gateway::wire::envelope::Envelope;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::store::v1 as stored;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// 2026-11-24 in China.
pub const NOW: UnixMillis = UnixMillis(1_795_500_000_000);
/// 岳阳.
pub const HUNAN: &str = "430600";
/// 咸宁.
pub const HUBEI: &str = "421200";
/// Received in Hunan, decided in Hubei.
pub const ITEM: &str = "KST027";
/// Received in Hubei, decided in Hunan.
pub const ITEM_BACK: &str = "KST071";
/// How long a condition may take to come true on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Numbers that follow from a seed (xorshift64*).
pub struct Seeded(Mutex<u64>);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0..bound.
    pub fn below(&self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }
}

impl Randomness for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The standing of a peer's certificate, which a test takes away.
#[derive(Default)]
pub struct Switch(AtomicBool);

impl Switch {
    pub fn revoke(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Standing for Switch {
    fn check(&self) -> Result<(), Refusal> {
        if self.0.load(Ordering::SeqCst) { Err(RefusalCode::NotTrusted.into()) } else { Ok(()) }
    }
}

/// Remembers every checkpoint that ever crossed: one root for one size of a log.
#[derive(Default)]
pub struct Witness(Mutex<HashMap<(LogId, u64), Hash>>);

impl Witness {
    fn note(&self, bytes: &[u8]) {
        let Ok(note) = Note::parse(bytes) else { return };
        let checkpoint = note.checkpoint();
        let mut roots = self.0.lock().unwrap();
        let root = *roots.entry((checkpoint.log, checkpoint.size)).or_insert(checkpoint.root);
        assert_eq!(root, checkpoint.root, "two roots for {} of {}", checkpoint.size, checkpoint.log);
    }

    fn see(&self, frame: &wire::Frame) {
        use wire::frame::Kind::*;
        match &frame.kind {
            Some(Open(open)) => {
                for state in [&open.outbound, &open.inbound].into_iter().flatten() {
                    self.note(&state.checkpoint);
                    self.note(&state.cosigned);
                }
            }
            Some(Batch(batch)) => self.note(&batch.checkpoint),
            Some(Cosigned(cosigned)) => self.note(&cosigned.checkpoint),
            Some(Recovered(recovered)) => self.note(&recovered.checkpoint),
            _ => {}
        }
    }
}

/// The two hierarchies and signing certificates: made once, they cost more than a test.
struct Pki {
    hunan: Province,
    hubei: Province,
    keys: BTreeMap<(&'static str, &'static str), Issued>,
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let now = NOW.0 as i64;
        let hunan = Province::new("hunan.tongban", &["43"], now).unwrap().with_sm2().unwrap();
        let hubei = Province::new("hubei.tongban", &["42"], now).unwrap().with_sm2().unwrap();
        let keys = [
            ((HUNAN, "p256"), hunan.signing(HUNAN, KeyKind::P256).unwrap()),
            ((HUBEI, "p256"), hubei.signing(HUBEI, KeyKind::P256).unwrap()),
            ((HUNAN, "sm2"), hunan.signing(HUNAN, KeyKind::Sm2).unwrap()),
            ((HUBEI, "sm2"), hubei.signing(HUBEI, KeyKind::Sm2).unwrap()),
        ];
        Pki { hunan, hubei, keys: keys.into() }
    })
}

fn domain(province: &Province) -> TrustDomain {
    let prefixes = province.prefixes().iter().map(|prefix| prefix.parse().unwrap()).collect();
    let roots = [Some(province.root_der()), province.sm2_root_der()].into_iter().flatten();
    let anchors = roots.map(|root| Anchor::from_der(root, AnchorState::Active).unwrap()).collect();
    TrustDomain::new(province.name().parse().unwrap(), prefixes, anchors, Revocation::None).unwrap()
}

/// A trust store of both provinces, in which those divisions are suspended.
pub fn trust(suspended: &[&str]) -> TrustStore {
    let mut domains = vec![domain(&pki().hunan), domain(&pki().hubei)];
    for division in suspended {
        let of = domains.iter_mut().find(|domain| domain.speaks_for(division.parse().unwrap())).unwrap();
        of.suspend(division.parse().unwrap()).unwrap();
    }
    TrustStore::new(domains).unwrap()
}

/// A node's signing key of that kind: P-256 or SM2.
pub fn signer(node: &str, kind: KeyKind) -> FileSigner {
    let issued = &pki().keys[&(node, if kind == KeyKind::Sm2 { "sm2" } else { "p256" })];
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let verified = trust(&[]).verify(Purpose::Signing, &chain, NOW.0 as i64).unwrap();
    let key = PublicKey::from_spki(&verified.spki_der).unwrap();
    FileSigner::new(verified.id.to_string(), key, issued.chain_der.clone(), &issued.key_der).unwrap()
}

/// Another key under the name of a node, from the same province: nobody has seen its certificate.
pub fn stranger(node: &str) -> FileSigner {
    let province = if node == HUNAN { &pki().hunan } else { &pki().hubei };
    let issued = province.signing(node, KeyKind::P256).unwrap();
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let verified = trust(&[]).verify(Purpose::Signing, &chain, NOW.0 as i64).unwrap();
    let key = PublicKey::from_spki(&verified.spki_der).unwrap();
    FileSigner::new(verified.id.to_string(), key, issued.chain_der.clone(), &issued.key_der).unwrap()
}

pub fn node(code: &str) -> NodeId {
    code.parse().unwrap()
}

/// What of a node outlives its process.
pub struct Site {
    pub me: NodeId,
    pub peer: NodeId,
    pub disk: MemoryDisk,
    pub signer: Arc<FileSigner>,
    pub trust: Arc<ArcSwap<TrustStore>>,
    pub clock: Arc<ManualClock>,
    pub random: Arc<Seeded>,
    pub witness: Arc<Witness>,
}

/// Both cities.
pub struct World {
    pub hunan: Site,
    pub hubei: Site,
    pub clock: Arc<ManualClock>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with_keys(seed, KeyKind::P256)
    }

    /// Both sign with keys of that kind.
    pub fn with_keys(seed: u64, kind: KeyKind) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let random = Arc::new(Seeded::new(seed + 1));
        let witness = Arc::new(Witness::default());
        let site = |me: &str, peer: &str| Site {
            me: node(me),
            peer: node(peer),
            disk: MemoryDisk::new(),
            signer: Arc::new(signer(me, kind)),
            trust: Arc::new(ArcSwap::from_pointee(trust(&[]))),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            witness: Arc::clone(&witness),
        };
        Self { hunan: site(HUNAN, HUBEI), hubei: site(HUBEI, HUNAN), clock: Arc::clone(&clock) }
    }

    /// Moves both clocks.
    pub fn pass(&self, millis: u64) {
        self.clock.set(self.clock.now().plus_millis(millis));
    }

    /// Both nodes, started and connected, with the standards and the agreement in effect.
    pub async fn agreed(&self) -> (Node, Node, Line) {
        let (hunan, hubei) = (self.hunan.start(), self.hubei.start());
        let line = connect(&hunan, &hubei);
        conclude(&hunan, &hubei).await;
        (hunan, hubei, line)
    }
}

impl Site {
    pub fn out(&self) -> ChannelId {
        ChannelId { from: self.me, to: self.peer }
    }

    /// Opens the store and starts the committer.
    pub fn open(&self) -> Result<Node, CommitError> {
        let index = Arc::new(self.disk.open_index());
        let options = Options {
            known_durable: index.reflects()?,
            segment_bytes: 256 * 1024,
            ..Options::new(self.random.next())
        };
        let (journal, _) = self.disk.open_journal(options).map_err(CommitError::Journal)?;
        let reader = journal.reader();
        let ports = Ports {
            journal: Box::new(journal),
            index,
            signer: Arc::clone(&self.signer) as Arc<dyn Signer>,
            clock: Arc::clone(&self.clock) as _,
            randomness: Arc::clone(&self.random) as _,
            alias_key: [7; 32],
            // The disk here has as much room as a test gives it: full means full.
            bounds: Bounds { disk_low_bytes: 0, ..Bounds::default() },
            measures: Arc::default(),
        };
        let (mut core, replayed) = Core::open(self.me, vec![self.peer], ports, |_| ())?;
        let own = SigningKey {
            name: self.signer.name().to_owned(),
            key: self.signer.public_key().clone(),
            chain: self.signer.chain().to_vec(),
        };
        let own = Command::SigningKey { node: self.me, key: own, proven: false, reply: oneshot::channel().0 };
        core.commit(&mut [own].into_iter().collect())?;
        let (archive, documents, keys) = (core.archive(), core.documents(), core.keys());
        let (snapshot, bells) = (core.snapshot(), core.bells());
        let (stop, stopped) = oneshot::channel();
        let (committer, _) = committer::spawn(core, stop).unwrap();
        let links = Arc::new(Links::new(LinksParts {
            me: self.me,
            committer: committer.clone(),
            archive: Arc::clone(&archive),
            keys,
            snapshot: Arc::clone(&snapshot),
            bells: Arc::clone(&bells),
            trust: Arc::clone(&self.trust),
            signer: Arc::clone(&self.signer) as Arc<dyn Signer>,
            clock: Arc::clone(&self.clock) as _,
            randomness: Arc::clone(&self.random) as _,
            peer_rate: Bounds::default().peer,
            measures: Arc::default(),
            threads: Threads::Many,
        }));
        Ok(Node {
            me: self.me,
            peer: self.peer,
            committer,
            links,
            archive,
            documents,
            snapshot,
            bells,
            stopped: Mutex::new(stopped),
            reader,
            signer: Arc::clone(&self.signer),
            clock: Arc::clone(&self.clock),
            witness: Arc::clone(&self.witness),
            replayed: replayed.frames,
        })
    }

    pub fn start(&self) -> Node {
        self.open().unwrap()
    }

    /// The process dies and starts again; what was written and not synced is as `unsynced` says.
    pub fn restart(&self, unsynced: Unsynced, index_batches_lost: usize) -> Node {
        self.disk.plan(Default::default());
        self.disk.crash(Crash { unsynced, index_batches_lost });
        self.start()
    }
}

/// A running node.
pub struct Node {
    pub me: NodeId,
    pub peer: NodeId,
    pub committer: CommitterHandle,
    pub links: Arc<Links>,
    pub archive: Arc<Archive>,
    pub documents: Arc<RwLock<Documents>>,
    pub snapshot: Arc<RwLock<Snapshot>>,
    pub bells: Arc<Bells>,
    pub stopped: Mutex<oneshot::Receiver<Result<(), CommitError>>>,
    pub reader: Arc<dyn JournalReader>,
    pub signer: Arc<FileSigner>,
    pub clock: Arc<ManualClock>,
    pub witness: Arc<Witness>,
    pub replayed: u64,
}

/// A message as a test writes it.
pub fn message(to: NodeId, kind: Kind, payload: Vec<u8>) -> Submission {
    Submission {
        to,
        message_id: None,
        alias: None,
        kind,
        case_id: None,
        in_reply_to: None,
        agreement: None,
        standard: None,
        expires: None,
        payload: payload.into(),
    }
}

impl Node {
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Refusal> {
        self.committer.ask(|reply| Command::Submit { submission, reply }).await
    }

    /// Submits an act of a case.
    pub async fn act(&self, case: &str, kind: Kind, payload: Vec<u8>) -> Result<Submitted, Refusal> {
        self.submit(case_message(self.peer, case, kind, payload)).await
    }

    pub async fn resume(&self, channel: ChannelId) {
        let reason = "compared".to_owned();
        self.committer.ask(|reply| Command::Resume { channel, reason, reply }).await.unwrap();
    }

    /// How the committer ended, when it did.
    pub fn end(&self) -> Option<Result<(), CommitError>> {
        self.stopped.lock().unwrap().try_recv().ok()
    }

    /// Waits for changes of either log with the peer.
    fn listen(&self) -> Listener {
        self.bells.listen([Topic::Peer(self.peer)])
    }

    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.read().unwrap().clone()
    }

    /// Awaits a state of this node; false when the committer ends before.
    pub async fn reaches(&self, holds: impl Fn(&Snapshot) -> bool) -> bool {
        let listener = self.listen();
        let wait = async {
            while !holds(&self.snapshot()) {
                if listener.rung().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("a state is reached or the committer ends")
    }

    /// Awaits a link to the peer.
    pub async fn is_linked(&self) {
        let mut changes = self.links.changes();
        let wait = async {
            while !self.links.is_live(self.peer) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("a link stands");
    }

    /// Awaits the committer's end.
    pub async fn ends(&self) {
        let listener = self.listen();
        while listener.rung().await.is_ok() {}
    }

    /// Whether the committer ended. Asks it, so that a fault on its way is noticed.
    pub async fn broken(&self) -> bool {
        let consumer = "rig".to_owned();
        let next = LogPosition { epoch: 0, index: 0 };
        self.committer
            .ask(|reply| Command::Acknowledge { consumer, from: self.peer, next, reply })
            .await
            .is_err()
    }

    /// Awaits a state of this node.
    pub async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) {
        let listener = self.listen();
        let wait = async {
            while !holds(&self.snapshot()) {
                listener.rung().await.unwrap_or_else(|_| panic!("{} ended before {what}", self.me));
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("{what} did not come true; {}", self.told());
        }
    }

    /// The state of both logs in a line.
    pub fn told(&self) -> String {
        let log = |log: committer::LogSnapshot| {
            let size = |note: Option<Note>| note.map(|note| note.checkpoint().size);
            format!(
                "{} size={} note={:?} cosigned={:?} staged={} contacted={} stopped={:?}",
                log.log,
                log.size,
                size(log.checkpoint),
                size(log.cosigned),
                log.staged,
                log.contacted,
                log.stopped
            )
        };
        let live = self.links.is_live(self.peer);
        format!("{} live={live} {:?}: {} | {}", self.me, self.end(), log(self.out()), log(self.inbound()))
    }

    pub fn out(&self) -> committer::LogSnapshot {
        self.snapshot().out[&self.peer].clone()
    }

    pub fn inbound(&self) -> committer::LogSnapshot {
        self.snapshot().inbound[&self.peer].clone()
    }

    /// All entries of a log, with their verdicts where this node judged them.
    pub fn entries(&self, log: LogId) -> Vec<(RawEntry, String)> {
        let mut entries = Vec::new();
        while let Some(batch) = self.archive.batch(log, entries.len() as u64).unwrap() {
            let verdicts = batch.verdicts.into_iter().chain(std::iter::repeat(String::new()));
            entries.extend(batch.entries.into_iter().zip(verdicts));
        }
        entries
    }

    /// Verdicts of the inbound log, in order.
    pub fn verdicts(&self) -> Vec<String> {
        self.entries(self.inbound().log).into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// Kinds of the entries of the outbound log.
    pub fn sent(&self) -> Vec<(String, MessageId)> {
        self.headers(self.out().log).into_iter().map(|header| (header.kind, header.message_id)).collect()
    }

    pub fn headers(&self, log: LogId) -> Vec<Header> {
        let entries = self.entries(log);
        entries.iter().filter_map(|(raw, _)| Header::parse(&raw.header).ok()).collect()
    }

    /// The refusals in a log: which index, and the code.
    pub fn refusals(&self, log: LogId) -> Vec<(u64, String)> {
        let mut refusals = Vec::new();
        for (raw, _) in self.entries(log) {
            let Ok(header) = Header::parse(&raw.header) else { continue };
            if header.kind == Kind::Refusal.name() {
                let payload = gateway::entry::payload(&raw.body.unwrap()).unwrap();
                let refusal = wire::Refusal::decode(payload).unwrap();
                refusals.push((refusal.refused_index, refusal.code));
            }
        }
        refusals
    }

    pub fn case(&self, id: &str) -> Case {
        read_case(&self.archive, &id.parse().unwrap()).unwrap().unwrap().fold()
    }

    /// All cases as far as they crossed: what both nodes must fold alike.
    pub fn cases(&self) -> BTreeMap<String, Case> {
        let rows = self.archive.rows(Table::Case, &[]).unwrap();
        let mut cases = BTreeMap::new();
        for (key, _) in rows {
            let id: CaseId = std::str::from_utf8(&key).unwrap().parse().unwrap();
            let mut book = read_case(&self.archive, &id).unwrap().unwrap();
            book.facts.retain(|fact| !fact.local);
            // A case whose forward was refused stands at the receiving place only.
            if !book.facts.is_empty() {
                cases.insert(id.to_string(), book.fold());
            }
        }
        cases
    }

    /// Everything journalled, in order.
    pub fn facts(&self) -> Vec<stored::fact::Kind> {
        let mut facts = Vec::new();
        self.reader
            .replay(Position::START, None, &mut |frame| {
                let commit = stored::Commit::decode(frame.meta).unwrap();
                facts.extend(commit.facts.into_iter().filter_map(|fact| fact.kind));
                Ok(())
            })
            .unwrap();
        facts
    }

    pub fn alarms(&self) -> usize {
        self.facts().iter().filter(|fact| matches!(fact, stored::fact::Kind::Alarm(_))).count()
    }

    pub fn stops(&self) -> Vec<stored::Stop> {
        let stop = |fact| match fact {
            stored::fact::Kind::Stop(stop) => Some(stop),
            _ => None,
        };
        self.facts().into_iter().filter_map(stop).collect()
    }

    /// Every row of every table.
    pub fn rows(&self) -> Rows {
        let mut rows = BTreeMap::new();
        for table in Table::ALL {
            for (key, value) in self.archive.rows(table, &[]).unwrap() {
                rows.insert((table, key.to_vec()), value.to_vec());
            }
        }
        rows
    }
}

/// All rows of an index.
pub type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Checks that two indexes are equal; names the rows that are not.
pub fn same_rows(one: &Rows, other: &Rows) {
    let keys = one.keys().chain(other.keys());
    let text = |value: Option<&Vec<u8>>| value.map(|value| String::from_utf8_lossy(value).into_owned());
    let differ = keys
        .filter(|key| one.get(*key) != other.get(*key))
        .map(|key| {
            let name = String::from_utf8_lossy(&key.1);
            format!("{:?} {name:?}: {:?} | {:?}", key.0, text(one.get(key)), text(other.get(key)))
        })
        .collect::<Vec<_>>();
    assert!(differ.is_empty(), "rows differ: {differ:#?}");
}

/// What happens to frames on their way: who sent one, and what arrives in its place.
pub type Tap = Arc<dyn Fn(NodeId, wire::Frame) -> Vec<wire::Frame> + Send + Sync>;

/// A link between the two, as long as it is held.
pub struct Line {
    /// How each side's `run` ended: the dialler's, then the acceptor's.
    pub ends: Option<[JoinHandle<Result<(), Refusal>>; 2]>,
    pipes: [JoinHandle<()>; 2],
}

impl Line {
    /// Cuts it.
    pub fn cut(&self) {
        for pipe in &self.pipes {
            pipe.abort();
        }
    }

    /// Cuts it and awaits that neither side has a part in it any more. A link that is only dropped may
    /// still fence the next one, which nobody here dials again.
    pub async fn hang_up(mut self) {
        self.cut();
        for end in self.ends.take().into_iter().flatten() {
            end.abort();
            let _ = end.await;
        }
    }

    /// Awaits the end of both sides.
    pub async fn ended(mut self) -> [Result<(), Refusal>; 2] {
        let [dialler, acceptor] = self.ends.take().unwrap();
        let both = async { [dialler.await.unwrap(), acceptor.await.unwrap()] };
        tokio::time::timeout(DEADLINE, both).await.expect("both sides of a link end")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        for end in self.ends.iter().flatten() {
            end.abort();
        }
    }
}

pub fn connect(dialler: &Node, acceptor: &Node) -> Line {
    connect_with(dialler, acceptor, Arc::default(), Arc::new(|_, frame| vec![frame]))
}

pub fn connect_with(dialler: &Node, acceptor: &Node, standing: Arc<Switch>, tap: Tap) -> Line {
    // A link dialled later has a later name.
    dialler.clock.set(dialler.clock.now().plus_millis(1));
    let pipe = |from: &Node| {
        let (near, mut out) = mpsc::channel(4);
        let (into, far) = mpsc::channel(4);
        let (tap, from, witness) = (Arc::clone(&tap), from.me, Arc::clone(&from.witness));
        let pipe = tokio::spawn(async move {
            while let Some(frame) = out.recv().await {
                for frame in tap(from, frame) {
                    witness.see(&frame);
                    if into.send(frame).await.is_err() {
                        return;
                    }
                }
            }
        });
        (near, far, pipe)
    };
    let (dialler_out, acceptor_in, one) = pipe(dialler);
    let (acceptor_out, dialler_in, other) = pipe(acceptor);
    let end = |node: &Node, dialled, outgoing, incoming| {
        let stream = stream(node.peer, dialled, outgoing, incoming, Arc::clone(&standing));
        let (links, me) = (Arc::clone(&node.links), node.me);
        tokio::spawn(async move {
            let end = link::run(links, stream).await;
            if std::env::var_os("TONGBAN_RIG_TALKS").is_some() {
                eprintln!("{me}: link ended: {end:?}");
            }
            end
        })
    };
    let ends = [end(dialler, true, dialler_out, dialler_in), end(acceptor, false, acceptor_out, acceptor_in)];
    Line { ends: Some(ends), pipes: [one, other] }
}

/// Of all connections here: one process holds both their ends.
const BINDING: Binding = [0xb1; 32];

fn stream(
    peer: NodeId,
    dialled: bool,
    outgoing: mpsc::Sender<wire::Frame>,
    incoming: mpsc::Receiver<wire::Frame>,
    standing: Arc<Switch>,
) -> PeerStream {
    let incoming = Box::pin(ReceiverStream::new(incoming).map(Ok));
    PeerStream { peer, dialled, binding: BINDING, incoming, outgoing, standing }
}

/// Awaits that everything is across, receipted and answered, and checks that both hold the same.
pub async fn settled(one: &Node, other: &Node) {
    let across = |from: &Node, to: &Node| {
        let (out, inbound) = (from.out(), to.inbound());
        let covered = |note: &Option<Note>| note.as_ref().map_or(0, |note| note.checkpoint().size);
        out.staged == 0 && out.size == inbound.size && covered(&out.cosigned) == out.size
    };
    let wait = async {
        let (here, there) = (one.listen(), other.listen());
        while !(across(one, other) && across(other, one)) {
            tokio::select! {
                rung = here.rung() => rung.unwrap_or_else(|_| panic!("{:?}", one.end())),
                rung = there.rung() => rung.unwrap_or_else(|_| panic!("{:?}", other.end())),
            }
        }
    };
    if tokio::time::timeout(DEADLINE, wait).await.is_err() {
        panic!("not settled:\n{}\n{}", one.told(), other.told());
    }
    for (from, to) in [(one, other), (other, one)] {
        assert_eq!(from.out().root, to.inbound().root);
        if let Some(note) = from.out().cosigned {
            assert_eq!(note.checkpoint().root, from.out().root, "the receipt is for what both hold");
        }
        assert_eq!(from.entries(from.out().log).len(), to.entries(to.inbound().log).len());
    }
    assert_eq!(one.cases(), other.cases(), "both fold alike");
}

// ---- documents and payloads

fn since() -> Date {
    "2026-01-01".parse().unwrap()
}

fn standard(item: &str, issuer: &str) -> Standard {
    Standard::for_item(item, "测试事项", node(issuer), since())
}

fn agreement() -> Agreement {
    let digest = |standard: Standard| document_digest(&standard.to_json());
    let (hunan, hubei) = (node(HUNAN), node(HUBEI));
    Agreement::between("agr-test", [hunan, hubei], since())
        .with_item(ITEM, hunan, hubei, digest(standard(ITEM, HUBEI)))
        .with_item(ITEM_BACK, hubei, hunan, digest(standard(ITEM_BACK, HUNAN)))
}

/// A document with a node's signature, as a payload.
pub fn signed(signer: &FileSigner, payload_type: &str, payload: Vec<u8>) -> Vec<u8> {
    let signature = signer.sign(&pre_authentication_encoding(payload_type, &payload)).unwrap();
    let signatures = vec![(signer.name().to_owned(), signature)];
    let envelope = Envelope { payload_type: payload_type.into(), payload, signatures };
    wire::Document { envelope: envelope.to_json().into() }.encode_to_vec()
}

/// The standard that a node publishes, as a message.
pub fn standard_message(from: &Node) -> Submission {
    let (item, issuer) = if from.me == node(HUBEI) { (ITEM, HUBEI) } else { (ITEM_BACK, HUNAN) };
    let payload = signed(&from.signer, Standard::PAYLOAD_TYPE, standard(item, issuer).to_json());
    message(from.peer, Kind::StandardPublish, payload)
}

/// A node's signature under the agreement, as a message.
pub fn agreement_message(from: &Node) -> Submission {
    let payload = signed(&from.signer, Agreement::PAYLOAD_TYPE, agreement().to_json());
    message(from.peer, Kind::AgreementSign, payload)
}

/// Publishes both standards and has both sign; returns when everything is in effect on both.
pub async fn conclude(hunan: &Node, hubei: &Node) {
    for from in [hunan, hubei] {
        from.submit(standard_message(from)).await.unwrap();
        from.submit(agreement_message(from)).await.unwrap();
    }
    for here in [hunan, hubei] {
        here.until("documents from the peer", |snapshot| snapshot.inbound[&here.peer].size >= 2).await;
        assert_eq!(signatures(here), 2);
    }
    settled(hunan, hubei).await;
}

/// Signatures under the agreement that a node knows of.
pub fn signatures(node: &Node) -> usize {
    let documents = node.documents.read().unwrap();
    let digest = document_digest(&agreement().to_json());
    documents.agreements.get(&digest).map_or(0, |(record, _)| record.signed_by.len())
}

pub fn case_message(to: NodeId, case: &str, kind: Kind, payload: Vec<u8>) -> Submission {
    Submission { case_id: Some(case.parse().unwrap()), ..message(to, kind, payload) }
}

/// 转递 from the node that receives.
pub fn forward(from: NodeId) -> Vec<u8> {
    let material = |code: &str| wire::Material {
        code: code.into(),
        digest: document_digest(code.as_bytes()).to_wire().to_vec().into(),
        form: "electronic".into(),
        ..Default::default()
    };
    wire::CaseForward {
        item: if from == node(HUNAN) { ITEM } else { ITEM_BACK }.into(),
        project_number: "YY-1".into(),
        applicant: Some(wire::Person {
            name: "测试甲".into(),
            id_type: "414".into(),
            id_number: "E00000000".into(),
            phone: String::new(),
        }),
        materials: vec![material("M01"), material("M02")],
        form: br#"{"name":"x","reason":"y"}"#.to_vec().into(),
        received_ms: NOW.0 - 1000,
        window: "W01".into(),
        operator: "op-1".into(),
        applicant_kind: "1".into(),
        ..Default::default()
    }
    .encode_to_vec()
}

/// The payload of an act of the competent place, or of a withdrawal or a rating.
pub fn act(kind: Kind) -> Vec<u8> {
    let operator = || "op-2".to_owned();
    match kind {
        Kind::CaseSignFor => wire::CaseSignFor { operator: operator() }.encode_to_vec(),
        Kind::CaseReview => wire::CaseReview { operator: operator() }.encode_to_vec(),
        Kind::CaseAccept => {
            let document_number = "XN-1".into();
            wire::CaseAccept { document_number, promised_working_days: 10, operator: operator() }
                .encode_to_vec()
        }
        Kind::CaseGrant | Kind::CaseDeny => {
            let (document_number, reason) = ("XN-2".into(), "因为".into());
            wire::CaseDecision { document_number, reason, operator: operator() }.encode_to_vec()
        }
        Kind::CaseClose => wire::CaseClose { result: "6".into(), operator: operator() }.encode_to_vec(),
        Kind::CaseWithdrawAsk | Kind::CaseWithdrawConfirm => {
            wire::CaseWithdraw { reason: "申请人要求".into(), operator: operator() }.encode_to_vec()
        }
        Kind::CaseRate => {
            wire::CaseRate { level: 1, stage: "competent".into(), channel: "window".into() }.encode_to_vec()
        }
        other => panic!("no payload for {other}"),
    }
}

// ---- a sender by hand

/// A node's voice without its mind: signs and sends whatever a test wants.
pub struct Hand {
    pub log: LogId,
    pub signer: Arc<FileSigner>,
    pub frontier: Frontier,
    pub entries: Vec<RawEntry>,
    pub time: UnixMillis,
    /// Of the headers that it drafts.
    pub seen: LogPosition,
    serial: u8,
}

impl Hand {
    /// In place of `site`, with the log as that node had it.
    pub fn new(site: &Site) -> Self {
        Self {
            log: LogId { channel: site.out(), epoch: 0 },
            signer: Arc::clone(&site.signer),
            frontier: Frontier::new(site.signer.public_key().suite),
            entries: Vec::new(),
            time: NOW,
            seen: LogPosition::default(),
            serial: 0,
        }
    }

    /// Goes on from what a node had sent.
    pub fn after(site: &Site, node: &Node) -> Self {
        let mut hand = Self::new(site);
        for (raw, _) in node.entries(node.out().log) {
            hand.seen = Header::parse(&raw.header).unwrap().seen;
            hand.push(raw);
        }
        hand.time = node.out().checkpoint.map_or(NOW, |note| note.checkpoint().time);
        hand
    }

    /// A header of `kind` for a payload, to be bent, and the body.
    pub fn draft(&mut self, kind: &str, payload: &[u8]) -> (Header, Bytes) {
        self.serial += 1;
        let body = body([self.serial; 16], payload);
        let header = Header {
            message_id: MessageId([self.serial; 16]),
            channel: self.log.channel,
            epoch: 0,
            kind: kind.into(),
            case_id: None,
            in_reply_to: None,
            seen: self.seen,
            agreement: None,
            standard: None,
            created: NOW,
            expires: None,
            body_digest: body_digest(self.frontier.suite(), &body),
            body_length: body.len() as u32,
            blobs: vec![],
        };
        (header, body)
    }

    pub fn push(&mut self, raw: RawEntry) {
        let leaf = leaf_hash(self.frontier.suite(), &raw.header).unwrap();
        self.frontier.append(leaf, |_, _, _| {});
        self.entries.push(raw);
    }

    pub fn write(&mut self, (header, body): (Header, Bytes)) {
        self.push(RawEntry { header: header.encode().into(), body: Some(body) });
    }

    /// Drafts, bends the header and writes.
    pub fn write_bent(&mut self, kind: &str, payload: &[u8], bend: impl FnOnce(&mut Header)) {
        let (mut header, body) = self.draft(kind, payload);
        bend(&mut header);
        self.write((header, body));
    }

    pub fn note_of(&self, size: u64, root: Hash, signer: &FileSigner) -> Note {
        let checkpoint = Checkpoint { log: self.log, size, root, time: self.time };
        let signature = signer.sign(checkpoint.body().as_bytes()).unwrap();
        Note::signed(checkpoint, signer.name(), signer.public_key(), &signature)
    }

    /// Everything from `first` on, under a checkpoint.
    pub fn batch(&self, first: usize) -> wire::Batch {
        let note = self.note_of(self.frontier.size(), self.frontier.root(), &self.signer);
        let entry = |raw: &RawEntry| wire::Entry {
            header: raw.header.clone(),
            body: raw.body.clone().unwrap_or_default(),
            erased: false,
        };
        wire::Batch {
            epoch: 0,
            first: first as u64,
            entries: self.entries[first..].iter().map(entry).collect(),
            checkpoint: note.text().into_bytes().into(),
        }
    }
}

fn certificates(signer: &FileSigner) -> Vec<Bytes> {
    signer.chain().iter().map(|der| Bytes::copy_from_slice(der)).collect()
}

/// A link whose far end is in the test's hand.
pub struct RawLink {
    pub to: mpsc::Sender<wire::Frame>,
    pub from: mpsc::Receiver<wire::Frame>,
    pub end: JoinHandle<Result<(), Refusal>>,
}

impl RawLink {
    /// Dials `node` as its peer, showing the given copy of the node's log.
    pub async fn dial(node: &Node, signer: &FileSigner, copy: Option<&Note>) -> Self {
        let mut link = Self::knock(node, signer, copy, &[]).await;
        assert!(matches!(link.next().await, Some(wire::frame::Kind::Open(_))));
        link
    }

    /// The same, showing older keys of the peer as well, whatever the node answers.
    pub async fn knock(node: &Node, signer: &FileSigner, copy: Option<&Note>, older: &[&FileSigner]) -> Self {
        let (to, incoming) = mpsc::channel(64);
        let (outgoing, from) = mpsc::channel(64);
        let stream = stream(node.peer, false, outgoing, incoming, Arc::default());
        let end = tokio::spawn(link::run(Arc::clone(&node.links), stream));
        let link = Self { to, from, end };
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let mut name = (NOW.0 + 86_400_000 + COUNT.fetch_add(1, Ordering::SeqCst)).to_be_bytes().to_vec();
        name.resize(link::LINK_NAME_BYTES, 0);
        let claim = Claim {
            from: node.peer,
            to: node.me,
            dialled: true,
            bulk: false,
            name: name[..].try_into().unwrap(),
            binding: BINDING,
        };
        let inbound = copy.map(|note| wire::LogState {
            size: note.checkpoint().size,
            cosigned: note.text().into_bytes().into(),
            ..Default::default()
        });
        let open = wire::Open {
            version_min: 1,
            version_max: 2,
            node: node.peer.to_string(),
            link: name.into(),
            signing_chain: certificates(signer),
            outbound: None,
            inbound,
            batches_in_flight_max: 8,
            batch_bytes_max: 1 << 20,
            older_signing_chains: older
                .iter()
                .map(|older| wire::SigningChain { certificate: certificates(older) })
                .collect(),
            purpose: String::new(),
            life: Bytes::new(),
            proof: signer.sign(&claim.message()).unwrap().into(),
        };
        link.send(wire::frame::Kind::Open(open)).await;
        link
    }

    pub async fn send(&self, kind: wire::frame::Kind) {
        self.to.send(wire::Frame { kind: Some(kind) }).await.unwrap();
    }

    pub async fn next(&mut self) -> Option<wire::frame::Kind> {
        let next = tokio::time::timeout(DEADLINE, self.from.recv()).await.expect("the node answers");
        next.and_then(|frame| frame.kind)
    }

    /// The next receipt; anything else on the way is passed over.
    pub async fn receipt(&mut self) -> Note {
        loop {
            match self.next().await.expect("the link stands") {
                wire::frame::Kind::Cosigned(cosigned) => return Note::parse(&cosigned.checkpoint).unwrap(),
                wire::frame::Kind::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Awaits the end and gives the code.
    pub async fn ended(self) -> Option<RefusalCode> {
        let end = tokio::time::timeout(DEADLINE, self.end).await.expect("the link ends").unwrap();
        end.err().map(|refusal| refusal.code)
    }
}
