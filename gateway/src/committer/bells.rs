//! Whom a commit wakes: those who wait for what it touched, and nobody else. One counter for everybody
//! would wake each of four hundred links at every commit of any of them.
//!
//! A [`Listener`] names its [`Topic`]s before it looks at the state, so a commit between the look and the
//! wait is not missed: it leaves the bell rung. Several rings before the wait are one. The committer
//! rings after the snapshot shows what it did; bells carry nothing themselves.

use crate::id::NodeId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What somebody may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The log to this peer grew: its link has something to send.
    Outbound(NodeId),
    /// Either log with this peer changed: entries, receipts, refusals, contact, a stop.
    Peer(NodeId),
    /// A log from some peer grew, or a file that an entry names became whole: inboxes have more.
    Inbox,
    /// There may be another blob to fetch or to answer.
    Blobs,
    /// The disk has room for other work than before.
    Disk,
}

/// The committer ended: nothing will change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

/// Who listens to what. Shared by everybody who reads a node's state.
#[derive(Debug, Default)]
pub struct Bells {
    /// In an order: all are woken at the end.
    listeners: Mutex<BTreeMap<Topic, Vec<Arc<Notify>>>>,
    silent: AtomicBool,
}

impl Bells {
    /// Somebody who waits for these.
    pub fn listen(self: &Arc<Self>, topics: impl IntoIterator<Item = Topic>) -> Listener {
        let mut listener = Listener { bells: Arc::clone(self), bell: Arc::default(), topics: Vec::new() };
        for topic in topics {
            listener.hear(topic);
        }
        listener
    }
}

/// The committer's end of the bells: when it goes, every listener hears that nothing follows.
#[derive(Debug, Default)]
pub(super) struct Ringer(Arc<Bells>);

impl Ringer {
    /// For those who listen.
    pub(super) fn bells(&self) -> Arc<Bells> {
        Arc::clone(&self.0)
    }

    /// Wakes who waits for any of these.
    pub(super) fn ring(&self, topics: &[Topic]) {
        if topics.is_empty() {
            return;
        }
        let listeners = self.0.listeners.lock().expect("no holder of the bells panics");
        for bell in topics.iter().filter_map(|topic| listeners.get(topic)).flatten() {
            bell.notify_one();
        }
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        let listeners = self.0.listeners.lock().expect("no holder of the bells panics");
        // Under the lock: whoever listens later sees it, whoever listens already is rung.
        self.0.silent.store(true, Ordering::Release);
        for bell in listeners.values().flatten() {
            bell.notify_one();
        }
    }
}

/// One who waits. Dropped, it is forgotten.
#[derive(Debug)]
pub struct Listener {
    bells: Arc<Bells>,
    bell: Arc<Notify>,
    topics: Vec<Topic>,
}

impl Listener {
    /// Waits for this too. To be called before the state is looked at.
    pub fn hear(&mut self, topic: Topic) {
        if self.topics.contains(&topic) {
            return;
        }
        self.topics.push(topic);
        let mut listeners = self.bells.listeners.lock().expect("no holder of the bells panics");
        listeners.entry(topic).or_default().push(Arc::clone(&self.bell));
    }

    /// Resolves when something waited for has changed since the last time; at once when it has already.
    /// Nothing is lost when the wait is given up.
    ///
    /// # Errors
    /// [`Silent`] when the committer ended.
    pub async fn rung(&self) -> Result<(), Silent> {
        if !self.bells.silent.load(Ordering::Acquire) {
            self.bell.notified().await;
        }
        if self.bells.silent.load(Ordering::Acquire) { Err(Silent) } else { Ok(()) }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.bells.listeners.lock().expect("no holder of the bells panics");
        for topic in &self.topics {
            if let Some(of) = listeners.get_mut(topic) {
                of.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if of.is_empty() {
                    listeners.remove(topic);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn peer(code: &str) -> NodeId {
        code.parse().unwrap()
    }

    /// Whether the listener was rung since the last time.
    fn heard(listener: &Listener) -> Option<Result<(), Silent>> {
        match pin!(listener.rung()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(rung) => Some(rung),
            Poll::Pending => None,
        }
    }

    #[test]
    fn only_those_who_wait_for_it_are_woken_and_once_for_several_rings() {
        let ringer = Ringer::default();
        let one = ringer.bells().listen([Topic::Outbound(peer("430600"))]);
        let other = ringer.bells().listen([Topic::Outbound(peer("421200")), Topic::Disk]);
        ringer.ring(&[Topic::Outbound(peer("430600"))]);
        ringer.ring(&[Topic::Outbound(peer("430600")), Topic::Peer(peer("421200"))]);
        assert_eq!((heard(&one), heard(&other)), (Some(Ok(())), None));
        assert_eq!(heard(&one), None, "two rings before the wait are one");
        ringer.ring(&[Topic::Disk]);
        assert_eq!((heard(&one), heard(&other)), (None, Some(Ok(()))));
    }

    #[test]
    fn a_wait_that_is_given_up_loses_no_ring() {
        let ringer = Ringer::default();
        let listener = ringer.bells().listen([Topic::Inbox]);
        {
            let mut wait = pin!(listener.rung());
            assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            ringer.ring(&[Topic::Inbox]);
        }
        assert_eq!(heard(&listener), Some(Ok(())));
    }

    #[test]
    fn the_end_of_the_committer_is_heard_by_all_whenever_they_listen() {
        let ringer = Ringer::default();
        let bells = ringer.bells();
        let early = bells.listen([Topic::Blobs]);
        drop(ringer);
        let late = bells.listen([Topic::Inbox]);
        assert_eq!((heard(&early), heard(&late)), (Some(Err(Silent)), Some(Err(Silent))));
        assert_eq!(heard(&early), Some(Err(Silent)), "and not only once");
    }

    #[test]
    fn a_listener_that_went_is_forgotten() {
        let ringer = Ringer::default();
        let bells = ringer.bells();
        let stays = bells.listen([Topic::Inbox]);
        drop(bells.listen([Topic::Inbox, Topic::Disk]));
        assert_eq!(bells.listeners.lock().unwrap().len(), 1);
        assert_eq!(bells.listeners.lock().unwrap()[&Topic::Inbox].len(), 1);
        ringer.ring(&[Topic::Inbox]);
        assert_eq!(heard(&stays), Some(Ok(())));
    }
}
