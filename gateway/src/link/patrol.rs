//! Goes round the connected peers and looks whether their certificates still stand. One task for all
//! links: a timer for each would wake a node with four hundred idle partners 1,300 times a second, and
//! nearly every look finds the verdict that it found before.
//!
//! It walks while there is somebody to look at, and within [`TRUST_POLL_MILLIS`] of a change of trust it
//! has asked about each of them. The judgement is the peer's [`Standing`]; ending the link is the link's.

use crate::limits::TRUST_POLL_MILLIS;
use crate::peer::Standing;
use crate::refusal::{Refusal, RefusalCode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Looks between two pauses for others: after a change of trust each verifies a certificate path, a third
/// of a millisecond.
const LOOKS_IN_A_ROW: usize = 16;

/// The one who goes round.
#[derive(Default)]
pub(super) struct Patrol(Mutex<Round>);

#[derive(Default)]
struct Round {
    posts: BTreeMap<u64, Post>,
    next: u64,
    walking: bool,
}

struct Post {
    standing: Arc<dyn Standing>,
    lost: Option<oneshot::Sender<Refusal>>,
}

impl Patrol {
    /// Resolves when the standing is lost, with why.
    pub(super) async fn lost(self: &Arc<Self>, standing: Arc<dyn Standing>) -> Refusal {
        let (lost, heard) = oneshot::channel();
        let _post = self.take_post(standing, lost);
        // The sender goes only with its word, or with the post, which this call holds.
        heard.await.unwrap_or_else(|_| RefusalCode::NotTrusted.into())
    }

    fn take_post(self: &Arc<Self>, standing: Arc<dyn Standing>, lost: oneshot::Sender<Refusal>) -> Posted {
        let mut round = self.0.lock().expect("no holder of the round panics");
        let number = round.next;
        round.next += 1;
        round.posts.insert(number, Post { standing, lost: Some(lost) });
        if !std::mem::replace(&mut round.walking, true) {
            tokio::spawn(walk(Arc::clone(self)));
        }
        Posted { patrol: Arc::clone(self), number }
    }

    /// Looks at each once; false when there was nobody, and then the walk is over.
    async fn go_round(&self) -> bool {
        let posts: Vec<(u64, Arc<dyn Standing>)> = {
            let mut round = self.0.lock().expect("no holder of the round panics");
            round.walking = !round.posts.is_empty();
            round.posts.iter().map(|(number, post)| (*number, Arc::clone(&post.standing))).collect()
        };
        let anybody = !posts.is_empty();
        for (place, (number, standing)) in posts.into_iter().enumerate() {
            if let Err(refusal) = standing.check() {
                let mut round = self.0.lock().expect("no holder of the round panics");
                let post = round.posts.get_mut(&number);
                if let Some(lost) = post.and_then(|post| post.lost.take()) {
                    // A link that has just ended hears nothing any more.
                    let _ = lost.send(refusal);
                }
            }
            if (place + 1).is_multiple_of(LOOKS_IN_A_ROW) {
                tokio::task::yield_now().await;
            }
        }
        anybody
    }
}

async fn walk(patrol: Arc<Patrol>) {
    loop {
        tokio::time::sleep(Duration::from_millis(TRUST_POLL_MILLIS)).await;
        if !patrol.go_round().await {
            return;
        }
    }
}

/// A place on the round, given up when dropped.
struct Posted {
    patrol: Arc<Patrol>,
    number: u64,
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut round = self.patrol.0.lock().expect("no holder of the round panics");
        round.posts.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    #[derive(Default)]
    struct Certificate {
        revoked: AtomicBool,
        asked: AtomicU64,
    }

    impl Standing for Certificate {
        fn check(&self) -> Result<(), Refusal> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.revoked.load(Ordering::SeqCst) { Err(RefusalCode::NotTrusted.into()) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn only_who_lost_its_standing_hears_so_and_the_round_ends_with_the_last() {
        let patrol = Arc::new(Patrol::default());
        let certificates: Vec<Arc<Certificate>> = (0..40).map(|_| Arc::default()).collect();
        let watch = |certificate: &Arc<Certificate>| {
            let (patrol, standing) = (Arc::clone(&patrol), Arc::clone(certificate));
            tokio::spawn(async move { patrol.lost(standing).await })
        };
        let mut watched: Vec<_> = certificates.iter().map(watch).collect();
        while patrol.0.lock().unwrap().posts.len() < certificates.len() {
            tokio::task::yield_now().await;
        }
        assert!(patrol.go_round().await);
        assert!(certificates.iter().all(|certificate| certificate.asked.load(Ordering::SeqCst) > 0));
        certificates[7].revoked.store(true, Ordering::SeqCst);
        assert!(patrol.go_round().await);
        assert_eq!(watched.remove(7).await.unwrap().code, RefusalCode::NotTrusted);
        assert!(watched.iter().all(|one| !one.is_finished()), "the others stand");
        for one in watched {
            one.abort();
            assert!(one.await.unwrap_err().is_cancelled());
        }
        assert!(!patrol.go_round().await);
        let round = patrol.0.lock().unwrap();
        assert!(round.posts.is_empty() && !round.walking);
    }
}
