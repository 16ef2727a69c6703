//! A business system that works through its node's inbox: reads from its durable cursor, answers each
//! entry with messages, and moves the cursor only when the node has taken the answers. Whatever
//! breaks, it forgets everything and begins again at the cursor; then some answers are sent a second
//! time, with the same keys and the same bytes, and the node recognises them.

use super::desk::{Desk, Submission};
use super::error::DemoError;
use super::load::Tally;
use proto::local::v1::InboxEntry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Entries that are being answered at once.
const IN_FLIGHT: usize = 64;
/// The pause before a broken inbox is opened again.
const PAUSE: Duration = Duration::from_millis(20);

/// How often a driver begins again after a refusal; a refusal that stays is an error.
const REFUSALS_MAX: u32 = 20;

/// What a business system does about an entry: nothing, or some messages in order.
pub(super) trait Clerk: Send + Sync + 'static {
    /// The consumer's name at the node.
    fn consumer(&self) -> &'static str;

    /// The answers, a function of the entry.
    ///
    /// # Errors
    /// When the entry cannot be read.
    fn answers(&self, entry: &InboxEntry) -> Result<Vec<Submission>, DemoError>;

    /// Told once the answers are accepted, perhaps more than once for an entry.
    fn answered(&self, entry: &InboxEntry);
}

/// Works until it is aborted; ends only when something cannot be mended by beginning again.
pub(super) async fn work(desk: Desk, clerk: Arc<impl Clerk>, tally: Arc<Tally>) -> DemoError {
    let mut refusals = 0;
    loop {
        match session(&desk, &clerk, &tally).await {
            // A node that came back from an old copy does not know yet what was said about its cases:
            // the inbox from the restored cursor on tells it all again.
            Err(DemoError::Refused { .. }) if tally.forgives() && refusals < REFUSALS_MAX => {
                refusals += 1;
                tally.began_again(desk.place);
            }
            Err(error) => return error,
            Ok(()) => tally.began_again(desk.place),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

enum Done {
    Answered(Place),
    Acknowledged,
}

/// Where an entry stands: epoch, index.
type Place = (u32, u64);

/// One go at the inbox; `Ok` when the connection broke.
async fn session(desk: &Desk, clerk: &Arc<impl Clerk>, tally: &Arc<Tally>) -> Result<(), DemoError> {
    let mut inbox = desk.inbox(clerk.consumer()).await?;
    let mut tasks: JoinSet<Result<Done, DemoError>> = JoinSet::new();
    // entries since the cursor, and whether they are answered
    let mut open: BTreeMap<Place, bool> = BTreeMap::new();
    let mut acknowledging = false;
    loop {
        tokio::select! {
            message = inbox.message(), if open.len() < 2 * IN_FLIGHT && tasks.len() < IN_FLIGHT => {
                let Ok(Some(entry)) = message else { return Ok(()) };
                let place = (entry.epoch, entry.index);
                tally.heard(&entry);
                let answers = clerk.answers(&entry)?;
                if answers.is_empty() {
                    clerk.answered(&entry);
                    open.insert(place, true);
                } else {
                    open.insert(place, false);
                    let (desk, clerk, tally) = (desk.clone(), Arc::clone(clerk), Arc::clone(tally));
                    tasks.spawn(async move {
                        for answer in &answers {
                            tally.submitted(&desk.submit(answer).await?);
                        }
                        clerk.answered(&entry);
                        Ok(Done::Answered(place))
                    });
                }
            }
            Some(done) = tasks.join_next() => match done {
                Ok(Ok(Done::Answered(place))) => { open.insert(place, true); }
                Ok(Ok(Done::Acknowledged)) => acknowledging = false,
                Ok(Err(error)) => return Err(error),
                Err(panic) => return Err(DemoError::Broken(panic.to_string())),
            },
        }
        if !acknowledging && let Some((epoch, next)) = answered_up_to(&mut open) {
            acknowledging = true;
            let (desk, consumer) = (desk.clone(), clerk.consumer());
            tasks.spawn(async move {
                desk.acknowledge(consumer, epoch, next).await?;
                Ok(Done::Acknowledged)
            });
        }
    }
}

/// Takes the answered entries off the front; the cursor behind them.
fn answered_up_to(open: &mut BTreeMap<Place, bool>) -> Option<Place> {
    let mut last = None;
    while let Some(first) = open.first_entry()
        && *first.get()
    {
        last = Some(*first.key());
        first.remove();
    }
    last.map(|(epoch, index)| (epoch, index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_never_passes_an_entry_that_is_not_answered() {
        let mut open = BTreeMap::from([((0, 4), true), ((0, 5), true), ((0, 6), false), ((0, 7), true)]);
        assert_eq!(answered_up_to(&mut open), Some((0, 6)));
        assert_eq!(answered_up_to(&mut open), None);
        open.insert((0, 6), true);
        assert_eq!(answered_up_to(&mut open), Some((0, 8)));
    }
}
