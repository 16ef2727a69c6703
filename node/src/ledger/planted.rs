//! Ledgers with planted differences, for tests and `bench reconcile`: a ledger that agrees with the channels,
//! but for so many differences of known classes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use gateway::reconcile::books::Class;
use proto::local::v1 as pb;

/// Classes that are planted, in turn. Late ones and those in flight come by themselves.
pub const CLASSES: [Class; 6] =
    [Class::LedgerOnly, Class::ChannelOnly, Class::State, Class::Terms, Class::Content, Class::Duplicate];

/// The mapping that reads such a ledger.
pub const MAPPING: &str = "[columns]\ncase_id = \"办件编号\"\nstate = \"办理状态\"\nitem = \"事项编码\"\n\
    project_number = \"收件编号\"\npromised_working_days = \"承诺时限\"\nresult = \"办结结果\"\n\
    licence_id = \"证照标识\"\n";

/// Writes the ledger of cases, one by one.
pub struct Planted<W: Write> {
    writer: csv::Writer<W>,
    every: u64,
    left: u64,
    seen: u64,
    /// What was planted, by class.
    pub planted: BTreeMap<Class, u64>,
}

impl<W: Write> Planted<W> {
    /// A ledger in which of `cases` cases `breaks` differ, evenly over it and over the classes.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin(to: W, cases: u64, breaks: u64) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(to);
        writer.write_record([
            "办件编号",
            "办理状态",
            "事项编码",
            "收件编号",
            "承诺时限",
            "办结结果",
            "证照标识",
        ])?;
        let every = cases.checked_div(breaks).map_or(u64::MAX, |every| every.max(1));
        Ok(Self { writer, every, left: breaks, seen: 0, planted: BTreeMap::new() })
    }

    /// Takes a case as the channels have it.
    ///
    /// # Errors
    /// The disk's.
    pub fn take(&mut self, case: &pb::BookedCase) -> io::Result<()> {
        self.seen += 1;
        let plants = self.left > 0 && self.seen.is_multiple_of(self.every);
        if !plants {
            return self.row(case, &case.case_id);
        }
        let mut class = CLASSES[(self.left % CLASSES.len() as u64) as usize];
        if class == Class::Terms && case.promised_working_days.is_none() {
            class = Class::State;
        }
        self.left -= 1;
        *self.planted.entry(class).or_default() += 1;
        let mut wrong = case.clone();
        match class {
            Class::LedgerOnly => {
                self.row(case, &case.case_id)?;
                return self.row(case, &format!("{}-X", case.case_id));
            }
            Class::ChannelOnly => return Ok(()),
            Class::Duplicate => self.row(case, &case.case_id)?,
            Class::State => wrong.state = "refused".to_owned(),
            Class::Terms => wrong.promised_working_days = case.promised_working_days.map(|days| days + 1),
            Class::Content => wrong.item.push('X'),
            Class::InFlight | Class::Late => {}
        }
        self.row(&wrong, &case.case_id)
    }

    fn row(&mut self, case: &pb::BookedCase, id: &str) -> io::Result<()> {
        let days = case.promised_working_days.map_or_else(String::new, |days| days.to_string());
        let row = [id, &case.state, &case.item, &case.project_number, &days, &case.result, &case.licence_id];
        Ok(self.writer.write_record(row)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The disk's.
    pub fn end(mut self) -> io::Result<BTreeMap<Class, u64>> {
        self.writer.flush()?;
        Ok(self.planted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::mapping::Mapping;
    use gateway::reconcile::books::{BookedRow, Books};
    use gateway::time::UnixMillis;

    #[test]
    fn what_is_planted_is_what_is_found_and_nothing_else() {
        let cases: Vec<_> = (0..10_000)
            .map(|number| pb::BookedCase {
                case_id: format!("C{number:06}"),
                state: "accepted".into(),
                item: format!("KST{:03}", number % 71),
                project_number: format!("YY-{number}"),
                promised_working_days: Some(5 + number % 7),
                ..Default::default()
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let (path, map) = (folder.path().join("a.csv"), folder.path().join("m.toml"));
        let mut planted = Planted::begin(std::fs::File::create(&path).unwrap(), 10_000, 500).unwrap();
        cases.iter().for_each(|case| planted.take(case).unwrap());
        let planted = planted.end().unwrap();
        assert_eq!((planted.values().sum::<u64>(), planted.len()), (500, CLASSES.len()));
        std::fs::write(&map, MAPPING).unwrap();
        let mut books = Books::new(UnixMillis(0));
        crate::ledger::read(&path, &Mapping::load(&map).unwrap(), &mut books, |_| {}).unwrap();
        for case in cases {
            books.hold(&BookedRow {
                case_id: case.case_id,
                state: case.state,
                item: case.item,
                project_number: case.project_number,
                promised_working_days: case.promised_working_days,
                ..BookedRow::default()
            });
        }
        assert_eq!(books.finish().counts, planted);
    }
}
