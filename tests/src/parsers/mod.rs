//! Every parser that the network or a file reaches, as a function that takes bytes and asserts what must
//! hold of them: not only that nothing panics, but that what is accepted is within its limits, says the
//! same when it is written again, and was issued by whom it says.
//!
//! The same functions run under libFuzzer (`tests/fuzz/run`) and, over the seed corpus and bounded
//! mutations of it, in the gate (`tests/tests/fuzz_corpus.rs`). The table is the threat model's: who can
//! reach a parser, and which limit stands before its first allocation.

mod disk;
pub mod mutate;
mod people;
mod proofs;
mod trust;
mod wire;

use std::path::{Path, PathBuf};

/// One parser.
pub struct Target {
    /// Its name: the folder of its seeds, and what `tests/fuzz/run` takes.
    pub name: &'static str,
    /// Who can hand it bytes.
    pub reach: Reach,
    /// What bounds it before it allocates.
    pub limit: &'static str,
    /// Panics when a property does not hold of these bytes.
    pub check: fn(&[u8]),
}

/// Who can hand a parser bytes, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Anybody who reaches the port: certificates are read before anybody is known.
    Anybody,
    /// A partner with a good TLS certificate.
    Partner,
    /// Whoever hands in a proof to be verified.
    Public,
    /// A business system at the local socket.
    Submitter,
    /// Somebody with the disk in hand, or a disk that rots.
    Disk,
    /// The operator's own files.
    Operator,
}

/// Every parser, those that most people reach first.
pub const ALL: &[Target] = &[
    Target { name: "chain", reach: Reach::Anybody, limit: "5 certificates of 16 KiB", check: trust::chain },
    Target { name: "frame", reach: Reach::Partner, limit: "FRAME_BYTES_MAX, by tonic", check: wire::frame },
    Target { name: "header", reach: Reach::Partner, limit: "HEADER_BYTES_MAX", check: wire::header },
    Target { name: "note", reach: Reach::Partner, limit: "NOTE_BYTES_MAX", check: wire::note },
    Target { name: "payload", reach: Reach::Partner, limit: "BODY_BYTES_MAX", check: wire::payload },
    Target { name: "envelope", reach: Reach::Partner, limit: "ENVELOPE_BYTES_MAX", check: wire::envelope },
    Target { name: "document", reach: Reach::Partner, limit: "ENVELOPE_BYTES_MAX", check: wire::document },
    Target { name: "chunks", reach: Reach::Partner, limit: "32 bytes a chunk of 2 GiB", check: wire::chunks },
    Target { name: "bundle", reach: Reach::Public, limit: "BUNDLE_BYTES_MAX", check: proofs::bundle },
    Target {
        name: "paths",
        reach: Reach::Public,
        limit: "the audit path as handed in",
        check: proofs::paths,
    },
    Target {
        name: "local",
        reach: Reach::Submitter,
        limit: "LOCAL_REQUEST_BYTES_MAX, by tonic",
        check: wire::local,
    },
    Target {
        name: "identifiers",
        reach: Reach::Submitter,
        limit: "the text itself",
        check: people::identifiers,
    },
    Target { name: "journal", reach: Reach::Disk, limit: "COMMIT_BYTES_MAX a frame", check: disk::journal },
    Target { name: "facts", reach: Reach::Disk, limit: "COMMIT_BYTES_MAX", check: disk::facts },
    Target { name: "run", reach: Reach::Disk, limit: "the file's own length", check: disk::run },
    Target { name: "blob", reach: Reach::Disk, limit: "the list of 2 GiB", check: disk::blob },
    Target { name: "crl", reach: Reach::Operator, limit: "CRL_BYTES_MAX", check: trust::crl },
    Target { name: "pem", reach: Reach::Operator, limit: "CHAIN_FILE_BYTES_MAX", check: trust::pem },
    Target { name: "trust", reach: Reach::Operator, limit: "TRUST_FILE_BYTES_MAX", check: trust::trust_toml },
    Target {
        name: "administration",
        reach: Reach::Operator,
        limit: "ADMINISTRATION_LOG_BYTES_MAX",
        check: trust::administration,
    },
    Target {
        name: "trust_bundle",
        reach: Reach::Operator,
        limit: "certs' BUNDLE_BYTES_MAX",
        check: trust::bundle,
    },
    Target { name: "config", reach: Reach::Operator, limit: "1 MiB", check: people::config },
    Target { name: "case", reach: Reach::Operator, limit: "INPUT_BYTES_MAX", check: people::case_file },
    Target { name: "ledger", reach: Reach::Operator, limit: "1 MiB a row", check: people::ledger },
    Target { name: "mapping", reach: Reach::Operator, limit: "MAPPING_BYTES_MAX", check: people::mapping },
    Target { name: "codes", reach: Reach::Operator, limit: "one CSV row at a time", check: people::codes },
];

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// The folder of the seeds of one parser.
pub fn corpus(name: &str) -> PathBuf {
    folder().join("corpus").join(name)
}

/// The folder of everything that fuzzing needs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The seeds of one parser in the order of their names: real bytes, and what once broke it (`found`).
pub fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folders = [corpus(name), folder().join("found").join(name)];
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(&file).expect("a seed is readable"))).collect()
}

thread_local! {
    /// A folder for parsers that read files, in memory where the machine has such a place.
    static SCRATCH: tempfile::TempDir = {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
            .expect("a temporary folder")
    };
}

/// A folder of this thread's own.
fn scratch(name: &str) -> PathBuf {
    SCRATCH.with(|folder| folder.path().join(name))
}
