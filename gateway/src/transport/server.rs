//! The accept loop: each handshake in its own task with a timeout, the TLS configuration of the
//! moment, and the verified peer handed to `link`.

use super::doorway::{Admission, Doorway, Source};
use super::read_ahead::ReadAhead;
use super::standing::CertificateStanding;
use super::tls::{self, Clock, TrustHandle, trust_error};
use super::{
    CONNECTION_WINDOW_BYTES, FRAMES_QUEUED_MAX, HTTP2_FRAME_BYTES, KEEPALIVE_ACCEPTED_SECONDS,
    KEEPALIVE_SECONDS, STREAM_WINDOW_BYTES, TLS_BUFFER_BYTES,
};
use crate::channel::possession::Binding;
use crate::limits::{FRAME_BYTES_MAX, HANDSHAKE_ACCEPTED_MILLIS_MAX, HANDSHAKES_MAX};
use crate::link::{self, Links};
use crate::measure::{Measures, Side};
use crate::peer::PeerStream;
use crate::refusal::Refusal;
use arc_swap::ArcSwap;
use proto::exchange::v1::Frame;
use proto::exchange::v1::exchange_server::{Exchange, ExchangeServer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// Accepts peers until `stop` resolves.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ArcSwap<ServerConfig>>,
    trust: TrustHandle,
    clock: Clock,
    links: Arc<Links>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (accepted, connections) = mpsc::channel(HANDSHAKES_MAX);
    let accepting = tokio::spawn(accept(listener, config, accepted, Arc::clone(&links.measures)));
    let service = ExchangeServer::new(Peers { links, trust, clock })
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let served = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(KEEPALIVE_ACCEPTED_SECONDS)))
        .http2_keepalive_timeout(Some(Duration::from_secs(KEEPALIVE_SECONDS)))
        .max_concurrent_streams(16)
        .add_service(service)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop)
        .await;
    accepting.abort();
    served
}

async fn accept(
    listener: TcpListener,
    config: Arc<ArcSwap<ServerConfig>>,
    accepted: mpsc::Sender<io::Result<PeerConnection>>,
    measures: Arc<Measures>,
) {
    let doorway: Door = Arc::default();
    loop {
        let (tcp, address) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file descriptors or the like: let others finish first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = Source::of(address.ip());
        // Held until the task is known: one that is over at once waits for it.
        let mut door = doorway.lock().expect("no holder of the doorway panics");
        match door.admit(source) {
            Admission::Refused { first } => {
                drop(door);
                measures.handshake_failed(Side::Accepted, HANDSHAKE_CROWDED);
                // Once for each flood: the log is no target.
                if first {
                    tracing::warn!(address = %address.ip(), outcome = "refused", code = HANDSHAKE_CROWDED,
                        "an address has too many handshakes going on");
                }
            }
            Admission::Enters(number, gave_way) => {
                let place = Place { doorway: Arc::clone(&doorway), source, number };
                let acceptor = TlsAcceptor::from(config.load_full());
                let shaking = shake(tcp, address, acceptor, accepted.clone(), Arc::clone(&measures), place);
                door.began(source, number, tokio::spawn(shaking).abort_handle());
                drop(door);
                if let Some(gave_way) = gave_way {
                    measures.handshake_failed(Side::Accepted, HANDSHAKE_CROWDED);
                    gave_way.abort();
                }
            }
        }
    }
}

type Door = Arc<Mutex<Doorway<AbortHandle>>>;

/// A place in the doorway, given up when dropped.
struct Place {
    doorway: Door,
    source: Source,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doorway.lock().expect("no holder of the doorway panics").left(self.source, self.number);
    }
}

/// One handshake, to its end or its deadline.
async fn shake(
    tcp: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    accepted: mpsc::Sender<io::Result<PeerConnection>>,
    measures: Arc<Measures>,
    place: Place,
) {
    let _ = tcp.set_nodelay(true);
    let handshake = tokio::time::timeout(
        Duration::from_millis(HANDSHAKE_ACCEPTED_MILLIS_MAX),
        acceptor.accept(ReadAhead::new(tcp)),
    );
    let outcome = handshake.await;
    // What waits from here on has shown a certificate.
    drop(place);
    match outcome {
        Ok(Ok(mut stream)) => {
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
            let _ = accepted.send(Ok(PeerConnection(stream))).await;
        }
        Ok(Err(error)) => tell_refused_handshake(&measures, Side::Accepted, &address.to_string(), &error),
        Err(_) => {
            measures.handshake_failed(Side::Accepted, HANDSHAKE_TIMEOUT);
            tracing::info!(%address, outcome = "refused", code = HANDSHAKE_TIMEOUT,
                "a handshake took too long");
        }
    }
}

/// What a handshake failed with when the trust store did not decide.
const HANDSHAKE_TIMEOUT: &str = "tls.timeout";
/// Its address had its share of places already, or it gave way to another.
const HANDSHAKE_CROWDED: &str = "tls.crowded";
/// The peer ended it: most often it does not trust this node's certificate.
const HANDSHAKE_ALERT: &str = "tls.refused_by_peer";
/// No TLS 1.3, no certificate, or not TLS at all.
const HANDSHAKE_PROTOCOL: &str = "tls.protocol";
/// The connection broke.
const HANDSHAKE_BROKEN: &str = "tls.broken";

/// The stable code of a failed handshake: the trust store's own where it decided.
fn handshake_code(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => match trust_error(tls) {
            Some(trust) => trust.code(),
            None if matches!(tls, rustls::Error::AlertReceived(_)) => HANDSHAKE_ALERT,
            None => HANDSHAKE_PROTOCOL,
        },
        None => HANDSHAKE_BROKEN,
    }
}

/// Counts and logs a failed handshake.
pub(super) fn tell_refused_handshake(measures: &Measures, side: Side, address: &str, error: &io::Error) {
    let code = handshake_code(error);
    measures.handshake_failed(side, code);
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls.and_then(trust_error) {
        Some(trust) => {
            tracing::warn!(address, side = side.name(), outcome = "refused", code, reason = %trust,
            advice = trust.advice(false), "peer refused in the handshake")
        }
        None => {
            tracing::info!(address, side = side.name(), outcome = "failed", code, %error, "a handshake failed")
        }
    }
}

/// A TLS connection whose peer showed a certificate.
struct PeerConnection(TlsStream<ReadAhead<TcpStream>>);

/// What the handshake left: the peer's chain, and what binds proofs to the connection.
#[derive(Clone)]
struct PeerCertificates(Arc<Vec<CertificateDer<'static>>>, Option<Binding>);

impl Connected for PeerConnection {
    type ConnectInfo = PeerCertificates;

    fn connect_info(&self) -> PeerCertificates {
        let (_, connection) = self.0.get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        let chain = chain.iter().cloned().map(CertificateDer::into_owned).collect();
        PeerCertificates(Arc::new(chain), tls::binding(connection))
    }
}

impl AsyncRead for PeerConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    // A frame's head and content go in one write, and so in one system call.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

struct Peers {
    links: Arc<Links>,
    trust: TrustHandle,
    clock: Clock,
}

#[tonic::async_trait]
impl Exchange for Peers {
    type LinkStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<Frame, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<Frame>>) -> Result<Response<Self::LinkStream>, Status> {
        let certificates = request.extensions().get::<PeerCertificates>().cloned();
        let certificates = certificates.ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let chain = certificates.0.as_ref().clone();
        let binding = certificates.1.ok_or_else(|| Status::unauthenticated("TLS gives no exporter"))?;
        let (standing, peer) =
            CertificateStanding::new(chain, Arc::clone(&self.trust), Arc::clone(&self.clock))
                .map_err(status)?;
        let (outgoing, frames) = mpsc::channel(FRAMES_QUEUED_MAX);
        let incoming = request.into_inner().map(|frame| frame.map_err(|status| status.message().to_owned()));
        let stream = PeerStream {
            peer,
            dialled: false,
            binding,
            incoming: Box::pin(incoming),
            outgoing,
            standing: Arc::new(standing),
        };
        // The stream of answers ends when the session drops its sender.
        tokio::spawn(link::run(Arc::clone(&self.links), stream));
        Ok(Response::new(Box::pin(ReceiverStream::new(frames).map(Ok))))
    }
}

fn status(refusal: Refusal) -> Status {
    Status::new(
        (refusal.code.status() as i32).into(),
        format!("{}: {}", refusal.code, refusal.message(false)),
    )
}
