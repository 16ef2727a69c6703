//! Whether a connected peer's TLS certificate is trusted at this moment.

use super::tls::{Clock, TrustHandle, peer_identity};
use crate::id::NodeId;
use crate::link::not_trusted;
use crate::mutant::{Mutant, is_planted};
use crate::peer::Standing;
use crate::refusal::{Refusal, RefusalCode};
use certs::{TrustStore, Verified};
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, Mutex};

/// A certificate chain and the last verdict on it.
pub struct CertificateStanding {
    chain: Vec<CertificateDer<'static>>,
    trust: TrustHandle,
    clock: Clock,
    /// The last verdict's end, and the trust store that gave it, held so that no other takes its address.
    last: Mutex<Option<(Arc<TrustStore>, i64)>>,
}

impl CertificateStanding {
    /// Judges the chain and says whom it speaks for.
    ///
    /// # Errors
    /// [`RefusalCode::NotTrusted`] with the reason's code.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        trust: TrustHandle,
        clock: Clock,
    ) -> Result<(Self, NodeId), Refusal> {
        let standing = Self { chain, trust, clock, last: Mutex::default() };
        let verified = standing.judge()?;
        let node = verified.id.division.as_str().parse();
        let node = node.map_err(|_| Refusal::from(RefusalCode::WrongNode))?;
        Ok((standing, node))
    }

    fn judge(&self) -> Result<Verified, Refusal> {
        let store = self.trust.load_full();
        let verified =
            peer_identity(&self.chain, &self.trust, &self.clock).map_err(|error| not_trusted(&error))?;
        *self.last.lock().expect("no holder of the verdict panics") = Some((store, verified.good_until_ms));
        Ok(verified)
    }
}

impl Standing for CertificateStanding {
    fn check(&self) -> Result<(), Refusal> {
        let store = self.trust.load_full();
        let last = self.last.lock().expect("no holder of the verdict panics").clone();
        // The same store gives the same answer until the verdict's own end.
        if is_planted(Mutant::IgnoreRevocation) {
            return Ok(());
        }
        if last.is_some_and(|(of, until)| Arc::ptr_eq(&of, &store) && (self.clock)() <= until) {
            return Ok(());
        }
        self.judge().map(|_| ())
    }
}
