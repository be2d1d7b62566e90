//! Reading any chunk of a blob alone.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use super::{
    BlobDecoder, CHUNK_LENGTH, Chunks, MAX_BLOB_LENGTH, SEALED_CHUNK_LENGTH, chunk_count,
    sealed_length,
};
use crate::memory::{Dek, MemoryError, Place};

/// How far from its place a chunk that does not open is looked for, only to say what happened.
const LOOK_AROUND: u64 = 4;

/// Opens chunks of a blob, in any order.
pub struct BlobReader {
    chunks: Chunks,
    size: u64,
}

impl BlobReader {
    /// Takes the header and the length of the plaintext, both from the record that refers to the
    /// blob: what they say has been authenticated with it.
    ///
    /// # Errors
    /// [`MemoryError`]: `BlobMalformed`, `BlobUnknownSuite`, `BlobMismatch`, `BlobTooLarge`.
    pub fn open(
        dek: &Dek,
        place: &Place<'_>,
        header: &[u8],
        size: u64,
    ) -> Result<Self, MemoryError> {
        if size > MAX_BLOB_LENGTH {
            return Err(MemoryError::BlobTooLarge);
        }
        let chunks = Chunks::resume(dek, place, header)?;
        Ok(Self { chunks, size })
    }

    pub(super) const fn of(chunks: Chunks, size: u64) -> Self {
        Self { chunks, size }
    }

    /// Returns the length of the plaintext in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many chunks there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        chunk_count(self.size)
    }

    /// Returns which chunk holds the plaintext byte at `offset`.
    #[must_use]
    pub const fn chunk_at(offset: u64) -> u64 {
        offset / CHUNK_LENGTH as u64
    }

    /// Returns where a chunk lies in the stored body; empty beyond the end.
    #[must_use]
    pub fn range(&self, index: u64) -> Range<u64> {
        place_of(self.size, index)
    }

    /// Opens the chunk at `index`; `sealed` is what lies at its [`BlobReader::range`].
    ///
    /// # Errors
    /// [`MemoryError`]: `BlobTooLarge` beyond the end, `BlobTruncated` or `BlobExtended` for a
    /// wrong length, `BlobChunkMisplaced`, `BlobChunkDamaged`.
    pub fn chunk(&self, index: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, MemoryError> {
        if index >= self.count() {
            return Err(MemoryError::BlobTooLarge);
        }
        let range = self.range(index);
        let given = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
        match given.cmp(&(range.end - range.start)) {
            std::cmp::Ordering::Less => return Err(MemoryError::BlobTruncated),
            std::cmp::Ordering::Greater => return Err(MemoryError::BlobExtended),
            std::cmp::Ordering::Equal => {}
        }
        self.try_at(index, sealed)
            .ok_or_else(|| match self.whereabouts(index, sealed) {
                Some(_) => MemoryError::BlobChunkMisplaced,
                None => MemoryError::BlobChunkDamaged,
            })
    }

    /// Reads the whole blob in order; `stored` is the length of the body in storage.
    #[must_use]
    pub fn decoder(self, stored: u64) -> BlobDecoder {
        BlobDecoder::new(self, stored)
    }

    pub(super) fn is_last(&self, index: u64) -> bool {
        index + 1 == self.count()
    }

    /// The length of a chunk as it is stored.
    pub(super) fn stored_length(&self, index: u64) -> usize {
        let range = self.range(index);
        usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
    }

    pub(super) fn try_at(&self, index: u64, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.chunks.open(index, self.is_last(index), sealed)
    }

    /// Which chunk near `index` begins what stands there, if not the right one.
    pub(super) fn whereabouts(&self, index: u64, sealed: &[u8]) -> Option<u64> {
        let from = index.saturating_sub(LOOK_AROUND);
        let to = index.saturating_add(LOOK_AROUND + 1).min(self.count());
        (from..to).filter(|other| *other != index).find(|other| {
            let front = sealed.get(..self.stored_length(*other));
            front.is_some_and(|front| self.try_at(*other, front).is_some())
        })
    }
}

/// Where a chunk of a blob of this length lies in its body; empty beyond the end.
pub(super) fn place_of(size: u64, index: u64) -> Range<u64> {
    let end = sealed_length(size);
    let start = index.saturating_mul(SEALED_CHUNK_LENGTH as u64).min(end);
    let next = start.saturating_add(SEALED_CHUNK_LENGTH as u64).min(end);
    start..next
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobReader({} bytes)", self.size)
    }
}
