//! May this entry take effect? One decision for one entry, made with the same code by the sender
//! before it appends and by the receiver for its verdict (DESIGN §3, invariant 6).
//!
//! The rules of each thing are in `service`; here they meet: the agreement that covers the entry, the
//! standard that it pins, the case that it is about, the request that it answers. A [`Permit`] is the
//! proof that all of them held, and says what the entry changes. Nobody else can make one.
//!
//! Not here: signatures of documents (their caller verifies them against the channel's sender before
//! asking), quotas (the answering node counts), and whether the bytes can be read (`wire`).

use crate::id::{CaseId, ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::limits::CLOCK_SKEW_MILLIS_MAX;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::Mode;
use crate::service::agreement::{AgreementItem, AgreementRecord, effective, in_force};
use crate::service::blob::{BlobReceived, NamedBlob};
use crate::service::case::{self, Application, Case, CaseEvent, CaseFact, CaseState};
use crate::service::deadline;
use crate::service::identity::{self, CheckOutcome, IdentityChecks};
use crate::service::licence::{LicenceAttest, LicenceQuery};
use crate::service::payload::{Applicant, CasePersonal, Payload, RecognitionDecide};
use crate::service::recognition::{Outcome, RecognitionRequest};
use crate::service::standard::{MaterialForm, Standard, missing_materials};
use crate::time::UnixMillis;
use std::sync::Arc;

/// An entry that wants to take effect.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// The node that judges.
    pub this: NodeId,
    /// The channel of the entry; its `from` is the author.
    pub channel: ChannelId,
    /// The place that it has, or would have, in the channel.
    pub position: LogPosition,
    /// Size of the reverse channel that its author had folded.
    pub seen: LogPosition,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub message_id: MessageId,
    /// The case in the header.
    pub case_id: Option<&'a CaseId>,
    /// The entry of the reverse channel that it answers.
    pub in_reply_to: Option<MessageId>,
    /// The agreement in the header.
    pub agreement: Option<Digest>,
    /// The standard in the header.
    pub standard: Option<Digest>,
    /// The author's time.
    pub created: UnixMillis,
    /// First instant at which it must no longer take effect.
    pub expires: Option<UnixMillis>,
    /// What it says.
    pub payload: &'a Payload,
}

/// The permitted facts of one case, and between whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseBook {
    /// 收件地.
    pub receiving: NodeId,
    /// 属地.
    pub competent: NodeId,
    /// Its facts, in any order.
    pub facts: Vec<CaseFact>,
}

impl CaseBook {
    /// The case that the facts amount to.
    pub fn fold(&self) -> Case {
        case::fold(self.receiving, self.competent, &self.facts)
    }

    fn is_between(&self, channel: ChannelId) -> bool {
        (self.receiving, self.competent) == (channel.from, channel.to)
            || (self.receiving, self.competent) == (channel.to, channel.from)
    }
}

/// A permitted `licence.query` or `recognition.request`, kept until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Which of the two.
    pub kind: Kind,
    /// The case in its header.
    pub case_id: Option<CaseId>,
    /// The agreement in its header: the answer must carry the same.
    pub agreement: Digest,
    /// When it was made.
    pub created: UnixMillis,
    /// Whether it was answered for good.
    pub answered: bool,
}

/// What the judge knows: the fold of everything before the candidate.
pub trait Books {
    /// The agreement of that digest, however many have signed it.
    fn agreement(&self, digest: &Digest) -> Option<Arc<AgreementRecord>>;

    /// The standard of that digest.
    fn standard(&self, digest: &Digest) -> Option<Arc<Standard>>;

    /// The case of that number.
    fn case(&self, id: &CaseId) -> Option<Arc<CaseBook>>;

    /// The permitted request that stands under this name in this channel.
    fn request(&self, channel: ChannelId, id: MessageId) -> Option<RequestRecord>;

    /// The blob of that digest as the permitted entry at `position` of `channel` names it.
    fn named_blob(&self, channel: ChannelId, position: LogPosition, digest: &Digest) -> Option<NamedBlob> {
        let _ = (channel, position, digest);
        None
    }

    /// Who checks identifiers.
    fn identity(&self) -> &dyn IdentityChecks {
        identity::in_use()
    }
}

/// What a permitted entry changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing here.
    None,
    /// The other node refused an own entry: its fact, request or answer is void.
    Refused {
        /// The refused entry, in the reverse channel; `None`: the refusal does not say.
        entry: Option<MessageId>,
        /// Why.
        code: String,
    },
    /// A case has one more fact; its first opens it between the channel's two nodes.
    Case(CaseId, Box<CaseFact>),
    /// A standard is known.
    Standard(Arc<Standard>),
    /// A party signed an agreement.
    Agreement {
        /// The text.
        agreement: Arc<crate::service::agreement::Agreement>,
        /// Who signed.
        signer: NodeId,
    },
    /// A request is open under the entry's name.
    Request(RequestRecord),
    /// A request of the reverse channel is answered.
    Answer {
        /// Which.
        request: MessageId,
    },
}

/// Proof that an entry may take effect, and what that effect is.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    message_id: MessageId,
    effect: Effect,
}

impl Permit {
    /// The entry that is permitted.
    pub fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// What it changes.
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// What it changes.
    pub fn into_effect(self) -> Effect {
        self.effect
    }
}

/// Decides about one entry, against everything before it.
///
/// `now`: the judge's clock. The effect's `committed` is `now`.
///
/// # Errors
/// The refusal that goes into the verdict. A fact missing from `books` counts as not there.
pub fn authorize(books: &dyn Books, candidate: &Candidate<'_>, now: UnixMillis) -> Result<Permit, Refusal> {
    let effect = decide(books, candidate, now)?;
    Ok(Permit { message_id: candidate.message_id, effect })
}

/// Decides about 收件 at this node's own window, a fact that does not cross the gateway. `candidate` is
/// the `case.forward` that would follow; materials may still be missing (一次性告知 comes first).
///
/// # Errors
/// As [`authorize`].
pub fn authorize_receipt(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    now: UnixMillis,
) -> Result<Permit, Refusal> {
    basics(candidate, now)?;
    let Payload::Case { event: CaseEvent::Forwarded(application), personal } = candidate.payload else {
        return Err(Refusal::new(RefusalCode::MalformedPayload, "kind=case.receive"));
    };
    if candidate.this != candidate.channel.from {
        return Err(Refusal::new(RefusalCode::CaseWrongRole, "act=case.receive"));
    }
    opening(books, candidate, application, personal, now)?;
    let (id, book) = book_to_open(books, candidate)?;
    let fact = CaseFact {
        position: LogPosition::default(),
        local: true,
        event: CaseEvent::Received(application.clone()),
        ..fact(candidate, CaseEvent::Received(application.clone()), now)
    };
    case::judge(book.receiving, book.competent, &book.facts, &fact)?;
    Ok(Permit { message_id: candidate.message_id, effect: Effect::Case(id, Box::new(fact)) })
}

fn decide(books: &dyn Books, candidate: &Candidate<'_>, now: UnixMillis) -> Result<Effect, Refusal> {
    basics(candidate, now)?;
    match candidate.payload {
        Payload::KeyAnnounce(_) | Payload::Epoch(_) => Ok(Effect::None),
        Payload::Cancellation(_) => {
            if candidate.in_reply_to.is_none() {
                return Err(Refusal::new(
                    RefusalCode::MalformedPayload,
                    "in_reply_to: a cancellation names an entry",
                ));
            }
            Ok(Effect::None)
        }
        Payload::BlobReceived(received) => blob_received(books, candidate, received),
        Payload::Refusal(notice) => {
            Ok(Effect::Refused { entry: candidate.in_reply_to, code: notice.code.clone() })
        }
        Payload::Standard(document) => {
            let standard = &document.content;
            if standard.issuer != candidate.channel.from {
                return Err(Refusal::new(
                    RefusalCode::DocumentSignature,
                    format!("issuer={}", standard.issuer),
                ));
            }
            malformed_when_found(&standard.lint())?;
            // nothing vague leaves this node; what a partner published stands
            if candidate.this == candidate.channel.from {
                malformed_when_found(&standard.vague())?;
            }
            Ok(Effect::Standard(Arc::clone(standard)))
        }
        Payload::Agreement(document) => {
            let agreement = &document.content;
            malformed_when_found(&agreement.lint())?;
            if !agreement.is_pair(candidate.channel.from, candidate.channel.to) {
                return Err(Refusal::new(
                    RefusalCode::DocumentMalformed,
                    "parties: are not the channel's two nodes",
                ));
            }
            Ok(Effect::Agreement { agreement: Arc::clone(agreement), signer: candidate.channel.from })
        }
        Payload::Case { event: CaseEvent::Forwarded(application), personal } => {
            forward(books, candidate, application, personal, now)
        }
        Payload::Case { event, .. } => case_fact(books, candidate, event, now),
        Payload::LicenceQuery(query) => licence_query(books, candidate, query, now),
        Payload::LicenceAttest(attest) => licence_attest(books, candidate, attest),
        Payload::RecognitionRequest(request) => recognition_request(books, candidate, request),
        Payload::RecognitionDecide(decision) => recognition_decide(books, candidate, decision),
    }
}

/// A receipt for a blob is about an entry of the reverse channel that names it, with that length.
fn blob_received(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    received: &BlobReceived,
) -> Result<Effect, Refusal> {
    let position = LogPosition { epoch: candidate.seen.epoch, index: received.entry_index };
    let named = books.named_blob(candidate.channel.reverse(), position, &received.digest);
    let about =
        named.filter(|named| candidate.in_reply_to == Some(named.entry) && named.length == received.length);
    match about {
        Some(_) => Ok(Effect::None),
        None => Err(Refusal::new(RefusalCode::BlobNotSent, format!("index={}", received.entry_index))),
    }
}

/// What holds for every entry.
fn basics(candidate: &Candidate<'_>, now: UnixMillis) -> Result<(), Refusal> {
    let channel = candidate.channel;
    if channel.from == channel.to || ![channel.from, channel.to].contains(&candidate.this) {
        return Err(Refusal::new(RefusalCode::WrongChannel, format!("channel={channel}")));
    }
    if let Some(expires) = candidate.expires.filter(|expires| *expires <= now) {
        return Err(Refusal::new(RefusalCode::Expired, format!("expires={expires}")));
    }
    if !candidate.payload.fits(candidate.kind) {
        return Err(Refusal::new(RefusalCode::MalformedPayload, format!("kind={}", candidate.kind)));
    }
    Ok(())
}

fn malformed_when_found(findings: &[crate::service::standard::Finding]) -> Result<(), Refusal> {
    match findings.first() {
        None => Ok(()),
        Some(finding) => Err(Refusal::new(RefusalCode::DocumentMalformed, finding.to_string())),
    }
}

/// The agreement in the header: known, and between the channel's nodes. Its term is judged by the
/// caller, who knows the instant that counts.
fn agreement(books: &dyn Books, candidate: &Candidate<'_>) -> Result<Arc<AgreementRecord>, Refusal> {
    let none = |detail: String| Refusal::new(RefusalCode::NoAgreement, detail);
    let digest = candidate.agreement.ok_or_else(|| none(format!("kind={}", candidate.kind)))?;
    let record = books
        .agreement(&digest)
        .filter(|record| record.digest == digest)
        .ok_or_else(|| none(format!("agreement={}", digest.to_text())))?;
    if !record.agreement.is_pair(candidate.channel.from, candidate.channel.to) {
        return Err(none(format!("agreement={} channel={}", record.agreement.id, candidate.channel)));
    }
    Ok(record)
}

/// An author's time that may be believed: not ahead of the judge's clock. How far it lies behind is
/// no matter, an entry may wait long for its partner.
fn created(candidate: &Candidate<'_>, now: UnixMillis) -> Result<UnixMillis, Refusal> {
    if candidate.created > now.plus_millis(CLOCK_SKEW_MILLIS_MAX) {
        return Err(Refusal::new(
            RefusalCode::AgreementNotEffective,
            format!("created={} lies ahead", candidate.created),
        ));
    }
    Ok(candidate.created)
}

fn pinned_standard(pinned: Digest, candidate: &Candidate<'_>) -> Result<(), Refusal> {
    if candidate.standard == Some(pinned) {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::StandardMismatch, format!("pinned={}", pinned.to_text())))
}

/// What opens a case: agreement in force, item in this direction, its standard, and identities.
fn opening(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    application: &Application,
    personal: &CasePersonal,
    now: UnixMillis,
) -> Result<(Arc<AgreementRecord>, Arc<Standard>), Refusal> {
    let ChannelId { from: receiving, to: competent } = candidate.channel;
    let record = agreement(books, candidate)?;
    let opened = created(candidate, now)?;
    in_force(&record, opened)?;
    let not_covered = || Refusal::new(RefusalCode::ItemNotCovered, format!("item={}", application.item));
    let AgreementItem { standard: pinned, mode, .. } =
        record.agreement.item(&application.item, receiving, competent).ok_or_else(not_covered)?;
    pinned_standard(*pinned, candidate)?;
    in_mode(application, *mode)?;
    let standard = books.standard(pinned).ok_or_else(|| {
        Refusal::new(RefusalCode::StandardUnknown, format!("standard={}", pinned.to_text()))
    })?;
    if standard.item != application.item {
        return Err(Refusal::new(RefusalCode::StandardMismatch, format!("item={}", standard.item)));
    }
    if !standard.effective_at(opened) {
        return Err(Refusal::new(
            RefusalCode::StandardMismatch,
            format!("standard={} edition={} is outside its term", standard.id, standard.edition),
        ));
    }

    let identity = books.identity();
    let id = case_id(candidate)?;
    if !identity.case_number(id, receiving, competent) {
        return Err(Refusal::new(RefusalCode::CaseNumberInvalid, format!("case={id}")));
    }
    let CasePersonal::Applicant(persons) = personal else {
        return Err(Refusal::new(RefusalCode::MalformedPayload, "applicant is missing"));
    };
    let Applicant { applicant, agent, form: _ } = &**persons;
    for (role, person) in [("applicant", Some(applicant)), ("agent", agent.as_ref())] {
        let holds = person.is_none_or(|person| identity.person(&person.id_type, person.id_number.reveal()));
        if !holds {
            return Err(Refusal::new(RefusalCode::CasePersonInvalid, format!("person={role}")));
        }
    }
    for material in &application.materials {
        if !material.licence_id.is_empty() {
            licence_id(identity, &material.licence_id, &material.code)?;
        }
    }
    Ok((record, standard))
}

/// How the case says that it is done: as the agreement lists the item. One that says nothing is of a
/// release that knew one life only.
fn in_mode(application: &Application, listed: Mode) -> Result<(), Refusal> {
    let mismatch = |detail: String| Err(Refusal::new(RefusalCode::CaseModeMismatch, detail));
    let Some(mode) = application.mode else {
        return match &application.parent {
            None => Ok(()),
            Some(_) => mismatch("a sub-task says its mode".into()),
        };
    };
    if mode != listed {
        return mismatch(format!("mode={} agreed={}", mode.code(), listed.code()));
    }
    if application.parent.is_some() && mode != Mode::Joint {
        return mismatch(format!("mode={} has no parent", mode.code()));
    }
    match application.materials.iter().find(|material| material.form == MaterialForm::Paper) {
        Some(paper) if mode == Mode::Online => mismatch(format!("material={} is on paper", paper.code)),
        _ => Ok(()),
    }
}

fn licence_id(identity: &dyn IdentityChecks, id: &str, place: &str) -> Result<(), Refusal> {
    if identity.licence(id) == CheckOutcome::Invalid {
        return Err(Refusal::new(RefusalCode::LicenceIdInvalid, place));
    }
    Ok(())
}

fn case_id<'a>(candidate: &Candidate<'a>) -> Result<&'a CaseId, Refusal> {
    candidate.case_id.ok_or_else(|| Refusal::new(RefusalCode::CaseUnknown, "the header names no case"))
}

/// The book that an opening entry writes into: the existing one of these two nodes, or a new one.
fn book_to_open(books: &dyn Books, candidate: &Candidate<'_>) -> Result<(CaseId, Arc<CaseBook>), Refusal> {
    let ChannelId { from: receiving, to: competent } = candidate.channel;
    let id = case_id(candidate)?;
    let book =
        books.case(id).unwrap_or_else(|| Arc::new(CaseBook { receiving, competent, facts: Vec::new() }));
    if (book.receiving, book.competent) != (receiving, competent) {
        return Err(Refusal::new(RefusalCode::CaseExists, format!("case={id}")));
    }
    Ok((id.clone(), book))
}

fn fact(candidate: &Candidate<'_>, event: CaseEvent, now: UnixMillis) -> CaseFact {
    CaseFact {
        author: candidate.channel.from,
        position: candidate.position,
        local: false,
        seen: candidate.seen,
        created: candidate.created,
        committed: now,
        message_id: candidate.message_id,
        agreement: candidate.agreement,
        standard: candidate.standard,
        event,
    }
}

fn forward(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    application: &Application,
    personal: &CasePersonal,
    now: UnixMillis,
) -> Result<Effect, Refusal> {
    let (record, standard) = opening(books, candidate, application, personal, now)?;
    let missing = missing_materials(&standard, &application.materials, |material| {
        record.agreement.recognises(&application.item, material)
    });
    if !missing.is_empty() {
        return Err(Refusal::new(
            RefusalCode::CaseMaterialMissing,
            format!("materials={}", missing.join(",")),
        ));
    }
    let (id, book) = book_to_open(books, candidate)?;
    handed_out(books, candidate, application, &id)?;
    let fact = fact(candidate, CaseEvent::Forwarded(application.clone()), now);
    case::judge(book.receiving, book.competent, &book.facts, &fact)?;
    // the editions were frozen at 收件, where there was one at this window
    let received = case::before(book.receiving, book.competent, &book.facts, &fact);
    if received.state == CaseState::Received {
        if received.agreement != candidate.agreement {
            return Err(Refusal::new(RefusalCode::NoAgreement, "another one was pinned at receipt"));
        }
        if received.standard != candidate.standard {
            return Err(Refusal::new(RefusalCode::StandardMismatch, "another one was pinned at receipt"));
        }
    }
    Ok(Effect::Case(id, Box::new(fact)))
}

/// A sub-task of a parent that this node leads was handed out there, to this assisting place and for
/// this item. The assisting place does not hold the parent, and takes the leading place's word.
fn handed_out(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    application: &Application,
    id: &CaseId,
) -> Result<(), Refusal> {
    let Some(parent) = &application.parent else { return Ok(()) };
    if candidate.this != candidate.channel.from {
        return Ok(());
    }
    let leads = |book: &Arc<CaseBook>| book.competent == candidate.this;
    let Some(book) = books.case(parent).filter(leads) else { return Ok(()) };
    let plan = book.fold().joint;
    let tasks = plan.iter().flat_map(|plan| &plan.tasks);
    let this = (id, candidate.channel.to, application.item.as_str());
    if tasks.into_iter().any(|(task, _)| (&task.case, task.assisting, task.item.as_str()) == this) {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::CaseJointTask, format!("case={id} was not handed out by {parent}")))
}

/// 联办结果: what the leading place reports is how the sub-task ended in its own books. The applicant's
/// place does not hold the sub-task.
fn reported(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    parent: &CaseId,
    (task, outcome): (&CaseId, case::TaskOutcome),
) -> Result<(), Refusal> {
    if candidate.this != candidate.channel.from {
        return Ok(());
    }
    let ended = books.case(task).map(|book| book.fold());
    let ended = ended.filter(|case| case.parent.as_ref() == Some(parent)).and_then(|case| case.outcome());
    if ended == Some(outcome) {
        return Ok(());
    }
    let ended = ended.map_or("open", case::TaskOutcome::name);
    Err(Refusal::new(RefusalCode::CaseJointTask, format!("case={task} outcome={ended}")))
}

/// Nobody is taken to have agreed, or to have given up, before the time has passed. Counted in days, of
/// which working days are never fewer: so two nodes with different calendars judge alike, and the owner,
/// who knows the calendar, waits longer.
fn has_passed(
    started: Option<UnixMillis>,
    working_days: u32,
    candidate: &Candidate<'_>,
    now: UnixMillis,
) -> Result<(), Refusal> {
    let at = created(candidate, now)?;
    match started {
        Some(started) if deadline::certainly_passed(started, working_days, at) => Ok(()),
        Some(started) => Err(Refusal::new(
            RefusalCode::CaseNotYetDue,
            format!("started={started} working_days={working_days}"),
        )),
        None => Err(Refusal::new(RefusalCode::CaseNotYetDue, "the clock has not started")),
    }
}

/// The book of a running case between the channel's nodes.
fn running(books: &dyn Books, candidate: &Candidate<'_>) -> Result<(CaseId, Arc<CaseBook>), Refusal> {
    let id = case_id(candidate)?;
    // a case of other nodes is none of the sender's business: it learns only that it has no such case
    let unknown = || Refusal::new(RefusalCode::CaseUnknown, format!("case={id}"));
    let book = books.case(id).filter(|book| book.is_between(candidate.channel)).ok_or_else(unknown)?;
    Ok((id.clone(), book))
}

/// A running case finishes under the editions that it was opened with, suspended or not.
fn pinned(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    case: &Case,
) -> Result<Arc<AgreementRecord>, Refusal> {
    let record = agreement(books, candidate)?;
    if case.agreement != candidate.agreement {
        return Err(Refusal::new(RefusalCode::NoAgreement, "the case was opened under another one"));
    }
    if case.standard != candidate.standard {
        return Err(Refusal::new(RefusalCode::StandardMismatch, "the case was opened under another one"));
    }
    effective(&record, case.opened)?;
    Ok(record)
}

fn case_fact(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    event: &CaseEvent,
    now: UnixMillis,
) -> Result<Effect, Refusal> {
    let (id, book) = running(books, candidate)?;
    let fact = fact(candidate, event.clone(), now);
    case::judge(book.receiving, book.competent, &book.facts, &fact)?;
    let case = case::before(book.receiving, book.competent, &book.facts, &fact);
    let record = pinned(books, candidate, &case)?;

    match event {
        CaseEvent::DeemedAccepted { .. } => {
            let item = record.agreement.item(&case.item, case.receiving, case.competent);
            let started = item.and_then(|item| deadline::accept_started(&case, item.clock_rule));
            has_passed(started, deadline::ACCEPT_WORKING_DAYS, candidate, now)?;
        }
        // a notice without a time lets the owner decide
        CaseEvent::SupplementLapsed { .. } if case.supplement_working_days > 0 => {
            let asked = case.last(Kind::CaseSupplementRequest);
            has_passed(asked, case.supplement_working_days, candidate, now)?;
        }
        CaseEvent::JointReported { task, outcome, .. } => {
            reported(books, candidate, &id, (task, *outcome))?;
        }
        CaseEvent::LicenceIssued { licence, .. } => {
            licence_id(books.identity(), &licence.id, "licence")?;
            let expected = case_standard(books, &case)?.result_licence_type.clone();
            if expected.as_deref() != Some(licence.type_code.as_str()) {
                return Err(Refusal::new(
                    RefusalCode::StandardMismatch,
                    format!("result_licence_type={}", expected.unwrap_or_default()),
                ));
            }
        }
        CaseEvent::Closed { .. } if case.state == CaseState::Granted => {
            if let Some(expected) = &case_standard(books, &case)?.result_licence_type {
                return Err(Refusal::new(
                    RefusalCode::CaseWrongState,
                    format!("state=granted result_licence_type={expected}"),
                ));
            }
        }
        _ => {}
    }
    Ok(Effect::Case(id, Box::new(fact)))
}

fn case_standard(books: &dyn Books, case: &Case) -> Result<Arc<Standard>, Refusal> {
    case.standard
        .and_then(|digest| books.standard(&digest))
        .ok_or_else(|| Refusal::new(RefusalCode::StandardUnknown, format!("item={}", case.item)))
}

fn licence_query(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    query: &LicenceQuery,
    now: UnixMillis,
) -> Result<Effect, Refusal> {
    let ChannelId { from: asking, to: answering } = candidate.channel;
    let record = agreement(books, candidate)?;
    in_force(&record, created(candidate, now)?)?;
    let agreement = &record.agreement;

    let elements = |missing: String| Refusal::new(RefusalCode::LicenceElementsMissing, missing);
    let missing = query.elements_missing();
    if !missing.is_empty() {
        return Err(elements(format!("missing={}", missing.join(","))));
    }
    if candidate.case_id.is_some_and(|id| id.as_str() != query.business_code) {
        return Err(elements("business_code is not the header's case".into()));
    }
    let item = agreement
        .item(&query.item_code, asking, answering)
        .or_else(|| agreement.item(&query.item_code, answering, asking))
        .ok_or_else(|| Refusal::new(RefusalCode::ItemNotCovered, format!("item={}", query.item_code)))?;
    if candidate.standard.is_some() {
        pinned_standard(item.standard, candidate)?;
    }
    purpose(agreement, &query.purpose)?;
    let scope = query.type_code().and_then(|type_code| agreement.scope(type_code, answering));
    fields(&query.fields, scope.map(|scope| scope.fields.as_slice()))?;
    if !query.licence_id.is_empty() {
        licence_id(books.identity(), &query.licence_id, "licence_id")?;
    }
    Ok(request_effect(candidate, record.digest))
}

fn purpose(agreement: &crate::service::agreement::Agreement, purpose: &str) -> Result<(), Refusal> {
    if agreement.purposes.iter().any(|covered| covered == purpose) {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::PurposeNotCovered, format!("purpose={purpose}")))
}

/// Every field asked for or disclosed must be covered; `None`: the agreement has no scope at all.
fn fields<'a>(
    named: impl IntoIterator<Item = &'a String>,
    covered: Option<&[String]>,
) -> Result<(), Refusal> {
    let Some(covered) = covered else {
        return Err(Refusal::new(RefusalCode::FieldNotCovered, "scope=none"));
    };
    match named.into_iter().find(|field| !covered.contains(field)) {
        None => Ok(()),
        Some(field) => Err(Refusal::new(RefusalCode::FieldNotCovered, format!("field={field}"))),
    }
}

fn request_effect(candidate: &Candidate<'_>, agreement: Digest) -> Effect {
    Effect::Request(RequestRecord {
        kind: candidate.kind,
        case_id: candidate.case_id.cloned(),
        agreement,
        created: candidate.created,
        answered: false,
    })
}

/// The open request that the candidate answers.
fn open_request(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    kind: Kind,
) -> Result<(MessageId, RequestRecord), Refusal> {
    let not_asked = || Refusal::new(RefusalCode::LicenceNotAsked, format!("kind={kind}"));
    let id = candidate.in_reply_to.ok_or_else(not_asked)?;
    let request = books
        .request(candidate.channel.reverse(), id)
        .filter(|request| request.kind == kind && !request.answered)
        .filter(|request| candidate.case_id.is_none() || candidate.case_id == request.case_id.as_ref())
        .ok_or_else(not_asked)?;
    if candidate.agreement != Some(request.agreement) {
        return Err(Refusal::new(RefusalCode::NoAgreement, "the request was made under another one"));
    }
    Ok((id, request))
}

fn licence_attest(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    attest: &LicenceAttest,
) -> Result<Effect, Refusal> {
    let (id, request) = open_request(books, candidate, Kind::LicenceQuery)?;
    let record = agreement(books, candidate)?;
    effective(&record, request.created)?;
    if let Some(signed) = &attest.attestation {
        let attestation = &signed.content;
        let about = (attestation.query, attestation.answered_by, attestation.asked_by);
        if about != (id, candidate.channel.from, candidate.channel.to) {
            return Err(Refusal::new(RefusalCode::DocumentMalformed, "it answers another query"));
        }
        let scope = record.agreement.scope(&attestation.type_code, candidate.channel.from);
        fields(attestation.fields.0.keys(), scope.map(|scope| scope.fields.as_slice()))?;
    }
    Ok(Effect::Answer { request: id })
}

fn recognition_request(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    request: &RecognitionRequest,
) -> Result<Effect, Refusal> {
    let (_, book) = running(books, candidate)?;
    if candidate.channel.from != book.receiving {
        return Err(Refusal::new(RefusalCode::CaseWrongRole, format!("kind={}", candidate.kind)));
    }
    let case = book.fold();
    if !case::is_undecided(case.state) {
        return Err(Refusal::new(RefusalCode::CaseWrongState, format!("state={}", case.state)));
    }
    let record = pinned(books, candidate, &case)?;
    let rule = record
        .agreement
        .rule(&request.rule)
        .filter(|rule| rule.covers(&case.item, &request.material))
        .ok_or_else(|| {
            let detail = format!("rule={} item={} material={}", request.rule, case.item, request.material);
            Refusal::new(RefusalCode::RecognitionRuleUnknown, detail)
        })?;
    purpose(&record.agreement, &request.purpose)?;
    fields(&request.fields, Some(&rule.fields_required))?;
    if !request.licence_id.is_empty() {
        licence_id(books.identity(), &request.licence_id, "licence_id")?;
    }
    Ok(request_effect(candidate, record.digest))
}

fn recognition_decide(
    books: &dyn Books,
    candidate: &Candidate<'_>,
    decision: &RecognitionDecide,
) -> Result<Effect, Refusal> {
    let (id, book) = running(books, candidate)?;
    if candidate.channel.from != book.competent {
        return Err(Refusal::new(RefusalCode::CaseWrongRole, format!("kind={}", candidate.kind)));
    }
    let (request_id, request) = open_request(books, candidate, Kind::RecognitionRequest)?;
    let record = agreement(books, candidate)?;
    let document = &decision.document.content;
    let about = (document.request, &document.case, document.agreement, document.decided_by);
    if about != (request_id, &id, request.agreement, candidate.channel.from) {
        return Err(Refusal::new(RefusalCode::DocumentMalformed, "it decides another request"));
    }
    let rule = record.agreement.rule(&document.rule);
    let rule = rule.ok_or_else(|| {
        Refusal::new(RefusalCode::RecognitionRuleUnknown, format!("rule={}", document.rule))
    })?;
    fields(document.decision.disclosed.0.keys(), Some(&rule.fields_required))?;
    match decision.outcome {
        Outcome::Recognised | Outcome::Conditional | Outcome::Refused => {
            Ok(Effect::Answer { request: request_id })
        }
        // 待人工: told, and still open for the decision of a person
        Outcome::Manual => Ok(Effect::None),
    }
}

#[cfg(test)]
mod tests;
