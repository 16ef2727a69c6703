//! Blobs on the local socket: a file comes and goes as a stream of parts, so that neither end holds
//! more than some of it. Parses and maps; decides nothing.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use gateway::gateway::{BlobStored, Gateway, InboxEntry, NamedFile};
use gateway::id::{Digest, MessageId};
use gateway::limits::{BLOBS_PER_ENTRY_MAX, NAME_BYTES_MAX};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::blob::Attachment;
use gateway::service::person::Personal;
use prost::Message as _;
use proto::local::v1 as pb;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::business::{blocking, invalid};
use crate::refused::to_status;

/// Kind of the event in an inbox that a file is whole.
const STORED: &str = "blob.stored";
/// Bytes of one part of an upload.
const PART_BYTES_MAX: usize = 1024 * 1024;
/// Parts that wait for one slow reader in memory.
const PARTS_QUEUED_MAX: usize = 16;
/// Milliseconds without a part after which an upload gives its place to another.
const UPLOAD_STALL_MILLIS_MAX: u64 = 60_000;

/// The parts of a file.
pub(super) type Parts = Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::BlobPart, Status>> + Send>>;

fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::from_text(text).map_err(|error| Refusal::new(RefusalCode::BadRequest, format!("digest: {error}")))
}

/// A payload with the files that its submitter names. Reads the index when there are some.
pub(super) fn attached(
    gateway: &Gateway,
    payload: Bytes,
    files: Vec<pb::NamedBlob>,
) -> Result<Bytes, Refusal> {
    if files.is_empty() {
        return Ok(payload);
    }
    if files.len() > BLOBS_PER_ENTRY_MAX {
        return Err(Refusal::new(RefusalCode::BadRequest, format!("blobs: over {BLOBS_PER_ENTRY_MAX}")));
    }
    let named = |file: pb::NamedBlob| {
        Ok(NamedFile {
            digest: digest(&file.digest)?,
            name: Personal::new(file.name),
            media_type: file.media_type,
        })
    };
    let named = files.into_iter().map(named).collect::<Result<Vec<_>, Refusal>>()?;
    gateway.attach(&payload, &named)
}

/// A file as an entry names it.
pub(super) fn name(file: &Attachment, stored: bool) -> pb::BlobName {
    pb::BlobName {
        digest: file.digest.to_text(),
        length: file.length,
        name: file.name.reveal().to_owned(),
        media_type: file.media_type.clone(),
        stored,
    }
}

/// The event that a file is whole.
pub(super) fn stored_event(entry: &InboxEntry, stored: &BlobStored) -> pb::InboxEntry {
    let MessageId(named_by) = stored.message_id;
    let payload = pb::BlobStored {
        blob: Some(name(&stored.blob, true)),
        from: stored.from.to_string(),
        epoch: stored.position.epoch,
        index: stored.position.index,
    };
    pb::InboxEntry {
        from: entry.from.to_string(),
        epoch: entry.position.epoch,
        index: entry.position.index,
        kind: STORED.to_owned(),
        in_reply_to: named_by.to_vec().into(),
        created_ms: stored.at.0,
        payload: payload.encode_to_vec().into(),
        blobs: vec![name(&stored.blob, true)],
        ..Default::default()
    }
}

/// Takes a file.
pub(super) async fn upload(
    gateway: &Gateway,
    mut parts: Streaming<pb::UploadPart>,
) -> Result<pb::UploadReply, Status> {
    let refused = |refusal: Refusal| to_status(&refusal);
    let mut next = part(&mut parts).await?;
    let (name, offset) = next.as_mut().map_or_else(Default::default, |first| {
        (std::mem::take(&mut first.upload), std::mem::take(&mut first.offset))
    });
    let begun = if name.is_empty() {
        if offset > 0 {
            return Err(invalid("offset: only an upload under a name goes on".to_owned()));
        }
        gateway.upload_blob().await
    } else {
        gateway.upload_blob_named(upload_name(name)?, offset).await
    };
    let mut upload = begun.map_err(refused)?;
    while let Some(taken) = next {
        upload.write(taken.data).await.map_err(refused)?;
        next = part(&mut parts).await?;
    }
    let (blob, duplicate) = upload.finish().await.map_err(refused)?;
    Ok(pb::UploadReply { digest: blob.digest.to_text(), length: blob.length, duplicate })
}

/// The next part of an upload; nothing at its end.
async fn part(parts: &mut Streaming<pb::UploadPart>) -> Result<Option<pb::UploadPart>, Status> {
    let patience = Duration::from_millis(UPLOAD_STALL_MILLIS_MAX);
    let next = tokio::time::timeout(patience, parts.message()).await;
    let next = next.map_err(|_| to_status(&RefusalCode::Overloaded.into()))??;
    match next {
        Some(part) if part.data.len() > PART_BYTES_MAX => {
            Err(invalid(format!("data: over {PART_BYTES_MAX} bytes")))
        }
        next => Ok(next),
    }
}

fn upload_name(name: String) -> Result<String, Status> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        Ok(name)
    } else {
        Err(invalid(format!("upload: 1 to {NAME_BYTES_MAX} bytes")))
    }
}

/// How far an upload under a name has come.
pub(super) async fn show_upload(
    gateway: &Gateway,
    request: pb::ShowUploadRequest,
) -> Result<pb::UploadView, Status> {
    let held = gateway.upload_held(upload_name(request.upload)?).await;
    Ok(pb::UploadView { held_bytes: held.map_err(|refusal| to_status(&refusal))? })
}

/// Gives a file.
pub(super) async fn read(gateway: &Gateway, request: pb::ReadBlobRequest) -> Result<Parts, Status> {
    let digest = digest(&request.digest).map_err(|refusal| to_status(&refusal))?;
    let wanted = gateway.read_blob(digest, request.offset).await;
    let mut blob = wanted.map_err(|refusal| to_status(&refusal))?;
    let (sender, receiver) = tokio::sync::mpsc::channel(PARTS_QUEUED_MAX);
    tokio::spawn(async move {
        loop {
            let part = match blob.next().await {
                Ok(Some((offset, data))) => Ok(pb::BlobPart { length: blob.length(), offset, data }),
                Ok(None) => return,
                Err(refusal) => Err(to_status(&refusal)),
            };
            let failed = part.is_err();
            if sender.send(part).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// What the node knows of a file.
pub(super) async fn show(gateway: &Gateway, request: pb::ShowBlobRequest) -> Result<pb::BlobView, Status> {
    let digest = digest(&request.digest).map_err(|refusal| to_status(&refusal))?;
    let gateway = gateway.clone();
    let state = blocking(move || {
        gateway.blob(&digest)?.ok_or_else(|| Refusal::new(RefusalCode::BlobUnknown, digest.to_text()))
    })
    .await?;
    Ok(pb::BlobView {
        digest: request.digest,
        length: state.length.unwrap_or(0),
        stored: state.stored.is_some(),
        stored_ms: state.stored.map_or(0, |at| at.0),
        uploaded: state.uploaded,
        held_bytes: state.held_bytes,
        references: state.references,
        uses: state
            .uses
            .into_iter()
            .map(|one| pb::BlobUse {
                from: one.channel.from.to_string(),
                to: one.channel.to.to_string(),
                epoch: one.position.epoch,
                index: one.position.index,
                message_id: one.message_id.0.to_vec().into(),
                received: one.received,
                received_ms: one.received_at.map_or(0, |at| at.0),
            })
            .collect(),
    })
}
