//! What decodes as a record of stream ctl is written back byte for byte.
#![no_main]

use entente_federation::frame::control::Control;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(control) = Control::decode(bytes) {
        assert_eq!(control.encode(), bytes);
    }
});
