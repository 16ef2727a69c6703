//! What a configuration points at: certificates, keys, trust, folders. Looked at by `config check`
//! and by `serve` before the first socket opens.

use std::io::Read as _;
use std::path::Path;

use certs::administration::log::read_head;
use certs::{Identity, Purpose, TrustError, TrustStore};
use gateway::id::NodeId;
use gateway::service::calendar::{Calendar, FILE_BYTES_MAX};

use super::{Config, ConfigError, Problem};
use crate::both;
use crate::text::Both;

/// What a node needs beside its configuration.
#[derive(Debug)]
pub struct Material {
    /// Chain and key for connections.
    pub tls: Identity,
    /// Chain and key for signatures.
    pub signing: Identity,
    /// Chains of earlier signing keys, DER, leaf first.
    pub older_signing_chains: Vec<Vec<Vec<u8>>>,
    /// Whom this node trusts, as of now.
    pub trust: TrustStore,
    /// Working days: the years of this release, and those of the configured file.
    pub calendar: Calendar,
}

impl Material {
    /// Reads everything and judges whether it fits together at `now_ms`: keys belong to certificates,
    /// certificates to this node, and both are trusted by the node's own trust folder.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(config: &Config, now_ms: i64) -> Result<Self, ConfigError> {
        let mut found = Found { problems: Vec::new() };
        let files = &config.identity;
        let load = || {
            let store = config.trust_store()?;
            // A log that was cut, or taken away, while nobody looked.
            store.continues(read_head(&config.data_dir)?.as_ref())?;
            Ok(store)
        };
        let trust = found.keep("trust.dir", load());
        let tls = found.keep("identity.tls_chain", Identity::load(&files.tls_chain, &files.tls_key));
        let signing =
            found.keep("identity.signing_chain", Identity::load(&files.signing_chain, &files.signing_key));
        let older_signing_chains: Vec<_> = files
            .older_signing_chains
            .iter()
            .filter_map(|path| found.keep("identity.older_signing_chains", certs::pem::read_chain(path)))
            .collect();
        if let Some(trust) = &trust {
            for (setting, purpose, identity) in [
                ("identity.tls_chain", Purpose::Tls, &tls),
                ("identity.signing_chain", Purpose::Signing, &signing),
            ] {
                if let Some(identity) = identity {
                    found.judge(setting, purpose, identity, trust, config.node, now_ms);
                }
            }
        }
        found.data_dir(&config.data_dir);
        found.bundle_dir(config.bundle_dir.as_deref());
        let calendar = found.calendar(config.calendar_file.as_deref());
        match (tls, signing, trust, calendar) {
            (Some(tls), Some(signing), Some(trust), Some(calendar)) if found.problems.is_empty() => {
                Ok(Self { tls, signing, older_signing_chains, trust, calendar })
            }
            _ => Err(ConfigError { file: config.file.clone(), problems: found.problems }),
        }
    }
}

struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn problem(&mut self, setting: &str, text: Both) {
        self.problems.push(Problem { line: None, setting: setting.to_owned(), text });
    }

    fn keep<T>(&mut self, setting: &str, outcome: Result<T, TrustError>) -> Option<T> {
        outcome.map_err(|error| self.refused(setting, &error)).ok()
    }

    fn refused(&mut self, setting: &str, error: &TrustError) {
        let code = error.code();
        let (zh, en) = (error.advice(true), error.advice(false));
        self.problem(setting, both!("{error} [{code}];{zh}", "{error} [{code}]; {en}"));
    }

    fn judge(
        &mut self,
        setting: &str,
        purpose: Purpose,
        identity: &Identity,
        trust: &TrustStore,
        own: NodeId,
        now_ms: i64,
    ) {
        match trust.verify(purpose, &identity.chain_refs(), now_ms) {
            Ok(verified) if verified.id.division.as_str() == own.as_str() => {}
            Ok(verified) => {
                let division = verified.id.division;
                self.problem(
                    setting,
                    both!(
                        "证书属于节点 {division}，而 node = {own}；请更换证书或改正 node。",
                        "the certificate speaks for node {division}, but node = {own}; change one of the two."
                    ),
                );
            }
            Err(error) => self.refused(setting, &error),
        }
    }

    /// Made by whoever puts bundles there: a name that is misspelt would never hold one.
    fn bundle_dir(&mut self, dir: Option<&Path>) {
        if let Some(dir) = dir.filter(|dir| !dir.is_dir()) {
            let shown = dir.display();
            self.problem(
                "trust.bundles",
                both!("目录 {shown} 不存在；请先建立。", "the folder {shown} does not exist; make it first."),
            );
        }
    }

    /// The years of this release, and those of a file, which win where both know a year.
    fn calendar(&mut self, file: Option<&Path>) -> Option<Calendar> {
        let Some(file) = file else { return Some(Calendar::built_in().clone()) };
        let read = || {
            let mut text = String::new();
            std::fs::File::open(file)?.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        let shown = file.display();
        let wrong = match read().map(|text| text.parse::<Calendar>()) {
            Ok(Ok(calendar)) => return Some(Calendar::built_in().with(&calendar)),
            Ok(Err(error)) => both!(
                "工作日历 {shown} 有误：{error}；请照国务院办公厅的节假日安排更正。",
                "the calendar {shown} is wrong: {error}; correct it after the State Council's notice."
            ),
            Err(error) => both!(
                "读不了工作日历 {shown}（{error}）；请核对路径与权限。",
                "cannot read the calendar {shown} ({error}); check the path and its permissions."
            ),
        };
        self.problem("calendar.file", wrong);
        None
    }

    /// The folder itself is made at the first start; the one above it has to be there.
    fn data_dir(&mut self, dir: &Path) {
        if dir.is_dir() {
            return;
        }
        let shown = dir.display();
        if dir.exists() {
            self.problem(
                "data_dir",
                both!("{shown} 不是目录；请换一个路径。", "{shown} is not a folder; choose another path."),
            );
        } else if !dir.parent().is_some_and(|above| above.as_os_str().is_empty() || above.is_dir()) {
            self.problem(
                "data_dir",
                both!(
                    "{shown} 的上级目录不存在；请先建立。",
                    "the folder that should hold {shown} does not exist; make it first."
                ),
            );
        }
    }
}
