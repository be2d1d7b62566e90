//! X-Wing: X25519 and ML-KEM-768 combined, so that a secret holds while either does
//! (draft-connolly-cfrg-xwing-kem; HPKE's KEM 0x647a).
//!
//! One key pair serves this module (handshakes) and the HPKE of [`crate::message`]. A ciphertext
//! made for another key does not fail to decapsulate: it yields an unrelated secret (implicit
//! rejection), so whoever uses the secret must confirm it with a MAC or an AEAD tag. An X25519
//! half of small order is accepted, as the draft has it; the ML-KEM half still protects the secret.

use std::fmt;

use hpke::kem::XWing;
use hpke::{Deserializable, Kem, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::multikey::{self, KeyError};

/// Length of a public key in bytes.
pub const PUBLIC_LENGTH: usize = 1216;
/// Length of a secret key's seed in bytes.
pub const SEED_LENGTH: usize = 32;
/// Length of a ciphertext (an encapsulation) in bytes.
pub const CIPHERTEXT_LENGTH: usize = 1120;
/// Length of a shared secret in bytes.
pub const SHARED_LENGTH: usize = 32;

pub(crate) type HpkePublic = <XWing as Kem>::PublicKey;
pub(crate) type HpkeSecret = <XWing as Kem>::PrivateKey;

/// A secret key, wiped when dropped. Keep it parsed: making it from its seed costs a key
/// generation.
#[derive(Clone)]
pub struct KemSecret {
    inner: HpkeSecret,
}

/// A public key, already expanded and checked: keep it rather than parse it again.
#[derive(Clone, PartialEq, Eq)]
pub struct KemPublic {
    inner: HpkePublic,
}

/// Why no secret could be agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// The ciphertext is not 1,120 bytes long.
    #[error("an X-Wing ciphertext is 1120 bytes long")]
    Length,
    /// The key or the ciphertext is unusable.
    #[error("the X-Wing key or ciphertext is unusable")]
    Invalid,
}

impl KemSecret {
    /// Draws a fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; SEED_LENGTH]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// Restores the key with this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED_LENGTH]) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the length is the only thing that parsing an X-Wing seed checks"
        )]
        let inner = HpkeSecret::from_bytes(seed).expect("a seed is 32 bytes long");
        Self { inner }
    }

    /// Returns the seed, to be sealed at once.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; SEED_LENGTH]> {
        let mut seed = Zeroizing::new([0; SEED_LENGTH]);
        self.inner.write_exact(&mut *seed);
        seed
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> KemPublic {
        KemPublic {
            inner: XWing::sk_to_pk(&self.inner),
        }
    }

    /// Recovers the secret that `ciphertext` carries, or an unrelated one if it was made for
    /// another key.
    ///
    /// # Errors
    /// [`KemError::Length`].
    pub fn decapsulate(
        &self,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<[u8; SHARED_LENGTH]>, KemError> {
        let encapsulation = parse_encapsulation(ciphertext)?;
        let shared =
            XWing::decap(&self.inner, None, &encapsulation).map_err(|_error| KemError::Invalid)?;
        Ok(Zeroizing::new(shared.0.into()))
    }

    pub(crate) fn hpke(&self) -> &HpkeSecret {
        &self.inner
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecret(…)")
    }
}

impl KemPublic {
    /// Reads a public key from its 1,216 bytes.
    ///
    /// # Errors
    /// [`KeyError::Length`]; [`KeyError::Invalid`] if the ML-KEM half is not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != PUBLIC_LENGTH {
            return Err(KeyError::Length);
        }
        let inner = HpkePublic::from_bytes(bytes).map_err(|_error| KeyError::Invalid)?;
        Ok(Self { inner })
    }

    /// Returns the 1,216 bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; PUBLIC_LENGTH];
        self.inner.write_exact(&mut bytes);
        bytes
    }

    /// Reads a public key from Multikey text.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_multikey(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&multikey::decode(multikey::X_WING, text)?)
    }

    /// Writes the key as Multikey text, 1,668 characters or so.
    #[must_use]
    pub fn to_multikey(&self) -> String {
        multikey::encode(multikey::X_WING, &self.to_bytes())
    }

    /// Draws a secret and encapsulates it for the holder of this key: (ciphertext, secret).
    ///
    /// # Errors
    /// [`KemError::Invalid`] if the key cannot be used.
    pub fn encapsulate<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
    ) -> Result<(Vec<u8>, Zeroizing<[u8; SHARED_LENGTH]>), KemError> {
        let (shared, encapsulation) = XWing::encap_with_rng(&self.inner, None, &mut &mut *rng)
            .map_err(|_error| KemError::Invalid)?;
        let mut ciphertext = vec![0; CIPHERTEXT_LENGTH];
        encapsulation.write_exact(&mut ciphertext);
        Ok((ciphertext, Zeroizing::new(shared.0.into())))
    }

    pub(crate) fn hpke(&self) -> &HpkePublic {
        &self.inner
    }
}

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublic({}…)", multikey::kid(&self.to_multikey()))
    }
}

pub(crate) fn parse_encapsulation(bytes: &[u8]) -> Result<<XWing as Kem>::EncappedKey, KemError> {
    if bytes.len() != CIPHERTEXT_LENGTH {
        return Err(KemError::Length);
    }
    <XWing as Kem>::EncappedKey::from_bytes(bytes).map_err(|_error| KemError::Invalid)
}

#[cfg(test)]
#[path = "kem_tests.rs"]
mod tests;
