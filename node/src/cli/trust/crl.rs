//! `trust crl import`: newer revocation lists. Their authority has signed them, so one person installs them.

use std::path::{Path, PathBuf};

use certs::administration::Act;
use certs::administration::event::CrlRecord;
use certs::administration::log::to_hex;
use certs::{Crl, TrustError, TrustStore, pem};
use clap::Args;

use super::{By, Home, Source, act, state};
use crate::both;
use crate::cli::certs::refused;
use crate::cli::check::now_ms;
use crate::console::{Console, Failure};

/// `tongban trust crl import`
#[derive(Debug, Args)]
pub struct CrlImportArgs {
    /// The revocation lists, PEM. 吊销列表
    pub file: PathBuf,
    /// The trust domain. 信任域
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    /// Certificates of intermediate authorities that signed lists, PEM. 中间机构证书
    #[arg(long, value_name = "FILE")]
    pub issuer: Option<PathBuf>,
    /// Who imports.
    #[command(flatten)]
    pub by: By,
}

/// Installs newer revocation lists of one domain.
///
/// # Errors
/// Lists that are stale, older than the present ones, or of another authority; what [`super::admin::adopt`] refuses.
pub fn crl_import(console: Console, home: Home<'_>, args: &CrlImportArgs) -> Result<(), Failure> {
    let told = |error| refused(&error);
    let dir = home.dir(&args.by.place)?;
    let store = TrustStore::load(&dir).map_err(told)?;
    let name = &args.domain;
    let domain = store.domains().iter().find(|domain| domain.name().as_str() == name).ok_or_else(|| {
        Failure::not_found(both!("没有信任域 {name}。", "there is no trust domain {name}."))
    })?;
    let lists = pem::read_crls(&args.file).map_err(told)?;
    let issuers = args.issuer.as_deref().map(pem::read_chain).transpose().map_err(told)?.unwrap_or_default();
    let issuers: Vec<&[u8]> = issuers.iter().map(Vec::as_slice).collect();
    let now = now_ms();
    for list in &lists {
        domain.check_crl(list, &issuers).map_err(told)?;
        let next_update_ms = list.next_update_ms();
        if next_update_ms < now {
            return Err(refused(&TrustError::CrlStale { domain: domain.name().clone(), next_update_ms }));
        }
    }
    let this_update_ms = lists.iter().map(Crl::this_update_ms).min().unwrap_or_default();
    let file = crl_file(&dir, &store, name, &lists)?;
    let source = Source { bytes: super::read_file(&args.file)?, to: file.clone(), replace: true };
    let crl = CrlRecord { file, this_update_ms };
    act(console, home, &args.by, &Act::CrlImport { domain: name.clone(), crl }, Some(&source))
}

/// The file that new lists belong into: the one with lists of the same authorities, or a new one.
fn crl_file(dir: &Path, store: &TrustStore, domain: &str, lists: &[Crl]) -> Result<String, Failure> {
    let state = state(store)?;
    let record = state.domains.get(domain);
    for known in record.iter().flat_map(|record| &record.crls) {
        let present = pem::read_crls(&dir.join(&known.file)).map_err(|error| refused(&error))?;
        let same = |one: &Crl| lists.iter().any(|list| list.issuer() == one.issuer());
        if present.iter().any(same) {
            if !present.iter().all(same) {
                let file = &known.file;
                return Err(Failure::input(both!(
                    "{file} 还含其他机构的列表；请将各机构的新列表合为一个文件导入。",
                    "{file} holds lists of other authorities too; put the newest of each into one file and import that."
                )));
            }
            return Ok(known.file.clone());
        }
    }
    let issuer = lists.first().map(Crl::issuer).unwrap_or_default();
    let name = to_hex(ring::digest::digest(&ring::digest::SHA256, issuer).as_ref());
    Ok(format!("crl-{}.pem", &name[..16]))
}
