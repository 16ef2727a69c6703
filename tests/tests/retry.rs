//! Delivery retries without end: a partner that is away costs little, and one that is back is found
//! within a named time, whatever happened before.

use gateway::limits::{CIRCUIT_FAILURES_MAX, REDIAL_MILLIS_MAX};
use std::time::{Duration, Instant};
use tests::city::tongban;
use tests::documents::{case, forward};
use tests::{Rig, XIANNING, YUEYANG, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_circuit_to_a_partner_that_is_away_opens_and_closes_soon_after_it_is_back() {
    let mut rig = Rig::agreed().await;
    let mut window = rig.yueyang.desk().await;
    rig.xianning.kill();
    let sent = window.act(XIANNING, "case.forward", &case(1), &forward()).await.expect("taken");
    eventually("the circuit to open", async || {
        let status = window.status().await;
        status.peers.iter().any(|peer| {
            peer.node == XIANNING
                && peer.circuit != "closed"
                && peer.failures >= CIRCUIT_FAILURES_MAX
                && peer.last_failure == "channel.not_contacted"
        })
    })
    .await;
    let config = rig.yueyang.config();
    let shown = tongban(&["status", "--config", &config.to_string_lossy(), "--lang", "zh"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("连不上的伙伴"), "{shown:?}");
    // How often it was dialled is how often it was told.
    let dials = |rig: &Rig| rig.yueyang.log().matches("peer not reached").count();
    let (before, began) = (dials(&rig), Instant::now());
    eventually("three more probes", async || dials(&rig) >= before + 3).await;
    let least = Duration::from_millis(2 * REDIAL_MILLIS_MAX / 2);
    assert!(began.elapsed() >= least, "three probes within {:?} are too many", began.elapsed());

    // 咸宁 must not dial, or it would be the one that ends the wait.
    let config = rig.xianning.config();
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace("dial = true", "dial = false")).expect("written");
    rig.xianning.start().await;
    let began = Instant::now();
    assert!(window.receipt(XIANNING, &sent.message_id).await.receipted);
    // The longest pause, and what a loaded machine adds to a handshake.
    let most = Duration::from_millis(REDIAL_MILLIS_MAX + 3_000);
    assert!(began.elapsed() <= most, "found after {:?}", began.elapsed());
    let status = window.status().await;
    let peer = status.peers.iter().find(|peer| peer.node == XIANNING).expect("a peer that is dialled");
    assert_eq!((peer.connected, peer.circuit.as_str()), (true, "closed"));
    assert!(rig.xianning.desk().await.status().await.peers.is_empty(), "who does not dial has no circuit");
    assert_eq!(window.channel(YUEYANG, XIANNING).await.staged, 0);
    rig.balanced().await;
}
