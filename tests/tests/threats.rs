//! The threat model is kept honest: each test that it names is there, and each parser has its row.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../gateway/src/manual/threats.rs");

/// Words in backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match path.file_name().unwrap().to_str().unwrap() {
            "target" => {}
            _ if path.is_dir() => sources(&path, files),
            name if name.ends_with(".rs") => files.push(path),
            _ => {}
        }
    }
}

/// Names of all functions under `#[test]` or `#[tokio::test]`, and in `proptest!`.
fn tests_of_the_tree() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in ["proto", "certs", "gateway", "node", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) {
                names.insert(rest.split('(').next().unwrap().to_owned());
                marked = false;
            } else if !line.starts_with("#[") && !line.starts_with("//") {
                marked = false;
            }
        }
    }
    names
}

#[test]
fn every_test_that_the_threat_model_names_is_in_the_tree() {
    let tests = tests_of_the_tree();
    assert!(tests.contains("every_test_that_the_threat_model_names_is_in_the_tree"), "tests are found");
    // Names of tests are sentences; nothing else in backticks is lower case with two underscores.
    let is_name = |word: &&str| {
        word.matches('_').count() >= 2
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let named: Vec<_> = quoted(PAGE)
        .into_iter()
        .filter(is_name)
        .chain(quoted(PAGE).into_iter().filter(|word| *word == "nothing_is_resumed"))
        .collect();
    assert!(named.len() > 50, "the page names its tests: {}", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}");
}

#[test]
fn every_row_names_a_test_or_says_that_there_is_none() {
    for line in PAGE.lines().filter(|line| line.starts_with("//! | ")) {
        let cells: Vec<_> = line.trim_start_matches("//! |").trim_end_matches('|').split(" | ").collect();
        let [threat, _, proof] = cells[..] else { continue };
        let heading = threat.trim() == "threat";
        let tested = proof.contains('`') && proof.contains('_');
        let open = proof.contains("not defended") || proof.contains("not proven yet");
        assert!(heading || tested || open, "neither proven nor said to be open: {line}");
    }
}

#[test]
fn every_parser_has_its_row_in_the_threat_model() {
    let table = PAGE.split("# Every parser that somebody reaches").nth(1).expect("the table");
    let rows = quoted(table);
    for target in tests::parsers::ALL {
        assert!(rows.contains(target.name), "{} has no row", target.name);
    }
}

/// A node that an administrator started with an ordinary umask: other users of the machine read nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_stores_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    fn open_to_others(path: &Path, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.permissions().mode() & 0o077 == 0 {
                continue;
            }
            found.push(path.clone());
            open_to_others(&path, found);
        }
    }
    let mut rig = tests::Rig::new();
    // Made by hand beforehand, and open: what is put into it is closed all the same.
    fs::create_dir(rig.yueyang.data()).unwrap();
    fs::set_permissions(rig.yueyang.data(), fs::Permissions::from_mode(0o755)).unwrap();
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    let made = fs::metadata(rig.xianning.data()).unwrap().permissions().mode();
    assert_eq!(made & 0o777, 0o700);
    let mut found = Vec::new();
    open_to_others(&rig.yueyang.data(), &mut found);
    assert!(found.is_empty(), "other users may read {found:?}");
    assert!(rig.yueyang.data().join("journal").is_dir());
}

/// A signing chain is public and a copy of size 0 needs no signature: only the proof in `Open` keeps a thief from
/// being sent everything that the city was ever sent, entries and files, and from fencing the city out.
#[tokio::test(flavor = "multi_thread")]
async fn a_thief_of_a_tls_key_alone_is_sent_nothing_and_fences_nobody_out() {
    use certs::Identity;
    use proto::exchange::v1 as wire;
    use proto::exchange::v1::frame::Kind as Frame;
    use tests::documents::{case, forward};
    use tests::stranger::{Author, Stranger};
    use tests::{Rig, XIANNING, YUEYANG};

    let mut rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    let reply = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.unwrap();
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);

    let key = |name: &str| rig.xianning.path("keys").join(name);
    let tls = Identity::load(&key("tls.pem"), &key("tls.key")).unwrap();
    let signing = Identity::load(&key("signing.pem"), &key("signing.key")).unwrap();
    let trust = rig.yueyang.path("trust");
    // The city itself, by the one fact that the thief lacks; its Opens on other connections are no use to him.
    let author = Author::new(&signing, &trust, XIANNING, YUEYANG);
    let port = rig.yueyang.port;
    let dial = async || Stranger::dial(&tls, &trust, YUEYANG, port).await.unwrap();
    let elsewhere = dial().await;
    for purpose in ["", "bulk"] {
        let fresh = || wire::Open { version_max: 2, purpose: purpose.into(), ..author.open() };
        let recorded = author.proved(&elsewhere, fresh());
        let random = vec![1; 64];
        let bad = [
            ("without a proof", fresh()),
            ("an older version, whose Open has none", wire::Open { version_max: 1, ..fresh() }),
            ("a proof of another connection", recorded),
            ("any 64 bytes", wire::Open { proof: random.into(), ..fresh() }),
        ];
        for (what, open) in bad {
            let mut thief = dial().await;
            thief.say(Frame::Open(open)).await;
            match thief.hear().await {
                Some(Frame::Close(close)) => assert_eq!(close.code, "link.not_proven", "{what}"),
                other => panic!("{what}: the node said {other:?}"),
            }
        }
    }
    // The links of the city itself stood all the while, and it goes on.
    assert!(desk.channel(YUEYANG, XIANNING).await.connected);
    let reply = desk.act(XIANNING, "case.forward", &case(2), &forward()).await.unwrap();
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
    // What a node has shown that it can do is remembered over a restart, without its index too.
    rig.xianning.kill();
    for index_lost in [false, true] {
        rig.yueyang.kill();
        if index_lost {
            fs::remove_dir_all(rig.yueyang.data().join("index")).unwrap();
        }
        rig.yueyang.start().await;
        let mut thief = dial().await;
        thief.say(Frame::Open(author.open())).await;
        assert_eq!(thief.closed().await, "link.not_proven", "index lost: {index_lost}");
    }
    // With both keys it is the city.
    let mut link = dial().await;
    link.say(Frame::Open(author.open_on(&link))).await;
    assert!(matches!(link.hear().await, Some(Frame::Open(_))));
}

/// More silent connections than there are places, from three addresses, each renewed as soon as it is closed: a
/// partner is let in at once.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_no_partner_out() {
    use certs::Identity;
    use gateway::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX};
    use proto::exchange::v1::frame::Kind as Frame;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};
    use tests::stranger::{Author, Stranger};
    use tests::{Rig, XIANNING, YUEYANG, eventually};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpSocket;

    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let port = rig.yueyang.port;
    let closed = Arc::new(AtomicUsize::new(0));
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..HANDSHAKES_MAX + HANDSHAKES_MAX / 2 {
        let closed = Arc::clone(&closed);
        flood.spawn(async move {
            loop {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, 2 + number as u8 % 3], 0).into()).unwrap();
                let Ok(mut silent) = socket.connect(([127, 0, 0, 1], port).into()).await else { continue };
                // Says nothing until the node hangs up.
                let _ = silent.read_u8().await;
                closed.fetch_add(1, Ordering::SeqCst);
                // At most a thousand a second: this machine does other things.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
    }
    // Every place is taken: the node hangs up on some already.
    eventually("the flood to fill the doorway", async || {
        closed.load(Ordering::SeqCst) > HANDSHAKES_PER_ADDRESS_MAX
    })
    .await;
    let key = |name: &str| rig.xianning.path("keys").join(name);
    let tls = Identity::load(&key("tls.pem"), &key("tls.key")).unwrap();
    let signing = Identity::load(&key("signing.pem"), &key("signing.key")).unwrap();
    let trust = rig.yueyang.path("trust");
    let author = Author::new(&signing, &trust, XIANNING, YUEYANG);
    for _ in 0..10 {
        let began = Instant::now();
        let mut link = Stranger::dial(&tls, &trust, YUEYANG, port).await.unwrap();
        link.say(Frame::Open(author.open_on(&link))).await;
        assert!(matches!(link.hear().await, Some(Frame::Open(_))));
        // Behind the flood it would have waited for places of 4 seconds each.
        assert!(began.elapsed() < Duration::from_secs(3), "let in after {:?}", began.elapsed());
    }
    assert!(!flood.is_empty(), "the flood went on all the while");
    flood.shutdown().await;
}

/// A partner's program may write anything, as long as it likes, where a code belongs.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_writes_instead_of_a_code_does_not_reach_the_log() {
    use proto::exchange::v1 as wire;
    use proto::exchange::v1::frame::Kind as Frame;
    use tests::stranger::{Author, Stranger};
    use tests::{Rig, XIANNING, YUEYANG, eventually};

    let mut rig = Rig::new();
    rig.yueyang.start().await;
    let key = |name: &str| rig.xianning.path("keys").join(name);
    let tls = certs::Identity::load(&key("tls.pem"), &key("tls.key")).unwrap();
    let signing = certs::Identity::load(&key("signing.pem"), &key("signing.key")).unwrap();
    let trust = rig.yueyang.path("trust");
    let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.unwrap();
    link.say(Frame::Open(Author::new(&signing, &trust, XIANNING, YUEYANG).open())).await;
    assert!(matches!(link.hear().await, Some(Frame::Open(_))));
    let person = "110101199003070038 ".repeat(50_000);
    link.say(Frame::Close(wire::Close { code: person.clone(), message: person })).await;
    let told = "with a code that is not known here";
    eventually("the end to be told", async || rig.yueyang.log().contains(told)).await;
    assert!(!rig.yueyang.log().contains("110101199003070038"), "what the peer wrote is in the log");
}
