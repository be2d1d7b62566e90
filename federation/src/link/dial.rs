//! When to dial: at once where there is work, else never; after failures with growing pauses.

use entente_lexicon::Timestamp;

use super::config::Limits;
use super::io::{Change, Outputs, Request};
use crate::close::Retry;
use crate::entropy::Entropy;

/// The driver answers a dial within this time.
const DIAL_TIMEOUT_MS: u64 = 15_000;
/// Two dials are at least so far apart, unless the session between them was of use.
const SPACING_MS: u64 = 1_000;
/// A peer that does not want us is asked again after this long at least.
const LATER_MS: u64 = 300_000;
/// A session shorter than this proves nothing about the next one.
const SHORT_SESSION_MS: u64 = 10_000;

/// The dialler's memory.
#[derive(Debug)]
pub(super) struct Dialler {
    /// Our highest dial number.
    own: u64,
    /// The peer's highest dial number.
    pub(super) peer: u64,
    /// Dial even without work, until a session is up: on a fresh link, and after a failure, so
    /// that what the link shows of itself stays true.
    pub(super) curious: bool,
    asked_until: Option<Timestamp>,
    last_asked: Option<Timestamp>,
    next_at: Option<Timestamp>,
    /// Failures since the last sign of life.
    attempts: u32,
    /// `attempts` when the current session began.
    attempts_before: u32,
    failing: bool,
    refused: bool,
}

impl Dialler {
    pub(super) fn new(own: u64, peer: u64) -> Self {
        Self {
            own,
            peer,
            curious: own == 0 && peer == 0,
            asked_until: None,
            last_asked: None,
            next_at: None,
            attempts: 0,
            attempts_before: 0,
            failing: false,
            refused: false,
        }
    }

    /// Whether a socket was asked for and did not come yet.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked_until.is_some()
    }

    /// Whether the last attempt failed.
    pub(super) const fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether the peer does not want this link.
    pub(super) const fn is_refused(&self) -> bool {
        self.refused
    }

    /// When to dial, where it is not at once.
    pub(super) const fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// Until when the driver has to answer.
    pub(super) const fn asked_until(&self) -> Option<Timestamp> {
        self.asked_until
    }

    /// Asks for a socket if one is due.
    pub(super) fn dial_if_due(&mut self, now: Timestamp, out: &mut Outputs) {
        if self.next_at.is_some_and(|at| now < at) {
            return;
        }
        self.next_at = None;
        self.last_asked = Some(now);
        self.asked_until = Some(now.after(DIAL_TIMEOUT_MS));
        out.requests.push(Request::Dial);
    }

    /// Takes the driver's answer; false if none was due.
    pub(super) fn answered(&mut self) -> bool {
        self.asked_until.take().is_some()
    }

    /// Whether the driver let a dial lapse.
    pub(super) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.asked_until.is_some_and(|until| until <= now)
    }

    /// Returns the next dial number, stored before HELLO leaves. Following the clock, it rises
    /// even after the stored one was lost.
    pub(super) fn next_number(&mut self, now: Timestamp, out: &mut Outputs) -> u64 {
        self.own = self.own.saturating_add(1).max(now.0);
        out.changes.push(Change::DialOwn(self.own));
        self.own
    }

    /// The peer proved itself.
    pub(super) fn sign_of_life(&mut self) {
        self.attempts_before = self.attempts;
        self.attempts = 0;
        self.next_at = None;
        self.failing = false;
        self.refused = false;
    }

    /// Forgets failures: something changed.
    pub(super) fn start_over(&mut self) {
        self.sign_of_life();
        self.attempts_before = 0;
        self.curious = true;
    }

    /// An attempt of ours failed.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        retry: Retry,
        limits: &Limits,
        entropy: &mut Entropy,
    ) {
        self.failing = true;
        self.curious = true;
        self.refused = retry == Retry::Later;
        self.back_off(now, retry, limits, entropy);
    }

    /// A session ended.
    pub(super) fn session_ended(
        &mut self,
        now: Timestamp,
        lasted_ms: u64,
        retry: Retry,
        limits: &Limits,
        entropy: &mut Entropy,
    ) {
        let short = lasted_ms < SHORT_SESSION_MS;
        if short {
            self.attempts = self.attempts.max(self.attempts_before);
        }
        match retry {
            Retry::Now if short => self.back_off(now, retry, limits, entropy),
            Retry::Now => self.space_out(now),
            Retry::Soon | Retry::Later => self.failed(now, retry, limits, entropy),
        }
    }

    /// The next dial keeps its distance from the last one, without counting as a failure.
    pub(super) fn space_out(&mut self, now: Timestamp) {
        let apart = self.last_asked.map(|last| last.after(SPACING_MS));
        self.next_at = apart.filter(|at| *at > now);
    }

    fn back_off(&mut self, now: Timestamp, retry: Retry, limits: &Limits, entropy: &mut Entropy) {
        let doubled = 1u64.checked_shl(self.attempts).unwrap_or(u64::MAX);
        self.attempts = self.attempts.saturating_add(1);
        let mut longest = limits.backoff_first_ms.saturating_mul(doubled);
        if retry == Retry::Later {
            longest = longest.max(LATER_MS);
        }
        let longest = longest.min(limits.backoff_cap_ms).max(1);
        let least = if retry == Retry::Later {
            longest / 2
        } else {
            1
        };
        let pause = least.saturating_add(entropy.up_to(longest.saturating_sub(least)));
        self.next_at = Some(now.after(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(retry: Retry, limits: &Limits) -> Vec<u64> {
        let mut dialler = Dialler::new(0, 0);
        let mut entropy = Entropy::new([1; 32]);
        let pause = |_| {
            dialler.failed(Timestamp(0), retry, limits, &mut entropy);
            dialler.next_at().unwrap().0
        };
        (0..40).map(pause).collect()
    }

    #[test]
    fn pauses_double_up_to_the_cap_with_full_jitter() {
        let limits = Limits::default();
        let pauses = pauses(Retry::Soon, &limits);
        for (attempt, pause) in pauses.iter().enumerate() {
            let longest = (1000u64 << attempt.min(20)).min(limits.backoff_cap_ms);
            assert!((1..=longest).contains(pause), "{attempt}: {pause}");
        }
        assert!(
            pauses
                .iter()
                .any(|pause| *pause > limits.backoff_cap_ms / 2)
        );
        assert!(
            pauses[12..]
                .iter()
                .any(|pause| *pause < limits.backoff_cap_ms / 2)
        );
    }

    #[test]
    fn a_peer_that_refuses_is_asked_rarely_but_within_the_cap() {
        let limits = Limits::default();
        assert!(
            pauses(Retry::Later, &limits)
                .iter()
                .all(|pause| *pause >= LATER_MS / 2)
        );
        let limits = Limits {
            backoff_cap_ms: 2_000,
            ..limits
        };
        assert!(
            pauses(Retry::Later, &limits)
                .iter()
                .all(|pause| *pause <= 2_000)
        );
    }

    #[test]
    fn the_dial_number_rises_even_if_the_clock_does_not() {
        let (mut dialler, mut out) = (Dialler::new(7, 0), Outputs::default());
        let numbers = [9, 9, 3, 20].map(|now| dialler.next_number(Timestamp(now), &mut out));
        assert_eq!(numbers, [9, 10, 11, 20]);
        assert_eq!(out.changes, numbers.map(Change::DialOwn));
    }

    #[test]
    fn a_sign_of_life_starts_the_pauses_over_but_a_short_session_does_not() {
        let (limits, mut entropy) = (Limits::default(), Entropy::new([1; 32]));
        let mut dialler = Dialler::new(1, 1);
        for _ in 0..10 {
            dialler.failed(Timestamp(0), Retry::Soon, &limits, &mut entropy);
        }
        dialler.sign_of_life();
        assert_eq!((dialler.next_at(), dialler.is_failing()), (None, false));
        dialler.session_ended(Timestamp(0), 5, Retry::Soon, &limits, &mut entropy);
        assert_eq!(dialler.attempts, 11);
        dialler.sign_of_life();
        dialler.session_ended(Timestamp(0), 60_000, Retry::Soon, &limits, &mut entropy);
        assert_eq!(dialler.attempts, 1);
    }
}
