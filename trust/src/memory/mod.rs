//! What an agent keeps, sealed so that only its owner and those it shares with can read it.
//!
//! | module | what | bound to |
//! |---|---|---|
//! | [`record`] | a record's envelope `ANE1` | owner, collection, key, version, id of the DEK |
//! | [`wrap`] | the owner's own row: a DEK under its KEK of an epoch | owner, collection, key, id of the DEK |
//! | [`share`] | a row for somebody else: a DEK under HPKE, signed | the same, and the recipient and its key |
//! | [`blob`] | a large value in chunks of 64 KiB `ANB1` | owner, collection, key, id of the DEK |
//! | [`blind`] | words of an index, blinded | agent, private or public |
//! | [`level`] | private, shared, public; what a change of them asks for | |
//!
//! Every record and every blob has a data encryption key ([`Dek`]) of its own. Rows that wrap it
//! stand beside the record, so sharing adds a row, rotation rewraps 77-byte rows, and neither
//! touches a ciphertext. Taking a share back is a new DEK and a new ciphertext: who had the old
//! one may have kept what it opens.
//!
//! Byte for byte in `docs/protocol/envelope.md`. Lengths are exact, unknown suites and versions
//! are refused, nothing is negotiated.

mod dek;
mod error;
mod kek;
mod place;
mod schedule;

pub mod blind;
pub mod blob;
pub mod level;
pub mod record;
pub mod share;
pub mod wrap;

pub use dek::{Dek, DekId};
pub use error::MemoryError;
pub use kek::{Kek, KekRing, SealedKek};
pub use level::{Act, Effect, Level};
pub use place::Place;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod loan_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod vector_tests;
