//! What decodes as the body of an ACK frame is written back byte for byte.
#![no_main]

use entente_federation::frame::receipt::Receipt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((receipt, signature)) = Receipt::read(1, u64::MAX >> 11, bytes) {
        let mut written = Vec::new();
        receipt.write(&mut written, &signature);
        assert_eq!(written, bytes);
    }
});
