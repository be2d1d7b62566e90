//! A handshake frame never panics the decoder, and what decodes encodes to the same bytes.
#![no_main]

use entente_federation::frame::opening::OpeningFrame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((frame, _body)) = OpeningFrame::decode(bytes) {
        assert_eq!(frame.encode(), bytes);
    }
});
