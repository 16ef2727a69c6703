//! `standard publish`, `agreement sign`, `document list`. The file is signed as these bytes; nothing
//! here re-formats it, because the other side has to sign the same.

use std::path::PathBuf;

use clap::Args;
use gateway::id::{MessageId, NodeId};
use gateway::limits::ENVELOPE_BYTES_MAX;
use proto::local::v1::{ListDocumentsRequest, PublishDocumentRequest};
use serde_json::{Value, json};

use super::case::{Submitted, wait_for_receipt};
use super::{Wait, read_input};
use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::catalogue::yes;
use crate::text::table::Table;

/// `tongban standard publish`, `tongban agreement sign`
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The partner's division. 对方节点
    #[arg(long, value_name = "NODE")]
    pub to: NodeId,
    /// The document, JSON; both sides sign the same bytes. 文书（JSON）
    #[arg(long, value_name = "JSON")]
    pub file: PathBuf,
    /// Idempotency key: the same key and file give the first answer again. 幂等键
    #[arg(long)]
    pub key: Option<String>,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// `tongban document list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only "standard" or "agreement". 只列某一类
    #[arg(long = "type", value_parser = ["standard", "agreement"])]
    pub kind: Option<String>,
}

/// Signs a document and sends it.
///
/// # Errors
/// When the file is not JSON, or the node refuses it.
pub async fn publish(
    console: Console,
    mut clients: Clients,
    kind: &str,
    args: PublishArgs,
) -> Result<(), Failure> {
    let payload = read_input(&args.file, ENVELOPE_BYTES_MAX as u64)?;
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let file = args.file.display();
        return Err(Failure::input(both!("{file} 不是 JSON:{error}", "{file} is not JSON: {error}")));
    }
    let request = PublishDocumentRequest {
        to: args.to.to_string(),
        r#type: kind.to_owned(),
        payload: payload.into(),
        idempotency_key: args.key.unwrap_or_default(),
    };
    let reply =
        clients.business.publish_document(request).await.map_err(|error| from_status(&error))?.into_inner();
    let submitted = Submitted::of(args.to, None, &reply)?;
    submitted.print(console)?;
    wait_for_receipt(console, &mut clients, args.to, submitted.message_id, args.wait).await
}

/// Lists the documents that this node holds.
///
/// # Errors
/// When the node does not answer.
pub async fn list(console: Console, mut clients: Clients, args: ListArgs) -> Result<(), Failure> {
    let reply = clients.business.list_documents(ListDocumentsRequest {}).await;
    let documents = reply.map_err(|error| from_status(&error))?.into_inner().documents;
    let wanted = |kind: &str| args.kind.as_deref().is_none_or(|only| only == kind);
    let documents: Vec<_> = documents.into_iter().filter(|document| wanted(&document.r#type)).collect();
    let rows: Vec<_> = documents
        .iter()
        .map(|document| {
            json!({
                "type": document.r#type,
                "id": document.id,
                "edition": document.edition,
                "digest": document.digest,
                "signed_by": document.signed_by,
                "effective": document.effective,
                "payload": serde_json::from_slice::<Value>(&document.payload).unwrap_or_default(),
            })
        })
        .collect();
    console.result(&json!({"documents": rows}), |lang| {
        let mut table = Table::new(lang.pick(
            ["类别", "编号", "版次", "生效", "已签署", "摘要"],
            ["type", "id", "edition", "effective", "signed by", "digest"],
        ));
        for document in &documents {
            table.row([
                match document.r#type.as_str() {
                    "standard" => lang.pick("标准", "standard").to_owned(),
                    "agreement" => lang.pick("协议", "agreement").to_owned(),
                    other => other.to_owned(),
                },
                document.id.clone(),
                document.edition.to_string(),
                yes(lang, document.effective).to_owned(),
                document.signed_by.join(" "),
                document.digest.clone(),
            ]);
        }
        table.render()
    })
}

/// The message id of an answer of the node.
pub(crate) fn message_id(bytes: &[u8]) -> Result<MessageId, Failure> {
    bytes.try_into().map(MessageId).map_err(|_| {
        Failure::ours(both!(
            "节点答复的报文编号不是 16 字节。",
            "the node answered with a message id that is not 16 bytes long."
        ))
    })
}
