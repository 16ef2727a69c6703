//! What is seen decides what is said; each case differs from a good one by one fact.

use certs::{Anchor, AnchorState, Revocation, TrustDomain};
use devpki::Province;
use gateway::refusal::RefusalCode;
use gateway::transport::probe::{ConnectProblem, TlsProblem};

use super::*;

const NOW_MS: i64 = 1_790_000_000_000;

fn trust(province: &Province) -> TrustStore {
    let anchor = Anchor::from_der(province.root_der(), AnchorState::Active).unwrap();
    let name = province.name().parse().unwrap();
    let prefixes = vec!["42".parse().unwrap()];
    TrustStore::new(vec![TrustDomain::new(name, prefixes, vec![anchor], Revocation::None).unwrap()]).unwrap()
}

fn channel() -> pb::ChannelView {
    pb::ChannelView {
        from: "430600".into(),
        to: "421200".into(),
        size: 5,
        cosigned: 5,
        contacted: true,
        connected: true,
        ..Default::default()
    }
}

/// A healthy partner, spoiled in one way; the lines.
fn lines(own_good: bool, clocks: &[i64], spoil: impl FnOnce(&mut Seen)) -> Vec<Line> {
    let province = Province::new("hubei.tongban", &["42"], NOW_MS).unwrap();
    let chain = province.tls("421200").unwrap().chain_der;
    let mut seen = Seen {
        peer: "421200".parse().unwrap(),
        address: Some("gw.example.cn:7443".into()),
        look: Some(Look {
            resolved: Some(Ok(vec!["192.0.2.1:7443".parse().unwrap()])),
            connected: Some(Ok(())),
            chain: Some(Ok(chain)),
            accepted: Some(Ok(())),
            clock_ahead: Some((100, 600)),
        }),
        told: Some(Told {
            dialled: None,
            out: Some(channel()),
            inbound: Some(channel()),
            agreements: (1, 0),
            comparison: Some(Ok(pb::ReconcileRunReply { balanced: true, ..Default::default() })),
        }),
    };
    spoil(&mut seen);
    judge::peer(&seen, &trust(&province), own_good, clocks, NOW_MS)
}

/// Outcome, side and code of one check.
fn told(lines: &[Line], check: Check) -> (Outcome, Side, &str) {
    let mut of_check = lines.iter().filter(|line| line.check == check);
    let line = of_check.next().unwrap();
    assert!(of_check.next().is_none(), "one line for {check:?}");
    (line.outcome, line.side, &line.code)
}

#[test]
fn a_healthy_partner_has_every_line_once_and_all_good() {
    let lines = lines(true, &[], |_| {});
    assert_eq!(lines.len(), 12);
    assert!(lines.iter().all(|line| line.outcome == Outcome::Good), "{lines:?}");
    assert_eq!(exit_code(&lines), 0);
}

#[test]
fn every_spoiled_step_has_one_line_each_and_names_a_side() {
    type Spoil = fn(&mut Look);
    let cases: [(Spoil, Check, Side, &str, u8); 7] = [
        (
            |look| *look = Look { resolved: Some(Err("no".into())), ..Look::default() },
            Check::Dns,
            Side::Ours,
            "doctor.dns",
            12,
        ),
        (|look| after_tcp(look, ConnectProblem::Refused), Check::Tcp, Side::Either, "doctor.tcp_refused", 12),
        (|look| after_tcp(look, ConnectProblem::Silent), Check::Tcp, Side::Network, "doctor.tcp_silent", 13),
        (
            |look| after_tcp(look, ConnectProblem::Unreachable),
            Check::Tcp,
            Side::Network,
            "doctor.tcp_unreachable",
            13,
        ),
        (|look| after_tls(look, TlsProblem::Timeout), Check::Tls, Side::Network, "tls.timeout", 13),
        (
            |look| after_tls(look, TlsProblem::Protocol("x".into())),
            Check::Tls,
            Side::Either,
            "tls.protocol",
            12,
        ),
        (
            |look| look.accepted = Some(Err(TlsProblem::RefusedByPeer("x".into()))),
            Check::Tls,
            Side::Theirs,
            "tls.refused_by_peer",
            13,
        ),
    ];
    for (spoil, check, side, code, exit) in cases {
        let lines = lines(true, &[], |seen| spoil(seen.look.as_mut().unwrap()));
        assert_eq!(lines.len(), 12, "{code}");
        assert_eq!(told(&lines, check), (Outcome::Bad, side, code));
        assert_eq!(exit_code(&lines), exit, "{code}");
        assert_eq!(lines.iter().filter(|line| line.outcome == Outcome::Bad).count(), 1, "{code}: {lines:?}");
    }
}

fn after_tcp(look: &mut Look, problem: ConnectProblem) {
    *look = Look { resolved: look.resolved.take(), connected: Some(Err(problem)), ..Look::default() };
}

fn after_tls(look: &mut Look, problem: TlsProblem) {
    look.chain = Some(Err(problem));
    (look.accepted, look.clock_ahead) = (None, None);
}

#[test]
fn a_refusal_is_ours_when_our_own_certificate_is_bad() {
    let lines = lines(false, &[], |seen| {
        seen.look.as_mut().unwrap().accepted = Some(Err(TlsProblem::Broken("closed".into())));
    });
    assert_eq!(told(&lines, Check::Tls), (Outcome::Bad, Side::Ours, "tls.refused_by_peer"));
}

#[test]
fn a_third_clock_decides_whose_is_off() {
    let clock = |ahead, others: &[i64]| {
        let lines = lines(true, others, |seen| seen.look.as_mut().unwrap().clock_ahead = Some((ahead, 500)));
        let (outcome, side, _) = told(&lines, Check::Clock);
        (outcome, side)
    };
    assert_eq!(clock(30_500, &[]), (Outcome::Good, Side::None), "the measurement may be off by as much");
    assert_eq!(clock(30_501, &[]), (Outcome::Warning, Side::Either));
    assert_eq!(clock(-600_000, &[]), (Outcome::Bad, Side::Either));
    assert_eq!(clock(600_000, &[100]), (Outcome::Bad, Side::Theirs));
    assert_eq!(clock(600_000, &[599_000]), (Outcome::Bad, Side::Ours));
    assert_eq!(clock(600_000, &[-600_000]), (Outcome::Bad, Side::Either));
}

#[test]
fn what_the_node_says_is_told_with_the_codes_own_side() {
    let with = |spoil: fn(&mut Told)| lines(true, &[], |seen| spoil(seen.told.as_mut().unwrap()));
    let forked = with(|told| told.inbound.as_mut().unwrap().stopped = "channel.fork".into());
    let (outcome, side, code) = told(&forked, Check::ChannelIn);
    assert_eq!((outcome, code), (Outcome::Bad, "channel.fork"));
    assert_eq!(side == Side::Theirs, RefusalCode::Fork.fault() == gateway::refusal::Fault::Peer);
    assert_eq!(told(&forked, Check::ChannelOut).0, Outcome::Good);
    let none = with(|told| told.agreements = (0, 0));
    assert_eq!(told(&none, Check::Agreement), (Outcome::Bad, Side::Ours, "agreement.none"));
    let unsigned = with(|told| told.agreements = (0, 1));
    assert_eq!(told(&unsigned, Check::Agreement), (Outcome::Bad, Side::Either, "agreement.not_effective"));
    let differs = with(|told| {
        told.comparison = Some(Ok(pb::ReconcileRunReply {
            breaks: vec!["channel.root_mismatch".into()],
            ..Default::default()
        }));
    });
    assert_eq!(told(&differs, Check::Copies), (Outcome::Bad, Side::Either, "doctor.copies"));
    let away = with(|told| {
        told.out.as_mut().unwrap().connected = false;
        told.comparison = None;
    });
    assert_eq!(told(&away, Check::ChannelOut), (Outcome::Bad, Side::Either, "link.broken"));
    assert_eq!(told(&away, Check::Version).0, Outcome::Skipped);
}

#[test]
fn a_partner_that_dials_in_is_not_looked_at_from_outside() {
    let lines = lines(true, &[], |seen| (seen.look, seen.address) = (None, None));
    assert_eq!(lines.len(), 12);
    assert_eq!(told(&lines, Check::Tcp).0, Outcome::Skipped);
    assert_eq!(told(&lines, Check::Prefix).0, Outcome::Good);
    assert_eq!(exit_code(&lines), 0);
}

#[test]
fn a_peer_whom_no_domain_speaks_for_is_our_administrators_to_add() {
    let lines = lines(true, &[], |seen| {
        (seen.peer, seen.look) = ("360100".parse().unwrap(), None);
    });
    assert_eq!(told(&lines, Check::Prefix), (Outcome::Bad, Side::Ours, "trust.unknown_domain"));
}
