//! `trust …`: how administrators change whom this node trusts. Each command makes one act of
//! [`certs::administration`]; without `--apply` it shows what would happen and who is affected.
//!
//! No node needs to run: the folder is the place where the truth lies, and a running node follows it within a
//! second. What only reads stands in [`show`]; [`command`] lists the commands, and each of the other files tells
//! the story of one noun.

pub mod admin;
pub mod anchor;
pub mod bundle;
pub mod command;
pub mod crl;
pub mod domain;
pub mod node;
pub mod show;
pub mod waiting;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use certs::administration::event::DomainRecord;
use certs::administration::log::{AppendError, LOG_FILE, Plan, append, plan};
use certs::administration::{Act, Change, Log, NotAllowed, State};
use certs::{AnchorState, TrustStore, pem};
use clap::Args;
use serde_json::json;

use super::certs::refused;
use super::check::now_ms;
use crate::both;
use crate::config::Config;
use crate::console::{Console, Failure};
use crate::text::printable;

/// Where the trust folder is.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The trust folder; that of --config when absent. 信任目录
    #[arg(long = "trust", value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Who acts, and whether.
#[derive(Debug, Clone, Args)]
pub struct By {
    /// The trust folder.
    #[command(flatten)]
    pub place: Place,
    /// The administrator, by name. 管理员名称
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// The administrator's key file; needed with --apply. 管理员私钥文件
    #[arg(long, value_name = "FILE", required_if_eq("apply", "true"))]
    pub key: Option<PathBuf>,
    /// Do it; without this, only show the plan. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// `tongban trust admin|domain remove`
#[derive(Debug, Args)]
pub struct NamedArgs {
    /// Its name. 名称
    pub name: String,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// The node whose trust it is.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a>(pub Option<&'a Path>);

impl Home<'_> {
    fn config(self) -> Result<Option<Config>, Failure> {
        self.0.map(Config::load).transpose().map_err(Failure::from)
    }

    /// The trust in that folder; with a configuration and no other folder, with the bundles that the node follows.
    fn store(self, place: &Place) -> Result<TrustStore, Failure> {
        let loaded = match (&place.dir, self.config()?) {
            (None, Some(config)) => config.trust_store(),
            (Some(_), _) | (None, None) => TrustStore::load(&self.dir(place)?),
        };
        loaded.map_err(|error| refused(&error))
    }

    fn dir(self, place: &Place) -> Result<PathBuf, Failure> {
        match (&place.dir, self.config()?) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(config)) => Ok(config.trust_dir),
            (None, None) => Err(Failure::usage(both!(
                "请用 --trust 目录 或 --config 文件 指明信任目录。",
                "name the trust folder with --trust DIR or --config FILE."
            ))),
        }
    }
}

/// A file that an act brings into the trust folder.
struct Source {
    bytes: Vec<u8>,
    to: String,
    replace: bool,
}

fn propose(
    console: Console,
    home: Home<'_>,
    by: &By,
    change: Change,
    source: Option<&Source>,
) -> Result<(), Failure> {
    act(console, home, by, &Act::Propose { change }, source)
}

fn act(console: Console, home: Home<'_>, by: &By, act: &Act, source: Option<&Source>) -> Result<(), Failure> {
    let dir = home.dir(&by.place)?;
    let now = now_ms();
    // Judged before any file is touched.
    let mut outcome = plan(&dir, &by.by, act, now).map_err(not_done)?;
    if by.apply {
        let key = by.key.as_deref().map(pem::read_key).transpose().map_err(|error| refused(&error))?;
        let key = key.ok_or_else(|| Failure::usage(both!("--apply 需要 --key。", "--apply needs --key.")))?;
        let brought = source.map(|source| bring(&dir, source)).transpose()?;
        // A change that the node could not load must not become the truth.
        let written = TrustStore::of_state(&dir, &outcome.after)
            .map_err(|error| refused(&error))
            .and_then(|_| append(&dir, &by.by, &key, act, now).map_err(not_done));
        outcome = match (written, brought) {
            (Ok(written), _) => written,
            (Err(failure), brought) => {
                // A file without its record would count as if somebody had decided it.
                brought.map_or(Ok(()), Brought::take_back)?;
                return Err(failure);
            }
        };
    }
    let partners = affected(home, &outcome)?;
    let done = serde_json::to_value(act).map_err(|error| internal(&error))?;
    let waits = outcome.after.proposals.contains_key(&outcome.record);
    let unconfirmed = outcome.after.unconfirmed.contains_key(&outcome.record);
    let document = json!({
        "applied": by.apply,
        "record": outcome.record,
        "by": by.by,
        "act": done,
        "waits_for_approval": waits,
        "waits_for_confirmation": unconfirmed,
        "partners_affected": partners.affected,
        "partners_cut_off": partners.cut_off,
    });
    console.result(&document, |lang| {
        let number = outcome.record;
        let mut text = lang.pick(
            if by.apply {
                format!("第 {number} 条记录已写入：")
            } else {
                format!("计划写入第 {number} 条记录（加 --apply 执行）：")
            },
            if by.apply {
                format!("Record {number} is written: ")
            } else {
                format!("Plan, record {number} (add --apply to do it): ")
            },
        );
        text += &printable(&done.to_string());
        text += match (waits, unconfirmed) {
            (true, _) => lang.pick(
                "\n尚未生效：须由安全管理员批准（trust approve）。",
                "\nNot in effect yet: a security administrator has to approve it (trust approve).",
            ),
            (_, true) => lang.pick(
                "\n立即生效；须由另一人确认（trust confirm）。",
                "\nIn effect at once; another person has to confirm it (trust confirm).",
            ),
            (false, false) => lang.pick("\n立即生效。", "\nIn effect at once."),
        };
        let join = |partners: &[String]| partners.join(lang.pick("、", ", "));
        if !partners.affected.is_empty() {
            let list = join(&partners.affected);
            text += &lang.pick(format!("\n涉及伙伴：{list}"), format!("\nPartners affected: {list}"));
        }
        if !partners.cut_off.is_empty() {
            let list = join(&partners.cut_off);
            text += &lang.pick(
                format!("\n其中将被切断：{list}"),
                format!("\nOf these, cut off once it is in effect: {list}"),
            );
        }
        text
    })
}

/// Partners in the configuration that an act is about.
struct Partners {
    /// Something about them changes.
    affected: Vec<String>,
    /// They may connect now, and not once the act is in effect.
    cut_off: Vec<String>,
}

/// What an act changes for partners, now or once it is approved.
fn affected(home: Home<'_>, outcome: &Plan) -> Result<Partners, Failure> {
    let mut partners = Partners { affected: Vec::new(), cut_off: Vec::new() };
    let Some(config) = home.config()? else { return Ok(partners) };
    let mut after = outcome.after.clone();
    if let Some(change) = after.proposals.get(&outcome.record).and_then(|waiting| waiting.change.clone()) {
        after = after.with(&change).map_err(|error| not_done(error.into()))?;
    }
    for peer in config.peers.iter().map(|peer| peer.node.to_string()) {
        let (now, then) = (standing(&outcome.before, &peer), standing(&after, &peer));
        if now == then {
            continue;
        }
        if now.is_some_and(|now| now.admitted()) && !then.is_some_and(|then| then.admitted()) {
            partners.cut_off.push(peer.clone());
        }
        partners.affected.push(peer);
    }
    Ok(partners)
}

/// All that decides about one node: its domain, but for what the domain says of other nodes.
#[derive(PartialEq)]
struct NodeStanding {
    domain: DomainRecord,
    suspended: bool,
    /// Whether nodes are listed; the keys listed for this one, if it is.
    listed: Option<Option<Vec<String>>>,
}

impl NodeStanding {
    fn admitted(&self) -> bool {
        let opens = self.domain.anchors.iter().any(|anchor| anchor.state == AnchorState::Active);
        opens && !self.suspended && !matches!(self.listed, Some(None))
    }
}

fn standing(state: &State, node: &str) -> Option<NodeStanding> {
    let speaks = |domain: &&DomainRecord| domain.divisions.iter().any(|prefix| node.starts_with(prefix));
    let domain = state.domains.values().find(speaks)?;
    Some(NodeStanding {
        suspended: domain.suspended.iter().any(|known| known == node),
        listed: domain.nodes.as_ref().map(|nodes| nodes.get(node).cloned()),
        domain: DomainRecord { suspended: Vec::new(), nodes: None, ..domain.clone() },
    })
}

/// A file as it was before an act brought another.
struct Brought {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

impl Brought {
    fn take_back(self) -> Result<(), Failure> {
        match self.before {
            Some(before) => write_whole(&self.path, &before),
            None => std::fs::remove_file(&self.path).map_err(|error| not_written(&self.path, &error)),
        }
    }
}

/// Puts a file into the trust folder; nothing is returned when it is there already and stays.
fn bring(dir: &Path, source: &Source) -> Result<Brought, Failure> {
    let path = dir.join(&source.to);
    let before = match std::fs::read(&path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(not_written(&path, &error)),
    };
    if before.is_none() || source.replace {
        write_whole(&path, &source.bytes)?;
    }
    Ok(Brought { path, before })
}

/// Old or new after a crash, never half.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fresh = PathBuf::from(format!("{}.new", path.display()));
    let write = || {
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|error| not_written(path, &error))
}

fn not_written(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::system(both!("{path}：{error}", "{path}: {error}"))
}

/// A file that the caller has read as PEM before: its size is bounded.
fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    super::read_input(file, certs::limits::CRL_FILE_BYTES_MAX)
}

fn log_of(dir: &Path) -> Result<Log, Failure> {
    Log::read(dir).map_err(|error| refused(&error))?.ok_or_else(no_log)
}

fn state(store: &TrustStore) -> Result<&State, Failure> {
    store.administration().map(Log::state).ok_or_else(no_log)
}

fn no_log() -> Failure {
    Failure::input(both!(
        "该信任目录尚无管理日志（{LOG_FILE}）；请先执行 tongban trust adopt。",
        "the trust folder has no administration log ({LOG_FILE}) yet; run tongban trust adopt first."
    ))
}

fn not_done(error: AppendError) -> Failure {
    match error {
        AppendError::Trust(error) => refused(&error),
        AppendError::NotAllowed(error) => {
            let (zh, en) = (error.advice(true), error.advice(false));
            // Roles and people: not allowed. Everything else: what was given does not fit.
            let exit = match error {
                NotAllowed::WrongRole { .. }
                | NotAllowed::SamePerson(_)
                | NotAllowed::NeedsTwo
                | NotAllowed::UnknownAdministrator(_) => 6,
                NotAllowed::NothingWaits(_) => 4,
                NotAllowed::Adoption | NotAllowed::Step { .. } => 5,
                NotAllowed::Administrators(_) | NotAllowed::Unfit(_) => 3,
            };
            let code = error.code().to_owned();
            Failure { code, exit, ..Failure::input(both!("{error}；{zh}", "{error}; {en}")) }
        }
    }
}

fn internal(error: &serde_json::Error) -> Failure {
    Failure::ours(both!("{error}", "{error}"))
}
