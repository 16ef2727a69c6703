//! `doctor`: looks at everything that a connection to each partner needs, in the order in which it needs it, and says
//! of each fault whose side it is on and what to do. Changes nothing; it opens no link, so a standing one stays.
//!
//! [`judge`] decides from what was seen; this module sees it and prints the lines ([`mod@line`]).
//!
//! Exit codes, for cron: 0 all is well (warnings included), 12 a fault that is, or may be, on this side, 13 faults on
//! the partners' sides or in the network alone.

pub mod judge;
pub mod line;

use std::process::ExitCode;
use std::time::Duration;

use certs::{Identity, Purpose, TrustStore};
use clap::Args;
use gateway::id::NodeId;
use gateway::transport::probe::{self, Look};
use proto::local::v1 as pb;
use serde_json::json;

use self::judge::{Seen, Told};
use self::line::{Check, Line, Outcome, Side};
use super::check::now_ms;
use crate::both;
use crate::client::{self, Clients};
use crate::config::{Config, Peer};
use crate::console::{Console, Failure};
use crate::text::printable;
use crate::text::table::Table;

/// How long the partner may take for its totals, ms.
const COMPARE_MILLIS: u64 = 10_000;

/// `tongban doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Only this partner. 只查该伙伴
    #[arg(long, value_name = "NODE")]
    pub peer: Option<NodeId>,
}

/// Runs the command.
///
/// # Errors
/// A configuration that cannot be read, a partner that it does not name, trust that cannot be loaded.
pub fn run(console: Console, config: &Config, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let peers: Vec<&Peer> =
        config.peers.iter().filter(|peer| args.peer.is_none_or(|only| only == peer.node)).collect();
    if let (Some(only), true) = (args.peer, peers.is_empty()) {
        return Err(Failure::not_found(both!(
            "配置中没有伙伴 {only}。",
            "the configuration names no partner {only}."
        )));
    }
    let trust = config.trust_store().map_err(|error| super::certs::refused(&error))?;
    let now = now_ms();
    let (identity, mut lines) = own(config, &trust, now);
    let own_good = lines.iter().all(|line| line.outcome != Outcome::Bad);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system(both!("无法启动：{error}", "cannot start: {error}")))?;
    let (seen, answers) = runtime.block_on(look(config, &peers, identity));
    lines.push(answers);
    let ahead = |seen: &Seen| seen.look.as_ref().and_then(|look| look.clock_ahead).map(|(ahead, _)| ahead);
    for one in &seen {
        let others: Vec<i64> = seen.iter().filter(|other| other.peer != one.peer).filter_map(ahead).collect();
        lines.extend(judge::peer(one, &trust, own_good, &others, now));
    }
    print(console, config.node, &lines)?;
    Ok(ExitCode::from(exit_code(&lines)))
}

/// What cron is told.
fn exit_code(lines: &[Line]) -> u8 {
    let bad = || lines.iter().filter(|line| line.outcome == Outcome::Bad);
    let may_be_ours = |line: &Line| matches!(line.side, Side::Ours | Side::Either | Side::None);
    match (bad().next().is_some(), bad().any(may_be_ours)) {
        (false, _) => 0,
        (true, true) => 12,
        (true, false) => 13,
    }
}

/// The node's own certificates, by its own trust.
fn own(config: &Config, trust: &TrustStore, now: i64) -> (Option<Identity>, Vec<Line>) {
    let files = &config.identity;
    let tls = Identity::load(&files.tls_chain, &files.tls_key);
    let signing = certs::pem::read_chain(&files.signing_chain);
    let tls_problem = match &tls {
        Err(error) => Some(error.clone()),
        Ok(identity) => trust.verify(Purpose::Tls, &identity.chain_refs(), now).err(),
    };
    let signing_problem = match &signing {
        Err(error) => Some(error.clone()),
        Ok(chain) => {
            let refs: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
            trust.verify(Purpose::Signing, &refs, now).err()
        }
    };
    let mut lines: Vec<Line> = [&tls_problem, &signing_problem]
        .into_iter()
        .flatten()
        .map(|error| judge::of_trust(None, Check::Own, error))
        .collect();
    if lines.is_empty() {
        lines.push(Line {
            peer: None,
            check: Check::Own,
            outcome: Outcome::Good,
            side: Side::None,
            code: String::new(),
            text: both!("自查均受信任", "trusted by this node's own trust"),
        });
    }
    (tls.ok(), lines)
}

/// Looks at all partners at once, and asks the running node.
async fn look(config: &Config, peers: &[&Peer], identity: Option<Identity>) -> (Vec<Seen>, Line) {
    let mut tasks = tokio::task::JoinSet::new();
    for (at, peer) in peers.iter().enumerate() {
        let dialled = peer.address.clone().filter(|_| peer.dial);
        if let (Some(address), Some(identity)) = (dialled, identity.clone()) {
            tasks.spawn(async move { (at, probe::look(&address, &identity).await) });
        }
    }
    let mut looks: Vec<Option<Look>> = peers.iter().map(|_| None).collect();
    while let Some(Ok((at, look))) = tasks.join_next().await {
        looks[at] = Some(look);
    }
    let asked = ask(config).await;
    let (mut told, line) = match asked {
        Ok((clients, status, documents)) => {
            let version = &status.version;
            let text = both!("在运行，版本 {version}", "it runs, version {version}");
            let mut told = Vec::new();
            for peer in peers {
                told.push(Some(about(&clients, &status, &documents, config.node, peer.node).await));
            }
            (told, good_node(text))
        }
        Err(failure) => {
            let line = Line {
                outcome: Outcome::Bad,
                side: Side::Ours,
                code: failure.code.clone(),
                ..good_node(failure.text)
            };
            (peers.iter().map(|_| None).collect(), line)
        }
    };
    let seen = peers
        .iter()
        .zip(looks)
        .enumerate()
        .map(|(at, (peer, look))| Seen {
            peer: peer.node,
            address: peer.address.clone(),
            look,
            told: told[at].take(),
        })
        .collect();
    (seen, line)
}

fn good_node(text: crate::text::Both) -> Line {
    Line {
        peer: None,
        check: Check::Node,
        outcome: Outcome::Good,
        side: Side::None,
        code: String::new(),
        text,
    }
}

type Asked = (Clients, pb::StatusReply, Vec<pb::DocumentView>);

async fn ask(config: &Config) -> Result<Asked, Failure> {
    let mut clients = client::connect(&config.socket).await?;
    let refused = |status: tonic::Status| crate::refused::from_status(&status);
    let status = clients.operator.status(pb::StatusRequest {}).await.map_err(refused)?.into_inner();
    let documents = clients.business.list_documents(pb::ListDocumentsRequest {}).await;
    let documents = documents.map_err(refused)?.into_inner().documents;
    Ok((clients, status, documents))
}

async fn about(
    clients: &Clients,
    status: &pb::StatusReply,
    documents: &[pb::DocumentView],
    own: NodeId,
    peer: NodeId,
) -> Told {
    let channel = |from: NodeId, to: NodeId| {
        let is = |view: &&pb::ChannelView| view.from == from.as_str() && view.to == to.as_str();
        status.channels.iter().find(is).cloned()
    };
    let out = channel(own, peer);
    let (mut effective, mut others) = (0, 0);
    for document in documents.iter().filter(|document| document.r#type == "agreement") {
        let payload = serde_json::from_slice::<serde_json::Value>(&document.payload).unwrap_or_default();
        let parties = payload["parties"].as_array().cloned().unwrap_or_default();
        if parties.iter().any(|party| party == peer.as_str()) {
            if document.effective {
                effective += 1;
            } else {
                others += 1;
            }
        }
    }
    let mut comparison = None;
    if out.as_ref().is_some_and(|out| out.connected) {
        let request =
            pb::ReconcileRunRequest { peer: peer.to_string(), timeout_ms: COMPARE_MILLIS, rehash: false };
        let mut operator = clients.operator.clone();
        let asked =
            tokio::time::timeout(Duration::from_millis(2 * COMPARE_MILLIS), operator.reconcile(request));
        comparison = Some(match asked.await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(crate::refused::from_status(&status).code),
            Err(_) => Err("timeout".to_owned()),
        });
    }
    Told {
        dialled: status.peers.iter().find(|view| view.node == peer.as_str()).cloned(),
        inbound: channel(peer, own),
        out,
        agreements: (effective, others),
        comparison,
    }
}

fn print(console: Console, node: NodeId, lines: &[Line]) -> Result<(), Failure> {
    let count = |outcome| lines.iter().filter(|line| line.outcome == outcome).count();
    let document = json!({
        "node": node.as_str(),
        "bad": count(Outcome::Bad),
        "warnings": count(Outcome::Warning),
        "lines": lines.iter().map(Line::to_json).collect::<Vec<_>>(),
    });
    console.result(&document, |lang| {
        let mut table = Table::new(lang.pick(
            ["伙伴", "检查", "结果", "责任方", "说明与处置"],
            ["peer", "check", "outcome", "side", "what was found, what to do"],
        ));
        for line in lines {
            let outcome = match line.outcome {
                Outcome::Good => lang.pick("正常", "good"),
                Outcome::Warning => lang.pick("留意", "warning"),
                Outcome::Bad => lang.pick("异常", "BAD"),
                Outcome::Skipped => lang.pick("未查", "skipped"),
            };
            let code = if line.code.is_empty() { String::new() } else { format!("{} ", line.code) };
            table.row([
                line.peer.map_or_else(|| lang.pick("本节点", "here").to_owned(), |peer| peer.to_string()),
                line.check.in_words(lang).to_owned(),
                outcome.to_owned(),
                line.side.in_words(lang).to_owned(),
                format!("{code}{}", printable(line.text.in_language(lang))),
            ]);
        }
        table.render()
    })
}

#[cfg(test)]
mod tests;
