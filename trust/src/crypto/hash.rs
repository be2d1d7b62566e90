//! SHA-256 (FIPS 180-4).

use std::fmt;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

/// Length of a hash in bytes.
pub const HASH_LENGTH: usize = 32;

/// Hashes the concatenation of `parts`.
///
/// Nothing separates the parts: where their lengths vary, the caller says where each ends.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; HASH_LENGTH] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A hash of what comes over days, in pieces: its state can be stored and taken up again.
///
/// The state of a hash tells whoever can guess what was hashed that the guess is right: store it
/// sealed.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

/// The bytes are no state of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no state of a SHA-256")]
pub struct BadState;

impl Hasher {
    /// Takes up a hash where [`Hasher::state`] left it.
    ///
    /// # Errors
    /// [`BadState`].
    pub fn resume(state: &[u8]) -> Result<Self, BadState> {
        let state = SerializedState::<Sha256>::try_from(state).map_err(|_error| BadState)?;
        let hasher = Sha256::deserialize(&state).map_err(|_error| BadState)?;
        Ok(Self(hasher))
    }

    /// Takes more.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns what [`Hasher::resume`] takes.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    /// Returns the hash of everything.
    #[must_use]
    pub fn finish(self) -> [u8; HASH_LENGTH] {
        self.0.finalize().into()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_from_its_state_wherever_it_stopped() {
        let text: Vec<u8> = (0..200).collect();
        for at in 0..=text.len() {
            let (front, back) = text.split_at(at);
            let mut hasher = Hasher::default();
            hasher.update(front);
            let mut hasher = Hasher::resume(&hasher.state()).unwrap();
            hasher.update(back);
            assert_eq!(hasher.finish(), sha256(&[&text]), "{at}");
        }
        let state = Hasher::default().state();
        for bad in [&state[1..], &[], &[0xff; 104]] {
            assert_eq!(Hasher::resume(bad).err(), Some(BadState), "{bad:?}");
        }
    }

    #[test]
    fn the_published_example_hashes_as_published() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash = sha256(&[b"a", b"", b"bc"]);
        assert_eq!(data_encoding::HEXLOWER.encode(&hash), expected);
    }
}
