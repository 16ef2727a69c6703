//! Business systems read their inbox each at its own pace: a slow or absent one costs disk and not
//! memory, none hinders another, and a body that is gone stops nobody.

use bytes::Bytes;
use certs::Identity;
use gateway::store::journal::{self, Options};
use gateway::store::{Journal as _, JournalError, Locator, Position};
use prost::Message as _;
use proto::exchange::v1::frame::Kind as Frame;
use proto::local::v1 as pb;
use tests::documents::{case, forward};
use tests::stranger::{Author, Stranger};
use tests::{Rig, XIANNING, YUEYANG, eventually};
use tokio_stream::StreamExt as _;

/// Bytes of the form of each application in the long log.
const FORM_BYTES: usize = 100_000;
/// Entries of the long log: 120 MB, several times what any consumer may hold.
const ENTRIES: u32 = 1_200;
/// KiB by which a node may grow while consumers read a log of any length: frames kept decoded, their
/// pages, and what the allocator keeps of both.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

fn forwarding(serial: u32, form_bytes: usize) -> pb::SubmitRequest {
    let mut payload = forward();
    payload.form = format!(r#"{{"name":"x","reason":"{}"}}"#, "y".repeat(form_bytes)).into_bytes().into();
    pb::SubmitRequest {
        to: XIANNING.into(),
        idempotency_key: format!("window/{serial}"),
        kind: "case.forward".into(),
        case_id: case(serial),
        payload: payload.encode_to_vec().into(),
        ..Default::default()
    }
}

/// Forwards cases, some at once so that they share commits.
async fn fill(rig: &Rig, entries: u32, form_bytes: usize) {
    let hands: Vec<_> = (0..8)
        .map(|hand| async move {
            let mut window = rig.yueyang.desk().await;
            for serial in (0..entries).filter(|serial| serial % 8 == hand) {
                window.submit(forwarding(serial, form_bytes)).await.expect("taken");
            }
        })
        .collect();
    let mut hands = hands.into_iter().map(Box::pin).collect::<Vec<_>>();
    std::future::poll_fn(|context| {
        hands.retain_mut(|hand| hand.as_mut().poll(context).is_pending());
        if hands.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Reads entries `from` to `to` of the channel from 岳阳, checking that none is missing or doubled.
async fn read(inbox: &mut tonic::Streaming<pb::InboxEntry>, from: u64, to: u64) {
    for expected in from..to {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        assert_eq!((entry.index, entry.verdict.as_str()), (expected, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_late_and_killed_consumers_cost_disk_and_not_memory_and_do_not_hinder_each_other() {
    let mut rig = Rig::agreed().await;
    let mut desk = rig.xianning.desk().await;
    // Opened before the flood, and never read beyond its first entry.
    let mut slow = desk.inbox("slow").await;
    read(&mut slow, 0, 1).await;
    fill(&rig, ENTRIES, FORM_BYTES).await;
    let size = rig.yueyang.desk().await.channel(YUEYANG, XIANNING).await.size;
    assert!(size > u64::from(ENTRIES));
    eventually("everything to arrive", async || desk.channel(YUEYANG, XIANNING).await.cosigned == size).await;

    let before = rig.xianning.resident_kib();
    // Late, from zero over the whole log, two of them side by side, while the slow one stands.
    let (mut early, mut late) = (desk.inbox("late").await, rig.xianning.desk().await);
    let mut other = late.inbox("other").await;
    tokio::join!(read(&mut early, 0, size), read(&mut other, 0, size));
    let grown = rig.xianning.resident_kib().saturating_sub(before);
    println!("{before} KiB before, {grown} KiB more after two readers of the whole log");
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more after reading {ENTRIES} entries of {FORM_BYTES} bytes");
    // The slow one goes on where it stood, and missed nothing.
    read(&mut slow, 1, 40).await;

    // Each goes on from what it acknowledged, after SIGKILL: not from what it had been sent.
    desk.acknowledge("late", YUEYANG, size - 5).await;
    desk.acknowledge("slow", YUEYANG, 10).await;
    rig.xianning.kill();
    rig.xianning.start().await;
    let mut desk = rig.xianning.desk().await;
    read(&mut desk.inbox("late").await, size - 5, size).await;
    read(&mut desk.inbox("slow").await, 10, 60).await;
    read(&mut desk.inbox("other").await, 0, 60).await;
    read(&mut desk.inbox("new").await, 0, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_was_read_to_its_end_goes_on_with_what_comes_next() {
    let rig = Rig::agreed().await;
    let mut desk = rig.xianning.desk().await;
    let mut inbox = desk.inbox("approval").await;
    fill(&rig, 3, 10).await;
    read(&mut inbox, 0, 4).await;
    let mut window = rig.yueyang.desk().await;
    for serial in 3..6 {
        window.submit(forwarding(serial, 10)).await.expect("taken");
        read(&mut inbox, u64::from(serial) + 1, u64::from(serial) + 2).await;
    }
}

/// Where the first frame lies whose facts name `needle`, and which of its bodies is as long as is told.
fn body_of(data: &std::path::Path, needle: &[u8], bytes_min: usize) -> Option<(Locator, usize)> {
    let (journal, _) = journal::open(&data.join("journal"), Options::new(1)).expect("the journal opens");
    let mut found = None;
    let visited = journal.reader().replay(Position::START, None, &mut |frame| {
        if found.is_none() && frame.meta.windows(needle.len()).any(|window| window == needle) {
            let long = |body: &Option<Bytes>| body.as_ref().is_some_and(|body| body.len() >= bytes_min);
            found = frame.bodies.iter().position(long).map(|body| (frame.locator, body));
        }
        Ok::<(), JournalError>(())
    });
    visited.expect("the journal is readable");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_body_is_shown_as_erased_and_the_inbox_goes_on() {
    let mut rig = Rig::agreed().await;
    fill(&rig, 5, 2_000).await;
    let size = rig.yueyang.desk().await.channel(YUEYANG, XIANNING).await.size;
    let mut desk = rig.xianning.desk().await;
    eventually("everything to arrive", async || desk.channel(YUEYANG, XIANNING).await.size == size).await;
    rig.xianning.kill();
    let data = rig.xianning.data();
    let (locator, body) = body_of(&data, b"case.forward", 2_000).expect("a forward's body");
    {
        let (mut journal, _) = journal::open(&data.join("journal"), Options::new(2)).expect("it opens");
        let _erased = journal.erase(locator, body).expect("the body is erased");
    }
    rig.xianning.start().await;
    let mut inbox = rig.xianning.desk().await.inbox("approval").await;
    let mut erased = 0;
    for expected in 0..size {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        assert_eq!((entry.index, entry.payload.is_empty()), (expected, entry.erased));
        erased += u32::from(entry.erased);
        assert!(!entry.erased || (entry.kind == "case.forward" && !entry.case_id.is_empty()));
    }
    assert_eq!(erased, 1, "one body is gone, its header stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_came_is_shown_with_its_verdict_and_the_inbox_goes_on() {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let key = |name: &str| rig.xianning.path("keys").join(name);
    let tls = Identity::load(&key("tls.pem"), &key("tls.key")).expect("an identity");
    let signing = Identity::load(&key("signing.pem"), &key("signing.key")).expect("an identity");
    let trust = rig.yueyang.path("trust");
    let mut author = Author::new(&signing, &trust, XIANNING, YUEYANG);
    let (header, body) = author.header(1, "case.teleport", b"first");
    author.append(header.encode(), body);
    let (header, _) = author.header(2, "case.teleport", b"second");
    author.append(header.encode(), Bytes::new());
    author.append(b"\xff no header".to_vec(), Bytes::new());
    let (header, body) = author.header(3, "case.teleport", b"third");
    author.append(header.encode(), body);
    let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.expect("TLS lets it in");
    link.say(Frame::Open(author.open_on(&link))).await;
    assert!(matches!(link.hear().await, Some(Frame::Open(_))));
    link.say(Frame::Batch(author.batch(0))).await;

    let mut inbox = rig.yueyang.desk().await.inbox("approval").await;
    let mut shown = Vec::new();
    for _ in 0..4 {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        shown.push((entry.index, entry.verdict, entry.erased));
    }
    let expected = [
        (0, "entry.unknown_kind", false),
        (1, "entry.unknown_kind", true),
        (2, "entry.malformed_header", true),
        (3, "entry.unknown_kind", false),
    ];
    assert_eq!(shown, expected.map(|(index, verdict, erased)| (index, verdict.to_owned(), erased)));
}
