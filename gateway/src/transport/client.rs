//! The dialling side: one task per peer with an address, which keeps one link standing.

use super::read_ahead::ReadAhead;
use super::server::tell_refused_handshake;
use super::standing::CertificateStanding;
use super::tls::{self, Clock, TrustHandle};
use super::{
    CONNECTION_WINDOW_BYTES, FRAMES_QUEUED_MAX, HTTP2_FRAME_BYTES, KEEPALIVE_SECONDS, STREAM_WINDOW_BYTES,
    TLS_BUFFER_BYTES,
};
use crate::channel::circuit::{Decision, Event};
use crate::channel::possession::Binding;
use crate::id::NodeId;
use crate::limits::{FRAME_BYTES_MAX, HANDSHAKE_MILLIS_MAX, REDIAL_MILLIS_MAX, REDIAL_MILLIS_MIN};
use crate::link::{self, Links};
use crate::measure::{Measures, Side};
use crate::peer::{Dial, PeerStream};
use crate::refusal::{Refusal, RefusalCode};
use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use proto::exchange::v1::exchange_client::ExchangeClient;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Whom to dial, and as whom.
pub struct TlsDial {
    /// Who must answer.
    pub peer: NodeId,
    /// host:port.
    pub address: String,
    /// TLS, demanding that peer.
    pub config: Arc<ArcSwap<ClientConfig>>,
    /// Trust, as of the moment.
    pub trust: TrustHandle,
    /// The clock.
    pub clock: Clock,
    /// Told about refused handshakes.
    pub measures: Arc<Measures>,
}

impl Dial for TlsDial {
    type Connection = tonic::transport::Channel;

    fn peer(&self) -> NodeId {
        self.peer
    }

    fn address(&self) -> &str {
        &self.address
    }

    async fn connect(&self) -> Result<(Self::Connection, PeerStream), Refusal> {
        connect(self).await
    }
}

/// Dials whenever no link to the peer stands and its circuit says so, until the task is dropped.
pub async fn keep_dialling<D: Dial>(links: Arc<Links>, dial: Arc<D>) {
    let peer = dial.peer();
    let mut changes = links.changes_of(peer);
    // When both sides may dial, the lower node goes first: the other finds a link standing.
    let patience = Duration::from_millis(if links.me < peer { 0 } else { 3 * REDIAL_MILLIS_MIN });
    loop {
        changes.borrow_and_update();
        if links.is_live(peer) {
            let since = Instant::now();
            while links.is_live(peer) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            let stood_millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            links.circuit(peer, Event::Ended { stood_millis, why: Some(RefusalCode::LinkBroken) });
            continue;
        }
        match links.circuit(peer, Event::Asked) {
            Decision::Rest => {}
            Decision::Wait(until) => {
                let wait = Duration::from_millis(until.millis_since(links.clock.now()));
                // A link that the peer dialled meanwhile ends the wait.
                let _ = tokio::time::timeout(wait, changes.changed()).await;
            }
            Decision::Dial => {
                tokio::time::sleep(patience).await;
                if !links.is_live(peer) {
                    dial_once(&links, &*dial).await;
                }
            }
        }
    }
}

/// Dials a bulk link whenever one is asked for and none stands, until the task is dropped.
pub async fn keep_bulk<D: Dial>(links: Arc<Links>, dial: Arc<D>) {
    let peer = dial.peer();
    let mut wanted = links.bulk_wanted(peer);
    let mut pause = REDIAL_MILLIS_MIN;
    while wanted.changed().await.is_ok() {
        if links.is_bulk_live(peer) {
            continue;
        }
        match dial.connect().await {
            Ok((connection, stream)) => {
                let ended = link::run_bulk(Arc::clone(&links), stream).await;
                drop(connection);
                if ended.is_ok() {
                    pause = REDIAL_MILLIS_MIN;
                    continue;
                }
            }
            Err(refusal) => tracing::info!(%peer, address = dial.address(), code = %refusal.code,
                detail = refusal.detail, "peer not reached for a bulk link"),
        }
        let mut jitter = [0; 2];
        links.randomness.fill(&mut jitter);
        let jittered = pause / 2 + u64::from(u16::from_be_bytes(jitter)) % pause;
        tokio::time::sleep(Duration::from_millis(jittered)).await;
        pause = (pause * 2).min(REDIAL_MILLIS_MAX);
    }
}

/// One dial, and the conversation that comes of it.
async fn dial_once<D: Dial>(links: &Arc<Links>, dial: &D) {
    let peer = dial.peer();
    match dial.connect().await {
        Ok((connection, stream)) => {
            let since = Instant::now();
            let outcome = link::run(Arc::clone(links), stream).await;
            let stood_millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            // One that gave way to another link is no failure: that one stands.
            let why = outcome.err().map(|refusal| refusal.code).filter(|code| *code != RefusalCode::Fenced);
            links.circuit(peer, Event::Ended { stood_millis, why });
            drop(connection);
        }
        Err(refusal) => {
            tracing::info!(%peer, address = dial.address(), outcome = "not reached", code = %refusal.code,
                detail = refusal.detail, "peer not reached");
            links.circuit(peer, Event::Failed(refusal.code));
        }
    }
}

async fn connect(dial: &TlsDial) -> Result<(tonic::transport::Channel, PeerStream), Refusal> {
    let unreached = |why: String| Refusal::new(RefusalCode::NotContacted, why);
    let certificates: Arc<Mutex<(Vec<CertificateDer<'static>>, Option<Binding>)>> = Arc::default();
    let endpoint = Endpoint::from_static("http://peer.tongban")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(KEEPALIVE_SECONDS))
        .keep_alive_timeout(Duration::from_secs(KEEPALIVE_SECONDS))
        .keep_alive_while_idle(true)
        .connect_timeout(Duration::from_millis(HANDSHAKE_MILLIS_MAX));
    let (address, config, seen) = (dial.address.clone(), dial.config.load_full(), Arc::clone(&certificates));
    let measures = Arc::clone(&dial.measures);
    let connector = tower::service_fn(move |_| {
        let (address, config, seen) = (address.clone(), Arc::clone(&config), Arc::clone(&seen));
        let measures = Arc::clone(&measures);
        async move {
            let tcp = TcpStream::connect(&address).await?;
            tcp.set_nodelay(true)?;
            // The name is not used: who answers is judged by the SPIFFE id alone.
            let name = ServerName::try_from("peer.tongban").expect("a constant DNS name");
            let connecting = TlsConnector::from(config).connect(name, ReadAhead::new(tcp));
            let mut stream = connecting.await.inspect_err(|error| {
                tell_refused_handshake(&measures, Side::Dialled, &address, error);
            })?;
            let (_, connection) = stream.get_mut();
            connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
            let chain = connection.peer_certificates().unwrap_or_default();
            let chain = chain.iter().cloned().map(CertificateDer::into_owned).collect();
            *seen.lock().expect("no holder of the chain panics") = (chain, tls::binding(connection));
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let channel =
        endpoint.connect_with_connector(connector).await.map_err(|error| unreached(chain_text(&error)))?;
    let (chain, binding) = certificates.lock().expect("no holder of the chain panics").clone();
    let binding = binding.ok_or_else(|| unreached("TLS gives no exporter".to_owned()))?;
    let (standing, peer) = CertificateStanding::new(chain, Arc::clone(&dial.trust), Arc::clone(&dial.clock))?;
    if peer != dial.peer {
        return Err(Refusal::new(RefusalCode::WrongNode, format!("certificate={peer}")));
    }
    let (outgoing, frames) = mpsc::channel(FRAMES_QUEUED_MAX);
    let mut client = ExchangeClient::new(channel.clone())
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let answered = client.link(ReceiverStream::new(frames)).await;
    let incoming = answered.map_err(|status| unreached(status.to_string()))?.into_inner();
    let incoming = incoming.map(|frame| frame.map_err(|status| status.message().to_owned()));
    let stream = PeerStream {
        peer,
        dialled: true,
        binding,
        incoming: Box::pin(incoming),
        outgoing,
        standing: Arc::new(standing),
    };
    Ok((channel, stream))
}

/// An error with its causes: tonic's own text says only "transport error".
fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
