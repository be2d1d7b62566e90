//! Two peers in virtual time, and peers that cheat.
//!
//! `pair` is the harness: two links with drivers that store in memory, sockets that stall and
//! die, agents that answer when they like. `hand` plays a peer by hand, so that it can break any
//! one rule.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and cares for one case of many"
)]

mod cheating_initiator;
mod cheating_responder;
mod cheating_session;
mod decoders;
mod delivery;
mod dialling;
mod disk;
mod events;
mod examples;
mod golden;
mod hand;
mod keys;
mod pair;
mod policy;
mod rng;
mod verified;
