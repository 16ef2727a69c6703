//! What is verified offline: bundles and Merkle paths.

use gateway::id::MessageId;
use gateway::log::leaf::{leaf_hash, node_hash};
use gateway::log::proof::{consistency, consistency_holds, inclusion, inclusion_holds};
use gateway::log::tree::Frontier;
use gateway::proof::{Findings, verify};
use gateway::suite::{Hash, Suite};
use std::collections::HashMap;
use std::sync::LazyLock;

const SUITE: Suite = Suite::P256Sha256;

/// What the genuine bundles prove.
static GENUINE: LazyLock<Vec<Findings>> = LazyLock::new(|| {
    let trust = &super::trust::KNOWN.store;
    super::seeds("bundle").iter().filter_map(|(_, bundle)| verify(bundle, trust).ok()).collect()
});

/// A proof bundle: whatever is changed in it, it proves what was signed, or nothing.
pub(super) fn bundle(bytes: &[u8]) {
    let Ok(findings) = verify(bytes, &super::trust::KNOWN.store) else { return };
    let genuine = GENUINE.iter().find(|genuine| genuine.message_id == findings.message_id);
    let genuine = genuine.expect("only a message that was signed for is proven");
    // A body may be left out of a bundle; everything else stands as signed.
    let whole = Findings { payload: genuine.payload.clone(), ..findings.clone() };
    assert_eq!(whole, *genuine);
    assert!(findings.payload.is_none() || findings.payload == genuine.payload);
}

/// Merkle paths in real trees: size, leaf and older size from the first bytes, the rest changes the path.
/// What holds is the one path that there is.
pub(super) fn paths(bytes: &[u8]) {
    let Some((head, change)) = bytes.split_first_chunk::<4>() else { return };
    let size = 1 + u64::from(head[0]) % 64;
    let (index, old) = (u64::from(head[1]) % size, u64::from(head[2]) % (size + 1));
    let mut nodes: HashMap<(u8, u64), Hash> = HashMap::new();
    let mut frontier = Frontier::new(SUITE);
    let mut roots = vec![frontier.root()];
    for number in 0..size {
        let leaf = leaf_hash(SUITE, &MessageId([number as u8; 16]).0).expect("a short leaf");
        frontier.append(leaf, |level, index, hash| {
            nodes.insert((level, index), hash);
        });
        roots.push(frontier.root());
    }
    let leaf = leaf_hash(SUITE, &[index as u8; 16]).expect("a short leaf");
    let root = roots[size as usize];

    let good = inclusion(SUITE, &nodes, index, size).expect("all nodes are there");
    let forged = forge(&good, head[3], change);
    assert_eq!(inclusion_holds(SUITE, &leaf, index, size, &forged, &root), forged == good);
    let place = change.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let holds = inclusion_holds(SUITE, &leaf, place, size, &good, &root);
    assert!(!holds || place == index, "a leaf is proven at one place");
    // Any size: only termination and no panic, another size has another root.
    let _ = inclusion_holds(SUITE, &leaf, index, place, &forged, &root);
    let inner = node_hash(SUITE, &leaf, &root);
    assert!(!inclusion_holds(SUITE, &inner, index, size, &good, &root), "a node is no leaf");

    let good = consistency(SUITE, &nodes, old, size).expect("all nodes are there");
    let forged = forge(&good, head[3], change);
    let old_root = roots[old as usize];
    assert_eq!(consistency_holds(SUITE, old, &old_root, size, &root, &forged), forged == good);
    let _ = consistency_holds(SUITE, place, &old_root, u64::MAX, &root, &forged);
}

fn forge(good: &[Hash], how: u8, change: &[u8]) -> Vec<Hash> {
    let mut path = good.to_vec();
    let at = usize::from(how >> 3);
    match how & 7 {
        0 => {}
        1 => drop(path.pop()),
        2 => path.extend(change.chunks_exact(32).map(|hash| Hash::try_from(hash).expect("32 bytes"))),
        3 if path.len() > 1 => path.swap(0, 1),
        4 => path = change.chunks_exact(32).map(|hash| hash.try_into().expect("32 bytes")).collect(),
        5 if !path.is_empty() => {
            let at = at % path.len();
            path.insert(at, path[at]);
        }
        _ => {
            for (byte, flip) in path.iter_mut().flatten().skip(at).zip(change) {
                *byte ^= flip;
            }
        }
    }
    path
}
