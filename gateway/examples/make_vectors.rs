//! Makes the frozen vectors of `proto/vectors`, once.
//!
//! `cargo run -p gateway --example make_vectors` writes each file that is not there and touches none
//! that is: a vector is never made again, because partners have built against it. To add one, give it
//! a new file. `gateway/tests/vectors.rs` and `proto/vectors/check.py` hold the files against this
//! library and against an independent reading of WIRE.md.

use gateway::channel::possession::{Claim, EXPORTER_LABEL};
use gateway::chunks::ChunkHasher;
use gateway::document::{document_digest, pre_authentication_encoding};
use gateway::entry::{Header, HeaderError, body, body_digest};
use gateway::id::{ChannelId, Digest, HashAlgorithm, LogId, LogPosition, MessageId, NodeId};
use gateway::log::checkpoint::{Checkpoint, LinePurpose, Note, cosigned_message, key_hash};
use gateway::log::leaf::leaf_hash;
use gateway::log::proof::{consistency, inclusion};
use gateway::log::tree::Frontier;
use gateway::service::blob::commitment;
use gateway::signer::{FileSigner, Signer};
use gateway::suite::{Hash, PublicKey, Suite};
use gateway::time::UnixMillis;
use gateway::wire::envelope::Envelope;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

const SUITE: Suite = Suite::P256Sha256;
const SENDER: &str = "spiffe://hunan.tongban/node/430600";
const RECEIVER: &str = "spiffe://hubei.tongban/node/421200";
const SENDER_SEED: [u8; 32] = [0x5e; 32];
const RECEIVER_SEED: [u8; 32] = [0xec; 32];
const TIME: UnixMillis = UnixMillis(1_774_000_000_123);
const COSIGNED_SECONDS: u64 = 1_774_000_001;

fn main() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/vectors"));
    write(folder, "header.json", &headers());
    write(folder, "body.json", &bodies());
    write(folder, "blob.json", &blobs());
    write(folder, "tree.json", &tree());
    write(folder, "note_ed25519.json", &note_ed25519());
    write(folder, "note_p256.json", &note_p256());
    write(folder, "dsse.json", &dsse());
    write(folder, "open.json", &open());
    let keys = [sm2("hunan.tongban", "43", "430600"), sm2("hubei.tongban", "42", "421200")];
    write(folder, "note_sm2.json", &note_sm2(&keys));
    write(folder, "sm2.json", &sm2_hashes_and_document(&keys[0]));
}

fn write(folder: &Path, name: &str, content: &Value) {
    match OpenOptions::new().write(true).create_new(true).open(folder.join(name)) {
        Ok(mut file) => {
            let mut text = serde_json::to_string_pretty(content).expect("JSON values are always written");
            text.push('\n');
            file.write_all(text.as_bytes()).expect("the vector folder is writable");
            println!("{name}: made");
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => println!("{name}: frozen, left alone"),
        Err(error) => panic!("{name}: {error}"),
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn channel() -> ChannelId {
    "430600>421200".parse().expect("a constant channel")
}

// ---- headers

/// Protobuf fields, also wrong ones.
#[derive(Default, Clone)]
struct Fields(Vec<u8>);

impl Fields {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn key(self, field: u64, wire_type: u64) -> Self {
        self.varint(field << 3 | wire_type)
    }

    fn number(self, field: u64, value: u64) -> Self {
        self.key(field, 0).varint(value)
    }

    fn bytes(self, field: u64, value: &[u8]) -> Self {
        self.key(field, 2).varint(value.len() as u64).raw(value)
    }

    fn raw(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(value);
        self
    }
}

fn minimal() -> Header {
    Header {
        message_id: MessageId([0x11; 16]),
        channel: channel(),
        epoch: 0,
        kind: "case.review".to_owned(),
        case_id: None,
        in_reply_to: None,
        seen: LogPosition::default(),
        agreement: None,
        standard: None,
        created: TIME,
        expires: None,
        body_digest: digest(0xd1),
        body_length: 16,
        blobs: Vec::new(),
    }
}

/// Files by a rule, so that they need not stand here: byte i is (i / 251) mod 256.
fn blobs() -> Value {
    let salt = [7u8; 16];
    let blob = |length: usize| {
        let bytes: Vec<u8> = (0..length).map(|at| (at / 251) as u8).collect();
        let mut hasher = ChunkHasher::default();
        hasher.update(&bytes);
        let list = hasher.finish().expect("a length that a blob may have");
        let digest = list.digest();
        json!({
            "length": length,
            "chunk_list": hex(list.to_wire()),
            "digest": hex(digest.to_wire()),
            "commitment": hex(commitment(SUITE, &salt, &digest).to_wire()),
        })
    };
    let blobs = [1, 65_535, 65_536, 65_537, 200_000].map(blob);
    json!({
        "about": "Blobs (WIRE.md §4.2, §4.3): byte i of each file is (i / 251) mod 256. Commitments under `salt`.",
        "salt": hex(salt),
        "blobs": blobs,
    })
}

fn digest(byte: u8) -> Digest {
    Digest { algorithm: HashAlgorithm::Sha256, bytes: [byte; 32] }
}

fn full() -> Header {
    Header {
        message_id: "0190d5a0-7d3c-7cc2-9b2a-3f5a1c2b4d6e".parse().expect("a constant UUID"),
        epoch: 1,
        kind: "case.forward".to_owned(),
        case_id: Some("KST430600421200202611230000000110".parse().expect("a constant case id")),
        in_reply_to: Some(MessageId([0x22; 16])),
        seen: LogPosition { epoch: 1, index: 300 },
        agreement: Some(digest(0xa1)),
        standard: Some(digest(0xa2)),
        expires: Some(TIME.plus_millis(86_400_000)),
        body_length: 1_048_576,
        blobs: vec![digest(0xb1), Digest { algorithm: HashAlgorithm::Sm3, bytes: [0xb2; 32] }],
        ..minimal()
    }
}

/// The required fields, one by one, so that a case can leave one out or bend it.
fn required(field: u64) -> Fields {
    let none = Fields::default();
    match field {
        1 => none.bytes(1, &[0x11; 16]),
        2 => none.bytes(2, b"430600"),
        3 => none.bytes(3, b"421200"),
        5 => none.bytes(5, b"case.review"),
        12 => none.number(12, TIME.0),
        14 => none.bytes(14, &digest(0xd1).to_wire()),
        15 => none.number(15, 16),
        _ => none,
    }
}

/// A header of the required fields with `field` replaced by (or, when absent, joined by) `instead`.
fn bent(field: u64, instead: Fields) -> Vec<u8> {
    (1..=16)
        .fold(Fields::default(), |all, next| {
            all.raw(&if next == field { instead.clone() } else { required(next) }.0)
        })
        .0
}

fn headers() -> Value {
    let mut kept = minimal().encode();
    kept.extend(
        Fields::default()
            .number(17, 300)
            .key(18, 1)
            .raw(&[1; 8])
            .bytes(19, b"of a later version")
            .key(4000, 5)
            .raw(&[2; 4])
            .0,
    );
    let loose = bent(4, Fields::default().key(4, 0).raw(&[0x80, 0x00]));
    let mut unheard = minimal();
    unheard.kind = "case.unheard_of".to_owned();
    let read: Vec<Value> = [
        ("required fields only", minimal().encode()),
        ("every field", full().encode()),
        ("a kind that no table lists", unheard.encode()),
        ("fields of a later version, which are kept and mean nothing here", kept),
        ("field 4 is written though it is 0, and in two bytes: read alike, hashed differently", loose),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let header = Header::parse(&bytes).expect(name);
        json!({
            "name": name,
            "header": hex(&bytes),
            "fields": parsed(&header),
            "leaf_hash": hex(leaf_hash(SUITE, &bytes).expect(name)),
        })
    })
    .collect();

    let none = Fields::default;
    let refused: Vec<Value> = [
        ("no bytes", Vec::new()),
        ("2049 bytes", {
            let header = minimal().encode();
            let room = 2049 - header.len() - 4; // of which two are the key's and two the length's
            [header, none().bytes(17, &vec![0; room]).0].concat()
        }),
        ("cut in the middle of the last field", {
            let mut cut = full().encode();
            cut.pop();
            cut
        }),
        ("a length beyond the end", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("field 16 stands twice", [full().encode(), none().bytes(16, &[]).0].concat()),
        ("field 1 after field 2", [required(2).0, required(1).0, bent(1, none())].concat()),
        ("field 1 is missing", bent(1, none())),
        ("field 2 is missing", bent(2, none())),
        ("field 3 is missing", bent(3, none())),
        ("field 5 is missing", bent(5, none())),
        ("field 12 is missing", bent(12, none())),
        ("field 14 is missing", bent(14, none())),
        ("field 15 is missing", bent(15, none())),
        ("a message id of 15 bytes", bent(1, none().bytes(1, &[0x11; 15]))),
        ("a node of five digits", bent(2, none().bytes(2, b"43060"))),
        ("a node with a letter", bent(3, none().bytes(3, b"42120a"))),
        ("an epoch of 2^32", bent(4, none().number(4, 1 << 32))),
        ("an epoch as bytes", bent(4, none().bytes(4, b"0"))),
        ("a kind in upper case", bent(5, none().bytes(5, b"Case.review"))),
        ("a kind of 33 characters", bent(5, none().bytes(5, &[b'a'; 33]))),
        ("a kind of no characters", bent(5, none().bytes(5, b""))),
        ("a case id with a space", bent(6, none().bytes(6, b"KST 1"))),
        ("a case id of 51 characters", bent(6, none().bytes(6, &[b'1'; 51]))),
        ("an empty case id", bent(6, none().bytes(6, b""))),
        ("in-reply-to of 17 bytes", bent(7, none().bytes(7, &[0; 17]))),
        ("a digest without its tag", bent(10, none().bytes(10, &[0xa1; 32]))),
        ("a digest of an unknown algorithm", bent(11, none().bytes(11, &[3; 33]))),
        ("created as a fixed number", bent(12, none().key(12, 1).raw(&[0; 8]))),
        ("a body over 1 MiB", bent(15, none().number(15, 1_048_577))),
        ("a list of blobs that is no multiple of 33 bytes", bent(16, none().bytes(16, &[1; 34]))),
        ("30 blobs", bent(16, none().bytes(16, &[1; 990]))),
        ("a group", [minimal().encode(), none().key(17, 3).key(17, 4).0].concat()),
        ("field number 0", [none().number(0, 1).0, minimal().encode()].concat()),
        ("a varint of 11 bytes", bent(12, none().key(12, 0).raw(&[0x80; 10]).raw(&[0]))),
        ("a varint over 64 bits", bent(12, none().key(12, 0).raw(&[0xff; 9]).raw(&[2]))),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let error = Header::parse(&bytes).expect_err(name);
        json!({ "name": name, "header": hex(&bytes), "error": error_text(&error) })
    })
    .collect();
    json!({
        "about": "Headers (WIRE.md §3) and their leaf hashes (§5). Hexadecimal. Errors: what is wrong, then the field's number where there is one.",
        "read": read,
        "refused": refused,
    })
}

fn error_text(error: &HeaderError) -> String {
    match error {
        HeaderError::Length(_) => "length".to_owned(),
        HeaderError::Truncated => "truncated".to_owned(),
        HeaderError::Order(field) => format!("order {field}"),
        HeaderError::Missing(field) => format!("missing {field}"),
        HeaderError::Field { field, .. } => format!("field {field}"),
    }
}

fn parsed(header: &Header) -> Value {
    json!({
        "message_id": header.message_id.to_string(),
        "from": header.channel.from.as_str(),
        "to": header.channel.to.as_str(),
        "epoch": header.epoch,
        "kind": header.kind,
        "case_id": header.case_id.as_ref().map(|id| id.as_str()),
        "in_reply_to": header.in_reply_to.map(|id| id.to_string()),
        "seen": { "epoch": header.seen.epoch, "size": header.seen.index },
        "agreement": header.agreement.map(Digest::to_text),
        "standard": header.standard.map(Digest::to_text),
        "created_ms": header.created.0,
        "expires_ms": header.expires.map(|expires| expires.0),
        "body_digest": header.body_digest.to_text(),
        "body_length": header.body_length,
        "blobs": header.blobs.iter().map(|digest| digest.to_text()).collect::<Vec<_>>(),
    })
}

// ---- bodies

fn bodies() -> Value {
    let salt: [u8; 16] = std::array::from_fn(|place| place as u8);
    let cases: Vec<Value> = [
        ("an empty payload", Vec::new()),
        ("case.review by 张三", {
            // tongban.exchange.v1.CaseReview { operator: "张三" }
            Fields::default().bytes(1, "张三".as_bytes()).0
        }),
    ]
    .into_iter()
    .map(|(name, payload)| {
        let body = body(salt, &payload);
        let mut flipped = body.to_vec();
        *flipped.last_mut().expect("a body has its salt") ^= 1;
        json!({
            "name": name,
            "salt": hex(salt),
            "payload": hex(&payload),
            "body": hex(&body),
            "body_length": body.len(),
            "body_digest": hex(body_digest(SUITE, &body).to_wire()),
            "another_body": hex(flipped),
        })
    })
    .collect();
    json!({
        "about": "Bodies (WIRE.md §4): salt, then payload; the tagged digest covers both. `another_body` differs by one bit and does not fit the digest.",
        "bodies": cases,
    })
}

// ---- tree

fn tree() -> Value {
    let header = |number: u64| number.to_be_bytes();
    let mut frontier = Frontier::new(SUITE);
    let mut nodes: HashMap<(u8, u64), Hash> = HashMap::new();
    let mut roots = vec![frontier.root()];
    for number in 0..257u64 {
        let leaf = leaf_hash(SUITE, &header(number)).expect("eight bytes are a leaf");
        frontier.append(leaf, |level, index, hash| {
            nodes.insert((level, index), hash);
        });
        roots.push(frontier.root());
    }
    let sizes: Vec<u64> = (0..=8).chain([257]).collect();
    let path = |path: Vec<Hash>| path.iter().map(hex).collect::<Vec<_>>();
    let mut inclusions = Vec::new();
    for size in sizes.iter().copied().filter(|size| *size > 0) {
        let indexes: Vec<u64> = if size < 9 { (0..size).collect() } else { vec![0, 1, 127, 128, 255, 256] };
        for index in indexes {
            let proof = inclusion(SUITE, &nodes, index, size).expect("all nodes are here");
            inclusions.push(json!({ "size": size, "index": index, "path": path(proof) }));
        }
    }
    let mut pairs: Vec<(u64, u64)> = (0..=8).flat_map(|new| (0..=new).map(move |old| (old, new))).collect();
    pairs.extend([1, 2, 7, 8, 257].map(|old| (old, 257)));
    let consistencies: Vec<Value> = pairs
        .into_iter()
        .map(|(old, new)| {
            let proof = consistency(SUITE, &nodes, old, new).expect("all nodes are here");
            json!({ "old": old, "new": new, "path": path(proof) })
        })
        .collect();
    json!({
        "about": "Trees (WIRE.md §5) whose n-th header, from 0, is the eight bytes of n, big endian (not a header that would parse; hashing does not care). Paths lowest first.",
        "leaf_hashes": (0..8).map(|number| hex(leaf_hash(SUITE, &header(number)).expect("a leaf"))).collect::<Vec<_>>(),
        "roots": sizes.iter().map(|size| json!({ "size": size, "root": hex(roots[*size as usize]) })).collect::<Vec<_>>(),
        "inclusion": inclusions,
        "consistency": consistencies,
    })
}

// ---- notes

fn checkpoint(suite: Suite) -> Checkpoint {
    let mut frontier = Frontier::new(suite);
    for header in [minimal().encode(), full().encode()] {
        frontier.append(leaf_hash(suite, &header).expect("a header is a leaf"), |_, _, _| {});
    }
    Checkpoint { log: LogId { channel: channel(), epoch: 0 }, size: 2, root: frontier.root(), time: TIME }
}

fn ed25519(seed: &[u8; 32]) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed");
    let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    spki.extend_from_slice(pair.public_key().as_ref());
    (pair, PublicKey::from_spki(&spki).expect("RFC 8410's encoding"))
}

fn note_json(about: &str, keys: [(&PublicKey, Value); 2], signed: &Note, cosigned: &Note) -> Value {
    let body = signed.checkpoint().body();
    let [(sender, sender_secret), (receiver, receiver_secret)] = keys;
    let key = |name: &str, key: &PublicKey, purpose, secret: Value| json!({ "name": name, "spki": hex(key.spki()), "key_hash": hex(key_hash(name, key, purpose)), "seed": secret });
    let swap = |from: &str, to: &str| cosigned.text().replacen(from, to, 1);
    let flip_signature = |line: usize| {
        let mut lines: Vec<String> = cosigned.text().lines().map(str::to_owned).collect();
        let at = lines[line].len() - 10;
        let other = if lines[line].as_bytes()[at] == b'A' { "B" } else { "A" };
        lines[line].replace_range(at..=at, other);
        lines.join("\n") + "\n"
    };
    let text = cosigned.text();
    let malformed = [
        ("leading zero in the size", swap("\n2\n", "\n02\n")),
        ("a sign before the size", swap("\n2\n", "\n+2\n")),
        ("another version of the origin", swap("/v1/", "/v2/")),
        ("a fourth part in the origin", swap("/0\n", "/0/0\n")),
        ("a leading zero in the epoch", swap("/0\n", "/00\n")),
        ("a second extension line", swap("time 1774000000123\n", "time 1774000000123\nmore\n")),
        ("no extension line", swap("time 1774000000123\n", "")),
        ("carriage returns", text.replace('\n', "\r\n")),
        ("no newline at the end", text.trim_end().to_owned()),
        ("no empty line", text.replacen("\n\n", "\n", 1)),
        ("a hyphen instead of the em dash", text.replace('—', "-")),
        (
            "a third signature line",
            format!("{text}{}", text.lines().last().map(|line| format!("{line}\n")).unwrap_or_default()),
        ),
        ("base64 without padding", swap("=\ntime", "\ntime")),
    ];
    let forged = [
        ("another size under the signatures", swap("\n2\n", "\n3\n"), "origin"),
        ("another time under the signatures", swap("000123\n", "000124\n"), "origin"),
        ("one character of the sender's signature", flip_signature(5), "origin"),
        ("one character of the cosignature", flip_signature(6), "cosignature"),
    ];
    let case = |name: &str, text: &str| json!({ "name": name, "text": text });
    json!({
        "about": about,
        "suite": sender.suite.name(),
        "sender": key(SENDER, sender, LinePurpose::Origin, sender_secret),
        "receiver": key(RECEIVER, receiver, LinePurpose::Cosignature, receiver_secret),
        "checkpoint": {
            "from": "430600", "to": "421200", "epoch": 0, "size": 2,
            "root": hex(signed.checkpoint().root), "time_ms": TIME.0,
        },
        "body": body,
        "signed": signed.text(),
        "cosignature_seconds": COSIGNED_SECONDS,
        "cosigned_message": hex(cosigned_message(COSIGNED_SECONDS, &body)),
        "cosigned": text,
        "malformed": malformed.iter().map(|(name, text)| case(name, text)).collect::<Vec<_>>(),
        "forged": forged.iter().map(|(name, text, line)| json!({ "name": name, "text": text, "line": line })).collect::<Vec<_>>(),
    })
}

fn note_ed25519() -> Value {
    let (sender_pair, sender) = ed25519(&SENDER_SEED);
    let (receiver_pair, receiver) = ed25519(&RECEIVER_SEED);
    let body = checkpoint(SUITE).body();
    let signed = Note::signed(checkpoint(SUITE), SENDER, &sender, sender_pair.sign(body.as_bytes()).as_ref());
    let cosignature = receiver_pair.sign(&cosigned_message(COSIGNED_SECONDS, &body));
    let cosigned = signed.with_cosignature(RECEIVER, &receiver, COSIGNED_SECONDS, cosignature.as_ref());
    note_json(
        "A note of suite ed25519-sha256 (WIRE.md §6), over the tree of the first two headers of header.json. Seeds are RFC 8032 private keys, for tests only.",
        [(&sender, json!(hex(SENDER_SEED))), (&receiver, json!(hex(RECEIVER_SEED)))],
        &signed,
        &cosigned,
    )
}

fn p256() -> (EcdsaKeyPair, PublicKey) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("chance");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .expect("a key that was just made");
    let mut spki = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    spki.extend_from_slice(pair.public_key().as_ref());
    (pair, PublicKey::from_spki(&spki).expect("RFC 5480's encoding"))
}

fn note_p256() -> Value {
    let random = SystemRandom::new();
    let ((sender_pair, sender), (receiver_pair, receiver)) = (p256(), p256());
    let body = checkpoint(SUITE).body();
    let signature = sender_pair.sign(&random, body.as_bytes()).expect("chance");
    let signed = Note::signed(checkpoint(SUITE), SENDER, &sender, signature.as_ref());
    let cosignature =
        receiver_pair.sign(&random, &cosigned_message(COSIGNED_SECONDS, &body)).expect("chance");
    let cosigned = signed.with_cosignature(RECEIVER, &receiver, COSIGNED_SECONDS, cosignature.as_ref());
    note_json(
        "A note of suite p256-sha256 (WIRE.md §6), over the tree of the first two headers of header.json. To be verified only: ECDSA signs differently each time, and the private keys were thrown away.",
        [(&sender, Value::Null), (&receiver, Value::Null)],
        &signed,
        &cosigned,
    )
}

// ---- the proof in an Open

fn open() -> Value {
    let claim = Claim {
        from: channel().from,
        to: channel().to,
        dialled: true,
        bulk: false,
        name: std::array::from_fn(|at| at as u8),
        binding: std::array::from_fn(|at| 0xff - at as u8),
    };
    let random = SystemRandom::new();
    let ((ed25519_pair, ed25519_key), (p256_pair, p256_key)) = (ed25519(&SENDER_SEED), p256());
    let other: NodeId = "430100".parse().expect("a constant node");
    let mut claims = Vec::new();
    for claim in [
        claim,
        Claim { dialled: false, ..claim },
        Claim { bulk: true, ..claim },
        Claim { from: claim.to, to: claim.from, dialled: false, ..claim },
    ] {
        let message = claim.message();
        let forged = [
            ("another speaker", Claim { from: other, ..claim }),
            ("another listener", Claim { to: other, ..claim }),
            ("the other part", Claim { dialled: !claim.dialled, ..claim }),
            ("another purpose", Claim { bulk: !claim.bulk, ..claim }),
            ("another link", Claim { name: [9; 24], ..claim }),
            ("another connection", Claim { binding: [9; 32], ..claim }),
        ];
        claims.push(json!({
            "from": claim.from.to_string(),
            "to": claim.to.to_string(),
            "dialled": claim.dialled,
            "bulk": claim.bulk,
            "link": hex(claim.name),
            "binding": hex(claim.binding),
            "message": String::from_utf8(message.clone()).expect("text"),
            "ed25519": hex(ed25519_pair.sign(&message)),
            "p256": hex(p256_pair.sign(&random, &message).expect("chance")),
            "forged": forged
                .iter()
                .map(|(name, claim)| json!({
                    "name": name,
                    "message": String::from_utf8(claim.message()).expect("text"),
                }))
                .collect::<Vec<_>>(),
        }));
    }
    json!({
        "about": "The proof in an Open of version 2 (WIRE.md §9.3): what is signed, and signatures under an Ed25519 key whose seed is for tests only and under a P-256 key that was thrown away. `forged`: texts under which they must not verify.",
        "exporter_label": std::str::from_utf8(EXPORTER_LABEL).expect("text"),
        "ed25519_spki": hex(ed25519_key.spki()),
        "p256_spki": hex(p256_key.spki()),
        "claims": claims,
    })
}

// ---- documents

fn dsse() -> Value {
    let (pair, key) = ed25519(&SENDER_SEED);
    let payload_type = "application/vnd.tongban.recognition-decision.v1+json";
    let payload = concat!(
        r#"{"request":"01010101-0101-0101-0101-010101010101","case":"KST421200430600202611230000000112","#,
        r#""agreement":"sha256:0909090909090909090909090909090909090909090909090909090909090909","#,
        r#""rule":"rule-1","material":"M01","licence_id":"","decided_by":"430600","#,
        r#""decided_at":"2026-11-23T08:00:00.007+08:00","outcome":"refused","reason":"R11","#,
        r#""note":"证照已过期","disclosed":{}}"#
    );
    let encoding = pre_authentication_encoding(payload_type, payload.as_bytes());
    let signature = pair.sign(&encoding);
    let envelope = Envelope {
        payload_type: payload_type.to_owned(),
        payload: payload.as_bytes().to_vec(),
        signatures: vec![(SENDER.to_owned(), signature.as_ref().to_vec())],
    };
    let mut flipped = signature.as_ref().to_vec();
    flipped[0] ^= 1;
    let example = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    json!({
        "about": "Documents (WIRE.md §7): DSSE v1 pre-authentication encoding and an Ed25519 signature. The seed is for tests only.",
        "published_example": { "payload_type": "http://example.com/HelloWorld", "payload": hex(b"hello world"), "encoding": hex(example) },
        "payload_type": payload_type,
        "payload": payload,
        "document_digest": document_digest(payload.as_bytes()).to_text(),
        "encoding": hex(encoding),
        "seed": hex(SENDER_SEED),
        "keyid": SENDER,
        "spki": hex(key.spki()),
        "signature": hex(signature.as_ref()),
        "envelope": String::from_utf8(envelope.to_json()).expect("JSON is UTF-8"),
        "forged_signature": hex(flipped),
        "forged_payload": payload.replace("refused", "Refused"),
        "forged_payload_type": "application/vnd.tongban.agreement.v1+json",
    })
}

// ---- SM2 and SM3

/// A new SM2 signing key of a node.
fn sm2(domain: &str, prefix: &str, node: &str) -> FileSigner {
    let province =
        devpki::Province::new(domain, &[prefix], TIME.0 as i64).and_then(devpki::Province::with_sm2);
    let issued = province.and_then(|province| province.signing(node, devpki::KeyKind::Sm2)).expect("chance");
    let identity = certs::Identity::new(issued.chain_der.clone(), issued.key_der.clone().into());
    let spki = identity.expect("a pair that was just made").spki_der().to_vec();
    let name = format!("spiffe://{domain}/node/{node}");
    let key = PublicKey::from_spki(&spki).expect("a key that was just made");
    FileSigner::new(name, key, issued.chain_der, &issued.key_der).expect("a pair that was just made")
}

fn note_sm2([sender, receiver]: &[FileSigner; 2]) -> Value {
    let checkpoint = checkpoint(Suite::Sm2Sm3);
    let body = checkpoint.body();
    let signature = sender.sign(body.as_bytes()).expect("a key that signs");
    let signed = Note::signed(checkpoint, SENDER, sender.public_key(), &signature);
    let cosignature = receiver.sign(&cosigned_message(COSIGNED_SECONDS, &body)).expect("a key that signs");
    let cosigned = signed.with_cosignature(RECEIVER, receiver.public_key(), COSIGNED_SECONDS, &cosignature);
    note_json(
        "A note of suite sm2-sm3 (WIRE.md §6), over the tree of the first two headers of header.json hashed by SM3. To be verified only: SM2 signatures need not repeat, and the private keys were thrown away.",
        [(sender.public_key(), Value::Null), (receiver.public_key(), Value::Null)],
        &signed,
        &cosigned,
    )
}

fn sm2_hashes_and_document(signer: &FileSigner) -> Value {
    let suite = Suite::Sm2Sm3;
    let header = |number: u64| number.to_be_bytes();
    let mut frontier = Frontier::new(suite);
    let mut roots = vec![json!({ "size": 0, "root": hex(frontier.root()) })];
    for number in 0..7 {
        frontier.append(leaf_hash(suite, &header(number)).expect("a leaf"), |_, _, _| {});
        roots.push(json!({ "size": number + 1, "root": hex(frontier.root()) }));
    }
    let (salt, payload) = ([0xa5; 16], b"payload".as_slice());
    let whole = body(salt, payload);
    let blob = digest(0xb1);
    let payload_type = "application/vnd.tongban.agreement.v1+json";
    let document = r#"{"id":"商密协议","suite":"sm2-sm3"}"#;
    let encoding = pre_authentication_encoding(payload_type, document.as_bytes());
    let signature = signer.sign(&encoding).expect("a key that signs");
    let mut flipped = signature.clone();
    flipped[0] ^= 1;
    json!({
        "about": "Suite sm2-sm3 (WIRE.md §2.3): trees over headers as in tree.json, a body, a commitment, and a document's signature, to be verified only. A document's digest stays SHA-256's. The payload is no agreement; signing does not care.",
        "leaf_hashes": (0..7).map(|number| hex(leaf_hash(suite, &header(number)).expect("a leaf"))).collect::<Vec<_>>(),
        "roots": roots,
        "body": hex(&whole),
        "body_digest": hex(body_digest(suite, &whole).to_wire()),
        "salt": hex(salt),
        "blob_digest": hex(blob.to_wire()),
        "commitment": hex(commitment(suite, &salt, &blob).to_wire()),
        "payload_type": payload_type,
        "payload": document,
        "document_digest": document_digest(document.as_bytes()).to_text(),
        "encoding": hex(&encoding),
        "spki": hex(signer.public_key().spki()),
        "signature": hex(&signature),
        "forged_signature": hex(flipped),
    })
}
