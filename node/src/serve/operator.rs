//! What operators may ask: positions, proofs, reconciliation, the end of a stop.

use std::fmt::Write as _;
use std::time::Duration;

use gateway::channel::circuit::Circuit;
use gateway::committer::LogSnapshot;
use gateway::gateway::{CutOff, Gateway};
use gateway::id::{ChannelId, LogPosition, NodeId};
use gateway::reconcile::Depth;
use gateway::reconcile::books::BookedRow;
use gateway::reconcile::plan::Pair;
use gateway::time::UnixMillis;
use proto::local::v1 as pb;
use proto::local::v1::operator_server::Operator;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::business::{blocking, invalid, message_id, node};
use crate::refused::to_status;

/// Milliseconds for a partner's totals, when the caller names none.
const RECONCILE_MILLIS: u64 = 60_000;
/// Pages of cases that wait for whoever asked for them.
const BOOKED_PAGES_WAITING_MAX: usize = 2;
/// Characters of the reason for ending a stop.
const REASON_BYTES_MAX: usize = 1000;

/// The service.
pub struct OperatorService(pub Gateway);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn channel(from: &str, to: &str) -> Result<ChannelId, Status> {
    Ok(ChannelId { from: node(from, "from")?, to: node(to, "to")? })
}

impl OperatorService {
    fn view(&self, log: &LogSnapshot) -> pb::ChannelView {
        let id = log.log.channel;
        let peer = if id.from == self.0.node() { id.to } else { id.from };
        pb::ChannelView {
            from: id.from.to_string(),
            to: id.to.to_string(),
            epoch: log.log.epoch,
            size: log.size,
            root: hex(&log.root),
            cosigned: log.cosigned.as_ref().map_or(0, |note| note.checkpoint().size),
            checkpoint: log.checkpoint.as_ref().map_or_else(String::new, |note| note.text()),
            staged: log.staged as u64,
            contacted: log.contacted,
            connected: self.0.links().is_live(peer),
            stopped: log.stopped.as_ref().map_or_else(String::new, |stop| stop.code.code().to_owned()),
            stopped_detail: log.stopped.as_ref().map_or_else(String::new, |stop| stop.detail.clone()),
            refused: log.refused,
        }
    }

    fn peers(&self) -> Vec<pb::PeerView> {
        let links = self.0.links();
        let view = |(peer, circuit): (NodeId, Circuit)| {
            let connected = links.is_live(peer);
            pb::PeerView {
                node: peer.to_string(),
                connected,
                circuit: circuit.state.name().to_owned(),
                failures: circuit.failures,
                next_dial_ms: if connected { 0 } else { circuit.next.0 },
                last_failure: circuit.last_failure.map_or_else(String::new, |code| code.code().to_owned()),
            }
        };
        links.circuits().into_iter().map(view).collect()
    }
}

fn cut_off(wire: pb::CutOff) -> CutOff {
    CutOff {
        out: LogPosition { epoch: wire.out_epoch, index: wire.out_size },
        inbound: LogPosition { epoch: wire.in_epoch, index: wire.in_size },
        receipt: UnixMillis(wire.receipt_ms),
    }
}

fn cut_off_view(cut_off: &CutOff) -> pb::CutOff {
    pb::CutOff {
        out_epoch: cut_off.out.epoch,
        out_size: cut_off.out.index,
        in_epoch: cut_off.inbound.epoch,
        in_size: cut_off.inbound.index,
        receipt_ms: cut_off.receipt.0,
    }
}

fn booked_view(row: BookedRow) -> pb::BookedCase {
    pb::BookedCase {
        case_id: row.case_id,
        state: row.state,
        item: row.item,
        project_number: row.project_number,
        promised_working_days: row.promised_working_days,
        result: row.result,
        licence_id: row.licence_id,
        beyond: row.beyond,
    }
}

#[tonic::async_trait]
impl Operator for OperatorService {
    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusReply>, Status> {
        let snapshot = self.0.status();
        let channels = snapshot
            .out
            .iter()
            .flat_map(|(peer, out)| [Some(out), snapshot.inbound.get(peer)])
            .flatten()
            .map(|log| self.view(log))
            .collect();
        Ok(Response::new(pb::StatusReply {
            node: self.0.node().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channels,
            journal_position: snapshot.position.0,
            disk: snapshot.disk.name().to_owned(),
            disk_free_bytes: snapshot.disk_room,
            peers: self.peers(),
        }))
    }

    async fn show_channel(
        &self,
        request: Request<pb::ShowChannelRequest>,
    ) -> Result<Response<pb::ChannelView>, Status> {
        let request = request.into_inner();
        let id = channel(&request.from, &request.to)?;
        let log = self.0.channel(id).map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(self.view(&log)))
    }

    async fn export_proof(
        &self,
        request: Request<pb::ExportProofRequest>,
    ) -> Result<Response<pb::ExportProofReply>, Status> {
        let request = request.into_inner();
        let id = channel(&request.from, &request.to)?;
        let message = message_id(&request.message_id, "message_id")?;
        let gateway = self.0.clone();
        let bundle = blocking(move || {
            gateway.channel(id)?;
            gateway.export_proof(id, message)
        })
        .await?;
        Ok(Response::new(pb::ExportProofReply { bundle: bundle.into() }))
    }

    async fn reconcile(
        &self,
        request: Request<pb::ReconcileRunRequest>,
    ) -> Result<Response<pb::ReconcileRunReply>, Status> {
        let request = request.into_inner();
        let peer = node(&request.peer, "peer")?;
        self.0.channel(ChannelId { from: self.0.node(), to: peer }).map_err(|refusal| to_status(&refusal))?;
        let timeout = if request.timeout_ms == 0 { RECONCILE_MILLIS } else { request.timeout_ms };
        let depth = if request.rehash { Depth::Rehashed } else { Depth::Stored };
        let outcome = self.0.reconcile(peer, depth, Duration::from_millis(timeout)).await;
        let comparison = outcome.map_err(|refusal| to_status(&refusal))?;
        let kind =
            |pair: &Pair| pb::KindComparison { kind: pair.name.clone(), here: pair.here, there: pair.there };
        Ok(Response::new(pb::ReconcileRunReply {
            balanced: comparison.balanced(),
            channels: comparison
                .logs
                .iter()
                .map(|log| pb::ChannelComparison {
                    from: log.channel.from.to_string(),
                    to: log.channel.to.to_string(),
                    epoch: 0,
                    size: log.size,
                    root_here: hex(&log.root_here),
                    root_there: hex(&log.root_there),
                    kinds: log.kinds.iter().map(kind).collect(),
                })
                .collect(),
            states: comparison
                .states
                .iter()
                .map(|pair| pb::StateComparison {
                    state: pair.name.clone(),
                    here: pair.here,
                    there: pair.there,
                })
                .collect(),
            breaks: comparison.breaks,
            in_flight: comparison.in_flight,
        }))
    }

    type BookedCasesStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::BookedCasesPage, Status>> + Send>>;

    async fn booked_cases(
        &self,
        request: Request<pb::BookedCasesRequest>,
    ) -> Result<Response<Self::BookedCasesStream>, Status> {
        let request = request.into_inner();
        let peer = node(&request.peer, "peer")?;
        let gateway = self.0.clone();
        let now = gateway.cut_off(peer).map_err(|refusal| to_status(&refusal))?;
        let cut_off = request.cut_off.map_or(now, cut_off);
        let (sender, pages) = mpsc::channel(BOOKED_PAGES_WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let first = pb::BookedCasesPage { cut_off: Some(cut_off_view(&cut_off)), cases: Vec::new() };
            let mut after = None;
            let mut page = Ok(first);
            // Who goes away is read for no longer than a page.
            while sender.blocking_send(page).is_ok() {
                page = match gateway.booked(peer, &cut_off, after.as_ref()) {
                    Ok((rows, next)) => {
                        let page = pb::BookedCasesPage {
                            cut_off: None,
                            cases: rows.into_iter().map(booked_view).collect(),
                        };
                        let Some(next) = next else {
                            let _ = sender.blocking_send(Ok(page));
                            return;
                        };
                        after = Some(next);
                        Ok(page)
                    }
                    Err(refusal) => {
                        let _ = sender.blocking_send(Err(to_status(&refusal)));
                        return;
                    }
                };
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(pages))))
    }

    async fn resume_channel(
        &self,
        request: Request<pb::ResumeChannelRequest>,
    ) -> Result<Response<pb::ChannelView>, Status> {
        let request = request.into_inner();
        let id = channel(&request.from, &request.to)?;
        if request.reason.trim().is_empty() || request.reason.len() > REASON_BYTES_MAX {
            return Err(invalid("reason: say in 1 to 1000 bytes why the stop may end"));
        }
        self.0.resume(id, request.reason).await.map_err(|refusal| to_status(&refusal))?;
        let log = self.0.channel(id).map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(self.view(&log)))
    }
}
