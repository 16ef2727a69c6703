//! `trust …`: how administrators change whom this node trusts. Each command makes one act of
//! [`certs::administration`]; without `--apply` it shows what would happen and who is affected.
//!
//! No node needs to run: the folder is the place where the truth lies, and a running node follows it within a
//! second. What only reads stands in [`show`].

pub mod show;

use std::path::{Path, PathBuf};

use certs::administration::event::{Administrator, AnchorRecord, CrlRecord, DomainRecord};
use certs::administration::log::{AppendError, LOG_FILE, Plan, append, plan, to_hex};
use certs::administration::{Act, Change, Log, NotAllowed, Role, State};
use certs::{Anchor, AnchorState, Crl, TrustError, TrustStore, pem};
use clap::{Args, ValueEnum};
use gateway::id::NodeId;
use serde_json::json;

use super::case_file::instant;
use super::certs::refused;
use super::check::now_ms;
use super::rotate::write_new;
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

/// What an administrator is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Proposes. 系统管理员
    System,
    /// Approves. 安全管理员
    Security,
    /// Reviews. 审计管理员
    Audit,
}

/// `tongban trust admin make`
#[derive(Debug, Args)]
pub struct AdminMakeArgs {
    /// Role and number, such as security-1; no personal name. 名称（角色加编号，勿用人名）
    pub name: String,
    /// The role. 角色
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// Folder for NAME.key (stays with this person) and NAME.json (goes to the trust folder's keeper). 输出目录
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// `tongban trust admin add`
#[derive(Debug, Args)]
pub struct AdminAddArgs {
    /// What `trust admin make` wrote, NAME.json. 管理员公钥文件
    pub file: PathBuf,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust admin remove`
#[derive(Debug, Args)]
pub struct NamedArgs {
    /// Its name. 名称
    pub name: String,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust adopt`
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// An administrator's NAME.json; at least one of each role. 管理员公钥文件，可重复
    #[arg(long = "admin", value_name = "FILE", required = true)]
    pub administrators: Vec<PathBuf>,
    /// Who takes the folder over; another one confirms.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust domain add`
#[derive(Debug, Args)]
pub struct DomainAddArgs {
    /// The trust domain, such as jiangxi.tongban. 信任域
    pub name: String,
    /// A division prefix that it may speak for; repeat for more. 行政区划前缀
    #[arg(long = "division", value_name = "PREFIX", required = true)]
    pub divisions: Vec<String>,
    /// Its root certificate, PEM. 根证书
    #[arg(long, value_name = "FILE")]
    pub anchor: PathBuf,
    /// It publishes no revocation lists; said in so many words. 该域不发布吊销列表
    #[arg(long)]
    pub no_crl: bool,
    /// How long a list counts after it should have been renewed, hours. 吊销列表宽限小时数
    #[arg(long, value_name = "HOURS", default_value_t = 168)]
    pub crl_grace_hours: u32,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust domain prefixes`
#[derive(Debug, Args)]
pub struct DomainPrefixesArgs {
    /// The trust domain. 信任域
    pub name: String,
    /// The new prefixes, all of them. 新的全部前缀
    #[arg(long = "division", value_name = "PREFIX", required = true)]
    pub divisions: Vec<String>,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust domain show`
#[derive(Debug, Args)]
pub struct DomainShowArgs {
    /// The trust domain. 信任域
    pub name: String,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// `tongban trust anchor import`
#[derive(Debug, Args)]
pub struct AnchorImportArgs {
    /// The root certificate, PEM. 根证书
    pub file: PathBuf,
    /// The trust domain. 信任域
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust anchor activate|taint`
#[derive(Debug, Args)]
pub struct AnchorArgs {
    /// SHA-256 of the certificate, or its first digits (8 or more). 根证书指纹
    pub fingerprint: String,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust anchor revoke`
#[derive(Debug, Args)]
pub struct AnchorRevokeArgs {
    /// Which anchor, and who acts.
    #[command(flatten)]
    pub anchor: AnchorArgs,
    /// Since when its key counts as lost, such as 2026-11-30T08:00:00+08:00. 私钥失密时间
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub compromised_from: Option<gateway::time::UnixMillis>,
}

/// `tongban trust crl import`
#[derive(Debug, Args)]
pub struct CrlImportArgs {
    /// The revocation lists, PEM. 吊销列表
    pub file: PathBuf,
    /// The trust domain. 信任域
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    /// Certificates of intermediate authorities that signed lists, PEM. 中间机构证书
    #[arg(long, value_name = "FILE")]
    pub issuer: Option<PathBuf>,
    /// Who imports.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust node suspend|resume`
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node, by division. 节点区划代码
    pub node: NodeId,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust approve|decline|confirm|review`
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Number of the record in the log. 记录编号
    pub record: usize,
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

/// Makes an administrator's key. The private half is never printed.
///
/// # Errors
/// When a file of that name is there.
pub fn admin_make(console: Console, args: &AdminMakeArgs) -> Result<(), Failure> {
    let random = ring::rand::SystemRandom::new();
    let made = ring::signature::Ed25519KeyPair::generate_pkcs8(&random)
        .map_err(|_| Failure::system(both!("没有随机数。", "there is no randomness.")))?;
    let key = pem::public_key(&rustls::pki_types::PrivatePkcs8KeyDer::from(made.as_ref()))
        .map_err(|error| refused(&error))?;
    let role = match args.role {
        RoleArg::System => Role::System,
        RoleArg::Security => Role::Security,
        RoleArg::Audit => Role::Audit,
    };
    let administrator = Administrator { name: args.name.clone(), role, key: to_hex(&key) };
    let document = serde_json::to_value(&administrator).map_err(|error| internal(&error))?;
    let (private, public) =
        (args.out.join(format!("{}.key", args.name)), args.out.join(format!("{}.json", args.name)));
    write_new(&private, &pem::private_key_text(made.as_ref()), 0o600)?;
    write_new(&public, &format!("{document}\n"), 0o644)?;
    console.result(&document, |lang| {
        let (private, public) = (private.display(), public.display());
        lang.pick(
            format!("私钥 {private} 由本人保管；{public} 交给信任目录保管人登记。"),
            format!("{private} stays with this person; {public} goes to whoever keeps the trust folder."),
        )
    })
}

/// Takes a folder with `trust.toml` over into an administration log.
///
/// # Errors
/// [`NotAllowed`] as a failure.
pub fn adopt(console: Console, home: Home<'_>, args: &AdoptArgs) -> Result<(), Failure> {
    let dir = home.dir(&args.by.place)?;
    let administrators = args.administrators.iter().map(|file| read_admin(file)).collect::<Result<_, _>>()?;
    let (trust_toml, domains) = TrustStore::records(&dir).map_err(|error| refused(&error))?;
    act(console, home, &args.by, &Act::Adopt { trust_toml, domains, administrators }, None)
}

/// Proposes an administrator.
///
/// # Errors
/// As [`adopt`].
pub fn admin_add(console: Console, home: Home<'_>, args: &AdminAddArgs) -> Result<(), Failure> {
    let administrator = read_admin(&args.file)?;
    propose(console, home, &args.by, Change::AdministratorAdd { administrator }, None)
}

/// Proposes that an administrator goes.
///
/// # Errors
/// As [`adopt`].
pub fn admin_remove(console: Console, home: Home<'_>, args: &NamedArgs) -> Result<(), Failure> {
    propose(console, home, &args.by, Change::AdministratorRemove { name: args.name.clone() }, None)
}

/// Proposes a domain.
///
/// # Errors
/// As [`adopt`].
pub fn domain_add(console: Console, home: Home<'_>, args: &DomainAddArgs) -> Result<(), Failure> {
    let (anchor, file) = read_anchor(&args.anchor)?;
    let domain = DomainRecord {
        name: args.name.clone(),
        divisions: args.divisions.clone(),
        crl: !args.no_crl,
        crl_grace_hours: args.crl_grace_hours,
        crls: Vec::new(),
        anchors: vec![anchor],
        suspended: Vec::new(),
    };
    propose(console, home, &args.by, Change::DomainAdd { domain }, Some(&file))
}

/// Proposes other prefixes for a domain.
///
/// # Errors
/// As [`adopt`].
pub fn domain_prefixes(console: Console, home: Home<'_>, args: &DomainPrefixesArgs) -> Result<(), Failure> {
    let (domain, divisions) = (args.name.clone(), args.divisions.clone());
    propose(console, home, &args.by, Change::DomainPrefixes { domain, divisions }, None)
}

/// Proposes that a domain goes.
///
/// # Errors
/// As [`adopt`].
pub fn domain_remove(console: Console, home: Home<'_>, args: &NamedArgs) -> Result<(), Failure> {
    propose(console, home, &args.by, Change::DomainRemove { domain: args.name.clone() }, None)
}

/// Proposes a further root.
///
/// # Errors
/// As [`adopt`].
pub fn anchor_import(console: Console, home: Home<'_>, args: &AnchorImportArgs) -> Result<(), Failure> {
    let (anchor, file) = read_anchor(&args.file)?;
    propose(
        console,
        home,
        &args.by,
        Change::AnchorImport { domain: args.domain.clone(), anchor },
        Some(&file),
    )
}

/// Proposes that a root is used.
///
/// # Errors
/// As [`adopt`].
pub fn anchor_activate(console: Console, home: Home<'_>, args: &AnchorArgs) -> Result<(), Failure> {
    let change = anchor_state(home, args, AnchorState::Active, None)?;
    propose(console, home, &args.by, change, None)
}

/// Takes a root out of use for everything new, at once.
///
/// # Errors
/// As [`adopt`].
pub fn anchor_taint(console: Console, home: Home<'_>, args: &AnchorArgs) -> Result<(), Failure> {
    let change = anchor_state(home, args, AnchorState::Tainted, None)?;
    act(console, home, &args.by, &Act::Emergency { change }, None)
}

/// Revokes a root at once.
///
/// # Errors
/// As [`adopt`].
pub fn anchor_revoke(console: Console, home: Home<'_>, args: &AnchorRevokeArgs) -> Result<(), Failure> {
    let from = args.compromised_from.and_then(|from| i64::try_from(from.0).ok());
    let change = anchor_state(home, &args.anchor, AnchorState::Revoked, from)?;
    act(console, home, &args.anchor.by, &Act::Emergency { change }, None)
}

/// Suspends a node at once.
///
/// # Errors
/// As [`adopt`].
pub fn node_suspend(console: Console, home: Home<'_>, args: &NodeArgs) -> Result<(), Failure> {
    let (domain, division) = (domain_of(home, args)?, args.node.to_string());
    act(console, home, &args.by, &Act::Emergency { change: Change::NodeSuspend { domain, division } }, None)
}

/// Proposes that a suspension ends.
///
/// # Errors
/// As [`adopt`].
pub fn node_resume(console: Console, home: Home<'_>, args: &NodeArgs) -> Result<(), Failure> {
    let (domain, division) = (domain_of(home, args)?, args.node.to_string());
    propose(console, home, &args.by, Change::NodeResume { domain, division }, None)
}

/// Installs newer revocation lists of one domain.
///
/// # Errors
/// Lists that are stale, older than the present ones, or of another authority; what [`adopt`] refuses.
pub fn crl_import(console: Console, home: Home<'_>, args: &CrlImportArgs) -> Result<(), Failure> {
    let told = |error| refused(&error);
    let dir = home.dir(&args.by.place)?;
    let store = TrustStore::load(&dir).map_err(told)?;
    let name = &args.domain;
    let domain = store.domains().iter().find(|domain| domain.name().as_str() == name).ok_or_else(|| {
        Failure::not_found(both!("没有信任域 {name}。", "there is no trust domain {name}."))
    })?;
    let lists = pem::read_crls(&args.file).map_err(told)?;
    let issuers = args.issuer.as_deref().map(pem::read_chain).transpose().map_err(told)?.unwrap_or_default();
    let issuers: Vec<&[u8]> = issuers.iter().map(Vec::as_slice).collect();
    let now = now_ms();
    for list in &lists {
        domain.check_crl(list, &issuers).map_err(told)?;
        let next_update_ms = list.next_update_ms();
        if next_update_ms < now {
            return Err(refused(&TrustError::CrlStale { domain: domain.name().clone(), next_update_ms }));
        }
    }
    let this_update_ms = lists.iter().map(Crl::this_update_ms).min().unwrap_or_default();
    let file = crl_file(&dir, &store, name, &lists)?;
    let source = Source { from: args.file.clone(), to: file.clone(), replace: true };
    let crl = CrlRecord { file, this_update_ms };
    act(console, home, &args.by, &Act::CrlImport { domain: name.clone(), crl }, Some(&source))
}

/// The file that new lists belong into: the one with lists of the same authorities, or a new one.
fn crl_file(dir: &Path, store: &TrustStore, domain: &str, lists: &[Crl]) -> Result<String, Failure> {
    let state = state(store)?;
    let record = state.domains.get(domain);
    for known in record.iter().flat_map(|record| &record.crls) {
        let present = pem::read_crls(&dir.join(&known.file)).map_err(|error| refused(&error))?;
        let same = |one: &Crl| lists.iter().any(|list| list.issuer() == one.issuer());
        if present.iter().any(same) {
            if !present.iter().all(same) {
                let file = &known.file;
                return Err(Failure::input(both!(
                    "{file} 还含其他机构的列表；请将各机构的新列表合为一个文件导入。",
                    "{file} holds lists of other authorities too; put the newest of each into one file and import that."
                )));
            }
            return Ok(known.file.clone());
        }
    }
    let issuer = lists.first().map(Crl::issuer).unwrap_or_default();
    let name = to_hex(ring::digest::digest(&ring::digest::SHA256, issuer).as_ref());
    Ok(format!("crl-{}.pem", &name[..16]))
}

/// Approves a proposal.
///
/// # Errors
/// As [`adopt`].
pub fn approve(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Approve { proposal: args.record }, None)
}

/// Declines or withdraws a proposal.
///
/// # Errors
/// As [`adopt`].
pub fn decline(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Decline { proposal: args.record }, None)
}

/// Confirms what one person did alone.
///
/// # Errors
/// As [`adopt`].
pub fn confirm(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Confirm { record: args.record }, None)
}

/// Records that an auditor has read the log.
///
/// # Errors
/// As [`adopt`].
pub fn review(console: Console, home: Home<'_>, args: &RecordArgs) -> Result<(), Failure> {
    act(console, home, &args.by, &Act::Review { through: args.record }, None)
}

/// A file that an act brings into the trust folder.
struct Source {
    from: PathBuf,
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
        if let Some(source) = source {
            bring(&dir, source)?;
        }
        // A change that the node could not load must not become the truth.
        TrustStore::of_state(&dir, &outcome.after).map_err(|error| refused(&error))?;
        outcome = append(&dir, &by.by, &key, act, now).map_err(not_done)?;
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
        "partners_affected": partners,
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
        if !partners.is_empty() {
            let list = partners.join(lang.pick("、", ", "));
            text += &lang.pick(format!("\n涉及伙伴：{list}"), format!("\nPartners affected: {list}"));
        }
        text
    })
}

/// The partners in the configuration whose domain the act is about, now or once it is approved.
fn affected(home: Home<'_>, outcome: &Plan) -> Result<Vec<String>, Failure> {
    let Some(config) = home.config()? else { return Ok(Vec::new()) };
    let mut after = outcome.after.clone();
    if let Some(change) = after.proposals.get(&outcome.record).and_then(|waiting| waiting.change.clone()) {
        after = after.with(&change).map_err(|error| not_done(error.into()))?;
    }
    let told = |state: &State, peer: &str| {
        state.domains.values().find(|domain| domain.divisions.iter().any(|p| peer.starts_with(p))).cloned()
    };
    let mut partners = Vec::new();
    for peer in config.peers.iter().map(|peer| peer.node.to_string()) {
        if told(&outcome.before, &peer) != told(&after, &peer) {
            partners.push(peer);
        }
    }
    Ok(partners)
}

fn bring(dir: &Path, source: &Source) -> Result<(), Failure> {
    let to = dir.join(&source.to);
    let failed = |error: std::io::Error| {
        let to = to.display();
        Failure::system(both!("{to}：{error}", "{to}: {error}"))
    };
    if to.exists() && !source.replace {
        return Ok(());
    }
    let fresh = dir.join(format!("{}.new", source.to));
    std::fs::copy(&source.from, &fresh).map_err(failed)?;
    std::fs::File::open(&fresh).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, &to).map_err(failed)
}

fn read_anchor(file: &Path) -> Result<(AnchorRecord, Source), Failure> {
    let der = pem::read_certificate(file).map_err(|error| refused(&error))?;
    let anchor = Anchor::from_der(&der, AnchorState::Prepared).map_err(|error| refused(&error))?;
    let fingerprint = to_hex(anchor.fingerprint());
    let to = format!("root-{}.pem", &fingerprint[..16]);
    let record = AnchorRecord {
        file: to.clone(),
        fingerprint,
        state: AnchorState::Prepared,
        compromised_from_ms: None,
    };
    Ok((record, Source { from: file.to_owned(), to, replace: false }))
}

fn read_admin(file: &Path) -> Result<Administrator, Failure> {
    let bytes = super::read_input(file, 4096)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let file = file.display();
        Failure::input(both!(
            "{file} 不是管理员公钥文件：{error}",
            "{file} is no administrator's file: {error}"
        ))
    })
}

fn anchor_state(
    home: Home<'_>,
    args: &AnchorArgs,
    to: AnchorState,
    compromised_from_ms: Option<i64>,
) -> Result<Change, Failure> {
    let log = log_of(&home.dir(&args.by.place)?)?;
    let wanted = args.fingerprint.to_ascii_lowercase().replace(':', "");
    let found: Vec<(&String, &AnchorRecord)> = log
        .state()
        .domains
        .iter()
        .flat_map(|(name, domain)| domain.anchors.iter().map(move |anchor| (name, anchor)))
        .filter(|(_, anchor)| wanted.len() >= 8 && anchor.fingerprint.starts_with(&wanted))
        .collect();
    match found.as_slice() {
        [(domain, anchor)] => Ok(Change::AnchorState {
            domain: (*domain).clone(),
            fingerprint: anchor.fingerprint.clone(),
            state: to,
            compromised_from_ms,
        }),
        _ => Err(Failure::not_found(both!(
            "没有唯一以 {wanted} 开头的根证书；请用 trust domain list 查看指纹（至少 8 位）。",
            "no single root begins with {wanted}; see fingerprints with trust domain list, and give 8 digits or more."
        ))),
    }
}

fn domain_of(home: Home<'_>, args: &NodeArgs) -> Result<String, Failure> {
    let log = log_of(&home.dir(&args.by.place)?)?;
    let node = args.node;
    let speaks = |domain: &&DomainRecord| domain.divisions.iter().any(|p| node.as_str().starts_with(p));
    log.state().domains.values().find(speaks).map(|domain| domain.name.clone()).ok_or_else(|| {
        Failure::not_found(both!("没有信任域可代表 {node}。", "no trust domain speaks for {node}."))
    })
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
