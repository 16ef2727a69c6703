//! Every system of cross-province handling that the demo shows, with two real node processes: each
//! scenario states what must hold, and all of it held. The scenarios are the demo's.

use serde_json::Value;
use std::collections::BTreeSet;
use tests::city::tongban;

#[test]
fn every_scenario_holds_what_it_promises() {
    let listed = tongban(&["demo", "--scenario", "list", "--json"]);
    assert_eq!(listed.status.code(), Some(0));
    let lines = String::from_utf8(listed.stdout).expect("JSON lines");
    let names: BTreeSet<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON object")["name"].to_string())
        .collect();
    assert!(names.len() >= 12, "{names:?}");

    let output = tongban(&["demo", "--scenario", "all", "--json", "--lang", "en"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let played = summary["scenarios"].as_object().expect("scenarios");
    let ran: BTreeSet<String> = played.keys().map(|name| Value::from(name.as_str()).to_string()).collect();
    assert_eq!(ran, names, "every listed scenario ran");
    for (name, checks) in played {
        let checks = checks.as_array().expect("checks");
        assert!(!checks.is_empty(), "{name} checks something");
        for check in checks {
            assert_eq!(check["held"], true, "{name}: {}", check["what"]);
        }
    }
}

#[test]
fn an_unknown_scenario_is_refused_by_name() {
    let output = tongban(&["demo", "--scenario", "no-such", "--lang", "en"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such"));
}
