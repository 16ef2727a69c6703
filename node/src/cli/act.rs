//! `case act`: one act in the life of a case, by a friendly name, as the entry that it is. Which act is
//! allowed when, and to whom, is the node's to judge; this file only knows what each act says.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gateway::id::{CaseId, Kind, NodeId};
use gateway::time::UnixMillis;
use prost::Message as _;
use proto::exchange::v1;
use proto::local::v1::{CaseView, SubmitRequest};

use super::blob::Files;
use super::case::{Submitted, find, own_node, wait_for_receipt};
use super::case_file::{INPUT_BYTES_MAX, LicenceFile, MaterialFile, instant, materials, parse_json};
use super::check::now_ms;
use super::{Wait, read_input};
use crate::both;
use crate::client::Clients;
use crate::console::{Console, Failure};
use crate::refused::from_status;

/// `tongban case act`
#[derive(Debug, Args)]
pub struct ActArgs {
    /// The case number (业务协同编号). 办件编号
    pub case: CaseId,
    /// What is done. 环节
    #[arg(value_enum)]
    pub action: Action,
    /// Who does it, an operator's id. 经办人
    #[arg(long, default_value = "")]
    pub operator: String,
    /// What it says, as far as the act has it.
    #[command(flatten)]
    pub said: Said,
    /// Idempotency key: the same key and act give the first answer again. 幂等键
    #[arg(long)]
    pub key: Option<String>,
    /// Files.
    #[command(flatten)]
    pub files: Files,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// The acts that cross the gateway after `case submit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// 业务签收
    Signfor,
    /// 退件：--code --reason
    Return,
    /// 受理：--document-number --promised-working-days
    Accept,
    /// 不予受理：--document-number --reason
    Reject,
    /// 补正告知：--item … --deadline-working-days
    SupplementRequest,
    /// 补正提交：--materials
    SupplementSubmit,
    /// 补正不来
    Lapse,
    /// 审查
    Review,
    /// 准予：--document-number
    Grant,
    /// 不予：--document-number --reason
    Deny,
    /// 制证：--licence
    Licence,
    /// 送达中：--method --tracking-number
    Dispatch,
    /// 已送达：--method --delivered
    Deliver,
    /// 撤回申请：--reason
    WithdrawAsk,
    /// 撤回确认：--reason
    WithdrawConfirm,
    /// 办结：--result
    Close,
    /// 好差评：--level --stage --channel
    Rate,
    /// 视为受理
    AcceptDeemed,
    /// 特别程序开始：--special --procedure --reason --approver --working-days
    SpecialBegin,
    /// 特别程序结束：--outcome
    SpecialEnd,
    /// 转报：--authority --reason
    Transfer,
    /// 已送达（属地）：--method --delivered
    DeliverDirect,
    /// 挂起：--reason
    Suspend,
    /// 恢复办理
    Resume,
    /// 作废：--reason --approver
    Void,
    /// 联办分派：--task … --policy
    JointPlan,
    /// 联办结果：--sub-case --outcome
    JointReport,
    /// 监察预警：--clock --alert --due
    Alert,
    /// 督办：--reason --working-days
    Supervise,
    /// 督办回复：--reason
    SuperviseReply,
}

/// What acts say. Each act takes the options that its help names and refuses others.
#[derive(Debug, Clone, Default, Args)]
pub struct Said {
    /// Why, in writing. 理由
    #[arg(long)]
    pub reason: Option<String>,
    /// Error code of a return. 退件代码
    #[arg(long)]
    pub code: Option<String>,
    /// Number of the written document. 文书编号
    #[arg(long)]
    pub document_number: Option<String>,
    /// Promised time, working days. 承诺办结时限（工作日）
    #[arg(long, value_name = "DAYS")]
    pub promised_working_days: Option<u32>,
    /// What is missing, MATERIAL=WHAT; repeat for more. 补正内容
    #[arg(long, value_name = "MATERIAL=WHAT")]
    pub item: Vec<String>,
    /// Time for the supplement, working days. 补正期限（工作日）
    #[arg(long, value_name = "DAYS")]
    pub deadline_working_days: Option<u32>,
    /// Materials of a supplement, a JSON list as in `case submit`. 补正材料
    #[arg(long, value_name = "JSON")]
    pub materials: Option<PathBuf>,
    /// The result licence, JSON as in `licence put`. 结果证照
    #[arg(long, value_name = "JSON")]
    pub licence: Option<PathBuf>,
    /// How it is sent or handed over. 送达方式
    #[arg(long)]
    pub method: Option<String>,
    /// Number of the parcel. 物流单号
    #[arg(long)]
    pub tracking_number: Option<String>,
    /// When it was handed over, RFC 3339; now when absent. 送达时间
    #[arg(long, value_parser = instant)]
    pub delivered: Option<UnixMillis>,
    /// Result code of a closed case. 办结结果代码
    #[arg(long)]
    pub result: Option<String>,
    /// 1 very satisfied … 5 very dissatisfied. 满意度（1 为最好）
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5))]
    pub level: Option<u32>,
    /// What is rated. 评价环节
    #[arg(long, value_parser = ["receiving", "competent"])]
    pub stage: Option<String>,
    /// How the rating was given. 评价渠道
    #[arg(long)]
    pub channel: Option<String>,
    /// 1: a longer term; 2: the clock stands still. 特别程序种类
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub special: Option<u32>,
    /// Which procedure: 听证, 检验, 鉴定 …. 特别程序名称
    #[arg(long)]
    pub procedure: Option<String>,
    /// Who approved it. 批准人
    #[arg(long)]
    pub approver: Option<String>,
    /// Working days of a special procedure, or for an answer. 工作日
    #[arg(long, value_name = "DAYS")]
    pub working_days: Option<u32>,
    /// What came of a procedure; of a sub-task: granted, denied or withdrawn. 结果
    #[arg(long)]
    pub outcome: Option<String>,
    /// The higher authority. 上级机关
    #[arg(long)]
    pub authority: Option<String>,
    /// A sub-task, CASE=NODE=ITEM=DAYS; repeat for more. 联办子件
    #[arg(long, value_name = "CASE=NODE=ITEM=DAYS")]
    pub task: Vec<String>,
    /// What a refused sub-task means: all or nothing, or the rest goes on. 任一子件不予
    #[arg(long, value_parser = ["all", "partial"])]
    pub policy: Option<String>,
    /// The sub-task that ended. 子件编号
    #[arg(long, value_name = "CASE")]
    pub sub_case: Option<CaseId>,
    /// Which clock is late, as `case show` names it. 期限
    #[arg(long)]
    pub clock: Option<String>,
    /// How late. 预警、黄牌、红牌
    #[arg(long, value_parser = ["warning", "yellow", "red"])]
    pub alert: Option<String>,
    /// The last day of the limit, YYYY-MM-DD. 截止日
    #[arg(long)]
    pub due: Option<String>,
}

impl Action {
    /// The kind of the entry.
    pub fn kind(self) -> Kind {
        match self {
            Self::Signfor => Kind::CaseSignFor,
            Self::Return => Kind::CaseReturn,
            Self::Accept => Kind::CaseAccept,
            Self::Reject => Kind::CaseReject,
            Self::SupplementRequest => Kind::CaseSupplementRequest,
            Self::SupplementSubmit => Kind::CaseSupplementSubmit,
            Self::Lapse => Kind::CaseSupplementLapse,
            Self::Review => Kind::CaseReview,
            Self::Grant => Kind::CaseGrant,
            Self::Deny => Kind::CaseDeny,
            Self::Licence => Kind::CaseLicence,
            Self::Dispatch => Kind::CaseDispatch,
            Self::Deliver => Kind::CaseDeliver,
            Self::WithdrawAsk => Kind::CaseWithdrawAsk,
            Self::WithdrawConfirm => Kind::CaseWithdrawConfirm,
            Self::Close => Kind::CaseClose,
            Self::Rate => Kind::CaseRate,
            Self::AcceptDeemed => Kind::CaseAcceptDeemed,
            Self::SpecialBegin => Kind::CaseSpecialBegin,
            Self::SpecialEnd => Kind::CaseSpecialEnd,
            Self::Transfer => Kind::CaseTransfer,
            Self::DeliverDirect => Kind::CaseDeliverDirect,
            Self::Suspend => Kind::CaseSuspend,
            Self::Resume => Kind::CaseResume,
            Self::Void => Kind::CaseVoid,
            Self::JointPlan => Kind::CaseJointPlan,
            Self::JointReport => Kind::CaseJointReport,
            Self::Alert => Kind::CaseAlert,
            Self::Supervise => Kind::CaseSupervise,
            Self::SuperviseReply => Kind::CaseSuperviseReply,
        }
    }

    /// The payload: takes out of `said` what the act has, and refuses what is left or missing.
    fn payload(self, operator: String, said: &mut Said, now: UnixMillis) -> Result<Vec<u8>, Failure> {
        let payload = match self {
            Self::Signfor => v1::CaseSignFor { operator }.encode_to_vec(),
            Self::Review => v1::CaseReview { operator }.encode_to_vec(),
            Self::Lapse => v1::CaseSupplementLapse { operator }.encode_to_vec(),
            Self::Return => v1::CaseReturn {
                code: needed("--code", said.code.take())?,
                reason: needed("--reason", said.reason.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::Accept => v1::CaseAccept {
                document_number: needed("--document-number", said.document_number.take())?,
                promised_working_days: needed("--promised-working-days", said.promised_working_days.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::Reject => v1::CaseReject {
                document_number: needed("--document-number", said.document_number.take())?,
                reason: needed("--reason", said.reason.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::SupplementRequest => v1::CaseSupplementRequest {
                items: supplement_items(std::mem::take(&mut said.item))?,
                deadline_working_days: needed("--deadline-working-days", said.deadline_working_days.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::SupplementSubmit => {
                let file = needed("--materials", said.materials.take())?;
                let listed: Vec<MaterialFile> = parse_json(&read_input(&file, INPUT_BYTES_MAX)?)?;
                v1::CaseSupplementSubmit { materials: materials(&listed)?, operator }.encode_to_vec()
            }
            Self::Grant => v1::CaseDecision {
                document_number: needed("--document-number", said.document_number.take())?,
                reason: said.reason.take().unwrap_or_default(),
                operator,
            }
            .encode_to_vec(),
            Self::Deny => v1::CaseDecision {
                document_number: needed("--document-number", said.document_number.take())?,
                reason: needed("--reason", said.reason.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::Licence => {
                let file = needed("--licence", said.licence.take())?;
                let licence: LicenceFile = parse_json(&read_input(&file, INPUT_BYTES_MAX)?)?;
                v1::CaseLicence { licence: Some(licence.to_payload()?), operator }.encode_to_vec()
            }
            Self::Dispatch => v1::CaseDispatch {
                method: needed("--method", said.method.take())?,
                tracking_number: said.tracking_number.take().unwrap_or_default(),
                operator,
            }
            .encode_to_vec(),
            Self::AcceptDeemed => v1::CaseAcceptDeemed { operator }.encode_to_vec(),
            Self::SpecialBegin => v1::CaseSpecialBegin {
                special: needed("--special", said.special.take())?,
                procedure: needed("--procedure", said.procedure.take())?,
                reason: needed("--reason", said.reason.take())?,
                approver: needed("--approver", said.approver.take())?,
                working_days: needed("--working-days", said.working_days.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::SpecialEnd => {
                v1::CaseSpecialEnd { outcome: needed("--outcome", said.outcome.take())?, operator }
                    .encode_to_vec()
            }
            Self::Transfer => v1::CaseTransfer {
                authority: needed("--authority", said.authority.take())?,
                reason: needed("--reason", said.reason.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::Suspend => {
                v1::CaseSuspend { reason: needed("--reason", said.reason.take())?, operator }.encode_to_vec()
            }
            Self::Resume => v1::CaseResume { operator }.encode_to_vec(),
            Self::Void => v1::CaseVoid {
                reason: needed("--reason", said.reason.take())?,
                approver: needed("--approver", said.approver.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::JointPlan => v1::CaseJointPlan {
                tasks: joint_tasks(std::mem::take(&mut said.task))?,
                policy: needed("--policy", said.policy.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::JointReport => v1::CaseJointReport {
                case_id: needed("--sub-case", said.sub_case.take())?.to_string(),
                outcome: needed("--outcome", said.outcome.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::Alert => v1::CaseAlert {
                clock: needed("--clock", said.clock.take())?,
                level: needed("--alert", said.alert.take())?,
                due: needed("--due", said.due.take())?,
            }
            .encode_to_vec(),
            Self::Supervise => v1::CaseSupervise {
                reason: needed("--reason", said.reason.take())?,
                reply_within_working_days: needed("--working-days", said.working_days.take())?,
                operator,
            }
            .encode_to_vec(),
            Self::SuperviseReply => {
                v1::CaseSuperviseReply { reply: needed("--reason", said.reason.take())?, operator }
                    .encode_to_vec()
            }
            Self::Deliver | Self::DeliverDirect => v1::CaseDeliver {
                method: needed("--method", said.method.take())?,
                delivered_ms: said.delivered.take().unwrap_or(now).0,
                operator,
            }
            .encode_to_vec(),
            Self::WithdrawAsk | Self::WithdrawConfirm => {
                v1::CaseWithdraw { reason: said.reason.take().unwrap_or_default(), operator }.encode_to_vec()
            }
            Self::Close => {
                v1::CaseClose { result: needed("--result", said.result.take())?, operator }.encode_to_vec()
            }
            Self::Rate => v1::CaseRate {
                level: needed("--level", said.level.take())?,
                stage: needed("--stage", said.stage.take())?,
                channel: said.channel.take().unwrap_or_default(),
            }
            .encode_to_vec(),
        };
        match said.left_over() {
            Some(option) => Err(Failure::usage(both!(
                "此环节不用 {option}；请去掉它，或核对环节名称。",
                "this act does not take {option}; leave it away, or check the act's name."
            ))),
            None => Ok(payload),
        }
    }

    /// The entry that this act answers, if it answers one.
    fn answers(self) -> Option<Kind> {
        match self {
            Self::SupplementSubmit | Self::Lapse => Some(Kind::CaseSupplementRequest),
            Self::WithdrawConfirm => Some(Kind::CaseWithdrawAsk),
            Self::SpecialEnd => Some(Kind::CaseSpecialBegin),
            Self::Resume => Some(Kind::CaseSuspend),
            Self::SuperviseReply => Some(Kind::CaseSupervise),
            _ => None,
        }
    }
}

impl Said {
    /// An option that is still there.
    fn left_over(&self) -> Option<&'static str> {
        let Self {
            reason,
            code,
            document_number,
            promised_working_days,
            item,
            deadline_working_days,
            materials,
            licence,
            method,
            tracking_number,
            delivered,
            result,
            level,
            stage,
            channel,
            special,
            procedure,
            approver,
            working_days,
            outcome,
            authority,
            task,
            policy,
            sub_case,
            clock,
            alert,
            due,
        } = self;
        [
            ("--reason", reason.is_some()),
            ("--code", code.is_some()),
            ("--document-number", document_number.is_some()),
            ("--promised-working-days", promised_working_days.is_some()),
            ("--item", !item.is_empty()),
            ("--deadline-working-days", deadline_working_days.is_some()),
            ("--materials", materials.is_some()),
            ("--licence", licence.is_some()),
            ("--method", method.is_some()),
            ("--tracking-number", tracking_number.is_some()),
            ("--delivered", delivered.is_some()),
            ("--result", result.is_some()),
            ("--level", level.is_some()),
            ("--stage", stage.is_some()),
            ("--channel", channel.is_some()),
            ("--special", special.is_some()),
            ("--procedure", procedure.is_some()),
            ("--approver", approver.is_some()),
            ("--working-days", working_days.is_some()),
            ("--outcome", outcome.is_some()),
            ("--authority", authority.is_some()),
            ("--task", !task.is_empty()),
            ("--policy", policy.is_some()),
            ("--sub-case", sub_case.is_some()),
            ("--clock", clock.is_some()),
            ("--alert", alert.is_some()),
            ("--due", due.is_some()),
        ]
        .into_iter()
        .find_map(|(option, there)| there.then_some(option))
    }
}

fn needed<T>(option: &str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::usage(both!("此环节须写明 {option}。", "this act needs {option}.")))
}

fn supplement_items(items: Vec<String>) -> Result<Vec<v1::SupplementItem>, Failure> {
    if items.is_empty() {
        return needed("--item", None);
    }
    items
        .iter()
        .map(|item| match item.split_once('=') {
            Some((material, what)) if !material.is_empty() && !what.is_empty() => {
                Ok(v1::SupplementItem { material: material.to_owned(), what: what.to_owned() })
            }
            _ => Err(Failure::usage(both!(
                "--item 应写作 材料编码=须补正的内容。",
                "write --item as MATERIAL=WHAT."
            ))),
        })
        .collect()
}

fn joint_tasks(tasks: Vec<String>) -> Result<Vec<v1::JointTask>, Failure> {
    if tasks.is_empty() {
        return needed("--task", None);
    }
    tasks
        .iter()
        .map(|task| {
            let parts: Vec<&str> = task.split('=').collect();
            let [case_id, assisting, item, days] = parts[..] else { return Err(()) };
            Ok(v1::JointTask {
                case_id: case_id.parse::<CaseId>().map_err(|_| ())?.to_string(),
                assisting: assisting.parse::<NodeId>().map_err(|_| ())?.to_string(),
                item: item.to_owned(),
                working_days: days.parse().map_err(|_| ())?,
            })
        })
        .collect::<Result<_, ()>>()
        .map_err(|()| {
            Failure::usage(both!(
                "--task 应写作 子件编号=协办地=事项编码=工作日。",
                "write --task as CASE=NODE=ITEM=DAYS."
            ))
        })
}

/// Submits an act of a case.
///
/// # Errors
/// When options are missing or too many, when there is no such case, or the node refuses the act.
pub async fn act(console: Console, mut clients: Clients, mut args: ActArgs) -> Result<(), Failure> {
    let now = UnixMillis(now_ms().unsigned_abs());
    if matches!(args.action, Action::Deliver | Action::DeliverDirect)
        && args.key.is_some()
        && args.said.delivered.is_none()
    {
        return Err(Failure::usage(both!(
            "使用 --key 时须写明 --delivered：重试的内容必须相同。",
            "with --key state --delivered as well: a retry must say the same."
        )));
    }
    let payload = args.action.payload(args.operator, &mut args.said, now)?;
    let own = own_node(&mut clients).await?;
    let case = find(&mut clients, &args.case).await?;
    let to = other_side(&case, own)?;
    let answered = args.action.answers().and_then(|kind| {
        case.steps.iter().rev().find(|step| step.kind == kind.name() && step.note.is_empty())
    });
    let request = SubmitRequest {
        to: to.to_string(),
        idempotency_key: args.key.unwrap_or_default(),
        kind: args.action.kind().name().to_owned(),
        case_id: args.case.to_string(),
        in_reply_to: answered.map(|step| step.message_id.clone()).unwrap_or_default(),
        payload: payload.into(),
        blobs: args.files.named(),
        ..SubmitRequest::default()
    };
    let reply = clients.business.submit(request).await.map_err(|error| from_status(&error))?.into_inner();
    let submitted = Submitted::of(to, Some(args.case), &reply)?;
    submitted.print(console)?;
    wait_for_receipt(console, &mut clients, to, submitted.message_id, args.wait).await
}

/// The partner in a case.
fn other_side(case: &CaseView, own: NodeId) -> Result<NodeId, Failure> {
    let other = if case.receiving == own.as_str() { &case.competent } else { &case.receiving };
    other.parse().map_err(|_| {
        Failure::ours(both!(
            "节点没有说明此办件的另一方。",
            "the node did not state the other side of this case."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(action: Action, mut said: Said) -> Result<Vec<u8>, Failure> {
        action.payload("w1".into(), &mut said, UnixMillis(7))
    }

    #[test]
    fn every_case_kind_but_the_first_has_an_act() {
        let acts: Vec<Kind> = Action::value_variants().iter().map(|action| action.kind()).collect();
        for kind in Kind::ALL.iter().filter(|kind| kind.is_case() && **kind != Kind::CaseForward) {
            assert_eq!(acts.iter().filter(|act| *act == kind).count(), 1, "{kind}");
        }
    }

    #[test]
    fn an_act_takes_its_options_and_no_others() {
        let reason = || Some("理由".to_owned());
        let number = || Some("文1".to_owned());
        let good = Said { document_number: number(), promised_working_days: Some(5), ..Said::default() };
        let accept = v1::CaseAccept::decode(&*payload(Action::Accept, good.clone()).unwrap()).unwrap();
        assert_eq!((accept.promised_working_days, accept.operator.as_str()), (5, "w1"));
        let more = Said { reason: reason(), ..good.clone() };
        assert!(payload(Action::Accept, more).unwrap_err().text.en.contains("--reason"));
        let less = Said { promised_working_days: None, ..good };
        assert!(payload(Action::Accept, less).unwrap_err().text.en.contains("--promised-working-days"));
        let unreasoned = Said { document_number: number(), ..Said::default() };
        assert_eq!(payload(Action::Deny, unreasoned.clone()).unwrap_err().exit, 2);
        payload(Action::Deny, Said { reason: reason(), ..unreasoned }).unwrap();
    }

    #[test]
    fn a_supplement_says_what_is_missing() {
        let said = |item: &str| Said {
            item: vec![item.to_owned()],
            deadline_working_days: Some(5),
            ..Said::default()
        };
        let bytes = payload(Action::SupplementRequest, said("M01=缺签字=此处")).unwrap();
        let request = v1::CaseSupplementRequest::decode(&*bytes).unwrap();
        assert_eq!(
            (request.items[0].material.as_str(), request.items[0].what.as_str()),
            ("M01", "缺签字=此处")
        );
        assert!(payload(Action::SupplementRequest, said("M01")).is_err());
    }
}
