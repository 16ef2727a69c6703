//! A business system's way to its own node, and to no other: the local socket. While the node is
//! away a desk asks again until its patience ends; the idempotency keys make that harmless.

use super::door;
use super::error::DemoError;
use super::place::Place;
use crate::client::LOCAL_MESSAGE_BYTES_MAX;
use gateway::id::Kind;
use gateway::refusal::Status as RefusalStatus;
use proto::local::v1 as local;
use proto::local::v1::business_client::BusinessClient;
use proto::local::v1::operator_client::OperatorClient;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// The first pause before a question is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// How long a node may be away, or a condition unmet, before the demo gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Cases that one page of a list holds.
const PAGE: u32 = 500;

/// A message that a business system wants sent. Everything in it is a function of the case and of the
/// entry that it reacts to: sent again, it is the same message.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// The step's name within its case; the key is `<case>/<step>`.
    pub step: &'static str,
    /// What it is.
    pub kind: Kind,
    /// 业务协同编号.
    pub case: String,
    /// The entry that it reacts to; empty: none.
    pub in_reply_to: Vec<u8>,
    /// The payload of the kind.
    pub payload: Vec<u8>,
}

impl Submission {
    /// A message that reacts to nothing. Its step is named as its kind.
    pub(crate) fn new(kind: Kind, case: &str, payload: &impl prost::Message) -> Self {
        Self {
            step: kind.name(),
            kind,
            case: case.to_owned(),
            in_reply_to: Vec::new(),
            payload: payload.encode_to_vec(),
        }
    }

    /// A message in reply to an entry, in the entry's case.
    pub(crate) fn answer(entry: &local::InboxEntry, kind: Kind, payload: &impl prost::Message) -> Self {
        Self { in_reply_to: entry.message_id.to_vec(), ..Self::new(kind, &entry.case_id, payload) }
    }

    /// The same under another step's name, where a case has the kind twice.
    pub(crate) fn step(self, step: &'static str) -> Self {
        Self { step, ..self }
    }

    fn request(&self, to: &Place) -> local::SubmitRequest {
        local::SubmitRequest {
            to: to.code.to_owned(),
            idempotency_key: format!("{}/{}", self.case, self.step),
            kind: self.kind.name().to_owned(),
            case_id: self.case.clone(),
            in_reply_to: self.in_reply_to.clone().into(),
            payload: self.payload.clone().into(),
            ..local::SubmitRequest::default()
        }
    }
}

/// A connection to one node.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// Where it stands.
    pub place: &'static Place,
    /// The city on the other end of the node's channels.
    pub partner: &'static Place,
    channel: Channel,
}

impl Desk {
    /// A desk at a node's socket. It connects when it is used.
    pub(crate) fn at(place: &'static Place, partner: &'static Place, socket: &Path) -> Self {
        Self { place, partner, channel: door::connect(socket) }
    }

    pub(crate) fn business(&self) -> BusinessClient<Channel> {
        BusinessClient::new(self.channel.clone()).max_decoding_message_size(LOCAL_MESSAGE_BYTES_MAX)
    }

    fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::new(self.channel.clone()).max_decoding_message_size(LOCAL_MESSAGE_BYTES_MAX)
    }

    /// Sends a message to the partner: durable on this node when it answers.
    pub(crate) async fn submit(&self, submission: &Submission) -> Result<local::SubmitReply, DemoError> {
        self.ask(submission.kind.name(), || {
            let (mut client, request) = (self.business(), submission.request(self.partner));
            async move { client.submit(request).await }
        })
        .await
    }

    /// Waits for the receipt of a message: the partner's cosignature, verified.
    pub(crate) async fn receipt(&self, message: &[u8]) -> Result<local::MessageState, DemoError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = local::WaitRequest {
                to: self.partner.code.to_owned(),
                message_id: message.to_vec().into(),
                timeout_ms: 1000,
            };
            let state = self
                .ask("WaitReceipt", || {
                    let (mut client, request) = (self.business(), request.clone());
                    async move { client.wait_receipt(request).await }
                })
                .await?;
            if state.receipted || !state.refused.is_empty() {
                return Ok(state);
            }
            if Instant::now() >= deadline {
                let what = format!("the receipt of {} for a message", self.partner.code);
                return Err(DemoError::TooLate { what, waited: PATIENCE });
            }
        }
    }

    /// Opens the inbox at a consumer's cursor.
    pub(crate) async fn inbox(&self, consumer: &str) -> Result<Streaming<local::InboxEntry>, DemoError> {
        self.ask("Inbox", || {
            let mut client = self.business();
            let request = local::InboxRequest { consumer: consumer.to_owned() };
            async move { client.inbox(request).await }
        })
        .await
    }

    /// Moves a consumer's cursor to `next` in the partner's channel.
    pub(crate) async fn acknowledge(&self, consumer: &str, epoch: u32, next: u64) -> Result<(), DemoError> {
        let request = local::AcknowledgeRequest {
            consumer: consumer.to_owned(),
            from: self.partner.code.to_owned(),
            epoch,
            next,
        };
        self.ask("Acknowledge", || {
            let (mut client, request) = (self.business(), request.clone());
            async move { client.acknowledge(request).await }
        })
        .await
        .map(drop)
    }

    /// Puts a licence into the node's catalogue.
    pub(crate) async fn put_licence(&self, licence: Vec<u8>) -> Result<(), DemoError> {
        self.ask("PutLicence", || {
            let mut client = self.business();
            let request = local::PutLicenceRequest { licence: licence.clone().into() };
            async move { client.put_licence(request).await }
        })
        .await
        .map(drop)
    }

    /// Signs a document with the node's key and sends it to the partner.
    pub(crate) async fn publish(
        &self,
        kind: &'static str,
        key: &str,
        payload: &[u8],
    ) -> Result<local::SubmitReply, DemoError> {
        let request = local::PublishDocumentRequest {
            to: self.partner.code.to_owned(),
            r#type: kind.to_owned(),
            payload: payload.to_vec().into(),
            idempotency_key: key.to_owned(),
        };
        self.ask("PublishDocument", || {
            let (mut client, request) = (self.business(), request.clone());
            async move { client.publish_document(request).await }
        })
        .await
    }

    /// Every document that the node holds.
    pub(crate) async fn documents(&self) -> Result<Vec<local::DocumentView>, DemoError> {
        let reply = self.ask("ListDocuments", || {
            let mut client = self.business();
            async move { client.list_documents(local::ListDocumentsRequest {}).await }
        });
        Ok(reply.await?.documents)
    }

    /// One case as the node sees it, with its steps.
    pub(crate) async fn case(&self, case: &str) -> Result<local::CaseView, DemoError> {
        self.ask("ShowCase", || {
            let mut client = self.business();
            let request = local::CaseRequest { case_id: case.to_owned() };
            async move { client.show_case(request).await }
        })
        .await
    }

    /// Ids of every case that the node knows, ascending.
    pub(crate) async fn case_ids(&self) -> Result<Vec<String>, DemoError> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let request = local::ListCasesRequest {
                after: ids.last().cloned().unwrap_or_default(),
                limit: PAGE,
                state: String::new(),
            };
            let page = self
                .ask("ListCases", || {
                    let (mut client, request) = (self.business(), request.clone());
                    async move { client.list_cases(request).await }
                })
                .await?;
            let full = page.cases.len() == PAGE as usize;
            ids.extend(page.cases.into_iter().map(|case| case.case_id));
            if !full {
                return Ok(ids);
            }
        }
    }

    /// The node's state.
    pub(crate) async fn status(&self) -> Result<local::StatusReply, DemoError> {
        self.ask("Status", || {
            let mut client = self.operator();
            async move { client.status(local::StatusRequest {}).await }
        })
        .await
    }

    /// This node's view of the channel that it sends on, then of the one that it receives on.
    pub(crate) async fn channels(&self) -> Result<[local::ChannelView; 2], DemoError> {
        let mut views = self.status().await?.channels;
        let mut take = |from: &Place, to: &Place| {
            let place = views.iter().position(|view| view.from == from.code && view.to == to.code);
            place.map(|place| views.swap_remove(place)).unwrap_or_default()
        };
        Ok([take(self.place, self.partner), take(self.partner, self.place)])
    }

    /// The proof of one message, as JSON.
    pub(crate) async fn export_proof(
        &self,
        from: &Place,
        to: &Place,
        message: &[u8],
    ) -> Result<Vec<u8>, DemoError> {
        let request = local::ExportProofRequest {
            from: from.code.to_owned(),
            to: to.code.to_owned(),
            message_id: message.to_vec().into(),
        };
        let reply = self.ask("ExportProof", || {
            let (mut client, request) = (self.operator(), request.clone());
            async move { client.export_proof(request).await }
        });
        Ok(reply.await?.bundle.to_vec())
    }

    /// Compares both channels with the partner.
    pub(crate) async fn reconcile(&self) -> Result<local::ReconcileRunReply, DemoError> {
        self.ask("Reconcile", || {
            let mut client = self.operator();
            let request = local::ReconcileRunRequest {
                peer: self.partner.code.to_owned(),
                timeout_ms: 10_000,
                rehash: true,
            };
            async move { client.reconcile(request).await }
        })
        .await
    }

    /// Asks until there is an answer. A node that is away or busy is asked again; a refusal is final.
    async fn ask<T, F, R>(&self, what: &str, call: F) -> Result<T, DemoError>
    where
        F: Fn() -> R + Send + Sync,
        R: Future<Output = Result<Response<T>, Status>> + Send,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSE_MIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(answer) = tokio::time::timeout(left, call()).await else {
                let what = format!("an answer of node {} to {what}", self.place.code);
                return Err(DemoError::TooLate { what, waited: PATIENCE });
            };
            let status = match answer {
                Ok(reply) => return Ok(reply.into_inner()),
                Err(status) => status,
            };
            let code = door::refusal(&status);
            let again = code.is_none_or(|code| {
                matches!(code.status(), RefusalStatus::Unavailable | RefusalStatus::ResourceExhausted)
            });
            if !again || Instant::now() + pause >= deadline {
                return Err(DemoError::Refused {
                    node: self.place.code,
                    what: what.to_owned(),
                    code: code.map_or_else(|| format!("{:?}", status.code()), |code| code.code().to_owned()),
                    message: status.message().to_owned(),
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
