//! 证照类型代码, the licence type codes of GB/T 36901–36906-2018, and a table.
//!
//! 21 characters: the credit code of the body that defined the type, and three
//! digits. The table holds types to name and to test with. It is no official
//! list: a code missing from it is no error, and synthetic ones are marked.

use std::fmt;
use std::sync::OnceLock;

use super::ascii::{Ascii, expect_digits, letters_and_digits, refuse_full_width, refuse_lower_case};
use super::embedded;
use super::error::CodeError;
use super::uscc::{self, Uscc};

/// A licence type code (GB/T 36904-2018), its credit code verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenceTypeCode(Ascii<21>);

impl LicenceTypeCode {
    /// Reads 21 characters.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::BadTypeLen`],
    /// [`CodeError::Lowercase`], [`CodeError::IllegalChar`],
    /// [`CodeError::BadChar`] (letters for digits), [`CodeError::BadUsccCheck`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        check_shape(value)?;
        Uscc::within(&value.as_bytes()[..18])?;
        Ok(Self(Ascii::checked(value.as_bytes())))
    }

    /// The 21 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The body that defined the type.
    pub fn defined_by(&self) -> Uscc {
        Uscc::parse(&self.as_str()[..18]).expect("checked by the parser")
    }

    /// What the table knows of the type; `None` when it is not listed.
    pub fn entry(&self) -> Option<&'static LicenceType> {
        licence_types().iter().find(|entry| entry.code == *self)
    }
}

impl fmt::Display for LicenceTypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LicenceTypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LicenceTypeCode({self})")
    }
}

/// All but the credit code's sums: a licence id judges those after its own.
pub(super) fn check_shape(value: &str) -> Result<(), CodeError> {
    refuse_full_width(value)?;
    let bytes = letters_and_digits(value)?;
    if bytes.len() != 21 {
        return Err(CodeError::BadTypeLen);
    }
    refuse_lower_case(bytes)?;
    uscc::check_shape(&bytes[..18])?;
    expect_digits(&bytes[18..])
}

/// Who can hold a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HolderKind {
    /// 自然人; holder code type 111, the resident id.
    Person,
    /// 法人; holder code type 001, the credit code.
    Organisation,
}

impl HolderKind {
    /// 持证主体代码类型 (GB/T 36903-2018): `111` or `001`.
    pub fn holder_code_type(self) -> &'static str {
        match self {
            Self::Person => "111",
            Self::Organisation => "001",
        }
    }
}

/// Where a type's code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeStatus {
    /// A real code seen in public code; the name may be inferred.
    FoundInCode,
    /// Made up for tests; to be replaced by the official list before use.
    Synthetic,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceType {
    /// 证照类型代码.
    pub code: LicenceTypeCode,
    /// 证照名称; in brackets where it is a guess.
    pub name: &'static str,
    /// The ministry in charge; may be empty.
    pub authority: &'static str,
    /// Who can hold it; empty where unknown.
    pub holders: Vec<HolderKind>,
    /// Real or made up.
    pub status: CodeStatus,
}

/// All types of the table, in file order.
pub fn licence_types() -> &'static [LicenceType] {
    static TABLE: OnceLock<Vec<LicenceType>> = OnceLock::new();
    TABLE.get_or_init(|| {
        embedded::rows(include_str!("data/licence_types.csv"))
            .map(|[code, name, authority, holders, _, status, _]| LicenceType {
                code: LicenceTypeCode::parse(code).expect("a unit test reads the whole table"),
                name,
                authority,
                holders: holders.split(';').filter_map(holder_kind).collect(),
                status: if status.starts_with("SYNTHETIC") {
                    CodeStatus::Synthetic
                } else {
                    CodeStatus::FoundInCode
                },
            })
            .collect()
    })
}

fn holder_kind(name: &str) -> Option<HolderKind> {
    match name {
        "自然人" => Some(HolderKind::Person),
        "法人" => Some(HolderKind::Organisation),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_its_columns_agree() {
        assert_eq!(licence_types().len(), 45);
        let real = |entry: &&LicenceType| entry.status == CodeStatus::FoundInCode;
        assert_eq!(licence_types().iter().filter(real).count(), 18);
        let file = include_str!("data/licence_types.csv");
        for ([_, _, _, _, codes, _, _], entry) in embedded::rows(file).zip(licence_types()) {
            let types: Vec<_> = entry.holders.iter().map(|h| h.holder_code_type()).collect();
            assert_eq!(types.join(";"), codes, "{}", entry.code);
        }
    }

    #[test]
    fn a_type_is_found_by_its_code() {
        let code = LicenceTypeCode::parse("11100000MB0143028R001").expect("valid");
        assert_eq!(code.entry().map(|entry| entry.name), Some("营业执照"));
        assert_eq!(code.defined_by().as_str(), "11100000MB0143028R");
    }

    #[test]
    fn an_unlisted_type_is_no_error_but_a_wrong_one_is() {
        let parse = LicenceTypeCode::parse;
        assert!(parse("11100000MB0143028R999").expect("valid").entry().is_none());
        assert_eq!(parse("11100000MB0143028R01"), Err(CodeError::BadTypeLen));
        assert_eq!(parse("11100000MB0143028R0A1"), Err(CodeError::BadChar));
        assert_eq!(parse("11100000MB0143028Q001"), Err(CodeError::BadUsccCheck));
        assert_eq!(parse("11100000MB0143028r001"), Err(CodeError::Lowercase));
    }
}
