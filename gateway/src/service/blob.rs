//! Blobs: what an entry says about the files that travel beside it, whether its header commits to the
//! same, who may name a blob, and which one a node fetches next.

use super::person::Personal;
use crate::chunks::length_fits;
use crate::id::{Digest, Kind, MessageId, NodeId};
use crate::limits::{
    BLOB_FETCHES_MAX, BLOB_FETCHES_PER_PEER_MAX, BLOB_MEDIA_TYPE_BYTES_MAX, BLOB_NAME_BYTES_MAX,
    BLOB_RETRY_MILLIS_MAX, BLOB_RETRY_MILLIS_MIN, BLOB_UNNAMED_MILLIS_MAX, BLOBS_PER_ENTRY_MAX,
};
use crate::refusal::{Refusal, RefusalCode};
use crate::suite::Suite;
use crate::time::UnixMillis;
use std::collections::BTreeMap;

/// A blob as an entry names it, in its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub length: u64,
    /// For people; may hold a person's name.
    pub name: Personal,
    /// RFC 6838; may be empty.
    pub media_type: String,
}

/// `blob.received`: a blob that an entry of the reverse channel names is whole on the author's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobReceived {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub length: u64,
    /// The entry's place.
    pub entry_index: u64,
}

/// A blob that a permitted entry names, as the books hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedBlob {
    /// The entry.
    pub entry: MessageId,
    /// Bytes that it states.
    pub length: u64,
}

/// Whether what an entry says of its blobs is within the limits, each named once, and of a kind that
/// has blobs.
///
/// # Errors
/// `blob.commitment`, `blob.too_large`, `entry.malformed_payload`.
pub fn well_formed(kind: Kind, blobs: &[Attachment]) -> Result<(), Refusal> {
    if blobs.is_empty() {
        return Ok(());
    }
    if kind.is_control() {
        return Err(Refusal::new(RefusalCode::BlobCommitment, format!("kind={kind}")));
    }
    if blobs.len() > BLOBS_PER_ENTRY_MAX {
        return Err(Refusal::new(RefusalCode::MalformedPayload, format!("blobs={}", blobs.len())));
    }
    for (place, blob) in blobs.iter().enumerate() {
        if !length_fits(blob.length) {
            return Err(Refusal::new(RefusalCode::BlobTooLarge, format!("bytes={}", blob.length)));
        }
        let texts = blob.name.reveal().len() <= BLOB_NAME_BYTES_MAX
            && blob.media_type.len() <= BLOB_MEDIA_TYPE_BYTES_MAX;
        if !texts || blobs[..place].iter().any(|other| other.digest == blob.digest) {
            return Err(Refusal::new(RefusalCode::MalformedPayload, format!("blob={place}")));
        }
    }
    Ok(())
}

/// What a header says of one blob: H(salt ‖ digest), with the salt of the entry's body. Without the
/// body, nobody can tell from it whether an entry named a file that he has.
pub fn commitment(suite: Suite, salt: &[u8], digest: &Digest) -> Digest {
    suite.digest(&[salt, &digest.to_wire()])
}

/// Whether a header commits to these blobs, in their order.
///
/// # Errors
/// `blob.commitment`.
pub fn committed(suite: Suite, header: &[Digest], salt: &[u8], blobs: &[Attachment]) -> Result<(), Refusal> {
    let same = header.len() == blobs.len()
        && header.iter().zip(blobs).all(|(said, blob)| *said == commitment(suite, salt, &blob.digest));
    if same {
        return Ok(());
    }
    let detail = format!("header={} body={}", header.len(), blobs.len());
    Err(Refusal::new(RefusalCode::BlobCommitment, detail))
}

/// What this node knows of a blob that somebody wants to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Its bytes.
    pub length: u64,
    /// A business system of this node uploaded it.
    pub uploaded: bool,
    /// The receiver of the entry sent it in the first place: it has it already.
    pub from_receiver: bool,
}

/// Whether a submitter may name a blob. Who merely knows a digest must not get a file out of another's
/// hands: it was uploaded here, which shows that its submitter has it, or it goes back to where it
/// came from.
///
/// # Errors
/// `blob.unknown`, `blob.not_uploaded`, `blob.commitment` when the stated length is another.
pub fn may_name(blob: &Attachment, holding: Option<Holding>) -> Result<(), Refusal> {
    let detail = || blob.digest.to_text();
    let holding = holding.ok_or_else(|| Refusal::new(RefusalCode::BlobUnknown, detail()))?;
    if !holding.uploaded && !holding.from_receiver {
        return Err(Refusal::new(RefusalCode::BlobNotUploaded, detail()));
    }
    if holding.length != blob.length {
        return Err(Refusal::new(RefusalCode::BlobCommitment, format!("bytes={}", holding.length)));
    }
    Ok(())
}

/// Who may still name an upload that no entry in a log names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// A draft that waits for contact names it.
    pub by_a_draft: bool,
    /// Own entries may come back from a partner who was not met since the start: one of them may.
    pub by_lost_entries: bool,
}

/// Whether an upload is given up, `last_upload` being when a business system uploaded it last.
pub fn is_given_up(last_upload: UnixMillis, expected: Expected, now: UnixMillis) -> bool {
    expected == Expected::default() && now.millis_since(last_upload) >= BLOB_UNNAMED_MILLIS_MAX
}

/// A blob to fetch from a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want {
    /// Who has it.
    pub from: NodeId,
    /// Which.
    pub digest: Digest,
    /// Its bytes, as the entry states.
    pub length: u64,
}

/// How a fetch ended, for the question when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is whole, or nobody wants it any more.
    Done,
    /// Some of it came; the line broke.
    Progress,
    /// None of it came.
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    failures: u32,
    until: UnixMillis,
}

/// Which blobs are being fetched, and when others may be tried again.
#[derive(Debug, Default)]
pub struct Fetches {
    running: BTreeMap<Digest, NodeId>,
    paused: BTreeMap<(NodeId, Digest), Pause>,
}

impl Fetches {
    /// Whether a fetch may begin now: not running already (from anybody), not pausing, and within the
    /// limits of the node and of the partner.
    pub fn may_begin(&self, want: &Want, now: UnixMillis) -> bool {
        let with_peer = self.running.values().filter(|from| **from == want.from).count();
        self.running.len() < BLOB_FETCHES_MAX
            && with_peer < BLOB_FETCHES_PER_PEER_MAX
            && !self.running.contains_key(&want.digest)
            && self.paused.get(&(want.from, want.digest)).is_none_or(|pause| pause.until <= now)
    }

    /// Whether anything more could begin with that partner.
    pub fn has_room(&self, from: NodeId) -> bool {
        let with_peer = self.running.values().filter(|running| **running == from).count();
        self.running.len() < BLOB_FETCHES_MAX && with_peer < BLOB_FETCHES_PER_PEER_MAX
    }

    /// A fetch began.
    pub fn begin(&mut self, want: &Want) {
        self.running.insert(want.digest, want.from);
    }

    /// A fetch ended. `chance`: any number, for the jitter.
    pub fn end(&mut self, want: &Want, ended: Ended, now: UnixMillis, chance: u16) {
        self.running.remove(&want.digest);
        // Those that nobody tried again are wanted no more.
        self.paused.retain(|_, pause| now.millis_since(pause.until) < 2 * BLOB_RETRY_MILLIS_MAX);
        let key = (want.from, want.digest);
        let before = self.paused.remove(&key).map_or(0, |pause| pause.failures);
        let failures = match ended {
            Ended::Done => return,
            Ended::Progress => 0,
            Ended::Failed => before,
        };
        let pause = (BLOB_RETRY_MILLIS_MIN << failures.min(16)).min(BLOB_RETRY_MILLIS_MAX);
        let jittered = pause / 2 + u64::from(chance) % pause;
        self.paused.insert(key, Pause { failures: failures + 1, until: now.plus_millis(jittered) });
    }

    /// When the next pause is over.
    pub fn next_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.paused.values().map(|pause| pause.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HashAlgorithm;

    const SUITE: Suite = Suite::P256Sha256;
    const NOW: UnixMillis = UnixMillis(1_795_500_000_000);

    fn digest(byte: u8) -> Digest {
        Digest { algorithm: HashAlgorithm::Sha256, bytes: [byte; 32] }
    }

    fn blob(byte: u8) -> Attachment {
        Attachment {
            digest: digest(byte),
            length: 10,
            name: Personal::new("身份证.jpg"),
            media_type: "image/jpeg".into(),
        }
    }

    fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> RefusalCode {
        outcome.expect_err("it is refused").code
    }

    #[test]
    fn blobs_are_refused_for_one_wrong_fact_each() {
        let kind = Kind::CaseForward;
        assert_eq!(well_formed(kind, &[blob(1), blob(2)]), Ok(()));
        assert_eq!(code(well_formed(Kind::StandardPublish, &[blob(1)])), RefusalCode::BlobCommitment);
        assert_eq!(code(well_formed(kind, &[blob(1), blob(1)])), RefusalCode::MalformedPayload);
        let many: Vec<_> = (0..=BLOBS_PER_ENTRY_MAX as u8).map(blob).collect();
        assert_eq!(code(well_formed(kind, &many)), RefusalCode::MalformedPayload);
        assert_eq!(well_formed(kind, &many[1..]), Ok(()));
        let empty = Attachment { length: 0, ..blob(1) };
        assert_eq!(code(well_formed(kind, &[empty])), RefusalCode::BlobTooLarge);
        let long = Attachment { name: Personal::new("x".repeat(256)), ..blob(1) };
        assert_eq!(code(well_formed(kind, &[long])), RefusalCode::MalformedPayload);
    }

    #[test]
    fn a_header_commits_to_its_blobs_in_their_order_under_its_own_salt() {
        let (one, two) = (blob(1), blob(2));
        let salt = [9; 16];
        let header: Vec<_> = [&one, &two].map(|blob| commitment(SUITE, &salt, &blob.digest)).to_vec();
        assert_eq!(committed(SUITE, &header, &salt, &[one.clone(), two.clone()]), Ok(()));
        for (salt, blobs) in [
            ([8; 16], vec![one.clone(), two.clone()]),
            (salt, vec![two.clone(), one.clone()]),
            (salt, vec![one.clone()]),
            (salt, vec![one.clone(), blob(3)]),
            (salt, Vec::new()),
        ] {
            assert_eq!(code(committed(SUITE, &header, &salt, &blobs)), RefusalCode::BlobCommitment);
        }
    }

    #[test]
    fn a_submitter_names_what_it_uploaded_or_what_goes_back_to_its_sender() {
        let own = Holding { length: 10, uploaded: true, from_receiver: false };
        let back = Holding { uploaded: false, from_receiver: true, ..own };
        assert_eq!(may_name(&blob(1), Some(own)), Ok(()));
        assert_eq!(may_name(&blob(1), Some(back)), Ok(()));
        let anothers = Holding { uploaded: false, ..own };
        assert_eq!(code(may_name(&blob(1), Some(anothers))), RefusalCode::BlobNotUploaded);
        assert_eq!(code(may_name(&blob(1), None)), RefusalCode::BlobUnknown);
        let longer = Holding { length: 11, ..own };
        assert_eq!(code(may_name(&blob(1), Some(longer))), RefusalCode::BlobCommitment);
    }

    #[test]
    fn an_upload_is_given_up_when_nobody_named_it_for_long_and_nobody_may_any_more() {
        let old = NOW.plus_millis(BLOB_UNNAMED_MILLIS_MAX);
        let nobody = Expected::default();
        assert!(is_given_up(NOW, nobody, old));
        assert!(!is_given_up(NOW, nobody, UnixMillis(old.0 - 1)));
        assert!(!is_given_up(old, nobody, NOW), "the clock was put back");
        assert!(!is_given_up(NOW, Expected { by_a_draft: true, ..nobody }, old));
        assert!(!is_given_up(NOW, Expected { by_lost_entries: true, ..nobody }, old));
    }

    fn want(from: &str, byte: u8) -> Want {
        Want { from: from.parse().unwrap(), digest: digest(byte), length: 10 }
    }

    #[test]
    fn one_partner_does_not_take_all_the_places() {
        let mut fetches = Fetches::default();
        for byte in 0..BLOB_FETCHES_PER_PEER_MAX as u8 {
            assert!(fetches.may_begin(&want("430600", byte), NOW));
            fetches.begin(&want("430600", byte));
        }
        assert!(!fetches.may_begin(&want("430600", 9), NOW) && !fetches.has_room(node("430600")));
        assert!(fetches.may_begin(&want("421200", 9), NOW));
        assert!(!fetches.may_begin(&want("421200", 0), NOW), "from one partner at a time");
        fetches.end(&want("430600", 0), Ended::Done, NOW, 0);
        assert!(fetches.may_begin(&want("430600", 9), NOW));
    }

    #[test]
    fn the_node_has_a_limit_of_its_own() {
        let mut fetches = Fetches::default();
        for byte in 0..BLOB_FETCHES_MAX as u8 {
            let want = want(&format!("4306{byte:02}"), byte);
            assert!(fetches.may_begin(&want, NOW));
            fetches.begin(&want);
        }
        assert!(!fetches.may_begin(&want("421200", 99), NOW));
    }

    #[test]
    fn pauses_grow_while_nothing_comes_and_start_anew_when_something_does() {
        let mut fetches = Fetches::default();
        let want = want("430600", 1);
        let mut last = 0;
        for _ in 0..12 {
            fetches.begin(&want);
            fetches.end(&want, Ended::Failed, NOW, 0);
            assert!(!fetches.may_begin(&want, NOW));
            let pause = fetches.next_at(NOW).unwrap().millis_since(NOW);
            assert!(pause >= last && pause <= BLOB_RETRY_MILLIS_MAX);
            last = pause;
        }
        assert_eq!(last, BLOB_RETRY_MILLIS_MAX / 2);
        assert!(fetches.may_begin(&want, NOW.plus_millis(last)));
        fetches.end(&want, Ended::Progress, NOW, 0);
        assert_eq!(fetches.next_at(NOW).unwrap().millis_since(NOW), BLOB_RETRY_MILLIS_MIN / 2);
        fetches.end(&want, Ended::Done, NOW, 0);
        assert!(fetches.may_begin(&want, NOW) && fetches.next_at(NOW).is_none());
    }

    fn node(code: &str) -> NodeId {
        code.parse().unwrap()
    }
}
