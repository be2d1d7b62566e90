//! The part of a message that only its recipient reads.

use entente_lexicon::{Content, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest encoded body in bytes.
pub const MAX_BODY_LENGTH: usize = 64 * 1024;
/// The longest name of a conversation in bytes.
pub const MAX_THREAD_LENGTH: usize = 256;
const PRIORITIES: std::ops::RangeInclusive<u8> = 1..=5;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Body {
    /// The content.
    pub content: Content,
    /// The conversation it belongs to, at most [`MAX_THREAD_LENGTH`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// 1 (lowest) to 5 (highest).
    pub priority: u8,
    /// When its sender wrote it, by the sender's clock.
    pub created_at: Timestamp,
}

impl Body {
    /// Encodes the body, or says `None` if one of its fields is out of range.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        if !self.is_valid() {
            return None;
        }
        serde_ipld_dagcbor::to_vec(self).ok()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let body: Self = serde_ipld_dagcbor::from_slice(bytes).ok()?;
        body.is_valid().then_some(body)
    }

    fn is_valid(&self) -> bool {
        PRIORITIES.contains(&self.priority)
            && self
                .thread
                .as_ref()
                .is_none_or(|thread| thread.len() <= MAX_THREAD_LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn body(content: Content) -> Body {
        Body {
            content,
            thread: None,
            priority: 3,
            created_at: Timestamp(1),
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from), // not finite becomes null
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    #[test]
    fn fields_out_of_range_are_refused_both_ways() {
        for priority in [0, 6, 255] {
            let bad = Body {
                priority,
                ..body(Content::Text {
                    text: String::new(),
                })
            };
            assert_eq!(bad.encode(), None);
            assert_eq!(
                Body::decode(&serde_ipld_dagcbor::to_vec(&bad).unwrap()),
                None
            );
        }
        let bad = Body {
            thread: Some("t".repeat(MAX_THREAD_LENGTH + 1)),
            ..body(Content::Text {
                text: String::new(),
            })
        };
        assert_eq!(bad.encode(), None);
        assert_eq!(
            Body::decode(&serde_ipld_dagcbor::to_vec(&bad).unwrap()),
            None
        );
    }

    #[test]
    fn nesting_to_the_limit_of_the_bytes_is_refused_not_a_crash() {
        let good = body(Content::Json { data: json!([]) });
        let mut bytes = good.encode().unwrap();
        let at = bytes.iter().position(|byte| *byte == 0x80).unwrap();
        for nested in [vec![0x81; 60_000], b"\xa1\x61a".repeat(20_000)] {
            let mut deep = bytes.clone();
            deep.splice(at..at, nested);
            assert_eq!(Body::decode(&deep), None);
        }
        bytes.push(0);
        assert_eq!(Body::decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(data in json_value(), thread in proptest::option::of(".{0,40}"), priority in 1u8..=5) {
            let body = Body { thread, priority, ..body(Content::Json { data }) };
            prop_assert_eq!(Body::decode(&body.encode().unwrap()), Some(body));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Body::decode(&bytes);
        }
    }
}
