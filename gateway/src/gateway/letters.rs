//! Dead letters: list, show, requeue, discard. Refused and dropped ones are rows of the index; overdue
//! ones are what stands behind the newest receipt, or waits as a draft, for longer than the time set.
//!
//! Whether a letter may be settled is [`channel::letter`](crate::channel::letter)'s question. Requeueing
//! reads the payload back from the journal and submits it like anybody's.

use super::Gateway;
use crate::channel::letter::{Cause, Follow, LetterState, Settling, is_overdue, settle};
use crate::committer::ledger::read_staged;
use crate::committer::{Submission, Submitted, rows};
use crate::entry::Header;
use crate::id::{CaseId, ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::limits::{LETTERS_PAGE_MAX, LETTERS_SCAN_MAX};
use crate::refusal::{Fault, Refusal, RefusalCode};
use crate::store::index::prefix_end;
use crate::store::{Direction, Table};
use crate::time::UnixMillis;
use crate::wire;
use bytes::Bytes;
use prost::Message as _;
use proto::store::v1 as stored;

/// An own message that did not come to its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: NodeId,
    /// The message.
    pub message_id: MessageId,
    /// What it is about, by its name in headers.
    pub kind: String,
    /// The case.
    pub case_id: Option<CaseId>,
    /// Its place; absent: a draft that never had one.
    pub position: Option<LogPosition>,
    /// Why it is a dead letter.
    pub cause: Cause,
    /// The stable code: of the refusal, or `letter.overdue`. A code of a later release is kept as it is.
    pub code: String,
    /// When it was submitted.
    pub created: UnixMillis,
    /// First instant at which it must no longer take effect.
    pub expires: Option<UnixMillis>,
    /// Since when it is a dead letter.
    pub since: UnixMillis,
    /// What became of it.
    pub state: LetterState,
}

impl Letter {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        RefusalCode::with_code(&self.code).map_or(Fault::Unknown, RefusalCode::fault)
    }

    /// What to do, in one language; empty for a code of a later release.
    pub fn advice(&self, chinese: bool) -> &'static str {
        let code = RefusalCode::with_code(&self.code);
        code.map_or("", |code| if chinese { code.zh() } else { code.en() })
    }
}

/// A letter with what else is known of it.
#[derive(Debug, Clone)]
pub struct LetterContent {
    /// The letter.
    pub letter: Letter,
    /// The agreement that it relied on.
    pub agreement: Option<Digest>,
    /// The entry of the reverse channel, or the own one, that it answers.
    pub in_reply_to: Option<MessageId>,
    /// The payload; absent: its body is gone.
    pub payload: Option<Bytes>,
    /// Why it was discarded.
    pub reason: Option<String>,
}

/// Which letters to list.
#[derive(Debug, Clone, Default)]
pub struct LetterQuery {
    /// To one partner only.
    pub peer: Option<NodeId>,
    /// Settled ones as well.
    pub settled: bool,
    /// Where the page before ended: its [`LetterPage::next`].
    pub after: String,
    /// Letters wanted; 0 and more than [`LETTERS_PAGE_MAX`] mean that.
    pub limit: usize,
}

/// Some letters. A page may hold fewer than were wanted, or none, and still not be the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterPage {
    /// Refused and dropped ones first, oldest first for each partner; then overdue ones.
    pub letters: Vec<Letter>,
    /// Where the next page begins; empty: this was the last.
    pub next: String,
}

/// What settling a letter would do, or did.
#[derive(Debug, Clone)]
pub struct LetterPlan {
    /// The letter as it is, or was.
    pub letter: Letter,
    /// The message id of the follow-up.
    pub message_id: MessageId,
    /// The entry that the follow-up answers, in its header.
    pub in_reply_to: Option<MessageId>,
    /// Bytes of the payload that is sent again; 0 for a cancellation.
    pub payload_bytes: usize,
    /// Absent: only a plan. Else the answer to its submission; a repetition is marked as duplicate.
    pub submitted: Option<Submitted>,
}

/// Where a listing stands: in which part, and after what.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    /// Rows of letters, from a key on.
    Rows { settled: bool, from: Vec<u8> },
    /// Entries behind the receipt of a peer's log, from an index on.
    Entries { peer: NodeId, from: u64 },
    /// Waiting drafts of a peer, from a serial on.
    Drafts { peer: NodeId, from: u64 },
}

impl Cursor {
    fn to_text(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Rows { settled: false, from } => format!("o.{}", hex(from)),
            Self::Rows { settled: true, from } => format!("s.{}", hex(from)),
            Self::Entries { peer, from } => format!("e.{peer}.{from}"),
            Self::Drafts { peer, from } => format!("d.{peer}.{from}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (part, rest) = text.split_once('.')?;
        let bytes = || {
            let pairs = rest.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect::<Option<Vec<u8>>>()
        };
        let place = || {
            let (peer, from) = rest.split_once('.')?;
            Some((peer.parse().ok()?, from.parse().ok()?))
        };
        Some(match part {
            "o" | "s" => Self::Rows { settled: part == "s", from: bytes()? },
            "e" => place().map(|(peer, from)| Self::Entries { peer, from })?,
            "d" => place().map(|(peer, from)| Self::Drafts { peer, from })?,
            _ => return None,
        })
    }
}

/// Letters gathered for a page, and how much may still be looked at.
struct Page {
    letters: Vec<Letter>,
    limit: usize,
    scan: usize,
    settled: bool,
}

impl Page {
    fn is_over(&self) -> bool {
        self.letters.len() >= self.limit || self.scan == 0
    }

    fn take(&mut self, letter: Option<Letter>) {
        self.scan -= 1;
        self.letters.extend(letter.filter(|letter| self.settled || letter.state == LetterState::Open));
    }
}

impl Gateway {
    /// Dead letters, a page at a time.
    ///
    /// # Errors
    /// [`RefusalCode::ChannelUnknown`] for a peer that is none, [`RefusalCode::BadRequest`] for an
    /// `after` that no page gave, or when the store cannot be read.
    pub fn letters(&self, query: &LetterQuery) -> Result<LetterPage, Refusal> {
        let peers: Vec<NodeId> = match query.peer {
            Some(peer) => {
                self.channel(ChannelId { from: self.0.me, to: peer })?;
                vec![peer]
            }
            None => self.snapshot().out.keys().copied().collect(),
        };
        let limit = if query.limit == 0 { LETTERS_PAGE_MAX } else { query.limit.min(LETTERS_PAGE_MAX) };
        let mut page = Page { letters: Vec::new(), limit, scan: LETTERS_SCAN_MAX, settled: query.settled };
        let mut at = if query.after.is_empty() {
            Some(Cursor::Rows { settled: false, from: rows::letters(false, query.peer) })
        } else {
            let wrong = || Refusal::new(RefusalCode::BadRequest, "after: is not the `next` of a page");
            Some(Cursor::read(&query.after).ok_or_else(wrong)?)
        };
        while let Some(cursor) = at.take() {
            if page.is_over() {
                return Ok(LetterPage { letters: page.letters, next: cursor.to_text() });
            }
            at = match cursor {
                Cursor::Rows { settled, from } => {
                    let more = self.rows_page(settled, query.peer, from, &mut page)?;
                    more.or_else(|| match settled {
                        false if query.settled => {
                            Some(Cursor::Rows { settled: true, from: rows::letters(true, query.peer) })
                        }
                        _ => peers.first().map(|peer| Cursor::Entries { peer: *peer, from: 0 }),
                    })
                }
                Cursor::Entries { peer, from } => {
                    let more = self.entries_page(peer, from, &mut page)?;
                    Some(more.unwrap_or(Cursor::Drafts { peer, from: 0 }))
                }
                Cursor::Drafts { peer, from } => {
                    let more = self.drafts_page(peer, from, &mut page)?;
                    let next = peers.iter().find(|next| **next > peer);
                    more.or_else(|| next.map(|next| Cursor::Entries { peer: *next, from: 0 }))
                }
            };
        }
        Ok(LetterPage { letters: page.letters, next: String::new() })
    }

    /// Rows from a key on; the cursor when there are more.
    fn rows_page(
        &self,
        settled: bool,
        peer: Option<NodeId>,
        mut from: Vec<u8>,
        page: &mut Page,
    ) -> Result<Option<Cursor>, Refusal> {
        let prefix = rows::letters(settled, peer);
        if from < prefix {
            from.clone_from(&prefix);
        }
        while !page.is_over() {
            let wanted = (page.limit - page.letters.len()).min(page.scan);
            let index = self.0.archive.index();
            let found = index.range(Table::Letter, &from, &prefix_end(&prefix), wanted, Direction::Ascending);
            let found = found.map_err(|error| Self::damaged(error.into()))?;
            let Some((last, _)) = found.last() else { return Ok(None) };
            from = last.to_vec();
            from.push(0);
            for (key, value) in found {
                let row = stored::LetterRow::decode(value).ok();
                let letter = match rows::letter_of(&key).zip(row) {
                    Some(((to, since, id), row)) => self.letter_of_row(to, id, since, &row)?,
                    None => None,
                };
                page.take(letter);
            }
        }
        Ok(Some(Cursor::Rows { settled, from }))
    }

    /// Overdue entries behind the receipt.
    fn entries_page(&self, peer: NodeId, from: u64, page: &mut Page) -> Result<Option<Cursor>, Refusal> {
        let log = self.channel(ChannelId { from: self.0.me, to: peer })?;
        let receipted = log.cosigned.as_ref().map_or(0, |note| note.checkpoint().size);
        let mut index = from.max(receipted);
        while index < log.size {
            if page.is_over() {
                return Ok(Some(Cursor::Entries { peer, from: index }));
            }
            let batch = self.0.archive.batch(log.log, index).map_err(Self::damaged)?;
            let Some(batch) = batch else { return Ok(None) };
            for raw in batch.entries {
                if page.is_over() {
                    break;
                }
                let position = LogPosition { epoch: log.log.epoch, index };
                let letter = match Header::parse(&raw.header) {
                    Ok(header) => self.overdue(peer, &About::of_header(&header), Some(position))?,
                    Err(_) => None,
                };
                page.take(letter);
                index += 1;
            }
        }
        Ok(None)
    }

    /// Overdue drafts that wait for contact.
    fn drafts_page(&self, peer: NodeId, from: u64, page: &mut Page) -> Result<Option<Cursor>, Refusal> {
        let mut key = rows::staged(peer, from);
        let end = prefix_end(peer.as_str().as_bytes());
        while !page.is_over() {
            let wanted = (page.limit - page.letters.len()).min(page.scan);
            let index = self.0.archive.index();
            let found = index.range(Table::Staged, &key, &end, wanted, Direction::Ascending);
            let found = found.map_err(|error| Self::damaged(error.into()))?;
            let Some((last, _)) = found.last() else { return Ok(None) };
            key = last.to_vec();
            key.push(0);
            for (_, value) in found {
                let letter = match self.staged_at(&value)? {
                    Some(about) => self.overdue(peer, &about, None)?,
                    None => None,
                };
                page.take(letter);
            }
        }
        let serial = key.get(6..14).and_then(|serial| serial.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Some(Cursor::Drafts { peer, from: serial + 1 }))
    }

    /// One letter with its content.
    ///
    /// # Errors
    /// [`RefusalCode::LetterNone`] when the message is none, or the store's.
    pub fn letter(&self, peer: Option<NodeId>, id: MessageId) -> Result<LetterContent, Refusal> {
        let peers: Vec<NodeId> = match peer {
            Some(peer) => vec![peer],
            None => self.snapshot().out.keys().copied().collect(),
        };
        for peer in peers {
            if let Some(found) = self.find_letter(peer, id)? {
                return Ok(found);
            }
        }
        Err(Refusal::new(RefusalCode::LetterNone, format!("message={id}")))
    }

    fn find_letter(&self, to: NodeId, id: MessageId) -> Result<Option<LetterContent>, Refusal> {
        let index = self.0.archive.index();
        let get = |key: &[u8]| index.get(Table::Letter, key).map_err(|error| Self::damaged(error.into()));
        if let Some(key) = get(&rows::letter_place(to, id))? {
            let row = get(&key)?.and_then(|row| stored::LetterRow::decode(row).ok());
            let Some(((_, since, _), row)) = rows::letter_of(&key).zip(row) else { return Ok(None) };
            let Some(letter) = self.letter_of_row(to, id, since, &row)? else { return Ok(None) };
            return self.with_content(letter, self.about(to, id, row.dropped)?).map(Some);
        }
        let channel = ChannelId { from: self.0.me, to };
        if let Some((position, header, payload)) = self.entry(channel, id)? {
            let log = self.channel(channel)?;
            let receipted = log.cosigned.as_ref().is_some_and(|note| note.checkpoint().size > position.index);
            if receipted {
                return Ok(None);
            }
            let about = About { payload, ..About::of_header(&header) };
            let letter = self.overdue(to, &about, Some(position))?;
            return letter.map(|letter| self.with_content(letter, Some(about))).transpose();
        }
        for (_, place) in self.0.archive.rows(Table::Staged, to.as_str().as_bytes()).map_err(Self::damaged)? {
            let Some(about) = self.staged_at(&place)?.filter(|about| about.id == id) else { continue };
            let letter = self.overdue(to, &about, None)?;
            return letter.map(|letter| self.with_content(letter, Some(about))).transpose();
        }
        Ok(None)
    }

    fn with_content(&self, letter: Letter, about: Option<About>) -> Result<LetterContent, Refusal> {
        let mut reason = None;
        if let LetterState::Discarded(by) = letter.state {
            let said = self.entry(ChannelId { from: self.0.me, to: letter.to }, by)?;
            let said = said.and_then(|(_, _, payload)| payload);
            let said = said.and_then(|said| proto::exchange::v1::Cancellation::decode(said).ok());
            reason = said.map(|said| said.reason);
        }
        Ok(LetterContent {
            letter,
            agreement: about.as_ref().and_then(|about| about.agreement),
            in_reply_to: about.as_ref().and_then(|about| about.in_reply_to),
            payload: about.and_then(|about| about.payload),
            reason,
        })
    }

    /// Sends a letter again: the same payload, under a new message id, in reply to the old, judged like
    /// any submission. With `apply` false nothing is sent. Asking again gives the first answer.
    ///
    /// # Errors
    /// [`RefusalCode::LetterNone`], [`RefusalCode::LetterSettled`] when it was discarded,
    /// [`RefusalCode::LetterBodyGone`], or why the submission was not taken.
    pub async fn requeue_letter(
        &self,
        peer: Option<NodeId>,
        id: MessageId,
        expires: Option<UnixMillis>,
        apply: bool,
    ) -> Result<LetterPlan, Refusal> {
        let found = self.letter_patiently(peer, id).await?;
        let Some(payload) = found.payload else {
            return Err(Refusal::new(RefusalCode::LetterBodyGone, format!("message={id}")));
        };
        let kind = Kind::named(&found.letter.kind)
            .ok_or_else(|| Refusal::new(RefusalCode::UnknownKind, found.letter.kind.clone()))?;
        // An answer names its question there; everything else names what it replaces.
        let in_reply_to = if kind.is_answer() { found.in_reply_to } else { Some(id) };
        let submission = Submission {
            to: found.letter.to,
            message_id: None,
            alias: Some(Follow::Requeue(id).alias()),
            kind,
            case_id: found.letter.case_id.clone(),
            in_reply_to,
            agreement: None,
            standard: None,
            expires,
            payload,
        };
        self.follow_up(found.letter, Follow::Requeue(id), submission, apply).await
    }

    /// Gives a letter up: a cancellation in reply to it. With `apply` false nothing is sent. Asking again
    /// gives the first answer.
    ///
    /// # Errors
    /// [`RefusalCode::LetterNone`], [`RefusalCode::LetterSettled`] when it was requeued, or why the
    /// cancellation was not taken.
    pub async fn discard_letter(
        &self,
        peer: Option<NodeId>,
        id: MessageId,
        reason: String,
        apply: bool,
    ) -> Result<LetterPlan, Refusal> {
        let payload = proto::exchange::v1::Cancellation { reason }.encode_to_vec();
        wire::payload::decode(Kind::Cancellation, &payload)?;
        let found = self.letter_patiently(peer, id).await?;
        let submission = Submission {
            to: found.letter.to,
            message_id: None,
            alias: Some(Follow::Discard(id).alias()),
            kind: Kind::Cancellation,
            case_id: found.letter.case_id.clone(),
            in_reply_to: Some(id),
            agreement: None,
            standard: None,
            expires: None,
            payload: payload.into(),
        };
        self.follow_up(found.letter, Follow::Discard(id), submission, apply).await
    }

    /// Reads a letter on a thread that may block.
    async fn letter_patiently(&self, peer: Option<NodeId>, id: MessageId) -> Result<LetterContent, Refusal> {
        let gateway = self.clone();
        let found = self.0.links.threads.begin(move || gateway.letter(peer, id)).await;
        found.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
    }

    async fn follow_up(
        &self,
        letter: Letter,
        follow: Follow,
        submission: Submission,
        apply: bool,
    ) -> Result<LetterPlan, Refusal> {
        let mut plan = LetterPlan {
            message_id: self.alias_id(letter.to, &follow.alias()),
            in_reply_to: submission.in_reply_to,
            payload_bytes: match follow {
                Follow::Requeue(_) => submission.payload.len(),
                Follow::Discard(_) => 0,
            },
            letter,
            submitted: None,
        };
        match settle(plan.letter.state, follow) {
            Settling::Refuse(code) => {
                let by = plan.letter.state.settled_by().map_or_else(String::new, |by| by.to_string());
                return Err(Refusal::new(code, format!("{}={by}", plan.letter.state.name())));
            }
            Settling::Done(by) => {
                plan.message_id = by;
                if apply {
                    let channel = ChannelId { from: self.0.me, to: plan.letter.to };
                    let index = self.entry(channel, by)?.map(|(position, _, _)| position.index);
                    plan.submitted = Some(Submitted { message_id: by, index, duplicate: true });
                }
            }
            Settling::Submit if apply => plan.submitted = Some(self.submit(submission).await?),
            Settling::Submit => {}
        }
        Ok(plan)
    }

    fn letter_of_row(
        &self,
        to: NodeId,
        id: MessageId,
        since: u64,
        row: &stored::LetterRow,
    ) -> Result<Option<Letter>, Refusal> {
        // A body that cannot be read does not hide its letter; a header that cannot would be damage.
        let Some(about) = self.about(to, id, row.dropped)? else { return Ok(None) };
        if about.is_bookkeeping() {
            return Ok(None);
        }
        let followed = <[u8; 16]>::try_from(&row.followed_by[..]).ok().map(MessageId);
        Ok(Some(Letter {
            to,
            message_id: id,
            kind: about.kind,
            case_id: about.case_id,
            position: (!row.dropped).then_some(LogPosition { epoch: row.epoch, index: row.index }),
            cause: Cause::of_refusal(&row.code, row.dropped),
            code: row.code.clone(),
            created: about.created,
            expires: about.expires,
            since: UnixMillis(since),
            state: match followed {
                Some(by) if row.discarded => LetterState::Discarded(by),
                Some(by) => LetterState::Requeued(by),
                None => LetterState::Open,
            },
        }))
    }

    /// The letter that a message without a receipt is, if it waited long enough.
    fn overdue(
        &self,
        to: NodeId,
        about: &About,
        position: Option<LogPosition>,
    ) -> Result<Option<Letter>, Refusal> {
        let after = self.0.bounds.overdue_millis;
        if about.is_bookkeeping() || !is_overdue(about.created, self.0.clock.now(), after) {
            return Ok(None);
        }
        let follow = self.0.archive.index().get(Table::Letter, &rows::letter_follow(to, about.id));
        let follow = follow.map_err(|error| Self::damaged(error.into()))?;
        let follow = follow.and_then(|row| stored::FollowRow::decode(row).ok());
        let follow = follow.filter(|row| row.explicit || row.kind == about.kind);
        let state = match follow.and_then(|row| Some((<[u8; 16]>::try_from(&row.message_id[..]).ok()?, row)))
        {
            Some((by, row)) if Kind::named(&row.kind) == Some(Kind::Cancellation) => {
                LetterState::Discarded(MessageId(by))
            }
            Some((by, _)) => LetterState::Requeued(MessageId(by)),
            None => LetterState::Open,
        };
        Ok(Some(Letter {
            to,
            message_id: about.id,
            kind: about.kind.clone(),
            case_id: about.case_id.clone(),
            position,
            cause: Cause::Overdue,
            code: RefusalCode::LetterOverdue.code().to_owned(),
            created: about.created,
            expires: about.expires,
            since: about.created.plus_millis(after),
            state,
        }))
    }

    /// What the journal says of an entry in the log, or of a draft that was dropped.
    fn about(&self, to: NodeId, id: MessageId, dropped: bool) -> Result<Option<About>, Refusal> {
        if !dropped {
            let entry = self.entry(ChannelId { from: self.0.me, to }, id)?;
            return Ok(entry.map(|(_, header, payload)| About { payload, ..About::of_header(&header) }));
        }
        let place = self.0.archive.index().get(Table::Letter, &rows::letter_draft(to, id));
        match place.map_err(|error| Self::damaged(error.into()))? {
            Some(place) => self.staged_at(&place),
            None => Ok(None),
        }
    }

    /// The draft that a place leads to.
    fn staged_at(&self, place: &[u8]) -> Result<Option<About>, Refusal> {
        let Some(place) = rows::Place::from_bytes(place) else { return Ok(None) };
        let (fact, bodies) = self.0.archive.fact(place).map_err(Self::damaged)?;
        let staged = match fact.kind {
            Some(stored::fact::Kind::Staged(staged)) => staged,
            Some(stored::fact::Kind::DraftDropped(stored::DraftDropped { draft: Some(draft), .. })) => draft,
            _ => return Ok(None),
        };
        let Some(body) = bodies.into_iter().next().flatten() else {
            return Ok(About::of_staged(&staged));
        };
        let payload = read_staged(&staged, &body, 0).map(|read| read.draft.payload);
        Ok(About::of_staged(&staged).map(|about| About { payload, ..about }))
    }
}

/// What header or draft say of a message.
struct About {
    id: MessageId,
    kind: String,
    case_id: Option<CaseId>,
    in_reply_to: Option<MessageId>,
    agreement: Option<Digest>,
    created: UnixMillis,
    expires: Option<UnixMillis>,
    payload: Option<Bytes>,
}

impl About {
    fn of_header(header: &Header) -> Self {
        Self {
            id: header.message_id,
            kind: header.kind.clone(),
            case_id: header.case_id.clone(),
            in_reply_to: header.in_reply_to,
            agreement: header.agreement,
            created: header.created,
            expires: header.expires,
            payload: None,
        }
    }

    fn of_staged(staged: &stored::Staged) -> Option<Self> {
        let message = |bytes: &Bytes| <[u8; 16]>::try_from(&bytes[..]).ok().map(MessageId);
        Some(Self {
            id: message(&staged.message_id)?,
            kind: staged.kind.clone(),
            case_id: staged.case_id.parse().ok(),
            in_reply_to: message(&staged.in_reply_to),
            agreement: Digest::from_wire(&staged.agreement).ok(),
            created: UnixMillis(staged.created_ms),
            expires: (staged.expires_ms != 0).then_some(UnixMillis(staged.expires_ms)),
            payload: None,
        })
    }

    fn is_bookkeeping(&self) -> bool {
        Kind::named(&self.kind).is_some_and(Kind::is_bookkeeping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let peer: NodeId = "421200".parse().unwrap();
        for cursor in [
            Cursor::Rows { settled: false, from: b"o421200".to_vec() },
            Cursor::Rows { settled: true, from: vec![0, 255] },
            Cursor::Entries { peer, from: 7 },
            Cursor::Drafts { peer, from: u64::MAX },
        ] {
            assert_eq!(Cursor::read(&cursor.to_text()), Some(cursor));
        }
        for text in ["", "o", "o.zz", "o.f", "e.421200", "e.x.1", "x.00", "d.421200.-1"] {
            assert!(text == "o.f" || Cursor::read(text).is_none(), "{text}");
        }
    }
}
