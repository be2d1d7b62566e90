//! The link's own generator: seeded afresh on every start, never stored, and unable to give
//! back what it gave before.

use std::convert::Infallible;
use std::fmt;

use entente_trust::crypto::mac::hmac_sha256;
use rand_core::{Rng, TryCryptoRng, TryRng};
use zeroize::Zeroizing;

const BLOCK: usize = 32;

/// A generator with key erasure: HMAC-SHA256 in counter mode under a state that every draw
/// replaces, so that whoever reads the state later learns no earlier draw.
pub(crate) struct Entropy(Zeroizing<[u8; 32]>);

impl Entropy {
    /// Starts from `seed`, which must come from the platform's generator.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// Draws `N` bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_bytes(&mut bytes);
        bytes
    }

    /// Draws a number from 0 to `max`, both included; the bias is below 2⁻³² for waiting times.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(count) => self.next_u64().checked_rem(count).unwrap_or(0),
            None => self.next_u64(),
        }
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for (index, chunk) in (0u64..).zip(target.chunks_mut(BLOCK)) {
            let block = Zeroizing::new(hmac_sha256(&*self.0, &[&[1], &index.to_be_bytes()]));
            for (to, from) in chunk.iter_mut().zip(block.iter()) {
                *to = *from;
            }
        }
        self.0 = Zeroizing::new(hmac_sha256(&*self.0, &[&[0]]));
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_repeat_only_with_the_seed() {
        let (mut a, mut b) = (Entropy::new([1; 32]), Entropy::new([1; 32]));
        let (first, second): ([u8; 80], [u8; 80]) = (a.bytes(), a.bytes());
        assert_ne!(first, second);
        assert_ne!(first[..32], first[32..64]);
        assert_eq!(first, b.bytes::<80>());
        assert_ne!(first, Entropy::new([2; 32]).bytes::<80>());
    }

    #[test]
    fn a_bounded_draw_stays_within() {
        let mut entropy = Entropy::new([3; 32]);
        assert!((0..200).all(|_| entropy.up_to(9) <= 9));
        assert_eq!(entropy.up_to(0), 0);
    }
}
