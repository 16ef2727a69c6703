//! Many messages over one stream of the local socket: one answer of the committer for a whole batch,
//! and receipts as a mark that moves, so that neither costs a call a message.
//!
//! The reading half gives batches to the committer and waits when too many are unanswered, or a little
//! when there is no room: a sender that is not read costs nothing, one that is refused asks again. What
//! finds no room within that time is refused before anything of it is read. The answering half sends
//! outcomes in the order of the batches, and marks whenever receipts came in.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::committer::Submission;
use gateway::committer::bells::Topic;
use gateway::gateway::{Gateway, Outcomes};
use gateway::id::{LogPosition, NodeId};
use gateway::limits::{
    BATCH_BYTES_MAX, SUBMIT_BATCH_MAX, SUBMIT_BATCHES_IN_FLIGHT_MAX, SUBMIT_PATIENCE_MILLIS,
};
use gateway::refusal::{Refusal, RefusalCode};
use proto::local::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::business::{submission, submitted};
use super::submitters::Submitters;
use crate::refused::to_status;

/// What the caller reads.
pub(super) type SubmitAnswersStream =
    Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::SubmitAnswers, Status>> + Send>>;

/// Answers that wait for a caller that does not read.
const ANSWERS_QUEUED_MAX: usize = 16;

/// One batch on its way: who it is for, what was refused before the committer saw it, and the rest.
struct Pending {
    peers: Vec<NodeId>,
    /// By position in the batch: the refusal, or nothing where the committer decides.
    refused: Vec<Option<Refusal>>,
    outcomes: Result<Outcomes, Refusal>,
}

/// The quota that a stream's submissions are charged to.
pub(super) struct Charged {
    pub submitters: Arc<Submitters>,
    pub submitter: String,
}

impl Charged {
    fn charge(&self, submissions: usize, bytes: usize) -> Result<(), Refusal> {
        self.submitters.charge(&self.submitter, submissions, bytes)
    }

    fn give_back(&self, submissions: usize, bytes: usize) {
        self.submitters.give_back(&self.submitter, submissions, bytes);
    }
}

/// Opens the stream.
pub(super) fn open(
    gateway: Gateway,
    quota: Charged,
    requests: Streaming<pb::SubmitBatch>,
) -> SubmitAnswersStream {
    let (answers, answered) = mpsc::channel(ANSWERS_QUEUED_MAX);
    let (pending, waiting) = mpsc::channel(SUBMIT_BATCHES_IN_FLIGHT_MAX);
    tokio::spawn(read(gateway.clone(), quota, requests, pending, answers.clone()));
    tokio::spawn(answer(gateway, waiting, answers));
    Box::pin(ReceiverStream::new(answered))
}

async fn read(
    gateway: Gateway,
    quota: Charged,
    mut requests: Streaming<pb::SubmitBatch>,
    pending: mpsc::Sender<Result<Pending, Status>>,
    answers: mpsc::Sender<Result<pb::SubmitAnswers, Status>>,
) {
    loop {
        let batch = tokio::select! {
            () = answers.closed() => return,
            batch = requests.message() => batch,
        };
        // What was handed in before is answered first, whether the caller is done, gone, or sent what no
        // node reads.
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => return,
            Err(status) => {
                let _ = pending.send(Err(status)).await;
                return;
            }
        };
        let bytes: usize = batch.requests.iter().map(|request| request.payload.len()).sum();
        if batch.requests.len() > SUBMIT_BATCH_MAX || bytes > BATCH_BYTES_MAX {
            let detail = format!("requests={} bytes={bytes}", batch.requests.len());
            let refusal = Refusal::new(RefusalCode::TooLarge, detail);
            gateway.tell_batch_refused(batch.requests.len(), &refusal);
            let _ = pending.send(Err(to_status(&refusal))).await;
            return;
        }
        // Room first: an unanswered batch holds its messages in memory.
        let Ok(room) = pending.reserve().await else { return };
        room.send(Ok(hand_in(&gateway, &quota, batch).await));
    }
}

/// Those of a batch that go to one partner.
#[derive(Default)]
struct Share {
    submissions: usize,
    bytes: usize,
    /// Why none of them is taken.
    refused: Option<Refusal>,
}

/// The shares of a batch by what its requests say of their partner, read or not.
fn shares(requests: &[pb::SubmitRequest]) -> BTreeMap<String, Share> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for request in requests {
        let share = match shares.get_mut(&request.to) {
            Some(share) => share,
            None => shares.entry(request.to.clone()).or_default(),
        };
        share.submissions += 1;
        share.bytes += request.payload.len();
    }
    shares
}

/// Gives a batch to the committer, as far as the quota, the partners' pace and the memory allow.
async fn hand_in(gateway: &Gateway, quota: &Charged, batch: pb::SubmitBatch) -> Pending {
    let requests = batch.requests;
    let none = |refusal, refused| Pending { peers: Vec::new(), refused, outcomes: Err(refusal) };
    let (mut count, mut bytes) = (requests.len(), requests.iter().map(|request| request.payload.len()).sum());
    if let Err(refusal) = quota.charge(count, bytes) {
        gateway.tell_batch_refused(count, &refusal);
        return none(refusal, vec![None; count]);
    }
    let deadline = Instant::now() + Duration::from_millis(SUBMIT_PATIENCE_MILLIS);
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut shares = shares(&requests);
    for (to, share) in &mut shares {
        // Who names no node is refused one by one.
        let Ok(to) = to.parse() else { continue };
        if let Err(refusal) = gateway.keeps_pace(to, share.submissions, left()).await {
            gateway.tell_batch_refused(share.submissions, &refusal);
            quota.give_back(share.submissions, share.bytes);
            (count, bytes) = (count - share.submissions, bytes - share.bytes);
            share.refused = Some(refusal);
        }
    }
    let late = |request: &pb::SubmitRequest| shares.get(&request.to).and_then(|share| share.refused.clone());
    let room = match gateway.room(count, bytes, left()).await {
        Ok(room) => room,
        Err(refusal) => {
            gateway.tell_batch_refused(count, &refusal);
            quota.give_back(count, bytes);
            return none(refusal, requests.iter().map(late).collect());
        }
    };
    let mut refused: Vec<_> = requests.iter().map(late).collect();
    let kept = requests.into_iter().zip(&refused).filter(|(_, refused)| refused.is_none());
    let read = match read_all(gateway, kept.map(|(request, _)| request).collect()).await {
        Ok(read) => read,
        Err(refusal) => return none(refusal, refused),
    };
    let mut submissions = Vec::with_capacity(read.len());
    let mut peers: Vec<NodeId> = Vec::new();
    for (own, request) in refused.iter_mut().filter(|refused| refused.is_none()).zip(read) {
        match request {
            Ok(submission) => {
                if !peers.contains(&submission.to) {
                    peers.push(submission.to);
                }
                submissions.push(submission);
            }
            Err(refusal) => *own = Some(refusal),
        }
    }
    Pending { peers, refused, outcomes: gateway.submit_many(submissions, room) }
}

/// The requests as the committer takes them, those that name files read on a thread that may block.
async fn read_all(
    gateway: &Gateway,
    requests: Vec<pb::SubmitRequest>,
) -> Result<Vec<Result<Submission, Refusal>>, Refusal> {
    if requests.iter().all(|request| request.blobs.is_empty()) {
        return Ok(requests.into_iter().map(|request| submission(gateway, request)).collect());
    }
    let gateway = gateway.clone();
    let read = move || requests.into_iter().map(|request| submission(&gateway, request)).collect();
    tokio::task::spawn_blocking(read).await.map_err(|_| RefusalCode::StoreUnknown.into())
}

async fn answer(
    gateway: Gateway,
    mut waiting: mpsc::Receiver<Result<Pending, Status>>,
    answers: mpsc::Sender<Result<pb::SubmitAnswers, Status>>,
) {
    let mut listener = gateway.listen([]);
    // Up to where the caller knows the receipts of each channel that it used.
    let mut marked: BTreeMap<NodeId, LogPosition> = BTreeMap::new();
    let mut open = true;
    loop {
        let mut told = pb::SubmitAnswers::default();
        tokio::select! {
            biased;
            next = waiting.recv(), if open => match next {
                Some(Err(status)) => {
                    let _ = answers.send(Err(status)).await;
                    return;
                }
                Some(Ok(pending)) => {
                    for peer in &pending.peers {
                        listener.hear(Topic::Peer(*peer));
                        marked.entry(*peer).or_default();
                    }
                    match outcomes(pending).await {
                        Ok(outcomes) => told.outcomes = outcomes,
                        Err(refusal) => {
                            let _ = answers.send(Err(to_status(&refusal))).await;
                            return;
                        }
                    }
                }
                // Receipts of what was handed in still come, until the caller has heard enough.
                None => open = false,
            },
            rung = listener.rung() => if rung.is_err() { return },
            () = answers.closed() => return,
        }
        told.marks = marks(&gateway, &mut marked);
        if (!told.outcomes.is_empty() || !told.marks.is_empty()) && answers.send(Ok(told)).await.is_err() {
            return;
        }
    }
}

/// The receipts that came since the last look.
fn marks(gateway: &Gateway, marked: &mut BTreeMap<NodeId, LogPosition>) -> Vec<pb::ReceiptMark> {
    let mut marks = Vec::new();
    for (peer, known) in marked {
        let Some((position, time)) = gateway.receipted(*peer) else { continue };
        if position > *known {
            *known = position;
            marks.push(pb::ReceiptMark {
                to: peer.to_string(),
                epoch: position.epoch,
                size: position.index,
                receipt_ms: time.0,
            });
        }
    }
    marks
}

/// The outcomes of one batch in the order of its requests.
async fn outcomes(pending: Pending) -> Result<Vec<pb::SubmitOutcome>, Refusal> {
    let decided = match pending.outcomes {
        Ok(outcomes) => outcomes.decided().await,
        Err(refusal) => Err(refusal),
    };
    let mut decided = match decided {
        Ok(decided) => decided.into_iter(),
        // The node cannot tell what became of them: a stream that goes on would hide it.
        Err(refusal) if refusal.code == RefusalCode::StoreUnknown => return Err(refusal),
        Err(refusal) => {
            let all = pending.refused.into_iter().map(|own| refused(&own.unwrap_or(refusal.clone())));
            return Ok(all.collect());
        }
    };
    let outcome = |own: Option<Refusal>| match own {
        Some(refusal) => refused(&refusal),
        None => match decided.next() {
            Some(Ok(taken)) => {
                pb::SubmitOutcome { outcome: Some(pb::submit_outcome::Outcome::Taken(submitted(taken))) }
            }
            Some(Err(refusal)) => refused(&refusal),
            None => refused(&RefusalCode::StoreUnknown.into()),
        },
    };
    Ok(pending.refused.into_iter().map(outcome).collect())
}

fn refused(refusal: &Refusal) -> pb::SubmitOutcome {
    let refused = pb::SubmitRefusal {
        code: refusal.code.code().to_owned(),
        fault: refusal.code.fault().name().to_owned(),
        message_zh: refusal.message(true),
        message_en: refusal.message(false),
        retry_after_ms: refusal.retry_after_millis().unwrap_or(0),
    };
    pb::SubmitOutcome { outcome: Some(pb::submit_outcome::Outcome::Refused(refused)) }
}
