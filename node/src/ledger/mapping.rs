//! The mapping file: which column of a ledger says what, and what its states are called. TOML.
//!
//! ```toml
//! encoding = "gb18030"            # or "utf-8", the default; CSV only
//! sheet = "办件"                   # XLSX only; the first sheet when absent
//!
//! [columns]                       # what we ask for = the ledger's heading; only case_id is needed
//! case_id = "办件编号"
//! state = "办理状态"
//! changed = "更新时间"
//! operation = "cd_operation"      # exports of operations: the youngest row of a case counts
//!
//! [states]                        # the ledger's words = one state of a case, or several
//! "已受理" = "accepted"
//! "办理中" = ["accepted", "under_review"]
//!
//! [operations]                    # the words of `operation`; these are the defaults
//! put = ["I", "U", "insert", "update"]
//! delete = ["D", "delete"]
//! ```

use gateway::reconcile::books::LedgerState;
use gateway::service::case::CaseState;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::both;
use crate::console::Failure;

/// Bytes of a mapping file.
const MAPPING_BYTES_MAX: u64 = 256 * 1024;

/// Of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    #[default]
    #[serde(rename = "utf-8", alias = "utf8", alias = "UTF-8")]
    Utf8,
    /// GB 18030-2022, which GBK and GB 2312 are parts of.
    #[serde(rename = "gb18030", alias = "GB18030", alias = "gbk", alias = "GBK", alias = "gb2312")]
    Gb18030,
}

/// Headings of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The case id that the node knows.
    pub case_id: String,
    /// 办理状态.
    pub state: Option<String>,
    /// 事项编码.
    pub item: Option<String>,
    /// 办件编号 of the receiving place.
    pub project_number: Option<String>,
    /// 承诺时限, working days.
    pub promised_working_days: Option<String>,
    /// 办结结果.
    pub result: Option<String>,
    /// 证照标识.
    pub licence_id: Option<String>,
    /// When the row was changed last.
    pub changed: Option<String>,
    /// What was done to the row (`cd_operation`).
    pub operation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Means {
    One(String),
    Several(Vec<String>),
}

/// Words of the column `operation`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// The row is as it says.
    pub put: Vec<String>,
    /// The row is gone.
    pub delete: Vec<String>,
}

impl Default for Operations {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self { put: words(&["I", "U", "insert", "update"]), delete: words(&["D", "delete"]) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    encoding: Encoding,
    sheet: Option<String>,
    columns: Columns,
    #[serde(default)]
    states: BTreeMap<String, Means>,
    #[serde(default)]
    operations: Operations,
}

/// How a ledger is read.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Of CSV.
    pub encoding: Encoding,
    /// Of XLSX.
    pub sheet: Option<String>,
    /// Where what stands.
    pub columns: Columns,
    /// By the ledger's words.
    pub states: BTreeMap<String, Arc<LedgerState>>,
    /// Words of `operation`.
    pub operations: Operations,
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// When it cannot be read, is no such file, or names a state that no case has.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let unread = |error: std::io::Error| {
            Failure::input(both!(
                "读不了映射文件 {shown}：{error}",
                "cannot read the mapping {shown}: {error}"
            ))
        };
        if fs::metadata(path).map_err(unread)?.len() > MAPPING_BYTES_MAX {
            return Err(Failure::input(both!(
                "映射文件 {shown} 超过 256 KiB。",
                "the mapping {shown} is larger than 256 KiB."
            )));
        }
        Self::parse(&fs::read_to_string(path).map_err(unread)?).map_err(|what| {
            Failure::input(both!(
                "映射文件 {shown} 不可用：{what}",
                "the mapping {shown} cannot be used: {what}"
            ))
        })
    }

    /// Reads the text of a mapping file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut states = BTreeMap::new();
        for (word, means) in file.states {
            let means = match means {
                Means::One(one) => vec![one],
                Means::Several(several) => several,
            };
            for name in &means {
                if name != "refused" && CaseState::named(name).is_none() {
                    let known: Vec<_> = CaseState::ALL.iter().map(|state| state.name()).collect();
                    return Err(format!("states.{word}: {name}: {}, refused", known.join(", ")));
                }
            }
            if means.is_empty() {
                return Err(format!("states.{word}: []"));
            }
            states.insert(word.clone(), Arc::new(LedgerState { text: word, means }));
        }
        Ok(Self {
            encoding: file.encoding,
            sheet: file.sheet,
            columns: file.columns,
            states,
            operations: file.operations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_columns_and_states_and_has_defaults_for_the_rest() {
        let mapping = Mapping::parse(
            "[columns]\ncase_id = \"办件编号\"\n[states]\n\"已受理\" = \"accepted\"\n\
             \"办理中\" = [\"accepted\", \"under_review\"]\n",
        )
        .unwrap();
        assert_eq!(mapping.columns.case_id, "办件编号");
        assert_eq!(mapping.states["办理中"].means, ["accepted", "under_review"]);
        assert_eq!((mapping.encoding, mapping.operations.delete.len()), (Encoding::Utf8, 2));
    }

    #[test]
    fn the_sample_of_the_guide_is_a_mapping() {
        let mapping = Mapping::parse(include_str!("../../docs/samples/ledger-mapping.toml")).unwrap();
        assert_eq!(mapping.columns.operation.as_deref(), Some("cd_operation"));
    }

    #[test]
    fn what_a_mapping_cannot_mean_is_refused_by_name() {
        for (text, named) in [
            ("[columns]\nstate = \"办理状态\"\n", "case_id"),
            ("[columns]\ncase_id = \"a\"\ncolour = \"b\"\n", "colour"),
            ("[columns]\ncase_id = \"a\"\n[states]\n\"x\" = \"done\"\n", "done"),
            ("[columns]\ncase_id = \"a\"\n[states]\n\"x\" = []\n", "states.x"),
            ("encoding = \"big5\"\n[columns]\ncase_id = \"a\"\n", "big5"),
        ] {
            let refused = Mapping::parse(text).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
