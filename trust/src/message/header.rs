//! The part of a message that relays read.

use entente_lexicon::{Did, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::envelope::OpenError;
use super::origin::strip_origin;
use super::outer::Outer;

/// No header is longer: three DIDs, an id and two integers take about 220 bytes.
pub const MAX_HEADER_LENGTH: usize = 512;

/// Where a message goes. Authenticated, not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message's id, chosen by the sender.
    pub id: [u8; 16],
    /// The sending agent.
    pub from: Did,
    /// The receiving agent.
    pub to: Did,
    /// The receiving agent's network: no other network can be made to accept the message.
    pub network: Did,
    /// The message's place among those from this sender to this recipient.
    pub index: u64,
    /// After this it need not be delivered any more.
    pub expires: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Wire(ByteArray<16>, Did, Did, Did, u64, Option<Timestamp>);

impl Header {
    /// Reads the header of an envelope without opening it, as relays do.
    ///
    /// Nothing of it is authenticated until the recipient opens the message.
    ///
    /// Works for every suite, also unknown ones, with or without an [`origin`](super::origin).
    ///
    /// # Errors
    /// [`OpenError::Malformed`].
    pub fn peek(message: &[u8]) -> Result<Self, OpenError> {
        Outer::parse(strip_origin(message))
            .and_then(|outer| Self::decode(outer.header))
            .ok_or(OpenError::Malformed)
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let wire = Wire(
            ByteArray::new(self.id),
            self.from.clone(),
            self.to.clone(),
            self.network.clone(),
            self.index,
            self.expires,
        );
        let bytes = serde_ipld_dagcbor::to_vec(&wire).ok()?;
        (bytes.len() <= MAX_HEADER_LENGTH).then_some(bytes)
    }

    /// Reads canonical bytes only: what reads back differently is refused.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let Wire(id, from, to, network, index, expires) =
            serde_ipld_dagcbor::from_slice(bytes).ok()?;
        let header = Self {
            id: id.into_array(),
            from,
            to,
            network,
            index,
            expires,
        };
        (header.encode()?.as_slice() == bytes).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(seed: u8, index: u64, expires: Option<u64>) -> Header {
        Header {
            id: [seed; 16],
            from: Did::from_scid(&[seed; 32]),
            to: Did::from_scid(&[seed.wrapping_add(1); 32]),
            network: Did::from_scid(&[seed.wrapping_add(2); 32]),
            index,
            expires: expires.map(Timestamp),
        }
    }

    #[test]
    fn the_wire_form_is_an_array_of_six() {
        let bytes = header(1, 7, None).encode().unwrap();
        assert_eq!(bytes[0], 0x86);
        assert_eq!(*bytes.last().unwrap(), 0xf6);
        assert!(bytes.len() < 230);
    }

    #[test]
    fn other_encodings_of_the_same_header_are_refused() {
        let mut bytes = header(1, 7, None).encode().unwrap();
        assert!(Header::decode(&bytes).is_some());
        let index = bytes.len() - 2;
        bytes.splice(index..=index, [0x18, 0x07]); // 7 in two bytes
        assert_eq!(Header::decode(&bytes), None);
        let mut longer = header(1, 7, None).encode().unwrap();
        longer.push(0);
        assert_eq!(Header::decode(&longer), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seed: u8, index: u64, expires: Option<u64>) {
            let header = header(seed, index, expires);
            prop_assert_eq!(Header::decode(&header.encode().unwrap()), Some(header));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Header::decode(&bytes);
            let _ = Header::peek(&bytes);
        }
    }
}
