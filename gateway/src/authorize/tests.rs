//! Every refusal here differs from a permitted entry by exactly one fact.

use super::*;
use crate::service::agreement::tests::{digest, node, record};
use crate::service::agreement::{Agreement, Binding};
use crate::service::case::Act;
use crate::service::case::tests::{application, event};
use crate::service::date::Date;
use crate::service::licence::tests::{ID, TYPE, business_licence, query};
use crate::service::payload::{RefusalNotice, Signed};
use crate::service::person::{Person, Personal};
use crate::service::recognition::tests::{attestation, request};
use crate::service::recognition::{Bound, ReasonCode, RecognitionDocument, evaluate};
use crate::service::standard::{Material, MaterialForm};
use std::collections::{BTreeMap, HashMap};

const CASE: &str = "KST421200430600202611230000000112";

fn now() -> UnixMillis {
    Date::start("2026-11-23".parse().unwrap())
}

fn case_id() -> CaseId {
    CASE.parse().unwrap()
}

fn out() -> ChannelId {
    ChannelId { from: node("421200"), to: node("430600") }
}

fn back() -> ChannelId {
    out().reverse()
}

#[derive(Default)]
struct NoIdentity {
    person: bool,
    licence: bool,
    case_number: bool,
}

impl IdentityChecks for NoIdentity {
    fn person(&self, _: &str, _: &str) -> bool {
        !self.person
    }
    fn licence(&self, _: &str) -> CheckOutcome {
        if self.licence { CheckOutcome::Invalid } else { CheckOutcome::Valid }
    }
    fn case_number(&self, _: &CaseId, _: NodeId, _: NodeId) -> bool {
        !self.case_number
    }
}

struct World {
    agreement: AgreementRecord,
    standard: Standard,
    cases: HashMap<CaseId, CaseBook>,
    requests: HashMap<(ChannelId, MessageId), RequestRecord>,
    refuses: NoIdentity,
    sizes: HashMap<NodeId, u64>,
}

impl Books for World {
    fn agreement(&self, wanted: &Digest) -> Option<Arc<AgreementRecord>> {
        (self.agreement.digest == *wanted).then(|| Arc::new(self.agreement.clone()))
    }
    fn standard(&self, wanted: &Digest) -> Option<Arc<Standard>> {
        (digest(1) == *wanted).then(|| Arc::new(self.standard.clone()))
    }
    fn case(&self, id: &CaseId) -> Option<Arc<CaseBook>> {
        self.cases.get(id).cloned().map(Arc::new)
    }
    fn request(&self, channel: ChannelId, id: MessageId) -> Option<RequestRecord> {
        self.requests.get(&(channel, id)).cloned()
    }
    fn identity(&self) -> &dyn IdentityChecks {
        &self.refuses
    }
}

/// An entry that owns what a `Candidate` borrows.
struct Draft {
    this: NodeId,
    channel: ChannelId,
    message_id: MessageId,
    case_id: Option<CaseId>,
    in_reply_to: Option<MessageId>,
    agreement: Option<Digest>,
    standard: Option<Digest>,
    created: UnixMillis,
    expires: Option<UnixMillis>,
    kind: Kind,
    payload: Payload,
}

impl Draft {
    fn new(channel: ChannelId, kind: Kind, payload: Payload) -> Self {
        Self {
            this: node("430600"),
            channel,
            message_id: MessageId([1; 16]),
            case_id: Some(case_id()),
            in_reply_to: None,
            agreement: Some(digest(9)),
            standard: Some(digest(1)),
            created: now(),
            expires: None,
            kind,
            payload,
        }
    }

    fn judge(&self, world: &World) -> Result<Effect, RefusalCode> {
        let size = |node| LogPosition { epoch: 0, index: world.sizes.get(&node).copied().unwrap_or(0) };
        let candidate = Candidate {
            this: self.this,
            channel: self.channel,
            position: size(self.channel.from),
            seen: size(self.channel.to),
            kind: self.kind,
            message_id: self.message_id,
            case_id: self.case_id.as_ref(),
            in_reply_to: self.in_reply_to,
            agreement: self.agreement,
            standard: self.standard,
            created: self.created,
            expires: self.expires,
            payload: &self.payload,
        };
        authorize(world, &candidate, now()).map(Permit::into_effect).map_err(|refusal| refusal.code)
    }
}

impl World {
    fn new() -> Self {
        let agreement = record();
        let mut standard =
            Standard::for_item("KST071", "企业变更登记", node("430600"), "2026-01-01".parse().unwrap());
        standard.result_licence_type = Some(TYPE.into());
        Self {
            agreement,
            standard,
            cases: HashMap::new(),
            requests: HashMap::new(),
            refuses: NoIdentity::default(),
            sizes: HashMap::new(),
        }
    }

    fn take(&mut self, draft: &Draft) {
        match draft.judge(self).unwrap_or_else(|code| panic!("{}: {code}", draft.kind)) {
            Effect::Case(id, fact) => {
                let (receiving, competent) = (out().from, out().to);
                let book = self.cases.entry(id).or_insert(CaseBook { receiving, competent, facts: vec![] });
                book.facts.push(*fact);
            }
            Effect::Request(request) => {
                self.requests.insert((draft.channel, draft.message_id), request);
            }
            Effect::Answer { request } => {
                self.requests.get_mut(&(draft.channel.reverse(), request)).unwrap().answered = true;
            }
            _ => {}
        }
        *self.sizes.entry(draft.channel.from).or_default() += 1;
    }

    /// A world in which these acts have taken effect after 转递.
    fn after(kinds: &[Kind]) -> Self {
        let mut world = Self::new();
        world.take(&forward());
        for kind in kinds {
            world.take(&act(*kind));
        }
        world
    }
}

fn file(code: &str) -> Material {
    Material {
        code: code.into(),
        digest: Some(digest(5)),
        form: MaterialForm::Electronic,
        licence_id: String::new(),
        recognition_rule: String::new(),
    }
}

fn forward() -> Draft {
    forward_with(|_| ())
}

fn forward_with(change: impl FnOnce(&mut Application)) -> Draft {
    let mut application = application();
    application.materials = vec![file("M01"), file("M02")];
    change(&mut application);
    let person = Person {
        name: Personal::new("岳阳某某有限公司"),
        id_type: "001".into(),
        id_number: Personal::new("914306001860000001"),
        phone: Personal::default(),
    };
    let personal = CasePersonal::Applicant(Box::new(Applicant {
        applicant: person,
        agent: None,
        form: BTreeMap::new(),
    }));
    let payload = Payload::Case { event: CaseEvent::Forwarded(application), personal };
    Draft::new(out(), Kind::CaseForward, payload)
}

fn act(kind: Kind) -> Draft {
    let event = event(Act::Kind(kind));
    let channel = if kind.owner() == crate::id::Owner::Receiving { out() } else { back() };
    let personal = match kind {
        Kind::CaseLicence => CasePersonal::Licence(Box::new(business_licence())),
        _ => CasePersonal::None,
    };
    Draft::new(channel, kind, Payload::Case { event, personal })
}

fn licence_query(change: impl FnOnce(&mut LicenceQuery)) -> Draft {
    let mut query = query();
    change(&mut query);
    Draft { standard: None, ..Draft::new(out(), Kind::LicenceQuery, Payload::LicenceQuery(query)) }
}

fn signed<T>(content: T) -> Signed<T> {
    Signed { content: Arc::new(content), payload: Vec::new(), envelope: Vec::new() }
}

fn attest(change: impl FnOnce(&mut crate::service::licence::LicenceAttestation)) -> Draft {
    let mut attestation = attestation();
    attestation.query = MessageId([1; 16]);
    change(&mut attestation);
    let attest = LicenceAttest { reason: attestation.reason, attestation: Some(signed(attestation)) };
    Draft {
        in_reply_to: Some(MessageId([1; 16])),
        ..Draft::new(back(), Kind::LicenceAttest, Payload::LicenceAttest(attest))
    }
}

fn recognition(change: impl FnOnce(&mut RecognitionRequest)) -> Draft {
    let mut request = request();
    change(&mut request);
    Draft::new(out(), Kind::RecognitionRequest, Payload::RecognitionRequest(request))
}

fn recognition_decision(change: impl FnOnce(&mut RecognitionDocument)) -> Draft {
    let world = World::new();
    let rule = &world.agreement.agreement.recognition_rules[0];
    let persons = Bound { applicant: "914306001860000001", agent: None };
    let decision =
        evaluate(Some(rule), &request(), Some(&attestation()), CheckOutcome::Valid, persons, now());
    let mut document = RecognitionDocument {
        request: MessageId([1; 16]),
        case: case_id(),
        agreement: digest(9),
        rule: "rule-1".into(),
        material: "M01".into(),
        licence_id: ID.into(),
        decided_by: node("430600"),
        decided_at: now(),
        decision,
    };
    change(&mut document);
    let decide = RecognitionDecide {
        outcome: document.decision.outcome,
        reason: document.decision.reason,
        document: signed(document),
    };
    Draft {
        in_reply_to: Some(MessageId([1; 16])),
        ..Draft::new(back(), Kind::RecognitionDecide, Payload::RecognitionDecide(decide))
    }
}

/// The code with which a draft is refused after one change, having checked that it is permitted without.
fn refused(
    (mut world, mut draft): (World, Draft),
    change: impl FnOnce(&mut World, &mut Draft),
) -> RefusalCode {
    draft.judge(&world).unwrap_or_else(|code| panic!("permitted without the change: {code}"));
    change(&mut world, &mut draft);
    draft.judge(&world).expect_err("refused after the change")
}

#[test]
fn a_forward_opens_a_case_with_its_pinned_editions() {
    let Ok(Effect::Case(id, fact)) = forward().judge(&World::new()) else { panic!("permitted") };
    assert_eq!(id, case_id());
    assert_eq!((fact.agreement, fact.standard), (Some(digest(9)), Some(digest(1))));
    assert_eq!((fact.author, fact.local, fact.committed), (out().from, false, now()));
}

#[test]
fn a_forward_is_refused_for_each_thing_that_the_agreement_does_not_cover() {
    let code =
        |change: &dyn Fn(&mut World, &mut Draft)| refused((World::new(), forward()), |w, d| change(w, d));
    assert_eq!(code(&|_, d| d.agreement = None), RefusalCode::NoAgreement);
    assert_eq!(code(&|_, d| d.agreement = Some(digest(8))), RefusalCode::NoAgreement);
    assert_eq!(code(&|w, _| w.agreement.agreement.parties[0] = node("360100")), RefusalCode::NoAgreement);
    assert_eq!(code(&|w, _| w.agreement.signed_by.truncate(1)), RefusalCode::AgreementNotEffective);
    assert_eq!(
        code(&|w, _| w.agreement.agreement.effective_until = Some(now())),
        RefusalCode::AgreementNotEffective
    );
    assert_eq!(
        code(&|_, d| d.created = now().plus_millis(CLOCK_SKEW_MILLIS_MAX + 1)),
        RefusalCode::AgreementNotEffective
    );
    assert_eq!(code(&|w, _| w.agreement.suspended = true), RefusalCode::AgreementSuspended);
    assert_eq!(code(&|w, _| w.agreement.agreement.items.clear()), RefusalCode::ItemNotCovered);
    assert_eq!(
        code(&|w, _| {
            let item = &mut w.agreement.agreement.items[0];
            std::mem::swap(&mut item.receiving, &mut item.competent);
        }),
        RefusalCode::ItemNotCovered,
        "the other direction"
    );
    assert_eq!(code(&|_, d| d.standard = None), RefusalCode::StandardMismatch);
    assert_eq!(code(&|_, d| d.standard = Some(digest(2))), RefusalCode::StandardMismatch);
    assert_eq!(code(&|w, _| w.standard.item = "KST001".into()), RefusalCode::StandardMismatch);
    assert_eq!(code(&|w, _| w.standard.effective_until = Some(now())), RefusalCode::StandardMismatch);
    assert_eq!(
        code(&|w, d| {
            w.agreement.agreement.items[0].standard = digest(3);
            d.standard = Some(digest(3));
        }),
        RefusalCode::StandardUnknown
    );
}

#[test]
fn a_forward_is_refused_for_its_own_defects() {
    let code =
        |change: &dyn Fn(&mut World, &mut Draft)| refused((World::new(), forward()), |w, d| change(w, d));
    assert_eq!(code(&|_, d| d.expires = Some(now())), RefusalCode::Expired);
    assert_eq!(code(&|_, d| d.kind = Kind::CaseAccept), RefusalCode::MalformedPayload);
    assert_eq!(code(&|_, d| d.this = node("360100")), RefusalCode::WrongChannel);
    assert_eq!(code(&|_, d| d.case_id = None), RefusalCode::CaseUnknown);
    assert_eq!(code(&|w, _| w.refuses.case_number = true), RefusalCode::CaseNumberInvalid);
    assert_eq!(code(&|w, _| w.refuses.person = true), RefusalCode::CasePersonInvalid);
    assert_eq!(code(&|w, _| w.take(&forward())), RefusalCode::CaseExists);
    assert_eq!(
        code(&|_, d| *d = forward_with(|application| drop(application.materials.pop()))),
        RefusalCode::CaseMaterialMissing
    );
    assert_eq!(code(&|_, d| d.expires = Some(UnixMillis(now().0 - 1))), RefusalCode::Expired);
    let later = Draft { expires: Some(now().plus_millis(1)), ..forward() };
    assert!(later.judge(&World::new()).is_ok(), "not expired yet");
}

#[test]
fn a_licence_reference_stands_for_a_material_under_a_rule_of_the_agreement() {
    let by_licence = |rule: &str| {
        forward_with(|application| {
            application.materials[0] = Material {
                digest: None,
                licence_id: ID.into(),
                recognition_rule: rule.into(),
                ..file("M01")
            };
        })
    };
    assert!(by_licence("rule-1").judge(&World::new()).is_ok());
    assert_eq!(by_licence("rule-2").judge(&World::new()), Err(RefusalCode::CaseMaterialMissing));
    assert_eq!(
        refused((World::new(), by_licence("rule-1")), |w, _| w.refuses.licence = true),
        RefusalCode::LicenceIdInvalid
    );
}

#[test]
fn a_later_fact_carries_what_the_case_was_opened_with() {
    let given = || (World::after(&[]), act(Kind::CaseSignFor));
    let code = |change: &dyn Fn(&mut World, &mut Draft)| refused(given(), |w, d| change(w, d));
    assert_eq!(code(&|_, d| d.agreement = None), RefusalCode::NoAgreement);
    assert_eq!(code(&|_, d| d.standard = Some(digest(2))), RefusalCode::StandardMismatch);
    assert_eq!(code(&|_, d| d.standard = None), RefusalCode::StandardMismatch);
    assert_eq!(code(&|_, d| d.case_id = None), RefusalCode::CaseUnknown);
    assert_eq!(code(&|w, _| w.cases.clear()), RefusalCode::CaseUnknown);
    assert_eq!(code(&|_, d| d.channel = out()), RefusalCode::CaseWrongRole);
    assert_eq!(
        code(&|w, _| w.cases.get_mut(&case_id()).unwrap().receiving = node("360100")),
        RefusalCode::CaseUnknown,
        "a case of other nodes is not shown"
    );
    assert_eq!(code(&|w, _| w.take(&act(Kind::CaseSignFor))), RefusalCode::CaseWrongState);
}

#[test]
fn a_running_case_finishes_although_its_agreement_ended_or_was_suspended() {
    let mut world = World::after(&[]);
    world.agreement.suspended = true;
    world.agreement.agreement.effective_until = Some(now().plus_millis(1));
    let late = Draft { created: now().plus_millis(86_400_000), ..act(Kind::CaseSignFor) };
    assert!(late.judge(&world).is_ok());
    let opening = Draft { case_id: Some("KST-2".parse().unwrap()), ..forward() };
    assert_eq!(opening.judge(&world), Err(RefusalCode::AgreementSuspended));
}

const TO_GRANT: &[Kind] = &[Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseReview, Kind::CaseGrant];

#[test]
fn the_result_licence_is_the_one_that_the_standard_promises() {
    let given = || (World::after(TO_GRANT), act(Kind::CaseLicence));
    let code = |change: &dyn Fn(&mut World, &mut Draft)| refused(given(), |w, d| change(w, d));
    assert_eq!(
        code(&|w, _| w.standard.result_licence_type = Some("other".into())),
        RefusalCode::StandardMismatch
    );
    assert_eq!(code(&|w, _| w.refuses.licence = true), RefusalCode::LicenceIdInvalid);
}

#[test]
fn a_granted_case_closes_without_licence_only_where_the_standard_names_none() {
    let mut world = World::after(TO_GRANT);
    assert_eq!(act(Kind::CaseClose).judge(&world), Err(RefusalCode::CaseWrongState));
    world.standard.result_licence_type = None;
    assert!(act(Kind::CaseClose).judge(&world).is_ok());
}

#[test]
fn a_whole_case_is_permitted_to_its_rating() {
    let mut kinds = TO_GRANT.to_vec();
    kinds.extend([Kind::CaseLicence, Kind::CaseDispatch, Kind::CaseDeliver, Kind::CaseClose, Kind::CaseRate]);
    let world = World::after(&kinds);
    assert_eq!(world.cases[&case_id()].fold().state, CaseState::Closed);
}

#[test]
fn a_receipt_at_the_own_window_is_local_and_freezes_the_editions() {
    let mut world = World::new();
    let incomplete = Draft { this: out().from, ..forward_with(|application| application.materials.clear()) };
    let candidate = Candidate {
        this: out().from,
        channel: out(),
        position: LogPosition::default(),
        seen: LogPosition::default(),
        kind: Kind::CaseForward,
        message_id: MessageId([2; 16]),
        case_id: incomplete.case_id.as_ref(),
        in_reply_to: None,
        agreement: incomplete.agreement,
        standard: incomplete.standard,
        created: now(),
        expires: None,
        payload: &incomplete.payload,
    };
    let Effect::Case(id, fact) = authorize_receipt(&world, &candidate, now()).unwrap().into_effect() else {
        panic!("a fact")
    };
    assert!(fact.local);
    let elsewhere = Candidate { this: out().to, ..candidate.clone() };
    assert_eq!(authorize_receipt(&world, &elsewhere, now()).unwrap_err().code, RefusalCode::CaseWrongRole);
    let other = CaseFact { agreement: Some(digest(8)), ..(*fact).clone() };
    let (receiving, competent) = (out().from, out().to);
    world.cases.insert(id.clone(), CaseBook { receiving, competent, facts: vec![*fact] });
    assert!(forward().judge(&world).is_ok());
    world.cases.insert(id, CaseBook { receiving, competent, facts: vec![other] });
    assert_eq!(forward().judge(&world), Err(RefusalCode::NoAgreement));
}

#[test]
fn a_licence_query_stays_within_purpose_and_scope() {
    let code = |change: &dyn Fn(&mut World, &mut Draft)| {
        refused((World::new(), licence_query(|_| ())), |w, d| change(w, d))
    };
    assert_eq!(
        code(&|_, d| *d = licence_query(|query| query.user_name.clear())),
        RefusalCode::LicenceElementsMissing
    );
    assert_eq!(
        code(&|_, d| *d = licence_query(|query| query.purpose.clear())),
        RefusalCode::LicenceElementsMissing
    );
    assert_eq!(code(&|_, d| d.case_id = Some("KST-2".parse().unwrap())), RefusalCode::LicenceElementsMissing);
    assert_eq!(
        code(&|_, d| *d = licence_query(|query| query.purpose = "商业营销".into())),
        RefusalCode::PurposeNotCovered
    );
    assert_eq!(
        code(&|_, d| *d = licence_query(|query| query.fields.push("capital".into()))),
        RefusalCode::FieldNotCovered
    );
    assert_eq!(
        code(&|_, d| *d = licence_query(|query| query.type_code = "other".into())),
        RefusalCode::FieldNotCovered
    );
    assert_eq!(
        code(&|w, _| w.agreement.agreement.licence_scopes[0].holder_of_data = node("421200")),
        RefusalCode::FieldNotCovered,
        "the answering node has no scope"
    );
    assert_eq!(
        code(&|_, d| *d = licence_query(|query| query.item_code = "KST001".into())),
        RefusalCode::ItemNotCovered
    );
    assert_eq!(code(&|w, _| w.agreement.suspended = true), RefusalCode::AgreementSuspended);
    assert_eq!(code(&|_, d| d.agreement = None), RefusalCode::NoAgreement);
    assert_eq!(code(&|w, _| w.refuses.licence = true), RefusalCode::LicenceIdInvalid);
}

fn asked() -> World {
    let mut world = World::new();
    world.take(&licence_query(|_| ()));
    world
}

#[test]
fn a_licence_answer_needs_its_open_query() {
    let code =
        |change: &dyn Fn(&mut World, &mut Draft)| refused((asked(), attest(|_| ())), |w, d| change(w, d));
    assert_eq!(code(&|_, d| d.in_reply_to = None), RefusalCode::LicenceNotAsked);
    assert_eq!(code(&|_, d| d.in_reply_to = Some(MessageId([3; 16]))), RefusalCode::LicenceNotAsked);
    assert_eq!(code(&|w, _| w.take(&attest(|_| ()))), RefusalCode::LicenceNotAsked, "answered already");
    assert_eq!(code(&|_, d| d.channel = out()), RefusalCode::LicenceNotAsked, "asked in the other direction");
    assert_eq!(code(&|_, d| d.agreement = None), RefusalCode::NoAgreement);
    assert_eq!(
        code(&|_, d| *d = attest(|attestation| attestation.query = MessageId([3; 16]))),
        RefusalCode::DocumentMalformed
    );
    assert_eq!(
        code(&|_, d| *d = attest(|a| drop(a.fields.0.insert("capital".into(), "100".into())))),
        RefusalCode::FieldNotCovered
    );
    let mut world = asked();
    world.agreement.suspended = true;
    assert!(attest(|_| ()).judge(&world).is_ok(), "what was asked before is answered");
}

#[test]
fn an_empty_answer_discloses_nothing_and_closes_the_query() {
    let draft = Draft {
        in_reply_to: Some(MessageId([1; 16])),
        ..Draft::new(
            back(),
            Kind::LicenceAttest,
            Payload::LicenceAttest(LicenceAttest { reason: ReasonCode::R10, attestation: None }),
        )
    };
    assert_eq!(draft.judge(&asked()), Ok(Effect::Answer { request: MessageId([1; 16]) }));
}

#[test]
fn a_recognition_is_asked_for_under_a_rule_by_the_receiving_place() {
    let code = |change: &dyn Fn(&mut World, &mut Draft)| {
        refused((World::after(&[Kind::CaseSignFor]), recognition(|_| ())), |w, d| change(w, d))
    };
    assert_eq!(
        code(&|_, d| *d = recognition(|r| r.rule = "rule-2".into())),
        RefusalCode::RecognitionRuleUnknown
    );
    assert_eq!(
        code(&|_, d| *d = recognition(|r| r.material = "M02".into())),
        RefusalCode::RecognitionRuleUnknown
    );
    assert_eq!(
        code(&|w, _| w.agreement.agreement.recognition_rules[0].items = vec!["KST001".into()]),
        RefusalCode::RecognitionRuleUnknown
    );
    assert_eq!(
        code(&|_, d| *d = recognition(|r| r.purpose = "商业营销".into())),
        RefusalCode::PurposeNotCovered
    );
    assert_eq!(
        code(&|_, d| *d = recognition(|r| r.fields.push("capital".into()))),
        RefusalCode::FieldNotCovered
    );
    assert_eq!(code(&|_, d| d.channel = back()), RefusalCode::CaseWrongRole);
    assert_eq!(code(&|w, _| w.cases.clear()), RefusalCode::CaseUnknown);
    assert_eq!(code(&|w, _| w.take(&act(Kind::CaseReject))), RefusalCode::CaseWrongState);
    assert_eq!(code(&|_, d| d.standard = None), RefusalCode::StandardMismatch);
}

#[test]
fn a_recognition_is_decided_once_by_the_competent_place() {
    let given = || {
        let mut world = World::after(&[Kind::CaseSignFor]);
        world.take(&recognition(|_| ()));
        (world, recognition_decision(|_| ()))
    };
    let code = |change: &dyn Fn(&mut World, &mut Draft)| refused(given(), |w, d| change(w, d));
    assert_eq!(code(&|_, d| d.channel = out()), RefusalCode::CaseWrongRole);
    assert_eq!(code(&|_, d| d.in_reply_to = None), RefusalCode::LicenceNotAsked);
    assert_eq!(code(&|w, _| w.take(&recognition_decision(|_| ()))), RefusalCode::LicenceNotAsked);
    assert_eq!(
        code(&|_, d| *d = recognition_decision(|document| document.decided_by = node("421200"))),
        RefusalCode::DocumentMalformed
    );
    assert_eq!(
        code(&|_, d| *d = recognition_decision(|document| document.rule = "rule-2".into())),
        RefusalCode::RecognitionRuleUnknown
    );
    let manual = recognition_decision(|document| document.decision.outcome = Outcome::Manual);
    assert_eq!(manual.judge(&given().0), Ok(Effect::None), "the request stays open for a person");
}

#[test]
fn documents_are_published_by_whom_they_bind() {
    let publish = |change: &dyn Fn(&mut Standard)| {
        let mut standard = World::new().standard;
        change(&mut standard);
        let payload = Payload::Standard(signed(standard));
        Draft { agreement: None, standard: None, ..Draft::new(back(), Kind::StandardPublish, payload) }
            .judge(&World::new())
            .map(drop)
    };
    assert_eq!(publish(&|_| ()), Ok(()));
    assert_eq!(publish(&|s| s.issuer = node("421200")), Err(RefusalCode::DocumentSignature));
    assert_eq!(publish(&|s| s.conditions.push("其他材料".into())), Err(RefusalCode::DocumentMalformed));

    let sign = |change: &dyn Fn(&mut Agreement)| {
        let mut agreement = record().agreement;
        change(&mut agreement);
        let payload = Payload::Agreement(signed(agreement));
        Draft { agreement: None, standard: None, ..Draft::new(out(), Kind::AgreementSign, payload) }
            .judge(&World::new())
    };
    let Ok(Effect::Agreement { signer, .. }) = sign(&|_| ()) else { panic!("permitted") };
    assert_eq!(signer, out().from);
    assert_eq!(sign(&|a| a.edition = 0).map(drop), Err(RefusalCode::DocumentMalformed));
    assert_eq!(
        sign(&|a| *a = Agreement {
            parties: [node("360100"), node("430600")],
            items: vec![],
            licence_scopes: vec![],
            ..a.clone()
        })
        .map(drop),
        Err(RefusalCode::DocumentMalformed)
    );
    assert_eq!(record().agreement.recognition_rules[0].binding, Binding::Applicant);
}

#[test]
fn control_kinds_need_no_agreement_and_a_refusal_names_what_it_voids() {
    let notice = RefusalNotice {
        code: "case.wrong_state".into(),
        message_zh: String::new(),
        message_en: String::new(),
        refused_index: 3,
    };
    let draft = Draft {
        agreement: None,
        standard: None,
        case_id: None,
        in_reply_to: Some(MessageId([4; 16])),
        ..Draft::new(back(), Kind::Refusal, Payload::Refusal(notice))
    };
    assert_eq!(
        draft.judge(&World::new()),
        Ok(Effect::Refused { entry: Some(MessageId([4; 16])), code: "case.wrong_state".into() })
    );
}

// ---- modes, joint tasks and time

fn in_mode_of(mode: crate::service::agreement::Mode) -> (World, Draft) {
    let mut world = World::new();
    for item in &mut world.agreement.agreement.items {
        item.mode = mode;
    }
    (world, forward_with(|application| application.mode = Some(mode)))
}

#[test]
fn a_case_is_done_in_the_mode_that_was_agreed() {
    use crate::service::agreement::Mode;
    for mode in Mode::ALL {
        let (world, draft) = in_mode_of(*mode);
        assert!(draft.judge(&world).is_ok(), "{mode:?}");
        let other = Mode::ALL.iter().copied().find(|other| other != mode);
        let draft = forward_with(|application| application.mode = other);
        assert_eq!(draft.judge(&world), Err(RefusalCode::CaseModeMismatch), "{mode:?}");
        assert!(forward().judge(&world).is_ok(), "an older node says no mode");
    }
}

#[test]
fn nothing_is_on_paper_where_all_is_online() {
    use crate::service::agreement::Mode;
    for (mode, refused) in [(Mode::Online, true), (Mode::ReceivedElsewhere, false)] {
        let (world, _) = in_mode_of(mode);
        let draft = forward_with(|application| {
            application.mode = Some(mode);
            application.materials[0].form = MaterialForm::Paper;
        });
        let expected = if refused { Some(RefusalCode::CaseModeMismatch) } else { None };
        assert_eq!(draft.judge(&world).err(), expected, "{mode:?}");
    }
}

#[test]
fn a_sub_task_says_that_it_is_done_jointly() {
    use crate::service::agreement::Mode;
    let (world, _) = in_mode_of(Mode::Joint);
    let with = |mode| {
        forward_with(move |application| {
            application.mode = mode;
            application.parent = Some("PARENT-1".parse().unwrap());
        })
    };
    assert!(with(Some(Mode::Joint)).judge(&world).is_ok());
    assert_eq!(with(None).judge(&world), Err(RefusalCode::CaseModeMismatch));
    let (elsewhere, _) = in_mode_of(Mode::ReceivedElsewhere);
    assert_eq!(with(Some(Mode::ReceivedElsewhere)).judge(&elsewhere), Err(RefusalCode::CaseModeMismatch));
}

#[test]
fn silence_accepts_after_five_days_and_not_before() {
    use crate::service::agreement::ClockRule;
    let silent = |received: &str, rule| {
        let mut world = World::new();
        for item in &mut world.agreement.agreement.items {
            item.clock_rule = rule;
        }
        let received = Date::start(received.parse().unwrap());
        world.take(&forward_with(|application| application.received = received));
        act(Kind::CaseAcceptDeemed).judge(&world)
    };
    assert!(silent("2026-11-17", ClockRule::AtReceipt).is_ok(), "six days: the fifth has passed");
    assert_eq!(silent("2026-11-18", ClockRule::AtReceipt), Err(RefusalCode::CaseNotYetDue));
    assert_eq!(silent("2026-11-01", ClockRule::AtForward), Err(RefusalCode::CaseNotYetDue));
    assert_eq!(silent("2026-11-01", ClockRule::AtSignFor), Err(RefusalCode::CaseNotYetDue));
}

#[test]
fn a_supplement_lapses_when_its_time_is_over() {
    let notice = [Kind::CaseSignFor, Kind::CaseSupplementRequest];
    let world = World::after(&notice);
    let lapse = act(Kind::CaseSupplementLapse);
    assert_eq!(lapse.judge(&world), Err(RefusalCode::CaseNotYetDue));
    // without a time the owner decides
    let mut world = World::after(&notice[..1]);
    let mut ask = act(Kind::CaseSupplementRequest);
    let Payload::Case { event: CaseEvent::SupplementRequested { deadline_working_days, .. }, .. } =
        &mut ask.payload
    else {
        panic!("a supplement request");
    };
    *deadline_working_days = 0;
    world.take(&ask);
    assert!(lapse.judge(&world).is_ok());
}

#[test]
fn the_leading_place_reports_what_its_books_say_and_hands_out_what_it_planned() {
    use crate::service::agreement::Mode;
    use crate::service::case::TaskOutcome;
    let (mut world, draft) = in_mode_of(Mode::Joint);
    world.take(&draft);
    for kind in [Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseJointPlan] {
        world.take(&act(kind));
    }
    // 属地 430600 judges its own report: the sub-task is not in its books
    let report = act(Kind::CaseJointReport);
    assert_eq!(report.judge(&world), Err(RefusalCode::CaseJointTask));
    // nor may it report an end that did not come
    let sub: CaseId = "sub-1".parse().unwrap();
    let facts = |kinds: &[Kind]| {
        let sub_task = Application { mode: Some(Mode::Joint), parent: Some(case_id()), ..application() };
        let opened = CaseEvent::Forwarded(sub_task);
        let acts = kinds.iter().map(|kind| event(Act::Kind(*kind)));
        std::iter::once(opened)
            .chain(acts)
            .enumerate()
            .map(|(index, event)| CaseFact {
                author: if index == 0 { node("430600") } else { node("360100") },
                position: LogPosition { epoch: 0, index: index as u64 },
                local: false,
                seen: LogPosition { epoch: 0, index: index as u64 + 1 },
                created: now(),
                committed: now(),
                message_id: MessageId([index as u8; 16]),
                agreement: None,
                standard: None,
                event,
            })
            .collect::<Vec<_>>()
    };
    let mut book =
        CaseBook { receiving: node("430600"), competent: node("360100"), facts: facts(&[Kind::CaseSignFor]) };
    world.cases.insert(sub.clone(), book.clone());
    assert_eq!(report.judge(&world), Err(RefusalCode::CaseJointTask), "it is open");
    book.facts = facts(&[Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseReview, Kind::CaseGrant]);
    assert_eq!(book.fold().outcome(), Some(TaskOutcome::Granted));
    world.cases.insert(sub.clone(), book.clone());
    assert!(report.judge(&world).is_ok());
    // the applicant's place takes the leading place's word
    world.cases.remove(&sub);
    assert!(Draft { this: node("421200"), ..report }.judge(&world).is_ok());
}
