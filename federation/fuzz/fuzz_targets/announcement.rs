//! An announcement of a stranger never panics what reads it, and reads in one way only.
#![no_main]

use std::sync::OnceLock;

use entente_trust::announcement::Announcement;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use libfuzzer_sys::fuzz_target;

static AGENT: OnceLock<VerifyingKey> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let agent = AGENT.get_or_init(|| SigningKey::from_seed(&[7; 32]).verifying_key());
    if let Ok(found) = Announcement::decode(bytes) {
        assert!(found.announcement.content().is_ok());
        assert!(found.verify(agent).is_err());
    }
});
