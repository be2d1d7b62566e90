//! SHA-256 (FIPS 180-4).

use sha2::{Digest, Sha256};

/// Length of a hash in bytes.
pub const HASH_LENGTH: usize = 32;

/// Hashes the concatenation of `parts`.
///
/// Nothing separates the parts: where their lengths vary, the caller says where each ends.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; HASH_LENGTH] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_hashes_as_published() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash = sha256(&[b"a", b"", b"bc"]);
        assert_eq!(data_encoding::HEXLOWER.encode(&hash), expected);
    }
}
