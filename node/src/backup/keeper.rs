//! Taking the snapshot of an object, and putting one back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use entente_trust::backup::stream::{Decoder, Frame};
use entente_trust::backup::{BackupError, Manifest, Sealer};
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::rest::KeyRing;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, console_warn};

use super::stage::Stage;
use super::wire::{Back, Changed, PutBack, TakeSnapshot, Taken};
use super::{chunk_key, manifest_key, refused, tables};
use crate::config::key_ring;
use crate::error::ApiError;
use crate::internal::{self, now};
use crate::shapes::Nothing;
use crate::store::bucket::Bucket;
use crate::store::sqlite::{Sqlite, StoreError};

/// Something was written that no snapshot has.
const CHANGED: &str = "changed";
/// How long changes are gathered before the relay is told.
const TELL_AFTER_MS: u64 = 500;

/// What an object must do about backups. One for each object, and another for what the relay keeps in D1.
pub struct Keeper {
    db: Rc<Sqlite>,
    stage: Stage,
    env: Env,
    busy: Cell<bool>,
}

/// A snapshot that is taken but not uploaded yet; its chunks wait in the stage.
#[derive(Serialize, Deserialize)]
struct Staged {
    generation: u64,
    manifest: ByteBuf,
    length: u64,
}

/// Where rows of a snapshot come from: an object's own tables, or what was read of D1.
pub(super) type Source<'a> =
    &'a mut dyn FnMut(&mut dyn FnMut(Frame) -> Result<(), ApiError>) -> Result<(), ApiError>;

/// Why a chunk was not kept.
enum Unkept {
    Backup(BackupError),
    Store(StoreError),
}

impl From<BackupError> for Unkept {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<StoreError> for Unkept {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unkept> for ApiError {
    fn from(error: Unkept) -> Self {
        match error {
            Unkept::Backup(error) => refused(error, "the snapshot"),
            Unkept::Store(error) => error.into(),
        }
    }
}

impl Keeper {
    /// Makes the keeper of the object that owns this database.
    #[must_use]
    pub fn new(db: &Rc<Sqlite>, env: &Env) -> Self {
        Self {
            stage: Stage { db: Rc::clone(db) },
            db: Rc::clone(db),
            env: env.clone(),
            busy: Cell::new(false),
        }
    }

    /// Marks the first change after each snapshot, and has `tell` called for it.
    pub fn watch(&self, tell: impl Fn() + 'static) {
        let stage = self.stage.clone();
        self.db.watch(move || {
            // In the transaction of the change itself: a change that is there is known.
            let marked = stage.create().map_err(ApiError::from);
            let marked = marked.and_then(|()| stage.set_state(CHANGED, &true));
            if let Err(error) = marked {
                console_warn!("a change was not marked for the next backup: {error}");
            }
            tell();
        });
    }

    /// Tells the relay in a moment that the object which `subject` names changed, if it is something yet.
    pub fn tell_soon(&self, subject: impl FnOnce() -> Option<String> + 'static) {
        let (env, db) = (self.env.clone(), Rc::clone(&self.db));
        spawn_local(async move {
            Delay::from(Duration::from_millis(TELL_AFTER_MS)).await;
            let Some(subject) = subject() else {
                return db.forget_writes();
            };
            if let Err(error) = tell_changed(&env, subject).await {
                console_warn!("the relay does not know yet of a change to back up: {error}");
                db.forget_writes();
            }
        });
    }

    /// Reads what was noted beside the tables that are backed up.
    pub(crate) fn note<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ApiError> {
        if self.stage.exists()? {
            return self.stage.state(key);
        }
        Ok(None)
    }

    /// Notes something beside the tables that are backed up.
    pub(crate) fn set_note(&self, key: &str, value: &impl Serialize) -> Result<(), ApiError> {
        self.stage.create()?;
        self.stage.set_state(key, value)
    }

    /// Drops such a note.
    pub(crate) fn drop_note(&self, key: &str) -> Result<(), ApiError> {
        Ok(self.stage.drop_state(key)?)
    }

    /// Takes a snapshot of the object's own tables if anything changed, and uploads it.
    ///
    /// # Errors
    /// 503 of the bucket; 409 `BACKUP_RUNNING` while another is being taken. Whatever ended it, the next call
    /// goes on from there.
    pub async fn take(&self, wish: &TakeSnapshot) -> Result<Taken, ApiError> {
        self.take_from(wish, true, &mut |take| tables::read(&self.db, take))
            .await
    }

    /// As [`Keeper::take`], from any source; `own` says that it is the object's tables.
    pub(super) async fn take_from(
        &self,
        wish: &TakeSnapshot,
        own: bool,
        source: Source<'_>,
    ) -> Result<Taken, ApiError> {
        self.alone(async {
            self.stage.create()?;
            let last: Option<Taken> = self.stage.state(&last_key(&wish.subject))?;
            let staged: Option<Staged> = self.stage.state(&staged_key(&wish.subject))?;
            let changed = !own || self.stage.state::<bool>(CHANGED)?.is_some();
            if !changed && !wish.anew {
                if let Some(staged) = staged {
                    return self.upload(wish, staged).await;
                }
                if let Some(last) = last {
                    return Ok(last);
                }
            }
            let staged = self.snapshot(wish, own, source)?;
            self.upload(wish, staged).await
        })
        .await
    }

    /// Takes the snapshot, in one transaction and without waiting for anything.
    fn snapshot(
        &self,
        wish: &TakeSnapshot,
        own: bool,
        source: Source<'_>,
    ) -> Result<Staged, ApiError> {
        let ring = key_ring(&self.env)?;
        self.db.transaction(|| {
            self.stage.clear(&wish.subject)?;
            let mut keep = |n: u64, sealed: Vec<u8>| {
                self.stage.put(&wish.subject, n, &sealed)?;
                Ok::<_, Unkept>(())
            };
            let rng = &mut internal::rng();
            let mut sealer = Sealer::begin(&ring, wish.place(), rng);
            let (mut frames, mut length) = (Vec::new(), 0_u64);
            source(&mut |frame| {
                frames.clear();
                frame.encode(&mut frames).map_err(Unkept::from)?;
                length = length.saturating_add(u64::try_from(frames.len()).unwrap_or(u64::MAX));
                Ok(sealer.push(&frames, &mut keep)?)
            })?;
            let manifest = sealer.finish(now(), &mut keep)?;
            let staged = Staged {
                generation: wish.generation,
                manifest: manifest.into(),
                length,
            };
            self.stage.set_state(&staged_key(&wish.subject), &staged)?;
            if own {
                self.stage.drop_state(CHANGED)?;
                self.db.forget_writes();
            }
            Ok(staged)
        })
    }

    /// Uploads what waits: every chunk, then the manifest. A chunk leaves the stage once it is stored.
    async fn upload(&self, wish: &TakeSnapshot, staged: Staged) -> Result<Taken, ApiError> {
        let bucket = Bucket::open(&self.env)?;
        let place = entente_trust::backup::Place {
            generation: staged.generation,
            ..wish.place()
        };
        let mut from = 0;
        while let Some((n, sealed)) = self.stage.next(&wish.subject, from)? {
            bucket.put(&chunk_key(place, n), sealed).await?;
            self.stage.drop_one(&wish.subject, n)?;
            from = n.saturating_add(1);
        }
        let taken = Taken {
            generation: staged.generation,
            manifest: sha256(&[&staged.manifest]).to_vec().into(),
            length: staged.length,
        };
        bucket
            .put(&manifest_key(place), staged.manifest.into_vec())
            .await?;
        self.db.transaction(|| {
            self.stage.set_state(&last_key(&wish.subject), &taken)?;
            self.stage.drop_state(&staged_key(&wish.subject))?;
            Ok::<_, ApiError>(())
        })?;
        Ok(taken)
    }

    /// Becomes what a snapshot says, all of it or nothing. `then` runs in the same transaction.
    ///
    /// # Errors
    /// 409 `NOT_EMPTY` where there is something already; 404 `BACKUP_NOT_FOUND`; 422 and 503 with a code of
    /// [`BackupError`]; and what `then` returns.
    pub async fn put_back(
        &self,
        wish: &PutBack,
        then: impl FnOnce() -> Result<(), ApiError>,
    ) -> Result<Back, ApiError> {
        self.alone(async {
            self.stage.create()?;
            let ring = key_ring(&self.env)?;
            let manifest = self.manifest(&ring, wish).await?;
            let done: Option<ByteBuf> = self.stage.state(RESTORED)?;
            if done.as_ref() == Some(&wish.taken.manifest) && self.stage.is_used()? {
                return Ok(Back {
                    at: manifest.at(),
                    rows: 0,
                    already: true,
                });
            }
            self.fetch(&ring, wish, &manifest).await?;
            self.db.transaction(|| {
                if !wish.replace && self.stage.is_used()? {
                    return Err(not_empty());
                }
                tables::clear(&self.db)?;
                let mut writer = tables::Writer::new(&self.db);
                self.decode(
                    &ring,
                    wish,
                    &manifest,
                    &mut |frame| Ok(writer.write(frame)?),
                )?;
                then()?;
                self.stage.clear(&wish.subject)?;
                self.stage.set_state(RESTORED, &wish.taken.manifest)?;
                self.stage
                    .set_state(&last_key(&wish.subject), &wish.taken)?;
                Ok(Back {
                    at: manifest.at(),
                    rows: writer.rows,
                    already: false,
                })
            })
        })
        .await
    }

    /// Checks that a snapshot's manifest is there and is the one that the index names.
    pub(crate) async fn check(&self, wish: &PutBack) -> Result<(), ApiError> {
        let ring = key_ring(&self.env)?;
        self.manifest(&ring, wish).await.map(|_manifest| ())
    }

    /// Reads a snapshot without applying it, such as that of the directory.
    pub(super) async fn read_back(
        &self,
        wish: &PutBack,
        take: &mut dyn FnMut(Frame) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        self.alone(async {
            self.stage.create()?;
            let ring = key_ring(&self.env)?;
            let manifest = self.manifest(&ring, wish).await?;
            self.fetch(&ring, wish, &manifest).await?;
            self.decode(&ring, wish, &manifest, take)?;
            Ok(self.stage.clear(&wish.subject)?)
        })
        .await
    }

    /// Fetches the manifest that the index names, and no other.
    async fn manifest(&self, ring: &KeyRing, wish: &PutBack) -> Result<Manifest, ApiError> {
        let key = manifest_key(wish.place());
        let sealed = Bucket::open(&self.env)?.get(&key).await?;
        let sealed = sealed.ok_or_else(|| missing(&key))?;
        let manifest =
            Manifest::open(ring, wish.place(), &sealed).map_err(|error| refused(error, &key))?;
        if sha256(&[&sealed]).as_slice() != wish.taken.manifest.as_slice() {
            return Err(refused(BackupError::Misplaced, &key));
        }
        Ok(manifest)
    }

    /// Fetches and checks every chunk into the stage. Goes on where an earlier attempt was cut off, since
    /// what is there is checked again when it is read.
    async fn fetch(
        &self,
        ring: &KeyRing,
        wish: &PutBack,
        manifest: &Manifest,
    ) -> Result<(), ApiError> {
        let bucket = Bucket::open(&self.env)?;
        for n in 0..manifest.count() {
            let staged = self.stage.next(&wish.subject, n)?;
            let is_there = staged.is_some_and(|(place, sealed)| {
                place == n && manifest.chunk(ring, n, &sealed).is_ok()
            });
            if is_there {
                continue;
            }
            let key = chunk_key(wish.place(), n);
            let sealed = bucket.get(&key).await?.unwrap_or_default();
            manifest
                .chunk(ring, n, &sealed)
                .map_err(|error| refused(error, &key))?;
            self.stage.put(&wish.subject, n, &sealed)?;
        }
        Ok(())
    }

    /// Reads the frames of what was fetched. Never awaits.
    fn decode(
        &self,
        ring: &KeyRing,
        wish: &PutBack,
        manifest: &Manifest,
        take: &mut dyn FnMut(Frame) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let key = manifest_key(wish.place());
        let refused = |error| refused(error, &key);
        let mut decoder = Decoder::default();
        for n in 0..manifest.count() {
            let staged = self.stage.next(&wish.subject, n)?;
            let sealed = staged.map(|(_, sealed)| sealed).unwrap_or_default();
            let plain = manifest.chunk(ring, n, &sealed).map_err(refused)?;
            decoder.push(&plain);
            while let Some(frame) = decoder.next_frame().map_err(refused)? {
                take(frame)?;
            }
        }
        decoder.finish().map_err(refused)
    }

    /// Lets one thing at a time be done with the stage.
    async fn alone<T>(
        &self,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        if self.busy.replace(true) {
            return Err(running());
        }
        let _until_dropped = Busy(&self.busy);
        work.await
    }
}

struct Busy<'a>(&'a Cell<bool>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

const RESTORED: &str = "restored";

fn last_key(subject: &str) -> String {
    format!("last {subject}")
}

fn staged_key(subject: &str) -> String {
    format!("staged {subject}")
}

/// Tells the relay that something has to be backed up.
///
/// # Errors
/// If the relay cannot be reached.
pub(crate) async fn tell_changed(env: &Env, subject: String) -> Result<(), ApiError> {
    let (relay, request) = (internal::relay(env)?, internal::new_request_id());
    let body = Changed { subject };
    let Nothing {} = internal::post(&relay, "/backups/changed", &body, &request).await?;
    Ok(())
}

/// Makes the 409 for a second attempt at once.
#[must_use]
pub fn running() -> ApiError {
    ApiError::new(
        409,
        "BACKUP_RUNNING",
        "A backup or a restore is under way: wait until GET /admin/backups says that it ended, then try again.",
    )
}

/// Makes the 404 for a backup that is not in the bucket.
#[must_use]
pub fn missing(key: &str) -> ApiError {
    ApiError::not_found(
        "BACKUP_NOT_FOUND",
        format!(
            "The bucket holds no such backup ({key}): GET /admin/backups lists those there are."
        ),
    )
}

fn not_empty() -> ApiError {
    ApiError::new(
        409,
        "NOT_EMPTY",
        "There is something already: a backup is put back only where nothing is. Delete the agent first if the backup shall take its place.",
    )
}
