//! An identity log never panics its verifier, and what it takes reads back and extends its own pin.
#![no_main]

use entente_trust::identity::{Log, RecoveryKey, page};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(log) = Log::parse(text) {
        let written = log.to_text().expect("a verified log has a text");
        assert_eq!(Log::parse(&written).as_ref(), Ok(&log));
        assert_eq!(log.extends(&log.pin()), Ok(()));
    }
    let from = u64::try_from(text.len() % 5).unwrap_or_default();
    assert!(text.contains(page(text, from, 64)));
    let _ = RecoveryKey::parse(text);
});
