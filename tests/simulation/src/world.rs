//! The simulated nodes: each the real gateway over a disk in memory, in one process and one thread, in
//! virtual time. What of a node outlives its process is a [`Site`]; a process is a [`Life`].

use super::dice::Dice;
use super::network::{Network, SimulatedDial};
use super::pki::{Distrust, NODES, pki};
use super::plan::Plan;
use super::record::Record;
use super::trace::Trace;
use super::{EPOCH, check};
use arc_swap::ArcSwap;
use gateway::clock::Clock;
use gateway::committer::Pace;
use gateway::gateway::{Gateway, OpenError, Process, Settings, Stopped, Stores};
use gateway::id::NodeId;
use gateway::keybook::SigningKey;
use gateway::overload::Bounds;
use gateway::signer::Signer as _;
use gateway::store::journal::Options;
use gateway::store::memory::{Crash, FaultPlan, MemoryDisk, Unsynced};
use gateway::store::{Index as _, JournalError, Position};
use gateway::time::UnixMillis;
use gateway::transport::client::{keep_bulk, keep_dialling};
use gateway::transport::tls::TrustHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

/// Small, so that a run fills several and closes them.
const SEGMENT_BYTES: u64 = 128 * 1024;
/// Free bytes below which a simulated node takes nothing new.
pub(super) const DISK_LOW_BYTES: u64 = 256 * 1024;

/// A node's wall clock: virtual time, and how far it is off.
pub(super) struct SiteClock {
    start: Instant,
    off_millis: AtomicI64,
}

impl SiteClock {
    pub(super) fn set_off(&self, millis: i64) {
        self.off_millis.store(millis, Ordering::SeqCst);
    }

    pub(super) fn off(&self) -> i64 {
        self.off_millis.load(Ordering::SeqCst)
    }
}

impl Clock for SiteClock {
    fn now(&self) -> UnixMillis {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        UnixMillis((EPOCH + elapsed).saturating_add_signed(self.off()))
    }
}

/// What of a node outlives its process.
pub(super) struct Site {
    pub(super) index: usize,
    pub(super) id: NodeId,
    pub(super) peers: Vec<usize>,
    pub(super) disk: MemoryDisk,
    pub(super) clock: Arc<SiteClock>,
    pub(super) trust: TrustHandle,
    pub(super) distrust: Mutex<Distrust>,
    /// Since when this node does not trust a certificate of another.
    distrusted: Mutex<BTreeMap<(usize, usize), Instant>>,
    dice: Arc<Dice>,
    alias_key: [u8; 32],
    state: Mutex<State>,
    /// Counts starts and ends of its processes.
    pub(super) changes: Notify,
}

#[derive(Default)]
struct State {
    life: Option<Arc<Life>>,
    lives: u64,
    tls: usize,
    signing: usize,
    /// Its start is somebody's business already.
    starting: bool,
}

/// One process of a node.
pub(super) struct Life {
    pub(super) gateway: Gateway,
    pub(super) number: u64,
    tasks: Mutex<Vec<AbortHandle>>,
    pub(super) dead: AtomicBool,
}

impl Life {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.dead.load(Ordering::SeqCst) {
            return;
        }
        let handle = tokio::spawn(task).abort_handle();
        let mut tasks = self.tasks.lock().expect("no holder of the tasks panics");
        tasks.retain(|task| !task.is_finished());
        tasks.push(handle);
    }

    fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        for task in self.tasks.lock().expect("no holder of the tasks panics").drain(..) {
            task.abort();
        }
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub(super) crash: Crash,
    pub(super) index_deleted: bool,
}

impl Site {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the state panics")
    }

    /// The process that runs now.
    pub(super) fn life(&self) -> Option<Arc<Life>> {
        self.state().life.clone()
    }

    /// The number of the TLS certificate that new connections show.
    pub(super) fn tls(&self) -> usize {
        self.state().tls
    }

    pub(super) fn rotate_tls(&self) {
        let mut state = self.state();
        state.tls = (state.tls + 1).min(super::pki::CERTIFICATES - 1);
    }

    pub(super) fn signing(&self) -> usize {
        self.state().signing
    }

    pub(super) fn rotate_signing(&self) {
        let mut state = self.state();
        state.signing = (state.signing + 1).min(super::pki::CERTIFICATES - 1);
    }

    /// Changes what this node trusts, from this moment on.
    pub(super) fn change_trust(&self, change: impl FnOnce(&mut Distrust)) {
        let mut distrust = self.distrust.lock().expect("no holder of the distrust panics");
        change(&mut distrust);
        self.trust.store(Arc::new(pki().trust(&distrust, EPOCH - 1000)));
        let now = Instant::now();
        let mut since = self.distrusted.lock().expect("no holder of the distrust panics");
        for (node, tls) in pki().tls.iter().enumerate() {
            for (number, issued) in tls.iter().enumerate() {
                let distrusted =
                    distrust.suspended.contains(&node) || distrust.revoked.contains_key(&issued.serial);
                if distrusted {
                    since.entry((node, number)).or_insert(now);
                } else {
                    since.remove(&(node, number));
                }
            }
        }
    }

    pub(super) fn distrusts(&self, peer: usize, certificate: usize) -> Option<Instant> {
        let since = self.distrusted.lock().expect("no holder of the distrust panics");
        since.get(&(peer, certificate)).copied()
    }

    pub(super) fn file_clock(&self) -> Arc<dyn Fn() -> SystemTime + Send + Sync> {
        let clock = Arc::clone(&self.clock);
        Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_millis(clock.now().0))
    }

    /// Waits for a process.
    pub(super) async fn alive(&self) -> Arc<Life> {
        loop {
            // Woken in the order in which they came: a watch channel throws dice of its own.
            let mut changed = std::pin::pin!(self.changes.notified());
            changed.as_mut().enable();
            if let Some(life) = self.life() {
                return life;
            }
            changed.await;
        }
    }
}

/// Everything of one seed.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) sites: Vec<Arc<Site>>,
    pub(super) network: Network,
    pub(super) net_dice: Dice,
    pub(super) load_dice: Dice,
    pub(super) fault_dice: Dice,
    pub(super) trace: Trace,
    record: Mutex<Record>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    violations: Mutex<Vec<String>>,
    /// Clients work no more.
    pub(super) resting: AtomicBool,
    /// Nothing goes wrong any more.
    pub(super) healed: AtomicBool,
    pub(super) busy: AtomicU64,
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan, tells: bool) -> Arc<Self> {
        let start = Instant::now();
        let nobody = Distrust::default();
        let trust = Arc::new(pki().trust(&nobody, EPOCH - 1000));
        let site = |index: usize| {
            let dice = Dice::new(seed, NODES[index].0);
            let mut alias_key = [0; 32];
            gateway::clock::Randomness::fill(&dice, &mut alias_key);
            Arc::new(Site {
                index,
                id: NODES[index].0.parse().expect("a division"),
                peers: plan.peers(index),
                disk: MemoryDisk::new(),
                clock: Arc::new(SiteClock { start, off_millis: AtomicI64::new(plan.skews[index]) }),
                trust: Arc::new(ArcSwap::new(Arc::clone(&trust))),
                distrust: Mutex::default(),
                distrusted: Mutex::default(),
                dice: Arc::new(dice),
                alias_key,
                state: Mutex::default(),
                changes: Notify::new(),
            })
        };
        Arc::new(Self {
            sites: (0..plan.nodes).map(site).collect(),
            network: Network::default(),
            net_dice: Dice::new(seed, "network"),
            load_dice: Dice::new(seed, "load"),
            fault_dice: Dice::new(seed, "faults"),
            trace: Trace::new(start, tells),
            record: Mutex::default(),
            faults: Mutex::default(),
            violations: Mutex::default(),
            resting: AtomicBool::new(false),
            healed: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            plan,
        })
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder of the record panics")
    }

    /// Counts a fault and tells it.
    pub(super) fn fault(&self, kind: &'static str, line: impl FnOnce() -> String) {
        self.trace.event(("fault", kind), || format!("!! {kind}: {}", line()));
        *self.faults.lock().expect("no holder of the faults panics").entry(kind).or_insert(0) += 1;
    }

    /// An invariant does not hold.
    pub(super) fn violated(&self, invariant: &str, detail: String) {
        let line = format!("({invariant}): {detail}");
        self.trace.tell(&format!("VIOLATED {line}"));
        let mut violations = self.violations.lock().expect("no holder of the violations panics");
        if violations.len() < 20 {
            violations.push(line);
        }
    }

    pub(super) fn is_violated(&self) -> bool {
        !self.violations.lock().expect("no holder of the violations panics").is_empty()
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("no holder of the violations panics").clone()
    }

    pub(super) fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.faults.lock().expect("no holder of the faults panics").clone()
    }

    /// Opens a node's store and starts its process, with whatever a start does by itself.
    fn open(self: &Arc<Self>, site: &Arc<Site>) -> Result<Stopped, OpenError> {
        let dir = PathBuf::from("memory");
        let (journal, index) = open_store(site).map_err(|source| OpenError::Journal { dir, source })?;
        let blobs = site
            .disk
            .open_blobs(0, site.file_clock())
            .map_err(|source| OpenError::Io { doing: "open the blob folder".to_owned(), source })?;
        let signing = site.signing();
        let signer = Arc::new(pki().signer(site.index, signing));
        let older_keys = (0..signing)
            .map(|older| pki().signer(site.index, older))
            .map(|older| SigningKey {
                name: older.name().to_owned(),
                key: older.public_key().clone(),
                chain: older.chain().to_vec(),
            })
            .collect();
        let settings = Settings {
            node: site.id,
            data_dir: PathBuf::new(),
            peers: site.peers.iter().map(|peer| self.sites[*peer].id).collect(),
            signer,
            older_keys,
            trust: Arc::clone(&site.trust),
            clock: Arc::clone(&site.clock) as _,
            randomness: Arc::clone(&site.dice) as _,
            bounds: Bounds { disk_low_bytes: DISK_LOW_BYTES, ..Bounds::default() },
            measures: Arc::default(),
        };
        let stores = Stores { journal: Box::new(journal), index, blobs, alias_key: site.alias_key };
        let (started, committer) = oneshot::channel();
        let process = Process::Simulated { pace: self.pace(site), started };
        let (gateway, _, stopped) = Gateway::over(settings, stores, process, |_| ())?;
        let mut committer = committer;
        let committer = committer.try_recv().expect("the committer's task was started");
        let life = {
            let mut state = site.state();
            state.lives += 1;
            let life = Arc::new(Life {
                gateway: gateway.clone(),
                number: state.lives,
                tasks: Mutex::new(vec![committer]),
                dead: AtomicBool::new(false),
            });
            state.life = Some(Arc::clone(&life));
            life
        };
        let links = gateway.links();
        for peer in &site.peers {
            let dial = Arc::new(SimulatedDial {
                world: Arc::downgrade(self),
                from: site.index,
                to: *peer,
                node: self.sites[*peer].id,
                life: Arc::downgrade(&life),
            });
            // Some nodes may only dial, some are only dialled.
            if self.plan.dials(site.index, *peer) {
                life.spawn(keep_dialling(Arc::clone(&links), Arc::clone(&dial)));
                life.spawn(keep_bulk(Arc::clone(&links), dial));
            }
        }
        life.spawn(gateway::blobs::run(links, gateway.blobs()));
        life.spawn(gateway::respond::run(gateway.clone()));
        life.spawn(async move { gateway.watch_disk().await });
        site.changes.notify_waiters();
        self.trace.event(("starts", site.index, life.number), || {
            format!("{} starts, life {}", site.id, life.number)
        });
        Ok(stopped)
    }

    fn pace(self: &Arc<Self>, site: &Arc<Site>) -> Pace {
        let (dice, (least, most)) = (Arc::clone(&site.dice), self.plan.disk_micros);
        Box::new(move || Duration::from_micros(dice.between(least, most)))
    }

    /// Starts a node, again and again until it stands, and looks after it.
    pub(super) fn start(self: &Arc<Self>, site: &Arc<Site>) {
        {
            let mut state = site.state();
            if state.starting || state.life.is_some() {
                return;
            }
            state.starting = true;
        }
        let (world, site) = (Arc::clone(self), Arc::clone(site));
        tokio::spawn(async move {
            let mut tries = 0;
            let stopped = loop {
                match world.open(&site) {
                    Ok(stopped) => break stopped,
                    Err(error) => {
                        tries += 1;
                        world.trace.event(("does not open", site.index), || {
                            format!("{} does not open: {error}", site.id)
                        });
                        if !world.mend(&site, &error) && tries > 50 {
                            world.violated("7 a node comes back", format!("{}: {error}", site.id));
                            return;
                        }
                        // A process that dies while it starts leaves what it had not synced to chance.
                        site.disk.crash(Crash { unsynced: Unsynced::Kept, index_batches_lost: 0 });
                        sleep(Duration::from_millis(300)).await;
                    }
                }
            };
            site.state().starting = false;
            let Some(life) = site.life() else { return };
            check::after_start(&world, &site, &life);
            let ended = stopped.await;
            if life.dead.load(Ordering::SeqCst) {
                return;
            }
            // The process noticed that it must stop.
            world.trace.event(("stops", site.index), || format!("{} stops by itself: {ended:?}", site.id));
            let death = world.death(&site);
            world.kill(&site, death);
            sleep(world.fault_dice.millis(50, 1500)).await;
            world.start(&site);
        });
    }

    /// What a process that dies now leaves.
    pub(super) fn death(&self, site: &Site) -> Death {
        let dice = &self.fault_dice;
        let unsynced = match dice.below(5) {
            0 => Unsynced::Kept,
            1 => Unsynced::Prefix(dice.below(6000) as usize),
            2 => Unsynced::Sectors(dice.next()),
            _ => Unsynced::Lost,
        };
        let index_batches_lost = if dice.happens(400_000) { dice.below(40) as usize } else { 0 };
        let index_deleted = self.plan.index_deletions && dice.happens(200_000);
        if !matches!(unsynced, Unsynced::Kept) {
            self.fault("unsynced writes lost", || site.id.to_string());
        }
        if index_batches_lost > 0 {
            self.fault("index behind", || format!("{}, {index_batches_lost} batches", site.id));
        }
        if index_deleted {
            self.fault("index deleted", || site.id.to_string());
        }
        Death { crash: Crash { unsynced, index_batches_lost }, index_deleted }
    }

    /// Ends a node's process as a power cut does.
    pub(super) fn kill(&self, site: &Arc<Site>, death: Death) {
        let Some(life) = site.state().life.take() else { return };
        life.kill();
        site.disk.crash(death.crash);
        if death.index_deleted {
            site.disk.drop_index();
        }
        if self.fault_dice.happens(500_000) {
            // The machine went with it: what it had sent does not arrive.
            self.network.cut(|_, ends| ends.contains(&site.index));
        }
        self.trace.event(("dies", site.index), || format!("{} dies: {:?}", site.id, death.crash));
        self.record().died(site);
        site.changes.notify_waiters();
    }

    /// What an operator does about a store that does not open. Says whether anything was done.
    fn mend(&self, site: &Arc<Site>, error: &OpenError) -> bool {
        let OpenError::Journal { source, .. } = error else { return false };
        match source {
            JournalError::Damaged { .. } => {
                self.record().damage_named(site);
                let readable = match site.disk.inspect() {
                    Ok(inspection) => inspection.readable,
                    Err(_) => return false,
                };
                self.trace.event(("cut", site.index), || format!("{} is cut after {readable}", site.id));
                self.record().restored(self, site);
                site.disk.drop_index();
                site.disk.cut_after(readable, site.clock.now().0).is_ok()
            }
            _ => false,
        }
    }

    /// Everybody has a process and none is on its way.
    pub(super) fn all_stand(&self) -> bool {
        self.sites.iter().all(|site| site.life().is_some())
    }

    /// Pairs of nodes that know each other, the lower first.
    pub(super) fn pairs(&self) -> BTreeSet<(usize, usize)> {
        self.plan.edges.clone()
    }

    /// Ends all faults and lets everything come back.
    pub(super) fn heal(self: &Arc<Self>) {
        self.healed.store(true, Ordering::SeqCst);
        self.trace.tell("-- all faults end");
        self.network.calm();
        for site in &self.sites {
            site.disk.plan(FaultPlan::none());
            site.disk.set_capacity(None);
            site.clock.set_off(0);
            site.change_trust(|distrust| distrust.suspended.clear());
        }
        for site in &self.sites {
            let judge = |serial: &Vec<u8>| {
                self.sites.iter().any(|other| {
                    other
                        .distrust
                        .lock()
                        .expect("no holder of the distrust panics")
                        .revoked
                        .contains_key(serial)
                })
            };
            while judge(&pki().tls[site.index][site.tls()].serial) {
                site.rotate_tls();
            }
            let mut renewed = false;
            while judge(&pki().signing[site.index][site.signing()].serial) {
                site.rotate_signing();
                renewed = true;
            }
            if renewed && site.life().is_some() {
                let death = Death {
                    crash: Crash { unsynced: Unsynced::Lost, index_batches_lost: 0 },
                    index_deleted: false,
                };
                self.kill(site, death);
            }
            if site.life().is_none() {
                self.start(site);
            }
        }
    }
}

type Store = (gateway::store::journal::SegmentedJournal, Arc<dyn gateway::store::Index>);

/// As the gateway opens a folder: an index that is ahead of its journal is made anew.
fn open_store(site: &Site) -> Result<Store, JournalError> {
    let mut mark = [0; 8];
    gateway::clock::Randomness::fill(&*site.dice, &mut mark);
    let options = |known_durable: Position| Options {
        known_durable,
        segment_bytes: SEGMENT_BYTES,
        ..Options::new(u64::from_le_bytes(mark))
    };
    let index = site.disk.open_index();
    let known = index.reflects().map_err(|error| JournalError::Visitor(Box::new(error)))?;
    match site.disk.open_journal(options(known)) {
        Err(JournalError::Behind { .. }) => {
            site.disk.drop_index();
            let (journal, _) = site.disk.open_journal(options(Position::START))?;
            Ok((journal, Arc::new(site.disk.open_index())))
        }
        opened => Ok((opened?.0, Arc::new(index))),
    }
}

/// Reads a store from its journal alone.
pub(super) fn reopened(
    world: &World,
    site: &Site,
    disk: &MemoryDisk,
) -> Result<Arc<gateway::archive::Archive>, gateway::committer::CommitError> {
    use gateway::committer::{CommitError, Core, Ports};
    let index: Arc<dyn gateway::store::Index> = Arc::new(disk.open_index());
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(1) };
    let (journal, _) = disk.open_journal(options).map_err(CommitError::Journal)?;
    let ports = Ports {
        journal: Box::new(journal),
        index,
        signer: Arc::new(pki().signer(site.index, site.signing())),
        clock: Arc::clone(&site.clock) as _,
        randomness: Arc::new(Dice::new(1, "reopened")),
        alias_key: site.alias_key,
        bounds: Bounds { disk_low_bytes: 0, ..Bounds::default() },
        measures: Arc::default(),
    };
    let peers = site.peers.iter().map(|peer| world.sites[*peer].id).collect();
    Core::open(site.id, peers, ports, |_| ()).map(|(core, _)| core.archive())
}

/// Whether a copy of a disk gives the same frames as the disk itself.
pub(super) fn same_frames(site: &Site, copy: &MemoryDisk, known: Position) -> bool {
    use gateway::store::Journal as _;
    let original = MemoryDisk::new();
    original.restore(&site.disk.snapshot());
    let frames = |disk: &MemoryDisk| {
        let options = Options { known_durable: known, segment_bytes: SEGMENT_BYTES, ..Options::new(1) };
        let (journal, _) = disk.open_journal(options).ok()?;
        let mut frames = Vec::new();
        let read = journal.reader().replay(Position::START, None, &mut |frame| {
            frames.push(frame.meta.to_vec());
            Ok(())
        });
        read.ok().map(|_| frames)
    };
    // One that does not open, or reads otherwise, was noticed.
    frames(copy).is_none_or(|frames_of_copy| Some(frames_of_copy) == frames(&original))
}
