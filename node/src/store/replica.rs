//! The encrypted replica of agents' records in D1.
//!
//! Each page is one batch, which D1 runs as a transaction. All its statements do something only if the
//! agent lives and its cursor is still where the writer read it, so of two writers the later one does
//! nothing, and what is older never replaces what is newer: nor what was hidden meanwhile, see
//! [`crate::store::timeline`].

use data_encoding::HEXLOWER;
use entente_lexicon::{Did, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasm_bindgen::JsValue;

use crate::agent::wire::{ReplicaCursor, ReplicaPage, ReplicaRecord};
use crate::error::ApiError;
use crate::store::d1::{Directory, instant};

/// `?1` is the agent, `?2` the cursor as it was read.
const GUARD: &str = "EXISTS (SELECT 1 FROM agents WHERE did = ?1 AND status = 'active')
    AND (SELECT life || ':' || revision FROM replica_cursors WHERE did = ?1) IS ?2";

const REMOVE: &str = "DELETE FROM records
    WHERE id IN (SELECT ?1 || '/' || value FROM json_each(?3))";
const PUT: &str =
    "INSERT INTO records (id, did, collection, rkey, version, cid, public, ciphertext,
        encrypted_dek, revision, created_at, updated_at)
    SELECT ?1 || '/' || (value ->> 'path'), ?1, value ->> 'collection', value ->> 'rkey',
        value ->> 'version', value ->> 'cid', value ->> 'public',
        unhex(value ->> 'ciphertext'), unhex(value ->> 'encryptedDek'), value ->> 'revision',
        value ->> 'createdAt', value ->> 'updatedAt'
    FROM json_each(?3)";
const OR_REPLACE: &str = "ON CONFLICT (id) DO UPDATE SET version = excluded.version,
    cid = excluded.cid, public = excluded.public, ciphertext = excluded.ciphertext,
    encrypted_dek = excluded.encrypted_dek, revision = excluded.revision,
    created_at = excluded.created_at, updated_at = excluded.updated_at
    WHERE excluded.revision >= records.revision";
const UNSHARE: &str = "DELETE FROM shared_records
    WHERE record_id IN (SELECT ?1 || '/' || (value ->> 'path') FROM json_each(?3))";
const SHARE: &str =
    "INSERT INTO shared_records (record_id, recipient_did, encrypted_dek, shared_at)
    SELECT ?1 || '/' || (value ->> 'path'), value ->> 'recipient',
        unhex(value ->> 'encryptedDek'), value ->> 'at'
    FROM json_each(?3)";
const MOVE: &str = "INSERT INTO replica_cursors (did, life, revision, changed_at)
    SELECT ?1, ?3, ?4, ?5";
const OR_MOVE: &str = "ON CONFLICT (did) DO UPDATE SET life = excluded.life,
    revision = excluded.revision, changed_at = excluded.changed_at";

/// Whose replica it is and how far it is.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaTarget {
    /// The agent's object.
    pub(crate) object_id: String,
    /// How far the replica is; nothing where there is none yet.
    pub(crate) cursor: Option<ReplicaCursor>,
}

/// A record as the statements read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    path: String,
    collection: &'a str,
    rkey: &'a str,
    version: u64,
    cid: &'a str,
    public: u8,
    ciphertext: String,
    encrypted_dek: Option<String>,
    revision: u64,
    /// Milliseconds, as everywhere in the directory.
    created_at: u64,
    updated_at: u64,
}

/// A share as the statements read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShareRow<'a> {
    path: String,
    recipient: &'a str,
    encrypted_dek: Option<String>,
    at: u64,
}

impl Directory {
    /// Finds a living agent and how far its replica is.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub(crate) async fn replica(&self, did: &Did) -> Result<Option<ReplicaTarget>, ApiError> {
        #[derive(Deserialize)]
        struct Found {
            object_id: String,
            life: Option<String>,
            revision: Option<u64>,
        }
        let sql = "SELECT a.object_id, c.life, c.revision FROM agents a
                   LEFT JOIN replica_cursors c ON c.did = a.did
                   WHERE a.did = ?1 AND a.status = 'active'";
        let found: Option<Found> = self.first(sql, &[did.as_str().into()]).await?;
        Ok(found.map(|found| {
            let cursor = found.life.zip(found.revision);
            ReplicaTarget {
                object_id: found.object_id,
                cursor: cursor.map(|(life, revision)| ReplicaCursor { life, revision }),
            }
        }))
    }

    /// Writes the page that follows `cursor`. Returns whether it did: another writer may have been
    /// there first, or the agent is gone.
    ///
    /// # Errors
    /// If D1 fails; then nothing is written.
    pub(crate) async fn write_replica(
        &self,
        did: &Did,
        cursor: Option<&ReplicaCursor>,
        page: &ReplicaPage,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let records: Vec<_> = page.records.iter().map(row).collect();
        let shares: Vec<_> = page.records.iter().flat_map(share_rows).collect();
        let with = |list: String| [did.as_str().into(), text(cursor), list.into()];
        let records = serde_json::to_string(&records)?;
        let moved = self
            .batch(&[
                (
                    format!("{REMOVE} AND {GUARD}"),
                    &with(serde_json::to_string(&page.gone)?),
                ),
                (
                    format!("{PUT} WHERE {GUARD} {OR_REPLACE}"),
                    &with(records.clone()),
                ),
                (format!("{UNSHARE} AND {GUARD}"), &with(records)),
                (
                    format!("{SHARE} WHERE {GUARD}"),
                    &with(serde_json::to_string(&shares)?),
                ),
                (
                    format!("{MOVE} WHERE {GUARD} {OR_MOVE}"),
                    &[
                        did.as_str().into(),
                        text(cursor),
                        page.cursor.life.as_str().into(),
                        // Microseconds stay exact in a double until the year 2255.
                        JsValue::from_f64(page.cursor.revision as f64),
                        instant(now),
                    ],
                ),
            ])
            .await?;
        Ok(moved == 1)
    }

    /// Removes what there is of an agent's replica, if it still is as far as `cursor`.
    ///
    /// # Errors
    /// If D1 fails.
    pub(crate) async fn reset_replica(
        &self,
        did: &Did,
        cursor: Option<&ReplicaCursor>,
    ) -> Result<(), ApiError> {
        let values = [did.as_str().into(), text(cursor)];
        self.batch(&[
            (
                format!("DELETE FROM records WHERE did = ?1 AND {GUARD}"),
                &values,
            ),
            (
                format!("DELETE FROM replica_cursors WHERE did = ?1 AND {GUARD}"),
                &values,
            ),
        ])
        .await?;
        Ok(())
    }

    /// Removes the replica of an agent that is being deleted, to which nobody writes any more.
    ///
    /// # Errors
    /// If D1 fails.
    pub(crate) async fn drop_replica(&self, object_id: &str) -> Result<(), ApiError> {
        let of = "did = (SELECT did FROM agents WHERE object_id = ?1 AND status = 'deleting')";
        let values = [object_id.into()];
        self.batch(&[
            (format!("DELETE FROM records WHERE {of}"), &values),
            (format!("DELETE FROM replica_cursors WHERE {of}"), &values),
        ])
        .await?;
        Ok(())
    }
}

fn text(cursor: Option<&ReplicaCursor>) -> JsValue {
    cursor.map_or(JsValue::NULL, |cursor| {
        format!("{}:{}", cursor.life, cursor.revision).into()
    })
}

fn row(record: &ReplicaRecord) -> Row<'_> {
    Row {
        path: record.path(),
        collection: &record.collection,
        rkey: &record.rkey,
        version: record.version,
        cid: &record.cid,
        public: u8::from(record.encrypted_dek.is_none()),
        ciphertext: HEXLOWER.encode(&record.ciphertext),
        encrypted_dek: record.encrypted_dek.as_ref().map(hex),
        revision: record.revision,
        created_at: record.created_at.0,
        updated_at: record.updated_at.0,
    }
}

fn share_rows(record: &ReplicaRecord) -> impl Iterator<Item = ShareRow<'_>> {
    record.shares.iter().map(|share| ShareRow {
        path: record.path(),
        recipient: &share.recipient,
        encrypted_dek: share.encrypted_dek.as_ref().map(hex),
        at: share.at.0,
    })
}

fn hex(bytes: &ByteBuf) -> String {
    HEXLOWER.encode(bytes)
}
