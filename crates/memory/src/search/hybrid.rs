//! Words and meaning together: one relevance of what FTS5 and an index of vectors have found.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How meaning weighs beside words, whose best hit counts 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fusion {
    /// What a cosine of 1 counts.
    pub meaning: f64,
    /// A cosine from here on finds a record that has none of the words.
    pub floor: f64,
}

impl Default for Fusion {
    /// By measurement: see docs/benchmarks.md, retrieval.
    fn default() -> Self {
        Self {
            meaning: 2.0,
            floor: 0.2,
        }
    }
}

impl Fusion {
    /// Orders everything that was found, the most relevant first: by its words (positive numbers of any
    /// scale) and its cosine. What only one of the two has found stays in.
    #[must_use]
    pub fn fuse(&self, words: &[(u64, f64)], near: &[(u64, f64)]) -> Vec<(u64, f64)> {
        let best = words.iter().map(|(_id, relevance)| *relevance);
        let best = best.fold(0.0, f64::max);
        let mut all: BTreeMap<u64, f64> = BTreeMap::new();
        for (id, relevance) in words {
            let share = if best > 0.0 { relevance / best } else { 0.0 };
            all.insert(*id, share);
        }
        for (id, cosine) in near {
            let counts = cosine.max(0.0) * self.meaning;
            match all.get_mut(id) {
                Some(relevance) => *relevance += counts,
                None if *cosine >= self.floor => {
                    all.insert(*id, counts);
                }
                None => {}
            }
        }
        let mut ordered: Vec<_> = all.into_iter().collect();
        ordered.sort_by(compare);
        ordered
    }
}

/// The most relevant first; of equals, the one that was stored first.
fn compare(a: &(u64, f64), b: &(u64, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FUSION: Fusion = Fusion {
        meaning: 1.0,
        floor: 0.5,
    };

    #[test]
    fn either_finds_and_both_find_better() {
        let words = [(1, 8.0), (2, 4.0)];
        let near = [(2, 0.9), (3, 0.6), (4, 0.4), (1, -1.0)];
        let order: Vec<_> = FUSION.fuse(&words, &near).iter().map(|one| one.0).collect();
        assert_eq!(order, [2, 1, 3]);
        assert_eq!(FUSION.fuse(&words, &[]), [(1, 1.0), (2, 0.5)]);
        assert_eq!(FUSION.fuse(&[], &near).len(), 2);
        assert_eq!(FUSION.fuse(&[(7, 0.0)], &[]), [(7, 0.0)]);
    }

    proptest! {
        #[test]
        fn nothing_that_has_the_words_is_lost_and_nothing_comes_twice(
            words in proptest::collection::btree_map(0_u64..40, 0.0_f64..20.0, 0..20),
            near in proptest::collection::btree_map(0_u64..40, -1.0_f64..1.0, 0..20),
        ) {
            let words: Vec<_> = words.into_iter().collect();
            let near: Vec<_> = near.into_iter().collect();
            let fused = FUSION.fuse(&words, &near);
            for (id, _relevance) in &words {
                prop_assert_eq!(fused.iter().filter(|one| one.0 == *id).count(), 1);
            }
            prop_assert!(fused.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }
    }
}
