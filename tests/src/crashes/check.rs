//! What must be true after everything drained: both journals, read by [`journal`](super::journal), against
//! what the submitting clients were told, what the consumers saw, and what the nodes say of themselves.

use super::journal::{Books, Log};
use super::traffic::{Notebook, Told};
use crate::{XIANNING, YUEYANG};
use certs::administration::log::to_hex;
use std::collections::{BTreeMap, BTreeSet};

/// What was compared, in numbers.
#[derive(Debug, Default, Clone, Copy)]
pub struct Checked {
    /// Entries in both channels.
    pub entries: usize,
    /// Answers that a submitter got.
    pub acknowledged: usize,
    /// Entries that were shown to a consumer more than once, before it acknowledged them.
    pub shown_again: usize,
    /// Notes with both signatures that were verified.
    pub receipts: usize,
    /// Frames of both journals.
    pub frames: u64,
    /// Files.
    pub files: usize,
}

/// Compares; every difference, in words.
pub(super) fn check(
    notes: &Notebook,
    [yueyang, xianning]: [&Books; 2],
    stated: &[(u64, String)],
) -> Result<Checked, Vec<String>> {
    let mut faults = notes.broken.clone();
    let mut checked =
        Checked { frames: yueyang.frames + xianning.frames, files: notes.files.len(), ..Checked::default() };
    let mut keys = yueyang.keys.clone();
    for (name, more) in &xianning.keys {
        keys.entry(name.clone()).or_default().extend(more.iter().cloned());
    }
    for (books, node) in [(yueyang, YUEYANG), (xianning, XIANNING)] {
        faults.extend(books.stops.iter().map(|code| format!("{node} stopped a channel: {code}")));
    }
    let mut roots_stated: BTreeSet<(u64, String)> = stated.iter().cloned().collect();
    let channels = [(yueyang, xianning, YUEYANG, XIANNING), (xianning, yueyang, XIANNING, YUEYANG)];
    for (number, (from, to, sender, receiver)) in channels.into_iter().enumerate() {
        let (Some(sent), Some(received)) = (from.sent.get(receiver), to.received.get(sender)) else {
            faults.push(format!("{sender}→{receiver} is in none or one of the journals"));
            continue;
        };
        let mut fault = |what: String| faults.push(format!("{sender}→{receiver}: {what}"));
        if sent.entries.len() != received.entries.len() {
            fault(format!("{} were sent, {} received", sent.entries.len(), received.entries.len()));
        }
        for (place, (one, other)) in sent.entries.iter().zip(&received.entries).enumerate() {
            if one.header != other.header || one.body != other.body {
                fault(format!("the copies differ at {place}"));
            }
            if !other.verdict.is_empty() {
                fault(format!("{} at {place} was refused: {}", other.kind, other.verdict));
            }
        }
        let roots = sent.roots();
        let origin = format!("tongban.channel/v1/{sender}/{receiver}/0");
        let root = roots.last().expect("the root of nothing, at least");
        let root = to_hex(root);
        if !roots_stated.remove(&(sent.entries.len() as u64, root.clone()))
            && !roots_stated.remove(&(sent.entries.len() as u64, format!("sha256:{root}")))
        {
            fault(format!("{root} at {} is none of the roots that were stated", sent.entries.len()));
        }
        for note in sent.notes.iter().chain(&received.notes) {
            if note.origin != origin || roots.get(note.size as usize) != Some(&note.root) {
                fault(format!("a signed note of size {} shows another root", note.size));
            }
            if note.lines.len() == 2 {
                checked.receipts += 1;
                if !note.cosigned_under(&keys) {
                    fault(format!("a signature on the note of size {} does not hold", note.size));
                }
            }
        }
        let covered =
            |log: &Log| log.notes.iter().filter(|note| note.lines.len() == 2).map(|note| note.size).max();
        if covered(received) != Some(received.entries.len() as u64) {
            fault("the receipts do not cover the log".into());
        }
        checked.entries += sent.entries.len();
        checked.acknowledged += notes.told[number].len();
        once(sent, &notes.told[number], &mut fault);
        // The consumer at the receiving node.
        let read = &notes.read[1 - number];
        checked.shown_again += read.entries.values().filter(|(_, times)| *times > 1).count();
        for (place, entry) in received.entries.iter().enumerate() {
            match read.entries.get(&(place as u64)) {
                Some((id, _)) if *id == entry.message_id => {}
                Some(_) => fault(format!("the consumer saw another message at {place}")),
                None => fault(format!("the consumer never saw {} at {place}", entry.kind)),
            }
        }
        if read.entries.len() != received.entries.len() {
            fault(format!("the consumer saw {} entries", read.entries.len()));
        }
    }
    let received = xianning.sent.get(YUEYANG);
    for file in &notes.files {
        let receipts = received.map_or(0, |log| {
            let about = |id: &[u8], kind: &str| kind == "blob.received" && id == file.message_id;
            log.entries.iter().filter(|entry| about(&entry.in_reply_to, &entry.kind)).count()
        });
        if receipts != 1 {
            faults.push(format!("{receipts} receipts for the file {}", file.digest));
        }
    }
    if faults.is_empty() { Ok(checked) } else { Err(faults) }
}

/// Each acknowledged message stands once, where the node said; no key, id or act stands twice.
fn once(sent: &Log, told: &[Told], fault: &mut impl FnMut(String)) {
    let mut places: BTreeMap<&[u8], u64> = BTreeMap::new();
    let (mut keys, mut acts) = (BTreeSet::new(), BTreeSet::new());
    for (place, entry) in sent.entries.iter().enumerate() {
        if let Some(before) = places.insert(&entry.message_id, place as u64) {
            fault(format!("one message stands at {before} and {place}"));
        }
        if !entry.alias.is_empty() && !keys.insert(&entry.alias) {
            fault(format!("the key {} was used at {place} again", entry.alias));
        }
        let act = matches!(entry.kind.as_str(), "case.forward" | "case.signfor");
        if act && !acts.insert((&entry.kind, &entry.case_id)) {
            fault(format!("{} of {} happened twice, again at {place}", entry.kind, entry.case_id));
        }
    }
    let mut ids: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for told in told {
        match places.get(&told.message_id[..]) {
            None => fault(format!("{} was acknowledged and is lost", told.key)),
            Some(place) if told.index.is_some_and(|index| index != *place) => {
                fault(format!("{} stands at {place}, the node said {:?}", told.key, told.index));
            }
            Some(place) => {
                if sent.entries[*place as usize].case_id != told.case_id {
                    fault(format!("{} stands at {place} with another content", told.key));
                }
            }
        }
        if ids.insert(&told.key, &told.message_id).is_some_and(|before| before != told.message_id) {
            fault(format!("{} was answered with two message ids", told.key));
        }
    }
}
