//! What a user may write as an address, a URL or an instant never panics, and reads back.
#![no_main]

use entente_lexicon::{Recipient, Timestamp};
use entente_well_known::check_peer_url;
use entente_well_known::guard::check_webhook_url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(recipient) = text.parse::<Recipient>() {
        assert_eq!(recipient.to_string(), text);
    }
    let _ = Timestamp::parse(text);
    let _ = check_peer_url(text, &[], &[]);
    let _ = check_webhook_url(text, &[], &[]);
});
