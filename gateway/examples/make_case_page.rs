//! Writes the page and the diagram of a case's life into `node/docs`, from the table in
//! `service::case`. `tests/case_page.rs` fails while they are older than the table.

use gateway::service::case::page;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/docs");
    std::fs::write(docs.join("cases.md"), page::markdown())?;
    std::fs::write(docs.join(page::DIAGRAM_FILE), page::diagram())
}
