//! The agents of this network: the only place that maps a name or a DID to an object.

use std::collections::BTreeMap;

use entente_lexicon::api::a2a::A2aSetting;
use entente_lexicon::api::{AgentView, PublicKeysView};
use entente_lexicon::{Address, AgentName, Did, Host, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use wasm_bindgen::JsValue;

use crate::error::ApiError;
use crate::shapes::{CardPaper, Resolved};
use crate::store::d1::{Directory, instant, number, optional};

/// Where an agent stands between birth and death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    /// Its object is making keys.
    Creating,
    /// It lives.
    Active,
    /// Its object is being wiped.
    Deleting,
    /// Only this tombstone is left, so that mail to it is refused.
    Deleted,
}

impl AgentStatus {
    /// Returns the name used in the directory and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// One agent's row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AgentRow {
    /// The id of its object.
    pub object_id: String,
    /// Its name.
    pub name: AgentName,
    /// Its DID, once its object has made keys.
    pub did: Option<Did>,
    /// Where it stands.
    pub status: AgentStatus,
    /// The model, where one was named.
    pub model: Option<String>,
    /// Its settings as JSON.
    pub config: String,
    /// 1 if the admin may act as it and read its mail.
    pub admin_read: u8,
    /// Base32 of the SHA-256 of its token.
    pub token_hash: Option<String>,
    /// Its public keys as JSON.
    pub public_keys: Option<String>,
    /// When it was created.
    pub created_at: u64,
    /// When its status last changed.
    pub changed_at: u64,
    /// Grows whenever its token or settings change: see [`crate::auth::recall`].
    pub version: u64,
}

/// A birth about to begin.
pub struct NewAgent<'a> {
    /// The id of its object.
    pub object_id: &'a str,
    /// Its name.
    pub name: &'a AgentName,
    /// The model, where one was named.
    pub model: Option<&'a str>,
    /// Its settings as JSON.
    pub config: &'a str,
    /// Whether the admin may act as it and read its mail.
    pub admin_read: bool,
    /// Base32 of the SHA-256 of its token.
    pub token_hash: &'a str,
}

/// The setting by which an agent tells senders that it has read their messages.
pub const READ_RECEIPTS: &str = "readReceipts";
/// The setting that says who may call an agent by A2A.
pub const A2A: &str = "a2a";

const COLUMNS: &str = "object_id, name, did, status, model, config, admin_read, token_hash, \
                       public_keys, created_at, changed_at, version";

/// What the directory says of an agent's repo.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RepoRow {
    /// The agent's DID.
    pub did: Did,
    /// Where it stands.
    pub status: AgentStatus,
}

impl AgentRow {
    /// Tells whether it lives.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == AgentStatus::Active
    }

    /// Tells whether the admin may act as it and read its mail.
    #[must_use]
    pub fn admin_may_read(&self) -> bool {
        self.admin_read != 0
    }

    /// Tells whether senders are told that this agent has read their messages.
    #[must_use]
    pub fn tells_reads(&self) -> bool {
        let config: BTreeMap<String, Value> =
            serde_json::from_str(&self.config).unwrap_or_default();
        config.get(READ_RECEIPTS) == Some(&Value::Bool(true))
    }

    /// Returns who may call this agent by A2A: nobody unless it was said.
    #[must_use]
    pub fn a2a(&self) -> A2aSetting {
        let config: BTreeMap<String, Value> =
            serde_json::from_str(&self.config).unwrap_or_default();
        let setting = config.get(A2A).cloned().map(serde_json::from_value);
        setting.and_then(Result::ok).unwrap_or_default()
    }

    /// Shows the agent as the API does.
    #[must_use]
    pub fn view(&self, host: &Host) -> AgentView {
        let config: BTreeMap<String, Value> =
            serde_json::from_str(&self.config).unwrap_or_default();
        let keys = self.public_keys.as_deref();
        let public_keys: Option<PublicKeysView> =
            keys.and_then(|text| serde_json::from_str(text).ok());
        let address = self.did.clone().map(|did| {
            let host = host.clone();
            Address { did, host }.to_string()
        });
        AgentView {
            did: self.did.as_ref().map(Did::to_string).unwrap_or_default(),
            name: self.name.to_string(),
            address: address.unwrap_or_default(),
            status: self.status.as_str().to_owned(),
            created_at: Timestamp(self.created_at),
            model: self.model.clone(),
            admin_read: self.admin_may_read(),
            read_receipts: self.tells_reads(),
            config,
            public_keys,
        }
    }
}

impl Directory {
    /// Finds the live agent with a name.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub async fn agent_by_name(&self, name: &AgentName) -> Result<Option<AgentRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM agents WHERE name = ?1 AND status <> 'deleted'");
        self.first(&sql, &[name.as_str().into()]).await
    }

    /// Finds the agent with a name that was deleted last.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn deleted_agent(&self, name: &AgentName) -> Result<Option<AgentRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM agents WHERE name = ?1 AND status = 'deleted'
             ORDER BY changed_at DESC LIMIT 1"
        );
        self.first(&sql, &[name.as_str().into()]).await
    }

    /// Finds the agent with a DID, dead ones included.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn agent_by_did(&self, did: &Did) -> Result<Option<AgentRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM agents WHERE did = ?1");
        self.first(&sql, &[did.as_str().into()]).await
    }

    /// Finds the agent with a token, by the token's hash.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn agent_by_token(&self, hash: &str) -> Result<Option<AgentRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM agents WHERE token_hash = ?1");
        self.first(&sql, &[hash.into()]).await
    }

    /// Lists all live agents by name.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM agents WHERE status <> 'deleted' ORDER BY name");
        self.all(&sql, &[]).await
    }

    /// Lists agents by DID, after one: those that live, and those that did.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn repos_after(&self, did: &str, limit: u32) -> Result<Vec<RepoRow>, ApiError> {
        let sql = "SELECT did, status FROM agents WHERE status <> 'creating' AND did > ?1
                   ORDER BY did LIMIT ?2";
        self.all(sql, &[did.into(), limit.into()]).await
    }

    /// Lists live agents that have dead letters, by name, from one on.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn agents_with_dead_letters(
        &self,
        from: &str,
        limit: u32,
    ) -> Result<Vec<AgentRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM agents WHERE dead_letters > 0 AND status = 'active' AND name >= ?1
             ORDER BY name LIMIT ?2"
        );
        self.all(&sql, &[from.into(), limit.into()]).await
    }

    /// Counts the dead letters of all live agents.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn count_dead_letters(&self) -> Result<u64, ApiError> {
        let sql = "SELECT coalesce(sum(dead_letters), 0) AS n FROM agents WHERE status = 'active'";
        let row: Option<Value> = self.first(sql, &[]).await?;
        Ok(row
            .and_then(|row| row.get("n")?.as_u64())
            .unwrap_or_default())
    }

    /// Notes how many dead letters an agent has.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn set_dead_letters(&self, object_id: &str, count: u64) -> Result<(), ApiError> {
        let sql = "UPDATE agents SET dead_letters = ?2 WHERE object_id = ?1";
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.run(sql, &[object_id.into(), count.into()]).await?;
        Ok(())
    }

    /// Tells whether an agent of this name lived here once.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn name_was_deleted(&self, name: &AgentName) -> Result<bool, ApiError> {
        let sql = "SELECT object_id FROM agents WHERE name = ?1 AND status = 'deleted' LIMIT 1";
        let row: Option<Value> = self.first(sql, &[name.as_str().into()]).await?;
        Ok(row.is_some())
    }

    /// Begins a birth. Returns `false` if the name is taken.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn begin_agent(&self, new: &NewAgent<'_>, now: Timestamp) -> Result<bool, ApiError> {
        let changes = self
            .run(
                "INSERT INTO agents (object_id, name, status, model, config, admin_read,
                   token_hash, created_at, changed_at)
                 VALUES (?1, ?2, 'creating', ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT DO NOTHING",
                &[
                    new.object_id.into(),
                    new.name.as_str().into(),
                    optional(new.model),
                    new.config.into(),
                    JsValue::from_f64(f64::from(u8::from(new.admin_read))),
                    new.token_hash.into(),
                    instant(now),
                ],
            )
            .await?;
        Ok(changes == 1)
    }

    /// Finds an agent by its object.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn agent_by_object(&self, object_id: &str) -> Result<Option<AgentRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM agents WHERE object_id = ?1");
        self.first(&sql, &[object_id.into()]).await
    }

    /// Notes that an agent's keys are about to change, so that its card is listed anew even after
    /// an interruption.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn begin_rotation(&self, object_id: &str) -> Result<(), ApiError> {
        let sql = "UPDATE agents SET rotating = 1 WHERE object_id = ?1 AND status = 'active'";
        self.run(sql, &[object_id.into()]).await?;
        Ok(())
    }

    /// Lists the agents whose card must be listed anew, at most 100.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn rotating_agents(&self) -> Result<Vec<AgentRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM agents WHERE rotating = 1 AND status = 'active' LIMIT 100"
        );
        self.all(&sql, &[]).await
    }

    /// Lists an agent's card and log as they are now. Its log only ever grows, so an older card
    /// does not replace a newer one.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_card(
        &self,
        object_id: &str,
        keys: &PublicKeysView,
        paper: &CardPaper,
    ) -> Result<(), ApiError> {
        self.run(
            "UPDATE agents SET public_keys = ?2, card = ?3, log = ?4
             WHERE object_id = ?1 AND status = 'active' AND length(log) <= length(?4)",
            &[
                object_id.into(),
                serde_json::to_string(keys)?.into(),
                serde_json::to_string(&paper.card)?.into(),
                paper.log.as_str().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Notes that an agent signs with the keys that its card tells of, unless they changed again.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn finish_rotation(&self, object_id: &str, log: &str) -> Result<(), ApiError> {
        let sql = "UPDATE agents SET rotating = 0 WHERE object_id = ?1 AND log = ?2";
        self.run(sql, &[object_id.into(), log.into()]).await?;
        Ok(())
    }

    /// Ends a birth. Returns `false` if the sweep has undone it meanwhile.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn activate_agent(
        &self,
        object_id: &str,
        did: &Did,
        keys: &PublicKeysView,
        paper: &CardPaper,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let changes = self
            .run(
                "UPDATE agents SET status = 'active', did = ?2, public_keys = ?3, card = ?4,
                   changed_at = ?5, log = ?6 WHERE object_id = ?1 AND status = 'creating'",
                &[
                    object_id.into(),
                    did.as_str().into(),
                    serde_json::to_string(keys)?.into(),
                    serde_json::to_string(&paper.card)?.into(),
                    instant(now),
                    paper.log.as_str().into(),
                ],
            )
            .await?;
        Ok(changes == 1)
    }

    /// Begins a deletion: the token is found no more.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn begin_deletion(&self, object_id: &str, now: Timestamp) -> Result<(), ApiError> {
        self.run(
            "UPDATE agents SET status = 'deleting', token_hash = NULL, changed_at = ?2
             WHERE object_id = ?1 AND status IN ('creating', 'active')",
            &[object_id.into(), instant(now)],
        )
        .await?;
        Ok(())
    }

    /// Ends a deletion: a tombstone stays where the DID was ever known, else nothing.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn finish_deletion(&self, object_id: &str, now: Timestamp) -> Result<(), ApiError> {
        self.run(
            "UPDATE agents SET status = 'deleted', card = NULL, log = '', config = '{}', model = NULL,
               public_keys = NULL, changed_at = ?2
             WHERE object_id = ?1 AND status = 'deleting' AND did IS NOT NULL",
            &[object_id.into(), instant(now)],
        )
        .await?;
        self.run(
            "DELETE FROM agents WHERE object_id = ?1 AND status = 'deleting' AND did IS NULL",
            &[object_id.into()],
        )
        .await?;
        Ok(())
    }

    /// Lists births and deletions that something interrupted before `since`, at most 100.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn unsettled_agents(&self, since: Timestamp) -> Result<Vec<AgentRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM agents WHERE status IN ('creating', 'deleting')
             AND changed_at <= ?1 ORDER BY changed_at LIMIT 100"
        );
        self.all(&sql, &[instant(since)]).await
    }

    /// Gives an agent a new token and its row a new version, unless the row changed since the one before.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_token(
        &self,
        object_id: &str,
        (before, version): (u64, u64),
        hash: &str,
    ) -> Result<bool, ApiError> {
        let sql = "UPDATE agents SET token_hash = ?4, version = ?3
                   WHERE object_id = ?1 AND version = ?2 AND status = 'active'";
        let values = [
            object_id.into(),
            number(before),
            number(version),
            hash.into(),
        ];
        Ok(self.run(sql, &values).await? == 1)
    }

    /// Sets one of an agent's settings; versions as for [`Directory::put_token`].
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn set(
        &self,
        object_id: &str,
        (before, version): (u64, u64),
        name: &str,
        value: &Value,
    ) -> Result<bool, ApiError> {
        let sql = "UPDATE agents SET config = json_set(config, '$.' || ?4, json(?5)), version = ?3
                   WHERE object_id = ?1 AND version = ?2 AND status = 'active'";
        let values = [
            object_id.into(),
            number(before),
            number(version),
            name.into(),
            value.to_string().into(),
        ];
        Ok(self.run(sql, &values).await? == 1)
    }

    /// Gives the rows of agents a version that their objects accept, after some of them were put back.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn renew_versions(&self, now: Timestamp) -> Result<(), ApiError> {
        let sql = "UPDATE agents SET version = max(version, ?1)";
        self.run(sql, &[instant(now)]).await?;
        Ok(())
    }

    /// Reads an agent's countersigned card and its identity log.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn card(&self, object_id: &str) -> Result<Option<Resolved>, ApiError> {
        let sql = "SELECT card, log FROM agents
                   WHERE object_id = ?1 AND status = 'active' AND card IS NOT NULL";
        self.first(sql, &[object_id.into()]).await
    }
}
