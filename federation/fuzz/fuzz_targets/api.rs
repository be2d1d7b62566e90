//! JSON from a client never panics the shapes it is read into.
#![no_main]

use entente_lexicon::api::{AddPeer, AgentCommand, ChangePeer, CreateAgent, SendMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<SendMessage>(bytes);
    let _ = serde_json::from_slice::<AgentCommand>(bytes);
    let _ = serde_json::from_slice::<CreateAgent>(bytes);
    let _ = serde_json::from_slice::<AddPeer>(bytes);
    let _ = serde_json::from_slice::<ChangePeer>(bytes);
});
