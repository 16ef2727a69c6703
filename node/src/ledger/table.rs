//! Rows of a ledger file, one at a time: CSV in either encoding, or one sheet of an XLSX file.

use std::cell::Cell as Count;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use calamine::{DataRef, Reader as _, Xlsx, open_workbook};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

use super::mapping::Encoding;
use crate::both;
use crate::console::Failure;

/// Bytes of one row.
const ROW_BYTES_MAX: u64 = 1024 * 1024;
/// Columns of a table.
pub const COLUMNS_MAX: usize = 1000;
/// Bytes of a CSV file.
const CSV_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Bytes of an XLSX file, which is unpacked in memory in part.
const XLSX_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of an XLSX file when it is unpacked.
const XLSX_UNPACKED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// One cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// A spreadsheet's day number, when it is one.
    pub serial: Option<f64>,
}

/// A table that is read row by row.
pub enum Table {
    /// CSV.
    Csv(Box<Csv>),
    /// XLSX.
    Sheet(Sheet),
}

impl Table {
    /// Opens a ledger; its name says what it is.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or has no such sheet.
    pub fn open(path: &Path, encoding: Encoding, sheet: Option<&str>) -> Result<Self, Failure> {
        let shown = path.display();
        let unread = |error: io::Error| {
            Failure::input(both!("读不了台账 {shown}：{error}", "cannot read the ledger {shown}: {error}"))
        };
        let bytes = fs::metadata(path).map_err(unread)?.len();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_sheet = extension.eq_ignore_ascii_case("xlsx");
        let most = if is_sheet { XLSX_BYTES_MAX } else { CSV_BYTES_MAX };
        if bytes > most {
            return Err(Failure::input(both!(
                "台账 {shown} 有 {bytes} 字节，超过上限 {most}。",
                "the ledger {shown} has {bytes} bytes; the limit is {most}."
            )));
        }
        if is_sheet {
            return Sheet::open(path, sheet).map(Self::Sheet);
        }
        if !extension.eq_ignore_ascii_case("csv") {
            return Err(Failure::input(both!(
                "台账 {shown} 须为 .csv 或 .xlsx 文件。",
                "the ledger {shown} must be a .csv or .xlsx file."
            )));
        }
        Ok(Self::csv(File::open(path).map_err(unread)?, encoding))
    }

    /// Reads CSV from anywhere.
    pub fn csv(bytes: impl Read + 'static, encoding: Encoding) -> Self {
        Self::Csv(Box::new(Csv::over(Box::new(bytes), encoding)))
    }

    /// The next row with its line, from 1; nothing: there is none.
    ///
    /// # Errors
    /// For a row that is not written as a table's row is, with its line.
    pub fn next(&mut self, cells: &mut Vec<Cell>) -> Result<Option<u64>, Failure> {
        match self {
            Self::Csv(csv) => csv.next(cells),
            Self::Sheet(sheet) => sheet.next(cells),
        }
    }
}

/// Gives no more than a row's bytes between two rows: a quote that is never closed does not fill the memory.
struct Guarded<R> {
    inner: R,
    left: Rc<Count<u64>>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is longer than 1 MiB"));
        }
        let read = self.inner.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(read as u64));
        Ok(read)
    }
}

/// Bytes in UTF-8, whatever the file is in.
type Decoded = DecodeReaderBytes<Box<dyn Read>, Vec<u8>>;

/// Rows of a CSV file.
pub struct Csv {
    reader: csv::Reader<Guarded<Decoded>>,
    left: Rc<Count<u64>>,
    record: csv::StringRecord,
}

impl Csv {
    fn over(file: Box<dyn Read>, encoding: Encoding) -> Self {
        let mut decoding = DecodeReaderBytesBuilder::new();
        match encoding {
            // Invalid UTF-8 stays as it is, so that it is found in its row.
            Encoding::Utf8 => decoding.utf8_passthru(true).strip_bom(true),
            Encoding::Gb18030 => decoding.encoding(Some(encoding_rs::GB18030)),
        };
        let left = Rc::new(Count::new(ROW_BYTES_MAX));
        let inner = Guarded { inner: decoding.build(file), left: Rc::clone(&left) };
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(inner);
        Self { reader, left, record: csv::StringRecord::new() }
    }

    fn next(&mut self, cells: &mut Vec<Cell>) -> Result<Option<u64>, Failure> {
        self.left.set(ROW_BYTES_MAX);
        let line = self.reader.position().line();
        let is_row = self.reader.read_record(&mut self.record).map_err(|error| {
            let line = error.position().map_or(line, csv::Position::line);
            let (zh, en) = match error.kind() {
                csv::ErrorKind::Utf8 { .. } => (
                    "不是 UTF-8；若为 GB18030，请在映射文件写 encoding = \"gb18030\"".to_owned(),
                    "is not UTF-8; if it is GB 18030, write encoding = \"gb18030\" into the mapping"
                        .to_owned(),
                ),
                kind => (format!("读不了：{kind:?}"), format!("cannot be read: {kind:?}")),
            };
            Failure::input(both!("台账第 {line} 行{zh}。", "line {line} of the ledger {en}."))
        })?;
        if !is_row {
            return Ok(None);
        }
        let line = self.record.position().map_or(line, csv::Position::line);
        if self.record.len() > COLUMNS_MAX {
            return Err(too_many_columns(line));
        }
        cells.resize_with(self.record.len(), Cell::default);
        for (cell, text) in cells.iter_mut().zip(&self.record) {
            // What a decoder could not read.
            if text.contains('\u{fffd}') {
                return Err(Failure::input(both!(
                    "台账第 {line} 行有不能按所写编码解读的字节；请核对映射文件的 encoding。",
                    "line {line} of the ledger has bytes that are not of the stated encoding; check `encoding` \
                     in the mapping."
                )));
            }
            cell.text.clear();
            cell.text.push_str(text);
            cell.serial = None;
        }
        Ok(Some(line))
    }
}

fn too_many_columns(line: u64) -> Failure {
    Failure::input(both!(
        "台账第 {line} 行超过 {COLUMNS_MAX} 列。",
        "line {line} of the ledger has more than {COLUMNS_MAX} columns."
    ))
}

/// Rows of one sheet. Shared strings are in memory, its cells are not.
pub struct Sheet {
    rows: std::sync::mpsc::IntoIter<Result<(u64, Vec<Cell>), Failure>>,
}

impl Sheet {
    fn open(path: &Path, sheet: Option<&str>) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let unread = |error: &dyn std::fmt::Display| {
            Failure::input(both!("读不了台账 {shown}：{error}", "cannot read the ledger {shown}: {error}"))
        };
        let file = File::open(path).map_err(|error| unread(&error))?;
        let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|error| unread(&error))?;
        let mut unpacked: u64 = 0;
        for place in 0..archive.len() {
            let part = archive.by_index_raw(place).map_err(|error| unread(&error))?;
            unpacked = unpacked.saturating_add(part.size());
        }
        if unpacked > XLSX_UNPACKED_BYTES_MAX {
            return Err(Failure::input(both!(
                "台账 {shown} 解压后超过 {XLSX_UNPACKED_BYTES_MAX} 字节，拒绝读取；请改用 CSV。",
                "the ledger {shown} unpacks to more than {XLSX_UNPACKED_BYTES_MAX} bytes and is not read; use CSV."
            )));
        }
        drop(archive);
        let mut book: Xlsx<_> = open_workbook(path).map_err(|error: calamine::XlsxError| unread(&error))?;
        let names = book.sheet_names();
        let name = match sheet {
            Some(name) if names.iter().any(|known| known == name) => name.to_owned(),
            Some(name) => {
                let names = names.join(", ");
                return Err(Failure::input(both!(
                    "台账 {shown} 没有工作表“{name}”，有：{names}。",
                    "the ledger {shown} has no sheet {name:?}; it has: {names}."
                )));
            }
            None => names.first().cloned().ok_or_else(|| unread(&"no sheet"))?,
        };
        // A thread of its own: calamine's cells borrow the book.
        let (sender, rows) = std::sync::mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            let failed = |error: calamine::XlsxError| {
                Failure::input(both!("读不了台账：{error}", "the ledger cannot be read: {error}"))
            };
            let mut cells = match book.worksheet_cells_reader(&name) {
                Ok(cells) => cells,
                Err(error) => {
                    let _ = sender.send(Err(failed(error)));
                    return;
                }
            };
            let mut row: (u32, Vec<Cell>) = (0, Vec::new());
            loop {
                match cells.next_cell() {
                    Ok(Some(cell)) => {
                        let (line, column) = cell.get_position();
                        if line != row.0 {
                            let done = std::mem::replace(&mut row, (line, Vec::new()));
                            if !done.1.is_empty() && sender.send(Ok((u64::from(done.0) + 1, done.1))).is_err()
                            {
                                return;
                            }
                        }
                        let column = column as usize;
                        if column >= COLUMNS_MAX {
                            let _ = sender.send(Err(too_many_columns(u64::from(line) + 1)));
                            return;
                        }
                        if row.1.len() <= column {
                            row.1.resize_with(column + 1, Cell::default);
                        }
                        row.1[column] = cell_of(cell.get_value());
                    }
                    Ok(None) => {
                        if !row.1.is_empty() {
                            let _ = sender.send(Ok((u64::from(row.0) + 1, row.1)));
                        }
                        return;
                    }
                    Err(error) => {
                        let _ = sender.send(Err(failed(error)));
                        return;
                    }
                }
            }
        });
        Ok(Self { rows: rows.into_iter() })
    }

    fn next(&mut self, cells: &mut Vec<Cell>) -> Result<Option<u64>, Failure> {
        match self.rows.next() {
            None => Ok(None),
            Some(Ok((line, row))) => {
                *cells = row;
                Ok(Some(line))
            }
            Some(Err(failure)) => Err(failure),
        }
    }
}

fn cell_of(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::String(text) => Cell { text: text.clone(), serial: None },
        DataRef::SharedString(text) => Cell { text: (*text).to_owned(), serial: None },
        // A long number was typed as text, or it has lost its last digits already: nothing can be done here.
        DataRef::Float(number) => Cell { text: format!("{number}"), serial: Some(*number) },
        DataRef::Int(number) => Cell { text: number.to_string(), serial: Some(*number as f64) },
        DataRef::Bool(bit) => Cell { text: bit.to_string(), serial: None },
        DataRef::DateTime(instant) => {
            Cell { text: instant.as_f64().to_string(), serial: Some(instant.as_f64()) }
        }
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Cell { text: text.clone(), serial: None },
        DataRef::Error(_) | DataRef::Empty => Cell::default(),
    }
}
