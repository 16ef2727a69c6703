//! What keeps the demo from going on. A promise that does not hold is no error: it is a check that
//! fails, and the demo goes on to the next.

use crate::both;
use crate::console::Failure;
use gateway::refusal::{Refusal, RefusalCode};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a shell shows for a command that Ctrl-C ended: 128 and the signal's number.
const EXIT_INTERRUPTED: u8 = 130;

/// Why the demo stopped before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    // -- the operator's to mend
    /// `--keep` names a folder that holds something.
    #[error("{}: is not empty; --keep needs a folder that is empty or does not exist yet", .0.display())]
    KeepNotEmpty(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Certificates cannot be issued.
    #[error(transparent)]
    Pki(#[from] devpki::PkiError),
    /// `--scenario` names none.
    #[error("there is no scenario {0}; `tongban demo --scenario list` names them")]
    NoScenario(String),
    /// Somebody pressed Ctrl-C, or ended the process.
    #[error("interrupted")]
    Interrupted,

    // -- a node's
    /// A node's process ended before it was ready.
    #[error("node {node} ended before it was ready; the end of {}:\n{tail}", log.display())]
    NodeEnded {
        /// Its division code.
        node: &'static str,
        /// Where its log is.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A node refused what it should have taken.
    #[error("node {node} refused {what}: {code}: {message}")]
    Refused {
        /// Its division code.
        node: &'static str,
        /// The kind of message, or the call.
        what: String,
        /// The stable code.
        code: String,
        /// The node's words.
        message: String,
    },
    /// Something that should happen did not happen in time.
    #[error("waited {} s in vain: {what}", waited.as_secs())]
    TooLate {
        /// What should have happened.
        what: String,
        /// How long it was waited for.
        waited: Duration,
    },

    // -- ours
    /// A part of this program broke its own rule.
    #[error("{0}")]
    Broken(String),
}

impl DemoError {
    /// A file error at a path.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        let said = error.to_string();
        match error {
            DemoError::KeepNotEmpty(path) => {
                let path = path.display();
                Self::input(both!(
                    "{path} 不是空目录；--keep 须指向空目录或尚不存在的目录。",
                    "{path} is not empty; --keep needs a folder that is empty or does not exist yet."
                ))
            }
            DemoError::NoScenario(name) => Self::usage(both!(
                "没有名为 {name} 的演示；用 tongban demo --scenario list 查看。",
                "There is no scenario {name}; `tongban demo --scenario list` names them."
            )),
            DemoError::Interrupted => Self::exit(EXIT_INTERRUPTED),
            DemoError::File { .. } | DemoError::Pki(_) | DemoError::NodeEnded { .. } => {
                Self::system(both!("演示未能完成：{said}", "The demo did not come to its end: {said}"))
            }
            DemoError::TooLate { .. } => {
                Self::timeout(both!("演示未能完成：{said}", "The demo did not come to its end: {said}"))
            }
            DemoError::Refused { node, what, code, message } => match RefusalCode::with_code(&code) {
                Some(code) => Refusal::new(code, format!("node={node} {what}")).into(),
                None => Self::ours(both!(
                    "节点 {node} 拒绝 {what}：{code} {message}",
                    "Node {node} refused {what}: {code} {message}"
                )),
            },
            DemoError::Broken(_) => {
                Self::ours(both!("演示未能完成：{said}", "The demo did not come to its end: {said}"))
            }
        }
    }
}

/// Waits for something with a deadline.
///
/// # Errors
/// [`DemoError::TooLate`], or what the future ends with.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = Result<T, DemoError>>,
) -> Result<T, DemoError> {
    match tokio::time::timeout(limit, future).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DemoError::TooLate { what: what.to_owned(), waited: limit }),
    }
}
