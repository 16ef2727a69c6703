//! Working days in China. Saturdays and Sundays are free, and beyond that everything is data: the
//! holidays and make-up days (调休上班) that the State Council announces for each year. A year that was
//! not announced is not known here, and what depends on it has no answer: never a guess.
//!
//! The announced years lie beside the codes (`codes/data/workcalendar.csv`); later ones are read from a
//! file of the same form.

use super::date::Date;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Bytes of a calendar file: some thousand years of announcements.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A year without an announcement, so that no working day in it can be told from a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownYear(pub u16);

impl UnknownYear {
    /// What to do, in one language.
    pub fn message(self, chinese: bool) -> String {
        let year = self.0;
        if chinese {
            format!("没有 {year} 年的节假日安排，无法计算期限；请导入国务院办公厅发布的该年安排。")
        } else {
            format!(
                "The holidays of {year} are not known and limits cannot be counted; import the State Council's notice for that year."
            )
        }
    }
}

impl fmt::Display for UnknownYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(false))
    }
}

impl std::error::Error for UnknownYear {}

/// What is wrong with a calendar file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for CalendarError {}

/// What is announced about a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Holiday,
    MakeUp,
}

/// Working days of the announced years.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    announced: BTreeMap<Date, Announced>,
    /// Ascending.
    years: Vec<u16>,
    /// Working days of those years, as days since 1970-01-01, ascending.
    working: Vec<u32>,
}

impl Calendar {
    /// The years that came with this release.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Calendar> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            include_str!("../codes/data/workcalendar.csv")
                .parse()
                .expect("the file of this release: a test below")
        })
    }

    /// The years that are known, ascending.
    pub fn years(&self) -> &[u16] {
        &self.years
    }

    /// This calendar with the years of a newer one, which win where both know a year.
    pub fn with(&self, newer: &Self) -> Self {
        let mut announced = self.announced.clone();
        announced.retain(|day, _| !newer.years.contains(&year(*day)));
        announced.extend(newer.announced.iter().map(|(day, what)| (*day, *what)));
        Self::of(announced)
    }

    /// Whether one works on a day.
    ///
    /// # Errors
    /// The year, when it was not announced.
    pub fn is_working(&self, day: Date) -> Result<bool, UnknownYear> {
        self.known(day, day)?;
        Ok(self.working.binary_search(&number(day)).is_ok())
    }

    /// The last day of a limit of so many working days: the day on which it begins does not count
    /// (民法典 art. 201). Without days it ends on that day itself.
    ///
    /// # Errors
    /// The first year on the way that was not announced.
    pub fn due(&self, begin: Date, working_days: u32) -> Result<Date, UnknownYear> {
        if working_days == 0 {
            return Ok(begin);
        }
        let next = self.working.partition_point(|day| *day <= number(begin));
        let last = next.checked_add(working_days as usize - 1).and_then(|place| self.working.get(place));
        let Some(last) = last.map(|day| date(*day)) else {
            return Err(self.first_unknown(year(begin)));
        };
        self.known(begin, last)?;
        Ok(last)
    }

    /// Working days after `from` up to `until` inclusive; zero when `until` is not later.
    ///
    /// # Errors
    /// The first year on the way that was not announced.
    pub fn between(&self, from: Date, until: Date) -> Result<u32, UnknownYear> {
        if until <= from {
            return Ok(0);
        }
        self.known(from, until)?;
        let below = |day: Date| self.working.partition_point(|working| *working <= number(day));
        Ok((below(until) - below(from)) as u32)
    }

    fn known(&self, from: Date, until: Date) -> Result<(), UnknownYear> {
        match (year(from)..=year(until)).find(|year| self.years.binary_search(year).is_err()) {
            None => Ok(()),
            Some(year) => Err(UnknownYear(year)),
        }
    }

    fn first_unknown(&self, from: u16) -> UnknownYear {
        UnknownYear((from..=9999).find(|year| self.years.binary_search(year).is_err()).unwrap_or(9999))
    }

    /// A year counts as announced when the two holidays stand in it that every year has: what the notice
    /// of another year says about its last days does not make a year known.
    fn of(announced: BTreeMap<Date, Announced>) -> Self {
        let holiday = |year: u16, day: &str| {
            let day = format!("{year:04}-{day}").parse::<Date>();
            day.is_ok_and(|day| announced.get(&day) == Some(&Announced::Holiday))
        };
        let mut years: Vec<u16> = announced.keys().map(|day| year(*day)).collect();
        years.dedup();
        years.retain(|year| holiday(*year, "01-01") && holiday(*year, "10-01"));
        let mut working = Vec::new();
        for year in &years {
            let Ok(first) = format!("{year:04}-01-01").parse::<Date>() else { continue };
            let mut day = first;
            while self::year(day) == *year {
                let works = match announced.get(&day) {
                    Some(Announced::Holiday) => false,
                    Some(Announced::MakeUp) => true,
                    None => !is_weekend(day),
                };
                if works {
                    working.push(number(day));
                }
                day = date(number(day) + 1);
            }
        }
        Self { announced, years, working }
    }
}

impl FromStr for Calendar {
    type Err = CalendarError;

    /// Reads `date,kind,holiday` lines with a heading: `2026-10-01,holiday,National Day`. Kinds are
    /// `holiday` and `makeup_workday`.
    fn from_str(text: &str) -> Result<Self, CalendarError> {
        let mut announced = BTreeMap::new();
        let wrong = |line, why| CalendarError { line, why };
        if text.len() > FILE_BYTES_MAX {
            return Err(wrong(1, "the file is over 1 MiB"));
        }
        let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        if lines.next().is_none_or(|(_, heading)| !heading.starts_with("date,kind")) {
            return Err(wrong(1, "the heading is not date,kind,holiday"));
        }
        for (line, content) in lines {
            let line = line + 1;
            if content.trim().is_empty() {
                continue;
            }
            let mut columns = content.splitn(3, ',').map(str::trim);
            let day: Date = columns
                .next()
                .and_then(|day| day.parse().ok())
                .ok_or(wrong(line, "the date is not written YYYY-MM-DD"))?;
            if day < date(366) {
                return Err(wrong(line, "the date lies before 1971"));
            }
            let what = match columns.next() {
                Some("holiday") => Announced::Holiday,
                Some("makeup_workday") => Announced::MakeUp,
                _ => return Err(wrong(line, "the kind is neither holiday nor makeup_workday")),
            };
            if what == Announced::MakeUp && !is_weekend(day) {
                return Err(wrong(line, "a make-up day is a Saturday or a Sunday"));
            }
            if announced.insert(day, what).is_some() {
                return Err(wrong(line, "the date stands here twice"));
            }
        }
        let calendar = Self::of(announced);
        // the last days of December may belong to the notice of the year that begins
        let outside =
            |day: &&Date| !calendar.years.contains(&year(**day)) && !day.to_string().contains("-12-");
        match calendar.announced.keys().find(outside) {
            Some(_) => Err(wrong(1, "a year lacks its holidays of 1 January or 1 October")),
            None => Ok(calendar),
        }
    }
}

/// Days from 1970-01-01 to a date.
fn number(day: Date) -> u32 {
    ((day.start().0 + 8 * 3_600_000) / 86_400_000) as u32
}

fn date(number: u32) -> Date {
    Date::of(crate::time::UnixMillis((u64::from(number) * 86_400_000).saturating_sub(8 * 3_600_000)))
}

fn year(day: Date) -> u16 {
    day.year()
}

/// 1970-01-01 was a Thursday.
fn is_weekend(day: Date) -> bool {
    (number(day) + 3) % 7 >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn the_announced_years_are_those_of_the_file() {
        assert_eq!(Calendar::built_in().years(), [2025, 2026]);
        // 365 days, 104 of them in weekends, 28 free weekdays less 5 make-up days: 248 are worked
        assert_eq!(Calendar::built_in().between(day("2025-01-01"), day("2025-12-31")), Ok(248));
    }

    #[test]
    fn weekends_holidays_and_make_up_days_are_told_apart() {
        let calendar = Calendar::built_in();
        for (text, works) in [
            ("2026-11-20", true),
            ("2026-11-21", false),
            ("2025-10-01", false),
            ("2025-09-28", true),
            ("2025-10-11", true),
        ] {
            assert_eq!(calendar.is_working(day(text)), Ok(works), "{text}");
        }
    }

    #[test]
    fn a_limit_ends_on_its_last_working_day_and_the_first_day_does_not_count() {
        let calendar = Calendar::built_in();
        for (begin, days, due) in [
            ("2026-11-23", 0, "2026-11-23"),
            ("2026-11-23", 1, "2026-11-24"),
            ("2026-11-23", 5, "2026-11-30"),
            // begins on a Saturday
            ("2026-11-21", 1, "2026-11-23"),
            // over the National Day of 2025, with its make-up days
            ("2025-09-26", 2, "2025-09-29"),
            ("2025-09-30", 1, "2025-10-09"),
            ("2025-10-10", 1, "2025-10-11"),
        ] {
            assert_eq!(calendar.due(day(begin), days), Ok(day(due)), "{begin} + {days}");
        }
        assert_eq!(calendar.between(day("2026-11-23"), day("2026-11-30")), Ok(5));
        assert_eq!(calendar.between(day("2026-11-30"), day("2026-11-23")), Ok(0));
    }

    #[test]
    fn an_unknown_year_is_never_guessed() {
        let calendar = Calendar::built_in();
        assert_eq!(calendar.due(day("2026-12-30"), 10), Err(UnknownYear(2027)));
        assert_eq!(calendar.due(day("2027-01-05"), 1), Err(UnknownYear(2027)));
        assert_eq!(calendar.due(day("2024-12-31"), 1), Err(UnknownYear(2024)));
        assert_eq!(calendar.between(day("2026-12-01"), day("2027-01-04")), Err(UnknownYear(2027)));
        assert_eq!(calendar.is_working(day("2027-05-01")), Err(UnknownYear(2027)));
    }

    const YEAR_2027: &str =
        "date,kind,holiday\n2027-01-01,holiday,New Year\n2027-01-02,makeup_workday,x\n2027-10-01,holiday,y\n";

    #[test]
    fn an_imported_year_joins_and_a_corrected_one_wins() {
        let imported: Calendar = YEAR_2027.parse().unwrap();
        let calendar = Calendar::built_in().with(&imported);
        assert_eq!(calendar.years(), [2025, 2026, 2027]);
        assert_eq!(calendar.due(day("2026-12-31"), 1), Ok(day("2027-01-02")));
        let corrected: Calendar = YEAR_2027.replace("2027-01-02,makeup_workday,x\n", "").parse().unwrap();
        assert_eq!(calendar.with(&corrected).due(day("2026-12-31"), 1), Ok(day("2027-01-04")));
    }

    #[test]
    fn a_file_that_cannot_be_right_is_refused_with_its_line() {
        let refused = |from: &str, to: &str| YEAR_2027.replace(from, to).parse::<Calendar>().unwrap_err();
        assert_eq!(refused("date,kind", "day,what").line, 1);
        assert_eq!(refused("2027-01-01,holiday", "2027-13-01,holiday").line, 2);
        assert_eq!(refused("2027-01-02", "2027-01-04").why, "a make-up day is a Saturday or a Sunday");
        assert_eq!(refused("2027-01-02,makeup_workday", "2027-01-01,holiday").line, 3);
        assert_eq!(refused("2027-10-01,holiday", "2027-10-02,festival").line, 4);
        assert_eq!(refused("2027-10-01", "2027-10-02").line, 1, "no National Day: not a whole year");
    }
}
