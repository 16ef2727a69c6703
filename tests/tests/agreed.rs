//! Invariant 6: only what was agreed. Each refusal differs from an accepted message by one fact, and
//! changes nothing.

use proto::exchange::v1 as wire;
use tests::desk::{Desk, code};
use tests::documents::{accept, agreement, case, close, decision, forward, licence, query, review, sign_for};
use tests::{Rig, XIANNING, YUEYANG, eventually};

async fn in_state(desk: &mut Desk, id: &str, state: &str) {
    eventually(&format!("{id} to be {state}"), async || {
        desk.case(id).await.is_some_and(|case| case.state == state)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agreement_nothing_is_sent() {
    let rig = Rig::running().await;
    let mut desk = rig.yueyang.desk().await;
    let refused = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect_err("refused");
    assert_eq!(code(&refused), "agreement.none");
    assert_eq!(desk.channel(YUEYANG, XIANNING).await.size, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_one_side_signed_is_not_in_force() {
    let rig = Rig::running().await;
    let mut desk = rig.yueyang.desk().await;
    use gateway::wire::document::Document as _;
    desk.publish(XIANNING, "agreement", agreement().to_json()).await.expect("taken");
    let refused = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect_err("refused");
    assert_eq!(code(&refused), "agreement.none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_is_refused_for_each_wrong_fact() {
    let rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    let mut refused = async |id: String, change: fn(&mut wire::CaseForward)| {
        let mut payload = forward();
        change(&mut payload);
        let status = desk.act(XIANNING, "case.forward", &id, &payload).await.expect_err("refused");
        code(&status)
    };
    // An item that no agreement lists finds no agreement to rely on.
    assert_eq!(refused(case(1), |forward| forward.item = "KST028".into()).await, "agreement.none");
    assert_eq!(refused(case(1), |forward| drop(forward.materials.pop())).await, "case.material_missing");
    let wrong = |forward: &mut wire::CaseForward| {
        forward.applicant.as_mut().expect("an applicant").id_number = "430602190001010010".into();
    };
    assert_eq!(refused(case(1), wrong).await, "case.person_invalid");
    let other_places = case(1).replace("KST430600421200", "KST430600421000");
    assert_eq!(refused(other_places, |_| {}).await, "case.number_invalid");
    assert!(refused(case(1), |forward| forward.item.clear()).await.starts_with("entry.malformed_payload"));
    // The same, unchanged, is taken; and a second one of the same number is not.
    desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken");
    let mut again = forward();
    again.project_number = "YY-2".into();
    let status = desk
        .submit(proto::local::v1::SubmitRequest {
            to: XIANNING.into(),
            kind: "case.forward".into(),
            case_id: case(1),
            payload: prost::Message::encode_to_vec(&again).into(),
            ..Default::default()
        })
        .await
        .expect_err("refused");
    assert_eq!(code(&status), "case.exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_of_a_transition_makes_it_and_only_in_its_state() {
    let rig = Rig::agreed().await;
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let id = case(1);
    window.act(XIANNING, "case.forward", &id, &forward()).await.expect("taken");
    in_state(&mut approval, &id, "forwarded").await;

    let refused = window.act(XIANNING, "case.accept", &id, &accept()).await.expect_err("refused");
    assert_eq!(code(&refused), "case.wrong_role");
    let refused = window.act(XIANNING, "case.grant", &id, &decision("")).await.expect_err("refused");
    assert_eq!(code(&refused), "case.wrong_role");
    let refused = approval.act(YUEYANG, "case.grant", &id, &decision("")).await.expect_err("refused");
    assert_eq!(code(&refused), "case.wrong_state");

    approval.act(YUEYANG, "case.signfor", &id, &sign_for()).await.expect("taken");
    let no_reason = wire::CaseReject { document_number: "XN-9".into(), ..Default::default() };
    let refused = approval.act(YUEYANG, "case.reject", &id, &no_reason).await.expect_err("refused");
    assert_eq!(code(&refused), "case.reason_missing");
    let ask = wire::CaseSupplementRequest {
        items: vec![wire::SupplementItem { material: "M01".into(), what: "缺一页".into() }],
        deadline_working_days: 5,
        operator: "op-2".into(),
    };
    approval.act(YUEYANG, "case.supplement.request", &id, &ask).await.expect("taken");
    in_state(&mut window, &id, "supplement_requested").await;
    let supplement = wire::CaseSupplementSubmit { materials: forward().materials, operator: "op-1".into() };
    window.act(XIANNING, "case.supplement.submit", &id, &supplement).await.expect("taken");
    in_state(&mut approval, &id, "signed_for").await;
    let status = approval
        .submit(proto::local::v1::SubmitRequest {
            to: YUEYANG.into(),
            kind: "case.supplement.request".into(),
            case_id: id.clone(),
            payload: prost::Message::encode_to_vec(&ask).into(),
            ..Default::default()
        })
        .await
        .expect_err("a second 补正告知 is refused");
    assert_eq!(code(&status), "case.supplement_twice");

    approval.act(YUEYANG, "case.accept", &id, &accept()).await.expect("taken");
    approval.act(YUEYANG, "case.review", &id, &review()).await.expect("taken");
    approval.act(YUEYANG, "case.grant", &id, &decision("")).await.expect("taken");
    approval.act(YUEYANG, "case.close", &id, &close()).await.expect("taken");
    in_state(&mut window, &id, "closed").await;
    rig.balanced().await;
    assert_eq!(window.channel(YUEYANG, XIANNING).await.refused, 0, "what was refused here never crossed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_query_is_refused_for_each_wrong_fact_and_answered_when_right() {
    let rig = Rig::agreed().await;
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    window.put_licence(&licence()).await.expect("taken");
    let mut wrong = licence();
    wrong.id = format!("{}A", &wrong.id[..wrong.id.len() - 1]);
    let id = case(1);
    window.act(XIANNING, "case.forward", &id, &forward()).await.expect("taken");
    in_state(&mut approval, &id, "forwarded").await;
    let refused = async |desk: &mut Desk, change: &dyn Fn(&mut wire::LicenceQuery)| {
        let mut payload = query(&case(1));
        change(&mut payload);
        code(&desk.act(YUEYANG, "licence.query", &case(1), &payload).await.expect_err("refused"))
    };
    let code_of = refused(&mut approval, &|query| query.purpose = "好奇".into()).await;
    assert_eq!(code_of, "agreement.purpose_not_covered");
    let code_of = refused(&mut approval, &|query| query.fields.push("address".into())).await;
    assert_eq!(code_of, "agreement.field_not_covered");
    let code_of = refused(&mut approval, &|query| query.user_name.clear()).await;
    assert_eq!(code_of, "licence.elements_missing");
    let code_of = refused(&mut approval, &|query| query.licence_id = wrong.id.clone()).await;
    assert_eq!(code_of, "licence.id_invalid");

    let reply = approval.act(YUEYANG, "licence.query", &id, &query(&id)).await.expect("taken");
    let mut inbox = approval.inbox("test").await;
    let attest = loop {
        let entry = tokio_stream::StreamExt::next(&mut inbox).await.expect("an entry").expect("no error");
        if entry.kind == "licence.attest" && entry.in_reply_to == reply.message_id {
            break <wire::LicenceAttest as prost::Message>::decode(entry.payload).expect("an attestation");
        }
    };
    assert_eq!(attest.reason, "R00");
    let envelope: serde_json::Value = serde_json::from_slice(&attest.envelope).expect("DSSE is JSON");
    assert_eq!(envelope["payloadType"], "application/vnd.tongban.licence-attestation.v1+json");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_named_outright_covers_its_item_in_its_direction_and_no_other() {
    let rig = Rig::agreed().await;
    let (mut window, mut approval) = (rig.yueyang.desk().await, rig.xianning.desk().await);
    let documents = window.documents().await;
    let agreement = documents.iter().find(|document| document.r#type == "agreement").expect("an agreement");
    let standard = documents.iter().find(|document| document.r#type == "standard").expect("a standard");
    let request = |to: &str, item: &str, agreement: &str, serial| {
        let mut payload = forward();
        payload.item = item.into();
        proto::local::v1::SubmitRequest {
            to: to.into(),
            kind: "case.forward".into(),
            case_id: case(serial),
            agreement: agreement.into(),
            payload: prost::Message::encode_to_vec(&payload).into(),
            ..Default::default()
        }
    };
    let listed = tests::documents::ITEM;
    let refused =
        window.submit(request(XIANNING, "KST028", &agreement.digest, 1)).await.expect_err("refused");
    assert_eq!(code(&refused), "agreement.item_not_covered");
    let refused = approval.submit(request(YUEYANG, listed, &agreement.digest, 1)).await.expect_err("refused");
    assert_eq!(code(&refused), "agreement.item_not_covered", "the other direction");
    let refused = window.submit(request(XIANNING, listed, &standard.digest, 1)).await.expect_err("refused");
    assert_eq!(code(&refused), "agreement.none", "a standard is no agreement");
    window.submit(request(XIANNING, listed, &agreement.digest, 1)).await.expect("taken");
}
