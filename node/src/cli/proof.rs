//! `proof export` asks the node for the evidence of one message; `proof verify` needs no node, only
//! the bundle and the public certificates of the trust domains.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use certs::TrustStore;
use clap::Args;
use gateway::id::{ChannelId, Digest, MessageId};
use gateway::proof::{self, BUNDLE_BYTES_MAX};
use gateway::refusal::{Refusal, RefusalCode};
use proto::local::v1::ExportProofRequest;
use serde_json::json;

use super::read_input;
use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::{Lang, printable};

/// `tongban proof export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The message id. 报文编号
    #[arg(long, value_name = "ID")]
    pub message: MessageId,
    /// Its channel, FROM>TO; quote it. 通道
    #[arg(long, value_name = "FROM>TO")]
    pub channel: ChannelId,
    /// A new file for the bundle. 证据包文件
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `tongban proof verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The bundle. 证据包
    pub file: PathBuf,
    /// A trust folder with its trust.toml: roots and revocation lists. 信任目录
    #[arg(long, value_name = "DIR")]
    pub anchors: PathBuf,
}

/// Exports the evidence for one message.
///
/// # Errors
/// When the message is unknown or has no receipt yet; when the file exists.
pub async fn export(console: Console, mut clients: Clients, args: ExportArgs) -> Result<(), Failure> {
    let request = ExportProofRequest {
        from: args.channel.from.to_string(),
        to: args.channel.to.to_string(),
        message_id: args.message.0.to_vec().into(),
    };
    let reply = clients.operator.export_proof(request).await.map_err(|error| from_status(&error))?;
    let bundle = reply.into_inner().bundle;
    write_new(&args.out, &bundle)?;
    let (out, bytes) = (args.out.display().to_string(), bundle.len());
    console.result(&json!({"file": out, "bytes": bytes}), |lang| {
        lang.pick(
            format!("证据包已写入 {out}（{bytes} 字节）。"),
            format!("the bundle is in {out}, {bytes} bytes."),
        )
    })
}

/// Verifies a bundle offline.
///
/// # Errors
/// With a `proof.*` code when it does not prove what it claims, or is disputed; what [`TrustStore::load`] refuses.
pub fn verify(console: Console, args: &VerifyArgs) -> Result<(), Failure> {
    let trust = TrustStore::load(&args.anchors).map_err(|error| {
        let (anchors, zh, en) = (args.anchors.display(), error.advice(true), error.advice(false));
        Failure {
            code: error.code().to_owned(),
            ..Failure::input(both!(
                "信任目录 {anchors} 不能使用：{error}。{zh}",
                "the trust folder {anchors} cannot be used: {error}. {en}"
            ))
        }
    })?;
    let bundle = read_input(&args.file, BUNDLE_BYTES_MAX as u64)?;
    let found = proof::verify(&bundle, &trust)?;
    let digest = |digest: Option<Digest>| digest.map(Digest::to_text);
    let document = json!({
        "verified": found.disputed.is_empty(),
        "disputed": found
            .disputed
            .iter()
            .map(|one| json!({
                "node": one.node.as_str(),
                "compromised_from_ms": one.since.map(|since| since.0),
                "root": one.root,
            }))
            .collect::<Vec<_>>(),
        "from": found.channel.from.as_str(),
        "to": found.channel.to.as_str(),
        "index": found.index,
        "size": found.size,
        "message_id": found.message_id.to_string(),
        "kind": found.kind,
        "case_id": found.case_id,
        "created_ms": found.created.0,
        "signed_ms": found.signed.0,
        "received_ms": found.received.0,
        "agreement": digest(found.agreement),
        "standard": digest(found.standard),
        "origin": found.origin,
        "cosigner": found.cosigner,
        "body": found.payload.is_some(),
        "payload": found.payload.as_ref().map(|payload| BASE64.encode(payload)),
    });
    console.result(&document, |lang| {
        let lines = found.lines(lang == Lang::Zh);
        let lines = lines.iter().map(|line| format!("  {}", printable(line))).collect::<Vec<_>>().join("\n");
        let holds = lang.pick("证据成立。", "The evidence holds.");
        let disputed =
            lang.pick("签名成立，证据有争议。", "The signatures hold, and the evidence is disputed.");
        format!("{}\n{lines}", if found.disputed.is_empty() { holds } else { disputed })
    })?;
    if found.disputed.is_empty() { Ok(()) } else { Err(Refusal::from(RefusalCode::ProofDisputed).into()) }
}

/// Writes evidence to a new file. Nothing is ever overwritten.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let path = path.display();
        Failure::input(both!("写不了 {path}:{error}", "cannot write {path}: {error}"))
    })
}
