//! The sender's side of a log: when it may sign, what contact with the peer means, which receipts it
//! believes.

use super::Head;
use crate::id::LogPosition;
use crate::log::tree::Frontier;
use crate::mutant::{Mutant, is_planted};
use crate::refusal::RefusalCode;
use crate::suite::Hash;
use crate::time::UnixMillis;

/// What the sender knows of its log.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// All entries, signed or not (at present each append is signed at once).
    pub frontier: Frontier,
    /// The newest checkpoint this node signed.
    pub signed: Option<Head>,
    /// The newest checkpoint the peer cosigned.
    pub cosigned: Option<Head>,
    /// Whether the peer has stated its copy since this process started. Before that nothing is signed.
    pub contacted: bool,
    /// Why the channel is stopped.
    pub stopped: Option<RefusalCode>,
}

/// What the peer states of its copy: its size, and the root that this node itself signed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCopy {
    /// Entries in the peer's copy.
    pub size: u64,
    /// Root in the newest checkpoint there that verified under our own key; the empty tree's for size 0.
    pub root: Hash,
}

/// What contact means for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// The peer's copy is a prefix of ours: go on from its size.
    DeliverFrom(u64),
    /// The peer holds more of our log than we do, under our own signature: take it back first.
    RecoverFrom(u64),
    /// The peer's copy is no prefix of ours, though we signed it: two histories.
    Fork,
    /// The channel is stopped.
    Stopped(RefusalCode),
}

/// What a cosigned checkpoint means for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// A new receipt.
    New,
    /// Covered by one that we have.
    Old,
    /// Of a size or root that we never signed.
    NeverSigned,
}

impl Outbound {
    /// Whether a checkpoint may be signed now.
    pub fn may_sign(&self) -> bool {
        (self.contacted || is_planted(Mutant::SignBeforeContact)) && self.stopped.is_none()
    }

    /// Whether an entry may be appended now: in contact, not stopped, and with as much of the peer's log
    /// here (`held`) as this node has built upon by its own newest `seen`, or cosigned, as the peer showed
    /// at the last contact (`recovered_below`). A node that lost its store takes both logs back before it
    /// speaks: `seen` never goes back.
    pub fn may_append(&self, held: LogPosition, seen: LogPosition, recovered_below: u64) -> bool {
        self.may_sign() && held >= seen && held.index >= recovered_below
    }

    /// The time of the next checkpoint: now, but never before the last one.
    pub fn next_time(&self, now: UnixMillis) -> UnixMillis {
        self.signed.map_or(now, |head| head.time.max(now))
    }

    /// Judges what the peer states at contact. `own_root` gives our root at a size that we have.
    pub fn contact<E>(
        &self,
        peer: PeerCopy,
        own_root: impl FnOnce(u64) -> Result<Hash, E>,
    ) -> Result<Contact, E> {
        if let Some(code) = self.stopped {
            return Ok(Contact::Stopped(code));
        }
        if peer.size > self.frontier.size() {
            return Ok(Contact::RecoverFrom(self.frontier.size()));
        }
        Ok(if own_root(peer.size)? == peer.root { Contact::DeliverFrom(peer.size) } else { Contact::Fork })
    }

    /// Judges a cosigned checkpoint whose two signatures verified. `own_root` as in [`Outbound::contact`].
    pub fn receipt<E>(
        &self,
        head: Head,
        own_root: impl FnOnce(u64) -> Result<Hash, E>,
    ) -> Result<Receipt, E> {
        if head.size > self.frontier.size() || own_root(head.size)? != head.root {
            return Ok(Receipt::NeverSigned);
        }
        let old = self.cosigned.is_some_and(|cosigned| cosigned.size >= head.size);
        Ok(if old { Receipt::Old } else { Receipt::New })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::leaf::{empty_root, leaf_hash};
    use crate::suite::Suite;
    use std::convert::Infallible;

    const SUITE: Suite = Suite::P256Sha256;

    fn log_of(count: u64) -> (Outbound, Vec<Hash>) {
        let mut frontier = Frontier::new(SUITE);
        let mut roots = vec![empty_root(SUITE)];
        for number in 0..count {
            frontier.append(leaf_hash(SUITE, &number.to_be_bytes()).unwrap(), |_, _, _| {});
            roots.push(frontier.root());
        }
        (Outbound { frontier, signed: None, cosigned: None, contacted: false, stopped: None }, roots)
    }

    fn meet(outbound: &Outbound, roots: &[Hash], size: u64, root: Hash) -> Contact {
        let Ok(contact) =
            outbound.contact(PeerCopy { size, root }, |size| Ok::<_, Infallible>(roots[size as usize]));
        contact
    }

    #[test]
    fn a_peer_that_is_behind_is_served_from_its_size() {
        let (outbound, roots) = log_of(5);
        assert_eq!(meet(&outbound, &roots, 3, roots[3]), Contact::DeliverFrom(3));
        assert_eq!(meet(&outbound, &roots, 0, roots[0]), Contact::DeliverFrom(0));
        assert_eq!(meet(&outbound, &roots, 5, roots[5]), Contact::DeliverFrom(5));
    }

    #[test]
    fn a_sender_restored_from_a_backup_recovers_before_it_signs() {
        let (outbound, roots) = log_of(5);
        assert_eq!(meet(&outbound, &roots, 9, [1; 32]), Contact::RecoverFrom(5));
        assert!(!outbound.may_sign());
    }

    #[test]
    fn nothing_is_appended_before_the_peers_log_is_as_long_here_as_it_was() {
        let (outbound, _) = log_of(5);
        let contacted = Outbound { contacted: true, ..outbound.clone() };
        let at = |index| LogPosition { epoch: 0, index };
        assert!(contacted.may_append(at(3), at(3), 3));
        assert!(!outbound.may_append(at(3), at(3), 3), "before contact");
        assert!(!contacted.may_append(at(2), at(3), 0), "an own entry has seen more than is here");
        assert!(!contacted.may_append(at(3), at(3), 4), "more was cosigned than is here");
        let stopped = Outbound { stopped: Some(RefusalCode::Fork), ..contacted };
        assert!(!stopped.may_append(at(3), at(3), 3), "stopped");
    }

    #[test]
    fn another_root_at_the_same_size_is_a_fork() {
        let (outbound, roots) = log_of(5);
        assert_eq!(meet(&outbound, &roots, 3, roots[2]), Contact::Fork);
    }

    #[test]
    fn a_receipt_for_what_was_never_signed_is_not_believed() {
        let (outbound, roots) = log_of(5);
        let judge = |size, root| {
            let head = Head { size, root, time: UnixMillis(1) };
            let Ok(receipt) = outbound.receipt(head, |size| Ok::<_, Infallible>(roots[size as usize]));
            receipt
        };
        assert_eq!(judge(4, roots[4]), Receipt::New);
        assert_eq!(judge(4, roots[3]), Receipt::NeverSigned);
        assert_eq!(judge(6, roots[5]), Receipt::NeverSigned);
    }

    #[test]
    fn checkpoint_times_never_decrease() {
        let (mut outbound, _) = log_of(1);
        outbound.signed = Some(Head { size: 1, root: [0; 32], time: UnixMillis(500) });
        assert_eq!(outbound.next_time(UnixMillis(400)), UnixMillis(500));
        assert_eq!(outbound.next_time(UnixMillis(600)), UnixMillis(600));
    }
}
