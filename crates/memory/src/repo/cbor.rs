//! DAG-CBOR, read and written in its one canonical form: shortest heads, map keys sorted by length
//! and then by bytes, no floats (as atproto's data model has it), no tag but 42 for links.
//!
//! The few shapes of a repo (nodes, commits, archive headers) are read and written by hand, so that
//! what decodes has exactly one encoding. Records are only checked ([`check_record`]).

use cid::Cid;

use super::block::{CID_LENGTH, parse_cid};

pub(super) const UNSIGNED: u8 = 0;
pub(super) const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
pub(super) const TAG: u8 = 6;
pub(super) const SIMPLE: u8 = 7;
pub(super) const NULL: u64 = 22;
pub(super) const FALSE: u64 = 20;
pub(super) const TRUE: u64 = 21;
pub(super) const LINK: u64 = 42;
/// How deep a record may nest.
pub const MAX_DEPTH: u32 = 64;

/// The bytes are not the canonical DAG-CBOR of what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical DAG-CBOR of the expected shape")]
pub struct CborError;

/// Reads values off the front of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Ends: nothing may be left.
    ///
    /// # Errors
    /// [`CborError`].
    pub const fn end(self) -> Result<(), CborError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CborError)
        }
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_error| CborError)?;
        let (front, rest) = self.0.split_at_checked(length).ok_or(CborError)?;
        self.0 = rest;
        Ok(front)
    }

    /// Reads a head: major type and value, the value in its shortest form.
    pub(super) fn head(&mut self) -> Result<(u8, u64), CborError> {
        let (first, rest) = self.0.split_first().ok_or(CborError)?;
        self.0 = rest;
        let (major, short) = (first >> 5, first & 31);
        let length = match short {
            0..24 => return Ok((major, u64::from(short))),
            24..28 => 1 << (short - 24),
            _ => return Err(CborError),
        };
        let bytes = self.take(length)?;
        let value = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        let least = match length {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if value < least {
            return Err(CborError);
        }
        Ok((major, value))
    }

    fn expect(&mut self, major: u8) -> Result<u64, CborError> {
        match self.head()? {
            (found, value) if found == major => Ok(value),
            _ => Err(CborError),
        }
    }

    /// Reads a number that is not negative.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn unsigned(&mut self) -> Result<u64, CborError> {
        self.expect(UNSIGNED)
    }

    /// Reads a byte string.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.expect(BYTES)?;
        self.take(length)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let length = self.expect(TEXT)?;
        str::from_utf8(self.take(length)?).map_err(|_error| CborError)
    }

    /// Reads the head of an array: how many items follow.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn array(&mut self) -> Result<u64, CborError> {
        self.expect(ARRAY)
    }

    /// Reads the head of a map that has exactly this many members.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn map(&mut self, members: u64) -> Result<(), CborError> {
        (self.expect(MAP)? == members)
            .then_some(())
            .ok_or(CborError)
    }

    /// Reads a member's name, which must be this one.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn member(&mut self, name: &str) -> Result<(), CborError> {
        (self.text()? == name).then_some(()).ok_or(CborError)
    }

    /// Reads a link.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn link(&mut self) -> Result<Cid, CborError> {
        if self.expect(TAG)? != LINK {
            return Err(CborError);
        }
        let bytes = self.bytes()?.strip_prefix(&[0]).ok_or(CborError)?;
        parse_cid(bytes).map_err(|_error| CborError)
    }

    /// Reads a link or null.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn optional_link(&mut self) -> Result<Option<Cid>, CborError> {
        if let Some(rest) = self.0.strip_prefix(&[SIMPLE << 5 | 22]) {
            self.0 = rest;
            return Ok(None);
        }
        self.link().map(Some)
    }

    /// Reads past one value of any shape.
    fn skip(&mut self, depth: u32) -> Result<(), CborError> {
        let depth = depth.checked_sub(1).ok_or(CborError)?;
        let before = *self;
        match self.head()? {
            (UNSIGNED | NEGATIVE, _) => Ok(()),
            (BYTES, length) => self.take(length).map(|_bytes| ()),
            (TEXT, length) => match str::from_utf8(self.take(length)?) {
                Ok(_) => Ok(()),
                Err(_) => Err(CborError),
            },
            (ARRAY, items) => (0..items).try_for_each(|_| self.skip(depth)),
            (MAP, members) => self.members(members, |reader, _name| reader.skip(depth)),
            (TAG, LINK) => {
                *self = before;
                self.link().map(|_cid| ())
            }
            (SIMPLE, NULL | TRUE | FALSE) => Ok(()),
            _ => Err(CborError),
        }
    }

    /// Reads the members of a map, whose names must be in order.
    pub(super) fn members(
        &mut self,
        count: u64,
        mut value: impl FnMut(&mut Self, &'a str) -> Result<(), CborError>,
    ) -> Result<(), CborError> {
        let mut last: Option<&str> = None;
        for _ in 0..count {
            let name = self.text()?;
            let sorted = |last: &str| (last.len(), last) < (name.len(), name);
            if !last.is_none_or(sorted) {
                return Err(CborError);
            }
            last = Some(name);
            value(self, name)?;
        }
        Ok(())
    }
}

/// Checks that a record is a map in canonical DAG-CBOR, and returns its `$type` if it has one.
///
/// # Errors
/// [`CborError`].
pub fn check_record(bytes: &[u8]) -> Result<Option<&str>, CborError> {
    let mut reader = Reader::new(bytes);
    let mut kind = None;
    let count = reader.expect(MAP)?;
    reader.members(count, |reader, name| {
        if name == "$type" {
            kind = Some(reader.text()?);
            return Ok(());
        }
        reader.skip(MAX_DEPTH)
    })?;
    reader.end()?;
    Ok(kind)
}

/// Writes values behind one another.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Returns what was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let [.., d, c, b, a] = value.to_be_bytes();
        match value {
            0..24 => self.0.push(major | a),
            24..0x100 => self.0.extend([major | 24, a]),
            0x100..0x1_0000 => self.0.extend([major | 25, b, a]),
            0x1_0000..0x1_0000_0000 => self.0.extend([major | 26, d, c, b, a]),
            _ => {
                self.0.push(major | 27);
                self.0.extend(value.to_be_bytes());
            }
        }
    }

    fn string(&mut self, major: u8, bytes: &[u8]) {
        self.head(major, length(bytes.len()));
        self.0.extend_from_slice(bytes);
    }

    /// Writes a number.
    pub fn unsigned(&mut self, value: u64) {
        self.head(UNSIGNED, value);
    }

    /// Writes a number that may be negative.
    pub(super) fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(UNSIGNED, value),
            Err(_) => self.head(NEGATIVE, value.unsigned_abs() - 1),
        }
    }

    /// Writes null, true or false.
    pub(super) fn simple(&mut self, value: u64) {
        self.head(SIMPLE, value);
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.string(BYTES, bytes);
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        self.string(TEXT, text.as_bytes());
    }

    /// Writes the head of an array.
    pub fn array(&mut self, items: usize) {
        self.head(ARRAY, length(items));
    }

    /// Writes the head of a map. Its members are the caller's to sort.
    pub fn map(&mut self, members: usize) {
        self.head(MAP, length(members));
    }

    /// Writes a link.
    pub fn link(&mut self, cid: &Cid) {
        self.head(TAG, LINK);
        self.head(BYTES, length(CID_LENGTH + 1));
        self.0.push(0);
        self.0.extend(cid.to_bytes());
    }

    /// Writes a link or null.
    pub fn optional_link(&mut self, cid: Option<&Cid>) {
        match cid {
            Some(cid) => self.link(cid),
            None => self.simple(NULL),
        }
    }
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::block::cbor_cid;
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn records_in_the_canonical_form_are_taken() {
        for good in [
            "a0",
            "a1616101",
            "a26161016162f6",
            "a2616a1b001fffffffffffff62614120",
            "a16161a1616282f5f4",
            "a161614400010203",
        ] {
            assert_eq!(check_record(&hex(good)), Ok(None), "{good}");
        }
        assert_eq!(
            check_record(&hex("a165247479706563612e62")),
            Ok(Some("a.b"))
        );
        let mut linked = Writer::default();
        linked.map(1);
        linked.text("l");
        linked.link(&cbor_cid(b"x"));
        assert_eq!(check_record(&linked.into_bytes()), Ok(None));
    }

    #[test]
    fn any_other_form_is_refused() {
        for (bad, why) in [
            ("", "nothing"),
            ("80", "not a map"),
            ("a161611801", "a long head"),
            ("a16161f90000", "a half float"),
            ("a16161fb3ff0000000000000", "a double"),
            ("a16161f7", "undefined"),
            ("a16161f814", "false in two bytes"),
            ("bf616101ff", "an indefinite map"),
            ("a161617f6161ff", "an indefinite text"),
            ("a2616201616101", "unsorted names"),
            ("a2626161016162 01", "unsorted lengths"),
            ("a2616101616101", "a name twice"),
            ("a10101", "a name that is a number"),
            ("a16161c000", "another tag"),
            ("a16161d82a4100", "an empty link"),
            ("a1616161ff", "not UTF-8"),
            ("a161610100", "something behind"),
            ("a16161", "cut short"),
            ("a165247479706501", "a type that is no text"),
        ] {
            let bad = hex(&bad.replace(' ', ""));
            assert_eq!(check_record(&bad), Err(CborError), "{why}");
        }
        let mut deep = hex("a16161");
        deep.extend([0x81; 100]);
        deep.push(0);
        assert_eq!(check_record(&deep), Err(CborError));
    }

    /// A head that promises more than there is costs nothing.
    #[test]
    fn lengths_beyond_the_end_are_refused() {
        for major in [BYTES, TEXT, ARRAY, MAP] {
            let mut bytes = hex("a16161");
            bytes.push(major << 5 | 27);
            bytes.extend([0x7f; 8]);
            assert_eq!(check_record(&bytes), Err(CborError));
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back(value: u64) {
            let mut writer = Writer::default();
            writer.unsigned(value);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.unsigned(), Ok(value));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_record(&bytes);
        }
    }
}
