//! How often something may happen: so often at once, then at a pace. The token bucket of traffic shaping
//! (RFC 2697's, with one bucket).

use crate::Timestamp;

/// What one may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So often at once after a rest.
    pub burst: u32,
    /// After that once in so many milliseconds, at least 1.
    pub spacing_ms: u64,
}

/// What is left to one who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often it may still be done.
    pub room: u32,
    /// Of when this is.
    pub at: Timestamp,
}

impl Rate {
    /// Returns the pace of who has rested.
    #[must_use]
    pub const fn rested(self, now: Timestamp) -> Pace {
        Pace {
            room: self.burst,
            at: now,
        }
    }

    /// Returns what a pace has become.
    #[must_use]
    pub fn by_now(self, pace: Pace, now: Timestamp) -> Pace {
        let spacing = self.spacing_ms.max(1);
        let more = now.since(pace.at) / spacing;
        let room = u64::from(pace.room).saturating_add(more);
        Pace {
            room: u32::try_from(room).unwrap_or(self.burst).min(self.burst),
            at: pace.at.after(more.saturating_mul(spacing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However often and whenever it is looked at, no more is admitted than the burst and one for each spacing.
        #[test]
        fn a_pace_admits_the_burst_and_one_for_each_spacing(
            burst in 1_u32..20,
            spacing_ms in 0_u64..50,
            waits in prop::collection::vec(0_u64..200, 1..80),
        ) {
            let rate = Rate { burst, spacing_ms };
            let begin = Timestamp(1_000);
            let (mut pace, mut now, mut admitted) = (rate.rested(begin), begin, 0_u64);
            for wait in waits {
                now = now.after(wait);
                pace = rate.by_now(pace, now);
                prop_assert!(pace.room <= burst && pace.at <= now);
                admitted += u64::from(pace.room > 0);
                pace.room = pace.room.saturating_sub(1);
            }
            let most = u64::from(burst) + now.since(begin) / spacing_ms.max(1);
            prop_assert!(admitted <= most);
        }
    }

    #[test]
    fn who_rests_has_its_burst_again_and_no_more() {
        let rate = Rate {
            burst: 3,
            spacing_ms: 10,
        };
        let used = Pace {
            room: 0,
            at: Timestamp(100),
        };
        for (after, room) in [(9, 0), (10, 1), (29, 2), (30, 3), (1_000, 3)] {
            assert_eq!(rate.by_now(used, Timestamp(100).after(after)).room, room);
        }
        assert_eq!(rate.by_now(used, Timestamp(50)), used);
    }
}
