//! The tables of topics: who listens to this agent, and to whom it listens.

use std::rc::Rc;

use entente_lexicon::api::topics::OpenTo;
use entente_lexicon::{Address, Did, Host, MessageId, Timestamp};

use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS topics(
        topic TEXT PRIMARY KEY, open_to TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS topic_listeners(
        topic TEXT NOT NULL, did TEXT NOT NULL, host TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY(topic, did)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS subscriptions(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, of TEXT NOT NULL,
        host TEXT NOT NULL, topic TEXT NOT NULL, mail BLOB, at INTEGER NOT NULL, UNIQUE(of, topic))",
];

/// What stands in place of a DID where an agent listens to its whole network.
pub(super) const NETWORK: &str = "network";

/// A topic that this agent listens to.
pub(super) struct Subscription {
    pub(super) id: MessageId,
    /// A DID, or [`NETWORK`].
    pub(super) of: String,
    pub(super) host: String,
    pub(super) topic: String,
    pub(super) at: Timestamp,
    /// How far the mail came that asked for it.
    pub(super) status: Option<String>,
    pub(super) code: Option<String>,
}

/// Typed access to the tables of topics.
pub(super) struct TopicStore {
    db: Rc<Sqlite>,
}

impl TopicStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    pub(super) fn topics(&self) -> Result<Vec<(String, OpenTo)>, StoreError> {
        let sql = "SELECT topic, open_to FROM topics ORDER BY topic";
        let rows = self.db.rows(sql, params![])?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, open_to(row, 1)?)))
            .collect()
    }

    pub(super) fn topic(&self, topic: &str) -> Result<Option<OpenTo>, StoreError> {
        let row = self
            .db
            .row("SELECT open_to FROM topics WHERE topic = ?", params![topic])?;
        row.map(|row| open_to(&row, 0)).transpose()
    }

    pub(super) fn put_topic(
        &self,
        topic: &str,
        open: OpenTo,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO topics(topic, open_to, at) VALUES(?1, ?2, ?3)
             ON CONFLICT(topic) DO UPDATE SET open_to = ?2",
            params![topic, open.as_str(), now],
        )
    }

    /// Forgets a topic and who listens to it; returns whether there was one.
    pub(super) fn drop_topic(&self, topic: &str) -> Result<bool, StoreError> {
        let listeners = "DELETE FROM topic_listeners WHERE topic = ?";
        self.db.exec(listeners, params![topic])?;
        let sql = "DELETE FROM topics WHERE topic = ? RETURNING 1";
        Ok(self.db.row(sql, params![topic])?.is_some())
    }

    pub(super) fn listeners(&self, topic: &str) -> Result<Vec<Address>, StoreError> {
        let sql = "SELECT did, host FROM topic_listeners WHERE topic = ? ORDER BY at, did";
        let rows = self.db.rows(sql, params![topic])?;
        rows.iter().map(address).collect()
    }

    pub(super) fn add_listener(
        &self,
        topic: &str,
        who: (&Did, &Host),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO topic_listeners(topic, did, host, at) VALUES(?1, ?2, ?3, ?4)
             ON CONFLICT(topic, did) DO UPDATE SET host = ?3",
            params![topic, who.0.as_str(), who.1.as_str(), now],
        )
    }

    pub(super) fn drop_listener(&self, topic: &str, who: &Did) -> Result<(), StoreError> {
        let sql = "DELETE FROM topic_listeners WHERE topic = ? AND did = ?";
        self.db.exec(sql, params![topic, who.as_str()])
    }

    /// Takes back who listens only as agents of this network may.
    pub(super) fn drop_foreign(&self, topic: &str, host: &Host) -> Result<(), StoreError> {
        let sql = "DELETE FROM topic_listeners WHERE topic = ? AND host <> ?";
        self.db.exec(sql, params![topic, host.as_str()])
    }

    pub(super) fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        let rows = self.db.rows(
            "SELECT s.id, s.of, s.host, s.topic, s.at, m.status,
                (SELECT r.code FROM receipts r WHERE r.id = m.id AND r.status = m.status)
             FROM subscriptions s LEFT JOIN messages m ON m.id = s.mail AND m.outgoing = 1
             ORDER BY s.n",
            params![],
        )?;
        rows.iter().map(subscription).collect()
    }

    /// Whether this agent listens to a topic of another's, or of its network.
    pub(super) fn listens(&self, of: &str, topic: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM subscriptions WHERE of = ? AND topic = ?";
        Ok(self.db.row(sql, params![of, topic])?.is_some())
    }

    /// Writes down that this agent listens; returns the subscription's id, the one there was if any.
    pub(super) fn subscribe(
        &self,
        id: &MessageId,
        (of, host, topic): (&str, &Host, &str),
        now: Timestamp,
    ) -> Result<MessageId, StoreError> {
        let row = self.db.row(
            "INSERT INTO subscriptions(id, of, host, topic, at) VALUES(?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(of, topic) DO UPDATE SET host = ?3 RETURNING id",
            params![id.to_bytes(), of, host.as_str(), topic, now],
        )?;
        crate::agent::store::message_id(&row.ok_or(StoreError::Column(0))?, 0)
    }

    pub(super) fn asked(&self, id: &MessageId, mail: &MessageId) -> Result<(), StoreError> {
        let sql = "UPDATE subscriptions SET mail = ? WHERE id = ?";
        self.db.exec(sql, params![mail.to_bytes(), id.to_bytes()])
    }

    pub(super) fn unsubscribe(&self, id: &MessageId) -> Result<(), StoreError> {
        let sql = "DELETE FROM subscriptions WHERE id = ?";
        self.db.exec(sql, params![id.to_bytes()])
    }
}

fn open_to(row: &Row, column: usize) -> Result<OpenTo, StoreError> {
    match row.text(column)?.as_str() {
        "network" => Ok(OpenTo::Network),
        "everyone" => Ok(OpenTo::Everyone),
        _ => Err(StoreError::Column(column)),
    }
}

fn address(row: &Row) -> Result<Address, StoreError> {
    Ok(Address {
        did: Did::parse(&row.text(0)?).map_err(|_error| StoreError::Column(0))?,
        host: Host::parse(&row.text(1)?).map_err(|_error| StoreError::Column(1))?,
    })
}

fn subscription(row: &Row) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        id: crate::agent::store::message_id(row, 0)?,
        of: row.text(1)?,
        host: row.text(2)?,
        topic: row.text(3)?,
        at: row.timestamp(4)?,
        status: row.optional(5, Row::text)?,
        code: row.optional(6, Row::text)?,
    })
}
