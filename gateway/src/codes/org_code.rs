//! 组织机构代码, the organisation code of GB 11714-1997.
//!
//! Eight characters 0-9 A-Z and a check digit 0-9 or X, without the hyphen that
//! the certificate prints. It lives on as characters 9–17 of the credit code.

use std::fmt;

use super::ascii::{Ascii, expect_length, letters_and_digits, refuse_lower_case, value_36};
use super::error::CodeError;

const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

/// An organisation code (GB 11714-1997), its check digit verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgCode(Ascii<9>);

impl OrgCode {
    /// Reads nine characters, without hyphen.
    ///
    /// # Errors
    /// [`CodeError::FullWidth`], [`CodeError::BadChar`], [`CodeError::BadLength`],
    /// [`CodeError::Lowercase`], [`CodeError::BadCheckDigit`]: the first that
    /// applies.
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        expect_length(bytes, 9)?;
        refuse_lower_case(bytes)?;
        if bytes[8] == check_digit(&bytes[..8]) {
            Ok(Self(Ascii::checked(bytes)))
        } else {
            Err(CodeError::BadCheckDigit)
        }
    }

    /// The nine characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for OrgCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for OrgCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrgCode({self})")
    }
}

/// 11 − (Σ value × weight mod 11), 10 written X and 11 written 0 (GB 11714 §3.3).
///
/// `body`: eight characters 0-9 A-Z.
pub(super) fn check_digit(body: &[u8]) -> u8 {
    let sum: u32 = body
        .iter()
        .zip(WEIGHTS)
        .map(|(byte, weight)| value_36(*byte).expect("the parser checked the alphabet") * weight)
        .sum();
    b"0X987654321"[(sum % 11) as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hyphen_is_named_before_the_length() {
        assert_eq!(OrgCode::parse("MAT00001-8"), Err(CodeError::BadChar));
        assert_eq!(OrgCode::parse("MAT0000188"), Err(CodeError::BadLength));
        assert_eq!(OrgCode::parse("mat000018"), Err(CodeError::Lowercase));
        assert_eq!(OrgCode::parse("MAT00001A"), Err(CodeError::BadCheckDigit));
    }

    proptest! {
        #[test]
        fn a_computed_check_digit_passes(body in "[0-9A-Z]{8}") {
            let code = format!("{body}{}", char::from(check_digit(body.as_bytes())));
            prop_assert!(OrgCode::parse(&code).is_ok());
        }

        /// Letters count up to 35 modulo 11, so a substitution by a multiple of 11 is invisible.
        #[test]
        fn a_substitution_is_refused_unless_its_value_differs_by_a_multiple_of_11(
            body in "[0-9A-Z]{8}",
            at in 0..8usize,
            to in "[0-9A-Z]",
        ) {
            let check = char::from(check_digit(body.as_bytes()));
            let (old, new) = (body.as_bytes()[at], to.as_bytes()[0]);
            let mut changed = body.into_bytes();
            changed[at] = new;
            let changed = format!("{}{check}", String::from_utf8(changed).expect("ASCII"));
            let value = |byte| value_36(byte).expect("in the alphabet");
            prop_assert_eq!(
                OrgCode::parse(&changed).is_ok(),
                value(old).abs_diff(value(new)).is_multiple_of(11)
            );
        }
    }
}
