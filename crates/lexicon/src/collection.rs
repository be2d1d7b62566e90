//! Names of collections, and the patterns that lists are made of.

use std::fmt;
use std::str::FromStr;

/// The longest name or pattern, in bytes.
pub const MAX_COLLECTION: usize = 128;

/// A pattern for collections: dotted segments of letters, digits and `-`, of which the last may be
/// `*` for one or more segments. `*` alone stands for every collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectionGlob(String);

/// The text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a collection is dotted segments of letters, digits and `-`; the last may be `*`")]
pub struct BadCollection;

impl CollectionGlob {
    /// Tells whether the pattern covers a collection.
    #[must_use]
    pub fn matches(&self, collection: &str) -> bool {
        if !is_collection(collection) {
            return false;
        }
        match self.0.strip_suffix('*') {
            Some(prefix) => collection
                .strip_prefix(prefix)
                .is_some_and(|rest| !rest.is_empty()),
            None => self.0 == collection,
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CollectionGlob {
    type Err = BadCollection;

    fn from_str(text: &str) -> Result<Self, BadCollection> {
        let name = match text.strip_suffix('*') {
            Some("") => return Ok(Self(text.to_owned())),
            Some(prefix) => prefix.strip_suffix('.').ok_or(BadCollection)?,
            None => text,
        };
        if text.len() <= MAX_COLLECTION && is_collection(name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadCollection)
        }
    }
}

impl fmt::Display for CollectionGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether a text is the name of a collection: dotted segments of letters, digits and `-`, at
/// most [`MAX_COLLECTION`] bytes.
#[must_use]
pub fn is_collection(text: &str) -> bool {
    let segment = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= MAX_COLLECTION && text.split('.').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(glob: &str, collection: &str) -> bool {
        glob.parse::<CollectionGlob>().unwrap().matches(collection)
    }

    #[test]
    fn a_pattern_covers_itself_or_what_lies_below_it() {
        assert!(covers(
            "agent.public.announcement",
            "agent.public.announcement"
        ));
        assert!(covers("agent.public.*", "agent.public.announcement"));
        assert!(covers("agent.public.*", "agent.public.a.b"));
        assert!(covers("*", "agent"));
        for (glob, collection) in [
            ("agent.public.*", "agent.public"),
            ("agent.public.*", "agent.publicity.x"),
            ("agent.public.*", "agent.private.x"),
            ("agent.public", "agent.public.x"),
            ("*", ""),
            ("*", "a..b"),
            ("agent.*", "agent.pub lic"),
        ] {
            assert!(!covers(glob, collection), "{glob} {collection}");
        }
    }

    #[test]
    fn a_star_stands_only_at_the_end() {
        for bad in ["", ".", "a.", ".a", "a*", "a.*.b", "**", "*.a", "a b", "ä"] {
            assert!(bad.parse::<CollectionGlob>().is_err(), "{bad}");
        }
        assert!("a".repeat(129).parse::<CollectionGlob>().is_err());
        assert_eq!("a.*".parse::<CollectionGlob>().unwrap().to_string(), "a.*");
    }
}
