//! Vectors of records: made after a store was acknowledged, sealed at rest, in the clear only in the
//! memory of the object that searches them. See `entente_memory::vector` and [`crate::embedding`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use entente_lexicon::api::life::{MeaningError, MeaningSettings, MeaningView};
use entente_memory::vector::{
    Embedder as _, FlatIndex, Near, Quantised, VectorError, VectorIndex as _, check,
};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::records::object;
use crate::agent::memory::search::words;
use crate::agent::memory::settings::covers;
use crate::agent::memory::store::StoredRecord;
use crate::agent::memory::vector_store::Work;
use crate::embedding::{Embeddings, Setup, Vectorize};
use crate::error::ApiError;
use crate::internal;

/// What is known of the vectors there are.
const INDEX: &str = "vector-index";
/// Why the last attempt failed.
const FAILED: &str = "vector-failed";
/// Texts of one request.
const BATCH: u32 = 16;
/// From so many attempts on a text is sent alone: it may be the one that is refused.
const ALONE: u32 = 3;
/// The longest text of a record that is sent: more than models take in.
const MAX_TEXT: usize = 8_000;
/// Bytes that vectors take in the memory of the object.
const MAX_MEMORY: usize = 32 * 1024 * 1024;
/// Rows that are opened in one go when the index is put back together.
const PAGE: u32 = 1_000;
/// Between an attempt that failed and the next one, doubled each time.
const RETRY_MS: u64 = 1_000;
const MAX_RETRY_MS: u64 = 10 * 60 * 1000;
/// Work that a kill has left is taken up after this.
const WATCH_MS: u64 = 5_000;

/// The vectors while the object is awake.
#[derive(Default)]
pub(super) struct Vectors {
    /// All of them, once they have been searched.
    flat: RefCell<Option<FlatIndex>>,
    /// Whether some are being made.
    busy: Cell<bool>,
    /// Whether it was looked whether a service is new.
    checked: Cell<bool>,
    /// What is known of the vectors there are, and after how many rollbacks that was read.
    made: RefCell<Option<(u64, Option<Made>)>>,
}

/// What made the vectors that there are, and where they are searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    model: String,
    /// 0 until the first was made.
    dimensions: usize,
    vectorize: bool,
}

/// A text that waits for its vector.
struct Text {
    record: StoredRecord,
    text: String,
}

impl Vectors {
    /// Forgets what is in memory: something failed halfway, or all of it is to be made anew.
    pub(super) fn reset(&self) {
        self.flat.replace(None);
    }

    fn drop_one(&self, n: u64) {
        if let Some(flat) = self.flat.borrow_mut().as_mut() {
            // Ready at once: nothing in memory waits.
            let _ = flat.remove(&n.to_string()).now_or_never();
        }
    }
}

impl Core {
    fn setup(&self) -> Result<Option<Setup>, ApiError> {
        Ok(Setup::from_env(&self.env)?)
    }

    fn made(&self) -> Result<Option<Made>, ApiError> {
        let rollbacks = self.db.rollbacks();
        if let Some((at, made)) = self.memory.vectors.made.borrow().as_ref()
            && *at == rollbacks
        {
            return Ok(made.clone());
        }
        let stored = self.store.meta(INDEX)?;
        let made = stored.map(|stored| serde_json::from_slice::<Made>(&stored));
        let made = made.transpose().map_err(ApiError::internal)?;
        let known = Some((rollbacks, made.clone()));
        self.memory.vectors.made.replace(known);
        Ok(made)
    }

    fn set_made(&self, made: &Made) -> Result<(), ApiError> {
        self.store.set_meta(INDEX, &serde_json::to_vec(made)?)?;
        self.memory.vectors.made.replace(None);
        Ok(())
    }

    /// Returns the service and what it made so far.
    fn service(&self) -> Result<(Embeddings, Made), ApiError> {
        let setup = self.setup()?.ok_or_else(|| {
            ApiError::new(
                409,
                "EMBEDDER_OFF",
                "This network makes no vectors: search with mode=words, or set EMBEDDING_URL and EMBEDDING_MODEL.",
            )
        })?;
        let now = Made {
            model: setup.model.clone(),
            dimensions: 0,
            vectorize: setup.vectorize,
        };
        let made = self.made()?.unwrap_or_else(|| now.clone());
        if (&made.model, made.vectorize) != (&now.model, now.vectorize) {
            return Err(ApiError::new(
                409,
                "VECTOR_MODEL",
                format!(
                    "The vectors there are were made by {}, or are kept elsewhere: POST …/memory/reembed makes them anew.",
                    made.model
                ),
            ));
        }
        Ok((Embeddings::new(setup, made.dimensions, &self.env), made))
    }

    /// Once in each life of the object: if a service was named for the first time, what it may read is
    /// to have vectors.
    pub(super) fn check_vectors(&self) -> Result<(), ApiError> {
        if self.memory.vectors.checked.replace(true) || self.made()?.is_some() {
            return Ok(());
        }
        // A setup that is malformed keeps nobody from storing; searches and GET …/meaning say so.
        let Ok(Some(setup)) = self.setup() else {
            return Ok(());
        };
        self.memory.store.transaction(|| {
            self.set_made(&Made {
                model: setup.model.clone(),
                dimensions: 0,
                vectorize: setup.vectorize,
            })?;
            self.settle_vectors(&self.settings()?.meaning)
        })
    }

    /// Brings what has vectors in line with what may have them. Part of the caller's transaction.
    pub(super) fn settle_vectors(&self, wanted: &MeaningSettings) -> Result<(), ApiError> {
        let me = self.identity()?;
        let now = internal::now();
        let is_on = self.made()?.is_some();
        for group in self.memory.store.groups()? {
            if is_on && covers(wanted, &group.collection, group.public)? {
                self.memory.store.want_group(&group, now)?;
                continue;
            }
            for n in self.memory.store.with_vectors(&group)? {
                self.drop_vector(&me, n, None)?;
            }
        }
        self.wake_in(WATCH_MS);
        Ok(())
    }

    /// Has the vector of a record made as it is now, if it may have one. Part of the write's
    /// transaction.
    pub(super) fn want_vector(&self, me: &Me, record: &StoredRecord) -> Result<(), ApiError> {
        if self.made()?.is_none() {
            return Ok(());
        }
        let wanted = self.settings()?.meaning;
        let collection = record.path.collection().as_str();
        if !covers(&wanted, collection, !record.level.is_sealed())? {
            return self.drop_vector(me, record.n, Some(record));
        }
        self.memory.vectors.drop_one(record.n);
        self.memory.store.want_vector(record.n, internal::now())?;
        self.wake_in(WATCH_MS);
        Ok(())
    }

    /// Drops a record's vector, wherever it is. Part of the write's transaction.
    pub(super) fn drop_vector(
        &self,
        me: &Me,
        n: u64,
        record: Option<&StoredRecord>,
    ) -> Result<(), ApiError> {
        let Some(made) = self.made()? else {
            return Ok(());
        };
        self.memory.vectors.drop_one(n);
        let name = match record {
            Some(record) => self.indexes(me)?.path(&record.path),
            None => String::new(),
        };
        let elsewhere = made.vectorize.then_some(name.as_str());
        self.memory
            .store
            .drop_vector(n, elsewhere, internal::now())?;
        if made.vectorize {
            self.wake_in(WATCH_MS);
        }
        Ok(())
    }

    /// Makes vectors that are due, beside other work.
    pub(super) fn make_vectors(self: &Rc<Self>) -> Result<(), ApiError> {
        if !self.memory.is_used()? || self.memory.vectors.busy.get() {
            return Ok(());
        }
        self.memory.prepare()?;
        if self.made()?.is_none() {
            return Ok(());
        }
        let Some(due) = self.memory.store.vector_due()? else {
            return Ok(());
        };
        let now = internal::now();
        if due > now {
            self.wake_in(due.0.saturating_sub(now.0));
            return Ok(());
        }
        self.memory.vectors.busy.set(true);
        self.wake_in(WATCH_MS);
        let core = Rc::clone(self);
        spawn_local(async move {
            let made = core.make_due().await;
            core.memory.vectors.busy.set(false);
            if let Err(error) = made {
                core.memory.vectors.reset();
                console_warn!("vectors are not made: {error}");
                core.wake_in(MAX_RETRY_MS);
            }
        });
        Ok(())
    }

    async fn make_due(&self) -> Result<(), ApiError> {
        let me = self.identity()?;
        loop {
            let mut work = self.memory.store.vector_work(internal::now(), BATCH)?;
            let Some(first) = work.first() else {
                if let Some(due) = self.memory.store.vector_due()? {
                    self.wake_in(due.0.saturating_sub(internal::now().0));
                }
                return Ok(());
            };
            if first.tries >= ALONE {
                work.truncate(1);
            }
            let done = match self.service() {
                Ok((service, made)) => self.make_some(&me, &service, &made, &work).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => self.store.set_meta(FAILED, b"")?,
                Err(error) => self.put_off(&work, &error)?,
            }
        }
    }

    /// Tries again later, and says why.
    fn put_off(&self, work: &[Work], error: &ApiError) -> Result<(), ApiError> {
        let now = internal::now();
        let failed = MeaningError {
            at: now,
            code: error.code.clone().into_owned(),
            message: error.message.clone(),
        };
        self.memory.store.transaction(|| {
            for one in work {
                let wait = (RETRY_MS << one.tries.min(20)).min(MAX_RETRY_MS);
                self.memory.store.put_off(one.n, now.after(wait))?;
            }
            Ok(self.store.set_meta(FAILED, &serde_json::to_vec(&failed)?)?)
        })
    }

    async fn make_some(
        &self,
        me: &Me,
        service: &Embeddings,
        made: &Made,
        work: &[Work],
    ) -> Result<(), ApiError> {
        for one in work.iter().filter(|one| one.gone) {
            let mut index = self.vectorize(me, made)?;
            let id = self.vector_id(me, one.n)?;
            index.remove(&id).await.map_err(failed)?;
            self.memory.store.vector_done(one.n)?;
        }
        let places: Vec<u64> = work
            .iter()
            .filter(|one| !one.gone)
            .map(|one| one.n)
            .collect();
        let records = self.memory.store.by_places(&places)?;
        for n in places {
            if !records.iter().any(|record| record.n == n) {
                self.memory.store.vector_done(n)?;
            }
        }
        let texts = records
            .into_iter()
            .map(|record| self.text(me, record))
            .collect::<Result<Vec<_>, _>>()?;
        if texts.is_empty() {
            return Ok(());
        }
        let (count, _work) = self.memory.store.vector_counts()?;
        let room = MAX_MEMORY / made.dimensions.max(1);
        if !made.vectorize && usize::try_from(count).unwrap_or(usize::MAX) >= room {
            return Err(ApiError::new(
                507,
                "VECTORS_FULL",
                "The object holds no more vectors in memory: narrow settings.meaning, archive, or use VECTOR_INDEX=vectorize.",
            ));
        }
        let asked: Vec<&str> = texts.iter().map(|one| one.text.as_str()).collect();
        let vectors = service.embed(&asked).await.map_err(failed)?;
        self.take_vectors(me, made, &texts, &vectors).await
    }

    /// Keeps vectors that have come: elsewhere first, where that is wanted, then here.
    async fn take_vectors(
        &self,
        me: &Me,
        made: &Made,
        texts: &[Text],
        vectors: &[Vec<f32>],
    ) -> Result<(), ApiError> {
        let made = Made {
            dimensions: vectors.first().map_or(made.dimensions, Vec::len),
            ..made.clone()
        };
        if made.vectorize {
            let mut index = self.vectorize(me, &made)?;
            for (one, vector) in texts.iter().zip(vectors) {
                let id = self.vector_id(me, one.record.n)?;
                index.put(&id, vector).await.map_err(failed)?;
            }
        }
        self.memory.store.transaction(|| {
            // Whatever was awaited, all may have been told to be made anew by another model.
            if self.made()?.is_none_or(|now| now.model != made.model) {
                return Ok(());
            }
            self.set_made(&made)?;
            for (one, vector) in texts.iter().zip(vectors) {
                self.take_vector(me, one, vector)?;
            }
            Ok(())
        })
    }

    fn take_vector(&self, me: &Me, one: &Text, vector: &[f32]) -> Result<(), ApiError> {
        let n = one.record.n;
        let Ok(row) = Quantised::of(vector) else {
            // A text without a direction, such as one without a word the model knows.
            return Ok(self.memory.store.vector_done(n)?);
        };
        let bytes = row.to_bytes();
        let sealed = me.seal_secret(&purpose(n), &bytes);
        let kept = self.memory.store.keep_vector(n, &one.record.cid, &sealed)?;
        let mut flat = self.memory.vectors.flat.borrow_mut();
        if let (Some(flat), true) = (flat.as_mut(), kept) {
            flat.restore(&n.to_string(), &bytes).map_err(failed)?;
        }
        Ok(())
    }

    fn text(&self, me: &Me, record: StoredRecord) -> Result<Text, ApiError> {
        let mut text = words(&object(&self.plain(me, &record)?)?);
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        if text.trim().is_empty() {
            // Services refuse texts that are empty.
            text = record.path.to_string();
        }
        Ok(Text { record, text })
    }

    /// Finds records whose meaning is near to a text: all that have a vector, the nearest first; of an
    /// index elsewhere as many as it tells.
    pub(super) async fn near(&self, me: &Me, text: &str) -> Result<Vec<(u64, f64)>, ApiError> {
        let (service, made) = self.service()?;
        let asked = service.embed(&[text]).await.map_err(failed)?;
        let query = asked.into_iter().next().unwrap_or_default();
        if made.dimensions == 0 {
            // Nothing has been indexed yet.
            return Ok(Vec::new());
        }
        let near = if made.vectorize {
            let index = self.vectorize(me, &made)?;
            check(&service, &index).map_err(failed)?;
            let ids = index.nearest(&query, usize::MAX).await.map_err(failed)?;
            self.exactly(me, &made, &query, &ids)?
        } else {
            self.nearest(me, &service, &made, &query)?
        };
        let place = |near: Near| Some((near.id.parse().ok()?, f64::from(near.cosine)));
        Ok(near.into_iter().filter_map(place).collect())
    }

    fn nearest(
        &self,
        me: &Me,
        service: &Embeddings,
        made: &Made,
        query: &[f32],
    ) -> Result<Vec<Near>, ApiError> {
        if self.memory.vectors.flat.borrow().is_none() {
            let flat = self.open_vectors(me, made)?;
            self.memory.vectors.flat.replace(Some(flat));
        }
        let flat = self.memory.vectors.flat.borrow();
        let flat = flat
            .as_ref()
            .ok_or_else(|| ApiError::internal("no index"))?;
        check(service, flat).map_err(failed)?;
        let near = flat.nearest(query, flat.len()).now_or_never();
        match near {
            Some(Err(VectorError::NoDirection)) | None => Ok(Vec::new()),
            Some(near) => near.map_err(failed),
        }
    }

    /// Puts the index back together after the object has lost its memory.
    fn open_vectors(&self, me: &Me, made: &Made) -> Result<FlatIndex, ApiError> {
        let mut flat = FlatIndex::new(made.dimensions);
        let mut after = 0;
        loop {
            let page = self.memory.store.vectors(after, PAGE)?;
            for (n, sealed) in &page {
                let bytes = me.open_secret(&purpose(*n), sealed)?;
                flat.restore(&n.to_string(), &bytes).map_err(failed)?;
                after = *n;
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(flat);
            }
        }
    }

    /// Orders what an index elsewhere has told by the vectors here. What is not here has changed or is
    /// gone.
    fn exactly(
        &self,
        me: &Me,
        made: &Made,
        query: &[f32],
        ids: &[Near],
    ) -> Result<Vec<Near>, ApiError> {
        let Ok(query) = Quantised::of(query) else {
            return Ok(Vec::new());
        };
        let mut near = Vec::new();
        for found in ids {
            let Some(n) = self.place_of_vector(me, &found.id)? else {
                continue;
            };
            let Some(sealed) = self.memory.store.vector(n)? else {
                continue;
            };
            let bytes = me.open_secret(&purpose(n), &sealed)?;
            let row = Quantised::from_bytes(made.dimensions, &bytes).map_err(failed)?;
            near.push(Near {
                id: n.to_string(),
                cosine: query.cosine(&row),
            });
        }
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        Ok(near)
    }

    fn vectorize(&self, me: &Me, made: &Made) -> Result<Vectorize, ApiError> {
        let namespace = self.indexes(me)?.named("vectors");
        Vectorize::open(&self.env, namespace, made.dimensions).map_err(failed)
    }

    /// Names a record's vector elsewhere: its place, and a mark that tells nothing without the agent's
    /// key but that the vector is of this agent.
    fn vector_id(&self, me: &Me, n: u64) -> Result<String, ApiError> {
        let mark = self.indexes(me)?.named(&format!("vector {n}"));
        Ok(format!("{n}-{mark}"))
    }

    fn place_of_vector(&self, me: &Me, id: &str) -> Result<Option<u64>, ApiError> {
        let n = id.split_once('-').and_then(|(n, _mark)| n.parse().ok());
        let Some(n) = n else { return Ok(None) };
        Ok((self.vector_id(me, n)? == id).then_some(n))
    }

    /// Says how far search by meaning is.
    pub(super) fn meaning(&self) -> Result<MeaningView, ApiError> {
        let (setup, made) = (self.setup()?, self.made()?);
        let (vectors, pending) = self.memory.store.vector_counts()?;
        let stored = self.store.meta(FAILED)?.filter(|stored| !stored.is_empty());
        let last_error = stored
            .map(|stored| serde_json::from_slice(&stored))
            .transpose()?;
        let vectorize = setup.as_ref().is_some_and(|setup| setup.vectorize);
        let dimensions = made.map(|made| made.dimensions).filter(|found| *found > 0);
        Ok(MeaningView {
            model: setup.map(|setup| setup.model),
            index: if vectorize { "vectorize" } else { "flat" }.to_owned(),
            dimensions: dimensions.and_then(|found| u32::try_from(found).ok()),
            vectors,
            pending,
            last_error,
        })
    }

    /// Makes all vectors anew, by the model that is named now.
    pub(super) fn reembed(self: &Rc<Self>) -> Result<MeaningView, ApiError> {
        let setup = self.setup()?;
        self.memory.vectors.reset();
        self.memory.store.transaction(|| {
            self.memory.store.drop_vectors()?;
            self.store.set_meta(FAILED, b"")?;
            let Some(setup) = &setup else { return Ok(()) };
            self.set_made(&Made {
                model: setup.model.clone(),
                dimensions: 0,
                vectorize: setup.vectorize,
            })?;
            self.settle_vectors(&self.settings()?.meaning)?;
            Ok::<_, ApiError>(self.memory.store.hasten(internal::now())?)
        })?;
        // Says whether there is a service at all.
        self.service()?;
        self.make_vectors()?;
        self.meaning()
    }

    /// Whether a search that says nothing of meaning goes by it as well: where the agent lets the
    /// service read what is private, since the service reads what is looked for, too.
    pub(super) fn means_by_default(&self) -> Result<bool, ApiError> {
        let has = self.made()?.is_some_and(|made| made.dimensions > 0);
        Ok(has && !self.settings()?.meaning.private.is_empty() && self.service().is_ok())
    }
}

fn purpose(n: u64) -> String {
    format!("vector/{n}")
}

/// Makes the answer for a service or an index that fails.
fn failed(error: VectorError) -> ApiError {
    let status = match error {
        VectorError::Dimensions { .. } => 409,
        VectorError::NoDirection | VectorError::Service(_) => 502,
    };
    let next = match error {
        VectorError::Dimensions { .. } => ": POST …/memory/reembed makes all vectors anew",
        VectorError::NoDirection | VectorError::Service(_) => {
            ": look at EMBEDDING_URL, EMBEDDING_MODEL and EMBEDDING_API_KEY; search with mode=words meanwhile"
        }
    };
    ApiError::new(status, error.code(), format!("{error}{next}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_fails_says_what_to_do_under_a_stable_code() {
        let service = failed(VectorError::Service("it answered 500".to_owned()));
        assert_eq!(
            (service.status, service.code.as_ref()),
            (502, "VECTOR_SERVICE")
        );
        assert!(service.message.contains("mode=words"));
        let wrong = VectorError::Dimensions {
            expected: 3,
            found: 4,
        };
        let wrong = failed(wrong);
        assert_eq!(
            (wrong.status, wrong.code.as_ref()),
            (409, "VECTOR_DIMENSIONS")
        );
        assert!(wrong.message.contains("reembed"));
    }
}
