//! In which order hits are shown: relevance × importance × recency.

use entente_lexicon::Timestamp;

use crate::life::Memory;
use crate::life::decay::Decay;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How much a memory matters, from 0 to 1; 0.5 unless somebody says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Importance(f64);

/// How importance and age weigh against relevance.
///
/// Each of them multiplies relevance by a number between its floor and 1, so neither an old nor an
/// unimportant memory can ever be hidden from a query that fits it alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// After so many milliseconds the part of a memory's weight that ages has halved.
    pub half_life_ms: u64,
    /// What the weight of age falls towards, from 0 to 1; at 1 age does not matter.
    pub recency_floor: f64,
    /// The weight of importance 0, from 0 to 1; at 1 importance does not matter.
    pub importance_floor: f64,
}

impl Importance {
    /// Takes a number; what lies outside 0 to 1 is brought in, and what is none is 0.5.
    #[must_use]
    pub fn new(value: f64) -> Self {
        if value.is_nan() {
            return Self::default();
        }
        Self(value.clamp(0.0, 1.0))
    }

    /// Takes a record's `importance`, from 0 to 100.
    #[must_use]
    pub fn of_hundred(value: u8) -> Self {
        Self::new(f64::from(value) / 100.0)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Default for Importance {
    fn default() -> Self {
        Self(0.5)
    }
}

impl Default for Ranking {
    /// Gentle: a year halves a third of the weight; importance moves it by a third.
    fn default() -> Self {
        Self {
            half_life_ms: 365 * DAY_MS,
            recency_floor: 0.67,
            importance_floor: 0.67,
        }
    }
}

impl Ranking {
    /// Returns the weight of a memory of this instant, seen from `now`; one of the future counts as
    /// new.
    #[must_use]
    pub fn recency(&self, at: Timestamp, now: Timestamp) -> f64 {
        let age = now.0.saturating_sub(at.0);
        raised(self.recency_floor, halved(age, self.half_life_ms))
    }

    /// Returns the rank of a hit: higher is better. `relevance` is positive; FTS5's `bm25()` is its
    /// negative.
    #[must_use]
    pub fn score(
        &self,
        relevance: f64,
        importance: Importance,
        at: Timestamp,
        now: Timestamp,
    ) -> f64 {
        let importance = raised(self.importance_floor, importance.get());
        relevance * importance * self.recency(at, now)
    }

    /// Returns the rank of a memory that was read, too: [`Decay`](crate::life::decay::Decay), under
    /// this ranking's half-life, takes the place of mere age.
    #[must_use]
    pub fn of(&self, relevance: f64, memory: &Memory, now: Timestamp) -> f64 {
        let decay = Decay {
            half_life_ms: self.half_life_ms,
        };
        let importance = raised(self.importance_floor, memory.importance.get());
        relevance * importance * raised(self.recency_floor, decay.freshness(memory, now))
    }
}

/// What is left of 1 after `age`: ½ after each half-life.
pub(crate) fn halved(age: u64, half_life: u64) -> f64 {
    if half_life == 0 {
        return if age == 0 { 1.0 } else { 0.0 };
    }
    (-(approximate(age) / approximate(half_life))).exp2()
}

fn raised(floor: f64, value: f64) -> f64 {
    let floor = floor.clamp(0.0, 1.0);
    floor + (1.0 - floor) * value
}

/// Milliseconds as a float: exact up to 2⁵³, which is the year 287396.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "an age needs no more than 53 bits"
)]
const fn approximate(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::life::testing::memory;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn age_halves_what_lies_above_the_floor() {
        let ranking = Ranking {
            half_life_ms: 1_000,
            recency_floor: 0.5,
            importance_floor: 1.0,
        };
        for (age, expected) in [(0, 1.0), (1_000, 0.75), (2_000, 0.625), (u64::MAX, 0.5)] {
            let at = Timestamp(NOW.0.saturating_sub(age));
            let now = if age == u64::MAX {
                Timestamp(u64::MAX)
            } else {
                NOW
            };
            let seen = ranking.recency(at, now);
            assert!((seen - expected).abs() < 1e-9, "{age}: {seen}");
        }
        let future = ranking.recency(Timestamp(NOW.0 + 5), NOW);
        assert!((future - 1.0).abs() < 1e-9);
    }

    #[test]
    fn importance_and_recency_settle_a_tie_and_no_more() {
        let ranking = Ranking::default();
        let year_ago = Timestamp(NOW.0 - 365 * DAY_MS);
        let score = |relevance, importance, at| {
            ranking.score(relevance, Importance::new(importance), at, NOW)
        };
        assert!(score(1.0, 0.5, NOW) > score(1.0, 0.5, year_ago));
        assert!(score(1.0, 0.9, NOW) > score(1.0, 0.1, NOW));
        // Old and unimportant, but the only one that fits well.
        assert!(score(3.0, 0.0, Timestamp(0)) > score(1.0, 1.0, NOW));
    }

    #[test]
    fn what_was_read_again_ranks_as_new_and_what_was_never_read_by_its_age() {
        let ranking = Ranking::default();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let year_ago = Timestamp(NOW.0 - 365 * DAY_MS);
        let unread = memory("a", year_ago.0);
        let by_age = ranking.score(2.0, unread.importance, year_ago, NOW);
        assert!(near(ranking.of(2.0, &unread, NOW), by_age));
        let read = Memory {
            reads: 1,
            last_read: Some(NOW),
            ..unread
        };
        let as_new = ranking.score(2.0, read.importance, NOW, NOW);
        assert!(near(ranking.of(2.0, &read, NOW), as_new));
    }

    #[test]
    fn numbers_that_are_none_do_no_harm() {
        assert!((Importance::new(f64::NAN).get() - 0.5).abs() < 1e-9);
        assert!(Importance::new(-1.0).get().abs() < 1e-9);
        assert!((Importance::new(f64::INFINITY).get() - 1.0).abs() < 1e-9);
        assert!((halved(0, 0) - 1.0).abs() < 1e-9 && halved(1, 0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_score_is_never_more_than_relevance_nor_less_than_both_floors(
            relevance in 0.0_f64..100.0, importance: f64, at: u64, now: u64,
        ) {
            let ranking = Ranking::default();
            let score = ranking.score(relevance, Importance::new(importance), Timestamp(at), Timestamp(now));
            prop_assert!(score <= relevance + 1e-9);
            prop_assert!(score >= relevance * 0.67 * 0.67 - 1e-9);
        }
    }
}
