//! What business systems may ask: the gRPC face of the gateway's facade. Parses once, calls, and maps
//! back; decides nothing.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use gateway::committer::Submission;
use gateway::gateway::{CaseEntry, Gateway, InboxEntry, MessageState};
use gateway::id::{CaseId, Digest, Kind, LogPosition, MessageId, NodeId};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::case::CaseState;
use gateway::time::UnixMillis;
use proto::local::v1 as pb;
use proto::local::v1::business_server::Business;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::blob::{self, named_files};
use crate::refused::to_status;

/// Characters of a consumer's name.
const CONSUMER_BYTES_MAX: usize = 64;
/// Bytes of an idempotency key.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Cases of one page.
const CASES_PAGE_MAX: usize = 1000;
/// Milliseconds that a caller may wait for a receipt in one call.
const WAIT_MILLIS_MAX: u64 = 10 * 60 * 1000;
/// Entries that wait for one consumer in memory.
const INBOX_QUEUE: usize = 64;

/// The service.
pub struct BusinessService(pub Gateway);

/// A refusal of what a caller wrote.
pub(super) fn invalid(what: impl Into<String>) -> Status {
    to_status(&Refusal::new(RefusalCode::BadRequest, what))
}

pub(super) fn node(text: &str, field: &str) -> Result<NodeId, Status> {
    text.parse().map_err(|error| invalid(format!("{field}: {error}")))
}

pub(super) fn message_id(bytes: &[u8], field: &str) -> Result<MessageId, Status> {
    bytes.try_into().map(MessageId).map_err(|_| invalid(format!("{field}: is not 16 bytes long")))
}

fn case_id(text: &str) -> Result<CaseId, Status> {
    text.parse().map_err(|error| invalid(format!("case_id: {error}")))
}

fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, Status>) -> Result<Option<T>, Status> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn consumer(name: &str) -> Result<&str, Status> {
    let fits = !name.is_empty()
        && name.len() <= CONSUMER_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && !name.starts_with("tongban.");
    if fits {
        Ok(name)
    } else {
        Err(invalid("consumer: 1 to 64 printable ASCII characters, not starting with `tongban.`"))
    }
}

/// Runs what reads the disk on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
        .map_err(|refusal| to_status(&refusal))
}

fn submitted(submitted: gateway::committer::Submitted) -> pb::SubmitReply {
    pb::SubmitReply {
        message_id: submitted.message_id.0.to_vec().into(),
        sequenced: submitted.index.is_some(),
        index: submitted.index.unwrap_or(0),
        duplicate: submitted.duplicate,
    }
}

fn message_state(state: Option<MessageState>) -> pb::MessageState {
    let known = state.is_some();
    let state = state.unwrap_or_default();
    pb::MessageState {
        known,
        sequenced: state.index.is_some(),
        index: state.index.unwrap_or(0),
        receipted: state.receipt.is_some(),
        receipt_ms: state.receipt.map_or(0, |receipt| receipt.0),
        refused: state.refused.unwrap_or_default(),
    }
}

/// An entry or an event of an inbox as callers see it.
fn inbox_entry(gateway: &Gateway, entry: InboxEntry) -> Result<pb::InboxEntry, Refusal> {
    if let Some(stored) = &entry.stored {
        return Ok(blob::stored_event(&entry, stored));
    }
    let blobs = gateway.named_files(&entry)?;
    let header = entry.header;
    let reply = header.as_ref().and_then(|header| header.in_reply_to);
    let id = |id: Option<MessageId>| id.map_or_else(Vec::new, |id| id.0.to_vec()).into();
    Ok(pb::InboxEntry {
        from: entry.from.to_string(),
        epoch: entry.position.epoch,
        index: entry.position.index,
        message_id: id(header.as_ref().map(|header| header.message_id)),
        kind: header.as_ref().map_or_else(String::new, |header| header.kind.clone()),
        case_id: header
            .as_ref()
            .and_then(|header| header.case_id.as_ref())
            .map_or_else(String::new, |id| id.as_str().to_owned()),
        in_reply_to: id(reply),
        verdict: entry.verdict.unwrap_or_default(),
        created_ms: header.as_ref().map_or(0, |header| header.created.0),
        erased: entry.payload.is_none(),
        payload: entry.payload.unwrap_or_default(),
        blobs: blobs.iter().map(|(file, here)| blob::name(file, *here)).collect(),
    })
}

/// A case as callers see it.
pub fn case_view(entry: CaseEntry) -> pb::CaseView {
    let CaseEntry { id, case, refused } = entry;
    let state = if refused.is_some() { "refused".to_owned() } else { case.state.name().to_owned() };
    let holder = case.holder().filter(|_| refused.is_none());
    let text = |digest: Option<Digest>| digest.map_or_else(String::new, Digest::to_text);
    let rating =
        |level: Option<gateway::service::rating::Level>| level.map_or(0, |level| u32::from(level.number()));
    pb::CaseView {
        case_id: id.as_str().to_owned(),
        state,
        item: case.item.clone(),
        receiving: case.receiving.to_string(),
        competent: case.competent.to_string(),
        holder: holder.map_or_else(String::new, |holder| holder.to_string()),
        opened_ms: case.opened.0,
        changed_ms: case.changed.0,
        agreement: text(case.agreement),
        standard: text(case.standard),
        steps: case
            .steps
            .iter()
            .map(|step| pb::CaseStep {
                kind: step.act.name().to_owned(),
                from: step.author.to_string(),
                index: step.position.index,
                created_ms: step.created.0,
                message_id: step.message_id.0.to_vec().into(),
                note: step.note.map_or_else(String::new, |code| code.code().to_owned()),
                local: step.local,
            })
            .collect(),
        licence_id: case.licence_id.clone().unwrap_or_default(),
        rating_receiving: rating(case.rating_receiving),
        rating_competent: rating(case.rating_competent),
        withdrawal_asked: case.withdrawal_asked,
        item_name: gateway::codes::item::item(&case.item)
            .map_or_else(String::new, |item| item.name.to_owned()),
    }
}

#[tonic::async_trait]
impl Business for BusinessService {
    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Result<Response<pb::SubmitReply>, Status> {
        let request = request.into_inner();
        if request.idempotency_key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(invalid(format!("idempotency_key: over {IDEMPOTENCY_KEY_BYTES_MAX} bytes")));
        }
        let kind = Kind::named(&request.kind).ok_or_else(|| {
            to_status(&Refusal::new(RefusalCode::UnknownKind, format!("kind={}", request.kind)))
        })?;
        // Documents are signed by the node, refusals written by it: nobody submits their bytes.
        if kind.is_control() {
            return Err(invalid(format!("kind: {kind} is the node's own; see PublishDocument")));
        }
        let message = |bytes: &[u8], field: &str| -> Result<Option<MessageId>, Status> {
            if bytes.is_empty() { Ok(None) } else { message_id(bytes, field).map(Some) }
        };
        let files = named_files(request.blobs)?;
        let mut payload = request.payload;
        if !files.is_empty() {
            let gateway = self.0.clone();
            payload = blocking(move || gateway.attach(&payload, &files)).await?;
        }
        let submission = Submission {
            to: node(&request.to, "to")?,
            message_id: message(&request.message_id, "message_id")?,
            alias: (!request.idempotency_key.is_empty()).then_some(request.idempotency_key),
            kind,
            case_id: optional(&request.case_id, case_id)?,
            in_reply_to: message(&request.in_reply_to, "in_reply_to")?,
            agreement: optional(&request.agreement, |text| {
                Digest::from_text(text).map_err(|error| invalid(format!("agreement: {error}")))
            })?,
            standard: None,
            expires: (request.expires_ms != 0).then_some(UnixMillis(request.expires_ms)),
            payload,
        };
        let outcome = self.0.submit(submission).await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(submitted(outcome)))
    }

    type InboxStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::InboxEntry, Status>> + Send>>;

    async fn inbox(&self, request: Request<pb::InboxRequest>) -> Result<Response<Self::InboxStream>, Status> {
        let name = consumer(&request.get_ref().consumer)?.to_owned();
        let gateway = self.0.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(INBOX_QUEUE);
        tokio::spawn(async move {
            let mut read = HashMap::new();
            loop {
                let next = tokio::select! {
                    () = sender.closed() => return,
                    next = gateway.next_inbox(&name, &mut read) => next,
                };
                let entries = match next {
                    Ok(entries) => entries,
                    Err(refusal) => {
                        let _ = sender.send(Err(to_status(&refusal))).await;
                        return;
                    }
                };
                for entry in entries {
                    let message = match inbox_entry(&gateway, entry) {
                        Ok(message) => Ok(message),
                        Err(refusal) => Err(to_status(&refusal)),
                    };
                    let failed = message.is_err();
                    if sender.send(message).await.is_err() || failed {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn acknowledge(
        &self,
        request: Request<pb::AcknowledgeRequest>,
    ) -> Result<Response<pb::AcknowledgeReply>, Status> {
        let request = request.into_inner();
        let from = node(&request.from, "from")?;
        let next = LogPosition { epoch: request.epoch, index: request.next };
        self.0
            .acknowledge(consumer(&request.consumer)?, from, next)
            .await
            .map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(pb::AcknowledgeReply {}))
    }

    async fn wait_receipt(
        &self,
        request: Request<pb::WaitRequest>,
    ) -> Result<Response<pb::MessageState>, Status> {
        let request = request.into_inner();
        let to = node(&request.to, "to")?;
        let id = message_id(&request.message_id, "message_id")?;
        let timeout = Duration::from_millis(request.timeout_ms.min(WAIT_MILLIS_MAX));
        let state = self.0.wait_receipt(to, id, timeout).await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(message_state(state)))
    }

    async fn show_case(&self, request: Request<pb::CaseRequest>) -> Result<Response<pb::CaseView>, Status> {
        let id = case_id(&request.get_ref().case_id)?;
        let gateway = self.0.clone();
        let entry = blocking(move || {
            gateway.case(&id)?.ok_or_else(|| Refusal::new(RefusalCode::CaseUnknown, id.as_str()))
        })
        .await?;
        Ok(Response::new(case_view(entry)))
    }

    async fn list_cases(
        &self,
        request: Request<pb::ListCasesRequest>,
    ) -> Result<Response<pb::ListCasesReply>, Status> {
        let request = request.into_inner();
        let mut after = optional(&request.after, case_id)?;
        let limit = match request.limit {
            0 => CASES_PAGE_MAX,
            limit => (limit as usize).min(CASES_PAGE_MAX),
        };
        let wanted = request.state;
        if !wanted.is_empty() && wanted != "refused" && CaseState::named(&wanted).is_none() {
            let known: Vec<_> = CaseState::ALL.iter().map(|state| state.name()).collect();
            return Err(invalid(format!("state: {wanted} is none of {}, refused", known.join(", "))));
        }
        let gateway = self.0.clone();
        let cases = blocking(move || {
            let mut cases = Vec::new();
            loop {
                let page = gateway.cases(after.as_ref(), CASES_PAGE_MAX)?;
                let full = page.len() == CASES_PAGE_MAX;
                after = page.last().map(|entry| entry.id.clone());
                for view in page.into_iter().map(case_view) {
                    if wanted.is_empty() || view.state == wanted {
                        cases.push(view);
                        if cases.len() == limit {
                            return Ok(cases);
                        }
                    }
                }
                if !full {
                    return Ok(cases);
                }
            }
        })
        .await?;
        Ok(Response::new(pb::ListCasesReply { cases }))
    }

    async fn put_licence(
        &self,
        request: Request<pb::PutLicenceRequest>,
    ) -> Result<Response<pb::PutLicenceReply>, Status> {
        let licence = request.into_inner().licence;
        self.0.put_licence(licence).await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(pb::PutLicenceReply {}))
    }

    async fn publish_document(
        &self,
        request: Request<pb::PublishDocumentRequest>,
    ) -> Result<Response<pb::SubmitReply>, Status> {
        let request = request.into_inner();
        let kind = match request.r#type.as_str() {
            "standard" => Kind::StandardPublish,
            "agreement" => Kind::AgreementSign,
            other => return Err(invalid(format!("type: {other} is neither `standard` nor `agreement`"))),
        };
        let alias = (!request.idempotency_key.is_empty()).then_some(request.idempotency_key);
        let to = node(&request.to, "to")?;
        let outcome = self
            .0
            .publish_document(to, kind, request.payload, alias)
            .await
            .map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(submitted(outcome)))
    }

    async fn upload_blob(
        &self,
        request: Request<tonic::Streaming<pb::UploadPart>>,
    ) -> Result<Response<pb::UploadReply>, Status> {
        blob::upload(&self.0, request.into_inner()).await.map(Response::new)
    }

    type ReadBlobStream = blob::Parts;

    async fn read_blob(
        &self,
        request: Request<pb::ReadBlobRequest>,
    ) -> Result<Response<Self::ReadBlobStream>, Status> {
        blob::read(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn show_blob(
        &self,
        request: Request<pb::ShowBlobRequest>,
    ) -> Result<Response<pb::BlobView>, Status> {
        blob::show(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn list_documents(
        &self,
        _request: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<pb::ListDocumentsReply>, Status> {
        let documents = self
            .0
            .documents()
            .into_iter()
            .map(|document| pb::DocumentView {
                r#type: if document.kind == Kind::StandardPublish { "standard" } else { "agreement" }
                    .to_owned(),
                digest: document.digest.to_text(),
                id: document.id,
                edition: document.edition,
                signed_by: document.signed_by.iter().map(ToString::to_string).collect(),
                effective: document.effective,
                payload: document.payload,
            })
            .collect();
        Ok(Response::new(pb::ListDocumentsReply { documents }))
    }
}
