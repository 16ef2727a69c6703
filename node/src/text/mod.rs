//! What is said to people, in Chinese and in English. Messages with values are written where they
//! are said, with [`both!`](crate::both); the words that many commands share stand in [`catalogue`].
//!
//! Stable codes are never translated: a program that reads `--json` sees the same in every language.

pub mod catalogue;
pub mod table;

/// The language of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// 中文.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The language of the environment: the first of `LC_ALL`, `LC_MESSAGES`, `LANG` that is set and
    /// not empty decides, as POSIX has it. Everything that does not begin with `zh` is English.
    pub fn of_environment(look: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(look)
            .find(|value| !value.is_empty())
            .unwrap_or_default();
        if locale.to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En }
    }

    /// One of two things that say the same.
    pub fn pick<T>(self, zh: T, en: T) -> T {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

/// One message in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Both {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl Both {
    /// The message in one language.
    pub fn in_language(&self, lang: Lang) -> &str {
        lang.pick(&self.zh, &self.en)
    }
}

/// Formats one message in both languages; values are captured by name, as in `format!`.
#[macro_export]
macro_rules! both {
    ($zh:literal, $en:literal $(,)?) => {
        $crate::text::Both { zh: format!($zh), en: format!($en) }
    };
}

/// A text from elsewhere, fit for a terminal: control characters, with which a partner could move the
/// cursor or hide a line, become `�`.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lang(set: &[(&str, &str)]) -> Lang {
        Lang::of_environment(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert_eq!(lang(&[("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(lang(&[("LC_ALL", ""), ("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(lang(&[("LC_ALL", "C.UTF-8"), ("LANG", "zh_CN.UTF-8")]), Lang::En);
        assert_eq!(lang(&[("LC_MESSAGES", "zh_TW"), ("LANG", "en_GB")]), Lang::Zh);
        assert_eq!(lang(&[]), Lang::En);
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("好\u{1b}[2Jx\n"), "好\u{fffd}[2Jx\u{fffd}");
    }
}
