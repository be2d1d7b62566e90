//! The `Agent` object: one per agent; its keys never leave it.
//!
//! It seals what its agent sends and opens what arrives; every other part of the network sees
//! ciphertext. SQLite is the truth: whatever is answered has been committed before. Start reading
//! at [`object`], then [`send`] and [`deliver`].

mod announce;
mod backup;
mod blocks;
mod contacts;
mod controls;
mod conversations;
mod core;
mod dead;
mod deliver;
mod groups;
mod handed;
mod handover;
mod identity;
mod journey;
mod keys_store;
mod lane_store;
mod lanes;
mod marks;
mod memory;
mod object;
mod outbox;
mod outdated;
mod prekeys;
mod read;
mod repo;
mod repo_events;
mod repo_reads;
mod repo_store;
mod resolving;
mod send;
mod socket;
mod store;
mod tasks;
mod topics;
mod wakes;
mod webhooks;
pub(crate) mod wire;

pub use object::Agent;
pub(crate) use tasks::CardWish;
