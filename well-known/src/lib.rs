//! Discovery documents: what a network publishes about itself and its agents, and what may be
//! believed of what others publish.
//!
//! This crate performs no I/O and holds no secrets: it builds, signs with keys it is lent, and
//! verifies texts that somebody fetched. Everything that comes from outside goes through
//! [`strict`] first.
//!
//! Start reading at [`document`] for `/.well-known/agent-network.json`, at [`card`] for an agent's
//! keys, at [`guard`] for which hosts may be asked at all, and at [`signature`] for the signatures on
//! requests between networks. `valid/` and `invalid/` hold
//! examples of documents; each invalid one is named for its fault.

pub mod card;
pub mod did_web;
pub mod document;
pub mod guard;
pub mod signature;
pub mod strict;

pub use card::{AgentCard, CardError, VerifiedCard};
pub use document::{DocumentError, NetworkDocument, VerifiedDocument};
pub use guard::{GuardError, Target, check_peer_url};

#[cfg(test)]
mod examples_tests;
