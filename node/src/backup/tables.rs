//! All tables of an object, read and made again, whatever they are.
//!
//! What a table of FTS5 without content knows is read by `fts5vocab`: its rows are the words of each
//! document in their order, which is what was put in.

use entente_trust::backup::stream::{Frame, Table};

use super::rows::{bound, kept};
use super::stage::OWN;
use crate::error::ApiError;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// Where AUTOINCREMENT counts; SQLite makes it by itself.
const SEQUENCES: &str = "sqlite_sequence";
/// What carries no rows: statements to be run when all rows are there.
const AFTERWARDS: &str = "";
/// One-time passes: nobody's any more after a restore.
const LEFT_OUT: [&str; 1] = ["tickets"];
const VOCABULARY: &str = "backup_vocabulary";

/// What SQLite says it consists of.
struct Made {
    kind: String,
    name: String,
    table: String,
    sql: Option<String>,
}

fn made(db: &Sqlite) -> Result<Vec<Made>, StoreError> {
    let sql = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid";
    let rows = db.rows(sql, params![])?;
    let all = rows.iter().map(|row| {
        Ok(Made {
            kind: row.text(0)?,
            name: row.text(1)?,
            table: row.text(2)?,
            sql: row.optional(3, Row::text)?,
        })
    });
    let all = all.collect::<Result<Vec<_>, StoreError>>()?;
    let virtuals: Vec<_> = all
        .iter()
        .filter(|one| is_virtual(one))
        .map(|one| format!("{}_", one.name))
        .collect();
    let ours = |one: &Made| {
        let shadow = virtuals.iter().any(|front| one.table.starts_with(front));
        !(shadow
            || one.table.starts_with(OWN)
            || one.table.starts_with("_cf_")
            || one.table.starts_with("sqlite_")
            || LEFT_OUT.contains(&one.table.as_str()))
    };
    Ok(all.into_iter().filter(ours).collect())
}

fn is_virtual(one: &Made) -> bool {
    let sql = one.sql.as_deref().unwrap_or_default();
    sql.starts_with("CREATE VIRTUAL TABLE")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn columns(db: &Sqlite, table: &str) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid";
    let rows = db.rows(sql, params![table])?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Hands over every table with its rows. Never awaits: what it reads is of one instant.
pub(super) fn read(
    db: &Sqlite,
    take: &mut dyn FnMut(Frame) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let all = made(db)?;
    let mut rows = 0_u64;
    for table in all.iter().filter(|one| one.kind == "table") {
        let belongs = all
            .iter()
            .filter(|one| one.kind == "index" && one.table == table.name);
        let statements = std::iter::once(table).chain(belongs);
        let statements = statements.filter_map(|one| one.sql.clone()).collect();
        if is_virtual(table) {
            rows = rows.saturating_add(read_index(db, table, statements, take)?);
            continue;
        }
        let columns = columns(db, &table.name)?;
        let names: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
        let sql = format!("SELECT {} FROM {}", names.join(", "), quoted(&table.name));
        take(Frame::Table(Table {
            name: table.name.clone(),
            columns,
            statements,
        }))?;
        rows = rows.saturating_add(read_rows(db, &sql, take)?);
    }
    if all.iter().any(counts) {
        take(Frame::Table(Table {
            name: SEQUENCES.to_owned(),
            columns: vec!["name".to_owned(), "seq".to_owned()],
            statements: Vec::new(),
        }))?;
        rows = rows.saturating_add(read_rows(
            db,
            "SELECT name, seq FROM sqlite_sequence WHERE name NOT LIKE 'backup\\_%' ESCAPE '\\'",
            take,
        )?);
    }
    let later = all
        .iter()
        .filter(|one| !["table", "index"].contains(&one.kind.as_str()));
    take(Frame::Table(Table {
        name: AFTERWARDS.to_owned(),
        columns: Vec::new(),
        statements: later.filter_map(|one| one.sql.clone()).collect(),
    }))?;
    take(Frame::End(rows))
}

fn counts(one: &Made) -> bool {
    let sql = one.sql.as_deref().unwrap_or_default();
    sql.to_ascii_lowercase().contains("autoincrement")
}

fn read_rows(
    db: &Sqlite,
    sql: &str,
    take: &mut dyn FnMut(Frame) -> Result<(), ApiError>,
) -> Result<u64, ApiError> {
    let mut rows = 0_u64;
    db.each(sql, &mut |row: Row| {
        rows = rows.saturating_add(1);
        take(Frame::Row(
            row.into_values().into_iter().map(kept).collect(),
        ))
    })?;
    Ok(rows)
}

/// A search index without content: the words of each document, by their places.
fn read_index(
    db: &Sqlite,
    table: &Made,
    statements: Vec<String>,
    take: &mut dyn FnMut(Frame) -> Result<(), ApiError>,
) -> Result<u64, ApiError> {
    let sql = table.sql.as_deref().unwrap_or_default().replace(' ', "");
    let [column] = <[String; 1]>::try_from(columns(db, &table.name)?)
        .map_err(|_error| unknown(&table.name))?;
    if !(sql.contains("fts5(") && sql.contains("content=''")) {
        return Err(unknown(&table.name));
    }
    take(Frame::Table(Table {
        name: table.name.clone(),
        columns: vec!["rowid".to_owned(), column],
        statements,
    }))?;
    let name = table.name.replace('\'', "''");
    db.aside(&format!("DROP TABLE IF EXISTS {VOCABULARY}"), params![])?;
    db.aside(
        &format!("CREATE VIRTUAL TABLE {VOCABULARY} USING fts5vocab('{name}', 'instance')"),
        params![],
    )?;
    let rows = read_rows(
        db,
        &format!(
            "SELECT doc, group_concat(term, ' ') FROM
                (SELECT doc, term FROM {VOCABULARY} ORDER BY doc, offset) GROUP BY doc"
        ),
        take,
    );
    db.aside(&format!("DROP TABLE {VOCABULARY}"), params![])?;
    rows
}

fn unknown(table: &str) -> ApiError {
    ApiError::internal(format!("the virtual table {table} cannot be backed up"))
}

/// Takes every table away, so that those of a snapshot can take their place.
pub(super) fn clear(db: &Sqlite) -> Result<(), StoreError> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'tickets'";
    let passes = db.rows(sql, params![])?;
    let all = made(db)?;
    let tables = all.iter().filter(|one| one.kind == "table");
    let names = tables.map(|one| one.name.clone());
    let passes = passes.iter().filter_map(|row| row.text(0).ok());
    for name in names.chain(passes) {
        db.aside(&format!("DROP TABLE {}", quoted(&name)), params![])?;
    }
    Ok(())
}

/// Puts frames back.
pub(super) struct Writer<'a> {
    db: &'a Sqlite,
    insert: String,
    afterwards: Vec<String>,
    pub(super) rows: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(db: &'a Sqlite) -> Self {
        Self {
            db,
            insert: String::new(),
            afterwards: Vec::new(),
            rows: 0,
        }
    }

    pub(super) fn write(&mut self, frame: Frame) -> Result<(), StoreError> {
        match frame {
            Frame::Table(table) if table.name == AFTERWARDS => {
                self.afterwards.extend(table.statements);
            }
            Frame::Table(table) => {
                for sql in &table.statements {
                    self.db.aside(sql, params![])?;
                }
                let name = quoted(&table.name);
                if table.name == SEQUENCES {
                    self.db.aside(
                        &format!("DELETE FROM {name} WHERE name NOT LIKE 'backup\\_%' ESCAPE '\\'"),
                        params![],
                    )?;
                }
                let columns: Vec<_> = table.columns.iter().map(|name| quoted(name)).collect();
                let marks = vec!["?"; columns.len()];
                self.insert = format!(
                    "INSERT INTO {name}({}) VALUES({})",
                    columns.join(", "),
                    marks.join(", ")
                );
            }
            Frame::Row(values) => {
                let values = values.into_iter().map(bound).collect();
                self.db.aside(&self.insert, values)?;
                self.rows = self.rows.saturating_add(1);
            }
            Frame::End(_) => {
                for sql in &self.afterwards {
                    self.db.aside(sql, params![])?;
                }
            }
        }
        Ok(())
    }
}
