//! Certificate hierarchies for development, tests and pilots.
//!
//! A [`Province`] is one trust domain's certification authority: a root, and under it the authority that
//! issues to nodes, and a second such pair where nodes sign with SM2. It lives in memory, so a test makes one in a millisecond and asks it for good certificates
//! ([`Province::tls`], [`Province::signing`]) or, through [`LeafSpec`], for every kind of bad one. [`folder`]
//! puts hierarchies on disk in the layout that a node reads, and opens them again to issue more.
//!
//! A production domain runs its own authority; nothing here protects a root key better than a file mode does.
//! Instants are Unix milliseconds (`i64`), passed by the caller; certificates carry whole seconds.

mod chance;
pub mod folder;
mod leaf;
mod province;
mod request;
mod sm2;

pub use folder::{NodePlan, Plan, ProvincePlan, join, revoke, write};
pub use leaf::{ExtendedUsage, Issued, KeyKind, KeyUsage, LeafSpec, SignedBy};
pub use province::{Crls, Province, Revocation};
pub use request::{Request, request};

/// Why a hierarchy could not be made, written or opened. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A trust domain's name is not 1..=255 of `[a-z0-9.-]`; it becomes a file name and part of a SPIFFE id.
    #[error("not a trust domain name: {0:?}")]
    DomainName(String),
    /// A division code is not six digits.
    #[error("not a division code of six digits: {0:?}")]
    Division(String),
    /// A prefix is not two to six digits.
    #[error("not a division prefix of two to six digits: {0:?}")]
    Prefix(String),
    /// This province may not speak for the division; a node would refuse the certificate.
    #[error("{domain} has no prefix that covers division {division}")]
    ForeignDivision {
        /// The trust domain asked.
        domain: String,
        /// The division outside its prefixes.
        division: String,
    },
    /// The province has no authority that issues SM2 certificates.
    #[error("{0} has no SM2 authority; make the hierarchy with an SM2 node in it")]
    NoSm2Authority(String),
    /// An instant that a certificate cannot carry.
    #[error("instant out of range: {0} ms")]
    Instant(i64),
    /// The folder to write holds something already; nothing is ever overwritten.
    #[error("{0} is not empty; choose a new folder")]
    NotEmpty(std::path::PathBuf),
    /// A file of an existing hierarchy does not read as what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    File {
        /// The file or folder concerned.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate library refused, or there is no randomness.
    #[error("cannot issue: {0}")]
    Issue(#[from] rcgen::Error),
}
