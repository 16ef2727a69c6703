//! The receiver's side of a log: takes entry *n* only as the next one, skips what it has, and stops on
//! broken cryptography or a fork.

use super::Head;
use super::batch::VerifiedBatch;
use crate::limits::CLOCK_SKEW_MILLIS_MAX;
use crate::log::tree::Frontier;
use crate::mutant::{Mutant, is_planted};
use crate::refusal::{Refusal, RefusalCode};
use crate::suite::Hash;
use crate::time::UnixMillis;

/// What the receiver knows of the log.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// All entries of the copy. Each was cosigned in the commit that took it.
    pub frontier: Frontier,
    /// The newest checkpoint this node cosigned.
    pub cosigned: Option<Head>,
    /// Why the channel is stopped.
    pub stopped: Option<RefusalCode>,
}

/// What the receiver does with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Take the entries from place `skip` of the batch on, then cosign its checkpoint.
    Append {
        /// Entries at its start that the copy has already.
        skip: usize,
    },
    /// Nothing new: answer with the newest cosigned checkpoint.
    Have,
    /// Not now, or not so; the copy is unchanged and the channel goes on.
    Refuse(Refusal),
    /// Broken cryptography or a fork: the channel stops and the notes are kept as evidence.
    Stop(Refusal),
}

impl Inbound {
    /// Judges a batch. `own_leaf` and `own_root` read the copy: a leaf below its size, a root at a
    /// size up to it.
    pub fn decide<E>(
        &self,
        batch: &VerifiedBatch,
        now: UnixMillis,
        own_leaf: impl Fn(u64) -> Result<Hash, E>,
        own_root: impl FnOnce(u64) -> Result<Hash, E>,
    ) -> Result<Decision, E> {
        if let Some(code) = self.stopped {
            return Ok(Decision::Refuse(Refusal::new(RefusalCode::ChannelStopped, code.code())));
        }
        let size = self.frontier.size();
        let checkpoint = batch.note().checkpoint();
        if batch.first() > size {
            let detail = format!("first={} size={size}", batch.first());
            return Ok(Decision::Refuse(Refusal::new(RefusalCode::WrongIndex, detail)));
        }
        let skip = usize::try_from(size - batch.first())
            .map_or(batch.entries().len(), |overlap| overlap.min(batch.entries().len()));
        for (place, entry) in batch.entries()[..skip].iter().enumerate() {
            let index = batch.first() + place as u64;
            if own_leaf(index)? != entry.leaf {
                return Ok(Decision::Stop(Refusal::new(RefusalCode::Fork, format!("index={index}"))));
            }
        }
        if checkpoint.size <= size {
            // Every leaf of the batch is ours, but its head may still be of another history.
            let same =
                own_root(checkpoint.size)? == checkpoint.root || is_planted(Mutant::AcceptStaleCheckpoint);
            return Ok(if same {
                Decision::Have
            } else {
                Decision::Stop(Refusal::new(RefusalCode::Fork, format!("size={}", checkpoint.size)))
            });
        }
        let mut frontier = self.frontier.clone();
        for entry in &batch.entries()[skip..] {
            frontier.append(entry.leaf, |_, _, _| {});
        }
        if frontier.root() != checkpoint.root && !is_planted(Mutant::CosignWithoutRootCheck) {
            let detail = format!("size={}", checkpoint.size);
            return Ok(Decision::Stop(Refusal::new(RefusalCode::RootMismatch, detail)));
        }
        if self.cosigned.is_some_and(|head| checkpoint.time < head.time) {
            return Ok(Decision::Refuse(RefusalCode::TimeBackwards.into()));
        }
        if checkpoint.time > now.plus_millis(CLOCK_SKEW_MILLIS_MAX) {
            return Ok(Decision::Refuse(RefusalCode::ClockSkew.into()));
        }
        Ok(Decision::Append { skip })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::batch::{KnownKey, UncheckedBatch};
    use crate::entry::{Header, RawEntry, body, body_digest};
    use crate::id::{LogId, LogPosition, MessageId};
    use crate::log::checkpoint::{Checkpoint, Note};
    use crate::log::leaf::leaf_hash;
    use crate::suite::{PublicKey, Suite};
    use bytes::Bytes;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use std::convert::Infallible;

    const SUITE: Suite = Suite::Ed25519Sha256;
    const NAME: &str = "spiffe://hunan.tongban/node/430600";
    const NOW: UnixMillis = UnixMillis(1_774_000_000_000);

    fn log() -> LogId {
        LogId { channel: "430600>421200".parse().unwrap(), epoch: 0 }
    }

    fn entry(number: u8) -> RawEntry {
        let body = body([number; 16], b"payload");
        let header = Header {
            message_id: MessageId([number; 16]),
            channel: log().channel,
            epoch: 0,
            kind: "case.forward".into(),
            case_id: None,
            in_reply_to: None,
            seen: LogPosition::default(),
            agreement: None,
            standard: None,
            created: NOW,
            expires: None,
            body_digest: body_digest(SUITE, &body),
            body_length: body.len() as u32,
            blobs: vec![],
        };
        RawEntry { header: Bytes::from(header.encode()), body: Some(body) }
    }

    struct Sender {
        pair: Ed25519KeyPair,
        key: PublicKey,
    }

    impl Sender {
        fn new() -> Self {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
            let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
            spki.extend_from_slice(pair.public_key().as_ref());
            Self { pair, key: PublicKey::from_spki(&spki).unwrap() }
        }

        /// A batch of `entries` of the log that holds exactly `all`, signed at `time`.
        fn batch(&self, all: &[RawEntry], first: usize, time: UnixMillis) -> UncheckedBatch {
            let mut frontier = Frontier::new(SUITE);
            for raw in all {
                frontier.append(leaf_hash(SUITE, &raw.header).unwrap(), |_, _, _| {});
            }
            let checkpoint = Checkpoint { log: log(), size: all.len() as u64, root: frontier.root(), time };
            let signature = self.pair.sign(checkpoint.body().as_bytes());
            let note = Note::signed(checkpoint, NAME, &self.key, signature.as_ref());
            UncheckedBatch {
                epoch: 0,
                first: first as u64,
                entries: all[first..].iter().map(|raw| (raw.clone(), false)).collect(),
                checkpoint: note.text().into_bytes(),
            }
        }

        fn check(&self, batch: UncheckedBatch) -> Result<VerifiedBatch, Refusal> {
            VerifiedBatch::check(SUITE, log(), batch, |_| Ok(KnownKey { name: NAME, key: &self.key }))
        }
    }

    /// A receiver that took `held`.
    fn decide(held: &[RawEntry], batch: &VerifiedBatch, now: UnixMillis) -> Decision {
        let leaves: Vec<Hash> = held.iter().map(|raw| leaf_hash(SUITE, &raw.header).unwrap()).collect();
        let mut frontier = Frontier::new(SUITE);
        let mut roots = vec![frontier.root()];
        for leaf in &leaves {
            frontier.append(*leaf, |_, _, _| {});
            roots.push(frontier.root());
        }
        let cosigned =
            (!held.is_empty()).then(|| Head { size: frontier.size(), root: frontier.root(), time: NOW });
        let inbound = Inbound { frontier, cosigned, stopped: None };
        let Ok(decision) = inbound.decide(
            batch,
            now,
            |index| Ok::<_, Infallible>(leaves[index as usize]),
            |size| Ok(roots[size as usize]),
        );
        decision
    }

    #[test]
    fn the_next_entries_are_taken_and_an_overlap_is_skipped() {
        let sender = Sender::new();
        let all = [entry(1), entry(2), entry(3)];
        let batch = sender.check(sender.batch(&all, 0, NOW)).unwrap();
        assert_eq!(decide(&[], &batch, NOW), Decision::Append { skip: 0 });
        assert_eq!(decide(&all[..2], &batch, NOW), Decision::Append { skip: 2 });
        assert_eq!(decide(&all, &batch, NOW), Decision::Have);
    }

    #[test]
    fn a_gap_is_refused_and_the_channel_goes_on() {
        let sender = Sender::new();
        let all = [entry(1), entry(2), entry(3)];
        let batch = sender.check(sender.batch(&all, 2, NOW)).unwrap();
        assert!(matches!(decide(&all[..1], &batch, NOW),
            Decision::Refuse(refusal) if refusal.code == RefusalCode::WrongIndex));
    }

    #[test]
    fn another_history_under_a_good_signature_is_a_fork() {
        let sender = Sender::new();
        let batch = sender.check(sender.batch(&[entry(1), entry(9)], 0, NOW)).unwrap();
        assert!(matches!(decide(&[entry(1), entry(2)], &batch, NOW),
            Decision::Stop(refusal) if refusal.code == RefusalCode::Fork));
    }

    #[test]
    fn entries_that_do_not_hash_to_the_signed_root_stop_the_channel() {
        let sender = Sender::new();
        let mut forged = sender.batch(&[entry(1), entry(2)], 0, NOW);
        forged.entries[1].0 = entry(9);
        let batch = sender.check(forged).unwrap();
        assert!(matches!(decide(&[], &batch, NOW),
            Decision::Stop(refusal) if refusal.code == RefusalCode::RootMismatch));
    }

    #[test]
    fn a_checkpoint_from_the_future_or_the_past_waits() {
        let sender = Sender::new();
        let all = [entry(1), entry(2)];
        let ahead = sender.check(sender.batch(&all, 0, NOW.plus_millis(CLOCK_SKEW_MILLIS_MAX + 1))).unwrap();
        assert!(matches!(decide(&[], &ahead, NOW),
            Decision::Refuse(refusal) if refusal.code == RefusalCode::ClockSkew));
        let behind = sender.check(sender.batch(&all, 1, UnixMillis(NOW.0 - 1))).unwrap();
        assert!(matches!(decide(&all[..1], &behind, NOW),
            Decision::Refuse(refusal) if refusal.code == RefusalCode::TimeBackwards));
    }

    #[test]
    fn each_bad_batch_differs_from_a_good_one_by_one_fact() {
        let sender = Sender::new();
        let all = [entry(1), entry(2)];
        let good = || sender.batch(&all, 0, NOW);
        assert!(sender.check(good()).is_ok());
        let code = |batch| sender.check(batch).unwrap_err().code;
        assert_eq!(code(UncheckedBatch { epoch: 1, ..good() }), RefusalCode::WrongEpoch);
        assert_eq!(code(UncheckedBatch { first: 1, ..good() }), RefusalCode::WrongIndex);
        let text = String::from_utf8(good().checkpoint).unwrap();
        let bent = text.replacen("421200", "421201", 1).into_bytes();
        assert_eq!(code(UncheckedBatch { checkpoint: bent, ..good() }), RefusalCode::BadCheckpoint);
        let late = text.replacen("1774000000000", "1774000000001", 1).into_bytes();
        assert_eq!(code(UncheckedBatch { checkpoint: late, ..good() }), RefusalCode::BadSignature);
        let other = Sender {
            pair: Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap(),
            key: {
                let pair = Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
                let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
                spki.extend_from_slice(pair.public_key().as_ref());
                PublicKey::from_spki(&spki).unwrap()
            },
        };
        assert_eq!(other.check(good()).unwrap_err().code, RefusalCode::UnknownKey);
        let mut oversize = good();
        oversize.entries[0].0.header = Bytes::from(vec![1; crate::limits::HEADER_BYTES_MAX + 1]);
        assert_eq!(code(oversize), RefusalCode::TooLarge);
    }

    #[test]
    fn a_body_that_is_not_the_one_committed_to_is_dropped_and_its_entry_stands() {
        let sender = Sender::new();
        let mut batch = sender.batch(&[entry(1)], 0, NOW);
        batch.entries[0].0.body = Some(body([1; 16], b"another"));
        let read = sender.check(batch).unwrap();
        assert_eq!(read.entries()[0].body, Err(RefusalCode::BodyDigest));
        assert_eq!(read.entries()[0].raw.body, None);
        assert!(matches!(decide(&[], &read, NOW), Decision::Append { skip: 0 }));
    }
}
