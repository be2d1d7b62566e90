//! D1: the binding, values and results.

use entente_lexicon::Timestamp;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

use crate::error::ApiError;

/// The binding of the directory.
const BINDING: &str = "DB";

/// The network's directory in D1.
pub struct Directory {
    db: D1Database,
}

impl Directory {
    /// Opens the directory.
    ///
    /// # Errors
    /// If the binding is missing.
    pub fn open(env: &Env) -> Result<Self, ApiError> {
        Ok(Self {
            db: env.d1(BINDING)?,
        })
    }

    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: &[JsValue],
    ) -> Result<Option<T>, ApiError> {
        Ok(self.all(sql, values).await?.into_iter().next())
    }

    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: &[JsValue],
    ) -> Result<Vec<T>, ApiError> {
        let result = self
            .statement(sql, values)?
            .all()
            .await
            .map_err(database_error)?;
        if let Some(error) = result.error() {
            return Err(ApiError::internal(error));
        }
        Ok(result.results()?)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) async fn run(&self, sql: &str, values: &[JsValue]) -> Result<usize, ApiError> {
        let result = self
            .statement(sql, values)?
            .run()
            .await
            .map_err(database_error)?;
        if let Some(error) = result.error() {
            return Err(ApiError::internal(error));
        }
        Ok(result.meta()?.and_then(|meta| meta.changes).unwrap_or(0))
    }

    /// Runs statements as one transaction and returns how many rows the last one changed.
    pub(super) async fn batch(&self, all: &[(String, &[JsValue])]) -> Result<usize, ApiError> {
        let statements = all.iter().map(|(sql, values)| self.statement(sql, values));
        let statements = statements.collect::<Result<_, _>>()?;
        let results = self.db.batch(statements).await.map_err(database_error)?;
        if let Some(error) = results.iter().find_map(worker::D1Result::error) {
            return Err(ApiError::internal(error));
        }
        let meta = results.last().map(worker::D1Result::meta).transpose()?;
        Ok(meta.flatten().and_then(|meta| meta.changes).unwrap_or(0))
    }

    /// Runs statements as one transaction and returns the rows of each.
    pub(super) async fn batch_rows<T: DeserializeOwned>(
        &self,
        statements: &[(String, Vec<JsValue>)],
    ) -> Result<Vec<Vec<T>>, ApiError> {
        let prepared = statements
            .iter()
            .map(|(sql, values)| self.statement(sql, values));
        let prepared = prepared.collect::<Result<_, _>>()?;
        let results = self.db.batch(prepared).await.map_err(database_error)?;
        let rows = |result: &worker::D1Result| match result.error() {
            Some(error) => Err(ApiError::internal(error)),
            None => Ok(result.results()?),
        };
        results.iter().map(rows).collect()
    }

    fn statement(&self, sql: &str, values: &[JsValue]) -> Result<D1PreparedStatement, ApiError> {
        Ok(self.db.prepare(sql).bind(values)?)
    }
}

fn database_error(error: worker::Error) -> ApiError {
    let detail = error.to_string();
    if detail.contains("no such table") {
        ApiError::new(
            503,
            "NOT_MIGRATED",
            "The database has no tables yet: apply the migrations (`cargo xtask up` and `cargo xtask deploy` do), then try again.",
        )
    } else {
        ApiError::internal(detail)
    }
}

/// Binds an instant.
pub(super) fn instant(at: Timestamp) -> JsValue {
    // Milliseconds stay exact in a double until the year 287396.
    JsValue::from_f64(at.0 as f64)
}

/// Binds a number that counts something.
pub(super) fn number(value: u64) -> JsValue {
    // Exact in a double up to 2^53.
    JsValue::from_f64(value as f64)
}

/// Binds text or NULL.
pub(super) fn optional(text: Option<&str>) -> JsValue {
    text.map_or(JsValue::NULL, JsValue::from_str)
}
