//! No JSON makes the validator of records panic, and what it takes is what it says: a record whose
//! type is known and whose collection takes it.
#![no_main]

use entente_lexicon::blob::blob_refs;
use entente_lexicon::schema::lexicons;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    match lexicons().validate(&record) {
        Ok(found) => {
            assert!(lexicons().validate_in(found.nsid(), &record).is_ok());
            // Every reference to a blob that is taken names one.
            let refs = record.as_object().map(blob_refs).unwrap_or_default();
            assert!(refs.iter().all(|one| one.cid.starts_with("bafk")));
        }
        Err(fault) => {
            let (parent, _) = fault.pointer.rsplit_once('/').unwrap_or_default();
            assert!(record.pointer(parent).is_some());
        }
    }
});
