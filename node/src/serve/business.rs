//! What business systems may ask: the gRPC face of the gateway's facade. Parses once, calls, and maps
//! back; decides nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gateway::channel::letter::RESERVED_ALIAS;
use gateway::committer::Submission;
use gateway::gateway::{CaseEntry, Gateway, MessageState, Named};
use gateway::id::{CaseId, Digest, Kind, LogPosition, MessageId, NodeId};
use gateway::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::calendar::Calendar;
use gateway::service::case::CaseState;
use gateway::service::deadline::{self, Clock};
use gateway::time::UnixMillis;
use proto::local::v1 as pb;
use proto::local::v1::business_server::Business;
use tonic::{Request, Response, Status, Streaming};

use super::blob::{self, attached};
use super::inbox;
use super::letters;
use super::submit_stream::{self, Charged, SubmitAnswersStream};
use super::submitters::Submitters;
use crate::refused::to_status;

/// Characters of a consumer's name.
const CONSUMER_BYTES_MAX: usize = 64;
/// Bytes of an idempotency key.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Cases of one page.
const CASES_PAGE_MAX: usize = 1000;
/// Milliseconds that a caller may wait for a receipt in one call.
const WAIT_MILLIS_MAX: u64 = 10 * 60 * 1000;

/// The service.
pub struct BusinessService {
    /// What answers.
    pub gateway: Gateway,
    /// Who submits how much.
    pub submitters: Arc<Submitters>,
    /// Working days, for the clocks of cases.
    pub calendar: Arc<Calendar>,
}

/// What a view of a case is made with.
#[derive(Clone)]
struct Viewer {
    gateway: Gateway,
    calendar: Arc<Calendar>,
}

impl Viewer {
    fn view(&self, entry: CaseEntry) -> pb::CaseView {
        let clocks = match (self.gateway.limits(&entry.case), &entry.refused) {
            (Some(limits), None) => {
                deadline::clocks(&entry.case, limits, &self.calendar, self.gateway.clock().now())
            }
            _ => Vec::new(),
        };
        pb::CaseView { clocks: clocks.iter().map(clock_view).collect(), ..case_view(entry) }
    }
}

fn clock_view(clock: &Clock) -> pb::CaseClock {
    let unknown = clock.due.and(clock.left).err();
    pb::CaseClock {
        name: clock.name.name().to_owned(),
        owner: clock.owner.to_string(),
        started_ms: clock.started.0,
        working_days: clock.working_days,
        due: clock.due.map_or_else(|_| String::new(), |due| due.to_string()),
        working_days_left: clock.left.unwrap_or(0),
        paused: clock.paused,
        level: clock.level.map_or("", |level| level.name()).to_owned(),
        unknown_year: unknown.map_or(0, |unknown| u32::from(unknown.0)),
    }
}

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

pub(super) fn optional<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Status>,
) -> Result<Option<T>, Status> {
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

/// Keys under which the node itself submits follow-ups of dead letters are not for others.
fn own_key(key: &str) -> Result<(), Status> {
    if key.starts_with(RESERVED_ALIAS) {
        return Err(invalid(format!("idempotency_key: must not start with `{RESERVED_ALIAS}`")));
    }
    Ok(())
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

pub(super) fn submitted(submitted: gateway::committer::Submitted) -> pb::SubmitReply {
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

/// A request as the committer takes it: of one call or of a stream, judged alike and in one order. Comes
/// after the quota and before everything that depends on the node's state. One that names files reads
/// the index for them, and blocks.
pub(super) fn submission(gateway: &Gateway, request: pb::SubmitRequest) -> Result<Submission, Refusal> {
    read(gateway, request).inspect_err(|refusal| {
        // The detail may quote what the caller wrote: that is for the caller alone.
        gateway.tell_refused(Named::default(), &refusal.code.into());
    })
}

fn read(gateway: &Gateway, request: pb::SubmitRequest) -> Result<Submission, Refusal> {
    let bad = |what: String| Refusal::new(RefusalCode::BadRequest, what);
    if request.idempotency_key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(bad(format!("idempotency_key: over {IDEMPOTENCY_KEY_BYTES_MAX} bytes")));
    }
    if request.idempotency_key.starts_with(RESERVED_ALIAS) {
        return Err(bad(format!("idempotency_key: must not start with `{RESERVED_ALIAS}`")));
    }
    let kind = Kind::named(&request.kind)
        .ok_or_else(|| Refusal::new(RefusalCode::UnknownKind, format!("kind={}", request.kind)))?;
    // Documents are signed by the node, refusals written by it: nobody submits their bytes.
    if kind.is_control() {
        return Err(bad(format!("kind: {kind} is the node's own; see PublishDocument")));
    }
    if request.payload.len() + BODY_SALT_BYTES > BODY_BYTES_MAX {
        return Err(Refusal::new(RefusalCode::TooLarge, format!("bytes={}", request.payload.len())));
    }
    let message = |bytes: &[u8], field: &str| -> Result<Option<MessageId>, Refusal> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let id = bytes.try_into().map_err(|_| bad(format!("{field}: is not 16 bytes long")))?;
        Ok(Some(MessageId(id)))
    };
    let case = |text: &str| text.parse().map_err(|error| bad(format!("case_id: {error}")));
    let digest = |text: &str| Digest::from_text(text).map_err(|error| bad(format!("agreement: {error}")));
    Ok(Submission {
        to: request.to.parse().map_err(|error| bad(format!("to: {error}")))?,
        message_id: message(&request.message_id, "message_id")?,
        alias: (!request.idempotency_key.is_empty()).then_some(request.idempotency_key),
        kind,
        case_id: if request.case_id.is_empty() { None } else { Some(case(&request.case_id)?) },
        in_reply_to: message(&request.in_reply_to, "in_reply_to")?,
        agreement: if request.agreement.is_empty() { None } else { Some(digest(&request.agreement)?) },
        standard: None,
        expires: (request.expires_ms != 0).then_some(UnixMillis(request.expires_ms)),
        payload: attached(gateway, request.payload, request.blobs)?,
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
        mode: case.mode.map_or("", |mode| mode.code()).to_owned(),
        parent: case.parent.as_ref().map_or_else(String::new, ToString::to_string),
        deemed_accepted: case.deemed_accepted,
        clocks: Vec::new(),
        joint_tasks: case
            .joint
            .iter()
            .flat_map(|plan| &plan.tasks)
            .map(|(task, outcome)| pb::JointTaskView {
                case_id: task.case.to_string(),
                assisting: task.assisting.to_string(),
                item: task.item.clone(),
                working_days: task.working_days,
                outcome: outcome.map_or("", |outcome| outcome.name()).to_owned(),
            })
            .collect(),
    }
}

impl BusinessService {
    fn viewer(&self) -> Viewer {
        Viewer { gateway: self.gateway.clone(), calendar: Arc::clone(&self.calendar) }
    }
}

#[tonic::async_trait]
impl Business for BusinessService {
    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Result<Response<pb::SubmitReply>, Status> {
        let submitter = self.submitters.name(&request)?;
        let bytes = request.get_ref().payload.len();
        self.submitters.charge(&submitter, 1, bytes).map_err(|refusal| {
            self.gateway.tell_batch_refused(1, &refusal);
            to_status(&refusal)
        })?;
        let request = request.into_inner();
        let submission = if request.blobs.is_empty() {
            submission(&self.gateway, request).map_err(|refusal| to_status(&refusal))?
        } else {
            let gateway = self.gateway.clone();
            blocking(move || submission(&gateway, request)).await?
        };
        let outcome = self.gateway.submit(submission).await.map_err(|refusal| {
            if matches!(refusal.code, RefusalCode::Overloaded | RefusalCode::Backlog) {
                self.submitters.give_back(&submitter, 1, bytes);
            }
            to_status(&refusal)
        })?;
        Ok(Response::new(submitted(outcome)))
    }

    type SubmitStreamStream = SubmitAnswersStream;

    async fn submit_stream(
        &self,
        request: Request<Streaming<pb::SubmitBatch>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let submitter = self.submitters.name(&request)?;
        let quota = Charged { submitters: Arc::clone(&self.submitters), submitter };
        Ok(Response::new(submit_stream::open(self.gateway.clone(), quota, request.into_inner())))
    }

    type InboxStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::InboxEntry, Status>> + Send>>;

    async fn inbox(&self, request: Request<pb::InboxRequest>) -> Result<Response<Self::InboxStream>, Status> {
        let entries = inbox::entries(self.gateway.clone(), consumer(&request.get_ref().consumer)?);
        Ok(Response::new(Box::pin(entries)))
    }

    async fn acknowledge(
        &self,
        request: Request<pb::AcknowledgeRequest>,
    ) -> Result<Response<pb::AcknowledgeReply>, Status> {
        let request = request.into_inner();
        let from = node(&request.from, "from")?;
        let next = LogPosition { epoch: request.epoch, index: request.next };
        self.gateway
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
        let state =
            self.gateway.wait_receipt(to, id, timeout).await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(message_state(state)))
    }

    async fn show_case(&self, request: Request<pb::CaseRequest>) -> Result<Response<pb::CaseView>, Status> {
        let id = case_id(&request.get_ref().case_id)?;
        let gateway = self.gateway.clone();
        let entry = blocking(move || {
            gateway.case(&id)?.ok_or_else(|| Refusal::new(RefusalCode::CaseUnknown, id.as_str()))
        })
        .await?;
        Ok(Response::new(self.viewer().view(entry)))
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
        let (gateway, viewer) = (self.gateway.clone(), self.viewer());
        let cases = blocking(move || {
            let mut cases = Vec::new();
            loop {
                let page = gateway.cases(after.as_ref(), CASES_PAGE_MAX)?;
                let full = page.len() == CASES_PAGE_MAX;
                after = page.last().map(|entry| entry.id.clone());
                for view in page.into_iter().map(|entry| viewer.view(entry)) {
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
        self.submitters.admit(&request, request.get_ref().licence.len())?;
        let licence = request.into_inner().licence;
        self.gateway.put_licence(licence).await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(pb::PutLicenceReply {}))
    }

    async fn publish_document(
        &self,
        request: Request<pb::PublishDocumentRequest>,
    ) -> Result<Response<pb::SubmitReply>, Status> {
        self.submitters.admit(&request, request.get_ref().payload.len())?;
        let request = request.into_inner();
        let kind = match request.r#type.as_str() {
            "standard" => Kind::StandardPublish,
            "agreement" => Kind::AgreementSign,
            other => return Err(invalid(format!("type: {other} is neither `standard` nor `agreement`"))),
        };
        own_key(&request.idempotency_key)?;
        let alias = (!request.idempotency_key.is_empty()).then_some(request.idempotency_key);
        let to = node(&request.to, "to")?;
        let outcome = self
            .gateway
            .publish_document(to, kind, request.payload, alias)
            .await
            .map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(submitted(outcome)))
    }

    async fn upload_blob(
        &self,
        request: Request<tonic::Streaming<pb::UploadPart>>,
    ) -> Result<Response<pb::UploadReply>, Status> {
        blob::upload(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    async fn show_upload(
        &self,
        request: Request<pb::ShowUploadRequest>,
    ) -> Result<Response<pb::UploadView>, Status> {
        blob::show_upload(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    type ReadBlobStream = blob::Parts;

    async fn read_blob(
        &self,
        request: Request<pb::ReadBlobRequest>,
    ) -> Result<Response<Self::ReadBlobStream>, Status> {
        blob::read(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    async fn show_blob(
        &self,
        request: Request<pb::ShowBlobRequest>,
    ) -> Result<Response<pb::BlobView>, Status> {
        blob::show(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    async fn list_documents(
        &self,
        _request: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<pb::ListDocumentsReply>, Status> {
        let documents = self
            .gateway
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

    async fn list_letters(
        &self,
        request: Request<pb::ListLettersRequest>,
    ) -> Result<Response<pb::ListLettersReply>, Status> {
        letters::list(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    async fn show_letter(
        &self,
        request: Request<pb::ShowLetterRequest>,
    ) -> Result<Response<pb::LetterView>, Status> {
        letters::show(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    async fn requeue_letter(
        &self,
        request: Request<pb::RequeueLetterRequest>,
    ) -> Result<Response<pb::LetterPlan>, Status> {
        self.submitters.admit(&request, 0)?;
        letters::requeue(&self.gateway, request.into_inner()).await.map(Response::new)
    }

    async fn discard_letter(
        &self,
        request: Request<pb::DiscardLetterRequest>,
    ) -> Result<Response<pb::LetterPlan>, Status> {
        self.submitters.admit(&request, request.get_ref().reason.len())?;
        letters::discard(&self.gateway, request.into_inner()).await.map(Response::new)
    }
}
