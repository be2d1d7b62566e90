//! What a stranger announces of endorsements, and where it says that a timeline goes on, never panics what
//! reads it; what is read is as bounded as it must be.
#![no_main]

use entente_lexicon::api::timeline::TimelinePlace;
use entente_lexicon::{Content, Did, Timestamp};
use entente_reputation::{COLLECTION, Said, Statement};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fuzz_target!(|bytes: &[u8]| {
    let author = Did::from_scid(&[7; 32]);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(place) = text.parse::<TimelinePlace>()
    {
        assert_eq!(place.to_string(), text);
    }
    let Ok(data) = serde_json::from_slice(bytes) else {
        return;
    };
    let Ok(found) = Statement::read((&author, NOW), Content::Json { data }, NOW) else {
        return;
    };
    assert_eq!(found.path.collection().as_str(), COLLECTION);
    if let Said::Given(given) = found.said {
        assert!(given.endorsement.score <= 100);
        let again = Statement::give(&author, &found.path, given.cid, given.record);
        assert!(Statement::read((&author, NOW), again.unwrap(), NOW).is_ok());
    }
});
