//! Certificates, revocation lists, PEM files and trust folders.

use certs::administration::Log;
use certs::bundle::accepted::Bundles;
use certs::bundle::{Bundle, PAYLOAD_TYPE};
use certs::{Crl, Purpose, Revocation, TrustDomain, TrustStore};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// The authorities of the corpus, and what they issued.
pub(super) struct Known {
    pub(super) store: TrustStore,
    /// When the corpus was made, Unix ms: the instant of every judgement.
    at_ms: i64,
    /// Public keys of every leaf that is good.
    keys: BTreeSet<Vec<u8>>,
    /// The revocation lists that an authority signed.
    lists: Vec<Vec<u8>>,
}

pub(super) static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let folder = super::folder().join("trust");
    let store = TrustStore::load(&folder)
        .expect("the corpus has a trust folder: cargo run -p tests --example make_fuzz_corpus");
    let at = std::fs::read_to_string(folder.join("instant")).expect("the corpus has an instant");
    let at_ms = at.trim().parse().expect("a number");
    let mut keys = BTreeSet::new();
    for file in files(&folder.join("issued")) {
        let chain = certs::pem::read_chain(&file).expect("a chain");
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        for purpose in [Purpose::Tls, Purpose::Signing] {
            keys.extend(store.verify(purpose, &chain, at_ms).map(|verified| verified.spki_der));
        }
    }
    assert!(!keys.is_empty(), "good certificates are good");
    let lists = files(&folder.join("lists"));
    let lists = lists.iter().map(|file| std::fs::read(file).expect("a list is readable")).collect();
    Known { store, at_ms, keys, lists }
});

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of the corpus").flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// A chain as a peer presents it: certificates with their length, two bytes big endian, before each.
pub(super) fn chain(bytes: &[u8]) {
    let mut chain = Vec::new();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (certificate, behind) = behind.split_at(length);
        chain.push(certificate);
        rest = behind;
    }
    judge(&chain);
}

/// Whoever is believed has a key that an authority certified, and speaks for its own city.
pub(super) fn judge(chain: &[&[u8]]) {
    let known = &*KNOWN;
    for at_ms in [known.at_ms, 0, i64::MAX, i64::MIN] {
        let verdicts = [
            known.store.verify(Purpose::Tls, chain, at_ms),
            known.store.verify(Purpose::Signing, chain, at_ms),
            known.store.verify_evidence(chain, at_ms),
        ];
        for verified in verdicts.iter().flatten() {
            assert!(known.keys.contains(&verified.spki_der), "a stranger's key is believed");
            let domain = known.store.domains().iter().find(|domain| *domain.name() == verified.id.domain);
            assert!(domain.expect("a known domain").speaks_for(verified.id.division));
            assert!(verified.not_before_ms <= at_ms && at_ms <= verified.good_until_ms);
        }
        assert!(verdicts[0].is_err() || verdicts[1].is_err(), "one certificate has one purpose");
    }
}

/// A revocation list in DER, put in the place of one that an authority signed: it vouches for nobody,
/// unless it is that one.
pub(super) fn crl(bytes: &[u8]) {
    let Ok(list) = Crl::from_der(bytes) else { return };
    let known = &*KNOWN;
    let _ = (list.this_update_ms(), list.next_update_ms());
    for domain in known.store.domains() {
        let Revocation::Crl { lists, grace_hours } = domain.revocation() else { continue };
        for place in 0..lists.len() {
            let mut lists = lists.clone();
            lists[place] = list.clone();
            let revocation = Revocation::Crl { lists, grace_hours: *grace_hours };
            let changed = TrustDomain::new(
                domain.name().clone(),
                domain.prefixes().to_vec(),
                domain.anchors().to_vec(),
                revocation,
            );
            let Ok(store) = changed.and_then(|domain| TrustStore::new(vec![domain])) else { continue };
            if known.lists.iter().any(|genuine| genuine == bytes) {
                continue;
            }
            for file in &*CHAINS {
                let chain: Vec<&[u8]> = file.iter().map(Vec::as_slice).collect();
                for purpose in [Purpose::Tls, Purpose::Signing] {
                    let verdict = store.verify(purpose, &chain, known.at_ms);
                    assert!(verdict.is_err(), "a list that nobody signed vouches for somebody");
                }
            }
        }
    }
}

static CHAINS: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
    let issued = super::folder().join("trust/issued");
    files(&issued).iter().map(|file| certs::pem::read_chain(file).expect("a chain")).collect()
});

/// A PEM file as each of its readers takes it.
pub(super) fn pem(bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = super::scratch("file.pem");
    std::fs::write(&path, bytes).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    if let Ok(chain) = certs::pem::read_chain(&path) {
        assert!((1..=certs::limits::CHAIN_CERTIFICATES_MAX).contains(&chain.len()));
        judge(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let _ = certs::not_after_ms(&chain);
    }
    let _ = certs::pem::read_certificate(&path);
    if let Ok(key) = certs::pem::read_key(&path) {
        let _ = certs::pem::public_key(&key);
    }
}

/// `trust.toml` in a folder with the corpus's certificates: divisions never overlap.
pub(super) fn trust_toml(bytes: &[u8]) {
    let folder = super::scratch("trust");
    if !folder.exists() {
        std::fs::create_dir(&folder).expect("made");
        for file in files(&super::folder().join("trust")).iter().filter(|file| file.is_file()) {
            std::fs::copy(file, folder.join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    std::fs::write(folder.join("trust.toml"), bytes).expect("written");
    let Ok(store) = TrustStore::load(&folder) else { return };
    let prefixes = store.domains().iter().flat_map(TrustDomain::prefixes);
    let prefixes: Vec<String> = prefixes.map(ToString::to_string).collect();
    for (place, prefix) in prefixes.iter().enumerate() {
        let covers = |one: &str, other: &str| one.starts_with(other) || other.starts_with(one);
        let apart = !prefixes[..place].iter().any(|other| covers(prefix, other));
        assert!(apart, "two authorities speak for one city");
    }
    assert!(store.domains().iter().all(|domain| !domain.anchors().is_empty()));
    assert!(store.files().iter().all(|file| file.starts_with(&folder)), "nothing outside matters");
}

/// The administration log: whatever is believed, administrators signed, from the first record on.
pub(super) fn administration(bytes: &[u8]) {
    static GENUINE: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| super::seeds("administration").into_iter().map(|(_, bytes)| bytes).collect());
    let Ok(log) = Log::parse(bytes) else { return };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    assert!(GENUINE.iter().any(|log| log.starts_with(&bytes[..whole])), "a record that nobody signed counts");
    assert_eq!(log.torn(), whole < bytes.len());
    assert_eq!(log.continues(&log.head()), Ok(()));
}

/// A trust bundle, as a file or as the payload inside: what is accepted is what the province signed.
pub(super) fn bundle(bytes: &[u8]) {
    static GENUINE: LazyLock<([u8; 32], TrustDomain)> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../certs/tests/vectors");
        let vector = std::fs::read(folder.join("trust_bundle_v1.json")).expect("the vector");
        let root = certs::pem::read_certificate(&folder.join("trust_bundle_v1.root.pem")).expect("its root");
        let anchor = certs::Anchor::from_der(&root, certs::AnchorState::Active).expect("an anchor");
        let revocation = Revocation::Crl { lists: Vec::new(), grace_hours: 24 };
        let name = "hubei.tongban".parse().expect("a name");
        let prefixes = vec!["42".parse().expect("a prefix")];
        let domain = TrustDomain::new(name, prefixes, vec![anchor], revocation).expect("a domain");
        (*Bundle::parse(&vector).expect("a bundle").digest(), domain)
    });
    let (digest, domain) = &*GENUINE;
    let data_dir = super::scratch("bundles");
    let bundles = Bundles { data_dir, grace_hours: 720 };
    let judge = |bundle: &Bundle| {
        let content = bundle.content();
        for at_ms in [content.issued_ms, i64::MAX, 0, i64::MIN] {
            if bundles.judge(std::slice::from_ref(domain), bundle, at_ms).is_ok() {
                assert_eq!(bundle.digest(), digest, "a bundle that nobody signed is accepted");
            }
        }
    };
    if let Ok(bundle) = Bundle::parse(bytes) {
        judge(&bundle);
    }
    // The payload alone, in an envelope that nobody signed.
    let signature = format!("{{\"keyid\":\"\",\"sig\":\"{}\"}}", "A".repeat(88));
    let payload = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let envelope = format!(
        "{{\"payloadType\":\"{PAYLOAD_TYPE}\",\"payload\":\"{payload}\",\"signatures\":[{signature}]}}"
    );
    if let Ok(bundle) = Bundle::parse(envelope.as_bytes()) {
        let content = bundle.content();
        assert!(content.fresh_until_ms > content.issued_ms);
        let at_ms = content.issued_ms;
        let judged = bundles.judge(std::slice::from_ref(domain), &bundle, at_ms);
        assert!(judged.is_err(), "a bundle that nobody signed is accepted");
    }
}
