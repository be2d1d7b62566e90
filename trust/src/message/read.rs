//! The mark by which an agent says that it has read messages, for those who sent them.
//!
//! ```text
//! mark      = at u64 ‖ count u16 ‖ ids, 16 each ‖ signature (64)
//! signature = Ed25519 by the reader over "entente read" ‖ 0x00 ‖ reader's DID ‖ writer's DID ‖ at ‖ count ‖ ids
//! ```
//!
//! It names both agents, so it is of no use to anybody else; and it is the agent's own word, not
//! its network's: relays pass it on and cannot make one.

use entente_lexicon::{Did, Timestamp};

use crate::crypto::hash::sha256;
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

/// The most messages that one mark names.
pub const MAX_MARKED: usize = 64;

const LABEL: &[u8] = b"entente read\0";
const FIXED_LENGTH: usize = 8 + 2;

/// What a reader says: these messages of one writer were read by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadMark {
    /// When, by the reader's clock.
    pub at: Timestamp,
    /// The messages' ids, 1 to [`MAX_MARKED`].
    pub ids: Vec<[u8; 16]>,
    /// The reader's signature.
    signature: [u8; SIGNATURE_LENGTH],
}

impl ReadMark {
    /// Signs a mark. More than [`MAX_MARKED`] ids are more than anybody reads.
    #[must_use]
    pub fn sign(
        reader: (&Did, &SigningKey),
        writer: &Did,
        at: Timestamp,
        ids: Vec<[u8; 16]>,
    ) -> Self {
        let signature = reader.1.sign(&[&statement(reader.0, writer, at, &ids)]);
        Self { at, ids, signature }
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = said(self.at, &self.ids);
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads one; `None` for any other layout. Nothing is verified.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (said, signature) = bytes.split_last_chunk::<SIGNATURE_LENGTH>()?;
        let (at, rest) = said.split_first_chunk::<8>()?;
        let (count, ids) = rest.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_be_bytes(*count));
        let (ids, rest) = ids.as_chunks::<16>();
        let fits = rest.is_empty() && ids.len() == count && (1..=MAX_MARKED).contains(&count);
        fits.then(|| Self {
            at: Timestamp(u64::from_be_bytes(*at)),
            ids: ids.to_vec(),
            signature: *signature,
        })
    }

    /// Tells whether `key`, the reader's, signed it for the writer.
    #[must_use]
    pub fn is_by(&self, reader: &Did, key: &VerifyingKey, writer: &Did) -> bool {
        let statement = statement(reader, writer, self.at, &self.ids);
        key.verify(&[&statement], &self.signature).is_ok()
    }

    /// Returns the exact bytes that the reader signed.
    #[must_use]
    pub fn statement(&self, reader: &Did, writer: &Did) -> Vec<u8> {
        statement(reader, writer, self.at, &self.ids)
    }

    /// Returns the signature under them.
    #[must_use]
    pub const fn signature(&self) -> &[u8; SIGNATURE_LENGTH] {
        &self.signature
    }

    /// Returns a name for it: the same for the same mark, however often it is sent.
    #[must_use]
    pub fn name(&self) -> [u8; 16] {
        let hash = sha256(&[&self.encode()]);
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().zip(hash) {
            *to = from;
        }
        name
    }
}

fn statement(reader: &Did, writer: &Did, at: Timestamp, ids: &[[u8; 16]]) -> Vec<u8> {
    let names = [
        LABEL,
        reader.as_str().as_bytes(),
        writer.as_str().as_bytes(),
    ];
    let mut text = names.concat();
    text.extend(said(at, ids));
    text
}

fn said(at: Timestamp, ids: &[[u8; 16]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIXED_LENGTH.saturating_add(ids.len().saturating_mul(16)));
    bytes.extend_from_slice(&at.0.to_be_bytes());
    let count = u16::try_from(ids.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&count.to_be_bytes());
    for id in ids {
        bytes.extend_from_slice(id);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::test_rng::TestRng;

    fn key(seed: u64) -> SigningKey {
        SigningKey::generate(&mut TestRng::new(seed))
    }

    fn did(n: u8) -> Did {
        Did::from_scid(&[n; 32])
    }

    fn mark(ids: Vec<[u8; 16]>) -> ReadMark {
        ReadMark::sign((&did(1), &key(1)), &did(2), Timestamp(5), ids)
    }

    #[test]
    fn a_mark_is_the_readers_word_to_one_writer() {
        let mark = mark(vec![[7; 16], [8; 16]]);
        let public = key(1).verifying_key();
        assert_eq!(ReadMark::decode(&mark.encode()), Some(mark.clone()));
        assert!(mark.is_by(&did(1), &public, &did(2)));
        assert!(
            !mark.is_by(&did(1), &key(2).verifying_key(), &did(2)),
            "another signer"
        );
        assert!(!mark.is_by(&did(3), &public, &did(2)), "another reader");
        assert!(!mark.is_by(&did(1), &public, &did(3)), "another writer");
        let statement = mark.statement(&did(1), &did(2));
        assert!(public.verify(&[&statement], mark.signature()).is_ok());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = mark(vec![[7; 16], [8; 16]]).encode();
        let public = key(1).verifying_key();
        let holds = |bytes: &[u8]| {
            ReadMark::decode(bytes).is_some_and(|mark| mark.is_by(&did(1), &public, &did(2)))
        };
        assert!(holds(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&flipped), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(!holds(&bytes[..length]));
        }
    }

    #[test]
    fn a_mark_names_something_and_not_too_much() {
        for count in [0, MAX_MARKED + 1] {
            let ids = vec![[1; 16]; count];
            assert_eq!(ReadMark::decode(&mark(ids).encode()), None, "{count}");
        }
        assert!(ReadMark::decode(&mark(vec![[1; 16]; MAX_MARKED]).encode()).is_some());
    }

    proptest! {
        #[test]
        fn what_decodes_is_written_back_and_no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            ids in prop::collection::vec(any::<[u8; 16]>(), 1..MAX_MARKED),
        ) {
            if let Some(mark) = ReadMark::decode(&bytes) {
                prop_assert_eq!(mark.encode(), bytes);
            }
            let mark = mark(ids);
            prop_assert_eq!(ReadMark::decode(&mark.encode()), Some(mark));
        }
    }
}
