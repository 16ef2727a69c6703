//! A reader of journals that shares no code with the one that writes them: segments, frames, check sums,
//! headers, trees and notes are read here from the documented formats alone (`gateway::store::journal`,
//! `store.proto`, WIRE.md §3, §5, §6). It trusts nothing and repairs nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use proto::store::v1::fact::Kind as Fact;
use proto::store::v1::{Commit, SigningKey};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use std::collections::BTreeMap;
use std::path::Path;

/// SHA-256.
pub type Hash = [u8; 32];

/// What one node's journal says.
#[derive(Debug, Default)]
pub struct Books {
    /// By partner: the log to it.
    pub sent: BTreeMap<String, Log>,
    /// By partner: the copy of its log.
    pub received: BTreeMap<String, Log>,
    /// Digests of files that became whole here, tagged.
    pub files: Vec<Vec<u8>>,
    /// Public keys by name: the SPKI of every signing key seen.
    pub keys: BTreeMap<String, Vec<Vec<u8>>>,
    /// Codes of stops.
    pub stops: Vec<String>,
    /// Whole frames.
    pub frames: u64,
    /// Bytes at the end that are no frame: a write that a kill interrupted.
    pub torn_bytes: usize,
}

/// One copy of a log.
#[derive(Debug, Default)]
pub struct Log {
    /// In order.
    pub entries: Vec<Entry>,
    /// Every note that the journal shows of it.
    pub notes: Vec<Note>,
}

/// An entry as stored.
#[derive(Debug)]
pub struct Entry {
    /// As received.
    pub header: Vec<u8>,
    /// Salt and payload.
    pub body: Vec<u8>,
    /// Of an inbound entry: empty, permitted.
    pub verdict: String,
    /// Of an outbound entry: the submitter's key, if it gave one.
    pub alias: String,
    /// Field 1 of the header.
    pub message_id: Vec<u8>,
    /// Field 5.
    pub kind: String,
    /// Field 6.
    pub case_id: String,
    /// Field 7.
    pub in_reply_to: Vec<u8>,
}

/// A signed checkpoint.
#[derive(Debug)]
pub struct Note {
    /// The three lines and the extension that are signed.
    pub body: String,
    /// First line.
    pub origin: String,
    /// Entries below the head.
    pub size: u64,
    /// Of the tree.
    pub root: Hash,
    /// Name, key hash and signature of each line.
    pub lines: Vec<(String, Vec<u8>)>,
}

/// Reads all segments of a journal's folder.
///
/// # Errors
/// What is not as the format says, with the place.
pub fn read(folder: &Path) -> Result<Books, String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".tbj"))
        .collect();
    names.sort();
    let mut books = Books::default();
    let mut next = 1;
    for (number, name) in names.iter().enumerate() {
        let bytes = std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let last = number + 1 == names.len();
        segment(&bytes, last, &mut next, &mut books).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(books)
}

fn segment(bytes: &[u8], last: bool, next: &mut u64, books: &mut Books) -> Result<(), String> {
    let header = bytes.get(..64).ok_or("shorter than its header")?;
    if &header[..8] != b"TBJRNL\r\n" || u32_at(header, 8) != 1 || u32_at(header, 28) != crc32c(&header[..28])
    {
        return Err("no header of version 1".into());
    }
    if u64_at(header, 12) != *next {
        return Err(format!("begins at frame {}, {next} is due", u64_at(header, 12)));
    }
    let mark = &header[20..28];
    let mut at = 64;
    while let Some(frame) = bytes.get(at..).and_then(|rest| frame(rest, mark, *next)) {
        let (commit, bodies, length) = frame.map_err(|what| format!("frame {next} at {at}: {what}"))?;
        books.take(commit, bodies).map_err(|what| format!("frame {next}: {what}"))?;
        books.frames += 1;
        *next += 1;
        at += length;
    }
    let rest = bytes[at.min(bytes.len())..].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    if !last && rest != 0 {
        return Err(format!("{rest} bytes at {at} are no frame, and another segment follows"));
    }
    books.torn_bytes += rest;
    Ok(())
}

type Frame<'a> = (Commit, Vec<&'a [u8]>, usize);

/// The frame at the start of `rest`; nothing where none begins or it was cut short, as a kill leaves it.
fn frame<'a>(rest: &'a [u8], mark: &[u8], position: u64) -> Option<Result<Frame<'a>, String>> {
    let head = rest.get(..40)?;
    if &head[..8] != mark || u32_at(head, 36) != crc32c(&head[..36]) {
        return None;
    }
    let [count, meta, total] = [16, 20, 24].map(|at| u32_at(head, at) as usize);
    let length = (40 + 9 * count + meta + total).next_multiple_of(8);
    let table = rest.get(40..40 + 8 * count)?;
    let markers = rest.get(40 + 8 * count..40 + 9 * count)?;
    let text = rest.get(40 + 9 * count..40 + 9 * count + meta)?;
    let mut bodies_bytes = rest.get(40 + 9 * count + meta..40 + 9 * count + meta + total)?;
    // The head is the first part of a write: what follows it may be torn, and then nothing of it counts.
    if u32_at(head, 32) != crc32c(table) || u32_at(head, 28) != crc32c(text) {
        return None;
    }
    let mut bodies = Vec::with_capacity(count);
    for row in table.chunks_exact(8) {
        let body = bodies_bytes.get(..u32_at(row, 0) as usize)?;
        bodies_bytes = &bodies_bytes[body.len()..];
        if crc32c(body) != u32_at(row, 4) {
            return None;
        }
        bodies.push(body);
    }
    if u64_at(head, 8) != position {
        return Some(Err(format!("states position {}", u64_at(head, 8))));
    }
    if markers.iter().any(|marker| *marker != 0) {
        return Some(Err("nothing was erased, and a marker says so".into()));
    }
    Some(Commit::decode(text).map(|commit| (commit, bodies, length)).map_err(|error| error.to_string()))
}

impl Books {
    fn take(&mut self, commit: Commit, bodies: Vec<&[u8]>) -> Result<(), String> {
        let mut bodies = bodies.into_iter();
        let mut body = || bodies.next().ok_or_else(|| "a body is missing".to_owned());
        for fact in commit.facts.into_iter().filter_map(|fact| fact.kind) {
            match fact {
                Fact::Appended(one) => {
                    let log = self.sent.entry(one.to).or_default();
                    log.goes_on_at(one.first)?;
                    for (place, header) in one.headers.iter().enumerate() {
                        let alias = one.aliases.get(place).cloned().unwrap_or_default();
                        log.entries.push(Entry::read(header, body()?, String::new(), alias)?);
                    }
                    log.note(&one.checkpoint)?;
                }
                Fact::Restored(one) => {
                    let log = self.sent.entry(one.to).or_default();
                    log.goes_on_at(one.first)?;
                    for header in &one.headers {
                        log.entries.push(Entry::read(header, body()?, String::new(), String::new())?);
                    }
                    log.note(&one.checkpoint)?;
                }
                Fact::Accepted(one) => {
                    let log = self.received.entry(one.from).or_default();
                    log.goes_on_at(one.first)?;
                    for (place, header) in one.headers.iter().enumerate() {
                        let verdict = one.verdicts.get(place).cloned().unwrap_or_default();
                        log.entries.push(Entry::read(header, body()?, verdict, String::new())?);
                    }
                    log.note(&one.checkpoint)?;
                }
                Fact::Receipt(one) => self.sent.entry(one.to).or_default().note(&one.checkpoint)?,
                Fact::Staged(_) | Fact::LocalCase(_) | Fact::LicencePut(_) => drop(body()?),
                Fact::DraftDropped(one) => {
                    if one.draft.is_some() {
                        body()?;
                    }
                }
                Fact::Stop(stop) => self.stops.push(stop.code),
                Fact::SigningKey(SigningKey { name, spki, .. }) => {
                    self.keys.entry(name).or_default().push(spki.to_vec());
                }
                Fact::BlobStored(stored) => self.files.push(stored.digest.to_vec()),
                Fact::Cursor(_)
                | Fact::Resume(_)
                | Fact::Alarm(_)
                | Fact::BlobGivenUp(_)
                | Fact::BlobRemoved(_) => {}
            }
        }
        if bodies.next().is_some() {
            return Err("a body belongs to no fact".into());
        }
        Ok(())
    }
}

impl Log {
    fn goes_on_at(&self, first: u64) -> Result<(), String> {
        let size = self.entries.len() as u64;
        if first == size { Ok(()) } else { Err(format!("entries from {first} on, and {size} are here")) }
    }

    fn note(&mut self, text: &[u8]) -> Result<(), String> {
        self.notes.push(Note::read(text)?);
        Ok(())
    }

    /// The roots of all sizes from 0 on.
    pub fn roots(&self) -> Vec<Hash> {
        // Peaks of the tree with their heights, largest first.
        let mut peaks: Vec<(u32, Hash)> = Vec::new();
        let mut roots = vec![sha256(&[])];
        for entry in &self.entries {
            let mut peak = (0, sha256(&[&[0], &entry.header]));
            while let Some(left) = peaks.pop_if(|left| left.0 == peak.0) {
                peak = (peak.0 + 1, sha256(&[&[1], &left.1, &peak.1]));
            }
            peaks.push(peak);
            let mut up = peaks.iter().rev().map(|peak| peak.1);
            let lowest = up.next().expect("a leaf was just added");
            roots.push(up.fold(lowest, |right, left| sha256(&[&[1], &left, &right])));
        }
        roots
    }
}

impl Entry {
    fn read(header: &[u8], body: &[u8], verdict: String, alias: String) -> Result<Self, String> {
        let mut entry = Self {
            header: header.to_vec(),
            body: body.to_vec(),
            verdict,
            alias,
            message_id: Vec::new(),
            kind: String::new(),
            case_id: String::new(),
            in_reply_to: Vec::new(),
        };
        let mut rest = header;
        let mut digest = Vec::new();
        while !rest.is_empty() {
            let key = varint(&mut rest).ok_or("a header breaks off")?;
            match key & 7 {
                0 => drop(varint(&mut rest).ok_or("a header breaks off")?),
                2 => {
                    let length = varint(&mut rest).ok_or("a header breaks off")?;
                    let field = rest.split_off(..length as usize).ok_or("a header breaks off")?;
                    let text = || String::from_utf8_lossy(field).into_owned();
                    match key >> 3 {
                        1 => entry.message_id = field.to_vec(),
                        5 => entry.kind = text(),
                        6 => entry.case_id = text(),
                        7 => entry.in_reply_to = field.to_vec(),
                        14 => digest = field.to_vec(),
                        _ => {}
                    }
                }
                other => return Err(format!("wire type {other} in a header")),
            }
        }
        if digest.get(1..) != Some(&sha256(&[body])[..]) {
            return Err(format!("{}: the body is not that of its header", entry.kind));
        }
        Ok(entry)
    }
}

impl Note {
    /// Reads a note's text.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let bad = || "no note".to_owned();
        let text = std::str::from_utf8(text).map_err(|_| bad())?;
        let (body, lines) = text.split_once("\n\n").ok_or_else(bad)?;
        let body = format!("{body}\n");
        let mut words = body.lines();
        let origin = words.next().ok_or_else(bad)?.to_owned();
        let size = words.next().and_then(|size| size.parse().ok()).ok_or_else(bad)?;
        let root = words.next().and_then(|root| STANDARD.decode(root).ok()).ok_or_else(bad)?;
        let root = root.try_into().map_err(|_| bad())?;
        let lines = lines.lines().map(|line| {
            let (name, base64) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            Some((name.to_owned(), STANDARD.decode(base64).ok()?))
        });
        let lines = lines.collect::<Option<Vec<_>>>().ok_or_else(bad)?;
        Ok(Self { body, origin, size, root, lines })
    }

    /// Whether both signatures hold under keys of the names they state (P-256).
    pub fn cosigned_under(&self, keys: &BTreeMap<String, Vec<Vec<u8>>>) -> bool {
        let [origin, cosigner] = &self.lines[..] else { return false };
        let good = |name: &str, message: &[u8], signature: &[u8]| {
            keys.get(name).is_some_and(|keys| {
                keys.iter().filter(|spki| spki.len() == 91).any(|spki| {
                    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &spki[26..]);
                    key.verify(message, signature).is_ok()
                })
            })
        };
        if origin.1.len() != 68 || cosigner.1.len() != 76 {
            return false;
        }
        let seconds = u64::from_be_bytes(cosigner.1[4..12].try_into().expect("eight bytes"));
        let message = format!("cosignature/v1\ntime {seconds}\n{}", self.body);
        good(&origin.0, self.body.as_bytes(), &origin.1[4..])
            && good(&cosigner.0, message.as_bytes(), &cosigner.1[12..])
    }
}

fn sha256(parts: &[&[u8]]) -> Hash {
    digest(&SHA256, &parts.concat()).as_ref().try_into().expect("32 bytes")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// CRC-32C (Castagnoli), reflected, as in RFC 3720 §12.1.
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let leaf = |header: &[u8]| Entry {
            header: header.to_vec(),
            body: Vec::new(),
            verdict: String::new(),
            alias: String::new(),
            message_id: Vec::new(),
            kind: String::new(),
            case_id: String::new(),
            in_reply_to: Vec::new(),
        };
        let (a, b, c) = (sha256(&[&[0], b"a"]), sha256(&[&[0], b"b"]), sha256(&[&[0], b"c"]));
        let log = Log { entries: vec![leaf(b"a"), leaf(b"b"), leaf(b"c")], notes: Vec::new() };
        let two = sha256(&[&[1], &a, &b]);
        assert_eq!(log.roots(), [sha256(&[]), a, two, sha256(&[&[1], &two, &c])]);
    }
}
