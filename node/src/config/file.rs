//! The text of a configuration file: its tables as serde reads them, where each key stands, and
//! which keys are unknown. Nothing here knows what a setting means.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::Error as NamesError;
use serde::de::{Error as _, Visitor};
use toml::de::{DeTable, DeValue};

use super::Problem;
use crate::both;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct FileTable {
    pub node: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub peer_listener: Option<PeerListenerTable>,
    pub local: Option<LocalTable>,
    pub identity: Option<IdentityTable>,
    pub trust: Option<TrustTable>,
    pub peer: Vec<PeerTable>,
    pub limits: Option<LimitsTable>,
    pub log: Option<LogTable>,
    pub observe: Option<ObserveTable>,
    pub alarm: Option<AlarmTable>,
    pub calendar: Option<CalendarTable>,
}

/// `[calendar]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct CalendarTable {
    pub file: Option<PathBuf>,
}

/// `[peer_listener]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct PeerListenerTable {
    pub address: Option<String>,
}

/// `[local]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct LocalTable {
    pub socket: Option<PathBuf>,
}

/// `[identity]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct IdentityTable {
    pub tls_chain: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub signing_chain: Option<PathBuf>,
    pub signing_key: Option<PathBuf>,
    pub older_signing_chains: Vec<PathBuf>,
}

/// `[trust]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct TrustTable {
    pub dir: Option<PathBuf>,
    pub bundles: Option<PathBuf>,
    pub bundle_grace_hours: Option<u64>,
}

/// `[[peer]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct PeerTable {
    pub node: Option<String>,
    pub address: Option<String>,
    pub dial: Option<bool>,
}

/// `[limits]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct LimitsTable {
    pub overdue_seconds: Option<u64>,
    pub disk_low_mib: Option<u64>,
    pub staged_mib: Option<u64>,
    pub peer_entries_per_second: Option<u64>,
    pub peer_kib_per_second: Option<u64>,
    pub submitter_entries_per_second: Option<u64>,
    pub submitter_kib_per_second: Option<u64>,
}

/// `[log]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct LogTable {
    pub format: Option<String>,
    pub level: Option<String>,
}

/// `[observe]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct ObserveTable {
    pub address: Option<String>,
}

/// `[alarm]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "each setting is explained in tongban.sample.toml")]
pub struct AlarmTable {
    pub command: Option<Vec<String>>,
    pub webhook: Option<String>,
}

/// The tables and their keys. The key lists come from the structs themselves, by way of serde, so
/// that they cannot differ; a new table has to be entered here, or its keys are refused.
pub fn known_keys() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("", names_of::<FileTable>()),
        ("peer_listener", names_of::<PeerListenerTable>()),
        ("local", names_of::<LocalTable>()),
        ("identity", names_of::<IdentityTable>()),
        ("trust", names_of::<TrustTable>()),
        ("peer", names_of::<PeerTable>()),
        ("limits", names_of::<LimitsTable>()),
        ("log", names_of::<LogTable>()),
        ("observe", names_of::<ObserveTable>()),
        ("alarm", names_of::<AlarmTable>()),
        ("calendar", names_of::<CalendarTable>()),
    ])
}

/// A file that has no unknown key and whose values have the right types.
#[derive(Debug)]
pub struct Document {
    /// The values.
    pub table: FileTable,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// What is not TOML; all unknown keys; the first value of a wrong type.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let tree = DeTable::parse(text).map_err(|error| vec![of_toml(text, &error, &BTreeMap::new())])?;
        let mut walk = Walk { text, known: known_keys(), lines: BTreeMap::new(), problems: Vec::new() };
        walk.table("", "", tree.get_ref());
        if !walk.problems.is_empty() {
            return Err(walk.problems);
        }
        match toml::from_str(text) {
            Ok(table) => Ok(Self { table, lines: walk.lines }),
            Err(error) => Err(vec![of_toml(text, &error, &walk.lines)]),
        }
    }

    /// The line of a setting, or of the table that it is missing from, counted from 1.
    pub fn line_of(&self, setting: &str) -> Option<usize> {
        let table = setting.rsplit_once('.').map(|(table, _)| table);
        self.lines.get(setting).or_else(|| table.and_then(|table| self.lines.get(table))).copied()
    }
}

/// Looks at every key once: notes its line, and refuses it when it is unknown.
struct Walk<'a> {
    text: &'a str,
    known: BTreeMap<&'static str, &'static [&'static str]>,
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// `name`: of the table; `place`: the same with the index of a `[[peer]]`.
    fn table(&mut self, name: &str, place: &str, table: &DeTable<'_>) {
        let Some(known) = self.known.get(name).copied() else { return };
        for (key, value) in table {
            let line = line_of(self.text, key.span());
            let key = key.get_ref().as_ref();
            let setting = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
            if !known.contains(&key) {
                let text = self.unknown(name, key, known);
                self.problems.push(Problem { line: Some(line), setting, text });
                continue;
            }
            self.lines.insert(setting.clone(), line);
            match value.get_ref() {
                DeValue::Table(inner) => self.table(key, &setting, inner),
                DeValue::Array(elements) => {
                    for (index, element) in elements.iter().enumerate() {
                        if let DeValue::Table(inner) = element.get_ref() {
                            let place = format!("{setting}[{index}]");
                            self.lines.insert(place.clone(), line_of(self.text, element.span()));
                            self.table(key, &place, inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn unknown(&self, table: &str, key: &str, known: &[&str]) -> crate::text::Both {
        let home = self.known.iter().find(|(name, keys)| **name != table && keys.contains(&key));
        if let Some((home, _)) = home {
            let home = if home.is_empty() { "".to_owned() } else { format!("[{home}]") };
            return match home.as_str() {
                "" => both!(
                    "未知的设置 {key}；它应写在文件开头，任何 [表] 之前。",
                    "unknown setting {key}; it belongs at the top of the file, before any [table]."
                ),
                home => both!(
                    "此处没有 {key}；它应写在 {home} 之下。",
                    "there is no {key} here; it belongs under {home}."
                ),
            };
        }
        let near = known
            .iter()
            .max_by(|a, b| {
                strsim::normalized_damerau_levenshtein(key, a)
                    .total_cmp(&strsim::normalized_damerau_levenshtein(key, b))
            })
            .copied()
            .unwrap_or_default();
        both!(
            "未知的设置 {key}；最接近的是 {near}。",
            "unknown setting {key}; the nearest known one is {near}."
        )
    }
}

/// The problem that toml or serde found.
fn of_toml(text: &str, error: &toml::de::Error, lines: &BTreeMap<String, usize>) -> Problem {
    let line = error.span().map(|span| line_of(text, span));
    // Values stand on the line of their key in every file that people write.
    let setting = lines.iter().find(|(_, of_key)| Some(**of_key) == line).map(|(setting, _)| setting.clone());
    // The first line says what is wrong; what follows it quotes the file.
    let said = error.message().lines().next().unwrap_or_default().to_owned();
    Problem {
        line,
        setting: setting.unwrap_or_default(),
        text: both!(
            "不合 TOML 写法或类型不符（{said}）；请参照 tongban.sample.toml 改正。",
            "is not TOML or of another type ({said}); correct it as tongban.sample.toml shows."
        ),
    }
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
}

/// The field names of a struct, in its own order, as its `Deserialize` states them.
fn names_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error: the deserializer has names to take and no value to give.
    let _ = T::deserialize(Names(&mut names));
    names
}

struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Names<'_> {
    type Error = NamesError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, NamesError> {
        *self.0 = fields;
        Err(NamesError::custom("only the names were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NamesError> {
        Err(NamesError::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
