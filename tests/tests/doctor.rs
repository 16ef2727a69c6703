//! `tongban doctor` against real nodes that are really broken: each line, whose side it is on, and the exit code.

use arc_swap::ArcSwap;
use certs::{Identity, TrustStore};
use devpki::{Issued, LeafSpec, Province};
use gateway::transport::tls;
use proto::exchange::v1::exchange_server::{Exchange, ExchangeServer};
use proto::exchange::v1::{Frame, frame::Kind};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use tests::city::{City, tongban};
use tests::office::said;
use tests::stranger::Author;
use tests::{Rig, XIANNING, YUEYANG, eventually, now_ms};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

const HUBEI: &str = "hubei.tongban";

/// What the doctor said: exit code and lines.
struct Answer {
    exit: i32,
    lines: Vec<Value>,
}

impl Answer {
    /// Asks about 咸宁, as 岳阳's configuration or another file says.
    fn of(config: &Path) -> Self {
        let config = config.to_string_lossy();
        let output = tongban(&["doctor", "--peer", XIANNING, "--json", "--config", &config]);
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        let lines = document["lines"].as_array().expect("lines").clone();
        for line in &lines {
            let texts = [&line["message_zh"], &line["message_en"]];
            assert!(texts.iter().all(|text| text.as_str().is_some_and(|text| !text.is_empty())), "{line}");
        }
        Self { exit: output.status.code().unwrap_or(-1), lines }
    }

    /// Outcome, side and code of one check.
    fn line(&self, check: &str) -> (&str, &str, &str) {
        let line = self.lines.iter().find(|line| line["check"] == check);
        let line = line.unwrap_or_else(|| panic!("no line {check}: {:?}", self.lines));
        let text = |field: &str| line[field].as_str().expect("text");
        (text("outcome"), text("side"), text("code"))
    }

    /// The checks that are bad.
    fn bad(&self) -> Vec<&str> {
        let bad = self.lines.iter().filter(|line| line["outcome"] == "bad");
        bad.map(|line| line["check"].as_str().expect("text")).collect()
    }
}

/// Asks until a check is as expected: a running node takes a second to follow its files.
async fn until(config: &Path, check: &str, expected: (&str, &str, &str)) -> Answer {
    let mut last = None;
    eventually(&format!("{check} to be {expected:?}"), async || {
        let answer = Answer::of(config);
        let reached = answer.line(check) == expected;
        last = Some(answer);
        reached
    })
    .await;
    last.expect("asked at least once")
}

/// The configuration of 岳阳 with one text for another, beside the real one.
fn altered(city: &City, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(city.config()).expect("a configuration");
    assert!(text.contains(from), "{from}");
    let path = city.path("altered.toml");
    std::fs::write(&path, text.replace(from, to)).expect("written");
    path
}

/// A node that runs gets another TLS certificate, as `certs install` would put it there.
fn gets(city: &City, issued: &Issued) {
    let keys = city.path("keys");
    for (name, text) in [("tls.key", &issued.key_pem), ("tls.pem", &issued.chain_pem)] {
        let fresh = keys.join(format!("{name}.fresh"));
        std::fs::copy(keys.join(name), &fresh).expect("with its mode");
        std::fs::write(&fresh, text).expect("written");
        std::fs::rename(&fresh, keys.join(name)).expect("in place");
    }
}

fn province(rig: &Rig, name: &str) -> Province {
    Province::open(&rig.pki().join("ca").join(name), now_ms()).expect("a province")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_pair_is_all_good_and_each_broken_step_of_the_network_is_named() {
    let mut rig = Rig::agreed().await;
    rig.balanced().await;
    let config = rig.yueyang.config();
    let well = Answer::of(&config);
    assert_eq!((well.exit, well.bad()), (0, vec![]), "{:?}", well.lines);
    for check in [
        "own_certificates",
        "node",
        "dns",
        "tcp",
        "tls",
        "chain",
        "revocation",
        "prefix",
        "clock",
        "version",
        "agreement",
        "channel_out",
        "channel_in",
        "copies",
    ] {
        assert_eq!(well.line(check), ("good", "none", ""), "{check}: {:?}", well.lines);
    }
    let mut desk = rig.yueyang.desk().await;
    assert!(desk.channel(YUEYANG, XIANNING).await.connected, "the look fenced nobody");

    let address = format!("address = \"127.0.0.1:{}\"\ndial", rig.xianning.port);
    let to = |address: &str| format!("address = \"{address}\"\ndial");
    let nowhere = Answer::of(&altered(&rig.yueyang, &address, &to("no-such-node.invalid:7443")));
    assert_eq!(nowhere.line("dns"), ("bad", "ours", "doctor.dns"));
    assert_eq!((nowhere.exit, nowhere.line("tcp").0), (12, "skipped"));

    let wrong =
        Answer::of(&altered(&rig.yueyang, &address, &to(&format!("127.0.0.1:{}", tests::free_port()))));
    assert_eq!(wrong.line("tcp"), ("bad", "either", "doctor.tcp_refused"));
    assert_eq!((wrong.exit, wrong.line("tls").0), (12, "skipped"));

    // Somebody else's service listens there.
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = other.local_addr().expect("an address").port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut tcp, _)) = other.accept().await {
            let _ = tcp.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        }
    });
    let other = Answer::of(&altered(&rig.yueyang, &address, &to(&format!("127.0.0.1:{port}"))));
    assert_eq!(other.line("tls").0, "bad");
    assert_eq!(other.line("tls").2, "tls.protocol");
    assert_eq!((other.line("chain").0, other.line("prefix").0), ("skipped", "good"));

    rig.yueyang.kill();
    let stopped = Answer::of(&config);
    assert_eq!(stopped.line("node"), ("bad", "ours", "cli.unreachable"));
    assert_eq!((stopped.exit, stopped.line("tls").0, stopped.line("agreement").0), (12, "good", "skipped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_peer_is_judged_by_chain_revocation_and_prefix() {
    let rig = Rig::running().await;
    let config = rig.yueyang.config();
    let hubei = province(&rig, HUBEI);
    let good = hubei.tls(XIANNING).expect("issued");
    // The agreement is missing in this pair: that is its own line.
    let well = Answer::of(&config);
    assert_eq!((well.exit, well.bad()), (12, vec!["agreement"]), "{:?}", well.lines);
    assert_eq!(well.line("agreement"), ("bad", "ours", "agreement.none"));

    let day_ms = 86_400_000;
    let spec = LeafSpec::tls(HUBEI, XIANNING, now_ms() - 30 * day_ms);
    let expired = LeafSpec { not_after_ms: now_ms() - day_ms, ..spec };
    gets(&rig.xianning, &hubei.leaf(&expired).expect("issued"));
    let answer = until(&config, "chain", ("bad", "theirs", "trust.certificate_expired")).await;
    assert_eq!((answer.line("revocation").0, answer.line("prefix").0), ("skipped", "good"));

    let foreign = hubei.leaf(&LeafSpec::tls(HUBEI, "360100", now_ms())).expect("issued");
    gets(&rig.xianning, &foreign);
    let answer = until(&config, "prefix", ("bad", "theirs", "trust.foreign_prefix")).await;
    assert_eq!(answer.line("chain").0, "skipped", "the path of a foreign prefix is not asked for");

    gets(&rig.xianning, &hubei.tls("420100").expect("issued"));
    let answer = until(&config, "prefix", ("bad", "either", "trust.unexpected_node")).await;
    assert_eq!((answer.line("chain").0, answer.line("revocation").0), ("good", "good"));

    gets(&rig.xianning, &good);
    until(&config, "prefix", ("good", "none", "")).await;
    let lists = hubei.crl(&[&good.serial], now_ms(), now_ms() + 30 * day_ms).expect("lists");
    std::fs::write(rig.yueyang.path("trust/hubei.tongban.crl.pem"), lists.pem).expect("written");
    let answer = until(&config, "revocation", ("bad", "theirs", "trust.revoked")).await;
    assert_eq!((answer.line("chain").0, answer.line("prefix").0), ("good", "good"));

    // Lists that nobody renewed are unknown, not good.
    let lists = hubei.crl(&[], now_ms() - 60 * day_ms, now_ms() - 50 * day_ms).expect("lists");
    std::fs::write(rig.yueyang.path("trust/hubei.tongban.crl.pem"), lists.pem).expect("written");
    until(&config, "revocation", ("bad", "ours", "trust.crl_stale")).await;

    // No domain here speaks for the peer.
    let trust = rig.yueyang.path("trust/trust.toml");
    let text = std::fs::read_to_string(&trust).expect("trust");
    let less = text.replace("\"42\"", "\"41\"");
    assert_ne!(less, text, "{text}");
    std::fs::write(&trust, less).expect("written");
    until(&config, "prefix", ("bad", "ours", "trust.unknown_domain")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_refuses_us_is_its_fault_unless_our_own_certificate_is_bad() {
    let rig = Rig::agreed().await;
    let config = rig.yueyang.config();
    let trust = rig.xianning.path("trust/trust.toml");
    let text = std::fs::read_to_string(&trust).expect("trust");
    let (before, hunan) = text.split_once("name = \"hunan.tongban\"").expect("the domain of the other");
    let hunan = hunan.replacen("suspended = []", "suspended = [\"430600\"]", 1);
    let suspended = format!("{before}name = \"hunan.tongban\"{hunan}");
    assert_ne!(suspended, text, "{text}");
    std::fs::write(&trust, suspended).expect("written");
    until(&config, "tls", ("bad", "theirs", "tls.refused_by_peer")).await;
    std::fs::write(&trust, text).expect("written");
    until(&config, "tls", ("good", "none", "")).await;

    let hunan = province(&rig, "hunan.tongban");
    let day_ms = 86_400_000;
    let spec = LeafSpec::tls("hunan.tongban", YUEYANG, now_ms() - 30 * day_ms);
    gets(&rig.yueyang, &hunan.leaf(&LeafSpec { not_after_ms: now_ms() - day_ms, ..spec }).expect("issued"));
    let answer = Answer::of(&config);
    assert_eq!(answer.line("own_certificates"), ("bad", "ours", "trust.certificate_expired"));
    assert_eq!(answer.line("tls"), ("bad", "ours", "tls.refused_by_peer"));
    assert_eq!(answer.exit, 12);
}

/// A library that sets a process's clock ahead, and nothing else of the machine.
fn clock_ahead(dir: &Path, seconds: i64) -> PathBuf {
    let (source, library) = (dir.join("ahead.c"), dir.join("ahead.so"));
    let text = format!(
        "#define _GNU_SOURCE\n#include <time.h>\n#include <dlfcn.h>\n\
         int clock_gettime(clockid_t id, struct timespec *at) {{\n\
         static int (*real)(clockid_t, struct timespec *);\n\
         if (!real) real = dlsym(RTLD_NEXT, \"clock_gettime\");\n\
         int code = real(id, at);\n\
         if (id == CLOCK_REALTIME) at->tv_sec += {seconds};\n\
         return code;\n}}\n"
    );
    std::fs::write(&source, text).expect("written");
    // A C compiler is there: the dependencies of this workspace need one.
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").output();
    let made = made.expect("cc runs");
    assert!(made.status.success(), "{}", said(&made));
    library
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_measured() {
    let mut rig = Rig::new();
    let library = clock_ahead(&rig.pki(), 600);
    let preload = format!("LD_PRELOAD={}", library.display());
    rig.xianning.start_through(&["env", &preload]);
    rig.yueyang.start().await;
    rig.xianning.start().await;
    let answer = Answer::of(&rig.yueyang.config());
    // With two clocks nobody knows which one is off.
    assert_eq!(answer.line("clock"), ("bad", "either", "doctor.clock"), "{:?}", answer.lines);
    let line = answer.lines.iter().find(|line| line["check"] == "clock").expect("a line");
    let text = line["message_en"].as_str().expect("text");
    let ahead: i64 = text.split(' ').find_map(|word| word.parse().ok()).expect("milliseconds");
    assert!((590_000..610_000).contains(&ahead), "{text}");
    assert_eq!(answer.line("tls").0, "good");
}

/// A partner of a release that shares no version of the protocol with ours.
struct Newer(proto::exchange::v1::Open);

#[tonic::async_trait]
impl Exchange for Newer {
    type LinkStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<Frame, Status>> + Send>>;

    async fn link(&self, _request: Request<Streaming<Frame>>) -> Result<Response<Self::LinkStream>, Status> {
        let open = proto::exchange::v1::Open { version_min: 9, version_max: 9, ..self.0.clone() };
        let first = tokio_stream::once(Ok(Frame { kind: Some(Kind::Open(open)) }));
        Ok(Response::new(Box::pin(first.chain(tokio_stream::pending()))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_common_version_is_named() {
    let mut rig = Rig::new();
    let load = |name: &str| {
        let path = |end: &str| rig.xianning.path(&format!("keys/{name}.{end}"));
        Identity::load(&path("pem"), &path("key")).expect("an identity")
    };
    let trust = rig.xianning.path("trust");
    let author = Author::new(&load("signing"), &trust, XIANNING, YUEYANG);
    let store = Arc::new(ArcSwap::from_pointee(TrustStore::load(&trust).expect("trust")));
    let config = tls::server_config(&load("tls"), store, Arc::new(now_ms)).expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", rig.xianning.port)).await.expect("its port");
    let (accepted, connections) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(tcp).await {
                // tonic serves a pipe; the connection is pumped through it.
                let (here, mut there) = tokio::io::duplex(64 * 1024);
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut there).await });
                let _ = accepted.send(Ok::<_, std::io::Error>(here)).await;
            }
        }
    });
    let service = ExchangeServer::new(Newer(author.open()));
    let incoming = tokio_stream::wrappers::ReceiverStream::new(connections);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    rig.yueyang.start().await;
    let answer = until(&rig.yueyang.config(), "version", ("bad", "either", "link.version")).await;
    assert_eq!((answer.line("tls").0, answer.line("chain").0), ("good", "good"));
    assert_eq!(answer.exit, 12);
}
