//! `standard check`, `standard diff`: look at standards before anybody signs them. No node is needed.

use std::path::{Path, PathBuf};

use clap::Args;
use gateway::limits::ENVELOPE_BYTES_MAX;
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::equivalence::{Relation, compare};
use gateway::service::standard::Standard;
use gateway::wire::document::Document as _;
use serde_json::json;

use super::read_input;
use crate::console::{Console, Failure};
use crate::text::table::Table;

/// `tongban standard check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The standard, JSON as for `standard publish`; `-` is stdin. 标准（JSON）
    #[arg(value_name = "JSON")]
    pub file: PathBuf,
}

/// `tongban standard diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// One standard. 前一份标准
    #[arg(value_name = "JSON")]
    pub first: PathBuf,
    /// The other one. 后一份标准
    #[arg(value_name = "JSON")]
    pub second: PathBuf,
    /// Leave out what both say alike. 只列不一致者
    #[arg(long)]
    pub differing: bool,
}

fn read(file: &Path) -> Result<Standard, Failure> {
    Ok(Standard::from_json(&read_input(file, ENVELOPE_BYTES_MAX as u64)?)?)
}

/// Checks a standard: its shape, catch-all clauses (兜底条款) and vague wording, each with its place.
///
/// # Errors
/// `document.malformed` with the first finding, after all of them were printed.
pub fn check(console: Console, args: &CheckArgs) -> Result<(), Failure> {
    let standard = read(&args.file)?;
    let mut findings = standard.lint();
    findings.extend(standard.vague());
    let rows: Vec<_> =
        findings.iter().map(|finding| json!({ "place": finding.place, "why": finding.why })).collect();
    let document = json!({
        "id": standard.id,
        "item": standard.item,
        "edition": standard.edition,
        "findings": rows,
    });
    console.result(&document, |lang| {
        if findings.is_empty() {
            return lang.pick("可以发布。", "It can be published.").to_owned();
        }
        let mut table = Table::new(lang.pick(["位置", "问题"], ["place", "what is wrong"]));
        for finding in &findings {
            table.row([finding.place.clone(), finding.why.clone()]);
        }
        table.render()
    })?;
    match findings.first() {
        None => Ok(()),
        Some(finding) => Err(Refusal::new(RefusalCode::DocumentMalformed, finding.to_string()).into()),
    }
}

/// Compares two standards of one item, thing by thing.
///
/// # Errors
/// When a file is no standard.
pub fn diff(console: Console, args: &DiffArgs) -> Result<(), Failure> {
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    let mut lines = compare(&first, &second);
    if args.differing {
        lines.retain(|line| line.relation != Relation::Same);
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "place": line.place,
                "relation": line.relation.name(),
                "first": line.first,
                "second": line.second,
            })
        })
        .collect();
    console.result(&json!({ "lines": rows }), |lang| {
        let mut table =
            Table::new(lang.pick(["位置", "比较", "前者", "后者"], ["place", "relation", "first", "second"]));
        for line in &lines {
            table.row([
                line.place.clone(),
                lang.pick(line.relation.zh(), line.relation.name()).to_owned(),
                line.first.clone(),
                line.second.clone(),
            ]);
        }
        table.render()
    })
}
