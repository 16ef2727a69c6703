//! Invariant 1: acknowledged means durable.

use tests::documents::{accept, case, forward, sign_for};
use tests::{Rig, XIANNING, YUEYANG, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_without_a_partner_survives_sigkill_and_is_delivered_in_order() {
    let mut rig = Rig::agreed().await;
    rig.xianning.kill();
    // Killed and started again without its partner: nothing may be signed now, all must be kept.
    rig.yueyang.kill();
    rig.yueyang.start().await;
    let mut desk = rig.yueyang.desk().await;
    let mut ids = Vec::new();
    for serial in 0..20 {
        let reply = desk.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
        assert!(!reply.sequenced, "before contact nothing is sequenced");
        ids.push(reply.message_id);
    }
    rig.yueyang.kill();
    rig.yueyang.start().await;
    let mut desk = rig.yueyang.desk().await;
    let channel = desk.channel(YUEYANG, XIANNING).await;
    assert_eq!((channel.staged, channel.contacted), (20, false));

    rig.xianning.start().await;
    let mut last = 0;
    for id in &ids {
        let state = desk.receipt(XIANNING, id).await;
        assert!(state.receipted && state.refused.is_empty(), "{state:?}");
        assert!(state.index > last, "in the order of their submission");
        last = state.index;
    }
    let mut other = rig.xianning.desk().await;
    assert_eq!(other.cases().await.len(), 20);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipted_entry_is_on_both_after_both_are_killed() {
    let mut rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    let reply = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken");
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
    rig.yueyang.kill();
    rig.xianning.kill();
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    for city in [&rig.yueyang, &rig.xianning] {
        let view = city.desk().await.case(&case(1)).await.expect("the case is there");
        assert_eq!(view.state, "forwarded");
    }
    let state = rig.yueyang.desk().await.receipt(XIANNING, &reply.message_id).await;
    assert!(state.receipted, "the receipt is on disk, not asked for again");
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_during_a_kill_are_never_lost() {
    let mut rig = Rig::agreed().await;
    let mut taken = Vec::new();
    for round in 0..4u32 {
        let mut desk = rig.xianning.desk().await;
        let mut window = rig.yueyang.desk().await;
        for serial in round * 10..round * 10 + 10 {
            let id = case(serial);
            window.act(XIANNING, "case.forward", &id, &forward()).await.expect("taken");
            eventually("the case to arrive", async || desk.case(&id).await.is_some()).await;
            desk.act(YUEYANG, "case.signfor", &id, &sign_for()).await.expect("taken");
            let reply = desk.act(YUEYANG, "case.accept", &id, &accept()).await.expect("taken");
            taken.push((id, reply.message_id));
        }
        // At once after the last acknowledgement.
        rig.xianning.kill();
        rig.xianning.start().await;
        rig.meet().await;
    }
    let mut desk = rig.xianning.desk().await;
    for (id, message) in taken {
        assert!(desk.receipt(YUEYANG, &message).await.receipted);
        assert_eq!(desk.case(&id).await.expect("the case is there").state, "accepted");
    }
    rig.balanced().await;
}
