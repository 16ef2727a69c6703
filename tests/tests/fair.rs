//! Many partners: a flood to one delays nothing of another, and a commit wakes only the link that it
//! concerns. Three processes: 岳阳 writes to 咸宁 and to 武汉.

use devpki::NodePlan;
use prost::Message as _;
use proto::local::v1 as pb;
use proto::local::v1::submit_outcome::Outcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tests::city::City;
use tests::desk::Desk;
use tests::documents::{case_between, conclude_with, forward};
use tests::probe::Metrics;
use tests::{Rig, XIANNING, YUEYANG, copy_folder, eventually, free_port, now_ms};

/// The partner that gets a lone message now and then.
const WUHAN: &str = "420100";

/// Adds 武汉 to the rig before 岳阳 starts; it dials nobody, 岳阳 dials it.
fn with_wuhan(rig: &Rig) -> City {
    devpki::join(&rig.pki(), "hubei.tongban", &NodePlan::new(WUHAN), now_ms()).expect("certificates");
    let home = rig.path(WUHAN);
    copy_folder(&rig.pki().join("nodes").join(WUHAN), &home.join("keys"));
    copy_folder(&rig.pki().join("trust"), &home.join("trust"));
    let wuhan = City::new(WUHAN, home, free_port(), YUEYANG, rig.yueyang.port);
    rig.yueyang.configure(&format!(
        "[[peer]]\nnode = \"{WUHAN}\"\naddress = \"127.0.0.1:{}\"\ndial = true\n",
        wuhan.port
    ));
    wuhan
}

async fn meets(desk: &mut Desk, peer: &str) {
    eventually("the two nodes to meet", async || {
        let views = desk.status().await.channels;
        let with_peer = |view: &&pb::ChannelView| view.from == peer || view.to == peer;
        views.iter().filter(with_peer).all(|view| view.connected && view.contacted)
    })
    .await;
}

/// All three run, and 岳阳 has an agreement with either of the others.
async fn three() -> (Rig, City, u16) {
    let mut rig = Rig::new();
    let mut wuhan = with_wuhan(&rig);
    let observed = rig.yueyang.observe();
    rig.xianning.start().await;
    wuhan.start().await;
    rig.yueyang.start().await;
    let mut yueyang = rig.yueyang.desk().await;
    for (city, node) in [(&rig.xianning, XIANNING), (&wuhan, WUHAN)] {
        let mut desk = city.desk().await;
        meets(&mut yueyang, node).await;
        meets(&mut desk, YUEYANG).await;
        conclude_with(&mut yueyang, &mut desk, node).await;
    }
    (rig, wuhan, observed)
}

fn forwarding(to: &str, serial: u32) -> pb::SubmitRequest {
    pb::SubmitRequest {
        to: to.into(),
        idempotency_key: format!("{to}/{serial}"),
        kind: "case.forward".into(),
        case_id: case_between(YUEYANG, to, serial),
        payload: forward().encode_to_vec().into(),
        ..Default::default()
    }
}

/// Entries to a peer that stand in the log without a receipt.
async fn waiting(desk: &mut Desk, to: &str) -> u64 {
    let view = desk.channel(YUEYANG, to).await;
    view.size - view.cosigned
}

/// How far a flood is.
#[derive(Default)]
struct Flood {
    receipted: AtomicU64,
    outstanding: AtomicU64,
    ends: AtomicBool,
}

/// Keeps `outstanding` messages to 咸宁 without a receipt until the flood ends; how many there were.
async fn pour(mut desk: Desk, outstanding: u64, flood: Arc<Flood>) -> u64 {
    const BATCH: u32 = 100;
    let mut stream = desk.stream().await;
    let (mut sent, mut answered, mut last, mut receipted) = (0, 0, 0, 0);
    loop {
        while !flood.ends.load(Ordering::Relaxed)
            && sent - flood.receipted.load(Ordering::Relaxed) < outstanding
        {
            let serials = u32::try_from(sent).expect("few") + 1..;
            stream
                .send(serials.take(BATCH as usize).map(|serial| forwarding(XIANNING, serial)).collect())
                .await;
            sent += u64::from(BATCH);
        }
        let answer = stream.answer().await.expect("no error").expect("the stream goes on");
        for outcome in answer.outcomes {
            match outcome.outcome {
                Some(Outcome::Taken(reply)) => last = reply.index + 1,
                refused => panic!("{refused:?}"),
            }
            answered += 1;
        }
        receipted = answer.marks.iter().map(|mark| mark.size).fold(receipted, u64::max);
        // What stood in the log before is receipted too, and counts for none of these.
        let without = sent - answered + last.saturating_sub(receipted);
        flood.outstanding.store(without, Ordering::Relaxed);
        flood.receipted.store(sent - without, Ordering::Relaxed);
        if flood.ends.load(Ordering::Relaxed) && without == 0 {
            return sent;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_message_passes_a_flood_to_another_partner() {
    const FLOOD: u64 = 4_000;
    const LONE: u32 = 10;
    let (rig, wuhan, _) = three().await;
    let flood = Arc::new(Flood::default());
    let pouring = tokio::spawn(pour(rig.yueyang.desk().await, FLOOD, Arc::clone(&flood)));
    let mut desk = rig.yueyang.desk().await;
    let mut overtaken = Vec::new();
    for serial in 0..LONE {
        eventually("the flood to stand", async || flood.outstanding.load(Ordering::Relaxed) > FLOOD / 2)
            .await;
        let before = flood.receipted.load(Ordering::Relaxed);
        let sent = desk.submit(forwarding(WUHAN, serial)).await.expect("taken");
        assert!(desk.receipt(WUHAN, &sent.message_id).await.receipted);
        overtaken.push(flood.receipted.load(Ordering::Relaxed) - before);
    }
    flood.ends.store(true, Ordering::Relaxed);
    // Behind everything that stood before it, each would have waited for more than half of the flood. In
    // messages and not in milliseconds: a slow machine slows both.
    overtaken.sort_unstable();
    assert!(overtaken[LONE as usize / 2] < FLOOD / 4, "the flood that went before each: {overtaken:?}");
    assert!(overtaken[LONE as usize - 1] < FLOOD / 2, "the flood that went before each: {overtaken:?}");
    let poured = pouring.await.expect("the flood ends");
    assert_eq!(
        rig.xianning.desk().await.channel(YUEYANG, XIANNING).await.size,
        poured + 1,
        "and the agreement"
    );
    assert_eq!(wuhan.desk().await.channel(YUEYANG, WUHAN).await.size, u64::from(LONE) + 1);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_stands_still_holds_up_no_other() {
    let (rig, wuhan, _) = three().await;
    let mut desk = rig.yueyang.desk().await;
    rig.xianning.freeze(true);
    // More than its credit: everything behind waits on this node's disk.
    for serial in 0..1_500 {
        desk.submit(forwarding(XIANNING, serial)).await.expect("taken");
    }
    for serial in 0..10 {
        let sent = desk.submit(forwarding(WUHAN, serial)).await.expect("taken");
        assert!(desk.receipt(WUHAN, &sent.message_id).await.receipted);
    }
    assert_eq!(waiting(&mut desk, XIANNING).await, 1_500, "nothing of it was receipted");
    rig.xianning.freeze(false);
    eventually("the flood to arrive", async || waiting(&mut desk, XIANNING).await == 0).await;
    drop(wuhan);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_sleeps_while_only_other_channels_are_at_work() {
    let (rig, wuhan, observed) = three().await;
    let mut desk = rig.yueyang.desk().await;
    let looks = async |peer: &str| {
        Metrics::scrape(observed).await.value(&format!("tongban_link_looks_total{{peer=\"{peer}\"}}"))
    };
    // What came with the documents has settled when everything has its receipt.
    for peer in [XIANNING, WUHAN] {
        eventually("the documents to be receipted", async || waiting(&mut desk, peer).await == 0).await;
    }
    let (busy, idle) = (looks(XIANNING).await, looks(WUHAN).await);
    for serial in 0..100 {
        let sent = desk.submit(forwarding(XIANNING, serial)).await.expect("taken");
        assert!(desk.receipt(XIANNING, &sent.message_id).await.receipted);
    }
    assert!(looks(XIANNING).await >= busy + 100.0, "each message woke the link that it was for");
    let woken = looks(WUHAN).await - idle;
    assert!(woken <= 3.0, "and no other, but for what its documents left behind: {woken}");
    // It sleeps, and is not dead.
    let sent = desk.submit(forwarding(WUHAN, 0)).await.expect("taken");
    assert!(desk.receipt(WUHAN, &sent.message_id).await.receipted);
    assert!(looks(WUHAN).await > idle + woken);
    drop(wuhan);
    rig.balanced().await;
}
