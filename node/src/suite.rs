//! The suites that a command may be asked for: what nodes sign with and hash by.

use devpki::KeyKind;
use gateway::suite::Suite;

/// A suite on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SigningSuite {
    /// ECDSA on P-256 with SHA-256, the default of every channel.
    #[value(name = "p256-sha256")]
    P256Sha256,
    /// Ed25519 with SHA-256.
    #[value(name = "ed25519-sha256")]
    Ed25519Sha256,
    /// SM2 with SM3. 商密 SM2／SM3
    #[value(name = "sm2-sm3")]
    Sm2Sm3,
}

impl SigningSuite {
    /// The algorithm of its signing keys.
    pub fn key(self) -> KeyKind {
        match self {
            Self::P256Sha256 => KeyKind::P256,
            Self::Ed25519Sha256 => KeyKind::Ed25519,
            Self::Sm2Sm3 => KeyKind::Sm2,
        }
    }

    /// Its name, in agreements too.
    pub fn name(self) -> &'static str {
        let suite = match self {
            Self::P256Sha256 => Suite::P256Sha256,
            Self::Ed25519Sha256 => Suite::Ed25519Sha256,
            Self::Sm2Sm3 => Suite::Sm2Sm3,
        };
        suite.name()
    }
}
