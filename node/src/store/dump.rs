//! The directory as a whole, for backups.

use serde_json::{Map, Value};

use crate::backup::directory::PlainRow;
use crate::error::ApiError;
use crate::store::d1::Directory;

/// What is backed up of the directory, in the order in which it is put back: what says that this is a
/// network comes last. Every table of the migrations is here or in [`LEFT_OUT`].
pub const KEPT: [&str; 7] = [
    "audit",
    "penalties",
    "bans",
    "peer_requests",
    "peers",
    "agents",
    "network_identity",
];

/// What is made anew from the objects.
pub const LEFT_OUT: [&str; 3] = ["records", "shared_records", "replica_cursors"];

/// Statements of one call.
const MAX_BATCH: usize = 50;

impl Directory {
    /// Reads every table that is backed up, all at one instant.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn dump(&self) -> Result<Vec<(&'static str, Vec<Map<String, Value>>)>, ApiError> {
        let all = KEPT.map(|table| (format!("SELECT * FROM {table}"), Vec::new()));
        let rows = self.batch_rows(&all).await?;
        Ok(KEPT.into_iter().zip(rows).collect())
    }

    /// Tells whether nothing lives here: no network, no agents, no peers.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn is_empty(&self) -> Result<bool, ApiError> {
        let sql = "SELECT 1 FROM network_identity UNION ALL SELECT 1 FROM agents
                   UNION ALL SELECT 1 FROM peers LIMIT 1";
        let found: Option<Value> = self.first(sql, &[]).await?;
        Ok(found.is_none())
    }

    /// Puts rows back, in their order; those that are there are replaced.
    ///
    /// # Errors
    /// If D1 fails; the call can be repeated.
    pub async fn put_back(&self, rows: &[PlainRow]) -> Result<(), ApiError> {
        for rows in rows.chunks(MAX_BATCH) {
            let statements: Vec<_> = rows.iter().map(PlainRow::statement).collect();
            let _: Vec<Vec<Value>> = self.batch_rows(&statements).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_migrations_is_backed_up_or_known_to_be_made_anew() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut tables = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let made = text.lines().filter_map(|line| {
                let rest = line.trim().strip_prefix("CREATE TABLE ")?;
                let rest = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
                Some(rest.split([' ', '(']).next()?.to_owned())
            });
            tables.extend(made);
        }
        tables.sort();
        let mut known: Vec<_> = KEPT
            .iter()
            .chain(&LEFT_OUT)
            .map(ToString::to_string)
            .collect();
        known.sort();
        assert_eq!(tables, known);
        assert_eq!(KEPT.last(), Some(&"network_identity"));
    }
}
