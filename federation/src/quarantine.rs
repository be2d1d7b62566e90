//! What a network holds back for its admin: how much, how long, and what is told in the end.
//!
//! A message that only an admin can decide about is settled with [`Code::QUARANTINED`] in the
//! receipt, and its sender hears later, in stream ctl, what was decided: an [`Outcome`] signed by
//! the network that held it.

use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

use crate::code::{Code, MAX_CODE_LENGTH};
use crate::frame::Reader;
use crate::frame::opening::MAX_KID_LENGTH;
use crate::frame::status::Amount;

/// Messages of one peer that are held.
pub const MAX_HELD: u64 = 1_000;
/// Their bytes.
pub const MAX_HELD_BYTES: u64 = 16 * 1024 * 1024;
/// What nobody decides about in this time is refused.
pub const RETENTION_MS: u64 = 7 * 24 * 60 * 60 * 1000;

const LABEL: &[u8] = b"entente-quarantine/1\0";

/// Tells whether one more message of `length` bytes can be held beside what is.
#[must_use]
pub fn has_room(held: Amount, length: u64, most: Amount) -> bool {
    held.items < most.items && held.bytes.saturating_add(length) <= most.bytes
}

/// When a message held since `since` is refused unless somebody has decided: after `retention`
/// milliseconds, or when it expires.
#[must_use]
pub fn lapses(since: Timestamp, expires: Option<Timestamp>, retention: u64) -> Timestamp {
    let kept = since.after(retention);
    expires.map_or(kept, |expires| expires.min(kept))
}

/// What became of a message that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When.
    pub at: Timestamp,
    /// The message.
    pub id: [u8; 16],
    /// Why it was refused; `None` if it was delivered.
    pub code: Option<Code>,
    /// The key that signed this, of the network that held the message.
    pub kid: String,
    /// Its signature.
    pub signature: [u8; SIGNATURE_LENGTH],
}

/// Whom an outcome is between.
#[derive(Clone, Copy, Debug)]
pub struct Between<'a> {
    /// The network that held the message.
    pub holder: &'a Did,
    /// The network of its sender.
    pub network: &'a Did,
    /// The recipient.
    pub recipient: &'a Did,
    /// The sender.
    pub sender: &'a Did,
}

impl Outcome {
    /// Signs what became of a message.
    #[must_use]
    pub fn sign(
        between: &Between<'_>,
        (id, at): ([u8; 16], Timestamp),
        code: Option<Code>,
        (kid, key): (&str, &SigningKey),
    ) -> Self {
        let mut outcome = Self {
            at,
            id,
            code,
            kid: kid.to_owned(),
            signature: [0; SIGNATURE_LENGTH],
        };
        outcome.signature = key.sign(&[&outcome.statement(between)]);
        outcome
    }

    /// Returns the exact bytes that are signed.
    #[must_use]
    pub fn statement(&self, between: &Between<'_>) -> Vec<u8> {
        let mut bytes = LABEL.to_vec();
        for did in [
            between.holder,
            between.network,
            between.recipient,
            between.sender,
        ] {
            bytes.extend_from_slice(did.as_str().as_bytes());
        }
        self.write_said(&mut bytes);
        bytes
    }

    /// Tells whether `key` signed it.
    #[must_use]
    pub fn is_by(&self, key: &VerifyingKey, between: &Between<'_>) -> bool {
        let statement = self.statement(between);
        key.verify(&[&statement], &self.signature).is_ok()
    }

    fn write_said(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.at.0.to_be_bytes());
        bytes.extend_from_slice(&self.id);
        let code = self.code.as_ref().map_or("", Code::as_str);
        write_text(bytes, code);
    }

    /// Writes it: `at u64 ‖ id 16 ‖ length u8 ‖ code ‖ length u8 ‖ kid ‖ signature 64`.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        self.write_said(bytes);
        write_text(bytes, &self.kid);
        bytes.extend_from_slice(&self.signature);
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (at, id) = (Timestamp(reader.u64()?), reader.array()?);
        let code = read_text(&mut reader, MAX_CODE_LENGTH)?;
        let code = if code.is_empty() {
            None
        } else {
            Some(Code::parse(code)?)
        };
        let kid = read_text(&mut reader, MAX_KID_LENGTH)?.to_owned();
        let signature = reader.array()?;
        reader.end()?;
        Some(Self {
            at,
            id,
            code,
            kid,
            signature,
        })
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(text.as_bytes());
}

fn read_text<'a>(reader: &mut Reader<'a>, longest: usize) -> Option<&'a str> {
    let length = usize::from(reader.u8()?);
    let text = std::str::from_utf8(reader.slice(length)?).ok()?;
    (length <= longest).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(n: u8) -> Did {
        Did::from_scid(&[n; 32])
    }

    fn outcome(code: Option<Code>) -> Outcome {
        let (holder, network, recipient, sender) = (did(1), did(2), did(3), did(4));
        let between = Between {
            holder: &holder,
            network: &network,
            recipient: &recipient,
            sender: &sender,
        };
        let key = SigningKey::from_seed(&[9; 32]);
        Outcome::sign(&between, ([7; 16], Timestamp(5)), code, ("kid", &key))
    }

    #[test]
    fn an_outcome_is_the_holders_word_about_one_message_between_two_agents() {
        let dids = [did(1), did(2), did(3), did(4)];
        let holds = |outcome: &Outcome, dids: &[Did; 4]| {
            let [holder, network, recipient, sender] = dids;
            let between = Between {
                holder,
                network,
                recipient,
                sender,
            };
            outcome.is_by(&SigningKey::from_seed(&[9; 32]).verifying_key(), &between)
        };
        for code in [None, Some(Code::EXPIRED)] {
            let signed = outcome(code);
            assert!(holds(&signed, &dids));
            for place in 0..4 {
                let mut other = dids.clone();
                other[place] = did(8);
                assert!(!holds(&signed, &other), "{place}");
            }
            let mut bytes = Vec::new();
            signed.write(&mut bytes);
            assert_eq!(Outcome::read(&bytes), Some(signed));
            // The kid is not signed: it only says which key to try.
            let kid = bytes.len() - SIGNATURE_LENGTH - 4;
            for bit in (0..kid * 8).chain((kid + 4) * 8..bytes.len() * 8) {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let read = Outcome::read(&flipped);
                assert!(!read.is_some_and(|read| holds(&read, &dids)), "bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_held_is_bounded_in_number_and_bytes() {
        let most = Amount {
            items: 2,
            bytes: 100,
        };
        let held = |items, bytes| Amount { items, bytes };
        assert!(has_room(held(1, 50), 50, most));
        assert!(!has_room(held(1, 50), 51, most));
        assert!(!has_room(held(2, 0), 1, most));
        assert!(!has_room(held(0, u64::MAX), 1, most));
    }

    #[test]
    fn a_message_lapses_after_the_retention_or_when_it_expires() {
        let at = Timestamp(1_000);
        assert_eq!(lapses(at, None, 500), Timestamp(1_500));
        assert_eq!(lapses(at, Some(Timestamp(1_200)), 500), Timestamp(1_200));
        assert_eq!(lapses(at, Some(Timestamp(9_000)), 500), Timestamp(1_500));
    }
}
