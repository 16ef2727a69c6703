//! Runs of the comparison with a ledger, one folder a day below `<runs>/<partner>/`:
//! `run.json` (this format, version 1), `report.html`, `report.csv`, `report.xlsx`.
//!
//! A difference that is seen for the first time is suspected: the other side may have been a second
//! behind. Seen again on a later day (T+1) it is a break, and it ages from the day it was seen first.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gateway::id::NodeId;
use gateway::reconcile::books::{Finding, Outcome};
use gateway::service::date::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::both;
use crate::console::Failure;

/// Version of `run.json`.
const VERSION: u32 = 1;
/// Bytes of a `run.json`.
const RUN_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Whether a finding is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Seen again on a later day: somebody has to act.
    Break,
    /// Seen for the first time: the next run decides.
    Suspected,
    /// In flight or late: it passes by itself.
    Passing,
}

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// In the ledger.
    pub ledger: String,
    /// In the channel.
    pub channel: String,
}

/// A finding of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The same in every run.
    pub id: String,
    /// Stable name of its class.
    pub class: String,
    /// Whether it is believed.
    pub standing: Standing,
    /// The case.
    pub case_id: String,
    /// Line of the ledger; 0: it has none.
    pub line: u64,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Who has to act.
    pub owner: String,
    /// What mends it.
    pub repair: String,
    /// Day of the first run that saw it.
    pub first_seen: String,
    /// Days from then to this run's day.
    pub age_days: u64,
}

/// Both sides of a control total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// In the ledger.
    pub ledger: u64,
    /// In the channel.
    pub channel: u64,
}

/// The cut-off: what of both channels was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOff {
    /// Epoch of the channel to the partner.
    pub out_epoch: u32,
    /// Its entries.
    pub out_size: u64,
    /// Epoch of the channel from the partner.
    pub in_epoch: u32,
    /// Its entries.
    pub in_size: u64,
    /// The later cosignature there, Unix milliseconds; 0: none.
    pub receipt_ms: u64,
}

/// What the partner's copy said, in the same run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partner {
    /// Both copies of both channels are equal.
    Equal,
    /// They are not: codes and places.
    Different(Vec<String>),
    /// It could not be asked: the code.
    NotCompared(String),
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Of the format: 1.
    pub version: u32,
    /// This node.
    pub node: String,
    /// The partner.
    pub peer: String,
    /// The day whose books were compared.
    pub date: String,
    /// When it began, Unix milliseconds.
    pub began_ms: u64,
    /// What it took.
    pub took_ms: u64,
    /// File name of the ledger.
    pub ledger: String,
    /// What of the channels.
    pub cut_off: CutOff,
    /// The third book.
    pub partner: Partner,
    /// Rows of the ledger.
    pub ledger_rows: u64,
    /// Cases in the channels.
    pub channel_rows: u64,
    /// Cases in which the books agree.
    pub agreed: u64,
    /// Control totals by item.
    pub by_item: BTreeMap<String, Total>,
    /// Control totals by state.
    pub by_state: BTreeMap<String, Total>,
    /// Findings by class, all of them.
    pub counts: BTreeMap<String, u64>,
    /// The findings, those beyond the limit left out.
    pub findings: Vec<Found>,
    /// Findings of the run before that are gone.
    pub cleared: u64,
    /// Day of the run before; empty: there was none.
    pub before: String,
}

impl Run {
    /// Findings of that standing.
    pub fn standing(&self, standing: Standing) -> u64 {
        self.findings.iter().filter(|found| found.standing == standing).count() as u64
    }

    /// What the report has no room for.
    pub fn left_out(&self) -> u64 {
        self.counts.values().sum::<u64>() - self.findings.len() as u64
    }

    /// Takes over what a comparison found. `before`: the run of an earlier day, if there was one.
    pub fn take(&mut self, outcome: Outcome, peer: NodeId, date: Date, before: Option<&Self>) {
        let totals = |totals: BTreeMap<String, gateway::reconcile::books::Total>| {
            let total = |total: gateway::reconcile::books::Total| Total {
                ledger: total.ledger,
                channel: total.channel,
            };
            totals.into_iter().map(|(name, both)| (name, total(both))).collect()
        };
        self.ledger_rows = outcome.ledger_rows;
        self.channel_rows = outcome.channel_rows;
        self.agreed = outcome.agreed;
        self.by_item = totals(outcome.by_item);
        self.by_state = totals(outcome.by_state);
        self.counts = outcome.counts.iter().map(|(class, count)| (class.name().to_owned(), *count)).collect();
        let known: BTreeMap<&str, &str> = before
            .into_iter()
            .flat_map(|run| run.findings.iter().map(|found| (&found.id[..], &found.first_seen[..])))
            .collect();
        let mut again = 0;
        self.findings = outcome
            .findings
            .into_iter()
            .map(|finding| {
                let found = found(finding, peer, date, &known);
                again += u64::from(known.contains_key(&found.id[..]));
                found
            })
            .collect();
        self.cleared = known.len() as u64 - again;
        self.before = before.map_or_else(String::new, |run| run.date.clone());
        self.findings.sort_by(|one, other| {
            (one.standing, &one.class, &one.case_id).cmp(&(other.standing, &other.class, &other.case_id))
        });
    }
}

fn found(finding: Finding, peer: NodeId, date: Date, known: &BTreeMap<&str, &str>) -> Found {
    let id = finding.id(peer);
    let first: Option<Date> = known.get(&id[..]).and_then(|day| day.parse().ok());
    let first_seen = first.unwrap_or(date).min(date);
    let standing = if !finding.class.breaks() {
        Standing::Passing
    } else if first_seen < date {
        Standing::Break
    } else {
        Standing::Suspected
    };
    let differences = finding.differences.into_iter().map(|one| Difference {
        field: one.field.to_owned(),
        ledger: one.ledger,
        channel: one.channel,
    });
    Found {
        id,
        class: finding.class.name().to_owned(),
        standing,
        case_id: finding.case_id,
        line: finding.line,
        differences: differences.collect(),
        owner: finding.class.owner().name().to_owned(),
        repair: finding.class.repair().name().to_owned(),
        first_seen: first_seen.to_string(),
        age_days: date.days_since(first_seen),
    }
}

/// The folder of all runs with a partner.
pub struct Runs {
    folder: PathBuf,
}

impl Runs {
    /// The folder below `runs`; it need not be there yet.
    pub fn of(runs: &Path, peer: NodeId) -> Self {
        Self { folder: runs.join(peer.as_str()) }
    }

    /// The folder of a day.
    pub fn day(&self, date: Date) -> PathBuf {
        self.folder.join(date.to_string())
    }

    /// Keeps every other run with this partner out until the file is dropped.
    ///
    /// # Errors
    /// When one is going on, or the folder cannot be made.
    pub fn lock(&self) -> Result<File, Failure> {
        let failed = |error: io::Error| unusable(&self.folder, &error);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let options = File::options().write(true).create(true).truncate(false).open(self.folder.join("lock"));
        let file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Failure::busy(both!(
                "已有一次与该伙伴的对账在运行；等它结束后再来。",
                "a run with this partner is going on already; come back when it has ended."
            ))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Days of the runs, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn days(&self) -> Result<Vec<Date>, Failure> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unusable(&self.folder, &error)),
        };
        let mut days: Vec<Date> = entries
            .flatten()
            .filter(|entry| entry.path().join("run.json").is_file())
            .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
            .collect();
        days.sort_unstable();
        Ok(days)
    }

    /// The run of a day.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(&self, date: Date) -> Result<Run, Failure> {
        let path = self.day(date).join("run.json");
        let file = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::not_found(both!(
                "{date} 没有对账记录；tongban reconcile history 列出已有的。",
                "there is no run of {date}; `tongban reconcile history` lists those that are."
            )),
            _ => unusable(&path, &error),
        })?;
        if file.metadata().map_err(|error| unusable(&path, &error))?.len() > RUN_BYTES_MAX {
            return Err(unusable(&path, &io::Error::other("larger than 1 GiB")));
        }
        let run: Run = serde_json::from_reader(io::BufReader::new(file))
            .map_err(|error| unusable(&path, &io::Error::other(error)))?;
        if run.version != VERSION {
            let version = run.version;
            return Err(Failure::input(both!(
                "{date} 的对账记录为版本 {version}，本程序只读版本 {VERSION}。",
                "the run of {date} has version {version}; this program reads version {VERSION}."
            )));
        }
        Ok(run)
    }

    /// The youngest run of a day before that one.
    ///
    /// # Errors
    /// As [`Runs::load`].
    pub fn before(&self, date: Date) -> Result<Option<Run>, Failure> {
        let day = self.days()?.into_iter().rev().find(|day| *day < date);
        day.map(|day| self.load(day)).transpose()
    }

    /// Writes a file of a day whole or not at all.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, date: Date, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let folder = self.day(date);
        let path = folder.join(name);
        let write = || {
            fs::create_dir_all(&folder)?;
            let new = folder.join(format!("{name}.new"));
            let mut file = File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(|error| unusable(&path, &error))?;
        Ok(path)
    }
}

/// An empty run.
pub fn begin(node: &str, peer: NodeId, date: Date, began_ms: u64, ledger: &Path) -> Run {
    Run {
        version: VERSION,
        node: node.to_owned(),
        peer: peer.to_string(),
        date: date.to_string(),
        began_ms,
        took_ms: 0,
        ledger: ledger.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        cut_off: CutOff { out_epoch: 0, out_size: 0, in_epoch: 0, in_size: 0, receipt_ms: 0 },
        partner: Partner::NotCompared(String::new()),
        ledger_rows: 0,
        channel_rows: 0,
        agreed: 0,
        by_item: BTreeMap::new(),
        by_state: BTreeMap::new(),
        counts: BTreeMap::new(),
        findings: Vec::new(),
        cleared: 0,
        before: String::new(),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    Failure::system(both!("{shown} 不可用：{error}", "{shown} cannot be used: {error}"))
}
