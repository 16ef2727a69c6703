//! Keys and values of the index. All of it can be rebuilt from the journal, so a change here needs a
//! new [`INDEX_VERSION`] and nothing else: an index of another version is made anew.

use crate::id::{CaseId, ChannelId, Digest, LogId, LogPosition, MessageId, NodeId};
use crate::limits::{CASE_FACT_BYTES_MAX, NAME_BYTES_MAX};
use crate::store::Locator;
use crate::store::index::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::time::UnixMillis;

/// Raised when rows change their meaning.
pub const INDEX_VERSION: u32 = 6;

/// Table Meta: the version of the rows, u32 big endian.
pub const VERSION: &[u8] = b"rows-version";

/// Where something lies in the journal: a frame, a fact in it, and that fact's bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The frame.
    pub locator: Locator,
    /// Number of the fact in the commit.
    pub fact: u32,
    /// Number of the fact's first body in the frame.
    pub body: u32,
    /// Entries of the fact.
    pub count: u32,
}

impl Place {
    /// The stored form, 28 bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.locator.to_bytes().to_vec();
        for number in [self.fact, self.body, self.count] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Reads [`Place::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (locator, rest) = bytes.split_first_chunk::<{ Locator::BYTES }>()?;
        let number = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        Some(Self {
            locator: Locator::from_bytes(*locator),
            fact: number(0)?,
            body: number(4)?,
            count: number(8)?,
        })
    }
}

fn channel_prefix(channel: ChannelId) -> Vec<u8> {
    // Room for what follows in most keys: an epoch and an index, or a message's id.
    let mut key = Vec::with_capacity(32);
    key.extend_from_slice(channel.from.as_bytes());
    key.extend_from_slice(channel.to.as_bytes());
    key
}

/// All keys of one log start so: from, to, epoch.
pub fn log_prefix(log: LogId) -> Vec<u8> {
    let mut key = channel_prefix(log.channel);
    key.extend_from_slice(&log.epoch.to_be_bytes());
    key
}

/// Table Channel.
pub fn channel(channel: ChannelId) -> Vec<u8> {
    channel_prefix(channel)
}

/// Table Batch: the batch that starts at `first`.
pub fn batch(log: LogId, first: u64) -> Vec<u8> {
    let mut key = log_prefix(log);
    key.extend_from_slice(&first.to_be_bytes());
    key
}

/// The `first` of a Batch key.
pub fn batch_first(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Table Message.
pub fn message(channel: ChannelId, id: MessageId) -> Vec<u8> {
    let mut key = channel_prefix(channel);
    key.extend_from_slice(&id.0);
    key
}

/// Table Tile: tile `tile` of the nodes at `level`.
pub fn tile(log: LogId, level: u8, tile: u64) -> Vec<u8> {
    let mut key = log_prefix(log);
    key.push(level);
    key.extend_from_slice(&tile.to_be_bytes());
    key
}

/// Table Case.
pub fn case(id: &CaseId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

/// Table CaseFact: prefix of all facts of a case. Case ids hold no NUL.
pub fn case_facts(id: &CaseId) -> Vec<u8> {
    let mut key = id.as_str().as_bytes().to_vec();
    key.push(0);
    key
}

/// Table CaseFact: one fact. Local ones stand before those that crossed.
pub fn case_fact(id: &CaseId, author: NodeId, local: bool, epoch: u32, index: u64) -> Vec<u8> {
    let mut key = case_facts(id);
    key.extend_from_slice(author.as_bytes());
    key.push(u8::from(!local));
    key.extend_from_slice(&epoch.to_be_bytes());
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// Table Document.
pub fn document(digest: &Digest) -> Vec<u8> {
    digest.to_wire().to_vec()
}

/// Table Licence, by identifier.
pub fn licence(id: &str) -> Vec<u8> {
    [b"i", id.as_bytes()].concat()
}

/// Table Licence, by type and holder: hashed, because a holder's code may be personal.
pub fn licence_of_holder(type_code: &str, holder_code: &str) -> Vec<u8> {
    let hash = crate::suite::sha256(&[type_code.as_bytes(), b"\0", holder_code.as_bytes()]);
    [b"h".as_slice(), &hash].concat()
}

/// Table Cursor.
pub fn cursor(consumer: &str, from: NodeId) -> Vec<u8> {
    [consumer.as_bytes(), b"\0", from.as_bytes()].concat()
}

/// Table Request: a query or recognition request.
pub fn request(channel: ChannelId, id: MessageId) -> Vec<u8> {
    let mut key = b"q".to_vec();
    key.extend_from_slice(&channel_prefix(channel));
    key.extend_from_slice(&id.0);
    key
}

/// Table Request: an answer, whose value is the id of the request that it answers.
pub fn answer(channel: ChannelId, id: MessageId) -> Vec<u8> {
    let mut key = b"a".to_vec();
    key.extend_from_slice(&channel_prefix(channel));
    key.extend_from_slice(&id.0);
    key
}

/// Table Request: a refusal that this node wrote for the entry at `position` of `channel`.
pub fn refused_here(channel: ChannelId, position: LogPosition) -> Vec<u8> {
    let mut key = b"r".to_vec();
    key.extend_from_slice(&channel_prefix(channel));
    key.extend_from_slice(&position.epoch.to_be_bytes());
    key.extend_from_slice(&position.index.to_be_bytes());
    key
}

/// Table Staged: drafts to `to`, in order of their staging.
pub fn staged(to: NodeId, serial: u64) -> Vec<u8> {
    let mut key = to.as_bytes().to_vec();
    key.extend_from_slice(&serial.to_be_bytes());
    key
}

/// Table Letter: an open or settled dead letter to `to`, oldest first.
pub fn letter(settled: bool, to: NodeId, since_ms: u64, id: MessageId) -> Vec<u8> {
    let mut key = letters(settled, Some(to));
    key.extend_from_slice(&since_ms.to_be_bytes());
    key.extend_from_slice(&id.0);
    key
}

/// Table Letter: prefix of the open or the settled letters, to all or to one.
pub fn letters(settled: bool, to: Option<NodeId>) -> Vec<u8> {
    let mut key = if settled { b"s".to_vec() } else { b"o".to_vec() };
    key.extend_from_slice(to.as_ref().map_or(&[], |to| to.as_bytes()));
    key
}

/// Reads [`letter`]: to whom, since when, which message.
pub fn letter_of(key: &[u8]) -> Option<(NodeId, u64, MessageId)> {
    let to = std::str::from_utf8(key.get(1..7)?).ok()?.parse().ok()?;
    let since = u64::from_be_bytes(key.get(7..15)?.try_into().ok()?);
    Some((to, since, MessageId(key.get(15..31)?.try_into().ok()?)))
}

/// Table Letter: the key of a letter's row, by message.
pub fn letter_place(to: NodeId, id: MessageId) -> Vec<u8> {
    [b"m", to.as_bytes(), &id.0].concat()
}

/// Table Letter: where a dropped draft lies.
pub fn letter_draft(to: NodeId, id: MessageId) -> Vec<u8> {
    [b"d", to.as_bytes(), &id.0].concat()
}

/// Table Letter: the own entry that follows up the own message `id`.
pub fn letter_follow(to: NodeId, id: MessageId) -> Vec<u8> {
    [b"f", to.as_bytes(), &id.0].concat()
}

/// Table Blob: prefix of the blobs that are whole here.
pub const BLOBS: &[u8] = b"s";

/// Table Blob: a blob that is whole here.
pub fn blob(digest: &Digest) -> Vec<u8> {
    [BLOBS, &digest.to_wire()].concat()
}

/// Table Blob: an own entry that names a blob: whoever it went to may have the blob.
pub fn blob_name_out(digest: &Digest, to: NodeId, position: LogPosition) -> Vec<u8> {
    placed(blob_names_out_to(digest, to), position)
}

/// Prefix of [`blob_name_out`] of all entries that name the blob.
pub fn blob_names_out(digest: &Digest) -> Vec<u8> {
    [b"o".as_slice(), &digest.to_wire()].concat()
}

/// Prefix of [`blob_name_out`] of entries to one node.
pub fn blob_names_out_to(digest: &Digest, to: NodeId) -> Vec<u8> {
    [blob_names_out(digest), to.as_str().as_bytes().to_vec()].concat()
}

/// Table Blob: a permitted entry of a partner that names a blob.
pub fn blob_name_in(digest: &Digest, from: NodeId, position: LogPosition) -> Vec<u8> {
    placed(blob_names_in_of(digest, from), position)
}

/// Prefix of [`blob_name_in`] of all entries that name the blob.
pub fn blob_names_in(digest: &Digest) -> Vec<u8> {
    [b"i".as_slice(), &digest.to_wire()].concat()
}

/// Prefix of [`blob_name_in`] of entries of one node.
pub fn blob_names_in_of(digest: &Digest, from: NodeId) -> Vec<u8> {
    [blob_names_in(digest), from.as_str().as_bytes().to_vec()].concat()
}

fn placed(mut key: Vec<u8>, position: LogPosition) -> Vec<u8> {
    key.extend_from_slice(&position.epoch.to_be_bytes());
    key.extend_from_slice(&position.index.to_be_bytes());
    key
}

/// The partner and the place in a key of [`blob_name_in`] or [`blob_name_out`].
pub fn blob_name_place(key: &[u8]) -> Option<(NodeId, LogPosition)> {
    let rest = key.get(1 + Digest::BYTES..)?;
    let (node, rest) = rest.split_first_chunk::<6>()?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let index = u64::from_be_bytes(rest.try_into().ok()?);
    let node = std::str::from_utf8(node).ok()?.parse().ok()?;
    Some((node, LogPosition { epoch: u32::from_be_bytes(*epoch), index }))
}

/// Table Blob: a blob that is to be fetched, or whose receipt is still to come. The value is its
/// length, u64 big endian.
pub fn blob_want(from: NodeId, position: LogPosition, digest: &Digest) -> Vec<u8> {
    let mut key = placed(blob_wants(from), position);
    key.extend_from_slice(&digest.to_wire());
    key
}

/// Prefix of [`blob_want`] of one partner, in the order of its log.
pub fn blob_wants(from: NodeId) -> Vec<u8> {
    [b"w", from.as_str().as_bytes()].concat()
}

/// The blob in a key of [`blob_want`], [`blob`], [`blob_unnamed`] or [`blob_given_up`].
pub fn blob_digest(key: &[u8]) -> Option<Digest> {
    key.last_chunk::<{ Digest::BYTES }>().and_then(|wire| Digest::from_wire(wire).ok())
}

/// Table Blob: prefix of uploads that no entry has named yet.
pub const BLOBS_UNNAMED: &[u8] = b"u";

/// Table Blob: an upload that no entry has named yet; the oldest comes first.
pub fn blob_unnamed(uploaded: UnixMillis, digest: &Digest) -> Vec<u8> {
    [BLOBS_UNNAMED, &uploaded.0.to_be_bytes(), &digest.to_wire()].concat()
}

/// The time in a key of [`blob_unnamed`].
pub fn blob_unnamed_since(key: &[u8]) -> Option<UnixMillis> {
    let (since, _) = key.get(BLOBS_UNNAMED.len()..)?.split_first_chunk::<8>()?;
    Some(UnixMillis(u64::from_be_bytes(*since)))
}

/// Table Blob: prefix of blobs that were given up and whose files may be there still.
pub const BLOBS_GIVEN_UP: &[u8] = b"g";

/// Table Blob: a blob that was given up.
pub fn blob_given_up(digest: &Digest) -> Vec<u8> {
    [BLOBS_GIVEN_UP, &digest.to_wire()].concat()
}

/// Table Blob: prefix of the events.
pub const BLOB_EVENTS: &[u8] = b"e";

/// Table Blob: the event of that serial.
pub fn blob_event(serial: u64) -> Vec<u8> {
    [BLOB_EVENTS, &serial.to_be_bytes()].concat()
}

/// The serial in a key of [`blob_event`].
pub fn blob_event_serial(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Table Meta: a signing certificate, by its hash.
pub fn signing_key(node: NodeId, leaf: &[u8]) -> Vec<u8> {
    let mut key = b"key/".to_vec();
    key.extend_from_slice(node.as_bytes());
    key.extend_from_slice(&crate::suite::sha256(&[leaf]));
    key
}

/// Prefix of all signing certificates in table Meta.
pub const SIGNING_KEYS: &[u8] = b"key/";

const _: () = assert!(CASE_FACT_BYTES_MAX + 1024 <= VALUE_BYTES_MAX, "a case fact fits a row");
const _: () = assert!(NAME_BYTES_MAX + 64 <= KEY_BYTES_MAX, "a name fits a key");
