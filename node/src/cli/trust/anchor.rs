//! `trust anchor …`: the life of a root certificate. Two people import and activate; one taints or revokes at once.

use std::path::{Path, PathBuf};

use certs::administration::event::AnchorRecord;
use certs::administration::log::to_hex;
use certs::administration::{Act, Change};
use certs::{Anchor, AnchorState, pem};
use clap::Args;

use super::{By, Home, Source, act, log_of, propose};
use crate::both;
use crate::cli::case_file::instant;
use crate::cli::certs::refused;
use crate::console::{Console, Failure};

/// `tongban trust anchor import`
#[derive(Debug, Args)]
pub struct AnchorImportArgs {
    /// The root certificate, PEM. 根证书
    pub file: PathBuf,
    /// The trust domain. 信任域
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust anchor activate|taint`
#[derive(Debug, Args)]
pub struct AnchorArgs {
    /// SHA-256 of the certificate, or its first digits (8 or more). 根证书指纹
    pub fingerprint: String,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust anchor revoke`
#[derive(Debug, Args)]
pub struct AnchorRevokeArgs {
    /// Which anchor, and who acts.
    #[command(flatten)]
    pub anchor: AnchorArgs,
    /// Since when its key counts as lost, such as 2026-11-30T08:00:00+08:00. 私钥失密时间
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub compromised_from: Option<gateway::time::UnixMillis>,
}

/// Proposes a further root.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn anchor_import(console: Console, home: Home<'_>, args: &AnchorImportArgs) -> Result<(), Failure> {
    let (anchor, file) = read_anchor(&args.file)?;
    propose(
        console,
        home,
        &args.by,
        Change::AnchorImport { domain: args.domain.clone(), anchor },
        Some(&file),
    )
}

/// Proposes that a root is used.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn anchor_activate(console: Console, home: Home<'_>, args: &AnchorArgs) -> Result<(), Failure> {
    let change = anchor_state(home, args, AnchorState::Active, None)?;
    propose(console, home, &args.by, change, None)
}

/// Takes a root out of use for everything new, at once.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn anchor_taint(console: Console, home: Home<'_>, args: &AnchorArgs) -> Result<(), Failure> {
    let change = anchor_state(home, args, AnchorState::Tainted, None)?;
    act(console, home, &args.by, &Act::Emergency { change }, None)
}

/// Revokes a root at once.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn anchor_revoke(console: Console, home: Home<'_>, args: &AnchorRevokeArgs) -> Result<(), Failure> {
    let from = args.compromised_from.and_then(|from| i64::try_from(from.0).ok());
    let change = anchor_state(home, &args.anchor, AnchorState::Revoked, from)?;
    act(console, home, &args.anchor.by, &Act::Emergency { change }, None)
}

pub(super) fn read_anchor(file: &Path) -> Result<(AnchorRecord, Source), Failure> {
    let der = pem::read_certificate(file).map_err(|error| refused(&error))?;
    let anchor = Anchor::from_der(&der, AnchorState::Prepared).map_err(|error| refused(&error))?;
    let fingerprint = to_hex(anchor.fingerprint());
    let to = format!("root-{}.pem", &fingerprint[..16]);
    let record = AnchorRecord {
        file: to.clone(),
        fingerprint,
        state: AnchorState::Prepared,
        compromised_from_ms: None,
    };
    Ok((record, Source { bytes: super::read_file(file)?, to, replace: false }))
}

fn anchor_state(
    home: Home<'_>,
    args: &AnchorArgs,
    to: AnchorState,
    compromised_from_ms: Option<i64>,
) -> Result<Change, Failure> {
    let log = log_of(&home.dir(&args.by.place)?)?;
    let wanted = args.fingerprint.to_ascii_lowercase().replace(':', "");
    let found: Vec<(&String, &AnchorRecord)> = log
        .state()
        .domains
        .iter()
        .flat_map(|(name, domain)| domain.anchors.iter().map(move |anchor| (name, anchor)))
        .filter(|(_, anchor)| wanted.len() >= 8 && anchor.fingerprint.starts_with(&wanted))
        .collect();
    match found.as_slice() {
        [(domain, anchor)] => Ok(Change::AnchorState {
            domain: (*domain).clone(),
            fingerprint: anchor.fingerprint.clone(),
            state: to,
            compromised_from_ms,
        }),
        _ => Err(Failure::not_found(both!(
            "没有唯一以 {wanted} 开头的根证书；请用 trust domain list 查看指纹（至少 8 位）。",
            "no single root begins with {wanted}; see fingerprints with trust domain list, and give 8 digits or more."
        ))),
    }
}
