//! Public records in D1, by when they became public: what timelines are read from.
//!
//! They are rows of the replica, which is brought up to date by hints and made anew where it was lost.
//! What ceases to be public is hidden here before anybody is told that it has: a row remembers the
//! revision at which it was hidden, and nothing older replaces it.

use data_encoding::HEXUPPER;
use entente_lexicon::api::timeline::{TimelineEntry, TimelineKind, TimelinePlace};
use entente_lexicon::{CollectionGlob, Did, Host, Timestamp};
use entente_memory::repo::json::to_json;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::error::ApiError;
use crate::store::d1::{Directory, instant, number, optional};

/// The longest record that an entry shows, in bytes of DAG-CBOR.
const MAX_SHOWN: u64 = 16 * 1024;

const PAGE: &str =
    "SELECT r.did, a.name, r.collection, r.rkey, r.cid, r.updated_at AS at, r.id AS key,
        CASE WHEN length(r.ciphertext) <= ?7 THEN hex(r.ciphertext) END AS block
    FROM records r JOIN agents a ON a.did = r.did AND a.status = 'active'
    WHERE r.public = 1 AND (r.updated_at < ?1 OR (r.updated_at = ?1 AND r.id < ?2))
        AND r.updated_at >= ?3 AND r.updated_at < ?4
        AND (?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(?5) WHERE r.collection GLOB value))";
const OF_ONE: &str = " AND r.did = ?8";
const ORDER: &str = " ORDER BY r.updated_at DESC, r.id DESC LIMIT ?6";

/// What is hidden although there is no row of it yet, so that what is on its way stays hidden too.
const HIDE: &str =
    "INSERT INTO records (id, did, collection, rkey, version, cid, public, ciphertext,
        encrypted_dek, revision, created_at, updated_at)
    SELECT ?1 || '/' || (value ->> 'collection') || '/' || (value ->> 'rkey'), ?1,
        value ->> 'collection', value ->> 'rkey', 0, '', 0, x'', NULL, value ->> 'revision', 0, 0
    FROM json_each(?2)
    WHERE EXISTS (SELECT 1 FROM agents WHERE did = ?1 AND status = 'active')
    ON CONFLICT (id) DO UPDATE SET public = 0, revision = excluded.revision
        WHERE records.revision < excluded.revision";

/// Which entries of a timeline.
#[derive(Clone, Debug)]
pub(crate) struct TimelineFilter {
    /// What follows this place.
    pub(crate) place: TimelinePlace,
    /// This author's alone.
    pub(crate) author: Option<Did>,
    /// Collections that one of these covers; all where there are none.
    pub(crate) collections: Vec<CollectionGlob>,
    /// Nothing from before.
    pub(crate) since: Timestamp,
    /// Only what is from before this.
    pub(crate) until: Timestamp,
    /// So many at most.
    pub(crate) limit: u32,
}

impl TimelineFilter {
    /// Returns the patterns as a JSON list; nothing where all collections are asked for.
    pub(crate) fn globs(&self) -> Result<Option<String>, ApiError> {
        if self.collections.is_empty() {
            return Ok(None);
        }
        let globs: Vec<_> = self
            .collections
            .iter()
            .map(CollectionGlob::as_str)
            .collect();
        Ok(Some(serde_json::to_string(&globs)?))
    }
}

/// A record that is not public any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Hidden {
    pub(crate) collection: String,
    pub(crate) rkey: String,
    /// The revision since which that is so.
    pub(crate) revision: u64,
}

#[derive(Deserialize)]
struct Found {
    did: String,
    name: String,
    collection: String,
    rkey: String,
    cid: String,
    at: u64,
    key: String,
    block: Option<String>,
}

impl Directory {
    /// Returns public records with their places, the newest first.
    ///
    /// # Errors
    /// If D1 fails, or a row is damaged.
    pub(crate) async fn public_records(
        &self,
        filter: &TimelineFilter,
        (network, host): (&Did, &Host),
    ) -> Result<Vec<(TimelinePlace, TimelineEntry)>, ApiError> {
        let globs = filter.globs()?;
        let mut values: Vec<JsValue> = vec![
            instant(filter.place.at),
            filter.place.key.as_str().into(),
            instant(filter.since),
            instant(filter.until),
            optional(globs.as_deref()),
            filter.limit.into(),
            number(MAX_SHOWN),
        ];
        // Two texts, so that each goes by its own index.
        let mut sql = PAGE.to_owned();
        if let Some(author) = &filter.author {
            sql.push_str(OF_ONE);
            values.push(author.as_str().into());
        }
        sql.push_str(ORDER);
        let rows: Vec<Found> = self.all(&sql, &values).await?;
        let entries = rows.into_iter().map(|row| entry(row, network, host));
        entries.collect()
    }

    /// Hides records that are not public any more, at once.
    ///
    /// # Errors
    /// If D1 fails: then the replica hides them, a little later.
    pub(crate) async fn hide(&self, did: &Did, hidden: &[Hidden]) -> Result<(), ApiError> {
        let hidden = serde_json::to_string(hidden)?;
        self.run(HIDE, &[did.as_str().into(), hidden.into()])
            .await?;
        Ok(())
    }
}

fn entry(
    row: Found,
    network: &Did,
    host: &Host,
) -> Result<(TimelinePlace, TimelineEntry), ApiError> {
    let record = row.block.map(|block| {
        let block = HEXUPPER
            .decode(block.as_bytes())
            .map_err(ApiError::internal)?;
        to_json(&block).map_err(ApiError::internal)
    });
    let place = TimelinePlace {
        at: Timestamp(row.at),
        key: row.key,
    };
    let (did, collection, rkey) = (row.did, row.collection, row.rkey);
    let proof =
        format!("/xrpc/com.atproto.sync.getRecord?did={did}&collection={collection}&rkey={rkey}");
    let shown = TimelineEntry {
        kind: TimelineKind::Record,
        address: format!("{did}@{host}"),
        name: row.name,
        network: network.to_string(),
        peer: None,
        uri: Some(format!("at://{did}/{collection}/{rkey}")),
        cid: Some(row.cid),
        record: record.transpose()?,
        content: None,
        at: place.at,
        proof: Some(proof),
        signed: None,
        did,
        collection,
    };
    Ok((place, shown))
}
