//! Two real nodes under real work, killed with SIGKILL hundreds of times at moments that nobody chose, and
//! then both journals read by a stranger. `cargo run -p tests --release -- crashes --kills 500`.
//!
//! Kills come in rounds. A round is a fresh pair of nodes with traffic in both directions (`traffic`);
//! after its kills everything must drain, both nodes are killed once more, and `check` compares what
//! `journal` reads with what everybody was told. The seed draws phases, nodes and delays; what the
//! machine makes of them is not repeatable, so a seed names a mixture and not a run.

mod check;
pub mod journal;
mod traffic;

pub use check::Checked;

use crate::city::City;
use crate::files::file;
use crate::{LOOK, Rig, YUEYANG, eventually, now_ms};
use devpki::{KeyKind, Province};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use traffic::Traffic;

/// Kills of one round.
const ROUND: u32 = 25;
/// New signing keys of one round: a node shows at most eight older ones at a contact (WIRE.md §9.3).
const SIGNING_KEYS_MAX: u32 = 3;

/// During what a node is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Messages both ways.
    Load,
    /// A file is on its way to the partner.
    Transfer,
    /// A file is on its way in from a business system.
    Upload,
    /// The index was deleted and is made anew.
    Rebuild,
    /// The process has only just begun.
    StartUp,
    /// New TLS keys, revocation lists and sometimes signing keys were put into place a moment ago.
    Rotation,
    /// Both nodes at once.
    Both,
}

const PHASES: [Phase; 7] = [
    Phase::Load,
    Phase::Transfer,
    Phase::Upload,
    Phase::Rebuild,
    Phase::StartUp,
    Phase::Rotation,
    Phase::Both,
];

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Kills altogether; the last round may go a few beyond.
    pub kills: u32,
    /// The first round's seed.
    pub from: u64,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Summary {
    /// By phase, of 岳阳 and of 咸宁.
    pub kills: BTreeMap<Phase, [u32; 2]>,
    /// Rounds, each with its own pair of nodes.
    pub rounds: u32,
    /// Of all rounds.
    pub checked: Checked,
    /// Frames that a kill cut short in the middle of their write, as the journals showed at the end of rounds.
    pub torn: u32,
}

impl Summary {
    /// All kills.
    pub fn killed(&self) -> u32 {
        self.kills.values().flatten().sum()
    }
}

/// The command line: `--kills N` and `--from SEED`.
pub fn main(arguments: &[String]) -> ExitCode {
    let mut plan = Plan { kills: 500, from: 1 };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let number = words.next().and_then(|number| number.parse::<u64>().ok());
        match (word.as_str(), number) {
            ("--kills", Some(number)) => plan.kills = u32::try_from(number).unwrap_or(u32::MAX),
            ("--from", Some(number)) => plan.from = number,
            _ => {
                eprintln!("usage: tests crashes [--kills N] [--from SEED]");
                return ExitCode::from(2);
            }
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let began = Instant::now();
    let summary = match runtime.block_on(run(plan)) {
        Ok(summary) => summary,
        Err(faults) => {
            faults.iter().take(40).for_each(|fault| eprintln!("BROKEN {fault}"));
            return ExitCode::FAILURE;
        }
    };
    println!("{:<10} {:>7} {:>7}", "phase", "430600", "421200");
    for (phase, [one, other]) in &summary.kills {
        println!("{:<10} {one:>7} {other:>7}", format!("{phase:?}"));
    }
    let checked = summary.checked;
    println!(
        "{} kills in {} rounds, {:.0} s: {} entries in both copies, {} acknowledgements, {} files, \
         {} frames read, {} receipts verified, {} entries shown again before they were acknowledged, \
         {} torn tails. Nothing lost, nothing twice, equal roots.",
        summary.killed(),
        summary.rounds,
        began.elapsed().as_secs_f64(),
        checked.entries,
        checked.acknowledged,
        checked.files,
        checked.frames,
        checked.receipts,
        checked.shown_again,
        summary.torn,
    );
    ExitCode::SUCCESS
}

/// Runs a plan.
///
/// # Errors
/// Everything that was not as promised in the first round that broke a promise.
///
/// # Panics
/// When a node does not come back within [`PATIENCE`](crate::PATIENCE), or says what no node says.
pub async fn run(plan: Plan) -> Result<Summary, Vec<String>> {
    let mut summary = Summary::default();
    while summary.killed() < plan.kills {
        let seed = plan.from + u64::from(summary.rounds);
        let left = (plan.kills - summary.killed()).min(ROUND);
        round(seed, left, &mut summary).await.map_err(|faults| {
            let here =
                format!("again: cargo run -p tests --release -- crashes --kills {ROUND} --from {seed}");
            faults.into_iter().chain([here]).collect::<Vec<_>>()
        })?;
        summary.rounds += 1;
        if std::io::stderr().is_terminal() {
            eprint!("\r{} of {} kills, {} entries ", summary.killed(), plan.kills, summary.checked.entries);
        } else {
            eprintln!("{} of {} kills, {} entries", summary.killed(), plan.kills, summary.checked.entries);
        }
    }
    Ok(summary)
}

async fn round(seed: u64, kills: u32, summary: &mut Summary) -> Result<(), Vec<String>> {
    let mut rig = Rig::agreed().await;
    let mut dice = Dice(seed);
    let traffic = Traffic::begin(seed, &rig.yueyang, &rig.xianning);
    let (mut done, mut signing_keys) = (0, 0);
    while done < kills {
        let mut phase = PHASES[dice.below(PHASES.len() as u64) as usize];
        let mut node = dice.below(2) as usize;
        match phase {
            Phase::Load | Phase::Both => dice.wait(500).await,
            Phase::Transfer => {
                let named = traffic.named.load(Ordering::SeqCst);
                if within(5, || traffic.named.load(Ordering::SeqCst) > named).await {
                    dice.wait(40).await;
                } else {
                    phase = Phase::Load;
                }
            }
            Phase::Upload => {
                node = 0;
                if within(5, || traffic.uploading.load(Ordering::SeqCst) > 0).await {
                    dice.wait(15).await;
                } else {
                    phase = Phase::Load;
                }
            }
            Phase::Rebuild => {
                let city = city(&mut rig, node);
                city.kill();
                let index = city.data().join("index");
                std::fs::remove_dir_all(&index).expect("a node that was ready has an index");
                city.launch();
                dice.wait(150).await;
            }
            Phase::StartUp => {
                let city = city(&mut rig, node);
                city.kill();
                city.launch();
                dice.wait(60).await;
            }
            Phase::Rotation => {
                let sign = signing_keys < SIGNING_KEYS_MAX && dice.below(3) == 0;
                signing_keys += u32::from(sign);
                rotate(&rig, node, sign);
                dice.wait(1_500).await;
            }
        }
        // Ready nodes are killed above in two phases to begin the next; those kills count as load.
        if matches!(phase, Phase::Rebuild | Phase::StartUp) {
            summary.kills.entry(Phase::Load).or_default()[node] += 1;
            done += 1;
        }
        let victims = if phase == Phase::Both { vec![0, 1] } else { vec![node] };
        for victim in &victims {
            let city = city(&mut rig, *victim);
            if !city.runs() {
                return Err(vec![format!("{} ended by itself ({phase:?}): {}", city.node, city.log())]);
            }
            city.kill();
            summary.kills.entry(phase).or_default()[*victim] += 1;
            done += 1;
        }
        dice.wait(100).await;
        for victim in victims {
            city(&mut rig, victim).start().await;
        }
    }
    drain(seed, &mut rig, traffic, summary).await
}

/// Everybody finishes; both nodes are killed for good; the journals are read and compared.
async fn drain(
    seed: u64,
    rig: &mut Rig,
    mut traffic: Traffic,
    summary: &mut Summary,
) -> Result<(), Vec<String>> {
    traffic.no_more().await;
    rig.meet().await;
    let files = traffic.notes.lock().expect("no holder panics").files.clone();
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let mut faults = Vec::new();
    for sent in &files {
        eventually("a file to arrive", async || approval.has(&sent.digest).await).await;
        match approval.read(&sent.digest, 0).await {
            Ok(here) if here == file(sent.seed, sent.length) => {}
            Ok(_) => faults.push(format!("the file {} arrived as another", sent.digest)),
            Err(error) => faults.push(format!("the file {} cannot be read: {error}", sent.digest)),
        }
        eventually("the receipt for a file", async || window.has_file_receipts(YUEYANG, &sent.digest).await)
            .await;
    }
    // 咸宁's consumer signs for cases while it reads, so its partner's inbox is complete only after it.
    let size = window.channel(YUEYANG, crate::XIANNING).await.size;
    eventually("咸宁 to read everything", async || {
        let notes = traffic.notes.lock().expect("no holder panics");
        notes.read[1].next >= size || !notes.broken.is_empty()
    })
    .await;
    rig.balanced().await;
    let sizes = [
        window.channel(crate::XIANNING, YUEYANG).await.size,
        window.channel(YUEYANG, crate::XIANNING).await.size,
    ];
    traffic.read_up_to(sizes).await;
    let stated = rig.balanced().await;
    let told = traffic.notes.lock().expect("no holder panics").told.clone();
    for (told, (desk, to)) in told.iter().zip([(&mut window, crate::XIANNING), (&mut approval, YUEYANG)]) {
        for one in told {
            let state = desk.receipt(to, &one.message_id).await;
            if !state.receipted || !state.refused.is_empty() {
                faults.push(format!("{} has no receipt: {state:?}", one.key));
            }
        }
    }
    rig.yueyang.kill();
    rig.xianning.kill();
    let [one, other] = [&rig.yueyang, &rig.xianning].map(|city| journal::read(&city.data().join("journal")));
    let notes = traffic.notes.lock().expect("no holder panics");
    let found = match (one, other) {
        (Ok(one), Ok(other)) => {
            summary.torn += u32::from(one.torn_bytes > 0) + u32::from(other.torn_bytes > 0);
            check::check(&notes, [&one, &other], &stated)
        }
        (one, other) => Err([one.err(), other.err()].into_iter().flatten().collect()),
    };
    match found {
        Ok(found) if faults.is_empty() => {
            let all = &mut summary.checked;
            all.entries += found.entries;
            all.acknowledged += found.acknowledged;
            all.shown_again += found.shown_again;
            all.receipts += found.receipts;
            all.frames += found.frames;
            all.files += found.files;
            Ok(())
        }
        found => {
            faults.extend(found.err().into_iter().flatten());
            let kept = std::env::temp_dir().join(format!("tongban-crashes-{seed}"));
            for city in [&rig.yueyang, &rig.xianning] {
                crate::copy_folder(&city.path(""), &kept.join(city.node));
            }
            faults.push(format!("both nodes' folders are kept in {}", kept.display()));
            Err(faults)
        }
    }
}

fn city(rig: &mut Rig, node: usize) -> &mut City {
    if node == 0 { &mut rig.yueyang } else { &mut rig.xianning }
}

/// Puts a new TLS key and a new revocation list into place while everything runs, as an administrator's
/// tool does: each file is replaced whole. A signing key is read at the next start.
fn rotate(rig: &Rig, node: usize, sign: bool) {
    let city = if node == 0 { &rig.yueyang } else { &rig.xianning };
    let domain = ["hunan.tongban", "hubei.tongban"][node];
    let province = Province::open(&rig.pki().join("ca").join(domain), now_ms()).expect("a province");
    let mut files = vec![("tls", province.tls(city.node))];
    if sign {
        files.push(("signing", province.signing(city.node, KeyKind::P256)));
    }
    for (name, issued) in files {
        let issued = issued.expect("certificates are issued");
        replace(&city.path(&format!("keys/{name}.key")), &issued.key_pem);
        replace(&city.path(&format!("keys/{name}.pem")), &issued.chain_pem);
    }
    devpki::revoke(&rig.pki(), domain, &[], now_ms()).expect("a revocation list is issued");
    let list = format!("{domain}.crl.pem");
    let text = std::fs::read_to_string(rig.pki().join("trust").join(&list)).expect("the list");
    for city in [&rig.yueyang, &rig.xianning] {
        replace(&city.path("trust").join(&list), &text);
    }
}

fn replace(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("a file is written");
    let mode = std::fs::metadata(file).expect("the old file").permissions().mode();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
    std::fs::rename(&new, file).expect("it takes the old one's place");
}

/// Waits for a condition, and not for ever: where it does not come, the kill comes without it and counts as load.
async fn within(seconds: u64, holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !holds() && Instant::now() < deadline {
        tokio::time::sleep(LOOK / 10).await;
    }
    holds()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    async fn wait(&mut self, milliseconds_max: u64) {
        let microseconds = self.below(milliseconds_max * 1_000 + 1);
        tokio::time::sleep(Duration::from_micros(microseconds)).await;
    }
}
