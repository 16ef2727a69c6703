//! A batch whose cryptography was checked, and entries read from it.
//!
//! [`VerifiedBatch`] is proof: it exists only when every limit holds, every header hashes to a leaf,
//! and the sender's signature over the checkpoint verified under a key that the caller trusts now.
//! What the entries *say* may still be refused, one by one; that never stops a channel.

use crate::entry::{Header, RawEntry, body_digest};
use crate::id::{LogId, MessageId};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BODY_BYTES_MAX};
use crate::log::checkpoint::{Note, NoteError};
use crate::log::leaf::leaf_hash;
use crate::refusal::{Refusal, RefusalCode};
use crate::suite::{Hash, PublicKey, Suite};

/// An entry of a batch: its bytes, its leaf, and what could be read of it.
#[derive(Debug, Clone)]
pub struct ReadEntry {
    /// The bytes. The body is dropped when it does not match the header's digest.
    pub raw: RawEntry,
    /// Leaf hash of the header.
    pub leaf: Hash,
    /// The header, or the code it is refused with.
    pub header: Result<Header, RefusalCode>,
    /// Whether the body is as the header says; else the code it is refused with.
    pub body: Result<(), RefusalCode>,
    /// The sender says that the body was erased.
    pub erased: bool,
}

impl ReadEntry {
    /// Reads one entry of `log`.
    ///
    /// # Errors
    /// [`RefusalCode::TooLarge`] when the header cannot be a leaf: no log can hold it.
    pub fn read(suite: Suite, log: LogId, raw: RawEntry, erased: bool) -> Result<Self, Refusal> {
        let leaf = leaf_hash(suite, &raw.header)
            .map_err(|error| Refusal::new(RefusalCode::TooLarge, error.to_string()))?;
        let header = match Header::parse(&raw.header) {
            Err(_) => Err(RefusalCode::MalformedHeader),
            Ok(header) if header.log() != log => Err(RefusalCode::WrongChannel),
            Ok(header) => Ok(header),
        };
        let body = match (&header, &raw.body) {
            (Err(code), _) => Err(*code),
            (Ok(_), None) => Err(RefusalCode::BodyMissing),
            (Ok(_), Some(body)) if body.len() > BODY_BYTES_MAX => Err(RefusalCode::TooLarge),
            (Ok(header), Some(body)) => {
                let fits = body.len() == header.body_length as usize
                    && body_digest(suite, body) == header.body_digest;
                if fits { Ok(()) } else { Err(RefusalCode::BodyDigest) }
            }
        };
        // A body that is not the one committed to is nobody's word: it is not kept.
        let raw = if body.is_err() { RawEntry { header: raw.header, body: None } } else { raw };
        Ok(Self { raw, leaf, header, body, erased })
    }

    /// The message's id, when its header can be read.
    pub fn message_id(&self) -> Option<MessageId> {
        self.header.as_ref().ok().map(|header| header.message_id)
    }
}

/// What a peer sent, before any check.
#[derive(Debug, Clone)]
pub struct UncheckedBatch {
    /// The epoch that the sender says it is of.
    pub epoch: u32,
    /// Index of the first entry.
    pub first: u64,
    /// The entries, and whether each body was erased.
    pub entries: Vec<(RawEntry, bool)>,
    /// The note.
    pub checkpoint: Vec<u8>,
}

/// A batch whose limits, leaves and signature hold. Only [`VerifiedBatch::check`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedBatch {
    log: LogId,
    first: u64,
    entries: Vec<ReadEntry>,
    note: Note,
}

/// The name of a note's signing key and the key, as the caller's trust gives it.
pub struct KnownKey<'a> {
    /// SPIFFE id.
    pub name: &'a str,
    /// The key.
    pub key: &'a PublicKey,
}

impl VerifiedBatch {
    /// Checks a batch of `log`. `find_key` gives the trusted key that signed the note, when there is one.
    ///
    /// # Errors
    /// [`RefusalCode::TooLarge`], [`RefusalCode::WrongEpoch`], [`RefusalCode::BadCheckpoint`],
    /// [`RefusalCode::UnknownKey`], [`RefusalCode::BadSignature`], [`RefusalCode::WrongIndex`].
    pub fn check<'a>(
        suite: Suite,
        log: LogId,
        batch: UncheckedBatch,
        find_key: impl FnOnce(&Note) -> Result<KnownKey<'a>, Refusal>,
    ) -> Result<Self, Refusal> {
        let bytes: usize = batch
            .entries
            .iter()
            .map(|(raw, _)| raw.header.len() + raw.body.as_ref().map_or(0, |body| body.len()))
            .sum();
        if batch.entries.len() > BATCH_ENTRIES_MAX || bytes > BATCH_BYTES_MAX {
            let detail = format!("entries={} bytes={bytes}", batch.entries.len());
            return Err(Refusal::new(RefusalCode::TooLarge, detail));
        }
        let note = Note::parse(&batch.checkpoint).map_err(note_refusal)?;
        if batch.epoch != log.epoch || note.checkpoint().log.epoch != log.epoch {
            return Err(Refusal::new(RefusalCode::WrongEpoch, format!("expected={}", log.epoch)));
        }
        if note.checkpoint().log != log {
            return Err(Refusal::new(RefusalCode::BadCheckpoint, "origin is another channel"));
        }
        let end = batch.first.checked_add(batch.entries.len() as u64);
        if end != Some(note.checkpoint().size) {
            return Err(Refusal::new(RefusalCode::WrongIndex, "the checkpoint is not of the batch's end"));
        }
        let known = find_key(&note)?;
        if known.key.suite != suite {
            return Err(Refusal::new(RefusalCode::BadSignature, "the key is not of the epoch's suite"));
        }
        note.verify_origin(known.name, known.key).map_err(note_refusal)?;
        let entries = batch
            .entries
            .into_iter()
            .map(|(raw, erased)| ReadEntry::read(suite, log, raw, erased))
            .collect::<Result<_, _>>()?;
        Ok(Self { log, first: batch.first, entries, note })
    }

    /// The log.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// Index of the first entry.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The entries.
    pub fn entries(&self) -> &[ReadEntry] {
        &self.entries
    }

    /// The signed checkpoint of the batch's end.
    pub fn note(&self) -> &Note {
        &self.note
    }
}

/// The refusal that a bad note gets.
pub fn note_refusal(error: NoteError) -> Refusal {
    let code = match &error {
        NoteError::TooLong(_) | NoteError::Form(_) => RefusalCode::BadCheckpoint,
        NoteError::UnknownKey(_) => RefusalCode::UnknownKey,
        NoteError::BadSignature(_) => RefusalCode::BadSignature,
    };
    Refusal::new(code, error.to_string())
}
