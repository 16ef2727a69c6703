//! One trust domain's certification authority: a root, and the authority under it that issues to nodes.
//!
//! Both keys are P-256 (a second pair, where wanted, SM2) and stay in memory; [`crate::folder`] stores and reloads them. Revocation lists come
//! in pairs, one by each authority, because nodes ask for the status of every certificate in a chain.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

use crate::PkiError;
use crate::chance::Chance;
use crate::leaf::{BACKDATE_MS, DAY_MS, Issued, KeyKind, LeafSpec, SignedBy, common_name, instant};
use crate::sm2::AnyKey;

const ROOT_DAYS: i64 = 20 * 365;
const ISSUING_DAYS: i64 = 5 * 365;

/// A trust domain's authority, with its keys.
pub struct Province {
    name: String,
    prefixes: Vec<String>,
    now_ms: i64,
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
    /// The pair that issues SM2 signing certificates, where nodes have such.
    pub(crate) sm2: Option<Box<Sm2Authorities>>,
    chance: Chance,
}

/// Root and issuing authority of SM2.
pub(crate) struct Sm2Authorities {
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
}

/// A certificate authority: what it says of itself, and its key.
pub(crate) struct Authority {
    pub(crate) certificate_pem: String,
    pub(crate) certificate_der: Vec<u8>,
    pub(crate) key_pem: String,
    issuer: Issuer<'static, AnyKey>,
}

/// One entry of a revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The certificate's serial number, as in [`Issued::serial`].
    pub serial: Vec<u8>,
    /// When the authority revoked it, Unix ms.
    pub revoked_ms: i64,
    /// Since when its key is held to be in other hands, Unix ms, if that is earlier.
    pub compromised_from_ms: Option<i64>,
}

/// A domain's revocation lists: the issuing authority's, then the root's.
#[derive(Clone, Debug)]
pub struct Crls {
    /// Both lists, as two PEM blocks in one text.
    pub pem: String,
    /// Both lists as DER.
    pub der: Vec<Vec<u8>>,
}

impl Province {
    /// Makes a new authority with fresh keys.
    ///
    /// `prefixes`: the divisions that it may speak for, each of 2..=6 digits. `now_ms` is "now" for everything it
    /// issues.
    ///
    /// # Errors
    /// [`PkiError::DomainName`], [`PkiError::Prefix`], or [`PkiError::Issue`] when there is no randomness.
    pub fn new(domain_name: &str, prefixes: &[&str], now_ms: i64) -> Result<Self, PkiError> {
        Self::drawn(domain_name, prefixes, now_ms, Chance::System)
    }

    /// Makes an authority all of whose keys, serial numbers and signatures follow from `seed` and the order in
    /// which certificates are asked for; every key is Ed25519, whatever is asked. For simulations: whoever has
    /// the seed has the keys.
    ///
    /// # Errors
    /// As [`Province::new`].
    pub fn seeded(
        domain_name: &str,
        prefixes: &[&str],
        now_ms: i64,
        seed: [u8; 32],
    ) -> Result<Self, PkiError> {
        Self::drawn(domain_name, prefixes, now_ms, Chance::seeded(seed))
    }

    fn drawn(domain_name: &str, prefixes: &[&str], now_ms: i64, chance: Chance) -> Result<Self, PkiError> {
        check_domain_name(domain_name)?;
        let prefixes = prefixes.iter().map(|prefix| check_prefix(prefix)).collect::<Result<Vec<_>, _>>()?;
        let (root, issuing) = authorities(domain_name, KeyKind::P256, now_ms, &chance)?;
        Ok(Self { name: domain_name.to_owned(), prefixes, now_ms, root, issuing, sm2: None, chance })
    }

    /// The same with a second pair of authorities, which issues SM2 signing certificates.
    ///
    /// # Errors
    /// [`PkiError::Issue`] when there is no randomness.
    pub fn with_sm2(mut self) -> Result<Self, PkiError> {
        let (root, issuing) =
            authorities(&format!("{} sm2", self.name), KeyKind::Sm2, self.now_ms, &Chance::System)?;
        self.sm2 = Some(Box::new(Sm2Authorities { root, issuing }));
        Ok(self)
    }

    pub(crate) fn from_parts(
        name: &str,
        prefixes: Vec<String>,
        now_ms: i64,
        root: Authority,
        issuing: Authority,
        sm2: Option<Sm2Authorities>,
    ) -> Result<Self, PkiError> {
        check_domain_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            prefixes,
            now_ms,
            root,
            issuing,
            sm2: sm2.map(Box::new),
            chance: Chance::System,
        })
    }

    /// The trust domain's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The division prefixes that it may speak for.
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// The root certificate: the anchor of a trust store. DER.
    pub fn root_der(&self) -> &[u8] {
        &self.root.certificate_der
    }

    /// The root certificate, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root.certificate_pem
    }

    /// The issuing authority's certificate, DER.
    pub fn issuing_der(&self) -> &[u8] {
        &self.issuing.certificate_der
    }

    /// The SM2 root certificate, the anchor of SM2 signing certificates: DER.
    pub fn sm2_root_der(&self) -> Option<&[u8]> {
        self.sm2.as_ref().map(|sm2| &*sm2.root.certificate_der)
    }

    /// Issues a TLS certificate to a node.
    ///
    /// # Errors
    /// [`PkiError::Division`] or [`PkiError::ForeignDivision`]; use [`Province::leaf`] to issue what a node must
    /// refuse.
    pub fn tls(&self, division: &str) -> Result<Issued, PkiError> {
        self.check_division(division)?;
        self.leaf(&LeafSpec::tls(&self.name, division, self.now_ms))
    }

    /// Issues a signing certificate to a node.
    ///
    /// # Errors
    /// As [`Province::tls`].
    pub fn signing(&self, division: &str, key: KeyKind) -> Result<Issued, PkiError> {
        self.check_division(division)?;
        self.leaf(&LeafSpec::signing(&self.name, division, key, self.now_ms))
    }

    /// Issues whatever the specification says, wise or not, with a fresh key.
    ///
    /// # Errors
    /// [`PkiError::Instant`] or [`PkiError::Issue`] when the fields cannot be encoded.
    pub fn leaf(&self, spec: &LeafSpec) -> Result<Issued, PkiError> {
        let key = self.chance.key(spec.key)?;
        let params = spec.params(self.chance.serial()?)?;
        let (root, issuing) = match (&self.sm2, key.is_sm2()) {
            (Some(sm2), true) => (&sm2.root, &sm2.issuing),
            (None, true) => return Err(PkiError::NoSm2Authority(self.name.clone())),
            (_, false) => (&self.root, &self.issuing),
        };
        let authority = match spec.signed_by {
            SignedBy::Issuing => issuing,
            SignedBy::Root => root,
        };
        let certificate = authority.issuer.key().finish(params.signed_by(&key, &authority.issuer)?.der());
        let mut chain_pem = block("CERTIFICATE", &certificate);
        let mut chain_der = vec![certificate];
        if spec.signed_by == SignedBy::Issuing {
            chain_pem.push_str(&issuing.certificate_pem);
            chain_der.push(issuing.certificate_der.clone());
        }
        let serial = params.serial_number.expect("LeafSpec::params sets a serial number").to_bytes();
        Ok(Issued {
            chain_pem,
            key_pem: key.serialize_pem(),
            chain_der,
            key_der: key.serialize_der(),
            serial,
        })
    }

    /// Issues revocation lists with these serial numbers, revoked as of `this_update_ms`.
    ///
    /// # Errors
    /// [`PkiError::Instant`]; [`PkiError::Issue`] when `next_update_ms` is not after `this_update_ms`.
    pub fn crl(&self, serials: &[&[u8]], this_update_ms: i64, next_update_ms: i64) -> Result<Crls, PkiError> {
        let revoked: Vec<Revocation> = serials
            .iter()
            .map(|serial| Revocation {
                serial: serial.to_vec(),
                revoked_ms: this_update_ms,
                compromised_from_ms: None,
            })
            .collect();
        self.crl_of(&revoked, this_update_ms, next_update_ms)
    }

    /// Issues revocation lists with dated entries.
    ///
    /// A serial number that belongs to the issuing authority's own certificate takes effect through the root's
    /// list; both lists carry every entry, which is harmless because serial numbers are random.
    ///
    /// # Errors
    /// As [`Province::crl`].
    pub fn crl_of(
        &self,
        revoked: &[Revocation],
        this_update_ms: i64,
        next_update_ms: i64,
    ) -> Result<Crls, PkiError> {
        let mut crls = Crls { pem: String::new(), der: Vec::new() };
        let sm2 = self.sm2.iter().flat_map(|sm2| [&sm2.issuing, &sm2.root]);
        for authority in [&self.issuing, &self.root].into_iter().chain(sm2) {
            let params = CertificateRevocationListParams {
                this_update: instant(this_update_ms)?,
                next_update: instant(next_update_ms)?,
                // Grows with time, as RFC 5280 §5.2.3 asks, without anything to remember.
                crl_number: SerialNumber::from(this_update_ms.max(0).unsigned_abs()),
                issuing_distribution_point: None,
                revoked_certs: revoked.iter().map(Revocation::params).collect::<Result<_, _>>()?,
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = authority.issuer.key().finish(params.signed_by(&authority.issuer)?.der());
            crls.pem.push_str(&block("X509 CRL", &list));
            crls.der.push(list);
        }
        Ok(crls)
    }

    /// The issuing authority's own serial number, to revoke it.
    pub fn issuing_serial(&self) -> Vec<u8> {
        self.issuing.serial()
    }

    fn check_division(&self, division: &str) -> Result<(), PkiError> {
        if division.len() != 6 || !division.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PkiError::Division(division.to_owned()));
        }
        if !self.prefixes.iter().any(|prefix| division.starts_with(prefix.as_str())) {
            return Err(PkiError::ForeignDivision {
                domain: self.name.clone(),
                division: division.to_owned(),
            });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Province {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Province")
            .field("name", &self.name)
            .field("prefixes", &self.prefixes)
            .finish_non_exhaustive()
    }
}

impl Revocation {
    fn params(&self) -> Result<RevokedCertParams, PkiError> {
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from_slice(&self.serial),
            revocation_time: instant(self.revoked_ms)?,
            reason_code: None,
            invalidity_date: self.compromised_from_ms.map(instant).transpose()?,
        })
    }
}

impl Authority {
    pub(crate) fn new(certificate_pem: String, key: AnyKey) -> Result<Self, PkiError> {
        let certificate_der = pem::parse(&certificate_pem)
            .map_err(|error| rcgen::Error::PemError(error.to_string()))?
            .into_contents();
        let key_pem = key.serialize_pem();
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)?;
        Ok(Self { certificate_pem, certificate_der, key_pem, issuer })
    }

    /// The content octets of its serial number.
    fn serial(&self) -> Vec<u8> {
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.certificate_der)
            .expect("Authority::new parsed this certificate");
        certificate.raw_serial().to_vec()
    }
}

/// A root and the issuing authority under it, with keys of that kind.
fn authorities(
    name: &str,
    key: KeyKind,
    now_ms: i64,
    chance: &Chance,
) -> Result<(Authority, Authority), PkiError> {
    let root_key = chance.key(key)?;
    let root_params = authority_params(&format!("{name} root"), 1, now_ms, ROOT_DAYS, chance.serial()?)?;
    let root_der = root_key.finish(root_params.self_signed(&root_key)?.der());
    let root = Authority::new(block("CERTIFICATE", &root_der), root_key)?;
    let issuing_key = chance.key(key)?;
    let issuing_params =
        authority_params(&format!("{name} issuing"), 0, now_ms, ISSUING_DAYS, chance.serial()?)?;
    let issuing_der = issuing_key.finish(issuing_params.signed_by(&issuing_key, &root.issuer)?.der());
    let issuing = Authority::new(block("CERTIFICATE", &issuing_der), issuing_key)?;
    Ok((root, issuing))
}

/// One PEM block.
fn block(tag: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(tag, der))
}

fn authority_params(
    name: &str,
    below: u8,
    now_ms: i64,
    valid_days: i64,
    serial: SerialNumber,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial);
    params.distinguished_name = common_name(name);
    params.not_before = instant(now_ms - BACKDATE_MS)?;
    params.not_after = instant(now_ms + valid_days * DAY_MS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(crate) fn check_domain_name(name: &str) -> Result<(), PkiError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    // A leading dot would name a hidden file, or the parent folder.
    if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(PkiError::DomainName(name.to_owned()));
    }
    Ok(())
}

pub(crate) fn check_prefix(prefix: &str) -> Result<String, PkiError> {
    if !(2..=6).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PkiError::Prefix(prefix.to_owned()));
    }
    Ok(prefix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_certificates_and_keys_and_another_seed_others() {
        let made = |seed: u8| {
            let province = Province::seeded("hunan.tongban", &["43"], 1_790_000_000_000, [seed; 32]).unwrap();
            let (tls, signing) =
                (province.tls("430600").unwrap(), province.signing("430600", KeyKind::P256).unwrap());
            let crls = province.crl(&[&tls.serial], 1_790_000_000_000, 1_790_000_100_000).unwrap();
            (province.root_der().to_vec(), tls.chain_der, tls.key_der, signing.chain_der, crls.der)
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1).1, made(2).1);
        assert_ne!(made(1).2, made(2).2);
    }
}
