//! The timeline: one line for each thing that happened, for people as it happens and for machines at
//! the end. Columns stand under each other in a terminal where a Chinese character is two cells wide.
//! Nothing personal is ever given to this file.

use super::place::{Place, channel};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// What a kind is called by people.
pub(crate) fn kind_zh(kind: &str) -> &'static str {
    match kind {
        "standard.publish" => "发布标准",
        "agreement.sign" => "签署协议",
        "case.forward" => "转递",
        "case.signfor" => "签收",
        "case.return" => "退件",
        "case.accept" => "受理",
        "case.reject" => "不予受理",
        "case.supplement.request" => "补正告知",
        "case.supplement.submit" => "补正提交",
        "case.review" => "审查",
        "case.grant" => "准予",
        "case.deny" => "不予",
        "case.licence" => "制证",
        "case.dispatch" => "送达中",
        "case.deliver" => "已送达",
        "case.close" => "办结",
        "case.rate" => "评价",
        "case.supplement.lapse" => "补正不来",
        "case.withdraw.ask" => "撤回申请",
        "case.withdraw.confirm" => "撤回确认",
        "case.accept.deemed" => "视为受理",
        "case.special.begin" => "特别程序",
        "case.special.end" => "程序结束",
        "case.transfer" => "转报",
        "case.deliver.direct" => "属地送达",
        "case.suspend" => "挂起",
        "case.resume" => "恢复",
        "case.void" => "作废",
        "case.joint.plan" => "联办分派",
        "case.joint.report" => "联办结果",
        "case.alert" => "预警",
        "case.supervise" => "督办",
        "case.supervise.reply" => "督办回复",
        "licence.query" => "查证",
        "licence.attest" => "出证",
        "recognition.request" => "请求互认",
        "recognition.decide" => "互认决定",
        _ => "",
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Moment {
    /// Milliseconds since the demo began.
    at_ms: f64,
    /// Who did it: a division code.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// Whom it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'static str>,
    /// The message's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// What there is to say, in Chinese.
    #[serde(skip_serializing_if = "String::is_empty")]
    zh: String,
    /// The same in English.
    #[serde(skip_serializing_if = "String::is_empty")]
    en: String,
    /// The message's place in the channel `from`→`to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// The last place, when the line stands for several messages in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_index: Option<u64>,
    /// Milliseconds from the submission to the verified receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<f64>,
    /// The code it was refused with.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Whether the gateway did it by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    automatic: bool,
    #[serde(skip)]
    names: Option<(&'static Place, &'static Place)>,
}

impl Moment {
    /// Something said, by nobody to nobody.
    pub(crate) fn note(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into(), ..Self::default() }
    }

    /// A message.
    pub(crate) fn message(from: &'static Place, to: &'static Place, kind: &str) -> Self {
        Self {
            from: Some(from.code),
            to: Some(to.code),
            kind: Some(kind.to_owned()),
            names: Some((from, to)),
            ..Self::default()
        }
    }

    /// Where it stands in its channel.
    pub(crate) fn index(self, index: u64) -> Self {
        Self { index: Some(index), ..self }
    }

    /// Where the last of several stands.
    pub(crate) fn up_to(self, last: u64) -> Self {
        Self { last_index: Some(last), ..self }
    }

    /// How long it took from the submission to the verified receipt.
    pub(crate) fn took(self, took: Duration) -> Self {
        Self { took_ms: Some(millis(took)), ..self }
    }

    /// What there is to say about it.
    pub(crate) fn saying(self, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into(), ..self }
    }

    /// It was refused.
    pub(crate) fn refused(self, code: impl Into<String>) -> Self {
        Self { refused: Some(code.into()), ..self }
    }

    /// The gateway did it by itself.
    pub(crate) fn automatic(self) -> Self {
        Self { automatic: true, ..self }
    }
}

/// Milliseconds with three decimals.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Tells the story.
#[derive(Debug)]
pub(crate) struct Narrator {
    began: Instant,
    chinese: bool,
    colour: bool,
    to_stderr: bool,
    timeline: Mutex<Vec<Moment>>,
}

impl Narrator {
    /// Tells it on the standard output, or on the standard error when machines read the output.
    pub(crate) fn new(chinese: bool, for_machines: bool) -> Self {
        let terminal =
            if for_machines { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Self {
            began: Instant::now(),
            chinese,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            to_stderr: for_machines,
            timeline: Mutex::default(),
        }
    }

    /// Whether people read Chinese.
    pub(crate) fn chinese(&self) -> bool {
        self.chinese
    }

    /// How long the demo has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// One of two that say the same, in the reader's language.
    pub(crate) fn pick<T>(&self, zh: T, en: T) -> T {
        if self.chinese { zh } else { en }
    }

    /// Keeps and tells one moment.
    pub(crate) fn tell(&self, mut moment: Moment) {
        let at = self.began.elapsed();
        moment.at_ms = millis(at);
        let line = self.line(at, &moment);
        self.print(&line);
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
    }

    /// A heading between parts.
    pub(crate) fn heading(&self, zh: &str, en: &str) {
        self.print("");
        self.print(&self.paint(BOLD, self.pick(zh, en)));
    }

    /// A line without a time: tables, the summary.
    pub(crate) fn print(&self, line: &str) {
        // who closed the pipe does not want to read; the checks go on
        let _ = if self.to_stderr {
            writeln!(std::io::stderr(), "{line}")
        } else {
            writeln!(std::io::stdout(), "{line}")
        };
    }

    /// ✓ or ✗.
    pub(crate) fn mark(&self, good: bool) -> String {
        if good { self.paint(GREEN, "✓") } else { self.paint(RED, "✗") }
    }

    /// The moments so far.
    pub(crate) fn timeline(&self) -> Vec<Moment> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{PLAIN}") } else { text.to_owned() }
    }

    fn line(&self, at: Duration, moment: &Moment) -> String {
        let time = format!("{:>7.3} s", at.as_secs_f64());
        let time = self.paint(DIM, &time);
        let words = self.pick(&moment.zh, &moment.en);
        let (Some((from, to)), Some(kind)) = (moment.names, moment.kind.as_deref()) else {
            return format!("{time}  {words}");
        };
        let who = format!("{}→{}", from.name(self.chinese), to.name(self.chinese));
        let who = pad(&who, if self.chinese { 11 } else { 18 });
        let what = match (self.chinese, moment.automatic) {
            (true, false) => format!("{} {kind}", kind_zh(kind)),
            (true, true) => format!("{} {kind} ·自动", kind_zh(kind)),
            (false, false) => format!("{kind} {}", kind_zh(kind)),
            (false, true) => format!("{kind} {} ·automatic", kind_zh(kind)),
        };
        let what = pad(&what, if self.chinese { 36 } else { 39 });
        let place = match (&moment.refused, moment.index, moment.last_index) {
            (Some(code), ..) => self.paint(RED, &format!("✗ {code}")),
            (None, Some(first), Some(last)) => format!("{} #{first}…#{last}", channel(from, to)),
            (None, Some(index), None) => format!("{} #{index}", channel(from, to)),
            (None, None, _) => channel(from, to),
        };
        let took = moment.took_ms.map_or(" ".repeat(10), |took| format!("{took:>7.1} ms"));
        let place = if moment.refused.is_some() { place } else { pad(&place, 22) + &took };
        format!("{time}  {who}{what}{place}  {words}").trim_end().to_owned()
    }
}

/// Cells that a text fills in a terminal: two for a Chinese character or a full-width sign.
pub(crate) fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xac00..=0xd7a3 => 2,
            0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff01..=0xff60 | 0xffe0..=0xffe6 | 0x2_0000..=0x3_fffd => 2,
            _ => 1,
        })
        .sum()
}

/// The text with spaces behind it, `cells` wide and always at least one space.
pub(crate) fn pad(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text)).max(1)))
}

/// A personal value as it may be shown: its ends only.
pub(crate) fn masked(value: &str) -> String {
    let characters: Vec<char> = value.chars().collect();
    match characters.as_slice() {
        [] => String::new(),
        [_] => "*".to_owned(),
        [first, _] => format!("{first}*"),
        [first, middle @ .., last] => format!("{first}{}{last}", "*".repeat(middle.len())),
    }
}

/// A number in groups of three: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_and_signs_are_two_cells_wide() {
        assert_eq!(width("岳阳→咸宁"), 9);
        assert_eq!(width("转递 case.forward"), 17);
        assert_eq!(width("（一事一标准）"), 14);
        assert_eq!(pad("转递", 6), "转递  ");
        assert_eq!(pad("a long text", 6), "a long text ");
    }

    #[test]
    fn masking_keeps_the_ends_only() {
        assert_eq!(masked("430602190001010012"), "4****************2");
        assert_eq!(masked("王明"), "王*");
        assert_eq!(masked("王"), "*");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1234), "1,234");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
