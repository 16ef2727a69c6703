//! Each refusal differs from an accepted case by one fact.

use std::fs;

use devpki::{ExtendedUsage, KeyKind, KeyUsage, LeafSpec, Plan, Province, SignedBy};

use super::*;
use crate::Identity;

const NOW_MS: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const GRACE_HOURS: u32 = 168;
const CRL_UNTIL_MS: i64 = NOW_MS + 30 * DAY_MS;

const HUNAN: &str = "hunan.tongban";
const YUEYANG: &str = "430600";

fn hunan() -> Province {
    Province::new(HUNAN, &["43"], NOW_MS).unwrap()
}

fn hubei() -> Province {
    Province::new("hubei.tongban", &["42"], NOW_MS).unwrap()
}

fn lists(province: &Province, revoked: &[devpki::Revocation]) -> Revocation {
    let crls = province.crl_of(revoked, NOW_MS - HOUR_MS, CRL_UNTIL_MS).unwrap();
    Revocation::Crl {
        lists: crls.der.iter().map(|der| Crl::from_der(der).unwrap()).collect(),
        grace_hours: GRACE_HOURS,
    }
}

fn domain_with(province: &Province, state: AnchorState, revocation: Revocation) -> TrustDomain {
    let prefixes = province.prefixes().iter().map(|prefix| prefix.parse().unwrap()).collect();
    let anchor = Anchor::from_der(province.root_der(), state).unwrap();
    TrustDomain::new(province.name().parse().unwrap(), prefixes, vec![anchor], revocation).unwrap()
}

fn domain(province: &Province) -> TrustDomain {
    domain_with(province, AnchorState::Active, lists(province, &[]))
}

fn trusting(province: &Province) -> TrustStore {
    TrustStore::new(vec![domain(province)]).unwrap()
}

fn tls_spec() -> LeafSpec {
    LeafSpec::tls(HUNAN, YUEYANG, NOW_MS)
}

fn signing_spec() -> LeafSpec {
    LeafSpec::signing(HUNAN, YUEYANG, KeyKind::P256, NOW_MS)
}

fn refs(chain: &[Vec<u8>]) -> Vec<&[u8]> {
    chain.iter().map(Vec::as_slice).collect()
}

/// Verifies as a TLS certificate, now; the code if refused.
fn tls_code(store: &TrustStore, chain: &[Vec<u8>]) -> Result<Verified, &'static str> {
    store.verify(Purpose::Tls, &refs(chain), NOW_MS).map_err(|error| error.code())
}

/// Issues what `spec` says and verifies it in a store that trusts the issuer, now; the code if refused.
fn verdict(purpose: Purpose, spec: &LeafSpec) -> Result<Verified, &'static str> {
    let province = hunan();
    let issued = province.leaf(spec).unwrap();
    trusting(&province).verify(purpose, &refs(&issued.chain_der), NOW_MS).map_err(|error| error.code())
}

#[test]
fn a_tls_certificate_opens_a_connection() {
    let province = hunan();
    let issued = province.tls(YUEYANG).unwrap();
    let verified = tls_code(&trusting(&province), &issued.chain_der).unwrap();
    assert_eq!(verified.id.to_string(), "spiffe://hunan.tongban/node/430600");
    assert_eq!(verified.algorithm, KeyAlgorithm::P256);
    assert_eq!(verified.serial, issued.serial);
    assert_eq!(verified.fingerprint, fingerprint(&issued.chain_der[0]));
    assert_eq!(verified.anchor_state, AnchorState::Active);
    assert_eq!(verified.not_before_ms, NOW_MS - HOUR_MS);
    assert_eq!(verified.not_after_ms, NOW_MS + 90 * DAY_MS);
    assert!(pem::key_matches(&issued.chain_der[0], &verified.spki_der));
}

#[test]
fn a_signing_certificate_signs_with_p256_or_ed25519() {
    assert_eq!(verdict(Purpose::Signing, &signing_spec()).unwrap().algorithm, KeyAlgorithm::P256);
    let ed25519 = LeafSpec { key: KeyKind::Ed25519, ..signing_spec() };
    assert_eq!(verdict(Purpose::Signing, &ed25519).unwrap().algorithm, KeyAlgorithm::Ed25519);
}

#[test]
fn the_answer_is_good_until_the_first_thing_runs_out() {
    let province = hunan();
    let tls = province.tls(YUEYANG).unwrap();
    let grace_until_ms = CRL_UNTIL_MS + i64::from(GRACE_HOURS) * HOUR_MS;
    assert_eq!(tls_code(&trusting(&province), &tls.chain_der).unwrap().good_until_ms, grace_until_ms);

    let not_after_ms = NOW_MS + DAY_MS;
    let short = province.leaf(&LeafSpec { not_after_ms, ..tls_spec() }).unwrap();
    let store = trusting(&province);
    let until_ms = tls_code(&store, &short.chain_der).unwrap().good_until_ms;
    assert_eq!(until_ms, not_after_ms + 999);
    assert!(store.verify(Purpose::Tls, &refs(&short.chain_der), until_ms).is_ok());
    assert!(store.verify(Purpose::Tls, &refs(&short.chain_der), until_ms + 1).is_err());
}

#[test]
fn another_provinces_certificate_for_our_name_is_refused() {
    let (ours, theirs) = (hunan(), hubei());
    let store = TrustStore::new(vec![domain(&ours), domain(&theirs)]).unwrap();
    let forged = theirs.leaf(&tls_spec()).unwrap();
    assert_eq!(tls_code(&store, &forged.chain_der), Err("trust.unknown_issuer"));
}

#[test]
fn an_authority_that_copies_our_authoritys_name_is_refused() {
    let (ours, impostor) = (hunan(), hunan());
    let forged = impostor.tls(YUEYANG).unwrap();
    assert_eq!(tls_code(&trusting(&ours), &forged.chain_der), Err("trust.bad_signature"));
}

#[test]
fn a_division_outside_the_domains_prefixes_is_refused() {
    let spec = LeafSpec::tls(HUNAN, "421200", NOW_MS);
    assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.foreign_prefix"));
}

#[test]
fn a_domain_that_nobody_trusts_is_refused() {
    let spec = LeafSpec::tls("jiangxi.tongban", YUEYANG, NOW_MS);
    assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.unknown_domain"));
}

#[test]
fn an_expired_certificate_is_refused() {
    let spec = LeafSpec { not_after_ms: NOW_MS - 1000, ..tls_spec() };
    assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.certificate_expired"));
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused() {
    let spec = LeafSpec { not_before_ms: NOW_MS + 1000, ..tls_spec() };
    assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.certificate_not_yet_valid"));
}

#[test]
fn a_signing_key_opens_no_connection() {
    assert_eq!(verdict(Purpose::Tls, &signing_spec()), Err("trust.wrong_usage"));
}

#[test]
fn a_tls_key_signs_nothing() {
    assert_eq!(verdict(Purpose::Signing, &tls_spec()), Err("trust.wrong_usage"));
}

#[test]
fn every_usage_that_a_purpose_demands_or_forbids_counts() {
    use ExtendedUsage::{ClientAuth, CodeSigning, ServerAuth};
    use KeyUsage::{DigitalSignature, NonRepudiation};
    let tls = |key_usages: &[KeyUsage], extended_usages: &[ExtendedUsage]| LeafSpec {
        key_usages: key_usages.to_vec(),
        extended_usages: extended_usages.to_vec(),
        ..tls_spec()
    };
    for (purpose, spec) in [
        (Purpose::Tls, tls(&[], &[ServerAuth, ClientAuth])),
        (Purpose::Tls, tls(&[KeyUsage::KeyEncipherment], &[ServerAuth, ClientAuth])),
        (Purpose::Tls, tls(&[DigitalSignature, NonRepudiation], &[ServerAuth, ClientAuth])),
        (Purpose::Tls, tls(&[DigitalSignature], &[])),
        (Purpose::Tls, tls(&[DigitalSignature], &[ServerAuth])),
        (Purpose::Tls, tls(&[DigitalSignature], &[ClientAuth])),
        (Purpose::Signing, tls(&[DigitalSignature], &[])),
        (Purpose::Signing, tls(&[NonRepudiation], &[])),
        (Purpose::Signing, tls(&[DigitalSignature, NonRepudiation], &[ClientAuth])),
        (Purpose::Signing, tls(&[DigitalSignature, NonRepudiation], &[CodeSigning])),
    ] {
        assert_eq!(verdict(purpose, &spec), Err("trust.wrong_usage"), "{purpose} {spec:?}");
    }
    let more = tls(&[DigitalSignature, KeyUsage::KeyEncipherment], &[ServerAuth, ClientAuth, CodeSigning]);
    assert!(verdict(Purpose::Tls, &more).is_ok());
}

#[test]
fn names_other_than_one_node_id_are_refused() {
    let id = tls_spec().uri_sans[0].clone();
    for uris in [
        vec![],
        vec!["https://hunan.tongban/node/430600".to_owned()],
        vec!["spiffe://hunan.tongban/workload/430600".to_owned()],
        vec![id.clone(), "spiffe://hunan.tongban/node/430100".to_owned()],
        vec![id.clone(), "https://430600.example".to_owned()],
    ] {
        let spec =
            LeafSpec { uri_sans: uris.clone(), dns_sans: vec!["node.example".to_owned()], ..tls_spec() };
        assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.wrong_san"), "{uris:?}");
    }
    let no_names = LeafSpec { uri_sans: vec![], ..tls_spec() };
    assert_eq!(verdict(Purpose::Tls, &no_names), Err("trust.wrong_san"));
    let with_dns = LeafSpec { dns_sans: vec!["node.example".to_owned()], ..tls_spec() };
    assert!(verdict(Purpose::Tls, &with_dns).is_ok());
}

#[test]
fn an_authoritys_certificate_is_refused_as_a_nodes() {
    let spec = LeafSpec { ca: true, ..tls_spec() };
    assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.ca_as_leaf"));
}

#[test]
fn without_its_intermediate_a_certificate_has_no_issuer() {
    let province = hunan();
    let mut chain = province.tls(YUEYANG).unwrap().chain_der;
    chain.remove(1);
    assert_eq!(tls_code(&trusting(&province), &chain), Err("trust.unknown_issuer"));
}

#[test]
fn a_leaf_under_the_root_itself_needs_no_intermediate() {
    let spec = LeafSpec { signed_by: SignedBy::Root, ..tls_spec() };
    assert!(verdict(Purpose::Tls, &spec).is_ok());
}

#[test]
fn a_key_on_another_curve_is_refused() {
    let spec = LeafSpec { key: KeyKind::P384, ..tls_spec() };
    assert_eq!(verdict(Purpose::Tls, &spec), Err("trust.weak_algorithm"));
}

#[test]
fn no_changed_bit_of_a_chain_passes() {
    let province = hunan();
    let store = trusting(&province);
    let chain = province.tls(YUEYANG).unwrap().chain_der;
    for certificate in 0..chain.len() {
        for byte in 0..chain[certificate].len() {
            let mut changed = chain.clone();
            changed[certificate][byte] ^= 1 << (byte % 8);
            assert!(tls_code(&store, &changed).is_err(), "certificate {certificate}, byte {byte}");
        }
    }
}

#[test]
fn sizes_are_bounded_before_anything_is_parsed() {
    let province = hunan();
    let store = trusting(&province);
    let good = province.tls(YUEYANG).unwrap().chain_der;
    assert_eq!(tls_code(&store, &[]), Err("trust.chain_empty"));
    assert_eq!(tls_code(&store, &vec![good[0].clone(); 6]), Err("trust.chain_too_long"));
    let large = vec![good[0].clone(), vec![0; 16 * 1024 + 1]];
    assert_eq!(tls_code(&store, &large), Err("trust.certificate_too_large"));
    assert_eq!(tls_code(&store, &[b"no certificate".to_vec()]), Err("trust.certificate_malformed"));
    let trailing = [good[0].as_slice(), &[0]].concat();
    assert_eq!(tls_code(&store, &[trailing]), Err("trust.certificate_malformed"));
}

#[test]
fn a_revoked_certificate_is_refused() {
    let province = hunan();
    let (bad, good) = (province.tls(YUEYANG).unwrap(), province.tls(YUEYANG).unwrap());
    let store = store_revoking(&province, &bad.serial, NOW_MS - HOUR_MS, None);
    assert_eq!(tls_code(&store, &bad.chain_der), Err("trust.revoked"));
    assert!(tls_code(&store, &good.chain_der).is_ok());
}

#[test]
fn a_revoked_issuing_authority_takes_its_certificates_along() {
    let province = hunan();
    let leaf = province.tls(YUEYANG).unwrap();
    let store = store_revoking(&province, &province.issuing_serial(), NOW_MS - HOUR_MS, None);
    assert_eq!(tls_code(&store, &leaf.chain_der), Err("trust.revoked"));
}

fn store_revoking(province: &Province, serial: &[u8], at_ms: i64, compromised: Option<i64>) -> TrustStore {
    let revocation =
        devpki::Revocation { serial: serial.to_vec(), revoked_ms: at_ms, compromised_from_ms: compromised };
    let lists = lists(province, &[revocation]);
    TrustStore::new(vec![domain_with(province, AnchorState::Active, lists)]).unwrap()
}

#[test]
fn evidence_from_before_a_revocation_stands() {
    let province = hunan();
    let issued = province.signing(YUEYANG, KeyKind::P256).unwrap();
    let chain = refs(&issued.chain_der);
    let revoked_ms = NOW_MS + DAY_MS;
    let store = store_revoking(&province, &issued.serial, revoked_ms, None);
    assert!(store.verify_evidence(&chain, revoked_ms - 1000).is_ok());
    let since = TrustError::Revoked { since_ms: Some(revoked_ms) };
    assert_eq!(store.verify_evidence(&chain, revoked_ms), Err(since.clone()));
    // Nothing new is opened with it, whatever the date.
    assert_eq!(store.verify(Purpose::Signing, &chain, revoked_ms - 1000), Err(since));

    let compromised_ms = NOW_MS + HOUR_MS;
    let store = store_revoking(&province, &issued.serial, revoked_ms, Some(compromised_ms));
    assert!(store.verify_evidence(&chain, compromised_ms - 1000).is_ok());
    let error = store.verify_evidence(&chain, compromised_ms).unwrap_err();
    assert_eq!(error, TrustError::Revoked { since_ms: Some(compromised_ms) });
}

#[test]
fn what_a_revoked_key_signed_is_disputed_from_when_it_was_lost_and_stands_before() {
    let province = hunan();
    let issued = province.signing(YUEYANG, KeyKind::P256).unwrap();
    let chain = refs(&issued.chain_der);
    let (revoked_ms, lost_ms) = (NOW_MS + DAY_MS, NOW_MS + HOUR_MS);
    for serial in [issued.serial.clone(), province.issuing_serial()] {
        let store = store_revoking(&province, &serial, revoked_ms, Some(lost_ms));
        let dispute = |at_ms| store.verify_disputable(&chain, at_ms).unwrap().1;
        assert_eq!(dispute(lost_ms - 1000), None);
        assert_eq!(dispute(lost_ms), Some(Dispute { since_ms: Some(lost_ms), root: false }));
        let dated = store_revoking(&province, &serial, revoked_ms, None);
        assert_eq!(dated.verify_disputable(&chain, revoked_ms - 1000).unwrap().1, None);
        let since_ms = Some(revoked_ms);
        let found = dated.verify_disputable(&chain, revoked_ms).unwrap().1;
        assert_eq!(found, Some(Dispute { since_ms, root: false }));
    }
    // Everything that is no revocation is refused as ever.
    let other = hubei().signing("421200", KeyKind::P256).unwrap();
    let store = store_revoking(&province, &issued.serial, revoked_ms, Some(lost_ms));
    assert!(store.verify_disputable(&refs(&other.chain_der), lost_ms).is_err());
    assert!(store.verify_disputable(&chain, NOW_MS - 365 * DAY_MS).is_err(), "before its validity");
}

#[test]
fn what_was_signed_below_a_revoked_root_is_disputed_from_when_it_was_lost_and_all_of_it_if_nobody_says_when()
{
    let province = hunan();
    let issued = province.signing(YUEYANG, KeyKind::P256).unwrap();
    let chain = refs(&issued.chain_der);
    let lost_ms = NOW_MS + HOUR_MS;
    let below = |state, lost_ms| {
        let anchor = Anchor::from_der(province.root_der(), state).unwrap().compromised_from(lost_ms);
        let prefixes = province.prefixes().iter().map(|prefix| prefix.parse().unwrap()).collect();
        let name = province.name().parse().unwrap();
        let domain = TrustDomain::new(name, prefixes, vec![anchor], lists(&province, &[])).unwrap();
        TrustStore::new(vec![domain]).unwrap()
    };
    let dispute = |store: &TrustStore, at_ms| store.verify_disputable(&chain, at_ms).unwrap().1;
    let stated = below(AnchorState::Revoked, Some(lost_ms));
    assert_eq!(dispute(&stated, lost_ms - 1), None);
    assert_eq!(dispute(&stated, lost_ms), Some(Dispute { since_ms: Some(lost_ms), root: true }));
    let unstated = below(AnchorState::Revoked, None);
    assert_eq!(dispute(&unstated, NOW_MS), Some(Dispute { since_ms: None, root: true }));
    for state in [AnchorState::Active, AnchorState::Tainted] {
        assert_eq!(dispute(&below(state, Some(lost_ms)), lost_ms), None, "{state:?}");
    }
    // For everything else a revoked root is as it was.
    assert!(stated.verify_evidence(&chain, lost_ms - 1).is_err());
    assert!(stated.verify(Purpose::Signing, &chain, NOW_MS).is_err());
    assert!(below(AnchorState::Prepared, None).verify_disputable(&chain, NOW_MS).is_err());
}

#[test]
fn a_suspended_node_opens_nothing_and_its_evidence_stands() {
    let province = hunan();
    let mut suspending = domain(&province);
    suspending.suspend(YUEYANG.parse().unwrap()).unwrap();
    let store = TrustStore::new(vec![suspending.clone()]).unwrap();
    let issued = province.signing(YUEYANG, KeyKind::P256).unwrap();
    let chain = refs(&issued.chain_der);
    let error = store.verify(Purpose::Signing, &chain, NOW_MS).unwrap_err();
    assert_eq!(error.code(), "trust.suspended");
    assert!(store.verify_evidence(&chain, NOW_MS).is_ok());

    assert!(suspending.resume(YUEYANG.parse().unwrap()));
    let store = TrustStore::new(vec![suspending]).unwrap();
    assert!(store.verify(Purpose::Signing, &chain, NOW_MS).is_ok());
}

#[test]
fn without_a_revocation_list_everything_is_refused() {
    let province = hunan();
    let leaf = province.tls(YUEYANG).unwrap();
    let none = Revocation::Crl { lists: vec![], grace_hours: GRACE_HOURS };
    let store = TrustStore::new(vec![domain_with(&province, AnchorState::Active, none)]).unwrap();
    assert_eq!(tls_code(&store, &leaf.chain_der), Err("trust.crl_missing"));
}

#[test]
fn a_domain_may_state_that_it_has_no_revocation() {
    let province = hunan();
    let leaf = province.tls(YUEYANG).unwrap();
    let store = TrustStore::new(vec![domain_with(&province, AnchorState::Active, Revocation::None)]).unwrap();
    assert!(tls_code(&store, &leaf.chain_der).is_ok());
}

#[test]
fn every_authority_of_a_path_needs_its_list() {
    let province = hunan();
    let leaf = province.tls(YUEYANG).unwrap();
    let Revocation::Crl { lists, .. } = lists(&province, &[]) else { unreachable!("lists() makes lists") };
    for one in lists {
        let one = Revocation::Crl { lists: vec![one], grace_hours: GRACE_HOURS };
        let store = TrustStore::new(vec![domain_with(&province, AnchorState::Active, one)]).unwrap();
        assert_eq!(tls_code(&store, &leaf.chain_der), Err("trust.crl_missing"));
    }
}

#[test]
fn a_revocation_list_by_another_key_is_refused() {
    let (ours, impostor) = (hunan(), hunan());
    let leaf = ours.tls(YUEYANG).unwrap();
    let forged = domain_with(&ours, AnchorState::Active, lists(&impostor, &[]));
    let store = TrustStore::new(vec![forged]).unwrap();
    assert_eq!(tls_code(&store, &leaf.chain_der), Err("trust.crl_invalid"));
}

#[test]
fn a_stale_revocation_list_counts_until_its_grace_is_over() {
    let province = hunan();
    let store = trusting(&province);
    let leaf = province.tls(YUEYANG).unwrap();
    let chain = refs(&leaf.chain_der);
    let grace_until_ms = CRL_UNTIL_MS + i64::from(GRACE_HOURS) * HOUR_MS;
    assert!(store.verify(Purpose::Tls, &chain, CRL_UNTIL_MS + 1).is_ok());
    assert!(store.verify(Purpose::Tls, &chain, grace_until_ms).is_ok());
    let error = store.verify(Purpose::Tls, &chain, grace_until_ms + 1).unwrap_err();
    assert_eq!(error.code(), "trust.crl_stale");
}

#[test]
fn a_tainted_anchor_verifies_old_evidence_and_opens_nothing() {
    let (opening, evidence) = verdicts_under(AnchorState::Tainted);
    assert_eq!(opening.unwrap_err(), "trust.anchor_tainted");
    assert_eq!(evidence.unwrap().anchor_state, AnchorState::Tainted);
}

#[test]
fn a_revoked_anchor_is_good_for_nothing() {
    let (opening, evidence) = verdicts_under(AnchorState::Revoked);
    assert_eq!(opening.unwrap_err(), "trust.anchor_revoked");
    assert_eq!(evidence.unwrap_err(), "trust.anchor_revoked");
}

#[test]
fn a_prepared_anchor_is_not_used_yet() {
    let (opening, evidence) = verdicts_under(AnchorState::Prepared);
    assert_eq!(opening.unwrap_err(), "trust.anchor_prepared");
    assert_eq!(evidence.unwrap_err(), "trust.anchor_prepared");
}

type Verdict = Result<Verified, &'static str>;

fn verdicts_under(state: AnchorState) -> (Verdict, Verdict) {
    let province = hunan();
    let store = TrustStore::new(vec![domain_with(&province, state, lists(&province, &[]))]).unwrap();
    let issued = province.signing(YUEYANG, KeyKind::P256).unwrap();
    let chain = refs(&issued.chain_der);
    let code = |error: TrustError| error.code();
    (
        store.verify(Purpose::Signing, &chain, NOW_MS).map_err(code),
        store.verify_evidence(&chain, NOW_MS).map_err(code),
    )
}

#[test]
fn a_new_root_takes_over_while_the_old_one_is_tainted() {
    let (old, new) = (hunan(), hunan());
    let anchors = vec![
        Anchor::from_der(old.root_der(), AnchorState::Tainted).unwrap(),
        Anchor::from_der(new.root_der(), AnchorState::Active).unwrap(),
    ];
    let domain =
        TrustDomain::new(HUNAN.parse().unwrap(), vec!["43".parse().unwrap()], anchors, Revocation::None)
            .unwrap();
    let store = TrustStore::new(vec![domain]).unwrap();
    assert_eq!(tls_code(&store, &old.tls(YUEYANG).unwrap().chain_der), Err("trust.anchor_tainted"));
    assert!(tls_code(&store, &new.tls(YUEYANG).unwrap().chain_der).is_ok());
    let evidence = old.signing(YUEYANG, KeyKind::P256).unwrap().chain_der;
    assert!(store.verify_evidence(&refs(&evidence), NOW_MS).is_ok());
}

#[test]
fn an_anchor_changes_state_by_its_fingerprint() {
    let province = hunan();
    let mut changing = domain(&province);
    let leaf = province.tls(YUEYANG).unwrap();
    assert!(!changing.set_anchor_state(&[0; 32], AnchorState::Revoked));
    assert!(changing.set_anchor_state(&fingerprint(province.root_der()), AnchorState::Revoked));
    let store = TrustStore::new(vec![changing]).unwrap();
    assert_eq!(tls_code(&store, &leaf.chain_der), Err("trust.anchor_revoked"));
}

#[test]
fn overlapping_prefixes_are_refused() {
    let store = |first: &[&str], second: &[&str]| {
        let first = Province::new("a.tongban", first, NOW_MS).unwrap();
        let second = Province::new("b.tongban", second, NOW_MS).unwrap();
        TrustStore::new(vec![domain(&first), domain(&second)]).map_err(|error| error.code())
    };
    assert!(store(&["4306"], &["4301", "42"]).is_ok());
    for (first, second) in [(["43"], ["43"]), (["43"], ["4306"]), (["430600"], ["43"])] {
        assert_eq!(store(&first, &second).unwrap_err(), "trust.prefixes_overlap");
    }
    assert_eq!(store(&["43", "4306"], &["42"]).unwrap_err(), "trust.prefixes_overlap");
}

#[test]
fn domains_share_neither_a_name_nor_an_anchor() {
    let province = hunan();
    let config = |domains| TrustStore::new(domains).unwrap_err().code();
    let other_domain = |name: &str, anchor: &Province| {
        let anchor = Anchor::from_der(anchor.root_der(), AnchorState::Active).unwrap();
        let prefixes = vec!["42".parse().unwrap()];
        TrustDomain::new(name.parse().unwrap(), prefixes, vec![anchor], Revocation::None).unwrap()
    };
    assert!(TrustStore::new(vec![domain(&province), other_domain("hubei.tongban", &hubei())]).is_ok());
    assert_eq!(config(vec![domain(&province), other_domain(HUNAN, &hubei())]), "trust.config");
    assert_eq!(config(vec![domain(&province), other_domain("hubei.tongban", &province)]), "trust.config");
}

#[test]
fn a_nodes_certificate_is_no_anchor() {
    let leaf = hunan().tls(YUEYANG).unwrap();
    let error = Anchor::from_der(&leaf.chain_der[0], AnchorState::Active).unwrap_err();
    assert_eq!(error.code(), "trust.not_an_authority");
}

#[test]
fn a_written_folder_loads_and_its_nodes_trust_each_other() {
    let dir = tempfile::tempdir().unwrap();
    devpki::write(dir.path(), &Plan::two_provinces(NOW_MS)).unwrap();
    devpki::join(dir.path(), HUNAN, &devpki::NodePlan::new("430100"), NOW_MS).unwrap();
    let store = TrustStore::load(&dir.path().join("trust")).unwrap();
    assert_eq!(store.domains().len(), 2);
    assert_eq!(store.files().len(), 5);
    assert!(store.files().iter().all(|file| file.is_file()));
    for division in ["430600", "421200", "430100"] {
        for (name, purpose) in [("tls", Purpose::Tls), ("signing", Purpose::Signing)] {
            let identity = load_identity(dir.path(), division, name);
            let verified = store.verify(purpose, &identity.chain_refs(), NOW_MS).unwrap();
            assert_eq!(verified.id.division.as_str(), division);
            assert_eq!(verified.spki_der, identity.spki_der());
        }
    }
}

fn load_identity(dir: &Path, division: &str, name: &str) -> Identity {
    let file = |extension: &str| dir.join("nodes").join(division).join(format!("{name}.{extension}"));
    Identity::load(&file("pem"), &file("key")).unwrap()
}

#[test]
fn a_revocation_on_disk_takes_effect_at_the_next_load() {
    let dir = tempfile::tempdir().unwrap();
    devpki::write(dir.path(), &Plan::two_provinces(NOW_MS)).unwrap();
    let trust = dir.path().join("trust");
    let identity = load_identity(dir.path(), YUEYANG, "tls");
    let verified =
        TrustStore::load(&trust).unwrap().verify(Purpose::Tls, &identity.chain_refs(), NOW_MS).unwrap();
    devpki::revoke(dir.path(), HUNAN, &[&verified.serial], NOW_MS).unwrap();
    let store = TrustStore::load(&trust).unwrap();
    assert_eq!(tls_code(&store, identity.chain()), Err("trust.revoked"));
}

/// Loads a good folder after `change` was made to its `trust.toml`; the code if refused.
fn load_changed(change: impl Fn(String) -> String) -> Result<TrustStore, &'static str> {
    let dir = tempfile::tempdir().unwrap();
    devpki::write(dir.path(), &Plan::two_provinces(NOW_MS)).unwrap();
    let trust = dir.path().join("trust");
    let file = trust.join("trust.toml");
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    TrustStore::load(&trust).map_err(|error| error.code())
}

#[test]
fn trust_toml_is_read_strictly() {
    assert!(load_changed(|text| text).is_ok());
    let refusal = |from: &str, to: &str| {
        load_changed(|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
        .unwrap_err()
    };
    for (from, to) in [
        ("suspended =", "suspendet ="),
        ("  state = \"active\"", "  state = \"active\"\n  weight = 1"),
        ("[[domain]]", "colour = 1\n[[domain]]"),
        ("\"active\"", "\"Active\""),
        ("revocation = \"crl\"", ""),
        ("revocation = \"crl\"", "revocation = \"ocsp\""),
        ("revocation = \"crl\"", "revocation = \"none\""),
        ("divisions = [\"43\"]", "divisions = [\"4\"]"),
        ("divisions = [\"43\"]", "divisions = []"),
        ("suspended = []", "suspended = [\"421200\"]"),
        ("suspended = []", "suspended = [\"4306\"]"),
        ("crl_grace_hours = 168", "crl_grace_hours = 721"),
        ("crl_grace_hours = 168", "crl_grace_hours = -1"),
        ("name = \"hunan.tongban\"", "name = \"Hunan\""),
        ("hunan.tongban.root.pem", "../trust/hunan.tongban.root.pem"),
        ("hunan.tongban.root.pem", "/etc/hosts"),
    ] {
        assert_eq!(refusal(from, to), "trust.config", "{from} -> {to}");
    }
    assert_eq!(refusal("divisions = [\"43\"]", "divisions = [\"42\"]"), "trust.prefixes_overlap");
    assert_eq!(refusal("hunan.tongban.root.pem", "absent.pem"), "trust.file");
    assert_eq!(refusal("hunan.tongban.root.pem", "hunan.tongban.crl.pem"), "trust.pem_kind");
    assert_eq!(refusal("hunan.tongban.crl.pem", "hunan.tongban.root.pem"), "trust.pem_kind");
}
