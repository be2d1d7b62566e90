//! A sealed message from a stranger never panics what takes it apart, with or without an origin.
#![no_main]

use std::sync::OnceLock;

use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::message::origin::{check_origin, has_origin, strip_origin};
use entente_trust::message::{Envelope, Header};
use libfuzzer_sys::fuzz_target;

static SENDER: OnceLock<VerifyingKey> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let header = Header::peek(bytes);
    if let Ok(envelope) = Envelope::parse(strip_origin(bytes)) {
        assert_eq!(header.as_ref(), Ok(&envelope.header));
    }
    let sender = SENDER.get_or_init(|| SigningKey::from_seed(&[7; 32]).verifying_key());
    assert!(check_origin(bytes, sender).is_err() || has_origin(bytes));
});
