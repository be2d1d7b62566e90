//! A peer's document, or an agent's card, never panics its verifier.
#![no_main]

use std::collections::BTreeMap;

use entente_lexicon::{Did, Host};
use entente_well_known::{card, document, strict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (Ok(host), did) = (Host::parse("alpha.example"), Did::from_scid(&[1; 32])) else { return };
    let _ = strict::parse_object(text);
    let _ = document::verify(text, &host, None);
    let _ = card::verify(text, &did, &BTreeMap::new(), &host, None);
});
