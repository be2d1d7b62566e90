//! What decodes as the body of a STATUS frame is written back byte for byte.
#![no_main]

use entente_federation::Status;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(status) = Status::decode(bytes) {
        assert_eq!(status.encode(), bytes);
    }
});
