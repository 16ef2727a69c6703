//! An agreement (协议): what two nodes do for each other. It takes effect when both have signed the
//! same bytes; that is why an [`AgreementRecord`] is kept under the digest of the signed document.
//!
//! A case is opened under an agreement that is in force and not suspended, and finishes under that
//! edition whatever happens to it later.

use super::date::Date;
use super::standard::{Finding, Material};
use crate::id::{Digest, NodeId};
use crate::mutant::{Mutant, is_planted};
use crate::refusal::{Refusal, RefusalCode};
use crate::time::UnixMillis;

/// Items, scopes or recognition rules that one agreement may list.
pub const LIST_MAX: usize = 1000;

/// The suites an agreement may name (DESIGN §6).
pub const SUITES: &[&str] = &["p256-sha256", "ed25519-sha256", "sm2-sm3"];

/// In which mode an item is done across provinces (国办发〔2020〕35号).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// 全程网办.
    Online,
    /// 异地代收代办.
    ReceivedElsewhere,
    /// 多地联办.
    Joint,
}

impl Mode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[Self::Online, Self::ReceivedElsewhere, Self::Joint];

    /// The code in documents: initials of the Chinese name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Online => "QCWB",
            Self::ReceivedElsewhere => "YDDS",
            Self::Joint => "DDLB",
        }
    }

    /// The mode of that code.
    pub fn with_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.code() == code)
    }
}

/// When the legal clock of the competent place starts (行政许可法 art. 32 leaves it to the agreement
/// whether another place's receipt counts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockRule {
    /// At 收件 in the receiving place.
    AtReceipt,
    /// When the forwarded case is durable in the competent place.
    AtForward,
    /// At 业务签收.
    AtSignFor,
}

impl ClockRule {
    /// Every rule.
    pub const ALL: &'static [Self] = &[Self::AtReceipt, Self::AtForward, Self::AtSignFor];

    /// The stable name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtReceipt => "at_receipt",
            Self::AtForward => "at_forward",
            Self::AtSignFor => "at_sign_for",
        }
    }

    /// The rule of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// One item in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementItem {
    /// The standard's item code.
    pub item: String,
    /// 收件地.
    pub receiving: NodeId,
    /// 属地.
    pub competent: NodeId,
    /// How it is done.
    pub mode: Mode,
    /// The pinned edition: digest of the standard's document.
    pub standard: Digest,
    /// When the clock starts.
    pub clock_rule: ClockRule,
    /// Working days in which the receiving place forwards.
    pub forward_within_working_days: u32,
}

/// Licence data that one party may give the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceScope {
    /// 证照类型代码.
    pub type_code: String,
    /// The party that has the data and answers.
    pub holder_of_data: NodeId,
    /// Names of the fields that may be disclosed.
    pub fields: Vec<String>,
    /// Queries answered in one day, at most.
    pub daily_quota: u32,
}

/// Whose licences a rule accepts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssuerScope {
    /// Issuers whose code begins so.
    Uscc(String),
    /// Issuers registered in a division, given as 2, 4 or 6 digits: characters 3 to 8 of a USCC
    /// (GB 32100), or the issuer code itself where it is a division code.
    Division(String),
}

impl IssuerScope {
    /// Whether an issuer is in the scope.
    pub fn covers(&self, issuer_code: &str) -> bool {
        match self {
            Self::Uscc(prefix) => issuer_code.starts_with(prefix.as_str()),
            Self::Division(prefix) => {
                let division =
                    if issuer_code.len() == 18 { issuer_code.get(2..8) } else { Some(issuer_code) };
                division.is_some_and(|division| division.starts_with(prefix.as_str()))
            }
        }
    }
}

/// Whom the holder of a recognised licence must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binding {
    /// The applicant.
    Applicant,
    /// The applicant's agent.
    Agent,
}

impl Binding {
    /// The stable name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applicant => "applicant",
            Self::Agent => "agent",
        }
    }
}

/// What a recognised licence spares the applicant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecognitionEffect {
    /// 免提交.
    WaiveSubmission,
    /// 减免复印件: the original is still shown.
    WaiveCopies,
    /// 容缺: the material may follow later.
    Defer,
}

impl RecognitionEffect {
    /// The stable name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::WaiveSubmission => "waive_submission",
            Self::WaiveCopies => "waive_copies",
            Self::Defer => "defer",
        }
    }
}

/// Under which conditions a licence stands for a material (材料互认).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecognitionRule {
    /// Name within the agreement.
    pub id: String,
    /// Items it is for; `*`: every item of the agreement.
    pub items: Vec<String>,
    /// The material's code in the standard; `*`: any.
    pub material: String,
    /// 证照类型代码 that are accepted.
    pub licence_type_codes: Vec<String>,
    /// Issuers that are accepted.
    pub issuers: Vec<IssuerScope>,
    /// Days since the licence was issued, at most; `None`: any age.
    pub max_age_days: Option<u32>,
    /// Days of validity that must remain.
    pub min_remaining_days: u32,
    /// Fields that must be disclosed.
    pub fields_required: Vec<String>,
    /// Whose licence it must be.
    pub binding: Binding,
    /// What it spares.
    pub effect: RecognitionEffect,
}

impl RecognitionRule {
    /// Whether the rule is for this material of this item.
    pub fn covers(&self, item: &str, material: &str) -> bool {
        self.items.iter().any(|covered| covered == "*" || covered == item)
            && (self.material == "*" || self.material == material)
    }

    /// Whether the rule accepts licences of this issuer.
    pub fn accepts_issuer(&self, issuer_code: &str) -> bool {
        self.issuers.iter().any(|scope| scope.covers(issuer_code))
    }
}

/// An agreement between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Stable across editions.
    pub id: String,
    /// Counts editions from 1.
    pub edition: u32,
    /// The two parties, ascending and distinct.
    pub parties: [NodeId; 2],
    /// First instant of its term.
    pub effective_from: UnixMillis,
    /// First instant after its term; `None`: no end.
    pub effective_until: Option<UnixMillis>,
    /// What is done for each other.
    pub items: Vec<AgreementItem>,
    /// Purposes for which licences may be asked for.
    pub purposes: Vec<String>,
    /// Licence data that may be given.
    pub licence_scopes: Vec<LicenceScope>,
    /// Licences that stand for materials.
    pub recognition_rules: Vec<RecognitionRule>,
    /// Suite that the channels between the parties use, one of [`SUITES`].
    pub suite: String,
}

impl Agreement {
    /// An agreement of a first edition without items. `parties` in any order.
    pub fn between(id: &str, parties: [NodeId; 2], effective_from: Date) -> Self {
        let [one, other] = parties;
        Self {
            id: id.to_owned(),
            edition: 1,
            parties: [one.min(other), one.max(other)],
            effective_from: effective_from.start(),
            effective_until: None,
            items: Vec::new(),
            purposes: Vec::new(),
            licence_scopes: Vec::new(),
            recognition_rules: Vec::new(),
            suite: SUITES[0].to_owned(),
        }
    }

    /// The same with one more item in one direction: 异地代收代办, clock from 业务签收, forwarded within
    /// one working day.
    pub fn with_item(mut self, item: &str, receiving: NodeId, competent: NodeId, standard: Digest) -> Self {
        self.items.push(AgreementItem {
            item: item.to_owned(),
            receiving,
            competent,
            mode: Mode::ReceivedElsewhere,
            standard,
            clock_rule: ClockRule::AtSignFor,
            forward_within_working_days: 1,
        });
        self
    }

    /// Everything that keeps the agreement from being signed; empty: nothing does.
    pub fn lint(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |place: String, why: &str| findings.push(Finding { place, why: why.to_owned() });
        if self.id.trim().is_empty() {
            find("id".into(), "is empty");
        }
        if self.edition == 0 {
            find("edition".into(), "counts from 1");
        }
        if self.parties[0] >= self.parties[1] {
            find("parties".into(), "are not two nodes in ascending order");
        }
        if self.effective_until.is_some_and(|until| until <= self.effective_from) {
            find("effective_until".into(), "is not after effective_from");
        }
        if !SUITES.contains(&self.suite.as_str()) {
            find("suite".into(), "is not one of p256-sha256, ed25519-sha256, sm2-sm3");
        }
        let lists = [
            ("items", self.items.len()),
            ("purposes", self.purposes.len()),
            ("licence_scopes", self.licence_scopes.len()),
            ("recognition_rules", self.recognition_rules.len()),
        ];
        for (place, length) in lists {
            if length > LIST_MAX {
                find(place.into(), "is too long");
            }
        }
        for (place, item) in self.items.iter().enumerate() {
            if item.item.trim().is_empty() {
                find(format!("items[{place}].item"), "is empty");
            }
            if !self.is_pair(item.receiving, item.competent) {
                find(format!("items[{place}]"), "is not between the two parties");
            }
            if self.items[..place]
                .iter()
                .any(|earlier| (&earlier.item, earlier.receiving) == (&item.item, item.receiving))
            {
                find(format!("items[{place}]"), "is listed twice in this direction");
            }
        }
        for (place, purpose) in self.purposes.iter().enumerate() {
            if purpose.trim().is_empty() {
                find(format!("purposes[{place}]"), "is empty");
            }
        }
        for (place, scope) in self.licence_scopes.iter().enumerate() {
            if !self.parties.contains(&scope.holder_of_data) {
                find(format!("licence_scopes[{place}].holder_of_data"), "is not a party");
            }
            if self.licence_scopes[..place].iter().any(|earlier| {
                (&earlier.type_code, earlier.holder_of_data) == (&scope.type_code, scope.holder_of_data)
            }) {
                find(format!("licence_scopes[{place}]"), "is listed twice");
            }
        }
        for (place, rule) in self.recognition_rules.iter().enumerate() {
            if rule.id.trim().is_empty() {
                find(format!("recognition_rules[{place}].id"), "is empty");
            }
            if self.recognition_rules[..place].iter().any(|earlier| earlier.id == rule.id) {
                find(format!("recognition_rules[{place}].id"), "is listed twice");
            }
            if rule.licence_type_codes.is_empty() || rule.issuers.is_empty() {
                find(format!("recognition_rules[{place}]"), "accepts nothing: it lists no type or no issuer");
            }
        }
        findings
    }

    /// Whether these are the two parties, in either order.
    pub fn is_pair(&self, one: NodeId, other: NodeId) -> bool {
        one != other && self.parties.contains(&one) && self.parties.contains(&other)
    }

    /// The item as received in one place and decided in the other.
    pub fn item(&self, item: &str, receiving: NodeId, competent: NodeId) -> Option<&AgreementItem> {
        self.items.iter().find(|listed| {
            listed.item == item && listed.receiving == receiving && listed.competent == competent
        })
    }

    /// The scope under which `holder_of_data` gives licences of a type.
    pub fn scope(&self, type_code: &str, holder_of_data: NodeId) -> Option<&LicenceScope> {
        self.licence_scopes
            .iter()
            .find(|scope| scope.type_code == type_code && scope.holder_of_data == holder_of_data)
    }

    /// The recognition rule of that name.
    pub fn rule(&self, id: &str) -> Option<&RecognitionRule> {
        self.recognition_rules.iter().find(|rule| rule.id == id)
    }

    /// Whether a licence reference in a case is offered under a rule that covers it.
    pub fn recognises(&self, item: &str, material: &Material) -> bool {
        !material.licence_id.is_empty()
            && self.rule(&material.recognition_rule).is_some_and(|rule| rule.covers(item, &material.code))
    }
}

/// An agreement as a node knows it: its text, and who signed that text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementRecord {
    /// The text.
    pub agreement: Agreement,
    /// Digest of the document's bytes: what headers and cases pin.
    pub digest: Digest,
    /// Parties that signed exactly these bytes.
    pub signed_by: Vec<NodeId>,
    /// Whether an administrator suspended it (中止).
    pub suspended: bool,
}

impl AgreementRecord {
    /// Whether both parties signed these bytes.
    pub fn signed_by_both(&self) -> bool {
        self.agreement.parties.iter().all(|party| self.signed_by.contains(party))
    }
}

/// Whether something new may be opened under the agreement at an instant.
///
/// # Errors
/// `agreement.not_effective` when a signature is missing or `at` lies outside the term,
/// `agreement.suspended` when it is suspended.
pub fn in_force(record: &AgreementRecord, at: UnixMillis) -> Result<(), Refusal> {
    effective(record, at)?;
    if record.suspended {
        return Err(Refusal::new(RefusalCode::AgreementSuspended, name(record)));
    }
    Ok(())
}

/// Whether the agreement was in effect at an instant, suspended or not: what a running case needs.
///
/// # Errors
/// `agreement.not_effective` when a signature is missing or `at` lies outside the term.
pub fn effective(record: &AgreementRecord, at: UnixMillis) -> Result<(), Refusal> {
    let agreement = &record.agreement;
    let within = agreement.effective_from <= at && agreement.effective_until.is_none_or(|until| at < until);
    let within = within || is_planted(Mutant::IgnoreEndOfAgreement);
    if !record.signed_by_both() || !within {
        return Err(Refusal::new(RefusalCode::AgreementNotEffective, name(record)));
    }
    Ok(())
}

fn name(record: &AgreementRecord) -> String {
    format!("agreement={} edition={}", record.agreement.id, record.agreement.edition)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::id::HashAlgorithm;

    pub(crate) fn node(code: &str) -> NodeId {
        code.parse().unwrap()
    }

    pub(crate) fn digest(byte: u8) -> Digest {
        Digest { algorithm: HashAlgorithm::Sha256, bytes: [byte; 32] }
    }

    pub(crate) fn agreement() -> Agreement {
        let (xianning, yueyang) = (node("421200"), node("430600"));
        let mut agreement = Agreement::between("yy-xn", [yueyang, xianning], "2026-01-01".parse().unwrap())
            .with_item("KST071", xianning, yueyang, digest(1));
        agreement.purposes.push("跨省通办".into());
        agreement.licence_scopes.push(super::super::licence::tests::scope());
        agreement.recognition_rules.push(RecognitionRule {
            id: "rule-1".into(),
            items: vec!["*".into()],
            material: "M01".into(),
            licence_type_codes: vec![super::super::licence::tests::TYPE.into()],
            issuers: vec![IssuerScope::Division("4306".into())],
            max_age_days: None,
            min_remaining_days: 30,
            fields_required: vec!["address".into()],
            binding: Binding::Applicant,
            effect: RecognitionEffect::WaiveSubmission,
        });
        agreement
    }

    pub(crate) fn record() -> AgreementRecord {
        let agreement = agreement();
        AgreementRecord {
            signed_by: agreement.parties.to_vec(),
            agreement,
            digest: digest(9),
            suspended: false,
        }
    }

    fn places(change: impl FnOnce(&mut Agreement)) -> Vec<String> {
        let mut agreement = agreement();
        change(&mut agreement);
        agreement.lint().into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn an_agreement_is_between_two_distinct_nodes_in_order() {
        assert!(places(|_| ()).is_empty());
        assert_eq!(places(|a| a.parties.reverse()), ["parties"]);
        assert_eq!(places(|a| a.items[0].receiving = node("360100")), ["items[0]"]);
        assert_eq!(places(|a| a.items.push(a.items[0].clone())), ["items[1]"]);
        assert_eq!(places(|a| a.licence_scopes[0].holder_of_data = node("360100")).len(), 1);
        assert_eq!(places(|a| a.suite = "md5".into()), ["suite"]);
        assert_eq!(places(|a| a.recognition_rules[0].issuers.clear()), ["recognition_rules[0]"]);
    }

    #[test]
    fn an_agreement_is_in_force_when_both_signed_it_and_its_term_runs() {
        let code = |change: fn(&mut AgreementRecord)| {
            let mut record = record();
            change(&mut record);
            in_force(&record, Date::start("2026-06-01".parse().unwrap())).map_err(|refusal| refusal.code)
        };
        assert_eq!(code(|_| ()), Ok(()));
        assert_eq!(code(|r| r.signed_by.truncate(1)), Err(RefusalCode::AgreementNotEffective));
        assert_eq!(code(|r| r.signed_by[0] = r.signed_by[1]), Err(RefusalCode::AgreementNotEffective));
        assert_eq!(code(|r| r.suspended = true), Err(RefusalCode::AgreementSuspended));
        assert_eq!(
            code(|r| r.agreement.effective_from = Date::start("2026-06-02".parse().unwrap())),
            Err(RefusalCode::AgreementNotEffective)
        );
        assert_eq!(
            code(|r| r.agreement.effective_until = Some(Date::start("2026-06-01".parse().unwrap()))),
            Err(RefusalCode::AgreementNotEffective)
        );
    }

    #[test]
    fn an_issuer_is_found_by_its_division_in_a_uscc_or_by_itself() {
        let yueyang = IssuerScope::Division("4306".into());
        assert!(yueyang.covers("11430600006122244L"));
        assert!(yueyang.covers("430600"));
        assert!(!yueyang.covers("11421200006122244L"));
        assert!(IssuerScope::Uscc("1143".into()).covers("11430600006122244L"));
        assert!(!IssuerScope::Uscc("1142".into()).covers("11430600006122244L"));
    }
}
