//! What a private repo holds in place of a record: its envelope, in a block of its own.
//!
//! ```text
//! {"dek": 16 bytes, "$type": "agent.memory.envelope", "version": unsigned, "envelope": bytes}
//! ```
//!
//! Canonical DAG-CBOR, so that any reader of repos finds a record with a type. The version and the
//! id of the DEK are what the envelope is bound to; the signed tree names the block by its CID, so
//! an older version put in its place is noticed.

use entente_trust::memory::DekId;

use crate::repo::Cid;
use crate::repo::block::cbor_cid;
use crate::repo::cbor::{CborError, Reader, Writer};

/// The `$type` of such a block.
pub const SEALED_TYPE: &str = "agent.memory.envelope";

/// An envelope and what it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The id of its DEK.
    pub dek: DekId,
    /// The record's version, from 1 on.
    pub version: u64,
    /// `ANE1`.
    pub envelope: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Writes the block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.map(4);
        writer.text("dek");
        writer.bytes(self.dek.as_bytes());
        writer.text("$type");
        writer.text(SEALED_TYPE);
        writer.text("version");
        writer.unsigned(self.version);
        writer.text("envelope");
        writer.bytes(self.envelope);
        writer.into_bytes()
    }

    /// Reads a block. The envelope's own form is checked when it is opened.
    ///
    /// # Errors
    /// [`CborError`] for anything else.
    pub fn decode(block: &'a [u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(block);
        reader.map(4)?;
        reader.member("dek")?;
        let dek = reader.bytes()?.try_into().map_err(|_error| CborError)?;
        reader.member("$type")?;
        if reader.text()? != SEALED_TYPE {
            return Err(CborError);
        }
        reader.member("version")?;
        let version = reader.unsigned()?;
        reader.member("envelope")?;
        let envelope = reader.bytes()?;
        reader.end()?;
        Ok(Self {
            dek: DekId::from_bytes(dek),
            version,
            envelope,
        })
    }
}

/// The `$type` of a [`SealedKey`]'s block.
pub const KEY_TYPE: &str = "agent.memory.wrap";

/// What wraps the key of an envelope for its owner. An export of a private repo has one behind each
/// record, outside of the tree, since whoever imports it may not have the row any more.
///
/// ```text
/// {"dek": 16 bytes, "row": bytes, "$type": "agent.memory.wrap"}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedKey<'a> {
    /// The id of the DEK.
    pub dek: DekId,
    /// The row that wraps it, under a key that never leaves the agent.
    pub row: &'a [u8],
}

impl<'a> SealedKey<'a> {
    /// Writes the block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.map(3);
        writer.text("dek");
        writer.bytes(self.dek.as_bytes());
        writer.text("row");
        writer.bytes(self.row);
        writer.text("$type");
        writer.text(KEY_TYPE);
        writer.into_bytes()
    }

    /// Reads a block. The row's own form is checked when it is unwrapped.
    ///
    /// # Errors
    /// [`CborError`] for anything else.
    pub fn decode(block: &'a [u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(block);
        reader.map(3)?;
        reader.member("dek")?;
        let dek = reader.bytes()?.try_into().map_err(|_error| CborError)?;
        reader.member("row")?;
        let row = reader.bytes()?;
        reader.member("$type")?;
        if reader.text()? != KEY_TYPE {
            return Err(CborError);
        }
        reader.end()?;
        Ok(Self {
            dek: DekId::from_bytes(dek),
            row,
        })
    }
}

/// Names a block of a record, sealed or public.
#[must_use]
pub fn record_cid(block: &[u8]) -> Cid {
    cbor_cid(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::repo::cbor::check_record;

    proptest! {
        #[test]
        fn a_block_reads_back_and_is_a_record_of_its_type(
            dek: [u8; 16],
            version: u64,
            envelope: Vec<u8>,
        ) {
            let sealed = Sealed { dek: DekId::from_bytes(dek), version, envelope: &envelope };
            let block = sealed.encode();
            prop_assert_eq!(Sealed::decode(&block), Ok(sealed));
            prop_assert_eq!(check_record(&block), Ok(Some(SEALED_TYPE)));
        }

        #[test]
        fn no_bytes_panic_and_only_the_canonical_form_is_read(bytes: Vec<u8>) {
            if let Ok(sealed) = Sealed::decode(&bytes) {
                prop_assert_eq!(sealed.encode(), bytes);
            } else if let Ok(key) = SealedKey::decode(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }

        #[test]
        fn a_key_reads_back_and_is_no_envelope(dek: [u8; 16], row: Vec<u8>) {
            let key = SealedKey { dek: DekId::from_bytes(dek), row: &row };
            let block = key.encode();
            prop_assert_eq!(SealedKey::decode(&block), Ok(key));
            prop_assert_eq!(check_record(&block), Ok(Some(KEY_TYPE)));
            prop_assert_eq!(Sealed::decode(&block), Err(CborError));
        }
    }

    #[test]
    fn a_block_cut_off_or_extended_is_none() {
        let sealed = Sealed {
            dek: DekId::from_bytes([1; 16]),
            version: 7,
            envelope: b"ANE1",
        };
        let block = sealed.encode();
        for end in 0..block.len() {
            assert_eq!(Sealed::decode(&block[..end]), Err(CborError), "{end}");
        }
        assert_eq!(
            Sealed::decode(&[&block[..], b"\0"].concat()),
            Err(CborError)
        );
    }
}
