//! Groups: who has the key of an epoch, signed by the owner, and what is sealed under it.
//!
//! ```text
//! group id   = SHA-256("entente group" ‖ 0x00 ‖ u32 length ‖ owner ‖ nonce (16)), its first 16 bytes
//! commitment = SHA-256("entente group key" ‖ 0x00 ‖ group ‖ u64 epoch ‖ key)
//! ```
//!
//! An id names its owner, so nobody can take a group's id for one of his own. A key fits the roster
//! that commits to it, so it matters not who brought it. Members are told keys in the mail between
//! two agents, which is where an author is known from: what is sealed under a group's key is bound
//! to its author, and a member cannot pass another's words off as its own.

mod roster;
mod text;

use std::fmt;

use entente_lexicon::Did;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::hash::sha256;
use crate::crypto::mac::constant_time_eq;

pub use roster::{MAX_MEMBERS, MAX_NAME, MAX_ROSTER, Roster, RosterError, Unverified};
pub use text::{MAX_TEXT, Place, TextError, open_text, seal_text};

const ID_LABEL: &[u8] = b"entente group\0";
const KEY_LABEL: &[u8] = b"entente group key\0";
/// Length of a group's key in bytes.
pub const KEY_LENGTH: usize = 32;

/// The key of one epoch of a group, or of one broadcast; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupKey(Zeroizing<[u8; KEY_LENGTH]>);

impl GroupKey {
    /// Draws a fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }

    /// Reads a key as it came in a sealed message, or from sealed storage.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key: [u8; KEY_LENGTH] = bytes.try_into().ok()?;
        Some(Self(Zeroizing::new(key)))
    }

    /// Returns the bytes, for a sealed message or sealed storage and nothing else.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; KEY_LENGTH]> {
        self.0.clone()
    }

    /// What a roster says of the key without telling it.
    #[must_use]
    pub fn commitment(&self, group: &[u8; 16], epoch: u64) -> [u8; 32] {
        sha256(&[KEY_LABEL, group, &epoch.to_be_bytes(), &*self.0])
    }

    /// Whether this is the key that a roster commits to.
    #[must_use]
    pub fn fits(&self, roster: &Roster) -> bool {
        constant_time_eq(
            &self.commitment(&roster.group, roster.epoch),
            &roster.commitment,
        )
    }

    fn key(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey(…)")
    }
}

/// Returns the id of the group that an owner made with a nonce.
#[must_use]
pub fn group_id(owner: &Did, nonce: &[u8; 16]) -> [u8; 16] {
    let owner = owner.as_str().as_bytes();
    let length = u32::try_from(owner.len()).unwrap_or(u32::MAX).to_be_bytes();
    let digest = sha256(&[ID_LABEL, &length, owner, nonce]);
    let mut id = [0; 16];
    let (first, _) = digest.split_at(id.len());
    id.copy_from_slice(first);
    id
}

#[cfg(test)]
mod tests;
