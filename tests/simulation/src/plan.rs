//! What one seed is: how many nodes, who knows whom, and which misfortunes at which rates. Each seed draws
//! its own mixture, and leaves most kinds out: faults that always come together hide each other.

use super::dice::Dice;
use super::network::Weather;
use std::collections::BTreeSet;

/// Something that goes wrong at times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Misfortune {
    Crash,
    Partition,
    Cut,
    Slowness,
    DiskFull,
    Backup,
    Rot,
    ClockJump,
    RotateTls,
    RevokeTls,
    RotateSigning,
    RevokeSigning,
    Suspend,
    ForgedFork,
}

impl Misfortune {
    /// All of them, and how many seeds in a hundred have each.
    const SHARES: [(Self, u64); 14] = [
        (Self::Crash, 80),
        (Self::Partition, 60),
        (Self::Cut, 60),
        (Self::Slowness, 30),
        (Self::DiskFull, 25),
        (Self::Backup, 30),
        (Self::Rot, 15),
        (Self::ClockJump, 30),
        (Self::RotateTls, 30),
        (Self::RevokeTls, 25),
        (Self::RotateSigning, 25),
        (Self::RevokeSigning, 20),
        (Self::Suspend, 20),
        (Self::ForgedFork, 15),
    ];
}

/// How often the disk of a node fails, operations in a million.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiskRates {
    pub(super) fail: u64,
    pub(super) fail_but_persist: u64,
    pub(super) full: u64,
    pub(super) torn: u64,
    pub(super) power_cut: u64,
    pub(super) read_fails: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    /// Who knows whom, the lower first.
    pub(super) edges: BTreeSet<(usize, usize)>,
    /// Pairs in which only one side may dial: that side.
    only_dialler: BTreeSet<(usize, usize)>,
    pub(super) weather: Weather,
    pub(super) misfortunes: Vec<(Misfortune, u64)>,
    pub(super) disks: Vec<DiskRates>,
    pub(super) disk_micros: (u64, u64),
    pub(super) index_deletions: bool,
    /// How far each clock is off at the start, ms.
    pub(super) skews: Vec<i64>,
    /// The pair whose agreement ends in the middle, and when, ms after the start.
    pub(super) ends: Option<((usize, usize), u64)>,
    /// The only node whose disk may rot or be replaced by a backup: its partners keep what it loses.
    pub(super) victim: usize,
    /// Between two new cases at one window, ms.
    pub(super) window_millis: (u64, u64),
}

impl Plan {
    /// The plan of a seed. `millis`: how long it runs before all faults end.
    pub(super) fn draw(seed: u64, millis: u64) -> Self {
        let dice = Dice::new(seed, "plan");
        let nodes = dice.between(3, 7) as usize;
        let mut edges = BTreeSet::new();
        for node in 1..nodes {
            edges.insert((dice.below(node as u64) as usize, node));
        }
        for _ in 0..dice.below(nodes as u64) {
            let (one, other) = (dice.below(nodes as u64) as usize, dice.below(nodes as u64) as usize);
            if one != other {
                edges.insert((one.min(other), one.max(other)));
            }
        }
        let mut only_dialler = BTreeSet::new();
        for (one, other) in &edges {
            match dice.below(4) {
                0 => only_dialler.insert((*one, *other)),
                1 => only_dialler.insert((*other, *one)),
                _ => false,
            };
        }
        let rate = |share: u64, most: u64| if dice.below(100) < share { dice.between(1, most) } else { 0 };
        let slow = dice.below(100) < 30;
        let least = dice.between(0, 5);
        let weather = Weather {
            latency: (least, least + if slow { dice.between(20, 400) } else { dice.between(1, 20) }),
            twice: rate(20, 3_000),
            lost: rate(20, 3_000),
            swapped: rate(20, 3_000),
        };
        let mut misfortunes = Vec::new();
        for (misfortune, share) in Misfortune::SHARES {
            if dice.below(100) < share {
                misfortunes.push((misfortune, dice.between(millis / 20, millis / 3)));
            }
        }
        let failing = dice.below(100) < 50;
        let disk = |_| match failing && dice.below(2) == 0 {
            true => DiskRates {
                fail: rate(40, 3_000),
                fail_but_persist: rate(40, 3_000),
                full: rate(30, 3_000),
                torn: rate(40, 3_000),
                power_cut: rate(40, 3_000),
                read_fails: rate(20, 300),
            },
            false => DiskRates::default(),
        };
        let disks = (0..nodes).map(disk).collect();
        let skewed = dice.below(100) < 40;
        let skew = |_| if skewed { dice.between(0, 160_000) as i64 - 80_000 } else { 0 };
        let edge = |dice: &Dice| *dice.pick(&edges.iter().copied().collect::<Vec<_>>());
        let ends = (dice.below(100) < 25).then(|| (edge(&dice), dice.between(millis / 4, millis * 3 / 4)));
        let busy = dice.between(150, 1_500);
        Self {
            nodes,
            only_dialler,
            weather,
            misfortunes,
            disks,
            disk_micros: (50, dice.between(100, 15_000)),
            index_deletions: dice.below(100) < 30,
            skews: (0..nodes).map(skew).collect(),
            ends,
            victim: dice.below(nodes as u64) as usize,
            window_millis: (busy, busy * 4),
            edges,
        }
    }

    pub(super) fn peers(&self, node: usize) -> Vec<usize> {
        let other = |(one, other): &(usize, usize)| match node {
            node if node == *one => Some(*other),
            node if node == *other => Some(*one),
            _ => None,
        };
        self.edges.iter().filter_map(other).collect()
    }

    /// Whether a node dials another.
    pub(super) fn dials(&self, from: usize, to: usize) -> bool {
        !self.only_dialler.contains(&(to, from))
    }
}
