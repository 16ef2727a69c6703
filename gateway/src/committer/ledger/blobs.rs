//! What facts say about blobs: which are here, which entry names which, what is to be fetched, and
//! what became whole. How often a blob is referred to is the number of the entries that name it; it is
//! not counted anywhere else.

use super::Ledger;
use crate::committer::rows;
use crate::entry::Header;
use crate::id::{ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::limits::BLOB_RECEIPTS_PER_COMMAND_MAX;
use crate::service::blob::{Attachment, BlobReceived, Holding, NamedBlob};
use crate::service::payload::Payload;
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use crate::suite::sha256;
use crate::time::UnixMillis;
use crate::wire;
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1 as stored;

/// A place that names a blob, for the receipt that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedHere {
    /// Whose entry.
    pub from: NodeId,
    /// Its place.
    pub position: LogPosition,
    /// Its id.
    pub entry: MessageId,
    /// What it states of the blob.
    pub length: u64,
}

impl Ledger {
    /// The blob as far as it is whole here.
    pub fn blob(&self, digest: &Digest) -> Option<stored::BlobRow> {
        self.row(Table::Blob, rows::blob(digest))
    }

    /// What this node holds of a blob, for a submitter that wants to name it to `to`.
    pub fn holding(&self, digest: &Digest, to: NodeId) -> Option<Holding> {
        let row = self.blob(digest)?;
        let from_receiver = !self.blob_rows(&rows::blob_names_in_of(digest, to), 1).is_empty();
        Some(Holding { length: row.length, uploaded: row.uploaded, from_receiver })
    }

    /// Rows of table Blob under a prefix as of this commit, in order, at most `limit`.
    fn blob_rows(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Bytes)> {
        let mut merged = std::collections::BTreeMap::new();
        let mine = self.overlay.range((Table::Blob, prefix.to_vec())..);
        let mine = mine.take_while(|((table, key), _)| *table == Table::Blob && key.starts_with(prefix));
        let mine: Vec<_> = mine.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        let before = self.underway.under(Table::Blob, prefix);
        let before: Vec<_> = before.map(|(key, value)| (key.to_vec(), value.cloned())).collect();
        // As many more as this commit and the one before may have removed.
        let (end, most) = (prefix_end(prefix), limit.saturating_add(mine.len() + before.len()));
        let stored = self.archive.index().range(Table::Blob, prefix, &end, most, Direction::Ascending);
        merged.extend(stored.unwrap_or_default().into_iter().map(|(key, value)| (key.to_vec(), value)));
        let mine = mine.into_iter().map(|(key, value)| (key, value.map(Bytes::from)));
        for (key, value) in before.into_iter().chain(mine) {
            match value {
                Some(value) => merged.insert(key, value),
                None => merged.remove(&key),
            };
        }
        merged.into_iter().take(limit).collect()
    }

    /// The serial of the next event, from what the index holds.
    pub(super) fn next_blob_event(&self) -> u64 {
        let prefix = rows::BLOB_EVENTS;
        let end = prefix_end(prefix);
        let last = self.archive.index().range(Table::Blob, prefix, &end, 1, Direction::Descending);
        let last = last.unwrap_or_default();
        last.first().and_then(|(key, _)| rows::blob_event_serial(key)).map_or(0, |serial| serial + 1)
    }

    /// When an upload that no entry has named yet was uploaded last; nothing for any other blob.
    pub fn unnamed_since(&self, digest: &Digest) -> Option<UnixMillis> {
        let row = self.blob(digest)?;
        let since = UnixMillis(row.uploaded_ms);
        self.get(Table::Blob, rows::blob_unnamed(since, digest)).map(|_| since)
    }

    fn is_named(&self, digest: &Digest) -> bool {
        [rows::blob_names_out(digest), rows::blob_names_in(digest)]
            .iter()
            .any(|names| !self.blob_rows(names, 1).is_empty())
    }

    /// Whether a blob was given up, and its file not removed yet.
    pub fn is_given_up(&self, digest: &Digest) -> bool {
        self.get(Table::Blob, rows::blob_given_up(digest)).is_some()
    }

    /// Gives up an upload: from here on no entry may name it, until it is uploaded again.
    pub fn give_blob_up(&mut self, digest: &Digest) {
        if let Some(since) = self.unnamed_since(digest) {
            self.delete(Table::Blob, rows::blob_unnamed(since, digest));
        }
        self.delete(Table::Blob, rows::blob(digest));
        self.put(Table::Blob, rows::blob_given_up(digest), Vec::new());
        let fact = stored::BlobGivenUp { digest: Bytes::copy_from_slice(&digest.to_wire()) };
        self.record(stored::fact::Kind::BlobGivenUp(fact), Vec::new());
    }

    /// Records that the file of a blob that was given up is gone.
    pub fn blob_removed(&mut self, digest: &Digest) {
        if !self.is_given_up(digest) {
            return;
        }
        self.delete(Table::Blob, rows::blob_given_up(digest));
        let fact = stored::BlobRemoved { digest: Bytes::copy_from_slice(&digest.to_wire()) };
        self.record(stored::fact::Kind::BlobRemoved(fact), Vec::new());
    }

    /// Records that a blob is whole in the blob folder.
    pub fn blob_stored(&mut self, digest: Digest, length: u64, uploaded: bool, now: UnixMillis) {
        let known = self.blob(&digest);
        // Whoever uploads it again before an entry names it has as long as after the first time.
        let before = self.unnamed_since(&digest).filter(|_| uploaded);
        if before.is_none() && known.as_ref().is_some_and(|row| row.uploaded || !uploaded) {
            return;
        }
        if let Some(before) = before {
            self.delete(Table::Blob, rows::blob_unnamed(before, &digest));
        }
        let is_unnamed = uploaded && !self.is_named(&digest);
        if is_unnamed {
            self.put(Table::Blob, rows::blob_unnamed(now, &digest), Vec::new());
        }
        if self.is_given_up(&digest) {
            self.delete(Table::Blob, rows::blob_given_up(&digest));
        }
        let row = stored::BlobRow {
            length,
            stored_ms: known.as_ref().map_or(now.0, |row| row.stored_ms),
            uploaded,
            uploaded_ms: if is_unnamed { now.0 } else { 0 },
        };
        self.put(Table::Blob, rows::blob(&digest), row.encode_to_vec());
        let wire = Bytes::copy_from_slice(&digest.to_wire());
        let fact = stored::BlobStored { digest: wire, length, uploaded };
        self.record(stored::fact::Kind::BlobStored(fact), Vec::new());
        if known.is_some() {
            return;
        }
        for (key, value) in self.blob_rows(&rows::blob_names_in(&digest), usize::MAX) {
            let Some(named) = named_here(&key, &value) else { continue };
            self.blob_event(digest, named.from, named.position, now);
            if self.is_receipted(&digest, &named) {
                self.delete(Table::Blob, rows::blob_want(named.from, named.position, &digest));
            }
        }
        self.blob_changed = true;
    }

    /// Entries that name the blob and have no receipt for it, not even a waiting one.
    pub fn unreceipted(&self, digest: &Digest) -> Vec<NamedHere> {
        let rows = self.blob_rows(&rows::blob_names_in(digest), usize::MAX);
        let named = rows.iter().filter_map(|(key, value)| named_here(key, value));
        let open = named.filter(|named| {
            let id = receipt_id(self.channel_from(named.from), named.position, digest);
            let waits = |out: &super::OutLog| out.staged.iter().any(|staged| staged.draft.message_id == id);
            !self.is_receipted(digest, named) && !self.out.get(&named.from).is_some_and(waits)
        });
        // One more than may be answered: whoever asks sees that there are more.
        open.take(BLOB_RECEIPTS_PER_COMMAND_MAX + 1).collect()
    }

    fn channel_from(&self, from: NodeId) -> ChannelId {
        ChannelId { from, to: self.me }
    }

    fn is_receipted(&self, digest: &Digest, named: &NamedHere) -> bool {
        let channel = self.channel_from(named.from);
        let id = receipt_id(channel, named.position, digest);
        self.message(channel.reverse(), id).is_some_and(|row| !row.dropped)
    }

    fn blob_event(&mut self, digest: Digest, from: NodeId, position: LogPosition, now: UnixMillis) {
        let event = stored::BlobEvent {
            digest: Bytes::copy_from_slice(&digest.to_wire()),
            from: from.to_string(),
            epoch: position.epoch,
            index: position.index,
            at_ms: now.0,
        };
        self.put(Table::Blob, rows::blob_event(self.blob_events), event.encode_to_vec());
        self.blob_events += 1;
    }

    /// The blob of that digest as the entry at `position` of `channel` names it.
    pub(super) fn blob_named(
        &self,
        channel: ChannelId,
        position: LogPosition,
        digest: &Digest,
    ) -> Option<NamedBlob> {
        let key = if channel.from == self.me {
            rows::blob_name_out(digest, channel.to, position)
        } else {
            rows::blob_name_in(digest, channel.from, position)
        };
        let row: stored::BlobName = self.row(Table::Blob, key)?;
        let entry = <[u8; 16]>::try_from(&row.message_id[..]).ok().map(MessageId)?;
        Some(NamedBlob { entry, length: row.length })
    }

    /// What a permitted entry changes about blobs.
    pub(super) fn blob_effects(
        &mut self,
        header: &Header,
        position: LogPosition,
        kind: Kind,
        payload: Option<&Bytes>,
        now: UnixMillis,
    ) {
        let Some(payload) = payload else { return };
        if kind == Kind::BlobReceived {
            if let Ok(Payload::BlobReceived(received)) = wire::payload::decode(kind, payload) {
                self.blob_received_effect(header, &received);
            }
            return;
        }
        if header.blobs.is_empty() {
            return;
        }
        for blob in wire::attachments::decode(kind, payload).unwrap_or_default() {
            self.blob_name_effect(header, position, &blob, now);
        }
    }

    fn blob_name_effect(
        &mut self,
        header: &Header,
        position: LogPosition,
        blob: &Attachment,
        now: UnixMillis,
    ) {
        let channel = header.channel;
        if let Some(since) = self.unnamed_since(&blob.digest) {
            self.delete(Table::Blob, rows::blob_unnamed(since, &blob.digest));
        }
        let row = stored::BlobName {
            message_id: Bytes::copy_from_slice(&header.message_id.0),
            length: blob.length,
            received_ms: 0,
        };
        if channel.from == self.me {
            let key = rows::blob_name_out(&blob.digest, channel.to, position);
            self.put(Table::Blob, key, row.encode_to_vec());
            return;
        }
        let from = channel.from;
        let key = rows::blob_name_in(&blob.digest, from, position);
        self.put(Table::Blob, key, row.encode_to_vec());
        let is_stored = self.blob(&blob.digest).is_some();
        if is_stored {
            self.blob_event(blob.digest, from, position, now);
        }
        let named = NamedHere { from, position, entry: header.message_id, length: blob.length };
        // After a loss the own receipts come back before the entries; the files do not.
        if !(is_stored && self.is_receipted(&blob.digest, &named)) {
            let key = rows::blob_want(from, position, &blob.digest);
            self.put(Table::Blob, key, blob.length.to_be_bytes().to_vec());
            self.blob_changed = true;
        }
    }

    fn blob_received_effect(&mut self, header: &Header, received: &BlobReceived) {
        let position = LogPosition { epoch: header.seen.epoch, index: received.entry_index };
        if header.channel.from == self.me {
            // After a loss the receipt is known before the file is here again: then it stays wanted.
            if self.blob(&received.digest).is_some() {
                self.delete(Table::Blob, rows::blob_want(header.channel.to, position, &received.digest));
            }
            return;
        }
        let key = rows::blob_name_out(&received.digest, header.channel.from, position);
        if let Some(mut row) = self.row::<stored::BlobName>(Table::Blob, key.clone()) {
            row.received_ms = header.created.0;
            self.put(Table::Blob, key, row.encode_to_vec());
        }
    }
}

fn named_here(key: &[u8], value: &[u8]) -> Option<NamedHere> {
    let (from, position) = rows::blob_name_place(key)?;
    let row = stored::BlobName::decode(value).ok()?;
    let entry = <[u8; 16]>::try_from(&row.message_id[..]).ok().map(MessageId)?;
    Some(NamedHere { from, position, entry, length: row.length })
}

/// The message id of the receipt for one blob of one entry: UUID version 8 from the place, so that
/// after a loss it is not written twice.
pub fn receipt_id(channel: ChannelId, position: LogPosition, digest: &Digest) -> MessageId {
    let text = format!(
        "tongban blob received {}/{}/{}/{}/{}",
        channel.from,
        channel.to,
        position.epoch,
        position.index,
        digest.to_text()
    );
    let hash = sha256(&[text.as_bytes()]);
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    MessageId(id)
}
