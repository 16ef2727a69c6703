//! Who submits how much on the local socket. Whoever may open the socket may submit in any name, so a
//! quota keeps apart systems that mean well, and is no wall between them: one that runs wild in its
//! own name leaves the others their share.

use std::sync::{Arc, Mutex};

use gateway::clock::Clock;
use gateway::limits::SUBMITTERS_MAX;
use gateway::overload::quota::{Quotas, Rate};
use gateway::refusal::{Refusal, RefusalCode};
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use super::business::invalid;
use crate::refused::to_status;

/// The metadata in which a business system names itself.
pub const SUBMITTER: &str = "tongban-submitter";
/// Characters of its name.
const SUBMITTER_BYTES_MAX: usize = 64;

/// The quotas of all submitters.
pub struct Submitters {
    quotas: Mutex<Quotas<String>>,
    clock: Arc<dyn Clock>,
}

impl Submitters {
    /// Nobody has submitted yet.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        Self { quotas: Mutex::new(Quotas::new(rate, SUBMITTERS_MAX)), clock }
    }

    /// Who makes a request.
    ///
    /// # Errors
    /// A name that is none.
    pub fn name<T>(&self, request: &Request<T>) -> Result<String, Status> {
        submitter(request)
    }

    /// Charges a submitter for some submissions with so many payload bytes together.
    ///
    /// # Errors
    /// [`RefusalCode::Quota`] with the time to wait.
    pub fn charge(&self, name: &str, submissions: usize, bytes: usize) -> Result<(), Refusal> {
        let now = self.clock.now();
        let mut quotas = self.quotas.lock().expect("no holder of the quotas panics");
        quotas
            .take(name.to_owned(), now, submissions as u64, bytes as u64)
            .map_err(|wait| Refusal::retry_after(RefusalCode::Quota, wait, &format!("submitter={name}")))
    }

    /// Takes a charge back whose submissions found no room.
    pub fn give_back(&self, name: &str, submissions: usize, bytes: usize) {
        let mut quotas = self.quotas.lock().expect("no holder of the quotas panics");
        quotas.give_back(&name.to_owned(), submissions as u64, bytes as u64);
    }

    /// Charges the submitter of a request for one submission of `bytes` payload bytes.
    ///
    /// # Errors
    /// As [`Submitters::name`] and [`Submitters::charge`].
    pub fn admit<T>(&self, request: &Request<T>, bytes: usize) -> Result<(), Status> {
        self.charge(&self.name(request)?, 1, bytes).map_err(|refusal| to_status(&refusal))
    }
}

fn submitter<T>(request: &Request<T>) -> Result<String, Status> {
    if let Some(name) = request.metadata().get(SUBMITTER) {
        let name = name.to_str().unwrap_or_default();
        let fits = (1..=SUBMITTER_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && !name.starts_with("uid:");
        return if fits {
            Ok(name.to_owned())
        } else {
            Err(invalid(format!("{SUBMITTER}: 1 to 64 printable ASCII characters, not starting with `uid:`")))
        };
    }
    let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    Ok(peer.map_or_else(|| "uid:unknown".to_owned(), |peer| format!("uid:{}", peer.uid())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refused::RETRY_AFTER;
    use gateway::clock::ManualClock;
    use gateway::time::UnixMillis;

    fn named(name: &'static str) -> Request<()> {
        let mut request = Request::new(());
        request.metadata_mut().insert(SUBMITTER, name.parse().expect("ASCII"));
        request
    }

    #[test]
    fn one_submitter_that_runs_wild_waits_and_another_does_not() {
        let clock = Arc::new(ManualClock::at(UnixMillis(1_000_000)));
        let rate = Rate { entries_per_s: 2, bytes_per_s: 1000 };
        let submitters = Submitters::new(rate, clock.clone());
        let wild = named("window");
        submitters.admit(&wild, 10).expect("within the quota");
        submitters.admit(&wild, 10).expect("within the quota");
        let refused = submitters.admit(&wild, 10).expect_err("over the quota");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let wait = refused.metadata().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        assert!(refused.message().contains("submitter=window"), "{refused}");
        submitters.admit(&named("approval"), 10).expect("has its own");
        submitters.admit(&Request::new(()), 10).expect("so has who has no name");
        clock.set(UnixMillis(1_000_000).plus_millis(wait.expect("a time to wait")));
        submitters.admit(&wild, 10).expect("waited as told");
    }

    #[test]
    fn a_name_that_could_be_taken_for_a_user_is_refused() {
        let submitters =
            Submitters::new(Rate { entries_per_s: 2, bytes_per_s: 9 }, Arc::new(ManualClock::default()));
        assert_eq!(submitters.admit(&named("uid:0"), 1).unwrap_err().code(), tonic::Code::InvalidArgument);
        assert_eq!(submitters.admit(&named("a b"), 1).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
