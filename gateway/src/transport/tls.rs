//! TLS between nodes: 1.3 only, both sides authenticated, judged by the trust store of the moment.
//!
//! rustls does the protocol and asks [`PeerVerifier`] about certificates; the answer is `certs`' verdict, taken from
//! the store that is current when the question is asked, so a change of trust needs no new configuration. Nothing
//! is resumed: rustls skips certificates in a resumed session, so tickets, session storage and early data are off.
//! What a verified peer may do is decided elsewhere; [`peer_identity`] lets a session ask again as it goes on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::possession::{Binding, EXPORTER_LABEL};
use arc_swap::ArcSwap;
use certs::{Division, Identity, Purpose, TrustError, TrustStore, Verified};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};

/// HTTP/2, the only protocol spoken over these connections.
const ALPN_HTTP2: &[u8] = b"h2";

/// Signatures of the keys that nodes may have, RFC 8446 §4.2.3.
const SCHEMES: [SignatureScheme; 2] = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

/// The trust store of the moment; an administrator's change swaps another one in.
pub type TrustHandle = Arc<ArcSwap<TrustStore>>;

/// Tells the time, Unix ms.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Our own key or certificate cannot be used for TLS. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("this node's TLS identity cannot be used: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// The configuration for accepting connections: every client must show a node's TLS certificate.
///
/// # Errors
/// [`TlsError`] when rustls does not take the identity.
pub fn server_config(
    identity: &Identity,
    trust: TrustHandle,
    clock: Clock,
) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PeerVerifier::new(trust, clock.clone(), &provider);
    let (chain, key) = credentials(identity);
    let mut config = rustls::ServerConfig::builder_with_details(provider, Arc::new(RustlsTime(clock)))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(config)
}

/// The configuration for dialling one node: whoever answers must be `expected`, at whatever address.
///
/// # Errors
/// [`TlsError`] when rustls does not take the identity.
pub fn client_config(
    identity: &Identity,
    trust: TrustHandle,
    clock: Clock,
    expected: Division,
) -> Result<rustls::ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PeerVerifier::new(trust, clock.clone(), &provider).expecting(expected);
    let (chain, key) = credentials(identity);
    let mut config = rustls::ClientConfig::builder_with_details(provider, Arc::new(RustlsTime(clock)))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(config)
}

/// Judges a connection's peer by the trust of this moment.
///
/// `certificates`: what the handshake left, leaf first, as rustls' `peer_certificates` gives them. A session asks
/// once when it begins, and again when the trust store was swapped or [`Verified::good_until_ms`] has passed.
///
/// # Errors
/// Why the peer may not, or no longer, be connected.
pub fn peer_identity(
    certificates: &[CertificateDer<'_>],
    trust: &TrustHandle,
    clock: &Clock,
) -> Result<Verified, TrustError> {
    let chain: Vec<&[u8]> = certificates.iter().map(AsRef::as_ref).collect();
    trust.load().verify(Purpose::Tls, &chain, clock())
}

/// What only the two ends of a connection know (RFC 8446 §7.5), for proofs that are good on it alone; none before
/// its handshake is over.
pub fn binding<Side>(connection: &rustls::ConnectionCommon<Side>) -> Option<Binding> {
    connection.export_keying_material(Binding::default(), EXPORTER_LABEL, None).ok()
}

/// The verdict inside a failed handshake's error, if our own side made one: its code and advice are for the log.
pub fn trust_error(error: &rustls::Error) -> Option<&TrustError> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
        _ => None,
    }
}

/// Answers rustls' questions about certificates with the trust store's verdicts.
#[derive(Clone)]
pub struct PeerVerifier {
    trust: TrustHandle,
    clock: Clock,
    algorithms: WebPkiSupportedAlgorithms,
    /// Who must answer, on the dialling side; anybody trusted may dial in.
    expected: Option<Division>,
}

impl PeerVerifier {
    /// A verifier that takes any trusted node: for the accepting side.
    pub fn new(trust: TrustHandle, clock: Clock, provider: &CryptoProvider) -> Self {
        Self { trust, clock, algorithms: provider.signature_verification_algorithms, expected: None }
    }

    /// A verifier that takes only this node: for the dialling side.
    pub fn expecting(self, division: Division) -> Self {
        Self { expected: Some(division), ..self }
    }

    fn check(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let chain: Vec<_> = std::iter::once(leaf).chain(others).cloned().collect();
        let verified = peer_identity(&chain, &self.trust, &self.clock).map_err(refusal)?;
        let found = verified.id.division;
        match self.expected {
            Some(expected) if expected != found => {
                Err(refusal(TrustError::UnexpectedNode { expected, found }))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    /// None: the names of our anchors are nobody's business, and a node has one TLS certificate only.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// `_now` is our clock cut to seconds; the verdict reads the clock itself.
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(leaf, others)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ServerCertVerifier for PeerVerifier {
    /// `_name` is the address dialled: nodes are known by their division, wherever they are.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.expected.is_none() {
            // Anybody's answer would do: never what a dialler means.
            return Err(rustls::Error::General("no expected node was set for this connection".into()));
        }
        self.check(leaf, others)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerVerifier").field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// Our clock as rustls wants it, so that nothing in the protocol reads another.
struct RustlsTime(Clock);

impl TimeProvider for RustlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = Duration::from_millis(u64::try_from((self.0)()).ok()?);
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

impl fmt::Debug for RustlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustlsTime")
    }
}

pub(super) fn credentials(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = identity.chain().iter().map(|certificate| certificate.clone().into()).collect();
    (chain, PrivateKeyDer::Pkcs8(identity.key().clone_key()))
}

fn refusal(error: TrustError) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

fn tls12() -> rustls::Error {
    rustls::Error::General("TLS 1.2 is never offered".into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use certs::{Anchor, AnchorState, Revocation, TrustDomain};
    use devpki::{KeyKind, LeafSpec, Province};
    use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;
    const DAY_MS: i64 = 86_400_000;
    const YUEYANG: &str = "430600";
    const XIANNING: &str = "421200";

    /// Two provinces that trust each other, and a clock to turn.
    struct World {
        hunan: Province,
        hubei: Province,
        trust: TrustHandle,
        now_ms: Arc<AtomicI64>,
    }

    impl World {
        fn new() -> Self {
            let hunan = Province::new("hunan.tongban", &["43"], NOW_MS).unwrap();
            let hubei = Province::new("hubei.tongban", &["42"], NOW_MS).unwrap();
            let store = TrustStore::new(vec![domain(&hunan), domain(&hubei)]).unwrap();
            let trust = Arc::new(ArcSwap::from_pointee(store));
            Self { hunan, hubei, trust, now_ms: Arc::new(AtomicI64::new(NOW_MS)) }
        }

        fn clock(&self) -> Clock {
            let now_ms = self.now_ms.clone();
            Arc::new(move || now_ms.load(Ordering::Relaxed))
        }

        fn server(&self, identity: &Identity) -> ServerConfig {
            server_config(identity, self.trust.clone(), self.clock()).unwrap()
        }

        fn client(&self, identity: &Identity, expected: &str) -> ClientConfig {
            client_config(identity, self.trust.clone(), self.clock(), expected.parse().unwrap()).unwrap()
        }

        /// 岳阳 dials 咸宁.
        fn configs(&self) -> (ClientConfig, ServerConfig) {
            let client = self.client(&identity(&self.hunan.tls(YUEYANG).unwrap()), XIANNING);
            (client, self.server(&identity(&self.hubei.tls(XIANNING).unwrap())))
        }

        fn suspend(&self, division: &str) {
            let division: Division = division.parse().unwrap();
            let mut domains = self.trust.load().domains().to_vec();
            let domain = domains.iter_mut().find(|domain| domain.speaks_for(division)).unwrap();
            domain.suspend(division).unwrap();
            self.trust.store(Arc::new(TrustStore::new(domains).unwrap()));
        }
    }

    fn domain(province: &Province) -> TrustDomain {
        let anchor = Anchor::from_der(province.root_der(), AnchorState::Active).unwrap();
        let prefixes = province.prefixes().iter().map(|prefix| prefix.parse().unwrap()).collect();
        TrustDomain::new(province.name().parse().unwrap(), prefixes, vec![anchor], Revocation::None).unwrap()
    }

    fn identity(issued: &devpki::Issued) -> Identity {
        Identity::new(issued.chain_der.clone(), issued.key_der.clone().into()).unwrap()
    }

    /// What ended a handshake: which side refused, and why.
    #[derive(Debug)]
    enum Refused {
        ByClient(rustls::Error),
        ByServer(rustls::Error),
    }

    impl Refused {
        fn code(&self) -> Option<&'static str> {
            let (Self::ByClient(error) | Self::ByServer(error)) = self;
            trust_error(error).map(TrustError::code)
        }
    }

    /// Carries bytes both ways until neither side has any left.
    fn handshake(
        client: ClientConfig,
        server: ServerConfig,
    ) -> Result<(ClientConnection, ServerConnection), Refused> {
        let name = ServerName::try_from("10.0.0.1").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.wants_write() || server.wants_write() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().map_err(Refused::ByServer)?;
            bytes.clear();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().map_err(Refused::ByClient)?;
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        Ok((client, server))
    }

    fn refusal_of(client: ClientConfig, server: ServerConfig) -> Refused {
        handshake(client, server).map(|_| ()).expect_err("a refusal")
    }

    #[test]
    fn two_nodes_connect_and_know_each_other() {
        let world = World::new();
        let (client_config, server_config) = world.configs();
        let (client, server) = handshake(client_config, server_config).unwrap();
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(client.alpn_protocol(), Some(ALPN_HTTP2));
        let division = |certificates: Option<&[CertificateDer<'_>]>| {
            let verified = peer_identity(certificates.unwrap(), &world.trust, &world.clock()).unwrap();
            verified.id.division.to_string()
        };
        assert_eq!(division(server.peer_certificates()), YUEYANG);
        assert_eq!(division(client.peer_certificates()), XIANNING);
    }

    #[test]
    fn another_node_than_dialled_is_refused() {
        let world = World::new();
        let (_, server) = world.configs();
        let client = world.client(&identity(&world.hunan.tls(YUEYANG).unwrap()), "420100");
        let refused = refusal_of(client, server);
        assert!(matches!(refused, Refused::ByClient(_)));
        assert_eq!(refused.code(), Some("trust.unexpected_node"));
    }

    #[test]
    fn a_signing_key_opens_no_connection_from_either_side() {
        let world = World::new();
        let (client, server) = world.configs();
        let signing = identity(&world.hunan.signing(YUEYANG, KeyKind::P256).unwrap());
        let refused = refusal_of(world.client(&signing, XIANNING), server);
        assert!(matches!(refused, Refused::ByServer(_)));
        assert_eq!(refused.code(), Some("trust.wrong_usage"));
        let signing = identity(&world.hubei.signing(XIANNING, KeyKind::P256).unwrap());
        let refused = refusal_of(client, world.server(&signing));
        assert!(matches!(refused, Refused::ByClient(_)));
        assert_eq!(refused.code(), Some("trust.wrong_usage"));
    }

    #[test]
    fn a_client_without_a_certificate_is_refused() {
        let world = World::new();
        let (mut client, server) = world.configs();
        client.client_auth_cert_resolver = Arc::new(NoCertificate);
        assert!(matches!(
            refusal_of(client, server),
            Refused::ByServer(rustls::Error::NoCertificatesPresented)
        ));
    }

    #[derive(Debug)]
    struct NoCertificate;

    impl rustls::client::ResolvesClientCert for NoCertificate {
        fn resolve(
            &self,
            _hints: &[&[u8]],
            _schemes: &[SignatureScheme],
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            None
        }

        fn has_certs(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_change_of_trust_needs_no_new_configuration() {
        let world = World::new();
        let (client, server) = world.configs();
        let (_, connected) = handshake(client.clone(), server.clone()).unwrap();
        world.suspend(YUEYANG);
        assert_eq!(refusal_of(client, server).code(), Some("trust.suspended"));
        // The connection that stands already is asked again by its session.
        let again = peer_identity(connected.peer_certificates().unwrap(), &world.trust, &world.clock());
        assert_eq!(again.unwrap_err().code(), "trust.suspended");
    }

    #[test]
    fn the_injected_clock_decides_about_validity() {
        let world = World::new();
        let (client, server) = world.configs();
        world.now_ms.store(NOW_MS + 91 * DAY_MS, Ordering::Relaxed);
        assert_eq!(refusal_of(client, server).code(), Some("trust.certificate_expired"));
    }

    #[test]
    fn nothing_is_resumed() {
        let world = World::new();
        let (client, server) = world.configs();
        for _ in 0..2 {
            let (client, server) = handshake(client.clone(), server.clone()).unwrap();
            assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(client.tls13_tickets_received(), 0);
        }
    }

    #[test]
    fn tls_1_2_is_not_spoken() {
        let world = World::new();
        let (client, server) = world.configs();
        let provider = Arc::new(ring::default_provider());
        let old = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        assert!(handshake(client, server.clone()).is_ok());
        let refused = refusal_of(old, server);
        assert!(matches!(refused, Refused::ByServer(rustls::Error::PeerIncompatible(_))), "{refused:?}");
    }

    #[test]
    fn nodes_connect_with_ed25519_keys_too() {
        let world = World::new();
        let (client, _) = world.configs();
        let spec = LeafSpec { key: KeyKind::Ed25519, ..LeafSpec::tls("hubei.tongban", XIANNING, NOW_MS) };
        let server = world.server(&identity(&world.hubei.leaf(&spec).unwrap()));
        assert!(handshake(client, server).is_ok());
    }
}
