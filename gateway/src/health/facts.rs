//! The facts that readiness and alarms are judged by. Gathered at one moment; where a fact could not be
//! learned it is `None`, and what needs it says so.

use crate::id::{ChannelId, NodeId};
use crate::overload::disk::DiskState;
use crate::refusal::Refusal;
use crate::time::UnixMillis;

/// How far the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Its files are being verified.
    Opening,
    /// The index is brought up to the journal.
    Replaying {
        /// Journal bytes done.
        bytes: u64,
        /// Journal bytes to do in all.
        bytes_whole: u64,
    },
    /// Open.
    Open,
}

/// What the signing key last did when it was asked for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Not asked yet.
    Unasked,
    /// It signed.
    Signs,
    /// It refused, or did not answer in time.
    Silent,
}

/// The revocation lists of one trust domain that matters here: the node's own, or a configured peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFacts {
    /// The domain.
    pub domain: String,
    /// When the first of its lists is to be replaced, Unix ms.
    pub next_update_ms: i64,
    /// Until when that list counts, its grace included, Unix ms.
    pub counts_until_ms: i64,
}

/// Which of the node's own certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificate {
    /// For connections.
    Tls,
    /// For checkpoints, receipts and documents.
    Signing,
}

impl Certificate {
    /// `tls` or `signing`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Signing => "signing",
        }
    }
}

/// One of the node's own certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Which.
    pub which: Certificate,
    /// When the first certificate of its chain ends, Unix ms.
    pub not_after_ms: i64,
    /// The code with which the node's own trust refuses it, when it does.
    pub refused: Option<&'static str>,
}

/// A peer showed signed entries that this node does not remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnrememberedFact {
    /// The peer.
    pub peer: NodeId,
    /// Entries here.
    pub here: u64,
    /// Entries there.
    pub there: u64,
    /// When it was found.
    pub at: UnixMillis,
}

/// The disk of the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFacts {
    /// What the node itself takes it to have room for: it acts on this, so it says the same.
    pub state: DiskState,
    /// Free bytes when that was judged; nothing when they could not be seen.
    pub free_bytes: Option<u64>,
    /// The node's own limit, below which it takes nothing new.
    pub low_bytes: u64,
    /// The last commit found no room.
    pub full: bool,
}

/// A node at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How far the store is.
    pub store: Store,
    /// The committer has ended, while nobody told it to.
    pub committer_ended: bool,
    /// For how long the present commit has been going on, ms.
    pub commit_millis: Option<u64>,
    /// The signing key.
    pub key: KeyState,
    /// The disk of the data folder.
    pub disk: DiskFacts,
    /// Trust domains that matter here.
    pub trust: Vec<TrustFacts>,
    /// The node's own certificates.
    pub certificates: Vec<CertificateFacts>,
    /// New files that were refused while the last good ones stay in use: `trust` or `tls`, and the code of why.
    pub refused_material: Vec<(&'static str, &'static str)>,
    /// Channels that are stopped, and why.
    pub stops: Vec<(ChannelId, Refusal)>,
    /// Findings since the start, the newest of each peer.
    pub unremembered: Vec<UnrememberedFact>,
}

#[cfg(test)]
pub(super) mod example {
    use super::*;

    /// A day in 2026, Unix ms.
    pub(in crate::health) const NOW: UnixMillis = UnixMillis(1_795_000_000_000);
    /// Milliseconds of a day.
    pub(in crate::health) const DAY: i64 = 86_400_000;

    /// A node that is well at [`NOW`].
    pub(in crate::health) fn well() -> Facts {
        let now = NOW.0 as i64;
        let certificate =
            |which, days| CertificateFacts { which, not_after_ms: now + days * DAY, refused: None };
        Facts {
            store: Store::Open,
            committer_ended: false,
            commit_millis: None,
            key: KeyState::Signs,
            disk: DiskFacts {
                state: DiskState::Normal,
                free_bytes: Some(100 << 30),
                low_bytes: 1 << 30,
                full: false,
            },
            trust: vec![TrustFacts {
                domain: "hunan.tongban".into(),
                next_update_ms: now + DAY,
                counts_until_ms: now + 3 * DAY,
            }],
            certificates: vec![certificate(Certificate::Tls, 60), certificate(Certificate::Signing, 700)],
            refused_material: Vec::new(),
            stops: Vec::new(),
            unremembered: Vec::new(),
        }
    }
}
