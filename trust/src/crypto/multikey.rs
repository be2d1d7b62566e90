//! Public key text: `z` + base58btc(varint code ‖ key bytes), the Multikey of W3C Controlled
//! Identifiers 1.0, section 2.2.2.

use entente_lexicon::id::BASE32;
use multibase::Base;

use super::hash::sha256;

/// Ed25519, 32 bytes.
pub const ED25519: &[u8] = &[0xed, 0x01];
/// X25519, 32 bytes.
pub const X25519: &[u8] = &[0xec, 0x01];
/// secp256k1, 33 bytes: a compressed point.
pub const SECP256K1: &[u8] = &[0xe7, 0x01];
/// X-Wing, 1,216 bytes: 0x30647a, from the private-use range, after HPKE's KEM id 0x647a.
pub const X_WING: &[u8] = &[0xfa, 0xc8, 0xc1, 0x01];

/// Base58 decoding is quadratic, so nothing longer is tried. An X-Wing key takes 1,668 characters.
const MAX_TEXT_LENGTH: usize = 1700;

/// Why bytes or a text are not the public key they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `z` followed by base58btc, or far too long.
    #[error("a public key is Multikey text: z followed by base58btc")]
    Text,
    /// A key of another algorithm.
    #[error("the key is of another algorithm than the one needed here")]
    Algorithm,
    /// The wrong number of bytes.
    #[error("the key has the wrong length for its algorithm")]
    Length,
    /// The bytes are not a usable key: not on the curve, of small order, not canonical.
    #[error("the bytes are not a valid public key")]
    Invalid,
}

/// Writes `key` under the algorithm's `code`.
#[must_use]
pub fn encode(code: &[u8], key: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(code.len() + key.len());
    bytes.extend_from_slice(code);
    bytes.extend_from_slice(key);
    multibase::encode(Base::Base58Btc, bytes)
}

/// Reads `text` as a key of the algorithm with this `code`; its length is the caller's to check.
///
/// # Errors
/// [`KeyError::Text`] or [`KeyError::Algorithm`].
pub fn decode(code: &[u8], text: &str) -> Result<Vec<u8>, KeyError> {
    if text.len() > MAX_TEXT_LENGTH || !text.starts_with('z') {
        return Err(KeyError::Text);
    }
    let (_, mut bytes) = multibase::decode(text).map_err(|_error| KeyError::Text)?;
    if !bytes.starts_with(code) {
        return Err(KeyError::Algorithm);
    }
    Ok(bytes.split_off(code.len()))
}

/// Names a key: the first 16 base32 characters of the SHA-256 of its Multikey text.
///
/// A kid picks a key among those of one identity; what proves the key is its full [`digest`].
#[must_use]
pub fn kid(multikey: &str) -> String {
    digest(multikey).chars().take(16).collect()
}

/// Commits to a key: the SHA-256 of its Multikey text, 52 base32 characters.
#[must_use]
pub fn digest(multikey: &str) -> String {
    BASE32.encode(&sha256(&[multikey.as_bytes()]))
}

/// Shows a key for two people to compare by voice: 8 groups of 4 base32 characters (160 bits).
#[must_use]
pub fn fingerprint(multikey: &str) -> String {
    let mut text = String::with_capacity(39);
    for (index, character) in digest(multikey).chars().take(32).enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push(' ');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_prefixes_read_as_registered() {
        assert!(encode(ED25519, &[7; 32]).starts_with("z6Mk"));
        assert!(encode(X25519, &[7; 32]).starts_with("z6LS"));
        assert!(encode(SECP256K1, &[3; 33]).starts_with("zQ3s"));
    }

    #[test]
    fn a_kid_is_the_front_of_the_fingerprint() {
        let text = encode(ED25519, &[7; 32]);
        let shown = fingerprint(&text);
        assert_eq!(shown.split(' ').count(), 8);
        assert!(shown.split(' ').all(|group| group.len() == 4));
        assert!(shown.replace(' ', "").starts_with(&kid(&text)));
        assert_eq!(kid(&text).len(), 16);
    }

    #[test]
    fn other_algorithms_and_other_bases_are_refused() {
        let text = encode(ED25519, &[7; 32]);
        assert_eq!(decode(X25519, &text), Err(KeyError::Algorithm));
        assert_eq!(decode(ED25519, &text[1..]), Err(KeyError::Text));
        assert_eq!(decode(ED25519, &format!("u{text}")), Err(KeyError::Text));
        assert_eq!(decode(ED25519, &format!("{text}0")), Err(KeyError::Text));
        assert_eq!(decode(ED25519, &"z".repeat(100_000)), Err(KeyError::Text));
        assert_eq!(decode(ED25519, ""), Err(KeyError::Text));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(decode(ED25519, &encode(ED25519, &key)), Ok(key));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = decode(ED25519, &text);
            let _ = decode(ED25519, &format!("z{text}"));
        }
    }
}
