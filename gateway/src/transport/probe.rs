//! A look at a peer from outside, without a link: how far a connection to it comes, which certificate it shows, and
//! what its clock says. It opens no stream of the protocol, so it fences nobody's link.
//!
//! The certificate is not judged here: whoever looks wants to know everything that is wrong, and not only the first
//! thing. Nothing but a question for a method that does not exist is sent over the connection.

use super::read_ahead::ReadAhead;
use super::tls::credentials;
use crate::limits::HANDSHAKE_MILLIS_MAX;
use certs::Identity;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;
use tower::{Service as _, ServiceExt as _};

/// A method that no node has: its answer has a date and does nothing.
const NO_METHOD: &str = "/tongban.exchange.v1.Exchange/Look";

/// How far a look came. Each step is there when the one before it was good.
#[derive(Debug, Default)]
pub struct Look {
    /// The addresses of the name.
    pub resolved: Option<Result<Vec<SocketAddr>, String>>,
    /// The TCP connection.
    pub connected: Option<Result<(), ConnectProblem>>,
    /// The peer's certificate chain, DER, leaf first, whose key it has; or what went wrong in the handshake.
    pub chain: Option<Result<Vec<Vec<u8>>, TlsProblem>>,
    /// Whether the peer takes this node's certificate, which it says after the handshake only.
    pub accepted: Option<Result<(), TlsProblem>>,
    /// How far the peer's clock is ahead of this one, ms, and how far that may be off.
    pub clock_ahead: Option<(i64, i64)>,
}

/// Why there is no TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectProblem {
    /// The machine answers that nobody listens there.
    Refused,
    /// Nobody answers in time.
    Silent,
    /// The network says that there is no way.
    Unreachable,
}

/// Why there is no TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsProblem {
    /// The peer ended it with an alert: most often it does not trust this node's certificate.
    RefusedByPeer(String),
    /// No TLS 1.3, or not TLS at all.
    Protocol(String),
    /// The connection broke.
    Broken(String),
    /// It took too long.
    Timeout,
    /// This node's own identity cannot be used.
    Own(String),
}

/// Looks at the peer at `host:port` as this node. Takes a few seconds at most.
pub async fn look(address: &str, identity: &Identity) -> Look {
    let patience = Duration::from_millis(HANDSHAKE_MILLIS_MAX);
    let mut look = Look::default();
    let resolved = match tokio::time::timeout(patience, lookup_host(address)).await {
        Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<_>>()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    let resolved = resolved.and_then(|found| {
        if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
    });
    let addresses = match look.resolved.insert(resolved) {
        Ok(addresses) => addresses.clone(),
        Err(_) => return look,
    };
    let tcp = match tokio::time::timeout(patience, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(tcp)) => Ok(tcp),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(ConnectProblem::Refused)
        }
        Ok(Err(_)) => Err(ConnectProblem::Unreachable),
        Err(_) => Err(ConnectProblem::Silent),
    };
    let tcp = match tcp {
        Ok(tcp) => tcp,
        Err(problem) => {
            look.connected = Some(Err(problem));
            return look;
        }
    };
    look.connected = Some(Ok(()));
    let config = match config(identity) {
        Ok(config) => config,
        Err(error) => {
            look.chain = Some(Err(TlsProblem::Own(error.to_string())));
            return look;
        }
    };
    let name = ServerName::try_from("peer.tongban").expect("a constant DNS name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, ReadAhead::new(tcp));
    let stream = match tokio::time::timeout(patience, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            look.chain = Some(Err(problem(&error)));
            return look;
        }
        Err(_) => {
            look.chain = Some(Err(TlsProblem::Timeout));
            return look;
        }
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    look.chain = Some(Ok(chain.iter().map(|certificate| certificate.to_vec()).collect()));
    match tokio::time::timeout(patience, ask(stream)).await {
        Ok(Ok(ahead)) => {
            look.accepted = Some(Ok(()));
            look.clock_ahead = ahead;
        }
        Ok(Err(problem)) => look.accepted = Some(Err(problem)),
        Err(_) => look.accepted = Some(Err(TlsProblem::Timeout)),
    }
    look
}

type Stream = tokio_rustls::client::TlsStream<ReadAhead<TcpStream>>;

/// Asks for the method that does not exist, and reads the date of the answer.
async fn ask(stream: Stream) -> Result<Option<(i64, i64)>, TlsProblem> {
    let once = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_| {
        let taken = once.lock().expect("no holder of the stream panics").take();
        async move { taken.map(TokioIo::new).ok_or_else(|| std::io::Error::other("one connection only")) }
    });
    let broken = |error: &(dyn std::error::Error + 'static)| deepest(error);
    let channel = Endpoint::from_static("http://peer.tongban").connect_with_connector(connector).await;
    let mut channel = channel.map_err(|error| broken(&error))?;
    let request = http::Request::post(NO_METHOD)
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .body(tonic::body::Body::empty())
        .expect("a constant request");
    let sent_ms = now_ms();
    let ready = channel.ready().await.map_err(|error| broken(&error))?;
    let answer = ready.call(request).await.map_err(|error| broken(&error))?;
    let heard_ms = now_ms();
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let Some(said) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return Ok(None) };
    // The date is cut to a second: the peer's clock was between it and a second later, when ours was between sending
    // and hearing.
    let said_ms = unix_ms(said);
    let (least, most) = (said_ms - heard_ms, said_ms + 999 - sent_ms);
    Ok(Some(((least + most) / 2, (most - least) / 2)))
}

/// The cause that says most: a TLS alert, if there is one.
fn deepest(error: &(dyn std::error::Error + 'static)) -> TlsProblem {
    let mut cause = Some(error);
    let mut last = error.to_string();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            let found = problem(io);
            if !matches!(found, TlsProblem::Broken(_)) {
                return found;
            }
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        last = inner.to_string();
        cause = inner.source();
    }
    TlsProblem::Broken(last)
}

fn problem(error: &std::io::Error) -> TlsProblem {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => of_tls(tls),
        None => TlsProblem::Broken(error.to_string()),
    }
}

fn of_tls(error: &rustls::Error) -> TlsProblem {
    match error {
        rustls::Error::AlertReceived(alert) => TlsProblem::RefusedByPeer(format!("{alert:?}")),
        other => TlsProblem::Protocol(other.to_string()),
    }
}

fn config(identity: &Identity) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Seen { algorithms: provider.signature_verification_algorithms };
    let (chain, key) = credentials(identity);
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Takes every certificate whose key the peer has: it is looked at, and nothing is entrusted to the connection.
#[derive(Debug)]
struct Seen {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn now_ms() -> i64 {
    unix_ms(SystemTime::now())
}

fn unix_ms(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
