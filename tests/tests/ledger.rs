//! A business system's ledger against the books of two real nodes: every class of difference planted and
//! found, nothing invented, and what two runs make of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::path::Path;
use std::process::Output;

use gateway::time::UnixMillis;
use serde_json::Value;
use tests::city::{City, tongban};
use tests::desk::Desk;
use tests::documents::{ITEM, accept, case, forward, sign_for};
use tests::{Rig, XIANNING, YUEYANG, eventually};

const MAPPING: &str = "[columns]\ncase_id = \"办件编号\"\nstate = \"办理状态\"\nitem = \"事项编码\"\n\
    promised_working_days = \"承诺时限\"\nchanged = \"更新时间\"\n[states]\n\"已转递\" = \"forwarded\"\n\
    \"已签收\" = \"signed_for\"\n\"受理\" = \"accepted\"\n\"在办\" = [\"signed_for\", \"accepted\"]\n";

fn run(city: &City, folder: &Path, date: &str) -> (i32, Value) {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let output = tongban(&[
        "--config",
        &text(&city.config()),
        "--json",
        "reconcile",
        "ledger",
        "--peer",
        XIANNING,
        "--runs",
        &text(&folder.join("runs")),
        "--ledger",
        &text(&folder.join("ledger.csv")),
        "--mapping",
        &text(&folder.join("mapping.toml")),
        "--date",
        date,
        "--timeout",
        "2",
    ]);
    (output.status.code().unwrap(), result(&output))
}

fn result(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn ask(city: &City, folder: &Path, words: &[&str]) -> Output {
    let (config, runs) = (city.config(), folder.join("runs"));
    let mut arguments = vec!["--config", config.to_str().unwrap(), "--lang", "zh", "reconcile"];
    arguments.extend_from_slice(words);
    arguments.extend(["--peer", XIANNING, "--runs", runs.to_str().unwrap()]);
    tongban(&arguments)
}

/// Forwards a case and waits for its receipt.
async fn forwarded(desk: &mut Desk, serial: u32) {
    let reply = desk.act(XIANNING, "case.forward", &case(serial), &forward()).await.unwrap();
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
}

async fn acted(desk: &mut Desk, serial: u32, kind: &str, payload: impl prost::Message) {
    let reply = desk.act(YUEYANG, kind, &case(serial), &payload).await.unwrap();
    assert!(desk.receipt(YUEYANG, &reply.message_id).await.receipted);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_difference_is_found_in_its_class_and_a_second_day_makes_it_a_break() {
    let mut rig = Rig::agreed().await;
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    for serial in 1..=9 {
        forwarded(&mut window, serial).await;
    }
    for serial in 1..=4 {
        acted(&mut approval, serial, "case.signfor", sign_for()).await;
    }
    for serial in 1..=2 {
        acted(&mut approval, serial, "case.accept", accept()).await;
    }
    eventually("岳阳 to hear of the acceptance", async || {
        window.case(&case(2)).await.is_some_and(|case| case.state == "accepted")
    })
    .await;
    rig.balanced().await;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("mapping.toml"), MAPPING).unwrap();
    let row = |serial: u32, state: &str, item: &str, days: &str, changed: &str| {
        format!("{},某某,{state},{item},{days},{changed}\n", case(serial))
    };
    let heading = "办件编号,姓名,办理状态,事项编码,承诺时限,更新时间\n";
    let old = "2026-11-24 08:00:00";
    let good: Vec<String> = [
        row(1, "受理", ITEM, "10", old),
        row(2, "在办", ITEM, "10", old),
        row(3, "已签收", ITEM, "", old),
        row(4, "已签收", ITEM, "", old),
        row(5, "已转递", ITEM, "", old),
        row(6, "已转递", ITEM, "", old),
        row(7, "已转递", ITEM, "", old),
        row(8, "已转递", ITEM, "", old),
        row(9, "已转递", ITEM, "", old),
    ]
    .into();
    let write =
        |rows: &[String]| fs::write(folder.join("ledger.csv"), heading.to_owned() + &rows.concat()).unwrap();

    // Equal books balance, in all three.
    write(&good);
    let (code, found) = run(&rig.yueyang, folder, "2026-11-24");
    assert_eq!((code, &found["agreed"], &found["partner"]), (0, &9.into(), &"equal".into()), "{found}");

    // One difference of each class.
    let mut bad = good.clone();
    bad[0] = row(1, "受理", ITEM, "15", old); // terms
    bad[2] = row(3, "已转递", ITEM, "", old); // state
    bad[4] = row(5, "已转递", "KST001", "", old); // content
    bad.remove(5); // case 6: only in the channel
    bad.push(row(77, "已转递", ITEM, "", old)); // only in the ledger
    bad.push(row(7, "已转递", ITEM, "", old)); // twice
    let future = UnixMillis(tests::now_ms() as u64 + 3_600_000).0.to_string();
    bad.push(row(78, "已转递", ITEM, "", &future)); // younger than the cut-off
    write(&bad);
    let (code, found) = run(&rig.yueyang, folder, "2026-11-25");
    let counts = serde_json::json!({
        "ledger_only": 1, "channel_only": 1, "state": 1, "terms": 1, "content": 1, "duplicate": 1, "late": 1,
    });
    assert_eq!((code, &found["counts"]), (11, &counts), "{found}");
    assert_eq!((&found["breaks"], &found["suspected"], &found["passing"]), (&0.into(), &6.into(), &1.into()));

    // The partner is away, and a case is on its way: it is in flight, and the third book is not claimed.
    rig.xianning.kill();
    window.act(XIANNING, "case.forward", &case(10), &forward()).await.unwrap();
    bad.push(row(10, "已转递", ITEM, "", old));
    bad[2] = good[2].clone(); // and one difference was mended
    write(&bad);
    let (code, found) = run(&rig.yueyang, folder, "2026-11-26");
    assert_eq!((code, &found["breaks"], &found["cleared"]), (10, &5.into(), &1.into()), "{found}");
    assert_eq!(found["counts"]["in_flight"], 1, "{found}");
    assert!(found["partner"]["not_compared"].is_string(), "{found}");

    // What people read: the history, one run, one finding.
    let history = ask(&rig.yueyang, folder, &["history"]);
    let history = String::from_utf8(history.stdout).unwrap();
    assert!(["2026-11-24", "2026-11-25", "2026-11-26"].iter().all(|day| history.contains(day)), "{history}");
    let report = folder.join("runs").join(XIANNING).join("2026-11-26");
    let stored: Value = serde_json::from_slice(&fs::read(report.join("run.json")).unwrap()).unwrap();
    let terms = stored["findings"].as_array().unwrap().iter().find(|one| one["class"] == "terms").unwrap();
    assert_eq!((&terms["first_seen"], &terms["age_days"]), (&"2026-11-25".into(), &1.into()));
    let explained = ask(&rig.yueyang, folder, &["explain", terms["id"].as_str().unwrap()]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains("15 ↔ 10") && explained.contains("受理") && explained.contains("平账"),
        "{explained}"
    );
    let page = fs::read_to_string(report.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains(&case(6)) && !page.contains("http://"), "{page}");
    assert!(!page.contains("某某") && fs::metadata(report.join("report.xlsx")).unwrap().len() > 4_000);
    let table = fs::read_to_string(report.join("report.csv")).unwrap();
    assert!(table.contains("promised_working_days,15,10"), "{table}");

    // The partner is back: nothing is left of the flight, and a mended ledger balances.
    rig.xianning.start().await;
    rig.meet().await;
    rig.balanced().await;
    let mut mended = good.clone();
    mended.push(row(10, "已转递", ITEM, "", old));
    write(&mended);
    let (code, found) = run(&rig.yueyang, folder, "2026-11-27");
    assert_eq!((code, &found["agreed"], &found["cleared"]), (0, &10.into(), &7.into()), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_read_is_named_by_line_and_leaves_no_run() {
    let rig = Rig::agreed().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("mapping.toml"), MAPPING).unwrap();
    fs::write(folder.join("ledger.csv"), "办件编号,办理状态,事项编码,承诺时限,更新时间\n1,受理,A,十天,\n")
        .unwrap();
    let ledger = folder.join("ledger.csv");
    let mapping = folder.join("mapping.toml");
    let words = ["ledger", "--ledger", ledger.to_str().unwrap(), "--mapping", mapping.to_str().unwrap()];
    let output = ask(&rig.yueyang, folder, &words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("第 2 行“承诺时限”列"), "{said}");
    let history = ask(&rig.yueyang, folder, &["history"]);
    assert_eq!(String::from_utf8(history.stdout).unwrap().lines().count(), 1, "headings alone");

    // Only one run at a time.
    fs::write(&ledger, "办件编号,办理状态,事项编码,承诺时限,更新时间\n").unwrap();
    let lock = fs::File::options().write(true).open(folder.join("runs").join(XIANNING).join("lock")).unwrap();
    lock.lock().unwrap();
    let output = ask(&rig.yueyang, folder, &words);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    drop(lock);
    assert_eq!(ask(&rig.yueyang, folder, &words).status.code(), Some(0));
}
