//! Identities: keys, and the log that makes a DID of them and proves every later key.
//!
//! An identity is born in its Durable Object: fresh keys ([`IdentityKeys`]), then entry 0 of its log
//! ([`LogEntry`]), which commits to them by digest and names the object. The DID is the hash of
//! that entry, so nobody can claim a DID by taking a name or a host, and one DID is one object and
//! one key history. Entry 0 is signed by a single-use update key that is destroyed at once, and
//! commits to the next one, which alone can sign entry 1 ([`rotate`]). A network's entry 0 also
//! commits to a recovery key that leaves the deployment, for when the update key is lost or stolen
//! ([`recover`]).

mod entry;
mod keys;
mod log;
#[cfg(test)]
mod log_tests;
mod recovery;

use entente_lexicon::{Did, Timestamp};
use rand_core::CryptoRng;

use crate::crypto::sign::{SigningKey, VerifyingKey};
use entry::Step;

pub use entry::{KeyCommitment, KeyCommitments, LogEntry, LogError, MAX_ENTRIES, Subject};
pub use keys::{
    AgentKeys, IdentityKeys, KeyPurpose, NetworkKeys, PublicKeys, SealedKey, SealedKeys,
};
pub use log::{Log, Pin, Span, page};
pub use recovery::{BadRecoveryKey, RecoveryKey};

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

/// New keys of an identity, to be stored before they are told to anybody. Storing them must
/// destroy the update key that made them.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The log with the entry that makes them current.
    pub log: Log,
    /// The keys.
    pub keys: IdentityKeys,
}

/// Makes the keys and the first log entry of what lives in the Durable Object `object`. A network
/// needs a `recovery` key.
///
/// # Errors
/// [`LogError::Malformed`] if `object` is empty or longer than 128 bytes, or a network has no
/// recovery key.
pub fn birth<R: CryptoRng + ?Sized>(
    rng: &mut R,
    subject: Subject,
    object: &str,
    now: Timestamp,
    recovery: Option<&VerifyingKey>,
) -> Result<Birth, LogError> {
    let keys = IdentityKeys::generate(rng);
    let update = SigningKey::generate(rng);
    let entry = LogEntry::genesis(
        subject,
        object,
        now,
        &keys.public_keys(),
        &update,
        (&keys.next_update.verifying_key(), recovery),
    )?;
    let did = entry.verify()?;
    Ok(Birth { did, entry, keys })
}

/// Makes new keys and the log entry that makes them current, signed by the update key that the
/// log's head committed to.
///
/// # Errors
/// [`LogError::WrongUpdateKey`] if `update` is not that key; [`LogError::TooLong`].
pub fn rotate<R: CryptoRng + ?Sized>(
    rng: &mut R,
    log: &Log,
    update: &SigningKey,
    now: Timestamp,
) -> Result<Rotation, LogError> {
    step(rng, log, (update, None), now)
}

/// As [`rotate`], signed by the recovery key, which `new_recovery` replaces.
///
/// # Errors
/// [`LogError::WrongUpdateKey`] if `recovery` is not the key that the log names;
/// [`LogError::UpdateKeyReused`] if `new_recovery` was used before; [`LogError::TooLong`].
pub fn recover<R: CryptoRng + ?Sized>(
    rng: &mut R,
    log: &Log,
    recovery: &SigningKey,
    new_recovery: &VerifyingKey,
    now: Timestamp,
) -> Result<Rotation, LogError> {
    step(rng, log, (recovery, Some(new_recovery)), now)
}

fn step<R: CryptoRng + ?Sized>(
    rng: &mut R,
    log: &Log,
    (update, recovery): (&SigningKey, Option<&VerifyingKey>),
    time: Timestamp,
) -> Result<Rotation, LogError> {
    let keys = IdentityKeys::generate(rng);
    let entry = log.last().follow(&Step {
        keys: &keys.public_keys(),
        update,
        next: &keys.next_update.verifying_key(),
        recovery,
        time,
    })?;
    let mut log = log.clone();
    log.append(entry)?;
    Ok(Rotation { log, keys })
}
