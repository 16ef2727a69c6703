//! The two cities of the demo. 岳阳 receives, 咸宁 decides; their provinces run different
//! certification authorities.

use gateway::id::NodeId;

/// A city with its node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its division code, which is its node's name.
    pub code: &'static str,
    /// Its name in Chinese.
    pub zh: &'static str,
    /// Its name in English.
    pub en: &'static str,
    /// The trust domain of its province, as `devpki` names it.
    pub domain: &'static str,
    /// The body that issues its licences.
    pub authority: &'static str,
    /// That body's credit code, synthetic.
    pub authority_code: &'static str,
}

impl Place {
    /// The division code as a node's name.
    pub(crate) fn node(&self) -> NodeId {
        self.code.parse().expect("a constant of this file, six digits")
    }

    /// The city's name in the reader's language.
    pub(crate) fn name(&self, chinese: bool) -> &'static str {
        if chinese { self.zh } else { self.en }
    }
}

/// 收件地, where the applicant stands at a window.
pub(crate) static YUEYANG: Place = Place {
    code: "430600",
    zh: "岳阳",
    en: "Yueyang",
    domain: "hunan.tongban",
    authority: "岳阳市市场监督管理局",
    authority_code: "11430600MBT006018D",
};

/// 属地, whose authority decides.
pub(crate) static XIANNING: Place = Place {
    code: "421200",
    zh: "咸宁",
    en: "Xianning",
    domain: "hubei.tongban",
    authority: "咸宁市行政审批局",
    authority_code: "11421200MBT006026U",
};

/// 属地 of the one who sends a lone message while another is flooded; the demo has no part for it.
pub(crate) static WUHAN: Place = Place {
    code: "420100",
    zh: "武汉",
    en: "Wuhan",
    domain: "hubei.tongban",
    authority: "武汉市行政审批局",
    authority_code: "11420100MBT0060345",
};

/// `430600→421200`, as channels are written everywhere.
pub(crate) fn channel(from: &Place, to: &Place) -> String {
    format!("{}→{}", from.code, to.code)
}
