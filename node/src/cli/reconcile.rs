//! `reconcile run`: compares both copies with a partner now. Exit code 0: balanced; 10: breaks;
//! 11: entries are in flight, or the partner could not be compared with.

use std::fmt::Write as _;

use clap::Args;
use gateway::id::NodeId;
use gateway::refusal::RefusalCode;
use proto::local::v1::{ReconcileRunReply, ReconcileRunRequest};
use serde_json::json;

use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::table::Table;
use crate::text::{Lang, catalogue, printable};

/// Breaks were found.
const EXIT_BREAKS: u8 = 10;
/// No answer either way.
const EXIT_OPEN: u8 = 11;

/// `tongban reconcile run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The partner's division. 对方节点
    #[arg(long, value_name = "NODE")]
    pub peer: NodeId,
    /// Both sides read and hash every header again, and count kinds and states. 重读并重算全部条目
    #[arg(long)]
    pub rehash: bool,
    /// Seconds to wait for the partner. 等待秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// Runs the comparison.
///
/// # Errors
/// As exit codes 10 and 11 after the result was printed; otherwise as the node refuses.
pub async fn run(console: Console, mut clients: Clients, args: RunArgs) -> Result<(), Failure> {
    let request = ReconcileRunRequest {
        peer: args.peer.to_string(),
        timeout_ms: args.timeout.saturating_mul(1000),
        rehash: args.rehash,
    };
    let reply = match clients.operator.reconcile(request).await {
        Ok(reply) => reply.into_inner(),
        Err(status) => {
            let failure = from_status(&status);
            let absent = failure.code == RefusalCode::NotContacted.code() || failure.exit == 7;
            return Err(Failure { exit: if absent { EXIT_OPEN } else { failure.exit }, ..failure });
        }
    };
    console.result(&document(args.peer, &reply), |lang| text(lang, &reply))?;
    match exit(&reply) {
        0 => Ok(()),
        code => Err(Failure::exit(code)),
    }
}

/// A break outweighs what is in flight: it will not go away by itself.
fn exit(reply: &ReconcileRunReply) -> u8 {
    if !reply.breaks.is_empty() {
        EXIT_BREAKS
    } else if reply.in_flight || !reply.balanced {
        EXIT_OPEN
    } else {
        0
    }
}

fn document(peer: NodeId, reply: &ReconcileRunReply) -> serde_json::Value {
    let counts = |name: &str, here: u64, there: u64| json!({"name": name, "here": here, "there": there});
    let channels: Vec<_> = reply
        .channels
        .iter()
        .map(|channel| {
            json!({
                "from": channel.from,
                "to": channel.to,
                "epoch": channel.epoch,
                "size": channel.size,
                "root_here": channel.root_here,
                "root_there": channel.root_there,
                "equal": channel.root_here == channel.root_there,
                "kinds": channel.kinds.iter()
                    .map(|kind| counts(&kind.kind, kind.here, kind.there)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "peer": peer.as_str(),
        "balanced": reply.balanced,
        "in_flight": reply.in_flight,
        "breaks": reply.breaks,
        "channels": channels,
        "states": reply.states.iter()
            .map(|state| counts(&state.state, state.here, state.there)).collect::<Vec<_>>(),
    })
}

fn text(lang: Lang, reply: &ReconcileRunReply) -> String {
    let mark = |equal: bool| match equal {
        true => lang.pick("一致", "equal").to_owned(),
        false => lang.pick("不一致", "DIFFERENT").to_owned(),
    };
    let mut text = String::new();
    let mut table = Table::new(lang.pick(
        ["通道", "期次", "长度", "我方根", "对方根", "结果"],
        ["channel", "epoch", "size", "root here", "root there", "result"],
    ));
    for channel in &reply.channels {
        table.row([
            format!("{}→{}", channel.from, channel.to),
            channel.epoch.to_string(),
            channel.size.to_string(),
            short(&channel.root_here),
            short(&channel.root_there),
            mark(channel.root_here == channel.root_there),
        ]);
    }
    text.push_str(&table.render());
    if reply.states.is_empty() && reply.channels.iter().all(|channel| channel.kinds.is_empty()) {
        return text + &verdict(lang, reply);
    }
    let mut table = Table::new(
        lang.pick(["通道", "种类", "我方", "对方", "结果"], ["channel", "kind", "here", "there", "result"]),
    );
    for channel in &reply.channels {
        for kind in &channel.kinds {
            table.row([
                format!("{}→{}", channel.from, channel.to),
                catalogue::kind(lang, &kind.kind).to_owned(),
                kind.here.to_string(),
                kind.there.to_string(),
                mark(kind.here == kind.there),
            ]);
        }
    }
    text.push('\n');
    text.push_str(&table.render());
    let mut table = Table::new(
        lang.pick(["办件状态", "我方", "对方", "结果"], ["state of cases", "here", "there", "result"]),
    );
    for state in &reply.states {
        table.row([
            catalogue::state(lang, &state.state),
            state.here.to_string(),
            state.there.to_string(),
            mark(state.here == state.there),
        ]);
    }
    text.push('\n');
    text.push_str(&table.render());
    text + &verdict(lang, reply)
}

fn verdict(lang: Lang, reply: &ReconcileRunReply) -> String {
    let mut text = String::new();
    for found in &reply.breaks {
        let heading = lang.pick("差异", "break");
        writeln!(text, "{heading}: {}", printable(found)).expect("a String takes every write");
    }
    text.push_str(match exit(reply) {
        0 => lang.pick("对账平衡。", "Balanced."),
        EXIT_BREAKS => lang.pick(
            "对账有差异；请按上列差异码处理（见 docs/operating.md）。",
            "There are breaks; act on the codes above (docs/operating.md).",
        ),
        _ => lang.pick("有在途报文，稍后再对。", "Entries are in flight; compare again shortly."),
    });
    text
}

/// The first digits of a root: enough to compare by eye, `--json` has all.
fn short(root: &str) -> String {
    root.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_balance_from_breaks_from_open() {
        let reply = |balanced, breaks: &[&str], in_flight| ReconcileRunReply {
            balanced,
            in_flight,
            breaks: breaks.iter().map(|found| (*found).to_owned()).collect(),
            ..ReconcileRunReply::default()
        };
        assert_eq!(exit(&reply(true, &[], false)), 0);
        assert_eq!(exit(&reply(false, &["root"], false)), 10);
        assert_eq!(exit(&reply(false, &["root"], true)), 10);
        assert_eq!(exit(&reply(true, &[], true)), 11);
        assert_eq!(exit(&reply(false, &[], false)), 11);
    }
}
