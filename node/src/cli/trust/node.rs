//! `trust node …`: single nodes of partners. One person suspends at once; everything else takes two.
//!
//! A domain without a list speaks for every node that its authority certified under its prefixes; one with a list
//! for the listed nodes alone, and where keys are listed, only with these.

use std::path::PathBuf;

use certs::administration::event::{DomainRecord, NodeKeys};
use certs::administration::log::to_hex;
use certs::administration::{Act, Change};
use certs::pem;
use clap::Args;
use gateway::id::NodeId;

use super::{By, Home, act, log_of, propose};
use crate::both;
use crate::cli::certs::refused;
use crate::console::{Console, Failure};

/// `tongban trust node add`
#[derive(Debug, Args)]
pub struct NodeAddArgs {
    /// The nodes, by division; all of one trust domain. 节点区划代码，须同属一个信任域
    #[arg(required = true)]
    pub nodes: Vec<NodeId>,
    /// A certificate, PEM, whose key the node may show; repeat for TLS and signing. Without: any key that its
    /// authority certified. With one node only. 只接受这些证书的密钥（缺省不限）
    #[arg(long = "certificate", value_name = "FILE")]
    pub certificates: Vec<PathBuf>,
    /// The first listing of a domain shuts out its other nodes: say that this is meant. 确认自此仅列明节点可互通
    #[arg(long)]
    pub only_listed: bool,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust node remove`
#[derive(Debug, Args)]
pub struct NodesArgs {
    /// The nodes, by division; all of one trust domain. 节点区划代码，须同属一个信任域
    #[arg(required = true)]
    pub nodes: Vec<NodeId>,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust node any`
#[derive(Debug, Args)]
pub struct AnyArgs {
    /// The trust domain. 信任域
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    /// Who proposes.
    #[command(flatten)]
    pub by: By,
}

/// `tongban trust node suspend|resume`
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node, by division. 节点区划代码
    pub node: NodeId,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// Proposes that nodes are listed.
///
/// # Errors
/// When this would be the first listing and nobody said that it is meant; as [`super::admin::adopt`].
pub fn node_add(console: Console, home: Home<'_>, args: &NodeAddArgs) -> Result<(), Failure> {
    let domain = domain_of(home, &args.by, &args.nodes)?;
    let name = &domain.name;
    if domain.nodes.is_none() && !args.only_listed {
        return Err(Failure::usage(both!(
            "{name} 尚无节点列表；列入第一批后，其余节点即不可互通。确属此意请加 --only-listed。",
            "{name} lists no nodes yet, and with the first listing all its other nodes are shut out; add --only-listed if this is meant."
        )));
    }
    if args.nodes.len() > 1 && !args.certificates.is_empty() {
        return Err(Failure::usage(both!(
            "--certificate 一次只用于一个节点。",
            "--certificate goes with one node at a time."
        )));
    }
    let mut keys = Vec::new();
    for file in &args.certificates {
        // A chain is welcome: its first certificate is the node's.
        let chain = pem::read_chain(file).map_err(|error| refused(&error))?;
        let digest = certs::key_digest(&chain[0]).map_err(|error| refused(&error))?;
        keys.push(to_hex(&digest));
    }
    let nodes: NodeKeys = args.nodes.iter().map(|node| (node.to_string(), keys.clone())).collect();
    propose(console, home, &args.by, Change::NodeAdd { domain: name.clone(), nodes }, None)
}

/// Proposes that listed nodes go.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn node_remove(console: Console, home: Home<'_>, args: &NodesArgs) -> Result<(), Failure> {
    let domain = domain_of(home, &args.by, &args.nodes)?.name;
    let divisions = args.nodes.iter().map(ToString::to_string).collect();
    propose(console, home, &args.by, Change::NodeRemove { domain, divisions }, None)
}

/// Proposes that a domain's list of nodes ends.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn node_any(console: Console, home: Home<'_>, args: &AnyArgs) -> Result<(), Failure> {
    propose(console, home, &args.by, Change::NodeAny { domain: args.domain.clone() }, None)
}

/// Suspends a node at once.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn node_suspend(console: Console, home: Home<'_>, args: &NodeArgs) -> Result<(), Failure> {
    let (domain, division) = (domain_of(home, &args.by, &[args.node])?.name, args.node.to_string());
    act(console, home, &args.by, &Act::Emergency { change: Change::NodeSuspend { domain, division } }, None)
}

/// Proposes that a suspension ends.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn node_resume(console: Console, home: Home<'_>, args: &NodeArgs) -> Result<(), Failure> {
    let (domain, division) = (domain_of(home, &args.by, &[args.node])?.name, args.node.to_string());
    propose(console, home, &args.by, Change::NodeResume { domain, division }, None)
}

/// The one domain that speaks for all of these.
fn domain_of(home: Home<'_>, by: &By, nodes: &[NodeId]) -> Result<DomainRecord, Failure> {
    let log = log_of(&home.dir(&by.place)?)?;
    let speaks = |domain: &DomainRecord, node: &NodeId| {
        domain.divisions.iter().any(|prefix| node.as_str().starts_with(prefix))
    };
    let found = log.state().domains.values().find(|domain| nodes.iter().all(|node| speaks(domain, node)));
    found.cloned().ok_or_else(|| {
        let list = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Failure::not_found(both!(
            "没有一个信任域可代表 {list}。",
            "no single trust domain speaks for {list}."
        ))
    })
}
