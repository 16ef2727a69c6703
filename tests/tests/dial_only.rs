//! A node that may only dial out (前置机 behind a one-way firewall) misses nothing: everything two nodes
//! do for each other runs over the links that it dials, whichever side lost what.

use tests::documents::{accept, case, close, decision, forward, query, review, sign_for};
use tests::{Rig, XIANNING, YUEYANG, eventually};
use tokio_stream::StreamExt as _;

/// A rig in which one city accepts nobody and the other dials nobody.
async fn one_way(dialler: &str) -> Rig {
    let rig = Rig::new();
    for city in [&rig.yueyang, &rig.xianning] {
        let config = city.config();
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let text = if city.node == dialler {
            text.replace(&format!("[peer_listener]\naddress = \"127.0.0.1:{}\"\n", city.port), "")
        } else {
            // The peer's address is the last one in the file.
            let (before, rest) = text.rsplit_once("address = ").expect("the peer's address");
            let (_, after) = rest.split_once('\n').expect("a line");
            format!("{before}{after}").replace("dial = true", "dial = false")
        };
        std::fs::write(config, text).expect("a configuration is written");
    }
    rig
}

async fn start(rig: &mut Rig) {
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
}

/// A case from forwarding to closing, a question and its answer: both directions, all with receipts.
async fn work(rig: &Rig, serial: u32) {
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let id = case(serial);
    let sent = window.act(XIANNING, "case.forward", &id, &forward()).await.expect("taken");
    assert!(window.receipt(XIANNING, &sent.message_id).await.receipted);
    approval.act(YUEYANG, "case.signfor", &id, &sign_for()).await.expect("taken");
    approval.act(YUEYANG, "case.accept", &id, &accept()).await.expect("taken");
    let asked = approval.act(YUEYANG, "licence.query", &id, &query(&id)).await.expect("taken");
    approval.act(YUEYANG, "case.review", &id, &review()).await.expect("taken");
    approval.act(YUEYANG, "case.grant", &id, &decision("符合条件")).await.expect("taken");
    let closed = approval.act(YUEYANG, "case.close", &id, &close()).await.expect("taken");
    assert!(approval.receipt(YUEYANG, &closed.message_id).await.receipted);
    let mut inbox = approval.inbox(&format!("reader-{serial}")).await;
    loop {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        if entry.kind == "licence.attest" && entry.in_reply_to == asked.message_id {
            break;
        }
    }
    eventually("the case to close", async || {
        window.case(&id).await.is_some_and(|case| case.state == "closed")
    })
    .await;
}

async fn lose_and_recover(rig: &mut Rig, loser: &'static str) {
    let before = rig.balanced().await;
    let city = if loser == YUEYANG { &mut rig.yueyang } else { &mut rig.xianning };
    city.kill();
    std::fs::remove_dir_all(city.data()).expect("the data folder is deleted");
    city.start().await;
    city.logs("own entries recovered from the peer").await;
    rig.meet().await;
    assert_eq!(rig.balanced().await, before, "{loser} has both logs again");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_receipts_reconciliation_and_recovery_run_whichever_side_dials() {
    for dialler in [YUEYANG, XIANNING] {
        let mut rig = one_way(dialler).await;
        start(&mut rig).await;
        for city in [&rig.yueyang, &rig.xianning] {
            let dials = city.desk().await.status().await.peers.len();
            assert_eq!(dials, usize::from(city.node == dialler), "{} dials, the other cannot", dialler);
        }
        tests::documents::conclude(&rig).await;
        rig.yueyang.desk().await.put_licence(&tests::documents::licence()).await.expect("taken");
        work(&rig, 1).await;
        rig.balanced().await;
        // Either may ask for the comparison.
        let reply = rig.xianning.desk().await.reconcile(YUEYANG).await.expect("an answer");
        assert!(reply.balanced, "{:?}", reply.breaks);

        // Each role loses its store in turn, and gets both logs back over the link that the dialler dials.
        lose_and_recover(&mut rig, YUEYANG).await;
        lose_and_recover(&mut rig, XIANNING).await;
        rig.yueyang.desk().await.put_licence(&tests::documents::licence()).await.expect("taken");
        work(&rig, 2).await;
        rig.balanced().await;

        // The one that cannot be dialled is down for a while: what waits for it goes when it dials again.
        let away = if dialler == YUEYANG { &mut rig.yueyang } else { &mut rig.xianning };
        away.kill();
        if dialler == XIANNING {
            let mut window = rig.yueyang.desk().await;
            let sent = window.act(XIANNING, "case.forward", &case(3), &forward()).await.expect("kept");
            rig.xianning.start().await;
            assert!(window.receipt(XIANNING, &sent.message_id).await.receipted);
        } else {
            let mut approval = rig.xianning.desk().await;
            let asked = approval.act(YUEYANG, "licence.query", "", &query(&case(2))).await.expect("kept");
            rig.yueyang.start().await;
            assert!(approval.receipt(YUEYANG, &asked.message_id).await.receipted);
        }
        rig.balanced().await;
    }
}
