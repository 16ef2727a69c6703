//! The identifiers of the domain: each a type that is parsed once and then right.
//!
//! People, organisations, licences, service items, divisions and cases, each after
//! its standard, with one vocabulary of reasons for what is wrong ([`CodeError`]).
//! Beside them the small tables that name divisions, items and licence types.
//! Nothing here asks a registry whether an identifier is in use, and nothing knows
//! what day it is.

mod ascii;
pub mod case_number;
pub mod date;
pub mod division;
mod embedded;
pub mod error;
pub mod item;
pub mod item_code;
pub mod licence_id;
pub mod licence_type;
pub mod mod3736;
pub mod org_code;
pub mod resident_id;
pub mod uscc;

use std::fmt;
use std::str::FromStr;

pub use case_number::{CaseNumber, LocalCaseNumber};
pub use date::Date;
pub use division::{Division, RegionCode};
pub use error::CodeError;
pub use item_code::{BaseCode, HandleItemCode, ImplCode};
pub use licence_id::LicenceId;
pub use licence_type::LicenceTypeCode;
pub use org_code::OrgCode;
pub use resident_id::ResidentId;
pub use uscc::Uscc;

/// The kinds of identifier, for callers that learn the kind at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodeKind {
    /// 公民身份号码, GB 11643: [`ResidentId`].
    ResidentId,
    /// 统一社会信用代码, GB 32100: [`Uscc`].
    Uscc,
    /// 组织机构代码, GB 11714: [`OrgCode`].
    OrgCode,
    /// 电子证照标识, GB/T 36904: [`LicenceId`].
    LicenceId,
    /// 基本编码, GB/T 39554: [`BaseCode`].
    BaseCode,
    /// 实施编码, GB/T 39554: [`ImplCode`].
    ImplCode,
    /// 业务办理项编码, GB/T 39554: [`HandleItemCode`].
    HandleItemCode,
    /// 行政区划代码, GB/T 2260: [`Division`].
    Division,
    /// 业务协同编号: [`CaseNumber`].
    CaseNumber,
}

impl CodeKind {
    /// All kinds, in the order of their names' list.
    pub const ALL: [Self; 9] = [
        Self::ResidentId,
        Self::Uscc,
        Self::OrgCode,
        Self::LicenceId,
        Self::BaseCode,
        Self::ImplCode,
        Self::HandleItemCode,
        Self::Division,
        Self::CaseNumber,
    ];

    /// The name in files and on the command line, such as `resident_id`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResidentId => "resident_id",
            Self::Uscc => "uscc",
            Self::OrgCode => "org_code",
            Self::LicenceId => "licence_id",
            Self::BaseCode => "base_code",
            Self::ImplCode => "impl_code",
            Self::HandleItemCode => "handle_item_code",
            Self::Division => "division",
            Self::CaseNumber => "case_number",
        }
    }
}

impl fmt::Display for CodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no [`CodeKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = CodeKind::ALL.map(CodeKind::name).join(", ");
        write!(f, "unknown kind of code; known are {names}")
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for CodeKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}

/// Checks `value` as the given kind, strictly.
///
/// # Errors
/// What the kind's own `parse` answers.
pub fn check(kind: CodeKind, value: &str) -> Result<(), CodeError> {
    match kind {
        CodeKind::ResidentId => ResidentId::parse(value).map(drop),
        CodeKind::Uscc => Uscc::parse(value).map(drop),
        CodeKind::OrgCode => OrgCode::parse(value).map(drop),
        CodeKind::LicenceId => LicenceId::parse(value).map(drop),
        CodeKind::BaseCode => BaseCode::parse(value).map(drop),
        CodeKind::ImplCode => ImplCode::parse(value).map(drop),
        CodeKind::HandleItemCode => HandleItemCode::parse(value).map(drop),
        CodeKind::Division => Division::parse(value).map(drop),
        CodeKind::CaseNumber => CaseNumber::parse(value).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The reasons a row allows: codes separated by `/`, an explanation in
    /// brackets or behind a space. `ok` stands for validity.
    fn reasons(column: &str) -> Vec<&str> {
        let codes = column.split(['(', ' ']).next().unwrap_or_default();
        codes.split('/').collect()
    }

    #[test]
    fn every_vector_agrees_in_validity_and_reason() {
        let mut count = 0;
        for [kind, value, valid, reason, _] in embedded::rows(include_str!("data/id_vectors.csv")) {
            let kind: CodeKind = kind.parse().expect("a known kind");
            let verdict = check(kind, value);
            let code = verdict.map_or_else(CodeError::code, |()| "ok");
            assert_eq!(verdict.is_ok(), valid == "true", "{kind} {value}: {code}");
            assert!(reasons(reason).contains(&code), "{kind} {value}: {code}");
            count += 1;
        }
        assert_eq!(count, 55);
    }

    #[test]
    fn a_kind_reads_its_own_name_and_no_other() {
        for kind in CodeKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("RESIDENT_ID".parse::<CodeKind>(), Err(UnknownKind));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in "(1\\.2\\.156\\.3005\\.2\\.)?\\PC{0,40}") {
            for kind in CodeKind::ALL {
                let _ = check(kind, &text);
            }
        }
    }
}
