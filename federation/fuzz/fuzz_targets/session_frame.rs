//! A session frame with a right tag never panics the header's and the bodies' decoders.
#![no_main]

use entente_federation::Status;
use entente_federation::frame::receipt::Receipt;
use entente_federation::frame::{items, session};
use libfuzzer_sys::fuzz_target;

const KEY: [u8; 32] = [7; 32];

fuzz_target!(|bytes: &[u8]| {
    let mut frame = bytes.to_vec();
    session::finish(&mut frame, &KEY, 1);
    if let Ok((header, body)) = session::open(&frame, &KEY, 1) {
        let _ = items::read(body);
        let _ = Receipt::read(header.epoch, header.seq, body);
        let _ = Status::decode(body);
    }
});
