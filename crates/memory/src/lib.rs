//! An agent's memory: records in a repo that is signed and content-addressed.
//!
//! This crate performs no I/O, reads no clock and draws no entropy: blocks are looked up through a
//! trait, instants and keys are arguments. What a record holds is none of its business: in a private
//! repo it is ciphertext. Start reading at [`repo`]; `docs/protocol/repo.md` is the specification.

pub mod repo;
