//! More than a node can take. First the peak, in a closed loop; then a multiple of it over the same
//! streams, by the clock, whether anybody is ready for it or not. What is refused with a hint is offered
//! again after it. Both times the same is counted: messages whose verified receipt arrived in the window.
//! What waits at the clients at the end of the window was never taken and is given up; what was taken has
//! to arrive, once.

use super::exchange::{DRAIN, Load, Offering};
use super::figures::Figures;
use super::pair::{Pair, with_pair};
use super::{OverloadArgs, disk, exchange, machine};
use crate::demo::DemoError;
use crate::demo::error::within;
use crate::demo::load::settled;
use crate::demo::narrate::{Moment, Narrator, grouped};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Messages that each stream has out at once while the peak is looked for: with all of them more than
/// brings a higher peak, and less than the node refuses.
const CONCURRENCY: usize = 256;
/// Time under load before measuring begins, both times.
const WARM_UP: Duration = Duration::from_secs(2);
/// The first case of the first stream.
const SERIAL_FIRST: u32 = 1_000_000;
/// Cases of one stream: more than a minute of any load.
const SERIALS: u32 = 4_000_000;

/// Runs the measurement.
pub(super) async fn run(args: &OverloadArgs, chinese: bool) -> Result<Figures, DemoError> {
    with_pair(args.nodes.keep.as_deref(), args.nodes.suite, chinese, async |pair, narrator| {
        measure(args, pair, narrator).await
    })
    .await
}

/// What the streams came to together in one window.
#[derive(Default)]
struct Window {
    /// Messages with a receipt in a second.
    rate: f64,
    /// Messages that fell due in a second.
    offered: f64,
    took: Vec<Duration>,
    accepted: u64,
    refused: u64,
}

async fn measure(args: &OverloadArgs, pair: &Pair, narrator: &Narrator) -> Result<Figures, DemoError> {
    let disk = disk::ask_beside(&pair.rig).await?;
    let duration = Duration::from_secs(u64::from(args.duration));
    let before = exchange::sizes(&pair.yueyang, &pair.xianning).await?;

    let mut loads = Vec::new();
    for number in 0..args.streams {
        let mut load = Load::open(pair, args.size, CONCURRENCY).await?;
        load.next_serial = SERIAL_FIRST + number * SERIALS;
        loads.push(load);
    }
    let (peak, mut loads) = together(loads, None, duration).await?;
    let offered = peak.rate * f64::from(args.factor);
    let (peak_said, offered_said) = (grouped(peak.rate as u64), grouped(offered as u64));
    narrator.tell(Moment::note(
        format!("峰值 {peak_said} 条/秒；以 {offered_said} 条/秒施压"),
        format!("the peak is {peak_said} messages/s; {offered_said}/s are offered"),
    ));
    // What the peak took stands in the sum of what was accepted; its refusals are not the overload's.
    loads.iter_mut().for_each(|load| load.refused = 0);
    let cpu_before = exchange::used(pair, false)?.cpu;
    let (over, _) = together(loads, Some(offered / f64::from(args.streams)), duration).await?;
    let cpu = exchange::used(pair, false)?.cpu - cpu_before;
    within(DRAIN, "every message to have its receipt", settled(&pair.yueyang, &pair.xianning)).await?;

    let after = exchange::sizes(&pair.yueyang, &pair.xianning).await?;
    let gained = (after.0 - before.0, after.1 - before.1);
    let rss = pair.processes()?.map(machine::peak_rss_mib);
    let rss = rss.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut took = over.took;
    took.sort_unstable();
    let at = |share: f64| Some(machine::quantile(&took, share).as_secs_f64() * 1e3);
    Ok(Figures {
        disk: Some(disk),
        asked: vec![
            ("factor", args.factor.to_string()),
            ("streams", args.streams.to_string()),
            ("size", args.size.to_string()),
            ("duration", args.duration.to_string()),
            ("suite", args.nodes.suite.name().to_owned()),
        ],
        messages_per_s: Some(over.rate),
        peak_messages_per_s: Some(peak.rate),
        offered_per_s: Some(over.offered),
        goodput_ratio: Some(over.rate / peak.rate),
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        // From the first message of the overload to the last receipt.
        cpu_s_per_1k: Some(cpu / (over.accepted - peak.accepted) as f64 * 1e3),
        peak_rss_mib: rss.into_iter().reduce(f64::max),
        lost: Some(over.accepted.saturating_sub(gained.0.min(gained.1))),
        duplicated: Some(gained.0.max(gained.1).saturating_sub(over.accepted)),
        refused: Some(over.refused),
        ..Figures::of_this_machine()
    })
}

/// Lets all streams work for a while, in a closed loop or at so many messages a second each, and then
/// waits for what is out. What was accepted and refused is counted since the streams were opened.
async fn together(
    loads: Vec<Load>,
    rate: Option<f64>,
    duration: Duration,
) -> Result<(Window, Vec<Load>), DemoError> {
    let began = Instant::now();
    let mut streams = JoinSet::new();
    for mut load in loads {
        streams.spawn(async move {
            let mut offering = Offering::begin(began, rate);
            load.keep_up(&mut offering, WARM_UP).await?;
            // The way is full now: from here on a receipt comes for each that is taken.
            load.took.clear();
            let (due, start) = (offering.due(), Instant::now());
            load.keep_up(&mut offering, WARM_UP + duration).await?;
            let lasted = start.elapsed().as_secs_f64();
            let offered = (offering.due() - due) as f64 / lasted;
            let took = std::mem::take(&mut load.took);
            load.give_up();
            within(DRAIN, "what is on its way to arrive", load.drain()).await?;
            Ok::<_, DemoError>((took.len() as f64 / lasted, offered, took, load))
        });
    }
    let (mut window, mut loads) = (Window::default(), Vec::new());
    while let Some(ended) = streams.join_next().await {
        let (rate, offered, took, load) = ended.map_err(|panic| DemoError::Broken(panic.to_string()))??;
        window.rate += rate;
        window.offered += offered;
        window.took.extend(took);
        window.accepted += load.accepted;
        window.refused += load.refused;
        loads.push(load);
    }
    Ok((window, loads))
}
