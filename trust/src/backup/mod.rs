//! Backups: what one object keeps, as sealed chunks and a manifest that names each of them.
//!
//! ```text
//! sealed  = header ‖ XChaCha20-Poly1305 ciphertext ‖ tag (16)
//! header  = "ENB1" ‖ kind (1) ‖ key id (8) ‖ owner (16) ‖ generation (8) ‖ salt (24) ‖ index (8)
//! owner   = SHA-256(context of network and subject)[..16]
//! key     = HKDF-Expand(master, "entente backup" ‖ context of all parts)
//! nonce   = 16 zeros ‖ index        aad = header
//! ```
//!
//! A salt is drawn for every snapshot and a [`Sealer`] counts its chunks itself, so no key and nonce
//! meet twice. The manifest is sealed like a chunk, of a kind of its own, and is written last: a
//! snapshot without it is none. The format is specified in `docs/protocol/backup.md`.
//!
//! Start reading at [`Sealer`] and [`Manifest`]; what the plaintext of chunks is, is [`stream`].

mod error;
mod header;
mod index;
mod manifest;
mod sealer;
pub mod stream;
#[cfg(test)]
mod tests;

pub use error::BackupError;
pub use header::{Kind, Place};
pub use index::{Index, Part, open_index, seal_index};
pub use manifest::Manifest;
pub use sealer::Sealer;

/// Plaintext bytes of every chunk but the last: 1 MiB, so that a sealed one fits a row of SQLite in an
/// object, which holds 2 MB.
pub const CHUNK_LENGTH: usize = 1024 * 1024;
/// Chunks that a snapshot may have: 16 GiB, more than an object holds.
pub const MAX_CHUNKS: usize = 16 * 1024;
/// Parts that a network's index may name.
pub const MAX_PARTS: usize = 100_000;
