//! Dead letters: what was refused, has expired, was dropped or is overdue is listed with its cause,
//! requeued or discarded by further entries, and read from the journal again when the index is gone.

use prost::Message as _;
use proto::local::v1 as pb;
use serde_json::Value;
use tests::city::tongban;
use tests::desk::{Desk, code};
use tests::documents::{accept, case, decision, forward, rate, review, sign_for, withdraw};
use tests::{Rig, XIANNING, YUEYANG, eventually, now_ms};
use tokio_stream::StreamExt as _;

/// A case that stands in `under_review` on both.
async fn under_review(rig: &Rig, id: &str) {
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    window.act(XIANNING, "case.forward", id, &forward()).await.expect("taken");
    eventually("the case to arrive", async || approval.case(id).await.is_some()).await;
    approval.act(YUEYANG, "case.signfor", id, &sign_for()).await.expect("taken");
    approval.act(YUEYANG, "case.accept", id, &accept()).await.expect("taken");
    approval.act(YUEYANG, "case.review", id, &review()).await.expect("taken");
    eventually("the review to arrive", async || {
        window.case(id).await.is_some_and(|case| case.state == "under_review")
    })
    .await;
}

/// 岳阳 asks for withdrawal of a case that 咸宁 has granted meanwhile, and rates one that is not closed:
/// neither knows of the other, and neither could judge alone. Gives both message ids.
async fn a_refused_and_a_dropped_one(rig: &mut Rig) -> (Vec<u8>, Vec<u8>) {
    under_review(rig, &case(1)).await;
    rig.balanced().await;
    rig.yueyang.kill();
    rig.xianning.kill();
    rig.xianning.start().await;
    let mut approval = rig.xianning.desk().await;
    approval.act(YUEYANG, "case.grant", &case(1), &decision("符合条件")).await.expect("kept");
    // Each is alone while it submits: had they met, 岳阳 would be told at once.
    rig.xianning.kill();
    rig.yueyang.start().await;
    let mut window = rig.yueyang.desk().await;
    let mut kept = Vec::new();
    for (kind, payload) in
        [("case.withdraw.ask", withdraw().encode_to_vec()), ("case.rate", rate().encode_to_vec())]
    {
        let request = pb::SubmitRequest {
            to: XIANNING.into(),
            kind: kind.into(),
            case_id: case(1),
            payload: payload.into(),
            ..Default::default()
        };
        kept.push(window.submit(request).await.expect("kept").message_id.to_vec());
    }
    rig.xianning.start().await;
    rig.meet().await;
    eventually("both letters to be dead", async || window.letters(false, 100).await.len() == 2).await;
    rig.balanced().await;
    (kept.remove(0), kept.remove(0))
}

async fn listed(desk: &mut Desk) -> Vec<(Vec<u8>, String, String, String, u64)> {
    let letters = desk.letters(true, 1).await.into_iter();
    letters
        .map(|letter| {
            let by = if letter.settled_by.is_empty() { "" } else { " by another" };
            (
                letter.message_id.to_vec(),
                letter.cause,
                letter.code,
                format!("{}{by}", letter.state),
                letter.since_ms,
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_or_dropped_is_listed_until_it_is_requeued_or_discarded() {
    let mut rig = Rig::agreed().await;
    let (refused, dropped) = a_refused_and_a_dropped_one(&mut rig).await;
    let mut window = rig.yueyang.desk().await;

    let letter = window.letter(&refused).await.expect("a letter");
    assert_eq!((letter.cause.as_str(), letter.code.as_str()), ("refused", "case.wrong_state"));
    assert_eq!((letter.fault.as_str(), letter.state.as_str(), letter.sequenced), ("peer", "open", true));
    assert_eq!(letter.payload, withdraw().encode_to_vec(), "read back from the journal");
    assert!(!letter.advice_zh.is_empty() && !letter.advice_en.is_empty());
    let letter = window.letter(&dropped).await.expect("a letter");
    assert_eq!((letter.cause.as_str(), letter.kind.as_str()), ("dropped", "case.rate"));
    assert_eq!((letter.sequenced, letter.payload.as_ref()), (false, &rate().encode_to_vec()[..]));

    // A plan sends nothing.
    let size = window.channel(YUEYANG, XIANNING).await.size;
    let plan = window.requeue(&dropped, false).await.expect("a plan");
    assert!(!plan.applied && plan.payload_bytes == rate().encode_to_vec().len() as u64);
    window.discard(&refused, false).await.expect("a plan");
    assert_eq!(window.channel(YUEYANG, XIANNING).await.size, size);

    // Judged like any submission: the case is not closed yet, so it is not taken and the letter stays.
    let early = window.requeue(&dropped, true).await.expect_err("not yet");
    assert_eq!(code(&early), "case.wrong_state");
    assert_eq!(window.letters(false, 100).await.len(), 2);

    let mut approval = rig.xianning.desk().await;
    approval.act(YUEYANG, "case.close", &case(1), &tests::documents::close()).await.expect("taken");
    eventually("the case to close", async || {
        window.case(&case(1)).await.is_some_and(|case| case.state == "closed")
    })
    .await;
    let done = window.requeue(&dropped, true).await.expect("taken");
    assert_eq!(done.message_id, plan.message_id, "as planned");
    assert_ne!(done.message_id, dropped, "a new entry");
    assert!(window.receipt(XIANNING, &done.message_id).await.receipted);
    let rating = approval.case(&case(1)).await.expect("the case").rating_receiving;
    assert_eq!(rating, 1, "the requeued rating took effect");

    // The cancellation goes on record with the partner, in reply to the old entry, and changes nothing.
    let given_up = window.discard(&refused, true).await.expect("taken");
    assert!(window.receipt(XIANNING, &given_up.message_id).await.receipted);
    let mut inbox = approval.inbox("auditor").await;
    let cancellation = loop {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        if entry.kind == "cancellation" {
            break entry;
        }
    };
    assert_eq!((cancellation.in_reply_to.as_ref(), cancellation.verdict.as_str()), (&refused[..], ""));
    assert_eq!(window.letter(&refused).await.expect("a letter").reason, "不再需要");
    assert_eq!(approval.case(&case(1)).await.expect("the case").state, "closed");

    // The same again is the same answer; the opposite is refused.
    let again = window.requeue(&dropped, true).await.expect("the same answer");
    assert!(again.submitted.expect("an answer").duplicate && again.message_id == done.message_id);
    assert_eq!(code(&window.discard(&dropped, true).await.expect_err("settled")), "letter.settled");
    assert_eq!(code(&window.requeue(&refused, true).await.expect_err("settled")), "letter.settled");
    assert!(window.letters(false, 100).await.is_empty());
    let all = listed(&mut window).await;
    let states: Vec<_> = all.iter().map(|(id, _, _, state, _)| (id.as_slice(), state.as_str())).collect();
    assert!(states.contains(&(&refused, "discarded by another")), "{states:?}");
    assert!(states.contains(&(&dropped, "requeued by another")), "{states:?}");
    rig.balanced().await;

    // The index is nothing but a reading of the journal.
    rig.yueyang.kill();
    std::fs::remove_dir_all(rig.yueyang.data().join("index")).expect("the index is deleted");
    rig.yueyang.start().await;
    let mut window = rig.yueyang.desk().await;
    assert_eq!(listed(&mut window).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_letters_come_back_with_the_index_and_after_a_loss_of_the_store_with_their_settlements() {
    let mut rig = Rig::agreed().await;
    let (refused, _) = a_refused_and_a_dropped_one(&mut rig).await;
    let before = listed(&mut rig.yueyang.desk().await).await;
    rig.yueyang.kill();
    std::fs::remove_dir_all(rig.yueyang.data().join("index")).expect("the index is deleted");
    rig.yueyang.start().await;
    rig.meet().await;
    let mut window = rig.yueyang.desk().await;
    assert_eq!(listed(&mut window).await, before);
    window.discard(&refused, true).await.expect("taken");
    rig.balanced().await;

    rig.yueyang.kill();
    std::fs::remove_dir_all(rig.yueyang.data()).expect("the data folder is deleted");
    rig.yueyang.start().await;
    rig.meet().await;
    rig.balanced().await;
    let mut window = rig.yueyang.desk().await;
    let letter = window.letter(&refused).await.expect("a letter");
    assert_eq!((letter.state.as_str(), letter.code.as_str()), ("discarded", "case.wrong_state"));
    assert!(window.letters(false, 100).await.is_empty(), "the draft was never in the log, and is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_expires_on_its_way_is_refused_by_the_receiver_and_may_be_requeued() {
    let mut rig = Rig::agreed().await;
    under_review(&rig, &case(1)).await;
    rig.balanced().await;
    let mut window = rig.yueyang.desk().await;
    rig.xianning.kill();
    // In contact still as far as it knows: the entry is signed and stands in the log.
    let request = pb::SubmitRequest {
        to: XIANNING.into(),
        kind: "case.withdraw.ask".into(),
        case_id: case(1),
        expires_ms: now_ms().unsigned_abs() + 1500,
        payload: withdraw().encode_to_vec().into(),
        ..Default::default()
    };
    let sent = window.submit(request.clone()).await.expect("taken");
    assert!(sent.sequenced);
    let expires = i64::try_from(request.expires_ms).expect("a time");
    eventually("the entry to expire", async || now_ms() > expires + 1000).await;
    rig.xianning.start().await;
    let state = window.receipt(XIANNING, &sent.message_id).await;
    assert!(state.receipted, "expiry advances the channel");
    eventually("the refusal to come", async || !window.letters(false, 100).await.is_empty()).await;
    let letter = window.letter(&sent.message_id).await.expect("a letter");
    assert_eq!((letter.cause.as_str(), letter.code.as_str()), ("expired", "entry.expired"));
    assert_eq!(letter.expires_ms, request.expires_ms);
    rig.balanced().await;
    let done = window.requeue(&sent.message_id, true).await.expect("taken");
    assert!(window.receipt(XIANNING, &done.message_id).await.receipted);
    let mut approval = rig.xianning.desk().await;
    assert!(approval.case(&case(1)).await.expect("the case").withdrawal_asked);
    assert_eq!(window.letter(&sent.message_id).await.expect("a letter").settled_by, done.message_id);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_letters_follow_from_the_clock_and_end_with_the_receipt() {
    let mut rig = Rig::new();
    rig.yueyang.configure("[limits]\noverdue_seconds = 1");
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    tests::documents::conclude(&rig).await;
    rig.balanced().await;
    rig.xianning.kill();
    let mut window = rig.yueyang.desk().await;
    let mut ids = Vec::new();
    for serial in 0..3 {
        let reply = window.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
        assert!(reply.sequenced);
        ids.push(reply.message_id);
    }
    eventually("three to be overdue", async || window.letters(false, 2).await.len() == 3).await;
    let letter = window.letter(&ids[0]).await.expect("a letter");
    assert_eq!((letter.cause.as_str(), letter.code.as_str()), ("overdue", "letter.overdue"));
    assert_eq!((letter.fault.as_str(), letter.payload.is_empty()), ("unknown", false));

    // After a restart drafts wait for contact, and are overdue as well.
    rig.yueyang.kill();
    rig.yueyang.start().await;
    let mut window = rig.yueyang.desk().await;
    let draft = window.act(XIANNING, "case.forward", &case(9), &forward()).await.expect("kept");
    assert!(!draft.sequenced);
    eventually("four to be overdue", async || window.letters(false, 1).await.len() == 4).await;
    assert!(!window.letter(&draft.message_id).await.expect("a letter").sequenced);
    // One is given up while it is overdue: nothing is skipped, the case arrives, and so does the word.
    let plan = window.discard(&ids[2], true).await.expect("kept");
    assert_eq!(window.letters(false, 100).await.len(), 3);
    assert_eq!(window.letter(&ids[2]).await.expect("a letter").state, "discarded");

    rig.xianning.start().await;
    assert!(window.receipt(XIANNING, &plan.message_id).await.receipted);
    for id in &ids {
        assert!(window.receipt(XIANNING, id).await.receipted);
        assert_eq!(code(&window.letter(id).await.expect_err("no letter any more")), "letter.none");
    }
    assert!(window.letters(true, 100).await.is_empty());
    assert_eq!(rig.xianning.desk().await.cases().await.len(), 4);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_shows_plans_and_acts_in_both_languages() {
    let mut rig = Rig::agreed().await;
    let (refused, _) = a_refused_and_a_dropped_one(&mut rig).await;
    let config = rig.yueyang.config();
    let config = config.to_string_lossy();
    let run = |words: &[&str]| {
        let output = tongban(&[words, &["--config", &config]].concat());
        let text = [output.stdout.clone(), output.stderr.clone()].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let id = gateway::id::MessageId(refused[..].try_into().expect("an id")).to_string();
    let (exit, listed) = run(&["letters", "list", "--lang", "zh"]);
    assert_eq!(exit, Some(0), "{listed}");
    for part in [&id, "case.wrong_state", "撤回申请", "待处理", "排序时被拒", "草稿"] {
        assert!(listed.contains(part), "{part} is missing in {listed}");
    }
    let (_, json) = run(&["letters", "list", "--peer", XIANNING, "--limit", "1", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["letters"].as_array().map(Vec::len), Some(1));
    let next = json["next"].as_str().expect("a cursor").to_owned();
    let (_, rest) = run(&["letters", "list", "--after", &next, "--json"]);
    let rest: Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!(rest["letters"].as_array().map(Vec::len), Some(1), "the other one: {rest}");
    let (_, shown) = run(&["letters", "show", &id, "--lang", "en"]);
    assert!(shown.contains("whose fault: the side that sent it") && !shown.contains("不办了"), "{shown}");
    let (exit, plan) = run(&["letters", "discard", &id, "--reason", "重复", "--lang", "en"]);
    assert!(exit == Some(0) && plan.contains("Nothing was done"), "{plan}");
    let (exit, done) = run(&["letters", "discard", &id, "--reason", "重复", "--apply", "--lang", "zh"]);
    assert!(exit == Some(0) && done.contains("已执行"), "{done}");
    let (exit, again) = run(&["letters", "requeue", &id, "--expires", "1h", "--apply", "--lang", "en"]);
    assert!(exit == Some(5) && again.contains("letter.settled"), "{again}");
    let (exit, none) = run(&["letters", "show", "00000000-0000-0000-0000-000000000000"]);
    assert!(exit == Some(4) && none.contains("letter.none"), "{none}");
    let (exit, foreign) = run(&["letters", "list", "--peer", "110000"]);
    assert!(exit == Some(4) && foreign.contains("channel.unknown"), "{foreign}");
}
