//! How a peer behaves, and when it is put aside. Pure.
//!
//! A peer has some credit, which comes back within a minute. Opening a socket costs some, breaking
//! the protocol more; a session that moves messages gives back what its opening cost, so that
//! networks that restart often are not mistaken for one that dials in a loop. Without credit left the
//! peer is put aside, each time for twice as long; after ten quiet minutes one time is forgotten.

use entente_lexicon::Timestamp;
use entente_lexicon::link_view::PenaltyView;

const REFILL_MS: u64 = 60_000;
/// The first time a peer is put aside.
const FIRST_MS: u64 = 10_000;
/// The longest time.
const LONGEST_MS: u64 = 15 * 60_000;
/// After each such time without a fault one strike is forgotten.
const DECAY_MS: u64 = 10 * 60_000;
/// A hello is worth this; a fault twice as much.
const HELLO: u64 = 1;

/// The memory of one peer's behaviour.
#[derive(Clone, Debug)]
pub(super) struct Conduct {
    /// In parts of a hello: `REFILL_MS` of them are one.
    credit: u64,
    most: u64,
    seen: Timestamp,
    refundable: bool,
    penalty: Option<(PenaltyView, Timestamp)>,
}

impl Conduct {
    /// A peer that has done nothing yet, and may open so many sockets a minute.
    pub(super) fn new(hellos_per_minute: u32, now: Timestamp) -> Self {
        let most = u64::from(hellos_per_minute).saturating_mul(REFILL_MS);
        Self {
            credit: most,
            most,
            seen: now,
            refundable: false,
            penalty: None,
        }
    }

    /// Goes on with what was stored when the peer was last put aside.
    pub(super) fn restore(&mut self, penalty: PenaltyView, at: Timestamp) {
        self.penalty = Some((penalty, at));
    }

    /// Whether the peer is put aside now.
    pub(super) fn current(&self, now: Timestamp) -> Option<&PenaltyView> {
        let (penalty, _) = self.penalty.as_ref()?;
        (penalty.until > now).then_some(penalty)
    }

    /// The peer opened a socket. Returns a new penalty, if that was one too many.
    pub(super) fn hello(&mut self, now: Timestamp) -> Option<PenaltyView> {
        self.refundable = true;
        self.spend(HELLO, "RECONNECT_LOOP", now)
    }

    /// The peer broke the protocol.
    pub(super) fn fault(&mut self, code: &str, now: Timestamp) -> Option<PenaltyView> {
        self.spend(2 * HELLO, code, now)
    }

    /// A message moved.
    pub(super) fn progress(&mut self) {
        if std::mem::take(&mut self.refundable) {
            self.credit = self.credit.saturating_add(HELLO * REFILL_MS).min(self.most);
        }
    }

    /// The peer does what cannot be waited out.
    pub(super) fn strike(&mut self, reason: &str, now: Timestamp) -> PenaltyView {
        let strikes = self.penalty.as_ref().map_or(0, |(last, at)| {
            let quiet = u32::try_from(now.since(*at) / DECAY_MS).unwrap_or(u32::MAX);
            last.strikes.saturating_sub(quiet)
        });
        let doubled = FIRST_MS.checked_shl(strikes).unwrap_or(LONGEST_MS);
        let penalty = PenaltyView {
            until: now.after(doubled.clamp(FIRST_MS, LONGEST_MS)),
            reason: reason.to_owned(),
            strikes: strikes.saturating_add(1).min(20),
        };
        self.credit = self.most;
        self.penalty = Some((penalty.clone(), now));
        penalty
    }

    /// The admin pardons the peer.
    pub(super) fn pardon(&mut self) {
        self.penalty = None;
        self.credit = self.most;
    }

    fn spend(&mut self, hellos: u64, reason: &str, now: Timestamp) -> Option<PenaltyView> {
        let passed = now.since(self.seen);
        self.seen = now;
        let back = passed.saturating_mul(self.most / REFILL_MS);
        self.credit = self.credit.saturating_add(back).min(self.most);
        match self.credit.checked_sub(hellos.saturating_mul(REFILL_MS)) {
            Some(left) => {
                self.credit = left;
                None
            }
            None => Some(self.strike(reason, now)),
        }
    }
}

/// How much came over one socket without anything moving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    since: Timestamp,
    progress: u64,
    frames: u32,
    bytes: u64,
}

/// A socket that brings more than this within ten seconds, while no message moves, floods.
const MAX_IDLE_FRAMES: u32 = 2_048;
const MAX_IDLE_BYTES: u64 = 8 * 1024 * 1024;
const METER_MS: u64 = 10_000;

impl Meter {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            progress: 0,
            frames: 0,
            bytes: 0,
        }
    }

    /// Counts a frame; `progress` rises whenever a message moves. Returns whether this is a flood.
    pub(super) fn note(&mut self, bytes: usize, progress: u64, now: Timestamp) -> bool {
        if progress != self.progress || now.since(self.since) >= METER_MS {
            *self = Self {
                progress,
                ..Self::new(now)
            };
        }
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.frames > MAX_IDLE_FRAMES || self.bytes > MAX_IDLE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(seconds * 1_000)
    }

    #[test]
    fn six_sockets_a_minute_are_fine_and_the_seventh_is_a_loop() {
        let mut conduct = Conduct::new(6, START);
        assert!((0..6).all(|_| conduct.hello(at(1)).is_none()));
        let penalty = conduct.hello(at(2)).unwrap();
        assert_eq!(
            (penalty.reason.as_str(), penalty.strikes),
            ("RECONNECT_LOOP", 1)
        );
        assert_eq!(penalty.until, at(12));
        assert!(conduct.current(at(11)).is_some() && conduct.current(at(12)).is_none());
    }

    #[test]
    fn one_socket_every_ten_seconds_is_fine_for_ever() {
        let mut conduct = Conduct::new(6, START);
        assert!((0..10_000).all(|n| conduct.hello(at(n * 10)).is_none()));
    }

    #[test]
    fn a_network_that_restarts_often_but_moves_messages_is_not_put_aside() {
        let mut conduct = Conduct::new(6, START);
        for n in 0..1_000 {
            assert_eq!(conduct.hello(at(n)), None);
            conduct.progress();
            conduct.progress();
        }
    }

    #[test]
    fn breaking_the_protocol_costs_more_than_dialling() {
        let mut conduct = Conduct::new(6, START);
        let broken = |conduct: &mut Conduct| {
            let hello = conduct.hello(at(1));
            hello.or_else(|| conduct.fault("BAD_MAC", at(1)))
        };
        assert_eq!((broken(&mut conduct), broken(&mut conduct)), (None, None));
        let penalty = broken(&mut conduct).unwrap();
        assert_eq!(penalty.strikes, 1);
    }

    #[test]
    fn each_time_is_longer_up_to_a_cap_and_quiet_makes_it_shorter_again() {
        let mut conduct = Conduct::new(6, START);
        let lasts: Vec<u64> = (0..10)
            .map(|n| conduct.strike("FLOOD", at(n)).until.since(at(n)) / 1_000)
            .collect();
        assert_eq!(lasts, [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
        let quiet = at(9 + 9 * 600);
        let penalty = conduct.strike("FLOOD", quiet);
        assert_eq!((penalty.until.since(quiet), penalty.strikes), (20_000, 2));
        conduct.pardon();
        assert_eq!(conduct.current(quiet), None);
        assert_eq!(conduct.strike("FLOOD", quiet).strikes, 1);
    }

    #[test]
    fn what_was_stored_counts_after_a_restart() {
        let mut conduct = Conduct::new(6, START);
        let penalty = conduct.strike("FLOOD", at(0));
        let mut again = Conduct::new(6, at(1));
        again.restore(penalty.clone(), at(0));
        assert_eq!(again.current(at(1)), Some(&penalty));
        assert_eq!(again.strike("FLOOD", at(20)).strikes, 2);
    }

    #[test]
    fn frames_without_progress_are_a_flood_and_frames_with_it_are_not() {
        let mut meter = Meter::new(START);
        assert!((0..2_048).all(|_| !meter.note(10, 0, at(1))));
        assert!(meter.note(10, 0, at(1)));
        let mut meter = Meter::new(START);
        assert!((0..100_000).all(|n| !meter.note(100, n / 1_000, at(1))));
        let mut slow = Meter::new(START);
        assert!((0..100_000).all(|n| !slow.note(10, 0, at(n / 100))));
        let mut heavy = Meter::new(START);
        assert!((0..32).all(|_| !heavy.note(256 * 1024, 0, at(1))));
        assert!(heavy.note(256 * 1024, 0, at(1)));
    }
}
