//! The end of the demo: the reconciliation's tables, the checks, the totals; for people and as one
//! JSON object.

use super::checks::{Check, Checks, ProofReport};
use super::load::LoadReport;
use super::narrate::{Moment, Narrator, grouped, kind_zh, pad, width};
use super::story::StoryReport;
use super::treaty::Treaty;
use proto::local::v1::{ChannelComparison, ReconcileRunReply};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that the demo found out.
#[derive(Debug)]
pub(super) struct Findings {
    pub treaty: Treaty,
    pub story: StoryReport,
    pub load: LoadReport,
    pub proof: ProofReport,
    pub reconciliation: ReconcileRunReply,
    /// Milliseconds of each part, by name.
    pub durations: BTreeMap<&'static str, f64>,
    /// Where both nodes' folders are, when they stay.
    pub folder: Option<PathBuf>,
}

/// Prints the two channels and the cases, compared.
pub(super) fn reconciliation(reply: &ReconcileRunReply, narrator: &Narrator) {
    let head = [narrator.pick("通道", "channel"), "#", narrator.pick("条数", "size"), "root"];
    let rows = reply.channels.iter().map(|channel| {
        [
            format!("{}→{}", channel.from, channel.to),
            channel.epoch.to_string(),
            grouped(channel.size),
            format!(
                "{}… {} {}…",
                short(&channel.root_here),
                if channel.root_here == channel.root_there { "=" } else { "≠" },
                short(&channel.root_there)
            ),
        ]
    });
    table(narrator, head, [false, true, true, false], rows);

    narrator.print("");
    let (here, there) = (narrator.pick("岳阳", "Yueyang"), narrator.pick("咸宁", "Xianning"));
    let head = [narrator.pick("通道与类别", "channel and kind"), "", here, there];
    let rows = reply.channels.iter().flat_map(|channel: &ChannelComparison| {
        channel.kinds.iter().map(|kind| {
            [
                format!("{}→{} {}", channel.from, channel.to, kind.kind),
                kind_zh(&kind.kind).to_owned(),
                grouped(kind.here),
                grouped(kind.there),
            ]
        })
    });
    table(narrator, head, [false, false, true, true], rows);

    narrator.print("");
    let head = [narrator.pick("办件状态", "state of cases"), "", here, there];
    let rows = reply
        .states
        .iter()
        .map(|state| [state.state.clone(), String::new(), grouped(state.here), grouped(state.there)]);
    table(narrator, head, [false, false, true, true], rows);
}

fn short(root: &str) -> &str {
    root.get(..16).unwrap_or(root)
}

/// Columns under each other; numbers to the right.
fn table<const N: usize>(
    narrator: &Narrator,
    head: [&str; N],
    right: [bool; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(width(cell));
        }
    }
    for row in &rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[column] - width(cell));
            line.push(' ');
            line.push_str(&if right[column] { format!("{space}{cell} ") } else { format!("{cell}{space} ") });
        }
        narrator.print(line.trim_end());
    }
}

/// Prints the checks and the totals.
pub(super) fn summary(findings: &Findings, checks: &Checks, narrator: &Narrator) {
    narrator.heading("小结", "Summary");
    for check in &checks.0 {
        let words = narrator.pick(&check.zh, &check.en);
        let found = if check.held || check.found.is_empty() { "" } else { check.found.as_str() };
        narrator.print(format!("  {} {}{found}", narrator.mark(check.held), pad(words, 60)).trim_end());
    }
    narrator.print("");
    let load = &findings.load;
    let (messages, rate) = (grouped(load.messages), grouped(load.messages_per_second as u64));
    narrator.print(&if narrator.chinese() {
        format!(
            "  {} 件办件，{messages} 条消息，每秒 {rate} 条（含一次杀死与重启）；杀死到就绪 {:.0} ms，到恢复投递 {:.0} ms；全程 {:.1} s",
            grouped(load.cases as u64),
            load.kill.ready_ms,
            load.kill.receipt_ms,
            narrator.elapsed().as_secs_f64()
        )
    } else {
        format!(
            "  {} cases, {messages} messages, {rate} a second (a kill and a restart included); {:.0} ms from the kill to ready, {:.0} ms to the next receipt; {:.1} s in all",
            grouped(load.cases as u64),
            load.kill.ready_ms,
            load.kill.receipt_ms,
            narrator.elapsed().as_secs_f64()
        )
    });
    if let Some(folder) = &findings.folder {
        let folder = folder.display();
        narrator.print(&if narrator.chinese() {
            format!("  两节点的目录保留在 {folder}")
        } else {
            format!("  both nodes' folders stay in {folder}")
        });
    }
    let held = checks.0.iter().filter(|check| check.held).count();
    let all = checks.0.len();
    let mark = narrator.mark(checks.all_held());
    narrator.print(&if narrator.chinese() {
        format!("{mark} {held}/{all} 项承诺成立")
    } else {
        format!("{mark} {held} of {all} promises held")
    });
}

/// The JSON object for machines.
pub(super) fn json(findings: &Findings, checks: &Checks, timeline: &[Moment]) -> serde_json::Value {
    let reply = &findings.reconciliation;
    let channels: Vec<_> = reply
        .channels
        .iter()
        .map(|channel| Channel {
            from: &channel.from,
            to: &channel.to,
            epoch: channel.epoch,
            size: channel.size,
            root_here: &channel.root_here,
            root_there: &channel.root_there,
            kinds: counts(channel.kinds.iter().map(|kind| (kind.kind.as_str(), kind.here, kind.there))),
        })
        .collect();
    serde_json::json!({
        "ok": checks.all_held(),
        "checks": checks.0.iter().map(|check| (check.name, check.held)).collect::<BTreeMap<_, _>>(),
        "findings": checks.0.iter().filter(|c| !c.found.is_empty()).map(|c: &Check| (c.name, &c.found)).collect::<BTreeMap<_, _>>(),
        "timeline": timeline,
        "treaty": findings.treaty,
        "story": findings.story,
        "load": findings.load,
        "proof": findings.proof,
        "channels": channels,
        "counts": counts(reply.states.iter().map(|state| (state.state.as_str(), state.here, state.there))),
        "durations_ms": findings.durations,
        "folder": findings.folder,
    })
}

#[derive(Serialize)]
struct Channel<'a> {
    from: &'a str,
    to: &'a str,
    epoch: u32,
    size: u64,
    root_here: &'a str,
    root_there: &'a str,
    kinds: BTreeMap<&'a str, Count>,
}

/// Here is 岳阳, where the reconciliation was run; there is 咸宁.
#[derive(Serialize)]
struct Count {
    here: u64,
    there: u64,
}

fn counts<'a>(rows: impl Iterator<Item = (&'a str, u64, u64)>) -> BTreeMap<&'a str, Count> {
    rows.map(|(name, here, there)| (name, Count { here, there })).collect()
}
