//! A prekey that a stranger publishes, and a stored epoch, never panic what reads them.
#![no_main]

use std::sync::OnceLock;

use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::message::{Receiving, SignedPrekey};
use libfuzzer_sys::fuzz_target;

static AGENT: OnceLock<VerifyingKey> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    if let Some(epoch) = Receiving::from_bytes(bytes) {
        assert_eq!(epoch.to_bytes().as_slice(), bytes);
    }
    let agent = AGENT.get_or_init(|| SigningKey::from_seed(&[7; 32]).verifying_key());
    if let Ok(prekey) = SignedPrekey::parse(&String::from_utf8_lossy(bytes)) {
        let did = Did::from_scid(&[7; 32]);
        assert!(prekey.verify(&did, agent, Timestamp(1_800_000_000_000)).is_err());
    }
});
