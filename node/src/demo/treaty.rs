//! Before the first case: 咸宁 publishes how it does each of the items (一事一标准), and both nodes sign
//! the same agreement about them.

use super::catalogue::{self, ItemPlan};
use super::desk::{Desk, PATIENCE};
use super::error::{DemoError, within};
use super::narrate::{Moment, Narrator};
use crate::suite::SigningSuite;
use gateway::document::document_digest;
use gateway::id::{Digest, Kind};
use proto::local::v1::DocumentView;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two looks at a node's documents.
const LOOK: Duration = Duration::from_millis(5);

/// What the two nodes have agreed on.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Treaty {
    /// Standards that both nodes hold under the same digests.
    pub standards: usize,
    /// The agreement's digest, when it is in effect on both nodes.
    pub agreement: Option<String>,
}

/// Publishes the standards and signs the agreement.
pub(crate) async fn conclude(
    items: &[ItemPlan],
    suite: SigningSuite,
    year: i64,
    yueyang: &Desk,
    xianning: &Desk,
    narrator: &Narrator,
) -> Result<Treaty, DemoError> {
    publish_standards(items, year, xianning, narrator).await?;
    let arrived = documents(yueyang, "standard", items.len());
    let standards = within(PATIENCE, "the standards to arrive", arrived).await?;
    let ours =
        within(PATIENCE, "the standards to be published", documents(xianning, "standard", items.len()))
            .await?;
    let agreed = standards.iter().filter(|standard| ours.contains(standard)).count();

    let pinned = items
        .iter()
        .map(|plan| {
            let found = standards.iter().find(|standard| standard.id.ends_with(plan.item.id));
            let digest = found.and_then(|found| Digest::from_text(&found.digest).ok());
            let digest =
                digest.ok_or_else(|| DemoError::Broken(format!("no standard of {}", plan.item.id)))?;
            Ok((plan.item.id, digest))
        })
        .collect::<Result<Vec<_>, DemoError>>()?;
    let text = catalogue::agreement(&pinned, suite, year)?;
    sign(xianning, &text, items.len(), narrator).await?;
    sign(yueyang, &text, items.len(), narrator).await?;
    let here = within(PATIENCE, "the agreement to take effect", in_effect(yueyang)).await?;
    let there = within(PATIENCE, "the agreement to take effect", in_effect(xianning)).await?;
    let other = catalogue::items_of_another_mode(items);
    narrator.tell(Moment::note(
        format!(
            "协议已由双方签署同一文本，即日生效；{} 项全部按异地代收代办办理（其中 {other} 项清单建议采用其他方式）",
            items.len()
        ),
        format!(
            "both signed the same bytes: the agreement is in effect. All {} items are done as 异地代收代办 here, though another mode is suggested for {other} of them",
            items.len()
        ),
    ));
    Ok(Treaty { standards: agreed, agreement: (here == there).then_some(here) })
}

/// 岳阳 and another competent place agree on one item, without many words.
pub(crate) async fn conclude_one(
    plan: &ItemPlan,
    suite: SigningSuite,
    year: i64,
    yueyang: &Desk,
    competent: &Desk,
) -> Result<(), DemoError> {
    let standard = catalogue::standard_of(competent.place, plan, year)?;
    let agreement =
        catalogue::agreement_with(competent.place, (plan.item.id, document_digest(&standard)), suite, year)?;
    competent.publish("standard", "standard/1", &standard).await?;
    competent.publish("agreement", "agreement/1", &agreement).await?;
    yueyang.publish("agreement", &format!("agreement/{}", competent.place.code), &agreement).await?;
    let digest = document_digest(&agreement).to_text();
    for desk in [yueyang, competent] {
        let in_effect = async {
            let holds = |held: &DocumentView| held.digest == digest && held.effective;
            while !desk.documents().await?.iter().any(holds) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        within(PATIENCE, "the agreement to take effect", in_effect).await?;
    }
    Ok(())
}

async fn publish_standards(
    items: &[ItemPlan],
    year: i64,
    desk: &Desk,
    narrator: &Narrator,
) -> Result<(), DemoError> {
    let began = Instant::now();
    let mut tasks: JoinSet<Result<u64, DemoError>> = JoinSet::new();
    for plan in items {
        let (desk, text) = (desk.clone(), catalogue::standard(plan, year)?);
        let key = format!("standard/{}/1", plan.item.id);
        tasks.spawn(async move {
            let reply = desk.publish("standard", &key, &text).await?;
            Ok(desk.receipt(&reply.message_id).await?.index)
        });
    }
    let mut indexes = Vec::with_capacity(items.len());
    while let Some(done) = tasks.join_next().await {
        indexes.push(done.unwrap_or_else(|panic| Err(DemoError::Broken(panic.to_string())))?);
    }
    let (first, last) =
        (indexes.iter().min().copied().unwrap_or(0), indexes.iter().max().copied().unwrap_or(0));
    narrator.tell(
        Moment::message(desk.place, desk.partner, Kind::StandardPublish.name())
            .index(first)
            .up_to(last)
            .took(began.elapsed())
            .saying(
                format!("{} 项，一事一标准", items.len()),
                format!("{} items, one standard each", items.len()),
            ),
    );
    Ok(())
}

async fn sign(desk: &Desk, text: &[u8], items: usize, narrator: &Narrator) -> Result<(), DemoError> {
    let began = Instant::now();
    let reply = desk.publish("agreement", "agreement/1", text).await?;
    let state = desk.receipt(&reply.message_id).await?;
    narrator.tell(
        Moment::message(desk.place, desk.partner, Kind::AgreementSign.name())
            .index(state.index)
            .took(began.elapsed())
            .saying(format!("涵盖 {items} 项"), format!("covers {items} items")),
    );
    Ok(())
}

/// What identifies a document.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    id: String,
    digest: String,
}

/// Waits until a node holds `count` documents of a type.
async fn documents(desk: &Desk, kind: &str, count: usize) -> Result<Vec<Held>, DemoError> {
    loop {
        let documents = desk.documents().await?;
        let held: Vec<_> = documents
            .into_iter()
            .filter(|document| document.r#type == kind)
            .map(|document| Held { id: document.id, digest: document.digest })
            .collect();
        if held.len() >= count {
            return Ok(held);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the agreement is in effect on a node; its digest.
async fn in_effect(desk: &Desk) -> Result<String, DemoError> {
    loop {
        let documents = desk.documents().await?;
        if let Some(document) = documents.into_iter().find(|d| d.r#type == "agreement" && d.effective) {
            return Ok(document.digest);
        }
        tokio::time::sleep(LOOK).await;
    }
}
