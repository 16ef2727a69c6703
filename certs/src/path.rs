//! Certificate paths: from a leaf to one of a trust domain's anchors, at a stated instant.
//!
//! rustls-webpki decides (RFC 5280 §6: signatures, validity, constraints); this module chooses what it may use and
//! turns its answers into ours. Revocation is asked afterwards, of [`crate::revocation`]. Only algorithms in [`ALGORITHMS`] are offered, so a chain with RSA or
//! SHA-1 in it has no path at all.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};
use x509_parser::certificate::X509Certificate;

use crate::domain::Anchor;
use crate::error::TrustError;
use crate::profile;
use crate::sm2_path;
use crate::spiffe::DomainName;

/// Every signature algorithm that a certificate or revocation list may carry.
pub(crate) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
];

/// A path that webpki found valid.
pub(crate) struct Path {
    /// Leaf first; the anchor is not a link.
    pub(crate) links: Vec<Link>,
    /// Index of the anchor among those offered.
    pub(crate) anchor: usize,
}

/// One certificate of a path, as revocation sees it.
pub(crate) struct Link {
    /// The issuer's name, DER content.
    pub(crate) issuer: Vec<u8>,
    /// The issuer's public key.
    pub(crate) issuer_spki_der: Vec<u8>,
    /// DER content of the serial number.
    pub(crate) serial: Vec<u8>,
    /// Last valid instant, Unix ms.
    pub(crate) not_after_ms: i64,
}

/// Finds a valid path for `chain` (leaf first, at least one) to one of `anchors`.
///
/// `lists`: whether the authorities of the path are to sign revocation lists too.
///
/// # Errors
/// webpki's verdict as a [`TrustError`]; `domain` is named in it. A chain of SM2 is walked by `sm2_path`.
///
/// Nobody looks at a revocation list here: webpki would check the signature of a whole list again for each chain,
/// milliseconds for a long one. [`crate::domain`] does, and [`crate::revocation`] remembers whose list is good.
pub(crate) fn find(
    domain: &DomainName,
    chain: &[&[u8]],
    anchors: &[&Anchor],
    lists: bool,
    at_ms: i64,
) -> Result<Path, TrustError> {
    if sm2_path::applies(chain) {
        return sm2_path::find(domain, chain, anchors, lists, at_ms);
    }
    let (leaf, rest) = chain.split_first().ok_or(TrustError::ChainEmpty)?;
    let anchors: Vec<TrustAnchor<'static>> = anchors.iter().map(|anchor| anchor.anchor().clone()).collect();
    let intermediates: Vec<CertificateDer<'_>> =
        rest.iter().map(|certificate| CertificateDer::from(*certificate)).collect();
    let leaf = CertificateDer::from(*leaf);
    let refused = |error| refusal(error, domain, at_ms);
    let leaf = EndEntityCert::try_from(&leaf).map_err(refused)?;
    let path = leaf
        .verify_for_usage(
            ALGORITHMS,
            &anchors,
            &intermediates,
            unix_time(at_ms),
            // Demands clientAuth where extendedKeyUsage is present; what a leaf must have, `profile` says.
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(refused)?;

    let certificates: Vec<_> =
        std::iter::once(&**path.end_entity()).chain(path.intermediate_certificates()).collect();
    let issuer_keys = certificates
        .iter()
        .skip(1)
        .map(|issuer| issuer.subject_public_key_info())
        .chain(std::iter::once(webpki::spki_for_anchor(path.anchor())));
    let links = certificates
        .iter()
        .zip(issuer_keys)
        .enumerate()
        .map(|(below, (certificate, issuer_key))| {
            let der = certificate.der();
            let parsed = profile::parse(&der)?;
            if lists && below > 0 {
                check_signs_lists(&parsed)?;
            }
            let not_after = parsed.validity().not_after.timestamp();
            Ok(Link {
                issuer: certificate.issuer().to_vec(),
                issuer_spki_der: issuer_key.to_vec(),
                serial: certificate.serial().to_vec(),
                not_after_ms: not_after.saturating_mul(1000),
            })
        })
        .collect::<Result<_, TrustError>>()?;
    let anchor = anchors
        .iter()
        .position(|anchor| anchor == path.anchor())
        .expect("webpki ends a path in one of the anchors given");
    Ok(Path { links, anchor })
}

/// An authority whose keyUsage says what it may do, and not that it may sign lists, vouches by none (RFC 5280 §6.3.3).
fn check_signs_lists(authority: &X509Certificate<'_>) -> Result<(), TrustError> {
    let usage = authority.key_usage().map_err(|error| TrustError::CertificateMalformed(error.to_string()))?;
    if usage.is_some_and(|usage| !usage.value.crl_sign()) {
        return Err(TrustError::CrlInvalid("an issuer's keyUsage lacks cRLSign".into()));
    }
    Ok(())
}

/// Whole seconds, as certificates have them. Instants before 1970 count as its beginning: no certificate is older.
fn unix_time(at_ms: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(at_ms.max(0).unsigned_abs()))
}

pub(crate) fn refusal(error: Error, domain: &DomainName, at_ms: i64) -> TrustError {
    let ms = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    match error {
        Error::CertExpired { not_after, .. } => {
            TrustError::CertificateExpired { not_after_ms: ms(not_after), at_ms }
        }
        Error::CertNotValidYet { not_before, .. } => {
            TrustError::CertificateNotYetValid { not_before_ms: ms(not_before), at_ms }
        }
        Error::UnknownIssuer => TrustError::UnknownIssuer(domain.clone()),
        Error::InvalidSignatureForPublicKey => TrustError::BadSignature,
        Error::CaUsedAsEndEntity => TrustError::CaAsLeaf,
        Error::EndEntityUsedAsCa => TrustError::NotAnAuthority("a node's certificate issued another".into()),
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            TrustError::WeakAlgorithm("a signature in the chain".into())
        }
        Error::BadDer
        | Error::BadDerTime
        | Error::ExtensionValueInvalid
        | Error::InvalidSerialNumber
        | Error::MalformedExtensions
        | Error::SignatureAlgorithmMismatch
        | Error::TrailingData(_)
        | Error::UnsupportedCertVersion
        | Error::UnsupportedCriticalExtension => TrustError::CertificateMalformed(error.to_string()),
        // Non-exhaustive upstream; the rest are constraints and work limits.
        _ => TrustError::PathInvalid(error.to_string()),
    }
}
