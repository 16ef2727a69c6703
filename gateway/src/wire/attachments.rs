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

/// Number of the field, in every payload.
const FIELD: u64 = 1000;

/// Whether a payload has the field, or cannot be read. Steps over the fields of the message itself and
/// looks into none: nearly every payload names no blob, and each is asked.
fn may_name_blobs(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(key) = varint(&mut rest).filter(|key| *key >> 3 != 0 && *key <= u64::from(u32::MAX)) else {
            return true;
        };
        if key >> 3 == FIELD {
            return true;
        }
        let skipped = match key & 7 {
            0 => varint(&mut rest).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut rest),
            5 => Some(4),
            // A group, or nothing that protobuf has.
            _ => None,
        };
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        let Some(behind) = skipped.and_then(|skipped| rest.get(skipped..)) else { return true };
        rest = behind;
    }
    false
}

/// Takes a number of at most 64 bits off the front.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

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
    if !may_name_blobs(payload) {
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
    fn blobs_are_found_wherever_in_the_payload_they_stand() {
        let said = pb::CaseSignFor { operator: "op-2".into() }.encode_to_vec();
        let named = attach(&[], &[blob()]);
        for payload in [[&named[..], &said].concat(), [&said[..], &named, &said].concat()] {
            assert_eq!(decode(Kind::CaseSignFor, &payload), Ok(vec![blob()]));
        }
        // In a field of the message it is that field's content.
        let inside = pb::CaseSignFor { operator: String::from_utf8_lossy(&named).into_owned() };
        assert_eq!(decode(Kind::CaseSignFor, &inside.encode_to_vec()), Ok(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_read_names_no_blob(
            fields in proptest::collection::vec((0_u32..1002, 0_u8..8, proptest::collection::vec(0_u8.., 0..12)), 0..6),
            cut in 0_usize..80,
        ) {
            let mut payload = Vec::new();
            for (number, shape, content) in fields {
                prost::encoding::encode_varint(u64::from(number << 3 | u32::from(shape)), &mut payload);
                if shape == 2 {
                    prost::encoding::encode_varint(content.len() as u64, &mut payload);
                }
                payload.extend_from_slice(&content);
            }
            payload.truncate(cut);
            if !may_name_blobs(&payload) {
                proptest::prop_assert_eq!(pb::Attachments::decode(&payload[..]), Ok(pb::Attachments::default()));
            }
        }
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
