//! 事项编码, the item codes of GB/T 39554-2020 (formerly C0109-2018).
//!
//! Base code, 12 digits: region 2 (00 the state, or a province), type 2
//! (GB/T 39046-2020 annex A.1), main item 5, sub-item 3. Implementation code, 31:
//! credit code of the implementing body 18, exercising level 1 (annex A.2), base
//! code 12. Handling-item code, 33: implementation code and sequence 2. The text of
//! GB/T 39046 still says 10 and 24 characters; live practice is 12 and 31.

use std::fmt;

use super::ascii::{Ascii, expect_digits, expect_length, letters_and_digits, number, refuse_lower_case};
use super::division;
use super::error::CodeError;
use super::uscc::{self, Uscc};

/// 基本编码: which service item, nationwide or of a province.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseCode(Ascii<12>);

impl BaseCode {
    /// Reads 12 digits.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::BadLength`],
    /// [`CodeError::BadChar`] (letters), [`CodeError::UnknownRegion`],
    /// [`CodeError::BadItemType`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        expect_length(bytes, 12)?;
        Self::within(bytes)
    }

    /// Judges 12 letters or digits, alone or at the end of a longer code.
    fn within(bytes: &[u8]) -> Result<Self, CodeError> {
        expect_digits(bytes)?;
        let region = number(&bytes[..2]);
        if region != 0 && !division::is_province(region) {
            return Err(CodeError::UnknownRegion);
        }
        if !matches!(number(&bytes[2..4]), 0..=10 | 20) {
            return Err(CodeError::BadItemType);
        }
        Ok(Self(Ascii::checked(bytes)))
    }

    /// The 12 digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the state defined the item (region 00), not a province.
    pub fn is_national(&self) -> bool {
        self.as_str().starts_with("00")
    }

    /// 事项类型, two digits (GB/T 39046-2020 annex A.1).
    pub fn item_type(&self) -> &str {
        &self.as_str()[2..4]
    }
}

/// 实施编码: which body implements the item, and at which level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImplCode(Ascii<31>);

impl ImplCode {
    /// Reads 31 characters.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::BadLength`], then by part:
    /// [`CodeError::Lowercase`], [`CodeError::IllegalChar`],
    /// [`CodeError::BadChar`] or [`CodeError::BadUsccCheck`];
    /// [`CodeError::BadLevel`]; those of [`BaseCode::parse`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        expect_length(bytes, 31)?;
        Self::within(bytes)
    }

    fn within(bytes: &[u8]) -> Result<Self, CodeError> {
        refuse_lower_case(bytes)?;
        uscc::check_shape(&bytes[..18])?;
        Uscc::within(&bytes[..18])?;
        if !(b'1'..=b'7').contains(&bytes[18]) {
            return Err(CodeError::BadLevel);
        }
        BaseCode::within(&bytes[19..])?;
        Ok(Self(Ascii::checked(bytes)))
    }

    /// The 31 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// 实施主体, the implementing body.
    pub fn implemented_by(&self) -> Uscc {
        Uscc::parse(&self.as_str()[..18]).expect("checked by the parser")
    }

    /// 行使层级: 1 state, 2 province, 3 city, 4 county, 5 township, 6 village, 7
    /// by level (GB/T 39046-2020 annex A.2).
    pub fn level(&self) -> u8 {
        self.0.bytes()[18] - b'0'
    }

    /// 基本编码, the item implemented.
    pub fn base_code(&self) -> BaseCode {
        BaseCode::parse(&self.as_str()[19..]).expect("checked by the parser")
    }
}

/// 业务办理项编码: one way of handling an implemented item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleItemCode(Ascii<33>);

impl HandleItemCode {
    /// Reads 33 characters.
    ///
    /// # Errors
    /// As [`ImplCode::parse`] for the first 31, [`CodeError::BadChar`] when the
    /// last two are no digits.
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        expect_length(bytes, 33)?;
        ImplCode::within(&bytes[..31])?;
        expect_digits(&bytes[31..])?;
        Ok(Self(Ascii::checked(bytes)))
    }

    /// The 33 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// 实施编码, the implemented item.
    pub fn impl_code(&self) -> ImplCode {
        ImplCode::parse(&self.as_str()[..31]).expect("checked by the parser")
    }

    /// The sequence within the implemented item, 0..=99.
    pub fn sequence(&self) -> u32 {
        number(&self.0.bytes()[31..])
    }
}

impl fmt::Display for BaseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BaseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseCode({self})")
    }
}

impl fmt::Display for ImplCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ImplCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImplCode({self})")
    }
}

impl fmt::Display for HandleItemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HandleItemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandleItemCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "11100000MB0341032Y100017214900101";

    #[test]
    fn each_part_is_found_again() {
        let code = HandleItemCode::parse(VALID).expect("valid");
        assert_eq!(code.sequence(), 1);
        let implementation = code.impl_code();
        assert_eq!(implementation.implemented_by().as_str(), "11100000MB0341032Y");
        assert_eq!(implementation.level(), 1);
        let base = implementation.base_code();
        assert_eq!(base.as_str(), "000172149001");
        assert!(base.is_national());
        assert_eq!(base.item_type(), "01");
    }

    #[test]
    fn a_base_code_is_refused_by_its_part() {
        let refused = |value: &str| BaseCode::parse(value).expect_err("refused");
        assert_eq!(refused(""), CodeError::BadLength);
        assert_eq!(refused("0001721490"), CodeError::BadLength);
        assert_eq!(refused("00017214900A"), CodeError::BadChar);
        assert_eq!(refused("990172149001"), CodeError::UnknownRegion);
        assert_eq!(refused("001172149001"), CodeError::BadItemType);
        assert_eq!(refused("００0172149001"), CodeError::FullWidth);
        assert!(BaseCode::parse("432072149001").is_ok());
        assert!(BaseCode::parse("431072149001").is_ok());
    }

    #[test]
    fn an_implementation_code_is_refused_by_its_part() {
        let refused = |value: &str| ImplCode::parse(value).expect_err("refused");
        let with = |from: &str, to: &str| VALID[..31].replace(from, to);
        assert_eq!(refused(&VALID[..24]), CodeError::BadLength);
        assert_eq!(refused(&with("2Y1", "2y1")), CodeError::Lowercase);
        assert_eq!(refused(&with("2Y1", "2X1")), CodeError::BadUsccCheck);
        assert_eq!(refused(&with("32Y1", "23Y1")), CodeError::BadUsccCheck);
        assert_eq!(refused(&with("MB0", "MBO")).code(), "ILLEGAL_CHAR_O");
        assert_eq!(refused(&with("2Y1", "2Y0")), CodeError::BadLevel);
        assert_eq!(refused(&with("2Y1", "2Y8")), CodeError::BadLevel);
        assert_eq!(refused(&with("Y10001", "Y19901")), CodeError::UnknownRegion);
        assert_eq!(refused(&with("Y10001", "Y10030")), CodeError::BadItemType);
        assert_eq!(refused(&with("49001", "4900B")), CodeError::BadChar);
    }

    #[test]
    fn a_handling_item_needs_two_digits_behind() {
        let parse = HandleItemCode::parse;
        assert_eq!(parse(&VALID[..31]), Err(CodeError::BadLength));
        let letters = format!("{}0A", &VALID[..31]);
        assert_eq!(parse(&letters), Err(CodeError::BadChar));
    }
}
