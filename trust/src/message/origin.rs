//! The outer origin signature, for relays that must know which agent sent what they carry.
//!
//! ```text
//! signed    = 0xff ‖ envelope ‖ signature (64)
//! envelope  = head ‖ rest                     head = suite ‖ u16be header length ‖ header
//! signature = Ed25519 by header.from over "entente origin" ‖ 0x00 ‖ u32be head length ‖ head ‖ SHA-256(rest)
//! ```
//!
//! It stands outside and is the same for every suite: whoever checks it opens nothing. It costs the
//! sender its deniability towards the relays, so it is attached only where a link asks for it, and
//! the recipient, whose proof stands inside the seal, takes it off unread.

use super::header::Header;
use super::outer::Outer;
use crate::crypto::hash::sha256;
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

const MARK: u8 = 0xff;
const LABEL: &[u8] = b"entente origin\0";

/// Why an origin does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// What is inside is no envelope.
    #[error("the bytes are not a sealed message")]
    Malformed,
    /// There is none, and this place asks for one.
    #[error("the message carries no signature of its sender on the outside")]
    Missing,
    /// It was not made by this key over these bytes.
    #[error("the signature on the outside is not one by the message's sender")]
    BadSignature,
}

impl OriginError {
    /// Returns the stable code told to the sender.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "MESSAGE_MALFORMED",
            Self::Missing => "ORIGIN_MISSING",
            Self::BadSignature => "ORIGIN_INVALID",
        }
    }
}

/// Signs a sealed message on the outside. `sender` must be the key of its header's `from`.
///
/// # Errors
/// [`OriginError::Malformed`] for what is no envelope, or carries an origin already.
pub fn sign_origin(envelope: &[u8], sender: &SigningKey) -> Result<Vec<u8>, OriginError> {
    let (length, hash) = statement(envelope)?;
    let head = envelope.get(..length).ok_or(OriginError::Malformed)?;
    let signature = sender.sign(&[LABEL, &length_bytes(length), head, &hash]);
    let mut signed = Vec::with_capacity(1 + envelope.len() + SIGNATURE_LENGTH);
    signed.push(MARK);
    signed.extend_from_slice(envelope);
    signed.extend_from_slice(&signature);
    Ok(signed)
}

/// Checks that `sender` signed a message on the outside.
///
/// `sender` must be the key of the message's [`Header::peek`]`.from`: the caller knows, this
/// function cannot.
///
/// # Errors
/// [`OriginError`].
pub fn check_origin(message: &[u8], sender: &VerifyingKey) -> Result<(), OriginError> {
    let (envelope, signature) = split(message);
    let (length, hash) = statement(envelope)?;
    let signature = signature.ok_or(OriginError::Missing)?;
    let head = envelope.get(..length).ok_or(OriginError::Malformed)?;
    sender
        .verify(&[LABEL, &length_bytes(length), head, &hash], signature)
        .map_err(|_error| OriginError::BadSignature)
}

/// Returns the sealed message without its origin, if it carries one.
#[must_use]
pub fn strip_origin(message: &[u8]) -> &[u8] {
    split(message).0
}

/// Tells whether a message carries an origin; nothing of it is checked.
#[must_use]
pub fn has_origin(message: &[u8]) -> bool {
    split(message).1.is_some()
}

fn split(message: &[u8]) -> (&[u8], Option<&[u8; SIGNATURE_LENGTH]>) {
    match message.split_first() {
        Some((&MARK, rest)) => match rest.split_last_chunk::<SIGNATURE_LENGTH>() {
            Some((envelope, signature)) => (envelope, Some(signature)),
            None => (message, None),
        },
        Some(_) | None => (message, None),
    }
}

/// Returns the length of the head, and the hash of what follows it.
fn statement(envelope: &[u8]) -> Result<(usize, [u8; 32]), OriginError> {
    let outer = Outer::parse(envelope).ok_or(OriginError::Malformed)?;
    if outer.suite == MARK || Header::decode(outer.header).is_none() {
        return Err(OriginError::Malformed);
    }
    Ok((outer.head.len(), sha256(&[outer.rest])))
}

/// A head is far shorter than 4 GiB.
fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use entente_lexicon::{Did, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::test_rng::TestRng;

    fn key(seed: u64) -> SigningKey {
        SigningKey::generate(&mut TestRng::new(seed))
    }

    /// An envelope of a suite nobody knows: the origin does not care.
    fn envelope(suite: u8, rest: &[u8]) -> Vec<u8> {
        let header = Header {
            id: [7; 16],
            from: Did::from_scid(&[1; 32]),
            to: Did::from_scid(&[2; 32]),
            network: Did::from_scid(&[3; 32]),
            index: 4,
            expires: Some(Timestamp(5)),
        };
        let header = header.encode().unwrap();
        let length = u16::try_from(header.len()).unwrap();
        [&[suite][..], &length.to_be_bytes(), &header, rest].concat()
    }

    #[test]
    fn an_origin_holds_for_its_signer_and_comes_off() {
        for suite in [1, 2, 77] {
            let bytes = envelope(suite, b"sealed");
            let signed = sign_origin(&bytes, &key(1)).unwrap();
            assert_eq!(check_origin(&signed, &key(1).verifying_key()), Ok(()));
            assert_eq!(strip_origin(&signed), bytes);
            assert!(has_origin(&signed) && !has_origin(&bytes));
            assert_eq!(Header::peek(&signed), Header::peek(&bytes));
        }
    }

    #[test]
    fn a_message_without_an_origin_or_of_another_signer_is_told_apart() {
        let bytes = envelope(2, b"sealed");
        let public = key(1).verifying_key();
        assert_eq!(check_origin(&bytes, &public), Err(OriginError::Missing));
        let signed = sign_origin(&bytes, &key(2)).unwrap();
        assert_eq!(
            check_origin(&signed, &public),
            Err(OriginError::BadSignature)
        );
    }

    #[test]
    fn an_origin_of_another_message_does_not_fit() {
        let public = key(1).verifying_key();
        let one = sign_origin(&envelope(2, b"one"), &key(1)).unwrap();
        let other = envelope(2, b"two");
        let tail = one.len() - SIGNATURE_LENGTH;
        let moved = [&[MARK][..], &other, &one[tail..]].concat();
        assert_eq!(
            check_origin(&moved, &public),
            Err(OriginError::BadSignature)
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let public = key(1).verifying_key();
        let signed = sign_origin(&envelope(2, b"sealed"), &key(1)).unwrap();
        for bit in 0..signed.len() * 8 {
            let mut flipped = signed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check_origin(&flipped, &public).is_err(), "bit {bit}");
        }
        for length in 0..signed.len() {
            assert!(check_origin(&signed[..length], &public).is_err());
        }
    }

    #[test]
    fn an_origin_is_not_put_around_an_origin() {
        let signed = sign_origin(&envelope(2, b"sealed"), &key(1)).unwrap();
        assert_eq!(sign_origin(&signed, &key(1)), Err(OriginError::Malformed));
        assert_eq!(sign_origin(b"", &key(1)), Err(OriginError::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let marked = [&[MARK][..], &bytes].concat();
            let _ = check_origin(&bytes, &key(1).verifying_key());
            prop_assert!(check_origin(&marked, &key(1).verifying_key()).is_err());
            let _ = (strip_origin(&marked), has_origin(&marked));
        }
    }
}
