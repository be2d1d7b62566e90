//! How strong a memory is: importance × recency × access. Computed when asked, stored nowhere.

use entente_lexicon::Timestamp;

use super::Memory;
use crate::search::rank::halved;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How fast memories fade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decay {
    /// After so many milliseconds without a read, a memory that was never read has half its
    /// strength. Each doubling of its reads adds as much again.
    pub half_life_ms: u64,
}

impl Default for Decay {
    /// Ninety days.
    fn default() -> Self {
        Self {
            half_life_ms: 90 * DAY_MS,
        }
    }
}

impl Decay {
    /// Returns a memory's strength, from 0 to its importance. Reading it makes it as fresh as new,
    /// and slower to fade.
    #[must_use]
    pub fn strength(&self, memory: &Memory, now: Timestamp) -> f64 {
        memory.importance.get() * self.freshness(memory, now)
    }

    /// Returns what is left of a memory whatever it matters: 1 just after it was written or read,
    /// and less from then on.
    #[must_use]
    pub fn freshness(&self, memory: &Memory, now: Timestamp) -> f64 {
        let touched = memory
            .last_read
            .map_or(memory.written, |read| read.max(memory.written));
        let age = now.0.saturating_sub(touched.0);
        let doublings = memory.reads.saturating_add(1).ilog2();
        let half_life = self.half_life_ms.saturating_mul(u64::from(doublings) + 1);
        halved(age, half_life)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::memory;
    use super::*;
    use crate::search::rank::Importance;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn strength_halves_and_reading_renews_and_slows() {
        let decay = Decay { half_life_ms: 100 };
        let fresh = Memory {
            importance: Importance::new(0.8),
            ..memory("a", 1_000)
        };
        assert!(near(decay.strength(&fresh, Timestamp(1_000)), 0.8));
        assert!(near(decay.strength(&fresh, Timestamp(1_100)), 0.4));
        assert!(near(decay.strength(&fresh, Timestamp(0)), 0.8));
        let read = Memory {
            reads: 3,
            last_read: Some(Timestamp(1_100)),
            ..fresh
        };
        assert!(near(decay.strength(&read, Timestamp(1_100)), 0.8));
        assert!(near(decay.strength(&read, Timestamp(1_400)), 0.4));
    }

    #[test]
    fn no_numbers_overflow() {
        let decay = Decay {
            half_life_ms: u64::MAX,
        };
        let read = Memory {
            reads: u32::MAX,
            ..memory("a", 0)
        };
        assert!(decay.strength(&read, Timestamp(u64::MAX)) > 0.2);
    }
}
