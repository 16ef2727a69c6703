//! Connects a gateway to its partners: the listener, one dialling task per peer with an address, and
//! the watch over certificate files, which swaps trust and TLS configuration while everything runs.

use super::client::{TlsDial, keep_bulk, keep_dialling};
use super::server;
use super::tls::{Clock, TlsError, TrustHandle, client_config, server_config};
use crate::gateway::Gateway;
use crate::id::NodeId;
use crate::limits::TRUST_POLL_MILLIS;
use crate::link::Links;
use crate::measure::Measures;
use crate::refusal::RefusalCode;
use arc_swap::ArcSwap;
use certs::administration::Log;
use certs::administration::log::{LOG_FILE, read_head, write_head};
use certs::bundle::accepted::{self, Bundles, Outcome};
use certs::{Division, Identity, TrustError, TrustStore};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A partner, as configured.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its node.
    pub node: NodeId,
    /// host:port to dial; absent: it dials us.
    pub address: Option<String>,
}

/// What connects a node.
pub struct Settings {
    /// Where partners dial in; absent: this node only dials.
    pub listener: Option<TcpListener>,
    /// The partners.
    pub peers: Vec<Peer>,
    /// Certificate chain and key for TLS.
    pub tls_chain: PathBuf,
    /// The key.
    pub tls_key: PathBuf,
    /// The folder of the trust store.
    pub trust_dir: PathBuf,
    /// The folder where provinces' trust bundles are put; absent: none are looked for.
    pub bundle_dir: Option<PathBuf>,
    /// Where accepted bundles are kept: the node's data folder, which also remembers how far it has seen the
    /// administration log.
    pub bundles: Bundles,
    /// Trust, shared with the gateway.
    pub trust: TrustHandle,
}

/// Why nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The TLS certificate or key cannot be read.
    #[error("the TLS identity: {0}")]
    Identity(#[from] TrustError),
    /// rustls does not take them.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A peer's division.
    #[error("{0} is not a division code")]
    Division(NodeId),
}

/// Everything that connects a node; dropping it disconnects.
pub struct Connected {
    tasks: JoinSet<()>,
    links: Arc<Links>,
    stop: watch::Sender<bool>,
}

impl Connected {
    /// Tells partners good-bye and stops accepting.
    pub async fn close(mut self) {
        let _ = self.stop.send(true);
        self.links.close_all(RefusalCode::Fenced);
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts listening and dialling.
///
/// # Errors
/// When this node's own TLS identity cannot be used.
pub fn connect(gateway: &Gateway, settings: Settings) -> Result<Connected, ConnectError> {
    let clock = gateway.clock();
    let clock: Clock = Arc::new(move || i64::try_from(clock.now().0).unwrap_or(i64::MAX));
    let identity = Identity::load(&settings.tls_chain, &settings.tls_key)?;
    let trust = settings.trust;
    let links = gateway.links();
    links.measures.uses_tls_chain(identity.chain());
    remember(&trust.load(), &settings.bundles.data_dir)?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();

    let server = Arc::new(ArcSwap::from_pointee(server_config(&identity, trust.clone(), clock.clone())?));
    if let Some(listener) = settings.listener {
        let mut stopped = stopped.clone();
        let stop = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let serving = server::serve(
            listener,
            Arc::clone(&server),
            trust.clone(),
            clock.clone(),
            Arc::clone(&links),
            stop,
        );
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the listener for partners ended");
            }
        });
    }
    let mut clients = HashMap::new();
    for peer in settings.peers {
        let Some(address) = peer.address else { continue };
        let division: Division = peer.node.as_str().parse().map_err(|_| ConnectError::Division(peer.node))?;
        let config = client_config(&identity, trust.clone(), clock.clone(), division)?;
        let config = Arc::new(ArcSwap::from_pointee(config));
        clients.insert(division, Arc::clone(&config));
        let (trust, clock, measures) = (trust.clone(), clock.clone(), Arc::clone(&links.measures));
        let dial = TlsDial { peer: peer.node, address, config, trust, clock, measures };
        let dial = Arc::new(dial);
        tasks.spawn(keep_bulk(Arc::clone(&links), Arc::clone(&dial)));
        tasks.spawn(keep_dialling(Arc::clone(&links), dial));
    }
    let watch = Watch {
        trust_dir: settings.trust_dir,
        bundle_dir: settings.bundle_dir,
        bundles: settings.bundles,
        tls: (settings.tls_chain, settings.tls_key),
        trust,
        server,
        clients,
        clock,
        measures: Arc::clone(&links.measures),
    };
    tasks.spawn(watch.run());
    Ok(Connected { tasks, links, stop })
}

/// Refuses a store whose administration log lacks what this node has seen of it, and remembers how far it goes.
fn remember(store: &TrustStore, data_dir: &Path) -> Result<(), TrustError> {
    let seen = read_head(data_dir)?;
    store.continues(seen.as_ref())?;
    match store.administration().map(Log::head) {
        Some(head) if seen.as_ref() != Some(&head) => write_head(data_dir, &head),
        Some(_) | None => Ok(()),
    }
}

/// Follows the files of trust and identity.
struct Watch {
    trust_dir: PathBuf,
    bundle_dir: Option<PathBuf>,
    bundles: Bundles,
    tls: (PathBuf, PathBuf),
    trust: TrustHandle,
    server: Arc<ArcSwap<rustls::ServerConfig>>,
    clients: HashMap<Division, Arc<ArcSwap<rustls::ClientConfig>>>,
    clock: Clock,
    measures: Arc<Measures>,
}

/// What shows that files changed: each one's time of change and length.
type Fingerprint = Vec<Option<(SystemTime, u64)>>;

fn fingerprint<'a>(files: impl Iterator<Item = &'a Path>) -> Fingerprint {
    files
        .map(|file| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
        .collect()
}

impl Watch {
    fn trust_files(&self) -> Fingerprint {
        let listed = self.trust.load_full();
        // A log that begins while the node runs is not listed yet.
        let own = ["trust.toml", LOG_FILE].map(|file| self.trust_dir.join(file));
        let files: Vec<&Path> = listed.files().iter().chain(&own).map(PathBuf::as_path).collect();
        fingerprint(files.into_iter())
    }

    /// Bundles that somebody put there, with what shows that they changed.
    fn bundle_files(&self) -> Result<Vec<(PathBuf, Fingerprint)>, TrustError> {
        let Some(dir) = &self.bundle_dir else { return Ok(Vec::new()) };
        let files = accepted::files(dir)?;
        Ok(files.into_iter().map(|file| (file.clone(), fingerprint([file.as_path()].into_iter()))).collect())
    }

    /// Judges the bundles that were found, against what administrators decided; whether a new one is followed now.
    fn take_bundles(&self, found: &Result<Vec<(PathBuf, Fingerprint)>, TrustError>) -> bool {
        let tell = |error: &TrustError, file: &Path| {
            tracing::error!(code = error.code(), %error, file = %file.display(), advice = error.advice(false),
                "a trust bundle is refused; the last good one stays in force");
        };
        let (mut taken, mut refused) = (false, None);
        match found {
            Err(error) => {
                tell(error, self.bundle_dir.as_deref().unwrap_or(Path::new("")));
                refused = Some(error.code());
            }
            Ok(files) => {
                let domains = match TrustStore::load(&self.trust_dir) {
                    Ok(store) => store.domains().to_vec(),
                    // Told where trust itself is read.
                    Err(_) => return false,
                };
                for (file, _) in files {
                    let now_ms = (self.clock)();
                    let judged =
                        accepted::read(file).and_then(|bytes| self.bundles.accept(&domains, &bytes, now_ms));
                    match judged {
                        Ok(Outcome::Known) => {}
                        Ok(Outcome::Accepted(domain, sequence)) => {
                            tracing::info!(%domain, sequence, "a trust bundle is accepted");
                            taken = true;
                        }
                        Err(error) => {
                            tell(&error, file);
                            refused = Some(error.code());
                        }
                    }
                }
            }
        }
        self.measures.material_refused("bundle", refused);
        taken
    }

    fn tls_files(&self) -> Fingerprint {
        fingerprint([self.tls.0.as_path(), self.tls.1.as_path()].into_iter())
    }

    async fn run(self) {
        let mut poll = tokio::time::interval(Duration::from_millis(TRUST_POLL_MILLIS));
        // What changed while the store was opened was not watched: trust is read once more at the first look.
        let (mut trust_seen, mut tls_seen) = (None, self.tls_files());
        // Not looked at yet: bundles may have come while the node was away.
        let mut bundles_seen = None;
        let mut unread = true;
        loop {
            poll.tick().await;
            let now = self.trust_files();
            let found = self.bundle_files();
            let mut taken = false;
            // A bundle that waited for its domain, or its root, is judged again when trust changes.
            if trust_seen.as_ref() != Some(&now) || bundles_seen.as_ref() != Some(&found) {
                taken = self.take_bundles(&found);
                bundles_seen = Some(found);
            }
            if taken || trust_seen.as_ref() != Some(&now) {
                let first = std::mem::take(&mut unread);
                // Bad new material keeps the last good; it is read again when it changes again.
                let loaded = TrustStore::load_following(&self.trust_dir, &self.bundles)
                    .and_then(|store| remember(&store, &self.bundles.data_dir).map(|()| store));
                self.measures.material_refused("trust", loaded.as_ref().err().map(TrustError::code));
                match loaded {
                    Ok(store) => {
                        // What changed while it was read may be in it or not, and a file that is named for the first
                        // time was not watched: then it is read once more at the next look.
                        let settled = self.trust_files() == now && store.files() == self.trust.load().files();
                        self.trust.store(Arc::new(store));
                        if !first || taken {
                            tracing::info!("trust changed and is in force");
                        }
                        trust_seen = settled.then_some(now);
                    }
                    Err(error) => {
                        tracing::error!(code = error.code(), %error, advice = error.advice(false),
                            "new trust files are refused; the last good ones stay in force");
                        trust_seen = Some(now);
                    }
                }
            }
            let now = self.tls_files();
            if now != tls_seen {
                tls_seen = now;
                let reloaded = self.reload_identity();
                let code = reloaded.as_ref().err().map(|error| match error {
                    ConnectError::Identity(error) => error.code(),
                    ConnectError::Tls(_) | ConnectError::Division(_) => RefusalCode::MaterialRefused.code(),
                });
                self.measures.material_refused("tls", code);
                if let Err(error) = reloaded {
                    tracing::error!(%error, "the new TLS identity is refused; the last good one stays in use");
                }
            }
        }
    }

    fn reload_identity(&self) -> Result<(), ConnectError> {
        let identity = Identity::load(&self.tls.0, &self.tls.1)?;
        let server = server_config(&identity, self.trust.clone(), self.clock.clone())?;
        for (division, config) in &self.clients {
            let client = client_config(&identity, self.trust.clone(), self.clock.clone(), *division)?;
            config.store(Arc::new(client));
        }
        self.server.store(Arc::new(server));
        self.measures.uses_tls_chain(identity.chain());
        tracing::info!("the TLS identity changed and is in use for new connections");
        Ok(())
    }
}
