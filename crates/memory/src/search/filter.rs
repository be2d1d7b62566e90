//! Which records a search is about: by collection, by time, by where they came from.

use entente_lexicon::{Did, Timestamp};
use entente_trust::policy::CollectionGlob;

use crate::life::Validity;

/// Where a memory came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The agent itself.
    Own,
    /// A person who runs it.
    Operator,
    /// Another agent, which shared it or said it.
    Agent(Did),
    /// An archive that was imported.
    Import,
}

/// What of a record is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// Its collection.
    pub collection: &'a str,
    /// When it was written.
    pub written: Timestamp,
    /// For when it holds.
    pub validity: Validity,
    /// Where it came from.
    pub source: &'a Source,
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
pub enum SourceFilter {
    /// Exactly this one.
    Is(Source),
    /// Any other agent.
    AnyAgent,
}

impl SourceFilter {
    fn covers(&self, source: &Source) -> bool {
        match self {
            Self::Is(one) => one == source,
            Self::AnyAgent => matches!(source, Source::Agent(_)),
        }
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

    fn record(source: &Source) -> Traits<'_> {
        Traits {
            collection: "agent.memory.fact",
            written: Timestamp(100),
            validity: Validity::new(Some(Timestamp(50)), Some(Timestamp(150))).unwrap(),
            source,
        }
    }

    #[test]
    fn a_filter_that_says_nothing_lets_everything_pass() {
        assert!(Filter::default().passes(&record(&Source::Own)));
    }

    fn passes(narrow: impl FnOnce(&mut Filter), source: &Source) -> bool {
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
            assert_eq!(passes(narrow, &Source::Own), covered, "{glob}");
        }
    }

    #[test]
    fn times_narrow() {
        let passes = |narrow: fn(&mut Filter, Timestamp), at| {
            passes(|filter| narrow(filter, Timestamp(at)), &Source::Own)
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
        let diana = Source::Agent(Did::from_scid(&[4; 32]));
        let passes =
            |wanted: SourceFilter, source| passes(|filter| filter.sources = vec![wanted], source);
        assert!(passes(SourceFilter::AnyAgent, &diana));
        assert!(!passes(SourceFilter::AnyAgent, &Source::Import));
        assert!(passes(SourceFilter::Is(diana.clone()), &diana));
        assert!(!passes(SourceFilter::Is(Source::Own), &diana));
    }
}
