//! The reach that trust is built for: 10,000 nodes listed with their keys, and a revocation list of 100,000 serial
//! numbers. `cargo bench -p certs` measures
//!
//! - a start: the trust folder read whole, with its administration log, its list and a bundle of as many nodes;
//! - reading the list, and judging a chain against it (once per certificate and change of trust);
//! - a warm check, as a connection makes it for each frame: the store is the same, and `good_until_ms` has not passed.

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use certs::administration::event::{Administrator, NodeKeys};
use certs::administration::log::{append, to_hex};
use certs::administration::{Act, Change, Role};
use certs::bundle::accepted::Bundles;
use certs::bundle::{Bundle, Content};
use certs::{Nodes, Purpose, TrustStore, pem};
use criterion::{Criterion, criterion_group, criterion_main};
use devpki::{KeyKind, LeafSpec, Plan, Province, ProvincePlan};
use rustls::pki_types::PrivatePkcs8KeyDer;

const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
const REVOKED: u32 = 100_000;
const NODES: u32 = 10_000;
const NODES_A_RECORD: usize = 100;
const DOMAIN: &str = "hunan.tongban";
const NODE: &str = "430600";

/// A province of prefix 43, its long lists, and an administrator's key for each role.
struct World {
    folder: tempfile::TempDir,
    province: Province,
    people: Vec<(String, Role, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let plan = ProvincePlan { domain: DOMAIN.into(), prefixes: vec!["43".into()], nodes: Vec::new() };
        devpki::write(folder.path(), &Plan { now_ms: NOW_MS, provinces: vec![plan] }).expect("a province");
        let province = Province::open(&folder.path().join("ca").join(DOMAIN), NOW_MS).expect("a province");
        let random = ring::rand::SystemRandom::new();
        let people = [("system-1", Role::System), ("security-1", Role::Security), ("audit-1", Role::Audit)];
        let people = people.map(|(name, role)| {
            let key = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
            (name.to_owned(), role, key.as_ref().to_vec())
        });
        let world = Self { folder, province, people: people.to_vec() };
        std::fs::write(world.trust().join(format!("{DOMAIN}.crl.pem")), world.lists().pem).expect("written");
        world
    }

    fn trust(&self) -> std::path::PathBuf {
        self.folder.path().join("trust")
    }

    fn lists(&self) -> devpki::Crls {
        let serials: Vec<Vec<u8>> =
            (0..REVOKED).map(|serial| [&[0x11][..], &serial.to_be_bytes()].concat()).collect();
        let refs: Vec<&[u8]> = serials.iter().map(Vec::as_slice).collect();
        self.province.crl(&refs, NOW_MS - DAY_MS, NOW_MS + DAY_MS).expect("lists")
    }

    /// Divisions 430000 to 439999, two keys each; the first two of the one node that is judged are its own.
    fn nodes(&self, own: [[u8; 32]; 2]) -> Nodes {
        (0..NODES)
            .map(|number| {
                let division = format!("43{number:04}");
                let keys = match division == NODE {
                    true => own,
                    false => [0, 1].map(|which| {
                        let mut digest = [which; 32];
                        digest[..4].copy_from_slice(&number.to_be_bytes());
                        digest
                    }),
                };
                (division.parse().expect("a division"), keys.into_iter().collect())
            })
            .collect()
    }

    fn does(&self, who: usize, act: &Act) -> usize {
        let (name, _, key) = &self.people[who];
        let key = PrivatePkcs8KeyDer::from(key.as_slice());
        append(&self.trust(), name, &key, act, NOW_MS).expect("appended").record
    }

    /// Takes the folder over and lists all nodes, [`NODES_A_RECORD`] in each proposal.
    fn administer(&self, nodes: &Nodes) {
        let (trust_toml, domains) = TrustStore::records(&self.trust()).expect("a folder");
        let administrators = self.people.iter().map(|(name, role, key)| {
            let spki = pem::public_key(&PrivatePkcs8KeyDer::from(key.as_slice())).expect("a key");
            Administrator { name: name.clone(), role: *role, key: to_hex(&spki) }
        });
        self.does(0, &Act::Adopt { trust_toml, domains, administrators: administrators.collect() });
        let all: Vec<_> = nodes.iter().collect();
        for some in all.chunks(NODES_A_RECORD) {
            let nodes: NodeKeys = some
                .iter()
                .map(|(division, keys)| (division.to_string(), keys.iter().map(|key| to_hex(key)).collect()))
                .collect();
            let change = Change::NodeAdd { domain: DOMAIN.into(), nodes };
            let proposal = self.does(0, &Act::Propose { change });
            self.does(1, &Act::Approve { proposal });
        }
    }
}

fn reach(criterion: &mut Criterion) {
    let world = World::new();
    let issued = world.province.tls(NODE).expect("a certificate");
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let own = certs::key_digest(&issued.chain_der[0]).expect("a certificate");
    let nodes = world.nodes([own, [9; 32]]);
    world.administer(&nodes);
    let mut group = criterion.benchmark_group("reach");
    group.sample_size(10);

    let ders = world.lists().der;
    group.bench_function("read a list of 100,000", |bencher| {
        bencher.iter(|| black_box(certs::Crl::from_der(&ders[0]).expect("a list")));
    });
    let verify = |store: &TrustStore| store.verify(Purpose::Tls, &chain, NOW_MS).expect("good");
    group.bench_function(
        "start: the folder, its log of 10,000 nodes, its list, the first chain",
        |bencher| {
            bencher.iter(|| {
                let store = TrustStore::load(&world.trust()).expect("a folder");
                black_box(verify(&store));
            });
        },
    );

    let data = tempfile::tempdir().expect("a folder");
    let bundles = Bundles { data_dir: data.path().to_owned(), grace_hours: 720 };
    let signer = world.province.leaf(&LeafSpec::bundle(DOMAIN, KeyKind::P256, NOW_MS)).expect("issued");
    let content = Content {
        domain: DOMAIN.parse().expect("a name"),
        sequence: 1,
        issued_ms: NOW_MS,
        fresh_until_ms: NOW_MS + DAY_MS,
        divisions: vec!["43".parse().expect("a prefix")],
        anchors: vec![world.province.root_der().to_vec()],
        intermediates: vec![world.province.issuing_der().to_vec()],
        crls: ders,
        nodes: Some(nodes),
    };
    let key = PrivatePkcs8KeyDer::from(signer.key_der.clone());
    let bundle = Bundle::sign(&content, &signer.chain_der, &key).expect("signed");
    let plain = TrustStore::load(&world.trust()).expect("a folder");
    bundles.accept(plain.domains(), bundle.bytes(), NOW_MS).expect("accepted");
    group.bench_function("start: the same, and a bundle of as much", |bencher| {
        bencher.iter(|| {
            let store = TrustStore::load_following(&world.trust(), &bundles).expect("a folder");
            black_box(verify(&store));
        });
    });

    let store = TrustStore::load_following(&world.trust(), &bundles).expect("a folder");
    group.bench_function("judge a chain against it", |bencher| bencher.iter(|| black_box(verify(&store))));
    // What the crate gateway does for each frame (`transport::standing`).
    let store = Arc::new(store);
    let trust = ArcSwap::from(Arc::clone(&store));
    let last = Mutex::new(Some((Arc::clone(&store), verify(&store).good_until_ms)));
    group.bench_function("a warm check", |bencher| {
        bencher.iter(|| {
            let store = trust.load_full();
            let last = last.lock().expect("nobody panics").clone();
            assert!(last.is_some_and(|(of, until)| Arc::ptr_eq(&of, &store) && black_box(NOW_MS) <= until));
        });
    });
    group.finish();
}

criterion_group!(benches, reach);
criterion_main!(benches);
