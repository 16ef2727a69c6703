//! Payloads: protobuf to domain. Everything is bounded before it is believed, and whatever cannot be
//! read becomes a refusal, never a stop (DESIGN §3, invariant 7).
//!
//! Two readings: [`decode`] for an entry that has to be judged, persons and form included;
//! [`decode_event`] for a case fact whose personal fields are cleared, which is also what
//! [`strip_personal`] leaves and [`encode_event`] writes.

use super::document::{self, Document};
use crate::id::{CaseId, Digest, Kind};
use crate::limits::{BODY_BYTES_MAX, CASE_FACT_BYTES_MAX, CHAIN_CERTIFICATES_MAX, MATERIALS_MAX};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::Mode;
use crate::service::blob::BlobReceived;
use crate::service::case::{
    Act, Application, CaseEvent, JointPolicy, JointTask, ResultLicence, SpecialKind, SupplementItem,
    TASKS_MAX, TaskOutcome, Written,
};
use crate::service::date::Date;
use crate::service::deadline::{AlertLevel, ClockName};
use crate::service::licence::{Licence, LicenceAttest, LicenceAttestation, LicenceQuery, LicenceState};
use crate::service::payload::{
    Applicant, CancellationNotice, CasePersonal, Payload, RecognitionDecide, RefusalNotice, Signed,
};
use crate::service::person::{Person, Personal};
use crate::service::rating::{Level, Stage};
use crate::service::recognition::{Outcome, ReasonCode, RecognitionDocument, RecognitionRequest};
use crate::service::standard::{Material, MaterialForm};
use crate::time::UnixMillis;
use prost::Message;
use proto::exchange::v1 as pb;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of one text.
pub const TEXT_BYTES_MAX: usize = 512;
/// Bytes of a reason in writing, or of one licence field: some paragraphs of Chinese.
pub const LONG_TEXT_BYTES_MAX: usize = 4096;
/// Fields of one licence, or field names in one query.
pub const FIELDS_MAX: usize = 100;
/// Bytes of the reason in a cancellation: a sentence and a ticket number.
pub const CANCELLATION_REASON_BYTES_MAX: usize = 1000;
/// Bytes of a filled form.
pub const FORM_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Reads a payload of a kind.
///
/// `bytes`: the body after its random bytes.
///
/// # Errors
/// `entry.malformed_payload`, with the place and never the content; `document.malformed` or
/// `entry.too_large` for the document in it.
pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Payload, Refusal> {
    if kind == Kind::CaseForward {
        // The longest and commonest of all, so it is read once.
        let mut said: pb::CaseForward = message(bytes)?;
        let persons = pb::CaseForward {
            applicant: said.applicant.take(),
            agent: said.agent.take(),
            form: std::mem::take(&mut said.form),
            ..Default::default()
        };
        let event = CaseEvent::Forwarded(application(said)?);
        fits(bytes, &event)?;
        let personal = CasePersonal::Applicant(Box::new(applicant(persons)?));
        return Ok(Payload::Case { event, personal });
    }
    if kind.is_case() {
        let event = decode_event(Act::Kind(kind), bytes)?;
        fits(bytes, &event)?;
        let personal = match kind {
            Kind::CaseLicence => {
                let issued: pb::CaseLicence = message(bytes)?;
                CasePersonal::Licence(Box::new(licence(present("licence", issued.licence)?)?))
            }
            _ => CasePersonal::None,
        };
        return Ok(Payload::Case { event, personal });
    }
    Ok(match kind {
        Kind::Refusal => {
            let refusal: pb::Refusal = message(bytes)?;
            Payload::Refusal(RefusalNotice {
                code: required("code", refusal.code)?,
                message_zh: long("message_zh", refusal.message_zh)?,
                message_en: long("message_en", refusal.message_en)?,
                refused_index: refusal.refused_index,
            })
        }
        Kind::Cancellation => {
            let reason = required("reason", message::<pb::Cancellation>(bytes)?.reason)?;
            at_most("reason", reason.len(), CANCELLATION_REASON_BYTES_MAX)?;
            Payload::Cancellation(CancellationNotice { reason })
        }
        Kind::KeyAnnounce => {
            let chain = message::<pb::KeyAnnounce>(bytes)?.certificate;
            let sized = chain.iter().all(|one| (1..=CERTIFICATE_BYTES_MAX).contains(&one.len()));
            if chain.is_empty() || chain.len() > CHAIN_CERTIFICATES_MAX || !sized {
                return Err(malformed("certificate"));
            }
            Payload::KeyAnnounce(chain.iter().map(|one| one.to_vec()).collect())
        }
        Kind::BlobReceived => {
            let said: pb::BlobReceived = message(bytes)?;
            Payload::BlobReceived(BlobReceived {
                digest: digest("digest", &said.digest)?.ok_or_else(|| malformed("digest"))?,
                length: said.length,
                entry_index: said.entry_index,
            })
        }
        Kind::EpochClose | Kind::EpochOpen => Payload::Epoch(bytes.to_vec()),
        Kind::StandardPublish => Payload::Standard(signed(&message::<pb::Document>(bytes)?.envelope)?),
        Kind::AgreementSign => Payload::Agreement(signed(&message::<pb::Document>(bytes)?.envelope)?),
        Kind::LicenceQuery => Payload::LicenceQuery(licence_query(message(bytes)?)?),
        Kind::LicenceAttest => Payload::LicenceAttest(licence_attest(&message(bytes)?)?),
        Kind::RecognitionRequest => Payload::RecognitionRequest(recognition_request(message(bytes)?)?),
        Kind::RecognitionDecide => Payload::RecognitionDecide(recognition_decide(&message(bytes)?)?),
        Kind::CaseForward
        | Kind::CaseSignFor
        | Kind::CaseReturn
        | Kind::CaseAccept
        | Kind::CaseReject
        | Kind::CaseSupplementRequest
        | Kind::CaseSupplementSubmit
        | Kind::CaseSupplementLapse
        | Kind::CaseReview
        | Kind::CaseGrant
        | Kind::CaseDeny
        | Kind::CaseLicence
        | Kind::CaseDispatch
        | Kind::CaseDeliver
        | Kind::CaseWithdrawAsk
        | Kind::CaseWithdrawConfirm
        | Kind::CaseClose
        | Kind::CaseAcceptDeemed
        | Kind::CaseSpecialBegin
        | Kind::CaseSpecialEnd
        | Kind::CaseTransfer
        | Kind::CaseDeliverDirect
        | Kind::CaseSuspend
        | Kind::CaseResume
        | Kind::CaseVoid
        | Kind::CaseJointPlan
        | Kind::CaseJointReport
        | Kind::CaseAlert
        | Kind::CaseSupervise
        | Kind::CaseSuperviseReply
        | Kind::CaseRate => return Err(malformed("kind")), // read above
    })
}

/// Reads the part of a case payload that is not personal. 收件 has the payload of `case.forward`.
///
/// # Errors
/// `entry.malformed_payload`.
pub fn decode_event(act: Act, bytes: &[u8]) -> Result<CaseEvent, Refusal> {
    let kind = match act {
        Act::Receive => return Ok(CaseEvent::Received(application(message(bytes)?)?)),
        Act::Kind(kind) => kind,
    };
    Ok(match kind {
        Kind::CaseForward => CaseEvent::Forwarded(application(message(bytes)?)?),
        Kind::CaseSignFor => {
            CaseEvent::SignedFor { operator: operator(message::<pb::CaseSignFor>(bytes)?.operator)? }
        }
        Kind::CaseReturn => {
            let said: pb::CaseReturn = message(bytes)?;
            CaseEvent::Returned {
                code: text("code", said.code)?,
                reason: long("reason", said.reason)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseAccept => {
            let said: pb::CaseAccept = message(bytes)?;
            CaseEvent::Accepted {
                document_number: text("document_number", said.document_number)?,
                promised_working_days: said.promised_working_days,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseReject => {
            let said: pb::CaseReject = message(bytes)?;
            CaseEvent::Rejected(written(said.document_number, said.reason, said.operator)?)
        }
        Kind::CaseSupplementRequest => {
            let said: pb::CaseSupplementRequest = message(bytes)?;
            at_most("items", said.items.len(), MATERIALS_MAX)?;
            CaseEvent::SupplementRequested {
                items: said
                    .items
                    .into_iter()
                    .map(|item| {
                        Ok(SupplementItem {
                            material: text("items.material", item.material)?,
                            what: long("items.what", item.what)?,
                        })
                    })
                    .collect::<Result<_, Refusal>>()?,
                deadline_working_days: said.deadline_working_days,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseSupplementSubmit => {
            let said: pb::CaseSupplementSubmit = message(bytes)?;
            CaseEvent::SupplementSubmitted {
                materials: materials(said.materials)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseSupplementLapse => CaseEvent::SupplementLapsed {
            operator: operator(message::<pb::CaseSupplementLapse>(bytes)?.operator)?,
        },
        Kind::CaseReview => {
            CaseEvent::Reviewed { operator: operator(message::<pb::CaseReview>(bytes)?.operator)? }
        }
        Kind::CaseGrant | Kind::CaseDeny => {
            let said: pb::CaseDecision = message(bytes)?;
            let written = written(said.document_number, said.reason, said.operator)?;
            if kind == Kind::CaseGrant { CaseEvent::Granted(written) } else { CaseEvent::Denied(written) }
        }
        Kind::CaseLicence => {
            let said: pb::CaseLicence = message(bytes)?;
            CaseEvent::LicenceIssued {
                licence: result_licence(&present("licence", said.licence)?)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseDispatch => {
            let said: pb::CaseDispatch = message(bytes)?;
            CaseEvent::Dispatched {
                method: text("method", said.method)?,
                tracking_number: text("tracking_number", said.tracking_number)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseDeliver | Kind::CaseDeliverDirect => {
            let said: pb::CaseDeliver = message(bytes)?;
            let method = text("method", said.method)?;
            let (delivered, operator) = (UnixMillis(said.delivered_ms), operator(said.operator)?);
            if kind == Kind::CaseDeliver {
                CaseEvent::Delivered { method, delivered, operator }
            } else {
                CaseEvent::DeliveredDirectly { method, delivered, operator }
            }
        }
        Kind::CaseAcceptDeemed => CaseEvent::DeemedAccepted {
            operator: operator(message::<pb::CaseAcceptDeemed>(bytes)?.operator)?,
        },
        Kind::CaseSpecialBegin => {
            let said: pb::CaseSpecialBegin = message(bytes)?;
            CaseEvent::SpecialBegun {
                special: SpecialKind::numbered(said.special).ok_or_else(|| malformed("special"))?,
                procedure: required("procedure", said.procedure)?,
                reason: long("reason", said.reason)?,
                approver: text("approver", said.approver)?,
                working_days: said.working_days,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseSpecialEnd => {
            let said: pb::CaseSpecialEnd = message(bytes)?;
            CaseEvent::SpecialEnded {
                outcome: long("outcome", said.outcome)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseTransfer => {
            let said: pb::CaseTransfer = message(bytes)?;
            CaseEvent::Transferred {
                authority: required("authority", said.authority)?,
                reason: long("reason", said.reason)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseSuspend => {
            let said: pb::CaseSuspend = message(bytes)?;
            CaseEvent::Suspended { reason: long("reason", said.reason)?, operator: operator(said.operator)? }
        }
        Kind::CaseResume => {
            CaseEvent::Resumed { operator: operator(message::<pb::CaseResume>(bytes)?.operator)? }
        }
        Kind::CaseVoid => {
            let said: pb::CaseVoid = message(bytes)?;
            CaseEvent::Voided {
                reason: long("reason", said.reason)?,
                approver: text("approver", said.approver)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseJointPlan => {
            let said: pb::CaseJointPlan = message(bytes)?;
            at_most("tasks", said.tasks.len(), TASKS_MAX)?;
            CaseEvent::JointPlanned {
                tasks: said.tasks.into_iter().map(joint_task).collect::<Result<_, Refusal>>()?,
                policy: JointPolicy::named(&said.policy).ok_or_else(|| malformed("policy"))?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseJointReport => {
            let said: pb::CaseJointReport = message(bytes)?;
            CaseEvent::JointReported {
                task: case_id("case_id", &said.case_id)?,
                outcome: TaskOutcome::named(&said.outcome).ok_or_else(|| malformed("outcome"))?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseAlert => {
            let said: pb::CaseAlert = message(bytes)?;
            CaseEvent::Alerted {
                clock: ClockName::named(&said.clock).ok_or_else(|| malformed("clock"))?,
                level: AlertLevel::named(&said.level).ok_or_else(|| malformed("level"))?,
                due: date("due", &said.due)?,
            }
        }
        Kind::CaseSupervise => {
            let said: pb::CaseSupervise = message(bytes)?;
            CaseEvent::Supervised {
                reason: long("reason", said.reason)?,
                reply_within_working_days: said.reply_within_working_days,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseSuperviseReply => {
            let said: pb::CaseSuperviseReply = message(bytes)?;
            CaseEvent::SuperviseReplied {
                reply: long("reply", said.reply)?,
                operator: operator(said.operator)?,
            }
        }
        Kind::CaseWithdrawAsk | Kind::CaseWithdrawConfirm => {
            let said: pb::CaseWithdraw = message(bytes)?;
            let (reason, operator) = (long("reason", said.reason)?, operator(said.operator)?);
            if kind == Kind::CaseWithdrawAsk {
                CaseEvent::WithdrawalAsked { reason, operator }
            } else {
                CaseEvent::WithdrawalConfirmed { reason, operator }
            }
        }
        Kind::CaseClose => {
            let said: pb::CaseClose = message(bytes)?;
            CaseEvent::Closed { result: text("result", said.result)?, operator: operator(said.operator)? }
        }
        Kind::CaseRate => {
            let said: pb::CaseRate = message(bytes)?;
            CaseEvent::Rated {
                level: Level::new(said.level).ok_or_else(|| malformed("level"))?,
                stage: Stage::named(&said.stage).ok_or_else(|| malformed("stage"))?,
                channel: text("channel", said.channel)?,
            }
        }
        Kind::Refusal
        | Kind::Cancellation
        | Kind::KeyAnnounce
        | Kind::BlobReceived
        | Kind::EpochClose
        | Kind::EpochOpen
        | Kind::StandardPublish
        | Kind::AgreementSign
        | Kind::LicenceQuery
        | Kind::LicenceAttest
        | Kind::RecognitionRequest
        | Kind::RecognitionDecide => return Err(malformed("kind")),
    })
}

/// Writes an event as the payload of its kind, without personal fields.
pub fn encode_event(event: &CaseEvent) -> Vec<u8> {
    match event {
        CaseEvent::Received(application) | CaseEvent::Forwarded(application) => pb::CaseForward {
            item: application.item.clone(),
            project_number: application.project_number.clone(),
            applicant: None,
            agent: None,
            materials: application.materials.iter().map(material_message).collect(),
            form: Default::default(),
            received_ms: application.received.0,
            window: application.window.clone(),
            operator: application.operator.clone(),
            applicant_kind: application.applicant_kind.clone(),
            walkthrough: application.walkthrough,
            mode: application.mode.map(|mode| mode.code().to_owned()).unwrap_or_default(),
            parent: application.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
        .encode_to_vec(),
        CaseEvent::SignedFor { operator } => pb::CaseSignFor { operator: operator.clone() }.encode_to_vec(),
        CaseEvent::Returned { code, reason, operator } => {
            pb::CaseReturn { code: code.clone(), reason: reason.clone(), operator: operator.clone() }
                .encode_to_vec()
        }
        CaseEvent::Accepted { document_number, promised_working_days, operator } => pb::CaseAccept {
            document_number: document_number.clone(),
            promised_working_days: *promised_working_days,
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::Rejected(written) => pb::CaseReject {
            document_number: written.document_number.clone(),
            reason: written.reason.clone(),
            operator: written.operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::SupplementRequested { items, deadline_working_days, operator } => {
            pb::CaseSupplementRequest {
                items: items
                    .iter()
                    .map(|item| pb::SupplementItem {
                        material: item.material.clone(),
                        what: item.what.clone(),
                    })
                    .collect(),
                deadline_working_days: *deadline_working_days,
                operator: operator.clone(),
            }
            .encode_to_vec()
        }
        CaseEvent::SupplementSubmitted { materials, operator } => pb::CaseSupplementSubmit {
            materials: materials.iter().map(material_message).collect(),
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::SupplementLapsed { operator } => {
            pb::CaseSupplementLapse { operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::Reviewed { operator } => pb::CaseReview { operator: operator.clone() }.encode_to_vec(),
        CaseEvent::Granted(written) | CaseEvent::Denied(written) => pb::CaseDecision {
            document_number: written.document_number.clone(),
            reason: written.reason.clone(),
            operator: written.operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::LicenceIssued { licence, operator } => {
            pb::CaseLicence { licence: Some(result_licence_message(licence)), operator: operator.clone() }
                .encode_to_vec()
        }
        CaseEvent::Dispatched { method, tracking_number, operator } => pb::CaseDispatch {
            method: method.clone(),
            tracking_number: tracking_number.clone(),
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::DeemedAccepted { operator } => {
            pb::CaseAcceptDeemed { operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::SpecialBegun { special, procedure, reason, approver, working_days, operator } => {
            pb::CaseSpecialBegin {
                special: special.number(),
                procedure: procedure.clone(),
                reason: reason.clone(),
                approver: approver.clone(),
                working_days: *working_days,
                operator: operator.clone(),
            }
            .encode_to_vec()
        }
        CaseEvent::SpecialEnded { outcome, operator } => {
            pb::CaseSpecialEnd { outcome: outcome.clone(), operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::Transferred { authority, reason, operator } => pb::CaseTransfer {
            authority: authority.clone(),
            reason: reason.clone(),
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::Suspended { reason, operator } => {
            pb::CaseSuspend { reason: reason.clone(), operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::Resumed { operator } => pb::CaseResume { operator: operator.clone() }.encode_to_vec(),
        CaseEvent::Voided { reason, approver, operator } => {
            pb::CaseVoid { reason: reason.clone(), approver: approver.clone(), operator: operator.clone() }
                .encode_to_vec()
        }
        CaseEvent::JointPlanned { tasks, policy, operator } => pb::CaseJointPlan {
            tasks: tasks
                .iter()
                .map(|task| pb::JointTask {
                    case_id: task.case.to_string(),
                    assisting: task.assisting.to_string(),
                    item: task.item.clone(),
                    working_days: task.working_days,
                })
                .collect(),
            policy: policy.name().to_owned(),
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::JointReported { task, outcome, operator } => pb::CaseJointReport {
            case_id: task.to_string(),
            outcome: outcome.name().to_owned(),
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::Alerted { clock, level, due } => pb::CaseAlert {
            clock: clock.name().to_owned(),
            level: level.name().to_owned(),
            due: due.to_string(),
        }
        .encode_to_vec(),
        CaseEvent::Supervised { reason, reply_within_working_days, operator } => pb::CaseSupervise {
            reason: reason.clone(),
            reply_within_working_days: *reply_within_working_days,
            operator: operator.clone(),
        }
        .encode_to_vec(),
        CaseEvent::SuperviseReplied { reply, operator } => {
            pb::CaseSuperviseReply { reply: reply.clone(), operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::Delivered { method, delivered, operator }
        | CaseEvent::DeliveredDirectly { method, delivered, operator } => {
            pb::CaseDeliver { method: method.clone(), delivered_ms: delivered.0, operator: operator.clone() }
                .encode_to_vec()
        }
        CaseEvent::WithdrawalAsked { reason, operator }
        | CaseEvent::WithdrawalConfirmed { reason, operator } => {
            pb::CaseWithdraw { reason: reason.clone(), operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::Closed { result, operator } => {
            pb::CaseClose { result: result.clone(), operator: operator.clone() }.encode_to_vec()
        }
        CaseEvent::Rated { level, stage, channel } => pb::CaseRate {
            level: u32::from(level.number()),
            stage: stage.name().to_owned(),
            channel: channel.clone(),
        }
        .encode_to_vec(),
    }
}

/// A payload without its personal fields. Envelopes of attestations and decisions go whole, because
/// they disclose licence fields. What cannot be read, and fields that this node does not know, are
/// dropped rather than kept.
pub fn strip_personal(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    fn clear<M: Message + Default>(bytes: &[u8], clear: impl FnOnce(&mut M)) -> Vec<u8> {
        M::decode(bytes).map_or_else(
            |_| Vec::new(),
            |mut message| {
                clear(&mut message);
                message.encode_to_vec()
            },
        )
    }
    match kind {
        Kind::CaseForward => clear(bytes, |message: &mut pb::CaseForward| {
            message.applicant = None;
            message.agent = None;
            message.form.clear();
        }),
        Kind::CaseLicence => clear(bytes, |message: &mut pb::CaseLicence| {
            if let Some(licence) = &mut message.licence {
                licence.holder_name.clear();
                licence.fields.clear();
                // the number of an identity card is its holder's
                if licence.holder_code_type != "001" {
                    licence.holder_code.clear();
                    licence.number.clear();
                }
            }
        }),
        Kind::LicenceQuery => clear(bytes, |message: &mut pb::LicenceQuery| message.holder_code.clear()),
        Kind::RecognitionRequest => {
            clear(bytes, |message: &mut pb::RecognitionRequest| message.holder_code.clear())
        }
        Kind::LicenceAttest => clear(bytes, |message: &mut pb::LicenceAttest| message.envelope.clear()),
        Kind::RecognitionDecide => {
            clear(bytes, |message: &mut pb::RecognitionDecide| message.envelope.clear())
        }
        Kind::Refusal => clear(bytes, |_: &mut pb::Refusal| ()),
        Kind::Cancellation => clear(bytes, |_: &mut pb::Cancellation| ()),
        Kind::KeyAnnounce => clear(bytes, |_: &mut pb::KeyAnnounce| ()),
        Kind::BlobReceived => clear(bytes, |_: &mut pb::BlobReceived| ()),
        Kind::StandardPublish | Kind::AgreementSign => clear(bytes, |_: &mut pb::Document| ()),
        Kind::EpochClose | Kind::EpochOpen => bytes.to_vec(),
        Kind::CaseSignFor => clear(bytes, |_: &mut pb::CaseSignFor| ()),
        Kind::CaseReturn => clear(bytes, |_: &mut pb::CaseReturn| ()),
        Kind::CaseAccept => clear(bytes, |_: &mut pb::CaseAccept| ()),
        Kind::CaseReject => clear(bytes, |_: &mut pb::CaseReject| ()),
        Kind::CaseSupplementRequest => clear(bytes, |_: &mut pb::CaseSupplementRequest| ()),
        Kind::CaseSupplementSubmit => clear(bytes, |_: &mut pb::CaseSupplementSubmit| ()),
        Kind::CaseSupplementLapse => clear(bytes, |_: &mut pb::CaseSupplementLapse| ()),
        Kind::CaseReview => clear(bytes, |_: &mut pb::CaseReview| ()),
        Kind::CaseGrant | Kind::CaseDeny => clear(bytes, |_: &mut pb::CaseDecision| ()),
        Kind::CaseDispatch => clear(bytes, |_: &mut pb::CaseDispatch| ()),
        Kind::CaseDeliver | Kind::CaseDeliverDirect => clear(bytes, |_: &mut pb::CaseDeliver| ()),
        Kind::CaseAcceptDeemed => clear(bytes, |_: &mut pb::CaseAcceptDeemed| ()),
        Kind::CaseSpecialBegin => clear(bytes, |_: &mut pb::CaseSpecialBegin| ()),
        Kind::CaseSpecialEnd => clear(bytes, |_: &mut pb::CaseSpecialEnd| ()),
        Kind::CaseTransfer => clear(bytes, |_: &mut pb::CaseTransfer| ()),
        Kind::CaseSuspend => clear(bytes, |_: &mut pb::CaseSuspend| ()),
        Kind::CaseResume => clear(bytes, |_: &mut pb::CaseResume| ()),
        Kind::CaseVoid => clear(bytes, |_: &mut pb::CaseVoid| ()),
        Kind::CaseJointPlan => clear(bytes, |_: &mut pb::CaseJointPlan| ()),
        Kind::CaseJointReport => clear(bytes, |_: &mut pb::CaseJointReport| ()),
        Kind::CaseAlert => clear(bytes, |_: &mut pb::CaseAlert| ()),
        Kind::CaseSupervise => clear(bytes, |_: &mut pb::CaseSupervise| ()),
        Kind::CaseSuperviseReply => clear(bytes, |_: &mut pb::CaseSuperviseReply| ()),
        Kind::CaseWithdrawAsk | Kind::CaseWithdrawConfirm => clear(bytes, |_: &mut pb::CaseWithdraw| ()),
        Kind::CaseClose => clear(bytes, |_: &mut pb::CaseClose| ()),
        Kind::CaseRate => clear(bytes, |_: &mut pb::CaseRate| ()),
    }
}

/// Reads a licence of the catalogue (`tongban.exchange.v1.Licence`).
///
/// # Errors
/// `entry.malformed_payload`.
pub fn decode_licence(bytes: &[u8]) -> Result<Licence, Refusal> {
    licence(message(bytes)?)
}

/// Writes a licence, holder included.
pub fn encode_licence(licence: &Licence) -> Vec<u8> {
    licence_message(licence).encode_to_vec()
}

/// The payload of the `refusal` that answers the entry at `refused_index`.
pub fn encode_refusal(refusal: &Refusal, refused_index: u64) -> Vec<u8> {
    pb::Refusal {
        code: refusal.code.code().to_owned(),
        message_zh: cut(refusal.message(true)),
        message_en: cut(refusal.message(false)),
        refused_index,
    }
    .encode_to_vec()
}

/// The payload of a `blob.received`.
pub fn encode_blob_received(received: &BlobReceived) -> Vec<u8> {
    pb::BlobReceived {
        digest: bytes::Bytes::copy_from_slice(&received.digest.to_wire()),
        length: received.length,
        entry_index: received.entry_index,
    }
    .encode_to_vec()
}

/// A message that the other node is sure to read.
fn cut(mut message: String) -> String {
    while message.len() > LONG_TEXT_BYTES_MAX {
        message.pop();
    }
    message
}

// ---- parts

fn malformed(place: &str) -> Refusal {
    Refusal::new(RefusalCode::MalformedPayload, format!("field={place}"))
}

/// Whether a row can hold the event of a payload. Without its personal fields it is shorter than that.
fn fits(bytes: &[u8], event: &CaseEvent) -> Result<(), Refusal> {
    if bytes.len() <= CASE_FACT_BYTES_MAX { Ok(()) } else { super::case_fact::fits(event) }
}

fn message<M: Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(Refusal::new(RefusalCode::TooLarge, format!("payload bytes={}", bytes.len())));
    }
    // prost's error may name a field and never holds its content; the peer needs neither
    M::decode(bytes).map_err(|_| Refusal::new(RefusalCode::MalformedPayload, "not its protobuf message"))
}

fn at_most(place: &str, length: usize, most: usize) -> Result<(), Refusal> {
    if length > most { Err(malformed(place)) } else { Ok(()) }
}

fn text(place: &str, text: String) -> Result<String, Refusal> {
    at_most(place, text.len(), TEXT_BYTES_MAX)?;
    Ok(text)
}

fn long(place: &str, text: String) -> Result<String, Refusal> {
    at_most(place, text.len(), LONG_TEXT_BYTES_MAX)?;
    Ok(text)
}

fn required(place: &str, content: String) -> Result<String, Refusal> {
    if content.trim().is_empty() { Err(malformed(place)) } else { text(place, content) }
}

fn operator(content: String) -> Result<String, Refusal> {
    text("operator", content)
}

fn personal(place: &str, content: String) -> Result<Personal, Refusal> {
    text(place, content).map(Personal::new)
}

fn present<T>(place: &str, part: Option<T>) -> Result<T, Refusal> {
    part.ok_or_else(|| malformed(place))
}

fn digest(place: &str, bytes: &[u8]) -> Result<Option<Digest>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Digest::from_wire(bytes).map(Some).map_err(|_| malformed(place))
}

fn digest_bytes(digest: Option<Digest>) -> bytes::Bytes {
    digest.map(|digest| bytes::Bytes::copy_from_slice(&digest.to_wire())).unwrap_or_default()
}

fn case_id(place: &str, text: &str) -> Result<CaseId, Refusal> {
    text.parse().map_err(|_| malformed(place))
}

fn joint_task(said: pb::JointTask) -> Result<JointTask, Refusal> {
    Ok(JointTask {
        case: case_id("tasks.case_id", &said.case_id)?,
        assisting: said.assisting.parse().map_err(|_| malformed("tasks.assisting"))?,
        item: required("tasks.item", said.item)?,
        working_days: said.working_days,
    })
}

fn date(place: &str, text: &str) -> Result<Date, Refusal> {
    text.parse().map_err(|_| malformed(place))
}

fn date_or_none(place: &str, text: &str) -> Result<Option<Date>, Refusal> {
    if text.is_empty() { Ok(None) } else { date(place, text).map(Some) }
}

fn names(place: &str, names: Vec<String>) -> Result<Vec<String>, Refusal> {
    at_most(place, names.len(), FIELDS_MAX)?;
    names.into_iter().map(|name| required(place, name)).collect()
}

fn written(document_number: String, reason: String, by: String) -> Result<Written, Refusal> {
    Ok(Written {
        document_number: text("document_number", document_number)?,
        reason: long("reason", reason)?,
        operator: operator(by)?,
    })
}

fn materials(materials: Vec<pb::Material>) -> Result<Vec<Material>, Refusal> {
    at_most("materials", materials.len(), MATERIALS_MAX)?;
    materials
        .into_iter()
        .map(|material| {
            Ok(Material {
                code: required("materials.code", material.code)?,
                digest: digest("materials.digest", &material.digest)?,
                form: MaterialForm::named(&material.form).ok_or_else(|| malformed("materials.form"))?,
                licence_id: text("materials.licence_id", material.licence_id)?,
                recognition_rule: text("materials.recognition_rule", material.recognition_rule)?,
            })
        })
        .collect()
}

fn material_message(material: &Material) -> pb::Material {
    pb::Material {
        code: material.code.clone(),
        digest: digest_bytes(material.digest),
        form: material.form.name().to_owned(),
        licence_id: material.licence_id.clone(),
        recognition_rule: material.recognition_rule.clone(),
    }
}

fn application(said: pb::CaseForward) -> Result<Application, Refusal> {
    let project_number = text("project_number", said.project_number)?;
    if project_number.chars().count() > 50 {
        return Err(malformed("project_number"));
    }
    Ok(Application {
        item: required("item", said.item)?,
        project_number,
        materials: materials(said.materials)?,
        received: UnixMillis(said.received_ms),
        window: text("window", said.window)?,
        operator: operator(said.operator)?,
        applicant_kind: text("applicant_kind", said.applicant_kind)?,
        walkthrough: said.walkthrough,
        mode: match said.mode.as_str() {
            "" => None,
            code => Some(Mode::with_code(code).ok_or_else(|| malformed("mode"))?),
        },
        parent: if said.parent.is_empty() { None } else { Some(case_id("parent", &said.parent)?) },
    })
}

fn applicant(said: pb::CaseForward) -> Result<Applicant, Refusal> {
    at_most("form", said.form.len(), FORM_BYTES_MAX)?;
    let form: BTreeMap<String, String> = if said.form.is_empty() {
        BTreeMap::new()
    } else {
        serde_json::from_slice(&said.form).map_err(|_| malformed("form"))?
    };
    Ok(Applicant {
        applicant: person("applicant", present("applicant", said.applicant)?)?,
        agent: said.agent.map(|agent| person("agent", agent)).transpose()?,
        form: form.into_iter().map(|(name, content)| (name, Personal::new(content))).collect(),
    })
}

fn person(place: &str, said: pb::Person) -> Result<Person, Refusal> {
    Ok(Person {
        name: required(place, said.name).map(Personal::new)?,
        id_type: required(place, said.id_type)?,
        id_number: required(place, said.id_number).map(Personal::new)?,
        phone: personal(place, said.phone)?,
    })
}

fn licence(said: pb::Licence) -> Result<Licence, Refusal> {
    let result = result_licence(&said)?;
    at_most("licence.fields", said.fields.len(), FIELDS_MAX)?;
    let fields = said
        .fields
        .into_iter()
        .map(|(name, content)| {
            let name = required("licence.fields", name)?;
            Ok((name, Personal::new(long("licence.fields", content)?)))
        })
        .collect::<Result<_, Refusal>>()?;
    Ok(Licence {
        id: result.id,
        type_code: result.type_code,
        name: result.name,
        number: personal("licence.number", said.number)?,
        issuer_name: result.issuer_name,
        issuer_code: result.issuer_code,
        holder_name: personal("licence.holder_name", said.holder_name)?,
        holder_code: required("licence.holder_code", said.holder_code).map(Personal::new)?,
        holder_code_type: required("licence.holder_code_type", said.holder_code_type)?,
        issued: result.issued,
        valid_from: result.valid_from,
        valid_until: result.valid_until,
        state: result.state,
        fields,
        file_digest: result.file_digest,
    })
}

fn result_licence(said: &pb::Licence) -> Result<ResultLicence, Refusal> {
    Ok(ResultLicence {
        id: required("licence.id", said.id.clone())?,
        type_code: required("licence.type_code", said.type_code.clone())?,
        name: text("licence.name", said.name.clone())?,
        issuer_name: text("licence.issuer_name", said.issuer_name.clone())?,
        issuer_code: text("licence.issuer_code", said.issuer_code.clone())?,
        issued: date("licence.issued", &said.issued)?,
        valid_from: date("licence.valid_from", &said.valid_from)?,
        valid_until: date_or_none("licence.valid_until", &said.valid_until)?,
        state: LicenceState::named(&said.state).ok_or_else(|| malformed("licence.state"))?,
        file_digest: digest("licence.file_digest", &said.file_digest)?,
    })
}

fn result_licence_message(licence: &ResultLicence) -> pb::Licence {
    pb::Licence {
        id: licence.id.clone(),
        type_code: licence.type_code.clone(),
        name: licence.name.clone(),
        issuer_name: licence.issuer_name.clone(),
        issuer_code: licence.issuer_code.clone(),
        issued: licence.issued.to_string(),
        valid_from: licence.valid_from.to_string(),
        valid_until: licence.valid_until.map(|last| last.to_string()).unwrap_or_default(),
        state: licence.state.name().to_owned(),
        file_digest: digest_bytes(licence.file_digest),
        ..Default::default()
    }
}

fn licence_message(licence: &Licence) -> pb::Licence {
    pb::Licence {
        number: licence.number.reveal().to_owned(),
        holder_name: licence.holder_name.reveal().to_owned(),
        holder_code: licence.holder_code.reveal().to_owned(),
        holder_code_type: licence.holder_code_type.clone(),
        fields: licence
            .fields
            .iter()
            .map(|(name, content)| (name.clone(), content.reveal().to_owned()))
            .collect(),
        ..result_licence_message(&ResultLicence::from(licence))
    }
}

fn signed<D: Document>(envelope_json: &[u8]) -> Result<Signed<D>, Refusal> {
    let (content, envelope) = document::read(envelope_json)?;
    Ok(Signed { content: Arc::new(content), payload: envelope.payload, envelope: envelope_json.to_vec() })
}

fn reason(code: &str) -> Result<ReasonCode, Refusal> {
    ReasonCode::with_code(code).ok_or_else(|| malformed("reason"))
}

fn licence_query(said: pb::LicenceQuery) -> Result<LicenceQuery, Refusal> {
    Ok(LicenceQuery {
        licence_id: text("licence_id", said.licence_id)?,
        type_code: text("type_code", said.type_code)?,
        holder_code: personal("holder_code", said.holder_code)?,
        purpose: text("purpose", said.purpose)?,
        org_name: text("org_name", said.org_name)?,
        user_name: text("user_name", said.user_name)?,
        item_name: text("item_name", said.item_name)?,
        item_code: text("item_code", said.item_code)?,
        business_code: text("business_code", said.business_code)?,
        fields: names("fields", said.fields)?,
        authorisation: text("authorisation", said.authorisation)?,
    })
}

fn licence_attest(said: &pb::LicenceAttest) -> Result<LicenceAttest, Refusal> {
    let reason = reason(&said.reason)?;
    let attestation: Option<Signed<LicenceAttestation>> =
        if said.envelope.is_empty() { None } else { Some(signed(&said.envelope)?) };
    match &attestation {
        None if reason == ReasonCode::R00 => return Err(malformed("envelope")),
        Some(attestation) if attestation.content.reason != reason => return Err(malformed("reason")),
        _ => {}
    }
    Ok(LicenceAttest { reason, attestation })
}

fn recognition_request(said: pb::RecognitionRequest) -> Result<RecognitionRequest, Refusal> {
    Ok(RecognitionRequest {
        rule: required("rule", said.rule)?,
        material: required("material", said.material)?,
        licence_id: text("licence_id", said.licence_id)?,
        type_code: text("type_code", said.type_code)?,
        holder_code: personal("holder_code", said.holder_code)?,
        purpose: text("purpose", said.purpose)?,
        operator: operator(said.operator)?,
        fields: names("fields", said.fields)?,
        authorisation: text("authorisation", said.authorisation)?,
        deadline: (said.deadline_ms != 0).then_some(UnixMillis(said.deadline_ms)),
    })
}

fn recognition_decide(said: &pb::RecognitionDecide) -> Result<RecognitionDecide, Refusal> {
    let outcome = Outcome::named(&said.outcome).ok_or_else(|| malformed("outcome"))?;
    let reason = reason(&said.reason)?;
    let document: Signed<RecognitionDocument> = signed(&said.envelope)?;
    let decision = &document.content.decision;
    if (decision.outcome, decision.reason) != (outcome, reason) || !outcome.fits(reason) {
        return Err(malformed("outcome"));
    }
    Ok(RecognitionDecide { outcome, reason, document })
}

#[cfg(test)]
mod tests;
