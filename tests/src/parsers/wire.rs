//! What a partner or a business system sends.

use bytes::Bytes;
use gateway::channel::batch::{ReadEntry, UncheckedBatch, VerifiedBatch};
use gateway::chunks::{ChunkList, chunk_count};
use gateway::entry::{Header, RawEntry};
use gateway::id::{Digest, HashAlgorithm, Kind};
use gateway::limits::{
    BLOB_BYTES_MAX, BLOBS_PER_ENTRY_MAX, BODY_BYTES_MAX, ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX,
    HEADER_BYTES_MAX, KIND_BYTES_MAX, NOTE_BYTES_MAX,
};
use gateway::log::checkpoint::Note;
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::agreement::Agreement;
use gateway::service::case::Act;
use gateway::service::licence::LicenceAttestation;
use gateway::service::payload::Payload;
use gateway::service::recognition::RecognitionDocument;
use gateway::service::standard::Standard;
use gateway::suite::{Suite, sha256};
use gateway::wire::document::{Document, Envelope, read};
use gateway::wire::{attachments, payload as payloads};
use prost::Message as _;
use proto::exchange::v1 as pb;
use proto::exchange::v1::frame::Kind as Frame;
use proto::local::v1 as local_pb;

/// A frame, and every message in it through the reading that a link gives it.
pub(super) fn frame(bytes: &[u8]) {
    if bytes.len() > FRAME_BYTES_MAX {
        return;
    }
    let Ok(frame) = pb::Frame::decode(bytes) else { return };
    let again = frame.encode_to_vec();
    assert_eq!(pb::Frame::decode(&again[..]).as_ref(), Ok(&frame), "a frame says the same again");
    match frame.kind {
        Some(Frame::Open(open)) => {
            for state in [&open.outbound, &open.inbound].into_iter().flatten() {
                note(&state.checkpoint);
                note(&state.cosigned);
                let _ = std::str::from_utf8(&state.stopped).ok().and_then(RefusalCode::with_code);
            }
            let chains = std::iter::once(&open.signing_chain)
                .chain(open.older_signing_chains.iter().map(|chain| &chain.certificate));
            for chain in chains {
                super::trust::judge(&chain.iter().map(AsRef::as_ref).collect::<Vec<_>>());
            }
        }
        Some(Frame::Batch(pb::Batch { epoch, first, entries, checkpoint })) => {
            batch(epoch, first, entries, checkpoint);
        }
        Some(Frame::Recovered(pb::Recovered { epoch, first, entries, checkpoint, .. })) => {
            batch(epoch, first, entries, checkpoint);
        }
        Some(Frame::Cosigned(cosigned)) => note(&cosigned.checkpoint),
        Some(Frame::BlobAsk(ask)) => {
            if let Ok(digest) = Digest::from_wire(&ask.digest) {
                assert_eq!(digest.to_wire()[..], ask.digest[..]);
            }
        }
        Some(Frame::BlobHead(head)) => list(head.length, &head.chunks),
        Some(Frame::Close(close)) => drop(RefusalCode::with_code(&close.code)),
        _ => {}
    }
}

/// A batch whose signature is anybody's: no key is known, so nothing of it is ever verified; and each
/// entry, as it is read once a signature held.
fn batch(epoch: u32, first: u64, entries: Vec<pb::Entry>, checkpoint: Bytes) {
    note(&checkpoint);
    let Ok(parsed) = Note::parse(&checkpoint) else { return };
    let log = parsed.checkpoint().log;
    let entries: Vec<(RawEntry, bool)> = entries
        .into_iter()
        .map(|entry| {
            let body = (!entry.body.is_empty()).then_some(entry.body);
            (RawEntry { header: entry.header, body }, entry.erased)
        })
        .collect();
    for (raw, erased) in &entries {
        let Ok(read) = ReadEntry::read(Suite::P256Sha256, log, raw.clone(), *erased) else { continue };
        assert_eq!(read.raw.header, raw.header, "a header is kept as it came");
        assert!(read.body.is_ok() || read.raw.body.is_none(), "a body that is nobody's word is not kept");
        if let (Ok(header), Some(body)) = (&read.header, &read.raw.body) {
            assert_eq!(header.body_length as usize, body.len());
        }
    }
    let unchecked = UncheckedBatch { epoch, first, entries, checkpoint: checkpoint.to_vec() };
    let nobody = |_: &Note| Err(Refusal::new(RefusalCode::UnknownKey, "nobody"));
    let checked = VerifiedBatch::check(Suite::P256Sha256, log, unchecked, nobody);
    assert!(checked.is_err(), "nothing is verified without a key");
}

/// The header as the generated reader of an ordinary protobuf library would have it.
#[derive(Clone, PartialEq, prost::Message)]
struct Oracle {
    #[prost(bytes = "vec", tag = "1")]
    message_id: Vec<u8>,
    #[prost(string, tag = "2")]
    from: String,
    #[prost(string, tag = "3")]
    to: String,
    #[prost(uint32, tag = "4")]
    epoch: u32,
    #[prost(string, tag = "5")]
    kind: String,
    #[prost(string, tag = "6")]
    case_id: String,
    #[prost(bytes = "vec", tag = "7")]
    in_reply_to: Vec<u8>,
    #[prost(uint32, tag = "8")]
    seen_epoch: u32,
    #[prost(uint64, tag = "9")]
    seen_size: u64,
    #[prost(bytes = "vec", tag = "10")]
    agreement: Vec<u8>,
    #[prost(bytes = "vec", tag = "11")]
    standard: Vec<u8>,
    #[prost(uint64, tag = "12")]
    created: u64,
    #[prost(uint64, optional, tag = "13")]
    expires: Option<u64>,
    #[prost(bytes = "vec", tag = "14")]
    body_digest: Vec<u8>,
    #[prost(uint64, tag = "15")]
    body_length: u64,
    #[prost(bytes = "vec", tag = "16")]
    blobs: Vec<u8>,
}

/// An entry's header: limits, writing again, and the same meaning to prost.
pub(super) fn header(bytes: &[u8]) {
    let Ok(header) = Header::parse(bytes) else { return };
    assert!(bytes.len() <= HEADER_BYTES_MAX && (1..=KIND_BYTES_MAX).contains(&header.kind.len()));
    assert!(header.blobs.len() <= BLOBS_PER_ENTRY_MAX && header.body_length as usize <= BODY_BYTES_MAX);
    let again = header.encode();
    assert!(again.len() <= bytes.len(), "what is written is the shortest");
    assert_eq!(Header::parse(&again).as_ref(), Ok(&header), "a header says the same again");

    let theirs = Oracle::decode(bytes).expect("an ordinary reader takes what the strict one takes");
    assert_eq!(theirs.message_id, header.message_id.0);
    assert_eq!((&*theirs.from, &*theirs.to), (header.channel.from.as_str(), header.channel.to.as_str()));
    assert_eq!((theirs.epoch, &theirs.kind), (header.epoch, &header.kind));
    assert_eq!(theirs.case_id, header.case_id.as_ref().map_or("", |case| case.as_str()));
    assert_eq!(theirs.in_reply_to, header.in_reply_to.map(|id| id.0.to_vec()).unwrap_or_default());
    assert_eq!((theirs.seen_epoch, theirs.seen_size), (header.seen.epoch, header.seen.index));
    let digest = |digest: Option<Digest>| digest.map(|digest| digest.to_wire().to_vec()).unwrap_or_default();
    assert_eq!((theirs.agreement, theirs.standard), (digest(header.agreement), digest(header.standard)));
    assert_eq!((theirs.created, theirs.expires), (header.created.0, header.expires.map(|at| at.0)));
    assert_eq!(theirs.body_digest, header.body_digest.to_wire());
    assert_eq!(theirs.body_length, u64::from(header.body_length));
    let blobs: Vec<u8> = header.blobs.iter().flat_map(|digest| digest.to_wire()).collect();
    assert_eq!(theirs.blobs, blobs);
}

/// A checkpoint note: one text for each.
pub(super) fn note(bytes: &[u8]) {
    let Ok(note) = Note::parse(bytes) else { return };
    assert!(bytes.len() <= NOTE_BYTES_MAX);
    assert_eq!(note.text().as_bytes(), bytes, "a note has one text");
    let signed = note.as_signed();
    assert!(!signed.is_cosigned() && signed.checkpoint() == note.checkpoint());
    assert_eq!(Note::parse(signed.text().as_bytes()).as_ref(), Ok(&signed));
    assert!(note.is_cosigned() || (note.cosignature_seconds().is_none() && note.cosigner_name().is_none()));
}

/// The payload of a body: the first byte chooses the kind.
pub(super) fn payload(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    if bytes.len() > BODY_BYTES_MAX {
        return;
    }
    if let Ok(blobs) = attachments::decode(kind, bytes) {
        assert!(blobs.len() <= BLOBS_PER_ENTRY_MAX);
    }
    if let Ok(Payload::Case { event, .. }) = payloads::decode(kind, bytes) {
        let act = Act::Kind(kind);
        let again = payloads::encode_event(&event);
        assert_eq!(payloads::decode_event(act, &again).as_ref(), Ok(&event), "an event says the same again");
        let stripped = payloads::strip_personal(kind, bytes);
        let kept = payloads::decode_event(act, &stripped);
        assert_eq!(kept.as_ref(), Ok(&event), "without its persons it is the same fact");
    }
}

/// A DSSE envelope.
pub(super) fn envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::from_json(bytes) else { return };
    assert!(bytes.len() <= ENVELOPE_BYTES_MAX && !envelope.signatures.is_empty());
    assert!(envelope.payload.len() <= bytes.len());
    // base64 as we write it is not always shorter than what was read, JSON escapes are: so no limit here
    let again = envelope.to_json();
    if again.len() <= ENVELOPE_BYTES_MAX {
        assert_eq!(Envelope::from_json(&again).as_ref(), Ok(&envelope));
    }
    let _ = read::<Standard>(bytes);
    let _ = read::<Agreement>(bytes);
    let _ = read::<LicenceAttestation>(bytes);
    let _ = read::<RecognitionDocument>(bytes);
}

/// The documents in envelopes, and their lints.
pub(super) fn document(bytes: &[u8]) {
    fn same<D: Document + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<D> {
        let document = D::from_json(bytes);
        let said = document.as_ref().err().map_or(0, |refusal| refusal.detail.len());
        assert!(said <= 1024, "a refusal goes into the log and is short: {said}");
        let document = document.ok()?;
        let again = document.to_json();
        if again.len() <= ENVELOPE_BYTES_MAX {
            assert_eq!(D::from_json(&again).as_ref(), Ok(&document), "a document says the same again");
        }
        Some(document)
    }
    if let Some(standard) = same::<Standard>(bytes) {
        let _ = standard.lint();
    }
    if let Some(agreement) = same::<Agreement>(bytes) {
        let _ = agreement.lint();
    }
    same::<LicenceAttestation>(bytes);
    same::<RecognitionDocument>(bytes);
}

/// A chunk list: the first eight bytes are the blob's length.
pub(super) fn chunks(bytes: &[u8]) {
    if let Some((length, hashes)) = bytes.split_first_chunk::<8>() {
        list(u64::from_be_bytes(*length), hashes);
    }
}

/// A list under its own name, and under another.
fn list(length: u64, wire: &[u8]) {
    let hash = sha256(&[&[0x03], &length.to_be_bytes(), wire]);
    let digest = Digest { algorithm: HashAlgorithm::Sha256, bytes: hash };
    if let Ok(list) = ChunkList::from_wire(digest, length, wire) {
        assert!((1..=BLOB_BYTES_MAX).contains(&length) && list.chunks() == chunk_count(length));
        assert_eq!(list.to_wire(), wire);
        let total: u64 = (0..list.chunks()).map(|chunk| list.chunk_bytes(chunk) as u64).sum();
        assert_eq!((total, list.chunk_bytes(list.chunks())), (length, 0));
    }
    let other = Digest { algorithm: HashAlgorithm::Sha256, bytes: [0x5a; 32] };
    assert!(ChunkList::from_wire(other, length, wire).is_err(), "a list has one name");
}

/// What a business system sends: the first byte chooses the message.
pub(super) fn local(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => {
            let Ok(request) = local_pb::SubmitRequest::decode(bytes) else { return };
            for text in [&request.to, &request.case_id, &request.agreement] {
                super::people::identifiers(text.as_bytes());
            }
            if let Some(kind) = Kind::named(&request.kind) {
                let _ = payloads::decode(kind, &request.payload);
                let _ = attachments::decode(kind, &request.payload);
            }
        }
        1 => drop(local_pb::SubmitBatch::decode(bytes)),
        2 => drop(local_pb::UploadPart::decode(bytes)),
        _ => {
            if let Ok(request) = local_pb::PublishDocumentRequest::decode(bytes) {
                document(&request.payload);
            }
        }
    }
}
