//! What the simulated cities say to each other.

use super::EPOCH;
use gateway::document::document_digest;
use gateway::id::{Kind, NodeId};
use gateway::service::agreement::Agreement;
use gateway::service::standard::Standard;
use gateway::time::UnixMillis;
use gateway::wire::document::Document as _;
use prost::Message as _;
use proto::exchange::v1 as wire;

/// The one item that every city does for its partners.
pub(super) const ITEM: &str = "KST027";
const SINCE: &str = "2026-01-01";

pub(super) fn standard(issuer: NodeId) -> Standard {
    Standard::for_item(ITEM, "测试事项", issuer, SINCE.parse().expect("a date"))
}

/// Both directions; `until`: ms after the start.
pub(super) fn agreement(one: NodeId, other: NodeId, until: Option<u64>) -> Agreement {
    let digest = |node: NodeId| document_digest(&standard(node).to_json());
    let id = format!("agr-{one}-{other}");
    let mut agreement = Agreement::between(&id, [one, other], SINCE.parse().expect("a date"))
        .with_item(ITEM, one, other, digest(other))
        .with_item(ITEM, other, one, digest(one));
    agreement.suite = "ed25519-sha256".to_owned();
    agreement.effective_until = until.map(|until| UnixMillis(EPOCH + until));
    agreement
}

/// 转递.
pub(super) fn forward(number: u64) -> Vec<u8> {
    let material = |code: &str| wire::Material {
        code: code.into(),
        digest: document_digest(code.as_bytes()).to_wire().to_vec().into(),
        form: "electronic".into(),
        ..Default::default()
    };
    wire::CaseForward {
        item: ITEM.into(),
        project_number: format!("P-{number}"),
        applicant: Some(wire::Person {
            name: "测试甲".into(),
            id_type: "414".into(),
            id_number: "E00000000".into(),
            phone: String::new(),
        }),
        materials: vec![material("M01"), material("M02")],
        form: br#"{"name":"x","reason":"y"}"#.to_vec().into(),
        received_ms: EPOCH - 1000,
        window: "W01".into(),
        operator: "op-1".into(),
        applicant_kind: "1".into(),
        ..Default::default()
    }
    .encode_to_vec()
}

/// The payload of any other act of a case.
pub(super) fn act(kind: Kind) -> Vec<u8> {
    let operator = || "op-2".to_owned();
    match kind {
        Kind::CaseSignFor => wire::CaseSignFor { operator: operator() }.encode_to_vec(),
        Kind::CaseReview => wire::CaseReview { operator: operator() }.encode_to_vec(),
        Kind::CaseAccept => {
            let document_number = "XN-1".into();
            wire::CaseAccept { document_number, promised_working_days: 10, operator: operator() }
                .encode_to_vec()
        }
        Kind::CaseGrant | Kind::CaseDeny => {
            let (document_number, reason) = ("XN-2".into(), "因为".into());
            wire::CaseDecision { document_number, reason, operator: operator() }.encode_to_vec()
        }
        Kind::CaseClose => wire::CaseClose { result: "6".into(), operator: operator() }.encode_to_vec(),
        Kind::CaseWithdrawAsk | Kind::CaseWithdrawConfirm => {
            wire::CaseWithdraw { reason: "申请人要求".into(), operator: operator() }.encode_to_vec()
        }
        Kind::CaseRate => {
            wire::CaseRate { level: 1, stage: "competent".into(), channel: "window".into() }.encode_to_vec()
        }
        other => panic!("no payload for {other}"),
    }
}

/// Whose act it is, told apart from the gateway's own table: of the receiving place, of the competent one,
/// of neither.
pub(super) fn owner(kind: &str) -> Option<Place> {
    match kind {
        "case.forward" | "case.supplement.submit" | "case.deliver" | "case.withdraw.ask" | "case.rate" => {
            Some(Place::Receiving)
        }
        kind if kind.starts_with("case.") => Some(Place::Competent),
        _ => None,
    }
}

/// 收件地 or 属地.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Receiving,
    Competent,
}
