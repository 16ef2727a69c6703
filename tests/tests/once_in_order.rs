//! Invariant 2: effect at most once, in order.

use prost::Message as _;
use proto::local::v1 as pb;
use tests::desk::code;
use tests::documents::{case, forward};
use tests::{Rig, XIANNING, YUEYANG};
use tokio_stream::StreamExt as _;

fn request(case: &str, project_number: &str) -> pb::SubmitRequest {
    let mut payload = forward();
    payload.project_number = project_number.into();
    pb::SubmitRequest {
        to: XIANNING.into(),
        idempotency_key: "window/17".into(),
        kind: "case.forward".into(),
        case_id: case.into(),
        payload: payload.encode_to_vec().into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_again_gets_the_original_answer_also_after_a_restart() {
    let mut rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    let first = desk.submit(request(&case(1), "YY-1")).await.expect("taken");
    assert!(!first.duplicate);
    let again = desk.submit(request(&case(1), "YY-1")).await.expect("taken");
    assert!(again.duplicate);
    assert_eq!((&again.message_id, again.index), (&first.message_id, first.index));
    rig.yueyang.kill();
    rig.yueyang.start().await;
    rig.meet().await;
    let again = rig.yueyang.desk().await.submit(request(&case(1), "YY-1")).await.expect("taken");
    assert!(again.duplicate);
    assert_eq!((&again.message_id, again.index), (&first.message_id, first.index));
    rig.balanced().await;
    assert_eq!(rig.xianning.desk().await.cases().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_other_content_is_refused() {
    let rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    desk.submit(request(&case(1), "YY-1")).await.expect("taken");
    let refused = desk.submit(request(&case(1), "YY-2")).await.expect_err("refused");
    assert_eq!(code(&refused), "entry.duplicate_different");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_goes_on_at_the_acknowledged_cursor_in_channel_order() {
    let mut rig = Rig::agreed().await;
    let mut window = rig.yueyang.desk().await;
    for serial in 0..10 {
        window.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
    }
    let mut desk = rig.xianning.desk().await;
    let mut inbox = desk.inbox("approval").await;
    let mut indexes = Vec::new();
    for _ in 0..6 {
        indexes.push(inbox.next().await.expect("an entry").expect("no error").index);
    }
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5], "the agreement, then cases in order");
    desk.acknowledge("approval", YUEYANG, 4).await;
    rig.xianning.kill();
    rig.xianning.start().await;
    let mut desk = rig.xianning.desk().await;
    let mut inbox = desk.inbox("approval").await;
    for expected in 4..11 {
        let entry = inbox.next().await.expect("an entry").expect("no error");
        assert_eq!((entry.index, entry.verdict.as_str()), (expected, ""));
    }
}
