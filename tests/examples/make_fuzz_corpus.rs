//! Makes the seeds of `tests/fuzz/corpus` and the authorities of `tests/fuzz/trust` from real bytes: two real
//! nodes conclude an agreement and send a case, and their certificates, journals, indexes, proofs and
//! entries become seeds; the frozen vectors and the samples of the guides join them. No private key is
//! written. Run it when a format changes:
//!
//! `cargo build && cargo run -p tests --example make_fuzz_corpus`
#![allow(clippy::unwrap_used, reason = "a tool for engineers, which may stop")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certs::pem::read_chain;
use devpki::{KeyKind, LeafSpec, Province};
use gateway::entry::Header;
use gateway::id::Kind;
use gateway::wire::attachments::attach;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use proto::local::v1 as local;
use proto::store::v1 as stored;
use std::fs;
use std::path::{Path, PathBuf};
use tests::documents::{case, forward};
use tests::office::Office;
use tests::{Rig, XIANNING, YUEYANG, now_ms, parsers};

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    assert!(parsers::named(target).is_some(), "{target} is a parser");
    let folder = parsers::corpus(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn joined(chain: &[Vec<u8>]) -> Vec<u8> {
    chain.iter().flat_map(|der| [&(der.len() as u16).to_be_bytes()[..], der].concat()).collect()
}

#[tokio::main]
async fn main() {
    let _ = fs::remove_dir_all(parsers::folder().join("corpus"));
    let _ = fs::remove_dir_all(parsers::folder().join("trust"));
    vectors();
    samples();
    let mut rig = Rig::agreed().await;
    trust(&rig);
    exchange(&mut rig).await;
    administration(&rig);
    for target in parsers::ALL {
        assert!(!parsers::seeds(target.name).is_empty(), "{} has seeds", target.name);
    }
}

/// The frozen vectors of the wire.
fn vectors() {
    let read = |name: &str| -> serde_json::Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors").join(name);
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let headers = read("header.json");
    for part in ["read", "refused"] {
        for (number, vector) in headers[part].as_array().unwrap().iter().enumerate() {
            put("header", &format!("{part}-{number}"), unhex(vector["header"].as_str().unwrap()));
        }
    }
    for suite in ["p256", "ed25519"] {
        let note = read(&format!("note_{suite}.json"));
        for part in ["signed", "cosigned"] {
            put("note", &format!("{suite}-{part}"), note[part].as_str().unwrap());
        }
    }
    let dsse = read("dsse.json");
    let envelope = &dsse["envelope"];
    put("envelope", "vector", envelope.as_str().map_or_else(|| envelope.to_string(), str::to_owned));
    let payload = dsse["payload"].as_str().unwrap();
    put("document", "vector", payload);
    for (number, blob) in read("blob.json")["blobs"].as_array().unwrap().iter().enumerate() {
        let list = unhex(blob["chunk_list"].as_str().unwrap());
        let length = blob["length"].as_u64().unwrap();
        put("chunks", &format!("{number}"), [&length.to_be_bytes()[..], &list].concat());
        let stored = [b"tblist\0\x01", &length.to_be_bytes()[..], &list].concat();
        let file: Vec<u8> = (0..length.min(1000)).map(|at| (at / 251) as u8).collect();
        put(
            "blob",
            &format!("{number}"),
            [&(stored.len() as u16).to_be_bytes()[..], &stored, &file].concat(),
        );
    }
    for (number, head) in [[1, 0, 0, 0], [7, 3, 4, 6], [32, 31, 16, 2], [63, 5, 62, 4]].iter().enumerate() {
        put("paths", &format!("{number}"), [&head[..], &[3; 96]].concat());
    }
}

/// The guides' samples and the fixture data.
fn samples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| fs::read(root.join(name)).unwrap();
    for name in ["standard", "agreement"] {
        let json = read(&format!("node/docs/samples/{name}.json"));
        put("document", name, &json);
        let kind = format!("application/vnd.tongban.{name}.v1+json");
        let envelope = gateway::wire::envelope::Envelope {
            payload_type: kind,
            payload: json.clone(),
            signatures: vec![("key".into(), vec![7; 64])],
        };
        put("envelope", name, envelope.to_json());
        let request = local::PublishDocumentRequest {
            to: XIANNING.into(),
            r#type: name.into(),
            payload: json.into(),
            idempotency_key: "k".into(),
        };
        put("local", name, [vec![3], request.encode_to_vec()].concat());
    }
    for name in ["case", "licence"] {
        put("case", name, read(&format!("node/docs/samples/{name}.json")));
    }
    put("config", "sample", read("node/docs/tongban.sample.toml"));
    let codes = String::from_utf8(read("gateway/src/codes/data/id_vectors.csv")).unwrap();
    put("codes", "vectors", &codes);
    let mapping = String::from_utf8(read("node/docs/samples/ledger-mapping.toml")).unwrap();
    put("mapping", "sample", &mapping);
    let ledger = "办件编号,姓名,办理状态,事项编码,收件编号,承诺时限,办结结果,证照标识,cd_time,cd_operation\n\
        A1,某某,受理,KST027,YY-1,10,,,2026-11-30 07:30:05,I\n\
        A1,某某,办结,KST027,YY-1,10,6,,2026年12月1日 8:00:00,U\n\
        \"A,2\",,办理中,KST027,YY-2,5,,,20261130073005,I\nA3,,,,,,,,1795995005,D\n";
    for (first, name) in [(0, "rows"), (2, "operations")] {
        put("ledger", name, [&[first], ledger.as_bytes()].concat());
    }
    put("ledger", "gb18030", [&[3], &*encoding_rs::GB18030.encode(ledger).0].concat());
    for (number, line) in codes.lines().skip(1).enumerate().step_by(4) {
        put("identifiers", &format!("{number:02}"), line.split(',').nth(1).unwrap());
    }
    for (name, text) in [
        ("spiffe", "spiffe://hunan.tongban/node/430600"),
        ("channel", "430600>421200"),
        ("message", "11111111-1111-1111-1111-111111111111"),
        ("digest", "sha256:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"),
        ("date", "2026-11-23"),
        ("instant", "2026-11-23T09:30:00.000+08:00"),
        ("kind", "case.forward"),
    ] {
        put("identifiers", name, text);
    }
}

/// What three administrators did, and how it looked before.
fn administration(rig: &Rig) {
    let office = Office::opened(&rig.yueyang.config());
    office.does("security-1", &["trust", "confirm", "1"]);
    office.does("security-1", &["trust", "node", "suspend", XIANNING]);
    office.does("system-1", &["trust", "node", "resume", XIANNING]);
    office.does("security-1", &["trust", "approve", "4"]);
    office.does("audit-1", &["trust", "review", "5"]);
    put("administration", "office", fs::read(rig.yueyang.path("trust/administration.log")).unwrap());
}

/// Authorities, lists, good certificates and wrong ones.
fn trust(rig: &Rig) {
    let folder = parsers::folder().join("trust");
    fs::create_dir_all(folder.join("issued")).unwrap();
    fs::create_dir_all(folder.join("lists")).unwrap();
    let at_ms = now_ms();
    fs::write(folder.join("instant"), format!("{at_ms}\n")).unwrap();
    for file in files(&rig.path("pki/trust")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&file).unwrap();
        fs::write(folder.join(&name), &bytes).unwrap();
        if name == "trust.toml" {
            put("trust", &name, &bytes);
            continue;
        }
        put("pem", &name, &bytes);
        let text = String::from_utf8(bytes).unwrap();
        let blocks = text.split("-----BEGIN X509 CRL-----").skip(1);
        for (number, block) in blocks.enumerate() {
            let base64: String =
                block.split("-----END").next().unwrap().split_whitespace().collect::<Vec<_>>().concat();
            let der = STANDARD.decode(base64).unwrap();
            put("crl", &format!("{name}-{number}"), &der);
            fs::write(folder.join("lists").join(format!("{name}-{number}.der")), der).unwrap();
        }
    }
    for city in [YUEYANG, XIANNING] {
        for use_of in ["tls", "signing"] {
            let path = rig.path("pki/nodes").join(city).join(format!("{use_of}.pem"));
            fs::copy(&path, folder.join("issued").join(format!("{city}.{use_of}.pem"))).unwrap();
            put("chain", &format!("{city}-{use_of}"), joined(&read_chain(&path).unwrap()));
            put("pem", &format!("{city}-{use_of}"), fs::read(&path).unwrap());
        }
    }
    // Wrong in one respect each, by an authority that nobody knows under a name that everybody does.
    let province = Province::new("hunan.tongban", &["43"], at_ms).unwrap();
    let tls = LeafSpec::tls("hunan.tongban", YUEYANG, at_ms);
    let signing = LeafSpec::signing("hunan.tongban", YUEYANG, KeyKind::Ed25519, at_ms);
    let wrong = [
        ("stranger", tls.clone()),
        ("foreign", LeafSpec { uri_sans: vec!["spiffe://hunan.tongban/node/421200".into()], ..tls.clone() }),
        ("two-names", LeafSpec { uri_sans: [&tls.uri_sans[..], &tls.uri_sans].concat(), ..tls.clone() }),
        ("nameless", LeafSpec { uri_sans: Vec::new(), dns_sans: vec!["a.example".into()], ..tls.clone() }),
        ("useless", LeafSpec { key_usages: Vec::new(), ..tls.clone() }),
        ("authority", LeafSpec { ca: true, ..tls.clone() }),
        ("ed25519", signing.clone()),
        ("p384", LeafSpec { key: KeyKind::P384, ..signing }),
    ];
    for (name, spec) in wrong {
        put("chain", name, joined(&province.leaf(&spec).unwrap().chain_der));
    }
    let issued = province.tls(YUEYANG).unwrap();
    let lists = province.crl(&[&issued.serial], at_ms - 1000, at_ms + 86_400_000).unwrap();
    put("crl", "stranger", &lists.der[0]);
}

/// A case on its way: what two real nodes keep and say.
async fn exchange(rig: &mut Rig) {
    let mut desk = rig.yueyang.desk().await;
    let mut bundles = Vec::new();
    for number in 1..=2 {
        let reply = desk.act(XIANNING, "case.forward", &case(number), &forward()).await.unwrap();
        assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
        bundles.push(desk.proof(YUEYANG, XIANNING, &reply.message_id).await);
    }
    for (number, bundle) in bundles.iter().enumerate() {
        put("bundle", &format!("case-{number}"), bundle);
    }
    rig.yueyang.kill();
    rig.xianning.kill();
    for city in [&rig.yueyang, &rig.xianning] {
        let journal = city.data().join("journal");
        let segment = files(&journal).into_iter().find(|file| file.extension().is_some_and(|e| e == "tbj"));
        let bytes = fs::read(segment.expect("a segment")).unwrap();
        // Preallocated to 64 MiB: the zeros at its end say nothing.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(8));
        put("journal", city.node, &bytes[..end]);
        frames(city.node, &bytes[..end]);
    }
    runs();
    payloads();
}

/// The commits of a journal, and the entries in them as they travel.
fn frames(node: &str, segment: &[u8]) {
    let number = |at: usize| u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut count) = (64, 0);
    while at + 40 <= segment.len() {
        let (bodies, meta, bytes) = (number(at + 16), number(at + 20), number(at + 24));
        let meta_at = at + 40 + 9 * bodies;
        let commit = &segment[meta_at..meta_at + meta];
        put("facts", &format!("{node}-{count:02}"), commit);
        let mut body_at = meta_at + meta;
        let lengths: Vec<usize> = (0..bodies).map(|row| number(at + 40 + 8 * row)).collect();
        let taken: Vec<_> = lengths
            .iter()
            .map(|length| {
                body_at += length;
                segment[body_at - length..body_at].to_vec()
            })
            .collect();
        travels(&format!("{node}-{count:02}"), commit, &taken);
        count += 1;
        at = (meta_at + meta + bytes).next_multiple_of(8);
    }
}

fn travels(name: &str, commit: &[u8], bodies: &[Vec<u8>]) {
    let commit = stored::Commit::decode(commit).unwrap();
    for (place, fact) in commit.facts.iter().enumerate() {
        let frame = match &fact.kind {
            Some(stored::fact::Kind::Appended(fact)) => {
                for (number, (header, body)) in fact.headers.iter().zip(bodies).enumerate() {
                    put("header", &format!("{name}-{place}-{number}"), header);
                    let kind = Kind::named(&Header::parse(header).unwrap().kind).unwrap();
                    let kind = Kind::ALL.iter().position(|one| *one == kind).unwrap() as u8;
                    put("payload", &format!("{name}-{place}-{number}"), [&[kind], &body[16..]].concat());
                }
                put("note", &format!("{name}-{place}"), &fact.checkpoint);
                let entries = fact.headers.iter().zip(bodies).map(|(header, body)| wire::Entry {
                    header: header.clone(),
                    body: body.clone().into(),
                    erased: false,
                });
                Frame::Batch(wire::Batch {
                    epoch: fact.epoch,
                    first: fact.first,
                    entries: entries.collect(),
                    checkpoint: fact.checkpoint.clone(),
                })
            }
            Some(stored::fact::Kind::Receipt(fact)) => {
                put("note", &format!("{name}-{place}"), &fact.checkpoint);
                let cosigned = fact.checkpoint.clone();
                let state = wire::LogState { size: 1, cosigned: cosigned.clone(), ..Default::default() };
                let chain = read_chain(&parsers::folder().join("trust/issued/430600.signing.pem")).unwrap();
                let open = wire::Open {
                    version_min: 1,
                    version_max: 1,
                    node: YUEYANG.into(),
                    link: vec![7; 24].into(),
                    signing_chain: chain.into_iter().map(Into::into).collect(),
                    outbound: Some(state.clone()),
                    inbound: Some(state),
                    life: vec![9; 16].into(),
                    ..Default::default()
                };
                let open = wire::Frame { kind: Some(Frame::Open(open)) };
                put("frame", &format!("{name}-{place}-open"), open.encode_to_vec());
                Frame::Cosigned(wire::Cosigned { epoch: fact.epoch, checkpoint: cosigned })
            }
            _ => continue,
        };
        put("frame", &format!("{name}-{place}"), wire::Frame { kind: Some(frame) }.encode_to_vec());
    }
}

/// A run of the index, as the writer of runs makes it.
fn runs() {
    use gateway::store::{Change, Index as _, Position, Table};
    let folder = tempfile::tempdir().unwrap();
    let (index, _) = gateway::store::packed::open(folder.path()).unwrap();
    let changes: Vec<Change> = (0..40_u8)
        .map(|number| Change::Put {
            table: Table::Message,
            key: vec![number; 24],
            value: vec![number; 12].into(),
        })
        .collect();
    index.apply(&changes, Position(1)).unwrap();
    index.flush().unwrap();
    index.settle().unwrap();
    let run = files(&folder.path().join("runs")).into_iter().next().expect("a run");
    put("run", "small", fs::read(run).unwrap());
}

/// Payloads and requests that the story above does not have.
fn payloads() {
    let of = |kind: Kind| Kind::ALL.iter().position(|one| *one == kind).unwrap() as u8;
    let operator = || "10023".to_owned();
    let licence = wire::Licence {
        id: "1.2.156.3005.2.x".into(),
        type_code: "t".into(),
        fields: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    let said: Vec<(Kind, Vec<u8>)> = vec![
        (Kind::CaseSignFor, wire::CaseSignFor { operator: operator() }.encode_to_vec()),
        (
            Kind::CaseLicence,
            wire::CaseLicence { licence: Some(licence), operator: operator() }.encode_to_vec(),
        ),
        (
            Kind::CaseAccept,
            wire::CaseAccept { document_number: "1".into(), promised_working_days: 5, operator: operator() }
                .encode_to_vec(),
        ),
        (
            Kind::CaseRate,
            wire::CaseRate { level: 1, stage: "receiving".into(), channel: "window".into() }.encode_to_vec(),
        ),
        (
            Kind::Refusal,
            wire::Refusal { code: "entry.expired".into(), refused_index: 3, ..Default::default() }
                .encode_to_vec(),
        ),
        (Kind::KeyAnnounce, wire::KeyAnnounce { certificate: vec![vec![1; 40].into()] }.encode_to_vec()),
        (
            Kind::LicenceQuery,
            wire::LicenceQuery { licence_id: "1".into(), purpose: "p".into(), ..Default::default() }
                .encode_to_vec(),
        ),
        (Kind::CaseForward, attach(&forward().encode_to_vec(), &[]).to_vec()),
    ];
    for (number, (kind, payload)) in said.into_iter().enumerate() {
        put("payload", &format!("said-{number}"), [&[of(kind)], &payload[..]].concat());
    }
    let submit = local::SubmitRequest {
        to: XIANNING.into(),
        kind: "case.forward".into(),
        case_id: case(1),
        payload: forward().encode_to_vec().into(),
        ..Default::default()
    };
    let batch = local::SubmitBatch { requests: vec![submit.clone()] };
    put("local", "submit", [vec![0], submit.encode_to_vec()].concat());
    put("local", "batch", [vec![1], batch.encode_to_vec()].concat());
    let transfer = |kind| wire::Frame { kind: Some(kind) }.encode_to_vec();
    let ask =
        wire::BlobAsk { transfer: 1, digest: [&[1][..], &[5; 32]].concat().into(), ..Default::default() };
    put("frame", "ask", transfer(Frame::BlobAsk(ask)));
    put(
        "frame",
        "head",
        transfer(Frame::BlobHead(wire::BlobHead { transfer: 1, length: 9, chunks: vec![5; 32].into() })),
    );
    put(
        "frame",
        "close",
        transfer(Frame::Close(wire::Close { code: "link.fenced".into(), message: "x".into() })),
    );
    let count = wire::Count { name: "case.forward".into(), count: 3 };
    let totals =
        wire::ChannelTotals { size: 3, root: vec![1; 32].into(), by_kind: vec![count], ..Default::default() };
    let reply = wire::ReconcileReply { request: 1, outbound: Some(totals), ..Default::default() };
    put("frame", "reconcile", transfer(Frame::ReconcileReply(reply)));
}
