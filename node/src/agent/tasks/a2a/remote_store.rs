//! The tables of agents elsewhere: who they are, and how far their tasks were seen.

use std::rc::Rc;

use entente_lexicon::Timestamp;

use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS a2a_agents(
        n INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        description TEXT NOT NULL, endpoint TEXT NOT NULL, tenant TEXT NOT NULL, key BLOB,
        pin TEXT, added_at INTEGER NOT NULL, removed_at INTEGER)",
    "CREATE TABLE IF NOT EXISTS a2a_calls(
        task INTEGER PRIMARY KEY, remote TEXT, context TEXT, poll_at INTEGER, polls INTEGER NOT NULL,
        seen BLOB)",
    "CREATE INDEX IF NOT EXISTS a2a_calls_due ON a2a_calls(poll_at) WHERE poll_at IS NOT NULL",
];

const COLUMNS: &str = "n, url, name, description, endpoint, tenant, key, pin, added_at, removed_at";

/// An agent elsewhere.
#[derive(Clone)]
pub(super) struct StoredAgent {
    pub(super) n: u64,
    /// Where its card is.
    pub(super) url: String,
    pub(super) name: String,
    pub(super) description: String,
    /// Where it is called.
    pub(super) endpoint: String,
    pub(super) tenant: String,
    /// What it knows this agent by, sealed.
    pub(super) key: Option<Vec<u8>>,
    /// The key that signed its card, as Multikey text.
    pub(super) pin: Option<String>,
    pub(super) added_at: Timestamp,
    pub(super) removed: bool,
}

/// How far a task elsewhere was seen.
#[derive(Clone, Default)]
pub(super) struct StoredCall {
    /// Its id there; none before it is known, or if there is none.
    pub(super) remote: Option<String>,
    pub(super) context: Option<String>,
    /// When to look again.
    pub(super) poll_at: Option<Timestamp>,
    /// How often it was looked at in vain since it changed.
    pub(super) polls: u32,
    /// The digest of what was seen last.
    pub(super) seen: Option<Vec<u8>>,
}

/// Typed access to the tables.
#[derive(Clone)]
pub(super) struct RemoteStore {
    db: Rc<Sqlite>,
}

impl RemoteStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    /// Writes an agent down, or down anew; returns its number.
    pub(super) fn put_agent(&self, new: &StoredAgent) -> Result<u64, StoreError> {
        let row = self.db.row(
            "INSERT INTO a2a_agents(url, name, description, endpoint, tenant, key, pin, added_at)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT(url) DO UPDATE SET name = excluded.name, description = excluded.description,
                endpoint = excluded.endpoint, tenant = excluded.tenant, key = excluded.key,
                pin = excluded.pin, removed_at = NULL
             RETURNING n",
            params![
                new.url.as_str(),
                new.name.as_str(),
                new.description.as_str(),
                new.endpoint.as_str(),
                new.tenant.as_str(),
                new.key.as_deref(),
                new.pin.as_deref(),
                new.added_at,
            ],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    pub(super) fn agent(&self, n: u64) -> Result<Option<StoredAgent>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM a2a_agents WHERE n = ?");
        self.db
            .row(&sql, params![n])?
            .map(|row| agent(&row))
            .transpose()
    }

    pub(super) fn agent_at(&self, url: &str) -> Result<Option<StoredAgent>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM a2a_agents WHERE url = ?");
        let row = self.db.row(&sql, params![url])?;
        row.map(|row| agent(&row)).transpose()
    }

    pub(super) fn agents(&self) -> Result<Vec<StoredAgent>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM a2a_agents WHERE removed_at IS NULL ORDER BY n DESC");
        let rows = self.db.rows(&sql, params![])?;
        rows.iter().map(agent).collect()
    }

    /// Calls an agent no more; its key is forgotten. Returns whether there was such an agent.
    pub(super) fn remove_agent(&self, n: u64, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE a2a_agents SET removed_at = ?, key = NULL
                   WHERE n = ? AND removed_at IS NULL RETURNING n";
        Ok(self.db.row(sql, params![at, n])?.is_some())
    }

    pub(super) fn call(&self, task: u64) -> Result<StoredCall, StoreError> {
        let sql = "SELECT remote, context, poll_at, polls, seen FROM a2a_calls WHERE task = ?";
        let Some(row) = self.db.row(sql, params![task])? else {
            return Ok(StoredCall::default());
        };
        Ok(StoredCall {
            remote: row.optional(0, Row::text)?,
            context: row.optional(1, Row::text)?,
            poll_at: row.optional(2, Row::timestamp)?,
            polls: u32::try_from(row.integer(3)?).map_err(|_error| StoreError::Column(3))?,
            seen: row.optional(4, Row::blob)?,
        })
    }

    pub(super) fn put_call(&self, task: u64, call: &StoredCall) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR REPLACE INTO a2a_calls(task, remote, context, poll_at, polls, seen)
             VALUES(?, ?, ?, ?, ?, ?)",
            params![
                task,
                call.remote.as_deref(),
                call.context.as_deref(),
                call.poll_at,
                call.polls,
                call.seen.as_deref(),
            ],
        )
    }

    pub(super) fn forget_call(&self, task: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM a2a_calls WHERE task = ?";
        self.db.exec(sql, params![task])
    }

    /// Returns tasks that are to be looked at; none of the `resting` agents.
    pub(super) fn due(
        &self,
        resting: &[u64],
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT task FROM a2a_calls WHERE poll_at <= ?
                AND (SELECT via FROM tasks WHERE n = task)
                    NOT IN (SELECT value FROM json_each(?))
             ORDER BY poll_at LIMIT ?";
        let resting = serde_json::to_string(resting).unwrap_or_default();
        let rows = self.db.rows(sql, params![now, resting, limit])?;
        rows.iter().map(|row| row.integer(0)).collect()
    }

    /// Returns when a task is to be looked at that is not yet.
    pub(super) fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(poll_at) FROM a2a_calls WHERE poll_at > ?";
        let row = self.db.row(sql, params![now])?;
        let due = row.map(|row| row.optional(0, Row::timestamp)).transpose()?;
        Ok(due.flatten())
    }
}

fn agent(row: &Row) -> Result<StoredAgent, StoreError> {
    Ok(StoredAgent {
        n: row.integer(0)?,
        url: row.text(1)?,
        name: row.text(2)?,
        description: row.text(3)?,
        endpoint: row.text(4)?,
        tenant: row.text(5)?,
        key: row.optional(6, Row::blob)?,
        pin: row.optional(7, Row::text)?,
        added_at: row.timestamp(8)?,
        removed: row.optional(9, Row::timestamp)?.is_some(),
    })
}
