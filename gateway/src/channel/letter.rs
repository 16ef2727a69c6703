//! Dead letters (死信): own entries that did not come to their effect, and what a person made of them.
//!
//! Nothing is ever skipped in a log. A letter is settled by a further entry that follows it up, a
//! requeue or a cancellation; the first one counts. Which letters there are is read from facts by the
//! committer's ledger; which entries are overdue only the clock says.

use crate::id::MessageId;
use crate::refusal::RefusalCode;
use crate::time::UnixMillis;

/// Keys that this node gives to its own submissions begin so; submitters' keys must not.
pub const RESERVED_ALIAS: &str = "tongban.";
const REQUEUE: &str = "tongban.requeue/";
const DISCARD: &str = "tongban.discard/";

/// What an own submission does to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Sends it again.
    Requeue(MessageId),
    /// Gives it up.
    Discard(MessageId),
}

impl Follow {
    /// The key under which the follow-up is submitted: one for each letter, so that asking twice gives
    /// the first answer again.
    pub fn alias(self) -> String {
        match self {
            Self::Requeue(old) => format!("{REQUEUE}{old}"),
            Self::Discard(old) => format!("{DISCARD}{old}"),
        }
    }
}

/// Reads [`Follow::alias`].
pub fn followed_by_alias(alias: &str) -> Option<Follow> {
    let requeue = alias.strip_prefix(REQUEUE).and_then(|id| id.parse().ok()).map(Follow::Requeue);
    let discard = || alias.strip_prefix(DISCARD).and_then(|id| id.parse().ok()).map(Follow::Discard);
    requeue.or_else(discard)
}

/// Why a message is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The receiver refused it.
    Refused,
    /// The receiver found it expired.
    Expired,
    /// A draft that waited for contact was refused here when its turn came.
    Dropped,
    /// No receipt within the time set. Computed, and over as soon as a receipt comes.
    Overdue,
}

impl Cause {
    /// `refused`, `expired`, `dropped` or `overdue`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Overdue => "overdue",
        }
    }

    /// The cause behind a refusal's code.
    pub fn of_refusal(code: &str, dropped: bool) -> Self {
        match dropped {
            true => Self::Dropped,
            false if code == RefusalCode::Expired.code() => Self::Expired,
            false => Self::Refused,
        }
    }
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterState {
    /// Nobody has settled it.
    Open,
    /// Sent again under another message id.
    Requeued(MessageId),
    /// Given up by the cancellation of that id.
    Discarded(MessageId),
}

impl LetterState {
    /// `open`, `requeued` or `discarded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Requeued(_) => "requeued",
            Self::Discarded(_) => "discarded",
        }
    }

    /// What settled it.
    pub fn settled_by(self) -> Option<MessageId> {
        match self {
            Self::Open => None,
            Self::Requeued(id) | Self::Discarded(id) => Some(id),
        }
    }
}

/// What a command about a letter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// Submit the follow-up.
    Submit,
    /// It was done before: the same answer again.
    Done(MessageId),
    /// Not possible any more.
    Refuse(RefusalCode),
}

/// Decides about settling a letter. An open one is settled; asking for the same again is answered as
/// before; what was settled otherwise stays so.
pub fn settle(state: LetterState, follow: Follow) -> Settling {
    match (state, follow) {
        (LetterState::Open, _) => Settling::Submit,
        (LetterState::Requeued(by), Follow::Requeue(_))
        | (LetterState::Discarded(by), Follow::Discard(_)) => Settling::Done(by),
        (LetterState::Requeued(_), Follow::Discard(_)) | (LetterState::Discarded(_), Follow::Requeue(_)) => {
            Settling::Refuse(RefusalCode::LetterSettled)
        }
    }
}

/// Whether a message without a receipt has waited too long. `after_millis`: the time set.
pub fn is_overdue(created: UnixMillis, now: UnixMillis, after_millis: u64) -> bool {
    now.0.saturating_sub(created.0) >= after_millis
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: MessageId = MessageId([7; 16]);
    const NEW: MessageId = MessageId([8; 16]);

    #[test]
    fn an_open_letter_is_settled_once_and_the_same_again_is_the_same_answer() {
        assert_eq!(settle(LetterState::Open, Follow::Requeue(OLD)), Settling::Submit);
        assert_eq!(settle(LetterState::Open, Follow::Discard(OLD)), Settling::Submit);
        assert_eq!(settle(LetterState::Requeued(NEW), Follow::Requeue(OLD)), Settling::Done(NEW));
        assert_eq!(settle(LetterState::Discarded(NEW), Follow::Discard(OLD)), Settling::Done(NEW));
        let settled = Settling::Refuse(RefusalCode::LetterSettled);
        assert_eq!(settle(LetterState::Requeued(NEW), Follow::Discard(OLD)), settled);
        assert_eq!(settle(LetterState::Discarded(NEW), Follow::Requeue(OLD)), settled);
    }

    #[test]
    fn a_follow_up_is_known_by_its_key_and_a_submitters_key_is_none() {
        for follow in [Follow::Requeue(OLD), Follow::Discard(OLD)] {
            assert_eq!(followed_by_alias(&follow.alias()), Some(follow));
            assert!(follow.alias().starts_with(RESERVED_ALIAS));
        }
        assert_eq!(followed_by_alias("window/17"), None);
        assert_eq!(followed_by_alias("tongban.requeue/17"), None);
    }

    #[test]
    fn a_message_is_overdue_from_the_instant_set_on_and_never_when_the_clock_went_back() {
        let created = UnixMillis(1_000_000);
        assert!(!is_overdue(created, UnixMillis(1_059_999), 60_000));
        assert!(is_overdue(created, UnixMillis(1_060_000), 60_000));
        assert!(!is_overdue(created, UnixMillis(1), 60_000));
    }

    #[test]
    fn the_receivers_word_expired_is_told_from_other_refusals() {
        assert_eq!(Cause::of_refusal("entry.expired", false), Cause::Expired);
        assert_eq!(Cause::of_refusal("entry.expired", true), Cause::Dropped);
        assert_eq!(Cause::of_refusal("case.exists", false), Cause::Refused);
    }
}
