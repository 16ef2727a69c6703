//! Dead letters as a projection: own entries that the peer refused, drafts that were dropped at their
//! turn, and what became of each. Overdue ones have no row: they follow from the clock, and whoever
//! lists letters computes them.
//!
//! A letter is settled by another own entry, which follows it up: a requeue or a cancellation. That
//! entry may stand in the log before the refusal is known, after a loss of the store for example, so
//! followers are remembered whether or not their letter is there yet.

use super::{Draft, Ledger, StagedDraft, staged_fact};
use crate::channel::letter::{Follow, followed_by_alias};
use crate::committer::rows;
use crate::entry::{self, Header};
use crate::id::{ChannelId, Kind, LogId, MessageId, NodeId};
use crate::refusal::RefusalCode;
use crate::store::index::Table;
use crate::time::UnixMillis;
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1 as stored;

/// An own entry or draft that may follow up another.
pub(super) struct Follower<'a> {
    id: MessageId,
    kind: &'a str,
    in_reply_to: Option<MessageId>,
    alias: &'a str,
    created: UnixMillis,
}

impl<'a> Follower<'a> {
    pub(super) fn of_entry(header: &'a Header, alias: &'a str) -> Self {
        let Header { message_id, kind, in_reply_to, created, .. } = header;
        Self { id: *message_id, kind, in_reply_to: *in_reply_to, alias, created: *created }
    }

    pub(super) fn of_draft(draft: &'a Draft) -> Self {
        let Draft { message_id, kind, in_reply_to, alias, created, .. } = draft;
        Self { id: *message_id, kind: kind.name(), in_reply_to: *in_reply_to, alias, created: *created }
    }
}

impl Ledger {
    /// Remembers that an own entry follows up another, and settles that one's letter.
    pub(super) fn follows(&mut self, peer: NodeId, follower: &Follower<'_>) {
        let own = ChannelId { from: self.me, to: peer };
        let kind = Kind::named(follower.kind);
        let (old, explicit) = match (followed_by_alias(follower.alias), follower.in_reply_to) {
            (Some(Follow::Requeue(old)), _) => (old, true),
            (_, Some(old)) if kind == Some(Kind::Cancellation) => (old, true),
            // Corrected and sent anew by its business system, in reply to what was refused.
            (_, Some(old)) if kind.is_some_and(|kind| !kind.is_control() && !kind.is_answer()) => {
                if self.message(own, old).is_none() {
                    return; // an entry of the other direction
                }
                (old, false)
            }
            _ => return,
        };
        let key = rows::letter_follow(peer, old);
        if self.get(Table::Letter, key.clone()).is_some() {
            return; // the first one settled it
        }
        let row = stored::FollowRow {
            message_id: Bytes::copy_from_slice(&follower.id.0),
            kind: follower.kind.to_owned(),
            explicit,
            created_ms: follower.created.0,
        };
        self.put(Table::Letter, key, row.encode_to_vec());
        let Some(place) = self.get(Table::Letter, rows::letter_place(peer, old)) else { return };
        let Some(letter) = self.row::<stored::LetterRow>(Table::Letter, place.to_vec()) else { return };
        if !letter.followed_by.is_empty() || !self.is_follow(own, &letter, &row) {
            return;
        }
        let Some((_, since, _)) = rows::letter_of(&place) else { return };
        self.delete(Table::Letter, place.to_vec());
        self.put_letter(peer, old, since, letter, Some(row));
    }

    /// A reply by itself only follows up an entry of its own kind.
    fn is_follow(&self, own: ChannelId, letter: &stored::LetterRow, follow: &stored::FollowRow) -> bool {
        if follow.explicit || letter.dropped {
            return true;
        }
        let log = LogId { channel: own, epoch: letter.epoch };
        let entry = self.entry(log, letter.index).ok().flatten();
        let header = entry.and_then(|raw| Header::parse(&raw.header).ok());
        header.is_some_and(|header| header.kind == follow.kind)
    }

    fn put_letter(
        &mut self,
        peer: NodeId,
        id: MessageId,
        since: u64,
        mut letter: stored::LetterRow,
        follow: Option<stored::FollowRow>,
    ) {
        let settled = follow.is_some();
        if let Some(follow) = follow {
            letter.discarded = Kind::named(&follow.kind) == Some(Kind::Cancellation);
            letter.followed_ms = follow.created_ms;
            letter.followed_by = follow.message_id;
        }
        let key = rows::letter(settled, peer, since, id);
        self.put(Table::Letter, rows::letter_place(peer, id), key.clone());
        self.put(Table::Letter, key, letter.encode_to_vec());
    }

    /// The peer refused an own entry.
    pub(super) fn letter_refused(
        &mut self,
        own: ChannelId,
        id: MessageId,
        message: &stored::MessageRow,
        committed: UnixMillis,
    ) {
        let letter = stored::LetterRow {
            code: message.refused.clone(),
            epoch: message.epoch,
            index: message.index,
            ..Default::default()
        };
        self.new_letter(own, id, letter, committed);
    }

    fn new_letter(
        &mut self,
        own: ChannelId,
        id: MessageId,
        letter: stored::LetterRow,
        committed: UnixMillis,
    ) {
        let follow: Option<stored::FollowRow> = self.row(Table::Letter, rows::letter_follow(own.to, id));
        let follow = follow.filter(|follow| self.is_follow(own, &letter, follow));
        self.put_letter(own.to, id, committed.0, letter, follow);
    }

    /// Records that a waiting draft was refused when its turn came.
    pub fn drop_draft(
        &mut self,
        peer: NodeId,
        id: MessageId,
        code: RefusalCode,
        draft: Option<&StagedDraft>,
        committed: UnixMillis,
    ) {
        let row = stored::MessageRow { refused: code.code().to_owned(), dropped: true, ..Default::default() };
        let channel = ChannelId { from: self.me, to: peer };
        self.put(Table::Message, rows::message(channel, id), row.encode_to_vec());
        let fact = stored::DraftDropped {
            to: peer.to_string(),
            message_id: Bytes::copy_from_slice(&id.0),
            code: code.code().to_owned(),
            draft: draft.map(|staged| staged_fact(&staged.draft)),
        };
        let bodies: Vec<Bytes> =
            draft.map(|staged| entry::body(staged.salt, &staged.draft.payload)).into_iter().collect();
        let count = bodies.len();
        let fact = self.record(stored::fact::Kind::DraftDropped(fact), bodies);
        let Some(staged) = draft.filter(|staged| !staged.draft.kind.is_bookkeeping()) else { return };
        self.letter_returns(peer, staged.draft.message_id); // dropped before, and submitted again
        self.locate(Table::Letter, rows::letter_draft(peer, id), fact, count);
        let letter = stored::LetterRow { code: code.code().to_owned(), dropped: true, ..Default::default() };
        self.new_letter(channel, id, letter, committed);
    }

    /// Takes the letter of a dropped draft away.
    pub(super) fn letter_returns(&mut self, peer: NodeId, id: MessageId) {
        let place = rows::letter_place(peer, id);
        let Some(key) = self.get(Table::Letter, place.clone()) else { return };
        self.delete(Table::Letter, key.to_vec());
        self.delete(Table::Letter, place);
        self.delete(Table::Letter, rows::letter_draft(peer, id));
    }
}
