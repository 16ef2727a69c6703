//! The growing Merkle tree of one log.
//!
//! A [`Frontier`] is all that appending needs: the roots of the complete subtrees on the right edge,
//! at most 64 hashes. Complete inner nodes are handed to the caller as they come into being, for its
//! store; proofs read them back through [`Nodes`].

use super::leaf::{empty_root, node_hash};
use crate::suite::{Hash, Suite};

/// The right edge of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    suite: Suite,
    size: u64,
    /// Roots of complete subtrees, largest first; as many as `size` has bits set.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    pub fn new(suite: Suite) -> Self {
        Self { suite, size: 0, peaks: Vec::new() }
    }

    /// A tree whose right edge was kept: `peaks` as [`Frontier::peaks`] gave them.
    ///
    /// Returns nothing when their number does not fit the size.
    pub fn from_peaks(suite: Suite, size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { suite, size, peaks })
    }

    /// The right edge of the first `size` leaves of a stored tree.
    ///
    /// # Errors
    /// When the store lacks a node.
    pub fn at(suite: Suite, size: u64, nodes: &dyn Nodes) -> Result<Self, MissingNode> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for level in (0..64u8).rev() {
            if size >> level & 1 == 1 {
                peaks.push(nodes.node(level, start >> level)?);
                start += 1 << level;
            }
        }
        Ok(Self { suite, size, peaks })
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The algorithms of the tree.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Roots of the complete subtrees on the right edge, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends one leaf hash. `complete` is told of each node that is complete now: level (0 for the
    /// leaf), index within its level, hash.
    pub fn append(&mut self, leaf: Hash, mut complete: impl FnMut(u8, u64, Hash)) {
        let mut hash = leaf;
        let mut level = 0u8;
        let mut index = self.size;
        complete(0, index, hash);
        while index & 1 == 1 {
            let left = self.peaks.pop().expect("an odd index has a complete left sibling on the edge");
            hash = node_hash(self.suite, &left, &hash);
            level += 1;
            index >>= 1;
            complete(level, index, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(self.suite),
            Some(last) => peaks.fold(*last, |right, left| node_hash(self.suite, left, &right)),
        }
    }
}

/// A complete node that the store should hold and does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Merkle node at level {level}, index {index} is missing from the index")]
pub struct MissingNode {
    /// Height above the leaves.
    pub level: u8,
    /// Place within the level.
    pub index: u64,
}

/// Reads complete nodes of a stored tree.
pub trait Nodes {
    /// The root of the complete subtree of 2^`level` leaves that starts at leaf `index`·2^`level`.
    ///
    /// # Errors
    /// When the store lacks it.
    fn node(&self, level: u8, index: u64) -> Result<Hash, MissingNode>;
}

/// Nodes in a map: for tests and short trees.
impl Nodes for std::collections::HashMap<(u8, u64), Hash> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, MissingNode> {
        self.get(&(level, index)).copied().ok_or(MissingNode { level, index })
    }
}

/// Leaves of one stored tile: a tile holds up to 2^8 nodes of one level that is a multiple of 8
/// (as C2SP tlog-tiles does), so that a commit touches one value per eight levels.
pub const TILE_HEIGHT: u8 = 8;
/// Nodes in a full tile.
pub const TILE_NODES: u64 = 1 << TILE_HEIGHT;

/// The root of a complete subtree of `hashes.len()` (a power of two) neighbouring nodes.
pub fn subtree_root(suite: Suite, hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(suite, &pair[0], &pair[1])).collect();
    }
    row[0]
}
