//! 业务协同编号, the number that a case carries between provinces.
//!
//! Ours, 32 characters: `KST`, receiving division 6 (收件地), competent division 6
//! (属地), day yyyyMMdd, serial 8, and a GB/T 17710 MOD 37,36 check character over
//! all before. Who hands out serials, and that none repeats, is the caller's. The
//! 办件编号 of a party's own system has no national form: it stays opaque.

use std::fmt;

use super::ascii::{Ascii, expect_digits, expect_length, letters_and_digits, number, refuse_lower_case};
use super::date::Date;
use super::division::Division;
use super::error::CodeError;
use super::mod3736;

const PREFIX: &[u8] = b"KST";
/// The largest serial of a day: eight digits.
pub const SERIAL_MAX: u32 = 99_999_999;
/// Longest 办件编号, in characters (GB/T 39046-2020, an..50).
pub const LOCAL_CASE_NUMBER_CHARS_MAX: usize = 50;

/// A 业务协同编号, its parts and its check character verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseNumber(Ascii<32>);

impl CaseNumber {
    /// Makes the number of a new case.
    ///
    /// `serial`: 0..=[`SERIAL_MAX`], unique for the two divisions and the day.
    ///
    /// # Errors
    /// [`CodeError::SerialOutOfRange`].
    pub fn mint(receiving: Division, competent: Division, day: Date, serial: u32) -> Result<Self, CodeError> {
        if serial > SERIAL_MAX {
            return Err(CodeError::SerialOutOfRange);
        }
        let mut text = format!("KST{receiving}{competent}{day}{serial:08}");
        text.push(mod3736::check_char(&text)?);
        Ok(Self(Ascii::checked(text.as_bytes())))
    }

    /// Reads 32 characters.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::BadLength`],
    /// [`CodeError::Lowercase`], [`CodeError::BadPrefix`],
    /// [`CodeError::BadChar`] (letters), [`CodeError::UnknownRegion`],
    /// [`CodeError::InvalidYear`], [`CodeError::InvalidMonth`],
    /// [`CodeError::InvalidDay`], [`CodeError::BadCheckChar`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        expect_length(bytes, 32)?;
        refuse_lower_case(bytes)?;
        if !bytes.starts_with(PREFIX) {
            return Err(CodeError::BadPrefix);
        }
        expect_digits(&bytes[3..31])?;
        Division::parse(&value[3..9])?;
        Division::parse(&value[9..15])?;
        Date::from_digits(&bytes[15..23])?;
        if char::from(bytes[31]) == mod3736::check_char(&value[..31])? {
            Ok(Self(Ascii::checked(bytes)))
        } else {
            Err(CodeError::BadCheckChar)
        }
    }

    /// The 32 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// 收件地, where the case was handed in.
    pub fn receiving(&self) -> Division {
        Division::parse(&self.as_str()[3..9]).expect("checked by the parser")
    }

    /// 属地, whose authority decides.
    pub fn competent(&self) -> Division {
        Division::parse(&self.as_str()[9..15]).expect("checked by the parser")
    }

    /// The day it was minted.
    pub fn day(&self) -> Date {
        Date::from_digits(&self.0.bytes()[15..23]).expect("checked by the parser")
    }

    /// The serial within the day, 0..=[`SERIAL_MAX`].
    pub fn serial(&self) -> u32 {
        number(&self.0.bytes()[23..31])
    }
}

impl fmt::Display for CaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaseNumber({self})")
    }
}

/// A 办件编号 of a party's own system: 1..=50 printable characters, opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalCaseNumber(String);

impl LocalCaseNumber {
    /// Keeps the text as it is, Chinese and signs included.
    ///
    /// Space at either end and invisible characters are refused: two numbers that
    /// look the same would differ, and a log line could be made to lie.
    ///
    /// # Errors
    /// [`CodeError::BadLength`] when empty or over
    /// [`LOCAL_CASE_NUMBER_CHARS_MAX`], [`CodeError::BadChar`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        if !(1..=LOCAL_CASE_NUMBER_CHARS_MAX).contains(&value.chars().count()) {
            Err(CodeError::BadLength)
        } else if value.trim() != value || value.contains(is_invisible) {
            Err(CodeError::BadChar)
        } else {
            Ok(Self(value.to_owned()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalCaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Control characters, line separators, and what changes direction or has no
/// width.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frozen: the bytes of a number once handed out never change.
    const VALID: &str = "KST4306023603022026030100000042K";

    #[test]
    fn a_minted_number_reads_back() {
        let division = |code| Division::parse(code).expect("valid");
        let day = Date::new(2026, 3, 1).expect("exists");
        let number = CaseNumber::mint(division("430602"), division("360302"), day, 42);
        let number = number.expect("in range");
        assert_eq!(number.as_str(), VALID);
        assert_eq!(CaseNumber::parse(VALID), Ok(number));
        assert_eq!(number.receiving(), division("430602"));
        assert_eq!(number.competent(), division("360302"));
        assert_eq!(number.day(), day);
        assert_eq!(number.serial(), 42);
        assert_eq!(
            CaseNumber::mint(division("430602"), division("360302"), day, SERIAL_MAX + 1),
            Err(CodeError::SerialOutOfRange)
        );
    }

    #[test]
    fn each_fault_has_its_name() {
        let refused = |value: &str| CaseNumber::parse(value).expect_err("refused");
        let with = |from: &str, to: &str| VALID.replacen(from, to, 1);
        assert_eq!(refused(""), CodeError::BadLength);
        assert_eq!(refused(&VALID[..31]), CodeError::BadLength);
        assert_eq!(refused(&with("KST", "kst")), CodeError::Lowercase);
        assert_eq!(refused(&with("KST", "KSZ")), CodeError::BadPrefix);
        assert_eq!(refused(&with("T43", "T99")), CodeError::UnknownRegion);
        assert_eq!(refused(&with("236", "299")), CodeError::UnknownRegion);
        assert_eq!(refused(&with("20260301", "20261301")), CodeError::InvalidMonth);
        assert_eq!(refused(&with("20260301", "20260230")), CodeError::InvalidDay);
        assert_eq!(refused(&with("042", "O42")), CodeError::BadChar);
        assert_eq!(refused(&with("042", "043")), CodeError::BadCheckChar);
    }

    #[test]
    fn a_local_number_is_opaque_but_printable() {
        let parse = LocalCaseNumber::parse;
        assert!(parse("鲁济2024-受理（0001）").is_ok());
        assert!(parse(&"9".repeat(50)).is_ok());
        assert_eq!(parse(""), Err(CodeError::BadLength));
        assert_eq!(parse(&"9".repeat(51)), Err(CodeError::BadLength));
        assert_eq!(parse("1\n2"), Err(CodeError::BadChar));
        assert_eq!(parse("12 "), Err(CodeError::BadChar));
        assert_eq!(parse("1\u{202e}2"), Err(CodeError::BadChar));
    }

    proptest! {
        #[test]
        fn any_single_changed_character_is_refused(at in 0..32usize, to in "[ -~]") {
            let mut changed = VALID.to_owned();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != VALID);
            prop_assert!(CaseNumber::parse(&changed).is_err());
        }
    }
}
