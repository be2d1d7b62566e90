//! The peers of this network and the policy each is held to.

use std::collections::BTreeSet;

use entente_lexicon::{Did, Host, Timestamp, TrustLevel};
use serde::Deserialize;
use wasm_bindgen::JsValue;

use crate::error::ApiError;
use crate::shapes::{InitLink, LinkBan, PeerApproval, PeerPolicy};
use crate::store::bans::BanRow;
use crate::store::d1::{Directory, instant, optional};

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
    /// Patterns for collections, as a JSON list.
    pub allow_collections: Option<String>,
    /// Networks whose events may pass through it, as a JSON list.
    pub allow_networks: String,
    /// Whether anything may come in.
    pub allow_inbound: u8,
    /// Whether anything may go out.
    pub allow_outbound: u8,
    /// The admin's approval of its key, as JSON.
    pub approval: Option<String>,
    /// `active`, or `closing` while its link is being wound up.
    pub status: String,
    /// Its verified document, byte for byte.
    pub document: String,
    /// Its signing key's fingerprint.
    pub fingerprint: String,
    /// When its document was fetched.
    pub fetched_at: u64,
    /// When it was added.
    pub added_at: u64,
    /// When its policy last changed.
    pub changed_at: u64,
    /// Rises with every change.
    pub policy_version: u64,
    /// Its verified identity log, one entry a line.
    pub log: String,
}

/// What a verified document says about a peer.
pub struct NewPeer<'a> {
    /// Its DID.
    pub did: &'a Did,
    /// Its host.
    pub host: &'a Host,
    /// What may cross to and from it.
    pub policy: &'a PeerPolicy,
    /// Its document, byte for byte.
    pub document: &'a str,
    /// Its identity log, one entry a line.
    pub log: &'a str,
    /// The document's SHA-256 as text.
    pub document_hash: &'a str,
    /// Its signing key's fingerprint.
    pub fingerprint: &'a str,
}

const COLUMNS: &str = "did, host, level, allow_agents, allow_collections, allow_networks, \
                       allow_inbound, allow_outbound, approval, fetched_at, status, document, \
                       fingerprint, added_at, changed_at, policy_version, log";

impl PeerRow {
    /// Tells whether the peer is being removed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.status == "closing"
    }

    /// Returns what may cross to and from it. A list that does not read is empty: nobody.
    #[must_use]
    pub fn policy(&self) -> PeerPolicy {
        let list = |text: &str| serde_json::from_str::<BTreeSet<Did>>(text).unwrap_or_default();
        let globs = |text: &String| serde_json::from_str(text).unwrap_or_default();
        PeerPolicy {
            level: self.level,
            allow_agents: list(&self.allow_agents),
            allow_collections: self.allow_collections.as_ref().map(globs),
            allow_networks: list(&self.allow_networks),
            allow_inbound: self.allow_inbound != 0,
            allow_outbound: self.allow_outbound != 0,
        }
    }

    /// Returns the admin's approval of its key.
    #[must_use]
    pub fn approval(&self) -> Option<PeerApproval> {
        serde_json::from_str(self.approval.as_ref()?).ok()
    }

    /// Returns what its link must know, given the ban in force.
    #[must_use]
    pub fn init(&self, ban: Option<&BanRow>) -> InitLink {
        InitLink {
            peer_did: self.did.clone(),
            host: self.host.clone(),
            policy: self.policy(),
            ban: ban.map(|ban| LinkBan {
                until: ban.expires_at.map(Timestamp),
            }),
            approval: self.approval(),
            document: self.document.clone(),
            fetched_at: Timestamp(self.fetched_at),
            log: self.log.clone(),
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
            "INSERT INTO peers (did, host, document, document_hash, fingerprint, fetched_at,
               added_at, changed_at, level, allow_agents, allow_collections, allow_networks,
               allow_inbound, allow_outbound, log)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (did) DO UPDATE SET host = ?2, document = ?3, document_hash = ?4,
               approval = CASE WHEN fingerprint = ?5 THEN approval END, fingerprint = ?5,
               fetched_at = ?6, changed_at = ?6, status = 'active', level = ?7,
               allow_agents = ?8, allow_collections = ?9, allow_networks = ?10,
               allow_inbound = ?11, allow_outbound = ?12, log = ?13, policy_version = policy_version + 1",
            &[
                vec![
                    peer.did.as_str().into(),
                    peer.host.as_str().into(),
                    peer.document.into(),
                    peer.document_hash.into(),
                    peer.fingerprint.into(),
                    instant(now),
                ],
                bound(peer.policy)?,
                vec![peer.log.into()],
            ]
            .concat(),
        )
        .await?;
        Ok(())
    }

    /// Writes an approval down, if the peer still shows the fingerprint that it is for. Returns
    /// `false` if not.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn approve_peer(
        &self,
        did: &Did,
        approval: &PeerApproval,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let changes = self
            .run(
                "UPDATE peers SET approval = ?2, changed_at = ?3,
                   policy_version = policy_version + 1
                 WHERE did = ?1 AND status = 'active' AND fingerprint = ?4",
                &[
                    did.as_str().into(),
                    serde_json::to_string(approval)?.into(),
                    instant(now),
                    approval.fingerprint.as_str().into(),
                ],
            )
            .await?;
        Ok(changes == 1)
    }

    /// Takes an approval back. Returns `false` if the peer is unknown.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn withdraw_approval(&self, did: &Did, now: Timestamp) -> Result<bool, ApiError> {
        let sql = "UPDATE peers SET approval = NULL, changed_at = ?2,
                     policy_version = policy_version + 1 WHERE did = ?1 AND status = 'active'";
        Ok(self.run(sql, &[did.as_str().into(), instant(now)]).await? == 1)
    }

    /// Makes a peer's link hear of its policy again, because something beside the row changed.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn touch_peer(&self, did: &Did, now: Timestamp) -> Result<(), ApiError> {
        let sql = "UPDATE peers SET changed_at = ?2, policy_version = policy_version + 1
                   WHERE did = ?1 AND status = 'active'";
        self.run(sql, &[did.as_str().into(), instant(now)]).await?;
        Ok(())
    }

    /// Changes a peer's policy. Returns `false` if it is unknown or being removed.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn change_peer(
        &self,
        did: &Did,
        policy: &PeerPolicy,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let changes = self
            .run(
                "UPDATE peers SET changed_at = ?2, level = ?3, allow_agents = ?4,
                   allow_collections = ?5, allow_networks = ?6, allow_inbound = ?7,
                   allow_outbound = ?8, policy_version = policy_version + 1
                 WHERE did = ?1 AND status = 'active'",
                &[vec![did.as_str().into(), instant(now)], bound(policy)?].concat(),
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

/// Binds level, agents, collections, networks, inbound and outbound, in this order.
fn bound(policy: &PeerPolicy) -> Result<Vec<JsValue>, ApiError> {
    let globs = policy.allow_collections.as_ref();
    let globs = globs.map(serde_json::to_string).transpose()?;
    Ok(vec![
        policy.level.as_str().into(),
        serde_json::to_string(&policy.allow_agents)?.into(),
        optional(globs.as_deref()),
        serde_json::to_string(&policy.allow_networks)?.into(),
        u8::from(policy.allow_inbound).into(),
        u8::from(policy.allow_outbound).into(),
    ])
}
