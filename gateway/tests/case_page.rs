//! The page of a case's life in the documentation says what the table says.
#![allow(clippy::unwrap_used, reason = "tests")]

use gateway::service::case::page;
use std::path::Path;

#[test]
fn the_committed_page_and_diagram_are_those_of_the_table() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/docs");
    let read = |file: &str| std::fs::read_to_string(docs.join(file)).unwrap();
    let again = "run `cargo run -p gateway --example make_case_page` and commit what it writes";
    assert!(read("cases.md") == page::markdown(), "node/docs/cases.md is older than the table: {again}");
    assert!(read(page::DIAGRAM_FILE) == page::diagram(), "the diagram is older than the table: {again}");
}
