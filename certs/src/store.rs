//! The trust store: all trust domains of a node, and the verdicts on certificates.
//!
//! A store is immutable. Changes make a new one, swapped in whole, so a verdict never mixes two configurations.
//! A chain is only ever judged against the anchors of the domain that its own SPIFFE id names, and no two domains
//! share a prefix or an anchor: so nobody speaks for another.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::administration::event::{AnchorRecord, CrlRecord, DomainRecord, NodeKeys};
use crate::administration::log::{LOG_FILE, from_hex, to_hex};
use crate::administration::{Head, Log, State};
use crate::bundle::accepted::Bundles;
use crate::domain::{Anchor, AnchorState, Dispute, Nodes, Question, TrustDomain, fingerprint};
use crate::error::TrustError;
use crate::limits::{CRL_FILE_BYTES_MAX, TRUST_FILE_BYTES_MAX};
use crate::pem;
use crate::profile::{self, KeyAlgorithm, Profile, Purpose, check_chain, check_sizes};
use crate::revocation::{Crl, Revocation, Status};
use crate::spiffe::{DomainName, NotAnId, SpiffeId};

/// The file in a trust folder that names all others.
const TRUST_FILE: &str = "trust.toml";

/// All trust domains.
#[derive(Clone, Debug)]
pub struct TrustStore {
    domains: Vec<TrustDomain>,
    files: Vec<PathBuf>,
    log: Option<Arc<Log>>,
}

/// A certificate that was found good, for one purpose and at one instant. Only a [`TrustStore`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Who it speaks for.
    pub id: SpiffeId,
    /// What it may be used for.
    pub purpose: Purpose,
    /// Its public key, SubjectPublicKeyInfo in DER.
    pub spki_der: Vec<u8>,
    /// The key's algorithm.
    pub algorithm: KeyAlgorithm,
    /// Its serial number, DER content.
    pub serial: Vec<u8>,
    /// First valid instant, Unix ms.
    pub not_before_ms: i64,
    /// Last valid second, Unix ms at its beginning.
    pub not_after_ms: i64,
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// The state of the anchor that it leads to.
    pub anchor_state: AnchorState,
    /// Until this instant, inclusive, Unix ms, the same store gives the same answer: the first of the path's
    /// certificates to expire, or its revocation lists' grace. So a check per frame is a comparison, while the
    /// store is unchanged.
    pub good_until_ms: i64,
}

impl TrustStore {
    /// Puts domains together.
    ///
    /// # Errors
    /// [`TrustError::PrefixesOverlap`] when two prefixes, of one domain or two, cover the same divisions;
    /// [`TrustError::Config`] when two domains share a name, or two anchors a key.
    pub fn new(domains: Vec<TrustDomain>) -> Result<Self, TrustError> {
        let names: BTreeSet<&DomainName> = domains.iter().map(TrustDomain::name).collect();
        if names.len() < domains.len() {
            return Err(TrustError::Config("two domains of one name".into()));
        }
        refuse_overlaps(&domains)?;
        let anchors: Vec<&Anchor> = domains.iter().flat_map(TrustDomain::anchors).collect();
        let keys: BTreeSet<&[u8]> =
            anchors.iter().map(|anchor| anchor.anchor().subject_public_key_info.as_ref()).collect();
        if keys.len() < anchors.len() {
            // Shared by two domains it would let one speak for the other; twice in one it would have two states.
            return Err(TrustError::Config("two anchors with one key".into()));
        }
        Ok(Self { domains, files: Vec::new(), log: None })
    }

    /// Loads a trust folder: from its administration log, or, where there is none, from `dir/trust.toml`; with the
    /// files that they name, all inside `dir`.
    ///
    /// # Errors
    /// [`TrustError::File`], [`TrustError::Pem`], [`TrustError::CrlInvalid`], [`TrustError::Config`] for unknown
    /// keys and bad values, [`TrustError::LogTampered`], and what [`TrustStore::new`] refuses.
    pub fn load(dir: &Path) -> Result<Self, TrustError> {
        match Log::read(dir)?.filter(|log| !log.records().is_empty()) {
            Some(log) => {
                let store = Self::of_state(dir, log.state())?;
                Ok(Self { log: Some(Arc::new(log)), ..store })
            }
            None => {
                let (file, path) = TrustFile::read(dir)?;
                let mut files = vec![path];
                let domains = file
                    .domain
                    .into_iter()
                    .map(|entry| entry.load(dir, &mut files))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(Self { files, ..Self::new(domains)? })
            }
        }
    }

    /// Loads a trust folder, and has each domain follow the bundle of its province that was accepted last.
    ///
    /// # Errors
    /// As [`TrustStore::load`]; an accepted bundle that cannot be read.
    pub fn load_following(dir: &Path, bundles: &Bundles) -> Result<Self, TrustError> {
        Self::load(dir)?.following(bundles)
    }

    /// This store, each domain following the bundle of its province that was accepted last.
    ///
    /// # Errors
    /// An accepted bundle that cannot be read.
    pub fn following(self, bundles: &Bundles) -> Result<Self, TrustError> {
        let Self { domains, files, log } = self;
        let domains = domains.into_iter().map(|domain| bundles.follow(domain)).collect::<Result<_, _>>()?;
        Ok(Self { files, log, ..Self::new(domains)? })
    }

    /// Loads what administrators decided, with the files in `dir` that they named.
    ///
    /// # Errors
    /// As [`TrustStore::load`]; [`TrustError::Config`] when a root is not the one that was approved, or `trust.toml`
    /// was edited after it was taken over; [`TrustError::CrlInvalid`] when a list is older than one seen before.
    pub fn of_state(dir: &Path, state: &State) -> Result<Self, TrustError> {
        let toml = dir.join(TRUST_FILE);
        if toml.exists() && digest_of(&toml)? != state.trust_toml {
            return Err(TrustError::Config(format!(
                "{TRUST_FILE} was edited, but the administration log decides here: change trust with `tongban trust`"
            )));
        }
        let mut files = vec![dir.join(LOG_FILE)];
        let domains = state
            .domains
            .values()
            .map(|record| load_domain(dir, record, &mut files))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { files, ..Self::new(domains)? })
    }

    /// What a `trust.toml` says, as the first record of an administration log keeps it, with the file's SHA-256 in
    /// hex.
    ///
    /// # Errors
    /// As [`TrustStore::load`].
    pub fn records(dir: &Path) -> Result<(String, Vec<DomainRecord>), TrustError> {
        // What does not load is not taken over.
        Self::load(dir)?;
        let (file, path) = TrustFile::read(dir)?;
        let domains = file.domain.into_iter().map(|entry| entry.record(dir)).collect::<Result<_, _>>()?;
        Ok((digest_of(&path)?, domains))
    }

    /// The administration log that it was loaded from, if there is one.
    pub fn administration(&self) -> Option<&Log> {
        self.log.as_deref()
    }

    /// Whether this folder continues what its node has seen of the administration log.
    ///
    /// # Errors
    /// [`TrustError::LogRolledBack`] when records are gone, changed, or the whole log is.
    pub fn continues(&self, seen: Option<&Head>) -> Result<(), TrustError> {
        match (seen, &self.log) {
            (None, _) => Ok(()),
            (Some(seen), Some(log)) => log.continues(seen),
            (Some(seen), None) => Err(TrustError::LogRolledBack { seen: seen.records }),
        }
    }

    /// Every file that it was loaded from; empty for a store built in memory.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// All domains, in the order given.
    pub fn domains(&self) -> &[TrustDomain] {
        &self.domains
    }

    /// Judges whether a chain may open something new at `at_ms`: a connection, or a signature.
    ///
    /// `chain`: DER, leaf first; `at_ms`: Unix ms. The anchor must be active and the node not suspended.
    ///
    /// # Errors
    /// The first reason found against it.
    pub fn verify(&self, purpose: Purpose, chain: &[&[u8]], at_ms: i64) -> Result<Verified, TrustError> {
        Ok(self.judge(Question::Opening, purpose, chain, at_ms)?.0)
    }

    /// Judges whether a signing certificate was good at `at_ms`, when an old signature was made.
    ///
    /// Active and tainted anchors count, suspension does not, and a revocation counts from its date (the earlier of
    /// revocation and invalidity date) on. An authority that drops expired certificates from its list takes the
    /// record of their revocation with them: keep the lists of the time along with the evidence.
    ///
    /// # Errors
    /// The first reason found against it.
    pub fn verify_evidence(&self, chain: &[&[u8]], at_ms: i64) -> Result<Verified, TrustError> {
        Ok(self.judge(Question::Evidence, Purpose::Signing, chain, at_ms)?.0)
    }

    /// As [`TrustStore::verify_evidence`], for whoever shows evidence to people: a revocation that counted at
    /// `at_ms` is told beside the verdict instead of taking its place. Of a revoked root evidence from before its
    /// `compromised_from` stands, and later is disputed; all of it where no instant was stated.
    ///
    /// # Errors
    /// The first reason found against it that is no revocation.
    pub fn verify_disputable(
        &self,
        chain: &[&[u8]],
        at_ms: i64,
    ) -> Result<(Verified, Option<Dispute>), TrustError> {
        self.judge(Question::Disputed, Purpose::Signing, chain, at_ms)
    }

    /// What is known of the revocation of a node's chain, whatever else may be wrong with the node.
    ///
    /// # Errors
    /// A chain that cannot be read, or is of no domain that is trusted here.
    pub fn revocation_status(&self, chain: &[&[u8]], at_ms: i64) -> Result<Status, TrustError> {
        check_sizes(chain)?;
        let id = profile::spiffe_id(&profile::parse(chain[0])?)?;
        let domain = self.domains.iter().find(|domain| *domain.name() == id.domain);
        let domain = domain.ok_or(TrustError::UnknownDomain(id.domain))?;
        Ok(domain.revocation_status(chain, at_ms))
    }

    fn judge(
        &self,
        question: Question,
        purpose: Purpose,
        chain: &[&[u8]],
        at_ms: i64,
    ) -> Result<(Verified, Option<Dispute>), TrustError> {
        check_sizes(chain)?;
        let leaf = chain.first().ok_or(TrustError::ChainEmpty)?;
        // What the certificate claims, so far without proof …
        let Profile { id, spki_der, algorithm, serial, not_before_ms, not_after_ms } =
            Profile::read(leaf, purpose)?;
        let domain = self
            .domains
            .iter()
            .find(|domain| *domain.name() == id.domain)
            .ok_or_else(|| TrustError::UnknownDomain(id.domain.clone()))?;
        if !domain.speaks_for(id.division) {
            return Err(TrustError::ForeignPrefix { domain: id.domain, division: id.division });
        }
        check_chain(chain)?;
        // … and the proof.
        let (anchor_state, good_until_ms, dispute) = domain.judge(question, chain, at_ms)?;
        if question == Question::Opening {
            domain.check_node(id.division, &spki_der)?;
        }
        let verified = Verified {
            id,
            purpose,
            spki_der,
            algorithm,
            serial,
            not_before_ms,
            not_after_ms,
            fingerprint: fingerprint(leaf),
            anchor_state,
            good_until_ms,
        };
        Ok((verified, dispute))
    }
}

fn refuse_overlaps(domains: &[TrustDomain]) -> Result<(), TrustError> {
    let prefixes: Vec<_> = domains
        .iter()
        .flat_map(|domain| domain.prefixes().iter().map(move |prefix| (domain.name(), prefix)))
        .collect();
    for (index, (name, prefix)) in prefixes.iter().enumerate() {
        if let Some((other_name, other)) = prefixes[..index].iter().find(|(_, other)| other.overlaps(prefix))
        {
            return Err(TrustError::PrefixesOverlap {
                first: format!("{other_name} {other}"),
                second: format!("{name} {prefix}"),
            });
        }
    }
    Ok(())
}

/// `trust.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    #[serde(default)]
    domain: Vec<DomainEntry>,
}

impl TrustFile {
    fn read(dir: &Path) -> Result<(Self, PathBuf), TrustError> {
        let path = dir.join(TRUST_FILE);
        let text = String::from_utf8(pem::read_bounded(&path, TRUST_FILE_BYTES_MAX)?)
            .map_err(|_| TrustError::Config(format!("{TRUST_FILE} is not UTF-8")))?;
        let file =
            toml::from_str(&text).map_err(|error| TrustError::Config(error.to_string().trim_end().into()))?;
        Ok((file, path))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainEntry {
    name: String,
    divisions: Vec<String>,
    revocation: RevocationEntry,
    #[serde(default)]
    crl_grace_hours: u32,
    #[serde(default)]
    crls: Vec<PathBuf>,
    #[serde(default)]
    suspended: Vec<String>,
    #[serde(default)]
    anchor: Vec<AnchorEntry>,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum RevocationEntry {
    Crl,
    None,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorEntry {
    file: PathBuf,
    state: AnchorState,
}

/// SHA-256 of `trust.toml`, hex.
fn digest_of(path: &Path) -> Result<String, TrustError> {
    Ok(to_hex(&fingerprint(&pem::read_bounded(path, TRUST_FILE_BYTES_MAX)?)))
}

fn load_domain(
    dir: &Path,
    record: &DomainRecord,
    files: &mut Vec<PathBuf>,
) -> Result<TrustDomain, TrustError> {
    let refused = |error: NotAnId| TrustError::Config(error.to_string());
    let prefixes =
        record.divisions.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(refused)?;
    let mut anchors = Vec::new();
    for known in &record.anchors {
        let path = inside(dir, Path::new(&known.file))?;
        let anchor = Anchor::from_der(&pem::read_certificate(&path)?, known.state)?
            .compromised_from(known.compromised_from_ms);
        if to_hex(anchor.fingerprint()) != known.fingerprint {
            return Err(TrustError::Config(format!("{} is not the root that was approved", path.display())));
        }
        anchors.push(anchor);
        files.push(path);
    }
    let mut lists = Vec::new();
    for known in &record.crls {
        let path = inside(dir, Path::new(&known.file))?;
        for list in pem::read_crls(&path)? {
            if list.this_update_ms() < known.this_update_ms {
                return Err(TrustError::CrlInvalid(format!(
                    "{} is older than one seen before",
                    path.display()
                )));
            }
            lists.push(list);
        }
        files.push(path);
    }
    let revocation = match record.crl {
        true => Revocation::Crl { lists, grace_hours: record.crl_grace_hours },
        false => Revocation::None,
    };
    let mut domain = TrustDomain::new(record.name.parse().map_err(refused)?, prefixes, anchors, revocation)?;
    for division in &record.suspended {
        domain.suspend(division.parse().map_err(refused)?)?;
    }
    domain.list_nodes(record.nodes.as_ref().map(read_nodes).transpose()?)?;
    Ok(domain)
}

/// Reads nodes as the administration log lists them.
///
/// # Errors
/// [`TrustError::Config`].
pub fn read_nodes(listed: &NodeKeys) -> Result<Nodes, TrustError> {
    let digest = |text: &String| from_hex(text).and_then(|bytes| bytes.try_into().ok());
    let mut nodes = Nodes::new();
    for (division, keys) in listed {
        let code = division.parse().map_err(|error: NotAnId| TrustError::Config(error.to_string()))?;
        let keys: Option<_> = keys.iter().map(digest).collect();
        let keys = keys.ok_or_else(|| TrustError::Config(format!("a key of {division} is no SHA-256")))?;
        nodes.insert(code, keys);
    }
    Ok(nodes)
}

impl DomainEntry {
    /// What the log keeps of it.
    fn record(self, dir: &Path) -> Result<DomainRecord, TrustError> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut anchors = Vec::new();
        for entry in &self.anchor {
            let der = pem::read_certificate(&inside(dir, &entry.file)?)?;
            anchors.push(AnchorRecord {
                file: text(&entry.file),
                fingerprint: to_hex(&fingerprint(&der)),
                state: entry.state,
                compromised_from_ms: None,
            });
        }
        let mut crls = Vec::new();
        for file in &self.crls {
            let lists = pem::read_crls(&inside(dir, file)?)?;
            let this_update_ms = lists.iter().map(Crl::this_update_ms).min().unwrap_or_default();
            crls.push(CrlRecord { file: text(file), this_update_ms });
        }
        Ok(DomainRecord {
            name: self.name,
            divisions: self.divisions,
            crl: matches!(self.revocation, RevocationEntry::Crl),
            crl_grace_hours: self.crl_grace_hours,
            crls,
            anchors,
            suspended: self.suspended,
            nodes: None,
        })
    }

    fn load(self, dir: &Path, files: &mut Vec<PathBuf>) -> Result<TrustDomain, TrustError> {
        let refused = |error: NotAnId| TrustError::Config(error.to_string());
        let prefixes =
            self.divisions.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(refused)?;
        let mut anchors = Vec::new();
        for entry in &self.anchor {
            let path = inside(dir, &entry.file)?;
            anchors.push(Anchor::from_der(&pem::read_certificate(&path)?, entry.state)?);
            files.push(path);
        }
        let mut lists = Vec::new();
        for file in &self.crls {
            let path = inside(dir, file)?;
            for der in pem::read_blocks(&path, CRL_FILE_BYTES_MAX, "X509 CRL")? {
                lists.push(Crl::from_der(&der)?);
            }
            files.push(path);
        }
        let revocation = match self.revocation {
            RevocationEntry::Crl => Revocation::Crl { lists, grace_hours: self.crl_grace_hours },
            RevocationEntry::None if lists.is_empty() => Revocation::None,
            RevocationEntry::None => {
                return Err(TrustError::Config(format!(
                    "domain {}: revocation is \"none\" and yet there are crls",
                    self.name
                )));
            }
        };
        let mut domain =
            TrustDomain::new(self.name.parse().map_err(refused)?, prefixes, anchors, revocation)?;
        for division in &self.suspended {
            domain.suspend(division.parse().map_err(refused)?)?;
        }
        Ok(domain)
    }
}

/// A trust folder is copied, compared and approved as a whole: nothing outside it may matter.
fn inside(dir: &Path, file: &Path) -> Result<PathBuf, TrustError> {
    let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !file.as_os_str().is_empty() {
        Ok(dir.join(file))
    } else {
        Err(TrustError::Config(format!("{} is not a path inside the trust folder", file.display())))
    }
}

#[cfg(test)]
mod tests;
