//! Rotation of the node's own signing key while everything runs: announced under the old key, then used.
//!
//! Nothing waits for it for long. A partner that is not connected, or does not answer in time, learns of the new
//! certificate from the next `Open`; until then it closes with `channel.unknown_key` and is dialled again.

use super::Gateway;
use crate::committer::bells::Topic;
use crate::committer::{Command, Submission};
use crate::id::{Kind, NodeId};
use crate::keybook::SigningKey;
use crate::limits::ANNOUNCE_MILLIS_MAX;
use crate::refusal::{Refusal, RefusalCode};
use crate::signer::Signer;
use crate::suite::sha256;
use prost::Message as _;
use proto::exchange::v1::KeyAnnounce;
use std::sync::Arc;
use std::time::Duration;

impl Gateway {
    /// Tells connected partners of a new signing key, and signs with it from then on. The certificate of the old
    /// one is known for ever: it verifies what that key signed.
    ///
    /// A crash in between leaves the old key at work, or the new one: whichever the files name at the next start.
    ///
    /// # Errors
    /// [`RefusalCode::MaterialRefused`] for a key of another suite; what the store refuses with.
    pub async fn use_signer(&self, signer: Arc<dyn Signer>) -> Result<(), Refusal> {
        if signer.public_key().suite != self.0.suite {
            let (was, is) = (self.0.suite.name(), signer.public_key().suite.name());
            let detail = format!("the logs are of {was}, the key is of {is}");
            return Err(Refusal::new(RefusalCode::MaterialRefused, detail));
        }
        // Own notes under the new key are recognised before there is one.
        let (node, key) = (self.0.me, SigningKey::of(&*signer));
        let committer = &self.0.committer;
        committer.ask_patiently(|reply| Command::SigningKey { node, key, proven: false, reply }).await?;
        let peers: Vec<NodeId> = self.snapshot().out.keys().copied().collect();
        let connected = peers.into_iter().filter(|peer| self.0.links.is_live(*peer));
        let mut announcing = tokio::task::JoinSet::new();
        for peer in connected {
            let (gateway, signer) = (self.clone(), Arc::clone(&signer));
            announcing.spawn(async move {
                let told = tokio::time::timeout(
                    Duration::from_millis(ANNOUNCE_MILLIS_MAX),
                    gateway.announce(peer, &*signer),
                );
                match told.await {
                    Ok(Ok(())) => {}
                    Ok(Err(refusal)) => tracing::warn!(%peer, code = %refusal.code, detail = refusal.detail,
                        "the new signing key is not announced; the next Open shows it"),
                    Err(_) => tracing::warn!(%peer, "no receipt for the new signing key in time"),
                }
            });
        }
        while announcing.join_next().await.is_some() {}
        // New links first: a partner that meets a note under a key that it does not know dials again.
        self.0.links.use_signer(Arc::clone(&signer));
        committer.ask_patiently(|reply| Command::UseSigner { signer, reply }).await
    }

    /// Sends one partner the certificate and waits for its receipt.
    async fn announce(&self, peer: NodeId, signer: &dyn Signer) -> Result<(), Refusal> {
        let leaf = signer.chain().first().map_or(&[][..], Vec::as_slice);
        let certificate = signer.chain().iter().map(|der| der.clone().into()).collect();
        let submission = Submission {
            to: peer,
            message_id: None,
            // The same certificate again is the same entry.
            alias: Some(format!("key.announce/{}", certs::administration::log::to_hex(&sha256(&[leaf])))),
            kind: Kind::KeyAnnounce,
            case_id: None,
            in_reply_to: None,
            agreement: None,
            standard: None,
            expires: None,
            payload: KeyAnnounce { certificate }.encode_to_vec().into(),
        };
        let listener = self.0.bells.listen([Topic::Peer(peer)]);
        let committer = &self.0.committer;
        let submitted = committer.ask_patiently(|reply| Command::Submit { submission, reply }).await?;
        let Some(index) = submitted.index else { return Ok(()) };
        loop {
            let cosigned = {
                let snapshot = self.snapshot();
                snapshot
                    .out
                    .get(&peer)
                    .and_then(|log| log.cosigned.as_ref().map(|note| note.checkpoint().size))
            };
            if cosigned.is_some_and(|size| size > index) {
                return Ok(());
            }
            listener.rung().await.map_err(|_| Refusal::from(RefusalCode::StoreUnknown))?;
        }
    }
}
