//! Inclusion and consistency proofs (RFC 6962 §2.1.1 and §2.1.2; verification as RFC 9162 §2.1.3.2
//! and §2.1.4.2 spell it out).

use super::leaf::{empty_root, node_hash};
use super::tree::{MissingNode, Nodes};
use crate::suite::{Hash, Suite};

/// The root of leaves `start..end`, where `start` is a multiple of the power of two that covers them.
fn range_root(suite: Suite, nodes: &dyn Nodes, start: u64, end: u64) -> Result<Hash, MissingNode> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros() as u8;
        return nodes.node(level, start >> level);
    }
    let left = split(count);
    let left_root = range_root(suite, nodes, start, start + left)?;
    Ok(node_hash(suite, &left_root, &range_root(suite, nodes, start + left, end)?))
}

/// The largest power of two smaller than `count` (`count` > 1).
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The root of the first `size` leaves of a stored tree.
///
/// # Errors
/// When the store lacks a node.
pub fn root_at(suite: Suite, nodes: &dyn Nodes, size: u64) -> Result<Hash, MissingNode> {
    if size == 0 { Ok(empty_root(suite)) } else { range_root(suite, nodes, 0, size) }
}

/// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1), lowest first.
///
/// # Errors
/// When the store lacks a node.
///
/// # Panics
/// When `index` is not below `size`.
pub fn inclusion(suite: Suite, nodes: &dyn Nodes, index: u64, size: u64) -> Result<Vec<Hash>, MissingNode> {
    assert!(index < size, "a leaf outside the tree has no audit path");
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(suite, nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(suite, nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` leaves is a prefix of the tree of `new` (RFC 6962 §2.1.2).
/// Empty when `old` is 0 or equals `new`.
///
/// # Errors
/// When the store lacks a node.
///
/// # Panics
/// When `old` is above `new`.
pub fn consistency(suite: Suite, nodes: &dyn Nodes, old: u64, new: u64) -> Result<Vec<Hash>, MissingNode> {
    assert!(old <= new, "a longer tree is no prefix of a shorter one");
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    // While the old edge is inside, the old root cannot be read off one node.
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range_root(suite, nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(suite, nodes, start, middle)?);
            start = middle;
        }
    }
    if start != 0 {
        path.push(range_root(suite, nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` is at `index` in the tree of `size` leaves with `root`.
pub fn inclusion_holds(suite: Suite, leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(suite, sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(suite, &hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree (`old`, `old_root`) is a prefix of (`new`, `new_root`).
pub fn consistency_holds(
    suite: Suite,
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    path: &[Hash],
) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root(suite);
    }
    let mut path = path.iter();
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let first = if old.is_power_of_two() {
        *old_root
    } else {
        match path.next() {
            Some(hash) => *hash,
            None => return false,
        }
    };
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old_hash = node_hash(suite, sibling, &old_hash);
            new_hash = node_hash(suite, sibling, &new_hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(suite, &new_hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::leaf::leaf_hash;
    use crate::log::tree::Frontier;
    use ct_merkle::HashableLeaf;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use std::collections::HashMap;

    #[derive(Clone)]
    struct Leaf(Vec<u8>);
    impl HashableLeaf for Leaf {
        fn hash<H: ct_merkle::digest::Update>(&self, hasher: &mut H) {
            hasher.update(&self.0);
        }
    }

    const SUITE: Suite = Suite::P256Sha256;

    #[test]
    fn roots_and_proofs_equal_those_of_an_independent_library() {
        let mut oracle = MemoryBackedTree::<sha2::Sha256, Leaf>::new();
        let mut nodes: HashMap<(u8, u64), Hash> = HashMap::new();
        let mut frontier = Frontier::new(SUITE);
        let mut roots = vec![frontier.root()];
        for number in 0u64..130 {
            let header = number.to_be_bytes();
            oracle.push(Leaf(header.to_vec()));
            frontier.append(leaf_hash(SUITE, &header).unwrap(), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
            let size = number + 1;
            assert_eq!(frontier.root()[..], oracle.root().as_bytes()[..]);
            assert_eq!(root_at(SUITE, &nodes, size).unwrap(), frontier.root());
            assert_eq!(Frontier::at(SUITE, size, &nodes).unwrap(), frontier);
            roots.push(frontier.root());
            for index in 0..size {
                let path = inclusion(SUITE, &nodes, index, size).unwrap();
                assert_eq!(path.concat(), oracle.prove_inclusion(index as usize).as_bytes());
                let leaf = leaf_hash(SUITE, &index.to_be_bytes()).unwrap();
                assert!(inclusion_holds(SUITE, &leaf, index, size, &path, &frontier.root()));
                assert!(!inclusion_holds(
                    SUITE,
                    &leaf,
                    (index + 1) % (size + 1),
                    size,
                    &path,
                    &frontier.root()
                ));
            }
            for old in 1..size {
                let path = consistency(SUITE, &nodes, old, size).unwrap();
                let theirs = oracle.prove_consistency((size - old) as usize);
                assert_eq!(path.concat(), theirs.as_bytes());
                let (old_root, new_root) = (roots[old as usize], frontier.root());
                assert!(consistency_holds(SUITE, old, &old_root, size, &new_root, &path));
                assert!(!consistency_holds(SUITE, old, &new_root, size, &old_root, &path));
            }
        }
    }

    #[test]
    fn a_proof_with_one_bit_changed_does_not_hold() {
        let mut nodes: HashMap<(u8, u64), Hash> = HashMap::new();
        let mut frontier = Frontier::new(SUITE);
        for number in 0u64..11 {
            frontier.append(leaf_hash(SUITE, &number.to_be_bytes()).unwrap(), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
        }
        let root = frontier.root();
        let leaf = leaf_hash(SUITE, &5u64.to_be_bytes()).unwrap();
        let path = inclusion(SUITE, &nodes, 5, 11).unwrap();
        for part in 0..path.len() {
            let mut forged = path.clone();
            forged[part][31] ^= 1;
            assert!(!inclusion_holds(SUITE, &leaf, 5, 11, &forged, &root));
        }
        assert!(!inclusion_holds(SUITE, &leaf, 5, 11, &path[1..], &root));
        assert!(!inclusion_holds(SUITE, &leaf, 11, 11, &path, &root));
    }
}
