//! The peers of this network and the policy each is held to.

use std::collections::BTreeSet;

use entente_lexicon::{Did, Host, Timestamp, TrustLevel};
use serde::Deserialize;

use crate::error::ApiError;
use crate::shapes::InitLink;
use crate::store::d1::{Directory, instant};

/// One peer's row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PeerRow {
    /// Its DID.
    pub did: Did,
    /// Its host.
    pub host: Host,
    /// The level it is held at.
    pub level: TrustLevel,
    /// Its agents that may talk, as a JSON list.
    pub allow_agents: String,
    /// `active`, or `closing` while its link is being wound up.
    pub status: String,
    /// Its verified document, byte for byte.
    pub document: String,
    /// Its signing key's fingerprint.
    pub fingerprint: String,
    /// When it was added.
    pub added_at: u64,
    /// When its policy last changed.
    pub changed_at: u64,
    /// Rises with every change.
    pub policy_version: u64,
}

/// What a verified document says about a peer.
pub struct NewPeer<'a> {
    /// Its DID.
    pub did: &'a Did,
    /// Its host.
    pub host: &'a Host,
    /// The level to hold it at.
    pub level: TrustLevel,
    /// Its agents that may talk.
    pub allow_agents: &'a BTreeSet<Did>,
    /// Its document, byte for byte.
    pub document: &'a str,
    /// The document's SHA-256 as text.
    pub document_hash: &'a str,
    /// Its signing key's fingerprint.
    pub fingerprint: &'a str,
}

const COLUMNS: &str = "did, host, level, allow_agents, status, document, fingerprint, added_at, \
                       changed_at, policy_version";

impl PeerRow {
    /// Tells whether the peer is being removed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.status == "closing"
    }

    /// Returns its agents that may talk.
    #[must_use]
    pub fn allowed(&self) -> Vec<Did> {
        serde_json::from_str(&self.allow_agents).unwrap_or_default()
    }

    /// Returns what its link must know.
    #[must_use]
    pub fn init(&self) -> InitLink {
        InitLink {
            peer_did: self.did.clone(),
            host: self.host.clone(),
            level: self.level,
            allow_agents: self.allowed(),
            document: self.document.clone(),
            policy_version: self.policy_version,
        }
    }
}

impl Directory {
    /// Finds a peer by DID.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub async fn peer(&self, did: &Did) -> Result<Option<PeerRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM peers WHERE did = ?1");
        self.first(&sql, &[did.as_str().into()]).await
    }

    /// Finds a peer by host.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn peer_by_host(&self, host: &Host) -> Result<Option<PeerRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM peers WHERE host = ?1");
        self.first(&sql, &[host.as_str().into()]).await
    }

    /// Lists all peers by host.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn peers(&self) -> Result<Vec<PeerRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM peers ORDER BY host");
        self.all(&sql, &[]).await
    }

    /// Counts the peers.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn peer_count(&self) -> Result<u64, ApiError> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let row: Option<Count> = self
            .first("SELECT count(*) AS count FROM peers", &[])
            .await?;
        Ok(row.map_or(0, |row| row.count))
    }

    /// Adds a peer, or replaces the policy and the document of one that is known by this DID.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_peer(&self, peer: &NewPeer<'_>, now: Timestamp) -> Result<(), ApiError> {
        self.run(
            "INSERT INTO peers (did, host, level, allow_agents, document, document_hash,
               fingerprint, fetched_at, added_at, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8)
             ON CONFLICT (did) DO UPDATE SET host = ?2, level = ?3, allow_agents = ?4,
               status = 'active', document = ?5, document_hash = ?6, fingerprint = ?7,
               fetched_at = ?8, changed_at = ?8, policy_version = policy_version + 1",
            &[
                peer.did.as_str().into(),
                peer.host.as_str().into(),
                peer.level.as_str().into(),
                serde_json::to_string(peer.allow_agents)?.into(),
                peer.document.into(),
                peer.document_hash.into(),
                peer.fingerprint.into(),
                instant(now),
            ],
        )
        .await?;
        Ok(())
    }

    /// Changes a peer's policy. Returns `false` if it is unknown or being removed.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn change_peer(
        &self,
        did: &Did,
        level: TrustLevel,
        allow_agents: &BTreeSet<Did>,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let changes = self
            .run(
                "UPDATE peers SET level = ?2, allow_agents = ?3, changed_at = ?4,
                   policy_version = policy_version + 1 WHERE did = ?1 AND status = 'active'",
                &[
                    did.as_str().into(),
                    level.as_str().into(),
                    serde_json::to_string(allow_agents)?.into(),
                    instant(now),
                ],
            )
            .await?;
        Ok(changes == 1)
    }

    /// Notes that the link knows the policy up to `version`.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn peer_synced(&self, did: &Did, version: u64) -> Result<(), ApiError> {
        self.run(
            "UPDATE peers SET synced_version = max(synced_version, ?2) WHERE did = ?1",
            &[did.as_str().into(), instant(Timestamp(version))],
        )
        .await?;
        Ok(())
    }

    /// Begins the removal of a peer. Returns `false` if it is unknown.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn begin_removal(&self, did: &Did, now: Timestamp) -> Result<bool, ApiError> {
        let sql = "UPDATE peers SET status = 'closing', changed_at = ?2 WHERE did = ?1";
        let changes = self.run(sql, &[did.as_str().into(), instant(now)]).await?;
        Ok(changes == 1)
    }

    /// Ends the removal of a peer. Returns `false` if it was added again meanwhile.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn finish_removal(&self, did: &Did) -> Result<bool, ApiError> {
        let sql = "DELETE FROM peers WHERE did = ?1 AND status = 'closing'";
        Ok(self.run(sql, &[did.as_str().into()]).await? == 1)
    }

    /// Lists removals and policies that something kept from their links before `since`.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn unsettled_peers(&self, since: Timestamp) -> Result<Vec<PeerRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM peers WHERE changed_at <= ?1
             AND (status = 'closing' OR synced_version < policy_version)
             ORDER BY changed_at LIMIT 100"
        );
        self.all(&sql, &[instant(since)]).await
    }
}
