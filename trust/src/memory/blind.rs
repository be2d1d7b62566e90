//! Blinding the words of an index, so that memory is searched without decrypting it.
//!
//! ```text
//! space key = HKDF-Expand(root, "entente blind" ‖ space)      space = "private", "public" or "links"
//! token     = base32(HMAC-SHA256(space key, word)[..10])      16 characters of a-z, 2-7
//! ```
//!
//! Whoever reads the index sees which records share a word and how often a word occurs, not which
//! word it is. Public records are indexed under a key of their own: their words are known, so under
//! the key of private ones they would name the tokens there.

use std::fmt;

use entente_lexicon::Did;
use entente_lexicon::id::BASE32;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::kdf::Prk;
use crate::crypto::mac::hmac_sha256;
use crate::crypto::rest::{KeyRing, RestError};

/// Characters of a token.
pub const TOKEN_LENGTH: usize = 16;

const TOKEN_BYTES: usize = 10;
const LABEL: &[u8] = b"entente blind";
const PURPOSE: &str = "blind";

/// An agent's root of all blinding, wiped when dropped. It does not rotate with the KEK: another
/// root is another index.
#[derive(Clone)]
pub struct BlindRoot(Zeroizing<[u8; 32]>);

/// Which records are indexed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Private and shared records.
    Private,
    /// Public records.
    Public,
}

/// The key of one space, wiped when dropped.
#[derive(Clone)]
pub struct BlindKey(Zeroizing<[u8; 32]>);

impl BlindRoot {
    /// Draws an agent's root.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut root = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *root);
        Self(root)
    }

    /// Seals the root for storage.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        master: &KeyRing,
        owner: &Did,
        rng: &mut R,
    ) -> Vec<u8> {
        master.seal(rng, owner.as_str(), PURPOSE, &*self.0)
    }

    /// Opens the root of `owner`.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn open(master: &KeyRing, owner: &Did, blob: &[u8]) -> Result<Self, RestError> {
        let opened = master.open(owner.as_str(), PURPOSE, blob)?;
        let root: &[u8; 32] = opened
            .as_slice()
            .try_into()
            .map_err(|_error| RestError::Corrupt)?;
        Ok(Self(Zeroizing::new(*root)))
    }

    /// Derives the key of a space.
    #[must_use]
    pub fn space(&self, space: Space) -> BlindKey {
        let name: &[u8] = match space {
            Space::Private => b"private",
            Space::Public => b"public",
        };
        self.key(name)
    }

    /// Derives the key that blinds which record names which: what replaces what, what was made from
    /// what.
    #[must_use]
    pub fn links(&self) -> BlindKey {
        self.key(b"links")
    }

    fn key(&self, name: &[u8]) -> BlindKey {
        let root = Prk::extract(LABEL, &*self.0);
        BlindKey(root.expand(&[LABEL, name]))
    }
}

impl BlindKey {
    /// Blinds a word: the same word gives the same token.
    #[must_use]
    pub fn token(&self, word: &str) -> String {
        let tag = hmac_sha256(&*self.0, &[word.as_bytes()]);
        BASE32.encode(tag.get(..TOKEN_BYTES).unwrap_or_default())
    }
}

impl fmt::Debug for BlindRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindRoot(…)")
    }
}

impl fmt::Debug for BlindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rest::MasterKey;
    use crate::crypto::test_rng::TestRng;

    #[test]
    fn a_token_is_the_same_for_its_agent_space_and_word_only() {
        let mut rng = TestRng::new(1);
        let (ours, theirs) = (BlindRoot::generate(&mut rng), BlindRoot::generate(&mut rng));
        let token = ours.space(Space::Private).token("meeting");
        assert_eq!(token.len(), TOKEN_LENGTH);
        assert_eq!(token, ours.space(Space::Private).token("meeting"));
        for other in [
            ours.space(Space::Public).token("meeting"),
            theirs.space(Space::Private).token("meeting"),
            ours.space(Space::Private).token("meetings"),
        ] {
            assert_ne!(token, other);
        }
        assert_eq!(
            format!("{ours:?} {:?}", ours.space(Space::Public)),
            "BlindRoot(…) BlindKey(…)"
        );
    }

    #[test]
    fn a_root_rests_sealed_for_its_owner() {
        let mut rng = TestRng::new(1);
        let master = KeyRing::from(MasterKey::parse(&"0001".repeat(16)).unwrap());
        let (owner, other) = (Did::from_scid(&[1; 32]), Did::from_scid(&[2; 32]));
        let root = BlindRoot::generate(&mut rng);
        let blob = root.seal(&master, &owner, &mut rng);
        let opened = BlindRoot::open(&master, &owner, &blob).unwrap();
        assert_eq!(
            opened.space(Space::Private).token("a"),
            root.space(Space::Private).token("a")
        );
        let moved = BlindRoot::open(&master, &other, &blob).unwrap_err();
        assert_eq!(moved, RestError::Corrupt);
    }
}
