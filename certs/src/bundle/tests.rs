//! Each refusal differs from an accepted bundle by one fact.

use std::path::PathBuf;

use devpki::{Issued, KeyKind, LeafSpec, Province};

use super::accepted::{Bundles, Outcome};
use super::*;
use crate::domain::{Anchor, AnchorState, TrustDomain};
use crate::profile::Purpose;
use crate::revocation::{Crl, Revocation, Status};
use crate::store::TrustStore;

const NOW_MS: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const GRACE_HOURS: u32 = 720;
const GRACE_MS: i64 = GRACE_HOURS as i64 * HOUR_MS;
const NAME: &str = "hubei.tongban";

fn lists(province: &Province, revoked: &[&[u8]], at_ms: i64) -> Vec<Vec<u8>> {
    province.crl(revoked, at_ms, NOW_MS + 400 * DAY_MS).unwrap().der
}

fn domain(province: &Province, revoked: &[&[u8]]) -> TrustDomain {
    let anchor = Anchor::from_der(province.root_der(), AnchorState::Active).unwrap();
    let prefixes = province.prefixes().iter().map(|prefix| prefix.parse().unwrap()).collect();
    let lists = lists(province, revoked, NOW_MS - HOUR_MS);
    let lists = lists.iter().map(|der| Crl::from_der(der).unwrap()).collect();
    let revocation = Revocation::Crl { lists, grace_hours: 24 };
    TrustDomain::new(province.name().parse().unwrap(), prefixes, vec![anchor], revocation).unwrap()
}

/// A province with its bundle certificate, and a node that trusts it.
struct World {
    province: Province,
    signer: Issued,
    bundles: Bundles,
    domains: Vec<TrustDomain>,
    _data: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let province = Province::new(NAME, &["42"], NOW_MS).unwrap();
        let data = tempfile::tempdir().unwrap();
        let bundles = Bundles { data_dir: data.path().to_owned(), grace_hours: GRACE_HOURS };
        let signer = province.leaf(&LeafSpec::bundle(NAME, KeyKind::P256, NOW_MS)).unwrap();
        let domains = vec![domain(&province, &[])];
        Self { province, signer, bundles, domains, _data: data }
    }

    fn content(&self) -> Content {
        Content {
            domain: NAME.parse().unwrap(),
            sequence: 7,
            issued_ms: NOW_MS - HOUR_MS,
            fresh_until_ms: NOW_MS + 30 * DAY_MS,
            divisions: vec!["42".parse().unwrap()],
            anchors: vec![self.province.root_der().to_vec()],
            intermediates: vec![self.province.issuing_der().to_vec()],
            crls: lists(&self.province, &[], NOW_MS),
            nodes: None,
        }
    }

    fn signed_by(&self, content: &Content, signer: &Issued) -> Vec<u8> {
        let key = PrivatePkcs8KeyDer::from(signer.key_der.clone());
        Bundle::sign(content, &signer.chain_der, &key).unwrap().bytes().to_vec()
    }

    fn signed(&self, content: &Content) -> Vec<u8> {
        self.signed_by(content, &self.signer)
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Outcome, &'static str> {
        self.bundles.accept(&self.domains, bytes, NOW_MS).map_err(|error| error.code())
    }

    /// The store of the node after a restart.
    fn store(&self) -> TrustStore {
        let follow = |domain: &TrustDomain| self.bundles.follow(domain.clone()).unwrap();
        TrustStore::new(self.domains.iter().map(follow).collect()).unwrap()
    }

    fn state(&self) -> BundleState {
        self.store().domains()[0].bundle().unwrap().clone()
    }

    fn verdict(&self, chain: &[Vec<u8>], at_ms: i64) -> Result<(), &'static str> {
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let verified = self.store().verify(Purpose::Tls, &chain, at_ms);
        verified.map(|_| ()).map_err(|error| error.code())
    }
}

fn nodes(divisions: &[&str]) -> Nodes {
    divisions.iter().map(|division| (division.parse().unwrap(), BTreeSet::new())).collect()
}

#[test]
fn a_bundle_changes_nodes_lists_and_intermediates() {
    let world = World::new();
    let (one, other) = (world.province.tls("421200").unwrap(), world.province.tls("420100").unwrap());
    // A leaf alone: its sender left the intermediate out.
    assert_eq!(world.verdict(&one.chain_der[..1], NOW_MS), Err("trust.unknown_issuer"));
    let third = world.province.tls("420200").unwrap();
    let content = Content {
        nodes: Some(nodes(&["421200", "420200"])),
        crls: lists(&world.province, &[&third.serial], NOW_MS),
        ..world.content()
    };
    let accepted = Outcome::Accepted(NAME.parse().unwrap(), 7);
    assert_eq!(world.arrives(&world.signed(&content)), Ok(accepted));
    assert_eq!(world.verdict(&one.chain_der, NOW_MS), Ok(()));
    assert_eq!(world.verdict(&one.chain_der[..1], NOW_MS), Ok(()), "the bundle completes the chain");
    assert_eq!(world.verdict(&other.chain_der, NOW_MS), Err("trust.not_listed"));
    assert_eq!(world.verdict(&third.chain_der, NOW_MS), Err("trust.revoked"));
    let state = world.state();
    assert_eq!((state.sequence, state.suggestions, state.refused), (7, vec![], None));
}

#[test]
fn ed25519_and_sm2_sign_bundles_too() {
    let world = World::new();
    let ed25519 = world.province.leaf(&LeafSpec::bundle(NAME, KeyKind::Ed25519, NOW_MS)).unwrap();
    assert!(world.arrives(&world.signed_by(&world.content(), &ed25519)).is_ok());

    let mut world = World::new();
    world.province = Province::new(NAME, &["42"], NOW_MS).unwrap().with_sm2().unwrap();
    let sm2 = world.province.sm2_root_der().unwrap().to_vec();
    let roots = [world.province.root_der(), &sm2];
    let anchors = roots.map(|der| Anchor::from_der(der, AnchorState::Active).unwrap()).to_vec();
    let revocation = Revocation::Crl { lists: Vec::new(), grace_hours: 24 };
    let prefixes = vec!["42".parse().unwrap()];
    world.domains = vec![TrustDomain::new(NAME.parse().unwrap(), prefixes, anchors, revocation).unwrap()];
    let signer = world.province.leaf(&LeafSpec::bundle(NAME, KeyKind::Sm2, NOW_MS)).unwrap();
    // Lists of both hierarchies, and the intermediate authority of each: nothing was there before.
    let content = Content {
        anchors: vec![world.province.root_der().to_vec(), sm2],
        intermediates: vec![world.province.issuing_der().to_vec(), signer.chain_der[1].clone()],
        crls: lists(&world.province, &[], NOW_MS),
        ..world.content()
    };
    assert!(world.arrives(&world.signed_by(&content, &signer)).is_ok());
    assert_eq!(world.state().refused, None);
}

#[test]
fn a_new_root_or_prefix_is_a_suggestion_and_trusts_nobody() {
    let world = World::new();
    let next = Province::new(NAME, &["42", "36"], NOW_MS).unwrap();
    let content = Content {
        divisions: vec!["42".parse().unwrap(), "36".parse().unwrap()],
        anchors: vec![world.province.root_der().to_vec(), next.root_der().to_vec()],
        intermediates: vec![world.province.issuing_der().to_vec(), next.issuing_der().to_vec()],
        crls: [lists(&world.province, &[], NOW_MS), lists(&next, &[], NOW_MS)].concat(),
        nodes: Some(nodes(&["421200", "360100"])),
        ..world.content()
    };
    assert!(world.arrives(&world.signed(&content)).is_ok());
    let old = world.province.tls("421200").unwrap();
    assert_eq!(world.verdict(&old.chain_der, NOW_MS), Ok(()));
    assert_eq!(world.verdict(&next.tls("421200").unwrap().chain_der, NOW_MS), Err("trust.bad_signature"));
    assert_eq!(world.verdict(&next.tls("360100").unwrap().chain_der, NOW_MS), Err("trust.foreign_prefix"));
    let suggestions = world.state().suggestions;
    assert_eq!(suggestions.len(), 2, "{suggestions:?}");
    let fingerprint = crate::domain::fingerprint(next.root_der());
    let root = Suggestion::Anchor { fingerprint, der: next.root_der().to_vec() };
    assert!(suggestions.contains(&root));
    let prefixes = vec!["36".parse().unwrap(), "42".parse().unwrap()];
    assert!(suggestions.contains(&Suggestion::Divisions(prefixes)));
}

#[test]
fn what_no_approved_root_stands_behind_is_refused_whole() {
    let world = World::new();
    let stranger = Province::new("jiangxi.tongban", &["36"], NOW_MS).unwrap();
    let beyond: [(Content, &str); 5] = [
        (
            Content { intermediates: vec![stranger.issuing_der().to_vec()], ..world.content() },
            "trust.bundle_beyond",
        ),
        (Content { crls: lists(&stranger, &[], NOW_MS), ..world.content() }, "trust.crl_foreign_issuer"),
        (Content { nodes: Some(nodes(&["360100"])), ..world.content() }, "trust.bundle_beyond"),
        (
            Content {
                intermediates: vec![world.province.tls("421200").unwrap().chain_der[0].clone()],
                ..world.content()
            },
            "trust.not_an_authority",
        ),
        (Content { domain: "jiangxi.tongban".parse().unwrap(), ..world.content() }, "trust.unknown_domain"),
    ];
    for (content, code) in beyond {
        let signer = world.province.leaf(&LeafSpec::bundle(content.domain.as_str(), KeyKind::P256, NOW_MS));
        let bytes = world.signed_by(&content, &signer.unwrap());
        assert_eq!(world.arrives(&bytes), Err(code));
        assert!(world.store().domains()[0].bundle().is_none(), "nothing of it is kept: {code}");
    }
    // A list that names our authority and was signed by another key.
    let twin = Province::new(NAME, &["42"], NOW_MS).unwrap();
    let content = Content { crls: lists(&twin, &[], NOW_MS), ..world.content() };
    assert_eq!(world.arrives(&world.signed(&content)), Err("trust.crl_invalid"));
}

#[test]
fn lists_are_refused_for_a_domain_that_was_approved_without() {
    let mut world = World::new();
    let anchor = world.domains[0].anchors().to_vec();
    let prefixes = world.domains[0].prefixes().to_vec();
    let bare = TrustDomain::new(NAME.parse().unwrap(), prefixes, anchor, Revocation::None).unwrap();
    world.domains = vec![bare];
    assert_eq!(world.arrives(&world.signed(&world.content())), Err("trust.bundle_beyond"));
    let content = Content { crls: Vec::new(), ..world.content() };
    assert!(world.arrives(&world.signed(&content)).is_ok());
}

#[test]
fn only_the_provinces_own_good_bundle_certificate_signs() {
    let world = World::new();
    let content = world.content();
    let good = LeafSpec::bundle(NAME, KeyKind::P256, NOW_MS);
    let issue = |spec: &LeafSpec| world.province.leaf(spec).unwrap();

    let expired = issue(&LeafSpec { not_after_ms: NOW_MS - 1000, ..good.clone() });
    assert_eq!(world.arrives(&world.signed_by(&content, &expired)), Err("trust.certificate_expired"));
    let twin = Province::new(NAME, &["42"], NOW_MS).unwrap();
    let forged = twin.leaf(&good).unwrap();
    assert_eq!(world.arrives(&world.signed_by(&content, &forged)), Err("trust.bad_signature"));

    // Revoked by the list that the bundle itself brings; a bundle without lists does not help it.
    let crls = lists(&world.province, &[&world.signer.serial], NOW_MS);
    assert_eq!(world.arrives(&world.signed(&Content { crls, ..world.content() })), Err("trust.revoked"));
    let mut known = World::new();
    known.domains = vec![domain(&known.province, &[&known.signer.serial])];
    let silent = known.signed(&Content { crls: Vec::new(), ..known.content() });
    assert_eq!(known.arrives(&silent), Err("trust.revoked"));

    // A node's key signs no bundle.
    let node = world.province.signing("421200", KeyKind::P256).unwrap();
    let key = PrivatePkcs8KeyDer::from(node.key_der.clone());
    assert_eq!(Bundle::sign(&content, &node.chain_der, &key).unwrap_err().code(), "trust.wrong_san");
    let tls = issue(&LeafSpec { extended_usages: LeafSpec::tls(NAME, "", NOW_MS).extended_usages, ..good });
    let key = PrivatePkcs8KeyDer::from(tls.key_der.clone());
    assert_eq!(Bundle::sign(&content, &tls.chain_der, &key).unwrap_err().code(), "trust.wrong_usage");
    let key = PrivatePkcs8KeyDer::from(node.key_der);
    assert_eq!(
        Bundle::sign(&content, &world.signer.chain_der, &key).unwrap_err().code(),
        "trust.key_mismatch"
    );
}

#[test]
fn a_changed_byte_of_the_payload_is_found() {
    let world = World::new();
    let mut envelope = Envelope::from_json(&world.signed(&world.content())).unwrap();
    let text = String::from_utf8(envelope.payload.clone()).unwrap();
    envelope.payload = text.replacen("\"sequence\":7", "\"sequence\":8", 1).into_bytes();
    assert_eq!(world.arrives(&envelope.to_json()), Err("trust.bundle_signature"));
}

#[test]
fn an_older_bundle_and_another_of_the_same_number_are_a_rollback() {
    let world = World::new();
    let bytes = world.signed(&world.content());
    world.arrives(&bytes).unwrap();
    assert_eq!(world.arrives(&bytes), Ok(Outcome::Known));
    for sequence in [6, 7] {
        let content = Content { sequence, nodes: Some(nodes(&["421200"])), ..world.content() };
        assert_eq!(world.arrives(&world.signed(&content)), Err("trust.bundle_rolled_back"), "{sequence}");
    }
    assert!(world.arrives(&world.signed(&Content { sequence: 9, ..world.content() })).is_ok());
    assert_eq!(world.state().sequence, 9);
    assert_eq!(world.arrives(&bytes), Err("trust.bundle_rolled_back"));
}

#[test]
fn an_older_list_in_a_newer_bundle_does_not_bring_back_what_was_revoked() {
    let world = World::new();
    let lost = world.province.tls("421200").unwrap();
    let crls = lists(&world.province, &[&lost.serial], NOW_MS);
    let content = Content { crls: crls.clone(), ..world.content() };
    world.arrives(&world.signed(&content)).unwrap();
    assert_eq!(world.verdict(&lost.chain_der, NOW_MS), Err("trust.revoked"));
    // What administrators imported is newer than the bundle's list: it counts.
    let mut other = World::new();
    other.domains = vec![domain(&other.province, &[])];
    let lost = other.province.tls("421200").unwrap();
    let newer: Vec<Crl> = lists(&other.province, &[&lost.serial], NOW_MS + 1000)
        .iter()
        .map(|der| Crl::from_der(der).unwrap())
        .collect();
    *other.domains[0].revocation_mut() = Revocation::Crl { lists: newer, grace_hours: 24 };
    other.arrives(&other.signed(&other.content())).unwrap();
    assert_eq!(other.verdict(&lost.chain_der, NOW_MS), Err("trust.revoked"));
}

#[test]
fn a_stale_bundle_counts_through_its_grace_and_hides_no_revocation() {
    let world = World::new();
    let good = world.province.signing("421200", KeyKind::P256).unwrap();
    let lost = world
        .province
        .leaf(&LeafSpec { not_after_ms: NOW_MS + 700 * DAY_MS, ..LeafSpec::tls(NAME, "420100", NOW_MS) });
    let lost = lost.unwrap();
    let crls = lists(&world.province, &[&lost.serial], NOW_MS);
    world.arrives(&world.signed(&Content { crls, ..world.content() })).unwrap();
    let until_ms = world.content().fresh_until_ms + GRACE_MS;
    assert_eq!(world.state().counts_until_ms, until_ms);
    let chain: Vec<&[u8]> = good.chain_der.iter().map(Vec::as_slice).collect();
    let signing = |at_ms| {
        let verified = world.store().verify(Purpose::Signing, &chain, at_ms);
        verified.map(|verified| verified.good_until_ms).map_err(|error| error.code())
    };
    assert_eq!(signing(until_ms), Ok(until_ms), "the answer tells its own end");
    assert_eq!(signing(until_ms + 1), Err("trust.bundle_stale"));
    assert!(
        world.store().verify_evidence(&chain, until_ms + 1).is_ok(),
        "old evidence does not depend on it"
    );
    assert_eq!(world.verdict(&lost.chain_der, until_ms + 1), Err("trust.revoked"));
}

#[test]
fn an_administrators_suspension_stands_above_the_bundle() {
    let mut world = World::new();
    world.domains[0].suspend("421200".parse().unwrap()).unwrap();
    let content = Content { nodes: Some(nodes(&["421200"])), ..world.content() };
    world.arrives(&world.signed(&content)).unwrap();
    let node = world.province.tls("421200").unwrap();
    assert_eq!(world.verdict(&node.chain_der, NOW_MS), Err("trust.suspended"));
}

#[test]
fn a_bundle_whose_signer_was_revoked_later_still_takes_trust_away_and_gives_none() {
    let mut world = World::new();
    world.domains[0].list_nodes(Some(nodes(&["421200", "420100"]))).unwrap();
    let lost = world.province.tls("420100").unwrap();
    let content = Content {
        nodes: Some(nodes(&["420100", "420200"])),
        crls: lists(&world.province, &[&lost.serial], NOW_MS),
        ..world.content()
    };
    world.arrives(&world.signed(&content)).unwrap();
    let (kept, added) = (world.province.tls("421200").unwrap(), world.province.tls("420200").unwrap());
    assert_eq!(world.verdict(&added.chain_der, NOW_MS), Ok(()));
    // Administrators import a list that revokes the signer, and not the lost node: the newer list counts.
    let imported = lists(&world.province, &[&world.signer.serial, &lost.serial], NOW_MS + 1000);
    let imported = imported.iter().map(|der| Crl::from_der(der).unwrap()).collect();
    *world.domains[0].revocation_mut() = Revocation::Crl { lists: imported, grace_hours: 24 };
    assert_eq!(world.state().refused, Some("trust.revoked"));
    assert_eq!(world.verdict(&added.chain_der, NOW_MS), Err("trust.not_listed"), "what it gave is gone");
    assert_eq!(world.verdict(&kept.chain_der, NOW_MS), Err("trust.not_listed"), "what it took stays taken");
    assert_eq!(world.verdict(&lost.chain_der, NOW_MS), Err("trust.revoked"));
}

#[test]
fn a_kept_bundle_that_was_damaged_stops_the_node_rather_than_bring_older_trust_back() {
    let world = World::new();
    world.arrives(&world.signed(&world.content())).unwrap();
    let file = world.bundles.data_dir.join("trust-bundles/hubei.tongban.bundle.json");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let failed = world.bundles.follow(world.domains[0].clone()).unwrap_err();
    assert_eq!(failed.code(), "trust.config");
    assert!(world.arrives(&world.signed(&Content { sequence: 1, ..world.content() })).is_err());
}

#[test]
fn revocation_is_good_revoked_or_unknown_and_revoked_before_all() {
    let province = Province::new(NAME, &["42"], NOW_MS).unwrap();
    let issued = province.tls("421200").unwrap();
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let with = |revoked: &[&[u8]], keep: &[usize]| {
        let all = lists(&province, revoked, NOW_MS - HOUR_MS);
        let lists = keep.iter().map(|at| Crl::from_der(&all[*at]).unwrap()).collect();
        let mut domain = domain(&province, &[]);
        *domain.revocation_mut() = Revocation::Crl { lists, grace_hours: 24 };
        TrustStore::new(vec![domain]).unwrap()
    };
    let status = |store: &TrustStore, at_ms| store.revocation_status(&chain, at_ms).unwrap();
    let code = |status: Status| match status {
        Status::Unknown(error) => error.code(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(status(&with(&[], &[0, 1]), NOW_MS), Status::Good { .. }));
    assert_eq!(code(status(&with(&[], &[0]), NOW_MS)), "trust.crl_missing");
    assert_eq!(code(status(&with(&[], &[1]), NOW_MS)), "trust.crl_missing");
    let revoked = |status| matches!(status, Status::Revoked { .. });
    assert!(revoked(status(&with(&[&issued.serial], &[0, 1]), NOW_MS)));
    assert!(revoked(status(&with(&[&issued.serial], &[0]), NOW_MS)), "the root's list is missing beside it");
    // The issuing authority revoked by the root, and the authority's own list missing.
    assert!(revoked(status(&with(&[&province.issuing_serial()], &[1]), NOW_MS)));
}

#[test]
fn a_list_past_its_grace_is_unknown_and_revokes_all_the_same() {
    let province = Province::new(NAME, &["42"], NOW_MS).unwrap();
    let spec = LeafSpec { not_after_ms: NOW_MS + 60 * DAY_MS, ..LeafSpec::tls(NAME, "421200", NOW_MS) };
    let issued = province.leaf(&spec).unwrap();
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    let short = |revoked: &[&[u8]]| {
        let ders = province.crl(revoked, NOW_MS, NOW_MS + DAY_MS).unwrap().der;
        let lists = ders.iter().map(|der| Crl::from_der(der).unwrap()).collect();
        let mut domain = domain(&province, &[]);
        *domain.revocation_mut() = Revocation::Crl { lists, grace_hours: 24 };
        TrustStore::new(vec![domain]).unwrap().revocation_status(&chain, NOW_MS + 3 * DAY_MS).unwrap()
    };
    assert!(matches!(short(&[]), Status::Unknown(TrustError::CrlStale { .. })));
    assert!(matches!(short(&[&issued.serial]), Status::Revoked { .. }));
}

#[test]
fn what_is_no_bundle_is_refused_by_its_shape() {
    let world = World::new();
    let good = Envelope::from_json(&world.signed(&world.content())).unwrap();
    let text = String::from_utf8(good.payload.clone()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Envelope { payload: text.replacen(from, to, 1).into_bytes(), ..good.clone() }.to_json()
    };
    let fresh = format!("\"fresh_until_ms\":{}", NOW_MS + 30 * DAY_MS);
    for bytes in [
        with("\"version\":1", "\"version\":2"),
        with("\"version\":1", "\"version\":1,\"more\":0"),
        with("\"version\":1,", ""),
        with("\"sequence\":7", "\"sequence\":-7"),
        with("\"sequence\":7", "\"sequence\":7,\"sequence\":8"),
        with("hubei.tongban", "hubei/tongban"),
        with(&fresh, "\"fresh_until_ms\":0"),
        with(&fresh, &format!("\"fresh_until_ms\":{}", i64::MAX)),
        with("\"42\"", "\"4\""),
        with("\"signer\":[\"", "\"signer\":[\"!"),
        with(
            "\"signer\":[",
            "\"nodes\":[{\"division\":\"421200\",\"keys\":[]},{\"division\":\"421200\",\"keys\":[]}],\"signer\":[",
        ),
        with("\"signer\":[", "\"nodes\":[{\"division\":\"421200\",\"keys\":[\"ab\"]}],\"signer\":["),
        Envelope { payload_type: "application/vnd.tongban.agreement.v1+json".into(), ..good.clone() }
            .to_json(),
        b"{}".to_vec(),
        b"garbage".to_vec(),
        Vec::new(),
        vec![b' '; BUNDLE_BYTES_MAX + 1],
    ] {
        let refused = Bundle::parse(&bytes).unwrap_err();
        assert_eq!(
            refused.code(),
            "trust.bundle_malformed",
            "{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        );
    }
    assert!(Bundle::parse(&good.to_json()).is_ok());
}

#[test]
fn one_issued_in_the_future_is_refused() {
    let world = World::new();
    let content = Content { issued_ms: NOW_MS + HOUR_MS, ..world.content() };
    assert_eq!(world.arrives(&world.signed(&content)), Err("trust.bundle_malformed"));
}

/// What this release wrote in version 1, for every later release to read. Run with `MAKE_VECTOR=1` it was made; it is
/// never overwritten.
#[test]
fn the_frozen_bundle_reads_as_it_was_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let (file, root) = (folder.join("trust_bundle_v1.json"), folder.join("trust_bundle_v1.root.pem"));
    if std::env::var_os("MAKE_VECTOR").is_some() && !file.exists() {
        let world = World::new();
        let keys = BTreeSet::from([[7; 32]]);
        let mut nodes = nodes(&["421200"]);
        nodes.insert("420100".parse().unwrap(), keys);
        let content = Content { nodes: Some(nodes), ..world.content() };
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, world.signed(&content)).unwrap();
        std::fs::write(&root, world.province.root_pem()).unwrap();
    }
    let bytes = std::fs::read(&file).unwrap();
    let content = Bundle::parse(&bytes).unwrap().content().clone();
    assert_eq!((content.domain.as_str(), content.sequence), (NAME, 7));
    assert_eq!((content.issued_ms, content.fresh_until_ms), (1_789_996_400_000, 1_792_592_000_000));
    let listed = content.nodes.clone().unwrap();
    assert_eq!(listed[&"420100".parse().unwrap()], BTreeSet::from([[7; 32]]));
    assert_eq!(listed[&"421200".parse().unwrap()], BTreeSet::new());
    assert_eq!((content.crls.len(), content.intermediates.len(), content.anchors.len()), (2, 1, 1));

    // Old writer, new judge: a domain with that root alone accepts it.
    let anchor = Anchor::from_der(&pem::read_certificate(&root).unwrap(), AnchorState::Active).unwrap();
    let revocation = Revocation::Crl { lists: Vec::new(), grace_hours: 24 };
    let prefixes = vec!["42".parse().unwrap()];
    let domain = TrustDomain::new(NAME.parse().unwrap(), prefixes, vec![anchor], revocation).unwrap();
    let data = tempfile::tempdir().unwrap();
    let bundles = Bundles { data_dir: data.path().to_owned(), grace_hours: GRACE_HOURS };
    assert!(bundles.accept(&[domain], &bytes, NOW_MS).is_ok());
}
