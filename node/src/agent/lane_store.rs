//! The rows of mail that goes by the queue, and of its dead letters.

use entente_delivery::Lane;
use entente_lexicon::{Did, MessageId, Timestamp};

use crate::agent::handed::Tail;
use crate::agent::store::{AgentStore, did, message_id};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// A message that goes by the queue.
pub(super) struct Queued {
    pub(super) id: MessageId,
    pub(super) bytes: Vec<u8>,
}

/// A dead letter.
pub(super) struct DeadMessage {
    pub(super) n: u64,
    pub(super) id: MessageId,
    pub(super) to: Did,
    pub(super) at: Timestamp,
    pub(super) code: Option<String>,
    pub(super) tries: u32,
    pub(super) bytes: u64,
    pub(super) expires: Option<Timestamp>,
}

impl AgentStore {
    /// Has a message go by the queue from here on.
    pub(super) fn enter_lane(&self, id: &MessageId) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE messages SET lane = 1 WHERE id = ? AND outgoing = 1 AND final_at IS NULL",
            params![id.to_bytes()],
        )
    }

    /// Has everything go directly again that goes by the queue to one agent. Returns it in order.
    pub(super) fn leave_lane(&self, to: &Did) -> Result<Vec<Queued>, StoreError> {
        let queued = self.queued(to, u32::MAX)?;
        self.db.exec(
            "UPDATE messages SET lane = NULL WHERE peer = ? AND outgoing = 1 AND lane = 1",
            params![to.as_str()],
        )?;
        self.close_lane(to)?;
        Ok(queued)
    }

    /// Returns what goes by the queue to one agent, the oldest first.
    pub(super) fn queued(&self, to: &Did, limit: u32) -> Result<Vec<Queued>, StoreError> {
        let rows = self.db.rows(
            "SELECT id, envelope FROM messages WHERE peer = ? AND lane = 1 AND envelope IS NOT NULL
             ORDER BY n LIMIT ?",
            params![to.as_str(), limit],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Queued {
                    id: message_id(row, 0)?,
                    bytes: row.blob(1)?,
                })
            })
            .collect()
    }

    /// Returns how long a queued message is, if it is the one with this tail.
    pub(super) fn queued_length(
        &self,
        id: &MessageId,
        tail: &Tail,
    ) -> Result<Option<usize>, StoreError> {
        let row = self.db.row(
            "SELECT length(envelope) FROM messages
             WHERE id = ? AND outgoing = 1 AND lane = 1 AND substr(envelope, -16) = ?",
            params![id.to_bytes(), *tail],
        )?;
        row.map(|row| length(&row, 0)).transpose()
    }

    /// Returns how often each message that goes by the queue to one agent was offered in vain, in order.
    pub(super) fn lane_tries(&self, to: &Did) -> Result<Vec<(MessageId, u32)>, StoreError> {
        let rows = self.db.rows(
            "SELECT id, tries FROM messages WHERE peer = ? AND lane = 1 AND envelope IS NOT NULL
             ORDER BY n",
            params![to.as_str()],
        )?;
        rows.iter()
            .map(|row| Ok((message_id(row, 0)?, number(row, 1)?)))
            .collect()
    }

    pub(super) fn set_tries(&self, id: &MessageId, tries: u32) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE messages SET tries = ? WHERE id = ? AND outgoing = 1",
            params![tries, id.to_bytes()],
        )
    }

    /// Makes a dead letter of a queued message.
    pub(super) fn bury(&self, id: &MessageId) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE messages SET lane = 2 WHERE id = ? AND outgoing = 1 AND lane = 1",
            params![id.to_bytes()],
        )
    }

    /// Has a dead letter go by the queue again, with all its attempts. Returns whom it is for.
    pub(super) fn unbury(&self, id: &MessageId) -> Result<Option<Did>, StoreError> {
        let row = self.db.row(
            "UPDATE messages SET lane = 1, tries = 0 WHERE id = ? AND outgoing = 1 AND lane = 2
             RETURNING peer",
            params![id.to_bytes()],
        )?;
        row.map(|row| did(&row, 0)).transpose()
    }

    /// Returns dead letters after a row, the oldest first; one where it is named.
    pub(super) fn dead_messages(
        &self,
        one: Option<&MessageId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadMessage>, StoreError> {
        let rows = self.db.rows(
            "SELECT m.n, m.id, m.peer, coalesce(r.at, m.stored_at), r.code, m.tries,
                length(m.envelope), m.expires
             FROM messages m LEFT JOIN receipts r ON r.id = m.id AND r.status = 'dead'
             WHERE m.lane = 2 AND m.outgoing = 1 AND m.n > ?1 AND (?2 IS NULL OR m.id = ?2)
             ORDER BY m.n LIMIT ?3",
            params![after, one.map(MessageId::to_bytes), limit],
        )?;
        rows.iter()
            .map(|row| {
                Ok(DeadMessage {
                    n: row.integer(0)?,
                    id: message_id(row, 1)?,
                    to: did(row, 2)?,
                    at: row.timestamp(3)?,
                    code: row.optional(4, Row::text)?,
                    tries: number(row, 5)?,
                    bytes: row.optional(6, Row::integer)?.unwrap_or_default(),
                    expires: row.optional(7, Row::timestamp)?,
                })
            })
            .collect()
    }

    /// Counts dead letters.
    pub(super) fn count_dead_messages(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM messages WHERE lane = 2 AND outgoing = 1";
        self.db
            .row(sql, params![])?
            .map_or(Ok(0), |row| row.integer(0))
    }

    /// Returns messages of the queue, dead or not, that expired, with how long they are.
    pub(super) fn expired_queued(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(MessageId, usize)>, StoreError> {
        let rows = self.db.rows(
            "SELECT id, coalesce(length(envelope), 0) FROM messages
             WHERE lane IN (1, 2) AND outgoing = 1 AND expires <= ?",
            params![now],
        )?;
        rows.iter()
            .map(|row| Ok((message_id(row, 0)?, length(row, 1)?)))
            .collect()
    }

    /// Returns when the next message of the queue, dead or not, expires.
    pub(super) fn next_expiry(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(expires) FROM messages WHERE lane IN (1, 2) AND outgoing = 1";
        let row = self.db.row(sql, params![])?;
        row.map_or(Ok(None), |row| row.optional(0, Row::timestamp))
    }

    /// Returns how many bytes go by the queue, dead letters included.
    pub(super) fn queued_bytes(&self) -> Result<usize, StoreError> {
        let sql = "SELECT coalesce(sum(length(envelope)), 0) FROM messages
                   WHERE lane IN (1, 2) AND outgoing = 1";
        self.db
            .row(sql, params![])?
            .map_or(Ok(0), |row| length(&row, 0))
    }

    pub(super) fn lane(&self, to: &Did) -> Result<Option<Lane>, StoreError> {
        let sql = "SELECT failures, due, head FROM lanes WHERE peer = ?";
        let row = self.db.row(sql, params![to.as_str()])?;
        row.map(|row| {
            Ok(Lane {
                failures: number(&row, 0)?,
                head: number(&row, 2)?,
                due: row.timestamp(1)?,
            })
        })
        .transpose()
    }

    pub(super) fn set_lane(&self, to: &Did, lane: &Lane) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO lanes(peer, failures, due, head) VALUES(?1, ?2, ?3, ?4)
             ON CONFLICT(peer) DO UPDATE SET failures = ?2, due = ?3, head = ?4",
            params![to.as_str(), lane.failures, lane.due, lane.head],
        )
    }

    pub(super) fn close_lane(&self, to: &Did) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM lanes WHERE peer = ?", params![to.as_str()])
    }

    /// Returns the ways that are open.
    pub(super) fn lanes(&self) -> Result<Vec<(Did, Lane)>, StoreError> {
        let sql = "SELECT peer, failures, due, head FROM lanes ORDER BY due";
        let rows = self.db.rows(sql, params![])?;
        rows.iter()
            .map(|row| {
                let lane = Lane {
                    failures: number(row, 1)?,
                    head: number(row, 3)?,
                    due: row.timestamp(2)?,
                };
                Ok((did(row, 0)?, lane))
            })
            .collect()
    }

    /// Tells whether anything goes by the queue to one agent, be it to be sealed anew first.
    pub(super) fn has_queued(&self, to: &Did) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM messages WHERE peer = ? AND lane = 1 LIMIT 1";
        Ok(self.db.row(sql, params![to.as_str()])?.is_some())
    }
}

fn number(row: &Row, column: usize) -> Result<u32, StoreError> {
    u32::try_from(row.integer(column)?)
        .ok()
        .ok_or(StoreError::Column(column))
}

fn length(row: &Row, column: usize) -> Result<usize, StoreError> {
    usize::try_from(row.integer(column)?)
        .ok()
        .ok_or(StoreError::Column(column))
}
