//! The port to a private signing key, and its file provider. A key answers with signatures and is
//! never read through this port; a PKCS#11 provider fits behind it.

use crate::suite::{PublicKey, Suite};
use certs::sm2::SigningKey;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use std::fmt;

/// Signs checkpoints, cosignatures and documents for this node.
pub trait Signer: Send + Sync {
    /// The key's name in notes: the SPIFFE id of its certificate.
    fn name(&self) -> &str;
    /// The key's public half.
    fn public_key(&self) -> &PublicKey;
    /// The certificate chain, DER, leaf first.
    fn chain(&self) -> &[Vec<u8>];
    /// A 64-byte signature over `message`.
    ///
    /// # Errors
    /// When the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

impl fmt::Debug for dyn Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name())
    }
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The private key is not PKCS#8 of the certificate's algorithm, or not the certificate's key.
    #[error("the private key does not belong to the signing certificate; install the matching pair")]
    Mismatch,
    /// The provider failed.
    #[error("the signing key cannot be used: {0}")]
    Unavailable(String),
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Sm2(SigningKey),
}

/// A key from a PKCS#8 file.
pub struct FileSigner {
    name: String,
    public_key: PublicKey,
    chain: Vec<Vec<u8>>,
    pair: Pair,
    random: SystemRandom,
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSigner").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FileSigner {
    /// Takes the key of `chain`'s leaf, whose public half is `public_key`.
    ///
    /// # Errors
    /// [`SignerError::Mismatch`].
    pub fn new(
        name: String,
        public_key: PublicKey,
        chain: Vec<Vec<u8>>,
        pkcs8: &[u8],
    ) -> Result<Self, SignerError> {
        let random = SystemRandom::new();
        let pair = match public_key.suite {
            Suite::P256Sha256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
                .ok()
                .map(Pair::P256),
            Suite::Ed25519Sha256 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok().map(Pair::Ed25519),
            Suite::Sm2Sm3 => SigningKey::from_pkcs8(pkcs8).map(Pair::Sm2),
        }
        .ok_or(SignerError::Mismatch)?;
        let signer = Self { name, public_key, chain, pair, random };
        // ring checks that the two halves of the file fit; the certificate's half is checked here.
        let probe = signer.sign(b"tongban signing key check")?;
        if !signer.public_key.verifies(b"tongban signing key check", &probe) {
            return Err(SignerError::Mismatch);
        }
        Ok(signer)
    }
}

impl Signer for FileSigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        match &self.pair {
            Pair::P256(pair) => pair
                .sign(&self.random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignerError::Unavailable("ring refused to sign".into())),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Sm2(key) => key
                .sign(message)
                .map(|signature| signature.to_vec())
                .ok_or_else(|| SignerError::Unavailable("this message has no SM2 signature".into())),
        }
    }
}
