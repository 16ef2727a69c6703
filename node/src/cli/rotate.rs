//! `certs request|install|rotate`: a new key and certificate for this node, from the request to an authority to the
//! files that the running node reads.
//!
//! A key has a place beside the one in use (`tls.key.next`): prepared by `request`, in use after `install`. The old
//! pair stays as `tls.pem.old-<fingerprint>`: what the old signing key signed is proved with it for ever.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use certs::{Identity, inspect, pem};
use clap::{Args, ValueEnum};
use devpki::KeyKind;
use serde_json::json;

use super::certs::{Use, date, refused, short};
use super::check::now_ms;
use crate::both;
use crate::config::Config;
use crate::console::{Console, Failure};

/// `tongban certs request`
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// Which certificate. 哪一张证书
    #[arg(long = "for", value_name = "USE", value_enum)]
    pub purpose: Use,
    /// The trust domain; that of the present certificate when absent. 信任域
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// The new key's algorithm. 新密钥算法
    #[arg(long, value_name = "ALGORITHM", value_enum, default_value_t = Algorithm::P256)]
    pub key: Algorithm,
    /// Where the request goes, a new file. 证书请求输出文件
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Do it; without this, only show the plan. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// A key's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// ECDSA on NIST P-256. 缺省
    P256,
    /// Ed25519, RFC 8032.
    Ed25519,
}

/// `tongban certs install`
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Which certificate. 哪一张证书
    #[arg(long = "for", value_name = "USE", value_enum)]
    pub purpose: Use,
    /// What the authority issued: the chain, PEM, leaf first. 签发的证书链
    pub chain: PathBuf,
    /// Do it; without this, only show the plan. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// `tongban certs rotate`
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Which certificate. 哪一张证书
    #[arg(long = "for", value_name = "USE", value_enum)]
    pub purpose: Use,
    /// Second half: the chain that the authority issued for the prepared key. 第二步：签发的证书链
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// First half: where the request goes. 第一步：证书请求输出文件
    #[arg(long, value_name = "FILE", conflicts_with = "chain", required_unless_present = "chain")]
    pub out: Option<PathBuf>,
    /// Do it; without this, only show the plan. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// Prepares a key and writes the request for its certificate. The key is never printed.
///
/// # Errors
/// When a prepared key waits already, or a file cannot be written.
pub fn request(console: Console, config: &Path, args: &RequestArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let (chain_file, key_file) = files(&config, args.purpose);
    let next = beside(&key_file, "next");
    if next.exists() {
        let shown = next.display();
        return Err(Failure::input(both!(
            "已有待用密钥 {shown}；请先安装其证书，或删除后重新申请。",
            "a prepared key waits at {shown}; install its certificate, or remove it and request again."
        )));
    }
    let domain = match &args.domain {
        Some(domain) => domain.clone(),
        None => present_domain(&chain_file)?,
    };
    let kind = match args.key {
        Algorithm::P256 => KeyKind::P256,
        Algorithm::Ed25519 => KeyKind::Ed25519,
    };
    let signing = args.purpose == Use::Signing;
    let made = devpki::request(&domain, config.node.as_str(), signing, kind).map_err(|error| {
        Failure::input(both!("无法生成请求：{error}", "cannot make the request: {error}"))
    })?;
    if args.apply {
        // The key first: a request without its key would be signed for nothing.
        write_new(&next, &made.key_pem, 0o600)?;
        write_new(&args.out, &made.pem, 0o644)?;
    }
    let (id, next, out) =
        (format!("spiffe://{domain}/node/{}", config.node), next.display(), args.out.display());
    let document = json!({
        "applied": args.apply, "id": id, "key_file": next.to_string(), "request_file": out.to_string(),
    });
    console.result(&document, |lang| {
        lang.pick(
            format!(
                "{}新密钥存于 {next}（仅属主可读），请求写入 {out}，名称 {id}。\n请将 {out} 交证书机构签发，再执行 tongban certs install。",
                planned_zh(args.apply)
            ),
            format!(
                "{}the new key goes to {next} (readable by its owner alone), the request for {id} to {out}.\n\
                 Have the authority sign {out}, then run tongban certs install.",
                planned_en(args.apply)
            ),
        )
    })
}

/// Checks what the authority issued and puts it in the place of the present pair, which is kept.
///
/// # Errors
/// The first reason against it: key, chain, profile, division, serial number; nothing is changed then.
pub fn install(console: Console, config: &Path, args: &InstallArgs) -> Result<(), Failure> {
    let now = now_ms();
    let config = Config::load(config)?;
    let (chain_file, key_file) = files(&config, args.purpose);
    let next = beside(&key_file, "next");
    let told = |error| refused(&error);
    let trust = config.trust_store().map_err(told)?;
    // A renewed certificate may keep its key.
    let renews = !next.exists();
    let key = if renews { &key_file } else { &next };
    let fresh = Identity::load(&args.chain, key).map_err(told)?;
    let verified = trust.verify(args.purpose.purpose(), &fresh.chain_refs(), now).map_err(told)?;
    if verified.id.division.as_str() != config.node.as_str() {
        let (found, own) = (verified.id.division, config.node);
        return Err(Failure::input(both!(
            "该证书属于节点 {found}，而本节点是 {own}；请取得本节点的证书。",
            "the certificate speaks for node {found}, but this is {own}; fetch this node's certificate."
        )));
    }
    let old = pem::read_chain(&chain_file).ok();
    let mut kept = None;
    if let Some(leaf) = old.as_ref().and_then(|chain| chain.first()) {
        inspect::refuse_twin(&fresh.chain()[0], leaf).map_err(told)?;
        let fingerprint = inspect::inspect(leaf, None, now).map_err(told)?.fingerprint;
        if fingerprint != verified.fingerprint {
            kept = Some(beside(&chain_file, &format!("old-{}", short(&fingerprint))));
        }
    }
    if args.apply {
        replace(&chain_file, &key_file, (!renews).then_some(next.as_path()), &args.chain, kept.as_deref())?;
    }
    let signing = args.purpose == Use::Signing;
    let document = json!({
        "applied": args.apply,
        "id": verified.id.to_string(),
        "not_after_ms": verified.not_after_ms,
        "chain_file": chain_file.display().to_string(),
        "kept": kept.as_ref().map(|kept| kept.display().to_string()),
        "same_key": renews,
        "restart": false,
    });
    console.result(&document, |lang| {
        let (id, until, chain) = (&verified.id, date(verified.not_after_ms), chain_file.display());
        let mut text = lang.pick(
            format!("{}{id} 的新证书有效至 {until}，装入 {chain}。", planned_zh(args.apply)),
            format!("{}the new certificate of {id}, valid until {until}, goes to {chain}.", planned_en(args.apply)),
        );
        if let Some(kept) = &kept {
            let kept = kept.display();
            text += &lang.pick(format!("\n旧证书留存为 {kept}。"), format!("\nThe old one stays as {kept}."));
            if signing {
                text += &lang.pick(
                    format!("\n请将其加入配置 identity.older_signing_chains（下次启动读取；仅在存储丢失后找回时才需要）：\n  older_signing_chains = [\"{kept}\"]"),
                    format!("\nAdd it to identity.older_signing_chains in the configuration (read at the next start, needed only to recover a lost store):\n  older_signing_chains = [\"{kept}\"]"),
                );
            }
        }
        text += lang.pick(
            "\n运行中的节点一秒内采用，不必重启，现有连接不中断。",
            "\nA running node takes it within a second; nothing restarts and no connection drops.",
        );
        text
    })
}

/// The two halves of a rotation as one verb: `--out` prepares, `--chain` activates.
///
/// # Errors
/// As [`request`] and [`install`].
pub fn rotate(console: Console, config: &Path, args: RotateArgs) -> Result<(), Failure> {
    let RotateArgs { purpose, chain, out, apply } = args;
    match (chain, out) {
        (Some(chain), _) => install(console, config, &InstallArgs { purpose, chain, apply }),
        (None, Some(out)) => {
            let args = RequestArgs { purpose, domain: None, key: Algorithm::P256, out, apply };
            request(console, config, &args)
        }
        (None, None) => Err(Failure::usage(both!(
            "请给出 --out（申请）或 --chain（安装）。",
            "give --out to request or --chain to install."
        ))),
    }
}

fn planned_zh(apply: bool) -> &'static str {
    if apply { "已执行：" } else { "计划（加 --apply 执行）：" }
}

fn planned_en(apply: bool) -> &'static str {
    if apply { "Done: " } else { "Plan (add --apply to do it): " }
}

fn files(config: &Config, purpose: Use) -> (PathBuf, PathBuf) {
    let files = &config.identity;
    match purpose {
        Use::Tls => (files.tls_chain.clone(), files.tls_key.clone()),
        Use::Signing => (files.signing_chain.clone(), files.signing_key.clone()),
    }
}

fn present_domain(chain: &Path) -> Result<String, Failure> {
    let chain = pem::read_chain(chain).map_err(|error| refused(&error))?;
    let inspected = inspect::inspect(&chain[0], None, now_ms()).map_err(|error| refused(&error))?;
    inspected.id.map(|id| id.domain.to_string()).ok_or_else(|| {
        Failure::input(both!(
            "现有证书没有节点名称；请用 --domain 指明信任域。",
            "the present certificate names no node; give the trust domain with --domain."
        ))
    })
}

/// `tls.key` and `next` make `tls.key.next`, in the same folder.
fn beside(file: &Path, word: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(word);
    PathBuf::from(name)
}

/// Puts new files in place, each by rename, so that a reader meets whole files. A node that meets the new key with
/// the old chain keeps what it has, and looks again when the chain has changed too.
///
/// A crash between the renames leaves the old pair complete under its kept names, and the new chain at `.new`.
fn replace(
    chain_file: &Path,
    key_file: &Path,
    next_key: Option<&Path>,
    chain: &Path,
    kept: Option<&Path>,
) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::system(both!("{path}：{error}", "{path}: {error}"))
    };
    if let Some(kept) = kept {
        std::fs::copy(chain_file, kept).map_err(failed(kept))?;
        if next_key.is_some() {
            let old_key = beside(key_file, &kept.extension().unwrap_or_default().to_string_lossy());
            std::fs::copy(key_file, &old_key).map_err(failed(&old_key))?;
            std::fs::set_permissions(&old_key, Permissions::from_mode(0o600)).map_err(failed(&old_key))?;
        }
    }
    let fresh = beside(chain_file, "new");
    std::fs::copy(chain, &fresh).map_err(failed(&fresh))?;
    // On the disk before it takes a name that is read: a power cut leaves the old file or the new one, whole.
    for file in next_key.into_iter().chain([fresh.as_path()]) {
        std::fs::File::open(file).and_then(|file| file.sync_all()).map_err(failed(file))?;
    }
    if let Some(next) = next_key {
        std::fs::rename(next, key_file).map_err(failed(key_file))?;
    }
    std::fs::rename(&fresh, chain_file).map_err(failed(chain_file))?;
    let folder = chain_file.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

/// Writes a file that is not there yet, with its mode from the first byte on.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|error| {
        let path = path.display();
        Failure::system(both!("写不了 {path}：{error}", "cannot write {path}: {error}"))
    })
}
