//! SPIFFE ids of nodes: `spiffe://<trust-domain>/node/<division>`.
//!
//! One spelling is accepted and no other, so that equal ids are equal text: no upper case, no escapes, no port,
//! query or trailing slash. Whether a trust domain may speak for a division is [`crate::store`]'s question.

use std::fmt;
use std::str::FromStr;

/// Longest trust domain name, bytes (SPIFFE-ID §2.1).
const DOMAIN_NAME_BYTES_MAX: usize = 255;

/// An administrative division code of GB/T 2260 (行政区划代码): six ASCII digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Division([u8; 6]);

impl Division {
    /// The six digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a Division holds ASCII digits")
    }
}

/// Text that is not what it should be; the message says what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct NotAnId {
    text: String,
    expected: &'static str,
}

impl NotAnId {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // A peer chose this text: keep the message short.
        Self { text: text.chars().take(80).collect(), expected }
    }
}

impl FromStr for Division {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match <[u8; 6]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(NotAnId::new(text, "a division code of six digits")),
        }
    }
}

impl fmt::Display for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Division({self})")
    }
}

/// A trust domain's name: 1..=255 of `[a-z0-9.-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        if (1..=DOMAIN_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnId::new(text, "a trust domain name of 1 to 255 of a-z, 0-9, dot and hyphen"))
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainName({self})")
    }
}

/// A node's name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// Whose authority vouches for it.
    pub domain: DomainName,
    /// The city that it speaks for.
    pub division: Division,
}

impl FromStr for SpiffeId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parse = || {
            let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
            let division = path.strip_prefix("node/")?;
            Some(Self { domain: domain.parse().ok()?, division: division.parse().ok()? })
        };
        parse().ok_or_else(|| NotAnId::new(text, "a node's id, spiffe://<trust-domain>/node/<division>"))
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/node/{}", self.domain, self.division)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_id_reads_and_prints_the_same() {
        let text = "spiffe://hunan.tongban/node/430600";
        let id: SpiffeId = text.parse().unwrap();
        assert_eq!(id.division.as_str(), "430600");
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "",
            "spiffe://",
            "spiffe:///node/430600",
            "SPIFFE://hunan.tongban/node/430600",
            "https://hunan.tongban/node/430600",
            "spiffe://Hunan.tongban/node/430600",
            "spiffe://hunan_tongban/node/430600",
            "spiffe://hunan.tongban:443/node/430600",
            "spiffe://user@hunan.tongban/node/430600",
            "spiffe://hunan.tongban/430600",
            "spiffe://hunan.tongban/Node/430600",
            "spiffe://hunan.tongban//node/430600",
            "spiffe://hunan.tongban/node/43060",
            "spiffe://hunan.tongban/node/4306000",
            "spiffe://hunan.tongban/node/43060a",
            "spiffe://hunan.tongban/node/４３０６００",
            "spiffe://hunan.tongban/node/%34306000",
            "spiffe://hunan.tongban/node/430600/",
            "spiffe://hunan.tongban/node/430600?x",
            "spiffe://hunan.tongban/node/430600#x",
            "spiffe://hunan.tongban/node/430600 ",
            "spiffe://hunan.tongban/node/430600\0",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_domain_name_of_255_bytes_is_the_longest() {
        assert!("a".repeat(255).parse::<DomainName>().is_ok());
        assert!("a".repeat(256).parse::<DomainName>().is_err());
    }
}
