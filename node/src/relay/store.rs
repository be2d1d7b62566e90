//! The relay's SQLite: who we are (sealed), the ring of events, counts, links, tickets.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::api::{Event, LinkState};
use entente_lexicon::{Did, Host, Timestamp};
use serde_json::json;
use worker::SqlStorageValue;

use crate::error::ApiError;
use crate::params;
use crate::relay::heads;
use crate::relay::presence::{Activity, Changed, Presence};
use crate::relay::repos;
use crate::relay::wake_store;
use crate::relay::{announcements, endorsements};
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// How many events are kept.
pub(super) const RING: u64 = 50_000;
/// Tickets that may wait to be used.
const MAX_TICKETS: u64 = 256;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS activity (
  did TEXT PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL,
  last_seen INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (host TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tickets (hash BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
";

/// The relay's tables.
pub(super) struct RelayStore {
    pub(super) db: Rc<Sqlite>,
}

impl RelayStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    /// Tells whether `create` has run: an object that was only looked at has written nothing.
    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE name = 'meta'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        self.db.exec(SCHEMA, params![])?;
        self.db.exec(announcements::SCHEMA, params![])?;
        self.db.exec(endorsements::SCHEMA, params![])?;
        self.db.exec(repos::SCHEMA, params![])?;
        self.db.exec(heads::SCHEMA, params![])?;
        self.db.exec(wake_store::SCHEMA, params![])
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self
            .db
            .row("SELECT value FROM meta WHERE key = ?", params![key])?;
        row.map(|row| row.blob(0)).transpose()
    }

    pub(super) fn set_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )
    }

    pub(super) fn drop_meta(&self, key: &str) -> Result<(), StoreError> {
        self.db.exec("DELETE FROM meta WHERE key = ?", params![key])
    }

    /// Keeps a batch of events, what they changed and whom they wake from where on, all or nothing.
    pub(super) fn append(
        &self,
        events: &[Event],
        changes: &[Changed],
        woken: &[(u64, u64)],
    ) -> Result<(), ApiError> {
        let bodies = serde_json::to_string(events)?;
        let agents: Vec<_> = changes
            .iter()
            .filter_map(|changed| changed.agent.as_ref())
            .map(|(did, a)| json!([did, a.sent, a.received, a.last_seen.0]))
            .collect();
        let links: Vec<_> = changes
            .iter()
            .filter_map(|changed| changed.link.as_ref())
            .map(|(host, state)| json!([host, state]))
            .collect();
        self.db.transaction(|| {
            self.db.exec(
                "INSERT INTO events (seq, body)
                 SELECT json_extract(value, '$.seq'), value FROM json_each(?)",
                params![bodies],
            )?;
            for (agent, after) in woken {
                self.set_wake_pending(*agent, Some(*after))?;
            }
            if !agents.is_empty() {
                self.put_activity(&serde_json::Value::Array(agents).to_string())?;
            }
            if !links.is_empty() {
                self.put_links(&serde_json::Value::Array(links).to_string())?;
            }
            for did in changes.iter().filter_map(|changed| changed.gone.as_ref()) {
                self.db
                    .exec("DELETE FROM activity WHERE did = ?", params![did.as_str()])?;
            }
            for host in changes
                .iter()
                .filter_map(|changed| changed.removed.as_ref())
            {
                self.db
                    .exec("DELETE FROM links WHERE host = ?", params![host.as_str()])?;
            }
            let newest = events.last().map_or(0, |event| event.seq);
            self.db.exec(
                "DELETE FROM events WHERE seq <= ?",
                params![newest.saturating_sub(RING)],
            )?;
            Ok(())
        })
    }

    // The last of several rows of one agent or link in a batch is the newest.
    fn put_activity(&self, rows: &str) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO activity (did, sent, received, last_seen)
             SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?) WHERE true
             ON CONFLICT (did) DO UPDATE SET sent = excluded.sent,
               received = excluded.received, last_seen = excluded.last_seen",
            params![rows],
        )
    }

    fn put_links(&self, rows: &str) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO links (host, state)
             SELECT value->>0, value->>1 FROM json_each(?) WHERE true
             ON CONFLICT (host) DO UPDATE SET state = excluded.state",
            params![rows],
        )
    }

    /// Returns the number of the newest event, 0 before the first.
    pub(super) fn newest(&self) -> Result<u64, StoreError> {
        self.number("SELECT coalesce(max(seq), 0) FROM events", params![])
    }

    /// Reads one number, 0 if there is none.
    pub(super) fn number(
        &self,
        sql: &str,
        params: Vec<SqlStorageValue>,
    ) -> Result<u64, StoreError> {
        let row = self.db.row(sql, params)?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    pub(super) fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.transaction(work)
    }

    /// Returns the number of the oldest event that is kept.
    pub(super) fn oldest(&self) -> Result<Option<u64>, StoreError> {
        let row = self.db.row("SELECT min(seq) FROM events", params![])?;
        row.map_or(Ok(None), |row| row.optional(0, Row::integer))
    }

    /// Returns the first kept events after a number, in order.
    pub(super) fn after(&self, seq: u64, limit: u64) -> Result<Vec<Event>, ApiError> {
        let sql = "SELECT body FROM events WHERE seq > ? ORDER BY seq LIMIT ?";
        self.db
            .rows(sql, params![seq, limit])?
            .iter()
            .map(|row| Ok(serde_json::from_str(&row.text(0)?)?))
            .collect()
    }

    /// Restores what viewers are told.
    pub(super) fn presence(&self) -> Result<Presence, ApiError> {
        let mut agents = BTreeMap::new();
        let sql = "SELECT did, sent, received, last_seen FROM activity";
        for row in self.db.rows(sql, params![])? {
            let did = Did::parse(&row.text(0)?).map_err(ApiError::internal)?;
            let activity = Activity {
                sent: row.integer(1)?,
                received: row.integer(2)?,
                last_seen: row.timestamp(3)?,
            };
            agents.insert(did, activity);
        }
        let mut links = BTreeMap::new();
        for row in self.db.rows("SELECT host, state FROM links", params![])? {
            let host = Host::parse(&row.text(0)?).map_err(ApiError::internal)?;
            let state: LinkState = serde_json::from_value(row.text(1)?.into())?;
            links.insert(host, state);
        }
        Ok(Presence::restore(agents, links))
    }

    /// Keeps a ticket until it expires. Returns `false` if too many wait.
    pub(super) fn add_ticket(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        self.db
            .exec("DELETE FROM tickets WHERE expires <= ?", params![now])?;
        let row = self.db.row("SELECT count(*) FROM tickets", params![])?;
        if row.map_or(Ok(0), |row| row.integer(0))? >= MAX_TICKETS {
            return Ok(false);
        }
        self.db.exec(
            "INSERT INTO tickets (hash, expires) VALUES (?, ?)",
            params![*hash, expires],
        )?;
        Ok(true)
    }

    /// Uses a ticket up. Returns whether it was good.
    pub(super) fn take_ticket(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool, StoreError> {
        let sql = "DELETE FROM tickets WHERE hash = ? RETURNING expires";
        match self.db.row(sql, params![*hash])? {
            Some(row) => Ok(row.timestamp(0)? > now),
            None => Ok(false),
        }
    }
}
