//! A partner at the end of a long line: 30 ms there and back, 1 Gbit/s. Messages and files arrive whole,
//! and the line is kept full: several batches, and several bursts of a file, are on it at once.

use node::bench::line::{Length, Line};
use prost::Message as _;
use proto::local::v1 as pb;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tests::documents::{case, conclude, forward};
use tests::files::{file, named};
use tests::probe::Metrics;
use tests::{Rig, XIANNING, YUEYANG, eventually};

const MIB: usize = 1024 * 1024;
/// Submissions of one batch of the local stream, and how many such batches.
const BATCH: u32 = 40;
const BATCHES: u32 = 25;

/// Both run; 岳阳 alone dials, by the line.
async fn apart() -> (Rig, Line, u16) {
    let mut rig = Rig::new();
    rig.only_dials(YUEYANG);
    let there = SocketAddr::from((Ipv4Addr::LOCALHOST, rig.xianning.port));
    let length = Length { round_trip: Duration::from_millis(30), bits_per_s: 1_000_000_000 };
    let line = Line::to(there, length).await.expect("a line");
    let text = std::fs::read_to_string(rig.yueyang.config()).expect("a configuration");
    let dialled = text.replace(&there.to_string(), &line.address().to_string());
    assert_ne!(text, dialled, "the partner's address stands in the configuration");
    std::fs::write(rig.yueyang.config(), dialled).expect("a configuration is written");
    let observed = rig.yueyang.observe();
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    conclude(&rig).await;
    (rig, line, observed)
}

fn forwarding(serial: u32) -> pb::SubmitRequest {
    pb::SubmitRequest {
        to: XIANNING.into(),
        kind: "case.forward".into(),
        case_id: case(serial),
        payload: forward().encode_to_vec().into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_long_line_messages_arrive_whole_and_several_batches_are_on_it_at_once() {
    let (rig, line, observed) = apart().await;
    let stream = rig.yueyang.desk().await.stream().await;
    for batch in 0..BATCHES {
        stream.send((batch * BATCH..(batch + 1) * BATCH).map(forwarding).collect()).await;
    }
    let mut xianning = rig.xianning.desk().await;
    let last = case(BATCH * BATCHES - 1);
    eventually("the last message", async || xianning.case(&last).await.is_some()).await;
    rig.balanced().await;
    let (there, _) = line.carried();
    assert!(there > u64::from(BATCH * BATCHES) * 300, "they went by the line: {there} bytes");
    let metrics = Metrics::scrape(observed).await;
    let sent = metrics.value("tongban_batches_in_flight_count");
    let alone = metrics.value("tongban_batches_in_flight_bucket{le=\"1\"}");
    let few = metrics.value("tongban_batches_in_flight_bucket{le=\"2\"}");
    assert!(sent > few && few >= alone, "of {sent} batches {few} had at most one other on the line");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_long_line_a_file_arrives_whole_and_more_of_it_is_on_the_line_than_one_burst() {
    let (rig, line, _) = apart().await;
    let content = file(31, 48 * MIB + 11);
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let digest = yueyang.upload(&content).await.expect("taken").digest;
    line.forget_most();
    let (before, _) = line.carried();
    yueyang.submit(pb::SubmitRequest { blobs: vec![named(&digest)], ..forwarding(1) }).await.expect("taken");
    eventually("the whole file", async || xianning.has(&digest).await).await;
    assert!(xianning.read(&digest, 0).await.expect("it is here") == content);
    let (after, _) = line.carried();
    assert!(after - before >= content.len() as u64, "it went by the line: {}", after - before);
    // A credit of one burst, or of what loopback needs, would leave the line empty most of the time.
    let most = line.on_the_way_most().0;
    assert!(most > 2 * gateway::limits::BLOB_BLOCK_BYTES as u64, "{most} bytes were on the line at most");
    eventually("the file's receipt", async || yueyang.has_file_receipts(YUEYANG, &digest).await).await;
    rig.balanced().await;
}
