//! `channel list`, `show`, `resume`.

use std::fmt::Write as _;

use clap::Args;
use gateway::id::ChannelId;
use gateway::refusal::RefusalCode;
use proto::local::v1::{ChannelView, ResumeChannelRequest, ShowChannelRequest, StatusRequest};
use serde_json::json;

use super::status::{channel_json, channel_table, state};
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::printable;

/// `tongban channel show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The channel, FROM>TO; quote it. 通道
    #[arg(value_name = "FROM>TO")]
    pub channel: ChannelId,
}

/// `tongban channel resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The channel, FROM>TO; quote it. 通道
    #[arg(value_name = "FROM>TO")]
    pub channel: ChannelId,
    /// What was found and agreed with the partner; it stays in the journal. 查明的原因，存档
    #[arg(long)]
    pub reason: String,
}

/// Lists all channels.
///
/// # Errors
/// When the node does not answer.
pub async fn list(console: Console, mut clients: Clients) -> Result<(), Failure> {
    let status =
        clients.operator.status(StatusRequest {}).await.map_err(|error| from_status(&error))?.into_inner();
    let document = json!({"channels": status.channels.iter().map(channel_json).collect::<Vec<_>>()});
    console.result(&document, |lang| channel_table(lang, &status.channels))
}

/// Shows one channel.
///
/// # Errors
/// When there is no such channel or the node does not answer.
pub async fn show(console: Console, mut clients: Clients, args: ShowArgs) -> Result<(), Failure> {
    let ChannelId { from, to } = args.channel;
    let request = ShowChannelRequest { from: from.to_string(), to: to.to_string() };
    let channel = clients.operator.show_channel(request).await.map_err(|error| from_status(&error))?;
    print(console, &channel.into_inner())
}

/// Ends a stop.
///
/// # Errors
/// When the channel is not stopped, or the node refuses.
pub async fn resume(console: Console, mut clients: Clients, args: ResumeArgs) -> Result<(), Failure> {
    let ChannelId { from, to } = args.channel;
    let request = ResumeChannelRequest { from: from.to_string(), to: to.to_string(), reason: args.reason };
    let channel = clients.operator.resume_channel(request).await.map_err(|error| from_status(&error))?;
    print(console, &channel.into_inner())
}

fn print(console: Console, channel: &ChannelView) -> Result<(), Failure> {
    console.result(&channel_json(channel), |lang| {
        let mut text = channel_table(lang, std::slice::from_ref(channel));
        let mut line = |zh: &str, en: &str, value: &str| {
            writeln!(text, "{}: {value}", lang.pick(zh, en)).expect("a String takes every write");
        };
        line("根", "root", &channel.root);
        if !channel.stopped.is_empty() {
            line("状态", "state", &state(lang, channel));
            line("详情", "detail", &printable(&channel.stopped_detail));
            if let Some(code) = RefusalCode::with_code(&channel.stopped) {
                line("说明", "meaning", lang.pick(code.zh(), code.en()));
            }
        }
        for (number, of_note) in channel.checkpoint.lines().enumerate() {
            let heading = if number == 0 { lang.pick("检查点：\n", "checkpoint:\n") } else { "" };
            writeln!(text, "{heading}  {}", printable(of_note)).expect("a String takes every write");
        }
        text
    })
}
