//! What goes on while nodes are killed: windows that forward cases, some with files; an approval system that
//! signs for each; both read their inboxes. Everybody writes down what the node told him, and only that.

use crate::city::City;
use crate::documents::{forwarding, sign_for};
use crate::files::{file, named};
use crate::{LOOK, XIANNING, YUEYANG};
use node::client::Clients;
use prost::Message as _;
use proto::local::v1 as pb;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

const PART_BYTES: usize = 64 * 1024;
/// Nobody waits longer than this for one answer: a node that was killed gives none.
const ANSWER: Duration = Duration::from_secs(10);
/// Windows at work.
const WINDOWS: u32 = 6;

/// One answer to a submission.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The key it was submitted under.
    pub key: String,
    /// Under which the node knows it.
    pub message_id: Vec<u8>,
    /// Its place, when the node said so.
    pub index: Option<u64>,
    /// The case.
    pub case_id: String,
}

/// What one consumer saw, in the order in which it did.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// By place: message id, and how often it was shown.
    pub entries: BTreeMap<u64, (Vec<u8>, u32)>,
    /// First place that is not acknowledged.
    pub next: u64,
}

/// A file that was uploaded and named.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// As the node gave it.
    pub digest: String,
    /// Makes the file again.
    pub seed: u64,
    /// Bytes.
    pub length: usize,
    /// Of the entry that names it.
    pub message_id: Vec<u8>,
}

/// All that was told, by node.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    /// Answers of 岳阳 and of 咸宁.
    pub told: [Vec<Told>; 2],
    /// Of the consumer at 岳阳 and the one at 咸宁.
    pub read: [Read; 2],
    /// Files whose entry was acknowledged.
    pub files: Vec<Sent>,
    /// What must never happen.
    pub broken: Vec<String>,
}

/// Windows, approval system and consumers at work.
pub(super) struct Traffic {
    /// What they wrote down.
    pub notes: Arc<Mutex<Notebook>>,
    /// Whether a file is being uploaded now.
    pub uploading: Arc<AtomicU32>,
    /// Files that were named in an entry and perhaps not fetched yet.
    pub named: Arc<AtomicU32>,
    stop_submitting: Arc<AtomicBool>,
    stop_reading: Arc<AtomicBool>,
    windows: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Begins.
    pub(super) fn begin(seed: u64, yueyang: &City, xianning: &City) -> Self {
        let shared = Shared {
            notes: Arc::default(),
            uploading: Arc::default(),
            named: Arc::default(),
            stop_submitting: Arc::default(),
            stop_reading: Arc::default(),
        };
        let [one, other] =
            [yueyang, xianning].map(|city| Socket { path: city.path("node.sock"), open: None });
        let windows = (0..WINDOWS).map(|hand| tokio::spawn(window(shared.clone(), one.again(), seed, hand)));
        let windows = windows.collect();
        let readers = vec![
            tokio::spawn(consumer(shared.clone(), one, 0)),
            tokio::spawn(consumer(shared.clone(), other, 1)),
        ];
        let Shared { notes, uploading, named, stop_submitting, stop_reading } = shared;
        Self { notes, uploading, named, stop_submitting, stop_reading, windows, readers }
    }

    /// Windows finish what they began.
    pub(super) async fn no_more(&mut self) {
        self.stop_submitting.store(true, Ordering::SeqCst);
        for window in self.windows.drain(..) {
            window.await.expect("a window does not fall over");
        }
    }

    /// Waits until the consumers have read so far, and sends them home.
    pub(super) async fn read_up_to(&mut self, sizes: [u64; 2]) {
        crate::eventually("the consumers to read everything", async || {
            let notes = self.notes.lock().expect("no holder panics");
            !notes.broken.is_empty() || [0, 1].iter().all(|node| notes.read[*node].next >= sizes[*node])
        })
        .await;
        self.stop_reading.store(true, Ordering::SeqCst);
        for reader in self.readers.drain(..) {
            reader.abort();
        }
    }
}

#[derive(Clone)]
struct Shared {
    notes: Arc<Mutex<Notebook>>,
    uploading: Arc<AtomicU32>,
    named: Arc<AtomicU32>,
    stop_submitting: Arc<AtomicBool>,
    stop_reading: Arc<AtomicBool>,
}

impl Shared {
    fn note(&self, write: impl FnOnce(&mut Notebook)) {
        write(&mut self.notes.lock().expect("no holder panics"));
    }
}

/// A node's local socket, opened again whenever the node went away.
struct Socket {
    path: PathBuf,
    open: Option<Clients>,
}

impl Socket {
    fn again(&self) -> Self {
        Self { path: self.path.clone(), open: None }
    }

    async fn clients(&mut self) -> Clients {
        loop {
            if let Some(open) = &self.open {
                return open.clone();
            }
            self.open = node::client::connect(&self.path).await.ok();
            if self.open.is_none() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Submits until the node answers. What it refuses for now is submitted again; the rest is a fault.
    async fn submit(&mut self, request: pb::SubmitRequest) -> Result<pb::SubmitReply, Status> {
        loop {
            let mut clients = self.clients().await;
            match tokio::time::timeout(ANSWER, clients.business.submit(request.clone())).await {
                Ok(Ok(reply)) => return Ok(reply.into_inner()),
                Ok(Err(status)) if passes(&status) => {}
                Ok(Err(status)) => return Err(status),
                Err(_) => {}
            }
            self.open = None;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Uploads until the node has the whole file, going on where it was cut off.
    async fn upload(&mut self, name: &str, bytes: &[u8]) -> Result<String, Status> {
        let mut given_up = 0;
        loop {
            let mut clients = self.clients().await;
            let attempt = async {
                let request = pb::ShowUploadRequest { upload: name.into() };
                let held = clients.business.show_upload(request).await?.into_inner().held_bytes;
                let rest = bytes.get(held as usize..).unwrap_or_default();
                let mut parts: Vec<_> = rest
                    .chunks(PART_BYTES)
                    .map(|part| pb::UploadPart { data: part.to_vec().into(), ..Default::default() })
                    .collect();
                if parts.is_empty() {
                    parts.push(pb::UploadPart::default());
                }
                parts[0].upload = name.into();
                parts[0].offset = held;
                clients.business.upload_blob(tokio_stream::iter(parts)).await
            };
            match tokio::time::timeout(ANSWER, attempt).await {
                Ok(Ok(reply)) => return Ok(reply.into_inner().digest),
                Ok(Err(status)) if passes(&status) => {}
                // An attempt that this window gave up may have come to its end between question and upload.
                Ok(Err(status)) if given_up > 0 && has_code(&status, "blob.upload_offset") => given_up -= 1,
                Ok(Err(status)) => return Err(status),
                Err(_) => given_up += 1,
            }
            self.open = None;
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn has_code(status: &Status, code: &str) -> bool {
    status.metadata().get("tongban-code").is_some_and(|said| said.as_bytes() == code.as_bytes())
}

/// Whether a refusal says that the node is going, gone or busy. Everything else is somebody's fault.
fn passes(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::Aborted
    ) || (status.code() == Code::Internal && !status.metadata().contains_key("tongban-code"))
}

async fn window(shared: Shared, mut socket: Socket, seed: u64, hand: u32) {
    for turn in 0.. {
        if shared.stop_submitting.load(Ordering::SeqCst) {
            return;
        }
        let serial = turn * WINDOWS + hand;
        let mut request = forwarding(serial);
        let mut sent = None;
        // One window scans; the others only write.
        if hand == 0 && turn % 4 == 0 {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(u64::from(serial));
            let length = 700_000 + (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42) as usize;
            shared.uploading.fetch_add(1, Ordering::SeqCst);
            let digest = socket.upload(&format!("scan/{serial}"), &file(seed, length)).await;
            shared.uploading.fetch_sub(1, Ordering::SeqCst);
            match digest {
                Ok(digest) => {
                    request.blobs = vec![named(&digest)];
                    sent = Some(Sent { digest, seed, length, message_id: Vec::new() });
                }
                Err(status) => {
                    return shared.note(|notes| notes.broken.push(format!("upload {serial}: {status}")));
                }
            }
        }
        let told = submit(&shared, &mut socket, 0, request).await;
        let Some(message_id) = told else { return };
        if let Some(sent) = sent {
            shared.note(|notes| notes.files.push(Sent { message_id, ..sent }));
            shared.named.fetch_add(1, Ordering::SeqCst);
        }
        // People type; and the machine has other things to do.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Submits and writes down the answer; nothing, and a fault, when it is refused for good.
async fn submit(
    shared: &Shared,
    socket: &mut Socket,
    node: usize,
    request: pb::SubmitRequest,
) -> Option<Vec<u8>> {
    let (key, case_id) = (request.idempotency_key.clone(), request.case_id.clone());
    match socket.submit(request).await {
        Ok(reply) => {
            let message_id = reply.message_id.to_vec();
            let index = reply.sequenced.then_some(reply.index);
            let told = Told { key, message_id: message_id.clone(), index, case_id };
            shared.note(|notes| notes.told[node].push(told));
            Some(message_id)
        }
        Err(status) => {
            shared.note(|notes| notes.broken.push(format!("{key} was refused: {status}")));
            None
        }
    }
}

/// Reads an inbox for ever, acts on what it reads, then acknowledges.
async fn consumer(shared: Shared, mut socket: Socket, node: usize) {
    let partner = [XIANNING, YUEYANG][node];
    // Behind the last entry that it tried to acknowledge: every answer that is lost may have moved the
    // cursor that far.
    let mut tried = 0;
    while !shared.stop_reading.load(Ordering::SeqCst) {
        let mut clients = socket.clients().await;
        let request = pb::InboxRequest { consumer: "system".into() };
        let opened = tokio::time::timeout(ANSWER, clients.business.inbox(request)).await;
        let Ok(Ok(inbox)) = opened else {
            socket.open = None;
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let mut inbox = inbox.into_inner();
        // From the cursor that the node acknowledged, and from there without a gap.
        let mut due = None;
        while let Some(Ok(entry)) = inbox.next().await {
            if entry.from != partner {
                continue;
            }
            let acknowledged = shared.notes.lock().expect("no holder panics").read[node].next;
            let expected = due.is_none_or(|due| due == entry.index)
                && (due.is_some() || (acknowledged..=tried.max(acknowledged)).contains(&entry.index));
            due = Some(entry.index + 1);
            shared.note(|notes| {
                if !expected {
                    let what = format!("consumer {node} got {} after {acknowledged}", entry.index);
                    notes.broken.push(what);
                }
                let (known, times) = notes.read[node]
                    .entries
                    .entry(entry.index)
                    .or_insert_with(|| (entry.message_id.to_vec(), 0));
                *times += 1;
                if known[..] != entry.message_id[..] {
                    notes.broken.push(format!("consumer {node} saw two messages at {}", entry.index));
                }
                if !entry.verdict.is_empty() {
                    notes.broken.push(format!("{} at {} was refused", entry.kind, entry.index));
                }
            });
            if node == 1 && entry.kind == "case.forward" {
                let request = pb::SubmitRequest {
                    to: YUEYANG.into(),
                    idempotency_key: format!("{}/signfor", entry.case_id),
                    kind: "case.signfor".into(),
                    case_id: entry.case_id.clone(),
                    payload: sign_for().encode_to_vec().into(),
                    ..Default::default()
                };
                if submit(&shared, &mut socket, 1, request).await.is_none() {
                    return;
                }
            }
            let next = entry.index + 1;
            tried = next;
            let request = pb::AcknowledgeRequest {
                consumer: "system".into(),
                from: entry.from,
                epoch: entry.epoch,
                next,
            };
            let done = tokio::time::timeout(ANSWER, clients.business.acknowledge(request)).await;
            match done {
                Ok(Ok(_)) => shared.note(|notes| notes.read[node].next = next),
                _ => break,
            }
        }
        socket.open = None;
    }
}
