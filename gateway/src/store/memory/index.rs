//! The index in memory: rows, and how to take back the newest batches.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Bound;
use std::sync::MutexGuard;

use bytes::Bytes;

use super::{Disk, INDEX_HISTORY_MAX, MemoryDisk, Operation};
use crate::store::index::check;
use crate::store::{Change, Direction, Index, IndexError, Position, Table};

/// Table and key.
type Place = (u8, Vec<u8>);

/// What a batch replaced, to be put back.
type Undo = Vec<(Place, Option<Bytes>)>;

#[derive(Clone, Default)]
pub(super) struct IndexState {
    rows: BTreeMap<Place, Bytes>,
    reflects: Position,
    /// The newest batches, oldest first: how each would be taken back.
    undo: VecDeque<(Undo, Position)>,
}

impl IndexState {
    fn apply(&mut self, changes: &[Change], reflects: Position) {
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            let (place, value) = match change {
                Change::Put { table, key, value } => ((table.number(), key.clone()), Some(value.clone())),
                Change::Delete { table, key } => ((table.number(), key.clone()), None),
            };
            let before = match value {
                Some(value) => self.rows.insert(place.clone(), value),
                None => self.rows.remove(&place),
            };
            undo.push((place, before));
        }
        if self.undo.len() == INDEX_HISTORY_MAX {
            self.undo.pop_front();
        }
        self.undo.push_back((undo, self.reflects));
        self.reflects = reflects;
    }

    pub(super) fn lose(&mut self, batches: usize) {
        for _ in 0..batches {
            let Some((undo, reflects)) = self.undo.pop_back() else { return };
            for (place, before) in undo.into_iter().rev() {
                match before {
                    Some(value) => self.rows.insert(place, value),
                    None => self.rows.remove(&place),
                };
            }
            self.reflects = reflects;
        }
    }
}

/// The index on a [`MemoryDisk`].
pub struct MemoryIndex {
    pub(super) disk: MemoryDisk,
    pub(super) epoch: u64,
}

impl MemoryIndex {
    fn alive(&self) -> Result<MutexGuard<'_, Disk>, IndexError> {
        let disk = self.disk.disk();
        if disk.epoch == self.epoch {
            Ok(disk)
        } else {
            Err(index_failed(io::Error::other("the power was cut since this was opened")))
        }
    }
}

fn index_failed(source: io::Error) -> IndexError {
    IndexError::Io { doing: "use the index in memory".to_owned(), source }
}

impl Index for MemoryIndex {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, IndexError> {
        Ok(self.alive()?.index.rows.get(&(table.number(), key.to_vec())).cloned())
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to_exclusive: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Bytes, Bytes)>, IndexError> {
        let disk = self.alive()?;
        let number = table.number();
        let start = (number, from.to_vec());
        let end = match to_exclusive {
            [] => (number + 1, Vec::new()),
            to => (number, to.to_vec()),
        };
        if start >= end {
            return Ok(Vec::new());
        }
        let rows = disk.index.rows.range((Bound::Included(start), Bound::Excluded(end)));
        let row = |((_, key), value): (&Place, &Bytes)| (Bytes::copy_from_slice(key), value.clone());
        Ok(match direction {
            Direction::Ascending => rows.take(limit).map(row).collect(),
            Direction::Descending => rows.rev().take(limit).map(row).collect(),
        })
    }

    fn apply(&self, changes: &[Change], reflects: Position) -> Result<(), IndexError> {
        check(changes)?;
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &Operation::IndexApply { reflects }).map_err(index_failed)?;
        if course.done > 0 {
            disk.index.apply(changes, reflects);
        }
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer.map_err(index_failed)
    }

    fn reflects(&self) -> Result<Position, IndexError> {
        Ok(self.alive()?.index.reflects)
    }

    fn flush(&self) -> Result<(), IndexError> {
        let mut disk = self.disk.disk();
        let course = disk.course(self.epoch, &Operation::IndexFlush).map_err(index_failed)?;
        if let Some(crash) = course.crash {
            disk.crash(crash);
        }
        course.answer.map_err(index_failed)
    }
}
