//! PEM files (RFC 7468): certificate chains, revocation lists and private keys.
//!
//! Text between blocks is allowed, as authorities like to add it. A file with a block of another kind, a damaged
//! block or none at all is refused: half a chain is not silently a shorter one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::error::TrustError;
use crate::limits::{CHAIN_CERTIFICATES_MAX, CHAIN_FILE_BYTES_MAX, CRL_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX};
use crate::profile;
use crate::revocation::Crl;
use crate::sm2::SigningKey;

/// Permission bits that let somebody other than the owner do something.
const OTHERS: u32 = 0o077;

/// DER before the 65 bytes of an uncompressed P-256 point in a SubjectPublicKeyInfo (RFC 5480 §2).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// DER before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 §4).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Reads a certificate chain: 1..=5 certificates as DER, in the order of the file, which is leaf first.
///
/// # Errors
/// [`TrustError::File`] or [`TrustError::Pem`]. Whether they are certificates is seen when they are verified.
pub fn read_chain(path: &Path) -> Result<Vec<Vec<u8>>, TrustError> {
    let chain = read_blocks(path, CHAIN_FILE_BYTES_MAX, "CERTIFICATE")?;
    if chain.len() > CHAIN_CERTIFICATES_MAX {
        return Err(TrustError::PemSeveral { path: path.to_owned(), count: chain.len() });
    }
    Ok(chain)
}

/// Reads a file that holds exactly one certificate, as DER.
///
/// # Errors
/// [`TrustError::File`] or [`TrustError::Pem`].
pub fn read_certificate(path: &Path) -> Result<Vec<u8>, TrustError> {
    only(path, read_blocks(path, CHAIN_FILE_BYTES_MAX, "CERTIFICATE")?)
}

/// Reads a file with revocation lists.
///
/// # Errors
/// [`TrustError::File`], [`TrustError::Pem`], and what [`Crl::from_der`] refuses.
pub fn read_crls(path: &Path) -> Result<Vec<Crl>, TrustError> {
    read_blocks(path, CRL_FILE_BYTES_MAX, "X509 CRL")?.iter().map(|der| Crl::from_der(der)).collect()
}

/// A private key (PKCS#8, DER) as the text of a key file. It goes into a file of mode 0600 and nowhere else.
pub fn private_key_text(pkcs8: &[u8]) -> String {
    pem::encode(&pem::Pem::new("PRIVATE KEY", pkcs8))
}

/// A certificate (DER) as PEM text.
pub fn certificate_text(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

/// Reads a file that holds exactly one private key, PKCS#8 and not encrypted.
///
/// # Errors
/// [`TrustError::KeyReadableByOthers`] when its mode has any bit for group or others; [`TrustError::File`],
/// [`TrustError::Pem`], or [`TrustError::KeyUnsupported`] for keys in other wrappings.
pub fn read_key(path: &Path) -> Result<PrivatePkcs8KeyDer<'static>, TrustError> {
    let (file, metadata) = open(path)?;
    // Asked of the open file, so that what is checked is what is read.
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(TrustError::KeyReadableByOthers { path: path.to_owned(), mode });
    }
    let text = read_to_end(path, file, KEY_FILE_BYTES_MAX)?;
    let mut keys = Vec::new();
    for block in parse(path, &text)? {
        match block.tag() {
            "PRIVATE KEY" => keys.push(block.into_contents()),
            "ENCRYPTED PRIVATE KEY" => return Err(TrustError::KeyUnsupported("encrypted".into())),
            tag @ ("EC PRIVATE KEY" | "EC PARAMETERS" | "RSA PRIVATE KEY") => {
                return Err(TrustError::KeyUnsupported(tag.into()));
            }
            tag => return Err(wrong_kind(path, tag, "PRIVATE KEY")),
        }
    }
    only(path, keys).map(PrivatePkcs8KeyDer::from)
}

/// The public key of a private one, as SubjectPublicKeyInfo in DER.
///
/// # Errors
/// [`TrustError::KeyUnsupported`] when it is neither P-256, Ed25519 nor SM2 in PKCS#8.
pub fn public_key(key: &PrivatePkcs8KeyDer<'_>) -> Result<Vec<u8>, TrustError> {
    let der = key.secret_pkcs8_der();
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new()) {
        return Ok([&P256_SPKI_PREFIX, pair.public_key().as_ref()].concat());
    }
    // OpenSSL writes Ed25519 keys without the public half, which the checked form demands.
    match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        Ok(pair) => Ok([&ED25519_SPKI_PREFIX, pair.public_key().as_ref()].concat()),
        Err(_) => match SigningKey::from_pkcs8(der) {
            Some(key) => Ok(key.spki()),
            None => Err(TrustError::KeyUnsupported("neither P-256, Ed25519 nor SM2 in PKCS#8".into())),
        },
    }
}

/// Whether a certificate (DER) is about this public key (SubjectPublicKeyInfo, DER).
pub fn key_matches(certificate: &[u8], spki_der: &[u8]) -> bool {
    profile::parse(certificate).is_ok_and(|certificate| certificate.public_key().raw == spki_der)
}

/// Reads a file of one or more blocks that all have this tag.
pub(crate) fn read_blocks(
    path: &Path,
    bytes_max: u64,
    tag: &'static str,
) -> Result<Vec<Vec<u8>>, TrustError> {
    let blocks = parse(path, &read_bounded(path, bytes_max)?)?;
    blocks
        .into_iter()
        .map(|block| match block.tag() {
            found if found == tag => Ok(block.into_contents()),
            found => Err(wrong_kind(path, found, tag)),
        })
        .collect()
}

/// Reads a file of at most `bytes_max` bytes.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, TrustError> {
    let (file, _) = open(path)?;
    read_to_end(path, file, bytes_max)
}

fn open(path: &Path) -> Result<(File, std::fs::Metadata), TrustError> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    opened.map_err(|error| file_error(path, &error))
}

fn read_to_end(path: &Path, file: File, bytes_max: u64) -> Result<Vec<u8>, TrustError> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| file_error(path, &error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(TrustError::File { path: path.to_owned(), reason: format!("over {bytes_max} bytes") });
    }
    Ok(bytes)
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<pem::Pem>, TrustError> {
    let blocks = pem::parse_many(text).map_err(|error| TrustError::pem(path, error.to_string()))?;
    // The parser passes over a block that does not end.
    let begun = text.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
    if begun == 0 {
        return Err(TrustError::pem(path, "no PEM block"));
    }
    if blocks.len() != begun {
        return Err(TrustError::pem(path, "a damaged PEM block"));
    }
    Ok(blocks)
}

const BEGIN: &[u8] = b"-----BEGIN ";

fn only(path: &Path, blocks: Vec<Vec<u8>>) -> Result<Vec<u8>, TrustError> {
    match <[Vec<u8>; 1]>::try_from(blocks) {
        Ok([block]) => Ok(block),
        Err(blocks) => Err(TrustError::PemSeveral { path: path.to_owned(), count: blocks.len() }),
    }
}

fn wrong_kind(path: &Path, found: &str, wanted: &'static str) -> TrustError {
    let found = found.chars().take(KIND_CHARACTERS_MAX).collect();
    TrustError::PemKind { path: path.to_owned(), found, wanted }
}

/// Characters of a foreign block's kind that are told.
const KIND_CHARACTERS_MAX: usize = 40;

fn file_error(path: &Path, error: &std::io::Error) -> TrustError {
    TrustError::File { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::path::PathBuf;

    use devpki::{Issued, KeyKind, Province};

    use super::*;
    use crate::Identity;

    fn issued() -> Issued {
        Province::new("hunan.tongban", &["43"], 1_790_000_000_000).unwrap().tls("430600").unwrap()
    }

    /// A file with this content and mode, in a folder that lives as long as the first value.
    fn file(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.pem");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn chain_code(text: &str) -> Result<usize, &'static str> {
        let (_dir, path) = file(text.as_bytes(), 0o644);
        read_chain(&path).map(|chain| chain.len()).map_err(|error| error.code())
    }

    fn key_code(text: &str, mode: u32) -> Result<(), &'static str> {
        let (_dir, path) = file(text.as_bytes(), mode);
        read_key(&path).map(|_| ()).map_err(|error| error.code())
    }

    #[test]
    fn a_chain_reads_with_comments_between_its_blocks() {
        let issued = issued();
        assert_eq!(chain_code(&issued.chain_pem), Ok(2));
        assert_eq!(chain_code(&issued.chain_pem.replace("-----BEGIN", "subject=岳阳\n-----BEGIN")), Ok(2));
        assert_eq!(chain_code(&issued.chain_pem.replace('\n', "\r\n")), Ok(2));
    }

    #[test]
    fn garbage_is_no_chain() {
        let issued = issued();
        assert_eq!(chain_code(""), Err("trust.pem"));
        assert_eq!(chain_code("garbage"), Err("trust.pem"));
        assert_eq!(chain_code(&issued.key_pem), Err("trust.pem_kind"));
        assert_eq!(chain_code(&(issued.chain_pem.clone() + &issued.key_pem)), Err("trust.pem_kind"));
        assert_eq!(chain_code(&issued.chain_pem.replacen("MII", "M!I", 1)), Err("trust.pem"));
        assert_eq!(chain_code(&issued.chain_pem.repeat(3)), Err("trust.pem_several"));
    }

    #[test]
    fn half_a_chain_is_not_a_shorter_chain() {
        let text = issued().chain_pem;
        assert_eq!(chain_code(&text[..text.len() - 100]), Err("trust.pem"));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let key = issued().key_pem;
        assert_eq!(key_code(&key, 0o600), Ok(()));
        assert_eq!(key_code(&key, 0o400), Ok(()));
        for mode in [0o640, 0o604, 0o620, 0o644] {
            assert_eq!(key_code(&key, mode), Err("trust.key_readable_by_others"), "{mode:o}");
        }
    }

    #[test]
    fn a_key_file_holds_one_plain_key() {
        let issued = issued();
        assert_eq!(key_code("garbage", 0o600), Err("trust.pem"));
        assert_eq!(key_code(&issued.chain_pem, 0o600), Err("trust.pem_kind"));
        assert_eq!(key_code(&issued.key_pem.repeat(2), 0o600), Err("trust.pem_several"));
        for kind in ["ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY"] {
            let text = issued.key_pem.replace("PRIVATE KEY", kind);
            assert_eq!(key_code(&text, 0o600), Err("trust.key_unsupported"), "{kind}");
        }
    }

    #[test]
    fn the_key_of_another_certificate_is_refused() {
        let (ours, theirs) = (issued(), issued());
        let key = |issued: &Issued| PrivatePkcs8KeyDer::from(issued.key_der.clone());
        assert!(Identity::new(ours.chain_der.clone(), key(&ours)).is_ok());
        let mismatch = Identity::new(ours.chain_der.clone(), key(&theirs)).unwrap_err();
        assert_eq!(mismatch.code(), "trust.key_mismatch");
        let spki = public_key(&key(&ours)).unwrap();
        assert!(key_matches(&ours.chain_der[0], &spki));
        assert!(!key_matches(&theirs.chain_der[0], &spki));
    }

    #[test]
    fn keys_outside_p256_and_ed25519_are_refused() {
        let province = Province::new("hunan.tongban", &["43"], 1_790_000_000_000).unwrap();
        let key = |kind| {
            let issued = province.signing("430600", kind).unwrap();
            public_key(&issued.key_der.into()).map(|spki| spki.len()).map_err(|error| error.code())
        };
        assert_eq!(key(KeyKind::P256), Ok(91));
        assert_eq!(key(KeyKind::Ed25519), Ok(44));
        assert_eq!(key(KeyKind::P384), Err("trust.key_unsupported"));
    }

    /// RFC 8410 §10.1 and §10.3; OpenSSL writes Ed25519 keys in this older form, without the public half.
    #[test]
    fn an_ed25519_key_without_its_public_half_reads() {
        let key = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        let (_dir, path) = file(key.as_bytes(), 0o600);
        assert_eq!(public_key(&read_key(&path).unwrap()).unwrap(), pem::parse(public).unwrap().contents());
    }

    #[test]
    fn an_identity_does_not_print_its_key() {
        let issued = issued();
        let identity = Identity::new(issued.chain_der, issued.key_der.clone().into()).unwrap();
        let secret = format!("{:?}", &issued.key_der[40..48]);
        assert!(!format!("{identity:?}").contains(secret.trim_matches(['[', ']'])));
    }
}
