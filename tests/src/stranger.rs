//! Somebody who speaks Link by hand: with any certificate, any frame, any order. What a partner's
//! broken, hostile or newer program may do.

use arc_swap::ArcSwap;
use bytes::Bytes;
use certs::{Identity, Purpose, TrustStore};
use gateway::channel::possession::{Binding, Claim};
use gateway::entry::{Header, RawEntry, body, body_digest};
use gateway::id::{ChannelId, LogId, LogPosition, MessageId};
use gateway::log::checkpoint::{Checkpoint, Note};
use gateway::log::leaf::leaf_hash;
use gateway::log::tree::Frontier;
use gateway::signer::{FileSigner, Signer};
use gateway::suite::{PublicKey, Suite};
use gateway::time::UnixMillis;
use gateway::transport::tls;
use hyper_util::rt::TokioIo;
use proto::exchange::v1 as wire;
use proto::exchange::v1::exchange_client::ExchangeClient;
use proto::exchange::v1::frame::Kind as Frame;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::{PATIENCE, now_ms};

/// A link that is spoken by hand.
pub struct Stranger {
    /// Frames to the node.
    pub outgoing: mpsc::Sender<wire::Frame>,
    /// What binds proofs to the connection.
    pub binding: Binding,
    incoming: tonic::Streaming<wire::Frame>,
    _channel: tonic::transport::Channel,
}

impl Stranger {
    /// Dials `node` on loopback with an identity, trusting `trust`.
    ///
    /// # Errors
    /// What kept the stream from opening.
    pub async fn dial(identity: &Identity, trust: &Path, node: &str, port: u16) -> Result<Self, String> {
        let trust = TrustStore::load(trust).map_err(|error| error.to_string())?;
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let expected = node.parse().expect("a division");
        let config = tls::client_config(identity, trust, Arc::new(now_ms), expected);
        let config = Arc::new(config.map_err(|error| error.to_string())?);
        let binding: Arc<OnceLock<Binding>> = Arc::default();
        let bound = Arc::clone(&binding);
        let connector = tower::service_fn(move |_| {
            let (config, bound) = (Arc::clone(&config), Arc::clone(&bound));
            async move {
                let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
                let name = ServerName::try_from("peer.tongban").expect("a constant DNS name");
                let stream = TlsConnector::from(config).connect(name, tcp).await?;
                let binding = tls::binding(stream.get_ref().1).expect("the handshake is over");
                let _ = bound.set(binding);
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://peer.tongban");
        let channel =
            endpoint.connect_with_connector(connector).await.map_err(|error| format!("{error:?}"))?;
        let (outgoing, frames) = mpsc::channel(64);
        let mut client = ExchangeClient::new(channel.clone())
            .max_encoding_message_size(64 << 20)
            .max_decoding_message_size(64 << 20);
        let opened = client.link(ReceiverStream::new(frames)).await.map_err(|status| status.to_string())?;
        let binding = *binding.get().ok_or("no handshake")?;
        Ok(Self { outgoing, binding, incoming: opened.into_inner(), _channel: channel })
    }

    /// Sends a frame. The node may have closed the stream already; [`Stranger::closed`] tells why.
    pub async fn say(&self, kind: Frame) {
        let _ = self.outgoing.send(wire::Frame { kind: Some(kind) }).await;
    }

    /// The next frame; nothing when the stream ends.
    pub async fn hear(&mut self) -> Option<Frame> {
        let next = tokio::time::timeout(PATIENCE, self.incoming.next()).await.expect("an answer in time");
        next.and_then(Result::ok).and_then(|frame| frame.kind)
    }

    /// The code with which the node closes, whatever it says before.
    pub async fn closed(&mut self) -> String {
        loop {
            match self.hear().await {
                Some(Frame::Close(close)) => return close.code,
                Some(_) => {}
                None => return "the stream ended without a code".into(),
            }
        }
    }
}

/// Writes a log by hand, with a real signing key.
pub struct Author {
    /// The key.
    pub signer: FileSigner,
    log: LogId,
    entries: Vec<RawEntry>,
}

impl Author {
    /// The author of the log `from`→`to` with the key of an identity.
    pub fn new(identity: &Identity, trust: &Path, from: &str, to: &str) -> Self {
        let trust = TrustStore::load(trust).expect("a trust folder");
        let verified =
            trust.verify(Purpose::Signing, &identity.chain_refs(), now_ms()).expect("a good certificate");
        let key = PublicKey::from_spki(&verified.spki_der).expect("a key of ours");
        let signer = FileSigner::new(
            verified.id.to_string(),
            key,
            identity.chain().to_vec(),
            identity.key().secret_pkcs8_der(),
        )
        .expect("the key belongs to the certificate");
        let channel = ChannelId { from: from.parse().expect("a node"), to: to.parse().expect("a node") };
        Self { signer, log: LogId { channel, epoch: 0 }, entries: Vec::new() }
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    /// A header of this log for a payload, and its body.
    pub fn header(&self, number: u8, kind: &str, payload: &[u8]) -> (Header, Bytes) {
        let body = body([number; 16], payload);
        let header = Header {
            message_id: MessageId([number; 16]),
            channel: self.log.channel,
            epoch: 0,
            kind: kind.into(),
            case_id: None,
            in_reply_to: None,
            seen: LogPosition::default(),
            agreement: None,
            standard: None,
            created: UnixMillis(now_ms() as u64),
            expires: None,
            body_digest: body_digest(Suite::P256Sha256, &body),
            body_length: body.len() as u32,
            blobs: Vec::new(),
        };
        (header, body)
    }

    /// Appends an entry as bytes.
    pub fn append(&mut self, header: Vec<u8>, body: Bytes) {
        self.entries.push(RawEntry { header: header.into(), body: Some(body) });
    }

    /// The batch from `first` on, under a checkpoint signed now.
    pub fn batch(&self, first: u64) -> wire::Batch {
        let mut frontier = Frontier::new(Suite::P256Sha256);
        for entry in &self.entries {
            frontier.append(leaf_hash(Suite::P256Sha256, &entry.header).expect("a leaf"), |_, _, _| {});
        }
        let checkpoint = Checkpoint {
            log: self.log,
            size: self.size(),
            root: frontier.root(),
            time: UnixMillis(now_ms() as u64),
        };
        let signature = self.signer.sign(checkpoint.body().as_bytes()).expect("a signature");
        let note = Note::signed(checkpoint, self.signer.name(), self.signer.public_key(), &signature);
        wire::Batch {
            epoch: 0,
            first,
            entries: self.entries[first as usize..]
                .iter()
                .map(|entry| wire::Entry {
                    header: entry.header.clone(),
                    body: entry.body.clone().unwrap_or_default(),
                    erased: false,
                })
                .collect(),
            checkpoint: note.text().into_bytes().into(),
        }
    }

    /// An Open of this node that claims to hold nothing.
    pub fn open(&self) -> wire::Open {
        // Each link's name is newer than the last, or the older one would fence it out.
        static DIALLED: AtomicU64 = AtomicU64::new(0);
        let newer = now_ms() as u64 + DIALLED.fetch_add(1, Ordering::SeqCst);
        let mut name = newer.to_be_bytes().to_vec();
        name.extend_from_slice(&[7; 16]);
        wire::Open {
            version_min: 1,
            version_max: 1,
            node: self.log.channel.from.to_string(),
            link: name.into(),
            signing_chain: self.signer.chain().iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            outbound: Some(wire::LogState::default()),
            inbound: Some(wire::LogState::default()),
            batches_in_flight_max: 8,
            batch_bytes_max: 3 << 20,
            older_signing_chains: Vec::new(),
            purpose: String::new(),
            life: Bytes::new(),
            proof: Bytes::new(),
        }
    }

    /// The same, of version 2, with the proof that the author holds its signing key, good on that link alone.
    pub fn open_on(&self, link: &Stranger) -> wire::Open {
        self.proved(link, wire::Open { version_max: 2, ..self.open() })
    }

    /// An Open with the proof that belongs to it on that link.
    pub fn proved(&self, link: &Stranger, open: wire::Open) -> wire::Open {
        let claim = Claim {
            from: self.log.channel.from,
            to: self.log.channel.to,
            dialled: true,
            bulk: open.purpose == "bulk",
            name: open.link[..].try_into().expect("a link's name"),
            binding: link.binding,
        };
        let proof = self.signer.sign(&claim.message()).expect("a signature");
        wire::Open { proof: proof.into(), ..open }
    }
}
