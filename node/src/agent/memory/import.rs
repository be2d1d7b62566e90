//! Taking records back in from an archive of this agent's own repo.
//!
//! The archive's blocks are put aside, sealed, as they come, so that its length takes no memory. Then
//! its tree is walked: each record is judged and, where the agent does not have it, stored, all in one
//! transaction: everything or nothing. What the agent has stays as it is, so the same archive may be imported again at any time.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::api::memory::Imported;
use entente_lexicon::{RecordPath, Timestamp};
use entente_memory::repo::block::Blocks;
use entente_memory::repo::car::{CarError, CarReader};
use entente_memory::repo::import::{self, ImportError, Limits, Record};
use entente_memory::repo::walk::{Item, Walk};
use entente_memory::repo::{Cid, TreeError};
use entente_memory::sealed::{Sealed, SealedKey};
use entente_trust::memory::{DekId, Level, MemoryError, record, wrap};
use serde_json::Value;
use worker::Request;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::Importing;
use crate::agent::memory::keys::place;
use crate::agent::memory::life_store::StoredLife;
use crate::agent::memory::records::{
    MAX_RECORD_BYTES, check_validity, object, too_large, validate,
};
use crate::agent::memory::store::StoredRecord;
use crate::agent::repo::RepoTree;
use crate::edge::stall::Watched;
use crate::error::ApiError;
use crate::internal;

/// The longest archive in bytes: all records that an agent may have, their keys, and the tree.
const MAX_ARCHIVE_BYTES: usize = 2_304 * 1024 * 1024;
/// Blocks of one archive. A record of the private repo takes two, the tree about one for four records and
/// never more than one for each.
const MAX_ARCHIVE_BLOCKS: usize = 310_000;
/// Records signed together: so many are held in memory.
const BATCH: usize = 1_000;
/// What blocks are put aside for.
const PURPOSE: &str = "import";
/// What an interrupted import left is cleared away after this.
const CLEAR_MS: u64 = 60_000;

/// What was taken in and not signed yet, of the public tree and of the private one.
type Writes = BTreeMap<bool, Vec<(RecordPath, Option<Cid>)>>;

/// A record of an archive, opened.
struct Opened {
    /// Its version and its key, where it is sealed.
    sealed: Option<(u64, DekId)>,
    plain: Vec<u8>,
}

/// An archive's blocks, put aside.
struct Staged<'a> {
    core: &'a Core,
    me: &'a Me,
}

impl Blocks for Staged<'_> {
    type Error = ApiError;

    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, ApiError> {
        let sealed = self.core.memory.store.staged(cid)?;
        let open = |sealed: Vec<u8>| self.me.open_secret(PURPOSE, &sealed);
        Ok(sealed.map(open).transpose()?.map(|block| block.to_vec()))
    }
}

impl Core {
    /// Takes in an archive of this agent's private or public repo.
    pub(super) async fn import_archive(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Imported, ApiError> {
        let me = self.identity()?;
        let Some(_importing) = Importing::begin(&self.memory.importing) else {
            return Err(ApiError::new(
                409,
                "IMPORT_RUNNING",
                "Another archive is being imported: wait until that is done.",
            ));
        };
        self.memory.store.clear_staged()?;
        self.wake_in(CLEAR_MS);
        let imported = match self.stage(&me, request).await {
            Ok(root) => self.take_in(&me, root),
            Err(error) => Err(error),
        };
        self.memory.store.clear_staged()?;
        imported
    }

    /// Clears away what an import left that something interrupted. Called by the alarm.
    pub(super) fn tend_imports(&self) -> Result<(), ApiError> {
        if self.memory.is_used()? && !self.memory.importing.get() {
            self.memory.prepare()?;
            self.memory.store.clear_staged()?;
        }
        Ok(())
    }

    /// Puts the blocks aside as they come. Returns the root.
    async fn stage(&self, me: &Me, request: &mut Request) -> Result<Cid, ApiError> {
        if request.inner().body().is_none() {
            return Err(broken(CarError::Truncated));
        }
        let announced = request.headers().get("content-length")?;
        let announced = announced.and_then(|text| text.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > MAX_ARCHIVE_BYTES) {
            return Err(refused(&ImportError::TooMuch));
        }
        let mut body = Watched::of(request, &self.env)?;
        let mut reader = CarReader::default();
        let mut left = Limits {
            bytes: MAX_ARCHIVE_BYTES,
            blocks: MAX_ARCHIVE_BLOCKS,
        };
        while let Some(chunk) = body.next().await? {
            reader.feed(&chunk);
            while let Some((cid, block)) = reader.block().map_err(broken)? {
                left.take(block.len()).map_err(|error| refused(&error))?;
                match SealedKey::decode(&block) {
                    Ok(key) => self.memory.store.stage_key(key.dek, key.row)?,
                    Err(_) => {
                        let sealed = me.seal_secret(PURPOSE, &block);
                        self.memory.store.stage(&cid, &sealed)?;
                    }
                }
            }
        }
        reader.end().map_err(broken)
    }

    /// Judges what was put aside, and stores what is missing: all of it or nothing.
    fn take_in(&self, me: &Me, root: Cid) -> Result<Imported, ApiError> {
        let staged = Staged { core: self, me };
        let block = staged.block(&root)?;
        let key = me.repo.verifying_key();
        let commit = import::commit(root, block.as_deref(), &me.did, &key);
        let commit = commit.map_err(|error| refused(&error))?;
        let taken = self.memory.store.transaction(|| {
            let mut writes = Writes::new();
            let (mut imported, mut kept) = (0, 0);
            for item in Walk::new(&staged, &commit.commit.data) {
                let Item::Leaf(key, cid) = item.map_err(unsound)? else {
                    continue;
                };
                let value = staged.block(&cid)?;
                let record = import::record(&key, cid, value).map_err(|error| refused(&error))?;
                if self.memory.store.has(&record.path)? {
                    kept += 1;
                    continue;
                }
                let stored = self.take_record(me, record)?;
                let writes = writes.entry(stored.level == Level::Public).or_default();
                writes.push((stored.path, Some(stored.cid)));
                imported += 1;
                if writes.len() >= BATCH {
                    self.sign_taken(me, stored.level == Level::Public, writes)?;
                    writes.clear();
                }
            }
            for (public, writes) in &writes {
                self.sign_taken(me, *public, writes)?;
            }
            Ok::<_, ApiError>((imported, kept))
        });
        if taken.is_err() {
            // What was counted was not stored.
            self.memory.usage.set(None);
        }
        let (imported, kept) = taken?;
        Ok(Imported {
            root: root.to_string(),
            rev: commit.commit.rev.to_string(),
            imported,
            kept,
        })
    }

    /// Signs the tree of what was taken in. Part of the import's transaction.
    fn sign_taken(
        &self,
        me: &Me,
        public: bool,
        writes: &[(RecordPath, Option<Cid>)],
    ) -> Result<(), ApiError> {
        if writes.is_empty() {
            return Ok(());
        }
        let tree = if public {
            RepoTree::Public
        } else {
            RepoTree::Private
        };
        self.commit_records(tree, (&me.did, &me.repo), writes)?;
        Ok(())
    }

    /// Stores a record that the agent does not have. Part of the import's transaction.
    fn take_record(&self, me: &Me, found: Record) -> Result<StoredRecord, ApiError> {
        let Record { path, cid, value } = found;
        let at = |error: ApiError| ApiError {
            message: format!("{path}: {}", error.message),
            ..error
        };
        let Opened { sealed, plain } = self.open_found(me, &path, &value).map_err(at)?;
        if plain.len() > MAX_RECORD_BYTES {
            return Err(at(too_large()));
        }
        let fields = object(&plain).map_err(|_error| refused(&ImportError::Record))?;
        let whole = Value::Object(fields);
        validate(path.collection(), path.rkey(), &whole).map_err(at)?;
        if let Value::Object(fields) = &whole {
            check_validity(fields).map_err(at)?;
        }
        self.check_room(value.len())?;
        let now = internal::now();
        let written = whole.get("createdAt").and_then(Value::as_str);
        let written = written.and_then(Timestamp::parse);
        let (version, dek) = sealed.unzip();
        let mut stored = StoredRecord {
            n: 0,
            path,
            version: version.unwrap_or(1),
            level: if dek.is_some() {
                Level::Private
            } else {
                Level::Public
            },
            dek,
            cid,
            block: value,
            created_at: written.map_or(now, |written| written.min(now)),
            updated_at: now,
            revision: self.next_revision()?,
            wrap: None,
            life: StoredLife::default(),
        };
        stored.n = self.memory.store.insert(&stored, None)?;
        if let Value::Object(fields) = &whole {
            self.index(me, &stored, fields)?;
            // A blob that is gone stays gone; one that is there is needed again.
            self.refer_blobs(me, &stored, fields)?;
        }
        self.memory.count(None, Some(stored.block.len()));
        Ok(stored)
    }

    /// Opens a record of an archive, and keeps what wraps its key.
    fn open_found(&self, me: &Me, path: &RecordPath, block: &[u8]) -> Result<Opened, ApiError> {
        let Ok(sealed) = Sealed::decode(block) else {
            return Ok(Opened {
                sealed: None,
                plain: block.to_vec(),
            });
        };
        let row = self.memory.store.staged_key(sealed.dek)?.ok_or_else(|| {
            ApiError::new(
                422,
                "IMPORT_KEY_MISSING",
                "the archive does not have the row that wraps the record's key: import an export as it came.",
            )
        })?;
        let place = place(me, path);
        let dek = wrap::unwrap(&*self.ring(me)?, &place, sealed.dek, &row).map_err(unopened)?;
        let plain = record::open(&dek, &place, sealed.version, sealed.envelope);
        let plain = plain.map_err(unopened)?.to_vec();
        let epoch = wrap::epoch(&row).map_err(unopened)?;
        self.memory.store.keep_wrap(sealed.dek, path, epoch, &row)?;
        Ok(Opened {
            sealed: Some((sealed.version, sealed.dek)),
            plain,
        })
    }
}

fn unsound(error: TreeError<ApiError>) -> ApiError {
    match error {
        TreeError::Store(error) => error,
        TreeError::Missing(cid) => refused(&ImportError::Missing(cid)),
        TreeError::Node(cid, fault) => refused(&ImportError::Tree(cid, fault)),
    }
}

fn broken(error: CarError) -> ApiError {
    refused(&ImportError::Car(error))
}

fn refused(error: &ImportError) -> ApiError {
    let status = if *error == ImportError::TooMuch {
        413
    } else {
        422
    };
    ApiError::new(
        status,
        error.code(),
        format!("{error}. Nothing was imported."),
    )
}

fn unopened(error: MemoryError) -> ApiError {
    ApiError::new(
        422,
        error.code(),
        format!("{error}. Nothing was imported: make a new export, or restore a backup."),
    )
}
