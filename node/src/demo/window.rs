//! The window side, 岳阳's 一窗综合受理: hands in applications, brings supplements, hands over licences,
//! collects ratings. It never decides.

use super::catalogue::{self, AGENT, Applicant, MATERIAL_FORM, MATERIAL_IDENTITY};
use super::course::{Plan, PlannedCase};
use super::desk::Submission;
use super::driver::Clerk;
use super::error::DemoError;
use super::load::Tally;
use gateway::codes::item::Item;
use gateway::id::Kind;
use gateway::time::UnixMillis;
use proto::exchange::v1 as wire;
use proto::local::v1::InboxEntry;
use std::sync::Arc;

/// Who stands behind the window.
pub(super) const OPERATOR: &str = "YY-W07-012";
const WINDOW: &str = "430602-W07";

/// What happens at the window in the load.
#[derive(Debug)]
pub(super) struct Window {
    pub plan: Arc<Plan>,
    pub tally: Arc<Tally>,
}

impl Window {
    /// 转递 of a case of the load.
    pub(super) fn forward(&self, case: &PlannedCase) -> Submission {
        let plan = self.plan.item(case);
        let applicant = catalogue::applicant(plan.item, case.number);
        let materials = plan.materials().into_iter().map(|code| catalogue::file(&case.id, code, 1)).collect();
        let received = self.plan.received(case);
        let forward = application(plan.item, &case.id, applicant, materials, received);
        Submission::new(Kind::CaseForward, &case.id, &forward)
    }
}

/// An application as the window received it.
pub(crate) fn application(
    item: &Item,
    case: &str,
    applicant: &Applicant,
    materials: Vec<wire::Material>,
    received: UnixMillis,
) -> wire::CaseForward {
    wire::CaseForward {
        item: item.id.to_owned(),
        project_number: format!("YY{}", &case[15..]),
        applicant: Some(applicant.person()),
        agent: (applicant.kind == "2").then(|| AGENT.person()),
        materials,
        form: catalogue::form(applicant, item).into(),
        received_ms: received.0,
        window: WINDOW.to_owned(),
        operator: OPERATOR.to_owned(),
        applicant_kind: applicant.kind.to_owned(),
        walkthrough: false,
        mode: String::new(),
        parent: String::new(),
    }
}

/// 补正提交: the form again, complete.
pub(super) fn supplement(case: &str) -> wire::CaseSupplementSubmit {
    wire::CaseSupplementSubmit {
        materials: [MATERIAL_IDENTITY, MATERIAL_FORM].map(|code| catalogue::file(case, code, 2)).to_vec(),
        operator: OPERATOR.to_owned(),
    }
}

/// 已送达: handed over when the dispatch arrived.
pub(super) fn delivery(dispatched: &InboxEntry) -> wire::CaseDeliver {
    wire::CaseDeliver {
        method: "window".to_owned(),
        delivered_ms: dispatched.created_ms,
        operator: OPERATOR.to_owned(),
    }
}

/// 评价 of one stage. `level`: 1 非常满意 … 5 非常不满意.
pub(super) fn rating(level: u32, stage: &str) -> wire::CaseRate {
    wire::CaseRate { level, stage: stage.to_owned(), channel: "pad".to_owned() }
}

impl Clerk for Window {
    fn consumer(&self) -> &'static str {
        "demo.window"
    }

    fn answers(&self, entry: &InboxEntry) -> Result<Vec<Submission>, DemoError> {
        let Some(case) = self.plan.case(&entry.case_id) else { return Ok(Vec::new()) };
        let level = 1 + case.number % 3;
        Ok(match Kind::named(&entry.kind) {
            _ if !entry.verdict.is_empty() => Vec::new(),
            Some(Kind::CaseSupplementRequest) => {
                vec![Submission::answer(entry, Kind::CaseSupplementSubmit, &supplement(&case.id))]
            }
            Some(Kind::CaseDispatch) => vec![Submission::answer(entry, Kind::CaseDeliver, &delivery(entry))],
            Some(Kind::CaseClose) => vec![
                Submission::answer(entry, Kind::CaseRate, &rating(level, "receiving"))
                    .step("case.rate.receiving"),
                Submission::answer(entry, Kind::CaseRate, &rating(4 - level, "competent"))
                    .step("case.rate.competent"),
            ],
            _ => Vec::new(),
        })
    }

    fn answered(&self, entry: &InboxEntry) {
        if let Some(case) = self.plan.case(&entry.case_id)
            && matches!(Kind::named(&entry.kind), Some(Kind::CaseClose | Kind::CaseReturn))
        {
            self.tally.ended(case.number);
        }
    }
}
