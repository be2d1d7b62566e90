//! The primitives, each with one algorithm and one way to use it.
//!
//! | module | algorithm | source |
//! |---|---|---|
//! | [`hash`] | SHA-256 | FIPS 180-4 |
//! | [`mac`] | HMAC-SHA256, constant-time comparison | RFC 2104 |
//! | [`kdf`] | HKDF-SHA256 | RFC 5869 |
//! | [`sign`] | Ed25519, strict verification | RFC 8032 |
//! | [`secp256k1`] | ECDSA over secp256k1 and SHA-256, low S | SEC 1, RFC 6979, atproto cryptography |
//! | [`dh`] | X25519 | RFC 7748 |
//! | [`kem`] | X-Wing (X25519 + ML-KEM-768) | draft-connolly-cfrg-xwing-kem-06 and later |
//! | [`rest`] | XChaCha20-Poly1305 under HKDF subkeys | draft-irtf-cfrg-xchacha-03, RFC 8439 |
//! | [`token`] | 256-bit bearer tokens, kept as SHA-256 | |
//! | [`multikey`] | key text: `z` + base58btc(code ‖ key) | W3C Controlled Identifiers 1.0 |

pub mod dh;
pub mod hash;
pub mod kdf;
pub mod kem;
pub mod mac;
pub mod multikey;
pub mod rest;
pub mod secp256k1;
pub mod sign;
pub mod token;

pub use multikey::KeyError;

#[cfg(test)]
mod aead_tests;
#[cfg(test)]
pub(crate) mod test_rng;
