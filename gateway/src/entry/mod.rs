//! One message in a channel: a header that is hashed, and a body that the header commits to.
//!
//! Headers are protobuf, read here by hand so that one strict reader decides what a header is:
//! ascending fields, none twice, known fields with their exact shapes, unknown higher fields kept.
//! The bytes are stored, hashed and forwarded as they came and never written again.

mod header;

pub use header::{Header, HeaderError};

use crate::id::Digest;
use crate::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES};
use crate::suite::Suite;
use bytes::Bytes;

/// An entry as it travels: bytes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// The header, as hashed.
    pub header: Bytes,
    /// Salt and payload; nothing when it was erased or lost.
    pub body: Option<Bytes>,
}

/// The digest that a header gives of its body: H(body), salt included.
pub fn body_digest(suite: Suite, body: &[u8]) -> Digest {
    suite.digest(&[body])
}

/// Puts 16 random bytes in front of a payload.
pub fn body(salt: [u8; BODY_SALT_BYTES], payload: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(BODY_SALT_BYTES + payload.len());
    body.extend_from_slice(&salt);
    body.extend_from_slice(payload);
    Bytes::from(body)
}

/// The payload of a body.
///
/// Returns nothing when the body is shorter than its salt or longer than the limit.
pub fn payload(body: &Bytes) -> Option<Bytes> {
    (BODY_SALT_BYTES..=BODY_BYTES_MAX).contains(&body.len()).then(|| body.slice(BODY_SALT_BYTES..))
}
