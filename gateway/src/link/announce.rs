//! `key.announce`: a partner tells in its log which key will sign it next, under the key that signs it now. Once
//! the entry stands and is permitted, the certificate is remembered as one that `Open` shows is, so that a
//! rotation needs no new link.
//!
//! Whether the certificate is trusted is no part of the verdict: verdicts stand for ever and both nodes judge
//! alike, while trust differs between nodes and from day to day. One that is not trusted now may be later, in an
//! `Open`.

use super::Links;
use super::open::{remember_key, signing_key};
use crate::channel::batch::VerifiedBatch;
use crate::entry::payload;
use crate::id::{ChannelId, Kind, MessageId, NodeId};
use crate::refusal::{Refusal, RefusalCode};
use crate::service::payload::Payload;
use crate::wire;
use bytes::Bytes;
use std::sync::Arc;

/// A certificate that an entry announces.
pub(super) struct Announced {
    message_id: MessageId,
    /// DER, leaf first.
    chain: Vec<Bytes>,
}

/// What a batch announces.
pub(super) fn announced(batch: &VerifiedBatch) -> Vec<Announced> {
    let announced = batch.entries().iter().filter_map(|entry| {
        let header = entry.header.as_ref().ok().filter(|header| header.kind == Kind::KeyAnnounce.name())?;
        let said = payload(entry.raw.body.as_ref()?)?;
        let Ok(Payload::KeyAnnounce(chain)) = wire::payload::decode(Kind::KeyAnnounce, &said) else {
            return None;
        };
        Some(Announced { message_id: header.message_id, chain: chain.into_iter().map(Bytes::from).collect() })
    });
    announced.collect()
}

/// Remembers a certificate whose entry is durable here, if the verdict permits it and trust does.
///
/// # Errors
/// When the store cannot be read or written.
pub(super) async fn hear_announced(
    links: &Arc<Links>,
    peer: NodeId,
    announced: Announced,
) -> Result<(), Refusal> {
    let channel = ChannelId { from: peer, to: links.me };
    let row = links.archive.message(channel, announced.message_id);
    let row = row.map_err(|error| Refusal::new(RefusalCode::StoreDamaged, error.to_string()))?;
    if row.is_none_or(|row| row.dropped || !row.refused.is_empty()) {
        return Ok(());
    }
    let chain: Vec<&[u8]> = announced.chain.iter().map(AsRef::as_ref).collect();
    let now = i64::try_from(links.clock.now().0).unwrap_or(i64::MAX);
    let judged = match links.trust.load().verify(certs::Purpose::Signing, &chain, now) {
        Ok(verified) => signing_key(peer, &verified, &announced.chain),
        Err(error) => Err(super::not_trusted(&error)),
    };
    match judged {
        Ok(key) if key.key.suite == links.suite => {
            tracing::info!(%peer, message_id = %announced.message_id, "a partner's next signing key is known");
            remember_key(links, peer, key, false).await
        }
        Ok(_) => Ok(()),
        Err(refusal) => {
            tracing::warn!(%peer, message_id = %announced.message_id, code = %refusal.code,
                detail = refusal.detail, "a signing certificate that a partner announces is not trusted");
            Ok(())
        }
    }
}
