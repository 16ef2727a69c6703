//! 特别程序: what the law leaves out of the competent place's time, or adds to it. Kind 1 lengthens the
//! limit with the head's approval, once (行政许可法 art. 42); kind 2 stops the clock while a hearing, an
//! inspection or an expert's review goes on (art. 45).

use super::super::agreement::Mode;
use crate::time::UnixMillis;

/// 延长审批 of one authority's decision, working days at most (art. 42).
pub const EXTENSION_WORKING_DAYS_MAX: u32 = 10;
/// 延长审批 where several authorities decide together, working days at most (art. 42, second paragraph).
pub const JOINT_EXTENSION_WORKING_DAYS_MAX: u32 = 15;

/// The two kinds of 特别程序 (GB/T 39046-2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialKind {
    /// 1 延长审批: the limit is longer by so many working days; the clock goes on.
    Extension,
    /// 2 其他: the clock stands still until it ends.
    Pause,
}

impl SpecialKind {
    /// 1 or 2.
    pub fn number(self) -> u32 {
        match self {
            Self::Extension => 1,
            Self::Pause => 2,
        }
    }

    /// The kind of that number.
    pub fn numbered(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Extension),
            2 => Some(Self::Pause),
            _ => None,
        }
    }
}

/// A 特别程序 of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Special {
    /// Which kind.
    pub kind: SpecialKind,
    /// Its working days.
    pub working_days: u32,
    /// When it began.
    pub begun: UnixMillis,
    /// When it ended; `None`: it goes on.
    pub ended: Option<UnixMillis>,
}

/// How many working days the head may approve.
pub(super) fn extension_max(mode: Option<Mode>) -> u32 {
    match mode {
        Some(Mode::Joint) => JOINT_EXTENSION_WORKING_DAYS_MAX,
        Some(Mode::Online | Mode::ReceivedElsewhere) | None => EXTENSION_WORKING_DAYS_MAX,
    }
}
