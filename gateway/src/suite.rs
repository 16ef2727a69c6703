//! Suites: which hash and which signature an epoch uses (DESIGN §6).
//!
//! The suite comes from the epoch and the algorithm of a key from the trust store; a message never
//! chooses. Private keys are not here: signing is the `signer` port's, on floor 4.

use crate::id::{Digest, HashAlgorithm};
use certs::sm2::VerifyingKey;
use ring::digest;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use sm3::{Digest as _, Sm3};
use std::sync::Arc;

/// A hash of a leaf, a node or a tree.
pub type Hash = [u8; 32];

/// The algorithms of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// ECDSA over P-256 with SHA-256, signatures as 64 bytes r‖s. Epoch 0 and default.
    P256Sha256,
    /// Ed25519 (RFC 8032) and SHA-256.
    Ed25519Sha256,
    /// SM2 (GB/T 32918) with SM3 (GB/T 32905), signatures as 64 bytes r‖s under the default signer id.
    Sm2Sm3,
}

impl Suite {
    /// The name in `epoch.open`, agreements and configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256Sha256 => "p256-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
            Self::Sm2Sm3 => "sm2-sm3",
        }
    }

    /// The suite of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "p256-sha256" => Some(Self::P256Sha256),
            "ed25519-sha256" => Some(Self::Ed25519Sha256),
            "sm2-sm3" => Some(Self::Sm2Sm3),
            _ => None,
        }
    }

    /// The hash of its trees and digests.
    pub fn hash_algorithm(self) -> HashAlgorithm {
        match self {
            Self::P256Sha256 | Self::Ed25519Sha256 => HashAlgorithm::Sha256,
            Self::Sm2Sm3 => HashAlgorithm::Sm3,
        }
    }

    /// Hashes the parts as one message.
    pub fn hash(self, parts: &[&[u8]]) -> Hash {
        match self {
            Self::P256Sha256 | Self::Ed25519Sha256 => sha256(parts),
            Self::Sm2Sm3 => sm3(parts),
        }
    }

    /// The tagged digest of the parts.
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        Digest { algorithm: self.hash_algorithm(), bytes: self.hash(parts) }
    }
}

/// SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// SM3 over the concatenation of `parts`.
fn sm3(parts: &[&[u8]]) -> Hash {
    let mut context = Sm3::new();
    for part in parts {
        context.update(part);
    }
    context.finalize().into()
}

/// Why bytes are not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the public key is not a P-256, Ed25519 or SM2 SubjectPublicKeyInfo")]
pub struct KeyError;

/// A public key for checkpoints and documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The suite whose signatures it makes.
    pub suite: Suite,
    /// SubjectPublicKeyInfo, DER (RFC 5280 §4.1).
    spki: Vec<u8>,
    /// Where the raw key starts in `spki`.
    raw_start: usize,
    /// An SM2 key, read once: the point and the hash of signer id and key cost as much as a message.
    sm2: Option<Arc<VerifyingKey>>,
}

/// id-ecPublicKey with prime256v1, and the head of a 65-byte BIT STRING.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// id-Ed25519 (RFC 8410), and the head of a 32-byte BIT STRING.
const ED25519_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When it is neither an uncompressed point of P-256 or SM2 nor an Ed25519 key.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        if let Some(key) = VerifyingKey::from_spki(spki) {
            let raw_start = certs::sm2::SPKI_PREFIX.len();
            return Ok(Self {
                suite: Suite::Sm2Sm3,
                spki: spki.to_vec(),
                raw_start,
                sm2: Some(Arc::new(key)),
            });
        }
        let (suite, prefix, raw) = if spki.starts_with(P256_PREFIX) {
            (Suite::P256Sha256, P256_PREFIX.len(), 65)
        } else if spki.starts_with(ED25519_PREFIX) {
            (Suite::Ed25519Sha256, ED25519_PREFIX.len(), 32)
        } else {
            return Err(KeyError);
        };
        if spki.len() != prefix + raw {
            return Err(KeyError);
        }
        Ok(Self { suite, spki: spki.to_vec(), raw_start: prefix, sm2: None })
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The raw key: 65 bytes uncompressed point (P-256, SM2) or 32 bytes (Ed25519).
    pub fn raw(&self) -> &[u8] {
        &self.spki[self.raw_start..]
    }

    /// Whether `signature` (64 bytes in every suite) is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.suite {
            Suite::P256Sha256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.raw())
                .verify(message, signature)
                .is_ok(),
            Suite::Ed25519Sha256 => {
                UnparsedPublicKey::new(&ED25519, self.raw()).verify(message, signature).is_ok()
            }
            Suite::Sm2Sm3 => self.sm2.as_ref().is_some_and(|key| key.verifies(message, signature)),
        }
    }
}

/// Bytes of a signature in every suite.
pub const SIGNATURE_BYTES: usize = 64;
