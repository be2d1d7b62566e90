//! The `Relay` object, one per network: identity, event sequence, firehose, first contact, sweep.
//!
//! Start at [`object`], which lists what it answers; [`anonymous`], [`limits`] and [`presence`]
//! are pure.

mod announcements;
pub mod anonymous;
mod backup_store;
mod backups;
mod core;
mod endorsements;
mod events;
mod firehose;
mod heads;
mod identity;
pub mod limits;
mod object;
mod offer;
pub mod presence;
mod publish;
mod repos;
mod restore;
mod shards;
mod store;
mod timeline;
mod wake_store;
mod wakes;

pub use object::Relay;
