//! The inbox as a stream: pages of the gateway, entry by entry. What waits for a consumer in memory is
//! the page that it is being sent and [`INBOX_PAGES_WAITING_MAX`] more; everything else waits on disk.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use gateway::gateway::{Gateway, InboxEntry, InboxReading};
use gateway::limits::INBOX_PAGES_WAITING_MAX;
use gateway::refusal::{Refusal, RefusalCode};
use gateway::service::blob::Attachment;
use proto::local::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use super::blob;
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
            let page = match page {
                Ok(entries) => views(&gateway, entries).await,
                Err(refusal) => Err(refusal),
            };
            match page {
                Ok(views) => room.send(views.into_iter().map(Ok).collect()),
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

/// A page as callers see it. Whether a named file is here is read from the index, on a thread that may
/// block; a page without files needs none.
async fn views(gateway: &Gateway, entries: Vec<InboxEntry>) -> Result<Vec<pb::InboxEntry>, Refusal> {
    let names = |entry: &InboxEntry| entry.header.as_ref().is_some_and(|header| !header.blobs.is_empty());
    if !entries.iter().any(names) {
        return Ok(entries.into_iter().map(|entry| view(entry, &[])).collect());
    }
    let gateway = gateway.clone();
    let read = tokio::task::spawn_blocking(move || {
        let view = |entry| gateway.named_files(&entry).map(|files| view(entry, &files));
        entries.into_iter().map(view).collect()
    });
    read.await.unwrap_or_else(|_| Err(RefusalCode::StoreUnknown.into()))
}

/// An entry with the files that it names, or the event that a file is whole.
fn view(entry: InboxEntry, files: &[(Attachment, bool)]) -> pb::InboxEntry {
    if let Some(stored) = &entry.stored {
        return blob::stored_event(&entry, stored);
    }
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
        blobs: files.iter().map(|(file, here)| blob::name(file, *here)).collect(),
    }
}
