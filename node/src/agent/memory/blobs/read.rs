//! Reading: whole or by range, chunk by chunk, so that a blob of any length needs little memory.
//!
//! Nothing goes out that did not open. The first chunks are opened before anything is answered, so
//! that what is damaged there is named; a chunk that does not open later breaks the answer off.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;

use entente_trust::memory::blob::{BlobReader, CHUNK_LENGTH, sealed_length};
use entente_trust::memory::{DekId, MemoryError};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use worker::worker_sys::FixedLengthStream as JsFixedLengthStream;
use worker::{FixedLengthStream, Method, Request, Response, ResponseBody, console_error};

use super::{Details, Place, StoredBlob, busy, damaged, details, key_of, path_of};
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::keys::place;
use crate::error::ApiError;
use crate::store::bucket::Bucket;

/// Blobs of one agent on their way to it at the same time; as many are on their way to others.
pub(super) const MAX_READERS: u32 = 4;
/// Chunks that are opened before anything is answered: 1 MiB.
const AHEAD: usize = 16;
pub(super) const CHUNK: u64 = CHUNK_LENGTH as u64;

pub(super) type Body = Pin<Box<dyn Stream<Item = worker::Result<Vec<u8>>>>>;

/// A range of a blob on its way out.
pub(super) struct Pieces {
    reader: BlobReader,
    body: Body,
    /// What has come and is no whole chunk yet.
    waiting: Vec<u8>,
    /// The chunk that is due.
    next: u64,
    range: Range<u64>,
    _place: Place,
}

/// A blob, where to read it, and for whom.
pub(super) struct Opening<'a> {
    /// The places of those who read.
    pub(super) places: &'a Rc<Cell<u32>>,
    /// The object's random name, and its key.
    pub(super) blob: (&'a str, DekId),
    /// Bytes of the plaintext.
    pub(super) range: Range<u64>,
}

impl Pieces {
    /// Takes a body that begins with the chunk `first`.
    pub(super) fn new(
        reader: BlobReader,
        body: Body,
        first: u64,
        range: Range<u64>,
        place: Place,
    ) -> Self {
        Self {
            reader,
            body,
            waiting: Vec::new(),
            next: first,
            range,
            _place: place,
        }
    }

    /// Returns the next piece of plaintext; nothing after the last.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let start = self.next.saturating_mul(CHUNK);
        if start >= self.range.end {
            return Ok(None);
        }
        let place = self.reader.range(self.next);
        let length = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        while self.waiting.len() < length {
            match self.body.try_next().await? {
                Some(more) => self.waiting.extend_from_slice(&more),
                None => return Err(damaged(MemoryError::BlobTruncated)),
            }
        }
        let rest = self.waiting.split_off(length);
        let sealed = std::mem::replace(&mut self.waiting, rest);
        let plain = self.reader.chunk(self.next, &sealed).map_err(damaged)?;
        self.next += 1;
        let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        let to = within(self.range.end).min(plain.len());
        let from = within(self.range.start).min(to);
        Ok(plain.get(from..to).map(<[u8]>::to_vec))
    }

    /// Opens the first pieces. Returns a stream of all, a piece for each chunk.
    pub(super) async fn body(mut self) -> Result<Body, ApiError> {
        let mut opened = VecDeque::new();
        while opened.len() < AHEAD
            && let Some(piece) = self.piece().await?
        {
            opened.push_back(piece);
        }
        let rest = stream::try_unfold(self, |mut pieces| async move {
            let piece = pieces.piece().await.map_err(|error| {
                console_error!("a blob is broken off: {error}");
                worker::Error::from(error.to_string())
            })?;
            Ok::<_, worker::Error>(piece.map(|piece| (piece, pieces)))
        });
        Ok(Box::pin(stream::iter(opened).map(Ok).chain(rest)))
    }
}

impl Core {
    /// Answers with a blob, or with the range of it that is asked for.
    pub(super) async fn read_blob(
        &self,
        request: &Request,
        cid: &str,
    ) -> Result<Response, ApiError> {
        let me = self.identity()?;
        let (_, blob) = self.known_blob(&me, cid)?;
        let details = details(&me, &blob)?;
        self.send_blob(request, (&me, &blob, &details), &self.memory.blobs.readers)
            .await
    }

    /// Answers anyone with a blob that a public record refers to.
    pub(in crate::agent) async fn read_public_blob(
        &self,
        request: &Request,
        cid: &str,
    ) -> Result<Response, ApiError> {
        let not_found =
            || ApiError::new(400, "BlobNotFound", "No public record refers to this blob.");
        if !self.memory.is_used()? {
            return Err(not_found());
        }
        self.memory.prepare()?;
        let me = self.identity()?;
        let (name, blob) = self.known_blob(&me, cid).map_err(|_error| not_found())?;
        if !self.memory.blobs.store.is_public(&name)? {
            return Err(not_found());
        }
        let details = details(&me, &blob)?;
        self.send_blob(request, (&me, &blob, &details), &self.memory.blobs.guests)
            .await
    }

    async fn send_blob(
        &self,
        request: &Request,
        (me, blob, details): (&Me, &StoredBlob, &Details),
        places: &Rc<Cell<u32>>,
    ) -> Result<Response, ApiError> {
        let range = asked_range(request, details.size)?;
        let body = if request.method() == Method::Head {
            None
        } else {
            let opening = Opening {
                places,
                blob: (&blob.rkey, blob.dek),
                range: range.clone().unwrap_or(0..details.size),
            };
            Some(self.open_range(me, details, opening).await?)
        };
        respond(details, range, body)
    }

    /// Opens a range: returns a stream whose first pieces are opened already.
    pub(super) async fn open_range(
        &self,
        me: &Me,
        details: &Details,
        opening: Opening<'_>,
    ) -> Result<Body, ApiError> {
        let Opening {
            places,
            blob: (rkey, dek),
            range,
        } = opening;
        let readers = Place::take(places, MAX_READERS);
        let path = path_of(rkey)?;
        let dek = self.open_dek(me, &path, dek)?;
        let reader = BlobReader::open(&dek, &place(me, &path), &details.header, details.size);
        let reader = reader.map_err(damaged)?;
        let (bucket, key) = (Bucket::open(&self.env)?, key_of(me, rkey));
        let stored = bucket.size(&key).await?.ok_or_else(missing)?;
        if stored != sealed_length(details.size) {
            let body = bucket.stream(&key, 0..stored).await?;
            return Err(diagnose(reader, stored, body.ok_or_else(missing)?).await?);
        }
        let first = BlobReader::chunk_at(range.start);
        let last = BlobReader::chunk_at(range.end.saturating_sub(1));
        let sealed = reader.range(first).start..reader.range(last).end;
        let body = bucket.stream(&key, sealed).await?.ok_or_else(missing)?;
        let place = readers.ok_or_else(busy)?;
        Pieces::new(reader, Box::pin(body), first, range, place)
            .body()
            .await
    }
}

/// Finds out what is wrong with a body that has not the length it should have.
async fn diagnose(
    reader: BlobReader,
    stored: u64,
    body: impl Stream<Item = worker::Result<Vec<u8>>>,
) -> Result<ApiError, ApiError> {
    let mut decoder = reader.decoder(stored);
    let mut body = std::pin::pin!(body);
    let mut out = Vec::new();
    while let Some(more) = body.try_next().await? {
        out.clear();
        if let Err(error) = decoder.push(&more, &mut out) {
            return Ok(damaged(error));
        }
    }
    let error = decoder.finish(&mut out).err();
    Ok(damaged(error.unwrap_or(MemoryError::BlobExtended)))
}

/// Answers with a blob, or with a range of it; without a body, what `HEAD` is answered.
pub(super) fn respond(
    details: &Details,
    range: Option<Range<u64>>,
    body: Option<Body>,
) -> Result<Response, ApiError> {
    let whole = 0..details.size;
    let sent = range.as_ref().unwrap_or(&whole);
    let length = sent.end - sent.start;
    let response = match body {
        Some(body) => {
            let body = JsFixedLengthStream::from(FixedLengthStream::wrap(body, length));
            Response::from_body(ResponseBody::Stream(body.readable()))?
        }
        None => Response::empty()?,
    };
    let headers = response.headers();
    headers.set("content-length", &length.to_string())?;
    headers.set("content-type", &details.mime)?;
    headers.set("etag", &format!("\"{}\"", details.cid))?;
    headers.set("accept-ranges", "bytes")?;
    headers.set("cache-control", "private, no-store, no-transform")?;
    // Whatever it says it is, no browser is to run it.
    headers.set("content-disposition", "attachment")?;
    headers.set("content-security-policy", "default-src 'none'; sandbox")?;
    let Some(range) = range else {
        return Ok(response);
    };
    let last = range.end.saturating_sub(1);
    let place = format!("bytes {}-{last}/{}", range.start, details.size);
    headers.set("content-range", &place)?;
    Ok(response.with_status(206))
}

/// Returns the range that a request asks for; nothing if it asks for everything.
pub(super) fn asked_range(request: &Request, size: u64) -> Result<Option<Range<u64>>, ApiError> {
    let asked = request.headers().get("range")?;
    match asked.as_deref().map(|text| range_of(text, size)) {
        None | Some(Asked::Everything) => Ok(None),
        Some(Asked::Range(range)) => Ok(Some(range)),
        Some(Asked::Beyond) => Err(beyond(size)),
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Nothing that is known here, or several ranges: everything is an answer to that.
    Everything,
    Range(Range<u64>),
    /// Nothing that is there.
    Beyond,
}

fn range_of(text: &str, size: u64) -> Asked {
    let Some((from, to)) = text
        .trim()
        .strip_prefix("bytes=")
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::Everything;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (from, to) = match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => (from, to.saturating_add(1).min(size)),
        (Some(from), None) if to.is_empty() => (from, size),
        (None, Some(last)) if from.is_empty() => (size - last.min(size), size),
        (Some(_) | None, Some(_) | None) => return Asked::Everything,
    };
    if from < to {
        Asked::Range(from..to)
    } else {
        Asked::Beyond
    }
}

fn beyond(size: u64) -> ApiError {
    ApiError::new(
        416,
        "BLOB_RANGE",
        format!("The blob has {size} bytes: ask for a range within them."),
    )
    .with_header("content-range", format!("bytes */{size}"))
}

fn missing() -> ApiError {
    ApiError::new(
        500,
        "BLOB_MISSING",
        "The bucket no longer holds what this blob consists of: restore it from a backup, or delete it and upload it again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        let cases = [
            ("bytes=0-0", Asked::Range(0..1)),
            ("bytes=2-5", Asked::Range(2..6)),
            ("bytes=2-", Asked::Range(2..10)),
            ("bytes=-3", Asked::Range(7..10)),
            ("bytes=-30", Asked::Range(0..10)),
            ("bytes=9-99999999999999999999", Asked::Range(9..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=10-12", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
        ];
        for (text, asked) in cases {
            assert_eq!(range_of(text, 10), asked, "{text}");
        }
        for odd in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=+1-2",
        ] {
            assert_eq!(range_of(odd, 10), Asked::Everything, "{odd}");
        }
    }
}
