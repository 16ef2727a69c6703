//! The administration log: `administration.log` in the trust folder, one record a line.
//!
//! ```text
//! record  = payload TAB signature LF
//! payload = JSON {"version":1,"previous":hex,"at_ms":n,"by":name,"act":{…}}, signed and hashed as written
//! ```
//!
//! `previous` is SHA-256 of the whole line before, without its LF (64 zeros in the first). The signature, in hex, is
//! Ed25519 by the author's key over the DSSE v1 pre-authentication encoding of the payload. So a changed byte, a
//! line that was removed, and lines in another order are found by reading; a tail that was cut off is found by a
//! node that has seen it, which keeps the [`Head`].
//!
//! A crash while a record is written leaves a last line without LF: nobody was told that it counts, readers pass
//! over it, and the next writer cuts it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};

use crate::administration::event::Act;
use crate::administration::state::{NotAllowed, State};
use crate::dsse;
use crate::error::TrustError;
use crate::limits::ADMINISTRATION_LOG_BYTES_MAX;
use crate::pem;

/// The file in a trust folder.
pub const LOG_FILE: &str = "administration.log";
const VERSION: u32 = 1;
const PAYLOAD_TYPE: &str = "application/vnd.tongban.administration+json";
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// DER before the 32 bytes of an Ed25519 key (RFC 8410 §4), hex.
const ED25519_SPKI_PREFIX: &str = "302a300506032b6570032100";

/// How far somebody has seen a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Records.
    pub records: usize,
    /// SHA-256 of the last line, hex.
    pub digest: String,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// SHA-256 of the line before, hex.
    previous: String,
    /// When, Unix ms; never decreases.
    pub at_ms: i64,
    /// Who, by name.
    pub by: String,
    /// What.
    pub act: Act,
}

/// A log that was read whole, each record verified and judged.
#[derive(Clone, Debug, Default)]
pub struct Log {
    records: Vec<Record>,
    digests: Vec<String>,
    state: State,
    /// Bytes up to the end of the last whole line.
    whole_bytes: u64,
    torn: bool,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log cannot be read, or not be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The rules forbid the act.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
}

impl Log {
    /// Reads the log of a trust folder; `None` when there is none.
    ///
    /// # Errors
    /// [`TrustError::LogTampered`] names the first record that is not what its author wrote or could not have been
    /// written; [`TrustError::File`].
    pub fn read(dir: &Path) -> Result<Option<Self>, TrustError> {
        let path = dir.join(LOG_FILE);
        if !path.try_exists().map_err(|error| TrustError::from_io(&path, &error))? {
            return Ok(None);
        }
        Self::parse(&pem::read_bounded(&path, ADMINISTRATION_LOG_BYTES_MAX)?).map(Some)
    }

    /// Reads a log from its bytes.
    ///
    /// # Errors
    /// [`TrustError::LogTampered`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let mut log = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else {
                log.torn = true;
                break;
            };
            let number = log.records.len() + 1;
            let tampered = |reason: String| TrustError::LogTampered { record: number, reason };
            let text = std::str::from_utf8(line).map_err(|_| tampered("not UTF-8".into()))?;
            let (payload, signature) =
                text.split_once('\t').ok_or_else(|| tampered("no signature".into()))?;
            let record: Record =
                serde_json::from_str(payload).map_err(|error| tampered(error.to_string()))?;
            if record.version != VERSION {
                return Err(tampered(format!("version {} is not known here", record.version)));
            }
            if record.previous != log.last_digest() {
                return Err(tampered("it does not follow the record before it".into()));
            }
            if log.records.last().is_some_and(|last| last.at_ms > record.at_ms) {
                return Err(tampered("it is older than the record before it".into()));
            }
            // The first record brings its author's key along; every later one was known before.
            let key_of =
                |state: &State| state.administrators.get(&record.by).and_then(|author| raw_key(&author.key));
            let known = key_of(&log.state).filter(|_| number > 1);
            // A record that is refused ends the reading, so the state is changed where it lies.
            log.state
                .apply_in_place(number, &record.by, record.at_ms, &record.act)
                .map_err(|error| tampered(error.to_string()))?;
            let key = if number == 1 { key_of(&log.state) } else { known };
            let signed = key.zip(from_hex(signature)).is_some_and(|(key, signature)| {
                UnparsedPublicKey::new(&ED25519, key).verify(&encoded(payload), &signature).is_ok()
            });
            if !signed {
                return Err(tampered(format!("{} did not sign it", record.by)));
            }
            log.records.push(record);
            log.digests.push(to_hex(digest(&SHA256, line).as_ref()));
            log.whole_bytes += line.len() as u64 + 1;
        }
        Ok(log)
    }

    /// The state after the last record.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All records, oldest first; the first has number 1.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Where it ends.
    pub fn head(&self) -> Head {
        Head { records: self.records.len(), digest: self.last_digest().to_owned() }
    }

    /// Whether a crash left the beginning of a record that never counted.
    pub fn torn(&self) -> bool {
        self.torn
    }

    /// Whether this log continues what was seen.
    ///
    /// # Errors
    /// [`TrustError::LogRolledBack`].
    pub fn continues(&self, seen: &Head) -> Result<(), TrustError> {
        let there = match seen.records {
            0 => true,
            count => self.digests.get(count - 1) == Some(&seen.digest),
        };
        if there { Ok(()) } else { Err(TrustError::LogRolledBack { seen: seen.records }) }
    }

    fn last_digest(&self) -> &str {
        self.digests.last().map_or(ZEROS, String::as_str)
    }
}

/// What [`append`] would write: the number of the new record, and the state before and after it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Number of the record.
    pub record: usize,
    /// The state now.
    pub before: State,
    /// The state with it.
    pub after: State,
}

/// Judges an act without writing anything.
///
/// # Errors
/// As [`append`].
pub fn plan(dir: &Path, author: &str, act: &Act, now_ms: i64) -> Result<Plan, AppendError> {
    let log = Log::read(dir)?.unwrap_or_default();
    let record = log.records.len() + 1;
    let after = log.state.apply(record, author, now_ms, act)?;
    Ok(Plan { record, before: log.state, after })
}

/// Appends the act of `author`, signed with `key` (PKCS#8, Ed25519), and returns when the disk has it.
///
/// One writer at a time: the file is locked. A clock behind the last record's counts as that record's time.
///
/// # Errors
/// [`NotAllowed`] from the rules; [`TrustError::KeyMismatch`] when the key is not the author's;
/// [`TrustError::LogTampered`]; [`TrustError::File`].
pub fn append(
    dir: &Path,
    author: &str,
    key: &PrivatePkcs8KeyDer<'_>,
    act: &Act,
    now_ms: i64,
) -> Result<Plan, AppendError> {
    let path = dir.join(LOG_FILE);
    let failed = |error: std::io::Error| TrustError::from_io(&path, &error);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    let mut bytes = Vec::new();
    (&file).take(ADMINISTRATION_LOG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let log = Log::parse(&bytes)?;
    let number = log.records.len() + 1;
    let at_ms = log.records.last().map_or(now_ms, |last| last.at_ms.max(now_ms));
    let after = log.state.apply(number, author, at_ms, act)?;
    let known = if number == 1 { &after } else { &log.state };
    let registered = known.administrators.get(author).and_then(|author| raw_key(&author.key));
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
        .map_err(|_| TrustError::KeyUnsupported("an administrator's key is Ed25519".into()))?;
    if registered.as_deref() != Some(ring::signature::KeyPair::public_key(&pair).as_ref()) {
        return Err(TrustError::KeyMismatch.into());
    }
    let previous = log.last_digest().to_owned();
    let record = Record { version: VERSION, previous, at_ms, by: author.to_owned(), act: act.clone() };
    let payload = serde_json::to_string(&record).map_err(|error| TrustError::Config(error.to_string()))?;
    let signature = to_hex(pair.sign(&encoded(&payload)).as_ref());
    let line = format!("{payload}\t{signature}\n");
    if log.whole_bytes + line.len() as u64 > ADMINISTRATION_LOG_BYTES_MAX {
        return Err(TrustError::Config("the administration log is full".into()).into());
    }
    let write = |file: &mut File| {
        file.set_len(log.whole_bytes)?;
        file.seek(SeekFrom::Start(log.whole_bytes))?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        File::open(dir)?.sync_all()
    };
    write(&mut file).map_err(failed)?;
    Ok(Plan { record: number, before: log.state, after })
}

fn encoded(payload: &str) -> Vec<u8> {
    dsse::pre_authentication_encoding(PAYLOAD_TYPE, payload.as_bytes())
}

/// The 32 bytes of an Ed25519 key in SubjectPublicKeyInfo, hex.
pub(super) fn raw_key(spki_hex: &str) -> Option<Vec<u8>> {
    from_hex(spki_hex.strip_prefix(ED25519_SPKI_PREFIX)?).filter(|key| key.len() == 32)
}

/// Lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Where a node keeps the [`Head`] that it has seen: in its data folder, away from the log.
const HEAD_FILE: &str = "trust.head";
const HEAD_BYTES_MAX: u64 = 256;

/// Reads how far the node with this data folder has seen its administration log; `None`: it never saw one.
///
/// # Errors
/// [`TrustError::File`]; [`TrustError::Config`] when the file is damaged.
pub fn read_head(data_dir: &Path) -> Result<Option<Head>, TrustError> {
    let path = data_dir.join(HEAD_FILE);
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        // What is no folder was no node's either; that it is none is told of the folder, not of trust.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(TrustError::from_io(&path, &error)),
    }
    let bytes = pem::read_bounded(&path, HEAD_BYTES_MAX)?;
    let head = String::from_utf8(bytes).ok().and_then(|text| {
        let (records, digest) = text.trim_end().split_once(' ')?;
        let digest = from_hex(digest).filter(|bytes| bytes.len() == 32).map(|_| digest.to_owned())?;
        Some(Head { records: records.parse().ok()?, digest })
    });
    head.map(Some).ok_or_else(|| TrustError::Config(format!("{} is damaged", path.display())))
}

/// Remembers how far the node has seen its administration log. Old or new after a crash, never half.
///
/// # Errors
/// [`TrustError::File`].
pub fn write_head(data_dir: &Path, head: &Head) -> Result<(), TrustError> {
    let (path, fresh) = (data_dir.join(HEAD_FILE), data_dir.join("trust.head.new"));
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(format!("{} {}\n", head.records, head.digest).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        File::open(data_dir)?.sync_all()
    };
    write().map_err(|error| TrustError::from_io(&path, &error))
}
