//! Blobs as local users see them: upload, read, name in a message, ask about, and hear of completion.

use super::{Gateway, InboxEntry, InboxReading};
use crate::blobs::{BlobParts, BlobUpload, Blobs};
use crate::committer::rows;
use crate::id::{ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::limits::BLOB_EVENTS_PAGE_MAX;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::blob::Attachment;
use crate::service::person::Personal;
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use crate::time::UnixMillis;
use crate::wire;
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1 as stored;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Uses of one blob that are listed.
const USES_MAX: usize = 1000;

/// A file that a submitter names.
#[derive(Debug, Clone)]
pub struct NamedFile {
    /// As its upload gave it.
    pub digest: Digest,
    /// For people.
    pub name: Personal,
    /// RFC 6838; may be empty.
    pub media_type: String,
}

/// An entry that names a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobUse {
    /// The entry's channel.
    pub channel: ChannelId,
    /// Its place.
    pub position: LogPosition,
    /// Its id.
    pub message_id: MessageId,
    /// The receiver has the blob whole.
    pub received: bool,
    /// When the receiver said so, by its clock; own entries only.
    pub received_at: Option<UnixMillis>,
}

/// A blob as far as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobState {
    /// Its bytes, as an entry states or the disk shows; nothing: nobody has said.
    pub length: Option<u64>,
    /// Since when it is whole here.
    pub stored: Option<UnixMillis>,
    /// A business system of this node uploaded it.
    pub uploaded: bool,
    /// Bytes on this disk, verified or not.
    pub held_bytes: u64,
    /// Entries that name it: its reference count.
    pub references: u64,
    /// The first of them.
    pub uses: Vec<BlobUse>,
}

/// A blob of an inbound entry became whole here, or was when the entry came.
#[derive(Debug, Clone)]
pub struct BlobStored {
    /// The entry's sender.
    pub from: NodeId,
    /// The entry's place.
    pub position: LogPosition,
    /// The entry's id.
    pub message_id: MessageId,
    /// When.
    pub at: UnixMillis,
    /// What the entry says of it.
    pub blob: Attachment,
}

impl Gateway {
    /// The blobs, for the task that fetches them.
    pub fn blobs(&self) -> Arc<Blobs> {
        Arc::clone(&self.0.blobs)
    }

    /// Begins to take a file.
    ///
    /// # Errors
    /// See [`Blobs::upload`].
    pub async fn upload_blob(&self) -> Result<BlobUpload, Refusal> {
        self.0.blobs.upload().await
    }

    /// Goes on with an upload under a name, or begins it at 0.
    ///
    /// # Errors
    /// See [`Blobs::upload_named`].
    pub async fn upload_blob_named(&self, name: String, offset: u64) -> Result<BlobUpload, Refusal> {
        self.0.blobs.upload_named(name, offset).await
    }

    /// Bytes of the unfinished upload under that name that are here.
    ///
    /// # Errors
    /// See [`Blobs::upload_held`].
    pub async fn upload_held(&self, name: String) -> Result<u64, Refusal> {
        self.0.blobs.upload_held(name).await
    }

    /// Begins to give a file that is whole here, from byte `offset` on.
    ///
    /// # Errors
    /// See [`Blobs::read`].
    pub async fn read_blob(&self, digest: Digest, offset: u64) -> Result<BlobParts, Refusal> {
        self.0.blobs.read(digest, offset).await
    }

    fn blob_row(&self, digest: &Digest) -> Result<Option<stored::BlobRow>, Refusal> {
        let row = self.0.archive.index().get(Table::Blob, &rows::blob(digest));
        let row = row.map_err(|error| Self::damaged(error.into()))?;
        Ok(row.and_then(|row| stored::BlobRow::decode(row).ok()))
    }

    /// A payload with files added to it. Whether its submitter may name them is judged with the message.
    ///
    /// # Errors
    /// `blob.unknown` for one that is not whole here.
    pub fn attach(&self, payload: &Bytes, files: &[NamedFile]) -> Result<Bytes, Refusal> {
        let attachment = |file: &NamedFile| {
            let row = self.blob_row(&file.digest)?;
            let row = row.ok_or_else(|| Refusal::new(RefusalCode::BlobUnknown, file.digest.to_text()))?;
            Ok(Attachment {
                digest: file.digest,
                length: row.length,
                name: file.name.clone(),
                media_type: file.media_type.clone(),
            })
        };
        let blobs: Vec<Attachment> = files.iter().map(attachment).collect::<Result<_, Refusal>>()?;
        Ok(wire::attachments::attach(payload, &blobs))
    }

    /// The files that an entry of the inbox names, and whether each is whole here.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn named_files(&self, entry: &InboxEntry) -> Result<Vec<(Attachment, bool)>, Refusal> {
        let (Some(header), Some(payload), None) = (&entry.header, &entry.payload, &entry.verdict) else {
            return Ok(Vec::new());
        };
        let kind = Kind::named(&header.kind).filter(|_| !header.blobs.is_empty());
        let Some(kind) = kind else { return Ok(Vec::new()) };
        let blobs = wire::attachments::decode(kind, payload).unwrap_or_default();
        let here = |blob: Attachment| {
            let is_stored = self.blob_row(&blob.digest)?.is_some();
            Ok((blob, is_stored))
        };
        blobs.into_iter().map(here).collect()
    }

    /// What this node knows of a blob; nothing when it knows nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobState>, Refusal> {
        let row = self.blob_row(digest)?;
        let is_stored = row.is_some();
        let mut uses = Vec::new();
        let mut references = 0;
        let mut stated = None;
        for (prefix, own) in [(rows::blob_names_out(digest), true), (rows::blob_names_in(digest), false)] {
            let names = self.0.archive.rows(Table::Blob, &prefix).map_err(Self::damaged)?;
            references += names.len() as u64;
            for (key, value) in names.into_iter().take(USES_MAX - uses.len().min(USES_MAX)) {
                let Some((peer, position)) = rows::blob_name_place(&key) else { continue };
                let Ok(name) = stored::BlobName::decode(value) else { continue };
                let Ok(id) = <[u8; 16]>::try_from(&name.message_id[..]) else { continue };
                stated = stated.or(Some(name.length));
                let (from, to) = if own { (self.0.me, peer) } else { (peer, self.0.me) };
                let received_at = (name.received_ms != 0).then_some(UnixMillis(name.received_ms));
                uses.push(BlobUse {
                    channel: ChannelId { from, to },
                    position,
                    message_id: MessageId(id),
                    received: if own { received_at.is_some() } else { is_stored },
                    received_at,
                });
            }
        }
        if row.is_none() && uses.is_empty() {
            return Ok(None);
        }
        Ok(Some(BlobState {
            length: row.as_ref().map(|row| row.length).or(stated),
            stored: row.as_ref().map(|row| UnixMillis(row.stored_ms)),
            uploaded: row.is_some_and(|row| row.uploaded),
            held_bytes: self.0.blobs.held_bytes(digest),
            references,
            uses,
        }))
    }

    /// The next events for a reader of an inbox, of `events` that there are; none when it has read them,
    /// or when the next one has to wait for its entry.
    pub(super) async fn next_blob_events(
        &self,
        reading: &mut InboxReading,
        events: u64,
    ) -> Result<Vec<InboxEntry>, Refusal> {
        let me = self.0.me;
        let next = match reading.next.get(&me) {
            Some(next) => *next,
            None => {
                let cursor = self.cursor(&reading.consumer, me)?;
                reading.next.insert(me, cursor);
                cursor
            }
        };
        if next.index >= events {
            return Ok(Vec::new());
        }
        let (gateway, places, name) = (self.clone(), reading.next.clone(), reading.consumer.clone());
        let found = self.0.links.threads.begin(move || gateway.blob_events_from(next, &places, &name));
        let found = found.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
        if let Some(last) = found.last() {
            reading.next.insert(me, LogPosition { index: last.position.index + 1, ..last.position });
        }
        Ok(found)
    }

    /// Events from `next` on whose entries were read already: an event never comes before its entry.
    /// Stops at the first that has to wait.
    fn blob_events_from(
        &self,
        next: LogPosition,
        read: &BTreeMap<NodeId, LogPosition>,
        consumer: &str,
    ) -> Result<Vec<InboxEntry>, Refusal> {
        let end = prefix_end(rows::BLOB_EVENTS);
        let rows = self.0.archive.index().range(
            Table::Blob,
            &rows::blob_event(next.index),
            &end,
            BLOB_EVENTS_PAGE_MAX,
            Direction::Ascending,
        );
        let mut events = Vec::new();
        for (key, value) in rows.map_err(|error| Self::damaged(error.into()))? {
            let Some(serial) = rows::blob_event_serial(&key) else { break };
            let Some(stored) = self.blob_event(value)? else { break };
            let place = match read.get(&stored.from) {
                Some(place) => *place,
                None => self.cursor(consumer, stored.from)?,
            };
            if place <= stored.position {
                break;
            }
            events.push(InboxEntry {
                from: self.0.me,
                position: LogPosition { epoch: 0, index: serial },
                header: None,
                verdict: None,
                payload: None,
                stored: Some(stored),
            });
        }
        Ok(events)
    }

    fn blob_event(&self, value: Bytes) -> Result<Option<BlobStored>, Refusal> {
        let Ok(event) = stored::BlobEvent::decode(value) else { return Ok(None) };
        let (Ok(digest), Ok(from)) = (Digest::from_wire(&event.digest), event.from.parse()) else {
            return Ok(None);
        };
        let position = LogPosition { epoch: event.epoch, index: event.index };
        let channel = ChannelId { from, to: self.0.me };
        let log = crate::id::LogId { channel, epoch: event.epoch };
        let batch = self.0.archive.batch(log, event.index).map_err(Self::damaged)?;
        let raw = batch.and_then(|batch| batch.entries.into_iter().next());
        let header = raw.as_ref().and_then(|raw| crate::entry::Header::parse(&raw.header).ok());
        let Some(header) = header else { return Ok(None) };
        let payload = raw.and_then(|raw| raw.body.as_ref().and_then(crate::entry::payload));
        let said = Kind::named(&header.kind)
            .zip(payload)
            .and_then(|(kind, payload)| wire::attachments::decode(kind, &payload).ok())
            .and_then(|blobs| blobs.into_iter().find(|blob| blob.digest == digest));
        let length = self.blob_row(&digest)?.map_or(0, |row| row.length);
        // Its body may be erased by now: then nothing is known but the file.
        let blob = said.unwrap_or(Attachment {
            digest,
            length,
            name: Personal::default(),
            media_type: String::new(),
        });
        let at = UnixMillis(event.at_ms);
        Ok(Some(BlobStored { from, position, message_id: header.message_id, at, blob }))
    }
}
