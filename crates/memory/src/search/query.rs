//! What FTS5 is asked for.

use std::collections::BTreeSet;
use std::fmt;

use entente_trust::memory::blind::TOKEN_LENGTH;

/// The most words of a query; further ones are left out.
pub const MAX_QUERY_TERMS: usize = 64;

/// An expression for FTS5's `MATCH`, made of blinded tokens in quotes and `OR`, and of nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// Joins tokens; none if there are none. What is not a token is left out.
    pub(super) fn of(tokens: impl Iterator<Item = String>) -> Option<Self> {
        let mut seen = BTreeSet::new();
        let mut text = String::new();
        let tokens = tokens.filter(|token| is_token(token));
        for token in tokens
            .filter(|token| seen.insert(token.clone()))
            .take(MAX_QUERY_TERMS)
        {
            if !text.is_empty() {
                text.push_str(" OR ");
            }
            text.push('"');
            text.push_str(&token);
            text.push('"');
        }
        (!text.is_empty()).then_some(Self(text))
    }

    /// Returns the expression, to be bound as a parameter.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_token(text: &str) -> bool {
    let base32 = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    text.len() == TOKEN_LENGTH && text.bytes().all(base32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_come_into_a_query_each_once() {
        let token = "abcdefgh234567ab";
        let made = |tokens: &[&str]| Query::of(tokens.iter().map(|token| (*token).to_owned()));
        assert_eq!(
            made(&[token, token]).unwrap().as_str(),
            "\"abcdefgh234567ab\""
        );
        assert_eq!(made(&[]), None);
        for bad in [
            "",
            "NEAR",
            "a\" OR \"b",
            "abcdefgh234567a*",
            "ABCDEFGH234567AB",
        ] {
            assert_eq!(made(&[bad]), None, "{bad}");
        }
    }
}
