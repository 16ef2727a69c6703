//! A node seen from outside: what its metrics, probes, alarms and log say is what happens.

use certs::Identity;
use devpki::Province;
use prost::Message as _;
use proto::exchange::v1::frame::Kind as Frame;
use proto::local::v1::SubmitRequest;
use serde_json::Value;
use std::path::Path;
use tests::city::{City, tongban};
use tests::documents::{accept, case, conclude, decision, forward, sign_for};
use tests::files::{file, named};
use tests::probe::{Metrics, get, readiness, ready};
use tests::stranger::{Author, Stranger};
use tests::{Rig, XIANNING, YUEYANG, eventually, now_ms};
use tokio::task::JoinSet;

/// Writes each notice of a city's alarms into a file, one line each.
fn alarm_file(city: &City) -> std::path::PathBuf {
    let file = city.path("alarms");
    let shown = file.display();
    city.configure(&format!("[alarm]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> '{shown}'\"]"));
    file
}

fn notices(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

/// Waits until a notice about `code` with this change is in the file, and gives it.
async fn notice(file: &Path, change: &str, code: &str) -> Value {
    let mut found = Value::Null;
    eventually(&format!("the alarm {code} {change}"), async || {
        let told = notices(file).into_iter().find(|told| told["code"] == code && told["change"] == change);
        found = told.unwrap_or_default();
        !found.is_null()
    })
    .await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_with_what_happens() {
    let mut rig = Rig::new();
    let (yueyang, xianning) = (rig.yueyang.observe(), rig.xianning.observe());
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    conclude(&rig).await;
    readiness(yueyang, &[]).await;
    assert_eq!(get(yueyang, "/livez").await.expect("an answer").0, 200);

    let out = format!("{{from=\"{YUEYANG}\",to=\"{XIANNING}\"}}");
    let before = Metrics::scrape(yueyang).await;
    let mut desk = rig.yueyang.desk().await;
    for serial in 1..=5 {
        let reply = desk.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
        assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
    }
    // 准予 is not the receiving place's to give.
    desk.act(XIANNING, "case.grant", &case(1), &decision("")).await.expect_err("not its own");
    let after = Metrics::scrape(yueyang).await;
    let grown = |series: &str| after.value(series) - before.value(series);
    assert_eq!(grown(&format!("tongban_channel_entries_total{out}")), 5.0);
    assert!(grown("tongban_commit_seconds_count") >= 5.0, "five waited for one another");
    assert!(grown("tongban_journal_sync_seconds_count") >= 5.0);
    assert!(grown("tongban_commit_entries_sum") >= 5.0);
    assert!(grown("tongban_batch_sent_entries_sum") >= 5.0);
    assert_eq!(grown("tongban_submissions_refused_total{code=\"case.wrong_role\"}"), 1.0);
    let receipted = format!("tongban_channel_receipted_entries_total{out}");
    assert_eq!(after.value(&receipted), after.value(&format!("tongban_channel_entries_total{out}")));
    assert_eq!(after.value(&format!("tongban_channel_waiting_entries{out}")), 0.0);
    assert_eq!(after.value(&format!("tongban_channel_stopped{out}")), 0.0);
    assert_eq!(after.value(&format!("tongban_link_up{{peer=\"{XIANNING}\"}}")), 1.0);
    assert_eq!(after.value("tongban_ready"), 1.0);
    assert!(Metrics::scrape(xianning).await.value("tongban_batch_received_entries_sum") >= 5.0);
    for positive in [
        "tongban_disk_free_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
        "tongban_certificate_remaining_seconds{use=\"tls\",name=\"430600\"}",
        "tongban_certificate_remaining_seconds{use=\"signing\",name=\"430600\"}",
        "tongban_crl_remaining_seconds{domain=\"hubei.tongban\"}",
    ] {
        assert!(after.value(positive) > 0.0, "{positive}");
    }
    eventually("the bytes of the journal to be counted", async || {
        let metrics = Metrics::scrape(yueyang).await;
        metrics.series().any(|(name, bytes)| name == "tongban_store_bytes{part=\"journal\"}" && bytes > 0.0)
    })
    .await;

    // While the partner is away, what waits and for how long is seen.
    rig.xianning.kill();
    let expires_ms = now_ms() as u64 + 1_000;
    let late = SubmitRequest {
        to: XIANNING.into(),
        idempotency_key: "late".into(),
        kind: "case.forward".into(),
        case_id: case(9),
        payload: forward().encode_to_vec().into(),
        expires_ms,
        ..Default::default()
    };
    desk.submit(late).await.expect("taken");
    eventually("the entry to have waited for its receipt beyond its expiry", async || {
        let metrics = Metrics::scrape(yueyang).await;
        metrics.value(&format!("tongban_channel_waiting_entries{out}")) == 1.0
            && metrics.value(&format!("tongban_channel_waiting_seconds{out}")) > 0.0
            && metrics.value(&format!("tongban_link_up{{peer=\"{XIANNING}\"}}")) == 0.0
            && now_ms() as u64 > expires_ms + 1_000
    })
    .await;
    readiness(yueyang, &[]).await;
    // It comes too late, is refused there, and the refusal is counted on both sides.
    rig.xianning.start().await;
    eventually("the refusal to be counted on both sides", async || {
        let (here, there) = (Metrics::scrape(yueyang).await, Metrics::scrape(xianning).await);
        here.value("tongban_refusals_received_total{code=\"entry.expired\"}") == 1.0
            && there.value("tongban_refusals_given_total{code=\"entry.expired\"}") == 1.0
            && here.value(&format!("tongban_channel_waiting_seconds{out}")) == 0.0
    })
    .await;
    // A file is counted where it goes in, where it is given, and where it arrives.
    let mut desk = rig.yueyang.desk().await;
    let uploaded = desk.upload(&file(1, 100_000)).await.expect("taken");
    let with_file = SubmitRequest {
        to: XIANNING.into(),
        kind: "case.forward".into(),
        case_id: case(10),
        payload: forward().encode_to_vec().into(),
        blobs: vec![named(&uploaded.digest)],
        ..Default::default()
    };
    desk.submit(with_file).await.expect("taken");
    eventually("the file to be counted", async || {
        let (here, there) = (Metrics::scrape(yueyang).await, Metrics::scrape(xianning).await);
        let bytes =
            |metrics: &Metrics, way| metrics.value(&format!("tongban_blob_bytes_total{{way=\"{way}\"}}"));
        bytes(&here, "uploaded") == 100_000.0
            && bytes(&here, "served") == 100_000.0
            && bytes(&there, "fetched") == 100_000.0
    })
    .await;
    // No label says anything about a person.
    let metrics = Metrics::scrape(yueyang).await;
    let person = forward().applicant.expect("an applicant");
    assert!(
        metrics.series().all(|(name, _)| !name.contains(&person.id_number) && !name.contains(&person.name))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_replays_a_long_journal_answers_and_says_how_far_it_is() {
    let mut rig = Rig::new();
    let port = rig.yueyang.observe();
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    conclude(&rig).await;
    let mut load = JoinSet::new();
    for lane in 0..8 {
        let mut desk = rig.yueyang.desk().await;
        load.spawn(async move {
            for serial in 0..50 {
                let case = case(1_000 + lane * 50 + serial);
                desk.act(XIANNING, "case.forward", &case, &forward()).await.expect("taken");
            }
        });
    }
    while let Some(ended) = load.join_next().await {
        ended.expect("the load runs to its end");
    }
    rig.yueyang.kill();
    std::fs::remove_dir_all(rig.yueyang.data().join("index")).expect("the index can be deleted");
    assert!(get(port, "/readyz").await.is_none(), "nobody answers for a dead node");

    let watch = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let Some((status, body)) = get(port, "/readyz").await else { continue };
            let ready = status == 200;
            let live = get(port, "/livez").await.map(|(status, _)| status);
            seen.push((body, live));
            if ready {
                return seen;
            }
        }
    });
    rig.yueyang.start().await;
    let seen = watch.await.expect("the watch ends when the node is ready");
    let replaying: Vec<_> =
        seen.iter().filter(|(body, _)| body.contains("stage=replaying percent=")).collect();
    assert!(!replaying.is_empty(), "the node was never seen replaying: {seen:?}");
    for (body, live) in replaying {
        assert!(body.contains("\"code\":\"store.replaying\""), "{body}");
        assert!(live.is_none_or(|status| status == 200), "a node that replays is live");
    }
    readiness(port, &[]).await;
    rig.meet().await;
    rig.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_out_of_date_warns_and_after_its_grace_the_node_is_not_ready_until_it_is_renewed() {
    let mut rig = Rig::new();
    let port = rig.yueyang.observe();
    let file = alarm_file(&rig.yueyang);
    rig.yueyang.start().await;
    readiness(port, &[]).await;
    let (hour, day) = (3_600_000, 86_400_000);
    let hubei = Province::open(&rig.pki().join("ca/hubei.tongban"), now_ms()).expect("a province");
    let renew = |next_update_ms: i64| {
        let lists = hubei.crl(&[], next_update_ms - 90 * day, next_update_ms).expect("a list");
        let target = rig.yueyang.path("trust/hubei.tongban.crl.pem");
        let aside = target.with_extension("new");
        std::fs::write(&aside, lists.pem).expect("a list is written");
        std::fs::rename(&aside, &target).expect("a list is replaced");
    };
    renew(now_ms() - hour);
    let told = notice(&file, "raised", "node.trust_stale").await;
    assert_eq!(
        (told["severity"].as_str(), told["subject"].as_str()),
        (Some("warning"), Some("hubei.tongban"))
    );
    readiness(port, &[]).await;
    renew(now_ms() - 60 * day);
    readiness(port, &[("trust", "node.trust_stale")]).await;
    assert_eq!(notice(&file, "worse", "node.trust_stale").await["severity"], "critical");
    assert_eq!(Metrics::scrape(port).await.value("tongban_crl_stale{domain=\"hubei.tongban\"}"), 1.0);
    renew(now_ms() + 30 * day);
    readiness(port, &[]).await;
    notice(&file, "resolved", "node.trust_stale").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_told_once_and_its_end_once_and_the_node_stays_ready_for_others() {
    let mut rig = Rig::new();
    let port = rig.yueyang.observe();
    let file = alarm_file(&rig.yueyang);
    rig.yueyang.start().await;
    let key = |name: &str| rig.xianning.path("keys").join(name);
    let tls = Identity::load(&key("tls.pem"), &key("tls.key")).expect("an identity");
    let signing = Identity::load(&key("signing.pem"), &key("signing.key")).expect("an identity");
    let trust = rig.yueyang.path("trust");
    // One key that signs two histories.
    for number in [1, 2] {
        let mut author = Author::new(&signing, &trust, XIANNING, YUEYANG);
        let (header, body) = author.header(number, "case.teleport", b"");
        author.append(header.encode(), body);
        let mut link = Stranger::dial(&tls, &trust, YUEYANG, rig.yueyang.port).await.expect("TLS lets it in");
        link.say(Frame::Open(author.open_on(&link))).await;
        assert!(matches!(link.hear().await, Some(Frame::Open(_))));
        link.say(Frame::Batch(author.batch(0))).await;
        if number == 1 {
            let mut desk = rig.yueyang.desk().await;
            eventually("the entry to be taken", async || desk.channel(XIANNING, YUEYANG).await.size == 1)
                .await;
        } else {
            assert_eq!(link.closed().await, "channel.fork");
        }
    }
    let channel = format!("{XIANNING}>{YUEYANG}");
    let told = notice(&file, "raised", "channel.fork").await;
    assert_eq!(told["subject"], channel);
    assert_eq!((told["node"].as_str(), told["severity"].as_str()), (Some(YUEYANG), Some("critical")));
    rig.yueyang.logs("channel stopped").await;
    let stopped =
        format!("tongban_channel_stopped{{from=\"{XIANNING}\",to=\"{YUEYANG}\",code=\"channel.fork\"}}");
    let metrics = Metrics::scrape(port).await;
    assert_eq!(metrics.value(&stopped), 1.0);
    assert_eq!(metrics.value("tongban_alarms_standing{code=\"channel.fork\",severity=\"critical\"}"), 1.0);
    assert_eq!(ready(port).await, Some((true, vec![])), "other channels go on");

    let config = rig.yueyang.config();
    let config = config.to_string_lossy();
    let resumed = tongban(&["channel", "resume", &channel, "--reason", "工单 1234", "--config", &config]);
    assert!(resumed.status.success(), "{resumed:?}");
    notice(&file, "resolved", "channel.fork").await;
    let forks: Vec<_> = notices(&file).into_iter().filter(|told| told["code"] == "channel.fork").collect();
    assert_eq!(forks.len(), 2, "once when it began, once when it was over: {forks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_each_decision_as_json_and_nothing_about_a_person() {
    let mut rig = Rig::new();
    for city in [&rig.yueyang, &rig.xianning] {
        city.configure("[log]\nformat = \"json\"\nlevel = \"debug\"");
    }
    rig.yueyang.start().await;
    rig.xianning.start().await;
    rig.meet().await;
    conclude(&rig).await;
    let (mut yueyang, mut xianning) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let case = case(1);
    let mut application = forward();
    let person = application.applicant.as_mut().expect("an applicant");
    // A citizen that no other text could name by chance.
    person.name = "欧阳植入".into();
    person.id_number = "430602199003070011".into();
    let body = &person.id_number[..17];
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = b"10X98765432"[(sum % 11) as usize] as char;
    person.id_number = format!("{body}{check}");
    let (name, number) = (person.name.clone(), person.id_number.clone());
    let reply = yueyang.act(XIANNING, "case.forward", &case, &application).await.expect("taken");
    assert!(yueyang.receipt(XIANNING, &reply.message_id).await.receipted);
    eventually("the case to arrive", async || xianning.case(&case).await.is_some()).await;
    for (kind, payload) in
        [("case.signfor", sign_for().encode_to_vec()), ("case.accept", accept().encode_to_vec())]
    {
        let request = SubmitRequest {
            to: YUEYANG.into(),
            kind: kind.into(),
            case_id: case.clone(),
            payload: payload.into(),
            ..Default::default()
        };
        xianning.submit(request).await.expect("taken");
    }
    // The same person again, in a submission that is refused, and in one that cannot be read.
    application.item = "KST001".into();
    yueyang
        .act(XIANNING, "case.forward", &tests::documents::case(2), &application)
        .await
        .expect_err("not agreed");
    application.applicant.as_mut().expect("an applicant").id_number = format!("{number}0");
    application.item = tests::documents::ITEM.into();
    yueyang
        .act(XIANNING, "case.forward", &tests::documents::case(3), &application)
        .await
        .expect_err("no number");
    rig.xianning.kill();
    rig.yueyang.logs("link ended").await;

    let mut events = Vec::new();
    for city in [&rig.yueyang, &rig.xianning] {
        let log = city.log();
        assert!(!log.contains(&number) && !log.contains(&name), "{} logs a person", city.node);
        assert!(!log.contains(&number[6..17]), "{} logs part of an identity number", city.node);
        for line in log.lines() {
            events.push(serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")));
        }
    }
    let told = |message: &str, fields: &[&str]| {
        let found = events.iter().any(|event| {
            event["message"] == message && fields.iter().all(|field| event.get(field).is_some())
        });
        assert!(found, "no event {message} with {fields:?}");
    };
    told("submission refused", &["message_id", "peer", "outcome", "code", "detail", "fault"]);
    told("link open", &["peer", "outcome"]);
    told("link ended", &["peer", "outcome", "code", "fault"]);
}
