//! Rates and latencies of the last five minutes, in buckets of five seconds.

use std::collections::VecDeque;

use entente_lexicon::Timestamp;
use entente_lexicon::api::Event;

use crate::view::kind::Kind;

const BUCKET_MS: u64 = 5_000;
/// Buckets kept: five minutes.
pub const BUCKETS: u64 = 60;
/// Buckets that make up the rate per minute.
const MINUTE_BUCKETS: u64 = 12;
/// Latencies kept of one bucket; later ones replace earlier ones.
const MAX_SAMPLES: usize = 64;

#[derive(Clone, Debug, Default)]
struct Bucket {
    index: u64,
    messages: u32,
    refused: u32,
    measured: usize,
    latencies: Vec<u32>,
}

/// Counts events as they come.
#[derive(Clone, Debug, Default)]
pub struct Health {
    buckets: VecDeque<Bucket>,
}

/// What the health panel shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages accepted here or received from peers in the last minute.
    pub per_minute: u32,
    /// The median milliseconds from accepted to delivered over five minutes.
    pub p50_ms: Option<u32>,
    /// The 95th percentile likewise.
    pub p95_ms: Option<u32>,
    /// Messages refused in five minutes.
    pub refused: u32,
    /// Messages in each bucket, oldest first.
    pub messages: Vec<u32>,
    /// The median latency of each bucket, oldest first; 0 where nothing was measured.
    pub latency: Vec<u32>,
}

impl Health {
    /// Counts one event. `from_outside` says whether its message came from another network.
    pub fn record(&mut self, event: &Event, from_outside: bool) {
        let kind = Kind::parse(&event.kind);
        let Some(bucket) = self.bucket(event.at) else {
            return;
        };
        let count = u32::try_from(event.count()).unwrap_or(u32::MAX);
        match kind {
            Kind::Accepted => bucket.messages = bucket.messages.saturating_add(count),
            Kind::Received if from_outside => {
                bucket.messages = bucket.messages.saturating_add(count);
            }
            Kind::Refused => bucket.refused = bucket.refused.saturating_add(count),
            Kind::Delivered => {
                if let Some(latency) = event.latency_ms {
                    bucket.measure(latency);
                }
            }
            Kind::Read
            | Kind::Quarantined
            | Kind::Held
            | Kind::Decided
            | Kind::ReceiptRefused
            | Kind::Received
            | Kind::Expired
            | Kind::Unconfirmed
            | Kind::AgentCreated
            | Kind::AgentDeleted
            | Kind::AgentKeysRotated
            | Kind::KeysRotated
            | Kind::KeysRecovered
            | Kind::PeerAdded
            | Kind::PeerChanged
            | Kind::PeerRemoved
            | Kind::LinkUp
            | Kind::LinkIdle
            | Kind::LinkDown
            | Kind::LinkRefused
            | Kind::LinkFrozen
            | Kind::LinkThawed
            | Kind::Announced
            | Kind::AnnouncementReceived
            | Kind::EventsLost
            | Kind::Other => {}
        }
    }

    /// Finds or makes the bucket of an instant; none for what is older than all buckets.
    fn bucket(&mut self, at: Timestamp) -> Option<&mut Bucket> {
        let index = at.0 / BUCKET_MS;
        let place = self.buckets.partition_point(|bucket| bucket.index < index);
        let known = self
            .buckets
            .get(place)
            .is_some_and(|bucket| bucket.index == index);
        if !known {
            let full = self.buckets.len() >= usize::try_from(BUCKETS).unwrap_or(usize::MAX);
            match (full, place) {
                (true, 0) => return None,
                (true, _) => {
                    self.buckets.pop_front();
                }
                (false, _) => {}
            }
            let place = if full { place - 1 } else { place };
            self.buckets.insert(
                place,
                Bucket {
                    index,
                    ..Bucket::default()
                },
            );
            return self.buckets.get_mut(place);
        }
        self.buckets.get_mut(place)
    }

    /// Sums up the five minutes before `now`.
    #[must_use]
    pub fn summary(&self, now: Timestamp) -> Summary {
        let last = now.0 / BUCKET_MS;
        let first = last.saturating_sub(BUCKETS - 1);
        let recent = || {
            self.buckets
                .iter()
                .filter(|b| (first..=last).contains(&b.index))
        };
        let mut all: Vec<u32> = recent().flat_map(|b| b.latencies.iter().copied()).collect();
        all.sort_unstable();
        let series = |value: fn(&Bucket) -> u32| {
            let of = |index| {
                self.buckets
                    .iter()
                    .find(|b| b.index == index)
                    .map_or(0, value)
            };
            (first..=last).map(of).collect()
        };
        Summary {
            per_minute: recent()
                .filter(|b| b.index + MINUTE_BUCKETS > last)
                .map(|b| b.messages)
                .sum(),
            p50_ms: percentile(&all, 50),
            p95_ms: percentile(&all, 95),
            refused: recent().map(|b| b.refused).sum(),
            messages: series(|b| b.messages),
            latency: series(Bucket::median),
        }
    }
}

impl Bucket {
    fn measure(&mut self, latency_ms: u64) {
        let latency = u32::try_from(latency_ms).unwrap_or(u32::MAX);
        match self.latencies.get_mut(self.measured % MAX_SAMPLES) {
            Some(slot) => *slot = latency,
            None => self.latencies.push(latency),
        }
        self.measured = self.measured.saturating_add(1);
    }

    fn median(&self) -> u32 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        percentile(&sorted, 50).unwrap_or(0)
    }
}

/// Returns the value that `percent` of the sorted values do not exceed.
fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Draws a series as the points of an SVG polyline in a box of `width` by `height`.
#[must_use]
pub fn sparkline(series: &[u32], width: f64, height: f64) -> String {
    let top = f64::from(series.iter().copied().max().unwrap_or(0).max(1));
    let steps = series.len().saturating_sub(1).max(1) as f64;
    let point = |(index, value): (usize, &u32)| {
        let x = width * index as f64 / steps;
        let y = height - (height - 2.0) * f64::from(*value) / top - 1.0;
        format!("{x:.1},{y:.1}")
    };
    series
        .iter()
        .enumerate()
        .map(point)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view::fixture::event;

    fn delivered(at: u64, latency: u64) -> Event {
        Event {
            at: Timestamp(at),
            latency_ms: Some(latency),
            ..event(1, "message.delivered")
        }
    }

    #[test]
    fn a_message_counts_once_on_each_side() {
        let mut health = Health::default();
        health.record(&event(1, "message.accepted"), false);
        health.record(&event(2, "message.received"), false);
        health.record(&event(3, "message.received"), true);
        health.record(&event(4, "message.refused"), false);
        let summary = health.summary(Timestamp(5_000));
        assert_eq!((summary.per_minute, summary.refused), (2, 1));
        assert_eq!(health.summary(Timestamp(90_000)).per_minute, 0);
        assert_eq!(health.summary(Timestamp(90_000)).refused, 1);
        assert_eq!(health.summary(Timestamp(900_000)).refused, 0);
    }

    #[test]
    fn the_median_is_one_of_the_measured() {
        let mut health = Health::default();
        for (at, latency) in [(1_000, 10), (1_000, 30), (9_000, 20), (9_000, 900)] {
            health.record(&delivered(at, latency), false);
        }
        let summary = health.summary(Timestamp(10_000));
        assert_eq!((summary.p50_ms, summary.p95_ms), (Some(20), Some(900)));
        assert_eq!(Health::default().summary(Timestamp(0)).p50_ms, None);
    }

    #[test]
    fn a_sparkline_fills_its_box() {
        assert_eq!(sparkline(&[0, 4], 10.0, 8.0), "0.0,7.0 10.0,1.0");
        assert_eq!(sparkline(&[], 10.0, 8.0), "");
    }

    proptest! {
        #[test]
        fn events_in_any_order_keep_the_buckets_sorted_and_bounded(times in proptest::collection::vec(0u64..2_000_000, 0..200)) {
            let mut health = Health::default();
            for at in times {
                health.record(&delivered(at, at % 97), false);
                let order: Vec<u64> = health.buckets.iter().map(|b| b.index).collect();
                prop_assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
                prop_assert!(order.len() <= 60);
            }
        }
    }
}
