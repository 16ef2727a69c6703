//! Where a command speaks: results go to stdout, as text or (`--json`) as one JSON document a line;
//! everything else goes to stderr. A command that fails does so with one [`Failure`].
//!
//! Exit codes: 0 done, 1 program error, 2 wrong usage, 3 to 8 as
//! [`gateway::refusal::Status::exit_code`], 10 and 11 of `reconcile run` and
//! `reconcile ledger`, 12 and 13 of `doctor`.

use std::io::{ErrorKind, Write};

use gateway::refusal::{Fault, Refusal};
use serde_json::{Value, json};

use crate::both;
use crate::text::{Both, Lang, catalogue};

/// The way a command speaks.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// The language of text and of messages.
    pub lang: Lang,
    /// Whether results are JSON.
    pub json: bool,
}

impl Console {
    /// Prints a result: `json` as one line, or `text`, which brings its own line ends but the last.
    ///
    /// # Errors
    /// When stdout is closed or the disk behind it is full.
    pub fn result(&self, json: &Value, text: impl FnOnce(Lang) -> String) -> Result<(), Failure> {
        let text = if self.json { json.to_string() } else { text(self.lang) };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", text.strip_suffix('\n').unwrap_or(&text))
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Says something beside the result.
    pub fn say(&self, message: &Both) {
        // Nobody listens on a closed stderr; the result does not depend on it.
        let _ = writeln!(std::io::stderr(), "{}", message.in_language(self.lang));
    }

    /// Says why a command failed. A JSON reader gets the failure as JSON, on stderr as well.
    pub fn fail(&self, failure: &Failure) {
        if failure.silent {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        let _ = if self.json {
            let document = json!({"error": {
                "code": failure.code,
                "fault": failure.fault.name(),
                "message_zh": failure.text.zh,
                "message_en": failure.text.en,
            }});
            writeln!(stderr, "{document}")
        } else {
            let fault = catalogue::fault(self.lang, failure.fault.name());
            let text = failure.text.in_language(self.lang);
            writeln!(stderr, "tongban: {}: {text}\n  {fault}", failure.code)
        };
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable code: of the refusal table, or one of the command line's own (`cli.…`).
    pub code: String,
    /// Who has to act.
    pub fault: Fault,
    /// What happened and what to do.
    pub text: Both,
    /// Exit code.
    pub exit: u8,
    /// The result that was printed says it already.
    pub silent: bool,
}

impl Failure {
    fn new(code: &str, fault: Fault, exit: u8, text: Both) -> Self {
        Self { code: code.to_owned(), fault, text, exit, silent: false }
    }

    /// Options that do not fit together. Exit code 2, as for options that clap refuses.
    pub fn usage(text: Both) -> Self {
        Self::new("cli.usage", Fault::Operator, 2, text)
    }

    /// A file or value that cannot be used.
    pub fn input(text: Both) -> Self {
        Self::new("cli.input", Fault::Operator, 3, text)
    }

    /// What was asked for is not there.
    pub fn not_found(text: Both) -> Self {
        Self::new("cli.not_found", Fault::Operator, 4, text)
    }

    /// The node does not answer.
    pub fn unreachable(text: Both) -> Self {
        Self::new("cli.unreachable", Fault::Operator, 7, text)
    }

    /// Somebody else is at it.
    pub fn busy(text: Both) -> Self {
        Self::new("cli.busy", Fault::Operator, 7, text)
    }

    /// Time ran out; the outcome may be either.
    pub fn timeout(text: Both) -> Self {
        Self::new("cli.timeout", Fault::Unknown, 7, text)
    }

    /// Something that cannot be verified.
    pub fn unproven(text: Both) -> Self {
        Self::new("cli.unproven", Fault::Peer, 8, text)
    }

    /// The operating system refused a file, a socket or a thread.
    pub fn system(text: Both) -> Self {
        Self::new("cli.system", Fault::Operator, 1, text)
    }

    /// This program is wrong.
    pub fn ours(text: Both) -> Self {
        Self::new("cli.internal", Fault::Ours, 1, text)
    }

    /// The result that was printed says it; only the exit code is left.
    pub fn exit(code: u8) -> Self {
        Self { silent: true, ..Self::new("", Fault::Unknown, code, both!("", "")) }
    }

    /// Stdout failed. A reader that closed the pipe has what it wanted, and no message.
    pub fn output(error: &std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::exit(0)
        } else {
            Self::system(both!("无法写出结果：{error}", "cannot write the result: {error}"))
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.code().to_owned(),
            fault: refusal.code.fault(),
            text: Both { zh: refusal.message(true), en: refusal.message(false) },
            exit: refusal.code.status().exit_code(),
            silent: false,
        }
    }
}
