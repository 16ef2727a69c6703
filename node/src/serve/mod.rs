//! `serve`: runs a node until it is told to stop. Everything is checked before the first socket opens;
//! then the local services answer on the Unix socket, and SIGTERM or SIGINT stops them in order.

pub mod socket;

use std::path::Path;

use crate::both;
use crate::config::material::Material;
use crate::config::{Config, LogFormat};
use crate::console::{Console, Failure};

/// Runs the node of a configuration file.
///
/// # Errors
/// When the configuration or what it names is wrong, or the node has to stop.
pub fn run(_console: Console, file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let _material = Material::load(&config, crate::cli::check::now_ms())?;
    start_log(&config);
    Err(Failure::ours(both!("此版本尚不能启动节点。", "this build cannot run a node yet.")))
}

/// Sends events to stderr. What events may hold is the rule of whoever writes them: ids, peers,
/// outcomes and reasons, never payloads, keys or identity numbers.
fn start_log(config: &Config) {
    let builder = tracing_subscriber::fmt().with_max_level(config.log.level).with_writer(std::io::stderr);
    // A second subscriber in one process is refused: the first one stays, which is what a test wants.
    let _ = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
