//! Blocks and their CIDs: CIDv1, DAG-CBOR or raw, SHA-256. No other kind is made or taken.

use std::collections::BTreeMap;
use std::convert::Infallible;

use cid::Cid;
use cid::multihash::Multihash;
use entente_trust::crypto::hash::sha256;

/// The multicodec of DAG-CBOR.
pub const DAG_CBOR: u64 = 0x71;
/// The multicodec of bytes without a form.
pub const RAW: u64 = 0x55;
const SHA2_256: u64 = 0x12;
/// Length of a CID in bytes: version, codec, hash function, hash length, hash.
pub const CID_LENGTH: usize = 36;
/// A block is at most this long, in bytes.
pub const MAX_BLOCK_BYTES: usize = 1 << 20;

/// Where blocks are looked up. Durable Object SQLite answers at once, so nothing here waits.
pub trait Blocks {
    /// Why a lookup fails.
    type Error;

    /// Returns the block with this CID, if it is there.
    ///
    /// # Errors
    /// Whatever the store has to say.
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Blocks in memory.
pub type MemoryBlocks = BTreeMap<Cid, Vec<u8>>;

impl Blocks for MemoryBlocks {
    type Error = Infallible;

    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.get(cid).cloned())
    }
}

/// Why bytes or a text are no CID of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// Not a CID at all, or one with bytes left over.
    #[error("this is not a CID")]
    Malformed,
    /// A CID of another version, codec or hash function.
    #[error("only CIDv1 with DAG-CBOR or raw and SHA-256 is known here")]
    Unknown,
}

/// Names a DAG-CBOR block.
#[must_use]
pub fn cbor_cid(bytes: &[u8]) -> Cid {
    cid_of(DAG_CBOR, bytes)
}

/// Names a raw block.
#[must_use]
pub fn raw_cid(bytes: &[u8]) -> Cid {
    cid_of(RAW, bytes)
}

/// Names raw bytes of which only the SHA-256 is at hand.
#[must_use]
pub fn raw_cid_of(digest: &[u8; 32]) -> Cid {
    with_digest(RAW, digest)
}

fn cid_of(codec: u64, bytes: &[u8]) -> Cid {
    with_digest(codec, &sha256(&[bytes]))
}

fn with_digest(codec: u64, digest: &[u8; 32]) -> Cid {
    #[expect(
        clippy::expect_used,
        reason = "a multihash has room for 64 bytes, a SHA-256 is 32"
    )]
    let hash = Multihash::wrap(SHA2_256, digest).expect("a SHA-256 is a multihash");
    Cid::new_v1(codec, hash)
}

/// Reads the 36 bytes of a CID.
///
/// # Errors
/// [`CidError`].
pub fn parse_cid(bytes: &[u8]) -> Result<Cid, CidError> {
    let (prefix, digest) = bytes.split_first_chunk().ok_or(CidError::Malformed)?;
    let digest: Option<&[u8; 32]> = digest.try_into().ok();
    match (prefix, digest) {
        ([1, 0x71, 0x12, 32], Some(digest)) => Ok(with_digest(DAG_CBOR, digest)),
        ([1, 0x55, 0x12, 32], Some(digest)) => Ok(with_digest(RAW, digest)),
        _ if Cid::try_from(bytes).is_ok_and(|cid| cid.encoded_len() == bytes.len()) => {
            Err(CidError::Unknown)
        }
        _ => Err(CidError::Malformed),
    }
}

/// Reads the text of a CID: `b` and base32.
///
/// # Errors
/// [`CidError`].
pub fn parse_cid_text(text: &str) -> Result<Cid, CidError> {
    let cid = Cid::try_from(text).map_err(|_error| CidError::Malformed)?;
    let known = parse_cid(&cid.to_bytes())?;
    if known.to_string() == text {
        Ok(known)
    } else {
        Err(CidError::Malformed)
    }
}

/// Tells whether these bytes are the block that the CID names.
#[must_use]
pub fn is_named(cid: &Cid, bytes: &[u8]) -> bool {
    cid.hash().digest() == sha256(&[bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cids_read_as_published() {
        // The empty tree of atproto's interoperability tests.
        let empty = b"\xa2\x61e\x80\x61l\xf6";
        let cid = cbor_cid(empty);
        let text = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
        assert_eq!(cid.to_string(), text);
        assert_eq!(parse_cid(&cid.to_bytes()), Ok(cid));
        assert_eq!(parse_cid_text(text), Ok(cid));
        assert!(is_named(&cid, empty) && !is_named(&cid, b"other"));
        assert_eq!(parse_cid(&raw_cid(b"x").to_bytes()), Ok(raw_cid(b"x")));
        assert_eq!(raw_cid_of(&sha256(&[b"x"])), raw_cid(b"x"));
    }

    #[test]
    fn other_cids_are_refused() {
        // Version 0; git's codec; SHA-512.
        let v0 = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";
        assert_eq!(parse_cid_text(v0), Err(CidError::Unknown));
        let mut git = cbor_cid(b"x").to_bytes();
        git[1] = 0x78;
        assert_eq!(parse_cid(&git), Err(CidError::Unknown));
        let mut sha512 = vec![1, 0x71, 0x13, 64];
        sha512.extend([7; 64]);
        assert_eq!(parse_cid(&sha512), Err(CidError::Unknown));
        let mut long = cbor_cid(b"x").to_bytes();
        long.push(0);
        for bad in [&long[..], &long[..35], &[]] {
            assert_eq!(parse_cid(bad), Err(CidError::Malformed));
        }
        let upper = cbor_cid(b"x").to_string().to_uppercase();
        assert_eq!(parse_cid_text(&upper), Err(CidError::Malformed));
    }
}
