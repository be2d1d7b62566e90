//! What every suite begins with: its number and the header that relays read.

use super::header::MAX_HEADER_LENGTH;

/// An envelope split where its suite begins to matter.
pub(super) struct Outer<'a> {
    pub(super) suite: u8,
    /// The header's bytes.
    pub(super) header: &'a [u8],
    /// Suite, header length and header.
    pub(super) head: &'a [u8],
    /// What the suite defines.
    pub(super) rest: &'a [u8],
}

impl<'a> Outer<'a> {
    /// Splits an envelope without an origin.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (suite, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_HEADER_LENGTH {
            return None;
        }
        let (header, rest) = rest.split_at_checked(length)?;
        let head = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
        Some(Self {
            suite: *suite,
            header,
            head,
            rest,
        })
    }
}
