//! `config check`: what `serve` would say about a configuration, without starting.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use crate::config::material::Material;
use crate::config::{Config, ConfigError};
use crate::console::{Console, Failure};

/// `tongban config check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file. 配置文件
    pub file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Exit code 3 when anything is wrong; with `--json` the problems stand on stdout.
pub fn check(console: Console, args: &CheckArgs) -> Result<(), Failure> {
    let outcome =
        Config::load(&args.file).and_then(|config| Material::load(&config, now_ms()).map(|_| config));
    let refuse = |error: ConfigError| {
        let failure = Failure::from(error.clone());
        if console.json {
            console.result(&error.to_json(), |lang| error.render(lang))?;
            return Err(Failure::exit(failure.exit));
        }
        Err(failure)
    };
    let config = match outcome {
        Ok(config) => config,
        Err(error) => return refuse(error),
    };
    let (file, node, peers) = (args.file.display(), config.node, config.peers.len());
    let document = json!({"file": file.to_string(), "valid": true, "node": node.as_str(), "peers": peers});
    console.result(&document, |lang| {
        lang.pick(
            format!("{file}：配置无误，节点 {node}，伙伴 {peers} 个。"),
            format!("{file}: the configuration is good: node {node}, {peers} peers."),
        )
    })
}

/// This machine's clock, Unix ms.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
