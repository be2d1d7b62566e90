//! Names of records in a repo: collections, record keys, TIDs (atproto's NSID, Record Key and TID).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{IdError, text_id};

text_id! {
    /// A timestamp identifier: 13 characters that sort by time. A repo's revisions are TIDs, and so
    /// are the keys of records whose order matters.
    ///
    /// 53 bits of microseconds since 1970 and 10 bits that tell clocks apart.
    Tid, Tid
}
text_id! {
    /// The name of a collection, and of the type of its records: a domain name in reverse and a name.
    Nsid, Nsid
}
text_id! {
    /// A record's name in its collection.
    RecordKey, RecordKey
}

/// Where a record is in its repo: `collection/rkey`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordPath {
    collection: Nsid,
    rkey: RecordKey,
}

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
const TID_LENGTH: usize = 13;
const CLOCK_BITS: u32 = 10;
const MAX_NSID_LENGTH: usize = 317;
const MAX_LABEL_LENGTH: usize = 63;
const MAX_RECORD_KEY_LENGTH: usize = 512;

impl Tid {
    /// Names an instant in microseconds since 1970, seen by the clock with this number; bits above
    /// the lowest 53 and 10 are dropped.
    #[must_use]
    pub fn from_parts(micros: u64, clock: u16) -> Self {
        let time = micros & ((1 << 53) - 1);
        let clock = u64::from(clock) & ((1 << CLOCK_BITS) - 1);
        Self::from_bits(time << CLOCK_BITS | clock)
    }

    /// Names `micros`, or the first instant after `last` if the clock has not moved past it.
    #[must_use]
    pub fn after(last: Option<&Self>, micros: u64, clock: u16) -> Self {
        let floor = last.map_or(0, |last| last.micros() + 1);
        Self::from_parts(micros.max(floor), clock)
    }

    /// Returns the microseconds since 1970.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.bits() >> CLOCK_BITS
    }

    fn from_bits(bits: u64) -> Self {
        let digit = |place: usize| {
            let value = (bits >> (5 * (TID_LENGTH - 1 - place))) & 31;
            let symbol = usize::try_from(value).ok();
            symbol.and_then(|index| ALPHABET.get(index)).copied()
        };
        let text = (0..TID_LENGTH).filter_map(digit).map(char::from);
        Self(text.collect())
    }

    fn bits(&self) -> u64 {
        self.0.bytes().fold(0, |bits, symbol| {
            let value = ALPHABET.iter().position(|known| *known == symbol);
            bits << 5 | value.and_then(|value| value.try_into().ok()).unwrap_or(0)
        })
    }

    fn is_valid(text: &str) -> bool {
        text.len() == TID_LENGTH
            && text.bytes().all(|symbol| ALPHABET.contains(&symbol))
            && text.bytes().next().is_some_and(|first| first <= b'j')
    }
}

impl Nsid {
    fn is_valid(text: &str) -> bool {
        let label = |label: &str| {
            (1..=MAX_LABEL_LENGTH).contains(&label.len())
                && label
                    .bytes()
                    .all(|symbol| symbol.is_ascii_alphanumeric() || symbol == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let digit_first = |label: &str| label.starts_with(|first: char| first.is_ascii_digit());
        let name = text.rsplit('.').next().unwrap_or_default();
        text.len() <= MAX_NSID_LENGTH
            && text.split('.').count() >= 3
            && text.split('.').all(label)
            && !digit_first(text)
            && !digit_first(name)
            && !name.contains('-')
    }
}

impl RecordKey {
    fn is_valid(text: &str) -> bool {
        (1..=MAX_RECORD_KEY_LENGTH).contains(&text.len())
            && text
                .bytes()
                .all(|symbol| symbol.is_ascii_alphanumeric() || b"._~:-".contains(&symbol))
            && text != "."
            && text != ".."
    }
}

impl From<Tid> for RecordKey {
    fn from(tid: Tid) -> Self {
        Self(tid.0)
    }
}

impl RecordPath {
    /// Names a record.
    #[must_use]
    pub const fn new(collection: Nsid, rkey: RecordKey) -> Self {
        Self { collection, rkey }
    }

    /// Reads `collection/rkey`.
    ///
    /// # Errors
    /// [`IdError::RecordPath`], [`IdError::Nsid`] or [`IdError::RecordKey`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (collection, rkey) = text.split_once('/').ok_or(IdError::RecordPath)?;
        Ok(Self::new(Nsid::parse(collection)?, RecordKey::parse(rkey)?))
    }

    /// Returns the collection.
    #[must_use]
    pub const fn collection(&self) -> &Nsid {
        &self.collection
    }

    /// Returns the name in the collection.
    #[must_use]
    pub const fn rkey(&self) -> &RecordKey {
        &self.rkey
    }
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.rkey)
    }
}

impl FromStr for RecordPath {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RecordPath {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<RecordPath> for String {
    fn from(path: RecordPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tid_is_what_atproto_takes_for_one() {
        for good in [
            "3jzfcijpj2z2a",
            "7777777777777",
            "3zzzzzzzzzzzz",
            "2222222222222",
        ] {
            assert_eq!(Tid::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "3jzfcijpj2z21",
            "0000000000000",
            "3JZFCIJPJ2Z2A",
            "3jzfcijpj2z2aa",
            "3jzfcijpj2z2",
            "",
            "3jzf-cij-pj2z-2a",
            "zzzzzzzzzzzzz",
            "kjzfcijpj2z2a",
        ] {
            assert_eq!(Tid::parse(bad), Err(IdError::Tid), "{bad}");
        }
    }

    #[test]
    fn a_collection_is_what_atproto_takes_for_one() {
        let long = "o".repeat(63);
        for good in [
            "com.example.fooBar",
            "agent.memory.note",
            "a.b.c",
            "m.xn--masekowski-d0b.pl",
            "one.2.three",
            "a-0.b-1.c",
            "org.4chan.lex.getThing",
            &format!("com.{long}.foo"),
            &format!("com.example.{long}"),
        ] {
            assert!(Nsid::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "com.example",
            "com.example.foo.*",
            "a-0.b-1.c-3",
            "1.0.0.127.record",
            "0two.example.foo",
            ".one.two.three",
            "one.two..three",
            " one.two.three",
            "com.exa💩ple.thing",
            "com.example-.foo",
            "com.example.fooBar.2",
            &format!("com.o{long}.foo"),
            &format!("com.example.o{long}"),
            &format!("com.{}foo", "middle.".repeat(50)),
        ] {
            assert_eq!(Nsid::parse(bad), Err(IdError::Nsid), "{bad}");
        }
    }

    #[test]
    fn a_record_key_is_what_atproto_takes_for_one() {
        let long = "o".repeat(512);
        for good in [
            "self",
            "example.com",
            "~1.2-3_",
            "pre:fix",
            ":",
            "...",
            "self.",
            &long,
        ] {
            assert!(RecordKey::parse(good).is_ok(), "{good}");
        }
        let long = "o".repeat(513);
        for bad in [
            "",
            ".",
            "..",
            "alpha/beta",
            "#extra",
            "any space",
            "dHJ1ZQ==",
            "é",
            &long,
        ] {
            assert_eq!(RecordKey::parse(bad), Err(IdError::RecordKey), "{bad}");
        }
    }

    #[test]
    fn a_path_is_a_collection_and_a_key() {
        let path = RecordPath::parse("agent.memory.note/self").unwrap();
        assert_eq!(path.collection().as_str(), "agent.memory.note");
        assert_eq!((path.rkey().as_str(), path.to_string().len()), ("self", 22));
        for (bad, error) in [
            ("agent.memory.note", IdError::RecordPath),
            ("note/self", IdError::Nsid),
            ("agent.memory.note/", IdError::RecordKey),
            ("agent.memory.note/a/b", IdError::RecordKey),
        ] {
            assert_eq!(RecordPath::parse(bad), Err(error), "{bad}");
        }
    }

    /// The example of atproto's specification of TIDs.
    #[test]
    fn a_tid_holds_its_instant() {
        assert_eq!(Tid::from_parts(0, 0).as_str(), "2222222222222");
        assert_eq!(
            Tid::parse("3jzfcijpj2z2a").unwrap().micros(),
            1_688_137_381_887_007
        );
    }

    proptest! {
        #[test]
        fn tids_read_back_and_sort_by_time(a in 0u64..1 << 53, b in 0u64..1 << 53, clock in 0u16..1024) {
            let (first, second) = (Tid::from_parts(a, clock), Tid::from_parts(b, clock));
            prop_assert_eq!(Tid::parse(first.as_str()), Ok(first.clone()));
            prop_assert_eq!(first.micros(), a);
            prop_assert_eq!(a.cmp(&b), first.cmp(&second));
        }

        #[test]
        fn a_clock_that_stands_still_or_goes_back_still_counts_up(last in 0u64..1 << 52, now in 0u64..1 << 52) {
            let last = Tid::from_parts(last, 1023);
            prop_assert!(Tid::after(Some(&last), now, 0) > last);
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,80}") {
            let _ = (Tid::parse(&text), Nsid::parse(&text), RecordKey::parse(&text), RecordPath::parse(&text));
        }
    }
}
