//! What must hold in every state, and what "everything delivered" means (DESIGN §3, as far as two nodes
//! and one channel each way can show it).

use crate::book::{Book, Frame, LogIx};
use crate::step::Bound;
use crate::world::{Store, World};

/// One root for one size: whatever was signed or cosigned of a log is a prefix of what will be.
pub fn one_history(book: &Book, what: &str, ever: LogIx, now: LogIx) -> Result<(), String> {
    if book.agree(ever, now) {
        return Ok(());
    }
    let (ever, now) = (book.told_log(ever), book.told_log(now));
    Err(format!("one root for one size, ever: {what} were {ever} and {now}"))
}

/// The law that a state breaks.
pub fn broken(book: &Book, world: &World) -> Option<String> {
    (0..2).find_map(|side| acknowledged(book, world, side).or_else(|| log(book, world, side)))
}

/// What a submitter was told is on the disk.
fn acknowledged(book: &Book, world: &World, side: usize) -> Option<String> {
    let node = &world.nodes[side];
    let store = &node.disk;
    let lost = (0..8u8).find(|message| {
        node.acknowledged >> message & 1 == 1
            && !book.holds(store.out, *message)
            && !store.staged.iter().any(|staged| staged == *message)
    })?;
    Some(format!("acknowledged means durable: m{lost} is not on the disk of {}", name(side)))
}

/// Everything about one log, its author and its receiver.
fn log(book: &Book, world: &World, from: usize) -> Option<String> {
    let (author, receiver) = (&world.nodes[from], &world.nodes[1 - from]);
    let (whose, lied) = (name(from), world.lied[from]);
    for (log, at) in [(author.disk.out, "author"), (receiver.disk.copy, "receiver")] {
        let entries = &book.log(log).entries;
        let told = || book.told_log(log);
        for (index, entry) in entries.iter().enumerate() {
            if entries[..index].iter().any(|before| before.message == entry.message) {
                return Some(format!("each message once: the {at}'s log from {whose} is {}", told()));
            }
            if index > 0 && entries[index - 1].seen > entry.seen {
                return Some(format!("`seen` never goes back: the {at}'s log from {whose} is {}", told()));
            }
        }
    }
    // What a business system has read stays what it was.
    let ever = world.ever_cosigned[from];
    if !book.agree(ever, receiver.disk.copy) {
        let (copy, ever) = (book.told_log(receiver.disk.copy), book.told_log(ever));
        return Some(format!("entries stay: the copy of the log from {whose} is {copy}, and was {ever}"));
    }
    if receiver.lives == 0 && !book.is_prefix(ever, receiver.disk.copy) {
        return Some(format!("cosigned means durable: the copy of the log from {whose} lost entries"));
    }
    if !lied {
        if world.is_forked(book, from) {
            return Some(format!("copies are equal prefixes: the log from {whose} has two histories"));
        }
        if world.is_stopped(from) {
            return Some(format!("nobody lied, and the channel from {whose} is stopped"));
        }
        if author.lives == 0 && !book.is_prefix(ever, author.disk.out) {
            return Some(format!("cosigned means on both: the log from {whose} lost entries at its author"));
        }
    }
    // A receipt, wherever it is by now, says that the entries are on the receiver's disk.
    let held = author.mem.cosigned.into_iter();
    let on_the_way = world.links.iter().flatten().flat_map(|link| link.to[from].iter());
    let on_the_way = on_the_way.filter_map(|frame| match book.frame(frame) {
        Frame::Cosigned { note } => Some(note),
        Frame::Open { copy, .. } => copy,
        _ => None,
    });
    for note in held.chain(on_the_way) {
        let receipted = book.note(note).log;
        if receiver.lives == 0 && !lied && !book.is_prefix(receipted, receiver.disk.copy) {
            let receipted = book.told_log(receipted);
            return Some(format!("a receipt means durable: {receipted} from {whose} is not on the disk"));
        }
    }
    None
}

/// Whether everything submitted is on both sides with its receipt back, or a lie stopped its channel and
/// the other one is through.
pub fn is_done(book: &Book, bound: &Bound, world: &World) -> bool {
    let mut logs = (0..2).map(|from| {
        let caught = world.lied[from] && world.is_stopped(from);
        caught || is_drained(book, bound, world, from)
    });
    logs.all(|done| done)
}

fn is_drained(book: &Book, bound: &Bound, world: &World, from: usize) -> bool {
    let (author, receiver): (&Store, &Store) = (&world.nodes[from].mem, &world.nodes[1 - from].mem);
    let all = (0..bound.messages[from])
        .all(|message| book.holds(author.out, message) && world.nodes[from].acknowledged >> message & 1 == 1);
    let receipted = author.cosigned.map(|note| book.note(note).log);
    // With nothing to send there is nothing to receipt.
    let receipted = bound.messages[from] == 0 || receipted == Some(author.out);
    all && author.out == receiver.copy && author.staged.is_empty() && receipted
}

fn name(side: usize) -> char {
    if side == 0 { 'A' } else { 'B' }
}

/// A state in words.
pub fn told(book: &Book, world: &World) -> String {
    let store = |store: &Store| {
        let staged: Vec<String> = store.staged.iter().map(|message| format!("m{message}")).collect();
        let stops = [("own log", store.out_stopped), ("copy", store.copy_stopped)];
        let stops =
            stops.iter().filter_map(|(what, code)| code.map(|code| format!(" {what} stopped: {code}")));
        format!(
            "log {} receipt {} drafts {staged:?} copy {}{}",
            book.told_log(store.out),
            book.told_note(store.cosigned),
            book.told_log(store.copy),
            stops.collect::<String>()
        )
    };
    let node = |side: usize| {
        let node = &world.nodes[side];
        let unsynced = if node.mem == node.disk { "" } else { " (not all synced)" };
        format!("{}: {}{unsynced}", name(side), store(&node.mem))
    };
    format!("{}; {}", node(0), node(1))
}
