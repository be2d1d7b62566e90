//! Lending: chunks of a blob for those whom a record is shared with that refers to it, sealed anew
//! under a key that follows from the record's. See [`entente_trust::memory::blob::BlobLoan`].
//!
//! Whether somebody may have them is looked at each time, by what is shared now; the Worker has asked
//! the link's policy and checked who asks before it comes here with another network's reader.

use entente_lexicon::RecordPath;
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid_text;
use entente_trust::memory::blob::{BlobLoan, chunk_count};
use futures::TryStreamExt as _;
use worker::worker_sys::FixedLengthStream as JsFixedLengthStream;
use worker::{FixedLengthStream, Request, Response, ResponseBody};

use super::read::{CHUNK, Opening};
use super::{StoredBlob, damaged, details, unknown_blob};
use crate::agent::core::Core;
use crate::agent::memory::keys::place;
use crate::agent::memory::store::StoredRecord;
use crate::error::ApiError;
use crate::shapes::{LoanWish, Reader};

/// Something that may be lent.
struct Lent {
    record: StoredRecord,
    blob: StoredBlob,
    cid: Cid,
    reader: Reader,
}

impl Core {
    /// Says where a reader lives, if it may have the blob.
    pub(in crate::agent) fn reader_of(&self, request: &Request) -> Result<Reader, ApiError> {
        Ok(self.lent(&request.query()?)?.reader)
    }

    /// Sends chunks of a blob to a reader.
    pub(in crate::agent) async fn lend_blob(
        &self,
        request: &Request,
    ) -> Result<Response, ApiError> {
        let wish: LoanWish = request.query()?;
        let (me, lent) = (self.identity()?, self.lent(&wish)?);
        if lent.record.dek.map(|dek| dek.to_string()).as_deref() != Some(&*wish.dek) {
            return Err(outdated());
        }
        let details = details(&me, &lent.blob)?;
        if wish.from >= wish.to || wish.to > chunk_count(details.size) {
            return Err(unknown_blob());
        }
        let (path, dek) = (&lent.record.path, lent.record.dek);
        let dek = self.open_dek(&me, path, dek.ok_or_else(unknown_blob)?)?;
        let cid = lent.cid.to_bytes();
        let loan = BlobLoan::new(&dek, &place(&me, path), &cid, details.size).map_err(damaged)?;
        let sealed = loan.sealed_length(wish.from..wish.to);
        let opening = Opening {
            places: &self.memory.blobs.guests,
            blob: (&lent.blob.rkey, lent.blob.dek),
            range: plain_range(&wish, details.size),
        };
        let chunks = self.open_range(&me, &details, opening).await?;
        let mut next = wish.from;
        let sealed_chunks = chunks.and_then(move |plain| {
            let chunk = loan.seal(next, &plain);
            next += 1;
            std::future::ready(chunk.map_err(|error| worker::Error::from(error.code())))
        });
        let body = FixedLengthStream::wrap(sealed_chunks, sealed);
        let body = JsFixedLengthStream::from(body).readable();
        let response = Response::from_body(ResponseBody::Stream(body))?;
        let headers = response.headers();
        headers.set("content-type", "application/octet-stream")?;
        headers.set("content-length", &sealed.to_string())?;
        headers.set("cache-control", "private, no-store, no-transform")?;
        Ok(response)
    }

    /// Finds what is asked for, if it is shared with who asks, as it is now.
    fn lent(&self, wish: &LoanWish) -> Result<Lent, ApiError> {
        if !self.memory.is_used()? {
            return Err(unknown_blob());
        }
        self.memory.prepare()?;
        let path = RecordPath::parse(&wish.record).map_err(|_error| unknown_blob())?;
        let cid = parse_cid_text(&wish.cid).map_err(|_error| unknown_blob())?;
        let store = &self.memory.store;
        let shares = store.shares(&path)?;
        let share = shares
            .into_iter()
            .find(|share| share.recipient == wish.reader);
        let (share, record) = share.zip(store.record(&path)?).ok_or_else(unknown_blob)?;
        let (name, blob) = self.known_blob(&*self.identity()?, &cid.to_string())?;
        if !self
            .memory
            .blobs
            .store
            .refers(&path, record.version, &name)?
        {
            return Err(unknown_blob());
        }
        let host = share.host;
        Ok(Lent {
            record,
            blob,
            cid,
            reader: Reader { host },
        })
    }
}

/// Which bytes of the plaintext these chunks have.
fn plain_range(wish: &LoanWish, size: u64) -> std::ops::Range<u64> {
    wish.from.saturating_mul(CHUNK)..wish.to.saturating_mul(CHUNK).min(size)
}

/// Makes the answer for who has a key that the record had before.
pub(super) fn outdated() -> ApiError {
    ApiError::new(
        409,
        "SHARE_OUTDATED",
        "The record has another key since: its new version is on its way, so try again once it is there.",
    )
    .with_header("retry-after", "1".to_owned())
}
