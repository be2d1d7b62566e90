//! An agent's memory: records in a repo that is signed and content-addressed.
//!
//! This crate performs no I/O, reads no clock and draws no entropy: blocks are looked up through a
//! trait, instants and keys are arguments. What a record holds is none of its business: in a private
//! repo it is ciphertext. Start reading at [`repo`], which `docs/protocol/repo.md` specifies, at [`search`]
//! for how memory is found, and at [`life`] for how it ages.

pub mod life;
pub mod repo;
pub mod retrieval;
pub mod sealed;
pub mod search;
pub mod vector;
