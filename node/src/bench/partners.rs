//! Partners that say nothing. A machine that is measured cannot hold hundreds of node processes, so they
//! live in this process: each has its own certificates, its own core and its own connection, and speaks
//! the exchange's protocol with the exchange's code. Only its store lies in memory, and it has no
//! business systems.
//!
//! Every second one is dialled by the node, the others dial it: the two sides of a connection do not
//! cost the same.

use crate::demo::DemoError;
use crate::demo::rig::Rig;
use arc_swap::ArcSwap;
use certs::{Identity, Purpose, TrustStore};
use devpki::{Issued, KeyKind, Province};
use gateway::clock::{Clock, Randomness, SystemClock, SystemRandomness};
use gateway::committer::{self, Core, Ports};
use gateway::gateway::Stopped;
use gateway::id::NodeId;
use gateway::link::{Links, LinksParts};
use gateway::measure::Measures;
use gateway::overload::Bounds;
use gateway::signer::{FileSigner, Signer};
use gateway::store::journal::Options;
use gateway::store::memory::MemoryDisk;
use gateway::suite::PublicKey;
use gateway::threads::Threads;
use gateway::transport::client::{TlsDial, keep_dialling};
use gateway::transport::server;
use gateway::transport::tls::{Clock as TlsClock, TrustHandle, client_config, server_config};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Bytes of a partner's journal segments: it holds a few frames.
const SEGMENT_BYTES: u64 = 64 * 1024;
/// The first two digits of their nodes, which their province may speak for.
const PREFIX: u32 = 42;

/// Partners that run.
pub(super) struct Partners {
    tasks: JoinSet<()>,
    /// Each one's committer says when and why it ended; while this stands, nobody has to listen.
    _ends: Vec<Stopped>,
}

/// Partners before their start: the node has been told of them.
pub(super) struct Invited {
    hub: NodeId,
    hub_address: String,
    province: Province,
    trust: TrustHandle,
    signing: KeyKind,
    /// Each with a listener where the node dials it.
    nodes: Vec<(NodeId, Option<TcpListener>)>,
}

/// Writes `count` partners into the configuration of 岳阳's node, which does not run yet.
pub(super) fn invite(
    rig: &Rig,
    count: usize,
    taken: &[NodeId],
    signing: KeyKind,
) -> Result<Invited, DemoError> {
    let authorities = rig.authorities();
    let now_ms = now_ms();
    let trust = TrustStore::load(&authorities.join("trust")).map_err(broken)?;
    let codes = (1..10_000).map(|number| format!("{PREFIX}{number:04}"));
    let mut nodes = Vec::with_capacity(count);
    let mut lines = String::new();
    for code in codes {
        let node: NodeId = code.parse().map_err(broken)?;
        if nodes.len() == count {
            break;
        }
        if taken.contains(&node) {
            continue;
        }
        write!(lines, "\n[[peer]]\nnode = \"{node}\"\n").expect("a String takes every write");
        let mut listener = None;
        if nodes.len() % 2 == 0 {
            let bound = TcpListener::bind("127.0.0.1:0").and_then(|bound| {
                bound.set_nonblocking(true)?;
                Ok((bound.local_addr()?, bound))
            });
            let (address, bound) = bound.map_err(broken)?;
            write!(lines, "address = \"{address}\"\ndial = true\n").expect("a String takes every write");
            listener = Some(bound);
        }
        nodes.push((node, listener));
    }
    rig.yueyang.configure(&lines)?;
    Ok(Invited {
        hub: rig.yueyang.place.node(),
        hub_address: rig.yueyang.address().to_string(),
        province: Province::open(&authorities.join("ca").join(rig.xianning.place.domain), now_ms)?,
        trust: Arc::new(ArcSwap::from_pointee(trust)),
        signing,
        nodes,
    })
}

impl Invited {
    /// Starts them all.
    pub(super) fn start(self) -> Result<Partners, DemoError> {
        let mut partners = Partners { tasks: JoinSet::new(), _ends: Vec::new() };
        let clock: TlsClock = Arc::new(now_ms);
        for (node, listener) in self.nodes {
            let tls = self.province.tls(node.as_str())?;
            let key = PrivatePkcs8KeyDer::from(tls.key_der.clone());
            let identity = Identity::new(tls.chain_der, key).map_err(broken)?;
            let signing = self.province.signing(node.as_str(), self.signing)?;
            let (links, end) = core(node, self.hub, signer(&signing, &self.trust)?, &self.trust)?;
            partners._ends.push(end);
            let (trust, clock) = (Arc::clone(&self.trust), Arc::clone(&clock));
            match listener {
                Some(listener) => {
                    let listener = tokio::net::TcpListener::from_std(listener).map_err(broken)?;
                    let config = server_config(&identity, Arc::clone(&trust), Arc::clone(&clock));
                    let config = Arc::new(ArcSwap::from_pointee(config.map_err(broken)?));
                    let serving =
                        server::serve(listener, config, trust, clock, links, std::future::pending());
                    partners.tasks.spawn(async move { drop(serving.await) });
                }
                None => {
                    let hub = self.hub.as_str().parse().map_err(broken)?;
                    let config = client_config(&identity, Arc::clone(&trust), Arc::clone(&clock), hub);
                    let config = Arc::new(ArcSwap::from_pointee(config.map_err(broken)?));
                    let address = self.hub_address.clone();
                    let (peer, measures) = (self.hub, Arc::default());
                    let dial = Arc::new(TlsDial { peer, address, config, trust, clock, measures });
                    partners.tasks.spawn(keep_dialling(links, dial));
                }
            }
        }
        Ok(partners)
    }
}

impl Partners {
    /// Ends them.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// A core over a disk in memory: the committer of every node, and its links.
fn core(
    me: NodeId,
    hub: NodeId,
    signer: Arc<dyn Signer>,
    trust: &TrustHandle,
) -> Result<(Arc<Links>, Stopped), DemoError> {
    let disk = MemoryDisk::new();
    let index = Arc::new(disk.open_index());
    let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness::default());
    let measures: Arc<Measures> = Arc::default();
    let mut mark = [0; 8];
    randomness.fill(&mut mark);
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(u64::from_le_bytes(mark)) };
    let (journal, _) = disk.open_journal(options).map_err(broken)?;
    let mut alias_key = [0; 32];
    randomness.fill(&mut alias_key);
    // Memory has as much room as it has.
    let bounds = Bounds { disk_low_bytes: 0, ..Bounds::default() };
    let ports = Ports {
        journal: Box::new(journal),
        index,
        signer: Arc::clone(&signer),
        clock: Arc::new(SystemClock),
        randomness: Arc::clone(&randomness),
        alias_key,
        bounds,
        measures: Arc::clone(&measures),
    };
    let (core, _) = Core::open(me, vec![hub], ports, |_| ()).map_err(broken)?;
    let (archive, keys, snapshot, bells) = (core.archive(), core.keys(), core.snapshot(), core.bells());
    let (stop, stopped) = oneshot::channel();
    let (committer, _thread) = committer::spawn(core, stop).map_err(broken)?;
    let links = Links::new(LinksParts {
        me,
        committer,
        archive,
        keys,
        snapshot,
        bells,
        trust: Arc::clone(trust),
        signer,
        clock: Arc::new(SystemClock),
        randomness,
        peer_rate: bounds.peer,
        measures,
        threads: Threads::Many,
    });
    Ok((Arc::new(links), stopped))
}

fn signer(issued: &Issued, trust: &TrustHandle) -> Result<Arc<dyn Signer>, DemoError> {
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let verified = trust.load().verify(Purpose::Signing, &chain, now_ms()).map_err(broken)?;
    let key = PublicKey::from_spki(&verified.spki_der).map_err(broken)?;
    let signer = FileSigner::new(verified.id.to_string(), key, issued.chain_der.clone(), &issued.key_der);
    Ok(Arc::new(signer.map_err(broken)?))
}

fn now_ms() -> i64 {
    i64::try_from(SystemClock.now().0).unwrap_or(i64::MAX)
}

fn broken(error: impl std::fmt::Display) -> DemoError {
    DemoError::Broken(error.to_string())
}
