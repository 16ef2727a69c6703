//! 行政区划代码, the division codes of GB/T 2260, and longer region codes.
//!
//! Six digits: province, prefecture, county. A code is well-formed when its
//! province exists; whether it is listed is a separate question, because the
//! embedded table covers 湖南, 湖北 and 江西 only, and divisions come and go. The
//! table is the statistical one: it also holds development zones (xx71–xx80)
//! that GB/T 2260 does not know, marked as such.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use super::ascii::{Ascii, expect_digits, expect_length, letters_and_digits, number};
use super::embedded;
use super::error::CodeError;

/// Province-level divisions of GB/T 2260, by their first two digits.
const PROVINCES: [(u32, &str); 34] = [
    (11, "北京市"),
    (12, "天津市"),
    (13, "河北省"),
    (14, "山西省"),
    (15, "内蒙古自治区"),
    (21, "辽宁省"),
    (22, "吉林省"),
    (23, "黑龙江省"),
    (31, "上海市"),
    (32, "江苏省"),
    (33, "浙江省"),
    (34, "安徽省"),
    (35, "福建省"),
    (36, "江西省"),
    (37, "山东省"),
    (41, "河南省"),
    (42, "湖北省"),
    (43, "湖南省"),
    (44, "广东省"),
    (45, "广西壮族自治区"),
    (46, "海南省"),
    (50, "重庆市"),
    (51, "四川省"),
    (52, "贵州省"),
    (53, "云南省"),
    (54, "西藏自治区"),
    (61, "陕西省"),
    (62, "甘肃省"),
    (63, "青海省"),
    (64, "宁夏回族自治区"),
    (65, "新疆维吾尔自治区"),
    (71, "台湾省"),
    (81, "香港特别行政区"),
    (82, "澳门特别行政区"),
];

/// Where each level of a region code ends: province, prefecture, county,
/// township, village.
const LEVEL_ENDS: [usize; 5] = [2, 4, 6, 9, 12];

/// A division code (GB/T 2260): six digits of an existing province.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Division(Ascii<6>);

/// How much of the country a division covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 省级: the last four digits are 0.
    Province,
    /// 地级: the last two digits are 0.
    Prefecture,
    /// 县级.
    County,
}

struct Row {
    name: &'static str,
    in_gbt2260: bool,
}

impl Division {
    /// Reads six digits of an existing province, listed or not.
    ///
    /// # Errors
    /// The first that applies of [`CodeError::FullWidth`],
    /// [`CodeError::BadChar`] (signs), [`CodeError::BadLength`],
    /// [`CodeError::BadChar`] (letters), [`CodeError::UnknownRegion`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        expect_length(bytes, 6)?;
        expect_digits(bytes)?;
        if is_province(number(&bytes[..2])) {
            Ok(Self(Ascii::checked(bytes)))
        } else {
            Err(CodeError::UnknownRegion)
        }
    }

    /// The six digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Province, prefecture or county, told from the trailing zeros.
    pub fn level(&self) -> Level {
        match self.0.bytes() {
            [_, _, b'0', b'0', b'0', b'0'] => Level::Province,
            [_, _, _, _, b'0', b'0'] => Level::Prefecture,
            _ => Level::County,
        }
    }

    /// The province-level division it belongs to; a province belongs to itself.
    pub fn province(&self) -> Self {
        self.cut(2)
    }

    /// The next larger division, told from the digits; `None` for a province.
    /// Counties directly under a province answer the statistical node, such as
    /// 429000.
    pub fn parent(&self) -> Option<Self> {
        match self.level() {
            Level::Province => None,
            Level::Prefecture => Some(self.cut(2)),
            Level::County => Some(self.cut(4)),
        }
    }

    /// The Chinese name; `None` when the table does not list the code. Provinces
    /// always have one.
    pub fn name(&self) -> Option<&'static str> {
        match self.level() {
            Level::Province => Some(self.province_name()),
            Level::Prefecture | Level::County => table().get(self).map(|row| row.name),
        }
    }

    /// The Chinese name of the province it belongs to.
    pub fn province_name(&self) -> &'static str {
        let province = number(&self.0.bytes()[..2]);
        PROVINCES
            .iter()
            .find(|(code, _)| *code == province)
            .map(|(_, name)| *name)
            .expect("the parser checked the province")
    }

    /// Whether GB/T 2260 lists it, in the embedded edition (2023-06-30).
    ///
    /// `None` when the table does not cover the province. `Some(false)` for
    /// statistical codes and for codes that no longer, or not yet, exist.
    pub fn in_gbt2260(&self) -> Option<bool> {
        if self.level() == Level::Province {
            return Some(true);
        }
        if !table().contains_key(&self.province()) {
            return None;
        }
        Some(table().get(self).is_some_and(|row| row.in_gbt2260))
    }

    /// Keeps the first `digits`, zeros behind.
    fn cut(&self, digits: usize) -> Self {
        let mut bytes = *self.0.bytes();
        bytes[digits..].fill(b'0');
        Self(Ascii::checked(&bytes))
    }
}

impl fmt::Display for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Division({self})")
    }
}

/// A region code of 6, 9 or 12 digits: a division, a township or a village
/// (GB/T 2260 and GB/T 10114). The shorter forms mean the same as the longer
/// with zeros behind, and are kept so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode(Ascii<12>);

impl RegionCode {
    /// Reads 6, 9 or 12 digits of an existing province.
    ///
    /// # Errors
    /// As [`Division::parse`].
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        let bytes = letters_and_digits(value)?;
        if !matches!(bytes.len(), 6 | 9 | 12) {
            return Err(CodeError::BadLength);
        }
        expect_digits(bytes)?;
        Division::parse(&value[..6])?;
        let mut padded = [b'0'; 12];
        padded[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(Ascii::checked(&padded)))
    }

    /// Twelve digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The division of the first six digits.
    pub fn division(&self) -> Division {
        Division::parse(&self.as_str()[..6]).expect("checked by the parser")
    }

    /// Whether `other` is this region or lies within it.
    pub fn contains(&self, other: &Self) -> bool {
        let end = LEVEL_ENDS
            .into_iter()
            .find(|end| self.0.bytes()[*end..].iter().all(|digit| *digit == b'0'))
            .expect("nothing follows the last level");
        self.0.bytes()[..end] == other.0.bytes()[..end]
    }
}

impl From<Division> for RegionCode {
    fn from(division: Division) -> Self {
        Self::parse(division.as_str()).expect("a division is a region code")
    }
}

impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegionCode({self})")
    }
}

/// All listed divisions, in order of their codes.
pub fn listed() -> impl Iterator<Item = Division> {
    let mut divisions: Vec<_> = table().keys().copied().collect();
    divisions.sort_unstable();
    divisions.into_iter()
}

/// Whether two leading digits are a province-level division of GB/T 2260.
pub(super) fn is_province(code: u32) -> bool {
    PROVINCES.iter().any(|(known, _)| *known == code)
}

fn table() -> &'static HashMap<Division, Row> {
    static TABLE: OnceLock<HashMap<Division, Row>> = OnceLock::new();
    TABLE.get_or_init(|| {
        embedded::rows(include_str!("data/divisions.csv"))
            .map(|[code, name, _, _, _, in_gbt2260, _]| {
                let code = Division::parse(code).expect("a unit test reads the whole table");
                let in_gbt2260 = in_gbt2260 == "true";
                (code, Row { name, in_gbt2260 })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn division(value: &str) -> Division {
        Division::parse(value).expect("valid")
    }

    #[test]
    fn the_table_agrees_with_what_the_digits_say() {
        assert_eq!(listed().count(), 381);
        let file = include_str!("data/divisions.csv");
        for [code, name, level, parent, province, in_gbt2260, _] in embedded::rows(file) {
            let code = division(code);
            assert_eq!(code.name(), Some(name));
            assert_eq!(code.in_gbt2260(), Some(in_gbt2260 == "true"), "{code}");
            let expected = match level {
                "province" => Level::Province,
                "prefecture" => Level::Prefecture,
                _ => Level::County,
            };
            assert_eq!(code.level(), expected, "{code}");
            // The file gives provinces no parent and the country, 100000, as province.
            if expected != Level::Province {
                assert_eq!(code.parent(), Some(division(parent)), "{code}");
                assert_eq!(code.province(), division(province), "{code}");
            }
        }
    }

    #[test]
    fn a_statistical_code_has_a_name_but_is_not_gbt2260() {
        let zone = division("430671");
        assert_eq!(zone.name(), Some("岳阳市屈原管理区"));
        assert_eq!(zone.in_gbt2260(), Some(false));
        assert_eq!(division("430602").in_gbt2260(), Some(true));
    }

    #[test]
    fn an_unlisted_code_is_well_formed_but_nameless() {
        assert_eq!(division("430699").name(), None);
        assert_eq!(division("430699").in_gbt2260(), Some(false));
        assert_eq!(division("340100").name(), None);
        assert_eq!(division("340100").in_gbt2260(), None);
        assert_eq!(division("340100").province_name(), "安徽省");
    }

    #[test]
    fn what_is_no_division_is_refused_by_name() {
        let refused = |value: &str| Division::parse(value).expect_err("refused");
        assert_eq!(refused(""), CodeError::BadLength);
        assert_eq!(refused("4306"), CodeError::BadLength);
        assert_eq!(refused("43O602"), CodeError::BadChar);
        assert_eq!(refused("430 602"), CodeError::BadChar);
        assert_eq!(refused("４30602"), CodeError::FullWidth);
        assert_eq!(refused("990602"), CodeError::UnknownRegion);
        assert_eq!(refused("100000"), CodeError::UnknownRegion);
    }

    #[test]
    fn a_region_contains_what_shares_its_significant_digits() {
        let region = |value: &str| RegionCode::parse(value).expect("valid");
        assert_eq!(region("430602"), region("430602000000"));
        assert!(region("430600").contains(&region("430602001")));
        assert!(region("430602001").contains(&region("430602001003")));
        assert!(region("430000").contains(&region("430600")));
        assert!(!region("430600").contains(&region("430700")));
        assert!(!region("430602").contains(&region("430600")));
        assert!(region("429000").contains(&region("429004")));
        assert_eq!(region("430602001003").division(), division("430602"));
        assert_eq!(RegionCode::parse("4306021"), Err(CodeError::BadLength));
    }
}
