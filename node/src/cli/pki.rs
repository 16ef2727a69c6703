//! `pki dev`: certificates and ready-to-run configurations for development and pilots, several nodes
//! on one machine. A production authority is the province's own; see `docs/joining.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use devpki::{NodePlan, PkiError, Plan, ProvincePlan};
use gateway::id::NodeId;
use serde_json::json;

use super::check::now_ms;
use crate::both;
use crate::config::Config;
use crate::console::{Console, Failure};
use crate::suite::SigningSuite;

/// `tongban pki dev`
#[derive(Debug, Args)]
pub struct DevArgs {
    /// A new or empty folder. 新目录
    pub dir: PathBuf,
    /// A node, by division; repeat for more. Default: 430600 岳阳 and 421200 咸宁. 节点区划代码
    #[arg(long = "node", value_name = "DIVISION")]
    pub nodes: Vec<NodeId>,
    /// Loopback port of the first node; the others count up. 首个节点的本机端口
    #[arg(long, value_name = "PORT", default_value_t = 27_430)]
    pub first_port: u16,
    /// What the nodes sign with and hash by; nodes that exchange have the same. 算法套件
    #[arg(long, value_enum, default_value_t = SigningSuite::P256Sha256)]
    pub suite: SigningSuite,
}

/// `tongban pki join`
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// A folder that `pki dev` made. `pki dev` 生成的目录
    pub dir: PathBuf,
    /// The new node, by division; its province must be there. 新节点区划代码
    #[arg(long, value_name = "DIVISION")]
    pub node: NodeId,
    /// Loopback port of the new node. 新节点的本机端口
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// What the node signs with and hashes by, as its partners do. 算法套件
    #[arg(long, value_enum, default_value_t = SigningSuite::P256Sha256)]
    pub suite: SigningSuite,
}

/// The trust domain of a province in a pilot, by the first two digits of its divisions.
const DOMAINS: [(&str, &str); 31] = [
    ("11", "beijing"),
    ("12", "tianjin"),
    ("13", "hebei"),
    ("14", "shanxi"),
    ("15", "neimenggu"),
    ("21", "liaoning"),
    ("22", "jilin"),
    ("23", "heilongjiang"),
    ("31", "shanghai"),
    ("32", "jiangsu"),
    ("33", "zhejiang"),
    ("34", "anhui"),
    ("35", "fujian"),
    ("36", "jiangxi"),
    ("37", "shandong"),
    ("41", "henan"),
    ("42", "hubei"),
    ("43", "hunan"),
    ("44", "guangdong"),
    ("45", "guangxi"),
    ("46", "hainan"),
    ("50", "chongqing"),
    ("51", "sichuan"),
    ("52", "guizhou"),
    ("53", "yunnan"),
    ("54", "xizang"),
    ("61", "shaanxi"),
    ("62", "gansu"),
    ("63", "qinghai"),
    ("64", "ningxia"),
    ("65", "xinjiang"),
];

/// Runs the command.
///
/// # Errors
/// When the folder holds anything, or cannot be written.
pub fn dev(console: Console, args: &DevArgs) -> Result<(), Failure> {
    let nodes = match args.nodes.as_slice() {
        [] => ["430600", "421200"].map(|node| node.parse().expect("six digits")).to_vec(),
        nodes => nodes.to_vec(),
    };
    let ports = ports(&nodes, args.first_port)?;
    let dir = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    devpki::write(&dir, &plan(&nodes, args.suite, now_ms())).map_err(refused)?;
    let mut files = Vec::new();
    for node in &nodes {
        let file = dir.join("nodes").join(node.as_str()).join("tongban.toml");
        let text = config_text(*node, &nodes, &ports);
        write_new(&file, &text)?;
        // Proof that what was written runs; only a folder with a very long name fails here.
        Config::parse(&file, &text)?;
        files.push(file);
    }
    let document = json!({
        "dir": dir.display().to_string(),
        "nodes": nodes.iter().zip(&files).map(|(node, file)| json!({
            "node": node.as_str(),
            "config": file.display().to_string(),
            "address": format!("127.0.0.1:{}", ports[node]),
        })).collect::<Vec<_>>(),
    });
    console.result(&document, |lang| {
        let mut text = String::new();
        for file in &files {
            writeln!(text, "tongban serve --config {}", file.display()).expect("a String takes every write");
        }
        let note = lang.pick(
            "以上命令各启动一个节点。证书仅供开发与试点使用。",
            "Each of these commands starts a node. The certificates are for development and pilots only.",
        );
        text + note
    })
}

/// Issues certificates to one more node of a province, with a configuration without peers.
///
/// # Errors
/// When there is no such folder or province, or the node is there already.
pub fn join(console: Console, args: &JoinArgs) -> Result<(), Failure> {
    let dir = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let domain = domain_of(args.node);
    devpki::join(&dir, &domain, &node_plan(args.node, args.suite), now_ms()).map_err(refused)?;
    let file = dir.join("nodes").join(args.node.as_str()).join("tongban.toml");
    let text = config_text(args.node, &[args.node], &BTreeMap::from([(args.node, args.port)]));
    write_new(&file, &text)?;
    Config::parse(&file, &text)?;
    let (node, address) = (args.node, format!("127.0.0.1:{}", args.port));
    let document = json!({"node": node.as_str(), "config": file.display().to_string(), "address": address});
    console.result(&document, |lang| {
        let file = file.display();
        lang.pick(
            format!("{file}\n{node} 的证书与配置已生成。请在双方配置中互相登记 [[peer]]（{address}），然后启动。"),
            format!(
                "{file}\n{node} has its certificates and a configuration. List it and its partners as [[peer]] \
                 of each other ({address}), then start it."
            ),
        )
    })
}

fn ports(nodes: &[NodeId], first: u16) -> Result<BTreeMap<NodeId, u16>, Failure> {
    let mut ports = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let port =
            u16::try_from(index).ok().and_then(|index| first.checked_add(index)).filter(|port| *port != 0);
        let Some(port) = port else {
            return Err(Failure::usage(both!(
                "端口超出范围；请换一个 --first-port。",
                "the ports run out of range; choose another --first-port."
            )));
        };
        if ports.insert(*node, port).is_some() {
            return Err(Failure::usage(both!("--node {node} 重复。", "--node {node} is given twice.")));
        }
    }
    Ok(ports)
}

fn domain_of(node: NodeId) -> String {
    domain_of_prefix(&node.as_str()[..2])
}

fn domain_of_prefix(prefix: &str) -> String {
    match DOMAINS.iter().find(|(known, _)| *known == prefix) {
        Some((_, name)) => format!("{name}.tongban"),
        None => format!("province-{prefix}.tongban"),
    }
}

fn node_plan(node: NodeId, suite: SigningSuite) -> NodePlan {
    NodePlan { signing: suite.key(), ..NodePlan::new(node.as_str()) }
}

fn plan(nodes: &[NodeId], suite: SigningSuite, now_ms: i64) -> Plan {
    let mut provinces: BTreeMap<&str, Vec<NodePlan>> = BTreeMap::new();
    for node in nodes {
        provinces.entry(&node.as_str()[..2]).or_default().push(node_plan(*node, suite));
    }
    let provinces = provinces
        .into_iter()
        .map(|(prefix, nodes)| ProvincePlan {
            domain: domain_of_prefix(prefix),
            prefixes: vec![prefix.to_owned()],
            nodes,
        })
        .collect();
    Plan { now_ms, provinces }
}

/// The configuration of one node. Of two nodes the one that comes first dials: one link serves both
/// directions, and a second would only fence the first.
fn config_text(node: NodeId, nodes: &[NodeId], ports: &BTreeMap<NodeId, u16>) -> String {
    let own = nodes.iter().position(|other| *other == node);
    let mut text = format!(
        "# 由 tongban pki dev 生成，仅供开发与试点。各项说明见 tongban.sample.toml。\n\
         # Written by `tongban pki dev`, for development and pilots. tongban.sample.toml explains every setting.\n\
         node = \"{node}\"\ndata_dir = \"data\"\n\n\
         [peer_listener]\naddress = \"127.0.0.1:{}\"\n\n\
         [local]\nsocket = \"tongban.sock\"\n\n\
         [identity]\ntls_chain = \"tls.pem\"\ntls_key = \"tls.key\"\n\
         signing_chain = \"signing.pem\"\nsigning_key = \"signing.key\"\n\n\
         [trust]\ndir = \"../../trust\"\n",
        ports[&node]
    );
    for (index, peer) in nodes.iter().enumerate().filter(|(_, peer)| **peer != node) {
        let dial = own < Some(index);
        write!(
            text,
            "\n[[peer]]\nnode = \"{peer}\"\naddress = \"127.0.0.1:{}\"\ndial = {dial}\n",
            ports[peer]
        )
        .expect("a String takes every write");
    }
    text
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            let path = path.display();
            Failure::system(both!("写不了 {path}:{error}", "cannot write {path}: {error}"))
        })
}

fn refused(error: PkiError) -> Failure {
    match error {
        PkiError::NotEmpty(dir) => {
            let dir = dir.display();
            Failure::input(both!(
                "{dir} 不是空目录；请换一个新目录。",
                "{dir} is not empty; choose a new folder."
            ))
        }
        PkiError::File { path, source } => {
            let path = path.display();
            Failure::system(both!("{path}:{source}", "{path}: {source}"))
        }
        other => Failure::input(both!("无法签发：{other}", "cannot issue: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::material::Material;
    use crate::text::Lang;

    const QUIET: Console = Console { lang: Lang::En, json: true };

    #[test]
    fn what_was_written_is_ready_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let args = |nodes: &[&str]| DevArgs {
            dir: folder.path().join("pki"),
            nodes: nodes.iter().map(|node| node.parse().unwrap()).collect(),
            first_port: 27_430,
            suite: SigningSuite::P256Sha256,
        };
        dev(QUIET, &args(&["430600", "421200", "430100"])).unwrap();
        let mut dialled = 0;
        for node in ["430600", "421200", "430100"] {
            let file = folder.path().join("pki/nodes").join(node).join("tongban.toml");
            let config = Config::load(&file).unwrap();
            assert_eq!(config.peers.len(), 2);
            dialled += config.peers.iter().filter(|peer| peer.dial).count();
            Material::load(&config, now_ms()).unwrap();
        }
        assert_eq!(dialled, 3, "one dials in each pair");
        assert_eq!(dev(QUIET, &args(&[])).unwrap_err().exit, 3, "a folder is never overwritten");
    }

    #[test]
    fn a_node_joins_a_province_that_is_there_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("pki");
        dev(
            QUIET,
            &DevArgs {
                dir: dir.clone(),
                nodes: Vec::new(),
                first_port: 27_430,
                suite: SigningSuite::P256Sha256,
            },
        )
        .unwrap();
        let args = |node: &str| JoinArgs {
            dir: dir.clone(),
            node: node.parse().unwrap(),
            port: 27_440,
            suite: SigningSuite::P256Sha256,
        };
        join(QUIET, &args("430100")).unwrap();
        let config = Config::load(&dir.join("nodes/430100/tongban.toml")).unwrap();
        Material::load(&config, now_ms()).unwrap();
        assert!(join(QUIET, &args("430100")).is_err(), "once");
        assert!(join(QUIET, &args("360100")).is_err(), "no authority of Jiangxi is there");
    }

    #[test]
    fn a_folder_of_sm2_nodes_is_ready_to_run_and_more_may_join() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, suite) = (folder.path().join("pki"), SigningSuite::Sm2Sm3);
        dev(QUIET, &DevArgs { dir: dir.clone(), nodes: Vec::new(), first_port: 27_430, suite }).unwrap();
        let join_args = JoinArgs { dir: dir.clone(), node: "430100".parse().unwrap(), port: 27_440, suite };
        join(QUIET, &join_args).unwrap();
        for node in ["430600", "421200", "430100"] {
            let config = Config::load(&dir.join(format!("nodes/{node}/tongban.toml"))).unwrap();
            let material = Material::load(&config, now_ms()).unwrap();
            assert_eq!(material.signing.algorithm(), certs::KeyAlgorithm::Sm2);
        }
    }

    #[test]
    fn a_node_twice_is_refused_before_anything_is_written() {
        let node = "430600".parse().unwrap();
        assert_eq!(ports(&[node, node], 1).unwrap_err().exit, 2);
        assert_eq!(ports(&[node], 0).unwrap_err().exit, 2);
    }
}
