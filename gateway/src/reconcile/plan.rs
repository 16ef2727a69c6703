//! Compares two nodes' totals. Pure: totals in, findings out.

use crate::id::ChannelId;
use crate::suite::Hash;
use std::collections::{BTreeMap, BTreeSet};

/// One node's totals of one log at a cut-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTotals {
    /// The cut-off: entries that root and counts speak of.
    pub size: u64,
    /// Entries of the whole copy.
    pub held: u64,
    /// Root at the cut-off.
    pub root: Hash,
    /// Entries by kind below the cut-off.
    pub by_kind: BTreeMap<String, u64>,
}

/// One count on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is counted.
    pub name: String,
    /// Here.
    pub here: u64,
    /// There.
    pub there: u64,
}

/// One log compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogComparison {
    /// The channel.
    pub channel: ChannelId,
    /// The cut-off.
    pub size: u64,
    /// Root here.
    pub root_here: Hash,
    /// Root there.
    pub root_there: Hash,
    /// Entries by kind.
    pub kinds: Vec<Pair>,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Both logs.
    pub logs: Vec<LogComparison>,
    /// Cases by state.
    pub states: Vec<Pair>,
    /// What does not agree: a stable code and its place.
    pub breaks: Vec<String>,
    /// Entries beyond the cut-off exist on a side: states were not held against each other.
    pub in_flight: bool,
}

impl Comparison {
    /// Whether everything that was compared agrees.
    pub fn balanced(&self) -> bool {
        self.breaks.is_empty()
    }
}

/// Compares the two logs of a pair of nodes: `logs` has channel, totals here, totals there.
pub fn compare(
    logs: [(ChannelId, LogTotals, LogTotals); 2],
    states_here: BTreeMap<String, u64>,
    states_there: BTreeMap<String, u64>,
) -> Comparison {
    let mut breaks = Vec::new();
    let mut in_flight = false;
    let mut compared = Vec::new();
    for (channel, here, there) in logs {
        if here.size != there.size {
            breaks.push(format!("reconcile.cut_off {channel}: {} / {}", here.size, there.size));
        } else if here.root != there.root {
            breaks.push(format!("reconcile.root {channel} at {}", here.size));
        }
        let kinds = pairs(here.by_kind, there.by_kind);
        for pair in kinds.iter().filter(|pair| pair.here != pair.there) {
            breaks.push(format!("reconcile.kind {channel} {}: {} / {}", pair.name, pair.here, pair.there));
        }
        in_flight |= here.held != there.held || here.held != here.size;
        compared.push(LogComparison {
            channel,
            size: here.size,
            root_here: here.root,
            root_there: there.root,
            kinds,
        });
    }
    let states = pairs(states_here, states_there);
    if !in_flight {
        for pair in states.iter().filter(|pair| pair.here != pair.there) {
            breaks.push(format!("reconcile.state {}: {} / {}", pair.name, pair.here, pair.there));
        }
    }
    Comparison { logs: compared, states, breaks, in_flight }
}

fn pairs(here: BTreeMap<String, u64>, there: BTreeMap<String, u64>) -> Vec<Pair> {
    let names: BTreeSet<String> = here.keys().chain(there.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| {
            let count = |counts: &BTreeMap<String, u64>| counts.get(&name).copied().unwrap_or(0);
            let (here, there) = (count(&here), count(&there));
            Pair { name, here, there }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(size: u64) -> LogTotals {
        let by_kind = BTreeMap::from([("case.forward".to_owned(), size)]);
        LogTotals { size, held: size, root: [size as u8; 32], by_kind }
    }

    fn logs(here: LogTotals, there: LogTotals) -> [(ChannelId, LogTotals, LogTotals); 2] {
        let channel: ChannelId = "430600>421200".parse().unwrap();
        [(channel, here, there), (channel.reverse(), totals(2), totals(2))]
    }

    fn states(closed: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("closed".to_owned(), closed)])
    }

    #[test]
    fn equal_copies_balance() {
        let comparison = compare(logs(totals(3), totals(3)), states(1), states(1));
        assert!(comparison.balanced() && !comparison.in_flight);
    }

    #[test]
    fn another_root_is_a_break() {
        let there = LogTotals { root: [9; 32], ..totals(3) };
        let comparison = compare(logs(totals(3), there), states(1), states(1));
        assert_eq!(comparison.breaks, ["reconcile.root 430600→421200 at 3"]);
    }

    #[test]
    fn another_count_of_a_kind_is_a_break() {
        let mut there = totals(3);
        there.by_kind.insert("case.rate".into(), 1);
        let comparison = compare(logs(totals(3), there), states(1), states(1));
        assert_eq!(comparison.breaks, ["reconcile.kind 430600→421200 case.rate: 0 / 1"]);
    }

    #[test]
    fn states_are_a_break_only_when_nothing_is_in_flight() {
        let comparison = compare(logs(totals(3), totals(3)), states(1), states(2));
        assert_eq!(comparison.breaks, ["reconcile.state closed: 1 / 2"]);
        let there = LogTotals { held: 4, ..totals(3) };
        let comparison = compare(logs(totals(3), there), states(1), states(2));
        assert!(comparison.balanced() && comparison.in_flight);
    }
}
