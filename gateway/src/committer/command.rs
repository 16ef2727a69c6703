//! What the committer can be asked. Everything here was parsed and, where a signature is involved,
//! verified before it was queued.

use crate::channel::batch::VerifiedBatch;
use crate::channel::fence::{Life, Turn};
use crate::id::{CaseId, ChannelId, Digest, Kind, LogPosition, MessageId, NodeId};
use crate::keybook::SigningKey;
use crate::log::checkpoint::Note;
use crate::refusal::{Refusal, RefusalCode};
use crate::signer::Signer;
use crate::store::Durable;
use crate::store::blobs::StoredBlob;
use crate::time::UnixMillis;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Where an answer goes once the commit is durable. Receipts and own readers' cursors are answered before:
/// they are written with the next one ([`Ledger::may_wait`](super::ledger::Ledger::may_wait)).
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A message to send.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The receiver.
    pub to: NodeId,
    /// The message's id; absent: from the alias, or new.
    pub message_id: Option<MessageId>,
    /// The submitter's own key for it.
    pub alias: Option<String>,
    /// What it is about.
    pub kind: Kind,
    /// The case.
    pub case_id: Option<CaseId>,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// The agreement to rely on; absent: the one in force.
    pub agreement: Option<Digest>,
    /// The standard to rely on; absent: the agreement's for the item.
    pub standard: Option<Digest>,
    /// After when the receiver shall not act on it.
    pub expires: Option<UnixMillis>,
    /// The payload of its kind.
    pub payload: Bytes,
}

impl Submission {
    /// A message with nothing but what each has.
    pub fn new(to: NodeId, kind: Kind, payload: Bytes) -> Self {
        Self {
            to,
            message_id: None,
            alias: None,
            kind,
            case_id: None,
            in_reply_to: None,
            agreement: None,
            standard: None,
            expires: None,
            payload,
        }
    }
}

/// A submission that is durable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub message_id: MessageId,
    /// Its place in the channel; absent while it waits for contact.
    pub index: Option<u64>,
    /// It had been submitted before; this is the original answer again.
    pub duplicate: bool,
}

/// What a peer said of itself in Open, as far as it verified.
#[derive(Debug, Clone)]
pub struct PeerStatement {
    /// The peer.
    pub peer: NodeId,
    /// The newest note of its copy of our log: bears our signature and its cosignature.
    pub copy: Option<Note>,
    /// The size of the newest note of its own log that bears our cosignature.
    pub cosigned_here_below: u64,
    /// The link's among those that stated our copies.
    pub turn: Turn,
    /// Which life of its process states it.
    pub life: Life,
}

/// What contact means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactOutcome {
    /// Send from this index on.
    DeliverFrom(u64),
    /// Take own entries back first.
    RecoverFrom {
        /// Entries here.
        here: u64,
        /// Entries there.
        there: u64,
    },
    /// The outbound log is stopped.
    Stopped(RefusalCode),
}

/// One request to the committer.
#[derive(Debug)]
pub enum Command {
    /// The commit that was on its way has landed: wakes the committer and asks nothing.
    Landed,
    /// Take a message.
    Submit {
        /// The message.
        submission: Submission,
        /// Its fate.
        reply: Reply<Submitted>,
    },
    /// Take messages, in their order; each has a fate of its own.
    SubmitMany {
        /// The messages.
        submissions: Vec<Submission>,
        /// Their fates, as many.
        reply: Reply<Vec<Result<Submitted, Refusal>>>,
    },
    /// Put a licence into the own catalogue.
    PutLicence {
        /// tongban.exchange.v1.Licence.
        payload: Bytes,
        /// Done.
        reply: Reply<()>,
    },
    /// A blob is whole in the blob folder; or the entries that name it are to be answered.
    BlobStored {
        /// The blob.
        blob: Durable<StoredBlob>,
        /// A business system of this node uploaded it.
        uploaded: bool,
        /// Whether entries are left that need another such command.
        reply: Reply<bool>,
    },
    /// Give up those of these uploads that no entry named for long.
    GiveBlobsUp {
        /// The uploads.
        blobs: Vec<Digest>,
        /// Those whose files may be removed: given up now, or before.
        reply: Reply<Vec<Digest>>,
    },
    /// The files of blobs that were given up are gone.
    BlobsRemoved {
        /// The blobs.
        blobs: Vec<Digest>,
        /// Done.
        reply: Reply<()>,
    },
    /// Move a consumer's cursor.
    Acknowledge {
        /// The consumer.
        consumer: String,
        /// Whose channel.
        from: NodeId,
        /// First place not acknowledged.
        next: LogPosition,
        /// Done.
        reply: Reply<()>,
    },
    /// A link is about to state this node's copy of a peer's log. Answered when everything queued before is
    /// on the disk; what older lives of the peer's process sent is refused from now on.
    State {
        /// The peer.
        peer: NodeId,
        /// The link's.
        turn: Turn,
        /// To whom, when its Open was read already.
        to: Option<Life>,
        /// Done: the snapshot may be stated.
        reply: Reply<()>,
    },
    /// A peer stated its copies.
    Contact {
        /// What it stated.
        statement: PeerStatement,
        /// What that means.
        reply: Reply<ContactOutcome>,
    },
    /// Entries from a peer.
    Receive {
        /// Verified.
        batch: VerifiedBatch,
        /// Of the link on which it came.
        turn: Turn,
        /// The cosigned note: the receipt.
        reply: Reply<Note>,
    },
    /// A receipt from a peer; both its signatures verified.
    Receipt {
        /// The peer.
        peer: NodeId,
        /// The cosigned note.
        note: Note,
        /// Done.
        reply: Reply<()>,
    },
    /// Own entries that a peer gives back; verified against own old signatures.
    Restore {
        /// Of the own outbound log.
        batch: VerifiedBatch,
        /// Entries here now.
        reply: Reply<u64>,
    },
    /// A signing certificate that verified.
    SigningKey {
        /// Whose.
        node: NodeId,
        /// The certificate.
        key: SigningKey,
        /// Whether that node has just proved on a link that it holds the key.
        proven: bool,
        /// Done.
        reply: Reply<()>,
    },
    /// Sign with another key from now on.
    UseSigner {
        /// It; of the suite of the logs.
        signer: Arc<dyn Signer>,
        /// Its certificate is journalled, and it signs.
        reply: Reply<()>,
    },
    /// An operator ends a stop.
    Resume {
        /// Which channel.
        channel: ChannelId,
        /// Why.
        reason: String,
        /// Done.
        reply: Reply<()>,
    },
    /// Look at the disk: whether there is room is seen by each commit, and without any by this.
    Look {
        /// Done.
        reply: Reply<()>,
    },
    /// Make the index durable: the node stops, nothing follows.
    Settle {
        /// Done.
        reply: Reply<()>,
    },
}
