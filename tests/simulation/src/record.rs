//! What the world outside remembers of the nodes: what they acknowledged, signed for and showed. It is
//! compared with what they say later.

use super::world::{Life, Site, World};
use gateway::gateway::InboxEntry;
use gateway::id::{CaseId, Digest, Kind, LogId, MessageId, NodeId};
use gateway::log::checkpoint::Note;
use gateway::suite::Hash;
use proto::exchange::v1 as wire;
use std::collections::{BTreeMap, BTreeSet};

/// A message that its node acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) kind: Kind,
    pub(super) case: Option<CaseId>,
    pub(super) payload: Vec<u8>,
    /// Its node's disk has not been replaced or cut since.
    pub(super) firm: bool,
}

/// What one consumer saw of one channel.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By place: id and payload.
    pub(super) entries: Vec<(Option<MessageId>, Option<Vec<u8>>)>,
    /// Places below it were acknowledged.
    pub(super) acknowledged: u64,
    /// The life in which it reads, and the place that comes next there.
    next: Option<(u64, u64)>,
}

#[derive(Default)]
pub(super) struct Record {
    /// What both signed, ever.
    roots: BTreeMap<(LogId, u64), Hash>,
    /// What the sender signed, since its disk was last replaced or cut: what nobody has signed for it
    /// signs anew then.
    signed: BTreeMap<(LogId, u64), Hash>,
    /// The largest size of each log for which its receiver's signature was ever shown.
    pub(super) cosigned: BTreeMap<LogId, u64>,
    /// The same since the receiver's disk was last replaced or cut.
    firm: BTreeMap<LogId, u64>,
    pub(super) acknowledged: BTreeMap<(NodeId, NodeId, MessageId), Acknowledged>,
    pub(super) consumers: BTreeMap<(usize, NodeId), Seen>,
    /// Cases that somebody at the competent place works on, or works on again.
    pub(super) begun: BTreeSet<(usize, String)>,
    /// Sites whose disk rotted, until somebody said so.
    pub(super) rotten: BTreeSet<usize>,
    pub(super) lost_store: BTreeSet<usize>,
    /// Channels in which somebody lied in the sender's name, at the receiver.
    pub(super) forged: BTreeSet<(usize, NodeId)>,
    pub(super) uploaded: BTreeMap<Digest, Vec<u8>>,
    /// Own stops that the operator ended.
    pub(super) resumed: u64,
}

impl Record {
    /// Looks at every note that crosses the network.
    pub(super) fn witness(&mut self, world: &World, from: NodeId, frame: &wire::Frame) {
        use wire::frame::Kind::*;
        match &frame.kind {
            Some(Open(open)) => {
                for state in [&open.outbound, &open.inbound].into_iter().flatten() {
                    self.note(world, from, &state.checkpoint);
                    self.note(world, from, &state.cosigned);
                }
            }
            Some(Batch(batch)) => self.note(world, from, &batch.checkpoint),
            Some(Cosigned(cosigned)) => self.note(world, from, &cosigned.checkpoint),
            Some(Recovered(recovered)) => self.note(world, from, &recovered.checkpoint),
            _ => {}
        }
    }

    fn note(&mut self, world: &World, from: NodeId, bytes: &[u8]) {
        let Ok(note) = Note::parse(bytes) else { return };
        let (log, size, root) = (note.checkpoint().log, note.checkpoint().size, note.checkpoint().root);
        let known = *self.signed.entry((log, size)).or_insert(root);
        if known != root {
            world.violated("4 one root per size", format!("two signed roots for {size} of {log}"));
        }
        if note.cosignature_seconds().is_some() {
            self.root(world, log, size, root);
            let largest = self.cosigned.entry(log).or_insert(0);
            *largest = size.max(*largest);
            // Others may show what it signed before it lost its disk, and so may what it left in a stream.
            let stands = world.sites.iter().any(|site| site.id == from && site.life().is_some());
            if log.channel.to == from && stands {
                let largest = self.firm.entry(log).or_insert(0);
                *largest = size.max(*largest);
            }
        }
    }

    /// One root that both signed for one size of a log, ever.
    pub(super) fn root(&mut self, world: &World, log: LogId, size: u64, root: Hash) {
        let known = *self.roots.entry((log, size)).or_insert(root);
        if known != root {
            world.violated("4 one root per size", format!("two roots for {size} of {log}"));
        }
    }

    /// What of a node is on its disk for certain.
    pub(super) fn firm_copy(&self, log: LogId) -> u64 {
        self.firm.get(&log).copied().unwrap_or(0)
    }

    pub(super) fn is_forged(&self, site: usize, from: NodeId) -> bool {
        self.forged.contains(&(site, from))
    }

    /// A disk was replaced by an old one, or cut: what only it had may be gone.
    pub(super) fn restored(&mut self, world: &World, site: &Site) {
        self.lost_store.insert(site.index);
        for ((from, ..), acknowledged) in &mut self.acknowledged {
            if *from == site.id {
                acknowledged.firm = false;
            }
        }
        self.firm.retain(|log, _| log.channel.to != site.id);
        self.signed.retain(|(log, _), _| log.channel.from != site.id);
        for ((index, _), seen) in &mut self.consumers {
            if *index == site.index {
                seen.acknowledged = 0;
                seen.next = None;
            }
        }
        world.trace.event(("lost", site.index), || format!("{} lost what only it had", site.id));
    }

    pub(super) fn damage_named(&mut self, site: &Site) {
        self.rotten.remove(&site.index);
    }

    pub(super) fn died(&mut self, site: &Site) {
        for ((index, _), seen) in &mut self.consumers {
            if *index == site.index {
                seen.next = None;
            }
        }
    }

    /// A consumer begins to read again at what it acknowledged.
    pub(super) fn reads_anew(&mut self, site: &Site) {
        self.died(site);
    }

    /// A consumer sees an entry: in order, without a gap, and the same as ever.
    pub(super) fn consumed(&mut self, world: &World, site: &Site, life: &Life, entry: &InboxEntry) {
        let seen = self.consumers.entry((site.index, entry.from)).or_default();
        let index = entry.position.index;
        let expected = seen.next.filter(|(of, _)| *of == life.number).map(|(_, next)| next);
        let begins_right = index <= seen.entries.len() as u64 && index >= seen.acknowledged.min(index);
        if expected.map_or(!begins_right, |expected| expected != index) {
            world.violated(
                "2 in order",
                format!("{} shows entry {index} of {} where {expected:?} comes", site.id, entry.from),
            );
        }
        // Whatever it acknowledged it does not see again, unless the disk that knew so is gone.
        if expected.is_none() && index < seen.acknowledged {
            world.violated(
                "2 at most once",
                format!(
                    "{} shows entry {index} of {} again, {} were acknowledged",
                    site.id, entry.from, seen.acknowledged
                ),
            );
        }
        seen.next = Some((life.number, index + 1));
        let what = (
            entry.header.as_ref().map(|header| header.message_id),
            entry.payload.as_ref().map(|payload| payload.to_vec()),
        );
        match seen.entries.get(index as usize) {
            None if index as usize == seen.entries.len() => seen.entries.push(what),
            Some(known) if *known == what => {}
            _ => world.violated(
                "2 the same entry at the same place",
                format!("{} shows another entry {index} of {} than before", site.id, entry.from),
            ),
        }
    }
}
