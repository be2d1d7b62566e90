//! Canonical JSON (RFC 8785): one byte string per value, so that JSON can be hashed and signed.

use serde::Serialize;

/// The value has no canonical form: a number that is not finite, or a key that is not a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value has no canonical JSON form")]
pub struct NotCanonical;

/// Writes `value` in its canonical form.
///
/// Numbers are IEEE doubles: integers beyond 2^53 lose digits, so parsers refuse them first.
///
/// # Errors
/// [`NotCanonical`].
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    serde_json_canonicalizer::to_vec(value).map_err(|_error| NotCanonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8785, section 3.2.2 and 3.2.4.
    #[test]
    fn the_example_of_the_rfc_comes_out_byte_for_byte() {
        let input = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let value: serde_json::Value = serde_json::from_str(input).unwrap();
        let hex = "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e\
                   756d62657273223a5b3333333333333333332e333333333333332c31652b3330\
                   2c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac24\
                   5c75303030665c6e4127425c225c5c5c5c5c222f227d";
        let expected = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        assert_eq!(canonical(&value).unwrap(), expected);
    }

    /// RFC 8785, section 3.2.3.
    #[test]
    fn keys_sort_by_utf_16_units() {
        let input = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let value: serde_json::Value = serde_json::from_str(input).unwrap();
        let text = String::from_utf8(canonical(&value).unwrap()).unwrap();
        let order: Vec<usize> = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ]
        .map(|word| text.find(word).unwrap())
        .to_vec();
        assert!(order.is_sorted(), "{text}");
    }
}
