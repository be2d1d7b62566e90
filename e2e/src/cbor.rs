//! A small CBOR of our own, so that the fake peer does not share the product's encoder.
//!
//! [`Value::encode`] writes canonical DAG-CBOR: shortest heads, map keys by length, then bytewise.
//! [`Value::Raw`] puts any bytes in, for frames that are wrong on purpose.

/// What the handshake's frames are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An unsigned number.
    Uint(u64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// A list.
    Array(Vec<Self>),
    /// A map, in any order; written in canonical order.
    Map(Vec<(String, Self)>),
    /// Nothing.
    Null,
    /// Bytes written as they are.
    Raw(Vec<u8>),
}

/// Makes a text.
#[must_use]
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Makes a map.
#[must_use]
pub fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// The simple value null.
const NULL: u8 = 0xf6;

impl Value {
    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Uint(number) => head(out, 0, *number),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => write_text(out, text),
            Self::Array(items) => {
                head(out, 4, items.len() as u64);
                items.iter().for_each(|item| item.write(out));
            }
            Self::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
                head(out, 5, entries.len() as u64);
                for (key, value) in sorted {
                    write_text(out, key);
                    value.write(out);
                }
            }
            Self::Null => out.push(NULL),
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// Reads exactly one value.
    ///
    /// # Panics
    /// If the bytes are anything else than one value of the kinds above.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let value = read(&mut rest);
        assert!(rest.is_empty(), "{} bytes after the value", rest.len());
        assert_eq!(value.encode(), bytes, "the encoding is not canonical");
        value
    }

    /// Returns the entry of a map.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(&self, key: &str) -> &Self {
        self.entries()
            .iter()
            .find(|(name, _)| name == key)
            .map_or_else(|| panic!("no {key} in {self:?}"), |(_, value)| value)
    }

    /// Sets the entry of a map, new or not.
    ///
    /// # Panics
    /// If this is no map.
    pub fn set(&mut self, key: &str, value: Self) {
        let Self::Map(entries) = self else {
            panic!("no map: {self:?}")
        };
        entries.retain(|(name, _)| name != key);
        entries.push((key.to_owned(), value));
    }

    /// Returns a map's entries.
    ///
    /// # Panics
    /// If this is no map.
    #[must_use]
    pub fn entries(&self) -> &[(String, Self)] {
        let Self::Map(entries) = self else {
            panic!("no map: {self:?}")
        };
        entries
    }

    /// Returns a list's items.
    ///
    /// # Panics
    /// If this is no list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        let Self::Array(items) = self else {
            panic!("no list: {self:?}")
        };
        items
    }

    /// Returns a byte string.
    ///
    /// # Panics
    /// If this is none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let Self::Bytes(bytes) = self else {
            panic!("no bytes: {self:?}")
        };
        bytes
    }

    /// Returns a text.
    ///
    /// # Panics
    /// If this is none.
    #[must_use]
    pub fn str(&self) -> &str {
        let Self::Text(text) = self else {
            panic!("no text: {self:?}")
        };
        text
    }

    /// Returns a number.
    ///
    /// # Panics
    /// If this is none.
    #[must_use]
    pub fn uint(&self) -> u64 {
        let Self::Uint(number) = self else {
            panic!("no number: {self:?}")
        };
        *number
    }
}

fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let kind = major << 5;
    match number {
        0..=23 => out.push(kind | u8::try_from(number).unwrap()),
        24..=0xff => out.extend([kind | 24, u8::try_from(number).unwrap()]),
        0x100..=0xffff => {
            out.push(kind | 25);
            out.extend(u16::try_from(number).unwrap().to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(kind | 26);
            out.extend(u32::try_from(number).unwrap().to_be_bytes());
        }
        _ => {
            out.push(kind | 27);
            out.extend(number.to_be_bytes());
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at_checked(length).expect("the value is cut off");
    *rest = left;
    taken
}

fn read(rest: &mut &[u8]) -> Value {
    let first = take(rest, 1)[0];
    let width = match first & 31 {
        small @ 0..=23 => return build(first >> 5, u64::from(small), rest),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        other => panic!("head {other} is not DAG-CBOR"),
    };
    let number = take(rest, width)
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    build(first >> 5, number, rest)
}

fn build(major: u8, number: u64, rest: &mut &[u8]) -> Value {
    let length = usize::try_from(number).unwrap_or(usize::MAX);
    match major {
        0 => Value::Uint(number),
        2 => Value::Bytes(take(rest, length).to_vec()),
        3 => Value::Text(String::from_utf8(take(rest, length).to_vec()).expect("UTF-8")),
        4 => Value::Array((0..length).map(|_| read(rest)).collect()),
        5 => Value::Map(
            (0..length)
                .map(|_| (read(rest).str().to_owned(), read(rest)))
                .collect(),
        ),
        7 if number == u64::from(NULL & 31) => Value::Null,
        other => panic!("major type {other} has no place in a frame"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_8949_come_out() {
        let hex = |value: Value| data_encoding::HEXLOWER.encode(&value.encode());
        assert_eq!(hex(Value::Uint(23)), "17");
        assert_eq!(hex(Value::Uint(24)), "1818");
        assert_eq!(hex(Value::Uint(1000)), "1903e8");
        assert_eq!(hex(Value::Uint(1_000_000)), "1a000f4240");
        assert_eq!(hex(Value::Uint(u64::MAX)), "1bffffffffffffffff");
        assert_eq!(hex(Value::Bytes(vec![1, 2, 3, 4])), "4401020304");
        assert_eq!(hex(text("IETF")), "6449455446");
        assert_eq!(hex(Value::Null), "f6");
        assert_eq!(
            hex(map(vec![("b", Value::Uint(2)), ("a", Value::Uint(1))])),
            "a2616101616202"
        );
    }

    #[test]
    fn shorter_keys_come_first_and_everything_reads_back() {
        let value = map(vec![
            (
                "aa",
                Value::Array(vec![Value::Uint(1 << 40), Value::Bytes(vec![7; 300])]),
            ),
            ("b", text("x")),
        ]);
        assert_eq!(value.encode()[1..3], [0x61, b'b']);
        assert_eq!(Value::decode(&value.encode()).at("aa"), value.at("aa"));
    }
}
