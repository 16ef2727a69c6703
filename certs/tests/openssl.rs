//! OpenSSL 3 and we, both ways: what it signs we verify, what we sign it verifies; SM2 signatures, and certificates
//! of SM2 and P-256. Without an `openssl` 3 that knows SM2 the tests say so and end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certs::sm2::{SigningKey, VerifyingKey};
use certs::{Anchor, AnchorState, Crl, KeyAlgorithm, Purpose, Revocation, TrustDomain, TrustStore, pem};
use devpki::{KeyKind, Province};
use std::path::PathBuf;
use std::process::{Command, Output};

const ID: &str = "distid:1234567812345678";
const LETTER: &[u8] = b"tongban.channel/v1/430600/421200/0\n3\n";

struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    /// A folder to work in; nothing when this machine has no OpenSSL that does SM2.
    fn find() -> Option<Self> {
        let here = Self(tempfile::tempdir().unwrap());
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "SM2", "-out"])
            .arg(here.file("key"))
            .output();
        match made {
            Ok(made) if made.status.success() => Some(here),
            _ => {
                eprintln!("NOT TESTED: there is no OpenSSL 3 with SM2 on this machine");
                None
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), bytes).unwrap();
    }

    fn try_run(&self, line: &str) -> Output {
        Command::new("openssl").args(line.split(' ')).current_dir(self.0.path()).output().unwrap()
    }

    fn run(&self, line: &str) -> Output {
        let output = self.try_run(line);
        assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn read_pem(&self, name: &str) -> Vec<u8> {
        ::pem::parse(std::fs::read(self.file(name)).unwrap()).unwrap().into_contents()
    }
}

/// SEQUENCE of the two halves of r ‖ s, as OpenSSL wants them.
fn to_der(signature: &[u8; 64]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let start = half.iter().position(|byte| *byte != 0).unwrap();
        let sign = if half[start] & 0x80 != 0 { vec![0] } else { vec![] };
        let digits = [sign, half[start..].to_vec()].concat();
        [vec![2, digits.len() as u8], digits].concat()
    };
    let content = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [vec![0x30, content.len() as u8], content].concat()
}

#[test]
fn openssl_signs_and_we_verify() {
    let Some(openssl) = OpenSsl::find() else { return };
    openssl.write("letter", LETTER);
    openssl.run(&format!("dgst -sm3 -sign key -sigopt {ID} -out signature letter"));
    openssl.run("pkey -in key -pubout -out public");
    let key = VerifyingKey::from_spki(&openssl.read_pem("public")).unwrap();
    let signature = std::fs::read(openssl.file("signature")).unwrap();
    assert!(key.verifies_der(LETTER, &signature));
    assert!(!key.verifies_der(b"another letter", &signature));
    // Another signer id makes another Z: not the signature that the standard's default means.
    openssl.run("dgst -sm3 -sign key -sigopt distid:8765432187654321 -out other letter");
    assert!(!key.verifies_der(LETTER, &std::fs::read(openssl.file("other")).unwrap()));
}

#[test]
fn we_sign_and_openssl_verifies() {
    let Some(openssl) = OpenSsl::find() else { return };
    openssl.write("letter", LETTER);
    openssl.run("pkey -in key -pubout -out public");
    let key = SigningKey::from_pkcs8(&openssl.read_pem("key")).unwrap();
    assert_eq!(key.spki(), openssl.read_pem("public"), "both make the same public key of one private key");
    openssl.write("signature", to_der(&key.sign(LETTER).unwrap()));
    openssl.run(&format!("dgst -sm3 -verify public -sigopt {ID} -signature signature letter"));
    openssl.write("letter", b"another letter");
    let line = format!("dgst -sm3 -verify public -sigopt {ID} -signature signature letter");
    assert!(!openssl.try_run(&line).status.success());
}

#[test]
fn openssl_verifies_our_certificates_and_revocation_lists() {
    let Some(openssl) = OpenSsl::find() else { return };
    let now_ms = now_ms(&openssl);
    let province = Province::new("hunan.tongban", &["43"], now_ms).unwrap().with_sm2().unwrap();
    let issued = province.signing("430600", KeyKind::Sm2).unwrap();
    let certificate = |der: &[u8]| ::pem::encode(&::pem::Pem::new("CERTIFICATE", der));
    openssl.write("root.pem", certificate(province.sm2_root_der().unwrap()));
    openssl.write("issuing.pem", certificate(&issued.chain_der[1]));
    openssl.write("leaf.pem", certificate(&issued.chain_der[0]));
    let lists = province.crl(&[&issued.serial], now_ms - 3_600_000, now_ms + 86_400_000).unwrap();
    // `-vfyopt` counts for the last certificate of a path alone: one link at a time.
    openssl.run(&format!("verify -vfyopt {ID} -CAfile root.pem issuing.pem"));
    let line = format!("verify -vfyopt {ID} -partial_chain -CAfile issuing.pem leaf.pem");
    openssl.run(&line);
    let text = openssl.run("x509 -in leaf.pem -noout -text");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("SM2-with-SM3") && text.contains("ASN1 OID: SM2"), "{text}");
    // The list of the issuing SM2 authority is the third of four.
    openssl.write("list.pem", ::pem::encode(&::pem::Pem::new("X509 CRL", &*lists.der[2])));
    let text = openssl.run("crl -in list.pem -noout -text");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("SM2-with-SM3") && text.contains("Serial Number"), "{text}");
    let mut forged = issued.chain_der[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    openssl.write("leaf.pem", certificate(&forged));
    assert!(!openssl.try_run(&line).status.success());
}

/// How OpenSSL makes keys and signatures of one kind.
struct Kind {
    key: &'static str,
    /// Signs requests and certificates.
    sign: &'static str,
    /// Verifies a request.
    verify: &'static str,
    /// Signs lists.
    lists: &'static str,
    algorithm: KeyAlgorithm,
    /// Code for an authority whose keyUsage does not allow lists.
    no_lists: &'static str,
}

const SM2: Kind = Kind {
    key: "-algorithm SM2",
    sign: "-sm3 -sigopt distid:1234567812345678",
    verify: " -vfyopt distid:1234567812345678",
    lists: "-md sm3 -sigopt distid:1234567812345678",
    algorithm: KeyAlgorithm::Sm2,
    no_lists: "trust.path_invalid",
};

const P256: Kind = Kind {
    key: "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    sign: "-sha256",
    verify: "",
    lists: "-md sha256",
    algorithm: KeyAlgorithm::P256,
    no_lists: "trust.crl_invalid",
};

/// A hierarchy of OpenSSL's is judged as ours are; its files stay in the folder.
fn hierarchy_is_judged(openssl: &OpenSsl, kind: &Kind) {
    let now_ms = now_ms(openssl);
    let Kind { key, sign, verify, lists, .. } = kind;
    for name in ["root", "issuing", "leaf"] {
        openssl.run(&format!("genpkey {key} -out {name}.key"));
    }
    openssl.write("ca.cnf", CONFIGURATION);
    openssl.write("index.txt", "");
    openssl.write("number", "01\n");
    openssl.run(&format!(
        "req -x509 -new -key root.key -subj /CN=root -config ca.cnf -extensions authority -days 30 {sign} -out root.pem"
    ));
    for name in ["issuing", "leaf"] {
        openssl
            .run(&format!("req -new -key {name}.key -subj /CN={name} -config ca.cnf {sign} -out {name}.csr"));
    }
    let issue = |name: &str, by: &str, extensions: &str| {
        openssl.run(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 20 {sign}{verify} \
             -extfile ca.cnf -extensions {extensions} -out {name}.pem"
        ));
    };
    issue("issuing", "root", "authority");
    issue("leaf", "issuing", "node");
    for authority in ["root", "issuing"] {
        openssl.run(&format!(
            "ca -gencrl -config ca.cnf -keyfile {authority}.key -cert {authority}.pem {lists} -crldays 10 \
             -out {authority}.crl"
        ));
    }
    let chain = [openssl.read_pem("leaf.pem"), openssl.read_pem("issuing.pem")];
    let chain = [&chain[0][..], &chain[1][..]];
    let verified =
        store(openssl, &["root.crl", "issuing.crl"]).verify(Purpose::Signing, &chain, now_ms).unwrap();
    assert_eq!(verified.algorithm, kind.algorithm);
    let refused = store(openssl, &["root.crl"]).verify(Purpose::Signing, &chain, now_ms).unwrap_err();
    assert_eq!(refused.code(), "trust.crl_missing");
    // The key file of OpenSSL is read as ours are.
    let key = openssl.read_pem("leaf.key");
    assert_eq!(pem::public_key(&key.into()).unwrap(), verified.spki_der);

    // One fact changed each: an authority that is none, or that no list may be asked of.
    for (extensions, code) in [("node", "trust.not_an_authority"), ("no_lists", kind.no_lists)] {
        issue("issuing", "root", extensions);
        let chain = [openssl.read_pem("leaf.pem"), openssl.read_pem("issuing.pem")];
        let chain = [&chain[0][..], &chain[1][..]];
        let refused = store(openssl, &["root.crl", "issuing.crl"]).verify(Purpose::Signing, &chain, now_ms);
        assert_eq!(refused.unwrap_err().code(), code, "{extensions}");
    }
}

/// The root of the folder with some lists.
fn store(openssl: &OpenSsl, lists: &[&str]) -> TrustStore {
    let anchor = Anchor::from_der(&openssl.read_pem("root.pem"), AnchorState::Active).unwrap();
    let lists = lists.iter().map(|list| Crl::from_der(&openssl.read_pem(list)).unwrap()).collect();
    let revocation = Revocation::Crl { lists, grace_hours: 0 };
    let prefixes = vec!["43".parse().unwrap()];
    let domain =
        TrustDomain::new("hunan.tongban".parse().unwrap(), prefixes, vec![anchor], revocation).unwrap();
    TrustStore::new(vec![domain]).unwrap()
}

#[test]
fn p256_certificates_and_lists_that_openssl_issues_are_judged_like_ours() {
    let Some(openssl) = OpenSsl::find() else { return };
    hierarchy_is_judged(&openssl, &P256);
}

#[test]
fn certificates_and_lists_that_openssl_issues_are_judged_like_ours() {
    let Some(openssl) = OpenSsl::find() else { return };
    hierarchy_is_judged(&openssl, &SM2);
    let now_ms = now_ms(&openssl);

    // A P-256 authority under the same name issues no SM2 certificate.
    openssl.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out mixed.key");
    openssl.run("req -x509 -new -key mixed.key -subj /CN=root -config ca.cnf -extensions authority -days 30 -sha256 -out mixed.pem");
    openssl.run(
        "x509 -req -in leaf.csr -CA mixed.pem -CAkey mixed.key -CAcreateserial -days 20 -sha256 \
         -vfyopt distid:1234567812345678 -extfile ca.cnf -extensions node -out leaf.pem",
    );
    let leaf = openssl.read_pem("leaf.pem");
    let refused =
        store(&openssl, &["root.crl", "issuing.crl"]).verify(Purpose::Signing, &[&leaf], now_ms).unwrap_err();
    assert_eq!(refused.code(), "trust.weak_algorithm");
}

#[test]
fn a_p256_leaf_that_an_sm2_authority_signed_opens_and_signs_nothing() {
    let Some(openssl) = OpenSsl::find() else { return };
    hierarchy_is_judged(&openssl, &SM2);
    let now_ms = now_ms(&openssl);
    let (sign, verify) = (SM2.sign, SM2.verify);
    openssl.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out hostile.key");
    openssl.run("req -new -key hostile.key -subj /CN=hostile -config ca.cnf -sha256 -out hostile.csr");
    // The issuing authority of the hierarchy was changed last for one without lists: a good one again.
    openssl.run(&format!(
        "x509 -req -in issuing.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 {sign}{verify} \
         -extfile ca.cnf -extensions authority -out issuing.pem"
    ));
    for (by, extensions, purpose) in [
        ("issuing", "node", Purpose::Signing),
        ("root", "node", Purpose::Signing),
        ("issuing", "tls", Purpose::Tls),
    ] {
        openssl.run(&format!(
            "x509 -req -in hostile.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 20 {sign} \
             -extfile ca.cnf -extensions {extensions} -out hostile.pem"
        ));
        let chain = [openssl.read_pem("hostile.pem"), openssl.read_pem("issuing.pem")];
        let chain = [&chain[0][..], &chain[1][..]];
        let store = store(&openssl, &["root.crl", "issuing.crl"]);
        let refused = store.verify(purpose, &chain, now_ms).unwrap_err();
        assert_eq!(refused.code(), "trust.weak_algorithm", "{by} {extensions}: {refused}");
    }
}

#[test]
fn of_two_sm2_anchors_of_one_name_each_vouches_for_its_own() {
    let Some(openssl) = OpenSsl::find() else { return };
    openssl.write("ca.cnf", CONFIGURATION);
    let Kind { sign, verify, .. } = SM2;
    openssl.run("genpkey -algorithm SM2 -out leaf.key");
    openssl.run(&format!("req -new -key leaf.key -subj /CN=leaf -config ca.cnf {sign} -out leaf.csr"));
    for name in ["one", "two", "three"] {
        openssl.run(&format!("genpkey -algorithm SM2 -out {name}.key"));
        openssl.run(&format!(
            "req -x509 -new -key {name}.key -subj /CN=root -config ca.cnf -extensions authority -days 30 {sign} \
             -out {name}.pem"
        ));
        openssl.run(&format!(
            "x509 -req -in leaf.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -days 20 {sign}{verify} \
             -extfile ca.cnf -extensions node -out leaf-{name}.pem"
        ));
    }
    let now_ms = now_ms(&openssl);
    let anchor =
        |name: &str, state| Anchor::from_der(&openssl.read_pem(&format!("{name}.pem")), state).unwrap();
    let verdict = |leaf: &str, states: [AnchorState; 2]| {
        let anchors = vec![anchor("one", states[0]), anchor("two", states[1])];
        let prefixes = vec!["43".parse().unwrap()];
        let domain =
            TrustDomain::new("hunan.tongban".parse().unwrap(), prefixes, anchors, Revocation::None).unwrap();
        let leaf = openssl.read_pem(&format!("leaf-{leaf}.pem"));
        let verified = TrustStore::new(vec![domain]).unwrap().verify(Purpose::Signing, &[&leaf], now_ms);
        verified.map(|_| ()).map_err(|error| error.code())
    };
    use AnchorState::{Active, Tainted};
    assert_eq!(verdict("one", [Active, Active]), Ok(()));
    assert_eq!(verdict("two", [Active, Active]), Ok(()));
    // The third has the name as well, and nobody approved its key.
    assert_eq!(verdict("three", [Active, Active]), Err("trust.bad_signature"));
    // The name of an active anchor does not carry the leaf of a tainted one.
    assert_eq!(verdict("one", [Tainted, Active]), Err("trust.anchor_tainted"));
    assert_eq!(verdict("two", [Tainted, Active]), Ok(()));
}

/// OpenSSL issues from its own clock on, so this test judges a little later, by the file system's.
fn now_ms(openssl: &OpenSsl) -> i64 {
    let modified = std::fs::metadata(openssl.file("key")).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    i64::try_from(since).unwrap() + 120_000
}

const CONFIGURATION: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[no_lists]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[node]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,nonRepudiation
subjectAltName = URI:spiffe://hunan.tongban/node/430600
[tls]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = URI:spiffe://hunan.tongban/node/430600
[ca]
default_ca = list
[list]
database = index.txt
crlnumber = number
";
