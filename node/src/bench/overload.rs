//! More than a node can take: first the peak, in a closed loop, then a multiple of it on several streams
//! that do not wait for receipts. What is refused with a hint is asked again after it. Goodput is what got
//! its receipt in the window; what waits at the end of the window was never taken and is given up.

use super::exchange::{DRAIN, Load};
use super::figures::Figures;
use super::pair::{Pair, with_pair};
use super::{OverloadArgs, disk, machine};
use crate::demo::DemoError;
use crate::demo::error::within;
use crate::demo::load::settled;
use crate::demo::narrate::{Moment, Narrator, grouped};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Messages that are out at once while the peak is looked for.
const CONCURRENCY: usize = 256;
/// Time under load before measuring begins, both times.
const WARM_UP: Duration = Duration::from_secs(2);
/// Streams that offer more than the peak: each holds only so much unanswered, so it takes several.
const STREAMS: u32 = 16;
/// The first case of the first such stream.
const SERIAL_FIRST: u32 = 2_000_000;
/// Cases of one stream: more than a minute of any load.
const SERIALS: u32 = 4_000_000;

/// Runs the measurement.
pub(super) async fn run(args: &OverloadArgs, chinese: bool) -> Result<Figures, DemoError> {
    with_pair(args.keep.as_deref(), args.suite, chinese, async |pair, narrator| {
        measure(args, pair, narrator).await
    })
    .await
}

async fn measure(args: &OverloadArgs, pair: &Pair, narrator: &Narrator) -> Result<Figures, DemoError> {
    let disk = disk::ask_beside(&pair.rig).await?;
    let duration = Duration::from_secs(u64::from(args.duration));
    let before = (pair.yueyang.channels().await?[0].size, pair.xianning.channels().await?[1].size);

    let mut load = Load::open(pair, args.size, CONCURRENCY).await?;
    load.work(WARM_UP).await?;
    load.took.clear();
    let began = Instant::now();
    load.work(duration).await?;
    let peak = load.took.len() as f64 / began.elapsed().as_secs_f64();
    within(DRAIN, "what is on its way to arrive", load.drain()).await?;
    let offered = peak * f64::from(args.factor);
    let (peak_said, offered_said) = (grouped(peak as u64), grouped(offered as u64));
    narrator.tell(Moment::note(
        format!("峰值 {peak_said} 条/秒；以 {offered_said} 条/秒施压"),
        format!("the peak is {peak_said} messages/s; {offered_said}/s are offered"),
    ));

    let (mut accepted, mut shed, mut goodput) = (load.accepted, 0, 0.0);
    let mut streams = JoinSet::new();
    for number in 0..STREAMS {
        let mut load = Load::open(pair, args.size, CONCURRENCY).await?;
        load.next_serial = SERIAL_FIRST + number * SERIALS;
        let rate = offered / f64::from(STREAMS);
        streams.spawn(async move {
            let goodput = load.offer(rate, WARM_UP, duration).await?;
            within(DRAIN, "what is on its way to arrive", load.drain()).await?;
            Ok::<_, DemoError>((goodput, load.accepted, load.shed))
        });
    }
    while let Some(ended) = streams.join_next().await {
        let (rate, taken, refused) = ended.map_err(|panic| DemoError::Broken(panic.to_string()))??;
        goodput += rate;
        accepted += taken;
        shed += refused;
    }
    within(DRAIN, "every message to have its receipt", settled(&pair.yueyang, &pair.xianning)).await?;

    let after = (pair.yueyang.channels().await?[0].size, pair.xianning.channels().await?[1].size);
    let gained = (after.0 - before.0, after.1 - before.1);
    let rss = pair.processes()?.map(machine::peak_rss_mib);
    let rss = rss.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Figures {
        disk: Some(disk),
        asked: vec![
            ("factor", args.factor.to_string()),
            ("size", args.size.to_string()),
            ("duration", args.duration.to_string()),
            ("suite", args.suite.name().to_owned()),
        ],
        messages_per_s: Some(goodput),
        peak_messages_per_s: Some(peak),
        goodput_ratio: Some(goodput / peak),
        peak_rss_mib: rss.into_iter().reduce(f64::max),
        lost: Some(accepted.saturating_sub(gained.0.min(gained.1))),
        duplicated: Some(gained.0.max(gained.1).saturating_sub(accepted)),
        shed: Some(shed),
        ..Figures::of_this_machine()
    })
}
