//! Many submissions over one stream: the promises of single ones, in fewer answers.

use proto::local::v1 as pb;
use proto::local::v1::submit_outcome::Outcome;
use std::collections::BTreeMap;
use tests::desk::code;
use tests::documents::{case, forwarding};
use tests::probe::Metrics;
use tests::{Rig, XIANNING};
use tokio_stream::StreamExt as _;

fn taken(outcome: &Outcome) -> &pb::SubmitReply {
    match outcome {
        Outcome::Taken(taken) => taken,
        Outcome::Refused(refused) => panic!("refused: {refused:?}"),
    }
}

fn refused(outcome: &Outcome) -> &pb::SubmitRefusal {
    match outcome {
        Outcome::Refused(refused) => refused,
        Outcome::Taken(taken) => panic!("taken: {taken:?}"),
    }
}

/// Cases of one batch.
const BATCH: u32 = 20;
/// Batches in all: 500 cases.
const BATCHES: u32 = 25;
/// Batches without an answer at once.
const AHEAD: u32 = 4;
/// Batches answered when the node is killed.
const BEFORE_THE_KILL: u32 = 9;

fn batch(number: u32) -> Vec<pb::SubmitRequest> {
    (number * BATCH..(number + 1) * BATCH).map(forwarding).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_by_a_kill_and_sent_again_under_the_same_keys_ends_with_each_once_in_order() {
    let mut rig = Rig::agreed().await;
    let mut stream = rig.yueyang.desk().await.stream().await;
    // What the caller was told before the kill, by serial.
    let mut told: BTreeMap<u32, pb::SubmitReply> = BTreeMap::new();
    let mut sent = 0;
    for answered in 0..BEFORE_THE_KILL {
        while sent < answered + AHEAD {
            stream.send(batch(sent)).await;
            sent += 1;
        }
        let outcomes = stream.outcomes().await.expect("the node runs");
        assert_eq!(outcomes.len() as u32, BATCH);
        let replies = outcomes.iter().map(|outcome| taken(outcome).clone());
        told.extend((answered * BATCH..).zip(replies));
    }
    rig.yueyang.kill();
    // Some were on their way: whatever of them was answered counts as well.
    let mut answered = BEFORE_THE_KILL;
    let broken = loop {
        match stream.outcomes().await {
            Ok(outcomes) => {
                let replies = outcomes.iter().map(|outcome| taken(outcome).clone());
                told.extend((answered * BATCH..).zip(replies));
                answered += 1;
            }
            Err(status) => break status,
        }
    };
    assert!(answered < BATCHES, "killed in the middle: {broken}");
    assert!(told.values().zip(told.values().skip(1)).all(|(one, next)| one.index + 1 == next.index));

    rig.yueyang.start().await;
    rig.meet().await;
    let mut stream = rig.yueyang.desk().await.stream().await;
    let (mut replies, mut mark) = (Vec::new(), 0);
    for number in 0..BATCHES {
        stream.send(batch(number)).await;
    }
    while replies.len() < (BATCH * BATCHES) as usize
        || mark <= replies.last().map_or(0, |reply: &pb::SubmitReply| reply.index)
    {
        let answer = stream.answer().await.expect("the node runs").expect("the stream stands");
        for outcome in answer.outcomes {
            replies.push(taken(&outcome.outcome.expect("an outcome says which")).clone());
        }
        for receipts in answer.marks {
            assert_eq!((receipts.to.as_str(), receipts.epoch), (XIANNING, 0));
            assert!(receipts.size > mark && receipts.receipt_ms > 0, "marks move on: {receipts:?} {mark}");
            mark = receipts.size;
        }
    }
    for (serial, before) in &told {
        let again = &replies[*serial as usize];
        assert!(again.duplicate, "case {serial} was acknowledged before the kill");
        assert_eq!((&again.message_id, again.index), (&before.message_id, before.index));
    }
    assert!(replies.iter().zip(&replies[1..]).all(|(one, next)| one.index + 1 == next.index));
    // A mark is the receipt that a single caller would be told about.
    let last = replies.last().expect("replies").message_id.clone();
    assert!(rig.yueyang.desk().await.receipt(XIANNING, &last).await.receipted);

    let mut inbox = rig.xianning.desk().await.inbox("approval").await;
    let mut cases = Vec::new();
    while cases.len() < (BATCH * BATCHES) as usize {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        assert_eq!(entry.verdict, "");
        if entry.kind == "case.forward" {
            cases.push(entry.case_id);
        }
    }
    assert!(cases.into_iter().eq((0..BATCH * BATCHES).map(case)), "each once, in order");
    rig.balanced().await;
    assert_eq!(rig.xianning.desk().await.cases().await.len() as u32, BATCH * BATCHES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_batch_is_refused_alone_with_its_code_in_both_languages_and_counted() {
    let mut rig = Rig::new();
    let observed = rig.yueyang.observe();
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    tests::documents::conclude(&rig).await;
    let mut desk = rig.yueyang.desk().await;
    let mut stream = desk.stream().await;
    type Wrong = (&'static str, fn(&mut pb::SubmitRequest));
    let wrong: [Wrong; 7] = [
        ("request.invalid", |request| request.case_id = "张三 430602199001010012".into()),
        ("entry.unknown_kind", |request| request.kind = "case.teleport".into()),
        ("request.invalid", |request| request.idempotency_key = "tongban.requeue/1".into()),
        ("entry.too_large", |request| request.payload = vec![7; 1024 * 1024].into()),
        ("entry.malformed_payload", |request| request.payload = vec![0xff; 8].into()),
        ("channel.unknown", |request| request.to = "110000".into()),
        ("entry.duplicate_different", |request| request.idempotency_key = "window/0".into()),
    ];
    let mut requests = vec![forwarding(0)];
    for (place, (_, spoil)) in wrong.iter().enumerate() {
        let mut request = forwarding(100 + place as u32);
        spoil(&mut request);
        requests.push(request);
        requests.push(forwarding(1 + place as u32));
    }
    let before = Metrics::scrape(observed).await;
    stream.send(requests.clone()).await;
    let outcomes = stream.outcomes().await.expect("outcomes");
    assert_eq!(outcomes.len(), requests.len());
    let after = Metrics::scrape(observed).await;
    let first = taken(&outcomes[0]);
    for (place, (code, _)) in wrong.iter().enumerate() {
        let refusal = refused(&outcomes[1 + 2 * place]);
        assert_eq!(refusal.code, *code, "{refusal:?}");
        assert!(refusal.message_zh.chars().any(|letter| letter > '\u{2e7f}'), "{refusal:?}");
        assert!(!refusal.message_en.is_empty() && !refusal.fault.is_empty() && refusal.retry_after_ms == 0);
        let good = taken(&outcomes[2 + 2 * place]);
        assert_eq!(good.index, first.index + 1 + place as u64, "those between stand, in order");
    }
    for code in wrong.map(|(code, _)| code) {
        let series = format!("tongban_submissions_refused_total{{code=\"{code}\"}}");
        let expected = wrong.iter().filter(|(other, _)| *other == code).count();
        assert_eq!(after.value(&series) - before.value(&series), expected as f64, "{code}");
    }
    // One by one, the same requests are refused the same way.
    for (place, (expected, _)) in wrong.iter().enumerate() {
        let refusal = desk.submit(requests[1 + 2 * place].clone()).await.expect_err("refused alone as well");
        assert_eq!(code(&refusal), *expected);
    }
    rig.yueyang.logs("submission refused").await;
    let log = rig.yueyang.log();
    for (code, times) in [("request.invalid", 4), ("entry.too_large", 2), ("entry.malformed_payload", 2)] {
        let told = |line: &&str| line.contains("submission refused") && line.contains(code);
        assert_eq!(log.lines().filter(told).count(), times, "one event for each refusal: {code}");
    }
    assert!(!log.contains("430602199001010012"), "what a caller wrote is not logged");
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_long_ends_the_stream_after_what_came_before_it() {
    let rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    let mut stream = desk.stream().await;
    stream.send(batch(0)).await;
    stream.send((1_000..2_025).map(forwarding).collect()).await;
    stream.send(batch(1)).await;
    let outcomes = stream.outcomes().await.expect("the first batch stands");
    assert!(outcomes.iter().all(|outcome| !taken(outcome).duplicate));
    let refusal = stream.outcomes().await.expect_err("over the limit");
    assert_eq!((refusal.code(), code(&refusal).as_str()), (tonic::Code::InvalidArgument, "entry.too_large"));
    assert!(refusal.message().contains("requests=1025"), "{refusal}");
    rig.balanced().await;
    assert_eq!(rig.xianning.desk().await.cases().await.len() as u32, BATCH, "and nothing of what came after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_its_quota_hears_when_to_come_back_and_goes_on() {
    let mut rig = Rig::new();
    let observed = rig.yueyang.observe();
    rig.yueyang.configure("[limits]\nsubmitter_entries_per_second = 20\n[log]\nlevel = \"info\"");
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    tests::documents::conclude(&rig).await;
    let mut stream = rig.yueyang.desk().await.stream().await;
    let mut over = None;
    for number in 0..10 {
        stream.send(batch(number)).await;
        let outcomes = stream.outcomes().await.expect("a quota does not end a stream");
        if let Outcome::Refused(first) = &outcomes[0] {
            assert!(outcomes.iter().all(|outcome| refused(outcome).code == "node.quota"), "all or none");
            assert!((1..=10_000).contains(&first.retry_after_ms), "{first:?}");
            over = Some((number, first.retry_after_ms));
            break;
        }
    }
    let (number, mut wait) = over.expect("200 at once are over 20 a second");
    let counted =
        Metrics::scrape(observed).await.value("tongban_submissions_refused_total{code=\"node.quota\"}");
    assert_eq!(counted, f64::from(BATCH));
    assert!(
        !rig.yueyang.log().contains("node.quota"),
        "shedding load writes no lines: {}",
        rig.yueyang.log()
    );
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        stream.send(batch(number)).await;
        match &stream.outcomes().await.expect("the stream stands")[0] {
            Outcome::Taken(_) => break,
            Outcome::Refused(again) => wait = again.retry_after_ms,
        }
    }
    rig.balanced().await;
}
