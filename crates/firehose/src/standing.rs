//! Filters that agents leave with the relay: which agents an event wakes.
//!
//! An agent sees what an observer sees, and in full what it does itself. What concerns it, as the one
//! that acts or is acted upon, wakes it only by filters that ask for that: else an agent that answers
//! what woke it would be woken by its answer.

use std::collections::{BTreeMap, HashMap};

use crate::filter::{Filter, Subject};
use crate::index::Index;

/// A filter that an agent left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingFilter {
    /// What it lets through.
    pub filter: Filter,
    /// Whether events that concern the agent itself wake it too.
    pub own: bool,
    /// Events up to this one are not its.
    pub since: u64,
    /// Events after this one are not its any more: it was replaced, and its agent has yet to be told of
    /// what came before.
    pub until: Option<u64>,
}

/// An event as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence<'a> {
    /// Its number.
    pub seq: u64,
    /// As in [`Subject::collection`].
    pub collection: &'a str,
    /// As in [`Subject::kind`].
    pub kind: &'a str,
    /// The names in it as an observer sees them.
    pub seen: &'a [String],
    /// The names in it as they are.
    pub real: &'a [String],
    /// The DID of who acts.
    pub from: Option<&'a str>,
    /// The DID of who is acted upon.
    pub to: Option<&'a str>,
}

impl Occurrence<'_> {
    /// Tells whether an agent acts: then it sees all of it.
    #[must_use]
    pub fn is_by(&self, did: &str) -> bool {
        self.from == Some(did)
    }

    fn concerns(&self, did: &str) -> bool {
        self.is_by(did) || self.to == Some(did)
    }

    fn subject(&self, did: &str) -> Subject<'_> {
        let names = if self.is_by(did) {
            self.real
        } else {
            self.seen
        };
        Subject {
            collection: self.collection,
            kind: self.kind,
            names,
        }
    }
}

#[derive(Debug, Default)]
struct Agent {
    did: String,
    filters: BTreeMap<u64, StandingFilter>,
}

/// The filters of all agents.
#[derive(Debug, Default)]
pub struct Standing {
    /// Those in force.
    index: Index,
    owners: HashMap<u64, u64>,
    by_did: HashMap<String, u64>,
    agents: BTreeMap<u64, Agent>,
}

impl Standing {
    /// Tells whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// Replaces an agent's filters. Their numbers are theirs alone among all agents'.
    pub fn set(&mut self, agent: u64, did: &str, filters: BTreeMap<u64, StandingFilter>) {
        self.remove(agent);
        if filters.is_empty() {
            return;
        }
        for (number, filter) in &filters {
            if filter.until.is_none() {
                self.index.put(*number, filter.filter.clone());
                self.owners.insert(*number, agent);
            }
        }
        let did = did.to_owned();
        self.by_did.insert(did.clone(), agent);
        self.agents.insert(agent, Agent { did, filters });
    }

    /// Forgets an agent.
    pub fn remove(&mut self, agent: u64) {
        let Some(gone) = self.agents.remove(&agent) else {
            return;
        };
        self.by_did.remove(&gone.did);
        for number in gone.filters.keys() {
            self.index.remove(*number);
            self.owners.remove(number);
        }
    }

    /// Returns the agents that a new event wakes, each once.
    #[must_use]
    pub fn woken(&self, event: &Occurrence<'_>) -> Vec<u64> {
        let subject = Subject {
            collection: event.collection,
            kind: event.kind,
            names: event.seen,
        };
        let found = self.index.matching(&subject);
        let owners = found.iter().filter_map(|number| self.owners.get(number));
        let concerned = [event.from, event.to].into_iter().flatten();
        let concerned = concerned.filter_map(|did| self.by_did.get(did));
        let mut woken: Vec<u64> = owners.chain(concerned).copied().collect();
        woken.sort_unstable();
        woken.dedup();
        woken.retain(|agent| !self.fits(*agent, event).is_empty());
        woken
    }

    /// Returns the filters of an agent that an event passes.
    #[must_use]
    pub fn fits(&self, agent: u64, event: &Occurrence<'_>) -> Vec<u64> {
        let Some(agent) = self.agents.get(&agent) else {
            return Vec::new();
        };
        let concerns = event.concerns(&agent.did);
        let subject = event.subject(&agent.did);
        let fits = |standing: &StandingFilter| {
            event.seq > standing.since
                && standing.until.is_none_or(|until| event.seq <= until)
                && (standing.own || !concerns)
                && standing.filter.passes(&subject)
        };
        let found = agent.filters.iter().filter(|(_, standing)| fits(standing));
        found.map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::api::FilterWish;
    use proptest::prelude::*;

    use super::*;

    fn filter(kinds: &[&str], dids: &[&str], own: bool) -> StandingFilter {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let wish = FilterWish {
            collections: Vec::new(),
            kinds: texts(kinds),
            dids: texts(dids),
        };
        StandingFilter {
            filter: Filter::try_from(&wish).unwrap(),
            own,
            since: 0,
            until: None,
        }
    }

    fn set(standing: &mut Standing, agent: u64, did: &str, filter: StandingFilter) {
        standing.set(agent, did, BTreeMap::from([(agent, filter)]));
    }

    fn event<'a>(
        seen: &'a [String],
        real: &'a [String],
        from: &'a str,
        to: &'a str,
    ) -> Occurrence<'a> {
        Occurrence {
            seq: 7,
            collection: "c",
            kind: "message.delivered",
            seen,
            real,
            from: Some(from),
            to: Some(to),
        }
    }

    #[test]
    fn what_concerns_an_agent_wakes_it_only_if_it_asks() {
        let mut standing = Standing::default();
        set(&mut standing, 1, "a", filter(&["message.*"], &[], false));
        set(&mut standing, 2, "b", filter(&["message.*"], &[], true));
        set(&mut standing, 3, "c", filter(&["message.*"], &[], false));
        assert_eq!(standing.woken(&event(&[], &[], "a", "b")), [2, 3]);
        assert_eq!(standing.woken(&event(&[], &[], "b", "a")), [2, 3]);
        assert_eq!(standing.woken(&event(&[], &[], "x", "y")), [1, 2, 3]);
    }

    #[test]
    fn a_filter_by_names_tells_nothing_that_an_observer_may_not_see() {
        let (seen, real) = (["anon-1".to_owned()], ["a".to_owned()]);
        let mut standing = Standing::default();
        set(&mut standing, 1, "me", filter(&[], &["a"], true));
        set(&mut standing, 2, "it", filter(&[], &["anon-1"], true));
        set(&mut standing, 3, "a", filter(&[], &["a"], true));
        // Who acts knows its own name; the other hears of ids alone.
        assert_eq!(standing.woken(&event(&seen, &real, "a", "b")), [2, 3]);
    }

    #[test]
    fn a_filter_counts_from_when_it_was_left_until_it_was_replaced() {
        let mut standing = Standing::default();
        let old = StandingFilter {
            until: Some(7),
            ..filter(&["message.*"], &[], false)
        };
        let new = StandingFilter {
            since: 7,
            ..filter(&["message.*"], &[], false)
        };
        standing.set(1, "a", BTreeMap::from([(10, old), (11, new)]));
        let mut at = event(&[], &[], "x", "y");
        assert_eq!(standing.fits(1, &at), [10]);
        at.seq = 8;
        assert_eq!(standing.fits(1, &at), [11]);
        standing.remove(1);
        assert!(standing.is_empty() && standing.fits(1, &at).is_empty());
        assert!(standing.owners.is_empty() && standing.by_did.is_empty());
    }

    proptest! {
        #[test]
        fn the_index_wakes_whom_asking_all_would_wake(
            filters in prop::collection::vec((
                prop::sample::subsequence(vec!["message.*", "link.up", "message.delivered", "*"], 0..3),
                prop::sample::subsequence(vec!["a", "b", "anon-1"], 0..2),
                any::<bool>(),
            ), 1..8),
            from in prop::sample::select(vec!["d0", "d1", "d5"]),
            to in prop::sample::select(vec!["d0", "d2", "x"]),
        ) {
            let mut standing = Standing::default();
            for (number, (kinds, dids, own)) in (0_u64..).zip(&filters) {
                set(&mut standing, number, &format!("d{number}"), filter(kinds, dids, *own));
            }
            let (seen, real) = (["anon-1".to_owned()], ["a".to_owned(), "b".to_owned()]);
            let event = event(&seen, &real, from, to);
            let all = 0..u64::try_from(filters.len()).unwrap();
            let expected: Vec<u64> = all.filter(|agent| !standing.fits(*agent, &event).is_empty()).collect();
            prop_assert_eq!(standing.woken(&event), expected);
        }
    }
}
