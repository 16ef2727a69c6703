//! A business system's own ledger (台账): a CSV or XLSX file with the columns that a mapping names.
//!
//! Nothing of a row is ever printed but its line: a ledger is full of people.

pub mod instant;
pub mod mapping;
pub mod planted;
pub mod report;
pub mod runs;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use gateway::reconcile::books::{Books, LedgerRow, LedgerState};
use gateway::time::UnixMillis;

use self::mapping::Mapping;
use self::table::{Cell, Table};
use crate::both;
use crate::console::Failure;

/// Characters of a case id; longer ones are none.
const CASE_ID_BYTES_MAX: usize = 200;
/// Different words of one column that are kept once for all rows that have them.
const WORDS_MAX: usize = 100_000;

/// Where in a row what stands.
#[derive(Debug, Default)]
struct Places {
    case_id: usize,
    state: Option<usize>,
    item: Option<usize>,
    project_number: Option<usize>,
    promised_working_days: Option<usize>,
    result: Option<usize>,
    licence_id: Option<usize>,
    changed: Option<usize>,
    operation: Option<usize>,
}

/// Reads a ledger into a comparison and says how many rows it had. `progress` hears of rows now and then.
///
/// # Errors
/// With the line, for a missing column, an unreadable row, date, number or operation.
pub fn read(
    path: &Path,
    mapping: &Mapping,
    books: &mut Books,
    progress: impl FnMut(u64),
) -> Result<u64, Failure> {
    read_table(Table::open(path, mapping.encoding, mapping.sheet.as_deref())?, mapping, books, progress)
}

/// As [`read`], of a table that is open.
///
/// # Errors
/// As [`read`].
pub fn read_table(
    mut table: Table,
    mapping: &Mapping,
    books: &mut Books,
    mut progress: impl FnMut(u64),
) -> Result<u64, Failure> {
    let mut cells = Vec::new();
    table.next(&mut cells)?.ok_or_else(|| {
        Failure::input(both!("台账是空的：没有表头。", "the ledger is empty: it has no heading."))
    })?;
    let places = places(&cells, mapping)?;
    let mut words = Words::default();
    // When a case was deleted: an older row that comes later does not bring it back.
    let mut deleted: HashMap<String, Option<UnixMillis>> = HashMap::new();
    let mut rows = 0;
    while let Some(line) = table.next(&mut cells)? {
        if cells.iter().all(|cell| cell.text.trim().is_empty()) {
            continue;
        }
        rows += 1;
        if rows % 50_000 == 0 {
            progress(rows);
        }
        let case_id = cells.get(places.case_id).map_or("", |cell| cell.text.trim());
        if case_id.is_empty() || case_id.len() > CASE_ID_BYTES_MAX {
            return Err(unusable(
                line,
                &mapping.columns.case_id,
                ("办件编号为空或过长", "no case id, or one that is too long"),
            ));
        }
        let row = row(line, &cells, &places, mapping, &mut words)?;
        let Some(operation) = places.operation else {
            books.take(case_id, row);
            continue;
        };
        let word = cells.get(operation).map_or("", |cell| cell.text.trim());
        let is = |words: &[String]| words.iter().any(|known| known == word);
        let deletes = is(&mapping.operations.delete);
        if !deletes && !is(&mapping.operations.put) {
            let heading = mapping.columns.operation.as_deref().unwrap_or_default();
            return Err(unusable(
                line,
                heading,
                (
                    "未知的操作类型（见映射文件 [operations]）",
                    "an operation that [operations] of the mapping does not know",
                ),
            ));
        }
        // Rows without a time count in the order of the file.
        let known = books.changed(case_id).or_else(|| deleted.get(case_id).copied());
        if let (Some(Some(known)), Some(changed)) = (known, row.changed)
            && changed < known
        {
            continue;
        }
        if deletes {
            deleted.insert(case_id.to_owned(), row.changed);
            books.take_operation(case_id, None);
        } else {
            deleted.remove(case_id);
            books.take_operation(case_id, Some(row));
        }
    }
    Ok(rows)
}

fn places(headings: &[Cell], mapping: &Mapping) -> Result<Places, Failure> {
    let find = |heading: &str| {
        let mut places = headings.iter().enumerate().filter(|(_, cell)| cell.text.trim() == heading);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (None, _) => {
                let known: Vec<_> = headings.iter().take(50).map(|cell| cell.text.trim()).collect();
                let known = known.join(", ");
                Err(Failure::input(both!(
                    "台账没有列“{heading}”；表头为：{known}。",
                    "the ledger has no column {heading:?}; its headings: {known}."
                )))
            }
            (Some(_), Some(_)) => Err(Failure::input(both!(
                "台账有多列名为“{heading}”。",
                "the ledger has several columns {heading:?}."
            ))),
        }
    };
    let optional = |heading: &Option<String>| heading.as_deref().map(find).transpose();
    let columns = &mapping.columns;
    Ok(Places {
        case_id: find(&columns.case_id)?,
        state: optional(&columns.state)?,
        item: optional(&columns.item)?,
        project_number: optional(&columns.project_number)?,
        promised_working_days: optional(&columns.promised_working_days)?,
        result: optional(&columns.result)?,
        licence_id: optional(&columns.licence_id)?,
        changed: optional(&columns.changed)?,
        operation: optional(&columns.operation)?,
    })
}

/// Words that many rows share.
#[derive(Debug, Default)]
struct Words {
    states: BTreeMap<String, Arc<LedgerState>>,
    texts: HashMap<String, Arc<str>>,
}

impl Words {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        if self.texts.len() < WORDS_MAX {
            self.texts.insert(text.to_owned(), Arc::clone(&new));
        }
        new
    }

    /// A word that the mapping does not know stands for the state of that very name.
    fn state(&mut self, text: &str, mapping: &Mapping) -> Arc<LedgerState> {
        if let Some(known) = mapping.states.get(text).or_else(|| self.states.get(text)) {
            return Arc::clone(known);
        }
        let new = Arc::new(LedgerState { text: text.to_owned(), means: vec![text.to_owned()] });
        if self.states.len() < WORDS_MAX {
            self.states.insert(text.to_owned(), Arc::clone(&new));
        }
        new
    }
}

fn row(
    line: u64,
    cells: &[Cell],
    places: &Places,
    mapping: &Mapping,
    words: &mut Words,
) -> Result<LedgerRow, Failure> {
    let cell = |place: Option<usize>| {
        place.and_then(|place| cells.get(place)).filter(|cell| !cell.text.trim().is_empty())
    };
    let text = |place| cell(place).map(|cell| cell.text.trim());
    let changed = cell(places.changed).map(|cell| {
        // A number that is no instant as text is a spreadsheet's day.
        instant::parse(&cell.text).or_else(|| cell.serial.and_then(instant::of_serial)).ok_or_else(|| {
            let heading = mapping.columns.changed.as_deref().unwrap_or_default();
            unusable(line, heading, ("不是可读的日期时间", "no date and time that can be read"))
        })
    });
    let days = text(places.promised_working_days).map(|text| {
        text.parse::<u32>().map_err(|_| {
            let heading = mapping.columns.promised_working_days.as_deref().unwrap_or_default();
            unusable(line, heading, ("不是工作日数", "not a number of working days"))
        })
    });
    Ok(LedgerRow {
        line,
        changed: changed.transpose()?,
        state: text(places.state).map(|text| words.state(text, mapping)),
        item: text(places.item).map(|text| words.text(text)),
        project_number: text(places.project_number).map(Into::into),
        promised_working_days: days.transpose()?,
        result: text(places.result).map(|text| words.text(text)),
        licence_id: text(places.licence_id).map(Into::into),
    })
}

fn unusable(line: u64, heading: &str, (zh, en): (&str, &str)) -> Failure {
    Failure::input(both!(
        "台账第 {line} 行“{heading}”列：{zh}。",
        "line {line} of the ledger, column {heading:?}: {en}."
    ))
}
