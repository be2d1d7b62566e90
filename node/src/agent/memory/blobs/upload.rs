//! Uploading: parts of 8 MiB, one after the other, over days if need be.
//!
//! What a part is gets stored before it is sealed, and that it is stored before it is acknowledged.
//! A part is held in memory whole, so only a few move at a time.

use std::cell::Cell;
use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_lexicon::api::blobs::{BlobView, NewUpload, UploadView};
use entente_lexicon::id::BASE32;
use entente_memory::repo::block::raw_cid_of;
use entente_trust::crypto::hash::Hasher;
use entente_trust::memory::blob::{
    BlobSealer, MAX_BLOB_LENGTH, PART_LENGTH, PartDigest, sealed_length,
};
use entente_trust::memory::{Dek, MemoryError};
use worker::{Env, Request, console_warn};

use super::store::{StoredBlob, Upload};
use super::{
    Details, Place, UPLOAD_PREFIX, blinded, busy, damaged, details_purpose, key_of, path_of,
};
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::keys::place;
use crate::edge::stall::Watched;
use crate::error::ApiError;
use crate::internal;
use crate::store::bucket::Bucket;

/// Uploads of one agent that are under way.
const MAX_UPLOADS: u64 = 16;
/// Blobs of one agent.
const MAX_BLOBS: u64 = 10_000;
/// Bytes of all blobs of one agent: 100 GiB.
const MAX_BYTES: u64 = 100 * 1024 * 1024 * 1024;
/// Parts that are in the memory of one isolate at the same time.
const MAX_IN_MEMORY: u32 = 4;
/// The longest media type.
const MAX_MIME_BYTES: usize = 127;
/// What is read of a body that is refused, so that who sends it hears why.
const MAX_DISCARDED: usize = 2 * PART_LENGTH;
/// The bucket drops an upload a week after it began.
const MAX_UPLOAD_MS: u64 = 6 * 24 * 3_600_000;
/// A part's length as lengths of blobs are counted.
const PART: u64 = PART_LENGTH as u64;

thread_local! {
    /// Parts in memory, of all agents whose objects share this isolate.
    static IN_MEMORY: Rc<Cell<u32>> = Rc::default();
}

impl Core {
    pub(super) fn begin_upload(self: &Rc<Self>, new: &NewUpload) -> Result<UploadView, ApiError> {
        let me = self.identity()?;
        check(new)?;
        let store = &self.memory.blobs.store;
        if store.open_uploads()? >= MAX_UPLOADS {
            return Err(ApiError::new(
                429,
                "TOO_MANY_UPLOADS",
                "16 uploads are under way: complete one, or give one up with DELETE …/blobs/:upload.",
            ));
        }
        let (blobs, bytes) = store.usage()?;
        if blobs >= MAX_BLOBS || bytes.saturating_add(new.size) > MAX_BYTES {
            return Err(ApiError::new(
                507,
                "MEMORY_FULL",
                "This agent has 10,000 blobs or 100 GiB of them: delete records that refer to them.",
            ));
        }
        // Better now than after the first part.
        Bucket::open(&self.env)?;
        let rng = &mut internal::rng();
        let rkey = BASE32.encode(&internal::random::<16>());
        let (path, dek) = (path_of(&rkey)?, Dek::generate(rng));
        let now = internal::now();
        let keep = self.blob_keep_ms()?;
        let upload = Upload {
            dek: dek.id(),
            header: BlobSealer::begin(&dek, &place(&me, &path), rng)
                .header()
                .to_vec(),
            size: new.size,
            mime: me.seal_secret(&mime_purpose(&rkey), new.mime_type.as_bytes()),
            received: 0,
            hash: None,
            multipart: None,
            created_at: now,
            expires_at: expiry(now, now, keep),
            rkey,
        };
        self.memory.store.transaction(|| {
            self.keep_dek(&me, &path, &dek)?;
            store.begin(&upload)?;
            self.note_sweep(now.after(keep))
        })?;
        self.tend_blobs();
        view(&me, &upload)
    }

    pub(super) fn show_upload(&self, id: &str) -> Result<UploadView, ApiError> {
        view(&*self.identity()?, &self.known_upload(id)?)
    }

    pub(super) fn abandon_upload(&self, id: &str) -> Result<(), ApiError> {
        let upload = self.known_upload(id)?;
        let work = || self.memory.blobs.store.abandon(&upload);
        self.memory.store.transaction(work)?;
        self.wake_in(0);
        Ok(())
    }

    fn known_upload(&self, id: &str) -> Result<Upload, ApiError> {
        let rkey = id.strip_prefix(UPLOAD_PREFIX).unwrap_or_default();
        let upload = self.memory.blobs.store.upload(rkey)?;
        let now = internal::now();
        upload
            .filter(|upload| upload.expires_at > now)
            .ok_or_else(unknown)
    }

    /// Takes a part: the next one, or once more one that is stored.
    pub(super) async fn put_part(
        self: &Rc<Self>,
        request: &mut Request,
        id: &str,
        number: &str,
    ) -> Result<UploadView, ApiError> {
        let due = self
            .known_upload(id)
            .and_then(|upload| due(upload, number))
            .and_then(|due| Ok((due, self.writer()?)));
        let ((upload, part), _places) = match due {
            Ok(due) => due,
            Err(error) => {
                discard(request, &self.env).await?;
                return Err(error);
            }
        };
        let bytes = read(request, &self.env, part_length(&upload, part)).await?;
        self.take_part(upload, part, bytes).await
    }

    /// Takes the places that whoever holds a part needs: the agent's own, and one of the isolate's.
    fn writer(&self) -> Result<(Place, Place), ApiError> {
        let own = Place::take(&self.memory.blobs.writers, 1);
        let shared = IN_MEMORY.with(|places| Place::take(places, MAX_IN_MEMORY));
        own.zip(shared).ok_or_else(busy)
    }

    async fn take_part(
        self: &Rc<Self>,
        mut upload: Upload,
        part: u64,
        bytes: Vec<u8>,
    ) -> Result<UploadView, ApiError> {
        let me = self.identity()?;
        let store = &self.memory.blobs.store;
        let path = path_of(&upload.rkey)?;
        let dek = self.open_dek(&me, &path, upload.dek)?;
        let sealer = BlobSealer::resume(&dek, &place(&me, &path), &upload.header);
        let sealer = sealer.map_err(damaged)?;
        let last = part + 1 == parts(upload.size);
        let digest = sealer.begin_part(part, last, &bytes);
        match store.part(&upload.rkey, part)? {
            Some(begun) if begun.digest != digest => {
                return Err(refused(MemoryError::BlobPartChanged));
            }
            Some(begun) if begun.tag.is_some() => return view(&me, &upload),
            Some(_) => {}
            None => store.begin_part(&upload.rkey, part, &digest)?,
        }
        let hash = next_hash(&me, &upload, &bytes)?;
        let tag = self
            .store_part(&mut upload, &sealer, (part, last, digest), bytes)
            .await?;
        // Whatever was awaited, the upload may have been given up meanwhile.
        let keep = self.blob_keep_ms()?;
        let kept = self.memory.store.transaction(|| {
            let mut now = store.upload(&upload.rkey)?.ok_or_else(unknown)?;
            now.received = part + 1;
            now.hash = Some(hash);
            now.expires_at = expiry(now.created_at, internal::now(), keep);
            store.keep_part(&now, (part, &tag))?;
            Ok::<_, ApiError>(now)
        })?;
        view(&me, &kept)
    }

    /// Seals a part into the bucket. Returns the bucket's tag of it.
    async fn store_part(
        &self,
        upload: &mut Upload,
        sealer: &BlobSealer,
        (part, last, digest): (u64, bool, PartDigest),
        bytes: Vec<u8>,
    ) -> Result<String, ApiError> {
        let bucket = Bucket::open(&self.env)?;
        let key = key_of(&*self.identity()?, &upload.rkey);
        let multipart = match &upload.multipart {
            Some(multipart) => multipart.clone(),
            None => {
                let multipart = bucket.begin_parts(&key).await?;
                let store = &self.memory.blobs.store;
                store.set_multipart(&upload.rkey, &multipart)?;
                upload.multipart = Some(multipart.clone());
                multipart
            }
        };
        let sealed = sealer
            .seal_part(part, last, &bytes, &digest)
            .map_err(refused)?;
        drop(bytes);
        let number = u16::try_from(part + 1).map_err(ApiError::internal)?;
        bucket.put_part((&key, &multipart), number, sealed).await
    }

    /// Makes the blob of its parts. Completed already, it is said again.
    pub(super) async fn complete_upload(self: &Rc<Self>, id: &str) -> Result<BlobView, ApiError> {
        let me = self.identity()?;
        let upload = match self.known_upload(id) {
            Ok(upload) => upload,
            Err(error) => {
                let rkey = id.strip_prefix(UPLOAD_PREFIX).unwrap_or_default();
                let blob = self.memory.blobs.store.by_rkey(rkey)?;
                return self.blob_view(&me, &blob.ok_or(error)?);
            }
        };
        if upload.received < parts(upload.size) {
            return Err(ApiError::new(
                409,
                "BLOB_INCOMPLETE",
                format!(
                    "The upload has {} of {} parts: send part {} next.",
                    upload.received,
                    parts(upload.size),
                    upload.received
                ),
            ));
        }
        let _place = Place::take(&self.memory.blobs.writers, 1).ok_or_else(busy)?;
        self.complete_object(&upload).await?;
        let (name, blob) = finished(&me, &upload)?;
        let store = &self.memory.blobs.store;
        self.memory.store.transaction(|| {
            store.upload(&upload.rkey)?.ok_or_else(unknown)?;
            store.finish(&name, &blob)?;
            Ok::<_, ApiError>(())
        })?;
        self.tend_blobs();
        let blob = store.by_rkey(&upload.rkey)?.ok_or_else(unknown)?;
        self.blob_view(&me, &blob)
    }

    async fn complete_object(&self, upload: &Upload) -> Result<(), ApiError> {
        let bucket = Bucket::open(&self.env)?;
        let key = key_of(&*self.identity()?, &upload.rkey);
        let multipart = upload.multipart.as_deref().unwrap_or_default();
        let tags = self.memory.blobs.store.tags(&upload.rkey)?;
        let Err(error) = bucket.complete_parts((&key, multipart), tags).await else {
            return Ok(());
        };
        // Whoever was interrupted after this finds the object there already.
        if bucket.size(&key).await? == Some(sealed_length(upload.size)) {
            console_warn!("an upload had been completed before: {error}");
            return Ok(());
        }
        Err(error)
    }
}

/// Makes the row of the blob that an upload has become, and its blinded name.
fn finished(me: &Me, upload: &Upload) -> Result<([u8; 32], StoredBlob), ApiError> {
    let cid = raw_cid_of(&hasher(me, upload)?.finish());
    let details = Details {
        cid: cid.to_string(),
        mime: mime(me, upload)?,
        size: upload.size,
        header: upload.header.clone(),
    };
    let plain = serde_ipld_dagcbor::to_vec(&details).map_err(ApiError::internal)?;
    let blob = StoredBlob {
        n: 0,
        rkey: upload.rkey.clone(),
        dek: upload.dek,
        size: upload.size,
        sealed: me.seal_secret(&details_purpose(&upload.rkey), &plain),
        stored_at: internal::now(),
        referred: false,
    };
    Ok((blinded(me, &cid), blob))
}

fn check(new: &NewUpload) -> Result<(), ApiError> {
    if new.size == 0 {
        return Err(ApiError::bad_request(
            "INVALID_BODY",
            "`size` is the length in bytes, at least 1.",
        ));
    }
    if new.size > MAX_BLOB_LENGTH {
        return Err(refused(MemoryError::BlobTooLarge));
    }
    if is_mime(&new.mime_type) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "INVALID_MIME_TYPE",
        "`mimeType` is a type and a subtype, such as image/png, of at most 127 characters.",
    ))
}

fn is_mime(text: &str) -> bool {
    let token = |part: &str| {
        let marks = b"!#$&-^_.+";
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
        part.bytes().all(fits) && part.starts_with(|first: char| first.is_ascii_alphanumeric())
    };
    text.len() <= MAX_MIME_BYTES
        && text
            .split_once('/')
            .is_some_and(|(kind, rest)| token(kind) && token(rest))
}

/// Returns how many parts a blob of this length has.
const fn parts(size: u64) -> u64 {
    size.div_ceil(PART)
}

/// Returns how long a part is.
fn part_length(upload: &Upload, part: u64) -> usize {
    let left = upload.size.saturating_sub(part.saturating_mul(PART));
    usize::try_from(left.min(PART)).unwrap_or(PART_LENGTH)
}

/// Reads a part's number, which must be the next one or one that is stored.
fn due(upload: Upload, number: &str) -> Result<(Upload, u64), ApiError> {
    let parsed = number.parse().ok();
    let parsed = parsed.filter(|found: &u64| found.to_string() == number);
    let number = parsed.filter(|number| *number < parts(upload.size));
    let number = number.ok_or_else(|| {
        ApiError::bad_request(
            "BLOB_PART_NUMBER",
            format!(
                "This upload has the parts 0 to {}.",
                parts(upload.size).saturating_sub(1)
            ),
        )
    })?;
    if number > upload.received {
        return Err(ApiError::new(
            409,
            "BLOB_PART_ORDER",
            format!(
                "Parts come one after the other: send part {} next.",
                upload.received
            ),
        ));
    }
    Ok((upload, number))
}

fn view(me: &Me, upload: &Upload) -> Result<UploadView, ApiError> {
    Ok(UploadView {
        upload: format!("{UPLOAD_PREFIX}{}", upload.rkey),
        size: upload.size,
        mime_type: mime(me, upload)?,
        part_size: PART,
        parts: parts(upload.size),
        received: upload.received,
        expires_at: upload.expires_at,
    })
}

fn mime_purpose(rkey: &str) -> String {
    format!("blob-type/{rkey}")
}

fn hash_purpose(rkey: &str) -> String {
    format!("blob-hash/{rkey}")
}

fn mime(me: &Me, upload: &Upload) -> Result<String, ApiError> {
    let plain = me.open_secret(&mime_purpose(&upload.rkey), &upload.mime)?;
    String::from_utf8(plain.to_vec()).map_err(ApiError::internal)
}

/// Takes up the hash of the parts that are stored.
fn hasher(me: &Me, upload: &Upload) -> Result<Hasher, ApiError> {
    let Some(sealed) = &upload.hash else {
        return Ok(Hasher::default());
    };
    let state = me.open_secret(&hash_purpose(&upload.rkey), sealed)?;
    Hasher::resume(&state).map_err(ApiError::internal)
}

/// Returns the sealed state of the hash with one more part.
fn next_hash(me: &Me, upload: &Upload, bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut hasher = hasher(me, upload)?;
    hasher.update(bytes);
    Ok(me.seal_secret(&hash_purpose(&upload.rkey), &hasher.state()))
}

fn expiry(created: Timestamp, now: Timestamp, keep: u64) -> Timestamp {
    now.after(keep).min(created.after(MAX_UPLOAD_MS))
}

/// Reads a body of exactly this length.
async fn read(request: &mut Request, env: &Env, length: usize) -> Result<Vec<u8>, ApiError> {
    if request.inner().body().is_none() {
        return Err(refused(MemoryError::BlobPartLength));
    }
    let mut bytes = Vec::with_capacity(length);
    let mut beyond = 0_usize;
    let mut body = Watched::of(request, env)?.whole();
    while let Some(more) = body.next().await? {
        if beyond == 0 && more.len() <= length - bytes.len() {
            bytes.extend_from_slice(&more);
        } else {
            beyond = beyond.saturating_add(more.len());
        }
        if beyond > MAX_DISCARDED {
            break;
        }
    }
    if beyond == 0 && bytes.len() == length {
        return Ok(bytes);
    }
    Err(refused(MemoryError::BlobPartLength))
}

/// Reads a body that is of no use to the end, so that its sender hears the answer.
pub(super) async fn discard(request: &mut Request, env: &Env) -> Result<(), ApiError> {
    if request.inner().body().is_none() {
        return Ok(());
    }
    let mut body = Watched::of(request, env)?.whole();
    let mut length = 0_usize;
    while let Some(more) = body.next().await? {
        length = length.saturating_add(more.len());
        if length > MAX_DISCARDED {
            break;
        }
    }
    Ok(())
}

pub(super) fn unknown() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_UPLOAD",
        "There is no such upload, or it was completed, given up or expired: begin one with POST …/blobs.",
    )
}

/// Makes the answer for what a caller sends and may not.
fn refused(error: MemoryError) -> ApiError {
    let status = match error.code() {
        "BLOB_TOO_LARGE" => 413,
        "BLOB_PART_CHANGED" => 409,
        _ => 400,
    };
    ApiError::new(status, error.code(), format!("{error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_a_type_and_a_subtype() {
        for good in ["image/png", "application/vnd.ipld.car", "a/b+c"] {
            assert!(is_mime(good), "{good}");
        }
        let long = format!("a/{}", "b".repeat(126));
        for bad in [
            "",
            "image",
            "/",
            "a/",
            "/b",
            "a/b c",
            "a/b\r\nx: y",
            "a/b/c",
            "*/*",
            &long,
        ] {
            assert!(!is_mime(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_upload_lives_from_part_to_part_and_no_longer_than_the_bucket_keeps_it() {
        let day = 24 * 3_600_000;
        let at = |days: u64| Timestamp(days * day);
        assert_eq!(expiry(at(0), at(2), day), at(3));
        assert_eq!(expiry(at(0), at(5), 2 * day), at(6));
    }
}
