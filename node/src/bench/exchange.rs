//! Messages from 岳阳 to 咸宁 over one stream of 岳阳's local socket. So many are out at once; each receipt
//! makes room for one more. A message counts when its receipt arrived, which the node verified.

use super::figures::Figures;
use super::pair::{Pair, with_far_pair};
use super::{ExchangeArgs, disk, machine, refused};
use crate::client::LOCAL_MESSAGE_BYTES_MAX;
use crate::demo::DemoError;
use crate::demo::catalogue;
use crate::demo::desk::Desk;
use crate::demo::error::within;
use crate::demo::load::settled;
use crate::demo::narrate::{Moment, Narrator, grouped};
use bytes::Bytes;
use gateway::clock::{Clock as _, SystemClock};
use gateway::codes::Date;
use gateway::entry::Header;
use gateway::id::{ChannelId, Digest, HashAlgorithm, Kind, LogPosition, MessageId};
use gateway::limits::BODY_SALT_BYTES;
use proto::local::v1 as local;
use proto::local::v1::submit_outcome::Outcome;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Requests in one batch of the stream.
const BATCH_MAX: usize = 32;
/// Batches that wait for the stream.
const BATCHES_QUEUED: usize = 64;
/// How often an open loop looks at the clock.
const TICK: Duration = Duration::from_millis(2);
/// How long everything on its way may take to arrive when the load has ended.
pub(super) const DRAIN: Duration = Duration::from_secs(60);

/// Runs the measurement.
pub(super) async fn run(args: &ExchangeArgs, chinese: bool) -> Result<Figures, DemoError> {
    let length = args.line.length();
    with_far_pair(args.nodes.keep.as_deref(), args.nodes.suite, length, chinese, async |pair, narrator| {
        measure(args, pair, narrator).await
    })
    .await
}

/// What both nodes' processes and disks have used so far.
pub(super) struct Used {
    pub cpu: f64,
    bytes: f64,
    journal: f64,
}

pub(super) fn used(pair: &Pair, disks: bool) -> Result<Used, DemoError> {
    let mut used = Used { cpu: 0.0, bytes: 0.0, journal: 0.0 };
    for node in [&pair.rig.yueyang, &pair.rig.xianning] {
        let process = node.process().ok_or_else(|| DemoError::Broken("a node does not run".into()))?;
        used.cpu += machine::cpu_seconds(process)?;
        if disks {
            let (all, unused) = machine::folder_bytes(&node.data())?;
            let (journal, _) = machine::folder_bytes(&node.data().join("journal"))?;
            used.bytes += all.saturating_sub(unused) as f64;
            used.journal += journal.saturating_sub(unused) as f64;
        }
    }
    Ok(used)
}

async fn measure(args: &ExchangeArgs, pair: &Pair, narrator: &Narrator) -> Result<Figures, DemoError> {
    let disk = disk::ask_beside(&pair.rig).await?;
    let before = sizes(&pair.yueyang, &pair.xianning).await?;
    let disks_before = used(pair, true)?;

    let mut load = Load::open(pair, args.size, args.concurrency as usize).await?;
    narrator.tell(Moment::note(
        format!("加载中：预热 {} 秒，计时 {} 秒", args.warm_up, args.duration),
        format!("under load: {} s to warm up, {} s measured", args.warm_up, args.duration),
    ));
    load.work(Duration::from_secs(u64::from(args.warm_up))).await?;
    let (cpu_before, began) = (used(pair, false)?.cpu, Instant::now());
    load.took.clear();
    let total = u64::from(args.duration);
    for second in 1..=total {
        load.work((began + Duration::from_secs(second)).saturating_duration_since(Instant::now())).await?;
        if second.is_multiple_of(5) || second == total {
            let rate = load.took.len() as f64 / began.elapsed().as_secs_f64();
            narrator.tell(Moment::note(
                format!("{second}/{total} 秒，{} 条/秒", grouped(rate as u64)),
                format!("{second} of {total} s, {} messages/s", grouped(rate as u64)),
            ));
        }
    }
    let lasted = began.elapsed().as_secs_f64();
    let cpu = used(pair, false)?.cpu - cpu_before;
    let mut took = std::mem::take(&mut load.took);
    within(DRAIN, "what is on its way to arrive", load.drain()).await?;
    within(DRAIN, "every message to have its receipt", settled(&pair.yueyang, &pair.xianning)).await?;
    let disks = used(pair, true)?;
    let after = sizes(&pair.yueyang, &pair.xianning).await?;

    took.sort_unstable();
    let at = |share: f64| Some(machine::quantile(&took, share).as_secs_f64() * 1e3);
    let count = took.len() as f64;
    // Accepted here must be exactly what both copies gained.
    let gained = (after.0 - before.0, after.1 - before.1);
    let rss = [&pair.rig.yueyang, &pair.rig.xianning]
        .into_iter()
        .filter_map(|node| node.process())
        .map(machine::peak_rss_mib)
        .collect::<Result<Vec<_>, _>>()?;
    let messages = load.accepted as f64;
    Ok(Figures {
        disk: Some(disk),
        asked: [
            vec![
                ("size", args.size.to_string()),
                ("concurrency", args.concurrency.to_string()),
                ("duration", args.duration.to_string()),
                ("suite", args.nodes.suite.name().to_owned()),
            ],
            args.line.asked(),
        ]
        .concat(),
        line_bytes_most: pair.line.as_ref().map(|line| line.on_the_way_most().0),
        messages_per_s: Some(count / lasted),
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        cpu_s_per_1k: Some(cpu / count * 1e3),
        bytes_per_message: Some((disks.bytes - disks_before.bytes) / 2.0 / messages),
        journal_bytes_per_message: Some((disks.journal - disks_before.journal) / 2.0 / messages),
        entry_bytes: Some(load.entry_bytes as f64),
        peak_rss_mib: rss.into_iter().reduce(f64::max),
        lost: Some(load.accepted.saturating_sub(gained.0.min(gained.1))),
        duplicated: Some(gained.0.max(gained.1).saturating_sub(load.accepted)),
        refused: Some(load.refused),
        ..Figures::of_this_machine()
    })
}

/// Entries of the channel 岳阳→咸宁, at the sender and at the receiver.
pub(super) async fn sizes(yueyang: &Desk, xianning: &Desk) -> Result<(u64, u64), DemoError> {
    Ok((yueyang.channels().await?[0].size, xianning.channels().await?[1].size))
}

/// Messages that fall due by the clock, whatever becomes of those before them; or, without a rate, as
/// receipts make room.
pub(super) struct Offering {
    began: Instant,
    /// Messages in a second.
    rate: Option<f64>,
    /// Messages that are due.
    fallen_due: u64,
    /// Those of them that were written to the stream.
    written: u64,
}

impl Offering {
    /// From that moment on.
    pub(super) fn begin(began: Instant, rate: Option<f64>) -> Self {
        Self { began, rate, fallen_due: 0, written: 0 }
    }

    /// Messages that fell due so far.
    pub(super) fn due(&self) -> u64 {
        self.fallen_due
    }
}

fn gone<T>(_: mpsc::error::SendError<T>) -> DemoError {
    DemoError::Broken("the node closed the stream".into())
}

/// The client: one stream, and what is out on it.
pub(super) struct Load {
    yueyang: Desk,
    day: Date,
    concurrency: usize,
    payload: Bytes,
    entry_bytes: usize,
    /// The case that comes next.
    pub next_serial: u32,
    requests: mpsc::Sender<local::SubmitBatch>,
    answers: Streaming<local::SubmitAnswers>,
    /// Batches without outcomes: when each was written, and its cases.
    unanswered: VecDeque<(Instant, Vec<u32>)>,
    /// Cases to ask for again, and not before when.
    again: VecDeque<(Instant, u32)>,
    /// Messages without a receipt: place in the channel, and when each was written.
    unreceipted: VecDeque<(u64, Instant)>,
    out: usize,
    /// Messages that the node took.
    pub accepted: u64,
    /// Messages that the node refused with a hint to try again.
    pub refused: u64,
    /// What each took that has its receipt.
    pub took: Vec<Duration>,
}

impl Load {
    /// Opens a stream for messages of `size` bytes from 岳阳 to 咸宁.
    pub(super) async fn open(pair: &Pair, size: u32, concurrency: usize) -> Result<Self, DemoError> {
        Self::open_to(pair, &pair.yueyang, size, concurrency).await
    }

    /// The same from 岳阳's `desk` to its partner.
    pub(super) async fn open_to(
        pair: &Pair,
        desk: &Desk,
        size: u32,
        concurrency: usize,
    ) -> Result<Self, DemoError> {
        let payload = Bytes::from(pair.application(size as usize)?);
        let (requests, outgoing) = mpsc::channel(BATCHES_QUEUED);
        let mut client = desk.business().max_encoding_message_size(LOCAL_MESSAGE_BYTES_MAX);
        // The answers' stream opens with the first batch at the latest.
        let answers = client.submit_stream(ReceiverStream::new(outgoing)).await;
        let answers = answers.map_err(|status| refused(&status))?.into_inner();
        Ok(Self {
            yueyang: desk.clone(),
            day: pair.day,
            concurrency,
            entry_bytes: header_bytes(pair.day, desk, payload.len())? + BODY_SALT_BYTES + payload.len(),
            payload,
            next_serial: 1_000_000,
            requests,
            answers,
            unanswered: VecDeque::new(),
            again: VecDeque::new(),
            unreceipted: VecDeque::new(),
            out: 0,
            accepted: 0,
            refused: 0,
            took: Vec::new(),
        })
    }

    /// Keeps so many messages out for a while.
    pub(super) async fn work(&mut self, duration: Duration) -> Result<(), DemoError> {
        let end = tokio::time::Instant::now() + duration;
        loop {
            while self.out < self.concurrency {
                let count = (self.concurrency - self.out).min(BATCH_MAX);
                self.send(count).await?;
            }
            match tokio::time::timeout_at(end, self.answers.message()).await {
                Ok(answer) => self.hear(answer.map_err(|status| refused(&status))?)?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Keeps so many messages out until the node took `count` more.
    pub(super) async fn fill(&mut self, count: u64) -> Result<(), DemoError> {
        let end = self.accepted + count;
        while self.accepted < end {
            let asked: usize = self.unanswered.iter().map(|(_, cases)| cases.len()).sum();
            let mut wanted = usize::try_from(end - self.accepted).unwrap_or(usize::MAX).saturating_sub(asked);
            while wanted > 0 && self.out < self.concurrency {
                let count = (self.concurrency - self.out).min(BATCH_MAX).min(wanted);
                self.send(count).await?;
                wanted -= count;
            }
            let answer = async { self.answers.message().await.map_err(|status| refused(&status)) };
            let answer = within(DRAIN, "the node to answer under load", answer).await?;
            self.hear(answer)?;
        }
        Ok(())
    }

    /// Messages that the node took and that have no receipt.
    pub(super) fn on_the_way(&self) -> usize {
        self.unreceipted.len()
    }

    /// Waits until nothing is out.
    pub(super) async fn drain(&mut self) -> Result<(), DemoError> {
        while self.out > 0 {
            let answer = self.answers.message().await.map_err(|status| refused(&status))?;
            self.hear(answer)?;
        }
        Ok(())
    }

    /// Works until so long after the offering began: in a closed loop, or writing what falls due whatever
    /// the node answers. What was refused with a hint is offered again after it, before what is new.
    pub(super) async fn keep_up(
        &mut self,
        offering: &mut Offering,
        until: Duration,
    ) -> Result<(), DemoError> {
        let Some(rate) = offering.rate else {
            return self.work(until.saturating_sub(offering.began.elapsed())).await;
        };
        let mut tick = tokio::time::interval(TICK);
        while offering.began.elapsed() < until {
            offering.fallen_due = (offering.began.elapsed().as_secs_f64() * rate) as u64;
            // What finds no room waits here: the stream holds only so much.
            while self.requests.capacity() > 0 {
                let now = Instant::now();
                let mut cases = Vec::with_capacity(BATCH_MAX);
                while cases.len() < BATCH_MAX {
                    if let Some((_, case)) = self.again.pop_front_if(|(at, _)| *at <= now) {
                        cases.push(case);
                    } else if offering.written < offering.fallen_due {
                        offering.written += 1;
                        cases.push(self.next_serial);
                        self.next_serial += 1;
                    } else {
                        break;
                    }
                }
                if cases.is_empty() {
                    break;
                }
                let batch = self.batch(cases)?;
                self.requests.send(batch).await.map_err(gone)?;
            }
            tokio::select! {
                _ = tick.tick() => {}
                answer = self.answers.message() => self.hear(answer.map_err(|status| refused(&status))?)?,
            }
        }
        Ok(())
    }

    /// Asks no more for what was refused: it was never taken.
    pub(super) fn give_up(&mut self) {
        self.again.clear();
    }

    /// The requests for some cases; from here on they are out.
    fn batch(&mut self, cases: Vec<u32>) -> Result<local::SubmitBatch, DemoError> {
        let mut requests = Vec::with_capacity(cases.len());
        for case in &cases {
            requests.push(local::SubmitRequest {
                to: self.yueyang.partner.code.to_owned(),
                idempotency_key: format!("bench/{case}"),
                kind: Kind::CaseForward.name().to_owned(),
                case_id: catalogue::case_number_for(self.yueyang.partner, self.day, *case)?,
                payload: self.payload.clone(),
                ..local::SubmitRequest::default()
            });
        }
        self.out += cases.len();
        self.unanswered.push_back((Instant::now(), cases));
        Ok(local::SubmitBatch { requests })
    }

    async fn send(&mut self, count: usize) -> Result<(), DemoError> {
        let mut cases = Vec::with_capacity(count);
        let now = Instant::now();
        for _ in 0..count {
            let again = self.again.pop_front_if(|(at, _)| *at <= now);
            cases.push(again.map_or(self.next_serial, |(_, case)| case));
            self.next_serial += u32::from(again.is_none());
        }
        let batch = self.batch(cases)?;
        self.requests.send(batch).await.map_err(gone)
    }

    fn hear(&mut self, answer: Option<local::SubmitAnswers>) -> Result<(), DemoError> {
        let answer = answer.ok_or_else(|| DemoError::Broken("the node closed the stream".into()))?;
        if !answer.outcomes.is_empty() {
            let written = self.unanswered.pop_front();
            let (written, cases) = written.ok_or_else(|| DemoError::Broken("outcomes of nothing".into()))?;
            if cases.len() != answer.outcomes.len() {
                return Err(DemoError::Broken("outcomes of another batch".into()));
            }
            for (outcome, case) in answer.outcomes.into_iter().zip(cases) {
                match outcome.outcome {
                    Some(Outcome::Taken(taken)) => {
                        self.accepted += 1;
                        self.unreceipted.push_back((taken.index, written));
                    }
                    Some(Outcome::Refused(refused)) if refused.retry_after_ms > 0 => {
                        self.refused += 1;
                        let hint = Duration::from_millis(refused.retry_after_ms);
                        self.again.push_back((Instant::now() + hint, case));
                        self.out -= 1;
                    }
                    Some(Outcome::Refused(refused)) => {
                        return Err(DemoError::Refused {
                            node: self.yueyang.place.code,
                            what: Kind::CaseForward.name().to_owned(),
                            code: refused.code,
                            message: refused.message_en,
                        });
                    }
                    None => return Err(DemoError::Broken("an outcome without one".into())),
                }
            }
        }
        let now = Instant::now();
        for mark in answer.marks {
            while self.unreceipted.front().is_some_and(|(index, _)| *index < mark.size) {
                let (_, written) = self.unreceipted.pop_front().expect("it has a front");
                self.took.push(now - written);
                self.out -= 1;
            }
        }
        Ok(())
    }
}

/// Bytes of the header that a node makes for one message of this load, in the middle of it.
fn header_bytes(day: Date, desk: &Desk, payload: usize) -> Result<usize, DemoError> {
    let digest = Digest { algorithm: HashAlgorithm::Sha256, bytes: [0; 32] };
    let case = catalogue::case_number_for(desk.partner, day, 0)?;
    let header = Header {
        message_id: MessageId([0; 16]),
        channel: ChannelId { from: desk.place.node(), to: desk.partner.node() },
        epoch: 0,
        kind: Kind::CaseForward.name().to_owned(),
        case_id: Some(case.parse().map_err(|error| DemoError::Broken(format!("case {case}: {error}")))?),
        in_reply_to: None,
        seen: LogPosition { epoch: 0, index: 100 },
        agreement: Some(digest),
        standard: Some(digest),
        created: SystemClock.now(),
        expires: None,
        body_digest: digest,
        body_length: (payload + BODY_SALT_BYTES) as u32,
        blobs: Vec::new(),
    };
    Ok(header.encode().len())
}
