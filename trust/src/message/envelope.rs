//! The wire form of suite 2, and why a message is not sealed or not opened.

use entente_lexicon::Did;

use super::body::MAX_BODY_LENGTH;
use super::header::Header;
use super::outer::Outer;
use super::padding::{bucket, is_bucket};
use super::ratchet::MAX_EPOCH_MESSAGES;
use crate::crypto::kem::CIPHERTEXT_LENGTH;
use crate::crypto::sign::SIGNATURE_LENGTH;

/// The one suite known here: an encapsulation and a signature per conversation epoch, then a
/// ratchet.
pub const SUITE: u8 = 2;

/// The id of a conversation epoch, chosen at random by its sender.
pub type EpochId = [u8; 16];

pub(super) const LABEL: &[u8] = b"entente message\0";
pub(super) const KID_LENGTH: usize = 16;
pub(super) const TAG_LENGTH: usize = 16;
pub(super) const NONCE_LENGTH: usize = 24;
pub(super) const COMMITMENT_LENGTH: usize = 32;
pub(super) const LENGTH_LENGTH: usize = 4;
/// A signature under the AEAD of HPKE.
pub(super) const SEALED_SIGNATURE_LENGTH: usize = SIGNATURE_LENGTH + TAG_LENGTH;
/// What opens an epoch: the prekey's kid, the encapsulation, the sealed signature.
pub(super) const OPENING_LENGTH: usize = KID_LENGTH + CIPHERTEXT_LENGTH + SEALED_SIGNATURE_LENGTH;

const WITHOUT_OPENING: u8 = 0;
const WITH_OPENING: u8 = 1;

/// An envelope taken apart but not opened.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// The routing header.
    pub header: Header,
    /// The conversation epoch it belongs to.
    pub epoch: EpochId,
    /// Which of the epoch's keys seals it.
    pub index: u16,
    /// What opens the epoch, if the sender does not know yet that the recipient has it.
    pub opening: Option<Opening<'a>>,
    pub(super) prefix: &'a [u8],
    pub(super) nonce: &'a [u8; NONCE_LENGTH],
    pub(super) commitment: &'a [u8; COMMITMENT_LENGTH],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: &'a [u8; TAG_LENGTH],
}

/// What opens a conversation epoch.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Which of the recipient's prekeys it is sealed to.
    pub kid: &'a str,
    pub(super) encapsulation: &'a [u8; CIPHERTEXT_LENGTH],
    pub(super) signature: &'a [u8; SEALED_SIGNATURE_LENGTH],
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
}

/// Why a message cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The encoded body is longer than 64 KiB.
    #[error("the message is larger than 64 KiB; send a reference to it instead")]
    TooLarge,
    /// A priority outside 1 to 5, or a thread longer than 256 bytes.
    #[error("the message has a field out of range: priority is 1 to 5, thread at most 256 bytes")]
    Field,
    /// The recipient's key cannot be used.
    #[error("the recipient's key cannot be used")]
    Key,
    /// The epoch belongs to another conversation, or its keys are used up.
    #[error("the conversation epoch cannot seal this message; open another")]
    Epoch,
}

/// Why a message does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no envelope.
    #[error("the bytes are not a sealed message")]
    Malformed,
    /// Another suite.
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
    /// Its epoch was opened to a prekey that is gone.
    #[error("the conversation was opened to a key that is gone; the sender must open it anew")]
    UnknownKey,
    /// Its epoch is not known here, or the key is used already.
    #[error("the conversation is not known here; the sender must open it anew")]
    UnknownEpoch,
    /// It was changed, or sealed to another key than it says.
    #[error("the message does not decrypt")]
    Undecryptable,
    /// The epoch was not signed by its sender for this recipient.
    #[error("the conversation is not signed by its sender for this recipient")]
    BadSignature,
    /// The sender sealed a body that is none.
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
            Self::UnknownEpoch => "UNKNOWN_EPOCH",
            Self::Undecryptable => "UNDECRYPTABLE",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::BadBody => "BODY_MALFORMED",
        }
    }
}

/// Tells whether a refusal with this code asks the sender to seal the message anew, in a new epoch
/// and under the same id.
#[must_use]
pub fn asks_to_reseal(code: &str) -> bool {
    code == OpenError::UnknownKey.code() || code == OpenError::UnknownEpoch.code()
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart, checking every length but nothing else. An
    /// [`origin`](super::origin) is stripped before.
    ///
    /// # Errors
    /// [`OpenError::Malformed`], [`OpenError::UnknownSuite`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OpenError> {
        let outer = Outer::parse(bytes).ok_or(OpenError::Malformed)?;
        if outer.suite != SUITE {
            return Err(OpenError::UnknownSuite(outer.suite));
        }
        Self::parse_parts(bytes, &outer).ok_or(OpenError::Malformed)
    }

    fn parse_parts(bytes: &'a [u8], outer: &Outer<'a>) -> Option<Self> {
        let (epoch, rest) = outer.rest.split_first_chunk::<16>()?;
        let (index, rest) = rest.split_first_chunk::<2>()?;
        let index = u16::from_be_bytes(*index);
        let (flag, rest) = rest.split_first()?;
        let (opening, rest) = match *flag {
            WITHOUT_OPENING => (None, rest),
            WITH_OPENING => {
                let (opening, rest) = rest.split_at_checked(OPENING_LENGTH)?;
                (Some(Opening::parse(opening)?), rest)
            }
            _ => return None,
        };
        let prefix = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LENGTH>()?;
        let (commitment, rest) = rest.split_first_chunk::<COMMITMENT_LENGTH>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LENGTH>()?;
        let fits = is_bucket(ciphertext.len())
            && ciphertext.len() <= bucket(LENGTH_LENGTH + MAX_BODY_LENGTH);
        if !fits || index >= MAX_EPOCH_MESSAGES {
            return None;
        }
        Some(Self {
            header: Header::decode(outer.header)?,
            epoch: *epoch,
            index,
            opening,
            prefix,
            nonce,
            commitment,
            ciphertext,
            tag,
        })
    }

    pub(super) fn check(&self, expected: &Expected<'_>) -> Result<(), OpenError> {
        let header = &self.header;
        if header.network != *expected.network {
            Err(OpenError::WrongNetwork)
        } else if header.to != *expected.to {
            Err(OpenError::WrongRecipient)
        } else if header.from != *expected.from {
            Err(OpenError::WrongSender)
        } else {
            Ok(())
        }
    }
}

impl<'a> Opening<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (kid, rest) = bytes.split_at_checked(KID_LENGTH)?;
        let (encapsulation, rest) = rest.split_first_chunk()?;
        let (signature, rest) = rest.split_first_chunk()?;
        let kid = std::str::from_utf8(kid).ok().filter(|kid| is_kid(kid))?;
        rest.is_empty().then_some(Self {
            kid,
            encapsulation,
            signature,
        })
    }
}

pub(super) fn is_kid(text: &str) -> bool {
    let base32 = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    text.len() == KID_LENGTH && text.bytes().all(base32)
}

/// Writes what comes before the nonce: everything that a message is bound to.
pub(super) fn write_prefix(
    header: &Header,
    epoch: &EpochId,
    index: u16,
    opening: Option<&[u8]>,
) -> Option<Vec<u8>> {
    let header = header.encode()?;
    let length = u16::try_from(header.len()).ok()?;
    let mut prefix = Vec::with_capacity(header.len() + OPENING_LENGTH + 32);
    prefix.push(SUITE);
    prefix.extend_from_slice(&length.to_be_bytes());
    prefix.extend_from_slice(&header);
    prefix.extend_from_slice(epoch);
    prefix.extend_from_slice(&index.to_be_bytes());
    prefix.push(if opening.is_some() {
        WITH_OPENING
    } else {
        WITHOUT_OPENING
    });
    prefix.extend_from_slice(opening.unwrap_or_default());
    Some(prefix)
}
