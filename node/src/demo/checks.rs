//! What the demo promises, asked of the nodes at the end: each promise is one check with a name, and
//! the demo succeeds only if every one of them held.

use super::course::{Plan, PlannedCase};
use super::desk::Desk;
use super::error::DemoError;
use super::load::{LoadReport, Tally};
use super::place::{Place, XIANNING, YUEYANG};
use super::story::StoryReport;
use super::treaty::Treaty;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use certs::TrustStore;
use gateway::id::Kind;
use gateway::proof;
use gateway::refusal::RefusalCode;
use proto::local::v1::{CaseView, ReconcileRunReply};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::task::JoinSet;

/// SIGKILL.
const SIGKILL: i32 = 9;
/// Cases that are asked about at once.
const ASKED_AT_ONCE: usize = 64;
/// Differences that a failed check shows.
const SHOWN: usize = 3;

/// One promise and whether it held.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Check {
    /// Its name, for machines.
    pub name: &'static str,
    /// The promise in Chinese.
    pub zh: String,
    /// The promise in English.
    pub en: String,
    /// Whether it held.
    pub held: bool,
    /// What was found; empty: nothing to add.
    pub found: String,
}

/// All checks, in the order they were made.
#[derive(Debug, Default)]
pub(super) struct Checks(pub Vec<Check>);

impl Checks {
    fn add(
        &mut self,
        name: &'static str,
        held: bool,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> &mut Check {
        self.0.push(Check { name, zh: zh.into(), en: en.into(), held, found: String::new() });
        self.0.last_mut().expect("one was just added")
    }

    /// Whether every promise held.
    pub(super) fn all_held(&self) -> bool {
        self.0.iter().all(|check| check.held)
    }

    /// The standards and the agreement.
    pub(super) fn treaty(&mut self, treaty: &Treaty, items: usize) {
        self.add(
            "standards_equal",
            treaty.standards == items,
            format!("{items} 项标准在两节点摘要一致"),
            format!("{items} standards have equal digests on both nodes"),
        )
        .found = treaty.standards.to_string();
        self.add(
            "agreement_in_effect",
            treaty.agreement.is_some(),
            "协议由双方签署同一文本并生效",
            "both signed the same agreement and it is in effect",
        )
        .found = treaty.agreement.clone().unwrap_or_default();
    }

    /// The story, as both nodes remember it.
    pub(super) async fn story(
        &mut self,
        story: &StoryReport,
        yueyang: &Desk,
        xianning: &Desk,
    ) -> Result<(), DemoError> {
        let (outcome, reason) = &story.recognition;
        self.add(
            "licence_recognised",
            outcome == "recognised" && reason == "R00",
            "营业执照获互认，代替纸质材料",
            "the business licence was recognised instead of paper",
        )
        .found = reason.clone();
        for (name, code, found, zh, en) in [
            (
                "receiving_place_cannot_decide",
                RefusalCode::CaseWrongRole,
                &story.own_grant_refused,
                "收件地自行准予被拒绝",
                "the receiving place's own decision was refused",
            ),
            (
                "supplement_asked_once_only",
                RefusalCode::CaseSupplementTwice,
                &story.second_supplement_refused,
                "第二次补正告知被拒绝",
                "a second request for a supplement was refused",
            ),
        ] {
            self.add(name, found.as_deref() == Some(code.code()), zh, en).found =
                found.clone().unwrap_or_default();
        }
        let (here, there) = (yueyang.case(&story.case).await?, xianning.case(&story.case).await?);
        let complete = here.state == "closed"
            && here.licence_id == story.licence_id
            && (here.rating_receiving, here.rating_competent) == (1, 1)
            && kinds(&here) == sorted(&story.acts);
        self.add(
            "story_closed_with_licence",
            complete,
            "申请人的办件已办结、出证、评价",
            "her case is closed, has its licence and its ratings",
        )
        .found = here.state.clone();
        self.add(
            "story_equal_on_both_nodes",
            essence(&here) == essence(&there),
            "该办件在两节点完全一致",
            "both nodes remember it alike",
        );
        Ok(())
    }

    /// The kill, and every case of the load on both nodes.
    pub(super) async fn load(
        &mut self,
        victim: &Place,
        plan: &Plan,
        tally: &Tally,
        report: &LoadReport,
        story: &StoryReport,
        [yueyang, xianning]: [&Desk; 2],
    ) -> Result<(), DemoError> {
        let kill = &report.kill;
        self.add(
            "killed_in_mid_delivery",
            kill.signal == Some(SIGKILL) && kill.without_receipt > 0 && kill.cases_ended < report.cases,
            format!("{}在投递途中被 SIGKILL 杀死", victim.zh),
            format!("{} was killed with SIGKILL in mid-delivery", victim.en),
        )
        .found = format!("{} / {}", kill.without_receipt, kill.cases_ended);
        let items = plan.items().len();
        self.add(
            "every_item_was_used",
            plan.items_covered() == items,
            format!("{items} 个事项全部办理"),
            format!("cases ran through all {items} items"),
        );

        let expected: BTreeSet<&str> =
            plan.cases().iter().map(|case| case.id.as_str()).chain([story.case.as_str()]).collect();
        let mut lost = Vec::new();
        for desk in [yueyang, xianning] {
            let ids = desk.case_ids().await?;
            let held: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
            let missing = expected.symmetric_difference(&held).map(|id| format!("{}: {id}", desk.place.code));
            lost.extend(missing);
            if held.len() != ids.len() {
                lost.push(format!("{}: a case is listed twice", desk.place.code));
            }
        }
        let (mut unfinished, mut doubled, mut different) = (Vec::new(), Vec::new(), Vec::new());
        if lost.is_empty() {
            let here = views(yueyang, plan).await?;
            let there = views(xianning, plan).await?;
            for case in plan.cases() {
                let (Some(here), Some(there)) = (here.get(&case.id), there.get(&case.id)) else {
                    lost.push(case.id.clone());
                    continue;
                };
                for (place, view) in [(&YUEYANG, here), (&XIANNING, there)] {
                    judge(case, place, view, &mut unfinished, &mut doubled);
                }
                if essence(here) != essence(there) {
                    different.push(case.id.clone());
                }
            }
        }
        let (sent, planned) = (report.messages, plan.messages() as u64);
        if sent != planned {
            doubled.push(format!("the channels gained {sent} entries for {planned} messages"));
        }
        lost.append(&mut unfinished);
        let all = plan.cases().len();
        for (name, faults, zh, en) in [
            (
                "nothing_lost",
                lost,
                format!("{all} 件办件两侧齐全，均已到终态"),
                format!("all {all} cases are on both nodes and ended as planned"),
            ),
            (
                "nothing_doubled",
                doubled,
                "每一环节恰好生效一次".to_owned(),
                "each step took effect exactly once".to_owned(),
            ),
            (
                "cases_equal_on_both_nodes",
                different,
                "每件办件在两节点完全一致".to_owned(),
                "both nodes remember every case alike".to_owned(),
            ),
            (
                "nothing_refused",
                tally.refusals(),
                "负载中没有一条消息被拒绝".to_owned(),
                "no message of the load was refused".to_owned(),
            ),
        ] {
            self.add(name, faults.is_empty(), zh, en).found = shown(&faults);
        }
        Ok(())
    }

    /// The proof and its forgery, judged by what a folder of trust anchors says and by nothing else.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn proof(
        &mut self,
        bundle: &[u8],
        trust: &Path,
        story: &StoryReport,
    ) -> Result<ProofReport, DemoError> {
        let anchors = TrustStore::load(trust)
            .map_err(|error| DemoError::Broken(format!("{}: {error}", trust.display())))?;
        let verified = proof::verify(bundle, &anchors);
        let right = verified.as_ref().is_ok_and(|findings| {
            findings.message_id.0[..] == story.grant[..] && findings.case_id.as_deref() == Some(&story.case)
        });
        self.add(
            "proof_verified_offline",
            right,
            "凭公钥离线验证证明通过",
            "the proof verifies offline with public keys alone",
        )
        .found = verified.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let forged = forge(bundle).map(|forged| proof::verify(&forged, &anchors));
        let refused = forged.and_then(Result::err).map(|refusal| refusal.code.code());
        self.add(
            "forgery_refused",
            refused.is_some(),
            "改动一个比特即被识破",
            "one flipped bit is found out",
        )
        .found = refused.unwrap_or_default().to_owned();
        let findings = verified.ok();
        Ok(ProofReport {
            bytes: bundle.len(),
            verified: right,
            forgery_refused_with: refused,
            proven_zh: findings.as_ref().map(|findings| findings.lines(true)).unwrap_or_default(),
            proven_en: findings.as_ref().map(|findings| findings.lines(false)).unwrap_or_default(),
        })
    }

    /// 对账.
    pub(super) fn reconciliation(&mut self, reply: &ReconcileRunReply) {
        let roots = reply.channels.len() == 2
            && reply.channels.iter().all(|channel| {
                channel.size > 0 && !channel.root_here.is_empty() && channel.root_here == channel.root_there
            });
        self.add("roots_equal", roots, "双向通道根值一致", "both channels have equal roots");
        let counts = reply.channels.iter().flat_map(|c| &c.kinds).all(|kind| kind.here == kind.there)
            && reply.states.iter().all(|state| state.here == state.there);
        self.add(
            "reconciled",
            reply.balanced && counts && reply.breaks.is_empty() && !reply.in_flight,
            "对账平衡：各类消息数、各状态办件数两侧相等",
            "reconciled: counts by kind and by state are equal on both sides",
        )
        .found = shown(&reply.breaks);
    }
}

/// What the proof amounted to.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct ProofReport {
    /// Length of the bundle.
    pub bytes: usize,
    /// Whether it verified.
    pub verified: bool,
    /// The code that the forged bundle was refused with.
    pub forgery_refused_with: Option<&'static str>,
    /// What it proves and what not, in Chinese.
    pub proven_zh: Vec<String>,
    /// The same in English.
    pub proven_en: Vec<String>,
}

/// The same bundle with one bit of the header flipped; `None` when it has no header.
fn forge(bundle: &[u8]) -> Option<Vec<u8>> {
    let mut json: serde_json::Value = serde_json::from_slice(bundle).ok()?;
    let header = json.get_mut("header")?;
    let mut bytes = BASE64.decode(header.as_str()?).ok()?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle)? ^= 1;
    *header = BASE64.encode(bytes).into();
    serde_json::to_vec(&json).ok()
}

/// Every case of the plan as a node sees it.
async fn views(desk: &Desk, plan: &Plan) -> Result<BTreeMap<String, CaseView>, DemoError> {
    let mut views = BTreeMap::new();
    let mut tasks: JoinSet<Result<CaseView, DemoError>> = JoinSet::new();
    let mut cases = plan.cases().iter();
    loop {
        while tasks.len() < ASKED_AT_ONCE
            && let Some(case) = cases.next()
        {
            let (desk, id) = (desk.clone(), case.id.clone());
            tasks.spawn(async move { desk.case(&id).await });
        }
        let Some(done) = tasks.join_next().await else { return Ok(views) };
        let view = done.unwrap_or_else(|panic| Err(DemoError::Broken(panic.to_string())))?;
        views.insert(view.case_id.clone(), view);
    }
}

/// Whether one node's case is what was planned.
fn judge(
    case: &PlannedCase,
    place: &Place,
    view: &CaseView,
    unfinished: &mut Vec<String>,
    doubled: &mut Vec<String>,
) {
    if view.state != case.course.final_state() {
        unfinished.push(format!("{}: {} is {}", place.code, case.id, view.state));
    }
    let (found, planned) = (kinds(view), sorted(case.course.acts()));
    if found != planned || view.steps.iter().any(|step| !step.note.is_empty()) {
        doubled.push(format!("{}: {} has steps {found:?}", place.code, case.id));
    }
    let messages: BTreeSet<_> = view.steps.iter().map(|step| &step.message_id).collect();
    if messages.len() != view.steps.len() {
        doubled.push(format!("{}: {} has a message twice", place.code, case.id));
    }
}

/// Names of the acts that crossed, sorted.
fn kinds(view: &CaseView) -> Vec<&str> {
    let mut kinds: Vec<_> =
        view.steps.iter().filter(|step| !step.local).map(|step| step.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds
}

fn sorted(acts: &[Kind]) -> Vec<&'static str> {
    let mut names: Vec<_> = acts.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names
}

/// A case without what may differ between two nodes: steps that never crossed.
fn essence(view: &CaseView) -> CaseView {
    let mut view = view.clone();
    view.steps.retain(|step| !step.local);
    view
}

fn shown(faults: &[String]) -> String {
    match faults.len() {
        0..=SHOWN => faults.join("; "),
        count => format!("{}; … ({count})", faults[..SHOWN].join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_bundle_differs_from_the_original_in_one_bit() {
        let bundle = serde_json::json!({ "header": BASE64.encode([0u8, 0, 0, 0]), "index": 3 }).to_string();
        let forged: serde_json::Value = serde_json::from_slice(&forge(bundle.as_bytes()).unwrap()).unwrap();
        assert_eq!(BASE64.decode(forged["header"].as_str().unwrap()).unwrap(), [0, 0, 1, 0]);
        assert_eq!(forged["index"], 3);
        assert!(forge(b"{}").is_none());
    }
}
