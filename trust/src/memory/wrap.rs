//! An owner's own row: the DEK of a record under the owner's KEK of an epoch.
//!
//! ```text
//! row (77) = version 0x01 ‖ u32be KEK epoch ‖ nonce (24) ‖ XChaCha20-Poly1305(KEK, DEK) (32 + 16)
//! aad      = row[..5] ‖ each after its u32be length: "ane1/self", owner, collection, rkey, DEK id
//! ```

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::dek::KEY_LENGTH;
use super::place::bind;
use super::schedule::{NONCE_LENGTH, TAG_LENGTH};
use super::{Dek, DekId, Kek, KekRing, MemoryError, Place};

/// Length of a row in bytes.
pub const ROW_LENGTH: usize = PREFIX_LENGTH + NONCE_LENGTH + KEY_LENGTH + TAG_LENGTH;

const VERSION: u8 = 1;
const PREFIX_LENGTH: usize = 1 + 4;
const LABEL: &[u8] = b"ane1/self";

/// A row.
pub type Row = [u8; ROW_LENGTH];

struct Parsed {
    epoch: u32,
    nonce: [u8; NONCE_LENGTH],
    sealed: [u8; KEY_LENGTH],
    tag: [u8; TAG_LENGTH],
}

fn aad(epoch: u32, place: &Place<'_>, id: DekId) -> Vec<u8> {
    let [owner, collection, rkey] = place.parts();
    let bound = bind([LABEL, owner, collection, rkey, id.as_bytes()]);
    [&[VERSION], &epoch.to_be_bytes()[..], &bound].concat()
}

/// Wraps a DEK for the record at `place`.
#[must_use]
pub fn wrap<R: CryptoRng + ?Sized>(kek: &Kek, place: &Place<'_>, dek: &Dek, rng: &mut R) -> Row {
    let mut nonce = [0; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    let mut sealed = Zeroizing::new(*dek.key());
    #[expect(
        clippy::expect_used,
        reason = "encryption fails only beyond 256 GiB; a silent failure would lose a key"
    )]
    let tag = XChaCha20Poly1305::new(&(*kek.key()).into())
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &aad(kek.epoch(), place, dek.id()),
            InOutBuf::from(&mut sealed[..]),
        )
        .expect("a key is short");
    let mut row = [0; ROW_LENGTH];
    let epoch = kek.epoch().to_be_bytes();
    let fields = [VERSION].into_iter().chain(epoch).chain(nonce);
    let fields = fields.chain(sealed.iter().copied()).chain(tag);
    for (to, from) in row.iter_mut().zip(fields) {
        *to = from;
    }
    row
}

/// Returns the epoch that a row names.
///
/// # Errors
/// [`MemoryError::WrapLength`], [`MemoryError::WrapUnknownVersion`].
pub fn epoch(row: &[u8]) -> Result<u32, MemoryError> {
    parse(row).map(|row| row.epoch)
}

/// Unwraps the DEK with this id of the record at `place`.
///
/// # Errors
/// [`MemoryError`]: `WrapLength`, `WrapUnknownVersion`, `WrapOtherEpoch`, `WrapMismatch`.
pub fn unwrap(
    keks: &KekRing,
    place: &Place<'_>,
    id: DekId,
    row: &[u8],
) -> Result<Dek, MemoryError> {
    let parsed = parse(row)?;
    let kek = keks.of(parsed.epoch).ok_or(MemoryError::WrapOtherEpoch)?;
    unwrap_parsed(kek, place, id, &parsed)
}

/// Wraps under `new` what `old` wrapped; `None` if `new` wrapped it already. Touches no
/// ciphertext. A rotation that stops anywhere goes on with the rows it has not reached, while
/// reads take either key.
///
/// # Errors
/// [`MemoryError`], as [`unwrap`].
pub fn rewrap<R: CryptoRng + ?Sized>(
    old: &Kek,
    new: &Kek,
    place: &Place<'_>,
    id: DekId,
    row: &[u8],
    rng: &mut R,
) -> Result<Option<Row>, MemoryError> {
    let parsed = parse(row)?;
    if parsed.epoch == new.epoch() {
        return Ok(None);
    }
    if parsed.epoch != old.epoch() {
        return Err(MemoryError::WrapOtherEpoch);
    }
    let dek = unwrap_parsed(old, place, id, &parsed)?;
    Ok(Some(wrap(new, place, &dek, rng)))
}

fn unwrap_parsed(
    kek: &Kek,
    place: &Place<'_>,
    id: DekId,
    row: &Parsed,
) -> Result<Dek, MemoryError> {
    let mut key = Zeroizing::new(row.sealed);
    XChaCha20Poly1305::new(&(*kek.key()).into())
        .decrypt_inout_detached(
            &XNonce::from(row.nonce),
            &aad(row.epoch, place, id),
            InOutBuf::from(&mut key[..]),
            &Tag::from(row.tag),
        )
        .map_err(|_error| MemoryError::WrapMismatch)?;
    Ok(Dek::from_parts(id, key))
}

fn parse(row: &[u8]) -> Result<Parsed, MemoryError> {
    let row: &Row = row.try_into().map_err(|_error| MemoryError::WrapLength)?;
    let parsed = || {
        let ([version], rest) = row.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (sealed, rest) = rest.split_first_chunk()?;
        let (tag, _) = rest.split_first_chunk()?;
        let parsed = Parsed {
            epoch: u32::from_be_bytes(*epoch),
            nonce: *nonce,
            sealed: *sealed,
            tag: *tag,
        };
        Some((*version, parsed))
    };
    match parsed() {
        Some((VERSION, parsed)) => Ok(parsed),
        Some(_) => Err(MemoryError::WrapUnknownVersion),
        None => Err(MemoryError::WrapLength),
    }
}
