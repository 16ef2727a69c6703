//! Why an identifier was refused.
//!
//! One enum for all identifiers, because one mistake (a full-width digit, a
//! lower-case letter) has one cure wherever it is made. No variant carries the
//! refused text, so an error may be logged. All variants blame whoever typed or
//! sent the value, save [`CodeError::SerialOutOfRange`], which is ours.

use std::fmt;

/// A letter that GB 32100-2015 leaves out of the credit code's alphabet,
/// because it looks like a digit or another letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each letter stands for itself")]
pub enum IllegalLetter {
    I,
    O,
    S,
    V,
    Z,
}

/// The reason why a text is not the identifier it was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeError {
    /// Not as long as the standard says.
    BadLength,
    /// Contains full-width characters (U+FF01–U+FF5E or U+3000).
    FullWidth,
    /// Contains a character that has no place there: a space, a hyphen, or a
    /// letter where a digit belongs.
    BadChar,
    /// Contains a lower-case letter where only upper case is allowed.
    Lowercase,
    /// The check digit is not the computed one (GB 11643 or GB 11714).
    BadCheckDigit,
    /// The check character is not the computed one (GB/T 17710 MOD 37,36).
    BadCheckChar,
    /// The year is outside 1850..=2199.
    InvalidYear,
    /// The month is not 01..=12.
    InvalidMonth,
    /// The month has no such day.
    InvalidDay,
    /// The first two digits are no province-level region.
    UnknownRegion,
    /// A first-generation resident id of 15 digits.
    Legacy15Digits,
    /// A business registration number of 15 digits, from before the credit code.
    Legacy15RegNo,
    /// Characters 9–17 of a credit code do not pass GB 11714.
    BadOrgCodeCheck,
    /// A credit code contains a letter that GB 32100 leaves out.
    IllegalChar(IllegalLetter),
    /// The last character of a credit code does not pass GB 32100, or a credit
    /// code inside another code does not pass.
    BadUsccCheck,
    /// A licence id does not begin with 1.2.156.3005.2.
    BadRootOid,
    /// A licence id has no check character.
    MissingCheckChar,
    /// A licence id has not five parts after the root.
    BadSegmentCount,
    /// The type code has not 21 characters.
    BadTypeLen,
    /// The issuer code has neither 18 characters nor 6 digits.
    BadIssuerLen,
    /// The serial of a licence id is empty or longer than
    /// [`SERIAL_CHARS_MAX`](super::licence_id::SERIAL_CHARS_MAX).
    BadSerialLen,
    /// The serial of a licence id contains something else than 0-9 and A-Z.
    BadSerialChar,
    /// The version of a licence id is not three digits.
    VersionNot3Digits,
    /// A licence id fails GB/T 17710 but carries the check character of a known
    /// vendor's miscalculation, see [`super::mod3736`].
    VendorCheckVariant,
    /// The item type is not one of GB/T 39046-2020 annex A.1 (00–10, 20).
    BadItemType,
    /// The exercising level is not one of GB/T 39046-2020 annex A.2 (1–7).
    BadLevel,
    /// A case number does not begin with KST.
    BadPrefix,
    /// A serial to be minted does not fit its eight digits.
    SerialOutOfRange,
}

impl CodeError {
    /// The stable code: upper-case ASCII, never translated, never renamed.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadLength => "BAD_LENGTH",
            Self::FullWidth => "FULLWIDTH",
            Self::BadChar => "BAD_CHAR",
            Self::Lowercase => "LOWERCASE",
            Self::BadCheckDigit => "BAD_CHECK_DIGIT",
            Self::BadCheckChar => "BAD_CHECK_CHAR",
            Self::InvalidYear => "INVALID_YEAR",
            Self::InvalidMonth => "INVALID_MONTH",
            Self::InvalidDay => "INVALID_DAY",
            Self::UnknownRegion => "UNKNOWN_REGION",
            Self::Legacy15Digits => "LEGACY_15_DIGITS",
            Self::Legacy15RegNo => "LEGACY_15_REG_NO",
            Self::BadOrgCodeCheck => "BAD_ORG_CODE_CHECK",
            Self::IllegalChar(IllegalLetter::I) => "ILLEGAL_CHAR_I",
            Self::IllegalChar(IllegalLetter::O) => "ILLEGAL_CHAR_O",
            Self::IllegalChar(IllegalLetter::S) => "ILLEGAL_CHAR_S",
            Self::IllegalChar(IllegalLetter::V) => "ILLEGAL_CHAR_V",
            Self::IllegalChar(IllegalLetter::Z) => "ILLEGAL_CHAR_Z",
            Self::BadUsccCheck => "BAD_USCC_CHECK",
            Self::BadRootOid => "BAD_ROOT_OID",
            Self::MissingCheckChar => "MISSING_CHECK_CHAR",
            Self::BadSegmentCount => "BAD_SEGMENT_COUNT",
            Self::BadTypeLen => "BAD_TYPE_LEN",
            Self::BadIssuerLen => "BAD_ISSUER_LEN",
            Self::BadSerialLen => "BAD_SERIAL_LEN",
            Self::BadSerialChar => "BAD_SERIAL_CHAR",
            Self::VersionNot3Digits => "VERSION_NOT_3_DIGITS",
            Self::VendorCheckVariant => "VENDOR_CHECK_VARIANT",
            Self::BadItemType => "BAD_ITEM_TYPE",
            Self::BadLevel => "BAD_LEVEL",
            Self::BadPrefix => "BAD_PREFIX",
            Self::SerialOutOfRange => "SERIAL_OUT_OF_RANGE",
        }
    }

    /// What is wrong and what to do, in Chinese (`zh`) or English.
    pub fn message(self, zh: bool) -> &'static str {
        let (chinese, english) = self.messages();
        if zh { chinese } else { english }
    }

    fn messages(self) -> (&'static str, &'static str) {
        match self {
            Self::BadLength => (
                "长度不符合标准，请核对是否漏录或多录。",
                "The length is not the standard's; look for missing or extra characters.",
            ),
            Self::FullWidth => (
                "含有全角字符，请改用半角字符重新录入。",
                "Contains full-width characters; enter it again in half width.",
            ),
            Self::BadChar => (
                "含有不允许的字符（如空格、连字符，或应为数字处出现其他字符），请对照证件重新录入。",
                "Contains a character that has no place there, such as a space, a hyphen or a letter among digits; enter it again from the document.",
            ),
            Self::Lowercase => {
                ("含有小写字母，请改为大写字母。", "Contains a lower-case letter; use upper case.")
            }
            Self::BadCheckDigit => (
                "校验码不符，号码中至少有一位有误，请对照证件逐位核对。",
                "The check digit does not match: at least one character is wrong; compare each with the document.",
            ),
            Self::BadCheckChar => (
                "校验位不符（GB/T 17710），编码中至少有一位有误，请核对来源或联系签发单位。",
                "The check character does not match (GB/T 17710): at least one character is wrong; compare with the source or ask the issuer.",
            ),
            Self::InvalidYear => (
                "年份不在1850至2199之间，请核对日期部分。",
                "The year is not within 1850 to 2199; check the date part.",
            ),
            Self::InvalidMonth => (
                "月份不在01至12之间，请核对日期部分。",
                "The month is not within 01 to 12; check the date part.",
            ),
            Self::InvalidDay => (
                "该月没有这一日，请核对日期部分（注意闰年）。",
                "That month has no such day; check the date part, leap years included.",
            ),
            Self::UnknownRegion => (
                "前两位不是省级区划代码，请核对区划部分。",
                "The first two digits are no province-level region; check the region part.",
            ),
            Self::Legacy15Digits => (
                "这是15位旧身份证号码，请先升为18位，或录入现行证件上的号码。",
                "This is a 15-digit resident id; upgrade it to 18 first, or enter the number on the current card.",
            ),
            Self::Legacy15RegNo => (
                "这是15位工商注册号，请改填营业执照上的18位统一社会信用代码。",
                "This is a 15-digit registration number; enter the 18-character credit code on the business licence.",
            ),
            Self::BadOrgCodeCheck => (
                "第9至17位不符合组织机构代码校验规则（GB 11714），请逐位核对这一段。",
                "Characters 9 to 17 do not pass the organisation code check (GB 11714); compare that part with the document.",
            ),
            Self::IllegalChar(letter) => match letter {
                IllegalLetter::I => (
                    "统一社会信用代码中不使用字母I，请核对是否应为数字1。",
                    "A credit code has no letter I; it is probably the digit 1.",
                ),
                IllegalLetter::O => (
                    "统一社会信用代码中不使用字母O，请核对是否应为数字0。",
                    "A credit code has no letter O; it is probably the digit 0.",
                ),
                IllegalLetter::S => (
                    "统一社会信用代码中不使用字母S，请核对是否应为数字5。",
                    "A credit code has no letter S; it is probably the digit 5.",
                ),
                IllegalLetter::V => (
                    "统一社会信用代码中不使用字母V，请核对是否应为字母U或Y。",
                    "A credit code has no letter V; it is probably the letter U or Y.",
                ),
                IllegalLetter::Z => (
                    "统一社会信用代码中不使用字母Z，请核对是否应为数字2。",
                    "A credit code has no letter Z; it is probably the digit 2.",
                ),
            },
            Self::BadUsccCheck => (
                "统一社会信用代码校验不符（GB 32100），请对照登记证照逐位核对。",
                "The credit code does not pass its check (GB 32100); compare it with the registration document.",
            ),
            Self::BadRootOid => (
                "不是电子证照标识：应以根代码1.2.156.3005.2.开头，请核对是否误填了证照编号。",
                "Not a licence id: it must begin with 1.2.156.3005.2.; perhaps the licence number was entered instead.",
            ),
            Self::MissingCheckChar => (
                "缺少末尾的校验位，请从证照文件中完整复制电子证照标识。",
                "The check character at the end is missing; copy the whole id from the licence file.",
            ),
            Self::BadSegmentCount => (
                "根代码之后应为五段（类型代码、颁发机构代码、流水号、版本号、校验位），请完整复制电子证照标识。",
                "After the root there must be five parts (type, issuer, serial, version, check); copy the whole id.",
            ),
            Self::BadTypeLen => (
                "证照类型代码应为21位（18位统一社会信用代码加3位数字），请核对。",
                "The licence type code must have 21 characters (a credit code and three digits).",
            ),
            Self::BadIssuerLen => (
                "颁发机构代码应为18位统一社会信用代码或6位行政区划代码，请核对。",
                "The issuer must be an 18-character credit code or a 6-digit division.",
            ),
            Self::BadSerialLen => (
                "流水号为空或过长，请从证照文件中完整复制电子证照标识。",
                "The serial is empty or too long; copy the whole id from the licence file.",
            ),
            Self::BadSerialChar => (
                "流水号只能由数字和大写字母组成，请去除其他符号或联系签发单位。",
                "The serial may contain only digits and upper-case letters; remove other signs or ask the issuer.",
            ),
            Self::VersionNot3Digits => {
                ("版本号应为3位数字（如001），请核对。", "The version must be three digits, such as 001.")
            }
            Self::VendorCheckVariant => (
                "校验位不符合GB/T 17710，但与某厂商的错误算法一致；请签发单位更正，或由双方协议约定接受。",
                "The check character fails GB/T 17710 but matches a known vendor's faulty computation; the issuer should correct it, or the agreement may accept it.",
            ),
            Self::BadItemType => (
                "事项类型代码不在GB/T 39046附录A之列（00至10、20），请核对第3、4位。",
                "The item type is not listed in GB/T 39046 annex A (00 to 10, 20); check digits 3 and 4.",
            ),
            Self::BadLevel => (
                "行使层级代码应为1至7（GB/T 39046附录A），请核对第19位。",
                "The exercising level must be 1 to 7 (GB/T 39046 annex A); check character 19.",
            ),
            Self::BadPrefix => (
                "业务协同编号应以KST开头，请核对是否误填了本地办件编号。",
                "A collaboration number begins with KST; perhaps a local case number was entered instead.",
            ),
            Self::SerialOutOfRange => (
                "当日流水号已超出8位，无法再编号，请联系平台管理员。",
                "The day's serial no longer fits eight digits; tell the platform's operator.",
            ),
        }
    }
}

/// The code and the English message.
impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message(false))
    }
}

impl std::error::Error for CodeError {}
