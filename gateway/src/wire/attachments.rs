//! What a payload says about blobs: field 1000, beside the fields of its kind (WIRE.md §4.2).
//!
//! The reader of a kind takes no notice of the field, and this reader of no other. Protobuf joins
//! messages by joining their bytes: so the node adds what it knows of the files to what its submitter
//! wrote, without reading that.

use crate::id::{Digest, Kind};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::blob::{Attachment, well_formed};
use crate::service::person::Personal;
use bytes::Bytes;
use prost::Message as _;
use proto::exchange::v1 as pb;

/// The blobs that a payload names, in their order.
///
/// # Errors
/// `entry.malformed_payload`, or as [`well_formed`].
pub fn decode(kind: Kind, payload: &[u8]) -> Result<Vec<Attachment>, Refusal> {
    let malformed = || Refusal::new(RefusalCode::MalformedPayload, "field=blobs");
    // These two payloads are nobody's protobuf in this version.
    if matches!(kind, Kind::EpochClose | Kind::EpochOpen) {
        return Ok(Vec::new());
    }
    let read = pb::Attachments::decode(payload).map_err(|_| malformed())?;
    let blobs = read
        .blobs
        .into_iter()
        .map(|blob| {
            Ok(Attachment {
                digest: Digest::from_wire(&blob.digest).map_err(|_| malformed())?,
                length: blob.length,
                name: Personal::new(blob.name),
                media_type: blob.media_type,
            })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    well_formed(kind, &blobs)?;
    Ok(blobs)
}

/// The payload with blobs added.
pub fn attach(payload: &[u8], blobs: &[Attachment]) -> Bytes {
    let attachments = pb::Attachments {
        blobs: blobs
            .iter()
            .map(|blob| pb::Attachment {
                digest: Bytes::copy_from_slice(&blob.digest.to_wire()),
                length: blob.length,
                name: blob.name.reveal().to_owned(),
                media_type: blob.media_type.clone(),
            })
            .collect(),
    };
    let mut joined = Vec::with_capacity(payload.len() + attachments.encoded_len());
    joined.extend_from_slice(payload);
    joined.extend_from_slice(&attachments.encode_to_vec());
    Bytes::from(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HashAlgorithm;

    fn blob() -> Attachment {
        Attachment {
            digest: Digest { algorithm: HashAlgorithm::Sha256, bytes: [5; 32] },
            length: 70_000,
            name: Personal::new("营业执照.ofd"),
            media_type: "application/ofd".into(),
        }
    }

    #[test]
    fn blobs_stand_beside_the_fields_of_every_kind() {
        let said = pb::CaseSignFor { operator: "op-2".into() };
        let payload = attach(&said.encode_to_vec(), &[blob()]);
        assert_eq!(decode(Kind::CaseSignFor, &payload), Ok(vec![blob()]));
        assert_eq!(pb::CaseSignFor::decode(payload).unwrap(), said);
    }

    #[test]
    fn a_payload_without_blobs_names_none() {
        let payload = pb::CaseSignFor { operator: "op-2".into() }.encode_to_vec();
        assert_eq!(decode(Kind::CaseSignFor, &payload), Ok(Vec::new()));
        assert_eq!(attach(&payload, &[]), payload);
    }

    #[test]
    fn a_digest_that_is_none_is_refused() {
        let blobs = pb::Attachments {
            blobs: vec![pb::Attachment { digest: vec![9; 33].into(), length: 1, ..Default::default() }],
        };
        let refused = decode(Kind::CaseSignFor, &blobs.encode_to_vec()).unwrap_err();
        assert_eq!(refused.code, RefusalCode::MalformedPayload);
    }
}
