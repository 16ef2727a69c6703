//! One certificate in words: what it says, and everything that is wrong with it for our use.
//!
//! A verdict of [`crate::TrustStore`] stops at the first reason; somebody who has to order a new certificate wants
//! all of them at once. Nothing here trusts anything.

use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

use crate::domain::fingerprint;
use crate::error::TrustError;
use crate::profile::{self, Purpose};
use crate::spiffe::SpiffeId;

/// What a certificate says, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// Subject, as text.
    pub subject: String,
    /// Issuer, as text.
    pub issuer: String,
    /// Serial number, hex with colons.
    pub serial: String,
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// The key in words, such as `EC secp256r1`.
    pub key: String,
    /// Object identifier of the signature's algorithm.
    pub signature_algorithm: String,
    /// Whether it is an authority's.
    pub authority: bool,
    /// Who it speaks for, if it names a node in our way.
    pub id: Option<SpiffeId>,
    /// What it can be used for here, if for anything.
    pub purpose: Option<Purpose>,
    /// First valid instant, Unix ms.
    pub not_before_ms: i64,
    /// Beginning of its last valid second, Unix ms.
    pub not_after_ms: i64,
    /// Everything against it at the instant of inspection, apart from who issued it.
    pub problems: Vec<TrustError>,
}

/// Reads one certificate (DER) and judges it at `at_ms`, Unix ms.
///
/// `purpose`: what it is meant for; `None` takes the one that it comes nearest to.
///
/// # Errors
/// [`TrustError::CertificateTooLarge`] or [`TrustError::CertificateMalformed`] when there is nothing to read.
pub fn inspect(der: &[u8], purpose: Option<Purpose>, at_ms: i64) -> Result<Inspection, TrustError> {
    profile::check_sizes(&[der])?;
    let certificate = profile::parse(der)?;
    let authority = certificate.is_ca();
    let not_before_ms = certificate.validity().not_before.timestamp().saturating_mul(1000);
    let not_after_ms = certificate.validity().not_after.timestamp().saturating_mul(1000);
    let mut problems = Vec::new();
    problems.extend(profile::refuse_weak(&certificate).err());
    if at_ms < not_before_ms {
        problems.push(TrustError::CertificateNotYetValid { not_before_ms, at_ms });
    }
    if at_ms > not_after_ms.saturating_add(999) {
        problems.push(TrustError::CertificateExpired { not_after_ms, at_ms });
    }
    let id = profile::spiffe_id(&certificate);
    let mut fits = None;
    // An authority's is a fine thing to inspect; only where a node's is wanted is it wrong.
    if !authority {
        let wanted = purpose.unwrap_or_else(|| nearest(&certificate));
        problems.extend(id.as_ref().err().cloned());
        problems.extend(profile::key_algorithm(certificate.public_key()).err());
        match profile::check_usage(&certificate, wanted) {
            Ok(()) => fits = Some(wanted),
            Err(problem) => problems.push(problem),
        }
    } else if purpose.is_some() {
        problems.push(TrustError::CaAsLeaf);
    }
    Ok(Inspection {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: certificate.raw_serial_as_string(),
        fingerprint: fingerprint(der),
        key: key_in_words(&certificate),
        signature_algorithm: certificate.signature_algorithm.algorithm.to_string(),
        authority,
        id: id.ok(),
        purpose: fits,
        not_before_ms,
        not_after_ms,
        problems,
    })
}

/// Refuses a new certificate that repeats the serial number of another one from the same issuer (both DER).
///
/// # Errors
/// [`TrustError::DuplicateSerial`]; [`TrustError::CertificateMalformed`].
pub fn refuse_twin(new: &[u8], old: &[u8]) -> Result<(), TrustError> {
    let (new, old) = (profile::parse(new)?, profile::parse(old)?);
    if profile::is_twin(&new, &old) {
        return Err(TrustError::DuplicateSerial { serial: new.raw_serial_as_string() });
    }
    Ok(())
}

fn nearest(certificate: &X509Certificate<'_>) -> Purpose {
    let usage = certificate.key_usage().ok().flatten();
    if usage.is_some_and(|usage| usage.value.non_repudiation()) { Purpose::Signing } else { Purpose::Tls }
}

fn key_in_words(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    let algorithm = &key.algorithm;
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            match curve.map(|curve| curve.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => "P-256".into(),
                Some("1.3.132.0.34") => "P-384".into(),
                Some("1.2.156.10197.1.301") => "SM2".into(),
                Some(other) => format!("EC {other}"),
                None => "EC".into(),
            }
        }
        _ if algorithm.algorithm.to_id_string() == "1.3.101.112" => "Ed25519".into(),
        _ => algorithm.algorithm.to_id_string(),
    }
}

#[cfg(test)]
mod tests {
    use devpki::{KeyKind, LeafSpec, Province};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn codes(spec: &LeafSpec, purpose: Option<Purpose>) -> Vec<&'static str> {
        let province = Province::new("hunan.tongban", &["43"], NOW_MS).unwrap();
        let issued = province.leaf(spec).unwrap();
        let inspection = inspect(&issued.chain_der[0], purpose, NOW_MS).unwrap();
        inspection.problems.iter().map(TrustError::code).collect()
    }

    #[test]
    fn a_good_certificate_has_no_problem_and_its_purpose_is_found() {
        let province = Province::new("hunan.tongban", &["43"], NOW_MS).unwrap();
        let tls = inspect(&province.tls("430600").unwrap().chain_der[0], None, NOW_MS).unwrap();
        assert_eq!((tls.purpose, tls.problems), (Some(Purpose::Tls), vec![]));
        assert_eq!((tls.key.as_str(), tls.id.unwrap().division.as_str()), ("P-256", "430600"));
        let signing = province.signing("430600", KeyKind::Ed25519).unwrap();
        let signing = inspect(&signing.chain_der[0], None, NOW_MS).unwrap();
        assert_eq!((signing.purpose, signing.key.as_str()), (Some(Purpose::Signing), "Ed25519"));
        let root = inspect(province.root_der(), None, NOW_MS).unwrap();
        assert_eq!((root.authority, root.problems), (true, vec![]));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let good = LeafSpec::tls("hunan.tongban", "430600", NOW_MS);
        let wrong = LeafSpec {
            uri_sans: vec!["spiffe://hunan.tongban/city/430600".into()],
            extended_usages: Vec::new(),
            key: KeyKind::P384,
            not_before_ms: NOW_MS - 2000,
            not_after_ms: NOW_MS - 1000,
            ..good.clone()
        };
        let expected =
            ["trust.certificate_expired", "trust.wrong_san", "trust.weak_algorithm", "trust.wrong_usage"];
        assert_eq!(codes(&wrong, None), expected);
        assert_eq!(codes(&good, Some(Purpose::Signing)), ["trust.wrong_usage"]);
    }

    #[test]
    fn a_certificate_is_no_twin_of_itself_nor_of_one_with_another_serial_number() {
        let province = Province::new("hunan.tongban", &["43"], NOW_MS).unwrap();
        let (one, other) = (province.tls("430600").unwrap(), province.tls("430600").unwrap());
        assert_eq!(refuse_twin(&one.chain_der[0], &one.chain_der[0]), Ok(()));
        assert_eq!(refuse_twin(&one.chain_der[0], &other.chain_der[0]), Ok(()));
    }
}
