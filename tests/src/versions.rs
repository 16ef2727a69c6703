//! Vectors of each version of the store and the wire: what this build writes today, so that every later build
//! can be held against it. `cargo run -p tests -- vectors NAME` makes `tests/vectors/NAME` and never
//! overwrites one. What a vector holds must be usable in ten years: journals and frames and the public keys to
//! verify them, no certificate that has to be valid then, and no private key; who opens an old store brings
//! keys of his own day.
//!
//! ```text
//! NAME/430600.tbj, 421200.tbj   journals, without the zeros of preallocated room
//! NAME/conversation.bin         frames of one link: direction (1 byte, 0 to the node), length (4, little endian), frame
//! NAME/expected.json            what the nodes said of themselves: channels with roots, cases with states
//! ```

use crate::documents::{accept, case, close, decision, forward, rate, review, sign_for};
use crate::files::{file, named};
use crate::stranger::{Author, Stranger};
use crate::{Rig, XIANNING, YUEYANG, eventually};
use certs::Identity;
use certs::administration::log::to_hex as hex;
use gateway::signer::Signer as _;
use prost::Message as _;
use proto::exchange::v1::Frame;
use proto::exchange::v1::frame::Kind;
use proto::local::v1 as pb;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The file of a journal's first segment.
pub const FIRST_SEGMENT: &str = "00000000000000000001.tbj";

/// Where the vectors lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Makes a vector of what this build writes.
///
/// # Errors
/// When there is one of that name, or it cannot be written.
///
/// # Panics
/// When the nodes do not do what they always do.
pub async fn make(name: &str) -> std::io::Result<PathBuf> {
    let target = folder().join(name);
    std::fs::create_dir_all(folder())?;
    std::fs::create_dir(&target)?; // refuses to overwrite
    let mut rig = Rig::agreed().await;
    work(&rig).await;
    rig.balanced().await;
    let (frames, keys, binding) = converse().await;
    let expected = json!({
        "keys": keys,
        "binding": binding,
        YUEYANG: stated(&rig.yueyang).await,
        XIANNING: stated(&rig.xianning).await,
    });
    rig.yueyang.kill();
    rig.xianning.kill();
    for city in [&rig.yueyang, &rig.xianning] {
        let journal = city.data().join("journal");
        let mut bytes = std::fs::read(journal.join(FIRST_SEGMENT))?;
        // Frames end at multiples of 8.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| (at + 1).next_multiple_of(8));
        bytes.truncate(used);
        std::fs::write(target.join(format!("{}.tbj", city.node)), bytes)?;
    }
    std::fs::write(target.join("conversation.bin"), frames)?;
    std::fs::write(target.join("expected.json"), serde_json::to_vec_pretty(&expected)?)?;
    Ok(target)
}

/// What a node says of its channels and cases. Not how far its own log is receipted: a receipt is durable at
/// the receiver, and a node writes it down with whatever comes next.
pub async fn stated(city: &crate::city::City) -> serde_json::Value {
    let mut desk = city.desk().await;
    let mut channels = Vec::new();
    for (from, to) in [(YUEYANG, XIANNING), (XIANNING, YUEYANG)] {
        let view = desk.channel(from, to).await;
        channels.push(json!({
            "from": from, "to": to, "size": view.size, "root": view.root, "refused": view.refused,
        }));
    }
    let mut cases: Vec<_> = desk.cases().await.into_iter().map(|case| (case.case_id, case.state)).collect();
    cases.sort();
    json!({ "channels": channels, "cases": cases })
}

/// A case from 收件 to 评价 with a file, others on the way, one that is refused.
async fn work(rig: &Rig) {
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let scan = window.upload(&file(7, 3_000)).await.expect("a small file").digest;
    let request = pb::SubmitRequest {
        to: XIANNING.into(),
        idempotency_key: "window/1".into(),
        kind: "case.forward".into(),
        case_id: case(1),
        payload: forward().encode_to_vec().into(),
        blobs: vec![named(&scan)],
        ..Default::default()
    };
    window.submit(request).await.expect("taken");
    for serial in 2..8 {
        window.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
    }
    eventually("the cases to arrive", async || approval.cases().await.len() == 7).await;
    eventually("the file to arrive", async || approval.has(&scan).await).await;
    let first = case(1);
    for serial in 1..5 {
        approval.act(YUEYANG, "case.signfor", &case(serial), &sign_for()).await.expect("taken");
    }
    approval.act(YUEYANG, "case.accept", &first, &accept()).await.expect("taken");
    approval.act(YUEYANG, "case.review", &first, &review()).await.expect("taken");
    approval.act(YUEYANG, "case.deny", &first, &decision("材料不符")).await.expect("taken");
    approval.act(YUEYANG, "case.close", &first, &close()).await.expect("taken");
    eventually("the case to be closed", async || {
        window.case(&first).await.is_some_and(|case| case.state == "closed")
    })
    .await;
    window.act(XIANNING, "case.rate", &first, &rate()).await.expect("taken");
}

/// What a partner, spoken by hand, and 岳阳 say to each other on one link: both Opens, a batch with an entry
/// that nobody understands, its receipt, and the refusal that answers it. Also the keys that verify it, and what
/// binds the proofs in its Opens to the connection.
async fn converse() -> (Vec<u8>, serde_json::Value, String) {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let load = |city: &crate::city::City, name: &str| {
        let path = |end: &str| city.path(&format!("keys/{name}.{end}"));
        Identity::load(&path("pem"), &path("key")).expect("an identity")
    };
    let trust = rig.yueyang.path("trust");
    let mut author = Author::new(&load(&rig.xianning, "signing"), &trust, XIANNING, YUEYANG);
    let there = Author::new(&load(&rig.yueyang, "signing"), &trust, YUEYANG, XIANNING);
    let keys = json!({
        author.signer.name(): [hex(author.signer.public_key().spki())],
        there.signer.name(): [hex(there.signer.public_key().spki())],
    });
    let tls = load(&rig.xianning, "tls");
    let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.expect("a link");
    let mut record = Vec::new();
    let mut write = |direction: u8, kind: &Kind| {
        let frame = Frame { kind: Some(kind.clone()) }.encode_to_vec();
        record.push(direction);
        record.extend_from_slice(&u32::try_from(frame.len()).expect("a frame").to_le_bytes());
        record.extend_from_slice(&frame);
    };
    let open = Kind::Open(author.open_on(&link));
    write(0, &open);
    link.say(open).await;
    write(1, &link.hear().await.expect("an Open"));
    let (header, body) = author.header(1, "case.teleport", b"somewhere");
    author.append(header.encode(), body);
    let batch = Kind::Batch(author.batch(0));
    write(0, &batch);
    link.say(batch).await;
    let (mut receipt, mut refusal) = (false, false);
    while !(receipt && refusal) {
        let heard = link.hear().await.expect("the link stands");
        write(1, &heard);
        receipt |= matches!(heard, Kind::Cosigned(_));
        refusal |= matches!(heard, Kind::Batch(_));
    }
    rig.yueyang.kill();
    (record, keys, hex(&link.binding))
}

/// The frames of a recorded conversation: to the node or from it, and the bytes.
///
/// # Errors
/// When the record breaks off.
pub fn frames(record: &[u8]) -> Result<Vec<(bool, Vec<u8>)>, String> {
    let (mut rest, mut frames) = (record, Vec::new());
    while let Some((head, after)) = rest.split_at_checked(5) {
        let length = u32::from_le_bytes(head[1..].try_into().expect("four bytes")) as usize;
        let frame = after.get(..length).ok_or("a frame breaks off")?;
        frames.push((head[0] == 0, frame.to_vec()));
        rest = &after[length..];
    }
    if rest.is_empty() { Ok(frames) } else { Err("the record breaks off".into()) }
}
