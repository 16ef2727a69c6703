//! The check character of GB/T 17710-2008 (ISO/IEC 7064) MOD 37,36.
//!
//! Licence ids and our own case numbers end with it. Also here, and kept apart:
//! the miscalculation of one vendor's software, whose licences are in
//! circulation. It is recognised so that it can be reported by its own name and
//! accepted by agreement; nothing here ever computes it for issue.
//!
//! **Standard.** 0–9 count 0–9, A–Z count 10–35. From P = 36, for each
//! character: P ← (P + value) mod 36, 36 in place of 0; P ← 2P mod 37. The check
//! value is (37 − P) mod 36. Each step permutes the 36 states, so every single
//! substitution is caught.
//!
//! **Vendor variant.** Letters count one too many (A=11 … Z=36); a sum over 37
//! that came about through a letter is reduced modulo 37 instead of 36 before
//! the step goes on; and the result is one lower (36 − P in place of 37 − P).
//! Recovered from the public source of a licence service in Shandong; the one real
//! licence id known to fail the standard, issued in that province, agrees with it.
//! Weaker than the standard: its steps are no permutations, so it misses some
//! substitutions. About one wrong check character in 36 happens to agree with it.

use super::ascii::value_36;
use super::error::CodeError;

const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Which computation a check character agrees with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// GB/T 17710 MOD 37,36.
    Standard,
    /// Not the standard, but the known vendor's miscalculation.
    VendorVariant,
    /// Neither.
    Neither,
}

/// Computes the check character (0-9, A-Z) of `body`.
///
/// # Errors
/// [`CodeError::BadChar`] when `body` contains anything but 0-9 and A-Z.
pub fn check_char(body: &str) -> Result<char, CodeError> {
    let mut product = 36;
    for byte in body.bytes() {
        let value = value_36(byte).ok_or(CodeError::BadChar)?;
        product = double(product + value);
    }
    Ok(character((37 - product) % 36))
}

/// Compares `check` with the check character of `body`.
///
/// The standard is tried first: what agrees with both is `Standard`.
///
/// # Errors
/// [`CodeError::BadChar`] when `body` contains anything but 0-9 and A-Z.
pub fn agreement(body: &str, check: char) -> Result<Agreement, CodeError> {
    Ok(if check == check_char(body)? {
        Agreement::Standard
    } else if check == vendor_check_char(body)? {
        Agreement::VendorVariant
    } else {
        Agreement::Neither
    })
}

fn vendor_check_char(body: &str) -> Result<char, CodeError> {
    let mut product = 36;
    for byte in body.bytes() {
        let value = value_36(byte).ok_or(CodeError::BadChar)?;
        product = if byte.is_ascii_digit() {
            double(product + value)
        } else {
            let sum = product + value + 1;
            double(if sum > 37 { sum % 37 } else { sum })
        };
    }
    Ok(character(36 - product))
}

/// One step's end: modulo 36 with 36 in place of 0, doubled, modulo 37. The
/// result is always 1..=36.
fn double(sum: u32) -> u32 {
    let rest = match sum % 36 {
        0 => 36,
        rest => rest,
    };
    rest * 2 % 37
}

fn character(value: u32) -> char {
    char::from(ALPHABET[usize::try_from(value).expect("below 36")])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_licence_ids_agree_with_the_standard() {
        for (body, check) in [
            ("11100000000013338W01111430000006122244L20230000403002", 'S'),
            ("11100000000013338W01111430000006122244L20230000403001", 'U'),
            ("11100000000013338W08711370800MB2855918437080001202411010001001", '3'),
        ] {
            assert_eq!(agreement(body, check), Ok(Agreement::Standard));
        }
    }

    #[test]
    fn a_real_licence_id_agrees_with_the_vendor_variant_only() {
        let body = "11100000000013661B006113700000045046442209FA4E88F9E4C878F3E9BED2CE7EA49001";
        assert_eq!(check_char(body), Ok('D'));
        assert_eq!(agreement(body, 'M'), Ok(Agreement::VendorVariant));
        assert_eq!(agreement(body, 'N'), Ok(Agreement::Neither));
    }

    #[test]
    fn a_character_outside_the_alphabet_has_no_value() {
        assert_eq!(check_char("12a"), Err(CodeError::BadChar));
        assert_eq!(check_char("12.3"), Err(CodeError::BadChar));
    }

    proptest! {
        #[test]
        fn every_single_substitution_changes_the_check_character(
            body in "[0-9A-Z]{1,70}",
            at in any::<prop::sample::Index>(),
            to in 0..36usize,
        ) {
            let at = at.index(body.len());
            let mut changed = body.clone().into_bytes();
            changed[at] = ALPHABET[to];
            let changed = String::from_utf8(changed).expect("ASCII");
            prop_assume!(changed != body);
            prop_assert_ne!(check_char(&changed), check_char(&body));
        }
    }
}
