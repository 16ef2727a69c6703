//! Reconciliation (对账): do both copies of both channels agree? Roots at a common cut-off, and with
//! [`Depth::Rehashed`] counts by kind and, when nothing is in flight, cases by state.
//!
//! [`plan`] compares; this file gathers. Stored roots tell in no time whether two nodes were told the
//! same. Re-hashed ones are computed from headers that are read again: a disk that rotted since is found.

pub mod books;
pub mod plan;

use crate::committer::ledger::read_case;
use crate::entry::Header;
use crate::id::{CaseId, ChannelId, Kind, LogId, NodeId};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use crate::link::Links;
use crate::log::leaf::leaf_hash;
use crate::log::proof::root_at;
use crate::log::tree::Frontier;
use crate::refusal::{Refusal, RefusalCode};
use crate::store::{Direction, Table};
use bytes::Bytes;
use plan::{Comparison, LogTotals};
use proto::exchange::v1 as wire;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Cases that are read at once.
const PAGE: usize = 1024;

/// What roots are taken from, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Nodes of the tree as the index holds them. Nothing is counted: equal roots have equal counts.
    Stored,
    /// Every header, read again.
    Rehashed,
}

impl Depth {
    fn asked(request: &wire::ReconcileRequest) -> Self {
        if request.stored_roots { Self::Stored } else { Self::Rehashed }
    }
}

/// Reconciles both channels with a connected peer.
///
/// # Errors
/// When the peer is not connected, does not answer in time, or the own store cannot be read.
pub async fn run(
    links: &Arc<Links>,
    peer: NodeId,
    depth: Depth,
    timeout: Duration,
) -> Result<Comparison, Refusal> {
    let (out, inbound) = (links.out_log(peer), links.in_log(peer));
    let request = wire::ReconcileRequest {
        request: 0,
        outbound_size_max: held(links, out),
        inbound_size_max: held(links, inbound),
        stored_roots: depth == Depth::Stored,
    };
    let late = || Refusal::new(RefusalCode::NotContacted, format!("node={peer} did not answer in time"));
    let reply =
        tokio::time::timeout(timeout, links.ask_totals(peer, request)).await.map_err(|_| late())??;
    let theirs = |totals: Option<wire::ChannelTotals>, log: LogId| {
        let totals = totals.unwrap_or_default();
        if totals.epoch != log.epoch {
            return Err(Refusal::new(RefusalCode::WrongEpoch, format!("peer={}", totals.epoch)));
        }
        let root = totals.root[..].try_into();
        let root =
            root.map_err(|_| Refusal::new(RefusalCode::BadRequest, "the peer's root is not 32 bytes"))?;
        // A node of an earlier release counts all the same.
        let by_kind = if depth == Depth::Stored { Vec::new() } else { totals.by_kind };
        Ok(LogTotals { size: totals.size, held: totals.held, root, by_kind: counts(by_kind) })
    };
    // The peer's inbound log is our outbound log.
    let out_theirs = theirs(reply.inbound, out)?;
    let in_theirs = theirs(reply.outbound, inbound)?;
    let sizes = (out_theirs.size, in_theirs.size);
    let states_theirs = if depth == Depth::Stored { BTreeMap::new() } else { counts(reply.cases_by_state) };
    let threads = links.threads;
    let links = Arc::clone(links);
    threads
        .begin(move || {
            let out_ours = totals(&links, out, sizes.0, depth)?;
            let in_ours = totals(&links, inbound, sizes.1, depth)?;
            let states_ours = cases_by_state(&links, peer, depth)?;
            Ok(plan::compare(
                [(out.channel, out_ours, out_theirs), (inbound.channel, in_ours, in_theirs)],
                states_ours,
                states_theirs,
            ))
        })
        .await
        .unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
}

/// Answers a peer's question.
pub(crate) async fn answer(
    links: &Arc<Links>,
    peer: NodeId,
    request: wire::ReconcileRequest,
) -> Result<wire::ReconcileReply, Refusal> {
    let threads = links.threads;
    let links = Arc::clone(links);
    let depth = Depth::asked(&request);
    threads
        .begin(move || {
            let (out, inbound) = (links.out_log(peer), links.in_log(peer));
            // The asker's outbound log is our inbound log.
            let inbound_totals = totals(&links, inbound, request.outbound_size_max, depth)?;
            let out_totals = totals(&links, out, request.inbound_size_max, depth)?;
            let to_wire = |log: LogId, totals: LogTotals| wire::ChannelTotals {
                epoch: log.epoch,
                size: totals.size,
                root: Bytes::copy_from_slice(&totals.root),
                by_kind: to_counts(totals.by_kind),
                held: totals.held,
            };
            Ok(wire::ReconcileReply {
                request: request.request,
                outbound: Some(to_wire(out, out_totals)),
                inbound: Some(to_wire(inbound, inbound_totals)),
                cases_by_state: to_counts(cases_by_state(&links, peer, depth)?),
            })
        })
        .await
        .unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
}

fn counts(counts: Vec<wire::Count>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|count| (count.name, count.count)).collect()
}

fn to_counts(counts: BTreeMap<String, u64>) -> Vec<wire::Count> {
    counts.into_iter().map(|(name, count)| wire::Count { name, count }).collect()
}

fn held(links: &Links, log: LogId) -> u64 {
    let snapshot = links.snapshot.read().expect("no holder of the snapshot panics");
    let logs = if log.channel.from == links.me {
        snapshot.out.get(&log.channel.to)
    } else {
        snapshot.inbound.get(&log.channel.from)
    };
    logs.map_or(0, |log| log.size)
}

/// Totals of the first `size_max` entries of a log, or of all when it has fewer.
fn totals(links: &Links, log: LogId, size_max: u64, depth: Depth) -> Result<LogTotals, Refusal> {
    let held = held(links, log);
    let size = held.min(size_max);
    let mut by_kind = BTreeMap::new();
    let damaged = |error: String| Refusal::new(RefusalCode::StoreDamaged, error);
    if depth == Depth::Stored {
        let root = root_at(links.suite, &links.archive.nodes(links.suite, log), size);
        let root = root.map_err(|error| damaged(error.to_string()))?;
        return Ok(LogTotals { size, held, root, by_kind });
    }
    let mut frontier = Frontier::new(links.suite);
    while frontier.size() < size {
        let batch = links
            .archive
            .batches(log, frontier.size(), BATCH_ENTRIES_MAX, BATCH_BYTES_MAX)
            .map_err(|error| damaged(error.to_string()))?
            .ok_or_else(|| damaged(format!("{log} ends at {}", frontier.size())))?;
        for entry in batch.entries.iter().take((size - frontier.size()) as usize) {
            let leaf = leaf_hash(links.suite, &entry.header).map_err(|error| damaged(error.to_string()))?;
            frontier.append(leaf, |_, _, _| {});
            let kind = Header::parse(&entry.header).ok().and_then(|header| Kind::named(&header.kind));
            let name = kind.map_or("(unknown)", Kind::name).to_owned();
            *by_kind.entry(name).or_insert(0) += 1;
        }
    }
    Ok(LogTotals { size, held, root: frontier.root(), by_kind })
}

/// Cases between this node and the peer, by state.
fn cases_by_state(links: &Links, peer: NodeId, depth: Depth) -> Result<BTreeMap<String, u64>, Refusal> {
    let damaged = |error: String| Refusal::new(RefusalCode::StoreDamaged, error);
    let mut states = BTreeMap::new();
    if depth == Depth::Stored {
        return Ok(states);
    }
    let between = [ChannelId { from: links.me, to: peer }, ChannelId { from: peer, to: links.me }];
    let mut from = Vec::new();
    loop {
        let page = links.archive.index().range(Table::Case, &from, &[], PAGE, Direction::Ascending);
        let page = page.map_err(|error| damaged(error.to_string()))?;
        let Some((last, _)) = page.last() else { return Ok(states) };
        from = last.to_vec();
        from.push(0);
        for (key, _) in page {
            let id: CaseId = std::str::from_utf8(&key)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| damaged("a case row's key".into()))?;
            let book = read_case(&links.archive, &id).map_err(|error| damaged(error.to_string()))?;
            let Some(book) = book else { continue };
            let channel = ChannelId { from: book.receiving, to: book.competent };
            // A case that never crossed, or was refused, is nothing between the two.
            if between.contains(&channel) && book.facts.iter().any(|fact| !fact.local) {
                *states.entry(book.fold().state.name().to_owned()).or_insert(0) += 1;
            }
        }
    }
}
