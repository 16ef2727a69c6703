//! 异地代收代办, 全程网办, 多地联办, and every item in its mode.

use super::stage::{By, SUB_TASK_ITEM, Stage, mode};
use crate::demo::catalogue::{self, ItemPlan};
use crate::demo::competent::{self, OPERATOR};
use crate::demo::error::DemoError;
use crate::demo::window;
use By::{Xianning, Yueyang};
use gateway::id::Kind;
use gateway::refusal::RefusalCode;
use gateway::service::agreement::Mode;
use proto::exchange::v1 as wire;

/// 已送达, by whoever hands it over.
fn delivery(stage: &Stage<'_>, method: &str) -> wire::CaseDeliver {
    wire::CaseDeliver { method: method.to_owned(), delivered_ms: stage.now.0, operator: OPERATOR.to_owned() }
}

/// From 转递 to 审查, with what the mode wants on the way: a 多地联办 has its sub-task done.
async fn to_review(stage: &mut Stage<'_>, plan: &ItemPlan, case: &str) -> Result<(), DemoError> {
    stage.act(Yueyang, case, Kind::CaseForward, &stage.application(plan, case, 0)).await?;
    stage.act(Xianning, case, Kind::CaseSignFor, &competent::sign_for()).await?;
    stage.act(Xianning, case, Kind::CaseAccept, &competent::accept(case)).await?;
    stage.act(Xianning, case, Kind::CaseReview, &competent::review()).await
}

/// From 准予 to 办结.
async fn to_close(stage: &mut Stage<'_>, plan: &ItemPlan, case: &str) -> Result<(), DemoError> {
    let holder = catalogue::applicant(plan.item, 1);
    let licence = competent::licence(plan, case, holder, stage.now)?;
    stage.act(Xianning, case, Kind::CaseGrant, &competent::grant(case)).await?;
    stage.act(Xianning, case, Kind::CaseLicence, &licence).await?;
    stage.act(Xianning, case, Kind::CaseDispatch, &competent::dispatch()).await?;
    match mode(plan) {
        Mode::Online => {
            stage.act(Xianning, case, Kind::CaseDeliverDirect, &delivery(stage, "electronic")).await?;
        }
        Mode::ReceivedElsewhere | Mode::Joint => {
            stage.act(Yueyang, case, Kind::CaseDeliver, &delivery(stage, "window")).await?;
        }
    }
    stage.act(Xianning, case, Kind::CaseClose, &competent::close_with_licence()).await
}

/// A sub-task: 咸宁 hands it out and receives it, 岳阳 decides it, 咸宁 reports it.
async fn sub_task(stage: &mut Stage<'_>, plan: &ItemPlan, case: &str) -> Result<(), DemoError> {
    let sub = stage.number(Xianning)?;
    let handed_out = wire::CaseJointPlan {
        tasks: vec![wire::JointTask {
            case_id: sub.clone(),
            assisting: crate::demo::place::YUEYANG.code.to_owned(),
            item: SUB_TASK_ITEM.to_owned(),
            working_days: 5,
        }],
        policy: "all".to_owned(),
        operator: OPERATOR.to_owned(),
    };
    stage.act(Xianning, case, Kind::CaseJointPlan, &handed_out).await?;
    let forward = wire::CaseForward {
        item: SUB_TASK_ITEM.to_owned(),
        mode: Mode::Joint.code().to_owned(),
        parent: case.to_owned(),
        ..stage.application(plan, &sub, 0)
    };
    stage.act(Xianning, &sub, Kind::CaseForward, &forward).await?;
    for (kind, payload) in [
        (Kind::CaseSignFor, prost::Message::encode_to_vec(&competent::sign_for())),
        (Kind::CaseAccept, prost::Message::encode_to_vec(&competent::accept(&sub))),
        (Kind::CaseReview, prost::Message::encode_to_vec(&competent::review())),
        (Kind::CaseGrant, prost::Message::encode_to_vec(&competent::grant(&sub))),
        (Kind::CaseClose, prost::Message::encode_to_vec(&competent::close("6"))),
    ] {
        stage.act_bytes(Yueyang, &sub, kind, payload).await?;
    }
    let report = wire::CaseJointReport {
        case_id: sub.clone(),
        outcome: "granted".to_owned(),
        operator: OPERATOR.to_owned(),
    };
    stage.act(Xianning, case, Kind::CaseJointReport, &report).await?;
    stage.ends(&sub, "closed").await
}

/// 异地代收代办: what the receiving place may not do is refused at its own node.
pub(super) async fn window(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let plan = stage.item_of(Mode::ReceivedElsewhere);
    let case = stage.number(Yueyang)?;
    stage.act(Yueyang, &case, Kind::CaseForward, &stage.application(&plan, &case, 0)).await?;
    stage.act(Xianning, &case, Kind::CaseSignFor, &competent::sign_for()).await?;
    let grant = competent::grant(&case);
    stage.refuses(Yueyang, "own-grant", (&case, Kind::CaseGrant), &grant, RefusalCode::CaseWrongRole).await?;
    let ask = competent::supplement_request();
    stage.act(Xianning, &case, Kind::CaseSupplementRequest, &ask).await?;
    let lapse = wire::CaseSupplementLapse { operator: OPERATOR.to_owned() };
    stage
        .refuses(
            Xianning,
            "early-lapse",
            (&case, Kind::CaseSupplementLapse),
            &lapse,
            RefusalCode::CaseNotYetDue,
        )
        .await?;
    stage.act(Yueyang, &case, Kind::CaseSupplementSubmit, &window::supplement(&case)).await?;
    stage
        .refuses(
            Xianning,
            "second-notice",
            (&case, Kind::CaseSupplementRequest),
            &ask,
            RefusalCode::CaseSupplementTwice,
        )
        .await?;
    stage.act(Xianning, &case, Kind::CaseAccept, &competent::accept(&case)).await?;
    stage.act(Xianning, &case, Kind::CaseReview, &competent::review()).await?;
    to_close(stage, &plan, &case).await?;
    stage.ends(&case, "closed").await
}

/// 全程网办.
pub(super) async fn online(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let plan = stage.item_of(Mode::Online);
    let case = stage.number(Yueyang)?;
    let whole = stage.application(&plan, &case, 0);
    let mut on_paper = whole.clone();
    if let Some(first) = on_paper.materials.first_mut() {
        "paper".clone_into(&mut first.form);
    }
    let mismatch = RefusalCode::CaseModeMismatch;
    stage.refuses(Yueyang, "on-paper", (&case, Kind::CaseForward), &on_paper, mismatch).await?;
    let elsewhere = wire::CaseForward { mode: Mode::ReceivedElsewhere.code().to_owned(), ..whole };
    stage.refuses(Yueyang, "other-mode", (&case, Kind::CaseForward), &elsewhere, mismatch).await?;
    to_review(stage, &plan, &case).await?;
    let handed_over = delivery(stage, "window");
    to_close(stage, &plan, &case).await?;
    stage
        .refuses(
            Yueyang,
            "at-the-window",
            (&case, Kind::CaseDeliver),
            &handed_over,
            RefusalCode::CaseWrongState,
        )
        .await?;
    stage.ends(&case, "closed").await
}

/// 多地联办.
pub(super) async fn joint(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let plan = stage.item_of(Mode::Joint);
    let case = stage.number(Yueyang)?;
    to_review(stage, &plan, &case).await?;
    let early = competent::grant(&case);
    stage
        .refuses(Xianning, "early-grant", (&case, Kind::CaseGrant), &early, RefusalCode::CaseJointUnfinished)
        .await?;
    let unheard = wire::CaseJointReport {
        case_id: "no-such-task".to_owned(),
        outcome: "granted".to_owned(),
        operator: OPERATOR.to_owned(),
    };
    stage
        .refuses(
            Xianning,
            "unheard-task",
            (&case, Kind::CaseJointReport),
            &unheard,
            RefusalCode::CaseJointTask,
        )
        .await?;
    sub_task(stage, &plan, &case).await?;
    let seen = stage.view(Yueyang, &case).await?;
    let told = seen.joint_tasks.len() == 1 && seen.joint_tasks.iter().all(|task| task.outcome == "granted");
    stage.holds("the applicant's place sees the sub-task and how it ended", told);
    to_close(stage, &plan, &case).await?;
    stage.ends(&case, "closed").await
}

/// Every item in its mode.
pub(super) async fn items(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let mut done = std::collections::BTreeMap::new();
    for plan in stage.items.clone() {
        let case = stage.number(Yueyang)?;
        to_review(stage, &plan, &case).await?;
        if mode(&plan) == Mode::Joint {
            sub_task(stage, &plan, &case).await?;
        }
        to_close(stage, &plan, &case).await?;
        stage.ends(&case, "closed").await?;
        let seen = stage.view(Yueyang, &case).await?;
        if seen.mode == plan.item.mode.code() {
            *done.entry(plan.item.mode.code()).or_insert(0) += 1;
        }
    }
    let count = stage.items.len();
    stage.holds(
        format!("{count} items went through their mode: {done:?}"),
        done.values().sum::<usize>() == count && done.len() == Mode::ALL.len(),
    );
    Ok(())
}
