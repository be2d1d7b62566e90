//! What is said to many: sealed once, under a key that each of them is told.
//!
//! ```text
//! bound  = "entente group text" ‖ 0x00 ‖ group (16) ‖ u64 epoch ‖ id (16) ‖ u32 length ‖ author
//! prk    = HKDF-Extract(salt = nonce, ikm = key)
//! key'   = HKDF-Expand(prk, "entente group text key" ‖ SHA-256(bound), 32)
//! check  = HKDF-Expand(prk, "entente group text commitment" ‖ SHA-256(bound), 32)
//! sealed = 0x01 ‖ nonce (24) ‖ check (32) ‖ XChaCha20-Poly1305(key', nonce, aad = bound, plaintext) ‖ tag (16)
//! plaintext = u32 length ‖ text ‖ zeros up to a bucket
//! ```

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use entente_lexicon::Did;
use zeroize::Zeroizing;

use super::GroupKey;
use crate::crypto::hash::sha256;
use crate::crypto::kdf::Prk;
use crate::crypto::mac::constant_time_eq;
use crate::message::padding::bucket;

const LABEL: &[u8] = b"entente group text\0";
const KEY: &[u8] = b"entente group text key";
const COMMITMENT: &[u8] = b"entente group text commitment";
const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;
const COMMITMENT_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
const LENGTH_LENGTH: usize = 4;
/// The longest text in bytes.
pub const MAX_TEXT: usize = 32 * 1024;

/// What a text is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The group, or the broadcast.
    pub group: &'a [u8; 16],
    /// The epoch whose key seals it; 0 for a broadcast.
    pub epoch: u64,
    /// The text's own id.
    pub id: &'a [u8; 16],
    /// Who says it.
    pub author: &'a Did,
}

/// Why a text is not sealed, or does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is longer than any may be.
    #[error("what is said to many is at most 32 KiB long")]
    TooLarge,
    /// It is not in the one form, or was not sealed under this key in this place.
    #[error("the bytes do not open as what they are said to be")]
    Undecryptable,
}

struct Keys {
    key: Zeroizing<[u8; 32]>,
    commitment: Zeroizing<[u8; COMMITMENT_LENGTH]>,
}

fn keys(key: &GroupKey, nonce: &[u8; NONCE_LENGTH], bound: &[u8]) -> Keys {
    let prk = Prk::extract(nonce, key.key());
    let digest = sha256(&[bound]);
    Keys {
        key: prk.expand(&[KEY, &digest]),
        commitment: prk.expand(&[COMMITMENT, &digest]),
    }
}

fn bound(place: &Place<'_>) -> Vec<u8> {
    let author = place.author.as_str().as_bytes();
    let length = u32::try_from(author.len()).unwrap_or(u32::MAX);
    [
        LABEL,
        place.group,
        &place.epoch.to_be_bytes(),
        place.id,
        &length.to_be_bytes(),
        author,
    ]
    .concat()
}

/// Seals a text; the nonce is drawn at random for each.
///
/// # Errors
/// [`TextError::TooLarge`].
pub fn seal_text(
    key: &GroupKey,
    place: &Place<'_>,
    nonce: [u8; NONCE_LENGTH],
    text: &[u8],
) -> Result<Vec<u8>, TextError> {
    if text.len() > MAX_TEXT {
        return Err(TextError::TooLarge);
    }
    let bound = bound(place);
    let keys = keys(key, &nonce, &bound);
    let length = u32::try_from(text.len()).map_err(|_error| TextError::TooLarge)?;
    let mut plaintext = Zeroizing::new(vec![0; bucket(LENGTH_LENGTH + text.len())]);
    let (head, rest) = plaintext.split_at_mut(LENGTH_LENGTH);
    head.copy_from_slice(&length.to_be_bytes());
    let (body, _padding) = rest.split_at_mut(text.len());
    body.copy_from_slice(text);
    let tag = XChaCha20Poly1305::new(&(*keys.key).into())
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &bound,
            InOutBuf::from(plaintext.as_mut_slice()),
        )
        .map_err(|_error| TextError::TooLarge)?;
    let parts: [&[u8]; 5] = [&[VERSION], &nonce, &*keys.commitment, &plaintext, &tag];
    Ok(parts.concat())
}

/// Opens what [`seal_text`] wrote under the same key in the same place.
///
/// # Errors
/// [`TextError::Undecryptable`].
pub fn open_text(
    key: &GroupKey,
    place: &Place<'_>,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, TextError> {
    let parts = split(sealed).ok_or(TextError::Undecryptable)?;
    let bound = bound(place);
    let keys = keys(key, parts.nonce, &bound);
    if !constant_time_eq(&*keys.commitment, parts.commitment) {
        return Err(TextError::Undecryptable);
    }
    let mut plaintext = Zeroizing::new(parts.ciphertext.to_vec());
    XChaCha20Poly1305::new(&(*keys.key).into())
        .decrypt_inout_detached(
            &XNonce::from(*parts.nonce),
            &bound,
            InOutBuf::from(plaintext.as_mut_slice()),
            &Tag::from(*parts.tag),
        )
        .map_err(|_error| TextError::Undecryptable)?;
    let text = unpad(&plaintext).ok_or(TextError::Undecryptable)?;
    Ok(Zeroizing::new(text.to_vec()))
}

struct Parts<'a> {
    nonce: &'a [u8; NONCE_LENGTH],
    commitment: &'a [u8; COMMITMENT_LENGTH],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

fn split(sealed: &[u8]) -> Option<Parts<'_>> {
    let (version, rest) = sealed.split_first()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (commitment, rest) = rest.split_first_chunk()?;
    let (ciphertext, tag) = rest.split_last_chunk()?;
    let fits = *version == VERSION && ciphertext.len() <= bucket(LENGTH_LENGTH + MAX_TEXT);
    fits.then_some(Parts {
        nonce,
        commitment,
        ciphertext,
        tag,
    })
}

/// Takes the text out, insisting on the one padding there is for it.
fn unpad(plaintext: &[u8]) -> Option<&[u8]> {
    let (length, rest) = plaintext.split_first_chunk::<LENGTH_LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, padding) = rest.split_at_checked(length)?;
    let exact = length <= MAX_TEXT && bucket(LENGTH_LENGTH + length) == plaintext.len();
    (exact && padding.iter().all(|byte| *byte == 0)).then_some(text)
}
