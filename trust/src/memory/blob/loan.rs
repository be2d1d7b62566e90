//! A blob as the readers of one record get it: sealed anew under a key that follows from the record's.
//!
//! ```text
//! ctx        = each after its u32be length: owner, collection, rkey, CID of the blob, u64be length
//! key, more  = HKDF-SHA256(record's DEK, salt = "ane1/loan", info = "ane1/loan" ‖ SHA-256(ctx), 64), halved
//! DEK        = key under the id of the record's DEK      nonce = more[..24]      place = the record's
//! ```
//!
//! Both sides compute all of it, so nothing but chunks has to travel: who can open the record can
//! open them, and once a share is taken back the record has another key, and so have they. Key and
//! nonce are the same each time, and so is what they seal: the CID names it.

use std::fmt;
use std::ops::Range;

use super::{BlobReader, CHUNK_LENGTH, Chunks, MAX_BLOB_LENGTH, NONCE_LENGTH, chunk_count};
use crate::crypto::hash::sha256;
use crate::crypto::kdf::Prk;
use crate::memory::place::bind;
use crate::memory::{Dek, MemoryError, Place};

const LABEL: &[u8] = b"ane1/loan";

/// Seals chunks of a blob for the readers of a record that refers to it.
pub struct BlobLoan {
    chunks: Chunks,
    size: u64,
}

impl BlobLoan {
    /// Takes the record's key and place, and what the record says of the blob: the bytes of its CID and
    /// its length.
    ///
    /// # Errors
    /// [`MemoryError::BlobTooLarge`].
    pub fn new(dek: &Dek, place: &Place<'_>, cid: &[u8], size: u64) -> Result<Self, MemoryError> {
        if size > MAX_BLOB_LENGTH {
            return Err(MemoryError::BlobTooLarge);
        }
        let [owner, collection, rkey] = place.parts();
        let ctx = bind([owner, collection, rkey, cid, &size.to_be_bytes()]);
        let [key, more] = Prk::extract(LABEL, dek.key()).expand_pair(&[LABEL, &sha256(&[&ctx])]);
        let mut nonce = [0; NONCE_LENGTH];
        for (to, from) in nonce.iter_mut().zip(more.iter()) {
            *to = *from;
        }
        let chunks = Chunks::begin(&Dek::from_parts(dek.id(), key), place, nonce);
        Ok(Self { chunks, size })
    }

    /// Seals the chunk at `index`, which must be whole.
    ///
    /// # Errors
    /// [`MemoryError`]: `BlobTooLarge` beyond the end, `BlobTruncated` or `BlobExtended` for a wrong
    /// length.
    pub fn seal(&self, index: u64, plaintext: &[u8]) -> Result<Vec<u8>, MemoryError> {
        let count = chunk_count(self.size);
        if index >= count {
            return Err(MemoryError::BlobTooLarge);
        }
        let whole = CHUNK_LENGTH as u64;
        let length = whole.min(self.size.saturating_sub(index.saturating_mul(whole)));
        match u64::try_from(plaintext.len())
            .unwrap_or(u64::MAX)
            .cmp(&length)
        {
            std::cmp::Ordering::Less => return Err(MemoryError::BlobTruncated),
            std::cmp::Ordering::Greater => return Err(MemoryError::BlobExtended),
            std::cmp::Ordering::Equal => {}
        }
        let mut sealed = Vec::new();
        let last = index.saturating_add(1) == count;
        self.chunks.seal(index, last, plaintext, &mut sealed)?;
        Ok(sealed)
    }

    /// Returns how many bytes these chunks have, sealed.
    #[must_use]
    pub fn sealed_length(&self, chunks: Range<u64>) -> u64 {
        let place = |index| super::reader::place_of(self.size, index).start;
        place(chunks.end).saturating_sub(place(chunks.start))
    }

    /// Returns what opens the chunks.
    #[must_use]
    pub fn reader(self) -> BlobReader {
        BlobReader::of(self.chunks, self.size)
    }
}

impl fmt::Debug for BlobLoan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobLoan({} bytes)", self.size)
    }
}
