//! The pure parts that every message passes through, each by itself, so that a regression has an
//! address. `cargo bench -p gateway` measures; `cargo test -p gateway --bench hot` runs each once.
//!
//! Sizes are those of the load that the engine is built for: a header of a case's fact, a body of
//! 2 KiB, batches of 256.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway::authorize::{Books, Candidate, CaseBook, RequestRecord, authorize};
use gateway::codes::{CaseNumber, Date as Day, Division};
use gateway::document::document_digest;
use gateway::entry::{Header, body, body_digest};
use gateway::id::{CaseId, ChannelId, Digest, Kind, LogId, LogPosition, MessageId, NodeId};
use gateway::log::checkpoint::{Checkpoint, Note, cosigned_message};
use gateway::log::leaf::leaf_hash;
use gateway::log::tree::Frontier;
use gateway::service::agreement::{Agreement, AgreementRecord};
use gateway::service::date::Date;
use gateway::service::payload::Payload;
use gateway::service::standard::Standard;
use gateway::signer::{FileSigner, Signer};
use gateway::store::Frame;
use gateway::store::journal::bench as frame;
use gateway::suite::{PublicKey, Suite};
use gateway::time::UnixMillis;
use gateway::wire;
use gateway::wire::document::Document as _;
use prost::Message as _;
use proto::exchange::v1 as pb;
use std::hint::black_box;
use std::sync::Arc;

const SUITE: Suite = Suite::P256Sha256;
const ITEM: &str = "KST027";
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);
const BATCH: usize = 256;

fn node(code: &str) -> NodeId {
    code.parse().expect("a division")
}

fn channel() -> ChannelId {
    ChannelId { from: node("421200"), to: node("430600") }
}

fn case_id() -> CaseId {
    let division = |code| Division::parse(code).expect("a division");
    let day = Day::new(2026, 11, 23).expect("a day");
    let number = CaseNumber::mint(division("421200"), division("430600"), day, 1).expect("a case number");
    number.to_string().parse().expect("a case id")
}

/// A complete application, as a window sends it; its form fills the body up to 2 KiB.
fn application() -> Vec<u8> {
    let material = |code: &str| pb::Material {
        code: code.into(),
        digest: document_digest(code.as_bytes()).to_wire().to_vec().into(),
        form: "electronic".into(),
        ..Default::default()
    };
    let forward = pb::CaseForward {
        item: ITEM.into(),
        project_number: "YY-1".into(),
        applicant: Some(pb::Person {
            name: "测试甲".into(),
            id_type: "111".into(),
            id_number: "430602190001010012".into(),
            phone: String::new(),
        }),
        agent: None,
        materials: vec![material("M01"), material("M02")],
        form: format!("{{\"name\":\"x\",\"reason\":\"{}\"}}", "y".repeat(1_700)).into_bytes().into(),
        received_ms: NOW.0,
        window: "W01".into(),
        operator: "op-1".into(),
        applicant_kind: "1".into(),
        walkthrough: false,
        mode: String::new(),
        parent: String::new(),
    };
    forward.encode_to_vec()
}

fn a_body() -> Bytes {
    body([7; 16], &application())
}

fn header() -> Header {
    let body = a_body();
    Header {
        message_id: MessageId([3; 16]),
        channel: channel(),
        epoch: 0,
        kind: Kind::CaseForward.name().to_owned(),
        case_id: Some(case_id()),
        in_reply_to: None,
        seen: LogPosition { epoch: 0, index: 1_000_000 },
        agreement: Some(document_digest(b"agreement")),
        standard: Some(document_digest(b"standard")),
        created: NOW,
        expires: None,
        body_digest: body_digest(SUITE, &body),
        body_length: u32::try_from(body.len()).expect("2 KiB"),
        blobs: Vec::new(),
    }
}

fn headers_and_bodies(c: &mut Criterion) {
    let (header, body) = (header(), a_body());
    let bytes = header.encode();
    let mut group = c.benchmark_group("entry");
    group.bench_function("header encode", |b| b.iter(|| black_box(&header).encode()));
    group.bench_function("header parse", |b| b.iter(|| Header::parse(black_box(&bytes)).expect("a header")));
    group.bench_function("leaf hash", |b| b.iter(|| leaf_hash(SUITE, black_box(&bytes)).expect("a leaf")));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("body digest", |b| b.iter(|| body_digest(SUITE, black_box(&body))));
    group.finish();
}

fn tree(c: &mut Criterion) {
    let leaf = leaf_hash(SUITE, &header().encode()).expect("a leaf");
    let mut full = Frontier::new(SUITE);
    for _ in 0..1_000_000 {
        full.append(leaf, |_, _, _| ());
    }
    let mut group = c.benchmark_group("tree");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("append 256 and take the root", |b| {
        b.iter_batched(
            || full.clone(),
            |mut frontier| {
                for _ in 0..BATCH {
                    frontier.append(black_box(leaf), |level, index, hash| {
                        black_box((level, index, hash));
                    });
                }
                frontier.root()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn key(kind: devpki::KeyKind) -> FileSigner {
    let province = devpki::Province::new("hubei.tongban", &["42"], 1_795_000_000_000)
        .and_then(devpki::Province::with_sm2)
        .expect("a province");
    let issued = province.signing("421200", kind).expect("a certificate");
    let root = match kind {
        devpki::KeyKind::Sm2 => province.sm2_root_der().expect("made with SM2"),
        _ => province.root_der(),
    };
    let anchor = certs::Anchor::from_der(root, certs::AnchorState::Active).expect("an anchor");
    let prefixes = vec!["42".parse().expect("a prefix")];
    let name = "hubei.tongban".parse().expect("a domain");
    let domain = certs::TrustDomain::new(name, prefixes, vec![anchor], certs::Revocation::None);
    let trust = certs::TrustStore::new(vec![domain.expect("a domain")]).expect("a trust store");
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let verified = trust.verify(certs::Purpose::Signing, &chain, 1_795_000_000_000).expect("a good chain");
    let public = PublicKey::from_spki(&verified.spki_der).expect("a key");
    FileSigner::new(verified.id.to_string(), public, issued.chain_der.clone(), &issued.key_der)
        .expect("a signer")
}

fn checkpoints(c: &mut Criterion) {
    let mut group = c.benchmark_group("checkpoint");
    let kinds = [
        ("p256", devpki::KeyKind::P256),
        ("ed25519", devpki::KeyKind::Ed25519),
        ("sm2", devpki::KeyKind::Sm2),
    ];
    for (suite, kind) in kinds {
        let signer = key(kind);
        let checkpoint = Checkpoint {
            log: LogId { channel: channel(), epoch: 0 },
            size: 1_000_000,
            root: [9; 32],
            time: NOW,
        };
        let sign = |checkpoint: &Checkpoint| {
            let signature = signer.sign(checkpoint.body().as_bytes()).expect("a signature");
            Note::signed(checkpoint.clone(), signer.name(), signer.public_key(), &signature)
        };
        let note = sign(&checkpoint);
        let cosign = |note: &Note| {
            let message = cosigned_message(NOW.0 / 1000, &note.checkpoint().body());
            let signature = signer.sign(&message).expect("a signature");
            note.with_cosignature(signer.name(), signer.public_key(), NOW.0 / 1000, &signature)
        };
        let text = cosign(&note).text();
        group.bench_function(format!("sign {suite}"), |b| b.iter(|| sign(black_box(&checkpoint))));
        group.bench_function(format!("cosign {suite}"), |b| b.iter(|| cosign(black_box(&note))));
        group.bench_function(format!("verify {suite}"), |b| {
            b.iter(|| {
                black_box(&note).verify_origin(signer.name(), signer.public_key()).expect("a signature")
            });
        });
        group.bench_function(format!("parse {suite}"), |b| {
            b.iter(|| Note::parse(black_box(text.as_bytes())).expect("a note"));
        });
    }
    group.finish();
}

fn frames(c: &mut Criterion) {
    let meta = header().encode().repeat(BATCH);
    let written = Frame { meta, bodies: vec![a_body(); BATCH] };
    let mut bytes = Vec::new();
    frame::encode(&written, &mut bytes);
    assert_eq!(frame::decode(&bytes), Some(BATCH));
    let mut group = c.benchmark_group("journal frame of 256");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |b| {
        let mut out = Vec::with_capacity(bytes.len());
        b.iter(|| frame::encode(black_box(&written), &mut out));
    });
    group.bench_function("decode", |b| b.iter(|| frame::decode(black_box(&bytes)).expect("a frame")));
    group.finish();
}

/// What the judge of the bench knows: one agreement, one standard, and no case yet.
struct World {
    agreement: Arc<AgreementRecord>,
    standard: Arc<Standard>,
    standard_digest: Digest,
}

impl World {
    fn new() -> Self {
        let since: Date = "2026-01-01".parse().expect("a date");
        let standard = Standard::for_item(ITEM, "开具有无犯罪记录证明", channel().to, since);
        let standard_digest = document_digest(&standard.to_json());
        let agreement = Agreement::between("agr-bench", [channel().from, channel().to], since).with_item(
            ITEM,
            channel().from,
            channel().to,
            standard_digest,
        );
        let record = AgreementRecord {
            digest: document_digest(&agreement.to_json()),
            signed_by: agreement.parties.to_vec(),
            suspended: false,
            agreement,
        };
        Self { agreement: Arc::new(record), standard: Arc::new(standard), standard_digest }
    }
}

impl Books for World {
    fn agreement(&self, digest: &Digest) -> Option<Arc<AgreementRecord>> {
        (self.agreement.digest == *digest).then(|| Arc::clone(&self.agreement))
    }

    fn standard(&self, digest: &Digest) -> Option<Arc<Standard>> {
        (self.standard_digest == *digest).then(|| Arc::clone(&self.standard))
    }

    fn case(&self, _: &CaseId) -> Option<Arc<CaseBook>> {
        None
    }

    fn request(&self, _: ChannelId, _: MessageId) -> Option<RequestRecord> {
        None
    }
}

fn rules(c: &mut Criterion) {
    let world = World::new();
    let bytes = application();
    let read = |bytes: &[u8]| -> Payload {
        wire::payload::decode(Kind::CaseForward, &Bytes::copy_from_slice(bytes)).expect("a payload")
    };
    let payload = read(&bytes);
    let case_id = case_id();
    let candidate = Candidate {
        this: channel().to,
        channel: channel(),
        position: LogPosition::default(),
        seen: LogPosition::default(),
        kind: Kind::CaseForward,
        message_id: MessageId([3; 16]),
        case_id: Some(&case_id),
        in_reply_to: None,
        agreement: Some(world.agreement.digest),
        standard: Some(world.standard_digest),
        created: NOW,
        expires: None,
        payload: &payload,
    };
    if let Err(refusal) = authorize(&world, &candidate, NOW) {
        panic!("the bench measures a permitted entry, and this is refused: {refusal}");
    }
    let mut group = c.benchmark_group("rules");
    group.bench_function("decode case.forward", |b| b.iter(|| read(black_box(&bytes))));
    group.bench_function("authorize case.forward", |b| {
        b.iter(|| authorize(black_box(&world), black_box(&candidate), NOW).expect("permitted"));
    });
    group.finish();
}

criterion_group!(hot, headers_and_bodies, tree, checkpoints, frames, rules);
criterion_main!(hot);
