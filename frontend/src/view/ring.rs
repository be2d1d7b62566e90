//! A ring buffer that numbers what it holds.

use std::collections::VecDeque;

/// Keeps the newest items. Each item has an ordinal that never changes while it is kept.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    items: VecDeque<T>,
    capacity: usize,
    pushed: u64,
}

impl<T> Ring<T> {
    /// Makes an empty ring for `capacity` items.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            items: VecDeque::with_capacity(capacity),
            capacity,
            pushed: 0,
        }
    }

    /// Adds the newest item; the oldest goes when the ring is full.
    pub fn push(&mut self, item: T) {
        if self.items.len() >= self.capacity {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.pushed = self.pushed.saturating_add(1);
    }

    /// Returns how many items were ever pushed: one more than the newest ordinal.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Returns how many items are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Tells whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the item with this ordinal while it is kept.
    #[must_use]
    pub fn at(&self, ordinal: u64) -> Option<&T> {
        let index = ordinal.checked_sub(self.oldest())?;
        self.items.get(usize::try_from(index).ok()?)
    }

    /// Returns the ordinals and items from the newest to the oldest.
    pub fn newest_first(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.oldest()..self.pushed)
            .rev()
            .zip(self.items.iter().rev())
    }

    fn oldest(&self) -> u64 {
        let kept = u64::try_from(self.items.len()).unwrap_or(u64::MAX);
        self.pushed.saturating_sub(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_ordinals_stay() {
        let mut ring = Ring::new(3);
        assert!(ring.is_empty());
        for item in ["a", "b", "c", "d"] {
            ring.push(item);
        }
        assert_eq!((ring.len(), ring.pushed()), (3, 4));
        assert_eq!(ring.at(0), None);
        assert_eq!(ring.at(1), Some(&"b"));
        assert_eq!(ring.at(3), Some(&"d"));
        assert_eq!(ring.at(4), None);
        let all: Vec<_> = ring.newest_first().collect();
        assert_eq!(all, [(3, &"d"), (2, &"c"), (1, &"b")]);
    }
}
