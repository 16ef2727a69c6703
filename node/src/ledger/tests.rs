//! Ledgers as they come: two encodings, two formats, and everything that is wrong with them.

use super::*;
use gateway::reconcile::books::{BookedRow, Class, Outcome};
use std::fs;

const MAPPING: &str = "[columns]\ncase_id = \"办件编号\"\nstate = \"办理状态\"\nitem = \"事项编码\"\n\
    promised_working_days = \"承诺时限\"\nchanged = \"更新时间\"\n[states]\n\"办结\" = \"closed\"\n\"受理\" = \"accepted\"\n";
const HEADING: &str = "办件编号,姓名,办理状态,事项编码,承诺时限,更新时间\n";

fn mapping(text: &str) -> Mapping {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.toml");
    fs::write(&path, text).unwrap();
    Mapping::load(&path).unwrap_or_else(|failure| panic!("{}", failure.text.en))
}

fn read_bytes(name: &str, bytes: &[u8], mapping: &Mapping) -> Result<Books, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let mut books = Books::new(UnixMillis(u64::MAX));
    read(&path, mapping, &mut books, |_| {}).map_err(|failure| failure.text.en)?;
    Ok(books)
}

fn against(mut books: Books, cases: &[(&str, &str)]) -> Outcome {
    for (case_id, state) in cases {
        books.hold(&BookedRow {
            case_id: (*case_id).into(),
            state: (*state).into(),
            item: "A".into(),
            promised_working_days: Some(5),
            ..BookedRow::default()
        });
    }
    books.finish()
}

#[test]
fn a_ledger_is_read_alike_in_utf_8_with_and_without_mark_and_in_gb18030() {
    let text = format!("{HEADING}1,张三,办结,A,5,2026-11-30 10:00:00\n2,“李·四”,受理,A,5,2026/11/30 10:00\n");
    let utf8 = mapping(MAPPING);
    let gb = mapping(&format!("encoding = \"gb18030\"\n{MAPPING}"));
    let (encoded, _, _) = encoding_rs::GB18030.encode(&text);
    for (bytes, mapping) in [
        (text.clone().into_bytes(), &utf8),
        (format!("\u{feff}{text}").into_bytes(), &utf8),
        (encoded.into(), &gb),
    ] {
        let outcome =
            against(read_bytes("a.csv", &bytes, mapping).unwrap(), &[("1", "closed"), ("2", "accepted")]);
        assert_eq!((outcome.ledger_rows, outcome.agreed, outcome.findings.len()), (2, 2, 0));
    }
}

#[test]
fn a_sheet_is_read_with_its_numbers_and_days() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let other = book.add_worksheet();
    other.set_name("说明").unwrap();
    let sheet = book.add_worksheet();
    sheet.set_name("办件").unwrap();
    for (column, heading) in HEADING.trim().split(',').enumerate() {
        sheet.write(0, column as u16, heading).unwrap();
    }
    sheet.write(1, 0, "1").unwrap().write(1, 2, "办结").unwrap().write(1, 3, "A").unwrap();
    sheet.write(1, 4, 5).unwrap();
    let day = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd hh:mm");
    sheet.write_with_format(1, 5, 46_356.5, &day).unwrap();
    sheet.write(3, 0, "2").unwrap().write(3, 2, "受理").unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let of_sheet = mapping(&format!("sheet = \"办件\"\n{MAPPING}"));
    let outcome =
        against(read_bytes("a.xlsx", &bytes, &of_sheet).unwrap(), &[("1", "closed"), ("2", "accepted")]);
    assert_eq!((outcome.agreed, outcome.findings.len()), (2, 0));
    let refused = read_bytes("a.xlsx", &bytes, &mapping(&format!("sheet = \"x\"\n{MAPPING}"))).unwrap_err();
    assert!(refused.contains("办件"), "{refused}");
    let refused = read_bytes("a.xlsx", &bytes, &mapping(MAPPING)).unwrap_err();
    assert!(refused.contains("heading"), "the first sheet has none: {refused}");
}

#[test]
fn of_an_export_of_operations_the_youngest_row_counts_in_whatever_order_they_come() {
    let mapping = mapping(&MAPPING.replace("changed = ", "operation = \"cd_operation\"\nchanged = "));
    let heading = HEADING.replace("更新时间", "更新时间,cd_operation");
    let text = format!(
        "{heading}1,,办结,A,5,2026-11-30 10:00:02,U\n1,,受理,A,5,2026-11-30 10:00:01,I\n\
         2,,办结,A,5,2026-11-30 10:00:05,D\n2,,办结,A,5,2026-11-30 10:00:01,I\n\
         3,,受理,A,5,2026-11-30 10:00:01,I\n3,,,,,2026-11-30 10:00:02,D\n3,,办结,A,5,2026-11-30 10:00:03,I\n"
    );
    let outcome =
        against(read_bytes("a.csv", text.as_bytes(), &mapping).unwrap(), &[("1", "closed"), ("3", "closed")]);
    assert_eq!((outcome.agreed, outcome.ledger_rows, outcome.findings), (2, 2, vec![]));
    let unknown = text.replace(",D\n", ",X\n");
    let refused = read_bytes("a.csv", unknown.as_bytes(), &mapping).unwrap_err();
    assert!(refused.contains("line 4") && refused.contains("operation"), "{refused}");
}

#[test]
fn what_is_wrong_with_a_ledger_is_named_by_line_and_column_and_never_quoted() {
    let mapping = mapping(MAPPING);
    let with = |row: &str| format!("{HEADING}1,张三,办结,A,5,2026-11-30\n{row}\n").into_bytes();
    for (name, bytes, named) in [
        ("a.csv", b"".to_vec(), "no heading"),
        ("a.csv", "办件编号,姓名\n".as_bytes().to_vec(), "办理状态"),
        ("a.csv", format!("{},办理状态\n", HEADING.trim()).into_bytes(), "several columns"),
        ("a.csv", with(",张三,办结,A,5,2026-11-30"), "line 3"),
        ("a.csv", with("2,张三,办结,A,五天,2026-11-30"), "承诺时限"),
        ("a.csv", with("2,张三,办结,A,5,上周"), "更新时间"),
        ("a.csv", [&with("2,")[..], b"\xd5\xc5\xc8\xfd,\n"].concat(), "gb18030"),
        ("a.csv", format!("{HEADING}\"{}", "张三".repeat(400_000)).into_bytes(), "longer than 1 MiB"),
        ("a.csv", format!("{HEADING}{}\n", ",".repeat(2_000)).into_bytes(), "1000 columns"),
        ("a.xlsx", b"not a spreadsheet".to_vec(), "cannot read"),
        ("a.doc", with("2,张三,办结,A,5,2026-11-30"), ".csv or .xlsx"),
    ] {
        let refused = read_bytes(name, &bytes, &mapping).unwrap_err();
        assert!(refused.contains(named), "{named}: {refused}");
        assert!(!refused.contains("张三"), "{refused}");
    }
}

#[test]
fn a_duplicate_key_is_a_finding_and_a_word_that_the_mapping_does_not_know_is_a_state_of_that_name() {
    let text = format!("{HEADING}1,,closed,A,5,\n1,,closed,A,5,\n2,,天知道,A,5,\n");
    let outcome = against(
        read_bytes("a.csv", text.as_bytes(), &mapping(MAPPING)).unwrap(),
        &[("1", "closed"), ("2", "closed")],
    );
    let classes: Vec<_> = outcome.findings.iter().map(|finding| finding.class).collect();
    assert_eq!(classes, [Class::State, Class::Duplicate]);
}
