//! The states of a case. Which act leads from which to which is in `table`.

use std::fmt;

macro_rules! states {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $zh:literal;)*) => {
        /// Where a case stands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CaseState { $($(#[$doc])* $variant,)* }

        impl CaseState {
            /// Every state, in the order of a case's life.
            pub const ALL: &'static [CaseState] = &[$(CaseState::$variant,)*];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The term of art.
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)* }
            }

            /// The state of that stable name.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

states! {
    /// No fact has opened the case yet. No case with a permitted fact stands here.
    Unopened = "unopened", "未收件";
    /// 收件 at the window; the competent place does not know of it yet.
    Received = "received", "收件";
    /// 转递 to the competent place.
    Forwarded = "forwarded", "已转递";
    /// 业务签收.
    SignedFor = "signed_for", "已签收";
    /// 退件: technical or jurisdiction error. Ends the case.
    Returned = "returned", "退件";
    /// 受理.
    Accepted = "accepted", "受理";
    /// 不予受理.
    Rejected = "rejected", "不予受理";
    /// 补正告知; waits for the applicant.
    SupplementRequested = "supplement_requested", "补正告知";
    /// 补正不来.
    SupplementLapsed = "supplement_lapsed", "补正不来";
    /// 审查中.
    UnderReview = "under_review", "审查中";
    /// 准予.
    Granted = "granted", "准予";
    /// 不予.
    Denied = "denied", "不予";
    /// 制证.
    LicenceIssued = "licence_issued", "制证";
    /// 送达中.
    InDelivery = "in_delivery", "送达中";
    /// 已送达.
    Delivered = "delivered", "已送达";
    /// 撤回.
    Withdrawn = "withdrawn", "撤回";
    /// 办结.
    Closed = "closed", "办结";
    /// 特别程序: a hearing, an inspection, an expert's review, or a longer term approved.
    SpecialProcedure = "special_procedure", "特别程序";
    /// 转报 to a higher authority, which decides outside this case.
    Transferred = "transferred", "转报";
    /// 挂起; goes back to where it stood.
    Suspended = "suspended", "挂起";
    /// 作废: a data error. The timeline stays as its tombstone.
    Voided = "voided", "作废";
}

impl CaseState {
    /// Whether nobody has to act any more: nothing but a rating or 作废 can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Returned | Self::Closed | Self::Voided)
    }
}

impl fmt::Display for CaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
