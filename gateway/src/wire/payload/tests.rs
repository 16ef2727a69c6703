//! Limits, shapes, and that nothing personal is left where it does not belong.

use super::super::document::tests::decision;
use super::super::envelope::Envelope;
use super::*;
use crate::service::agreement::tests::agreement;
use crate::service::case::tests::event;
use crate::service::licence::tests::business_licence;
use crate::service::recognition::tests::attestation;

/// Stands in every field that `payload.proto` marks personal.
const SECRET: &str = "机密JIMI110101190001010";

fn person() -> pb::Person {
    pb::Person { name: SECRET.into(), id_type: "111".into(), id_number: SECRET.into(), phone: SECRET.into() }
}

fn forward() -> pb::CaseForward {
    let mut forward =
        pb::CaseForward::decode(encode_event(&event(Act::Kind(Kind::CaseForward))).as_slice()).unwrap();
    forward.applicant = Some(person());
    forward.agent = Some(person());
    forward.form = format!(r#"{{"reason":"{SECRET}"}}"#).into();
    forward.materials = vec![pb::Material {
        code: "M01".into(),
        digest: Default::default(),
        form: "paper".into(),
        licence_id: String::new(),
        recognition_rule: String::new(),
    }];
    forward
}

fn licence_of_a_person() -> pb::Licence {
    pb::Licence {
        number: SECRET.into(),
        holder_name: SECRET.into(),
        holder_code: SECRET.into(),
        holder_code_type: "111".into(),
        fields: [("address".to_owned(), SECRET.to_owned())].into(),
        ..licence_message(&business_licence())
    }
}

fn envelope<D: Document>(document: &D) -> Vec<u8> {
    Envelope {
        payload_type: D::PAYLOAD_TYPE.into(),
        payload: document.to_json(),
        signatures: vec![("key".into(), vec![1, 2, 3])],
    }
    .to_json()
}

fn attest() -> pb::LicenceAttest {
    let mut attestation = attestation();
    attestation.holder_code = Personal::new(SECRET);
    attestation.fields.0.insert("address".into(), SECRET.into());
    pb::LicenceAttest { reason: "R00".into(), envelope: envelope(&attestation).into() }
}

fn decide() -> pb::RecognitionDecide {
    pb::RecognitionDecide {
        outcome: "recognised".into(),
        reason: "R00".into(),
        envelope: envelope(&decision()).into(),
    }
}

fn query() -> pb::LicenceQuery {
    pb::LicenceQuery { type_code: "T".into(), holder_code: SECRET.into(), ..Default::default() }
}

fn request() -> pb::RecognitionRequest {
    pb::RecognitionRequest {
        rule: "rule-1".into(),
        material: "M01".into(),
        holder_code: SECRET.into(),
        ..Default::default()
    }
}

/// A well-formed payload of a kind, with the secret in each personal field.
fn payload(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::CaseForward => forward().encode_to_vec(),
        Kind::CaseLicence => {
            pb::CaseLicence { licence: Some(licence_of_a_person()), operator: "W".into() }.encode_to_vec()
        }
        kind if kind.is_case() => encode_event(&event(Act::Kind(kind))),
        Kind::Refusal => encode_refusal(&RefusalCode::CaseWrongState.into(), 7),
        Kind::Cancellation => pb::Cancellation { reason: "重复提交".into() }.encode_to_vec(),
        Kind::KeyAnnounce => pb::KeyAnnounce { certificate: vec![vec![1].into()] }.encode_to_vec(),
        Kind::BlobReceived => encode_blob_received(&BlobReceived {
            digest: crate::document::document_digest(b"a file"),
            length: 6,
            entry_index: 7,
        }),
        Kind::StandardPublish => {
            let standard = crate::service::standard::Standard::for_item(
                "KST071",
                "事项",
                "430600".parse().unwrap(),
                "2026-01-01".parse().unwrap(),
            );
            pb::Document { envelope: envelope(&standard).into() }.encode_to_vec()
        }
        Kind::AgreementSign => pb::Document { envelope: envelope(&agreement()).into() }.encode_to_vec(),
        Kind::LicenceQuery => query().encode_to_vec(),
        Kind::LicenceAttest => attest().encode_to_vec(),
        Kind::RecognitionRequest => request().encode_to_vec(),
        Kind::RecognitionDecide => decide().encode_to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn every_kind_is_read_as_what_it_says() {
    for kind in Kind::ALL {
        let payload = decode(*kind, &payload(*kind)).unwrap_or_else(|refusal| panic!("{kind}: {refusal}"));
        assert!(payload.fits(*kind), "{kind}");
        assert!(!format!("{payload:?}").contains(SECRET), "{kind}: a log line shows nobody");
    }
}

#[test]
fn no_personal_byte_survives_the_stripping() {
    // any part of the secret would do harm, in plain or in base64
    let pieces: Vec<&[u8]> = SECRET.as_bytes().windows(6).collect();
    for kind in Kind::ALL {
        let mut full = payload(*kind);
        // a field that this version does not know may hold anything
        if !matches!(kind, Kind::EpochClose | Kind::EpochOpen) {
            full.extend([0xfa, 0x7f, SECRET.len() as u8]);
            full.extend(SECRET.as_bytes());
        }
        let stripped = strip_personal(*kind, &full);
        assert_eq!(stripped.is_empty(), full.is_empty(), "{kind} is still there");
        for piece in &pieces {
            assert!(!stripped.windows(piece.len()).any(|window| window == *piece), "{kind}");
        }
    }
}

#[test]
fn a_stripped_case_payload_is_still_the_event() {
    for act in Act::all() {
        let Act::Kind(kind) = act else { continue };
        let full = decode_event(act, &payload(kind)).unwrap();
        assert_eq!(decode_event(act, &strip_personal(kind, &payload(kind))).unwrap(), full, "{kind}");
        assert_eq!(decode_event(act, &encode_event(&full)).unwrap(), full, "{kind}");
    }
    let receipt = decode_event(Act::Receive, &payload(Kind::CaseForward)).unwrap();
    assert_eq!(receipt.act(), Act::Receive);
}

#[test]
fn what_cannot_be_read_is_not_kept_by_the_stripping() {
    assert_eq!(strip_personal(Kind::CaseForward, SECRET.as_bytes()), Vec::<u8>::new());
}

#[test]
fn a_licence_round_trips_with_its_holder() {
    let licence = business_licence();
    assert_eq!(decode_licence(&encode_licence(&licence)), Ok(licence));
}

fn forward_refused(change: impl FnOnce(&mut pb::CaseForward)) -> Result<(), RefusalCode> {
    let mut forward = forward();
    change(&mut forward);
    decode(Kind::CaseForward, &forward.encode_to_vec()).map(drop).map_err(|refusal| {
        assert!(!refusal.to_string().contains(SECRET));
        refusal.code
    })
}

#[test]
fn a_forward_over_a_limit_or_out_of_shape_is_refused() {
    let bad = Err(RefusalCode::MalformedPayload);
    assert_eq!(forward_refused(|_| ()), Ok(()));
    assert_eq!(forward_refused(|f| f.agent = None), Ok(()));
    assert_eq!(forward_refused(|f| f.form.clear()), Ok(()));
    assert_eq!(forward_refused(|f| f.window = "w".repeat(TEXT_BYTES_MAX)), Ok(()));
    assert_eq!(forward_refused(|f| f.window = "w".repeat(TEXT_BYTES_MAX + 1)), bad);
    assert_eq!(forward_refused(|f| f.materials = vec![f.materials[0].clone(); MATERIALS_MAX]), Ok(()));
    assert_eq!(forward_refused(|f| f.materials = vec![f.materials[0].clone(); MATERIALS_MAX + 1]), bad);
    assert_eq!(forward_refused(|f| f.item.clear()), bad);
    assert_eq!(forward_refused(|f| f.project_number = "9".repeat(51)), bad);
    assert_eq!(forward_refused(|f| f.applicant = None), bad);
    assert_eq!(forward_refused(|f| f.applicant.as_mut().unwrap().name.clear()), bad);
    assert_eq!(forward_refused(|f| f.materials[0].form = "parchment".into()), bad);
    assert_eq!(forward_refused(|f| f.materials[0].digest = vec![1, 2].into()), bad);
    assert_eq!(forward_refused(|f| f.form = r#"{"a":1}"#.into()), bad);
    assert_eq!(forward_refused(|f| f.form = "[]".into()), bad);
    assert_eq!(
        forward_refused(|f| f.form = format!("{{\"a\":\"{}\"}}", "x".repeat(FORM_BYTES_MAX)).into()),
        bad
    );
}

#[test]
fn ratings_licences_and_answers_out_of_range_are_refused() {
    let code = |kind, message: Vec<u8>| decode(kind, &message).unwrap_err().code;
    let bad = RefusalCode::MalformedPayload;
    for (level, stage) in [(0, "receiving"), (6, "receiving"), (1, "window")] {
        let rate = pb::CaseRate { level, stage: stage.into(), channel: String::new() };
        assert_eq!(code(Kind::CaseRate, rate.encode_to_vec()), bad);
    }
    let licence = |change: fn(&mut pb::Licence)| {
        let mut licence = licence_of_a_person();
        change(&mut licence);
        pb::CaseLicence { licence: Some(licence), operator: String::new() }.encode_to_vec()
    };
    assert_eq!(code(Kind::CaseLicence, licence(|l| l.issued = "2026-02-30".into())), bad);
    assert_eq!(code(Kind::CaseLicence, licence(|l| l.state = "ok".into())), bad);
    assert_eq!(code(Kind::CaseLicence, licence(|l| l.holder_code.clear())), bad);
    assert_eq!(code(Kind::CaseLicence, Vec::new()), bad);

    let answer =
        |reason: &str, envelope| pb::LicenceAttest { reason: reason.into(), envelope }.encode_to_vec();
    assert!(decode(Kind::LicenceAttest, &answer("R10", Default::default())).is_ok());
    assert_eq!(code(Kind::LicenceAttest, answer("R00", Default::default())), bad);
    assert_eq!(code(Kind::LicenceAttest, answer("R01", Default::default())), bad);
    assert_eq!(code(Kind::LicenceAttest, answer("R11", attest().envelope)), bad);

    let decided = |outcome: &str, reason: &str| {
        pb::RecognitionDecide { outcome: outcome.into(), reason: reason.into(), ..decide() }.encode_to_vec()
    };
    assert!(decode(Kind::RecognitionDecide, &decided("recognised", "R00")).is_ok());
    assert_eq!(code(Kind::RecognitionDecide, decided("refused", "R00")), bad);
    assert_eq!(code(Kind::RecognitionDecide, decided("recognised", "R11")), bad);
    assert_eq!(code(Kind::AgreementSign, payload(Kind::StandardPublish)), RefusalCode::DocumentMalformed);
}
