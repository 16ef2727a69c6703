//! Files beside the channel (DESIGN §5 "Blobs"): verified as they come, resumed after a kill, stored
//! once, given only to whom they were sent, and signed for.

use certs::Identity;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use proto::local::v1 as pb;
use std::path::PathBuf;
use tests::city::City;
use tests::desk::{Desk, code, retry_after_ms};
use tests::disk::SmallDisk;
use tests::documents::{case, forward, sign_for};
use tests::files::{file, named};
use tests::stranger::{Author, Stranger};
use tests::{PATIENCE, Rig, XIANNING, YUEYANG, eventually};
use tokio_stream::StreamExt as _;

const MIB: usize = 1024 * 1024;

fn forwarding(serial: u32, digests: &[&str]) -> pb::SubmitRequest {
    pb::SubmitRequest {
        to: XIANNING.into(),
        idempotency_key: format!("forward-{serial}"),
        kind: "case.forward".into(),
        case_id: case(serial),
        payload: forward().encode_to_vec().into(),
        blobs: digests.iter().map(|digest| named(digest)).collect(),
        ..Default::default()
    }
}

async fn forward_with(
    desk: &mut Desk,
    serial: u32,
    digests: &[&str],
) -> Result<pb::SubmitReply, tonic::Status> {
    desk.submit(forwarding(serial, digests)).await
}

fn stored(city: &City, digest: &str) -> PathBuf {
    city.data().join("blobs").join(digest.replace(':', "-"))
}

fn unfinished(city: &City, digest: &str) -> PathBuf {
    city.data().join("blobs/unfinished").join(digest.replace(':', "-"))
}

fn bytes_at(path: &PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Waits for the next entry of an inbox that fits.
async fn next(
    inbox: &mut tonic::Streaming<pb::InboxEntry>,
    fits: impl Fn(&pb::InboxEntry) -> bool,
) -> pb::InboxEntry {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            let entry = inbox.next().await.expect("the inbox stays open").expect("an entry");
            if fits(&entry) {
                return entry;
            }
        }
    });
    found.await.expect("in time")
}

/// What a `key=value` of the last log line with `text` says.
fn logged(city: &City, text: &str, key: &str) -> u64 {
    let log = city.log();
    let line = log.lines().rfind(|line| line.contains(text)).unwrap_or_else(|| panic!("no line: {text}"));
    let after = line.split(&format!("{key}=")).nth(1).unwrap_or_else(|| panic!("no {key}: {line}"));
    after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_follows_its_entry_and_completion_is_a_later_event_on_both_sides() {
    let rig = Rig::agreed().await;
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let content = file(1, 20 * MIB + 12_345);
    let uploaded = yueyang.upload(&content).await.expect("taken");
    assert_eq!((uploaded.length, uploaded.duplicate), (content.len() as u64, false));
    let digest = uploaded.digest;
    let sent = forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");

    let mut inbox = xianning.inbox("approval").await;
    let entry = next(&mut inbox, |entry| entry.kind == "case.forward").await;
    assert_eq!(entry.message_id, sent.message_id);
    let [blob] = &entry.blobs[..] else { panic!("one file: {:?}", entry.blobs) };
    assert_eq!((blob.digest.as_str(), blob.length), (digest.as_str(), content.len() as u64));
    assert_eq!(blob.name, "扫描件.pdf");
    let event = next(&mut inbox, |entry| entry.kind == "blob.stored").await;
    assert_eq!((event.from.as_str(), &event.in_reply_to), (XIANNING, &sent.message_id));
    let said = pb::BlobStored::decode(event.payload.clone()).expect("what the event says");
    assert_eq!((said.from.as_str(), said.index), (YUEYANG, entry.index));
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    let offset = 7 * MIB as u64 + 3;
    assert!(xianning.read(&digest, offset).await.expect("from the middle") == content[offset as usize..]);

    // The cursor over events moves like any other, and survives the end of the conversation.
    xianning.acknowledge("approval", YUEYANG, entry.index + 1).await;
    xianning.acknowledge("approval", XIANNING, event.index + 1).await;
    drop(inbox);

    eventually("the file's receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    let mut window = yueyang.inbox("window").await;
    let receipt = next(&mut window, |entry| entry.kind == "blob.received").await;
    assert_eq!((receipt.in_reply_to, receipt.verdict.as_str()), (sent.message_id, ""));

    // A second entry with the same file: nothing to fetch, and a receipt and an event of its own.
    let again = forward_with(&mut yueyang, 2, &[&digest]).await.expect("taken");
    let mut inbox = xianning.inbox("approval").await;
    let event = next(&mut inbox, |entry| entry.kind == "blob.stored").await;
    assert_eq!(event.in_reply_to, again.message_id);
    eventually("the second receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    let view = yueyang.blob(&digest).await.expect("known");
    assert_eq!((view.references, view.uses.len()), (2, 2));
    assert_eq!(rig.xianning.log().matches("blob fetched").count(), 1, "one transfer for both");
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_submissions_names_files_as_a_single_one_does() {
    use pb::submit_outcome::Outcome;
    let rig = Rig::agreed().await;
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let content = file(15, 3 * MIB);
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    let unknown = format!("sha256:{}", "33".repeat(32));
    let many = vec![digest.as_str(); 30];
    let outcomes = yueyang
        .submit_batch(vec![
            forwarding(1, &[&digest]),
            forwarding(2, &[&unknown]),
            forwarding(3, &many),
            forwarding(4, &["sha256:1"]),
            forwarding(5, &[&digest, &digest]),
            forwarding(6, &[]),
        ])
        .await;
    let said: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome.outcome.as_ref().expect("an outcome") {
            Outcome::Taken(_) => "taken",
            Outcome::Refused(refused) => refused.code.as_str(),
        })
        .collect();
    let expected =
        ["taken", "blob.unknown", "request.invalid", "request.invalid", "entry.malformed_payload", "taken"];
    assert_eq!(said, expected);
    // One by one the same is said of each, and the first is known as the same submission.
    for (serial, digests) in [(2, vec![unknown.as_str()]), (3, many), (4, vec!["sha256:1"])] {
        let refused = forward_with(&mut yueyang, serial, &digests).await.expect_err("refused as before");
        assert_eq!(code(&refused), expected[serial as usize - 1]);
    }
    assert!(forward_with(&mut yueyang, 1, &[&digest]).await.expect("known").duplicate);

    let mut inbox = xianning.inbox("approval").await;
    let entry = next(&mut inbox, |entry| entry.case_id == case(1)).await;
    assert_eq!((entry.blobs.len(), entry.blobs[0].digest.as_str()), (1, digest.as_str()));
    assert!(next(&mut inbox, |entry| entry.case_id == case(6)).await.blobs.is_empty());
    eventually("the receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_leave_the_room_that_a_node_keeps_and_come_when_space_returns() {
    let mut rig = Rig::new();
    let Some(disk) = SmallDisk::mount(&rig.path("disk.img"), &rig.xianning.data(), 400) else { return };
    rig.xianning.configure("[limits]\ndisk_low_mib = 100");
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    tests::documents::conclude(&rig).await;
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    // There is room for entries, and for the file only in what the node keeps free.
    disk.fill_but(150);
    let content = file(16, 90 * MIB);
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    eventually("the case", async || xianning.case(&case(1)).await.is_some()).await;
    rig.xianning.logs("a blob is not whole yet").await;
    assert!(rig.xianning.log().contains("store.full"));
    assert_eq!(xianning.status().await.disk, "normal");
    assert_eq!(xianning.blob(&digest).await.expect("named").held_bytes, 0);
    disk.free();

    disk.fill_but(60);
    eventually("the disk to be found low", async || xianning.status().await.disk == "low").await;
    let refused = xianning.upload(&file(17, 1000)).await.expect_err("no room");
    assert_eq!((refused.code(), code(&refused).as_str()), (tonic::Code::ResourceExhausted, "store.full"));
    assert!(retry_after_ms(&refused).is_some_and(|wait| wait > 0), "{refused:?}");

    disk.free();
    eventually("the disk to have room", async || xianning.status().await.disk == "normal").await;
    eventually("the file", async || xianning.has(&digest).await).await;
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    xianning.upload(&file(17, 1000)).await.expect("taken");
    eventually("the receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    rig.balanced().await;
    rig.xianning.kill();
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_goes_on_in_mid_file_after_either_side_was_killed() {
    let mut rig = Rig::agreed().await;
    let content = file(2, 160 * MIB);
    let length = content.len() as u64;
    let mut yueyang = rig.yueyang.desk().await;
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    let part = unfinished(&rig.xianning, &digest);
    eventually("a part of the file", async || bytes_at(&part) > 16 * MIB as u64).await;
    rig.xianning.kill();
    let held = bytes_at(&part);
    assert!(held > 16 * MIB as u64 && held < length, "killed in mid-file, at {held}");

    // Again, and now the one that serves.
    rig.xianning.start().await;
    eventually("more of it", async || bytes_at(&part) > held + 8 * MIB as u64).await;
    rig.yueyang.kill();
    // The fetch ends where the line broke, and pauses.
    rig.xianning.logs("a blob is not whole yet").await;
    let held = bytes_at(&part);
    assert!(held < length, "killed in mid-file, at {held}");
    rig.yueyang.start().await;
    let mut xianning = rig.xianning.desk().await;
    eventually("the whole file", async || xianning.has(&digest).await).await;
    let fetched = logged(&rig.xianning, "blob fetched", "fetched_bytes");
    let resumed = logged(&rig.xianning, "blob fetched", "resumed_bytes");
    assert_eq!(fetched + resumed, length);
    assert!(resumed >= 24 * MIB as u64 && resumed <= held, "resumed at {resumed} of {held} held");
    assert!(fetched < length);
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    assert!(!part.exists());
    let mut yueyang = rig.yueyang.desk().await;
    eventually("the receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_both_ways_when_one_side_can_only_dial_out() {
    for dials in [YUEYANG, XIANNING] {
        let mut rig = Rig::new();
        rig.only_dials(dials);
        rig.yueyang.start().await;
        rig.xianning.start().await;
        rig.meet().await;
        tests::documents::conclude(&rig).await;
        let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
        let (there, back) = (file(3, 24 * MIB), file(4, 24 * MIB));
        let going = yueyang.upload(&there).await.expect("taken").digest;
        forward_with(&mut yueyang, 1, &[&going]).await.expect("taken");
        eventually("the case", async || xianning.case(&case(1)).await.is_some()).await;
        let coming = xianning.upload(&back).await.expect("taken").digest;
        let signed = xianning
            .submit(pb::SubmitRequest {
                to: YUEYANG.into(),
                kind: "case.signfor".into(),
                case_id: case(1),
                payload: sign_for().encode_to_vec().into(),
                blobs: vec![named(&coming)],
                ..Default::default()
            })
            .await;
        signed.expect("taken");
        eventually("the file there", async || xianning.has(&going).await).await;
        eventually("the file back", async || yueyang.has(&coming).await).await;
        assert!(xianning.read(&going, 0).await.expect("it is here") == there);
        assert!(yueyang.read(&coming, 0).await.expect("it is here") == back);
        eventually("both receipts", async || {
            yueyang.has_file_receipts(YUEYANG, &going).await
                && xianning.has_file_receipts(XIANNING, &coming).await
        })
        .await;
        rig.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_refused_and_the_file_comes_when_its_sender_has_mended_it() {
    let mut rig = Rig::agreed().await;
    let content = file(5, 12 * MIB);
    rig.xianning.kill();
    let mut yueyang = rig.yueyang.desk().await;
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    let on_disk = stored(&rig.yueyang, &digest);
    let mut rotten = content.clone();
    rotten[5 * MIB + 77] ^= 0x08;
    std::fs::write(&on_disk, &rotten).expect("a disk rots");

    rig.xianning.start().await;
    rig.xianning.logs("blob.digest").await;
    let mut xianning = rig.xianning.desk().await;
    assert!(!xianning.has(&digest).await);
    assert_eq!(code(&xianning.read(&digest, 0).await.unwrap_err()), "blob.unknown");
    let held = bytes_at(&unfinished(&rig.xianning, &digest));
    assert!(held <= 5 * MIB as u64, "not a byte of the forged chunk or behind it: {held}");
    // The sender's own reader finds the same out.
    assert_eq!(code(&yueyang.read(&digest, 0).await.unwrap_err()), "blob.digest");
    // Whoever uploads the file again mends it.
    let mended = yueyang.upload(&content).await.expect("taken");
    assert_eq!((mended.digest.as_str(), mended.duplicate), (digest.as_str(), false));
    eventually("the whole file", async || xianning.has(&digest).await).await;
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    // The channel went on all the while.
    rig.balanced().await;
}

async fn dialled(rig: &Rig) -> Result<Stranger, String> {
    let keys = rig.pki().join("nodes").join(XIANNING);
    let tls = Identity::load(&keys.join("tls.pem"), &keys.join("tls.key")).expect("an identity");
    Stranger::dial(&tls, &rig.pki().join("trust"), YUEYANG, rig.yueyang.port).await
}

/// A bulk link spoken by hand, as `xianning`.
async fn bulk(rig: &Rig) -> Stranger {
    let keys = rig.pki().join("nodes").join(XIANNING);
    let trust = rig.pki().join("trust");
    let mut link = dialled(rig).await.expect("a link");
    let signing = Identity::load(&keys.join("signing.pem"), &keys.join("signing.key")).expect("an identity");
    let author = Author::new(&signing, &trust, XIANNING, YUEYANG);
    let open = wire::Open { purpose: "bulk".into(), version_max: 2, ..author.open() };
    let open = author.proved(&link, open);
    link.say(Frame::Open(open)).await;
    assert!(matches!(link.hear().await, Some(Frame::Open(open)) if open.purpose == "bulk"));
    link
}

fn ask(transfer: u64, digest: &str) -> Frame {
    let digest = gateway::id::Digest::from_text(digest).expect("a digest").to_wire().to_vec();
    Frame::BlobAsk(wire::BlobAsk { transfer, digest: digest.into(), first: 0, credit: 2, list: true })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_served_only_to_a_node_that_was_sent_an_entry_naming_it() {
    let mut rig = Rig::agreed().await;
    rig.xianning.kill();
    let mut yueyang = rig.yueyang.desk().await;
    let secret = yueyang.upload(&file(6, MIB)).await.expect("taken").digest;
    let unheard = format!("sha256:{}", "00".repeat(32));
    let mut link = bulk(&rig).await;
    for (transfer, digest) in [(0, &secret), (1, &unheard)] {
        link.say(ask(transfer, digest)).await;
        let Some(Frame::BlobEnd(end)) = link.hear().await else { panic!("nothing of it is served") };
        assert_eq!((end.transfer, end.code.as_str()), (transfer, "blob.not_sent"), "one answer for both");
    }
    // Sent to it, it is served, no further than the credit that was given.
    forward_with(&mut yueyang, 1, &[&secret]).await.expect("taken");
    link.say(ask(2, &secret)).await;
    let Some(Frame::BlobHead(head)) = link.hear().await else { panic!("now it is served") };
    assert_eq!((head.length, head.chunks.len()), (MIB as u64, 16 * 32));
    for index in 0..2 {
        let Some(Frame::BlobChunk(chunk)) = link.hear().await else { panic!("two chunks") };
        assert_eq!((chunk.index, chunk.data.len()), (index, 65_536));
    }
    link.say(Frame::BlobCredit(wire::BlobCredit { transfer: 2, below: 3 })).await;
    assert!(matches!(link.hear().await, Some(Frame::BlobChunk(chunk)) if chunk.index == 2));
    // Trust is asked for this link as for any: suspended, the node gets nothing more.
    let mut other = bulk(&rig).await;
    assert_eq!(link.closed().await, "link.fenced", "one bulk link stands, the newer");
    let trusted = rig.yueyang.path("trust/trust.toml");
    let text = std::fs::read_to_string(&trusted).expect("a trust folder");
    let hubei = text.find("name = \"hubei.tongban\"").expect("the partner's domain");
    let (before, domain) = text.split_at(hubei);
    let domain = domain.replacen("suspended = []", &format!("suspended = [\"{XIANNING}\"]"), 1);
    let suspended = format!("{before}{domain}");
    assert_ne!(suspended, text);
    std::fs::write(&trusted, suspended).expect("a trust folder");
    assert_eq!(other.closed().await, "link.not_trusted");
    std::fs::write(&trusted, text).expect("a trust folder");
    eventually("the node to be trusted again", async || dialled(&rig).await.is_ok()).await;
    // What is no frame of a bulk link ends it.
    let mut link = bulk(&rig).await;
    link.say(Frame::Recover(wire::Recover { epoch: 0, first: 0 })).await;
    assert_eq!(link.closed().await, "link.frame_unexpected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitter_names_only_what_it_uploaded_and_a_file_is_stored_once() {
    let rig = Rig::agreed().await;
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let unheard = format!("sha256:{}", "11".repeat(32));
    let refused = forward_with(&mut yueyang, 1, &[&unheard]).await.unwrap_err();
    assert_eq!(code(&refused), "blob.unknown");
    // Written into the payload by hand it is refused as well.
    let mut payload = forward().encode_to_vec();
    let digest = gateway::id::Digest::from_text(&unheard).expect("a digest").to_wire().to_vec();
    let blob = wire::Attachment { digest: digest.into(), length: 5, ..Default::default() };
    payload.extend(wire::Attachments { blobs: vec![blob] }.encode_to_vec());
    let refused = yueyang
        .submit(pb::SubmitRequest {
            to: XIANNING.into(),
            kind: "case.forward".into(),
            case_id: case(1),
            payload: payload.into(),
            ..Default::default()
        })
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "blob.unknown");
    assert_eq!(code(&yueyang.upload(&[]).await.unwrap_err()), "blob.too_large");

    let content = file(7, 3 * MIB);
    let first = yueyang.upload(&content).await.expect("taken");
    let second = yueyang.upload(&content).await.expect("taken");
    assert_eq!((first.digest.as_str(), second.duplicate), (second.digest.as_str(), true));
    let digest = first.digest;
    let twice = forward_with(&mut yueyang, 1, &[&digest, &digest]).await.unwrap_err();
    assert_eq!(code(&twice), "entry.malformed_payload");
    let sent = forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    let again = forward_with(&mut yueyang, 1, &[&digest]).await.expect("the same again");
    assert_eq!((again.message_id, again.duplicate), (sent.message_id, true));
    let other = yueyang.upload(&file(8, MIB)).await.expect("taken").digest;
    let different = forward_with(&mut yueyang, 1, &[&other]).await.unwrap_err();
    assert_eq!(code(&different), "entry.duplicate_different", "another file is other content");

    // A file that came may go back to where it came from.
    eventually("the file", async || xianning.has(&digest).await).await;
    let back = xianning
        .submit(pb::SubmitRequest {
            to: YUEYANG.into(),
            kind: "case.signfor".into(),
            case_id: case(1),
            payload: sign_for().encode_to_vec().into(),
            blobs: vec![named(&digest)],
            ..Default::default()
        })
        .await
        .expect("taken");
    assert!(xianning.receipt(YUEYANG, &back.message_id).await.receipted);
    eventually("its receipt", async || xianning.has_file_receipts(XIANNING, &digest).await).await;
    let whole = std::fs::read_dir(rig.yueyang.data().join("blobs")).expect("a folder");
    let files = whole.filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_none()));
    let names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(names.len(), 3, "two files and the folder of unfinished ones: {names:?}");
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_upload_leaves_nothing_and_what_was_uploaded_outlives_a_kill_and_a_lost_index() {
    let mut rig = Rig::agreed().await;
    let content = file(9, 8 * MIB);
    let mut yueyang = rig.yueyang.desk().await;
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    let half = yueyang.half_upload(&file(10, 6 * MIB)).await;
    let folder = rig.yueyang.data().join("blobs/unfinished");
    let count = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    eventually("half a file", async || count() == 1).await;
    rig.yueyang.kill();
    drop(half);
    assert_eq!(count(), 1);
    std::fs::remove_dir_all(rig.yueyang.data().join("index")).expect("the index is lost");
    rig.yueyang.start().await;
    assert_eq!(count(), 0);
    rig.meet().await;
    let mut yueyang = rig.yueyang.desk().await;
    assert!(yueyang.blob(&digest).await.expect("known").uploaded);
    forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    let mut xianning = rig.xianning.desk().await;
    eventually("the file", async || xianning.has(&digest).await).await;
    eventually("its receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;

    // The receiver loses its whole index: events, names and receipts are made anew, nothing is doubled.
    rig.xianning.kill();
    std::fs::remove_dir_all(rig.xianning.data().join("index")).expect("the index is lost");
    rig.xianning.start().await;
    rig.meet().await;
    let mut xianning = rig.xianning.desk().await;
    let mut inbox = xianning.inbox("anew").await;
    let event = next(&mut inbox, |entry| entry.kind == "blob.stored").await;
    assert_eq!(event.index, 0);
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    assert_eq!(xianning.blob(&digest).await.expect("known").references, 1);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_lost_everything_fetches_its_files_again() {
    let mut rig = Rig::agreed().await;
    let content = file(11, 9 * MIB);
    let mut yueyang = rig.yueyang.desk().await;
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    eventually("its receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    rig.xianning.kill();
    std::fs::remove_dir_all(rig.xianning.data()).expect("the disk is lost");
    rig.xianning.start().await;
    rig.meet().await;
    let mut xianning = rig.xianning.desk().await;
    eventually("the file", async || xianning.has(&digest).await).await;
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    rig.balanced().await;
    let channel = yueyang.channel(XIANNING, YUEYANG).await;
    let mut inbox = yueyang.inbox("window").await;
    let receipts = std::cell::Cell::new(0);
    next(&mut inbox, |entry| {
        receipts.set(receipts.get() + u32::from(entry.kind == "blob.received"));
        entry.from == XIANNING && entry.index + 1 == channel.size
    })
    .await;
    assert_eq!((receipts.get(), channel.refused), (1, 0), "the receipt is not written twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_from_the_disk_is_fetched_again_at_the_next_start() {
    let mut rig = Rig::agreed().await;
    let content = file(13, 9 * MIB);
    let mut yueyang = rig.yueyang.desk().await;
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    forward_with(&mut yueyang, 1, &[&digest]).await.expect("taken");
    eventually("its receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    rig.xianning.kill();
    std::fs::remove_dir_all(rig.xianning.data().join("blobs")).expect("a backup without its blobs");
    rig.xianning.start().await;
    let mut xianning = rig.xianning.desk().await;
    let on_disk = stored(&rig.xianning, &digest);
    eventually("the file", async || on_disk.exists()).await;
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    assert_eq!(xianning.blob(&digest).await.expect("known").references, 1);
    // The one that uploaded it cannot get it back by itself, and says so.
    rig.yueyang.kill();
    std::fs::remove_file(stored(&rig.yueyang, &digest)).expect("a hand that deletes");
    rig.yueyang.start().await;
    rig.yueyang.logs("an uploaded blob is gone from the disk").await;
    let mut yueyang = rig.yueyang.desk().await;
    assert_eq!(code(&yueyang.read(&digest, 0).await.unwrap_err()), "blob.missing");
    assert!(!yueyang.upload(&content).await.expect("taken").duplicate);
    assert!(yueyang.read(&digest, 0).await.expect("mended") == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_puts_shows_and_gets_a_file() {
    let rig = Rig::agreed().await;
    let content = file(12, 5 * MIB + 1);
    let (source, target) = (rig.path("scan.pdf"), rig.path("copy.pdf"));
    std::fs::write(&source, &content).expect("a file");
    let config = rig.yueyang.config();
    let run = |arguments: &[&str]| {
        let mut all = vec!["--json", "--lang", "en", "--config", config.to_str().expect("a path")];
        all.extend_from_slice(arguments);
        let output = tests::city::tongban(&all);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default())
    };
    let (exit, put) = run(&["blob", "put", source.to_str().expect("a path")]);
    assert_eq!(exit, Some(0));
    let digest = put["digest"].as_str().expect("a digest").to_owned();
    let (exit, shown) = run(&["blob", "show", &digest]);
    assert_eq!(
        (exit, shown["stored"].as_bool(), shown["references"].as_u64()),
        (Some(0), Some(true), Some(0))
    );
    let out = target.to_str().expect("a path");
    let (exit, _) = run(&["blob", "get", &digest, "--out", out]);
    assert_eq!(exit, Some(0));
    assert!(std::fs::read(&target).expect("a file") == content);
    let (exit, _) = run(&["blob", "get", &digest, "--out", out]);
    assert_eq!(exit, Some(3), "nothing is overwritten");
    let (exit, _) = run(&["blob", "show", &format!("sha256:{}", "22".repeat(32))]);
    assert_eq!(exit, Some(4));
    let (exit, _) = run(&["blob", "put", rig.path("none").to_str().expect("a path")]);
    assert_eq!(exit, Some(3));
}
