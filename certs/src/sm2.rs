//! SM2 keys (GB/T 32918.2): reading them, signing and verifying with the default signer id.
//!
//! Signatures are over SM3(Z ‖ message), Z as GB/T 32918.2 §5.5 defines it for the signer id
//! [`SIGNER_ID`]; Z and the curve point are computed once for a key. RustCrypto's `sm2` does the arithmetic; this
//! module fixes encodings: one for a key, one for a signature in notes, one for a signature in certificates.

use std::fmt;

use ::sm2::dsa::signature::{Signer, Verifier};
use ::sm2::dsa::{Signature, SigningKey as Scalar, VerifyingKey as Point};
use ::sm2::pkcs8::DecodePrivateKey;

/// The signer id of every key here: the default of GB/T 32918 and of GB/T 20518 certificates.
pub const SIGNER_ID: &str = "1234567812345678";
/// Bytes of a signature, r ‖ s.
pub const SIGNATURE_BYTES: usize = 64;
/// id-ecPublicKey with the SM2 curve (1.2.156.10197.1.301), and the head of a 65-byte BIT STRING.
pub const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81,
    0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00,
];
/// Bytes of an uncompressed point.
const POINT_BYTES: usize = 65;

/// A public key, ready to verify.
#[derive(Clone)]
pub struct VerifyingKey {
    key: Point,
    spki: Vec<u8>,
}

impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo (DER): an uncompressed point on the SM2 curve, in its one encoding.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let point = spki.strip_prefix(&SPKI_PREFIX)?;
        // One encoding for one key: keys are compared as bytes.
        if point.len() != POINT_BYTES || point[0] != 0x04 {
            return None;
        }
        let key = Point::from_sec1_bytes(SIGNER_ID, point).ok()?;
        Some(Self { key, spki: spki.to_vec() })
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether `signature` (r ‖ s, 64 bytes) is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(bytes) = signature.try_into() else { return false };
        Signature::from_bytes(bytes).is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }

    /// Whether `signature` (SEQUENCE of r and s, DER, as in certificates) is this key's over `message`.
    pub fn verifies_der(&self, message: &[u8], signature: &[u8]) -> bool {
        from_der(signature).is_some_and(|signature| self.verifies(message, &signature))
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:02x?})", &self.spki[SPKI_PREFIX.len()..])
    }
}

/// A private key. Never printed.
pub struct SigningKey(Scalar);

impl SigningKey {
    /// Reads PKCS#8 (DER) of an unencrypted SM2 key.
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let secret = ::sm2::SecretKey::from_pkcs8_der(der).ok()?;
        Scalar::new(SIGNER_ID, &secret).ok().map(Self)
    }

    /// The public half, SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.0.verifying_key().to_sec1_bytes()].concat()
    }

    /// Signs `message`: r ‖ s. `None` when the deterministic nonce (RFC 6979 with SM3) is one of the few that
    /// cannot sign, which no one will see.
    pub fn sign(&self, message: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
        self.0.try_sign(message).ok().map(|signature: Signature| signature.to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// r ‖ s of a DER signature: SEQUENCE of two positive INTEGERs in their shortest form, and nothing else.
fn from_der(der: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
    let (0x30, rest) = der.split_first().map(|(tag, rest)| (*tag, rest))? else { return None };
    let (length, mut rest) = rest.split_first()?;
    // Two integers of at most 33 bytes: the short form of a length always does.
    if *length > 0x7f || usize::from(*length) != rest.len() {
        return None;
    }
    let mut signature = [0; SIGNATURE_BYTES];
    for half in signature.chunks_exact_mut(32) {
        let [0x02, length, following @ ..] = rest else { return None };
        let (integer, after) = following.split_at_checked(usize::from(*length))?;
        rest = after;
        let digits = match integer {
            [0, digits @ ..] if digits.first().is_some_and(|first| first & 0x80 != 0) => digits,
            [first, ..] if *first != 0 && first & 0x80 == 0 => integer,
            _ => return None,
        };
        let start = half.len().checked_sub(digits.len())?;
        half[start..].copy_from_slice(digits);
    }
    rest.is_empty().then_some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        // GB/T 32918.5 Annex A: the private key of the published example.
        let secret = [
            0x39, 0x45, 0x20, 0x8f, 0x7b, 0x21, 0x44, 0xb1, 0x3f, 0x36, 0xe3, 0x8a, 0xc6, 0xd3, 0x9f, 0x95,
            0x88, 0x93, 0x93, 0x69, 0x28, 0x60, 0xb5, 0x1a, 0x42, 0xfb, 0x81, 0xef, 0x4d, 0xf7, 0xc5, 0xb8,
        ];
        SigningKey(Scalar::from_slice(SIGNER_ID, &secret).unwrap())
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_published_example_of_the_standard_verifies() {
        // GB/T 32918.5-2017 Annex A: "message digest" with the default signer id.
        let point = hex(concat!(
            "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020",
            "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
        ));
        let key = VerifyingKey::from_spki(&[&SPKI_PREFIX[..], &point].concat()).unwrap();
        assert_eq!(key.spki(), super::tests::key().spki());
        let signature = hex(concat!(
            "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3",
            "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
        ));
        assert!(key.verifies(b"message digest", &signature));
        assert!(!key.verifies(b"message digesT", &signature));
    }

    #[test]
    fn a_signature_with_one_bit_changed_does_not_verify() {
        let signature = key().sign(b"a checkpoint").unwrap();
        let verifying = VerifyingKey::from_spki(&key().spki()).unwrap();
        assert!(verifying.verifies(b"a checkpoint", &signature));
        for bit in 0..512 {
            let mut forged = signature;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifying.verifies(b"a checkpoint", &forged), "bit {bit}");
        }
        assert!(!verifying.verifies(b"a checkpoint", &signature[..63]));
        assert!(!verifying.verifies(b"a checkpoint", &[0; 64]));
    }

    #[test]
    fn only_the_shortest_writing_of_a_signature_is_read() {
        assert_eq!(from_der(&[0x30, 6, 2, 1, 1, 2, 1, 2]).map(|s| (s[31], s[63])), Some((1, 2)));
        for malformed in [
            &[][..],
            &[0x30],
            &[0x30, 6, 2, 1, 1, 2, 1, 2, 0],
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 2],
            &[0x30, 6, 2, 1, 0x81, 2, 1, 2],
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 2],
            &[0x30, 6, 2, 9, 1, 2, 1, 2],
            &[0x30, 5, 2, 0, 2, 1, 2],
            &[0x30, 3, 2, 1, 1],
        ] {
            assert_eq!(from_der(malformed), None, "{malformed:02x?}");
        }
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let mut spki = key().spki();
        *spki.last_mut().unwrap() ^= 1;
        assert_eq!(VerifyingKey::from_spki(&spki), None);
    }
}
