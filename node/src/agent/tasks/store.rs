//! The tables of tasks. What was said is ciphertext in every row; how a task stands, and with whom
//! it is, are not.

use std::rc::Rc;

use entente_lexicon::records::comms::TaskState;
use entente_lexicon::{Did, MessageId, Timestamp};
use entente_tasks::{Role, Task, Ties, Word};
use worker::SqlStorageValue;

use crate::agent::store::message_id;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS tasks(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, role TEXT NOT NULL,
        peer TEXT NOT NULL, host TEXT NOT NULL, state TEXT NOT NULL, machine TEXT NOT NULL,
        due INTEGER, over_at INTEGER, parent INTEGER, depth INTEGER NOT NULL, context BLOB, remote INTEGER NOT NULL,
        via INTEGER, created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS tasks_due ON tasks(due) WHERE due IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS tasks_over ON tasks(over_at) WHERE over_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS tasks_by_parent ON tasks(parent) WHERE parent IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks(state, n)",
    "CREATE INDEX IF NOT EXISTS tasks_by_caller ON tasks(via, changed_at, n) WHERE via IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS task_words(
        n INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL, outgoing INTEGER NOT NULL,
        at INTEGER NOT NULL, word TEXT NOT NULL, late INTEGER NOT NULL, body BLOB NOT NULL,
        unsettled INTEGER, mail BLOB, code TEXT, request TEXT, digest BLOB)",
    "CREATE INDEX IF NOT EXISTS task_words_by_task ON task_words(task, n)",
    "CREATE INDEX IF NOT EXISTS task_words_unsettled ON task_words(n) WHERE unsettled IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS task_words_by_request ON task_words(request)
        WHERE request IS NOT NULL",
];

const COLUMNS: &str = "n, id, role, peer, host, machine, parent, depth, remote, created_at, \
                       changed_at, updated_at, via";

/// A task as it is kept.
#[derive(Clone)]
pub(super) struct StoredTask {
    /// Its row; 0 before there is one.
    pub(super) n: u64,
    pub(super) id: MessageId,
    /// The other agent, and its host; this one where `via` says who else it is.
    pub(super) peer: Did,
    pub(super) host: String,
    pub(super) task: Task,
    /// The row of the task that it is a part of.
    pub(super) parent: Option<u64>,
    /// 1 for a task that is part of nothing.
    pub(super) depth: u32,
    /// Whether the other agent is of another network.
    pub(super) remote: bool,
    /// Who is on the other side by A2A: of a worker's task the number of its
    /// caller, of a requester's the number of the agent elsewhere.
    pub(super) via: Option<u64>,
    pub(super) created_at: Timestamp,
    /// When it came to stand as it does.
    pub(super) changed_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// One word on a task, sealed.
pub(super) struct StoredWord {
    pub(super) n: u64,
    pub(super) task: u64,
    pub(super) outgoing: bool,
    pub(super) at: Timestamp,
    pub(super) word: Word,
    pub(super) late: bool,
    pub(super) body: Vec<u8>,
    /// Why mail could not deliver it.
    pub(super) code: Option<String>,
}

/// A word to write down.
pub(super) struct NewWord<'a> {
    pub(super) task: u64,
    pub(super) outgoing: bool,
    /// Whether the other side has to be told.
    pub(super) untold: bool,
    pub(super) at: Timestamp,
    pub(super) word: &'a Word,
    pub(super) late: bool,
    pub(super) body: Vec<u8>,
    /// The program's idempotency key, and what it asked for.
    pub(super) request: Option<&'a (String, [u8; 32])>,
}

/// Which tasks a list shows.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) states: Vec<TaskState>,
    pub(super) role: Option<Role>,
    pub(super) peer: Option<String>,
    pub(super) context: Option<Vec<u8>>,
    pub(super) parent: Option<u64>,
    /// Tasks before this row; all of them unless said.
    pub(super) before: Option<u64>,
    pub(super) limit: u32,
}

/// Which of a caller's tasks a list shows.
pub(super) struct OfCaller {
    pub(super) caller: u64,
    pub(super) states: Option<Vec<TaskState>>,
    pub(super) context: Option<Vec<u8>>,
    /// Those that came to stand as they do after this.
    pub(super) after: Option<Timestamp>,
}

impl OfCaller {
    const CONDITION: &str = "role = 'worker' AND via = ?1
        AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2)))
        AND (?3 IS NULL OR context = ?3) AND (?4 IS NULL OR changed_at > ?4)";

    fn params(&self) -> Vec<SqlStorageValue> {
        params![
            self.caller,
            self.states.as_deref().map(names),
            self.context.as_deref(),
            self.after
        ]
    }
}

/// Typed access to the tables of tasks.
#[derive(Clone)]
pub(super) struct TaskStore {
    db: Rc<Sqlite>,
}

impl TaskStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tasks'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    pub(super) fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.transaction(work)
    }

    pub(super) fn by_id(&self, id: &MessageId) -> Result<Option<StoredTask>, StoreError> {
        self.one("id = ?", params![id.to_bytes()])
    }

    pub(super) fn by_row(&self, n: u64) -> Result<Option<StoredTask>, StoreError> {
        self.one("n = ?", params![n])
    }

    fn one(
        &self,
        condition: &str,
        params: Vec<SqlStorageValue>,
    ) -> Result<Option<StoredTask>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tasks WHERE {condition}");
        self.db.row(&sql, params)?.as_ref().map(task).transpose()
    }

    /// Writes a new task down; returns its row.
    pub(super) fn insert(
        &self,
        new: &StoredTask,
        context: Option<&[u8]>,
    ) -> Result<u64, StoreError> {
        let row = self.db.row(
            "INSERT INTO tasks(id, role, peer, host, state, machine, due, over_at, parent, depth,
                context, remote, via, created_at, changed_at, updated_at)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n",
            params![
                new.id.to_bytes(),
                new.task.role().as_str(),
                new.peer.as_str(),
                &new.host,
                new.task.state().as_str(),
                machine(&new.task)?,
                new.task.due(),
                new.task.over_at(new.changed_at),
                new.parent,
                new.depth,
                context,
                new.remote,
                new.via,
                new.created_at,
                new.changed_at,
                new.updated_at,
            ],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Writes down how a task stands.
    pub(super) fn keep(&self, stored: &StoredTask) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE tasks SET state = ?, machine = ?, due = ?, over_at = ?, changed_at = ?,
                updated_at = ? WHERE n = ?",
            params![
                stored.task.state().as_str(),
                machine(&stored.task)?,
                stored.task.due(),
                stored.task.over_at(stored.changed_at),
                stored.changed_at,
                stored.updated_at,
                stored.n,
            ],
        )
    }

    /// Forgets a task and all that was said about it, with the keys that programs said it under.
    pub(super) fn forget(&self, n: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM task_words WHERE task = ?";
        self.db.exec(sql, params![n])?;
        self.db.exec("DELETE FROM tasks WHERE n = ?", params![n])
    }

    pub(super) fn list(&self, wanted: &Listing) -> Result<Vec<StoredTask>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tasks
             WHERE (?1 = '[]' OR state IN (SELECT value FROM json_each(?1)))
                AND (?2 IS NULL OR role = ?2) AND (?3 IS NULL OR peer = ?3)
                AND (?4 IS NULL OR context = ?4) AND (?5 IS NULL OR parent = ?5)
                AND (?6 IS NULL OR n < ?6)
             ORDER BY n DESC LIMIT ?7"
        );
        let rows = self.db.rows(
            &sql,
            params![
                names(&wanted.states),
                wanted.role.map(Role::as_str),
                wanted.peer.as_deref(),
                wanted.context.as_deref(),
                wanted.parent,
                wanted.before,
                wanted.limit,
            ],
        )?;
        rows.iter().map(task).collect()
    }

    /// Lists a caller's tasks: those that changed last come first.
    pub(super) fn list_of_caller(
        &self,
        wanted: &OfCaller,
        before: Option<(Timestamp, u64)>,
        limit: u32,
    ) -> Result<Vec<StoredTask>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tasks WHERE {}
                AND (?5 IS NULL OR (changed_at, n) < (?5, ?6))
             ORDER BY changed_at DESC, n DESC LIMIT ?7",
            OfCaller::CONDITION
        );
        let mut params = wanted.params();
        params.extend(params![
            before.map(|(at, _)| at),
            before.map(|(_, n)| n),
            limit
        ]);
        self.db.rows(&sql, params)?.iter().map(task).collect()
    }

    /// Counts what [`TaskStore::list_of_caller`] lists.
    pub(super) fn count_of_caller(&self, wanted: &OfCaller) -> Result<u32, StoreError> {
        let sql = format!("SELECT count(*) FROM tasks WHERE {}", OfCaller::CONDITION);
        count(self.db.row(&sql, wanted.params())?)
    }

    /// Counts the open tasks of a caller.
    pub(super) fn count_open_via(&self, caller: u64) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM tasks WHERE role = 'worker' AND via = ?
             AND state IN ('submitted', 'accepted', 'working', 'input-required')";
        count(self.db.row(sql, params![caller])?)
    }

    /// Returns the tasks that are directly part of one and have not ended.
    pub(super) fn open_children(&self, n: u64) -> Result<Vec<u64>, StoreError> {
        let rows = self.db.rows(
            "SELECT n FROM tasks WHERE parent = ? AND role = 'requester'
             AND state NOT IN ('completed', 'failed', 'rejected', 'canceled')",
            params![n],
        )?;
        rows.iter().map(|row| row.integer(0)).collect()
    }

    /// Returns whom the sub-tasks of one were asked of, with their hosts.
    pub(super) fn helpers(&self, n: u64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT peer || '@' || host FROM tasks WHERE parent = ?";
        let rows = self.db.rows(sql, params![n])?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    pub(super) fn count_children(&self, n: u64) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM tasks WHERE parent = ?";
        count(self.db.row(sql, params![n])?)
    }

    /// Counts the open tasks, of one peer where it is named.
    pub(super) fn count_open(&self, peer: Option<&Did>) -> Result<u32, StoreError> {
        count(self.db.row(
            "SELECT count(*) FROM tasks WHERE (?1 IS NULL OR peer = ?1 AND via IS NULL)
             AND state IN ('submitted', 'accepted', 'working', 'input-required')",
            params![peer.map(Did::as_str)],
        )?)
    }

    /// Returns the rows of some of the tasks for which something is due.
    pub(super) fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT n FROM tasks WHERE due <= ? ORDER BY due LIMIT ?";
        let rows = self.db.rows(sql, params![now, limit])?;
        rows.iter().map(|row| row.integer(0)).collect()
    }

    /// Returns when something is due next.
    pub(super) fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(due) FROM tasks WHERE due IS NOT NULL";
        let row = self.db.row(sql, params![])?;
        let due = row.map(|row| row.optional(0, Row::timestamp)).transpose()?;
        Ok(due.flatten())
    }

    /// Returns some of the tasks that were over at this time, those first that have been for longest.
    pub(super) fn over(&self, at: Timestamp, limit: u32) -> Result<Vec<StoredTask>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tasks WHERE over_at <= ? ORDER BY over_at, n DESC LIMIT ?"
        );
        let rows = self.db.rows(&sql, params![at, limit])?;
        rows.iter().map(task).collect()
    }

    /// Returns since when the task is over that has been for longest, or when the first will be.
    pub(super) fn first_over(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(over_at) FROM tasks WHERE over_at IS NOT NULL";
        let row = self.db.row(sql, params![])?;
        let over = row.map(|row| row.optional(0, Row::timestamp)).transpose()?;
        Ok(over.flatten())
    }

    /// Has a task count as over from then on.
    pub(super) fn keep_longer(&self, n: u64, over: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE tasks SET over_at = ? WHERE n = ?";
        self.db.exec(sql, params![over, n])
    }

    /// Returns what hangs on a task.
    pub(super) fn ties(&self, n: u64) -> Result<Ties, StoreError> {
        let row = self.db.row(
            "SELECT
                EXISTS(SELECT 1 FROM task_words w WHERE w.task = t.n AND w.unsettled IS NOT NULL),
                EXISTS(SELECT 1 FROM tasks p WHERE p.n = t.parent
                    AND p.state NOT IN ('completed', 'failed', 'rejected', 'canceled')),
                EXISTS(SELECT 1 FROM tasks c WHERE c.parent = t.n)
             FROM tasks t WHERE t.n = ?",
            params![n],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok(Ties {
            untold: row.flag(0)?,
            parent_open: row.flag(1)?,
            children: row.flag(2)?,
        })
    }

    pub(super) fn insert_word(&self, new: &NewWord<'_>) -> Result<u64, StoreError> {
        let row = self.db.row(
            "INSERT INTO task_words(task, outgoing, at, word, late, body, unsettled, request, digest)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n",
            params![
                new.task,
                new.outgoing,
                new.at,
                serde_json::to_string(new.word).map_err(|_error| StoreError::Column(0))?,
                new.late,
                new.body.as_slice(),
                new.untold.then_some(1_u32),
                new.request.map(|(key, _)| key.as_str()),
                new.request.map(|(_, digest)| digest.to_vec()),
            ],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Returns the task that a program's request with this key was about, and what it asked for.
    pub(super) fn by_request(&self, key: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let sql = "SELECT task, digest FROM task_words WHERE request = ?";
        let row = self.db.row(sql, params![key])?;
        row.map(|row| Ok((row.integer(0)?, row.blob(1)?)))
            .transpose()
    }

    pub(super) fn words(&self, task: u64) -> Result<Vec<StoredWord>, StoreError> {
        self.words_where("task = ? ORDER BY n", params![task])
    }

    /// Returns the words on a task after this one.
    pub(super) fn words_after(&self, task: u64, n: u64) -> Result<Vec<StoredWord>, StoreError> {
        self.words_where("task = ? AND n > ? ORDER BY n", params![task, n])
    }

    /// Returns this agent's last word on a task.
    pub(super) fn last_said(&self, task: u64) -> Result<Option<StoredWord>, StoreError> {
        let found = self.words_where(
            "task = ? AND outgoing = 1 ORDER BY n DESC LIMIT 1",
            params![task],
        )?;
        Ok(found.into_iter().next())
    }

    /// Counts what the other side said.
    pub(super) fn count_incoming(&self, task: u64) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM task_words WHERE task = ? AND outgoing = 0";
        count(self.db.row(sql, params![task])?)
    }

    /// Returns the request of a task.
    pub(super) fn request_word(&self, task: u64) -> Result<Option<StoredWord>, StoreError> {
        let found = self.words_where(
            "task = ? AND word->>'says' = 'request' ORDER BY n LIMIT 1",
            params![task],
        )?;
        Ok(found.into_iter().next())
    }

    /// Returns the last word on a task that counted.
    pub(super) fn last_word(&self, task: u64) -> Result<Option<StoredWord>, StoreError> {
        let found = self.words_where(
            "task = ? AND late = 0 ORDER BY n DESC LIMIT 1",
            params![task],
        )?;
        Ok(found.into_iter().next())
    }

    pub(super) fn count_words(&self, task: u64) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM task_words WHERE task = ?";
        count(self.db.row(sql, params![task])?)
    }

    /// Returns words that mail does not have yet, in the order in which they were said.
    pub(super) fn untold(&self, limit: u32) -> Result<Vec<StoredWord>, StoreError> {
        self.words_where(
            "unsettled IS NOT NULL AND mail IS NULL
                AND (SELECT via FROM tasks t WHERE t.n = task) IS NULL ORDER BY n LIMIT ?",
            params![limit],
        )
    }

    /// Returns words that agents elsewhere do not have yet, in the order in which they were said; none
    /// for the `resting` ones.
    pub(super) fn untold_elsewhere(
        &self,
        resting: &[u64],
        limit: u32,
    ) -> Result<Vec<StoredWord>, StoreError> {
        self.words_where(
            "unsettled IS NOT NULL AND mail IS NULL
                AND EXISTS (SELECT 1 FROM tasks t WHERE t.n = task AND t.via IS NOT NULL
                    AND t.via NOT IN (SELECT value FROM json_each(?)))
             ORDER BY n LIMIT ?",
            params![serde_json::to_string(resting).unwrap_or_default(), limit],
        )
    }

    /// An agent elsewhere has the word.
    pub(super) fn told_elsewhere(&self, n: u64) -> Result<(), StoreError> {
        let sql = "UPDATE task_words SET unsettled = NULL WHERE n = ?";
        self.db.exec(sql, params![n])
    }

    fn words_where(
        &self,
        condition: &str,
        params: Vec<SqlStorageValue>,
    ) -> Result<Vec<StoredWord>, StoreError> {
        let sql = format!(
            "SELECT n, task, outgoing, at, word, late, body, code FROM task_words WHERE {condition}"
        );
        self.db.rows(&sql, params)?.iter().map(word).collect()
    }

    /// Mail has the word.
    pub(super) fn told(&self, n: u64, mail: &MessageId) -> Result<(), StoreError> {
        let sql = "UPDATE task_words SET mail = ? WHERE n = ?";
        self.db.exec(sql, params![mail.to_bytes(), n])
    }

    /// The word will never arrive.
    pub(super) fn untellable(&self, n: u64, code: &str) -> Result<(), StoreError> {
        let sql = "UPDATE task_words SET unsettled = NULL, code = ? WHERE n = ?";
        self.db.exec(sql, params![code, n])
    }

    /// Forgets that words have to arrive which have; returns those that never will, and why.
    pub(super) fn settle(&self) -> Result<Vec<(StoredWord, String)>, StoreError> {
        self.db.exec(
            "UPDATE task_words SET unsettled = NULL
             WHERE unsettled IS NOT NULL AND mail IN (SELECT m.id FROM messages m
                WHERE m.id = mail AND m.outgoing = 1 AND m.status IN ('delivered', 'read'))",
            params![],
        )?;
        let rows = self.db.rows(
            "SELECT w.n, w.task, w.outgoing, w.at, w.word, w.late, w.body, w.code, coalesce(
                (SELECT r.code FROM receipts r WHERE r.id = w.mail AND r.status = m.status),
                upper(m.status))
             FROM task_words w JOIN messages m ON m.id = w.mail AND m.outgoing = 1
             WHERE w.unsettled IS NOT NULL AND m.status IN ('refused', 'expired')
             ORDER BY w.n LIMIT 100",
            params![],
        )?;
        rows.iter()
            .map(|row| Ok((word(row)?, row.text(8)?)))
            .collect()
    }
}

fn names(states: &[TaskState]) -> String {
    let names: Vec<_> = states.iter().map(|state| state.as_str()).collect();
    serde_json::to_string(&names).unwrap_or_default()
}

fn machine(task: &Task) -> Result<String, StoreError> {
    serde_json::to_string(task).map_err(|_error| StoreError::Column(5))
}

fn count(row: Option<Row>) -> Result<u32, StoreError> {
    let count = row.ok_or(StoreError::Column(0))?.integer(0)?;
    u32::try_from(count).map_err(|_error| StoreError::Column(0))
}

fn did(row: &Row, column: usize) -> Result<Did, StoreError> {
    Did::parse(&row.text(column)?).map_err(|_error| StoreError::Column(column))
}

fn task(row: &Row) -> Result<StoredTask, StoreError> {
    let depth = u32::try_from(row.integer(7)?);
    let machine = row.text(5)?;
    Ok(StoredTask {
        n: row.integer(0)?,
        id: message_id(row, 1)?,
        peer: did(row, 3)?,
        host: row.text(4)?,
        task: serde_json::from_str(&machine).map_err(|_error| StoreError::Column(5))?,
        parent: row.optional(6, Row::integer)?,
        depth: depth.map_err(|_error| StoreError::Column(7))?,
        remote: row.flag(8)?,
        created_at: row.timestamp(9)?,
        changed_at: row.timestamp(10)?,
        updated_at: row.timestamp(11)?,
        via: row.optional(12, Row::integer)?,
    })
}

fn word(row: &Row) -> Result<StoredWord, StoreError> {
    let text = row.text(4)?;
    Ok(StoredWord {
        n: row.integer(0)?,
        task: row.integer(1)?,
        outgoing: row.flag(2)?,
        at: row.timestamp(3)?,
        word: serde_json::from_str(&text).map_err(|_error| StoreError::Column(4))?,
        late: row.flag(5)?,
        body: row.blob(6)?,
        code: row.optional(7, Row::text)?,
    })
}
