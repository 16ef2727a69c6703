//! 电子证照标识, the licence id of GB/T 36904-2018.
//!
//! `1.2.156.3005.2.<type 21>.<issuer>.<serial>.<version 3>.<check 1>`, the check
//! character by GB/T 17710 MOD 37,36 over type, issuer, serial and version
//! without dots and root. The issuer is a credit code; a six-digit division is
//! seen as well and accepted. A known vendor's miscalculated check character is
//! told apart ([`super::mod3736`]): refused when strict, accepted by agreement.

use std::fmt;

use super::ascii::{expect_digits, letters_and_digits, refuse_full_width, refuse_lower_case};
use super::division::Division;
use super::error::CodeError;
use super::licence_type::{self, LicenceTypeCode};
use super::mod3736::{self, Agreement};
use super::uscc::{self, Uscc};

/// The root that all licence ids share.
pub const ROOT_OID: &str = "1.2.156.3005.2";

/// Longest serial accepted, in characters. Seen are 7–32, the longest being
/// UUIDs; twice that leaves room without leaving it open.
pub const SERIAL_CHARS_MAX: usize = 64;

/// A licence id (GB/T 36904-2018), all its parts verified.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenceId {
    text: String,
    type_code: LicenceTypeCode,
    issuer: Issuer,
    check_style: CheckStyle,
}

/// The body that issued a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Issuer {
    /// By its credit code, as the standard has it.
    Organisation(Uscc),
    /// By its division only, as some issuers do.
    Division(Division),
}

/// How the check character of an accepted id was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckStyle {
    /// By the standard.
    Standard,
    /// By the vendor variant: to be reported at reconciliation (对账).
    VendorVariant,
}

/// Which check characters a receiver accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckRule {
    /// The standard's only. Always the rule for what we issue.
    Strict,
    /// The known vendor variant too, where the agreement says so.
    AcceptVendorVariant,
}

impl LicenceId {
    /// Reads a licence id, strictly.
    ///
    /// # Errors
    /// As [`LicenceId::parse_with`] under [`CheckRule::Strict`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        Self::parse_with(value, CheckRule::Strict)
    }

    /// Reads a licence id under the receiver's rule.
    ///
    /// Form first, part by part; then the check character, which covers all
    /// parts; then the credit codes within, which only a wrongly issued id can
    /// still fail. The vendor variant is judged last: an id with any other fault
    /// never counts as merely that.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (space around), [`CodeError::BadRootOid`],
    /// [`CodeError::MissingCheckChar`], [`CodeError::VersionNot3Digits`] (left
    /// out), [`CodeError::BadSegmentCount`], [`CodeError::Lowercase`],
    /// [`CodeError::BadTypeLen`], [`CodeError::BadIssuerLen`],
    /// [`CodeError::IllegalChar`] or [`CodeError::BadChar`] (type, then issuer),
    /// [`CodeError::BadSerialLen`], [`CodeError::BadSerialChar`],
    /// [`CodeError::VersionNot3Digits`], [`CodeError::BadCheckChar`],
    /// [`CodeError::BadUsccCheck`] or [`CodeError::UnknownRegion`] (type, issuer),
    /// [`CodeError::VendorCheckVariant`].
    pub fn parse_with(value: &str, rule: CheckRule) -> Result<Self, CodeError> {
        let parts = Parts::split(value)?;
        parts.check_form()?;
        let agreement = parts.agreement()?;
        let type_code = LicenceTypeCode::parse(parts.type_code)?;
        let issuer = parts.issuer()?;
        let check_style = match (agreement, rule) {
            (Agreement::Standard, _) => CheckStyle::Standard,
            (Agreement::VendorVariant, CheckRule::AcceptVendorVariant) => CheckStyle::VendorVariant,
            (Agreement::VendorVariant, CheckRule::Strict) => {
                return Err(CodeError::VendorCheckVariant);
            }
            (Agreement::Neither, _) => return Err(CodeError::BadCheckChar),
        };
        Ok(Self { text: value.to_owned(), type_code, issuer, check_style })
    }

    /// The whole id, root and dots included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// 证照类型代码.
    pub fn type_code(&self) -> LicenceTypeCode {
        self.type_code
    }

    /// 证照颁发机构代码.
    pub fn issuer(&self) -> Issuer {
        self.issuer
    }

    /// 流水号: 1..=[`SERIAL_CHARS_MAX`] characters 0-9 A-Z.
    pub fn serial(&self) -> &str {
        self.parts().serial
    }

    /// 版本号: 0..=999, three digits in the id.
    pub fn version(&self) -> u16 {
        self.parts().version.parse().expect("three digits")
    }

    /// How its check character was computed.
    pub fn check_style(&self) -> CheckStyle {
        self.check_style
    }

    fn parts(&self) -> Parts<'_> {
        Parts::split(&self.text).expect("checked by the parser")
    }
}

impl fmt::Display for LicenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LicenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LicenceId({self})")
    }
}

/// The five parts behind the root, unchecked.
struct Parts<'a> {
    type_code: &'a str,
    issuer: &'a str,
    serial: &'a str,
    version: &'a str,
    check: &'a str,
}

impl<'a> Parts<'a> {
    fn split(value: &'a str) -> Result<Self, CodeError> {
        refuse_full_width(value)?;
        if value.trim() != value {
            return Err(CodeError::BadChar);
        }
        let behind_root = value
            .strip_prefix(ROOT_OID)
            .and_then(|rest| rest.strip_prefix('.'))
            .ok_or(CodeError::BadRootOid)?;
        let mut segments = [""; 5];
        let mut count = 0;
        for segment in behind_root.split('.') {
            *segments.get_mut(count).ok_or(CodeError::BadSegmentCount)? = segment;
            count += 1;
        }
        let [type_code, issuer, serial, version, check] = segments;
        match count {
            // A single character in fourth place is the check character: the version is missing.
            4 if version.len() == 1 => Err(CodeError::VersionNot3Digits),
            4 => Err(CodeError::MissingCheckChar),
            5 if check.is_empty() => Err(CodeError::MissingCheckChar),
            5 => Ok(Self { type_code, issuer, serial, version, check }),
            _ => Err(CodeError::BadSegmentCount),
        }
    }

    fn check_form(&self) -> Result<(), CodeError> {
        for part in [self.type_code, self.issuer, self.serial, self.check] {
            refuse_lower_case(part.as_bytes())?;
        }
        licence_type::check_shape(self.type_code)?;
        let issuer = letters_and_digits(self.issuer)?;
        match issuer.len() {
            18 => uscc::check_shape(issuer)?,
            6 => expect_digits(issuer)?,
            _ => return Err(CodeError::BadIssuerLen),
        }
        self.check_serial()?;
        if self.version.len() != 3 || expect_digits(self.version.as_bytes()).is_err() {
            return Err(CodeError::VersionNot3Digits);
        }
        Ok(())
    }

    fn check_serial(&self) -> Result<(), CodeError> {
        if letters_and_digits(self.serial).is_err() {
            Err(CodeError::BadSerialChar)
        } else if self.serial.is_empty() || self.serial.len() > SERIAL_CHARS_MAX {
            Err(CodeError::BadSerialLen)
        } else {
            Ok(())
        }
    }

    fn agreement(&self) -> Result<Agreement, CodeError> {
        let mut check = self.check.chars();
        let (Some(check), None) = (check.next(), check.next()) else {
            return Err(CodeError::BadCheckChar);
        };
        let body = [self.type_code, self.issuer, self.serial, self.version].concat();
        match mod3736::agreement(&body, check)? {
            Agreement::Neither => Err(CodeError::BadCheckChar),
            agreement => Ok(agreement),
        }
    }

    fn issuer(&self) -> Result<Issuer, CodeError> {
        if self.issuer.len() == 6 {
            Division::parse(self.issuer).map(Issuer::Division)
        } else {
            Uscc::within(self.issuer.as_bytes()).map(Issuer::Organisation)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.002.S";
    /// Real, issued with the vendor's check character.
    const VARIANT: &str =
        "1.2.156.3005.2.11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M";

    fn refused(value: &str) -> CodeError {
        LicenceId::parse(value).expect_err("refused")
    }

    fn with(from: &str, to: &str) -> String {
        VALID.replace(from, to)
    }

    /// Puts the standard's check character behind the parts.
    fn issued(type_code: &str, issuer: &str, serial: &str, version: &str) -> String {
        let body = [type_code, issuer, serial, version].concat();
        let check = mod3736::check_char(&body).expect("alphabet");
        format!("{ROOT_OID}.{type_code}.{issuer}.{serial}.{version}.{check}")
    }

    #[test]
    fn each_part_is_found_again() {
        let id = LicenceId::parse(VALID).expect("valid");
        assert_eq!(id.type_code().as_str(), "11100000000013338W011");
        let issuer = Uscc::parse("11430000006122244L").expect("valid");
        assert_eq!(id.issuer(), Issuer::Organisation(issuer));
        assert_eq!(id.serial(), "20230000403");
        assert_eq!(id.version(), 2);
        assert_eq!(id.check_style(), CheckStyle::Standard);
    }

    #[test]
    fn the_vendor_variant_is_accepted_only_by_agreement_and_stays_marked() {
        assert_eq!(refused(VARIANT), CodeError::VendorCheckVariant);
        let accepted = LicenceId::parse_with(VARIANT, CheckRule::AcceptVendorVariant);
        assert_eq!(accepted.expect("by agreement").check_style(), CheckStyle::VendorVariant);
        let wrong = VARIANT.replace(".001.M", ".001.N");
        let wrong = LicenceId::parse_with(&wrong, CheckRule::AcceptVendorVariant);
        assert_eq!(wrong, Err(CodeError::BadCheckChar));
    }

    #[test]
    fn each_fault_of_form_has_its_name() {
        assert_eq!(refused(""), CodeError::BadRootOid);
        assert_eq!(refused(ROOT_OID), CodeError::BadRootOid);
        assert_eq!(refused(&with("3005.2", "3005.3")), CodeError::BadRootOid);
        assert_eq!(refused(&with(".S", "")), CodeError::MissingCheckChar);
        assert_eq!(refused(&with(".S", ".")), CodeError::MissingCheckChar);
        assert_eq!(refused(&with(".002", "")), CodeError::VersionNot3Digits);
        assert_eq!(refused(&with(".002", ".2")), CodeError::VersionNot3Digits);
        assert_eq!(refused(&with(".002", ".00A")), CodeError::VersionNot3Digits);
        assert_eq!(refused(&with(".S", ".S.S")), CodeError::BadSegmentCount);
        assert_eq!(refused(&with("W011", "W11")), CodeError::BadTypeLen);
        assert_eq!(refused(&with("W011", "WA11")), CodeError::BadChar);
        assert_eq!(refused(&with(".1143", ".143")), CodeError::BadIssuerLen);
        assert_eq!(refused(&with(".1143", ".1I43")).code(), "ILLEGAL_CHAR_I");
        assert_eq!(refused(&with("244L", "2O4L")).code(), "ILLEGAL_CHAR_O");
        assert_eq!(refused(&with("403", "40-3")), CodeError::BadSerialChar);
        assert_eq!(refused(&with("403", "40 3")), CodeError::BadSerialChar);
        assert_eq!(refused(&with("403", "40a3")), CodeError::Lowercase);
        assert_eq!(refused(&with("20230000403", "")), CodeError::BadSerialLen);
        let long = "1".repeat(SERIAL_CHARS_MAX + 1);
        assert_eq!(refused(&with("20230000403", &long)), CodeError::BadSerialLen);
        assert_eq!(refused(&with(".S", ".T")), CodeError::BadCheckChar);
        assert_eq!(refused(&with(".S", ".ST")), CodeError::BadCheckChar);
        assert_eq!(refused(&with(".S", ".S ")), CodeError::BadChar);
        assert_eq!(refused(&with(".S", "．Ｓ")), CodeError::FullWidth);
    }

    #[test]
    fn a_wrong_credit_code_within_is_refused_though_the_check_character_is_right() {
        let id = issued("11100000MB0143028Q001", "11430000006122244L", "1", "001");
        assert_eq!(refused(&id), CodeError::BadUsccCheck);
        let id = issued("11100000MB0143028R001", "11430000006122244M", "1", "001");
        assert_eq!(refused(&id), CodeError::BadUsccCheck);
        let id = issued("11100000MB0143028R001", "990100", "1", "001");
        assert_eq!(refused(&id), CodeError::UnknownRegion);
    }

    proptest! {
        #[test]
        fn a_computed_check_character_passes(
            serial in "[0-9A-Z]{1,64}",
            version in "[0-9]{3}",
            issuer in prop::sample::select(vec!["11430000006122244L", "340100"]),
        ) {
            let id = issued("11100000MB0143028R001", issuer, &serial, &version);
            prop_assert!(LicenceId::parse(&id).is_ok());
        }

        #[test]
        fn any_single_changed_character_is_refused(
            serial in "[0-9A-Z]{7,32}",
            at in any::<prop::sample::Index>(),
            to in "[ -~]",
        ) {
            let id = issued("11100000MB0143028R001", "11430000006122244L", &serial, "001");
            let at = at.index(id.len());
            let mut changed = id.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != id);
            prop_assert!(LicenceId::parse(&changed).is_err());
        }
    }
}
