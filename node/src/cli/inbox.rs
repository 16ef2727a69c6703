//! `inbox follow`: the entries that arrived for a business system, as they come. Text output shows
//! what an entry is about and never what it says; `--json` hands over the payload, base64, because
//! that is what a consumer is for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use gateway::time::UnixMillis;
use proto::local::v1::{AcknowledgeRequest, InboxEntry, InboxRequest};
use serde_json::json;

use super::document::message_id;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::{catalogue, printable};

/// `tongban inbox follow`
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// The consumer whose cursor is read, 1 to 64 characters. 消费者名称
    #[arg(long, value_name = "NAME")]
    pub consumer: String,
    /// Acknowledge each entry once it is printed: the next follow begins after it. 打印后即确认
    #[arg(long)]
    pub ack: bool,
    /// End after so many entries. 取够即止
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// Follows the inbox until it is interrupted.
///
/// # Errors
/// When the node does not answer or stops.
pub async fn follow(console: Console, mut clients: Clients, args: FollowArgs) -> Result<(), Failure> {
    let request = InboxRequest { consumer: args.consumer.clone() };
    let mut entries =
        clients.business.inbox(request).await.map_err(|error| from_status(&error))?.into_inner();
    let mut printed = 0;
    while args.count.is_none_or(|count| printed < count) {
        let Some(entry) = entries.message().await.map_err(|error| from_status(&error))? else { break };
        print(console, &entry)?;
        printed += 1;
        if args.ack {
            acknowledge(&mut clients, &args.consumer, &entry).await?;
        }
    }
    Ok(())
}

/// Tells the node that the consumer has acted on everything up to and with `entry`.
pub(crate) async fn acknowledge(
    clients: &mut Clients,
    consumer: &str,
    entry: &InboxEntry,
) -> Result<(), Failure> {
    let request = AcknowledgeRequest {
        consumer: consumer.to_owned(),
        from: entry.from.clone(),
        epoch: entry.epoch,
        next: entry.index.saturating_add(1),
    };
    clients.business.acknowledge(request).await.map_err(|error| from_status(&error))?;
    Ok(())
}

fn print(console: Console, entry: &InboxEntry) -> Result<(), Failure> {
    let id = |bytes: &[u8]| message_id(bytes).map(|id| id.to_string()).unwrap_or_default();
    let blobs: Vec<_> = entry
        .blobs
        .iter()
        .map(|blob| {
            json!({
                "digest": blob.digest,
                "bytes": blob.length,
                "name": blob.name,
                "media_type": blob.media_type,
                "stored": blob.stored,
            })
        })
        .collect();
    let document = json!({
        "from": entry.from,
        "epoch": entry.epoch,
        "index": entry.index,
        "message_id": id(&entry.message_id),
        "kind": entry.kind,
        "case_id": entry.case_id,
        "in_reply_to": id(&entry.in_reply_to),
        "verdict": entry.verdict,
        "created_ms": entry.created_ms,
        "erased": entry.erased,
        "payload": BASE64.encode(&entry.payload),
        "blobs": blobs,
    });
    console.result(&document, |lang| {
        let at = UnixMillis(entry.created_ms);
        let kind = printable(catalogue::kind(lang, &entry.kind));
        let verdict = match entry.verdict.as_str() {
            "" => lang.pick("接受", "permitted").to_owned(),
            code => format!("{}:{code}", lang.pick("拒收", "refused")),
        };
        let (from, index, case) = (&entry.from, entry.index, printable(&entry.case_id));
        let mut line = format!("{at}  {from}#{index}  {kind}  {case}  {verdict}");
        for blob in &entry.blobs {
            let here =
                if blob.stored { lang.pick("已到齐", "whole") } else { lang.pick("未到", "on its way") };
            line.push_str(&format!("\n  {}  {}  {here}", printable(&blob.digest), blob.length));
        }
        line
    })
}
