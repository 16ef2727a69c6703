//! What the hot path tells about itself: counters and histograms of atomics, read by whoever serves
//! metrics. One struct, shared by the committer, the links and the transport; every call is a few
//! relaxed additions, without a lock or an allocation, and none of them is made once an entry.
//!
//! Nothing here knows Prometheus: names, labels and text are the node's.

use crate::id::NodeId;
use crate::refusal::RefusalCode;
use crate::time::UnixMillis;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Upper bounds of times, µs: from a tenth of a fast disk's sync to what an operator calls a hang.
pub const TIME_BOUNDS_MICROS: &[u64] = &[
    50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 20_000, 50_000, 100_000,
    200_000, 500_000, 1_000_000, 5_000_000,
];
/// Upper bounds of sizes, entries: up to a full batch each way.
pub const SIZE_BOUNDS_ENTRIES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192];
const BOUNDS_MAX: usize = 20;

const _: () = assert!(TIME_BOUNDS_MICROS.len() <= BOUNDS_MAX && SIZE_BOUNDS_ENTRIES.len() <= BOUNDS_MAX);

/// Counts values below fixed bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and the last in use for what is above all of them.
    buckets: [AtomicU64; BOUNDS_MAX + 1],
    sum: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramReading {
    /// Each bound with the number of values above the one before and not above it.
    pub buckets: Vec<(u64, u64)>,
    /// Values above all bounds.
    pub above: u64,
    /// All values added up.
    pub sum: u64,
}

impl HistogramReading {
    /// Values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum::<u64>() + self.above
    }
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, buckets: [const { AtomicU64::new(0) }; BOUNDS_MAX + 1], sum: AtomicU64::new(0) }
    }

    /// Counts one value.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What it holds. Values that are counted meanwhile may be in the buckets and not yet in the sum.
    pub fn read(&self) -> HistogramReading {
        let count = |bucket: usize| self.buckets[bucket].load(Ordering::Relaxed);
        HistogramReading {
            buckets: self.bounds.iter().enumerate().map(|(place, bound)| (*bound, count(place))).collect(),
            above: count(self.bounds.len()),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// A count for each refusal code, and one for codes of a later release.
#[derive(Debug)]
pub struct RefusalCounts {
    known: Vec<AtomicU64>,
    other: AtomicU64,
}

impl RefusalCounts {
    fn new() -> Self {
        Self { known: RefusalCode::ALL.iter().map(|_| AtomicU64::new(0)).collect(), other: AtomicU64::new(0) }
    }

    /// Counts one refusal; `None`: its code is of another release.
    pub fn count(&self, code: Option<RefusalCode>) {
        self.counter(code).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts several refusals with one code.
    pub fn add(&self, code: RefusalCode, refusals: u64) {
        self.counter(Some(code)).fetch_add(refusals, Ordering::Relaxed);
    }

    fn counter(&self, code: Option<RefusalCode>) -> &AtomicU64 {
        // The table lists its codes in the order in which they are declared.
        code.and_then(|code| self.known.get(code as usize)).unwrap_or(&self.other)
    }

    /// Each code with its count, and last those of other releases.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        let known = RefusalCode::ALL.iter().zip(&self.known);
        known
            .map(|(code, count)| (code.code(), count))
            .chain([("other", &self.other)])
            .map(|(code, count)| (code, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// How long something takes, by the runtime's monotonic clock: the machine's, or a simulator's.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start, µs.
    pub fn micros(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Which side of a connection this node was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The peer dialled.
    Accepted,
    /// This node dialled.
    Dialled,
}

impl Side {
    /// `accepted` or `dialled`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Dialled => "dialled",
        }
    }
}

/// A peer showed entries that bear this node's signature and that it does not remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unremembered {
    /// Entries here.
    pub here: u64,
    /// Entries there.
    pub there: u64,
    /// When it was found.
    pub at: UnixMillis,
}

/// Everything that is measured inside the core.
#[derive(Debug)]
pub struct Measures {
    born: Instant,
    /// From the first command of a commit to its place in the index, µs.
    pub commit_micros: Histogram,
    /// Each sync of the journal, µs.
    pub sync_micros: Histogram,
    /// Entries of each commit, both directions.
    pub commit_entries: Histogram,
    /// Entries of each batch sent.
    pub batch_sent_entries: Histogram,
    /// Batches of one log that were on their way without a receipt when one more was sent, that one
    /// included.
    pub batches_in_flight: Histogram,
    /// Entries of each batch received.
    pub batch_received_entries: Histogram,
    /// Entries of peers that were refused here.
    pub refused_given: RefusalCounts,
    /// Own entries that peers refused.
    pub refused_received: RefusalCounts,
    /// Submissions that were not taken.
    pub refused_submissions: RefusalCounts,
    /// Links that ended, by why.
    pub link_ends: RefusalCounts,
    /// Links that opened.
    pub links_opened: AtomicU64,
    /// Bytes of blobs that came from peers.
    pub blob_bytes_fetched: AtomicU64,
    /// Bytes of blobs that peers were given.
    pub blob_bytes_served: AtomicU64,
    /// Bytes of files that own business systems uploaded, those included that were here already.
    pub blob_bytes_uploaded: AtomicU64,
    /// The last commit found no room on the disk.
    pub disk_full: AtomicBool,
    /// The own TLS chain in use for new connections, DER, leaf first; empty: none yet.
    tls_chain: Mutex<Arc<Vec<Vec<u8>>>>,
    refused_material: Mutex<BTreeMap<&'static str, &'static str>>,
    /// When the commit that is being made began, ms after `born`, plus one; 0: none is.
    commit_began: AtomicU64,
    landing_began: AtomicU64,
    /// Handshakes that failed. Codes are constants of this program, so they are few.
    handshakes: Mutex<BTreeMap<(Side, &'static str), u64>>,
    /// One for each peer at most.
    unremembered: Mutex<BTreeMap<NodeId, Unremembered>>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            commit_micros: Histogram::new(TIME_BOUNDS_MICROS),
            sync_micros: Histogram::new(TIME_BOUNDS_MICROS),
            commit_entries: Histogram::new(SIZE_BOUNDS_ENTRIES),
            batch_sent_entries: Histogram::new(SIZE_BOUNDS_ENTRIES),
            batches_in_flight: Histogram::new(SIZE_BOUNDS_ENTRIES),
            batch_received_entries: Histogram::new(SIZE_BOUNDS_ENTRIES),
            refused_given: RefusalCounts::new(),
            refused_received: RefusalCounts::new(),
            refused_submissions: RefusalCounts::new(),
            link_ends: RefusalCounts::new(),
            links_opened: AtomicU64::new(0),
            blob_bytes_fetched: AtomicU64::new(0),
            blob_bytes_served: AtomicU64::new(0),
            blob_bytes_uploaded: AtomicU64::new(0),
            disk_full: AtomicBool::new(false),
            tls_chain: Mutex::default(),
            refused_material: Mutex::default(),
            commit_began: AtomicU64::new(0),
            landing_began: AtomicU64::new(0),
            handshakes: Mutex::default(),
            unremembered: Mutex::default(),
        }
    }
}

impl Measures {
    /// A commit begins.
    pub fn commit_begins(&self) -> Stopwatch {
        self.commit_began.store(self.millis() + 1, Ordering::Relaxed);
        Stopwatch::start()
    }

    /// A commit goes to the disk while the next one is judged.
    pub fn landing_begins(&self) {
        self.landing_began.store(self.millis() + 1, Ordering::Relaxed);
    }

    /// It is over, whatever became of it.
    pub fn landing_ends(&self) {
        self.landing_began.store(0, Ordering::Relaxed);
    }

    /// Since this was made.
    fn millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// A commit is durable and indexed.
    pub fn committed(&self, began: Stopwatch, entries: u64) {
        self.commit_micros.observe(began.micros());
        self.commit_entries.observe(entries);
    }

    /// A commit is over, whatever became of it.
    pub fn commit_ends(&self) {
        self.commit_began.store(0, Ordering::Relaxed);
    }

    /// For how long the commit that is being made has been going on, ms; `None`: none is.
    pub fn commit_millis(&self) -> Option<u64> {
        let began = [&self.commit_began, &self.landing_began].map(|began| began.load(Ordering::Relaxed));
        let oldest = began.into_iter().filter(|began| *began > 0).min()?;
        Some(self.millis().saturating_sub(oldest - 1))
    }

    /// A handshake failed; `code` is a constant of this program.
    pub fn handshake_failed(&self, side: Side, code: &'static str) {
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        *handshakes.entry((side, code)).or_default() += 1;
    }

    /// Failed handshakes by side and code.
    pub fn handshakes_failed(&self) -> Vec<(Side, &'static str, u64)> {
        let handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        handshakes.iter().map(|((side, code), count)| (*side, *code, *count)).collect()
    }

    /// New connections use this TLS chain from now on.
    pub fn uses_tls_chain(&self, chain: &[Vec<u8>]) {
        *self.tls_chain.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(chain.to_vec());
    }

    /// The TLS chain in use, DER, leaf first; empty before the node connects.
    pub fn tls_chain(&self) -> Arc<Vec<Vec<u8>>> {
        Arc::clone(&self.tls_chain.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// New files for `which` (`trust` or `tls`) were refused with a code of [`certs::TrustError`], or taken.
    pub fn material_refused(&self, which: &'static str, code: Option<&'static str>) {
        let mut refused = self.refused_material.lock().unwrap_or_else(PoisonError::into_inner);
        match code {
            Some(code) => refused.insert(which, code),
            None => refused.remove(which),
        };
    }

    /// Which files are refused now, and with what code.
    pub fn refused_material(&self) -> Vec<(&'static str, &'static str)> {
        let refused = self.refused_material.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(which, code)| (*which, *code)).collect()
    }

    /// A peer holds signed entries that this node does not remember.
    pub fn found_unremembered(&self, peer: NodeId, found: Unremembered) {
        self.unremembered.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, found);
    }

    /// The newest such finding of each peer since the start.
    pub fn unremembered(&self) -> Vec<(NodeId, Unremembered)> {
        let unremembered = self.unremembered.lock().unwrap_or_else(PoisonError::into_inner);
        unremembered.iter().map(|(peer, found)| (*peer, *found)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_below_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(SIZE_BOUNDS_ENTRIES);
        for value in [0, 1, 2, 3, 8_192, 8_193, 1 << 40] {
            histogram.observe(value);
        }
        let reading = histogram.read();
        assert_eq!(reading.buckets[0], (1, 2), "0 and 1");
        assert_eq!(reading.buckets[1], (2, 1));
        assert_eq!(reading.buckets[2], (4, 1), "3");
        assert_eq!(reading.buckets.last(), Some(&(8_192, 1)));
        assert_eq!(reading.above, 2);
        assert_eq!(reading.count(), 7);
        assert_eq!(reading.sum, 6 + 8_192 + 8_193 + (1 << 40));
    }

    #[test]
    fn every_code_has_its_own_counter() {
        let counts = RefusalCounts::new();
        for code in RefusalCode::ALL {
            counts.count(Some(*code));
        }
        counts.count(None);
        counts.count(Some(RefusalCode::BadRequest));
        for (code, count) in counts.read() {
            let expected = if code == RefusalCode::BadRequest.code() { 2 } else { 1 };
            assert_eq!(count, expected, "{code}");
        }
    }

    #[test]
    fn a_commit_that_goes_on_is_seen_and_one_that_is_over_is_not() {
        let measures = Measures::default();
        assert_eq!(measures.commit_millis(), None);
        let began = measures.commit_begins();
        assert!(measures.commit_millis().is_some());
        measures.committed(began, 3);
        measures.commit_ends();
        assert_eq!(measures.commit_millis(), None);
        assert_eq!(measures.commit_entries.read().sum, 3);
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [TIME_BOUNDS_MICROS, SIZE_BOUNDS_ENTRIES] {
            assert!(bounds.is_sorted_by(|one, other| one < other));
        }
    }
}
