//! `case submit`, `show`, `list`, and what every submission has in common: its printed answer and the
//! wait for a receipt.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use gateway::codes::{CaseNumber, Date, Division, case_number};
use gateway::id::{CaseId, Kind, MessageId, NodeId};
use gateway::refusal::RefusalCode;
use gateway::service::deadline::{AlertLevel, ClockName};
use gateway::time::UnixMillis;
use prost::Message as _;
use proto::local::v1::{
    CaseClock, CaseRequest, CaseView, ListCasesRequest, MessageState, StatusRequest, SubmitReply,
    SubmitRequest, WaitRequest,
};
use serde_json::{Value, json};

use super::blob::Files;
use super::case_file::{CaseFile, INPUT_BYTES_MAX};
use super::check::now_ms;
use super::document::message_id;
use super::{Wait, read_input};
use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;
use crate::text::table::Table;
use crate::text::{Lang, catalogue, printable};

/// Case numbers that are tried before a free one is given up.
const MINT_ATTEMPTS_MAX: u32 = 8;
/// Cases asked for in one request.
const PAGE: u32 = 500;

/// `tongban case submit`
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The case, JSON; `-` is stdin. 办件（JSON）
    #[arg(long, value_name = "JSON")]
    pub file: PathBuf,
    /// Idempotency key: the same key and case give the first answer again. 幂等键
    #[arg(long)]
    pub key: Option<String>,
    /// Files.
    #[command(flatten)]
    pub files: Files,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// `tongban case show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The case number (业务协同编号). 办件编号
    pub case: CaseId,
}

/// `tongban case list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only cases in this state, by its stable name. 只列某一状态
    #[arg(long)]
    pub state: Option<String>,
    /// Only cases whose next act is this node's. 只列待本节点办理的
    #[arg(long, value_name = "NODE")]
    pub holder: Option<NodeId>,
    /// Begin after this case number. 从此编号之后列起
    #[arg(long, value_name = "CASE")]
    pub after: Option<CaseId>,
    /// Only cases that are late, from this level on. 只列预警、黄牌、红牌
    #[arg(long, value_parser = ["warning", "yellow", "red"])]
    pub late: Option<String>,
    /// At most so many. 最多列出
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
}

/// How bad a level is, none being the least.
fn rank(level: &str) -> usize {
    AlertLevel::named(level).map_or(0, |level| level as usize + 1)
}

/// The worst level of a case.
fn worst(case: &CaseView) -> usize {
    case.clocks.iter().map(|clock| rank(&clock.level)).max().unwrap_or(0)
}

/// Forwards a case.
///
/// # Errors
/// When the file is not a case, or the node refuses it.
pub async fn submit(console: Console, mut clients: Clients, args: SubmitArgs) -> Result<(), Failure> {
    let case = CaseFile::parse(&read_input(&args.file, INPUT_BYTES_MAX)?)?;
    if args.key.is_some() && case.received.is_none() {
        return Err(Failure::usage(both!(
            "使用 --key 时须在办件中写明 received：重试的内容必须相同。",
            "with --key the case has to state `received`: a retry must say the same."
        )));
    }
    let own = own_node(&mut clients).await?;
    let now = UnixMillis(now_ms().unsigned_abs());
    for attempt in 0..MINT_ATTEMPTS_MAX {
        let case_id = match &case.case_id {
            Some(given) => given.clone(),
            None => mint(own, case.to, case.received.unwrap_or(now), args.key.as_deref(), attempt)?,
        };
        let request = SubmitRequest {
            to: case.to.to_string(),
            kind: Kind::CaseForward.name().to_owned(),
            case_id: case_id.to_string(),
            idempotency_key: args.key.clone().unwrap_or_default(),
            payload: case.to_payload(&case_id, now)?.encode_to_vec().into(),
            blobs: args.files.named(),
            ..SubmitRequest::default()
        };
        let reply = match clients.business.submit(request).await {
            Ok(reply) => reply.into_inner(),
            Err(status) => {
                let failure = from_status(&status);
                if case.case_id.is_none() && failure.code == RefusalCode::CaseExists.code() {
                    continue;
                }
                return Err(failure);
            }
        };
        let submitted = Submitted::of(case.to, Some(case_id), &reply)?;
        submitted.print(console)?;
        return wait_for_receipt(console, &mut clients, case.to, submitted.message_id, args.wait).await;
    }
    Err(Failure::timeout(both!(
        "连取 {MINT_ATTEMPTS_MAX} 个编号都已占用；请在办件中写明 case_id。",
        "{MINT_ATTEMPTS_MAX} case numbers in a row were taken; state case_id in the case."
    )))
}

/// A number for a new case. The serial is drawn at random, or from the idempotency key, so that a
/// retry finds the same; a collision is refused by the node and the next attempt draws another.
fn mint(
    receiving: NodeId,
    competent: NodeId,
    received: UnixMillis,
    key: Option<&str>,
    attempt: u32,
) -> Result<CaseId, Failure> {
    let refused = |error: gateway::codes::CodeError| {
        let (zh, en) = (error.message(true), error.message(false));
        Failure::input(both!(
            "取不了业务协同编号：{zh} 请在办件中写明 case_id。",
            "cannot mint a case number: {en} State case_id in the case."
        ))
    };
    let mut drawn = [0; 8];
    match key {
        Some(key) => {
            let seed = format!("{receiving} {competent} {attempt} {key}");
            let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
            drawn.copy_from_slice(&digest.as_ref()[..8]);
        }
        None => ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut drawn)
            .map_err(|_| Failure::system(both!("系统没有随机数。", "the system gives no randomness.")))?,
    }
    let serial = (u64::from_be_bytes(drawn) % (u64::from(case_number::SERIAL_MAX) + 1)) as u32;
    let (year, month, day) = received.date_in_china();
    let day = Date::new(year as u16, month as u8, day as u8).map_err(refused)?;
    let division = |node: NodeId| Division::parse(node.as_str()).map_err(refused);
    let number =
        CaseNumber::mint(division(receiving)?, division(competent)?, day, serial).map_err(refused)?;
    Ok(number.as_str().parse().expect("32 letters and digits are a case id"))
}

/// The node that the clients talk to.
pub(crate) async fn own_node(clients: &mut Clients) -> Result<NodeId, Failure> {
    let status = clients.operator.status(StatusRequest {}).await.map_err(|error| from_status(&error))?;
    status.into_inner().node.parse().map_err(|_| {
        Failure::ours(both!("节点没有说明其区划代码。", "the node did not state its division code."))
    })
}

/// Shows one case.
///
/// # Errors
/// When there is none of that number.
pub async fn show(console: Console, mut clients: Clients, args: ShowArgs) -> Result<(), Failure> {
    let case = find(&mut clients, &args.case).await?;
    console.result(&case_json(&case), |lang| case_text(lang, &case))
}

/// The case of that number.
pub(crate) async fn find(clients: &mut Clients, case: &CaseId) -> Result<CaseView, Failure> {
    let request = CaseRequest { case_id: case.to_string() };
    Ok(clients.business.show_case(request).await.map_err(|error| from_status(&error))?.into_inner())
}

/// Lists cases by number, a page at a time.
///
/// # Errors
/// When the node does not answer.
pub async fn list(console: Console, mut clients: Clients, args: ListArgs) -> Result<(), Failure> {
    let mut after = args.after.map(|case| case.to_string()).unwrap_or_default();
    let mut cases: Vec<CaseView> = Vec::new();
    let limit = args.limit as usize;
    while cases.len() < limit {
        let request = ListCasesRequest { after, limit: PAGE, state: args.state.clone().unwrap_or_default() };
        let page = clients.business.list_cases(request).await.map_err(|error| from_status(&error))?;
        let page = page.into_inner().cases;
        let Some(last) = page.last() else { break };
        after = last.case_id.clone();
        let late = args.late.as_deref().map_or(0, rank);
        let wanted = |case: &CaseView| {
            args.holder.is_none_or(|holder| case.holder == holder.as_str()) && worst(case) >= late
        };
        cases.extend(page.into_iter().filter(wanted));
    }
    cases.truncate(limit);
    let document = json!({"cases": cases.iter().map(case_json).collect::<Vec<_>>()});
    console.result(&document, |lang| {
        let mut table = Table::new(lang.pick(
            ["业务协同编号", "状态", "事项", "收件地", "属地", "待办方", "剩余工作日", "最近变动"],
            ["case", "state", "item", "receiving", "competent", "holder", "working days left", "changed"],
        ));
        for case in &cases {
            table.row([
                case.case_id.clone(),
                catalogue::state(lang, &case.state),
                if case.item_name.is_empty() { case.item.clone() } else { case.item_name.clone() },
                case.receiving.clone(),
                case.competent.clone(),
                case.holder.clone(),
                case.clocks.first().map_or_else(String::new, |clock| left(lang, clock)),
                UnixMillis(case.changed_ms).to_string(),
            ]);
        }
        table.render()
    })
}

/// Working days that a clock leaves, and how bad that is.
fn left(lang: Lang, clock: &CaseClock) -> String {
    let days = match (clock.unknown_year, clock.paused, clock.working_days_left) {
        (0, true, _) => lang.pick("暂停计时", "paused").to_owned(),
        (0, false, days) if days < 0 => lang.pick(format!("逾期 {}", -days), format!("{} over", -days)),
        (0, false, days) => days.to_string(),
        (year, _, _) => {
            lang.pick(format!("未知（无 {year} 年日历）"), format!("unknown (no calendar of {year})"))
        }
    };
    match AlertLevel::named(&clock.level) {
        Some(level) => format!("{days} {}", lang.pick(level.zh(), level.name())),
        None => days,
    }
}

fn clock_json(clock: &CaseClock) -> Value {
    json!({
        "name": clock.name,
        "owner": clock.owner,
        "started_ms": clock.started_ms,
        "working_days": clock.working_days,
        "due": clock.due,
        "working_days_left": if clock.unknown_year == 0 { Some(clock.working_days_left) } else { None },
        "paused": clock.paused,
        "level": clock.level,
        "unknown_year": clock.unknown_year,
    })
}

fn case_json(case: &CaseView) -> Value {
    let steps: Vec<_> = case
        .steps
        .iter()
        .map(|step| {
            json!({
                "kind": step.kind,
                "from": step.from,
                "index": step.index,
                "created_ms": step.created_ms,
                // A local step is no message.
                "message_id": message_id(&step.message_id).ok().filter(|_| !step.local).map(|id| id.to_string()),
                "note": step.note,
                "local": step.local,
            })
        })
        .collect();
    json!({
        "case_id": case.case_id,
        "state": case.state,
        "item": case.item,
        "item_name": case.item_name,
        "receiving": case.receiving,
        "competent": case.competent,
        "holder": case.holder,
        "opened_ms": case.opened_ms,
        "changed_ms": case.changed_ms,
        "agreement": case.agreement,
        "standard": case.standard,
        "licence_id": case.licence_id,
        "rating_receiving": case.rating_receiving,
        "rating_competent": case.rating_competent,
        "withdrawal_asked": case.withdrawal_asked,
        "mode": case.mode,
        "parent": case.parent,
        "deemed_accepted": case.deemed_accepted,
        "clocks": case.clocks.iter().map(clock_json).collect::<Vec<_>>(),
        "joint_tasks": case.joint_tasks.iter().map(|task| json!({
            "case_id": task.case_id,
            "assisting": task.assisting,
            "item": task.item,
            "working_days": task.working_days,
            "outcome": task.outcome,
        })).collect::<Vec<_>>(),
        "steps": steps,
    })
}

fn case_text(lang: Lang, case: &CaseView) -> String {
    let mut text = String::new();
    let mut line = |zh: &str, en: &str, value: &str| {
        if !value.is_empty() {
            writeln!(text, "{}: {}", lang.pick(zh, en), printable(value))
                .expect("a String takes every write");
        }
    };
    line("业务协同编号", "case", &case.case_id);
    line("状态", "state", &format!("{} ({})", catalogue::state(lang, &case.state), case.state));
    line("事项", "item", &format!("{} {}", case.item, case.item_name));
    line("收件地", "receiving place", &case.receiving);
    line("属地", "competent place", &case.competent);
    line("待办方", "next to act", &case.holder);
    line("收件时间", "opened", &UnixMillis(case.opened_ms).to_string());
    line("最近变动", "changed", &UnixMillis(case.changed_ms).to_string());
    line("协议", "agreement", &case.agreement);
    line("标准", "standard", &case.standard);
    line("结果证照", "licence", &case.licence_id);
    if case.withdrawal_asked {
        line(
            "撤回",
            "withdrawal",
            lang.pick("已申请，待属地确认", "asked, the competent place has to confirm"),
        );
    }
    if case.rating_receiving != 0 {
        line("评价（收件）", "rating, receiving", catalogue::rating(lang, case.rating_receiving));
    }
    if case.rating_competent != 0 {
        line("评价（办理）", "rating, competent", catalogue::rating(lang, case.rating_competent));
    }
    line("方式", "mode", &case.mode);
    line("母件", "parent", &case.parent);
    if case.deemed_accepted {
        line("受理", "acceptance", lang.pick("视为受理", "by silence"));
    }
    for task in &case.joint_tasks {
        let open = lang.pick("未办结", "open");
        let outcome = if task.outcome.is_empty() { open } else { &task.outcome };
        line("子件", "sub-task", &format!("{} {} {} {outcome}", task.case_id, task.assisting, task.item));
    }
    for clock in &case.clocks {
        let name = ClockName::named(&clock.name)
            .map_or(clock.name.as_str(), |name| lang.pick(name.zh(), name.name()));
        let who = lang.pick("由", "by");
        let until = lang.pick("截止", "until");
        let days = lang.pick("剩余工作日", "working days left");
        let text = format!(
            "{name} {who} {} {until} {} {days} {}",
            clock.owner,
            if clock.due.is_empty() { "?" } else { &clock.due },
            left(lang, clock)
        );
        line("期限", "limit", &text);
    }
    let mut table = Table::new(
        lang.pick(["时间", "环节", "发送方", "序号", "说明"], ["time", "step", "from", "index", "note"]),
    );
    for step in &case.steps {
        table.row([
            UnixMillis(step.created_ms).to_string(),
            catalogue::kind(lang, &step.kind).to_owned(),
            step.from.clone(),
            if step.local { "-".to_owned() } else { step.index.to_string() },
            step.note.clone(),
        ]);
    }
    text + &table.render()
}

/// What the node answered to a submission.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    to: NodeId,
    case_id: Option<CaseId>,
    pub(crate) message_id: MessageId,
    /// The place in the channel; `None`: durable, sequenced at the first contact.
    index: Option<u64>,
    duplicate: bool,
}

impl Submitted {
    pub(crate) fn of(to: NodeId, case_id: Option<CaseId>, reply: &SubmitReply) -> Result<Self, Failure> {
        Ok(Self {
            to,
            case_id,
            message_id: message_id(&reply.message_id)?,
            index: reply.sequenced.then_some(reply.index),
            duplicate: reply.duplicate,
        })
    }

    pub(crate) fn print(&self, console: Console) -> Result<(), Failure> {
        let Self { to, case_id, message_id, index, duplicate } = self;
        let document = json!({
            "to": to.as_str(),
            "case_id": case_id.as_ref().map(CaseId::as_str),
            "message_id": message_id.to_string(),
            "sequenced": index.is_some(),
            "index": index,
            "duplicate": duplicate,
        });
        console.result(&document, |lang| {
            let mut text = String::new();
            if let Some(case_id) = case_id {
                writeln!(text, "{} {case_id}", lang.pick("办件", "case"))
                    .expect("a String takes every write");
            }
            let place = match index {
                Some(index) => lang.pick(format!("序号 {index}"), format!("index {index}")),
                None => lang.pick("已保存，联系上对方后排序", "kept, sequenced at contact").to_owned(),
            };
            let again = if *duplicate {
                lang.pick("（重复提交，原答复）", " (submitted before)")
            } else {
                ""
            };
            let heading = lang.pick("报文", "message");
            let comma = lang.pick("，", ", ");
            write!(text, "{heading} {message_id} → {to}{comma}{place}{again}")
                .expect("a String takes every write");
            text
        })
    }
}

/// Waits until the partner has cosigned a message, or refused it.
pub(crate) async fn wait_for_receipt(
    console: Console,
    clients: &mut Clients,
    to: NodeId,
    message: MessageId,
    wait: Wait,
) -> Result<(), Failure> {
    if wait.wait == 0 {
        return Ok(());
    }
    let request = WaitRequest {
        to: to.to_string(),
        message_id: message.0.to_vec().into(),
        timeout_ms: wait.wait.saturating_mul(1000),
    };
    let state = clients.business.wait_receipt(request).await.map_err(|error| from_status(&error))?;
    let MessageState { receipted, receipt_ms, refused, index, .. } = state.into_inner();
    if let Some(code) = RefusalCode::with_code(&refused) {
        return Err(gateway::refusal::Refusal::from(code).into());
    }
    if !refused.is_empty() {
        return Err(Failure {
            code: refused,
            ..Failure::input(both!("对方拒收。", "The partner refused it."))
        });
    }
    if !receipted {
        let seconds = wait.wait;
        return Err(Failure::timeout(both!(
            "{seconds} 秒内没有回执；报文已在本节点保存，仍会送达。",
            "no receipt within {seconds} seconds; the message is kept here and will still be delivered."
        )));
    }
    let at = UnixMillis(receipt_ms);
    let document = json!({"message_id": message.to_string(), "index": index, "receipted": true, "receipt_ms": receipt_ms});
    console.result(&document, |lang| {
        lang.pick(format!("对方回执 {at}，序号 {index}"), format!("receipt at {at}, index {index}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_number_is_a_good_one_and_a_key_finds_it_again() {
        let (receiving, competent) = ("430600".parse().unwrap(), "421200".parse().unwrap());
        let received = UnixMillis(1_795_000_000_000);
        let number = |key, attempt| mint(receiving, competent, received, key, attempt).unwrap();
        let drawn = number(None, 0);
        assert!(CaseNumber::parse(drawn.as_str()).is_ok(), "{drawn}");
        assert_eq!(number(Some("k"), 0), number(Some("k"), 0));
        assert_ne!(number(Some("k"), 0), number(Some("k"), 1));
        assert_ne!(number(Some("k"), 0), number(Some("l"), 0));
    }
}
