//! The committer and blobs: who may name one, and the receipts for those that became whole.

use super::ledger::Draft;
use super::ledger::blobs::{NamedHere, receipt_id};
use super::{CommitError, Core};
use crate::clock::random_16;
use crate::id::{ChannelId, Digest, Kind, NodeId};
use crate::limits::{BLOB_RECEIPTS_PER_COMMAND_MAX, STAGED_DRAFTS_MAX};
use crate::refusal::Refusal;
use crate::service::blob::{Attachment, BlobReceived, Expected, is_given_up, may_name};
use crate::store::Durable;
use crate::store::blobs::StoredBlob;
use crate::time::UnixMillis;
use crate::wire;
use bytes::Bytes;
use std::collections::BTreeSet;

impl Core {
    /// The blobs that a draft to `to` names, each of which its submitter may name.
    pub(super) fn attachments(
        &self,
        kind: Kind,
        to: NodeId,
        payload: &[u8],
    ) -> Result<Vec<Attachment>, Refusal> {
        let blobs = wire::attachments::decode(kind, payload)?;
        for blob in &blobs {
            may_name(blob, self.ledger.holding(&blob.digest, to))?;
        }
        Ok(blobs)
    }

    /// Gives up those of these uploads that nobody named for long, each judged against everything before
    /// it: an entry or a draft that names one came first, or finds it gone. Says whose files may go.
    pub(super) fn give_blobs_up(&mut self, blobs: &[Digest], now: UnixMillis) -> Vec<Digest> {
        let by_lost_entries = self.ledger.out.keys().any(|peer| !self.ledger.may_append(*peer));
        let drafts = self.ledger.out.values().flat_map(|out| &out.staged).map(|staged| &staged.draft);
        let named: BTreeSet<Digest> = drafts
            .flat_map(|draft| wire::attachments::decode(draft.kind, &draft.payload).unwrap_or_default())
            .map(|blob| blob.digest)
            .collect();
        let mut gone = Vec::new();
        for digest in blobs {
            let expected = Expected { by_a_draft: named.contains(digest), by_lost_entries };
            let since = self.ledger.unnamed_since(digest);
            if since.is_some_and(|since| is_given_up(since, expected, now)) {
                self.ledger.give_blob_up(digest);
                tracing::info!(
                    digest = digest.to_text(),
                    outcome = "given up",
                    "an upload that no entry named is given up"
                );
            }
            if self.ledger.is_given_up(digest) {
                gone.push(*digest);
            }
        }
        gone
    }

    /// Records that a blob is whole here and answers the entries that name it. Says whether some are
    /// left for another command.
    pub(super) fn blob_stored(
        &mut self,
        blob: &Durable<StoredBlob>,
        uploaded: bool,
        now: UnixMillis,
    ) -> Result<bool, CommitError> {
        self.ledger.blob_stored(blob.digest, blob.length, uploaded, now);
        let open = self.ledger.unreceipted(&blob.digest);
        for named in open.iter().take(BLOB_RECEIPTS_PER_COMMAND_MAX) {
            self.receipt_for_blob(blob.digest, named, now)?;
        }
        Ok(open.len() > BLOB_RECEIPTS_PER_COMMAND_MAX)
    }

    fn receipt_for_blob(
        &mut self,
        digest: Digest,
        named: &NamedHere,
        now: UnixMillis,
    ) -> Result<(), CommitError> {
        let channel = ChannelId { from: named.from, to: self.me };
        let Some(out) = self.ledger.out.get(&named.from) else { return Ok(()) };
        let received = BlobReceived { digest, length: named.length, entry_index: named.position.index };
        let draft = Draft {
            to: named.from,
            message_id: receipt_id(channel, named.position, &digest),
            alias: String::new(),
            kind: Kind::BlobReceived,
            case_id: None,
            in_reply_to: Some(named.entry),
            agreement: None,
            standard: None,
            created: now,
            expires: None,
            payload: Bytes::from(wire::payload::encode_blob_received(&received)),
        };
        self.touched.insert(named.from);
        self.gathered += draft.payload.len() + 512;
        let salt = random_16(&*self.ports.randomness);
        if !self.ledger.may_append(named.from) || self.ledger.has_staged(named.from) {
            // Beyond the limit it stays unanswered, and wanted: it is asked for again.
            if out.staged.len() < STAGED_DRAFTS_MAX {
                self.ledger.stage(draft, salt);
            }
            return Ok(());
        }
        if let Err(refusal) = self.sequence(draft, salt, now)? {
            tracing::error!(code = %refusal.code, detail = refusal.detail,
                "a receipt for a blob could not be written");
        }
        Ok(())
    }
}
