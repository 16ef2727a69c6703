//! One line of the doctor's answer: what was looked at, how it is, whose side a fault is on, and what to do.

use gateway::id::NodeId;
use serde_json::{Value, json};

use crate::text::{Both, Lang};

/// What is looked at, in the order in which a connection needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The node's own certificates, by its own trust.
    Own,
    /// The node answers on its socket.
    Node,
    /// The peer's name has an address.
    Dns,
    /// Somebody listens there.
    Tcp,
    /// TLS 1.3 comes about, and the peer takes this node's certificate.
    Tls,
    /// The peer's certificate leads to a root that is trusted here.
    Chain,
    /// It is not revoked.
    Revocation,
    /// Its domain speaks for the peer, and it is the peer's.
    Prefix,
    /// Both clocks agree.
    Clock,
    /// Both speak a common version of the protocol.
    Version,
    /// An agreement is in effect.
    Agreement,
    /// The log to the peer.
    ChannelOut,
    /// The log from the peer.
    ChannelIn,
    /// Both copies of both logs are equal.
    Copies,
}

impl Check {
    /// Its name in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own_certificates",
            Self::Node => "node",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Chain => "chain",
            Self::Revocation => "revocation",
            Self::Prefix => "prefix",
            Self::Clock => "clock",
            Self::Version => "version",
            Self::Agreement => "agreement",
            Self::ChannelOut => "channel_out",
            Self::ChannelIn => "channel_in",
            Self::Copies => "copies",
        }
    }

    /// Its name for people.
    pub fn in_words(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Self::Own => ("本节点证书", "own certificates"),
            Self::Node => ("本节点", "this node"),
            Self::Dns => ("域名解析", "DNS"),
            Self::Tcp => ("TCP 连接", "TCP"),
            Self::Tls => ("TLS 握手", "TLS"),
            Self::Chain => ("证书链", "chain"),
            Self::Revocation => ("吊销", "revocation"),
            Self::Prefix => ("区划前缀", "prefix"),
            Self::Clock => ("时钟", "clock"),
            Self::Version => ("协议版本", "version"),
            Self::Agreement => ("协议", "agreement"),
            Self::ChannelOut => ("发出通道", "channel out"),
            Self::ChannelIn => ("收入通道", "channel in"),
            Self::Copies => ("两份副本", "copies"),
        };
        lang.pick(zh, en)
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Good.
    Good,
    /// It works, and somebody should act soon.
    Warning,
    /// It does not work.
    Bad,
    /// It could not be looked at; another line says why.
    Skipped,
}

impl Outcome {
    /// Its name in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Skipped => "skipped",
        }
    }
}

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nobody.
    None,
    /// This node's people.
    Ours,
    /// The partner's people.
    Theirs,
    /// Whoever runs the network between.
    Network,
    /// One of the two: the advice says how to find out.
    Either,
}

impl Side {
    /// Its name in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Network => "network",
            Self::Either => "either",
        }
    }

    /// For people.
    pub fn in_words(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Self::None => ("", ""),
            Self::Ours => ("本方", "ours"),
            Self::Theirs => ("对方", "theirs"),
            Self::Network => ("网络", "network"),
            Self::Either => ("两方之一", "one of both"),
        };
        lang.pick(zh, en)
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The peer; `None`: the node itself.
    pub peer: Option<NodeId>,
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub outcome: Outcome,
    /// Who has to act.
    pub side: Side,
    /// A stable code; empty when it is good.
    pub code: String,
    /// What was found and what to do.
    pub text: Both,
}

impl Line {
    /// For `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "peer": self.peer.map(|peer| peer.to_string()),
            "check": self.check.name(),
            "outcome": self.outcome.name(),
            "side": self.side.name(),
            "code": self.code,
            "message_zh": self.text.zh,
            "message_en": self.text.en,
        })
    }
}
