//! The local services' dead letters: parses, calls the gateway's facade, maps back.

use gateway::committer::Submitted;
use gateway::gateway::{Gateway, Letter, LetterContent, LetterPlan, LetterQuery};
use gateway::id::{Digest, MessageId};
use gateway::time::UnixMillis;
use proto::local::v1 as pb;
use tonic::Status;

use super::business::{blocking, message_id, node, optional, submitted};
use crate::refused::to_status;

pub(super) async fn list(
    gateway: &Gateway,
    request: pb::ListLettersRequest,
) -> Result<pb::ListLettersReply, Status> {
    let query = LetterQuery {
        peer: optional(&request.peer, |text| node(text, "peer"))?,
        settled: request.settled,
        after: request.after,
        limit: request.limit as usize,
    };
    let (reader, now) = (gateway.clone(), gateway.clock().now());
    let page = blocking(move || reader.letters(&query)).await?;
    let letters = page.letters.iter().map(|letter| view(letter, now)).collect();
    Ok(pb::ListLettersReply { letters, next: page.next })
}

pub(super) async fn show(
    gateway: &Gateway,
    request: pb::ShowLetterRequest,
) -> Result<pb::LetterView, Status> {
    let peer = optional(&request.peer, |text| node(text, "peer"))?;
    let id = message_id(&request.message_id, "message_id")?;
    let (reader, now) = (gateway.clone(), gateway.clock().now());
    let content: LetterContent = blocking(move || reader.letter(peer, id)).await?;
    Ok(pb::LetterView {
        agreement: content.agreement.map_or_else(String::new, Digest::to_text),
        in_reply_to: id_bytes(content.in_reply_to),
        body_gone: content.payload.is_none(),
        payload: content.payload.unwrap_or_default(),
        reason: content.reason.unwrap_or_default(),
        ..view(&content.letter, now)
    })
}

pub(super) async fn requeue(
    gateway: &Gateway,
    request: pb::RequeueLetterRequest,
) -> Result<pb::LetterPlan, Status> {
    let peer = optional(&request.peer, |text| node(text, "peer"))?;
    let id = message_id(&request.message_id, "message_id")?;
    let expires = (request.expires_ms != 0).then_some(UnixMillis(request.expires_ms));
    let outcome = gateway.requeue_letter(peer, id, expires, request.apply).await;
    Ok(plan(gateway, outcome.map_err(|refusal| to_status(&refusal))?))
}

pub(super) async fn discard(
    gateway: &Gateway,
    request: pb::DiscardLetterRequest,
) -> Result<pb::LetterPlan, Status> {
    let peer = optional(&request.peer, |text| node(text, "peer"))?;
    let id = message_id(&request.message_id, "message_id")?;
    let outcome = gateway.discard_letter(peer, id, request.reason, request.apply).await;
    Ok(plan(gateway, outcome.map_err(|refusal| to_status(&refusal))?))
}

fn plan(gateway: &Gateway, plan: LetterPlan) -> pb::LetterPlan {
    let answer: Option<Submitted> = plan.submitted;
    pb::LetterPlan {
        letter: Some(view(&plan.letter, gateway.clock().now())),
        message_id: id_bytes(Some(plan.message_id)),
        in_reply_to: id_bytes(plan.in_reply_to),
        payload_bytes: plan.payload_bytes as u64,
        applied: answer.is_some(),
        submitted: answer.map(submitted),
    }
}

fn id_bytes(id: Option<MessageId>) -> bytes::Bytes {
    id.map_or_else(bytes::Bytes::new, |id| bytes::Bytes::copy_from_slice(&id.0))
}

fn view(letter: &Letter, now: UnixMillis) -> pb::LetterView {
    pb::LetterView {
        to: letter.to.to_string(),
        message_id: id_bytes(Some(letter.message_id)),
        kind: letter.kind.clone(),
        case_id: letter.case_id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned()),
        sequenced: letter.position.is_some(),
        epoch: letter.position.map_or(0, |position| position.epoch),
        index: letter.position.map_or(0, |position| position.index),
        cause: letter.cause.name().to_owned(),
        code: letter.code.clone(),
        fault: letter.fault().name().to_owned(),
        advice_zh: letter.advice(true).to_owned(),
        advice_en: letter.advice(false).to_owned(),
        created_ms: letter.created.0,
        expires_ms: letter.expires.map_or(0, |expires| expires.0),
        since_ms: letter.since.0,
        age_ms: now.millis_since(letter.since),
        state: letter.state.name().to_owned(),
        settled_by: id_bytes(letter.state.settled_by()),
        ..Default::default()
    }
}
