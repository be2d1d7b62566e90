//! Deleting what nobody needs: uploads that were given up, blobs that no record refers to, objects
//! in the bucket that no row names.
//!
//! All of it is done beside other work, a little at a time, by the agent's alarm, and taken up
//! again after whatever interrupts it.

use std::rc::Rc;

use entente_lexicon::{Did, Timestamp};
use serde::{Deserialize, Serialize};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use super::store::Garbage;
use super::{Place, before, key_of, prefix_of};
use crate::agent::core::Core;
use crate::error::ApiError;
use crate::internal;
use crate::store::bucket::{Bucket, MAX_BATCH};

/// Rows looked at, or objects listed, in one go.
const BATCH: u32 = 200;
/// What failed is tried again after this.
const RETRY_MS: u64 = 60_000;
/// An upload that the bucket will not drop: after so many tries its own week must do.
const MAX_TRIES: u64 = 5;
/// Where it is noted how far the sweep of the bucket is.
const SWEEP: &str = "blob-sweep";

/// How far the sweep of the bucket is.
#[derive(Serialize, Deserialize)]
struct Sweep {
    /// When it goes on.
    at: Timestamp,
    /// Where; at the beginning unless said.
    cursor: Option<String>,
}

impl Core {
    /// Gives every upload under way up: what is stored of them is of before a backup was put back, and
    /// a part whose digest is not known any more could be sealed again with other bytes.
    pub(in crate::agent) fn abandon_uploads(&self) -> Result<(), ApiError> {
        if !self.memory.is_used()? {
            return Ok(());
        }
        loop {
            let uploads = self.memory.blobs.store.uploads(BATCH)?;
            if uploads.is_empty() {
                return Ok(());
            }
            for upload in uploads {
                self.memory.blobs.store.abandon(&upload)?;
            }
        }
    }

    /// Notes when the bucket is swept, if that is not noted yet.
    pub(super) fn note_sweep(&self, at: Timestamp) -> Result<(), ApiError> {
        if self.sweep()?.is_none() {
            self.set_sweep(&Sweep { at, cursor: None })?;
        }
        Ok(())
    }

    fn sweep(&self) -> Result<Option<Sweep>, ApiError> {
        let noted = self.store.meta(SWEEP)?;
        let noted = noted.map(|bytes| serde_json::from_slice(&bytes));
        Ok(noted.transpose()?)
    }

    fn set_sweep(&self, sweep: &Sweep) -> Result<(), ApiError> {
        self.store.set_meta(SWEEP, &serde_json::to_vec(sweep)?)?;
        Ok(())
    }

    /// Deletes what is due, and sees to it that the alarm comes when more is. Called by the alarm and
    /// by whoever makes something that will be due.
    pub(in crate::agent) fn tend_blobs(self: &Rc<Self>) {
        let wait = match self.blob_wait() {
            Ok(Some(wait)) => wait,
            Ok(None) => return,
            Err(error) => {
                console_warn!("what blobs need is not known: {error}");
                return self.wake_in(RETRY_MS);
            }
        };
        if wait > 0 {
            return self.wake_in(wait);
        }
        let Some(place) = Place::take(&self.memory.blobs.tending, 1) else {
            return;
        };
        // If this life ends before the work does, the next one goes on.
        self.wake_in(RETRY_MS);
        let core = Rc::clone(self);
        spawn_local(async move {
            let done = core.tend_once().await;
            drop(place);
            match done {
                Ok(()) => core.wake_in(0),
                Err(error) => console_warn!("blobs that are not needed are kept: {error}"),
            }
        });
    }

    /// Returns in how many milliseconds something is due; nothing if this agent has no blobs.
    fn blob_wait(&self) -> Result<Option<u64>, ApiError> {
        if !self.memory.is_used()? {
            return Ok(None);
        }
        let Some(sweep) = self.sweep()? else {
            return Ok(None);
        };
        if self.memory.blobs.store.has_garbage()? {
            return Ok(Some(0));
        }
        let (expires, came) = self.memory.blobs.store.oldest()?;
        let keep = self.blob_keep_ms()?;
        let due = [expires, came.map(|came| came.after(keep)), Some(sweep.at)];
        let due = due.into_iter().flatten().min();
        let now = internal::now();
        Ok(due.map(|due| due.0.saturating_sub(now.0)))
    }

    async fn tend_once(&self) -> Result<(), ApiError> {
        self.memory.prepare()?;
        let now = internal::now();
        self.expire_blobs(now)?;
        let bucket = Bucket::open(&self.env)?;
        self.delete_garbage(&bucket).await?;
        self.sweep_bucket(&bucket, now).await
    }

    /// Gives up what expired: its keys are destroyed now.
    fn expire_blobs(&self, now: Timestamp) -> Result<(), ApiError> {
        let store = &self.memory.blobs.store;
        let old = before(now, self.blob_keep_ms()?);
        self.memory.store.transaction(|| {
            let uploads = store.uploads(BATCH)?;
            for upload in uploads.iter().filter(|upload| upload.expires_at <= now) {
                store.abandon(upload)?;
            }
            for name in store.unreferred(old, BATCH)? {
                store.delete(&name)?;
            }
            Ok(())
        })
    }

    /// Deletes objects whose keys are destroyed.
    async fn delete_garbage(&self, bucket: &Bucket) -> Result<(), ApiError> {
        let (me, store) = (self.identity()?, &self.memory.blobs.store);
        let mut failed = Ok(());
        for Garbage {
            rkey,
            multipart,
            tries,
        } in store.garbage(BATCH)?
        {
            let key = key_of(&me, &rkey);
            if let Some(multipart) = multipart
                && let Err(error) = bucket.drop_parts(&key, &multipart).await
                && tries < MAX_TRIES
            {
                // It was completed meanwhile, or the bucket fails: later, then.
                store.tried(&rkey)?;
                failed = Err(error);
                continue;
            }
            bucket.delete(&[key]).await?;
            store.forget_garbage(&rkey)?;
        }
        failed
    }

    /// Looks at some of this agent's objects, and deletes those that no row names.
    async fn sweep_bucket(&self, bucket: &Bucket, now: Timestamp) -> Result<(), ApiError> {
        let Some(sweep) = self.sweep()?.filter(|sweep| sweep.at <= now) else {
            return Ok(());
        };
        let prefix = prefix_of(&self.identity()?.did);
        let keep = self.blob_keep_ms()?;
        let page = bucket.list(&prefix, sweep.cursor.as_deref(), BATCH).await?;
        let old = before(now, keep);
        let mut orphans = Vec::new();
        for object in page.objects {
            let rkey = object.key.strip_prefix(&prefix).unwrap_or_default();
            if object.stored_at <= old && !self.memory.blobs.store.names(rkey)? {
                orphans.push(object.key);
            }
        }
        bucket.delete(&orphans).await?;
        let at = match &page.cursor {
            Some(_more) => now,
            None => now.after(keep),
        };
        self.set_sweep(&Sweep {
            at,
            cursor: page.cursor,
        })
    }

    /// Deletes all objects of an agent that is being deleted.
    pub(in crate::agent) async fn clear_bucket(&self, did: &Did) -> Result<(), ApiError> {
        if !self.memory.is_used()? || self.sweep()?.is_none() {
            return Ok(());
        }
        let (bucket, prefix) = (Bucket::open(&self.env)?, prefix_of(did));
        for upload in self.memory.blobs.store.uploads(BATCH)? {
            if let Some(multipart) = &upload.multipart {
                let key = format!("{prefix}{}", upload.rkey);
                if let Err(error) = bucket.drop_parts(&key, multipart).await {
                    console_warn!("an upload is left to the bucket to drop: {error}");
                }
            }
        }
        loop {
            let most = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
            let page = bucket.list(&prefix, None, most).await?;
            let keys: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
            if keys.is_empty() {
                return Ok(());
            }
            bucket.delete(&keys).await?;
        }
    }
}
