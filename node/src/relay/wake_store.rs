//! The tables of agents that events wake: their filters, and from where on each is still to be told.

use std::collections::BTreeMap;

use entente_firehose::{Filter, StandingFilter};
use entente_lexicon::api::FilterWish;

use crate::agent::wire::{LeftFilter, LeftFilters};
use crate::error::ApiError;
use crate::params;
use crate::relay::store::RelayStore;
use crate::store::sqlite::{Row, StoreError};

/// `pending` is the event up to which an agent was told, as long as something after it wakes it. A
/// filter that was replaced stays, with its last event in `upto`, until the agent is told that far.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS wake_agents (
  n INTEGER PRIMARY KEY AUTOINCREMENT, did TEXT NOT NULL UNIQUE, object TEXT NOT NULL,
  version INTEGER NOT NULL, pending INTEGER
);
CREATE INDEX IF NOT EXISTS wake_agents_pending ON wake_agents (n) WHERE pending IS NOT NULL;
CREATE TABLE IF NOT EXISTS wake_filters (
  n INTEGER PRIMARY KEY AUTOINCREMENT, agent INTEGER NOT NULL, id TEXT NOT NULL,
  wish TEXT NOT NULL, own INTEGER NOT NULL, since INTEGER NOT NULL, upto INTEGER
);
CREATE INDEX IF NOT EXISTS wake_filters_by_agent ON wake_filters (agent);
";

/// An agent that has filters.
pub(super) struct WakeAgent {
    pub(super) n: u64,
    pub(super) did: String,
    pub(super) object: String,
    pub(super) version: u64,
    pub(super) pending: Option<u64>,
}

/// A filter as it is kept.
pub(super) struct Kept {
    pub(super) n: u64,
    pub(super) left: LeftFilter,
    pub(super) since: u64,
    pub(super) upto: Option<u64>,
}

const AGENT: &str = "n, did, object, version, pending";

impl RelayStore {
    pub(super) fn wake_agents(&self) -> Result<Vec<WakeAgent>, StoreError> {
        let sql = format!("SELECT {AGENT} FROM wake_agents ORDER BY n");
        self.db.rows(&sql, params![])?.iter().map(agent).collect()
    }

    pub(super) fn wake_agent(&self, did: &str) -> Result<Option<WakeAgent>, StoreError> {
        let sql = format!("SELECT {AGENT} FROM wake_agents WHERE did = ?");
        let row = self.db.row(&sql, params![did])?;
        row.as_ref().map(agent).transpose()
    }

    pub(super) fn wake_agent_numbered(&self, n: u64) -> Result<Option<WakeAgent>, StoreError> {
        let sql = format!("SELECT {AGENT} FROM wake_agents WHERE n = ?");
        let row = self.db.row(&sql, params![n])?;
        row.as_ref().map(agent).transpose()
    }

    /// Writes down who left filters. Returns its number.
    pub(super) fn put_wake_agent(&self, left: &LeftFilters) -> Result<u64, StoreError> {
        let row = self.db.row(
            "INSERT INTO wake_agents (did, object, version) VALUES (?1, ?2, ?3)
             ON CONFLICT (did) DO UPDATE SET object = ?2, version = ?3 RETURNING n",
            params![left.did.as_str(), left.object.as_str(), left.version],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    pub(super) fn drop_wake_agent(&self, n: u64) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM wake_filters WHERE agent = ?", params![n])?;
        self.db
            .exec("DELETE FROM wake_agents WHERE n = ?", params![n])
    }

    pub(super) fn wake_filters(&self, agent: u64) -> Result<Vec<Kept>, ApiError> {
        let sql = "SELECT n, id, wish, own, since, upto FROM wake_filters WHERE agent = ?";
        let rows = self.db.rows(sql, params![agent])?;
        let kept = rows.iter().map(|row| {
            let wish: FilterWish = serde_json::from_str(&row.text(2)?)?;
            Ok(Kept {
                n: row.integer(0)?,
                left: LeftFilter {
                    id: row.text(1)?,
                    wish,
                    own: row.flag(3)?,
                },
                since: row.integer(4)?,
                upto: row.optional(5, Row::integer)?,
            })
        });
        kept.collect()
    }

    /// Returns an agent's filters as they are judged.
    pub(super) fn standing_filters(
        &self,
        agent: u64,
    ) -> Result<BTreeMap<u64, StandingFilter>, ApiError> {
        let kept = self.wake_filters(agent)?;
        let standing = kept.into_iter().map(|kept| {
            let filter = Filter::try_from(&kept.left.wish).map_err(ApiError::internal)?;
            let standing = StandingFilter {
                filter,
                own: kept.left.own,
                since: kept.since,
                until: kept.upto,
            };
            Ok((kept.n, standing))
        });
        standing.collect()
    }

    pub(super) fn add_wake_filter(
        &self,
        agent: u64,
        left: &LeftFilter,
        since: u64,
    ) -> Result<(), ApiError> {
        let wish = serde_json::to_string(&left.wish)?;
        self.db.exec(
            "INSERT INTO wake_filters (agent, id, wish, own, since) VALUES (?, ?, ?, ?, ?)",
            params![agent, left.id.as_str(), wish, left.own, since],
        )?;
        Ok(())
    }

    pub(super) fn drop_wake_filter(&self, n: u64) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM wake_filters WHERE n = ?", params![n])
    }

    pub(super) fn end_wake_filter(&self, n: u64, upto: u64) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE wake_filters SET upto = ? WHERE n = ?",
            params![upto, n],
        )
    }

    /// Writes down how far an agent was told: nothing where nothing after it wakes it.
    pub(super) fn set_wake_pending(&self, n: u64, after: Option<u64>) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE wake_agents SET pending = ? WHERE n = ?",
            params![after, n],
        )
    }

    /// Lets go of replaced filters whose last event an agent was told of. Returns whether there were any.
    pub(super) fn prune_wake_filters(&self, agent: u64, told: u64) -> Result<bool, StoreError> {
        let gone = self.db.rows(
            "DELETE FROM wake_filters WHERE agent = ? AND upto <= ? RETURNING n",
            params![agent, told],
        )?;
        Ok(!gone.is_empty())
    }

    /// Nobody is to be told of anything that was before.
    pub(super) fn forget_wakes(&self) -> Result<(), StoreError> {
        self.db
            .exec("UPDATE wake_agents SET pending = NULL", params![])?;
        let replaced = "DELETE FROM wake_filters WHERE upto IS NOT NULL";
        self.db.exec(replaced, params![])
    }
}

fn agent(row: &Row) -> Result<WakeAgent, StoreError> {
    Ok(WakeAgent {
        n: row.integer(0)?,
        did: row.text(1)?,
        object: row.text(2)?,
        version: row.integer(3)?,
        pending: row.optional(4, Row::integer)?,
    })
}
