//! The acts of administrators, as the log keeps them: JSON objects with a `do` that names the act.
//!
//! Stored for ever: fields are added, never renamed; a reader that meets an act it does not know refuses the log
//! rather than fold a state without it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::AnchorState;

/// What an administrator is there for. Nobody has two roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// 系统管理员: proposes.
    System,
    /// 安全管理员: approves.
    Security,
    /// 审计管理员: reviews.
    Audit,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Security => "security",
            Self::Audit => "audit",
        })
    }
}

/// An administrator, by role and number: no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// 1..=32 of `[a-z0-9-]`, such as `security-1`.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its Ed25519 public key, SubjectPublicKeyInfo in DER, hex.
    pub key: String,
}

/// A root certificate: a file in the trust folder, pinned by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorRecord {
    /// The file, inside the trust folder.
    pub file: String,
    /// SHA-256 of its DER, hex.
    pub fingerprint: String,
    /// What it may be used for.
    pub state: AnchorState,
    /// Since when its key counts as lost, Unix ms; told with a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_from_ms: Option<i64>,
}

/// A revocation list: its authority signs it, so it may be replaced by a newer one at any time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlRecord {
    /// The file, inside the trust folder.
    pub file: String,
    /// The oldest that may lie there, Unix ms of its thisUpdate: an older one is a rollback.
    pub this_update_ms: i64,
}

/// Nodes that are listed: by division, the SHA-256 (hex) of each public key (SubjectPublicKeyInfo) that a node may
/// show, for connections and for signing; none: any key that its authority certified.
pub type NodeKeys = BTreeMap<String, Vec<String>>;

/// A trust domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainRecord {
    /// Its name.
    pub name: String,
    /// The division prefixes that it may speak for.
    pub divisions: Vec<String>,
    /// Whether it tells revocations by lists; `false` is said in so many words.
    pub crl: bool,
    /// How long a list counts after its nextUpdate, hours.
    pub crl_grace_hours: u32,
    /// Its lists.
    pub crls: Vec<CrlRecord>,
    /// Its roots.
    pub anchors: Vec<AnchorRecord>,
    /// Nodes that open nothing new.
    pub suspended: Vec<String>,
    /// The only nodes that it speaks for; absent: all that its authority certified. Logs from before 2026-12 have
    /// no such list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeKeys>,
}

/// One change of trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A new domain; its roots are prepared.
    DomainAdd {
        /// The domain.
        domain: DomainRecord,
    },
    /// A domain goes, with everything under it.
    DomainRemove {
        /// Its name.
        domain: String,
    },
    /// Other division prefixes for a domain.
    DomainPrefixes {
        /// Its name.
        domain: String,
        /// The new prefixes, all of them.
        divisions: Vec<String>,
    },
    /// A further root, prepared.
    AnchorImport {
        /// The domain.
        domain: String,
        /// The root.
        anchor: AnchorRecord,
    },
    /// Another state for a root.
    AnchorState {
        /// The domain.
        domain: String,
        /// Which root.
        fingerprint: String,
        /// The new state.
        state: AnchorState,
        /// Since when its key counts as lost, Unix ms; only with a revocation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compromised_from_ms: Option<i64>,
    },
    /// Nodes are listed, or listed ones get other keys. The first listing of a domain ends that others count.
    NodeAdd {
        /// The domain.
        domain: String,
        /// The nodes.
        nodes: NodeKeys,
    },
    /// Listed nodes go. A domain whose list is empty speaks for nobody.
    NodeRemove {
        /// The domain.
        domain: String,
        /// The nodes' divisions.
        divisions: Vec<String>,
    },
    /// The list ends: every node counts that the authority certified.
    NodeAny {
        /// The domain.
        domain: String,
    },
    /// A node opens nothing new.
    NodeSuspend {
        /// The domain.
        domain: String,
        /// The node's division.
        division: String,
    },
    /// A suspension ends.
    NodeResume {
        /// The domain.
        domain: String,
        /// The node's division.
        division: String,
    },
    /// A further administrator.
    AdministratorAdd {
        /// Who.
        administrator: Administrator,
    },
    /// An administrator goes.
    AdministratorRemove {
        /// Whose name.
        name: String,
    },
}

impl Change {
    /// Whether it only takes trust away: then one person may do it at once.
    pub fn only_takes_away(&self) -> bool {
        match self {
            Self::NodeSuspend { .. }
            | Self::AnchorState { state: AnchorState::Tainted | AnchorState::Revoked, .. } => true,
            Self::DomainAdd { .. }
            | Self::DomainRemove { .. }
            | Self::DomainPrefixes { .. }
            | Self::AnchorImport { .. }
            | Self::AnchorState { .. }
            | Self::NodeAdd { .. }
            | Self::NodeRemove { .. }
            | Self::NodeAny { .. }
            | Self::NodeResume { .. }
            | Self::AdministratorAdd { .. }
            | Self::AdministratorRemove { .. } => false,
        }
    }
}

/// What one record of the log does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// The first record: takes over `trust.toml` and names the administrators.
    Adopt {
        /// SHA-256 of the `trust.toml` taken over, hex; an edit of it after this is refused.
        trust_toml: String,
        /// The domains that it had.
        domains: Vec<DomainRecord>,
        /// At least one of each role.
        administrators: Vec<Administrator>,
    },
    /// Proposes a change.
    Propose {
        /// The change.
        change: Change,
    },
    /// Approves a proposal, which takes effect.
    Approve {
        /// Its record's number.
        proposal: usize,
    },
    /// Declines or withdraws a proposal.
    Decline {
        /// Its record's number.
        proposal: usize,
    },
    /// Takes trust away at once.
    Emergency {
        /// The change.
        change: Change,
    },
    /// Confirms an emergency act, or the adoption, of somebody else.
    Confirm {
        /// Its record's number.
        record: usize,
    },
    /// A newer revocation list. Its authority has signed it: one person may install it.
    CrlImport {
        /// The domain.
        domain: String,
        /// The list.
        crl: CrlRecord,
    },
    /// An audit administrator has read the log up to a record.
    Review {
        /// The last record read.
        through: usize,
    },
}
