//! What decodes as the body of a MSG frame is written again so that it reads the same.
#![no_main]

use entente_federation::frame::items;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((floor, decoded)) = items::read(bytes) {
        let mut written = Vec::new();
        items::write(&mut written, floor, &decoded);
        assert_eq!(items::read(&written), Ok((floor, decoded)));
    }
});
