//! One file from 岳阳 to 咸宁: uploaded at the one local socket, named by one message, awaited at the other's
//! inbox. The clock of the transfer runs from the submission to the event that the file is whole, which
//! the receiver verified chunk by chunk.

use super::figures::Figures;
use super::pair::{Pair, with_far_pair};
use super::{FileArgs, disk, machine, refused};
use crate::demo::DemoError;
use crate::demo::error::within;
use crate::demo::narrate::{Moment, Narrator};
use bytes::Bytes;
use gateway::id::Kind;
use proto::local::v1 as local;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of one part of the upload, as `blob put` sends them.
const PART_BYTES: usize = 256 * 1024;
/// Parts that wait for the node.
const PARTS_QUEUED: usize = 8;
/// Bytes that no two places of the file share: a chunk of the transfer.
const CHUNK_BYTES: usize = gateway::limits::BLOB_CHUNK_BYTES;
/// Bytes of the application that names the file.
const APPLICATION_BYTES: usize = 2048;
/// Time for a file of any size.
const PATIENCE_LEAST: Duration = Duration::from_secs(60);
/// Bytes of the file that earn it one second more: a rate below this is no transfer.
const BYTES_PER_SECOND_LEAST: u64 = 1_000_000;

/// Runs the measurement.
pub(super) async fn run(args: &FileArgs, chinese: bool) -> Result<Figures, DemoError> {
    let length = args.line.length();
    with_far_pair(args.nodes.keep.as_deref(), args.nodes.suite, length, chinese, async |pair, narrator| {
        measure(args, pair, narrator).await
    })
    .await
}

async fn measure(args: &FileArgs, pair: &Pair, narrator: &Narrator) -> Result<Figures, DemoError> {
    let disk = disk::ask_beside(&pair.rig).await?;
    let processes = pair.processes()?;
    let mut rss_before = Vec::new();
    for process in processes {
        machine::forget_peak(process);
        rss_before.push(machine::rss_mib(process)?);
    }
    let patience = PATIENCE_LEAST + Duration::from_secs(args.bytes / BYTES_PER_SECOND_LEAST);
    let megabytes = args.bytes as f64 / 1e6;

    narrator.tell(Moment::note(
        format!("上传 {megabytes:.1} MB 随机文件"),
        format!("a random file of {megabytes:.1} MB is uploaded"),
    ));
    let began = Instant::now();
    let digest = within(patience, "the upload", upload(pair, args.bytes)).await?;
    let upload_s = began.elapsed().as_secs_f64();

    let mut inbox = pair.xianning.inbox("bench").await?;
    let request = local::SubmitRequest {
        to: pair.yueyang.partner.code.to_owned(),
        idempotency_key: "bench/file".to_owned(),
        kind: Kind::CaseForward.name().to_owned(),
        case_id: pair.case(1_000_000)?,
        payload: pair.application(APPLICATION_BYTES)?.into(),
        blobs: vec![local::NamedBlob {
            digest: digest.clone(),
            name: "bench".to_owned(),
            media_type: "application/octet-stream".to_owned(),
        }],
        ..local::SubmitRequest::default()
    };
    if let Some(line) = &pair.line {
        line.forget_most();
    }
    narrator.tell(Moment::note("提交引用该文件的转递", "a case.forward that names it is submitted"));
    let began = Instant::now();
    pair.yueyang.business().submit(request).await.map_err(|status| refused(&status))?;
    let whole = async {
        loop {
            let entry = inbox.message().await.map_err(|status| refused(&status))?;
            let entry = entry.ok_or_else(|| DemoError::Broken("the node closed the inbox".into()))?;
            if entry.kind == "blob.stored" && entry.blobs.iter().any(|blob| blob.digest == digest) {
                return Ok(began.elapsed().as_secs_f64());
            }
        }
    };
    // A file that does not arrive is a finding, not an accident of the measurement.
    let transfer_s = match within(patience, "the file at the partner", whole).await {
        Ok(seconds) => Some(seconds),
        Err(DemoError::TooLate { .. }) => None,
        Err(error) => return Err(error),
    };
    let request = local::ShowBlobRequest { digest };
    let view = pair.xianning.business().show_blob(request).await;
    let stored = match view {
        Ok(view) => view.get_ref().stored && view.get_ref().length == args.bytes,
        Err(_) => false,
    };
    let mut peak_rss_mib: f64 = 0.0;
    let mut rss_growth_mib: f64 = 0.0;
    for (process, before) in processes.into_iter().zip(rss_before) {
        let peak = machine::peak_rss_mib(process)?;
        peak_rss_mib = peak_rss_mib.max(peak);
        rss_growth_mib = rss_growth_mib.max(peak - before);
    }
    Ok(Figures {
        disk: Some(disk),
        asked: [
            vec![("bytes", args.bytes.to_string()), ("suite", args.nodes.suite.name().to_owned())],
            args.line.asked(),
        ]
        .concat(),
        line_bytes_most: pair.line.as_ref().map(|line| line.on_the_way_most().0),
        mb_per_s: transfer_s.map(|seconds| megabytes / seconds),
        upload_mb_per_s: Some(megabytes / upload_s),
        peak_rss_mib: Some(peak_rss_mib),
        rss_growth_mib: Some(rss_growth_mib),
        lost: Some(u64::from(transfer_s.is_none() || !stored)),
        ..Figures::of_this_machine()
    })
}

/// Uploads a file that nothing holds twice; its digest.
async fn upload(pair: &Pair, bytes: u64) -> Result<String, DemoError> {
    let mut part = vec![0; PART_BYTES];
    let random = SystemRandom::new().fill(&mut part);
    random.map_err(|_| DemoError::Broken("the system has no random bytes".into()))?;
    let (sender, parts) = mpsc::channel(PARTS_QUEUED);
    let write = async move {
        let mut offset = 0;
        while offset < bytes {
            // Random bytes are dear; a number makes each chunk one of its own, so that none is spared.
            for (chunk, place) in part.chunks_mut(CHUNK_BYTES).zip((offset..).step_by(CHUNK_BYTES)) {
                chunk[..8].copy_from_slice(&place.to_be_bytes());
            }
            let count = (bytes - offset).min(PART_BYTES as u64);
            let data = Bytes::copy_from_slice(&part[..count as usize]);
            if sender.send(local::UploadPart { data, ..Default::default() }).await.is_err() {
                return; // the node refused it and says why
            }
            offset += count;
        }
    };
    let mut client = pair.yueyang.business();
    let (stored, ()) = tokio::join!(client.upload_blob(ReceiverStream::new(parts)), write);
    let stored = stored.map_err(|status| refused(&status))?.into_inner();
    if stored.length != bytes || stored.duplicate {
        return Err(DemoError::Broken("the node took another file".into()));
    }
    Ok(stored.digest)
}
