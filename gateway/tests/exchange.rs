//! The exchange core with both ends of it: what two nodes hold after everything that can happen to a
//! link, a disk or a partner. Every test drives real committers and links; `rig` says how.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[expect(dead_code, reason = "the rig also serves the tests to come: random faults, clocks that move, revocation")]
mod rig;

use gateway::committer::{Command, PeerStatement, Submitted};
use gateway::entry::RawEntry;
use gateway::id::Kind;
use gateway::refusal::RefusalCode;
use gateway::service::case::CaseState;
use gateway::signer::Signer as _;
use gateway::store::Table;
use gateway::store::memory::{FaultPlan, Operation, Unsynced};
use gateway::time::UnixMillis;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use rig::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_goes_from_receipt_to_rating_and_both_fold_it_alike() {
    let world = World::new(1);
    let (hunan, hubei, _line) = world.agreed().await;
    hunan.act("2026-1", Kind::CaseForward, forward(hunan.me)).await.unwrap();
    settled(&hunan, &hubei).await;
    let acts = [Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseReview, Kind::CaseGrant, Kind::CaseClose];
    for kind in acts {
        hubei.act("2026-1", kind, act(kind)).await.unwrap();
    }
    settled(&hunan, &hubei).await;
    hunan.act("2026-1", Kind::CaseRate, act(Kind::CaseRate)).await.unwrap();
    settled(&hunan, &hubei).await;
    for node in [&hunan, &hubei] {
        let case = node.case("2026-1");
        assert_eq!(case.state, CaseState::Closed);
        assert!(case.rating_competent.is_some());
        assert!(node.verdicts().iter().all(String::is_empty));
        assert_eq!(node.alarms(), 0);
    }
    assert!(hunan.case("2026-1").received.is_some(), "收件 at the window is the receiving place's own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_submitted_before_contact_is_durable_unsigned_and_sequenced_in_order() {
    let world = World::new(2);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    drop(hunan);
    let hunan = world.hunan.restart(Unsynced::Lost, 0);
    let before = hunan.out();
    let cases: Vec<String> = (0..20).map(|serial| format!("2026-{serial}")).collect();
    for case in &cases {
        let submitted = hunan.act(case, Kind::CaseForward, forward(hunan.me)).await.unwrap();
        assert_eq!(submitted.index, None);
    }
    assert_eq!((hunan.out().size, hunan.out().staged), (before.size, 20));
    assert_eq!(hunan.out().checkpoint, before.checkpoint, "nothing is signed before contact");
    // The process dies once more; acknowledged is durable.
    drop(hunan);
    let hunan = world.hunan.restart(Unsynced::Lost, 7);
    assert_eq!(hunan.out().staged, 20);
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    let forwarded: Vec<String> = hubei
        .headers(hubei.inbound().log)
        .into_iter()
        .filter_map(|header| header.case_id.map(|id| id.to_string()))
        .collect();
    assert_eq!(forwarded, cases);
    assert_eq!(hunan.rows().keys().filter(|(table, _)| *table == Table::Staged).count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_that_is_staged_and_sequenced_in_one_commit_does_not_come_back() {
    let world = World::new(3);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    drop(hunan);
    // A committer in line: the submission and the contact are one commit.
    let hunan = world.hunan.restart(Unsynced::Lost, 0);
    let submission = case_message(hunan.peer, "2026-1", Kind::CaseForward, forward(hunan.me));
    let copy = hubei.inbound().cosigned;
    let statement = PeerStatement { peer: hunan.peer, copy, cosigned_here_below: 0 };
    // Both are in the queue before the committer takes the first: its disk waits for us.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let mut held = Some(held);
    world.hunan.disk.plan(FaultPlan::decide(move |operation| {
        if let (Operation::Sync { .. }, Some(held)) = (operation, held.take()) {
            let _ = held.recv();
        }
        None
    }));
    let (reply, first) = tokio::sync::oneshot::channel();
    let consumer = "window".to_owned();
    let next = gateway::id::LogPosition { epoch: 0, index: 1 };
    let cursor = Command::Acknowledge { consumer, from: hunan.peer, next, reply };
    hunan.committer.queue(cursor).await.unwrap();
    let (reply, staged) = tokio::sync::oneshot::channel();
    hunan.committer.queue(Command::Submit { submission, reply }).await.unwrap();
    let (reply, contact) = tokio::sync::oneshot::channel();
    hunan.committer.queue(Command::Contact { statement, reply }).await.unwrap();
    drop(hold);
    first.await.unwrap().unwrap();
    assert_eq!(staged.await.unwrap().unwrap().index, None);
    contact.await.unwrap().unwrap();
    assert_eq!(hunan.out().staged, 0);
    assert_eq!(hunan.rows().keys().filter(|(table, _)| *table == Table::Staged).count(), 0);
    let rows = hunan.rows();
    drop(hunan);
    world.hunan.disk.drop_index();
    let hunan = world.hunan.restart(Unsynced::Lost, 0);
    assert_eq!(hunan.rows(), rows);
    assert_eq!(hunan.out().staged, 0);
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    assert_eq!(hunan.sent().iter().filter(|(kind, _)| kind == Kind::CaseForward.name()).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_is_answered_as_before_and_other_content_under_it_is_refused() {
    let world = World::new(4);
    let (hunan, hubei, line) = world.agreed().await;
    let with_alias = |case: &str| gateway::committer::Submission {
        alias: Some("order-1".into()),
        ..case_message(node(HUBEI), case, Kind::CaseForward, forward(node(HUNAN)))
    };
    let first = hunan.submit(with_alias("2026-1")).await.unwrap();
    assert!(!first.duplicate);
    let again = Submitted { duplicate: true, ..first };
    assert_eq!(hunan.submit(with_alias("2026-1")).await.unwrap(), again);
    let other = hunan.submit(with_alias("2026-2")).await.unwrap_err();
    assert_eq!(other.code, RefusalCode::DuplicateDifferent);
    settled(&hunan, &hubei).await;
    drop(line);
    drop(hunan);
    // After a restart,
    let hunan = world.hunan.restart(Unsynced::Lost, 3);
    assert_eq!(hunan.submit(with_alias("2026-1")).await.unwrap(), again);
    drop(hunan);
    // and after the store was lost: the draft is taken, and found to have been sent.
    world.hunan.disk.restore(&gateway::store::memory::MemoryDisk::new().snapshot());
    let hunan = world.hunan.start();
    let anew = hunan.submit(with_alias("2026-1")).await.unwrap();
    assert_eq!((anew.message_id, anew.index), (first.message_id, None));
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    assert_eq!(hunan.submit(with_alias("2026-1")).await.unwrap(), again);
    let other = hunan.submit(with_alias("2026-2")).await.unwrap_err();
    assert_eq!(other.code, RefusalCode::DuplicateDifferent);
    assert_eq!(hunan.sent().iter().filter(|(kind, _)| kind == Kind::CaseForward.name()).count(), 1);
    assert_eq!(hunan.alarms(), 1, "signed entries that the node did not remember");
}

// ---- a partner that misbehaves

/// Entries that a receiver must refuse, each with its code, in an order in which they can be judged.
fn misfits(hand: &mut Hand, good: &gateway::entry::Header) -> Vec<(&'static str, RefusalCode)> {
    let case_of = |header: &mut gateway::entry::Header, case: &str| {
        header.case_id = Some(case.parse().unwrap());
        header.agreement = good.agreement;
        header.standard = good.standard;
    };
    let payload = forward(node(HUNAN));
    let mut codes = Vec::new();
    let mut next = |name, code| codes.push((name, code));

    let (mut header, body) = hand.draft("case.forward", &payload);
    case_of(&mut header, "2026-2");
    header.agreement = None;
    hand.write((header, body));
    next("no agreement", RefusalCode::NoAgreement);

    let (mut header, body) = hand.draft("case.signfor", &act(Kind::CaseSignFor));
    case_of(&mut header, "2026-1");
    hand.write((header, body));
    next("wrong role", RefusalCode::CaseWrongRole);

    let (mut header, body) = hand.draft("case.forward", &payload);
    case_of(&mut header, "2026-3");
    header.expires = Some(UnixMillis(NOW.0 - 1));
    hand.write((header, body));
    next("expired", RefusalCode::Expired);

    let (header, body) = hand.draft("case.unheard", &payload);
    hand.write((header, body));
    next("unknown kind", RefusalCode::UnknownKind);

    hand.push(RawEntry { header: vec![0xff; 40].into(), body: None });
    next("malformed header", RefusalCode::MalformedHeader);

    let (mut header, body) = hand.draft("case.forward", b"\xff\xff\xff no protobuf");
    case_of(&mut header, "2026-4");
    hand.write((header, body));
    next("no protobuf", RefusalCode::MalformedPayload);

    let (mut header, body) = hand.draft("case.forward", &payload);
    case_of(&mut header, "2026-5");
    header.body_digest = gateway::document::document_digest(b"another");
    hand.write((header, body));
    next("body digest", RefusalCode::BodyDigest);

    let (mut header, body) = hand.draft("case.forward", &payload);
    case_of(&mut header, "2026-1");
    header.message_id = good.message_id;
    hand.write((header, body));
    next("duplicate", RefusalCode::Duplicate);

    let (mut header, body) = hand.draft("case.forward", &payload);
    case_of(&mut header, "2026-6");
    header.message_id = good.message_id;
    hand.write((header, body));
    next("duplicate, different", RefusalCode::DuplicateDifferent);

    let (mut header, body) = hand.draft("case.forward", &payload);
    case_of(&mut header, "2026-7");
    header.channel = header.channel.reverse();
    hand.write((header, body));
    next("another log's", RefusalCode::WrongChannel);

    let (mut header, body) = hand.draft("case.withdraw.ask", &act(Kind::CaseWithdrawAsk));
    case_of(&mut header, "2026-1");
    header.seen.index = 1000;
    hand.write((header, body));
    next("seen too much", RefusalCode::MalformedHeader);

    let document = signed(&stranger(HUNAN), "application/vnd.tongban.standard.v1+json", b"{}".to_vec());
    let (header, body) = hand.draft("standard.publish", &document);
    hand.write((header, body));
    next("a document that is none", RefusalCode::DocumentMalformed);

    let mut long = wire::CaseForward::decode(&payload[..]).unwrap();
    long.materials = vec![long.materials[0].clone(); 190];
    for material in &mut long.materials {
        material.recognition_rule = "r".repeat(500);
    }
    let (mut header, body) = hand.draft("case.forward", &long.encode_to_vec());
    case_of(&mut header, "2026-8");
    hand.write((header, body));
    next("too large for a row", RefusalCode::TooLarge);
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_cannot_take_effect_advances_the_channel_and_is_refused_once() {
    let world = World::new(5);
    let (hunan, hubei, line) = world.agreed().await;
    hunan.act("2026-1", Kind::CaseForward, forward(hunan.me)).await.unwrap();
    settled(&hunan, &hubei).await;
    drop(line);
    let mut hand = Hand::after(&world.hunan, &hunan);
    let good = hunan.headers(hunan.out().log).pop().unwrap();
    let copy = hunan.inbound().cosigned;
    let (held, answered) = (hand.entries.len(), hubei.out().size);
    drop(hunan);

    let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    let expected = misfits(&mut hand, &good);
    // A refusal that is refused is answered by nobody.
    hand.write_bent("refusal", b"\xff", |header| header.in_reply_to = Some(good.message_id));
    // And the channel goes on.
    hand.write_bent("case.withdraw.ask", &act(Kind::CaseWithdrawAsk), |header| {
        header.case_id = good.case_id.clone();
        header.agreement = good.agreement;
        header.standard = good.standard;
    });
    link.send(Frame::Batch(hand.batch(held))).await;
    assert_eq!(link.receipt().await.checkpoint().size, hand.entries.len() as u64);

    let verdicts = hubei.verdicts();
    for (place, (name, code)) in expected.iter().enumerate() {
        assert_eq!(verdicts[held + place], code.code(), "{name}");
    }
    let rest = &verdicts[held + expected.len()..];
    assert_eq!(rest, [RefusalCode::MalformedPayload.code(), ""]);
    let answer =
        |(place, (_, code)): (usize, &(_, RefusalCode))| ((held + place) as u64, code.code().to_owned());
    let refusals: Vec<_> = expected.iter().enumerate().map(answer).collect();
    assert_eq!(hubei.refusals(hubei.out().log), refusals);
    assert_eq!(hubei.out().size, answered + refusals.len() as u64, "one answer each, and nothing else");
    assert!(hubei.case("2026-1").withdrawal_asked);
    drop(link);

    // The node itself knows nothing of what was sent in its name: it takes it back with an alarm, and
    // the refusals with it.
    let hunan = world.hunan.restart(Unsynced::Lost, 0);
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    assert_eq!(hunan.alarms(), 1);
    assert_eq!(hunan.out().size, hand.entries.len() as u64);
    let row = hunan.archive.message(world.hunan.out(), good.message_id).unwrap().unwrap();
    assert_eq!(row.refused, "", "the first message under the id stands");
    // Judged again after a loss, every verdict is the first one.
    hubei_lost_everything(&world, &hunan, hubei, &verdicts).await;
}

async fn hubei_lost_everything(world: &World, hunan: &Node, hubei: Node, verdicts: &[String]) {
    drop(hubei);
    world.hubei.disk.restore(&gateway::store::memory::MemoryDisk::new().snapshot());
    let hubei = world.hubei.start();
    let _line = connect(&hubei, hunan);
    settled(hunan, &hubei).await;
    assert_eq!(hubei.verdicts(), verdicts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_does_not_fit_ends_the_link_with_its_code_and_stops_nothing() {
    let world = World::new(6);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let mut hand = Hand::after(&world.hunan, &hunan);
    let copy = hunan.inbound().cosigned;
    let held = hand.entries.len();
    drop(hunan);
    for _ in 0..2 {
        hand.write_bent("refusal", b"", |_| ());
    }
    let good = || hand.batch(held);
    let strange = stranger(HUNAN);
    let strange = hand.note_of(hand.frontier.size(), hand.frontier.root(), &strange);
    let late = String::from_utf8(good().checkpoint.to_vec()).unwrap();
    let late = late.replacen(&hand.time.0.to_string(), &(hand.time.0 + 1).to_string(), 1);
    let bad = [
        (
            wire::Batch { first: held as u64 + 1, entries: good().entries[1..].to_vec(), ..good() },
            RefusalCode::WrongIndex,
        ),
        (wire::Batch { first: held as u64 + 1, ..good() }, RefusalCode::WrongIndex),
        (wire::Batch { epoch: 1, ..good() }, RefusalCode::WrongEpoch),
        (wire::Batch { checkpoint: late.into_bytes().into(), ..good() }, RefusalCode::BadSignature),
        (wire::Batch { checkpoint: strange.text().into_bytes().into(), ..good() }, RefusalCode::UnknownKey),
        (wire::Batch { checkpoint: b"no note".to_vec().into(), ..good() }, RefusalCode::BadCheckpoint),
    ];
    for (batch, code) in bad {
        let link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
        link.send(Frame::Batch(batch)).await;
        assert_eq!(link.ended().await, Some(code));
        assert_eq!(hubei.inbound().size, held as u64);
        assert!(hubei.inbound().stopped.is_none());
    }
    let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    link.send(Frame::Batch(good())).await;
    assert_eq!(link.receipt().await.checkpoint().size, held as u64 + 2);
    assert!(hubei.stops().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_cryptography_and_forks_stop_one_channel_with_evidence_until_it_is_resumed() {
    let world = World::new(7);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let copy = hunan.inbound().cosigned;
    let new_hand = || Hand::after(&world.hunan, &hunan);
    let mut hand = new_hand();
    let held = hand.entries.len();
    hand.write_bent("refusal", b"", |_| ());
    let mut other = new_hand();
    other.write_bent("refusal", b"other", |_| ());
    let size = hand.frontier.size();
    let false_root = hand.note_of(size, [9; 32], &world.hunan.signer).text().into_bytes();
    let mismatch = wire::Batch { checkpoint: false_root.clone().into(), ..hand.batch(held) };
    let head_only = wire::Batch { first: size, entries: Vec::new(), checkpoint: false_root.into(), epoch: 0 };
    let stops = [
        (mismatch, RefusalCode::RootMismatch),
        (other.batch(held), RefusalCode::Fork),
        (head_only, RefusalCode::Fork),
    ];
    for (count, (batch, code)) in stops.into_iter().enumerate() {
        let checkpoint = batch.checkpoint.clone();
        let link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
        link.send(Frame::Batch(batch)).await;
        assert_eq!(link.ended().await, Some(code));
        assert_eq!(hubei.inbound().stopped.map(|stop| stop.code), Some(code));
        let stop = hubei.stops().pop().unwrap();
        assert_eq!((stop.from.as_str(), stop.code.as_str()), (HUNAN, code.code()));
        assert_eq!(stop.evidence[0], checkpoint);
        assert_eq!(stop.evidence.len(), 2, "what was held against it is kept too");

        // It stays stopped after a restart; the other direction goes on.
        let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
        let case = format!("back-{count}");
        hubei.act(&case, Kind::CaseForward, forward(hubei.me)).await.unwrap();
        assert!(matches!(link.next().await, Some(Frame::Batch(_))), "the reverse channel is delivered");
        link.send(Frame::Batch(hand.batch(held))).await;
        assert_eq!(link.ended().await, Some(RefusalCode::ChannelStopped));

        hubei.resume(world.hunan.out()).await;
        hubei.links.close(hubei.peer, RefusalCode::Fenced);
        let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
        link.send(Frame::Batch(hand.batch(held))).await;
        assert_eq!(link.receipt().await.checkpoint().size, size);
        assert!(hubei.inbound().stopped.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_shows_another_history_of_our_log_stops_it_and_may_still_write_to_us() {
    let world = World::new(8);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let mut hand = Hand::after(&world.hunan, &hunan);
    let held = hand.entries.len();
    hand.write_bent("refusal", b"", |_| ());
    let copy = hunan.inbound().cosigned;
    // As if hubei had signed this, and hunan had taken it.
    let of_hubei = Hand::after(&world.hubei, &hubei);
    let forked = of_hubei.note_of(of_hubei.frontier.size(), [9; 32], &world.hubei.signer);
    let message = gateway::log::checkpoint::cosigned_message(1, &forked.checkpoint().body());
    let key = world.hunan.signer.public_key();
    let cosignature = world.hunan.signer.sign(&message).unwrap();
    let forked = forked.with_cosignature(world.hunan.signer.name(), key, 1, &cosignature);

    let mut link = RawLink::dial(&hubei, &world.hunan.signer, Some(&forked)).await;
    link.send(Frame::Batch(hand.batch(held))).await;
    assert_eq!(link.receipt().await.checkpoint().size, held as u64 + 1);
    assert_eq!(hubei.out().stopped.map(|stop| stop.code), Some(RefusalCode::Fork));
    let refused = hubei.act("back-1", Kind::CaseForward, forward(hubei.me)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::ChannelStopped);
    assert_eq!(hubei.stops().pop().unwrap().evidence.len(), 2);
    drop(link);

    // Resumed and shown the true copy, it goes on. A receipt for what was never signed stops it again.
    hubei.resume(world.hubei.out()).await;
    hubei.links.close(hubei.peer, RefusalCode::Fenced);
    let link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    hubei.act("back-1", Kind::CaseForward, forward(hubei.me)).await.unwrap();
    link.send(Frame::Cosigned(wire::Cosigned { epoch: 0, checkpoint: forked.text().into_bytes().into() }))
        .await;
    assert_eq!(link.ended().await, Some(RefusalCode::CosignatureUnknown));
    assert_eq!(hubei.out().stopped.map(|stop| stop.code), Some(RefusalCode::CosignatureUnknown));
}
