//! Talks to a running node through its Unix socket. Used by every client command and by the
//! demonstration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::local::v1::business_client::BusinessClient;
use proto::local::v1::operator_client::OperatorClient;
use tonic::transport::{Channel, Endpoint};

use crate::both;
use crate::console::Failure;

/// Bytes of one message on the local socket, either way. A list of documents holds them whole, and
/// one may be half a MiB.
pub const LOCAL_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one request to a node: the largest payload is 1 MiB, and what is being read is in memory.
pub const LOCAL_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that one stream of the local socket may have on its way: files, and a full batch of submissions.
pub const LOCAL_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Bytes of one HTTP/2 frame on the local socket: a part of a file as `blob put` sends it is four.
pub const LOCAL_FRAME_BYTES: u32 = 64 * 1024;

/// Milliseconds to connect. The socket is on the same machine.
const CONNECT_MILLIS_MAX: u64 = 5_000;

/// Both services of one node.
#[derive(Debug, Clone)]
pub struct Clients {
    /// What business systems may ask.
    pub business: BusinessClient<Channel>,
    /// What operators may ask.
    pub operator: OperatorClient<Channel>,
}

/// The node does not answer on its socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {}: {source}", socket.display())]
pub struct ConnectError {
    /// The socket tried.
    pub socket: PathBuf,
    /// What the transport said.
    pub source: tonic::transport::Error,
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let socket = error.socket.display();
        let mut cause: &dyn std::error::Error = &error.source;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Failure::unreachable(both!(
            "连不上节点的本地套接字 {socket}（{cause}）；请确认节点已启动（tongban serve），--socket 或 --config 指向同一节点，且当前用户有权访问。",
            "Cannot reach the node at its socket {socket} ({cause}); see that it runs (tongban serve), that --socket or --config name the same node, and that this user may open the socket."
        ))
    }
}

/// Connects to the node that listens on `socket`. The connection is opened now and again by itself
/// when it breaks.
///
/// # Errors
/// [`ConnectError`] when nobody listens there within five seconds, or this user may not.
pub async fn connect(socket: &Path) -> Result<Clients, ConnectError> {
    let path = socket.to_owned();
    // The address is never resolved: the connector below knows where to go.
    let channel = Endpoint::from_static("http://tongban.local")
        .initial_stream_window_size(LOCAL_WINDOW_BYTES)
        .initial_connection_window_size(LOCAL_WINDOW_BYTES)
        .max_frame_size(LOCAL_FRAME_BYTES)
        .connect_timeout(Duration::from_millis(CONNECT_MILLIS_MAX))
        .connect_with_connector(tower::service_fn(move |_: http::Uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .map_err(|source| ConnectError { socket: socket.to_owned(), source })?;
    Ok(Clients {
        business: BusinessClient::new(channel.clone())
            .max_decoding_message_size(LOCAL_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(LOCAL_MESSAGE_BYTES_MAX),
        operator: OperatorClient::new(channel)
            .max_decoding_message_size(LOCAL_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(LOCAL_MESSAGE_BYTES_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("none.sock");
        let failure = Failure::from(connect(&socket).await.unwrap_err());
        assert_eq!((failure.code.as_str(), failure.exit), ("cli.unreachable", 7));
        assert!(failure.text.en.contains("none.sock"));
    }
}
