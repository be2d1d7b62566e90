//! The body of an ACK frame, which is a signed receipt batch.
//!
//! ```text
//! from u64 ‖ at u64 ‖ rejects u16, each: seq u64 ‖ id 16 ‖ length u8 ‖ code ‖ signature 64
//! ```
//!
//! It settles the seqs `from..=seq` (the header's): those among the rejects were refused, all
//! others delivered. Rejects before `from` are repeated because their sender has not confirmed
//! them. The signature covers [`Receipt::statement`]: names of both networks, the range, the time,
//! a digest of the ids of all messages in the range, and the rejects. Its label begins otherwise
//! than those of the handshake.

use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::hash::sha256;

use super::Reader;
use crate::code::Code;
use crate::handshake::fault::Misbehaved;
use crate::link::{Bounce, Reject};

/// What a receipt's signed statement begins with.
pub const LABEL: &[u8] = b"entente-receipts/1\0";

/// What the statement of a bounce begins with.
pub const BOUNCE_LABEL: &[u8] = b"entente-bounces/1\0";

/// Returns the bytes that a sending relay signs when it gives messages to `peer` up, or cannot say
/// what became of them.
///
/// ```text
/// label ‖ signer's DID ‖ peer's DID ‖ at u64 ‖ count u16, each: id 16 ‖ final u8 ‖ length u8 ‖ code
/// ```
///
/// `final` is 0 where something may still follow, else 1.
#[must_use]
pub fn bounce_statement(signer: &Did, peer: &Did, at: Timestamp, bounces: &[Bounce]) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(BOUNCE_LABEL);
    text.extend_from_slice(signer.as_str().as_bytes());
    text.extend_from_slice(peer.as_str().as_bytes());
    text.extend_from_slice(&at.0.to_be_bytes());
    let count = u16::try_from(bounces.len()).unwrap_or(u16::MAX);
    text.extend_from_slice(&count.to_be_bytes());
    for bounce in bounces {
        let code = bounce.code.as_str().as_bytes();
        text.extend_from_slice(&bounce.id);
        text.push(u8::from(bounce.is_final));
        text.push(u8::try_from(code.len()).unwrap_or(u8::MAX));
        text.extend_from_slice(code);
    }
    text
}

/// A receipt batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The stream's epoch.
    pub epoch: u64,
    /// The first seq it settles.
    pub from: u64,
    /// The last seq it settles.
    pub upto: u64,
    /// When, by the receiver's clock.
    pub at: Timestamp,
    /// What was refused, by rising seq.
    pub rejects: Vec<Reject>,
}

impl Receipt {
    /// Returns the bytes to sign. `receiver` signs; `ids` are those of `from..=upto`, concatenated.
    #[must_use]
    pub fn statement(&self, receiver: &Did, sender: &Did, ids: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(LABEL);
        text.extend_from_slice(receiver.as_str().as_bytes());
        text.extend_from_slice(sender.as_str().as_bytes());
        for number in [self.epoch, self.from, self.upto, self.at.0] {
            text.extend_from_slice(&number.to_be_bytes());
        }
        text.extend_from_slice(&sha256(&[ids]));
        self.write_rejects(&mut text);
        text
    }

    /// Appends the body with its signature.
    pub fn write(&self, frame: &mut Vec<u8>, signature: &[u8; 64]) {
        frame.extend_from_slice(&self.from.to_be_bytes());
        frame.extend_from_slice(&self.at.0.to_be_bytes());
        self.write_rejects(frame);
        frame.extend_from_slice(signature);
    }

    /// Returns the length of the body, signature included.
    #[must_use]
    pub fn body_length(&self) -> usize {
        let rejects = self
            .rejects
            .iter()
            .map(|r| 8 + 16 + 1 + r.code.as_str().len());
        8 + 8 + 2 + rejects.sum::<usize>() + 64
    }

    /// Reads a body whose header names `epoch` and `upto`.
    ///
    /// # Errors
    /// [`Misbehaved::MalformedFrame`].
    pub fn read(epoch: u64, upto: u64, body: &[u8]) -> Result<(Self, [u8; 64]), Misbehaved> {
        Self::try_read(epoch, upto, body).ok_or(Misbehaved::MalformedFrame)
    }

    fn write_rejects(&self, target: &mut Vec<u8>) {
        let count = u16::try_from(self.rejects.len()).unwrap_or(u16::MAX);
        target.extend_from_slice(&count.to_be_bytes());
        for reject in &self.rejects {
            let code = reject.code.as_str().as_bytes();
            target.extend_from_slice(&reject.seq.to_be_bytes());
            target.extend_from_slice(&reject.id);
            target.push(u8::try_from(code.len()).unwrap_or(u8::MAX));
            target.extend_from_slice(code);
        }
    }

    fn try_read(epoch: u64, upto: u64, body: &[u8]) -> Option<(Self, [u8; 64])> {
        let mut reader = Reader::new(body);
        let (from, at) = (reader.u64()?, Timestamp(reader.u64()?));
        let count = reader.u16()?;
        let rejects = (0..count)
            .map(|_| read_reject(&mut reader))
            .collect::<Option<Vec<_>>>()?;
        let signature = reader.array()?;
        reader.end()?;
        let rising = rejects.is_sorted_by(|a, b| a.seq < b.seq);
        let within = rejects.last().is_none_or(|reject| reject.seq <= upto);
        (rising && within && from >= 1 && from <= upto).then_some((
            Self {
                epoch,
                from,
                upto,
                at,
                rejects,
            },
            signature,
        ))
    }
}

fn read_reject(reader: &mut Reader<'_>) -> Option<Reject> {
    let (seq, id) = (reader.u64()?, reader.array()?);
    let length = usize::from(reader.u8()?);
    let code = std::str::from_utf8(reader.slice(length)?).ok()?;
    Some(Reject {
        seq,
        id,
        code: Code::parse(code)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn receipt() -> Receipt {
        let reject = |seq, code| Reject {
            seq,
            id: [7; 16],
            code: Code::from_static(code),
        };
        Receipt {
            epoch: 5,
            from: 10,
            upto: 12,
            at: Timestamp(99),
            rejects: vec![reject(3, "NOT_ALLOWED"), reject(11, "GONE")],
        }
    }

    #[test]
    fn what_is_written_reads_back_and_its_length_is_known() {
        let mut body = Vec::new();
        receipt().write(&mut body, &[1; 64]);
        assert_eq!(body.len(), receipt().body_length());
        assert_eq!(Receipt::read(5, 12, &body), Ok((receipt(), [1; 64])));
        assert_eq!(Receipt::read(5, 10, &body), Err(Misbehaved::MalformedFrame));
        assert_eq!(Receipt::read(5, 9, &body), Err(Misbehaved::MalformedFrame));
    }

    #[test]
    fn the_statement_is_no_text_of_the_handshake() {
        let (a, b) = (Did::from_scid(&[1; 32]), Did::from_scid(&[2; 32]));
        let statement = receipt().statement(&a, &b, &[0; 48]);
        assert!(!statement.starts_with(b"entente/1 ") && statement.len() != 64);
        assert_ne!(statement, receipt().statement(&b, &a, &[0; 48]));
        assert_ne!(statement, receipt().statement(&a, &b, &[1; 48]));
    }

    #[test]
    fn a_bounce_is_no_receipt_and_names_both_networks_and_every_message() {
        let (a, b) = (Did::from_scid(&[1; 32]), Did::from_scid(&[2; 32]));
        let bounce = |id, is_final| Bounce {
            seq: 1,
            id: [id; 16],
            code: Code::EXPIRED,
            is_final,
        };
        let make = |a, b, at, bounces: &[Bounce]| bounce_statement(a, b, Timestamp(at), bounces);
        let one = make(&a, &b, 5, &[bounce(1, true)]);
        assert!(one.starts_with(BOUNCE_LABEL) && !one.starts_with(LABEL));
        for other in [
            make(&b, &a, 5, &[bounce(1, true)]),
            make(&a, &b, 6, &[bounce(1, true)]),
            make(&a, &b, 5, &[bounce(2, true)]),
            make(&a, &b, 5, &[bounce(1, false)]),
            make(&a, &b, 5, &[bounce(1, true), bounce(2, true)]),
        ] {
            assert_ne!(one, other);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), upto: u64) {
            let _ = Receipt::read(0, upto, &bytes);
        }
    }
}
