//! The probes' answers: each check with its state and, where one failed, a stable code and what to do,
//! in both languages.

use gateway::health::ready::{Check, live, ready};
use serde_json::{Value, json};

use super::Observed;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether all checks hold.
    pub well: bool,
    /// The body.
    pub body: Value,
}

/// `/livez`: whether the process should run on.
pub fn livez(observed: &Observed) -> Answer {
    answer(observed, "live", &live(&observed.facts()))
}

/// `/readyz`: whether the node may be given work.
pub fn readyz(observed: &Observed) -> Answer {
    answer(observed, "ready", &ready(&observed.facts(), observed.clock.now()))
}

fn answer(observed: &Observed, question: &str, checks: &[Check]) -> Answer {
    let well = checks.iter().all(|check| check.refusal.is_none());
    let checks: Vec<Value> = checks
        .iter()
        .map(|check| match &check.refusal {
            None => json!({"check": check.name, "ok": true}),
            Some(refusal) => json!({
                "check": check.name,
                "ok": false,
                "code": refusal.code.code(),
                "fault": refusal.code.fault().name(),
                "detail": refusal.detail,
                "message_zh": refusal.code.zh(),
                "message_en": refusal.code.en(),
            }),
        })
        .collect();
    let body = json!({question: well, "node": observed.node.as_str(), "checks": checks});
    Answer { well, body }
}
