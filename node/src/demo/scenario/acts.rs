//! What a case meets beside its main road: silence, special procedures, withdrawal, suspension, errors,
//! a higher authority, and supervision.

use super::stage::{By, Stage};
use crate::demo::competent::{self, OPERATOR};
use crate::demo::error::DemoError;
use By::{Xianning, Yueyang};
use gateway::id::Kind;
use gateway::refusal::RefusalCode;
use gateway::service::agreement::Mode;
use proto::exchange::v1 as wire;

/// A case at a window, forwarded; received so many days ago.
async fn forwarded(stage: &mut Stage<'_>, days_ago: u64) -> Result<String, DemoError> {
    let plan = stage.item_of(Mode::ReceivedElsewhere);
    let case = stage.number(Yueyang)?;
    stage.act(Yueyang, &case, Kind::CaseForward, &stage.application(&plan, &case, days_ago)).await?;
    Ok(case)
}

/// The same, signed for, accepted and under review.
async fn reviewed(stage: &mut Stage<'_>) -> Result<String, DemoError> {
    let case = forwarded(stage, 0).await?;
    stage.act(Xianning, &case, Kind::CaseSignFor, &competent::sign_for()).await?;
    stage.act(Xianning, &case, Kind::CaseAccept, &competent::accept(&case)).await?;
    stage.act(Xianning, &case, Kind::CaseReview, &competent::review()).await?;
    Ok(case)
}

/// 视为受理.
pub(super) async fn deemed(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let silence = wire::CaseAcceptDeemed { operator: String::new() };
    let fresh = forwarded(stage, 1).await?;
    stage
        .refuses(
            Xianning,
            "too-early",
            (&fresh, Kind::CaseAcceptDeemed),
            &silence,
            RefusalCode::CaseNotYetDue,
        )
        .await?;
    let old = forwarded(stage, 20).await?;
    let clocks = stage.view(Xianning, &old).await?.clocks;
    let over = clocks.iter().any(|clock| clock.name == "accept" && clock.level == "red");
    stage.holds("the five days have passed by the calendar as well", over);
    stage
        .refuses(
            Yueyang,
            "not-the-owner",
            (&old, Kind::CaseAcceptDeemed),
            &silence,
            RefusalCode::CaseWrongRole,
        )
        .await?;
    stage.act(Xianning, &old, Kind::CaseAcceptDeemed, &silence).await?;
    let told = stage.view(Yueyang, &old).await?.deemed_accepted;
    stage.holds("both places know that silence accepted it", told);
    stage.ends(&old, "accepted").await
}

/// 特别程序.
pub(super) async fn special(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let case = reviewed(stage).await?;
    let hearing = wire::CaseSpecialBegin {
        special: 2,
        procedure: "听证".to_owned(),
        reason: "利害关系人申请听证".to_owned(),
        approver: "XN-LD-002".to_owned(),
        working_days: 15,
        operator: OPERATOR.to_owned(),
    };
    let unapproved = wire::CaseSpecialBegin { approver: String::new(), ..hearing.clone() };
    let begin = Kind::CaseSpecialBegin;
    let missing = RefusalCode::CaseApproverMissing;
    stage.refuses(Xianning, "unapproved", (&case, begin), &unapproved, missing).await?;
    let before = stage.view(Xianning, &case).await?.clocks;
    stage.act(Xianning, &case, begin, &hearing).await?;
    let paused = stage.view(Yueyang, &case).await?.clocks;
    stage.holds(
        "the clock stands still, also as the receiving place sees it",
        paused.iter().any(|clock| clock.name == "decide" && clock.paused),
    );
    let end = wire::CaseSpecialEnd { outcome: "听证已举行".to_owned(), operator: OPERATOR.to_owned() };
    stage.act(Xianning, &case, Kind::CaseSpecialEnd, &end).await?;
    let longer =
        wire::CaseSpecialBegin {
            special: 1, procedure: "延长审批".to_owned(), working_days: 11, ..hearing
        };
    let limit = RefusalCode::CaseExtensionLimit;
    stage.refuses(Xianning, "eleven-days", (&case, begin), &longer, limit).await?;
    let longer = wire::CaseSpecialBegin { working_days: 10, ..longer };
    stage.act_as(Xianning, "longer", &case, begin, &longer).await?;
    stage.act_as(Xianning, "longer-end", &case, Kind::CaseSpecialEnd, &end).await?;
    let again = wire::CaseSpecialBegin { working_days: 1, ..longer };
    stage.refuses(Xianning, "longer-again", (&case, begin), &again, limit).await?;
    let days = |clocks: &[proto::local::v1::CaseClock]| {
        clocks.iter().find(|clock| clock.name == "decide").map(|clock| clock.working_days)
    };
    let after = stage.view(Yueyang, &case).await?.clocks;
    let longer_by_ten = days(&before).is_some_and(|before| days(&after) == Some(before + 10));
    stage.holds("the limit is ten working days longer", longer_by_ten);
    stage.ends(&case, "under_review").await
}

/// 撤回.
pub(super) async fn withdrawn(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let case = reviewed(stage).await?;
    let words = wire::CaseWithdraw {
        reason: "申请人改在原地办理".to_owned(), operator: OPERATOR.to_owned()
    };
    stage
        .refuses(
            Xianning,
            "not-asked",
            (&case, Kind::CaseWithdrawConfirm),
            &words,
            RefusalCode::CaseWrongState,
        )
        .await?;
    stage.act(Yueyang, &case, Kind::CaseWithdrawAsk, &words).await?;
    stage.ends(&case, "under_review").await?;
    stage.act(Xianning, &case, Kind::CaseWithdrawConfirm, &words).await?;
    stage.act(Xianning, &case, Kind::CaseClose, &competent::close("1")).await?;
    stage.ends(&case, "closed").await
}

/// 挂起.
pub(super) async fn suspended(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let case = reviewed(stage).await?;
    let suspend = wire::CaseSuspend { reason: "系统割接".to_owned(), operator: OPERATOR.to_owned() };
    stage.act(Xianning, &case, Kind::CaseSuspend, &suspend).await?;
    stage.ends(&case, "suspended").await?;
    let grant = competent::grant(&case);
    let code = RefusalCode::CaseWrongState;
    stage.refuses(Xianning, "while-suspended", (&case, Kind::CaseGrant), &grant, code).await?;
    let resume = wire::CaseResume { operator: OPERATOR.to_owned() };
    stage.act(Xianning, &case, Kind::CaseResume, &resume).await?;
    stage.ends(&case, "under_review").await
}

/// 作废.
pub(super) async fn voided(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let case = reviewed(stage).await?;
    let steps = stage.view(Yueyang, &case).await?.steps.len();
    let void = wire::CaseVoid {
        reason: "申请人信息录入错误".to_owned(),
        approver: "XN-LD-002".to_owned(),
        operator: OPERATOR.to_owned(),
    };
    stage.act(Xianning, &case, Kind::CaseVoid, &void).await?;
    let rate = crate::demo::window::rating(1, "receiving");
    stage.refuses(Yueyang, "after-void", (&case, Kind::CaseRate), &rate, RefusalCode::CaseWrongState).await?;
    let kept = stage.view(Yueyang, &case).await?.steps.len() == steps + 1;
    stage.holds("the timeline stays as the tombstone", kept);
    stage.ends(&case, "voided").await
}

/// 退件.
pub(super) async fn returned(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let case = forwarded(stage, 0).await?;
    let mut back = wire::CaseReturn {
        code: "JURISDICTION".to_owned(),
        reason: String::new(),
        operator: OPERATOR.to_owned(),
    };
    let code = RefusalCode::CaseReasonMissing;
    stage.refuses(Xianning, "no-reason", (&case, Kind::CaseReturn), &back, code).await?;
    "申请事项不属于本机关管辖".clone_into(&mut back.reason);
    stage.act(Xianning, &case, Kind::CaseReturn, &back).await?;
    stage.ends(&case, "returned").await
}

/// 转报.
pub(super) async fn transferred(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let case = reviewed(stage).await?;
    let transfer = wire::CaseTransfer {
        authority: "湖北省市场监督管理局".to_owned(),
        reason: "权限在省级机关".to_owned(),
        operator: OPERATOR.to_owned(),
    };
    stage.act(Xianning, &case, Kind::CaseTransfer, &transfer).await?;
    stage.act(Xianning, &case, Kind::CaseClose, &competent::close("4")).await?;
    stage.ends(&case, "closed").await
}

/// 行政效能电子监察.
pub(super) async fn supervised(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let fresh = reviewed(stage).await?;
    let view = stage.view(Yueyang, &fresh).await?;
    let decide = view.clocks.iter().find(|clock| clock.name == "decide").cloned().unwrap_or_default();
    stage.holds(
        format!("stuck with {}, {} working days left", decide.owner, decide.working_days_left),
        decide.owner == crate::demo::place::XIANNING.code
            && decide.level.is_empty()
            && decide.unknown_year == 0
            && (9..=10).contains(&decide.working_days_left),
    );
    let late = forwarded(stage, 20).await?;
    let view = stage.view(Yueyang, &late).await?;
    let accept = view.clocks.first().cloned().unwrap_or_default();
    stage.holds(
        "what is late by law is 红牌, and stands first",
        (accept.name.as_str(), accept.level.as_str()) == ("accept", "red") && accept.working_days_left < 0,
    );
    let alert = wire::CaseAlert { clock: accept.name, level: accept.level, due: accept.due };
    stage.act(Yueyang, &late, Kind::CaseAlert, &alert).await?;
    let code = RefusalCode::CaseWrongState;
    stage.refuses(Xianning, "told-before", (&late, Kind::CaseAlert), &alert, code).await?;
    let supervise = wire::CaseSupervise {
        reason: "逾期未受理，请说明".to_owned(),
        reply_within_working_days: 2,
        operator: "YY-JC-001".to_owned(),
    };
    stage.act(Yueyang, &late, Kind::CaseSupervise, &supervise).await?;
    let asked = stage.view(Xianning, &late).await?.clocks;
    let waits = asked
        .iter()
        .any(|clock| clock.name == "supervise_reply" && clock.owner == crate::demo::place::XIANNING.code);
    stage.holds("the answer has a clock of its own", waits);
    let reply = wire::CaseSuperviseReply {
        reply: "已签收并安排受理".to_owned(),
        operator: OPERATOR.to_owned(),
    };
    stage.refuses(Yueyang, "own-question", (&late, Kind::CaseSuperviseReply), &reply, code).await?;
    stage.act(Xianning, &late, Kind::CaseSuperviseReply, &reply).await?;
    let answered = stage.view(Yueyang, &late).await?.clocks;
    stage
        .holds("once answered it runs no more", answered.iter().all(|clock| clock.name != "supervise_reply"));
    stage.ends(&late, "forwarded").await
}
