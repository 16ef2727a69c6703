//! One application, step by step: a company from 岳阳 wants a food licence from 咸宁 without going
//! there. Each step is sent by its owner's business system, is waited for until its receipt is
//! verified, and is seen in the other side's inbox.

use super::catalogue::{
    self, AGENT, COMPANY, ItemPlan, LICENCE_FIELDS, MATERIAL_BUSINESS_LICENCE, PURPOSE, RECOGNITION_RULE,
    STORY_ITEM,
};
use super::desk::{Desk, PATIENCE, Submission};
use super::error::{DemoError, within};
use super::narrate::{Moment, Narrator, masked};
use super::{competent, window};
use gateway::codes::Date;
use gateway::id::Kind;
use gateway::refusal::RefusalCode;
use gateway::time::UnixMillis;
use prost::Message;
use proto::exchange::v1 as wire;
use proto::local::v1::InboxEntry;
use std::time::Instant;
use tonic::Streaming;

/// The story's serial; the load's begin higher.
const SERIAL: u32 = 1;
const CONSUMER: &str = "demo.story";

/// How the story went.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct StoryReport {
    /// 业务协同编号.
    pub case: String,
    /// What was decided about the licence: outcome and reason.
    pub recognition: (String, String),
    /// The code with which 岳阳's own decision was refused.
    pub own_grant_refused: Option<String>,
    /// The code with which the second 补正告知 was refused.
    pub second_supplement_refused: Option<String>,
    /// The result licence.
    pub licence_id: String,
    /// Message id of the `case.grant`.
    #[serde(skip)]
    pub grant: Vec<u8>,
    /// The acts that took effect, in order.
    #[serde(skip)]
    pub acts: Vec<Kind>,
}

/// One side's business system.
struct Party {
    desk: Desk,
    inbox: Streaming<InboxEntry>,
    read: Vec<InboxEntry>,
}

impl Party {
    async fn at(desk: &Desk) -> Result<Self, DemoError> {
        Ok(Self { desk: desk.clone(), inbox: desk.inbox(CONSUMER).await?, read: Vec::new() })
    }

    /// Reads the inbox until an entry comes, or takes the newest such that has been read.
    async fn hears(
        &mut self,
        what: &str,
        is: impl Fn(&InboxEntry) -> bool + Send,
    ) -> Result<InboxEntry, DemoError> {
        if let Some(entry) = self.read.iter().rev().find(|entry| is(entry)) {
            return Ok(entry.clone());
        }
        let reading = async {
            loop {
                let message = self.inbox.message().await;
                let Ok(Some(entry)) = message else {
                    let node = self.desk.place.code;
                    return Err(DemoError::Broken(format!("the inbox of node {node} ended before {what}")));
                };
                self.read.push(entry.clone());
                if is(&entry) {
                    return Ok(entry);
                }
            }
        };
        within(PATIENCE, what, reading).await
    }

    /// Moves the cursor behind everything that was read.
    async fn acknowledge(&self) -> Result<(), DemoError> {
        match self.read.last() {
            Some(last) => self.desk.acknowledge(CONSUMER, last.epoch, last.index + 1).await,
            None => Ok(()),
        }
    }
}

/// The story while it is told.
struct Story<'a> {
    yueyang: Party,
    xianning: Party,
    case: String,
    narrator: &'a Narrator,
    acts: Vec<Kind>,
}

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Yueyang,
    Xianning,
}

impl Story<'_> {
    /// Actor, then the other side.
    fn sides(&mut self, by: By) -> (&mut Party, &mut Party) {
        match by {
            By::Yueyang => (&mut self.yueyang, &mut self.xianning),
            By::Xianning => (&mut self.xianning, &mut self.yueyang),
        }
    }

    /// Does one step and tells it; the entry as the other side read it.
    async fn step(
        &mut self,
        by: By,
        submission: Submission,
        words: (&str, &str),
    ) -> Result<InboxEntry, DemoError> {
        let kind = submission.kind;
        let (actor, other) = self.sides(by);
        let began = Instant::now();
        let reply = actor.desk.submit(&submission).await?;
        let state = actor.desk.receipt(&reply.message_id).await?;
        let took = began.elapsed();
        let entry = other.hears(kind.name(), |entry| entry.message_id == reply.message_id).await?;
        let moment =
            Moment::message(actor.desk.place, other.desk.place, kind.name()).index(state.index).took(took);
        let refused = [&state.refused, &entry.verdict].into_iter().find(|code| !code.is_empty()).cloned();
        if let Some(code) = refused {
            let node = other.desk.place.code;
            self.narrator.tell(moment.refused(&code));
            let message = RefusalCode::with_code(&code).map_or("", RefusalCode::en).to_owned();
            return Err(DemoError::Refused { node, what: kind.name().to_owned(), code, message });
        }
        self.narrator.tell(moment.saying(words.0, words.1));
        if kind.is_case() {
            self.acts.push(kind);
        }
        Ok(entry)
    }

    /// Tries what must not succeed; the code it is refused with, `None` when it was taken.
    async fn attempt(&mut self, by: By, submission: Submission) -> Result<Option<String>, DemoError> {
        let narrator = self.narrator;
        let (actor, other) = self.sides(by);
        let moment = Moment::message(actor.desk.place, other.desk.place, submission.kind.name());
        match actor.desk.submit(&submission).await {
            Ok(_) => {
                narrator.tell(moment.saying("未被拒绝！", "was not refused!"));
                Ok(None)
            }
            Err(DemoError::Refused { code, .. }) => {
                let words = RefusalCode::with_code(&code);
                let (zh, en) = words.map_or(("", ""), |code| (code.zh(), code.en()));
                narrator.tell(moment.refused(&code).saying(zh, en));
                Ok(Some(code))
            }
            Err(error) => Err(error),
        }
    }

    /// A step that a gateway takes by itself, once the other side has read it, and a moment to tell it.
    async fn automatic(&mut self, by: By, kind: Kind) -> Result<(InboxEntry, Moment), DemoError> {
        let case = self.case.clone();
        let (actor, other) = self.sides(by);
        let entry =
            other.hears(kind.name(), |entry| entry.kind == kind.name() && entry.case_id == case).await?;
        let moment = Moment::message(actor.desk.place, other.desk.place, kind.name()).index(entry.index);
        Ok((entry, moment.automatic()))
    }

    /// Offers the business licence and follows the gateways' conversation about it.
    async fn recognition(&mut self, licence: &wire::Licence) -> Result<(String, String), DemoError> {
        let request = wire::RecognitionRequest {
            rule: RECOGNITION_RULE.to_owned(),
            material: MATERIAL_BUSINESS_LICENCE.to_owned(),
            licence_id: licence.id.clone(),
            type_code: licence.type_code.clone(),
            holder_code: licence.holder_code.clone(),
            purpose: PURPOSE.to_owned(),
            operator: window::OPERATOR.to_owned(),
            fields: LICENCE_FIELDS.map(str::to_owned).to_vec(),
            authorisation: format!("SQ-{}", &self.case[15..]),
            deadline_ms: 0,
        };
        let request = Submission::new(Kind::RecognitionRequest, &self.case, &request);
        let began = Instant::now();
        self.step(By::Yueyang, request, ("以营业执照代替纸质材料", "the business licence instead of paper"))
            .await?;
        let (_, query) = self.automatic(By::Xianning, Kind::LicenceQuery).await?;
        self.narrator.tell(query.saying("向颁发地查证", "asks where it was issued"));
        let (_, attest) = self.automatic(By::Yueyang, Kind::LicenceAttest).await?;
        self.narrator.tell(attest.saying("只给协议所列字段", "only the fields agreed on"));
        let (entry, moment) = self.automatic(By::Xianning, Kind::RecognitionDecide).await?;
        let decision = wire::RecognitionDecide::decode(entry.payload)
            .map_err(|error| DemoError::Broken(format!("recognition.decide: {error}")))?;
        let (outcome, reason) = (decision.outcome, decision.reason);
        let moment = moment.took(began.elapsed());
        self.narrator.tell(if outcome == "recognised" {
            moment.saying(
                format!("{reason} 认可，免交纸质营业执照"),
                format!("{reason} recognised, no paper licence needed"),
            )
        } else {
            moment.saying(format!("{reason} {outcome}"), format!("{reason} {outcome}"))
        });
        Ok((outcome, reason))
    }
}

/// Tells the story from 收件 to 评价.
pub(super) async fn tell(
    items: &[ItemPlan],
    yueyang: &Desk,
    xianning: &Desk,
    now: UnixMillis,
    day: Date,
    narrator: &Narrator,
) -> Result<StoryReport, DemoError> {
    let plan = items
        .iter()
        .find(|plan| plan.item.id == STORY_ITEM)
        .ok_or_else(|| DemoError::Broken(format!("{STORY_ITEM} is not in the list")))?;
    let case = catalogue::case_number(day, SERIAL)?;
    let mut story = Story {
        yueyang: Party::at(yueyang).await?,
        xianning: Party::at(xianning).await?,
        case: case.clone(),
        narrator,
        acts: Vec::new(),
    };

    let licence = catalogue::business_licence(now)?;
    yueyang.put_licence(licence.encode_to_vec()).await?;
    narrator.tell(Moment::note(
        format!(
            "收件：{} 窗口，{}；申请人 {}（虚构企业），代办人 {}，身份已核验；办件 {case}",
            YUEYANG_WINDOW.0,
            plan.item.name,
            masked(COMPANY.id_number()),
            masked(AGENT.id_number()),
        ),
        format!(
            "received at {}: {}; applicant {} (a made-up company), agent {}, identity checked; case {case}",
            YUEYANG_WINDOW.1,
            plan.item.name,
            masked(COMPANY.id_number()),
            masked(AGENT.id_number()),
        ),
    ));

    let materials = plan
        .materials()
        .into_iter()
        .map(|code| match code {
            MATERIAL_BUSINESS_LICENCE => catalogue::licence_instead(code, &licence),
            _ => catalogue::file(&case, code, 1),
        })
        .collect();
    let forward = window::application(plan.item, &case, &COMPANY, materials, now);
    let forward = Submission::new(Kind::CaseForward, &case, &forward);
    let forwarded = story
        .step(By::Yueyang, forward, ("食品经营许可，属地咸宁", "a food licence, Xianning's to decide"))
        .await?;
    let sign_for = Submission::answer(&forwarded, Kind::CaseSignFor, &competent::sign_for());
    story.step(By::Xianning, sign_for, ("业务签收", "taken on")).await?;
    let recognition = story.recognition(&licence).await?;

    let grant =
        Submission::new(Kind::CaseGrant, &case, &competent::grant(&case)).step("case.grant.by-receiving");
    let own_grant_refused = story.attempt(By::Yueyang, grant).await?;

    let ask = Submission::answer(&forwarded, Kind::CaseSupplementRequest, &competent::supplement_request());
    let asked = story
        .step(By::Xianning, ask, ("一次性告知：申请表缺一项", "once, completely: the form lacks an entry"))
        .await?;
    let supplement = Submission::answer(&asked, Kind::CaseSupplementSubmit, &window::supplement(&case));
    let supplemented =
        story.step(By::Yueyang, supplement, ("申请人补齐", "the applicant completes it")).await?;
    let again =
        Submission::answer(&supplemented, Kind::CaseSupplementRequest, &competent::supplement_request())
            .step("case.supplement.request.again");
    let second_supplement_refused = story.attempt(By::Xianning, again).await?;

    let accept = Submission::answer(&supplemented, Kind::CaseAccept, &competent::accept(&case));
    story.step(By::Xianning, accept, ("承诺 10 个工作日", "10 working days promised")).await?;
    let review = Submission::answer(&supplemented, Kind::CaseReview, &competent::review());
    story.step(By::Xianning, review, ("", "")).await?;
    let grant = Submission::answer(&supplemented, Kind::CaseGrant, &competent::grant(&case));
    let granted = story.step(By::Xianning, grant, ("决定权在属地", "the decision is Xianning's")).await?;
    let issue = competent::licence(plan, &case, &COMPANY, UnixMillis(supplemented.created_ms))?;
    let licence_id = issue.licence.as_ref().map(|licence| licence.id.clone()).unwrap_or_default();
    let issue = Submission::answer(&supplemented, Kind::CaseLicence, &issue);
    story.step(By::Xianning, issue, (plan.result_name, plan.result_name)).await?;
    narrator.tell(Moment::note(format!("  证照标识 {licence_id}"), format!("  licence id {licence_id}")));
    let dispatch = Submission::answer(&supplemented, Kind::CaseDispatch, &competent::dispatch());
    let dispatched =
        story.step(By::Xianning, dispatch, ("由收件地窗口代发", "to be handed over at the window")).await?;
    let deliver = Submission::answer(&dispatched, Kind::CaseDeliver, &window::delivery(&dispatched));
    let delivered =
        story.step(By::Yueyang, deliver, ("岳阳窗口交到申请人手中", "handed over in Yueyang")).await?;
    let close = Submission::answer(&delivered, Kind::CaseClose, &competent::close_with_licence());
    let closed = story.step(By::Xianning, close, ("出证办结", "closed with a licence")).await?;
    for (stage, step, words) in [
        ("receiving", "case.rate.receiving", ("收件地窗口：非常满意", "the window: very satisfied")),
        ("competent", "case.rate.competent", ("属地办理：非常满意", "the handling: very satisfied")),
    ] {
        let rate = Submission::answer(&closed, Kind::CaseRate, &window::rating(1, stage)).step(step);
        story.step(By::Yueyang, rate, words).await?;
    }
    story.yueyang.acknowledge().await?;
    story.xianning.acknowledge().await?;
    Ok(StoryReport {
        case,
        recognition,
        own_grant_refused,
        second_supplement_refused,
        licence_id,
        grant: granted.message_id.to_vec(),
        acts: story.acts,
    })
}

/// The window's name in both languages.
const YUEYANG_WINDOW: (&str, &str) = ("岳阳楼区政务中心 W07", "window W07 in Yueyang");
