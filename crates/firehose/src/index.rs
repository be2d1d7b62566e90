//! Finding the filters that an event passes without asking all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entente_lexicon::CollectionGlob;

use crate::filter::{Filter, Subject};

/// Filters by a text.
type Keyed = HashMap<String, BTreeSet<u64>>;

/// Filters by what an event must have to pass them: each stands under all its names, else under all
/// its collections, else under all its kinds; only those that let everything through under nothing. A
/// pattern is found by the names that it fits, segment by segment.
#[derive(Debug, Default)]
pub struct Index {
    filters: BTreeMap<u64, Filter>,
    by_name: Keyed,
    by_collection: Keyed,
    by_kind: Keyed,
    others: BTreeSet<u64>,
}

impl Index {
    /// Adds a subscriber's filter, or replaces the one it had.
    pub fn put(&mut self, id: u64, filter: Filter) {
        self.remove(id);
        match self.place(&filter) {
            Some((map, keys)) => keys.into_iter().for_each(|key| {
                map.entry(key).or_default().insert(id);
            }),
            None => {
                self.others.insert(id);
            }
        }
        self.filters.insert(id, filter);
    }

    /// Takes a subscriber's filter out.
    pub fn remove(&mut self, id: u64) {
        let Some(filter) = self.filters.remove(&id) else {
            return;
        };
        match self.place(&filter) {
            Some((map, keys)) => keys.iter().for_each(|key| drop_from(map, key, id)),
            None => {
                self.others.remove(&id);
            }
        }
    }

    /// Returns where a filter stands, and under which keys.
    fn place(&mut self, filter: &Filter) -> Option<(&mut Keyed, Vec<String>)> {
        let names: Vec<String> = filter.names().iter().cloned().collect();
        let texts = |globs: &[CollectionGlob]| globs.iter().map(ToString::to_string).collect();
        let collections: Vec<String> = texts(filter.collections());
        let kinds: Vec<String> = texts(filter.kinds());
        if !names.is_empty() {
            Some((&mut self.by_name, names))
        } else if !collections.is_empty() {
            Some((&mut self.by_collection, collections))
        } else if !kinds.is_empty() {
            Some((&mut self.by_kind, kinds))
        } else {
            None
        }
    }

    /// Returns a subscriber's filter.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Filter> {
        self.filters.get(&id)
    }

    /// Returns the subscribers whose filters an event passes, each once, in order of their ids.
    #[must_use]
    pub fn matching(&self, subject: &Subject<'_>) -> Vec<u64> {
        let named = subject
            .names
            .iter()
            .filter_map(|name| self.by_name.get(name));
        let sets = named
            .chain(fitting(&self.by_collection, subject.collection))
            .chain(fitting(&self.by_kind, subject.kind))
            .chain([&self.others]);
        let mut found: Vec<u64> = sets.flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found.retain(|id| self.get(*id).is_some_and(|filter| filter.passes(subject)));
        found
    }
}

/// Returns what stands under a name itself and under the patterns that it fits.
fn fitting<'a>(map: &'a Keyed, name: &str) -> impl Iterator<Item = &'a BTreeSet<u64>> {
    let fronts = name
        .match_indices('.')
        .filter_map(|(dot, _)| name.get(..=dot));
    let patterns = std::iter::once("")
        .chain(fronts)
        .map(|front| format!("{front}*"));
    let keys = patterns.chain([name.to_owned()]);
    let found = keys.filter_map(|key| map.get(&key));
    found.collect::<Vec<_>>().into_iter()
}

fn drop_from(map: &mut Keyed, key: &str, id: u64) {
    if let Some(set) = map.get_mut(key) {
        set.remove(&id);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::api::FilterWish;
    use proptest::prelude::*;

    use super::*;

    fn wishes() -> impl Strategy<Value = FilterWish> {
        let patterns =
            prop::sample::subsequence(vec!["a.x", "a.*", "a.x.*", "b.x", "b.y", "*"], 0..3);
        let kinds = prop::sample::subsequence(vec!["k.a", "k.*", "l"], 0..2);
        let names = prop::sample::subsequence(vec!["n1", "n2", "n3"], 0..3);
        let own = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        (patterns, kinds, names).prop_map(move |(collections, kinds, dids)| FilterWish {
            collections: own(collections),
            kinds: own(kinds),
            dids: own(dids),
        })
    }

    proptest! {
        #[test]
        fn the_index_finds_whom_asking_all_would_find(
            puts in prop::collection::vec((0u64..8, wishes()), 0..30),
            gone in prop::collection::vec(0u64..8, 0..4),
            collection in prop::sample::select(vec!["a.x", "a.x.y.z", "a.y", "b.x", "c", "a"]),
            kind in prop::sample::select(vec!["k.a", "k.b", "l"]),
            names in prop::sample::subsequence(vec!["n1", "n2", "n3", "n4"], 0..3),
        ) {
            let mut index = Index::default();
            let mut model = BTreeMap::new();
            for (id, wish) in &puts {
                let filter = Filter::try_from(wish).unwrap();
                index.put(*id, filter.clone());
                model.insert(*id, filter);
            }
            for id in &gone {
                index.remove(*id);
                model.remove(id);
            }
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let subject = Subject { collection, kind, names: &names };
            let expected: Vec<u64> = model
                .iter()
                .filter(|(_, filter)| filter.passes(&subject))
                .map(|(id, _)| *id)
                .collect();
            prop_assert_eq!(index.matching(&subject), expected);
            for id in model.keys() {
                index.remove(*id);
            }
            prop_assert!(index.by_name.is_empty() && index.by_collection.is_empty());
            prop_assert!(index.by_kind.is_empty() && index.others.is_empty());
        }
    }
}
