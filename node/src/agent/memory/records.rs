//! Writing records: validated, sealed, committed; then, and only then, answered.

use std::rc::Rc;

use entente_lexicon::api::memory::{NewRecord, PutRecord, RecordHead, RecordView, SharedWith};
use entente_lexicon::records::MemoryFields;
use entente_lexicon::schema::{self, Code, Fault, KeyKind, RecordType};
use entente_lexicon::{Nsid, RecordKey, RecordPath, Tid, Timestamp};
use entente_memory::life::Validity;
use entente_memory::repo::Cid;
use entente_memory::repo::json::{JsonError, from_json, to_json};
use entente_memory::sealed::{Sealed, record_cid};
use entente_trust::crypto::hash;
use entente_trust::memory::{Act, Dek, DekId, Effect, Level, MemoryError, record};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::keys::{damaged, place};
use crate::agent::memory::life::Standing;
use crate::agent::memory::life_store::{Link, StoredLife};
use crate::agent::memory::store::StoredRecord;
use crate::agent::memory::{id_of, micros, path_of};
use crate::agent::repo::RepoTree;
use crate::error::ApiError;
use crate::internal;

/// Records that an agent holds at most.
const MAX_RECORDS: u64 = 100_000;
/// Bytes that they take at most: an object's SQLite holds 10 GB, and versions and the tree need
/// room beside them.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// The longest record in bytes of DAG-CBOR.
pub(super) const MAX_RECORD_BYTES: usize = 64 * 1024;
/// The longest idempotency key.
const MAX_KEY_BYTES: usize = 256;

/// A record that was checked.
pub(super) struct Checked {
    pub(super) path: RecordPath,
    /// Its canonical DAG-CBOR.
    pub(super) plain: Vec<u8>,
    pub(super) value: Map<String, Value>,
}

/// Makes the 404 for a record.
pub(super) fn unknown(path: &RecordPath) -> ApiError {
    ApiError::not_found(
        "UNKNOWN_RECORD",
        format!(
            "There is no record {}: GET …/memory lists them.",
            id_of(path)
        ),
    )
}

impl Core {
    /// Stores a new record, private. Returns it, and whether it is new: the same idempotency key
    /// finds what it stored.
    pub(super) fn store_record(
        self: &Rc<Self>,
        request: NewRecord,
    ) -> Result<(RecordView, bool), ApiError> {
        let me = self.identity()?;
        Level::at_creation(request.level.as_deref()).map_err(asked)?;
        let key = idempotency(&request)?;
        if let Some((key, digest)) = &key
            && let Some((known, before)) = self.memory.store.by_request(key)?
        {
            if before != digest {
                return Err(ApiError::new(
                    409,
                    "IDEMPOTENCY_MISMATCH",
                    "This idempotency key stored another record: use a new one.",
                ));
            }
            return Ok((self.view(&me, &known)?, false));
        }
        let now = internal::now();
        let checked = self.check(request.collection, request.rkey, request.record, now)?;
        let target = self.indexes(&me)?.path(&checked.path);
        let (known, claimed) = self.memory.store.has_and_claim(&checked.path, &target)?;
        if known {
            return Err(ApiError::new(
                409,
                "RECORD_EXISTS",
                format!(
                    "There is a record {} already: PUT replaces it.",
                    id_of(&checked.path)
                ),
            ));
        }
        self.check_room(checked.plain.len())?;
        self.check_blobs(&me, &checked.value)?;
        let key = key.as_ref().map(|(key, digest)| (key.as_str(), *digest));
        let stored = self
            .memory
            .store
            .transaction(|| self.insert_record(&me, &checked, key, now))?;
        Ok((
            self.view_claimed(&me, &stored, checked.value, claimed)?,
            true,
        ))
    }

    /// Stores a record that there is not yet, private. Part of the caller's transaction.
    pub(super) fn insert_record(
        &self,
        me: &Me,
        checked: &Checked,
        key: Option<(&str, [u8; 32])>,
        now: Timestamp,
    ) -> Result<StoredRecord, ApiError> {
        let dek = Dek::generate(&mut internal::rng());
        let mut stored = seal(me, &checked.path, &dek, 1, &checked.plain, now)?;
        self.keep_dek(me, &checked.path, &dek)?;
        stored.revision = self.next_revision()?;
        stored.n = self.memory.store.insert(&stored, key)?;
        self.index(me, &stored, &checked.value)?;
        self.refer_blobs(me, &stored, &checked.value)?;
        self.wrote(me, None, Some(&stored))?;
        Ok(stored)
    }

    /// Replaces a record by its next version, at the level it has.
    pub(super) fn put_record(
        self: &Rc<Self>,
        id: &str,
        request: PutRecord,
    ) -> Result<RecordView, ApiError> {
        let me = self.identity()?;
        let path = path_of(id)?;
        let old = self.known(&path, request.swap_record.as_deref())?;
        let now = internal::now();
        let (collection, rkey) = (path.collection().clone(), path.rkey().clone());
        let checked = self.check(Some(collection), Some(rkey), request.record, now)?;
        self.check_room(checked.plain.len())?;
        self.check_blobs(&me, &checked.value)?;
        if self.memory.store.life(old.n)?.stale_since.is_some() {
            // What it said of a record that was forgotten goes with its versions and their keys.
            let new = self
                .memory
                .store
                .transaction(|| self.rewrite(&me, &old, &checked, now))?;
            self.tell_sharers();
            return self.view_of(&me, &new, checked.value);
        }
        let new = match old.dek {
            Some(dek) => {
                let dek = self.open_dek(&me, &path, dek)?;
                seal(&me, &path, &dek, next(&old), &checked.plain, now)?
            }
            None => open(&path, next(&old), checked.plain.clone(), now),
        };
        let new = StoredRecord {
            n: old.n,
            level: old.level,
            created_at: old.created_at,
            revision: self.next_revision()?,
            ..new
        };
        self.memory.store.transaction(|| {
            self.refer_blobs(&me, &new, &checked.value)?;
            self.memory.store.replace(&old, &new)?;
            self.memory.store.revive(new.n)?;
            self.index(&me, &new, &checked.value)?;
            self.wrote(&me, Some(&old), Some(&new))
        })?;
        self.tell_sharers();
        self.view_of(&me, &new, checked.value)
    }

    /// Removes a record: what opens it is destroyed.
    pub(super) fn delete_record(&self, id: &str, swap: Option<&str>) -> Result<(), ApiError> {
        let me = self.identity()?;
        let old = self.known(&path_of(id)?, swap)?;
        self.memory.store.transaction(|| {
            self.memory.store.forget(&old, self.next_revision()?)?;
            self.wrote(&me, Some(&old), None)
        })
    }

    /// Shows a record to everyone: plaintext from here on. Only ever by this act.
    pub(super) fn publish_record(&self, id: &str) -> Result<RecordView, ApiError> {
        self.change_level(id, Act::Publish)
    }

    /// Takes a public record back, under a new key. Copies stay with whoever made them.
    pub(super) fn withdraw_record(&self, id: &str) -> Result<RecordView, ApiError> {
        self.change_level(id, Act::Withdraw)
    }

    fn change_level(&self, id: &str, act: Act) -> Result<RecordView, ApiError> {
        let me = self.identity()?;
        let old = self.known(&path_of(id)?, None)?;
        if (act == Act::Publish) == (old.level == Level::Public) {
            // It is so already.
            return self.view(&me, &old);
        }
        let (level, effect) = old.level.after(act).map_err(asked)?;
        let new = self
            .memory
            .store
            .transaction(|| self.apply(&me, &old, level, effect))?;
        self.view(&me, &new)
    }

    /// Does what a change of a record's level takes. Part of the caller's transaction.
    pub(super) fn apply(
        &self,
        me: &Me,
        old: &StoredRecord,
        level: Level,
        effect: Effect,
    ) -> Result<StoredRecord, ApiError> {
        let plain = self.plain(me, old)?;
        let now = internal::now();
        let new = match effect {
            Effect::AddShare => return Err(ApiError::internal("a share changes no record")),
            Effect::NewDek => {
                let dek = Dek::generate(&mut internal::rng());
                self.keep_dek(me, &old.path, &dek)?;
                seal(me, &old.path, &dek, next(old), &plain, now)?
            }
            Effect::Plaintext => {
                self.memory.store.drop_shares(&old.path)?;
                open(&old.path, next(old), plain.clone(), now)
            }
        };
        let new = StoredRecord {
            life: old.life,
            n: old.n,
            level,
            created_at: old.created_at,
            revision: self.next_revision()?,
            ..new
        };
        let value = object(&plain)?;
        self.refer_blobs(me, &new, &value)?;
        self.memory.store.replace(old, &new)?;
        if level == Level::Public {
            self.memory.store.keep_told(&new.path, None, "")?;
        }
        self.index(me, &new, &value)?;
        self.wrote(me, Some(old), Some(&new))?;
        Ok(new)
    }

    /// Signs the trees as a write leaves them. Part of the write's transaction.
    pub(super) fn wrote(
        &self,
        me: &Me,
        old: Option<&StoredRecord>,
        new: Option<&StoredRecord>,
    ) -> Result<(), ApiError> {
        for tree in [RepoTree::Private, RepoTree::Public] {
            let here = |record: &&StoredRecord| RepoTree::of(record.level) == tree;
            let (old, new) = (old.filter(here), new.filter(here));
            let Some(record) = new.or(old) else { continue };
            let write = (record.path.clone(), new.map(|new| new.cid));
            self.commit_records(tree, (&me.did, &me.repo), &[write])?;
        }
        let public = |record: &StoredRecord| record.level == Level::Public;
        if let Some(old) = old.filter(|old| public(old))
            && !new.is_some_and(public)
        {
            self.unpublished(&old.path);
        }
        if let (Some(old), None) = (old, new) {
            self.drop_vector(me, old.n, Some(old))?;
        }
        if let (Some(old), Some(new)) = (old, new) {
            let was = self.indexes(me)?.cid(&old.cid);
            self.memory.store.keep_link(new.n, Link::Was, &was)?;
        }
        if old.is_some() && self.memory.blobs.store.has_garbage()? {
            self.wake_in(0);
        }
        let bytes = |record: &StoredRecord| record.block.len();
        self.memory.count(old.map(bytes), new.map(bytes));
        Ok(())
    }

    /// Finds a record, as it must be.
    pub(super) fn known(
        &self,
        path: &RecordPath,
        swap: Option<&str>,
    ) -> Result<StoredRecord, ApiError> {
        let record = self.memory.store.record(path)?;
        let record = record.ok_or_else(|| unknown(path))?;
        let now = record.cid.to_string();
        if swap.is_some_and(|swap| swap != now) {
            return Err(ApiError::new(
                409,
                "RECORD_CHANGED",
                format!("The record has changed: its CID is {now} now. Read it again."),
            ));
        }
        Ok(record)
    }

    /// Opens a record.
    pub(super) fn plain(&self, me: &Me, stored: &StoredRecord) -> Result<Vec<u8>, ApiError> {
        let wrap = stored.wrap.as_deref();
        self.plain_of(
            me,
            &stored.path,
            (stored.dek, wrap),
            stored.version,
            (&stored.cid, &stored.block),
        )
    }

    /// Opens a version of a record. The CID stands in the signed tree, so a block that was put in
    /// the place of another is noticed before it is opened. The row that wraps the key is read where the
    /// caller has none.
    pub(super) fn plain_of(
        &self,
        me: &Me,
        path: &RecordPath,
        (dek, wrap): (Option<DekId>, Option<&[u8]>),
        version: u64,
        (cid, block): (&Cid, &[u8]),
    ) -> Result<Vec<u8>, ApiError> {
        if record_cid(block) != *cid {
            return Err(damaged(MemoryError::RecordDamaged));
        }
        let Some(dek) = dek else {
            return Ok(block.to_vec());
        };
        let sealed =
            Sealed::decode(block).map_err(|_error| damaged(MemoryError::RecordMalformed))?;
        if sealed.dek != dek || sealed.version != version {
            return Err(damaged(MemoryError::RecordMismatch));
        }
        let dek = match wrap {
            Some(wrap) => self.unwrap_dek(me, path, dek, wrap)?,
            None => self.open_dek(me, path, dek)?,
        };
        let plain = record::open(&dek, &place(me, path), version, sealed.envelope);
        plain.map(|plain| plain.to_vec()).map_err(damaged)
    }

    /// Shows a record, opened.
    pub(super) fn view(&self, me: &Me, record: &StoredRecord) -> Result<RecordView, ApiError> {
        let value = object(&self.plain(me, record)?)?;
        self.view_of(me, record, value)
    }

    fn view_of(
        &self,
        me: &Me,
        stored: &StoredRecord,
        value: Map<String, Value>,
    ) -> Result<RecordView, ApiError> {
        let standing = self.standing(me, stored, &value, (internal::now(), None))?;
        self.view_as(me, stored, value, &standing)
    }

    /// Shows a record that was opened. `claimed` says whether it has to be looked who replaces it.
    pub(super) fn view_claimed(
        &self,
        me: &Me,
        stored: &StoredRecord,
        value: Map<String, Value>,
        claimed: bool,
    ) -> Result<RecordView, ApiError> {
        let claimed = claimed.then_some(stored.n).into_iter().collect();
        let as_of = (internal::now(), Some(&claimed));
        let standing = self.standing(me, stored, &value, as_of)?;
        self.view_as(me, stored, value, &standing)
    }

    /// Shows a record that was opened, and what has become of it.
    pub(super) fn view_as(
        &self,
        me: &Me,
        stored: &StoredRecord,
        value: Map<String, Value>,
        standing: &Standing,
    ) -> Result<RecordView, ApiError> {
        let shares = match stored.level {
            Level::Shared => self.memory.store.shares(&stored.path)?,
            Level::Private | Level::Public => Vec::new(),
        };
        let with = shares.into_iter().map(|share| SharedWith {
            address: format!("{}@{}", share.recipient, share.host),
            did: share.recipient,
            at: share.at,
        });
        Ok(RecordView {
            head: RecordHead {
                id: id_of(&stored.path),
                uri: format!("at://{}/{}", me.did, stored.path),
                cid: stored.cid.to_string(),
                version: stored.version,
                level: stored.level.to_string(),
                created_at: stored.created_at,
                updated_at: stored.updated_at,
                shared_with: with.collect(),
                superseded_by: standing.superseded_by.as_ref().map(id_of),
                archived_at: standing.life.archived_at,
                stale_since: standing.life.stale_since,
            },
            record: Value::Object(value),
        })
    }

    pub(super) fn check(
        &self,
        collection: Option<Nsid>,
        rkey: Option<RecordKey>,
        mut record: Value,
        now: Timestamp,
    ) -> Result<Checked, ApiError> {
        if let Value::Object(fields) = &mut record {
            if let Some(collection) = &collection {
                let named = fields
                    .entry("$type")
                    .or_insert_with(|| Value::String(collection.to_string()));
                if named
                    .as_str()
                    .is_some_and(|named| named != collection.as_str())
                {
                    return Err(ApiError::bad_request(
                        "TYPE_MISMATCH",
                        "`$type` is the collection of the record; leave one of them away.",
                    ));
                }
            }
            fields
                .entry("createdAt")
                .or_insert_with(|| Value::String(now.to_string()));
        }
        let kind = schema::check(None, &record).map_err(invalid)?;
        let collection = Nsid::parse(kind.nsid()).map_err(ApiError::internal)?;
        let rkey = rkey.unwrap_or_else(|| self.key_for(&collection, now));
        fits(kind, &rkey)?;
        let Value::Object(value) = record else {
            return Err(ApiError::internal("a record is no object any more"));
        };
        check_validity(&value)?;
        let plain = from_json(&value).map_err(|error: JsonError| {
            ApiError::bad_request(
                "INVALID_RECORD",
                format!("The record cannot be stored: {error}."),
            )
        })?;
        if plain.len() > MAX_RECORD_BYTES {
            return Err(too_large());
        }
        Ok(Checked {
            path: RecordPath::new(collection, rkey),
            plain,
            value,
        })
    }

    /// Returns the key of a new record: the one its type names, or the next instant.
    fn key_for(&self, collection: &Nsid, now: Timestamp) -> RecordKey {
        let kind = schema::lexicons().record_type(collection.as_str());
        if let Some(KeyKind::Literal(literal)) = kind.map(|kind| kind.key())
            && let Ok(key) = RecordKey::parse(literal)
        {
            return key;
        }
        let clock = u16::from_be_bytes(internal::random::<2>());
        let last = self.memory.last_key.borrow().clone();
        let tid = Tid::after(last.as_ref(), micros(now), clock);
        self.memory.last_key.replace(Some(tid.clone()));
        tid.into()
    }

    pub(super) fn check_room(&self, more: usize) -> Result<(), ApiError> {
        let (records, bytes) = self.memory.usage()?;
        let full = records >= MAX_RECORDS || bytes.saturating_add(more as u64) > MAX_BYTES;
        if full {
            return Err(ApiError::new(
                507,
                "MEMORY_FULL",
                "This agent's memory is full: delete or archive what it does not need.",
            ));
        }
        Ok(())
    }
}

/// A memory holds for some time at least.
pub(super) fn check_validity(value: &Map<String, Value>) -> Result<(), ApiError> {
    let Ok(fields) = MemoryFields::deserialize(value) else {
        return Ok(());
    };
    match Validity::new(fields.valid_from, fields.valid_to) {
        Ok(_validity) => Ok(()),
        Err(error) => Err(ApiError::bad_request(error.code(), format!("{error}."))),
    }
}

/// Makes the answer for a record that is none of its type: what is wrong, and where.
pub(in crate::agent) fn invalid(fault: Fault) -> ApiError {
    let status = if fault.code == Code::RecordTooLarge {
        413
    } else {
        400
    };
    let pointer = fault.pointer;
    ApiError::new(
        status,
        fault.code.as_str(),
        format!("`{pointer}`: {}.", fault.message),
    )
}

/// Checks a record against its type's schema, and its key against what the type asks of keys.
pub(super) fn validate(collection: &Nsid, rkey: &RecordKey, value: &Value) -> Result<(), ApiError> {
    let kind = schema::check(Some(collection.as_str()), value).map_err(invalid)?;
    fits(kind, rkey)
}

fn fits(kind: RecordType<'_>, rkey: &RecordKey) -> Result<(), ApiError> {
    if kind.key().accepts(rkey) {
        return Ok(());
    }
    let collection = kind.nsid();
    Err(ApiError::bad_request(
        "INVALID_RECORD_KEY",
        format!("`rkey` is not what {collection} asks of its keys: GET /lexicons/{collection}."),
    ))
}

pub(super) fn too_large() -> ApiError {
    ApiError::new(
        413,
        "RECORD_TOO_LARGE",
        "The record is over 64 KiB: store what is long as a blob and name it in the record.",
    )
}

pub(super) fn next(old: &StoredRecord) -> u64 {
    old.version.saturating_add(1)
}

/// Seals a version of a record.
pub(super) fn seal(
    me: &Me,
    path: &RecordPath,
    dek: &Dek,
    version: u64,
    plain: &[u8],
    now: Timestamp,
) -> Result<StoredRecord, ApiError> {
    let envelope = record::seal(dek, &place(me, path), version, plain, &mut internal::rng());
    let envelope = envelope.map_err(asked)?;
    let sealed = Sealed {
        dek: dek.id(),
        version,
        envelope: &envelope,
    };
    let stored = open(path, version, sealed.encode(), now);
    Ok(StoredRecord {
        level: Level::Private,
        dek: Some(dek.id()),
        ..stored
    })
}

/// Makes a version of a record that everyone can read.
pub(super) fn open(
    path: &RecordPath,
    version: u64,
    block: Vec<u8>,
    now: Timestamp,
) -> StoredRecord {
    StoredRecord {
        n: 0,
        path: path.clone(),
        version,
        level: Level::Public,
        dek: None,
        cid: record_cid(&block),
        block,
        created_at: now,
        updated_at: now,
        revision: 0,
        wrap: None,
        life: StoredLife::default(),
    }
}

/// Reads what was sealed.
pub(super) fn object(plain: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match to_json(plain).map_err(ApiError::internal)? {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(ApiError::internal("a stored record is no object"))
        }
    }
}

fn idempotency(request: &NewRecord) -> Result<Option<(String, [u8; 32])>, ApiError> {
    let Some(key) = &request.idempotency_key else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(ApiError::bad_request(
            "INVALID_IDEMPOTENCY_KEY",
            "`idempotencyKey` has 1 to 256 bytes.",
        ));
    }
    let content = serde_json::to_vec(&request.record)?;
    let path = format!("{:?}{:?}", request.collection, request.rkey);
    Ok(Some((
        key.clone(),
        hash::sha256(&[path.as_bytes(), &content]),
    )))
}

/// Makes the answer for what a caller asked and may not have.
pub(super) fn asked(error: MemoryError) -> ApiError {
    let status = if error == MemoryError::RecordTooLarge {
        413
    } else if error == MemoryError::AlreadyPublic {
        409
    } else {
        400
    };
    ApiError::new(status, error.code(), format!("{error}."))
}
