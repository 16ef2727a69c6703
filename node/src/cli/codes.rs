//! `codes check`: judges the identifiers of a CSV file, row by row, without holding the file in
//! memory. Output is always one JSON object a line. Values appear as they were given, resident ids
//! too: the operator supplied them.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use gateway::codes::{self, CodeKind};

use crate::both;
use crate::console::Failure;

/// `tongban codes check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// CSV in UTF-8 with a header row; `-` is stdin. 含表头的 CSV 文件
    #[arg(long, value_name = "CSV")]
    pub file: PathBuf,
}

/// One line of output. The order of the fields is the order in the output.
#[derive(serde::Serialize)]
struct Line<'a> {
    kind: &'a str,
    value: &'a str,
    valid: bool,
    reason: &'a str,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read, is not CSV, or has no columns `kind` and `value`. An identifier
/// that is not valid is a result and no error.
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    let stdout = BufWriter::new(std::io::stdout().lock());
    if args.file == Path::new("-") {
        return check_rows(std::io::stdin().lock(), stdout);
    }
    let shown = args.file.display();
    let file = std::fs::File::open(&args.file)
        .map_err(|error| Failure::input(both!("读不了 {shown}:{error}", "cannot read {shown}: {error}")))?;
    check_rows(BufReader::new(file), stdout)
}

/// Judges every row of `input`; one JSON object a line on `output`.
///
/// # Errors
/// As [`check`].
pub fn check_rows(input: impl Read, mut output: impl Write) -> Result<(), Failure> {
    let not_csv =
        |error: csv::Error| Failure::input(both!("不是可读的 CSV:{error}", "cannot be read as CSV: {error}"));
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let headings = rows.byte_headers().map_err(not_csv)?;
    let column = |wanted: &str| headings.iter().position(|name| plain(name) == wanted.as_bytes());
    let (Some(kind), Some(value)) = (column("kind"), column("value")) else {
        return Err(Failure::input(both!(
            "表头须有 kind 与 value 两列。",
            "the header row needs the columns kind and value."
        )));
    };
    let mut row = csv::ByteRecord::new();
    while rows.read_byte_record(&mut row).map_err(not_csv)? {
        // A row that is too short has an empty value, which every kind refuses.
        let kind = String::from_utf8_lossy(row.get(kind).unwrap_or_default());
        let value = String::from_utf8_lossy(row.get(value).unwrap_or_default());
        let (valid, reason) = judge(&kind, &value);
        let line = Line { kind: &kind, value: &value, valid, reason };
        serde_json::to_writer(&mut output, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| output.write_all(b"\n"))
            .map_err(|error| Failure::output(&error))?;
    }
    output.flush().map_err(|error| Failure::output(&error))
}

/// Validity and reason: `ok`, or the stable code of what is wrong.
fn judge(kind: &str, value: &str) -> (bool, &'static str) {
    let Ok(kind) = kind.parse::<CodeKind>() else { return (false, "UNKNOWN_KIND") };
    match codes::check(kind, value) {
        Ok(()) => (true, "ok"),
        Err(error) => (false, error.code()),
    }
}

/// A heading without the byte order mark that spreadsheet programs write first.
fn plain(heading: &[u8]) -> &[u8] {
    heading.strip_prefix(b"\xef\xbb\xbf").unwrap_or(heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../gateway/src/codes/data/id_vectors.csv");

    fn lines(input: &[u8]) -> Vec<serde_json::Value> {
        let mut output = Vec::new();
        check_rows(input, &mut output).expect("readable");
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_vectors_come_out_as_they_say() {
        let mut expected = csv::Reader::from_reader(VECTORS.as_bytes());
        let found = lines(VECTORS.as_bytes());
        let mut count = 0;
        for (row, line) in expected.records().zip(&found) {
            let row = row.unwrap();
            count += 1;
            assert_eq!((&row[0], &row[1]), (line["kind"].as_str().unwrap(), line["value"].as_str().unwrap()));
            assert_eq!(&row[2] == "true", line["valid"].as_bool().unwrap(), "{line}");
            let allowed = row[3].split(['(', ' ']).next().unwrap();
            assert!(allowed.split('/').any(|code| code == line["reason"]), "{line}: {allowed}");
        }
        assert_eq!((count, found.len()), (55, 55));
    }

    #[test]
    fn columns_are_found_by_name_and_fields_come_in_order() {
        let mut output = Vec::new();
        check_rows(
            &b"\xef\xbb\xbfvalue,note,kind\n430600,x,division\nv,,colour\n,,uscc\nshort\n"[..],
            &mut output,
        )
        .unwrap();
        let text = String::from_utf8(output).unwrap();
        let first = "{\"kind\":\"division\",\"value\":\"430600\",\"valid\":true,\"reason\":\"ok\"}\n";
        assert!(text.starts_with(first), "{text}");
        assert!(
            text.contains(
                "{\"kind\":\"colour\",\"value\":\"v\",\"valid\":false,\"reason\":\"UNKNOWN_KIND\"}"
            )
        );
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn a_file_without_its_columns_is_refused() {
        let failure = check_rows(&b"kind,number\nuscc,1\n"[..], Vec::new()).unwrap_err();
        assert_eq!(failure.exit, 3);
        assert!(check_rows(&b""[..], Vec::new()).is_err());
    }
}
