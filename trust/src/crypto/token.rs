//! Bearer tokens: 256 bits of entropy shown once, kept only as a hash.
//!
//! A plain SHA-256 is enough: unlike a password, a token leaves nothing to guess.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::hash::{HASH_LENGTH, sha256};
use super::mac::constant_time_eq;

/// Characters after the prefix.
pub const TEXT_LENGTH: usize = 43;

/// A fresh token, wiped when dropped.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Draws a token: `prefix` (such as `ent_`) and 43 base64url characters.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R, prefix: &str) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        let mut text = String::with_capacity(prefix.len() + TEXT_LENGTH);
        text.push_str(prefix);
        BASE64URL_NOPAD.encode_append(&*bytes, &mut text);
        Self(Zeroizing::new(text))
    }

    /// Returns the text, to be shown once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what to store.
    #[must_use]
    pub fn hash(&self) -> [u8; HASH_LENGTH] {
        token_hash(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Hashes a token as it is stored.
#[must_use]
pub fn token_hash(text: &str) -> [u8; HASH_LENGTH] {
    sha256(&[text.as_bytes()])
}

/// Tells whether `text` is the token with this stored hash, in constant time.
#[must_use]
pub fn matches(hash: &[u8], text: &str) -> bool {
    constant_time_eq(hash, &token_hash(text))
}

/// Compares two secret texts in time that tells nothing of either, not even their lengths.
///
/// For the admin key, which is configured as text: both sides are hashed first.
#[must_use]
pub fn secret_eq(a: &str, b: &str) -> bool {
    constant_time_eq(&token_hash(a), &token_hash(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_rng::TestRng;

    #[test]
    fn a_token_matches_its_own_hash_only() {
        let mut rng = TestRng::new(1);
        let (one, two) = (
            Token::generate(&mut rng, "ent_"),
            Token::generate(&mut rng, "ent_"),
        );
        assert_eq!(one.as_str().len(), "ent_".len() + TEXT_LENGTH);
        assert!(one.as_str().starts_with("ent_"));
        assert!(matches(&one.hash(), one.as_str()));
        assert!(!matches(&one.hash(), two.as_str()));
        assert!(!matches(&[], one.as_str()));
        assert!(!matches(&one.hash()[..31], one.as_str()));
    }

    #[test]
    fn secrets_are_equal_only_when_they_are() {
        assert!(secret_eq("admin", "admin"));
        assert!(!secret_eq("admin", "admin "));
        assert!(!secret_eq("", "admin"));
    }

    #[test]
    fn a_token_never_shows_itself() {
        let token = Token::generate(&mut TestRng::new(1), "ent_");
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
