//! The manifest of a snapshot: every chunk by its hash, in order.

use entente_lexicon::Timestamp;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::header::{OVERHEAD, SALT_LENGTH, Slot};
use super::{BackupError, CHUNK_LENGTH, Kind, MAX_CHUNKS, Place};
use crate::crypto::hash::sha256;
use crate::crypto::rest::KeyRing;

/// What a snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub(super) network: String,
    pub(super) subject: String,
    pub(super) generation: u64,
    pub(super) at: Timestamp,
    /// Of the plaintext, in bytes.
    pub(super) length: u64,
    /// SHA-256 of each sealed chunk.
    pub(super) chunks: Vec<ByteBuf>,
    pub(super) salt: ByteBuf,
}

pub(super) fn seal(
    ring: &KeyRing,
    manifest: &Manifest,
    salt: &[u8; SALT_LENGTH],
) -> Result<Vec<u8>, BackupError> {
    let plain = serde_ipld_dagcbor::to_vec(manifest).map_err(|_error| BackupError::Invalid)?;
    Ok(manifest.slot(Kind::Manifest, 0).seal(ring, salt, &plain))
}

impl Manifest {
    /// Opens the manifest that stands at `place`.
    ///
    /// # Errors
    /// [`BackupError`]: `Malformed`, `UnknownVersion`, `WrongKey`, `OtherOwner`, `OtherGeneration`,
    /// `Damaged`, `Invalid`.
    pub fn open(ring: &KeyRing, place: Place<'_>, sealed: &[u8]) -> Result<Self, BackupError> {
        let slot = Slot {
            place,
            kind: Kind::Manifest,
            index: 0,
        };
        let (plain, salt) = slot.open(ring, sealed)?;
        let manifest: Self =
            serde_ipld_dagcbor::from_slice(&plain).map_err(|_error| BackupError::Invalid)?;
        let count = u64::try_from(manifest.chunks.len()).unwrap_or(u64::MAX);
        let right = manifest.place() == place
            && manifest.salt.as_slice() == salt
            && manifest.chunks.len() <= MAX_CHUNKS
            && manifest.chunks.iter().all(|hash| hash.len() == 32)
            && manifest.length.div_ceil(CHUNK_LENGTH as u64) == count;
        right.then_some(manifest).ok_or(BackupError::Invalid)
    }

    /// Returns where the snapshot belongs.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place {
            network: &self.network,
            subject: &self.subject,
            generation: self.generation,
        }
    }

    /// Returns when the snapshot was taken.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns how many bytes were backed up.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns how many chunks there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.chunks.len()).unwrap_or(u64::MAX)
    }

    /// Opens the chunk at `index`.
    ///
    /// # Errors
    /// [`BackupError`]: `Truncated` if it is cut off or there is none, `Misplaced` if another one
    /// stands there, `Damaged`, and what the header says of it.
    pub fn chunk(
        &self,
        ring: &KeyRing,
        index: u64,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let place = usize::try_from(index).map_err(|_error| BackupError::Truncated)?;
        let named = self.chunks.get(place).ok_or(BackupError::Truncated)?;
        let hash = sha256(&[sealed]);
        if named.as_slice() != hash {
            return Err(self.why(ring, index, sealed, &hash));
        }
        let (plain, _salt) = self.slot(Kind::Chunk, index).open(ring, sealed)?;
        Ok(plain)
    }

    /// Says what a chunk is that the manifest does not name in its place.
    fn why(&self, ring: &KeyRing, index: u64, sealed: &[u8], hash: &[u8; 32]) -> BackupError {
        if self.chunks.iter().any(|other| other.as_slice() == hash) {
            return BackupError::Misplaced;
        }
        if sealed.len() < self.sealed_length(index) {
            return BackupError::Truncated;
        }
        match self.slot(Kind::Chunk, index).open(ring, sealed) {
            // Of the same place, but of another snapshot.
            Ok(_) => BackupError::Misplaced,
            Err(error) => error,
        }
    }

    fn sealed_length(&self, index: u64) -> usize {
        let before = index.saturating_mul(CHUNK_LENGTH as u64);
        let left = self.length.saturating_sub(before).min(CHUNK_LENGTH as u64);
        usize::try_from(left).map_or(usize::MAX, |left| left.saturating_add(OVERHEAD))
    }

    fn slot(&self, kind: Kind, index: u64) -> Slot<'_> {
        Slot {
            place: self.place(),
            kind,
            index,
        }
    }
}
