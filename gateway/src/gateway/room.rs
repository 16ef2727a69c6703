//! Room for submissions, asked for before anything of them is read: in this node's memory, and in the log
//! to their partner. Who finds none hears when to come back; a stream, whose sender can be kept waiting,
//! waits a little first.

use super::Gateway;
use crate::committer::bells::Topic;
use crate::id::NodeId;
use crate::limits::{SUBMITTING_BYTES_MAX, SUBMITTING_ENTRIES_MAX};
use crate::overload::hints::Hints;
use crate::overload::pace::{Onward, Pace};
use crate::refusal::{Refusal, RefusalCode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::{Instant, timeout_at};

/// Room in memory for some submissions, until this is gone.
#[derive(Debug)]
pub struct Room {
    _bytes: OwnedSemaphorePermit,
    _entries: OwnedSemaphorePermit,
}

/// Who is let in.
#[derive(Debug)]
pub(super) struct Doors {
    /// Payload bytes that may still be submitted before something was answered.
    bytes: Arc<Semaphore>,
    /// As many submissions.
    entries: Arc<Semaphore>,
    own: Mutex<Hints>,
    partners: Mutex<BTreeMap<NodeId, (Pace, Hints)>>,
}

impl Doors {
    pub(super) fn new() -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(SUBMITTING_BYTES_MAX)),
            entries: Arc::new(Semaphore::new(SUBMITTING_ENTRIES_MAX)),
            own: Mutex::default(),
            partners: Mutex::default(),
        }
    }

    fn partners(&self) -> MutexGuard<'_, BTreeMap<NodeId, (Pace, Hints)>> {
        self.partners.lock().expect("no holder of the paces panics")
    }

    fn own(&self) -> MutexGuard<'_, Hints> {
        self.own.lock().expect("no holder of the line panics")
    }

    /// Room if there is some now.
    fn try_room(&self, submissions: usize, bytes: usize) -> Result<Room, TryAcquireError> {
        let [submissions, bytes] = [submissions, bytes].map(permits);
        let entries = Arc::clone(&self.entries).try_acquire_many_owned(submissions)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes)?;
        Ok(Room { _bytes: bytes, _entries: entries })
    }

    /// Room as soon as there is some, in the order of asking.
    async fn wait_for_room(&self, submissions: usize, bytes: usize) -> Room {
        let [submissions, bytes] = [submissions, bytes].map(permits);
        let acquire = async |of: &Arc<Semaphore>, count| {
            Arc::clone(of).acquire_many_owned(count).await.expect("the doors are never shut for good")
        };
        let entries = acquire(&self.entries, submissions).await;
        Room { _bytes: acquire(&self.bytes, bytes).await, _entries: entries }
    }
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Gateway {
    /// Room for some submissions with so many payload bytes together, of a caller who waits for it at
    /// most that long. More than a batch may hold never finds room.
    ///
    /// # Errors
    /// [`RefusalCode::Overloaded`] with the time to wait.
    pub async fn room(&self, submissions: usize, bytes: usize, patience: Duration) -> Result<Room, Refusal> {
        let doors = &self.0.doors;
        let room = match doors.try_room(submissions, bytes) {
            Ok(room) => Some(room),
            Err(_) if patience.is_zero() => None,
            Err(_) => tokio::time::timeout(patience, doors.wait_for_room(submissions, bytes)).await.ok(),
        };
        room.ok_or_else(|| {
            let wait = doors.own().wait(self.0.clock.now(), submissions as u64);
            Refusal::retry_after(RefusalCode::Overloaded, wait, "submissions wait")
        })
    }

    /// Whether the log to a partner has room for some more entries, for a caller who waits for it at most
    /// that long. A partner that this node does not know is refused later, by name.
    ///
    /// # Errors
    /// [`RefusalCode::Backlog`] with the time to wait.
    pub async fn keeps_pace(
        &self,
        to: NodeId,
        submissions: usize,
        patience: Duration,
    ) -> Result<(), Refusal> {
        let Err(onward) = self.may_go_on(to) else { return Ok(()) };
        if patience.is_zero() {
            return Err(self.tell_to_wait(to, submissions, onward));
        }
        let deadline = Instant::now() + patience;
        let listener = self.listen([Topic::Peer(to)]);
        loop {
            let Err(onward) = self.may_go_on(to) else { return Ok(()) };
            match timeout_at(deadline, listener.rung()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => {
                    return Err(self.tell_to_wait(to, submissions, onward));
                }
            }
        }
    }

    /// Whether the log to a partner may grow now; if not, how long it is.
    fn may_go_on(&self, to: NodeId) -> Result<(), Onward> {
        let linked = self.0.links.is_live(to);
        let onward = self.look(|snapshot| {
            let out = snapshot.out.get(&to)?;
            let receipted = out.cosigned.as_ref().map_or(0, |note| note.checkpoint().size);
            Some(Onward { linked, size: out.size, receipted })
        });
        let Some(onward) = onward else { return Ok(()) };
        let mut partners = self.0.doors.partners();
        let (pace, _) = partners.entry(to).or_default();
        let free;
        (*pace, free) = pace.at(onward);
        if free { Ok(()) } else { Err(onward) }
    }

    fn tell_to_wait(&self, to: NodeId, submissions: usize, onward: Onward) -> Refusal {
        let now = self.0.clock.now();
        let wait = self.0.doors.partners().entry(to).or_default().1.wait(now, submissions as u64);
        let detail = format!("node={to} waiting={}", onward.waiting());
        Refusal::retry_after(RefusalCode::Backlog, wait, &detail)
    }

    /// So many submissions to a partner were taken: lines move on.
    pub(super) fn tell_taken(&self, to: NodeId, submissions: u64) {
        let now = self.0.clock.now();
        self.0.doors.own().took(now, submissions);
        self.0.doors.partners().entry(to).or_default().1.took(now, submissions);
    }
}
