//! The sender's side of a conversation.

use std::fmt;

use entente_lexicon::{Did, Timestamp};
use rand_core::CryptoRng;

use super::body::Body;
use super::envelope::{EpochId, NONCE_LENGTH, SealError, write_prefix};
use super::header::Header;
use super::prekey::Prekey;
use super::ratchet::{Chain, MAX_EPOCH_MESSAGES};
use super::{opening, sealed};
use crate::crypto::sign::SigningKey;

/// How long an epoch seals messages.
pub const EPOCH_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

/// A conversation epoch as its sender holds it.
///
/// It has no stored form, and that is the point: whatever becomes of its holder's storage, also if
/// an old copy of it is put back, no key of an epoch is ever used twice, because the epoch is gone
/// with the memory it lived in and the next message opens another.
pub struct Sending {
    id: EpochId,
    from: Did,
    to: Did,
    kid: String,
    chain: Chain,
    until: Timestamp,
    /// Repeated in every message until the recipient is known to have it.
    opening: Option<Vec<u8>>,
}

impl Sending {
    /// Opens an epoch from `from`, whose key is `signing`, to the holder of `prekey`. One
    /// encapsulation and one signature.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn open<R: CryptoRng + ?Sized>(
        from: &Did,
        signing: &SigningKey,
        prekey: &Prekey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Self, SealError> {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let (opening, chain) = opening::make(from, &id, prekey, signing, rng)?;
        Ok(Self {
            id,
            from: from.clone(),
            to: prekey.did.clone(),
            kid: prekey.kid.clone(),
            chain,
            until: now.after(EPOCH_LIFE_MS).min(prekey.not_after),
            opening: Some(opening),
        })
    }

    /// Returns the epoch's id.
    #[must_use]
    pub const fn id(&self) -> EpochId {
        self.id
    }

    /// Returns the prekey it was opened to.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Tells whether the epoch may seal a message at this instant.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        now < self.until && self.chain.index() < MAX_EPOCH_MESSAGES
    }

    /// Tells whether messages still carry what opens the epoch.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        self.opening.is_some()
    }

    /// Notes that the recipient has the epoch: it delivered one of its messages.
    pub fn acknowledged(&mut self) {
        self.opening = None;
    }

    /// Seals one message and moves on, so that its key is gone. No public-key work.
    ///
    /// # Errors
    /// [`SealError`]; no key was spent then.
    pub fn seal<R: CryptoRng + ?Sized>(
        &mut self,
        header: &Header,
        body: &Body,
        rng: &mut R,
    ) -> Result<Vec<u8>, SealError> {
        if header.from != self.from || header.to != self.to {
            return Err(SealError::Epoch);
        }
        let body = sealed::encode(body)?;
        let index = self.chain.index();
        let prefix = write_prefix(header, &self.id, index, self.opening.as_deref())
            .ok_or(SealError::Field)?;
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        let key = self.chain.step().ok_or(SealError::Epoch)?;
        sealed::seal(prefix, &key, &nonce, &body)
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sending(to {}, {:?})", self.to, self.chain)
    }
}
