//! How single values are written in JSON documents: digests as `sha256:…`, nodes as six digits, enums
//! by their stable names, dates as `YYYY-MM-DD`.
//!
//! An instant is an RFC 3339 date, meaning the start of that day in China, or else an RFC 3339 time
//! with milliseconds and `+08:00`. There is exactly one way to write each instant, and only that one
//! is read.

use crate::id::{CaseId, Digest, MessageId, NodeId};
use crate::service::agreement::{Binding, ClockRule, IssuerScope, Mode, RecognitionEffect};
use crate::service::date::Date;
use crate::service::licence::LicenceState;
use crate::service::recognition::{Outcome, ReasonCode};
use crate::service::standard::{MaterialForm, Necessity};
use crate::time::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A value that has one text.
pub(super) trait Textual: Sized {
    /// The text.
    fn to_text(&self) -> String;
    /// The value of that text.
    fn from_text(text: &str) -> Option<Self>;
}

/// A value that stands in JSON as its text.
pub(super) struct Text<T>(pub(super) T);

impl<T: Textual> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_text())
    }
}

impl<'de, T: Textual> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::from_text(&text).map(Self).ok_or_else(|| D::Error::custom("is not written as this field asks"))
    }
}

macro_rules! by_display {
    ($($type:ty),*) => { $(
        impl Textual for $type {
            fn to_text(&self) -> String {
                self.to_string()
            }
            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )* };
}
by_display!(NodeId, CaseId, MessageId, Date);

macro_rules! by_name {
    ($($type:ty: $name:ident of $all:expr;)*) => { $(
        impl Textual for $type {
            fn to_text(&self) -> String {
                self.$name().to_owned()
            }
            fn from_text(text: &str) -> Option<Self> {
                $all.iter().copied().find(|value| value.$name() == text)
            }
        }
    )* };
}
by_name! {
    Necessity: name of [Necessity::Required, Necessity::Optional, Necessity::Deferrable];
    MaterialForm: name of [MaterialForm::Paper, MaterialForm::Electronic];
    Mode: code of Mode::ALL;
    ClockRule: name of ClockRule::ALL;
    Binding: name of [Binding::Applicant, Binding::Agent];
    RecognitionEffect: name of [
        RecognitionEffect::WaiveSubmission, RecognitionEffect::WaiveCopies, RecognitionEffect::Defer
    ];
    LicenceState: name of LicenceState::ALL;
    Outcome: name of Outcome::ALL;
    ReasonCode: code of ReasonCode::ALL;
}

impl Textual for Digest {
    fn to_text(&self) -> String {
        Digest::to_text(*self)
    }
    fn from_text(text: &str) -> Option<Self> {
        Digest::from_text(text).ok().filter(|digest| digest.to_text() == text)
    }
}

impl Textual for IssuerScope {
    /// `uscc:1143`, `division:4306`.
    fn to_text(&self) -> String {
        match self {
            Self::Uscc(prefix) => format!("uscc:{prefix}"),
            Self::Division(prefix) => format!("division:{prefix}"),
        }
    }
    fn from_text(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("uscc", prefix) if (1..=18).contains(&prefix.len()) => Some(Self::Uscc(prefix.to_owned())),
            ("division", prefix)
                if matches!(prefix.len(), 2 | 4 | 6) && prefix.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Some(Self::Division(prefix.to_owned()))
            }
            _ => None,
        }
    }
}

impl Textual for UnixMillis {
    fn to_text(&self) -> String {
        let date = Date::of(*self);
        if date.start() == *self { date.to_string() } else { self.to_string() }
    }
    fn from_text(text: &str) -> Option<Self> {
        let date: Date = text.get(..10)?.parse().ok()?;
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
        };
        let of_day = if text.len() == 10 {
            0
        } else {
            ((number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?) * 1000 + number(20, 23)?
        };
        let instant = date.start().plus_millis(of_day);
        // the one way of writing it, which also refuses a 25th hour and a missing offset
        (instant.to_text() == text).then_some(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_exactly_one_text() {
        for text in ["2026-01-01", "2026-11-23T08:00:00.000+08:00", "2026-12-31T23:59:59.999+08:00"] {
            assert_eq!(UnixMillis::from_text(text).unwrap().to_text(), text);
        }
        for text in [
            "2026-01-01T00:00:00.000+08:00",
            "2026-11-23T08:00:00+08:00",
            "2026-11-23T08:00:00.000Z",
            "2026-11-23T24:00:00.001+08:00",
            "2026-11-23 08:00:00.000+08:00",
            "2026-02-30",
            "1960-01-01",
            "",
        ] {
            assert_eq!(UnixMillis::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn issuers_and_digests_are_read_strictly() {
        assert_eq!(IssuerScope::from_text("division:4306"), Some(IssuerScope::Division("4306".into())));
        for text in ["division:430", "division:43060a", "uscc:", "4306", "division:"] {
            assert_eq!(IssuerScope::from_text(text), None, "{text}");
        }
        let upper = format!("sha256:{}", "AB".repeat(32));
        assert!(<Digest as Textual>::from_text(&upper).is_none());
        assert!(<Digest as Textual>::from_text(&upper.to_lowercase().replace("SHA", "sha")).is_some());
    }
}
