//! The load: many cases at once through every item, and in the middle of it a node's process is killed.
//! Here is what runs the two drivers and counts what they see; what the cases should have become is
//! `checks`' to say.

use super::DemoArgs;
use super::competent::Competent;
use super::course::Plan;
use super::desk::Desk;
use super::driver;
use super::error::{DemoError, within};
use super::fault::{self, Fault, Victim};
use super::narrate::{Moment, Narrator, grouped};
use super::place::{Place, channel};
use super::rig::{Node, Rig};
use super::window::Window;
use gateway::id::Kind;
use proto::local::v1::{InboxEntry, SubmitReply};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Cases that are open at once.
const OPEN_CASES: usize = 160;
/// Percent of the cases that have ended when a backup is made.
const BACKUP_PERCENT: u32 = 10;
/// Goes at the kill, each with cases that were held back for it.
const KILL_TRIES: usize = 8;
/// How long one go waits until something is on its way to the node that is to be killed.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Between two looks at a condition that nobody announces.
const LOOK: Duration = Duration::from_millis(5);

/// What the two drivers have seen.
#[derive(Debug)]
pub(super) struct Tally {
    fault: Fault,
    ended: Mutex<BTreeSet<u32>>,
    ended_count: watch::Sender<usize>,
    ratings: Mutex<BTreeSet<(u32, Vec<u8>)>>,
    rating_count: watch::Sender<usize>,
    slots: Arc<Semaphore>,
    submitted: AtomicU64,
    recognised: AtomicU64,
    began_again: Mutex<BTreeMap<&'static str, u64>>,
    refused: Mutex<Vec<String>>,
    handed_in: AtomicUsize,
    released: watch::Sender<usize>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            fault,
            ended: Mutex::default(),
            ended_count: watch::Sender::new(0),
            ratings: Mutex::default(),
            rating_count: watch::Sender::new(0),
            slots: Arc::new(Semaphore::new(OPEN_CASES)),
            submitted: AtomicU64::new(0),
            recognised: AtomicU64::new(0),
            began_again: Mutex::default(),
            refused: Mutex::default(),
            handed_in: AtomicUsize::new(0),
            released: watch::Sender::new(0),
        })
    }

    /// Lets the window hand in cases up to this number. On a busy machine the load would otherwise be over
    /// before the moment that a fault was meant for.
    fn release(&self, cases: usize) {
        self.released.send_modify(|released| *released = cases.max(*released));
    }

    /// Whether a node may for a while refuse what it had taken: only one that has lost its memory.
    pub(super) fn forgives(&self) -> bool {
        self.fault == Fault::Restore
    }

    fn cases_ended(&self) -> usize {
        open(&self.ended).len()
    }

    /// The window saw a case end.
    pub(super) fn ended(&self, case: u32) {
        let mut ended = open(&self.ended);
        if ended.insert(case) {
            self.slots.add_permits(1);
            self.ended_count.send_replace(ended.len());
        }
    }

    /// The competent place saw a rating.
    pub(super) fn rated(&self, case: u32, message: &[u8]) {
        let mut ratings = open(&self.ratings);
        ratings.insert((case, message.to_vec()));
        self.rating_count.send_replace(ratings.len());
    }

    /// A node took a message.
    pub(super) fn submitted(&self, reply: &SubmitReply) {
        let counter = if reply.duplicate { &self.recognised } else { &self.submitted };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A driver lost its node and began again at its cursor.
    pub(super) fn began_again(&self, place: &'static Place) {
        *open(&self.began_again).entry(place.code).or_default() += 1;
    }

    /// A driver read an entry. In the load nothing should be refused.
    pub(super) fn heard(&self, entry: &InboxEntry) {
        let what = match Kind::named(&entry.kind) {
            Some(Kind::Refusal) => {
                let code = <proto::exchange::v1::Refusal as prost::Message>::decode(entry.payload.clone());
                format!(
                    "refusal {} #{} {}",
                    entry.from,
                    entry.index,
                    code.map(|r| r.code).unwrap_or_default()
                )
            }
            _ if !entry.verdict.is_empty() => {
                format!("{} {} #{} {}", entry.kind, entry.from, entry.index, entry.verdict)
            }
            _ => return,
        };
        open(&self.refused).push(what);
    }

    /// Messages that a node took a second time and answered as the first time.
    pub(super) fn recognised(&self) -> u64 {
        self.recognised.load(Ordering::Relaxed)
    }

    /// What was refused, in the order it was read.
    pub(super) fn refusals(&self) -> Vec<String> {
        open(&self.refused).clone()
    }

    async fn ended_reach(&self, count: usize) -> Result<(), DemoError> {
        reach(&self.ended_count, count).await
    }

    async fn ratings_reach(&self, count: usize) -> Result<(), DemoError> {
        reach(&self.rating_count, count).await
    }
}

async fn reach(counter: &watch::Sender<usize>, count: usize) -> Result<(), DemoError> {
    let reached = counter.subscribe().wait_for(|now| *now >= count).await.map(drop);
    reached.map_err(|_| DemoError::Broken("a counter was dropped while it was waited for".into()))
}

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the load went.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct LoadReport {
    /// Cases.
    pub cases: usize,
    /// Messages that the drivers sent and that the channels gained.
    pub messages: u64,
    /// From the first case to the last receipt, the kill included.
    pub seconds: f64,
    /// Messages in a second, the kill included.
    pub messages_per_second: f64,
    /// What happened around the kill.
    pub kill: KillReport,
    /// Messages sent again after it, which the node recognised as already taken.
    pub recognised_again: u64,
}

/// What happened around the kill.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct KillReport {
    /// Cases that had ended.
    pub cases_ended: usize,
    /// The signal that the process died of.
    pub signal: Option<i32>,
    /// Messages that the other node had taken and that had no receipt yet.
    pub without_receipt: u64,
    /// From the kill to the new process's ready line.
    pub ready_ms: f64,
    /// From the kill to the next receipt that 岳阳 got.
    pub receipt_ms: f64,
}

/// Runs all cases of a plan, kills a node when enough of them have ended, and waits for the rest.
pub(super) async fn run(
    args: &DemoArgs,
    plan: &Arc<Plan>,
    tally: &Arc<Tally>,
    rig: &mut Rig,
    [yueyang, xianning]: [&Desk; 2],
    narrator: &Narrator,
) -> Result<LoadReport, DemoError> {
    let limit = Duration::from_secs(30) + Duration::from_millis(20) * plan.cases().len() as u32;
    let sizes_before = sizes(yueyang).await?;
    let began = Instant::now();

    let window = Arc::new(Window { plan: Arc::clone(plan), tally: Arc::clone(tally) });
    let competent = Arc::new(Competent { plan: Arc::clone(plan), tally: Arc::clone(tally) });
    let mut drivers: JoinSet<DemoError> = JoinSet::new();
    drivers.spawn(driver::work(yueyang.clone(), Arc::clone(&window), Arc::clone(tally)));
    drivers.spawn(driver::work(xianning.clone(), competent, Arc::clone(tally)));
    drivers.spawn(hand_in(yueyang.clone(), Arc::clone(&window)));

    let all = plan.cases().len();
    let share = |percent: u32| (all * percent as usize).div_ceil(100);
    narrator.tell(Moment::note(
        format!("{} 件办件，轮流办理 {} 个事项，同时在办至多 {OPEN_CASES} 件", all, plan.items_covered()),
        format!(
            "{all} cases, in turn through {} items, at most {OPEN_CASES} open at once",
            plan.items_covered()
        ),
    ));

    let mut backup = None;
    let before_the_kill = share(args.at) + (all - share(args.at)) / 2;
    if args.fault == Fault::Restore {
        // The copy must be older than the kill by some cases.
        tally.release(share(BACKUP_PERCENT) + (share(args.at) - share(BACKUP_PERCENT)) / 2);
        let early = tally.ended_reach(share(BACKUP_PERCENT));
        unless_a_driver_ends(&mut drivers, within(limit, "some cases to end", early)).await?;
        backup = Some(fault::back_up(&args.victim.node(rig).data())?);
        let (zh, en) = (args.victim.place().zh, args.victim.place().en);
        narrator.tell(Moment::note(
            format!("{zh}的数据目录在运行中被复制一份：已办结 {} 件", tally.cases_ended()),
            format!("{en}'s data folder is copied while it runs: {} cases had ended", tally.cases_ended()),
        ));
    }
    tally.release(before_the_kill);
    let enough = tally.ended_reach(share(args.at));
    unless_a_driver_ends(&mut drivers, within(limit, "enough cases to end", enough)).await?;
    let survivor = if args.victim == Victim::Xianning { yueyang } else { xianning };
    let kill =
        kill_and_restart(args, backup.as_deref(), tally, rig, survivor, &mut drivers, narrator).await?;
    if args.victim == Victim::Yueyang && args.fault == Fault::Restore {
        // What the old copy never knew and the partner never got is gone with the disk: the window,
        // which has no receipt for it, hands it in again under the same keys.
        drivers.spawn(hand_in_again(yueyang.clone(), window));
    }

    unless_a_driver_ends(&mut drivers, within(limit, "all cases to end", tally.ended_reach(all))).await?;
    let rated = within(limit, "all ratings to arrive", tally.ratings_reach(plan.ratings()));
    unless_a_driver_ends(&mut drivers, rated).await?;
    within(limit, "every message to have its receipt", settled(yueyang, xianning)).await?;
    let seconds = began.elapsed().as_secs_f64();
    drivers.shutdown().await;

    let messages = sizes(yueyang).await?.saturating_sub(sizes_before);
    let report = LoadReport {
        cases: all,
        messages,
        seconds,
        messages_per_second: messages as f64 / seconds,
        kill,
        recognised_again: tally.recognised(),
    };
    narrator.tell(Moment::note(
        format!(
            "{all} 件全部办结，{} 条消息均有回执；重启后重报 {} 条，均按原编号认出",
            grouped(messages),
            report.recognised_again
        ),
        format!(
            "all {all} cases ended, {} messages have their receipt; sent again after the restart and recognised: {}",
            grouped(messages),
            report.recognised_again
        ),
    ));
    Ok(report)
}

/// 岳阳's window hands in all cases; a new one when an older one has ended.
async fn hand_in(desk: Desk, window: Arc<Window>) -> DemoError {
    let mut tasks: JoinSet<Result<(), DemoError>> = JoinSet::new();
    let mut released = window.tally.released.subscribe();
    for (number, case) in window.plan.cases().iter().enumerate() {
        if released.wait_for(|released| *released > number).await.is_err() {
            return DemoError::Broken("nobody is left to release cases".into());
        }
        let Ok(slot) = Arc::clone(&window.tally.slots).acquire_owned().await else {
            return DemoError::Broken("the semaphore of open cases was closed".into());
        };
        slot.forget();
        window.tally.handed_in.fetch_add(1, Ordering::SeqCst);
        let (desk, forward, tally) = (desk.clone(), window.forward(case), Arc::clone(&window.tally));
        tasks.spawn(async move {
            tally.submitted(&desk.submit(&forward).await?);
            Ok(())
        });
        while let Some(done) = tasks.try_join_next() {
            if let Err(error) = flat(done) {
                return error;
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = flat(done) {
            return error;
        }
    }
    std::future::pending().await
}

/// 岳阳's window hands in once more what it has handed in so far; what the node knows, it answers as
/// the first time.
async fn hand_in_again(desk: Desk, window: Arc<Window>) -> DemoError {
    let handed_in = window.tally.handed_in.load(Ordering::SeqCst);
    for case in window.plan.cases().iter().take(handed_in) {
        match desk.submit(&window.forward(case)).await {
            Ok(reply) => window.tally.submitted(&reply),
            Err(error) => return error,
        }
    }
    std::future::pending().await
}

fn flat(done: Result<Result<(), DemoError>, tokio::task::JoinError>) -> Result<(), DemoError> {
    done.unwrap_or_else(|panic| Err(DemoError::Broken(panic.to_string())))
}

/// Kills a node with SIGKILL, does to it what the fault says, starts it again and waits until the
/// other one gets receipts again.
async fn kill_and_restart(
    args: &DemoArgs,
    backup: Option<&Path>,
    tally: &Tally,
    rig: &mut Rig,
    survivor: &Desk,
    drivers: &mut JoinSet<DemoError>,
    narrator: &Narrator,
) -> Result<KillReport, DemoError> {
    let (zh, en) = (args.victim.place().zh, args.victim.place().en);
    let victim = args.victim.node(rig);
    let (without_receipt, signal) =
        kill_in_mid_delivery(tally, victim, survivor, args.cases as usize).await?;
    let killed = Instant::now();
    let cases_ended = tally.cases_ended();
    let cosigned = survivor.channels().await?[0].cosigned;
    narrator.tell(Moment::note(
        format!(
            "{zh}节点进程被 SIGKILL 杀死：已办结 {cases_ended} 件，{without_receipt} 条消息尚无回执"
        ),
        format!(
            "{en}'s process is killed with SIGKILL: {cases_ended} cases had ended, messages without a receipt: {without_receipt}"
        ),
    ));
    fault::strike(args.fault, &victim.data(), backup)?;
    match args.fault {
        Fault::Kill => {}
        Fault::Index => narrator.tell(Moment::note(
            format!("{zh}的索引被删除，只剩日志"),
            format!("{en}'s index is deleted, only the journal is left"),
        )),
        Fault::Restore => narrator.tell(Moment::note(
            format!("{zh}的数据目录被换成先前的副本"),
            format!("{en}'s data folder is replaced by the earlier copy"),
        )),
    }
    victim.start(super::rig::READY).await?;
    let ready = killed.elapsed();
    tally.release(usize::MAX);
    narrator.tell(Moment::note(
        format!("{zh}节点重新启动，杀死后 {:.0} ms 就绪", ready.as_secs_f64() * 1e3),
        format!("{en}'s node is started again, ready {:.0} ms after the kill", ready.as_secs_f64() * 1e3),
    ));
    let next_receipt = async {
        while survivor.channels().await?[0].cosigned <= cosigned {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    unless_a_driver_ends(
        drivers,
        within(Duration::from_secs(20), "the first receipt after the kill", next_receipt),
    )
    .await?;
    let receipt = killed.elapsed();
    narrator.tell(Moment::note(
        format!(
            "{} 恢复投递，杀死后 {:.0} ms 收到首个回执",
            channel(survivor.place, survivor.partner),
            receipt.as_secs_f64() * 1e3
        ),
        format!(
            "{} delivers again, the first receipt {:.0} ms after the kill",
            channel(survivor.place, survivor.partner),
            receipt.as_secs_f64() * 1e3
        ),
    ));
    Ok(KillReport {
        cases_ended,
        signal,
        without_receipt,
        ready_ms: ready.as_secs_f64() * 1e3,
        receipt_ms: receipt.as_secs_f64() * 1e3,
    })
}

/// Kills a node at a moment when the other one has sent it something that has no receipt: how much
/// that was, and the signal that the process died of. The node is frozen before the look, so that the
/// moment cannot pass between the look and the kill.
async fn kill_in_mid_delivery(
    tally: &Tally,
    victim: &mut Node,
    survivor: &Desk,
    cases: usize,
) -> Result<(u64, Option<i32>), DemoError> {
    let released = *tally.released.borrow();
    let step = cases.saturating_sub(released).div_ceil(KILL_TRIES).max(1);
    let mut go = 0;
    loop {
        go += 1;
        tally.release((released + go * step).min(cases));
        let began = Instant::now();
        while owed(survivor).await? == 0 && began.elapsed() < ON_ITS_WAY {}
        victim.freeze(true)?;
        let owed = owed(survivor).await?;
        if go == KILL_TRIES || (owed > 0 && tally.cases_ended() < cases) {
            return Ok((owed, victim.kill().await?));
        }
        victim.freeze(false)?;
    }
}

/// Entries of a node's outbound channel, and drafts for it, that have no receipt.
async fn owed(desk: &Desk) -> Result<u64, DemoError> {
    let [outbound, _] = desk.channels().await?;
    Ok(outbound.size.saturating_sub(outbound.cosigned) + outbound.staged)
}

/// Waits until each node has a receipt for everything that it sent.
pub(crate) async fn settled(one: &Desk, other: &Desk) -> Result<(), DemoError> {
    loop {
        let (here, there) = (one.channels().await?, other.channels().await?);
        let quiet = [&here[0], &there[0]].iter().all(|out| out.staged == 0 && out.cosigned == out.size);
        if quiet && here[0].size == there[1].size && here[1].size == there[0].size {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Entries in both channels, as one node holds them.
async fn sizes(desk: &Desk) -> Result<u64, DemoError> {
    Ok(desk.channels().await?.iter().map(|view| view.size).sum())
}

/// Waits for something that cannot come when a driver has ended.
async fn unless_a_driver_ends<T>(
    drivers: &mut JoinSet<DemoError>,
    what: impl Future<Output = Result<T, DemoError>>,
) -> Result<T, DemoError> {
    tokio::select! {
        outcome = what => outcome,
        Some(ended) = drivers.join_next() => {
            Err(ended.unwrap_or_else(|panic| DemoError::Broken(panic.to_string())))
        }
    }
}
