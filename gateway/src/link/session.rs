//! The conversation on one link, from Open to its end.

use super::announce::{Announced, announced, hear_announced};
use super::intake::Intake;
use super::open::{Heard, hear, state, verify_cosignature, verify_cosigned};
use super::patrol::Patrol;
use super::{LINK_NAME_BYTES, Links, ReconcileAsk, bulk, deliver, frame};
use crate::channel::batch::{KnownKey, UncheckedBatch, VerifiedBatch, note_refusal};
use crate::channel::fence::{Life, LinkName, Turn};
use crate::clock::random_16;
use crate::committer::{Command, ContactOutcome, PeerStatement};
use crate::entry::RawEntry;
use crate::id::{LogId, NodeId};
use crate::keybook::SigningKey;
use crate::limits::{BATCHES_IN_FLIGHT_MAX, LINK_TASKS_MAX, OPEN_MILLIS_MAX};
use crate::log::checkpoint::Note;
use crate::peer::{End, PeerStream, Standing};
use crate::reconcile;
use crate::refusal::{Refusal, RefusalCode};
use proto::exchange::v1 as wire;
use proto::exchange::v1::frame::Kind as Frame;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

/// Answers of the committer, awaited in the order of their questions.
enum Pending {
    Batch(oneshot::Receiver<Result<Note, Refusal>>, Vec<Announced>),
    Receipt(u64, oneshot::Receiver<Result<(), Refusal>>),
}

/// Holds the conversation until the link ends, and says why it did.
///
/// # Errors
/// The code that this node closes with, or that the peer closed with.
pub async fn run(links: Arc<Links>, mut stream: PeerStream) -> Result<(), Refusal> {
    let peer = stream.peer;
    let outgoing = stream.outgoing.clone();
    let outcome = match converse(&links, &mut stream).await {
        Ok(Over::Channels) => {
            links.measures.link_ends.count(Some(RefusalCode::LinkBroken));
            tracing::info!(%peer, dialled = stream.dialled, outcome = "closed",
                code = %RefusalCode::LinkBroken, "link ended: the stream ended without a word");
            Ok(())
        }
        Ok(Over::Bulk) => Ok(()),
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &outcome {
        links.measures.link_ends.count(Some(refusal.code));
        let close = wire::Close { code: refusal.code.code().into(), message: refusal.message(false) };
        let _ = outgoing.try_send(frame(Frame::Close(close)));
        tracing::info!(%peer, dialled = stream.dialled, outcome = "closed", code = %refusal.code,
            detail = refusal.detail, fault = refusal.code.fault().name(), "link ended");
    }
    outcome
}

/// Which stream ended without a word of the peer's.
enum Over {
    /// One for channels: it broke.
    Channels,
    /// One for blobs, which its dialler closes when nothing is left to transfer.
    Bulk,
}

async fn converse(links: &Arc<Links>, stream: &mut PeerStream) -> Result<Over, Refusal> {
    let peer = stream.peer;
    stream.standing.check()?;
    if !links.snapshot.read().expect("no holder of the snapshot panics").out.contains_key(&peer) {
        return Err(Refusal::new(RefusalCode::PeerUnknown, format!("node={peer}")));
    }
    let mut own = None;
    if stream.dialled {
        let mut name = [0; LINK_NAME_BYTES];
        name[..8].copy_from_slice(&links.clock.now().0.to_be_bytes());
        name[8..].copy_from_slice(&random_16(&*links.randomness));
        own = Some((name, send_open(links, stream.end(), &stream.outgoing, name, None).await?));
    }
    let heard = match hear_open(links, stream).await? {
        Opened::Channels(heard) => *heard,
        Opened::Bulk(open) => {
            return bulk::accepted(links, stream, &open).await.map(|()| Over::Bulk);
        }
    };
    if own.is_some_and(|(name, _)| heard.name != name) {
        return Err(Refusal::new(RefusalCode::FrameUnexpected, "the peer answered for another link"));
    }
    let (reconcile_sender, reconcile_asks) = mpsc::channel(4);
    let dialled = stream.dialled;
    let outgoing = own.is_some().then(|| stream.outgoing.clone());
    let (_registered, fenced) = links.register(peer, heard.name, reconcile_sender, dialled, outgoing)?;
    // Whoever gives way states nothing: the peer would take it for the copy that it will be told of.
    let turn = match own {
        Some((_, turn)) => turn,
        None => {
            let turn = send_open(links, stream.end(), &stream.outgoing, heard.name, Some(heard.life)).await?;
            links.has_spoken(peer, &heard.name, stream.outgoing.clone());
            turn
        }
    };
    links.measures.links_opened.fetch_add(1, Ordering::Relaxed);
    tracing::info!(%peer, dialled, outcome = "open", "link open");
    Session::new(links, stream, heard, turn)
        .run(stream, fenced, reconcile_asks)
        .await
        .map(|()| Over::Channels)
}

/// What a link is for.
enum Opened {
    Channels(Box<Heard>),
    Bulk(Box<wire::Open>),
}

/// States what this node holds, and gives the link's turn. The dialler speaks first and names the link;
/// the acceptor answers with the same name.
async fn send_open(
    links: &Arc<Links>,
    end: End,
    outgoing: &mpsc::Sender<wire::Frame>,
    name: LinkName,
    to: Option<Life>,
) -> Result<Turn, Refusal> {
    let peer = end.peer;
    let (turn, open) = state(links, end, name, to).await?;
    let open = frame(Frame::Open(open));
    let gone = |_| Refusal::new(RefusalCode::OpenMissing, format!("node={peer}"));
    outgoing.send(open).await.map_err(gone)?;
    Ok(turn)
}

async fn hear_open(links: &Arc<Links>, stream: &mut PeerStream) -> Result<Opened, Refusal> {
    let peer = stream.peer;
    let gone = || Refusal::new(RefusalCode::OpenMissing, format!("node={peer}"));
    let first = tokio::time::timeout(Duration::from_millis(OPEN_MILLIS_MAX), stream.incoming.next());
    let first = first.await.map_err(|_| gone())?.ok_or_else(gone)?;
    let first = first.map_err(|error| Refusal::new(RefusalCode::LinkBroken, error))?;
    let open = match first.kind {
        Some(Frame::Open(open)) => open,
        Some(Frame::Close(close)) => return Err(closed_by_peer(&close)),
        _ => return Err(Refusal::new(RefusalCode::FrameUnexpected, "the first frame is not Open")),
    };
    if !stream.dialled && open.purpose == bulk::PURPOSE {
        return Ok(Opened::Bulk(Box::new(open)));
    }
    if !open.purpose.is_empty() {
        return Err(Refusal::new(RefusalCode::FrameUnexpected, "a link for another purpose"));
    }
    Ok(Opened::Channels(Box::new(hear(links, stream.end(), open).await?)))
}

pub(super) fn closed_by_peer(close: &wire::Close) -> Refusal {
    // Only a code that is known is repeated: what else a peer writes may be anything, and of any length.
    match RefusalCode::with_code(&close.code) {
        Some(code) => Refusal::new(code, format!("closed by the peer: {code}")),
        None => {
            Refusal::new(RefusalCode::LinkBroken, "closed by the peer with a code that is not known here")
        }
    }
}

struct Session {
    links: Arc<Links>,
    peer: NodeId,
    statement: PeerStatement,
    credit: usize,
    /// This link's among those that stated our copy.
    turn: Turn,
    their_inbound_stopped: Option<RefusalCode>,
    outgoing: mpsc::Sender<wire::Frame>,
    /// Own entries must come back up to this size before anything else happens.
    recovering: Option<u64>,
    /// Batches that wait their turn; bounded by the credit that Open gave.
    intake: Intake,
    pending: mpsc::Sender<Pending>,
    answers: Option<mpsc::Receiver<Pending>>,
    receipted: watch::Sender<u64>,
    /// Notes that this node sent and that have no receipt yet.
    sent: deliver::SentNotes,
    tasks: JoinSet<Result<(), Refusal>>,
    asked: HashMap<u64, oneshot::Sender<wire::ReconcileReply>>,
    next_request: u64,
}

impl Session {
    fn new(links: &Arc<Links>, stream: &PeerStream, heard: Heard, turn: Turn) -> Self {
        let (pending, answers) = mpsc::channel(4 * BATCHES_IN_FLIGHT_MAX);
        let cosigned = heard.copy.as_ref().map_or(0, |note| note.checkpoint().size);
        Self {
            links: Arc::clone(links),
            peer: stream.peer,
            statement: heard.statement(stream.peer, turn),
            credit: heard.batches_in_flight_max,
            turn,
            their_inbound_stopped: heard.their_inbound_stopped,
            outgoing: stream.outgoing.clone(),
            recovering: None,
            intake: Intake::new(Arc::clone(links), stream.peer),
            pending,
            answers: Some(answers),
            receipted: watch::Sender::new(cosigned),
            sent: deliver::SentNotes::default(),
            tasks: JoinSet::new(),
            asked: HashMap::new(),
            next_request: 0,
        }
    }

    /// Converses until the link ends. The guard runs beside the conversation, so that a fence or a lost
    /// standing ends the link even while it waits for the committer or for a peer that does not read.
    async fn run(
        self,
        stream: &mut PeerStream,
        fenced: watch::Receiver<Option<RefusalCode>>,
        reconcile_asks: mpsc::Receiver<ReconcileAsk>,
    ) -> Result<(), Refusal> {
        let (patrol, standing) = (Arc::clone(&self.links.patrol), Arc::clone(&stream.standing));
        tokio::select! {
            biased;
            end = guard(&patrol, standing, fenced) => Err(end),
            ended = self.talk(stream, reconcile_asks) => ended,
        }
    }

    async fn talk(
        mut self,
        stream: &mut PeerStream,
        mut reconcile_asks: mpsc::Receiver<ReconcileAsk>,
    ) -> Result<(), Refusal> {
        let answers = self.answers.take().expect("a session runs once");
        self.tasks.spawn(answer(
            answers,
            Arc::clone(&self.links),
            self.peer,
            self.outgoing.clone(),
            self.receipted.clone(),
        ));
        self.contact().await?;
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => {
                    ended.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
                }
                Some((request, reply)) = reconcile_asks.recv() => self.ask_totals(request, reply),
                // Own entries come back first: what was once refused is known before anything is judged.
                batch = self.intake.next(), if self.recovering.is_none() => self.batch(batch).await?,
                next = stream.incoming.next() => {
                    let Some(next) = next else { return Ok(()) };
                    let next = next.map_err(|error| Refusal::new(RefusalCode::LinkBroken, error))?;
                    stream.standing.check()?;
                    self.take(next).await?;
                }
            }
        }
    }

    /// What the peer's copy means for our log.
    async fn contact(&mut self) -> Result<(), Refusal> {
        let statement = self.statement.clone();
        let outcome =
            self.links.committer.ask_patiently(|reply| Command::Contact { statement, reply }).await?;
        match outcome {
            ContactOutcome::DeliverFrom(size) => {
                if self.their_inbound_stopped.is_some() {
                    tracing::warn!(peer = %self.peer, "the peer's copy of the log to it is stopped");
                    return Ok(());
                }
                let deliver = deliver::deliver(
                    Arc::clone(&self.links),
                    self.peer,
                    size,
                    self.credit,
                    self.outgoing.clone(),
                    self.receipted.subscribe(),
                    self.sent.clone(),
                );
                self.tasks.spawn(deliver);
            }
            ContactOutcome::RecoverFrom { here, there } => {
                self.recovering = Some(there);
                let epoch = self.links.out_log(self.peer).epoch;
                self.send(Frame::Recover(wire::Recover { epoch, first: here }));
            }
            ContactOutcome::Stopped(code) => {
                tracing::warn!(peer = %self.peer, %code, "the log to this peer is stopped");
            }
        }
        Ok(())
    }

    /// Sends beside the conversation: two nodes that each waited for the other to read would wait for ever.
    fn send(&mut self, kind: Frame) {
        let outgoing = self.outgoing.clone();
        self.tasks.spawn(async move {
            // A link that is gone ends the loop by itself.
            let _ = outgoing.send(frame(kind)).await;
            Ok(())
        });
    }

    async fn take(&mut self, next: wire::Frame) -> Result<(), Refusal> {
        match next.kind {
            Some(Frame::Batch(batch)) => self.intake.put(batch),
            Some(Frame::Cosigned(cosigned)) => self.cosigned(cosigned).await,
            Some(Frame::Recover(_) | Frame::ReconcileRequest(_)) if self.tasks.len() >= LINK_TASKS_MAX => {
                Err(Refusal::new(RefusalCode::CreditExceeded, "too many questions at once"))
            }
            Some(Frame::Recover(recover)) => {
                let give_back = deliver::give_back(
                    Arc::clone(&self.links),
                    self.peer,
                    recover.first,
                    self.outgoing.clone(),
                );
                self.tasks.spawn(give_back);
                Ok(())
            }
            Some(Frame::Recovered(recovered)) => self.recovered(recovered).await,
            Some(Frame::ReconcileRequest(request)) => {
                let links = Arc::clone(&self.links);
                let (peer, outgoing) = (self.peer, self.outgoing.clone());
                self.tasks.spawn(async move {
                    let reply = reconcile::answer(&links, peer, request).await?;
                    let _ = outgoing.send(frame(Frame::ReconcileReply(reply))).await;
                    Ok(())
                });
                Ok(())
            }
            Some(Frame::ReconcileReply(reply)) => {
                if let Some(waiting) = self.asked.remove(&reply.request) {
                    let _ = waiting.send(reply);
                }
                Ok(())
            }
            Some(Frame::BulkWanted(_)) => {
                self.links.dial_bulk(self.peer);
                Ok(())
            }
            Some(
                Frame::BlobAsk(_)
                | Frame::BlobHead(_)
                | Frame::BlobChunk(_)
                | Frame::BlobCredit(_)
                | Frame::BlobStop(_)
                | Frame::BlobEnd(_),
            ) => Err(Refusal::new(RefusalCode::FrameUnexpected, "blobs go over a bulk link")),
            Some(Frame::Close(close)) => Err(closed_by_peer(&close)),
            Some(Frame::Open(_)) => Err(Refusal::new(RefusalCode::FrameUnexpected, "a second Open")),
            // A later version's frame: its sender learns from our version range not to send it.
            None => Err(Refusal::new(RefusalCode::FrameUnexpected, "a frame of an unknown kind")),
        }
    }

    fn unchecked(epoch: u32, first: u64, entries: Vec<wire::Entry>, checkpoint: &[u8]) -> UncheckedBatch {
        let entries = entries
            .into_iter()
            .map(|entry| {
                let body = (!entry.erased && !entry.body.is_empty()).then_some(entry.body);
                (RawEntry { header: entry.header, body }, entry.erased)
            })
            .collect();
        UncheckedBatch { epoch, first, entries, checkpoint: checkpoint.to_vec() }
    }

    /// Checks a batch of `log` under a key of `signer` that `trusted` approves.
    fn check(
        &self,
        log: LogId,
        batch: UncheckedBatch,
        signer: NodeId,
        trusted: impl FnOnce(&SigningKey) -> Result<(), Refusal>,
    ) -> Result<VerifiedBatch, Refusal> {
        let note = Note::parse(&batch.checkpoint).map_err(note_refusal)?;
        let key = self.links.keys.origin_key(signer, &note);
        let key = key.ok_or_else(|| Refusal::new(RefusalCode::UnknownKey, format!("node={signer}")))?;
        trusted(&key)?;
        VerifiedBatch::check(self.links.suite, log, batch, |_| {
            Ok(KnownKey { name: &key.name, key: &key.key })
        })
    }

    async fn batch(&mut self, batch: wire::Batch) -> Result<(), Refusal> {
        let log = self.links.in_log(self.peer);
        self.links.measures.batch_received_entries.observe(batch.entries.len() as u64);
        let batch = Self::unchecked(batch.epoch, batch.first, batch.entries, &batch.checkpoint);
        let links = Arc::clone(&self.links);
        let peer = self.peer;
        // What this node cosigned before it lost its copy was judged then: its own signature says so.
        let judged_before = Note::parse(&batch.checkpoint).is_ok_and(|note| {
            // Nearly always the note bears no cosignature yet, and nothing needs to be verified for this.
            self.links.keys.cosigner_key(links.me, &note).is_some()
                && verify_cosigned(&links, log, &note).is_ok()
        });
        let batch = self.check(log, batch, peer, |key| {
            if judged_before { Ok(()) } else { links.signing_key_trusted(peer, key) }
        })?;
        let announced = announced(&batch);
        let (reply, answer) = oneshot::channel();
        self.links.committer.queue(Command::Receive { batch, turn: self.turn, reply }).await?;
        self.wait_for(Pending::Batch(answer, announced))
    }

    async fn cosigned(&mut self, cosigned: wire::Cosigned) -> Result<(), Refusal> {
        let note = Note::parse(&cosigned.checkpoint).map_err(note_refusal)?;
        let log = self.links.out_log(self.peer);
        if self.sent.covers(&note) {
            verify_cosignature(&self.links, log, &note)?;
        } else {
            verify_cosigned(&self.links, log, &note)?;
        }
        if let Some(key) = self.links.keys.cosigner_key(self.peer, &note) {
            self.links.signing_key_trusted(self.peer, &key)?;
        }
        let size = note.checkpoint().size;
        let (reply, answer) = oneshot::channel();
        self.links.committer.queue(Command::Receipt { peer: self.peer, note, reply }).await?;
        self.wait_for(Pending::Receipt(size, answer))
    }

    fn wait_for(&self, pending: Pending) -> Result<(), Refusal> {
        // Within its credit a peer never fills this; beyond it, waiting would stop our reading.
        self.pending.try_send(pending).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RefusalCode::CreditExceeded.into(),
            mpsc::error::TrySendError::Closed(_) => RefusalCode::Fenced.into(),
        })
    }

    /// Own entries that the peer gives back. Their checkpoint must bear our own signature, under any
    /// key we ever had: trust does not decide here, memory does.
    async fn recovered(&mut self, recovered: wire::Recovered) -> Result<(), Refusal> {
        let Some(there) = self.recovering else {
            // The end mark of a recovery that is done already.
            if recovered.last && recovered.entries.is_empty() {
                return Ok(());
            }
            return Err(Refusal::new(RefusalCode::FrameUnexpected, "nothing was asked back"));
        };
        let log = self.links.out_log(self.peer);
        let mut here = None;
        if !recovered.entries.is_empty() {
            let batch =
                Self::unchecked(recovered.epoch, recovered.first, recovered.entries, &recovered.checkpoint);
            let note = Note::parse(&batch.checkpoint).map_err(note_refusal)?;
            verify_cosigned(&self.links, log, &note)?;
            let batch = self.check(log, batch, self.links.me, |_| Ok(()))?;
            let size = self.links.committer.ask_patiently(|reply| Command::Restore { batch, reply }).await?;
            here = Some(size);
        }
        if here.is_some_and(|here| here >= there) {
            tracing::info!(peer = %self.peer, size = there, "own entries recovered from the peer");
            self.recovering = None;
            self.contact().await?;
        } else if recovered.last {
            return Err(Refusal::new(RefusalCode::BadCheckpoint, "the peer holds less than it stated"));
        }
        Ok(())
    }

    fn ask_totals(
        &mut self,
        mut request: wire::ReconcileRequest,
        reply: oneshot::Sender<wire::ReconcileReply>,
    ) {
        self.next_request += 1;
        request.request = self.next_request;
        self.asked.retain(|_, waiting| !waiting.is_closed());
        self.asked.insert(request.request, reply);
        self.send(Frame::ReconcileRequest(request));
    }
}

/// Resolves when the link has to end: another takes its place, or the peer's certificate lost its standing.
pub(super) async fn guard(
    patrol: &Arc<Patrol>,
    standing: Arc<dyn Standing>,
    mut fenced: watch::Receiver<Option<RefusalCode>>,
) -> Refusal {
    tokio::select! {
        biased;
        changed = fenced.changed() => {
            let code = *fenced.borrow();
            code.filter(|_| changed.is_ok()).unwrap_or(RefusalCode::Fenced).into()
        }
        lost = patrol.lost(standing) => lost,
    }
}

/// Sends receipts in the order of their batches, each only when the committer says that it is durable; and
/// passes on what the peer's receipts cover once the committer has taken them.
async fn answer(
    mut answers: mpsc::Receiver<Pending>,
    links: Arc<Links>,
    peer: NodeId,
    outgoing: mpsc::Sender<wire::Frame>,
    receipted: watch::Sender<u64>,
) -> Result<(), Refusal> {
    while let Some(pending) = answers.recv().await {
        match pending {
            Pending::Batch(answer, announced) => {
                let note = answer.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
                // Before the receipt: whoever has it may sign with the new key.
                for announced in announced {
                    hear_announced(&links, peer, announced).await?;
                }
                let cosigned = wire::Cosigned {
                    epoch: note.checkpoint().log.epoch,
                    checkpoint: bytes::Bytes::from(note.text()),
                };
                let _ = outgoing.send(frame(Frame::Cosigned(cosigned))).await;
            }
            Pending::Receipt(size, answer) => {
                answer.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
                receipted.send_modify(|receipted| *receipted = size.max(*receipted));
            }
        }
    }
    Ok(())
}
