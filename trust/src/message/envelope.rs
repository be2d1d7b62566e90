//! Sealing and opening.

use entente_lexicon::Did;
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::body::{Body, MAX_BODY_LENGTH};
use super::header::{Header, MAX_HEADER_LENGTH};
use super::padding::{bucket, is_bucket};
use crate::crypto::hash::sha256;
use crate::crypto::kem::{self, CIPHERTEXT_LENGTH, KemPublic, KemSecret};
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

/// The one suite known here: an HPKE encapsulation per message.
pub const SUITE: u8 = 1;

const LABEL: &[u8] = b"entente message\0";
const INFO: &[u8] = b"entente message\0\x01";
const KID_LENGTH: usize = 16;
const TAG_LENGTH: usize = 16;
const LENGTH_LENGTH: usize = 4;

/// An envelope taken apart but not opened.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// The routing header.
    pub header: Header,
    /// Which of the recipient's X-Wing keys it was sealed to.
    pub kid: &'a str,
    header_bytes: &'a [u8],
    prefix: &'a [u8],
    encapsulation: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8],
}

/// What the recipient knows must stand in a message that is its own to open.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The agent whose key verifies the signature.
    pub from: &'a Did,
    /// The recipient.
    pub to: &'a Did,
    /// The recipient's network.
    pub network: &'a Did,
    /// The recipient's X-Wing key in use.
    pub kid: &'a str,
}

/// Why a message cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The encoded body is longer than 64 KiB.
    #[error("the message is larger than 64 KiB; send a reference to it instead")]
    TooLarge,
    /// A priority outside 1 to 5, a thread longer than 256 bytes, or a kid that is none.
    #[error("the message has a field out of range: priority is 1 to 5, thread at most 256 bytes")]
    Field,
    /// The recipient's key cannot be used.
    #[error("the recipient's key cannot be used")]
    Key,
}

/// Why a message does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no envelope.
    #[error("the bytes are not a sealed message")]
    Malformed,
    /// A suite from a later release.
    #[error("the message is sealed under suite {0}, which this release does not know")]
    UnknownSuite(u8),
    /// It names another sender than the one whose key was given.
    #[error("the message names another sender")]
    WrongSender,
    /// It is for another agent.
    #[error("the message is for another agent")]
    WrongRecipient,
    /// It is for an agent of another network.
    #[error("the message is for another network")]
    WrongNetwork,
    /// It was sealed to a key that is not in use.
    #[error("the message was sealed to a key that is not in use; the sender must seal it anew")]
    UnknownKey,
    /// It was changed, or sealed to another key than it says.
    #[error("the message does not decrypt")]
    Undecryptable,
    /// It was not signed by its sender for this recipient.
    #[error("the message is not signed by its sender for this recipient")]
    BadSignature,
    /// The sender signed a body that is none.
    #[error("the message decrypts to something that is not a message body")]
    BadBody,
}

impl OpenError {
    /// Returns the stable code told to the sender.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "MESSAGE_MALFORMED",
            Self::UnknownSuite(_) => "UNKNOWN_SUITE",
            Self::WrongSender => "WRONG_SENDER",
            Self::WrongRecipient => "WRONG_RECIPIENT",
            Self::WrongNetwork => "WRONG_NETWORK",
            Self::UnknownKey => "KEY_EXPIRED",
            Self::Undecryptable => "UNDECRYPTABLE",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::BadBody => "BODY_MALFORMED",
        }
    }
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart, checking every length but no signature.
    ///
    /// # Errors
    /// [`OpenError::Malformed`], [`OpenError::UnknownSuite`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OpenError> {
        let (suite, rest) = bytes.split_first().ok_or(OpenError::Malformed)?;
        if *suite != SUITE {
            return Err(OpenError::UnknownSuite(*suite));
        }
        Self::parse_parts(bytes, rest).ok_or(OpenError::Malformed)
    }

    fn parse_parts(bytes: &'a [u8], rest: &'a [u8]) -> Option<Self> {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_HEADER_LENGTH {
            return None;
        }
        let (header_bytes, rest) = rest.split_at_checked(length)?;
        let (kid, rest) = rest.split_at_checked(KID_LENGTH)?;
        let prefix = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
        let (encapsulation, rest) = rest.split_at_checked(CIPHERTEXT_LENGTH)?;
        let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LENGTH)?)?;
        let padded = ciphertext.len().checked_sub(SIGNATURE_LENGTH)?;
        if !is_bucket(padded) || padded > bucket(LENGTH_LENGTH + MAX_BODY_LENGTH) {
            return None;
        }
        Some(Self {
            header: Header::decode(header_bytes)?,
            kid: std::str::from_utf8(kid).ok().filter(|kid| is_kid(kid))?,
            header_bytes,
            prefix,
            encapsulation,
            ciphertext,
            tag,
        })
    }
}

/// Seals `body` for the holder of `recipient`, whose key is known as `recipient_kid`.
///
/// `recipient` must be the key of `header.to`, and `sender` that of `header.from`: the caller
/// knows, this function cannot. One encapsulation and one signature.
///
/// # Errors
/// [`SealError`].
pub fn seal<R: CryptoRng + ?Sized>(
    header: &Header,
    body: &Body,
    sender: &SigningKey,
    recipient: &KemPublic,
    recipient_kid: &str,
    rng: &mut R,
) -> Result<Vec<u8>, SealError> {
    let header_bytes = header.encode().ok_or(SealError::Field)?;
    let header_length = u16::try_from(header_bytes.len()).map_err(|_error| SealError::Field)?;
    let body = Zeroizing::new(body.encode().ok_or(SealError::Field)?);
    if !is_kid(recipient_kid) {
        return Err(SealError::Field);
    }
    if body.len() > MAX_BODY_LENGTH {
        return Err(SealError::TooLarge);
    }
    let body_length = u32::try_from(body.len()).map_err(|_error| SealError::TooLarge)?;
    let (encapsulation, mut context) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(&OpModeS::Base, recipient.hpke(), INFO, &mut &mut *rng)
    .map_err(|_error| SealError::Key)?;

    let plaintext_length = SIGNATURE_LENGTH + bucket(LENGTH_LENGTH + body.len());
    let prefix_length = 1 + 2 + header_bytes.len() + KID_LENGTH;
    let sealed_at = prefix_length + CIPHERTEXT_LENGTH;
    let mut bytes = Vec::with_capacity(sealed_at + plaintext_length + TAG_LENGTH);
    bytes.push(SUITE);
    bytes.extend_from_slice(&header_length.to_be_bytes());
    bytes.extend_from_slice(&header_bytes);
    bytes.extend_from_slice(recipient_kid.as_bytes());
    bytes.resize(sealed_at, 0);
    let (_, enc) = bytes.split_at_mut(prefix_length);
    encapsulation.write_exact(enc);
    let signature = sender.sign(&signed(header, recipient_kid, enc, &header_bytes, &body).parts());

    bytes.extend_from_slice(&signature);
    bytes.extend_from_slice(&body_length.to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.resize(sealed_at + plaintext_length, 0);
    let (clear, plaintext) = bytes.split_at_mut(sealed_at);
    let prefix = clear.get(..prefix_length).unwrap_or_default();
    let tag = context
        .seal_inout_detached(InOutBuf::from(plaintext), prefix)
        .map_err(|_error| SealError::Key)?;
    bytes.extend_from_slice(&tag.to_bytes());
    Ok(bytes)
}

/// Opens a message and checks that `sender` signed it for this recipient.
///
/// `sender` must be the key of `expected.from`; read [`Header::peek`] first to know whose key to
/// fetch. One decapsulation and one verification, both after everything that costs less.
///
/// # Errors
/// [`OpenError`]. Whether the message has expired or came before is the caller's to judge.
pub fn open(
    bytes: &[u8],
    recipient: &KemSecret,
    sender: &VerifyingKey,
    expected: &Expected<'_>,
) -> Result<(Header, Body), OpenError> {
    let envelope = Envelope::parse(bytes)?;
    check_header(&envelope, expected)?;
    let plaintext = decrypt(&envelope, recipient)?;
    let (signature, body) = split_plaintext(&plaintext).ok_or(OpenError::Undecryptable)?;
    let input = signed(
        &envelope.header,
        envelope.kid,
        envelope.encapsulation,
        envelope.header_bytes,
        body,
    );
    sender
        .verify(&input.parts(), signature)
        .map_err(|_error| OpenError::BadSignature)?;
    let body = Body::decode(body).ok_or(OpenError::BadBody)?;
    Ok((envelope.header, body))
}

fn check_header(envelope: &Envelope<'_>, expected: &Expected<'_>) -> Result<(), OpenError> {
    let header = &envelope.header;
    if header.network != *expected.network {
        Err(OpenError::WrongNetwork)
    } else if header.to != *expected.to {
        Err(OpenError::WrongRecipient)
    } else if header.from != *expected.from {
        Err(OpenError::WrongSender)
    } else if envelope.kid != expected.kid {
        Err(OpenError::UnknownKey)
    } else {
        Ok(())
    }
}

fn decrypt(
    envelope: &Envelope<'_>,
    recipient: &KemSecret,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let encapsulation =
        kem::parse_encapsulation(envelope.encapsulation).map_err(|_error| OpenError::Malformed)?;
    let tag = AeadTag::<ChaCha20Poly1305>::from_bytes(envelope.tag)
        .map_err(|_error| OpenError::Malformed)?;
    let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        recipient.hpke(),
        &encapsulation,
        INFO,
    )
    .map_err(|_error| OpenError::Undecryptable)?;
    let mut plaintext = Zeroizing::new(envelope.ciphertext.to_vec());
    context
        .open_inout_detached(
            InOutBuf::from(plaintext.as_mut_slice()),
            envelope.prefix,
            &tag,
        )
        .map_err(|_error| OpenError::Undecryptable)?;
    Ok(plaintext)
}

/// Splits into signature and body, insisting on the one padding there is for that body.
fn split_plaintext(plaintext: &[u8]) -> Option<(&[u8], &[u8])> {
    let (signature, padded) = plaintext.split_at_checked(SIGNATURE_LENGTH)?;
    let (length, rest) = padded.split_first_chunk::<LENGTH_LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (body, padding) = rest.split_at_checked(length)?;
    let exact = length <= MAX_BODY_LENGTH && bucket(LENGTH_LENGTH + length) == padded.len();
    (exact && padding.iter().all(|byte| *byte == 0)).then_some((signature, body))
}

fn is_kid(text: &str) -> bool {
    let base32 = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    text.len() == KID_LENGTH && text.bytes().all(base32)
}

/// What the sender signs; [`Signed::parts`] lays it out without copying.
struct Signed<'a> {
    fields: [&'a [u8]; 5],
    lengths: [[u8; 4]; 5],
    body_hash: [u8; 32],
}

fn signed<'a>(
    header: &'a Header,
    kid: &'a str,
    encapsulation: &'a [u8],
    header_bytes: &'a [u8],
    body: &[u8],
) -> Signed<'a> {
    let fields = [
        header.from.as_str().as_bytes(),
        header.to.as_str().as_bytes(),
        kid.as_bytes(),
        encapsulation,
        header_bytes,
    ];
    Signed {
        fields,
        // Every field is far shorter than 4 GiB.
        lengths: fields.map(|field| u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes()),
        body_hash: sha256(&[body]),
    }
}

impl Signed<'_> {
    fn parts(&self) -> Vec<&[u8]> {
        let mut parts: Vec<&[u8]> = Vec::with_capacity(13);
        parts.push(LABEL);
        parts.push(&[SUITE]);
        for (length, field) in self.lengths.iter().zip(&self.fields) {
            parts.push(length);
            parts.push(field);
        }
        parts.push(&self.body_hash);
        parts
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
