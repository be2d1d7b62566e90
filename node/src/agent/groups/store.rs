//! The tables of groups. Names, members, keys and what was said are ciphertext in every row; that there
//! is a group, whose it is, and whom something has to be told are not.

use std::rc::Rc;

use entente_groups::{Group, Says, Waiting};
use entente_lexicon::cast::Via;
use entente_lexicon::{Address, Did, Host, MessageId, Timestamp};

use crate::agent::store::message_id;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS groups(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, owner TEXT NOT NULL,
        standing TEXT NOT NULL, machine BLOB NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS group_words(
        n INTEGER PRIMARY KEY AUTOINCREMENT, grp BLOB NOT NULL, member TEXT NOT NULL,
        host TEXT NOT NULL, says TEXT NOT NULL, at INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0,
        mail BLOB, open INTEGER, code TEXT)",
    "CREATE INDEX IF NOT EXISTS group_words_open ON group_words(n) WHERE open IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS group_words_by_group ON group_words(grp, member, n)",
    "CREATE TABLE IF NOT EXISTS group_posts(
        n INTEGER PRIMARY KEY AUTOINCREMENT, grp BLOB NOT NULL, id BLOB NOT NULL,
        sender TEXT NOT NULL, host TEXT NOT NULL, outgoing INTEGER NOT NULL, at INTEGER NOT NULL,
        body BLOB NOT NULL, epoch INTEGER, sealed BLOB, key BLOB, request TEXT, digest BLOB)",
    "CREATE UNIQUE INDEX IF NOT EXISTS group_posts_by_id ON group_posts(grp, sender, id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS group_posts_by_request ON group_posts(request)
        WHERE request IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS group_sends(
        n INTEGER PRIMARY KEY AUTOINCREMENT, post INTEGER NOT NULL, grp BLOB NOT NULL,
        member TEXT NOT NULL, host TEXT NOT NULL, number INTEGER NOT NULL,
        mail BLOB, tries INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0,
        waits INTEGER NOT NULL DEFAULT 0, open INTEGER, status TEXT, code TEXT, via TEXT)",
    "CREATE INDEX IF NOT EXISTS group_sends_open ON group_sends(grp, member, number)
        WHERE open IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS group_sends_by_post ON group_sends(post)",
    "CREATE TABLE IF NOT EXISTS group_lanes(
        grp BLOB NOT NULL, member TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0,
        expected INTEGER NOT NULL DEFAULT 1, PRIMARY KEY(grp, member)) WITHOUT ROWID",
];

/// A group's row, still sealed.
pub(super) struct StoredGroup {
    pub(super) id: MessageId,
    pub(super) machine: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// Something that has to be told.
pub(super) struct StoredWord {
    pub(super) n: u64,
    pub(super) group: MessageId,
    pub(super) to: Address,
    pub(super) says: Says,
    /// The epoch that mail was given with it, 0 where there is none.
    pub(super) told: u64,
}

/// Something that was said.
pub(super) struct StoredPost {
    pub(super) n: u64,
    pub(super) group: MessageId,
    pub(super) id: MessageId,
    pub(super) sender: Did,
    pub(super) host: String,
    pub(super) outgoing: bool,
    pub(super) at: Timestamp,
    /// Sealed under the agent's storage key.
    pub(super) body: Vec<u8>,
    /// As it travels, and the epoch under whose key it is sealed.
    pub(super) sealed: Option<(u64, Vec<u8>)>,
    /// Of a broadcast: its key, sealed under the agent's storage key.
    pub(super) key: Option<Vec<u8>>,
}

/// Something to write down that was said.
pub(super) struct NewPost<'a> {
    pub(super) group: &'a MessageId,
    pub(super) id: &'a MessageId,
    pub(super) sender: &'a Did,
    pub(super) host: &'a Host,
    pub(super) outgoing: bool,
    pub(super) at: Timestamp,
    pub(super) body: Vec<u8>,
    /// The program's idempotency key, and what it asked for.
    pub(super) request: Option<(&'a str, [u8; 32])>,
}

/// Something that was said, on its way to one listener.
pub(super) struct StoredSend {
    pub(super) n: u64,
    pub(super) post: u64,
    pub(super) group: MessageId,
    pub(super) to: Address,
    pub(super) number: u64,
    pub(super) tries: u32,
    /// The epoch that it was said under.
    pub(super) epoch: u64,
    /// It waits for a later one.
    pub(super) waits: bool,
    /// Of a broadcast: why this agent gets it.
    pub(super) via: Option<Via>,
}

/// How far something came to one listener.
pub(super) struct SendState {
    pub(super) to: Address,
    pub(super) status: String,
    pub(super) code: Option<String>,
}

/// Typed access to the tables of groups.
pub(super) struct GroupStore {
    db: Rc<Sqlite>,
}

impl GroupStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'groups'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    pub(super) fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.transaction(work)
    }

    pub(super) fn group(&self, id: &MessageId) -> Result<Option<StoredGroup>, StoreError> {
        let sql = "SELECT id, machine, created_at, updated_at FROM groups WHERE id = ?";
        let row = self.db.row(sql, params![id.to_bytes()])?;
        row.as_ref().map(group).transpose()
    }

    pub(super) fn groups(&self) -> Result<Vec<StoredGroup>, StoreError> {
        let sql = "SELECT id, machine, created_at, updated_at FROM groups ORDER BY n";
        self.db.rows(sql, params![])?.iter().map(group).collect()
    }

    /// Counts groups, of one owner where it is named.
    pub(super) fn count(&self, owner: Option<&Did>) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM groups WHERE ?1 IS NULL OR owner = ?1";
        let row = self.db.row(sql, params![owner.map(Did::as_str)])?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Writes a group down as it is now.
    pub(super) fn keep(
        &self,
        id: &MessageId,
        group: &Group,
        machine: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO groups(id, owner, standing, machine, created_at, updated_at)
             VALUES(?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT(id) DO UPDATE SET standing = ?3, machine = ?4, updated_at = ?5",
            params![
                id.to_bytes(),
                group.owner().did.as_str(),
                group.standing().as_str(),
                machine,
                now
            ],
        )
    }

    /// Forgets a group and all that was said in it.
    pub(super) fn forget(&self, id: &MessageId) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM groups WHERE id = ?",
            "DELETE FROM group_words WHERE grp = ?",
            "DELETE FROM group_posts WHERE grp = ?",
            "DELETE FROM group_sends WHERE grp = ?",
            "DELETE FROM group_lanes WHERE grp = ?",
        ] {
            self.db.exec(sql, params![id.to_bytes()])?;
        }
        Ok(())
    }

    /// Writes down what has to be told, unless a word that waits will have told it.
    pub(super) fn tell(
        &self,
        group: &MessageId,
        to: &Address,
        says: Says,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let waiting = self.waiting(group, &to.did)?;
        if waiting.iter().any(|word| word.stands_for(says)) {
            return Ok(());
        }
        let text = serde_json::to_string(&says).map_err(|_error| StoreError::Column(0))?;
        self.db.exec(
            "INSERT INTO group_words(grp, member, host, says, at, open) VALUES(?, ?, ?, ?, ?, 1)",
            params![
                group.to_bytes(),
                to.did.as_str(),
                to.host.as_str(),
                text,
                now
            ],
        )
    }

    /// Returns what one agent is to be told and mail has not taken.
    fn waiting(&self, group: &MessageId, to: &Did) -> Result<Vec<Waiting>, StoreError> {
        let sql = format!(
            "SELECT {WORD} FROM group_words w WHERE w.grp = ? AND w.member = ?
             AND w.open IS NOT NULL AND w.mail IS NULL"
        );
        let rows = self.db.rows(&sql, params![group.to_bytes(), to.as_str()])?;
        let waiting = |row: &Row| {
            let word = word(row)?;
            Ok(Waiting {
                says: word.says,
                given: (word.told > 0).then_some(word.told),
            })
        };
        rows.iter().map(waiting).collect()
    }

    /// Returns what mail does not have yet, in the order in which it came up.
    pub(super) fn untold(&self, limit: u32) -> Result<Vec<StoredWord>, StoreError> {
        let sql = format!(
            "SELECT {WORD} FROM group_words w WHERE w.open IS NOT NULL AND w.mail IS NULL
             ORDER BY w.n LIMIT ?"
        );
        self.db
            .rows(&sql, params![limit])?
            .iter()
            .map(word)
            .collect()
    }

    /// Mail is being given it, with this epoch.
    pub(super) fn giving(&self, n: u64, epoch: u64) -> Result<(), StoreError> {
        let sql = "UPDATE group_words SET told = ? WHERE n = ?";
        self.db.exec(sql, params![epoch, n])
    }

    /// Mail has it.
    pub(super) fn told(&self, n: u64, mail: &MessageId) -> Result<(), StoreError> {
        let sql = "UPDATE group_words SET mail = ? WHERE n = ?";
        self.db.exec(sql, params![mail.to_bytes(), n])
    }

    /// It needs nothing more; `code` says why it did not arrive.
    pub(super) fn word_done(&self, n: u64, code: Option<&str>) -> Result<(), StoreError> {
        let sql = "UPDATE group_words SET open = NULL, code = ? WHERE n = ?";
        self.db.exec(sql, params![code, n])
    }

    /// Takes down what arrived; returns what never will, and why.
    pub(super) fn settle_words(&self) -> Result<Vec<(StoredWord, String)>, StoreError> {
        self.db.exec(
            "DELETE FROM group_words WHERE open IS NOT NULL AND mail IN (SELECT m.id
                FROM messages m WHERE m.id = mail AND m.outgoing = 1
                AND m.status IN ('delivered', 'read'))",
            params![],
        )?;
        let sql = format!(
            "SELECT {WORD}, {CODE} FROM group_words w JOIN messages m ON m.id = w.mail
             AND m.outgoing = 1 LEFT JOIN receipts r ON r.id = m.id AND r.status = m.status
             WHERE w.open IS NOT NULL AND m.status IN ('refused', 'expired') ORDER BY w.n LIMIT 100"
        );
        let rows = self.db.rows(&sql, params![])?;
        rows.iter()
            .map(|row| Ok((word(row)?, row.text(6)?)))
            .collect()
    }

    /// Returns why a member could not be told what it was last told.
    pub(super) fn undelivered(
        &self,
        group: &MessageId,
        member: &Did,
    ) -> Result<Option<String>, StoreError> {
        let row = self.db.row(
            "SELECT code FROM group_words WHERE grp = ? AND member = ? ORDER BY n DESC LIMIT 1",
            params![group.to_bytes(), member.as_str()],
        )?;
        row.map(|row| row.optional(0, Row::text))
            .transpose()
            .map(Option::flatten)
    }

    pub(super) fn insert_post(&self, new: &NewPost<'_>) -> Result<u64, StoreError> {
        let row = self.db.row(
            "INSERT INTO group_posts(grp, id, sender, host, outgoing, at, body, request, digest)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n",
            params![
                new.group.to_bytes(),
                new.id.to_bytes(),
                new.sender.as_str(),
                new.host.as_str(),
                new.outgoing,
                new.at,
                new.body.as_slice(),
                new.request.map(|(key, _)| key),
                new.request.map(|(_, digest)| digest),
            ],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    pub(super) fn has_post(
        &self,
        group: &MessageId,
        sender: &Did,
        id: &MessageId,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM group_posts WHERE grp = ? AND sender = ? AND id = ?";
        let params = params![group.to_bytes(), sender.as_str(), id.to_bytes()];
        Ok(self.db.row(sql, params)?.is_some())
    }

    pub(super) fn post(&self, n: u64) -> Result<Option<StoredPost>, StoreError> {
        let sql = format!("SELECT {POST} FROM group_posts WHERE n = ?");
        self.db
            .row(&sql, params![n])?
            .as_ref()
            .map(post)
            .transpose()
    }

    /// Returns what a program's request with this key said, and its digest.
    pub(super) fn by_request(&self, key: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let sql = "SELECT n, digest FROM group_posts WHERE request = ?";
        let row = self.db.row(sql, params![key])?;
        row.map(|row| Ok((row.integer(0)?, row.blob(1)?)))
            .transpose()
    }

    /// Returns what was said in a group after row `after`.
    pub(super) fn posts(
        &self,
        group: &MessageId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredPost>, StoreError> {
        let sql =
            format!("SELECT {POST} FROM group_posts WHERE grp = ? AND n > ? ORDER BY n LIMIT ?");
        let rows = self
            .db
            .rows(&sql, params![group.to_bytes(), after, limit])?;
        rows.iter().map(post).collect()
    }

    /// Keeps what is said as it travels, under an epoch's key.
    pub(super) fn seal(&self, n: u64, epoch: u64, sealed: &[u8]) -> Result<(), StoreError> {
        let sql = "UPDATE group_posts SET epoch = ?, sealed = ? WHERE n = ?";
        self.db.exec(sql, params![epoch, sealed, n])
    }

    /// Writes down that a post has to get to a listener, under its next number.
    pub(super) fn send(
        &self,
        post: u64,
        group: &MessageId,
        to: &Address,
    ) -> Result<(), StoreError> {
        let row = self.db.row(
            "INSERT INTO group_lanes(grp, member, sent) VALUES(?1, ?2, 1)
             ON CONFLICT(grp, member) DO UPDATE SET sent = sent + 1 RETURNING sent",
            params![group.to_bytes(), to.did.as_str()],
        )?;
        let number = row.ok_or(StoreError::Column(0))?.integer(0)?;
        self.db.exec(
            "INSERT INTO group_sends(post, grp, member, host, number, open)
             VALUES(?, ?, ?, ?, ?, 1)",
            params![
                post,
                group.to_bytes(),
                to.did.as_str(),
                to.host.as_str(),
                number
            ],
        )
    }

    /// Keeps a broadcast as it travels, and its key, sealed.
    pub(super) fn seal_cast(&self, n: u64, sealed: &[u8], key: &[u8]) -> Result<(), StoreError> {
        let sql = "UPDATE group_posts SET epoch = 0, sealed = ?, key = ? WHERE n = ?";
        self.db.exec(sql, params![sealed, key, n])
    }

    /// Writes down that a broadcast has to get to a recipient.
    pub(super) fn send_cast(
        &self,
        post: u64,
        id: &MessageId,
        to: &Address,
        via: Via,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO group_sends(post, grp, member, host, number, open, via)
             VALUES(?, ?, ?, ?, 1, 1, ?)",
            params![
                post,
                id.to_bytes(),
                to.did.as_str(),
                to.host.as_str(),
                via.as_str()
            ],
        )
    }

    /// Returns a broadcast of this agent's.
    pub(super) fn cast(&self, id: &MessageId, me: &Did) -> Result<Option<StoredPost>, StoreError> {
        let sql =
            format!("SELECT {POST} FROM group_posts WHERE grp = ?1 AND id = ?1 AND sender = ?2");
        let row = self.db.row(&sql, params![id.to_bytes(), me.as_str()])?;
        row.as_ref().map(post).transpose()
    }

    /// Returns how far a broadcast came, also in the groups that it was said in.
    pub(super) fn cast_states(
        &self,
        post: u64,
        id: &MessageId,
    ) -> Result<Vec<SendState>, StoreError> {
        let mut states = self.states(post)?;
        let sql = "SELECT n FROM group_posts WHERE request LIKE ? ORDER BY n";
        let rows = self.db.rows(sql, params![format!("broadcast/{id}/%")])?;
        for row in &rows {
            states.extend(self.states(row.integer(0)?)?);
        }
        Ok(states)
    }

    /// Counts what has not come to its listener.
    pub(super) fn count_open(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM group_sends WHERE open IS NOT NULL";
        let row = self.db.row(sql, params![])?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Returns what mail does not have yet, by group, listener and number.
    pub(super) fn unsent(&self) -> Result<Vec<StoredSend>, StoreError> {
        let sql = format!(
            "SELECT {SEND} FROM group_sends s WHERE s.open IS NOT NULL AND s.mail IS NULL
             ORDER BY s.grp, s.member, s.number"
        );
        self.db.rows(&sql, params![])?.iter().map(send).collect()
    }

    /// Returns the lowest number to a listener that is open.
    pub(super) fn lowest_open(
        &self,
        group: &MessageId,
        to: &Did,
    ) -> Result<Option<u64>, StoreError> {
        let row = self.db.row(
            "SELECT min(number) FROM group_sends WHERE grp = ? AND member = ? AND open IS NOT NULL",
            params![group.to_bytes(), to.as_str()],
        )?;
        row.map(|row| row.optional(0, Row::integer))
            .transpose()
            .map(Option::flatten)
    }

    /// Mail has it.
    pub(super) fn sent(&self, n: u64, mail: &MessageId, epoch: u64) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE group_sends SET mail = ?, epoch = ?, tries = tries + 1, waits = 0 WHERE n = ?",
            params![mail.to_bytes(), epoch, n],
        )
    }

    /// It is said again.
    pub(super) fn again(&self, send: &StoredSend, waits: bool) -> Result<(), StoreError> {
        let sql = "UPDATE group_sends SET mail = NULL, tries = ?, epoch = ?, waits = ? WHERE n = ?";
        self.db
            .exec(sql, params![send.tries, send.epoch, waits, send.n])
    }

    /// It needs nothing more. What all have, or will not get, is not kept as it travels.
    pub(super) fn send_done(
        &self,
        send: &StoredSend,
        status: &str,
        code: Option<&str>,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE group_sends SET open = NULL, status = ?, code = ? WHERE n = ?",
            params![status, code, send.n],
        )?;
        self.db.exec(
            "UPDATE group_posts SET sealed = NULL, epoch = NULL WHERE n = ?1 AND NOT EXISTS (
                SELECT 1 FROM group_sends WHERE post = ?1 AND open IS NOT NULL)",
            params![send.post],
        )
    }

    /// Returns what mail is done with: how each ended, and why.
    pub(super) fn settled(&self) -> Result<Vec<(StoredSend, String, Option<String>)>, StoreError> {
        let sql = format!(
            "SELECT {SEND}, m.status, iif(m.status IN ('delivered', 'read'), NULL, {CODE})
             FROM group_sends s JOIN messages m ON m.id = s.mail AND m.outgoing = 1
             LEFT JOIN receipts r ON r.id = m.id AND r.status = m.status
             WHERE s.open IS NOT NULL AND m.status IN ('delivered', 'read', 'refused', 'expired')
             ORDER BY s.grp, s.member, s.number LIMIT 500"
        );
        let rows = self.db.rows(&sql, params![])?;
        rows.iter()
            .map(|row| Ok((send(row)?, row.text(10)?, row.optional(11, Row::text)?)))
            .collect()
    }

    /// Returns how far a post came, by listener.
    pub(super) fn states(&self, post: u64) -> Result<Vec<SendState>, StoreError> {
        let rows = self.db.rows(
            "SELECT s.member, s.host, coalesce(s.status, m.status, 'waiting'), s.code
             FROM group_sends s LEFT JOIN messages m ON m.id = s.mail AND m.outgoing = 1
                AND s.waits = 0 AND m.status <> 'refused'
             WHERE s.post = ? ORDER BY s.n",
            params![post],
        )?;
        rows.iter()
            .map(|row| {
                Ok(SendState {
                    to: address(row, 0)?,
                    status: row.text(2)?,
                    code: row.optional(3, Row::text)?,
                })
            })
            .collect()
    }

    /// Returns the number that is expected next of an author.
    pub(super) fn expected(&self, group: &MessageId, from: &Did) -> Result<u64, StoreError> {
        let sql = "SELECT expected FROM group_lanes WHERE grp = ? AND member = ?";
        let row = self.db.row(sql, params![group.to_bytes(), from.as_str()])?;
        row.map_or(Ok(1), |row| row.integer(0))
    }

    pub(super) fn expect(
        &self,
        group: &MessageId,
        from: &Did,
        next: u64,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO group_lanes(grp, member, expected) VALUES(?1, ?2, ?3)
             ON CONFLICT(grp, member) DO UPDATE SET expected = ?3",
            params![group.to_bytes(), from.as_str(), next],
        )
    }
}

const WORD: &str = "w.n, w.grp, w.member, w.host, w.says, w.told";
const POST: &str = "n, grp, id, sender, host, outgoing, at, body, epoch, sealed, key";
const SEND: &str = "s.n, s.post, s.grp, s.member, s.host, s.number, s.tries, s.epoch, s.waits, \
                    s.via";
/// Why mail did not deliver a message `m` with a receipt `r`.
const CODE: &str = "coalesce(r.code, upper(m.status))";

fn group(row: &Row) -> Result<StoredGroup, StoreError> {
    Ok(StoredGroup {
        id: message_id(row, 0)?,
        machine: row.blob(1)?,
        created_at: row.timestamp(2)?,
        updated_at: row.timestamp(3)?,
    })
}

fn address(row: &Row, column: usize) -> Result<Address, StoreError> {
    let bad = |_error| StoreError::Column(column);
    let host = row.text(column.saturating_add(1))?;
    Ok(Address {
        did: Did::parse(&row.text(column)?).map_err(bad)?,
        host: Host::parse(&host).map_err(bad)?,
    })
}

fn word(row: &Row) -> Result<StoredWord, StoreError> {
    let says = row.text(4)?;
    Ok(StoredWord {
        n: row.integer(0)?,
        group: message_id(row, 1)?,
        to: address(row, 2)?,
        says: serde_json::from_str(&says).map_err(|_error| StoreError::Column(4))?,
        told: row.integer(5)?,
    })
}

fn post(row: &Row) -> Result<StoredPost, StoreError> {
    let sealed = row.optional(9, Row::blob)?;
    let epoch = row.optional(8, Row::integer)?;
    Ok(StoredPost {
        n: row.integer(0)?,
        group: message_id(row, 1)?,
        id: message_id(row, 2)?,
        sender: crate::agent::store::did(row, 3)?,
        host: row.text(4)?,
        outgoing: row.flag(5)?,
        at: row.timestamp(6)?,
        body: row.blob(7)?,
        sealed: epoch.zip(sealed),
        key: row.optional(10, Row::blob)?,
    })
}

fn send(row: &Row) -> Result<StoredSend, StoreError> {
    let tries = u32::try_from(row.integer(6)?);
    Ok(StoredSend {
        n: row.integer(0)?,
        post: row.integer(1)?,
        group: message_id(row, 2)?,
        to: address(row, 3)?,
        number: row.integer(5)?,
        tries: tries.map_err(|_error| StoreError::Column(6))?,
        epoch: row.integer(7)?,
        waits: row.flag(8)?,
        via: row.optional(9, Row::text)?.and_then(|via| Via::parse(&via)),
    })
}
