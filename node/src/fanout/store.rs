//! A fan-out object's SQLite: how far it has seen, and what each of its subscribers wants.

use std::rc::Rc;

use entente_firehose::{Cursor, Filter};
use entente_lexicon::api::{FilterWish, Viewer};

use crate::error::ApiError;
use crate::params;
use crate::store::sqlite::Sqlite;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS own (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (one INTEGER PRIMARY KEY CHECK (one = 1), cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS subscribers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, viewer TEXT NOT NULL, filter TEXT NOT NULL, live INTEGER NOT NULL
);
";

/// The tables.
pub(super) struct FanoutStore {
    db: Rc<Sqlite>,
}

/// A subscriber as an earlier life kept it.
pub(super) struct Kept {
    pub(super) id: u64,
    pub(super) viewer: Viewer,
    pub(super) filter: Filter,
    pub(super) is_live: bool,
}

impl FanoutStore {
    pub(super) fn open(db: Rc<Sqlite>) -> Result<Self, ApiError> {
        db.exec(SCHEMA, params![])?;
        Ok(Self { db })
    }

    pub(super) fn name(&self) -> Result<Option<String>, ApiError> {
        let row = self.db.row("SELECT name FROM own", params![])?;
        Ok(row.map(|row| row.text(0)).transpose()?)
    }

    pub(super) fn set_name(&self, name: &str) -> Result<(), ApiError> {
        let sql = "INSERT INTO own (one, name) VALUES (1, ?) ON CONFLICT (one) DO NOTHING";
        Ok(self.db.exec(sql, params![name])?)
    }

    pub(super) fn seen(&self) -> Result<Option<Cursor>, ApiError> {
        let row = self.db.row("SELECT cursor FROM seen", params![])?;
        let text = row.map(|row| row.text(0)).transpose()?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    pub(super) fn set_seen(&self, cursor: &Cursor) -> Result<(), ApiError> {
        let sql = "INSERT INTO seen (one, cursor) VALUES (1, ?1)
                   ON CONFLICT (one) DO UPDATE SET cursor = ?1";
        Ok(self.db.exec(sql, params![cursor.to_string()])?)
    }

    /// Gives a subscriber its id.
    pub(super) fn add(&self, viewer: Viewer) -> Result<u64, ApiError> {
        let sql = "INSERT INTO subscribers (viewer, filter, live) VALUES (?, '{}', 0) RETURNING id";
        let row = self.db.row(sql, params![text_of(viewer)])?;
        let row = row.ok_or_else(|| ApiError::internal("an insert that answers nothing"))?;
        Ok(row.integer(0)?)
    }

    pub(super) fn keep(&self, id: u64, filter: &Filter, is_live: bool) -> Result<(), ApiError> {
        let text = serde_json::to_string(&filter.to_wish())?;
        let sql = "UPDATE subscribers SET filter = ?2, live = ?3 WHERE id = ?1";
        Ok(self.db.exec(sql, params![id, text, u64::from(is_live)])?)
    }

    pub(super) fn forget(&self, id: u64) -> Result<(), ApiError> {
        let sql = "DELETE FROM subscribers WHERE id = ?";
        Ok(self.db.exec(sql, params![id])?)
    }

    pub(super) fn subscribers(&self) -> Result<Vec<Kept>, ApiError> {
        let sql = "SELECT id, viewer, filter, live FROM subscribers ORDER BY id";
        let rows = self.db.rows(sql, params![])?;
        let kept = rows.iter().map(|row| {
            let wish: FilterWish = serde_json::from_str(&row.text(2)?)?;
            let viewer = match row.text(1)?.as_str() {
                ADMIN => Viewer::Admin,
                _ => Viewer::Observer,
            };
            Ok(Kept {
                id: row.integer(0)?,
                viewer,
                filter: Filter::try_from(&wish).map_err(ApiError::internal)?,
                is_live: row.integer(3)? == 1,
            })
        });
        kept.collect()
    }
}

/// An admin, in the table and in the header by which the Worker says who looks.
pub(super) const ADMIN: &str = "admin";
const OBSERVER: &str = "observer";

const fn text_of(viewer: Viewer) -> &'static str {
    match viewer {
        Viewer::Admin => ADMIN,
        Viewer::Observer => OBSERVER,
    }
}
