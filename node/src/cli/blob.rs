//! `blob put`, `get`, `show`: files that travel beside messages. A file is read and written part by
//! part, whatever its size; what is written is hashed on the way and kept only if it is what was asked
//! for.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use gateway::chunks::ChunkHasher;
use gateway::id::Digest;
use gateway::refusal::{Refusal, RefusalCode};
use gateway::time::UnixMillis;
use proto::local::v1::{
    BlobView, NamedBlob, ReadBlobRequest, ShowBlobRequest, ShowUploadRequest, UploadPart,
};
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::document::message_id;
use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::table::Table;

/// Bytes read and sent at once.
const PART_BYTES: usize = 256 * 1024;
/// Parts that wait for the node.
const PARTS_QUEUED_MAX: usize = 8;

/// `tongban blob put`
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The file, 1 byte to 2 GiB; removed when no message names it within 14 days; put again after a break, it goes on where it was. 文件（14 天内无报文引用即删除；中断后重新上传即续传）
    pub file: PathBuf,
}

/// `tongban blob get`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The file's digest, as `blob put` or the inbox gave it. 摘要
    pub digest: DigestArg,
    /// Where to write it; must not exist. 写入的新文件
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `tongban blob show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The file's digest. 摘要
    pub digest: DigestArg,
}

/// The files that go with a message.
#[derive(Debug, Clone, Default, Args)]
pub struct Files {
    /// A file that was put before, with a name for people; repeat for more. 随报文发送的附件
    #[arg(long = "blob", value_name = "DIGEST[=NAME]")]
    pub blobs: Vec<FileArg>,
}

impl Files {
    /// For a request to submit.
    pub fn named(&self) -> Vec<NamedBlob> {
        let named = |file: &FileArg| NamedBlob {
            digest: file.digest.to_text(),
            name: file.name.clone(),
            media_type: String::new(),
        };
        self.blobs.iter().map(named).collect()
    }
}

/// A digest as text.
#[derive(Debug, Clone, Copy)]
pub struct DigestArg(Digest);

impl FromStr for DigestArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Digest::from_text(text).map(Self).map_err(|error| error.to_string())
    }
}

/// A digest, and perhaps a name behind `=`.
#[derive(Debug, Clone)]
pub struct FileArg {
    digest: Digest,
    name: String,
}

impl FromStr for FileArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digest, name) = text.split_once('=').unwrap_or((text, ""));
        let digest = Digest::from_text(digest).map_err(|error| error.to_string())?;
        Ok(Self { digest, name: name.to_owned() })
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::input(both!("读不了 {path}:{error}", "cannot read {path}: {error}"))
}

/// Under what name a file is uploaded: the same file by the same path, unchanged, goes on where an earlier
/// upload was cut off.
fn upload_name(path: &Path, file: &File) -> std::io::Result<String> {
    let metadata = file.metadata()?;
    let changed = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let path = path.canonicalize()?;
    let mut name = ChunkHasher::default();
    name.update(path.as_os_str().as_encoded_bytes());
    name.update(format!("/{}/{}", metadata.len(), changed.as_nanos()).as_bytes());
    let digest = name.finish().map_err(std::io::Error::other)?.digest();
    Ok(format!("tongban blob put {}", digest.to_text()))
}

/// Uploads a file; one that was cut off before goes on where it was.
///
/// # Errors
/// When it cannot be read, or the node refuses it.
pub async fn put(console: Console, mut clients: Clients, args: PutArgs) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| cannot_read(&args.file, &error);
    let mut file = File::open(&args.file).map_err(unreadable)?;
    let name = upload_name(&args.file, &file).map_err(unreadable)?;
    let asked = clients.business.show_upload(ShowUploadRequest { upload: name.clone() }).await;
    let held = asked.map_err(|status| from_status(&status))?.into_inner().held_bytes;
    let (sender, parts) = tokio::sync::mpsc::channel(PARTS_QUEUED_MAX);
    let (gone, broken) = tokio::sync::oneshot::channel();
    let reader = tokio::task::spawn_blocking(move || {
        // All of it is hashed here: the digest of the answer is then that of this file, whoever sent what.
        let mut hasher = ChunkHasher::default();
        let mut first = Some((name, held));
        let mut skip = held;
        loop {
            let mut part = vec![0; PART_BYTES];
            match file.read(&mut part) {
                Ok(0) => {
                    if let Some((upload, offset)) = first.take() {
                        // All of it is there already; the node hears whose end this is.
                        let _ = sender.blocking_send(UploadPart { upload, offset, ..UploadPart::default() });
                    }
                    return hasher.finish().ok().map(|list| list.digest().to_text());
                }
                Ok(read) => {
                    part.truncate(read);
                    hasher.update(&part);
                    let known = usize::try_from(skip).map_or(read, |skip| skip.min(read));
                    skip -= known as u64;
                    if known == read {
                        continue;
                    }
                    let (upload, offset) = first.take().unwrap_or_default();
                    let part = UploadPart { data: part.split_off(known).into(), upload, offset };
                    if sender.blocking_send(part).is_err() {
                        return None; // the node refused it and says why
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Half a file must not pass for a whole one: with the sender the stream stays open
                    // until the call is given up.
                    let _ = gone.send((error, sender));
                    return None;
                }
            }
        }
    });
    let stored = tokio::select! {
        biased;
        Ok((error, _open)) = broken => return Err(cannot_read(&args.file, &error)),
        stored = clients.business.upload_blob(ReceiverStream::new(parts)) => stored,
    };
    let stored = stored.map_err(|status| from_status(&status))?.into_inner();
    let here = reader.await.ok().flatten();
    let (digest, bytes, duplicate) = (stored.digest, stored.length, stored.duplicate);
    if here.as_ref() != Some(&digest) {
        let file = args.file.display();
        return Err(Failure::input(both!(
            "{file} 在上传中被改动，节点所存并非此文件；请再次上传。",
            "{file} changed while it was uploaded, and what the node holds is not this file; put it again."
        )));
    }
    let document = json!({"digest": digest, "bytes": bytes, "duplicate": duplicate, "resumed_bytes": held});
    console.result(&document, |lang| {
        if duplicate {
            lang.pick(
                format!("{digest}\n  {bytes} 字节，此前已在本节点，只存一份。"),
                format!("{digest}\n  {bytes} bytes; it was here already and is stored once."),
            )
        } else {
            lang.pick(
                format!("{digest}\n  {bytes} 字节，已存。"),
                format!("{digest}\n  {bytes} bytes, stored."),
            )
        }
    })
}

/// Writes a file that is whole on the node to a new file here.
///
/// # Errors
/// When the node does not have it, the file exists, or the bytes are not the ones asked for; nothing is
/// left then.
pub async fn get(console: Console, mut clients: Clients, args: GetArgs) -> Result<(), Failure> {
    let DigestArg(digest) = args.digest;
    let request = ReadBlobRequest { digest: digest.to_text(), offset: 0 };
    let parts = clients.business.read_blob(request).await.map_err(|status| from_status(&status))?;
    let out = args.out.display();
    let cannot_write =
        |error: std::io::Error| Failure::input(both!("写不了 {out}:{error}", "cannot write {out}: {error}"));
    let file = OpenOptions::new().write(true).create_new(true).open(&args.out).map_err(cannot_write)?;
    let written = write(parts.into_inner(), file, digest, cannot_write).await;
    if written.is_err() {
        // Half a file is worse than none.
        let _ = std::fs::remove_file(&args.out);
    }
    let bytes = written?;
    console.result(&json!({"digest": digest.to_text(), "bytes": bytes, "file": out.to_string()}), |lang| {
        lang.pick(format!("已写入 {out},{bytes} 字节。"), format!("written to {out}, {bytes} bytes."))
    })
}

async fn write(
    mut parts: tonic::Streaming<proto::local::v1::BlobPart>,
    mut file: File,
    digest: Digest,
    cannot_write: impl Fn(std::io::Error) -> Failure,
) -> Result<u64, Failure> {
    let mut hasher = ChunkHasher::default();
    while let Some(part) = parts.message().await.map_err(|status| from_status(&status))? {
        hasher.update(&part.data);
        file.write_all(&part.data).map_err(&cannot_write)?;
    }
    file.sync_all().map_err(&cannot_write)?;
    match hasher.finish() {
        Ok(list) if list.digest() == digest => Ok(list.length()),
        _ => Err(Refusal::new(RefusalCode::BlobDigest, digest.to_text()).into()),
    }
}

/// Shows what the node knows of a file.
///
/// # Errors
/// When it knows nothing.
pub async fn show(console: Console, mut clients: Clients, args: ShowArgs) -> Result<(), Failure> {
    let DigestArg(digest) = args.digest;
    let request = ShowBlobRequest { digest: digest.to_text() };
    let view = clients.business.show_blob(request).await.map_err(|status| from_status(&status))?;
    print(console, &view.into_inner())
}

fn print(console: Console, view: &BlobView) -> Result<(), Failure> {
    let id = |bytes: &[u8]| message_id(bytes).map(|id| id.to_string()).unwrap_or_default();
    let uses: Vec<_> = view
        .uses
        .iter()
        .map(|one| {
            json!({
                "from": one.from,
                "to": one.to,
                "epoch": one.epoch,
                "index": one.index,
                "message_id": id(&one.message_id),
                "received": one.received,
                "received_ms": one.received_ms,
            })
        })
        .collect();
    let document = json!({
        "digest": view.digest,
        "bytes": view.length,
        "stored": view.stored,
        "stored_ms": view.stored_ms,
        "uploaded": view.uploaded,
        "held_bytes": view.held_bytes,
        "references": view.references,
        "uses": uses,
    });
    console.result(&document, |lang| {
        let (bytes, held) = (view.length, view.held_bytes);
        let state = if view.stored {
            let since = UnixMillis(view.stored_ms);
            lang.pick(format!("{since} 起完整"), format!("whole since {since}"))
        } else {
            lang.pick(format!("尚缺，已有 {held} 字节"), format!("not whole, {held} bytes are here"))
        };
        let origin = match (view.uploaded, lang.pick(true, false)) {
            (true, true) => "，由本节点上传",
            (true, false) => ", uploaded here",
            (false, _) => "",
        };
        let size = lang.pick(format!("{bytes} 字节"), format!("{bytes} bytes"));
        let count = view.references;
        let named = lang.pick(format!("被 {count} 条报文引用"), format!("named by {count} entries"));
        let mut table = Table::new([
            lang.pick("通道", "channel"),
            lang.pick("序号", "index"),
            lang.pick("报文编号", "message"),
            lang.pick("收件方", "receiver"),
        ]);
        for one in &view.uses {
            let received = match (one.received, lang.pick(true, false)) {
                (true, true) => "已完整收到",
                (true, false) => "has it whole",
                (false, true) => "未收到",
                (false, false) => "not yet",
            };
            table.row([
                format!("{}>{}", one.from, one.to),
                one.index.to_string(),
                id(&one.message_id),
                received.to_owned(),
            ]);
        }
        format!("{}\n  {size},{state}{origin};{named}\n{}", view.digest, table.render())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_digest_and_perhaps_a_name() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let plain: FileArg = digest.parse().unwrap();
        assert_eq!((plain.digest.to_text(), plain.name.as_str()), (digest.clone(), ""));
        let named: FileArg = format!("{digest}=营业执照=副本.pdf").parse().unwrap();
        assert_eq!(named.name, "营业执照=副本.pdf");
        assert!("sha256:0a=x".parse::<FileArg>().is_err());
    }
}
