//! Invariant 8: bounded. A full disk stops what is new and nothing else; quotas delay partners and send
//! submitters away with the time to come back; what waits for contact has a limit in bytes.

use prost::Message as _;
use proto::local::v1 as pb;
use proto::local::v1::submit_outcome::Outcome;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tests::city::tongban;
use tests::desk::{code, retry_after_ms};
use tests::disk::SmallDisk;
use tests::documents::{accept, case, forward, forwarding, sign_for};
use tests::probe::{Metrics, readiness};
use tests::{Rig, XIANNING, YUEYANG, eventually};
use tokio_stream::StreamExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_what_is_new_finishes_what_was_taken_and_recovers_by_itself() {
    let mut rig = Rig::new();
    let Some(disk) = SmallDisk::mount(&rig.path("disk.img"), &rig.xianning.data(), 320) else { return };
    rig.xianning.configure("[limits]\ndisk_low_mib = 100");
    let observed = rig.xianning.observe();
    agreed(&mut rig).await;
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    assert_eq!(approval.status().await.disk, "normal");
    // Probes and metrics follow the limit that the node itself was given, and no other.
    readiness(observed, &[]).await;
    let first = window.submit(forwarding(0)).await.expect("taken");
    assert!(window.receipt(XIANNING, &first.message_id).await.receipted);
    // Sent before the disk fills up, and not yet signed for.
    rig.yueyang.kill();
    let sent = approval.act(YUEYANG, "case.signfor", &case(0), &sign_for()).await.expect("taken");
    assert!(sent.sequenced);

    disk.fill_but(60);
    eventually("the disk to be found low", async || approval.status().await.disk == "low").await;
    readiness(observed, &[("disk", "store.full")]).await;
    let seen = Metrics::scrape(observed).await;
    assert_eq!(seen.value("tongban_disk_state{state=\"low\"}"), 1.0);
    assert_eq!(seen.value("tongban_disk_state{state=\"normal\"}"), 0.0);
    assert_eq!(seen.value("tongban_disk_low_bytes"), f64::from(100 << 20));
    let alarm = "tongban_alarms_standing{code=\"store.full\",severity=\"warning\"}";
    eventually("the alarm to stand", async || {
        Metrics::scrape(observed).await.series().any(|(name, count)| name == alarm && count == 1.0)
    })
    .await;
    // What is new is not taken, and the caller hears when to come back.
    let refused = approval.act(YUEYANG, "case.accept", &case(0), &accept()).await.expect_err("no room");
    assert_eq!((refused.code(), code(&refused).as_str()), (tonic::Code::ResourceExhausted, "store.full"));
    assert!(retry_after_ms(&refused).is_some_and(|wait| wait > 0), "{refused:?}");
    // What was taken is answered as before, under its key.
    let again = approval.act(YUEYANG, "case.signfor", &case(0), &sign_for()).await.expect("known");
    assert!(again.duplicate && again.message_id == sent.message_id);
    // Reading and acknowledging go on.
    assert_eq!(approval.cases().await.len(), 1);
    let mut inbox = approval.inbox("approval").await;
    let entry = inbox.next().await.expect("an entry").expect("no error");
    approval.acknowledge("approval", YUEYANG, entry.index + 1).await;

    // The partner comes back: its receipt is taken, its new entries are held back and not refused.
    rig.yueyang.start().await;
    rig.meet().await;
    assert!(approval.receipt(YUEYANG, &sent.message_id).await.receipted, "receipts go on");
    let held = approval.channel(YUEYANG, XIANNING).await.size;
    let mut window = rig.yueyang.desk().await;
    let mut waiting = Vec::new();
    for serial in 1..30 {
        waiting.push(window.submit(forwarding(serial)).await.expect("taken").message_id);
    }
    let state = window.receipt_within(XIANNING, &waiting[0], 1500).await;
    assert!(!state.receipted && state.refused.is_empty(), "{state:?}");
    let view = approval.channel(YUEYANG, XIANNING).await;
    assert_eq!((view.size, view.connected), (held, true), "the link stands, nothing is taken");
    let config = rig.xianning.config();
    let shown = tongban(&["status", "--config", &config.to_string_lossy(), "--lang", "en"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("disk low"), "{shown:?}");

    // Space returns: no restart, nothing lost, nothing twice.
    disk.free();
    eventually("the disk to have room", async || approval.status().await.disk == "normal").await;
    readiness(observed, &[]).await;
    for id in &waiting {
        let state = window.receipt(XIANNING, id).await;
        assert!(state.receipted && state.refused.is_empty(), "{state:?}");
    }
    approval.act(YUEYANG, "case.accept", &case(0), &accept()).await.expect("taken again");
    assert_eq!(approval.cases().await.len(), 30);
    rig.balanced().await;
    assert!(rig.xianning.runs() && window.letters(true, 100).await.is_empty());
    rig.xianning.kill();
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_over_its_quota_is_slowed_down_and_loses_nothing() {
    let mut rig = Rig::new();
    rig.xianning.configure("[limits]\npeer_entries_per_second = 20");
    agreed(&mut rig).await;
    let mut window = rig.yueyang.desk().await;
    // Two that dial each other at the start may fence one link; from here on none may end.
    let ended_before = rig.xianning.log().matches("link ended").count();
    let began = Instant::now();
    let mut ids = Vec::new();
    for serial in 0..120 {
        ids.push(window.submit(forwarding(serial)).await.expect("taken").message_id);
    }
    for id in &ids {
        assert!(window.receipt(XIANNING, id).await.receipted);
    }
    // A batch is taken whole when the bucket is not in debt, however long it is; so the entry behind all of
    // them tells: 120 went before it, 20 of them from the bucket, and it waits for the rest.
    let last = window.submit(forwarding(120)).await.expect("taken").message_id;
    assert!(window.receipt(XIANNING, &last).await.receipted);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(4_900), "receipted after {took:?}");
    assert_eq!(rig.xianning.desk().await.cases().await.len(), 121);
    let ended = rig.xianning.log().matches("link ended").count();
    assert_eq!(ended, ended_before, "a slow reader is no broken link: {}", rig.xianning.log());
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitter_over_its_quota_is_told_when_to_come_back_and_others_are_not() {
    let mut rig = Rig::new();
    rig.yueyang.configure("[limits]\nsubmitter_entries_per_second = 10");
    agreed(&mut rig).await;
    let mut window = rig.yueyang.desk().await;
    let mut refused = None;
    for serial in 0..200 {
        if let Err(status) = window.submit_as("wild", forwarding(serial)).await {
            refused = Some((serial, status));
            break;
        }
    }
    let (serial, refused) = refused.expect("200 at once are over 10 a second");
    assert!(serial >= 10, "the bucket holds a second's worth, {serial} were taken");
    assert_eq!((refused.code(), code(&refused).as_str()), (tonic::Code::ResourceExhausted, "node.quota"));
    window.submit_as("calm", forwarding(500)).await.expect("has its own quota");
    window.submit(forwarding(501)).await.expect("so has who gives no name");
    // Whoever obeys is let in.
    let mut status = refused;
    let reply = loop {
        let wait = retry_after_ms(&status).expect("a time to wait");
        assert!((1..=1000).contains(&wait), "{wait}");
        assert!(status.message().contains(&format!("retry_after_ms={wait}")), "{status}");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        match window.submit_as("wild", forwarding(serial)).await {
            Ok(reply) => break reply,
            Err(again) => status = again,
        }
    };
    assert!(window.receipt(XIANNING, &reply.message_id).await.receipted);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_contact_is_bounded_in_bytes_and_drains_at_contact() {
    let mut rig = Rig::agreed().await;
    rig.xianning.kill();
    rig.yueyang.kill();
    rig.yueyang.configure("[limits]\nstaged_mib = 1");
    rig.yueyang.start().await;
    let mut window = rig.yueyang.desk().await;
    let large = |serial| {
        let mut payload = forward();
        payload.form = format!(r#"{{"name":"x","reason":"{}"}}"#, "y".repeat(150_000)).into_bytes().into();
        pb::SubmitRequest { payload: payload.encode_to_vec().into(), ..forwarding(serial) }
    };
    let mut kept = 0;
    let refused = loop {
        match window.submit(large(kept)).await {
            Ok(reply) => assert!(!reply.sequenced),
            Err(refused) => break refused,
        }
        kept += 1;
        assert!(kept < 20, "drafts without end");
    };
    assert_eq!(kept, 6, "six of 150 KB fit 1 MiB");
    assert_eq!(code(&refused), "node.staging_full");
    assert!(retry_after_ms(&refused).is_some());
    window.submit(forwarding(100)).await.expect("a small one still fits");
    rig.xianning.start().await;
    rig.meet().await;
    eventually("the drafts to go", async || window.channel(YUEYANG, XIANNING).await.staged == 0).await;
    let reply = window.submit(large(50)).await.expect("there is room again");
    assert!(window.receipt(XIANNING, &reply.message_id).await.receipted);
    rig.balanced().await;
}

/// Both nodes started, connected, and agreed.
async fn agreed(rig: &mut Rig) {
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    tests::documents::conclude(rig).await;
}

/// Submits a batch on a stream until all of it is taken, obeying every hint; what each came to, and how
/// often it was refused with which code.
async fn take_all(
    stream: &mut tests::desk::SubmitStream,
    mut left: Vec<pb::SubmitRequest>,
) -> (Vec<pb::SubmitReply>, Vec<String>) {
    let (mut replies, mut codes) = (Vec::new(), Vec::new());
    while !left.is_empty() {
        stream.send(left.clone()).await;
        let outcomes = stream.outcomes().await.expect("a refusal with a hint does not end a stream");
        let (mut again, mut wait) = (Vec::new(), 0);
        for (outcome, request) in outcomes.into_iter().zip(left) {
            match outcome {
                Outcome::Taken(taken) => replies.push(taken),
                Outcome::Refused(refused) => {
                    assert!((1..=30_000).contains(&refused.retry_after_ms), "{refused:?}");
                    assert!(!refused.message_zh.is_empty() && !refused.message_en.is_empty());
                    wait = wait.max(refused.retry_after_ms);
                    codes.push(refused.code);
                    again.push(request);
                }
            }
        }
        left = again;
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    (replies, codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_by_a_quota_and_comes_back_as_told_is_taken_once() {
    let mut rig = Rig::new();
    rig.yueyang.configure("[limits]\nsubmitter_entries_per_second = 50");
    agreed(&mut rig).await;
    let mut window = rig.yueyang.desk().await;
    let mut stream = window.stream().await;
    let (mut replies, mut codes) = (Vec::new(), Vec::new());
    for first in (0..200).step_by(40) {
        let batch = (first..first + 40).map(forwarding).collect();
        let (taken, refused) = take_all(&mut stream, batch).await;
        replies.extend(taken);
        codes.extend(refused);
    }
    assert!(!codes.is_empty() && codes.iter().all(|code| code == "node.quota"), "{codes:?}");
    assert!(replies.iter().all(|reply| !reply.duplicate), "a refusal keeps nothing");
    let ids: BTreeSet<_> = replies.iter().map(|reply| reply.message_id.clone()).collect();
    assert_eq!(ids.len(), 200);
    for reply in &replies {
        assert!(window.receipt(XIANNING, &reply.message_id).await.receipted);
    }
    assert_eq!(rig.xianning.desk().await.cases().await.len(), 200, "each once");
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_falls_behind_sets_the_pace_and_what_was_refused_arrives_once() {
    let mut rig = Rig::new();
    // A batch passes once, and then the partner takes next to nothing: the log to it fills up.
    rig.xianning.configure("[limits]\npeer_entries_per_second = 10");
    let observed = rig.yueyang.observe();
    agreed(&mut rig).await;
    let mut window = rig.yueyang.desk().await;
    let mut stream = window.stream().await;
    let most = gateway::limits::ONWARD_ENTRIES_MAX as u32;
    let (mut serial, mut taken) = (0, 0);
    let refused = loop {
        stream.send((serial..serial + 512).map(forwarding).collect()).await;
        serial += 512;
        let outcomes = stream.outcomes().await.expect("a partner's pace does not end a stream");
        match outcomes.first() {
            Some(Outcome::Refused(refused)) => {
                let all = |outcome: &Outcome| matches!(outcome, Outcome::Refused(_));
                assert!(outcomes.iter().all(all), "all of a batch or none");
                break refused.clone();
            }
            _ => taken += outcomes.len() as u32,
        }
        assert!(taken < 2 * most + 10_000, "the log to a partner grows without end");
    };
    assert!(taken >= most, "{taken} were taken before {refused:?}");
    assert_eq!(refused.code, "node.backlog");
    assert!((1..=30_000).contains(&refused.retry_after_ms), "{refused:?}");
    // The same by a single call, as gRPC knows it.
    let status = window.submit(forwarding(serial)).await.expect_err("no room for one more either");
    assert_eq!((status.code(), code(&status).as_str()), (tonic::Code::ResourceExhausted, "node.backlog"));
    assert!(retry_after_ms(&status).is_some_and(|wait| wait > 0), "{status:?}");
    let counted = Metrics::scrape(observed).await;
    assert_eq!(counted.value("tongban_submissions_refused_total{code=\"node.backlog\"}"), 513.0);

    // The partner takes again what it is sent. While it is away nobody is refused, and when it is back
    // what was refused is taken under its own key, once.
    rig.xianning.kill();
    eventually("the link to be gone", async || !window.channel(YUEYANG, XIANNING).await.connected).await;
    let reply = window.submit(forwarding(serial)).await.expect("the log is the queue for who is away");
    assert!(reply.sequenced && !reply.duplicate);
    let config = std::fs::read_to_string(rig.xianning.config()).expect("a configuration");
    let config = config.replace("peer_entries_per_second = 10\n", "peer_entries_per_second = 100000\n");
    std::fs::write(rig.xianning.config(), config).expect("a configuration is written");
    rig.xianning.start().await;
    rig.meet().await;
    let again = (serial - 512..serial).map(forwarding).collect();
    let (replies, _) = take_all(&mut stream, again).await;
    assert!(replies.iter().all(|reply| !reply.duplicate), "a refusal keeps nothing");
    let last = replies.last().expect("replies").message_id.clone();
    assert!(window.receipt(XIANNING, &last).await.receipted);
    rig.balanced().await;
    assert_eq!(rig.xianning.desk().await.channel(YUEYANG, XIANNING).await.refused, 0);
    let size = rig.xianning.desk().await.channel(YUEYANG, XIANNING).await.size;
    assert!(size >= u64::from(taken + 513), "{size}");
}
