//! `serve`: runs a node until it is told to stop. Everything is checked before the first socket opens;
//! then partners are connected, the local services answer on the Unix socket, and SIGTERM or SIGINT
//! stops them in order.

mod blob;
pub mod business;
mod inbox;
mod letters;
pub mod operator;
mod signing;
pub mod socket;
mod submit_stream;
pub mod submitters;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway::clock::{Randomness, SystemClock, SystemRandomness};
use gateway::committer::CommitError;
use gateway::gateway::{Gateway, OpenError, OpenReport, Settings};
use gateway::keybook::SigningKey;
use gateway::limits::ALARM_FLUSH_MILLIS_MAX;
use gateway::measure::Measures;
use gateway::refusal::RefusalCode;
use gateway::respond;
use gateway::suite::PublicKey;
use gateway::transport::run::{self as transport, Peer};
use proto::local::v1::business_server::BusinessServer;
use proto::local::v1::operator_server::OperatorServer;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;

use self::business::BusinessService;
use self::operator::OperatorService;
use self::socket::LocalSocket;
use self::submitters::Submitters;
use crate::both;
use crate::client::{
    LOCAL_FRAME_BYTES, LOCAL_MESSAGE_BYTES_MAX, LOCAL_REQUEST_BYTES_MAX, LOCAL_WINDOW_BYTES,
};
use crate::config::material::Material;
use crate::config::{Config, LogFormat};
use crate::console::{Console, Failure};
use crate::observe::notify::Couriers;
use crate::observe::replay::Teller;
use crate::observe::{self, Observed};

/// Runs the node of a configuration file.
///
/// # Errors
/// When the configuration or what it names is wrong, or the node has to stop.
pub fn run(console: Console, file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let material = Material::load(&config, crate::cli::check::now_ms())?;
    start_log(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::system(both!("起不了运行时：{error}", "cannot start the runtime: {error}"))
    })?;
    runtime.block_on(serve(console, config, material))
}

async fn serve(console: Console, config: Config, material: Material) -> Result<(), Failure> {
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let trust = Arc::new(ArcSwap::from_pointee(material.trust.clone()));
    let config = Arc::new(config);
    let signer = signing::first(&config, &material.signing, &material.trust)?;
    let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness::default());
    let measures: Arc<Measures> = Arc::default();
    // Metrics and probes answer before the store is open: that is when somebody wants to know.
    let observed = Arc::new(Observed::new(observe::Parts {
        node: config.node,
        peers: config.peers.iter().map(|peer| peer.node).collect(),
        data_dir: config.data_dir.clone(),
        disk_low_bytes: config.bounds.disk_low_bytes,
        measures: Arc::clone(&measures),
        trust: Arc::clone(&trust),
        signer: Arc::clone(&signer),
        clock: Arc::new(SystemClock),
        couriers: Couriers::new(&config.alarm, &randomness),
    }));
    let mut observing = observe::watch::start(&observed);
    let _carrying = observed.couriers.start();
    if let Some(address) = config.observe {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::system(both!(
                "无法在 {address} 监听（{error}）；请改 observe.address 或停掉占用者。",
                "cannot listen at {address} ({error}); change observe.address or stop whoever uses it."
            ))
        })?;
        observing.spawn(observe::http::serve(listener, Arc::clone(&observed)));
    }
    let settings = Settings {
        node: config.node,
        data_dir: config.data_dir.clone(),
        peers: config.peers.iter().map(|peer| peer.node).collect(),
        signer,
        older_keys: older_keys(&material)?,
        trust: Arc::clone(&trust),
        clock: Arc::new(SystemClock),
        randomness,
        measures: Arc::clone(&measures),
        bounds: config.bounds,
    };
    // Opening reads the disk: not on a thread that answers others.
    let replayed = Arc::clone(&observed);
    let mut teller = Teller::new(console.lang);
    let opened = tokio::task::spawn_blocking(move || {
        let opened = Gateway::open(settings, |progress| {
            replayed.replays(progress);
            teller.tell(progress);
        });
        teller.end();
        opened
    })
    .await;
    let (gateway, report, mut stopped) = opened
        .map_err(|error| {
            Failure::ours(both!("打开存储时出错：{error}", "opening the store failed: {error}"))
        })?
        .map_err(|error| cannot_open(&error, &config))?;
    tell_report(&report);
    abort_on_panic();

    let local = socket::listen(&config.socket).await?;
    let listener = match config.peer_listener {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
            Failure::system(both!(
                "无法在 {address} 监听（{error}）；请改 peer_listener.address 或停掉占用者。",
                "cannot listen at {address} ({error}); change peer_listener.address or stop whoever uses it."
            ))
        })?),
        None => None,
    };
    let signing_trust = Arc::clone(&trust);
    let connected = transport::connect(
        &gateway,
        transport::Settings {
            listener,
            peers: config
                .peers
                .iter()
                .map(|peer| Peer { node: peer.node, address: peer.address.clone().filter(|_| peer.dial) })
                .collect(),
            tls_chain: config.identity.tls_chain.clone(),
            tls_key: config.identity.tls_key.clone(),
            trust_dir: config.trust_dir.clone(),
            bundle_dir: config.bundle_dir.clone(),
            bundles: config.bundles(),
            trust,
        },
    )
    .map_err(|error| {
        Failure::input(both!("TLS 身份不能使用：{error}", "the TLS identity cannot be used: {error}"))
    })?;
    let signing = signing::Watch {
        config: Arc::clone(&config),
        trust: signing_trust,
        gateway: gateway.clone(),
        measures,
    };
    let signing = tokio::spawn(signing.run());
    let responder = tokio::spawn(respond::run(gateway.clone()));
    let fetcher = tokio::spawn(gateway::blobs::run(gateway.links(), gateway.blobs()));
    let disk = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.watch_disk().await }
    });
    let calendar = Arc::new(material.calendar);
    let submitters = Arc::new(Submitters::new(config.bounds.submitter, gateway.clock()));

    let LocalSocket { listener, guard } = local;
    let (stop_local, stop) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(
        tonic::transport::Server::builder()
            .initial_stream_window_size(LOCAL_WINDOW_BYTES)
            .initial_connection_window_size(4 * LOCAL_WINDOW_BYTES)
            .max_frame_size(LOCAL_FRAME_BYTES)
            .add_service(
                BusinessServer::new(BusinessService { gateway: gateway.clone(), submitters, calendar })
                    .max_decoding_message_size(LOCAL_REQUEST_BYTES_MAX)
                    .max_encoding_message_size(LOCAL_MESSAGE_BYTES_MAX),
            )
            .add_service(
                OperatorServer::new(OperatorService(gateway.clone()))
                    .max_decoding_message_size(LOCAL_REQUEST_BYTES_MAX)
                    .max_encoding_message_size(LOCAL_MESSAGE_BYTES_MAX),
            )
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async {
                let _ = stop.await;
            }),
    );
    observed.opened(gateway.clone());
    ready(console, &config, &gateway)?;

    let committer_ended = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        ended = &mut stopped => Some(ended),
    };
    if let Some(ended) = committer_ended {
        let why = why_ended(ended, "the committer ended");
        // Nothing more can be promised: whatever runs on must not answer. The journal is enough.
        tracing::error!(error = why, outcome = "stopped", code = %RefusalCode::CommitterEnded,
            "the node stops: the outcome of a commit is unknown");
        observed.committer_ended();
        observe::watch::judge(&observed);
        let untold = observed.couriers.flush(Duration::from_millis(ALARM_FLUSH_MILLIS_MAX)).await;
        if untold > 0 {
            tracing::error!(notices = untold, "alarms that nobody has taken go with the process");
        }
        return Err(Failure::ours(both!(
            "提交结果未知，节点停止：{why}；请重启，日志会重读。",
            "The outcome of a commit is unknown, the node stops: {why}; start it again, the journal is re-read."
        )));
    }
    tracing::info!("stopping");
    // Whoever probes from here on finds nobody: a node that stops is not ready.
    observing.abort_all();
    signing.abort();
    responder.abort();
    disk.abort();
    fetcher.abort();
    connected.close().await;
    let _ = stop_local.send(());
    serving.abort();
    let _ = serving.await;
    drop(guard);
    // The committer finishes what it was given and makes the index durable.
    if let Err(refusal) = gateway.settle().await {
        let why = why_ended(stopped.await, &refusal.to_string());
        tracing::error!(
            error = why,
            "the node did not stop in order; the next start reads its journal again"
        );
        return Err(Failure::ours(both!("停止时出错：{why}", "an error while stopping: {why}")));
    }
    tracing::info!("stopped");
    Ok(())
}

/// Why the committer ended; `otherwise` when it did not say.
fn why_ended(
    ended: Result<Result<(), CommitError>, tokio::sync::oneshot::error::RecvError>,
    otherwise: &str,
) -> String {
    match ended {
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(())) | Err(_) => otherwise.to_owned(),
    }
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind)
        .map_err(|error| Failure::system(both!("收不到信号：{error}", "cannot listen for signals: {error}")))
}

fn ready(console: Console, config: &Config, gateway: &Gateway) -> Result<(), Failure> {
    let (node, socket) = (gateway.node(), config.socket.display());
    let listens = config.peer_listener.map(|address| address.to_string());
    let document = json!({
        "ready": true,
        "node": node.as_str(),
        "socket": socket.to_string(),
        "peer_listener": listens,
        "pid": std::process::id(),
    });
    console.result(&document, |lang| {
        let dialled_only = lang.pick("（只拨出）".to_owned(), "(dials out only)".to_owned());
        let listens = listens.clone().unwrap_or(dialled_only);
        lang.pick(
            format!("就绪：节点 {node}，本地套接字 {socket}，伙伴入口 {listens}"),
            format!("ready: node {node}, local socket {socket}, partners at {listens}"),
        )
    })
}

/// Keys of earlier signing certificates: they verify what this node signed before.
fn older_keys(material: &Material) -> Result<Vec<SigningKey>, Failure> {
    material
        .older_signing_chains
        .iter()
        .map(|chain| {
            let refs: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
            let refused = |error: String| {
                Failure::input(both!(
                    "identity.older_signing_chains 中的证书不能使用：{error}",
                    "a certificate of identity.older_signing_chains cannot be used: {error}"
                ))
            };
            let verified = material
                .trust
                .verify_evidence(&refs, crate::cli::check::now_ms())
                .map_err(|error| refused(error.to_string()))?;
            let key = PublicKey::from_spki(&verified.spki_der).map_err(|error| refused(error.to_string()))?;
            Ok(SigningKey { name: verified.id.to_string(), key, chain: chain.clone() })
        })
        .collect()
}

fn cannot_open(error: &OpenError, config: &Config) -> Failure {
    let code = error.code();
    let shown = config.file.display();
    let (zh, en) = (code.zh(), code.en());
    let mut failure = Failure::system(both!(
        "{error}。{zh}(tongban store repair --config {shown})",
        "{error}. {en} (tongban store repair --config {shown})"
    ));
    code.code().clone_into(&mut failure.code);
    failure.fault = code.fault();
    failure.exit = code.status().exit_code();
    failure
}

fn tell_report(report: &OpenReport) {
    if report.cut_bytes > 0 {
        tracing::warn!(
            bytes = report.cut_bytes,
            "a write that a crash cut short was removed from the journal's end"
        );
    }
    if let Some((folder, why)) = &report.index_set_aside {
        tracing::warn!(folder = %folder.display(), why, "the index was moved aside and made anew from the journal");
    }
    if report.replayed.frames > 0 {
        tracing::info!(frames = report.replayed.frames, "the index was brought up to the journal");
    }
}

/// From here on a broken invariant stops the process; the journal is enough to start again. Opening is
/// excepted: sled panics over some damaged files, and a damaged index is only moved aside.
fn abort_on_panic() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        std::process::abort();
    }));
}

/// Sends events to stderr. What events may hold is the rule of whoever writes them: ids, peers,
/// outcomes and reasons, never payloads, keys or identity numbers.
fn start_log(config: &Config) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(config.log.level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber in one process is refused: the first one stays, which is what a test wants.
    let _ = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
