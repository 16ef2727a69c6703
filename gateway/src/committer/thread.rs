//! The committer's own thread and its bounded queues: one for submissions, one for everything else, so
//! that a flood of the former leaves the latter its room. [`Queue`] says who goes first.

use super::queue::{Queue, is_submission};
use super::{Command, CommitError, Core};
use crate::limits::{COMMIT_COMMANDS_MAX, COMMITTER_QUEUE_MAX};
use crate::refusal::{Refusal, RefusalCode};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Sends commands to the committer.
#[derive(Debug, Clone)]
pub struct CommitterHandle {
    submissions: mpsc::Sender<Command>,
    owed: mpsc::Sender<Command>,
}

impl CommitterHandle {
    fn queue_of(&self, command: &Command) -> &mpsc::Sender<Command> {
        if is_submission(command) { &self.submissions } else { &self.owed }
    }

    /// Asks and waits for the durable answer. Does not wait for room in the queue.
    ///
    /// # Errors
    /// [`RefusalCode::Overloaded`] when the queue is full, [`RefusalCode::StoreUnknown`] when the
    /// committer stopped, or the command's own refusal.
    pub async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.offer(command(reply))?;
        answer.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
    }

    /// Queues a command whose answer the caller awaits elsewhere; does not wait for room.
    ///
    /// # Errors
    /// [`RefusalCode::Overloaded`] when the queue is full, [`RefusalCode::StoreUnknown`] when the
    /// committer stopped.
    pub fn offer(&self, command: Command) -> Result<(), Refusal> {
        self.queue_of(&command).try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::from(RefusalCode::Overloaded),
            mpsc::error::TrySendError::Closed(_) => Refusal::from(RefusalCode::StoreUnknown),
        })
    }

    /// As [`CommitterHandle::ask`], but waits for room: for links, whose credit bounds them.
    ///
    /// # Errors
    /// As there, without `Overloaded`.
    pub async fn ask_patiently<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.queue(command(reply)).await?;
        answer.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
    }

    /// Commands that wait in the queues.
    pub fn waiting(&self) -> usize {
        let of = |queue: &mpsc::Sender<Command>| queue.max_capacity() - queue.capacity();
        of(&self.submissions) + of(&self.owed)
    }

    /// Queues a command whose answer the caller awaits elsewhere; waits for room.
    ///
    /// # Errors
    /// [`RefusalCode::StoreUnknown`] when the committer stopped.
    pub async fn queue(&self, command: Command) -> Result<(), Refusal> {
        self.queue_of(&command).send(command).await.map_err(|_| RefusalCode::StoreUnknown.into())
    }
}

/// Gives the committer its thread. `stopped` hears why it ended; after an error the process must stop.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    mut core: Core,
    stopped: oneshot::Sender<Result<(), CommitError>>,
) -> std::io::Result<(CommitterHandle, JoinHandle<()>)> {
    let (handle, mut arriving) = queues();
    let weak = handle.owed.downgrade();
    core.land_beside(move || {
        // A full queue wakes the committer by itself, and a closed one has it wait for the landing.
        if let Some(owed) = weak.upgrade() {
            let _ = owed.try_send(Command::Landed);
        }
    })?;
    // Only waits: it has no clock, no sockets and no other thread.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let thread = std::thread::Builder::new().name("committer".into()).spawn(move || {
        let mut waiting = Queue::default();
        let mut run = || loop {
            while waiting.is_empty() && !core.has_backlog() {
                let open = arriving.take_over(&runtime, &mut waiting, true);
                // Also to see whether the last one landed well.
                core.is_landing()?;
                if !open {
                    core.wait_for_landing()?;
                    return core.flush();
                }
            }
            arriving.take_waiting(&mut waiting);
            core.commit_from(&mut waiting, &mut |waiting, wait| {
                arriving.take_over(&runtime, waiting, wait);
            })?;
        };
        let ended = run();
        let _ = stopped.send(ended);
    })?;
    Ok((handle, thread))
}

/// Both ends of the queues.
pub(super) fn queues() -> (CommitterHandle, Arriving) {
    let (submissions, submitted) = mpsc::channel(COMMITTER_QUEUE_MAX);
    let (owed, owing) = mpsc::channel(COMMITTER_QUEUE_MAX);
    (CommitterHandle { submissions, owed }, Arriving { submitted, owing })
}

/// The receiving ends.
pub(super) struct Arriving {
    submitted: mpsc::Receiver<Command>,
    owing: mpsc::Receiver<Command>,
}

impl Arriving {
    /// Moves what has arrived to what waits, as far as one commit may take of either: the rest is bounded
    /// where it is. Told to wait, it does so for a command, or for a commit that lands. Says whether
    /// anybody is left who could ask.
    fn take_over(&mut self, runtime: &tokio::runtime::Runtime, waiting: &mut Queue, wait: bool) -> bool {
        let open = !wait || runtime.block_on(self.take_next(waiting));
        self.take_waiting(waiting);
        open
    }

    /// Waits for a command or a landing. Says whether anybody is left who could ask.
    pub(super) async fn take_next(&mut self, waiting: &mut Queue) -> bool {
        let next = tokio::select! {
            biased;
            Some(command) = self.owing.recv() => Some(command),
            Some(command) = self.submitted.recv() => Some(command),
            else => None,
        };
        next.map(|command| push(waiting, command)).is_some()
    }

    /// Moves what has arrived to what waits.
    pub(super) fn take_waiting(&mut self, waiting: &mut Queue) {
        while waiting.len() - waiting.submissions() < COMMIT_COMMANDS_MAX
            && let Ok(command) = self.owing.try_recv()
        {
            push(waiting, command);
        }
        while waiting.submissions() < COMMIT_COMMANDS_MAX
            && let Ok(command) = self.submitted.try_recv()
        {
            push(waiting, command);
        }
    }
}

/// What only wakes is no command.
fn push(waiting: &mut Queue, command: Command) {
    if !matches!(command, Command::Landed) {
        waiting.push(command);
    }
}
