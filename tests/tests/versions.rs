//! Versions: what an older build wrote is read by this one, byte for byte as it was; what a newer one wrote is
//! refused and left alone; two nodes agree on a version that both speak or on none.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its vector has failed")]

use certs::Identity;
use certs::administration::log::to_hex;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tests::crashes::journal;
use tests::stranger::{Author, Stranger};
use tests::versions::{FIRST_SEGMENT, folder, frames, stated};
use tests::{Rig, XIANNING, YUEYANG};

fn vectors() -> Vec<PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.is_dir());
    all.sort();
    assert!(!all.is_empty(), "no version was ever released");
    all
}

fn expected(vector: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(vector.join("expected.json")).unwrap()).unwrap()
}

/// Whether the proof in a recorded Open is its speaker's on the recorded connection. The one at the other end of
/// the node dialled.
fn proves(expected: &Value, open: &wire::Open, to_node: bool) -> bool {
    let other = if to_node { YUEYANG } else { XIANNING };
    let claim = gateway::channel::possession::Claim {
        from: open.node.parse().unwrap(),
        to: other.parse().unwrap(),
        dialled: to_node,
        bulk: false,
        name: open.link[..].try_into().unwrap(),
        binding: unhex(expected["binding"].as_str().unwrap()).try_into().unwrap(),
    };
    let keys = expected["keys"].as_object().unwrap();
    let (_, keys) = keys.iter().find(|(name, _)| name.ends_with(&open.node)).unwrap();
    let key = unhex(keys[0].as_str().unwrap());
    gateway::suite::PublicKey::from_spki(&key).unwrap().verifies(&claim.message(), &open.proof)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_older_store_opens_from_its_journal_alone_and_folds_to_what_it_said_then() {
    for vector in vectors() {
        let expected = expected(&vector);
        // Certificates of today: a store outlives those that were in force when it was written.
        let mut rig = Rig::new();
        for node in [YUEYANG, XIANNING] {
            let city = if node == YUEYANG { &mut rig.yueyang } else { &mut rig.xianning };
            let folder = city.data().join("journal");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::copy(vector.join(format!("{node}.tbj")), folder.join(FIRST_SEGMENT)).unwrap();
            city.start().await;
            assert_eq!(stated(city).await, expected[node], "{}: {node}", vector.display());
            // And again with the index that was just made.
            city.kill();
            city.start().await;
            assert_eq!(stated(city).await, expected[node], "{}: {node}, again", vector.display());
            city.kill();
        }
        // The reader that shares no code with the store finds the same roots, and every receipt good.
        let books = [YUEYANG, XIANNING].map(|node| {
            let folder = rig.path(&format!("read-{node}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::copy(vector.join(format!("{node}.tbj")), folder.join(FIRST_SEGMENT)).unwrap();
            journal::read(&folder).unwrap()
        });
        let mut keys = books[0].keys.clone();
        books[1]
            .keys
            .iter()
            .for_each(|(name, more)| keys.entry(name.clone()).or_default().extend(more.clone()));
        for (books, partner) in books.iter().zip([XIANNING, YUEYANG]) {
            let log = &books.received[partner];
            assert!(log.notes.iter().all(|note| note.cosigned_under(&keys)));
            let root = to_hex(log.roots().last().unwrap());
            let channels = expected[partner]["channels"].as_array().unwrap();
            let said = channels.iter().find(|channel| channel["from"] == partner).unwrap();
            assert!(said["root"].as_str().unwrap().ends_with(&root), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_version_is_refused_and_not_touched() {
    let rig = Rig::new();
    let folder = rig.yueyang.data().join("journal");
    std::fs::create_dir_all(&folder).unwrap();
    let mut bytes = std::fs::read(vectors()[0].join(format!("{YUEYANG}.tbj"))).unwrap();
    bytes[8] = 2;
    let sum = journal::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    let segment = folder.join(FIRST_SEGMENT);
    std::fs::write(&segment, &bytes).unwrap();
    let (exit, said) = rig.yueyang.fails_to_start();
    assert!(exit > 0 && said.contains("format version 2") && said.contains("newer release"), "{exit} {said}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "unharmed");
}

#[test]
fn every_recorded_conversation_reads_verifies_and_encodes_to_the_same_bytes() {
    for vector in vectors() {
        let record = std::fs::read(vector.join("conversation.bin")).unwrap();
        let keys: BTreeMap<String, Vec<Vec<u8>>> = expected(&vector)["keys"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, keys)| {
                let keys = keys.as_array().unwrap().iter().map(|key| unhex(key.as_str().unwrap()));
                (name.clone(), keys.collect())
            })
            .collect();
        let (mut opens, mut entries, mut receipts) = ([0, 0], Vec::new(), 0);
        for (to_node, bytes) in frames(&record).unwrap() {
            let frame = wire::Frame::decode(&bytes[..]).unwrap();
            assert_eq!(frame.encode_to_vec(), bytes, "the same bytes again");
            // A field that a later minor version adds is skipped (proto3, WIRE.md §14).
            let mut newer = bytes.clone();
            newer.extend_from_slice(&[0xfa, 0x7c, 1, 7]); // field 1999, one byte
            assert_eq!(wire::Frame::decode(&newer[..]).unwrap(), frame);
            match frame.kind.unwrap() {
                Frame::Open(open) => {
                    assert!(open.version_min <= 1 && open.version_max >= 1);
                    assert_eq!(open.version_max >= 2, !open.proof.is_empty(), "from version 2 on it proves");
                    if !open.proof.is_empty() {
                        assert!(proves(&expected(&vector), &open, to_node), "the proof verifies");
                    }
                    opens[usize::from(to_node)] += 1;
                }
                Frame::Batch(batch) => {
                    for entry in &batch.entries {
                        let header = gateway::entry::Header::parse(&entry.header).unwrap();
                        assert_eq!(header.encode(), entry.header);
                        entries.push((to_node, header.kind.to_string()));
                    }
                }
                Frame::Cosigned(cosigned) => {
                    let note = journal::Note::read(&cosigned.checkpoint).unwrap();
                    assert!(note.cosigned_under(&keys), "{note:?}");
                    receipts += 1;
                }
                _ => {}
            }
        }
        assert_eq!((opens, receipts), ([1, 1], 1));
        assert!(entries.contains(&(true, "case.teleport".into())), "{entries:?}");
        assert!(entries.contains(&(false, "refusal".into())), "{entries:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_speak_the_version_that_both_know_and_refuse_when_there_is_none() {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let load = |name: &str| {
        let path = |end: &str| rig.xianning.path(&format!("keys/{name}.{end}"));
        Identity::load(&path("pem"), &path("key")).unwrap()
    };
    let trust = rig.yueyang.path("trust");
    let author = Author::new(&load("signing"), &trust, XIANNING, YUEYANG);
    let tls = load("tls");
    let unproven = [(1, 1, true), (0, 1, true)];
    let proven = [(1, 7, true), (2, 7, true), (1, 2, true)];
    let neither = [(3, 7, false), (0, 0, false), (u32::MAX, u32::MAX, false)];
    for (version_min, version_max, spoken) in unproven.into_iter().chain(proven).chain(neither) {
        let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.unwrap();
        let open = wire::Open { version_min, version_max, ..author.open() };
        let open = if version_max < 2 { open } else { author.proved(&link, open) };
        link.say(Frame::Open(open)).await;
        if spoken {
            // Both Opens, then the node waits for what comes: it speaks its own versions with a wider partner too.
            let Some(Frame::Open(open)) = link.hear().await else {
                panic!("{version_min}..{version_max} was not answered")
            };
            assert_eq!((open.version_min, open.version_max), (1, 2));
        } else {
            assert_eq!(link.closed().await, "link.version", "{version_min}..{version_max}");
        }
    }
    assert!(rig.yueyang.runs());
}
