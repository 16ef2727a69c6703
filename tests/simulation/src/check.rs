//! What must hold: after every start, and when all faults have ended.

use super::content::{Place, owner};
use super::load::DESK;
use super::pki::pki;
use super::world::{Life, Site, World};
use gateway::committer::LogSnapshot;
use gateway::committer::ledger::read_case;
use gateway::entry::{Header, RawEntry, payload};
use gateway::id::{CaseId, ChannelId, LogId, MessageId, NodeId};
use gateway::limits::BLOB_CHUNK_BYTES;
use gateway::proof;
use gateway::reconcile::Depth;
use gateway::service::case::Case;
use gateway::store::Table;
use gateway::store::memory::MemoryDisk;
use prost::Message as _;
use proto::exchange::v1 as wire;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long after the last fault everything may take to be on both sides and answered.
const DRAIN: Duration = Duration::from_secs(90);
/// Proofs made and verified for each channel of a run.
const PROOFS: u64 = 3;

/// After a start: what was acknowledged is here, what was cosigned is here, what a consumer acknowledged
/// is not shown again.
pub(super) fn after_start(world: &Arc<World>, site: &Arc<Site>, life: &Arc<Life>) {
    let record = world.record();
    for ((from, to, id), acknowledged) in &record.acknowledged {
        if *from != site.id || !acknowledged.firm {
            continue;
        }
        if !matches!(life.gateway.message(*to, *id), Ok(Some(_))) {
            world.violated(
                "1 acknowledged is durable",
                format!("{} does not know {id} to {to} ({}) after a start", site.id, acknowledged.kind),
            );
        }
    }
    let snapshot = life.gateway.status();
    for (from, log) in &snapshot.inbound {
        let cosigned = record.firm_copy(log.log);
        if log.size < cosigned {
            world.violated(
                "1 cosigned is durable",
                format!("{} signed for {cosigned} entries of {from} and has {}", site.id, log.size),
            );
        }
        let read = record.consumers.get(&(site.index, *from)).map_or(0, |seen| seen.acknowledged);
        match life.gateway.cursor(DESK, *from) {
            Ok(cursor) if cursor.index < read => world.violated(
                "2 at most once",
                format!("{} forgot that {read} of {from} were acknowledged: {}", site.id, cursor.index),
            ),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Both logs of a pair are across, signed for, and nothing waits.
fn across(from: &LogSnapshot, to: &LogSnapshot) -> bool {
    let covered = from.cosigned.as_ref().map_or(0, |note| note.checkpoint().size);
    from.contacted && from.staged == 0 && from.size == to.size && covered == from.size
}

fn snapshots(one: &Life, other: &Life) -> Option<[(LogSnapshot, LogSnapshot); 2]> {
    let (here, there) = (one.gateway.status(), other.gateway.status());
    let (me, peer) = (one.gateway.node(), other.gateway.node());
    Some([
        (here.out.get(&peer)?.clone(), there.inbound.get(&me)?.clone()),
        (there.out.get(&me)?.clone(), here.inbound.get(&peer)?.clone()),
    ])
}

/// Waits until everything is drained; what is not by then is a violation.
pub(super) async fn drain(world: &Arc<World>) {
    let deadline = Instant::now() + DRAIN;
    loop {
        let busy = world.busy.load(Ordering::SeqCst);
        let mut open = Vec::new();
        if world.all_stand() {
            for (one, other) in world.pairs() {
                let (one, other) = (&world.sites[one], &world.sites[other]);
                let (Some(here), Some(there)) = (one.life(), other.life()) else { continue };
                let logs = snapshots(&here, &there);
                if !logs.is_some_and(|logs| logs.iter().all(|(from, to)| across(from, to))) {
                    open.push((one.id, other.id));
                }
                for (life, peer) in [(&here, other), (&there, one)] {
                    let read = world
                        .record()
                        .consumers
                        .get(&(if Arc::ptr_eq(life, &here) { one.index } else { other.index }, peer.id))
                        .map_or(0, |seen| seen.entries.len() as u64);
                    let size = life.gateway.status().inbound.get(&peer.id).map_or(0, |log| log.size);
                    if read < size {
                        open.push((life.gateway.node(), peer.id));
                    }
                }
            }
            if busy == 0 && open.is_empty() && blobs_missing(world).is_empty() {
                return;
            }
        }
        if Instant::now() > deadline || world.is_violated() {
            if !world.is_violated() {
                let down: Vec<_> =
                    world.sites.iter().filter(|site| site.life().is_none()).map(|site| site.id).collect();
                let blobs = blobs_missing(world);
                world.violated(
                    "7 everything drains",
                    format!(
                        "down {down:?}, at work {busy}, not drained {open:?}, files {blobs:?}\n{}",
                        told(world)
                    ),
                );
            }
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The state of all logs, a line each.
fn told(world: &World) -> String {
    let mut lines = Vec::new();
    for site in &world.sites {
        let Some(life) = site.life() else { continue };
        let snapshot = life.gateway.status();
        let size = |note: &Option<gateway::log::checkpoint::Note>| {
            note.as_ref().map_or(0, |note| note.checkpoint().size)
        };
        for (peer, log) in &snapshot.out {
            let copy = snapshot.inbound.get(peer);
            lines.push(format!(
                "  {} → {peer}: {} entries, signed {}, receipt {}, staged {}, contacted {}, linked {}, stopped {:?}; copy of its log {}",
                site.id, log.size, size(&log.checkpoint), size(&log.cosigned), log.staged, log.contacted,
                life.gateway.links().is_live(*peer), log.stopped.as_ref().map(|stop| stop.code),
                copy.map_or(0, |log| log.size)
            ));
        }
    }
    lines.join("\n")
}

/// Files that a permitted entry names and its receiver does not have.
fn blobs_missing(world: &World) -> Vec<String> {
    let mut missing = Vec::new();
    for (one, other) in world.pairs() {
        for (from, to) in [(one, other), (other, one)] {
            let Some(life) = world.sites[to].life() else { continue };
            let log =
                LogId { channel: ChannelId { from: world.sites[from].id, to: world.sites[to].id }, epoch: 0 };
            for (place, entry) in entries(&life, log).into_iter().enumerate() {
                let Some(attachment) = named(&entry) else { continue };
                if is_lost(world, from, &attachment) {
                    continue;
                }
                if life.gateway.blobs().held_bytes(&attachment.digest) < attachment.length {
                    missing.push(format!("{} of entry {place} of {log}", attachment.digest.to_text()));
                }
            }
        }
    }
    missing
}

/// Whether a file went with its sender's disk: only whoever uploaded it can bring it again.
fn is_lost(world: &World, from: usize, attachment: &gateway::service::blob::Attachment) -> bool {
    let lost = world.record().lost_store.contains(&from);
    let held = world.sites[from].life().map(|life| life.gateway.blobs().held_bytes(&attachment.digest));
    lost && held.is_none_or(|held| held < attachment.length)
}

/// The file that a permitted forward names.
fn named(entry: &(RawEntry, String)) -> Option<gateway::service::blob::Attachment> {
    let (raw, verdict) = entry;
    let header =
        Header::parse(&raw.header).ok().filter(|header| verdict.is_empty() && !header.blobs.is_empty())?;
    let kind = gateway::id::Kind::named(&header.kind)?;
    let payload = payload(raw.body.as_ref()?)?;
    gateway::wire::attachments::decode(kind, &payload).ok()?.into_iter().next()
}

/// All entries of a log, with their verdicts where this node judged them.
fn entries(life: &Life, log: LogId) -> Vec<(RawEntry, String)> {
    let mut entries = Vec::new();
    while let Ok(Some(batch)) = life.gateway.links().archive.batch(log, entries.len() as u64) {
        let verdicts = batch.verdicts.into_iter().chain(std::iter::repeat(String::new()));
        entries.extend(batch.entries.into_iter().zip(verdicts));
    }
    entries
}

/// All cases between two nodes as far as they crossed.
fn cases(life: &Life, pair: [NodeId; 2]) -> BTreeMap<String, Case> {
    let archive = &life.gateway.links().archive;
    let mut cases = BTreeMap::new();
    for (key, _) in archive.rows(Table::Case, &[]).unwrap_or_default() {
        let id: Option<CaseId> = std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok());
        let Some(id) = id else { continue };
        let Ok(Some(mut book)) = read_case(archive, &id) else { continue };
        book.facts.retain(|fact| !fact.local);
        if !book.facts.is_empty() && pair.contains(&book.receiving) && pair.contains(&book.competent) {
            cases.insert(id.to_string(), book.fold());
        }
    }
    cases
}

/// Everything that must hold at the end.
pub(super) async fn finish(world: &Arc<World>) {
    for (one, other) in world.pairs() {
        let (one, other) = (&world.sites[one], &world.sites[other]);
        let (Some(here), Some(there)) = (one.life(), other.life()) else { continue };
        for (from, to, sender, receiver) in [(one, other, &here, &there), (other, one, &there, &here)] {
            channel(world, (from, sender), (to, receiver));
        }
        let pair = [one.id, other.id];
        let (mine, theirs) = (cases(&here, pair), cases(&there, pair));
        if mine != theirs {
            let differ = mine.iter().find(|(id, case)| theirs.get(*id) != Some(case));
            let differ = differ.map(|(id, case)| (id, case.state, theirs.get(id).map(|case| case.state)));
            world.violated("6 both fold alike", format!("{pair:?}: {differ:?}"));
        }
        for (case, folded) in &mine {
            world.trace.event((case, folded.state.name()), || format!("{case}: {}", folded.state.name()));
        }
        statements(world, one, &here, other.id).await;
    }
    for site in &world.sites {
        if let Some(life) = site.life() {
            rebuilt(world, site, &life);
            tampered(world, site, &life);
        }
    }
    let record = world.record();
    for index in &record.rotten {
        // Nobody had to read it: then it must be found now, or the bit says nothing.
        let _ = index;
    }
}

/// One log, on both sides.
fn channel(
    world: &Arc<World>,
    (from, sender): (&Arc<Site>, &Arc<Life>),
    (to, receiver): (&Arc<Site>, &Arc<Life>),
) {
    let log = LogId { channel: ChannelId { from: from.id, to: to.id }, epoch: 0 };
    let (sent, received) = (entries(sender, log), entries(receiver, log));
    let differs = sent.len() != received.len()
        || sent
            .iter()
            .zip(&received)
            .any(|(one, other)| one.0.header != other.0.header || one.0.body != other.0.body);
    if differs {
        world.violated("4 copies are equal", format!("{log}: {} and {} entries", sent.len(), received.len()));
        return;
    }
    let Ok(end) = sender.gateway.channel(log.channel) else { return };
    world
        .trace
        .event((log.channel.to_string(), end.size, end.root), || format!("{log} has {} entries", end.size));
    {
        let mut record = world.record();
        record.root(world, log, end.size, end.root);
        if let Some(note) = &end.cosigned {
            record.root(world, log, note.checkpoint().size, note.checkpoint().root);
        }
        let cosigned = record.cosigned.get(&log).copied().unwrap_or(0);
        if cosigned > end.size {
            drop(record);
            world.violated(
                "1 cosigned is on both",
                format!("{log}: {cosigned} were cosigned, {} are here", end.size),
            );
        }
    }
    let headers: Vec<Option<Header>> =
        received.iter().map(|(raw, _)| Header::parse(&raw.header).ok()).collect();
    let mut ids: BTreeSet<MessageId> = BTreeSet::new();
    for header in headers.iter().flatten() {
        if !ids.insert(header.message_id) {
            world.violated("2 once", format!("{} stands twice in {log}", header.message_id));
        }
    }
    acknowledged(world, from, sender, to, &received, &headers);
    consumed(world, to, from, &received, &headers);
    roles(world, log, &received, &headers);
    agreed(world, from, to, &received, &headers);
    answered(world, log, sender, &received, &headers);
    files(world, from, to, receiver, &received);
    proofs(world, log, sender, receiver, &headers);
}

/// Whatever was acknowledged is in the log once, with its content, or known to be refused before it.
fn acknowledged(
    world: &World,
    from: &Site,
    sender: &Life,
    to: &Site,
    received: &[(RawEntry, String)],
    headers: &[Option<Header>],
) {
    let places: BTreeMap<MessageId, usize> = headers
        .iter()
        .enumerate()
        .filter_map(|(place, header)| Some((header.as_ref()?.message_id, place)))
        .collect();
    let record = world.record();
    let taken = record
        .acknowledged
        .range((from.id, to.id, MessageId([0; 16]))..=(from.id, to.id, MessageId([0xff; 16])));
    for ((_, _, id), acknowledged) in taken {
        match places.get(id) {
            Some(place) => {
                let header = headers[*place].as_ref();
                let sent = received[*place].0.body.as_ref().and_then(payload);
                let same = header.is_some_and(|header| {
                    header.kind == acknowledged.kind.name() && header.case_id == acknowledged.case
                }) && sent.as_deref() == Some(&acknowledged.payload[..]);
                if !same {
                    world.violated("2 the same content", format!("{id} to {} is another message", to.id));
                }
            }
            None if acknowledged.firm => {
                // Refused at its turn, before it had a place.
                let state = sender.gateway.message(to.id, *id);
                if !matches!(&state, Ok(Some(state)) if state.refused.is_some()) {
                    world.violated(
                        "2 exactly once",
                        format!(
                            "{id} from {} to {} ({}) was acknowledged and is not in the log: {state:?}",
                            from.id, to.id, acknowledged.kind
                        ),
                    );
                }
            }
            None => {}
        }
    }
}

/// The consumer saw each entry, in order.
fn consumed(
    world: &World,
    to: &Site,
    from: &Site,
    received: &[(RawEntry, String)],
    headers: &[Option<Header>],
) {
    let record = world.record();
    let seen = record.consumers.get(&(to.index, from.id));
    let seen = seen.map_or(&[][..], |seen| &seen.entries);
    let right = seen.len() == received.len()
        && seen
            .iter()
            .zip(headers)
            .all(|(seen, header)| seen.0 == header.as_ref().map(|header| header.message_id));
    if !right {
        world.violated(
            "2 each once and in order",
            format!("the desk of {} saw {} of {} entries of {}", to.id, seen.len(), received.len(), from.id),
        );
    }
}

/// Nobody does what is the other's to do.
fn roles(world: &World, log: LogId, received: &[(RawEntry, String)], headers: &[Option<Header>]) {
    let mut states: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (header, (_, verdict)) in headers.iter().zip(received) {
        let Some(header) = header.as_ref().filter(|_| verdict.is_empty()) else { continue };
        let (Some(place), Some(case)) = (owner(&header.kind), &header.case_id) else { continue };
        // SIM-receiving-competent-number
        let parts: Vec<&str> = case.as_str().split('-').collect();
        let [_, receiving, competent, _] = parts[..] else { continue };
        let by = match place {
            Place::Receiving => receiving,
            Place::Competent => competent,
        };
        if by != log.channel.from.as_str() {
            world.violated("6 roles", format!("{} did {} of {case}", log.channel.from, header.kind));
        }
        if place == Place::Competent {
            states.entry(case.as_str()).or_default().push(&header.kind);
        }
    }
    const COURSE: [&[&str]; 5] = [
        &["case.signfor"],
        &["case.accept"],
        &["case.review"],
        &["case.grant", "case.deny"],
        &["case.close"],
    ];
    for (case, acts) in states {
        // The acts of the competent place are in one log: each comes once and in its order.
        let stages: Vec<usize> =
            acts.iter().filter_map(|act| COURSE.iter().position(|stage| stage.contains(act))).collect();
        if !stages.is_sorted_by(|one, next| one < next) {
            world.violated("6 transitions", format!("{case}: {acts:?}"));
        }
    }
}

/// No case is opened under an agreement whose term is over, by its author's own clock.
fn agreed(
    world: &World,
    from: &Site,
    to: &Site,
    received: &[(RawEntry, String)],
    headers: &[Option<Header>],
) {
    let pair = (from.index.min(to.index), from.index.max(to.index));
    let Some((_, until)) = world.plan.ends.filter(|(ends, _)| *ends == pair) else { return };
    let until = gateway::time::UnixMillis(super::EPOCH + until);
    for (header, (_, verdict)) in headers.iter().zip(received) {
        let Some(header) = header.as_ref().filter(|_| verdict.is_empty()) else { continue };
        if header.kind == "case.forward" && header.created >= until {
            world.violated(
                "6 only what was agreed",
                format!("{:?} was opened after the term", header.case_id),
            );
        }
    }
}

/// Every entry that was refused is answered once in the reverse channel; a refusal never is.
fn answered(
    world: &World,
    log: LogId,
    sender: &Life,
    received: &[(RawEntry, String)],
    headers: &[Option<Header>],
) {
    let reverse = LogId { channel: log.channel.reverse(), epoch: 0 };
    let mut answers: Vec<u64> = Vec::new();
    for (raw, _) in entries(sender, reverse) {
        let header = Header::parse(&raw.header).ok().filter(|header| header.kind == "refusal");
        let payload = header.and(raw.body.as_ref()).and_then(payload);
        let refusal = payload.and_then(|payload| wire::Refusal::decode(payload).ok());
        answers.extend(refusal.map(|refusal| refusal.refused_index));
    }
    answers.sort_unstable();
    let refused = headers.iter().zip(received).zip(0..).filter(|((header, (_, verdict)), _)| {
        !verdict.is_empty() && header.as_ref().is_none_or(|header| header.kind != "refusal")
    });
    let refused: Vec<u64> = refused.map(|(_, place)| place).collect();
    if answers != refused {
        world.violated(
            "7 what is refused is answered",
            format!("{log}: entries {refused:?} were refused, answered {answers:?}"),
        );
    }
}

/// Files are at their receiver as they were uploaded.
fn files(world: &World, from: &Site, to: &Site, receiver: &Life, received: &[(RawEntry, String)]) {
    let Ok(store) = to.disk.open_blobs(0, to.file_clock()) else { return };
    for entry in received {
        let Some(attachment) = named(entry) else { continue };
        let Some(content) = world.record().uploaded.get(&attachment.digest).cloned() else { continue };
        if is_lost(world, from.index, &attachment) {
            continue;
        }
        let read = store.reader(&attachment.digest).and_then(|reader| {
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < reader.length() {
                let more = reader.chunks((bytes.len() / BLOB_CHUNK_BYTES) as u64, 4)?;
                more.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
            }
            Ok(bytes)
        });
        if read.as_ref().ok() != Some(&content) {
            let why = read.map(|read| read.len());
            world.violated(
                "1 files are whole",
                format!(
                    "{} at {}: {why:?} of {}",
                    attachment.digest.to_text(),
                    receiver.gateway.node(),
                    content.len()
                ),
            );
        }
    }
}

/// Receipts of some entries verify with anchors alone.
fn proofs(world: &World, log: LogId, sender: &Life, receiver: &Life, headers: &[Option<Header>]) {
    let anchors = pki().anchors();
    for number in 0..PROOFS.min(headers.len() as u64) {
        // The last one, and any others.
        let place = match number {
            0 => headers.len() - 1,
            _ => world.fault_dice.below(headers.len() as u64) as usize,
        };
        let Some(header) = &headers[place] else { continue };
        for life in [sender, receiver] {
            let bundle = life.gateway.export_proof(log.channel, header.message_id);
            let found = bundle.and_then(|bundle| proof::verify(&bundle, &anchors));
            match found {
                Ok(found) if found.index == place as u64 && found.message_id == header.message_id => {}
                other => world.violated(
                    "3 receipts verify offline",
                    format!(
                        "entry {place} of {log} at {}: {:?}",
                        life.gateway.node(),
                        other.map(|found| found.index)
                    ),
                ),
            }
        }
    }
}

/// Both sides' statements are equal.
async fn statements(world: &Arc<World>, site: &Site, life: &Arc<Life>, peer: NodeId) {
    let mut last = None;
    for _ in 0..5 {
        match life.gateway.reconcile(peer, Depth::Rehashed, Duration::from_secs(10)).await {
            Ok(comparison) if comparison.balanced() && !comparison.in_flight => return,
            other => last = Some(other.map(|comparison| comparison.breaks).map_err(|refusal| refusal.code)),
        }
        sleep(Duration::from_secs(2)).await;
    }
    world.violated("7 statements are equal", format!("{} with {peer}: {last:?}", site.id));
}

/// The index is what the journal says: made anew, it has the same rows.
fn rebuilt(world: &World, site: &Site, life: &Life) {
    let anew = MemoryDisk::new();
    anew.restore(&site.disk.snapshot());
    anew.drop_index();
    let rows = |archive: &gateway::archive::Archive| -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
        let of = |table: Table| {
            let rows = archive.rows(table, &[]).unwrap_or_default();
            rows.into_iter().map(move |(key, value)| ((table, key.to_vec()), value.to_vec()))
        };
        Table::ALL.into_iter().flat_map(of).collect()
    };
    match super::world::reopened(world, site, &anew) {
        Ok(archive) => {
            let (now, anew) = (rows(&life.gateway.links().archive), rows(&archive));
            let differs = now.keys().chain(anew.keys()).find(|key| now.get(*key) != anew.get(*key));
            if let Some((table, key)) = differs {
                let name = String::from_utf8_lossy(key).into_owned();
                world.violated("the journal is enough", format!("{}: {table:?} {name:?} differs", site.id));
            }
        }
        Err(error) => world.violated("the journal is enough", format!("{}: {error}", site.id)),
    }
}

/// A changed bit in a copy of the journal is found and named, or says nothing.
fn tampered(world: &World, site: &Site, life: &Life) {
    let copy = MemoryDisk::new();
    copy.restore(&site.disk.snapshot());
    let Ok(before) = copy.inspect() else {
        world.violated("8 tampering is named", format!("{}: a sound journal is not read", site.id));
        return;
    };
    let files = copy.files();
    let known = life.gateway.status().position;
    let file = world.fault_dice.pick(&files).clone();
    let last = files.last().is_some_and(|last| *last == file);
    if files.len() > 1 && !last && world.fault_dice.happens(300_000) {
        copy.delete_file(&file.0);
        if copy.inspect().is_ok_and(|after| after.readable >= before.readable) {
            world.violated("8 tampering is named", format!("{}: {} was deleted", site.id, file.0));
        }
        return;
    }
    let used = if last && files.len() == 1 { before.bytes.min(file.1) } else { file.1 };
    let offset = world.fault_dice.between(0, used.saturating_sub(1));
    copy.flip_bit(&file.0, offset, (world.fault_dice.next() % 8) as u8);
    let named = copy.inspect().map_or(true, |after| after != before);
    if named || super::world::same_frames(site, &copy, known) {
        return;
    }
    world.violated("8 tampering is named", format!("{}: a bit of {} at {offset}", site.id, file.0));
}
