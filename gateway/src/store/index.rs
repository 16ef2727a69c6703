//! The port to the index: named tables of bytes, changed in atomic batches that carry the journal
//! position they reflect.
//!
//! The index holds nothing that the journal and the blob folder cannot reproduce. A crash may take its
//! newest batches, whole and from the end, or all of it; [`Index::reflects`] then names an older
//! position, or none, and a replay heals it. Keys that ascend (channel ‖ index, UUIDv7) cost a third of random
//! ones; values are few and small.

use std::io;

use bytes::Bytes;

use super::Position;

/// Bytes of a key: the longest is a few identifiers and a counter.
pub const KEY_BYTES_MAX: usize = 512;
/// Bytes of a value. Larger things lie in the journal or the blob folder and are found by locator.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The tables. The number is stored and never given to another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Heads and states of channels.
    Channel = 1,
    /// Where each batch of a channel lies.
    Batch = 2,
    /// Message ids.
    Message = 3,
    /// Other identifiers of messages: idempotency keys, submitters' numbers.
    Alias = 4,
    /// Merkle tiles.
    Tile = 5,
    /// Facts of cases.
    CaseFact = 6,
    /// Legal instruments by digest.
    Document = 7,
    /// Licences of the own catalogue.
    Licence = 8,
    /// Consumers' cursors.
    Cursor = 9,
    /// Queries and recognition requests with their answers, and refusals written here.
    Request = 10,
    /// Drafts that wait for contact.
    Staged = 11,
    /// What the store's user keeps about itself.
    Meta = 12,
    /// Cases: who received and who decides.
    Case = 13,
    /// The index's own: sorted runs of the busy tables.
    Run = 14,
    /// Dead letters.
    Letter = 15,
    /// Blobs: which are here, who names them, which are wanted, which became whole.
    Blob = 16,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Channel,
        Self::Batch,
        Self::Message,
        Self::Alias,
        Self::Tile,
        Self::CaseFact,
        Self::Document,
        Self::Licence,
        Self::Cursor,
        Self::Request,
        Self::Staged,
        Self::Meta,
        Self::Case,
        Self::Run,
        Self::Letter,
        Self::Blob,
    ];

    /// The stored number, 1..=255; zero is the index's own.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a value, whether or not there was one.
    Put {
        /// The table.
        table: Table,
        /// 1..=[`KEY_BYTES_MAX`] bytes.
        key: Vec<u8>,
        /// 0..=[`VALUE_BYTES_MAX`] bytes.
        value: Bytes,
    },
    /// Removes a value, whether or not there was one.
    Delete {
        /// The table.
        table: Table,
        /// 1..=[`KEY_BYTES_MAX`] bytes.
        key: Vec<u8>,
    },
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Lowest key first.
    Ascending,
    /// Highest key first.
    Descending,
}

/// Looks up and applies. Shared between threads; one thread applies.
pub trait Index: Send + Sync {
    /// The value of `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, IndexError>;

    /// Keys and values with `from <= key < to_exclusive`, at most `limit` of them. An empty
    /// `to_exclusive` means the end of the table. A range that is read while a batch is applied may
    /// show part of that batch.
    fn range(
        &self,
        table: Table,
        from: &[u8],
        to_exclusive: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Bytes, Bytes)>, IndexError>;

    /// Applies all changes, in their order, together with the position they reflect: after a crash
    /// either all stand or none. Not on disk before [`flush`](Self::flush), and not for certain even
    /// then.
    fn apply(&self, changes: &[Change], reflects: Position) -> Result<(), IndexError>;

    /// The journal position up to which the index is complete; [`Position::START`] when it is empty.
    fn reflects(&self) -> Result<Position, IndexError>;

    /// Hands everything applied to the operating system, so that less is replayed after a crash.
    fn flush(&self) -> Result<(), IndexError>;

    /// Makes everything applied durable and vouches for it at the next start. Nothing is applied
    /// afterwards.
    fn settle(&self) -> Result<(), IndexError> {
        self.flush()
    }
}

/// Why the index refused.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The caller's: a key is empty or over [`KEY_BYTES_MAX`].
    #[error("a key of {bytes} bytes in {table:?}: 1 to {KEY_BYTES_MAX} are allowed")]
    Key {
        /// The table.
        table: Table,
        /// Its length.
        bytes: usize,
    },
    /// The caller's: a value is over [`VALUE_BYTES_MAX`].
    #[error("a value of {bytes} bytes in {table:?}: at most {VALUE_BYTES_MAX} are allowed")]
    Value {
        /// The table.
        table: Table,
        /// Its length.
        bytes: usize,
    },
    /// The operator's: another process has the index open.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// The disk's. Stop, reopen, replay.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The index contradicts itself. Delete it: it is rebuilt from the journal.
    #[error("the index is damaged: {0}")]
    Damaged(String),
}

/// Refuses changes that are over the limits, before any is applied.
pub(in crate::store) fn check(changes: &[Change]) -> Result<(), IndexError> {
    for change in changes {
        let (table, key) = match change {
            Change::Put { table, key, value } => {
                if value.len() > VALUE_BYTES_MAX {
                    return Err(IndexError::Value { table: *table, bytes: value.len() });
                }
                (*table, key)
            }
            Change::Delete { table, key } => (*table, key),
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(IndexError::Key { table, bytes: key.len() });
        }
    }
    Ok(())
}

/// The first key after all keys that begin with `prefix`, for `to_exclusive`; empty (the end of the
/// table) when there is none.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::{Crash, Fault, FaultPlan, MemoryDisk, Unsynced};
    use crate::store::sled;

    #[test]
    fn table_numbers_are_distinct_and_never_zero() {
        for (place, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(table.number()), place + 1);
        }
    }

    #[test]
    fn prefix_end_carries_over_full_bytes() {
        assert_eq!(prefix_end(b"ab"), b"ac");
        assert_eq!(prefix_end(&[1, 255, 255]), [2]);
        assert_eq!(prefix_end(&[255]), [0; 0]);
    }

    /// Runs a promise on both implementations.
    fn on_both(promise: impl Fn(&dyn Index)) {
        promise(&MemoryDisk::new().open_index());
        let dir = tempfile::tempdir().unwrap();
        promise(&sled::open(&dir.path().join("index")).unwrap().0);
    }

    fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
        Change::Put { table, key: key.to_vec(), value: Bytes::copy_from_slice(value) }
    }

    fn keys(index: &dyn Index, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> String {
        let rows = index.range(Table::Batch, from, to, limit, direction).unwrap();
        rows.into_iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    #[test]
    fn an_empty_index_reflects_nothing() {
        on_both(|index| {
            assert_eq!(index.reflects().unwrap(), Position::START);
            assert_eq!(index.get(Table::Meta, b"any").unwrap(), None);
            index.flush().unwrap();
        });
    }

    #[test]
    fn changes_apply_in_their_order_together_with_what_they_reflect() {
        on_both(|index| {
            let delete = |key: &[u8]| Change::Delete { table: Table::Batch, key: key.to_vec() };
            let changes = vec![
                put(Table::Batch, b"a", b"1"),
                put(Table::Batch, b"a", b"2"),
                put(Table::Batch, b"b", b"1"),
                delete(b"b"),
                delete(b"c"),
                put(Table::Batch, b"c", b""),
            ];
            index.apply(&changes, Position(5)).unwrap();
            assert_eq!(index.reflects().unwrap(), Position(5));
            assert_eq!(index.get(Table::Batch, b"a").unwrap().unwrap(), "2");
            assert_eq!(index.get(Table::Batch, b"b").unwrap(), None);
            assert_eq!(index.get(Table::Batch, b"c").unwrap().unwrap(), "");
            index.apply(&[], Position(6)).unwrap();
            assert_eq!(index.reflects().unwrap(), Position(6));
        });
    }

    #[test]
    fn a_range_stays_in_its_table_and_runs_both_ways() {
        on_both(|index| {
            let mut changes: Vec<_> =
                [b"a", b"b", b"c", b"d"].iter().map(|key| put(Table::Batch, *key, b"")).collect();
            changes.push(put(Table::Channel, b"x", b""));
            changes.push(put(Table::Message, b"a", b""));
            index.apply(&changes, Position(1)).unwrap();
            assert_eq!(keys(index, b"", b"", 9, Direction::Ascending), "abcd");
            assert_eq!(keys(index, b"", b"", 9, Direction::Descending), "dcba");
            assert_eq!(keys(index, b"b", b"d", 9, Direction::Ascending), "bc");
            assert_eq!(keys(index, b"b", b"d", 1, Direction::Descending), "c");
            assert_eq!(keys(index, b"bb", b"", 2, Direction::Ascending), "cd");
            assert_eq!(keys(index, b"d", b"b", 9, Direction::Ascending), "");
            assert_eq!(keys(index, b"a", b"", 0, Direction::Ascending), "");
        });
    }

    #[test]
    fn a_change_over_the_limits_refuses_the_whole_batch() {
        on_both(|index| {
            let good = || put(Table::Batch, b"good", b"");
            let long_key = put(Table::Batch, &[1; KEY_BYTES_MAX + 1], b"");
            let long_value = put(Table::Batch, b"key", &[1; VALUE_BYTES_MAX + 1]);
            for bad in [put(Table::Batch, b"", b""), long_key, long_value] {
                assert!(index.apply(&[good(), bad], Position(1)).is_err());
            }
            assert_eq!(index.get(Table::Batch, b"good").unwrap(), None);
            assert_eq!(index.reflects().unwrap(), Position::START);
            let largest = put(Table::Batch, &[1; KEY_BYTES_MAX], &[1; VALUE_BYTES_MAX]);
            index.apply(&[good(), largest], Position(1)).unwrap();
        });
    }

    #[test]
    fn a_power_cut_takes_whole_batches_from_the_end_and_handles_of_before_fail() {
        let disk = MemoryDisk::new();
        let index = disk.open_index();
        for number in 1..=5_u8 {
            let changes = vec![put(Table::Batch, b"k", &[number]), put(Table::Meta, &[number], b"")];
            index.apply(&changes, Position(number.into())).unwrap();
        }
        index.flush().unwrap();
        disk.crash(Crash { unsynced: Unsynced::Lost, index_batches_lost: 2 });
        assert!(index.reflects().is_err());
        assert!(index.apply(&[], Position(6)).is_err());
        let index = disk.open_index();
        assert_eq!(index.reflects().unwrap(), Position(3));
        assert_eq!(index.get(Table::Batch, b"k").unwrap().unwrap(), [3_u8][..]);
        assert_eq!(index.get(Table::Meta, &[4]).unwrap(), None);
        disk.drop_index();
        assert_eq!(disk.open_index().reflects().unwrap(), Position::START);
    }

    #[test]
    fn a_failed_batch_stands_whole_or_not_at_all() {
        for (fault, stands) in [(Fault::Fail, false), (Fault::Full, false), (Fault::FailButPersist, true)] {
            let disk = MemoryDisk::new();
            let index = disk.open_index();
            disk.plan(FaultPlan::queue([Some(fault)]));
            assert!(index.apply(&[put(Table::Batch, b"k", b"v")], Position(1)).is_err());
            assert_eq!(index.get(Table::Batch, b"k").unwrap().is_some(), stands);
            assert_eq!(index.reflects().unwrap(), Position(stands.into()));
        }
    }
}
