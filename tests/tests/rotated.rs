//! Keys are rotated in the middle of the load, by the commands that an administrator uses: nothing restarts, no
//! link drops, nothing is lost, and what either key signed is proved afterwards.

use certs::pem;
use devpki::{Issued, KeyKind, Province};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use tests::city::{City, tongban};
use tests::desk::Desk;
use tests::documents::{case, forward, sign_for};
use tests::{LOOK, PATIENCE, Rig, XIANNING, YUEYANG, eventually, now_ms};

/// What the province issues for a prepared key, installed as an administrator installs it.
fn install(rig: &Rig, city: &City, purpose: &str, issued: &Issued) {
    let key = city.path(&format!("keys/{purpose}.key.next"));
    let mut file =
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(key).expect("a new file");
    std::io::Write::write_all(&mut file, issued.key_pem.as_bytes()).expect("written");
    let chain = rig.path(&format!("{}-{purpose}.pem", city.node));
    std::fs::write(&chain, &issued.chain_pem).expect("written");
    let output = tongban(&[
        "certs",
        "install",
        "--for",
        purpose,
        &chain.to_string_lossy(),
        "--apply",
        "--config",
        &city.config().to_string_lossy(),
    ]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

/// Whether the signing certificate is the one that signed as `role` in a bundle.
fn signed_by(bundle: &serde_json::Value, role: &str, chain: &[Vec<u8>]) -> bool {
    use base64::Engine as _;
    let leaf = bundle["signers"][role][0].as_str().expect("a certificate");
    base64::engine::general_purpose::STANDARD.decode(leaf).expect("base64") == chain[0]
}

/// Verifies a bundle offline.
fn holds(rig: &Rig, bundle: &[u8]) {
    let file = rig.path("bundle.json");
    std::fs::write(&file, bundle).expect("written");
    let anchors = rig.pki().join("trust");
    let output =
        tongban(&["proof", "verify", &file.to_string_lossy(), "--anchors", &anchors.to_string_lossy()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits for a case, as [`eventually`] does, in a task that may move between threads.
async fn arrives(approval: &mut Desk, case: &str) {
    let deadline = Instant::now() + PATIENCE;
    while approval.case(case).await.is_none() {
        assert!(Instant::now() < deadline, "waited in vain for {case} to arrive");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_signing_keys_of_both_nodes_are_rotated_under_load_and_nothing_is_lost() {
    let rig = Rig::agreed().await;
    let processes = [rig.yueyang.process(), rig.xianning.process()];
    let mut window = rig.yueyang.desk().await;
    let first = window.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken").message_id;
    assert!(window.receipt(XIANNING, &first).await.receipted);
    let old = [&rig.yueyang, &rig.xianning]
        .map(|city| pem::read_chain(&city.path("keys/signing.pem")).expect("a chain"));
    let before = window.proof(YUEYANG, XIANNING, &first).await;

    // Load in both directions: forwards one way, each signed for the other way as soon as it is there.
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(2)));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut window, stop, next) = (rig.yueyang.desk().await, Arc::clone(&stop), Arc::clone(&next));
        let mut approval = rig.xianning.desk().await;
        load.spawn(async move {
            let mut sent = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let case = case(next.fetch_add(1, Ordering::SeqCst));
                let reply = window.act(XIANNING, "case.forward", &case, &forward()).await;
                sent.push(reply.expect("submissions are taken all the while").message_id);
                arrives(&mut approval, &case).await;
                approval.act(YUEYANG, "case.signfor", &case, &sign_for()).await.expect("taken");
            }
            sent
        });
    }
    let links = |city: &City| city.log().matches("link open").count();
    let stood = [links(&rig.yueyang), links(&rig.xianning)];
    let progress = async |more: u32| {
        let until = next.load(Ordering::SeqCst) + more;
        eventually("the load to go on", async || next.load(Ordering::SeqCst) >= until).await;
    };
    progress(8).await;
    for (city, domain) in [(&rig.yueyang, "hunan.tongban"), (&rig.xianning, "hubei.tongban")] {
        let province = Province::open(&rig.pki().join("ca").join(domain), now_ms()).expect("a province");
        install(&rig, city, "tls", &province.tls(city.node).expect("issued"));
        city.logs("the TLS identity changed and is in use for new connections").await;
        progress(8).await;
        install(&rig, city, "signing", &province.signing(city.node, KeyKind::P256).expect("issued"));
        city.logs("the signing key changed; the new one signs from now on").await;
        progress(8).await;
    }
    // Links that stand are the old ones; new ones come about with the new TLS certificates too.
    assert_eq!([links(&rig.yueyang), links(&rig.xianning)], stood, "a rotation drops no link");
    stop.store(true, Ordering::SeqCst);
    let sent: Vec<_> = load.join_all().await.into_iter().flatten().collect();
    for id in &sent {
        let state = window.receipt(XIANNING, id).await;
        assert!(state.receipted && state.refused.is_empty(), "{state:?}");
    }
    assert_eq!(rig.xianning.desk().await.cases().await.len(), sent.len() + 1);
    rig.balanced().await;
    assert_eq!([rig.yueyang.process(), rig.xianning.process()], processes, "nothing restarted");

    // Each message is proved by the keys that signed it, and the old ones are as good as ever.
    let new = [&rig.yueyang, &rig.xianning]
        .map(|city| pem::read_chain(&city.path("keys/signing.pem")).expect("a chain"));
    let last = window.act(XIANNING, "case.forward", &case(next.load(Ordering::SeqCst)), &forward()).await;
    let last = last.expect("taken").message_id;
    assert!(window.receipt(XIANNING, &last).await.receipted);
    let after = window.proof(YUEYANG, XIANNING, &last).await;
    for (bundle, chains) in [(&before, &old), (&after, &new)] {
        let document = serde_json::from_slice(bundle).expect("JSON");
        for (role, chain) in ["origin", "cosigner"].into_iter().zip(chains) {
            assert!(signed_by(&document, role, chain), "{role}");
        }
        holds(&rig, bundle);
    }
}

/// Entries under the old key that nobody has a receipt for, the old key revoked meanwhile: they go out under the
/// new one.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_without_a_receipt_is_signed_again_after_a_rotation_and_delivered() {
    let mut rig = Rig::agreed().await;
    rig.xianning.kill();
    let mut window = rig.yueyang.desk().await;
    let waits = window.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken").message_id;
    let province = Province::open(&rig.pki().join("ca/hunan.tongban"), now_ms()).expect("a province");
    let trust = certs::TrustStore::load(&rig.pki().join("trust")).expect("a trust folder");
    let chain = pem::read_chain(&rig.yueyang.path("keys/signing.pem")).expect("a chain");
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let verified = trust.verify(certs::Purpose::Signing, &chain, now_ms()).expect("good until now");
    install(&rig, &rig.yueyang, "signing", &province.signing(YUEYANG, KeyKind::P256).expect("issued"));
    rig.yueyang.logs("the signing key changed; the new one signs from now on").await;
    // The partner would take nothing under the old key any more.
    devpki::revoke(&rig.pki(), "hunan.tongban", &[&verified.serial], now_ms()).expect("revoked");
    let list = "hunan.tongban.crl.pem";
    std::fs::copy(rig.pki().join("trust").join(list), rig.xianning.path("trust").join(list))
        .expect("installed");
    rig.xianning.start().await;
    let state = window.receipt(XIANNING, &waits).await;
    assert!(state.receipted && state.refused.is_empty(), "{state:?}");
    rig.balanced().await;
}

/// Puts one file of a city's identity in place, as `certs install` does: whole, and for its owner alone.
fn place(city: &City, name: &str, text: &str) {
    let fresh = city.path(&format!("keys/{name}.new"));
    let options = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&fresh);
    std::io::Write::write_all(&mut options.expect("a new file"), text.as_bytes()).expect("written");
    std::fs::rename(fresh, city.path(&format!("keys/{name}"))).expect("in place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_that_does_not_fit_is_refused_while_the_last_good_one_signs_on() {
    let rig = Rig::agreed().await;
    let city = &rig.yueyang;
    let old = pem::read_chain(&city.path("keys/signing.pem")).expect("a chain");
    let province = Province::open(&rig.pki().join("ca/hunan.tongban"), now_ms()).expect("a province");
    let good = province.signing(YUEYANG, KeyKind::P256).expect("issued");
    let elsewhere = province.signing("430700", KeyKind::P256).expect("issued");
    let refused = || city.log().matches("the new signing key is refused").count();
    let mut window = city.desk().await;
    let mut signs = async |serial, chain: &[Vec<u8>]| {
        let sent = window.act(XIANNING, "case.forward", &case(serial), &forward()).await.expect("taken");
        assert!(window.receipt(XIANNING, &sent.message_id).await.receipted);
        let bundle = window.proof(YUEYANG, XIANNING, &sent.message_id).await;
        assert!(signed_by(&serde_json::from_slice(&bundle).expect("JSON"), "origin", chain));
    };
    // The new certificate with the old key; then, whole, another city's pair.
    place(city, "signing.pem", &good.chain_pem);
    eventually("the half to be refused", async || refused() == 1).await;
    signs(1, &old).await;
    place(city, "signing.key", &elsewhere.key_pem);
    eventually("the other half to be refused", async || refused() == 2).await;
    place(city, "signing.pem", &elsewhere.chain_pem);
    city.logs("link.wrong_node").await;
    signs(2, &old).await;
    // The own pair: its key first, which is refused beside another city's certificate.
    place(city, "signing.key", &good.key_pem);
    eventually("that to be refused", async || refused() == 4).await;
    place(city, "signing.pem", &good.chain_pem);
    city.logs("the signing key changed; the new one signs from now on").await;
    signs(3, &good.chain_der).await;
}
