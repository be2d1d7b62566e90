#![no_main]

use entente_trust::attestation::Attestation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Whatever reads is in the one form, so it reads back as itself.
    if let Ok((found, signature)) = Attestation::decode(bytes) {
        let last = bytes.len() - signature.len();
        assert_eq!(&bytes[last..], signature);
        assert!(found.issuer.as_str().starts_with("did:cf:"));
    }
});
