//! What machines do to nodes, and nodes survive (invariants 1, 2, 4, 8): a slow disk, a disk that becomes
//! read-only, a partner that stands still for longer than every timeout, a cable that is pulled.

use std::time::{Duration, Instant};
use tests::disk::SmallDisk;
use tests::documents::{accept, case, conclude, forward, sign_for};
use tests::network::Cable;
use tests::{LOOK, Rig, XIANNING, YUEYANG, eventually};

/// Keepalive gives a silent partner up after at most 30 + 10 seconds (`gateway::transport`).
const GIVEN_UP: Duration = Duration::from_secs(60);

async fn agreed(rig: &mut Rig) {
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    conclude(rig).await;
}

/// Forwards cases; their message ids.
async fn forwarded(rig: &Rig, serials: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    let mut window = rig.yueyang.desk().await;
    let mut ids = Vec::new();
    for serial in serials {
        let reply = window.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
        ids.push(reply.message_id.to_vec());
    }
    ids
}

/// Waits until 岳阳 has given its partner up.
async fn given_up(rig: &Rig) {
    let (mut desk, began) = (rig.yueyang.desk().await, Instant::now());
    while desk.channel(YUEYANG, XIANNING).await.connected {
        assert!(began.elapsed() < GIVEN_UP, "a silent partner is not given up");
        tokio::time::sleep(LOOK * 10).await;
    }
}

/// Everything drains: each message receipted in order and once, each case there, equal roots.
async fn drained(rig: &Rig, ids: &[Vec<u8>]) {
    let mut window = rig.yueyang.desk().await;
    let mut places = Vec::new();
    for id in ids {
        let state = window.receipt(XIANNING, id).await;
        assert!(state.receipted && state.refused.is_empty(), "{state:?}");
        places.push(state.index);
    }
    assert!(places.is_sorted_by(|one, next| one < next), "in the order of their submission: {places:?}");
    assert_eq!(rig.xianning.desk().await.cases().await.len(), ids.len());
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_stands_still_for_longer_than_every_timeout_goes_on_where_it_stood() {
    let rig = Rig::agreed().await;
    let mut ids = forwarded(&rig, 0..5).await;
    rig.xianning.freeze(true);
    ids.extend(forwarded(&rig, 5..20).await);
    given_up(&rig).await;
    ids.extend(forwarded(&rig, 20..25).await);
    rig.xianning.freeze(false);
    drained(&rig, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_cable_without_any_reset_loses_and_doubles_nothing() {
    let mut rig = Rig::new();
    let Some(cable) = Cable::lay(&mut rig) else { return };
    agreed(&mut rig).await;
    let mut ids = forwarded(&rig, 0..5).await;
    cable.plugged(false);
    // Both go on with what they can do alone, before they notice and after.
    ids.extend(forwarded(&rig, 5..15).await);
    let mut approval = rig.xianning.desk().await;
    eventually("a case that crossed before", async || approval.case(&case(0)).await.is_some()).await;
    approval.act(YUEYANG, "case.signfor", &case(0), &sign_for()).await.expect("taken");
    given_up(&rig).await;
    ids.extend(forwarded(&rig, 15..20).await);
    let accepted = approval.act(YUEYANG, "case.accept", &case(0), &accept()).await.expect("taken");
    cable.plugged(true);
    drained(&rig, &ids).await;
    assert!(approval.receipt(YUEYANG, &accepted.message_id).await.receipted);
    let view = rig.yueyang.desk().await.case(&case(0)).await.expect("the case");
    assert_eq!(view.state, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_slows_and_breaks_nothing() {
    let mut rig = Rig::new();
    let Some(disk) = SmallDisk::mount(&rig.path("disk.img"), &rig.xianning.data(), 320) else { return };
    rig.xianning.configure("[limits]\ndisk_low_mib = 100");
    agreed(&mut rig).await;
    let ids = forwarded(&rig, 0..5).await;
    drained(&rig, &ids).await;
    // Ten writes a second, where there were thousands.
    let Some(slow) = disk.slow(rig.xianning.process(), 10) else { return };
    let mut approval = rig.xianning.desk().await;
    let began = Instant::now();
    for serial in 0..5 {
        approval.act(YUEYANG, "case.signfor", &case(serial), &sign_for()).await.expect("taken");
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(300), "five commits in {took:?}: the disk is not slow");
    let mut all = ids;
    all.extend(forwarded(&rig, 5..200).await);
    drained(&rig, &all).await;
    drop(slow);
    all.extend(forwarded(&rig, 200..205).await);
    drained(&rig, &all).await;
    assert!(rig.xianning.runs() && rig.yueyang.runs());
    rig.xianning.kill();
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_stops_the_node_or_what_is_new_and_loses_nothing() {
    let mut rig = Rig::new();
    let image = rig.path("disk.img");
    let Some(disk) = SmallDisk::mount(&image, &rig.xianning.data(), 320) else { return };
    rig.xianning.configure("[limits]\ndisk_low_mib = 100");
    agreed(&mut rig).await;
    let mut ids = forwarded(&rig, 0..5).await;
    drained(&rig, &ids).await;
    let mut approval = rig.xianning.desk().await;
    let kept = approval.act(YUEYANG, "case.signfor", &case(0), &sign_for()).await.expect("taken");
    if !disk.becomes_read_only() {
        return;
    }
    // Nothing may be acknowledged that the disk does not have.
    let refused = approval.act(YUEYANG, "case.signfor", &case(1), &sign_for()).await;
    assert!(refused.is_err(), "acknowledged without a disk: {refused:?}");
    ids.extend(forwarded(&rig, 5..10).await);
    let state = rig.yueyang.desk().await.receipt_within(XIANNING, &ids[9], 1_500).await;
    assert!(!state.receipted && state.refused.is_empty(), "receipted without a disk: {state:?}");
    rig.xianning.kill();
    let (exit, said) = rig.xianning.fails_to_start();
    assert!(exit > 0, "it cannot start on such a disk: {said}");
    disk.repaired(&image);
    rig.xianning.start().await;
    rig.meet().await;
    drained(&rig, &ids).await;
    let mut approval = rig.xianning.desk().await;
    assert!(approval.receipt(YUEYANG, &kept.message_id).await.receipted, "what was acknowledged is there");
    approval.act(YUEYANG, "case.signfor", &case(1), &sign_for()).await.expect("taken now");
    rig.balanced().await;
    rig.xianning.kill();
    drop(disk);
}
