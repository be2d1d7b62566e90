//! A sealed message from a stranger never panics what takes it apart.
#![no_main]

use entente_trust::message::{Envelope, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let header = Header::peek(bytes);
    let envelope = Envelope::parse(bytes);
    assert_eq!(header.ok(), envelope.ok().map(|envelope| envelope.header));
});
