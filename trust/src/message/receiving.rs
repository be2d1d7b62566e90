//! The recipient's side of a conversation.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::body::Body;
use super::envelope::{Envelope, Expected, OpenError};
use super::opening::{self, Parties};
use super::ratchet::{Chain, MAX_EPOCH_MESSAGES, MessageKey};
use super::sealed;
use crate::crypto::kem::KemSecret;
use crate::crypto::sign::VerifyingKey;

/// The version of the stored form.
const STORED: u8 = 1;

/// A conversation epoch as its recipient holds it: where the chain stands, and the keys of
/// messages that were overtaken.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiving {
    chain: Chain,
    skipped: BTreeMap<u16, MessageKey>,
}

impl Receiving {
    /// Accepts the epoch that a message opens, and opens the message. `prekey` is the secret half
    /// of the prekey that the opening names, `sender` the key of `expected.from`. One
    /// decapsulation and one verification, after everything that costs less; only what this
    /// returns may be stored.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::UnknownEpoch`] if the message opens none.
    pub fn accept(
        envelope: &Envelope<'_>,
        prekey: &KemSecret,
        sender: &VerifyingKey,
        expected: &Expected<'_>,
    ) -> Result<(Self, Body), OpenError> {
        envelope.check(expected)?;
        let offered = envelope.opening.ok_or(OpenError::UnknownEpoch)?;
        let parties = Parties {
            from: expected.from,
            to: expected.to,
            kid: offered.kid,
            epoch: &envelope.epoch,
        };
        let mut epoch = Self {
            chain: opening::accept(&offered, &parties, prekey, sender)?,
            skipped: BTreeMap::new(),
        };
        let body = epoch.open(envelope, expected)?;
        Ok((epoch, body))
    }

    /// Opens a message of this epoch and forgets its key. The caller looks the epoch up by the
    /// sender *and* the epoch's id, since ids are chosen by senders. No public-key work.
    ///
    /// # Errors
    /// [`OpenError`]; the epoch is as before then. Whether the message has expired or came before
    /// is the caller's to judge.
    pub fn open(
        &mut self,
        envelope: &Envelope<'_>,
        expected: &Expected<'_>,
    ) -> Result<Body, OpenError> {
        envelope.check(expected)?;
        if envelope.index < self.chain.index() {
            let key = self.skipped.get(&envelope.index);
            let body = sealed::open(envelope, key.ok_or(OpenError::UnknownEpoch)?)?;
            self.skipped.remove(&envelope.index);
            return Ok(body);
        }
        // On copies: a message that does not open must not move the chain.
        let mut chain = self.chain.clone();
        let mut overtaken = Vec::new();
        while chain.index() < envelope.index {
            let index = chain.index();
            overtaken.push((index, chain.step().ok_or(OpenError::UnknownEpoch)?));
        }
        let key = chain.step().ok_or(OpenError::UnknownEpoch)?;
        let body = sealed::open(envelope, &key)?;
        self.chain = chain;
        self.skipped.extend(overtaken);
        Ok(body)
    }

    /// Returns how many keys are kept for messages that were overtaken.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Tells whether no further message of the epoch can be opened.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.skipped.is_empty() && self.chain.index() >= MAX_EPOCH_MESSAGES
    }

    /// Writes the epoch, to be sealed at once: version, index, chain key, then each key kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(35 + 34 * self.skipped.len()));
        bytes.push(STORED);
        bytes.extend_from_slice(&self.chain.index().to_be_bytes());
        bytes.extend_from_slice(self.chain.key());
        for (index, key) in &self.skipped {
            bytes.extend_from_slice(&index.to_be_bytes());
            bytes.extend_from_slice(&**key);
        }
        bytes
    }

    /// Reads what [`Receiving::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&STORED, rest) = bytes.split_first()? else {
            return None;
        };
        let (index, key, mut rest) = entry(rest)?;
        let chain = Chain::at(key, index);
        let mut skipped = BTreeMap::new();
        while !rest.is_empty() {
            let (index, key, behind) = entry(rest)?;
            let in_order = skipped
                .last_key_value()
                .is_none_or(|(last, _)| *last < index);
            if !in_order || index >= chain.index() {
                return None;
            }
            skipped.insert(index, key);
            rest = behind;
        }
        (chain.index() <= MAX_EPOCH_MESSAGES).then_some(Self { chain, skipped })
    }
}

fn entry(bytes: &[u8]) -> Option<(u16, MessageKey, &[u8])> {
    let (index, rest) = bytes.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_first_chunk::<32>()?;
    Some((u16::from_be_bytes(*index), Zeroizing::new(*key), rest))
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Receiving({:?}, {} kept)",
            self.chain,
            self.skipped.len()
        )
    }
}
