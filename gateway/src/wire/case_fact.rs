//! One case fact as a value of the index. Its payload is the one of its kind without personal fields:
//! a case can be folded from the index, and a person cannot be found in it.

use super::payload::{decode_event, encode_event};
use crate::entry::Header;
use crate::id::{Digest, Kind, LogPosition, MessageId, NodeId};
use crate::limits::CASE_FACT_BYTES_MAX;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::case::{Act, Application, CaseEvent, CaseFact};
use crate::time::UnixMillis;
use proto::store::v1 as pb;

/// The value of a fact.
pub fn encode(fact: &CaseFact) -> pb::CaseFact {
    encode_with(fact, encode_event(&fact.event).into())
}

/// The value of a fact whose event is encoded already: 收件 and the forward that follows say the same.
pub fn encode_with(fact: &CaseFact, payload: bytes::Bytes) -> pb::CaseFact {
    let digest =
        |digest: Option<Digest>| digest.map(|digest| digest.to_wire().to_vec().into()).unwrap_or_default();
    pb::CaseFact {
        kind: fact.event.act().name().to_owned(),
        from: fact.author.to_string(),
        index: fact.position.index,
        seen: fact.seen.index,
        created_ms: fact.created.0,
        committed_ms: fact.committed.0,
        payload,
        agreement: digest(fact.agreement),
        standard: digest(fact.standard),
        message_id: fact.message_id.0.to_vec().into(),
        local: fact.local,
        epoch: fact.position.epoch,
        seen_epoch: fact.seen.epoch,
    }
}

/// The fact of a value.
///
/// # Errors
/// `store.damaged`: [`encode`] did not write it.
pub fn decode(value: &pb::CaseFact) -> Result<CaseFact, Refusal> {
    let damaged = |place: &str| Refusal::new(RefusalCode::StoreDamaged, format!("case fact: {place}"));
    let digest = |place: &str, wire: &[u8]| match wire {
        [] => Ok(None),
        wire => Digest::from_wire(wire).map(Some).map_err(|_| damaged(place)),
    };
    let act = Act::named(&value.kind).ok_or_else(|| damaged("kind"))?;
    Ok(CaseFact {
        author: value.from.parse().map_err(|_| damaged("from"))?,
        position: LogPosition { epoch: value.epoch, index: value.index },
        local: value.local,
        seen: LogPosition { epoch: value.seen_epoch, index: value.seen },
        created: UnixMillis(value.created_ms),
        committed: UnixMillis(value.committed_ms),
        message_id: MessageId(value.message_id[..].try_into().map_err(|_| damaged("message_id"))?),
        agreement: digest("agreement", &value.agreement)?,
        standard: digest("standard", &value.standard)?,
        event: decode_event(act, &value.payload).map_err(|_| damaged("payload"))?,
    })
}

/// The fact that a permitted case entry states.
///
/// # Errors
/// `entry.malformed_payload` when the payload is not of its kind, `entry.too_large` when no row could
/// hold the fact. Entries that are taken back from a partner are not judged, so this asks again.
pub fn from_entry(
    header: &Header,
    kind: Kind,
    position: LogPosition,
    payload: &[u8],
    committed: UnixMillis,
) -> Result<CaseFact, Refusal> {
    let event = decode_event(Act::Kind(kind), payload)?;
    fits(&event)?;
    Ok(CaseFact {
        author: header.channel.from,
        position,
        local: false,
        seen: header.seen,
        created: header.created,
        committed,
        message_id: header.message_id,
        agreement: header.agreement,
        standard: header.standard,
        event,
    })
}

/// Whether a row can hold the event.
///
/// # Errors
/// `entry.too_large`.
pub fn fits(event: &CaseEvent) -> Result<(), Refusal> {
    let kept = encode_event(event).len();
    if kept <= CASE_FACT_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::TooLarge, format!("case fact bytes={kept}")))
}

/// 收件: the receiving place's own fact, from the payload of the forward that follows it.
///
/// # Errors
/// `entry.malformed_payload` when that is no `case.forward`.
pub fn local_received(
    receiving: NodeId,
    forward: &[u8],
    created: UnixMillis,
    committed: UnixMillis,
    agreement: Option<Digest>,
    standard: Option<Digest>,
) -> Result<CaseFact, Refusal> {
    let CaseEvent::Forwarded(application) = decode_event(Act::Kind(Kind::CaseForward), forward)? else {
        return Err(RefusalCode::MalformedPayload.into());
    };
    Ok(received(receiving, application, created, committed, agreement, standard))
}

/// 收件 as it goes with a forward; nothing when the fact is none.
pub fn received_with(forward: &CaseFact) -> Option<CaseFact> {
    let CaseEvent::Forwarded(application) = &forward.event else { return None };
    let CaseFact { author, created, committed, agreement, standard, .. } = *forward;
    Some(received(author, application.clone(), created, committed, agreement, standard))
}

fn received(
    author: NodeId,
    application: Application,
    created: UnixMillis,
    committed: UnixMillis,
    agreement: Option<Digest>,
    standard: Option<Digest>,
) -> CaseFact {
    CaseFact {
        author,
        position: LogPosition::default(),
        local: true,
        seen: LogPosition::default(),
        created,
        committed,
        message_id: MessageId([0; 16]),
        agreement,
        standard,
        event: CaseEvent::Received(application),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::agreement::tests::{digest, node};
    use crate::service::case::tests::event;

    #[test]
    fn a_fact_of_every_act_round_trips() {
        for act in Act::all() {
            let fact = CaseFact {
                author: node("430600"),
                position: LogPosition { epoch: 1, index: 7 },
                local: act == Act::Receive,
                seen: LogPosition { epoch: 2, index: 9 },
                created: UnixMillis(5),
                committed: UnixMillis(6),
                message_id: MessageId([3; 16]),
                agreement: Some(digest(9)),
                standard: None,
                event: event(act),
            };
            assert_eq!(decode(&encode(&fact)), Ok(fact));
        }
    }

    #[test]
    fn a_damaged_value_is_reported_and_not_folded() {
        let refused = |change: fn(&mut pb::CaseFact)| {
            let mut value = encode(&CaseFact {
                author: node("430600"),
                position: LogPosition::default(),
                local: false,
                seen: LogPosition::default(),
                created: UnixMillis(5),
                committed: UnixMillis(6),
                message_id: MessageId([3; 16]),
                agreement: None,
                standard: None,
                event: event(Act::named("case.accept").unwrap()),
            });
            decode(&value).unwrap();
            change(&mut value);
            decode(&value).unwrap_err().code
        };
        assert_eq!(refused(|value| value.kind = "case.unheard".into()), RefusalCode::StoreDamaged);
        assert_eq!(refused(|value| value.from = "43060".into()), RefusalCode::StoreDamaged);
        assert_eq!(refused(|value| value.message_id = vec![1].into()), RefusalCode::StoreDamaged);
        assert_eq!(refused(|value| value.payload = vec![0xff].into()), RefusalCode::StoreDamaged);
    }
}
