//! Key encryption keys: one an epoch, wrapping the DEKs of their owner.

use std::collections::BTreeMap;
use std::fmt;

use entente_lexicon::Did;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::rest::{KeyRing, RestError};

pub(super) const KEY_LENGTH: usize = 32;

/// A key encryption key, wiped when dropped. Drawn at random, never derived: destroying it closes
/// every row of its epoch for good.
#[derive(Clone)]
pub struct Kek {
    epoch: u32,
    key: Zeroizing<[u8; KEY_LENGTH]>,
}

/// A [`Kek`] as it is stored, sealed under the deployment's master key for its owner and epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKek {
    /// Its epoch.
    pub epoch: u32,
    /// What [`KeyRing::seal`] made of it.
    pub blob: Vec<u8>,
}

/// The KEK that wraps, and those before it while rows are being rewrapped.
#[derive(Clone, Debug)]
pub struct KekRing {
    current: Kek,
    older: BTreeMap<u32, Kek>,
}

impl Kek {
    /// Draws the key of an epoch.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(epoch: u32, rng: &mut R) -> Self {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        rng.fill_bytes(&mut *key);
        Self { epoch, key }
    }

    /// Returns its epoch.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Seals the key for storage.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        master: &KeyRing,
        owner: &Did,
        rng: &mut R,
    ) -> SealedKek {
        let blob = master.seal(rng, owner.as_str(), &purpose(self.epoch), &*self.key);
        SealedKek {
            epoch: self.epoch,
            blob,
        }
    }

    pub(super) fn key(&self) -> &[u8; KEY_LENGTH] {
        &self.key
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek(epoch {}, …)", self.epoch)
    }
}

impl SealedKek {
    /// Opens the key of `owner`.
    ///
    /// # Errors
    /// [`RestError`], also for a key of another owner or epoch.
    pub fn open(&self, master: &KeyRing, owner: &Did) -> Result<Kek, RestError> {
        let opened = master.open(owner.as_str(), &purpose(self.epoch), &self.blob)?;
        let key: &[u8; KEY_LENGTH] = opened
            .as_slice()
            .try_into()
            .map_err(|_error| RestError::Corrupt)?;
        Ok(Kek {
            epoch: self.epoch,
            key: Zeroizing::new(*key),
        })
    }

    /// Seals it under the current master key; `None` if that sealed it already.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn reseal<R: CryptoRng + ?Sized>(
        &self,
        master: &KeyRing,
        owner: &Did,
        rng: &mut R,
    ) -> Result<Option<Self>, RestError> {
        let resealed = master.reseal(rng, owner.as_str(), &purpose(self.epoch), &self.blob)?;
        Ok(resealed.map(|blob| Self {
            epoch: self.epoch,
            blob,
        }))
    }
}

impl KekRing {
    /// Makes a ring; an older key of the current one's epoch is none.
    #[must_use]
    pub fn new(current: Kek, older: impl IntoIterator<Item = Kek>) -> Self {
        let older = older.into_iter().map(|kek| (kek.epoch, kek));
        let older = older.filter(|(epoch, _)| *epoch != current.epoch).collect();
        Self { current, older }
    }

    /// Returns the key that wraps.
    #[must_use]
    pub const fn current(&self) -> &Kek {
        &self.current
    }

    /// Returns the key of an epoch.
    #[must_use]
    pub fn of(&self, epoch: u32) -> Option<&Kek> {
        if epoch == self.current.epoch {
            return Some(&self.current);
        }
        self.older.get(&epoch)
    }

    /// Begins the next epoch: the current key becomes an older one. `None` after the last of
    /// 2³² epochs.
    #[must_use]
    pub fn rotated<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Option<Self> {
        let epoch = self.current.epoch.checked_add(1)?;
        let older = self.older.values().chain([&self.current]).cloned();
        Some(Self::new(Kek::generate(epoch, rng), older))
    }
}

fn purpose(epoch: u32) -> String {
    format!("kek/{epoch}")
}
