//! The inbox as a stream: pages of the gateway, entry by entry. What waits for a consumer in memory is
//! the page that it is being sent and [`INBOX_PAGES_WAITING_MAX`] more; everything else waits on disk.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use gateway::gateway::{Gateway, InboxEntry, InboxReading};
use gateway::limits::INBOX_PAGES_WAITING_MAX;
use proto::local::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use crate::refused::to_status;

type Page = Vec<Result<pb::InboxEntry, Status>>;

/// Entries of a consumer, from its cursor on.
pub(super) struct Entries {
    pages: mpsc::Receiver<Page>,
    page: vec::IntoIter<Result<pb::InboxEntry, Status>>,
}

/// Reads for a consumer until it goes away or the store fails.
pub(super) fn entries(gateway: Gateway, consumer: &str) -> Entries {
    let mut reading = InboxReading::of(consumer);
    let (sender, pages) = mpsc::channel(INBOX_PAGES_WAITING_MAX);
    tokio::spawn(async move {
        // Room first: a page that nobody takes yet is not read yet.
        while let Ok(room) = sender.reserve().await {
            let page = tokio::select! {
                () = sender.closed() => return,
                page = gateway.next_inbox(&mut reading) => page,
            };
            match page {
                Ok(entries) => room.send(entries.into_iter().map(|entry| Ok(view(entry))).collect()),
                Err(refusal) => {
                    room.send(vec![Err(to_status(&refusal))]);
                    return;
                }
            }
        }
    });
    Entries { pages, page: Vec::new().into_iter() }
}

impl Stream for Entries {
    type Item = Result<pb::InboxEntry, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Poll::Ready(Some(entry));
            }
            match self.pages.poll_recv(context) {
                Poll::Ready(Some(page)) => self.page = page.into_iter(),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn view(entry: InboxEntry) -> pb::InboxEntry {
    let header = entry.header;
    let reply = header.as_ref().and_then(|header| header.in_reply_to);
    let case = header.as_ref().and_then(|header| header.case_id.as_ref());
    pb::InboxEntry {
        from: entry.from.to_string(),
        epoch: entry.position.epoch,
        index: entry.position.index,
        message_id: header.as_ref().map_or_else(Vec::new, |header| header.message_id.0.to_vec()).into(),
        case_id: case.map_or_else(String::new, |id| id.as_str().to_owned()),
        in_reply_to: reply.map_or_else(Vec::new, |id| id.0.to_vec()).into(),
        verdict: entry.verdict.unwrap_or_default(),
        created_ms: header.as_ref().map_or(0, |header| header.created.0),
        kind: header.map_or_else(String::new, |header| header.kind),
        erased: entry.payload.is_none(),
        payload: entry.payload.unwrap_or_default(),
    }
}
