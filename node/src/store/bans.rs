//! Who is banned, by DID or by host.

use entente_lexicon::{Did, Host, Timestamp};
use serde::Deserialize;
use wasm_bindgen::JsValue;

use crate::error::ApiError;
use crate::store::d1::{Directory, instant};

/// Bans that may be kept.
pub const MAX_BANS: u64 = 10_000;

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BanRow {
    /// The DID or host.
    pub subject: String,
    /// Why, for admins only.
    pub reason: String,
    /// When it was made.
    pub created_at: u64,
    /// When it ends; never, if absent.
    pub expires_at: Option<u64>,
}

const COLUMNS: &str = "subject, reason, created_at, expires_at";

impl Directory {
    /// Finds the ban in force on a network, by either of its names; the one that lasts longest.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub async fn ban(
        &self,
        did: &Did,
        host: Option<&Host>,
        now: Timestamp,
    ) -> Result<Option<BanRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM bans WHERE subject IN (?1, ?2)
             AND (expires_at IS NULL OR expires_at > ?3)
             ORDER BY expires_at IS NOT NULL, expires_at DESC LIMIT 1"
        );
        let host = host.map_or(JsValue::NULL, |host| host.as_str().into());
        self.first(&sql, &[did.as_str().into(), host, instant(now)])
            .await
    }

    /// Lists the bans in force, newest first.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn bans(&self, now: Timestamp) -> Result<Vec<BanRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM bans WHERE expires_at IS NULL OR expires_at > ?1
             ORDER BY created_at DESC, subject"
        );
        self.all(&sql, &[instant(now)]).await
    }

    /// Bans a DID or host, or changes its ban, and forgets bans that are over. Returns `false` if
    /// there is no room.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_ban(
        &self,
        subject: &str,
        reason: &str,
        actor: &str,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        self.run("DELETE FROM bans WHERE expires_at <= ?1", &[instant(now)])
            .await?;
        let changes = self
            .run(
                "INSERT INTO bans (subject, reason, actor, created_at, expires_at)
                 SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM bans) < ?6
                   OR EXISTS (SELECT 1 FROM bans WHERE subject = ?1)
                 ON CONFLICT (subject) DO UPDATE SET reason = ?2, actor = ?3, created_at = ?4,
                   expires_at = ?5",
                &[
                    subject.into(),
                    reason.into(),
                    actor.into(),
                    instant(now),
                    expires.map_or(JsValue::NULL, instant),
                    instant(Timestamp(MAX_BANS)),
                ],
            )
            .await?;
        Ok(changes > 0)
    }

    /// Lifts a ban. Returns `false` if there was none.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn lift_ban(&self, subject: &str) -> Result<bool, ApiError> {
        let sql = "DELETE FROM bans WHERE subject = ?1";
        Ok(self.run(sql, &[subject.into()]).await? == 1)
    }
}
