//! `trust domain add|prefixes|remove`: which province may speak for which divisions. Each takes two people.

use std::path::PathBuf;

use certs::administration::Change;
use certs::administration::event::DomainRecord;
use clap::Args;

use super::anchor::read_anchor;
use super::{By, Home, NamedArgs, propose};
use crate::console::{Console, Failure};

/// `tongban trust domain add`
#[derive(Debug, Args)]
pub struct DomainAddArgs {
    /// The trust domain, such as jiangxi.tongban. 信任域
    pub name: String,
    /// A division prefix that it may speak for; repeat for more. 行政区划前缀
    #[arg(long = "division", value_name = "PREFIX", required = true)]
    pub divisions: Vec<String>,
    /// Its root certificate, PEM. 根证书
    #[arg(long, value_name = "FILE")]
    pub anchor: PathBuf,
    /// It publishes no revocation lists; said in so many words. 该域不发布吊销列表
    #[arg(long)]
    pub no_crl: bool,
    /// How long a list counts after it should have been renewed, hours. 吊销列表宽限小时数
    #[arg(long, value_name = "HOURS", default_value_t = 168)]
    pub crl_grace_hours: u32,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust domain prefixes`
#[derive(Debug, Args)]
pub struct DomainPrefixesArgs {
    /// The trust domain. 信任域
    pub name: String,
    /// The new prefixes, all of them. 新的全部前缀
    #[arg(long = "division", value_name = "PREFIX", required = true)]
    pub divisions: Vec<String>,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// Proposes a domain.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn domain_add(console: Console, home: Home<'_>, args: &DomainAddArgs) -> Result<(), Failure> {
    let (anchor, file) = read_anchor(&args.anchor)?;
    let domain = DomainRecord {
        name: args.name.clone(),
        divisions: args.divisions.clone(),
        crl: !args.no_crl,
        crl_grace_hours: args.crl_grace_hours,
        crls: Vec::new(),
        anchors: vec![anchor],
        suspended: Vec::new(),
        nodes: None,
    };
    propose(console, home, &args.by, Change::DomainAdd { domain }, Some(&file))
}

/// Proposes other prefixes for a domain.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn domain_prefixes(console: Console, home: Home<'_>, args: &DomainPrefixesArgs) -> Result<(), Failure> {
    let (domain, divisions) = (args.name.clone(), args.divisions.clone());
    propose(console, home, &args.by, Change::DomainPrefixes { domain, divisions }, None)
}

/// Proposes that a domain goes.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn domain_remove(console: Console, home: Home<'_>, args: &NamedArgs) -> Result<(), Failure> {
    propose(console, home, &args.by, Change::DomainRemove { domain: args.name.clone() }, None)
}
