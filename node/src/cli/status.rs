//! `status`: the node and its channels at a glance.

use gateway::time::UnixMillis;
use proto::local::v1::{ChannelView, PeerView, StatusReply, StatusRequest};
use serde_json::{Value, json};

use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::Lang;
use crate::text::table::Table;

/// Runs the command.
///
/// # Errors
/// When the node does not answer.
pub async fn show(console: Console, mut clients: Clients) -> Result<(), Failure> {
    let status =
        clients.operator.status(StatusRequest {}).await.map_err(|error| from_status(&error))?.into_inner();
    let document = json!({
        "node": status.node,
        "version": status.version,
        "journal_position": status.journal_position,
        "disk": status.disk,
        "disk_free_bytes": status.disk_free_bytes,
        "peers": status.peers.iter().map(peer_json).collect::<Vec<_>>(),
        "channels": status.channels.iter().map(channel_json).collect::<Vec<_>>(),
    });
    console.result(&document, |lang| {
        let (node, version, position) = (&status.node, &status.version, status.journal_position);
        let head = lang.pick(
            format!("节点 {node}，版本 {version}，日志第 {position} 帧\n"),
            format!("node {node}, version {version}, journal frame {position}\n"),
        );
        let peers = peer_table(lang, &status.peers);
        head + &disk(lang, &status) + &channel_table(lang, &status.channels) + &peers
    })
}

fn peer_json(peer: &PeerView) -> Value {
    json!({
        "node": peer.node,
        "connected": peer.connected,
        "circuit": peer.circuit,
        "failures": peer.failures,
        "next_dial_ms": peer.next_dial_ms,
        "last_failure": peer.last_failure,
    })
}

/// Partners that this node dials and that do not answer; nothing when all do.
fn peer_table(lang: Lang, peers: &[PeerView]) -> String {
    let away: Vec<_> = peers.iter().filter(|peer| !peer.connected && peer.failures > 0).collect();
    if away.is_empty() {
        return String::new();
    }
    let mut table = Table::new(lang.pick(
        ["连不上的伙伴", "连续失败", "线路", "下次拨号", "原因"],
        ["not reached", "failures", "circuit", "next dial", "reason"],
    ));
    for peer in away {
        table.row([
            peer.node.clone(),
            peer.failures.to_string(),
            match peer.circuit.as_str() {
                "closed" => lang.pick("闭合", "closed").to_owned(),
                "open" => lang.pick("断开，定时探测", "open, probed").to_owned(),
                "half_open" => lang.pick("正在探测", "probing").to_owned(),
                other => other.to_owned(),
            },
            UnixMillis(peer.next_dial_ms).to_string(),
            peer.last_failure.clone(),
        ]);
    }
    format!("\n{}", table.render())
}

/// What the disk has room for.
fn disk(lang: Lang, status: &StatusReply) -> String {
    let mib = status.disk_free_bytes / (1024 * 1024);
    match status.disk.as_str() {
        "normal" => {
            lang.pick(format!("磁盘正常，剩余 {mib} MiB\n"), format!("disk normal, {mib} MiB free\n"))
        }
        "low" => lang.pick(
            format!("磁盘将满（剩余 {mib} MiB）：不收新提交与新报文，清理后自动恢复\n"),
            format!("disk low ({mib} MiB free): nothing new is taken, it recovers by itself\n"),
        ),
        _ => lang.pick(
            format!("磁盘几近用尽（剩余 {mib} MiB）：停止一切写入，请立即清理\n"),
            format!("disk spent ({mib} MiB free): nothing is written, free some space now\n"),
        ),
    }
}

/// One channel for `--json`.
pub(crate) fn channel_json(channel: &ChannelView) -> Value {
    json!({
        "from": channel.from,
        "to": channel.to,
        "epoch": channel.epoch,
        "size": channel.size,
        "root": channel.root,
        "cosigned": channel.cosigned,
        "checkpoint": channel.checkpoint,
        "staged": channel.staged,
        "contacted": channel.contacted,
        "connected": channel.connected,
        "stopped": channel.stopped,
        "stopped_detail": channel.stopped_detail,
        "refused": channel.refused,
    })
}

/// Channels, a row each.
pub(crate) fn channel_table(lang: Lang, channels: &[ChannelView]) -> String {
    let mut table = Table::new(lang.pick(
        ["通道", "期次", "长度", "已回执", "暂存", "拒收", "状态"],
        ["channel", "epoch", "size", "receipted", "staged", "refused", "state"],
    ));
    for channel in channels {
        table.row([
            format!("{}→{}", channel.from, channel.to),
            channel.epoch.to_string(),
            channel.size.to_string(),
            channel.cosigned.to_string(),
            channel.staged.to_string(),
            channel.refused.to_string(),
            state(lang, channel),
        ]);
    }
    table.render()
}

/// What a channel is doing, in a few words.
pub(crate) fn state(lang: Lang, channel: &ChannelView) -> String {
    match channel {
        ChannelView { stopped, .. } if !stopped.is_empty() => {
            lang.pick(format!("已停：{stopped}"), format!("stopped: {stopped}"))
        }
        ChannelView { contacted: false, .. } => lang.pick("尚未联系", "not contacted").to_owned(),
        ChannelView { connected: false, .. } => lang.pick("未连接", "not connected").to_owned(),
        _ => lang.pick("正常", "running").to_owned(),
    }
}
