//! What lies in the place of a backup never panics its reader: sealed parts of any kind, and the frames of a
//! snapshot however they are cut. Frames that are read are written as they were.
#![no_main]

use std::sync::OnceLock;

use entente_trust::backup::stream::Decoder;
use entente_trust::backup::{Manifest, Place, open_index};
use entente_trust::crypto::rest::{KeyRing, MasterKey};
use libfuzzer_sys::fuzz_target;

static RING: OnceLock<KeyRing> = OnceLock::new();

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let ring = RING.get_or_init(|| KeyRing::from(MasterKey::parse(key).expect("a key")));
    let place = Place {
        network: "did:cf:network",
        subject: "relay",
        generation: 7,
    };
    assert!(Manifest::open(ring, place, bytes).is_err());
    assert!(open_index(ring, place.network, 7, bytes).is_err());
    let (mut decoder, mut written) = (Decoder::default(), Vec::new());
    for part in bytes.chunks(usize::from(cut).max(1)) {
        decoder.push(part);
        while let Ok(Some(frame)) = decoder.next_frame() {
            frame.encode(&mut written).expect("no longer than it was");
        }
    }
    if decoder.finish().is_ok() {
        assert_eq!(written, bytes);
    }
});
