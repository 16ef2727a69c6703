//! 公民身份号码, the resident identity number of GB 11643-1999.
//!
//! 18 characters: division at first registration (6), birth date (8), sequence
//! (3), check digit 0-9 or X. Only the province is checked: people keep the
//! divisions of their day, long after GB/T 2260 dropped them. The number is
//! sensitive personal data (PIPL §28), so printing a [`ResidentId`] in any form
//! masks it; [`ResidentId::reveal`] is the one way to the whole.

use std::fmt;

use super::ascii::{Ascii, expect_digits, expect_length, half_width, letters_and_digits};
use super::date::Date;
use super::division;
use super::error::CodeError;

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// Residence permits of Taiwan residents (83) and permanent residence permits of
/// foreigners (91) share the number's form without being GB/T 2260 provinces.
const REGIONS_OF_PERMITS: [u32; 2] = [83, 91];

/// A resident identity number (GB 11643-1999): province known, birth date real,
/// check digit verified. `Debug` and `Display` mask it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResidentId(Ascii<18>);

/// A number that was repaired before it was read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// The valid number.
    pub id: ResidentId,
    /// What was changed, in the order done; empty when nothing was.
    pub changes: Vec<Change>,
}

/// One repair that [`ResidentId::normalise`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Full-width characters became half-width.
    HalfWidth,
    /// The lower-case x at the end became X.
    UpperCaseX,
    /// 15 digits became 18: "19" before the year, the check digit computed. Of
    /// the few people born before 1900 this makes another person: ask for the
    /// current card where the age matters.
    Upgraded15To18,
}

impl ResidentId {
    /// Reads 18 characters, strictly.
    ///
    /// What is wrong with the form comes first, then the parts in reading order;
    /// the check digit is last, since a wrong month says more.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::Legacy15Digits`],
    /// [`CodeError::BadLength`], [`CodeError::BadChar`] (letters),
    /// [`CodeError::Lowercase`], [`CodeError::UnknownRegion`],
    /// [`CodeError::InvalidYear`], [`CodeError::InvalidMonth`],
    /// [`CodeError::InvalidDay`], [`CodeError::BadCheckDigit`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        if bytes.len() == 15 && bytes.iter().all(u8::is_ascii_digit) {
            return Err(CodeError::Legacy15Digits);
        }
        expect_length(bytes, 18)?;
        let (body, check) = (&bytes[..17], bytes[17]);
        expect_digits(body)?;
        match check {
            b'0'..=b'9' | b'X' => {}
            b'x' => return Err(CodeError::Lowercase),
            _ => return Err(CodeError::BadChar),
        }
        let region = u32::from(body[0] - b'0') * 10 + u32::from(body[1] - b'0');
        if !division::is_province(region) && !REGIONS_OF_PERMITS.contains(&region) {
            return Err(CodeError::UnknownRegion);
        }
        Date::from_digits(&body[6..14])?;
        if check == check_digit(body) {
            Ok(Self(Ascii::checked(bytes)))
        } else {
            Err(CodeError::BadCheckDigit)
        }
    }

    /// Repairs what can be repaired without guessing, then reads strictly.
    ///
    /// # Errors
    /// As [`ResidentId::parse`], for what is left after the repairs.
    pub fn normalise(value: &str) -> Result<Normalised, CodeError> {
        let mut changes = Vec::new();
        let mut text: String = value.chars().map(half_width).collect();
        if text != value {
            changes.push(Change::HalfWidth);
        }
        if text.len() == 18 && text.ends_with('x') {
            text.replace_range(17.., "X");
            changes.push(Change::UpperCaseX);
        }
        if text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.insert_str(6, "19");
            text.push(char::from(check_digit(text.as_bytes())));
            changes.push(Change::Upgraded15To18);
        }
        let id = Self::parse(&text)?;
        Ok(Normalised { id, changes })
    }

    /// The whole number. For comparing and for sending where a rule allows it;
    /// never for a log.
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }

    /// The birth date, characters 7–14.
    pub fn birth_date(&self) -> Date {
        Date::from_digits(&self.0.bytes()[6..14]).expect("checked by the parser")
    }
}

/// The first six and the last four characters, eight stars between (前6后4).
impl fmt::Display for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.reveal();
        write!(f, "{}********{}", &whole[..6], &whole[14..])
    }
}

/// As [`Display`](ResidentId#impl-Display-for-ResidentId): masked.
impl fmt::Debug for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResidentId({self})")
    }
}

/// Σ digit × weight mod 11, looked up in 10X98765432 (GB 11643-1999 §4.2).
///
/// `body`: 17 digits.
fn check_digit(body: &[u8]) -> u8 {
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    b"10X98765432"[(sum % 11) as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "43060219000101008X";

    fn with_check(body: &str) -> String {
        format!("{body}{}", char::from(check_digit(body.as_bytes())))
    }

    fn refused(value: &str) -> CodeError {
        ResidentId::parse(value).expect_err("refused")
    }

    #[test]
    fn printing_masks_and_reveal_does_not() {
        let id = ResidentId::parse(VALID).expect("valid");
        assert_eq!(id.to_string(), "430602********008X");
        assert_eq!(format!("{id:?}"), "ResidentId(430602********008X)");
        assert_eq!(id.reveal(), VALID);
        let printed = format!("{:?}", ResidentId::normalise(VALID));
        assert!(!printed.contains("19000101"), "{printed}");
    }

    #[test]
    fn a_bad_date_is_named_though_the_check_digit_is_right() {
        assert_eq!(refused(&with_check("43060219001301001")), CodeError::InvalidMonth);
        assert_eq!(refused(&with_check("43060219000229001")), CodeError::InvalidDay);
        assert_eq!(refused(&with_check("43060218490101001")), CodeError::InvalidYear);
        assert_eq!(refused(&with_check("99060219001301001")), CodeError::UnknownRegion);
    }

    #[test]
    fn form_is_judged_before_meaning() {
        assert_eq!(refused(""), CodeError::BadLength);
        assert_eq!(refused("43060219000101008"), CodeError::BadLength);
        assert_eq!(refused("430602190001010080X"), CodeError::BadLength);
        assert_eq!(refused("43060219000101008x"), CodeError::Lowercase);
        assert_eq!(refused("43060219000101008A"), CodeError::BadChar);
        assert_eq!(refused("430602190001010X81"), CodeError::BadChar);
        assert_eq!(refused(" 43060219000101008X"), CodeError::BadChar);
        assert_eq!(refused("430602-19000101-008X"), CodeError::BadChar);
        assert_eq!(refused("四3060219000101008X"), CodeError::BadChar);
        assert_eq!(refused("43060219000101008Ｘ"), CodeError::FullWidth);
        assert_eq!(refused("430602000101008"), CodeError::Legacy15Digits);
        assert_eq!(refused("43060200010100X"), CodeError::BadLength);
    }

    #[test]
    fn historic_divisions_and_residence_permits_pass() {
        for region in ["432822", "810000", "820000", "830000", "710000", "910000"] {
            assert!(ResidentId::parse(&with_check(&format!("{region}19000101001"))).is_ok());
        }
    }

    #[test]
    fn normalising_says_what_it_changed() {
        let changes = |value: &str| {
            let normalised = ResidentId::normalise(value).expect("repairable");
            assert_eq!(normalised.id.reveal(), VALID);
            normalised.changes
        };
        assert_eq!(changes(VALID), []);
        assert_eq!(changes("43060219000101008x"), [Change::UpperCaseX]);
        assert_eq!(changes("４３０６０２１９０００１０１００８ｘ"), [Change::HalfWidth, Change::UpperCaseX]);
        assert_eq!(changes("430602000101008"), [Change::Upgraded15To18]);
    }

    #[test]
    fn normalising_does_not_hide_a_wrong_number() {
        assert_eq!(ResidentId::normalise("43060219000101009x"), Err(CodeError::BadCheckDigit));
        assert_eq!(ResidentId::normalise("430602001301008"), Err(CodeError::InvalidMonth));
        assert_eq!(ResidentId::normalise("é"), Err(CodeError::BadChar));
    }

    /// A valid number of any province and day.
    fn any_resident_id() -> impl Strategy<Value = String> {
        (
            prop::sample::select(vec!["11", "36", "42", "43", "65", "91"]),
            "[0-9]{4}",
            1850..=2199u16,
            1..=12u8,
            1..=28u8,
            0..1000u16,
        )
            .prop_map(|(province, place, year, month, day, sequence)| {
                with_check(&format!("{province}{place}{year}{month:02}{day:02}{sequence:03}"))
            })
    }

    proptest! {
        #[test]
        fn a_computed_check_digit_passes(value in any_resident_id()) {
            prop_assert!(ResidentId::parse(&value).is_ok());
        }

        #[test]
        fn any_single_changed_character_is_refused(
            value in any_resident_id(),
            at in 0..18usize,
            to in "[ -~]",
        ) {
            let mut changed = value.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != value);
            prop_assert!(ResidentId::parse(&changed).is_err());
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in "\\PC{0,20}") {
            let _ = ResidentId::parse(&text);
            let _ = ResidentId::normalise(&text);
        }
    }
}
