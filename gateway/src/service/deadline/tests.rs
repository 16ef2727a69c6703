//! Clocks of a case at the days that matter.

use super::super::case::tests::{application, event};
use super::super::case::{Act, Application, CaseEvent, CaseFact, fold};
use super::*;
use crate::id::{LogPosition, MessageId};

fn at(day: &str) -> UnixMillis {
    day.parse::<Date>().unwrap().start().plus_millis(10 * 3_600_000)
}

fn receiving() -> NodeId {
    "430600".parse().unwrap()
}

fn competent() -> NodeId {
    "421200".parse().unwrap()
}

const LIMITS: Limits = Limits {
    clock_rule: ClockRule::AtSignFor,
    forward_working_days: 1,
    promised_working_days: 10,
    statutory_working_days: 20,
};

/// A case to which these acts happened on these days; the application was received on 2026-11-02.
fn case(acts: &[(&str, &str)]) -> Case {
    let events = acts.iter().map(|(name, day)| (event(Act::named(name).unwrap()), *day)).collect();
    case_of(events)
}

fn case_of(events: Vec<(CaseEvent, &str)>) -> Case {
    let facts: Vec<_> = events
        .into_iter()
        .enumerate()
        .map(|(index, (event, day))| {
            let author = match event.act().owner() {
                crate::id::Owner::Competent => competent(),
                _ => receiving(),
            };
            let event = match event {
                CaseEvent::Forwarded(_) => {
                    CaseEvent::Forwarded(Application { received: at("2026-11-02"), ..application() })
                }
                other => other,
            };
            CaseFact {
                author,
                position: LogPosition { epoch: 0, index: index as u64 },
                local: false,
                seen: LogPosition { epoch: 0, index: index as u64 },
                created: at(day),
                committed: at(day),
                message_id: MessageId([index as u8; 16]),
                agreement: None,
                standard: None,
                event,
            }
        })
        .collect();
    fold(receiving(), competent(), &facts)
}

fn first(case: &Case, limits: Limits, day: &str) -> (ClockName, String, i64, Option<AlertLevel>) {
    let clock = clocks(case, limits, Calendar::built_in(), at(day)).remove(0);
    (clock.name, clock.due.unwrap().to_string(), clock.left.unwrap(), clock.level)
}

const TO_REVIEW: &[(&str, &str)] = &[
    ("case.forward", "2026-11-02"),
    ("case.signfor", "2026-11-03"),
    ("case.accept", "2026-11-04"),
    ("case.review", "2026-11-05"),
];

#[test]
fn a_decision_is_warned_about_then_yellow_then_red() {
    let case = case(TO_REVIEW);
    // promised: ten working days from 4 November; by law: twenty
    for (day, left, level) in [
        ("2026-11-05", 9, None),
        ("2026-11-15", 3, None),
        ("2026-11-16", 2, Some(AlertLevel::Warning)),
        ("2026-11-18", 0, Some(AlertLevel::Warning)),
        ("2026-11-19", -1, Some(AlertLevel::Yellow)),
        ("2026-12-02", -10, Some(AlertLevel::Yellow)),
        ("2026-12-03", -11, Some(AlertLevel::Red)),
    ] {
        let expected = (ClockName::Decide, "2026-11-18".to_owned(), left, level);
        assert_eq!(first(&case, LIMITS, day), expected, "{day}");
    }
}

#[test]
fn the_five_days_start_where_the_agreement_says() {
    let case = case(&[("case.forward", "2026-11-03"), ("case.signfor", "2026-11-05")]);
    for (rule, due) in [
        (ClockRule::AtReceipt, "2026-11-09"),
        (ClockRule::AtForward, "2026-11-10"),
        (ClockRule::AtSignFor, "2026-11-12"),
    ] {
        let limits = Limits { clock_rule: rule, ..LIMITS };
        assert_eq!(first(&case, limits, "2026-11-06").1, due, "{rule:?}");
        let deemed = |day| is_deemed_accepted(&case, limits, Calendar::built_in(), at(day)).unwrap();
        assert!(!deemed(due), "{rule:?}: on the last day there is still time");
        assert!(deemed("2026-11-13"), "{rule:?}");
    }
    let unsigned = self::case(&[("case.forward", "2026-11-03")]);
    assert!(accept_started(&unsigned, ClockRule::AtSignFor).is_none());
    assert!(accept_started(&unsigned, ClockRule::AtReceipt).is_some());
}

#[test]
fn a_supplement_starts_the_five_days_anew() {
    let case = case(&[
        ("case.forward", "2026-11-03"),
        ("case.signfor", "2026-11-03"),
        ("case.supplement.request", "2026-11-04"),
        ("case.supplement.submit", "2026-11-11"),
    ]);
    assert_eq!(first(&case, LIMITS, "2026-11-12").1, "2026-11-18");
    assert!(!is_deemed_accepted(&case, LIMITS, Calendar::built_in(), at("2026-11-18")).unwrap());
}

#[test]
fn a_special_procedure_stops_the_clock_and_a_longer_term_adds_to_it() {
    let mut acts = TO_REVIEW.to_vec();
    acts.push(("case.special.begin", "2026-11-09"));
    let paused = clocks(&case(&acts), LIMITS, Calendar::built_in(), at("2026-12-28")).remove(0);
    assert!(paused.paused && paused.level.is_none(), "{paused:?}");
    acts.push(("case.special.end", "2026-11-16"));
    // 10 to 16 November are five working days
    assert_eq!(first(&case(&acts), LIMITS, "2026-11-17").1, "2026-11-25");

    let longer = CaseEvent::SpecialBegun {
        special: SpecialKind::Extension,
        procedure: "延长审批".into(),
        reason: "案情复杂".into(),
        approver: "L9".into(),
        working_days: 5,
        operator: "W1".into(),
    };
    let mut events: Vec<_> =
        TO_REVIEW.iter().map(|(name, day)| (event(Act::named(name).unwrap()), *day)).collect();
    events.push((longer, "2026-11-09"));
    let clock = clocks(&case_of(events), LIMITS, Calendar::built_in(), at("2026-11-17")).remove(0);
    assert_eq!((clock.working_days, clock.paused), (15, false));
    assert_eq!(clock.due.unwrap().to_string(), "2026-11-25");
}

#[test]
fn whoever_is_asked_has_to_answer_in_time() {
    let mut acts = TO_REVIEW.to_vec();
    acts.push(("case.supervise", "2026-11-09"));
    let clocks = clocks(&case(&acts), LIMITS, Calendar::built_in(), at("2026-11-16"));
    let reply = clocks.iter().find(|clock| clock.name == ClockName::SuperviseReply).unwrap();
    assert_eq!((reply.owner, reply.level), (competent(), Some(AlertLevel::Yellow)));
    assert_eq!(clocks[0].name, ClockName::SuperviseReply, "the most urgent first");
}

#[test]
fn a_year_that_was_not_announced_has_no_answer() {
    let mut acts = TO_REVIEW[..3].to_vec();
    acts[2].1 = "2026-12-28";
    let clock = clocks(&case(&acts), LIMITS, Calendar::built_in(), at("2026-12-29")).remove(0);
    assert_eq!((clock.due, clock.level), (Err(UnknownYear(2027)), None));
}

#[test]
fn what_has_certainly_passed_has_passed_by_every_calendar() {
    let started = at("2026-11-02");
    assert!(!certainly_passed(started, 5, at("2026-11-07")));
    assert!(certainly_passed(started, 5, at("2026-11-08")));
    let mut day = "2026-01-05".parse::<Date>().unwrap();
    while let Ok(due) = Calendar::built_in().due(day, 5) {
        assert!(certainly_passed(day.start(), 5, due.end()), "{day}");
        day = Date::of(day.end());
    }
}

#[test]
fn an_ended_or_suspended_case_has_no_clock() {
    for last in ["case.suspend", "case.void"] {
        let mut acts = TO_REVIEW.to_vec();
        acts.push((last, "2026-11-06"));
        assert!(clocks(&case(&acts), LIMITS, Calendar::built_in(), at("2026-12-20")).is_empty(), "{last}");
    }
}
