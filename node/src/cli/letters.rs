//! `letters`: own messages that did not come to their effect, and what to do with them. `requeue` and
//! `discard` show their plan and act on `--apply`. Text output shows what a letter is about and never
//! what it says; `show --json` hands over the payload, base64.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use gateway::id::{MessageId, NodeId};
use gateway::time::UnixMillis;
use proto::local::v1 as pb;
use serde_json::{Value, json};

use super::check::now_ms;
use super::document::message_id;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::table::Table;
use crate::text::{Lang, catalogue, printable};

/// `tongban letters list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// To this partner only. 只列发往此节点的
    #[arg(long, value_name = "NODE")]
    pub peer: Option<NodeId>,
    /// Requeued and discarded ones as well. 包括已处理的
    #[arg(long)]
    pub all: bool,
    /// End after so many letters. 最多列出
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Go on where a listing ended: its `next`. 从上次结束处继续
    #[arg(long, value_name = "NEXT")]
    pub after: Option<String>,
}

/// Which letter.
#[derive(Debug, Args)]
pub struct Which {
    /// The message id, a UUID. 报文编号
    #[arg(value_name = "MESSAGE")]
    pub message: MessageId,
    /// The partner that it was sent to; all are looked at when absent. 发往的节点
    #[arg(long, value_name = "NODE")]
    pub peer: Option<NodeId>,
}

/// `tongban letters show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which letter.
    #[command(flatten)]
    pub which: Which,
}

/// `tongban letters requeue`
#[derive(Debug, Args)]
pub struct RequeueArgs {
    /// Which letter.
    #[command(flatten)]
    pub which: Which,
    /// The new entry expires so long from now: a number and s, m, h or d; never when absent. 新报文有效期，如 24h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires: Option<u64>,
    /// Do it; without this, only show what would be done. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// `tongban letters discard`
#[derive(Debug, Args)]
pub struct DiscardArgs {
    /// Which letter.
    #[command(flatten)]
    pub which: Which,
    /// Why; the partner reads it too, so nothing personal. 作废原因，对方可见，勿含个人信息
    #[arg(long)]
    pub reason: String,
    /// Do it; without this, only show what would be done. 执行（缺省只显示计划）
    #[arg(long)]
    pub apply: bool,
}

/// Milliseconds of a text such as `90s`, `15m`, `24h`, `7d`.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || "write a number and s, m, h or d, such as 24h 请写数字加 s、m、h 或 d，如 24h".to_owned();
    let unit = match text.chars().next_back() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return Err(wrong()),
    };
    let number = &text[..text.len() - 1];
    let number: u64 = Some(number)
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|number| number.parse().ok())
        .filter(|number| *number > 0)
        .ok_or_else(wrong)?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Lists letters.
///
/// # Errors
/// When there is no such partner or the node does not answer.
pub async fn list(console: Console, mut clients: Clients, args: ListArgs) -> Result<(), Failure> {
    let mut letters: Vec<pb::LetterView> = Vec::new();
    let mut next = args.after.unwrap_or_default();
    let wanted = args.limit.max(1) as usize;
    loop {
        let request = pb::ListLettersRequest {
            peer: args.peer.map_or_else(String::new, |peer| peer.to_string()),
            settled: args.all,
            after: next,
            limit: u32::try_from(wanted - letters.len()).unwrap_or(u32::MAX),
        };
        let page = clients.business.list_letters(request).await.map_err(|error| from_status(&error))?;
        let page = page.into_inner();
        letters.extend(page.letters);
        next = page.next;
        if next.is_empty() || letters.len() >= wanted {
            break;
        }
    }
    let rows: Vec<_> = letters.iter().map(letter_json).collect();
    console.result(&json!({"letters": rows, "next": next}), |lang| {
        if letters.is_empty() {
            return lang.pick("没有死信。", "There are no dead letters.").to_owned();
        }
        let mut table = Table::new(lang.pick(
            ["报文编号", "发往", "序号", "种类", "办件", "原因", "代码", "已历时", "状态"],
            ["message", "to", "index", "kind", "case", "cause", "code", "age", "state"],
        ));
        for letter in &letters {
            table.row([
                id_text(&letter.message_id),
                letter.to.clone(),
                place(lang, letter),
                catalogue::kind(lang, &letter.kind).to_owned(),
                letter.case_id.clone(),
                cause(lang, &letter.cause).to_owned(),
                letter.code.clone(),
                age(letter.age_ms),
                state(lang, &letter.state).to_owned(),
            ]);
        }
        let mut text = table.render();
        if !next.is_empty() {
            let more = lang.pick("还有更多，继续：--after", "there are more, go on with --after");
            writeln!(text, "{more} {next}").expect("a String takes every write");
        }
        text
    })
}

/// Shows one letter.
///
/// # Errors
/// When the message is no letter or the node does not answer.
pub async fn show(console: Console, mut clients: Clients, args: ShowArgs) -> Result<(), Failure> {
    let request = pb::ShowLetterRequest {
        peer: args.which.peer.map_or_else(String::new, |peer| peer.to_string()),
        message_id: args.which.message.0.to_vec().into(),
    };
    let letter = clients.business.show_letter(request).await.map_err(|error| from_status(&error))?;
    let letter = letter.into_inner();
    let mut document = letter_json(&letter);
    document["agreement"] = json!(letter.agreement);
    document["in_reply_to"] = json!(id_text(&letter.in_reply_to));
    document["payload"] = json!(BASE64.encode(&letter.payload));
    document["body_gone"] = json!(letter.body_gone);
    document["reason"] = json!(letter.reason);
    console.result(&document, |lang| {
        let mut text = about(lang, &letter);
        let mut line = |zh: &str, en: &str, value: &str| {
            writeln!(text, "{}: {}", lang.pick(zh, en), printable(value))
                .expect("a String takes every write");
        };
        let bytes = letter.payload.len();
        match letter.body_gone {
            true => {
                line("报文体", "body", lang.pick("已不在本节点，不能重投", "gone, it cannot be requeued"))
            }
            false => line("报文体", "body", &lang.pick(format!("{bytes} 字节"), format!("{bytes} bytes"))),
        }
        if !letter.reason.is_empty() {
            line("作废原因", "reason", &letter.reason);
        }
        text
    })
}

/// Sends a letter again, or shows what that would do.
///
/// # Errors
/// When the message is no letter or settled otherwise, or why the node refused.
pub async fn requeue(console: Console, mut clients: Clients, args: RequeueArgs) -> Result<(), Failure> {
    let now = now_ms().unsigned_abs();
    let request = pb::RequeueLetterRequest {
        peer: args.which.peer.map_or_else(String::new, |peer| peer.to_string()),
        message_id: args.which.message.0.to_vec().into(),
        expires_ms: args.expires.map_or(0, |after| now.saturating_add(after)),
        apply: args.apply,
    };
    let expires_ms = request.expires_ms;
    let plan = clients.business.requeue_letter(request).await.map_err(|error| from_status(&error))?;
    print_plan(console, &plan.into_inner(), |lang, plan| {
        let bytes = plan.payload_bytes;
        let expires = match expires_ms {
            0 => lang.pick("永久有效".to_owned(), "never expires".to_owned()),
            at => lang.pick(format!("有效至 {}", UnixMillis(at)), format!("expires {}", UnixMillis(at))),
        };
        lang.pick(
            format!("重投：同一内容 {bytes} 字节，以新编号作为新报文发送，{expires}；协议与标准按现行版本重新取定，规则重新判断。"),
            format!("requeue: the same {bytes} bytes as a new entry under a new id, {expires}; agreement and standard are pinned anew, and it is judged like any submission."),
        )
    })
}

/// Gives a letter up, or shows what that would do.
///
/// # Errors
/// When the message is no letter or settled otherwise, or why the node refused.
pub async fn discard(console: Console, mut clients: Clients, args: DiscardArgs) -> Result<(), Failure> {
    let request = pb::DiscardLetterRequest {
        peer: args.which.peer.map_or_else(String::new, |peer| peer.to_string()),
        message_id: args.which.message.0.to_vec().into(),
        reason: args.reason,
        apply: args.apply,
    };
    let plan = clients.business.discard_letter(request).await.map_err(|error| from_status(&error))?;
    print_plan(console, &plan.into_inner(), |lang, _| {
        lang.pick(
            "作废：向对方发送作废报文；原报文仍在通道中，不改变其效力。".to_owned(),
            "discard: a cancellation is sent to the partner; the old entry stays in the log, and its verdict stands.".to_owned(),
        )
    })
}

fn print_plan(
    console: Console,
    plan: &pb::LetterPlan,
    what: impl FnOnce(Lang, &pb::LetterPlan) -> String,
) -> Result<(), Failure> {
    let letter = plan.letter.clone().unwrap_or_default();
    let answer = plan.submitted.clone().unwrap_or_default();
    let id = message_id(&plan.message_id)?;
    let document = json!({
        "letter": letter_json(&letter),
        "message_id": id.to_string(),
        "in_reply_to": id_text(&plan.in_reply_to),
        "payload_bytes": plan.payload_bytes,
        "applied": plan.applied,
        "sequenced": answer.sequenced,
        "index": answer.index,
        "duplicate": answer.duplicate,
    });
    console.result(&document, |lang| {
        let mut text = about(lang, &letter);
        writeln!(text, "{}", what(lang, plan)).expect("a String takes every write");
        let done = match (plan.applied, answer.duplicate) {
            (false, _) => lang.pick(
                format!("未执行。加 --apply 执行；新报文编号将为 {id}。"),
                format!("Nothing was done. Add --apply to do it; the new message id will be {id}."),
            ),
            (true, true) => lang.pick(
                format!("此前已执行：报文编号 {id}。"),
                format!("It was done before: message id {id}."),
            ),
            (true, false) => lang.pick(format!("已执行：报文编号 {id}。"), format!("Done: message id {id}.")),
        };
        writeln!(text, "{done}").expect("a String takes every write");
        text
    })
}

fn about(lang: Lang, letter: &pb::LetterView) -> String {
    let mut text = String::new();
    let mut line = |zh: &str, en: &str, value: &str| {
        writeln!(text, "{}: {}", lang.pick(zh, en), printable(value)).expect("a String takes every write");
    };
    line("报文编号", "message", &id_text(&letter.message_id));
    line("发往", "to", &format!("{} {}", letter.to, place(lang, letter)));
    line("种类", "kind", catalogue::kind(lang, &letter.kind));
    if !letter.case_id.is_empty() {
        line("办件", "case", &letter.case_id);
    }
    line("原因", "cause", &format!("{} {}", cause(lang, &letter.cause), letter.code));
    line("提交时间", "submitted", &UnixMillis(letter.created_ms).to_string());
    if letter.expires_ms != 0 {
        line("有效期至", "expires", &UnixMillis(letter.expires_ms).to_string());
    }
    line("成为死信", "dead since", &format!("{} ({})", UnixMillis(letter.since_ms), age(letter.age_ms)));
    let by = id_text(&letter.settled_by);
    line("状态", "state", format!("{} {by}", state(lang, &letter.state)).trim_end());
    text.push_str(catalogue::fault(lang, &letter.fault));
    text.push('\n');
    let advice = lang.pick(&letter.advice_zh, &letter.advice_en);
    if !advice.is_empty() {
        writeln!(text, "{}", printable(advice)).expect("a String takes every write");
    }
    text
}

fn letter_json(letter: &pb::LetterView) -> Value {
    json!({
        "to": letter.to,
        "message_id": id_text(&letter.message_id),
        "kind": letter.kind,
        "case_id": letter.case_id,
        "sequenced": letter.sequenced,
        "epoch": letter.epoch,
        "index": letter.index,
        "cause": letter.cause,
        "code": letter.code,
        "fault": letter.fault,
        "advice_zh": letter.advice_zh,
        "advice_en": letter.advice_en,
        "created_ms": letter.created_ms,
        "expires_ms": letter.expires_ms,
        "since_ms": letter.since_ms,
        "age_ms": letter.age_ms,
        "state": letter.state,
        "settled_by": id_text(&letter.settled_by),
    })
}

fn id_text(bytes: &[u8]) -> String {
    message_id(bytes).map(|id| id.to_string()).unwrap_or_default()
}

fn place(lang: Lang, letter: &pb::LetterView) -> String {
    if letter.sequenced { format!("#{}", letter.index) } else { lang.pick("草稿", "draft").to_owned() }
}

fn cause(lang: Lang, name: &str) -> &str {
    let zh = match name {
        "refused" => "被拒",
        "expired" => "过期",
        "dropped" => "排序时被拒",
        "overdue" => "逾期无回执",
        other => other,
    };
    lang.pick(zh, name)
}

fn state(lang: Lang, name: &str) -> &str {
    let zh = match name {
        "open" => "待处理",
        "requeued" => "已重投",
        "discarded" => "已作废",
        other => other,
    };
    lang.pick(zh, name)
}

/// A time span in its two largest units: `3d 4h`, `5m 2s`.
fn age(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}s", seconds % 60),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(90_000));
        assert_eq!(duration("15m"), Ok(900_000));
        assert_eq!(duration("24h"), Ok(86_400_000));
        assert_eq!(duration("7d"), Ok(604_800_000));
        for wrong in ["", "s", "0s", "-1h", "+1h", "1w", "24", "1.5h", "一h", "99999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages_show_their_two_largest_units() {
        assert_eq!(age(59_999), "59s");
        assert_eq!(age(61_000), "1m 1s");
        assert_eq!(age(3_660_000), "1h 1m");
        assert_eq!(age(90_000_000), "1d 1h");
    }
}
