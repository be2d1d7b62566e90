//! Signature headers never panic their reader, and none that it did not make verifies.
#![no_main]

use entente_lexicon::Timestamp;
use entente_trust::crypto::sign::SigningKey;
use entente_well_known::signature::{self, Message, digest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|headers: (&str, &str, &str)| {
    let (input, signature, content) = headers;
    let header = |name: &str| match name {
        signature::SIGNATURE_INPUT => Some(input.to_owned()),
        signature::SIGNATURE => Some(signature.to_owned()),
        _ => None,
    };
    let message = Message {
        method: "GET",
        authority: "alpha.example",
        path: "/relay/federation",
        query: None,
        header: &header,
    };
    if let Ok(claim) = signature::read(&message, Timestamp(1_800_000_000_000)) {
        let key = SigningKey::from_seed(&[1; 32]).verifying_key();
        assert!(claim.verify(&key).is_err());
    }
    let _ = digest::check(content, b"body");
});
