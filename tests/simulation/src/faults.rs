//! Misfortunes: each kind of a seed's plan strikes again and again, at virtual moments drawn from the seed.

use super::forger;
use super::pki::pki;
use super::plan::{DiskRates, Misfortune};
use super::world::{DISK_LOW_BYTES, Death, Site, World};
use gateway::store::memory::{Crash, DiskImage, Fault, FaultPlan, Operation, Unsynced};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Begins all misfortunes of the plan.
pub(super) fn begin(world: &Arc<World>) {
    for site in &world.sites {
        fail_disk(world, site);
    }
    for (number, (misfortune, every)) in world.plan.misfortunes.iter().copied().enumerate() {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let mut backups = Vec::new();
            // Not all at once.
            sleep(Duration::from_millis(number as u64)).await;
            loop {
                sleep(world.fault_dice.millis(every / 4, every * 2)).await;
                if world.healed.load(Ordering::SeqCst) {
                    return;
                }
                strike(&world, misfortune, &mut backups).await;
            }
        });
    }
}

/// A running node, if there is one.
fn somebody(world: &World) -> Option<Arc<Site>> {
    let running: Vec<_> = world.sites.iter().filter(|site| site.life().is_some()).cloned().collect();
    if running.is_empty() { None } else { Some(world.fault_dice.pick(&running).clone()) }
}

/// Kills a process, does something to what it left, and starts it again after a while.
async fn kill_and(world: &Arc<World>, site: &Arc<Site>, death: Death, meanwhile: impl FnOnce()) {
    world.kill(site, death);
    meanwhile();
    sleep(world.fault_dice.millis(20, 4000)).await;
    world.start(site);
}

async fn strike(world: &Arc<World>, misfortune: Misfortune, backups: &mut Vec<DiskImage>) {
    let dice = &world.fault_dice;
    match misfortune {
        Misfortune::Crash => {
            let Some(site) = somebody(world) else { return };
            world.fault("crash", || site.id.to_string());
            let death = world.death(&site);
            kill_and(world, &site, death, || {}).await;
        }
        Misfortune::Partition => {
            let until = Instant::now() + dice.millis(300, 12_000);
            let one = dice.below(world.sites.len() as u64) as usize;
            let alone = dice.happens(300_000);
            let peers = &world.sites[one].peers;
            let others = if alone { peers.clone() } else { vec![*dice.pick(peers)] };
            let ways = dice.below(3);
            for other in others {
                if ways != 0 {
                    world.network.block(one, other, until);
                }
                if ways != 1 {
                    world.network.block(other, one, until);
                }
            }
            let millis = until.duration_since(Instant::now()).as_millis();
            world.fault("partition", || format!("{} for {millis} ms, ways {ways}", world.sites[one].id));
        }
        Misfortune::Cut => {
            let lines = world.network.lines();
            if !lines.is_empty() {
                let line = *dice.pick(&lines);
                world.fault("line cut", || format!("line {line}"));
                world.network.cut(|number, _| number == line);
            }
        }
        Misfortune::Slowness => {
            let (lasts, millis) = (dice.millis(500, 8000), dice.between(100, 3000));
            world.fault("slow network", || format!("up to {millis} ms more"));
            world.network.slow_down(Instant::now() + lasts, millis);
        }
        Misfortune::DiskFull => {
            let Some(site) = somebody(world) else { return };
            let used: u64 = site.disk.files().iter().map(|(_, bytes)| bytes).sum();
            let room = match dice.below(3) {
                0 => 0,
                1 => DISK_LOW_BYTES / 2,
                _ => dice.below(DISK_LOW_BYTES * 2),
            };
            world.fault("disk full", || format!("{} has {room} bytes left", site.id));
            site.disk.set_capacity(Some(used + room));
            sleep(dice.millis(200, 6000)).await;
            site.disk.set_capacity(None);
        }
        Misfortune::Backup => {
            let site = Arc::clone(&world.sites[world.plan.victim]);
            if backups.is_empty() || dice.happens(400_000) {
                world.trace.event(("backup", site.index), || format!("a backup of {}", site.id));
                backups.push(site.disk.snapshot());
            } else if site.life().is_some() {
                // Of what it does after this one there is no later backup: whoever puts back the backup of a
                // history that was given up has a node that signed two, and it is found.
                backups.truncate(dice.between(1, backups.len() as u64) as usize);
                let image = backups.last().expect("one at least").clone();
                world.fault("backup restored", || site.id.to_string());
                let death = world.death(&site);
                kill_and(world, &site, death, || {
                    site.disk.restore(&image);
                    world.record().restored(world, &site);
                })
                .await;
            }
        }
        Misfortune::Rot => {
            let site = Arc::clone(&world.sites[world.plan.victim]);
            if site.life().is_none() {
                return;
            }
            let death = world.death(&site);
            kill_and(world, &site, death, || rot(world, &site)).await;
        }
        Misfortune::ClockJump => {
            let Some(site) = somebody(world) else { return };
            let to = dice.between(0, 180_000) as i64 - 90_000;
            world.fault("clock jump", || format!("{} is {to} ms off", site.id));
            site.clock.set_off(to);
        }
        Misfortune::RotateTls => {
            let Some(site) = somebody(world) else { return };
            world.fault("TLS certificate rotated", || site.id.to_string());
            site.rotate_tls();
        }
        Misfortune::RevokeTls => {
            let Some(site) = somebody(world) else { return };
            let number = site.tls();
            if number + 1 >= super::pki::CERTIFICATES {
                return;
            }
            world.fault("TLS certificate revoked", || site.id.to_string());
            distrust(world, &site, &pki().tls[site.index][number].serial);
            sleep(dice.millis(500, 6000)).await;
            site.rotate_tls();
        }
        Misfortune::RotateSigning => {
            let Some(site) = somebody(world) else { return };
            if site.signing() + 1 >= super::pki::CERTIFICATES {
                return;
            }
            world.fault("signing key rotated", || site.id.to_string());
            let death = world.death(&site);
            kill_and(world, &site, death, || site.rotate_signing()).await;
        }
        Misfortune::RevokeSigning => {
            let Some(site) = somebody(world) else { return };
            let number = site.signing();
            if number + 1 >= super::pki::CERTIFICATES {
                return;
            }
            world.fault("signing key revoked", || site.id.to_string());
            distrust(world, &site, &pki().signing[site.index][number].serial);
            sleep(dice.millis(500, 6000)).await;
            // Somebody may have renewed it already.
            if site.signing() == number && site.life().is_some() {
                let death = world.death(&site);
                kill_and(world, &site, death, || site.rotate_signing()).await;
            }
        }
        Misfortune::Suspend => {
            let Some(site) = somebody(world) else { return };
            let peer = &world.sites[*dice.pick(&site.peers)];
            world.fault("node suspended", || format!("{} at {}", site.id, peer.id));
            peer.change_trust(|distrust| {
                distrust.suspended.insert(site.index);
            });
            sleep(dice.millis(500, 8000)).await;
            peer.change_trust(|distrust| {
                distrust.suspended.remove(&site.index);
            });
        }
        Misfortune::ForgedFork => forger::forge(world).await,
    }
}

/// How long after now a revocation is dated: what was signed before it, by any of the clocks, is evidence.
const DATED_MILLIS: u64 = 100_000;

/// All its partners hear that a certificate is revoked, each after a moment of its own.
fn distrust(world: &Arc<World>, site: &Arc<Site>, serial: &[u8]) {
    let dated =
        i64::try_from(super::EPOCH + world.trace.now() + DATED_MILLIS).expect("a date of this century");
    for peer in &site.peers {
        let (peer, serial) = (Arc::clone(&world.sites[*peer]), serial.to_vec());
        let wait = world.fault_dice.millis(0, 400);
        tokio::spawn(async move {
            sleep(wait).await;
            peer.change_trust(|distrust| {
                distrust.revoked.insert(serial, dated);
            });
        });
    }
}

/// Flips a bit of the journal where there is something.
fn rot(world: &World, site: &Arc<Site>) {
    let Ok(inspection) = site.disk.inspect() else { return };
    let files = site.disk.files();
    let (Some((file, length)), true) = (files.first(), inspection.bytes > 200) else { return };
    // The first file holds frames up to its end, or as far as the whole journal goes.
    let end = if files.len() > 1 { *length } else { inspection.bytes.min(*length) };
    let offset = world.fault_dice.between(64, end.saturating_sub(8).max(64));
    let bit = (world.fault_dice.next() % 8) as u8;
    if site.disk.flip_bit(file, offset, bit) {
        world.fault("bit flipped", || format!("{} {file} at {offset}", site.id));
        // Of the last frame nobody can tell whether it rotted or tore, unless the index knows of it.
        world.record().restored(world, site);
        world.record().rotten.insert(site.index);
    }
}

/// The disk of one node fails as the plan says.
fn fail_disk(world: &Arc<World>, site: &Arc<Site>) {
    let rates = world.plan.disks[site.index];
    let (weak, index) = (Arc::downgrade(world), site.index);
    site.disk.plan(FaultPlan::decide(move |operation| {
        let world = weak.upgrade()?;
        let (fault, name) = drawn(&world, rates, operation)?;
        let what = format!("{operation:?}");
        let what = what.split_whitespace().next().unwrap_or_default().to_owned();
        world.fault(name, || format!("{} {what}", world.sites[index].id));
        Some(fault)
    }));
}

fn drawn(world: &World, rates: DiskRates, operation: &Operation) -> Option<(Fault, &'static str)> {
    let dice = &world.fault_dice;
    if matches!(operation, Operation::Read { .. }) {
        return (rates.read_fails > 0 && dice.happens(rates.read_fails))
            .then_some((Fault::Fail, "EIO on read"));
    }
    let mut thrown = dice.below(1_000_000);
    let crash = || Crash { unsynced: Unsynced::Prefix(dice.below(3000) as usize), index_batches_lost: 0 };
    for (rate, fault, name) in [
        (rates.fail, Fault::Fail, "EIO"),
        (rates.fail_but_persist, Fault::FailButPersist, "EIO but persisted"),
        (rates.full, Fault::Full, "ENOSPC"),
        (rates.torn, Fault::Torn(thrown as usize % 700), "torn write"),
    ] {
        if thrown < rate {
            return Some((fault, name));
        }
        thrown -= rate;
    }
    (thrown < rates.power_cut).then(|| (Fault::PowerCut(crash()), "power cut in an operation"))
}

/// The operator of all nodes: ends stops that a forger caused, and wonders at others.
pub(super) async fn operate(world: Arc<World>) {
    loop {
        sleep(Duration::from_millis(1000)).await;
        for site in &world.sites {
            let Some(life) = site.life() else { continue };
            let snapshot = life.gateway.status();
            for log in snapshot.out.values().chain(snapshot.inbound.values()) {
                let Some(stopped) = &log.stopped else { continue };
                let channel = log.log.channel;
                let forged = channel.to == site.id && world.record().is_forged(site.index, channel.from);
                if !forged || !forger::is_forgery(stopped.code) {
                    world.violated(
                        "4 nothing stops unless somebody lied",
                        format!("{} stopped {channel}: {:?} {:?}", site.id, stopped.code, stopped.detail),
                    );
                    continue;
                }
                world.trace.event(("resumed", site.index), || format!("{} resumes {channel}", site.id));
                if life.gateway.resume(channel, "compared".to_owned()).await.is_ok() {
                    world.record().resumed += 1;
                }
            }
        }
    }
}
