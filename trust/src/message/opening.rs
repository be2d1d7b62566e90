//! How an epoch begins: one encapsulation to the recipient's prekey, one signature inside.

use entente_lexicon::Did;
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::envelope::{
    EpochId, KID_LENGTH, LABEL, OPENING_LENGTH, OpenError, Opening, SUITE, SealError, is_kid,
};
use super::prekey::Prekey;
use super::ratchet::Chain;
use crate::crypto::kem::{self, CIPHERTEXT_LENGTH, KemSecret};
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

const CHAIN: &[u8] = b"entente chain";

/// Whom an epoch joins.
#[derive(Clone, Copy)]
pub(super) struct Parties<'a> {
    pub(super) from: &'a Did,
    pub(super) to: &'a Did,
    pub(super) kid: &'a str,
    pub(super) epoch: &'a EpochId,
}

impl Parties<'_> {
    /// Label, suite, and each of the parties after its length: HPKE's `info`, and what is signed
    /// together with the encapsulation.
    fn bind(&self) -> Vec<u8> {
        let mut bytes = LABEL.to_vec();
        bytes.push(SUITE);
        let fields = [self.from.as_str(), self.to.as_str(), self.kid].map(str::as_bytes);
        for field in fields.into_iter().chain([&self.epoch[..]]) {
            // Every field is far shorter than 4 GiB.
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(field);
        }
        bytes
    }
}

/// Opens an epoch to `prekey`. Returns the opening's bytes and the chain that both will share.
pub(super) fn make<R: CryptoRng + ?Sized>(
    from: &Did,
    epoch: &EpochId,
    prekey: &Prekey,
    signing: &SigningKey,
    rng: &mut R,
) -> Result<(Vec<u8>, Chain), SealError> {
    let parties = Parties {
        from,
        to: &prekey.did,
        kid: &prekey.kid,
        epoch,
    };
    if !is_kid(parties.kid) {
        return Err(SealError::Key);
    }
    let bound = parties.bind();
    let (encapsulation, mut context) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(
        &OpModeS::Base, prekey.key.hpke(), &bound, &mut &mut *rng
    )
    .map_err(|_error| SealError::Key)?;
    let mut opening = Vec::with_capacity(OPENING_LENGTH);
    opening.extend_from_slice(prekey.kid.as_bytes());
    opening.resize(KID_LENGTH + CIPHERTEXT_LENGTH, 0);
    let (_, enc) = opening.split_at_mut(KID_LENGTH);
    encapsulation.write_exact(enc);
    let mut signature = signing.sign(&[&bound, enc]);
    let tag = context
        .seal_inout_detached(InOutBuf::from(&mut signature[..]), b"")
        .map_err(|_error| SealError::Key)?;
    opening.extend_from_slice(&signature);
    opening.extend_from_slice(&tag.to_bytes());
    let mut root = Zeroizing::new([0; 32]);
    context
        .export(CHAIN, &mut *root)
        .map_err(|_error| SealError::Key)?;
    Ok((opening, Chain::at(root, 0)))
}

/// Accepts an epoch: one decapsulation, one verification. Nothing may be stored before.
pub(super) fn accept(
    opening: &Opening<'_>,
    parties: &Parties<'_>,
    prekey: &KemSecret,
    sender: &VerifyingKey,
) -> Result<Chain, OpenError> {
    let encapsulation =
        kem::parse_encapsulation(opening.encapsulation).map_err(|_error| OpenError::Malformed)?;
    let bound = parties.bind();
    let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        prekey.hpke(),
        &encapsulation,
        &bound,
    )
    .map_err(|_error| OpenError::Undecryptable)?;
    let (sealed, tag) = opening
        .signature
        .split_first_chunk::<SIGNATURE_LENGTH>()
        .ok_or(OpenError::Malformed)?;
    let tag =
        AeadTag::<ChaCha20Poly1305>::from_bytes(tag).map_err(|_error| OpenError::Malformed)?;
    let mut signature = *sealed;
    context
        .open_inout_detached(InOutBuf::from(&mut signature[..]), b"", &tag)
        .map_err(|_error| OpenError::Undecryptable)?;
    sender
        .verify(&[&bound, opening.encapsulation], &signature)
        .map_err(|_error| OpenError::BadSignature)?;
    let mut root = Zeroizing::new([0; 32]);
    context
        .export(CHAIN, &mut *root)
        .map_err(|_error| OpenError::Undecryptable)?;
    Ok(Chain::at(root, 0))
}
