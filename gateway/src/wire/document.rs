//! Documents as strict JSON: standards, agreements, licence attestations, recognition decisions.
//! Unknown and doubled keys are refused, so that nobody signs what the other side does not read.
//!
//! `text` fixes how single values are written. The bytes that were signed are what counts (their
//! digest is the document's name); writing again what was read need not give the same bytes.

use super::text::Text;
use crate::id::{CaseId, Digest, MessageId, NodeId};
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::agreement::{
    Agreement, AgreementItem, Binding, ClockRule, IssuerScope, LicenceScope, Mode, RecognitionEffect,
    RecognitionRule,
};
use crate::service::date::Date;
use crate::service::licence::{LicenceAttestation, LicenceState};
use crate::service::person::{Disclosed, Personal};
use crate::service::recognition::{Outcome, ReasonCode, RecognitionDecision, RecognitionDocument};
use crate::service::standard::{FlowStep, FormField, MaterialForm, Necessity, Standard, StandardMaterial};
use crate::time::UnixMillis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use super::envelope::Envelope;

/// Payload type of a standard.
pub const STANDARD: &str = "application/vnd.tongban.standard.v1+json";
/// Payload type of an agreement.
pub const AGREEMENT: &str = "application/vnd.tongban.agreement.v1+json";
/// Payload type of a licence attestation.
pub const LICENCE_ATTESTATION: &str = "application/vnd.tongban.licence-attestation.v1+json";
/// Payload type of a recognition decision.
pub const RECOGNITION_DECISION: &str = "application/vnd.tongban.recognition-decision.v1+json";

/// Characters of a parser's message that are kept: it goes into the log.
const DETAIL_CHARACTERS_MAX: usize = 200;

/// A document's content, which can be written as JSON and read back.
pub trait Document: Sized {
    /// Its payload type in the envelope.
    const PAYLOAD_TYPE: &'static str;

    /// Compact JSON, fields in a fixed order.
    fn to_json(&self) -> Vec<u8>;

    /// Reads JSON. Only its shape is checked; `lint` finds the rest.
    ///
    /// # Errors
    /// `entry.too_large` above [`ENVELOPE_BYTES_MAX`], `document.malformed` otherwise. The detail holds
    /// no content of documents that may be personal.
    fn from_json(json: &[u8]) -> Result<Self, Refusal>;
}

/// Reads an envelope and the document inside.
///
/// # Errors
/// As [`Envelope::from_json`] and [`Document::from_json`]; `document.malformed` when the envelope holds
/// another type of document.
pub fn read<D: Document>(envelope_json: &[u8]) -> Result<(D, Envelope), Refusal> {
    let envelope = Envelope::from_json(envelope_json)?;
    if envelope.payload_type != D::PAYLOAD_TYPE {
        return Err(Refusal::new(
            RefusalCode::DocumentMalformed,
            format!("payloadType is not {}", D::PAYLOAD_TYPE),
        ));
    }
    Ok((D::from_json(&envelope.payload)?, envelope))
}

fn parse<T: DeserializeOwned>(json: &[u8], may_be_personal: bool) -> Result<T, Refusal> {
    if json.len() > ENVELOPE_BYTES_MAX {
        return Err(Refusal::new(RefusalCode::TooLarge, format!("document bytes={}", json.len())));
    }
    serde_json::from_slice(json).map_err(|error| {
        let detail = if may_be_personal {
            format!("not read at line {} column {}", error.line(), error.column())
        } else {
            // It may quote a key of any length, which the other side chose.
            error.to_string().chars().take(DETAIL_CHARACTERS_MAX).collect()
        };
        Refusal::new(RefusalCode::DocumentMalformed, detail)
    })
}

fn write(json: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(json).expect("a struct of strings, numbers and lists is always written")
}

// ---- standard

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandardJson {
    id: String,
    edition: u32,
    item: String,
    name: String,
    issuer: Text<NodeId>,
    effective_from: Text<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effective_until: Option<Text<UnixMillis>>,
    materials: Vec<MaterialJson>,
    form_fields: Vec<FormFieldJson>,
    steps: Vec<StepJson>,
    conditions: Vec<String>,
    promised_working_days: u32,
    statutory_working_days: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result_licence_type: Option<String>,
    #[serde(default)]
    fee: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaterialJson {
    code: String,
    name: String,
    necessity: Text<Necessity>,
    form: Text<MaterialForm>,
    copies: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormFieldJson {
    name: String,
    label: String,
    required: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepJson {
    name: String,
    role: Role,
    working_days: u32,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Role {
    Receiving,
    Competent,
}

impl Document for Standard {
    const PAYLOAD_TYPE: &'static str = STANDARD;

    fn to_json(&self) -> Vec<u8> {
        write(&StandardJson {
            id: self.id.clone(),
            edition: self.edition,
            item: self.item.clone(),
            name: self.name.clone(),
            issuer: Text(self.issuer),
            effective_from: Text(self.effective_from),
            effective_until: self.effective_until.map(Text),
            materials: self
                .materials
                .iter()
                .map(|material| MaterialJson {
                    code: material.code.clone(),
                    name: material.name.clone(),
                    necessity: Text(material.necessity),
                    form: Text(material.form),
                    copies: material.copies,
                })
                .collect(),
            form_fields: self
                .form_fields
                .iter()
                .map(|field| FormFieldJson {
                    name: field.name.clone(),
                    label: field.label.clone(),
                    required: field.required,
                })
                .collect(),
            steps: self
                .steps
                .iter()
                .map(|step| StepJson {
                    name: step.name.clone(),
                    role: if step.competent { Role::Competent } else { Role::Receiving },
                    working_days: step.working_days,
                })
                .collect(),
            conditions: self.conditions.clone(),
            promised_working_days: self.promised_working_days,
            statutory_working_days: self.statutory_working_days,
            result_licence_type: self.result_licence_type.clone(),
            fee: self.fee.clone(),
        })
    }

    fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        let json: StandardJson = parse(json, false)?;
        Ok(Self {
            id: json.id,
            item: json.item,
            name: json.name,
            edition: json.edition,
            effective_from: json.effective_from.0,
            effective_until: json.effective_until.map(|until| until.0),
            issuer: json.issuer.0,
            materials: json
                .materials
                .into_iter()
                .map(|material| StandardMaterial {
                    code: material.code,
                    name: material.name,
                    necessity: material.necessity.0,
                    form: material.form.0,
                    copies: material.copies,
                })
                .collect(),
            form_fields: json
                .form_fields
                .into_iter()
                .map(|field| FormField { name: field.name, label: field.label, required: field.required })
                .collect(),
            steps: json
                .steps
                .into_iter()
                .map(|step| FlowStep {
                    name: step.name,
                    competent: step.role == Role::Competent,
                    working_days: step.working_days,
                })
                .collect(),
            conditions: json.conditions,
            promised_working_days: json.promised_working_days,
            statutory_working_days: json.statutory_working_days,
            result_licence_type: json.result_licence_type,
            fee: json.fee,
        })
    }
}

// ---- agreement

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgreementJson {
    id: String,
    edition: u32,
    parties: [Text<NodeId>; 2],
    effective_from: Text<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effective_until: Option<Text<UnixMillis>>,
    suite: String,
    items: Vec<ItemJson>,
    #[serde(default)]
    purposes: Vec<String>,
    #[serde(default)]
    licence_scopes: Vec<ScopeJson>,
    #[serde(default)]
    recognition_rules: Vec<RuleJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemJson {
    item: String,
    receiving: Text<NodeId>,
    competent: Text<NodeId>,
    mode: Text<Mode>,
    standard: Text<Digest>,
    clock_rule: Text<ClockRule>,
    forward_within_working_days: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeJson {
    type_code: String,
    holder_of_data: Text<NodeId>,
    fields: Vec<String>,
    daily_quota: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleJson {
    id: String,
    items: Vec<String>,
    material: String,
    licence_type_codes: Vec<String>,
    issuers: Vec<Text<IssuerScope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age_days: Option<u32>,
    min_remaining_days: u32,
    fields_required: Vec<String>,
    binding: Text<Binding>,
    effect: Text<RecognitionEffect>,
}

impl Document for Agreement {
    const PAYLOAD_TYPE: &'static str = AGREEMENT;

    fn to_json(&self) -> Vec<u8> {
        write(&AgreementJson {
            id: self.id.clone(),
            edition: self.edition,
            parties: self.parties.map(Text),
            effective_from: Text(self.effective_from),
            effective_until: self.effective_until.map(Text),
            suite: self.suite.clone(),
            items: self
                .items
                .iter()
                .map(|item| ItemJson {
                    item: item.item.clone(),
                    receiving: Text(item.receiving),
                    competent: Text(item.competent),
                    mode: Text(item.mode),
                    standard: Text(item.standard),
                    clock_rule: Text(item.clock_rule),
                    forward_within_working_days: item.forward_within_working_days,
                })
                .collect(),
            purposes: self.purposes.clone(),
            licence_scopes: self
                .licence_scopes
                .iter()
                .map(|scope| ScopeJson {
                    type_code: scope.type_code.clone(),
                    holder_of_data: Text(scope.holder_of_data),
                    fields: scope.fields.clone(),
                    daily_quota: scope.daily_quota,
                })
                .collect(),
            recognition_rules: self
                .recognition_rules
                .iter()
                .map(|rule| RuleJson {
                    id: rule.id.clone(),
                    items: rule.items.clone(),
                    material: rule.material.clone(),
                    licence_type_codes: rule.licence_type_codes.clone(),
                    issuers: rule.issuers.iter().cloned().map(Text).collect(),
                    max_age_days: rule.max_age_days,
                    min_remaining_days: rule.min_remaining_days,
                    fields_required: rule.fields_required.clone(),
                    binding: Text(rule.binding),
                    effect: Text(rule.effect),
                })
                .collect(),
        })
    }

    fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        let json: AgreementJson = parse(json, false)?;
        Ok(Self {
            id: json.id,
            edition: json.edition,
            parties: json.parties.map(|party| party.0),
            effective_from: json.effective_from.0,
            effective_until: json.effective_until.map(|until| until.0),
            items: json
                .items
                .into_iter()
                .map(|item| AgreementItem {
                    item: item.item,
                    receiving: item.receiving.0,
                    competent: item.competent.0,
                    mode: item.mode.0,
                    standard: item.standard.0,
                    clock_rule: item.clock_rule.0,
                    forward_within_working_days: item.forward_within_working_days,
                })
                .collect(),
            purposes: json.purposes,
            licence_scopes: json
                .licence_scopes
                .into_iter()
                .map(|scope| LicenceScope {
                    type_code: scope.type_code,
                    holder_of_data: scope.holder_of_data.0,
                    fields: scope.fields,
                    daily_quota: scope.daily_quota,
                })
                .collect(),
            recognition_rules: json
                .recognition_rules
                .into_iter()
                .map(|rule| RecognitionRule {
                    id: rule.id,
                    items: rule.items,
                    material: rule.material,
                    licence_type_codes: rule.licence_type_codes,
                    issuers: rule.issuers.into_iter().map(|issuer| issuer.0).collect(),
                    max_age_days: rule.max_age_days,
                    min_remaining_days: rule.min_remaining_days,
                    fields_required: rule.fields_required,
                    binding: rule.binding.0,
                    effect: rule.effect.0,
                })
                .collect(),
            suite: json.suite,
        })
    }
}

// ---- licence attestation

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestationJson {
    query: Text<MessageId>,
    asked_by: Text<NodeId>,
    answered_by: Text<NodeId>,
    purpose: String,
    business_code: String,
    licence_id: String,
    type_code: String,
    issuer_code: String,
    holder_code: String,
    issued: Text<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<Text<Date>>,
    state: Text<LicenceState>,
    reason: Text<ReasonCode>,
    fields: BTreeMap<String, String>,
    source_time: Text<UnixMillis>,
}

impl Document for LicenceAttestation {
    const PAYLOAD_TYPE: &'static str = LICENCE_ATTESTATION;

    fn to_json(&self) -> Vec<u8> {
        write(&AttestationJson {
            query: Text(self.query),
            asked_by: Text(self.asked_by),
            answered_by: Text(self.answered_by),
            purpose: self.purpose.clone(),
            business_code: self.business_code.clone(),
            licence_id: self.licence_id.clone(),
            type_code: self.type_code.clone(),
            issuer_code: self.issuer_code.clone(),
            holder_code: self.holder_code.reveal().to_owned(),
            issued: Text(self.issued),
            valid_until: self.valid_until.map(Text),
            state: Text(self.state),
            reason: Text(self.reason),
            fields: self.fields.0.clone(),
            source_time: Text(self.source_time),
        })
    }

    fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        let json: AttestationJson = parse(json, true)?;
        Ok(Self {
            query: json.query.0,
            asked_by: json.asked_by.0,
            answered_by: json.answered_by.0,
            purpose: json.purpose,
            business_code: json.business_code,
            licence_id: json.licence_id,
            type_code: json.type_code,
            issuer_code: json.issuer_code,
            holder_code: Personal::new(json.holder_code),
            issued: json.issued.0,
            valid_until: json.valid_until.map(|last| last.0),
            state: json.state.0,
            reason: json.reason.0,
            fields: Disclosed(json.fields),
            source_time: json.source_time.0,
        })
    }
}

// ---- recognition decision

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionJson {
    request: Text<MessageId>,
    case: Text<CaseId>,
    agreement: Text<Digest>,
    rule: String,
    material: String,
    licence_id: String,
    decided_by: Text<NodeId>,
    decided_at: Text<UnixMillis>,
    outcome: Text<Outcome>,
    reason: Text<ReasonCode>,
    #[serde(default)]
    note: String,
    disclosed: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_time: Option<Text<UnixMillis>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<Text<UnixMillis>>,
}

impl Document for RecognitionDocument {
    const PAYLOAD_TYPE: &'static str = RECOGNITION_DECISION;

    fn to_json(&self) -> Vec<u8> {
        let decision = &self.decision;
        write(&DecisionJson {
            request: Text(self.request),
            case: Text(self.case.clone()),
            agreement: Text(self.agreement),
            rule: self.rule.clone(),
            material: self.material.clone(),
            licence_id: self.licence_id.clone(),
            decided_by: Text(self.decided_by),
            decided_at: Text(self.decided_at),
            outcome: Text(decision.outcome),
            reason: Text(decision.reason),
            note: decision.note.clone(),
            disclosed: decision.disclosed.0.clone(),
            source_time: decision.source_time.map(Text),
            valid_until: decision.valid_until.map(Text),
        })
    }

    fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        let json: DecisionJson = parse(json, true)?;
        Ok(Self {
            request: json.request.0,
            case: json.case.0,
            agreement: json.agreement.0,
            rule: json.rule,
            material: json.material,
            licence_id: json.licence_id,
            decided_by: json.decided_by.0,
            decided_at: json.decided_at.0,
            decision: RecognitionDecision {
                outcome: json.outcome.0,
                reason: json.reason.0,
                note: json.note,
                disclosed: Disclosed(json.disclosed),
                source_time: json.source_time.map(|time| time.0),
                valid_until: json.valid_until.map(|until| until.0),
            },
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::service::agreement::tests::{agreement, digest, node};
    use crate::service::identity::CheckOutcome;
    use crate::service::recognition::tests::{attestation, now, request};
    use crate::service::recognition::{Bound, evaluate};

    fn standard() -> Standard {
        let mut standard =
            Standard::for_item("KST071", "企业变更登记", node("430600"), "2026-01-01".parse().unwrap());
        standard.effective_until = Some(now().plus_millis(1));
        standard.result_licence_type = Some("11100000MB0143028R001".into());
        standard
    }

    pub(crate) fn decision() -> RecognitionDocument {
        let persons = Bound { applicant: "914306001860000001", agent: None };
        let rule = &agreement().recognition_rules[0];
        RecognitionDocument {
            request: MessageId([1; 16]),
            case: "KST421200430600202611230000000112".parse().unwrap(),
            agreement: digest(9),
            rule: "rule-1".into(),
            material: "M01".into(),
            licence_id: request().licence_id,
            decided_by: node("430600"),
            decided_at: now().plus_millis(7),
            decision: evaluate(
                Some(rule),
                &request(),
                Some(&attestation()),
                CheckOutcome::Valid,
                persons,
                now(),
            ),
        }
    }

    fn round_trip<D: Document + PartialEq + std::fmt::Debug>(document: &D) -> String {
        let json = document.to_json();
        assert_eq!(&D::from_json(&json).unwrap(), document);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn every_document_round_trips() {
        let json = round_trip(&standard());
        assert!(
            json.contains(
                r#""effective_from":"2026-01-01","effective_until":"2026-11-23T00:00:00.001+08:00""#
            )
        );
        let json = round_trip(&agreement());
        assert!(json.contains(r#""parties":["421200","430600"]"#) && json.contains(r#""mode":"YDDS""#));
        assert!(
            json.contains(r#""issuers":["division:4306"]"#) && json.contains(r#""standard":"sha256:0101"#)
        );
        round_trip(&attestation());
        round_trip(&decision());
    }

    #[test]
    fn unknown_doubled_and_missing_keys_are_refused() {
        let json = String::from_utf8(standard().to_json()).unwrap();
        assert!(Standard::from_json(json.as_bytes()).is_ok());
        for broken in [
            json.replacen('{', r#"{"note":"x","#, 1),
            json.replacen('{', r#"{"edition":1,"#, 1),
            json.replace(r#""edition":1,"#, ""),
            json.replace(r#""copies":1"#, r#""copies":-1"#),
            json.replace(r#""necessity":"required""#, r#""necessity":"Required""#),
            json.replace("430600", "43060"),
            format!("{json}{{}}"),
        ] {
            assert_ne!(broken, json);
            let refusal = Standard::from_json(broken.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::DocumentMalformed, "{broken}");
        }
    }

    #[test]
    fn a_refusal_of_an_attestation_repeats_nothing_of_it() {
        let json = String::from_utf8(attestation().to_json()).unwrap();
        let broken = json.replace(r#""state":"valid""#, r#""state":"张三""#);
        let refusal = LicenceAttestation::from_json(broken.as_bytes()).unwrap_err();
        assert!(!refusal.to_string().contains("张三"));
    }

    #[test]
    fn an_envelope_of_another_type_is_not_read() {
        let mut envelope = Envelope {
            payload_type: STANDARD.into(),
            payload: standard().to_json(),
            signatures: vec![("k".into(), vec![1])],
        };
        let (read_back, _) = read::<Standard>(&envelope.to_json()).unwrap();
        assert_eq!(read_back, standard());
        envelope.payload_type = AGREEMENT.into();
        assert_eq!(read::<Standard>(&envelope.to_json()).unwrap_err().code, RefusalCode::DocumentMalformed);
    }

    #[test]
    fn one_agreement_covers_a_standard_for_each_of_many_items() {
        let (xianning, yueyang) = (node("421200"), node("430600"));
        let mut covering = Agreement::between("yy-xn", [xianning, yueyang], "2026-01-01".parse().unwrap());
        for number in 1..=71u8 {
            let item = format!("KST{number:03}");
            let standard = Standard::for_item(&item, "事项", yueyang, "2026-01-01".parse().unwrap());
            assert!(standard.lint().is_empty());
            covering = covering.with_item(&item, xianning, yueyang, digest(number));
        }
        assert!(covering.lint().is_empty());
        assert!(covering.to_json().len() < ENVELOPE_BYTES_MAX / 2);
        round_trip(&covering);
    }
}
