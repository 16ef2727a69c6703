//! What other parts of the program give the demo, in one place while they are being written.

use super::catalogue::{Accord, ItemPlan};
use super::error::DemoError;
use super::place::Place;
use gateway::refusal::RefusalCode;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use tonic::transport::{Channel, Endpoint};

/// A connection to a node's local socket that is made, and made again, when it is used.
pub(super) fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    Endpoint::from_static("http://node.local").connect_with_connector_lazy(tower::service_fn(move |_| {
        let socket: PathBuf = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?)) }
    }))
}

/// The refusal that a status carries; `None`: it is the transport's.
pub(super) fn refusal(status: &tonic::Status) -> Option<RefusalCode> {
    let code = match status.metadata().get("tongban-code") {
        Some(code) => code.to_str().ok()?,
        None => status.message().split(':').next()?,
    };
    RefusalCode::with_code(code)
}

/// Writes a node's configuration.
pub(super) fn write_config(
    _folder: &Path,
    _place: &Place,
    _port: u16,
    _partner: &Place,
    _partner_port: u16,
) -> Result<PathBuf, DemoError> {
    Err(DemoError::Broken("the configuration is not merged yet".into()))
}

/// The standard of an item as JSON.
pub(super) fn standard(_item: &ItemPlan) -> Result<Vec<u8>, DemoError> {
    Err(DemoError::Broken("documents are not merged yet".into()))
}

/// The agreement as JSON.
pub(super) fn agreement(_accord: &Accord) -> Result<Vec<u8>, DemoError> {
    Err(DemoError::Broken("documents are not merged yet".into()))
}

/// Verifies a proof with what stands in a trust folder; the refusal code when it does not verify.
pub(super) fn verify_proof(_bundle: &[u8], _trust: &Path) -> Result<(), String> {
    Err("proofs are not merged yet".into())
}
