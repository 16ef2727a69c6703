//! What the two cities agree on in tests, and the payloads of a case's life.

use crate::desk::Desk;
use crate::{Rig, XIANNING, YUEYANG, eventually};
use gateway::codes::{CaseNumber, Date as Day, Division};
use gateway::document::document_digest;
use gateway::service::agreement::{Agreement, LicenceScope};
use gateway::service::date::Date;
use gateway::service::standard::Standard;
use gateway::wire::document::Document as _;
use prost::Message as _;
use proto::exchange::v1 as wire;
use proto::local::v1 as local;

/// An item of the list, 开具有无犯罪记录证明.
pub const ITEM: &str = "KST027";
/// 营业执照.
pub const LICENCE_TYPE: &str = "11100000MB0143028R001";
/// A valid identifier of that type.
pub const LICENCE_ID: &str =
    "1.2.156.3005.2.11100000MB0143028R001.11430600MBT006018D.91430600MAT000011.001.B";
/// The purpose that the agreement lists.
pub const PURPOSE: &str = "跨省通办";

fn since() -> Date {
    "2026-01-01".parse().expect("a date")
}

/// The standard of the item, with the result that 咸宁 issues nothing but a decision.
pub fn standard() -> Standard {
    Standard::for_item(ITEM, "开具有无犯罪记录证明", XIANNING.parse().expect("a node"), since())
}

/// An agreement over the item and the licence type.
pub fn agreement() -> Agreement {
    let (receiving, competent) = (YUEYANG.parse().expect("a node"), XIANNING.parse().expect("a node"));
    let digest = document_digest(&standard().to_json());
    let mut agreement = Agreement::between("agr-test", [receiving, competent], since())
        .with_item(ITEM, receiving, competent, digest);
    agreement.purposes = vec![PURPOSE.into()];
    agreement.licence_scopes = vec![LicenceScope {
        type_code: LICENCE_TYPE.into(),
        holder_of_data: receiving,
        fields: vec!["holder_name".into()],
        daily_quota: 100,
    }];
    agreement
}

/// Publishes the standard and has both sign the agreement; returns when it is in effect on both.
pub async fn conclude(rig: &Rig) {
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    xianning.publish(YUEYANG, "standard", standard().to_json()).await.expect("a standard is taken");
    let text = agreement().to_json();
    xianning.publish(YUEYANG, "agreement", text.clone()).await.expect("an agreement is taken");
    yueyang.publish(XIANNING, "agreement", text).await.expect("an agreement is taken");
    for desk in [&mut yueyang, &mut xianning] {
        eventually("the agreement to take effect", async || {
            let documents = desk.documents().await;
            documents.iter().filter(|document| document.effective).count() == 2
        })
        .await;
    }
}

/// The same between 岳阳 and another competent place, about the item alone.
pub async fn conclude_with(yueyang: &mut Desk, competent: &mut Desk, node: &str) {
    let (receiving, deciding) = (YUEYANG.parse().expect("a node"), node.parse().expect("a node"));
    let standard = Standard::for_item(ITEM, "开具有无犯罪记录证明", deciding, since()).to_json();
    let agreement = Agreement::between(&format!("agr-{node}"), [receiving, deciding], since()).with_item(
        ITEM,
        receiving,
        deciding,
        document_digest(&standard),
    );
    let text = agreement.to_json();
    competent.publish(YUEYANG, "standard", standard).await.expect("a standard is taken");
    competent.publish(YUEYANG, "agreement", text.clone()).await.expect("an agreement is taken");
    yueyang.publish(node, "agreement", text.clone()).await.expect("an agreement is taken");
    let digest = document_digest(&text).to_text();
    for desk in [yueyang, competent] {
        eventually("the agreement to take effect", async || {
            let documents = desk.documents().await;
            documents.iter().any(|document| document.digest == digest && document.effective)
        })
        .await;
    }
}

/// The number of the rig's case `serial`.
pub fn case(serial: u32) -> String {
    case_between(YUEYANG, XIANNING, serial)
}

/// The number of a case that is handed in at one place and decided at another.
pub fn case_between(receiving: &str, competent: &str, serial: u32) -> String {
    let division = |code| Division::parse(code).expect("a division");
    let day = Day::new(2026, 11, 23).expect("a day");
    CaseNumber::mint(division(receiving), division(competent), day, serial).expect("a number").to_string()
}

fn material(code: &str) -> wire::Material {
    let digest = document_digest(code.as_bytes()).to_wire().to_vec();
    wire::Material {
        code: code.into(),
        digest: digest.into(),
        form: "electronic".into(),
        ..Default::default()
    }
}

/// 转递 of a complete application.
pub fn forward() -> wire::CaseForward {
    wire::CaseForward {
        item: ITEM.into(),
        project_number: "YY-1".into(),
        applicant: Some(wire::Person {
            name: "测试甲".into(),
            id_type: "111".into(),
            id_number: "430602190001010012".into(),
            phone: String::new(),
        }),
        agent: None,
        materials: vec![material("M01"), material("M02")],
        form: br#"{"name":"x","reason":"y"}"#.to_vec().into(),
        received_ms: 1_795_000_000_000,
        window: "W01".into(),
        operator: "op-1".into(),
        applicant_kind: "1".into(),
        walkthrough: false,
        mode: String::new(),
        parent: String::new(),
    }
}

/// 签收.
pub fn sign_for() -> wire::CaseSignFor {
    wire::CaseSignFor { operator: "op-2".into() }
}

/// 受理.
pub fn accept() -> wire::CaseAccept {
    wire::CaseAccept { document_number: "XN-1".into(), promised_working_days: 10, operator: "op-2".into() }
}

/// 审查.
pub fn review() -> wire::CaseReview {
    wire::CaseReview { operator: "op-2".into() }
}

/// 准予 or 不予.
pub fn decision(reason: &str) -> wire::CaseDecision {
    wire::CaseDecision { document_number: "XN-2".into(), reason: reason.into(), operator: "op-2".into() }
}

/// 撤回申请.
pub fn withdraw() -> wire::CaseWithdraw {
    wire::CaseWithdraw { reason: "不办了".into(), operator: "op-1".into() }
}

/// 好差评.
pub fn rate() -> wire::CaseRate {
    wire::CaseRate { level: 1, stage: "receiving".into(), channel: "window".into() }
}

/// 办结.
pub fn close() -> wire::CaseClose {
    wire::CaseClose { result: "6".into(), operator: "op-2".into() }
}

/// A business licence of 岳阳's catalogue.
pub fn licence() -> wire::Licence {
    wire::Licence {
        id: LICENCE_ID.into(),
        type_code: LICENCE_TYPE.into(),
        name: "营业执照".into(),
        number: "91430600MAT000011".into(),
        issuer_name: "岳阳市市场监督管理局".into(),
        issuer_code: "11430600MBT006018D".into(),
        holder_name: "测试有限公司".into(),
        holder_code: "91430600MAT000018P".into(),
        holder_code_type: "001".into(),
        issued: "2024-01-01".into(),
        valid_from: "2024-01-01".into(),
        valid_until: "2044-01-01".into(),
        state: "valid".into(),
        ..Default::default()
    }
}

/// A licence query with purpose and five elements.
pub fn query(case: &str) -> wire::LicenceQuery {
    wire::LicenceQuery {
        licence_id: LICENCE_ID.into(),
        purpose: PURPOSE.into(),
        org_name: "咸宁市行政审批局".into(),
        user_name: "op-2".into(),
        item_name: "开具有无犯罪记录证明".into(),
        item_code: ITEM.into(),
        business_code: case.into(),
        fields: vec!["holder_name".into()],
        ..Default::default()
    }
}

/// A window's request to forward the case with that serial number to 咸宁.
pub fn forwarding(serial: u32) -> local::SubmitRequest {
    local::SubmitRequest {
        to: crate::XIANNING.into(),
        idempotency_key: format!("window/{serial}"),
        kind: "case.forward".into(),
        case_id: case(serial),
        payload: forward().encode_to_vec().into(),
        ..local::SubmitRequest::default()
    }
}
