//! Reads logs back: batches, single entries, Merkle nodes. Shared by the committer, the links and the
//! local interface; reads only what is durable.

use crate::committer::rows::{self, Place};
use crate::entry::RawEntry;
use crate::id::{ChannelId, LogId, MessageId};
use crate::limits::FRAMES_KEPT_BYTES_MAX;
use crate::log::tree::{MissingNode, Nodes, TILE_HEIGHT, TILE_NODES, subtree_root};
use crate::store::index::prefix_end;
use crate::store::{
    Direction, Durable, Index, IndexError, JournalError, JournalReader, Locator, Placed, Table,
};
use crate::suite::{Hash, Suite};
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1::{Commit, Fact, MessageRow, fact};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Why something could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The journal's.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index's.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A Merkle node that should be there is not.
    #[error(transparent)]
    Node(#[from] MissingNode),
    /// What lies in the journal is not what the index says.
    #[error(
        "the index does not fit the journal ({0}); delete the index folder and start again, it is rebuilt"
    )]
    Mismatch(&'static str),
}

/// Entries that stand one after another in a log, and a checkpoint of exactly their end.
#[derive(Debug, Clone)]
pub struct StoredBatch {
    /// Index of the first entry.
    pub first: u64,
    /// The entries.
    pub entries: Vec<RawEntry>,
    /// By position: the refusal code, empty when permitted. Inbound logs only.
    pub verdicts: Vec<String>,
    /// The note.
    pub checkpoint: Bytes,
}

struct DecodedCommit {
    /// Bytes of its frame.
    bytes: usize,
    commit: Arc<Commit>,
    bodies: Vec<Option<Bytes>>,
}

impl DecodedCommit {
    fn at(&self, place: Place) -> Result<(&Fact, &[Option<Bytes>]), ArchiveError> {
        let fact = self.commit.facts.get(place.fact as usize);
        let fact = fact.ok_or(ArchiveError::Mismatch("a commit has fewer facts"))?;
        let bodies = self.bodies.get(place.body as usize..(place.body + place.count) as usize);
        Ok((fact, bodies.ok_or(ArchiveError::Mismatch("a commit has fewer bodies"))?))
    }
}

/// A body that stands; an empty one is none.
fn present(body: &Option<Bytes>) -> Option<Bytes> {
    body.clone().filter(|body| !body.is_empty())
}

/// Decoded commits that are kept: neighbours are read one after another.
const COMMITS_KEPT: usize = 64;

/// Reads what is durable.
pub struct Archive {
    journal: Arc<dyn JournalReader>,
    index: Arc<dyn Index>,
    recent: Mutex<VecDeque<(Locator, Arc<DecodedCommit>)>>,
    /// By log: where its newest batches lie.
    places: Mutex<HashMap<Vec<u8>, NewestBatches>>,
}

/// First index and place of a log's newest batches.
type NewestBatches = VecDeque<(u64, Place)>;

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl Archive {
    /// An archive over a journal and the index that reflects it.
    pub fn new(journal: Arc<dyn JournalReader>, index: Arc<dyn Index>) -> Self {
        Self { journal, index, recent: Mutex::default(), places: Mutex::default() }
    }

    /// The index, for look-ups of rows.
    pub fn index(&self) -> &dyn Index {
        &*self.index
    }

    /// Whether the batch that holds entry `index` is in memory, so that reading it asks no disk.
    pub fn is_recent(&self, log: LogId, index: u64) -> bool {
        self.recent_place(log, index).is_some_and(|(_, place)| self.recent(place.locator).is_some())
    }

    /// Where a batch of the last commits lies: its first index and its place.
    fn recent_place(&self, log: LogId, index: u64) -> Option<(u64, Place)> {
        let places = self.places.lock().expect("no holder of the places panics");
        let holds =
            |(first, place): &&(u64, Place)| (*first..*first + u64::from(place.count)).contains(&index);
        places.get(&rows::log_prefix(log))?.iter().rev().find(holds).copied()
    }

    /// Keeps where the batches of a commit lie; `rows` are its rows of table Batch.
    pub fn remember_places<'a>(&self, rows: impl Iterator<Item = (&'a [u8], Place)>) {
        let mut places = self.places.lock().expect("no holder of the places panics");
        for (key, place) in rows {
            let Some((log, first)) = key.split_last_chunk::<8>() else { continue };
            let of_log = places.entry(log.to_vec()).or_default();
            of_log.push_back((u64::from_be_bytes(*first), place));
            if of_log.len() > COMMITS_KEPT {
                of_log.pop_front();
            }
        }
    }

    fn recent(&self, locator: Locator) -> Option<Arc<DecodedCommit>> {
        let recent = self.recent.lock().expect("no holder of the cache panics");
        recent.iter().rev().find(|(at, _)| *at == locator).map(|(_, commit)| Arc::clone(commit))
    }

    fn commit(&self, locator: Locator) -> Result<Arc<DecodedCommit>, ArchiveError> {
        if let Some(commit) = self.recent(locator) {
            return Ok(commit);
        }
        let frame = self.journal.read(locator)?;
        let bodies: usize = frame.bodies.iter().flatten().map(Bytes::len).sum();
        let bytes = frame.meta.len() + bodies;
        let commit =
            Commit::decode(frame.meta).map_err(|_| ArchiveError::Mismatch("a frame is no commit"))?;
        let decoded = Arc::new(DecodedCommit { bytes, commit: Arc::new(commit), bodies: frame.bodies });
        self.keep(locator, Arc::clone(&decoded));
        Ok(decoded)
    }

    /// Keeps a commit that just became durable: whoever delivers it need not read it back.
    pub fn remember(&self, placed: &Durable<Placed>, commit: Arc<Commit>, bodies: Vec<Bytes>, bytes: usize) {
        let bodies = bodies.into_iter().map(Some).collect();
        self.keep(placed.locator, Arc::new(DecodedCommit { bytes, commit, bodies }));
    }

    fn keep(&self, locator: Locator, decoded: Arc<DecodedCommit>) {
        let mut recent = self.recent.lock().expect("no holder of the cache panics");
        recent.push_back((locator, decoded));
        let held = |recent: &VecDeque<(Locator, Arc<DecodedCommit>)>| {
            recent.iter().map(|(_, commit)| commit.bytes).sum::<usize>()
        };
        while recent.len() > COMMITS_KEPT || recent.len() > 1 && held(&recent) > FRAMES_KEPT_BYTES_MAX {
            recent.pop_front();
        }
    }

    /// The fact at a place and its bodies (nothing where one was erased or never came).
    ///
    /// # Errors
    /// When the journal cannot be read there or the place leads nowhere.
    pub fn fact(&self, place: Place) -> Result<(Fact, Vec<Option<Bytes>>), ArchiveError> {
        let decoded = self.commit(place.locator)?;
        let (fact, bodies) = decoded.at(place)?;
        Ok((fact.clone(), bodies.iter().map(present).collect()))
    }

    /// The stored batch that holds entry `index` of `log`, from that entry on. Nothing at the end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn batch(&self, log: LogId, index: u64) -> Result<Option<StoredBatch>, ArchiveError> {
        let found = match self.recent_place(log, index) {
            Some(found) => Some(found),
            None => self.stored_place(log, index)?,
        };
        let Some((first, place)) = found else { return Ok(None) };
        let Some(skip) = index.checked_sub(first).filter(|skip| *skip < u64::from(place.count)) else {
            return Ok(None);
        };
        let decoded = self.commit(place.locator)?;
        let (fact, bodies) = decoded.at(place)?;
        const PERMITTED: &[String] = &[];
        let (headers, verdicts, checkpoint) = match &fact.kind {
            Some(fact::Kind::Appended(fact)) => (&fact.headers, PERMITTED, &fact.checkpoint),
            Some(fact::Kind::Accepted(fact)) => (&fact.headers, &fact.verdicts[..], &fact.checkpoint),
            Some(fact::Kind::Restored(fact)) => (&fact.headers, PERMITTED, &fact.checkpoint),
            _ => return Err(ArchiveError::Mismatch("a batch row leads to another fact")),
        };
        let skip = skip as usize;
        let entries = headers.iter().zip(bodies).skip(skip);
        Ok(Some(StoredBatch {
            first: index,
            entries: entries
                .map(|(header, body)| RawEntry { header: header.clone(), body: present(body) })
                .collect(),
            verdicts: verdicts.iter().skip(skip).cloned().collect(),
            checkpoint: checkpoint.clone(),
        }))
    }

    /// Where the last batch that begins at or below `index` lies.
    fn stored_place(&self, log: LogId, index: u64) -> Result<Option<(u64, Place)>, ArchiveError> {
        let mut after = rows::batch(log, index);
        after.push(0); // the first key after the one that starts at `index`
        let row = self.index.range(Table::Batch, &rows::batch(log, 0), &after, 1, Direction::Descending)?;
        let Some((key, value)) = row.first() else { return Ok(None) };
        let first = rows::batch_first(key).ok_or(ArchiveError::Mismatch("a batch row has no index"))?;
        let place = Place::from_bytes(value).ok_or(ArchiveError::Mismatch("a batch row has no place"))?;
        Ok(Some((first, place)))
    }

    /// As [`Archive::batch`], with the batches that follow as long as entries and bytes stay below
    /// the limits. The checkpoint is the last one's.
    ///
    /// # Errors
    /// As there.
    pub fn batches(
        &self,
        log: LogId,
        index: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Option<StoredBatch>, ArchiveError> {
        let weigh = |batch: &StoredBatch| -> usize {
            let body = |entry: &RawEntry| entry.body.as_ref().map_or(0, Bytes::len);
            batch.entries.iter().map(|entry| entry.header.len() + body(entry)).sum()
        };
        let Some(mut joined) = self.batch(log, index)? else { return Ok(None) };
        let mut bytes = weigh(&joined);
        while joined.entries.len() < entries_max
            && let Some(next) = self.batch(log, index + joined.entries.len() as u64)?
        {
            bytes += weigh(&next);
            if bytes > bytes_max || joined.entries.len() + next.entries.len() > entries_max {
                break;
            }
            joined.entries.extend(next.entries);
            joined.verdicts.extend(next.verdicts);
            joined.checkpoint = next.checkpoint;
        }
        Ok(Some(joined))
    }

    /// Where a message stands in its channel.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn message(&self, channel: ChannelId, id: MessageId) -> Result<Option<MessageRow>, ArchiveError> {
        let row = self.index.get(Table::Message, &rows::message(channel, id))?;
        row.map(|row| MessageRow::decode(row).map_err(|_| ArchiveError::Mismatch("a message row")))
            .transpose()
    }

    /// The Merkle nodes of a log.
    pub fn nodes(&self, suite: Suite, log: LogId) -> StoredNodes<'_> {
        StoredNodes { suite, log, index: &*self.index }
    }

    /// All keys and values of a table that start with `prefix`, in pages.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn rows(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, ArchiveError> {
        let end = prefix_end(prefix);
        let mut from = prefix.to_vec();
        let mut all = Vec::new();
        loop {
            let page = self.index.range(table, &from, &end, 1024, Direction::Ascending)?;
            let Some((last, _)) = page.last() else { return Ok(all) };
            from = last.to_vec();
            from.push(0);
            all.extend(page);
        }
    }
}

/// Complete nodes read from stored tiles.
pub struct StoredNodes<'a> {
    suite: Suite,
    log: LogId,
    index: &'a dyn Index,
}

impl Nodes for StoredNodes<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, MissingNode> {
        node_from_tiles(self.suite, level, index, |base, tile| {
            self.index.get(Table::Tile, &rows::tile(self.log, base, tile)).ok().flatten()
        })
    }
}

/// Computes a node from the tile that holds its descendants.
pub(crate) fn node_from_tiles(
    suite: Suite,
    level: u8,
    index: u64,
    tile: impl FnOnce(u8, u64) -> Option<Bytes>,
) -> Result<Hash, MissingNode> {
    let missing = MissingNode { level, index };
    let base = level - level % TILE_HEIGHT;
    let span = 1u64 << (level - base);
    let first = index * span;
    let bytes = tile(base, first / TILE_NODES).ok_or(missing.clone())?;
    let start = (first % TILE_NODES) as usize * 32;
    let hashes = bytes.get(start..start + span as usize * 32).ok_or(missing)?;
    let hashes: Vec<Hash> = hashes.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
    Ok(subtree_root(suite, &hashes))
}
