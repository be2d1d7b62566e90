//! What the relay and the other objects say to one another about backups.

use entente_lexicon::Timestamp;
use entente_trust::backup::Place;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// From an object to the relay: this changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// See [`Place::subject`].
    pub subject: String,
}

/// From the relay to an object: take a snapshot if anything changed since the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakeSnapshot {
    /// The network's DID.
    pub network: String,
    /// What the object is called in the index.
    pub subject: String,
    /// The generation that is being made.
    pub generation: u64,
    /// Whether to take one even if nothing changed.
    pub anew: bool,
}

/// The snapshot that an object has in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The generation it was taken for.
    pub generation: u64,
    /// SHA-256 of its sealed manifest.
    pub manifest: ByteBuf,
    /// Its length in bytes.
    pub length: u64,
}

/// From the relay to an object: become what this snapshot says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutBack {
    /// The network's DID.
    pub network: String,
    /// What the object is called in the index.
    pub subject: String,
    /// The snapshot.
    pub taken: Taken,
    /// Whether what is there may be replaced: in a network that was found empty as a whole.
    pub replace: bool,
    /// For an agent that the directory still lists: its identity log there. One that is shorter in the
    /// snapshot would make keys return that were replaced.
    pub log: Option<String>,
}

/// The answer to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// When the snapshot was taken.
    pub at: Timestamp,
    /// Rows that were put back; 0 where they were before.
    pub rows: u64,
    /// Whether they were before.
    pub already: bool,
}

impl TakeSnapshot {
    /// Returns where the snapshot belongs.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place {
            network: &self.network,
            subject: &self.subject,
            generation: self.generation,
        }
    }
}

impl PutBack {
    /// Returns where the snapshot belongs.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place {
            network: &self.network,
            subject: &self.subject,
            generation: self.taken.generation,
        }
    }
}
