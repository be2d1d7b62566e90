//! Which events a subscriber wants.

use std::collections::BTreeSet;

use entente_lexicon::CollectionGlob;
use entente_lexicon::api::FilterWish;

/// Patterns of collections, and of kinds, in one filter.
pub const MAX_PATTERNS: usize = 100;
/// Names in one filter.
pub const MAX_NAMES: usize = 1_000;
/// The longest name, in bytes.
pub const MAX_NAME: usize = 512;

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The collection of an announcement, or `agent.observability.event`.
    pub collection: &'a str,
    /// `message.delivered` and the like.
    pub kind: &'a str,
    /// Who acts and is acted upon, each as the viewer sees it; an address also as its DID.
    pub names: &'a [String],
}

/// Which events pass: those that fit every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    collections: Vec<CollectionGlob>,
    kinds: Vec<CollectionGlob>,
    names: BTreeSet<String>,
}

/// Why a filter is refused. Each has a stable code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// A list is too long.
    #[error(
        "a filter has at most 100 collections, 100 kinds and 1,000 DIDs: split it over several sockets"
    )]
    TooLarge,
    /// A pattern is none.
    #[error("`{0}` is no pattern: dotted segments of letters, digits and `-`; the last may be `*`")]
    Pattern(String),
    /// A name is none.
    #[error(
        "a DID in a filter is a DID, an address or an observer's id, at most 512 characters without spaces"
    )]
    Name,
}

impl BadFilter {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "FILTER_TOO_LARGE",
            Self::Pattern(_) => "INVALID_PATTERN",
            Self::Name => "INVALID_DID",
        }
    }
}

impl Filter {
    /// Tells whether an event passes.
    #[must_use]
    pub fn passes(&self, subject: &Subject<'_>) -> bool {
        fits(&self.collections, subject.collection)
            && fits(&self.kinds, subject.kind)
            && (self.names.is_empty() || subject.names.iter().any(|name| self.names.contains(name)))
    }

    /// The names that it lets through; empty means all.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// The patterns of collections; empty means all.
    #[must_use]
    pub fn collections(&self) -> &[CollectionGlob] {
        &self.collections
    }

    /// The patterns of kinds; empty means all.
    #[must_use]
    pub fn kinds(&self) -> &[CollectionGlob] {
        &self.kinds
    }

    /// Writes it as a client would.
    #[must_use]
    pub fn to_wish(&self) -> FilterWish {
        let texts = |globs: &[CollectionGlob]| globs.iter().map(ToString::to_string).collect();
        FilterWish {
            collections: texts(&self.collections),
            kinds: texts(&self.kinds),
            dids: self.names.iter().cloned().collect(),
        }
    }
}

impl TryFrom<&FilterWish> for Filter {
    type Error = BadFilter;

    fn try_from(wish: &FilterWish) -> Result<Self, BadFilter> {
        let too_large = wish.collections.len() > MAX_PATTERNS
            || wish.kinds.len() > MAX_PATTERNS
            || wish.dids.len() > MAX_NAMES;
        if too_large {
            return Err(BadFilter::TooLarge);
        }
        let sound = |name: &String| {
            !name.is_empty()
                && name.len() <= MAX_NAME
                && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !wish.dids.iter().all(sound) {
            return Err(BadFilter::Name);
        }
        Ok(Self {
            collections: globs(&wish.collections)?,
            kinds: globs(&wish.kinds)?,
            names: wish.dids.iter().cloned().collect(),
        })
    }
}

fn globs(texts: &[String]) -> Result<Vec<CollectionGlob>, BadFilter> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|_error| BadFilter::Pattern(text.chars().take(128).collect()))
    };
    texts.iter().map(parse).collect()
}

fn fits(globs: &[CollectionGlob], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(collections: &[&str], kinds: &[&str], dids: &[&str]) -> Result<Filter, BadFilter> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Filter::try_from(&FilterWish {
            collections: own(collections),
            kinds: own(kinds),
            dids: own(dids),
        })
    }

    fn passes(filter: &Filter, collection: &str, kind: &str, names: &[&str]) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        filter.passes(&Subject {
            collection,
            kind,
            names: &names,
        })
    }

    #[test]
    fn an_event_passes_if_it_fits_every_list_that_is_not_empty() {
        let all = filter(&[], &[], &[]).unwrap();
        assert!(passes(&all, "a.b", "x.y", &[]));
        let some = filter(&["a.*", "c"], &["message.*"], &["did:cf:1", "did:cf:2"]).unwrap();
        assert!(passes(
            &some,
            "a.b",
            "message.read",
            &["did:cf:9", "did:cf:2"]
        ));
        assert!(passes(&some, "c", "message.read", &["did:cf:1"]));
        assert!(!passes(&some, "b", "message.read", &["did:cf:1"]));
        assert!(!passes(&some, "c", "link.up", &["did:cf:1"]));
        assert!(!passes(&some, "c", "message.read", &["did:cf:3"]));
        assert!(!passes(&some, "c", "message.read", &[]));
    }

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let some = filter(&["a.*", "c"], &["message.*"], &["did:cf:1"]).unwrap();
        assert_eq!(Filter::try_from(&some.to_wish()), Ok(some));
    }

    #[test]
    fn what_is_no_filter_has_a_code() {
        let code = |outcome: Result<Filter, BadFilter>| outcome.unwrap_err().code();
        assert_eq!(code(filter(&["a*"], &[], &[])), "INVALID_PATTERN");
        assert_eq!(code(filter(&[], &["a..b"], &[])), "INVALID_PATTERN");
        assert_eq!(code(filter(&[], &[], &[""])), "INVALID_DID");
        assert_eq!(code(filter(&[], &[], &["a b"])), "INVALID_DID");
        assert_eq!(code(filter(&["a"; 101], &[], &[])), "FILTER_TOO_LARGE");
        assert_eq!(code(filter(&[], &[], &["d"; 1_001])), "FILTER_TOO_LARGE");
    }
}
