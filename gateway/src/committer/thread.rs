//! The committer's own thread and its bounded queue.

use super::{Command, CommitError, Core, Queue};
use crate::limits::{COMMIT_COMMANDS_MAX, COMMITTER_QUEUE_MAX};
use crate::refusal::{Refusal, RefusalCode};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Sends commands to the committer.
#[derive(Debug, Clone)]
pub struct CommitterHandle {
    queue: mpsc::Sender<Command>,
}

impl CommitterHandle {
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
        self.queue.try_send(command).map_err(|error| match error {
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

    /// Commands that wait in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Queues a command whose answer the caller awaits elsewhere; waits for room.
    ///
    /// # Errors
    /// [`RefusalCode::StoreUnknown`] when the committer stopped.
    pub async fn queue(&self, command: Command) -> Result<(), Refusal> {
        self.queue.send(command).await.map_err(|_| RefusalCode::StoreUnknown.into())
    }
}

/// Gives the committer its thread. `stopped` hears why it ended; after an error the process must stop.
pub fn spawn(
    mut core: Core,
    stopped: oneshot::Sender<Result<(), CommitError>>,
) -> std::io::Result<(CommitterHandle, JoinHandle<()>)> {
    let (queue, mut commands) = mpsc::channel(COMMITTER_QUEUE_MAX);
    let thread = std::thread::Builder::new().name("committer".into()).spawn(move || {
        let mut waiting = Queue::default();
        let ended = loop {
            if waiting.is_empty() && !core.has_backlog() {
                let Some(command) = commands.blocking_recv() else { break core.flush() };
                waiting.push(command);
            }
            // Whatever arrived while the last commit was on its way to the disk is the next one.
            while waiting.len() < COMMIT_COMMANDS_MAX {
                let Ok(command) = commands.try_recv() else { break };
                waiting.push(command);
            }
            if let Err(error) = core.commit(&mut waiting) {
                break Err(error);
            }
        };
        let _ = stopped.send(ended);
    })?;
    Ok((CommitterHandle { queue }, thread))
}
