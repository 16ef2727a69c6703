//! A DSSE envelope as JSON (secure-systems-lab/dsse, envelope v1.0). Signatures are not verified here.

use crate::limits::ENVELOPE_BYTES_MAX;
use crate::refusal::{Refusal, RefusalCode};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

/// Signatures that one envelope may carry.
pub const SIGNATURES_MAX: usize = 8;

/// A DSSE envelope, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Media type of the payload.
    pub payload_type: String,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// Key id and signature, at least one.
    pub signatures: Vec<(String, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Json {
    payload_type: String,
    payload: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Reads an envelope. Base64 may be of the standard or the URL-safe alphabet, with padding.
    ///
    /// # Errors
    /// `entry.too_large` above [`ENVELOPE_BYTES_MAX`], before anything is read; `document.malformed`
    /// when it is not an envelope with 1 to [`SIGNATURES_MAX`] signatures.
    pub fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > ENVELOPE_BYTES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, format!("envelope bytes={}", json.len())));
        }
        let malformed = |why: &str| Refusal::new(RefusalCode::DocumentMalformed, format!("envelope: {why}"));
        let envelope: Json = serde_json::from_slice(json).map_err(|error| {
            malformed(&format!("not read at line {} column {}", error.line(), error.column()))
        })?;
        if envelope.signatures.is_empty() || envelope.signatures.len() > SIGNATURES_MAX {
            return Err(malformed("does not bear 1 to 8 signatures"));
        }
        let bytes = |text: &str| {
            STANDARD
                .decode(text)
                .or_else(|_| URL_SAFE.decode(text))
                .map_err(|_| malformed("base64 is broken"))
        };
        let signatures = envelope
            .signatures
            .into_iter()
            .map(|signature| Ok((signature.keyid, bytes(&signature.sig)?)))
            .collect::<Result<_, Refusal>>()?;
        Ok(Self { payload_type: envelope.payload_type, payload: bytes(&envelope.payload)?, signatures })
    }

    /// Writes the envelope, compact, base64 of the standard alphabet.
    pub fn to_json(&self) -> Vec<u8> {
        let envelope = Json {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|(keyid, sig)| JsonSignature { keyid: keyid.clone(), sig: STANDARD.encode(sig) })
                .collect(),
        };
        serde_json::to_vec(&envelope).expect("a struct of strings is always written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            payload_type: "application/vnd.tongban.standard.v1+json".into(),
            payload: vec![0xff, 0xfe, 0, 1],
            signatures: vec![("key-1".into(), vec![0xfb, 2, 3])],
        }
    }

    fn code(json: &str) -> RefusalCode {
        Envelope::from_json(json.as_bytes()).unwrap_err().code
    }

    #[test]
    fn an_envelope_round_trips_and_has_the_shape_of_dsse() {
        let json = String::from_utf8(envelope().to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"payloadType":"application/vnd.tongban.standard.v1+json","payload":"//4AAQ==","signatures":[{"keyid":"key-1","sig":"+wID"}]}"#
        );
        assert_eq!(Envelope::from_json(json.as_bytes()), Ok(envelope()));
        let url_safe = json.replace("//4AAQ==", "__4AAQ==").replace("+wID", "-wID");
        assert_eq!(Envelope::from_json(url_safe.as_bytes()), Ok(envelope()));
    }

    #[test]
    fn what_is_not_an_envelope_is_refused() {
        let json = String::from_utf8(envelope().to_json()).unwrap();
        for broken in [
            json.replace("payloadType", "payload_type"),
            json.replace("\"payload\":", "\"more\":1,\"payload\":"),
            json.replace("//4AAQ==", "//4AAQ"),
            json.replace(r#"{"keyid":"key-1","sig":"+wID"}"#, ""),
            json.replace('}', ""),
        ] {
            assert_eq!(code(&broken), RefusalCode::DocumentMalformed, "{broken}");
        }
        assert_eq!(code(&" ".repeat(ENVELOPE_BYTES_MAX + 1)), RefusalCode::TooLarge);
    }
}
