//! Stable machine-readable reasons, as they travel in rejects, receipts and views.

use std::borrow::Cow;
use std::fmt;

/// A stable code in upper snake case, such as `POLICY_PRIVATE`: 1 to 32 of `A-Z`, `0-9` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(Cow<'static, str>);

/// The longest code.
pub const MAX_CODE_LENGTH: usize = 32;

impl Code {
    /// The sender's queue for this peer is full; trying again later helps.
    pub const OUTBOX_FULL: Self = Self(Cow::Borrowed("OUTBOX_FULL"));
    /// The sealed message is larger than a link carries.
    pub const TOO_LARGE: Self = Self(Cow::Borrowed("TOO_LARGE"));
    /// A public event is not what a link carries as one.
    pub const EVENT_MALFORMED: Self = Self(Cow::Borrowed("EVENT_MALFORMED"));
    /// The link was shut down for good.
    pub const LINK_CLOSED: Self = Self(Cow::Borrowed("LINK_CLOSED"));
    /// The message was not delivered in the time its sender gave it.
    pub const EXPIRED: Self = Self(Cow::Borrowed("EXPIRED"));
    /// The message was sent, and the peer has not said what became of it.
    pub const UNCONFIRMED: Self = Self(Cow::Borrowed("UNCONFIRMED"));
    /// The message is held for an admin of the receiving network, who has yet to decide.
    pub const QUARANTINED: Self = Self(Cow::Borrowed("QUARANTINED"));
    /// What a text that is no code becomes.
    pub const UNKNOWN: Self = Self(Cow::Borrowed("UNKNOWN"));

    /// Takes a code known at compile time; a text that is no code becomes [`Code::UNKNOWN`].
    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        if Self::is_valid(text) {
            Self(Cow::Borrowed(text))
        } else {
            Self::UNKNOWN
        }
    }

    /// Reads a code, or returns `None` if the form is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_valid(text).then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// Reads a code; a text that is no code becomes [`Code::UNKNOWN`].
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        Self::parse(text).unwrap_or(Self::UNKNOWN)
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(text: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        (1..=MAX_CODE_LENGTH).contains(&text.len()) && text.bytes().all(allowed)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_short_upper_snake_case() {
        assert_eq!(
            Code::parse("NOT_ALLOWED").map(|c| c.to_string()),
            Some("NOT_ALLOWED".into())
        );
        for bad in ["", "lower", "SP ACE", &"A".repeat(33)] {
            assert_eq!(Code::parse(bad), None, "{bad}");
            assert_eq!(Code::lossy(bad), Code::UNKNOWN);
        }
    }
}
