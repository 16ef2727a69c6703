//! Some seeds of the simulator, and that it is as repeatable as it says. The gate runs more of them in a
//! release build (`.ci/run`).
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use simulation::{campaign, simulate};

#[test]
fn the_same_seed_is_the_same_run_to_the_last_event_and_another_is_another() {
    let runs: Vec<_> = [1, 2].map(|seed| (simulate(seed, 15, false), simulate(seed, 15, true))).into();
    for (once, again) in &runs {
        assert_eq!((once.trace, once.events, once.millis), (again.trace, again.events, again.millis));
        assert_eq!((&once.violations, &once.faults), (&again.violations, &again.faults));
        assert!(once.events > 500, "something happens in seed {}: {}", once.seed, once.events);
    }
    assert_ne!(runs[0].0.trace, runs[1].0.trace);
}

#[test]
fn a_few_seeds_with_all_their_misfortunes_are_clean() {
    let found = campaign(6, 1, 30, 2, false, 3);
    let told: Vec<_> = found.failed.iter().map(|failed| (failed.seed, &failed.violations)).collect();
    assert!(told.is_empty(), "simulate --seconds 30: {told:?}");
    assert!(found.faults.len() >= 8, "misfortunes of many kinds happened: {:?}", found.faults);
}
