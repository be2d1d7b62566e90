//! Object storage: what is too large for an object's SQLite. Whoever stores here seals it first.
//!
//! Keys are `<what>/<whose>/<name>`, so that each object can list and sweep what is its own.

use std::ops::Range;

use entente_lexicon::Timestamp;
use futures::Stream;
use futures::TryStreamExt;
use worker::{Env, UploadedPart};

use crate::error::ApiError;

/// The binding of the bucket.
pub const BLOBS: &str = "BLOBS";
/// Objects that one call deletes, or one page lists, at most.
pub const MAX_BATCH: usize = 1_000;

/// The network's bucket.
#[derive(Clone, Debug)]
pub struct Bucket(worker::Bucket);

/// An object as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
}

/// A page of a list, in the order of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What it lists.
    pub objects: Vec<Listed>,
    /// Where the next page begins; none after the last.
    pub cursor: Option<String>,
}

impl Bucket {
    /// Opens the bucket.
    ///
    /// # Errors
    /// 503 `BUCKET_MISSING` if the deployment binds none.
    pub fn open(env: &Env) -> Result<Self, ApiError> {
        env.bucket(BLOBS).map(Self).map_err(|error| ApiError {
            detail: Some(error.to_string()),
            ..ApiError::new(
                503,
                "BUCKET_MISSING",
                "This network has no bucket for blobs and backups: bind an R2 bucket as BLOBS, as wrangler.toml.example does, and deploy again.",
            )
        })
    }

    /// Stores an object, in the place of one with the same key.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`, as for all that follows.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), ApiError> {
        let stored = self.0.put(key, bytes).execute().await;
        stored.map(drop).map_err(failed)
    }

    /// Reads a whole object, which must be short enough to be held in memory.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ApiError> {
        let found = self.0.get(key).execute().await.map_err(failed)?;
        bytes_of(found).await
    }

    /// Reads a range of an object; what lies beyond its end is left out.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`.
    pub async fn get_range(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let found = self.0.get(key).range(length_of(range)).execute().await;
        bytes_of(found.map_err(failed)?).await
    }

    /// Reads a range of an object as it comes.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`; the stream ends with the platform's own error.
    pub async fn stream(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<Option<impl Stream<Item = worker::Result<Vec<u8>>> + use<>>, ApiError> {
        let found = self.0.get(key).range(length_of(range)).execute().await;
        let Some(object) = found.map_err(failed)? else {
            return Ok(None);
        };
        let body = object.body().ok_or_else(no_body)?;
        Ok(Some(body.stream().map_err(failed)?.into_stream()))
    }

    /// Returns the length of an object in bytes.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`.
    pub async fn size(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let found = self.0.head(key).await.map_err(failed)?;
        Ok(found.map(|object| object.size()))
    }

    /// Deletes objects, at most [`MAX_BATCH`]; those that are not there do not matter.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`; some may be gone then.
    pub async fn delete(&self, keys: &[String]) -> Result<(), ApiError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys = keys.iter().map(String::as_str).collect();
        self.0.delete_multiple(keys).await.map_err(failed)
    }

    /// Lists objects whose keys begin with `prefix`, from `cursor` on, at most `limit` and
    /// [`MAX_BATCH`].
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`.
    pub async fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, ApiError> {
        let mut list = self.0.list().prefix(prefix).limit(limit);
        if let Some(cursor) = cursor {
            list = list.cursor(cursor);
        }
        let found = list.execute().await.map_err(failed)?;
        let listed = |object: &worker::Object| Listed {
            key: object.key(),
            size: object.size(),
            stored_at: Timestamp(object.uploaded().as_millis()),
        };
        Ok(Page {
            objects: found.objects().iter().map(listed).collect(),
            cursor: found.cursor().filter(|_| found.truncated()),
        })
    }

    /// Begins an object that comes in parts, all but the last of one length and at least 5 MiB long.
    /// Returns the id of the upload. What is never completed the platform drops after a week.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`.
    pub async fn begin_parts(&self, key: &str) -> Result<String, ApiError> {
        let upload = self.0.create_multipart_upload(key).execute().await;
        Ok(upload.map_err(failed)?.upload_id().await)
    }

    /// Stores a part, counted from 1, in the place of one with the same number. Returns its tag.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`, also where the upload was completed or dropped.
    pub async fn put_part(
        &self,
        (key, upload): (&str, &str),
        number: u16,
        bytes: Vec<u8>,
    ) -> Result<String, ApiError> {
        let upload = self
            .0
            .resume_multipart_upload(key, upload)
            .map_err(failed)?;
        let part = upload.upload_part(number, bytes).await.map_err(failed)?;
        Ok(part.etag())
    }

    /// Makes the object of its parts, whose tags stand in order.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`, also where the upload was completed or dropped.
    pub async fn complete_parts(
        &self,
        (key, upload): (&str, &str),
        tags: Vec<String>,
    ) -> Result<(), ApiError> {
        let upload = self
            .0
            .resume_multipart_upload(key, upload)
            .map_err(failed)?;
        let parts = (1..).zip(tags);
        let parts: Vec<_> = parts
            .map(|(number, tag)| UploadedPart::new(number, tag))
            .collect();
        upload.complete(parts).await.map(drop).map_err(failed)
    }

    /// Drops an upload and its parts.
    ///
    /// # Errors
    /// 503 `BUCKET_FAILED`, also where the upload was completed or dropped.
    pub async fn drop_parts(&self, key: &str, upload: &str) -> Result<(), ApiError> {
        let upload = self
            .0
            .resume_multipart_upload(key, upload)
            .map_err(failed)?;
        upload.abort().await.map_err(failed)
    }
}

async fn bytes_of(found: Option<worker::Object>) -> Result<Option<Vec<u8>>, ApiError> {
    let Some(object) = found else {
        return Ok(None);
    };
    let body = object.body().ok_or_else(no_body)?;
    body.bytes().await.map(Some).map_err(failed)
}

const fn length_of(range: Range<u64>) -> worker::Range {
    worker::Range::OffsetWithLength {
        offset: range.start,
        length: range.end.saturating_sub(range.start),
    }
}

fn no_body() -> ApiError {
    failed("an object came without its body")
}

fn failed(error: impl std::fmt::Display) -> ApiError {
    ApiError {
        detail: Some(error.to_string()),
        ..ApiError::new(
            503,
            "BUCKET_FAILED",
            "The bucket did not do what was asked of it: try again in a moment; what was acknowledged is kept.",
        )
    }
}
