//! What may happen next, and what it leads to.
//!
//! Every judgement is the product's own: [`Outbound`], [`Inbound`], [`fence`] and the checks of batches and
//! notes are called, never imitated. What stands here is what surrounds them in the committer, the ledger
//! and the session (`Core::contact`, `Core::receive`, `Core::restore`, `Ledger::receipt`, `Session`), with
//! the network, the disk and the clock replaced by values. [`Mutant`] spoils one judgement at a time.
//!
//! Judging a commit and syncing it are one step here. Between the two nobody outside can tell the commit
//! from none: a crash in between is a crash before it. A crash after the sync and before the answers is a
//! commit, a crash, and the loss of what was in flight; for submissions, whose answers cross no link, it is
//! a step of its own.

use crate::book::{Book, Entry, Frame, FrameIx, LogIx, NoteIx, NoteKey, millis};
use crate::explore::System;
use crate::laws;
use crate::world::{Budget, End, Link, Node, Phase, Queued, Row, World};
use gateway::channel::Head;
use gateway::channel::fence::{self, Fencing, LINK_NAME_BYTES, Statements};
use gateway::channel::inbound::{Decision, Inbound};
use gateway::channel::outbound::{Contact, Outbound, PeerCopy, Receipt};
use gateway::id::LogPosition;
use gateway::refusal::RefusalCode;
use gateway::time::UnixMillis;
use std::convert::Infallible;

/// One thing that happens; nodes are 0 and 1, links the first and the second that stands.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// A business system submits a message, or submits it again; it is told, unless the process dies first.
    Submit { at: u8, message: u8, told: bool },
    /// Drafts that waited go into the log.
    Sequence { at: u8 },
    /// A node dials.
    Dial { at: u8, old_name: bool },
    /// A node reads the next frame of a link.
    Read { link: u8, at: u8 },
    /// The committer judges the batch that waited longest.
    Commit { at: u8 },
    /// A node sends what its log has and the peer has not.
    Send { link: u8, at: u8 },
    /// One end of a link is gone: it broke, or the other end's going is noticed.
    End { link: u8, at: u8 },
    /// The process dies and starts again.
    Crash { at: u8 },
    /// A backup is made.
    Backup { at: u8 },
    /// The process dies, the backup takes the place of the store, the process starts.
    Restore { at: u8 },
    /// A clock goes on, or is set back.
    Tick { at: u8, back: bool },
    /// A mutant's late sync.
    Sync { at: u8 },
    /// A liar rewrites an entry and signs the whole anew.
    Rewrite { index: u8 },
    /// A liar sends its log again from there on, whatever it knows of the copy.
    Resend { link: u8, first: u8 },
    /// A liar signs another root than that of the entries it sends.
    WrongRoot { link: u8 },
}

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A submission is acknowledged when it is judged, before the disk has it.
    AcknowledgeBeforeSync,
    /// A receipt leaves before the disk has the entries.
    CosignBeforeSync,
    /// A batch's entries are appended whether the copy has them or not.
    SkipDuplicateCheck,
    /// A batch is appended though entries before it are missing.
    TakeAnyIndex,
    /// Entries are cosigned though they do not give the signed root.
    CosignWithoutRootCheck,
    /// A node appends and signs before the peer has stated its copy.
    SignBeforeContact,
    /// A node that finds itself behind goes on from its own size: places are given out twice.
    ReuseIndexAfterRestore,
    /// A newer link does not end the older one's conversation.
    ForgetFencing,
    /// Batches of an older link are taken after the copy was stated on a newer one.
    TakeFromFencedLinks,
    /// Another history at a place that is known is answered like a repetition.
    HealForksSilently,
    /// The receipt that the peer shows at contact is not taken.
    ForgetReceiptAtContact,
    /// A node speaks before the peer's log is as long here as it was.
    SpeakBeforeCopyIsBack,
    /// Checkpoints bear the clock's time, even if it was set back.
    TimeMayGoBack,
    /// Drafts stay where they are after contact.
    ForgetDrafts,
    /// The same message again is a new message.
    ForgetIdempotency,
}

/// What is explored: how much may happen.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Messages of either side.
    pub messages: [u8; 2],
    pub budget: Budget,
    /// Two links may stand at a time.
    pub overlap: bool,
    /// Clocks move; else they stand.
    pub clocks: bool,
}

/// The machines under a bound, perhaps with a fault.
pub struct Model {
    pub book: Book,
    pub bound: Bound,
    pub mutant: Option<Mutant>,
}

/// Ticks of a clock, at most.
const TICKS_MAX: u8 = 2;

/// The law that a step broke.
type Broken = String;

impl Model {
    pub fn new(bound: Bound, mutant: Option<Mutant>) -> Self {
        Self { book: Book::new(), bound, mutant }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    // ---- the product's machines, as of a node's memory

    fn outbound(&self, node: &Node) -> Outbound {
        let head = |note: Option<NoteIx>| note.map(|note| self.book.head(note));
        Outbound {
            frontier: self.book.log(node.mem.out).frontier.clone(),
            signed: head(node.mem.signed),
            cosigned: head(node.mem.cosigned),
            contacted: node.contacted || self.is(Mutant::SignBeforeContact),
            stopped: node.mem.out_stopped,
        }
    }

    fn inbound(&self, node: &Node) -> Inbound {
        Inbound {
            frontier: self.book.log(node.mem.copy).frontier.clone(),
            cosigned: node.mem.copy_note.map(|note| self.book.head(note)),
            stopped: node.mem.copy_stopped,
        }
    }

    fn may_append(&self, node: &Node) -> bool {
        let at = |index: u8| LogPosition { epoch: 0, index: index.into() };
        let held = at(self.book.size(node.mem.copy));
        if self.is(Mutant::SpeakBeforeCopyIsBack) {
            return self.outbound(node).may_sign();
        }
        let seen = self.book.log(node.mem.out).entries.last().map_or(0, |entry| entry.seen);
        self.outbound(node).may_append(held, at(seen), node.recovered_below.into())
    }

    fn decide(&mut self, machine: &Inbound, copy: LogIx, batch: Batch, now: UnixMillis) -> Judged {
        let checked = match self.book.batch(batch.first, batch.entries, batch.note) {
            Ok(checked) => checked.clone(),
            Err(refusal) => return Judged::Refuse(refusal.code),
        };
        let log = self.book.log(copy);
        let Ok(decision) = machine.decide(
            &checked,
            now,
            |index| Ok::<_, Infallible>(log.leaves[index as usize]),
            |size| Ok(log.roots[size as usize]),
        );
        match decision {
            Decision::Append { skip } => Judged::Append(skip as u8),
            Decision::Have => Judged::Have,
            Decision::Refuse(refusal) => Judged::Refuse(refusal.code),
            Decision::Stop(refusal) => Judged::Stop(refusal.code),
        }
    }

    /// As [`Model::decide`] with this model's fault.
    fn judge(&mut self, world: &World, at: usize, batch: Batch) -> Judged {
        let node = world.nodes[at];
        let machine = self.inbound(&node);
        let judged = self.decide(&machine, node.mem.copy, batch, millis(world.clocks[at]));
        let whole = batch.first == 0 || batch.first <= self.book.size(node.mem.copy);
        match (self.mutant, &judged) {
            (Some(Mutant::SkipDuplicateCheck), Judged::Append(_) | Judged::Have) => Judged::Append(0),
            (Some(Mutant::TakeAnyIndex), Judged::Refuse(RefusalCode::WrongIndex)) if !whole => {
                Judged::Append(0)
            }
            (Some(Mutant::CosignWithoutRootCheck), Judged::Stop(RefusalCode::RootMismatch)) => {
                Judged::Append(self.book.size(node.mem.copy) - batch.first)
            }
            (Some(Mutant::HealForksSilently), Judged::Stop(RefusalCode::Fork)) => Judged::Have,
            _ => judged,
        }
    }

    // ---- the own log

    /// Appends messages to the own log and signs its head.
    fn append(&mut self, world: &mut World, at: usize, messages: &[u8]) -> Result<(), Broken> {
        let node = world.nodes[at];
        let outbound = self.outbound(&node);
        let entry = |message: &u8| Entry {
            message: *message,
            seen: self.book.size(node.mem.copy),
            life: node.lives,
            forged: false,
        };
        let entries: Vec<Entry> = messages.iter().map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let now = world.clocks[at];
        let time = if self.is(Mutant::TimeMayGoBack) { millis(now) } else { outbound.next_time(millis(now)) };
        let time = (0..=TICKS_MAX).find(|ticks| millis(*ticks) == time).expect("clocks stand at ticks");
        if node.mem.signed.is_some_and(|signed| self.book.note(signed).time > time) {
            return Err("times of checkpoints never decrease".into());
        }
        let out = self.book.with(node.mem.out, &entries);
        let store = &mut world.nodes[at].mem;
        store.out = out;
        store.signed = Some(self.book.note_of(NoteKey { log: out, time, cosigned: false }));
        if world.nodes.iter().all(|node| node.lives == 0) && !world.lied[at] {
            laws::one_history(&self.book, "signed", world.ever_signed[at], out)?;
            world.ever_signed[at] = out;
        }
        Ok(())
    }

    /// Sequences what waited; what stands in the log already came back from the peer.
    fn sequence(&mut self, world: &mut World, at: usize) -> Result<(), Broken> {
        if self.is(Mutant::ForgetDrafts) || !self.may_append(&world.nodes[at]) {
            return Ok(());
        }
        let node = world.nodes[at];
        let known = |message: &u8| self.book.holds(node.mem.out, *message);
        let messages: Vec<u8> = node.mem.staged.iter().filter(|message| !known(message)).collect();
        world.nodes[at].mem.staged = Row::EMPTY;
        self.append(world, at, &messages)?;
        sync(&mut world.nodes[at]);
        Ok(())
    }

    fn submit(&mut self, world: &mut World, at: usize, message: u8, told: bool) -> Result<(), Broken> {
        let node = world.nodes[at];
        let known = self.book.holds(node.mem.out, message) || node.mem.staged.iter().any(|it| it == message);
        if !known || self.is(Mutant::ForgetIdempotency) {
            if self.may_append(&node) && node.mem.staged.is_empty() {
                self.append(world, at, &[message])?;
            } else {
                world.nodes[at].mem.staged.push(message);
            }
            if !self.is(Mutant::AcknowledgeBeforeSync) {
                sync(&mut world.nodes[at]);
            }
        }
        if told {
            world.nodes[at].acknowledged |= 1 << message;
        } else {
            world.left.crashes -= 1;
            self.crash(world, at);
        }
        Ok(())
    }

    // ---- links

    fn dial(&mut self, world: &mut World, at: usize, old_name: bool) {
        let mut link =
            Link { dialler: at as u8, name: 0, ends: [End::SILENT; 2], to: [Row::EMPTY, Row::EMPTY] };
        if let [Some(standing), None] = &mut world.links {
            (standing.name, link.name) = if old_name { (1, 0) } else { (0, 1) };
        }
        world.left.old_names -= u8::from(old_name);
        link.to[1 - at].push(self.open(&world.nodes[at]));
        let free = world.links.iter().position(Option::is_none).expect("a third link is not dialled");
        world.links[free] = Some(link);
        world.nodes[at].stated.push((free as u8, None));
    }

    /// Hands a batch to the committer, who takes it if its link may still add to the copy. Statements are
    /// made in the committer's order, so nothing of another life waits there: what is refused is refused at
    /// once.
    fn enqueue(&mut self, world: &mut World, slot: usize, at: usize, frame: FrameIx) {
        if takes_from(&world.nodes[at], slot as u8) || self.is(Mutant::TakeFromFencedLinks) {
            world.nodes[at].queue.push(Queued { frame, link: Some(slot as u8) });
        } else if link_of(world, slot).ends[at].phase == Phase::Talks {
            close(world, slot, at);
        }
    }

    /// What a node states.
    fn open(&mut self, node: &Node) -> FrameIx {
        let frame = Frame::Open {
            copy: node.mem.copy_note,
            receipt: node.mem.cosigned,
            stopped: node.mem.copy_stopped.is_some(),
            life: node.process,
        };
        self.book.frame_of(frame)
    }

    fn read(&mut self, world: &mut World, slot: usize, at: usize) -> Result<(), Broken> {
        let mut link = link(world, slot);
        let frame = link.to[at].pop().expect("only what was sent is read");
        world.links[slot] = Some(link);
        match (self.book.frame(frame), link.ends[at].phase) {
            (Frame::Open { copy, receipt, stopped, life }, Phase::Silent) => {
                let heard = (copy, receipt);
                let end = &mut link_mut(world, slot).ends[at];
                (end.heard, end.heard_stopped) = (heard, stopped);
                // Whoever gives way states nothing.
                self.register(world, slot, at);
                if link_of(world, slot).ends[at].phase == Phase::Talks {
                    let to = (slot as u8, Some(life));
                    if usize::from(link.dialler) != at {
                        let open = self.open(&world.nodes[at]);
                        tell(world, slot, 1 - at, open);
                        world.nodes[at].stated.push(to);
                    } else {
                        world.nodes[at].stated.map(|stated| if stated.0 == to.0 { to } else { stated });
                    }
                    self.contact(world, slot, at)?;
                }
            }
            (Frame::Batch { .. }, Phase::Talks) => {
                let end = &mut link_mut(world, slot).ends[at];
                if end.recovering.is_some() {
                    end.held.push(frame);
                } else {
                    self.enqueue(world, slot, at, frame);
                }
            }
            (Frame::Cosigned { note }, Phase::Talks) => self.receipt(world, slot, at, note)?,
            (Frame::Recover { first }, Phase::Talks) => {
                let store = world.nodes[at].mem;
                let has_more = self.book.size(store.copy) > first;
                let note = store.copy_note.filter(|_| has_more);
                let frame = self.book.frame_of(Frame::Recovered { first, note });
                tell(world, slot, 1 - at, frame);
            }
            (Frame::Recovered { first, note }, Phase::Talks) => {
                self.recovered(world, slot, at, first, note)?
            }
            (frame, phase) => return Err(format!("{frame:?} is not expected by an end that is {phase:?}")),
        }
        Ok(())
    }

    /// Takes the place of an older link, or gives way to a newer one.
    fn register(&mut self, world: &mut World, slot: usize, at: usize) {
        let name = |link: &Link| [link.name; LINK_NAME_BYTES];
        let opened = name(&link_of(world, slot));
        let other = world.links[1 - slot].filter(|link| link.ends[at].phase == Phase::Talks);
        if !self.is(Mutant::ForgetFencing) {
            if fence::judge(other.as_ref().map(name).as_ref(), &opened) == Fencing::GivesWay {
                return close(world, slot, at);
            }
            if other.is_some() {
                close(world, 1 - slot, at);
            }
        }
        link_mut(world, slot).ends[at].phase = Phase::Talks;
    }

    /// What the peer's copy means for the own log.
    fn contact(&mut self, world: &mut World, slot: usize, at: usize) -> Result<(), Broken> {
        let end = link_of(world, slot).ends[at];
        let (copy, receipt) = end.heard;
        let node = world.nodes[at];
        let log = self.book.log(node.mem.out);
        let peer = match copy.map(|note| self.book.head(note)) {
            None => PeerCopy { size: 0, root: log.roots[0] },
            Some(Head { size, root, .. }) => PeerCopy { size, root },
        };
        let outbound = self.outbound(&node);
        let Ok(mut contact) = outbound.contact(peer, |size| Ok::<_, Infallible>(log.roots[size as usize]));
        let own_size = outbound.frontier.size();
        if world.lied[at] {
            // A liar knows what it did.
            contact = Contact::DeliverFrom(peer.size.min(own_size));
        }
        if let Contact::RecoverFrom(size) = contact
            && self.is(Mutant::ReuseIndexAfterRestore)
        {
            contact = Contact::DeliverFrom(size);
        }
        world.nodes[at].recovered_below = receipt.map_or(0, |note| self.book.note_size(note));
        match contact {
            Contact::DeliverFrom(size) => {
                let newer = outbound.cosigned.is_none_or(|head| head.size < size);
                if let Some(note) = copy
                    && newer
                    && !world.lied[at]
                    && !self.is(Mutant::ForgetReceiptAtContact)
                {
                    self.believe(world, at, note)?;
                }
                world.nodes[at].contacted = true;
                if !world.nodes[at].mem.staged.is_empty() {
                    self.sequence(world, at)?;
                }
                if !end.heard_stopped {
                    link_mut(world, slot).ends[at].next = Some(size as u8);
                }
            }
            Contact::RecoverFrom(size) => {
                // Whoever met before, and finds itself behind now, has to meet again.
                world.nodes[at].contacted = false;
                // The alarm is a fact, and is synced.
                sync(&mut world.nodes[at]);
                link_mut(world, slot).ends[at].recovering = Some(peer.size as u8);
                let frame = self.book.frame_of(Frame::Recover { first: size as u8 });
                tell(world, slot, 1 - at, frame);
            }
            Contact::Fork => {
                world.nodes[at].mem.out_stopped = Some(RefusalCode::Fork);
                sync(&mut world.nodes[at]);
            }
            Contact::Stopped(_) => {}
        }
        Ok(())
    }

    /// Keeps a receipt. It is synced with whatever comes next.
    fn believe(&mut self, world: &mut World, at: usize, note: NoteIx) -> Result<(), Broken> {
        if !self.book.is_receipt(note) {
            return Err("a receipt verifies offline, for every entry below it".into());
        }
        world.nodes[at].mem.cosigned = Some(note);
        Ok(())
    }

    fn receipt(&mut self, world: &mut World, slot: usize, at: usize, note: NoteIx) -> Result<(), Broken> {
        let node = world.nodes[at];
        let log = self.book.log(node.mem.out);
        let judged = self
            .outbound(&node)
            .receipt(self.book.head(note), |size| Ok::<_, Infallible>(log.roots[size as usize]));
        match judged {
            Ok(Receipt::New) => self.believe(world, at, note)?,
            Ok(Receipt::Old) => {}
            Ok(Receipt::NeverSigned) if world.lied[at] => {}
            Ok(Receipt::NeverSigned) => {
                world.nodes[at].mem.out_stopped = Some(RefusalCode::CosignatureUnknown);
                sync(&mut world.nodes[at]);
                close(world, slot, at);
                return Ok(());
            }
        }
        let covered = self.book.note_size(note);
        link_mut(world, slot).ends[at].in_flight.retain(|end| *end > covered);
        Ok(())
    }

    /// Own entries that the peer gives back.
    fn recovered(
        &mut self,
        world: &mut World,
        slot: usize,
        at: usize,
        first: u8,
        note: Option<NoteIx>,
    ) -> Result<(), Broken> {
        let end = link_of(world, slot).ends[at];
        let Some(there) = end.recovering else {
            if note.is_some() {
                close(world, slot, at);
            }
            return Ok(());
        };
        let mut here = None;
        if let Some(note) = note {
            let node = world.nodes[at];
            let frontier = self.book.log(node.mem.out).frontier.clone();
            let machine = Inbound { frontier, cosigned: None, stopped: None };
            let entries = self.book.note(note).log;
            let batch = Batch { first, entries, note };
            match self.decide(&machine, node.mem.out, batch, UnixMillis(u64::MAX / 2)) {
                Judged::Append(_) => {
                    let book = &self.book;
                    let store = &mut world.nodes[at].mem;
                    store.out = entries;
                    store.staged.retain(|message| !book.holds(entries, *message));
                    (store.signed, store.cosigned) = (Some(note), Some(note));
                    sync(&mut world.nodes[at]);
                    here = Some(self.book.size(entries));
                }
                Judged::Have => here = Some(self.book.size(node.mem.out)),
                Judged::Refuse(_) => {
                    close(world, slot, at);
                    return Ok(());
                }
                Judged::Stop(code) => {
                    world.nodes[at].mem.out_stopped = Some(code);
                    sync(&mut world.nodes[at]);
                    close(world, slot, at);
                    return Ok(());
                }
            }
        }
        if here.is_none_or(|here| here < there) {
            close(world, slot, at);
            return Ok(());
        }
        link_mut(world, slot).ends[at].recovering = None;
        self.contact(world, slot, at)?;
        let end = &mut link_mut(world, slot).ends[at];
        if end.recovering.is_none() {
            let held = std::mem::replace(&mut end.held, Row::EMPTY);
            for frame in held.iter() {
                self.enqueue(world, slot, at, frame);
            }
        }
        Ok(())
    }

    fn send(&mut self, world: &mut World, slot: usize, at: usize) {
        let store = world.nodes[at].mem;
        let end = &mut link_mut(world, slot).ends[at];
        let first = end.next.expect("an end that delivers");
        let note = store.signed.expect("what is sent was signed");
        end.next = Some(self.book.size(store.out));
        end.in_flight.push(self.book.size(store.out));
        let frame = self.book.frame_of(Frame::Batch { first, entries: store.out, note });
        tell(world, slot, 1 - at, frame);
    }

    // ---- the committer's side of a batch

    fn commit(&mut self, world: &mut World, at: usize) -> Result<(), Broken> {
        let queued = world.nodes[at].queue.pop().expect("something waits");
        let Frame::Batch { first, entries, note } = self.book.frame(queued.frame) else {
            unreachable!("only batches wait for the committer");
        };
        let node = world.nodes[at];
        let answer = match self.judge(world, at, Batch { first, entries, note }) {
            Judged::Append(skip) => {
                let from = usize::from(first + skip);
                let end = usize::from(self.book.note_size(note));
                let taken = self.book.log(entries).entries[from..end].to_vec();
                let copy = self.book.with(node.mem.copy, &taken);
                let note = self.book.cosigned(note);
                let store = &mut world.nodes[at].mem;
                (store.copy, store.copy_note) = (copy, Some(note));
                if !self.is(Mutant::CosignBeforeSync) {
                    sync(&mut world.nodes[at]);
                }
                let cosigned = self.book.note(note).log;
                let ever = world.ever_cosigned[1 - at];
                laws::one_history(&self.book, "cosigned", ever, cosigned)?;
                if self.book.is_prefix(ever, cosigned) {
                    world.ever_cosigned[1 - at] = cosigned;
                }
                Some(note)
            }
            Judged::Have => node.mem.copy_note,
            Judged::Refuse(_) => None,
            Judged::Stop(code) => {
                world.nodes[at].mem.copy_stopped = Some(code);
                sync(&mut world.nodes[at]);
                None
            }
        };
        let Some(slot) = queued.link.map(usize::from) else { return Ok(()) };
        match answer {
            Some(note) => {
                let frame = self.book.frame_of(Frame::Cosigned { note });
                tell(world, slot, 1 - at, frame);
            }
            None => close(world, slot, at),
        }
        Ok(())
    }

    // ---- misfortunes

    fn crash(&mut self, world: &mut World, at: usize) {
        for slot in 0..2 {
            if world.links[slot].is_some() {
                close(world, slot, at);
            }
        }
        let node = &mut world.nodes[at];
        node.mem = node.disk;
        node.queue = Row::EMPTY;
        node.contacted = false;
        node.recovered_below = 0;
        node.stated = Row::EMPTY;
        node.process += 1;
    }

    fn restore(&mut self, world: &mut World, at: usize) {
        let node = &mut world.nodes[at];
        node.disk = node.backup.take().expect("a backup was made");
        node.lives += 1;
        let store = node.disk;
        for message in 0..8 {
            if !self.book.holds(store.out, message) && !store.staged.iter().any(|it| it == message) {
                node.acknowledged &= !(1 << message);
            }
        }
        self.crash(world, at);
    }

    // ---- lies; the liar is node 0

    fn rewrite(&mut self, world: &mut World, index: u8) {
        world.left.lies -= 1;
        world.lied[0] = true;
        let store = &mut world.nodes[0].mem;
        let mut entries = self.book.log(store.out).entries.clone();
        entries[usize::from(index)].forged = true;
        let time = store.signed.map_or(0, |note| self.book.note(note).time);
        store.out = self.book.log_of(0, &entries);
        store.signed = Some(self.book.note_of(NoteKey { log: store.out, time, cosigned: false }));
        store.cosigned = None;
        sync(&mut world.nodes[0]);
    }

    fn resend(&mut self, world: &mut World, slot: usize, first: u8) {
        let store = world.nodes[0].mem;
        let size = self.book.size(store.out);
        let end = &mut link_mut(world, slot).ends[0];
        end.next = Some(size);
        end.in_flight.push(size);
        let note = store.signed.expect("a log that was rewritten is signed");
        let frame = self.book.frame_of(Frame::Batch { first, entries: store.out, note });
        tell(world, slot, 1, frame);
    }

    fn wrong_root(&mut self, world: &mut World, slot: usize) {
        world.left.lies -= 1;
        world.lied[0] = true;
        let store = world.nodes[0].mem;
        let mut other = self.book.log(store.out).entries.clone();
        other.last_mut().expect("there is something to send").forged = true;
        let signed = store.signed.expect("what is sent was signed");
        let log = self.book.log_of(0, &other);
        let note = self.book.note_of(NoteKey { log, ..self.book.note(signed) });
        let end = &mut link_mut(world, slot).ends[0];
        let first = end.next.expect("an end that delivers");
        end.next = Some(self.book.size(store.out));
        end.in_flight.push(self.book.size(store.out));
        let frame = self.book.frame_of(Frame::Batch { first, entries: store.out, note });
        tell(world, slot, 1, frame);
    }
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    first: u8,
    entries: LogIx,
    note: NoteIx,
}

/// A [`Decision`] by its code.
enum Judged {
    Append(u8),
    Have,
    Refuse(RefusalCode),
    Stop(RefusalCode),
}

fn sync(node: &mut Node) {
    node.disk = node.mem;
}

fn link(world: &World, slot: usize) -> Link {
    world.links[slot].expect("a link that stands")
}

fn link_of(world: &World, slot: usize) -> Link {
    link(world, slot)
}

fn link_mut(world: &mut World, slot: usize) -> &mut Link {
    world.links[slot].as_mut().expect("a link that stands")
}

/// Puts a frame on the way to an end; to one that is gone it is lost.
fn tell(world: &mut World, slot: usize, to: usize, frame: FrameIx) {
    let link = link_mut(world, slot);
    if link.ends[to].phase != Phase::Gone {
        link.to[to].push(frame);
    }
}

/// One end goes. What was on its way to it is lost, and nobody waits there for receipts; batches that
/// were queued for the committer stay queued.
fn close(world: &mut World, slot: usize, at: usize) {
    let link = link_mut(world, slot);
    link.ends[at] = End::GONE;
    link.to[at] = Row::EMPTY;
    let gone = Some(slot as u8);
    world.nodes[at]
        .queue
        .map(|queued| if queued.link == gone { Queued { link: None, ..queued } } else { queued });
}

/// Whether batches that came on a link may be taken.
fn takes_from(node: &Node, slot: u8) -> bool {
    let mut statements = Statements::default();
    let mut turn = None;
    for (place, (stated, life)) in (1..).zip(node.stated.iter()) {
        statements.state(place, life.map(|life| [life; 16]));
        turn = if stated == slot { Some(place) } else { turn };
    }
    turn.is_some_and(|turn| statements.takes_from(turn))
}

/// In place of a link that is gone.
const GONE: u8 = u8::MAX;

/// A link is gone. What was stated on it still speaks against older links, so only what decides nothing any
/// more is forgotten: links that take nothing whatever comes, and statements that no older link has to be
/// held against.
fn forget_statement(node: &mut Node, slot: u8) {
    node.stated.map(|(stated, life)| (if stated == slot { GONE } else { stated }, life));
    let all: Vec<(u8, Option<u8>)> = node.stated.iter().collect();
    let later_gone = |place: usize| all[place + 1..].iter().filter(|(stated, _)| *stated == GONE);
    let is_spent = |place: usize| match all[place].1 {
        Some(life) => later_gone(place).any(|(_, to)| *to != Some(life)),
        // Its own life is not known yet: two different ones, or one that never will be, are too many.
        None => later_gone(place).any(|(_, to)| to.is_none() || later_gone(place).any(|(_, one)| one != to)),
    };
    let decides = |place: usize| {
        let (stated, life) = all[place];
        if stated != GONE {
            return !is_spent(place);
        }
        let waits = |earlier: usize| all[earlier].0 != GONE && all[earlier].1.is_none() && !is_spent(earlier);
        let repeated = all[..place].contains(&(GONE, life));
        (0..place).any(waits) && !repeated
    };
    let kept: Vec<_> = (0..all.len()).filter(|place| decides(*place)).map(|place| all[place]).collect();
    node.stated = Row::EMPTY;
    kept.into_iter().for_each(|statement| node.stated.push(statement));
}

/// Forgets links of which both ends are gone; the other keeps its place among the names.
fn tidy(world: &mut World) {
    for slot in 0..2 {
        let is_gone = |link: Link| link.ends.iter().all(|end| end.phase == Phase::Gone);
        if world.links[slot].is_some_and(is_gone) {
            world.links[slot] = None;
            for node in &mut world.nodes {
                forget_statement(node, slot as u8);
            }
        }
    }
    if world.links[0].is_none() && world.links[1].is_some() {
        world.links.swap(0, 1);
        for node in &mut world.nodes {
            node.queue.map(|queued| Queued { link: queued.link.map(|_| 0), ..queued });
            node.stated.map(|(stated, life)| (if stated == GONE { GONE } else { 0 }, life));
        }
    }
    if let [Some(only), None] = &mut world.links {
        only.name = 0;
    }
}

impl System for Model {
    type State = World;
    type Step = Step;

    fn start(&mut self) -> World {
        World::new(&mut self.book, self.bound.budget)
    }

    fn steps(&mut self, world: &World, steps: &mut Vec<Step>) {
        for at in 0..2u8 {
            self.steps_of_node(world, at, steps);
            for slot in 0..2u8 {
                if let Some(link) = &world.links[usize::from(slot)] {
                    self.steps_of_link(world, slot, link, at, steps);
                }
            }
        }
        if world.left.lies > 0 && world.nodes[0].mem.out_stopped.is_none() {
            let size = self.book.size(world.nodes[0].mem.out);
            steps.extend((0..size).map(|index| Step::Rewrite { index }));
        }
    }

    fn take(&mut self, world: &World, step: Step) -> Result<World, String> {
        let mut next = *world;
        let world = &mut next;
        match step {
            Step::Submit { at, message, told } => self.submit(world, at.into(), message, told)?,
            Step::Sequence { at } => self.sequence(world, at.into())?,
            Step::Dial { at, old_name } => self.dial(world, at.into(), old_name),
            Step::Read { link, at } => self.read(world, link.into(), at.into())?,
            Step::Commit { at } => self.commit(world, at.into())?,
            Step::Send { link, at } => self.send(world, link.into(), at.into()),
            Step::End { link, at } => {
                let other = link_of(world, link.into()).ends[usize::from(1 - at)].phase;
                if other != Phase::Gone {
                    world.left.breaks -= 1;
                }
                close(world, link.into(), at.into());
            }
            Step::Crash { at } => {
                world.left.crashes -= 1;
                self.crash(world, at.into());
            }
            Step::Backup { at } => {
                let node = &mut world.nodes[usize::from(at)];
                node.backup = Some(node.disk);
                world.left.restores -= 1;
            }
            Step::Restore { at } => self.restore(world, at.into()),
            Step::Tick { at, back } => {
                let clock = &mut world.clocks[usize::from(at)];
                *clock = if back { *clock - 1 } else { *clock + 1 };
                world.left.clocks_back -= u8::from(back);
            }
            Step::Sync { at } => sync(&mut world.nodes[usize::from(at)]),
            Step::Rewrite { index } => self.rewrite(world, index),
            Step::Resend { link, first } => self.resend(world, link.into(), first),
            Step::WrongRoot { link } => self.wrong_root(world, link.into()),
        }
        tidy(world);
        Ok(next)
    }

    fn broken(&mut self, world: &World) -> Option<String> {
        laws::broken(&self.book, world)
    }

    fn is_goal(&mut self, world: &World) -> bool {
        laws::is_done(&self.book, &self.bound, world)
    }

    fn tell_step(&mut self, world: &World, step: Step) -> String {
        self.told(world, step)
    }

    fn tell_state(&mut self, world: &World) -> String {
        laws::told(&self.book, world)
    }
}

impl Model {
    fn steps_of_node(&self, world: &World, at: u8, steps: &mut Vec<Step>) {
        let side = usize::from(at);
        let node = &world.nodes[side];
        let can_crash = world.left.crashes > 0;
        if node.mem.out_stopped.is_none() {
            // In their order, and each again until its submitter was told.
            let acknowledged = |message: &u8| node.acknowledged >> message & 1 == 1;
            if let Some(message) = (0..self.bound.messages[side]).find(|message| !acknowledged(message)) {
                let fits = !node.mem.staged.is_full();
                if fits {
                    steps.push(Step::Submit { at, message, told: true });
                }
                if fits && can_crash {
                    steps.push(Step::Submit { at, message, told: false });
                }
            }
        }
        if !node.mem.staged.is_empty() && self.may_append(node) && !self.is(Mutant::ForgetDrafts) {
            steps.push(Step::Sequence { at });
        }
        if !node.queue.is_empty() {
            steps.push(Step::Commit { at });
        }
        let links = world.links.iter().flatten();
        let busy = |link: &Link| match link.ends[side].phase {
            Phase::Talks => true,
            Phase::Silent => link.dialler == at,
            Phase::Gone => false,
        };
        let room = links.clone().count() < if self.bound.overlap { 2 } else { 1 };
        if room && self.may_state(node) && !links.clone().any(busy) {
            steps.push(Step::Dial { at, old_name: false });
            if world.left.old_names > 0 && links.count() == 1 {
                steps.push(Step::Dial { at, old_name: true });
            }
        }
        if can_crash {
            steps.push(Step::Crash { at });
        }
        if world.left.restores > 0 {
            steps.push(Step::Backup { at });
        }
        if node.backup.is_some() {
            steps.push(Step::Restore { at });
        }
        if self.bound.clocks && world.clocks[side] < TICKS_MAX {
            steps.push(Step::Tick { at, back: false });
        }
        if world.left.clocks_back > 0 && world.clocks[side] > 0 {
            steps.push(Step::Tick { at, back: true });
        }
        let late = self.is(Mutant::AcknowledgeBeforeSync) || self.is(Mutant::CosignBeforeSync);
        if late && node.mem != node.disk {
            steps.push(Step::Sync { at });
        }
    }

    /// A statement waits for what waited at the committer before it.
    fn may_state(&self, node: &Node) -> bool {
        node.queue.is_empty() || self.is(Mutant::TakeFromFencedLinks)
    }

    fn steps_of_link(&self, world: &World, slot: u8, link: &Link, at: u8, steps: &mut Vec<Step>) {
        let side = usize::from(at);
        let node = &world.nodes[side];
        let end = &link.ends[side];
        if end.phase == Phase::Gone {
            return;
        }
        if let Some(frame) = link.to[side].first() {
            let may_read = match self.book.frame(frame) {
                // Read when there is room behind the others.
                Frame::Batch { .. } => !node.queue.is_full() && !end.held.is_full(),
                // Answered with a statement of the own copy.
                Frame::Open { .. } => link.dialler == at || self.may_state(node),
                _ => true,
            };
            if may_read {
                steps.push(Step::Read { link: slot, at });
            }
        }
        let other = link.ends[1 - side].phase;
        if other == Phase::Gone || world.left.breaks > 0 {
            steps.push(Step::End { link: slot, at });
        }
        let size = self.book.size(node.mem.out);
        let may_send = end.phase == Phase::Talks && !end.in_flight.is_full();
        if may_send && end.next.is_some_and(|next| next < size) {
            steps.push(Step::Send { link: slot, at });
            if at == 0 && world.left.lies > 0 {
                steps.push(Step::WrongRoot { link: slot });
            }
        }
        // A liar sends what it rewrote from anywhere on, when nothing is on its way.
        let has_rewritten = self.book.log(node.mem.out).entries.iter().any(|entry| entry.forged);
        if at == 0 && may_send && has_rewritten && link.to.iter().all(Row::is_empty) {
            steps.extend((0..size).map(|first| Step::Resend { link: slot, first }));
        }
    }

    fn told(&self, world: &World, step: Step) -> String {
        let name = |at: u8| if at == 0 { 'A' } else { 'B' };
        match step {
            Step::Submit { at, message, told: true } => format!("{}: m{message} is submitted", name(at)),
            Step::Submit { at, message, told: false } => {
                format!("{}: m{message} is submitted, and the process dies before it answers", name(at))
            }
            Step::Sequence { at } => format!("{}: waiting drafts go into the log", name(at)),
            Step::Dial { at, old_name } => {
                let old = if old_name { ", under a name older than the other link's" } else { "" };
                format!("{} dials{old}", name(at))
            }
            Step::Read { link, at } => {
                let frame = link_of(world, link.into()).to[usize::from(at)].first();
                let told = frame.map(|frame| self.book.told_frame(frame)).unwrap_or_default();
                format!("{} reads on link {link}: {told}", name(at))
            }
            Step::Commit { at } => {
                let queued = world.nodes[usize::from(at)].queue.first();
                let told = queued.map(|queued| self.book.told_frame(queued.frame)).unwrap_or_default();
                format!("{} commits {told}", name(at))
            }
            Step::Send { link, at } => format!("{} sends a batch on link {link}", name(at)),
            Step::End { link, at } => {
                let other = link_of(world, link.into()).ends[usize::from(1 - at)].phase;
                let what = if other == Phase::Gone { "notices that it is gone" } else { "it breaks" };
                format!("{}'s end of link {link}: {what}", name(at))
            }
            Step::Crash { at } => format!("{} crashes and starts", name(at)),
            Step::Backup { at } => format!("{}: a backup is made", name(at)),
            Step::Restore { at } => format!("{}: the backup takes the place of the store", name(at)),
            Step::Tick { at, back } => {
                format!("{}: the clock {}", name(at), if back { "is set back" } else { "goes on" })
            }
            Step::Sync { at } => format!("{}: what was told already is synced", name(at)),
            Step::Rewrite { index } => format!("A rewrites entry {index} and signs its log anew"),
            Step::Resend { link, first } => format!("A sends its log again from {first} on link {link}"),
            Step::WrongRoot { link } => format!("A sends a batch on link {link} and signs another root"),
        }
    }
}
