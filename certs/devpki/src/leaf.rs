//! What a node's certificate says.
//!
//! [`LeafSpec::tls`] and [`LeafSpec::signing`] state the two certificates that a node has, as the `certs` crate
//! demands them. Every field is public: a test changes one and has a certificate that is wrong in one way.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;

use crate::PkiError;
use crate::sm2::{AnyKey, Sm2Key};

/// Certificates begin this long before they are issued, because clocks differ.
pub(crate) const BACKDATE_MS: i64 = HOUR_MS;
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// TLS certificates are short-lived: they rotate while the node runs.
const TLS_DAYS: i64 = 90;
const SIGNING_DAYS: i64 = 2 * 365;

/// A key's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on NIST P-256.
    P256,
    /// Ed25519, RFC 8032.
    Ed25519,
    /// SM2, issued by the province's SM2 authority. For signing.
    Sm2,
    /// ECDSA on NIST P-384: nodes refuse it in a leaf. For tests.
    P384,
}

impl KeyKind {
    pub(crate) fn generate(self) -> Result<AnyKey, PkiError> {
        let generate = |algorithm| Ok(AnyKey::Ring(Box::new(KeyPair::generate_for(algorithm)?)));
        match self {
            Self::P256 => generate(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::Ed25519 => generate(&rcgen::PKCS_ED25519),
            Self::P384 => generate(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Sm2 => Ok(AnyKey::Sm2(Box::new(Sm2Key::generate()?))),
        }
    }
}

/// Bits of the keyUsage extension, RFC 5280 §4.2.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUsage {
    /// digitalSignature.
    DigitalSignature,
    /// nonRepudiation, also called contentCommitment.
    NonRepudiation,
    /// keyEncipherment.
    KeyEncipherment,
    /// keyCertSign.
    KeyCertSign,
    /// cRLSign.
    CrlSign,
}

/// Purposes of the extendedKeyUsage extension, RFC 5280 §4.2.1.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedUsage {
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-codeSigning: no use of ours.
    CodeSigning,
}

/// Whose key signs the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The province's issuing authority; its certificate is then part of the chain.
    Issuing,
    /// The root directly; the chain is the leaf alone.
    Root,
}

/// One certificate to be issued by [`Province::leaf`](crate::Province::leaf).
#[derive(Clone, Debug)]
pub struct LeafSpec {
    /// Subject common name; decides nothing.
    pub common_name: String,
    /// URI subject alternative names, in order.
    pub uri_sans: Vec<String>,
    /// DNS subject alternative names, in order.
    pub dns_sans: Vec<String>,
    /// keyUsage; empty: no such extension.
    pub key_usages: Vec<KeyUsage>,
    /// extendedKeyUsage; empty: no such extension.
    pub extended_usages: Vec<ExtendedUsage>,
    /// Whether basicConstraints says CA:TRUE.
    pub ca: bool,
    /// First valid instant, Unix ms, cut to the second.
    pub not_before_ms: i64,
    /// Last valid instant, Unix ms, cut to the second.
    pub not_after_ms: i64,
    /// The key that is made for it.
    pub key: KeyKind,
    /// Whose key signs it.
    pub signed_by: SignedBy,
}

impl LeafSpec {
    /// A node's TLS certificate, 90 days from an hour ago, P-256.
    pub fn tls(domain: &str, division: &str, now_ms: i64) -> Self {
        Self {
            common_name: format!("{division} tls"),
            uri_sans: vec![format!("spiffe://{domain}/node/{division}")],
            dns_sans: Vec::new(),
            key_usages: vec![KeyUsage::DigitalSignature],
            extended_usages: vec![ExtendedUsage::ServerAuth, ExtendedUsage::ClientAuth],
            ca: false,
            not_before_ms: now_ms - BACKDATE_MS,
            not_after_ms: now_ms + TLS_DAYS * DAY_MS,
            key: KeyKind::P256,
            signed_by: SignedBy::Issuing,
        }
    }

    /// A node's signing certificate, two years from an hour ago.
    pub fn signing(domain: &str, division: &str, key: KeyKind, now_ms: i64) -> Self {
        Self {
            common_name: format!("{division} signing"),
            key_usages: vec![KeyUsage::DigitalSignature, KeyUsage::NonRepudiation],
            extended_usages: Vec::new(),
            not_after_ms: now_ms + SIGNING_DAYS * DAY_MS,
            key,
            ..Self::tls(domain, division, now_ms)
        }
    }

    /// The certificate of whoever signs a province's trust bundles, two years from an hour ago.
    pub fn bundle(domain: &str, key: KeyKind, now_ms: i64) -> Self {
        Self {
            common_name: format!("{domain} bundle"),
            uri_sans: vec![format!("spiffe://{domain}/bundle")],
            ..Self::signing(domain, "", key, now_ms)
        }
    }

    pub(crate) fn params(&self, serial: SerialNumber) -> Result<CertificateParams, PkiError> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial);
        params.distinguished_name = common_name(&self.common_name);
        params.not_before = instant(self.not_before_ms)?;
        params.not_after = instant(self.not_after_ms)?;
        params.is_ca = if self.ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        params.use_authority_key_identifier_extension = true;
        for uri in &self.uri_sans {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
        }
        for name in &self.dns_sans {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.key_usages = self.key_usages.iter().map(|usage| usage.purpose()).collect();
        params.extended_key_usages = self.extended_usages.iter().map(|usage| usage.purpose()).collect();
        Ok(params)
    }
}

impl KeyUsage {
    fn purpose(self) -> KeyUsagePurpose {
        match self {
            Self::DigitalSignature => KeyUsagePurpose::DigitalSignature,
            Self::NonRepudiation => KeyUsagePurpose::ContentCommitment,
            Self::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
            Self::KeyCertSign => KeyUsagePurpose::KeyCertSign,
            Self::CrlSign => KeyUsagePurpose::CrlSign,
        }
    }
}

impl ExtendedUsage {
    fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Self::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            Self::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
        }
    }
}

/// An issued certificate and its key.
#[derive(Clone)]
pub struct Issued {
    /// Leaf first, then the issuing authority if it signed; the root is never included.
    pub chain_pem: String,
    /// PKCS#8, one PEM block.
    pub key_pem: String,
    /// The same certificates as DER, leaf first.
    pub chain_der: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key_der: Vec<u8>,
    /// The leaf's serial number, 16 bytes, first byte 0x01..=0x7f: also its DER content.
    pub serial: Vec<u8>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// 16 random bytes whose first is 0x01..=0x7f, so that the number is positive and its DER content is these bytes.
pub(crate) fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut serial = [0_u8; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    serial[0] = (serial[0] & 0x7f).max(1);
    Ok(SerialNumber::from_slice(&serial))
}

pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

pub(crate) fn instant(at_ms: i64) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000)).map_err(|_| PkiError::Instant(at_ms))
}
