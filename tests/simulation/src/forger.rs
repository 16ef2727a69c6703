//! Somebody who has a node's keys, TLS and signing, and speaks in its name: signs another entry for a place
//! that the receiver has filled already. The receiver must notice before it signs anything, stop that
//! channel and keep both signatures.

use super::pki::pki;
use super::world::{Life, Site, World};
use bytes::Bytes;
use gateway::channel::possession::{Binding, Claim};
use gateway::entry::{Header, body, body_digest};
use gateway::id::{ChannelId, LogId, LogPosition, MessageId};
use gateway::link;
use gateway::log::checkpoint::{Checkpoint, Note};
use gateway::log::leaf::leaf_hash;
use gateway::log::tree::Frontier;
use gateway::peer::{PeerStream, Standing};
use gateway::refusal::{Refusal, RefusalCode};
use gateway::signer::Signer as _;
use gateway::suite::Suite;
use gateway::time::UnixMillis;
use proto::exchange::v1 as wire;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// Of the forger's own connection: it has the node's TLS key.
const BINDING: Binding = [0xf0; 32];

struct Good;

impl Standing for Good {
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// What is forged.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// The last entry again, as another.
    Entry,
    /// A next entry, under a root of another history.
    Root,
    /// No entry, and another root for the size that there is.
    Head,
}

/// Forges a fork at some node, in the name of a partner of its, and looks whether it is noticed.
pub(super) async fn forge(world: &Arc<World>) {
    let running: Vec<_> = world.sites.iter().filter(|site| site.life().is_some()).cloned().collect();
    if running.is_empty() {
        return;
    }
    let site = world.fault_dice.pick(&running).clone();
    let Some(life) = site.life() else { return };
    let peer = Arc::clone(&world.sites[*world.fault_dice.pick(&site.peers)]);
    let channel = ChannelId { from: peer.id, to: site.id };
    let Ok(before) = life.gateway.channel(channel) else { return };
    if before.size == 0 || before.stopped.is_some() {
        return;
    }
    let lie = *world.fault_dice.pick(&[Lie::Entry, Lie::Root, Lie::Head]);
    let Some(batch) = forged(world, &life, &peer, channel, before.size, lie) else { return };
    world.record().forged.insert((site.index, peer.id));
    world.fault("forged fork", || {
        format!("{lie:?} in the log of {} at {}, size {}", peer.id, site.id, before.size)
    });
    let (to, incoming) = mpsc::channel(16);
    let (outgoing, mut from) = mpsc::channel(16);
    let incoming = Box::pin(ReceiverStream::new(incoming).map(Ok));
    let stream = PeerStream {
        peer: peer.id,
        dialled: false,
        binding: BINDING,
        incoming,
        outgoing,
        standing: Arc::new(Good),
    };
    life.spawn({
        let links = life.gateway.links();
        async move { drop(link::run(links, stream).await) }
    });
    if to.send(open(world, &site, &peer)).await.is_err() {
        return;
    }
    let Ok(Some(_)) = timeout(Duration::from_secs(5), from.recv()).await else { return };
    if to.send(wire::Frame { kind: Some(wire::frame::Kind::Batch(batch)) }).await.is_err() {
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let frame = timeout(deadline.saturating_duration_since(Instant::now()), from.recv()).await;
        let stopped = life.gateway.channel(channel).ok().and_then(|log| log.stopped);
        if stopped.is_some_and(|stop| is_forgery(stop.code)) {
            world.trace.event(("forgery noticed", site.index), || format!("{} noticed it", site.id));
            return;
        }
        match frame {
            Ok(Some(wire::Frame { kind: Some(wire::frame::Kind::Cosigned(_)) })) => {
                world.violated("8 tampering is named", format!("{} answered a forger: {lie:?}", site.id));
                return;
            }
            Ok(Some(_)) => {}
            // A link that another fenced brought no batch, and a process that died took none.
            Ok(None) | Err(_) => {
                world.trace.event(("not reached", site.index), || format!("{} was not reached", site.id));
                return;
            }
        }
    }
}

/// The codes of a stop that only a lie causes.
pub(super) fn is_forgery(code: RefusalCode) -> bool {
    matches!(code, RefusalCode::Fork | RefusalCode::RootMismatch)
}

fn open(world: &World, site: &Site, peer: &Site) -> wire::Frame {
    let number = peer.signing();
    let chain = pki().signing[peer.index][number].chain_der.iter().map(|der| Bytes::copy_from_slice(der));
    // Newer than any that a clock names.
    let mut name = (super::EPOCH + 400_000_000 + world.trace.now()).to_be_bytes().to_vec();
    name.resize(link::LINK_NAME_BYTES, site.index as u8);
    let claim = Claim {
        from: peer.id,
        to: site.id,
        dialled: true,
        bulk: false,
        name: name[..].try_into().expect("a link's name has its length"),
        binding: BINDING,
    };
    let proof = pki().signer(peer.index, number).sign(&claim.message()).expect("a key in memory signs");
    wire::Frame {
        kind: Some(wire::frame::Kind::Open(wire::Open {
            version_min: 1,
            version_max: 2,
            proof: proof.into(),
            node: peer.id.to_string(),
            link: name.into(),
            signing_chain: chain.collect(),
            batches_in_flight_max: 8,
            batch_bytes_max: 1 << 20,
            ..Default::default()
        })),
    }
}

/// The lie, under a good signature. Its root is that of a log whose last entry is another.
fn forged(
    world: &World,
    life: &Life,
    peer: &Site,
    channel: ChannelId,
    held: u64,
    lie: Lie,
) -> Option<wire::Batch> {
    let log = LogId { channel, epoch: 0 };
    let suite = Suite::Ed25519Sha256;
    let mut frontier = Frontier::new(suite);
    let archive = &life.gateway.links().archive;
    while frontier.size() + 1 < held {
        let batch = archive.batch(log, frontier.size()).ok()??;
        for raw in batch.entries.iter().take((held - 1 - frontier.size()) as usize) {
            frontier.append(leaf_hash(suite, &raw.header).ok()?, |_, _, _| {});
        }
    }
    let body = body([9; 16], &super::content::forward(999_999));
    let now = UnixMillis(super::EPOCH + world.trace.now());
    let header = Header {
        message_id: MessageId([0x99; 16]),
        channel,
        epoch: 0,
        kind: "case.forward".into(),
        case_id: Some("FORGED-1".parse().ok()?),
        in_reply_to: None,
        seen: LogPosition::default(),
        agreement: None,
        standard: None,
        created: now,
        expires: None,
        body_digest: body_digest(suite, &body),
        body_length: body.len() as u32,
        blobs: Vec::new(),
    };
    let header = Bytes::from(header.encode());
    let leaf = leaf_hash(suite, &header).ok()?;
    frontier.append(leaf, |_, _, _| {});
    let (first, size) = match lie {
        Lie::Entry => (held - 1, held),
        Lie::Root => {
            frontier.append(leaf, |_, _, _| {});
            (held, held + 1)
        }
        Lie::Head => (held, held),
    };
    let checkpoint = Checkpoint { log, size, root: frontier.root(), time: now };
    let signer = pki().signer(peer.index, peer.signing());
    let signature = signer.sign(checkpoint.body().as_bytes()).ok()?;
    let note = Note::signed(checkpoint, signer.name(), signer.public_key(), &signature);
    let entry = wire::Entry { header, body, erased: false };
    Some(wire::Batch {
        epoch: 0,
        first,
        entries: (first..size).map(|_| entry.clone()).collect(),
        checkpoint: note.text().into_bytes().into(),
    })
}
