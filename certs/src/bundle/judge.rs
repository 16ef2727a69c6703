//! What a domain becomes with a bundle: `(domain as administrators have it, bundle, now) → domain or refusal`.

use crate::bundle::Bundle;
use crate::domain::{Anchor, AnchorState, DivisionPrefix, TrustDomain};
use crate::error::TrustError;
use crate::limits::{BUNDLE_SKEW_MS_MAX, CERTIFICATE_BYTES_MAX, CRL_GRACE_HOURS_MAX};
use crate::profile::{self, BundleProfile};
use crate::revocation::{self, Crl, Revocation};

const HOUR_MS: i64 = 3_600_000;

/// The bundle that a domain follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleState {
    /// Its number.
    pub sequence: u64,
    /// SHA-256 of its payload.
    pub digest: [u8; 32],
    /// When it was made, Unix ms.
    pub issued_ms: i64,
    /// When its successor is due, Unix ms.
    pub fresh_until_ms: i64,
    /// Until when it counts, its grace included, Unix ms: after that nothing new is opened under the domain.
    pub counts_until_ms: i64,
    /// What it says beyond what a province may change, for two people to decide.
    pub suggestions: Vec<Suggestion>,
    /// Why it would not be accepted today, if so: its lists still count, its nodes only where they are fewer.
    pub refused: Option<&'static str>,
}

/// A change that a bundle cannot make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// A further root.
    Anchor {
        /// SHA-256 of its DER.
        fingerprint: [u8; 32],
        /// The certificate.
        der: Vec<u8>,
    },
    /// Other division prefixes, all of them.
    Divisions(Vec<DivisionPrefix>),
}

/// When a bundle is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It has just arrived, at this instant, Unix ms: its signer must be good now.
    Arrived(i64),
    /// It was accepted before, and is read again: its signer was good then, and may not be revoked since.
    Kept,
}

impl TrustDomain {
    /// The domain with a bundle, whose grace after its end is `grace_hours`.
    ///
    /// # Errors
    /// [`TrustError::BundleBeyond`] when it states an authority, a list or a node that no root approved here stands
    /// behind; [`TrustError::BundleSignature`]; what is wrong with its signer's certificate.
    pub(crate) fn with_bundle(
        &self,
        bundle: &Bundle,
        grace_hours: u32,
        occasion: Occasion,
    ) -> Result<Self, TrustError> {
        let content = bundle.content();
        if let Occasion::Arrived(now_ms) = occasion
            && content.issued_ms > now_ms.saturating_add(BUNDLE_SKEW_MS_MAX)
        {
            return Err(TrustError::BundleMalformed("issued in the future".into()));
        }
        let (next, suggestions) = self.with_content(bundle)?;
        next.check_signer(bundle, occasion)?;
        Ok(next.following(bundle, grace_hours, suggestions, None))
    }

    /// The domain with a bundle that was accepted before and would not be today: what takes trust away still counts.
    pub(crate) fn with_refused_bundle(
        &self,
        bundle: &Bundle,
        grace_hours: u32,
        error: &TrustError,
    ) -> Result<Self, TrustError> {
        let mut next = self.clone();
        let intermediates: Vec<&[u8]> = bundle.content().intermediates.iter().map(Vec::as_slice).collect();
        for der in &bundle.content().crls {
            // Each is signed by its own authority: who signed the bundle does not matter to it.
            if let Ok(list) = Crl::from_der(der)
                && self.check_crl(&list, &intermediates).is_ok()
            {
                next.take_newer(list);
            }
        }
        if let Some(listed) = &bundle.content().nodes {
            let mut fewer = listed.clone();
            fewer.retain(|division, keys| {
                let ours = match self.nodes() {
                    None => return self.speaks_for(*division),
                    Some(ours) => ours.get(division),
                };
                match ours {
                    None => return false,
                    Some(ours) if keys.is_empty() => keys.clone_from(ours),
                    Some(ours) if ours.is_empty() => {}
                    Some(ours) => {
                        keys.retain(|key| ours.contains(key));
                        return !keys.is_empty();
                    }
                }
                true
            });
            next.list_nodes(Some(fewer))?;
        }
        Ok(next.following(bundle, grace_hours, Vec::new(), Some(error.code())))
    }

    fn following(
        mut self,
        bundle: &Bundle,
        grace_hours: u32,
        suggestions: Vec<Suggestion>,
        refused: Option<&'static str>,
    ) -> Self {
        let content = bundle.content();
        self.bundle = Some(BundleState {
            sequence: content.sequence,
            digest: *bundle.digest(),
            issued_ms: content.issued_ms,
            fresh_until_ms: content.fresh_until_ms,
            counts_until_ms: content.fresh_until_ms.saturating_add(i64::from(grace_hours) * HOUR_MS),
            suggestions,
            refused,
        });
        self
    }

    /// Nodes, lists and intermediates taken over; everything else as a suggestion.
    fn with_content(&self, bundle: &Bundle) -> Result<(Self, Vec<Suggestion>), TrustError> {
        let content = bundle.content();
        let mut next = self.clone();
        let mut suggestions = Vec::new();
        let mut announced = Vec::new();
        for der in &content.anchors {
            let anchor = Anchor::from_der(der, AnchorState::Prepared)?;
            if !self.anchors().iter().any(|known| known.fingerprint() == anchor.fingerprint()) {
                suggestions.push(Suggestion::Anchor { fingerprint: *anchor.fingerprint(), der: der.clone() });
                announced.push(anchor);
            }
        }
        let (mut ours, mut theirs) = (self.prefixes().to_vec(), content.divisions.clone());
        ours.sort();
        theirs.sort();
        theirs.dedup();
        if ours != theirs {
            suggestions.push(Suggestion::Divisions(theirs.clone()));
        }
        let beyond = |what: String| TrustError::BundleBeyond(self.name().clone(), what);

        for der in &content.intermediates {
            if der.len() > CERTIFICATE_BYTES_MAX {
                return Err(TrustError::CertificateTooLarge { bytes: der.len() });
            }
            let authority = profile::parse(der)?;
            if !authority.is_ca() {
                return Err(TrustError::NotAnAuthority("an intermediate of a bundle".into()));
            }
            profile::refuse_weak(&authority)?;
            let signed_by = |anchor: &Anchor| {
                anchor.subject() == revocation::content_of(authority.issuer().as_raw())
                    && revocation::signed_certificate(&webpki::spki_for_anchor(anchor.anchor()), &authority)
            };
            let usable = |anchor: &&Anchor| anchor.state() != AnchorState::Revoked;
            if self.anchors().iter().filter(usable).any(signed_by) {
                next.intermediates.push(der.clone());
            } else if !announced.iter().any(signed_by) {
                return Err(beyond("an authority that none of its roots issued".into()));
            }
        }
        let intermediates: Vec<&[u8]> = content.intermediates.iter().map(Vec::as_slice).collect();
        for der in &content.crls {
            let list = Crl::from_der(der)?;
            match self.check_crl(&list, &intermediates) {
                Ok(()) if matches!(self.revocation(), Revocation::Crl { .. }) => next.take_newer(list),
                Ok(()) => return Err(beyond("revocation lists, which it is approved without".into())),
                // Under a root that waits for approval, perhaps of the same name, it counts for nothing yet.
                Err(error) if !signed_under(&announced, &list, &intermediates)? => return Err(error),
                Err(_) => {}
            }
        }
        if let Some(nodes) = &content.nodes {
            let announces = |division| content.divisions.iter().any(|prefix| prefix.covers(division));
            if let Some(outside) = nodes.keys().find(|division| !announces(**division)) {
                return Err(beyond(format!("node {outside}, which no prefix of its own covers")));
            }
            // Nodes below a prefix that waits for approval count for nothing yet.
            let mut nodes = nodes.clone();
            nodes.retain(|division, _| self.speaks_for(*division));
            next.list_nodes(Some(nodes))?;
        }
        Ok((next, suggestions))
    }

    /// Of two lists of one authority the newer one counts, from wherever it came.
    fn take_newer(&mut self, list: Crl) {
        let Revocation::Crl { lists, .. } = self.revocation_mut() else { return };
        match lists.iter_mut().find(|known| known.issuer() == list.issuer()) {
            Some(known) if known.this_update_ms() > list.this_update_ms() => {}
            Some(known) => *known = list,
            None => lists.push(list),
        }
    }

    fn check_signer(&self, bundle: &Bundle, occasion: Occasion) -> Result<(), TrustError> {
        let chain: Vec<&[u8]> = bundle.signer.iter().map(Vec::as_slice).collect();
        profile::check_sizes(&chain)?;
        let signer = BundleProfile::read(chain[0])?;
        if signer.domain != *self.name() {
            return Err(TrustError::WrongSan(format!("it signs for {}", signer.domain)));
        }
        profile::check_chain(&chain)?;
        if let Occasion::Arrived(now_ms) = occasion {
            self.judge_opening(&chain, now_ms)?;
        }
        // And at the instant that a restart will ask about.
        self.judge_opening(&chain, bundle.content().issued_ms)?;
        if bundle.envelope.is_signed_by(signer.algorithm, &signer.spki_der) {
            Ok(())
        } else {
            Err(TrustError::BundleSignature(self.name().clone()))
        }
    }
}

impl Bundle {
    /// Whether a node that has these domains, and follows no bundle yet, would accept this one.
    ///
    /// # Errors
    /// [`TrustError::UnknownDomain`]; what is wrong with it.
    pub fn check(&self, domains: &[TrustDomain], now_ms: i64) -> Result<(), TrustError> {
        let name = &self.content().domain;
        let domain = domains.iter().find(|domain| domain.name() == name);
        let domain = domain.ok_or_else(|| TrustError::UnknownDomain(name.clone()))?;
        domain.with_bundle(self, 0, Occasion::Arrived(now_ms)).map(|_| ())
    }
}

/// Whether a list is that of an authority under these roots.
fn signed_under(roots: &[Anchor], list: &Crl, intermediates: &[&[u8]]) -> Result<bool, TrustError> {
    if roots.is_empty() {
        return Ok(false);
    }
    // A domain of the announced roots alone, to ask the same question of it.
    let revocation = Revocation::Crl { lists: Vec::new(), grace_hours: CRL_GRACE_HOURS_MAX };
    let name = "announced".parse().expect("a domain name");
    let prefix = vec!["00".parse().expect("a prefix")];
    let domain = TrustDomain::new(name, prefix, roots.to_vec(), revocation)?;
    Ok(domain.check_crl(list, intermediates).is_ok())
}
