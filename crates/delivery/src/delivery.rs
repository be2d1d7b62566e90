//! One thing for one receiver.

use entente_lexicon::Timestamp;
use serde::{Deserialize, Serialize};

use crate::endpoint::Verdict;
use crate::policy::Policy;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is tried, or will be.
    Waiting,
    /// The receiver has taken it.
    Delivered,
    /// It was given up, and is kept: a dead letter.
    Dead,
    /// It was a dead letter, and somebody threw it away.
    Discarded,
}

impl State {
    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Delivered, Self::Dead, Self::Discarded]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// It is no dead letter, so there is nothing to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no dead letter")]
pub struct NotDead;

/// One thing for one receiver: how it stands, how often it failed, when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How it stands.
    pub state: State,
    /// Failed attempts since it was made, or since somebody had it tried again.
    pub failures: u32,
    /// When it is tried next, while it waits.
    pub due: Timestamp,
}

impl Delivery {
    /// One that is due at once.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            state: State::Waiting,
            failures: 0,
            due: now,
        }
    }

    /// Takes what became of an attempt. Nothing changes a delivery that has ended: the attempt may have
    /// been made twice.
    #[must_use]
    pub fn tried(self, verdict: Verdict, policy: &Policy, now: Timestamp, random: u64) -> Self {
        if self.state != State::Waiting {
            return self;
        }
        match verdict {
            Verdict::Taken => Self {
                state: State::Delivered,
                ..self
            },
            Verdict::Gone => Self {
                state: State::Dead,
                failures: self.failures.saturating_add(1),
                ..self
            },
            Verdict::Failed => {
                let failures = self.failures.saturating_add(1);
                let state = if policy.is_spent(failures) {
                    State::Dead
                } else {
                    State::Waiting
                };
                Self {
                    state,
                    failures,
                    due: now.after(policy.wait(failures, random)),
                }
            }
        }
    }

    /// Has a dead letter tried again, with all its attempts.
    ///
    /// # Errors
    /// [`NotDead`].
    pub fn redriven(self, now: Timestamp) -> Result<Self, NotDead> {
        match self.state {
            State::Dead => Ok(Self::new(now)),
            State::Waiting | State::Delivered | State::Discarded => Err(NotDead),
        }
    }

    /// Throws a dead letter away.
    ///
    /// # Errors
    /// [`NotDead`].
    pub fn discarded(self) -> Result<Self, NotDead> {
        match self.state {
            State::Dead => Ok(Self {
                state: State::Discarded,
                ..self
            }),
            State::Waiting | State::Delivered | State::Discarded => Err(NotDead),
        }
    }

    /// Gives up what waits for a receiver that is asked no more.
    #[must_use]
    pub const fn given_up(self) -> Self {
        match self.state {
            State::Waiting => Self {
                state: State::Dead,
                ..self
            },
            State::Delivered | State::Dead | State::Discarded => self,
        }
    }
}
