//! The words that several commands share: states of a case, kinds of entry, faults.
//!
//! Each is looked up by its stable name; a name that a newer node sent and this program does not know
//! is shown as it is.

use gateway::service::case::CaseState;

use super::Lang;

/// The name of a case's state, by its stable name.
pub fn state(lang: Lang, name: &str) -> String {
    match (lang, CaseState::named(name)) {
        // Not a state of the rules: the partner refused the case's forward.
        (Lang::Zh, None) if name == "refused" => "对方拒收".to_owned(),
        (Lang::Zh, Some(state)) => state.zh().to_owned(),
        (Lang::Zh | Lang::En, _) => name.replace('_', " "),
    }
}

/// The name of a kind of entry, by the name that stands in headers.
pub fn kind(lang: Lang, name: &str) -> &str {
    let zh = match name {
        "refusal" => "拒收",
        "cancellation" => "作废",
        "blob.received" => "附件签收",
        "blob.stored" => "附件到齐",
        "key.announce" => "公布密钥",
        "epoch.close" => "关闭期次",
        "epoch.open" => "开启期次",
        "standard.publish" => "发布标准",
        "agreement.sign" => "签署协议",
        "case.receive" => "收件",
        "case.forward" => "转递",
        "case.signfor" => "业务签收",
        "case.return" => "退件",
        "case.accept" => "受理",
        "case.reject" => "不予受理",
        "case.supplement.request" => "补正告知",
        "case.supplement.submit" => "补正提交",
        "case.supplement.lapse" => "补正不来",
        "case.review" => "审查",
        "case.grant" => "准予",
        "case.deny" => "不予",
        "case.licence" => "制证",
        "case.dispatch" => "送达中",
        "case.deliver" => "已送达",
        "case.withdraw.ask" => "撤回申请",
        "case.withdraw.confirm" => "撤回确认",
        "case.close" => "办结",
        "case.rate" => "好差评",
        "case.accept.deemed" => "视为受理",
        "case.special.begin" => "特别程序开始",
        "case.special.end" => "特别程序结束",
        "case.transfer" => "转报",
        "case.deliver.direct" => "已送达（属地）",
        "case.suspend" => "挂起",
        "case.resume" => "恢复办理",
        "case.void" => "作废",
        "case.joint.plan" => "联办分派",
        "case.joint.report" => "联办结果",
        "case.alert" => "监察预警",
        "case.supervise" => "督办",
        "case.supervise.reply" => "督办回复",
        "licence.query" => "证照查询",
        "licence.attest" => "证照证明",
        "recognition.request" => "互认申请",
        "recognition.decide" => "互认决定",
        other => other,
    };
    lang.pick(zh, name)
}

/// Whose fault a refusal is, by the name that [`gateway::refusal::Fault::name`] gives.
pub fn fault(lang: Lang, name: &str) -> &str {
    let (zh, en) = match name {
        "peer" => (
            "责任方：发出此报文的一方（节点或其业务系统）",
            "whose fault: the side that sent it (its node or its business system)",
        ),
        "operator" => (
            "责任方：本节点使用者（配置、信任或输入）",
            "whose fault: this node's people (configuration, trust, input)",
        ),
        "ours" => ("责任方：本程序", "whose fault: this program"),
        "unknown" => ("责任方：尚不能判定", "whose fault: nobody can tell yet"),
        other => (other, other),
    };
    lang.pick(zh, en)
}

/// A level of 好差评: 1 is the best, GB/T 39046-2020 A.8.
pub fn rating(lang: Lang, level: u32) -> &'static str {
    let (zh, en) = match level {
        1 => ("非常满意", "very satisfied"),
        2 => ("满意", "satisfied"),
        3 => ("基本满意", "rather satisfied"),
        4 => ("不满意", "dissatisfied"),
        5 => ("非常不满意", "very dissatisfied"),
        _ => ("未评价", "not rated"),
    };
    lang.pick(zh, en)
}

/// Yes or no.
pub fn yes(lang: Lang, value: bool) -> &'static str {
    match value {
        true => lang.pick("是", "yes"),
        false => lang.pick("否", "no"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_chinese_name() {
        for known in gateway::id::Kind::ALL {
            assert!(!kind(Lang::Zh, known.name()).is_ascii(), "{known}");
        }
    }

    #[test]
    fn every_fault_is_explained() {
        use gateway::refusal::Fault;
        for known in [Fault::Peer, Fault::Operator, Fault::Ours, Fault::Unknown] {
            assert_ne!(fault(Lang::En, known.name()), known.name());
        }
    }
}
