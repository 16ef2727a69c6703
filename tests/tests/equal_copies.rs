//! Invariants 2, 4 and 9 under load: whatever is done to a node in the middle of it, both copies of both
//! channels end equal and every case is closed once. The load, its two business systems and the
//! checks are the demo's; its exit code says whether every one of them held.

use serde_json::Value;
use tests::city::tongban;

fn demo(fault: &str, victim: &str, at: &str) {
    let arguments = [
        "demo", "--json", "--cases", "120", "--fault", fault, "--victim", victim, "--at", at, "--lang", "en",
    ];
    let output = tongban(&arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{fault} {victim} at {at}: {told}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let held = ["killed_in_mid_delivery", "nothing_lost", "nothing_doubled", "roots_equal", "reconciled"];
    for name in held {
        assert_eq!(summary["checks"][name], true, "{name} in {}", summary["checks"]);
    }
    for channel in summary["channels"].as_array().expect("channels") {
        assert_eq!(channel["root_here"], channel["root_there"]);
    }
}

#[test]
fn killing_the_competent_place_in_mid_delivery_loses_and_doubles_nothing() {
    demo("kill", "421200", "20");
    demo("kill", "421200", "80");
}

#[test]
fn killing_the_receiving_place_in_mid_delivery_loses_and_doubles_nothing() {
    demo("kill", "430600", "20");
    demo("kill", "430600", "80");
}

#[test]
fn an_index_deleted_in_mid_delivery_is_made_anew_and_loses_nothing() {
    demo("index", "421200", "50");
    demo("index", "430600", "50");
}

#[test]
fn a_data_folder_restored_from_a_copy_made_while_it_ran_is_completed_by_the_partner() {
    demo("restore", "421200", "50");
    demo("restore", "430600", "50");
}
