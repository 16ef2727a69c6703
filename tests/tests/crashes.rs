//! The promises hold when processes are killed at any moment (invariants 1, 2, 4): the short run of
//! `cargo run -p tests --release -- crashes`.

use tests::crashes::{Plan, run};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_kill_interrupts_nothing_is_lost_doubled_or_unequal() {
    let summary = run(Plan { kills: 22, from: 1 }).await.unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert!(summary.killed() >= 22 && summary.checked.acknowledged > 100, "{summary:?}");
    assert!(summary.checked.files > 0 && summary.checked.receipts > 0, "{summary:?}");
}
