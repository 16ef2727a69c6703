use devpki::Province;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::event::{Act, Administrator, AnchorRecord, Change, CrlRecord, DomainRecord, Role};
use super::log::{AppendError, LOG_FILE, Log, append, plan, read_head, to_hex, write_head};
use super::state::{NotAllowed, step};
use crate::domain::AnchorState::{self, Active, Prepared, Revoked, Tainted};
use crate::{TrustError, TrustStore, pem};

const NOW_MS: i64 = 1_790_000_000_000;

struct Person {
    name: &'static str,
    role: Role,
    pkcs8: Vec<u8>,
}

impl Person {
    fn new(name: &'static str, role: Role) -> Self {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref().to_vec();
        Self { name, role, pkcs8 }
    }

    fn key(&self) -> PrivatePkcs8KeyDer<'_> {
        PrivatePkcs8KeyDer::from(self.pkcs8.as_slice())
    }

    fn registered(&self) -> Administrator {
        let key = to_hex(&pem::public_key(&PrivatePkcs8KeyDer::from(self.pkcs8.clone())).unwrap());
        Administrator { name: self.name.into(), role: self.role, key }
    }
}

/// A trust folder of two provinces under a log, and its three administrators.
struct World {
    folder: tempfile::TempDir,
    system: Person,
    security: Person,
    audit: Person,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            system: Person::new("system-1", Role::System),
            security: Person::new("security-1", Role::Security),
            audit: Person::new("audit-1", Role::Audit),
        };
        devpki::write(world.folder.path(), &devpki::Plan::two_provinces(NOW_MS)).unwrap();
        let (trust_toml, domains) = TrustStore::records(&world.dir()).unwrap();
        let administrators = world.people().map(Person::registered).to_vec();
        world.does(&world.system, Act::Adopt { trust_toml, domains, administrators }).unwrap();
        world
    }

    fn people(&self) -> [&Person; 3] {
        [&self.system, &self.security, &self.audit]
    }

    fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("trust")
    }

    /// Returns the number of the record.
    fn does(&self, who: &Person, act: Act) -> Result<usize, &'static str> {
        append(&self.dir(), who.name, &who.key(), &act, NOW_MS).map(|plan| plan.record).map_err(|error| {
            match error {
                AppendError::Trust(error) => error.code(),
                AppendError::NotAllowed(error) => error.code(),
            }
        })
    }

    fn both(&self, change: Change) -> Result<usize, &'static str> {
        let proposal = self.does(&self.system, Act::Propose { change })?;
        self.does(&self.security, Act::Approve { proposal })
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.dir().join(LOG_FILE)).unwrap()
    }

    fn store(&self) -> Result<TrustStore, &'static str> {
        TrustStore::load(&self.dir()).map_err(|error| error.code())
    }

    fn hubei(&self) -> DomainRecord {
        Log::read(&self.dir()).unwrap().unwrap().state().domains["hubei.tongban"].clone()
    }

    fn root_state(&self, to: AnchorState) -> Change {
        Change::AnchorState {
            domain: "hubei.tongban".into(),
            fingerprint: self.hubei().anchors[0].fingerprint.clone(),
            state: to,
            compromised_from_ms: Some(NOW_MS - 1),
        }
    }
}

fn suspend(division: &str) -> Change {
    Change::NodeSuspend { domain: "hubei.tongban".into(), division: division.into() }
}

/// A new root in the folder, with the record that names it.
fn new_root(world: &World, name: &str, prefix: &str) -> (Province, AnchorRecord) {
    let province = Province::new(name, &[prefix], NOW_MS).unwrap();
    let file = format!("{name}.new.pem");
    std::fs::write(world.dir().join(&file), province.root_pem()).unwrap();
    let fingerprint = to_hex(&crate::domain::fingerprint(province.root_der()));
    (province, AnchorRecord { file, fingerprint, state: Prepared, compromised_from_ms: None })
}

fn domain(name: &str, prefix: &str, anchor: AnchorRecord) -> Change {
    let (name, divisions) = (name.into(), vec![prefix.into()]);
    let (crls, anchors, suspended) = (Vec::new(), vec![anchor], Vec::new());
    let domain = DomainRecord {
        name,
        divisions,
        crl: false,
        crl_grace_hours: 0,
        crls,
        anchors,
        suspended,
        nodes: None,
    };
    Change::DomainAdd { domain }
}

#[test]
fn an_adopted_folder_trusts_whom_it_trusted_before() {
    let world = World::new();
    let store = world.store().unwrap();
    assert_eq!(store.domains().len(), 2);
    assert_eq!(store.administration().unwrap().head().records, 1);
    // Another one confirms; nobody takes over twice.
    assert_eq!(world.does(&world.system, Act::Confirm { record: 1 }), Err("trust.same_person"));
    assert_eq!(world.does(&world.security, Act::Confirm { record: 1 }), Ok(2));
    let again = Act::Adopt { trust_toml: String::new(), domains: vec![], administrators: vec![] };
    assert_eq!(world.does(&world.system, again), Err("trust.adoption"));
}

#[test]
fn trust_toml_edited_behind_the_log_is_refused() {
    let world = World::new();
    let file = world.dir().join("trust.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.clone() + "\n").unwrap();
    assert_eq!(world.store().unwrap_err(), "trust.config");
    std::fs::write(&file, text).unwrap();
    assert!(world.store().is_ok());
    std::fs::remove_file(&file).unwrap();
    assert!(world.store().is_ok(), "the log alone is enough");
}

#[test]
fn a_new_domain_takes_two_people_and_its_root_begins_unused() {
    let world = World::new();
    let (province, anchor) = new_root(&world, "jiangxi.tongban", "36");
    let change = domain("jiangxi.tongban", "36", anchor.clone());
    assert_eq!(world.does(&world.system, Act::Emergency { change: change.clone() }), Err("trust.needs_two"));
    assert_eq!(world.does(&world.security, Act::Propose { change: change.clone() }), Err("trust.wrong_role"));
    let proposal = world.does(&world.system, Act::Propose { change }).unwrap();
    assert_eq!(world.store().unwrap().domains().len(), 2, "a proposal changes nothing");
    assert_eq!(world.does(&world.system, Act::Approve { proposal }), Err("trust.wrong_role"));
    assert_eq!(world.does(&world.audit, Act::Approve { proposal }), Err("trust.wrong_role"));
    world.does(&world.security, Act::Approve { proposal }).unwrap();
    assert_eq!(world.does(&world.security, Act::Approve { proposal }), Err("trust.nothing_waits"));

    let tls = province.tls("360100").unwrap();
    let chain: Vec<&[u8]> = tls.chain_der.iter().map(Vec::as_slice).collect();
    let verdict = |world: &World| {
        let verified = world.store().unwrap().verify(crate::Purpose::Tls, &chain, NOW_MS);
        verified.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(verdict(&world), Err("trust.anchor_prepared"));
    let state = |state| Change::AnchorState {
        domain: "jiangxi.tongban".into(),
        fingerprint: anchor.fingerprint.clone(),
        state,
        compromised_from_ms: None,
    };
    world.both(state(Active)).unwrap();
    assert_eq!(verdict(&world), Ok(()));
    // One person, at once.
    world.does(&world.security, Act::Emergency { change: state(Tainted) }).unwrap();
    assert_eq!(verdict(&world), Err("trust.anchor_tainted"));
}

#[test]
fn nobody_gets_a_prefix_or_a_root_that_another_has() {
    let world = World::new();
    let (_, anchor) = new_root(&world, "jiangxi.tongban", "36");
    for taken in ["43", "4306", "42"] {
        let change = domain("jiangxi.tongban", taken, anchor.clone());
        assert_eq!(world.does(&world.system, Act::Propose { change }), Err("trust.unfit"), "{taken}");
    }
    let stolen = AnchorRecord { state: Prepared, ..world.hubei().anchors[0].clone() };
    let change = domain("jiangxi.tongban", "36", stolen);
    assert_eq!(world.does(&world.system, Act::Propose { change }), Err("trust.unfit"));
    // Disjoint when it is approved, and not only when it was proposed.
    let propose = |name: &str| {
        let (_, anchor) = new_root(&world, name, "36");
        world.does(&world.system, Act::Propose { change: domain(name, "36", anchor) }).unwrap()
    };
    let (first, second) = (propose("jiangxi.tongban"), propose("gan.tongban"));
    world.does(&world.security, Act::Approve { proposal: first }).unwrap();
    assert_eq!(world.does(&world.security, Act::Approve { proposal: second }), Err("trust.unfit"));
}

#[test]
fn one_person_suspends_at_once_another_confirms_and_resuming_takes_two() {
    let world = World::new();
    let record = world.does(&world.security, Act::Emergency { change: suspend("421200") }).unwrap();
    assert!(world.store().unwrap().domains().iter().any(|domain| !domain.suspended().is_empty()));
    let waits = || Log::read(&world.dir()).unwrap().unwrap().state().unconfirmed.contains_key(&record);
    assert!(waits(), "it shows as unconfirmed");
    assert_eq!(world.does(&world.security, Act::Confirm { record }), Err("trust.same_person"));
    assert_eq!(world.does(&world.audit, Act::Confirm { record }), Err("trust.wrong_role"));
    world.does(&world.system, Act::Confirm { record }).unwrap();
    assert!(!waits());
    let resume = Change::NodeResume { domain: "hubei.tongban".into(), division: "421200".into() };
    assert_eq!(
        world.does(&world.security, Act::Emergency { change: resume.clone() }),
        Err("trust.needs_two")
    );
    world.both(resume).unwrap();
    assert!(world.hubei().suspended.is_empty());
    assert_eq!(world.does(&world.system, Act::Emergency { change: suspend("430600") }), Err("trust.unfit"));
}

#[test]
fn a_revocation_keeps_since_when_the_key_counts_as_lost_and_nothing_follows_it() {
    let world = World::new();
    world.does(&world.system, Act::Emergency { change: world.root_state(Revoked) }).unwrap();
    assert_eq!(world.hubei().anchors[0].compromised_from_ms, Some(NOW_MS - 1));
    assert_eq!(world.both(world.root_state(Active)), Err("trust.step"));
}

#[test]
fn anchor_states_follow_in_one_order() {
    let allowed = [
        (Prepared, Active),
        (Active, Tainted),
        (Tainted, Active),
        (Prepared, Revoked),
        (Active, Revoked),
        (Tainted, Revoked),
    ];
    for from in [Prepared, Active, Tainted, Revoked] {
        for to in [Prepared, Active, Tainted, Revoked] {
            let expected =
                if allowed.contains(&(from, to)) { Ok(to) } else { Err(NotAllowed::Step { from, to }) };
            assert_eq!(step(from, to), expected);
        }
    }
}

#[test]
fn an_older_list_than_the_one_seen_is_a_rollback() {
    let world = World::new();
    let record = &world.hubei().crls[0];
    let older = CrlRecord { this_update_ms: record.this_update_ms - 1, ..record.clone() };
    let import = |crl| Act::CrlImport { domain: "hubei.tongban".into(), crl };
    assert_eq!(world.does(&world.system, import(older)), Err("trust.unfit"));
    let newer = CrlRecord { this_update_ms: record.this_update_ms + 1, ..record.clone() };
    world.does(&world.system, import(newer)).unwrap();
    assert_eq!(world.store().unwrap_err(), "trust.crl_invalid", "the file is still the old one");
}

#[test]
fn the_last_of_a_role_stays_and_a_key_is_one_persons() {
    let world = World::new();
    let remove = Change::AdministratorRemove { name: "audit-1".into() };
    assert_eq!(world.both(remove), Err("trust.administrators"));
    let twice = Administrator { name: "system-2".into(), ..world.system.registered() };
    let twice = Change::AdministratorAdd { administrator: twice };
    assert_eq!(world.both(twice), Err("trust.administrators"));
    // Another's key does not sign for one.
    let act = Act::Emergency { change: suspend("421200") };
    let forged = append(&world.dir(), "security-1", &world.system.key(), &act, NOW_MS).unwrap_err();
    assert!(matches!(forged, AppendError::Trust(TrustError::KeyMismatch)), "{forged}");
    assert_eq!(world.does(&world.audit, Act::Review { through: 1 }), Ok(2));
}

#[test]
fn a_plan_writes_nothing() {
    let world = World::new();
    let before = world.bytes();
    let made =
        plan(&world.dir(), "security-1", &Act::Emergency { change: suspend("421200") }, NOW_MS).unwrap();
    assert_eq!((made.record, made.after.unconfirmed.len()), (2, 2));
    assert_eq!(world.bytes(), before);
}

#[test]
fn every_changed_byte_removed_line_and_other_order_is_found() {
    let world = World::new();
    world.does(&world.security, Act::Emergency { change: suspend("421200") }).unwrap();
    world.does(&world.security, Act::Emergency { change: suspend("420100") }).unwrap();
    world.does(&world.audit, Act::Review { through: 3 }).unwrap();
    let good = world.bytes();
    let head = Log::parse(&good).unwrap().head();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x01;
        // A line end that is none makes the tail torn or joins two lines: then it is the seen head that tells.
        let found = Log::parse(&bytes).and_then(|log| log.continues(&head));
        assert!(found.is_err(), "byte {at} was changed unnoticed");
    }
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 4);
    for gone in 0..3 {
        let rest: Vec<u8> = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != gone)
            .flat_map(|(_, line)| line.to_vec())
            .collect();
        assert_eq!(Log::parse(&rest).unwrap_err().code(), "trust.log_tampered", "without line {gone}");
    }
    for at in 0..3 {
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        assert_eq!(Log::parse(&swapped.concat()).unwrap_err().code(), "trust.log_tampered");
    }
    for kept in 0..4 {
        let cut = Log::parse(&lines[..kept].concat()).unwrap();
        assert_eq!(cut.continues(&head).unwrap_err().code(), "trust.log_rolled_back", "cut after {kept}");
    }
}

#[test]
fn a_node_that_has_seen_the_log_finds_that_it_is_gone() {
    let world = World::new();
    let data = tempfile::tempdir().unwrap();
    assert_eq!(read_head(data.path()), Ok(None));
    write_head(data.path(), &world.store().unwrap().administration().unwrap().head()).unwrap();
    let seen = read_head(data.path()).unwrap();
    world.does(&world.security, Act::Emergency { change: suspend("421200") }).unwrap();
    assert_eq!(world.store().unwrap().continues(seen.as_ref()), Ok(()), "it went on");
    std::fs::remove_file(world.dir().join(LOG_FILE)).unwrap();
    let code = world.store().unwrap().continues(seen.as_ref()).unwrap_err().code();
    assert_eq!(code, "trust.log_rolled_back");
}

#[test]
fn a_crash_while_a_record_is_written_leaves_the_log_as_it_was() {
    let world = World::new();
    let before = world.bytes();
    world.does(&world.security, Act::Emergency { change: suspend("421200") }).unwrap();
    let whole = world.bytes();
    for end in before.len()..whole.len() {
        std::fs::write(world.dir().join(LOG_FILE), &whole[..end]).unwrap();
        let log = Log::read(&world.dir()).unwrap().unwrap();
        assert_eq!((log.records().len(), log.torn()), (1, end > before.len()));
    }
    world.does(&world.security, Act::Emergency { change: suspend("420100") }).unwrap();
    assert_eq!(Log::read(&world.dir()).unwrap().unwrap().records().len(), 2);
}

fn list(nodes: &[(&str, &[String])]) -> Change {
    let nodes = nodes.iter().map(|(division, keys)| ((*division).to_owned(), keys.to_vec())).collect();
    Change::NodeAdd { domain: "hubei.tongban".into(), nodes }
}

#[test]
fn nodes_are_listed_and_removed_by_two_people_and_only_listed_ones_open_anything() {
    let world = World::new();
    let province = Province::open(&world.folder.path().join("ca/hubei.tongban"), NOW_MS).unwrap();
    let verdict = |issued: &devpki::Issued| {
        let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
        let verified = world.store().unwrap().verify(crate::Purpose::Tls, &chain, NOW_MS);
        verified.map(|verified| verified.spki_der).map_err(|error| error.code())
    };
    let (one, other) = (province.tls("421200").unwrap(), province.tls("420100").unwrap());
    assert!(verdict(&one).is_ok() && verdict(&other).is_ok(), "without a list everybody counts");
    let alone = world.does(&world.security, Act::Emergency { change: list(&[("421200", &[])]) });
    assert_eq!(alone, Err("trust.needs_two"));
    world.both(list(&[("421200", &[])])).unwrap();
    assert!(verdict(&one).is_ok());
    assert_eq!(verdict(&other), Err("trust.not_listed"));
    assert_eq!(world.both(list(&[("421200", &[])])), Err("trust.unfit"), "nothing would change");

    // Listed with a key, the node may show that one alone.
    let key = to_hex(&crate::domain::fingerprint(&verdict(&one).unwrap()));
    world.both(list(&[("421200", &["00".repeat(32)])])).unwrap();
    assert_eq!(verdict(&one), Err("trust.key_not_listed"));
    world.both(list(&[("421200", &["00".repeat(32), key])])).unwrap();
    assert!(verdict(&one).is_ok());

    let remove = |division: &str| Change::NodeRemove {
        domain: "hubei.tongban".into(),
        divisions: vec![division.into()],
    };
    assert_eq!(world.both(remove("420100")), Err("trust.unfit"));
    let alone = world.does(&world.system, Act::Emergency { change: remove("421200") });
    assert_eq!(alone, Err("trust.needs_two"));
    world.both(remove("421200")).unwrap();
    assert_eq!(verdict(&one), Err("trust.not_listed"), "an empty list is nobody");
    let any = Change::NodeAny { domain: "hubei.tongban".into() };
    world.both(any.clone()).unwrap();
    assert!(verdict(&one).is_ok() && verdict(&other).is_ok());
    assert_eq!(world.both(any), Err("trust.unfit"));
    assert_eq!(world.both(remove("421200")), Err("trust.unfit"));
}

#[test]
fn a_suspension_stands_above_the_list() {
    let world = World::new();
    world.both(list(&[("421200", &[])])).unwrap();
    world.does(&world.security, Act::Emergency { change: suspend("421200") }).unwrap();
    let hubei = world
        .store()
        .unwrap()
        .domains()
        .iter()
        .find(|one| one.speaks_for("421200".parse().unwrap()))
        .cloned();
    let code = hubei.unwrap().check_node("421200".parse().unwrap(), b"").unwrap_err().code();
    assert_eq!(code, "trust.suspended");
}

#[test]
fn what_cannot_be_listed_is_refused() {
    let world = World::new();
    let none: &[String] = &[];
    let many = vec!["00".repeat(32); crate::limits::NODE_KEYS_MAX + 1];
    let short = ["00".repeat(31)];
    for nodes in [
        &[][..],
        &[("430600", none)],
        &[("42120", none)],
        &[("421200", &many[..])],
        &[("421200", &short[..])],
        &[("421200", none), ("430600", none)],
    ] {
        assert_eq!(world.both(list(nodes)), Err("trust.unfit"), "{nodes:?}");
    }
    assert_eq!(world.hubei().nodes, None);
}

/// Logs written before nodes were listed: their bytes are folded as they always were.
#[test]
fn a_record_without_a_list_of_nodes_reads_and_writes_as_it_always_did() {
    let old = r#"{"name":"hubei.tongban","divisions":["42"],"crl":false,"crl_grace_hours":0,"crls":[],"anchors":[],"suspended":[]}"#;
    let record: DomainRecord = serde_json::from_str(old).unwrap();
    assert_eq!(record.nodes, None);
    assert_eq!(serde_json::to_string(&record).unwrap(), old);
}
