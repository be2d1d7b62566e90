//! Sealing a blob as it comes, whatever the pieces it comes in.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{BlobHeader, CHUNK_LENGTH, Chunks, MAX_BLOB_LENGTH, NONCE_LENGTH};
use crate::memory::{Dek, MemoryError, Place};

/// Seals a blob piece by piece, holding one chunk at most.
pub struct BlobEncoder {
    chunks: Chunks,
    index: u64,
    size: u64,
    waiting: Zeroizing<Vec<u8>>,
}

impl BlobEncoder {
    /// Begins a blob. The DEK is for this blob alone: two blobs never share one.
    #[must_use]
    pub fn begin<R: CryptoRng + ?Sized>(dek: &Dek, place: &Place<'_>, rng: &mut R) -> Self {
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        Self {
            chunks: Chunks::begin(dek, place, nonce),
            index: 0,
            size: 0,
            waiting: Zeroizing::new(Vec::with_capacity(CHUNK_LENGTH)),
        }
    }

    /// Returns the header, to be stored in the record that refers to the blob.
    #[must_use]
    pub const fn header(&self) -> &BlobHeader {
        &self.chunks.header
    }

    /// Takes more plaintext and appends what can be sealed of it to `out`.
    ///
    /// # Errors
    /// [`MemoryError::BlobTooLarge`].
    pub fn push(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), MemoryError> {
        let more = u64::try_from(plaintext.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(more);
        if self.size > MAX_BLOB_LENGTH {
            return Err(MemoryError::BlobTooLarge);
        }
        // A full chunk waits until it is known whether it is the last one.
        while !plaintext.is_empty() {
            if self.waiting.len() == CHUNK_LENGTH {
                self.chunks.seal(self.index, false, &self.waiting, out)?;
                self.index += 1;
                self.waiting.clear();
            }
            let room = CHUNK_LENGTH - self.waiting.len();
            let (now, later) = plaintext.split_at(room.min(plaintext.len()));
            self.waiting.extend_from_slice(now);
            plaintext = later;
        }
        Ok(())
    }

    /// Appends the last chunk. Returns the length of the plaintext, which the record keeps beside
    /// the header.
    ///
    /// # Errors
    /// [`MemoryError::BlobTooLarge`].
    pub fn finish(self, out: &mut Vec<u8>) -> Result<u64, MemoryError> {
        self.chunks.seal(self.index, true, &self.waiting, out)?;
        Ok(self.size)
    }
}

impl fmt::Debug for BlobEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobEncoder(at chunk {})", self.index)
    }
}
