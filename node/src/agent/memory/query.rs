//! Reading records back: one, lists, a record's history.

use entente_lexicon::Nsid;
use entente_lexicon::api::memory::{RecordHistory, RecordList, RecordVersion, RecordView};
use entente_lexicon::id::BASE32;
use entente_trust::crypto::mac::hmac_sha256;
use entente_trust::memory::Level;
use serde::Deserialize;
use serde_json::Value;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::life::Shown;
use crate::agent::memory::path_of;
use crate::agent::memory::records::{object, unknown};
use crate::agent::memory::search::instant;
use crate::agent::memory::store::{Listing, StoredVersion};
use crate::agent::read::given;
use crate::error::ApiError;
use crate::internal;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;
const TAG_LENGTH: usize = 8;
/// Records that are opened for one page at most.
const MAX_OPENED: u32 = 500;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    collection: Option<String>,
    level: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
    reverse: Option<String>,
    state: Option<String>,
    #[serde(rename = "validAt")]
    valid_at: Option<String>,
}

impl Core {
    /// Opens one record.
    pub(super) fn get_record(&self, id: &str) -> Result<RecordView, ApiError> {
        let me = self.identity()?;
        let path = path_of(id)?;
        let target = self.indexes(&me)?.path(&path);
        let found = self.memory.store.record_and_claim(&path, &target)?;
        let (record, claimed) = found.ok_or_else(|| unknown(&path))?;
        self.was_read(record.n);
        let value = object(&self.plain(&me, &record)?)?;
        self.view_claimed(&me, &record, value, claimed)
    }

    /// Lists records in the order in which they were first stored.
    pub(super) fn list_records(&self, query: &Query) -> Result<RecordList, ApiError> {
        let me = self.identity()?;
        let mut listing = query.listing(&me)?;
        let valid_at = instant("validAt", given(&query.valid_at))?;
        let shown = Shown::read(given(&query.state), valid_at, internal::now())?;
        let most = usize::try_from(listing.limit).unwrap_or(usize::MAX);
        let mut views = Vec::new();
        // What is not shown is opened to know that; of that, one page takes so much.
        let mut left = MAX_OPENED;
        loop {
            let records = self.memory.store.list(&listing)?;
            let whole = records.len() >= most;
            let claimed = self.claimed(&me, &records)?;
            for record in &records {
                left = left.saturating_sub(1);
                listing.after = Some(record.n);
                let value = object(&self.plain(&me, record)?)?;
                let standing = self.standing(&me, record, &value, (shown.at, Some(&claimed)))?;
                if shown.admits(&standing) {
                    views.push(self.view_as(&me, record, value, &standing)?);
                }
                if views.len() >= most || left == 0 {
                    break;
                }
            }
            let full = views.len() >= most || left == 0;
            if full || !whole {
                let last = listing.after.filter(|_last| full);
                return Ok(RecordList {
                    records: views,
                    cursor: last.map(|n| cursor(&me, n)),
                });
            }
        }
    }

    /// Returns what a record was, the newest version first.
    pub(super) fn record_history(&self, id: &str) -> Result<RecordHistory, ApiError> {
        let me = self.identity()?;
        let path = path_of(id)?;
        let now = self.known(&path, None)?;
        let current = StoredVersion {
            version: now.version,
            level: now.level,
            dek: now.dek,
            cid: now.cid,
            block: now.block,
            at: now.updated_at,
        };
        let before = self.memory.store.versions(&path)?;
        let versions = std::iter::once(current).chain(before).map(|version| {
            let (dek, number) = ((version.dek, None), version.version);
            let stored = (&version.cid, version.block.as_slice());
            let plain = self.plain_of(&me, &path, dek, number, stored)?;
            Ok(RecordVersion {
                version: number,
                cid: version.cid.to_string(),
                level: version.level.to_string(),
                at: version.at,
                record: Some(Value::Object(object(&plain)?)),
            })
        });
        Ok(RecordHistory {
            versions: versions.collect::<Result<_, ApiError>>()?,
        })
    }
}

impl Query {
    /// The same of one collection.
    pub(super) fn of(self, collection: &str) -> Self {
        Self {
            collection: Some(collection.to_owned()),
            ..self
        }
    }

    fn listing(&self, me: &Me) -> Result<Listing, ApiError> {
        let collection = given(&self.collection).map(Nsid::parse).transpose();
        let collection = collection.map_err(|_error| {
            ApiError::bad_request(
                "INVALID_COLLECTION",
                "`collection` is a name such as agent.memory.note.",
            )
        })?;
        let level = given(&self.level).map(str::parse::<Level>).transpose();
        let level = level.map_err(|_error| {
            ApiError::bad_request("INVALID_LEVEL", "`level` is private, shared or public.")
        })?;
        let newest_first = match given(&self.reverse) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                return Err(ApiError::bad_request(
                    "INVALID_ORDER",
                    "`reverse` is true or false.",
                ));
            }
        };
        Ok(Listing {
            collection: collection.map(|collection| collection.to_string()),
            level,
            after: given(&self.cursor)
                .map(|text| place_of(me, text).ok_or_else(foreign_cursor))
                .transpose()?,
            newest_first,
            limit: limit(given(&self.limit))?,
        })
    }
}

/// Reads how many are asked for.
pub(super) fn limit(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text else {
        return Ok(DEFAULT_PAGE);
    };
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=MAX_PAGE).contains(limit))
        .ok_or_else(|| ApiError::bad_request("INVALID_LIMIT", "`limit` is a number from 1 to 100."))
}

/// Writes where a page ends: a place, and this agent's own mark under it, so that the cursor of
/// another agent's list is known for one.
pub(super) fn cursor(me: &Me, n: u64) -> String {
    cursor_in(me, b"", n)
}

pub(super) fn place_of(me: &Me, text: &str) -> Option<u64> {
    place_in(me, b"", text)
}

/// Writes a cursor that is good for one list alone: the one that `list` names.
pub(super) fn cursor_in(me: &Me, list: &[u8], n: u64) -> String {
    let place = n.to_be_bytes();
    let mark = hmac_sha256(&me.cursor_key(), &[&place, list]);
    let mark = mark.get(..TAG_LENGTH).unwrap_or_default();
    BASE32.encode(&[&place, mark].concat())
}

pub(super) fn place_in(me: &Me, list: &[u8], text: &str) -> Option<u64> {
    let bytes = BASE32.decode(text.as_bytes()).ok()?;
    let (place, _mark) = bytes.split_first_chunk::<8>()?;
    let n = u64::from_be_bytes(*place);
    (cursor_in(me, list, n) == text).then_some(n)
}

pub(super) fn foreign_cursor() -> ApiError {
    ApiError::bad_request(
        "INVALID_CURSOR",
        "`cursor` is not one of this agent's: pass what the last page returned, or none to start over.",
    )
}
