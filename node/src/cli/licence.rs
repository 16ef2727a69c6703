//! `licence put` and `licence query`. A query is an entry to the partner; its answer, a signed
//! attestation, is an entry back, which the command waits for in the inbox of a consumer of its own.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{ArgGroup, Args};
use gateway::id::{Kind, NodeId};
use gateway::refusal::{Refusal, RefusalCode};
use prost::Message as _;
use proto::exchange::v1;
use proto::local::v1::{
    AcknowledgeRequest, InboxEntry, InboxRequest, PutLicenceRequest, StatusRequest, SubmitRequest,
};
use serde_json::{Value, json};

use super::case_file::{INPUT_BYTES_MAX, LicenceFile, parse_json};
use super::document::message_id;
use super::inbox::acknowledge;
use super::read_input;
use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::printable;

/// The consumer that queries of the command line share. Its cursor only ever moves to the end: a
/// query begins to read before it is sent, so its answer lies ahead.
const CONSUMER: &str = "tongban-licence-query";

/// `tongban licence put`
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The licence, JSON with the fields of GB/T 36903. 证照（JSON）
    #[arg(long, value_name = "JSON")]
    pub file: PathBuf,
}

/// `tongban licence query`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["id", "type_code"])))]
pub struct QueryArgs {
    /// The partner's division. 对方节点
    #[arg(long, value_name = "NODE")]
    pub to: NodeId,
    /// Licence identifier, GB/T 36904. 证照标识
    #[arg(long)]
    pub id: Option<String>,
    /// Licence type; with --holder. 证照类型代码
    #[arg(long = "type", value_name = "TYPE", requires = "holder")]
    pub type_code: Option<String>,
    /// The holder's code; with --type. 持证主体代码
    #[arg(long, value_name = "CODE", requires = "type_code")]
    pub holder: Option<String>,
    /// What the licence is needed for, as the agreement lists it. 用途
    #[arg(long)]
    pub purpose: String,
    /// The body that asks. 五要素：机构
    #[arg(long)]
    pub org_name: String,
    /// The person that asks. 五要素：人员
    #[arg(long)]
    pub user_name: String,
    /// The item's name. 五要素：事项名称
    #[arg(long)]
    pub item_name: String,
    /// The item's code. 五要素：事项编码
    #[arg(long)]
    pub item_code: String,
    /// The case number. 五要素：业务编号
    #[arg(long)]
    pub business_code: String,
    /// A field that is asked for; repeat for more. 所需字段
    #[arg(long = "field", value_name = "NAME")]
    pub fields: Vec<String>,
    /// Reference of the holder's authorisation. 授权凭据
    #[arg(long, default_value = "")]
    pub authorisation: String,
    /// Also write the signed attestation (DSSE) to this new file. 另存证明
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Seconds to wait for the answer. 等待秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// Puts a licence into the node's own catalogue.
///
/// # Errors
/// When the file is not a licence, or the node refuses it.
pub async fn put(console: Console, mut clients: Clients, args: PutArgs) -> Result<(), Failure> {
    let licence: LicenceFile = parse_json(&read_input(&args.file, INPUT_BYTES_MAX)?)?;
    let request = PutLicenceRequest { licence: licence.to_payload()?.encode_to_vec().into() };
    clients.business.put_licence(request).await.map_err(|error| from_status(&error))?;
    let id = printable(&licence.id);
    console.result(&json!({"licence_id": id, "stored": true}), |lang| {
        lang.pick(format!("证照 {id} 已入库。"), format!("licence {id} is in the catalogue."))
    })
}

/// Asks a partner for a licence and waits for the answer.
///
/// # Errors
/// When either node refuses the query, or no answer comes in time.
pub async fn query(console: Console, mut clients: Clients, args: QueryArgs) -> Result<(), Failure> {
    skip_the_past(&mut clients).await?;
    let inbox = InboxRequest { consumer: CONSUMER.to_owned() };
    let mut entries = clients.business.inbox(inbox).await.map_err(|error| from_status(&error))?.into_inner();
    let query = v1::LicenceQuery {
        licence_id: args.id.unwrap_or_default(),
        type_code: args.type_code.unwrap_or_default(),
        holder_code: args.holder.unwrap_or_default(),
        purpose: args.purpose,
        org_name: args.org_name,
        user_name: args.user_name,
        item_name: args.item_name,
        item_code: args.item_code,
        business_code: args.business_code,
        fields: args.fields,
        authorisation: args.authorisation,
    };
    let request = SubmitRequest {
        to: args.to.to_string(),
        kind: Kind::LicenceQuery.name().to_owned(),
        payload: query.encode_to_vec().into(),
        ..SubmitRequest::default()
    };
    let reply = clients.business.submit(request).await.map_err(|error| from_status(&error))?.into_inner();
    let asked = message_id(&reply.message_id)?;
    console
        .say(&both!("已发出查询 {asked}，等待对方答复。", "query {asked} is sent, waiting for its answer."));
    let answered = async {
        while let Some(entry) = entries.message().await.map_err(|error| from_status(&error))? {
            acknowledge(&mut clients, CONSUMER, &entry).await?;
            if entry.from == args.to.as_str() && *entry.in_reply_to == asked.0 {
                return Ok(entry);
            }
        }
        Err(Failure::unreachable(both!(
            "节点在答复到达前停止了；答复到达后可在收件箱中查看。",
            "the node stopped before the answer came; it will be in the inbox."
        )))
    };
    let seconds = args.timeout;
    let entry = tokio::time::timeout(Duration::from_secs(seconds), answered).await.map_err(|_| {
        Failure::timeout(both!(
            "{seconds} 秒内没有答复；查询仍会送达，答复到达后可在收件箱中查看。",
            "no answer within {seconds} seconds; the query will still be delivered, and its answer will be in the inbox."
        ))
    })??;
    answer(console, &entry, args.out.as_deref())
}

/// Moves the consumer's cursor to the end of every inbound channel, so that a first query does not
/// read all history.
async fn skip_the_past(clients: &mut Clients) -> Result<(), Failure> {
    let status = clients.operator.status(StatusRequest {}).await.map_err(|error| from_status(&error))?;
    let status = status.into_inner();
    for channel in status.channels.iter().filter(|channel| channel.to == status.node) {
        let request = AcknowledgeRequest {
            consumer: CONSUMER.to_owned(),
            from: channel.from.clone(),
            epoch: channel.epoch,
            next: channel.size,
        };
        clients.business.acknowledge(request).await.map_err(|error| from_status(&error))?;
    }
    Ok(())
}

fn answer(console: Console, entry: &InboxEntry, out: Option<&std::path::Path>) -> Result<(), Failure> {
    let malformed =
        || Failure::unproven(both!("对方的答复无法解读。", "the partner's answer cannot be read."));
    if entry.kind == Kind::Refusal.name() {
        let refusal = v1::Refusal::decode(&*entry.payload).map_err(|_| malformed())?;
        return Err(match RefusalCode::with_code(&refusal.code) {
            Some(code) => Refusal::from(code).into(),
            None => Failure {
                code: printable(&refusal.code),
                ..Failure::input(crate::text::Both {
                    zh: printable(&refusal.message_zh),
                    en: printable(&refusal.message_en),
                })
            },
        });
    }
    if !entry.verdict.is_empty() {
        // This node refused the answer: its signature or form is wrong.
        return Err(match RefusalCode::with_code(&entry.verdict) {
            Some(code) => Refusal::from(code).into(),
            None => malformed(),
        });
    }
    let attest = v1::LicenceAttest::decode(&*entry.payload).map_err(|_| malformed())?;
    let statement = if attest.envelope.is_empty() {
        Value::Null
    } else {
        statement(&attest.envelope).ok_or_else(malformed)?
    };
    if let (Some(out), false) = (out, attest.envelope.is_empty()) {
        super::proof::write_new(out, &attest.envelope)?;
    }
    let reason = printable(&attest.reason);
    let found = !attest.envelope.is_empty();
    let document = json!({"from": entry.from, "reason": reason, "found": found, "attestation": statement});
    console.result(&document, |lang| {
        let from = &entry.from;
        if found {
            let pretty = serde_json::to_string_pretty(&statement).expect("a JSON value prints");
            lang.pick(
                format!("{from} 证明（理由码 {reason}）："),
                format!("attested by {from} (reason {reason}):"),
            ) + "\n"
                + &pretty
        } else {
            lang.pick(
                format!("{from} 未提供证照，理由码 {reason}。"),
                format!("{from} gave no licence, reason {reason}."),
            )
        }
    })
}

/// What a DSSE envelope states. The node verified its signature when the entry arrived.
fn statement(envelope: &[u8]) -> Option<Value> {
    let envelope: Value = serde_json::from_slice(envelope).ok()?;
    let payload = BASE64.decode(envelope.get("payload")?.as_str()?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_states_its_payload() {
        let envelope =
            json!({"payloadType": "t", "payload": BASE64.encode("{\"id\":\"1\"}"), "signatures": []});
        assert_eq!(statement(envelope.to_string().as_bytes()), Some(json!({"id": "1"})));
        assert_eq!(statement(b"{}"), None);
    }
}
