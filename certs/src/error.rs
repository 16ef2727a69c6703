//! Everything that can be wrong with a certificate or with the trust configuration.
//!
//! Each variant has a stable code for logs, status lines and refusals, names whose fault it is, and advises what
//! to do next in Chinese or English. Sorted by blame: the peer's certificate first, then what this node's
//! administrator keeps: revocation data, configuration, keys.

use std::path::{Path, PathBuf};

use crate::domain::AnchorState;
use crate::profile::Purpose;
use crate::spiffe::{Division, DomainName};

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever presented the certificate, or the authority that issued it.
    Peer,
    /// The administrator of this node.
    Operator,
}

/// Why a certificate is not trusted, or trust material cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    // -- the peer's certificate
    /// No certificate at all.
    #[error("no certificate was presented")]
    ChainEmpty,
    /// More certificates than [`crate::limits::CHAIN_CERTIFICATES_MAX`].
    #[error("a chain of {count} certificates is too long")]
    ChainTooLong {
        /// How many were presented.
        count: usize,
    },
    /// A certificate over [`crate::limits::CERTIFICATE_BYTES_MAX`].
    #[error("a certificate of {bytes} bytes is too large")]
    CertificateTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not X.509, or not in one of the ways that we read.
    #[error("malformed certificate: {0}")]
    CertificateMalformed(String),
    /// The names in the certificate are not exactly one SPIFFE id of a node.
    #[error("wrong subject alternative name: {0}")]
    WrongSan(String),
    /// No such trust domain in the trust store.
    #[error("unknown trust domain {0}")]
    UnknownDomain(DomainName),
    /// The trust domain may not speak for the division.
    #[error("trust domain {domain} may not speak for division {division}")]
    ForeignPrefix {
        /// The domain in the certificate.
        domain: DomainName,
        /// The division in the certificate.
        division: Division,
    },
    /// The key usages do not allow what the certificate is presented for.
    #[error("not a {purpose} certificate: {reason}")]
    WrongUsage {
        /// What it was presented for.
        purpose: Purpose,
        /// Which usage is missing or too much.
        reason: &'static str,
    },
    /// An authority's certificate in the place of a node's.
    #[error("an authority's certificate was presented as a node's")]
    CaAsLeaf,
    /// A key or signature outside ECDSA P-256/P-384, Ed25519 and, for signing, SM2.
    #[error("algorithm not allowed: {0}")]
    WeakAlgorithm(String),
    /// Signed over SHA-1, for which collisions can be bought.
    #[error("signed with SHA-1 ({0})")]
    SignatureSha1(String),
    /// An RSA key under 2048 bits.
    #[error("an RSA key of {bits} bits")]
    RsaShort {
        /// Its length.
        bits: usize,
    },
    /// Presented as an authority's, but basicConstraints does not say CA.
    #[error("not an authority's certificate: {0}")]
    NotAnAuthority(String),
    /// Two different certificates of one issuer, or two entries of one list, with one serial number.
    #[error("serial number {serial} is there twice")]
    DuplicateSerial {
        /// The serial number, hex.
        serial: String,
    },
    /// A certificate of the chain has run out.
    #[error("certificate expired, valid until {not_after_ms} ms, judged at {at_ms} ms")]
    CertificateExpired {
        /// Its last valid instant.
        not_after_ms: i64,
        /// The instant of judgement.
        at_ms: i64,
    },
    /// A certificate of the chain begins later.
    #[error("certificate not yet valid, valid from {not_before_ms} ms, judged at {at_ms} ms")]
    CertificateNotYetValid {
        /// Its first valid instant.
        not_before_ms: i64,
        /// The instant of judgement.
        at_ms: i64,
    },
    /// No path from the certificate to an anchor of its own trust domain.
    #[error("no anchor of trust domain {0} issued this certificate")]
    UnknownIssuer(DomainName),
    /// The issuer's name fits and its key does not: forged, or issued under another key of the same name.
    #[error("a certificate's signature is not its issuer's")]
    BadSignature,
    /// Some other rule of RFC 5280 §6 is broken, such as a path length or a name constraint.
    #[error("certificate path refused: {0}")]
    PathInvalid(String),
    /// Listed in its issuer's revocation list.
    #[error("certificate revoked")]
    Revoked {
        /// Since when its key counts as lost, if the list tells.
        since_ms: Option<i64>,
    },
    /// The path ends in an anchor whose state forbids this use.
    #[error("the anchor of trust domain {domain} is {state}")]
    AnchorNotUsable {
        /// Whose anchor.
        domain: DomainName,
        /// Its state: never one that allows the use.
        state: AnchorState,
    },
    /// The node is suspended in this trust store.
    #[error("node {0} is suspended")]
    Suspended(Division),
    /// Its domain lists its nodes, and this one is not among them.
    #[error("node {0} is not listed in its trust domain")]
    NotListed(Division),
    /// The node is listed with keys, and this is another.
    #[error("the key of node {0} is not one that is listed for it")]
    KeyNotListed(Division),
    /// Good, but of another node than was dialled.
    #[error("expected node {expected}, found node {found}")]
    UnexpectedNode {
        /// Who should have answered.
        expected: Division,
        /// Who did.
        found: Division,
    },

    // -- revocation data
    /// No revocation list of the certificate's issuer, in a domain that does not say `revocation = "none"`.
    #[error("no revocation list of the issuer in trust domain {0}")]
    CrlMissing(DomainName),
    /// The newest revocation list is out of date, and the grace is over.
    #[error("the revocation list of trust domain {domain} was to be renewed by {next_update_ms} ms")]
    CrlStale {
        /// Whose list.
        domain: DomainName,
        /// When it should have been replaced, before any grace.
        next_update_ms: i64,
    },
    /// A revocation list that is not signed by the issuer that it names.
    #[error("revocation list refused: {0}")]
    CrlInvalid(String),
    /// A revocation list of an authority outside the domain that it was to serve.
    #[error("no authority of trust domain {0} signed this revocation list")]
    CrlForeignIssuer(DomainName),

    // -- trust bundles
    /// Not a trust bundle of a version that is known here.
    #[error("malformed trust bundle: {0}")]
    BundleMalformed(String),
    /// The signature is not that of the certificate in it.
    #[error("the trust bundle of {0} is not signed by its signer")]
    BundleSignature(DomainName),
    /// It states what is not its province's to state.
    #[error("the trust bundle of {0} goes beyond its province: {1}")]
    BundleBeyond(DomainName, String),
    /// Older than the one that is followed, or another of the same number.
    #[error("the trust bundle of {domain} has number {found}, and number {seen} is followed")]
    BundleRolledBack {
        /// Whose.
        domain: DomainName,
        /// The number that is followed.
        seen: u64,
        /// The number found.
        found: u64,
    },
    /// The newest bundle is out of date, and the grace is over.
    #[error("the trust bundle of {domain} was to be renewed by {fresh_until_ms} ms")]
    BundleStale {
        /// Whose.
        domain: DomainName,
        /// When it should have been replaced, before any grace.
        fresh_until_ms: i64,
    },

    // -- configuration and keys
    /// The administration log is not what was written, or not whole.
    #[error("administration log, record {record}: {reason}")]
    LogTampered {
        /// Which record, counted from 1.
        record: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The administration log ends before, or went another way than, what this node has seen of it.
    #[error("the administration log does not continue record {seen}, which this node has seen")]
    LogRolledBack {
        /// Records seen before.
        seen: usize,
    },
    /// Two prefixes, in one domain or in two, cover the same divisions.
    #[error("prefixes {first} and {second} overlap")]
    PrefixesOverlap {
        /// Domain and prefix.
        first: String,
        /// Domain and prefix.
        second: String,
    },
    /// `trust.toml`, or a domain built in memory, contradicts itself.
    #[error("trust configuration: {0}")]
    Config(String),
    /// A file cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is not the PEM that it should be.
    #[error("{path}: {reason}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A PEM file with several blocks where one belongs, or more than fit.
    #[error("{path}: {count} blocks are too many")]
    PemSeveral {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// A PEM file with a block of another kind than belongs there.
    #[error("{path}: a block of kind {found:?} where {wanted:?} belongs")]
    PemKind {
        /// The file.
        path: PathBuf,
        /// The kind found; whoever made the file chose it.
        found: String,
        /// The kind that belongs there.
        wanted: &'static str,
    },
    /// A private key that others on the machine may read.
    #[error("{path}: readable by others (mode {mode:03o})")]
    KeyReadableByOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A private key that is neither P-256, Ed25519 nor SM2 in PKCS#8.
    #[error("private key not supported: {0}")]
    KeyUnsupported(String),
    /// The private key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
}

impl TrustError {
    /// The stable code: dotted, lower case. It is part of logs, reports and refusals; never change one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ChainEmpty => "trust.chain_empty",
            Self::ChainTooLong { .. } => "trust.chain_too_long",
            Self::CertificateTooLarge { .. } => "trust.certificate_too_large",
            Self::CertificateMalformed(_) => "trust.certificate_malformed",
            Self::WrongSan(_) => "trust.wrong_san",
            Self::UnknownDomain(_) => "trust.unknown_domain",
            Self::ForeignPrefix { .. } => "trust.foreign_prefix",
            Self::WrongUsage { .. } => "trust.wrong_usage",
            Self::CaAsLeaf => "trust.ca_as_leaf",
            Self::WeakAlgorithm(_) => "trust.weak_algorithm",
            Self::SignatureSha1(_) => "trust.signature_sha1",
            Self::RsaShort { .. } => "trust.rsa_short",
            Self::NotAnAuthority(_) => "trust.not_an_authority",
            Self::DuplicateSerial { .. } => "trust.duplicate_serial",
            Self::CertificateExpired { .. } => "trust.certificate_expired",
            Self::CertificateNotYetValid { .. } => "trust.certificate_not_yet_valid",
            Self::UnknownIssuer(_) => "trust.unknown_issuer",
            Self::BadSignature => "trust.bad_signature",
            Self::PathInvalid(_) => "trust.path_invalid",
            Self::Revoked { .. } => "trust.revoked",
            Self::AnchorNotUsable { state, .. } => match state {
                AnchorState::Prepared => "trust.anchor_prepared",
                AnchorState::Active => "trust.anchor_active",
                AnchorState::Tainted => "trust.anchor_tainted",
                AnchorState::Revoked => "trust.anchor_revoked",
            },
            Self::Suspended(_) => "trust.suspended",
            Self::NotListed(_) => "trust.not_listed",
            Self::KeyNotListed(_) => "trust.key_not_listed",
            Self::UnexpectedNode { .. } => "trust.unexpected_node",
            Self::CrlMissing(_) => "trust.crl_missing",
            Self::CrlStale { .. } => "trust.crl_stale",
            Self::CrlInvalid(_) => "trust.crl_invalid",
            Self::CrlForeignIssuer(_) => "trust.crl_foreign_issuer",
            Self::BundleMalformed(_) => "trust.bundle_malformed",
            Self::BundleSignature(_) => "trust.bundle_signature",
            Self::BundleBeyond(..) => "trust.bundle_beyond",
            Self::BundleRolledBack { .. } => "trust.bundle_rolled_back",
            Self::BundleStale { .. } => "trust.bundle_stale",
            Self::LogTampered { .. } => "trust.log_tampered",
            Self::LogRolledBack { .. } => "trust.log_rolled_back",
            Self::PrefixesOverlap { .. } => "trust.prefixes_overlap",
            Self::Config(_) => "trust.config",
            Self::File { .. } => "trust.file",
            Self::Pem { .. } => "trust.pem",
            Self::PemSeveral { .. } => "trust.pem_several",
            Self::PemKind { .. } => "trust.pem_kind",
            Self::KeyReadableByOthers { .. } => "trust.key_readable_by_others",
            Self::KeyUnsupported(_) => "trust.key_unsupported",
            Self::KeyMismatch => "trust.key_mismatch",
        }
    }

    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::ChainEmpty
            | Self::ChainTooLong { .. }
            | Self::CertificateTooLarge { .. }
            | Self::CertificateMalformed(_)
            | Self::WrongSan(_)
            | Self::ForeignPrefix { .. }
            | Self::WrongUsage { .. }
            | Self::CaAsLeaf
            | Self::WeakAlgorithm(_)
            | Self::SignatureSha1(_)
            | Self::RsaShort { .. }
            | Self::NotAnAuthority(_)
            | Self::DuplicateSerial { .. }
            | Self::CertificateExpired { .. }
            | Self::CertificateNotYetValid { .. }
            | Self::UnknownIssuer(_)
            | Self::BadSignature
            | Self::PathInvalid(_)
            | Self::Revoked { .. }
            | Self::BundleMalformed(_)
            | Self::BundleSignature(_)
            | Self::BundleBeyond(..)
            | Self::BundleRolledBack { .. }
            | Self::UnexpectedNode { .. } => Fault::Peer,
            Self::UnknownDomain(_)
            | Self::AnchorNotUsable { .. }
            | Self::Suspended(_)
            | Self::NotListed(_)
            | Self::KeyNotListed(_)
            | Self::CrlMissing(_)
            | Self::CrlStale { .. }
            | Self::CrlInvalid(_)
            | Self::CrlForeignIssuer(_)
            | Self::BundleStale { .. }
            | Self::LogTampered { .. }
            | Self::LogRolledBack { .. }
            | Self::PrefixesOverlap { .. }
            | Self::Config(_)
            | Self::File { .. }
            | Self::Pem { .. }
            | Self::PemSeveral { .. }
            | Self::PemKind { .. }
            | Self::KeyReadableByOthers { .. }
            | Self::KeyUnsupported(_)
            | Self::KeyMismatch => Fault::Operator,
        }
    }

    /// What to do next, one sentence: Chinese if `zh`, otherwise English.
    pub fn advice(&self, zh: bool) -> String {
        let (chinese, english) = match self {
            Self::ChainEmpty => (
                "对方未出示证书。请对方在节点上配置 TLS 证书后重新连接。".into(),
                "The peer showed no certificate; have it configure its TLS certificate and connect again.".into(),
            ),
            Self::ChainTooLong { count } => (
                format!("对方的证书链有 {count} 张证书，超出上限。请对方只发送节点证书和中间证书。"),
                format!("The peer sent {count} certificates; have it send only its own and the intermediate ones."),
            ),
            Self::CertificateTooLarge { bytes } => (
                format!("证书长 {bytes} 字节，超出上限。请证书机构签发更精简的证书。"),
                format!("The certificate has {bytes} bytes; have its authority issue a smaller one."),
            ),
            Self::CertificateMalformed(reason) => (
                format!("证书无法解析（{reason}）。请核对证书文件是否损坏，必要时重新签发。"),
                format!("The certificate cannot be read ({reason}); check the file for damage, or issue it again."),
            ),
            Self::WrongSan(reason) => (
                format!("证书中的名称不符合要求（{reason}）。请证书机构重新签发，且仅含一个 spiffe://<信任域>/node/<行政区划代码> 形式的 URI。"),
                format!("The certificate's names are wrong ({reason}); have it issued again with exactly one URI, spiffe://<trust-domain>/node/<division>."),
            ),
            Self::UnknownDomain(domain) => (
                format!("本节点尚未信任 {domain}。如确需互通，请经双人审批后将其加入信任库。"),
                format!("This node does not trust {domain}; if it should, add the domain to the trust store with two people's approval."),
            ),
            Self::ForeignPrefix { domain, division } => (
                format!("信任域 {domain} 无权代表 {division}。请由该地所属信任域的证书机构签发证书。"),
                format!("{domain} may not speak for {division}; have the certificate issued by the division's own trust domain."),
            ),
            Self::WrongUsage { purpose: Purpose::Tls, reason } => (
                format!("该证书不能用于 TLS 连接（{reason}）。请使用 TLS 证书，不要与签名证书混用。"),
                format!("This certificate cannot open connections ({reason}); use the node's TLS certificate, not its signing one."),
            ),
            Self::WrongUsage { purpose: Purpose::Signing, reason } => (
                format!("该证书不能用于签名（{reason}）。请使用签名证书，不要与 TLS 证书混用。"),
                format!("This certificate cannot sign ({reason}); use the node's signing certificate, not its TLS one."),
            ),
            Self::CaAsLeaf => (
                "节点出示的是证书机构的证书。请改用签发给该节点的证书。".into(),
                "An authority's certificate was presented; use the one that was issued to the node.".into(),
            ),
            Self::WeakAlgorithm(reason) => (
                format!("证书使用了不允许的算法（{reason}）。请改用 P-256 或 Ed25519 密钥（签名证书也可用 SM2）重新签发。"),
                format!("The certificate uses an algorithm that is not allowed ({reason}); issue it again with a P-256 or Ed25519 key, a signing certificate also with SM2."),
            ),
            Self::SignatureSha1(reason) => (
                format!("证书用 SHA-1 签名（{reason}），可被伪造。请证书机构改用 SHA-256 重新签发。"),
                format!("The certificate is signed with SHA-1 ({reason}), which can be forged; have it issued again with SHA-256."),
            ),
            Self::RsaShort { bits } => (
                format!("RSA 密钥仅 {bits} 位，强度不足。请改用 P-256 或 Ed25519 密钥重新申请。"),
                format!("An RSA key of {bits} bits is too weak; make a P-256 or Ed25519 key and request again."),
            ),
            Self::NotAnAuthority(reason) => (
                format!("该证书不是证书机构的证书（{reason}）。请使用 basicConstraints 标明 CA:TRUE 的证书。"),
                format!("This is not an authority's certificate ({reason}); use one whose basicConstraints says CA:TRUE."),
            ),
            Self::DuplicateSerial { serial } => (
                format!("序列号 {serial} 重复，吊销时将无法区分。请证书机构查明原因并重新签发。"),
                format!("Serial number {serial} is used twice, so that a revocation could mean either; have the authority find out why and issue again."),
            ),
            Self::CertificateExpired { .. } => (
                "证书已过期。请签发新证书并替换；若证书并未过期，请核对本机时间。".into(),
                "The certificate has expired; issue and install a new one, or correct this machine's clock.".into(),
            ),
            Self::CertificateNotYetValid { .. } => (
                "证书尚未生效。请核对两端时间，或待其生效后再试。".into(),
                "The certificate is not valid yet; compare both clocks, or wait until it is.".into(),
            ),
            Self::UnknownIssuer(domain) => (
                format!("证书不是由 {domain} 的受信任根证书签发，或缺少中间证书。请核对签发机构，并确认对方发送了完整的证书链。"),
                format!("No trusted root of {domain} issued this certificate, or an intermediate is missing; check the issuer and the chain that is sent."),
            ),
            Self::BadSignature => (
                "证书的签名与签发机构不符，可能系伪造，或根证书已更换。请与签发机构核实后再处理。".into(),
                "The certificate's signature is not its issuer's: it may be forged, or the root was replaced; ask the authority before anything else.".into(),
            ),
            Self::PathInvalid(reason) => (
                format!("证书链不合规（{reason}）。请签发机构检查其中间证书的约束。"),
                format!("The certificate path breaks a rule ({reason}); have the authority check its intermediates' constraints."),
            ),
            Self::Revoked { .. } => (
                "证书已被吊销。请对方更换证书；如怀疑私钥泄露，请立即按应急预案处置。".into(),
                "The certificate is revoked; have the peer install a new one, and treat its key as lost if that is why.".into(),
            ),
            Self::AnchorNotUsable { domain, state } => match state {
                AnchorState::Prepared => (
                    format!("{domain} 的根证书已登记但尚未启用。请经双人审批后启用。"),
                    format!("The root of {domain} is prepared but not active; activate it with two people's approval."),
                ),
                AnchorState::Active => (
                    format!("{domain} 的根证书处于启用状态，请核对信任库。"),
                    format!("The root of {domain} is active; inspect the trust store."),
                ),
                AnchorState::Tainted => (
                    format!("{domain} 的根证书已停用于新业务，仅可验证历史证据。请对方改用新根证书签发的证书。"),
                    format!("The root of {domain} is tainted and verifies old evidence only; have the peer use a certificate under the new root."),
                ),
                AnchorState::Revoked => (
                    format!("{domain} 的根证书已被撤销信任。请对方改用新根证书签发的证书。"),
                    format!("The root of {domain} is revoked; have the peer use a certificate under a trusted root."),
                ),
            },
            Self::Suspended(division) => (
                format!("节点 {division} 已被本节点暂停。请联系管理员确认原因，必要时恢复。"),
                format!("Node {division} is suspended here; ask the administrator why, and lift the suspension if it is over."),
            ),
            Self::NotListed(division) => (
                format!("信任域列明了其节点，{division} 不在其中。如应互通，请用 tongban trust node add 申请列入。"),
                format!("The trust domain lists its nodes and {division} is not among them; if it should be, propose it with tongban trust node add."),
            ),
            Self::KeyNotListed(division) => (
                format!("{division} 出示的密钥不在为其列明的密钥之中。请以另一途径向对方核实，再用 tongban trust node add 登记新密钥。"),
                format!("{division} shows a key that is not listed for it; ask the partner by another way, then list the new one with tongban trust node add."),
            ),
            Self::BundleMalformed(reason) => (
                format!("信任包无法解析（{reason}）。请核对文件是否完整，必要时请对方重新发布。"),
                format!("The trust bundle cannot be read ({reason}); check the file for damage, or have the province publish it again."),
            ),
            Self::BundleSignature(domain) => (
                format!("{domain} 的信任包签名不符，可能在途中被改。请以另一途径向该省核实并重新取得。"),
                format!("The signature of {domain}'s trust bundle does not hold, it may have been changed on its way; ask the province by another way and fetch it again."),
            ),
            Self::BundleBeyond(domain, what) => (
                format!("{domain} 的信任包越权（{what}）。信任包只能变更已批准根证书之下的节点、吊销列表与中间机构；其余请该省另行提出。"),
                format!("{domain}'s trust bundle goes beyond its province ({what}); it may change nodes, revocation lists and intermediates under approved roots, and nothing else."),
            ),
            Self::BundleRolledBack { domain, seen, found } => (
                format!("{domain} 的信任包编号 {found} 不新于已采用的 {seen}，予以拒绝。请取得最新的一份；编号相同而内容不同，须向该省核实。"),
                format!("{domain}'s trust bundle has number {found} and number {seen} is followed; fetch the newest. Another bundle of the same number is for the province to explain."),
            ),
            Self::BundleStale { domain, .. } => (
                format!("{domain} 的信任包早该更新且宽限期已过。请取得新的信任包，放入 trust.bundles 目录。"),
                format!("{domain}'s trust bundle is out of date and its grace is over; put a new one into the folder of trust.bundles."),
            ),
            Self::UnexpectedNode { expected, found } => (
                format!("应连接 {expected}，实际应答的是 {found}。请核对对方地址配置。"),
                format!("Node {found} answered where {expected} was expected; check the configured address."),
            ),
            Self::CrlMissing(domain) => (
                format!("信任域 {domain} 缺少签发机构的吊销列表。请取得 CRL 文件并配置；确无 CRL 的，须明示 revocation = \"none\"。"),
                format!("{domain} lacks its issuer's revocation list; fetch and configure it, or state revocation = \"none\" if there is none."),
            ),
            Self::CrlStale { domain, .. } => (
                format!("信任域 {domain} 的吊销列表已过期且超出宽限期。请立即取得最新的 CRL 文件。"),
                format!("The revocation list of {domain} is out of date beyond its grace; fetch the newest one now."),
            ),
            Self::CrlInvalid(reason) => (
                format!("吊销列表不可用（{reason}）。请从签发机构重新取得。"),
                format!("The revocation list is unusable ({reason}); fetch it again from its authority."),
            ),
            Self::CrlForeignIssuer(domain) => (
                format!("该吊销列表不是 {domain} 的证书机构签发。请取得正确的列表；由中间机构签发的，请用 --issuer 附上其证书。"),
                format!("No authority of {domain} signed this revocation list; fetch the right one, and give the certificate of an intermediate authority with --issuer."),
            ),
            Self::LogTampered { record, reason } => (
                format!("管理日志第 {record} 条不可信（{reason}）。请勿继续使用，从备份恢复信任目录并追查原因。"),
                format!("Record {record} of the administration log cannot be trusted ({reason}); restore the trust folder from a backup and find out what happened."),
            ),
            Self::LogRolledBack { seen } => (
                format!("管理日志曾有 {seen} 条，现已缺失或被改写。请从备份恢复信任目录并追查原因。"),
                format!("The administration log had {seen} records and lacks or changed some now; restore the trust folder from a backup and find out what happened."),
            ),
            Self::PrefixesOverlap { first, second } => (
                format!("{first} 与 {second} 的区划前缀重叠。请修改 trust.toml，使每个区划只归属一个信任域。"),
                format!("{first} and {second} overlap; edit trust.toml so that each division belongs to one trust domain."),
            ),
            Self::Config(reason) => (
                format!("信任配置有误（{reason}）。请修改 trust.toml 后重新加载。"),
                format!("The trust configuration is wrong ({reason}); correct trust.toml and load it again."),
            ),
            Self::File { path, reason } => (
                format!("无法读取文件 {}（{reason}）。请核对路径与权限。", path.display()),
                format!("{} cannot be read ({reason}); check the path and its permissions.", path.display()),
            ),
            Self::PemSeveral { path, count } => (
                format!("{} 含 {count} 个 PEM 块，超出此处所需。请只保留需要的那一个（证书链：节点证书在前，连同中间证书）。", path.display()),
                format!("{} holds {count} PEM blocks, more than belong here; keep the one that is meant (for a chain: the node's certificate first, then the intermediate ones).", path.display()),
            ),
            Self::PemKind { path, found, wanted } => (
                format!("{} 含 {found} 类型的 PEM 块，此处应为 {wanted}。请核对是否选错文件，并移出不属于此处的内容。", path.display()),
                format!("{} holds a PEM block of kind {found} where {wanted} belongs; check that it is the right file, and take out what does not belong.", path.display()),
            ),
            Self::Pem { path, reason } => (
                format!("文件 {} 不是所需的 PEM 格式（{reason}）。请更换正确的文件。", path.display()),
                format!("{} is not the PEM file that it should be ({reason}); replace it.", path.display()),
            ),
            Self::KeyReadableByOthers { path, .. } => (
                format!("私钥文件 {0} 可被其他用户读取。请执行 chmod 600 {0}；如曾外泄，请更换密钥。", path.display()),
                format!("Others can read the private key; run chmod 600 {0}, and replace the key if it was read.", path.display()),
            ),
            Self::KeyUnsupported(reason) => (
                format!("不支持该私钥（{reason}）。请使用未加密的 PKCS#8 格式 P-256、Ed25519 或 SM2 私钥，可用 openssl pkcs8 -topk8 -nocrypt 转换。"),
                format!("The private key is not supported ({reason}); use P-256, Ed25519 or SM2 in plain PKCS#8, as openssl pkcs8 -topk8 -nocrypt makes."),
            ),
            Self::KeyMismatch => (
                "私钥与证书不匹配。请核对两个文件是否成对。".into(),
                "The private key is not this certificate's; check that the two files belong together.".into(),
            ),
        };
        if zh { chinese } else { english }
    }

    pub(crate) fn from_io(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.to_owned(), reason: error.to_string() }
    }

    pub(crate) fn pem(path: &Path, reason: impl Into<String>) -> Self {
        Self::Pem { path: path.to_owned(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dotted_and_advice_is_in_the_language_asked() {
        let error = TrustError::KeyMismatch;
        assert_eq!(error.code(), "trust.key_mismatch");
        assert!(error.advice(true).ends_with('。'));
        assert!(error.advice(false).is_ascii());
        assert_eq!(error.fault(), Fault::Operator);
    }
}
