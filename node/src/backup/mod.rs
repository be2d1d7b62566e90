//! Backups: what every object does when a snapshot of it is taken, and when it is put back.
//!
//! The relay asks each object that changed ([`crate::relay`] decides when); the object takes its
//! snapshot in one synchronous step into a table of its own, sealed in chunks, so that it is of one
//! instant however long the upload takes, and whatever ends the object goes on from there. A restore is
//! the same backwards: chunks are fetched and checked into that table, then applied in one
//! transaction. The format is [`entente_trust::backup`]'s, specified in `docs/protocol/backup.md`.
//!
//! Start reading at [`Keeper`].

pub mod directory;
mod keeper;
mod rows;
pub mod settings;
mod stage;
mod tables;
pub mod wire;

pub(crate) use keeper::tell_changed;
pub use keeper::{Keeper, missing, running};

use entente_trust::backup::{BackupError, Place};

use crate::error::ApiError;

/// Where backups stand in the bucket.
pub const PREFIX: &str = "backups/";
/// The subject of the relay's own snapshot.
pub const RELAY: &str = "relay";
/// The subject of the snapshot of D1.
pub const DIRECTORY: &str = "directory";
/// The subject under which a network's indexes stand.
const INDEX: &str = "network";
const MANIFEST: &str = "manifest";

/// Returns the key of a network's index of a generation.
#[must_use]
pub fn index_key(network: &str, generation: u64) -> String {
    format!("{PREFIX}{network}/{INDEX}/{generation:016x}")
}

/// Reads the network and the generation from the key of an index.
#[must_use]
pub fn index_of(key: &str) -> Option<(&str, u64)> {
    let (network, rest) = key.strip_prefix(PREFIX)?.split_once('/')?;
    let number = rest.strip_prefix(INDEX)?.strip_prefix('/')?;
    Some((network, u64::from_str_radix(number, 16).ok()?))
}

/// Returns what the keys of a snapshot begin with.
#[must_use]
pub fn folder(place: Place<'_>) -> String {
    let Place {
        network,
        subject,
        generation,
    } = place;
    format!("{PREFIX}{network}/{subject}/{generation:016x}/")
}

/// Reads the folder and the generation from the key of a chunk or manifest.
#[must_use]
pub fn folder_of(key: &str) -> Option<(&str, u64)> {
    let (folder, _name) = key.rsplit_once('/')?;
    let (_rest, number) = folder.rsplit_once('/')?;
    let generation = u64::from_str_radix(number, 16).ok()?;
    Some((key.get(..=folder.len())?, generation))
}

/// Returns the key of a snapshot's manifest.
#[must_use]
pub fn manifest_key(place: Place<'_>) -> String {
    folder(place) + MANIFEST
}

fn chunk_key(place: Place<'_>, index: u64) -> String {
    format!("{}{index:08x}", folder(place))
}

/// Says why a backup is not restored. Nothing was changed.
#[must_use]
pub fn refused(error: BackupError, key: &str) -> ApiError {
    let status = match error {
        BackupError::WrongKey => 503,
        BackupError::TooLarge => 507,
        BackupError::Malformed
        | BackupError::UnknownVersion
        | BackupError::OtherOwner
        | BackupError::OtherGeneration
        | BackupError::Misplaced
        | BackupError::Truncated
        | BackupError::Damaged
        | BackupError::Invalid => 422,
    };
    ApiError::new(status, error.code(), format!("{key}: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        let place = Place {
            network: "did:cf:n",
            subject: "agent/did:cf:a",
            generation: 0x1f,
        };
        let folder = folder(place);
        assert_eq!(folder, "backups/did:cf:n/agent/did:cf:a/000000000000001f/");
        for key in [manifest_key(place), chunk_key(place, 3)] {
            assert_eq!(folder_of(&key), Some((folder.as_str(), 0x1f)));
            assert_eq!(index_of(&key), None);
        }
        assert_eq!(index_of(&index_key("did:cf:n", 7)), Some(("did:cf:n", 7)));
        assert_eq!(folder_of("blobs/x/y"), None);
        assert_eq!(index_of("backups/did:cf:n/network/zz"), None);
    }
}
