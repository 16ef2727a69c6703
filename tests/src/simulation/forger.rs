//! Somebody who has a node's keys, TLS and signing, and speaks in its name: signs another entry for a place
//! that the receiver has filled already. The receiver must notice before it signs anything, stop that
//! channel and keep both signatures.

use super::pki::pki;
use super::world::{Life, Site, World};
use bytes::Bytes;
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
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

struct Good;

impl Standing for Good {
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
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
    let Some(batch) = forged(world, &life, &peer, channel, before.size) else { return };
    world.record().forged.insert((site.index, peer.id));
    world.fault("forged fork", || format!("in the log of {} at {}, size {}", peer.id, site.id, before.size));
    let (to, incoming) = mpsc::channel(16);
    let (outgoing, mut from) = mpsc::channel(16);
    let incoming = Box::pin(ReceiverStream::new(incoming).map(Ok));
    let stream = PeerStream { peer: peer.id, dialled: false, incoming, outgoing, standing: Arc::new(Good) };
    life.spawn({
        let links = life.gateway.links();
        async move { drop(link::run(links, stream).await) }
    });
    if to.send(open(world, &site, &peer)).await.is_err() {
        return;
    }
    let Ok(Some(_)) = timeout(Duration::from_secs(5), from.recv()).await else { return };
    // It reads on, so that nothing waits for it.
    life.spawn(async move { while from.recv().await.is_some() {} });
    if to.send(wire::Frame { kind: Some(wire::frame::Kind::Batch(batch)) }).await.is_err() {
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline {
        let stopped = life.gateway.channel(channel).ok().and_then(|log| log.stopped);
        if life.dead() || stopped.is_some_and(|stop| stop.code == RefusalCode::Fork) {
            world.trace.event(("fork noticed", site.index), || format!("{} noticed the fork", site.id));
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    // A link that another fenced brought no batch.
    let now = life.gateway.channel(channel);
    world.trace.event(("fork not brought", site.index), || format!("{} was not reached: {now:?}", site.id));
}

fn open(world: &World, site: &Site, peer: &Site) -> wire::Frame {
    let number = peer.signing();
    let chain = pki().signing[peer.index][number].chain_der.iter().map(|der| Bytes::copy_from_slice(der));
    // Newer than any that a clock names.
    let mut name = (super::EPOCH + 400_000_000 + world.trace.now()).to_be_bytes().to_vec();
    name.resize(link::LINK_NAME_BYTES, site.index as u8);
    wire::Frame {
        kind: Some(wire::frame::Kind::Open(wire::Open {
            version_min: 1,
            version_max: 1,
            node: peer.id.to_string(),
            link: name.into(),
            signing_chain: chain.collect(),
            batches_in_flight_max: 8,
            batch_bytes_max: 1 << 20,
            ..Default::default()
        })),
    }
}

/// The last entry again, as another, under a good signature.
fn forged(world: &World, life: &Life, peer: &Site, channel: ChannelId, size: u64) -> Option<wire::Batch> {
    let log = LogId { channel, epoch: 0 };
    let suite = Suite::Ed25519Sha256;
    let mut frontier = Frontier::new(suite);
    let archive = &life.gateway.links().archive;
    while frontier.size() + 1 < size {
        let batch = archive.batch(log, frontier.size()).ok()??;
        for raw in batch.entries.iter().take((size - 1 - frontier.size()) as usize) {
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
    frontier.append(leaf_hash(suite, &header).ok()?, |_, _, _| {});
    let checkpoint = Checkpoint { log, size, root: frontier.root(), time: now };
    let signer = pki().signer(peer.index, peer.signing());
    let signature = signer.sign(checkpoint.body().as_bytes()).ok()?;
    let note = Note::signed(checkpoint, signer.name(), signer.public_key(), &signature);
    Some(wire::Batch {
        epoch: 0,
        first: size - 1,
        entries: vec![wire::Entry { header, body, erased: false }],
        checkpoint: note.text().into_bytes().into(),
    })
}
