//! Hashes of leaves and inner nodes (RFC 6962 §2.1).

use crate::limits::HEADER_BYTES_MAX;
use crate::suite::{Hash, Suite};

/// A header that cannot be a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Empty, or over the limit.
    #[error("a header of {0} bytes; 1 to {HEADER_BYTES_MAX} are allowed")]
    Length(usize),
}

/// Hashes one log leaf.
///
/// `header`: 1..=[`HEADER_BYTES_MAX`] bytes, as received. Returns 32 bytes, H(0x00 ‖ header),
/// RFC 6962 §2.1.
///
/// # Errors
/// [`LeafError::Length`] when `header` is empty or over the limit.
pub fn leaf_hash(suite: Suite, header: &[u8]) -> Result<Hash, LeafError> {
    if header.is_empty() || header.len() > HEADER_BYTES_MAX {
        return Err(LeafError::Length(header.len()));
    }
    Ok(suite.hash(&[&[0x00], header]))
}

/// Hashes an inner node: H(0x01 ‖ left ‖ right), RFC 6962 §2.1.
pub fn node_hash(suite: Suite, left: &Hash, right: &Hash) -> Hash {
    suite.hash(&[&[0x01], left, right])
}

/// The root of the empty tree: H of the empty string, RFC 6962 §2.1.
pub fn empty_root(suite: Suite) -> Hash {
    suite.hash(&[])
}
