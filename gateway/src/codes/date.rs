//! A day as it stands inside an identifier: eight digits, yyyyMMdd.
//!
//! Only whether the day exists. Working days and time limits are elsewhere.

use std::fmt;

use super::ascii::{expect_digits, expect_length, number};
use super::error::CodeError;

/// The earliest year taken for real: nobody born before is served.
pub const YEAR_MIN: u16 = 1850;
/// The latest year taken for real. What today is, this module does not know.
pub const YEAR_MAX: u16 = 2199;

/// A day that exists in the Gregorian calendar, years 1850..=2199.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Checks that the day exists.
    ///
    /// # Errors
    /// [`CodeError::InvalidYear`], [`CodeError::InvalidMonth`] or
    /// [`CodeError::InvalidDay`]: the first that applies.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, CodeError> {
        if !(YEAR_MIN..=YEAR_MAX).contains(&year) {
            return Err(CodeError::InvalidYear);
        }
        let days = days_in(year, month).ok_or(CodeError::InvalidMonth)?;
        if !(1..=days).contains(&day) {
            return Err(CodeError::InvalidDay);
        }
        Ok(Self { year, month, day })
    }

    /// Reads `yyyyMMdd`.
    ///
    /// # Errors
    /// As [`Date::new`]; [`CodeError::BadLength`] or [`CodeError::BadChar`] when
    /// it is not eight digits.
    pub fn parse(value: &str) -> Result<Self, CodeError> {
        Self::from_digits(value.as_bytes())
    }

    pub(super) fn from_digits(digits: &[u8]) -> Result<Self, CodeError> {
        expect_digits(digits)?;
        expect_length(digits, 8)?;
        let year = number(&digits[..4]).try_into().expect("four digits");
        let month = number(&digits[4..6]).try_into().expect("two digits");
        let day = number(&digits[6..]).try_into().expect("two digits");
        Self::new(year, month, day)
    }

    /// 1850..=2199.
    pub fn year(self) -> u16 {
        self.year
    }

    /// 1..=12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// 1..=31.
    pub fn day(self) -> u8 {
        self.day
    }
}

/// Eight digits, yyyyMMdd.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}{:02}{:02}", self.year, self.month, self.day)
    }
}

fn days_in(year: u16, month: u8) -> Option<u8> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_exist_only_in_leap_years() {
        assert!(Date::parse("20000229").is_ok());
        assert!(Date::parse("20240229").is_ok());
        assert_eq!(Date::parse("19000229"), Err(CodeError::InvalidDay));
        assert_eq!(Date::parse("20230229"), Err(CodeError::InvalidDay));
    }

    #[test]
    fn each_part_is_refused_by_its_own_name_in_reading_order() {
        assert_eq!(Date::parse("18491399"), Err(CodeError::InvalidYear));
        assert_eq!(Date::parse("22000101"), Err(CodeError::InvalidYear));
        assert_eq!(Date::parse("19001399"), Err(CodeError::InvalidMonth));
        assert_eq!(Date::parse("19000001"), Err(CodeError::InvalidMonth));
        assert_eq!(Date::parse("19000431"), Err(CodeError::InvalidDay));
        assert_eq!(Date::parse("19000100"), Err(CodeError::InvalidDay));
        assert_eq!(Date::parse("1900010"), Err(CodeError::BadLength));
        assert_eq!(Date::parse("1900-1-1"), Err(CodeError::BadChar));
    }
}
