//! A record's envelope.
//!
//! ```text
//! envelope = "ANE1" ‖ suite 0x01 ‖ flags 0x00 ‖ nonce (24) ‖ commitment (32) ‖ ciphertext ‖ tag (16)
//! ctx      = each after its u32be length: "ane1/rec", suite, owner, collection, rkey, u64be version, DEK id
//! key, commitment = HKDF-SHA256(DEK, salt = nonce, info = "ane1/rec" ‖ SHA-256(ctx), 64), halved
//! aad      = envelope[..62] ‖ ctx
//! ```

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{Tag, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::place::bind;
use super::schedule::{HEADER_LENGTH, Header, Keys, NONCE_LENGTH, TAG_LENGTH};
use super::{Dek, MemoryError, Place};

/// The longest plaintext of a record in bytes: 128 KiB. Values above 64 KiB belong in a blob.
pub const MAX_RECORD_LENGTH: usize = 128 * 1024;
/// How many bytes an envelope is longer than its record.
pub const OVERHEAD: usize = HEADER_LENGTH + TAG_LENGTH;
/// The one suite known here: XChaCha20-Poly1305 with a commitment by HKDF-SHA256.
pub const SUITE: u8 = 1;

const MAGIC: [u8; 4] = *b"ANE1";
const LABEL: &[u8] = b"ane1/rec";
/// How far back an envelope that does not fit is looked for among older versions of its record,
/// only to say what happened.
const LOOK_BACK: u64 = 64;

fn context(dek: &Dek, place: &Place<'_>, version: u64) -> Vec<u8> {
    let [owner, collection, rkey] = place.parts();
    let version = version.to_be_bytes();
    let id = dek.id();
    bind([
        LABEL,
        &[SUITE],
        owner,
        collection,
        rkey,
        &version,
        id.as_bytes(),
    ])
}

/// Seals a version of a record.
///
/// Versions of one record may share a DEK: the nonce is fresh, and the version is bound in.
///
/// # Errors
/// [`MemoryError::RecordTooLarge`].
pub fn seal<R: CryptoRng + ?Sized>(
    dek: &Dek,
    place: &Place<'_>,
    version: u64,
    plaintext: &[u8],
    rng: &mut R,
) -> Result<Vec<u8>, MemoryError> {
    if plaintext.len() > MAX_RECORD_LENGTH {
        return Err(MemoryError::RecordTooLarge);
    }
    let mut nonce = [0; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    let ctx = context(dek, place, version);
    let keys = Keys::derive(dek, &nonce, LABEL, &ctx);
    let header = keys.header(MAGIC, SUITE, &nonce);
    let mut bytes = Vec::with_capacity(plaintext.len() + OVERHEAD);
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(plaintext);
    let (_, body) = bytes.split_at_mut(HEADER_LENGTH);
    let aad = [&header[..], &ctx].concat();
    let tag = keys
        .cipher()
        .encrypt_inout_detached(&XNonce::from(nonce), &aad, InOutBuf::from(body))
        .map_err(|_error| MemoryError::RecordTooLarge)?;
    bytes.extend_from_slice(&tag);
    Ok(bytes)
}

/// Opens an envelope as the `version` that the owner's signed repo names.
///
/// # Errors
/// [`MemoryError`]: `RecordLength`, `RecordMalformed`, `RecordUnknownSuite`, `RecordOldVersion`,
/// `RecordMismatch`, `RecordDamaged`.
pub fn open(
    dek: &Dek,
    place: &Place<'_>,
    version: u64,
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, MemoryError> {
    let header = check(envelope)?;
    let ctx = context(dek, place, version);
    let keys = Keys::derive(dek, &header.nonce, LABEL, &ctx);
    if !keys.made(&header) {
        return Err(explain(dek, place, version, &header));
    }
    let (clear, sealed) = envelope
        .split_at_checked(HEADER_LENGTH)
        .ok_or(MemoryError::RecordLength)?;
    let (body, tag) = sealed
        .split_last_chunk::<TAG_LENGTH>()
        .ok_or(MemoryError::RecordLength)?;
    let aad = [clear, &ctx].concat();
    let mut plaintext = Zeroizing::new(body.to_vec());
    keys.cipher()
        .decrypt_inout_detached(
            &XNonce::from(header.nonce),
            &aad,
            InOutBuf::from(plaintext.as_mut_slice()),
            &Tag::from(*tag),
        )
        .map_err(|_error| MemoryError::RecordDamaged)?;
    Ok(plaintext)
}

/// Checks the form of an envelope that cannot be opened here: one to store, or to pass on.
///
/// # Errors
/// [`MemoryError`]: `RecordLength`, `RecordMalformed`, `RecordUnknownSuite`.
pub fn check_form(envelope: &[u8]) -> Result<(), MemoryError> {
    check(envelope).map(|_header| ())
}

fn check(envelope: &[u8]) -> Result<Header, MemoryError> {
    let lengths = OVERHEAD..=OVERHEAD + MAX_RECORD_LENGTH;
    if !lengths.contains(&envelope.len()) {
        return Err(MemoryError::RecordLength);
    }
    let (header, _) = Header::split(envelope).ok_or(MemoryError::RecordLength)?;
    if header.magic != MAGIC {
        return Err(MemoryError::RecordMalformed);
    }
    if header.suite != SUITE {
        return Err(MemoryError::RecordUnknownSuite);
    }
    if header.flags != 0 {
        return Err(MemoryError::RecordMalformed);
    }
    Ok(header)
}

/// Tells a replayed version from an envelope that was never this record's under this DEK.
fn explain(dek: &Dek, place: &Place<'_>, version: u64, header: &Header) -> MemoryError {
    let older = version.saturating_sub(LOOK_BACK)..version;
    let replayed = older.rev().any(|older| {
        let ctx = context(dek, place, older);
        Keys::derive(dek, &header.nonce, LABEL, &ctx).made(header)
    });
    if replayed {
        MemoryError::RecordOldVersion
    } else {
        MemoryError::RecordMismatch
    }
}
