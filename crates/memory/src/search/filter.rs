//! Which records a search is about: by collection, by time, by where they came from.

use entente_lexicon::records::Source;
use entente_lexicon::{CollectionGlob, Timestamp};

use crate::life::Validity;

/// The sort of what an agent wrote by itself.
const SELF: &str = "self";

/// What of a record is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// Its collection.
    pub collection: &'a str,
    /// When it was written.
    pub written: Timestamp,
    /// For when it holds.
    pub validity: Validity,
    /// Where it came from; from the agent itself if nothing is said.
    pub source: Option<&'a Source>,
}

/// What a search is narrowed to. Whatever is left out narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these collections.
    pub collections: Vec<CollectionGlob>,
    /// Written at this instant or later.
    pub since: Option<Timestamp>,
    /// Written before this instant.
    pub until: Option<Timestamp>,
    /// Holding at this instant.
    pub valid_at: Option<Timestamp>,
    /// From any of these.
    pub sources: Vec<SourceFilter>,
}

/// Sources to search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFilter {
    /// The sort: `self`, `message`, `agent`, `tool`, `import`, or another word.
    pub kind: String,
    /// Which one; any of that sort if it is left out.
    pub id: Option<String>,
}

impl SourceFilter {
    fn covers(&self, source: Option<&Source>) -> bool {
        let (kind, id) = match source {
            Some(source) => (source.kind.as_str(), source.id.as_deref()),
            None => (SELF, None),
        };
        self.kind == kind && self.id.as_deref().is_none_or(|wanted| id == Some(wanted))
    }
}

impl Filter {
    /// Tells whether a record passes.
    #[must_use]
    pub fn passes(&self, record: &Traits<'_>) -> bool {
        let any = self.collections.is_empty();
        let named = |glob: &CollectionGlob| glob.matches(record.collection);
        let from =
            self.sources.is_empty() || self.sources.iter().any(|one| one.covers(record.source));
        from && (any || self.collections.iter().any(named))
            && self.since.is_none_or(|since| record.written >= since)
            && self.until.is_none_or(|until| record.written < until)
            && self.valid_at.is_none_or(|at| record.validity.holds(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(source: Option<&Source>) -> Traits<'_> {
        Traits {
            collection: "agent.memory.fact",
            written: Timestamp(100),
            validity: Validity::new(Some(Timestamp(50)), Some(Timestamp(150))).unwrap(),
            source,
        }
    }

    #[test]
    fn a_filter_that_says_nothing_lets_everything_pass() {
        assert!(Filter::default().passes(&record(None)));
    }

    fn passes(narrow: impl FnOnce(&mut Filter), source: Option<&Source>) -> bool {
        let mut filter = Filter::default();
        narrow(&mut filter);
        filter.passes(&record(source))
    }

    #[test]
    fn collections_narrow() {
        for (glob, covered) in [
            ("agent.memory.*", true),
            ("agent.memory.fact", true),
            ("agent.memory.note", false),
        ] {
            let narrow = |filter: &mut Filter| filter.collections = vec![glob.parse().unwrap()];
            assert_eq!(passes(narrow, None), covered, "{glob}");
        }
    }

    #[test]
    fn times_narrow() {
        let passes = |narrow: fn(&mut Filter, Timestamp), at| {
            passes(|filter| narrow(filter, Timestamp(at)), None)
        };
        let since = |filter: &mut Filter, at| filter.since = Some(at);
        assert!(passes(since, 100) && !passes(since, 101));
        let until = |filter: &mut Filter, at| filter.until = Some(at);
        assert!(passes(until, 101) && !passes(until, 100));
        let valid_at = |filter: &mut Filter, at| filter.valid_at = Some(at);
        assert!(passes(valid_at, 50) && !passes(valid_at, 150));
    }

    #[test]
    fn sources_narrow() {
        let source = |kind: &str, id: Option<&str>| Source {
            kind: kind.to_owned(),
            id: id.map(str::to_owned),
        };
        let passes = |kind: &str, id: Option<&str>, source: Option<&Source>| {
            let wanted = SourceFilter {
                kind: kind.to_owned(),
                id: id.map(str::to_owned),
            };
            passes(|filter| filter.sources = vec![wanted], source)
        };
        let diana = source("agent", Some("did:cf:diana"));
        assert!(passes("agent", None, Some(&diana)));
        assert!(passes("agent", Some("did:cf:diana"), Some(&diana)));
        assert!(!passes("agent", Some("did:cf:bob"), Some(&diana)));
        assert!(!passes(
            "agent",
            Some("did:cf:bob"),
            Some(&source("agent", None))
        ));
        assert!(!passes("tool", None, Some(&diana)));
        assert!(passes("self", None, None) && !passes("import", None, None));
    }
}
