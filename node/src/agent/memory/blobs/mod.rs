//! Blobs: what is too long for a record, sealed in chunks in the bucket, under a random name.
//!
//! An upload comes in parts ([`upload`]), is read back whole or by range ([`read`]), by those whom a
//! record is shared with too ([`lend`], [`borrow`]), and lives as long as a record refers to it
//! ([`sweep`] deletes what none does). SQLite says what there is; the
//! bucket holds noise.

mod borrow;
mod lend;
mod read;
mod store;
mod sweep;
mod upload;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_lexicon::api::blobs::{BlobList, BlobView};
use entente_lexicon::blob::blob_refs;
use entente_lexicon::{Did, RecordPath, Timestamp};
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid_text;
use entente_trust::crypto::mac::hmac_sha256;
use entente_trust::memory::MemoryError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use worker::{Method, Request, Response};

pub(super) use store::BLOB_SCHEMA;
use store::{BlobStore, COLLECTION, StoredBlob};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::query::{cursor_in, foreign_cursor, limit, place_in};
use crate::agent::memory::store::StoredRecord;
use crate::agent::read::given;
use crate::edge::bounds::Bounds;
use crate::error::ApiError;
use crate::routes::body;
use crate::store::sqlite::Sqlite;

/// What an upload's id begins with, so that it is never taken for a CID.
const UPLOAD_PREFIX: &str = "up_";

/// What cursors of lists of blobs are bound to.
const LIST: &[u8] = b"blobs";

/// The blobs while the object is awake.
pub(super) struct Blobs {
    pub(super) store: BlobStore,
    /// Uploads and completions that are being worked on.
    writers: Rc<Cell<u32>>,
    /// Blobs on their way to the agent itself.
    readers: Rc<Cell<u32>>,
    /// Blobs on their way to others.
    guests: Rc<Cell<u32>>,
    /// Whether what is not needed is being deleted.
    tending: Rc<Cell<u32>>,
}

/// One of a bounded number of places, given back when dropped.
struct Place(Rc<Cell<u32>>);

/// What is known of a blob, sealed beside it. It is bound to the object's name, so no row opens in
/// the place of another.
#[derive(Serialize, Deserialize)]
struct Details {
    cid: String,
    mime: String,
    size: u64,
    /// The header of the object: see `entente_trust::memory::blob`.
    #[serde(with = "serde_bytes")]
    header: Vec<u8>,
}

#[derive(Deserialize)]
struct ListQuery {
    cursor: Option<String>,
    limit: Option<String>,
}

/// Which record, of another agent, the blob is read by.
#[derive(Deserialize)]
struct ReadQuery {
    uri: Option<String>,
}

impl Blobs {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            store: BlobStore::new(db),
            writers: Rc::default(),
            readers: Rc::default(),
            guests: Rc::default(),
            tending: Rc::default(),
        }
    }
}

impl Place {
    /// Takes one of `most` places, if one is free.
    fn take(places: &Rc<Cell<u32>>, most: u32) -> Option<Self> {
        let taken = places.get();
        (taken < most).then(|| {
            places.set(taken + 1);
            Self(Rc::clone(places))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Core {
    /// Answers what follows `/agents/:name/blobs`; nothing if there is no such route.
    pub(in crate::agent) async fn blob_route(
        self: &Rc<Self>,
        request: &mut Request,
        rest: &str,
    ) -> Result<Option<Response>, ApiError> {
        self.memory.prepare()?;
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let is_upload = parts
            .first()
            .is_some_and(|id| id.starts_with(UPLOAD_PREFIX));
        let answer = match (request.method(), parts.as_slice()) {
            (Method::Post, []) => {
                let begun = self.begin_upload(&body::json(request).await?)?;
                Response::from_json(&begun)?.with_status(201)
            }
            (Method::Get, []) => Response::from_json(&self.list_blobs(&request.query()?)?)?,
            (Method::Get, [id]) if is_upload => Response::from_json(&self.show_upload(id)?)?,
            (Method::Delete, [id]) if is_upload => {
                self.abandon_upload(id)?;
                Response::empty()?.with_status(204)
            }
            (Method::Put, [id, part]) if is_upload => {
                Response::from_json(&self.put_part(request, id, part).await?)?
            }
            (Method::Post, [id, "complete"]) if is_upload => {
                Response::from_json(&self.complete_upload(id).await?)?
            }
            (Method::Get | Method::Head, [cid]) => {
                let asked: ReadQuery = request.query()?;
                match given(&asked.uri) {
                    Some(uri) => self.borrow_blob(request, cid, uri).await?,
                    None => self.read_blob(request, cid).await?,
                }
            }
            (Method::Delete, [cid]) => {
                self.delete_blob(cid)?;
                Response::empty()?.with_status(204)
            }
            (Method::Put, [..]) => {
                upload::discard(request, &self.env).await?;
                return Err(upload::unknown());
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }

    fn list_blobs(&self, query: &ListQuery) -> Result<BlobList, ApiError> {
        let me = self.identity()?;
        let limit = limit(given(&query.limit))?;
        let after = given(&query.cursor)
            .map(|text| place_in(&me, LIST, text).ok_or_else(foreign_cursor))
            .transpose()?
            .unwrap_or_default();
        let found = self.memory.blobs.store.list(after, limit)?;
        let whole = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = found.last().filter(|_last| whole).map(|last| last.n);
        let blobs = found.iter().map(|blob| self.blob_view(&me, blob));
        Ok(BlobList {
            blobs: blobs.collect::<Result<_, _>>()?,
            cursor: last.map(|n| cursor_in(&me, LIST, n)),
        })
    }

    fn blob_view(&self, me: &Me, blob: &StoredBlob) -> Result<BlobView, ApiError> {
        let Details {
            cid, mime, size, ..
        } = details(me, blob)?;
        Ok(BlobView::new(
            cid,
            size,
            mime,
            blob.stored_at,
            blob.referred,
        ))
    }

    /// Deletes a blob that no record refers to.
    fn delete_blob(&self, cid: &str) -> Result<(), ApiError> {
        let me = self.identity()?;
        let (name, blob) = self.known_blob(&me, cid)?;
        if blob.referred {
            return Err(ApiError::new(
                409,
                "BLOB_IN_USE",
                "A record, or a version of one, refers to this blob: it goes with the last of them.",
            ));
        }
        let work = || self.memory.blobs.store.delete(&name);
        self.memory.store.transaction(work)?;
        self.wake_in(0);
        Ok(())
    }

    fn known_blob(&self, me: &Me, cid: &str) -> Result<([u8; 32], StoredBlob), ApiError> {
        let name = parse_cid_text(cid).ok().map(|cid| blinded(me, &cid));
        let name = name.ok_or_else(unknown_blob)?;
        let blob = self.memory.blobs.store.find(&name)?;
        Ok((name, blob.ok_or_else(unknown_blob)?))
    }

    /// Checks that the blobs which a record refers to are there, and are what it says.
    pub(super) fn check_blobs(&self, me: &Me, value: &Map<String, Value>) -> Result<(), ApiError> {
        for found in blob_refs(value) {
            let (_, blob) = self.known_blob(me, &found.cid).map_err(|_error| {
                ApiError::bad_request(
                    "UNKNOWN_BLOB",
                    format!(
                        "The record refers to a blob that this agent does not have: upload {} first.",
                        found.cid
                    ),
                )
            })?;
            let details = details(me, &blob)?;
            if (details.size, &details.mime) != (found.size, &found.mime_type) {
                return Err(ApiError::bad_request(
                    "BLOB_REF_MISMATCH",
                    format!(
                        "The blob {} has {} bytes of {}: refer to it as its upload was answered.",
                        found.cid, details.size, details.mime
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Notes which blobs a version of a record refers to. Part of the write's transaction.
    pub(super) fn refer_blobs(
        &self,
        me: &Me,
        stored: &StoredRecord,
        value: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        for found in blob_refs(value) {
            let Ok(cid) = parse_cid_text(&found.cid) else {
                continue;
            };
            let name = blinded(me, &cid);
            if self.memory.blobs.store.find(&name)?.is_some() {
                let blobs = &self.memory.blobs.store;
                blobs.refer(&stored.path, stored.version, &name)?;
            }
        }
        Ok(())
    }

    /// Returns the blobs that records at these places refer to, and all records that refer to each.
    pub(super) fn blob_users<'a>(
        &self,
        me: &Me,
        paths: impl Iterator<Item = &'a RecordPath>,
    ) -> Result<BTreeMap<Cid, BTreeSet<Cid>>, ApiError> {
        let mut users: BTreeMap<Cid, BTreeSet<Cid>> = BTreeMap::new();
        let store = &self.memory.blobs.store;
        for path in paths {
            for name in store.referred_by(path)? {
                let Some(blob) = store.find(&name)? else {
                    continue;
                };
                let cid = parse_cid_text(&details(me, &blob)?.cid).map_err(ApiError::internal)?;
                let users = users.entry(cid).or_default();
                for other in store.referrers(&name)? {
                    users.extend(self.memory.store.record(&other)?.map(|record| record.cid));
                }
            }
        }
        Ok(users)
    }

    /// Returns how long, in milliseconds, what nobody needs is kept.
    fn blob_keep_ms(&self) -> Result<u64, ApiError> {
        Ok(Bounds::from_env(&self.env)?.blob_keep_ms)
    }
}

/// Returns what all keys of an agent's objects begin with. By its DID, since that stays the same where
/// the agent is restored.
fn prefix_of(did: &Did) -> String {
    format!("blobs/{did}/")
}

fn key_of(me: &Me, rkey: &str) -> String {
    format!("{}{rkey}", prefix_of(&me.did))
}

/// Where the key of an object stands among the rows that wrap keys.
fn path_of(rkey: &str) -> Result<RecordPath, ApiError> {
    RecordPath::parse(&format!("{COLLECTION}/{rkey}")).map_err(ApiError::internal)
}

/// Returns the name that the tables know a blob by.
fn blinded(me: &Me, cid: &Cid) -> [u8; 32] {
    hmac_sha256(&me.cursor_key(), &[b"entente blobs", &cid.to_bytes()])
}

fn details_purpose(rkey: &str) -> String {
    format!("blob/{rkey}")
}

fn details(me: &Me, blob: &StoredBlob) -> Result<Details, ApiError> {
    let plain = me.open_secret(&details_purpose(&blob.rkey), &blob.sealed);
    let plain = plain.map_err(|_error| damaged(MemoryError::BlobMalformed))?;
    serde_ipld_dagcbor::from_slice(&plain).map_err(ApiError::internal)
}

fn unknown_blob() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_BLOB",
        "There is no such blob, or no record referred to it any more: GET …/blobs lists them.",
    )
}

/// Makes the answer for a stored blob that does not open: something outside this program changed it.
fn damaged(error: MemoryError) -> ApiError {
    ApiError {
        detail: Some(error.to_string()),
        ..ApiError::new(
            500,
            error.code(),
            "What is stored of this blob is not what was uploaded: it was changed outside of this agent. Restore it from a backup, or delete it and upload it again.",
        )
    }
}

/// Makes the answer for what somebody else does at this moment.
fn busy() -> ApiError {
    ApiError::new(
        503,
        "BLOB_BUSY",
        "As many blobs as fit in memory are moving already: send one part at a time, and try again in a second.",
    )
    .with_header("retry-after", "1".to_owned())
}

/// An instant that is as old as `now` less so many milliseconds.
fn before(now: Timestamp, millis: u64) -> Timestamp {
    Timestamp(now.0.saturating_sub(millis))
}
