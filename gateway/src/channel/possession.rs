//! Who opens a link proves that it holds the signing key whose certificate it shows: a certificate is public,
//! and a TLS key may be in other hands than the signing key. Before that proof nobody is sent anything of a log.
//!
//! The proof is a signature over the link itself: both nodes, the speaker's part in it, its purpose and name,
//! and a secret that TLS derives for this one connection. So it is good on no other connection, in no other
//! direction, and is never mistaken for a signature on a checkpoint or a document (WIRE.md §9.3).

use crate::channel::fence::LinkName;
use crate::id::NodeId;
use crate::refusal::RefusalCode;
use std::fmt::Write as _;

/// The first protocol version whose `Open` bears a proof.
pub const PROOF_VERSION: u32 = 2;

/// Label of the TLS exporter (RFC 8446 §7.5) that a [`Binding`] comes from; its context is empty. RFC 5705 §4
/// leaves labels that begin so to private use.
pub const EXPORTER_LABEL: &[u8] = b"EXPERIMENTAL tongban open v2";

/// What both ends of one TLS connection know and nobody else: 32 bytes of its exporter.
pub type Binding = [u8; 32];

/// One side of one link, as its signature states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Who speaks.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// Whether the speaker dialled.
    pub dialled: bool,
    /// Whether the link is for blobs.
    pub bulk: bool,
    /// The link's name.
    pub name: LinkName,
    /// The connection's.
    pub binding: Binding,
}

impl Claim {
    /// What is signed: text, one fact a line.
    pub fn message(&self) -> Vec<u8> {
        let part = if self.dialled { "dialler" } else { "acceptor" };
        let purpose = if self.bulk { "bulk" } else { "channels" };
        let mut text = format!("tongban.open/v2\n{}>{}\n{part}\n{purpose}\n", self.from, self.to);
        for bytes in [&self.name[..], &self.binding[..]] {
            for byte in bytes {
                write!(text, "{byte:02x}").expect("a String takes every write");
            }
            text.push('\n');
        }
        text.into_bytes()
    }
}

/// How far an `Open` was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Possession {
    /// The speaker holds the signing key.
    Proven,
    /// It speaks version 1, which knows no proof, and has never been met with a later one.
    Unasked,
}

/// Judges the proof in an `Open`.
///
/// `proved_before`: the node has proved possession on some earlier link; from then on it has to. `version_max`
/// and `proof` are the `Open`'s; `verifies` says whether the proof is the shown key's signature on its [`Claim`].
///
/// # Errors
/// [`RefusalCode::NotProven`] when there is no proof where there must be one, or it is not that key's.
pub fn judge(
    proved_before: bool,
    version_max: u32,
    proof: &[u8],
    verifies: impl FnOnce(&[u8]) -> bool,
) -> Result<Possession, RefusalCode> {
    match proof {
        [] if version_max < PROOF_VERSION && !proved_before => Ok(Possession::Unasked),
        [] => Err(RefusalCode::NotProven),
        proof if verifies(proof) => Ok(Possession::Proven),
        _ => Err(RefusalCode::NotProven),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            from: "421200".parse().unwrap(),
            to: "430600".parse().unwrap(),
            dialled: true,
            bulk: false,
            name: [7; 24],
            binding: [0xab; 32],
        }
    }

    #[test]
    fn the_signed_text_is_frozen() {
        let text = format!(
            "tongban.open/v2\n421200>430600\ndialler\nchannels\n{}\n{}\n",
            "07".repeat(24),
            "ab".repeat(32)
        );
        assert_eq!(String::from_utf8(claim().message()).unwrap(), text);
    }

    #[test]
    fn no_two_claims_that_differ_in_one_fact_have_the_same_text() {
        let other: NodeId = "430100".parse().unwrap();
        let claims = [
            claim(),
            Claim { from: other, ..claim() },
            Claim { to: other, ..claim() },
            Claim { dialled: false, ..claim() },
            Claim { bulk: true, ..claim() },
            Claim { name: [8; 24], ..claim() },
            Claim { binding: [0xac; 32], ..claim() },
        ];
        let texts: std::collections::BTreeSet<_> = claims.iter().map(Claim::message).collect();
        assert_eq!(texts.len(), claims.len());
    }

    #[test]
    fn an_open_without_a_proof_is_believed_only_of_a_node_that_was_never_met_with_one() {
        let good = |_: &[u8]| true;
        let bad = |_: &[u8]| false;
        assert_eq!(judge(false, 1, &[], bad), Ok(Possession::Unasked));
        assert_eq!(judge(true, 1, &[], good), Err(RefusalCode::NotProven), "once it could, it must");
        assert_eq!(
            judge(false, PROOF_VERSION, &[], good),
            Err(RefusalCode::NotProven),
            "it says that it can"
        );
        for proved_before in [false, true] {
            for version in [1, PROOF_VERSION, 7] {
                assert_eq!(judge(proved_before, version, &[1], good), Ok(Possession::Proven));
                assert_eq!(judge(proved_before, version, &[1], bad), Err(RefusalCode::NotProven));
            }
        }
    }
}
