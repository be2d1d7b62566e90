//! How often something is tried, and how long is waited in between.

/// The longest wait after the first failure.
pub const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait after any failure.
pub const MAX_WAIT_MS: u64 = 10 * 60 * 1_000;
/// Attempts until something is a dead letter, unless the deployment says otherwise: about an hour.
pub const DEFAULT_ATTEMPTS: u32 = 15;
/// The most attempts that a deployment may ask for.
pub const MAX_ATTEMPTS: u32 = 100;

/// How often something is tried, and how long is waited in between: twice as long after each failure, of
/// which the second half is left to chance so that what failed together does not come together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts until it is given up, at least 1.
    pub attempts: u32,
    /// The longest wait after the first failure.
    pub first_ms: u64,
    /// The longest wait after any.
    pub max_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(DEFAULT_ATTEMPTS)
    }
}

impl Policy {
    /// So many attempts, with the usual waits.
    #[must_use]
    pub const fn of(attempts: u32) -> Self {
        Self {
            attempts,
            first_ms: FIRST_WAIT_MS,
            max_ms: MAX_WAIT_MS,
        }
    }

    /// Returns how long to wait after so many failures in a row, in milliseconds. `random` is any number,
    /// a fresh one each time.
    #[must_use]
    pub fn wait(&self, failures: u32, random: u64) -> u64 {
        let doublings = failures.saturating_sub(1).min(63);
        let longest = self.first_ms.saturating_mul(1 << doublings);
        let longest = longest.min(self.max_ms);
        let half = longest / 2;
        let chance = random % longest.saturating_sub(half).saturating_add(1);
        half.saturating_add(chance)
    }

    /// Tells whether so many failures are the last.
    #[must_use]
    pub const fn is_spent(&self, failures: u32) -> bool {
        failures >= self.attempts
    }
}
