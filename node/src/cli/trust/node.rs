//! `trust node …`: single nodes of partners. One person suspends at once; everything else takes two.

use certs::administration::event::DomainRecord;
use certs::administration::{Act, Change};
use clap::Args;
use gateway::id::NodeId;

use super::{By, Home, act, log_of, propose};
use crate::both;
use crate::console::{Console, Failure};

/// `tongban trust node suspend|resume`
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node, by division. 节点区划代码
    pub node: NodeId,
    /// Who acts.
    #[command(flatten)]
    pub by: By,
}

/// Suspends a node at once.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn node_suspend(console: Console, home: Home<'_>, args: &NodeArgs) -> Result<(), Failure> {
    let (domain, division) = (domain_of(home, args)?, args.node.to_string());
    act(console, home, &args.by, &Act::Emergency { change: Change::NodeSuspend { domain, division } }, None)
}

/// Proposes that a suspension ends.
///
/// # Errors
/// As [`super::admin::adopt`].
pub fn node_resume(console: Console, home: Home<'_>, args: &NodeArgs) -> Result<(), Failure> {
    let (domain, division) = (domain_of(home, args)?, args.node.to_string());
    propose(console, home, &args.by, Change::NodeResume { domain, division }, None)
}

fn domain_of(home: Home<'_>, args: &NodeArgs) -> Result<String, Failure> {
    let log = log_of(&home.dir(&args.by.place)?)?;
    let node = args.node;
    let speaks = |domain: &&DomainRecord| domain.divisions.iter().any(|p| node.as_str().starts_with(p));
    log.state().domains.values().find(speaks).map(|domain| domain.name.clone()).ok_or_else(|| {
        Failure::not_found(both!("没有信任域可代表 {node}。", "no trust domain speaks for {node}."))
    })
}
