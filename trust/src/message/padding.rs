//! Lengths of plaintexts, rounded up so that a relay learns little from them.
//!
//! Up to 1 KiB in steps of 64 bytes; beyond, in quarters of the power of two below. At most a
//! quarter of what is sent is padding, and 64 KiB have 40 different lengths.

const FINE_STEP: usize = 64;
const FINE_LIMIT: usize = 1024;

/// Returns the smallest bucket that holds `length` bytes (at least one).
pub(crate) const fn bucket(length: usize) -> usize {
    let length = if length == 0 { 1 } else { length };
    let step = if length <= FINE_LIMIT {
        FINE_STEP
    } else {
        // The power of two strictly below, divided by four.
        length.next_power_of_two() / 8
    };
    length.next_multiple_of(step)
}

/// Tells whether `length` is one that [`bucket`] returns.
pub(super) const fn is_bucket(length: usize) -> bool {
    length > 0 && bucket(length) == length
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_steps_are_as_documented() {
        for (length, padded) in [
            (0, 64),
            (1, 64),
            (64, 64),
            (65, 128),
            (1024, 1024),
            (1025, 1280),
            (1280, 1280),
            (1281, 1536),
            (2048, 2048),
            (2049, 2560),
            (65_536, 65_536),
            (65_537, 81_920),
        ] {
            assert_eq!(bucket(length), padded, "{length}");
        }
    }

    #[test]
    fn every_length_fits_its_bucket_and_buckets_are_few() {
        let mut buckets = BTreeSet::new();
        for length in 1..=65_536 {
            let padded = bucket(length);
            assert!(padded >= length && is_bucket(padded));
            assert!(length <= FINE_LIMIT || (padded - length) * 4 <= padded);
            buckets.insert(padded);
        }
        assert_eq!(buckets.len(), 40);
        assert!(!is_bucket(0) && !is_bucket(63) && !is_bucket(1100));
    }
}
