//! Identity, cryptography and policy: what may be believed, and what may pass.
//!
//! This crate performs no I/O, reads no clock and draws no entropy: instants and random number
//! generators are arguments. It is the only crate that names cipher and signature crates. Secret
//! keys leave it only sealed ([`crypto::rest`]) or as the opaque types of [`crypto`].
//!
//! Start reading at [`message`] for what protects a message, at [`memory`] for what an agent keeps, at [`identity`] for what a DID proves,
//! at [`policy`] for what may pass, at [`backup`] for what a lost object is restored from, and at [`crypto`] for the primitives.

pub mod announcement;
pub mod attestation;
pub mod backup;
pub mod crypto;
pub mod group;
pub mod identity;
pub mod jcs;
pub mod memory;
pub mod message;
pub mod policy;
pub mod proof;
