//! The commit that is written and not yet durable: while it is being synced, the next one is judged
//! against it, and nobody else may see it.

use crate::entry::RawEntry;
use crate::id::{ChannelId, LogPosition};
use crate::store::index::{Change, Table};
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// Entries by their places.
pub(super) type Entries = HashMap<(ChannelId, LogPosition), RawEntry>;

/// What a commit changes, as far as the index may not have it yet. It may well have it: then both say the
/// same.
#[derive(Default)]
pub(super) struct Underway {
    /// One for each key, in the order of tables and keys.
    changes: Arc<Vec<Change>>,
    entries: Entries,
}

impl Underway {
    /// Of changes in the order of tables and keys, one for each key.
    pub(super) fn new(changes: Arc<Vec<Change>>, entries: Entries) -> Self {
        debug_assert!(changes.is_sorted_by(|one, other| place(one) < place(other)));
        Self { changes, entries }
    }

    /// What it says of a row; `Some(None)`: that it is deleted.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Option<&Bytes>> {
        let found = self.changes.binary_search_by(|change| place(change).cmp(&(table, key))).ok()?;
        Some(value(&self.changes[found]))
    }

    /// What it says of the rows of a table under a prefix, in order.
    pub(super) fn under<'a>(
        &'a self,
        table: Table,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Bytes>)> {
        let before = |change: &Change| place(change).cmp(&(table, prefix)) == Ordering::Less;
        let under = self.changes[self.changes.partition_point(before)..].iter();
        under
            .take_while(move |change| place(change).0 == table && place(change).1.starts_with(prefix))
            .map(|change| (place(change).1, value(change)))
    }

    /// The entry at a place, when it is one of this commit's.
    pub(super) fn entry(&self, channel: ChannelId, position: LogPosition) -> Option<&RawEntry> {
        self.entries.get(&(channel, position))
    }
}

fn place(change: &Change) -> (Table, &[u8]) {
    match change {
        Change::Put { table, key, .. } | Change::Delete { table, key } => (*table, key),
    }
}

fn value(change: &Change) -> Option<&Bytes> {
    match change {
        Change::Put { value, .. } => Some(value),
        Change::Delete { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn underway() -> Underway {
        let put =
            |table, key: &[u8]| Change::Put { table, key: key.to_vec(), value: Bytes::copy_from_slice(key) };
        let changes = vec![
            put(Table::Message, b"b"),
            Change::Delete { table: Table::Blob, key: b"ab".to_vec() },
            put(Table::Blob, b"aa"),
            put(Table::Blob, b"b"),
        ];
        let mut changes = changes;
        changes.sort_by(|one, other| place(one).cmp(&place(other)));
        Underway::new(Arc::new(changes), Entries::new())
    }

    #[test]
    fn a_row_is_put_or_deleted_or_not_spoken_of() {
        let underway = underway();
        assert_eq!(underway.get(Table::Blob, b"aa"), Some(Some(&Bytes::from_static(b"aa"))));
        assert_eq!(underway.get(Table::Blob, b"ab"), Some(None));
        assert_eq!(underway.get(Table::Blob, b"a"), None);
        assert_eq!(underway.get(Table::Message, b"aa"), None);
    }

    #[test]
    fn a_prefix_gives_its_rows_in_order_and_no_other_table() {
        let underway = underway();
        let under = |prefix: &'static [u8]| -> Vec<(Vec<u8>, bool)> {
            let rows = underway.under(Table::Blob, prefix);
            rows.map(|(key, value)| (key.to_vec(), value.is_some())).collect()
        };
        assert_eq!(under(b"a"), [(b"aa".to_vec(), true), (b"ab".to_vec(), false)]);
        assert_eq!(under(b"").len(), 3);
        assert_eq!(under(b"c"), []);
    }
}
