//! Electronic licences (电子证照): what one is, who may ask for it, and what an answer discloses.
//!
//! A query names its purpose and the five elements (五要素: body, operator, item name, item code, case
//! number), as GB/T 36906-2018 interfaces do. The answering node gives only the fields that the
//! agreement's scope lists and the query asked for, and says why when it gives none. Finding the
//! licence is the caller's work; this module decides about the one that was found.

use super::agreement::LicenceScope;
use super::date::Date;
use super::payload::Signed;
use super::person::{Disclosed, Personal};
use super::recognition::ReasonCode;
use crate::id::{ChannelId, Digest, MessageId, NodeId};
use crate::time::UnixMillis;
use std::collections::BTreeMap;

/// In front of every licence identifier (GB/T 36904-2018).
pub const LICENCE_ID_ROOT: &str = "1.2.156.3005.2.";

/// Whether a licence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenceState {
    /// 有效.
    Valid,
    /// 注销.
    Cancelled,
    /// 吊销.
    Revoked,
    /// 挂失.
    Lost,
    /// 冻结.
    Frozen,
}

impl LicenceState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Valid, Self::Cancelled, Self::Revoked, Self::Lost, Self::Frozen];

    /// The stable name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Cancelled => "cancelled",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
            Self::Frozen => "frozen",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Why a licence in this state is not recognised; `None` when it stands.
    pub fn defect(self) -> Option<ReasonCode> {
        match self {
            Self::Valid => None,
            Self::Cancelled | Self::Revoked => Some(ReasonCode::R12),
            Self::Lost | Self::Frozen => Some(ReasonCode::R13),
        }
    }
}

/// An electronic licence: the metadata of GB/T 36903-2018 and the fields on its face (照面).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// 证照标识, GB/T 36904.
    pub id: String,
    /// 证照类型代码, 21 characters.
    pub type_code: String,
    /// 证照名称.
    pub name: String,
    /// 证照编号; an identity card's is its holder's number.
    pub number: Personal,
    /// 颁发机构.
    pub issuer_name: String,
    /// 颁发机构代码: a USCC, or a division code in some places.
    pub issuer_code: String,
    /// 持证主体.
    pub holder_name: Personal,
    /// 持证主体代码.
    pub holder_code: Personal,
    /// 持证主体代码类型: `001` USCC, `111` citizen id.
    pub holder_code_type: String,
    /// 颁发日期.
    pub issued: Date,
    /// 有效期起始.
    pub valid_from: Date,
    /// 有效期截止, the last day included; `None`: no end.
    pub valid_until: Option<Date>,
    /// 证照状态.
    pub state: LicenceState,
    /// Fields on the face of this type of licence.
    pub fields: BTreeMap<String, Personal>,
    /// Digest of the OFD file (GB/T 36905), when there is one.
    pub file_digest: Option<Digest>,
}

impl Licence {
    /// The content of a field that can be asked for: one on the face, or `holder_name`, `number`,
    /// `name`, `issuer_name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        if let Some(content) = self.fields.get(name) {
            return Some(content.reveal());
        }
        match name {
            "holder_name" => Some(self.holder_name.reveal()),
            "number" => Some(self.number.reveal()),
            "name" => Some(&self.name),
            "issuer_name" => Some(&self.issuer_name),
            _ => None,
        }
    }

    /// Why the licence does not stand on `today`; `None` when it does. R99: its validity has not begun.
    pub fn defect(&self, today: Date) -> Option<ReasonCode> {
        if let Some(defect) = self.state.defect() {
            Some(defect)
        } else if self.valid_until.is_some_and(|last| last < today) {
            Some(ReasonCode::R11)
        } else if self.valid_from > today {
            Some(ReasonCode::R99)
        } else {
            None
        }
    }
}

/// The type code inside a licence identifier; `None` when the text is not one.
pub fn type_of_licence_id(id: &str) -> Option<&str> {
    id.strip_prefix(LICENCE_ID_ROOT)?.split('.').next().filter(|code| !code.is_empty())
}

/// A question for a licence: by identifier, or by type and holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceQuery {
    /// 证照标识; empty: by type and holder.
    pub licence_id: String,
    /// 证照类型代码; empty: that of the identifier.
    pub type_code: String,
    /// 持证主体代码; may be empty only with an identifier.
    pub holder_code: Personal,
    /// 用途, one that the agreement lists.
    pub purpose: String,
    /// 五要素: the asking body.
    pub org_name: String,
    /// 五要素: the operator who asks.
    pub user_name: String,
    /// 五要素: name of the item.
    pub item_name: String,
    /// 五要素: code of the item.
    pub item_code: String,
    /// 五要素: the case's 业务协同编号.
    pub business_code: String,
    /// Names of the fields asked for.
    pub fields: Vec<String>,
    /// Reference of the holder's authorisation; may be empty where the law needs none.
    pub authorisation: String,
}

impl LicenceQuery {
    /// The type asked for: as named, or the one inside the identifier.
    pub fn type_code(&self) -> Option<&str> {
        if self.type_code.is_empty() { type_of_licence_id(&self.licence_id) } else { Some(&self.type_code) }
    }

    /// Which mandatory parts are missing: purpose, the five elements, and what to look for.
    pub fn elements_missing(&self) -> Vec<&'static str> {
        let elements = [
            ("purpose", &self.purpose),
            ("org_name", &self.org_name),
            ("user_name", &self.user_name),
            ("item_name", &self.item_name),
            ("item_code", &self.item_code),
            ("business_code", &self.business_code),
        ];
        let mut missing: Vec<_> =
            elements.iter().filter(|(_, text)| text.trim().is_empty()).map(|(name, _)| *name).collect();
        if self.type_code().is_none() {
            missing.push("type_code");
        }
        if self.licence_id.is_empty() && self.holder_code.is_empty() {
            missing.push("holder_code");
        }
        missing
    }
}

/// What a node answers to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// R00, or why nothing is disclosed.
    pub reason: ReasonCode,
    /// The disclosed fields; empty unless the reason is R00.
    pub disclosed: Disclosed,
}

impl Answer {
    fn nothing(reason: ReasonCode) -> Self {
        Self { reason, disclosed: Disclosed::default() }
    }
}

/// Answers a query from one scope of the agreement.
///
/// `licence`: what the catalogue holds for the query. `used_today`: queries already answered under
/// this scope on `today`. Nothing is disclosed unless everything holds.
pub fn answer(
    query: &LicenceQuery,
    licence: Option<&Licence>,
    scope: &LicenceScope,
    used_today: u32,
    today: Date,
) -> Answer {
    if !query.elements_missing().is_empty() {
        return Answer::nothing(ReasonCode::R51);
    }
    if query.type_code() != Some(scope.type_code.as_str()) {
        return Answer::nothing(ReasonCode::R15);
    }
    if query.fields.iter().any(|field| !scope.fields.contains(field)) {
        return Answer::nothing(ReasonCode::R50);
    }
    if used_today >= scope.daily_quota {
        return Answer::nothing(ReasonCode::R52);
    }
    let Some(licence) = licence else {
        return Answer::nothing(ReasonCode::R10);
    };
    if licence.type_code != scope.type_code {
        return Answer::nothing(ReasonCode::R15);
    }
    if !query.licence_id.is_empty() && query.licence_id != licence.id {
        return Answer::nothing(ReasonCode::R10);
    }
    if !query.holder_code.is_empty() && query.holder_code != licence.holder_code {
        return Answer::nothing(ReasonCode::R20);
    }
    if let Some(defect) = licence.defect(today) {
        return Answer::nothing(defect);
    }
    let disclosed = query
        .fields
        .iter()
        .filter_map(|name| licence.field(name).map(|content| (name.clone(), content.to_owned())))
        .collect();
    Answer { reason: ReasonCode::R00, disclosed: Disclosed(disclosed) }
}

/// A licence attestation: a document that says what one node found about one licence, for one query.
/// It stands alone once signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceAttestation {
    /// The query that it answers.
    pub query: MessageId,
    /// Who asked.
    pub asked_by: NodeId,
    /// Who answers, and signs.
    pub answered_by: NodeId,
    /// The purpose of the query; it may be used for nothing else.
    pub purpose: String,
    /// The case (业务协同编号) it was asked for.
    pub business_code: String,
    /// 证照标识.
    pub licence_id: String,
    /// 证照类型代码.
    pub type_code: String,
    /// 颁发机构代码.
    pub issuer_code: String,
    /// 持证主体代码.
    pub holder_code: Personal,
    /// 颁发日期.
    pub issued: Date,
    /// Last day of validity; `None`: no end.
    pub valid_until: Option<Date>,
    /// State at the source.
    pub state: LicenceState,
    /// R00, or what is wrong with the licence.
    pub reason: ReasonCode,
    /// The disclosed fields.
    pub fields: Disclosed,
    /// When the source said so.
    pub source_time: UnixMillis,
}

impl LicenceAttestation {
    /// The attestation of an answer about a licence that was found. `channel`: the one that carries the
    /// answer.
    pub fn of(
        channel: ChannelId,
        query_id: MessageId,
        query: &LicenceQuery,
        licence: &Licence,
        answer: Answer,
        now: UnixMillis,
    ) -> Self {
        Self {
            query: query_id,
            asked_by: channel.to,
            answered_by: channel.from,
            purpose: query.purpose.clone(),
            business_code: query.business_code.clone(),
            licence_id: licence.id.clone(),
            type_code: licence.type_code.clone(),
            issuer_code: licence.issuer_code.clone(),
            holder_code: licence.holder_code.clone(),
            issued: licence.issued,
            valid_until: licence.valid_until,
            state: licence.state,
            reason: answer.reason,
            fields: answer.disclosed,
            source_time: now,
        }
    }
}

/// What `licence.attest` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceAttest {
    /// R00, or why not.
    pub reason: ReasonCode,
    /// The signed attestation; `None` when nothing may be said about a licence.
    pub attestation: Option<Signed<LicenceAttestation>>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TYPE: &str = "11100000MB0143028R001";
    pub(crate) const ID: &str =
        "1.2.156.3005.2.11100000MB0143028R001.11430600006122244L.0000000000000000A001.001.X";

    pub(crate) fn business_licence() -> Licence {
        Licence {
            id: ID.into(),
            type_code: TYPE.into(),
            name: "营业执照".into(),
            number: Personal::new("914306001860000001"),
            issuer_name: "岳阳市市场监督管理局".into(),
            issuer_code: "11430600006122244L".into(),
            holder_name: Personal::new("岳阳某某有限公司"),
            holder_code: Personal::new("914306001860000001"),
            holder_code_type: "001".into(),
            issued: "2020-05-01".parse().unwrap(),
            valid_from: "2020-05-01".parse().unwrap(),
            valid_until: Some("2030-04-30".parse().unwrap()),
            state: LicenceState::Valid,
            fields: [
                ("address".to_owned(), Personal::new("岳阳楼区")),
                ("capital".to_owned(), Personal::new("100")),
            ]
            .into(),
            file_digest: None,
        }
    }

    pub(crate) fn query() -> LicenceQuery {
        LicenceQuery {
            licence_id: ID.into(),
            type_code: String::new(),
            holder_code: Personal::new("914306001860000001"),
            purpose: "跨省通办".into(),
            org_name: "咸宁市政务服务中心".into(),
            user_name: "W007".into(),
            item_name: "企业变更登记".into(),
            item_code: "KST071".into(),
            business_code: "KST421200430600202611230000000112".into(),
            fields: vec!["address".into()],
            authorisation: String::new(),
        }
    }

    pub(crate) fn scope() -> LicenceScope {
        LicenceScope {
            type_code: TYPE.into(),
            holder_of_data: "430600".parse().unwrap(),
            fields: vec!["address".into(), "holder_name".into()],
            daily_quota: 10,
        }
    }

    fn today() -> Date {
        "2026-11-23".parse().unwrap()
    }

    fn reason(change: impl FnOnce(&mut LicenceQuery, &mut Licence, &mut LicenceScope)) -> ReasonCode {
        let (mut query, mut licence, mut scope) = (query(), business_licence(), scope());
        change(&mut query, &mut licence, &mut scope);
        let answer = answer(&query, Some(&licence), &scope, 0, today());
        assert_eq!(answer.disclosed.0.is_empty(), answer.reason != ReasonCode::R00);
        answer.reason
    }

    #[test]
    fn a_licence_is_disclosed_only_in_the_fields_that_were_asked_for() {
        let answer = answer(&query(), Some(&business_licence()), &scope(), 0, today());
        assert_eq!(answer.reason, ReasonCode::R00);
        assert_eq!(answer.disclosed.0, [("address".to_owned(), "岳阳楼区".to_owned())].into());
    }

    #[test]
    fn each_defect_of_a_licence_has_its_reason_and_discloses_nothing() {
        assert_eq!(reason(|_, _, _| ()), ReasonCode::R00);
        assert_eq!(
            reason(|_, licence, _| licence.valid_until = Some("2026-11-22".parse().unwrap())),
            ReasonCode::R11
        );
        assert_eq!(
            reason(|_, licence, _| licence.valid_until = Some("2026-11-23".parse().unwrap())),
            ReasonCode::R00,
            "the last day counts"
        );
        assert_eq!(
            reason(|_, licence, _| licence.valid_from = "2026-11-24".parse().unwrap()),
            ReasonCode::R99
        );
        assert_eq!(reason(|_, licence, _| licence.state = LicenceState::Cancelled), ReasonCode::R12);
        assert_eq!(reason(|_, licence, _| licence.state = LicenceState::Revoked), ReasonCode::R12);
        assert_eq!(reason(|_, licence, _| licence.state = LicenceState::Lost), ReasonCode::R13);
        assert_eq!(reason(|_, licence, _| licence.state = LicenceState::Frozen), ReasonCode::R13);
        assert_eq!(reason(|_, licence, _| licence.holder_code = Personal::new("other")), ReasonCode::R20);
        assert_eq!(answer(&query(), None, &scope(), 0, today()).reason, ReasonCode::R10);
    }

    #[test]
    fn each_defect_of_a_query_has_its_reason_and_discloses_nothing() {
        assert_eq!(reason(|query, _, _| query.purpose = " ".into()), ReasonCode::R51);
        assert_eq!(reason(|query, _, _| query.user_name.clear()), ReasonCode::R51);
        assert_eq!(reason(|query, _, _| query.fields.push("capital".into())), ReasonCode::R50);
        assert_eq!(reason(|query, _, _| query.type_code = "other".into()), ReasonCode::R15);
        assert_eq!(reason(|_, _, scope| scope.daily_quota = 0), ReasonCode::R52);
        assert_eq!(
            answer(&query(), Some(&business_licence()), &scope(), 10, today()).reason,
            ReasonCode::R52
        );
        assert_eq!(answer(&query(), Some(&business_licence()), &scope(), 9, today()).reason, ReasonCode::R00);
    }

    #[test]
    fn every_missing_element_is_named() {
        assert!(query().elements_missing().is_empty());
        let mut bare = query();
        bare.licence_id.clear();
        bare.holder_code = Personal::default();
        bare.item_code.clear();
        assert_eq!(bare.elements_missing(), ["item_code", "type_code", "holder_code"]);
    }
}
