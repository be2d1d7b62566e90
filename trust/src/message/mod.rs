//! Messages between agents, sealed by the sender for the recipient alone (suite 1).
//!
//! ```text
//! envelope  = suite 0x01 ‖ u16be header length ‖ header ‖ kid (16) ‖ enc (1120) ‖ ciphertext ‖ tag (16)
//! header    = DAG-CBOR [id: 16 bytes, from, to, network, index, expires or null]
//! kid       = the recipient's X-Wing key, 16 base32 characters
//! enc, key  = HPKE base mode, X-Wing / HKDF-SHA256 / ChaCha20-Poly1305,
//!             info = "entente message" ‖ 0x00 ‖ suite, aad = all bytes before enc
//! plaintext = signature (64) ‖ u32be body length ‖ body ‖ zeros up to a bucket
//! body      = DAG-CBOR {content, createdAt, priority, thread?}
//! signature = Ed25519 by the sender over "entente message" ‖ 0x00 ‖ suite ‖ each of (from, to, kid,
//!             enc, header) after its u32be length ‖ SHA-256(body)
//! ```
//!
//! Relays read the header and nothing else. The signature stands inside, so a relay cannot tell who
//! signed, and covers the recipient and the encapsulation, so whoever opens a message cannot pass
//! it on as if it had been sent to somebody else. Each message costs one key encapsulation and one
//! signature; a suite that shares them over a conversation is a new suite number. Lengths are
//! exact, unknown suites are refused, nothing is negotiated.
//!
//! Where relays must know which agent sent a message, it carries an [`origin`] on the outside.
//!
//! Start reading at [`seal`] and [`open`].

mod body;
mod envelope;
mod header;
pub mod origin;
mod outer;
mod padding;

pub use body::{Body, MAX_BODY_LENGTH, MAX_THREAD_LENGTH};
pub use envelope::{Envelope, Expected, OpenError, SUITE, SealError, open, seal};
pub use header::{Header, MAX_HEADER_LENGTH};
