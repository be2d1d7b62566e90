//! The rows of an outbox: what each number stands for, how much waits, and when something expires.

use std::collections::VecDeque;

use entente_lexicon::Timestamp;

use super::config::{RestoredOut, Waiting};

/// More than this are never queued; a store that says so anyway is not given the memory.
const MOST_RESTORED: usize = 1 << 20;
/// What was transmitted and never acknowledged is given up so long after it expired.
pub(super) const UNCONFIRMED_MS: u64 = 24 * 60 * 60 * 1000;

/// The rows `acked + 1..next_seq`.
#[derive(Debug)]
pub(super) struct Rows {
    /// One more than the highest number ever given.
    pub(super) next_seq: u64,
    /// Everything up to here was acknowledged or dropped.
    pub(super) acked: u64,
    /// Nothing beyond this was ever transmitted.
    pub(super) sent: u64,
    rows: VecDeque<Waiting>,
    bytes: u64,
    /// No row needs a decision before this.
    look_at: Option<Timestamp>,
}

/// A row whose message has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lapsed {
    pub(super) seq: u64,
    pub(super) id: [u8; 16],
    pub(super) how: Lapse,
}

/// What is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lapse {
    /// It was never transmitted: it did not arrive.
    Expired,
    /// It was transmitted and not acknowledged: the peer will say, once it can be reached.
    Unconfirmed,
    /// The peer was not reached for too long.
    GivenUp,
}

impl Rows {
    pub(super) fn restore(stored: RestoredOut) -> Self {
        let next_seq = stored.next_seq.max(stored.acked.saturating_add(1));
        let count = next_seq.saturating_sub(1).saturating_sub(stored.acked);
        let count = usize::try_from(count).unwrap_or(MOST_RESTORED);
        let mut rows = VecDeque::from(vec![Waiting::default(); count.min(MOST_RESTORED)]);
        let mut bytes = 0u64;
        for (seq, mut waiting) in stored.rows {
            // What was withdrawn does not expire any more.
            waiting.expires = waiting.expires.filter(|_| waiting.length > 0);
            let place = place(seq, stored.acked).and_then(|place| rows.get_mut(place));
            if let Some(row) = place {
                bytes = bytes.saturating_add(waiting.length.into());
                *row = waiting;
            }
        }
        let expires = rows.iter().any(|row| row.expires.is_some());
        Self {
            next_seq,
            acked: stored.acked,
            sent: stored.sent.max(stored.acked),
            rows,
            bytes,
            look_at: expires.then_some(Timestamp(0)),
        }
    }

    /// How many are not acknowledged.
    pub(super) fn queued(&self) -> u64 {
        self.next_seq.saturating_sub(1).saturating_sub(self.acked)
    }

    /// What they hold, in bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Since when the oldest waits.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let waiting = self.rows.iter().find(|row| row.length > 0)?;
        Some(waiting.queued_at)
    }

    /// Gives the next number.
    pub(super) fn push(&mut self, row: Waiting) -> u64 {
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        self.bytes = self.bytes.saturating_add(row.length.into());
        self.look_at = self.look_at.into_iter().chain(row.expires).min();
        self.rows.push_back(row);
        seq
    }

    /// Forgets rows up to a number; returns how many.
    pub(super) fn settle(&mut self, upto: u64) -> usize {
        let count = usize::try_from(upto.saturating_sub(self.acked)).unwrap_or(usize::MAX);
        self.acked = upto;
        self.sent = self.sent.max(upto);
        for row in self.rows.drain(..count.min(self.rows.len())) {
            self.bytes = self.bytes.saturating_sub(row.length.into());
        }
        if self.rows.is_empty() {
            self.look_at = None;
        }
        count
    }

    /// Forgets what a row holds; its number stays.
    pub(super) fn empty(&mut self, seq: u64) {
        let row = place(seq, self.acked).and_then(|place| self.rows.get_mut(place));
        if let Some(row) = row {
            self.bytes = self.bytes.saturating_sub(row.length.into());
            row.length = 0;
            row.expires = None;
        }
    }

    /// When something expires next.
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.look_at
    }

    /// What was in flight is not any more: look at all of it again.
    pub(super) fn look_again(&mut self) {
        if self.rows.iter().any(|row| row.expires.is_some()) {
            self.look_at = Some(Timestamp(0));
        }
    }

    /// Finds what has expired. Messages up to `in_flight` are on their way in this session: the
    /// peer is about to say what became of them.
    pub(super) fn expire(&mut self, now: Timestamp, in_flight: u64) -> Vec<Lapsed> {
        if self.look_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let mut lapsed = Vec::new();
        let mut next: Option<Timestamp> = None;
        let first = self.acked.saturating_add(1);
        for (seq, row) in (first..).zip(&mut self.rows) {
            let Some(expires) = row.expires.filter(|_| seq > in_flight) else {
                continue;
            };
            let how = due(row, now, expires, seq <= self.sent);
            if let Some(how) = how {
                let id = row.id;
                lapsed.push(Lapsed { seq, id, how });
            }
            row.unconfirmed |= how == Some(Lapse::Unconfirmed);
            let due = if row.unconfirmed {
                expires.after(UNCONFIRMED_MS)
            } else {
                expires
            };
            // What ends here is emptied by the caller.
            if how.is_none_or(|how| how == Lapse::Unconfirmed) {
                next = next.into_iter().chain([due]).min();
            }
        }
        self.look_at = next;
        lapsed
    }
}

fn due(row: &Waiting, now: Timestamp, expires: Timestamp, sent: bool) -> Option<Lapse> {
    if now < expires {
        None
    } else if !sent {
        Some(Lapse::Expired)
    } else if now >= expires.after(UNCONFIRMED_MS) {
        Some(Lapse::GivenUp)
    } else if row.unconfirmed {
        None
    } else {
        Some(Lapse::Unconfirmed)
    }
}

fn place(seq: u64, acked: u64) -> Option<usize> {
    usize::try_from(seq.checked_sub(acked)?.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u8, expires: u64) -> Waiting {
        Waiting {
            id: [id; 16],
            length: 100,
            queued_at: Timestamp(u64::from(id)),
            expires: Some(Timestamp(expires)),
            unconfirmed: false,
        }
    }

    fn how(rows: &mut Rows, now: u64, in_flight: u64) -> Vec<(u64, Lapse)> {
        let lapsed = rows.expire(Timestamp(now), in_flight);
        lapsed.into_iter().map(|l| (l.seq, l.how)).collect()
    }

    #[test]
    fn restored_bytes_count_exactly_until_each_row_is_settled() {
        let rows = (1..15).map(|n| (u64::from(n), row(n, 9))).collect();
        let mut rows = Rows::restore(RestoredOut {
            epoch: 1,
            next_seq: 15,
            rows,
            ..RestoredOut::default()
        });
        assert_eq!((rows.queued(), rows.bytes()), (14, 1_400));
        assert_eq!(rows.oldest(), Some(Timestamp(1)));
        assert_eq!(rows.settle(10), 10);
        assert_eq!((rows.queued(), rows.bytes()), (4, 400));
        rows.empty(11);
        rows.empty(11);
        assert_eq!((rows.queued(), rows.bytes()), (4, 300));
        rows.settle(14);
        assert_eq!((rows.queued(), rows.bytes(), rows.deadline()), (0, 0, None));
    }

    #[test]
    fn what_was_never_transmitted_expires_and_what_was_stays_unconfirmed_for_a_day() {
        let mut rows = Rows::restore(RestoredOut::default());
        for id in 1..=3 {
            rows.push(row(id, 50));
        }
        rows.sent = 2;
        assert_eq!(how(&mut rows, 49, 0), []);
        // The first is in flight just now.
        assert_eq!(
            how(&mut rows, 50, 1),
            [(2, Lapse::Unconfirmed), (3, Lapse::Expired)]
        );
        rows.empty(3);
        assert_eq!(rows.deadline(), Some(Timestamp(50 + UNCONFIRMED_MS)));
        rows.look_again();
        assert_eq!(how(&mut rows, 60, 0), [(1, Lapse::Unconfirmed)]);
        let end = 50 + UNCONFIRMED_MS;
        assert_eq!(how(&mut rows, end - 1, 0), []);
        assert_eq!(
            how(&mut rows, end, 0),
            [(1, Lapse::GivenUp), (2, Lapse::GivenUp)]
        );
    }

    #[test]
    fn a_store_that_claims_too_much_is_not_given_the_memory() {
        let rows = Rows::restore(RestoredOut {
            next_seq: u64::MAX,
            ..RestoredOut::default()
        });
        assert!(rows.rows.len() <= MOST_RESTORED);
    }
}
