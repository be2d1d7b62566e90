//! Messages between agents, sealed by the sender for the recipient alone (suite 2).
//!
//! A **conversation epoch** goes one way, from one agent to another, for at most a day and 1,000
//! messages. It begins with one HPKE encapsulation to one of the recipient's signed [`Prekey`]s
//! and one signature inside; from there on every message takes the next key of a hash ratchet.
//!
//! ```text
//! envelope   = suite 0x02 ‖ u16be header length ‖ header ‖ epoch (16) ‖ u16be index ‖ flag
//!              [‖ opening, if the flag is 1] ‖ nonce (24) ‖ commitment (32) ‖ ciphertext ‖ tag (16)
//! header     = DAG-CBOR [id: 16 bytes, from, to, network, index, expires or null]
//! opening    = kid (16) ‖ enc (1120) ‖ sealed signature (64 + 16)
//! bound      = "entente message" ‖ 0x00 ‖ suite ‖ each of (from, to, kid, epoch) after its u32be length
//! enc        = HPKE base mode, X-Wing / HKDF-SHA256 / ChaCha20-Poly1305, info = bound, aad = ""
//! signature  = Ed25519 by the sender over bound ‖ enc
//! chain 0    = HPKE export("entente chain", 32); see `ratchet` for the keys of messages
//! plaintext  = u32be body length ‖ body ‖ zeros up to a bucket; see `sealed` for its key
//! body       = DAG-CBOR {content, createdAt, priority, thread?}
//! aad        = all bytes before the nonce
//! ```
//!
//! The opening is repeated until the sender has heard that one of the epoch's messages was
//! delivered, so any order and any loss is fine. A recipient that does not know an epoch (any
//! more) refuses its messages; [`asks_to_reseal`] tells the sender to seal them again, under the
//! same ids and in a new epoch.
//!
//! Relays read the header and nothing else. The signature stands inside, so a relay cannot tell
//! who signed, and names the recipient, so whoever opens a message cannot pass it on as if it had
//! been sent to somebody else. Lengths are exact, unknown suites are refused, nothing is
//! negotiated. Where relays must know which agent sent a message, it carries an [`origin`] on the
//! outside. That a message was [`read`], its recipient says in a mark of its own.
//!
//! Start reading at [`Sending`] and [`Receiving`].

mod body;
mod envelope;
mod header;
mod opening;
pub mod origin;
mod outer;
pub(crate) mod padding;
mod prekey;
mod ratchet;
pub mod read;
mod receiving;
mod sealed;
mod sending;

pub use body::{Body, MAX_BODY_LENGTH, MAX_THREAD_LENGTH};
pub use envelope::{
    Envelope, EpochId, Expected, OpenError, Opening, SUITE, SealError, asks_to_reseal,
};
pub use header::{Header, MAX_HEADER_LENGTH};
pub use prekey::{MAX_PREKEY_LIFE_MS, MAX_PREKEY_TEXT, Prekey, PrekeyError, SignedPrekey};
pub use ratchet::MAX_EPOCH_MESSAGES;
pub use receiving::Receiving;
pub use sending::{EPOCH_LIFE_MS, Sending};

#[cfg(test)]
mod conversation_tests;
#[cfg(test)]
mod vector_tests;
