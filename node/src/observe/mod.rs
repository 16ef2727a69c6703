//! A node seen from outside: metrics, probes, alarms. Gathers facts from the running node and from the
//! machine; what they mean is judged in `gateway::health`, and nothing here touches the exchange.
//!
//! [`Observed`] is what is looked at, from before the store is open until the process ends. [`http`]
//! serves it, [`metrics`] writes the Prometheus text, [`watch`] looks every second and judges alarms,
//! [`notify`] passes those on, [`replay`] tells how far a start has come.

pub mod http;
pub mod machine;
pub mod metrics;
pub mod notify;
pub mod probes;
pub mod replay;
pub mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use certs::{Purpose, Revocation, TrustStore};
use gateway::clock::Clock;
use gateway::committer::ReplayProgress;
use gateway::gateway::Gateway;
use gateway::health::alarm::Alarms;
use gateway::health::facts::{Certificate, CertificateFacts, DiskFacts, UnrememberedFact};
use gateway::health::{Facts, KeyState, Store, TrustFacts};
use gateway::id::NodeId;
use gateway::measure::Measures;
use gateway::overload::disk::DiskState;
use gateway::signer::Signer;
use gateway::time::UnixMillis;
use gateway::transport::tls::TrustHandle;

use self::machine::StoreBytes;
use self::notify::Couriers;

/// What is looked at.
pub struct Observed {
    /// This node.
    pub node: NodeId,
    /// The configured peers.
    pub peers: Vec<NodeId>,
    /// Where journal and index lie.
    pub data_dir: PathBuf,
    /// Free bytes below which the node takes nothing new.
    pub disk_low_bytes: u64,
    /// What the core tells about itself.
    pub measures: Arc<Measures>,
    /// Trust, as of the moment.
    pub trust: TrustHandle,
    /// The signing key of the start.
    signer: Arc<dyn Signer>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who is told about alarms.
    pub couriers: Couriers,
    gateway: OnceLock<Gateway>,
    replay: Replay,
    committer_ended: AtomicBool,
    key: AtomicU8,
    found: Mutex<Found>,
    verdicts: Mutex<BTreeMap<Certificate, Verdict>>,
}

/// What the watch found at its last look.
#[derive(Default)]
struct Found {
    /// Since when the oldest entry to each peer waits for its receipt; absent: none waits.
    waiting: BTreeMap<NodeId, UnixMillis>,
    /// Bytes below the data folder.
    store: Option<StoreBytes>,
    alarms: Alarms,
}

/// The last good verdict on an own certificate: who gave it, on which leaf, and until when it holds.
struct Verdict {
    store: Arc<TrustStore>,
    leaf: Vec<u8>,
    until_ms: i64,
}

#[derive(Default)]
struct Replay {
    running: AtomicBool,
    bytes: AtomicU64,
    bytes_whole: AtomicU64,
}

/// What an [`Observed`] is made of.
pub struct Parts {
    /// See [`Observed`].
    pub node: NodeId,
    /// See [`Observed`].
    pub peers: Vec<NodeId>,
    /// See [`Observed`].
    pub data_dir: PathBuf,
    /// See [`Observed`].
    pub disk_low_bytes: u64,
    /// See [`Observed`].
    pub measures: Arc<Measures>,
    /// See [`Observed`].
    pub trust: TrustHandle,
    /// See [`Observed`].
    pub signer: Arc<dyn Signer>,
    /// See [`Observed`].
    pub clock: Arc<dyn Clock>,
    /// See [`Observed`].
    pub couriers: Couriers,
}

impl Observed {
    /// A node whose store is not open yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            node: parts.node,
            peers: parts.peers,
            data_dir: parts.data_dir,
            disk_low_bytes: parts.disk_low_bytes,
            measures: parts.measures,
            trust: parts.trust,
            signer: parts.signer,
            clock: parts.clock,
            couriers: parts.couriers,
            gateway: OnceLock::new(),
            replay: Replay::default(),
            committer_ended: AtomicBool::new(false),
            key: AtomicU8::new(KeyState::Unasked as u8),
            found: Mutex::default(),
            verdicts: Mutex::default(),
        }
    }

    /// The index is being brought up to the journal.
    pub fn replays(&self, progress: ReplayProgress) {
        self.replay.bytes.store(progress.bytes, Ordering::Relaxed);
        self.replay.bytes_whole.store(progress.bytes_whole, Ordering::Relaxed);
        self.replay.running.store(true, Ordering::Relaxed);
    }

    /// The store is open and the node's doors are.
    pub fn opened(&self, gateway: Gateway) {
        // A process opens one store.
        let _ = self.gateway.set(gateway);
    }

    /// The committer has ended and nobody told it to.
    pub fn committer_ended(&self) {
        self.committer_ended.store(true, Ordering::Relaxed);
    }

    /// What the signing key did when it was asked.
    pub fn key_was(&self, state: KeyState) {
        self.key.store(state as u8, Ordering::Relaxed);
    }

    fn key(&self) -> KeyState {
        let state = self.key.load(Ordering::Relaxed);
        [KeyState::Unasked, KeyState::Signs, KeyState::Silent]
            .into_iter()
            .find(|known| *known as u8 == state)
            .unwrap_or(KeyState::Silent)
    }

    fn gateway(&self) -> Option<&Gateway> {
        self.gateway.get()
    }

    fn store(&self) -> Store {
        if self.gateway.get().is_some() {
            return Store::Open;
        }
        if !self.replay.running.load(Ordering::Relaxed) {
            return Store::Opening;
        }
        Store::Replaying {
            bytes: self.replay.bytes.load(Ordering::Relaxed),
            bytes_whole: self.replay.bytes_whole.load(Ordering::Relaxed),
        }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk as the running node judges it. Before the store is open nobody has judged it yet: then by
    /// the same rule, as of this moment.
    fn disk(&self) -> DiskFacts {
        let judged =
            self.gateway().map(|gateway| gateway.look(|snapshot| (snapshot.disk, Some(snapshot.disk_room))));
        let (state, free_bytes) = judged.unwrap_or_else(|| {
            let free = machine::disk(&self.data_dir).map(|disk| disk.free_bytes);
            let state = DiskState::Normal;
            (free.map_or(state, |free| state.after(free, self.disk_low_bytes)), free)
        });
        let full = self.measures.disk_full.load(Ordering::Relaxed);
        DiskFacts { state, free_bytes, low_bytes: self.disk_low_bytes, full }
    }

    /// The facts of this moment. When trust has changed it looks at own certificates; it does not wait for
    /// anybody.
    pub fn facts(&self) -> Facts {
        let now_ms = i64::try_from(self.clock.now().0).unwrap_or(i64::MAX);
        let stops = self.gateway().map(|gateway| {
            gateway.look(|snapshot| {
                let logs = snapshot.out.values().chain(snapshot.inbound.values());
                logs.filter_map(|log| Some((log.log.channel, log.stopped.clone()?))).collect()
            })
        });
        let unremembered = self.measures.unremembered().into_iter().map(|(peer, found)| UnrememberedFact {
            peer,
            here: found.here,
            there: found.there,
            at: found.at,
        });
        Facts {
            store: self.store(),
            committer_ended: self.committer_ended.load(Ordering::Relaxed),
            commit_millis: self.measures.commit_millis(),
            key: self.key(),
            disk: self.disk(),
            trust: self.trust_facts(),
            refused_material: self.refused_material(),
            certificates: self.certificates(now_ms),
            stops: stops.unwrap_or_default(),
            unremembered: unremembered.collect(),
        }
    }

    /// New files that were refused, and bundles that were accepted once and would not be today.
    fn refused_material(&self) -> Vec<(&'static str, &'static str)> {
        let mut refused = self.measures.refused_material();
        let trust = self.trust.load();
        let bundles = trust.domains().iter().filter_map(certs::TrustDomain::bundle);
        refused.extend(bundles.filter_map(|bundle| Some(("bundle", bundle.refused?))));
        refused
    }

    /// The revocation lists of the domains that this node or a configured peer belongs to.
    fn trust_facts(&self) -> Vec<TrustFacts> {
        let trust = self.trust.load();
        let divisions: Vec<certs::Division> =
            self.peers.iter().chain([&self.node]).filter_map(|node| node.as_str().parse().ok()).collect();
        let matters = trust
            .domains()
            .iter()
            .filter(|domain| divisions.iter().any(|division| domain.speaks_for(*division)));
        let bundle = |domain: &certs::TrustDomain| {
            domain.bundle().map(|bundle| TrustFacts {
                domain: format!("{} bundle", domain.name()),
                next_update_ms: bundle.fresh_until_ms,
                counts_until_ms: bundle.counts_until_ms,
            })
        };
        let bundles: Vec<TrustFacts> = matters.clone().filter_map(bundle).collect();
        matters
            .filter_map(|domain| {
                let Revocation::Crl { lists, grace_hours } = domain.revocation() else { return None };
                let next_update_ms = lists.iter().map(certs::Crl::next_update_ms).min()?;
                Some(TrustFacts {
                    domain: domain.name().to_string(),
                    next_update_ms,
                    counts_until_ms: next_update_ms.saturating_add(i64::from(*grace_hours) * 3_600_000),
                })
            })
            .chain(bundles)
            .collect()
    }

    /// The signing key as of this moment.
    pub fn signer(&self) -> Arc<dyn Signer> {
        self.gateway().map_or_else(|| Arc::clone(&self.signer), |gateway| gateway.links().signer())
    }

    fn certificates(&self, now_ms: i64) -> Vec<CertificateFacts> {
        let (tls, signer) = (self.measures.tls_chain(), self.signer());
        let chains = [
            (Certificate::Tls, Purpose::Tls, &tls[..]),
            (Certificate::Signing, Purpose::Signing, signer.chain()),
        ];
        chains
            .into_iter()
            .filter(|(_, _, chain)| !chain.is_empty())
            .map(|(which, purpose, chain)| CertificateFacts {
                which,
                not_after_ms: certs::not_after_ms(chain),
                refused: self.refused(which, purpose, chain, now_ms),
            })
            .collect()
    }

    /// The code with which this node's own trust refuses one of its chains. A good verdict is kept for as
    /// long as the same trust store gives it.
    fn refused(
        &self,
        which: Certificate,
        purpose: Purpose,
        chain: &[Vec<u8>],
        now_ms: i64,
    ) -> Option<&'static str> {
        let store = self.trust.load_full();
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = verdicts.get(&which).is_some_and(|verdict| {
            Arc::ptr_eq(&verdict.store, &store) && verdict.leaf == chain[0] && now_ms <= verdict.until_ms
        });
        if holds {
            return None;
        }
        let refs: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        match store.verify(purpose, &refs, now_ms) {
            Ok(verified) => {
                let verdict = Verdict { store, leaf: chain[0].clone(), until_ms: verified.good_until_ms };
                verdicts.insert(which, verdict);
                None
            }
            Err(error) => {
                verdicts.remove(&which);
                Some(error.code())
            }
        }
    }
}

#[cfg(test)]
mod tests;
