//! Data encryption keys, one a record or blob.

use std::fmt;
use std::str::FromStr;

use entente_lexicon::id::BASE32;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Length of a DEK's id in bytes; 26 base32 characters.
pub(super) const ID_LENGTH: usize = 16;
pub(super) const KEY_LENGTH: usize = 32;

/// The public name of a [`Dek`], chosen at random with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DekId([u8; ID_LENGTH]);

/// A data encryption key and its id, wiped when dropped. It leaves this crate only wrapped.
#[derive(Clone)]
pub struct Dek {
    id: DekId,
    key: Zeroizing<[u8; KEY_LENGTH]>,
}

/// The text is not 26 base32 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a data encryption key is 26 lower-case base32 characters")]
pub struct BadDekId;

impl Dek {
    /// Draws a fresh key with a fresh id.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut id = [0; ID_LENGTH];
        rng.fill_bytes(&mut id);
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        rng.fill_bytes(&mut *key);
        Self { id: DekId(id), key }
    }

    /// Returns its public name.
    #[must_use]
    pub const fn id(&self) -> DekId {
        self.id
    }

    pub(super) const fn from_parts(id: DekId, key: Zeroizing<[u8; KEY_LENGTH]>) -> Self {
        Self { id, key }
    }

    pub(super) fn key(&self) -> &[u8; KEY_LENGTH] {
        &self.key
    }
}

impl fmt::Debug for Dek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dek({}, …)", self.id)
    }
}

impl DekId {
    /// Returns the id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ID_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_LENGTH] {
        &self.0
    }
}

impl fmt::Display for DekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32.encode(&self.0))
    }
}

impl fmt::Debug for DekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DekId({self})")
    }
}

impl FromStr for DekId {
    type Err = BadDekId;

    fn from_str(text: &str) -> Result<Self, BadDekId> {
        let bytes = BASE32.decode(text.as_bytes()).map_err(|_error| BadDekId)?;
        bytes.try_into().map(Self).map_err(|_error| BadDekId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_rng::TestRng;

    #[test]
    fn a_key_shows_its_id_and_never_itself() {
        let dek = Dek::generate(&mut TestRng::new(1));
        let shown = format!("{dek:?} {dek:#?}");
        assert!(shown.contains(&dek.id().to_string()));
        let bytes = format!("{:?}", dek.key());
        assert!(!shown.contains(&bytes) && !shown.contains(&BASE32.encode(dek.key())));
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        let id = Dek::generate(&mut TestRng::new(1)).id();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "a", &id.to_string().to_uppercase(), &format!("{id}a")] {
            assert_eq!(bad.parse::<DekId>(), Err(BadDekId), "{bad}");
        }
    }
}
