//! What a node answers by itself: licence queries from its own catalogue, and recognition requests by
//! asking the licence's source and applying the agreement's rule.
//!
//! It reads the inbox like any business system, under its own consumer name, and submits its answers
//! under message ids that follow from what they answer: after a crash, or a lost store, it answers
//! again and the answer is the same message. The rules are `service`'s; nothing is decided here.

use crate::committer::Submission;
use crate::gateway::{Gateway, InboxEntry, InboxReading};
use crate::id::{CaseId, ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::AgreementRecord;
use crate::service::date::Date;
use crate::service::identity;
use crate::service::licence::{LicenceAttestation, answer};
use crate::service::payload::{CasePersonal, Payload};
use crate::service::person::Disclosed;
use crate::service::recognition::{
    Bound, Outcome, ReasonCode, RecognitionDecision, RecognitionDocument, RecognitionRequest, evaluate,
};
use crate::suite::sha256;
use crate::time::UnixMillis;
use crate::wire;
use crate::wire::document::Document as _;
use bytes::Bytes;
use prost::Message as _;
use proto::exchange::v1 as pb;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The consumer name of this module's cursor.
pub const CONSUMER: &str = "tongban.responder";
/// Milliseconds before an answer that could not be submitted is tried again.
const RETRY_MILLIS: u64 = 200;

/// Answers until the node stops.
pub async fn run(gateway: Gateway) {
    let mut responder = Responder { gateway, used: HashMap::new() };
    let mut reading = InboxReading::of(CONSUMER);
    loop {
        let entries = match responder.gateway.next_inbox(&mut reading).await {
            Ok(entries) => entries,
            Err(refusal) if refusal.code == RefusalCode::StoreUnknown => return,
            Err(refusal) => {
                tracing::error!(code = %refusal.code, detail = refusal.detail, "the inbox cannot be read");
                tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
                continue;
            }
        };
        for entry in &entries {
            while let Err(refusal) = responder.answer(entry).await {
                match refusal.code {
                    RefusalCode::StoreUnknown => return,
                    // Busy, full or stopped: the question does not go away.
                    RefusalCode::Overloaded
                    | RefusalCode::Backlog
                    | RefusalCode::StagingFull
                    | RefusalCode::StoreFull
                    | RefusalCode::ChannelStopped => {
                        tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
                    }
                    code => {
                        tracing::warn!(from = %entry.from, index = entry.position.index, %code,
                            detail = refusal.detail, "no answer could be given");
                        break;
                    }
                }
            }
        }
        if let Some(last) = entries.last() {
            let next = LogPosition { index: last.position.index + 1, ..last.position };
            // Unacknowledged entries come again, and their answers are the same messages.
            let _ = responder.gateway.acknowledge(CONSUMER, last.from, next).await;
        }
    }
}

struct Responder {
    gateway: Gateway,
    /// Answers given today, by asker, licence type and day. Starts anew with the process.
    used: HashMap<(NodeId, String, Date), u32>,
}

struct Answer {
    to: NodeId,
    kind: Kind,
    case_id: Option<CaseId>,
    in_reply_to: MessageId,
    agreement: Option<Digest>,
    payload: Bytes,
}

impl Responder {
    async fn answer(&mut self, entry: &InboxEntry) -> Result<(), Refusal> {
        let (None, Some(header), Some(payload)) = (&entry.verdict, &entry.header, &entry.payload) else {
            return Ok(());
        };
        let Some(kind) = Kind::named(&header.kind) else { return Ok(()) };
        let asks = [Kind::LicenceQuery, Kind::RecognitionRequest, Kind::LicenceAttest, Kind::Refusal];
        if !asks.contains(&kind) {
            return Ok(());
        }
        let now = self.gateway.clock().now();
        match wire::payload::decode(kind, payload)? {
            Payload::LicenceQuery(query) => {
                let id = answer_id("attest", header.message_id);
                if self.answered(entry.from, id)? {
                    return Ok(());
                }
                let (reason, envelope) = self.attest(entry, &query, now)?;
                let payload =
                    pb::LicenceAttest { reason: reason.code().to_owned(), envelope: envelope.into() };
                let answer = Answer {
                    to: entry.from,
                    kind: Kind::LicenceAttest,
                    case_id: header.case_id.clone(),
                    in_reply_to: header.message_id,
                    agreement: header.agreement,
                    payload: payload.encode_to_vec().into(),
                };
                self.submit(answer, id).await
            }
            Payload::RecognitionRequest(request) => {
                self.ask_source(entry, header.message_id, &header.case_id, header.agreement, &request).await
            }
            Payload::LicenceAttest(attest) => {
                let Some(query) = header.in_reply_to else { return Ok(()) };
                let attestation = attest.attestation.as_ref().map(|signed| signed.content.as_ref());
                self.decide(entry.from, query, attestation, attest.reason, now).await
            }
            // The source refused to be asked: the request must not stay open.
            Payload::Refusal(_) => {
                let Some(query) = header.in_reply_to else { return Ok(()) };
                self.decide(entry.from, query, None, ReasonCode::R61, now).await
            }
            _ => Ok(()),
        }
    }

    fn answered(&self, to: NodeId, id: MessageId) -> Result<bool, Refusal> {
        Ok(self.gateway.message(to, id)?.is_some())
    }

    async fn submit(&self, answer: Answer, id: MessageId) -> Result<(), Refusal> {
        let submission = Submission {
            to: answer.to,
            message_id: Some(id),
            alias: None,
            kind: answer.kind,
            case_id: answer.case_id,
            in_reply_to: Some(answer.in_reply_to),
            agreement: answer.agreement,
            standard: None,
            expires: None,
            payload: answer.payload,
        };
        self.gateway.submit(submission).await.map(|_| ())
    }

    fn agreement(&self, digest: Option<Digest>) -> Result<Arc<AgreementRecord>, Refusal> {
        let books = self.gateway.document_books();
        let books = books.read().expect("no holder of the documents panics");
        let record =
            digest.and_then(|digest| books.agreements.get(&digest).map(|(record, _)| Arc::clone(record)));
        record.ok_or_else(|| RefusalCode::NoAgreement.into())
    }

    /// Looks the licence up and signs what may be said about it.
    fn attest(
        &mut self,
        entry: &InboxEntry,
        query: &crate::service::licence::LicenceQuery,
        now: UnixMillis,
    ) -> Result<(ReasonCode, Vec<u8>), Refusal> {
        let header = entry.header.as_ref().expect("only entries with a header are answered");
        let me = self.gateway.node();
        let record = self.agreement(header.agreement)?;
        let type_code = query.type_code().unwrap_or_default().to_owned();
        let Some(scope) = record.agreement.scope(&type_code, me) else {
            return Ok((ReasonCode::R15, Vec::new()));
        };
        let found = self.gateway.licence(&query.licence_id, &query.type_code, query.holder_code.reveal())?;
        let licence = found.map(|bytes| wire::payload::decode_licence(&bytes)).transpose()?;
        let today = Date::of(now);
        let used = self.used.entry((entry.from, type_code, today)).or_insert(0);
        let answer = answer(query, licence.as_ref(), scope, *used, today);
        *used += 1;
        let reason = answer.reason;
        let Some(licence) = licence.filter(|_| !withholds(reason)) else { return Ok((reason, Vec::new())) };
        let channel = ChannelId { from: me, to: entry.from };
        let attestation = LicenceAttestation::of(channel, header.message_id, query, &licence, answer, now);
        let envelope = self.gateway.sign_document(LicenceAttestation::PAYLOAD_TYPE, attestation.to_json())?;
        Ok((reason, envelope))
    }

    /// Asks the node that holds the licence: the receiving place, which offered it.
    async fn ask_source(
        &self,
        entry: &InboxEntry,
        id: MessageId,
        case_id: &Option<CaseId>,
        agreement: Option<Digest>,
        request: &RecognitionRequest,
    ) -> Result<(), Refusal> {
        let record = self.agreement(agreement)?;
        let Some(rule) = record.agreement.rule(&request.rule) else { return Ok(()) };
        let Some(case_id) = case_id else { return Ok(()) };
        let case = self.gateway.case(case_id)?;
        let item = case.map(|case| case.case.item).unwrap_or_default();
        let query = pb::LicenceQuery {
            licence_id: request.licence_id.clone(),
            type_code: request.type_code.clone(),
            holder_code: request.holder_code.reveal().to_owned(),
            purpose: request.purpose.clone(),
            org_name: self.gateway.node().to_string(),
            user_name: request.operator.clone(),
            item_name: item.clone(),
            item_code: item,
            business_code: case_id.as_str().to_owned(),
            fields: rule.fields_required.clone(),
            authorisation: request.authorisation.clone(),
        };
        let answer = Answer {
            to: entry.from,
            kind: Kind::LicenceQuery,
            case_id: Some(case_id.clone()),
            in_reply_to: id,
            agreement,
            payload: query.encode_to_vec().into(),
        };
        self.submit(answer, answer_id("recognise", id)).await
    }

    /// Decides the recognition request for which the licence was queried, if it was queried for one.
    async fn decide(
        &self,
        peer: NodeId,
        query: MessageId,
        attestation: Option<&LicenceAttestation>,
        reason: ReasonCode,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        let out = ChannelId { from: self.gateway.node(), to: peer };
        let Some((_, query_header, _)) = self.gateway.entry(out, query)? else { return Ok(()) };
        let asked_for = query_header.in_reply_to.filter(|_| query_header.kind == Kind::LicenceQuery.name());
        let Some(request_id) = asked_for else { return Ok(()) };
        let id = answer_id("decide", request_id);
        if self.answered(peer, id)? {
            return Ok(());
        }
        let Some((_, header, Some(payload))) = self.gateway.entry(out.reverse(), request_id)? else {
            return Ok(());
        };
        let Payload::RecognitionRequest(request) = wire::payload::decode(Kind::RecognitionRequest, &payload)?
        else {
            return Ok(());
        };
        let Some(case_id) = header.case_id.clone() else { return Ok(()) };
        let record = self.agreement(header.agreement)?;
        let decision = match attestation {
            Some(attestation) => {
                let (applicant, agent) = self.persons(peer, &case_id)?;
                let check = identity::in_use().licence(&attestation.licence_id);
                let persons = Bound { applicant: &applicant, agent: agent.as_deref() };
                let rule = record.agreement.rule(&request.rule);
                evaluate(rule, &request, Some(attestation), check, persons, now)
            }
            None => RecognitionDecision {
                outcome: if reason.may_retry() { Outcome::Manual } else { Outcome::Refused },
                reason,
                note: String::new(),
                disclosed: Disclosed::default(),
                source_time: None,
                valid_until: None,
            },
        };
        let document = RecognitionDocument {
            request: request_id,
            case: case_id.clone(),
            agreement: record.digest,
            rule: request.rule.clone(),
            material: request.material.clone(),
            licence_id: attestation
                .map_or_else(|| request.licence_id.clone(), |found| found.licence_id.clone()),
            decided_by: self.gateway.node(),
            decided_at: now,
            decision,
        };
        let payload = pb::RecognitionDecide {
            outcome: document.decision.outcome.name().to_owned(),
            reason: document.decision.reason.code().to_owned(),
            envelope: self
                .gateway
                .sign_document(RecognitionDocument::PAYLOAD_TYPE, document.to_json())?
                .into(),
        };
        let answer = Answer {
            to: peer,
            kind: Kind::RecognitionDecide,
            case_id: Some(case_id),
            in_reply_to: request_id,
            agreement: header.agreement,
            payload: payload.encode_to_vec().into(),
        };
        self.submit(answer, id).await
    }

    /// Identity codes of a case's applicant and agent, from the body of its forward.
    fn persons(&self, peer: NodeId, case_id: &CaseId) -> Result<(String, Option<String>), Refusal> {
        let unknown = || Refusal::new(RefusalCode::CaseUnknown, case_id.to_string());
        let case = self.gateway.case(case_id)?.ok_or_else(unknown)?;
        let forwarded = crate::service::case::Act::Kind(Kind::CaseForward);
        let step = case.case.steps.iter().find(|step| step.act == forwarded).ok_or_else(unknown)?;
        let channel = ChannelId { from: peer, to: self.gateway.node() };
        let entry = self.gateway.entry(channel, step.message_id)?;
        let (_, _, Some(payload)) = entry.ok_or_else(unknown)? else { return Err(unknown()) };
        let Payload::Case { personal: CasePersonal::Applicant(persons), .. } =
            wire::payload::decode(Kind::CaseForward, &payload)?
        else {
            return Err(unknown());
        };
        let agent = persons.agent.as_ref().map(|agent| agent.id_number.reveal().to_owned());
        Ok((persons.applicant.id_number.reveal().to_owned(), agent))
    }
}

/// The message id of an automatic answer: UUID version 8 from what it does and what it answers.
fn answer_id(step: &str, answered: MessageId) -> MessageId {
    let hash = sha256(&[b"tongban answer ", step.as_bytes(), b"/", &answered.0]);
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    MessageId(id)
}

/// Reasons under which nothing at all may be said about a licence that exists.
fn withholds(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::R10
            | ReasonCode::R15
            | ReasonCode::R20
            | ReasonCode::R50
            | ReasonCode::R51
            | ReasonCode::R52
    )
}
