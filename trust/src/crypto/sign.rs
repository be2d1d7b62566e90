//! Ed25519 (RFC 8032), always verified strictly: no small-order keys, no second encodings.

use std::fmt;

use ed25519_dalek::Signature;
use ed25519_dalek::ed25519::signature::MultipartSigner;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::multikey::{self, KeyError};

pub use super::multikey::{digest, fingerprint, kid};

/// Length of a public key and of a seed in bytes.
pub const KEY_LENGTH: usize = 32;
/// Length of a signature in bytes.
pub const SIGNATURE_LENGTH: usize = 64;

/// A signing key, wiped when dropped. Keep it parsed: making it from its seed costs a scalar
/// multiplication.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key, already decompressed and checked: keep it rather than parse it again.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

/// The signature is not one by this key over this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl SigningKey {
    /// Draws a fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; KEY_LENGTH]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// Restores the key with this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY_LENGTH]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Returns the seed, to be sealed at once.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; KEY_LENGTH]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Signs the concatenation of `parts`.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE_LENGTH] {
        let signature: Signature = self.0.multipart_sign(parts);
        signature.to_bytes()
    }

    /// Returns the public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl VerifyingKey {
    /// Reads a public key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Length`]; [`KeyError::Invalid`] if the bytes are no point or one of small order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes.try_into().map_err(|_error| KeyError::Length)?;
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_error| KeyError::Invalid)?;
        if key.is_weak() {
            return Err(KeyError::Invalid);
        }
        Ok(Self(key))
    }

    /// Returns the 32 bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; KEY_LENGTH] {
        self.0.to_bytes()
    }

    /// Reads a public key from Multikey text (`z6Mk…`).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_multikey(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&multikey::decode(multikey::ED25519, text)?)
    }

    /// Writes the key as Multikey text.
    #[must_use]
    pub fn to_multikey(&self) -> String {
        multikey::encode(multikey::ED25519, self.0.as_bytes())
    }

    /// Checks `signature` over the concatenation of `parts`.
    ///
    /// # Errors
    /// [`BadSignature`], also for a signature of the wrong length.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_error| BadSignature)?;
        let verified = match parts {
            [one] => self.0.verify_strict(one, &signature),
            several => self.0.verify_strict(&several.concat(), &signature),
        };
        verified.map_err(|_error| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.to_multikey())
    }
}
