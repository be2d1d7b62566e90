//! How often backups are made, and how many are kept.

use worker::Env;

use crate::config::{Problem, variable};

/// Seconds after a change until it is backed up, unless `BACKUP_EVERY_SECONDS` says otherwise.
pub const EVERY_SECONDS: u64 = 300;
/// Generations kept, unless `BACKUP_GENERATIONS` says otherwise.
pub const GENERATIONS: u64 = 3;

/// The variables of this deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds after a change until it is backed up; 0 for by command only.
    pub every_ms: u64,
    /// Whole generations kept.
    pub generations: u64,
}

impl Settings {
    /// Reads `BACKUP_EVERY_SECONDS` (0 is: by command only) and `BACKUP_GENERATIONS` (at least 1).
    ///
    /// # Errors
    /// [`Problem::Variable`] naming the one that is malformed.
    pub fn from_env(env: &Env) -> Result<Self, Problem> {
        Self::from_texts(
            &variable(env, "BACKUP_EVERY_SECONDS"),
            &variable(env, "BACKUP_GENERATIONS"),
        )
    }

    fn from_texts(every: &str, generations: &str) -> Result<Self, Problem> {
        let number = |text: &str, default: u64| match text {
            "" => Some(default),
            text => text.parse().ok(),
        };
        let every =
            number(every, EVERY_SECONDS).ok_or(Problem::Variable("BACKUP_EVERY_SECONDS"))?;
        let generations = number(generations, GENERATIONS)
            .filter(|kept| *kept > 0)
            .ok_or(Problem::Variable("BACKUP_GENERATIONS"))?;
        Ok(Self {
            every_ms: every.saturating_mul(1000),
            generations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_made_every_five_minutes_and_three_are_kept_unless_told() {
        let read = Settings::from_texts;
        let plain = Settings {
            every_ms: 300_000,
            generations: 3,
        };
        assert_eq!(read("", ""), Ok(plain));
        assert_eq!(read("0", "1").unwrap().every_ms, 0);
        assert_eq!(
            read("soon", ""),
            Err(Problem::Variable("BACKUP_EVERY_SECONDS"))
        );
        for none in ["0", "-1", "x"] {
            assert_eq!(read("", none), Err(Problem::Variable("BACKUP_GENERATIONS")));
        }
    }
}
