//! What happens to a case: acts, and the facts that record them. No personal data is in here: the
//! applicant, the agent, the form and the holder of a licence stay in the entry's body.

use super::super::agreement::Mode;
use super::super::date::Date;
use super::super::deadline::{AlertLevel, ClockName};
use super::super::licence::{Licence, LicenceState};
use super::super::rating::{Level, Stage};
use super::super::standard::Material;
use super::joint::{JointPolicy, JointTask, TaskOutcome};
use super::special::SpecialKind;
use crate::id::{CaseId, Digest, Kind, LogPosition, MessageId, NodeId, Owner};
use crate::time::UnixMillis;
use std::fmt;

/// Name of the one act that never crosses the gateway: 收件 at the window.
pub const RECEIVE: &str = "case.receive";

/// What somebody does to a case: every `case.*` kind, and 收件.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// 收件, a local fact of the receiving place.
    Receive,
    /// The act that an entry of this kind is; always a `case.*` kind.
    Kind(Kind),
}

impl Act {
    /// Every act.
    pub fn all() -> impl Iterator<Item = Self> {
        let kinds = Kind::ALL.iter().filter(|kind| kind.is_case());
        std::iter::once(Self::Receive).chain(kinds.map(|kind| Self::Kind(*kind)))
    }

    /// The stable name: the kind's, or [`RECEIVE`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => RECEIVE,
            Self::Kind(kind) => kind.name(),
        }
    }

    /// The act of that name.
    pub fn named(name: &str) -> Option<Self> {
        if name == RECEIVE {
            return Some(Self::Receive);
        }
        Kind::named(name).filter(|kind| kind.is_case()).map(Self::Kind)
    }

    /// Whose act it is.
    pub fn owner(self) -> Owner {
        match self {
            Self::Receive => Owner::Receiving,
            Self::Kind(kind) => kind.owner(),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An application as it was received, without the persons and the form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Application {
    /// The standard's item code.
    pub item: String,
    /// The receiving place's own 办件编号.
    pub project_number: String,
    /// What the applicant brought.
    pub materials: Vec<Material>,
    /// 收件 at the window.
    pub received: UnixMillis,
    /// Window code.
    pub window: String,
    /// Operator at the window.
    pub operator: String,
    /// 服务对象, GB/T 39046-2020 A.
    pub applicant_kind: String,
    /// 演练件: a rehearsal, left out of statistics.
    pub walkthrough: bool,
    /// How the case is done, as the agreement lists the item; `None`: said by a node of a release that
    /// knows one life only, that of 异地代收代办.
    pub mode: Option<Mode>,
    /// 多地联办: the parent case of which this one is a sub-task; `None`: it is none.
    pub parent: Option<CaseId>,
}

/// One thing the applicant must supply (补正).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SupplementItem {
    /// Code of the material.
    pub material: String,
    /// What is missing or wrong.
    pub what: String,
}

/// A decision in writing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written {
    /// Number of the document (文书编号).
    pub document_number: String,
    /// The reason.
    pub reason: String,
    /// Who acts.
    pub operator: String,
}

/// The result licence (制证) without its holder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultLicence {
    /// 证照标识.
    pub id: String,
    /// 证照类型代码.
    pub type_code: String,
    /// 证照名称.
    pub name: String,
    /// 颁发机构.
    pub issuer_name: String,
    /// 颁发机构代码.
    pub issuer_code: String,
    /// 颁发日期.
    pub issued: Date,
    /// 有效期起始.
    pub valid_from: Date,
    /// 有效期截止; `None`: no end.
    pub valid_until: Option<Date>,
    /// 证照状态.
    pub state: LicenceState,
    /// Digest of the OFD file.
    pub file_digest: Option<Digest>,
}

impl From<&Licence> for ResultLicence {
    fn from(licence: &Licence) -> Self {
        Self {
            id: licence.id.clone(),
            type_code: licence.type_code.clone(),
            name: licence.name.clone(),
            issuer_name: licence.issuer_name.clone(),
            issuer_code: licence.issuer_code.clone(),
            issued: licence.issued,
            valid_from: licence.valid_from,
            valid_until: licence.valid_until,
            state: licence.state,
            file_digest: licence.file_digest,
        }
    }
}

/// What one act says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseEvent {
    /// 收件 at the window.
    Received(Application),
    /// 转递.
    Forwarded(Application),
    /// 业务签收.
    SignedFor {
        /// Who acts.
        operator: String,
    },
    /// 退件.
    Returned {
        /// What is wrong: a code of the competent place.
        code: String,
        /// The reason in words.
        reason: String,
        /// Who acts.
        operator: String,
    },
    /// 受理.
    Accepted {
        /// 受理文书编号.
        document_number: String,
        /// 承诺时限, working days.
        promised_working_days: u32,
        /// Who acts.
        operator: String,
    },
    /// 不予受理.
    Rejected(Written),
    /// 补正告知.
    SupplementRequested {
        /// Everything that is missing.
        items: Vec<SupplementItem>,
        /// Working days in which it must come.
        deadline_working_days: u32,
        /// Who acts.
        operator: String,
    },
    /// 补正提交.
    SupplementSubmitted {
        /// What the applicant brought.
        materials: Vec<Material>,
        /// Who acts.
        operator: String,
    },
    /// 补正不来.
    SupplementLapsed {
        /// Who acts.
        operator: String,
    },
    /// 审查.
    Reviewed {
        /// Who acts.
        operator: String,
    },
    /// 准予.
    Granted(Written),
    /// 不予.
    Denied(Written),
    /// 制证.
    LicenceIssued {
        /// The result licence.
        licence: ResultLicence,
        /// Who acts.
        operator: String,
    },
    /// 送达中.
    Dispatched {
        /// How.
        method: String,
        /// 物流单号; may be empty.
        tracking_number: String,
        /// Who acts.
        operator: String,
    },
    /// 已送达.
    Delivered {
        /// How.
        method: String,
        /// When the applicant had it.
        delivered: UnixMillis,
        /// Who acts.
        operator: String,
    },
    /// 撤回申请.
    WithdrawalAsked {
        /// Why; may be empty.
        reason: String,
        /// Who acts.
        operator: String,
    },
    /// 撤回确认.
    WithdrawalConfirmed {
        /// Why; may be empty.
        reason: String,
        /// Who acts.
        operator: String,
    },
    /// 办结.
    Closed {
        /// 办结结果 code.
        result: String,
        /// Who acts.
        operator: String,
    },
    /// 好差评.
    Rated {
        /// The level.
        level: Level,
        /// Whose work.
        stage: Stage,
        /// By which channel the applicant rated.
        channel: String,
    },
    /// 视为受理 (行政许可法 art. 32).
    DeemedAccepted {
        /// Who acts; the node's own clock where it is empty.
        operator: String,
    },
    /// 特别程序开始.
    SpecialBegun {
        /// Whether it lengthens the limit or stops the clock.
        special: SpecialKind,
        /// Which procedure: 听证, 检验, 检测, 检疫, 鉴定, 专家评审, 延长审批 ….
        procedure: String,
        /// Why, told to the applicant in writing (art. 45).
        reason: String,
        /// 批准人.
        approver: String,
        /// Working days it takes, or by which the limit is longer.
        working_days: u32,
        /// Who acts.
        operator: String,
    },
    /// 特别程序结束.
    SpecialEnded {
        /// What came of it.
        outcome: String,
        /// Who acts.
        operator: String,
    },
    /// 转报.
    Transferred {
        /// To which authority.
        authority: String,
        /// Why.
        reason: String,
        /// Who acts.
        operator: String,
    },
    /// 已送达, by the competent place itself.
    DeliveredDirectly {
        /// How.
        method: String,
        /// When the applicant had it.
        delivered: UnixMillis,
        /// Who acts.
        operator: String,
    },
    /// 挂起.
    Suspended {
        /// Why.
        reason: String,
        /// Who acts.
        operator: String,
    },
    /// 恢复办理.
    Resumed {
        /// Who acts.
        operator: String,
    },
    /// 作废.
    Voided {
        /// What is wrong with the data.
        reason: String,
        /// 批准人.
        approver: String,
        /// Who acts.
        operator: String,
    },
    /// 联办分派.
    JointPlanned {
        /// Who does what.
        tasks: Vec<JointTask>,
        /// What a refused sub-task means for the parent.
        policy: JointPolicy,
        /// Who acts.
        operator: String,
    },
    /// 联办结果.
    JointReported {
        /// Which sub-task.
        task: CaseId,
        /// How it ended.
        outcome: TaskOutcome,
        /// Who acts.
        operator: String,
    },
    /// 监察预警.
    Alerted {
        /// Which clock.
        clock: ClockName,
        /// How bad.
        level: AlertLevel,
        /// The last day of the limit.
        due: Date,
    },
    /// 督办: the other place has to say why it is late.
    Supervised {
        /// What is asked.
        reason: String,
        /// Working days for the answer.
        reply_within_working_days: u32,
        /// Who acts.
        operator: String,
    },
    /// 督办回复.
    SuperviseReplied {
        /// The answer.
        reply: String,
        /// Who acts.
        operator: String,
    },
}

impl CaseEvent {
    /// Which act it is.
    pub fn act(&self) -> Act {
        Act::Kind(match self {
            Self::Received(_) => return Act::Receive,
            Self::Forwarded(_) => Kind::CaseForward,
            Self::SignedFor { .. } => Kind::CaseSignFor,
            Self::Returned { .. } => Kind::CaseReturn,
            Self::Accepted { .. } => Kind::CaseAccept,
            Self::Rejected(_) => Kind::CaseReject,
            Self::SupplementRequested { .. } => Kind::CaseSupplementRequest,
            Self::SupplementSubmitted { .. } => Kind::CaseSupplementSubmit,
            Self::SupplementLapsed { .. } => Kind::CaseSupplementLapse,
            Self::Reviewed { .. } => Kind::CaseReview,
            Self::Granted(_) => Kind::CaseGrant,
            Self::Denied(_) => Kind::CaseDeny,
            Self::LicenceIssued { .. } => Kind::CaseLicence,
            Self::Dispatched { .. } => Kind::CaseDispatch,
            Self::Delivered { .. } => Kind::CaseDeliver,
            Self::WithdrawalAsked { .. } => Kind::CaseWithdrawAsk,
            Self::WithdrawalConfirmed { .. } => Kind::CaseWithdrawConfirm,
            Self::Closed { .. } => Kind::CaseClose,
            Self::Rated { .. } => Kind::CaseRate,
            Self::DeemedAccepted { .. } => Kind::CaseAcceptDeemed,
            Self::SpecialBegun { .. } => Kind::CaseSpecialBegin,
            Self::SpecialEnded { .. } => Kind::CaseSpecialEnd,
            Self::Transferred { .. } => Kind::CaseTransfer,
            Self::DeliveredDirectly { .. } => Kind::CaseDeliverDirect,
            Self::Suspended { .. } => Kind::CaseSuspend,
            Self::Resumed { .. } => Kind::CaseResume,
            Self::Voided { .. } => Kind::CaseVoid,
            Self::JointPlanned { .. } => Kind::CaseJointPlan,
            Self::JointReported { .. } => Kind::CaseJointReport,
            Self::Alerted { .. } => Kind::CaseAlert,
            Self::Supervised { .. } => Kind::CaseSupervise,
            Self::SuperviseReplied { .. } => Kind::CaseSuperviseReply,
        })
    }

    /// Whether the reason that has to be given in writing is missing: 退件, 不予受理, 不予 and 补正告知
    /// (行政许可法 arts. 32, 38), 特别程序 (art. 45), 转报, 挂起, 作废, 督办 and its answer.
    pub fn lacks_reason(&self) -> bool {
        match self {
            Self::Returned { reason, .. } => reason.trim().is_empty(),
            Self::Rejected(written) | Self::Denied(written) => written.reason.trim().is_empty(),
            Self::SupplementRequested { items, .. } => {
                items.is_empty() || items.iter().any(|item| item.what.trim().is_empty())
            }
            Self::SpecialBegun { reason, .. }
            | Self::Transferred { reason, .. }
            | Self::Suspended { reason, .. }
            | Self::Voided { reason, .. }
            | Self::Supervised { reason, .. }
            | Self::SuperviseReplied { reply: reason, .. } => reason.trim().is_empty(),
            Self::Received(_)
            | Self::Forwarded(_)
            | Self::SignedFor { .. }
            | Self::Accepted { .. }
            | Self::DeemedAccepted { .. }
            | Self::SpecialEnded { .. }
            | Self::DeliveredDirectly { .. }
            | Self::Resumed { .. }
            | Self::JointPlanned { .. }
            | Self::JointReported { .. }
            | Self::Alerted { .. }
            | Self::SupplementSubmitted { .. }
            | Self::SupplementLapsed { .. }
            | Self::Reviewed { .. }
            | Self::Granted(_)
            | Self::LicenceIssued { .. }
            | Self::Dispatched { .. }
            | Self::Delivered { .. }
            | Self::WithdrawalAsked { .. }
            | Self::WithdrawalConfirmed { .. }
            | Self::Closed { .. }
            | Self::Rated { .. } => false,
        }
    }

    /// Whether the name of whoever approved it is missing: 特别程序 and 作废 need one.
    pub fn lacks_approver(&self) -> bool {
        match self {
            Self::SpecialBegun { approver, .. } | Self::Voided { approver, .. } => approver.trim().is_empty(),
            _ => false,
        }
    }
}

/// One permitted fact of a case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseFact {
    /// Whose fact.
    pub author: NodeId,
    /// Its place in the author's channel to the other node; meaningless when `local`.
    pub position: LogPosition,
    /// Whether it never crosses the gateway.
    pub local: bool,
    /// Size of the reverse channel that the author had folded.
    pub seen: LogPosition,
    /// The author's time.
    pub created: UnixMillis,
    /// When it became durable here. The two nodes differ in it; no rule reads it.
    pub committed: UnixMillis,
    /// Name of the message.
    pub message_id: MessageId,
    /// The agreement that the header pins.
    pub agreement: Option<Digest>,
    /// The standard that the header pins.
    pub standard: Option<Digest>,
    /// What happened.
    pub event: CaseEvent,
}
