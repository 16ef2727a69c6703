//! What the doctor makes of what it saw: `(facts, now) → lines`. Nothing is looked at here.

use certs::{Revocation, Status, TrustError, TrustStore};
use gateway::id::NodeId;
use gateway::limits::CLOCK_SKEW_MILLIS_MAX;
use gateway::refusal::{Fault, RefusalCode};
use gateway::transport::probe::{ConnectProblem, Look, TlsProblem};
use proto::local::v1 as pb;

use super::line::{Check, Line, Outcome, Side};
use crate::both;
use crate::text::Both;

/// Clocks that differ by more should be set, ms.
const CLOCK_WARNING_MS: i64 = 30_000;

/// What was seen of one peer.
pub struct Seen {
    /// The peer.
    pub peer: NodeId,
    /// Where it is dialled; `None`: it dials us.
    pub address: Option<String>,
    /// The look from outside; `None`: it is not dialled.
    pub look: Option<Look>,
    /// What the node says; `None`: the node does not answer.
    pub told: Option<Told>,
}

/// What the running node says about one peer.
pub struct Told {
    /// The circuit, if the node dials this peer.
    pub dialled: Option<pb::PeerView>,
    /// The log to it.
    pub out: Option<pb::ChannelView>,
    /// The log from it.
    pub inbound: Option<pb::ChannelView>,
    /// Agreements of both that are in effect, and ones that are not.
    pub agreements: (usize, usize),
    /// The comparison of both copies; `None`: not connected. An error's text when it could not be made.
    pub comparison: Option<Result<pb::ReconcileRunReply, String>>,
}

/// Lines about one peer. `own_good`: this node's own trust takes its TLS certificate; `clocks`: how far the other
/// peers' clocks are ahead of this one, ms.
pub fn peer(seen: &Seen, trust: &TrustStore, own_good: bool, clocks: &[i64], now_ms: i64) -> Vec<Line> {
    let mut lines = Lines { peer: Some(seen.peer), lines: Vec::new() };
    match &seen.look {
        Some(look) => {
            lines.network(look, seen.address.as_deref().unwrap_or_default());
            lines.tls(look, own_good);
            let chain = look.chain.as_ref().and_then(|chain| chain.as_ref().ok());
            lines.certificate(chain.map(Vec::as_slice), trust, now_ms);
            lines.clock(look.clock_ahead, clocks);
        }
        None => {
            let text =
                || both!("由对方拨入，本节点不拨。", "the partner dials in; this node does not dial it.");
            for check in [Check::Dns, Check::Tcp, Check::Tls, Check::Chain, Check::Revocation] {
                lines.add(check, Outcome::Skipped, Side::None, "", text());
            }
            lines.certificate(None, trust, now_ms);
            lines.add(Check::Clock, Outcome::Skipped, Side::None, "", text());
        }
    }
    match &seen.told {
        Some(told) => lines.told(told),
        None => {
            let checks =
                [Check::Version, Check::Agreement, Check::ChannelOut, Check::ChannelIn, Check::Copies];
            for check in checks {
                let text =
                    both!("本节点未运行，无从询问。", "this node does not run, so nobody could be asked.");
                lines.add(check, Outcome::Skipped, Side::None, "", text);
            }
        }
    }
    lines.lines
}

/// A line that tells a problem of trust.
pub fn of_trust(peer: Option<NodeId>, check: Check, error: &TrustError) -> Line {
    let side = match error.fault() {
        certs::Fault::Operator => Side::Ours,
        certs::Fault::Peer if peer.is_none() => Side::Ours,
        certs::Fault::Peer => Side::Theirs,
    };
    let (zh, en) = (error.advice(true), error.advice(false));
    let text = both!("{error}；{zh}", "{error}; {en}");
    Line { peer, check, outcome: Outcome::Bad, side, code: error.code().to_owned(), text }
}

struct Lines {
    peer: Option<NodeId>,
    lines: Vec<Line>,
}

impl Lines {
    fn add(&mut self, check: Check, outcome: Outcome, side: Side, code: &str, text: Both) {
        self.lines.push(Line { peer: self.peer, check, outcome, side, code: code.to_owned(), text });
    }

    fn good(&mut self, check: Check, text: Both) {
        self.add(check, Outcome::Good, Side::None, "", text);
    }

    fn bad(&mut self, check: Check, side: Side, code: &str, text: Both) {
        self.add(check, Outcome::Bad, side, code, text);
    }

    fn skipped(&mut self, check: Check) {
        let text = both!("前一步未通，未查。", "not looked at: the step before it failed.");
        self.add(check, Outcome::Skipped, Side::None, "", text);
    }

    fn network(&mut self, look: &Look, address: &str) {
        match &look.resolved {
            Some(Ok(found)) => {
                let list = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                self.good(Check::Dns, both!("{address} → {list}", "{address} → {list}"));
            }
            Some(Err(error)) => self.bad(
                Check::Dns,
                Side::Ours,
                "doctor.dns",
                both!(
                    "{address} 解析不到地址（{error}）；请核对配置中 peer.address 的拼写与本机 DNS。",
                    "{address} has no address ({error}); check the spelling of peer.address and this machine's DNS."
                ),
            ),
            None => self.skipped(Check::Dns),
        }
        match look.connected {
            Some(Ok(())) => self.good(Check::Tcp, both!("已连通", "connected")),
            Some(Err(ConnectProblem::Refused)) => self.bad(
                Check::Tcp,
                Side::Either,
                "doctor.tcp_refused",
                both!(
                    "{address} 无人监听；请先与对方核对地址与端口（本方 peer.address），无误则请对方启动节点（对方 peer_listener.address）。",
                    "nobody listens at {address}; first compare address and port with the partner (peer.address here), and if they are right, have the partner start its node (peer_listener.address there)."
                ),
            ),
            Some(Err(ConnectProblem::Silent)) => self.bad(
                Check::Tcp,
                Side::Network,
                "doctor.tcp_silent",
                both!(
                    "{address} 没有应答，多为防火墙丢弃；请两端网络管理员放行此端口，并核对路由。",
                    "{address} does not answer, most often a firewall drops it; have both sides' network people open the port and check the route."
                ),
            ),
            Some(Err(ConnectProblem::Unreachable)) => self.bad(
                Check::Tcp,
                Side::Network,
                "doctor.tcp_unreachable",
                both!(
                    "到 {address} 没有路由；请本方网络管理员核对路由与专线。",
                    "there is no route to {address}; have this side's network people check the route and the line."
                ),
            ),
            None => self.skipped(Check::Tcp),
        }
    }

    fn tls(&mut self, look: &Look, own_good: bool) {
        let problem = match (&look.chain, &look.accepted) {
            (None, _) => return self.skipped(Check::Tls),
            (Some(Err(problem)), _) | (Some(Ok(_)), Some(Err(problem))) => problem,
            (Some(Ok(_)), Some(Ok(())) | None) => {
                return self.good(
                    Check::Tls,
                    both!(
                        "TLS 1.3，对方接受本节点证书",
                        "TLS 1.3, and the peer takes this node's certificate"
                    ),
                );
            }
        };
        let handshake_done = matches!(look.chain, Some(Ok(_)));
        match problem {
            TlsProblem::RefusedByPeer(alert) => {
                let side = if own_good { Side::Theirs } else { Side::Ours };
                let text = if own_good {
                    both!(
                        "对方拒绝本节点的证书（{alert}），而本节点自查无误；请对方在其日志中查看代码（trust.…），核对其信任目录是否已有本省根证书、有无暂停本节点。",
                        "the peer refuses this node's certificate ({alert}), which is good by this node's own trust; have the partner look up the code (trust.…) in its log, and see that it has this province's root and has not suspended this node."
                    )
                } else {
                    both!(
                        "对方拒绝本节点的证书（{alert}）；本节点证书自查即不合格，请先按上文更换。",
                        "the peer refuses this node's certificate ({alert}), which this node's own trust refuses too: replace it first, as said above."
                    )
                };
                self.bad(Check::Tls, side, "tls.refused_by_peer", text);
            }
            // A peer that closes right after the handshake has judged, and said so too late to be heard.
            TlsProblem::Broken(_) | TlsProblem::Timeout if handshake_done => self.bad(
                Check::Tls,
                if own_good { Side::Theirs } else { Side::Ours },
                "tls.refused_by_peer",
                both!(
                    "握手后对方即断开，多为不接受本节点证书；请对方查看其日志中的代码（trust.…）。",
                    "the peer closes right after the handshake, most often because it does not take this node's certificate; have the partner look up the code (trust.…) in its log."
                ),
            ),
            TlsProblem::Protocol(why) => self.bad(
                Check::Tls,
                Side::Either,
                "tls.protocol",
                both!(
                    "对端不是 TLS 1.3 节点（{why}）；请先核对端口，其次看中间有无代理改写 TLS。",
                    "what answers is no node with TLS 1.3 ({why}); first compare the port, then look for a proxy between that rewrites TLS."
                ),
            ),
            TlsProblem::Broken(why) => self.bad(
                Check::Tls,
                Side::Network,
                "tls.broken",
                both!(
                    "握手中断（{why}）；请先核对端口，其次查中间的防火墙与代理。",
                    "the handshake broke off ({why}); first compare the port, then look at firewalls and proxies between."
                ),
            ),
            TlsProblem::Timeout => self.bad(
                Check::Tls,
                Side::Network,
                "tls.timeout",
                both!(
                    "握手超时；请先核对端口，其次查中间的防火墙与代理。",
                    "the handshake takes too long; first compare the port, then look at firewalls and proxies between."
                ),
            ),
            TlsProblem::Own(why) => self.bad(
                Check::Tls,
                Side::Ours,
                "tls.own_identity",
                both!("本节点 TLS 身份不可用（{why}）。", "this node's own TLS identity cannot be used ({why})."),
            ),
        }
    }

    fn certificate(&mut self, chain: Option<&[Vec<u8>]>, trust: &TrustStore, now_ms: i64) {
        let peer = self.peer;
        let speaks = peer
            .and_then(|peer| peer.as_str().parse().ok())
            .and_then(|division| trust.domains().iter().find(|domain| domain.speaks_for(division)));
        let Some(chain) = chain.filter(|chain| !chain.is_empty()) else {
            if !self.lines.iter().any(|line| line.check == Check::Chain) {
                self.skipped(Check::Chain);
                self.skipped(Check::Revocation);
            }
            match speaks {
                Some(domain) => self.good(Check::Prefix, spoken_for(domain)),
                None => self.nobody_speaks(),
            }
            return;
        };
        let refs: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let verdict = trust.verify(certs::Purpose::Tls, &refs, now_ms);
        let about = verdict.as_ref().err().map(check_of);
        let status = trust.revocation_status(&refs, now_ms);
        match (&verdict, about) {
            (Err(error), Some(Check::Chain)) => self.lines.push(of_trust(peer, Check::Chain, error)),
            // The domain was judged before the path, so the path was not.
            (Err(_), Some(Check::Prefix)) => self.skipped(Check::Chain),
            (Err(_), Some(_)) => {
                self.good(Check::Chain, both!("通向受信任的根证书", "it leads to a trusted root"));
            }
            (Err(_), None) => {}
            (Ok(verified), _) => {
                let until = crate::cli::certs::date(verified.not_after_ms);
                self.good(
                    Check::Chain,
                    both!("通向受信任的根证书，{until} 到期", "it leads to a trusted root and ends {until}"),
                );
            }
        }
        match status {
            Ok(Status::Revoked { since_ms }) => {
                let error = TrustError::Revoked { since_ms: Some(since_ms) };
                self.lines.push(of_trust(peer, Check::Revocation, &error));
            }
            Ok(Status::Good { .. }) => self.fresh_revocation(trust, &refs, now_ms),
            Ok(Status::Unknown(error)) if check_of(&error) == Check::Revocation => {
                self.lines.push(of_trust(peer, Check::Revocation, &error));
            }
            Ok(Status::Unknown(_)) | Err(_) => self.skipped(Check::Revocation),
        }
        match &verdict {
            // Where nobody speaks for the peer, its certificate is not the first thing to mend.
            Err(error) if check_of(error) == Check::Prefix && speaks.is_some() => {
                self.lines.push(of_trust(peer, Check::Prefix, error));
            }
            _ => match speaks {
                None => self.nobody_speaks(),
                Some(domain) => match certs::inspect::inspect(&chain[0], None, now_ms).map(|leaf| leaf.id) {
                    Ok(Some(id)) if Some(id.division.as_str()) != peer.as_ref().map(NodeId::as_str) => {
                        let found = id.division;
                        let expected = peer.map_or_else(String::new, |peer| peer.to_string());
                        self.bad(
                            Check::Prefix,
                            Side::Either,
                            "trust.unexpected_node",
                            both!(
                                "应连 {expected}，应答的是 {found}；请与对方核对 peer.address。",
                                "{found} answers where {expected} was expected; compare peer.address with the partner."
                            ),
                        );
                    }
                    _ => self.good(Check::Prefix, spoken_for(domain)),
                },
            },
        }
    }

    fn nobody_speaks(&mut self) {
        let peer = self.peer.map_or_else(String::new, |peer| peer.to_string());
        self.bad(
            Check::Prefix,
            Side::Ours,
            "trust.unknown_domain",
            both!(
                "信任目录中没有可代表 {peer} 的信任域；请经双人审批登记对方的信任域与前缀（tongban trust domain add）。",
                "no trust domain here speaks for {peer}; add the partner's domain and prefixes with two people's approval (tongban trust domain add)."
            ),
        );
    }

    /// Good, and whether somebody should see to lists or a bundle that are out of date.
    fn fresh_revocation(&mut self, trust: &TrustStore, chain: &[&[u8]], now_ms: i64) {
        let id = certs::inspect::inspect(chain[0], None, now_ms).ok().and_then(|leaf| leaf.id);
        let domain = id.and_then(|id| trust.domains().iter().find(|domain| *domain.name() == id.domain));
        let late_list = match domain.map(certs::TrustDomain::revocation) {
            Some(Revocation::Crl { lists, .. }) => lists.iter().any(|list| list.next_update_ms() < now_ms),
            Some(Revocation::None) => {
                return self.good(
                    Check::Revocation,
                    both!("该域经批准不发布吊销列表", "the domain is approved without revocation lists"),
                );
            }
            None => false,
        };
        let late_bundle =
            domain.and_then(certs::TrustDomain::bundle).is_some_and(|bundle| bundle.fresh_until_ms < now_ms);
        if late_list || late_bundle {
            self.add(
                Check::Revocation,
                Outcome::Warning,
                Side::Theirs,
                "node.trust_stale",
                both!(
                    "未被吊销，但吊销列表或信任包已逾期，尚在宽限期；请对方发布新的，取得后导入。",
                    "not revoked, but its list or bundle is out of date and in its grace; have the partner publish a new one, and import it."
                ),
            );
        } else {
            self.good(Check::Revocation, both!("未被吊销，列表有效", "not revoked, and the lists are fresh"));
        }
    }

    fn clock(&mut self, ahead: Option<(i64, i64)>, clocks: &[i64]) {
        let Some((ahead, about)) = ahead else { return self.skipped(Check::Clock) };
        let most = i64::try_from(CLOCK_SKEW_MILLIS_MAX).unwrap_or(i64::MAX);
        let found = both!(
            "对方比本机快 {ahead} 毫秒（±{about}）",
            "the peer is {ahead} ms ahead of this machine (±{about})"
        );
        let off = ahead.saturating_abs().saturating_sub(about);
        if off <= CLOCK_WARNING_MS {
            return self.good(Check::Clock, found);
        }
        // Who is alone with his time? A third clock decides.
        let near = |other: i64| other.saturating_abs() <= CLOCK_WARNING_MS;
        let side = if clocks.iter().any(|other| near(*other)) {
            Side::Theirs
        } else if clocks.iter().any(|other| near(other.saturating_sub(ahead))) {
            Side::Ours
        } else {
            Side::Either
        };
        let outcome = if off > most { Outcome::Bad } else { Outcome::Warning };
        let text = Both {
            zh: format!("{}；请与标准时间比对（chronyc tracking），校正偏离的一方。", found.zh),
            en: format!(
                "{}; compare both with standard time (chronyc tracking) and set the one that is off.",
                found.en
            ),
        };
        self.add(Check::Clock, outcome, side, "doctor.clock", text);
    }

    fn told(&mut self, told: &Told) {
        let connected = told.out.as_ref().is_some_and(|channel| channel.connected);
        let last = told.dialled.as_ref().map(|peer| peer.last_failure.as_str()).unwrap_or_default();
        if connected {
            self.good(Check::Version, both!("双方已用共同的版本通话", "both talk in a common version"));
        } else if last == RefusalCode::VersionUnsupported.code() {
            let code = RefusalCode::VersionUnsupported;
            let (zh, en) = (code.zh(), code.en());
            self.bad(
                Check::Version,
                Side::Either,
                code.code(),
                both!(
                    "{zh}（两端各执行 tongban --version 比较）",
                    "{en} (compare `tongban --version` of both)"
                ),
            );
        } else {
            let text = both!("尚未通话（上次：{last}）", "they have not talked yet (last: {last})");
            self.add(Check::Version, Outcome::Skipped, Side::None, "", text);
        }
        match told.agreements {
            (0, 0) => self.bad(
                Check::Agreement,
                Side::Ours,
                RefusalCode::NoAgreement.code(),
                both!(
                    "与对方没有任何协议；请起草并由双方签署（tongban agreement sign）。",
                    "there is no agreement with this partner; draft one and have both sign it (tongban agreement sign)."
                ),
            ),
            (0, others) => self.bad(
                Check::Agreement,
                Side::Either,
                RefusalCode::AgreementNotEffective.code(),
                both!(
                    "有 {others} 份协议，均未生效；请用 tongban document list 看缺哪方签署，或是否在有效期内。",
                    "{others} agreements, none in effect; see with tongban document list whose signature is missing, and whether the term has begun."
                ),
            ),
            (count, _) => self.good(Check::Agreement, both!("{count} 份协议有效", "{count} in effect")),
        }
        self.channel(Check::ChannelOut, told.out.as_ref(), last);
        self.channel(Check::ChannelIn, told.inbound.as_ref(), last);
        match &told.comparison {
            None => self.skipped(Check::Copies),
            Some(Ok(reply)) if reply.breaks.is_empty() => {
                let text = if reply.in_flight {
                    both!("一致，有报文在途", "equal, with entries on their way")
                } else {
                    both!("两份副本一致", "both copies are equal")
                };
                self.good(Check::Copies, text);
            }
            Some(Ok(reply)) => {
                let list = reply.breaks.join("; ");
                self.bad(
                    Check::Copies,
                    Side::Either,
                    "doctor.copies",
                    both!(
                        "副本不一致：{list}；请双方勿重启，执行 tongban reconcile run 并保全证据。",
                        "the copies differ: {list}; restart neither node, run tongban reconcile run and keep the evidence."
                    ),
                );
            }
            Some(Err(why)) => {
                let text = both!("未能比对（{why}）", "they could not be compared ({why})");
                self.add(Check::Copies, Outcome::Warning, Side::Either, "doctor.copies", text);
            }
        }
    }

    fn channel(&mut self, check: Check, channel: Option<&pb::ChannelView>, last: &str) {
        let Some(channel) = channel else { return self.skipped(check) };
        let (size, cosigned, staged) = (channel.size, channel.cosigned, channel.staged);
        if !channel.stopped.is_empty() {
            let code = RefusalCode::with_code(&channel.stopped);
            let side = code.map_or(Side::Either, |code| match code.fault() {
                Fault::Peer => Side::Theirs,
                Fault::Operator | Fault::Ours => Side::Ours,
                Fault::Unknown => Side::Either,
            });
            let (zh, en) = code.map_or(("", ""), |code| (code.zh(), code.en()));
            let (from, to) = (&channel.from, &channel.to);
            return self.bad(
                check,
                side,
                &channel.stopped,
                both!(
                    "已停：{zh}查明后执行 tongban channel resume '{from}>{to}'。",
                    "stopped: {en} When the cause is found, run tongban channel resume '{from}>{to}'."
                ),
            );
        }
        if !channel.connected {
            return self.bad(
                check,
                Side::Either,
                "link.broken",
                both!(
                    "未连接（上次：{last}），长度 {size}，已回执 {cosigned}，待发 {staged}；原因见上面各行，皆好则请对方运行 tongban doctor。",
                    "not connected (last: {last}); size {size}, receipted {cosigned}, waiting {staged}. The lines above say why; if all are good, have the partner run tongban doctor."
                ),
            );
        }
        if cosigned < size || staged > 0 {
            let text = both!(
                "长度 {size}，已回执 {cosigned}，待发 {staged}",
                "size {size}, receipted {cosigned}, waiting {staged}"
            );
            return self.good(check, text);
        }
        self.good(check, both!("长度 {size}，全部已回执", "size {size}, all receipted"));
    }
}

fn spoken_for(domain: &certs::TrustDomain) -> Both {
    let name = domain.name();
    both!("由信任域 {name} 代表", "the trust domain {name} speaks for it")
}

/// Which line a verdict belongs to.
fn check_of(error: &TrustError) -> Check {
    match error {
        TrustError::Revoked { .. }
        | TrustError::CrlMissing(_)
        | TrustError::CrlStale { .. }
        | TrustError::CrlInvalid(_)
        | TrustError::CrlForeignIssuer(_)
        | TrustError::BundleStale { .. } => Check::Revocation,
        TrustError::ForeignPrefix { .. }
        | TrustError::UnknownDomain(_)
        | TrustError::UnexpectedNode { .. } => Check::Prefix,
        _ => Check::Chain,
    }
}
