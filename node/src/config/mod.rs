//! A node's configuration: strict TOML, judged whole before a socket opens.
//!
//! [`mod@file`] reads the text and refuses keys that it does not know; this module turns it into values
//! that are right, and reports every problem at once, each with its line, its setting and a remedy;
//! [`material`] looks at what the settings point at. Relative paths are relative to the file.
//! `docs/tongban.sample.toml` explains every setting.

pub mod file;
pub mod material;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certs::bundle::accepted::Bundles;
use certs::limits::BUNDLE_GRACE_HOURS_MAX;
use certs::{TrustError, TrustStore};
use gateway::id::NodeId;
use gateway::limits;
use gateway::overload::Bounds;
use gateway::overload::quota::Rate;
use serde_json::json;

use self::file::{Document, FileTable, IdentityTable, PeerTable};
use crate::both;
use crate::console::Failure;
use crate::text::{Both, Lang};

/// Bytes of the path of the local socket. The system takes 107 (`sun_path`), and the socket is made
/// in a folder of its own beside its place before it is moved there.
pub const SOCKET_PATH_BYTES_MAX: usize = 90;
/// Partners of one node.
pub const PEERS_MAX: usize = 4096;
/// How long a trust bundle counts after its successor was due, hours, when nothing else is set: 30 days.
const BUNDLE_GRACE_HOURS: u64 = 30 * 24;
/// Bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A configuration that is right in itself. Whether its files are there is [`material`]'s question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// This node.
    pub node: NodeId,
    /// Where the journal, the index and the files lie.
    pub data_dir: PathBuf,
    /// Where peers dial this node; `None`: this node only dials.
    pub peer_listener: Option<SocketAddr>,
    /// The Unix socket of the local services.
    pub socket: PathBuf,
    /// Certificates and keys.
    pub identity: IdentityFiles,
    /// The folder of `trust.toml`.
    pub trust_dir: PathBuf,
    /// The folder where provinces' trust bundles are put; `None`: nobody puts any.
    pub bundle_dir: Option<PathBuf>,
    /// How long a trust bundle counts after its successor was due, hours.
    pub bundle_grace_hours: u32,
    /// The partners, in the order of the file.
    pub peers: Vec<Peer>,
    /// What the node takes, and when it asks to wait.
    pub bounds: Bounds,
    /// What the log looks like.
    pub log: Log,
    /// Where metrics and probes are served; `None`: nowhere.
    pub observe: Option<SocketAddr>,
    /// Who is told about alarms.
    pub alarm: Alarm,
    /// Holidays of years beyond those of this release; `None`: no others.
    pub calendar_file: Option<PathBuf>,
}

/// Who is told about alarms, beside the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarm {
    /// A program and its arguments; the notice stands on its stdin.
    pub command: Option<AlarmCommand>,
    /// Where the notice is posted.
    pub webhook: Option<Webhook>,
}

/// A program that is run for each notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmCommand {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A plain HTTP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `host:port`.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// The files of this node's two identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// TLS certificate chain, PEM, leaf first.
    pub tls_chain: PathBuf,
    /// TLS key, PEM, PKCS#8.
    pub tls_key: PathBuf,
    /// Signing certificate chain, PEM, leaf first.
    pub signing_chain: PathBuf,
    /// Signing key, PEM, PKCS#8.
    pub signing_key: PathBuf,
    /// Chains of earlier signing keys, which still verify what they signed.
    pub older_signing_chains: Vec<PathBuf>,
}

/// A partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its node.
    pub node: NodeId,
    /// `host:port` where it listens; `None`: it only dials us.
    pub address: Option<String>,
    /// Whether this node dials it.
    pub dial: bool,
}

/// What the log on stderr looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Lines for people, or one JSON object a line.
    pub format: LogFormat,
    /// The least important events that are written.
    pub level: tracing::Level,
}

/// See [`Log::format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, counted from 1; `None` when the setting is not there.
    pub line: Option<usize>,
    /// The setting with its table, such as `identity.tls_key`; empty: the file as a whole.
    pub setting: String,
    /// What is wrong and what to do.
    pub text: Both,
}

/// Everything that is wrong with a configuration. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The problems, in the order of the file where they have a place in it.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// One line a problem: `file:line: setting: what is wrong; what to do`.
    pub fn render(&self, lang: Lang) -> String {
        let lines: Vec<String> = self
            .problems
            .iter()
            .map(|problem| {
                let file = self.file.display();
                let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
                let setting = Some(&problem.setting).filter(|setting| !setting.is_empty());
                let setting = setting.map(|setting| format!("{setting}: ")).unwrap_or_default();
                format!("{file}{line}: {setting}{}", problem.text.in_language(lang))
            })
            .collect();
        lines.join("\n")
    }

    /// The problems for `--json`.
    pub fn to_json(&self) -> serde_json::Value {
        let problems: Vec<_> = self
            .problems
            .iter()
            .map(|problem| {
                json!({"line": problem.line, "setting": problem.setting,
                       "message_zh": problem.text.zh, "message_en": problem.text.en})
            })
            .collect();
        json!({"file": self.file.display().to_string(), "valid": false, "problems": problems})
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(Lang::En))
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let text = Both {
            zh: format!("配置有误：\n{}", error.render(Lang::Zh)),
            en: format!("the configuration is wrong:\n{}", error.render(Lang::En)),
        };
        Self { code: "cli.config".to_owned(), ..Failure::input(text) }
    }
}

impl Config {
    /// Where accepted trust bundles are kept, and how long an old one counts.
    pub fn bundles(&self) -> Bundles {
        Bundles { data_dir: self.data_dir.clone(), grace_hours: self.bundle_grace_hours }
    }

    /// Whom this node trusts: its trust folder, and the bundles that it follows.
    ///
    /// # Errors
    /// As [`TrustStore::load_following`].
    pub fn trust_store(&self) -> Result<TrustStore, TrustError> {
        TrustStore::load_following(&self.trust_dir, &self.bundles())
    }

    /// Reads a file. Opens nothing that the file points at.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path).map_err(|error| ConfigError {
            file: path.to_owned(),
            problems: vec![Problem {
                line: None,
                setting: String::new(),
                text: both!(
                    "读不了配置文件（{error}）；请核对路径与权限。",
                    "cannot read the configuration ({error}); check the path and its permissions."
                ),
            }],
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a file; `path` gives relative paths their place.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let failed = |problems| ConfigError { file: path.to_owned(), problems };
        let document = Document::parse(text).map_err(failed)?;
        let mut check = Check { document: &document, base: folder_of(path), problems: Vec::new() };
        let config = check.config(path, document.table.clone());
        let mut problems = check.problems;
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(failed(problems)),
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The folder that relative paths begin at.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_owned()
}

/// Judges one file and gathers problems on the way. A method answers `None` only after it has noted
/// a problem.
struct Check<'a> {
    document: &'a Document,
    base: PathBuf,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn config(&mut self, path: &Path, table: FileTable) -> Option<Config> {
        let node = self.required("node", table.node).and_then(|text| self.node("node", &text));
        let data_dir = self.required_path("data_dir", table.data_dir);
        let peer_listener = self.listener(table.peer_listener);
        let socket = self.socket(table.local.unwrap_or_default().socket);
        let identity = self.identity(table.identity.unwrap_or_default());
        let trust = table.trust.unwrap_or_default();
        let trust_dir = self.required_path("trust.dir", trust.dir);
        let bundle_dir = trust.bundles.map(|dir| self.base.join(dir));
        let bundle_grace_hours = self.bundle_grace(trust.bundle_grace_hours);
        let bounds = self.bounds(table.limits.unwrap_or_default());
        let log = self.log(table.log.unwrap_or_default());
        let observe = self.observe(table.observe, peer_listener.flatten());
        let alarm = self.alarm(table.alarm.unwrap_or_default());
        let calendar_file = table.calendar.unwrap_or_default().file.map(|file| self.base.join(file));
        let peers = self.peers(table.peer, node, matches!(peer_listener, Some(None)));
        Some(Config {
            file: path.to_owned(),
            node: node?,
            data_dir: data_dir?,
            peer_listener: peer_listener?,
            socket: socket?,
            identity: identity?,
            trust_dir: trust_dir?,
            bundle_dir,
            bundle_grace_hours,
            peers,
            bounds,
            log,
            observe: observe?,
            alarm: alarm?,
            calendar_file,
        })
    }

    fn problem(&mut self, setting: &str, text: Both) {
        let line = self.document.line_of(setting);
        self.problems.push(Problem { line, setting: setting.to_owned(), text });
    }

    fn required<T>(&mut self, setting: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problem(
                setting,
                both!(
                    "缺少此项；请参照 tongban.sample.toml 填写。",
                    "is missing; write it as tongban.sample.toml shows."
                ),
            );
        }
        value
    }

    fn required_path(&mut self, setting: &str, value: Option<PathBuf>) -> Option<PathBuf> {
        let value = self.required(setting, value)?;
        if value.as_os_str().is_empty() {
            self.problem(setting, both!("路径为空；请填写路径。", "is empty; write a path."));
            return None;
        }
        Some(self.base.join(value))
    }

    fn node(&mut self, setting: &str, text: &str) -> Option<NodeId> {
        match text.parse() {
            Ok(node) => Some(node),
            Err(_) => {
                self.problem(
                    setting,
                    both!(
                        "{text:?} 不是六位行政区划代码（GB/T 2260）；例如 \"430600\"。",
                        "{text:?} is not a division code of six digits (GB/T 2260); write for example \"430600\"."
                    ),
                );
                None
            }
        }
    }

    /// `Some(None)`: the file has no listener, which is allowed.
    fn listener(&mut self, table: Option<file::PeerListenerTable>) -> Option<Option<SocketAddr>> {
        let Some(table) = table else { return Some(None) };
        let setting = "peer_listener.address";
        let text = self.required(setting, table.address)?;
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Some(Some(address)),
            Ok(_) | Err(_) => {
                self.problem(
                    setting,
                    both!(
                        "{text:?} 不是 IP：端口（端口不得为 0）；例如 \"0.0.0.0:7443\"。",
                        "{text:?} is not IP:port with a port other than 0; write for example \"0.0.0.0:7443\"."
                    ),
                );
                None
            }
        }
    }

    /// `Some(None)`: the file has no such table, and nothing is served.
    fn observe(
        &mut self,
        table: Option<file::ObserveTable>,
        peer_listener: Option<SocketAddr>,
    ) -> Option<Option<SocketAddr>> {
        let Some(table) = table else { return Some(None) };
        let setting = "observe.address";
        let text = self.required(setting, table.address)?;
        match text.parse::<SocketAddr>() {
            Ok(address) if Some(address) == peer_listener => {
                self.problem(
                    setting,
                    both!(
                        "与 peer_listener.address 相同；请换一个端口。",
                        "is the same as peer_listener.address; choose another port."
                    ),
                );
                None
            }
            // What is served there is neither encrypted nor asks who wants it.
            Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => Some(Some(address)),
            Ok(_) | Err(_) => {
                self.problem(
                    setting,
                    both!(
                        "{text:?} 不是可用的 IP：端口；此处为明文且不认证，请写回环或管理网地址，如 \"127.0.0.1:9464\"。",
                        "{text:?} is not a usable IP:port; it is plain and asks nobody, so name a loopback or management address, such as \"127.0.0.1:9464\"."
                    ),
                );
                None
            }
        }
    }

    fn alarm(&mut self, table: file::AlarmTable) -> Option<Alarm> {
        let command = match table.command {
            None => None,
            Some(words) => Some(self.alarm_command(words)?),
        };
        let webhook = match table.webhook {
            None => None,
            Some(text) => Some(self.webhook(&text)?),
        };
        Some(Alarm { command, webhook })
    }

    fn alarm_command(&mut self, words: Vec<String>) -> Option<AlarmCommand> {
        let mut words = words.into_iter();
        match words.next().filter(|program| !program.is_empty()) {
            Some(program) => {
                Some(AlarmCommand { program: self.base.join(program), arguments: words.collect() })
            }
            None => {
                self.problem(
                    "alarm.command",
                    both!(
                        "没有程序；请写 [\"/路径/程序\", \"参数\"]。",
                        "names no program; write [\"/path/program\", \"argument\"]."
                    ),
                );
                None
            }
        }
    }

    fn webhook(&mut self, text: &str) -> Option<Webhook> {
        let uri = text.parse::<http::Uri>().ok();
        let parts = uri.and_then(|uri| {
            let authority = uri.authority()?.clone();
            let plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
            let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
            let authority = match authority.port_u16() {
                Some(_) => authority.as_str().to_owned(),
                None => format!("{authority}:80"),
            };
            plain.then_some(Webhook { authority, path })
        });
        if parts.is_none() {
            self.problem(
                "alarm.webhook",
                both!(
                    "{text:?} 不是 http://主机：端口/路径；本版不支持 https 与网址内的口令，请改用 alarm.command（如 curl）。",
                    "{text:?} is not http://host:port/path; https and passwords in addresses are not supported, use alarm.command (curl, say)."
                ),
            );
        }
        parts
    }

    fn socket(&mut self, value: Option<PathBuf>) -> Option<PathBuf> {
        let setting = "local.socket";
        let socket = self.required_path(setting, value)?;
        let bytes = socket.as_os_str().len();
        if bytes > SOCKET_PATH_BYTES_MAX {
            self.problem(
                setting,
                both!(
                    "路径长 {bytes} 字节，超过 {SOCKET_PATH_BYTES_MAX}；请换用较短的路径，如 /run/tongban/node.sock。",
                    "the path has {bytes} bytes, more than {SOCKET_PATH_BYTES_MAX}; choose a shorter one, such as /run/tongban/node.sock."
                ),
            );
            return None;
        }
        Some(socket)
    }

    fn identity(&mut self, table: IdentityTable) -> Option<IdentityFiles> {
        let tls_chain = self.required_path("identity.tls_chain", table.tls_chain);
        let tls_key = self.required_path("identity.tls_key", table.tls_key);
        let signing_chain = self.required_path("identity.signing_chain", table.signing_chain);
        let signing_key = self.required_path("identity.signing_key", table.signing_key);
        let older = table.older_signing_chains;
        if older.len() > limits::OLDER_CHAINS_MAX {
            let (count, most) = (older.len(), limits::OLDER_CHAINS_MAX);
            self.problem(
                "identity.older_signing_chains",
                both!(
                    "有 {count} 条，最多 {most} 条；请只保留最近的，更早的随证据归档。",
                    "has {count} chains, at most {most} are shown to peers; keep the newest here and archive the rest."
                ),
            );
        }
        let identity = IdentityFiles {
            tls_chain: tls_chain?,
            tls_key: tls_key?,
            signing_chain: signing_chain?,
            signing_key: signing_key?,
            older_signing_chains: older.into_iter().map(|path| self.base.join(path)).collect(),
        };
        if identity.tls_key == identity.signing_key {
            self.problem(
                "identity.signing_key",
                both!(
                    "与 identity.tls_key 是同一文件；签名密钥不得用于 TLS，请各用各的密钥。",
                    "is the same file as identity.tls_key; a TLS key must not sign, use two keys."
                ),
            );
            return None;
        }
        Some(identity)
    }

    fn peers(&mut self, tables: Vec<PeerTable>, own: Option<NodeId>, only_dials: bool) -> Vec<Peer> {
        if tables.len() > PEERS_MAX {
            self.problem(
                "peer",
                both!("伙伴超过 {PEERS_MAX} 个。", "there are more than {PEERS_MAX} peers."),
            );
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let mut peers = Vec::new();
        for (index, table) in tables.into_iter().enumerate() {
            let setting = |name: &str| format!("peer[{index}].{name}");
            let at = setting("node");
            let Some(text) = self.required(&at, table.node) else { continue };
            let Some(node) = self.node(&at, &text) else { continue };
            if Some(node) == own {
                self.problem(
                    &at,
                    both!(
                        "与本节点 node 相同；请填写对方的区划代码。",
                        "is this node itself; write the partner's division."
                    ),
                );
            }
            if !seen.insert(node) {
                self.problem(
                    &at,
                    both!(
                        "{node} 已登记过；请删去重复的一项。",
                        "{node} is listed before; remove one of the two."
                    ),
                );
            }
            let at = setting("address");
            let address = table.address.filter(|address| self.address(&at, address));
            let dial = table.dial.unwrap_or(address.is_some());
            if dial && address.is_none() && !self.problems.iter().any(|problem| problem.setting == at) {
                self.problem(
                    &at,
                    both!(
                        "dial = true 而没有地址；请填写对方地址，或改为 dial = false 等对方来连。",
                        "dial = true but there is no address; write the peer's address, or dial = false to wait for it."
                    ),
                );
            }
            if !dial && only_dials {
                self.problem(
                    &setting("dial"),
                    both!(
                        "本节点没有 peer_listener，又不去连 {node}，双方无法相遇；请开启其一。",
                        "there is no peer_listener and {node} is not dialled, so the two can never meet; set up either."
                    ),
                );
            }
            peers.push(Peer { node, address, dial });
        }
        peers
    }

    /// Whether a text is `host:port`.
    fn address(&mut self, setting: &str, text: &str) -> bool {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let name = !host.contains(':')
                && !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            (bracketed && text.parse::<SocketAddr>().is_ok() || name)
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if !good {
            self.problem(
                setting,
                both!(
                    "{text:?} 不是 主机：端口；例如 \"gw.example.cn:7443\" 或 \"10.1.2.3:7443\"。",
                    "{text:?} is not host:port; write for example \"gw.example.cn:7443\" or \"10.1.2.3:7443\"."
                ),
            );
        }
        good
    }

    fn bounds(&mut self, table: file::LimitsTable) -> Bounds {
        let usual = Bounds::default();
        let mut number = |name: &str, value: Option<u64>, unit: u64, usual: u64| match value {
            None => usual,
            Some(0) => {
                self.problem(
                    &format!("limits.{name}"),
                    both!("不得为 0；删去此项即用默认值。", "must not be 0; leave it away for the default."),
                );
                usual
            }
            Some(value) => value.saturating_mul(unit),
        };
        let (kib, mib) = (1024, 1024 * 1024);
        let bounds = Bounds {
            overdue_millis: number("overdue_seconds", table.overdue_seconds, 1000, usual.overdue_millis),
            disk_low_bytes: number("disk_low_mib", table.disk_low_mib, mib, usual.disk_low_bytes),
            staged_bytes_max: usize::try_from(number(
                "staged_mib",
                table.staged_mib,
                mib,
                usual.staged_bytes_max as u64,
            ))
            .unwrap_or(usize::MAX),
            peer: Rate {
                entries_per_s: number(
                    "peer_entries_per_second",
                    table.peer_entries_per_second,
                    1,
                    usual.peer.entries_per_s,
                ),
                bytes_per_s: number(
                    "peer_kib_per_second",
                    table.peer_kib_per_second,
                    kib,
                    usual.peer.bytes_per_s,
                ),
            },
            submitter: Rate {
                entries_per_s: number(
                    "submitter_entries_per_second",
                    table.submitter_entries_per_second,
                    1,
                    usual.submitter.entries_per_s,
                ),
                bytes_per_s: number(
                    "submitter_kib_per_second",
                    table.submitter_kib_per_second,
                    kib,
                    usual.submitter.bytes_per_s,
                ),
            },
        };
        let least = limits::DISK_LOW_BYTES_MIN / mib;
        if bounds.disk_low_bytes < limits::DISK_LOW_BYTES_MIN {
            self.problem(
                "limits.disk_low_mib",
                both!(
                    "至少 {least}：须容得下一个日志段和一次提交。",
                    "is at least {least}: a journal segment and one commit have to fit."
                ),
            );
        }
        let most = limits::STAGED_TOTAL_BYTES_MAX as u64 / mib;
        if bounds.staged_bytes_max > limits::STAGED_TOTAL_BYTES_MAX {
            self.problem(
                "limits.staged_mib",
                both!(
                    "至多 {most}：全部通道的草稿合计不超过此数。",
                    "is at most {most}: the drafts of all channels together hold no more."
                ),
            );
        }
        bounds
    }

    fn bundle_grace(&mut self, hours: Option<u64>) -> u32 {
        let most = BUNDLE_GRACE_HOURS_MAX;
        let hours = hours.unwrap_or(BUNDLE_GRACE_HOURS);
        u32::try_from(hours).ok().filter(|hours| *hours <= most).unwrap_or_else(|| {
            self.problem(
                "trust.bundle_grace_hours",
                both!("至多 {most} 小时（90 天）。", "is at most {most} hours (90 days)."),
            );
            most
        })
    }

    fn log(&mut self, table: file::LogTable) -> Log {
        const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
        let format = match table.format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                self.problem(
                    "log.format",
                    both!(
                        "没有 {other:?}；请写 \"text\" 或 \"json\"。",
                        "{other:?} is none; write \"text\" or \"json\"."
                    ),
                );
                LogFormat::Text
            }
        };
        let level = table.level.as_deref().unwrap_or("info");
        let level = match level.parse() {
            Ok(parsed) if LEVELS.contains(&level) => parsed,
            Ok(_) | Err(_) => {
                let known = LEVELS.join(", ");
                self.problem(
                    "log.level",
                    both!("没有 {level:?}；可用：{known}。", "{level:?} is none; known are {known}."),
                );
                tracing::Level::INFO
            }
        };
        Log { format, level }
    }
}

#[cfg(test)]
mod tests;
