//! Where keys and serial numbers come from: the system's randomness, or a seed from which the same hierarchy
//! comes each time. The latter is for simulations, whose runs must not depend on a single byte of chance; its
//! keys are Ed25519, whose signatures have none.

use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{KeyPair, SerialNumber};
use ring::digest::{SHA256, digest};

use crate::PkiError;
use crate::leaf::{KeyKind, random_serial};
use crate::sm2::AnyKey;

/// PKCS#8 of an Ed25519 key up to its 32 bytes, RFC 8410 §7.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Where keys and serial numbers come from.
pub(crate) enum Chance {
    System,
    /// The seed, and how often it was drawn from.
    Seeded([u8; 32], AtomicU64),
}

impl Chance {
    pub(crate) fn seeded(seed: [u8; 32]) -> Self {
        Self::Seeded(seed, AtomicU64::new(0))
    }

    /// A key of that kind; from a seed always Ed25519.
    pub(crate) fn key(&self, kind: KeyKind) -> Result<AnyKey, PkiError> {
        let Self::Seeded(seed, drawn) = self else { return kind.generate() };
        let der = [&PKCS8_ED25519[..], &draw(seed, drawn)].concat();
        Ok(AnyKey::Ring(Box::new(KeyPair::try_from(&der[..])?)))
    }

    /// As [`random_serial`].
    pub(crate) fn serial(&self) -> Result<SerialNumber, PkiError> {
        let Self::Seeded(seed, drawn) = self else { return random_serial() };
        let mut serial = draw(seed, drawn)[..16].to_vec();
        serial[0] = (serial[0] & 0x7f).max(1);
        Ok(SerialNumber::from_slice(&serial))
    }
}

fn draw(seed: &[u8; 32], drawn: &AtomicU64) -> [u8; 32] {
    let number = drawn.fetch_add(1, Ordering::Relaxed);
    let drawn = digest(&SHA256, &[&seed[..], &number.to_be_bytes()].concat());
    drawn.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
