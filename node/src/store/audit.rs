//! What admins did, and when they read an agent's mail.

use entente_lexicon::Timestamp;

use crate::error::ApiError;
use crate::store::d1::{Directory, instant};

/// How long entries are kept.
const RETENTION_MS: u64 = 180 * 24 * 60 * 60 * 1000;

impl Directory {
    /// Writes down that `actor` did `action` upon `target` in `request`.
    ///
    /// # Errors
    /// If D1 fails: what cannot be audited must not happen.
    pub async fn audit(
        &self,
        actor: &str,
        action: &str,
        target: &str,
        request: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.run(
            "INSERT INTO audit (at, actor, action, target, request) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[
                instant(now),
                actor.into(),
                action.into(),
                target.into(),
                request.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Forgets entries older than half a year.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn trim_audit(&self, now: Timestamp) -> Result<(), ApiError> {
        let horizon = Timestamp(now.0.saturating_sub(RETENTION_MS));
        self.run("DELETE FROM audit WHERE at < ?1", &[instant(horizon)])
            .await?;
        Ok(())
    }
}
