//! The records of stream ctl: what one network tells another beside the mail.
//!
//! ```text
//! record = kind u8 ‖ rest
//! 1 read      a mark by the agent `from` for the agent `to`; see `entente_trust::message::read`
//! 2 outcome   what became of a message to `from` by `to` that was held; see [`Outcome`]
//! ```
//!
//! A record of an unknown kind is let go: a later version may send it.

use entente_trust::message::read::ReadMark;

use crate::quarantine::Outcome;

/// The longest record.
pub const MAX_CONTROL: usize = 2_048;

const READ: u8 = 1;
const OUTCOME: u8 = 2;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// An agent read messages of another.
    Read(ReadMark),
    /// A network has decided about a message that it held.
    Outcome(Outcome),
}

impl Control {
    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Read(mark) => [&[READ][..], &mark.encode()].concat(),
            Self::Outcome(outcome) => {
                let mut bytes = vec![OUTCOME];
                outcome.write(&mut bytes);
                bytes
            }
        }
    }

    /// Reads one; `None` for any other layout and for a kind that is not known here.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            READ => ReadMark::decode(rest).map(Self::Read),
            OUTCOME => Outcome::read(rest).map(Self::Outcome),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::{Did, Timestamp};
    use entente_trust::crypto::sign::SigningKey;
    use entente_trust::message::read::MAX_MARKED;
    use proptest::prelude::*;

    use super::*;

    fn read(count: usize) -> Control {
        let (reader, writer) = (Did::from_scid(&[1; 32]), Did::from_scid(&[2; 32]));
        let key = SigningKey::from_seed(&[3; 32]);
        let ids = vec![[4; 16]; count];
        Control::Read(ReadMark::sign((&reader, &key), &writer, Timestamp(5), ids))
    }

    #[test]
    fn what_is_written_reads_back_and_fits() {
        for count in [1, MAX_MARKED] {
            let bytes = read(count).encode();
            assert!(bytes.len() <= MAX_CONTROL);
            assert_eq!(Control::decode(&bytes), Some(read(count)));
        }
        let mut other = read(1).encode();
        other[0] = 99;
        assert_eq!(Control::decode(&other), None);
        assert_eq!(Control::decode(&[]), None);
    }

    proptest! {
        #[test]
        fn what_decodes_is_written_back_and_no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Some(control) = Control::decode(&bytes) {
                prop_assert_eq!(control.encode(), bytes);
            }
        }
    }
}
