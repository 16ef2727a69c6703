//! Instants as values. Nothing here reads a clock: `now` is always an argument, and the `clock`
//! port on floor 4 is where it comes from.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The instant `millis` later, saturating.
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`; zero when `earlier` is later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The civil date in China (UTC+8, no summer time), as year, month, day.
    pub fn date_in_china(self) -> (i64, u32, u32) {
        civil_from_days(((self.0 / 1000 + 8 * 3600) / 86_400) as i64)
    }

    /// The start of that civil date in China.
    pub fn from_date_in_china(year: i64, month: u32, day: u32) -> Self {
        let seconds = days_from_civil(year, month, day) * 86_400 - 8 * 3600;
        Self(u64::try_from(seconds).unwrap_or(0) * 1000)
    }
}

/// Howard Hinnant's `civil_from_days`: days since 1970-01-01 to year, month, day.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_index + 2) / 5 + 1) as u32;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl fmt::Display for UnixMillis {
    /// `2026-11-23T08:00:00.000+08:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date_in_china();
        let of_day = (self.0 + 8 * 3_600_000) % 86_400_000;
        let (hour, minute, second, milli) =
            (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}+08:00")
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_in_china_turns_at_sixteen_hundred_utc() {
        let eve = UnixMillis(1_767_196_799_999); // 2025-12-31T15:59:59.999Z
        assert_eq!(eve.date_in_china(), (2025, 12, 31));
        assert_eq!(eve.plus_millis(1).date_in_china(), (2026, 1, 1));
        assert_eq!(UnixMillis::from_date_in_china(2026, 1, 1), eve.plus_millis(1));
        assert_eq!(eve.to_string(), "2025-12-31T23:59:59.999+08:00");
    }

    #[test]
    fn dates_round_trip_through_four_centuries() {
        for days in (0..146_097).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
