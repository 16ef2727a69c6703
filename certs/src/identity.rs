//! A node's own certificate and private key.
//!
//! A node has two identities, for TLS and for signing, loaded the same way. Loading proves that key and
//! certificate belong together; whether others will trust the certificate is asked of a [`crate::TrustStore`].

use std::path::Path;

use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::domain::fingerprint;
use crate::error::TrustError;
use crate::pem;
use crate::profile::{self, KeyAlgorithm};

/// When the first certificate of a chain (DER) ends, Unix ms at the beginning of its last second. One
/// that cannot be read has no say: a trust store refuses it for other reasons. `i64::MAX`: none can be.
pub fn not_after_ms(chain: &[Vec<u8>]) -> i64 {
    let ends = chain
        .iter()
        .filter_map(|der| profile::parse(der).ok())
        .map(|certificate| certificate.validity().not_after.timestamp().saturating_mul(1000));
    ends.min().unwrap_or(i64::MAX)
}

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo): what a list of nodes names keys by.
///
/// # Errors
/// [`TrustError::CertificateMalformed`].
pub fn key_digest(certificate: &[u8]) -> Result<[u8; 32], TrustError> {
    Ok(fingerprint(profile::parse(certificate)?.public_key().raw))
}

/// A certificate chain and the private key of its leaf. The key is never printed.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<Vec<u8>>,
    /// Its `Debug` says that it is a key, and no more.
    key: PrivatePkcs8KeyDer<'static>,
    spki_der: Vec<u8>,
    algorithm: KeyAlgorithm,
}

impl Identity {
    /// Loads a chain (PEM, leaf first) and its key (PEM, PKCS#8, readable by the owner alone).
    ///
    /// # Errors
    /// What [`pem::read_chain`], [`pem::read_key`] and [`Identity::new`] refuse.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, TrustError> {
        Self::new(pem::read_chain(chain)?, pem::read_key(key)?)
    }

    /// Puts a chain (DER, leaf first) and its key (PKCS#8) together.
    ///
    /// # Errors
    /// [`TrustError::ChainEmpty`]; a leaf that does not parse; [`TrustError::KeyUnsupported`];
    /// [`TrustError::KeyMismatch`] when the key is not the leaf's.
    pub fn new(chain: Vec<Vec<u8>>, key: PrivatePkcs8KeyDer<'static>) -> Result<Self, TrustError> {
        profile::check_sizes(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let leaf = profile::parse(chain.first().ok_or(TrustError::ChainEmpty)?)?;
        let algorithm = profile::key_algorithm(leaf.public_key())?;
        let spki_der = pem::public_key(&key)?;
        if leaf.public_key().raw != spki_der {
            return Err(TrustError::KeyMismatch);
        }
        Ok(Self { chain, key, spki_der, algorithm })
    }

    /// The chain, DER, leaf first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The chain in the shape that [`crate::TrustStore::verify`] takes.
    pub fn chain_refs(&self) -> Vec<&[u8]> {
        self.chain.iter().map(Vec::as_slice).collect()
    }

    /// The private key, PKCS#8 DER.
    pub fn key(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.key
    }

    /// The public key, SubjectPublicKeyInfo in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The key's algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            spki_der: self.spki_der.clone(),
            algorithm: self.algorithm,
        }
    }
}
