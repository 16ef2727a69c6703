//! One node, 岳阳's, with hundreds of partners. First nobody says anything: what do idle channels cost?
//! Then lone messages go to 武汉, one at a time and a hundred a second at most, without and with a flood to
//! 咸宁: how much of it does a partner feel that has nothing to do with it?
//!
//! 岳阳, 咸宁 and 武汉 are processes of their own with disks; the other partners are
//! [`partners`](super::partners) in this one, and stay connected to the end.

use super::exchange::{DRAIN, Load};
use super::figures::Figures;
use super::pair::{Pair, with_prepared_pair};
use super::partners::{self, Invited};
use super::{PeersArgs, disk, machine};
use crate::demo::desk::{Desk, PATIENCE};
use crate::demo::error::within;
use crate::demo::load::settled;
use crate::demo::narrate::{Moment, Narrator, grouped};
use crate::demo::place::{WUHAN, XIANNING, YUEYANG};
use crate::demo::rig::{Node, READY, Rig};
use crate::demo::{DemoError, met, treaty};
use gateway::clock::{Clock as _, SystemClock};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How long hundreds of partners may take to be in contact.
const CONTACT: Duration = Duration::from_secs(60);
/// Between two looks at how many are.
const LOOK: Duration = Duration::from_millis(200);
/// From the last contact to the idle window: what contact stirred up has settled.
const SETTLE: Duration = Duration::from_secs(3);
/// From one lone message to the next, at least.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the flood runs before the lone messages are measured beside it.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs the measurement.
pub(super) async fn run(args: &PeersArgs, chinese: bool) -> Result<Figures, DemoError> {
    let prepare = |rig: &Rig| prepare(args, rig);
    with_prepared_pair(
        args.nodes.keep.as_deref(),
        args.nodes.suite,
        chinese,
        prepare,
        async |pair, guests, narrator| measure(args, pair, guests, narrator).await,
    )
    .await
}

/// Who comes beside 咸宁.
struct Guests {
    wuhan: Node,
    idle: Invited,
}

fn prepare(args: &PeersArgs, rig: &Rig) -> Result<Guests, DemoError> {
    let now_ms = i64::try_from(SystemClock.now().0).unwrap_or(i64::MAX);
    let wuhan = rig.join(&WUHAN, now_ms, args.nodes.suite.key())?;
    rig.yueyang.configure(&format!("\n[[peer]]\nnode = \"{}\"\n", WUHAN.code))?;
    let taken = [YUEYANG.node(), XIANNING.node(), WUHAN.node()];
    let idle = partners::invite(rig, args.count as usize - 2, &taken, args.nodes.suite.key())?;
    Ok(Guests { wuhan, idle })
}

async fn measure(
    args: &PeersArgs,
    pair: &Pair,
    guests: Guests,
    narrator: &Narrator,
) -> Result<Figures, DemoError> {
    let disk = disk::ask_beside(&pair.rig).await?;
    let Guests { mut wuhan, idle } = guests;
    wuhan.start(READY).await?;
    let to_wuhan = Desk::at(&YUEYANG, &WUHAN, &pair.rig.yueyang.socket());
    let at_wuhan = Desk::at(&WUHAN, &YUEYANG, &wuhan.socket());
    within(PATIENCE, "武汉 to meet 岳阳", met(&to_wuhan, &at_wuhan)).await?;
    treaty::conclude_one(&pair.item, args.nodes.suite, pair.now.date_in_china().0, &to_wuhan, &at_wuhan)
        .await?;
    let idle = idle.start()?;
    within(CONTACT, "all partners to be in contact", contacts(args.count, &pair.yueyang, narrator)).await?;

    let [node, _] = pair.processes()?;
    tokio::time::sleep(SETTLE).await;
    narrator.tell(Moment::note(
        format!("{} 个伙伴均已接通；静候 {} 秒", args.count, args.idle),
        format!("all {} partners are in contact; {} s of silence", args.count, args.idle),
    ));
    let (cpu, began) = (machine::cpu_seconds(node)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(u64::from(args.idle))).await;
    let share = (machine::cpu_seconds(node)? - cpu) / began.elapsed().as_secs_f64();
    let (rss, peak) = (machine::rss_mib(node)?, machine::peak_rss_mib(node)?);
    narrator.tell(Moment::note(
        format!("空闲：内存 {rss:.0} MiB（峰值 {peak:.0}），单核 {:.2} %", share * 100.0),
        format!("idle: {rss:.0} MiB (peak {peak:.0}), {:.2} % of a core", share * 100.0),
    ));

    let before = sizes(&[(&pair.yueyang, &pair.xianning), (&to_wuhan, &at_wuhan)]).await?;
    let duration = Duration::from_secs(u64::from(args.duration));
    let mut lone = Load::open_to(pair, &to_wuhan, args.size, 1).await?;
    send_alone(&mut lone, WARM_UP).await?;
    lone.took.clear();
    send_alone(&mut lone, duration).await?;
    let calm = sorted(&mut lone);
    narrator.tell(Moment::note(
        format!("单条至武汉，无洪流：p99 {:.2} ms；向咸宁放洪", millis(&calm, 0.99)),
        format!(
            "lone messages to Wuhan, no flood: p99 {:.2} ms; now the flood to Xianning",
            millis(&calm, 0.99)
        ),
    ));

    let mut flood = Load::open(pair, args.size, args.flood as usize).await?;
    let flooding = tokio::spawn(async move {
        flood.work(WARM_UP).await?;
        flood.took.clear();
        let began = Instant::now();
        flood.work(duration).await?;
        let rate = flood.took.len() as f64 / began.elapsed().as_secs_f64();
        within(DRAIN, "what is on its way to arrive", flood.drain()).await?;
        Ok::<_, DemoError>((rate, flood.accepted, flood.refused))
    });
    send_alone(&mut lone, WARM_UP).await?;
    lone.took.clear();
    send_alone(&mut lone, duration).await?;
    let flooded = sorted(&mut lone);
    let ended = flooding.await.map_err(|panic| DemoError::Broken(panic.to_string()))?;
    let (rate, flood_accepted, flood_refused) = ended?;
    let accepted = flood_accepted + lone.accepted;
    narrator.tell(Moment::note(
        format!("洪流 {} 条/秒；单条 p99 {:.2} ms", grouped(rate as u64), millis(&flooded, 0.99)),
        format!(
            "the flood: {} messages/s; lone ones: p99 {:.2} ms",
            grouped(rate as u64),
            millis(&flooded, 0.99)
        ),
    ));
    for (here, there) in [(&pair.yueyang, &pair.xianning), (&to_wuhan, &at_wuhan)] {
        within(DRAIN, "every message to have its receipt", settled(here, there)).await?;
    }
    let after = sizes(&[(&pair.yueyang, &pair.xianning), (&to_wuhan, &at_wuhan)]).await?;
    let gained = (after.0 - before.0, after.1 - before.1);
    let connected = connected(&pair.yueyang).await?;
    if connected != args.count as usize {
        return Err(DemoError::Broken(format!("only {connected} of {} partners stayed", args.count)));
    }
    let flood_peak = machine::peak_rss_mib(node)?;
    idle.stop().await;
    wuhan.kill().await?;
    let others = args.count - 2;
    Ok(Figures {
        disk: Some(disk),
        asked: vec![
            ("count", args.count.to_string()),
            ("idle", args.idle.to_string()),
            ("duration", args.duration.to_string()),
            ("flood", args.flood.to_string()),
            ("size", args.size.to_string()),
            ("suite", args.nodes.suite.name().to_owned()),
        ],
        partners: Some((
            format!(
                "咸宁、武汉为独立节点进程；其余 {others} 个为本进程内的节点核心（真实 TLS、证书与协议，内存存储），半数由节点拨出"
            ),
            format!(
                "Xianning and Wuhan are node processes; the other {others} are node cores in this process (real TLS, certificates and protocol, stores in memory), half of them dialled by the node"
            ),
        )),
        messages_per_s: Some(rate),
        p50_ms: Some(millis(&flooded, 0.5)),
        p90_ms: Some(millis(&flooded, 0.9)),
        p99_ms: Some(millis(&flooded, 0.99)),
        max_ms: Some(millis(&flooded, 1.0)),
        calm_p50_ms: Some(millis(&calm, 0.5)),
        calm_p99_ms: Some(millis(&calm, 0.99)),
        cpu_core_share: Some(share),
        peak_rss_mib: Some(peak),
        flood_peak_rss_mib: Some(flood_peak),
        lost: Some(accepted.saturating_sub(gained.0.min(gained.1))),
        duplicated: Some(gained.0.max(gained.1).saturating_sub(accepted)),
        refused: Some(flood_refused + lone.refused),
        ..Figures::of_this_machine()
    })
}

/// Waits until the node may write to every partner.
async fn contacts(count: u32, node: &Desk, narrator: &Narrator) -> Result<(), DemoError> {
    let mut told = 0;
    loop {
        let met = connected(node).await?;
        if met >= count as usize {
            return Ok(());
        }
        if met >= told + 100 {
            told = met;
            narrator.tell(Moment::note(
                format!("已接通 {met}/{count}"),
                format!("{met} of {count} partners are in contact"),
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Partners that are connected and that the node may write to.
async fn connected(node: &Desk) -> Result<usize, DemoError> {
    let channels = node.status().await?.channels;
    let own = channels.iter().filter(|view| view.from == node.place.code);
    Ok(own.filter(|view| view.connected && view.contacted).count())
}

/// Sends one message at a time for a while, none before the last one has its receipt.
async fn send_alone(load: &mut Load, duration: Duration) -> Result<(), DemoError> {
    let end = Instant::now() + duration;
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        ticks.tick().await;
        load.fill(1).await?;
        within(DRAIN, "a lone message to have its receipt", load.drain()).await?;
    }
    Ok(())
}

/// Entries of both channels from 岳阳, there and at their receivers.
async fn sizes(desks: &[(&Desk, &Desk)]) -> Result<(u64, u64), DemoError> {
    let mut sizes = (0, 0);
    for (here, there) in desks {
        sizes.0 += here.channels().await?[0].size;
        sizes.1 += there.channels().await?[1].size;
    }
    Ok(sizes)
}

fn sorted(load: &mut Load) -> Vec<Duration> {
    let mut took = std::mem::take(&mut load.took);
    took.sort_unstable();
    took
}

fn millis(sorted: &[Duration], share: f64) -> f64 {
    machine::quantile(sorted, share).as_secs_f64() * 1e3
}
