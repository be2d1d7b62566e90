//! Signed requests: HTTP Message Signatures (RFC 9421), and the two ways in which Entente uses them.
//!
//! [`base`] is the RFC: which parts of a request a signature covers, and the exact text that is
//! signed. [`read`] and [`sign`] are the profile of docs/protocol/federation.md, section 3.1: one
//! Ed25519 signature with the tag `entente-link`, by a network's key, over everything in the request
//! that is believed, valid for a minute and with a nonce that is taken once. [`webhook`] is that of docs/protocol/webhooks.md: what
//! an agent sends to a URL that its owner named.
//!
//! Reading and verifying are two steps because the key is looked up by what was read. Nothing of a
//! [`Claim`] may be believed before [`Claim::verify`].

pub mod base;
pub mod digest;
mod error;
mod profile;
pub mod webhook;

pub use base::Message;
pub use error::SignatureError;
pub use profile::{
    Claim, DESTINATION, HOST, LIFETIME_S, SIGNATURE, SIGNATURE_INPUT, SKEW_S, Signed, TAG, read,
    sign,
};

#[cfg(test)]
mod tests;
