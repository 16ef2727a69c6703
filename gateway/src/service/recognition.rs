//! Recognition of materials (材料互认): may a licence stand for a material of a case? The receiving
//! place asks under a rule of the agreement, the competent place decides, and every decision carries a
//! reason from R00 to R99.
//!
//! [`evaluate`] looks at one rule, one request and one attestation of the licence. It never guesses:
//! what it cannot see goes to a person (R70) or is tried again (R60, R61).

use super::agreement::{Binding, RecognitionEffect, RecognitionRule};
use super::date::Date;
use super::identity::CheckOutcome;
use super::licence::LicenceAttestation;
use super::person::{Disclosed, Personal};
use crate::id::{CaseId, Digest, MessageId, NodeId};
use crate::time::UnixMillis;
use std::fmt;

macro_rules! reasons {
    ($($variant:ident = $zh:literal, $en:literal;)*) => {
        /// Why a licence was, or was not, disclosed or recognised.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode { $(#[doc = $en] $variant,)* }

        impl ReasonCode {
            /// Every reason, ascending.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$variant,)*];

            /// The code on the wire: `R00`.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The reason of that code.
            pub fn with_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }

            /// In Chinese.
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)* }
            }

            /// In English.
            pub fn en(self) -> &'static str {
                match self { $(Self::$variant => $en,)* }
            }
        }
    };
}

reasons! {
    R00 = "认可", "recognised";
    R10 = "证照不存在", "no such licence";
    R11 = "证照已过期", "the licence has expired";
    R12 = "证照已注销或吊销", "the licence was cancelled or revoked";
    R13 = "证照已挂失或冻结", "the licence is reported lost or frozen";
    R14 = "非本协议认可的颁发机构", "the issuer is not one that the agreement accepts";
    R15 = "证照类型不在规则之内", "the type of licence is not one that the rule accepts";
    R16 = "剩余有效期不足", "too little validity remains";
    R20 = "持证主体不一致", "the holder is somebody else";
    R21 = "姓名不一致（生僻字、间隔号等）", "the names differ (rare characters, middle dots)";
    R22 = "代理授权无效", "the agent's authorisation is not valid";
    R30 = "证照标识校验位错误", "the identifier's check character is wrong";
    R31 = "证照标识校验位为变体（告警）", "the identifier's check character follows a known variant (warning)";
    R32 = "文件摘要不符", "the file does not match its digest";
    R33 = "签章无效", "the seal or signature is not valid";
    R34 = "证书链不受信任", "the certificate chain is not trusted";
    R40 = "标准版本不一致", "the edition of the standard differs";
    R41 = "协议未生效或已中止", "the agreement is not in effect or is suspended";
    R42 = "互认规则不存在", "there is no such recognition rule";
    R50 = "所请求字段超出授权", "a requested field is outside the scope";
    R51 = "用途不符", "the purpose is missing or not allowed";
    R52 = "查询配额已用尽", "the day's quota is used up";
    R60 = "来源超时（可重试）", "the source did not answer in time (may be tried again)";
    R61 = "来源暂不可用（可重试）", "the source is not available now (may be tried again)";
    R70 = "转人工核验", "a person must verify it";
    R99 = "其他（须说明）", "other (stated in the note)";
}

impl ReasonCode {
    /// Whether the same question may get another answer later.
    pub fn may_retry(self) -> bool {
        matches!(self, Self::R52 | Self::R60 | Self::R61)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// How a recognition ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// 认可.
    Recognised,
    /// 附条件认可: recognised, with something still to do (the note says what).
    Conditional,
    /// 不认可.
    Refused,
    /// 待人工: nobody has decided yet.
    Manual,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[Self::Recognised, Self::Conditional, Self::Refused, Self::Manual];

    /// The stable name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recognised => "recognised",
            Self::Conditional => "conditional",
            Self::Refused => "refused",
            Self::Manual => "manual",
        }
    }

    /// The outcome of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|outcome| outcome.name() == name)
    }

    /// Whether an outcome may go with a reason: R00 and R31 recognise, nothing else does.
    pub fn fits(self, reason: ReasonCode) -> bool {
        let recognising = matches!(reason, ReasonCode::R00 | ReasonCode::R31);
        match self {
            Self::Recognised => reason == ReasonCode::R00,
            Self::Conditional => recognising,
            Self::Refused | Self::Manual => !recognising,
        }
    }
}

/// Offers a licence instead of a material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecognitionRequest {
    /// The agreement's rule.
    pub rule: String,
    /// Code of the material in the standard.
    pub material: String,
    /// 证照标识; empty: by type and holder.
    pub licence_id: String,
    /// 证照类型代码.
    pub type_code: String,
    /// 持证主体代码.
    pub holder_code: Personal,
    /// 用途.
    pub purpose: String,
    /// Who asks, at the window.
    pub operator: String,
    /// Fields asked for.
    pub fields: Vec<String>,
    /// Reference of the holder's authorisation.
    pub authorisation: String,
    /// Until when an answer is wanted; `None`: no limit.
    pub deadline: Option<UnixMillis>,
}

/// What was decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecognitionDecision {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: ReasonCode,
    /// What the reason does not say by itself; empty: nothing. Never personal.
    pub note: String,
    /// Fields disclosed for the decision.
    pub disclosed: Disclosed,
    /// When the licence's source was asked; `None`: it was not.
    pub source_time: Option<UnixMillis>,
    /// Until when the decision may be relied on; `None`: no end, or nothing to rely on.
    pub valid_until: Option<UnixMillis>,
}

/// A recognition decision as a document: it stands alone once signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecognitionDocument {
    /// The request that it answers.
    pub request: MessageId,
    /// The case.
    pub case: CaseId,
    /// The agreement's digest.
    pub agreement: Digest,
    /// The rule.
    pub rule: String,
    /// The material's code.
    pub material: String,
    /// 证照标识; empty: it was asked for by type and holder, and not found.
    pub licence_id: String,
    /// Who decides, and signs.
    pub decided_by: NodeId,
    /// When.
    pub decided_at: UnixMillis,
    /// The decision.
    pub decision: RecognitionDecision,
}

/// The persons that a licence's holder is compared with: identity codes as the case states them.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The applicant's.
    pub applicant: &'a str,
    /// The agent's; `None`: the applicant came in person.
    pub agent: Option<&'a str>,
}

/// Decides a request under one rule.
///
/// `rule`: the agreement's rule that the request names, when there is one. `attestation`: what the
/// source says about the licence; `None`: the source did not answer. `check`: how the licence
/// identifier's check character came out.
pub fn evaluate(
    rule: Option<&RecognitionRule>,
    request: &RecognitionRequest,
    attestation: Option<&LicenceAttestation>,
    check: CheckOutcome,
    persons: Bound<'_>,
    now: UnixMillis,
) -> RecognitionDecision {
    let source_time = attestation.map(|attestation| attestation.source_time);
    let close = |outcome, reason, note: &str| RecognitionDecision {
        outcome,
        reason,
        note: note.to_owned(),
        disclosed: Disclosed::default(),
        source_time,
        valid_until: None,
    };
    let refused = |reason| close(Outcome::Refused, reason, "");

    let Some(rule) = rule.filter(|rule| rule.id == request.rule) else {
        return refused(ReasonCode::R42);
    };
    if request.fields.iter().any(|field| !rule.fields_required.contains(field)) {
        return refused(ReasonCode::R50);
    }
    if request.deadline.is_some_and(|deadline| deadline <= now) {
        return close(Outcome::Manual, ReasonCode::R60, "");
    }
    let Some(attestation) = attestation else {
        return close(Outcome::Manual, ReasonCode::R61, "");
    };
    match attestation.reason {
        ReasonCode::R00 => {}
        retry @ (ReasonCode::R60 | ReasonCode::R61 | ReasonCode::R70) => {
            return close(Outcome::Manual, retry, "");
        }
        ReasonCode::R99 => return close(Outcome::Refused, ReasonCode::R99, "the source refused it so"),
        reason => return refused(reason),
    }
    if attestation.purpose != request.purpose {
        return refused(ReasonCode::R51);
    }
    if !request.licence_id.is_empty() && request.licence_id != attestation.licence_id {
        return refused(ReasonCode::R10);
    }
    if check == CheckOutcome::Invalid {
        return refused(ReasonCode::R30);
    }
    let type_asked = request.type_code.is_empty() || request.type_code == attestation.type_code;
    if !type_asked || !rule.licence_type_codes.contains(&attestation.type_code) {
        return refused(ReasonCode::R15);
    }
    if !rule.accepts_issuer(&attestation.issuer_code) {
        return refused(ReasonCode::R14);
    }
    let holder = attestation.holder_code.reveal();
    match (rule.binding, persons.agent) {
        (Binding::Agent, None) => return refused(ReasonCode::R22),
        (Binding::Agent, Some(agent)) if agent != holder => return refused(ReasonCode::R20),
        (Binding::Applicant, _) if persons.applicant != holder => return refused(ReasonCode::R20),
        _ => {}
    }
    if !request.holder_code.is_empty() && request.holder_code.reveal() != holder {
        return refused(ReasonCode::R20);
    }
    if let Some(defect) = attestation.state.defect() {
        return refused(defect);
    }
    let today = Date::of(now);
    if let Some(last) = attestation.valid_until {
        if last < today {
            return refused(ReasonCode::R11);
        }
        if last.days_since(today) < u64::from(rule.min_remaining_days) {
            return refused(ReasonCode::R16);
        }
    }
    if rule.max_age_days.is_some_and(|days| today.days_since(attestation.issued) > u64::from(days)) {
        return close(Outcome::Refused, ReasonCode::R99, "issued longer ago than the rule allows");
    }
    if let Some(missing) = rule.fields_required.iter().find(|name| !attestation.fields.0.contains_key(*name))
    {
        return close(Outcome::Manual, ReasonCode::R70, &format!("field={missing}"));
    }

    let (outcome, reason, note) = match (check, rule.effect) {
        (CheckOutcome::Variant, _) => (Outcome::Conditional, ReasonCode::R31, ""),
        (_, RecognitionEffect::WaiveSubmission) => (Outcome::Recognised, ReasonCode::R00, ""),
        (_, RecognitionEffect::WaiveCopies) => {
            (Outcome::Conditional, ReasonCode::R00, "the original is shown")
        }
        (_, RecognitionEffect::Defer) => {
            (Outcome::Conditional, ReasonCode::R00, "the material follows later")
        }
    };
    let disclosed = rule
        .fields_required
        .iter()
        .filter_map(|name| attestation.fields.0.get(name).map(|content| (name.clone(), content.clone())))
        .collect();
    RecognitionDecision {
        disclosed: Disclosed(disclosed),
        valid_until: attestation.valid_until.map(Date::end),
        ..close(outcome, reason, note)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::agreement::tests::{agreement, node};
    use super::super::agreement::{IssuerScope, RecognitionRule};
    use super::super::licence::tests::{ID, business_licence, query, scope};
    use super::super::licence::{LicenceState, answer};
    use super::*;
    use crate::id::ChannelId;

    pub(crate) fn request() -> RecognitionRequest {
        RecognitionRequest {
            rule: "rule-1".into(),
            material: "M01".into(),
            licence_id: ID.into(),
            type_code: String::new(),
            holder_code: Personal::new("914306001860000001"),
            purpose: "跨省通办".into(),
            operator: "W007".into(),
            fields: vec!["address".into()],
            authorisation: String::new(),
            deadline: None,
        }
    }

    pub(crate) fn now() -> UnixMillis {
        Date::start("2026-11-23".parse().unwrap())
    }

    pub(crate) fn attestation() -> LicenceAttestation {
        let licence = business_licence();
        let answer = answer(&query(), Some(&licence), &scope(), 0, Date::of(now()));
        let channel = ChannelId { from: node("430600"), to: node("421200") };
        LicenceAttestation::of(channel, MessageId([7; 16]), &query(), &licence, answer, now())
    }

    struct Given {
        rule: RecognitionRule,
        request: RecognitionRequest,
        attestation: LicenceAttestation,
        check: CheckOutcome,
        applicant: &'static str,
        agent: Option<&'static str>,
    }

    fn decide(change: impl FnOnce(&mut Given)) -> RecognitionDecision {
        let mut given = Given {
            rule: agreement().recognition_rules.remove(0),
            request: request(),
            attestation: attestation(),
            check: CheckOutcome::Valid,
            applicant: "914306001860000001",
            agent: None,
        };
        change(&mut given);
        let persons = Bound { applicant: given.applicant, agent: given.agent };
        let decision = evaluate(
            Some(&given.rule),
            &given.request,
            Some(&given.attestation),
            given.check,
            persons,
            now(),
        );
        assert!(decision.outcome.fits(decision.reason), "{decision:?}");
        let recognises = matches!(decision.outcome, Outcome::Recognised | Outcome::Conditional);
        assert_eq!(decision.disclosed.0.is_empty(), !recognises, "only a recognition discloses");
        decision
    }

    fn reason(change: impl FnOnce(&mut Given)) -> ReasonCode {
        decide(change).reason
    }

    #[test]
    fn a_valid_licence_of_the_applicant_is_recognised_until_it_ends() {
        let decision = decide(|_| ());
        assert_eq!((decision.outcome, decision.reason), (Outcome::Recognised, ReasonCode::R00));
        assert_eq!(decision.valid_until, Some(Date::start("2030-05-01".parse().unwrap())));
        assert_eq!(decision.source_time, Some(now()));
        assert_eq!(decision.disclosed.0.len(), 1);
    }

    #[test]
    fn expired_licence_is_not_recognised_with_reason() {
        let until = |date: &str| Some(date.parse().unwrap());
        assert_eq!(reason(|g| g.attestation.valid_until = until("2026-11-22")), ReasonCode::R11);
        assert_eq!(reason(|g| g.attestation.valid_until = until("2026-12-22")), ReasonCode::R16);
        assert_eq!(reason(|g| g.attestation.valid_until = until("2026-12-23")), ReasonCode::R00);
        assert_eq!(reason(|g| g.attestation.valid_until = None), ReasonCode::R00);
    }

    #[test]
    fn each_refusal_differs_from_a_recognition_by_one_fact() {
        assert_eq!(reason(|g| g.request.rule = "rule-2".into()), ReasonCode::R42);
        assert_eq!(reason(|g| g.request.fields.push("capital".into())), ReasonCode::R50);
        assert_eq!(reason(|g| g.request.purpose = "其他".into()), ReasonCode::R51);
        assert_eq!(reason(|g| g.request.licence_id = "other".into()), ReasonCode::R10);
        assert_eq!(reason(|g| g.request.type_code = "other".into()), ReasonCode::R15);
        assert_eq!(reason(|g| g.rule.licence_type_codes = vec!["other".into()]), ReasonCode::R15);
        assert_eq!(reason(|g| g.rule.issuers = vec![IssuerScope::Division("42".into())]), ReasonCode::R14);
        assert_eq!(reason(|g| g.applicant = "914212001860000001"), ReasonCode::R20);
        assert_eq!(reason(|g| g.request.holder_code = Personal::new("other")), ReasonCode::R20);
        assert_eq!(reason(|g| g.attestation.state = LicenceState::Revoked), ReasonCode::R12);
        assert_eq!(reason(|g| g.attestation.state = LicenceState::Lost), ReasonCode::R13);
        assert_eq!(reason(|g| g.check = CheckOutcome::Invalid), ReasonCode::R30);
        assert_eq!(reason(|g| g.rule.max_age_days = Some(365)), ReasonCode::R99);
        assert_eq!(reason(|g| g.attestation.reason = ReasonCode::R10), ReasonCode::R10);
    }

    #[test]
    fn what_cannot_be_seen_is_neither_recognised_nor_refused() {
        let field_missing = decide(|g| g.attestation.fields.0.clear());
        assert_eq!((field_missing.outcome, field_missing.reason), (Outcome::Manual, ReasonCode::R70));
        let late = decide(|g| g.request.deadline = Some(now()));
        assert_eq!((late.outcome, late.reason), (Outcome::Manual, ReasonCode::R60));
        let rule = agreement().recognition_rules.remove(0);
        let persons = Bound { applicant: "914306001860000001", agent: None };
        let silent = evaluate(Some(&rule), &request(), None, CheckOutcome::Valid, persons, now());
        assert_eq!((silent.outcome, silent.reason), (Outcome::Manual, ReasonCode::R61));
        assert!(silent.reason.may_retry());
    }

    #[test]
    fn a_variant_check_character_and_a_lesser_effect_recognise_conditionally() {
        assert_eq!(decide(|g| g.check = CheckOutcome::Variant).reason, ReasonCode::R31);
        let copies = decide(|g| g.rule.effect = RecognitionEffect::WaiveCopies);
        assert_eq!((copies.outcome, copies.reason), (Outcome::Conditional, ReasonCode::R00));
    }

    #[test]
    fn a_rule_for_the_agent_compares_the_agent() {
        assert_eq!(reason(|g| g.rule.binding = Binding::Agent), ReasonCode::R22);
        let with_agent = |agent| {
            reason(move |g| {
                g.rule.binding = Binding::Agent;
                g.agent = Some(agent);
                g.applicant = "somebody else";
            })
        };
        assert_eq!(with_agent("914306001860000001"), ReasonCode::R00);
        assert_eq!(with_agent("914212001860000001"), ReasonCode::R20);
    }

    #[test]
    fn every_reason_is_found_by_its_code() {
        for reason in ReasonCode::ALL {
            assert_eq!(ReasonCode::with_code(reason.code()), Some(*reason));
        }
        assert_eq!(ReasonCode::ALL.len(), 26);
        assert_eq!(ReasonCode::with_code("R01"), None);
    }
}
