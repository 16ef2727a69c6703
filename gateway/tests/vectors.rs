//! Holds the library against the frozen vectors of `proto/vectors`: bytes that partners have built
//! against. When one of these tests fails, the code is wrong, not the vector.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its vector has failed")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateway::channel::possession::{Claim, EXPORTER_LABEL};
use gateway::chunks::{ChunkHasher, ChunkList};
use gateway::document::{document_digest, pre_authentication_encoding, signature_holds};
use gateway::entry::{Header, HeaderError, body, body_digest, payload};
use gateway::id::{Digest, LogId};
use gateway::log::checkpoint::{Checkpoint, LinePurpose, Note, cosigned_message, key_hash};
use gateway::log::leaf::leaf_hash;
use gateway::log::proof::{consistency, consistency_holds, inclusion, inclusion_holds};
use gateway::log::tree::Frontier;
use gateway::service::blob::commitment;
use gateway::suite::{Hash, PublicKey, Suite};
use gateway::time::UnixMillis;
use gateway::wire::envelope::Envelope;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;
use std::collections::HashMap;

const SUITE: Suite = Suite::P256Sha256;

fn vectors(name: &str) -> Value {
    let path = format!("{}/../proto/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    unhex(text(value, key))
}

fn hash(text: &str) -> Hash {
    unhex(text).try_into().unwrap()
}

fn path(value: &Value) -> Vec<Hash> {
    list(value, "path").iter().map(|step| hash(step.as_str().unwrap())).collect()
}

// ---- headers and bodies

#[test]
fn headers_are_read_and_hashed_as_frozen() {
    let file = vectors("header.json");
    for case in list(&file, "read") {
        let name = text(case, "name");
        let bytes = bytes(case, "header");
        let header = Header::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let fields = &case["fields"];
        let optional = |key: &str| fields[key].as_str().map(str::to_owned);
        assert_eq!(header.message_id.to_string(), text(fields, "message_id"), "{name}");
        assert_eq!(header.channel.from.as_str(), text(fields, "from"), "{name}");
        assert_eq!(header.channel.to.as_str(), text(fields, "to"), "{name}");
        assert_eq!(u64::from(header.epoch), number(fields, "epoch"), "{name}");
        assert_eq!(header.kind, text(fields, "kind"), "{name}");
        assert_eq!(header.case_id.as_ref().map(|id| id.as_str().to_owned()), optional("case_id"), "{name}");
        assert_eq!(header.in_reply_to.map(|id| id.to_string()), optional("in_reply_to"), "{name}");
        assert_eq!(u64::from(header.seen.epoch), number(&fields["seen"], "epoch"), "{name}");
        assert_eq!(header.seen.index, number(&fields["seen"], "size"), "{name}");
        assert_eq!(header.agreement.map(Digest::to_text), optional("agreement"), "{name}");
        assert_eq!(header.standard.map(Digest::to_text), optional("standard"), "{name}");
        assert_eq!(header.created.0, number(fields, "created_ms"), "{name}");
        assert_eq!(header.expires.map(|expires| expires.0), fields["expires_ms"].as_u64(), "{name}");
        assert_eq!(header.body_digest.to_text(), text(fields, "body_digest"), "{name}");
        assert_eq!(u64::from(header.body_length), number(fields, "body_length"), "{name}");
        let blobs: Vec<_> = list(fields, "blobs").iter().map(|blob| blob.as_str().unwrap()).collect();
        assert_eq!(header.blobs.iter().map(|blob| blob.to_text()).collect::<Vec<_>>(), blobs, "{name}");
        assert_eq!(leaf_hash(SUITE, &bytes).unwrap(), hash(text(case, "leaf_hash")), "{name}");
    }
}

#[test]
fn headers_are_written_as_frozen() {
    // Those two were written by this library's encoder; the others hold what no encoder writes.
    for case in &list(&vectors("header.json"), "read")[..2] {
        let bytes = bytes(case, "header");
        assert_eq!(Header::parse(&bytes).unwrap().encode(), bytes, "{}", text(case, "name"));
    }
}

#[test]
fn headers_are_refused_for_the_frozen_reason() {
    for case in list(&vectors("header.json"), "refused") {
        let error = match Header::parse(&bytes(case, "header")).expect_err(text(case, "name")) {
            HeaderError::Length(_) => "length".to_owned(),
            HeaderError::Truncated => "truncated".to_owned(),
            HeaderError::Order(field) => format!("order {field}"),
            HeaderError::Missing(field) => format!("missing {field}"),
            HeaderError::Field { field, .. } => format!("field {field}"),
        };
        assert_eq!(error, text(case, "error"), "{}", text(case, "name"));
    }
}

#[test]
fn one_flipped_bit_in_a_header_is_another_leaf() {
    for case in list(&vectors("header.json"), "read") {
        let whole = bytes(case, "header");
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_ne!(leaf_hash(SUITE, &flipped).unwrap(), hash(text(case, "leaf_hash")));
        }
    }
}

#[test]
fn bodies_are_salt_and_payload_under_one_digest() {
    for case in list(&vectors("body.json"), "bodies") {
        let name = text(case, "name");
        let salt = bytes(case, "salt").try_into().unwrap();
        let made = body(salt, &bytes(case, "payload"));
        assert_eq!(made[..], bytes(case, "body"), "{name}");
        assert_eq!(made.len() as u64, number(case, "body_length"), "{name}");
        assert_eq!(payload(&made).unwrap()[..], bytes(case, "payload"), "{name}");
        let digest = Digest::from_wire(&bytes(case, "body_digest")).unwrap();
        assert_eq!(body_digest(SUITE, &made), digest, "{name}");
        assert_ne!(body_digest(SUITE, &bytes(case, "another_body")), digest, "{name}");
    }
    assert_eq!(payload(&Bytes::from_static(&[0; 15])), None, "a body has its whole salt");
}

// ---- blobs

#[test]
fn blobs_are_named_and_committed_to_as_frozen() {
    let vectors = vectors("blob.json");
    let salt = bytes(&vectors, "salt");
    for case in list(&vectors, "blobs") {
        let length = number(case, "length");
        let file: Vec<u8> = (0..length).map(|at| (at / 251) as u8).collect();
        let mut hasher = ChunkHasher::default();
        hasher.update(&file);
        let made = hasher.finish().unwrap();
        let digest = Digest::from_wire(&bytes(case, "digest")).unwrap();
        assert_eq!(made.to_wire(), bytes(case, "chunk_list"), "{length}");
        assert_eq!(made.digest(), digest, "{length}");
        assert_eq!(ChunkList::from_wire(digest, length, &bytes(case, "chunk_list")), Ok(made), "{length}");
        assert_eq!(commitment(SUITE, &salt, &digest).to_wire()[..], bytes(case, "commitment"), "{length}");
    }
}

// ---- trees

struct Tree {
    nodes: HashMap<(u8, u64), Hash>,
    roots: Vec<Hash>,
    leaves: Vec<Hash>,
}

fn tree() -> Tree {
    let mut frontier = Frontier::new(SUITE);
    let mut tree = Tree { nodes: HashMap::new(), roots: vec![frontier.root()], leaves: Vec::new() };
    for number in 0..257u64 {
        let leaf = leaf_hash(SUITE, &number.to_be_bytes()).unwrap();
        tree.leaves.push(leaf);
        frontier.append(leaf, |level, index, hash| {
            tree.nodes.insert((level, index), hash);
        });
        tree.roots.push(frontier.root());
    }
    tree
}

#[test]
fn leaves_and_roots_are_the_frozen_ones() {
    let (file, tree) = (vectors("tree.json"), tree());
    for (leaf, frozen) in tree.leaves.iter().zip(list(&file, "leaf_hashes")) {
        assert_eq!(*leaf, hash(frozen.as_str().unwrap()));
    }
    for case in list(&file, "roots") {
        assert_eq!(tree.roots[number(case, "size") as usize], hash(text(case, "root")), "{case}");
    }
    // RFC 6962 §2.1: the empty tree's root is the hash of nothing.
    assert_eq!(tree.roots[0], hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

#[test]
fn two_leaves_that_changed_places_have_another_root() {
    let tree = tree();
    let mut frontier = Frontier::new(SUITE);
    for leaf in [tree.leaves[1], tree.leaves[0]] {
        frontier.append(leaf, |_, _, _| {});
    }
    assert_ne!(frontier.root(), tree.roots[2]);
}

#[test]
fn inclusion_proofs_are_the_frozen_ones_and_nothing_else_holds() {
    let (file, tree) = (vectors("tree.json"), tree());
    for case in list(&file, "inclusion") {
        let (size, index, path) = (number(case, "size"), number(case, "index"), path(case));
        assert_eq!(inclusion(SUITE, &tree.nodes, index, size).unwrap(), path, "{index} in {size}");
        let (leaf, root) = (tree.leaves[index as usize], tree.roots[size as usize]);
        let holds = |leaf, index, size, path: &[Hash]| inclusion_holds(SUITE, leaf, index, size, path, &root);
        assert!(holds(&leaf, index, size, &path), "{index} in {size}");
        for step in 0..path.len() {
            let mut forged = path.clone();
            forged[step][0] ^= 1;
            assert!(!holds(&leaf, index, size, &forged), "{index} in {size}, step {step}");
        }
        let mut other = leaf;
        other[31] ^= 1;
        assert!(!holds(&other, index, size, &path));
        assert!(!holds(&leaf, size, size, &path), "an index outside the tree");
        assert!(!holds(&leaf, index, size, &[path.clone(), vec![root]].concat()), "a step too many");
        if let Some((_, fewer)) = path.split_last() {
            assert!(!holds(&leaf, index, size, fewer), "a step too few");
        }
        let mut backwards = path.clone();
        backwards.reverse();
        assert_eq!(holds(&leaf, index, size, &backwards), backwards == path, "order of steps");
    }
}

#[test]
fn consistency_proofs_are_the_frozen_ones_and_nothing_else_holds() {
    let (file, tree) = (vectors("tree.json"), tree());
    for case in list(&file, "consistency") {
        let (old, new, path) = (number(case, "old"), number(case, "new"), path(case));
        assert_eq!(consistency(SUITE, &tree.nodes, old, new).unwrap(), path, "{old} to {new}");
        let (old_root, new_root) = (tree.roots[old as usize], tree.roots[new as usize]);
        assert!(consistency_holds(SUITE, old, &old_root, new, &new_root, &path), "{old} to {new}");
        for step in 0..path.len() {
            let mut forged = path.clone();
            forged[step][0] ^= 1;
            assert!(!consistency_holds(SUITE, old, &old_root, new, &new_root, &forged), "{old} to {new}");
        }
        let mut other = old_root;
        other[31] ^= 1;
        assert!(!consistency_holds(SUITE, old, &other, new, &new_root, &path), "{old} to {new}");
    }
}

// ---- notes

fn key(value: &Value) -> PublicKey {
    PublicKey::from_spki(&bytes(value, "spki")).unwrap()
}

/// Everything that does not need a private key.
fn check_note(file: &Value) {
    let (sender, receiver) = (&file["sender"], &file["receiver"]);
    let (sender_name, receiver_name) = (text(sender, "name"), text(receiver, "name"));
    let (sender_key, receiver_key) = (key(sender), key(receiver));
    assert_eq!(sender_key.suite.name(), text(file, "suite"));
    let hash_of = |name, key, purpose| key_hash(name, key, purpose).to_vec();
    assert_eq!(hash_of(sender_name, &sender_key, LinePurpose::Origin), bytes(sender, "key_hash"));
    assert_eq!(hash_of(receiver_name, &receiver_key, LinePurpose::Cosignature), bytes(receiver, "key_hash"));
    assert_ne!(
        hash_of(sender_name, &sender_key, LinePurpose::Cosignature),
        bytes(sender, "key_hash"),
        "a key has another name for each purpose"
    );

    let head = &file["checkpoint"];
    let channel = format!("{}>{}", text(head, "from"), text(head, "to")).parse().unwrap();
    let checkpoint = Checkpoint {
        log: LogId { channel, epoch: number(head, "epoch") as u32 },
        size: number(head, "size"),
        root: hash(text(head, "root")),
        time: UnixMillis(number(head, "time_ms")),
    };
    assert_eq!(checkpoint.body(), text(file, "body"));
    let seconds = number(file, "cosignature_seconds");
    assert_eq!(cosigned_message(seconds, &checkpoint.body()), bytes(file, "cosigned_message"));

    let signed = Note::parse(text(file, "signed").as_bytes()).unwrap();
    assert_eq!(*signed.checkpoint(), checkpoint);
    assert!(!signed.is_cosigned());
    assert_eq!(signed.verify_origin(sender_name, &sender_key), Ok(()));
    assert!(signed.verify_origin(receiver_name, &receiver_key).is_err());
    assert!(signed.verify_cosignature(receiver_name, &receiver_key).is_err());

    let cosigned = Note::parse(text(file, "cosigned").as_bytes()).unwrap();
    assert_eq!(cosigned.text(), text(file, "cosigned"));
    assert_eq!(*cosigned.checkpoint(), checkpoint);
    assert_eq!(cosigned.verify_origin(sender_name, &sender_key), Ok(()));
    assert_eq!(cosigned.verify_cosignature(receiver_name, &receiver_key), Ok(seconds));
    assert!(cosigned.verify_cosignature(sender_name, &sender_key).is_err(), "who signed is not who cosigned");

    for case in list(file, "malformed") {
        assert!(Note::parse(text(case, "text").as_bytes()).is_err(), "{}", text(case, "name"));
    }
    for case in list(file, "forged") {
        let name = text(case, "name");
        let note = Note::parse(text(case, "text").as_bytes()).expect(name);
        let origin = note.verify_origin(sender_name, &sender_key).is_ok();
        let cosignature = note.verify_cosignature(receiver_name, &receiver_key).is_ok();
        match text(case, "line") {
            "origin" => assert!(!origin, "{name}"),
            "cosignature" => assert!(origin && !cosignature, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn the_ed25519_note_is_made_and_verified_as_frozen() {
    let file = vectors("note_ed25519.json");
    check_note(&file);
    let pair = |value: &Value| Ed25519KeyPair::from_seed_unchecked(&bytes(value, "seed")).unwrap();
    let (sender, receiver) = (pair(&file["sender"]), pair(&file["receiver"]));
    assert_eq!(sender.public_key().as_ref(), key(&file["sender"]).raw());
    let parsed = Note::parse(text(&file, "signed").as_bytes()).unwrap();
    let signed = Note::signed(
        parsed.checkpoint().clone(),
        text(&file["sender"], "name"),
        &key(&file["sender"]),
        sender.sign(text(&file, "body").as_bytes()).as_ref(),
    );
    assert_eq!(signed.text(), text(&file, "signed"));
    let cosigned = signed.with_cosignature(
        text(&file["receiver"], "name"),
        &key(&file["receiver"]),
        number(&file, "cosignature_seconds"),
        receiver.sign(&bytes(&file, "cosigned_message")).as_ref(),
    );
    assert_eq!(cosigned.text(), text(&file, "cosigned"));
}

#[test]
fn the_p256_note_verifies_as_frozen() {
    check_note(&vectors("note_p256.json"));
}

#[test]
fn the_sm2_note_verifies_as_frozen_over_the_same_headers_hashed_by_sm3() {
    let file = vectors("note_sm2.json");
    check_note(&file);
    let headers = vectors("header.json");
    let mut frontier = Frontier::new(Suite::Sm2Sm3);
    for case in &list(&headers, "read")[..2] {
        frontier.append(leaf_hash(Suite::Sm2Sm3, &bytes(case, "header")).unwrap(), |_, _, _| {});
    }
    assert_eq!(hash(text(&file["checkpoint"], "root")), frontier.root());
}

#[test]
fn hashes_and_a_document_of_sm2_are_the_frozen_ones() {
    let file = vectors("sm2.json");
    let suite = Suite::Sm2Sm3;
    let mut frontier = Frontier::new(suite);
    for (number, root) in list(&file, "roots").iter().enumerate() {
        assert_eq!(frontier.root(), hash(text(root, "root")), "{number} leaves");
        if let Some(frozen) = list(&file, "leaf_hashes").get(number) {
            let leaf = leaf_hash(suite, &(number as u64).to_be_bytes()).unwrap();
            assert_eq!(leaf, hash(frozen.as_str().unwrap()));
            frontier.append(leaf, |_, _, _| {});
        }
    }
    assert_eq!(body_digest(suite, &bytes(&file, "body")).to_wire()[..], bytes(&file, "body_digest"));
    let blob = Digest::from_wire(&bytes(&file, "blob_digest")).unwrap();
    assert_eq!(commitment(suite, &bytes(&file, "salt"), &blob).to_wire()[..], bytes(&file, "commitment"));

    let (payload_type, payload) = (text(&file, "payload_type"), text(&file, "payload").as_bytes());
    assert_eq!(pre_authentication_encoding(payload_type, payload), bytes(&file, "encoding"));
    assert_eq!(document_digest(payload).to_text(), text(&file, "document_digest"));
    let key = PublicKey::from_spki(&bytes(&file, "spki")).unwrap();
    let signature = bytes(&file, "signature");
    assert!(signature_holds(&key, payload_type, payload, &signature));
    assert!(!signature_holds(&key, payload_type, b"{}", &signature));
    assert!(!signature_holds(&key, payload_type, payload, &bytes(&file, "forged_signature")));
}

#[test]
fn both_notes_are_over_the_first_two_headers() {
    let headers = vectors("header.json");
    let mut frontier = Frontier::new(SUITE);
    for case in &list(&headers, "read")[..2] {
        frontier.append(leaf_hash(SUITE, &bytes(case, "header")).unwrap(), |_, _, _| {});
    }
    for name in ["note_ed25519.json", "note_p256.json"] {
        assert_eq!(hash(text(&vectors(name)["checkpoint"], "root")), frontier.root());
    }
}

// ---- documents

#[test]
fn the_document_is_encoded_signed_and_refused_as_frozen() {
    let file = vectors("dsse.json");
    let example = &file["published_example"];
    assert_eq!(
        pre_authentication_encoding(text(example, "payload_type"), &bytes(example, "payload")),
        bytes(example, "encoding")
    );
    let (payload_type, payload) = (text(&file, "payload_type"), text(&file, "payload").as_bytes());
    let encoding = pre_authentication_encoding(payload_type, payload);
    assert_eq!(encoding, bytes(&file, "encoding"));
    assert_eq!(document_digest(payload).to_text(), text(&file, "document_digest"));
    let key = PublicKey::from_spki(&bytes(&file, "spki")).unwrap();
    let signature = bytes(&file, "signature");
    let pair = Ed25519KeyPair::from_seed_unchecked(&bytes(&file, "seed")).unwrap();
    assert_eq!(pair.sign(&encoding).as_ref(), signature);
    assert!(signature_holds(&key, payload_type, payload, &signature));

    let envelope = Envelope::from_json(text(&file, "envelope").as_bytes()).unwrap();
    assert_eq!(envelope.payload_type, payload_type);
    assert_eq!(envelope.payload, payload);
    assert_eq!(envelope.signatures, [(text(&file, "keyid").to_owned(), signature.clone())]);
    assert_eq!(envelope.to_json(), text(&file, "envelope").as_bytes());
    assert!(text(&file, "envelope").contains(&STANDARD.encode(&signature)));

    let forged_payload = text(&file, "forged_payload").as_bytes();
    assert!(!signature_holds(&key, payload_type, payload, &bytes(&file, "forged_signature")));
    assert!(!signature_holds(&key, payload_type, forged_payload, &signature));
    assert!(!signature_holds(&key, text(&file, "forged_payload_type"), payload, &signature));
}

#[test]
fn a_proof_in_an_open_is_the_frozen_text_under_the_frozen_signatures() {
    let file = vectors("open.json");
    assert_eq!(text(&file, "exporter_label").as_bytes(), EXPORTER_LABEL);
    let keys = ["ed25519", "p256"]
        .map(|name| (name, PublicKey::from_spki(&bytes(&file, &format!("{name}_spki"))).unwrap()));
    for case in list(&file, "claims") {
        let claim = Claim {
            from: text(case, "from").parse().unwrap(),
            to: text(case, "to").parse().unwrap(),
            dialled: case["dialled"].as_bool().unwrap(),
            bulk: case["bulk"].as_bool().unwrap(),
            name: bytes(case, "link").try_into().unwrap(),
            binding: bytes(case, "binding").try_into().unwrap(),
        };
        assert_eq!(claim.message(), text(case, "message").as_bytes());
        for (name, key) in &keys {
            let proof = bytes(case, name);
            assert!(key.verifies(&claim.message(), &proof), "{name}");
            for forged in list(case, "forged") {
                let message = text(forged, "message").as_bytes();
                assert!(!key.verifies(message, &proof), "{name}: {}", text(forged, "name"));
            }
        }
    }
}
