//! A civil date in China, as licences and standards write it. Instants are `time::UnixMillis`; a
//! date becomes one only where it has to be compared with an instant.

use crate::id::IdError;
use crate::time::UnixMillis;
use std::fmt;
use std::str::FromStr;

/// A date that exists in the Gregorian calendar, years 1000..=9999. Ordered by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The date in China at an instant.
    pub fn of(instant: UnixMillis) -> Self {
        let (year, month, day) = instant.date_in_china();
        let year = u16::try_from(year).unwrap_or(9999).min(9999);
        Self { year, month: month as u8, day: day as u8 }
    }

    /// The year, 1000..=9999.
    pub fn year(self) -> u16 {
        self.year
    }

    /// When the date begins in China. Dates before 1970-01-02 begin at the Unix epoch.
    pub fn start(self) -> UnixMillis {
        UnixMillis::from_date_in_china(i64::from(self.year), u32::from(self.month), u32::from(self.day))
    }

    /// When the date ends in China: the first instant that is no longer part of it.
    pub fn end(self) -> UnixMillis {
        self.start().plus_millis(86_400_000)
    }

    /// Whole days from `earlier` to `self`; zero when `earlier` is not earlier.
    pub fn days_since(self, earlier: Self) -> u64 {
        self.start().millis_since(earlier.start()) / 86_400_000
    }
}

impl FromStr for Date {
    type Err = IdError;
    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = IdError { what: "date", why: "is not a date written YYYY-MM-DD" };
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(wrong);
        }
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0u16, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0'))
            })
        };
        let (Some(year), Some(month), Some(day)) =
            (number(&bytes[..4]), number(&bytes[5..7]), number(&bytes[8..]))
        else {
            return Err(wrong);
        };
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return Err(wrong),
        };
        if year < 1000 || day == 0 || day > days {
            return Err(wrong);
        }
        Ok(Self { year, month: month as u8, day: day as u8 })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_that_exist_are_dates() {
        for real in ["2024-02-29", "2000-02-29", "1949-10-01", "2026-12-31"] {
            assert_eq!(real.parse::<Date>().unwrap().to_string(), real);
        }
        for unreal in ["2023-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-1-01", ""]
        {
            assert!(unreal.parse::<Date>().is_err(), "{unreal}");
        }
    }

    #[test]
    fn a_date_is_the_day_in_china_between_its_start_and_its_end() {
        let day: Date = "2026-01-01".parse().unwrap();
        assert_eq!(Date::of(day.start()), day);
        assert_eq!(Date::of(UnixMillis(day.end().0 - 1)), day);
        let next = Date::of(day.end());
        assert_eq!((next.to_string().as_str(), next.days_since(day)), ("2026-01-02", 1));
    }
}
