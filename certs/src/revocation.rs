//! Revocation lists: reading them, and judging by them.
//!
//! rustls-webpki reads a list and looks serial numbers up in it. This module does the rest once a path is found: a
//! list is its issuer's (its signature is checked once, not for each chain), it counts until a stated grace after
//! its end is over, and old evidence is judged by the date of a revocation, not by its presence. Delta, indirect
//! and partitioned lists are refused when they are read.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::error::TrustError;
use crate::limits::CRL_BYTES_MAX;
use crate::path::{ALGORITHMS, Link};
use crate::sm2::VerifyingKey;
use crate::sm2_path;
use crate::spiffe::DomainName;

const HOUR_MS: i64 = 3_600_000;

/// How a trust domain tells which certificates are revoked.
#[derive(Clone, Debug)]
pub enum Revocation {
    /// Not at all, and the administrator said so in so many words.
    None,
    /// By lists. Every certificate of a path needs its issuer's list: without one it is refused.
    Crl {
        /// One list for each issuer.
        lists: Vec<Crl>,
        /// How long a list counts after its nextUpdate, hours, 0..=[`crate::limits::CRL_GRACE_HOURS_MAX`].
        grace_hours: u32,
    },
}

/// One revocation list. It decides about no certificate before its signature was found good.
#[derive(Clone, Debug)]
pub struct Crl {
    list: Arc<CertRevocationList<'static>>,
    der: Arc<[u8]>,
    count: usize,
    /// The key (SubjectPublicKeyInfo) under which its signature was found good.
    signer: Arc<OnceLock<Vec<u8>>>,
    this_update_ms: i64,
    next_update_ms: i64,
}

impl Crl {
    /// Reads a list from DER.
    ///
    /// # Errors
    /// [`TrustError::DuplicateSerial`]; [`TrustError::CrlInvalid`] when it is over [`CRL_BYTES_MAX`], malformed,
    /// without nextUpdate, or a delta, indirect or partitioned list.
    pub fn from_der(der: &[u8]) -> Result<Self, TrustError> {
        if der.len() > CRL_BYTES_MAX {
            return Err(TrustError::CrlInvalid(format!("{} bytes are too many", der.len())));
        }
        let list: CertRevocationList<'static> =
            OwnedCertRevocationList::from_der(der).map_err(|error| invalid(&error))?.into();
        if list.issuing_distribution_point().is_some() {
            // It would cover only part of the issuer's certificates, and silently nothing of the rest.
            return Err(TrustError::CrlInvalid("a partitioned list".into()));
        }
        let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|error| invalid(&error))?;
        let mut serials = BTreeSet::new();
        for entry in parsed.iter_revoked_certificates() {
            // webpki would keep one of the two, and which date counts would depend on their order.
            if !serials.insert(entry.raw_serial()) {
                return Err(TrustError::DuplicateSerial { serial: entry.raw_serial_as_string() });
            }
        }
        let next_update =
            parsed.next_update().ok_or_else(|| TrustError::CrlInvalid("without nextUpdate".into()))?;
        Ok(Self {
            list: Arc::new(list),
            der: der.into(),
            count: serials.len(),
            signer: Arc::default(),
            this_update_ms: parsed.last_update().timestamp().saturating_mul(1000),
            next_update_ms: next_update.timestamp().saturating_mul(1000),
        })
    }

    /// When it was issued, Unix ms.
    pub fn this_update_ms(&self) -> i64 {
        self.this_update_ms
    }

    /// When its successor is due, Unix ms.
    pub fn next_update_ms(&self) -> i64 {
        self.next_update_ms
    }

    /// How many certificates it revokes.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The list as it was read, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The issuer's name, DER content: what identifies a list within a domain.
    pub fn issuer(&self) -> &[u8] {
        self.list.issuer()
    }

    /// Since when `serial` is revoked, Unix ms: the earlier of revocation and invalidity date (RFC 5280 §5.3.2).
    pub(crate) fn revoked_since_ms(&self, serial: &[u8]) -> Option<i64> {
        // An owned list was parsed whole when it was read: looking up cannot fail.
        let entry = self.list.find_serial(serial).ok().flatten()?;
        let since = match entry.invalidity_date {
            Some(invalid) if invalid.as_secs() < entry.revocation_date.as_secs() => invalid,
            _ => entry.revocation_date,
        };
        Some(i64::try_from(since.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// Whether the key in `spki_der` signed this list, with an algorithm that we allow. Found good once, a list is
    /// not hashed again: a long one takes milliseconds, and every partner's chain asks.
    pub(crate) fn is_signed_by(&self, spki_der: &[u8]) -> bool {
        if self.signer.get().is_some_and(|signer| signer == spki_der) {
            return true;
        }
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else { return false };
        let (content, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
        let signed = match VerifyingKey::from_spki(spki_der) {
            Some(key) => {
                sm2_path::is_sm2_with_sm3(&list.signature_algorithm)
                    && list.signature_algorithm == list.tbs_cert_list.signature
                    && key.verifies_der(content, signature)
            }
            None => SubjectPublicKeyInfo::from_der(spki_der)
                .is_ok_and(|(_, key)| signed(&key.subject_public_key.data, content, signature)),
        };
        if signed {
            // Another thread may have found the same first.
            let _ = self.signer.set(spki_der.to_vec());
        }
        signed
    }
}

/// Whether a key (the bits of its SubjectPublicKeyInfo) made a signature, with an algorithm that we allow.
fn signed(key: &[u8], content: &[u8], signature: &[u8]) -> bool {
    ALGORITHMS.iter().any(|algorithm| algorithm.verify_signature(key, content, signature).is_ok())
}

/// Whether the key in `spki_der` signed this certificate, with an algorithm that we allow.
pub(crate) fn signed_certificate(spki_der: &[u8], certificate: &X509Certificate<'_>) -> bool {
    if let Some(key) = VerifyingKey::from_spki(spki_der) {
        return sm2_path::is_sm2_with_sm3(&certificate.signature_algorithm)
            && certificate.signature_algorithm == certificate.tbs_certificate.signature
            && key.verifies_der(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data);
    }
    let Ok((_, key)) = SubjectPublicKeyInfo::from_der(spki_der) else { return false };
    let certificate_signature = &certificate.signature_value.data;
    signed(&key.subject_public_key.data, certificate.tbs_certificate.as_ref(), certificate_signature)
}

/// A name without its outer tag and length, the form in which webpki compares names.
pub(crate) fn content_of(name: &[u8]) -> &[u8] {
    match name.get(1) {
        Some(length) if length & 0x80 == 0 => name.get(2..),
        Some(length) => name.get(2 + usize::from(length & 0x7f)..),
        None => None,
    }
    .unwrap_or_default()
}

/// What is known of a path's revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// No list of any authority on the path names one of its certificates, and all of them count.
    Good {
        /// Until when they count, Unix ms.
        until_ms: i64,
    },
    /// A certificate of the path is in its issuer's list. Nothing makes that good again: not a list that is missing,
    /// stale or unreadable beside it, and no grace.
    Revoked {
        /// Since when, Unix ms.
        since_ms: i64,
    },
    /// Nobody says that it is revoked, and somebody who should say that it is not does not: the reason.
    Unknown(TrustError),
}

/// Judges a path by the lists of its authorities.
///
/// `judged_at_ms`: what was revoked after it was good then; `at_ms`: when lists have to be fresh. Both Unix ms.
pub(crate) fn status(
    path: &[Link],
    lists: &[Crl],
    grace_hours: u32,
    domain: &DomainName,
    judged_at_ms: i64,
    at_ms: i64,
) -> Status {
    let (mut unknown, mut until_ms) = (None, i64::MAX);
    for link in path {
        let Some(crl) = list_of(link, lists) else {
            unknown = unknown.or_else(|| Some(TrustError::CrlMissing(domain.clone())));
            continue;
        };
        if !crl.is_signed_by(&link.issuer_spki_der) {
            let reason = "not signed by its issuer".into();
            unknown = unknown.or(Some(TrustError::CrlInvalid(reason)));
            continue;
        }
        match crl.revoked_since_ms(&link.serial) {
            Some(since_ms) if since_ms <= judged_at_ms => return Status::Revoked { since_ms },
            _ => {}
        }
        let counts_until_ms = crl.next_update_ms.saturating_add(i64::from(grace_hours) * HOUR_MS);
        if at_ms > counts_until_ms {
            let (domain, next_update_ms) = (domain.clone(), crl.next_update_ms);
            unknown = unknown.or(Some(TrustError::CrlStale { domain, next_update_ms }));
        }
        until_ms = until_ms.min(counts_until_ms);
    }
    unknown.map_or(Status::Good { until_ms }, Status::Unknown)
}

/// Since when the first certificate of a path is revoked, Unix ms, if one is. The lists were judged before.
pub(crate) fn revoked_since_ms(path: &[Link], lists: &[Crl]) -> Option<i64> {
    path.iter().filter_map(|link| list_of(link, lists)?.revoked_since_ms(&link.serial)).min()
}

fn list_of<'a>(link: &Link, lists: &'a [Crl]) -> Option<&'a Crl> {
    lists.iter().find(|crl| crl.issuer() == link.issuer)
}

fn invalid(error: &dyn std::fmt::Display) -> TrustError {
    TrustError::CrlInvalid(error.to_string())
}
