//! The watch: looks at the node every second, asks the signing key every ten, and counts the bytes of
//! the data folder every minute. What it finds is served as metrics and judged for alarms.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gateway::health::KeyState;
use gateway::health::alarm::{Notice, Severity};
use gateway::health::lag::Lag;
use gateway::id::NodeId;
use gateway::limits::{DISK_USE_MILLIS, KEY_ANSWER_MILLIS_MAX, KEY_PROBE_MILLIS, WATCH_MILLIS};
use gateway::signer::{Signer, SignerError};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{Observed, machine};

/// What the signing key is asked to sign: not a checkpoint, not a document, and the same as at its start.
const PROBE: &[u8] = b"tongban signing key check";

/// Watches until the returned set is dropped.
pub fn start(observed: &Arc<Observed>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(look(Arc::clone(observed)));
    tasks.spawn(ask_key(Arc::clone(observed)));
    tasks.spawn(count_bytes(Arc::clone(observed)));
    tasks
}

fn every(millis: u64) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_millis(millis));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn look(observed: Arc<Observed>) {
    let mut ticks = every(WATCH_MILLIS);
    let mut lags: HashMap<NodeId, Lag> = HashMap::new();
    loop {
        ticks.tick().await;
        let at = Arc::clone(&observed);
        let looked = tokio::task::spawn_blocking(move || {
            look_at_lags(&at, &mut lags);
            judge(&at);
            lags
        });
        match looked.await {
            Ok(looked) => lags = looked,
            Err(_) => return,
        }
    }
}

/// Since when the oldest entry to each peer waits. Reads the disk only about entries that waited already
/// when the node started.
fn look_at_lags(observed: &Observed, lags: &mut HashMap<NodeId, Lag>) {
    let Some(gateway) = observed.gateway() else { return };
    let now = observed.clock.now();
    let logs: Vec<(NodeId, u64, u64)> = gateway.look(|snapshot| {
        let sizes = snapshot.out.iter().map(|(peer, log)| {
            let receipted = log.cosigned.as_ref().map_or(0, |note| note.checkpoint().size);
            (*peer, log.size, receipted)
        });
        sizes.collect()
    });
    let waiting = logs.into_iter().filter_map(|(peer, size, receipted)| {
        let created = |entry| gateway.created(peer, entry).ok().flatten();
        let since = lags.entry(peer).or_default().look(size, receipted, now, created)?;
        Some((peer, since))
    });
    let waiting = waiting.collect();
    observed.found().waiting = waiting;
}

/// Judges alarms, logs what is new and passes it on.
pub fn judge(observed: &Observed) -> Vec<Notice> {
    let facts = observed.facts();
    let notices = observed.found().alarms.judge(&facts, observed.clock.now());
    for notice in &notices {
        let condition = &notice.condition;
        let (code, subject) = (condition.about.code, &condition.about.subject);
        let (outcome, severity, detail) =
            (notice.change.name(), condition.severity.name(), &condition.detail);
        match condition.severity {
            Severity::Critical => tracing::error!(%code, subject, outcome, severity, detail,
                fault = code.fault().name(), advice = code.en(), "alarm"),
            Severity::Warning => tracing::warn!(%code, subject, outcome, severity, detail,
                fault = code.fault().name(), advice = code.en(), "alarm"),
        }
        observed.couriers.send(observed.node, notice);
    }
    notices
}

async fn ask_key(observed: Arc<Observed>) {
    let mut ticks = every(KEY_PROBE_MILLIS);
    loop {
        ticks.tick().await;
        probe_key(&observed, Duration::from_millis(KEY_ANSWER_MILLIS_MAX)).await;
    }
}

/// Asks the key once, and ends when it has answered: a device that hangs must not take a thread with
/// each probe. After `patience` the key counts as silent.
pub(super) async fn probe_key(observed: &Observed, patience: Duration) {
    let asked = ask(&observed.signer());
    tokio::pin!(asked);
    let signs = match tokio::time::timeout(patience, &mut asked).await {
        Ok(signs) => signs,
        Err(_) => {
            observed.key_was(KeyState::Silent);
            asked.await
        }
    };
    observed.key_was(if signs { KeyState::Signs } else { KeyState::Silent });
}

/// Whether the key signs; a provider that panics does not.
fn ask(signer: &Arc<dyn Signer>) -> impl Future<Output = bool> + use<> {
    let signer = Arc::clone(signer);
    let asked = tokio::task::spawn_blocking(move || -> Result<bool, SignerError> {
        let signature = signer.sign(PROBE)?;
        Ok(signer.public_key().verifies(PROBE, &signature))
    });
    async move { matches!(asked.await, Ok(Ok(true))) }
}

async fn count_bytes(observed: Arc<Observed>) {
    // The first count that matters is that of an open store.
    let mut looks = every(WATCH_MILLIS);
    while observed.gateway().is_none() {
        looks.tick().await;
    }
    let mut ticks = every(DISK_USE_MILLIS);
    loop {
        ticks.tick().await;
        let dir = observed.data_dir.clone();
        if let Ok(bytes) = tokio::task::spawn_blocking(move || machine::store_bytes(&dir)).await {
            observed.found().store = Some(bytes);
        }
    }
}
