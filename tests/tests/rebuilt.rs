//! Invariants 4 and 9: the journal is enough, and what a node loses its partner gives back.

use std::path::{Path, PathBuf};
use tests::city::tongban;
use tests::documents::{accept, case, forward, sign_for};
use tests::{Rig, XIANNING, YUEYANG, copy_folder, eventually};

/// Forwards cases and has each signed for.
async fn work(rig: &Rig, serials: std::ops::Range<u32>) {
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    for serial in serials {
        let id = case(serial);
        window.act(XIANNING, "case.forward", &id, &forward()).await.expect("taken");
        eventually("the case to arrive", async || approval.case(&id).await.is_some()).await;
        approval.act(YUEYANG, "case.signfor", &id, &sign_for()).await.expect("taken");
    }
}

async fn states(rig: &Rig) -> Vec<(String, String)> {
    let mut both = Vec::new();
    for city in [&rig.yueyang, &rig.xianning] {
        let mut cases = city.desk().await.cases().await;
        cases.sort_by(|one, other| one.case_id.cmp(&other.case_id));
        both.push(cases.into_iter().map(|case| (case.case_id, case.state)).collect::<Vec<_>>());
    }
    assert_eq!(both[0], both[1], "both nodes remember the cases alike");
    both.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_index_is_made_anew_from_the_journal() {
    let mut rig = Rig::agreed().await;
    work(&rig, 0..10).await;
    let before = (rig.balanced().await, states(&rig).await);
    for round in 0..2 {
        let city = if round == 0 { &mut rig.xianning } else { &mut rig.yueyang };
        city.kill();
        std::fs::remove_dir_all(city.data().join("index")).expect("the index is deleted");
        city.start().await;
        rig.meet().await;
        assert_eq!((rig.balanced().await, states(&rig).await), before);
    }
    work(&rig, 10..12).await;
    rig.balanced().await;
    assert_eq!(states(&rig).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_restored_from_a_backup_made_while_it_ran_recovers_from_its_partner() {
    for victim in [YUEYANG, XIANNING] {
        let mut rig = Rig::agreed().await;
        work(&rig, 0..5).await;
        let backup = rig.path("backup");
        let data = if victim == YUEYANG { rig.yueyang.data() } else { rig.xianning.data() };
        copy_folder(&data, &backup); // while it runs
        work(&rig, 5..15).await;
        let before = (rig.balanced().await, states(&rig).await);
        let city = if victim == YUEYANG { &mut rig.yueyang } else { &mut rig.xianning };
        city.kill();
        std::fs::remove_dir_all(&data).expect("the data folder is deleted");
        copy_folder(&backup, &data);
        city.start().await;
        city.logs("own entries recovered from the peer").await;
        assert!(city.log().contains("the signing key may be stolen"), "an alarm was raised");
        rig.meet().await;
        assert_eq!((rig.balanced().await, states(&rig).await), before);
        // A business system that says again what it said gets the original answers.
        let mut desk = rig.xianning.desk().await;
        let again = desk.act(YUEYANG, "case.signfor", &case(12), &sign_for()).await.expect("taken");
        assert!(victim == YUEYANG || again.duplicate);
        // And the work goes on.
        desk.act(YUEYANG, "case.accept", &case(12), &accept()).await.expect("taken");
        let (size, _) = rig.balanced().await[1].clone();
        assert_eq!(size, before.0[1].0 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_whole_store_gets_it_back() {
    let mut rig = Rig::agreed().await;
    work(&rig, 0..8).await;
    let before = (rig.balanced().await, states(&rig).await);
    rig.yueyang.kill();
    std::fs::remove_dir_all(rig.yueyang.data()).expect("the data folder is deleted");
    rig.yueyang.start().await;
    rig.meet().await;
    assert_eq!((rig.balanced().await, states(&rig).await), before);
    work(&rig, 8..10).await;
    rig.balanced().await;
}

fn segment(data: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = std::fs::read_dir(data.join("journal"))
        .expect("a journal")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tbj"))
        .collect();
    files.sort();
    files.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_named_not_opened_and_repaired_with_the_partners_help() {
    let mut rig = Rig::agreed().await;
    work(&rig, 0..10).await;
    let before = (rig.balanced().await, states(&rig).await);
    rig.xianning.kill();
    let file = segment(&rig.xianning.data());
    let mut bytes = std::fs::read(&file).expect("a segment");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("not empty");
    bytes[used / 2] ^= 0x10;
    std::fs::write(&file, &bytes).expect("a segment is written");

    let (exit, said) = rig.xianning.fails_to_start();
    assert_eq!(exit, 8, "{said}");
    for part in ["store.damaged", ".tbj", "at byte", "tongban store repair"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    let config = rig.xianning.config();
    let config = config.to_string_lossy();
    let plan = tongban(&["store", "repair", "--config", &config, "--lang", "en"]);
    assert_eq!(std::fs::read(&file).expect("a segment"), bytes, "a dry run changes nothing");
    assert_eq!(rig.xianning.fails_to_start().0, 8);
    let done = tongban(&["store", "repair", "--config", &config, "--apply", "--lang", "en"]);
    assert!(done.status.success(), "{plan:?} {done:?}");
    rig.xianning.start().await;
    rig.meet().await;
    assert_eq!((rig.balanced().await, states(&rig).await), before);
}
