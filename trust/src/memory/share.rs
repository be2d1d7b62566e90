//! A row for somebody else: the DEK of a record, sealed to a recipient and signed by the owner.
//!
//! ```text
//! row       = version 0x01 ‖ kem ‖ signer kid (16) ‖ recipient kid (16) ‖ enc ‖ sealed DEK (32 + 16) ‖ signature (64)
//! kem       = 0x01 X-Wing (enc 1120), 0x02 X25519 (enc 32)
//! bound     = each after its u32be length: "ane1/share", version ‖ kem, owner, recipient, signer kid,
//!             recipient kid, collection, rkey, DEK id
//! sealed    = HPKE base mode, kem / HKDF-SHA256 / ChaCha20-Poly1305, info = aad = bound
//! signature = Ed25519 by the owner over "entente share" ‖ 0x00 ‖ bound ‖ row[..length − 64]
//! ```
//!
//! HPKE's base mode says nothing of who sealed: the signature does, over what was sealed, so a row
//! cannot be passed on as one's own. It is verified before anything is opened. A share is of the
//! DEK, so it opens every version sealed under it.

use entente_lexicon::Did;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::dek::KEY_LENGTH;
use super::place::bind;
use super::schedule::TAG_LENGTH;
use super::{Dek, DekId, MemoryError, Place};
use crate::crypto::dh::{self, DhPublic, DhSecret};
use crate::crypto::kem::{CIPHERTEXT_LENGTH, KemPublic, KemSecret};
use crate::crypto::multikey::kid;
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

/// Length of a row for an X-Wing key in bytes.
pub const X_WING_LENGTH: usize = FIXED_LENGTH + CIPHERTEXT_LENGTH;
/// Length of a row for an X25519 key in bytes.
pub const X25519_LENGTH: usize = FIXED_LENGTH + dh::KEY_LENGTH;

const VERSION: u8 = 1;
const KEM_X_WING: u8 = 1;
const KEM_X25519: u8 = 2;
const KID_LENGTH: usize = 16;
const PREFIX_LENGTH: usize = 2 + 2 * KID_LENGTH;
const SEALED_LENGTH: usize = KEY_LENGTH + TAG_LENGTH;
const FIXED_LENGTH: usize = PREFIX_LENGTH + SEALED_LENGTH + SIGNATURE_LENGTH;
const LABEL: &[u8] = b"ane1/share";
const SIGNED: &[u8] = b"entente share\0";

/// A key of the recipient's that its card names.
#[derive(Clone, Copy, Debug)]
pub enum RecipientKey<'a> {
    /// X-Wing: what is used wherever it is published. Post-quantum.
    Hybrid(&'a KemPublic),
    /// X25519, for parties that publish nothing else.
    Classical(&'a DhPublic),
}

/// The recipient's secret half.
#[derive(Clone, Copy, Debug)]
pub enum RecipientSecret<'a> {
    /// X-Wing.
    Hybrid(&'a KemSecret),
    /// X25519.
    Classical(&'a DhSecret),
}

/// Whom a share joins, and what it shares.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The record; its owner shares it.
    pub place: Place<'a>,
    /// Whom it is shared with.
    pub recipient: &'a Did,
    /// The id of the DEK.
    pub dek: DekId,
}

/// What a row says of itself before anything is verified: which keys to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The owner's signing key.
    pub signer_kid: String,
    /// The recipient's key.
    pub recipient_kid: String,
}

struct Parsed<'a> {
    kem: u8,
    signer_kid: &'a str,
    recipient_kid: &'a str,
    enc: &'a [u8],
    sealed: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

impl RecipientKey<'_> {
    fn kem(&self) -> u8 {
        match self {
            Self::Hybrid(_) => KEM_X_WING,
            Self::Classical(_) => KEM_X25519,
        }
    }

    fn kid(&self) -> String {
        match self {
            Self::Hybrid(key) => kid(&key.to_multikey()),
            Self::Classical(key) => kid(&key.to_multikey()),
        }
    }
}

impl RecipientSecret<'_> {
    fn kem(&self) -> u8 {
        match self {
            Self::Hybrid(_) => KEM_X_WING,
            Self::Classical(_) => KEM_X25519,
        }
    }
}

impl Share<'_> {
    pub(super) fn bound(&self, kem: u8, signer_kid: &str, recipient_kid: &str) -> Vec<u8> {
        let [owner, collection, rkey] = self.place.parts();
        bind([
            LABEL,
            &[VERSION, kem],
            owner,
            self.recipient.as_str().as_bytes(),
            signer_kid.as_bytes(),
            recipient_kid.as_bytes(),
            collection,
            rkey,
            self.dek.as_bytes(),
        ])
    }

    /// Opens a row: checks its form, that it is for the key at hand (`kid` names `secret`), that
    /// `owner` signed it for exactly this share, and then unwraps the DEK.
    ///
    /// # Errors
    /// [`MemoryError`]: `ShareLength`, `ShareUnknownVersion`, `ShareUnknownKem`,
    /// `ShareWrongRecipient`, `ShareBadSignature`, `ShareUnopenable`.
    pub fn open(
        &self,
        row: &[u8],
        owner: &VerifyingKey,
        kid: &str,
        secret: RecipientSecret<'_>,
    ) -> Result<Dek, MemoryError> {
        let row = parse(row)?;
        if row.kem != secret.kem() || row.recipient_kid != kid {
            return Err(MemoryError::ShareWrongRecipient);
        }
        let bound = self.bound(row.kem, row.signer_kid, row.recipient_kid);
        owner
            .verify(&[SIGNED, &bound, row.signed], row.signature)
            .map_err(|_error| MemoryError::ShareBadSignature)?;
        let key = match secret {
            RecipientSecret::Hybrid(secret) => unseal::<XWing>(secret.hpke(), &row, &bound),
            RecipientSecret::Classical(secret) => {
                let seed = secret.seed();
                let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*seed)
                    .map_err(|_error| MemoryError::ShareUnopenable)?;
                unseal::<X25519HkdfSha256>(&secret, &row, &bound)
            }
        };
        Ok(Dek::from_parts(self.dek, key?))
    }
}

/// Shares the DEK of the record at `place` with `recipient`, by one of its keys.
///
/// # Errors
/// [`MemoryError::ShareBadKey`] if the key cannot be used.
pub fn make<R: CryptoRng + ?Sized>(
    place: &Place<'_>,
    dek: &Dek,
    signing: &SigningKey,
    recipient: &Did,
    key: RecipientKey<'_>,
    rng: &mut R,
) -> Result<Vec<u8>, MemoryError> {
    let share = Share {
        place: *place,
        recipient,
        dek: dek.id(),
    };
    let signer_kid = kid(&signing.verifying_key().to_multikey());
    let recipient_kid = key.kid();
    let bound = share.bound(key.kem(), &signer_kid, &recipient_kid);
    let mut row = Vec::with_capacity(X_WING_LENGTH);
    row.extend_from_slice(&[VERSION, key.kem()]);
    row.extend_from_slice(signer_kid.as_bytes());
    row.extend_from_slice(recipient_kid.as_bytes());
    match key {
        RecipientKey::Hybrid(public) => seal::<XWing, R>(public.hpke(), dek, &bound, rng, &mut row),
        RecipientKey::Classical(public) => {
            let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public.to_bytes())
                .map_err(|_error| MemoryError::ShareBadKey)?;
            seal::<X25519HkdfSha256, R>(&public, dek, &bound, rng, &mut row)
        }
    }?;
    let signature = signing.sign(&[SIGNED, &bound, &row]);
    row.extend_from_slice(&signature);
    Ok(row)
}

/// Reads which keys a row names. Nothing of it is believed yet.
///
/// # Errors
/// [`MemoryError`]: `ShareLength`, `ShareUnknownVersion`, `ShareUnknownKem`.
pub fn peek(row: &[u8]) -> Result<Peek, MemoryError> {
    let row = parse(row)?;
    Ok(Peek {
        signer_kid: row.signer_kid.to_owned(),
        recipient_kid: row.recipient_kid.to_owned(),
    })
}

fn seal<K: Kem, R: CryptoRng + ?Sized>(
    key: &K::PublicKey,
    dek: &Dek,
    bound: &[u8],
    rng: &mut R,
    row: &mut Vec<u8>,
) -> Result<(), MemoryError> {
    let (enc, sealed) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, K>(
        &OpModeS::Base,
        key,
        bound,
        dek.key(),
        bound,
        &mut &mut *rng,
    )
    .map_err(|_error| MemoryError::ShareBadKey)?;
    row.extend_from_slice(&enc.to_bytes());
    row.extend_from_slice(&sealed);
    Ok(())
}

fn unseal<K: Kem>(
    secret: &K::PrivateKey,
    row: &Parsed<'_>,
    bound: &[u8],
) -> Result<Zeroizing<[u8; KEY_LENGTH]>, MemoryError> {
    let unopenable = |_error| MemoryError::ShareUnopenable;
    let enc = K::EncappedKey::from_bytes(row.enc).map_err(unopenable)?;
    let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(
        &OpModeR::Base,
        secret,
        &enc,
        bound,
        row.sealed,
        bound,
    );
    let opened = Zeroizing::new(opened.map_err(unopenable)?);
    let key: &[u8; KEY_LENGTH] = opened
        .as_slice()
        .try_into()
        .map_err(|_error| MemoryError::ShareUnopenable)?;
    Ok(Zeroizing::new(*key))
}

fn parse(row: &[u8]) -> Result<Parsed<'_>, MemoryError> {
    let length = || MemoryError::ShareLength;
    let ([version, kem], rest) = row.split_first_chunk().ok_or_else(length)?;
    if *version != VERSION {
        return Err(MemoryError::ShareUnknownVersion);
    }
    let expected = match *kem {
        KEM_X_WING => X_WING_LENGTH,
        KEM_X25519 => X25519_LENGTH,
        _ => return Err(MemoryError::ShareUnknownKem),
    };
    if row.len() != expected {
        return Err(length());
    }
    let (signer_kid, rest) = rest.split_at_checked(KID_LENGTH).ok_or_else(length)?;
    let (recipient_kid, rest) = rest.split_at_checked(KID_LENGTH).ok_or_else(length)?;
    let enc_length = expected.saturating_sub(FIXED_LENGTH);
    let (enc, rest) = rest.split_at_checked(enc_length).ok_or_else(length)?;
    let (sealed, signature) = rest.split_at_checked(SEALED_LENGTH).ok_or_else(length)?;
    let signed = row.len().saturating_sub(SIGNATURE_LENGTH);
    Ok(Parsed {
        kem: *kem,
        // Kids are base32; anything else names no key that there is.
        signer_kid: std::str::from_utf8(signer_kid).unwrap_or_default(),
        recipient_kid: std::str::from_utf8(recipient_kid).unwrap_or_default(),
        enc,
        sealed,
        signed: row.get(..signed).unwrap_or_default(),
        signature,
    })
}
