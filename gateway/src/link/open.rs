//! The first frame of either side: who speaks, and how much of each log it holds.

use super::{Links, VERSION_MAX, VERSION_MIN, not_trusted};
use crate::channel::batch::note_refusal;
use crate::channel::fence::{Life, LinkName, Turn};
use crate::channel::possession::{self, Claim, Possession};
use crate::committer::{Command, LogSnapshot, PeerStatement};
use crate::id::{LogId, NodeId};
use crate::keybook::SigningKey;
use crate::limits::{BATCH_BYTES_MAX, BATCHES_IN_FLIGHT_MAX, CHAIN_CERTIFICATES_MAX, OLDER_CHAINS_MAX};
use crate::log::checkpoint::Note;
use crate::peer::End;
use crate::refusal::{Refusal, RefusalCode};
use crate::signer::Signer;
use crate::suite::PublicKey;
use bytes::Bytes;
use certs::Verified;
use proto::exchange::v1 as wire;
use tokio::sync::oneshot;

/// What this node states on a link, `to` a life of the peer's process if it is known, and the turn of the
/// link. The copy of the peer's log is as long as it will be until that life adds to it: what waited before is on the
/// disk, and what older lives sent is refused from now on.
///
/// # Errors
/// [`RefusalCode::Fenced`] when a later link has stated it meanwhile; the committer's own.
pub(super) async fn state(
    links: &Links,
    end: End,
    name: LinkName,
    to: Option<Life>,
) -> Result<(Turn, wire::Open), Refusal> {
    let peer = end.peer;
    let (reply, stated) = oneshot::channel();
    let turn = {
        // Turns are in the order in which the committer hears of them: a later one that came first would
        // have both of two links that were dialled at once give way.
        let mut turns = links.turns.lock().await;
        *turns += 1;
        links.committer.queue(Command::State { peer, turn: *turns, to, reply }).await?;
        *turns
    };
    stated.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))?;
    // One key for both: a rotation in between would have the peer take this node for a thief.
    let signer = links.signer();
    let proof = prove(links, &*signer, end, name, false)?;
    Ok((turn, wire::Open { proof, ..shown(links, &*signer, peer, name) }))
}

/// This side of a link, or the peer's.
fn claim(links: &Links, end: End, name: LinkName, bulk: bool, own: bool) -> Claim {
    let (me, peer) = (links.me, end.peer);
    let (from, to) = if own { (me, peer) } else { (peer, me) };
    Claim { from, to, dialled: end.dialled == own, bulk, name, binding: end.binding }
}

/// Proves to the peer that this node holds the signing key whose certificate it shows.
///
/// # Errors
/// [`RefusalCode::KeySilent`] when the key does not answer.
pub(super) fn prove(
    links: &Links,
    signer: &dyn Signer,
    end: End,
    name: LinkName,
    bulk: bool,
) -> Result<Bytes, Refusal> {
    let message = claim(links, end, name, bulk, true).message();
    let signed = signer.sign(&message);
    signed.map(Bytes::from).map_err(|error| Refusal::new(RefusalCode::KeySilent, error.to_string()))
}

/// Judges the signing certificate that a peer shows as its present one, and its proof that it holds the key.
///
/// # Errors
/// [`RefusalCode::NotTrusted`], [`RefusalCode::WrongNode`], [`RefusalCode::BadSignature`] for a key of another
/// suite, [`RefusalCode::NotProven`].
pub(super) fn hear_proof(
    links: &Links,
    end: End,
    name: LinkName,
    open: &wire::Open,
    bulk: bool,
) -> Result<(SigningKey, Possession), Refusal> {
    let peer = end.peer;
    if open.signing_chain.len() > CHAIN_CERTIFICATES_MAX {
        return Err(Refusal::new(RefusalCode::TooLarge, "a signing chain"));
    }
    let chain: Vec<&[u8]> = open.signing_chain.iter().map(AsRef::as_ref).collect();
    let now = i64::try_from(links.clock.now().0).unwrap_or(i64::MAX);
    let verified = links.trust.load_full().verify(certs::Purpose::Signing, &chain, now);
    let key = signing_key(peer, &verified.map_err(|error| not_trusted(&error))?, &open.signing_chain)?;
    if key.key.suite != links.suite {
        let (theirs, ours) = (key.key.suite.name(), links.suite.name());
        let detail = format!("the peer signs with {theirs}, the channel is of {ours}");
        return Err(Refusal::new(RefusalCode::BadSignature, detail));
    }
    let message = claim(links, end, name, bulk, false).message();
    let verifies = |proof: &[u8]| key.key.verifies(&message, proof);
    let judged = possession::judge(links.keys.has_proved(peer), open.version_max, &open.proof, verifies)?;
    if judged == Possession::Unasked {
        tracing::warn!(%peer, "the peer's release cannot prove that it holds its signing key: have it upgraded");
    }
    Ok((key, judged))
}

/// The present signing certificate as an Open shows it.
pub(super) fn signing_chain(signer: &dyn Signer) -> Vec<Bytes> {
    signer.chain().iter().map(|der| Bytes::copy_from_slice(der)).collect()
}

fn shown(links: &Links, signer: &dyn Signer, peer: NodeId, name: LinkName) -> wire::Open {
    let snapshot = links.snapshot.read().expect("no holder of the snapshot panics");
    let log_state = |log: Option<&LogSnapshot>| {
        log.map_or_else(wire::LogState::default, |log| wire::LogState {
            epoch: log.log.epoch,
            size: log.size,
            root: Bytes::copy_from_slice(&log.root),
            checkpoint: note_bytes(log.checkpoint.as_ref()),
            cosigned: note_bytes(log.cosigned.as_ref()),
            stopped: log.stopped.as_ref().map_or_else(Bytes::new, |stop| Bytes::from(stop.code.code())),
        })
    };
    let own = links.keys.of(links.me);
    // The newest of those that this node signed with before.
    let older = own.iter().rev().filter(|own| own.chain != signer.chain()).take(OLDER_CHAINS_MAX);
    let chain = |chain: &[Vec<u8>]| chain.iter().map(|der| Bytes::copy_from_slice(der)).collect();
    wire::Open {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        node: links.me.to_string(),
        link: Bytes::copy_from_slice(&name),
        signing_chain: signing_chain(signer),
        outbound: Some(log_state(snapshot.out.get(&peer))),
        inbound: Some(log_state(snapshot.inbound.get(&peer))),
        batches_in_flight_max: BATCHES_IN_FLIGHT_MAX as u32,
        batch_bytes_max: BATCH_BYTES_MAX as u32,
        older_signing_chains: older
            .map(|older| wire::SigningChain { certificate: chain(&older.chain) })
            .collect(),
        purpose: String::new(),
        life: Bytes::copy_from_slice(&links.life),
        proof: Bytes::new(),
    }
}

fn note_bytes(note: Option<&Note>) -> Bytes {
    note.map_or_else(Bytes::new, |note| Bytes::from(note.text()))
}

/// What a peer's Open means, after everything in it was checked.
pub(super) struct Heard {
    pub(super) name: LinkName,
    /// Which life of the peer's process speaks; zeros if it does not say.
    pub(super) life: Life,
    /// The peer's copy of our log, and how much of its own it can show us to have cosigned.
    pub(super) copy: Option<Note>,
    pub(super) cosigned_here_below: u64,
    pub(super) batches_in_flight_max: usize,
    /// The peer's copy of our log is stopped: it takes nothing.
    pub(super) their_inbound_stopped: Option<RefusalCode>,
}

impl Heard {
    /// What it states to a link of that turn.
    pub(super) fn statement(&self, peer: NodeId, turn: Turn) -> PeerStatement {
        let (copy, cosigned_here_below) = (self.copy.clone(), self.cosigned_here_below);
        PeerStatement { peer, copy, cosigned_here_below, turn, life: self.life }
    }
}

/// Checks a peer's Open and remembers its signing certificates.
pub(super) async fn hear(links: &Links, end: End, open: wire::Open) -> Result<Heard, Refusal> {
    let peer = end.peer;
    if open.version_min > VERSION_MAX || open.version_max < VERSION_MIN {
        let detail =
            format!("peer={}..{} here={VERSION_MIN}..{VERSION_MAX}", open.version_min, open.version_max);
        return Err(Refusal::new(RefusalCode::VersionUnsupported, detail));
    }
    if open.node != peer.as_str() {
        return Err(Refusal::new(RefusalCode::WrongNode, format!("certificate={peer}")));
    }
    let name: LinkName = open.link[..]
        .try_into()
        .map_err(|_| Refusal::new(RefusalCode::FrameUnexpected, "the link's name is not 24 bytes"))?;
    let life = match &open.life[..] {
        [] => Life::default(),
        life => life
            .try_into()
            .map_err(|_| Refusal::new(RefusalCode::FrameUnexpected, "the life is not 16 bytes"))?,
    };
    let (key, judged) = hear_proof(links, end, name, &open, false)?;
    remember_key(links, peer, key, judged == Possession::Proven).await?;
    remember_older_keys(links, peer, &open).await?;
    let inbound = open.inbound.unwrap_or_default();
    let outbound = open.outbound.unwrap_or_default();
    let copy = read_copy(links, peer, &inbound)?;
    Ok(Heard {
        name,
        life,
        copy,
        cosigned_here_below: cosigned_here(links, peer, &outbound),
        batches_in_flight_max: (open.batches_in_flight_max as usize).clamp(1, BATCHES_IN_FLIGHT_MAX),
        their_inbound_stopped: (!inbound.stopped.is_empty()).then(|| {
            let code = std::str::from_utf8(&inbound.stopped).ok().and_then(RefusalCode::with_code);
            code.unwrap_or(RefusalCode::ChannelStopped)
        }),
    })
}

/// Journals a signing certificate that is not known yet, or whose node has just proved that it holds a key for the
/// first time.
pub(super) async fn remember_key(
    links: &Links,
    node: NodeId,
    key: SigningKey,
    proven: bool,
) -> Result<(), Refusal> {
    let known = links.keys.of(node).iter().any(|known| known.chain == key.chain);
    if known && (!proven || links.keys.has_proved(node)) {
        return Ok(());
    }
    links.committer.ask_patiently(|reply| Command::SigningKey { node, key, proven, reply }).await
}

async fn remember_older_keys(links: &Links, peer: NodeId, open: &wire::Open) -> Result<(), Refusal> {
    if open.older_signing_chains.len() > OLDER_CHAINS_MAX {
        return Err(Refusal::new(RefusalCode::TooLarge, "older signing chains"));
    }
    let trust = links.trust.load_full();
    let now = i64::try_from(links.clock.now().0).unwrap_or(i64::MAX);
    for certificates in open.older_signing_chains.iter().map(|chain| &chain.certificate) {
        if certificates.len() > CHAIN_CERTIFICATES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, "a signing chain"));
        }
        let chain: Vec<&[u8]> = certificates.iter().map(AsRef::as_ref).collect();
        // An older certificate counts if it was good when it signed what the peer shows, or is now.
        let instants = shown_instants(open).into_iter().chain([now]);
        let verdicts = instants.map(|at| trust.verify_evidence(&chain, at));
        // An old key that is not trusted any more verifies nothing; what it signed will be missed.
        let Ok(verified) = verdicts.reduce(Result::or).expect("now is always asked for") else { continue };
        let key = signing_key(peer, &verified, certificates)?;
        // One of another suite signs nothing in this channel.
        if key.key.suite == links.suite {
            remember_key(links, peer, key, false).await?;
        }
    }
    Ok(())
}

/// When the notes that a peer shows were signed, by their own word.
fn shown_instants(open: &wire::Open) -> Vec<i64> {
    let states = [&open.outbound, &open.inbound].into_iter().flatten();
    states
        .flat_map(|state| [&state.checkpoint, &state.cosigned])
        .filter_map(|note| Note::parse(note).ok())
        .filter_map(|note| i64::try_from(note.checkpoint().time.0).ok())
        .collect()
}

pub(super) fn signing_key(
    peer: NodeId,
    verified: &Verified,
    certificates: &[Bytes],
) -> Result<SigningKey, Refusal> {
    if verified.id.division.as_str() != peer.as_str() {
        return Err(Refusal::new(RefusalCode::WrongNode, "the signing certificate is another node's"));
    }
    let key = PublicKey::from_spki(&verified.spki_der)
        .map_err(|error| Refusal::new(RefusalCode::NotTrusted, error.to_string()))?;
    let chain = certificates.iter().map(|der| der.to_vec()).collect();
    Ok(SigningKey { name: verified.id.to_string(), key, chain })
}

/// The peer's copy of our log: what it shows must bear our own signature, or it is nobody's word.
fn read_copy(links: &Links, peer: NodeId, state: &wire::LogState) -> Result<Option<Note>, Refusal> {
    if state.size == 0 {
        return Ok(None);
    }
    let log = links.out_log(peer);
    if state.epoch != log.epoch {
        return Err(Refusal::new(
            RefusalCode::WrongEpoch,
            format!("peer={} here={}", state.epoch, log.epoch),
        ));
    }
    let note = Note::parse(&state.cosigned).map_err(note_refusal)?;
    verify_cosigned(links, log, &note)?;
    if note.checkpoint().size != state.size {
        return Err(Refusal::new(RefusalCode::BadCheckpoint, "the stated size is not the checkpoint's"));
    }
    Ok(Some(note))
}

/// Up to where the peer can show our own cosignature in its log.
fn cosigned_here(links: &Links, peer: NodeId, state: &wire::LogState) -> u64 {
    let log = links.in_log(peer);
    let Ok(note) = Note::parse(&state.cosigned) else { return 0 };
    match verify_cosigned(links, log, &note) {
        Ok(()) => note.checkpoint().size,
        Err(refusal) => {
            // Not ours, or by a key of ours that is no longer known: older keys belong into the configuration.
            tracing::warn!(%peer, code = %refusal.code, detail = refusal.detail,
                "the peer shows a receipt that this node does not recognise");
            0
        }
    }
}

/// Checks both signatures of a cosigned note of `log`, under any key ever known of the two nodes.
pub(super) fn verify_cosigned(links: &Links, log: LogId, note: &Note) -> Result<(), Refusal> {
    if note.checkpoint().log != log {
        return Err(Refusal::new(RefusalCode::BadCheckpoint, "origin is another log"));
    }
    let unknown = |whose: NodeId| Refusal::new(RefusalCode::UnknownKey, format!("node={whose}"));
    let origin = links.keys.origin_key(log.channel.from, note).ok_or_else(|| unknown(log.channel.from))?;
    of_suite(links, &origin.key)?;
    note.verify_origin(&origin.name, &origin.key).map_err(note_refusal)?;
    verify_cosignature(links, log, note)
}

/// Checks the receiver's signature on a note of `log` whose sender's signature needs no check: this node
/// has just made it.
pub(super) fn verify_cosignature(links: &Links, log: LogId, note: &Note) -> Result<(), Refusal> {
    let unknown = |whose: NodeId| Refusal::new(RefusalCode::UnknownKey, format!("node={whose}"));
    let cosigner = links.keys.cosigner_key(log.channel.to, note).ok_or_else(|| unknown(log.channel.to))?;
    of_suite(links, &cosigner.key)?;
    note.verify_cosignature(&cosigner.name, &cosigner.key).map_err(note_refusal)?;
    Ok(())
}

/// A key of another suite signs nothing in a log, however well it is known.
fn of_suite(links: &Links, key: &PublicKey) -> Result<(), Refusal> {
    if key.suite == links.suite {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::BadSignature, "the key is not of the epoch's suite"))
}
