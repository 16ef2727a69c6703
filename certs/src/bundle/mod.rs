//! Trust bundles: a province publishes the state of its own trust domain as a signed, versioned document, and a
//! partner's node takes over from it what is the province's to change: its nodes, its revocation lists, and its
//! intermediate authorities under a root that two people here have approved. Nothing else: a new root or division
//! prefix in it is a [`Suggestion`] for administrators, and an administrator's suspension stands above it.
//!
//! This module reads and writes the document; `judge` decides what a domain becomes with it; [`accepted`] keeps the
//! newest good one of each domain in the node's data folder, and refuses what goes back behind it.
//!
//! ```text
//! document = DSSE v1 envelope, one signature, payloadType application/vnd.tongban.trust-bundle.v1+json
//! payload  = JSON {"version":1,"domain":name,"sequence":n,"issued_ms":n,"fresh_until_ms":n,
//!                  "divisions":[prefix…],"anchors":[DER…],"intermediates":[DER…],"crls":[DER…],
//!                  "nodes":[{"division":d,"keys":[hex…]}…],"signer":[DER…]}
//! ```
//!
//! DER is base64. `nodes` may be absent: then the bundle says nothing about nodes. `signer` is the chain, leaf
//! first, of a certificate with the one URI `spiffe://<domain>/bundle` and a signing certificate's usages, so that
//! no node's key signs bundles and the bundle's key is no node's. The payload is signed and kept as it was written.

pub mod accepted;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use ring::digest::{SHA256, digest};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};

use crate::administration::log::{from_hex, to_hex};
use crate::domain::{DivisionPrefix, Nodes};
use crate::dsse::{self, Envelope};
use crate::error::TrustError;
use crate::limits::{
    BUNDLE_AUTHORITIES_MAX, BUNDLE_BYTES_MAX, BUNDLE_FRESH_DAYS_MAX, NODE_KEYS_MAX, NODES_MAX,
};
use crate::pem;
use crate::profile;
use crate::spiffe::{Division, DomainName};

pub use judge::{BundleState, Suggestion};

/// Payload type of a trust bundle.
pub const PAYLOAD_TYPE: &str = "application/vnd.tongban.trust-bundle.v1+json";
const VERSION: u32 = 1;
const DAY_MS: i64 = 86_400_000;

/// What a bundle says. Its shape is right; whether it may say so is not asked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Whose.
    pub domain: DomainName,
    /// Grows with each bundle, by any step.
    pub sequence: u64,
    /// When it was made, Unix ms.
    pub issued_ms: i64,
    /// Until when its successor will be there, Unix ms; within [`BUNDLE_FRESH_DAYS_MAX`] of `issued_ms`.
    pub fresh_until_ms: i64,
    /// All prefixes that the province speaks for, in its own view.
    pub divisions: Vec<DivisionPrefix>,
    /// All its roots, DER.
    pub anchors: Vec<Vec<u8>>,
    /// Certificates of its intermediate authorities, DER.
    pub intermediates: Vec<Vec<u8>>,
    /// Its revocation lists, DER.
    pub crls: Vec<Vec<u8>>,
    /// Its only nodes; `None`: it does not say.
    pub nodes: Option<Nodes>,
}

/// A bundle as it was published: its bytes, what they say, and who is to have signed them.
#[derive(Clone, Debug)]
pub struct Bundle {
    bytes: Vec<u8>,
    envelope: Envelope,
    content: Content,
    signer: Vec<Vec<u8>>,
    digest: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    version: u32,
    domain: String,
    sequence: u64,
    issued_ms: i64,
    fresh_until_ms: i64,
    divisions: Vec<String>,
    anchors: Vec<String>,
    intermediates: Vec<String>,
    crls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<NodeEntry>>,
    signer: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    division: String,
    keys: Vec<String>,
}

/// Only the version: a newer payload may have any other field.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Bundle {
    /// Reads a published bundle. Nothing is verified.
    ///
    /// # Errors
    /// [`TrustError::BundleMalformed`] with what is wrong with its shape; it is refused unread above
    /// [`BUNDLE_BYTES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let malformed = TrustError::BundleMalformed;
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(malformed(format!("{} bytes are too many", bytes.len())));
        }
        let envelope = Envelope::from_json(bytes).map_err(malformed)?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(malformed(format!("payloadType is not {PAYLOAD_TYPE}")));
        }
        let unread = |error: serde_json::Error| {
            malformed(format!("payload: line {} column {}", error.line(), error.column()))
        };
        let VersionOnly { version } = serde_json::from_slice(&envelope.payload).map_err(unread)?;
        if version != VERSION {
            return Err(malformed(format!("version {version} is not known here")));
        }
        let payload: Payload = serde_json::from_slice(&envelope.payload).map_err(unread)?;
        let signer = ders(&payload.signer, "signer", crate::limits::CHAIN_CERTIFICATES_MAX)?;
        let content = Content::read(payload)?;
        let digest = digest(&SHA256, &envelope.payload).as_ref().try_into().expect("SHA-256 gives 32 bytes");
        Ok(Self { bytes: bytes.to_vec(), envelope, content, signer, digest })
    }

    /// Writes and signs a bundle.
    ///
    /// `signer`: chain of the bundle certificate, DER, leaf first; `key`: its private key.
    ///
    /// # Errors
    /// [`TrustError::KeyMismatch`]; what [`Bundle::parse`] would refuse; a signer that is none.
    pub fn sign(
        content: &Content,
        signer: &[Vec<u8>],
        key: &PrivatePkcs8KeyDer<'_>,
    ) -> Result<Self, TrustError> {
        let leaf = signer.first().ok_or(TrustError::ChainEmpty)?;
        let profile = profile::BundleProfile::read(leaf)?;
        if pem::public_key(key)? != profile.spki_der {
            return Err(TrustError::KeyMismatch);
        }
        if profile.domain != content.domain {
            return Err(TrustError::WrongSan(format!("it signs for {}", profile.domain)));
        }
        let texts = |ders: &[Vec<u8>]| ders.iter().map(|der| dsse::encode(der)).collect();
        let payload = Payload {
            version: VERSION,
            domain: content.domain.to_string(),
            sequence: content.sequence,
            issued_ms: content.issued_ms,
            fresh_until_ms: content.fresh_until_ms,
            divisions: content.divisions.iter().map(ToString::to_string).collect(),
            anchors: texts(&content.anchors),
            intermediates: texts(&content.intermediates),
            crls: texts(&content.crls),
            nodes: content.nodes.as_ref().map(|nodes| nodes.iter().map(NodeEntry::write).collect()),
            signer: texts(signer),
        };
        let payload = serde_json::to_vec(&payload).expect("a struct of strings and numbers is written");
        let signature = dsse::sign(key, profile.algorithm, PAYLOAD_TYPE, &payload)?;
        let envelope = Envelope {
            payload_type: PAYLOAD_TYPE.into(),
            payload,
            keyid: format!("spiffe://{}/bundle", content.domain),
            signature,
        };
        Self::parse(&envelope.to_json())
    }

    /// The document as it was published.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// SHA-256 of its payload.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl Content {
    fn read(payload: Payload) -> Result<Self, TrustError> {
        let malformed = |reason: String| TrustError::BundleMalformed(reason);
        let domain = payload.domain.parse().map_err(|error| malformed(format!("{error}")))?;
        let fresh_ms = payload.fresh_until_ms.checked_sub(payload.issued_ms);
        if !fresh_ms.is_some_and(|fresh| (1..=BUNDLE_FRESH_DAYS_MAX * DAY_MS).contains(&fresh)) {
            return Err(malformed(format!("fresh for none or more than {BUNDLE_FRESH_DAYS_MAX} days")));
        }
        let few = |name: &str, count: usize| {
            if count > BUNDLE_AUTHORITIES_MAX { Err(malformed(format!("{count} {name}"))) } else { Ok(()) }
        };
        few("divisions", payload.divisions.len())?;
        let divisions = payload.divisions.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        Ok(Self {
            domain,
            sequence: payload.sequence,
            issued_ms: payload.issued_ms,
            fresh_until_ms: payload.fresh_until_ms,
            divisions: divisions.map_err(|error| malformed(format!("{error}")))?,
            anchors: ders(&payload.anchors, "anchors", BUNDLE_AUTHORITIES_MAX)?,
            intermediates: ders(&payload.intermediates, "intermediates", BUNDLE_AUTHORITIES_MAX)?,
            crls: ders(&payload.crls, "crls", BUNDLE_AUTHORITIES_MAX)?,
            nodes: payload.nodes.map(|nodes| read_nodes(&nodes)).transpose()?,
        })
    }
}

impl NodeEntry {
    fn write((division, keys): (&Division, &BTreeSet<[u8; 32]>)) -> Self {
        Self { division: division.to_string(), keys: keys.iter().map(|key| to_hex(key)).collect() }
    }
}

fn read_nodes(entries: &[NodeEntry]) -> Result<Nodes, TrustError> {
    let malformed = |reason: String| TrustError::BundleMalformed(reason);
    if entries.len() > NODES_MAX {
        return Err(malformed(format!("{} nodes", entries.len())));
    }
    let mut nodes: Nodes = BTreeMap::new();
    for NodeEntry { division, keys } in entries {
        let code = division.parse().map_err(|error| malformed(format!("{error}")))?;
        if keys.len() > NODE_KEYS_MAX {
            return Err(malformed(format!("{} keys of {code}", keys.len())));
        }
        let digest = |text: &String| from_hex(text).and_then(|bytes| bytes.try_into().ok());
        let digests: Option<_> = keys.iter().map(digest).collect();
        let digests = digests.ok_or_else(|| malformed(format!("a key of {code} is no SHA-256")))?;
        if nodes.insert(code, digests).is_some() {
            return Err(malformed(format!("{code} is listed twice")));
        }
    }
    Ok(nodes)
}

fn ders(texts: &[String], name: &str, count_max: usize) -> Result<Vec<Vec<u8>>, TrustError> {
    if texts.len() > count_max {
        return Err(TrustError::BundleMalformed(format!("{} {name}", texts.len())));
    }
    let read = |text: &String| {
        dsse::decode(text).ok_or_else(|| TrustError::BundleMalformed(format!("{name}: broken base64")))
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests;
