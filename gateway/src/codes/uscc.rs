//! 统一社会信用代码, the unified social credit code of GB 32100-2015.
//!
//! 18 characters: registering authority and kind (2), its division (6 digits),
//! the organisation code of GB 11714 (9), a check character. The alphabet has 31
//! characters, without I, O, S, V, Z. The division is not looked up: authorities
//! of the state write 100000, and old registrations keep old divisions.

use std::fmt;

use super::ascii::{Ascii, expect_digits, expect_length, letters_and_digits, refuse_lower_case};
use super::error::{CodeError, IllegalLetter};
use super::org_code::{self, OrgCode};

const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
/// 3^i mod 31 for i in 0..17 (GB 32100-2015 §4.3).
const WEIGHTS: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/// A unified social credit code (GB 32100-2015), both its checks verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uscc(Ascii<18>);

impl Uscc {
    /// Reads 18 characters.
    ///
    /// The organisation code is judged before the last character: a slip within
    /// it breaks both checks, and naming the part says where to look.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::Legacy15RegNo`],
    /// [`CodeError::BadLength`], [`CodeError::Lowercase`],
    /// [`CodeError::IllegalChar`], [`CodeError::BadChar`] (a letter within the
    /// division), [`CodeError::BadOrgCodeCheck`], [`CodeError::BadUsccCheck`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        if bytes.len() == 15 && bytes.iter().all(u8::is_ascii_digit) {
            return Err(CodeError::Legacy15RegNo);
        }
        expect_length(bytes, 18)?;
        check_shape(bytes)?;
        Self::check_sums(bytes)
    }

    /// Judges a part of another code, where a failing sum has one name,
    /// [`CodeError::BadUsccCheck`], whichever of the two sums it is.
    ///
    /// `bytes`: 18 characters that passed [`check_shape`].
    pub(super) fn within(bytes: &[u8]) -> Result<Self, CodeError> {
        Self::check_sums(bytes).map_err(|_| CodeError::BadUsccCheck)
    }

    fn check_sums(bytes: &[u8]) -> Result<Self, CodeError> {
        if bytes[16] != org_code::check_digit(&bytes[8..16]) {
            Err(CodeError::BadOrgCodeCheck)
        } else if bytes[17] != check_char(&bytes[..17]) {
            Err(CodeError::BadUsccCheck)
        } else {
            Ok(Self(Ascii::checked(bytes)))
        }
    }

    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The organisation code within, characters 9–17.
    pub fn org_code(&self) -> OrgCode {
        OrgCode::parse(&self.as_str()[8..17]).expect("checked by the parser")
    }
}

impl fmt::Display for Uscc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uscc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uscc({self})")
    }
}

/// Upper case, the 31-character alphabet, digits in the division: all but the
/// sums. `bytes`: 18 ASCII letters or digits.
pub(super) fn check_shape(bytes: &[u8]) -> Result<(), CodeError> {
    refuse_lower_case(bytes)?;
    if let Some(letter) = bytes.iter().find_map(|byte| illegal_letter(*byte)) {
        return Err(CodeError::IllegalChar(letter));
    }
    expect_digits(&bytes[2..8])
}

fn illegal_letter(byte: u8) -> Option<IllegalLetter> {
    match byte {
        b'I' => Some(IllegalLetter::I),
        b'O' => Some(IllegalLetter::O),
        b'S' => Some(IllegalLetter::S),
        b'V' => Some(IllegalLetter::V),
        b'Z' => Some(IllegalLetter::Z),
        _ => None,
    }
}

/// 31 − (Σ value × 3^i mod 31), 31 written 0 (GB 32100-2015 §4.3).
///
/// `body`: 17 characters of the alphabet.
fn check_char(body: &[u8]) -> u8 {
    let sum: usize = body
        .iter()
        .zip(WEIGHTS)
        .map(|(byte, weight)| {
            let value = ALPHABET.iter().position(|known| known == byte);
            value.expect("the parser checked the alphabet") * weight
        })
        .sum();
    ALPHABET[(31 - sum % 31) % 31]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "11430000006122244L";

    #[test]
    fn each_illegal_letter_is_named() {
        for (letter, code) in [
            ('I', "ILLEGAL_CHAR_I"),
            ('O', "ILLEGAL_CHAR_O"),
            ('S', "ILLEGAL_CHAR_S"),
            ('V', "ILLEGAL_CHAR_V"),
            ('Z', "ILLEGAL_CHAR_Z"),
        ] {
            let value = format!("91430600MA{letter}000010X");
            assert_eq!(Uscc::parse(&value).expect_err("illegal").code(), code);
        }
    }

    #[test]
    fn the_most_telling_reason_wins() {
        let refused = |value: &str| Uscc::parse(value).expect_err("refused");
        assert_eq!(refused(""), CodeError::BadLength);
        assert_eq!(refused("11430000006122244"), CodeError::BadLength);
        assert_eq!(refused("430600000012345"), CodeError::Legacy15RegNo);
        assert_eq!(refused("1143000000612224 4L"), CodeError::BadChar);
        assert_eq!(refused("１1430000006122244L"), CodeError::FullWidth);
        assert_eq!(refused("11430000006122244l"), CodeError::Lowercase);
        assert_eq!(refused("11430A00006122244L"), CodeError::BadChar);
        assert_eq!(refused("11430000006122244M"), CodeError::BadUsccCheck);
        assert_eq!(refused("11430000006122254L"), CodeError::BadOrgCodeCheck);
    }

    #[test]
    fn the_organisation_code_is_within() {
        let code = Uscc::parse(VALID).expect("valid");
        assert_eq!(code.org_code().as_str(), "006122244");
    }

    /// A valid code from any registering authority, division and organisation.
    fn any_uscc() -> impl Strategy<Value = String> {
        ("[1-9AN][1-9][0-9]{6}", "[0-9A-HJ-NP-RTUW-Y]{8}").prop_map(|(head, organisation)| {
            let digit = char::from(org_code::check_digit(organisation.as_bytes()));
            let body = format!("{head}{organisation}{digit}");
            let check = char::from(check_char(body.as_bytes()));
            format!("{body}{check}")
        })
    }

    proptest! {
        #[test]
        fn a_computed_check_character_passes(value in any_uscc()) {
            prop_assert!(Uscc::parse(&value).is_ok());
        }

        #[test]
        fn any_single_changed_character_is_refused(
            value in any_uscc(),
            at in 0..18usize,
            to in "[ -~]",
        ) {
            let mut changed = value.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != value);
            prop_assert!(Uscc::parse(&changed).is_err());
        }
    }
}
