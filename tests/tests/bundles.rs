//! Trust bundles: what a province publishes, its partners' nodes follow by themselves, and no further than it may go.

use certs::administration::log::to_hex;
use certs::bundle::{Bundle, Content};
use devpki::{Issued, KeyKind, LeafSpec, Province};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tests::city::tongban;
use tests::office::{Office, said};
use tests::{Rig, XIANNING, YUEYANG, eventually, now_ms};

const HUBEI: &str = "hubei.tongban";
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Two connected cities; 岳阳 looks for bundles, and 湖北 can sign them.
struct Followed {
    rig: Rig,
    province: Province,
    signer: Issued,
    published: PathBuf,
}

impl Followed {
    async fn new() -> Self {
        let mut rig = Rig::new();
        let config = rig.yueyang.config();
        let text = std::fs::read_to_string(&config).expect("a configuration");
        std::fs::write(&config, text.replace("[trust]\n", "[trust]\nbundles = \"bundles\"\n"))
            .expect("written");
        std::fs::create_dir(rig.yueyang.path("bundles")).expect("a folder");
        let province = Province::open(&rig.pki().join("ca").join(HUBEI), now_ms()).expect("a province");
        let signer = province.leaf(&LeafSpec::bundle(HUBEI, KeyKind::P256, now_ms())).expect("issued");
        let keys = rig.pki();
        std::fs::write(keys.join("bundle.pem"), &signer.chain_pem).expect("written");
        let key = keys.join("bundle.key");
        std::fs::write(&key, &signer.key_pem).expect("written");
        set_private(&key);
        rig.yueyang.start().await;
        rig.xianning.start().await;
        rig.meet().await;
        Self { published: rig.pki().join("hubei.bundle.json"), rig, province, signer }
    }

    /// What the province says with the command line, from the trust folder of its own node.
    fn publish(&self) -> Value {
        let pki = self.rig.pki();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let issuing = text(pki.join("ca").join(HUBEI).join("issuing.pem"));
        let (chain, key) = (text(pki.join("bundle.pem")), text(pki.join("bundle.key")));
        let (out, trust) = (text(self.published.clone()), text(self.rig.xianning.path("trust")));
        let output = tongban(&[
            "trust",
            "bundle",
            "publish",
            HUBEI,
            "--chain",
            &chain,
            "--key",
            &key,
            "--out",
            &out,
            "--intermediate",
            &issuing,
            "--trust",
            &trust,
            "--apply",
            "--json",
        ]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The published file reaches 岳阳.
    fn delivers(&self, file: &Path) {
        let folder = self.rig.yueyang.path("bundles");
        // Whole or not at all, as whoever copies should.
        std::fs::copy(file, folder.join("hubei.part")).expect("copied");
        std::fs::rename(folder.join("hubei.part"), folder.join("hubei.json")).expect("in place");
    }

    /// A bundle that no command would sign.
    fn delivers_signed(&self, content: &Content) {
        let key = PrivatePkcs8KeyDer::from(self.signer.key_der.clone());
        let bundle = Bundle::sign(content, &self.signer.chain_der, &key).expect("signed");
        let file = self.rig.pki().join("signed.json");
        std::fs::write(&file, bundle.bytes()).expect("written");
        self.delivers(&file);
    }

    fn content(&self, sequence: u64, revoked: &[&[u8]]) -> Content {
        let now = now_ms();
        Content {
            domain: HUBEI.parse().expect("a name"),
            sequence,
            issued_ms: now,
            fresh_until_ms: now + DAY_MS,
            divisions: vec!["42".parse().expect("a prefix")],
            anchors: vec![self.province.root_der().to_vec()],
            intermediates: vec![self.province.issuing_der().to_vec()],
            crls: self.province.crl(revoked, now, now + 30 * DAY_MS).expect("lists").der,
            nodes: None,
        }
    }

    async fn connects(&self, connected: bool) {
        let mut desk = self.rig.yueyang.desk().await;
        let what = if connected { "the link to stand" } else { "the link to close" };
        eventually(what, async || desk.channel(YUEYANG, XIANNING).await.connected == connected).await;
    }

    fn shown(&self) -> Value {
        let config = self.rig.yueyang.config().to_string_lossy().into_owned();
        let output = tongban(&["trust", "bundle", "show", "--json", "--config", &config]);
        assert!(output.status.success(), "{}", said(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        shown["bundles"][0].clone()
    }
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_province_lists_its_nodes_and_its_partners_follow_within_seconds() {
    let world = Followed::new().await;
    // 湖北's own administrators decide what it publishes.
    let office = Office::opened(&world.rig.xianning.config());
    let first = world.publish();
    assert_eq!((&first["bundle"]["sequence"], &first["bundle"]["nodes"]), (&1.into(), &Value::Null));
    world.delivers(&world.published);
    world.rig.yueyang.logs("a trust bundle is accepted").await;
    world.connects(true).await;

    let proposed = office.does("system-1", &["trust", "node", "add", "420100", "--only-listed"]);
    office.does("security-1", &["trust", "approve", &proposed["record"].to_string()]);
    assert_eq!(world.publish()["bundle"]["sequence"], 2);
    world.delivers(&world.published);
    world.connects(false).await;
    world.rig.yueyang.logs("trust.not_listed").await;

    let proposed = office.does("system-1", &["trust", "node", "add", XIANNING]);
    office.does("security-1", &["trust", "approve", &proposed["record"].to_string()]);
    assert_eq!(world.publish()["bundle"]["nodes"], 2);
    world.delivers(&world.published);
    world.connects(true).await;
    assert_eq!(world.shown()["sequence"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bundle_revoked_stays_revoked_against_older_bundles_restarts_and_an_empty_folder() {
    let mut world = Followed::new().await;
    world.delivers_signed(&world.content(1, &[]));
    world.rig.yueyang.logs("a trust bundle is accepted").await;
    let old = std::fs::read(world.rig.yueyang.path("bundles/hubei.json")).expect("a bundle");

    let chain = certs::pem::read_chain(&world.rig.xianning.path("keys/tls.pem")).expect("a chain");
    let refs: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let store = certs::TrustStore::load(&world.rig.yueyang.path("trust")).expect("trust");
    let serial = store.verify(certs::Purpose::Tls, &refs, now_ms()).expect("good").serial;
    world.delivers_signed(&world.content(2, &[&serial]));
    world.connects(false).await;
    world.rig.yueyang.logs("trust.revoked").await;

    let again = world.rig.pki().join("old.json");
    std::fs::write(&again, old).expect("written");
    world.delivers(&again);
    world.rig.yueyang.logs("trust.bundle_rolled_back").await;
    world.rig.yueyang.logs("node.material_refused").await;
    world.connects(false).await;

    std::fs::remove_dir_all(world.rig.yueyang.path("bundles")).expect("removed");
    std::fs::create_dir(world.rig.yueyang.path("bundles")).expect("a folder");
    world.rig.yueyang.kill();
    world.rig.yueyang.start().await;
    assert_eq!(world.shown()["sequence"], 2);
    let mut desk = world.rig.yueyang.desk().await;
    world.rig.yueyang.logs("peer not reached").await;
    assert!(!desk.channel(YUEYANG, XIANNING).await.connected);
    // A newer bundle whose list does not name it any more is the authority's own word.
    world.delivers_signed(&world.content(3, &[]));
    world.connects(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_bundle_is_seen_and_counts_through_its_grace_and_no_longer() {
    let mut world = Followed::new().await;
    world.rig.yueyang.kill();
    let port = world.rig.yueyang.observe();
    world.rig.yueyang.start().await;
    let content = world.content(1, &[]);
    let (issued_ms, fresh_until_ms) = (now_ms() - HOUR_MS / 2, now_ms() - HOUR_MS / 4);
    world.delivers_signed(&Content { issued_ms, fresh_until_ms, ..content });
    world.rig.yueyang.logs("a trust bundle is accepted").await;
    world.connects(true).await;
    let shown = world.shown();
    assert_eq!((&shown["stale"], &shown["counts"]), (&true.into(), &true.into()));
    world.rig.yueyang.logs("node.trust_stale").await;
    let page = metrics(port).await;
    let gauge = |name: &str| {
        let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    assert!(gauge("tongban_trust_bundle_remaining_seconds{") < 0.0);
    assert!(gauge("tongban_trust_bundle_grace_remaining_seconds{") > 86_400.0);

    // Past its grace nothing new is opened under the domain.
    let config = world.rig.yueyang.config();
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let text = text.replace("[trust]\n", "[trust]\nbundle_grace_hours = 0\n");
    std::fs::write(&config, text).expect("written");
    world.rig.yueyang.kill();
    world.rig.yueyang.start().await;
    world.connects(false).await;
    world.rig.yueyang.logs("trust.bundle_stale").await;
    assert_eq!(world.shown()["counts"], false);
    world.delivers_signed(&world.content(2, &[]));
    world.connects(true).await;
}

async fn metrics(port: u16) -> String {
    tests::probe::get(port, "/metrics").await.expect("an answer").1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_in_a_bundle_waits_for_two_people() {
    let world = Followed::new().await;
    let office = Office::opened(&world.rig.yueyang.config());
    let next = Province::new(HUBEI, &["42"], now_ms()).expect("a province");
    let content = world.content(1, &[]);
    let anchors = vec![world.province.root_der().to_vec(), next.root_der().to_vec()];
    world.delivers_signed(&Content { anchors, ..content });
    world.rig.yueyang.logs("a trust bundle is accepted").await;
    let fingerprint = to_hex(ring::digest::digest(&ring::digest::SHA256, next.root_der()).as_ref());
    assert_eq!(world.shown()["suggestions"][0], format!("root {}", &fingerprint[..16]));
    let listed = || {
        let store = certs::TrustStore::load(&world.rig.yueyang.path("trust")).expect("trust");
        let state = store.administration().expect("a log").state().clone();
        state.domains[HUBEI].anchors.iter().any(|anchor| anchor.fingerprint == fingerprint)
    };
    assert!(!listed(), "the bundle alone changes no root");

    let alone = office.asks("security-1", &["trust", "bundle", "propose", HUBEI]);
    assert_eq!(alone.status.code(), Some(6), "{}", said(&alone));
    let proposed = office.does("system-1", &["trust", "bundle", "propose", HUBEI]);
    let twice = office.asks("system-1", &["trust", "bundle", "propose", HUBEI]);
    assert_eq!(twice.status.code(), Some(4), "{}", said(&twice));
    assert!(!listed());
    office.does("security-1", &["trust", "approve", &proposed["record"].to_string()]);
    assert!(listed());
    eventually("nothing to be suggested any more", async || {
        world.shown()["suggestions"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    world.connects(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_refused_changes_nothing_and_says_why_before_and_after() {
    let world = Followed::new().await;
    world.delivers_signed(&world.content(5, &[]));
    world.rig.yueyang.logs("a trust bundle is accepted").await;
    let stranger = Province::new("jiangxi.tongban", &["36"], now_ms()).expect("a province");
    let intermediates = vec![stranger.issuing_der().to_vec()];
    world.delivers_signed(&Content { intermediates, ..world.content(6, &[]) });
    world.rig.yueyang.logs("trust.bundle_beyond").await;
    assert_eq!(world.shown()["sequence"], 5);
    world.connects(true).await;
    let config = world.rig.yueyang.config().to_string_lossy().into_owned();
    let file = world.rig.yueyang.path("bundles/hubei.json").to_string_lossy().into_owned();
    let inspected = tongban(&["trust", "bundle", "inspect", &file, "--config", &config, "--lang", "zh"]);
    assert_eq!(inspected.status.code(), Some(3), "{}", said(&inspected));
    assert!(said(&inspected).contains("trust.bundle_beyond"), "{}", said(&inspected));
    // Half a file, as a copy that was cut leaves it.
    let whole = std::fs::read(&file).expect("a bundle");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    world.rig.yueyang.logs("trust.bundle_malformed").await;
    assert_eq!(world.shown()["sequence"], 5);
}
