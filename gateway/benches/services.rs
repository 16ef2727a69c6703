//! What the rules of the services cost: a rule of recognition, the clocks of a case, and the fold of a
//! million case events. `cargo bench -p gateway --bench services` measures; `cargo test -p gateway
//! --bench services` runs each once.

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::id::{LogPosition, MessageId, NodeId};
use gateway::service::agreement::{
    Binding, ClockRule, IssuerScope, Mode, RecognitionEffect, RecognitionRule,
};
use gateway::service::calendar::Calendar;
use gateway::service::case::{Application, Case, CaseEvent, CaseFact, CaseState, Written, fold};
use gateway::service::date::Date;
use gateway::service::deadline::{Limits, clocks};
use gateway::service::identity::CheckOutcome;
use gateway::service::licence::{LicenceAttestation, LicenceState};
use gateway::service::person::{Disclosed, Personal};
use gateway::service::recognition::{Bound, Outcome, ReasonCode, RecognitionRequest, evaluate};
use gateway::time::UnixMillis;
use std::hint::black_box;

/// 2026-11-23 in China.
const NOW: UnixMillis = UnixMillis(1_795_363_200_000);
/// Events of one case in the fold of a million.
const EVENTS: usize = 10;
const HOLDER: &str = "914306001860000001";

fn node(code: &str) -> NodeId {
    code.parse().expect("a division")
}

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

/// The facts of a case that was granted and closed.
fn facts() -> Vec<CaseFact> {
    let operator = || "W1".to_owned();
    let written =
        || Written { document_number: "受-1".into(), reason: "材料齐全".into(), operator: operator() };
    let application = Application {
        item: "KST071".into(),
        project_number: "P-1".into(),
        materials: Vec::new(),
        received: NOW,
        window: "A01".into(),
        operator: operator(),
        applicant_kind: "2".into(),
        walkthrough: false,
        mode: Some(Mode::ReceivedElsewhere),
        parent: None,
    };
    let events = [
        CaseEvent::Forwarded(application),
        CaseEvent::SignedFor { operator: operator() },
        CaseEvent::Accepted {
            document_number: "受-1".into(),
            promised_working_days: 10,
            operator: operator(),
        },
        CaseEvent::Reviewed { operator: operator() },
        CaseEvent::Supervised {
            reason: "请说明进度".into(),
            reply_within_working_days: 2,
            operator: operator(),
        },
        CaseEvent::SuperviseReplied { reply: "本周决定".into(), operator: operator() },
        CaseEvent::WithdrawalAsked { reason: "改在原地办理".into(), operator: operator() },
        CaseEvent::Granted(written()),
        CaseEvent::Closed { result: "6".into(), operator: operator() },
        CaseEvent::Suspended { reason: "迟到的环节".into(), operator: operator() },
    ];
    assert_eq!(events.len(), EVENTS);
    let author = |event: &CaseEvent| match event {
        CaseEvent::Forwarded(_) | CaseEvent::WithdrawalAsked { .. } | CaseEvent::Supervised { .. } => {
            node("421200")
        }
        _ => node("430600"),
    };
    events
        .into_iter()
        .enumerate()
        .map(|(index, event)| CaseFact {
            author: author(&event),
            position: LogPosition { epoch: 0, index: index as u64 },
            local: false,
            seen: LogPosition { epoch: 0, index: index as u64 },
            created: NOW.plus_millis(index as u64),
            committed: NOW,
            message_id: MessageId([index as u8; 16]),
            agreement: None,
            standard: None,
            event,
        })
        .collect()
}

fn folded(facts: &[CaseFact]) -> Case {
    fold(node("421200"), node("430600"), facts)
}

fn folding(c: &mut Criterion) {
    let facts = facts();
    assert_eq!(folded(&facts).state, CaseState::Closed);
    let mut group = c.benchmark_group("services");
    group.sample_size(10);
    group.bench_function("fold one million case events", |b| {
        b.iter(|| {
            for _ in 0..1_000_000 / EVENTS {
                black_box(folded(black_box(&facts)));
            }
        });
    });
    group.finish();
}

fn deadlines(c: &mut Criterion) {
    let case = folded(&facts()[..4]);
    let limits = Limits {
        clock_rule: ClockRule::AtSignFor,
        forward_working_days: 1,
        promised_working_days: 10,
        statutory_working_days: 20,
    };
    let calendar = Calendar::built_in();
    assert_eq!(clocks(&case, limits, calendar, NOW).len(), 1);
    let mut group = c.benchmark_group("services");
    group.bench_function("clocks of a case", |b| {
        b.iter(|| clocks(black_box(&case), limits, calendar, NOW));
    });
    group.bench_function("one deadline", |b| {
        let begin = date("2026-11-02");
        b.iter(|| calendar.due(black_box(begin), black_box(20)));
    });
    group.finish();
}

fn recognition(c: &mut Criterion) {
    let (licence, kind) = ("1.2.156.3005.2.T.I.S.001.X", "T");
    let rule = RecognitionRule {
        id: "rule-1".into(),
        items: vec!["*".into()],
        material: "M01".into(),
        licence_type_codes: vec![kind.into()],
        issuers: vec![IssuerScope::Division("43".into())],
        max_age_days: None,
        min_remaining_days: 30,
        fields_required: vec!["address".into()],
        binding: Binding::Applicant,
        effect: RecognitionEffect::WaiveSubmission,
    };
    let request = RecognitionRequest {
        rule: rule.id.clone(),
        material: "M01".into(),
        licence_id: licence.into(),
        type_code: kind.into(),
        holder_code: Personal::new(HOLDER),
        purpose: "跨省通办".into(),
        operator: "W1".into(),
        fields: vec!["address".into()],
        authorisation: String::new(),
        deadline: None,
    };
    let attestation = LicenceAttestation {
        query: MessageId([7; 16]),
        asked_by: node("430600"),
        answered_by: node("421200"),
        purpose: request.purpose.clone(),
        business_code: "CASE-1".into(),
        licence_id: licence.into(),
        type_code: kind.into(),
        issuer_code: "11430600MBT006018D".into(),
        holder_code: Personal::new(HOLDER),
        issued: date("2025-01-01"),
        valid_until: Some(date("2030-01-01")),
        state: LicenceState::Valid,
        reason: ReasonCode::R00,
        fields: Disclosed([("address".to_owned(), "岳阳楼区".to_owned())].into()),
        source_time: NOW,
    };
    let persons = Bound { applicant: HOLDER, agent: None };
    let decide = || evaluate(Some(&rule), &request, Some(&attestation), CheckOutcome::Valid, persons, NOW);
    assert_eq!(decide().outcome, Outcome::Recognised, "{:?}", decide());
    let mut group = c.benchmark_group("services");
    group.bench_function("evaluate a recognition rule", |b| b.iter(|| black_box(decide())));
    group.finish();
}

criterion_group!(services, folding, deadlines, recognition);
criterion_main!(services);
