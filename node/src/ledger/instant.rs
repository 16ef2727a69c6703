//! Instants as ledgers write them. Where no offset is written, Beijing time is meant.

use gateway::time::UnixMillis;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const BEIJING: UtcOffset = match UtcOffset::from_hms(8, 0, 0) {
    Ok(offset) => offset,
    Err(_) => panic!("eight hours are an offset"),
};

const INSTANTS: &[&[BorrowedFormatItem<'static>]] = &[
    format_description!(
        "[year]-[month padding:none]-[day padding:none] [hour padding:none]:[minute]:[second]"
    ),
    format_description!(
        "[year]/[month padding:none]/[day padding:none] [hour padding:none]:[minute]:[second]"
    ),
    format_description!("[year]-[month padding:none]-[day padding:none] [hour padding:none]:[minute]"),
    format_description!("[year]/[month padding:none]/[day padding:none] [hour padding:none]:[minute]"),
    format_description!(
        "[year]-[month padding:none]-[day padding:none] [hour padding:none]:[minute]:[second].[subsecond]"
    ),
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"),
    format_description!(
        "[year]年[month padding:none]月[day padding:none]日 [hour padding:none]:[minute]:[second]"
    ),
    format_description!(
        "[year]年[month padding:none]月[day padding:none]日[hour padding:none]时[minute]分[second]秒"
    ),
];

const DAYS: &[&[BorrowedFormatItem<'static>]] = &[
    format_description!("[year]-[month padding:none]-[day padding:none]"),
    format_description!("[year]/[month padding:none]/[day padding:none]"),
    format_description!("[year]年[month padding:none]月[day padding:none]日"),
];

/// Longest text that can be an instant.
const TEXT_BYTES_MAX: usize = 64;

/// Reads an instant: ISO 8601 with or without offset, with `-`, `/` or 年月日, 8 or 14 digits in a row, or
/// Unix seconds (10 digits) or milliseconds (13). A day alone is its beginning.
pub fn parse(text: &str) -> Option<UnixMillis> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits(text);
    }
    if let Ok(instant) = OffsetDateTime::parse(text, &Rfc3339) {
        return millis(instant);
    }
    let instant = INSTANTS.iter().find_map(|format| PrimitiveDateTime::parse(text, format).ok());
    let day = || DAYS.iter().find_map(|format| Date::parse(text, format).ok());
    let instant = instant.or_else(|| day().map(|day| day.with_time(Time::MIDNIGHT)))?;
    millis(instant.assume_offset(BEIJING))
}

/// Reads the serial number of a spreadsheet: days since 1899-12-30, Beijing time.
pub fn of_serial(days: f64) -> Option<UnixMillis> {
    const UNIX_EPOCH_DAYS: f64 = 25_569.0;
    // Up to the year 9999.
    if !(UNIX_EPOCH_DAYS..2_958_466.0).contains(&days) {
        return None;
    }
    let local = ((days - UNIX_EPOCH_DAYS) * 86_400_000.0).round() as u64;
    Some(UnixMillis(local.saturating_sub(8 * 3_600_000)))
}

fn digits(text: &str) -> Option<UnixMillis> {
    let number: u64 = text.parse().ok()?;
    let part = |from: usize, to: usize| text[from..to].parse::<u8>().ok();
    let day = || {
        let month = time::Month::try_from(part(4, 6)?).ok()?;
        Date::from_calendar_date(text[..4].parse().ok()?, month, part(6, 8)?).ok()
    };
    match text.len() {
        8 => millis(day()?.with_time(Time::MIDNIGHT).assume_offset(BEIJING)),
        14 => {
            let time = Time::from_hms(part(8, 10)?, part(10, 12)?, part(12, 14)?).ok()?;
            millis(day()?.with_time(time).assume_offset(BEIJING))
        }
        10 => Some(UnixMillis(number * 1000)),
        13 => Some(UnixMillis(number)),
        _ => None,
    }
}

fn millis(instant: OffsetDateTime) -> Option<UnixMillis> {
    u64::try_from(instant.unix_timestamp_nanos() / 1_000_000).ok().map(UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_is_read_in_every_form_that_ledgers_use() {
        let base = parse("2026-11-30T07:30:05+08:00").unwrap();
        for text in [
            "2026-11-29T23:30:05Z",
            "2026-11-30 07:30:05",
            "2026-11-30 7:30:05",
            "2026/11/30 07:30:05",
            "2026-11-30T07:30:05",
            "2026-11-30 07:30:05.000",
            "2026年11月30日 07:30:05",
            "2026年11月30日7时30分05秒",
            "20261130073005",
            " 2026-11-30 07:30:05 ",
        ] {
            assert_eq!(parse(text), Some(base), "{text}");
        }
        assert_eq!(parse(&(base.0 / 1000).to_string()), Some(base));
        assert_eq!(parse(&base.0.to_string()), Some(base));
    }

    #[test]
    fn a_day_alone_is_its_beginning_in_beijing() {
        let base = parse("2026-11-29T16:00:00Z");
        for text in ["2026-11-30", "2026/11/30", "2026年11月30日", "20261130"] {
            assert_eq!(parse(text), base, "{text}");
        }
        assert_eq!(of_serial(46_356.0), base);
        assert_eq!(of_serial(46_356.5), base.map(|at| UnixMillis(at.0 + 43_200_000)));
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in
            ["", "昨天", "30.11.2026", "2026-13-01", "2026-02-30", "20260230", "123", "99999999999999"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!((of_serial(-1.0), of_serial(f64::NAN), of_serial(1e12)), (None, None, None));
        assert_eq!(parse(&"9".repeat(100_000)), None);
    }
}
