//! 好差评: the applicant rates the receiving window and the competent place's handling, each once
//! (一事一评、一次一评). The scale is that of GB/T 39046-2020 A.8, where 1 is best; stars on screens run
//! the other way and are none of our business.

/// A satisfaction level, 1 (非常满意) to 5 (非常不满意).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The level of that number; `None` outside 1..=5.
    pub fn new(level: u32) -> Option<Self> {
        u8::try_from(level).ok().filter(|level| (1..=5).contains(level)).map(Self)
    }

    /// 1..=5.
    pub fn number(self) -> u8 {
        self.0
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self.0 {
            1 => "非常满意",
            2 => "满意",
            3 => "基本满意",
            4 => "不满意",
            _ => "非常不满意",
        }
    }

    /// Whether it is a bad rating (差评), which has to be looked into.
    pub fn is_bad(self) -> bool {
        self.0 >= 4
    }
}

/// Whose work is rated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// 收件地's window.
    Receiving,
    /// 属地's handling.
    Competent,
}

impl Stage {
    /// The stable name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Competent => "competent",
        }
    }

    /// The stage of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "receiving" => Some(Self::Receiving),
            "competent" => Some(Self::Competent),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_one_to_five_and_one_is_best() {
        assert_eq!(Level::new(0), None);
        assert_eq!(Level::new(6), None);
        assert_eq!(Level::new(257), None);
        assert_eq!(Level::new(1).unwrap().zh(), "非常满意");
        assert!(!Level::new(3).unwrap().is_bad());
        assert!(Level::new(5).unwrap().is_bad());
    }
}
