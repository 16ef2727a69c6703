//! The signing key of the node: taken up at its start, and taken up anew, while everything runs, when its files
//! change. What does not fit keeps the last good one at work, with an alarm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certs::{Identity, Purpose, TrustStore, pem};
use gateway::gateway::Gateway;
use gateway::limits::TRUST_POLL_MILLIS;
use gateway::measure::Measures;
use gateway::refusal::RefusalCode;
use gateway::signer::{FileSigner, Signer};
use gateway::suite::PublicKey;
use gateway::transport::tls::TrustHandle;
use tokio::time::MissedTickBehavior;

use crate::both;
use crate::config::Config;
use crate::console::Failure;
use crate::text::Both;

/// Why a signing key is not taken up, with the stable code of it.
#[derive(Debug)]
pub(super) struct Unusable {
    /// The code.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub text: Both,
}

/// The signer of an identity, as trust is now: the certificate has to be this node's, and trusted.
///
/// # Errors
/// The first reason against it.
pub(super) fn signer(
    config: &Config,
    identity: &Identity,
    trust: &TrustStore,
) -> Result<Arc<dyn Signer>, Unusable> {
    let refused = |error: &certs::TrustError| Unusable {
        code: error.code(),
        text: both!("签名证书：{error}", "the signing certificate: {error}"),
    };
    let now = crate::cli::check::now_ms();
    let verified =
        trust.verify(Purpose::Signing, &identity.chain_refs(), now).map_err(|error| refused(&error))?;
    let shown = config.identity.signing_key.display();
    let unusable = |error: String| Unusable {
        code: RefusalCode::MaterialRefused.code(),
        text: both!("签名密钥 {shown} 不能使用：{error}", "the signing key {shown} cannot be used: {error}"),
    };
    if verified.id.division.as_str() != config.node.as_str() {
        let (found, own) = (verified.id.division, config.node);
        return Err(Unusable {
            code: RefusalCode::WrongNode.code(),
            text: both!(
                "签名证书属于节点 {found}，而本节点是 {own}；请取得本节点的证书。",
                "the signing certificate speaks for node {found}, but this is {own}; fetch this node's certificate."
            ),
        });
    }
    let key = PublicKey::from_spki(&verified.spki_der).map_err(|error| unusable(error.to_string()))?;
    let (name, chain) = (verified.id.to_string(), identity.chain().to_vec());
    let signer = FileSigner::new(name, key, chain, identity.key().secret_pkcs8_der());
    Ok(Arc::new(signer.map_err(|error| unusable(error.to_string()))?))
}

/// As it is at the start of a node.
///
/// # Errors
/// As [`signer`].
pub(super) fn first(
    config: &Config,
    identity: &Identity,
    trust: &TrustStore,
) -> Result<Arc<dyn Signer>, Failure> {
    signer(config, identity, trust).map_err(|unusable| Failure::input(unusable.text))
}

/// Follows the files of the signing identity, until it is dropped.
pub(super) struct Watch {
    /// The node's configuration.
    pub config: Arc<Config>,
    /// Trust, as of the moment.
    pub trust: TrustHandle,
    /// Who signs.
    pub gateway: Gateway,
    /// Where it is told that new files are refused.
    pub measures: Arc<Measures>,
}

impl Watch {
    fn files(&self) -> Vec<Option<(SystemTime, u64)>> {
        let identity = &self.config.identity;
        let look = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [&identity.signing_chain, &identity.signing_key].into_iter().map(look).collect()
    }

    /// Looks several times a second.
    pub(super) async fn run(self) {
        let mut poll = tokio::time::interval(Duration::from_millis(TRUST_POLL_MILLIS));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What changed while the node started is taken up as well; and what is refused today may be good under
        // tomorrow's trust.
        let mut seen: Option<(_, Arc<TrustStore>)> = None;
        loop {
            poll.tick().await;
            let (files, trust) = (self.files(), self.trust.load_full());
            if seen.as_ref().is_some_and(|seen| seen.0 == files && Arc::ptr_eq(&seen.1, &trust)) {
                continue;
            }
            seen = Some((files, trust));
            let outcome = self.take_up().await;
            self.measures.material_refused("signing", outcome.as_ref().err().map(|unusable| unusable.code));
            match outcome {
                Ok(true) => tracing::info!("the signing key changed; the new one signs from now on"),
                Ok(false) => {}
                Err(unusable) => tracing::error!(
                    code = unusable.code,
                    error = unusable.text.en,
                    "the new signing key is refused; the last good one stays in use"
                ),
            }
        }
    }

    /// Whether there was another key or certificate to take up.
    async fn take_up(&self) -> Result<bool, Unusable> {
        let (config, trust) = (Arc::clone(&self.config), self.trust.load_full());
        let present = self.gateway.links().signer();
        // Files and devices may be slow, and opening an encrypted key is work: not on a thread that answers others.
        let made = tokio::task::spawn_blocking(move || {
            let files = &config.identity;
            let unusable = |error: certs::TrustError| {
                let (code, zh, en) = (error.code(), error.advice(true), error.advice(false));
                Unusable { code, text: both!("{error}。{zh}", "{error}. {en}") }
            };
            if pem::read_chain(&files.signing_chain).map_err(unusable)? == present.chain() {
                return Ok(None);
            }
            let identity = Identity::load(&files.signing_chain, &files.signing_key).map_err(unusable)?;
            signer(&config, &identity, &trust).map(Some)
        });
        let ended = |error: &dyn std::fmt::Display| Unusable {
            code: RefusalCode::MaterialRefused.code(),
            text: both!("读取签名密钥时出错：{error}", "reading the signing key failed: {error}"),
        };
        let Some(signer) = made.await.map_err(|error| ended(&error))?? else { return Ok(false) };
        let taken = self.gateway.use_signer(signer).await;
        taken.map(|()| true).map_err(|refusal| Unusable {
            code: refusal.code.code(),
            text: Both { zh: refusal.message(true), en: refusal.message(false) },
        })
    }
}
