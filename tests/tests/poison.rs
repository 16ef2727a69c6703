//! Invariant 7: poison blocks nothing. A hand that speaks Link with the partner's real certificates
//! sends what must not be; each gets its stable code, nothing is lost, and the node stays up.

use bytes::Bytes;
use certs::Identity;
use gateway::entry::{Header, payload};
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use tests::city::tongban;
use tests::documents::{case, forward};
use tests::stranger::{Author, Stranger};
use tests::{Rig, XIANNING, YUEYANG, eventually};
use tokio::io::AsyncWriteExt as _;

/// 岳阳 runs; 咸宁's keys are in the hands of the test.
async fn rig() -> (Rig, Identity, Author) {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let key = |name: &str| rig.xianning.path("keys").join(name);
    let tls = Identity::load(&key("tls.pem"), &key("tls.key")).expect("an identity");
    let signing = Identity::load(&key("signing.pem"), &key("signing.key")).expect("an identity");
    let author = Author::new(&signing, &rig.yueyang.path("trust"), XIANNING, YUEYANG);
    (rig, tls, author)
}

/// A link on which both have said Open.
async fn open(rig: &Rig, tls: &Identity, author: &Author) -> Stranger {
    let trust = rig.yueyang.path("trust");
    let mut link = Stranger::dial(tls, &trust, YUEYANG, rig.yueyang.port).await.expect("TLS lets it in");
    link.say(Frame::Open(author.open_on(&link))).await;
    let answer = link.hear().await;
    assert!(matches!(answer, Some(Frame::Open(_))), "{answer:?}");
    link
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_or_is_not_allowed_advances_the_channel_and_is_refused_once() {
    let (mut rig, tls, mut author) = rig().await;
    let mut expected = Vec::new();
    let mut add = |author: &mut Author, header: Vec<u8>, body: Bytes, code: &str| {
        author.append(header, body);
        expected.push(code.to_owned());
    };

    let (header, body) = author.header(1, "case.teleport", b"");
    add(&mut author, header.encode(), body, "entry.unknown_kind");
    add(&mut author, b"\xff\xff\xff no header".to_vec(), Bytes::new(), "entry.malformed_header");
    let (header, body) = author.header(2, "licence.query", b"\xff\xff");
    add(&mut author, header.encode(), body, "entry.malformed_payload");
    // Of what stands under an id already, the same again is told from something else.
    let (header, body) = author.header(2, "licence.query", b"\xff\xff");
    add(&mut author, header.encode(), body, "entry.duplicate");
    let (header, body) = author.header(2, "licence.query", b"\xff\xff\xff");
    add(&mut author, header.encode(), body, "entry.duplicate_different");
    let (header, _) = author.header(3, "licence.query", b"one");
    let (_, other) = author.header(3, "licence.query", b"two");
    add(&mut author, header.encode(), other, "entry.body_digest");
    let (mut header, body) = author.header(4, "case.forward", &forward().encode_to_vec());
    header.case_id = Some(case(1).parse().expect("a case"));
    add(&mut author, header.encode(), body.clone(), "agreement.none");
    header.message_id = gateway::id::MessageId([5; 16]);
    header.expires = Some(gateway::time::UnixMillis(1));
    add(&mut author, header.encode(), body.clone(), "entry.expired");
    header.message_id = gateway::id::MessageId([6; 16]);
    header.expires = None;
    header.seen.index = 1_000_000;
    add(&mut author, header.encode(), body, "entry.malformed_header");
    let (header, body) = author.header(1, "case.teleport", b"");
    add(&mut author, header.encode(), body, "entry.unknown_kind");
    let (mut header, body) = author.header(7, "licence.query", b"");
    header.channel = header.channel.reverse();
    add(&mut author, header.encode(), body, "entry.wrong_channel");
    // Header and body speak of other blobs; a kind that has none; a receipt for what was never sent.
    let (mut header, body) = author.header(9, "licence.query", b"");
    header.blobs = vec![header.body_digest];
    add(&mut author, header.encode(), body, "blob.commitment");
    let digest = header.body_digest.to_wire().to_vec();
    let blob = wire::Attachment { digest: digest.clone().into(), length: 5, ..Default::default() };
    let attached = wire::Attachments { blobs: vec![blob] }.encode_to_vec();
    let (header, body) = author.header(10, "licence.query", &attached);
    add(&mut author, header.encode(), body, "blob.commitment");
    let announced =
        [wire::KeyAnnounce { certificate: vec![vec![1].into()] }.encode_to_vec(), attached].concat();
    let (header, body) = author.header(11, "key.announce", &announced);
    add(&mut author, header.encode(), body, "blob.commitment");
    let received = wire::BlobReceived { digest: digest.into(), length: 5, entry_index: 0 };
    let (header, body) = author.header(12, "blob.received", &received.encode_to_vec());
    add(&mut author, header.encode(), body, "blob.not_sent");
    // A refusal is never answered, even a nonsensical one.
    let nonsense = wire::Refusal { code: "x".into(), ..Default::default() };
    let (header, body) = author.header(8, "refusal", &nonsense.encode_to_vec());
    author.append(header.encode(), body);

    let mut link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(author.batch(0))).await;
    let (mut receipt, mut refusals) = (None, Vec::new());
    while receipt.is_none() || refusals.len() < expected.len() {
        match link.hear().await.expect("the link stands") {
            Frame::Cosigned(cosigned) => receipt = Some(cosigned.checkpoint),
            Frame::Batch(batch) => {
                for entry in batch.entries {
                    let header = Header::parse(&entry.header).expect("a header of ours");
                    assert_eq!(header.kind, "refusal");
                    let refusal =
                        wire::Refusal::decode(payload(&entry.body).expect("a payload")).expect("a refusal");
                    refusals.push((refusal.refused_index, refusal.code));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let receipt = String::from_utf8(receipt.expect("a receipt").to_vec()).expect("a note");
    assert!(receipt.contains(&format!("\n{}\n", author.size())), "the receipt covers every entry: {receipt}");
    let expected: Vec<_> =
        expected.into_iter().enumerate().map(|(index, code)| (index as u64, code)).collect();
    assert_eq!(refusals, expected);
    drop(link);

    // The real node recovers what "it" said, and the channels go on.
    rig.xianning.start().await;
    rig.meet().await;
    rig.balanced().await;
    tests::documents::conclude(&rig).await;
    let mut desk = rig.yueyang.desk().await;
    let reply = desk.act(XIANNING, "case.forward", &case(2), &forward()).await.expect("taken");
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_frame_closes_its_link_with_its_code_and_changes_nothing() {
    let (mut rig, tls, mut author) = rig().await;
    let (header, body) = author.header(1, "case.teleport", b"");
    author.append(header.encode(), body);
    let good = author.batch(0);
    let note = String::from_utf8(good.checkpoint.to_vec()).expect("a note");
    let with_note = |note: String| wire::Batch { checkpoint: note.into_bytes().into(), ..good.clone() };
    let mut unknown = author.batch(0);
    let line = note.rfind("— ").expect("a signature line");
    let mut flipped = note.clone().into_bytes();
    let at = note.len() - 20;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    unknown.checkpoint =
        format!("{}— spiffe://hubei.tongban/node/421299 {}", &note[..line], &note[line + 40..])
            .into_bytes()
            .into();
    let oversize_header = wire::Entry { header: vec![1; 4000].into(), ..Default::default() };
    let later = note.replacen("\ntime 1", "\ntime 2", 1);
    let broken = [
        ("channel.wrong_index", wire::Batch { first: 99, ..good.clone() }),
        ("channel.wrong_epoch", wire::Batch { epoch: 7, ..good.clone() }),
        ("channel.bad_checkpoint", with_note("nonsense".into())),
        ("channel.bad_checkpoint", with_note(note.replacen("421200/430600", "430600/421200", 1))),
        ("channel.bad_signature", with_note(String::from_utf8(flipped).expect("text"))),
        ("channel.bad_signature", with_note(later)),
        ("entry.too_large", wire::Batch { entries: vec![oversize_header], ..good.clone() }),
    ];
    for (code, batch) in broken {
        let mut link = open(&rig, &tls, &author).await;
        link.say(Frame::Batch(batch)).await;
        assert_eq!(link.closed().await, code);
    }
    let mut link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(unknown)).await;
    let code = link.closed().await;
    assert!(code == "channel.unknown_key" || code == "channel.bad_checkpoint", "{code}");
    let mut link = open(&rig, &tls, &author).await;
    link.say(Frame::Open(author.open())).await;
    assert_eq!(link.closed().await, "link.frame_unexpected");
    let mut link = open(&rig, &tls, &author).await;
    link.outgoing.send(wire::Frame { kind: None }).await.expect("taken");
    assert_eq!(link.closed().await, "link.frame_unexpected");
    let mut link = Stranger::dial(&tls, &rig.yueyang.path("trust"), YUEYANG, rig.yueyang.port)
        .await
        .expect("TLS lets it in");
    link.say(Frame::Batch(good.clone())).await;
    assert_eq!(link.closed().await, "link.frame_unexpected");
    let mut link = Stranger::dial(&tls, &rig.yueyang.path("trust"), YUEYANG, rig.yueyang.port)
        .await
        .expect("TLS lets it in");
    link.say(Frame::Open(wire::Open { version_min: 9, version_max: 9, ..author.open() })).await;
    assert_eq!(link.closed().await, "link.version");
    // A frame over the limit is refused by size, before it is read.
    let mut link = open(&rig, &tls, &author).await;
    let huge = wire::Entry { header: Bytes::new(), body: vec![0; 5 << 20].into(), erased: false };
    link.say(Frame::Batch(wire::Batch { entries: vec![huge], ..good.clone() })).await;
    link.closed().await;
    // Bytes that are no TLS at all.
    let mut tcp =
        tokio::net::TcpStream::connect(("127.0.0.1", rig.yueyang.port)).await.expect("a connection");
    tcp.write_all(&[0x5a; 4096]).await.expect("bytes are taken");
    drop(tcp);

    assert!(rig.yueyang.runs());
    let mut desk = rig.yueyang.desk().await;
    assert_eq!(desk.channel(XIANNING, YUEYANG).await.size, 0, "nothing of it was taken");
    // The unbroken batch is.
    let link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(good)).await;
    eventually("the entry to be taken", async || desk.channel(XIANNING, YUEYANG).await.size == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_do_not_hash_to_the_signed_root_stop_that_channel_until_it_is_resumed() {
    let (rig, tls, mut author) = rig().await;
    let (header, body) = author.header(1, "case.teleport", b"");
    author.append(header.encode(), body);
    let good = author.batch(0);
    let mut forged = good.clone();
    let (header, body) = author.header(9, "case.teleport", b"");
    forged.entries[0] = wire::Entry { header: header.encode().into(), body, erased: false };
    let mut link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(forged)).await;
    assert_eq!(link.closed().await, "channel.root_mismatch");

    let mut desk = rig.yueyang.desk().await;
    assert_eq!(desk.channel(XIANNING, YUEYANG).await.stopped, "channel.root_mismatch");
    assert_eq!(desk.channel(YUEYANG, XIANNING).await.stopped, "", "the other direction goes on");
    let mut link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(good.clone())).await;
    assert_eq!(link.closed().await, "channel.stopped");

    let config = rig.yueyang.config();
    let config = config.to_string_lossy();
    let channel = format!("{XIANNING}>{YUEYANG}");
    let shown = tongban(&["channel", "show", &channel, "--config", &config, "--lang", "zh"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("channel.root_mismatch"), "{shown:?}");
    let resumed = tongban(&["channel", "resume", &channel, "--reason", "比对无误", "--config", &config]);
    assert!(resumed.status.success(), "{resumed:?}");
    let link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(good)).await;
    eventually("the entry to be taken", async || desk.channel(XIANNING, YUEYANG).await.size == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signed_roots_for_one_size_are_a_fork_that_stops_the_channel_and_is_kept() {
    let (mut rig, tls, mut author) = rig().await;
    let key = |name: &str| rig.xianning.path("keys").join(name);
    let signing = Identity::load(&key("signing.pem"), &key("signing.key")).expect("an identity");
    let mut twin = Author::new(&signing, &rig.yueyang.path("trust"), XIANNING, YUEYANG);
    let (header, body) = author.header(1, "case.teleport", b"");
    author.append(header.encode(), body);
    let (header, body) = twin.header(2, "case.teleport", b"");
    twin.append(header.encode(), body);
    let link = open(&rig, &tls, &author).await;
    link.say(Frame::Batch(author.batch(0))).await;
    let mut desk = rig.yueyang.desk().await;
    eventually("the entry to be taken", async || desk.channel(XIANNING, YUEYANG).await.size == 1).await;
    let mut link = open(&rig, &tls, &twin).await;
    link.say(Frame::Batch(twin.batch(0))).await;
    assert_eq!(link.closed().await, "channel.fork");
    let view = desk.channel(XIANNING, YUEYANG).await;
    assert_eq!((view.stopped.as_str(), view.size, view.cosigned), ("channel.fork", 1, 1));
    // The stop outlives a restart.
    rig.yueyang.kill();
    rig.yueyang.start().await;
    assert_eq!(rig.yueyang.desk().await.channel(XIANNING, YUEYANG).await.stopped, "channel.fork");
}
