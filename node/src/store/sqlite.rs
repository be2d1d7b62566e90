//! An object's SQLite: statements, rows and synchronous transactions.
//!
//! Values are bound one by one (at most 100 a statement); many rows go through `json_each`.

use std::cell::{Cell, RefCell};

use entente_lexicon::Timestamp;
use js_sys::{Array, ArrayBuffer, Iterator, Uint8Array};
use wasm_bindgen::prelude::*;
use worker::{SqlStorageValue, State, Storage};

use crate::error::ApiError;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = js_sys::Object)]
    type TransactionalStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &TransactionalStorage,
        closure: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<JsValue, JsValue>;

    /// Statements of an object's database. The platform's own, since the wrapper asks for every row,
    /// and for the kind of every value, one by one.
    type Statements;

    #[wasm_bindgen(method, catch, variadic, structural)]
    fn exec(this: &Statements, query: &str, bindings: Array) -> Result<Cursor, JsValue>;

    type Cursor;

    #[wasm_bindgen(method, structural)]
    fn raw(this: &Cursor) -> Iterator;

    /// Reads all that an iterator has left.
    #[wasm_bindgen(catch, js_namespace = Array, js_name = from)]
    fn all_of(iterator: &Iterator) -> Result<Array, JsValue>;
}

/// Why a statement failed. A fault of ours or of the platform, never of a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused the statement.
    #[error("sql: {0}")]
    Sql(String),
    /// A column does not hold what the code expects of it.
    #[error("column {0} does not hold what it should")]
    Column(usize),
    /// The transaction was rolled back by the platform.
    #[error("transaction: {0}")]
    Transaction(String),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

/// An object's SQLite database.
pub struct Sqlite {
    storage: Storage,
    sql: Statements,
    /// Something was written since [`Sqlite::forget_writes`].
    written: Cell<bool>,
    rollbacks: Cell<u64>,
    on_write: RefCell<Option<Box<dyn Fn()>>>,
}

impl Sqlite {
    /// Opens the database of the object with `state`.
    #[must_use]
    pub fn new(state: &State) -> Self {
        let storage = state.storage();
        let sql = storage.sql().as_ref().clone().unchecked_into();
        Self {
            storage,
            sql,
            written: Cell::new(false),
            rollbacks: Cell::new(0),
            on_write: RefCell::new(None),
        }
    }

    /// Has `tell` called before the first statement that writes, and again before the first one
    /// after each [`Sqlite::forget_writes`]. Statements that make tables, and those that `tell`
    /// itself runs by [`Sqlite::aside`], do not count.
    pub fn watch(&self, tell: impl Fn() + 'static) {
        self.on_write.replace(Some(Box::new(tell)));
    }

    /// Has the next statement that writes told of.
    pub fn forget_writes(&self) {
        self.written.set(false);
    }

    /// Returns how many transactions were rolled back: what was remembered of the database before is
    /// good as long as this number stays.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.rollbacks.get()
    }

    fn note_write(&self) {
        if !self.written.replace(true)
            && let Some(tell) = self.on_write.borrow().as_ref()
        {
            tell();
        }
    }

    /// Returns the key-value side of the storage: alarms, `delete_all`.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Runs a statement that answers no rows. Make values with [`params!`](crate::params).
    ///
    /// # Errors
    /// [`StoreError::Sql`] if SQLite refuses it.
    pub fn exec(&self, sql: &str, params: Vec<SqlStorageValue>) -> Result<(), StoreError> {
        if !begins(sql, "CREATE") {
            self.note_write();
        }
        self.aside(sql, params)
    }

    /// Runs a statement that answers no rows and is not told of: see [`Sqlite::watch`].
    ///
    /// # Errors
    /// [`StoreError::Sql`] if SQLite refuses it.
    pub fn aside(&self, sql: &str, params: Vec<SqlStorageValue>) -> Result<(), StoreError> {
        self.run(sql, params).map(|_cursor| ())
    }

    /// Runs a statement and returns all its rows.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if SQLite refuses it.
    pub fn rows(&self, sql: &str, params: Vec<SqlStorageValue>) -> Result<Vec<Row>, StoreError> {
        if !begins(sql, "SELECT") {
            self.note_write();
        }
        let cursor = self.run(sql, params)?;
        let rows = all_of(&cursor.raw()).map_err(failed(sql))?;
        rows.iter().map(|row| Row::read(&row)).collect()
    }

    fn run(&self, sql: &str, params: Vec<SqlStorageValue>) -> Result<Cursor, StoreError> {
        let bindings = params.into_iter().map(bound).collect();
        self.sql.exec(sql, bindings).map_err(failed(sql))
    }

    /// Runs a query and hands over its rows one by one, so that not all of them are in memory.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if SQLite refuses it, or what `take` returns.
    pub fn each<E: From<StoreError>>(
        &self,
        sql: &str,
        take: &mut dyn FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        for row in &self.run(sql, Vec::new())?.raw() {
            take(Row::read(&row.map_err(failed(sql))?)?)?;
        }
        Ok(())
    }

    /// Runs a statement and returns its first row, if any.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if SQLite refuses it.
    pub fn row(&self, sql: &str, params: Vec<SqlStorageValue>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params)?.into_iter().next())
    }

    /// Runs `work` in one transaction: all its statements are kept if it returns `Ok`, none of
    /// them otherwise.
    ///
    /// # Errors
    /// What `work` returned, or [`StoreError::Transaction`] if the platform could not commit.
    pub fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut work = Some(work);
        let outcome: RefCell<Option<Result<T, E>>> = RefCell::new(None);
        let mut run = || -> Result<(), JsValue> {
            let Some(work) = work.take() else {
                return Err(JsValue::from_str("ran twice"));
            };
            let result = work();
            let kept = result.is_ok();
            outcome.replace(Some(result));
            if kept {
                Ok(())
            } else {
                Err(JsValue::from_str("rolled back"))
            }
        };
        let storage: &TransactionalStorage = self.storage.as_raw().unchecked_ref();
        let committed = storage.transaction_sync(&mut run);
        if committed.is_err() {
            self.rollbacks.set(self.rollbacks.get().wrapping_add(1));
        }
        match (outcome.into_inner(), committed) {
            (Some(Ok(value)), Ok(_)) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, committed) => {
                let reason = committed.err().map_or_else(
                    || "nothing ran".to_owned(),
                    |error| worker::Error::from(error).to_string(),
                );
                Err(StoreError::Transaction(reason).into())
            }
        }
    }
}

fn begins(sql: &str, word: &str) -> bool {
    let head = sql.trim_start().get(..word.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(word))
}

fn failed(sql: &str) -> impl Fn(JsValue) -> StoreError {
    move |error| {
        let error = worker::Error::from(error);
        let head: String = sql.chars().take(60).collect();
        StoreError::Sql(format!("{error} in `{head}`"))
    }
}

/// Returns a value as statements take it.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "whole numbers of ours fit into 53 bits"
)]
fn bound(value: SqlStorageValue) -> JsValue {
    match value {
        SqlStorageValue::Null => JsValue::NULL,
        SqlStorageValue::Boolean(value) => JsValue::from_bool(value),
        SqlStorageValue::Integer(value) => JsValue::from_f64(value as f64),
        SqlStorageValue::Float(value) => JsValue::from_f64(value),
        SqlStorageValue::String(value) => JsValue::from_str(&value),
        SqlStorageValue::Blob(value) => Uint8Array::from(value.as_slice()).into(),
    }
}

/// Reads a value as rows have it: SQLite knows numbers, text, bytes and nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "only whole numbers within 53 bits are taken for such"
)]
fn unbound(value: JsValue) -> Option<SqlStorageValue> {
    if let Some(number) = value.as_f64() {
        let whole = number.fract() == 0.0 && number.abs() <= MOST_EXACT;
        return Some(if whole {
            SqlStorageValue::Integer(number as i64)
        } else {
            SqlStorageValue::Float(number)
        });
    }
    if let Some(text) = value.as_string() {
        return Some(SqlStorageValue::String(text));
    }
    if value.is_null() {
        return Some(SqlStorageValue::Null);
    }
    let bytes = value.dyn_into::<ArrayBuffer>().ok()?;
    Some(SqlStorageValue::Blob(Uint8Array::new(&bytes).to_vec()))
}

/// The largest whole number up to which all are exact as floating-point numbers.
const MOST_EXACT: f64 = 9_007_199_254_740_991.0;

/// One row of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Vec<SqlStorageValue>);

impl Row {
    /// Reads a row: an array of values.
    fn read(row: &JsValue) -> Result<Self, StoreError> {
        let row: &Array = row.unchecked_ref();
        let values = row.iter().enumerate();
        let values = values.map(|(column, value)| unbound(value).ok_or(StoreError::Column(column)));
        values.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the values as SQLite keeps them.
    #[must_use]
    pub fn into_values(self) -> Vec<SqlStorageValue> {
        self.0
    }

    /// Reads text.
    ///
    /// # Errors
    /// [`StoreError::Column`] if the column is missing or of another type, as for all readers.
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        match self.0.get(column) {
            Some(SqlStorageValue::String(text)) => Ok(text.clone()),
            _ => Err(StoreError::Column(column)),
        }
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// [`StoreError::Column`].
    pub fn blob(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self.0.get(column) {
            Some(SqlStorageValue::Blob(bytes)) => Ok(bytes.clone()),
            _ => Err(StoreError::Column(column)),
        }
    }

    /// Reads a non-negative integer.
    ///
    /// # Errors
    /// [`StoreError::Column`].
    pub fn integer(&self, column: usize) -> Result<u64, StoreError> {
        match self.0.get(column) {
            Some(SqlStorageValue::Integer(value)) => {
                u64::try_from(*value).ok().ok_or(StoreError::Column(column))
            }
            _ => Err(StoreError::Column(column)),
        }
    }

    /// Reads a number that may have a fraction.
    ///
    /// # Errors
    /// [`StoreError::Column`].
    #[expect(
        clippy::cast_precision_loss,
        clippy::as_conversions,
        reason = "whole numbers come as integers; scores need no 53 bits"
    )]
    pub fn real(&self, column: usize) -> Result<f64, StoreError> {
        match self.0.get(column) {
            Some(SqlStorageValue::Float(value)) => Ok(*value),
            Some(SqlStorageValue::Integer(value)) => Ok(*value as f64),
            _ => Err(StoreError::Column(column)),
        }
    }

    /// Reads an instant kept as milliseconds.
    ///
    /// # Errors
    /// [`StoreError::Column`].
    pub fn timestamp(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.integer(column).map(Timestamp)
    }

    /// Reads a flag kept as 0 or 1.
    ///
    /// # Errors
    /// [`StoreError::Column`].
    pub fn flag(&self, column: usize) -> Result<bool, StoreError> {
        self.integer(column).map(|value| value != 0)
    }

    /// Tells whether the column is NULL.
    #[must_use]
    pub fn is_null(&self, column: usize) -> bool {
        matches!(self.0.get(column), Some(SqlStorageValue::Null))
    }

    /// Reads a column that may be NULL with one of the other readers:
    /// `row.optional(2, Row::text)?`.
    ///
    /// # Errors
    /// [`StoreError::Column`].
    pub fn optional<T>(
        &self,
        column: usize,
        read: impl Fn(&Self, usize) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.is_null(column) {
            Ok(None)
        } else {
            read(self, column).map(Some)
        }
    }
}

/// What can be bound to a statement.
pub trait IntoSql {
    /// Returns the value as SQLite keeps it.
    fn into_sql(self) -> SqlStorageValue;
}

macro_rules! into_sql {
    ($($type:ty => |$value:ident| $convert:expr),+ $(,)?) => {
        $(impl IntoSql for $type {
            fn into_sql(self) -> SqlStorageValue {
                let $value = self;
                $convert
            }
        })+
    };
}

into_sql! {
    &str => |v| SqlStorageValue::String(v.to_owned()),
    &String => |v| SqlStorageValue::String(v.clone()),
    String => |v| SqlStorageValue::String(v),
    &[u8] => |v| SqlStorageValue::Blob(v.to_vec()),
    &Vec<u8> => |v| SqlStorageValue::Blob(v.clone()),
    Vec<u8> => |v| SqlStorageValue::Blob(v),
    bool => |v| SqlStorageValue::Integer(i64::from(v)),
    u8 => |v| SqlStorageValue::Integer(i64::from(v)),
    u32 => |v| SqlStorageValue::Integer(i64::from(v)),
    i64 => |v| SqlStorageValue::Integer(v),
    u64 => |v| SqlStorageValue::Integer(i64::try_from(v).unwrap_or(i64::MAX)),
    usize => |v| SqlStorageValue::Integer(i64::try_from(v).unwrap_or(i64::MAX)),
    Timestamp => |v| v.0.into_sql(),
}

impl<const N: usize> IntoSql for [u8; N] {
    fn into_sql(self) -> SqlStorageValue {
        SqlStorageValue::Blob(self.to_vec())
    }
}

impl<T: IntoSql> IntoSql for Option<T> {
    fn into_sql(self) -> SqlStorageValue {
        self.map_or(SqlStorageValue::Null, IntoSql::into_sql)
    }
}

/// Makes the values of a statement: `params![name, &bytes[..], now]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::sqlite::IntoSql::into_sql($value)),*]
    };
}
