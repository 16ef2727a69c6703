//! The cities at work: windows that receive and forward cases, approvers that decide them, consumers that
//! read and acknowledge. They outlive the processes of their nodes, repeat themselves under their own keys
//! until they have an answer, and give calls up in the middle.

use super::content::{self, Place};
use super::record::Acknowledged;
use super::world::{Site, World};
use gateway::committer::{Submission, Submitted};
use gateway::gateway::{InboxEntry, InboxReading};
use gateway::id::{CaseId, Kind, LogPosition, NodeId};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::blob::Attachment;
use gateway::service::person::Personal;
use gateway::wire::attachments::attach;
use gateway::wire::document::Document as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The consumer at every node.
pub(super) const DESK: &str = "desk";
/// Entries of files, one page of which is a chunk or so.
const BLOB_BYTES_MAX: u64 = 300_000;
/// How long after the last fault a submission may be without an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Whether the same call may be answered otherwise later.
pub(super) fn passes_by(code: RefusalCode) -> bool {
    use RefusalCode::*;
    matches!(
        code,
        Overloaded
            | Backlog
            | Quota
            | StagingFull
            | StoreUnknown
            | StoreFull
            | StoreDamaged
            | ChannelStopped
            | CommitterEnded
            | BlobDisk
            | BlobUploadOpen
    )
}

/// Counts something that must come to an end.
struct Busy(Arc<World>);

impl Busy {
    fn new(world: &Arc<World>) -> Self {
        world.busy.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(world))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Begins all work.
pub(super) fn begin(world: &Arc<World>) {
    for site in &world.sites {
        tokio::spawn(window(Arc::clone(world), Arc::clone(site)));
    }
}

/// Consumers read from the first moment on.
pub(super) fn open_desks(world: &Arc<World>) {
    for site in &world.sites {
        tokio::spawn(desk(Arc::clone(world), Arc::clone(site)));
    }
}

/// Publishes all documents; returns when everything is in effect everywhere.
pub(super) async fn conclude(world: &Arc<World>) {
    // Two frames each way and then silence: what is lost of them nothing later would miss, and no line of TCP
    // stands for ever on a loss.
    world.network.spare_frames(true);
    for (one, other) in world.pairs() {
        let ends = world.plan.ends.filter(|(pair, _)| *pair == (one, other)).map(|(_, at)| at);
        let nodes = [&world.sites[one], &world.sites[other]];
        let agreement = content::agreement(nodes[0].id, nodes[1].id, ends).to_json();
        for (site, peer) in [(nodes[0], nodes[1]), (nodes[1], nodes[0])] {
            let standard = content::standard(site.id).to_json();
            for (kind, payload) in
                [(Kind::StandardPublish, standard), (Kind::AgreementSign, agreement.clone())]
            {
                loop {
                    let life = site.alive().await;
                    let payload = payload.clone().into();
                    match life.gateway.publish_document(peer.id, kind, payload, None).await {
                        Ok(_) => break,
                        Err(refusal) if passes_by(refusal.code) => sleep(Duration::from_millis(100)).await,
                        Err(refusal) => {
                            world.violated("0 documents are taken", format!("{} {refusal:?}", site.id));
                            return;
                        }
                    }
                }
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    for site in &world.sites {
        loop {
            let documents = site.alive().await.gateway.documents();
            let agreed = documents.iter().filter(|document| document.signed_by.len() == 2).count();
            if agreed >= site.peers.len() {
                break;
            }
            if Instant::now() > deadline {
                world.violated("0 agreements come into effect", format!("{} has {agreed}", site.id));
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    world.network.spare_frames(false);
}

fn message(to: NodeId, case: &str, kind: Kind, payload: Vec<u8>) -> Submission {
    let case_id: CaseId = case.parse().expect("a case number");
    Submission {
        case_id: Some(case_id),
        alias: Some(format!("{case}/{kind}")),
        ..Submission::new(to, kind, payload.into())
    }
}

/// Submits until there is a definite answer.
pub(super) async fn submit(
    world: &Arc<World>,
    site: &Arc<Site>,
    submission: &Submission,
) -> Result<Submitted, Refusal> {
    let mut healed_since = None;
    loop {
        let life = site.alive().await;
        let call = life.gateway.submit(submission.clone());
        // Some callers do not wait for the answer; they ask again.
        let patience = match world.load_dice.happens(40_000) {
            true => world.load_dice.millis(0, 20),
            false => Duration::from_secs(30),
        };
        let answer = timeout(patience, call).await;
        world.trace.event(("answer", site.index, answer_code(&answer)), || {
            let key = submission.alias.as_deref().unwrap_or_default();
            format!("{} ← {key} to {}: {}", site.id, submission.to, answer_code(&answer))
        });
        match answer {
            Ok(Ok(submitted)) => {
                acknowledged(world, site, submission, &submitted, !life.dead.load(Ordering::SeqCst));
                return Ok(submitted);
            }
            Ok(Err(refusal)) if !passes_by(refusal.code) => return Err(refusal),
            Ok(Err(_)) | Err(_) => {}
        }
        if world.healed.load(Ordering::SeqCst) {
            let since: Instant = *healed_since.get_or_insert_with(Instant::now);
            if since.elapsed() > ANSWER {
                let key = submission.alias.as_deref().unwrap_or_default();
                world.violated("7 an answer in bounded time", format!("{} to {key}", site.id));
                return Err(RefusalCode::Overloaded.into());
            }
        }
        sleep(world.load_dice.millis(50, 1000)).await;
    }
}

fn answer_code(answer: &Result<Result<Submitted, Refusal>, tokio::time::error::Elapsed>) -> String {
    match answer {
        Ok(Ok(submitted)) => format!("{:?} duplicate={}", submitted.index, submitted.duplicate),
        Ok(Err(refusal)) => refusal.code.code().to_owned(),
        Err(_) => "given up".to_owned(),
    }
}

/// `firm`: its node's disk is still the one that has it.
fn acknowledged(world: &World, site: &Site, submission: &Submission, submitted: &Submitted, firm: bool) {
    let acknowledged = Acknowledged {
        kind: submission.kind,
        case: submission.case_id.clone(),
        payload: submission.payload.to_vec(),
        firm,
    };
    let mut record = world.record();
    let key = (site.id, submission.to, submitted.message_id);
    if let Some(before) = record.acknowledged.get(&key)
        && (before.payload != acknowledged.payload || before.kind != acknowledged.kind)
    {
        drop(record);
        world.violated("2 the same id, the same content", format!("{} {}", site.id, submitted.message_id));
        return;
    }
    record.acknowledged.insert(key, acknowledged);
}

/// Receives cases and forwards them.
async fn window(world: Arc<World>, site: Arc<Site>) {
    let mut number = 0;
    loop {
        let (least, most) = world.plan.window_millis;
        sleep(world.load_dice.millis(least, most)).await;
        if world.resting.load(Ordering::SeqCst) {
            return;
        }
        number += 1;
        let peer = Arc::clone(&world.sites[*world.load_dice.pick(&site.peers)]);
        tokio::spawn(one_case(Arc::clone(&world), Arc::clone(&site), peer, number, Busy::new(&world)));
    }
}

/// One application from the window on.
async fn one_case(world: Arc<World>, site: Arc<Site>, peer: Arc<Site>, number: u64, _busy: Busy) {
    let case = format!("SIM-{}-{}-{number}", site.id, peer.id);
    let mut payload = content::forward(number);
    if world.load_dice.happens(60_000) {
        match upload(&world, &site, number).await {
            Some(blob) => payload = attach(&payload, &[blob]).to_vec(),
            None => return,
        }
    }
    let forward = message(peer.id, &case, Kind::CaseForward, payload);
    let Ok(_) = submit(&world, &site, &forward).await else { return };
    let dice = &world.load_dice;
    if dice.happens(150_000) {
        // The same again, at any later time.
        sleep(dice.millis(0, 8000)).await;
        let _ = submit(&world, &site, &forward).await;
    }
    if dice.happens(50_000) {
        // The same key with other content is refused, by whoever knows the key.
        let other = Submission { payload: content::forward(number + 1_000_000).into(), ..forward.clone() };
        if let Some(life) = site.life() {
            let id = life.gateway.alias_id(peer.id, forward.alias.as_deref().unwrap_or_default());
            let dropped =
                matches!(life.gateway.message(peer.id, id), Ok(Some(state)) if state.refused.is_some());
            let taken = life.gateway.submit(other).await;
            let firm = world.record().acknowledged.get(&(site.id, peer.id, id)).is_some_and(|ack| ack.firm);
            if taken.is_ok() && firm && !dropped {
                world.violated("2 the same id, the same content", format!("{} took {case} twice", site.id));
            }
        }
    }
    if dice.happens(60_000) {
        // A receiving place that decides by itself.
        sleep(dice.millis(0, 5000)).await;
        let kind = *dice.pick(&[Kind::CaseGrant, Kind::CaseAccept, Kind::CaseSignFor, Kind::CaseClose]);
        let wrong = message(peer.id, &case, kind, content::act(kind));
        if submit(&world, &site, &wrong).await.is_ok() {
            // Taken before contact it waits; it must not get into the log. That is looked at in the end.
            world.trace.event(("wrong role staged", site.index), || format!("{} staged a {kind}", site.id));
        }
    }
    if dice.happens(120_000) {
        sleep(dice.millis(0, 8000)).await;
        let ask = message(peer.id, &case, Kind::CaseWithdrawAsk, content::act(Kind::CaseWithdrawAsk));
        let _ = submit(&world, &site, &ask).await;
    }
}

/// Uploads a file until it is taken; nothing when the run is over.
async fn upload(world: &Arc<World>, site: &Arc<Site>, number: u64) -> Option<Attachment> {
    let length = world.load_dice.between(1, BLOB_BYTES_MAX) as usize;
    let content: Vec<u8> = (0..length).map(|at| (at / 251) as u8 ^ number as u8 ^ site.index as u8).collect();
    let named = world.load_dice.happens(500_000).then(|| format!("scan-{number}"));
    loop {
        let life = site.alive().await;
        let attempt = async {
            let (mut upload, from) = match &named {
                Some(name) => {
                    let held = life.gateway.upload_held(name.clone()).await?;
                    (life.gateway.upload_blob_named(name.clone(), held).await?, held as usize)
                }
                None => (life.gateway.upload_blob().await?, 0),
            };
            for part in content.get(from..).unwrap_or_default().chunks(40_000) {
                upload.write(part.to_vec().into()).await?;
                sleep(world.load_dice.millis(0, 30)).await;
            }
            upload.finish().await
        };
        match attempt.await {
            Ok((blob, _)) => {
                world.trace.event(("uploaded", blob.length), || format!("{} has {length} bytes", site.id));
                world.record().uploaded.insert(blob.digest, content);
                let (name, media_type) = (Personal::new("a.pdf"), String::new());
                return Some(Attachment { digest: blob.digest, length: blob.length, name, media_type });
            }
            Err(refusal) => {
                world.trace.event(("not uploaded", refusal.code.code()), || {
                    format!("{} does not take the file: {:?}", site.id, refusal.code)
                });
                if world.resting.load(Ordering::SeqCst) {
                    return None;
                }
                sleep(world.load_dice.millis(100, 1000)).await;
            }
        }
    }
}

/// Reads a node's inbox, acts, and acknowledges.
async fn desk(world: Arc<World>, site: Arc<Site>) {
    loop {
        let life = site.alive().await;
        let mut reading = InboxReading::of(DESK);
        world.record().reads_anew(&site);
        loop {
            let page = life.gateway.next_inbox(&mut reading).await;
            let Ok(page) = page else { break };
            for entry in &page {
                world.trace.event(("reads", site.index, entry.position.index), || {
                    let kind = entry.header.as_ref().map_or("?", |header| header.kind.as_str());
                    format!(
                        "{} reads {} of {}: {kind} {:?}",
                        site.id, entry.position.index, entry.from, entry.verdict
                    )
                });
                if entry.stored.is_none() {
                    world.record().consumed(&world, &site, &life, entry);
                    react(&world, &site, entry);
                }
            }
            // It takes a while to act, and some die before they say so.
            sleep(world.load_dice.millis(0, 40)).await;
            let Some(last) = page.last() else { continue };
            if world.load_dice.happens(850_000) || world.resting.load(Ordering::SeqCst) {
                let next = LogPosition { index: last.position.index + 1, ..last.position };
                if life.gateway.acknowledge(DESK, last.from, next).await.is_ok() && last.stored.is_none() {
                    let mut record = world.record();
                    let firm = !life.dead.load(Ordering::SeqCst);
                    if let Some(seen) = record.consumers.get_mut(&(site.index, last.from)).filter(|_| firm) {
                        seen.acknowledged = next.index.max(seen.acknowledged);
                    }
                }
            }
            if world.load_dice.happens(20_000) {
                break; // the business system starts anew
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a business system does about an entry.
fn react(world: &Arc<World>, site: &Arc<Site>, entry: &InboxEntry) {
    let Some(header) = entry.header.as_ref().filter(|_| entry.verdict.is_none()) else { return };
    let Some(case) = header.case_id.as_ref().map(|case| case.as_str().to_owned()) else { return };
    let begun = world.record().begun.insert((site.index, format!("{case}/{}", header.kind)));
    if !begun {
        return;
    }
    let (world, site, from) = (Arc::clone(world), Arc::clone(site), entry.from);
    let kind = Kind::named(&header.kind);
    let busy = Busy::new(&world);
    tokio::spawn(async move {
        let _busy = busy;
        match kind {
            Some(Kind::CaseForward) => approve(&world, &site, from, &case).await,
            Some(Kind::CaseWithdrawAsk) => {
                sleep(world.load_dice.millis(0, 3000)).await;
                if world.load_dice.happens(700_000) {
                    let kind = Kind::CaseWithdrawConfirm;
                    let _ = submit(&world, &site, &message(from, &case, kind, content::act(kind))).await;
                }
            }
            Some(Kind::CaseClose) if world.load_dice.happens(300_000) => {
                let kind = Kind::CaseRate;
                let _ = submit(&world, &site, &message(from, &case, kind, content::act(kind))).await;
            }
            _ => {}
        }
    });
}

/// 属地 at work on one case, until it is closed or an act is refused.
async fn approve(world: &Arc<World>, site: &Arc<Site>, from: NodeId, case: &str) {
    let decision = if world.load_dice.happens(700_000) { Kind::CaseGrant } else { Kind::CaseDeny };
    for kind in [Kind::CaseSignFor, Kind::CaseAccept, Kind::CaseReview, decision, Kind::CaseClose] {
        debug_assert_eq!(content::owner(kind.name()), Some(Place::Competent));
        if !world.resting.load(Ordering::SeqCst) {
            sleep(world.load_dice.millis(10, 4000)).await;
        }
        let submission = message(from, case, kind, content::act(kind));
        let Ok(_) = submit(world, site, &submission).await else { return };
        if world.load_dice.happens(80_000) {
            let _ = submit(world, site, &submission).await;
        }
    }
}
