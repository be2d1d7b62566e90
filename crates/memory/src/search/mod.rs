//! Finding memory without decrypting it.
//!
//! ```text
//! text → words (Unicode, lower case) → stems → HMAC tokens → FTS5 → BM25 → × importance × recency
//! ```
//!
//! A record's text is cut into [`words::terms`], each blinded under the agent's key for the space
//! (private or public) by [`Index::tokens`], and what comes out is stored in an FTS5 table. A query
//! goes the same way and becomes a [`Query`], made of tokens alone, so nothing a person writes
//! reaches FTS5's query language. What FTS5 finds is ranked by [`rank::Ranking`] and passes a
//! [`filter::Filter`]; only hits are decrypted.

pub mod filter;
pub mod hybrid;
pub mod query;
pub mod rank;
pub mod words;

use entente_trust::memory::blind::BlindKey;

pub use query::Query;

/// The words of one space, blinded: what is stored, and what is asked for.
#[derive(Clone, Debug)]
pub struct Index {
    key: BlindKey,
}

impl Index {
    /// Takes the key of a space.
    #[must_use]
    pub const fn new(key: BlindKey) -> Self {
        Self { key }
    }

    /// Returns the row to store for a text: its tokens with repetitions, between spaces, and sorted,
    /// so that the order of the words is not told. FTS5 needs no more than `tokenize = 'ascii'` for it.
    #[must_use]
    pub fn tokens(&self, text: &str) -> String {
        let terms = words::terms(text);
        let mut tokens: Vec<_> = terms.iter().map(|term| self.key.token(term)).collect();
        tokens.sort_unstable();
        tokens.join(" ")
    }

    /// Makes a query of what somebody looks for; none if that has no word to look for.
    #[must_use]
    pub fn query(&self, text: &str) -> Option<Query> {
        Query::of(words::terms(text).iter().map(|term| self.key.token(term)))
    }
}
