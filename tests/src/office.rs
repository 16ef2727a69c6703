//! An office of three administrators who change trust with the command line, as people do.

use crate::city::tongban;
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// All that a command said, on both streams.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// The administrators of 岳阳's node, and their commands.
pub struct Office {
    keys: tempfile::TempDir,
    /// The node's configuration file.
    pub config: String,
}

impl Office {
    /// Three people make their keys, and the first takes the node's trust folder over.
    pub fn opened(config: &Path) -> Self {
        let office = Self {
            keys: tempfile::tempdir().expect("a folder"),
            config: config.to_string_lossy().into_owned(),
        };
        let folder = office.keys.path().to_string_lossy().into_owned();
        for (name, role) in [("system-1", "system"), ("security-1", "security"), ("audit-1", "audit")] {
            let made = tongban(&["trust", "admin", "make", name, "--role", role, "--out", &folder]);
            assert!(made.status.success() && !said(&made).contains("PRIVATE"), "{}", said(&made));
        }
        let of = |name: &str| office.file(&format!("{name}.json"));
        let (system, security, audit) = (of("system-1"), of("security-1"), of("audit-1"));
        let adopt = ["trust", "adopt", "--admin", &system, "--admin", &security, "--admin", &audit];
        assert_eq!(office.does("system-1", &adopt)["record"], 1);
        office
    }

    /// A file of the administrators' own.
    pub fn file(&self, name: &str) -> String {
        self.keys.path().join(name).to_string_lossy().into_owned()
    }

    /// What a command of one of them says, with `--apply`.
    pub fn asks(&self, who: &str, words: &[&str]) -> Output {
        let key = self.file(&format!("{who}.key"));
        let by = ["--by", who, "--key", &key, "--apply", "--json", "--config", &self.config];
        tongban(&[words, &by].concat())
    }

    /// A command that is done; its JSON.
    ///
    /// # Panics
    /// When it is refused.
    pub fn does(&self, who: &str, words: &[&str]) -> Value {
        let output = self.asks(who, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// `trust log verify`.
    pub fn verify(&self) -> Output {
        tongban(&["trust", "log", "verify", "--config", &self.config])
    }
}
