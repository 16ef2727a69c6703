//! Documents that stand alone: DSSE v1 (Dead Simple Signing Envelope) over opaque payload bytes.
//!
//! The pre-authentication encoding and its verification are here; the JSON form of an envelope and
//! what payloads say are `wire::document`'s.

use crate::id::Digest;
use crate::suite::{PublicKey, Suite};

/// DSSE v1 pre-authentication encoding:
/// `"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload`, lengths in decimal.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// The identity of a document: the digest of its payload bytes, whoever signed them.
pub fn document_digest(payload: &[u8]) -> Digest {
    Suite::P256Sha256.digest(&[payload])
}

/// Whether `signature` is `key`'s over the document.
pub fn signature_holds(key: &PublicKey, payload_type: &str, payload: &[u8], signature: &[u8]) -> bool {
    key.verifies(&pre_authentication_encoding(payload_type, payload), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_published_one() {
        // The example of the DSSE protocol page.
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
