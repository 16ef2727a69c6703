//! What happened, as one number and, when a seed is told again, as lines.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use tokio::time::Instant;

/// Lines that are kept of a run that is told.
const LINES_MAX: usize = 200_000;

/// The hash over all events, with their virtual times, and their lines when they are wanted.
pub(super) struct Trace {
    start: Instant,
    inner: Mutex<Inner>,
    tells: bool,
}

struct Inner {
    // Its keys are constant: the same events are the same number in every process.
    hash: DefaultHasher,
    events: u64,
    lines: Vec<String>,
}

impl Trace {
    pub(super) fn new(start: Instant, tells: bool) -> Self {
        let inner = Inner { hash: DefaultHasher::new(), events: 0, lines: Vec::new() };
        Self { start, inner: Mutex::new(inner), tells }
    }

    /// Virtual ms since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Something happened. `line` is only asked for when the run is told.
    pub(super) fn event(&self, what: impl Hash, line: impl FnOnce() -> String) {
        let at = self.now();
        let mut inner = self.inner.lock().expect("no holder of the trace panics");
        at.hash(&mut inner.hash);
        what.hash(&mut inner.hash);
        inner.events += 1;
        if self.tells && inner.lines.len() < LINES_MAX {
            inner.lines.push(format!("{:>6}.{:03}  {}", at / 1000, at % 1000, line()));
        }
    }

    /// Something that a line tells whole happened.
    pub(super) fn tell(&self, line: &str) {
        self.event(line, || line.to_owned());
    }

    /// The number of events, the hash over all of them, and their lines.
    pub(super) fn finish(&self) -> (u64, u64, Vec<String>) {
        let mut inner = self.inner.lock().expect("no holder of the trace panics");
        (inner.events, inner.hash.finish(), std::mem::take(&mut inner.lines))
    }
}
