//! All vectors in a row, compared one by one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Near, Quantised, VectorError, VectorIndex, same_dimensions};

/// An index in memory. Its rows are stored where the agent stores everything, sealed like records;
/// after a start they are put back by [`FlatIndex::restore`].
#[derive(Clone, Debug)]
pub struct FlatIndex {
    dimensions: usize,
    rows: BTreeMap<String, Quantised>,
}

/// A hit that sorts the worst to the top of a heap.
struct Worst(Near);

impl FlatIndex {
    /// Makes an empty index.
    #[must_use]
    pub const fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            rows: BTreeMap::new(),
        }
    }

    /// Puts a stored row back.
    ///
    /// # Errors
    /// [`VectorError::Dimensions`], [`VectorError::NoDirection`].
    pub fn restore(&mut self, id: &str, bytes: &[u8]) -> Result<(), VectorError> {
        let row = Quantised::from_bytes(self.dimensions, bytes)?;
        self.rows.insert(id.to_owned(), row);
        Ok(())
    }

    /// Returns the bytes of a row, to be sealed and stored.
    #[must_use]
    pub fn row(&self, id: &str) -> Option<Vec<u8>> {
        self.rows.get(id).map(Quantised::to_bytes)
    }

    /// Returns how many vectors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn quantise(&self, vector: &[f32]) -> Result<Quantised, VectorError> {
        same_dimensions(self.dimensions, vector.len())?;
        Quantised::of(vector)
    }

    fn scan(&self, query: &Quantised, count: usize) -> Vec<Near> {
        let mut best = BinaryHeap::with_capacity(count.saturating_add(1).min(self.rows.len() + 1));
        for (id, row) in &self.rows {
            let cosine = query.cosine(row);
            let full = best.len() >= count;
            if full
                && best
                    .peek()
                    .is_none_or(|Worst(worst): &Worst| cosine <= worst.cosine)
            {
                continue;
            }
            best.push(Worst(Near {
                id: id.clone(),
                cosine,
            }));
            if best.len() > count {
                best.pop();
            }
        }
        best.into_sorted_vec()
            .into_iter()
            .map(|Worst(near)| near)
            .collect()
    }
}

impl VectorIndex for FlatIndex {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    async fn put(&mut self, id: &str, vector: &[f32]) -> Result<(), VectorError> {
        let row = self.quantise(vector)?;
        self.rows.insert(id.to_owned(), row);
        Ok(())
    }

    async fn remove(&mut self, id: &str) -> Result<(), VectorError> {
        self.rows.remove(id);
        Ok(())
    }

    async fn nearest(&self, query: &[f32], count: usize) -> Result<Vec<Near>, VectorError> {
        Ok(self.scan(&self.quantise(query)?, count))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_cosine = other.0.cosine.total_cmp(&self.0.cosine);
        by_cosine.then_with(|| self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;
    use crate::vector::{Embedder, check, cosine, rerank};

    /// Everything here is ready at once.
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("an index in memory waits for nothing"),
        }
    }

    struct Fixed;

    impl Embedder for Fixed {
        fn dimensions(&self) -> usize {
            3
        }

        fn model(&self) -> &'static str {
            "fixed"
        }

        async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
            Ok(texts.iter().map(|_text| vec![1.0, 0.0, 0.0]).collect())
        }
    }

    #[test]
    fn dimensions_are_checked_at_start_and_at_every_door() {
        assert_eq!(check(&Fixed, &FlatIndex::new(3)), Ok(()));
        let wrong = VectorError::Dimensions {
            expected: 4,
            found: 3,
        };
        let mut index = FlatIndex::new(4);
        assert_eq!(check(&Fixed, &index), Err(wrong.clone()));
        assert_eq!(now(index.put("a", &[1.0; 3])), Err(wrong.clone()));
        assert_eq!(now(index.nearest(&[1.0; 3], 1)), Err(wrong.clone()));
        assert_eq!(index.restore("a", &[1; 3]), Err(wrong));
        assert!(index.is_empty());
    }

    #[test]
    fn the_nearest_come_first_and_what_was_removed_or_replaced_is_gone() {
        let mut index = FlatIndex::new(2);
        for (id, vector) in [
            ("east", [1.0, 0.0]),
            ("north", [0.0, 1.0]),
            ("west", [-1.0, 0.0]),
        ] {
            now(index.put(id, &vector)).unwrap();
        }
        let names = |index: &FlatIndex, count| {
            let found = now(index.nearest(&[0.9, 0.4], count)).unwrap();
            found.into_iter().map(|near| near.id).collect::<Vec<_>>()
        };
        assert_eq!(names(&index, 5), ["east", "north", "west"]);
        assert_eq!(names(&index, 1), ["east"]);
        assert_eq!(names(&index, 0), Vec::<String>::new());
        now(index.put("east", &[-1.0, -1.0])).unwrap();
        assert_eq!(names(&index, 1), ["north"]);
        now(index.remove("north")).unwrap();
        now(index.remove("north")).unwrap();
        assert_eq!(names(&index, 3), ["west", "east"]);
        let mut restored = FlatIndex::new(2);
        for id in ["east", "west"] {
            restored.restore(id, &index.row(id).unwrap()).unwrap();
        }
        assert_eq!(names(&restored, 3), ["west", "east"]);
        assert_eq!(restored.len(), 2);
    }

    proptest! {
        #[test]
        fn the_quantised_top_twenty_hold_the_exact_top_one(
            vectors in proptest::collection::vec(proptest::collection::vec(-1.0_f32..1.0, 32), 40..80),
        ) {
            let mut index = FlatIndex::new(32);
            for (id, vector) in vectors.iter().enumerate().skip(1) {
                now(index.put(&id.to_string(), vector)).unwrap();
            }
            let query = &vectors[0];
            let found = now(index.nearest(query, 20)).unwrap();
            let exact = |id: &str| Some(vectors[id.parse::<usize>().unwrap()].as_slice());
            let first = rerank(query, found, exact, 1).remove(0);
            let best = vectors[1..].iter().filter_map(|vector| cosine(query, vector));
            let best = best.fold(f32::MIN, f32::max);
            prop_assert!((first.cosine - best).abs() < 1e-6);
        }
    }
}
