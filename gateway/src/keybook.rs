//! The signing certificates this node has met: its own and its partners', present and past. Old ones
//! stay, because evidence outlives keys; whether one is trusted *now* is the trust store's to say.

use crate::channel::batch::KnownKey;
use crate::id::NodeId;
use crate::log::checkpoint::Note;
use crate::signer::Signer;
use crate::suite::PublicKey;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

/// A signing certificate with what is needed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// SPIFFE id.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
}

impl SigningKey {
    /// The certificate of a key in hand.
    pub fn of(signer: &dyn Signer) -> Self {
        let (name, key) = (signer.name().to_owned(), signer.public_key().clone());
        Self { name, key, chain: signer.chain().to_vec() }
    }

    /// As a key for verifying.
    pub fn known(&self) -> KnownKey<'_> {
        KnownKey { name: &self.name, key: &self.key }
    }
}

/// All signing certificates met so far. Shared between the committer and the links.
#[derive(Debug, Default)]
pub struct KeyBook {
    keys: RwLock<HashMap<NodeId, Vec<Arc<SigningKey>>>>,
    /// Nodes that have proved on a link that they hold their signing key.
    provers: RwLock<HashSet<NodeId>>,
}

impl KeyBook {
    /// Adds a certificate; says whether it was new.
    pub fn add(&self, node: NodeId, key: SigningKey) -> bool {
        let mut book = self.keys.write().expect("no holder of the key book panics");
        let keys = book.entry(node).or_default();
        let new = keys.iter().all(|known| known.chain != key.chain);
        if new {
            keys.push(Arc::new(key));
        }
        new
    }

    /// The node has proved on a link that it holds its signing key.
    pub fn proved(&self, node: NodeId) {
        self.provers.write().expect("no holder of the key book panics").insert(node);
    }

    /// Whether the node has ever proved that it holds its signing key: from then on it has to on every link.
    pub fn has_proved(&self, node: NodeId) -> bool {
        self.provers.read().expect("no holder of the key book panics").contains(&node)
    }

    /// A node's certificates, oldest first.
    pub fn of(&self, node: NodeId) -> Vec<Arc<SigningKey>> {
        self.keys.read().expect("no holder of the key book panics").get(&node).cloned().unwrap_or_default()
    }

    /// The key of `node` that signed a note as its sender.
    pub fn origin_key(&self, node: NodeId, note: &Note) -> Option<Arc<SigningKey>> {
        self.of(node).into_iter().rev().find(|key| note.is_signed_by(&key.name, &key.key))
    }

    /// The key of `node` that cosigned a note.
    pub fn cosigner_key(&self, node: NodeId, note: &Note) -> Option<Arc<SigningKey>> {
        self.of(node).into_iter().rev().find(|key| note.is_cosigned_by(&key.name, &key.key))
    }
}
