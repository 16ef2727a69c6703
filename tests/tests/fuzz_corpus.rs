//! Every parser over its seed corpus, and over a bounded number of seeded mutations of each seed: the same
//! functions that libFuzzer runs (`tests/fuzz/run`), on stable and on every push.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use tests::parsers::mutate::{Dice, mutate};
use tests::parsers::{ALL, Reach, folder, seeds};

/// Mutations of all seeds of one parser together; parsers of files take longer for each.
const MUTATIONS: usize = 5_000;
const MUTATIONS_OF_FILES: usize = 1_500;

#[test]
fn every_seed_and_its_mutations_keep_the_properties_of_their_parser() {
    let mut broken = Vec::new();
    for target in ALL {
        let seeds = seeds(target.name);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        let slow = ["journal", "blob", "trust", "crl", "chain", "bundle"].contains(&target.name);
        let mutations = if slow { MUTATIONS_OF_FILES } else { MUTATIONS };
        let started = std::time::Instant::now();
        for (path, bytes) in &seeds {
            let held = catch_unwind(AssertUnwindSafe(|| (target.check)(bytes)));
            if held.is_err() {
                broken.push(format!("{}: {}", target.name, path.display()));
            }
        }
        for seed in 0..mutations as u64 {
            let mut dice = Dice::new(seed);
            let (_, one) = &seeds[dice.below(seeds.len())];
            let (_, other) = &seeds[dice.below(seeds.len())];
            let bytes = mutate(one, other, &mut dice);
            if catch_unwind(AssertUnwindSafe(|| (target.check)(&bytes))).is_err() {
                let shown: String = bytes.iter().take(4096).map(|byte| format!("{byte:02x}")).collect();
                broken.push(format!("{}: mutation {seed}: {shown}", target.name));
                break;
            }
        }
        println!("{}: {} seeds, {mutations} mutations, {:?}", target.name, seeds.len(), started.elapsed());
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_corpus_is_small_holds_no_private_key_and_every_folder_has_its_parser() {
    fn walk(folder: &std::path::Path, files: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk(&path, files);
            } else {
                files.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(&folder().join("corpus"), &mut files);
    walk(&folder().join("trust"), &mut files);
    assert!(files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 1 << 20, "below 1 MiB");
    for (path, bytes) in &files {
        let named = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
        assert!(!named(b"PRIVATE KEY"), "{} holds a key", path.display());
    }
    for entry in std::fs::read_dir(folder().join("corpus")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(tests::parsers::named(name.to_str().unwrap()).is_some(), "{name:?} belongs to no parser");
    }
    assert!(ALL.is_sorted_by_key(|target| target.reach), "nearest first");
    assert_eq!(ALL[0].reach, Reach::Anybody);
}
