//! A trust domain: one operator's certificate authority, and the divisions it may speak for.
//!
//! A domain is a value. An administrator's change makes another one, which is checked whole when a
//! [`crate::TrustStore`] is built of it; what one domain may not share with another is checked there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::administration::log::to_hex;
use crate::bundle::BundleState;
use crate::error::TrustError;
use crate::limits::{CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, CRL_GRACE_HOURS_MAX};
use crate::path::{self, Path};
use crate::profile;
use crate::revocation::{self, Revocation, Status};
use crate::spiffe::{Division, DomainName, NotAnId};

/// What an anchor may be used for. States follow in this order; going back needs the same approval as a new root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorState {
    /// Known, and distributed to everybody, before anything uses it.
    Prepared,
    /// Opens connections and signs.
    Active,
    /// Still verifies old evidence, opens nothing new.
    Tainted,
    /// Good for nothing any more.
    Revoked,
}

impl fmt::Display for AnchorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Tainted => "tainted",
            Self::Revoked => "revoked",
        })
    }
}

/// The question that a path is found for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// May it open something new?
    Opening,
    /// Was it good when an old signature was made?
    Evidence,
    /// The same, with a revocation as a finding and not as a refusal.
    Disputed,
}

impl Question {
    fn allows(self, state: AnchorState) -> bool {
        match (self, state) {
            (_, AnchorState::Active)
            | (Self::Evidence | Self::Disputed, AnchorState::Tainted)
            | (Self::Disputed, AnchorState::Revoked) => true,
            (Self::Opening, AnchorState::Tainted) | (_, AnchorState::Prepared | AnchorState::Revoked) => {
                false
            }
        }
    }
}

/// Why evidence whose signatures hold is disputed: when it was signed for, somebody else may have had a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// Since when the key counts as lost, Unix ms; absent: nobody stated it, and all of it is disputed.
    pub since_ms: Option<i64>,
    /// Whether the key is a root's, and not the node's or its issuer's.
    pub root: bool,
}

/// The first digits, two to six, of the divisions that a domain may speak for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DivisionPrefix(String);

impl DivisionPrefix {
    /// The digits as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a division begins with these digits.
    pub fn covers(&self, division: Division) -> bool {
        division.as_str().starts_with(&self.0)
    }

    /// Whether some division begins with both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

impl FromStr for DivisionPrefix {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if (2..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnId::new(text, "a division prefix of two to six digits"))
        }
    }
}

impl fmt::Display for DivisionPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DivisionPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DivisionPrefix({self})")
    }
}

/// A root certificate and its state. Its own validity dates decide nothing: the state does.
#[derive(Clone)]
pub struct Anchor {
    anchor: TrustAnchor<'static>,
    fingerprint: [u8; 32],
    not_after_ms: i64,
    state: AnchorState,
    compromised_from_ms: Option<i64>,
}

impl Anchor {
    /// Reads a root certificate from DER.
    ///
    /// # Errors
    /// [`TrustError::NotAnAuthority`] when basicConstraints does not say CA; [`TrustError::SignatureSha1`] or
    /// [`TrustError::RsaShort`] when it is weak; [`TrustError::Config`] when it is no certificate at all.
    pub fn from_der(der: &[u8], state: AnchorState) -> Result<Self, TrustError> {
        let refused = |reason: String| TrustError::Config(format!("not an anchor: {reason}"));
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(refused(format!("{} bytes are too many", der.len())));
        }
        let parsed = profile::parse(der).map_err(|error| refused(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(TrustError::NotAnAuthority("basicConstraints does not say CA".into()));
        }
        profile::refuse_weak(&parsed)?;
        let certificate = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|error| refused(error.to_string()))?
            .to_owned();
        let not_after_ms = parsed.validity().not_after.timestamp().saturating_mul(1000);
        Ok(Self { anchor, fingerprint: fingerprint(der), not_after_ms, state, compromised_from_ms: None })
    }

    /// The same, its key lost since an instant, Unix ms, as its revocation states.
    #[must_use]
    pub fn compromised_from(self, compromised_from_ms: Option<i64>) -> Self {
        Self { compromised_from_ms, ..self }
    }

    /// What its revocation, if there is one, means for evidence of `at_ms`.
    fn dispute(&self, at_ms: i64) -> Option<Dispute> {
        let lost = self.state == AnchorState::Revoked
            && self.compromised_from_ms.is_none_or(|since_ms| since_ms <= at_ms);
        lost.then_some(Dispute { since_ms: self.compromised_from_ms, root: true })
    }

    /// What it may be used for.
    pub fn state(&self) -> AnchorState {
        self.state
    }

    /// SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The end of its own validity, Unix ms: for whoever plans its successor. It decides nothing here.
    pub fn not_after_ms(&self) -> i64 {
        self.not_after_ms
    }

    /// The authority's name, DER content.
    pub(crate) fn subject(&self) -> &[u8] {
        self.anchor.subject.as_ref()
    }

    pub(crate) fn anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({} {})", to_hex(&self.fingerprint), self.state)
    }
}

/// One operator's authority.
#[derive(Clone, Debug)]
pub struct TrustDomain {
    name: DomainName,
    prefixes: Vec<DivisionPrefix>,
    anchors: Vec<Anchor>,
    revocation: Revocation,
    suspended: BTreeSet<Division>,
    nodes: Option<Nodes>,
    /// Certificates that complete a chain whose sender left them out.
    pub(crate) intermediates: Vec<Vec<u8>>,
    pub(crate) bundle: Option<BundleState>,
}

/// The only nodes of a domain, and the SHA-256 of the keys that each may show; none: any key.
pub type Nodes = BTreeMap<Division, BTreeSet<[u8; 32]>>;

impl TrustDomain {
    /// Puts a domain together; nobody is suspended.
    ///
    /// Lists are told apart by their issuer's name, so an authority that changes its key and keeps publishing lists
    /// under the old one needs a new name.
    ///
    /// # Errors
    /// [`TrustError::Config`] when it has no prefix or no anchor, two revocation lists of one issuer, or a longer
    /// grace than [`CRL_GRACE_HOURS_MAX`].
    pub fn new(
        name: DomainName,
        prefixes: Vec<DivisionPrefix>,
        anchors: Vec<Anchor>,
        revocation: Revocation,
    ) -> Result<Self, TrustError> {
        let refused = |reason: &str| Err(TrustError::Config(format!("domain {name}: {reason}")));
        if prefixes.is_empty() {
            return refused("no division prefix");
        }
        if anchors.is_empty() {
            return refused("no anchor");
        }
        if let Revocation::Crl { lists, grace_hours } = &revocation {
            if *grace_hours > CRL_GRACE_HOURS_MAX {
                return refused(&format!("crl_grace_hours is over {CRL_GRACE_HOURS_MAX}"));
            }
            let issuers: BTreeSet<&[u8]> = lists.iter().map(|crl| crl.issuer()).collect();
            if issuers.len() < lists.len() {
                // Only one of them would ever be consulted; which one must not depend on their order.
                return refused("two revocation lists of one issuer; keep the newer");
            }
        }
        Ok(Self {
            name,
            prefixes,
            anchors,
            revocation,
            suspended: BTreeSet::new(),
            nodes: None,
            intermediates: Vec::new(),
            bundle: None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &DomainName {
        &self.name
    }

    /// The divisions that it may speak for.
    pub fn prefixes(&self) -> &[DivisionPrefix] {
        &self.prefixes
    }

    /// Its anchors, in all states.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// How it tells which certificates are revoked.
    pub fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    pub(crate) fn revocation_mut(&mut self) -> &mut Revocation {
        &mut self.revocation
    }

    /// The bundle of its province that it follows, if there is one.
    pub fn bundle(&self) -> Option<&BundleState> {
        self.bundle.as_ref()
    }

    /// Nodes that may open nothing new.
    pub fn suspended(&self) -> &BTreeSet<Division> {
        &self.suspended
    }

    /// The only nodes that it speaks for, if it lists them.
    pub fn nodes(&self) -> Option<&Nodes> {
        self.nodes.as_ref()
    }

    /// Lists the only nodes that it speaks for; `None`: all that its authority certified.
    ///
    /// # Errors
    /// [`TrustError::Config`] when the domain does not speak for one of them.
    pub fn list_nodes(&mut self, nodes: Option<Nodes>) -> Result<(), TrustError> {
        if let Some(outside) = nodes.iter().flatten().find(|(division, _)| !self.speaks_for(**division)) {
            return Err(TrustError::Config(format!(
                "domain {}: listed node {} is outside its prefixes",
                self.name, outside.0
            )));
        }
        self.nodes = nodes;
        Ok(())
    }

    /// Whether a node may open something new with a key (SubjectPublicKeyInfo, DER), as far as lists go.
    ///
    /// # Errors
    /// [`TrustError::Suspended`], [`TrustError::NotListed`], [`TrustError::KeyNotListed`].
    pub(crate) fn check_node(&self, division: Division, spki_der: &[u8]) -> Result<(), TrustError> {
        if self.suspended.contains(&division) {
            return Err(TrustError::Suspended(division));
        }
        let Some(nodes) = &self.nodes else { return Ok(()) };
        match nodes.get(&division) {
            None => Err(TrustError::NotListed(division)),
            Some(keys) if keys.is_empty() || keys.contains(&fingerprint(spki_der)) => Ok(()),
            Some(_) => Err(TrustError::KeyNotListed(division)),
        }
    }

    /// Whether a revocation list may serve this domain: signed by one of its anchors, or by an authority in
    /// `intermediates` (DER) that one of its anchors signed.
    ///
    /// # Errors
    /// [`TrustError::CrlForeignIssuer`]; [`TrustError::CrlInvalid`] when the name fits and the signature does not.
    pub fn check_crl(&self, crl: &revocation::Crl, intermediates: &[&[u8]]) -> Result<(), TrustError> {
        let mut named = false;
        let keys = self.anchors.iter().map(|anchor| webpki::spki_for_anchor(anchor.anchor()).to_vec());
        for (anchor, key) in self.anchors.iter().zip(keys) {
            if anchor.subject() == crl.issuer() {
                named = true;
                if crl.is_signed_by(&key) {
                    return Ok(());
                }
            }
            for der in intermediates {
                let authority = profile::parse(der)?;
                if !authority.is_ca() || !revocation::signed_certificate(&key, &authority) {
                    continue;
                }
                if revocation::content_of(authority.subject().as_raw()) == crl.issuer() {
                    named = true;
                    if crl.is_signed_by(authority.public_key().raw) {
                        return Ok(());
                    }
                }
            }
        }
        Err(if named {
            TrustError::CrlInvalid("not signed by its issuer".into())
        } else {
            TrustError::CrlForeignIssuer(self.name.clone())
        })
    }

    /// Whether it may speak for a division.
    pub fn speaks_for(&self, division: Division) -> bool {
        self.prefixes.iter().any(|prefix| prefix.covers(division))
    }

    /// Suspends a node.
    ///
    /// # Errors
    /// [`TrustError::Config`] when the domain does not speak for it: the suspension would have no effect.
    pub fn suspend(&mut self, division: Division) -> Result<(), TrustError> {
        if !self.speaks_for(division) {
            return Err(TrustError::Config(format!(
                "domain {}: suspended node {division} is outside its prefixes",
                self.name
            )));
        }
        self.suspended.insert(division);
        Ok(())
    }

    /// Lifts a suspension; true if there was one.
    pub fn resume(&mut self, division: Division) -> bool {
        self.suspended.remove(&division)
    }

    /// Changes the state of the anchor with this fingerprint; false if there is none.
    pub fn set_anchor_state(&mut self, fingerprint: &[u8; 32], state: AnchorState) -> bool {
        let found = self.anchors.iter_mut().find(|anchor| anchor.fingerprint == *fingerprint);
        found.map(|anchor| anchor.state = state).is_some()
    }

    /// Whether a chain may open or sign something new, by path, anchor and revocation alone.
    pub(crate) fn judge_opening(&self, chain: &[&[u8]], at_ms: i64) -> Result<(), TrustError> {
        self.judge_path(Question::Opening, chain, at_ms).map(|_| ())
    }

    /// As [`TrustDomain::judge_path`], and asks whether the bundle of the domain still counts.
    ///
    /// A stale bundle is asked about last: it hides no revocation, and old evidence does not depend on it.
    ///
    /// Returns the anchor's state, the last instant, Unix ms, at which the answer would be the same, and what speaks
    /// against evidence of `at_ms` ([`Question::Disputed`] only).
    pub(crate) fn judge(
        &self,
        question: Question,
        chain: &[&[u8]],
        at_ms: i64,
    ) -> Result<(AnchorState, i64, Option<Dispute>), TrustError> {
        let (state, good_until_ms, dispute) = self.judge_path(question, chain, at_ms)?;
        match &self.bundle {
            Some(bundle) if question == Question::Opening => {
                if at_ms > bundle.counts_until_ms {
                    let (domain, fresh_until_ms) = (self.name.clone(), bundle.fresh_until_ms);
                    return Err(TrustError::BundleStale { domain, fresh_until_ms });
                }
                Ok((state, good_until_ms.min(bundle.counts_until_ms), dispute))
            }
            Some(_) | None => Ok((state, good_until_ms, dispute)),
        }
    }

    /// What is known of the revocation of a chain that leads to an active anchor.
    pub(crate) fn revocation_status(&self, chain: &[&[u8]], at_ms: i64) -> Status {
        match self.judge_path(Question::Opening, chain, at_ms) {
            Ok((_, until_ms, _)) => Status::Good { until_ms },
            Err(TrustError::Revoked { since_ms }) => {
                Status::Revoked { since_ms: since_ms.unwrap_or_default() }
            }
            Err(error) => Status::Unknown(error),
        }
    }

    /// A chain with the intermediates that its sender left out, as far as the domain knows them.
    fn complete<'a>(&'a self, chain: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let mut whole = chain.to_vec();
        while !self.intermediates.is_empty() && whole.len() < CHAIN_CERTIFICATES_MAX {
            let Some(Ok(last)) = whole.last().map(|der| profile::parse(der)) else { break };
            let issuer = last.issuer().as_raw();
            if self.anchors.iter().any(|anchor| anchor.subject() == revocation::content_of(issuer)) {
                break;
            }
            let named = |der: &&Vec<u8>| {
                profile::parse(der).is_ok_and(|authority| authority.subject().as_raw() == issuer)
            };
            match self.intermediates.iter().find(named) {
                Some(next) if !whole.contains(&next.as_slice()) => whole.push(next),
                Some(_) | None => break,
            }
        }
        whole
    }

    /// Finds a path for `chain` to an anchor that `question` allows, and asks about revocation.
    ///
    /// Returns what [`TrustDomain::judge`] does.
    fn judge_path(
        &self,
        question: Question,
        chain: &[&[u8]],
        at_ms: i64,
    ) -> Result<(AnchorState, i64, Option<Dispute>), TrustError> {
        let chain = &self.complete(chain)[..];
        let (allowed, others): (Vec<&Anchor>, Vec<&Anchor>) =
            self.anchors.iter().partition(|anchor| question.allows(anchor.state));
        match self.find_path(question, chain, &allowed, at_ms) {
            Ok((path, fresh_until_ms)) => {
                // Certificates are valid through the whole of their last second.
                let valid_until_ms = path
                    .links
                    .iter()
                    .map(|link| link.not_after_ms.saturating_add(999))
                    .min()
                    .unwrap_or(at_ms);
                let anchor = allowed[path.anchor];
                let dispute = match (question, &self.revocation) {
                    (Question::Opening | Question::Evidence, _) => None,
                    (Question::Disputed, Revocation::None) => anchor.dispute(at_ms),
                    (Question::Disputed, Revocation::Crl { lists, .. }) => {
                        let since_ms = revocation::revoked_since_ms(&path.links, lists);
                        let since_ms = since_ms.filter(|since_ms| *since_ms <= at_ms);
                        let listed = since_ms.map(|_| Dispute { since_ms, root: false });
                        anchor.dispute(at_ms).or(listed)
                    }
                };
                Ok((anchor.state, valid_until_ms.min(fresh_until_ms), dispute))
            }
            // Only to say why: a path to an anchor that may not be used is never an acceptance.
            Err(error @ (TrustError::UnknownIssuer(_) | TrustError::BadSignature)) => {
                Err(match path::find(&self.name, chain, &others, false, at_ms) {
                    Ok(path) => TrustError::AnchorNotUsable {
                        domain: self.name.clone(),
                        state: others[path.anchor].state,
                    },
                    Err(_) => error,
                })
            }
            Err(error) => Err(error),
        }
    }

    fn find_path(
        &self,
        question: Question,
        chain: &[&[u8]],
        anchors: &[&Anchor],
        at_ms: i64,
    ) -> Result<(Path, i64), TrustError> {
        let (lists, grace_hours) = match &self.revocation {
            Revocation::None => {
                return Ok((path::find(&self.name, chain, anchors, false, at_ms)?, i64::MAX));
            }
            Revocation::Crl { lists, grace_hours } => (lists.as_slice(), *grace_hours),
        };
        if lists.is_empty() {
            return Err(TrustError::CrlMissing(self.name.clone()));
        }
        let path = path::find(&self.name, chain, anchors, true, at_ms)?;
        // For something new, a revocation of any date counts.
        let judged_at_ms = match question {
            Question::Opening => i64::MAX,
            Question::Evidence => at_ms,
            // None counts here: each is a finding.
            Question::Disputed => i64::MIN,
        };
        match revocation::status(&path.links, lists, grace_hours, &self.name, judged_at_ms, at_ms) {
            Status::Good { until_ms } => Ok((path, until_ms)),
            Status::Revoked { since_ms } => Err(TrustError::Revoked { since_ms: Some(since_ms) }),
            Status::Unknown(error) => Err(error),
        }
    }
}

/// SHA-256 of some DER: a certificate's, or a public key's.
pub(crate) fn fingerprint(der: &[u8]) -> [u8; 32] {
    digest(&SHA256, der).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}
