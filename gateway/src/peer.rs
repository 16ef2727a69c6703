//! The port to a partner: a stream of frames each way, and the standing of whoever is at its end.
//! `transport` makes one from a TLS connection, a simulator from two queues.

use crate::channel::possession::Binding;
use crate::id::NodeId;
use crate::refusal::Refusal;
use futures_core::Stream;
use proto::exchange::v1::Frame;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Frames as they arrive; ends when the stream ends, with why where that is known.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Frame, String>> + Send>>;

/// Whether the peer's certificate is trusted at this moment. Asked for every frame.
pub trait Standing: Send + Sync {
    /// # Errors
    /// [`crate::refusal::RefusalCode::NotTrusted`] with the reason's code.
    fn check(&self) -> Result<(), Refusal>;
}

/// How a peer is reached.
pub trait Dial: Send + Sync {
    /// What carries a stream; dropped, the stream ends.
    type Connection: Send;

    /// Whom it reaches.
    fn peer(&self) -> NodeId;

    /// Where, for people.
    fn address(&self) -> &str;

    /// Connects, authenticates both sides and opens a stream.
    ///
    /// # Errors
    /// Why the peer was not reached, or is not the one it should be.
    fn connect(&self) -> impl Future<Output = Result<(Self::Connection, PeerStream), Refusal>> + Send;
}

/// One authenticated stream to a peer.
pub struct PeerStream {
    /// Whom the certificate speaks for.
    pub peer: NodeId,
    /// Whether this node dialled.
    pub dialled: bool,
    /// What only the two ends of this connection know: proofs on it are good on no other.
    pub binding: Binding,
    /// Frames from the peer.
    pub incoming: Incoming,
    /// Frames to the peer; bounded.
    pub outgoing: mpsc::Sender<Frame>,
    /// The certificate's standing.
    pub standing: Arc<dyn Standing>,
}

/// Which end of which connection a stream is: all that an Open needs to know of it.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// See [`PeerStream::peer`].
    pub peer: NodeId,
    /// See [`PeerStream::dialled`].
    pub dialled: bool,
    /// See [`PeerStream::binding`].
    pub binding: Binding,
}

impl PeerStream {
    /// Which end of which connection this is.
    pub fn end(&self) -> End {
        End { peer: self.peer, dialled: self.dialled, binding: self.binding }
    }
}
