//! Trust levels by name. What they mean is decided in one place only: `entente_trust::policy`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a network trusts a peer. Deliberately not ordered: comparing levels is policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustLevel {
    /// Every public event, messages both ways.
    Open,
    /// Only the agents listed for that peer.
    Allowlist,
    /// As listed, and mutually attested.
    Verified,
    /// No link, nothing in either direction.
    Private,
}

impl TrustLevel {
    /// All levels, laxest first, for menus and help texts.
    pub const ALL: [Self; 4] = [Self::Open, Self::Allowlist, Self::Verified, Self::Private];

    /// Returns the name used on the wire and in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allowlist => "allowlist",
            Self::Verified => "verified",
            Self::Private => "private",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TrustLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or(UnknownLevel)
    }
}

/// The text names no trust level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the trust level must be one of open, allowlist, verified, private")]
pub struct UnknownLevel;
