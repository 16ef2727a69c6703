//! Certificate paths of SM2 (GB/T 20518): rustls-webpki knows no SM2, so this module walks them.
//!
//! For signing certificates only; TLS speaks the suites of [`crate::path`]. The rules are those of RFC 5280 §6
//! that our profile leaves open, and stricter where that is simpler: a chain comes in order, every key and
//! signature in it is SM2's with SM3, no certificate has name constraints, and what webpki refuses to parse
//! (unknown critical extensions, other versions, trailing bytes) is refused here by the same parser.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Oid, oid};
use x509_parser::x509::AlgorithmIdentifier;

use crate::domain::Anchor;
use crate::error::TrustError;
use crate::path::{Link, Path, refusal};
use crate::profile::{self, KeyAlgorithm};
use crate::sm2::VerifyingKey;
use crate::spiffe::DomainName;

/// SM2 signature with SM3, GB/T 33560.
const SM2_WITH_SM3: Oid<'static> = oid!(1.2.156.10197.1.501);

/// Whether a chain is for this module: its leaf has an SM2 key.
pub(crate) fn applies(chain: &[&[u8]]) -> bool {
    let key = chain.first().and_then(|leaf| {
        profile::parse(leaf).ok().and_then(|leaf| profile::key_algorithm(leaf.public_key()).ok())
    });
    key == Some(KeyAlgorithm::Sm2)
}

/// Whether that is the signature algorithm of SM2 certificates and revocation lists.
pub(crate) fn is_sm2_with_sm3(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    // Parameters are absent; some authorities write NULL.
    let no_parameters = algorithm.parameters.as_ref().is_none_or(|parameters| parameters.as_null().is_ok());
    algorithm.algorithm == SM2_WITH_SM3 && no_parameters
}

/// Finds a valid path for `chain` (leaf first, at least one) to one of `anchors`.
///
/// `lists`: whether the authorities of the path are to sign revocation lists too.
///
/// # Errors
/// The first rule that a certificate breaks.
pub(crate) fn find(
    domain: &DomainName,
    chain: &[&[u8]],
    anchors: &[&Anchor],
    lists: bool,
    at_ms: i64,
) -> Result<Path, TrustError> {
    let authorities: Vec<Authority<'_>> = anchors.iter().map(|anchor| Authority::of(anchor)).collect();
    let (mut links, mut forged) = (Vec::new(), false);
    for (below, der) in chain.iter().enumerate() {
        let parsed = profile::parse(der)?;
        let whole = CertificateDer::from(*der);
        let names = EndEntityCert::try_from(&whole).map_err(|error| refusal(error, domain, at_ms))?;
        check_signature_algorithm(&parsed)?;
        check_validity(&parsed, at_ms)?;
        if below > 0 {
            check_authority(&parsed, below - 1, lists)?;
        }
        let link = |issuer_spki_der: Vec<u8>| Link {
            issuer: names.issuer().to_vec(),
            issuer_spki_der,
            serial: names.serial().to_vec(),
            not_after_ms: parsed.validity().not_after.timestamp().saturating_mul(1000),
        };
        let signed_by = |key: &VerifyingKey| {
            key.verifies_der(parsed.tbs_certificate.as_ref(), &parsed.signature_value.data)
        };
        let mut named = authorities.iter().enumerate().filter(|(_, anchor)| anchor.name == names.issuer());
        let found = named.find_map(|(index, anchor)| {
            let key = anchor.key.as_ref()?;
            let signed = signed_by(key);
            forged |= !signed;
            signed.then_some((index, key))
        });
        if let Some((anchor, key)) = found {
            links.push(link(key.spki().to_vec()));
            return Ok(Path { links, anchor });
        }
        let Some(next) = chain.get(below + 1) else { break };
        let next_parsed = profile::parse(next)?;
        let next_whole = CertificateDer::from(*next);
        let next_names =
            EndEntityCert::try_from(&next_whole).map_err(|error| refusal(error, domain, at_ms))?;
        if next_names.subject() != names.issuer() {
            break;
        }
        let key = VerifyingKey::from_spki(next_parsed.public_key().raw)
            .ok_or_else(|| TrustError::WeakAlgorithm("an SM2 certificate under another key".into()))?;
        if !signed_by(&key) {
            return Err(TrustError::BadSignature);
        }
        links.push(link(key.spki().to_vec()));
    }
    Err(if forged { TrustError::BadSignature } else { TrustError::UnknownIssuer(domain.clone()) })
}

/// An anchor as this module needs it; one with another key than SM2's issues nothing here.
struct Authority<'a> {
    /// Subject, DER content.
    name: &'a [u8],
    key: Option<VerifyingKey>,
}

impl<'a> Authority<'a> {
    fn of(anchor: &'a Anchor) -> Self {
        let spki = webpki::spki_for_anchor(anchor.anchor());
        Self { name: anchor.anchor().subject.as_ref(), key: VerifyingKey::from_spki(spki.as_ref()) }
    }
}

fn check_signature_algorithm(certificate: &X509Certificate<'_>) -> Result<(), TrustError> {
    let inner = &certificate.tbs_certificate.signature;
    if *inner != certificate.signature_algorithm {
        return Err(TrustError::CertificateMalformed("two signature algorithms".into()));
    }
    if !is_sm2_with_sm3(inner) {
        return Err(TrustError::WeakAlgorithm("a signature in an SM2 chain that is not SM2 with SM3".into()));
    }
    Ok(())
}

fn check_validity(certificate: &X509Certificate<'_>, at_ms: i64) -> Result<(), TrustError> {
    let validity = certificate.validity();
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    // Whole seconds, the last one inclusive, as webpki counts.
    let at = at_ms.max(0) / 1000;
    if at < begin {
        return Err(TrustError::CertificateNotYetValid { not_before_ms: begin.saturating_mul(1000), at_ms });
    }
    if at > end {
        return Err(TrustError::CertificateExpired { not_after_ms: end.saturating_mul(1000), at_ms });
    }
    Ok(())
}

/// Checks an authority's certificate with so many authorities between it and the leaf.
fn check_authority(
    certificate: &X509Certificate<'_>,
    authorities_below: usize,
    lists: bool,
) -> Result<(), TrustError> {
    let broken = |reason: &str| Err(TrustError::PathInvalid(reason.to_owned()));
    let malformed =
        |error: x509_parser::error::X509Error| TrustError::CertificateMalformed(error.to_string());
    let constraints = certificate.basic_constraints().map_err(malformed)?;
    let Some(constraints) = constraints.filter(|extension| extension.value.ca) else {
        return broken("an issuer's basicConstraints do not say CA");
    };
    let most = constraints.value.path_len_constraint;
    if most.is_some_and(|most| usize::try_from(most).is_ok_and(|most| authorities_below > most)) {
        return broken("more authorities than pathLenConstraint allows");
    }
    let usage = certificate.key_usage().map_err(malformed)?.map(|extension| extension.value);
    if !usage.is_some_and(|usage| usage.key_cert_sign()) {
        return broken("an issuer's keyUsage lacks keyCertSign");
    }
    if lists && !usage.is_some_and(|usage| usage.crl_sign()) {
        return broken("an issuer's keyUsage lacks cRLSign");
    }
    if certificate.name_constraints().map_err(malformed)?.is_some() {
        return broken("name constraints in an SM2 chain");
    }
    Ok(())
}
