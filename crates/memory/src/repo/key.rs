//! Keys of the tree, and the layer each belongs to.

use std::fmt;

use entente_lexicon::RecordPath;
use entente_trust::crypto::hash::sha256;

/// A key is at most this long, in bytes.
pub const MAX_KEY_LENGTH: usize = 1024;

/// A key of the tree: `collection/rkey`.
///
/// The tree itself asks less of a key than a [`RecordPath`] does, as atproto's does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// The bytes are no key of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is two parts of A-Z, a-z, 0-9 and . _ ~ : - with / between, at most 1,024 bytes")]
pub struct BadKey;

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadKey> {
        let text = str::from_utf8(bytes).map_err(|_error| BadKey)?;
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|symbol| symbol.is_ascii_alphanumeric() || b"._~:-".contains(&symbol))
        };
        let (collection, rkey) = text.split_once('/').ok_or(BadKey)?;
        if text.len() > MAX_KEY_LENGTH || !part(collection) || !part(rkey) {
            return Err(BadKey);
        }
        Ok(Self(text.into()))
    }

    /// Returns the key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the layer of the tree that the key belongs to: half the number of zero bits that its
    /// SHA-256 begins with, rounded down.
    #[must_use]
    pub fn layer(&self) -> u32 {
        layer(self.0.as_bytes())
    }
}

impl From<&RecordPath> for Key {
    fn from(path: &RecordPath) -> Self {
        Self(path.to_string().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn layer(key: &[u8]) -> u32 {
    let mut zeros = 0;
    for byte in sha256(&[key]) {
        zeros += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    zeros / 2
}

/// Returns how many bytes two keys have in common at their fronts.
#[must_use]
pub(super) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mst/key_heights.json` of atproto's interoperability tests.
    #[test]
    fn layers_are_as_published() {
        for (key, expected) in [
            ("", 0),
            ("asdf", 0),
            ("blue", 1),
            ("2653ae71", 0),
            ("88bfafc7", 2),
            ("2a92d355", 4),
            ("884976f5", 6),
            ("app.bsky.feed.post/454397e440ec", 4),
            ("app.bsky.feed.post/9adeb165882c", 8),
        ] {
            assert_eq!(layer(key.as_bytes()), expected, "{key}");
        }
    }

    /// `mst/common_prefix.json` of the same.
    #[test]
    fn common_prefixes_are_as_published() {
        for (left, right, expected) in [
            ("", "", 0),
            ("abc", "abc", 3),
            ("", "abc", 0),
            ("abc", "", 0),
            ("ab", "abc", 2),
            ("abcde", "abc1", 3),
            ("abcde", "abb", 2),
            ("abcde", "qbb", 0),
            ("abc", "abc\0", 3),
        ] {
            assert_eq!(common_prefix(left.as_bytes(), right.as_bytes()), expected);
            assert_eq!(common_prefix(right.as_bytes(), left.as_bytes()), expected);
        }
    }

    #[test]
    fn a_key_is_two_parts() {
        let long = format!("a/{}", "b".repeat(MAX_KEY_LENGTH - 2));
        for good in ["A0/374913", "agent.memory.note/~self", "a/..", &long] {
            assert_eq!(Key::parse(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "a/b c",
            "a/é",
            &format!("{long}c"),
        ] {
            assert_eq!(Key::parse(bad.as_bytes()), Err(BadKey), "{bad}");
        }
        assert_eq!(Key::parse(b"a/\xff"), Err(BadKey));
    }
}
