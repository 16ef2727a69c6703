//! Tells a person how far a start has come: a line that moves on a terminal, an event now and then in a
//! log. A start that is quick says nothing.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use gateway::committer::ReplayProgress;
use gateway::health::ready::percent;

use crate::text::Lang;

/// Between two lines on a terminal.
const TERMINAL: Duration = Duration::from_millis(200);
/// Between two events in a log.
const LOG: Duration = Duration::from_secs(2);

/// Where the progress is told.
#[derive(Debug)]
pub struct Teller {
    lang: Lang,
    terminal: bool,
    /// When something was last said; at first, when the start began.
    told: Instant,
    said: bool,
}

impl Teller {
    /// Begins now.
    pub fn new(lang: Lang) -> Self {
        Self { lang, terminal: std::io::stderr().is_terminal(), told: Instant::now(), said: false }
    }

    /// So far has it come.
    pub fn tell(&mut self, progress: ReplayProgress) {
        if self.told.elapsed() < if self.terminal { TERMINAL } else { LOG } {
            return;
        }
        self.told = Instant::now();
        self.said = true;
        let percent = percent(progress.bytes, progress.bytes_whole);
        if self.terminal {
            // A terminal that is gone needs no line.
            let _ = write!(std::io::stderr(), "\r{}\u{1b}[K", line(self.lang, percent, progress.frames));
        } else {
            let (bytes, bytes_whole) = (progress.bytes, progress.bytes_whole);
            tracing::info!(percent, frames = progress.frames, bytes, bytes_whole, "replaying the journal");
        }
    }

    /// It is done.
    pub fn end(self) {
        if self.said && self.terminal {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn line(lang: Lang, percent: u64, frames: u64) -> String {
    lang.pick(
        format!("重放日志：{percent}%（已 {frames} 帧）"),
        format!("replaying the journal: {percent}% ({frames} frames)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_in_either_language() {
        assert_eq!(line(Lang::En, 37, 1200), "replaying the journal: 37% (1200 frames)");
        assert_eq!(line(Lang::Zh, 37, 1200), "重放日志：37%（已 1200 帧）");
    }
}
