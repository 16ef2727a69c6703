//! `tongban demo`: two real nodes of two provinces on this machine, one application told step by step,
//! a load of cases through every item of the list with a SIGKILL in the middle, and a proof at the
//! end. Everything goes through the nodes' public doors: their processes, their local sockets, their
//! wire. Nothing here reaches into the exchange core.
//!
//! `scenario` shows one system at a time instead (`--scenario`).
//!
//! `rig` runs the processes, `treaty` concludes the agreement, `story` and `load` do the work through
//! `desk` (one business system's connection) and `driver` (one that works from its inbox), `window`
//! and `competent` know what each side says, `course` what becomes of each case, `checks` and
//! `summary` what came of it all.

pub(crate) mod catalogue;
mod checks;
mod competent;
mod course;
pub(crate) mod desk;
pub(crate) mod door;
mod driver;
pub(crate) mod error;
mod fault;
pub(crate) mod load;
pub(crate) mod narrate;
pub(crate) mod place;
pub(crate) mod rig;
mod scenario;
mod story;
mod summary;
pub(crate) mod treaty;
pub(crate) mod window;

pub use error::DemoError;
pub use fault::{Fault, Victim};

use crate::suite::SigningSuite;
use checks::Checks;
use course::Plan;
use desk::{Desk, PATIENCE};
use error::within;
use gateway::clock::{Clock, SystemClock};
use gateway::codes::Date;
use gateway::time::UnixMillis;
use load::Tally;
use narrate::{Moment, Narrator, millis};
use place::{Place, XIANNING, YUEYANG, channel};
use rig::Rig;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use summary::Findings;

/// Between two looks at a node's state.
const LOOK: Duration = Duration::from_millis(5);

/// What `tongban demo` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Show one system instead: its name, `all`, or `list` for their names. 只演示一个系统
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Cases of the load; at least 71, one for each item.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(71..=100_000))]
    pub cases: u32,
    /// Keep both nodes' folders here; must be empty or absent.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// What is done to the killed node before it starts again. 杀进程之外的故障
    #[arg(long, value_enum, default_value_t = Fault::Kill)]
    pub fault: Fault,
    /// Who is killed. 被杀的节点
    #[arg(long, value_enum, default_value_t = Victim::Xianning)]
    pub victim: Victim,
    /// When: percent of the load's cases that have ended. 办结比例达到多少时动手
    #[arg(long, value_name = "PERCENT", default_value_t = 33, value_parser = clap::value_parser!(u32).range(11..=95))]
    pub at: u32,
    /// What both nodes sign with and hash by. 算法套件
    #[arg(long, value_enum, default_value_t = SigningSuite::P256Sha256)]
    pub suite: SigningSuite,
}

/// Runs the demo; whether every promise held.
///
/// The timeline and the summary go to the standard output, or to the standard error when `json` asks
/// for one JSON object there.
///
/// # Errors
/// What kept the demo from its end. Both processes have ended by then; the folder with their logs stays.
pub async fn run(args: &DemoArgs, chinese: bool, json: bool) -> Result<bool, DemoError> {
    if let Some(name) = &args.scenario {
        return scenario::run(name, args, chinese, json).await;
    }
    let narrator = Narrator::new(chinese, json);
    let now = SystemClock.now();
    let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
    let mut rig = Rig::build(args.keep.as_deref(), now_ms, args.suite.key())?;
    let outcome = tokio::select! {
        outcome = play(args, &mut rig, now, &narrator) => outcome,
        interrupted = interruption() => Err(interrupted),
    };
    rig.stop().await?;
    match outcome {
        Ok((mut findings, checks)) => {
            if !checks.all_held() {
                rig.keep_folder();
            }
            findings.folder = rig.folder_stays().then(|| rig.folder().to_owned());
            summary::summary(&findings, &checks, &narrator);
            if json {
                let object = summary::json(&findings, &checks, &narrator.timeline());
                // a reader that closed the pipe has what it wanted
                let _ = writeln!(std::io::stdout(), "{object}");
            }
            Ok(checks.all_held())
        }
        Err(error) => {
            if !matches!(error, DemoError::Interrupted) {
                rig.keep_folder();
                let folder = rig.folder().display();
                narrator.print(&if chinese {
                    format!("演示未能完成，日志保留在 {folder}")
                } else {
                    format!("the demo did not come to its end; the logs stay in {folder}")
                });
            }
            Err(error)
        }
    }
}

/// From two folders to a summary.
async fn play(
    args: &DemoArgs,
    rig: &mut Rig,
    now: UnixMillis,
    narrator: &Narrator,
) -> Result<(Findings, Checks), DemoError> {
    let mut checks = Checks::default();
    let mut durations = BTreeMap::new();
    let day = day_of(now)?;
    let plan = Plan::new(args.cases, day, now)?;

    narrator.heading("一、两个节点", "1. Two nodes");
    let began = Instant::now();
    for place in [&YUEYANG, &XIANNING] {
        narrator.tell(Moment::note(
            format!("{} {}：信任域 {}，自有密钥、信任与存储", place.zh, place.code, place.domain),
            format!(
                "{} {}: trust domain {}, its own keys, trust and store",
                place.en, place.code, place.domain
            ),
        ));
    }
    // 岳阳 dials, so the one that it dials is there first
    for node in [&mut rig.xianning, &mut rig.yueyang] {
        let took = node.start(rig::READY).await?;
        let Place { zh, en, code, .. } = node.place;
        let took = millis(took);
        narrator.tell(Moment::note(
            format!("{zh} {code} 进程就绪，用时 {took:.0} ms"),
            format!("{en} {code}'s process is ready after {took:.0} ms"),
        ));
    }
    let yueyang = Desk::at(&YUEYANG, &XIANNING, &rig.yueyang.socket());
    let xianning = Desk::at(&XIANNING, &YUEYANG, &rig.xianning.socket());
    within(PATIENCE, "the two nodes to meet", met(&yueyang, &xianning)).await?;
    narrator.tell(Moment::note(
        format!(
            "双方以双向认证的 TLS 1.3 接通，{0} 与 {1} 可签发",
            channel(&YUEYANG, &XIANNING),
            channel(&XIANNING, &YUEYANG)
        ),
        "the two met over mutually authenticated TLS 1.3; both channels may be signed",
    ));
    durations.insert("start", millis(began.elapsed()));

    narrator.heading("二、标准与协议", "2. Standards and agreement");
    let began = Instant::now();
    let treaty =
        treaty::conclude(plan.items(), args.suite, now.date_in_china().0, &yueyang, &xianning, narrator)
            .await?;
    checks.treaty(&treaty, plan.items().len());
    durations.insert("treaty", millis(began.elapsed()));

    narrator.heading("三、一件办件", "3. One case");
    let began = Instant::now();
    let story = story::tell(plan.items(), &yueyang, &xianning, now, day, narrator).await?;
    checks.story(&story, &yueyang, &xianning).await?;
    durations.insert("story", millis(began.elapsed()));

    narrator.heading("四、负载与杀进程", "4. The load and the kill");
    let began = Instant::now();
    let tally = Tally::new(args.fault);
    let load = load::run(args, &plan, &tally, rig, [&yueyang, &xianning], narrator).await?;
    durations.insert("load", millis(began.elapsed()));
    let began = Instant::now();
    checks.load(args.victim.place(), &plan, &tally, &load, &story, [&yueyang, &xianning]).await?;
    durations.insert("checks", millis(began.elapsed()));

    narrator.heading("五、证明", "5. The proof");
    let began = Instant::now();
    let bundle = yueyang.export_proof(&XIANNING, &YUEYANG, &story.grant).await?;
    narrator.tell(Moment::note(
        format!("导出准予决定的证明，{} 字节", bundle.len()),
        format!("the proof of the grant is exported, {} bytes", bundle.len()),
    ));
    let proof = checks.proof(&bundle, &rig.yueyang.trust(), &story)?;
    if proof.verified {
        narrator.tell(Moment::note("仅凭公钥离线验证，通过：", "verified offline with public keys alone:"));
        for line in narrator.pick(&proof.proven_zh, &proof.proven_en) {
            narrator.print(&format!("             {line}"));
        }
    }
    if let Some(code) = proof.forgery_refused_with {
        narrator.tell(Moment::note(
            format!("把报文头改动一个比特再验：拒绝，{code}"),
            format!("the same with one bit of the header flipped: refused, {code}"),
        ));
    }
    durations.insert("proof", millis(began.elapsed()));

    narrator.heading("六、对账", "6. Reconciliation");
    let began = Instant::now();
    let reconciliation = yueyang.reconcile().await?;
    summary::reconciliation(&reconciliation, narrator);
    checks.reconciliation(&reconciliation);
    durations.insert("reconciliation", millis(began.elapsed()));
    durations.insert("all", millis(narrator.elapsed()));

    Ok((Findings { treaty, story, load, proof, reconciliation, durations, folder: None }, checks))
}

/// The date in China.
pub(crate) fn day_of(now: UnixMillis) -> Result<Date, DemoError> {
    let (year, month, day) = now.date_in_china();
    u16::try_from(year)
        .ok()
        .and_then(|year| Date::new(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?).ok())
        .ok_or_else(|| DemoError::Broken("this machine's clock shows no usable date".into()))
}

/// Waits until each node has heard from the other: only then does it sign anything.
pub(crate) async fn met(one: &Desk, other: &Desk) -> Result<(), DemoError> {
    for desk in [one, other] {
        while !desk.channels().await?.iter().all(|view| view.contacted && view.connected) {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Ctrl-C, or the signal by which a process is asked to end.
pub(crate) async fn interruption() -> DemoError {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => DemoError::Interrupted,
        _ = terminate.recv() => DemoError::Interrupted,
    }
}
