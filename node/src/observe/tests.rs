//! A node that is not open yet, seen through real HTTP; and what its metrics say of it.

use super::*;
use crate::config::Alarm;
use arc_swap::ArcSwap;
use gateway::clock::{ManualClock, Randomness, SystemRandomness};
use gateway::signer::{FileSigner, SignerError};
use gateway::suite::PublicKey;
use serde_json::Value;
use std::sync::Condvar;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// A key that answers when it is let.
struct GatedKey {
    key: FileSigner,
    open: Mutex<bool>,
    opened: Condvar,
}

impl GatedKey {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.opened.notify_all();
    }
}

impl Signer for GatedKey {
    fn name(&self) -> &str {
        self.key.name()
    }
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }
    fn chain(&self) -> &[Vec<u8>] {
        self.key.chain()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
        self.key.sign(message)
    }
}

/// 岳阳's node before its store is open, at a moment in its certificates' validity.
struct Site {
    observed: Arc<Observed>,
    key: Arc<GatedKey>,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    devpki::write(dir.path(), &devpki::Plan::two_provinces(NOW_MS)).unwrap();
    let trust = TrustStore::load(&dir.path().join("trust")).unwrap();
    let home = dir.path().join("nodes/430600");
    let identity = |name: &str| {
        certs::Identity::load(&home.join(format!("{name}.pem")), &home.join(format!("{name}.key"))).unwrap()
    };
    let signing = identity("signing");
    let verified = trust.verify(Purpose::Signing, &signing.chain_refs(), NOW_MS).unwrap();
    let public = PublicKey::from_spki(&verified.spki_der).unwrap();
    let key = FileSigner::new(
        verified.id.to_string(),
        public,
        signing.chain().to_vec(),
        signing.key().secret_pkcs8_der(),
    );
    let key = Arc::new(GatedKey { key: key.unwrap(), open: Mutex::new(true), opened: Condvar::new() });
    let clock = Arc::new(ManualClock::at(UnixMillis(NOW_MS as u64)));
    let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness::default());
    let measures: Arc<Measures> = Arc::default();
    measures.uses_tls_chain(identity("tls").chain());
    let observed = Observed::new(Parts {
        node: "430600".parse().unwrap(),
        peers: vec!["421200".parse().unwrap()],
        data_dir: dir.path().join("data"),
        disk_low_bytes: 1,
        measures,
        trust: Arc::new(ArcSwap::from_pointee(trust)),
        signer: Arc::clone(&key) as Arc<dyn Signer>,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        couriers: Couriers::new(&Alarm::default(), &randomness),
    });
    Site { observed: Arc::new(observed), key, clock, _dir: dir }
}

async fn ask(address: std::net::SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\nhost: node\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn failed(body: &str) -> Vec<(String, String)> {
    let body: Value = serde_json::from_str(body).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = body["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["ok"] == false)
        .map(|check| (text(check, "check"), text(check, "code")))
        .collect()
}

#[tokio::test]
async fn probes_answer_before_the_store_is_open_and_say_what_is_missing() {
    let site = site();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(http::serve(listener, Arc::clone(&site.observed)));
    watch::probe_key(&site.observed, Duration::from_secs(20)).await;

    let (status, body) = ask(address, "GET /livez HTTP/1.1").await;
    assert_eq!((status, failed(&body)), (200, vec![]));
    let (status, body) = ask(address, "GET /readyz HTTP/1.1").await;
    let expected = |code: &str| vec![("store".to_owned(), code.to_owned())];
    assert_eq!((status, failed(&body)), (503, expected("store.replaying")));
    site.observed.replays(ReplayProgress { frames: 3, bytes: 30, bytes_whole: 40 });
    let (_, body) = ask(address, "GET /readyz HTTP/1.1").await;
    assert!(body.contains("percent=75") && body.contains("重放") && body.contains("replays"), "{body}");
    let (status, text) = ask(address, "GET /metrics HTTP/1.1").await;
    assert_eq!(status, 200);
    assert!(text.contains("\ntongban_store_replay_ratio 0.75\n"), "{text}");

    assert_eq!(ask(address, "GET / HTTP/1.1").await.0, 404);
    assert_eq!(ask(address, "POST /readyz HTTP/1.1").await.0, 405);
    let (status, body) = ask(address, "HEAD /livez HTTP/1.1").await;
    assert_eq!((status, body.as_str()), (200, ""));
    serving.abort();
}

#[tokio::test]
async fn a_key_that_does_not_answer_makes_the_node_unready_until_it_does() {
    let site = site();
    let key_fails = |observed: &Observed| {
        failed(&probes::readyz(observed).body.to_string())
            .contains(&("key".to_owned(), "node.key_silent".to_owned()))
    };
    assert!(key_fails(&site.observed), "not asked yet");
    watch::probe_key(&site.observed, Duration::from_secs(20)).await;
    assert!(!key_fails(&site.observed));
    site.key.set(false);
    let observed = Arc::clone(&site.observed);
    let probe = tokio::spawn(async move { watch::probe_key(&observed, Duration::from_millis(20)).await });
    let silent = async {
        while !key_fails(&site.observed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), silent).await.expect("the key counts as silent");
    let alarms = watch::judge(&site.observed);
    assert_eq!(alarms[0].condition.about.code.code(), "node.key_silent");
    site.key.set(true);
    probe.await.unwrap();
    assert!(!key_fails(&site.observed));
}

#[tokio::test]
async fn own_certificates_and_lists_are_judged_at_the_moment_of_the_question() {
    let site = site();
    let codes = || {
        let body = probes::readyz(&site.observed).body.to_string();
        failed(&body)
            .into_iter()
            .filter(|(check, _)| check == "trust")
            .map(|(_, code)| code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(), Vec::<String>::new());
    site.clock.set(UnixMillis((NOW_MS + 40 * 365 * DAY_MS) as u64));
    assert_eq!(codes().len(), 1, "expired or stale");
    site.clock.set(UnixMillis(NOW_MS as u64));
    assert_eq!(codes(), Vec::<String>::new());
}

#[test]
fn the_metrics_are_well_formed_and_say_what_is_there() {
    let site = site();
    let measures = &site.observed.measures;
    measures.sync_micros.observe(120);
    measures.sync_micros.observe(9_000_000);
    measures.refused_given.count(gateway::refusal::RefusalCode::with_code("entry.expired"));
    measures.handshake_failed(gateway::measure::Side::Accepted, "trust.revoked");
    let text = metrics::render(&site.observed);
    for line in [
        "# TYPE tongban_journal_sync_seconds histogram",
        "tongban_journal_sync_seconds_bucket{le=\"0.0001\"} 0",
        "tongban_journal_sync_seconds_bucket{le=\"0.0002\"} 1",
        "tongban_journal_sync_seconds_bucket{le=\"+Inf\"} 2",
        "tongban_journal_sync_seconds_count 2",
        "tongban_refusals_given_total{code=\"entry.expired\"} 1",
        "tongban_refusals_given_total{code=\"entry.duplicate\"} 0",
        "tongban_tls_handshake_failures_total{side=\"accepted\",code=\"trust.revoked\"} 1",
        "tongban_link_up{peer=\"421200\"} 0.0",
        "tongban_store_open 0.0",
        "tongban_ready 0.0",
        "tongban_ready_check{check=\"disk\"} 1.0",
        "tongban_disk_state{state=\"normal\"} 1.0",
        "tongban_disk_state{state=\"low\"} 0.0",
        "tongban_disk_state{state=\"spent\"} 0.0",
        "tongban_disk_low_bytes 1.0",
        "tongban_crl_stale{domain=\"hunan.tongban\"} 0.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let anchors =
        text.lines().filter(|line| line.starts_with("tongban_certificate_remaining_seconds{use=\"anchor\""));
    assert_eq!(anchors.count(), 2);
    // Prometheus' own rules: a help and a type for each family, and no name twice.
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}");
    }
}

/// Names of metrics in a text: whatever begins as ours or the process's do.
fn names_in(text: &str) -> std::collections::BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words =
        text.split(|c| !word(c)).filter(|name| name.starts_with("tongban_") || name.starts_with("process_"));
    words.map(str::to_owned).collect()
}

#[test]
fn the_dashboard_and_the_sample_rules_use_only_what_is_exported() {
    let text = metrics::render(&site().observed);
    let mut exported = std::collections::BTreeSet::new();
    for declared in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = declared.split_once(' ').unwrap();
        if kind == "histogram" {
            exported.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        } else {
            exported.insert(name.to_owned());
        }
    }
    let dashboard = include_str!("../../docs/grafana-tongban.json");
    let rules = include_str!("../../docs/alerts.yaml");
    for (file, used) in [("grafana-tongban.json", names_in(dashboard)), ("alerts.yaml", names_in(rules))] {
        assert!(used.len() > 10, "{file} uses metrics");
        let unknown: Vec<_> = used.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file} uses what nobody exports: {unknown:?}");
    }
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let (title, targets) = (&panel["title"], panel["targets"].as_array());
        assert!(
            panel["type"] == "row" || targets.is_some_and(|targets| !targets.is_empty()),
            "{title} shows nothing"
        );
    }
}
