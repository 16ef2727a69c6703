//! SM2 signing certificates: the same profile, path and revocation rules as for the other suites.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certs::{
    Anchor, AnchorState, Crl, Identity, KeyAlgorithm, Purpose, Revocation, TrustDomain, TrustError,
    TrustStore,
};
use devpki::{Issued, KeyKind, KeyUsage, LeafSpec, Province, SignedBy};
use rustls::pki_types::PrivatePkcs8KeyDer;

const NOW_MS: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const YUEYANG: &str = "430600";

fn province() -> Province {
    Province::new("hunan.tongban", &["43"], NOW_MS).unwrap().with_sm2().unwrap()
}

/// A store that trusts both roots of a province, with these revocation lists.
fn store(province: &Province, state: AnchorState, lists: &[Vec<u8>]) -> TrustStore {
    let anchors = vec![
        Anchor::from_der(province.root_der(), AnchorState::Active).unwrap(),
        Anchor::from_der(province.sm2_root_der().unwrap(), state).unwrap(),
    ];
    let lists = lists.iter().map(|der| Crl::from_der(der).unwrap()).collect();
    let revocation = Revocation::Crl { lists, grace_hours: 1 };
    let name = province.name().parse().unwrap();
    TrustStore::new(vec![TrustDomain::new(name, vec!["43".parse().unwrap()], anchors, revocation).unwrap()])
        .unwrap()
}

fn current(province: &Province) -> TrustStore {
    let lists = province.crl(&[], NOW_MS - HOUR_MS, NOW_MS + DAY_MS).unwrap();
    store(province, AnchorState::Active, &lists.der)
}

fn spec() -> LeafSpec {
    LeafSpec::signing("hunan.tongban", YUEYANG, KeyKind::Sm2, NOW_MS)
}

fn chain(issued: &Issued) -> Vec<&[u8]> {
    issued.chain_der.iter().map(Vec::as_slice).collect()
}

fn code(province: &Province, spec: &LeafSpec, purpose: Purpose, at_ms: i64) -> &'static str {
    let issued = province.leaf(spec).unwrap();
    current(province).verify(purpose, &chain(&issued), at_ms).map_or_else(|error| error.code(), |_| "good")
}

#[test]
fn an_sm2_signing_certificate_is_good_and_belongs_to_its_key() {
    let province = province();
    let issued = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let verified = current(&province).verify(Purpose::Signing, &chain(&issued), NOW_MS).unwrap();
    assert_eq!(verified.algorithm, KeyAlgorithm::Sm2);
    assert_eq!(verified.id.to_string(), "spiffe://hunan.tongban/node/430600");
    assert_eq!(verified.good_until_ms, NOW_MS + DAY_MS + HOUR_MS, "the lists and their grace end first");
    let key = PrivatePkcs8KeyDer::from(issued.key_der.clone());
    let identity = Identity::new(issued.chain_der.clone(), key).unwrap();
    assert_eq!(identity.spki_der(), verified.spki_der);
    let other = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let foreign = Identity::new(issued.chain_der, PrivatePkcs8KeyDer::from(other.key_der));
    assert!(matches!(foreign, Err(TrustError::KeyMismatch)));
}

#[test]
fn each_rule_of_the_profile_refuses_by_its_own_code() {
    let province = province();
    let code = |spec: LeafSpec, at_ms| code(&province, &spec, Purpose::Signing, at_ms);
    assert_eq!(code(spec(), NOW_MS), "good");
    assert_eq!(code(LeafSpec { signed_by: SignedBy::Root, ..spec() }, NOW_MS), "good");
    assert_eq!(code(spec(), spec().not_before_ms - 1), "trust.certificate_not_yet_valid");
    assert_eq!(code(spec(), spec().not_after_ms + 1000), "trust.certificate_expired");
    assert_eq!(code(LeafSpec { ca: true, ..spec() }, NOW_MS), "trust.ca_as_leaf");
    let tls_usage = vec![KeyUsage::DigitalSignature];
    assert_eq!(code(LeafSpec { key_usages: tls_usage, ..spec() }, NOW_MS), "trust.wrong_usage");
    let foreign = vec!["spiffe://hunan.tongban/node/421200".to_owned()];
    assert_eq!(code(LeafSpec { uri_sans: foreign, ..spec() }, NOW_MS), "trust.foreign_prefix");
}

#[test]
fn an_sm2_key_opens_no_tls() {
    let tls = LeafSpec { key: KeyKind::Sm2, ..LeafSpec::tls("hunan.tongban", YUEYANG, NOW_MS) };
    assert_eq!(code(&province(), &tls, Purpose::Tls, NOW_MS), "trust.weak_algorithm");
}

#[test]
fn a_chain_that_differs_in_one_byte_has_no_path() {
    let province = province();
    let store = current(&province);
    let issued = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    assert!(store.verify(Purpose::Signing, &chain(&issued), NOW_MS).is_ok());
    for (which, der) in issued.chain_der.iter().enumerate() {
        // Every seventh byte keeps a debug build quick, and the places differ between the two certificates.
        for at in (which..der.len()).step_by(7) {
            let mut forged = issued.chain_der.clone();
            forged[which][at] ^= 1;
            let forged: Vec<&[u8]> = forged.iter().map(Vec::as_slice).collect();
            assert!(
                store.verify(Purpose::Signing, &forged, NOW_MS).is_err(),
                "certificate {which} byte {at}"
            );
        }
    }
}

#[test]
fn a_leaf_is_no_authority_and_a_stranger_of_the_same_name_issues_nothing() {
    let (province, stranger) = (province(), self::province());
    let store = current(&province);
    let theirs = stranger.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let refused = store.verify(Purpose::Signing, &chain(&theirs), NOW_MS).unwrap_err();
    assert_eq!(refused.code(), "trust.bad_signature");
    // A chain out of order, or without its middle.
    let issued = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let alone = store.verify(Purpose::Signing, &chain(&issued)[..1], NOW_MS).unwrap_err();
    assert_eq!(alone.code(), "trust.unknown_issuer");
    let leaf_twice = [chain(&issued)[0], chain(&issued)[0], chain(&issued)[1]];
    assert_eq!(
        store.verify(Purpose::Signing, &leaf_twice, NOW_MS).unwrap_err().code(),
        "trust.not_an_authority"
    );
}

#[test]
fn a_revoked_sm2_key_signs_nothing_new_and_keeps_what_it_signed_before() {
    let province = province();
    let issued = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let revoked = devpki::Revocation {
        serial: issued.serial.clone(),
        revoked_ms: NOW_MS,
        compromised_from_ms: Some(NOW_MS - 600_000),
    };
    let lists = province.crl_of(&[revoked], NOW_MS, NOW_MS + DAY_MS).unwrap();
    let store = store(&province, AnchorState::Active, &lists.der);
    let opening = store.verify(Purpose::Signing, &chain(&issued), NOW_MS);
    assert_eq!(opening, Err(TrustError::Revoked { since_ms: Some(NOW_MS - 600_000) }));
    assert!(store.verify_evidence(&chain(&issued), NOW_MS - 600_001).is_ok());
    let later = store.verify_evidence(&chain(&issued), NOW_MS - 600_000);
    assert_eq!(later, Err(TrustError::Revoked { since_ms: Some(NOW_MS - 600_000) }));
}

#[test]
fn a_revocation_list_that_is_forged_missing_or_stale_lets_nothing_pass() {
    let province = province();
    let issued = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let good = province.crl(&[], NOW_MS - HOUR_MS, NOW_MS + DAY_MS).unwrap();
    let judge = |lists: &[Vec<u8>], at_ms| {
        let store = store(&province, AnchorState::Active, lists);
        store.verify(Purpose::Signing, &chain(&issued), at_ms).map_or_else(|error| error.code(), |_| "good")
    };
    assert_eq!(judge(&good.der, NOW_MS), "good");
    assert_eq!(judge(&good.der[..2], NOW_MS), "trust.crl_missing", "the lists of the P-256 pair alone");
    assert_eq!(judge(&good.der, NOW_MS + DAY_MS + HOUR_MS + 1000), "trust.crl_stale");
    let forged = self::province().crl(&[], NOW_MS - HOUR_MS, NOW_MS + DAY_MS).unwrap();
    assert_eq!(judge(&forged.der, NOW_MS), "trust.crl_invalid", "a stranger's lists under the same names");
}

#[test]
fn a_tainted_sm2_anchor_verifies_evidence_and_opens_nothing() {
    let province = province();
    let issued = province.signing(YUEYANG, KeyKind::Sm2).unwrap();
    let lists = province.crl(&[], NOW_MS - HOUR_MS, NOW_MS + DAY_MS).unwrap();
    let tainted = store(&province, AnchorState::Tainted, &lists.der);
    let refused = tainted.verify(Purpose::Signing, &chain(&issued), NOW_MS).unwrap_err();
    assert_eq!(refused.code(), "trust.anchor_tainted");
    assert!(tainted.verify_evidence(&chain(&issued), NOW_MS).is_ok());
}

#[test]
fn a_province_on_disk_issues_sm2_certificates_that_its_trust_folder_trusts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("pki");
    let mut plan = devpki::Plan::two_provinces(NOW_MS);
    plan.provinces[0].nodes[0].signing = KeyKind::Sm2;
    devpki::write(&dir, &plan).unwrap();
    let identity = |node: &str| {
        let folder = dir.join("nodes").join(node);
        Identity::load(&folder.join("signing.pem"), &folder.join("signing.key")).unwrap()
    };
    let trusts = |identity: &Identity| {
        let store = TrustStore::load(&dir.join("trust")).unwrap();
        store.verify(Purpose::Signing, &identity.chain_refs(), NOW_MS).map(|verified| verified.algorithm)
    };
    assert_eq!(trusts(&identity("430600")), Ok(KeyAlgorithm::Sm2));
    assert_eq!(trusts(&identity("421200")), Ok(KeyAlgorithm::P256));
    let node = devpki::NodePlan { signing: KeyKind::Sm2, ..devpki::NodePlan::new("430100") };
    devpki::join(&dir, "hunan.tongban", &node, NOW_MS).unwrap();
    assert_eq!(trusts(&identity("430100")), Ok(KeyAlgorithm::Sm2));
    let node = devpki::NodePlan { signing: KeyKind::Sm2, ..devpki::NodePlan::new("420100") };
    let refused = devpki::join(&dir, "hubei.tongban", &node, NOW_MS);
    assert!(matches!(refused, Err(devpki::PkiError::NoSm2Authority(_))), "Hubei was made without SM2");
    let serial = x509_serial(&identity("430100"));
    devpki::revoke(&dir, "hunan.tongban", &[&serial], NOW_MS).unwrap();
    let revoked = trusts(&identity("430100"));
    assert_eq!(revoked, Err(TrustError::Revoked { since_ms: Some(NOW_MS) }));
}

fn x509_serial(identity: &Identity) -> Vec<u8> {
    let (_, certificate) = x509_parser::parse_x509_certificate(&identity.chain()[0]).unwrap();
    certificate.raw_serial().to_vec()
}
