//! Checkpoints: the signed head of a log, and the receiver's cosignature that makes it a receipt.
//!
//! A note is text (C2SP signed-note): a body, an empty line, signature lines. The body is a C2SP
//! tlog-checkpoint with one extension line, the sender's time. The first signature line is the
//! sender's, the second, when present, the receiver's timestamped cosignature (C2SP
//! tlog-cosignature). WIRE.md fixes each byte. What was received is kept and served as received.

use crate::id::{ChannelId, LogId};
use crate::limits::NOTE_BYTES_MAX;
use crate::suite::{Hash, PublicKey, SIGNATURE_BYTES, Suite, sha256};
use crate::time::UnixMillis;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose head it is.
    pub log: LogId,
    /// Entries below it.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
    /// The sender's clock.
    pub time: UnixMillis,
}

/// First part of every origin line.
const ORIGIN: &str = "tongban.channel/v1";

impl Checkpoint {
    /// The body of the note, with its final newline: what the sender signs.
    pub fn body(&self) -> String {
        format!(
            "{ORIGIN}/{}/{}/{}\n{}\n{}\ntime {}\n",
            self.log.channel.from,
            self.log.channel.to,
            self.log.epoch,
            self.size,
            STANDARD.encode(self.root),
            self.time.0
        )
    }

    /// Reads the body of a note; it must be exactly what [`Checkpoint::body`] writes.
    fn from_body(body: &str) -> Result<Self, NoteError> {
        let mut lines =
            body.strip_suffix('\n').ok_or(NoteError::Form("body has no final newline"))?.split('\n');
        let mut next = |what| lines.next().ok_or(NoteError::Form(what));
        let origin = next("no origin line")?;
        let size = next("no size line")?;
        let root = next("no root line")?;
        let time = next("no time line")?;
        let mut parts = origin
            .strip_prefix(ORIGIN)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or(NoteError::Form("origin is not tongban.channel/v1"))?
            .split('/');
        let mut part = || parts.next().ok_or(NoteError::Form("origin lacks a part"));
        let node = |text: &str| text.parse().map_err(|_| NoteError::Form("origin names no node"));
        let channel = ChannelId { from: node(part()?)?, to: node(part()?)? };
        let epoch = part()?.parse().map_err(|_| NoteError::Form("epoch is no number"))?;
        let checkpoint = Self {
            log: LogId { channel, epoch },
            size: size.parse().map_err(|_| NoteError::Form("size is no number"))?,
            root: STANDARD
                .decode(root)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(NoteError::Form("root is not 32 bytes of base64"))?,
            time: UnixMillis(
                time.strip_prefix("time ")
                    .and_then(|digits| digits.parse().ok())
                    .ok_or(NoteError::Form("time line is not `time` and milliseconds"))?,
            ),
        };
        // One text per checkpoint: leading zeros, signs, extra lines or parts do not come back the same.
        if checkpoint.body() != body {
            return Err(NoteError::Form("body is not written canonically"));
        }
        Ok(checkpoint)
    }
}

/// Why bytes are not a note, or not a trustworthy one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than the limit.
    #[error("a note of {0} bytes; {NOTE_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Not written as WIRE.md says.
    #[error("note: {0}")]
    Form(&'static str),
    /// No line by the named key.
    #[error("the note has no signature by {0}")]
    UnknownKey(String),
    /// The line is by the named key, but the signature is wrong.
    #[error("the signature by {0} does not verify")]
    BadSignature(String),
}

/// What a key signs: its own checkpoints, or receipts for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinePurpose {
    /// The sender's signature over the body.
    Origin,
    /// The receiver's timestamped cosignature.
    Cosignature,
}

/// The four bytes that name a key in a signature line (C2SP signed-note):
/// SHA-256(name ‖ 0x0a ‖ type ‖ key)\[..4\].
///
/// Ed25519: type 0x01 (0x04 for cosignatures) and the raw key, as C2SP defines. P-256 and SM2:
/// the private type 0xff, then the type's name, then the key as SubjectPublicKeyInfo.
pub fn key_hash(name: &str, key: &PublicKey, purpose: LinePurpose) -> [u8; 4] {
    let hash = match (key.suite, purpose) {
        (Suite::Ed25519Sha256, LinePurpose::Origin) => sha256(&[name.as_bytes(), b"\n\x01", key.raw()]),
        (Suite::Ed25519Sha256, LinePurpose::Cosignature) => sha256(&[name.as_bytes(), b"\n\x04", key.raw()]),
        (Suite::P256Sha256, LinePurpose::Origin) => {
            sha256(&[name.as_bytes(), b"\n\xfftongban/p256-sha256", key.spki()])
        }
        (Suite::P256Sha256, LinePurpose::Cosignature) => {
            sha256(&[name.as_bytes(), b"\n\xfftongban/p256-sha256/cosignature-v1", key.spki()])
        }
        (Suite::Sm2Sm3, LinePurpose::Origin) => {
            sha256(&[name.as_bytes(), b"\n\xfftongban/sm2-sm3", key.spki()])
        }
        (Suite::Sm2Sm3, LinePurpose::Cosignature) => {
            sha256(&[name.as_bytes(), b"\n\xfftongban/sm2-sm3/cosignature-v1", key.spki()])
        }
    };
    [hash[0], hash[1], hash[2], hash[3]]
}

/// What a receiver signs: C2SP tlog-cosignature, `cosignature/v1`, the time in whole seconds, the body.
pub fn cosigned_message(time_seconds: u64, body: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_seconds}\n{body}").into_bytes()
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    key_hash: [u8; 4],
    signature: Vec<u8>,
}

impl Line {
    fn text(&self) -> String {
        let mut bytes = self.key_hash.to_vec();
        bytes.extend_from_slice(&self.signature);
        format!("— {} {}\n", self.name, STANDARD.encode(bytes))
    }

    fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, base64) = line
            .strip_prefix("— ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or(NoteError::Form("a signature line is not `— name base64`"))?;
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c == '+') {
            return Err(NoteError::Form("a key name is empty or holds a space or a plus sign"));
        }
        let bytes = STANDARD.decode(base64).map_err(|_| NoteError::Form("a signature is not base64"))?;
        let (key_hash, signature) =
            bytes.split_first_chunk::<4>().ok_or(NoteError::Form("a signature is too short"))?;
        Ok(Self { name: name.to_owned(), key_hash: *key_hash, signature: signature.to_vec() })
    }
}

/// A checkpoint with its signature lines, well formed but trusted only after its signatures verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    checkpoint: Checkpoint,
    origin: Line,
    cosignature: Option<Line>,
}

impl Note {
    /// Reads a note of one or two signature lines.
    ///
    /// # Errors
    /// [`NoteError::TooLong`] and [`NoteError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NoteError::Form("not UTF-8"))?;
        let split = text.find("\n\n").ok_or(NoteError::Form("no empty line before the signatures"))?;
        let checkpoint = Checkpoint::from_body(&text[..=split])?;
        let mut lines = text[split + 2..]
            .strip_suffix('\n')
            .ok_or(NoteError::Form("no newline at the end"))?
            .split('\n')
            .map(Line::parse);
        let origin = lines.next().ok_or(NoteError::Form("no signature"))??;
        let cosignature = lines.next().transpose()?;
        if lines.next().is_some() {
            return Err(NoteError::Form("more than two signature lines"));
        }
        let note = Self { checkpoint, origin, cosignature };
        if note.text().as_bytes() != bytes {
            return Err(NoteError::Form("base64 is not written canonically"));
        }
        Ok(note)
    }

    /// Makes a note from the sender's signature over [`Checkpoint::body`].
    pub fn signed(checkpoint: Checkpoint, name: &str, key: &PublicKey, signature: &[u8]) -> Self {
        let origin = Line {
            name: name.to_owned(),
            key_hash: key_hash(name, key, LinePurpose::Origin),
            signature: signature.to_vec(),
        };
        Self { checkpoint, origin, cosignature: None }
    }

    /// The same note with the receiver's cosignature over [`cosigned_message`], in place of any other.
    #[must_use]
    pub fn with_cosignature(&self, name: &str, key: &PublicKey, time_seconds: u64, signature: &[u8]) -> Self {
        let mut stamped = time_seconds.to_be_bytes().to_vec();
        stamped.extend_from_slice(signature);
        let cosignature = Some(Line {
            name: name.to_owned(),
            key_hash: key_hash(name, key, LinePurpose::Cosignature),
            signature: stamped,
        });
        Self { checkpoint: self.checkpoint.clone(), origin: self.origin.clone(), cosignature }
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The text, as stored and served.
    pub fn text(&self) -> String {
        let mut text = self.checkpoint.body();
        text.push('\n');
        text.push_str(&self.origin.text());
        if let Some(cosignature) = &self.cosignature {
            text.push_str(&cosignature.text());
        }
        text
    }

    /// The note as its sender signed it, without the receiver's line.
    pub fn as_signed(&self) -> Self {
        Self { cosignature: None, ..self.clone() }
    }

    /// The name of the key that signed as sender.
    pub fn origin_name(&self) -> &str {
        &self.origin.name
    }

    /// The name of the key that cosigned as receiver, when one did.
    pub fn cosigner_name(&self) -> Option<&str> {
        self.cosignature.as_ref().map(|line| line.name.as_str())
    }

    /// Whether a cosignature stands in it (not whether it verifies).
    pub fn is_cosigned(&self) -> bool {
        self.cosignature.is_some()
    }

    /// Whether the sender's line is by that key.
    pub fn is_signed_by(&self, name: &str, key: &PublicKey) -> bool {
        self.origin.name == name && self.origin.key_hash == key_hash(name, key, LinePurpose::Origin)
    }

    /// Whether the receiver's line is by that key.
    pub fn is_cosigned_by(&self, name: &str, key: &PublicKey) -> bool {
        self.cosignature.as_ref().is_some_and(|line| {
            line.name == name && line.key_hash == key_hash(name, key, LinePurpose::Cosignature)
        })
    }

    /// Checks the sender's signature against one key.
    ///
    /// # Errors
    /// [`NoteError::UnknownKey`] when the line names another key, [`NoteError::BadSignature`].
    pub fn verify_origin(&self, name: &str, key: &PublicKey) -> Result<(), NoteError> {
        if !self.is_signed_by(name, key) {
            return Err(NoteError::UnknownKey(name.to_owned()));
        }
        if !key.verifies(self.checkpoint.body().as_bytes(), &self.origin.signature) {
            return Err(NoteError::BadSignature(name.to_owned()));
        }
        Ok(())
    }

    /// Checks the receiver's cosignature against one key and returns its time in whole seconds.
    ///
    /// # Errors
    /// [`NoteError::UnknownKey`] when there is no such line, [`NoteError::BadSignature`].
    pub fn verify_cosignature(&self, name: &str, key: &PublicKey) -> Result<u64, NoteError> {
        let Some(line) = self.cosignature.as_ref().filter(|_| self.is_cosigned_by(name, key)) else {
            return Err(NoteError::UnknownKey(name.to_owned()));
        };
        let bad = || NoteError::BadSignature(name.to_owned());
        let (time, signature) = line.signature.split_first_chunk::<8>().ok_or_else(bad)?;
        let seconds = u64::from_be_bytes(*time);
        if signature.len() != SIGNATURE_BYTES
            || !key.verifies(&cosigned_message(seconds, &self.checkpoint.body()), signature)
        {
            return Err(bad());
        }
        Ok(seconds)
    }

    /// The time that stands in the cosignature line, unverified.
    pub fn cosignature_seconds(&self) -> Option<u64> {
        let line = self.cosignature.as_ref()?;
        line.signature.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    fn key() -> (Ed25519KeyPair, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        spki.extend_from_slice(pair.public_key().as_ref());
        let key = PublicKey::from_spki(&spki).unwrap();
        let _ = SystemRandom::new();
        (pair, key)
    }

    fn checkpoint() -> Checkpoint {
        let channel = "430600>421200".parse().unwrap();
        Checkpoint {
            log: LogId { channel, epoch: 0 },
            size: 3,
            root: [1; 32],
            time: UnixMillis(1_774_000_000_000),
        }
    }

    #[test]
    fn a_note_round_trips_and_both_signatures_verify() {
        let (pair, key) = key();
        let name = "spiffe://hunan.tongban/node/430600";
        let signature = pair.sign(checkpoint().body().as_bytes());
        let note = Note::signed(checkpoint(), name, &key, signature.as_ref());
        assert_eq!(Note::parse(note.text().as_bytes()), Ok(note.clone()));
        assert_eq!(note.verify_origin(name, &key), Ok(()));
        let cosigned = pair.sign(&cosigned_message(1_774_000_001, &checkpoint().body()));
        let note = note.with_cosignature(name, &key, 1_774_000_001, cosigned.as_ref());
        let read = Note::parse(note.text().as_bytes()).unwrap();
        assert_eq!(read.verify_cosignature(name, &key), Ok(1_774_000_001));
        assert_eq!(read.verify_origin(name, &key), Ok(()));
    }

    #[test]
    fn a_note_that_differs_in_one_bit_is_refused_or_does_not_verify() {
        let (pair, key) = key();
        let name = "spiffe://hunan.tongban/node/430600";
        let signature = pair.sign(checkpoint().body().as_bytes());
        let text = Note::signed(checkpoint(), name, &key, signature.as_ref()).text().into_bytes();
        for position in 0..text.len() {
            for bit in 0..8 {
                let mut forged = text.clone();
                forged[position] ^= 1 << bit;
                if let Ok(note) = Note::parse(&forged) {
                    assert!(note.verify_origin(name, &key).is_err(), "byte {position} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn only_the_canonical_text_is_a_checkpoint() {
        let body = checkpoint().body();
        assert!(Checkpoint::from_body(&body).is_ok());
        assert!(Checkpoint::from_body(&body.replace("\n3\n", "\n03\n")).is_err());
        assert!(Checkpoint::from_body(&body.replace("\n3\n", "\n+3\n")).is_err());
        assert!(Checkpoint::from_body(&format!("{body}more\n")).is_err());
        assert!(Checkpoint::from_body(&body.replace("/v1/", "/v2/")).is_err());
    }
}
