//! What our use demands of a node's certificate, beyond a valid path.
//!
//! A TLS certificate and a signing certificate are told apart by their usages, so that neither key can do the
//! other's work. Fields are read with x509-parser; nothing here trusts anything, that is [`crate::path`]'s.

use std::fmt;

use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_SHA1WITHRSA, OID_SIG_ED25519,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::error::TrustError;
use crate::limits::{CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX};
use crate::sm2::VerifyingKey;
use crate::spiffe::{DomainName, SpiffeId};

/// What a certificate is for. It has one purpose, never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opening connections, from either side.
    Tls,
    /// Signing checkpoints, receipts and documents.
    Signing,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Signing => "signing",
        })
    }
}

/// A node's key algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on NIST P-256.
    P256,
    /// Ed25519, RFC 8032.
    Ed25519,
    /// SM2, GB/T 32918: for signing only.
    Sm2,
}

/// The fields that matter of a certificate that fits a purpose. Its signature is not checked yet.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) id: SpiffeId,
    pub(crate) spki_der: Vec<u8>,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) serial: Vec<u8>,
    pub(crate) not_before_ms: i64,
    pub(crate) not_after_ms: i64,
}

impl Profile {
    /// Reads a leaf and checks it against what `purpose` demands.
    pub(crate) fn read(leaf: &[u8], purpose: Purpose) -> Result<Self, TrustError> {
        let certificate = parse(leaf)?;
        let id = spiffe_id(&certificate)?;
        if certificate.basic_constraints().map_err(malformed)?.is_some_and(|extension| extension.value.ca) {
            return Err(TrustError::CaAsLeaf);
        }
        check_usage(&certificate, purpose)?;
        let key = certificate.public_key();
        let algorithm = key_algorithm(key)?;
        if purpose == Purpose::Tls && algorithm == KeyAlgorithm::Sm2 {
            return Err(TrustError::WeakAlgorithm(
                "SM2 in a TLS certificate: TLS here is P-256's or Ed25519's".into(),
            ));
        }
        Ok(Self {
            id,
            spki_der: key.raw.to_vec(),
            algorithm,
            serial: certificate.raw_serial().to_vec(),
            not_before_ms: certificate.validity().not_before.timestamp().saturating_mul(1000),
            not_after_ms: certificate.validity().not_after.timestamp().saturating_mul(1000),
        })
    }
}

/// The certificate of whoever signs a domain's trust bundles: `spiffe://<domain>/bundle`, usages as for signing.
#[derive(Debug)]
pub(crate) struct BundleProfile {
    pub(crate) domain: DomainName,
    pub(crate) spki_der: Vec<u8>,
    pub(crate) algorithm: KeyAlgorithm,
}

impl BundleProfile {
    pub(crate) fn read(leaf: &[u8]) -> Result<Self, TrustError> {
        let certificate = parse(leaf)?;
        let uri = only_uri(&certificate)?;
        let domain = uri.strip_prefix("spiffe://").and_then(|rest| rest.strip_suffix("/bundle"));
        let domain = domain.and_then(|domain| domain.parse().ok());
        let domain =
            domain.ok_or_else(|| TrustError::WrongSan("not spiffe://<trust-domain>/bundle".into()))?;
        if certificate.basic_constraints().map_err(malformed)?.is_some_and(|extension| extension.value.ca) {
            return Err(TrustError::CaAsLeaf);
        }
        check_usage(&certificate, Purpose::Signing)?;
        let key = certificate.public_key();
        Ok(Self { domain, spki_der: key.raw.to_vec(), algorithm: key_algorithm(key)? })
    }
}

/// Refuses what is too long or too large, before anything parses it.
pub(crate) fn check_sizes(chain: &[&[u8]]) -> Result<(), TrustError> {
    if chain.is_empty() {
        return Err(TrustError::ChainEmpty);
    }
    if chain.len() > CHAIN_CERTIFICATES_MAX {
        return Err(TrustError::ChainTooLong { count: chain.len() });
    }
    match chain.iter().find(|certificate| certificate.len() > CERTIFICATE_BYTES_MAX) {
        Some(large) => Err(TrustError::CertificateTooLarge { bytes: large.len() }),
        None => Ok(()),
    }
}

/// RSA keys below this are refused for their length; longer ones because nodes have none.
const RSA_BITS_MIN: usize = 2048;

/// ecdsa-with-SHA1, RFC 3279 §2.2.3.
const ECDSA_WITH_SHA1: &str = "1.2.840.10045.4.1";

/// Names what is weak in one certificate by itself, so that the reader learns more than "no path".
pub(crate) fn refuse_weak(certificate: &X509Certificate<'_>) -> Result<(), TrustError> {
    let signature = &certificate.signature_algorithm.algorithm;
    if *signature == OID_PKCS1_SHA1WITHRSA || signature.to_id_string() == ECDSA_WITH_SHA1 {
        return Err(TrustError::SignatureSha1(signature.to_string()));
    }
    if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed() {
        let bits = key.key_size();
        if bits < RSA_BITS_MIN {
            return Err(TrustError::RsaShort { bits });
        }
    }
    Ok(())
}

/// Looks at a chain (leaf first) for what no path could mend: weak algorithms, authorities that are none, and two
/// certificates of one issuer with one serial number.
pub(crate) fn check_chain(chain: &[&[u8]]) -> Result<(), TrustError> {
    let parsed = chain.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
    for (place, certificate) in parsed.iter().enumerate() {
        refuse_weak(certificate)?;
        if place > 0 && !certificate.is_ca() {
            return Err(TrustError::NotAnAuthority("basicConstraints does not say CA".into()));
        }
        if let Some(twin) = parsed[..place].iter().find(|other| is_twin(other, certificate)) {
            return Err(TrustError::DuplicateSerial { serial: twin.raw_serial_as_string() });
        }
    }
    Ok(())
}

/// Whether two different certificates carry one issuer's name and one serial number (RFC 5280 §4.1.2.2).
pub(crate) fn is_twin(one: &X509Certificate<'_>, other: &X509Certificate<'_>) -> bool {
    one.raw_serial() == other.raw_serial()
        && one.issuer().as_raw() == other.issuer().as_raw()
        && one.tbs_certificate.as_ref() != other.tbs_certificate.as_ref()
}

/// Parses one certificate, and refuses anything after it.
pub(crate) fn parse(certificate: &[u8]) -> Result<X509Certificate<'_>, TrustError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(TrustError::CertificateMalformed("bytes after the certificate".into())),
        Err(error) => Err(malformed(error)),
    }
}

/// The algorithm of a public key, if it is one that nodes may have.
pub(crate) fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> Result<KeyAlgorithm, TrustError> {
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return Ok(KeyAlgorithm::Ed25519);
    }
    let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(OID_EC_P256) {
        // One encoding for one key: ring reads no compressed points, and keys are compared as bytes.
        if key.subject_public_key.data.first() == Some(&0x04) {
            return Ok(KeyAlgorithm::P256);
        }
        return Err(TrustError::WeakAlgorithm("a compressed P-256 point".into()));
    }
    if VerifyingKey::from_spki(key.raw).is_some() {
        return Ok(KeyAlgorithm::Sm2);
    }
    Err(TrustError::WeakAlgorithm(format!("key algorithm {}", algorithm.algorithm)))
}

pub(crate) fn spiffe_id(certificate: &X509Certificate<'_>) -> Result<SpiffeId, TrustError> {
    only_uri(certificate)?.parse().map_err(|error| TrustError::WrongSan(format!("{error}")))
}

/// The one URI among a certificate's names.
fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, TrustError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(malformed)?
        .ok_or_else(|| TrustError::WrongSan("there is none".into()))?;
    if names.value.general_names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        // It might be a second URI to somebody who reads more leniently.
        return Err(TrustError::WrongSan("a name that does not parse".into()));
    }
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        (None, _) => Err(TrustError::WrongSan("no URI".into())),
        (Some(_), Some(_)) => Err(TrustError::WrongSan("several URIs".into())),
    }
}

pub(crate) fn check_usage(certificate: &X509Certificate<'_>, purpose: Purpose) -> Result<(), TrustError> {
    let wrong = |reason| Err(TrustError::WrongUsage { purpose, reason });
    let usage = certificate.key_usage().map_err(malformed)?.map(|extension| extension.value);
    let extended = certificate.extended_key_usage().map_err(malformed)?.map(|extension| extension.value);
    let Some(usage) = usage else { return wrong("keyUsage is absent") };
    if !usage.digital_signature() {
        return wrong("keyUsage lacks digitalSignature");
    }
    match purpose {
        Purpose::Tls if usage.non_repudiation() => wrong("keyUsage has nonRepudiation"),
        Purpose::Tls => match extended {
            Some(extended) if extended.server_auth && extended.client_auth => Ok(()),
            _ => wrong("extendedKeyUsage lacks serverAuth or clientAuth"),
        },
        Purpose::Signing if !usage.non_repudiation() => wrong("keyUsage lacks nonRepudiation"),
        Purpose::Signing if extended.is_some() => wrong("extendedKeyUsage is present"),
        Purpose::Signing => Ok(()),
    }
}

fn malformed(error: impl fmt::Display) -> TrustError {
    TrustError::CertificateMalformed(error.to_string())
}
