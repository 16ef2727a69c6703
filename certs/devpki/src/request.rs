//! Certificate signing requests (PKCS#10, RFC 2986) with a fresh key: what a node's administrator sends to the
//! province's own authority. The request names exactly what nodes demand of the certificate.

use crate::PkiError;
use crate::leaf::{KeyKind, LeafSpec, random_serial};

/// A request and the key that it is for.
pub struct Request {
    /// The request, PEM. Public.
    pub pem: String,
    /// The private key, PKCS#8 in PEM. Goes into a file of mode 0600 and nowhere else.
    pub key_pem: String,
}

/// Makes a key and requests the TLS certificate of a node, or the signing one.
///
/// # Errors
/// [`PkiError::DomainName`] or [`PkiError::Division`] for names that no node may have; [`PkiError::Issue`].
pub fn request(domain: &str, division: &str, signing: bool, key: KeyKind) -> Result<Request, PkiError> {
    crate::province::check_domain_name(domain)?;
    if division.len() != 6 || !division.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PkiError::Division(division.to_owned()));
    }
    let spec = match signing {
        true => LeafSpec::signing(domain, division, key, 0),
        false => LeafSpec { key, ..LeafSpec::tls(domain, division, 0) },
    };
    let mut params = spec.params(random_serial()?)?;
    // The authority decides these.
    params.serial_number = None;
    params.use_authority_key_identifier_extension = false;
    params.is_ca = rcgen::IsCa::NoCa;
    let key = key.generate()?;
    let pem = params.serialize_request(&key)?.pem()?;
    Ok(Request { pem, key_pem: key.serialize_pem() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_no_private_key_and_refuses_foreign_names() {
        let made = request("hunan.tongban", "430600", true, KeyKind::P256).unwrap();
        assert!(made.pem.contains("CERTIFICATE REQUEST") && !made.pem.contains("PRIVATE"));
        assert!(made.key_pem.contains("PRIVATE KEY"));
        assert!(matches!(request("Hunan", "430600", true, KeyKind::P256), Err(PkiError::DomainName(_))));
        assert!(matches!(request("hunan.tongban", "4306", true, KeyKind::P256), Err(PkiError::Division(_))));
    }
}
