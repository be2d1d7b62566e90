//! The index of a network's generation: which snapshot of each of its objects belongs to it.

use entente_lexicon::Timestamp;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::header::{SALT_LENGTH, Slot};
use super::{BackupError, Kind, MAX_PARTS, Place};
use crate::crypto::rest::KeyRing;

/// The subject under which an index stands.
pub(super) const SUBJECT: &str = "network";

/// A generation of a whole network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The network's DID.
    pub network: String,
    /// The host it was initialised with.
    pub host: String,
    /// The number of the generation.
    pub generation: u64,
    /// When it became whole.
    pub at: Timestamp,
    /// Its snapshots.
    pub parts: Vec<Part>,
}

/// One snapshot of a generation. One that did not change is of an earlier generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it is of; see [`Place::subject`](super::Place::subject).
    pub subject: String,
    /// The id of the object, where the directory names it.
    pub object: Option<String>,
    /// The number of the generation in which it was taken.
    pub generation: u64,
    /// SHA-256 of its sealed manifest.
    pub manifest: ByteBuf,
    /// Its length in bytes.
    pub length: u64,
}

fn slot<'a>(network: &'a str, generation: u64) -> Slot<'a> {
    Slot {
        place: Place {
            network,
            subject: SUBJECT,
            generation,
        },
        kind: Kind::Index,
        index: 0,
    }
}

/// Seals an index.
///
/// # Errors
/// [`BackupError::TooLarge`].
pub fn seal_index<R: CryptoRng + ?Sized>(
    ring: &KeyRing,
    index: &Index,
    rng: &mut R,
) -> Result<Vec<u8>, BackupError> {
    if index.parts.len() > MAX_PARTS {
        return Err(BackupError::TooLarge);
    }
    let mut salt = [0; SALT_LENGTH];
    rng.fill_bytes(&mut salt);
    let plain = serde_ipld_dagcbor::to_vec(index).map_err(|_error| BackupError::Invalid)?;
    Ok(slot(&index.network, index.generation).seal(ring, &salt, &plain))
}

/// Opens the index of a generation of the network with this DID.
///
/// # Errors
/// As [`Manifest::open`](super::Manifest::open).
pub fn open_index(
    ring: &KeyRing,
    network: &str,
    generation: u64,
    sealed: &[u8],
) -> Result<Index, BackupError> {
    let (plain, _salt) = slot(network, generation).open(ring, sealed)?;
    let index: Index =
        serde_ipld_dagcbor::from_slice(&plain).map_err(|_error| BackupError::Invalid)?;
    let right = index.network == network
        && index.generation == generation
        && index.parts.len() <= MAX_PARTS
        && index.parts.iter().all(|part| part.manifest.len() == 32);
    right.then_some(index).ok_or(BackupError::Invalid)
}
