//! `reconcile ledger|history|show|explain`: a business system's own books against the channels.
//! Exit code 0: balanced; 10: breaks; 11: suspected, in flight, or the partner could not be asked.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use gateway::id::NodeId;
use gateway::reconcile::books::{BookedRow, Books};
use gateway::service::date::Date;
use gateway::time::UnixMillis;
use proto::local::v1 as pb;
use serde_json::json;

use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::ledger::mapping::Mapping;
use crate::ledger::runs::{CutOff, Found, Partner, Run, Runs, Standing, begin};
use crate::ledger::{self, report};
use crate::refused::from_status;
use crate::text::table::Table;
use crate::text::{Lang, catalogue, printable};

const EXIT_BREAKS: u8 = 10;
const EXIT_OPEN: u8 = 11;
/// Findings that a terminal shows.
const SHOWN_MAX: usize = 20;

/// Where runs are kept.
#[derive(Debug, Args)]
pub struct Place {
    /// The partner's division. 对方节点
    #[arg(long, value_name = "NODE")]
    pub peer: NodeId,
    /// Folder of all runs; one folder a partner and day. 对账记录文件夹
    #[arg(long, value_name = "DIR")]
    pub runs: PathBuf,
}

/// `tongban reconcile ledger`
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The business system's ledger, .csv or .xlsx. 业务系统台账
    #[arg(long, value_name = "FILE")]
    pub ledger: PathBuf,
    /// Which column says what, TOML; see docs/reconciling.md. 列映射文件
    #[arg(long, value_name = "FILE")]
    pub mapping: PathBuf,
    /// Day of these books; today when absent. A run of the same day is replaced. 账期
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<Date>,
    /// Compare with the partner from re-hashed headers, not from stored roots. 重读并重算全部条目
    #[arg(long)]
    pub rehash: bool,
    /// Seconds to wait for the partner's totals. 等待秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// `tongban reconcile show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The day; the last run when absent. 账期
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<Date>,
}

/// `tongban reconcile explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// A finding's id, as a report has it. 差异编号
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Compares and writes the reports.
///
/// # Errors
/// As exit codes 10 and 11 after the result was printed; for what cannot be read, with its line.
pub async fn run(console: Console, mut clients: Clients, args: LedgerArgs) -> Result<(), Failure> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let clock = Instant::now();
    let peer = args.place.peer;
    let date = args.date.unwrap_or_else(|| Date::of(UnixMillis(began)));
    let mapping = Mapping::load(&args.mapping)?;
    let runs = Runs::of(&args.place.runs, peer);
    let _lock = runs.lock()?;
    let before = runs.before(date)?;
    let partner = ask_partner(&mut clients, peer, args.timeout, args.rehash).await?;
    let request = pb::BookedCasesRequest { peer: peer.to_string(), cut_off: None };
    let pages = clients.operator.booked_cases(request).await.map_err(|status| from_status(&status))?;
    let mut pages = pages.into_inner();
    let first = pages.message().await.map_err(|status| from_status(&status))?;
    let cut_off = first
        .and_then(|page| page.cut_off)
        .ok_or_else(|| Failure::ours(both!("节点没有给出截止位置。", "the node did not say the cut-off.")))?;
    let progress = Progress::new();
    let mut books = Books::new(UnixMillis(cut_off.receipt_ms));
    ledger::read(&args.ledger, &mapping, &mut books, |rows| {
        progress.say(console.lang.pick("读台账", "reading the ledger"), rows);
    })?;
    let mut held = 0;
    while let Some(page) = pages.message().await.map_err(|status| from_status(&status))? {
        held += page.cases.len() as u64;
        for case in page.cases {
            books.hold(&booked(case));
        }
        progress.say(console.lang.pick("比对办件", "comparing cases"), held);
    }
    progress.end();
    let status =
        clients.operator.status(pb::StatusRequest {}).await.map_err(|status| from_status(&status))?;
    let mut run = begin(&status.into_inner().node, peer, date, began, &args.ledger);
    run.cut_off = CutOff {
        out_epoch: cut_off.out_epoch,
        out_size: cut_off.out_size,
        in_epoch: cut_off.in_epoch,
        in_size: cut_off.in_size,
        receipt_ms: cut_off.receipt_ms,
    };
    run.partner = partner;
    run.take(books.finish(), peer, date, before.as_ref());
    run.took_ms = clock.elapsed().as_millis() as u64;
    // The page and the tables first: where the run is, everything is.
    let page = runs.write(date, "report.html", report::html(console.lang, &run).as_bytes())?;
    runs.write(date, "report.csv", &report::csv(&run)?)?;
    runs.write(date, "report.xlsx", &report::xlsx(console.lang, &run)?)?;
    let text = serde_json::to_vec(&run)
        .map_err(|error| Failure::ours(both!("写不了对账记录：{error}", "cannot write the run: {error}")))?;
    runs.write(date, "run.json", &text)?;
    let page = page.display().to_string();
    console.result(&document(&run, &page), |lang| {
        let mut text = summary(lang, &run);
        let heading = lang.pick("报告", "report");
        writeln!(text, "{heading}: {page}").expect("a String takes every write");
        text
    })?;
    match exit(&run) {
        0 => Ok(()),
        code => Err(Failure::exit(code)),
    }
}

async fn ask_partner(
    clients: &mut Clients,
    peer: NodeId,
    timeout: u64,
    rehash: bool,
) -> Result<Partner, Failure> {
    let request = pb::ReconcileRunRequest {
        peer: peer.to_string(),
        timeout_ms: timeout.saturating_mul(1000).max(1),
        rehash,
    };
    match clients.operator.reconcile(request).await {
        Ok(reply) => {
            let reply = reply.into_inner();
            Ok(if reply.balanced { Partner::Equal } else { Partner::Different(reply.breaks) })
        }
        Err(status) => {
            let failure = from_status(&status);
            // The partner's absence is a result; a node that knows no such partner is a mistake.
            let absent = failure.code == gateway::refusal::RefusalCode::NotContacted.code();
            if absent { Ok(Partner::NotCompared(failure.code)) } else { Err(failure) }
        }
    }
}

fn booked(case: pb::BookedCase) -> BookedRow {
    BookedRow {
        case_id: case.case_id,
        state: case.state,
        item: case.item,
        project_number: case.project_number,
        promised_working_days: case.promised_working_days,
        result: case.result,
        licence_id: case.licence_id,
        beyond: case.beyond,
    }
}

/// A break outweighs what the next run decides.
fn exit(run: &Run) -> u8 {
    if run.standing(Standing::Break) > 0 || matches!(run.partner, Partner::Different(_)) {
        EXIT_BREAKS
    } else if run.findings.is_empty() && run.partner == Partner::Equal {
        0
    } else {
        EXIT_OPEN
    }
}

fn document(run: &Run, page: &str) -> serde_json::Value {
    json!({
        "peer": run.peer,
        "date": run.date,
        "exit": exit(run),
        "partner": run.partner,
        "ledger_rows": run.ledger_rows,
        "channel_rows": run.channel_rows,
        "agreed": run.agreed,
        "counts": run.counts,
        "breaks": run.standing(Standing::Break),
        "suspected": run.standing(Standing::Suspected),
        "passing": run.standing(Standing::Passing),
        "cleared": run.cleared,
        "took_ms": run.took_ms,
        "report": page,
    })
}

fn summary(lang: Lang, run: &Run) -> String {
    let mut text = format!("{} {} ↔ {}\n", run.date, run.node, run.peer);
    text.push_str(&report::partner(lang, &run.partner));
    text.push('\n');
    let figures = lang.pick(
        ["台账行数", "通道办件数", "一致", "差错", "待复核", "将自行消除", "较上次消除"],
        ["ledger rows", "channel cases", "agree", "breaks", "suspected", "passing", "gone since last run"],
    );
    let mut table = Table::new(figures);
    table.row([
        run.ledger_rows.to_string(),
        run.channel_rows.to_string(),
        run.agreed.to_string(),
        run.standing(Standing::Break).to_string(),
        run.standing(Standing::Suspected).to_string(),
        run.standing(Standing::Passing).to_string(),
        run.cleared.to_string(),
    ]);
    text.push_str(&table.render());
    if !run.findings.is_empty() {
        text.push('\n');
        text.push_str(&list(lang, &run.findings[..run.findings.len().min(SHOWN_MAX)]));
        let more = run.findings.len().saturating_sub(SHOWN_MAX) as u64 + run.left_out();
        if more > 0 {
            let rest = lang.pick("其余条数（见报告）", "more, see the report");
            writeln!(text, "{rest}: {more}").expect("a String takes every write");
        }
    }
    text.push_str(match exit(run) {
        0 => lang.pick("三方账平衡。\n", "The three books balance.\n"),
        EXIT_BREAKS => lang.pick(
            "有差错：tongban reconcile explain 编号 说明每一条。\n",
            "There are breaks: `tongban reconcile explain ID` tells about each.\n",
        ),
        _ => lang
            .pick("尚无定论：下一账期再对。\n", "Nothing is certain yet: compare again for the next day.\n"),
    });
    text
}

fn list(lang: Lang, findings: &[Found]) -> String {
    let mut table = Table::new(lang.pick(
        ["编号", "性质", "类别", "办件", "台账行", "台账 ↔ 通道", "账龄"],
        ["id", "standing", "class", "case", "line", "ledger ↔ channel", "age"],
    ));
    for found in findings {
        table.row([
            found.id.clone(),
            report::standing(lang, found.standing).to_owned(),
            report::class(lang, &found.class).to_owned(),
            found.case_id.clone(),
            if found.line == 0 { "-".to_owned() } else { found.line.to_string() },
            report::differences(lang, found),
            found.age_days.to_string(),
        ]);
    }
    table.render()
}

/// Runs of a partner, oldest first.
///
/// # Errors
/// When they cannot be read.
pub fn history(console: Console, place: &Place) -> Result<(), Failure> {
    let runs = Runs::of(&place.runs, place.peer);
    let mut read = Vec::new();
    for day in runs.days()? {
        read.push(runs.load(day)?);
    }
    let rows: Vec<_> = read.iter().map(|run| document(run, "")).collect();
    console.result(&json!({"runs": rows}), |lang| {
        let mut table = Table::new(lang.pick(
            [
                "账期",
                "台账行数",
                "通道办件数",
                "一致",
                "差错",
                "待复核",
                "将自行消除",
                "较上次消除",
                "最大账龄",
            ],
            [
                "day",
                "ledger rows",
                "channel cases",
                "agree",
                "breaks",
                "suspected",
                "passing",
                "gone",
                "oldest",
            ],
        ));
        for run in &read {
            table.row([
                run.date.clone(),
                run.ledger_rows.to_string(),
                run.channel_rows.to_string(),
                run.agreed.to_string(),
                run.standing(Standing::Break).to_string(),
                run.standing(Standing::Suspected).to_string(),
                run.standing(Standing::Passing).to_string(),
                run.cleared.to_string(),
                run.findings.iter().map(|found| found.age_days).max().unwrap_or(0).to_string(),
            ]);
        }
        table.render()
    })
}

/// One run.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn show(console: Console, args: &ShowArgs) -> Result<(), Failure> {
    let runs = Runs::of(&args.place.runs, args.place.peer);
    let day = match args.date {
        Some(date) => date,
        None => runs.days()?.pop().ok_or_else(none)?,
    };
    let run = runs.load(day)?;
    let document = serde_json::to_value(&run)
        .map_err(|error| Failure::ours(both!("写不出：{error}", "cannot print: {error}")))?;
    console.result(&document, |lang| summary(lang, &run))
}

/// One finding: what both sides say, who acts, and the case's steps in the channels.
///
/// # Errors
/// When no run has it.
pub async fn explain(console: Console, mut clients: Clients, args: ExplainArgs) -> Result<(), Failure> {
    let runs = Runs::of(&args.place.runs, args.place.peer);
    let mut days = runs.days()?;
    let (run, found) = loop {
        let run = runs.load(days.pop().ok_or_else(none)?)?;
        if let Some(found) = run.findings.iter().find(|found| found.id == args.id) {
            break (run.clone(), found.clone());
        }
    };
    let request = pb::CaseRequest { case_id: found.case_id.clone() };
    // That the channels do not know the case may be the finding.
    let case = clients.business.show_case(request).await.ok().map(tonic::Response::into_inner);
    let steps: Vec<_> = case.iter().flat_map(|case| &case.steps).collect();
    let document = json!({
        "date": run.date,
        "finding": found,
        "case": case.as_ref().map(|case| json!({"state": case.state, "holder": case.holder})),
        "steps": steps.iter().map(|step| json!({
            "kind": step.kind,
            "from": step.from,
            "index": (!step.local).then_some(step.index),
            "message_id": hex(&step.message_id),
        })).collect::<Vec<_>>(),
    });
    console.result(&document, |lang| {
        let mut text = list(lang, std::slice::from_ref(&found));
        let pairs = [
            (lang.pick("首见", "first seen"), found.first_seen.clone()),
            (lang.pick("最近一次对账", "last run"), run.date.clone()),
            (lang.pick("处理人", "who acts"), report::owner(lang, &found.owner).to_owned()),
            (lang.pick("处理办法", "what to do"), report::repair(lang, &found.repair).to_owned()),
        ];
        for (name, value) in pairs {
            writeln!(text, "{name}: {value}").expect("a String takes every write");
        }
        if steps.is_empty() {
            text.push_str(lang.pick("通道中没有该办件。\n", "The channels do not know this case.\n"));
            return text;
        }
        let mut table = Table::new(lang.pick(
            ["环节", "作出方", "通道位置", "报文（proof export 的依据）"],
            ["step", "by", "index", "message (for proof export)"],
        ));
        for step in &steps {
            table.row([
                catalogue::kind(lang, &step.kind).to_owned(),
                step.from.clone(),
                if step.local { "-".to_owned() } else { step.index.to_string() },
                hex(&step.message_id),
            ]);
        }
        text.push_str(&table.render());
        printable_lines(&text)
    })
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

fn none() -> Failure {
    Failure::not_found(both!("没有这样的对账记录。", "there is no such run or finding."))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line on a terminal that counts.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    fn say(&self, what: &str, count: u64) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r{what} {count} ");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
