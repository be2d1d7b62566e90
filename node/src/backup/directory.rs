//! The network's directory in D1, as one part of a backup.

use entente_trust::backup::stream::{Frame, Table, Value};
use serde_json::{Map, Value as Json};
use wasm_bindgen::JsValue;
use worker::Env;

use super::Keeper;
use super::wire::{PutBack, TakeSnapshot, Taken};
use crate::error::ApiError;
use crate::store::d1::Directory;

/// The rows of one table.
type Rows = Vec<Map<String, Json>>;

/// Takes a snapshot of the directory.
///
/// # Errors
/// As [`Keeper::take`], and if D1 fails.
pub async fn take(keeper: &Keeper, env: &Env, wish: &TakeSnapshot) -> Result<Taken, ApiError> {
    let tables = Directory::open(env)?.dump().await?;
    keeper
        .take_from(wish, false, &mut |take| write(&tables, take))
        .await
}

fn write(
    tables: &[(&'static str, Rows)],
    take: &mut dyn FnMut(Frame) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let mut rows = 0_u64;
    for (name, all) in tables {
        let Some(first) = all.first() else { continue };
        take(Frame::Table(Table {
            name: (*name).to_owned(),
            columns: first.keys().cloned().collect(),
            statements: Vec::new(),
        }))?;
        for row in all {
            rows = rows.saturating_add(1);
            take(Frame::Row(row.values().map(kept).collect()))?;
        }
    }
    take(Frame::End(rows))
}

fn kept(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Integer(i64::from(*flag)),
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Real(number.as_f64().unwrap_or_default()),
        },
        Json::Array(_) | Json::Object(_) => Value::Text(value.to_string()),
    }
}

/// One row to be put back: its table, its columns, its values.
pub struct PlainRow {
    /// The table.
    pub table: String,
    /// The columns.
    pub columns: Vec<String>,
    /// Their values.
    pub values: Vec<Value>,
}

impl PlainRow {
    /// Returns a value, if it is text.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        let mut all = self.columns.iter().zip(&self.values);
        match all.find(|(name, _)| *name == column)?.1 {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_) => None,
        }
    }

    /// Puts text in place of a value.
    pub fn set_text(&mut self, column: &str, text: &str) {
        let place = self.columns.iter().position(|name| name == column);
        if let Some(value) = place.and_then(|place| self.values.get_mut(place)) {
            *value = Value::Text(text.to_owned());
        }
    }

    /// Returns the statement that puts the row where it was, and its values.
    #[must_use]
    pub fn statement(&self) -> (String, Vec<JsValue>) {
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let columns: Vec<_> = self.columns.iter().map(quoted).collect();
        let marks = vec!["?"; columns.len()];
        let sql = format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
            quoted(&self.table),
            columns.join(", "),
            marks.join(", ")
        );
        (sql, self.values.iter().map(bound).collect())
    }
}

fn bound(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        #[expect(
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "D1 answers numbers as JSON: none is beyond what a double holds"
        )]
        Value::Integer(number) => JsValue::from_f64(*number as f64),
        Value::Real(number) => JsValue::from_f64(*number),
        Value::Text(text) => JsValue::from_str(text),
        Value::Blob(bytes) => js_sys::Uint8Array::from(bytes.as_slice()).into(),
    }
}

/// Reads the rows of a snapshot of the directory.
///
/// # Errors
/// As [`Keeper::put_back`].
pub async fn read(keeper: &Keeper, wish: &PutBack) -> Result<Vec<PlainRow>, ApiError> {
    let (mut table, mut rows) = (None::<Table>, Vec::new());
    keeper
        .read_back(wish, &mut |frame| {
            match (frame, &table) {
                (Frame::Table(next), _) => table = Some(next),
                (Frame::Row(values), Some(table)) => rows.push(PlainRow {
                    table: table.name.clone(),
                    columns: table.columns.clone(),
                    values,
                }),
                (Frame::Row(_), None) | (Frame::End(_), _) => {}
            }
            Ok(())
        })
        .await?;
    Ok(rows)
}
