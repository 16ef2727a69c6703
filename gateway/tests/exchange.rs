//! The exchange core with both ends of it: what two nodes hold after everything that can happen to a
//! link, a disk or a partner. Every test drives real committers and links; `rig` says how.
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

#[expect(unreachable_pub, reason = "a test's rig is a module of its binary alone")]
mod rig;

use gateway::blobs::Blobs;
use gateway::clock::Clock as _;
use gateway::committer::{Command, PeerStatement, Submitted};
use gateway::entry::RawEntry;
use gateway::id::{Kind, MessageId};
use gateway::limits::BLOB_UNNAMED_MILLIS_MAX;
use gateway::refusal::RefusalCode;
use gateway::service::blob::Attachment;
use gateway::service::case::CaseState;
use gateway::service::person::Personal;
use gateway::signer::Signer as _;
use gateway::store::Table;
use gateway::store::blobs::BlobStore;
use gateway::store::memory::{Crash, Fault, FaultPlan, Operation, Unsynced};
use gateway::threads::Threads;
use gateway::time::UnixMillis;
use gateway::wire::attachments::attach;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use rig::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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
    let statement = PeerStatement { peer: hunan.peer, copy, cosigned_here_below: 0, turn: 0, life: [0; 16] };
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
    same_rows(&rows, &hunan.rows());
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

// ---- disks that fail

/// The faults that are tried at each write and sync in turn.
fn fault(number: usize) -> Fault {
    let cut = |unsynced| Fault::PowerCut(Crash { unsynced, index_batches_lost: number % 3 });
    match number % 6 {
        0 => Fault::Fail,
        1 => Fault::FailButPersist,
        2 => cut(Unsynced::Lost),
        3 => cut(Unsynced::Kept),
        4 => cut(Unsynced::Prefix(100)),
        _ => Fault::Torn(64),
    }
}

/// Fails the `at`-th write or sync from now on, once; tells how many there were.
fn fail_at(site: &Site, at: usize, fault: Fault) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    site.disk.plan(FaultPlan::decide(move |operation| match operation {
        Operation::Write { .. } | Operation::Sync { .. } | Operation::IndexApply { .. } => {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            (number == at).then_some(fault)
        }
        _ => None,
    }));
    count
}

const STREAM: usize = 8;

/// The alias of a submission, which says whether it was acknowledged.
fn numbered(number: usize) -> gateway::committer::Submission {
    let case = format!("2026-{number}");
    gateway::committer::Submission {
        alias: Some(format!("order-{number}")),
        ..case_message(node(HUBEI), &case, Kind::CaseForward, forward(node(HUNAN)))
    }
}

/// Streams submissions from hunan to hubei while one disk fails at its `at`-th write. Returns whether
/// the fault struck.
async fn stream_through_a_fault(at: usize, sender_fails: bool) -> bool {
    let world = World::new(100 + at as u64);
    let (mut hunan, mut hubei, line) = world.agreed().await;
    let mut line = Telephone(Some(line));
    let victim = if sender_fails { &world.hunan } else { &world.hubei };
    let count = fail_at(victim, at, fault(at));
    let mut acknowledged = Vec::new();
    for number in 0..STREAM {
        loop {
            match hunan.submit(numbered(number)).await {
                Ok(submitted) => break acknowledged.push(submitted.message_id),
                Err(refusal) => assert_eq!(refusal.code, RefusalCode::StoreUnknown, "{refusal}"),
            }
            // The outcome is unknown: the process stops, reads its journal and is asked again.
            hunan = world.hunan.restart(Unsynced::Kept, 1);
            line.dial(&hunan, &hubei).await;
        }
        if number % 3 == 2 {
            let sent = hunan.out().size;
            let everything =
                |snapshot: &gateway::committer::Snapshot| snapshot.inbound[&node(HUNAN)].size >= sent;
            // Whoever breaks on the way is started again. A sender that broke after its answer delivers
            // nothing more, so waiting for the receiver alone would be waiting for ever.
            loop {
                let arrived = tokio::select! {
                    arrived = hubei.reaches(everything) => arrived,
                    () = hunan.ends() => {
                        hunan = world.hunan.restart(Unsynced::Kept, 1);
                        line.dial(&hunan, &hubei).await;
                        continue;
                    }
                };
                if arrived {
                    break;
                }
                hubei = world.hubei.restart(Unsynced::Kept, 1);
                line.dial(&hubei, &hunan).await;
            }
        }
    }
    // From here on nothing fails, so that whoever is whole now stays whole.
    victim.disk.plan(FaultPlan::none());
    let struck = count.load(Ordering::SeqCst) > at;
    // Whoever broke at the very end is started again.
    if hunan.broken().await {
        hunan = world.hunan.restart(Unsynced::Kept, 0);
    }
    if hubei.broken().await {
        hubei = world.hubei.restart(Unsynced::Kept, 0);
    }
    line.dial(&hunan, &hubei).await;
    settled(&hunan, &hubei).await;
    let forwards: Vec<MessageId> = hubei
        .headers(hubei.inbound().log)
        .into_iter()
        .filter(|header| header.kind == Kind::CaseForward.name())
        .map(|header| header.message_id)
        .collect();
    assert_eq!(forwards, acknowledged, "all there, in order, none twice (fault at {at})");
    assert!(hubei.verdicts().iter().all(String::is_empty));
    for number in 0..STREAM {
        assert_eq!(hubei.case(&format!("2026-{number}")).state, CaseState::Forwarded);
    }
    assert_eq!((hunan.alarms(), hubei.alarms()), (0, 0), "a crash is no loss");
    struck
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_whose_disk_fails_anywhere_takes_everything_once() {
    let mut at = 0;
    while stream_through_a_fault(at, false).await {
        at += 1;
    }
    assert!(at >= 6, "the faults reach to the end of the stream, not only to {at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_whose_disk_fails_anywhere_sends_everything_once() {
    let mut at = 0;
    while stream_through_a_fault(at, true).await {
        at += 1;
    }
    assert!(at >= 6, "the faults reach to the end of the stream, not only to {at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room_again() {
    let world = World::new(20);
    let (hunan, hubei, line) = world.agreed().await;
    let used: u64 = world.hunan.disk.files().iter().map(|(_, bytes)| bytes).sum();
    world.hunan.disk.set_capacity(Some(used));
    let mut taken = 0;
    let refused = loop {
        match hunan.submit(numbered(taken)).await {
            Ok(_) => taken += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refused.code, RefusalCode::StoreFull);
    world.hunan.disk.set_capacity(None);
    drop(line);
    let _line = connect(&hunan, &hubei);
    assert!(!hunan.submit(numbered(taken)).await.unwrap().duplicate, "nothing of it was kept");
    settled(&hunan, &hubei).await;
    assert_eq!(hubei.cases().len(), taken + 1);
    assert_eq!(signatures(&hunan), 2, "readers of the documents see the same ones as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_lost_is_rebuilt_as_it_was() {
    let world = World::new(21);
    let (hunan, hubei, line) = world.agreed().await;
    turbulent(&world, &hunan, &hubei, line).await;
    for (site, node) in [(&world.hunan, hunan), (&world.hubei, hubei)] {
        let rows = node.rows();
        let verdicts = node.verdicts();
        drop(node);
        site.disk.drop_index();
        let node = site.restart(Unsynced::Lost, 0);
        assert!(node.replayed > 10);
        same_rows(&rows, &node.rows());
        assert_eq!(node.verdicts(), verdicts);
    }
}

// ---- backups

/// A life with crossings: entries refused, entries that later facts would make invalid, an entry that
/// expired on its way. Both nodes end connected and settled, and without a line.
async fn turbulent(world: &World, hunan: &Node, hubei: &Node, line: Line) {
    for case in ["t-1", "t-2", "t-3"] {
        hunan.act(case, Kind::CaseForward, forward(hunan.me)).await.unwrap();
    }
    hubei.act("b-1", Kind::CaseForward, forward(hubei.me)).await.unwrap();
    // Asked while it could be; what follows would forbid it.
    hunan.act("t-1", Kind::CaseWithdrawAsk, act(Kind::CaseWithdrawAsk)).await.unwrap();
    settled(hunan, hubei).await;
    hubei.act("t-1", Kind::CaseWithdrawConfirm, act(Kind::CaseWithdrawConfirm)).await.unwrap();
    hubei.act("t-1", Kind::CaseClose, act(Kind::CaseClose)).await.unwrap();
    settled(hunan, hubei).await;
    drop(line);
    // While nobody hears the other, the competent place decides and the applicant withdraws.
    for kind in [Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseReview, Kind::CaseDeny] {
        hubei.act("t-2", kind, act(kind)).await.unwrap();
    }
    hunan.act("t-2", Kind::CaseWithdrawAsk, act(Kind::CaseWithdrawAsk)).await.unwrap();
    let late = case_message(hunan.peer, "t-4", Kind::CaseForward, forward(hunan.me));
    let expires = Some(hunan.clock.now().plus_millis(5_000));
    hunan.submit(gateway::committer::Submission { expires, ..late }).await.unwrap();
    world.pass(10_000);
    let line = connect(hubei, hunan);
    settled(hunan, hubei).await;
    hunan.act("t-2", Kind::CaseRate, act(Kind::CaseRate)).await.unwrap();
    hubei.act("t-2", Kind::CaseClose, act(Kind::CaseClose)).await.unwrap();
    hunan.act("t-4", Kind::CaseForward, forward(hunan.me)).await.unwrap();
    hunan.act("b-1", Kind::CaseSignFor, act(Kind::CaseSignFor)).await.unwrap();
    settled(hunan, hubei).await;
    drop(line);
    let mut refused: Vec<String> = hubei.verdicts();
    refused.retain(|verdict| !verdict.is_empty());
    assert_eq!(refused, [RefusalCode::CaseWrongState.code(), RefusalCode::Expired.code()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_restored_from_any_backup_recovers_its_log_and_judges_as_it_did() {
    for (seed, total_loss) in [(30, false), (31, true)] {
        let world = World::new(seed);
        let empty = (world.hunan.disk.snapshot(), world.hubei.disk.snapshot());
        let (hunan, hubei, line) = world.agreed().await;
        let backup =
            if total_loss { empty } else { (world.hunan.disk.snapshot(), world.hubei.disk.snapshot()) };
        turbulent(&world, &hunan, &hubei, line).await;
        let first = (hunan.verdicts(), hubei.verdicts());
        let cases = hunan.cases();
        world.pass(1_000_000);

        drop(hubei);
        world.hubei.disk.restore(&backup.1);
        let hubei = world.hubei.start();
        let line = connect(&hunan, &hubei);
        settled(&hunan, &hubei).await;
        assert_eq!((hunan.verdicts(), hubei.verdicts()), first.clone());
        assert_eq!(hubei.alarms(), 1);
        assert_eq!((hunan.cases(), hubei.cases()), (cases.clone(), cases.clone()));

        drop(line);
        drop(hunan);
        world.hunan.disk.restore(&backup.0);
        let hunan = world.hunan.start();
        // What is submitted meanwhile waits until everything is back.
        hunan.act("t-3", Kind::CaseWithdrawAsk, act(Kind::CaseWithdrawAsk)).await.unwrap();
        assert_eq!(hunan.out().staged, 1);
        let _line = connect(&hubei, &hunan);
        settled(&hunan, &hubei).await;
        assert_eq!((hunan.alarms(), hubei.alarms()), (1, 1));
        let (mut judged, mut expected) = ((hunan.verdicts(), hubei.verdicts()), first);
        assert_eq!(judged.1.pop().as_deref(), Some(""), "the withdrawal came after, and stands");
        assert_eq!(judged, expected);
        assert!(hubei.case("t-3").withdrawal_asked);
        // The restored node goes on like any other.
        for kind in [Kind::CaseWithdrawConfirm, Kind::CaseClose] {
            hubei.act("t-3", kind, act(kind)).await.unwrap();
        }
        settled(&hunan, &hubei).await;
        expected.0.extend([String::new(), String::new()]);
        assert_eq!(hunan.verdicts(), expected.0);
        assert_eq!(hunan.case("t-3").state, CaseState::Closed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_that_is_cut_at_any_frame_goes_on_at_the_next_link() {
    let world = World::new(32);
    let (hunan, hubei, line) = world.agreed().await;
    for number in 0..6 {
        hunan.submit(numbered(number)).await.unwrap();
        hubei.act(&format!("b-{number}"), Kind::CaseForward, forward(hubei.me)).await.unwrap();
        settled(&hunan, &hubei).await;
    }
    let (rows, verdicts) = (hubei.cases(), hubei.verdicts());
    drop(line);
    drop(hubei);
    world.hubei.disk.restore(&gateway::store::memory::MemoryDisk::new().snapshot());
    let mut hubei = world.hubei.start();
    for frames in 2..9 {
        let left = Arc::new(AtomicUsize::new(frames));
        let tap: Tap = Arc::new(move |_, frame| {
            let none = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if none.is_ok() { vec![frame] } else { vec![close(RefusalCode::LinkBroken)] }
        });
        let line = connect_with(&hunan, &hubei, Arc::default(), tap);
        tokio::select! {
            ends = line.ended() => assert!(ends.iter().all(Result::is_err)),
            () = settled(&hunan, &hubei) => assert!(frames > 4, "nothing was cut"),
        }
        if frames % 3 == 0 {
            drop(hubei);
            hubei = world.hubei.restart(Unsynced::Lost, 2);
        }
    }
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    assert_eq!((hubei.cases(), hubei.verdicts()), (rows, verdicts));
}

/// The blobs of a node, in a folder of their own.
fn blobs_of(node: &Node, folder: &std::path::Path) -> Arc<Blobs> {
    let store = BlobStore::open(folder, 0).unwrap();
    let (archive, snapshot) = (Arc::clone(&node.archive), Arc::clone(&node.snapshot));
    Arc::new(Blobs::new(store, archive, node.committer.clone(), snapshot, Arc::default(), Threads::Many))
}

/// Uploads a file; what names it, and whether it was here already.
async fn upload(blobs: &Arc<Blobs>, content: &'static [u8]) -> (Attachment, bool) {
    let mut upload = blobs.upload().await.unwrap();
    upload.write(content.into()).await.unwrap();
    let (blob, duplicate) = upload.finish().await.unwrap();
    let (name, media_type) = (Personal::new("a.pdf"), String::new());
    (Attachment { digest: blob.digest, length: blob.length, name, media_type }, duplicate)
}

fn naming(from: &Node, case: &str, blob: &Attachment) -> gateway::committer::Submission {
    let payload = attach(&forward(from.me), std::slice::from_ref(blob));
    case_message(from.peer, case, Kind::CaseForward, payload.to_vec())
}

async fn give_up(node: &Node, blob: &Attachment) -> usize {
    let blobs = vec![blob.digest];
    node.committer.ask(|reply| Command::GiveBlobsUp { blobs, reply }).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_nobody_names_is_given_up_and_one_that_somebody_may_name_is_kept() {
    let world = World::new(40);
    let folder = tempfile::tempdir().unwrap();
    let (hunan, hubei, line) = world.agreed().await;
    let blobs = blobs_of(&hunan, folder.path());
    let (forgotten, _) = upload(&blobs, b"forgotten").await;
    let (named, _) = upload(&blobs, b"named").await;
    let (renewed, _) = upload(&blobs, b"renewed").await;
    hunan.submit(naming(&hunan, "2026-1", &named)).await.unwrap();
    settled(&hunan, &hubei).await;

    world.pass(BLOB_UNNAMED_MILLIS_MAX - 1);
    assert_eq!(blobs.sweep(world.clock.now()).await.unwrap(), 0);
    assert!(upload(&blobs, b"renewed").await.1, "it was here, and counts from now on");
    world.pass(1);
    // Whatever the sweeper thinks, the committer judges.
    assert_eq!(give_up(&hunan, &named).await + give_up(&hunan, &renewed).await, 0);
    assert_eq!(blobs.sweep(world.clock.now()).await.unwrap(), 1);
    assert_eq!(blobs.held_bytes(&forgotten.digest), 0);
    for kept in [&named, &renewed] {
        assert_eq!(blobs.held_bytes(&kept.digest), kept.length);
    }
    let refused = hunan.submit(naming(&hunan, "2026-2", &forgotten)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::BlobUnknown);
    assert_eq!(upload(&blobs, b"forgotten").await, (forgotten.clone(), false));
    hunan.submit(naming(&hunan, "2026-2", &forgotten)).await.unwrap();
    settled(&hunan, &hubei).await;

    // A replay comes to the same rows.
    let rows = hunan.rows();
    drop((line, blobs, hunan));
    world.hunan.disk.drop_index();
    let hunan = world.hunan.restart(Unsynced::Lost, 0);
    same_rows(&rows, &hunan.rows());

    // Before contact an entry of our own that only the partner remembers may name it.
    world.pass(BLOB_UNNAMED_MILLIS_MAX);
    let blobs = blobs_of(&hunan, folder.path());
    assert_eq!(blobs.sweep(world.clock.now()).await.unwrap(), 0);
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    assert_eq!(blobs.sweep(world.clock.now()).await.unwrap(), 1);
    assert_eq!(blobs.held_bytes(&renewed.digest), 0);
    for kept in [&named, &forgotten] {
        assert_eq!(blobs.held_bytes(&kept.digest), kept.length);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_crash_left_before_its_commit_is_removed_and_what_any_fact_names_is_kept() {
    let world = World::new(42);
    let folder = tempfile::tempdir().unwrap();
    let (hunan, hubei, _line) = world.agreed().await;
    let blobs = blobs_of(&hunan, folder.path());
    let (unnamed, _) = upload(&blobs, b"uploaded and not named yet").await;
    let (named, _) = upload(&blobs, b"named").await;
    hunan.submit(naming(&hunan, "2026-1", &named)).await.unwrap();
    settled(&hunan, &hubei).await;
    // What a crash between the last rename and the commit leaves: the folder knows it, the journal not.
    let left = gateway::store::blobs::BlobStore::open(folder.path(), 0).unwrap();
    let mut half = left.upload().unwrap();
    half.write(b"whole and unknown").unwrap();
    let unknown = half.finish().unwrap().blob.digest;
    assert!(blobs.held_bytes(&unknown) > 0);

    assert_eq!(blobs.remove_unknown().await.unwrap(), 1);
    assert_eq!(blobs.held_bytes(&unknown), 0);
    for kept in [&unnamed, &named] {
        assert_eq!(blobs.held_bytes(&kept.digest), kept.length);
    }
    assert_eq!(blobs.remove_unknown().await.unwrap(), 0, "nothing is left to remove");
    assert!(!upload(&blobs, b"whole and unknown").await.1, "whoever uploads it again brings it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_a_file_is_removed_leaves_it_to_the_next_sweep_or_to_who_uploads_it_again() {
    let world = World::new(41);
    let folder = tempfile::tempdir().unwrap();
    let (hunan, hubei, line) = world.agreed().await;
    let blobs = blobs_of(&hunan, folder.path());
    let (forgotten, _) = upload(&blobs, b"forgotten").await;
    let (remembered, _) = upload(&blobs, b"remembered").await;
    settled(&hunan, &hubei).await;
    world.pass(BLOB_UNNAMED_MILLIS_MAX);
    assert_eq!(give_up(&hunan, &forgotten).await + give_up(&hunan, &remembered).await, 2);
    drop((line, blobs, hunan));
    let hunan = world.hunan.restart(Unsynced::Lost, 3);
    let blobs = blobs_of(&hunan, folder.path());
    let refused = hunan.submit(naming(&hunan, "2026-1", &remembered)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::BlobUnknown, "given up, though the file is there");
    upload(&blobs, b"remembered").await;
    assert_eq!(blobs.sweep(world.clock.now()).await.unwrap(), 1);
    assert_eq!(blobs.held_bytes(&forgotten.digest), 0);
    assert_eq!(blobs.held_bytes(&remembered.digest), remembered.length);
    assert_eq!(blobs.sweep(world.clock.now()).await.unwrap(), 0, "nothing is left to remove");
    hunan.submit(naming(&hunan, "2026-1", &remembered)).await.unwrap();
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
}

fn close(code: RefusalCode) -> wire::Frame {
    let close = wire::Close { code: code.code().into(), message: String::new() };
    wire::Frame { kind: Some(Frame::Close(close)) }
}

// ---- links

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_loses_its_standing_loses_its_link_and_is_heard_no_more() {
    let world = World::new(40);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let standing = Arc::new(Switch::default());
    let line = connect_with(&hunan, &hubei, Arc::clone(&standing), Arc::new(|_, frame| vec![frame]));
    hunan.submit(numbered(0)).await.unwrap();
    settled(&hunan, &hubei).await;
    let size = hubei.inbound().size;
    standing.revoke();
    hunan.submit(numbered(1)).await.unwrap();
    let ends = line.ended().await;
    assert!(ends.iter().all(|end| end.as_ref().is_err_and(|end| end.code == RefusalCode::NotTrusted)));
    assert_eq!(hubei.inbound().size, size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_signing_key_is_suspended_writes_nothing_more() {
    let world = World::new(41);
    let (hunan, hubei, line) = world.agreed().await;
    let size = hubei.inbound().size;
    // Swapped twice: a verdict is never taken for that of another trust store.
    world.hubei.trust.store(Arc::new(trust(&[])));
    world.hubei.trust.store(Arc::new(trust(&[HUNAN])));
    hunan.submit(numbered(0)).await.unwrap();
    let [_, hubei_end] = line.ended().await;
    assert_eq!(hubei_end.unwrap_err().code, RefusalCode::NotTrusted);
    assert_eq!(hubei.inbound().size, size);
    let ends = connect(&hunan, &hubei).ended().await;
    assert!(ends.iter().all(|end| end.as_ref().is_err_and(|end| end.code == RefusalCode::NotTrusted)));
    // Trusted again, it goes on where it was.
    world.hubei.trust.store(Arc::new(trust(&[])));
    let _line = connect(&hunan, &hubei);
    settled(&hunan, &hubei).await;
    assert_eq!(hubei.inbound().size, size + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_a_link_that_waits_for_a_peer_who_does_not_read() {
    let world = World::new(42);
    let (hunan, hubei, line) = world.agreed().await;
    drop(line);
    let copy = hunan.inbound().cosigned;
    let mut link = RawLink::dial(&hubei, &world.hunan.signer, copy.as_ref()).await;
    for number in 0..100 {
        // Nobody takes what hubei sends.
        hubei.act(&format!("b-{number}"), Kind::CaseForward, forward(hubei.me)).await.unwrap();
    }
    hubei.links.close(hubei.peer, RefusalCode::NotTrusted);
    link.from.close();
    assert_eq!(link.ended().await, Some(RefusalCode::NotTrusted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_come_twice_or_in_another_order_do_no_harm() {
    for seed in 50..56 {
        let world = World::new(seed);
        let (hunan, hubei, line) = world.agreed().await;
        drop(line);
        let random = Arc::new(Seeded::new(seed));
        let kept: Arc<Mutex<Vec<(gateway::id::NodeId, wire::Frame)>>> = Arc::default();
        let tap: Tap = Arc::new(move |from, frame| {
            if !matches!(frame.kind, Some(Frame::Batch(_) | Frame::Cosigned(_))) {
                return vec![frame];
            }
            let mut kept = kept.lock().unwrap();
            let own = kept.iter().position(|(author, _)| *author == from);
            match random.below(4) {
                0 => vec![frame.clone(), frame],
                // Held back until the next one overtakes it.
                1 if own.is_none() => {
                    kept.push((from, frame));
                    Vec::new()
                }
                _ => {
                    let earlier = own.map(|place| kept.remove(place).1);
                    [Some(frame), earlier].into_iter().flatten().collect()
                }
            }
        });
        let mut number = 0;
        for _ in 0..6 {
            let line = connect_with(&hunan, &hubei, Arc::default(), Arc::clone(&tap));
            for _ in 0..5 {
                hunan.submit(numbered(number)).await.unwrap();
                let case = format!("b-{number}");
                hubei.act(&case, Kind::CaseForward, forward(hubei.me)).await.unwrap();
                number += 1;
            }
            drop(line);
        }
        let _line = connect(&hunan, &hubei);
        settled(&hunan, &hubei).await;
        assert_eq!(hubei.cases().len(), 2 * number);
        assert!(hubei.stops().is_empty() && hunan.stops().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_stated_to_a_new_life_of_the_peer_takes_nothing_that_an_older_life_sent() {
    let world = World::new(61);
    let (hunan, hubei, line) = world.agreed().await;
    let size = hubei.inbound().size;
    // As if a later link had come and been told the size, and this one had not noticed yet.
    let (peer, turn, to) = (hubei.peer, 1000, Some([9; 16]));
    hubei.committer.ask(|reply| Command::State { peer, turn, to, reply }).await.unwrap();
    hunan.submit(numbered(0)).await.unwrap();
    let ends = line.ended().await;
    assert!(ends.iter().any(|end| end.as_ref().is_err_and(|end| end.code == RefusalCode::Fenced)));
    assert_eq!(hubei.inbound().size, size, "nothing was added to what was stated");
    let (turn, to) = (999, Some([9; 16]));
    let earlier = hubei.committer.ask(|reply| Command::State { peer, turn, to, reply }).await;
    assert_eq!(earlier.unwrap_err().code, RefusalCode::Fenced, "an older link states nothing any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_link_fences_older_ones_and_two_that_dial_at_once_end_with_one() {
    let world = World::new(60);
    let (hunan, hubei, line) = world.agreed().await;
    let newer = connect(&hubei, &hunan);
    let ends = line.ended().await;
    assert!(ends.iter().all(|end| end.as_ref().is_err_and(|end| end.code == RefusalCode::Fenced)));
    hunan.submit(numbered(0)).await.unwrap();
    settled(&hunan, &hubei).await;
    newer.hang_up().await;
    for round in 1..20 {
        let one = connect(&hunan, &hubei);
        let other = connect(&hubei, &hunan);
        hunan.submit(numbered(round)).await.unwrap();
        hubei.act(&format!("b-{round}"), Kind::CaseForward, forward(hubei.me)).await.unwrap();
        settled(&hunan, &hubei).await;
        // While one takes the other's place, a side may be between the two.
        hunan.is_linked().await;
        hubei.is_linked().await;
        one.hang_up().await;
        other.hang_up().await;
    }
}

// ---- everything at once

/// At most one line at a time, the older one hung up before the next is dialled.
struct Telephone(Option<Line>);

impl Telephone {
    async fn hang_up(&mut self) {
        if let Some(line) = self.0.take() {
            line.hang_up().await;
        }
    }

    async fn dial(&mut self, dialler: &Node, acceptor: &Node) {
        self.hang_up().await;
        self.0 = Some(connect(dialler, acceptor));
    }
}

/// Random submissions both ways, cuts, crashes and restored backups.
async fn anything_may_happen(seed: u64) {
    let world = World::new(seed);
    let random = Seeded::new(seed ^ 0xdead_beef);
    let (hunan, hubei, line) = world.agreed().await;
    let mut nodes = [hunan, hubei];
    let sites = [&world.hunan, &world.hubei];
    let mut line = Telephone(Some(line));
    let mut backups = [world.hunan.disk.snapshot(), world.hubei.disk.snapshot()];
    let mut acknowledged: [Vec<MessageId>; 2] = Default::default();
    let mut number = 0;
    for _ in 0..60 {
        let who = random.below(2) as usize;
        match random.below(20) {
            0..=8 => {
                for _ in 0..=random.below(4) {
                    number += 1;
                    let from = &nodes[who];
                    let case = format!("r-{number}");
                    if let Ok(submitted) = from.act(&case, Kind::CaseForward, forward(from.me)).await {
                        acknowledged[who].push(submitted.message_id);
                    }
                }
            }
            // An act on any case of the other's: often refused at once, sometimes by the other.
            9..=12 => {
                let kinds = [Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseWithdrawAsk, Kind::CaseReview];
                let kind = kinds[random.below(4) as usize];
                let case = format!("r-{}", random.below(number + 1));
                // Before contact everything is taken, and perhaps dropped at its turn.
                let submitted = nodes[who].act(&case, kind, act(kind)).await;
                if let Ok(Submitted { index: Some(_), message_id, .. }) = submitted {
                    acknowledged[who].push(message_id);
                }
            }
            13 => line.hang_up().await,
            14..=15 => line.dial(&nodes[who], &nodes[1 - who]).await,
            16 => world.pass(random.below(2_000)),
            17..=18 => {
                // A power cut during a write, or between two.
                if random.below(2) == 0 {
                    let cut =
                        Fault::PowerCut(Crash { unsynced: Unsynced::Prefix(99), index_batches_lost: 1 });
                    fail_at(sites[who], random.below(6) as usize, cut);
                    number += 1;
                    let from = &nodes[who];
                    let case = format!("r-{number}");
                    if let Ok(submitted) = from.act(&case, Kind::CaseForward, forward(from.me)).await {
                        acknowledged[who].push(submitted.message_id);
                    }
                }
                nodes[who] = sites[who].restart(Unsynced::Lost, random.below(4) as usize);
                line.dial(&nodes[who], &nodes[1 - who]).await;
            }
            _ => {
                // A backup, of something that the other holds too.
                if random.below(2) == 0 {
                    line.dial(&nodes[who], &nodes[1 - who]).await;
                    settled(&nodes[0], &nodes[1]).await;
                    backups[who] = sites[who].disk.snapshot();
                } else {
                    line.dial(&nodes[who], &nodes[1 - who]).await;
                    settled(&nodes[0], &nodes[1]).await;
                    let verdicts = nodes[who].verdicts();
                    line.hang_up().await;
                    sites[who].disk.restore(&backups[who]);
                    nodes[who] = sites[who].start();
                    if random.below(2) == 0 {
                        line.dial(&nodes[1 - who], &nodes[who]).await;
                        settled(&nodes[0], &nodes[1]).await;
                        assert_eq!(nodes[who].verdicts()[..verdicts.len()], verdicts);
                    }
                }
            }
        }
    }
    line.dial(&nodes[0], &nodes[1]).await;
    settled(&nodes[0], &nodes[1]).await;
    for who in 0..2 {
        let sent = nodes[who].headers(nodes[who].out().log);
        let mut ids: Vec<MessageId> = sent.iter().map(|header| header.message_id).collect();
        for id in &acknowledged[who] {
            assert!(ids.contains(id), "acknowledged and not there");
        }
        let count = ids.len();
        ids.sort_by_key(|id| id.0);
        ids.dedup();
        assert_eq!(ids.len(), count, "no message stands twice");
        // Every verdict was told, once.
        let told = nodes[1 - who].refusals(nodes[1 - who].out().log);
        let verdicts = nodes[1 - who].verdicts();
        let kept = verdicts.iter().enumerate().filter(|(_, code)| !code.is_empty());
        let kept: Vec<_> = kept.map(|(index, code)| (index as u64, code.clone())).collect();
        assert_eq!(told, kept);
        assert!(nodes[who].stops().is_empty());
    }
    for who in 0..2 {
        let rows = nodes[who].rows();
        sites[who].disk.drop_index();
        nodes[who] = sites[who].restart(Unsynced::Lost, 0);
        same_rows(&rows, &nodes[who].rows());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_acknowledged_is_kept_once_and_both_agree() {
    let seeds = std::env::var("TONGBAN_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seeds.map_or(1000..1008, |seed: u64| seed..seed + 1) {
        eprintln!("TONGBAN_SEED={seed}");
        anything_may_happen(seed).await;
    }
}
