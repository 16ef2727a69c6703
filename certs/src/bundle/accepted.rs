//! The newest good bundle of each domain, kept in the node's data folder: it is the state that a restart goes on
//! with, and the memory that refuses a rollback. The folder is the node's own, as its journal is.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use crate::bundle::judge::Occasion;
use crate::domain::TrustDomain;
use crate::error::TrustError;
use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX};
use crate::pem;
use crate::spiffe::DomainName;

/// The folder inside a data folder.
const FOLDER: &str = "trust-bundles";
const SUFFIX: &str = ".bundle.json";

/// Where a node finds bundles, and for how long an old one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundles {
    /// The node's data folder, where accepted bundles are kept.
    pub data_dir: PathBuf,
    /// How long a bundle counts after its successor was due, hours.
    pub grace_hours: u32,
}

/// What became of a bundle that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the one that is followed already.
    Known,
    /// It is followed from now on.
    Accepted(DomainName, u64),
}

impl Bundles {
    fn file(&self, domain: &DomainName) -> PathBuf {
        self.data_dir.join(FOLDER).join(format!("{domain}{SUFFIX}"))
    }

    /// The accepted bundle of a domain.
    ///
    /// # Errors
    /// A file that cannot be read or is none of ours: without it older trust would come back, so that is no way on.
    pub fn kept(&self, domain: &DomainName) -> Result<Option<Bundle>, TrustError> {
        let path = self.file(domain);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // A data folder that is none is told of the folder, not of trust.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(TrustError::from_io(&path, &error)),
        }
        let bundle = Bundle::parse(&pem::read_bounded(&path, BUNDLE_BYTES_MAX as u64)?)
            .map_err(|error| TrustError::Config(format!("{}: {error}", path.display())))?;
        if bundle.content().domain != *domain {
            return Err(TrustError::Config(format!("{} is another domain's", path.display())));
        }
        Ok(Some(bundle))
    }

    /// The domain with its accepted bundle, if it has one.
    ///
    /// # Errors
    /// As [`Bundles::kept`].
    pub(crate) fn follow(&self, domain: TrustDomain) -> Result<TrustDomain, TrustError> {
        let Some(bundle) = self.kept(domain.name())? else { return Ok(domain) };
        match domain.with_bundle(&bundle, self.grace_hours, Occasion::Kept) {
            Ok(next) => Ok(next),
            Err(error) => domain.with_refused_bundle(&bundle, self.grace_hours, &error),
        }
    }

    /// Judges a bundle that was found, and keeps it when it is good and newer. `domains`: as administrators have
    /// them, without any bundle.
    ///
    /// Old or new after a crash, never half.
    ///
    /// # Errors
    /// [`TrustError::UnknownDomain`]; [`TrustError::BundleRolledBack`] when it is older than the one that is
    /// followed, or another of the same number; what is wrong with it; [`TrustError::File`].
    pub fn accept(&self, domains: &[TrustDomain], bytes: &[u8], now_ms: i64) -> Result<Outcome, TrustError> {
        let bundle = Bundle::parse(bytes)?;
        let outcome = self.judge(domains, &bundle, now_ms)?;
        if outcome != Outcome::Known {
            self.keep(&bundle)?;
        }
        Ok(outcome)
    }

    /// As [`Bundles::accept`], and keeps nothing.
    ///
    /// # Errors
    /// As [`Bundles::accept`].
    pub fn judge(
        &self,
        domains: &[TrustDomain],
        bundle: &Bundle,
        now_ms: i64,
    ) -> Result<Outcome, TrustError> {
        let content = bundle.content();
        if !domains.iter().any(|domain| *domain.name() == content.domain) {
            return Err(TrustError::UnknownDomain(content.domain.clone()));
        }
        if let Some(kept) = self.kept(&content.domain)? {
            if kept.digest() == bundle.digest() {
                return Ok(Outcome::Known);
            }
            if content.sequence <= kept.content().sequence {
                return Err(TrustError::BundleRolledBack {
                    domain: content.domain.clone(),
                    seen: kept.content().sequence,
                    found: content.sequence,
                });
            }
        }
        bundle.check(domains, now_ms)?;
        Ok(Outcome::Accepted(content.domain.clone(), content.sequence))
    }

    fn keep(&self, bundle: &Bundle) -> Result<(), TrustError> {
        let path = self.file(&bundle.content().domain);
        let folder = self.data_dir.join(FOLDER);
        let fresh = path.with_extension("new");
        let write = || {
            std::fs::create_dir_all(&folder)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&fresh)?;
            file.write_all(bundle.bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            File::open(&folder)?.sync_all()?;
            File::open(&self.data_dir)?.sync_all()
        };
        write().map_err(|error| TrustError::from_io(&path, &error))
    }
}

/// The bundle files of a folder into which somebody puts them: `*.json`, in the order of their names.
///
/// # Errors
/// [`TrustError::File`] when the folder cannot be read; [`TrustError::Config`] when it holds more than
/// [`BUNDLE_FILES_MAX`].
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let failed = |error: std::io::Error| TrustError::from_io(dir, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
        if files.len() > BUNDLE_FILES_MAX {
            return Err(TrustError::Config(format!(
                "{}: more than {BUNDLE_FILES_MAX} bundles",
                dir.display()
            )));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a bundle file, up to [`BUNDLE_BYTES_MAX`].
///
/// # Errors
/// [`TrustError::File`].
pub fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    pem::read_bounded(path, BUNDLE_BYTES_MAX as u64)
}
