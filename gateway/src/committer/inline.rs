//! The committer without threads: one task of the runtime, for a simulator. Between the write of a commit
//! and its sync, and before each commit, it waits as long as the simulated disk takes; a task that is
//! dropped there is a process that died there.
//!
//! The queues and what one commit takes of them are those of [`spawn`](super::spawn).

use super::landing::Beside;
use super::thread::{Arriving, CommitterHandle, queues};
use super::{CommitError, Core, Queue};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long the disk takes for what is asked of it next.
pub type Pace = Box<dyn FnMut() -> Duration + Send>;

/// Gives the committer a task of the current runtime. `stopped` hears why it ended; after an error, and
/// when the task is aborted, the simulated process must stop.
pub fn spawn_inline(
    mut core: Core,
    mut pace: Pace,
    stopped: oneshot::Sender<Result<(), CommitError>>,
) -> (CommitterHandle, JoinHandle<()>) {
    let (handle, mut arriving) = queues();
    core.land_later();
    let task = tokio::spawn(async move {
        let ended = run(&mut core, &mut arriving, &mut pace).await;
        // Whoever waits for a change hears that none follows, as when a thread ends.
        drop(core);
        let _ = stopped.send(ended);
    });
    (handle, task)
}

async fn run(core: &mut Core, arriving: &mut Arriving, pace: &mut Pace) -> Result<(), CommitError> {
    let mut waiting = Queue::default();
    loop {
        while waiting.is_empty() && !core.has_backlog() {
            if core.is_landing()? {
                pause(pace).await;
                // What came meanwhile may be judged before this one has landed.
                arriving.take_waiting(&mut waiting);
                if waiting.is_empty() {
                    core.wait_for_landing()?;
                }
                continue;
            }
            if !arriving.take_next(&mut waiting).await {
                return core.flush();
            }
        }
        pause(pace).await;
        arriving.take_waiting(&mut waiting);
        core.commit_from(&mut waiting, &mut |waiting, _| arriving.take_waiting(waiting))?;
    }
}

async fn pause(pace: &mut Pace) {
    tokio::time::sleep(pace()).await;
}

impl Core {
    /// Commits land later on this thread, when the next one is written or [`Core::wait_for_landing`] says.
    fn land_later(&mut self) {
        self.beside = Some(Beside::later(std::sync::Arc::clone(&self.landing)));
    }
}
