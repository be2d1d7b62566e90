//! Bounds that a deployment may set.

use worker::Env;

use entente_federation::quarantine::{MAX_HELD, RETENTION_MS};

use crate::config::{Problem, variable};
use crate::edge::budget::LINK_BUDGET;
use crate::edge::stall::BODY_SILENCE_MS;

/// How often a peer may open a socket in a minute without moving a message.
pub const HELLOS_PER_MINUTE: u32 = 6;

/// How long uploads without progress and blobs that no record refers to are kept.
pub const BLOB_KEEP_MS: u64 = 24 * 3_600_000;

/// The bounds of this deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sockets a minute that a peer may open without moving a message.
    pub hellos_per_minute: u32,
    /// Bytes that the links of an isolate may hold together.
    pub link_budget: u64,
    /// Messages of one peer that are held for the admin.
    pub quarantine_items: u64,
    /// How long, in milliseconds.
    pub quarantine_ms: u64,
    /// How long, in milliseconds, uploads without progress and blobs that no record refers to are
    /// kept.
    pub blob_keep_ms: u64,
    /// How long, in milliseconds, the body of a part or an archive may be silent.
    pub body_silence_ms: u64,
}

impl Bounds {
    /// Reads the variables `PEER_HELLOS_PER_MINUTE`, `LINK_BUDGET_BYTES`, `QUARANTINE_ITEMS`,
    /// `QUARANTINE_MS`, `BLOB_KEEP_MS` and `BODY_SILENCE_MS`; absent is the default.
    ///
    /// # Errors
    /// [`Problem::Variable`] naming the one that is no positive number.
    pub fn from_env(env: &Env) -> Result<Self, Problem> {
        Self::from_texts(
            &variable(env, "PEER_HELLOS_PER_MINUTE"),
            &variable(env, "LINK_BUDGET_BYTES"),
        )
        .and_then(|bounds| {
            bounds.with_quarantine(
                &variable(env, "QUARANTINE_ITEMS"),
                &variable(env, "QUARANTINE_MS"),
            )
        })
        .and_then(|bounds| {
            bounds.with_blobs(
                &variable(env, "BLOB_KEEP_MS"),
                &variable(env, "BODY_SILENCE_MS"),
            )
        })
    }

    fn from_texts(hellos: &str, budget: &str) -> Result<Self, Problem> {
        let hellos = number(hellos, HELLOS_PER_MINUTE.into())
            .ok_or(Problem::Variable("PEER_HELLOS_PER_MINUTE"))?;
        Ok(Self {
            hellos_per_minute: u32::try_from(hellos).unwrap_or(u32::MAX),
            link_budget: number(budget, LINK_BUDGET)
                .ok_or(Problem::Variable("LINK_BUDGET_BYTES"))?,
            quarantine_items: MAX_HELD,
            quarantine_ms: RETENTION_MS,
            blob_keep_ms: BLOB_KEEP_MS,
            body_silence_ms: BODY_SILENCE_MS,
        })
    }

    fn with_blobs(self, keep: &str, silence: &str) -> Result<Self, Problem> {
        Ok(Self {
            blob_keep_ms: number(keep, BLOB_KEEP_MS).ok_or(Problem::Variable("BLOB_KEEP_MS"))?,
            body_silence_ms: number(silence, BODY_SILENCE_MS)
                .ok_or(Problem::Variable("BODY_SILENCE_MS"))?,
            ..self
        })
    }

    fn with_quarantine(self, items: &str, millis: &str) -> Result<Self, Problem> {
        Ok(Self {
            quarantine_items: number(items, MAX_HELD)
                .ok_or(Problem::Variable("QUARANTINE_ITEMS"))?,
            quarantine_ms: number(millis, RETENTION_MS)
                .ok_or(Problem::Variable("QUARANTINE_MS"))?,
            ..self
        })
    }
}

fn number(text: &str, default: u64) -> Option<u64> {
    if text.is_empty() {
        return Some(default);
    }
    text.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_its_default_and_nonsense_is_named() {
        let bounds = Bounds::from_texts("", "").unwrap();
        assert_eq!(
            (bounds.hellos_per_minute, bounds.link_budget),
            (6, LINK_BUDGET)
        );
        let bounds = Bounds::from_texts("100", "1000").unwrap();
        assert_eq!((bounds.hellos_per_minute, bounds.link_budget), (100, 1000));
        let hellos = Err(Problem::Variable("PEER_HELLOS_PER_MINUTE"));
        assert_eq!(Bounds::from_texts("0", ""), hellos);
        assert_eq!(Bounds::from_texts("six", ""), hellos);
        let held = bounds.with_quarantine("5", "1000").unwrap();
        assert_eq!((held.quarantine_items, held.quarantine_ms), (5, 1000));
        let items = Err(Problem::Variable("QUARANTINE_ITEMS"));
        assert_eq!(bounds.with_quarantine("0", ""), items);
        let millis = Err(Problem::Variable("QUARANTINE_MS"));
        assert_eq!(bounds.with_quarantine("", "a week"), millis);
        let blobs = bounds.with_blobs("60", "9").unwrap();
        assert_eq!((blobs.blob_keep_ms, blobs.body_silence_ms), (60, 9));
        let keep = Err(Problem::Variable("BLOB_KEEP_MS"));
        assert_eq!(bounds.with_blobs("a day", ""), keep);
        let silence = Err(Problem::Variable("BODY_SILENCE_MS"));
        assert_eq!(bounds.with_blobs("", "0"), silence);
        let budget = Err(Problem::Variable("LINK_BUDGET_BYTES"));
        assert_eq!(Bounds::from_texts("", "-1"), budget);
    }
}
