//! The two places of the scenarios: what they agreed on, how either acts, and what must hold.

use super::Check;
use crate::demo::catalogue::{self, ItemPlan};
use crate::demo::desk::{Desk, Submission};
use crate::demo::error::{DemoError, within};
use crate::demo::narrate::{Moment, Narrator};
use crate::demo::place::{XIANNING, YUEYANG};
use crate::demo::{day_of, window};
use crate::suite::SigningSuite;
use gateway::codes::{CaseNumber, Date, Division};
use gateway::document::document_digest;
use gateway::id::Kind;
use gateway::refusal::RefusalCode;
use gateway::service::agreement::{Agreement, AgreementItem, ClockRule, Mode};
use gateway::service::standard::Standard;
use gateway::time::UnixMillis;
use gateway::wire::document::Document as _;
use proto::exchange::v1 as wire;
use proto::local::v1::CaseView;
use std::time::{Duration, Instant};

/// Milliseconds of a day.
pub(super) const DAY_MILLIS: u64 = 86_400_000;
/// The item that 岳阳 does for 咸宁 as a sub-task.
pub(super) const SUB_TASK_ITEM: &str = "KST028";
/// Serials of the scenarios begin here.
const SERIAL_FIRST: u32 = 200_000;
/// How long the agreement may take.
const AGREED: Duration = Duration::from_secs(60);

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// 岳阳.
    Yueyang,
    /// 咸宁.
    Xianning,
}

/// Both places, with their agreement in effect.
pub(super) struct Stage<'a> {
    yueyang: Desk,
    xianning: Desk,
    narrator: &'a Narrator,
    pub(super) items: Vec<ItemPlan>,
    pub(super) now: UnixMillis,
    day: Date,
    serial: u32,
    checks: Vec<Check>,
}

/// Holidays of last year, this and the next, so that limits can be counted whenever the demo is shown.
/// Made up but for the two that every year has.
pub(super) fn calendar(now: UnixMillis) -> String {
    let (year, _, _) = now.date_in_china();
    let mut text = "date,kind,holiday\n".to_owned();
    for year in year - 1..=year + 1 {
        text.push_str(&format!("{year:04}-01-01,holiday,New Year\n{year:04}-10-01,holiday,National Day\n"));
    }
    text
}

/// How an item is done by the agreement.
pub(super) fn mode(plan: &ItemPlan) -> Mode {
    Mode::with_code(plan.item.mode.code()).expect("both tables know three modes")
}

impl<'a> Stage<'a> {
    /// Has the standards published and the agreement signed: every item in its mode, its legal clock
    /// starting at 收件.
    pub(super) async fn set(
        yueyang: Desk,
        xianning: Desk,
        suite: SigningSuite,
        now: UnixMillis,
        narrator: &'a Narrator,
    ) -> Result<Self, DemoError> {
        let items = catalogue::items();
        let (year, _, _) = now.date_in_china();
        // last year's, so that what was received some days ago is covered on New Year's Day as well
        let year = year - 1;
        let first = format!("{year:04}-01-01");
        let first = first.parse().map_err(|error| DemoError::Broken(format!("{first}: {error}")))?;
        let parties = [YUEYANG.node(), XIANNING.node()];
        let mut agreement = Agreement::between("kst-430600-421200-modes", parties, first);
        suite.name().clone_into(&mut agreement.suite);
        let mut listed = |item: &str, mode, [receiving, competent]: [_; 2], standard: &[u8]| {
            agreement.items.push(AgreementItem {
                item: item.to_owned(),
                receiving,
                competent,
                mode,
                standard: document_digest(standard),
                clock_rule: ClockRule::AtReceipt,
                forward_within_working_days: 1,
            });
        };
        for plan in &items {
            let text = catalogue::standard(plan, year)?;
            listed(plan.item.id, mode(plan), parties, &text);
            xianning.publish("standard", &format!("scenario/{}", plan.item.id), &text).await?;
        }
        // what 岳阳 does for 咸宁 gives no licence of its own
        let task = Standard::for_item(SUB_TASK_ITEM, "协办：户籍核验", YUEYANG.node(), first).to_json();
        listed(SUB_TASK_ITEM, Mode::Joint, [parties[1], parties[0]], &task);
        yueyang.publish("standard", "scenario/sub-task", &task).await?;
        let text = agreement.to_json();
        for desk in [&xianning, &yueyang] {
            desk.publish("agreement", "scenario/agreement", &text).await?;
        }
        let digest = document_digest(&text).to_text();
        let count = items.len() + 1;
        for desk in [&yueyang, &xianning] {
            let agreed = async {
                loop {
                    let held = desk.documents().await?;
                    let standards = held.iter().filter(|held| held.r#type == "standard").count();
                    if standards >= count && held.iter().any(|held| held.digest == digest && held.effective) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            within(AGREED, "the agreement to take effect", agreed).await?;
        }
        narrator.tell(Moment::note(
            format!("协议生效：{} 项各按其方式，起算规则为收件", items.len()),
            format!(
                "the agreement is in effect: {} items, each in its mode, clocks start at 收件",
                items.len()
            ),
        ));
        let day = day_of(now)?;
        Ok(Self { yueyang, xianning, narrator, items, now, day, serial: SERIAL_FIRST, checks: Vec::new() })
    }

    /// The checks since the last call.
    pub(super) fn take_checks(&mut self) -> Vec<Check> {
        std::mem::take(&mut self.checks)
    }

    /// Notes what must hold.
    pub(super) fn holds(&mut self, what: impl Into<String>, held: bool) {
        self.checks.push(Check { what: what.into(), held });
    }

    /// The first item of a mode.
    pub(super) fn item_of(&self, wanted: Mode) -> ItemPlan {
        let plan = self.items.iter().find(|plan| mode(plan) == wanted && plan.materials().len() == 2);
        plan.expect("the table has items of every mode").clone()
    }

    /// A new case number; `by`: who receives it.
    pub(super) fn number(&mut self, by: By) -> Result<String, DemoError> {
        self.serial += 1;
        let division = |node: &str| Division::parse(node);
        let (from, to) = match by {
            By::Yueyang => (YUEYANG.code, XIANNING.code),
            By::Xianning => (XIANNING.code, YUEYANG.code),
        };
        division(from)
            .and_then(|from| CaseNumber::mint(from, division(to)?, self.day, self.serial))
            .map(|number| number.to_string())
            .map_err(|error| DemoError::Broken(format!("case number {}: {error}", self.serial)))
    }

    /// An application of an item in its mode, received so many days ago.
    pub(super) fn application(&self, plan: &ItemPlan, case: &str, days_ago: u64) -> wire::CaseForward {
        let received = UnixMillis(self.now.0.saturating_sub(days_ago * DAY_MILLIS));
        let materials = plan.materials().into_iter().map(|code| catalogue::file(case, code, 1)).collect();
        let applicant = catalogue::applicant(plan.item, 1);
        wire::CaseForward {
            mode: plan.item.mode.code().to_owned(),
            ..window::application(plan.item, case, applicant, materials, received)
        }
    }

    fn desk(&self, by: By) -> &Desk {
        match by {
            By::Yueyang => &self.yueyang,
            By::Xianning => &self.xianning,
        }
    }

    /// Acts in a case and waits until the other place has taken it.
    pub(super) async fn act(
        &self,
        by: By,
        case: &str,
        kind: Kind,
        payload: &impl prost::Message,
    ) -> Result<(), DemoError> {
        self.act_as(by, kind.name(), case, kind, payload).await
    }

    /// The same under a step's name, where a case has the kind twice.
    pub(super) async fn act_as(
        &self,
        by: By,
        step: &'static str,
        case: &str,
        kind: Kind,
        payload: &impl prost::Message,
    ) -> Result<(), DemoError> {
        self.send(by, &Submission::new(kind, case, payload).step(step)).await
    }

    /// The same with a payload that is bytes already.
    pub(super) async fn act_bytes(
        &self,
        by: By,
        case: &str,
        kind: Kind,
        payload: Vec<u8>,
    ) -> Result<(), DemoError> {
        let case = case.to_owned();
        let submission = Submission { step: kind.name(), kind, case, in_reply_to: Vec::new(), payload };
        self.send(by, &submission).await
    }

    async fn send(&self, by: By, submission: &Submission) -> Result<(), DemoError> {
        let (desk, kind) = (self.desk(by), submission.kind);
        let began = Instant::now();
        let reply = desk.submit(submission).await?;
        let state = desk.receipt(&reply.message_id).await?;
        let moment =
            Moment::message(desk.place, desk.partner, kind.name()).index(state.index).took(began.elapsed());
        if state.refused.is_empty() {
            self.narrator.tell(moment);
            return Ok(());
        }
        self.narrator.tell(moment.refused(&state.refused));
        Err(DemoError::Refused {
            node: desk.partner.code,
            what: kind.name().to_owned(),
            message: RefusalCode::with_code(&state.refused).map_or("", RefusalCode::en).to_owned(),
            code: state.refused,
        })
    }

    /// Tries what must be refused with a code, and notes whether it was.
    pub(super) async fn refuses(
        &mut self,
        by: By,
        step: &'static str,
        (case, kind): (&str, Kind),
        payload: &impl prost::Message,
        code: RefusalCode,
    ) -> Result<(), DemoError> {
        let desk = self.desk(by);
        let moment = Moment::message(desk.place, desk.partner, kind.name());
        let held = match desk.submit(&Submission::new(kind, case, payload).step(step)).await {
            Ok(_) => {
                self.narrator.tell(moment.saying("未被拒绝！", "was not refused!"));
                false
            }
            Err(DemoError::Refused { code: found, .. }) => {
                self.narrator.tell(moment.refused(&found).saying(code.zh(), code.en()));
                found == code.code()
            }
            Err(error) => return Err(error),
        };
        self.holds(format!("{kind} is refused with {code}"), held);
        Ok(())
    }

    /// A case as a place sees it.
    pub(super) async fn view(&self, by: By, case: &str) -> Result<CaseView, DemoError> {
        self.desk(by).case(case).await
    }

    /// Both places see a case in a state, with the same acts.
    pub(super) async fn ends(&mut self, case: &str, state: &str) -> Result<(), DemoError> {
        let acts = |view: &CaseView| {
            let crossed = view.steps.iter().filter(|step| !step.local);
            crossed.map(|step| (step.kind.clone(), step.note.clone())).collect::<Vec<_>>()
        };
        let (here, there) = (self.view(By::Yueyang, case).await?, self.view(By::Xianning, case).await?);
        let held = here.state == state && there.state == state && acts(&here) == acts(&there);
        self.holds(format!("{case} is {state} in both places with the same acts"), held);
        Ok(())
    }
}
