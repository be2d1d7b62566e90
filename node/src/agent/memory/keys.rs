//! The keys that wrap the keys of records, and their rotation.

use std::rc::Rc;

use entente_lexicon::RecordPath;
use entente_lexicon::api::memory::RotationView;
use entente_trust::memory::wrap::Row;
use entente_trust::memory::{Dek, DekId, Kek, KekRing, Place, wrap};

use worker::console_error;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::error::ApiError;
use crate::internal;

/// Rows rewrapped in one transaction.
const BATCH: u32 = 500;

impl Core {
    /// Returns the keys that wrap, making the first if there is none.
    pub(super) fn ring(&self, me: &Me) -> Result<Rc<KekRing>, ApiError> {
        if let Some(ring) = self.memory.ring.borrow().as_ref() {
            return Ok(Rc::clone(ring));
        }
        let master = me.storage_ring();
        let mut keks = Vec::new();
        for sealed in self.memory.store.keks()? {
            keks.push(sealed.open(&master, &me.did).map_err(ApiError::internal)?);
        }
        let current = match keks.pop() {
            Some(current) => current,
            None => self.new_kek(me, Kek::generate(1, &mut internal::rng()))?,
        };
        let ring = Rc::new(KekRing::new(current, keks));
        self.memory.ring.replace(Some(Rc::clone(&ring)));
        Ok(ring)
    }

    fn new_kek(&self, me: &Me, kek: Kek) -> Result<Kek, ApiError> {
        let sealed = kek.seal(&me.storage_ring(), &me.did, &mut internal::rng());
        self.memory.store.keep_kek(&sealed, internal::now())?;
        Ok(kek)
    }

    /// Begins the next epoch: what is stored from here on is wrapped by its key, and what was stored
    /// before is rewrapped beside other work. While that goes on nothing else begins.
    pub(super) fn rotate_memory(&self) -> Result<RotationView, ApiError> {
        let me = self.identity()?;
        let ring = self.ring(&me)?;
        let (left, _) = self.memory.store.wraps_left(ring.current().epoch())?;
        if left == 0 {
            let next = ring.rotated(&mut internal::rng()).ok_or_else(|| {
                ApiError::new(409, "LAST_EPOCH", "There is no epoch after this one.")
            })?;
            self.new_kek(&me, next.current().clone())?;
            self.memory.ring.replace(Some(Rc::new(next)));
            self.wake_in(0);
        }
        self.rotation()
    }

    /// Tells how far the rotation is.
    pub(super) fn rotation(&self) -> Result<RotationView, ApiError> {
        let me = self.identity()?;
        let epoch = self.ring(&me)?.current().epoch();
        let (rows_left, rows) = self.memory.store.wraps_left(epoch)?;
        Ok(RotationView {
            epoch,
            rows_left,
            rows,
        })
    }

    /// Goes on with a rotation, if one is under way. Called by the alarm.
    pub(in crate::agent) fn tend_memory(self: &Rc<Self>) {
        self.tell_sharers();
        self.tend_replica();
        self.tend_life();
        self.tend_unpublished();
        self.tend_blobs();
        if let Err(error) = self.tend_imports() {
            console_error!("an interrupted import is not cleared away: {error}");
        }
        if let Err(error) = self.make_vectors() {
            console_error!("vectors are not made: {error}");
        }
        match self.rewrap_some() {
            Ok(true) => self.wake_in(0),
            Ok(false) => {}
            Err(error) => console_error!("the memory's keys are not rotated: {error}"),
        }
    }

    /// Rewraps some of what older keys wrap; destroys those keys when nothing is left. Returns
    /// whether there may be more.
    fn rewrap_some(&self) -> Result<bool, ApiError> {
        if !self.memory.is_used()? {
            return Ok(false);
        }
        self.memory.prepare()?;
        if self.memory.store.keks()?.len() < 2 {
            return Ok(false);
        }
        let me = self.identity()?;
        let ring = self.ring(&me)?;
        let new = ring.current();
        let left = self.memory.store.transaction(|| {
            let old = self.memory.store.old_wraps(new.epoch(), BATCH)?;
            self.touch_all(&old)?;
            for one in &old {
                let place = place(&me, &one.path);
                if let Some(row) = rewrapped(&ring, &place, one.dek, &one.row)? {
                    let store = &self.memory.store;
                    store.keep_wrap(one.dek, &one.path, new.epoch(), &row)?;
                }
            }
            let shared = self.memory.store.old_shared(new.epoch(), BATCH)?;
            for one in &shared {
                let place = Place {
                    owner: &one.owner,
                    collection: one.path.collection().as_str(),
                    rkey: one.path.rkey().as_str(),
                };
                if let Some(row) = rewrapped(&ring, &place, one.dek, &one.wrap)? {
                    self.memory.store.rewrap_shared(one.n, new.epoch(), &row)?;
                }
            }
            let left = !old.is_empty() || !shared.is_empty();
            if !left {
                self.memory.store.drop_keks_before(new.epoch())?;
            }
            Ok::<_, ApiError>(left)
        })?;
        if !left {
            // The ring without the older keys is made at the next need of it.
            self.memory.ring.replace(None);
        }
        Ok(left)
    }

    /// Returns the key of a record's envelope.
    pub(super) fn open_dek(&self, me: &Me, path: &RecordPath, dek: DekId) -> Result<Dek, ApiError> {
        let row = self.memory.store.wrap(dek)?;
        let row = row.ok_or_else(|| ApiError::internal("a record's key is not wrapped"))?;
        self.unwrap_dek(me, path, dek, &row)
    }

    /// As [`Core::open_dek`] for a row that was just read: a rotation makes another one.
    pub(super) fn unwrap_dek(
        &self,
        me: &Me,
        path: &RecordPath,
        dek: DekId,
        row: &[u8],
    ) -> Result<Dek, ApiError> {
        let ring = self.ring(me)?;
        wrap::unwrap(&ring, &place(me, path), dek, row).map_err(damaged)
    }

    /// Stores a key for its owner. Part of the caller's transaction.
    pub(super) fn keep_dek(&self, me: &Me, path: &RecordPath, dek: &Dek) -> Result<(), ApiError> {
        let ring = self.ring(me)?;
        let kek = ring.current();
        let row = wrap::wrap(kek, &place(me, path), dek, &mut internal::rng());
        self.memory
            .store
            .keep_wrap(dek.id(), path, kek.epoch(), &row)?;
        Ok(())
    }
}

/// Wraps under the current key what an older one wraps.
fn rewrapped(
    ring: &KekRing,
    place: &Place<'_>,
    dek: DekId,
    row: &[u8],
) -> Result<Option<Row>, ApiError> {
    let epoch = wrap::epoch(row).map_err(ApiError::internal)?;
    let old = ring.of(epoch);
    let old = old.ok_or_else(|| ApiError::internal("a row names an epoch whose key is gone"))?;
    wrap::rewrap(old, ring.current(), place, dek, row, &mut internal::rng())
        .map_err(ApiError::internal)
}

/// Where a record of this agent's stands.
pub(super) fn place<'a>(me: &'a Me, path: &'a RecordPath) -> Place<'a> {
    Place {
        owner: &me.did,
        collection: path.collection().as_str(),
        rkey: path.rkey().as_str(),
    }
}

/// Makes the answer for stored bytes that do not open: something outside this program changed them.
pub(super) fn damaged(error: entente_trust::memory::MemoryError) -> ApiError {
    ApiError {
        detail: Some(error.to_string()),
        ..ApiError::new(
            500,
            error.code(),
            "What is stored of this record does not open: it was changed outside of this agent. Restore it from a backup.",
        )
    }
}
