//! Invariant 5: nobody speaks for another.

use certs::{Identity, Purpose, TrustStore};
use devpki::{KeyKind, LeafSpec, Province};
use proto::exchange::v1::frame::Kind as Frame;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::time::{Duration, Instant};
use tests::documents::{case, forward};
use tests::stranger::{Author, Stranger};
use tests::{Rig, XIANNING, YUEYANG, eventually, now_ms};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn province(rig: &Rig, domain: &str) -> Province {
    Province::open(&rig.pki().join("ca").join(domain), now_ms()).expect("a province")
}

fn identity(province: &Province, spec: &LeafSpec) -> Identity {
    let issued = province.leaf(spec).expect("a certificate");
    Identity::new(issued.chain_der, PrivatePkcs8KeyDer::from(issued.key_der)).expect("an identity")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_certificate_is_refused_with_its_code_and_the_node_stays_up() {
    let mut rig = Rig::agreed().await;
    let hubei = province(&rig, "hubei.tongban");
    let good = || LeafSpec::tls("hubei.tongban", "421000", now_ms());
    let hour = 3_600_000;
    let wrong = [
        ("trust.foreign_prefix", LeafSpec::tls("hubei.tongban", "430100", now_ms())),
        ("trust.unknown_issuer", LeafSpec::tls("hunan.tongban", "430100", now_ms())),
        ("trust.unknown_domain", LeafSpec::tls("jiangxi.tongban", "360100", now_ms())),
        (
            "trust.certificate_expired",
            LeafSpec { not_after_ms: now_ms() - hour, not_before_ms: now_ms() - 2 * hour, ..good() },
        ),
        ("trust.certificate_not_yet_valid", LeafSpec { not_before_ms: now_ms() + hour, ..good() }),
        ("trust.wrong_usage", LeafSpec::signing("hubei.tongban", "421000", KeyKind::P256, now_ms())),
        (
            "trust.wrong_san",
            LeafSpec { uri_sans: vec!["spiffe://hubei.tongban/city/421000".into()], ..good() },
        ),
    ];
    let trust = rig.yueyang.path("trust");
    let port = rig.yueyang.port;
    for (code, spec) in wrong {
        let identity = identity(&hubei, &spec);
        // TLS 1.3 tells a client of its refusal only when it reads: the link never opens.
        if let Ok(mut stranger) = Stranger::dial(&identity, &trust, YUEYANG, port).await {
            assert_eq!(stranger.hear().await, None, "{code}: the node spoke to it");
        }
        rig.yueyang.logs(code).await;
    }
    // Of a good certificate one fact decides: whether the node is listed.
    let stranger = identity(&hubei, &good());
    let author = Author::new(
        &identity(&hubei, &LeafSpec::signing("hubei.tongban", "421000", KeyKind::P256, now_ms())),
        &trust,
        "421000",
        YUEYANG,
    );
    let mut link = Stranger::dial(&stranger, &trust, YUEYANG, port).await.expect("TLS lets it in");
    link.say(Frame::Open(author.open())).await;
    assert_eq!(link.closed().await, "link.peer_unknown");
    assert!(rig.yueyang.runs());
    // And the partner noticed nothing.
    let reply = rig.yueyang.desk().await.act(XIANNING, "case.forward", &case(1), &forward()).await;
    let id = reply.expect("taken").message_id;
    assert!(rig.yueyang.desk().await.receipt(XIANNING, &id).await.receipted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_may_not_claim_another_node_nor_bring_another_nodes_signing_key() {
    let mut rig = Rig::agreed().await;
    rig.xianning.kill();
    let trust = rig.yueyang.path("trust");
    let hubei = province(&rig, "hubei.tongban");
    let tls = identity(&hubei, &LeafSpec::tls("hubei.tongban", XIANNING, now_ms()));
    let other = identity(&hubei, &LeafSpec::signing("hubei.tongban", "421000", KeyKind::P256, now_ms()));
    let author = Author::new(&other, &trust, XIANNING, YUEYANG);
    let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.expect("TLS lets it in");
    link.say(Frame::Open(author.open())).await;
    assert_eq!(link.closed().await, "link.wrong_node");

    let mut open = author.open();
    open.node = "421000".into();
    let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.expect("TLS lets it in");
    link.say(Frame::Open(open)).await;
    assert_eq!(link.closed().await, "link.wrong_node");

    // A TLS certificate signs no checkpoints.
    let mut open = author.open();
    open.signing_chain = tls.chain().iter().map(|der| der.clone().into()).collect();
    let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.expect("TLS lets it in");
    link.say(Frame::Open(open)).await;
    assert_eq!(link.closed().await, "link.not_trusted");
    assert!(rig.yueyang.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_closes_its_live_link_and_gets_nothing() {
    let rig = Rig::agreed().await;
    let list = "hubei.tongban.crl.pem";
    let (published, installed) = (rig.pki().join("trust").join(list), rig.yueyang.path("trust").join(list));
    let before = std::fs::read(&installed).expect("a list");
    let tls = Identity::load(&rig.xianning.path("keys/tls.pem"), &rig.xianning.path("keys/tls.key"));
    let trust = TrustStore::load(&rig.yueyang.path("trust")).expect("a trust folder");
    let verified = trust.verify(Purpose::Tls, &tls.expect("an identity").chain_refs(), now_ms());
    let serial = verified.expect("a good certificate").serial;
    devpki::revoke(&rig.pki(), "hubei.tongban", &[&serial], now_ms()).expect("revoked");

    let mut desk = rig.yueyang.desk().await;
    std::fs::copy(published, &installed).expect("the list is installed");
    let installed_at = Instant::now();
    eventually("the link to close", async || !desk.channel(YUEYANG, XIANNING).await.connected).await;
    // Within a second (DESIGN §3); this machine is busy with other tests.
    let closed_after = installed_at.elapsed();
    assert!(closed_after < Duration::from_secs(3), "the link lived on for {closed_after:?}");
    rig.yueyang.logs("trust.revoked").await;

    let reply = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("kept for later");
    let held = desk.channel(YUEYANG, XIANNING).await;
    // It redials all the time; give it several chances to get something.
    let refusals = rig.yueyang.log().matches("trust.revoked").count();
    eventually("it to be refused again", async || {
        rig.yueyang.log().matches("trust.revoked").count() >= refusals + 3
    })
    .await;
    let now = desk.channel(YUEYANG, XIANNING).await;
    assert_eq!((now.cosigned, now.connected), (held.cosigned, false), "it got nothing");

    std::fs::write(&installed, before).expect("the list is taken back");
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_trust_files_are_refused_and_the_last_good_ones_stay_in_force() {
    let rig = Rig::agreed().await;
    let file = rig.yueyang.path("trust/trust.toml");
    let good = std::fs::read_to_string(&file).expect("trust.toml");
    std::fs::write(&file, format!("{good}\ntypo = 1\n")).expect("written");
    rig.yueyang.logs("the last good ones stay in force").await;
    let mut desk = rig.yueyang.desk().await;
    let reply = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken");
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_not_spoken_and_no_session_is_resumed() {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    #[derive(Debug)]
    struct Anybody;
    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let hubei = province(&rig, "hubei.tongban");
    let issued = hubei.tls(XIANNING).expect("a certificate");
    let store = std::sync::Arc::new(rustls::client::ClientSessionMemoryCache::new(8));
    let attempt = async |version: &'static rustls::SupportedProtocolVersion| {
        let chain = issued.chain_der.iter().cloned().map(Into::into).collect();
        let key = PrivatePkcs8KeyDer::from(issued.key_der.clone()).into();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version of rustls")
            .dangerous()
            .with_custom_certificate_verifier(std::sync::Arc::new(Anybody))
            .with_client_auth_cert(chain, key)
            .expect("a client certificate");
        // This client would resume if it were given anything to resume with.
        config.resumption = rustls::client::Resumption::store(store.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp =
            tokio::net::TcpStream::connect(("127.0.0.1", rig.yueyang.port)).await.expect("a connection");
        let name = rustls::pki_types::ServerName::try_from("peer.tongban").expect("a name");
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await
    };
    for _ in 0..2 {
        let mut stream = attempt(&rustls::version::TLS13).await.expect("1.3 is spoken");
        // HTTP/2 begins with the client; tickets would come before the node's first bytes of it.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("taken");
        let first = tokio::time::timeout(tests::PATIENCE, stream.read_u8()).await;
        first.expect("an answer in time").expect("the node speaks HTTP/2");
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
    assert!(attempt(&rustls::version::TLS12).await.is_err());
}

#[test]
fn a_node_does_not_start_with_a_certificate_that_its_partners_would_refuse() {
    let rig = Rig::new();
    let config = rig.yueyang.config();
    let good = std::fs::read_to_string(&config).expect("a configuration");
    let wrong = [
        (
            "trust.wrong_usage",
            good.replace("keys/tls.", "keys/other.")
                .replace("keys/signing.", "keys/tls.")
                .replace("keys/other.", "keys/signing."),
        ),
        ("node = 430601", good.replacen("node = \"430600\"", "node = \"430601\"", 1)),
    ];
    for (fact, text) in wrong {
        std::fs::write(&config, text).expect("written");
        let (exit, told) = rig.yueyang.fails_to_start();
        assert_eq!(exit, 3, "{told}");
        assert!(told.contains(fact), "{fact}: {told}");
    }
    assert!(!rig.yueyang.data().exists(), "nothing was made");
}
