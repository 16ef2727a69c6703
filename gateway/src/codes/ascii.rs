//! The letters and digits that identifiers are made of.
//!
//! Fixed-length storage and the checks that come before any standard's own. It
//! knows no identifier.

use super::error::CodeError;

/// Exactly `N` ASCII characters, already checked by the identifier's parser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ascii<const N: usize>([u8; N]);

impl<const N: usize> Ascii<N> {
    /// Keeps `bytes`; the caller has checked their number and alphabet.
    pub(super) fn checked(bytes: &[u8]) -> Self {
        let bytes: [u8; N] = bytes.try_into().expect("the parser checked the length");
        debug_assert!(bytes.is_ascii());
        Self(bytes)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the parser admits only ASCII")
    }

    pub(super) fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

/// Refuses full-width characters first, then all but ASCII letters and digits.
///
/// Both come before the length on purpose: a pasted space or a full-width digit
/// is *why* the length looks wrong, and naming it is what helps.
pub(super) fn letters_and_digits(value: &str) -> Result<&[u8], CodeError> {
    refuse_full_width(value)?;
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(value.as_bytes())
    } else {
        Err(CodeError::BadChar)
    }
}

/// Refuses U+FF01–U+FF5E and the ideographic space U+3000.
pub(super) fn refuse_full_width(value: &str) -> Result<(), CodeError> {
    if value.chars().any(|c| half_width(c) != c) { Err(CodeError::FullWidth) } else { Ok(()) }
}

/// The half-width form of a full-width character; any other unchanged.
pub(super) fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xfee0).expect("U+FF01..=U+FF5E mirror U+0021..=U+007E")
        }
        '\u{3000}' => ' ',
        other => other,
    }
}

pub(super) fn expect_length(bytes: &[u8], length: usize) -> Result<(), CodeError> {
    if bytes.len() == length { Ok(()) } else { Err(CodeError::BadLength) }
}

pub(super) fn expect_digits(bytes: &[u8]) -> Result<(), CodeError> {
    if bytes.iter().all(u8::is_ascii_digit) { Ok(()) } else { Err(CodeError::BadChar) }
}

pub(super) fn refuse_lower_case(bytes: &[u8]) -> Result<(), CodeError> {
    if bytes.iter().any(u8::is_ascii_lowercase) { Err(CodeError::Lowercase) } else { Ok(()) }
}

/// The number that at most nine decimal digits spell.
pub(super) fn number(digits: &[u8]) -> u32 {
    debug_assert!(digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit));
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// 0–9 for digits, 10–35 for A–Z: the values of GB 11714 and GB/T 17710.
pub(super) fn value_36(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        _ => None,
    }
}
