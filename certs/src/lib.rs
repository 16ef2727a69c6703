//! Certificates and trust: who may speak for which city.
//!
//! A [`TrustStore`] holds trust domains; [`TrustStore::verify`] answers whether a certificate chain may open
//! something new (a connection, a signature), [`TrustStore::verify_evidence`] whether it was good when an old
//! signature was made. The answer is a [`Verified`], which only this crate can make, or a [`TrustError`] with a
//! stable code. rustls-webpki decides paths, `sm2_path` those of SM2; `x509-parser` only reads fields.
//!
//! The crate does no networking and never reads the clock: every instant is an argument, in Unix milliseconds.

pub mod administration;
pub mod bundle;
pub mod domain;
mod dsse;
pub mod error;
pub mod identity;
pub mod inspect;
pub mod limits;
mod path;
pub mod pem;
mod profile;
pub mod revocation;
pub mod sm2;
mod sm2_path;
pub mod spiffe;
pub mod store;

pub use domain::{Anchor, AnchorState, Dispute, DivisionPrefix, Nodes, TrustDomain};
pub use error::{Fault, TrustError};
pub use identity::{Identity, key_digest, not_after_ms};
pub use profile::{KeyAlgorithm, Purpose};
pub use revocation::{Crl, Revocation, Status};
pub use spiffe::{Division, DomainName, SpiffeId};
pub use store::{TrustStore, Verified};
