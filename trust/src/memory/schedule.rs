//! The key schedule of records and blobs.
//!
//! ```text
//! okm = HKDF-SHA256(ikm = DEK, salt, info = label ‖ SHA-256(ctx), 64)
//! key = okm[..32]      commitment = okm[32..]
//! ```
//!
//! The AEAD alone does not commit to its key: one ciphertext can be made that opens under two.
//! The commitment is compared first, in constant time.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use super::Dek;
use crate::crypto::hash::sha256;
use crate::crypto::kdf::Prk;
use crate::crypto::mac::constant_time_eq;

pub(super) const NONCE_LENGTH: usize = 24;
pub(super) const COMMITMENT_LENGTH: usize = 32;
pub(super) const TAG_LENGTH: usize = 16;
/// Magic, suite, flags, nonce, commitment.
pub(super) const HEADER_LENGTH: usize = 4 + 1 + 1 + NONCE_LENGTH + COMMITMENT_LENGTH;

pub(super) struct Keys {
    key: Zeroizing<[u8; 32]>,
    commitment: Zeroizing<[u8; COMMITMENT_LENGTH]>,
}

/// A header taken apart.
pub(super) struct Header {
    pub(super) magic: [u8; 4],
    pub(super) suite: u8,
    pub(super) flags: u8,
    pub(super) nonce: [u8; NONCE_LENGTH],
    commitment: [u8; COMMITMENT_LENGTH],
}

impl Keys {
    pub(super) fn derive(dek: &Dek, nonce: &[u8; NONCE_LENGTH], label: &[u8], ctx: &[u8]) -> Self {
        let prk = Prk::extract(nonce, dek.key());
        let [key, commitment] = prk.expand_pair(&[label, &sha256(&[ctx])]);
        Self { key, commitment }
    }

    pub(super) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.key).into())
    }

    pub(super) fn made(&self, header: &Header) -> bool {
        constant_time_eq(&*self.commitment, &header.commitment)
    }

    pub(super) fn header(
        &self,
        magic: [u8; 4],
        suite: u8,
        nonce: &[u8; NONCE_LENGTH],
    ) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let fields = magic.iter().chain([&suite, &0]).chain(nonce);
        for (to, from) in bytes.iter_mut().zip(fields.chain(self.commitment.iter())) {
            *to = *from;
        }
        bytes
    }
}

impl Header {
    /// Takes a header off the front.
    pub(super) fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let ([suite, flags], rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let header = Self {
            magic: *magic,
            suite: *suite,
            flags: *flags,
            nonce: *nonce,
            commitment: *commitment,
        };
        Some((header, rest))
    }
}
