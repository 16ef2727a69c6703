//! `certs inspect|list|check`: what certificates say, when they end, and what is wrong with them, in words. Reads
//! only; `certs request|install|rotate` stand in [`super::rotate`].

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use certs::administration::log::to_hex as hex;
use certs::inspect::{Inspection, inspect};
use certs::{AnchorState, Crl, Purpose, Revocation, TrustError, TrustStore, pem};
use clap::{Args, ValueEnum};
use gateway::time::UnixMillis;
use serde_json::{Value, json};

use super::check::now_ms;
use super::letters::duration;
use crate::both;
use crate::config::Config;
use crate::console::{Console, Failure};
use crate::text::table::Table;
use crate::text::{Lang, printable};

/// Which of a node's two certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Use {
    /// Opens connections. 建立连接
    Tls,
    /// Signs checkpoints and documents. 签名
    Signing,
}

impl Use {
    /// The crate `certs`' word for it.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::Tls => Purpose::Tls,
            Self::Signing => Purpose::Signing,
        }
    }
}

/// `tongban certs inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A certificate, a chain (leaf first) or a revocation list, PEM. 证书、证书链或吊销列表
    pub file: PathBuf,
    /// What it is meant for; found out when absent. 用途（缺省自动判断）
    #[arg(long = "for", value_name = "USE", value_enum)]
    pub purpose: Option<Use>,
    /// Judge it by this trust folder as well. 同时按该信任目录核验
    #[arg(long, value_name = "DIR")]
    pub trust: Option<PathBuf>,
}

/// `tongban certs list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only what ends within this time, such as 60d. 只列出在此期限内到期的
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expiring: Option<u64>,
}

/// `tongban certs check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What ends within this time counts as a problem. 在此期限内到期即视为问题
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "14d")]
    pub expiring: u64,
}

/// Shows what a file says and everything that is wrong with it.
///
/// # Errors
/// Exit code 3 when it cannot be used; the result says why.
pub fn show(console: Console, args: &InspectArgs) -> Result<(), Failure> {
    let now = now_ms();
    let chain = match pem::read_chain(&args.file) {
        Ok(chain) => chain,
        // It may be a list; if it is neither, the reader wanted a certificate.
        Err(error) => {
            return match pem::read_crls(&args.file) {
                Ok(lists) => show_lists(console, &lists, now),
                Err(TrustError::Pem { .. } | TrustError::PemKind { .. }) => Err(refused(&error)),
                Err(other) => Err(refused(&other)),
            };
        }
    };
    let mut inspected = Vec::new();
    for (place, der) in chain.iter().enumerate() {
        let purpose = args.purpose.filter(|_| place == 0).map(Use::purpose);
        inspected.push(inspect(der, purpose, now).map_err(|error| refused(&error))?);
    }
    if let Some(dir) = &args.trust {
        let trust = TrustStore::load(dir).map_err(|error| refused(&error))?;
        let leaf = &mut inspected[0];
        let purpose = args.purpose.map(Use::purpose).or(leaf.purpose).unwrap_or(Purpose::Tls);
        let refs: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        if let Err(error) = trust.verify(purpose, &refs, now)
            && !leaf.problems.iter().any(|problem| problem.code() == error.code())
        {
            leaf.problems.push(error);
        }
    }
    let good = inspected.iter().all(|one| one.problems.is_empty());
    let document = json!({
        "file": args.file.display().to_string(),
        "usable": good,
        "certificates": inspected.iter().map(inspection_json).collect::<Vec<_>>(),
    });
    console.result(&document, |lang| inspected.iter().map(|one| in_words(lang, one)).collect())?;
    if good { Ok(()) } else { Err(Failure::exit(3)) }
}

fn show_lists(console: Console, lists: &[Crl], now: i64) -> Result<(), Failure> {
    let stale = lists.iter().any(|list| list.next_update_ms() < now);
    let document = json!({"lists": lists.iter().map(|list| json!({
        "this_update_ms": list.this_update_ms(),
        "next_update_ms": list.next_update_ms(),
        "revoked": list.count(),
    })).collect::<Vec<_>>(), "usable": !stale});
    console.result(&document, |lang| {
        let mut text = String::new();
        for list in lists {
            let (from, until, count) =
                (date(list.this_update_ms()), date(list.next_update_ms()), list.count());
            let line = lang.pick(
                format!("吊销列表：签发 {from}，应于 {until} 前更新，吊销 {count} 张"),
                format!("revocation list: issued {from}, to be renewed by {until}, {count} revoked"),
            );
            let late =
                if list.next_update_ms() < now { lang.pick("，已过期", ", out of date") } else { "" };
            writeln!(text, "{line}{late}").expect("a String takes every write");
        }
        text
    })?;
    if stale { Err(Failure::exit(3)) } else { Ok(()) }
}

/// A certificate or list that a node depends on.
struct Kept {
    what: &'static str,
    name: String,
    file: PathBuf,
    ends_ms: i64,
    /// A tainted root verifies old evidence only: its end calls for nobody.
    matters: bool,
    problems: Vec<TrustError>,
}

/// Lists what the node depends on, by the time when it ends.
///
/// # Errors
/// When the configuration or one of its files cannot be read.
pub fn list(console: Console, config: &Path, args: &ListArgs) -> Result<(), Failure> {
    let now = now_ms();
    let config = Config::load(config)?;
    let mut kept = collect(&config, now)?;
    if let Some(within) = args.expiring {
        kept.retain(|one| ends_within(one, now, within));
    }
    print(console, "certificates", &kept, now)
}

/// Says whether anything needs an administrator: for cron.
///
/// # Errors
/// Exit code 3 when anything is wrong or ends soon.
pub fn check(console: Console, config: &Path, args: &CheckArgs) -> Result<(), Failure> {
    let now = now_ms();
    let config = Config::load(config)?;
    let mut kept = collect(&config, now)?;
    kept.retain(|one| one.matters && (!one.problems.is_empty() || ends_within(one, now, args.expiring)));
    if kept.is_empty() {
        let document = json!({"attention": []});
        return console.result(&document, |lang| {
            lang.pick(
                "证书、信任与吊销列表均无须处理。",
                "Certificates, trust and revocation lists need nothing.",
            )
            .to_owned()
        });
    }
    print(console, "attention", &kept, now)?;
    Err(Failure::exit(3))
}

fn ends_within(one: &Kept, now: i64, within: u64) -> bool {
    one.ends_ms <= now.saturating_add(i64::try_from(within).unwrap_or(i64::MAX))
}

fn collect(config: &Config, now: i64) -> Result<Vec<Kept>, Failure> {
    let trust = config.trust_store().map_err(|error| refused(&error))?;
    let mut kept = Vec::new();
    let files = &config.identity;
    for (what, purpose, chain, key) in [
        ("tls", Purpose::Tls, &files.tls_chain, &files.tls_key),
        ("signing", Purpose::Signing, &files.signing_chain, &files.signing_key),
    ] {
        let mut problems = Vec::new();
        let mut ends_ms = now;
        match certs::Identity::load(chain, key) {
            Ok(identity) => {
                ends_ms = certs::not_after_ms(identity.chain());
                problems.extend(trust.verify(purpose, &identity.chain_refs(), now).err());
            }
            Err(error) => problems.push(error),
        }
        let name = config.node.to_string();
        kept.push(Kept { what, name, file: chain.clone(), ends_ms, matters: true, problems });
    }
    for domain in trust.domains() {
        let name = domain.name().to_string();
        for anchor in domain.anchors() {
            let matters = matches!(anchor.state(), AnchorState::Prepared | AnchorState::Active);
            let name = format!("{name} {} {}", anchor.state(), short(anchor.fingerprint()));
            let ends_ms = anchor.not_after_ms();
            let file = config.trust_dir.clone();
            kept.push(Kept { what: "anchor", name, file, ends_ms, matters, problems: Vec::new() });
        }
        if let Revocation::Crl { lists, .. } = domain.revocation() {
            for list in lists {
                let (name, ends_ms) = (name.clone(), list.next_update_ms());
                let problems = match ends_ms < now {
                    true => {
                        vec![TrustError::CrlStale { domain: domain.name().clone(), next_update_ms: ends_ms }]
                    }
                    false => Vec::new(),
                };
                let file = config.trust_dir.clone();
                kept.push(Kept { what: "crl", name, file, ends_ms, matters: true, problems });
            }
        }
    }
    kept.sort_by_key(|one| one.ends_ms);
    Ok(kept)
}

fn print(console: Console, key: &str, kept: &[Kept], now: i64) -> Result<(), Failure> {
    let document = json!({key: kept.iter().map(|one| json!({
        "what": one.what,
        "name": one.name,
        "file": one.file.display().to_string(),
        "ends_ms": one.ends_ms,
        "days_left": days_left(one.ends_ms, now),
        "problems": one.problems.iter().map(problem_json).collect::<Vec<_>>(),
    })).collect::<Vec<_>>()});
    console.result(&document, |lang| {
        let mut table = Table::new(match lang {
            Lang::Zh => ["类别", "名称", "到期", "剩余天数", "问题"],
            Lang::En => ["what", "name", "ends", "days left", "problem"],
        });
        for one in kept {
            let codes: Vec<&str> = one.problems.iter().map(TrustError::code).collect();
            table.row([
                what_in_words(lang, one.what).to_owned(),
                one.name.clone(),
                date(one.ends_ms),
                days_left(one.ends_ms, now).to_string(),
                codes.join(" "),
            ]);
        }
        let mut text = table.render();
        for problem in kept.iter().flat_map(|one| &one.problems) {
            writeln!(text, "{}: {}", problem.code(), printable(&problem.advice(lang == Lang::Zh)))
                .expect("a String takes every write");
        }
        text
    })
}

fn what_in_words(lang: Lang, what: &str) -> &str {
    match (lang, what) {
        (Lang::Zh, "tls") => "连接证书",
        (Lang::Zh, "signing") => "签名证书",
        (Lang::Zh, "anchor") => "根证书",
        (Lang::Zh, "crl") => "吊销列表",
        (_, "crl") => "revocation list",
        (_, other) => other,
    }
}

fn in_words(lang: Lang, one: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |zh: &str, en: &str, value: &str| {
        let name = lang.pick(zh, en);
        let colon = lang.pick("：", ": ");
        writeln!(text, "{name}{colon}{}", printable(value)).expect("a String takes every write");
    };
    line("主体", "subject", &one.subject);
    line("签发机构", "issuer", &one.issuer);
    line("序列号", "serial", &one.serial);
    line("SHA-256 指纹", "SHA-256 fingerprint", &hex(&one.fingerprint));
    line("密钥", "key", &one.key);
    line("有效期", "valid", &format!("{} – {}", date(one.not_before_ms), date(one.not_after_ms)));
    if let Some(id) = &one.id {
        line("代表", "speaks for", &id.to_string());
    }
    let purpose = match (one.authority, one.purpose) {
        (true, _) => lang.pick("证书机构", "an authority"),
        (false, Some(Purpose::Tls)) => lang.pick("建立连接", "opens connections"),
        (false, Some(Purpose::Signing)) => lang.pick("签名", "signs"),
        (false, None) => lang.pick("无", "none"),
    };
    line("用途", "purpose", purpose);
    if one.problems.is_empty() {
        line("结论", "verdict", lang.pick("未见问题", "nothing is wrong with it"));
    }
    for problem in &one.problems {
        let told = format!("{} {}", problem.code(), problem.advice(lang == Lang::Zh));
        line("问题", "problem", &told);
    }
    text.push('\n');
    text
}

fn inspection_json(one: &Inspection) -> Value {
    json!({
        "subject": one.subject,
        "issuer": one.issuer,
        "serial": one.serial,
        "fingerprint": hex(&one.fingerprint),
        "key": one.key,
        "signature_algorithm": one.signature_algorithm,
        "authority": one.authority,
        "id": one.id.as_ref().map(ToString::to_string),
        "purpose": one.purpose.map(|purpose| purpose.to_string().to_ascii_lowercase()),
        "not_before_ms": one.not_before_ms,
        "not_after_ms": one.not_after_ms,
        "problems": one.problems.iter().map(problem_json).collect::<Vec<_>>(),
    })
}

/// A problem as `--json` has it.
pub(super) fn problem_json(problem: &TrustError) -> Value {
    json!({
        "code": problem.code(),
        "message": problem.to_string(),
        "advice_zh": problem.advice(true),
        "advice_en": problem.advice(false),
    })
}

/// A failure that tells a problem of trust. Exit code 3: all of these are files that somebody gave.
pub(super) fn refused(error: &TrustError) -> Failure {
    let (zh, en) = (error.advice(true), error.advice(false));
    let mut failure = Failure::input(both!("{error}；{zh}", "{error}; {en}"));
    failure.code = error.code().to_owned();
    failure
}

/// An instant as people read it.
pub(super) fn date(ms: i64) -> String {
    UnixMillis(ms.max(0).unsigned_abs()).to_string()
}

fn days_left(ends_ms: i64, now: i64) -> i64 {
    ends_ms.saturating_sub(now).div_euclid(86_400_000)
}

/// Enough of a fingerprint to tell two apart on a screen.
pub(super) fn short(fingerprint: &[u8; 32]) -> String {
    hex(&fingerprint[..8])
}
