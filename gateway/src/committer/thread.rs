//! The committer's own thread and its bounded queues: one for submissions, one for everything else, so
//! that a flood of the former leaves the latter its room. [`Lanes`] says who goes first.

use super::lanes::{Lane, Lanes};
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
        match Lane::of(command) {
            Lane::Submit => &self.submissions,
            Lane::Finish | Lane::Receive | Lane::Last => &self.owed,
        }
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
pub fn spawn(
    mut core: Core,
    stopped: oneshot::Sender<Result<(), CommitError>>,
) -> std::io::Result<(CommitterHandle, JoinHandle<()>)> {
    let (submissions, submitted) = mpsc::channel(COMMITTER_QUEUE_MAX);
    let (owed, owing) = mpsc::channel(COMMITTER_QUEUE_MAX);
    // Only waits: it has no clock, no sockets and no other thread.
    let waiting = tokio::runtime::Builder::new_current_thread().build()?;
    let mut queues = Queues { submitted, owing, waiting };
    let thread = std::thread::Builder::new().name("committer".into()).spawn(move || {
        let mut lanes = Lanes::default();
        let ended = loop {
            if lanes.is_empty() && !core.has_backlog() {
                let Some(command) = queues.next() else { break core.flush() };
                lanes.push(command);
            }
            // Whatever arrived while the last commit was on its way to the disk is the next one.
            queues.take_over(&mut lanes);
            if let Err(error) = core.commit(&mut lanes) {
                break Err(error);
            }
        };
        let _ = stopped.send(ended);
    })?;
    Ok((CommitterHandle { submissions, owed }, thread))
}

/// The receiving ends.
struct Queues {
    submitted: mpsc::Receiver<Command>,
    owing: mpsc::Receiver<Command>,
    waiting: tokio::runtime::Runtime,
}

impl Queues {
    /// Waits for a command; nothing when nobody is left who could ask.
    fn next(&mut self) -> Option<Command> {
        self.waiting.block_on(async {
            tokio::select! {
                biased;
                Some(command) = self.owing.recv() => Some(command),
                Some(command) = self.submitted.recv() => Some(command),
                else => None,
            }
        })
    }

    /// Moves what waits into its lanes, as far as one commit may take of each queue: the rest is bounded
    /// where it is.
    fn take_over(&mut self, lanes: &mut Lanes) {
        while lanes.owed() < COMMIT_COMMANDS_MAX {
            let Ok(command) = self.owing.try_recv() else { break };
            lanes.push(command);
        }
        while lanes.submissions() < COMMIT_COMMANDS_MAX {
            let Ok(command) = self.submitted.try_recv() else { break };
            lanes.push(command);
        }
    }
}
