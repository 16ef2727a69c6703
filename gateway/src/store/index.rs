//! The port to the index: named tables of bytes, changed in atomic batches that carry the journal
//! position they reflect.
//!
//! The index holds nothing that the journal and the blob folder cannot reproduce. It may lose its
//! newest batches in a power cut, whole and from the end; [`Index::reflects`] then names an older
//! position and a replay heals it. Keys that ascend (channel ‖ index, UUIDv7) cost a third of random
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
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 13] = [
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
        value: Vec<u8>,
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
    fn apply(&self, changes: Vec<Change>, reflects: Position) -> Result<(), IndexError>;

    /// The journal position up to which the index is complete; [`Position::START`] when it is empty.
    fn reflects(&self) -> Result<Position, IndexError>;

    /// Hands everything applied to the operating system, so that less is replayed after a crash.
    fn flush(&self) -> Result<(), IndexError>;
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
}
