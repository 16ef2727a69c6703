//! `tongban certs …` before certificates that OpenSSL made: each wrong one is named with its own code and advice,
//! and a request that OpenSSL signed is installed.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::Rig;
use tests::city::tongban;
use tests::office::Office;

/// Runs `openssl.sh`, which makes an authority and one certificate for each way to be wrong.
fn made_by_openssl() -> Option<(tempfile::TempDir, PathBuf)> {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("openssl is not installed: nothing was checked against it");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openssl.sh");
    let output = Command::new("sh").arg(script).arg(folder.path()).output().expect("a shell");
    assert!(output.status.success(), "{}", said(&output));
    let path = folder.path().to_path_buf();
    Some((folder, path))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// The codes that `certs inspect` finds, and its exit code.
fn inspected(file: &Path, trust: Option<&Path>) -> (Vec<String>, Option<i32>) {
    let (file, mut words) = (file.to_string_lossy(), vec!["--json", "certs", "inspect"]);
    words.extend([&*file, "--for", "tls"]);
    let trust = trust.map(|trust| trust.to_string_lossy().into_owned());
    words.extend(trust.iter().flat_map(|trust| ["--trust", trust.as_str()]));
    let output = tongban(&words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text =
        if text.trim().is_empty() { String::from_utf8_lossy(&output.stderr).into_owned() } else { text };
    let document: Value = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{}", said(&output)));
    let codes = match document["error"]["code"].as_str() {
        Some(code) => vec![code.to_owned()],
        None => document["certificates"]
            .as_array()
            .expect("certificates")
            .iter()
            .flat_map(|one| one["problems"].as_array().expect("problems"))
            .map(|problem| {
                let advice = problem["advice_zh"].as_str().expect("advice in Chinese");
                assert!(advice.ends_with('。'), "{advice}");
                problem["code"].as_str().expect("a code").to_owned()
            })
            .collect(),
    };
    (codes, output.status.code())
}

#[test]
fn each_wrong_certificate_of_openssl_is_refused_with_its_own_code() {
    let Some((_folder, dir)) = made_by_openssl() else { return };
    let trust = dir.join("trust");
    assert_eq!(inspected(&dir.join("good.pem"), Some(&trust)), (vec![], Some(0)));
    for (file, code) in [
        ("expired", "trust.certificate_expired"),
        ("future", "trust.certificate_not_yet_valid"),
        ("usage", "trust.wrong_usage"),
        ("san", "trust.wrong_san"),
        ("foreign", "trust.foreign_prefix"),
        ("sha1", "trust.signature_sha1"),
        ("rsa1024", "trust.rsa_short"),
        ("noca", "trust.not_an_authority"),
        ("twin", "trust.duplicate_serial"),
        ("revoked", "trust.revoked"),
        ("garbage", "trust.pem"),
        ("mixed", "trust.pem_kind"),
    ] {
        let (codes, exit) = inspected(&dir.join(format!("{file}.pem")), Some(&trust));
        assert!(codes.iter().any(|found| found == code), "{file}: {codes:?}, not {code}");
        assert_eq!(exit, Some(3), "{file}");
    }
    // The domain's list is another authority's; or is out of date.
    for (folder, code) in [("trust-foreign-crl", "trust.crl_missing"), ("trust-stale-crl", "trust.crl_stale")]
    {
        let (codes, _) = inspected(&dir.join("good.pem"), Some(&dir.join(folder)));
        assert_eq!(codes, [code], "{folder}");
    }
    let chinese = tongban(&["--lang", "zh", "certs", "inspect", &dir.join("expired.pem").to_string_lossy()]);
    assert!(said(&chinese).contains("证书已过期"), "{}", said(&chinese));
}

#[test]
fn lists_and_roots_of_openssl_that_are_not_what_they_should_be_change_nothing() {
    let Some((_folder, dir)) = made_by_openssl() else { return };
    let rig = Rig::new();
    let text = std::fs::read_to_string(rig.yueyang.config()).expect("a configuration");
    let trust = dir.join("trust");
    let config = rig.yueyang.path("openssl.toml");
    let here = text.replace("dir = \"trust\"", &format!("dir = {:?}", trust.to_string_lossy()));
    assert_ne!(here, text);
    std::fs::write(&config, here).expect("written");
    let office = Office::opened(&config);
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let join = |names: &[&str], to: &str| {
        let bytes: Vec<u8> =
            names.iter().flat_map(|name| std::fs::read(file(name)).expect("a file")).collect();
        std::fs::write(file(to), bytes).expect("written");
    };
    // An authority that took the root's name and has another key.
    let run = |line: &str| {
        let output =
            Command::new("openssl").args(line.split(' ')).current_dir(&dir).output().expect("openssl");
        assert!(output.status.success(), "{line}: {}", said(&output));
    };
    run(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout false.key -days 9 -subj /CN=root -addext keyUsage=critical,keyCertSign,cRLSign -out false.pem",
    );
    run("ca -config ca.cnf -cert false.pem -keyfile false.key -gencrl -crldays 30 -out false.crl");
    run("ca -config ca.cnf -cert root.pem -keyfile root.key -gencrl -crldays 30 -out newer.crl");
    join(&["newer.crl", "root.crl"], "both.crl");
    join(&["newer.crl", "root.pem"], "mixed.crl");
    std::fs::write(file("garbage.crl"), "no PEM at all").expect("written");
    join(&["root.pem", "stranger.pem"], "two.pem");
    std::fs::write(file("hollow.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");

    let list = trust.join("list.crl");
    let folder = || {
        let mut names: Vec<_> =
            std::fs::read_dir(&trust).expect("a folder").flatten().map(|one| one.file_name()).collect();
        names.sort();
        (
            names,
            std::fs::read(&list).expect("a list"),
            std::fs::read(trust.join("administration.log")).expect("a log"),
        )
    };
    let before = folder();
    let refused = |words: &[&str], code: &str| {
        let output = office.asks("system-1", words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(&format!("\"{code}\"")), "{words:?}: {}, not {code}", said(&output));
        assert_eq!(folder(), before, "{words:?} left something behind");
    };
    for (name, code) in [
        ("stranger.crl", "trust.crl_foreign_issuer"),
        ("false.crl", "trust.crl_invalid"),
        ("stale.crl", "trust.crl_stale"),
        ("garbage.crl", "trust.pem"),
        ("mixed.crl", "trust.pem_kind"),
        ("root.pem", "trust.pem_kind"),
        // Both are the authority's and fresh; together they are refused when the folder is loaded.
        ("both.crl", "trust.config"),
    ] {
        refused(&["trust", "crl", "import", &file(name), "--domain", "hunan.tongban"], code);
    }
    for (name, code) in [
        ("two.pem", "trust.pem_several"),
        ("root.crl", "trust.pem_kind"),
        ("garbage.pem", "trust.pem"),
        ("hollow.pem", "trust.config"),
    ] {
        refused(&["trust", "anchor", "import", &file(name), "--domain", "hunan.tongban"], code);
    }
    // Everything is right but the key of who acts: found out last.
    let wrong = office.file("security-1.key");
    let newer = file("newer.crl");
    let output = tongban(&[
        "trust",
        "crl",
        "import",
        &newer,
        "--domain",
        "hunan.tongban",
        "--by",
        "system-1",
        "--key",
        &wrong,
        "--apply",
        "--json",
        "--config",
        &office.config,
    ]);
    assert!(said(&output).contains("\"trust.key_mismatch\""), "{}", said(&output));
    assert_eq!(folder(), before, "a list without its record does not stay");
    let root = file("stranger.pem");
    let output = tongban(&[
        "trust",
        "anchor",
        "import",
        &root,
        "--domain",
        "hunan.tongban",
        "--by",
        "system-1",
        "--key",
        &wrong,
        "--apply",
        "--json",
        "--config",
        &office.config,
    ]);
    assert!(said(&output).contains("\"trust.key_mismatch\""), "{}", said(&output));
    assert_eq!(folder(), before, "nor does a root");
    office.does("system-1", &["trust", "crl", "import", &newer, "--domain", "hunan.tongban"]);
    assert_ne!(folder(), before);
}

#[test]
fn a_request_that_the_authority_signed_is_installed_and_a_wrong_one_changes_nothing() {
    let Some((_folder, dir)) = made_by_openssl() else { return };
    let mut rig = Rig::new();
    rig.xianning.kill();
    // The province's own authority issues with OpenSSL: its issuing key stands in the pilot's folder.
    let config = rig.yueyang.config().to_string_lossy().into_owned();
    let run = |words: &[&str]| tongban(&[words, &["--config", &config]].concat());
    let csr = dir.join("node.csr").to_string_lossy().into_owned();
    let request = ["certs", "request", "--for", "tls", "--out", &csr];
    let planned = run(&request);
    assert!(planned.status.success(), "{}", said(&planned));
    assert!(!Path::new(&csr).exists(), "a plan writes nothing");
    let done = run(&[&request[..], &["--apply"]].concat());
    assert!(done.status.success() && !said(&done).contains("PRIVATE"), "{}", said(&done));
    let next = rig.yueyang.path("keys/tls.key.next");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&next).expect("a key").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(run(&[&request[..], &["--apply"]].concat()).status.code(), Some(3), "a prepared key waits");

    let chain = dir.join("node.pem");
    let ca = rig.pki().join("ca/hunan.tongban");
    let issue = Command::new("openssl")
        .args([
            "x509",
            "-req",
            "-days",
            "30",
            "-copy_extensions",
            "copy",
            "-set_serial",
            "0x4711",
            "-in",
            &csr,
        ])
        .arg("-CA")
        .arg(ca.join("issuing.pem"))
        .arg("-CAkey")
        .arg(ca.join("issuing.key"))
        .arg("-out")
        .arg(&chain)
        .output()
        .expect("openssl");
    assert!(issue.status.success(), "{}", said(&issue));
    let leaf = std::fs::read_to_string(&chain).expect("a certificate");
    let issuing = std::fs::read_to_string(ca.join("issuing.pem")).expect("the authority");
    std::fs::write(&chain, leaf + &issuing).expect("written");

    let installed = rig.yueyang.path("keys/tls.pem");
    let before = std::fs::read(&installed).expect("a chain");
    let wrong = dir.join("good.pem").to_string_lossy().into_owned();
    let refused = run(&["certs", "install", "--for", "tls", &wrong, "--apply"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(said(&refused).contains("trust.key_mismatch"), "{}", said(&refused));
    assert_eq!(std::fs::read(&installed).expect("a chain"), before);

    let chain = chain.to_string_lossy().into_owned();
    let install = ["certs", "install", "--for", "tls", &chain];
    assert!(run(&install).status.success());
    assert_eq!(std::fs::read(&installed).expect("a chain"), before, "a plan changes nothing");
    let done = run(&[&install[..], &["--apply"]].concat());
    assert!(done.status.success(), "{}", said(&done));
    assert_ne!(std::fs::read(&installed).expect("a chain"), before);
    assert!(!next.exists(), "the prepared key is the key now");
    let kept = std::fs::read_dir(rig.yueyang.path("keys")).expect("a folder").flatten();
    let kept = kept.filter(|entry| entry.file_name().to_string_lossy().contains(".old-")).count();
    assert_eq!(kept, 2, "the old pair is kept");
    assert!(run(&["config", "check", &config]).status.success());
    let listed = run(&["certs", "list", "--json"]);
    assert!(listed.status.success() && said(&listed).contains("\"days_left\":29"), "{}", said(&listed));
    assert!(run(&["certs", "check", "--expiring", "20d"]).status.success());
    assert_eq!(run(&["certs", "check", "--expiring", "40d"]).status.code(), Some(3), "30 days are left");
}
