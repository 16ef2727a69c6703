//! A partner's next signing key: by which ways it comes to be known, and that what it signs before is tried again
//! and stops nothing. The far end of the link is in the test's hand; `rig` says how.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[expect(unreachable_pub, reason = "a test's rig is a module of its binary alone")]
#[allow(dead_code, reason = "the rig serves other tests too")]
mod rig;

use devpki::KeyKind;
use gateway::log::checkpoint::Note;
use gateway::refusal::RefusalCode;
use gateway::signer::{FileSigner, Signer as _};
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use rig::*;
use std::sync::Arc;

/// A node of Hubei that has met Hunan, and Hunan's place in the test's hand.
struct Met {
    hubei: Node,
    hand: Hand,
    old: Arc<FileSigner>,
    copy: Option<Note>,
}

impl Met {
    async fn new(seed: u64) -> (World, Self) {
        let world = World::new(seed);
        let (hunan, hubei, line) = world.agreed().await;
        drop(line);
        let hand = Hand::after(&world.hunan, &hunan);
        let (copy, old) = (hunan.inbound().cosigned, Arc::clone(&world.hunan.signer));
        (world, Self { hubei, hand, old, copy })
    }

    async fn dial(&self, signer: &FileSigner) -> RawLink {
        RawLink::dial(&self.hubei, signer, self.copy.as_ref()).await
    }

    /// One more entry under a checkpoint by that key.
    fn batch(&mut self, kind: &str, payload: &[u8], signer: &Arc<FileSigner>) -> Frame {
        let held = self.hand.entries.len();
        self.hand.signer = Arc::clone(signer);
        self.hand.write_bent(kind, payload, |_| ());
        Frame::Batch(self.hand.batch(held))
    }

    fn size(&self) -> u64 {
        self.hand.entries.len() as u64
    }
}

fn announcing(signer: &FileSigner) -> Vec<u8> {
    let certificate = signer.chain().iter().map(|der| der.clone().into()).collect();
    wire::KeyAnnounce { certificate }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_under_a_key_not_yet_known_stops_nothing_and_is_taken_once_an_open_has_shown_the_key() {
    let (_world, mut met) = Met::new(1).await;
    let (next, held) = (Arc::new(stranger(HUNAN)), met.size());
    let batch = met.batch("refusal", b"", &next);
    for _ in 0..2 {
        let link = met.dial(&met.old).await;
        link.send(batch.clone()).await;
        assert_eq!(link.ended().await, Some(RefusalCode::UnknownKey));
        assert_eq!((met.hubei.inbound().size, met.hubei.stops().len()), (held, 0));
    }
    let mut link = met.dial(&next).await;
    link.send(batch).await;
    assert_eq!(link.receipt().await.checkpoint().size, held + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announced_key_signs_on_the_link_that_stands_and_is_known_after_a_restart() {
    let (world, mut met) = Met::new(2).await;
    let (old, next) = (Arc::clone(&met.old), Arc::new(stranger(HUNAN)));
    let mut link = met.dial(&old).await;
    link.send(met.batch("key.announce", &announcing(&next), &old)).await;
    assert_eq!(link.receipt().await.checkpoint().size, met.size());
    assert!(met.hubei.verdicts().iter().all(String::is_empty), "it is permitted");
    link.send(met.batch("refusal", b"", &next)).await;
    assert_eq!(link.receipt().await.checkpoint().size, met.size());

    drop(link);
    drop(met.hubei);
    met.hubei = world.hubei.restart(gateway::store::memory::Unsynced::Lost, 1000);
    let mut link = met.dial(&old).await;
    link.send(met.batch("refusal", b"", &next)).await;
    assert_eq!(link.receipt().await.checkpoint().size, met.size());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_of_another_nodes_key_or_one_of_another_suite_or_an_untrusted_one_has_no_effect() {
    // One fact each differs from the announcement that is heard.
    let (foreign, other_suite) = (stranger(HUBEI), signer(HUNAN, KeyKind::Sm2));
    let unproven = stranger(HUNAN);
    let mut cut = unproven.chain().to_vec();
    cut.truncate(1);
    let cut = wire::KeyAnnounce { certificate: cut.into_iter().map(Into::into).collect() }.encode_to_vec();
    let nothing_of_it =
        [(announcing(&foreign), foreign), (announcing(&other_suite), other_suite), (cut, unproven)];
    for (seed, (payload, key)) in (3..).zip(nothing_of_it) {
        let (_world, mut met) = Met::new(seed).await;
        let old = Arc::clone(&met.old);
        let mut link = met.dial(&old).await;
        link.send(met.batch("key.announce", &payload, &old)).await;
        assert_eq!(link.receipt().await.checkpoint().size, met.size());
        assert!(met.hubei.verdicts().iter().all(String::is_empty), "trust is no part of the verdict");
        link.send(met.batch("refusal", b"", &Arc::new(key))).await;
        assert_eq!(link.ended().await, Some(RefusalCode::UnknownKey));
        assert!(met.hubei.stops().is_empty());
    }
}
