//! A large value, sealed in chunks so that none of it ever sits in memory as a whole.
//!
//! ```text
//! header = "ANB1" ‖ suite 0x02 ‖ flags 0x00 ‖ nonce (24) ‖ commitment (32)             (62 bytes)
//! ctx    = each after its u32be length: "ane1/blob", suite, owner, collection, rkey, DEK id
//! key, commitment = HKDF-SHA256(DEK, salt = nonce, info = "ane1/blob" ‖ SHA-256(ctx), 64), halved
//! chunk i = XChaCha20-Poly1305(key, nonce[..19] ‖ u32be i ‖ last, aad = header ‖ ctx, 64 KiB of plaintext)
//! body    = chunk 0 ‖ chunk 1 ‖ …; `last` is 0x01 for the last chunk and 0x00 for all others
//! ```
//!
//! That is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) as crate `aead-stream` has it. Every
//! chunk but the last is full; only an empty blob has an empty chunk. The header goes into the
//! record that refers to the blob, beside the plaintext's length, and the body into object
//! storage: so all parts of an upload but the last are of equal length, which is what storage asks
//! of them, and a body without its record is noise.
//!
//! The nonce of a chunk follows from its index, so an upload can go on at any part and any chunk
//! can be read alone. It also means that no part may ever be sealed with two contents:
//! [`BlobSealer::begin_part`] gives a digest to store first, and [`BlobSealer::seal_part`] seals
//! only what has that digest.

mod decoder;
mod encoder;
mod loan;
mod part;
mod reader;

use aead_stream::{NewStream, Nonce, StreamBE32, StreamPrimitive};
use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::place::bind;
use super::schedule::{self, Keys, NONCE_LENGTH, TAG_LENGTH};
use super::{Dek, MemoryError, Place};

pub use decoder::BlobDecoder;
pub use encoder::BlobEncoder;
pub use loan::BlobLoan;
pub use part::{BlobSealer, PartDigest};
pub use reader::BlobReader;

/// Plaintext bytes of every chunk but the last: 64 KiB.
pub const CHUNK_LENGTH: usize = 64 * 1024;
/// Bytes of such a chunk as it is stored.
pub const SEALED_CHUNK_LENGTH: usize = CHUNK_LENGTH + TAG_LENGTH;
/// Chunks of every part but the last.
pub const PART_CHUNKS: usize = 128;
/// Plaintext bytes of every part but the last: 8 MiB.
pub const PART_LENGTH: usize = PART_CHUNKS * CHUNK_LENGTH;
/// Bytes of such a part as it is stored.
pub const SEALED_PART_LENGTH: usize = PART_CHUNKS * SEALED_CHUNK_LENGTH;
/// Parts of the longest blob: what object storage takes in one upload.
pub const MAX_PARTS: u64 = 10_000;
/// The longest blob in plaintext bytes: 10,000 parts of 8 MiB.
pub const MAX_BLOB_LENGTH: u64 = MAX_PARTS * (PART_LENGTH as u64);
/// Length of a header in bytes.
pub const HEADER_LENGTH: usize = schedule::HEADER_LENGTH;
/// The one suite known here: STREAM over XChaCha20-Poly1305 with a commitment by HKDF-SHA256.
pub const SUITE: u8 = 2;

const MAGIC: [u8; 4] = *b"ANB1";
const LABEL: &[u8] = b"ane1/blob";
const PREFIX_LENGTH: usize = 19;

type Stream = StreamBE32<XChaCha20Poly1305>;

/// The header of a blob: what the record that refers to the blob holds.
pub type BlobHeader = [u8; HEADER_LENGTH];

/// The key of one blob and what its chunks are bound to.
struct Chunks {
    stream: Stream,
    header: BlobHeader,
    aad: Vec<u8>,
}

impl Chunks {
    /// Begins a blob under a fresh nonce.
    fn begin(dek: &Dek, place: &Place<'_>, nonce: [u8; NONCE_LENGTH]) -> Self {
        let ctx = context(dek, place);
        let keys = Keys::derive(dek, &nonce, LABEL, &ctx);
        let header = keys.header(MAGIC, SUITE, &nonce);
        Self::new(&keys, &nonce, header, &ctx)
    }

    /// Takes up a blob by its header.
    fn resume(dek: &Dek, place: &Place<'_>, header: &[u8]) -> Result<Self, MemoryError> {
        let parsed = check(header)?;
        let header = header
            .try_into()
            .map_err(|_error| MemoryError::BlobMalformed)?;
        let ctx = context(dek, place);
        let keys = Keys::derive(dek, &parsed.nonce, LABEL, &ctx);
        if !keys.made(&parsed) {
            return Err(MemoryError::BlobMismatch);
        }
        Ok(Self::new(&keys, &parsed.nonce, header, &ctx))
    }

    fn new(keys: &Keys, nonce: &[u8; NONCE_LENGTH], header: BlobHeader, ctx: &[u8]) -> Self {
        let mut prefix = [0; PREFIX_LENGTH];
        for (to, from) in prefix.iter_mut().zip(nonce) {
            *to = *from;
        }
        let prefix: Nonce<XChaCha20Poly1305, Stream> = prefix.into();
        Self {
            stream: Stream::from_aead(keys.cipher(), &prefix),
            header,
            aad: [&header[..], ctx].concat(),
        }
    }

    /// Appends a sealed chunk to `out`.
    fn seal(
        &self,
        index: u64,
        last: bool,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MemoryError> {
        let index = u32::try_from(index).map_err(|_error| MemoryError::BlobTooLarge)?;
        let mut buffer = Vec::with_capacity(plaintext.len() + TAG_LENGTH);
        buffer.extend_from_slice(plaintext);
        self.stream
            .encrypt_in_place(index, last, &self.aad, &mut buffer)
            .map_err(|_error| MemoryError::BlobTooLarge)?;
        out.append(&mut buffer);
        Ok(())
    }

    /// Opens a chunk if it is the one with this index.
    fn open(&self, index: u64, last: bool, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let index = u32::try_from(index).ok()?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        self.stream
            .decrypt_in_place(index, last, &self.aad, &mut *buffer)
            .ok()
            .map(|()| buffer)
    }
}

/// Returns how many chunks a blob of so many plaintext bytes has; at least one.
#[must_use]
pub const fn chunk_count(size: u64) -> u64 {
    let full = size.div_ceil(CHUNK_LENGTH as u64);
    if full == 0 { 1 } else { full }
}

/// Returns how many bytes the body of a blob of so many plaintext bytes has in storage.
#[must_use]
pub const fn sealed_length(size: u64) -> u64 {
    size.saturating_add(chunk_count(size).saturating_mul(TAG_LENGTH as u64))
}

/// Checks the form of a header that cannot be opened here.
///
/// # Errors
/// [`MemoryError::BlobMalformed`], [`MemoryError::BlobUnknownSuite`].
pub fn check_form(header: &[u8]) -> Result<(), MemoryError> {
    check(header).map(|_header| ())
}

fn check(header: &[u8]) -> Result<schedule::Header, MemoryError> {
    match schedule::Header::split(header) {
        Some((parsed, [])) if parsed.magic == MAGIC && parsed.flags == 0 => {
            if parsed.suite == SUITE {
                Ok(parsed)
            } else {
                Err(MemoryError::BlobUnknownSuite)
            }
        }
        Some(_) | None => Err(MemoryError::BlobMalformed),
    }
}

fn context(dek: &Dek, place: &Place<'_>) -> Vec<u8> {
    let [owner, collection, rkey] = place.parts();
    let id = dek.id();
    bind([LABEL, &[SUITE], owner, collection, rkey, id.as_bytes()])
}
