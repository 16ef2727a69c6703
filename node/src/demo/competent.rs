//! The competent side, 咸宁's approval system: signs for cases, asks for supplements, decides, issues
//! licences, closes. What it decides in the load is the case's course.

use super::catalogue::{self, Applicant, ItemPlan, MATERIAL_FORM, PROMISED_WORKING_DAYS};
use super::course::{Course, Plan, PlannedCase, document_number};
use super::desk::Submission;
use super::driver::Clerk;
use super::error::DemoError;
use super::load::Tally;
use gateway::id::Kind;
use gateway::time::UnixMillis;
use proto::exchange::v1 as wire;
use proto::local::v1::InboxEntry;
use std::sync::Arc;

/// Who decides.
pub(super) const OPERATOR: &str = "XN-SP-031";

/// 办结结果 codes (GB/T 39046-2020 as used by many places).
const RESULT_LICENCE: &str = "0";
const RESULT_DENIED: &str = "7";
const RESULT_REJECTED: &str = "1";

/// What happens at the competent place in the load.
#[derive(Debug)]
pub(super) struct Competent {
    pub plan: Arc<Plan>,
    pub tally: Arc<Tally>,
}

/// 业务签收.
pub(super) fn sign_for() -> wire::CaseSignFor {
    wire::CaseSignFor { operator: OPERATOR.to_owned() }
}

/// 补正告知: everything that is missing, at once.
pub(super) fn supplement_request() -> wire::CaseSupplementRequest {
    wire::CaseSupplementRequest {
        items: vec![wire::SupplementItem {
            material: MATERIAL_FORM.to_owned(),
            what: "申请表未填写经营场所面积，请补填".to_owned(),
        }],
        deadline_working_days: 10,
        operator: OPERATOR.to_owned(),
    }
}

/// 受理.
pub(super) fn accept(case: &str) -> wire::CaseAccept {
    wire::CaseAccept {
        document_number: document_number("受理", case),
        promised_working_days: PROMISED_WORKING_DAYS,
        operator: OPERATOR.to_owned(),
    }
}

/// 审查.
pub(super) fn review() -> wire::CaseReview {
    wire::CaseReview { operator: OPERATOR.to_owned() }
}

/// 准予.
pub(super) fn grant(case: &str) -> wire::CaseDecision {
    wire::CaseDecision {
        document_number: document_number("准予", case),
        reason: "申请材料齐全，符合法定条件".to_owned(),
        operator: OPERATOR.to_owned(),
    }
}

/// 制证.
pub(super) fn licence(
    plan: &ItemPlan,
    case: &str,
    holder: &Applicant,
    day: UnixMillis,
) -> Result<wire::CaseLicence, DemoError> {
    let licence = catalogue::result_licence(plan, case, holder, day)?;
    Ok(wire::CaseLicence { licence: Some(licence), operator: OPERATOR.to_owned() })
}

/// 送达中: to be handed over at the receiving window.
pub(super) fn dispatch() -> wire::CaseDispatch {
    wire::CaseDispatch {
        method: "electronic".to_owned(),
        tracking_number: String::new(),
        operator: OPERATOR.to_owned(),
    }
}

/// 办结.
pub(super) fn close(result: &str) -> wire::CaseClose {
    wire::CaseClose { result: result.to_owned(), operator: OPERATOR.to_owned() }
}

/// 办结 of a case that gave a licence.
pub(super) fn close_with_licence() -> wire::CaseClose {
    close(RESULT_LICENCE)
}

impl Competent {
    /// From 受理 to 送达中. The approval system remembers who applied; here the case's number tells.
    fn granted(&self, case: &PlannedCase, entry: &InboxEntry) -> Result<Vec<Submission>, DemoError> {
        let plan = self.plan.item(case);
        let holder = catalogue::applicant(plan.item, case.number);
        let licence = licence(plan, &case.id, holder, UnixMillis(entry.created_ms))?;
        Ok(vec![
            Submission::answer(entry, Kind::CaseAccept, &accept(&case.id)),
            Submission::answer(entry, Kind::CaseReview, &review()),
            Submission::answer(entry, Kind::CaseGrant, &grant(&case.id)),
            Submission::answer(entry, Kind::CaseLicence, &licence),
            Submission::answer(entry, Kind::CaseDispatch, &dispatch()),
        ])
    }

    /// What a case that has arrived is answered with.
    fn begun(&self, case: &PlannedCase, entry: &InboxEntry) -> Result<Vec<Submission>, DemoError> {
        let sign_for = Submission::answer(entry, Kind::CaseSignFor, &sign_for());
        let written = |what: &str, reason: &str| wire::CaseDecision {
            document_number: document_number(what, &case.id),
            reason: reason.to_owned(),
            operator: OPERATOR.to_owned(),
        };
        Ok(match case.course {
            Course::Granted => std::iter::once(sign_for).chain(self.granted(case, entry)?).collect(),
            Course::GrantedAfterSupplement => {
                vec![sign_for, Submission::answer(entry, Kind::CaseSupplementRequest, &supplement_request())]
            }
            Course::Denied => vec![
                sign_for,
                Submission::answer(entry, Kind::CaseAccept, &accept(&case.id)),
                Submission::answer(entry, Kind::CaseReview, &review()),
                Submission::answer(entry, Kind::CaseDeny, &written("不予", "经审查不符合法定条件")),
                Submission::answer(entry, Kind::CaseClose, &close(RESULT_DENIED)),
            ],
            Course::Rejected => {
                let reject = wire::CaseReject {
                    document_number: document_number("不受理", &case.id),
                    reason: "申请事项依法不需要取得行政许可".to_owned(),
                    operator: OPERATOR.to_owned(),
                };
                vec![
                    sign_for,
                    Submission::answer(entry, Kind::CaseReject, &reject),
                    Submission::answer(entry, Kind::CaseClose, &close(RESULT_REJECTED)),
                ]
            }
            Course::Returned => {
                let back = wire::CaseReturn {
                    code: "JURISDICTION".to_owned(),
                    reason: "申请事项不属于本机关管辖".to_owned(),
                    operator: OPERATOR.to_owned(),
                };
                vec![Submission::answer(entry, Kind::CaseReturn, &back)]
            }
        })
    }
}

impl Clerk for Competent {
    fn consumer(&self) -> &'static str {
        "demo.approval"
    }

    fn answers(&self, entry: &InboxEntry) -> Result<Vec<Submission>, DemoError> {
        let Some(case) = self.plan.case(&entry.case_id) else { return Ok(Vec::new()) };
        match Kind::named(&entry.kind) {
            _ if !entry.verdict.is_empty() => Ok(Vec::new()),
            Some(Kind::CaseForward) => self.begun(case, entry),
            Some(Kind::CaseSupplementSubmit) => self.granted(case, entry),
            Some(Kind::CaseDeliver) => {
                Ok(vec![Submission::answer(entry, Kind::CaseClose, &close_with_licence())])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn answered(&self, entry: &InboxEntry) {
        if let Some(case) = self.plan.case(&entry.case_id)
            && entry.kind == Kind::CaseRate.name()
            && entry.verdict.is_empty()
        {
            self.tally.rated(case.number, &entry.message_id);
        }
    }
}
