//! What the store reads back: a disk may rot, and somebody may hold it in hand. Check sums keep a fuzzer
//! out, so each input is read twice: as it is, and with its check sums made right.

use gateway::entry::Header;
use gateway::id::Digest;
use gateway::log::checkpoint::Note;
use gateway::store::blobs::BlobStore;
use gateway::store::journal::{self, After, Options};
use gateway::store::packed::inspect_run;
use gateway::suite::sha256;
use gateway::wire::case_fact;
use gateway::wire::payload::decode_licence;
use prost::Message as _;
use proto::store::v1 as pb;
use proto::store::v1::fact::Kind as Fact;

/// Bytes of a segment's header, of a frame's head, and of its table for each body.
const SEGMENT_HEADER: usize = 64;
const HEAD: usize = 40;
const ROW: usize = 8;

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at + 4).map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")) as usize)
}

fn sum(bytes: &mut [u8], of: std::ops::Range<usize>, at: usize) -> Option<()> {
    let crc = crc32c::crc32c(bytes.get(of)?);
    bytes.get_mut(at..at + 4)?.copy_from_slice(&crc.to_le_bytes());
    Some(())
}

/// Makes every check sum of a segment right, as far as its lengths lead.
fn mend_segment(bytes: &mut [u8]) -> Option<()> {
    sum(bytes, 0..28, 28)?;
    let mut at = SEGMENT_HEADER;
    loop {
        let (bodies, meta) = (u32_at(bytes, at + 16)?, u32_at(bytes, at + 20)?);
        let bodies_bytes = u32_at(bytes, at + 24)?;
        if bodies > bytes.len() {
            return sum(bytes, at..at + 36, at + 36);
        }
        let table = at + HEAD;
        let meta_at = table + (ROW + 1) * bodies;
        let mut body_at = meta_at + meta;
        for row in 0..bodies {
            let length = u32_at(bytes, table + ROW * row).unwrap_or(0);
            let _ = sum(bytes, body_at..body_at + length, table + ROW * row + 4);
            body_at += length;
        }
        let _ = sum(bytes, meta_at..meta_at + meta, at + 28);
        let _ = sum(bytes, table..table + ROW * bodies, at + 32);
        sum(bytes, at..at + 36, at + 36)?;
        at = (meta_at + meta + bodies_bytes).next_multiple_of(8) + (at % 8);
    }
}

/// One segment of a journal: judged, and opened when it is not damaged. Opening keeps every whole frame,
/// and what it leaves is sound.
pub(super) fn journal(bytes: &[u8]) {
    segment(bytes);
    let mut mended = bytes.to_vec();
    mend_segment(&mut mended);
    segment(&mended);
}

fn segment(bytes: &[u8]) {
    let folder = super::scratch("journal");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("00000000000000000001.tbj"), bytes).expect("written");
    let Ok(before) = journal::inspect(&folder) else { return };
    assert!(before.bytes <= bytes.len() as u64);
    if !matches!(before.after, After::Nothing | After::TornTail { .. }) {
        return;
    }
    let options = Options { segment_bytes: 64 * 1024, ..Options::new(7) };
    let (opened, report) = journal::open(&folder, options).expect("what is not damaged opens");
    assert_eq!(report.end, before.readable, "opening loses no whole frame");
    drop(opened);
    let after = journal::inspect(&folder).expect("it can be read");
    assert_eq!((after.readable, after.after), (before.readable, After::Nothing), "and leaves it sound");
}

/// The facts in a frame, and the rows of the index.
pub(super) fn facts(bytes: &[u8]) {
    if let Ok(commit) = pb::Commit::decode(bytes) {
        let again = commit.encode_to_vec();
        assert_eq!(pb::Commit::decode(&again[..]).as_ref(), Ok(&commit), "a commit says the same again");
        for fact in commit.facts {
            match fact.kind {
                Some(Fact::Appended(fact)) => {
                    fact.headers.iter().for_each(|header| drop(Header::parse(header)));
                    super::wire::note(&fact.checkpoint);
                }
                Some(Fact::Accepted(fact)) => {
                    fact.headers.iter().for_each(|header| drop(Header::parse(header)));
                    super::wire::note(&fact.checkpoint);
                }
                Some(Fact::Receipt(fact)) => drop(Note::parse(&fact.checkpoint)),
                _ => {}
            }
        }
    }
    if let Ok(value) = pb::CaseFact::decode(bytes)
        && let Ok(fact) = case_fact::decode(&value)
    {
        let again = case_fact::encode(&fact);
        assert_eq!(case_fact::decode(&again).as_ref(), Ok(&fact), "a fact says the same again");
    }
    if let Ok(row) = pb::CaseRow::decode(bytes) {
        row.facts.iter().for_each(|fact| drop(case_fact::decode(fact)));
    }
    let _ = decode_licence(bytes);
    let _ = (pb::MessageRow::decode(bytes), pb::DocumentRow::decode(bytes), pb::BlobName::decode(bytes));
}

/// Makes the check sums of a run right.
fn mend_run(bytes: &mut [u8]) -> Option<()> {
    let trailer = bytes.len().checked_sub(32)?;
    let number = |bytes: &[u8], at: usize| -> Option<usize> {
        usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
    };
    let (index, filter) = (number(bytes, trailer)?, number(bytes, trailer + 8)?);
    let mut at = index;
    while at < filter {
        let (block, length) = (number(bytes, at)?, u32_at(bytes, at + 8)?);
        let end = block.checked_add(length)?.checked_sub(4)?;
        let _ = sum(bytes, block..end.max(block), end);
        let key = bytes.get(at + 12..at + 14)?;
        at += 14 + usize::from(u16::from_le_bytes([key[0], key[1]]));
    }
    sum(bytes, index..trailer, trailer + 24)
}

/// A run of the packed index.
pub(super) fn run(bytes: &[u8]) {
    let path = super::scratch("a.run");
    for mend in [false, true] {
        let mut bytes = bytes.to_vec();
        if mend {
            mend_run(&mut bytes);
        }
        std::fs::write(&path, &bytes).expect("written");
        if let Ok(rows) = inspect_run(&path) {
            assert!(rows <= bytes.len() as u64 / 6, "a row takes at least six bytes");
        }
    }
}

/// A blob's stored list and the file beside it: the list comes first, its length in two bytes before it.
/// An upload that was parked is read from the same bytes.
pub(super) fn blob(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (list, file) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
    let folder = super::scratch("blobs");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("unfinished")).expect("made");
    let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let digest = sha256(&[&[0x03], list.get(8..).unwrap_or_default()]);
    let name = format!("sha256-{}", hex(digest));
    std::fs::write(folder.join(&name), file).expect("written");
    std::fs::write(folder.join(format!("{name}.list")), list).expect("written");
    let part = format!("unfinished/named-{}", hex(sha256(&[b"tongban upload ", b"u"])));
    std::fs::write(folder.join(&part), file).expect("written");
    std::fs::write(folder.join(format!("{part}.list")), list).expect("written");

    let store = BlobStore::open(&folder, 0).expect("it opens");
    let digest = Digest::from_text(&name.replacen('-', ":", 1)).expect("as written above");
    let _ = (store.reader(&digest), store.held_bytes(&digest), store.adopt(&digest));
    let held = store.upload_held("u");
    assert!(held <= file.len() as u64);
    if let Err(error) = store.upload_named("u", held) {
        let _ = error.to_string();
        assert!(store.upload_held("u") <= held, "what does not hold is not counted again");
    }
}
