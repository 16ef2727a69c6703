//! Bounds on what is read before it is trusted.

/// One certificate, DER bytes. Ours take under 1 KiB; authorities that add policies and notices take 3.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Certificates in a chain: leaf, three authorities, and a root that some send along.
pub const CHAIN_CERTIFICATES_MAX: usize = 5;

/// One revocation list, DER bytes: about 400 000 entries.
pub const CRL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A file with a chain in PEM: base64 takes a third more, and authorities add comments.
pub const CHAIN_FILE_BYTES_MAX: u64 = 2 * (CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX) as u64;

/// A file with one private key.
pub const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// A file with a domain's revocation lists in PEM.
pub const CRL_FILE_BYTES_MAX: u64 = 2 * CRL_BYTES_MAX as u64;

/// `trust.toml`: a few hundred bytes for each of 34 provinces.
pub const TRUST_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Longest grace for a stale revocation list, hours: 30 days. Beyond that it is no revocation at all.
pub const CRL_GRACE_HOURS_MAX: u32 = 30 * 24;

/// Nodes that one domain lists: every county-level division of a province, several times over.
pub const NODES_MAX: usize = 20_000;

/// Public keys of one listed node: two in use, their successors, and as many to spare.
pub const NODE_KEYS_MAX: usize = 8;

/// One trust bundle: 20,000 nodes with keys, and lists of 100,000 certificates, in base64 twice.
pub const BUNDLE_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Roots, intermediates, lists or prefixes in one bundle, each.
pub const BUNDLE_AUTHORITIES_MAX: usize = 64;

/// Bundles in the folder where a node finds them: 34 provinces, and room for names that change.
pub const BUNDLE_FILES_MAX: usize = 128;

/// Longest time between two bundles, days.
pub const BUNDLE_FRESH_DAYS_MAX: i64 = 400;

/// Longest grace for a stale bundle, hours: 90 days. The lists inside have a grace of their own.
pub const BUNDLE_GRACE_HOURS_MAX: u32 = 90 * 24;

/// How far ahead of this node's clock a bundle may be issued, ms.
pub const BUNDLE_SKEW_MS_MAX: i64 = 5 * 60 * 1000;

/// The administration log: some 20 000 acts.
pub const ADMINISTRATION_LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
