//! `trust bundle …`: a province signs the state of its own domain; partners' nodes follow it by themselves, as far as
//! it is the province's to change, and leave the rest to two people.

use std::fmt::Write as _;
use std::path::PathBuf;

use certs::administration::event::{AnchorRecord, DomainRecord};
use certs::administration::log::to_hex;
use certs::administration::{Act, Change};
use certs::bundle::{Bundle, BundleState, Content, Suggestion, accepted};
use certs::{AnchorState, TrustError, TrustStore, pem};
use clap::Args;
use serde_json::{Value, json};

use super::{By, Home, Place, Source, act, log_of, write_whole};
use crate::both;
use crate::cli::certs::{date, refused};
use crate::cli::check::now_ms;
use crate::console::{Console, Failure};
use crate::text::table::Table;
use crate::text::{Lang, printable};

const DAY_MS: i64 = 86_400_000;

/// `tongban trust bundle publish`
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The own trust domain. 本省信任域
    pub domain: String,
    /// Chain of the bundle certificate (spiffe://DOMAIN/bundle), PEM, leaf first. 信任包签名证书链
    #[arg(long, value_name = "FILE")]
    pub chain: PathBuf,
    /// Its private key, PEM, mode 0600. 信任包签名私钥
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The file to write; what is there gives the number before. 输出文件
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Number of the bundle; one more than that of --out when absent. 编号（缺省为旧文件编号加一）
    #[arg(long, value_name = "N")]
    pub sequence: Option<u64>,
    /// Within how many days the next one will be there. 下一份将在多少天内发布
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub fresh_days: u16,
    /// Certificates of intermediate authorities, PEM; repeat for more. 中间机构证书
    #[arg(long = "intermediate", value_name = "FILE")]
    pub intermediates: Vec<PathBuf>,
    /// Where the own domain stands: its roots, prefixes, lists and listed nodes.
    #[command(flatten)]
    pub place: Place,
    /// Do it; without this, only show the plan. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// `tongban trust bundle inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A bundle. 信任包文件
    pub file: PathBuf,
}

/// `tongban trust bundle propose`
#[derive(Debug, Args)]
pub struct ProposeArgs {
    /// The trust domain. 信任域
    pub domain: String,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// Signs a bundle.
///
/// # Errors
/// A domain that is not in the trust folder; a certificate or key that does not sign bundles.
pub fn publish(console: Console, home: Home<'_>, args: &PublishArgs) -> Result<(), Failure> {
    let told = |error: TrustError| refused(&error);
    let dir = home.dir(&args.place)?;
    let record = own_record(&dir, &args.domain)?;
    let read_anchor = |anchor: &AnchorRecord| pem::read_certificate(&dir.join(&anchor.file));
    // Roots that are over are nobody's to follow.
    let live = |anchor: &&AnchorRecord| matches!(anchor.state, AnchorState::Prepared | AnchorState::Active);
    let anchors =
        record.anchors.iter().filter(live).map(read_anchor).collect::<Result<_, _>>().map_err(told)?;
    let mut crls = Vec::new();
    for known in &record.crls {
        let lists = pem::read_crls(&dir.join(&known.file)).map_err(told)?;
        crls.extend(lists.iter().map(|list| list.der().to_vec()));
    }
    let mut intermediates = Vec::new();
    for file in &args.intermediates {
        intermediates.extend(pem::read_chain(file).map_err(told)?);
    }
    let before = match args.out.exists() {
        true => {
            let bytes = accepted::read(&args.out).map_err(told)?;
            Some(Bundle::parse(&bytes).map_err(told)?.content().sequence)
        }
        false => None,
    };
    let sequence = args.sequence.unwrap_or_else(|| before.map_or(1, |before| before.saturating_add(1)));
    if before.is_some_and(|before| sequence <= before) {
        return Err(Failure::usage(both!(
            "编号 {sequence} 不大于已发布的编号，伙伴会拒绝。",
            "number {sequence} is not above the one published before: partners would refuse it."
        )));
    }
    let issued_ms = now_ms();
    let unread = |error: &dyn std::fmt::Display| Failure::input(both!("{error}", "{error}"));
    let content = Content {
        domain: record.name.parse().map_err(|error| unread(&error))?,
        sequence,
        issued_ms,
        fresh_until_ms: issued_ms.saturating_add(i64::from(args.fresh_days) * DAY_MS),
        divisions: record
            .divisions
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map_err(|error| unread(&error))?,
        anchors,
        intermediates,
        crls,
        nodes: record.nodes.as_ref().map(certs::store::read_nodes).transpose().map_err(told)?,
    };
    let chain = pem::read_chain(&args.chain).map_err(told)?;
    let key = pem::read_key(&args.key).map_err(told)?;
    let bundle = Bundle::sign(&content, &chain, &key).map_err(told)?;
    // What partners would refuse is not published: it is judged as they would judge it.
    let store = TrustStore::load(&dir).map_err(told)?;
    bundle.check(store.domains(), issued_ms).map_err(told)?;
    if args.apply {
        write_whole(&args.out, bundle.bytes())?;
    }
    let document = json!({
        "applied": args.apply,
        "out": args.out.display().to_string(),
        "bundle": content_json(bundle.content()),
    });
    console.result(&document, |lang| {
        let out = args.out.display();
        let head = if args.apply {
            lang.pick(format!("信任包已写入 {out}\n"), format!("The bundle is written to {out}\n"))
        } else {
            lang.pick(
                format!("计划写入 {out}（加 --apply 执行）\n"),
                format!("Plan: write {out} (add --apply to do it)\n"),
            )
        };
        head + &content_in_words(lang, bundle.content())
    })
}

fn own_record(dir: &std::path::Path, name: &str) -> Result<DomainRecord, Failure> {
    let log = certs::administration::Log::read(dir).map_err(|error| refused(&error))?;
    let found = match log {
        Some(log) => log.state().domains.get(name).cloned(),
        None => {
            let (_, records) = TrustStore::records(dir).map_err(|error| refused(&error))?;
            records.into_iter().find(|record| record.name == name)
        }
    };
    found.ok_or_else(|| Failure::not_found(both!("没有信任域 {name}。", "there is no trust domain {name}.")))
}

/// Shows a bundle file, and what this node would make of it.
///
/// # Errors
/// Exit code 3 when it is refused.
pub fn inspect(console: Console, home: Home<'_>, args: &InspectArgs) -> Result<(), Failure> {
    let bytes = accepted::read(&args.file).map_err(|error| refused(&error))?;
    let bundle = Bundle::parse(&bytes).map_err(|error| refused(&error))?;
    let verdict = match home.config()? {
        None => None,
        Some(config) => {
            let store = TrustStore::load(&config.trust_dir).map_err(|error| refused(&error))?;
            Some(config.bundles().judge(store.domains(), &bundle, now_ms()))
        }
    };
    let error = verdict.as_ref().and_then(|verdict| verdict.as_ref().err());
    let document = json!({
        "bundle": content_json(bundle.content()),
        "judged": verdict.is_some(),
        "refused": error.map(crate::cli::certs::problem_json),
    });
    console.result(&document, |lang| {
        let mut text = content_in_words(lang, bundle.content());
        match (&verdict, error) {
            (None, _) => {
                text += lang
                    .pick("未作核验：请用 --config 指明节点。", "Not judged: name the node with --config.")
            }
            (Some(_), None) => text += lang.pick("核验通过。", "It would be accepted."),
            (Some(_), Some(error)) => {
                let advice = error.advice(lang == Lang::Zh);
                write!(text, "{} {}", error.code(), printable(&advice)).expect("a String takes every write");
            }
        }
        text
    })?;
    if error.is_some() { Err(Failure::exit(3)) } else { Ok(()) }
}

/// Shows the bundles that the node follows.
///
/// # Errors
/// Without `--config`; when trust cannot be loaded.
pub fn show(console: Console, home: Home<'_>) -> Result<(), Failure> {
    let store = following(home)?;
    let now = now_ms();
    let followed = || store.domains().iter().filter_map(|domain| Some((domain, domain.bundle()?)));
    let document = json!({"bundles": followed().map(|(domain, bundle)| {
        let mut state = state_json(bundle);
        state["domain"] = json!(domain.name().to_string());
        state
    }).collect::<Vec<_>>()});
    console.result(&document, |lang| {
        let mut table = Table::new(match lang {
            Lang::Zh => ["信任域", "编号", "签发", "应更新", "沿用至", "状态", "待两人决定"],
            Lang::En => ["domain", "number", "issued", "renew by", "counts until", "state", "for two people"],
        });
        for (domain, bundle) in followed() {
            let suggestions: Vec<String> = bundle.suggestions.iter().map(suggestion_in_words).collect();
            table.row([
                domain.name().to_string(),
                bundle.sequence.to_string(),
                date(bundle.issued_ms),
                date(bundle.fresh_until_ms),
                date(bundle.counts_until_ms),
                standing(lang, bundle, now),
                suggestions.join("; "),
            ]);
        }
        table.render()
    })
}

/// Proposes what a bundle suggests and cannot change.
///
/// # Errors
/// When it suggests nothing that is not proposed already; as [`super::admin::adopt`].
pub fn propose(console: Console, home: Home<'_>, args: &ProposeArgs) -> Result<(), Failure> {
    let store = following(home)?;
    let name = &args.domain;
    let domain = store.domains().iter().find(|domain| domain.name().as_str() == name);
    let bundle = domain.and_then(certs::TrustDomain::bundle).ok_or_else(|| {
        Failure::not_found(both!("{name} 没有已采用的信任包。", "no bundle of {name} is followed here."))
    })?;
    let waiting = log_of(&home.dir(&args.by.place)?)?.state().proposals.clone();
    let mut proposed = 0;
    for suggestion in &bundle.suggestions {
        let (change, source) = change_of(name, suggestion);
        if waiting.values().any(|waiting| waiting.change.as_ref() == Some(&change)) {
            continue;
        }
        act(console, home, &args.by, &Act::Propose { change }, source.as_ref())?;
        proposed += 1;
    }
    if proposed == 0 {
        return Err(Failure::not_found(both!(
            "{name} 的信任包没有尚未申请的事项。",
            "the bundle of {name} suggests nothing that is not proposed already."
        )));
    }
    Ok(())
}

fn change_of(domain: &str, suggestion: &Suggestion) -> (Change, Option<Source>) {
    match suggestion {
        Suggestion::Anchor { fingerprint, der } => {
            let fingerprint = to_hex(fingerprint);
            let file = format!("root-{}.pem", &fingerprint[..16]);
            let anchor = AnchorRecord {
                file: file.clone(),
                fingerprint,
                state: AnchorState::Prepared,
                compromised_from_ms: None,
            };
            let bytes = pem::certificate_text(der).into_bytes();
            let source = Source { bytes, to: file, replace: false };
            (Change::AnchorImport { domain: domain.to_owned(), anchor }, Some(source))
        }
        Suggestion::Divisions(prefixes) => {
            let divisions = prefixes.iter().map(ToString::to_string).collect();
            (Change::DomainPrefixes { domain: domain.to_owned(), divisions }, None)
        }
    }
}

fn following(home: Home<'_>) -> Result<TrustStore, Failure> {
    let config = home.config()?.ok_or_else(|| {
        Failure::usage(both!("请用 --config 文件 指明节点。", "name the node with --config FILE."))
    })?;
    config.trust_store().map_err(|error| refused(&error))
}

/// How a bundle stands, in words.
pub(super) fn standing(lang: Lang, bundle: &BundleState, now: i64) -> String {
    match bundle.refused {
        Some(code) => lang.pick(format!("今已不合格：{code}"), format!("not good any more: {code}")),
        None if now > bundle.counts_until_ms => lang.pick("过期，已停用", "stale, counts no more").to_owned(),
        None if now > bundle.fresh_until_ms => lang.pick("逾期，宽限中", "stale, in its grace").to_owned(),
        None => lang.pick("有效", "fresh").to_owned(),
    }
}

/// A followed bundle as `--json` has it.
pub(super) fn state_json(bundle: &BundleState) -> Value {
    let now = now_ms();
    json!({
        "sequence": bundle.sequence,
        "digest": to_hex(&bundle.digest),
        "issued_ms": bundle.issued_ms,
        "fresh_until_ms": bundle.fresh_until_ms,
        "counts_until_ms": bundle.counts_until_ms,
        "stale": now > bundle.fresh_until_ms,
        "counts": now <= bundle.counts_until_ms,
        "refused": bundle.refused,
        "suggestions": bundle.suggestions.iter().map(suggestion_in_words).collect::<Vec<_>>(),
    })
}

fn suggestion_in_words(suggestion: &Suggestion) -> String {
    match suggestion {
        Suggestion::Anchor { fingerprint, .. } => format!("root {}", &to_hex(fingerprint)[..16]),
        Suggestion::Divisions(prefixes) => {
            let all: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            format!("divisions {}", all.join(" "))
        }
    }
}

fn content_json(content: &Content) -> Value {
    json!({
        "domain": content.domain.to_string(),
        "sequence": content.sequence,
        "issued_ms": content.issued_ms,
        "fresh_until_ms": content.fresh_until_ms,
        "divisions": content.divisions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "anchors": content.anchors.len(),
        "intermediates": content.intermediates.len(),
        "crls": content.crls.len(),
        "nodes": content.nodes.as_ref().map(std::collections::BTreeMap::len),
    })
}

fn content_in_words(lang: Lang, content: &Content) -> String {
    let divisions: Vec<String> = content.divisions.iter().map(ToString::to_string).collect();
    let (domain, number, divisions) = (&content.domain, content.sequence, divisions.join(" "));
    let (issued, until) = (date(content.issued_ms), date(content.fresh_until_ms));
    let (roots, between, lists) = (content.anchors.len(), content.intermediates.len(), content.crls.len());
    let nodes = content.nodes.as_ref().map(std::collections::BTreeMap::len);
    lang.pick(
        format!(
            "{domain} 第 {number} 号，{issued} 签发，应于 {until} 前更新；前缀 {divisions}，根证书 {roots}，中间机构 {between}，吊销列表 {lists}，节点 {}\n",
            nodes.map_or("未列明".to_owned(), |count| count.to_string())
        ),
        format!(
            "{domain} number {number}, issued {issued}, to be renewed by {until}; divisions {divisions}, roots {roots}, intermediates {between}, revocation lists {lists}, nodes {}\n",
            nodes.map_or("not listed".to_owned(), |count| count.to_string())
        ),
    )
}
