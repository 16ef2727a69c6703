//! A night's reconciliation with a business system's ledger: two nodes hold so many cases, a ledger agrees
//! with them but for planted differences, and `tongban reconcile ledger` runs as people run it.

use super::exchange::{DRAIN, Load};
use super::figures::Figures;
use super::pair::{Pair, with_pair};
use super::{ReconcileArgs, disk, machine};
use crate::client;
use crate::demo::DemoError;
use crate::demo::error::within;
use crate::demo::load::settled;
use crate::demo::narrate::{Moment, Narrator, grouped};
use crate::demo::place::XIANNING;
use crate::ledger::planted::{MAPPING, Planted};
use proto::local::v1 as pb;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant};

/// Messages that are out at once while the cases are made.
const CONCURRENCY: usize = 1024;
/// Bytes of a case's forwarding.
const SIZE: u32 = 512;
/// Between two looks at how much memory the run takes.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the measurement.
pub(super) async fn run(args: &ReconcileArgs, chinese: bool) -> Result<Figures, DemoError> {
    with_pair(args.nodes.keep.as_deref(), args.nodes.suite, chinese, async |pair, narrator| {
        measure(args, pair, narrator).await
    })
    .await
}

async fn measure(args: &ReconcileArgs, pair: &mut Pair, narrator: &Narrator) -> Result<Figures, DemoError> {
    let mut load = Load::open(pair, SIZE, CONCURRENCY).await?;
    for tenth in 1..=10 {
        load.fill(args.cases * tenth / 10 - args.cases * (tenth - 1) / 10).await?;
        let (now, all) = (grouped(load.accepted), grouped(args.cases));
        narrator.tell(Moment::note(format!("{now}/{all} 件"), format!("{now} of {all} cases")));
    }
    within(DRAIN, "what is on its way to arrive", load.drain()).await?;
    within(DRAIN, "every message to have its receipt", settled(&pair.yueyang, &pair.xianning)).await?;
    let disk = disk::ask_beside(&pair.rig).await?;

    let folder = pair.rig.yueyang.data().join("ledger");
    fs::create_dir(&folder).map_err(DemoError::file(&folder))?;
    let planted = plant(args, pair, &folder).await?;
    let began = Instant::now();
    let binary = std::env::current_exe().map_err(DemoError::file(Path::new("tongban")))?;
    let mut command = tokio::process::Command::new(&binary);
    command
        .args(["--json", "--socket"])
        .arg(pair.rig.yueyang.socket())
        .args(["reconcile", "ledger", "--peer", XIANNING.code, "--timeout", "600", "--ledger"])
        .arg(folder.join("ledger.csv"))
        .arg("--mapping")
        .arg(folder.join("mapping.toml"))
        .arg("--runs")
        .arg(folder.join("runs"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::inherit());
    let child = command.spawn().map_err(DemoError::file(&binary))?;
    let process = child.id().ok_or_else(|| DemoError::Broken("the run has no process".into()))?;
    let mut ended = std::pin::pin!(child.wait_with_output());
    let mut peak: f64 = 0.0;
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.map_err(DemoError::file(&binary))?,
            () = tokio::time::sleep(LOOK) => peak = peak.max(machine::peak_rss_mib(process).unwrap_or(0.0)),
        }
    };
    let took = began.elapsed().as_secs_f64();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        DemoError::Broken(format!("reconcile ledger ended with {}: {error}", output.status))
    })?;
    let found: BTreeMap<String, u64> = serde_json::from_value(said["counts"].clone())
        .map_err(|error| DemoError::Broken(format!("counts: {error}")))?;
    let missed: u64 = planted
        .iter()
        .map(|(class, count)| count.saturating_sub(found.get(class).copied().unwrap_or(0)))
        .sum();
    let invented: u64 = found
        .iter()
        .map(|(class, count)| count.saturating_sub(planted.get(class).copied().unwrap_or(0)))
        .sum();
    let node = machine::peak_rss_mib(pair.processes()?[0])?;
    narrator.tell(Moment::note(
        format!("{took:.1} 秒，{peak:.0} MiB；植入 {} 处，漏报 {missed}，误报 {invented}", args.breaks),
        format!("{took:.1} s, {peak:.0} MiB; {} planted, {missed} missed, {invented} invented", args.breaks),
    ));
    Ok(Figures {
        disk: Some(disk),
        asked: vec![
            ("cases", args.cases.to_string()),
            ("breaks", args.breaks.to_string()),
            ("suite", args.nodes.suite.name().to_owned()),
        ],
        reconcile_s: Some(took),
        reconcile_rss_mib: Some(peak),
        breaks_missed: Some(missed),
        breaks_invented: Some(invented),
        peak_rss_mib: Some(node),
        ..Figures::of_this_machine()
    })
}

/// Writes ledger and mapping; what was planted, by class.
async fn plant(args: &ReconcileArgs, pair: &Pair, folder: &Path) -> Result<BTreeMap<String, u64>, DemoError> {
    let path = folder.join("ledger.csv");
    fs::write(folder.join("mapping.toml"), MAPPING).map_err(DemoError::file(folder))?;
    let file = File::create(&path).map_err(DemoError::file(&path))?;
    let mut ledger =
        Planted::begin(BufWriter::new(file), args.cases, args.breaks).map_err(DemoError::file(&path))?;
    let connected = client::connect(&pair.rig.yueyang.socket()).await;
    let mut clients = connected.map_err(|error| DemoError::Broken(error.to_string()))?;
    let request = pb::BookedCasesRequest { peer: XIANNING.code.to_owned(), cut_off: None };
    let pages = clients.operator.booked_cases(request).await.map_err(|status| super::refused(&status))?;
    let mut pages = pages.into_inner();
    while let Some(page) = pages.message().await.map_err(|status| super::refused(&status))? {
        for case in &page.cases {
            ledger.take(case).map_err(DemoError::file(&path))?;
        }
    }
    let planted = ledger.end().map_err(DemoError::file(&path))?;
    Ok(planted.into_iter().map(|(class, count)| (class.name().to_owned(), count)).collect())
}
