//! The suite of a channel: two nodes on SM2 and SM3, and what a partner under another suite, or with
//! a key of one, is answered. Every test drives real committers and links; `rig` says how.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[expect(unreachable_pub, reason = "a test's rig is a module of its binary alone")]
#[allow(dead_code, reason = "the rig serves other tests too")]
mod rig;

use devpki::KeyKind;
use gateway::committer::{Command, CommitError};
use gateway::id::{Digest, HashAlgorithm, Kind};
use gateway::keybook::SigningKey;
use gateway::log::checkpoint::{Note, cosigned_message};
use gateway::proof;
use gateway::refusal::RefusalCode;
use gateway::service::case::CaseState;
use gateway::signer::{FileSigner, Signer as _};
use gateway::store::memory::Unsynced;
use gateway::suite::Suite;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use rig::*;

fn world(seed: u64) -> World {
    World::with_keys(seed, KeyKind::Sm2)
}

/// Has a node remember a signing certificate of its peer, as if it had come in an Open of the past.
async fn learn(node: &Node, signer: &FileSigner) {
    let key = SigningKey {
        name: signer.name().to_owned(),
        key: signer.public_key().clone(),
        chain: signer.chain().to_vec(),
    };
    node.committer
        .ask(|reply| Command::SigningKey { node: node.peer, key, proven: false, reply })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_on_sm2_do_a_case_and_prove_it_and_hash_by_sm3_alone() {
    let world = world(1);
    let (hunan, hubei, line) = world.agreed().await;
    let forwarded = hunan.act("2026-1", Kind::CaseForward, forward(hunan.me)).await.unwrap();
    settled(&hunan, &hubei).await;
    for kind in [Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseReview, Kind::CaseGrant, Kind::CaseClose] {
        hubei.act("2026-1", kind, act(kind)).await.unwrap();
    }
    settled(&hunan, &hubei).await;
    assert_eq!(hunan.case("2026-1").state, CaseState::Closed);
    for node in [&hunan, &hubei] {
        assert!(node.verdicts().iter().all(String::is_empty));
        for log in [node.out().log, node.inbound().log] {
            let tags = node.headers(log).into_iter().map(|header| header.body_digest.algorithm);
            assert!(tags.clone().count() > 0);
            assert!(tags.into_iter().all(|tag| tag == HashAlgorithm::Sm3));
        }
    }
    let prove = |node: &Node| {
        let (channel, keys) = (hunan.out().log.channel, &node.links.keys);
        let id = forwarded.message_id;
        proof::export(&node.archive, &node.snapshot(), keys, node.me, Suite::Sm2Sm3, channel, id).unwrap()
    };
    for node in [&hunan, &hubei] {
        let bundle = prove(node);
        let findings = proof::verify(&bundle, &trust(&[])).unwrap();
        assert_eq!(findings.message_id, forwarded.message_id);
        // One bit of the header: neither leaf nor signature is anything else's.
        let text = String::from_utf8(bundle).unwrap();
        let at = text.find("\"header\": \"").unwrap() + 20;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut forged = text;
        forged.replace_range(at..=at, other);
        assert_eq!(
            proof::verify(forged.as_bytes(), &trust(&[])).unwrap_err().code,
            RefusalCode::ProofInclusion
        );
    }
    // A node that comes back reads the same log: its index is made of the journal by SM3.
    drop(line);
    let before = hubei.inbound();
    drop(hubei);
    let hubei = world.hubei.restart(Unsynced::Lost, 1000);
    assert_eq!(hubei.inbound().root, before.root);
    let _line = connect(&hunan, &hubei);
    hunan.act("2026-1", Kind::CaseRate, act(Kind::CaseRate)).await.unwrap();
    settled(&hunan, &hubei).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_signs_with_another_suite_gets_no_link() {
    for (ours, theirs) in [(KeyKind::Sm2, KeyKind::P256), (KeyKind::P256, KeyKind::Sm2)] {
        let world = World::with_keys(2, ours);
        let hubei = world.hubei.start();
        let link = RawLink::knock(&hubei, &signer(HUNAN, theirs), None, &[]).await;
        assert_eq!(link.ended().await, Some(RefusalCode::BadSignature), "{theirs:?} to {ours:?}");
        assert!(!hubei.links.is_live(hubei.peer));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_key_of_another_suite_signs_no_batch_and_no_receipt() {
    let world = world(3);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let mut hand = Hand::after(&world.hunan, &hunan);
    let (copy, held) = (hunan.inbound().cosigned, hand.entries.len());
    let own = hunan.out().cosigned.unwrap();
    drop(hunan);
    hand.write_bent("refusal", b"", |_| ());
    let weaker = signer(HUNAN, KeyKind::P256);

    // The batch of the SM2 log under a good signature by the peer's own, trusted P-256 key.
    let note = hand.note_of(hand.frontier.size(), hand.frontier.root(), &weaker);
    let batch = wire::Batch { checkpoint: note.text().into_bytes().into(), ..hand.batch(held) };
    let link = RawLink::knock(&hubei, &world.hunan.signer, copy.as_ref(), &[&weaker]).await;
    link.send(Frame::Batch(batch.clone())).await;
    assert_eq!(link.ended().await, Some(RefusalCode::UnknownKey), "the certificate was not even kept");
    // The same although the key stands in the book, as it would after a change of suite.
    learn(&hubei, &weaker).await;
    let link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    link.send(Frame::Batch(batch)).await;
    assert_eq!(link.ended().await, Some(RefusalCode::BadSignature));
    assert_eq!(hubei.inbound().size, held as u64);

    // A receipt for our log by that key.
    let theirs = hubei.out().checkpoint.unwrap();
    let seconds = NOW.0 / 1000;
    let signature = weaker.sign(&cosigned_message(seconds, &theirs.checkpoint().body())).unwrap();
    let receipt: Note =
        theirs.as_signed().with_cosignature(weaker.name(), weaker.public_key(), seconds, &signature);
    let shown = RawLink::knock(&hubei, &world.hunan.signer, Some(&receipt), &[]).await;
    assert_eq!(shown.ended().await, Some(RefusalCode::BadSignature));

    // One fact changed: the key of the channel's suite.
    let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    link.send(Frame::Batch(hand.batch(held))).await;
    assert_eq!(link.receipt().await.checkpoint().size, held as u64 + 1);
    assert!(own.is_cosigned() && hubei.stops().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_digest_of_another_hash_matches_nothing() {
    let world = world(4);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let mut hand = Hand::after(&world.hunan, &hunan);
    let (copy, held) = (hunan.inbound().cosigned, hand.entries.len());
    drop(hunan);
    let (mut header, body) = hand.draft("cancellation", b"");
    header.body_digest = Suite::P256Sha256.digest(&[&body]);
    hand.write((header, body));
    let (mut header, body) = hand.draft("cancellation", b"");
    // The right hash under the wrong tag.
    header.body_digest = Digest { algorithm: HashAlgorithm::Sha256, ..header.body_digest };
    hand.write((header, body));
    let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    link.send(Frame::Batch(hand.batch(held))).await;
    assert_eq!(link.receipt().await.checkpoint().size, held as u64 + 2);
    let entries = hubei.entries(hubei.inbound().log);
    let verdicts: Vec<&str> = entries[held..].iter().map(|(_, verdict)| verdict.as_str()).collect();
    assert_eq!(verdicts, ["entry.body_digest", "entry.body_digest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_not_opened_with_a_signing_key_of_another_suite() {
    let mut world = World::with_keys(5, KeyKind::P256);
    let (hunan, hubei, line) = world.agreed().await;
    drop((line, hubei));
    let root = hunan.out().root;
    drop(hunan);
    let good = std::mem::replace(&mut world.hunan.signer, signer(HUNAN, KeyKind::Sm2).into());
    let refused = world.hunan.open().err();
    let named = Some((Suite::P256Sha256, Suite::Sm2Sm3));
    assert_eq!(
        refused.and_then(|error| match error {
            CommitError::Suite { stored, key } => Some((stored, key)),
            _ => None,
        }),
        named
    );
    world.hunan.signer = good;
    assert_eq!(world.hunan.start().out().root, root, "nothing was written meanwhile");
}
