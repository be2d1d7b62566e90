//! Records as JSON, atproto's way: links are `{"$link": CID}`, bytes are `{"$bytes": base64}`, numbers
//! are whole.

use data_encoding::BASE64_NOPAD;
use serde_json::{Map, Value};

use super::block::parse_cid_text;
use super::cbor::{ARRAY, BYTES, CborError, LINK, MAP, MAX_DEPTH, NEGATIVE, Reader, SIMPLE, TAG};
use super::cbor::{FALSE, NULL, TEXT, TRUE, UNSIGNED, Writer};

const LINK_MEMBER: &str = "$link";
const BYTES_MEMBER: &str = "$bytes";

/// Why JSON is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not an object.
    #[error("a record is a JSON object")]
    NotAnObject,
    /// A number with a fraction, or beyond 64 bits.
    #[error("numbers in a record are whole and have at most 64 bits")]
    Number,
    /// `$link` or `$bytes` with something that is none, or beside other members.
    #[error("$link holds a CID and $bytes holds base64, and either stands alone")]
    Reserved,
    /// Nested too deep.
    #[error("a record nests at most 64 levels")]
    TooDeep,
}

/// Writes a record, in canonical DAG-CBOR, as JSON.
///
/// # Errors
/// [`CborError`] if it is not canonical, or has a number beyond 64 bits with sign.
pub fn to_json(record: &[u8]) -> Result<Value, CborError> {
    // Bytes and links are objects in JSON, and no records.
    if record.first().is_none_or(|head| head >> 5 != MAP) {
        return Err(CborError);
    }
    let mut reader = Reader::new(record);
    let value = read(&mut reader, MAX_DEPTH + 1)?;
    reader.end()?;
    Ok(value)
}

fn read(reader: &mut Reader<'_>, depth: u32) -> Result<Value, CborError> {
    let depth = depth.checked_sub(1).ok_or(CborError)?;
    let ahead = *reader;
    let (major, value) = reader.head()?;
    let number = || i64::try_from(value).map_err(|_error| CborError);
    match (major, value) {
        (UNSIGNED, _) => Ok(number()?.into()),
        (NEGATIVE, _) => Ok((-1 - number()?).into()),
        (BYTES, length) => Ok(reserved(
            BYTES_MEMBER,
            BASE64_NOPAD.encode(reader.take(length)?),
        )),
        (TEXT, _) => {
            *reader = ahead;
            Ok(reader.text()?.into())
        }
        (ARRAY, items) => (0..items).map(|_| read(reader, depth)).collect(),
        (MAP, members) => {
            let mut map = Map::new();
            reader.members(members, |reader, name| {
                map.insert(name.to_owned(), read(reader, depth)?);
                Ok(())
            })?;
            Ok(Value::Object(map))
        }
        (TAG, LINK) => {
            *reader = ahead;
            Ok(reserved(LINK_MEMBER, reader.link()?.to_string()))
        }
        (SIMPLE, NULL) => Ok(Value::Null),
        (SIMPLE, TRUE) => Ok(Value::Bool(true)),
        (SIMPLE, FALSE) => Ok(Value::Bool(false)),
        _ => Err(CborError),
    }
}

fn reserved(name: &str, text: String) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), Value::String(text))]))
}

/// Writes JSON as a record in canonical DAG-CBOR.
///
/// # Errors
/// [`JsonError`].
pub fn from_json(record: &Map<String, Value>) -> Result<Vec<u8>, JsonError> {
    if is_reserved(record) {
        return Err(JsonError::NotAnObject);
    }
    let mut writer = Writer::default();
    write_map(&mut writer, record, MAX_DEPTH)?;
    Ok(writer.into_bytes())
}

fn is_reserved(map: &Map<String, Value>) -> bool {
    map.contains_key(LINK_MEMBER) || map.contains_key(BYTES_MEMBER)
}

fn write(writer: &mut Writer, value: &Value, depth: u32) -> Result<(), JsonError> {
    let depth = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    match value {
        Value::Null => writer.simple(NULL),
        Value::Bool(true) => writer.simple(TRUE),
        Value::Bool(false) => writer.simple(FALSE),
        Value::Number(number) => match number.as_i64() {
            Some(number) => writer.integer(number),
            None => return Err(JsonError::Number),
        },
        Value::String(text) => writer.text(text),
        Value::Array(items) => {
            writer.array(items.len());
            for item in items {
                write(writer, item, depth)?;
            }
        }
        Value::Object(map) if is_reserved(map) => write_reserved(writer, map)?,
        Value::Object(map) => write_map(writer, map, depth)?,
    }
    Ok(())
}

fn write_map(writer: &mut Writer, map: &Map<String, Value>, depth: u32) -> Result<(), JsonError> {
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_by_key(|(name, _)| (name.len(), name.as_str()));
    writer.map(members.len());
    for (name, value) in members {
        writer.text(name);
        write(writer, value, depth)?;
    }
    Ok(())
}

fn write_reserved(writer: &mut Writer, map: &Map<String, Value>) -> Result<(), JsonError> {
    let mut members = map.iter();
    match (members.next(), members.next()) {
        (Some((name, Value::String(text))), None) if name == LINK_MEMBER => {
            let cid = parse_cid_text(text).map_err(|_error| JsonError::Reserved)?;
            writer.link(&cid);
            Ok(())
        }
        (Some((_bytes, Value::String(text))), None) => {
            let bytes = BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes());
            writer.bytes(&bytes.map_err(|_error| JsonError::Reserved)?);
            Ok(())
        }
        _ => Err(JsonError::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::cbor::check_record;
    use super::*;

    fn from(value: Value) -> Result<Vec<u8>, JsonError> {
        value
            .as_object()
            .map_or(Err(JsonError::NotAnObject), from_json)
    }

    /// `data-model/data-model-fixtures.json` of atproto's interoperability tests: the CIDs.
    #[test]
    fn records_have_the_published_cids() {
        for (record, cid) in [
            (
                json!({
                    "string": "abc", "unicode": "a~öñ©⽘☎𓋓😀👨‍👩‍👧‍👧", "integer": 123, "bool": true, "null": null,
                    "array": ["abc", "def", "ghi"],
                    "object": {"string": "abc", "number": 123, "bool": true, "arr": ["abc", "def", "ghi"]}
                }),
                "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq",
            ),
            (
                json!({
                    "a": {"$link": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"},
                    "b": {"$bytes": "nFERjvLLiw9qm45JrqH9QTzyC2Lu1Xb4ne6+sBrCzI0"},
                    "c": {
                        "$type": "blob", "mimeType": "image/jpeg", "size": 10000,
                        "ref": {"$link": "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"}
                    }
                }),
                "bafyreihldkhcwijkde7gx4rpkkuw7pl6lbyu5gieunyc7ihactn5bkd2nm",
            ),
        ] {
            let bytes = from(record.clone()).unwrap();
            assert_eq!(super::super::block::cbor_cid(&bytes).to_string(), cid);
            assert_eq!(to_json(&bytes), Ok(record));
        }
    }

    #[test]
    fn links_and_bytes_read_back() {
        let record = json!({
            "l": {"$link": "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"},
            "b": {"$bytes": "AAEC"}, "n": [-1, i64::MIN, i64::MAX], "e": {}, "$type": "a.b.c",
        });
        let bytes = from(record.clone()).unwrap();
        assert_eq!(check_record(&bytes), Ok(Some("a.b.c")));
        assert_eq!(to_json(&bytes), Ok(record));
        // Padding is taken and not written.
        assert_eq!(
            from(json!({"b": {"$bytes": "AA=="}})),
            from(json!({"b": {"$bytes": "AA"}}))
        );
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn all_readers_agree_on_how_deep_a_record_may_nest() {
        let bytes = from(json!({ "a": nested(63) })).unwrap();
        assert!(check_record(&bytes).is_ok() && to_json(&bytes).is_ok());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for (bad, error) in [
            (json!([1]), JsonError::NotAnObject),
            (json!({"$bytes": "AA"}), JsonError::NotAnObject),
            (json!({"a": 1.5}), JsonError::Number),
            (json!({"a": u64::MAX}), JsonError::Number),
            (json!({"a": {"$link": "x"}}), JsonError::Reserved),
            (json!({"a": {"$link": 1}}), JsonError::Reserved),
            (json!({"a": {"$bytes": "!"}}), JsonError::Reserved),
            (json!({"a": {"$bytes": "AA", "b": 1}}), JsonError::Reserved),
            (json!({ "a": nested(64) }), JsonError::TooDeep),
        ] {
            assert_eq!(from(bad.clone()), Err(error), "{bad}");
        }
        for bad in [
            &b"\x80"[..],
            b"\xa1\x61a\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa0\x00",
        ] {
            assert_eq!(to_json(bad), Err(CborError));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..9)
                .prop_map(|bytes| reserved(BYTES_MEMBER, BASE64_NOPAD.encode(&bytes))),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z$]{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_record_reads_back(record in prop::collection::btree_map("[a-z]{0,9}", value(), 0..6)) {
            let record: Map<String, Value> = record.into_iter().collect();
            let bytes = from_json(&record).unwrap();
            prop_assert!(check_record(&bytes).is_ok());
            prop_assert_eq!(to_json(&bytes), Ok(Value::Object(record)));
        }

        #[test]
        fn what_is_read_is_what_is_checked(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if to_json(&bytes).is_ok() {
                prop_assert!(check_record(&bytes).is_ok());
            }
        }
    }
}
