//! The committer asks the rules: what a draft relies on, whether an entry may take effect, and the
//! refusal that answers one which may not.

use super::ledger::{Content, Draft};
use super::{CommitError, Core};
use crate::authorize::{Books, Candidate, Effect, authorize};
use crate::channel::batch::ReadEntry;
use crate::clock::random_16;
use crate::document::signature_holds;
use crate::entry::{Header, payload};
use crate::id::{ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::limits::BODY_SALT_BYTES;
use crate::mutant::{Mutant, is_planted};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::in_force;
use crate::service::blob::committed;
use crate::service::case::{CaseEvent, CaseFact};
use crate::service::payload::Payload;
use crate::suite::sha256;
use crate::time::UnixMillis;
use crate::wire;
use bytes::Bytes;
use prost::Message as _;

impl Core {
    /// Fills in the agreement and the standard that a draft relies on, where its submitter left that
    /// to the node: the case's own, the request's, or the one in force for the item.
    pub(super) fn pin(&mut self, draft: &mut Draft, channel: ChannelId, payload: &Payload, now: UnixMillis) {
        if draft.kind.is_control() {
            return;
        }
        let book = draft.case_id.as_ref().and_then(|id| self.ledger.case_book(id));
        let of_case = book.as_ref().and_then(|book| {
            book.facts
                .iter()
                .find(|fact| fact.agreement.is_some())
                .map(|fact| (fact.agreement, fact.standard))
        });
        if let Some((agreement, standard)) = of_case
            && (draft.agreement.is_none() || draft.agreement == agreement)
        {
            draft.agreement = agreement;
            draft.standard = draft.standard.or(standard);
            return;
        }
        if draft.agreement.is_none()
            && let Some(asked) = draft.in_reply_to
            && let Some(request) = self.ledger.request(channel.reverse(), asked)
        {
            draft.agreement = Some(request.agreement);
            return;
        }
        let item = match payload {
            Payload::Case { event: CaseEvent::Forwarded(application), .. } => Some(&application.item),
            _ => None,
        };
        let documents = self.ledger.documents.read().expect("no holder of the documents panics");
        if let Some(named) = draft.agreement {
            // The submitter chose the agreement; the standard is the one that it pins for the item.
            let agreement = documents.agreements.get(&named).map(|(record, _)| &record.agreement);
            let covered = agreement.zip(item).and_then(|(a, item)| a.item(item, channel.from, channel.to));
            draft.standard = draft.standard.or(covered.map(|covered| covered.standard));
            return;
        }
        let mut found: Option<(u32, Digest, Option<Digest>)> = None;
        for (digest, (record, _)) in &documents.agreements {
            let agreement = &record.agreement;
            if !agreement.is_pair(channel.from, channel.to) || in_force(record, now).is_err() {
                continue;
            }
            let standard = match item {
                Some(item) => match agreement.item(item, channel.from, channel.to) {
                    Some(covered) => Some(covered.standard),
                    None => continue,
                },
                None => None,
            };
            if found.is_none_or(|(edition, _, _)| edition < agreement.edition) {
                found = Some((agreement.edition, *digest, standard));
            }
        }
        if let Some((_, agreement, standard)) = found {
            draft.agreement = Some(agreement);
            draft.standard = draft.standard.or(standard);
        }
    }

    /// Asks the rules about an entry with this header and payload; the fact of a case that it states.
    pub(super) fn authorise(
        &mut self,
        header: &Header,
        kind: Kind,
        position: LogPosition,
        payload: &Payload,
        now: UnixMillis,
    ) -> Result<Option<CaseFact>, Refusal> {
        if matches!(kind, Kind::EpochClose | Kind::EpochOpen) {
            // Epoch 0 is the only one in this release; a later one's entries are not understood here.
            return Err(Refusal::new(RefusalCode::UnknownKind, kind.name()));
        }
        let candidate = Candidate {
            this: self.me,
            channel: header.channel,
            position,
            seen: header.seen,
            kind,
            message_id: header.message_id,
            case_id: header.case_id.as_ref(),
            in_reply_to: header.in_reply_to,
            agreement: header.agreement,
            standard: header.standard,
            created: header.created,
            expires: header.expires,
            payload,
        };
        Ok(match authorize(&self.ledger, &candidate, now)?.into_effect() {
            Effect::Case(_, fact) => Some(*fact),
            _ => None,
        })
    }

    /// The verdict on an inbound entry. `lost`: this node cosigned it before it lost its store, so
    /// what it refused then stays refused, and nothing that came later speaks against it.
    pub(super) fn verdict(
        &mut self,
        entry: &ReadEntry,
        channel: ChannelId,
        position: LogPosition,
        now: UnixMillis,
        lost: bool,
    ) -> Result<Option<CaseFact>, Refusal> {
        let header = entry.header.as_ref().map_err(|code| Refusal::from(*code))?;
        if lost && let Some(code) = self.ledger.refused_here(channel, position) {
            return Err(Refusal::from(code));
        }
        let kind = Kind::named(&header.kind)
            .ok_or_else(|| Refusal::new(RefusalCode::UnknownKind, format!("kind={}", header.kind)))?;
        let sent = self.ledger.out.get(&channel.from).map_or(LogPosition::default(), |out| LogPosition {
            epoch: out.log.epoch,
            index: out.machine.frontier.size(),
        });
        if header.seen > sent || header.seen.epoch != sent.epoch {
            return Err(Refusal::new(RefusalCode::MalformedHeader, "seen is beyond what this node sent"));
        }
        if self.ledger.inbound.get(&channel.from).is_some_and(|inbound| header.seen < inbound.seen) {
            return Err(Refusal::new(RefusalCode::MalformedHeader, "seen goes back"));
        }
        entry.body.map_err(Refusal::from)?;
        let payload_bytes =
            entry.raw.body.as_ref().and_then(payload).ok_or(Refusal::from(RefusalCode::BodyMissing))?;
        if let Some(row) = self.ledger.message(channel, header.message_id) {
            let content = Content {
                kind: &header.kind,
                case_id: header.case_id.as_ref(),
                in_reply_to: header.in_reply_to,
                payload: &payload_bytes,
            };
            // What cannot be read back is no reason to stop: it is refused either way.
            let same = self.ledger.says(channel, &row, &content).unwrap_or(false);
            let code = if same { RefusalCode::Duplicate } else { RefusalCode::DuplicateDifferent };
            return Err(Refusal::new(code, format!("first={}", row.index)));
        }
        let payload = wire::payload::decode(kind, &payload_bytes)?;
        let blobs = wire::attachments::decode(kind, &payload_bytes)?;
        let salt = entry.raw.body.as_ref().and_then(|body| body.get(..BODY_SALT_BYTES)).unwrap_or_default();
        committed(self.suite, &header.blobs, salt, &blobs)?;
        self.check_document(channel.from, &payload)?;
        if lost {
            self.ledger.set_horizon(Some((channel.from, position)));
        }
        let judged_at = if lost { header.created.max(UnixMillis(1)) } else { now };
        let header = header.clone();
        let verdict = self.authorise(&header, kind, position, &payload, judged_at);
        self.ledger.set_horizon(None);
        verdict
    }

    /// A document that stands alone must bear its sender's signature.
    fn check_document(&self, sender: NodeId, payload: &Payload) -> Result<(), Refusal> {
        let envelope = match payload {
            Payload::Standard(document) => &document.envelope,
            Payload::Agreement(document) => &document.envelope,
            Payload::RecognitionDecide(decide) => &decide.document.envelope,
            Payload::LicenceAttest(attest) => match &attest.attestation {
                Some(document) => &document.envelope,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        let envelope = wire::envelope::Envelope::from_json(envelope)?;
        let keys = self.keys.of(sender);
        let signed = envelope.signatures.iter().any(|(_, signature)| {
            keys.iter().any(|known| {
                signature_holds(&known.key, &envelope.payload_type, &envelope.payload, signature)
            })
        });
        if signed {
            Ok(())
        } else {
            Err(Refusal::new(RefusalCode::DocumentSignature, format!("node={sender}")))
        }
    }

    /// Counts an entry that is a refusal of one of ours, and says so.
    pub(super) fn count_refusal(&self, entry: &ReadEntry) {
        let Ok(header) = &entry.header else { return };
        if header.kind != Kind::Refusal.name() {
            return;
        }
        let said = entry.raw.body.as_ref().and_then(payload);
        let said = said.and_then(|said| proto::exchange::v1::Refusal::decode(said).ok()).unwrap_or_default();
        let code = RefusalCode::with_code(&said.code);
        let message_id = header.in_reply_to.map(|id| id.to_string()).unwrap_or_default();
        // The code of another release is the partner's text: it is counted, and not repeated here.
        tracing::info!(message_id, peer = %header.channel.from, outcome = "refused by the peer",
            code = code.map_or("other", RefusalCode::code), index = said.refused_index, "own entry refused");
        self.ports.measures.refused_received.count(code);
    }

    /// Answers a refused entry in the reverse channel. A refusal is never answered.
    pub(super) fn refuse(
        &mut self,
        entry: &ReadEntry,
        channel: ChannelId,
        position: LogPosition,
        refusal: &Refusal,
        now: UnixMillis,
    ) -> Result<(), CommitError> {
        let header = entry.header.as_ref().ok();
        let peer = channel.from;
        let message_id = header.map(|header| header.message_id.to_string()).unwrap_or_default();
        tracing::info!(
            message_id, %peer, %channel, index = position.index, outcome = "refused", code = %refusal.code,
            detail = refusal.detail, fault = refusal.code.fault().name(), "entry refused"
        );
        self.ports.measures.refused_given.count(Some(refusal.code));
        let answered = header.is_none_or(|header| header.kind != Kind::Refusal.name());
        if !answered || is_planted(Mutant::RefuseSilently) {
            return Ok(());
        }
        // The refusal of a place in a log has one name, so that judging again does not refuse twice.
        let message_id = refusal_id(channel, position);
        let reverse = channel.reverse();
        if self.ledger.message(reverse, message_id).is_some() {
            return Ok(());
        }
        let draft = Draft {
            to: peer,
            message_id,
            alias: String::new(),
            kind: Kind::Refusal,
            case_id: header.and_then(|header| header.case_id.clone()),
            in_reply_to: header.map(|header| header.message_id),
            agreement: None,
            standard: None,
            created: now,
            expires: None,
            payload: Bytes::from(wire::payload::encode_refusal(refusal, position.index)),
        };
        let salt = random_16(&*self.ports.randomness);
        if !self.ledger.may_append(peer) {
            self.ledger.stage(draft, salt);
            return Ok(());
        }
        if let Err(refusal) = self.sequence(draft, salt, now)? {
            tracing::error!(code = %refusal.code, "a refusal could not be written");
        }
        Ok(())
    }
}

/// The message id of the refusal of one place in a log: UUID version 8 from its position.
fn refusal_id(channel: ChannelId, position: LogPosition) -> MessageId {
    let text =
        format!("tongban refusal {}/{}/{}/{}", channel.from, channel.to, position.epoch, position.index);
    let hash = sha256(&[text.as_bytes()]);
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    MessageId(id)
}
