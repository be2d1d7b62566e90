//! Sealing a snapshot, chunk by chunk.

use std::fmt;

use entente_lexicon::Timestamp;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::header::{SALT_LENGTH, Slot};
use super::manifest::{self, Manifest};
use super::{BackupError, CHUNK_LENGTH, Kind, MAX_CHUNKS, Place};
use crate::crypto::hash::sha256;
use crate::crypto::rest::KeyRing;

/// Cuts a stream of bytes into chunks, seals each once, and remembers what the manifest must name.
pub struct Sealer<'a> {
    ring: &'a KeyRing,
    place: Place<'a>,
    salt: [u8; SALT_LENGTH],
    pending: Zeroizing<Vec<u8>>,
    length: u64,
    hashes: Vec<[u8; 32]>,
}

impl<'a> Sealer<'a> {
    /// Begins a snapshot.
    #[must_use]
    pub fn begin<R: CryptoRng + ?Sized>(ring: &'a KeyRing, place: Place<'a>, rng: &mut R) -> Self {
        let mut salt = [0; SALT_LENGTH];
        rng.fill_bytes(&mut salt);
        Self {
            ring,
            place,
            salt,
            pending: Zeroizing::new(Vec::with_capacity(CHUNK_LENGTH)),
            length: 0,
            hashes: Vec::new(),
        }
    }

    /// Adds bytes; hands every chunk that became whole to `keep`, sealed, with its index.
    ///
    /// # Errors
    /// What `keep` returns, or [`BackupError::TooLarge`].
    pub fn push<E: From<BackupError>>(
        &mut self,
        mut bytes: &[u8],
        keep: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = CHUNK_LENGTH.saturating_sub(self.pending.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == CHUNK_LENGTH {
                self.flush(keep)?;
            }
        }
        Ok(())
    }

    /// Seals the last chunk, and returns the sealed manifest, to be written when every chunk is.
    ///
    /// # Errors
    /// As [`Sealer::push`].
    pub fn finish<E: From<BackupError>>(
        mut self,
        at: Timestamp,
        keep: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        if !self.pending.is_empty() {
            self.flush(keep)?;
        }
        let manifest = Manifest {
            network: self.place.network.to_owned(),
            subject: self.place.subject.to_owned(),
            generation: self.place.generation,
            at,
            length: self.length,
            chunks: self
                .hashes
                .iter()
                .map(|hash| hash.to_vec().into())
                .collect(),
            salt: self.salt.to_vec().into(),
        };
        Ok(manifest::seal(self.ring, &manifest, &self.salt)?)
    }

    fn flush<E: From<BackupError>>(
        &mut self,
        keep: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.hashes.len() >= MAX_CHUNKS {
            return Err(BackupError::TooLarge.into());
        }
        let index = u64::try_from(self.hashes.len()).unwrap_or(u64::MAX);
        let slot = Slot {
            place: self.place,
            kind: Kind::Chunk,
            index,
        };
        let sealed = slot.seal(self.ring, &self.salt, &self.pending);
        self.length = self
            .length
            .saturating_add(u64::try_from(self.pending.len()).unwrap_or(u64::MAX));
        self.pending.clear();
        self.hashes.push(sha256(&[&sealed]));
        keep(index, sealed)
    }
}

impl fmt::Debug for Sealer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} chunks)", self.hashes.len())
    }
}
