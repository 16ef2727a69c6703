//! The command line as a newcomer meets it.

use serde_json::Value;
use std::path::Path;
use std::process::Output;
use tests::Rig;
use tests::city::tongban;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).to_string_lossy().into_owned()
}

#[test]
fn every_identifier_of_the_fixture_is_judged_as_the_fixture_says() {
    let file = data("gateway/src/codes/data/id_vectors.csv");
    let output = tongban(&["codes", "check", "--file", &file]);
    assert!(output.status.success(), "{}", said(&output));
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_path(file).expect("a file").records().map(|row| row.expect("a row")).collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(&rows) {
        assert_eq!((line["kind"].as_str(), line["value"].as_str()), (Some(&row[0]), Some(&row[1])));
        assert_eq!(line["valid"].as_bool(), row[2].parse().ok(), "{row:?}");
        let codes = row[3].split(['(', ' ']).next().unwrap_or_default();
        let reason = line["reason"].as_str().unwrap_or_default();
        assert!(codes.split('/').any(|code| code == reason), "{reason} for {row:?}");
    }
}

#[test]
fn a_typo_in_the_configuration_names_the_nearest_setting_before_anything_opens() {
    let rig = Rig::new();
    let config = rig.yueyang.config();
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace("data_dir", "data_dri")).expect("written");
    let (exit, told) = rig.yueyang.fails_to_start();
    assert_eq!(exit, 3);
    assert!(told.contains("data_dri") && told.contains("data_dir") && told.contains(":2"), "{told}");
    let file = config.to_string_lossy();
    let chinese = said(&tongban(&["config", "check", &file, "--lang", "zh"]));
    assert!(chinese.contains("最接近的是 data_dir"), "{chinese}");
    assert!(!rig.yueyang.data().exists(), "nothing was made");
}

#[test]
fn a_key_that_others_may_read_is_refused_before_anything_opens() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let key = rig.yueyang.path("keys/signing.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let (exit, told) = rig.yueyang.fails_to_start();
    assert_eq!(exit, 3);
    assert!(told.contains("trust.key_readable_by_others"), "{told}");
}

#[test]
fn help_works_everywhere_and_a_wrong_word_exits_with_2() {
    for words in [&["--help"][..], &["serve", "--help"], &["case", "submit", "--help"], &["demo", "--help"]] {
        assert!(tongban(words).status.success());
    }
    assert_eq!(tongban(&["srve"]).status.code(), Some(2));
    assert_eq!(tongban(&["status", "--socket", "/nonexistent.sock"]).status.code(), Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pilot_nodes_do_a_case_by_hand_as_the_guide_says() {
    let rig = Rig::running().await;
    let (window, approval) = (rig.yueyang.config(), rig.xianning.config());
    let (window, approval) = (window.to_string_lossy(), approval.to_string_lossy());
    let run = |words: &[&str], config: &str| {
        let output = tongban(&[words, &["--config", config, "--lang", "zh"]].concat());
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let sample = |name: &str| data(&format!("node/docs/samples/{name}.json"));
    run(&["standard", "publish", "--to", "430600", "--file", &sample("standard")], &approval);
    run(&["agreement", "sign", "--to", "421200", "--file", &sample("agreement")], &window);
    run(&["agreement", "sign", "--to", "430600", "--file", &sample("agreement")], &approval);
    tests::eventually("the documents to take effect", async || {
        let mut both = Vec::new();
        for city in [&rig.yueyang, &rig.xianning] {
            both.push(city.desk().await.documents().await.iter().filter(|held| held.effective).count());
        }
        both == [2, 2]
    })
    .await;
    run(&["licence", "put", "--file", &sample("licence")], &window);
    run(&["case", "submit", "--file", &sample("case")], &window);
    let mut desk = rig.xianning.desk().await;
    tests::eventually("the case to arrive", async || desk.cases().await.len() == 1).await;
    let case = desk.cases().await.remove(0).case_id;

    let denied = tongban(&["case", "act", &case, "grant", "--document-number", "x", "--config", &window]);
    assert_eq!(denied.status.code(), Some(6), "{}", said(&denied));
    assert!(said(&denied).contains("case.wrong_role"));
    run(&["case", "act", &case, "signfor"], &approval);
    let accept =
        ["case", "act", &case, "accept", "--document-number", "咸受1", "--promised-working-days", "10"];
    run(&accept, &approval);
    run(&["case", "act", &case, "review"], &approval);
    let shown = run(&["case", "show", &case], &approval);
    assert!(shown.contains("审查中"), "{shown}");
    assert!(run(&["case", "list"], &window).contains(&case));
    assert!(run(&["channel", "list"], &window).contains("430600→421200"));
    assert!(
        run(&["channel", "show", "430600>421200"], &window).contains("tongban.channel/v1/430600/421200/0")
    );
    let licence: Value =
        serde_json::from_str(&std::fs::read_to_string(sample("licence")).expect("a sample")).expect("JSON");
    let query = [
        &["licence", "query", "--to", "430600", "--id", licence["id"].as_str().expect("an id")][..],
        &["--purpose", "跨省通办", "--org-name", "咸宁市行政审批局", "--user-name", "张三"],
        &["--item-name", "食品经营许可", "--item-code", "KST071", "--business-code", &case],
        &["--field", "holder_name"],
    ]
    .concat();
    assert!(run(&query, &approval).contains("R00"));
    rig.balanced().await;
    let told = run(&["reconcile", "run", "--peer", "421200"], &window);
    assert!(told.contains("对账平衡"), "{told}");

    // The same for readers of English, and for programs.
    let english = |words: &[&str]| {
        let output = tongban(&[words, &["--config", &window, "--lang", "en"]].concat());
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let roots = english(&["reconcile", "run", "--peer", "421200"]);
    assert!(roots.contains("Balanced.") && !roots.contains("state of cases"), "{roots}");
    let counted = english(&["reconcile", "run", "--peer", "421200", "--rehash"]);
    assert!(counted.contains("Balanced.") && counted.contains("state of cases"), "{counted}");
    assert!(english(&["channel", "list"]).contains("running"));
    assert!(english(&["case", "list"]).starts_with("case"));
    let shown: Value = serde_json::from_str(&english(&["case", "show", &case, "--json"])).expect("JSON");
    assert_eq!((&shown["state"], &shown["item"]), (&"under_review".into(), &"KST071".into()));
}
