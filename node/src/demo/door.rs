//! How the demo's business systems reach a node: its local socket, opened again by itself after a
//! kill, and the stable code of a refusal.

use gateway::refusal::RefusalCode;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use tonic::transport::{Channel, Endpoint};

/// A connection to a node's local socket that is made, and made again, when it is used.
pub(crate) fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    Endpoint::from_static("http://tongban.local").connect_with_connector_lazy(tower::service_fn(move |_| {
        let socket: PathBuf = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?)) }
    }))
}

/// The refusal that a status carries; `None`: it is the transport's.
pub(crate) fn refusal(status: &tonic::Status) -> Option<RefusalCode> {
    RefusalCode::with_code(status.metadata().get("tongban-code")?.to_str().ok()?)
}
