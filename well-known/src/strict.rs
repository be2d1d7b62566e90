//! JSON that has one meaning only.
//!
//! Parsers disagree about doubled keys and about integers beyond 2^53, and a signature holds for
//! whatever its verifier read. So both are refused before anything is verified.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest document in bytes.
pub const MAX_DOCUMENT_LENGTH: usize = 64 * 1024;

/// The largest integer that every JSON reader reads alike (RFC 8785, section 3.2.2.3).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a text is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// More than 64 KiB.
    #[error("the document is longer than 64 KiB")]
    TooLong,
    /// An object has the same key twice.
    #[error("the document has the key {0:?} twice in one object")]
    DuplicateKey(String),
    /// An integer that not every reader reads alike.
    #[error("the document has an integer beyond 2^53")]
    LargeInteger,
    /// Not one JSON object, or nested deeper than 128 levels.
    #[error("the document is not a JSON object")]
    NotAnObject,
}

/// Reads one JSON object of at most 64 KiB.
///
/// # Errors
/// [`StrictError`].
pub fn parse_object(text: &str) -> Result<Map<String, Value>, StrictError> {
    if text.len() > MAX_DOCUMENT_LENGTH {
        return Err(StrictError::TooLong);
    }
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict(&mut fault)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match (value, fault) {
        (_, Some(fault)) => Err(fault),
        (Ok(Value::Object(object)), None) => Ok(object),
        (_, None) => Err(StrictError::NotAnObject),
    }
}

/// Builds a [`Value`] and notes the first fault, which serde's errors could only say as text.
struct Strict<'a>(&'a mut Option<StrictError>);

impl Strict<'_> {
    fn refuse<T, E: Error>(self, fault: StrictError) -> Result<T, E> {
        let error = E::custom(&fault);
        *self.0 = Some(fault);
        Err(error)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_INTEGER {
            return self.refuse(StrictError::LargeInteger);
        }
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_INTEGER {
            return self.refuse(StrictError::LargeInteger);
        }
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => self.refuse(StrictError::LargeInteger),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(Strict(&mut *self.0))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if object.contains_key(&key) {
                return self.refuse(StrictError::DuplicateKey(key));
            }
            let value = access.next_value_seed(Strict(&mut *self.0))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubled_keys_are_refused_at_any_depth_and_however_written() {
        for (text, key) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"x":[{"deep":1,"y":2,"deep":3}]}"#, "deep"),
        ] {
            let refused = Err(StrictError::DuplicateKey(key.to_owned()));
            assert_eq!(parse_object(text), refused, "{text}");
        }
        assert!(parse_object(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn integers_that_readers_disagree_about_are_refused() {
        assert!(parse_object(r#"{"a":9007199254740991,"b":-9007199254740991}"#).is_ok());
        for text in [
            r#"{"a":9007199254740992}"#,
            r#"{"a":-9007199254740992}"#,
            r#"{"a":18446744073709551615}"#,
        ] {
            assert_eq!(parse_object(text), Err(StrictError::LargeInteger), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{}{}",
            "{} x",
            "{'a':1}",
            "{\"a\":01}",
            &deep,
        ] {
            assert_eq!(
                parse_object(text),
                Err(StrictError::NotAnObject),
                "{text:.20}"
            );
        }
    }

    #[test]
    fn the_limit_is_64_kib() {
        let document = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        assert!(parse_object(&document(MAX_DOCUMENT_LENGTH)).is_ok());
        let longer = parse_object(&document(MAX_DOCUMENT_LENGTH + 1));
        assert_eq!(longer, Err(StrictError::TooLong));
    }

    proptest! {
        #[test]
        fn what_it_reads_it_reads_as_any_parser_does(text in r#"\{("[a-c]":(1|"x"|\[\]|null|2\.5),){0,3}"z":\{\}\}"#) {
            if let Ok(object) = parse_object(&text) {
                prop_assert_eq!(Value::Object(object), serde_json::from_str::<Value>(&text).unwrap());
            } else {
                prop_assert!(["\"a\"", "\"b\"", "\"c\""].iter().any(|key| text.matches(key).count() > 1));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,100}") {
            let _ = parse_object(&text);
        }
    }
}
