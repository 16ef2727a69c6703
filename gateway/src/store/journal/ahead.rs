//! What a change of segments needs, done beside the writer: the next segment's room is made before it is
//! asked for, and the segment that was left is trimmed and sealed after. A crash leaves a spare that the
//! next open removes, or a segment without seal that the next open seals.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::close;
use super::read::Shared;
use super::segment::OpenSegment;
use crate::store::Position;

enum Job {
    Prepare { bytes: u64 },
    Close { segment: OpenSegment, end: u64, next: Position },
}

/// A thread that does one job after another.
pub(super) struct Ahead {
    jobs: Option<mpsc::Sender<Job>>,
    done: mpsc::Receiver<io::Result<()>>,
    outstanding: usize,
    /// Whether the next segment's room was asked for.
    prepared: bool,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts the thread, which ends with this.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (jobs, work) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("journal-ahead".into()).spawn(move || {
            for job in work {
                let outcome = match job {
                    // What cannot be prepared is made when it is needed, and says then what is wrong.
                    Job::Prepare { bytes } => shared.folder.prepare(bytes).or(Ok(())),
                    Job::Close { segment, end, next } => close(&segment, end, next),
                };
                if tell.send(outcome).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), done, outstanding: 0, prepared: false, thread: Some(thread) })
    }

    fn give(&mut self, job: Job) {
        if let Some(jobs) = &self.jobs
            && jobs.send(job).is_ok()
        {
            self.outstanding += 1;
        }
    }

    /// Prepares the next segment, unless that was asked for already.
    pub(super) fn prepare(&mut self, bytes: u64) {
        if !std::mem::replace(&mut self.prepared, true) {
            self.give(Job::Prepare { bytes });
        }
    }

    /// Closes a segment whose successor stands, and counts from anew.
    pub(super) fn close(&mut self, segment: OpenSegment, end: u64, next: Position) {
        self.prepared = false;
        self.give(Job::Close { segment, end, next });
    }

    /// Waits until nothing is left to do.
    ///
    /// # Errors
    /// A segment could not be closed.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        while self.outstanding > 0 {
            self.outstanding -= 1;
            self.done.recv().unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its jobs end; a panic in one of them changes nothing that was acknowledged.
            let _ = thread.join();
        }
    }
}
