//! The JSON case of `case submit`, and the JSON materials and licences of other commands, as
//! [`proto`] payloads. Strict: an unknown key is refused, so that a misspelt one is not lost.
//!
//! ```json
//! {
//!   "to": "421200",
//!   "item": "KST071",
//!   "case_id": "KST4306004212002026112300000001X",
//!   "project_number": "YY-2026-000123",
//!   "received": "2026-11-23T09:30:00+08:00",
//!   "applicant_kind": "1",
//!   "applicant": {"name": "…", "id_type": "111", "id_number": "…", "phone": "…"},
//!   "agent": {"name": "…", "id_type": "111", "id_number": "…"},
//!   "materials": [
//!     {"code": "M01", "form": "paper"},
//!     {"code": "M02", "form": "electronic", "digest": "sha256:…"},
//!     {"code": "M03", "form": "electronic", "licence_id": "1.2.156.3005.2.…", "recognition_rule": "R1"}
//!   ],
//!   "form": {"地址": "…"},
//!   "window": "W01", "operator": "10023", "walkthrough": false,
//!   "mode": "DDLB", "parent": "KST4306004212002026112300000002V"
//! }
//! ```
//!
//! `to`, `item` and `applicant` are needed. `case_id` (业务协同编号) is minted when absent,
//! `received` (收件 at the window) is now, `project_number` (办件编号) is the case id. `mode` is the one
//! that the agreement lists for the item (QCWB, YDDS, DDLB); `parent` makes it a sub-task of 多地联办.

use std::collections::BTreeMap;

use bytes::Bytes;
use gateway::id::{CaseId, Digest, NodeId};
use gateway::limits::MATERIALS_MAX;
use gateway::time::UnixMillis;
use proto::exchange::v1;
use serde::Deserialize;

use crate::both;
use crate::console::Failure;

/// Bytes of a JSON input file.
pub const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// See the module.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the module shows each field")]
pub struct CaseFile {
    #[serde(deserialize_with = "parsed")]
    pub to: NodeId,
    pub item: String,
    #[serde(default, deserialize_with = "parsed_if_present")]
    pub case_id: Option<CaseId>,
    #[serde(default)]
    pub project_number: Option<String>,
    #[serde(default, deserialize_with = "instant_if_present")]
    pub received: Option<UnixMillis>,
    #[serde(default = "natural_person")]
    pub applicant_kind: String,
    pub applicant: PersonFile,
    #[serde(default)]
    pub agent: Option<PersonFile>,
    #[serde(default)]
    pub materials: Vec<MaterialFile>,
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    #[serde(default)]
    pub window: String,
    #[serde(default)]
    pub operator: String,
    #[serde(default)]
    pub walkthrough: bool,
    #[serde(default)]
    pub mode: Option<ModeCode>,
    #[serde(default, deserialize_with = "parsed_if_present")]
    pub parent: Option<CaseId>,
}

/// 办理方式.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum ModeCode {
    /// 全程网办.
    #[serde(rename = "QCWB")]
    Online,
    /// 异地代收代办.
    #[serde(rename = "YDDS")]
    ReceivedElsewhere,
    /// 多地联办.
    #[serde(rename = "DDLB")]
    Joint,
}

impl ModeCode {
    fn code(self) -> &'static str {
        match self {
            Self::Online => "QCWB",
            Self::ReceivedElsewhere => "YDDS",
            Self::Joint => "DDLB",
        }
    }
}

/// 服务对象 1, GB/T 39046-2020 A.
fn natural_person() -> String {
    "1".to_owned()
}

/// A person or organisation.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the module shows each field")]
pub struct PersonFile {
    pub name: String,
    pub id_type: String,
    pub id_number: String,
    #[serde(default)]
    pub phone: String,
}

impl std::fmt::Debug for PersonFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Personal data: a debug print may reach a log.
        f.debug_struct("PersonFile").field("id_type", &self.id_type).finish_non_exhaustive()
    }
}

/// One material.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the module shows each field")]
pub struct MaterialFile {
    pub code: String,
    #[serde(default)]
    pub form: MaterialForm,
    #[serde(default)]
    pub digest: Option<String>,
    #[serde(default)]
    pub licence_id: String,
    #[serde(default)]
    pub recognition_rule: String,
}

/// 材料形式.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaterialForm {
    /// 纸质.
    Paper,
    /// 电子.
    #[default]
    Electronic,
}

/// A licence, GB/T 36903 metadata, with the field names of [`v1::Licence`].
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "payload.proto explains each field")]
pub struct LicenceFile {
    pub id: String,
    pub type_code: String,
    pub name: String,
    #[serde(default)]
    pub number: String,
    pub issuer_name: String,
    pub issuer_code: String,
    pub holder_name: String,
    pub holder_code: String,
    pub holder_code_type: String,
    pub issued: String,
    pub valid_from: String,
    #[serde(default)]
    pub valid_until: String,
    #[serde(default = "valid")]
    pub state: String,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    #[serde(default)]
    pub file_digest: Option<String>,
}

fn valid() -> String {
    "valid".to_owned()
}

impl CaseFile {
    /// Reads a JSON case.
    ///
    /// # Errors
    /// Names the line and what is wrong with it; never quotes a value.
    pub fn parse(text: &[u8]) -> Result<Self, Failure> {
        let case: Self = parse_json(text)?;
        let count = case.materials.len();
        if count > MATERIALS_MAX {
            return Err(Failure::input(both!(
                "材料 {count} 份，最多 {MATERIALS_MAX} 份。",
                "{count} materials are more than {MATERIALS_MAX}."
            )));
        }
        Ok(case)
    }

    /// The payload of `case.forward`. `now` stands for an absent `received`.
    ///
    /// # Errors
    /// When a digest is not one.
    pub fn to_payload(&self, case_id: &CaseId, now: UnixMillis) -> Result<v1::CaseForward, Failure> {
        Ok(v1::CaseForward {
            item: self.item.clone(),
            project_number: self.project_number.clone().unwrap_or_else(|| case_id.to_string()),
            applicant: Some(self.applicant.to_payload()),
            agent: self.agent.as_ref().map(PersonFile::to_payload),
            materials: materials(&self.materials)?,
            form: serde_json::to_vec(&self.form).expect("a map of strings is JSON").into(),
            received_ms: self.received.unwrap_or(now).0,
            window: self.window.clone(),
            operator: self.operator.clone(),
            applicant_kind: self.applicant_kind.clone(),
            walkthrough: self.walkthrough,
            mode: self.mode.map(ModeCode::code).unwrap_or_default().to_owned(),
            parent: self.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        })
    }
}

impl PersonFile {
    fn to_payload(&self) -> v1::Person {
        v1::Person {
            name: self.name.clone(),
            id_type: self.id_type.clone(),
            id_number: self.id_number.clone(),
            phone: self.phone.clone(),
        }
    }
}

impl LicenceFile {
    /// The licence as a payload.
    ///
    /// # Errors
    /// When the file digest is not one.
    pub fn to_payload(&self) -> Result<v1::Licence, Failure> {
        Ok(v1::Licence {
            id: self.id.clone(),
            type_code: self.type_code.clone(),
            name: self.name.clone(),
            number: self.number.clone(),
            issuer_name: self.issuer_name.clone(),
            issuer_code: self.issuer_code.clone(),
            holder_name: self.holder_name.clone(),
            holder_code: self.holder_code.clone(),
            holder_code_type: self.holder_code_type.clone(),
            issued: self.issued.clone(),
            valid_from: self.valid_from.clone(),
            valid_until: self.valid_until.clone(),
            state: self.state.clone(),
            fields: self.fields.clone().into_iter().collect(),
            file_digest: digest(self.file_digest.as_deref())?,
        })
    }
}

/// Materials as payloads.
///
/// # Errors
/// When a digest is not one.
pub fn materials(materials: &[MaterialFile]) -> Result<Vec<v1::Material>, Failure> {
    materials
        .iter()
        .map(|material| {
            let form = match material.form {
                MaterialForm::Paper => "paper",
                MaterialForm::Electronic => "electronic",
            };
            Ok(v1::Material {
                code: material.code.clone(),
                digest: digest(material.digest.as_deref())?,
                form: form.to_owned(),
                licence_id: material.licence_id.clone(),
                recognition_rule: material.recognition_rule.clone(),
            })
        })
        .collect()
}

/// Reads strict JSON. The error names the place and never quotes a value, which may be personal.
///
/// # Errors
/// [`Failure::input`].
pub fn parse_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        // Of serde's messages only those about keys quote nothing but keys.
        let about_keys = ["missing field", "unknown field", "duplicate field"];
        let why = if about_keys.iter().any(|start| said.starts_with(start)) { said } else { String::new() };
        Failure::input(both!(
            "JSON 第 {line} 行第 {column} 列有误，或类型不符。{why}",
            "the JSON is wrong at line {line} column {column}, or a value has another type. {why}"
        ))
    })
}

/// An instant in RFC 3339.
///
/// # Errors
/// Says what is expected.
pub fn instant(text: &str) -> Result<UnixMillis, String> {
    parse_instant(text)
        .ok_or_else(|| "is not an instant like 2026-11-23T09:30:00+08:00 不是这种写法的时刻".to_owned())
}

fn parse_instant(text: &str) -> Option<UnixMillis> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 || bytes[10] != b'T' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && bytes[16] == b':';
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !marks || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let midnight = UnixMillis::from_date_in_china(i64::try_from(year).ok()?, month, day);
    if midnight.date_in_china() != (i64::try_from(year).ok()?, month, day) {
        return None;
    }
    let rest = &text[19..];
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.bytes().position(|byte| !byte.is_ascii_digit())?;
            let (digits, zone) = rest.split_at(end);
            (format!("{:0<3}", digits.get(..3).unwrap_or(digits)).parse::<u64>().ok()?, zone)
        }
        None => (0, rest),
    };
    let east_minutes: i64 = match zone {
        "Z" => 0,
        zone if zone.len() == 6 && zone.as_bytes()[3] == b':' => {
            let at = text.len() - 6;
            let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            let east = i64::try_from(hours * 60 + minutes).ok()?;
            match zone.as_bytes()[0] {
                b'+' if hours < 24 && minutes < 60 => east,
                b'-' if hours < 24 && minutes < 60 => -east,
                _ => return None,
            }
        }
        _ => return None,
    };
    let of_day = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    let in_china = i64::try_from(midnight.plus_millis(of_day).0).ok()?;
    // `midnight` is China's, eight hours before Greenwich's.
    u64::try_from(in_china + (8 * 60 - east_minutes) * 60_000).ok().map(UnixMillis)
}

fn digest(text: Option<&str>) -> Result<Bytes, Failure> {
    let Some(text) = text else { return Ok(Bytes::new()) };
    let digest = Digest::from_text(text).map_err(|error| {
        let why = error.why;
        Failure::input(both!("摘要写法不对，应为 sha256: 加 64 位十六进制。", "a digest {why}."))
    })?;
    Ok(Bytes::copy_from_slice(&digest.to_wire()))
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = gateway::id::IdError>,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn parsed_if_present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = gateway::id::IdError>,
{
    parsed(deserializer).map(Some)
}

fn instant_if_present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UnixMillis>, D::Error> {
    instant(&String::deserialize(deserializer)?).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = r#"{
        "to": "421200", "item": "KST071",
        "applicant": {"name": "张三", "id_type": "111", "id_number": "430602190001010012"},
        "materials": [{"code": "M01", "form": "paper"}],
        "form": {"地址": "巴陵中路"}
    }"#;

    #[test]
    fn a_short_case_is_enough() {
        let case = CaseFile::parse(CASE.as_bytes()).unwrap();
        let payload = case.to_payload(&"KST1".parse().unwrap(), UnixMillis(7)).unwrap();
        assert_eq!((payload.received_ms, payload.project_number.as_str()), (7, "KST1"));
        assert_eq!((payload.applicant_kind.as_str(), payload.materials[0].form.as_str()), ("1", "paper"));
        assert_eq!(payload.form, "{\"地址\":\"巴陵中路\"}".as_bytes());
        assert!(payload.agent.is_none());
    }

    #[test]
    fn a_refused_case_names_the_key_and_no_value() {
        let refused = |from: &str, to: &str| {
            let failure = CaseFile::parse(CASE.replace(from, to).as_bytes()).unwrap_err();
            assert!(!failure.text.en.contains("张三") && !failure.text.en.contains("4306"), "{failure:?}");
            failure.text.en
        };
        assert!(refused("\"item\"", "\"itme\"").contains("itme"));
        assert!(refused("\"item\": \"KST071\",", "").contains("item"));
        refused("\"421200\"", "\"42120\"");
        refused("\"430602190001010012\"", "430602190001010012");
        refused("\"张三\"", "[\"张三\"]");
        refused("\"paper\"", "\"张三\"");
    }

    #[test]
    fn instants_are_read_with_their_zone() {
        let at = UnixMillis(1_767_196_799_999);
        for text in [
            "2025-12-31T23:59:59.999+08:00",
            "2025-12-31T15:59:59.999Z",
            "2025-12-31T15:59:59.999999999Z",
            "2025-12-31T07:59:59.999-08:00",
        ] {
            assert_eq!(instant(text), Ok(at), "{text}");
        }
        assert_eq!(instant(&at.to_string()), Ok(at));
        for text in [
            "2025-12-31",
            "2025-12-31T23:59:59",
            "2025-02-30T00:00:00Z",
            "2025-12-31T24:00:00Z",
            "2025-12-31T23:59:59.Zx",
            "2025-12-31T23:59:59+0800",
            "+025-12-31T23:59:59Z",
            "２０25-12-31T23:59:59Z",
        ] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_digest_travels_with_its_tag() {
        let text = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(digest(Some(&text)).unwrap().len(), 33);
        assert!(digest(Some("ab")).is_err());
        assert!(digest(None).unwrap().is_empty());
    }
}
