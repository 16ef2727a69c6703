//! What people write: identifiers, configuration, case files, CSV.

use certs::{Division, DivisionPrefix, DomainName, SpiffeId};
use gateway::codes::{self, CodeKind};
use gateway::id::{CaseId, ChannelId, Digest, Kind, MessageId, NodeId};
use gateway::limits::MATERIALS_MAX;
use gateway::reconcile::books::{Books, Class};
use gateway::service::case::CaseState;
use gateway::service::date::Date;
use gateway::time::UnixMillis;
use node::cli::case_file::{CaseFile, LicenceFile, instant, parse_json};
use node::config::Config;
use node::ledger;
use node::ledger::mapping::{Encoding, Mapping};
use node::ledger::table::Table;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

/// Every identifier: whatever is taken is written back as it was.
pub(super) fn identifiers(bytes: &[u8]) {
    fn same<T: FromStr + Display>(text: &str) {
        if let Ok(value) = text.parse::<T>() {
            assert_eq!(value.to_string(), text);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    same::<NodeId>(text);
    same::<CaseId>(text);
    same::<Date>(text);
    same::<Division>(text);
    same::<DivisionPrefix>(text);
    same::<DomainName>(text);
    same::<SpiffeId>(text);
    // These have a second spelling: `>` for the arrow, hyphens or none.
    if let Ok(channel) = text.parse::<ChannelId>() {
        assert_eq!(channel.to_string().parse(), Ok(channel));
    }
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(digest) = Digest::from_text(text) {
        assert_eq!(digest.to_text(), text, "a digest has one text");
    }
    if let Some(kind) = Kind::named(text) {
        assert_eq!(kind.name(), text);
    }
    let _ = instant(text);
    for kind in CodeKind::ALL {
        let _ = codes::check(kind, text);
    }
}

/// A configuration file.
pub(super) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(Path::new("/etc/tongban/tongban.toml"), text) {
        Ok(config) => assert!(config.peers.iter().all(|peer| peer.node != config.node)),
        Err(problems) => {
            let lines = text.lines().count().max(1);
            let outside = problems.problems.iter().filter_map(|problem| problem.line);
            assert!(outside.into_iter().all(|line| (1..=lines + 1).contains(&line)), "a line that is there");
            let _ = problems.to_string();
        }
    }
}

/// The JSON of a case or a licence.
pub(super) fn case_file(bytes: &[u8]) {
    if let Ok(case) = CaseFile::parse(bytes) {
        assert!(case.materials.len() <= MATERIALS_MAX);
        let id = case
            .case_id
            .clone()
            .unwrap_or_else(|| "KST4306004212002026112300000001A".parse().expect("a case id"));
        let _ = case.to_payload(&id, UnixMillis(0));
    }
    if let Ok(licence) = parse_json::<LicenceFile>(bytes) {
        let _ = licence.to_payload();
    }
}

/// A CSV file of identifiers: one answer a row, each a JSON line.
pub(super) fn codes(bytes: &[u8]) {
    let mut output = Vec::new();
    if node::cli::codes::check_rows(bytes, &mut output).is_ok() {
        let text = String::from_utf8(output).expect("the answers are text");
        for line in text.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "each answer is a JSON line");
        }
    }
}

/// The mapping of a ledger: every state that it names is one.
pub(super) fn mapping(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(mapping) = Mapping::parse(text) {
        let means = mapping.states.values().flat_map(|state| &state.means);
        assert!(means.into_iter().all(|name| name == "refused" || CaseState::named(name).is_some()));
    }
}

/// A ledger in CSV, read by the guide's mapping: what is taken is counted once everywhere, and a refusal
/// names a line that is there.
pub(super) fn ledger(bytes: &[u8]) {
    const SAMPLE: &str = include_str!("../../../node/docs/samples/ledger-mapping.toml");
    let mut mapping = Mapping::parse(SAMPLE).expect("the sample is a mapping");
    let Some((first, csv)) = bytes.split_first() else { return };
    mapping.encoding = if first & 1 == 0 { Encoding::Utf8 } else { Encoding::Gb18030 };
    if first & 2 == 0 {
        mapping.columns.operation = None;
    }
    let mut books = Books::new(UnixMillis(u64::MAX));
    let table = Table::csv(std::io::Cursor::new(csv.to_vec()), mapping.encoding);
    match ledger::read_table(table, &mapping, &mut books, |_| {}) {
        Ok(rows) => {
            let outcome = books.finish();
            assert!(outcome.ledger_rows <= rows);
            let stated: u64 = outcome.by_item.values().map(|total| total.ledger).sum();
            let found: u64 = outcome.counts.values().sum();
            assert!(stated <= outcome.ledger_rows && found == outcome.ledger_rows);
            assert!(outcome.counts.keys().all(|class| matches!(class, Class::LedgerOnly | Class::Duplicate)));
        }
        Err(failure) => {
            let said = &failure.text.en;
            let line = said.split_once("line ").and_then(|(_, rest)| {
                rest.split(|c: char| !c.is_ascii_digit())
                    .next()
                    .and_then(|digits| digits.parse::<usize>().ok())
            });
            let lines = csv.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 2;
            assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{said}");
        }
    }
}
