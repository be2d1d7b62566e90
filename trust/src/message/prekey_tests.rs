use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::crypto::kem::KemSecret;
use crate::crypto::test_rng::TestRng;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn did() -> Did {
    Did::from_scid(&[1; 32])
}

fn signing(seed: u64) -> SigningKey {
    SigningKey::generate(&mut TestRng::new(seed))
}

fn key(seed: u64) -> KemPublic {
    KemSecret::generate(&mut TestRng::new(seed)).public()
}

fn prekey() -> SignedPrekey {
    SignedPrekey::sign(&did(), &key(5), NOW, NOW.after(2 * DAY_MS), &signing(1)).unwrap()
}

fn verify(prekey: &SignedPrekey, now: Timestamp) -> Result<Prekey, PrekeyError> {
    prekey.verify(&did(), &signing(1).verifying_key(), now)
}

/// The prekey with one member changed.
fn with(member: &str, value: Value) -> SignedPrekey {
    let mut changed = serde_json::to_value(prekey()).unwrap();
    changed[member] = value;
    SignedPrekey::parse(&changed.to_string()).unwrap()
}

#[test]
fn a_prekey_is_believed_as_its_agent_signed_it() {
    let read = SignedPrekey::parse(&prekey().to_text()).unwrap();
    let verified = verify(&read, NOW).unwrap();
    assert_eq!(verified.did, did());
    assert_eq!(verified.kid, prekey().kid());
    assert!(verified.key == key(5));
}

#[test]
fn a_prekey_of_another_agent_is_refused() {
    let other = Did::from_scid(&[2; 32]);
    let theirs = SignedPrekey::sign(&other, &key(5), NOW, NOW.after(1), &signing(2)).unwrap();
    assert_eq!(verify(&theirs, NOW).err(), Some(PrekeyError::WrongAgent));
}

#[test]
fn a_prekey_that_somebody_else_signed_or_nobody_is_refused() {
    let forged = SignedPrekey::sign(&did(), &key(5), NOW, NOW.after(DAY_MS), &signing(2)).unwrap();
    assert_eq!(verify(&forged, NOW).err(), Some(PrekeyError::BadSignature));
    let mut unsigned = prekey();
    unsigned.sig = None;
    assert_eq!(
        verify(&unsigned, NOW).err(),
        Some(PrekeyError::BadSignature)
    );
}

#[test]
fn a_prekey_is_used_only_while_it_is_in_force() {
    let expired = Some(PrekeyError::NotInForce);
    assert!(verify(&prekey(), NOW.after(2 * DAY_MS - 1)).is_ok());
    assert_eq!(verify(&prekey(), NOW.after(2 * DAY_MS)).err(), expired);
    let skewed = Timestamp(NOW.0 - CLOCK_SKEW_MS);
    assert!(verify(&prekey(), skewed).is_ok());
    assert_eq!(verify(&prekey(), Timestamp(skewed.0 - 1)).err(), expired);
}

#[test]
fn a_prekey_for_longer_than_48_hours_is_neither_signed_nor_used() {
    let long = SignedPrekey::sign(&did(), &key(5), NOW, NOW.after(2 * DAY_MS + 1), &signing(1));
    assert_eq!(long.err(), Some(PrekeyError::Lifetime));
    let until = json!(NOW.after(2 * DAY_MS + 1));
    assert_eq!(
        verify(&with("notAfter", until), NOW).err(),
        Some(PrekeyError::Lifetime)
    );
    let backwards = json!(NOW);
    assert_eq!(
        verify(&with("notAfter", backwards), NOW).err(),
        Some(PrekeyError::Lifetime)
    );
}

#[test]
fn every_changed_member_is_refused() {
    let other = key(6).to_multikey();
    for (member, value) in [
        ("v", json!(2)),
        ("did", json!(Did::from_scid(&[2; 32]))),
        ("kid", json!(multikey::kid(&other))),
        ("key", json!(other)),
        ("notBefore", json!(NOW.after(1))),
        ("notAfter", json!(NOW.after(DAY_MS))),
        ("sig", json!("AAAA")),
    ] {
        assert!(verify(&with(member, value), NOW).is_err(), "{member}");
    }
    let mut more = serde_json::to_value(prekey()).unwrap();
    more["extra"] = json!(1);
    assert!(SignedPrekey::parse(&more.to_string()).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,300}") {
        if let Ok(prekey) = SignedPrekey::parse(&text) {
            let _ = verify(&prekey, NOW);
        }
    }
}
