//! `trust domain list|show`, `trust crl show`, `trust log show|verify`: what the trust folder says. Reads only.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use certs::administration::Log;
use certs::administration::log::{read_head, to_hex};
use certs::{AnchorState, Revocation, TrustError, TrustStore};
use clap::Args;
use serde_json::{Value, json};

use super::{Home, Place, log_of, no_log};
use crate::both;
use crate::cli::certs::{date, refused};
use crate::cli::check::now_ms;
use crate::console::{Console, Failure};
use crate::text::table::Table;
use crate::text::{Lang, printable};

/// `tongban trust domain show`
#[derive(Debug, Args)]
pub struct DomainShowArgs {
    /// The trust domain. 信任域
    pub name: String,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// Lists domains with roots, lists and suspensions.
///
/// # Errors
/// When the folder cannot be loaded.
pub fn domain_list(console: Console, home: Home<'_>, place: &Place) -> Result<(), Failure> {
    show_domains(console, &home.store(place)?, None)
}

/// Shows one domain.
///
/// # Errors
/// As [`domain_list`]; when there is none of that name.
pub fn domain_show(console: Console, home: Home<'_>, args: &DomainShowArgs) -> Result<(), Failure> {
    show_domains(console, &home.store(&args.place)?, Some(&args.name))
}

fn show_domains(console: Console, store: &TrustStore, only: Option<&str>) -> Result<(), Failure> {
    let domains: Vec<_> = store
        .domains()
        .iter()
        .filter(|domain| only.is_none_or(|only| domain.name().as_str() == only))
        .collect();
    if let (Some(name), true) = (only, domains.is_empty()) {
        return Err(Failure::not_found(both!("没有信任域 {name}。", "there is no trust domain {name}.")));
    }
    let now = now_ms();
    let prefixes = |domain: &certs::TrustDomain| {
        domain.prefixes().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let document = json!({"domains": domains.iter().map(|domain| json!({
        "name": domain.name().to_string(),
        "divisions": domain.prefixes().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "suspended": domain.suspended().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "nodes": domain.nodes().map(|nodes| nodes.iter().map(|(division, keys)| {
            (division.to_string(), keys.iter().map(|key| to_hex(key)).collect())
        }).collect::<BTreeMap<String, Vec<String>>>()),
        "anchors": domain.anchors().iter().map(|anchor| json!({
            "fingerprint": to_hex(anchor.fingerprint()),
            "state": anchor.state().to_string(),
            "not_after_ms": anchor.not_after_ms(),
        })).collect::<Vec<_>>(),
        "crls": lists(domain),
        "bundle": domain.bundle().map(super::bundle::state_json),
    })).collect::<Vec<_>>()});
    console.result(&document, |lang| {
        let mut table = Table::new(match lang {
            Lang::Zh => ["信任域", "区划前缀", "根证书", "状态", "列明节点", "暂停节点", "信任包"],
            Lang::En => ["domain", "divisions", "root", "state", "listed nodes", "suspended", "bundle"],
        });
        for domain in &domains {
            for anchor in domain.anchors() {
                let suspended: Vec<String> = domain.suspended().iter().map(ToString::to_string).collect();
                table.row([
                    domain.name().to_string(),
                    prefixes(domain),
                    to_hex(anchor.fingerprint())[..16].to_owned(),
                    state_in_words(lang, anchor.state()),
                    domain
                        .nodes()
                        .map_or_else(|| lang.pick("不限", "any").to_owned(), |nodes| nodes.len().to_string()),
                    suspended.join(" "),
                    domain.bundle().map_or_else(String::new, |bundle| {
                        format!("{} {}", bundle.sequence, super::bundle::standing(lang, bundle, now))
                    }),
                ]);
            }
        }
        table.render()
    })
}

/// An anchor's state as people read it.
pub(in crate::cli) fn state_in_words(lang: Lang, state: AnchorState) -> String {
    match (lang, state) {
        (Lang::En, _) => state.to_string(),
        (Lang::Zh, AnchorState::Prepared) => "待用".to_owned(),
        (Lang::Zh, AnchorState::Active) => "启用".to_owned(),
        (Lang::Zh, AnchorState::Tainted) => "停用".to_owned(),
        (Lang::Zh, AnchorState::Revoked) => "撤销".to_owned(),
    }
}

fn lists(domain: &certs::TrustDomain) -> Vec<Value> {
    match domain.revocation() {
        Revocation::None => Vec::new(),
        Revocation::Crl { lists, .. } => lists
            .iter()
            .map(|list| {
                json!({
                    "this_update_ms": list.this_update_ms(),
                    "next_update_ms": list.next_update_ms(),
                    "revoked": list.count(),
                })
            })
            .collect(),
    }
}

/// Shows the revocation lists of every domain.
///
/// # Errors
/// As [`domain_list`].
pub fn crl_show(console: Console, home: Home<'_>, place: &Place) -> Result<(), Failure> {
    let store = home.store(place)?;
    let all: Vec<(String, Vec<Value>)> =
        store.domains().iter().map(|domain| (domain.name().to_string(), lists(domain))).collect();
    let document = json!({"domains": all.iter().map(|(name, lists)| json!({"name": name, "crls": lists})).collect::<Vec<_>>()});
    console.result(&document, |lang| {
        let mut table = Table::new(match lang {
            Lang::Zh => ["信任域", "签发", "应更新", "吊销数"],
            Lang::En => ["domain", "issued", "renew by", "revoked"],
        });
        for (name, lists) in &all {
            for list in lists {
                let at = |key: &str| date(list[key].as_i64().unwrap_or_default());
                table.row([
                    name.clone(),
                    at("this_update_ms"),
                    at("next_update_ms"),
                    list["revoked"].to_string(),
                ]);
            }
        }
        table.render()
    })
}

/// Shows the log: who did what, and what waits for a second person.
///
/// # Errors
/// When there is no log, or it cannot be trusted.
pub fn log_show(console: Console, home: Home<'_>, place: &Place) -> Result<(), Failure> {
    let log = log_of(&home.dir(place)?)?;
    let records: Vec<Value> = log
        .records()
        .iter()
        .enumerate()
        .map(|(index, record)| {
            json!({
                "record": index + 1,
                "at_ms": record.at_ms,
                "by": record.by,
                "act": serde_json::to_value(&record.act).unwrap_or_default(),
            })
        })
        .collect();
    let state = log.state();
    let waiting: Vec<usize> = state.proposals.keys().copied().collect();
    let unconfirmed: Vec<usize> = state.unconfirmed.keys().copied().collect();
    let document = json!({
        "records": records, "waiting": waiting, "unconfirmed": unconfirmed, "reviewed": state.reviewed,
    });
    console.result(&document, |lang| {
        let mut text = String::new();
        for record in &records {
            let at = date(record["at_ms"].as_i64().unwrap_or_default());
            let (by, act) = (record["by"].as_str().unwrap_or_default(), record["act"].to_string());
            writeln!(text, "{} {at} {by} {}", record["record"], printable(&act))
                .expect("a String takes every write");
        }
        let reviewed = state.reviewed;
        text + &lang.pick(
            format!("待批准 {waiting:?}，待确认 {unconfirmed:?}，已审查至第 {reviewed} 条"),
            format!(
                "wait for approval {waiting:?}, for confirmation {unconfirmed:?}; reviewed through {reviewed}"
            ),
        )
    })
}

/// Verifies the log: each signature, each link of the chain, each rule; and that the whole folder loads.
///
/// # Errors
/// Exit code 8 when the log cannot be trusted.
pub fn log_verify(console: Console, home: Home<'_>, place: &Place) -> Result<(), Failure> {
    let dir = home.dir(place)?;
    let checked = || {
        let log = Log::read(&dir)?;
        if let (Some(log), Some(config)) = (&log, home.config().ok().flatten())
            && let Some(seen) = read_head(&config.data_dir)?
        {
            log.continues(&seen)?;
        }
        TrustStore::load(&dir)?;
        Ok(log)
    };
    let log =
        checked().map_err(|error: TrustError| Failure { exit: 8, ..refused(&error) })?.ok_or_else(no_log)?;
    let head = log.head();
    let document = json!({"sound": true, "records": head.records, "head": head.digest, "torn": log.torn()});
    console.result(&document, |lang| {
        let (count, digest) = (head.records, &head.digest);
        lang.pick(
            format!("管理日志完好：{count} 条记录，末条摘要 {digest}。"),
            format!("The administration log is sound: {count} records, the last is {digest}."),
        )
    })
}
