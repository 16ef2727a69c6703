//! The certificates of all simulated nodes: made once a process, always the same bytes, all Ed25519.

use super::EPOCH;
use certs::revocation::Crl;
use certs::{Anchor, AnchorState, Purpose, Revocation, TrustDomain, TrustStore};
use devpki::{Issued, KeyKind, Province};
use gateway::signer::FileSigner;
use gateway::suite::PublicKey;
use rustls::pki_types::CertificateDer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// The nodes and the province of each.
pub(super) const NODES: [(&str, usize); 7] =
    [("430600", 0), ("421200", 1), ("360400", 2), ("430100", 0), ("420100", 1), ("360100", 2), ("430700", 0)];
/// TLS certificates and signing certificates of each node.
pub(super) const CERTIFICATES: usize = 6;
const PROVINCES: [(&str, &str); 3] =
    [("hunan.tongban", "43"), ("hubei.tongban", "42"), ("jiangxi.tongban", "36")];
/// Revocation lists are good for longer than any run.
const CRL_MILLIS: i64 = 30 * 86_400_000;

/// All hierarchies.
pub(super) struct Pki {
    provinces: Vec<Province>,
    pub(super) tls: Vec<Vec<Issued>>,
    pub(super) signing: Vec<Vec<Issued>>,
}

/// What a trust store says beyond its anchors.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Distrust {
    /// Serial numbers, and when they were revoked, Unix ms.
    pub(super) revoked: BTreeMap<Vec<u8>, i64>,
    /// Nodes.
    pub(super) suspended: BTreeSet<usize>,
}

pub(super) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let now = i64::try_from(EPOCH).expect("a date of this century");
        let provinces: Vec<Province> = (1u8..)
            .zip(PROVINCES)
            .map(|(number, (name, prefix))| {
                Province::seeded(name, &[prefix], now, [number; 32]).expect("a hierarchy")
            })
            .collect();
        let issue = |(node, province): &(&str, usize), signing: bool| -> Vec<Issued> {
            let province = &provinces[*province];
            let issue = |_| match signing {
                true => province.signing(node, KeyKind::Ed25519).expect("a signing certificate"),
                false => province.tls(node).expect("a TLS certificate"),
            };
            (0..CERTIFICATES).map(issue).collect()
        };
        let tls = NODES.iter().map(|node| issue(node, false)).collect();
        let signing = NODES.iter().map(|node| issue(node, true)).collect();
        Pki { provinces, tls, signing }
    })
}

impl Pki {
    /// A trust store of all provinces, with lists of that moment.
    pub(super) fn trust(&self, distrust: &Distrust, at_ms: u64) -> TrustStore {
        let at = i64::try_from(at_ms).expect("a date of this century");
        let revoked: Vec<devpki::Revocation> = distrust
            .revoked
            .iter()
            .map(|(serial, at)| devpki::Revocation {
                serial: serial.clone(),
                revoked_ms: *at,
                compromised_from_ms: None,
            })
            .collect();
        let domains = self.provinces.iter().enumerate().map(|(number, province)| {
            let lists = province.crl_of(&revoked, at, at + CRL_MILLIS).expect("revocation lists");
            let lists = lists.der.iter().map(|der| Crl::from_der(der).expect("a list")).collect();
            let mut domain = domain(province, Revocation::Crl { lists, grace_hours: 24 });
            for node in distrust.suspended.iter().filter(|node| NODES[**node].1 == number) {
                domain.suspend(NODES[*node].0.parse().expect("a division")).expect("its own node");
            }
            domain
        });
        TrustStore::new(domains.collect()).expect("a trust store")
    }

    /// What somebody has who verifies evidence years later: the anchors.
    pub(super) fn anchors(&self) -> TrustStore {
        let domains = self.provinces.iter().map(|province| domain(province, Revocation::None));
        TrustStore::new(domains.collect()).expect("a trust store")
    }

    /// A node's signing key.
    pub(super) fn signer(&self, node: usize, number: usize) -> FileSigner {
        let issued = &self.signing[node][number];
        let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
        let at = i64::try_from(EPOCH).expect("a date of this century");
        let verified = self.anchors().verify(Purpose::Signing, &chain, at).expect("a good certificate");
        let key = PublicKey::from_spki(&verified.spki_der).expect("a key of ours");
        FileSigner::new(verified.id.to_string(), key, issued.chain_der.clone(), &issued.key_der)
            .expect("its key")
    }

    /// A node's TLS chain.
    pub(super) fn chain(&self, node: usize, number: usize) -> Vec<CertificateDer<'static>> {
        self.tls[node][number].chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }
}

fn domain(province: &Province, revocation: Revocation) -> TrustDomain {
    let prefixes = province.prefixes().iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
    let anchor = Anchor::from_der(province.root_der(), AnchorState::Active).expect("a root");
    TrustDomain::new(province.name().parse().expect("a name"), prefixes, vec![anchor], revocation)
        .expect("a domain")
}
