//! How long a node is away: 咸宁 holds so many entries, is stopped in order and started, killed under load
//! and started, killed and started without its index, which it then reads anew from the journal. 岳阳 runs
//! all the while, and what it was given meanwhile must arrive once.

use super::exchange::{DRAIN, Load};
use super::figures::Figures;
use super::pair::{Pair, with_pair};
use super::{RecoverArgs, disk, machine};
use crate::demo::DemoError;
use crate::demo::error::within;
use crate::demo::load::settled;
use crate::demo::narrate::{Moment, Narrator, grouped};
use gateway::clock::{Randomness as _, SystemRandomness};
use std::time::Duration;

/// Messages that are out at once while the entries are made: millions take minutes.
const CONCURRENCY: usize = 1024;
/// Messages behind the last start, to see that the node goes on.
const MORE: u64 = 1024;
/// At most so many messages come between the stop in order and the kill, and how many is left to chance: so
/// the kill meets the index anywhere between two of its writes, and the last messages on their way.
const BEFORE_KILL_MAX: u64 = 200_000;
/// Time for a node of any size to be ready, or to stop.
const PATIENCE_LEAST: Duration = Duration::from_secs(60);
/// Entries that earn a node one second more.
const ENTRIES_PER_SECOND_LEAST: u64 = 1000;

/// Runs the measurement.
pub(super) async fn run(args: &RecoverArgs, chinese: bool) -> Result<Figures, DemoError> {
    with_pair(args.nodes.keep.as_deref(), args.nodes.suite, chinese, async |pair, narrator| {
        measure(args, pair, narrator).await
    })
    .await
}

async fn measure(args: &RecoverArgs, pair: &mut Pair, narrator: &Narrator) -> Result<Figures, DemoError> {
    let disk = disk::ask_beside(&pair.rig).await?;
    let patience = PATIENCE_LEAST + Duration::from_secs(args.entries / ENTRIES_PER_SECOND_LEAST);
    let before = (pair.yueyang.channels().await?[0].size, pair.xianning.channels().await?[1].size);
    let mut load = Load::open(pair, args.size, CONCURRENCY).await?;

    for tenth in 1..=10 {
        let share = args.entries * tenth / 10 - args.entries * (tenth - 1) / 10;
        load.fill(share).await?;
        let (now, all) = (grouped(load.accepted), grouped(args.entries));
        narrator.tell(Moment::note(format!("{now}/{all} 条"), format!("{now} of {all} entries")));
    }
    arrived(&mut load, pair).await?;

    pair.rig.xianning.stop(patience).await?;
    let ready_s = pair.rig.xianning.start(patience).await?.as_secs_f64();
    narrator.tell(Moment::note(
        format!("正常停止后重启，{ready_s:.3} 秒就绪"),
        format!("stopped in order and started: ready after {ready_s:.3} s"),
    ));

    let mut chance = [0; 8];
    SystemRandomness::default().fill(&mut chance);
    let before_kill = 1 + u64::from_be_bytes(chance) % BEFORE_KILL_MAX.min(args.entries);
    load.fill(before_kill).await?;
    let on_the_way = load.on_the_way();
    pair.rig.xianning.kill().await?;
    let ready_after_kill_s = pair.rig.xianning.start(patience).await?.as_secs_f64();
    narrator.tell(Moment::note(
        format!("{before_kill} 条后 SIGKILL（{on_the_way} 条在途）再启动，{ready_after_kill_s:.3} 秒就绪"),
        format!(
            "killed after {before_kill} more, {on_the_way} on their way: ready after {ready_after_kill_s:.3} s"
        ),
    ));
    arrived(&mut load, pair).await?;

    pair.rig.xianning.kill().await?;
    let index = pair.rig.xianning.data().join("index");
    std::fs::remove_dir_all(&index).map_err(DemoError::file(&index))?;
    let ready_without_index_s = pair.rig.xianning.start(patience).await?.as_secs_f64();
    narrator.tell(Moment::note(
        format!("删除索引后重启，{ready_without_index_s:.3} 秒就绪"),
        format!("without its index: ready after {ready_without_index_s:.3} s"),
    ));
    // The rebuilt copy has to go on, not only to be there.
    load.fill(MORE).await?;
    arrived(&mut load, pair).await?;

    let (here, there) = (pair.yueyang.channels().await?, pair.xianning.channels().await?);
    let (sent, received) = (&here[0], &there[1]);
    if sent.size == received.size && sent.root != received.root {
        return Err(DemoError::Broken("the two copies have one size and two roots".into()));
    }
    let gained = (sent.size - before.0, received.size - before.1);
    let rss = pair.processes()?.map(machine::peak_rss_mib);
    let rss = rss.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Figures {
        disk: Some(disk),
        asked: vec![
            ("entries", args.entries.to_string()),
            ("size", args.size.to_string()),
            ("suite", args.nodes.suite.name().to_owned()),
        ],
        ready_s: Some(ready_s),
        ready_after_kill_s: Some(ready_after_kill_s),
        ready_without_index_s: Some(ready_without_index_s),
        peak_rss_mib: rss.into_iter().reduce(f64::max),
        lost: Some(load.accepted.saturating_sub(gained.0.min(gained.1))),
        duplicated: Some(gained.0.max(gained.1).saturating_sub(load.accepted)),
        refused: Some(load.refused),
        ..Figures::of_this_machine()
    })
}

/// Waits until everything that was taken is at the partner and has its receipt.
async fn arrived(load: &mut Load, pair: &Pair) -> Result<(), DemoError> {
    within(DRAIN, "what is on its way to arrive", load.drain()).await?;
    within(DRAIN, "every message to have its receipt", settled(&pair.yueyang, &pair.xianning)).await
}
