//! SM2 keys and certificates, which rcgen cannot make by itself (GB/T 20518).
//!
//! rcgen writes certificates and lists for the algorithms that it knows. To it an SM2 key is a P-256 one with its
//! own way of signing: the object identifiers of curve and signature have the same lengths in both, so
//! [`relabel`] turns what rcgen wrote into what SM2 says, before it is signed and again in what is issued. Nothing
//! else of a certificate depends on the algorithm.

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use ring::rand::{SecureRandom, SystemRandom};
use sm2::dsa::signature::Signer;
use sm2::dsa::{Signature, SigningKey as Scalar};
use sm2::pkcs8::{DecodePrivateKey, EncodePrivateKey};

use crate::PkiError;

/// The signer id of every key: GB/T 20518 certificates are verified with it.
const SIGNER_ID: &str = "1234567812345678";
/// How often a random number is drawn that is no private key: one in 2^32 is not.
const DRAWS_MAX: usize = 8;

/// AlgorithmIdentifier ecdsa-with-SHA256, and sm2sign-with-sm3 (1.2.156.10197.1.501).
const SIGNATURE_LABELS: [&[u8]; 2] = [
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75],
];
/// AlgorithmIdentifier id-ecPublicKey on prime256v1, and on the SM2 curve (1.2.156.10197.1.301).
const KEY_LABELS: [&[u8]; 2] = [
    &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
        0x3d, 0x03, 0x01, 0x07,
    ],
    &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf,
        0x55, 0x01, 0x82, 0x2d,
    ],
];

/// An SM2 key pair.
pub(crate) struct Sm2Key {
    secret: sm2::SecretKey,
    signing: Scalar,
    point: Vec<u8>,
}

impl Sm2Key {
    pub(crate) fn generate() -> Result<Self, PkiError> {
        let mut bytes = [0_u8; 32];
        for _ in 0..DRAWS_MAX {
            SystemRandom::new().fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
            if let Ok(secret) = sm2::SecretKey::from_slice(&bytes) {
                return Self::new(secret).ok_or_else(|| rcgen::Error::RingUnspecified.into());
            }
        }
        Err(rcgen::Error::RingUnspecified.into())
    }

    /// Reads one PEM block of PKCS#8.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        let block = pem::parse(text).ok()?;
        sm2::SecretKey::from_pkcs8_der(block.contents()).ok().and_then(Self::new)
    }

    fn new(secret: sm2::SecretKey) -> Option<Self> {
        let signing = Scalar::new(SIGNER_ID, &secret).ok()?;
        let point = signing.verifying_key().to_sec1_bytes().to_vec();
        Some(Self { secret, signing, point })
    }

    fn pkcs8(&self) -> sm2::pkcs8::SecretDocument {
        self.secret.to_pkcs8_der().expect("a key that was made or read is written")
    }
}

impl PublicKeyData for Sm2Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        // As rcgen sees it; `relabel` says what it is.
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Sm2Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature =
            self.signing.try_sign(&relabel(message)).map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(to_der(&signature.to_bytes()))
    }
}

/// A key of any kind that certificates are issued to or by.
pub(crate) enum AnyKey {
    /// One that rcgen knows.
    Ring(Box<KeyPair>),
    /// One that it does not.
    Sm2(Box<Sm2Key>),
}

impl AnyKey {
    /// Reads one PEM block of PKCS#8.
    pub(crate) fn from_pem(text: &str) -> Result<Self, rcgen::Error> {
        match Sm2Key::from_pem(text) {
            Some(key) => Ok(Self::Sm2(Box::new(key))),
            None => Ok(Self::Ring(Box::new(KeyPair::from_pem(text)?))),
        }
    }

    pub(crate) fn is_sm2(&self) -> bool {
        matches!(self, Self::Sm2(_))
    }

    /// PKCS#8, one PEM block.
    pub(crate) fn serialize_pem(&self) -> String {
        match self {
            Self::Ring(pair) => pair.serialize_pem(),
            Self::Sm2(key) => pem::encode(&pem::Pem::new("PRIVATE KEY", key.pkcs8().as_bytes())),
        }
    }

    /// PKCS#8 DER.
    pub(crate) fn serialize_der(&self) -> Vec<u8> {
        match self {
            Self::Ring(pair) => pair.serialize_der(),
            Self::Sm2(key) => key.pkcs8().as_bytes().to_vec(),
        }
    }

    /// What rcgen wrote and this key signed, as it is to be issued: DER.
    pub(crate) fn finish(&self, der: &[u8]) -> Vec<u8> {
        match self {
            Self::Ring(_) => der.to_vec(),
            Self::Sm2(_) => relabel(der),
        }
    }
}

impl PublicKeyData for AnyKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::Ring(pair) => pair.der_bytes(),
            Self::Sm2(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::Ring(pair) => pair.algorithm(),
            Self::Sm2(key) => key.algorithm(),
        }
    }
}

impl SigningKey for AnyKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::Ring(pair) => pair.sign(message),
            Self::Sm2(key) => key.sign(message),
        }
    }
}

/// The same bytes with the labels of SM2 in place of those of P-256. That a random part of a certificate reads
/// like a label has a chance of 2^-90.
fn relabel(der: &[u8]) -> Vec<u8> {
    let mut bytes = der.to_vec();
    for [from, to] in [SIGNATURE_LABELS, KEY_LABELS] {
        let places: Vec<usize> =
            bytes.windows(from.len()).enumerate().filter(|(_, at)| *at == from).map(|(at, _)| at).collect();
        for place in places {
            bytes[place..place + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// SEQUENCE of the INTEGERs r and s.
fn to_der(signature: &[u8; 64]) -> Vec<u8> {
    let mut integers = Vec::with_capacity(70);
    for half in signature.chunks_exact(32) {
        let start = half.iter().position(|byte| *byte != 0).unwrap_or(half.len() - 1);
        let digits = &half[start..];
        let sign = usize::from(digits[0] & 0x80 != 0);
        integers.extend([0x02, (digits.len() + sign) as u8]);
        integers.extend(std::iter::repeat_n(0, sign));
        integers.extend_from_slice(digits);
    }
    let mut der = vec![0x30, integers.len() as u8];
    der.extend(integers);
    der
}
