//! The agent's SQLite: identity, contacts, mail. Bodies are ciphertext in every row.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use data_encoding::HEXLOWER;
use entente_lexicon::{Did, Host, MessageId, ReceiptStatus, Timestamp};

use crate::agent::announce;
use crate::agent::handed::{Tail, Tails};
use crate::agent::repo_events;
use crate::agent::repo_store::{Heads, NodeCache, REPO_SCHEMA};
use crate::agent::webhooks;
use crate::params;
use crate::shapes::Resolved;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// Creates what is missing; called by `init` only, so that an object nobody asked for stays empty.
const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS meta(k TEXT PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS contacts(
        did TEXT PRIMARY KEY, network TEXT NOT NULL, host TEXT NOT NULL, card TEXT NOT NULL,
        log TEXT NOT NULL, checked_at INTEGER NOT NULL, pinned_at INTEGER NOT NULL, next_index INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS messages(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, outgoing INTEGER NOT NULL,
        peer TEXT NOT NULL, host TEXT NOT NULL, created_at INTEGER NOT NULL,
        stored_at INTEGER NOT NULL, body BLOB NOT NULL, digest BLOB NOT NULL,
        status TEXT NOT NULL, final_at INTEGER,
        request TEXT, network TEXT NOT NULL, envelope BLOB,
        place INTEGER, expires INTEGER, seals INTEGER NOT NULL DEFAULT 0,
        sent_at INTEGER, read_at INTEGER, lane INTEGER,
        tries INTEGER NOT NULL DEFAULT 0)",
    "CREATE UNIQUE INDEX IF NOT EXISTS messages_by_id ON messages(id, outgoing, peer)",
    "CREATE UNIQUE INDEX IF NOT EXISTS messages_by_request ON messages(request)
        WHERE request IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS messages_waiting ON messages(n) WHERE envelope IS NOT NULL",
    // Nothing: directly, 1: by the queue, 2: a dead letter.
    "CREATE INDEX IF NOT EXISTS messages_queued ON messages(lane, peer, n) WHERE lane IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS lanes(
        peer TEXT PRIMARY KEY, failures INTEGER NOT NULL, due INTEGER NOT NULL,
        head INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS messages_unsealed ON messages(n) WHERE status = 'resolving'",
    "CREATE TABLE IF NOT EXISTS prekeys(
        kid TEXT PRIMARY KEY, secret BLOB NOT NULL, published TEXT NOT NULL, signer TEXT NOT NULL,
        made_at INTEGER NOT NULL, not_after INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS epochs(
        peer TEXT NOT NULL, epoch BLOB NOT NULL, state BLOB NOT NULL, used_at INTEGER NOT NULL,
        PRIMARY KEY(peer, epoch)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS receipts(
        id BLOB NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL, issuer TEXT NOT NULL,
        code TEXT, proof BLOB, PRIMARY KEY(id, status)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS proofs(hash BLOB PRIMARY KEY, proof BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS marks(
        n INTEGER PRIMARY KEY, peer TEXT NOT NULL, network TEXT NOT NULL, mark BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tickets(hash BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID",
];

/// How often a message is sealed anew because its recipient does not know the key.
const MAX_SEALS: u32 = 4;

/// A message to write down.
pub(super) struct NewMessage<'a> {
    pub(super) id: &'a MessageId,
    pub(super) outgoing: bool,
    /// The other agent's DID, or its name while that is all that is known.
    pub(super) peer: &'a str,
    /// The other agent's host.
    pub(super) host: &'a Host,
    /// The other agent's network.
    pub(super) network: &'a Did,
    pub(super) created_at: Timestamp,
    pub(super) stored_at: Timestamp,
    /// The body, sealed under the agent's storage key.
    pub(super) body: Vec<u8>,
    /// SHA-256 of the sealed message (in) or of the request (out).
    pub(super) digest: [u8; 32],
    /// The sender's idempotency key.
    pub(super) request: Option<&'a str>,
    /// The sealed message, until it is handed over.
    pub(super) envelope: Option<&'a [u8]>,
    pub(super) status: ReceiptStatus,
    /// Its place among those to this recipient, once it has been sealed.
    pub(super) place: Option<u64>,
    pub(super) expires: Option<Timestamp>,
}

/// A message of ours that has to be sealed, for the first time or anew.
pub(super) struct Unsealed {
    pub(super) id: MessageId,
    pub(super) body: Vec<u8>,
    pub(super) place: Option<u64>,
    pub(super) expires: Option<Timestamp>,
}

/// What a request with an idempotency key became.
pub(super) struct Earlier {
    pub(super) id: MessageId,
    pub(super) digest: Vec<u8>,
    pub(super) status: ReceiptStatus,
}

/// A message as it is kept.
pub(super) struct StoredMessage {
    pub(super) n: u64,
    pub(super) id: MessageId,
    pub(super) outgoing: bool,
    pub(super) peer: String,
    pub(super) host: String,
    pub(super) created_at: Timestamp,
    pub(super) stored_at: Timestamp,
    pub(super) body: Vec<u8>,
    pub(super) status: ReceiptStatus,
    /// The other agent's name, as its card says.
    pub(super) peer_name: Option<String>,
    /// When the link first sent it.
    pub(super) sent_at: Option<Timestamp>,
    /// When it was read here.
    pub(super) read_at: Option<Timestamp>,
}

/// A step of a message's journey.
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) by: String,
    pub(super) code: Option<String>,
    /// When the message was first sent to the peer, if that comes with the step.
    pub(super) sent: Option<Timestamp>,
}

/// A message that still has to be handed over.
pub(super) struct Waiting {
    pub(super) id: MessageId,
    pub(super) to: Did,
    pub(super) network: Did,
    pub(super) bytes: Vec<u8>,
}

/// A contact as it is pinned.
pub(super) struct StoredContact {
    pub(super) network: String,
    pub(super) host: String,
    pub(super) card: String,
    /// Its identity log, one entry a line: the pin.
    pub(super) log: String,
    /// When the card was last asked for.
    pub(super) checked_at: Timestamp,
    pub(super) next_index: u64,
}

/// Digests of incoming messages by sender and id.
pub(super) type Digests = BTreeMap<(String, [u8; 16]), Vec<u8>>;

/// Typed access to the agent's database.
#[derive(Clone)]
pub(super) struct AgentStore {
    pub(super) db: Rc<Sqlite>,
    pub(super) node_cache: Rc<NodeCache>,
    pub(super) heads: Rc<Heads>,
}

impl AgentStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            db,
            node_cache: Rc::default(),
            heads: Rc::default(),
        }
    }

    pub(super) fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.transaction(work)
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .chain(&announce::SCHEMA)
            .chain(REPO_SCHEMA)
            .chain([&repo_events::SCHEMA])
            .chain(webhooks::SCHEMA)
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    /// Returns whether `init` ever ran here.
    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let rows = self.db.rows(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'",
            params![],
        )?;
        Ok(!rows.is_empty())
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self
            .db
            .rows("SELECT v FROM meta WHERE k = ?", params![key])?;
        rows.first().map(|row| row.blob(0)).transpose()
    }

    pub(super) fn set_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO meta(k, v) VALUES(?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
            params![key, value],
        )
    }

    pub(super) fn drop_meta(&self, key: &str) -> Result<(), StoreError> {
        self.db.exec("DELETE FROM meta WHERE k = ?", params![key])
    }

    pub(super) fn contact(&self, did: &Did) -> Result<Option<StoredContact>, StoreError> {
        let rows = self.db.rows(
            "SELECT network, host, card, next_index, log, checked_at FROM contacts WHERE did = ?",
            params![did.as_str()],
        )?;
        rows.first()
            .map(|row| {
                Ok(StoredContact {
                    network: row.text(0)?,
                    host: row.text(1)?,
                    card: row.text(2)?,
                    next_index: row.integer(3)?,
                    log: row.text(4)?,
                    checked_at: row.timestamp(5)?,
                })
            })
            .transpose()
    }

    pub(super) fn pin_contact(
        &self,
        did: &Did,
        network: &Did,
        host: &Host,
        paper: &Resolved,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO contacts(did, network, host, card, log, checked_at, pinned_at)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT(did) DO UPDATE SET host = ?3, card = ?4, log = ?5, checked_at = ?6",
            params![
                did.as_str(),
                network.as_str(),
                host.as_str(),
                paper.card.as_str(),
                paper.log.as_str(),
                now,
            ],
        )
    }

    pub(super) fn set_next_index(&self, did: &Did, index: u64) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE contacts SET next_index = ? WHERE did = ?",
            params![index, did.as_str()],
        )
    }

    pub(super) fn insert(&self, message: NewMessage<'_>) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO messages(id, outgoing, peer, host, network, created_at, stored_at, body,
                digest, status, request, envelope, place, expires)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                message.id.to_bytes(),
                message.outgoing,
                message.peer,
                message.host.as_str(),
                message.network.as_str(),
                message.created_at,
                message.stored_at,
                message.body,
                message.digest,
                message.status.as_str(),
                message.request,
                message.envelope,
                message.place,
                message.expires,
            ],
        )
    }

    /// Returns the digests under which incoming messages with these ids are already kept, by
    /// sender and id.
    pub(super) fn incoming_digests(
        &self,
        ids: impl Iterator<Item = [u8; 16]>,
    ) -> Result<Digests, StoreError> {
        let ids: Vec<_> = ids.collect();
        let rows = match ids.as_slice() {
            // A list costs more to read than all that it is for.
            [id] => self.db.rows(
                "SELECT peer, id, digest FROM messages WHERE id = ? AND outgoing = 0",
                params![*id],
            )?,
            _ => self.db.rows(
                "SELECT peer, id, digest FROM messages WHERE outgoing = 0
                 AND id IN (SELECT unhex(value) FROM json_each(?))",
                params![hex_list(ids.into_iter())],
            )?,
        };
        rows.iter()
            .map(|row| Ok(((row.text(0)?, id_bytes(row, 1)?), row.blob(2)?)))
            .collect()
    }

    /// Returns what became of requests with these idempotency keys.
    pub(super) fn by_requests(
        &self,
        keys: &[&str],
    ) -> Result<BTreeMap<String, Earlier>, StoreError> {
        let rows = match keys {
            [key] => self.db.rows(
                "SELECT request, id, digest, status FROM messages WHERE request = ?",
                params![*key],
            )?,
            _ => self.db.rows(
                "SELECT request, id, digest, status FROM messages
                 WHERE request IN (SELECT value FROM json_each(?))",
                params![serde_json::to_string(keys).unwrap_or_default()],
            )?,
        };
        rows.iter()
            .map(|row| {
                let earlier = Earlier {
                    id: message_id(row, 1)?,
                    digest: row.blob(2)?,
                    status: ReceiptStatus::parse(&row.text(3)?).unwrap_or(ReceiptStatus::Accepted),
                };
                Ok((row.text(0)?, earlier))
            })
            .collect()
    }

    /// Marks messages as handed over, so that they are not handed over again. One that was sealed
    /// anew meanwhile has another tail and stays.
    pub(super) fn handed_over(&self, tails: &Tails) -> Result<(), StoreError> {
        let hex = |(id, tail): (&[u8; 16], &Tail)| [HEXLOWER.encode(id), HEXLOWER.encode(tail)];
        let list: Vec<_> = tails.iter().map(hex).collect();
        self.db.exec(
            "UPDATE messages SET envelope = NULL
             FROM (SELECT unhex(value->>0) AS id, unhex(value->>1) AS tail FROM json_each(?)) AS h
             WHERE messages.id = h.id AND messages.outgoing = 1
                AND substr(messages.envelope, -16) = h.tail",
            params![serde_json::to_string(&list).unwrap_or_default()],
        )
    }

    /// Takes the seal off a message that must be sealed anew, at most `MAX_SEALS` times unless it
    /// is only too early. Returns its recipient and host, or nothing if it ends here.
    pub(super) fn unseal(
        &self,
        id: &MessageId,
        too_early: bool,
    ) -> Result<Option<(String, String)>, StoreError> {
        let row = self.db.row(
            "UPDATE messages SET status = 'resolving', envelope = NULL,
                seals = seals + iif(?2, 0, 1)
             WHERE id = ?1 AND outgoing = 1 AND final_at IS NULL AND (?2 OR seals < ?3)
             RETURNING peer, host",
            params![id.to_bytes(), too_early, MAX_SEALS],
        )?;
        row.map(|row| Ok((row.text(0)?, row.text(1)?))).transpose()
    }

    /// Returns whom messages that must be sealed are for: (DID or name, host).
    pub(super) fn unsealed_recipients(&self) -> Result<BTreeSet<(String, String)>, StoreError> {
        let rows = self.db.rows(
            "SELECT DISTINCT peer, host FROM messages WHERE status = 'resolving'",
            params![],
        )?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.text(1)?)))
            .collect()
    }

    /// Returns messages that must be sealed for a recipient, known by DID or name, oldest first.
    pub(super) fn unsealed(
        &self,
        names: [&str; 2],
        host: &str,
    ) -> Result<Vec<Unsealed>, StoreError> {
        let [did, name] = names;
        let rows = self.db.rows(
            "SELECT id, body, place, expires FROM messages
             WHERE status = 'resolving' AND peer IN (?, ?) AND host = ? ORDER BY n",
            params![did, name, host],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Unsealed {
                    id: message_id(row, 0)?,
                    body: row.blob(1)?,
                    place: row.optional(2, Row::integer)?,
                    expires: row.optional(3, Row::timestamp)?,
                })
            })
            .collect()
    }

    /// Keeps the seal of a message that had none.
    pub(super) fn sealed(
        &self,
        id: &MessageId,
        to: &Did,
        place: u64,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE messages SET status = 'accepted', peer = ?, place = ?, envelope = ?
             WHERE id = ? AND outgoing = 1",
            params![to.as_str(), place, envelope, id.to_bytes()],
        )
    }

    /// Removes a message that was refused before its sender was told that it is accepted.
    pub(super) fn remove_outgoing(&self, id: &MessageId) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM messages WHERE id = ? AND outgoing = 1",
            params![id.to_bytes()],
        )
    }

    pub(super) fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let rows = self.db.rows(
            "SELECT id, peer, network, envelope FROM messages WHERE envelope IS NOT NULL AND lane IS NULL
             ORDER BY n",
            params![],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Waiting {
                    id: message_id(row, 0)?,
                    to: did(row, 1)?,
                    network: did(row, 2)?,
                    bytes: row.blob(3)?,
                })
            })
            .collect()
    }

    pub(super) fn message(&self, id: &MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let rows = self.db.rows(
            &format!("SELECT {COLUMNS} FROM messages WHERE id = ? ORDER BY outgoing DESC LIMIT 1"),
            params![id.to_bytes()],
        )?;
        rows.first().map(stored).transpose()
    }

    /// Returns up to `limit` messages after row `after`, oldest first.
    pub(super) fn page(
        &self,
        outgoing: Option<bool>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let filter = match outgoing {
            None => "",
            Some(true) => "AND outgoing = 1",
            Some(false) => "AND outgoing = 0",
        };
        let rows = self.db.rows(
            &format!("SELECT {COLUMNS} FROM messages WHERE n > ? {filter} ORDER BY n LIMIT ?"),
            params![after, limit],
        )?;
        rows.iter().map(stored).collect()
    }

    pub(super) fn add_ticket(&self, hash: &[u8; 32], expires: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO tickets(hash, expires) VALUES(?, ?)",
            params![*hash, expires],
        )
    }

    /// Consumes a ticket: true once, and only before it expires. Old ones go at the same time.
    pub(super) fn take_ticket(&self, hash: &[u8; 32], now: Timestamp) -> Result<bool, StoreError> {
        let taken = self.db.rows(
            "DELETE FROM tickets WHERE hash = ? RETURNING expires",
            params![*hash],
        )?;
        self.db
            .exec("DELETE FROM tickets WHERE expires <= ?", params![now])?;
        taken
            .first()
            .map_or(Ok(false), |row| Ok(row.integer(0)? > now.0))
    }
}

const COLUMNS: &str = "n, id, outgoing, peer, host, created_at, stored_at, body, status, \
     (SELECT c.card ->> 'name' FROM contacts c WHERE c.did = messages.peer), sent_at, read_at";

fn stored(row: &Row) -> Result<StoredMessage, StoreError> {
    Ok(StoredMessage {
        n: row.integer(0)?,
        id: message_id(row, 1)?,
        outgoing: row.flag(2)?,
        peer: row.text(3)?,
        host: row.text(4)?,
        created_at: row.timestamp(5)?,
        stored_at: row.timestamp(6)?,
        body: row.blob(7)?,
        status: ReceiptStatus::parse(&row.text(8)?).unwrap_or(ReceiptStatus::Accepted),
        peer_name: row.optional(9, Row::text)?,
        sent_at: row.optional(10, Row::timestamp)?,
        read_at: row.optional(11, Row::timestamp)?,
    })
}

pub(super) fn hex_list(ids: impl Iterator<Item = [u8; 16]>) -> String {
    let list: Vec<String> = ids.map(|id| HEXLOWER.encode(&id)).collect();
    serde_json::to_string(&list).unwrap_or_default()
}

pub(super) fn id_bytes(row: &Row, column: usize) -> Result<[u8; 16], StoreError> {
    row.blob(column)?
        .try_into()
        .ok()
        .ok_or(StoreError::Column(column))
}

pub(super) fn message_id(row: &Row, column: usize) -> Result<MessageId, StoreError> {
    Ok(MessageId::from_bytes(id_bytes(row, column)?))
}

pub(super) fn did(row: &Row, column: usize) -> Result<Did, StoreError> {
    Did::parse(&row.text(column)?)
        .ok()
        .ok_or(StoreError::Column(column))
}
