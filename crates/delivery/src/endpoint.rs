//! A receiver of webhooks: how it answers, and whether it is asked any more.

use entente_lexicon::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// Deliveries that are under way to one healthy receiver at once.
pub const WINDOW: u32 = 4;
/// A receiver is asked no more after so many times the attempts of one delivery, all failed in a row.
const PATIENCE: u32 = 2;

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver answered 2xx.
    Taken,
    /// It answered anything else (a redirect too: none is followed), or not in time.
    Failed,
    /// It answered 410: it wants no more, ever.
    Gone,
}

impl Verdict {
    /// Judges the status of an answer, if there was one.
    #[must_use]
    pub const fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..300) => Self::Taken,
            Some(410) => Self::Gone,
            Some(_) | None => Self::Failed,
        }
    }
}

/// Why a receiver is asked no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disabled {
    /// It answered 410.
    Gone,
    /// It failed too often in a row.
    Failing,
    /// Too much waits for it.
    Backlog,
}

impl Disabled {
    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Backlog => "backlog",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Gone, Self::Failing, Self::Backlog]
            .into_iter()
            .find(|why| why.as_str() == text)
    }
}

/// A receiver of webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Attempts that failed since the last one that did not.
    pub failures: u32,
    /// While it fails: when it is asked again.
    pub resume: Timestamp,
    /// Why it is asked no more.
    pub disabled: Option<Disabled>,
}

impl Endpoint {
    /// One that has not been asked yet, or that somebody says is well again.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            failures: 0,
            resume: now,
            disabled: None,
        }
    }

    /// Returns how many deliveries may be under way to it at `now`.
    #[must_use]
    pub fn window(&self, now: Timestamp) -> u32 {
        match (self.disabled, self.failures) {
            (Some(_), _) => 0,
            (None, 0) => WINDOW,
            (None, _) if now >= self.resume => 1,
            (None, _) => 0,
        }
    }

    /// Takes what an attempt came to.
    #[must_use]
    pub fn heard(self, verdict: Verdict, policy: &Policy, now: Timestamp, random: u64) -> Self {
        match verdict {
            Verdict::Taken => Self {
                failures: 0,
                resume: now,
                ..self
            },
            Verdict::Gone => Self {
                disabled: self.disabled.or(Some(Disabled::Gone)),
                ..self
            },
            Verdict::Failed => {
                let failures = self.failures.saturating_add(1);
                let over = failures >= policy.attempts.saturating_mul(PATIENCE);
                Self {
                    failures,
                    resume: now.after(policy.wait(failures, random)),
                    disabled: self.disabled.or(over.then_some(Disabled::Failing)),
                }
            }
        }
    }
}
