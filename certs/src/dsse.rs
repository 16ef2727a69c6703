//! DSSE v1 envelopes (Dead Simple Signing Envelope) as far as trust needs them: one signature, made and verified
//! with the keys of certificates. Documents of the exchange have their own reader in the crate `gateway`, which
//! speaks its refusals; both hold to the same bytes (WIRE.md §7).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    UnparsedPublicKey,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::error::TrustError;
use crate::profile::KeyAlgorithm;
use crate::sm2::{SigningKey, VerifyingKey};

/// An envelope with one signature, decoded. Nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) payload_type: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) keyid: String,
    /// 64 bytes in every suite: r ‖ s, or Ed25519's.
    pub(crate) signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Json {
    payload_type: String,
    payload: String,
    signatures: [JsonSignature; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Reads an envelope; base64 of either alphabet, with padding. The caller has bounded `json`.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, String> {
        let envelope: Json = serde_json::from_slice(json)
            .map_err(|error| format!("envelope: line {} column {}", error.line(), error.column()))?;
        let [JsonSignature { keyid, sig }] = envelope.signatures;
        let decoded = |text: &str| decode(text).ok_or_else(|| "envelope: base64 is broken".to_owned());
        Ok(Self {
            payload: decoded(&envelope.payload)?,
            payload_type: envelope.payload_type,
            keyid,
            signature: decoded(&sig)?,
        })
    }

    /// Compact JSON, base64 of the standard alphabet.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let envelope = Json {
            payload_type: self.payload_type.clone(),
            payload: encode(&self.payload),
            signatures: [JsonSignature { keyid: self.keyid.clone(), sig: encode(&self.signature) }],
        };
        serde_json::to_vec(&envelope).expect("a struct of strings is always written")
    }

    /// Whether the signature is this key's (SubjectPublicKeyInfo, DER).
    pub(crate) fn is_signed_by(&self, algorithm: KeyAlgorithm, spki_der: &[u8]) -> bool {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(spki_der) else { return false };
        let raw = &key.subject_public_key.data;
        match algorithm {
            KeyAlgorithm::P256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, raw)
                .verify(&message, &self.signature)
                .is_ok(),
            KeyAlgorithm::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, raw).verify(&message, &self.signature).is_ok()
            }
            KeyAlgorithm::Sm2 => {
                VerifyingKey::from_spki(spki_der).is_some_and(|key| key.verifies(&message, &self.signature))
            }
        }
    }
}

/// Signs with a private key of P-256, Ed25519 or SM2.
///
/// # Errors
/// [`TrustError::KeyUnsupported`].
pub(crate) fn sign(
    key: &PrivatePkcs8KeyDer<'_>,
    algorithm: KeyAlgorithm,
    payload_type: &str,
    payload: &[u8],
) -> Result<Vec<u8>, TrustError> {
    let message = pre_authentication_encoding(payload_type, payload);
    let der = key.secret_pkcs8_der();
    let signed = match algorithm {
        KeyAlgorithm::P256 => {
            let random = SystemRandom::new();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                .ok()
                .and_then(|pair| pair.sign(&random, &message).ok())
                .map(|signature| signature.as_ref().to_vec())
        }
        KeyAlgorithm::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .ok()
            .map(|pair| pair.sign(&message).as_ref().to_vec()),
        KeyAlgorithm::Sm2 => {
            SigningKey::from_pkcs8(der).and_then(|key| key.sign(&message)).map(|signature| signature.to_vec())
        }
    };
    signed.ok_or_else(|| TrustError::KeyUnsupported("it does not sign".into()))
}

/// DSSE v1 pre-authentication encoding.
pub(crate) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
