//! The agent's side of the replica in D1: what has changed, how far behind it is, and hints.
//!
//! Every change of a record gives it a revision, an instant that always grows, in the transaction that
//! changes it; a record that is removed leaves its revision behind until the replica knows. That is the
//! outbox: whatever is later than what the replica is known to have. The queue carries hints alone,
//! and the alarm sends another one as long as something is left. See [`crate::replica`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use entente_lexicon::Timestamp;
use entente_lexicon::api::memory::{ReplicaError, ReplicaView};
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::agent::core::Core;
use crate::agent::memory::micros;
use crate::agent::memory::replica_store::Removed;
use crate::agent::memory::store::{OldWrap, StoredRecord};
use crate::agent::wire::{ReplicaCursor, ReplicaPage, ReplicaPull, ReplicaRecord, ReplicaShare};
use crate::error::ApiError;
use crate::internal;
use crate::replica::{Hint, hint};
use entente_trust::memory::Level;

/// Where the name of this life of the records is kept.
const LIFE: &str = "replica-life";
/// Where the revision is kept that the replica is known to have.
const KNOWN: &str = "replica-known";
/// Where the last failure is kept.
const FAILED: &str = "replica-failed";
/// Changes of so many milliseconds are one hint.
const GATHER: Duration = Duration::from_millis(500);
/// A hint that was not sent so long after it was begun never will be.
const LOST_MS: u64 = 5_000;
/// A change that the replica does not have after so long is hinted at again.
const REPAIR_MS: u64 = 10_000;
/// The longest time between two such hints.
const MAX_REPAIR_MS: u64 = 600_000;
/// Records of one page.
const PAGE_RECORDS: u32 = 64;
/// Bytes of their blocks, unless the first is longer.
const PAGE_BYTES: usize = 512 * 1024;

/// What is known of the replica while the object is awake.
#[derive(Default)]
pub(super) struct Replica {
    /// The last revision that was given, and after how many rollbacks: one that was given in a transaction
    /// that was rolled back is nobody's.
    last: Cell<Option<(u64, u64)>>,
    /// The revision that the replica is known to have.
    known: Cell<Option<u64>>,
    life: RefCell<Option<String>>,
    /// Since when a hint is on its way.
    hinting: Cell<Option<Timestamp>>,
    /// Hints sent by the alarm since the replica last moved.
    repairs: Cell<u32>,
}

impl Core {
    /// Returns the revision of a change, and sees to it that the alarm rings if the replica does not
    /// get it. To be called in the change's transaction.
    pub(super) fn next_revision(&self) -> Result<u64, ApiError> {
        self.next_revisions(1)
    }

    /// As [`Core::next_revision`], for several changes; returns the first.
    fn next_revisions(&self, count: u64) -> Result<u64, ApiError> {
        let replica = &self.memory.replica;
        let first = self
            .last_revision()?
            .saturating_add(1)
            .max(micros(internal::now()));
        let last = first.saturating_add(count.saturating_sub(1));
        replica.last.set(Some((last, self.db.rollbacks())));
        self.wake_in(REPAIR_MS);
        Ok(first)
    }

    /// Notes that the rows of records' keys are made anew.
    pub(super) fn touch_all(&self, rows: &[OldWrap]) -> Result<(), ApiError> {
        if rows.is_empty() {
            return Ok(());
        }
        let first = self.next_revisions(rows.len() as u64)?;
        let paths = rows.iter().map(|row| &row.path);
        Ok(self.memory.store.touch_all(paths, first)?)
    }

    pub(super) fn last_revision(&self) -> Result<u64, ApiError> {
        let rollbacks = self.db.rollbacks();
        if let Some((last, after)) = self.memory.replica.last.get()
            && after == rollbacks
        {
            return Ok(last);
        }
        let last = self
            .memory
            .store
            .last_revision()?
            .max(self.known_revision()?);
        self.memory.replica.last.set(Some((last, rollbacks)));
        Ok(last)
    }

    fn known_revision(&self) -> Result<u64, ApiError> {
        if let Some(known) = self.memory.replica.known.get() {
            return Ok(known);
        }
        let known = self
            .store
            .meta(KNOWN)?
            .and_then(|bytes| bytes.try_into().ok());
        let known = known.map_or(0, u64::from_be_bytes);
        self.memory.replica.known.set(Some(known));
        Ok(known)
    }

    /// Begins another life of the records: what is stored is of an earlier time than the replica.
    pub(in crate::agent) fn end_replica_life(&self) -> Result<(), ApiError> {
        Ok(self.store.drop_meta(LIFE)?)
    }

    fn replica_life(&self) -> Result<String, ApiError> {
        if let Some(life) = self.memory.replica.life.borrow().as_ref() {
            return Ok(life.clone());
        }
        let life = match self.store.meta(LIFE)? {
            Some(life) => String::from_utf8(life).map_err(ApiError::internal)?,
            None => {
                let life = HEXLOWER.encode(&internal::random::<8>());
                self.store.set_meta(LIFE, life.as_bytes())?;
                life
            }
        };
        self.memory.replica.life.replace(Some(life.clone()));
        Ok(life)
    }

    /// Sends a hint, a moment later and one for all that changes until then, if there is something that
    /// the replica does not have.
    pub(super) fn hint_replica(self: &Rc<Self>) -> Result<(), ApiError> {
        let behind = self.last_revision()? > self.known_revision()?;
        let (hinting, now) = (&self.memory.replica.hinting, internal::now());
        // The platform may end whoever called, and with it what was to be done afterwards.
        let under_way = hinting
            .get()
            .is_some_and(|since| now.since(since) < LOST_MS);
        if !behind || under_way {
            return Ok(());
        }
        hinting.set(Some(now));
        let core = Rc::clone(self);
        spawn_local(async move {
            Delay::from(GATHER).await;
            core.memory.replica.hinting.set(None);
            if let Err(error) = core.send_hint().await {
                console_warn!("no hint for the replica: {error}");
                if let Err(error) = core.replica_failed(&error.to_string()) {
                    console_warn!("that cannot be written down: {error}");
                }
            }
        });
        Ok(())
    }

    async fn send_hint(&self) -> Result<(), ApiError> {
        let did = self.identity()?.did.to_string();
        let revision = self.last_revision()?;
        hint(&self.env, Hint { did, revision }).await
    }

    /// Sends another hint if the replica stays behind, rarer each time. Called by the alarm.
    pub(super) fn tend_replica(self: &Rc<Self>) {
        if let Err(error) = self.repair_replica() {
            console_warn!("the replica is not looked after: {error}");
            self.wake_in(REPAIR_MS);
        }
    }

    fn repair_replica(self: &Rc<Self>) -> Result<(), ApiError> {
        if !self.memory.is_used()? {
            return Ok(());
        }
        self.memory.prepare()?;
        if self.last_revision()? <= self.known_revision()? {
            return Ok(());
        }
        let repairs = self.memory.replica.repairs.get();
        self.memory.replica.repairs.set(repairs.saturating_add(1));
        self.wake_in((REPAIR_MS << repairs.min(10)).min(MAX_REPAIR_MS));
        self.hint_replica()
    }

    /// Notes why the replica stays behind.
    pub(in crate::agent) fn replica_failed(&self, why: &str) -> Result<(), ApiError> {
        let failed = ReplicaError {
            at: internal::now(),
            error: why.chars().take(500).collect(),
        };
        Ok(self.store.set_meta(FAILED, &serde_json::to_vec(&failed)?)?)
    }

    /// Answers the queue's consumer with what follows what the replica has.
    pub(in crate::agent) fn replica_page(
        &self,
        pull: &ReplicaPull,
    ) -> Result<ReplicaPage, ApiError> {
        self.memory.prepare()?;
        let (life, last) = (self.replica_life()?, self.last_revision()?);
        let has = match &pull.cursor {
            None => 0,
            Some(cursor) => cursor.revision,
        };
        let foreign = pull
            .cursor
            .as_ref()
            .is_some_and(|cursor| cursor.life != life);
        // What was removed since is known only as far back as the replica once was.
        if foreign || has > last || (has > 0 && has < self.known_revision()?) {
            return Ok(ReplicaPage {
                reset: true,
                gone: Vec::new(),
                records: Vec::new(),
                cursor: ReplicaCursor { life, revision: 0 },
            });
        }
        self.replica_has(has)?;
        let store = &self.memory.store;
        let changed = store.changed(has, PAGE_RECORDS)?;
        let removed = store.removed(has, PAGE_RECORDS)?;
        self.page_of(life, has, changed, removed)
    }

    /// Takes from both, in the order of their revisions, what fits on a page.
    fn page_of(
        &self,
        life: String,
        has: u64,
        changed: Vec<StoredRecord>,
        removed: Vec<Removed>,
    ) -> Result<ReplicaPage, ApiError> {
        let mut page = ReplicaPage {
            reset: false,
            gone: Vec::new(),
            records: Vec::new(),
            cursor: ReplicaCursor {
                life,
                revision: has,
            },
        };
        let (mut changed, mut removed) = (
            changed.into_iter().peekable(),
            removed.into_iter().peekable(),
        );
        let (mut taken, mut bytes) = (0_u32, 0_usize);
        while taken < PAGE_RECORDS && bytes < PAGE_BYTES {
            let next = changed.peek().map_or(u64::MAX, |one| one.revision);
            if let Some(one) = removed.next_if(|one| one.revision < next) {
                page.cursor.revision = one.revision;
                page.gone.push(one.path.to_string());
            } else if let Some(one) = changed.next() {
                bytes = bytes.saturating_add(one.block.len());
                page.cursor.revision = one.revision;
                page.records.push(self.replicated(one)?);
            } else {
                break;
            }
            taken += 1;
        }
        Ok(page)
    }

    fn replicated(&self, record: StoredRecord) -> Result<ReplicaRecord, ApiError> {
        let shares = match record.level {
            Level::Shared => self.memory.store.share_rows(&record.path)?,
            Level::Private | Level::Public => Vec::new(),
        };
        let share = |share: crate::agent::memory::replica_store::ShareRow| ReplicaShare {
            recipient: share.recipient,
            encrypted_dek: share.row.map(ByteBuf::from),
            at: Timestamp(share.at),
        };
        Ok(ReplicaRecord {
            collection: record.path.collection().to_string(),
            rkey: record.path.rkey().to_string(),
            version: record.version,
            cid: record.cid.to_string(),
            ciphertext: ByteBuf::from(record.block),
            encrypted_dek: record.wrap.map(ByteBuf::from),
            revision: record.revision,
            created_at: record.created_at,
            updated_at: record.updated_at,
            shares: shares.into_iter().map(share).collect(),
        })
    }

    /// Notes what the replica has.
    fn replica_has(&self, revision: u64) -> Result<(), ApiError> {
        if revision == self.known_revision()? {
            return Ok(());
        }
        self.memory.store.transaction(|| {
            self.store.set_meta(KNOWN, &revision.to_be_bytes())?;
            self.store.set_meta(FAILED, b"")?;
            self.memory.store.drop_removed(revision)
        })?;
        self.memory.replica.known.set(Some(revision));
        self.memory.replica.repairs.set(0);
        Ok(())
    }

    /// Tells how far the replica is.
    pub(in crate::agent) fn replica_view(&self) -> Result<ReplicaView, ApiError> {
        let mut view = ReplicaView::default();
        if !self.memory.is_used()? {
            return Ok(view);
        }
        self.memory.prepare()?;
        let known = self.known_revision()?;
        let (pending, oldest) = self.memory.store.pending(known)?;
        let failed = self.store.meta(FAILED)?.filter(|failed| !failed.is_empty());
        view.revision = self.last_revision()?;
        view.replicated = known;
        view.pending = pending;
        view.behind_ms =
            oldest.map_or(0, |oldest| internal::now().since(Timestamp(oldest / 1_000)));
        view.last_error = failed
            .map(|failed| serde_json::from_slice(&failed))
            .transpose()?;
        Ok(view)
    }
}
