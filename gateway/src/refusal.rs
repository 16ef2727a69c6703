//! The one table of refusals: stable code, whose fault, gRPC status, exit code, and what to do about
//! it in Chinese and English. Everything that is refused anywhere is refused with one of these.
//!
//! Codes are part of the contract: they are journalled, sent to partners and read by programs. A code
//! is never renamed and never given another meaning.

use crate::limits::{RETRY_QUEUE_MILLIS, RETRY_SPACE_MILLIS};
use std::fmt;

/// Whose fault a refusal is, so that the right person mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The partner node or its business system.
    Peer,
    /// The people who run or use this node: configuration, trust, input.
    Operator,
    /// This program.
    Ours,
    /// Nobody can tell yet; the outcome may be either.
    Unknown,
}

impl Fault {
    /// `peer`, `operator`, `ours` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Operator => "operator",
            Self::Ours => "ours",
            Self::Unknown => "unknown",
        }
    }
}

/// gRPC status numbers that refusals map to (the names are gRPC's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "gRPC's own names, documented there")]
pub enum Status {
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Status {
    /// Exit code of a command that ended so. Documented in the README: 1 is a program error, 2 wrong usage.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 4,
            Self::AlreadyExists | Self::FailedPrecondition => 5,
            Self::PermissionDenied | Self::Unauthenticated => 6,
            Self::ResourceExhausted | Self::Unavailable => 7,
            Self::DataLoss => 8,
            Self::Unimplemented | Self::Internal => 1,
        }
    }
}

macro_rules! refusals {
    ($($variant:ident = $code:literal, $fault:ident, $status:ident, $zh:literal, $en:literal;)*) => {
        /// A stable refusal code. Its text, fault and status stand in one table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode { $(#[doc = $en] $variant,)* }

        impl RefusalCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [RefusalCode] = &[$(RefusalCode::$variant,)*];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The refusal with that code.
            pub fn with_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// Whose fault it is.
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// The gRPC status it travels under.
            pub fn status(self) -> Status {
                match self { $(Self::$variant => Status::$status,)* }
            }

            /// What happened and what to do, in Chinese.
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)* }
            }

            /// What happened and what to do, in English.
            pub fn en(self) -> &'static str {
                match self { $(Self::$variant => $en,)* }
            }
        }
    };
}

refusals! {
    // -- the entry itself
    UnknownKind = "entry.unknown_kind", Peer, Unimplemented,
        "本节点不认识这一消息种类；请核对双方版本后再发。",
        "This node does not know the kind of this message; compare the versions of both nodes before sending it again.";
    MalformedHeader = "entry.malformed_header", Peer, InvalidArgument,
        "报文头不符合 WIRE.md 的规定；请发送方检查其编码程序。",
        "The header does not follow WIRE.md; the sender must correct its encoder.";
    MalformedPayload = "entry.malformed_payload", Peer, InvalidArgument,
        "报文体无法按其种类解读；请发送方检查内容后以新编号重发。",
        "The payload cannot be read as its kind says; correct it and send it under a new message id.";
    BodyDigest = "entry.body_digest", Peer, InvalidArgument,
        "报文体与报文头所记摘要不符；请发送方核对后以新编号重发。",
        "The body does not match the digest in the header; check it and send it under a new message id.";
    BodyMissing = "entry.body_missing", Peer, DataLoss,
        "报文体已缺失且未登记销毁；请发送方查明原因。",
        "The body is missing without an erasure on record; the sender must find out why.";
    TooLarge = "entry.too_large", Peer, InvalidArgument,
        "报文超过规定长度；大文件请作为附件传送。",
        "The entry is larger than the limit; send large files as blobs.";
    Expired = "entry.expired", Peer, FailedPrecondition,
        "报文到达时已过有效期，未予处理；如仍需办理请重新发起。",
        "The entry had expired when it arrived and was not acted on; send it anew if it is still wanted.";
    WrongChannel = "entry.wrong_channel", Peer, InvalidArgument,
        "报文头所写通道与实际通道不符；请发送方检查路由。",
        "The header names another channel than the one it came by; the sender must check its routing.";
    DuplicateDifferent = "entry.duplicate_different", Peer, AlreadyExists,
        "同一编号已用于不同内容；原内容有效，新内容请换新编号。",
        "This message id was used for other content; the first stands, send the new content under a new id.";

    Duplicate = "entry.duplicate", Peer, AlreadyExists,
        "同一编号的同一内容此前已收到，未再处理。",
        "The same content under the same id was received before and is not acted on again.";

    // -- blobs
    BlobCommitment = "blob.commitment", Peer, InvalidArgument,
        "报文所列附件与报文头中的承诺不符，或此类报文不得带附件；请发送方核对后以新编号重发。",
        "The blobs in the body are not those that the header commits to, or entries of this kind have none; correct it and send it under a new message id.";
    BlobUnknown = "blob.unknown", Operator, NotFound,
        "本节点没有此附件；请先上传（tongban blob put），再在报文中引用。",
        "This node does not have the blob; upload it first (tongban blob put), then name it.";
    BlobNotUploaded = "blob.not_uploaded", Operator, PermissionDenied,
        "此附件既非本节点上传，也不是该伙伴发来的，不得引用；请自行上传后再引用。",
        "The blob was neither uploaded here nor sent by that partner and may not be named; upload it yourself first.";
    BlobNotSent = "blob.not_sent", Peer, PermissionDenied,
        "没有任何发给该节点的报文引用此附件，不予提供。",
        "No entry to that node names this blob; it is not served.";
    BlobTooLarge = "blob.too_large", Operator, InvalidArgument,
        "附件须为 1 字节至 2 GiB；请拆分或压缩。",
        "A blob has 1 byte to 2 GiB; split or compress it.";
    BlobDigest = "blob.digest", Peer, DataLoss,
        "收到的附件数据与其摘要不符，已弃；将自动重取，持续出现请对方检查磁盘。",
        "A chunk of the blob does not match its digest and was dropped; it is fetched again by itself, if it stays so the peer must check its disk.";
    BlobMissing = "blob.missing", Operator, DataLoss,
        "附件应在本节点磁盘上却读不到；请由备份恢复 data_dir/blobs。",
        "The blob should be on this node's disk and cannot be read; restore data_dir/blobs from a backup.";

    BlobUploadOpen = "blob.upload_open", Operator, Unavailable,
        "同名上传正在进行；待其结束或断开后再续传。",
        "An upload under this name is going on; go on with it when that one has ended.";
    BlobUploadOffset = "blob.upload_offset", Operator, FailedPrecondition,
        "续传位置与本节点已有字节数不符；先查询已有字节数（ShowUpload），由该处续传，或自 0 重传。",
        "The upload does not go on where this node's bytes end; ask how many there are (ShowUpload) and go on there, or begin at 0.";
    BlobDisk = "blob.disk", Operator, Unavailable,
        "附件目录读写失败；请检查磁盘与 data_dir/blobs 的权限，随后重试。",
        "The blob folder cannot be read or written; check the disk and the rights to data_dir/blobs, then try again.";

    // -- agreement and standard
    NoAgreement = "agreement.none", Operator, PermissionDenied,
        "双方没有涵盖此消息的协议；请先签署协议。",
        "No agreement between the two nodes covers this message; sign one first.";
    AgreementNotEffective = "agreement.not_effective", Operator, FailedPrecondition,
        "协议尚未由双方签署同一文本，或不在有效期内；请用 tongban document list 核对。",
        "The agreement is not signed by both over the same bytes, or is outside its term; see `tongban document list`.";
    AgreementSuspended = "agreement.suspended", Operator, FailedPrecondition,
        "协议已中止；恢复后方可继续。",
        "The agreement is suspended; it must be resumed first.";
    ItemNotCovered = "agreement.item_not_covered", Operator, PermissionDenied,
        "协议未列入此事项或此方向；请修订协议。",
        "The agreement does not list this item in this direction; amend it.";
    PurposeNotCovered = "agreement.purpose_not_covered", Operator, PermissionDenied,
        "协议不允许此用途；请按协议所列用途申请。",
        "The agreement does not allow this purpose; ask under one that it lists.";
    FieldNotCovered = "agreement.field_not_covered", Operator, PermissionDenied,
        "所请求字段超出协议授权范围；请只请求协议所列字段。",
        "A requested field is outside the agreement; ask only for those it lists.";
    StandardMismatch = "standard.mismatch", Operator, FailedPrecondition,
        "所引标准版本与协议所定不一致；请取用协议所定版本。",
        "The standard edition is not the one the agreement pins; use that one.";
    StandardUnknown = "standard.unknown", Operator, NotFound,
        "本节点没有所引标准文本；请发布方先发布。",
        "This node does not hold the standard; its issuer must publish it first.";
    DocumentSignature = "document.signature", Peer, InvalidArgument,
        "文书签名无效或签署人不是通道发送方；请重新签署。",
        "The document's signature is invalid or not the channel sender's; sign it again.";
    DocumentMalformed = "document.malformed", Peer, InvalidArgument,
        "文书内容不合格式；请按所指位置更正后重新发布。",
        "The document does not follow its format; correct the place named and publish it again.";

    // -- case
    CaseUnknown = "case.unknown", Peer, NotFound,
        "没有此业务协同编号的办件；请核对编号。",
        "There is no case of this number; check the number.";
    CaseExists = "case.exists", Peer, AlreadyExists,
        "此业务协同编号已有办件；新办件请用新编号。",
        "A case of this number exists already; use a new number for a new case.";
    CaseWrongRole = "case.wrong_role", Peer, PermissionDenied,
        "此环节不归发送方所有（收件地不得作出受理、许可等决定）；请由有权一方办理。",
        "This transition is not the sender's to make (the receiving place never decides); the owning side must act.";
    CaseWrongState = "case.wrong_state", Peer, FailedPrecondition,
        "办件当前状态不允许此环节；请先查看办件状态。",
        "The case's present state does not allow this transition; look at the case first.";
    CaseModeMismatch = "case.mode_mismatch", Peer, FailedPrecondition,
        "办理方式与协议所定不符，或此环节不属于该方式（全程网办不收纸质材料、不经窗口送达）；请核对协议中该事项的方式。",
        "The mode is not the one the agreement lists for the item, or has no such transition (nothing on paper and no hand-over at a window when all is online); compare the agreement.";
    CaseApproverMissing = "case.approver_missing", Peer, InvalidArgument,
        "此环节须写明批准人；请补充后重发。",
        "This transition needs the name of whoever approved it; state it and send it again.";
    CaseExtensionLimit = "case.extension_limit", Peer, FailedPrecondition,
        "延长审批限一次，不得超过十个工作日（多地联办十五个）；请核对后重发。",
        "A longer term is approved once, by ten working days at most (多地联办: fifteen); correct it and send it again.";
    CaseNotYetDue = "case.not_yet_due", Peer, FailedPrecondition,
        "期限未满，不得视为受理或按补正不来处理；请待期满。",
        "The limit has not passed: neither deemed acceptance nor a lapsed supplement is possible yet; wait until it has.";
    CaseJointTask = "case.joint_task", Peer, FailedPrecondition,
        "联办分派或结果有误：分派限一次，子件编号不得重复，结果须为已分派且未报过的子件，并与子件实际一致。",
        "The joint tasks do not hold: they are handed out once and each under its own number; a result is of a task that was handed out, not reported before, and as the sub-task ended.";
    CaseJointUnfinished = "case.joint_unfinished", Peer, FailedPrecondition,
        "尚有子件未办结，或按约定任一子件不予则整件不予；请先报齐各子件结果。",
        "A sub-task has not ended, or one was refused and the policy is all or nothing; report every result first.";
    CaseSupplementTwice = "case.supplement_twice", Peer, FailedPrecondition,
        "补正告知只能一次、一并作出；此前已告知。",
        "A supplement may be asked for once, all at once; it was asked for before.";
    CaseReasonMissing = "case.reason_missing", Peer, InvalidArgument,
        "此决定须写明理由；请补充理由后重办。",
        "This decision needs its reason in writing; add it and act again.";
    CaseMaterialMissing = "case.material_missing", Operator, InvalidArgument,
        "缺少标准所列必要材料；请一次性告知申请人补齐。",
        "A material that the standard requires is missing; tell the applicant once, completely.";
    CaseTooManyFacts = "case.too_many_facts", Peer, ResourceExhausted,
        "此办件的环节记录已达上限；请联系运维核查。",
        "The case has reached its limit of recorded facts; ask the operator to look into it.";
    CasePersonInvalid = "case.person_invalid", Operator, InvalidArgument,
        "申请人或代理人证件号码未通过校验；请核对证件。",
        "The identity number of the applicant or agent fails its check; compare it with the document.";
    CaseNumberInvalid = "case.number_invalid", Operator, InvalidArgument,
        "业务协同编号不合规则或与收件地、属地不符；请重新取号。",
        "The case number breaks its rule or names other places; take a new number.";

    // -- licence, recognition
    LicenceIdInvalid = "licence.id_invalid", Peer, InvalidArgument,
        "证照标识校验不通过；请核对标识各段与校验位。",
        "The licence identifier fails its check; compare its parts and check character.";
    LicenceElementsMissing = "licence.elements_missing", Peer, InvalidArgument,
        "查询证照须写明用途与五要素（机构、人员、事项名称、事项编码、业务编号）。",
        "A licence query needs its purpose and the five elements (body, person, item name, item code, case number).";
    LicenceNotAsked = "licence.not_asked", Peer, FailedPrecondition,
        "答复所对应的查询不存在或已答复。",
        "The query that this answers does not exist or was answered before.";
    RecognitionRuleUnknown = "recognition.rule_unknown", Peer, NotFound,
        "协议中没有此互认规则；请核对规则编号与协议版次。",
        "The agreement has no such recognition rule; check the rule and the edition.";

    // -- channel: cryptography, position
    NotContacted = "channel.not_contacted", Unknown, Unavailable,
        "启动后尚未与对方取得联系；提交已保存，联系后自动排序发送。",
        "The peer has not been reached since the start; submissions are kept and sequenced at contact.";
    ChannelUnknown = "channel.unknown", Operator, NotFound,
        "没有到该节点的通道；请先在配置中登记对方。",
        "There is no channel to that node; list the peer in the configuration first.";
    ChannelStopped = "channel.stopped", Unknown, FailedPrecondition,
        "通道已停；用 tongban channel show 查看原因与解除办法。",
        "The channel is stopped; `tongban channel show` tells why and what ends the stop.";
    WrongIndex = "channel.wrong_index", Peer, FailedPrecondition,
        "批次起点与本方副本长度不接；请从本方所报位置重发。",
        "The batch does not start where this copy ends; resend from the size stated in Open.";
    WrongEpoch = "channel.wrong_epoch", Peer, FailedPrecondition,
        "批次所属期次与本方不同；请先完成期次交接。",
        "The batch is of another epoch; close and open the epoch first.";
    BadCheckpoint = "channel.bad_checkpoint", Peer, InvalidArgument,
        "检查点文本不合 WIRE.md；请发送方检查。",
        "The checkpoint's text does not follow WIRE.md; the sender must correct it.";
    BadSignature = "channel.bad_signature", Peer, Unauthenticated,
        "检查点签名验证不通过；请核对对方签名证书与密钥。",
        "The checkpoint's signature does not verify; compare the peer's signing certificate and key.";
    UnknownKey = "channel.unknown_key", Unknown, Unavailable,
        "检查点所用密钥本节点尚不认识；收到对方签名证书后自动重试。",
        "The checkpoint's key is not yet known here; it is tried again when the certificate arrives.";
    RootMismatch = "channel.root_mismatch", Peer, DataLoss,
        "按收到的报文算得的根与签名的根不符，通道已停；请双方比对后执行 tongban channel resume。",
        "The entries do not hash to the signed root, the channel is stopped; compare both copies, then `tongban channel resume`.";
    Fork = "channel.fork", Peer, DataLoss,
        "同一长度出现两个签名的根（分叉），通道已停，双方检查点已留证；查明后执行 tongban channel resume。",
        "Two signed roots for one size (a fork): the channel is stopped and both checkpoints are kept; find the cause, then `tongban channel resume`.";
    TimeBackwards = "channel.time_backwards", Peer, FailedPrecondition,
        "检查点时间早于前一检查点；请校准发送方时钟。",
        "The checkpoint is older than the one before; set the sender's clock.";
    ClockSkew = "channel.clock_skew", Unknown, Unavailable,
        "检查点时间超前本机时钟五分钟以上；请双方核对时钟，随后自动重试。",
        "The checkpoint is more than five minutes ahead of this clock; compare both clocks, it is tried again by itself.";
    Unremembered = "channel.unremembered", Unknown, DataLoss,
        "对方持有本节点签过而不记得的报文，正在补回；若未恢复备份，签名密钥可能被盗，请立即吊销。",
        "The peer holds signed entries that this node does not remember, they are being recovered; if no backup was restored, the signing key may be stolen: revoke it.";
    CosignatureUnknown = "channel.cosignature_unknown", Peer, DataLoss,
        "对方回执所指的长度或根不是本方签过的；通道已停，请双方比对。",
        "The receipt names a size or root that this node never signed; the channel is stopped, compare both copies.";

    // -- link
    VersionUnsupported = "link.version", Operator, Unimplemented,
        "双方没有共同的协议版本；请升级版本较低的一方。",
        "The two nodes share no protocol version; upgrade the older one.";
    WrongNode = "link.wrong_node", Peer, PermissionDenied,
        "对方自称的节点与其证书不符；请核对对方配置与证书。",
        "The peer claims a node that is not its certificate's; check its configuration and certificate.";
    PeerUnknown = "link.peer_unknown", Operator, PermissionDenied,
        "配置中没有此节点；如确为伙伴，请先登记。",
        "This node is not listed as a peer here; add it to the configuration if it is a partner.";
    Fenced = "link.fenced", Unknown, Unavailable,
        "同一对方已有更新的连接，本连接让位。",
        "A newer link to the same peer stands; this one gives way.";
    FrameUnexpected = "link.frame_unexpected", Peer, InvalidArgument,
        "此时不应出现这种帧；请对方检查程序。",
        "A frame of this kind is not due now; the peer must correct its program.";
    OpenMissing = "link.open_missing", Peer, Unavailable,
        "对方未按时发送 Open；稍后自动重连。",
        "The peer sent no Open in time; the link is dialled again later.";
    LinkBroken = "link.broken", Unknown, Unavailable,
        "连接中断；稍后自动重连，未确认的内容会重发。",
        "The connection broke; it is dialled again by itself, and what was not receipted is sent again.";
    CreditExceeded = "link.credit_exceeded", Peer, ResourceExhausted,
        "对方发送超过约定的在途批次数或批次长度。",
        "The peer sent more batches, or larger ones, than it was given credit for.";
    NotProven = "link.not_proven", Peer, Unauthenticated,
        "对方未能证明其持有所出示证书的签名密钥；如对方已退回旧版本，请其重新升级；否则其 TLS 密钥可能已被盗用，请联系对方核实，必要时吊销该证书。",
        "The peer did not prove that it holds the signing key whose certificate it shows; if it went back to an older release it must upgrade again, else its TLS key may be in other hands: ask its people, and revoke that certificate.";
    NotTrusted = "link.not_trusted", Operator, Unauthenticated,
        "对方证书现已不受信任，连接关闭；请查看证书状态。",
        "The peer's certificate is no longer trusted, the link is closed; look at the state of its certificate.";

    // -- proof bundles
    ProofMalformed = "proof.malformed", Peer, InvalidArgument,
        "证据文件不合 tongban-proof/v1 格式；请重新导出。",
        "The bundle does not follow tongban-proof/v1; export it again.";
    ProofInclusion = "proof.inclusion", Peer, DataLoss,
        "该报文不在所附检查点之下：报文头或审计路径已被改动。",
        "The entry is not below the checkpoint: its header or the audit path was altered.";
    ProofSignature = "proof.signature", Peer, Unauthenticated,
        "检查点签名验证不通过：检查点或证书已被改动。",
        "A signature on the checkpoint does not verify: the checkpoint or a certificate was altered.";
    ProofDisputed = "proof.disputed", Operator, FailedPrecondition,
        "签名成立，但签收时刻在密钥宣告失密之后：证据有争议，须以其他证据佐证（如对方所存副本、更早导出的证据包）。",
        "The signatures hold, but it was signed for after a key counts as lost: the evidence is disputed and needs support from elsewhere (the other party's copy, a bundle exported earlier).";
    ProofUntrusted = "proof.untrusted", Operator, PermissionDenied,
        "签名证书不能追溯到给定的信任根；请核对信任目录。",
        "A signing certificate does not lead to the given anchors; check the trust folder.";
    ProofBody = "proof.body", Peer, DataLoss,
        "所附报文体与报文头的摘要不符：报文体已被改动。",
        "The body does not match the digest in the header: the body was altered.";

    // -- dead letters
    LetterOverdue = "letter.overdue", Unknown, Unavailable,
        "超过规定时间仍无对方回执；投递会自动继续，请用 tongban status 查看连接，必要时联系对方。",
        "No receipt has come within the time set; delivery goes on by itself, look at the link with `tongban status` and call the partner if need be.";
    LetterNone = "letter.none", Operator, NotFound,
        "此报文不是死信：未被拒、未过期、未逾期，或本节点没有此报文。",
        "This message is no dead letter: it was not refused, has not expired, is not overdue, or is not known here.";
    LetterSettled = "letter.settled", Operator, FailedPrecondition,
        "此死信已重投或已作废，不能再次处理。",
        "This dead letter was requeued or discarded before; it cannot be settled again.";
    LetterBodyGone = "letter.body_gone", Operator, FailedPrecondition,
        "此报文的报文体已不在本节点，无法重投；请由业务系统重新提交。",
        "The body of this message is not here any more and cannot be sent again; have the business system submit it anew.";

    // -- this node
    Overloaded = "node.overloaded", Ours, ResourceExhausted,
        "节点繁忙，未收下此请求；请稍候重试。",
        "The node is busy and did not take the request; try again shortly.";
    Backlog = "node.backlog", Unknown, ResourceExhausted,
        "发往对方的报文等待回执者已达上限，未收下此请求；请按提示的时间以原编号重试，持续如此请查对方与线路。",
        "The messages to the partner that wait for its receipt are at their limit and the request was not taken; try again after the time named, under the same id, and look at the partner and the line if it lasts.";
    Quota = "node.quota", Operator, ResourceExhausted,
        "提交方超出配额，未收下此请求；请按提示的时间稍后以原编号重试，或请运维调整 limits。",
        "The submitter is over its quota and the request was not taken; try again after the time named, under the same id, or have the operator change the limits.";
    StagingFull = "node.staging_full", Unknown, ResourceExhausted,
        "等待联系对方的草稿已达上限，未收下此请求；请查对方连接，稍后重试。",
        "The drafts that wait for contact with the partner are at their limit and the request was not taken; look at the link, try again later.";
    StoreUnknown = "store.outcome_unknown", Unknown, Unavailable,
        "磁盘写入结果未知，节点将停止并重读日志；请重启后以原编号重试。",
        "The outcome of a disk write is unknown, the node stops to re-read its journal; retry with the same id after the restart.";
    StoreDamaged = "store.damaged", Operator, DataLoss,
        "日志有损坏；用 tongban store repair 查看位置并修复，缺失部分由伙伴副本补回。",
        "The journal is damaged; `tongban store repair` shows where and repairs it, partners give back what is missing.";
    StoreFull = "store.full", Operator, ResourceExhausted,
        "磁盘空间不足，停止收件；请清理后自动恢复。",
        "The disk is nearly full and nothing more is accepted; free some space, it recovers by itself.";
    Replaying = "store.replaying", Ours, Unavailable,
        "存储尚未打开或正在重放日志；完成后自动就绪，请看进度。",
        "The store is not open yet or replays its journal; the node is ready when that is done, watch the progress.";
    KeySilent = "node.key_silent", Operator, Unavailable,
        "签名密钥不应答或已锁定；请检查密钥文件或密码设备。",
        "The signing key does not answer or is locked; look at the key's file or device.";
    CommitterEnded = "node.committer_ended", Ours, Unavailable,
        "提交线程已停，节点不再收发；请查看日志并重启节点。",
        "The committer has ended and nothing is taken or sent any more; read the log and start the node again.";
    CommitterStalled = "node.committer_stalled", Unknown, Unavailable,
        "一次提交迟迟未完成；请检查磁盘与内核日志。",
        "A commit has been going on for too long; look at the disk and the kernel's log.";
    TrustStale = "node.trust_stale", Operator, Unauthenticated,
        "吊销列表已过期；请取得新的列表放入信任目录，宽限期后该信任域的连接将被拒绝。",
        "A revocation list is out of date; put a new one into the trust folder, after the grace the domain's connections are refused.";
    CertificateExpiring = "node.certificate_expiring", Operator, Unauthenticated,
        "本节点证书即将到期或已到期；请向 CA 申请新证书并更换。",
        "A certificate of this node expires soon or has expired; have the CA issue a new one and install it.";
    CertificateRefused = "node.certificate_refused", Operator, Unauthenticated,
        "本节点的证书按自己的信任目录已不受信任；请核对证书与信任目录。",
        "This node's certificate is not trusted by its own trust folder; compare the certificate and the folder.";
    MaterialRefused = "node.material_refused", Operator, Unauthenticated,
        "新的信任或证书文件有误，未采用，仍用原有的；请按日志改正或恢复文件。",
        "New trust or certificate files are wrong and not in use, the last good ones still are; correct or restore the files as the log says.";
    NotFound = "request.not_found", Operator, NotFound,
        "没有找到所请求的内容；请核对编号。",
        "What was asked for does not exist; check the identifier.";
    BadRequest = "request.invalid", Operator, InvalidArgument,
        "请求不合格式；请按提示更正。",
        "The request is not well formed; correct what the message names.";
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal: its code and which fact it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// Which fact, edition or position, in both languages' neutral notation (`item=KST071`,
    /// `state=accepted`). Never personal data. May be empty.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its detail.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// A refusal that ends by waiting, with the time in its detail (`retry_after_ms=…`).
    pub fn retry_after(code: RefusalCode, millis: u64, detail: &str) -> Self {
        let gap = if detail.is_empty() { "" } else { " " };
        Self::new(code, format!("retry_after_ms={millis}{gap}{detail}"))
    }

    /// Milliseconds after which the same request may be tried again; nothing when waiting does not help.
    pub fn retry_after_millis(&self) -> Option<u64> {
        let usual = match self.code {
            RefusalCode::Overloaded | RefusalCode::Quota | RefusalCode::Backlog => RETRY_QUEUE_MILLIS,
            RefusalCode::StoreFull | RefusalCode::StagingFull => RETRY_SPACE_MILLIS,
            _ => return None,
        };
        let stated = self.detail.strip_prefix("retry_after_ms=");
        let stated = stated.and_then(|rest| rest.split(' ').next()?.parse().ok());
        Some(stated.unwrap_or(usual))
    }

    /// The message in one language, detail included.
    pub fn message(&self, chinese: bool) -> String {
        let text = if chinese { self.code.zh() } else { self.code.en() };
        match (self.detail.is_empty(), chinese) {
            (true, _) => text.to_owned(),
            (false, true) => format!("{text}（{}）", self.detail),
            (false, false) => format!("{text} ({})", self.detail),
        }
    }
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self { code, detail: String::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message(false))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_found_by_their_text() {
        let codes: BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), RefusalCode::ALL.len());
        for code in RefusalCode::ALL {
            assert_eq!(RefusalCode::with_code(code.code()), Some(*code));
            assert!(code.zh().ends_with('。') && code.en().ends_with('.'), "{code} speaks in sentences");
        }
    }

    #[test]
    fn only_what_waiting_helps_against_has_a_time_to_wait() {
        let quota = Refusal::retry_after(RefusalCode::Quota, 350, "submitter=window");
        assert_eq!(quota.retry_after_millis(), Some(350));
        assert_eq!(quota.detail, "retry_after_ms=350 submitter=window");
        assert!(quota.message(true).contains("retry_after_ms=350"));
        assert_eq!(Refusal::from(RefusalCode::Overloaded).retry_after_millis(), Some(RETRY_QUEUE_MILLIS));
        assert_eq!(Refusal::from(RefusalCode::StoreFull).retry_after_millis(), Some(RETRY_SPACE_MILLIS));
        assert_eq!(Refusal::from(RefusalCode::CaseTooManyFacts).retry_after_millis(), None);
        assert_eq!(Refusal::from(RefusalCode::CaseExists).retry_after_millis(), None);
    }
}
