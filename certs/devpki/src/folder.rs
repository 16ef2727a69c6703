//! Hierarchies on disk.
//!
//! [`write()`] makes a new folder with everything that its nodes need; [`join`] and [`revoke`] open it again:
//!
//! ```text
//! DIR/trust/trust.toml, <domain>.root.pem, <domain>.crl.pem     what every node trusts (with SM2 <domain>.sm2-root.pem)
//! DIR/ca/<domain>/{root,issuing}.{pem,key}, divisions, revoked  what only the domain's operator has (with SM2 sm2-root, sm2-issuing)
//! DIR/nodes/<division>/{tls,signing}.{pem,key}                  what only that node has
//! ```
//!
//! Key files are created with mode 0600 and folders with 0700, never loosened or tightened afterwards. Files are
//! created, not overwritten; the exception is a revocation list, which is replaced whole, by rename.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::PkiError;
use crate::leaf::{DAY_MS, HOUR_MS, Issued, KeyKind};
use crate::province::{Authority, Province, Revocation, Sm2Authorities, check_domain_name, check_prefix};
use crate::sm2::AnyKey;

/// Nodes accept a revocation list this long after its time is up.
const CRL_GRACE_HOURS: u32 = 168;
/// How long a written revocation list is good for.
const CRL_DAYS: i64 = 90;

const KEY_MODE: u32 = 0o600;
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o700;

/// What [`write()`] makes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// "Now" for every certificate, Unix ms.
    pub now_ms: i64,
    /// The trust domains.
    pub provinces: Vec<ProvincePlan>,
}

/// One trust domain of a [`Plan`].
#[derive(Clone, Debug)]
pub struct ProvincePlan {
    /// The trust domain's name.
    pub domain: String,
    /// The division prefixes that it may speak for.
    pub prefixes: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<NodePlan>,
}

/// One node of a [`ProvincePlan`].
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Six digits.
    pub division: String,
    /// The algorithm of its signing key; TLS keys are P-256.
    pub signing: KeyKind,
}

impl Plan {
    /// Two provinces with a city each: `hunan.tongban` with 430600 (岳阳), `hubei.tongban` with 421200 (咸宁).
    pub fn two_provinces(now_ms: i64) -> Self {
        let province = |domain: &str, prefix: &str, division: &str| ProvincePlan {
            domain: domain.to_owned(),
            prefixes: vec![prefix.to_owned()],
            nodes: vec![NodePlan::new(division)],
        };
        Self {
            now_ms,
            provinces: vec![
                province("hunan.tongban", "43", "430600"),
                province("hubei.tongban", "42", "421200"),
            ],
        }
    }
}

impl NodePlan {
    /// A node with a P-256 signing key.
    pub fn new(division: &str) -> Self {
        Self { division: division.to_owned(), signing: KeyKind::P256 }
    }
}

/// Writes new hierarchies to `dir`, which is made if absent.
///
/// A failure half way leaves a folder that is not complete; remove it and begin again.
///
/// # Errors
/// [`PkiError::NotEmpty`] when `dir` holds anything; otherwise what the plan's values or the file system refuse.
pub fn write(dir: &Path, plan: &Plan) -> Result<(), PkiError> {
    refuse_unless_empty(dir)?;
    make_folder(dir)?;
    let trust = dir.join("trust");
    for folder in [&trust, &dir.join("ca"), &dir.join("nodes")] {
        make_folder(folder)?;
    }
    let mut trust_toml = String::from("# Which trust domains this node trusts, and for which divisions.\n");
    for planned in &plan.provinces {
        let prefixes: Vec<&str> = planned.prefixes.iter().map(String::as_str).collect();
        let mut province = Province::new(&planned.domain, &prefixes, plan.now_ms)?;
        if planned.nodes.iter().any(|node| node.signing == KeyKind::Sm2) {
            province = province.with_sm2()?;
        }
        let ca = dir.join("ca").join(province.name());
        make_folder(&ca)?;
        let sm2 =
            province.sm2.iter().flat_map(|sm2| [("sm2-root", &sm2.root), ("sm2-issuing", &sm2.issuing)]);
        for (name, authority) in
            [("root", &province.root), ("issuing", &province.issuing)].into_iter().chain(sm2)
        {
            create(&ca.join(format!("{name}.pem")), &authority.certificate_pem, FILE_MODE)?;
            create(&ca.join(format!("{name}.key")), &authority.key_pem, KEY_MODE)?;
        }
        create(&ca.join("divisions"), &(planned.prefixes.join("\n") + "\n"), FILE_MODE)?;
        create(&ca.join("revoked"), "", FILE_MODE)?;
        create(&trust.join(format!("{}.root.pem", province.name())), province.root_pem(), FILE_MODE)?;
        if let Some(sm2) = &province.sm2 {
            let file = trust.join(format!("{}.sm2-root.pem", province.name()));
            create(&file, &sm2.root.certificate_pem, FILE_MODE)?;
        }
        let crls = province.crl(&[], plan.now_ms - HOUR_MS, plan.now_ms + CRL_DAYS * DAY_MS)?;
        create(&trust.join(format!("{}.crl.pem", province.name())), &crls.pem, FILE_MODE)?;
        push_domain(&mut trust_toml, &province);
        for node in &planned.nodes {
            issue_to_node(dir, &province, node)?;
        }
    }
    create(&trust.join("trust.toml"), &trust_toml, FILE_MODE)
}

/// Issues both certificates to one more node of a province that [`write()`] made.
///
/// # Errors
/// [`PkiError::File`] when the node's folder exists already, or the province's does not.
pub fn join(dir: &Path, domain: &str, node: &NodePlan, now_ms: i64) -> Result<(), PkiError> {
    check_domain_name(domain)?;
    let province = Province::open(&dir.join("ca").join(domain), now_ms)?;
    issue_to_node(dir, &province, node)
}

/// Revokes certificates of a province that [`write()`] made and replaces its revocation lists.
///
/// Earlier revocations stay. `serials` as in [`Issued::serial`]. After a crash the record of revocations may be
/// ahead of the lists; the next call publishes it.
///
/// # Errors
/// [`PkiError::File`] or [`PkiError::Content`] when the province's folder does not read.
pub fn revoke(dir: &Path, domain: &str, serials: &[&[u8]], now_ms: i64) -> Result<(), PkiError> {
    check_domain_name(domain)?;
    let ca = dir.join("ca").join(domain);
    let province = Province::open(&ca, now_ms)?;
    let record = ca.join("revoked");
    let mut revoked = parse_revoked(&record, &read(&record)?)?;
    for serial in serials {
        if !revoked.iter().any(|known| known.serial == *serial) {
            revoked.push(Revocation {
                serial: serial.to_vec(),
                revoked_ms: now_ms,
                compromised_from_ms: None,
            });
        }
    }
    replace(&record, &print_revoked(&revoked))?;
    let crls = province.crl_of(&revoked, now_ms, now_ms + CRL_DAYS * DAY_MS)?;
    replace(&dir.join("trust").join(format!("{domain}.crl.pem")), &crls.pem)
}

impl Province {
    /// Opens a province from its folder `DIR/ca/<domain>` to issue more; its name is the folder's.
    ///
    /// # Errors
    /// [`PkiError::File`] or [`PkiError::Content`] when a file is absent or is not what it should be.
    pub fn open(ca: &Path, now_ms: i64) -> Result<Self, PkiError> {
        let name = ca.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let authority = |which: &str| {
            let key_path = ca.join(format!("{which}.key"));
            let key = AnyKey::from_pem(&read(&key_path)?)
                .map_err(|error| PkiError::Content { path: key_path, reason: error.to_string() })?;
            Authority::new(read(&ca.join(format!("{which}.pem")))?, key)
        };
        let prefixes = read(&ca.join("divisions"))?.lines().map(check_prefix).collect::<Result<_, _>>()?;
        let sm2 = match ca.join("sm2-root.key").exists() {
            true => Some(Sm2Authorities { root: authority("sm2-root")?, issuing: authority("sm2-issuing")? }),
            false => None,
        };
        Self::from_parts(name, prefixes, now_ms, authority("root")?, authority("issuing")?, sm2)
    }
}

fn issue_to_node(dir: &Path, province: &Province, node: &NodePlan) -> Result<(), PkiError> {
    let tls = province.tls(&node.division)?;
    let signing = province.signing(&node.division, node.signing)?;
    let folder = dir.join("nodes").join(&node.division);
    make_folder(&folder)?;
    let put = |name: &str, issued: &Issued| {
        create(&folder.join(format!("{name}.pem")), &issued.chain_pem, FILE_MODE)?;
        create(&folder.join(format!("{name}.key")), &issued.key_pem, KEY_MODE)
    };
    put("tls", &tls)?;
    put("signing", &signing)
}

fn push_domain(trust_toml: &mut String, province: &Province) {
    let name = province.name();
    let divisions: Vec<String> = province.prefixes().iter().map(|prefix| format!("\"{prefix}\"")).collect();
    write!(
        trust_toml,
        "\n[[domain]]\nname = \"{name}\"\ndivisions = [{}]\nrevocation = \"crl\"\n\
         crl_grace_hours = {CRL_GRACE_HOURS}\ncrls = [\"{name}.crl.pem\"]\nsuspended = []\n\n  \
         [[domain.anchor]]\n  file = \"{name}.root.pem\"\n  state = \"active\"\n",
        divisions.join(", "),
    )
    .expect("a String takes every write");
    if province.sm2.is_some() {
        write!(trust_toml, "\n  [[domain.anchor]]\n  file = \"{name}.sm2-root.pem\"\n  state = \"active\"\n")
            .expect("a String takes every write");
    }
}

/// One line per revocation: serial in hex, Unix ms.
fn print_revoked(revoked: &[Revocation]) -> String {
    let mut text = String::new();
    for revocation in revoked {
        let serial: String = revocation.serial.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{serial} {}", revocation.revoked_ms).expect("a String takes every write");
    }
    text
}

fn parse_revoked(path: &Path, text: &str) -> Result<Vec<Revocation>, PkiError> {
    let parse_line = |line: &str| {
        let (serial, revoked_ms) = line.split_once(' ')?;
        let serial = serial
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        Some(Revocation {
            serial: serial.collect::<Option<_>>()?,
            revoked_ms: revoked_ms.parse().ok()?,
            compromised_from_ms: None,
        })
    };
    text.lines()
        .map(|line| {
            parse_line(line).ok_or_else(|| PkiError::Content {
                path: path.to_owned(),
                reason: format!("not a revocation: {line:?}"),
            })
        })
        .collect()
}

fn refuse_unless_empty(dir: &Path) -> Result<(), PkiError> {
    let mut entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(at(dir))?,
    };
    if entries.next().is_some() { Err(PkiError::NotEmpty(dir.to_owned())) } else { Ok(()) }
}

fn make_folder(path: &Path) -> Result<(), PkiError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(at(path)),
    }
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(at(path))
}

fn replace(path: &Path, text: &str) -> Result<(), PkiError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    // A leftover of a crash; it was never in effect.
    let _ = std::fs::remove_file(fresh);
    create(fresh, text, FILE_MODE)?;
    std::fs::rename(fresh, path).map_err(at(path))
}

fn read(path: &Path) -> Result<String, PkiError> {
    std::fs::read_to_string(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError + '_ {
    |source| PkiError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_default_plan_writes_keys_that_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("pki");
        write(&dir, &Plan::two_provinces(NOW_MS)).unwrap();
        for key in ["ca/hunan.tongban/root.key", "ca/hubei.tongban/issuing.key", "nodes/430600/tls.key"] {
            assert_eq!(mode(&dir.join(key)), 0o600, "{key}");
        }
        assert_eq!(mode(&dir.join("nodes/421200")), 0o700);
        assert!(dir.join("nodes/421200/signing.pem").is_file());
        assert!(dir.join("trust/hubei.tongban.crl.pem").is_file());
    }

    #[test]
    fn a_folder_that_holds_anything_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("note.txt"), "mine").unwrap();
        let refused = write(dir.path(), &Plan::two_provinces(NOW_MS));
        assert!(matches!(refused, Err(PkiError::NotEmpty(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reopened_province_is_the_same_authority() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &Plan::two_provinces(NOW_MS)).unwrap();
        let ca = dir.path().join("ca/hunan.tongban");
        let first = Province::open(&ca, NOW_MS).unwrap();
        let second = Province::open(&ca, NOW_MS).unwrap();
        assert_eq!(first.root_der(), second.root_der());
        assert_eq!(first.prefixes(), ["43"]);
        assert!(first.signing("430100", KeyKind::Ed25519).is_ok());
        assert!(matches!(first.tls("421200"), Err(PkiError::ForeignDivision { .. })));
    }

    #[test]
    fn a_node_joins_once() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &Plan::two_provinces(NOW_MS)).unwrap();
        let node = NodePlan::new("430100");
        join(dir.path(), "hunan.tongban", &node, NOW_MS).unwrap();
        assert!(dir.path().join("nodes/430100/tls.pem").is_file());
        assert!(join(dir.path(), "hunan.tongban", &node, NOW_MS).is_err());
    }

    #[test]
    fn revocations_add_up() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &Plan::two_provinces(NOW_MS)).unwrap();
        revoke(dir.path(), "hunan.tongban", &[&[0x11, 0x22]], NOW_MS).unwrap();
        revoke(dir.path(), "hunan.tongban", &[&[0x33], &[0x11, 0x22]], NOW_MS + 1000).unwrap();
        let record = std::fs::read_to_string(dir.path().join("ca/hunan.tongban/revoked")).unwrap();
        assert_eq!(record, format!("1122 {NOW_MS}\n33 {}\n", NOW_MS + 1000));
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for name in ["", "..", "../x", "Hunan", "a/b"] {
            assert!(matches!(Province::new(name, &["43"], NOW_MS), Err(PkiError::DomainName(_))), "{name}");
        }
    }
}
