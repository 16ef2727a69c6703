//! A business system's upload goes on where it was, whichever side dies in the middle of it.

use std::process::{Command, Stdio};
use tests::city::binary;
use tests::desk::code;
use tests::files::file;
use tests::{Rig, eventually};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_the_node_was_killed_in_the_middle_of_it() {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let content = file(41, 40 * MIB + 777);
    let mut desk = rig.yueyang.desk().await;
    assert_eq!(desk.upload_held("scan").await, 0);
    let sender = desk.half_upload_as("scan", &content[..30 * MIB]).await;
    eventually("most of the file to be written", async || desk.upload_held("scan").await > 20 * MIB as u64)
        .await;
    rig.yueyang.kill();
    drop(sender);

    rig.yueyang.start().await;
    let mut desk = rig.yueyang.desk().await;
    let held = desk.upload_held("scan").await;
    assert!(held > 20 * MIB as u64 && held <= 30 * MIB as u64, "{held}");
    // Elsewhere than where it ends nothing goes on, and nothing is lost by the question.
    let elsewhere = desk.upload_from("scan", &content, held - 65_536).await.expect_err("not there");
    assert_eq!(
        (elsewhere.code(), code(&elsewhere).as_str()),
        (tonic::Code::FailedPrecondition, "blob.upload_offset")
    );
    assert_eq!(desk.upload_held("scan").await, held);
    let whole = desk.upload_from("scan", &content, held).await.expect("taken");
    assert_eq!((whole.length, whole.duplicate), (content.len() as u64, false));
    assert!(desk.read(&whole.digest, 0).await.expect("it is here") == content);
    assert_eq!(desk.upload_held("scan").await, 0, "what is whole is no upload any more");
    assert_eq!(std::fs::read_dir(rig.yueyang.data().join("blobs/unfinished")).expect("a folder").count(), 0);
    // Another upload of the same content finds it.
    assert!(desk.upload(&content).await.expect("taken").duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rotted_in_an_unfinished_upload_is_asked_for_again() {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let content = file(42, 12 * MIB);
    let mut desk = rig.yueyang.desk().await;
    let sender = desk.half_upload_as("scan", &content[..8 * MIB]).await;
    eventually("most of it to be written", async || desk.upload_held("scan").await >= 6 * MIB as u64).await;
    let open = desk.upload_from("scan", &content, 6 * MIB as u64).await.expect_err("it is going on");
    assert_eq!(code(&open), "blob.upload_open");
    rig.yueyang.kill();
    drop(sender);
    let folder = rig.yueyang.data().join("blobs/unfinished");
    let files = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let part = files.into_iter().find(|path| path.extension().is_none()).expect("an unfinished upload");
    let mut rotten = std::fs::read(&part).expect("it is readable");
    rotten[3 * MIB + 5] ^= 1;
    std::fs::write(&part, rotten).expect("a disk rots");

    rig.yueyang.start().await;
    let mut desk = rig.yueyang.desk().await;
    let held = desk.upload_held("scan").await;
    assert!(held >= 6 * MIB as u64);
    let refused = desk.upload_from("scan", &content, held).await.expect_err("not all of it holds");
    assert_eq!(code(&refused), "blob.upload_offset");
    assert_eq!(desk.upload_held("scan").await, 3 * MIB as u64);
    let whole = desk.upload_from("scan", &content, 3 * MIB as u64).await.expect("taken");
    assert!(desk.read(&whole.digest, 0).await.expect("it is here") == content);
    // Under no name nothing is kept.
    let sender = desk.half_upload(&content[..2 * MIB]).await;
    drop(sender);
    let begun = desk.upload_from("other", &content, 0).await.expect("taken");
    assert!(begun.duplicate);
    eventually("nothing unfinished", async || std::fs::read_dir(&folder).expect("a folder").count() == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_was_killed_goes_on_when_it_is_put_again() {
    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let content = file(43, 96 * MIB + 3);
    let path = rig.path("scan.bin");
    std::fs::write(&path, &content).expect("a file is written");
    let socket = rig.yueyang.path("node.sock");
    let put = || {
        let mut put = Command::new(binary());
        put.arg("blob").arg("put").arg(&path).arg("--socket").arg(&socket).arg("--json");
        put
    };
    let folder = rig.yueyang.data().join("blobs/unfinished");
    let held = || {
        let files = std::fs::read_dir(&folder).expect("a folder").filter_map(Result::ok);
        let lists = files.filter(|entry| entry.path().extension().is_some());
        lists
            .filter_map(|entry| entry.metadata().ok())
            .map(|list| list.len() / 32 * 65_536)
            .max()
            .unwrap_or(0)
    };
    let mut first = put().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("tongban runs");
    eventually("a part of the file", async || held() > 8 * MIB as u64).await;
    first.kill().expect("a child can be killed");
    first.wait().expect("a child can be waited for");
    let before = held();
    assert!(before > 8 * MIB as u64, "killed in the middle, at {before}");

    let second = put().output().expect("tongban runs");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let said: serde_json::Value = serde_json::from_slice(&second.stdout).expect("one object");
    assert_eq!(said["bytes"], content.len() as u64);
    assert!(said["resumed_bytes"].as_u64().expect("a number") >= 8 * MIB as u64, "{said}");
    let digest = said["digest"].as_str().expect("a digest").to_owned();
    let mut desk = rig.yueyang.desk().await;
    assert!(desk.read(&digest, 0).await.expect("it is here") == content);
}
