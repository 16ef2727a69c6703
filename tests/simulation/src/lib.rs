//! The deterministic simulator: three to seven nodes with all their misfortunes in one thread and in virtual
//! time, everything from one seed. `gateway::manual::simulation` tells what is real in it.

mod check;
mod content;
mod dice;
mod faults;
mod forger;
mod load;
mod network;
mod pki;
mod plan;
mod record;
mod trace;
mod world;

use plan::Plan;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;
use world::World;

/// When every simulation begins: 2026-11-24 in China, Unix ms.
const EPOCH: u64 = 1_795_500_000_000;
/// Virtual seconds with faults, unless the caller wants more.
pub const SECONDS: u64 = 60;

/// One seed's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What did not hold; empty: clean.
    pub violations: Vec<String>,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Events, and the hash over them with their virtual times.
    pub events: u64,
    /// See `events`.
    pub trace: u64,
    /// Virtual ms that passed.
    pub millis: u64,
    /// The events, when they were asked for.
    pub lines: Vec<String>,
}

/// Runs one seed with that many virtual seconds of faults. `tells`: keeps the timeline.
pub fn simulate(seed: u64, seconds: u64, tells: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    let outcome = runtime.block_on(run(seed, seconds * 1000, tells));
    // What clients and nodes left behind ends with the runtime.
    runtime.shutdown_background();
    outcome
}

async fn run(seed: u64, millis: u64, tells: bool) -> Outcome {
    let world = World::new(seed, Plan::draw(seed, millis), tells);
    world.trace.event(seed, || format!("{:?}", world.plan));
    for site in &world.sites {
        world.start(site);
    }
    load::open_desks(&world);
    load::conclude(&world).await;
    load::begin(&world);
    faults::begin(&world);
    let operator = tokio::spawn(faults::operate(std::sync::Arc::clone(&world)));
    let until = tokio::time::Instant::now() + Duration::from_millis(millis);
    while tokio::time::Instant::now() < until && !world.is_violated() {
        sleep(Duration::from_millis(200)).await;
    }
    if !world.is_violated() {
        world.resting.store(true, Ordering::SeqCst);
        world.heal();
        check::drain(&world).await;
    }
    if !world.is_violated() {
        check::finish(&world).await;
    }
    operator.abort();
    let millis = world.trace.now();
    let (events, trace, lines) = world.trace.finish();
    Outcome { seed, violations: world.violations(), faults: world.faults(), events, trace, millis, lines }
}

/// What a whole campaign found.
#[derive(Debug, Default)]
pub struct Campaign {
    /// Clean seeds.
    pub clean: u64,
    /// The others.
    pub failed: Vec<Outcome>,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Virtual ms that passed in all of them.
    pub millis: u64,
    /// Events of all of them.
    pub events: u64,
    /// Seeds whose second run differed from the first.
    pub unsteady: Vec<u64>,
}

/// Runs seeds `from..from + seeds`, as many at a time as there are `threads`. `twice`: each seed again, to
/// see whether it is the same. Ends early when `failures_max` seeds failed.
pub fn campaign(
    seeds: u64,
    from: u64,
    seconds: u64,
    threads: usize,
    twice: bool,
    failures_max: usize,
) -> Campaign {
    let (next, ends) = (AtomicU64::new(from), AtomicBool::new(false));
    let found = Mutex::new(Campaign::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds || ends.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = simulate(seed, seconds, false);
                    let steady = !twice || simulate(seed, seconds, false) == outcome;
                    let mut found = found.lock().expect("no holder of the campaign panics");
                    for (kind, count) in &outcome.faults {
                        *found.faults.entry(kind).or_insert(0) += count;
                    }
                    found.millis += outcome.millis;
                    found.events += outcome.events;
                    if !steady {
                        found.unsteady.push(seed);
                    }
                    if outcome.violations.is_empty() {
                        found.clean += 1;
                    } else {
                        found.failed.push(outcome);
                        ends.fetch_or(found.failed.len() >= failures_max, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    found.into_inner().expect("no holder of the campaign panics")
}

/// How `simulate` is called.
pub const USAGE: &str =
    "tests simulate [--seeds N] [--from SEED] [--seconds N] [--threads N] [--check-trace] [--timeline]";

/// `simulate`: see [`USAGE`].
pub fn main(arguments: &[String]) -> ExitCode {
    let (mut seeds, mut from, mut seconds, mut threads) = (200, 1, SECONDS, 2);
    let (mut twice, mut timeline) = (false, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = |value: &mut u64| {
            let given = rest.next().and_then(|text| text.parse().ok());
            *value = given.unwrap_or(*value);
            given.is_some()
        };
        let known = match argument.as_str() {
            "--seeds" => number(&mut seeds),
            "--from" => number(&mut from),
            "--seconds" => number(&mut seconds),
            "--threads" => number(&mut threads),
            "--check-trace" => {
                twice = true;
                true
            }
            "--timeline" => {
                timeline = true;
                true
            }
            _ => false,
        };
        if !known {
            eprintln!("usage: {USAGE}");
            return ExitCode::from(2);
        }
    }
    let began = std::time::Instant::now();
    let found = campaign(seeds, from, seconds, threads as usize, twice, 10);
    for failed in &found.failed {
        tell_failed(failed, seconds);
    }
    if timeline && found.failed.is_empty() {
        let told = simulate(from, seconds, true);
        told.lines.iter().for_each(|line| println!("{line}"));
    }
    println!("faults injected:");
    for (kind, count) in &found.faults {
        println!("  {count:>9}  {kind}");
    }
    let faults: u64 = found.faults.values().sum();
    println!(
        "{} seeds clean, {} failed, {} unsteady; {} virtual seconds, {} events, {faults} faults, in {:.1} s",
        found.clean,
        found.failed.len(),
        found.unsteady.len(),
        found.millis / 1000,
        found.events,
        began.elapsed().as_secs_f64()
    );
    for seed in &found.unsteady {
        println!("seed {seed} was not the same twice");
    }
    if found.failed.is_empty() && found.unsteady.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last lines of a timeline that are shown of a failed seed.
const LINES_SHOWN: usize = 150;

fn tell_failed(failed: &Outcome, seconds: u64) {
    println!("seed {} failed:", failed.seed);
    failed.violations.iter().for_each(|violation| println!("  {violation}"));
    let told = simulate(failed.seed, seconds, true);
    let shown = told.lines.len().saturating_sub(LINES_SHOWN);
    told.lines[shown..].iter().for_each(|line| println!("    {line}"));
    println!(
        "  again: cargo run -p tests --release -- simulate --seeds 1 --from {} --seconds {seconds}",
        failed.seed
    );
}
