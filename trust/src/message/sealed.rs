//! One message under one key: XChaCha20-Poly1305 that commits to its key and to all it is bound to.
//!
//! ```text
//! prk        = HKDF-Extract(salt = nonce, ikm = message key)
//! key        = HKDF-Expand(prk, "entente message key" ‖ SHA-256(prefix), 32)
//! commitment = HKDF-Expand(prk, "entente message commitment" ‖ SHA-256(prefix), 32)
//! ```
//!
//! The AEAD alone does not commit to its key: a recipient could be made to see one ciphertext
//! open under two keys. The commitment is checked first, in constant time.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::body::{Body, MAX_BODY_LENGTH};
use super::envelope::{
    COMMITMENT_LENGTH, Envelope, LENGTH_LENGTH, NONCE_LENGTH, OpenError, SealError, TAG_LENGTH,
};
use super::padding::bucket;
use super::ratchet::MessageKey;
use crate::crypto::hash::sha256;
use crate::crypto::kdf::Prk;
use crate::crypto::mac::constant_time_eq;

const KEY: &[u8] = b"entente message key";
const COMMITMENT: &[u8] = b"entente message commitment";

struct Keys {
    key: Zeroizing<[u8; 32]>,
    commitment: Zeroizing<[u8; COMMITMENT_LENGTH]>,
}

fn keys(message_key: &MessageKey, nonce: &[u8; NONCE_LENGTH], prefix: &[u8]) -> Keys {
    let prk = Prk::extract(nonce, &**message_key);
    let bound = sha256(&[prefix]);
    Keys {
        key: prk.expand(&[KEY, &bound]),
        commitment: prk.expand(&[COMMITMENT, &bound]),
    }
}

/// Encodes a body, checking what can be wrong with it before any key is spent.
pub(super) fn encode(body: &Body) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let bytes = Zeroizing::new(body.encode().ok_or(SealError::Field)?);
    if bytes.len() > MAX_BODY_LENGTH {
        return Err(SealError::TooLarge);
    }
    Ok(bytes)
}

/// Writes the envelope: `prefix`, which the message is bound to, and the sealed body.
pub(super) fn seal(
    prefix: Vec<u8>,
    message_key: &MessageKey,
    nonce: &[u8; NONCE_LENGTH],
    body: &[u8],
) -> Result<Vec<u8>, SealError> {
    let keys = keys(message_key, nonce, &prefix);
    let length = u32::try_from(body.len()).map_err(|_error| SealError::TooLarge)?;
    let prefix_length = prefix.len();
    let padded = bucket(LENGTH_LENGTH + body.len());
    let mut bytes = prefix;
    bytes.reserve_exact(NONCE_LENGTH + COMMITMENT_LENGTH + padded + TAG_LENGTH);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&*keys.commitment);
    let sealed_at = bytes.len();
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes.resize(sealed_at + padded, 0);
    let (clear, plaintext) = bytes.split_at_mut(sealed_at);
    let prefix = clear.get(..prefix_length).unwrap_or_default();
    let tag = XChaCha20Poly1305::new(&(*keys.key).into())
        .encrypt_inout_detached(&XNonce::from(*nonce), prefix, InOutBuf::from(plaintext))
        .map_err(|_error| SealError::TooLarge)?;
    bytes.extend_from_slice(&tag);
    Ok(bytes)
}

/// Opens what [`seal`] wrote under the same key.
pub(super) fn open(envelope: &Envelope<'_>, message_key: &MessageKey) -> Result<Body, OpenError> {
    let keys = keys(message_key, envelope.nonce, envelope.prefix);
    if !constant_time_eq(&*keys.commitment, envelope.commitment) {
        return Err(OpenError::Undecryptable);
    }
    let mut plaintext = Zeroizing::new(envelope.ciphertext.to_vec());
    XChaCha20Poly1305::new(&(*keys.key).into())
        .decrypt_inout_detached(
            &XNonce::from(*envelope.nonce),
            envelope.prefix,
            InOutBuf::from(plaintext.as_mut_slice()),
            &Tag::from(*envelope.tag),
        )
        .map_err(|_error| OpenError::Undecryptable)?;
    let body = unpad(&plaintext).ok_or(OpenError::Undecryptable)?;
    Body::decode(body).ok_or(OpenError::BadBody)
}

/// Takes the body out, insisting on the one padding there is for it.
fn unpad(plaintext: &[u8]) -> Option<&[u8]> {
    let (length, rest) = plaintext.split_first_chunk::<LENGTH_LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (body, padding) = rest.split_at_checked(length)?;
    let exact = length <= MAX_BODY_LENGTH && bucket(LENGTH_LENGTH + length) == plaintext.len();
    (exact && padding.iter().all(|byte| *byte == 0)).then_some(body)
}
