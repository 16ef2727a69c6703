//! `proof export` asks the node for the evidence of one message; `proof verify` needs no node, only
//! the bundle and the public certificates of the trust domains.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use gateway::id::{ChannelId, MessageId};
use proto::local::v1::ExportProofRequest;
use serde_json::json;

use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;

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
            format!("证据包已写入 {out}({bytes} 字节)。"),
            format!("the bundle is in {out}, {bytes} bytes."),
        )
    })
}

/// Verifies a bundle offline.
///
/// # Errors
/// When it does not prove what it claims.
pub fn verify(_console: Console, _args: &VerifyArgs) -> Result<(), Failure> {
    Err(Failure::ours(both!("此版本尚不能验证证据包。", "this build cannot verify bundles yet.")))
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
