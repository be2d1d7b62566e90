//! Where a record stands, and how that is written into what a seal is bound to.

use entente_lexicon::Did;

/// Whose record it is and where it stands in its owner's repo.
///
/// The syntax of collections and keys is the repo's to check; here they are bytes that must be
/// the same when sealing and opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The agent whose memory it is.
    pub owner: &'a Did,
    /// The collection, such as `agent.memory.fact`.
    pub collection: &'a str,
    /// The record's key in its collection.
    pub rkey: &'a str,
}

impl Place<'_> {
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [
            self.owner.as_str().as_bytes(),
            self.collection.as_bytes(),
            self.rkey.as_bytes(),
        ]
    }
}

/// Writes each part after its u32be length, so that no two lists of parts are written alike.
pub(super) fn bind<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    for part in parts {
        // No part comes near 4 GiB.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
