//! Identities: keys, and the log entry that makes a DID of them.
//!
//! An identity is born in its Durable Object: fresh keys ([`IdentityKeys`]), then entry 0 of its log
//! ([`LogEntry`]), which commits to them by digest and names the object. The DID is the hash of
//! that entry, so nobody can claim a DID by taking a name or a host, and one DID is one object and
//! one key history. Entry 0 is signed by a single-use update key that is destroyed at once, and
//! commits to the next one, which alone can sign entry 1.

mod keys;
mod log;

use entente_lexicon::{Did, Timestamp};
use rand_core::CryptoRng;

use crate::crypto::sign::SigningKey;

pub use keys::{
    AgentKeys, IdentityKeys, KeyPurpose, NetworkKeys, PublicKeys, SealedKey, SealedKeys,
};
pub use log::{KeyCommitment, KeyCommitments, LogEntry, LogError, Subject};

/// A new identity, to be stored before it is told to anybody.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Its DID.
    pub did: Did,
    /// Entry 0 of its log.
    pub entry: LogEntry,
    /// Its keys.
    pub keys: IdentityKeys,
}

/// Makes the keys and the first log entry of what lives in the Durable Object `object`.
///
/// # Errors
/// [`LogError::Malformed`] if `object` is empty or longer than 128 bytes.
pub fn birth<R: CryptoRng + ?Sized>(
    rng: &mut R,
    subject: Subject,
    object: &str,
    now: Timestamp,
) -> Result<Birth, LogError> {
    let keys = IdentityKeys::generate(rng);
    let update = SigningKey::generate(rng);
    let entry = LogEntry::genesis(
        subject,
        object,
        now,
        &keys.public_keys(),
        &update,
        &keys.next_update.verifying_key(),
    )?;
    let did = entry.verify()?;
    Ok(Birth { did, entry, keys })
}
