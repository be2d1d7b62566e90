//! Sealing a blob in parts of 8 MiB that are uploaded one by one, over days if need be.

use std::fmt;

use rand_core::CryptoRng;

use super::{
    BlobHeader, CHUNK_LENGTH, Chunks, LABEL, MAX_PARTS, NONCE_LENGTH, PART_CHUNKS, PART_LENGTH,
    SEALED_PART_LENGTH, context,
};
use crate::crypto::hash::sha256;
use crate::crypto::kdf::Prk;
use crate::crypto::mac::{constant_time_eq, hmac_sha256};
use crate::memory::{Dek, MemoryError, Place};

const DIGEST: &[u8] = b"ane1/part";

/// What a part was begun with: a MAC under a key of the blob, which tells nothing of the part to
/// who lacks the DEK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartDigest(pub [u8; 32]);

/// Seals a blob part by part. It keeps no state between parts: the header, the DEK and the digests
/// of the parts that were begun are what an upload is taken up with.
pub struct BlobSealer {
    chunks: Chunks,
    prk: Prk,
    bound: [u8; 32],
}

impl BlobSealer {
    /// Begins a blob. The DEK is for this blob alone.
    #[must_use]
    pub fn begin<R: CryptoRng + ?Sized>(dek: &Dek, place: &Place<'_>, rng: &mut R) -> Self {
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        Self::new(Chunks::begin(dek, place, nonce), dek, place)
    }

    /// Takes up a blob that was begun.
    ///
    /// # Errors
    /// [`MemoryError`]: `BlobMalformed`, `BlobUnknownSuite`, `BlobMismatch`.
    pub fn resume(dek: &Dek, place: &Place<'_>, header: &[u8]) -> Result<Self, MemoryError> {
        let chunks = Chunks::resume(dek, place, header)?;
        Ok(Self::new(chunks, dek, place))
    }

    fn new(chunks: Chunks, dek: &Dek, place: &Place<'_>) -> Self {
        Self {
            prk: Prk::extract(&chunks.header, dek.key()),
            bound: sha256(&[LABEL, &context(dek, place)]),
            chunks,
        }
    }

    /// Returns the header, to be stored in the record that refers to the blob.
    #[must_use]
    pub const fn header(&self) -> &BlobHeader {
        &self.chunks.header
    }

    /// Digests a part. Store the digest before sealing, unless one is stored already: a part that
    /// is tried again must be what it was, since its chunks have the nonces they had.
    #[must_use]
    pub fn begin_part(&self, index: u64, last: bool, plaintext: &[u8]) -> PartDigest {
        let key = self.prk.expand(&[DIGEST, &self.bound]);
        let index = index.to_be_bytes();
        PartDigest(hmac_sha256(&*key, &[&index, &[u8::from(last)], plaintext]))
    }

    /// Seals a part, if it is what the stored digest says.
    ///
    /// # Errors
    /// [`MemoryError`]: `BlobPartLength`, `BlobPartChanged`, `BlobTooLarge`.
    pub fn seal_part(
        &self,
        index: u64,
        last: bool,
        plaintext: &[u8],
        begun: &PartDigest,
    ) -> Result<Vec<u8>, MemoryError> {
        if index >= MAX_PARTS {
            return Err(MemoryError::BlobTooLarge);
        }
        let right_length = if last {
            plaintext.len() <= PART_LENGTH && (index == 0 || !plaintext.is_empty())
        } else {
            plaintext.len() == PART_LENGTH
        };
        if !right_length {
            return Err(MemoryError::BlobPartLength);
        }
        let digest = self.begin_part(index, last, plaintext);
        if !constant_time_eq(&digest.0, &begun.0) {
            return Err(MemoryError::BlobPartChanged);
        }
        let mut out = Vec::with_capacity(SEALED_PART_LENGTH);
        let mut chunk = index.saturating_mul(PART_CHUNKS as u64);
        let mut rest = plaintext;
        loop {
            let (now, later) = rest.split_at(CHUNK_LENGTH.min(rest.len()));
            let ends = later.is_empty();
            self.chunks.seal(chunk, last && ends, now, &mut out)?;
            if ends {
                return Ok(out);
            }
            chunk = chunk.saturating_add(1);
            rest = later;
        }
    }
}

impl fmt::Debug for BlobSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobSealer(…)")
    }
}
