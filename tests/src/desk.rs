//! One business system's and operator's connection to its own node.

use crate::PATIENCE;
use node::client::Clients;
use prost::Message;
use proto::exchange::v1 as wire;
use proto::local::v1 as pb;
use proto::local::v1::submit_outcome::Outcome;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A connection to a node's local socket.
pub struct Desk {
    pub(crate) clients: Clients,
}

/// A stream of submissions to a node.
pub struct SubmitStream {
    batches: mpsc::Sender<pb::SubmitBatch>,
    answers: tonic::Streaming<pb::SubmitAnswers>,
}

impl SubmitStream {
    /// Hands a batch in. A node that is gone shows in the answers.
    pub async fn send(&self, requests: Vec<pb::SubmitRequest>) {
        let _ = self.batches.send(pb::SubmitBatch { requests }).await;
    }

    /// The next answer; nothing when the node ended the stream, an error when it broke.
    pub async fn answer(&mut self) -> Result<Option<pb::SubmitAnswers>, Status> {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        answer.expect("waited in vain for an answer on the stream")
    }

    /// The next outcomes, those of one batch.
    pub async fn outcomes(&mut self) -> Result<Vec<Outcome>, Status> {
        loop {
            let answer = self.answer().await?.expect("the node does not end a stream by itself");
            if !answer.outcomes.is_empty() {
                let outcome = |outcome: pb::SubmitOutcome| outcome.outcome.expect("an outcome says which");
                return Ok(answer.outcomes.into_iter().map(outcome).collect());
            }
        }
    }
}

/// The stable code of a refusal.
pub fn code(status: &Status) -> String {
    let code = status.metadata().get("tongban-code").and_then(|code| code.to_str().ok());
    code.map_or_else(|| format!("no code: {status}"), str::to_owned)
}

/// Milliseconds after which a refused request may be tried again, as the refusal says.
pub fn retry_after_ms(status: &Status) -> Option<u64> {
    let hint = status.metadata().get("grpc-retry-pushback-ms").and_then(|hint| hint.to_str().ok());
    hint.and_then(|hint| hint.parse().ok())
}

impl Desk {
    pub(crate) fn new(clients: Clients) -> Self {
        Self { clients }
    }

    /// The node and its channels.
    pub async fn status(&mut self) -> pb::StatusReply {
        self.clients.operator.status(pb::StatusRequest {}).await.expect("status").into_inner()
    }

    /// One channel.
    pub async fn channel(&mut self, from: &str, to: &str) -> pb::ChannelView {
        let request = pb::ShowChannelRequest { from: from.into(), to: to.into() };
        self.clients.operator.show_channel(request).await.expect("a channel").into_inner()
    }

    /// Submits as the request says.
    pub async fn submit(&mut self, request: pb::SubmitRequest) -> Result<pb::SubmitReply, Status> {
        self.clients.business.submit(request).await.map(tonic::Response::into_inner)
    }

    /// Submits in the name of a business system.
    pub async fn submit_as(
        &mut self,
        name: &'static str,
        request: pb::SubmitRequest,
    ) -> Result<pb::SubmitReply, Status> {
        let mut request = tonic::Request::new(request);
        request.metadata_mut().insert("tongban-submitter", tonic::metadata::MetadataValue::from_static(name));
        self.clients.business.submit(request).await.map(tonic::Response::into_inner)
    }

    /// Opens a stream of submissions.
    pub async fn stream(&mut self) -> SubmitStream {
        let (batches, outgoing) = mpsc::channel(64);
        let answers = self.clients.business.submit_stream(ReceiverStream::new(outgoing)).await;
        SubmitStream { batches, answers: answers.expect("a stream").into_inner() }
    }

    /// Submits a message about a case under an idempotency key.
    pub async fn act(
        &mut self,
        to: &str,
        kind: &str,
        case: &str,
        payload: &impl Message,
    ) -> Result<pb::SubmitReply, Status> {
        self.submit(pb::SubmitRequest {
            to: to.into(),
            idempotency_key: format!("{case}/{kind}"),
            kind: kind.into(),
            case_id: case.into(),
            payload: payload.encode_to_vec().into(),
            ..Default::default()
        })
        .await
    }

    /// Waits for the receipt (or the refusal) of a message.
    pub async fn receipt(&mut self, to: &str, message_id: &[u8]) -> pb::MessageState {
        self.receipt_within(to, message_id, 30_000).await
    }

    /// As [`Desk::receipt`], for so long.
    pub async fn receipt_within(&mut self, to: &str, message_id: &[u8], timeout_ms: u64) -> pb::MessageState {
        let request = pb::WaitRequest { to: to.into(), message_id: message_id.to_vec().into(), timeout_ms };
        self.clients.business.wait_receipt(request).await.expect("a message's state").into_inner()
    }

    /// One case.
    pub async fn case(&mut self, id: &str) -> Option<pb::CaseView> {
        let request = pb::CaseRequest { case_id: id.into() };
        self.clients.business.show_case(request).await.ok().map(tonic::Response::into_inner)
    }

    /// All cases.
    pub async fn cases(&mut self) -> Vec<pb::CaseView> {
        let request = pb::ListCasesRequest { limit: 1000, ..Default::default() };
        self.clients.business.list_cases(request).await.expect("cases").into_inner().cases
    }

    /// Signs a document and sends it.
    pub async fn publish(
        &mut self,
        to: &str,
        kind: &str,
        payload: Vec<u8>,
    ) -> Result<pb::SubmitReply, Status> {
        let request = pb::PublishDocumentRequest {
            to: to.into(),
            r#type: kind.into(),
            payload: payload.into(),
            idempotency_key: String::new(),
        };
        self.clients.business.publish_document(request).await.map(tonic::Response::into_inner)
    }

    /// The documents that the node holds.
    pub async fn documents(&mut self) -> Vec<pb::DocumentView> {
        let request = pb::ListDocumentsRequest {};
        self.clients.business.list_documents(request).await.expect("documents").into_inner().documents
    }

    /// Puts a licence into the node's catalogue.
    pub async fn put_licence(&mut self, licence: &wire::Licence) -> Result<(), Status> {
        let request = pb::PutLicenceRequest { licence: licence.encode_to_vec().into() };
        self.clients.business.put_licence(request).await.map(drop)
    }

    /// All dead letters, read in pages of `page`; settled ones too when `settled`.
    pub async fn letters(&mut self, settled: bool, page: u32) -> Vec<pb::LetterView> {
        let (mut letters, mut after) = (Vec::new(), String::new());
        loop {
            let request = pb::ListLettersRequest { settled, after, limit: page, ..Default::default() };
            let reply = self.clients.business.list_letters(request).await.expect("letters").into_inner();
            letters.extend(reply.letters);
            after = reply.next;
            if after.is_empty() {
                return letters;
            }
        }
    }

    /// One dead letter.
    pub async fn letter(&mut self, message_id: &[u8]) -> Result<pb::LetterView, Status> {
        let request = pb::ShowLetterRequest { message_id: message_id.to_vec().into(), ..Default::default() };
        self.clients.business.show_letter(request).await.map(tonic::Response::into_inner)
    }

    /// Requeues a dead letter, or plans to.
    pub async fn requeue(&mut self, message_id: &[u8], apply: bool) -> Result<pb::LetterPlan, Status> {
        let message_id = message_id.to_vec().into();
        let request = pb::RequeueLetterRequest { message_id, apply, ..Default::default() };
        self.clients.business.requeue_letter(request).await.map(tonic::Response::into_inner)
    }

    /// Discards a dead letter, or plans to.
    pub async fn discard(&mut self, message_id: &[u8], apply: bool) -> Result<pb::LetterPlan, Status> {
        let (message_id, reason) = (message_id.to_vec().into(), "不再需要".to_owned());
        let request = pb::DiscardLetterRequest { message_id, apply, reason, ..Default::default() };
        self.clients.business.discard_letter(request).await.map(tonic::Response::into_inner)
    }

    /// The inbox of a consumer, from its cursor on.
    pub async fn inbox(&mut self, consumer: &str) -> tonic::Streaming<pb::InboxEntry> {
        let request = pb::InboxRequest { consumer: consumer.into() };
        self.clients.business.inbox(request).await.expect("an inbox").into_inner()
    }

    /// Moves a consumer's cursor.
    pub async fn acknowledge(&mut self, consumer: &str, from: &str, next: u64) {
        let request = pb::AcknowledgeRequest { consumer: consumer.into(), from: from.into(), epoch: 0, next };
        self.clients.business.acknowledge(request).await.expect("an acknowledgement");
    }

    /// Exports the proof of a message.
    pub async fn proof(&mut self, from: &str, to: &str, message_id: &[u8]) -> Vec<u8> {
        let request = pb::ExportProofRequest {
            from: from.into(),
            to: to.into(),
            message_id: message_id.to_vec().into(),
        };
        self.clients.operator.export_proof(request).await.expect("a proof").into_inner().bundle.to_vec()
    }

    /// Reconciles with a partner.
    pub async fn reconcile(&mut self, peer: &str) -> Result<pb::ReconcileRunReply, Status> {
        let request = pb::ReconcileRunRequest { peer: peer.into(), timeout_ms: 10_000, rehash: true };
        self.clients.operator.reconcile(request).await.map(tonic::Response::into_inner)
    }
}
