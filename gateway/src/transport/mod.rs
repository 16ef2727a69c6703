//! gRPC over TLS 1.3 between nodes. Knows streams and certificates, nothing of the domain: whoever is
//! verified is handed to `link` as a [`PeerStream`](crate::peer::PeerStream).

pub mod client;
mod doorway;
pub mod probe;
mod read_ahead;
pub mod run;
pub mod server;
pub mod standing;
pub mod tls;

use crate::limits::{BLOB_CHUNK_BYTES, FRAME_BYTES_MAX};

/// HTTP/2 flow-control window of one stream, bytes: a 1 Gbit/s path of 30 ms holds 3.75 MB.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Window of one connection, bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Bytes of one HTTP/2 frame that this node takes: a chunk of a file in its message is three frames, not
/// five. Frames of a whole chunk measured slower.
const HTTP2_FRAME_BYTES: u32 = 32 * 1024;
/// Bytes that TLS encrypts before it waits for the socket: some frames.
const TLS_BUFFER_BYTES: usize = 128 * 1024;
/// Seconds between HTTP/2 pings of the side that dialled, and seconds to wait for one's answer: a peer
/// that vanished without a word is noticed within their sum, and dialled again.
const KEEPALIVE_SECONDS: u64 = 10;
/// Seconds between pings of the side that accepted. It can do nothing about a peer that vanished, whose
/// next link fences the dead one anyway; it only has to give the connection's memory back.
const KEEPALIVE_ACCEPTED_SECONDS: u64 = 30;
/// Frames that wait for the network in one direction; batches are bounded by credit besides.
const FRAMES_QUEUED_MAX: usize = 16;

const _: () = assert!(BLOB_CHUNK_BYTES < TLS_BUFFER_BYTES, "a chunk is encrypted in one go");
const _: () = assert!(FRAME_BYTES_MAX * 2 <= STREAM_WINDOW_BYTES as usize, "two frames fit a window");
