//! No text makes the reader of Lexicon documents panic; what it reads can be checked with.
#![no_main]

use entente_lexicon::schema::Lexicons;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let document = parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let Some(Ok(lexicons)) = document.map(|text| Lexicons::parse([text])) else {
        return;
    };
    let rest = parts.next().unwrap_or_default();
    let mut record: Value = serde_json::from_slice(rest).unwrap_or_else(|_error| json!({}));
    let ids: Vec<_> = lexicons.ids().map(str::to_owned).collect();
    for id in ids {
        if let Some(object) = record.as_object_mut() {
            object.insert("$type".to_owned(), json!(id));
        }
        let _ = lexicons.validate(&record);
    }
});
