//! Invariant 3: provable offline, by anybody, with public keys alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tests::city::tongban;
use tests::documents::{case, forward};
use tests::{Rig, XIANNING, YUEYANG};

/// Exports the proof of a forward and stops both nodes.
async fn bundle() -> (Rig, Value) {
    let mut rig = Rig::agreed().await;
    let mut desk = rig.yueyang.desk().await;
    let reply = desk.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken");
    assert!(desk.receipt(XIANNING, &reply.message_id).await.receipted);
    let bundle = desk.proof(YUEYANG, XIANNING, &reply.message_id).await;
    rig.yueyang.kill();
    rig.xianning.kill();
    let bundle = serde_json::from_slice(&bundle).expect("a bundle is JSON");
    (rig, bundle)
}

/// Verifies with the command line: exit code and what it says.
fn verify(rig: &Rig, bundle: &Value, anchors: &str) -> (i32, String) {
    let file = rig.path("bundle.json");
    std::fs::write(&file, bundle.to_string()).expect("a file is written");
    let anchors = rig.path(anchors);
    let arguments =
        ["proof", "verify", &file.to_string_lossy(), "--anchors", &anchors.to_string_lossy(), "--lang", "en"];
    let output = tongban(&arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&said).into_owned())
}

/// Flips one bit of base64 content.
fn flip(text: &mut Value, byte: usize) {
    let mut bytes = STANDARD.decode(text.as_str().expect("base64")).expect("base64");
    bytes[byte] ^= 1;
    *text = STANDARD.encode(bytes).into();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_verifies_with_both_nodes_stopped_and_each_forgery_is_named() {
    let (rig, good) = bundle().await;
    let (exit, said) = verify(&rig, &good, "pki/trust");
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("430600 sent message"), "{said}");

    let refused = |change: &dyn Fn(&mut Value)| {
        let mut forged = good.clone();
        change(&mut forged);
        let (exit, said) = verify(&rig, &forged, "pki/trust");
        assert_ne!(exit, 0, "a forgery verified: {said}");
        said
    };
    let header = STANDARD.decode(good["header"].as_str().unwrap()).unwrap().len();
    assert!(refused(&|bundle| flip(&mut bundle["header"], 5)).contains("proof.inclusion"));
    assert!(refused(&|bundle| flip(&mut bundle["header"], header - 1)).contains("proof.inclusion"));
    assert!(refused(&|bundle| flip(&mut bundle["body"], 20)).contains("proof.body"));
    assert!(refused(&|bundle| flip(&mut bundle["inclusion"][0], 0)).contains("proof.inclusion"));
    assert!(refused(&|bundle| bundle["index"] = 0.into()).contains("proof.inclusion"));
    assert!(refused(&|bundle| flip(&mut bundle["signers"]["origin"][0], 100)).contains("proof.untrusted"));
    assert!(refused(&|bundle| flip(&mut bundle["signers"]["cosigner"][0], 100)).contains("proof.untrusted"));
    let swap = refused(&|bundle| {
        let origin = bundle["signers"]["origin"].clone();
        bundle["signers"]["cosigner"] = origin;
    });
    assert!(swap.contains("proof.untrusted"), "{swap}");
    let size = refused(&|bundle| {
        let text = bundle["checkpoint"].as_str().unwrap().replacen("\n2\n", "\n3\n", 1);
        bundle["checkpoint"] = text.into();
    });
    assert!(size.contains("proof.signature"), "{size}");
    assert!(refused(&|bundle| bundle["format"] = "tongban-proof/v2".into()).contains("proof.malformed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_body_the_header_is_still_proven() {
    let (rig, mut bundle) = bundle().await;
    bundle["body"] = Value::Null;
    let (exit, said) = verify(&rig, &bundle, "pki/trust");
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("not included"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn anchors_of_other_authorities_prove_nothing() {
    let (rig, bundle) = bundle().await;
    devpki::write(&rig.path("strangers"), &devpki::Plan::two_provinces(tests::now_ms()))
        .expect("a hierarchy");
    let (exit, said) = verify(&rig, &bundle, "strangers/trust");
    assert_ne!(exit, 0);
    assert!(said.contains("proof.untrusted"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_signed_for_after_the_key_was_lost_is_disputed_and_before_it_stands() {
    let (rig, bundle) = bundle().await;
    let checkpoint = gateway::log::checkpoint::Note::parse(bundle["checkpoint"].as_str().unwrap().as_bytes());
    let signed_for_ms = checkpoint.unwrap().cosignature_seconds().expect("a receipt") as i64 * 1000;
    let issued = certs::pem::read_chain(&rig.xianning.path("keys/signing.pem")).expect("a chain");
    let trust = certs::TrustStore::load(&rig.path("pki/trust")).expect("a trust folder");
    let chain: Vec<&[u8]> = issued.iter().map(Vec::as_slice).collect();
    let serial = trust.verify_evidence(&chain, signed_for_ms).expect("good").serial;
    let province = devpki::Province::open(&rig.path("pki/ca/hubei.tongban"), tests::now_ms());
    let province = province.expect("a province");
    // Revoked today; lost since before, or only since after, it was signed for.
    let now = tests::now_ms() + 60_000;
    for (compromised_from_ms, disputed) in [(signed_for_ms - 1000, true), (signed_for_ms + 1000, false)] {
        let revocation = devpki::Revocation {
            serial: serial.clone(),
            revoked_ms: now,
            compromised_from_ms: Some(compromised_from_ms),
        };
        let list = province.crl_of(&[revocation], now - 1000, now + 86_400_000).expect("a list");
        std::fs::write(rig.path("pki/trust/hubei.tongban.crl.pem"), list.pem).expect("published");
        let (exit, said) = verify(&rig, &bundle, "pki/trust");
        assert_eq!(said.contains("DISPUTED: of 421200"), disputed, "{said}");
        assert_eq!(said.contains("proof.disputed"), disputed, "{said}");
        assert_eq!(exit, if disputed { 5 } else { 0 }, "{said}");
        assert!(said.contains("430600 sent message"), "the facts are shown: {said}");
    }
}
