//! The formats of strings, as atproto writes them.

use data_encoding::BASE64_NOPAD;
use serde::Deserialize;

use crate::id::BASE32;
use crate::record::{Nsid, RecordKey, Tid};
use crate::time::is_rfc3339;

/// Nanoseconds and an offset: `2026-01-31T12:00:00.000000000+00:00`.
const MAX_DATETIME_BYTES: usize = 35;
const MAX_FRACTION_DIGITS: usize = 9;
const MAX_DID_BYTES: usize = 2_048;
const MAX_HANDLE_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;
const MAX_URI_BYTES: usize = 8_192;
const MAX_SCHEME_BYTES: usize = 81;
/// CID version 1, a codec, SHA-256 of 32 bytes.
const CID_BYTES: usize = 36;
const DAG_CBOR: u8 = 0x71;
const RAW: u8 = 0x55;

/// How a string is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    AtIdentifier,
    AtUri,
    Cid,
    Datetime,
    Did,
    Handle,
    Language,
    Nsid,
    RecordKey,
    Tid,
    Uri,
}

impl Format {
    /// Tells whether `text` is written so.
    pub(super) fn accepts(self, text: &str) -> bool {
        match self {
            Self::AtIdentifier => is_did(text) || is_handle(text),
            Self::AtUri => is_at_uri(text),
            Self::Cid => is_cid(text),
            Self::Datetime => is_datetime(text),
            Self::Did => is_did(text),
            Self::Handle => is_handle(text),
            Self::Language => oxilangtag::LanguageTag::parse(text).is_ok(),
            Self::Nsid => Nsid::parse(text).is_ok(),
            Self::RecordKey => RecordKey::parse(text).is_ok(),
            Self::Tid => Tid::parse(text).is_ok(),
            Self::Uri => is_uri(text),
        }
    }

    /// Says what a value should look like.
    pub(super) const fn wish(self) -> &'static str {
        match self {
            Self::AtIdentifier => "a DID or a handle",
            Self::AtUri => {
                "an at-uri such as at://did:web:example.com/agent.memory.note/3jzfcijpj2z2a"
            }
            Self::Cid => "a CID: version 1 in base32, DAG-CBOR or raw, SHA-256",
            Self::Datetime => {
                "an RFC 3339 instant with a time zone, such as 2026-01-31T12:00:00.000Z"
            }
            Self::Did => "a DID such as did:web:example.com",
            Self::Handle => "a handle such as alice.example.com",
            Self::Language => "a BCP 47 language tag such as en or pt-BR",
            Self::Nsid => "an NSID such as agent.memory.note",
            Self::RecordKey => "a record key: 1 to 512 of A-Z, a-z, 0-9 and . _ ~ : -",
            Self::Tid => "a TID such as 3jzfcijpj2z2a",
            Self::Uri => "a URI such as https://example.com/",
        }
    }
}

/// Tells whether `text` is a CID of a record or of bytes.
pub(super) fn is_cid(text: &str) -> bool {
    codec(text).is_some()
}

/// Tells whether `text` is a CID of bytes, as those of blobs are.
pub(super) fn is_raw_cid(text: &str) -> bool {
    codec(text) == Some(RAW)
}

fn codec(text: &str) -> Option<u8> {
    let bytes = BASE32.decode(text.strip_prefix('b')?.as_bytes()).ok()?;
    match bytes.get(..4)? {
        [1, codec @ (DAG_CBOR | RAW), 0x12, 0x20] if bytes.len() == CID_BYTES => Some(*codec),
        _ => None,
    }
}

/// Returns how many bytes a `$bytes` value stands for; its padding may be left out.
pub(super) fn byte_count(text: &str) -> Option<usize> {
    let bare = text.strip_suffix("==").or(text.strip_suffix('='));
    let bare = bare.unwrap_or(text);
    let padded = bare.len() != text.len();
    if padded && !text.len().is_multiple_of(4) {
        return None;
    }
    BASE64_NOPAD
        .decode(bare.as_bytes())
        .ok()
        .map(|bytes| bytes.len())
}

/// RFC 3339 in atproto's narrower form: upper-case `T` and `Z`, an offset that is not `-00:00`, a
/// year from 0010 on.
fn is_datetime(text: &str) -> bool {
    let shape = text.len() <= MAX_DATETIME_BYTES
        && text
            .bytes()
            .all(|symbol| symbol.is_ascii_digit() || b"-:.+TZ".contains(&symbol))
        && text.as_bytes().get(10) == Some(&b'T')
        && text
            .as_bytes()
            .get(17..19)
            .is_some_and(|seconds| seconds != b"60")
        && digits_after_point(text) <= MAX_FRACTION_DIGITS
        && !text.ends_with("-00:00")
        && !text.starts_with("000");
    shape && is_rfc3339(text)
}

fn digits_after_point(text: &str) -> usize {
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    fraction.bytes().take_while(u8::is_ascii_digit).count()
}

fn is_did(text: &str) -> bool {
    let Some((method, id)) = text
        .strip_prefix("did:")
        .and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    text.len() <= MAX_DID_BYTES
        && !method.is_empty()
        && method.bytes().all(|symbol| symbol.is_ascii_lowercase())
        && !id.is_empty()
        && id
            .bytes()
            .all(|symbol| symbol.is_ascii_alphanumeric() || b"._:%-".contains(&symbol))
        && !id.ends_with([':', '%'])
}

fn is_handle(text: &str) -> bool {
    let label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label
                .bytes()
                .all(|symbol| symbol.is_ascii_alphanumeric() || symbol == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_HANDLE_BYTES
        && text.contains('.')
        && text.split('.').all(label)
        && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// `at://authority[/collection[/rkey]]`, without query and fragment.
fn is_at_uri(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("at://") else {
        return false;
    };
    let mut parts = rest.split('/');
    let authority = parts.next().unwrap_or_default();
    text.len() <= MAX_URI_BYTES
        && (is_did(authority) || is_handle(authority))
        && parts
            .next()
            .is_none_or(|collection| Nsid::parse(collection).is_ok())
        && parts.next().is_none_or(|key| RecordKey::parse(key).is_ok())
        && parts.next().is_none()
}

/// A scheme and something visible after it.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let visible = rest.strip_prefix("//").unwrap_or(rest);
    text.len() <= MAX_URI_BYTES
        && (1..=MAX_SCHEME_BYTES).contains(&scheme.len())
        && scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|symbol| symbol.is_ascii_lowercase() || symbol.is_ascii_digit())
        && !visible.is_empty()
        && !visible.starts_with('/')
        && visible.bytes().all(|symbol| symbol.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Format; 11] = [
        Format::AtIdentifier,
        Format::AtUri,
        Format::Cid,
        Format::Datetime,
        Format::Did,
        Format::Handle,
        Format::Language,
        Format::Nsid,
        Format::RecordKey,
        Format::Tid,
        Format::Uri,
    ];

    #[test]
    fn an_instant_is_written_in_one_way() {
        for good in [
            "1985-04-12T23:20:50.123Z",
            "1985-04-12T23:20:50Z",
            "0985-04-12T23:20:50.123456789-23:59",
            "2024-02-29T00:00:00+00:00",
        ] {
            assert!(Format::Datetime.accepts(good), "{good}");
        }
        for bad in [
            "1985-04-12",
            "1985-04-12T23:20Z",
            "1985-04-12T23:20:5Z",
            "1985-04-12 23:20:50Z",
            "1985-04-12t23:20:50Z",
            "1985-04-12T23:20:50z",
            "1985-04-12T23:20:50.Z",
            "1985-04-12T23:20:50+0000",
            "+001985-04-12T23:20:50Z",
            "-001985-04-12T23:20:50Z",
            "2023-02-29T00:00:00Z",
            "2023-02-28T24:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "",
        ] {
            assert!(!Format::Datetime.accepts(bad), "{bad}");
        }
    }

    #[test]
    fn base64_has_one_reading() {
        for (text, count) in [
            ("", Some(0)),
            ("aGk", Some(2)),
            ("aGk=", Some(2)),
            ("aGVs", Some(3)),
        ] {
            assert_eq!(byte_count(text), count, "{text}");
        }
        for bad in [
            "a", "aGk==", "aGl", "aG_s", "aGk=aGk=", "a=", "====", " aGk",
        ] {
            assert_eq!(byte_count(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_wish_names_something_that_is_accepted() {
        for format in ALL {
            let mut words = format.wish().split([' ', ',']);
            let shown =
                !format.wish().contains("such as") || words.any(|word| format.accepts(word));
            assert!(shown, "{format:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_format_panic(text in ".{0,80}") {
            for format in ALL {
                let _ = format.accepts(&text);
            }
            let _ = (is_raw_cid(&text), byte_count(&text));
        }
    }
}
