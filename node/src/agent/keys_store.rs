//! Keys of conversations in the agent's SQLite: its prekeys, and the epochs it receives in. All
//! of them are sealed by the caller.

use entente_lexicon::{Did, Timestamp};
use entente_trust::message::EpochId;

use crate::agent::store::AgentStore;
use crate::params;
use crate::store::sqlite::StoreError;

/// Epochs kept per sender, the last used ones.
const MAX_EPOCHS_PER_PEER: u32 = 8;
/// Epochs kept in all. Each holds at most 999 keys of 34 bytes.
const MAX_EPOCHS: u32 = 1_024;

/// A prekey as it is kept.
pub(super) struct StoredPrekey {
    pub(super) published: String,
    pub(super) signer: String,
    pub(super) made_at: Timestamp,
}

impl AgentStore {
    /// Returns the prekey made last.
    pub(super) fn newest_prekey(&self) -> Result<Option<StoredPrekey>, StoreError> {
        let row = self.db.row(
            "SELECT published, signer, made_at FROM prekeys ORDER BY made_at DESC LIMIT 1",
            params![],
        )?;
        row.map(|row| {
            Ok(StoredPrekey {
                published: row.text(0)?,
                signer: row.text(1)?,
                made_at: row.timestamp(2)?,
            })
        })
        .transpose()
    }

    pub(super) fn keep_prekey(
        &self,
        kid: &str,
        secret: &[u8],
        prekey: &StoredPrekey,
        not_after: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO prekeys(kid, secret, published, signer, made_at, not_after)
             VALUES(?, ?, ?, ?, ?, ?)",
            params![
                kid,
                secret,
                &prekey.published,
                &prekey.signer,
                prekey.made_at,
                not_after
            ],
        )
    }

    pub(super) fn prekey_secret(&self, kid: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self
            .db
            .row("SELECT secret FROM prekeys WHERE kid = ?", params![kid])?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Destroys prekeys that ended before `horizon`, and epochs not used since then.
    pub(super) fn drop_old_keys(&self, horizon: Timestamp) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM prekeys WHERE not_after < ?", params![horizon])?;
        self.db
            .exec("DELETE FROM epochs WHERE used_at < ?", params![horizon])
    }

    pub(super) fn epoch(&self, peer: &Did, epoch: &EpochId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.row(
            "SELECT state FROM epochs WHERE peer = ? AND epoch = ?",
            params![peer.as_str(), *epoch],
        )?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Keeps an epoch as it stands now.
    pub(super) fn keep_epoch(
        &self,
        peer: &Did,
        epoch: &EpochId,
        state: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO epochs(peer, epoch, state, used_at) VALUES(?, ?, ?, ?)
             ON CONFLICT(peer, epoch) DO UPDATE SET state = excluded.state,
                used_at = excluded.used_at",
            params![peer.as_str(), *epoch, state, now],
        )
    }

    /// Makes room after a new epoch was kept: the ones not used for longest go.
    pub(super) fn bound_epochs(&self, peer: &Did) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM epochs WHERE peer = ?1 AND epoch IN (
                SELECT epoch FROM epochs WHERE peer = ?1 ORDER BY used_at DESC LIMIT -1 OFFSET ?2)",
            params![peer.as_str(), MAX_EPOCHS_PER_PEER],
        )?;
        self.db.exec(
            "DELETE FROM epochs WHERE (peer, epoch) IN (
                SELECT peer, epoch FROM epochs ORDER BY used_at DESC LIMIT -1 OFFSET ?)",
            params![MAX_EPOCHS],
        )
    }

    pub(super) fn drop_epoch(&self, peer: &Did, epoch: &EpochId) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM epochs WHERE peer = ? AND epoch = ?",
            params![peer.as_str(), *epoch],
        )
    }
}
