//! Files of a business system: made, uploaded, named in a message, waited for.

use crate::desk::Desk;
use proto::local::v1 as pb;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

const PART_BYTES: usize = 256 * 1024;

/// A file of that length that is like no other of another seed.
pub fn file(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl Desk {
    /// Submits some messages as one batch of a stream, and gives their outcomes.
    pub async fn submit_batch(&mut self, requests: Vec<pb::SubmitRequest>) -> Vec<pb::SubmitOutcome> {
        let count = requests.len();
        let batches = tokio_stream::iter([pb::SubmitBatch { requests }]);
        let answers = self.clients.business.submit_stream(batches).await.expect("a stream");
        let mut answers = answers.into_inner();
        loop {
            let answer = answers.next().await.expect("an answer").expect("no error");
            if !answer.outcomes.is_empty() {
                assert_eq!(answer.outcomes.len(), count);
                return answer.outcomes;
            }
        }
    }

    /// Uploads a file.
    pub async fn upload(&mut self, bytes: &[u8]) -> Result<pb::UploadReply, Status> {
        let parts: Vec<_> = bytes
            .chunks(PART_BYTES)
            .map(|part| pb::UploadPart { data: part.to_vec().into(), ..Default::default() })
            .collect();
        self.clients.business.upload_blob(tokio_stream::iter(parts)).await.map(tonic::Response::into_inner)
    }

    /// Bytes of an unfinished upload under a name that the node has.
    pub async fn upload_held(&mut self, name: &str) -> u64 {
        let request = pb::ShowUploadRequest { upload: name.into() };
        self.clients.business.show_upload(request).await.expect("an answer").into_inner().held_bytes
    }

    /// Uploads a file under a name from a byte on.
    pub async fn upload_from(
        &mut self,
        name: &str,
        bytes: &[u8],
        offset: u64,
    ) -> Result<pb::UploadReply, Status> {
        let parts = parts_from(name, bytes, offset);
        self.clients.business.upload_blob(tokio_stream::iter(parts)).await.map(tonic::Response::into_inner)
    }

    /// Begins to upload under a name and stays in the middle of it, as [`Desk::half_upload`] does.
    pub async fn half_upload_as(
        &mut self,
        name: &str,
        bytes: &[u8],
    ) -> tokio::sync::mpsc::Sender<pb::UploadPart> {
        let (sender, parts) = tokio::sync::mpsc::channel(64);
        let mut business = self.clients.business.clone();
        tokio::spawn(async move { business.upload_blob(ReceiverStream::new(parts)).await });
        for part in parts_from(name, bytes, 0) {
            sender.send(part).await.expect("the upload goes on");
        }
        sender
    }

    /// Begins to upload and stays in the middle of it: the sender ends it when it is dropped.
    pub async fn half_upload(&mut self, bytes: &[u8]) -> tokio::sync::mpsc::Sender<pb::UploadPart> {
        let (sender, parts) = tokio::sync::mpsc::channel(64);
        let mut business = self.clients.business.clone();
        tokio::spawn(async move { business.upload_blob(ReceiverStream::new(parts)).await });
        for part in bytes.chunks(PART_BYTES) {
            sender
                .send(pb::UploadPart { data: part.to_vec().into(), ..Default::default() })
                .await
                .expect("the upload goes on");
        }
        sender
    }

    /// Reads a file from an offset on.
    pub async fn read(&mut self, digest: &str, offset: u64) -> Result<Vec<u8>, Status> {
        let request = pb::ReadBlobRequest { digest: digest.into(), offset };
        let mut parts = self.clients.business.read_blob(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await {
            let part = part?;
            assert_eq!(part.offset, offset + bytes.len() as u64, "parts come in order");
            bytes.extend_from_slice(&part.data);
        }
        Ok(bytes)
    }

    /// What the node knows of a file.
    pub async fn blob(&mut self, digest: &str) -> Result<pb::BlobView, Status> {
        let request = pb::ShowBlobRequest { digest: digest.into() };
        self.clients.business.show_blob(request).await.map(tonic::Response::into_inner)
    }

    /// Whether a file is whole on the node.
    pub async fn has(&mut self, digest: &str) -> bool {
        self.blob(digest).await.is_ok_and(|view| view.stored)
    }

    /// Whether the partner has signed for a file in each of this node's entries that names it.
    pub async fn has_file_receipts(&mut self, me: &str, digest: &str) -> bool {
        let view = self.blob(digest).await.expect("a blob that was uploaded");
        view.uses.iter().filter(|one| one.from == me).all(|one| one.received)
    }
}

fn parts_from(name: &str, bytes: &[u8], offset: u64) -> Vec<pb::UploadPart> {
    let rest = &bytes[usize::try_from(offset).expect("an offset in a file in memory")..];
    let part = |part: &[u8]| pb::UploadPart { data: part.to_vec().into(), ..Default::default() };
    let mut parts: Vec<_> = rest.chunks(PART_BYTES).map(part).collect();
    if parts.is_empty() {
        parts.push(pb::UploadPart::default());
    }
    parts[0].upload = name.into();
    parts[0].offset = offset;
    parts
}

/// A file to be named in a message.
pub fn named(digest: &str) -> pb::NamedBlob {
    pb::NamedBlob {
        digest: digest.into(), name: "扫描件.pdf".into(), media_type: "application/pdf".into()
    }
}
