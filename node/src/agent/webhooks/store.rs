//! The tables of what is sent to URLs. Where to and what are ciphertext in every row; when, how often and
//! with what answer are not.

use std::cell::Cell;
use std::rc::Rc;

use entente_delivery::{Delivery, Disabled, Endpoint, State};
use entente_lexicon::Timestamp;

use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// Created with the agent.
pub(in crate::agent) const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS push_targets(
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, config BLOB NOT NULL, created_at INTEGER NOT NULL,
        failures INTEGER NOT NULL, resume INTEGER NOT NULL, disabled TEXT) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS push_targets_by_owner ON push_targets(owner, created_at)",
    "CREATE TABLE IF NOT EXISTS push_deliveries(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, target TEXT NOT NULL,
        event TEXT NOT NULL, subject TEXT NOT NULL, body BLOB, created_at INTEGER NOT NULL,
        state TEXT NOT NULL, failures INTEGER NOT NULL, due INTEGER NOT NULL,
        attempts INTEGER NOT NULL, tried_at INTEGER, status INTEGER, error TEXT)",
    "CREATE INDEX IF NOT EXISTS push_deliveries_by_target ON push_deliveries(target, n)",
    "CREATE INDEX IF NOT EXISTS push_deliveries_waiting ON push_deliveries(target, due)
        WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS push_deliveries_dead ON push_deliveries(n) WHERE state = 'dead'",
];

const DELIVERY: &str = "id, target, event, subject, body, created_at, state, failures, due, \
                        attempts, tried_at, status, error, n";
const TARGET: &str = "id, config, created_at, failures, resume, disabled";

/// A target as it is kept.
pub(super) struct StoredTarget {
    pub(super) id: String,
    /// Sealed.
    pub(super) config: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) endpoint: Endpoint,
}

/// A delivery as it is kept.
pub(in crate::agent) struct StoredDelivery {
    /// Its row; 0 before there is one.
    pub(in crate::agent) n: u64,
    pub(in crate::agent) id: String,
    pub(in crate::agent) target: String,
    pub(in crate::agent) event: String,
    pub(in crate::agent) subject: String,
    /// Sealed; none once it was delivered or thrown away.
    pub(super) body: Option<Vec<u8>>,
    pub(in crate::agent) created_at: Timestamp,
    pub(in crate::agent) delivery: Delivery,
    pub(in crate::agent) attempts: u32,
    pub(in crate::agent) tried_at: Option<Timestamp>,
    pub(in crate::agent) status: Option<u16>,
    pub(in crate::agent) error: Option<String>,
}

/// What an attempt came to, as the log shows it.
pub(super) struct Tried {
    pub(super) at: Timestamp,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
}

/// Typed access to the tables.
#[derive(Clone)]
pub(super) struct PushStore {
    db: Rc<Sqlite>,
    /// Nothing waits: it was looked for, and nothing was written since.
    is_idle: Rc<Cell<bool>>,
}

impl PushStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            db,
            is_idle: Rc::default(),
        }
    }

    pub(super) fn add_target(&self, target: &StoredTarget, owner: &str) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO push_targets(id, owner, config, created_at, failures, resume, disabled)
             VALUES(?, ?, ?, ?, ?, ?, NULL)",
            params![
                target.id.as_str(),
                owner,
                target.config.clone(),
                target.created_at,
                target.endpoint.failures,
                target.endpoint.resume,
            ],
        )
    }

    pub(super) fn target(&self, id: &str) -> Result<Option<StoredTarget>, StoreError> {
        let sql = format!("SELECT {TARGET} FROM push_targets WHERE id = ?");
        let row = self.db.row(&sql, params![id])?;
        row.map(|row| target(&row)).transpose()
    }

    pub(super) fn targets_of(&self, owner: &str) -> Result<Vec<StoredTarget>, StoreError> {
        let sql =
            format!("SELECT {TARGET} FROM push_targets WHERE owner = ? ORDER BY created_at, id");
        let rows = self.db.rows(&sql, params![owner])?;
        rows.iter().map(target).collect()
    }

    pub(super) fn set_endpoint(&self, id: &str, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.is_idle.set(false);
        self.db.exec(
            "UPDATE push_targets SET failures = ?, resume = ?, disabled = ? WHERE id = ?",
            params![
                endpoint.failures,
                endpoint.resume,
                endpoint.disabled.map(Disabled::as_str),
                id
            ],
        )
    }

    /// Removes a target and everything for it. Returns whether there was one.
    pub(super) fn remove_target(&self, id: &str) -> Result<bool, StoreError> {
        self.db
            .exec("DELETE FROM push_deliveries WHERE target = ?", params![id])?;
        let sql = "DELETE FROM push_targets WHERE id = ? RETURNING id";
        Ok(self.db.row(sql, params![id])?.is_some())
    }

    pub(super) fn insert(&self, new: &StoredDelivery) -> Result<(), StoreError> {
        self.is_idle.set(false);
        self.db.exec(
            "INSERT INTO push_deliveries(id, target, event, subject, body, created_at, state,
                failures, due, attempts) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                new.id.as_str(),
                new.target.as_str(),
                new.event.as_str(),
                new.subject.as_str(),
                new.body.clone(),
                new.created_at,
                new.delivery.state.as_str(),
                new.delivery.failures,
                new.delivery.due,
                new.attempts,
            ],
        )
    }

    /// Counts what waits for a target, and its dead letters.
    pub(super) fn count(&self, target: &str) -> Result<(u64, u64), StoreError> {
        let row = self.db.row(
            "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'dead')
             FROM push_deliveries WHERE target = ? AND state IN ('waiting', 'dead')",
            params![target],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.integer(0)?, row.integer(1)?))
    }

    pub(super) fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        let sql = format!("SELECT {DELIVERY} FROM push_deliveries WHERE id = ?");
        let row = self.db.row(&sql, params![id])?;
        row.map(|row| delivery(&row)).transpose()
    }

    /// Returns what is due for a target, the oldest first.
    pub(super) fn due(
        &self,
        target: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredDelivery>, StoreError> {
        let sql = format!(
            "SELECT {DELIVERY} FROM push_deliveries
             WHERE target = ? AND state = 'waiting' AND due <= ? ORDER BY n LIMIT ?"
        );
        let rows = self.db.rows(&sql, params![target, now, limit])?;
        rows.iter().map(delivery).collect()
    }

    /// Returns the targets that something waits for, and when the first of it is due. As long as nothing
    /// does it is looked for once, and once more in each new life of the object.
    pub(super) fn due_targets(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        if self.is_idle.get() {
            return Ok(Vec::new());
        }
        let rows = self.db.rows(
            "SELECT d.target, max(min(d.due), t.resume) FROM push_deliveries d
             JOIN push_targets t ON t.id = d.target
             WHERE d.state = 'waiting' AND t.disabled IS NULL GROUP BY d.target ORDER BY min(d.n)",
            params![],
        )?;
        self.is_idle.set(rows.is_empty());
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.timestamp(1)?)))
            .collect()
    }

    /// Writes what an attempt, or somebody, made of a delivery. What has ended well needs its body no
    /// more.
    pub(super) fn keep(
        &self,
        id: &str,
        delivery: &Delivery,
        tried: Option<&Tried>,
    ) -> Result<(), StoreError> {
        self.is_idle.set(false);
        let keeps_body = matches!(delivery.state, State::Waiting | State::Dead);
        self.db.exec(
            "UPDATE push_deliveries SET state = ?, failures = ?, due = ?,
                body = iif(?, body, NULL) WHERE id = ?",
            params![
                delivery.state.as_str(),
                delivery.failures,
                delivery.due,
                keeps_body,
                id
            ],
        )?;
        let Some(tried) = tried else { return Ok(()) };
        self.db.exec(
            "UPDATE push_deliveries SET attempts = attempts + 1, tried_at = ?, status = ?, error = ?
             WHERE id = ?",
            params![tried.at, tried.status.map(u32::from), tried.error.clone(), id],
        )
    }

    /// Makes dead letters of what waits for a target.
    pub(super) fn give_up(&self, target: &str) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE push_deliveries SET state = 'dead' WHERE target = ? AND state = 'waiting'",
            params![target],
        )
    }

    /// Forgets all but the latest `kept` of what has ended well.
    pub(super) fn prune(&self, target: &str, kept: u32) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM push_deliveries WHERE target = ?1 AND state IN ('delivered', 'discarded')
                AND n <= (SELECT n FROM push_deliveries WHERE target = ?1
                    AND state IN ('delivered', 'discarded') ORDER BY n DESC LIMIT 1 OFFSET ?2)",
            params![target, kept],
        )
    }

    /// Returns the latest deliveries of a target, the newest first.
    pub(super) fn latest(
        &self,
        target: &str,
        limit: u32,
    ) -> Result<Vec<StoredDelivery>, StoreError> {
        let sql = format!(
            "SELECT {DELIVERY} FROM push_deliveries WHERE target = ? ORDER BY n DESC LIMIT ?"
        );
        let rows = self.db.rows(&sql, params![target, limit])?;
        rows.iter().map(delivery).collect()
    }

    /// Counts dead letters.
    pub(super) fn count_dead(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM push_deliveries WHERE state = 'dead'";
        self.db
            .row(sql, params![])?
            .map_or(Ok(0), |row| row.integer(0))
    }

    /// Returns dead letters after a row, the oldest first; of one target where it is named.
    pub(super) fn dead(
        &self,
        target: Option<&str>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredDelivery>, StoreError> {
        let sql = format!(
            "SELECT {DELIVERY} FROM push_deliveries WHERE state = 'dead' AND n > ?1
                AND (?2 IS NULL OR target = ?2) ORDER BY n LIMIT ?3"
        );
        let rows = self.db.rows(&sql, params![after, target, limit])?;
        rows.iter().map(delivery).collect()
    }
}

fn target(row: &Row) -> Result<StoredTarget, StoreError> {
    let disabled = row.optional(5, Row::text)?;
    Ok(StoredTarget {
        id: row.text(0)?,
        config: row.blob(1)?,
        created_at: row.timestamp(2)?,
        endpoint: Endpoint {
            failures: number(row, 3)?,
            resume: row.timestamp(4)?,
            disabled: disabled.and_then(|why| Disabled::parse(&why)),
        },
    })
}

fn delivery(row: &Row) -> Result<StoredDelivery, StoreError> {
    let status = row.optional(11, Row::integer)?;
    Ok(StoredDelivery {
        id: row.text(0)?,
        target: row.text(1)?,
        event: row.text(2)?,
        subject: row.text(3)?,
        body: row.optional(4, Row::blob)?,
        created_at: row.timestamp(5)?,
        delivery: Delivery {
            state: State::parse(&row.text(6)?).ok_or(StoreError::Column(6))?,
            failures: number(row, 7)?,
            due: row.timestamp(8)?,
        },
        attempts: number(row, 9)?,
        tried_at: row.optional(10, Row::timestamp)?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        error: row.optional(12, Row::text)?,
        n: row.integer(13)?,
    })
}

fn number(row: &Row, column: usize) -> Result<u32, StoreError> {
    u32::try_from(row.integer(column)?)
        .ok()
        .ok_or(StoreError::Column(column))
}
