//! A chain of keys, one a message: whoever takes a chain learns nothing of the keys before it.
//!
//! ```text
//! message key n = HMAC-SHA256(chain key n, 0x01)      chain key n+1 = HMAC-SHA256(chain key n, 0x02)
//! ```

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::mac::hmac_sha256;

/// Messages of one epoch, and so the most keys that a recipient ever steps over.
pub const MAX_EPOCH_MESSAGES: u16 = 1_000;

const MESSAGE: &[u8] = &[1];
const CHAIN: &[u8] = &[2];

/// A key that seals one message, wiped when dropped.
pub(super) type MessageKey = Zeroizing<[u8; 32]>;

/// A position in the chain, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Chain {
    key: Zeroizing<[u8; 32]>,
    index: u16,
}

impl Chain {
    /// Begins a chain, or goes on with one at the message `index`.
    pub(super) fn at(key: Zeroizing<[u8; 32]>, index: u16) -> Self {
        Self { key, index }
    }

    /// Returns the index of the next message.
    pub(super) const fn index(&self) -> u16 {
        self.index
    }

    /// Returns the chain key of the next message, to be sealed at once.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Takes the next message's key and forgets how it was made; nothing once the epoch is full.
    pub(super) fn step(&mut self) -> Option<MessageKey> {
        if self.index >= MAX_EPOCH_MESSAGES {
            return None;
        }
        let message = Zeroizing::new(hmac_sha256(&*self.key, &[MESSAGE]));
        self.key = Zeroizing::new(hmac_sha256(&*self.key, &[CHAIN]));
        self.index = self.index.saturating_add(1);
        Some(message)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain(at {})", self.index)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_of_an_epoch_is_another_and_then_there_are_no_more() {
        let mut chain = Chain::at(Zeroizing::new([7; 32]), 0);
        let mut keys = BTreeSet::new();
        while let Some(key) = chain.step() {
            assert!(keys.insert(*key) && keys.insert(*chain.key()));
        }
        assert_eq!(keys.len(), 2 * usize::from(MAX_EPOCH_MESSAGES));
        assert_eq!(chain.index(), MAX_EPOCH_MESSAGES);
        assert_eq!(format!("{chain:?}"), "Chain(at 1000)");
    }
}
