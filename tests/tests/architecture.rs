//! The walls of the house (DESIGN §4): who may import whom, who alone may touch what, and which
//! dependencies stay out of the tree. An ordinary test, so that a wall is never moved by accident.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Floors of `gateway`, lowest first. A module imports from lower floors and from its named siblings.
const FLOORS: &[(&str, &[&str])] = &[
    ("vocabulary", &["codes", "id", "limits", "mutant", "refusal", "time"]),
    ("evidence", &["chunks", "document", "entry", "log", "suite"]),
    ("rules", &["authorize", "channel", "health", "overload", "service"]),
    (
        "ports",
        &[
            "archive",
            "clock",
            "committer",
            "keybook",
            "measure",
            "peer",
            "signer",
            "store",
            "threads",
            "wire",
        ],
    ),
    ("shell", &["blobs", "gateway", "link", "proof", "reconcile", "respond"]),
    ("transport", &["transport"]),
];

/// Imports between modules of one floor that are meant: (module, imported).
const SIBLINGS: &[(&str, &str)] = &[
    // vocabulary: a refusal that ends by waiting says how long
    ("refusal", "limits"),
    // evidence
    ("chunks", "suite"),
    ("document", "suite"),
    ("entry", "suite"),
    ("log", "suite"),
    // rules: everything about one entry meets in `authorize`; health tells the disk's state and judges none
    ("authorize", "service"),
    ("health", "overload"),
    // ports: the archive reads what the committer wrote; the committer uses every port
    ("archive", "committer"),
    ("archive", "store"),
    ("committer", "archive"),
    ("committer", "clock"),
    ("committer", "keybook"),
    ("committer", "measure"),
    ("committer", "signer"),
    ("committer", "store"),
    ("committer", "wire"),
    ("keybook", "signer"),
    ("store", "measure"),
    // shell: a bulk link carries what blobs are asked for and serve, the planner hands it orders
    ("blobs", "link"),
    ("gateway", "blobs"),
    ("link", "blobs"),
    ("gateway", "link"),
    ("gateway", "proof"),
    ("gateway", "reconcile"),
    ("link", "reconcile"),
    ("reconcile", "link"),
    ("respond", "gateway"),
];

/// What floors 1 to 3 may not use: they do no I/O, are not async, and serialise nothing.
const PURE_MAY_NOT: &[&str] = &[
    "serde::",
    "tokio::",
    "tonic::",
    "sled::",
    "std::fs",
    "std::net",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "async fn",
    ".await",
    "proto::",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").to_path_buf()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file's code without its comments and without its test module, which lies at the end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file is readable");
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Top-level modules of `gateway` with their files.
fn gateway_modules() -> BTreeMap<String, Vec<PathBuf>> {
    let root = workspace().join("gateway/src");
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in rust_files(&root) {
        let below = file.strip_prefix(&root).expect("below the root");
        let first = below.components().next().expect("a file").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        let is_test = file.file_name().is_some_and(|name| name == "tests.rs");
        if module != "lib" && module != "manual" && !is_test {
            modules.entry(module).or_default().push(file);
        }
    }
    modules
}

fn floor_of(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|(_, modules)| modules.contains(&module))
        .unwrap_or_else(|| panic!("gateway::{module} stands on no floor: name its floor in FLOORS"))
}

/// Top-level modules that a file imports by `crate::`.
fn imports(code: &str) -> BTreeSet<String> {
    code.match_indices("crate::")
        .flat_map(|(at, _)| {
            let rest = &code[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                // use crate::{a::b, c}: the names at the first level of the braces
                Some(braces) => {
                    let mut depth = 0;
                    let mut names = vec![String::new()];
                    for c in braces.chars() {
                        match c {
                            '{' => depth += 1,
                            '}' if depth == 0 => break,
                            '}' => depth -= 1,
                            ',' if depth == 0 => names.push(String::new()),
                            c if depth == 0 => names.last_mut().expect("never empty").push(c),
                            _ => {}
                        }
                    }
                    names.iter().map(|name| name.trim().split("::").next().unwrap_or("").to_owned()).collect()
                }
                None => {
                    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    vec![rest[..end].to_owned()]
                }
            }
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_module_imports_only_from_lower_floors_and_named_siblings() {
    let modules = gateway_modules();
    let mut wrong = Vec::new();
    let mut used: BTreeSet<&(&str, &str)> = BTreeSet::new();
    for (module, files) in &modules {
        for file in files {
            for imported in imports(&code(file)) {
                if imported == *module || !modules.contains_key(&imported) {
                    continue;
                }
                let (here, there) = (floor_of(module), floor_of(&imported));
                let pair = (module.as_str(), imported.as_str());
                let named = SIBLINGS.iter().find(|sibling| **sibling == pair);
                used.extend(named);
                if there > here || (there == here && named.is_none()) {
                    wrong.push(format!("{} imports {imported}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the floors:\n{}", wrong.join("\n"));
    let unused: Vec<_> = SIBLINGS.iter().filter(|sibling| !used.contains(sibling)).collect();
    assert!(unused.is_empty(), "SIBLINGS lists imports that nobody makes: {unused:?}");
}

#[test]
fn rules_and_what_lies_below_them_do_no_io_and_serialise_nothing() {
    let mut wrong = Vec::new();
    for (module, files) in gateway_modules() {
        if floor_of(&module) > 2 {
            continue;
        }
        for file in files {
            let code = code(&file);
            for banned in PURE_MAY_NOT.iter().filter(|banned| code.contains(**banned)) {
                wrong.push(format!("{} uses {banned}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "floors 1 to 3 are pure:\n{}", wrong.join("\n"));
}

/// Files of the workspace's sources whose code names a path of a crate.
fn users_of(name: &str) -> BTreeSet<String> {
    let root = workspace();
    let needle = format!("{name}::");
    ["proto/src", "certs/src", "certs/devpki/src", "gateway/src", "node/src"]
        .iter()
        .flat_map(|folder| rust_files(&root.join(folder)))
        .filter(|file| {
            let code = code(file);
            code.match_indices(&needle).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                    || code[..at].ends_with("= ::")
            })
        })
        .map(|file| file.strip_prefix(&root).expect("below the root").display().to_string())
        .collect()
}

#[test]
fn one_file_imports_sled() {
    let users = users_of("sled");
    let own_paths: Vec<_> = users.iter().filter(|file| *file != "gateway/src/store/sled.rs").collect();
    // `store::sled::open` names our own module, not the crate.
    for file in own_paths {
        let code = code(&workspace().join(file));
        assert!(!code.contains("use sled"), "{file} imports the crate sled");
    }
    assert!(users.contains("gateway/src/store/sled.rs"));
}

#[test]
fn in_the_gateway_only_transport_imports_tonic_and_rustls() {
    for name in ["tonic", "tokio_rustls", "hyper_util"] {
        let outside: Vec<_> = users_of(name)
            .into_iter()
            .filter(|file| file.starts_with("gateway/") && !file.starts_with("gateway/src/transport/"))
            .collect();
        assert!(outside.is_empty(), "{name} is transport's alone, found in {outside:?}");
    }
}

#[test]
fn one_crate_imports_clap_and_one_rcgen() {
    assert!(users_of("clap").iter().all(|file| file.starts_with("node/")), "clap is node's");
    assert!(users_of("rcgen").iter().all(|file| file.starts_with("certs/devpki/")), "rcgen is devpki's");
}

#[test]
fn planted_faults_are_in_no_released_binary() {
    // A feature that nobody turns on by default, and that only the simulation passes on.
    for (member, line) in
        [("gateway", "mutants = []"), ("tests/simulation", "mutants = [\"gateway/mutants\"]")]
    {
        let manifest = fs::read_to_string(workspace().join(member).join("Cargo.toml")).expect("a manifest");
        let features = manifest.split("[features]").nth(1).expect("features").split("\n[").next();
        let features: Vec<&str> =
            features.unwrap_or_default().lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(features, [line], "of {member}");
    }
    for member in ["node", "tests"] {
        let manifest = fs::read_to_string(workspace().join(member).join("Cargo.toml")).expect("a manifest");
        assert!(!manifest.contains("mutants"), "{member} must not plant faults");
    }
    let gate = fs::read_to_string(workspace().join(".ci/run")).expect("the gate");
    let builds = gate.lines().filter(|line| line.contains("cargo build"));
    assert!(builds.clone().count() > 0 && builds.clone().all(|line| !line.contains("mutants")));
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: &[(&str, &[&str])] = &[
        ("proto", &[]),
        ("certs", &[]),
        ("certs/devpki", &[]),
        ("gateway", &["proto", "certs"]),
        ("node", &["proto", "certs", "devpki", "gateway"]),
        ("tests/simulation", &["proto", "certs", "devpki", "gateway"]),
        ("tests", &["proto", "certs", "devpki", "gateway", "node", "simulation"]),
    ];
    let ours = ["proto", "certs", "devpki", "gateway", "node", "simulation", "tests"];
    for (member, may) in allowed {
        let manifest = fs::read_to_string(workspace().join(member).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(!ours.contains(&name) || may.contains(&name), "{member} must not depend on {name}");
        }
    }
}

#[test]
fn banned_dependencies_are_not_in_the_lock_file() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).expect("Cargo.lock is committed");
    let names: BTreeSet<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    for banned in
        ["aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys", "openssl", "openssl-sys", "native-tls", "chrono"]
    {
        assert!(!names.contains(banned), "{banned} is in Cargo.lock");
    }
    assert!(lock.contains("name = \"sled\"\nversion = \"0.34.7\""), "sled is pinned to 0.34.7");
}

#[test]
fn every_dependency_has_a_line_of_purpose() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace's manifest");
    let dependencies = manifest.split("[workspace.dependencies]").nth(1).expect("workspace dependencies");
    for line in dependencies.split("\n[").next().unwrap_or_default().lines() {
        let declares = line.contains(" = ") && !line.trim_start().starts_with('#');
        let ours = line.contains("path = ");
        assert!(!declares || ours || line.contains("# "), "no purpose is given: {line}");
    }
}

#[test]
fn every_crate_forbids_unsafe_code_and_shares_the_lints() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace's manifest");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for member in ["proto", "certs", "certs/devpki", "gateway", "node", "tests", "tests/simulation"] {
        let manifest = fs::read_to_string(workspace().join(member).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} does not share the lints");
    }
}

#[test]
fn nothing_needs_a_path_outside_the_project() {
    let root = workspace();
    for folder in ["proto", "certs", "gateway", "node", "tests"] {
        for file in rust_files(&root.join(folder)) {
            if file.ends_with("tests/tests/architecture.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a source file is readable");
            assert!(!text.contains("../shared"), "{} needs a path outside", file.display());
        }
    }
}
